/*-------------------------------------------------------------------------
 *
 * determine.c
 *	  A query whose result does not depend on the order in which rows are met.
 *
 * SQL leaves open in which order string_agg collects, which of the rows that tie
 * row_number() counts first, and which of them LIMIT or DISTINCT ON takes; sums of
 * floats depend on it in their last digits. A view that is computed in pieces
 * has to decide: by the versions of the rows, as a scan of the table would meet
 * them. Its query says so in every way it is run, freshet.verify's too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"
#include "plan/normalise.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"

typedef struct DetermineContext
{
	Query *query; /* the one at hand */
	List *parts;  /* that it may read */
	bool changed;
	const char *reason; /* not NULL: the order cannot be decided */
} DetermineContext;

/* The versions of the tables of a FROM item; false: it is not made of tables alone. */
static bool
determine_versions(Query *query, Node *node, List **versions)
{
	ListCell *cell;

	if (IsA(node, RangeTblRef))
	{
		int rtindex = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rtindex, query->rtable);

		if (rte->rtekind == RTE_RESULT)
			return true;
		*versions = lappend(
		    *versions, makeVar(rtindex, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0));
		/* the rows of a part lie in an order of their own */
		return rte->rtekind == RTE_RELATION && !normalise_part_entry(rte);
	}
	if (IsA(node, JoinExpr))
		return determine_versions(query, ((JoinExpr *) node)->larg, versions) &&
		       determine_versions(query, ((JoinExpr *) node)->rarg, versions);
	foreach (cell, castNode(FromExpr, node)->fromlist)
		if (!determine_versions(query, lfirst(cell), versions))
			return false;
	return true;
}

/* Order by the versions as well: adds to a target list and to its clauses. */
static void
determine_order(DetermineContext *context, List **targets, List **clauses)
{
	List *versions = NIL;
	ListCell *cell;

	if (!determine_versions(context->query, (Node *) context->query->jointree, &versions))
	{
		context->reason = "something that depends on the order of rows of a subquery";
		return;
	}
	foreach (cell, versions)
	{
		TargetEntry *entry = makeTargetEntry(lfirst(cell), list_length(*targets) + 1, NULL, true);
		SortGroupClause *clause = makeNode(SortGroupClause);

		*targets = lappend(*targets, entry);
		clause->tleSortGroupRef = assignSortGroupRef(entry, *targets);
		clause->eqop = TIDEqualOperator;
		clause->sortop = TIDLessOperator;
		clause->hashable = true;
		*clauses = lappend(*clauses, clause);
	}
	context->changed = true;
}

/*
 * Do equal inputs of an aggregate look the same, but for the sign of a zero? An
 * ordered-set aggregate sorts them itself and cannot be told more.
 */
static bool
determine_inputs_alike(const Aggref *aggref)
{
	ListCell *cell;

	foreach (cell, aggref->args)
	{
		Node *input = (Node *) lfirst_node(TargetEntry, cell)->expr;
		Oid type = exprType(input);

		if (type != FLOAT4OID && type != FLOAT8OID && !plan_equality_decides_image(input))
			return false;
	}
	return true;
}

/* Decide in which order the aggregates of a query meet its rows. */
static bool
determine_aggregates(Node *node, DetermineContext *context)
{
	Aggref *aggref = (Aggref *) node;

	if (node == NULL || IsA(node, Query))
		return false;
	if (IsA(node, Aggref) && aggref->agglevelsup == 0 && plan_order_aggregate(aggref))
	{
		if (aggref->aggkind == AGGKIND_NORMAL && aggref->aggdistinct == NIL)
			determine_order(context, &aggref->args, &aggref->aggorder);
		else if (!determine_inputs_alike(aggref))
			context->reason = "aggregate of values that can be equal and look different";
		return false;
	}
	return expression_tree_walker(node, determine_aggregates, context);
}

/* The window clause of a window function. */
static WindowClause *
determine_window(Query *query, const WindowFunc *call)
{
	ListCell *cell;

	foreach (cell, query->windowClause)
		if (lfirst_node(WindowClause, cell)->winref == call->winref)
			return lfirst(cell);
	return NULL;
}

/* Does a window tell the groups of its query apart? */
static bool
determine_groups_apart(Query *query, WindowClause *window)
{
	List *clauses = list_concat_copy(window->partitionClause, window->orderClause);
	ListCell *cell;
	ListCell *clause;

	if (query->groupingSets != NIL)
		return false;
	foreach (cell, query->groupClause)
	{
		Node *key = get_sortgroupclause_expr(lfirst(cell), query->targetList);
		bool found = false;

		foreach (clause, clauses)
			found |= equal(get_sortgroupclause_expr(lfirst(clause), query->targetList), key);
		if (!found)
			return false;
	}
	return true;
}

