/*-------------------------------------------------------------------------
 *
 * tree.c
 *	  Pieces of query trees that every rewriting makes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "plan/tree.h"

/*
 * SELECT nothing FROM every entry of a range table, which is taken over, WHERE
 * the condition holds (NULL: always).
 */
Query *
tree_select(List *rtable, Node *quals)
{
	Query *query = makeNode(Query);

	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->rtable = rtable;
	query->jointree = makeFromExpr(NIL, quals);
	for (int i = 1; i <= list_length(rtable); i++)
	{
		RangeTblRef *reference = makeNode(RangeTblRef);

		reference->rtindex = i;
		query->jointree->fromlist = lappend(query->jointree->fromlist, reference);
	}
	return query;
}

/* The columns of relation 1, which has these targets, as a target list. */
List *
tree_columns(List *targets)
{
	List *result = NIL;
	ListCell *cell;

	foreach (cell, targets)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Node *expression = (Node *) entry->expr;
		Var *var;

		if (entry->resjunk)
			continue;
		var = makeVar(1, entry->resno, exprType(expression), exprTypmod(expression),
		              exprCollation(expression), 0);
		result = lappend(result, makeTargetEntry((Expr *) var, entry->resno,
		                                         entry->resname ? pstrdup(entry->resname)
		                                                        : psprintf("c%d", entry->resno),
		                                         false));
	}
	return result;
}

/* Replace the columns of a subquery's result by those of a relation. */
static Node *
tree_sublink_mutator(Node *node, int *rtindex)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_SUBLINK)
	{
		Param *param = (Param *) node;

		return (Node *) makeVar(*rtindex, param->paramid, param->paramtype, param->paramtypmod,
		                        param->paramcollid, 0);
	}
	return expression_tree_mutator(node, tree_sublink_mutator, rtindex);
}

/*
 * The comparison of an IN or ANY with the subquery's columns taken from an entry
 * of the range table that has the same columns.
 */
Node *
tree_sublink_columns(Node *node, int rtindex)
{
	return tree_sublink_mutator(node, &rtindex);
}

/* Give a query the DISTINCT, ORDER BY and LIMIT of another with the same columns. */
void
tree_copy_end(Query *upper, const Query *query)
{
	upper->distinctClause = query->distinctClause;
	upper->hasDistinctOn = query->hasDistinctOn;
	upper->sortClause = query->sortClause;
	upper->limitCount = query->limitCount;
	upper->limitOffset = query->limitOffset;
	upper->limitOption = query->limitOption;
}

/* Clear what only a relation's entry has, before it becomes one of another kind. */
void
tree_forget_relation(RangeTblEntry *rte)
{
	rte->relid = InvalidOid;
	rte->relkind = 0;
	rte->rellockmode = 0;
	rte->inh = false;
	rte->requiredPerms = 0;
	rte->selectedCols = NULL;
}

/* Does an expression use system columns or whole rows? */
bool
tree_special(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varattno <= 0;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, tree_special, context, 0);
	return expression_tree_walker(node, tree_special, context);
}
