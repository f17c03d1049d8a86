/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  The clock in a view's query.
 *
 * now(), CURRENT_DATE and their like become parameter 1: the time of the cut
 * the query runs at. So a view equals its query at its cut, time included.
 *
 * Where the clock stands in comparisons with an expression over the rows of one
 * table, `expression >= CURRENT_DATE - interval '90 days'`, a comparison is one
 * more leaf of its block (PlanBlockLeaf.clock): it changes for the rows whose
 * expression lies between the clock's side at one cut and at the other. That is
 * a range which an index on the expression can serve, and the same index tells
 * for which row it changes next. Comparisons are marked by their location, which
 * means nothing once a query is parsed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_type_d.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "plan/plan.h"
#include "plan/tree.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* The time of the cut (1), or of the other cut of the cycle (2). */
static Node *
clock_parameter(int number)
{
	Param *param = makeNode(Param);

	param->paramkind = PARAM_EXTERN;
	param->paramid = number;
	param->paramtype = TIMESTAMPTZOID;
	param->paramtypmod = -1;
	param->location = -1;
	return (Node *) param;
}

/* A function of the time of the cut. */
static Node *
clock_function(Oid function, Oid type, Node *argument)
{
	return (Node *) makeFuncExpr(function, type, list_make1(argument), InvalidOid, InvalidOid,
	                             COERCE_EXPLICIT_CALL);
}

/* A timestamp rounded to so many digits. */
static Node *
clock_rounded(Oid function, Oid type, Node *argument, int32 digits)
{
	Const *precision =
	    makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(digits), false, true);

	return (Node *) makeFuncExpr(function, type, list_make2(argument, precision), InvalidOid,
	                             InvalidOid, COERCE_EXPLICIT_CALL);
}

/* Put the parameter in the place of the clock. */
static Node *
clock_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, FuncExpr) && (((FuncExpr *) node)->funcid == F_NOW ||
	                            ((FuncExpr *) node)->funcid == F_STATEMENT_TIMESTAMP ||
	                            ((FuncExpr *) node)->funcid == F_TRANSACTION_TIMESTAMP))
		return clock_parameter(1);
	if (IsA(node, SQLValueFunction))
	{
		SQLValueFunction *function = (SQLValueFunction *) node;
		Node *local;

		switch (function->op)
		{
			case SVFOP_CURRENT_DATE:
				return clock_function(F_DATE_TIMESTAMPTZ, DATEOID, clock_parameter(1));
			case SVFOP_CURRENT_TIMESTAMP:
				return clock_parameter(1);
			case SVFOP_CURRENT_TIMESTAMP_N:
				return clock_rounded(F_TIMESTAMPTZ_TIMESTAMPTZ_INT4, TIMESTAMPTZOID,
				                     clock_parameter(1), function->typmod);
			case SVFOP_LOCALTIMESTAMP:
			case SVFOP_LOCALTIMESTAMP_N:
				local = clock_function(F_TIMESTAMP_TIMESTAMPTZ, TIMESTAMPOID, clock_parameter(1));
				return function->op == SVFOP_LOCALTIMESTAMP
				           ? local
				           : clock_rounded(F_TIMESTAMP_TIMESTAMP_INT4, TIMESTAMPOID, local,
				                           function->typmod);
			default:
				return node;
		}
	}
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, clock_mutator, context, 0);
	return expression_tree_mutator(node, clock_mutator, context);
}

/* A query that reads the time of the cut in the place of the clock. */
Query *
plan_clock_parameter(Query *query)
{
	return (Query *) clock_mutator((Node *) query, NULL);
}

/* Is the time of the cut read? */
static bool
clock_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
		return ((Param *) node)->paramkind == PARAM_EXTERN;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, clock_walker, context, 0);
	return expression_tree_walker(node, clock_walker, context);
}

/* Does an expression or query read the time of the cut? */
bool
plan_reads_clock(Node *node)
{
	return clock_walker(node, NULL);
}

