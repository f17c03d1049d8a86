/*-------------------------------------------------------------------------
 *
 * distribute.c
 *	  (a UNION ALL b) LEFT JOIN c is (a LEFT JOIN c) UNION ALL (b LEFT JOIN c).
 *
 * Rows of a query with outer joins and subqueries belong to the versions of its
 * core. A UNION ALL there, such as a partitioned table, has no versions of its
 * own, but its branches have: each becomes a branch of the query.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "plan/normalise.h"

/* More branches would take longer to plan than to run. */
#define MOST_BRANCHES 32

static List *distribute_branches(Query *query);

/* Collect the branches of a UNION ALL; false: their columns have other types. */
static bool
distribute_leaves(Query *query, Node *node, List **leaves)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;
	ListCell *cell;
	ListCell *other;

	if (!IsA(node, RangeTblRef))
		return distribute_leaves(query, operation->larg, leaves) &&
		       distribute_leaves(query, operation->rarg, leaves);
	*leaves = lappend(*leaves, rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable)->subquery);
	forboth(cell, query->targetList, other, llast_node(Query, *leaves)->targetList)
	{
		Node *wanted = (Node *) lfirst_node(TargetEntry, cell)->expr;
		Node *given = (Node *) lfirst_node(TargetEntry, other)->expr;

		if (exprType(wanted) != exprType(given) || exprTypmod(wanted) != exprTypmod(given) ||
		    exprCollation(wanted) != exprCollation(given))
			return false;
	}
	return true;
}

/* The queries whose rows together are those of a UNION ALL; NIL: it is left as it is. */
static List *
distribute_union(Query *query)
{
	List *leaves = NIL;
	List *result = NIL;
	ListCell *cell;

	if (!normalise_flat(query) || query->sortClause != NIL ||
	    !distribute_leaves(query, query->setOperations, &leaves))
		return NIL;
	foreach (cell, leaves)
	{
		Query *leaf = lfirst_node(Query, cell);
		List *branches = leaf->setOperations ? distribute_union(leaf) : distribute_branches(leaf);

		if (branches == NIL)
			return NIL;
		result = list_concat(result, branches);
	}
	return result;
}

/*
 * Find a subquery in the core of a FROM item that has branches; returns its
 * number in the range table, or 0.
 */
static int
distribute_find(Query *query, Node *node, List **branches)
{
	ListCell *cell;
	int rtindex = 0;

	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable);

		if (rte->rtekind != RTE_SUBQUERY || !normalise_closed(rte->subquery))
			return 0;
		if (rte->subquery->setOperations != NULL)
			*branches = distribute_union(rte->subquery);
		else if (plan_query_simple(rte->subquery))
			*branches = distribute_branches(rte->subquery);
		else
			*branches = NIL;
		return list_length(*branches) > 1 ? ((RangeTblRef *) node)->rtindex : 0;
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;

		if (join->jointype == JOIN_INNER || join->jointype == JOIN_LEFT)
			rtindex = distribute_find(query, join->larg, branches);
		if (rtindex == 0 && join->jointype == JOIN_INNER)
			rtindex = distribute_find(query, join->rarg, branches);
		return rtindex;
	}
	foreach (cell, castNode(FromExpr, node)->fromlist)
	{
		rtindex = distribute_find(query, lfirst(cell), branches);
		if (rtindex != 0)
			break;
	}
	return rtindex;
}

/* The queries, without a UNION ALL in their cores, whose rows are those of a select. */
static List *
distribute_branches(Query *query)
{
	List *branches = NIL;
	List *result = NIL;
	int rtindex;
	ListCell *cell;

	check_stack_depth();
	if (!plan_query_simple(query))
		return list_make1(query);
	rtindex = distribute_find(query, (Node *) query->jointree, &branches);
	if (rtindex == 0)
		return list_make1(query);
	foreach (cell, branches)
	{
		Query *branch = copyObject(query);

		rt_fetch(rtindex, branch->rtable)->subquery = copyObject(lfirst_node(Query, cell));
		result = list_concat(result, distribute_branches(branch));
		if (list_length(result) > MOST_BRANCHES)
			return list_make1(query);
	}
	return result;
}

/* A prepared query with what its core unites distributed; itself if that is nothing. */
Query *
plan_distribute(Query *query)
{
	List *branches = query->setOperations ? distribute_union(query) : distribute_branches(query);

	if (list_length(branches) < 2)
		return query;
	return setop_union_all(branches, query->targetList);
}
