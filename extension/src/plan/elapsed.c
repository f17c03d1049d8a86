/*-------------------------------------------------------------------------
 *
 * elapsed.c
 *	  The time that has passed since a row's moment, compared with a constant:
 *	  `now() - at < interval '1 day'`, `extract(epoch FROM now() - at) / 60 > 5`,
 *	  `CURRENT_DATE - day <= 7`, `age(at) > interval '1 month'`.
 *
 * The comparison stays as it is; what is found out here is for which rows it can
 * change: those whose moment lies so far from the clock, give or take what
 * rounding does. age() counts in months, which are not all of a length; its
 * moments lie further apart.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/stratnum.h"
#include "catalog/pg_type_d.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "plan/plan.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* No moment so far from now is looked for: it may be out of a type's range. */
#define ELAPSED_MOST_SECONDS (1000.0 * DAYS_PER_YEAR * SECS_PER_DAY)
/* How far age()'s months of 30 days are from real ones, at the most. */
#define ELAPSED_MONTHS 0.1
#define ELAPSED_MONTHS_SECONDS (3.0 * SECS_PER_DAY)

/* Between which lies the number of seconds at which the comparison changes. */
typedef struct Elapsed
{
	double low;
	double high;
	bool months; /* counted by age() */
} Elapsed;

/* The value of a constant expression, of an interval in seconds; false: it has none. */
bool
plan_elapsed_number(Node *expression, double *value)
{
	Const *constant = (Const *) eval_const_expressions(NULL, copyObject(expression));
	Interval *interval;

	if (!IsA(constant, Const) || constant->constisnull)
		return false;
	switch (constant->consttype)
	{
		case INT4OID:
			*value = DatumGetInt32(constant->constvalue);
			return true;
		case INT8OID:
			*value = (double) DatumGetInt64(constant->constvalue);
			return true;
		case FLOAT8OID:
			*value = DatumGetFloat8(constant->constvalue);
			return true;
		case NUMERICOID:
			*value = DatumGetFloat8(
			    DirectFunctionCall1(numeric_float8_no_overflow, constant->constvalue));
			return true;
		case INTERVALOID:
			interval = DatumGetIntervalP(constant->constvalue);
			*value = (double) interval->time / USECS_PER_SEC +
			         ((double) interval->month * DAYS_PER_MONTH + interval->day) * SECS_PER_DAY;
			return true;
		default:
			return false;
	}
}

/* The function of a call or operator, and its arguments. */
static Oid
elapsed_function(Node *node, List **arguments)
{
	if (IsA(node, FuncExpr))
	{
		*arguments = ((FuncExpr *) node)->args;
		return ((FuncExpr *) node)->funcid;
	}
	if (IsA(node, OpExpr))
	{
		*arguments = ((OpExpr *) node)->args;
		return get_opcode(((OpExpr *) node)->opno);
	}
	*arguments = NIL;
	return InvalidOid;
}

/* A positive second argument. */
static bool
elapsed_factor(List *arguments, double *factor)
{
	return plan_elapsed_number(lsecond(arguments), factor) && *factor > 0;
}

/* A result was rounded by up to one. */
static void
elapsed_rounded(Elapsed *elapsed)
{
	elapsed->low -= 1;
	elapsed->high += 1;
}

/* The value belongs to so many of the unit below. */
static void
elapsed_times(Elapsed *elapsed, double factor)
{
	elapsed->low *= factor;
	elapsed->high *= factor;
}

/*
 * Go down to the difference of two moments, through what only grows with it;
 * NULL: something else is there.
 */
static Node *
elapsed_difference(Node *node, Elapsed *elapsed)
{
	List *arguments;
	double factor;
	char *field;
	Const *name;

	for (;;)
	{
		if (IsA(node, RelabelType))
		{
			node = (Node *) ((RelabelType *) node)->arg;
			continue;
		}
		switch (elapsed_function(node, &arguments))
		{
			case F_TIMESTAMPTZ_MI:
			case F_TIMESTAMP_MI:
				return node;
			case F_DATE_MI:
				elapsed_times(elapsed, SECS_PER_DAY);
				return node;
			case F_AGE_TIMESTAMPTZ_TIMESTAMPTZ:
			case F_AGE_TIMESTAMP_TIMESTAMP:
				elapsed->months = true;
				return node;
			case F_EXTRACT_TEXT_INTERVAL:
			case F_DATE_PART_TEXT_INTERVAL:
				name = linitial(arguments);
				if (!IsA(name, Const) || name->constisnull)
					return NULL;
				field = TextDatumGetCString(name->constvalue);
				node = lsecond(arguments);
				if (pg_strcasecmp(field, "day") == 0 || pg_strcasecmp(field, "days") == 0)
				{
					elapsed_rounded(elapsed);
					elapsed_times(elapsed, SECS_PER_DAY);
					/* a difference of timestamps has days, hours and less; age() has months */
					switch (elapsed_function(node, &arguments))
					{
						case F_TIMESTAMPTZ_MI:
						case F_TIMESTAMP_MI:
							return node;
						default:
							return NULL;
					}
				}
				if (pg_strcasecmp(field, "epoch") != 0)
					return NULL;
				continue;
			case F_INT4_NUMERIC:
			case F_INT8_NUMERIC:
			case F_INT4_FLOAT8:
			case F_INT8_FLOAT8:
			case F_FLOOR_NUMERIC:
			case F_FLOOR_FLOAT8:
			case F_CEIL_NUMERIC:
			case F_CEILING_NUMERIC:
			case F_CEIL_FLOAT8:
			case F_CEILING_FLOAT8:
			case F_TRUNC_NUMERIC:
			case F_TRUNC_FLOAT8:
			case F_ROUND_NUMERIC:
			case F_ROUND_FLOAT8:
				elapsed_rounded(elapsed);
				break;
			case F_NUMERIC_INT4:
			case F_NUMERIC_INT8:
			case F_FLOAT8_INT4:
			case F_FLOAT8_INT8:
			case F_FLOAT8_NUMERIC:
				break;
			case F_INT4DIV:
			case F_INT8DIV:
				elapsed_rounded(elapsed);
				/* FALLTHROUGH */
			case F_NUMERIC_DIV:
			case F_FLOAT8DIV:
				if (!elapsed_factor(arguments, &factor))
					return NULL;
				elapsed_times(elapsed, factor);
				break;
			case F_NUMERIC_MUL:
			case F_FLOAT8MUL:
			case F_INT4MUL:
				if (!elapsed_factor(arguments, &factor))
					return NULL;
				elapsed_times(elapsed, 1 / factor);
				break;
			default:
				return NULL;
		}
		node = linitial(arguments);
	}
}

