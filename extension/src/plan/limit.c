/*-------------------------------------------------------------------------
 *
 * limit.c
 *	  ORDER BY ... LIMIT over a part: the first rows of an index.
 *
 * Such a block is run as a whole with every change of its part, which costs as
 * many rows as it shows. Which rows it shows is decided by the query only if no
 * two rows around the limit tie, or those that do look the same. Where that
 * cannot be known from the ORDER BY, the block is run WITH TIES: more rows than
 * the limit mean that the query has to be asked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "plan/normalise.h"

/* Does the ORDER BY leave no two different rows in a tie? */
static bool
limit_order_total(Query *query)
{
	ListCell *cell;
	ListCell *sort;

	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		bool sorted = false;

		foreach (sort, query->sortClause)
			sorted |= get_sortgroupclause_tle(lfirst(sort), query->targetList) == entry;
		if (entry->resjunk)
			continue;
		if (!sorted || !plan_equality_decides_image((Node *) entry->expr))
			return false;
	}
	return true;
}

/* The value of a constant number of rows; -1: it is none. */
static int64
limit_constant(Node *node)
{
	Const *constant = (Const *) eval_const_expressions(NULL, node);

	if (!IsA(constant, Const) || constant->constisnull)
		return -1;
	return DatumGetInt64(constant->constvalue);
}

/* Is the block ORDER BY ... LIMIT over a part? Takes it apart, if so. */
bool
plan_check_limit(ViewPlan *plan)
{
	Query *query = plan->block;
	int rtindex;
	RangeTblEntry *rte;
	PlanLeaf *leaf;
	int64 count;

	if (query->limitCount == NULL && query->limitOffset == NULL)
		return false;
	rte = normalise_single(query, &rtindex);
	if (rte == NULL || !normalise_part_entry(rte) || query->jointree->quals != NULL ||
	    query->hasSubLinks || query->hasTargetSRFs || query->rowMarks != NIL ||
	    query->distinctClause != NIL || normalise_grouped(query) || query->hasWindowFuncs)
		return false;

	plan->inner = copyObject(query);
	if (query->limitOption == LIMIT_OPTION_COUNT && !limit_order_total(query))
	{
		count = query->limitCount ? limit_constant(query->limitCount) : -1;
		if (count < 0 || query->limitOffset != NULL)
			return false;
		plan->inner->limitOption = LIMIT_OPTION_WITH_TIES;
		plan->ties = count;
	}
	leaf = palloc(sizeof(PlanLeaf));
	leaf->relid = rte->relid;
	plan->leaves = list_make1(leaf);
	plan->whole = true;
	plan->strategy = PLAN_KEYS;
	plan->reason = "ORDER BY with LIMIT, over parts";
	return true;
}