/*
 * Decide in which order window functions meet rows that tie: those that count
 * rows get a window of their own, in which no rows tie.
 */
static bool
determine_windows(Node *node, DetermineContext *context)
{
	WindowFunc *call = (WindowFunc *) node;
	WindowClause *window;
	ListCell *cell;

	if (node == NULL || IsA(node, Query))
		return false;
	if (!IsA(node, WindowFunc) || !plan_order_window(context->query, context->parts, call))
		return expression_tree_walker(node, determine_windows, context);
	window = determine_window(context->query, call);
	if (normalise_grouped(context->query))
	{
		if (window == NULL || !determine_groups_apart(context->query, window))
			context->reason = "window function over groups that tie";
		return expression_tree_walker(node, determine_windows, context);
	}
	switch (call->winfnoid)
	{
		case F_ROW_NUMBER:
		case F_NTILE:
		case F_LAG_ANYELEMENT:
		case F_LAG_ANYELEMENT_INT4:
		case F_LAG_ANYCOMPATIBLE_INT4_ANYCOMPATIBLE:
		case F_LEAD_ANYELEMENT:
		case F_LEAD_ANYELEMENT_INT4:
		case F_LEAD_ANYCOMPATIBLE_INT4_ANYCOMPATIBLE:
			break;
		default:
			if (window == NULL || (window->frameOptions & FRAMEOPTION_EXCLUSION) != 0 ||
			    (window->frameOptions & FRAMEOPTION_ROWS) == 0)
			{
				context->reason = "window function over rows that tie";
				return false;
			}
	}
	if (window == NULL)
		return false;
	window = copyObject(window);
	window->name = NULL;
	window->winref = 0;
	foreach (cell, context->query->windowClause)
		window->winref = Max(window->winref, lfirst_node(WindowClause, cell)->winref + 1);
	determine_order(context, &context->query->targetList, &window->orderClause);
	context->query->windowClause = lappend(context->query->windowClause, window);
	call->winref = window->winref;
	return false;
}

/* Decide which of the rows that tie LIMIT and DISTINCT ON take. */
static void
determine_limit(DetermineContext *context)
{
	Query *query = context->query;
	bool limited = (query->limitCount != NULL || query->limitOffset != NULL) &&
	               query->limitOption == LIMIT_OPTION_COUNT;

	if (!limited && !query->hasDistinctOn)
		return;
	if (plan_order_covers(query->targetList, query->sortClause))
		return;
	if (normalise_grouped(query) || query->hasWindowFuncs || query->setOperations != NULL ||
	    (query->distinctClause != NIL && !query->hasDistinctOn) || query->hasTargetSRFs)
		context->reason = "LIMIT or DISTINCT ON over rows that tie";
	else
		determine_order(context, &query->targetList, &query->sortClause);
}

/* Decide every order in a query and those in it. */
static bool
determine_walker(Node *node, DetermineContext *context)
{
	DetermineContext inner = *context;
	Query *query = (Query *) node;

	if (node == NULL)
		return false;
	if (IsA(node, SubLink) && ((SubLink *) node)->subLinkType == EXISTS_SUBLINK)
	{
		query = castNode(Query, ((SubLink *) node)->subselect);
		return query_tree_walker(query, determine_walker, context, QTW_IGNORE_JOINALIASES);
	}
	if (!IsA(node, Query))
		return expression_tree_walker(node, determine_walker, context);

	inner.query = query;
	determine_aggregates((Node *) query->targetList, &inner);
	determine_aggregates(query->havingQual, &inner);
	if (query->hasWindowFuncs)
		determine_windows((Node *) query->targetList, &inner);
	determine_limit(&inner);
	context->changed |= inner.changed;
	if (inner.reason)
		context->reason = inner.reason;
	return query_tree_walker(query, determine_walker, context, QTW_IGNORE_JOINALIASES);
}

/*
 * Have a query's result depend on its rows alone: the query is modified, and
 * *changed is set if something had to be. NULL: done, else what cannot be decided.
 */
const char *
plan_determine(Query *query, List *parts, bool *changed)
{
	DetermineContext context = {.parts = parts};

	determine_walker((Node *) query, &context);
	*changed |= context.changed;
	return context.reason;
}