/* A moment so many seconds before the clock's. */
static Node *
elapsed_before(Node *clock, Oid type, double seconds)
{
	List *arguments;
	Interval *span;
	Oid function = type == TIMESTAMPTZOID ? F_TIMESTAMPTZ_MI_INTERVAL : F_TIMESTAMP_MI_INTERVAL;

	if (type == DATEOID)
	{
		int32 days = (int32) rint(seconds / SECS_PER_DAY);

		function = F_DATE_MII;
		arguments = list_make2(copyObject(clock), makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
		                                                    Int32GetDatum(days), false, true));
	}
	else
	{
		span = palloc0(sizeof(Interval));
		span->time = (TimeOffset) rint(seconds * USECS_PER_SEC);
		arguments =
		    list_make2(copyObject(clock), makeConst(INTERVALOID, -1, InvalidOid, sizeof(Interval),
		                                            IntervalPGetDatum(span), false, false));
	}
	return (Node *) makeFuncExpr(function, type, arguments, InvalidOid, InvalidOid,
	                             COERCE_EXPLICIT_CALL);
}

/*
 * Take the comparison of a time passed, on its left side, with a constant as a
 * leaf: sets everything but its comparison and what follows from it.
 */
bool
plan_elapsed(OpExpr *comparison, PlanClockLeaf *leaf)
{
	OpBtreeInterpretation *meaning = linitial(get_op_btree_interpretation(comparison->opno));
	Elapsed elapsed = {0};
	List *arguments;
	Node *difference;
	bool since; /* the row's moment is taken from the clock's */
	bool dates;
	bool twice; /* the comparison changes, and back */
	Oid type;

	if (!plan_elapsed_number(lsecond(comparison->args), &elapsed.low))
		return false;
	elapsed.high = elapsed.low;
	difference = elapsed_difference(linitial(comparison->args), &elapsed);
	if (difference == NULL)
		return false;
	dates = elapsed_function(difference, &arguments) == F_DATE_MI;
	since = plan_reads_clock(linitial(arguments));
	leaf->clock = since ? linitial(arguments) : lsecond(arguments);
	leaf->row = since ? lsecond(arguments) : linitial(arguments);
	if (plan_reads_clock(leaf->row) || plan_reads_rows(leaf->clock) ||
	    !plan_clock_grows(leaf->clock))
		return false;
	type = exprType(leaf->clock);
	if (exprType(leaf->row) != type)
		return false;

	if (elapsed.months)
	{
		elapsed.low -= fabs(elapsed.low) * ELAPSED_MONTHS + ELAPSED_MONTHS_SECONDS;
		elapsed.high += fabs(elapsed.high) * ELAPSED_MONTHS + ELAPSED_MONTHS_SECONDS;
	}
	else if (!dates)
	{
		/* what floats may have lost of it */
		elapsed.low -= fabs(elapsed.low) * 1e-12 + 2e-6;
		elapsed.high += fabs(elapsed.high) * 1e-12 + 2e-6;
	}
	else
	{
		elapsed.low = floor(elapsed.low / SECS_PER_DAY) * SECS_PER_DAY;
		elapsed.high = ceil(elapsed.high / SECS_PER_DAY) * SECS_PER_DAY;
	}
	/* which rows become equal, and differ again, next is known of whole days only */
	twice = meaning->strategy == BTEqualStrategyNumber || meaning->strategy == ROWCOMPARE_NE;
	if (twice && !(dates && elapsed.low == elapsed.high))
		return false;
	if (!(fabs(elapsed.low) < ELAPSED_MOST_SECONDS && fabs(elapsed.high) < ELAPSED_MOST_SECONDS))
		return false;
	leaf->low = elapsed_before(leaf->clock, type, since ? elapsed.high : -elapsed.low);
	leaf->high = elapsed_before(leaf->clock, type, since ? elapsed.low : -elapsed.high);
	leaf->order = lookup_type_cache(type, TYPECACHE_LT_OPR)->lt_opr;
	leaf->elapsed = true;
	leaf->ordered = !elapsed.months;
	if (twice)
		leaf->before = PLAN_CLOCK_TWICE;
	else
		leaf->before = since == (meaning->strategy == BTLessStrategyNumber ||
		                         meaning->strategy == BTLessEqualStrategyNumber)
		                   ? PLAN_CLOCK_HOLDS
		                   : PLAN_CLOCK_FAILS;
	return true;
}