/* Does an expression only grow, if anything, while time passes (but for changes of the offset)? */
static bool
clock_grows(Node *node)
{
	List *arguments;
	Oid function;
	int clock = 0; /* the argument that may be the clock's */
	int number = 0;
	ListCell *cell;

	if (IsA(node, Param))
		return ((Param *) node)->paramkind == PARAM_EXTERN;
	if (IsA(node, RelabelType))
		return clock_grows((Node *) ((RelabelType *) node)->arg);
	if (IsA(node, FuncExpr))
	{
		function = ((FuncExpr *) node)->funcid;
		arguments = ((FuncExpr *) node)->args;
	}
	else if (IsA(node, OpExpr))
	{
		function = get_opcode(((OpExpr *) node)->opno);
		arguments = ((OpExpr *) node)->args;
	}
	else
		return false;
	switch (function)
	{
		case F_DATE_TIMESTAMPTZ:
		case F_DATE_TIMESTAMP:
		case F_TIMESTAMP_TIMESTAMPTZ:
		case F_TIMESTAMP_DATE:
		case F_TIMESTAMP_TIMESTAMP_INT4:
		case F_TIMESTAMPTZ_TIMESTAMP:
		case F_TIMESTAMPTZ_DATE:
		case F_TIMESTAMPTZ_TIMESTAMPTZ_INT4:
		case F_TIMESTAMPTZ_PL_INTERVAL:
		case F_TIMESTAMPTZ_MI_INTERVAL:
		case F_TIMESTAMP_PL_INTERVAL:
		case F_TIMESTAMP_MI_INTERVAL:
		case F_DATE_PL_INTERVAL:
		case F_DATE_MI_INTERVAL:
		case F_DATE_PLI:
		case F_DATE_MII:
			break;
		case F_DATE_TRUNC_TEXT_TIMESTAMPTZ:
		case F_DATE_TRUNC_TEXT_TIMESTAMP:
		case F_INTERVAL_PL_TIMESTAMPTZ:
		case F_INTERVAL_PL_TIMESTAMP:
		case F_INTERVAL_PL_DATE:
		case F_INTEGER_PL_DATE:
			clock = 1;
			break;
		default:
			return false;
	}
	foreach (cell, arguments)
	{
		Node *argument = lfirst(cell);

		if (number++ == clock ? !clock_grows(argument)
		                      : contain_var_clause(argument) || plan_reads_clock(argument) ||
		                            checkExprHasSubLink(argument))
			return false;
	}
	return true;
}

/*
 * An expression over one relation, as one of that relation's own columns:
 * columns of subqueries that only select are replaced by what they show.
 * Returns the relation's entry, and the expression with the relation's index 1.
 */
static RangeTblEntry *
clock_relation(Query *query, Node **expression)
{
	for (;;)
	{
		Bitmapset *relations = pull_varnos(NULL, *expression);
		RangeTblEntry *rte;
		int rtindex;

		if (bms_membership(relations) != BMS_SINGLETON || contain_vars_of_level(*expression, 1))
			return NULL;
		rtindex = bms_singleton_member(relations);
		rte = rt_fetch(rtindex, query->rtable);
		if (rte->rtekind == RTE_RELATION)
		{
			*expression = copyObject(*expression);
			ChangeVarNodes(*expression, rtindex, 1, 0);
			return rte;
		}
		if (rte->rtekind != RTE_SUBQUERY || !plan_query_simple(rte->subquery))
			return NULL;
		*expression =
		    ReplaceVarsFromTargetList(copyObject(*expression), rtindex, 0, rte,
		                              rte->subquery->targetList, REPLACEVARS_REPORT_ERROR, 0, NULL);
		if (checkExprHasSubLink(*expression))
			return NULL;
		query = rte->subquery;
	}
}

/* The operator of this meaning between the types of another. */
static Oid
clock_operator(Oid operator, int strategy)
{
	OpBtreeInterpretation *meaning = linitial(get_op_btree_interpretation(operator));

	return get_opfamily_member(meaning->opfamily_id, meaning->oplefttype, meaning->oprighttype,
	                           strategy);
}

/* left OPERATOR right */
static Node *
clock_compare(Oid operator, Node * left, Node *right, Oid collation)
{
	Expr *result = make_opclause(operator, BOOLOID, false, (Expr *) left, (Expr *) right,
	                             InvalidOid, collation);

	set_opfuncid((OpExpr *) result);
	return (Node *) result;
}

