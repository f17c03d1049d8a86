/*-------------------------------------------------------------------------
 *
 * grouping.c
 *	  GROUPING SETS, ROLLUP and CUBE as UNION ALL of one grouping for each set.
 *
 * In the grouping of a set, keys that are not in it are NULL, and GROUPING() is
 * a constant.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_agg.h"
#include "plan/normalise.h"

/* PostgreSQL's own limit on the number of sets. */
#define MAX_SETS 4096

typedef struct GroupingContext
{
	List *present; /* keys that are in the set */
	List *absent;  /* and those that are not */
	List *set;     /* the ressortgrouprefs that are */
} GroupingContext;

/* Replace absent keys by NULL, and GROUPING() by its value. */
static Node *
grouping_mutator(Node *node, GroupingContext *context)
{
	if (node == NULL || IsA(node, Aggref) || IsA(node, Query) ||
	    list_member(context->present, node))
		return node;
	if (IsA(node, GroupingFunc))
	{
		int32 value = 0;
		ListCell *cell;

		foreach (cell, ((GroupingFunc *) node)->refs)
			value = value << 1 | !list_member_int(context->set, lfirst_int(cell));
		return (Node *) makeConst(INT4OID, -1, InvalidOid, 4, Int32GetDatum(value), false, true);
	}
	if (list_member(context->absent, node))
		return (Node *) makeNullConst(exprType(node), exprTypmod(node), exprCollation(node));
	return expression_tree_mutator(node, grouping_mutator, context);
}

/* The grouping of one set. */
static Query *
grouping_branch(Query *query, List *set)
{
	Query *branch = copyObject(query);
	GroupingContext context = {.set = set};
	List *clauses = NIL;
	ListCell *cell;

	foreach (cell, branch->groupClause)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, cell);

		Node *key = get_sortgroupclause_expr(clause, branch->targetList);

		if (list_member_int(set, clause->tleSortGroupRef))
		{
			clauses = lappend(clauses, clause);
			context.present = lappend(context.present, key);
		}
		else
			context.absent = lappend(context.absent, key);
	}
	branch->groupClause = clauses;
	branch->groupingSets = NIL;
	branch->groupDistinct = false;
	branch->targetList = (List *) grouping_mutator((Node *) branch->targetList, &context);
	branch->havingQual = grouping_mutator(branch->havingQual, &context);
	branch->sortClause = NIL;
	return branch;
}

/* Give GROUPING() its value, 0, in a query without grouping sets: planning expects some. */
void
grouping_plain(Query *query)
{
	GroupingContext context = {0};
	ListCell *cell;

	foreach (cell, query->groupClause)
		context.set = lappend_int(context.set, lfirst_node(SortGroupClause, cell)->tleSortGroupRef);
	query->targetList = (List *) grouping_mutator((Node *) query->targetList, &context);
	query->havingQual = grouping_mutator(query->havingQual, &context);
}

/* Rewrite a query that groups by several sets. */
Query *
grouping_rewrite(Normalise *normalise, Query *query)
{
	List *sets = expand_grouping_sets(query->groupingSets, query->groupDistinct, MAX_SETS);
	List *branches = NIL;
	ListCell *cell;

	foreach (cell, sets)
	{
		if (lfirst(cell) == NIL && !query->hasAggs && query->havingQual == NULL)
		{
			normalise->obstacle = "grouping sets without aggregates";
			return query;
		}
		branches = lappend(branches, grouping_branch(query, lfirst(cell)));
	}
	if (list_length(branches) == 1)
		return linitial(branches);
	return setop_union_all(branches, query->targetList);
}
