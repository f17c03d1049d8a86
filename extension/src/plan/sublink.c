/*-------------------------------------------------------------------------
 *
 * sublink.c
 *	  Subqueries in expressions that stand by themselves, as parts.
 *
 * An aggregate over all rows gives exactly one row: a part that is joined where
 * every row of the query would look at it. x IN (a grouping by what x is compared
 * with) is a join as well, since no row has two partners. Of other subqueries,
 * what cannot be flattened becomes a part within the expression. Those that
 * depend on the row around them are left as they are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "plan/normalise.h"
#include "plan/tree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

typedef struct SublinkContext
{
	Normalise *normalise;
	Query *query;
	bool join; /* parts may be joined: every row of the query sees the expression */
} SublinkContext;

/* Join a part with the whole of the query; its number in the range table. */
static int
sublink_join(SublinkContext *context, Query *subselect)
{
	RangeTblRef *reference = makeNode(RangeTblRef);
	Query *query = context->query;

	query->rtable = lappend(query->rtable, normalise_part(context->normalise, subselect));
	reference->rtindex = list_length(query->rtable);
	query->jointree->fromlist = lappend(query->jointree->fromlist, reference);
	return reference->rtindex;
}

/* Does a query give exactly one row: an aggregate over all rows? */
static bool
sublink_single(const Query *subselect)
{
	return subselect->hasAggs && subselect->groupClause == NIL && subselect->groupingSets == NIL &&
	       subselect->havingQual == NULL && subselect->limitCount == NULL &&
	       subselect->limitOffset == NULL && !subselect->hasTargetSRFs;
}

/* Is this comparison with a column one by the equality it is grouped by? */
static int
sublink_compared(Query *subselect, Node *node)
{
	OpExpr *comparison = (OpExpr *) node;
	Param *param;
	TargetEntry *entry;
	ListCell *cell;

	if (!IsA(node, OpExpr) || list_length(comparison->args) != 2)
		return 0;
	param = (Param *) strip_implicit_coercions(lsecond(comparison->args));
	if (!IsA(param, Param) || param->paramkind != PARAM_SUBLINK ||
	    param != lsecond(comparison->args))
		return 0;
	entry = list_nth_node(TargetEntry, subselect->targetList, param->paramid - 1);
	foreach (cell, subselect->groupClause)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, cell);

		if (get_sortgroupclause_tle(clause, subselect->targetList) == entry &&
		    equality_ops_are_compatible(comparison->opno, clause->eqop) &&
		    exprCollation((Node *) entry->expr) == comparison->inputcollid)
			return param->paramid;
	}
	return 0;
}

/*
 * Does x IN (subselect) find one row at most: is it grouped by nothing else than
 * what is compared?
 */
static bool
sublink_unique(SubLink *sublink, Query *subselect)
{
	Bitmapset *compared = NULL;
	ListCell *cell;

	if (subselect->groupClause == NIL || subselect->groupingSets != NIL ||
	    subselect->hasTargetSRFs || subselect->hasWindowFuncs || subselect->limitCount != NULL ||
	    subselect->limitOffset != NULL)
		return false;
	foreach (cell, make_ands_implicit((Expr *) sublink->testexpr))
	{
		int column = sublink_compared(subselect, lfirst(cell));

		if (column == 0)
			return false;
		compared = bms_add_member(compared, column);
	}
	foreach (cell, subselect->groupClause)
	{
		TargetEntry *entry = get_sortgroupclause_tle(lfirst(cell), subselect->targetList);

		if (!bms_is_member(entry->resno, compared))
			return false;
	}
	return true;
}

/*
 * A part of a query, and all its rows. An array has them in the query's order, which the
 * part's table does not keep: what they are sorted by becomes columns of the part.
 */
static Query *
sublink_part(Normalise *normalise, SubLink *sublink, Query *subselect)
{
	List *sort = sublink->subLinkType == ARRAY_SUBLINK ? copyObject(subselect->sortClause) : NIL;
	int shown = 0;
	Query *over;
	ListCell *cell;
	ListCell *below;

	foreach (cell, subselect->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		shown += !entry->resjunk;
		entry->resjunk &= sort == NIL;
	}
	over = normalise_over(normalise_part(normalise, subselect), subselect->targetList);
	if (sort == NIL)
		return over;
	forboth(cell, over->targetList, below, subselect->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		entry->resjunk = entry->resno > shown;
		entry->ressortgroupref = lfirst_node(TargetEntry, below)->ressortgroupref;
	}
	over->sortClause = sort;
	return over;
}