/* SELECT expression FROM relation WHERE the clock has not passed it ORDER BY it LIMIT 1 */
static Query *
clock_next(RangeTblEntry *relation, Node *expression, OpExpr *comparison)
{
	Query *query;
	SortGroupClause *sort = makeNode(SortGroupClause);
	OpBtreeInterpretation *meaning = linitial(get_op_btree_interpretation(comparison->opno));
	TargetEntry *entry = makeTargetEntry((Expr *) copyObject(expression), 1, "next", false);
	RangeTblEntry *rte = copyObject(relation);
	/* where equality is on the side of before, the value itself is still to be passed */
	bool equal = meaning->strategy != BTGreaterStrategyNumber &&
	             meaning->strategy != BTLessEqualStrategyNumber;

	rte->securityQuals = NIL;
	rte->enrtuples = 0;
	entry->ressortgroupref = sort->tleSortGroupRef = 1;
	sort->sortop = get_opfamily_member(meaning->opfamily_id, meaning->oplefttype,
	                                   meaning->oplefttype, BTLessStrategyNumber);
	sort->eqop = get_opfamily_member(meaning->opfamily_id, meaning->oplefttype, meaning->oplefttype,
	                                 BTEqualStrategyNumber);
	query = tree_select(
	    list_make1(rte),
	    clock_compare(clock_operator(comparison->opno, equal ? BTGreaterEqualStrategyNumber
	                                                         : BTGreaterStrategyNumber),
	                  copyObject(expression), copyObject(lsecond(comparison->args)),
	                  comparison->inputcollid));
	query->targetList = list_make1(entry);
	query->sortClause = list_make1(sort);
	query->limitCount = (Node *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64), Int64GetDatum(1),
	                                       false, FLOAT8PASSBYVAL);
	query->limitOption = LIMIT_OPTION_COUNT;
	return query;
}

/*
 * Take a comparison of a query's rows with the clock as a leaf; false: it is not
 * understood. The comparison is turned so that the clock is on its right side.
 */
bool
plan_clock_leaf(Query *query, OpExpr *comparison, PlanBlockLeaf *leaf)
{
	Node *expression;
	RangeTblEntry *relation;

	if (list_length(comparison->args) != 2)
		return false;
	if (plan_reads_clock(linitial(comparison->args)))
	{
		if (!OidIsValid(get_commutator(comparison->opno)))
			return false;
		CommuteOpExpr(comparison);
	}
	expression = linitial(comparison->args);
	if (plan_reads_clock(expression) || checkExprHasSubLink(expression) ||
	    !clock_grows(lsecond(comparison->args)) ||
	    get_op_btree_interpretation(comparison->opno) == NIL ||
	    !OidIsValid(clock_operator(comparison->opno, BTGreaterEqualStrategyNumber)) ||
	    exprType(expression) !=
	        ((OpBtreeInterpretation *) linitial(get_op_btree_interpretation(comparison->opno)))
	            ->oplefttype)
		return false;
	relation = clock_relation(query, &expression);
	if (relation == NULL)
		return false;
	leaf->clock = true;
	leaf->relid = relation->relid;
	leaf->next = clock_next(relation, expression, comparison);
	leaf->comparison = copyObject(comparison);
	comparison->location = PLAN_CLOCK_LOCATION(leaf->number);
	return true;
}

/* Put the other cut's time in the place of the cut's. */
static Node *
clock_other_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
		return clock_parameter(2);
	return expression_tree_mutator(node, clock_other_mutator, context);
}

/* The lesser or the greater of the clock's sides at the two cuts. */
static Node *
clock_bound(Node *clock, MinMaxOp which)
{
	MinMaxExpr *result = makeNode(MinMaxExpr);

	result->minmaxtype = exprType(clock);
	result->op = which;
	result->args = list_make2(copyObject(clock), clock_other_mutator(clock, NULL));
	result->location = -1;
	return (Node *) result;
}

/* The condition that a comparison may differ between the two cuts of a cycle. */
Node *
plan_clock_range(OpExpr *comparison)
{
	Node *expression = linitial(comparison->args);
	Node *clock = lsecond(comparison->args);

	return (Node *) makeBoolExpr(
	    AND_EXPR,
	    list_make2(clock_compare(clock_operator(comparison->opno, BTGreaterEqualStrategyNumber),
	                             copyObject(expression), clock_bound(clock, IS_LEAST),
	                             comparison->inputcollid),
	               clock_compare(clock_operator(comparison->opno, BTLessEqualStrategyNumber),
	                             copyObject(expression), clock_bound(clock, IS_GREATEST),
	                             comparison->inputcollid)),
	    -1);
}
