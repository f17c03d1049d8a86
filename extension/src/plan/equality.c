/*-------------------------------------------------------------------------
 *
 * equality.c
 *	  Does it suffice that two values are equal for them to look the same?
 *
 * 1.0 and 1.00 are equal and yet different rows of a view. Which one a group
 * shows depends on the plan, so where it matters the query has to be asked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "plan/plan.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* Does an expression of type numeric give one scale only? */
static bool
equality_fixed_scale(Node *expression)
{
	FuncExpr *call = (FuncExpr *) expression;
	Const *second;

	if (IsA(expression, Aggref))
		return ((Aggref *) expression)->aggfnoid == F_SUM_INT8;
	if (!IsA(expression, FuncExpr))
		return false;
	switch (call->funcid)
	{
		case F_NUMERIC_INT2:
		case F_NUMERIC_INT4:
		case F_NUMERIC_INT8:
		case F_ROUND_NUMERIC:
		case F_TRUNC_NUMERIC:
			return true;
		case F_ROUND_NUMERIC_INT4:
		case F_TRUNC_NUMERIC_INT4:
			second = lsecond(call->args);
			return IsA(second, Const) && !second->constisnull;
		case F_EXTRACT_TEXT_DATE:
		case F_EXTRACT_TEXT_TIME:
		case F_EXTRACT_TEXT_TIMETZ:
		case F_EXTRACT_TEXT_TIMESTAMP:
		case F_EXTRACT_TEXT_TIMESTAMPTZ:
		case F_EXTRACT_TEXT_INTERVAL:
			/* each field has its scale, except that Julian days are a quotient */
			second = linitial(call->args);
			return IsA(second, Const) && !second->constisnull &&
			       pg_strcasecmp(TextDatumGetCString(second->constvalue), "julian") != 0;
		default:
			return false;
	}
}

/* Are equal values of this expression the same image? */
bool
plan_equality_decides_image(Node *expression)
{
	int32 typmod = exprTypmod(expression);
	Oid base = getBaseTypeAndTypmod(exprType(expression), &typmod);
	TypeCacheEntry *type;
	Oid function;

	/* a declared scale or length is every value's */
	if (base == NUMERICOID && equality_fixed_scale(expression))
		return true;
	if (base == NUMERICOID)
		return typmod >= 0;
	if (base == BPCHAROID)
		return typmod >= 0 && OidIsValid(exprCollation(expression)) &&
		       get_collation_isdeterministic(exprCollation(expression));
	type = lookup_type_cache(base, TYPECACHE_BTREE_OPFAMILY);
	if (!OidIsValid(type->btree_opf))
		return false;
	function = get_opfamily_proc(type->btree_opf, type->btree_opintype, type->btree_opintype,
	                             BTEQUALIMAGE_PROC);
	return OidIsValid(function) &&
	       DatumGetBool(OidFunctionCall1Coll(function, exprCollation(expression),
	                                         ObjectIdGetDatum(type->btree_opintype)));
}
