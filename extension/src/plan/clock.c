/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  The clock in a view's query.
 *
 * now(), CURRENT_DATE and their like become parameter 1: the time of the cut
 * the query runs at. So a view equals its query at its cut, time included.
 *
 * A comparison of an expression over rows with one of the clock alone,
 * `expression >= CURRENT_DATE - interval '90 days'`, is one more leaf of its block
 * (PlanBlockLeaf.clock): it changes for the rows whose expression lies between the
 * clock's side at one cut and at the other, whatever that side is. That is a range
 * which an index on the expression can serve. Where the clock's side only grows,
 * the same index tells for which row the comparison changes next. Comparisons are marked by their location, which means
 * nothing once a query is parsed. The time passed since a column (elapsed.c) is
 * compared likewise, with a range of its own.
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
#include "plan/normalise.h"
#include "plan/tree.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* The time of the cut (1), of the other cut of the cycle (2), or PLAN_CLOCK_ROW. */
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
	if (IsA(node, FuncExpr) && (((FuncExpr *) node)->funcid == F_AGE_TIMESTAMPTZ ||
	                            ((FuncExpr *) node)->funcid == F_AGE_TIMESTAMP))
	{
		/* age(x) is age(CURRENT_DATE, x) */
		FuncExpr *age = (FuncExpr *) expression_tree_mutator(node, clock_mutator, context);
		bool zoned = age->funcid == F_AGE_TIMESTAMPTZ;
		Node *today = clock_function(F_DATE_TIMESTAMPTZ, DATEOID, clock_parameter(1));

		age->funcid = zoned ? F_AGE_TIMESTAMPTZ_TIMESTAMPTZ : F_AGE_TIMESTAMP_TIMESTAMP;
		age->args = lcons(zoned ? clock_function(F_TIMESTAMPTZ_DATE, TIMESTAMPTZOID, today)
		                        : clock_function(F_TIMESTAMP_DATE, TIMESTAMPOID, today),
		                  age->args);
		return (Node *) age;
	}
	if (IsA(node, SQLValueFunction))
	{
		SQLValueFunction *function = (SQLValueFunction *) node;
		Node *local;

		switch (function->op)
		{
			case SVFOP_CURRENT_DATE:
				return clock_function(F_DATE_TIMESTAMPTZ, DATEOID, clock_parameter(1));
			case SVFOP_CURRENT_TIME:
			case SVFOP_CURRENT_TIME_N:
				local = clock_function(F_TIMETZ_TIMESTAMPTZ, TIMETZOID, clock_parameter(1));
				return function->op == SVFOP_CURRENT_TIME
				           ? local
				           : clock_rounded(F_TIMETZ_TIMETZ_INT4, TIMETZOID, local,
				                           function->typmod);
			case SVFOP_LOCALTIME:
			case SVFOP_LOCALTIME_N:
				local = clock_function(F_TIME_TIMESTAMPTZ, TIMEOID, clock_parameter(1));
				return function->op == SVFOP_LOCALTIME
				           ? local
				           : clock_rounded(F_TIME_TIME_INT4, TIMEOID, local, function->typmod);
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

/* Does an expression read rows of queries at least so many levels further out? */
static bool
clock_rows_walker(Node *node, int *levels)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varlevelsup >= *levels;
	return expression_tree_walker(node, clock_rows_walker, levels);
}

/* Does an expression read rows, of whichever query? */
bool
plan_reads_rows(Node *node)
{
	int levels = 0;

	return clock_rows_walker(node, &levels);
}

/* Is this the name of the seconds since 1970? */
static bool
clock_epoch(Node *field)
{
	return IsA(field, Const) && !((Const *) field)->constisnull &&
	       pg_strcasecmp(TextDatumGetCString(((Const *) field)->constvalue), "epoch") == 0;
}

/* Is this a positive number? */
static bool
clock_positive(Node *number)
{
	double value;

	return plan_elapsed_number(number, &value) && value > 0;
}

/*
 * Does an expression of the clock only grow, if anything, while time passes?
 * Offsets of time zones and lengths of months may take it back, by half an hour
 * at least.
 */
bool
plan_clock_grows(Node *node)
{
	List *arguments;
	Oid function;
	int clock = 0; /* the argument that may be the clock's */
	int number = 0;
	ListCell *cell;

	if (IsA(node, Param))
		return ((Param *) node)->paramkind == PARAM_EXTERN;
	if (IsA(node, RelabelType))
		return plan_clock_grows((Node *) ((RelabelType *) node)->arg);
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
		case F_NUMERIC_ADD:
		case F_NUMERIC_SUB:
		case F_INT4_NUMERIC:
		case F_INT8_NUMERIC:
		case F_INT4_FLOAT8:
		case F_INT8_FLOAT8:
		case F_FLOAT8_NUMERIC:
		case F_FLOOR_NUMERIC:
		case F_FLOOR_FLOAT8:
		case F_TRUNC_NUMERIC:
		case F_TRUNC_FLOAT8:
		case F_ROUND_NUMERIC:
		case F_ROUND_FLOAT8:
			break;
		case F_NUMERIC_MUL:
		case F_NUMERIC_DIV:
		case F_FLOAT8MUL:
		case F_FLOAT8DIV:
			if (!clock_positive(lsecond(arguments)))
				return false;
			break;
		case F_EXTRACT_TEXT_TIMESTAMPTZ:
		case F_EXTRACT_TEXT_TIMESTAMP:
		case F_DATE_PART_TEXT_TIMESTAMPTZ:
		case F_DATE_PART_TEXT_TIMESTAMP:
			if (!clock_epoch(linitial(arguments)))
				return false;
			clock = 1;
			break;
		case F_DATE_TRUNC_TEXT_TIMESTAMPTZ:
		case F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT:
		case F_DATE_TRUNC_TEXT_TIMESTAMP:
		case F_DATE_BIN_INTERVAL_TIMESTAMPTZ_TIMESTAMPTZ:
		case F_DATE_BIN_INTERVAL_TIMESTAMP_TIMESTAMP:
		case F_TIMEZONE_TEXT_TIMESTAMPTZ:
		case F_TIMEZONE_TEXT_TIMESTAMP:
		case F_TIMEZONE_INTERVAL_TIMESTAMPTZ:
		case F_TIMEZONE_INTERVAL_TIMESTAMP:
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

		if (number++ == clock ? !plan_clock_grows(argument)
		                      : plan_reads_rows(argument) || plan_reads_clock(argument) ||
		                            checkExprHasSubLink(argument))
			return false;
	}
	return true;
}

