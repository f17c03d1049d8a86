/*-------------------------------------------------------------------------
 *
 * full.c
 *	  Full joins as UNION ALL, so that each branch has a core (block.c):
 *
 *		L FULL JOIN R ON p  =  L LEFT JOIN R ON p
 *		                       UNION ALL  R WHERE NOT EXISTS (L WHERE p), with NULLs for L
 *
 * A full join that other joins do not make nullable is split off in the same way:
 * the joins around it distribute over UNION ALL. Others stay as they are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "plan/normalise.h"
#include "plan/tree.h"
#include "rewrite/rewriteManip.h"

typedef struct FullContext
{
	Bitmapset *relations; /* of the left side */
	int levels_up;
	bool outside; /* Vars of other relations move one level out, rather than
	               * those of these become NULL */
} FullContext;

/* Where the first full join is that can be split; NULL: there is none. */
static Node **
full_find(Node **place)
{
	Node *node = *place;
	Node **found = NULL;
	ListCell *cell;

	if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;

		if (join->jointype == JOIN_FULL)
			return place;
		found = full_find(&join->larg);
		if (found == NULL && join->jointype == JOIN_INNER)
			found = full_find(&join->rarg);
	}
	else if (IsA(node, FromExpr))
		foreach (cell, ((FromExpr *) node)->fromlist)
			if (found == NULL)
				found = full_find((Node **) &lfirst(cell));
	return found;
}

/* Change the Vars of the query at hand, at any depth below it. */
static Node *
full_mutator(Node *node, FullContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == context->levels_up)
	{
		Var *var = (Var *) node;
		bool left = bms_is_member(var->varno, context->relations);

		if (context->outside && !left)
		{
			var = copyObject(var);
			var->varlevelsup++;
			return (Node *) var;
		}
		if (!context->outside && left)
			return (Node *) makeNullConst(var->vartype, var->vartypmod, var->varcollid);
		return node;
	}
	if (IsA(node, Query))
	{
		Query *result;

		context->levels_up++;
		result = query_tree_mutator((Query *) node, full_mutator, context, QTW_IGNORE_JOINALIASES);
		context->levels_up--;
		return (Node *) result;
	}
	return expression_tree_mutator(node, full_mutator, context);
}

/* NOT EXISTS (left side WHERE condition) */
static Node *
full_not_exists(Query *query, JoinExpr *join, Bitmapset *left)
{
	FullContext context = {.relations = left, .outside = true};
	Query *subquery = tree_select(copyObject(query->rtable), NULL);
	SubLink *sublink = makeNode(SubLink);

	subquery->hasSubLinks = query->hasSubLinks;
	subquery->jointree = makeFromExpr(list_make1(copyObject(join->larg)),
	                                  full_mutator(copyObject(join->quals), &context));
	plan_forget_joins(subquery);
	sublink->subLinkType = EXISTS_SUBLINK;
	sublink->subselect = (Node *) subquery;
	sublink->location = -1;
	return (Node *) makeBoolExpr(NOT_EXPR, list_make1(sublink), -1);
}

/* The query with the rows of the right side that match none of the left. */
static Query *
full_right(Query *query)
{
	Node **place = full_find((Node **) &query->jointree);
	JoinExpr *join = castNode(JoinExpr, *place);
	FullContext context = {.relations = plan_from_relations(join->larg)};
	ListCell *cell;

	*place = (Node *) makeFromExpr(list_make1(join->rarg),
	                               full_not_exists(query, join, context.relations));
	query->hasSubLinks = true;
	query->targetList = (List *) full_mutator((Node *) query->targetList, &context);
	query->jointree = (FromExpr *) full_mutator((Node *) query->jointree, &context);
	foreach (cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (!rte->lateral)
			continue;
		rte->subquery = (Query *) full_mutator((Node *) rte->subquery, &context);
		rte->functions = (List *) full_mutator((Node *) rte->functions, &context);
		rte->values_lists = (List *) full_mutator((Node *) rte->values_lists, &context);
		rte->tablefunc = (TableFunc *) full_mutator((Node *) rte->tablefunc, &context);
	}
	plan_forget_joins(query);
	return query;
}

/* The branches without the full joins that can be split. */
static List *
full_branches(Query *query)
{
	Node **place = full_find((Node **) &query->jointree);
	Query *right;
	JoinExpr *join;

	if (place == NULL)
		return list_make1(query);
	right = full_right(copyObject(query));
	join = castNode(JoinExpr, *place);
	join->jointype = JOIN_LEFT;
	rt_fetch(join->rtindex, query->rtable)->jointype = JOIN_LEFT;
	return list_concat(full_branches(query), full_branches(right));
}

/* A prepared select with its full joins split; the query itself if it has none. */
Query *
plan_split_full(Query *query)
{
	if (query->setOperations || !plan_query_simple(query) ||
	    full_find((Node **) &query->jointree) == NULL)
		return query;
	return setop_union_all(full_branches(copyObject(query)), query->targetList);
}
