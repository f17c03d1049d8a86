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
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* Are equal values of this expression the same image? */
bool
plan_equality_decides_image(Node *expression)
{
	int32 typmod = exprTypmod(expression);
	Oid base = getBaseTypeAndTypmod(exprType(expression), &typmod);
	TypeCacheEntry *type;
	Oid function;

	/* a declared scale or length is every value's */
	if (base == NUMERICOID || base == BPCHAROID)
		return typmod >= 0;
	type = lookup_type_cache(base, TYPECACHE_BTREE_OPFAMILY);
	if (!OidIsValid(type->btree_opf))
		return false;
	function = get_opfamily_proc(type->btree_opf, type->btree_opintype, type->btree_opintype,
	                             BTEQUALIMAGE_PROC);
	return OidIsValid(function) &&
	       DatumGetBool(OidFunctionCall1Coll(function, exprCollation(expression),
	                                         ObjectIdGetDatum(type->btree_opintype)));
}
