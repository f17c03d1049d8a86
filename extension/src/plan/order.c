/*-------------------------------------------------------------------------
 *
 * order.c
 *	  Does what a block gives depend on the order in which it meets rows?
 *
 * The rows of a part lie in another order than those of the subquery it stands
 * for. So a block over parts must not aggregate in the order of arrival, nor
 * number rows that tie: the view's query would give something else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "plan/normalise.h"
#include "utils/fmgroids.h"

/* Is there a part in a query, at any depth? */
static bool
order_part_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
		return normalise_part_entry((RangeTblEntry *) node);
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, order_part_walker, context,
		                         QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, order_part_walker, context);
}

/* Do these clauses sort by every column that is shown, down to its image? */
bool
plan_order_covers(List *targets, List *clauses)
{
	ListCell *cell;
	ListCell *clause;

	foreach (cell, targets)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		bool sorted = false;

		if (entry->resjunk)
			continue;
		foreach (clause, clauses)
			sorted |= get_sortgroupclause_tle(lfirst(clause), targets) == entry;
		if (!sorted || !plan_equality_decides_image((Node *) entry->expr))
			return false;
	}
	return true;
}

/* Do these clauses tell the rows of a query over one grouped part or subquery apart? */
static bool
order_unique(Query *query, List *parts, List *clauses)
{
	int rtindex;
	RangeTblEntry *rte = normalise_single(query, &rtindex);
	Query *grouped;
	ListCell *cell;
	ListCell *clause;

	if (rte == NULL)
		return false;
	if (rte->rtekind == RTE_SUBQUERY)
		grouped = rte->subquery;
	else if (normalise_part_entry(rte) && parts != NIL)
		grouped = ((PlanPart *) list_nth(parts, normalise_part_number(rte) - 1))->plan->query;
	else
		return false;
	if (grouped->groupClause == NIL || grouped->groupingSets != NIL || grouped->hasTargetSRFs)
		return false;
	foreach (cell, grouped->groupClause)
	{
		TargetEntry *key = get_sortgroupclause_tle(lfirst(cell), grouped->targetList);
		bool found = false;

		foreach (clause, clauses)
		{
			Var *var = (Var *) get_sortgroupclause_expr(lfirst(clause), query->targetList);

			found |= IsA(var, Var) && var->varno == rtindex && var->varlevelsup == 0 &&
			         var->varattno == key->resno;
		}
		if (key->resjunk || !found)
			return false;
	}
	return true;
}

/* Does an aggregate's result depend on the order of its input? */
bool
plan_order_aggregate(const Aggref *aggref)
{
	Aggref *plain = copyObject((Aggref *) aggref);
	List *sorted = aggref->aggdistinct ? aggref->aggdistinct : aggref->aggorder;
	PlanAggregate *aggregate;
	const char *reason;
	bool decided = true;
	ListCell *cell;

	/* how many there are does not depend on how they look; nor what is made of no input */
	if (aggref->aggfnoid == F_COUNT_ANY ||
	    (aggref->args == NIL && aggref->aggkind == AGGKIND_NORMAL))
		return false;
	foreach (cell, aggref->args)
		decided &= plan_equality_decides_image((Node *) lfirst_node(TargetEntry, cell)->expr);
	if (aggref->aggkind != AGGKIND_NORMAL)
		return !decided;
	plain->aggdistinct = plain->aggorder = NIL;
	plain->agglevelsup = 0;
	aggregate = plan_aggregate(plain, &reason);
	if (aggregate != NULL)
		return (aggregate->inverse == PLAN_INVERSE_EXTREME || aggref->aggdistinct != NIL) &&
		       !decided;
	return sorted == NIL || !plan_order_covers(aggref->args, sorted);
}

/* Likewise, where it is used as a window function. */
static bool
order_window_aggregate(const WindowFunc *call)
{
	Aggref *aggref = makeNode(Aggref);
	ListCell *cell;

	aggref->aggfnoid = call->winfnoid;
	aggref->aggtype = call->wintype;
	aggref->aggcollid = call->wincollid;
	aggref->inputcollid = call->inputcollid;
	aggref->aggstar = call->winstar;
	aggref->aggkind = AGGKIND_NORMAL;
	foreach (cell, call->args)
	{
		aggref->aggargtypes = lappend_oid(aggref->aggargtypes, exprType(lfirst(cell)));
		aggref->args =
		    lappend(aggref->args,
		            makeTargetEntry(lfirst(cell), list_length(aggref->args) + 1, NULL, false));
	}
	return plan_order_aggregate(aggref);
}

typedef struct OrderContext
{
	Query *query;
	List *parts;
} OrderContext;

/* Does a window function depend on the order of rows that tie? */
static bool
order_window(const OrderContext *context, const WindowFunc *call)
{
	Query *query = context->query;
	WindowClause *window = NULL;
	int rows = FRAMEOPTION_START_UNBOUNDED_PRECEDING | FRAMEOPTION_END_UNBOUNDED_FOLLOWING;
	ListCell *cell;

	foreach (cell, query->windowClause)
		if (lfirst_node(WindowClause, cell)->winref == call->winref)
			window = lfirst(cell);
	if (window == NULL)
		return true;
	if (order_unique(query, context->parts,
	                 list_concat_copy(window->partitionClause, window->orderClause)))
		return false;
	if (!call->winagg)
		return call->winfnoid != F_RANK_ && call->winfnoid != F_DENSE_RANK_ &&
		       call->winfnoid != F_PERCENT_RANK_ && call->winfnoid != F_CUME_DIST_;
	if ((window->frameOptions & FRAMEOPTION_ROWS) && (window->frameOptions & rows) != rows)
		return true;
	return (window->frameOptions & FRAMEOPTION_EXCLUSION) != 0 || order_window_aggregate(call);
}

/* Does a window function of a query depend on the order of rows that tie? */
bool
plan_order_window(Query *query, List *parts, const WindowFunc *call)
{
	OrderContext context = {.query = query, .parts = parts};

	return order_window(&context, call);
}

/* Does anything in a query over parts depend on the order of rows? */
static bool
order_walker(Node *node, OrderContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query *query = (Query *) node;
		OrderContext inner = {.query = query, .parts = context->parts};

		if (!order_part_walker(node, NULL))
			return false;
		if ((query->hasDistinctOn || ((query->limitCount != NULL || query->limitOffset != NULL) &&
		                              query->limitOption == LIMIT_OPTION_COUNT)) &&
		    !plan_order_covers(query->targetList, query->sortClause) &&
		    !order_unique(query, context->parts, query->sortClause))
			return true;
		return query_tree_walker(query, order_walker, &inner, 0);
	}
	if (IsA(node, Aggref) && plan_order_aggregate((Aggref *) node))
		return true;
	if (IsA(node, WindowFunc) && order_window(context, (WindowFunc *) node))
		return true;
	return expression_tree_walker(node, order_walker, context);
}

/* Does what a block gives depend on the order of the rows of parts? */
bool
plan_order_matters(Query *block, List *parts)
{
	OrderContext context = {.query = block, .parts = parts};

	return order_walker((Node *) block, &context);
}
