/*-------------------------------------------------------------------------
 *
 * distinct.c
 *	  Aggregates over distinct values of all rows, such as
 *	  SELECT count(DISTINCT x), sum(y) FROM t.
 *
 * They are split into groupings that can follow changes, each of which gives one
 * row: one for the aggregates without DISTINCT, and for each of the others the
 * aggregate over SELECT DISTINCT x. The query joins these rows. (Where there are
 * keys, their groups are computed anew, which needs no hidden state.)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "plan/normalise.h"
#include "rewrite/rewriteManip.h"

typedef struct DistinctContext
{
	List *plain;    /* of TargetEntry *: aggregates without DISTINCT */
	List *distinct; /* of Aggref * */
	bool failed;    /* there is one that cannot be split */
} DistinctContext;

/* The query's rows below its grouping. */
static Query *
distinct_rows(const Query *query)
{
	Query *rows = copyObject((Query *) query);

	rows->targetList = NIL;
	rows->hasAggs = false;
	rows->havingQual = NULL;
	rows->sortClause = NIL;
	return rows;
}

/* Can this aggregate be computed from a table of the distinct values? */
static bool
distinct_splits(const Aggref *aggref)
{
	Aggref *plain = copyObject((Aggref *) aggref);
	const char *reason;

	plain->aggdistinct = plain->aggorder = NIL;
	return aggref->agglevelsup == 0 && aggref->aggkind == AGGKIND_NORMAL &&
	       list_length(aggref->args) == 1 && !checkExprHasSubLink((Node *) aggref->aggfilter) &&
	       plan_equality_decides_image((Node *) linitial_node(TargetEntry, aggref->args)->expr) &&
	       plan_aggregate(plain, &reason) != NULL;
}

/* Replace aggregates by columns of the one-row queries: 1 is the plain ones'. */
static Node *
distinct_mutator(Node *node, DistinctContext *context)
{
	Aggref *aggref = (Aggref *) node;
	int rtindex = 1;
	int column = 1;
	ListCell *cell;

	if (node == NULL)
		return NULL;
	if (IsA(node, SubLink) && !normalise_closed((Query *) ((SubLink *) node)->subselect))
		context->failed = true;
	if (IsA(node, Query))
		return (Node *) copyObject((Query *) node);
	if (!IsA(node, Aggref))
		return expression_tree_mutator(node, distinct_mutator, context);
	if (aggref->aggdistinct != NIL)
	{
		context->failed |= !distinct_splits(aggref);
		if (!list_member(context->distinct, aggref))
			context->distinct = lappend(context->distinct, aggref);
		foreach (cell, context->distinct)
			if (equal(lfirst(cell), aggref))
				rtindex = foreach_current_index(cell) + 2;
	}
	else
	{
		bool found = false;

		foreach (cell, context->plain)
		{
			found = equal(lfirst_node(TargetEntry, cell)->expr, aggref);
			if (found)
				break;
			column++;
		}
		if (!found)
			context->plain =
			    lappend(context->plain, makeTargetEntry((Expr *) copyObject(aggref), column,
			                                            psprintf("c%d", column), false));
	}
	return (Node *) makeVar(rtindex, column, aggref->aggtype, -1, aggref->aggcollid, 0);
}

/* The query that gives an aggregate over distinct values as its one row. */
static Query *
distinct_single(const Query *query, const Aggref *aggref)
{
	Query *values = distinct_rows(query);
	Query *single;
	Aggref *plain = copyObject((Aggref *) aggref);
	TargetEntry *argument = linitial_node(TargetEntry, plain->args);

	argument->resname = pstrdup("value");
	values->targetList = list_make1(copyObject(argument));
	values->distinctClause = copyObject(aggref->aggdistinct);
	values->jointree->quals =
	    make_and_qual(values->jointree->quals, (Node *) copyObject(aggref->aggfilter));
	single = normalise_over(normalise_entry(values), values->targetList);
	argument->expr = linitial_node(TargetEntry, single->targetList)->expr;
	argument->ressortgroupref = 0;
	plain->aggdistinct = plain->aggorder = NIL;
	plain->aggfilter = NULL;
	single->targetList = list_make1(makeTargetEntry((Expr *) plain, 1, pstrdup("c1"), false));
	single->hasAggs = true;
	return single;
}

/* Is there an aggregate over distinct values? */
static bool
distinct_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref) && ((Aggref *) node)->aggdistinct != NIL)
		return true;
	return expression_tree_walker(node, distinct_walker, context);
}

/* Rewrite a query that aggregates all of its rows; NULL: it is left as it is. */
Query *
distinct_rewrite(Query *query)
{
	DistinctContext context = {0};
	Query *upper;
	Query *plain;
	Node *having;
	List *targets;
	ListCell *cell;

	if (!query->hasAggs || query->groupClause != NIL || query->groupingSets != NIL ||
	    query->setOperations != NULL || query->hasWindowFuncs || query->hasTargetSRFs ||
	    !(distinct_walker((Node *) query->targetList, NULL) ||
	      distinct_walker(query->havingQual, NULL)))
		return NULL;
	targets = (List *) distinct_mutator((Node *) query->targetList, &context);
	having = distinct_mutator(query->havingQual, &context);
	if (context.failed)
		return NULL;

	plain = distinct_rows(query);
	plain->hasAggs = true;
	plain->targetList = context.plain;
	if (context.plain == NIL)
		plain->targetList =
		    list_make1(makeTargetEntry((Expr *) normalise_count(NULL), 1, pstrdup("c1"), false));
	upper = normalise_over(normalise_entry(plain), NIL);
	upper->targetList = targets;
	upper->jointree->quals = having;
	foreach (cell, context.distinct)
	{
		RangeTblRef *reference = makeNode(RangeTblRef);

		upper->rtable =
		    lappend(upper->rtable, normalise_entry(distinct_single(query, lfirst(cell))));
		reference->rtindex = list_length(upper->rtable);
		upper->jointree->fromlist = lappend(upper->jointree->fromlist, reference);
	}
	upper->hasSubLinks = checkExprHasSubLink((Node *) upper);
	return upper;
}
