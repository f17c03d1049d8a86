/*-------------------------------------------------------------------------
 *
 * definition.c
 *	  What a query's result depends on beside rows and settings: functions and
 *	  types that users define, and may define anew.
 *
 * They are hashed into the view's fingerprint, so that the view is computed
 * anew when one of them has changed, however long nobody looked. Definitions
 * of PostgreSQL itself do not change. What a function calls in turn is known to
 * itself alone: see load.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "nodes/nodeFuncs.h"
#include "plan/plan.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* Note a function that is not PostgreSQL's own. */
static bool
definition_function(Oid function, void *context)
{
	ViewPlan *plan = context;

	if (function >= FirstNormalObjectId)
		plan->functions = list_append_unique_oid(plan->functions, function);
	return false;
}

/* Note a type, or what it is made of, if it is a row type or an enum. */
static void
definition_type(ViewPlan *plan, Oid type)
{
	Oid element;
	Oid relation;

	if (type < FirstNormalObjectId)
		return;
	type = getBaseType(type);
	element = get_element_type(type);
	if (OidIsValid(element))
		type = getBaseType(element);
	relation = get_typ_typrelid(type);
	if (type_is_enum(type))
		plan->enums = list_append_unique_oid(plan->enums, type);
	else if (OidIsValid(relation) && get_rel_relkind(relation) == RELKIND_COMPOSITE_TYPE)
		plan->row_types = list_append_unique_oid(plan->row_types, relation);
}

/* Look for functions and types in a query. */
static bool
definition_walker(Node *node, ViewPlan *plan)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, definition_walker, plan, 0);
	(void) check_functions_in_node(node, definition_function, plan);
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Const:
		case T_FuncExpr:
		case T_OpExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_RowExpr:
		case T_FieldSelect:
			definition_type(plan, exprType(node));
			break;
		default:
			break;
	}
	return expression_tree_walker(node, definition_walker, plan);
}

/* Collect what users define and the plan's query uses. */
void
plan_definitions(ViewPlan *plan)
{
	(void) definition_walker((Node *) plan->query, plan);
}

/* The version of a function: which row of pg_proc describes it. */
static uint64
definition_hash_function(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	uint64 hash = 0;

	if (!HeapTupleIsValid(tuple))
		return 0;
	hash = hash_combine64(
	    HeapTupleHeaderGetRawXmin(tuple->t_data),
	    hash_bytes_extended((unsigned char *) &tuple->t_self, sizeof(ItemPointerData), function));
	ReleaseSysCache(tuple);
	return hash;
}

/* The columns of a row type. */
static uint64
definition_hash_row(Oid relation)
{
	TupleDesc descriptor = lookup_rowtype_tupdesc_noerror(get_rel_type_id(relation), -1, true);
	uint64 hash = relation;

	if (descriptor == NULL)
		return 0;
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		hash = hash_combine64(hash, attribute->attisdropped ? InvalidOid : attribute->atttypid);
		hash =
		    hash_combine64(hash, hash_bytes_extended((unsigned char *) NameStr(attribute->attname),
		                                             strlen(NameStr(attribute->attname)), 0));
	}
	ReleaseTupleDesc(descriptor);
	return hash;
}

/* The labels of an enum, in no particular order. */
static uint64
definition_hash_enum(Oid type)
{
	CatCList *labels = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(type));
	uint64 hash = type;

	for (int i = 0; i < labels->n_members; i++)
	{
		Form_pg_enum label = (Form_pg_enum) GETSTRUCT(&labels->members[i]->tuple);

		hash += hash_bytes_extended((unsigned char *) NameStr(label->enumlabel),
		                            strlen(NameStr(label->enumlabel)), label->oid);
	}
	ReleaseSysCacheList(labels);
	return hash;
}

/* What those definitions are at present. */
uint64
plan_definitions_hash(const ViewPlan *plan)
{
	uint64 hash = 0;
	ListCell *cell;

	foreach (cell, plan->functions)
		hash = hash_combine64(hash, definition_hash_function(lfirst_oid(cell)));
	foreach (cell, plan->row_types)
		hash = hash_combine64(hash, definition_hash_row(lfirst_oid(cell)));
	foreach (cell, plan->enums)
		hash = hash_combine64(hash, definition_hash_enum(lfirst_oid(cell)));
	return hash;
}