/* Rewrite the subqueries of an expression. */
static Node *
sublink_mutator(Node *node, SublinkContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, SubLink))
	{
		SubLink *sublink = copyObject((SubLink *) node);
		Query *subselect = castNode(Query, sublink->subselect);
		bool partial_before = context->normalise->partial;

		sublink->testexpr = sublink_mutator(sublink->testexpr, context);
		if ((sublink->subLinkType == ANY_SUBLINK || sublink->subLinkType == ALL_SUBLINK ||
		     sublink->subLinkType == EXISTS_SUBLINK) &&
		    subselect->limitCount == NULL && subselect->limitOffset == NULL)
		{
			/* it does not matter how often, or in which order */
			if (!subselect->hasDistinctOn)
				subselect->distinctClause = NIL;
			if (!subselect->hasDistinctOn)
				subselect->sortClause = NIL;
		}
		if (sublink->subLinkType == EXISTS_SUBLINK || sublink->subLinkType == ALL_SUBLINK)
			context->normalise->partial = true;
		subselect = normalise_query(context->normalise, subselect, false);
		context->normalise->partial = partial_before;
		sublink->subselect = (Node *) subselect;
		if (!normalise_closed(subselect))
			return (Node *) sublink;
		if (sublink->subLinkType == EXPR_SUBLINK && context->join && sublink_single(subselect))
		{
			TargetEntry *entry = linitial_node(TargetEntry, subselect->targetList);
			Node *expression = (Node *) entry->expr;
			int rtindex = sublink_join(context, subselect);

			return (Node *) makeVar(rtindex, 1, exprType(expression), exprTypmod(expression),
			                        exprCollation(expression), 0);
		}
		if (!normalise_flat(subselect))
			sublink->subselect = (Node *) sublink_part(context->normalise, sublink, subselect);
		return (Node *) sublink;
	}
	if (IsA(node, Query) || IsA(node, RangeTblRef))
		return node;
	if (IsA(node, Aggref))
	{
		bool join_before = context->join;
		Node *result;

		/* what is aggregated is asked of every row */
		context->join = true;
		result = expression_tree_mutator(node, sublink_mutator, context);
		context->join = join_before;
		return result;
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) copyObject(node);
		bool join_before = context->join;

		/* not every row of the query sees a join's condition */
		context->join = false;
		join->larg = sublink_mutator(join->larg, context);
		join->rarg = sublink_mutator(join->rarg, context);
		join->quals = sublink_mutator(join->quals, context);
		context->join = join_before;
		return (Node *) join;
	}
	return expression_tree_mutator(node, sublink_mutator, context);
}

/* Rewrite a condition of WHERE; x IN (...) may become a join. */
static Node *
sublink_condition(SublinkContext *context, Node *condition)
{
	SubLink *sublink = (SubLink *) condition;
	int parts = list_length(context->normalise->parts);
	Query *subselect;
	int rtindex;

	if (!IsA(condition, SubLink) || sublink->subLinkType != ANY_SUBLINK || !context->join ||
	    !normalise_closed((Query *) sublink->subselect))
		return sublink_mutator(condition, context);
	subselect =
	    normalise_query(context->normalise, copyObject(castNode(Query, sublink->subselect)), false);
	if (!sublink_unique(sublink, subselect))
	{
		context->normalise->parts = list_truncate(context->normalise->parts, parts);
		return sublink_mutator(condition, context);
	}
	rtindex = sublink_join(context, subselect);
	return tree_sublink_columns(sublink_mutator(sublink->testexpr, context), rtindex);
}

/* Rewrite the subqueries in the expressions of a query. */
void
sublink_rewrite(Normalise *normalise, Query *query)
{
	SublinkContext context = {.normalise = normalise, .query = query, .join = true};
	List *conditions = NIL;
	ListCell *cell;

	if (query->setOperations != NULL)
		return;
	foreach (cell, list_copy(query->jointree->fromlist))
	{
		Node *item = sublink_mutator(lfirst(cell), &context);

		lfirst(list_nth_cell(query->jointree->fromlist, foreach_current_index(cell))) = item;
	}
	foreach (cell, make_ands_implicit((Expr *) query->jointree->quals))
		conditions = lappend(conditions, sublink_condition(&context, lfirst(cell)));
	query->jointree->quals = conditions ? (Node *) make_ands_explicit(conditions) : NULL;

	/* what a grouping shows, or a window sees, is not asked of every row */
	context.join = !normalise_grouped(query);
	query->targetList = (List *) sublink_mutator((Node *) query->targetList, &context);
	query->havingQual = sublink_mutator(query->havingQual, &context);
	query->hasSubLinks = checkExprHasSubLink((Node *) query);
}