/*
 * An expression over one relation, as one of that relation's own columns:
 * columns of subqueries that only select are replaced by what they show.
 * Returns the relation's entry, and the expression with the relation's index 1;
 * NULL, and leaves the expression, if it is none.
 */
static RangeTblEntry *
clock_relation(Query *query, Node **expression)
{
	Node *found = copyObject(*expression);

	for (;;)
	{
		Bitmapset *relations = pull_varnos(NULL, found);
		bool sublinks = false;
		int outer = 1;
		RangeTblEntry *rte;
		int rtindex;

		if (bms_membership(relations) != BMS_SINGLETON || clock_rows_walker(found, &outer))
			return NULL;
		rtindex = bms_singleton_member(relations);
		rte = rt_fetch(rtindex, query->rtable);
		if (rte->rtekind == RTE_RELATION)
		{
			ChangeVarNodes(found, rtindex, 1, 0);
			*expression = found;
			return rte;
		}
		if (rte->rtekind != RTE_SUBQUERY || !plan_query_simple(rte->subquery))
			return NULL;
		found = ReplaceVarsFromTargetList(found, rtindex, 0, rte, rte->subquery->targetList,
		                                  REPLACEVARS_REPORT_ERROR, 0, &sublinks);
		if (checkExprHasSubLink(found))
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

/* What to put in the place of something. */
typedef struct ClockReplace
{
	const Node *from; /* NULL: parameter PLAN_CLOCK_ROW */
	Node *to;
} ClockReplace;

/* Replace a node of a tree. */
static Node *
clock_replace_mutator(Node *node, ClockReplace *replace)
{
	if (node == NULL)
		return NULL;
	if (replace->from != NULL ? node == replace->from
	                          : IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN &&
	                                ((Param *) node)->paramid == PLAN_CLOCK_ROW)
		return copyObject(replace->to);
	return expression_tree_mutator(node, clock_replace_mutator, replace);
}

/* A comparison with the clock for a row's expression. */
Node *
plan_clock_with_row(const PlanClockLeaf *leaf, Node *row)
{
	ClockReplace replace = {.to = row};

	return clock_replace_mutator((Node *) leaf->comparison, &replace);
}

/* Does the comparison change when the clock comes to a row, and back when it goes on? */
bool
plan_clock_equality(const PlanClockLeaf *leaf)
{
	OpBtreeInterpretation *meaning = linitial(get_op_btree_interpretation(leaf->order));

	return meaning->strategy == BTEqualStrategyNumber || meaning->strategy == ROWCOMPARE_NE;
}

/* Is a row ahead of the clock (or where it is)? Not for elapsed times. */
Node *
plan_clock_ahead(const PlanClockLeaf *leaf, Node *row, bool or_at)
{
	return clock_compare(
	    clock_operator(leaf->order, or_at ? BTGreaterEqualStrategyNumber : BTGreaterStrategyNumber),
	    row, copyObject(leaf->clock), leaf->collation);
}

/* The comparison for a row, as it is before the clock passes it; infinite moments cannot be. */
static Node *
clock_before(const PlanClockLeaf *leaf, Node *row)
{
	Oid type = exprType(row);
	NullIfExpr *finite = makeNode(NullIfExpr);
	Datum infinity;
	Node *comparison;

	if (type == DATEOID)
		infinity = DateADTGetDatum(DATEVAL_NOEND);
	else
		infinity = TimestampTzGetDatum(DT_NOEND);
	finite->opno = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
	set_opfuncid((OpExpr *) finite);
	finite->opresulttype = type;
	finite->args = list_make2(copyObject(row), makeConst(type, -1, InvalidOid, get_typlen(type),
	                                                     infinity, false, get_typbyval(type)));
	finite->location = -1;
	comparison = plan_clock_with_row(leaf, (Node *) finite);
	return leaf->before == PLAN_CLOCK_HOLDS
	           ? comparison
	           : (Node *) makeBoolExpr(NOT_EXPR, list_make1(comparison), -1);
}

/* Rows of one relation, which is 1 there. */
static Query *
clock_one_relation(RangeTblEntry *relation)
{
	RangeTblEntry *rte = copyObject(relation);

	rte->securityQuals = NIL;
	rte->enrtuples = 0;
	return tree_select(list_make1(rte), NULL);
}

/* Drop the conditions of a FROM item that have subqueries or read the clock. */
static bool
clock_drop_quals_walker(Node *node, void *context)
{
	Node **quals;
	List *kept = NIL;
	ListCell *cell;

	if (node == NULL)
		return false;
	if (IsA(node, FromExpr))
		quals = &((FromExpr *) node)->quals;
	else if (IsA(node, JoinExpr))
		quals = &((JoinExpr *) node)->quals;
	else
		return false;
	foreach (cell, make_ands_implicit((Expr *) *quals))
		if (!checkExprHasSubLink(lfirst(cell)) && !plan_reads_clock(lfirst(cell)))
			kept = lappend(kept, lfirst(cell));
	*quals = kept ? (Node *) make_ands_explicit(kept) : NULL;
	return expression_tree_walker(node, clock_drop_quals_walker, context);
}

/*
 * The joined rows of a query that stands by itself, or more of them; NULL: that
 * cannot be told. Outer queries it depends on would have to be asked as well.
 */
static Query *
clock_joined_rows(Query *query)
{
	Query *rows;
	ListCell *cell;

	if (!plan_query_simple(query) || !normalise_closed(query))
		return NULL;
	foreach (cell, query->rtable)
		if (lfirst_node(RangeTblEntry, cell)->securityQuals != NIL)
			return NULL;
	rows = copyObject(query);
	clock_drop_quals_walker((Node *) rows->jointree, NULL);
	rows->hasTargetSRFs = false;
	return rows;
}

/*
 * SELECT expression FROM rows WHERE the clock has not passed it ORDER BY it
 * LIMIT 1
 */
static Query *
clock_next(const PlanClockLeaf *leaf, Query *rows, Node *expression)
{
	SortGroupClause *sort = makeNode(SortGroupClause);
	OpBtreeInterpretation *meaning = linitial(get_op_btree_interpretation(leaf->order));
	/* where equality is on the side of before, the value itself is still to be passed */
	bool equal = leaf->elapsed || (meaning->strategy != BTGreaterStrategyNumber &&
	                               meaning->strategy != BTLessEqualStrategyNumber);
	TargetEntry *entry;
	Node *condition;

	entry = makeTargetEntry((Expr *) expression, 1, "next", false);
	entry->ressortgroupref = sort->tleSortGroupRef = 1;
	sort->sortop = get_opfamily_member(meaning->opfamily_id, meaning->oplefttype,
	                                   meaning->oplefttype, BTLessStrategyNumber);
	sort->eqop = get_opfamily_member(meaning->opfamily_id, meaning->oplefttype, meaning->oplefttype,
	                                 BTEqualStrategyNumber);
	condition = clock_compare(
	    clock_operator(leaf->order, equal ? BTGreaterEqualStrategyNumber : BTGreaterStrategyNumber),
	    copyObject(expression), copyObject(leaf->low), leaf->collation);
	if (leaf->elapsed && leaf->before != PLAN_CLOCK_TWICE)
		condition = make_and_qual(condition, clock_before(leaf, expression));
	rows->jointree->quals = make_and_qual(rows->jointree->quals, condition);
	rows->targetList = list_make1(entry);
	rows->sortClause = list_make1(sort);
	rows->limitCount = (Node *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64), Int64GetDatum(1),
	                                      false, FLOAT8PASSBYVAL);
	rows->limitOption = LIMIT_OPTION_COUNT;
	rows->hasSubLinks = checkExprHasSubLink((Node *) rows);
	return rows;
}

/* Is there something that only a certain place of a query can compute? */
static bool
clock_bound_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Param:
			return ((Param *) node)->paramkind != PARAM_EXTERN;
		case T_SubLink:
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
			return true;
		default:
			return expression_tree_walker(node, clock_bound_walker, context);
	}
}

