/*-------------------------------------------------------------------------
 *
 * during.c
 *	  A range of a row that contains the clock, `during @> now()`, as comparisons of
 *	  its ends with the clock, which clock.c understands.
 *
 * Only a view's blocks are rewritten so: its query keeps the operator, which
 * indexes can serve.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "plan/plan.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* A function of a range. */
static Node *
during_function(Oid function, Oid type, Node *range)
{
	return (Node *) makeFuncExpr(function, type, list_make1(copyObject(range)), InvalidOid,
	                             InvalidOid, COERCE_EXPLICIT_CALL);
}

/* An end of a range compared with the clock. */
static Node *
during_compare(Oid operator, Oid end, Node *range, Node *clock)
{
	Expr *result = make_opclause(operator, BOOLOID, false,
	                             (Expr *) during_function(end, exprType(clock), range),
	                             (Expr *) copyObject(clock), InvalidOid, InvalidOid);

	set_opfuncid((OpExpr *) result);
	return (Node *) result;
}

/* infinite OR end OPERATOR clock OR (inclusive AND end = clock) */
static Node *
during_end(Oid operator, Oid equality, Oid end, Oid infinite, Oid inclusive, Node *range,
           Node *clock)
{
	Node *at_end = (Node *) makeBoolExpr(AND_EXPR,
	                                     list_make2(during_function(inclusive, BOOLOID, range),
	                                                during_compare(equality, end, range, clock)),
	                                     -1);

	return (Node *) makeBoolExpr(OR_EXPR,
	                             list_make3(during_function(infinite, BOOLOID, range),
	                                        during_compare(operator, end, range, clock), at_end),
	                             -1);
}

/* The ends of a range of times compared with a clock that has a value. */
static Node *
during_contains(Node *range, Node *clock)
{
	TypeCacheEntry *type =
	    lookup_type_cache(exprType(clock), TYPECACHE_LT_OPR | TYPECACHE_GT_OPR | TYPECACHE_EQ_OPR);
	Node *not_empty = (Node *) makeBoolExpr(
	    NOT_EXPR, list_make1(during_function(F_ISEMPTY_ANYRANGE, BOOLOID, range)), -1);

	return (Node *) makeBoolExpr(
	    AND_EXPR,
	    list_make3(not_empty,
	               during_end(type->lt_opr, type->eq_opr, F_LOWER_ANYRANGE, F_LOWER_INF_ANYRANGE,
	                          F_LOWER_INC_ANYRANGE, range, clock),
	               during_end(type->gt_opr, type->eq_opr, F_UPPER_ANYRANGE, F_UPPER_INF_ANYRANGE,
	                          F_UPPER_INC_ANYRANGE, range, clock)),
	    -1);
}

/* Is there a NULL? */
static bool
during_null_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Const))
		return ((Const *) node)->constisnull;
	return expression_tree_walker(node, during_null_walker, context);
}

/* Replace the operators. */
static Node *
during_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, during_mutator, context, 0);
	if (IsA(node, OpExpr) && (((OpExpr *) node)->opno == OID_RANGE_CONTAINS_ELEM_OP ||
	                          ((OpExpr *) node)->opno == OID_RANGE_ELEM_CONTAINED_OP))
	{
		OpExpr *operation = (OpExpr *) node;
		bool contains = operation->opno == OID_RANGE_CONTAINS_ELEM_OP;
		Node *range = contains ? linitial(operation->args) : lsecond(operation->args);
		Node *clock = contains ? lsecond(operation->args) : linitial(operation->args);
		Oid type = exprType(range);

		if (plan_clock_grows(clock) && !during_null_walker(clock, NULL) &&
		    !plan_reads_clock(range) && !checkExprHasSubLink(range) &&
		    (type == TSTZRANGEOID || type == TSRANGEOID || type == DATERANGEOID))
			return during_contains(range, clock);
	}
	return expression_tree_mutator(node, during_mutator, context);
}

/* A query like the given one that compares the ends of ranges with the clock. */
Query *
plan_during(Query *query)
{
	return (Query *) during_mutator((Node *) query, NULL);
}
