/*-------------------------------------------------------------------------
 *
 * key.c
 *	  Groups, partitions and distinct rows that are computed anew: which
 *	  expressions over the rows below are their key.
 *
 * The key's expressions belong to the first query, from the top, that is more
 * than a filter and projection of a single subquery; those above it change
 * nothing but single rows, so that the rows of a key are computed by running
 * all of them over the rows below that have the key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "plan/plan.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

/* Does a query do no more than filter and project the rows of one subquery? */
static bool
key_wrapper(Query *query)
{
	Node *item;

	if (!plan_query_simple(query) || query->hasSubLinks ||
	    list_length(query->jointree->fromlist) != 1)
		return false;
	item = linitial(query->jointree->fromlist);
	return IsA(item, RangeTblRef) &&
	       rt_fetch(((RangeTblRef *) item)->rtindex, query->rtable)->rtekind == RTE_SUBQUERY;
}

/* The query so far below. */
Query *
plan_key_query(Query *query, int depth)
{
	while (depth-- > 0)
	{
		RangeTblRef *item = linitial_node(RangeTblRef, query->jointree->fromlist);

		query = rt_fetch(item->rtindex, query->rtable)->subquery;
	}
	return query;
}

/* How far below is the query that may have a key? */
static int
key_depth(Query *query)
{
	int depth = 0;

	for (; key_wrapper(query); depth++)
		query = plan_key_query(query, 1);
	return depth;
}

/* Is there a grouping, a window or DISTINCT? */
bool
plan_needs_keys(Query *query)
{
	query = plan_key_query(query, key_depth(query));
	return query->setOperations == NULL &&
	       (query->hasAggs || query->groupClause != NIL || query->havingQual != NULL ||
	        query->hasWindowFuncs || query->distinctClause != NIL);
}

/* The partition expressions that all windows have, as SortGroupClauses. */
static List *
key_partition(Query *query)
{
	WindowClause *first = linitial_node(WindowClause, query->windowClause);
	List *result = NIL;
	ListCell *cell;
	ListCell *other;

	foreach (cell, first->partitionClause)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, cell);
		bool common = true;

		foreach (other, query->windowClause)
		{
			bool found = false;
			ListCell *inner;

			foreach (inner, lfirst_node(WindowClause, other)->partitionClause)
				found |=
				    lfirst_node(SortGroupClause, inner)->tleSortGroupRef == clause->tleSortGroupRef;
			common &= found;
		}
		if (common)
			result = lappend(result, clause);
	}
	return result;
}

/* Does an expression show a key outside of aggregates? */
static bool
key_shown_walker(Node *node, Node *key)
{
	if (node == NULL || IsA(node, Aggref))
		return false;
	if (equal(node, key))
		return true;
	return expression_tree_walker(node, key_shown_walker, key);
}

/* The clauses that make up the key; NULL: found, else why not. */
static const char *
key_clauses(Query *query, List **clauses, bool *representative)
{
	bool grouped = query->hasAggs || query->groupClause != NIL || query->havingQual != NULL;

	*representative = grouped;
	if (query->limitCount != NULL || query->limitOffset != NULL)
		return "LIMIT";
	if (query->groupingSets != NIL)
		return "grouping sets";
	if (grouped + query->hasWindowFuncs + (query->distinctClause != NIL) > 1)
		return "grouping, window functions and DISTINCT in one";
	if (grouped)
	{
		*clauses = query->groupClause;
		return *clauses ? NULL : "one group of everything whose aggregates cannot follow changes";
	}
	if (query->hasWindowFuncs)
	{
		*clauses = key_partition(query);
		return *clauses ? NULL : "window without PARTITION BY";
	}
	*clauses = query->distinctClause;
	*representative = !query->hasDistinctOn;
	return *clauses ? NULL : "DISTINCT without columns";
}

/*
 * The inner query: the keys of the rows below, and the comparisons with the clock
 * that the groups or partitions make with these rows.
 */
static Query *
key_inner(Query *query, List *keys, List *comparisons)
{
	Query *inner = copyObject(query);
	ListCell *cell;

	inner->targetList = NIL;
	keys = list_concat_copy(keys, comparisons);
	foreach (cell, keys)
	{
		int number = list_length(inner->targetList) + 1;

		inner->targetList =
		    lappend(inner->targetList, makeTargetEntry(copyObject(lfirst(cell)), number,
		                                               psprintf("k%d", number), false));
	}
	inner->hasAggs = inner->hasWindowFuncs = inner->hasDistinctOn = inner->hasTargetSRFs = false;
	inner->groupClause = inner->windowClause = inner->distinctClause = inner->sortClause = NIL;
	inner->havingQual = NULL;
	return inner;
}

/* The view's columns that are keys tell its rows apart, if they are all there. */
static void
key_identity(ViewPlan *plan, Query *bottom, List *clauses)
{
	AttrNumber *columns = palloc(list_length(clauses) * sizeof(AttrNumber));
	int count = 0;
	ListCell *cell;

	if (plan->key_depth > 0 || !bottom->hasAggs)
		return;
	foreach (cell, clauses)
	{
		TargetEntry *entry =
		    get_sortgroupclause_tle(lfirst_node(SortGroupClause, cell), bottom->targetList);

		if (entry->resjunk)
			return;
		columns[count++] = entry->resno;
	}
	plan->identity = columns;
	plan->identity_count = count;
}

/*
 * Find the key of a query that needs one; NULL: the plan's inner query gives
 * the keys, else why not.
 */
const char *
plan_split_keys(ViewPlan *plan, Query *query)
{
	Query *bottom;
	List *clauses;
	List *keys = NIL;
	List *comparisons = NIL;
	bool representative;
	const char *reason;
	ListCell *cell;

	plan->key_depth = key_depth(query);
	bottom = plan_key_query(query, plan->key_depth);
	reason = key_clauses(bottom, &clauses, &representative);
	if (reason)
		return reason;
	plan->key_equality = palloc(list_length(clauses) * sizeof(Oid));
	plan->key_count = 0;
	foreach (cell, clauses)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, cell);
		Node *key = (Node *) get_sortgroupclause_tle(clause, bottom->targetList)->expr;

		if (!clause->hashable || get_typtype(exprType(key)) == TYPTYPE_PSEUDO)
			return "key that cannot be hashed";
		if (expression_returns_set(key))
			return "key that is a set";
		/* which of the equal values is shown depends on the plan */
		if (representative && !plan_equality_decides_image(key) &&
		    (key_shown_walker((Node *) bottom->targetList, key) ||
		     key_shown_walker(bottom->havingQual, key)))
			return "key whose equal values can look different";
		plan->key_equality[plan->key_count++] = clause->eqop;
		keys = lappend(keys, key);
	}
	foreach (cell, bottom->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (!list_member(keys, entry->expr) && checkExprHasSubLink((Node *) entry->expr))
			return "subquery over groups or partitions";
	}
	if (checkExprHasSubLink(bottom->havingQual))
		return "subquery over groups or partitions";
	if (!plan_clock_comparisons((Node *) bottom->targetList, &comparisons) ||
	    !plan_clock_comparisons(bottom->havingQual, &comparisons))
		return "clock over groups or partitions";
	plan->inner = key_inner(bottom, keys, comparisons);
	plan->by_key = true;
	key_identity(plan, bottom, clauses);
	return NULL;
}
