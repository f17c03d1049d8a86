/*-------------------------------------------------------------------------
 *
 * row.c
 *	  Whole rows of subqueries, as a column of them.
 *
 * A whole row has the columns that the subquery has when it is run. Rewritings
 * give it more of them, and put tables in its place; a row of a named type then
 * has more fields than its type, and the executor reads behind that. Therefore, before
 * anything is rewritten, the subquery gets a column that is the row, and nothing
 * refers to whole rows of subqueries any more. Where an outer join finds no row
 * that column is NULL, as the whole row is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "plan/normalise.h"
#include "plan/tree.h"
#include "rewrite/rewriteManip.h"

typedef struct RowContext
{
	int rtindex;
	int depth;
	AttrNumber column; /* takes the whole row's place */
	Oid type;          /* of the whole row; InvalidOid: nothing refers to it */
} RowContext;

/* Have references to the whole row of an entry refer to the column instead. */
static bool
row_walker(Node *node, RowContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		context->depth++;
		(void) query_tree_walker((Query *) node, row_walker, context, 0);
		context->depth--;
		return false;
	}
	if (IsA(node, Var))
	{
		Var *var = (Var *) node;

		if (var->varno == context->rtindex && var->varattno == InvalidAttrNumber &&
		    var->varlevelsup == context->depth)
		{
			var->varattno = var->varattnosyn = context->column;
			context->type = var->vartype;
		}
		return false;
	}
	return expression_tree_walker(node, row_walker, context);
}

/* SELECT every column, and all of them as a row of this type, FROM the subquery of an entry. */
static void
row_add_column(RangeTblEntry *rte, Oid type)
{
	RangeTblEntry *inner = normalise_entry(rte->subquery);
	RowExpr *row = makeNode(RowExpr);
	ListCell *cell;

	IncrementVarSublevelsUp((Node *) rte->subquery, 1, 1);
	inner->lateral = rte->lateral;
	rte->subquery = normalise_over(inner, rte->subquery->targetList);
	foreach (cell, rte->subquery->targetList)
		row->args = lappend(row->args, copyObject(lfirst_node(TargetEntry, cell)->expr));
	row->row_typeid = type;
	row->row_format = COERCE_IMPLICIT_CAST;
	row->colnames = type == RECORDOID ? copyObject(rte->eref->colnames) : NIL;
	row->location = -1;
	rte->subquery->targetList =
	    lappend(rte->subquery->targetList,
	            makeTargetEntry((Expr *) row, list_length(row->args) + 1, "row", false));
	/* a view may have been given columns since */
	while (list_length(rte->eref->colnames) <= list_length(row->args))
		rte->eref->colnames = lappend(rte->eref->colnames, makeString("row"));
}

/* Rewrite a query and those in it; for trees of queries. */
static bool
row_rewrite_walker(Node *node, void *unused)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		row_rewrite((Query *) node);
		return false;
	}
	return expression_tree_walker(node, row_rewrite_walker, NULL);
}

/* Let no whole row of a subquery be referred to. */
void
row_rewrite(Query *query)
{
	RowContext context = {0};
	ListCell *cell;

	check_stack_depth();
	(void) query_tree_walker(query, row_rewrite_walker, NULL, 0);
	foreach (cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		context.rtindex++;
		context.type = InvalidOid;
		if (rte->rtekind != RTE_SUBQUERY)
			continue;
		context.column = ExecCleanTargetListLength(rte->subquery->targetList) + 1;
		(void) query_tree_walker(query, row_walker, &context, 0);
		if (OidIsValid(context.type))
			row_add_column(rte, context.type);
	}
}