/*
 * Is this a comparison with the clock that may become a leaf, wherever rows are
 * at hand?
 */
bool
plan_clock_comparison(Node *node)
{
	return IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2 &&
	       plan_reads_clock((Node *) ((OpExpr *) node)->args) && !clock_bound_walker(node, NULL) &&
	       !expression_returns_set(node) &&
	       get_op_btree_interpretation(((OpExpr *) node)->opno) != NIL;
}

typedef struct ClockCollect
{
	List *comparisons;
	bool other; /* the clock is read in another way as well */
} ClockCollect;

/* Collect comparisons with the clock. */
static bool
clock_collect_walker(Node *node, ClockCollect *collect)
{
	if (node == NULL)
		return false;
	if (plan_clock_comparison(node))
	{
		collect->comparisons = list_append_unique(collect->comparisons, node);
		return false;
	}
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
		collect->other = true;
	return expression_tree_walker(node, clock_collect_walker, collect);
}

/*
 * The comparisons with the clock in an expression, each once; false: it reads the
 * clock in another way too.
 */
bool
plan_clock_comparisons(Node *node, List **comparisons)
{
	ClockCollect collect = {.comparisons = *comparisons};

	(void) clock_collect_walker(node, &collect);
	*comparisons = collect.comparisons;
	return !collect.other;
}

/*
 * Take a comparison whose one side is the clock's alone. Its value may be any: it
 * has to be known when the clock has none.
 */
static bool
clock_compared(OpExpr *comparison, PlanClockLeaf *leaf)
{
	OpBtreeInterpretation *meaning = linitial(get_op_btree_interpretation(comparison->opno));

	leaf->row = linitial(comparison->args);
	leaf->clock = leaf->low = leaf->high = lsecond(comparison->args);
	leaf->order = comparison->opno;
	leaf->ordered = true;
	return exprType(leaf->row) == meaning->oplefttype &&
	       exprType(leaf->clock) == meaning->oprighttype &&
	       OidIsValid(clock_operator(comparison->opno, BTGreaterEqualStrategyNumber)) &&
	       !contain_nonstrict_functions(leaf->clock);
}

/*
 * Take a comparison of a query's rows with the clock as a leaf; false: it is not
 * understood. The comparison is turned so that the clock is on its right side, or
 * the time passed on its left one.
 */
bool
plan_clock_leaf(Query *query, OpExpr *comparison, PlanBlockLeaf *leaf)
{
	PlanClockLeaf *clock;
	ClockReplace replace;
	RangeTblEntry *relation;
	Query *rows;
	Node *expression;
	bool left_reads;
	bool right_reads;
	bool right_rows;

	if (!plan_clock_comparison((Node *) comparison))
		return false;
	left_reads = plan_reads_clock(linitial(comparison->args));
	right_reads = plan_reads_clock(lsecond(comparison->args));
	right_rows = plan_reads_rows(lsecond(comparison->args));
	if (left_reads && right_reads)
		return false;
	/* turn it so that the clock alone is on the right, or the time passed on the left */
	if (left_reads ? !plan_reads_rows(linitial(comparison->args)) : right_rows)
	{
		if (!OidIsValid(get_commutator(comparison->opno)))
			return false;
		CommuteOpExpr(comparison);
	}
	clock = palloc0(sizeof(PlanClockLeaf));
	clock->collation = comparison->inputcollid;
	if (plan_reads_clock(linitial(comparison->args)) ? !plan_elapsed(comparison, clock)
	                                                 : !clock_compared(comparison, clock))
		return false;
	clock->grows = plan_clock_grows(clock->clock);
	replace.from = clock->row;
	replace.to = clock_parameter(PLAN_CLOCK_ROW);
	((Param *) replace.to)->paramtype = exprType(clock->row);
	((Param *) replace.to)->paramtypmod = exprTypmod(clock->row);
	((Param *) replace.to)->paramcollid = exprCollation(clock->row);
	clock->comparison = (OpExpr *) clock_replace_mutator((Node *) comparison, &replace);
	clock->row = copyObject(clock->row);
	clock->clock = copyObject(clock->clock);

	expression = clock->row;
	relation = clock_relation(query, &expression);
	if (relation != NULL)
		leaf->relid = relation->relid;
	if (clock->grows && clock->ordered)
	{
		rows = relation != NULL ? clock_one_relation(relation) : clock_joined_rows(query);
		if (rows != NULL)
			clock->next = clock_next(clock, rows, expression);
	}
	leaf->clock = clock;
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

/* The lesser or the greater of a bound at the two cuts. */
static Node *
clock_bound(Node *bound, MinMaxOp which, Oid collation)
{
	MinMaxExpr *result = makeNode(MinMaxExpr);

	result->minmaxtype = exprType(bound);
	result->minmaxcollid = exprCollation(bound);
	result->inputcollid = collation;
	result->op = which;
	result->args = list_make2(copyObject(bound), clock_other_mutator(bound, NULL));
	result->location = -1;
	return (Node *) result;
}

/* The condition that a comparison may differ between the two cuts of a cycle. */
Node *
plan_clock_range(const PlanClockLeaf *leaf)
{
	Oid equality = lookup_type_cache(exprType(leaf->clock), TYPECACHE_EQ_OPR)->eq_opr;
	Node *same = clock_compare(equality, copyObject(leaf->clock),
	                           clock_other_mutator(leaf->clock, NULL), leaf->collation);

	return (Node *) makeBoolExpr(
	    AND_EXPR,
	    list_make3(
	        makeBoolExpr(NOT_EXPR, list_make1(same), -1),
	        clock_compare(clock_operator(leaf->order, BTGreaterEqualStrategyNumber),
	                      copyObject(leaf->row), clock_bound(leaf->low, IS_LEAST, leaf->collation),
	                      leaf->collation),
	        clock_compare(clock_operator(leaf->order, BTLessEqualStrategyNumber),
	                      copyObject(leaf->row),
	                      clock_bound(leaf->high, IS_GREATEST, leaf->collation), leaf->collation)),
	    -1);
}
