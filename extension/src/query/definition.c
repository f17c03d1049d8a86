/*-------------------------------------------------------------------------
 *
 * definition.c
 *	  What a query's result depends on beside rows and settings: functions,
 *	  types, collations and text searches that users define, and may define anew.
 *
 * The WAL between two cuts tells of what has changed, by invalidation messages. Types
 * are taken with all that is in them: columns, elements, subtypes. What
 * a function calls in turn is looked for in its text (calls.c); a text search may
 * concern every view with functions. Functions and types are also hashed into the view's fingerprint. Functions of PostgreSQL itself do
 * not change, but its text search configurations may.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "query/calls.h"
#include "query/dependence.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* Does one of PostgreSQL's own functions search texts? */
static bool
definition_searches(Oid function)
{
	Oid *arguments;
	int count;
	Oid result = get_func_signature(function, &arguments, &count);
	bool searches = result == TSVECTOROID || result == TSQUERYOID || function == F_TS_MATCH_TT;

	for (int i = 0; i < count; i++)
		searches |= arguments[i] == TSQUERYOID || arguments[i] == REGCONFIGOID ||
		            arguments[i] == REGDICTIONARYOID;
	pfree(arguments);
	return searches;
}

/* Does one of PostgreSQL's own functions ask what a role may do? */
static bool
definition_asks_rights(Oid function)
{
	const char *name = get_func_name(function);

	return name != NULL &&
	       (strcmp(name, "pg_has_role") == 0 || strcmp(name, "row_security_active") == 0 ||
	        (strncmp(name, "has_", 4) == 0 && strstr(name, "_privilege") != NULL));
}

/* Note a function of a user, or one that searches texts or asks for rights. */
static bool
definition_function(Oid function, void *context)
{
	Definitions *definitions = context;

	if (function >= FirstNormalObjectId)
		definitions->functions = list_append_unique_oid(definitions->functions, function);
	else if (OidIsValid(function))
	{
		definitions->searches |= !definitions->searches && definition_searches(function);
		definitions->rights |= definition_asks_rights(function);
	}
	return false;
}

/* Note by what values of a user's type are compared and grouped. */
static void
definition_comparison(Definitions *definitions, Oid type)
{
	TypeCacheEntry *entry =
	    lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_CMP_PROC | TYPECACHE_HASH_PROC);

	if (OidIsValid(entry->eq_opr))
		(void) definition_function(get_opcode(entry->eq_opr), definitions);
	(void) definition_function(entry->cmp_proc, definitions);
	(void) definition_function(entry->hash_proc, definitions);
}

/* Note a domain whose constraints are checked, and the domains it is made of. */
static void
definition_domain(Definitions *definitions, Oid type)
{
	while (get_typtype(type) == TYPTYPE_DOMAIN)
	{
		HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));

		if (!HeapTupleIsValid(tuple))
			return;
		definitions->domains = list_append_unique_oid(definitions->domains, type);
		type = ((Form_pg_type) GETSTRUCT(tuple))->typbasetype;
		ReleaseSysCache(tuple);
	}
}

/* Note a collation that could get another version. */
static void
definition_collation(Definitions *definitions, Oid collation)
{
	if (OidIsValid(collation) && collation != DEFAULT_COLLATION_OID &&
	    collation != C_COLLATION_OID && collation != POSIX_COLLATION_OID)
		definitions->collations = list_append_unique_oid(definitions->collations, collation);
}

static void definition_type(Definitions *definitions, Oid type);

/* Note a row type, which may be that of a table, and what its columns are of. */
static void
definition_row(Definitions *definitions, Oid type, Oid relation)
{
	TupleDesc descriptor;

	if (list_member_oid(definitions->row_types, relation))
		return;
	definitions->row_types = lappend_oid(definitions->row_types, relation);
	descriptor = lookup_rowtype_tupdesc_noerror(type, -1, true);
	if (descriptor == NULL)
		return;
	for (int i = 0; i < descriptor->natts; i++)
		if (!TupleDescAttr(descriptor, i)->attisdropped)
			definition_type(definitions, TupleDescAttr(descriptor, i)->atttypid);
	ReleaseTupleDesc(descriptor);
}

/* Note a type of users, and the types it is made of. */
static void
definition_type(Definitions *definitions, Oid type)
{
	Oid relation;

	check_stack_depth();
	if (type < FirstNormalObjectId)
		return;
	type = getBaseType(type);
	if (OidIsValid(get_element_type(type)))
		definition_type(definitions, get_element_type(type));
	else if (OidIsValid(get_multirange_range(type)))
		definition_type(definitions, get_multirange_range(type));
	else if (OidIsValid(get_range_subtype(type)))
		definition_type(definitions, get_range_subtype(type));
	if (type < FirstNormalObjectId || list_member_oid(definitions->enums, type))
		return;
	relation = get_typ_typrelid(type);
	if (type_is_enum(type))
		definitions->enums = lappend_oid(definitions->enums, type);
	else if (OidIsValid(relation))
		definition_row(definitions, type, relation);
	definition_comparison(definitions, type);
}

/* Look for functions and types in a query. */
static bool
definition_walker(Node *node, Definitions *definitions)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, definition_walker, definitions, 0);
	(void) check_functions_in_node(node, definition_function, definitions);
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
		case T_CollateExpr:
			definition_type(definitions, exprType(node));
			definition_collation(definitions, exprCollation(node));
			break;
		case T_CoerceToDomain:
			definition_domain(definitions, exprType(node));
			break;
		default:
			break;
	}
	definition_collation(definitions, exprInputCollation(node));
	return expression_tree_walker(node, definition_walker, definitions);
}

/* Collect what users define and a query uses. */
void
definitions_collect(Query *query, Definitions *definitions)
{
	(void) definition_walker((Node *) query, definitions);
	definitions->called = calls_closure(definitions->functions, &definitions->calls_any);
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
definitions_hash(const Definitions *definitions)
{
	uint64 hash = 0;
	ListCell *cell;

	foreach (cell, definitions->functions)
		hash = hash_combine64(hash, definition_hash_function(lfirst_oid(cell)));
	foreach (cell, definitions->row_types)
		hash = hash_combine64(hash, definition_hash_row(lfirst_oid(cell)));
	foreach (cell, definitions->enums)
		hash = hash_combine64(hash, definition_hash_enum(lfirst_oid(cell)));
	return hash;
}

/* Is one of these objects what a message about a catalog's row tells of? */
static bool
definition_tells_of(const SharedInvalidationMessage *message, const List *oids)
{
	ListCell *cell;

	foreach (cell, oids)
		if (GetSysCacheHashValue1(message->id, ObjectIdGetDatum(lfirst_oid(cell))) ==
		    message->cc.hashValue)
			return true;
	return false;
}

/* See dependence.h. */
bool
definitions_changed_by_function(const Definitions *definitions, uint32 hash, List *changed)
{
	ListCell *cell;

	if (definitions->calls_any)
		return true;
	foreach (cell, definitions->called)
		if (GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(lfirst_oid(cell))) == hash)
			return true;
	if (definitions->functions == NIL && definitions->domains == NIL)
		return false;
	foreach (cell, changed)
		if (calls_may_reach(definitions->called, lfirst_oid(cell)))
			return true;
	return false;
}

/* Does a result depend on what this message says has changed, but for functions? */
bool
definitions_told_by(const Definitions *definitions, const SharedInvalidationMessage *message)
{
	switch (message->id)
	{
		case AUTHOID:
		case AUTHMEMROLEMEM:
			return definitions->rights || definitions->functions != NIL;
		case TSCONFIGMAP:
		case TSCONFIGOID:
		case TSDICTOID:
			return definitions->searches || definitions->functions != NIL;
		case ENUMOID:
			return definitions->enums != NIL;
		case TYPEOID:
			return definition_tells_of(message, definitions->domains);
		case COLLOID:
			return definition_tells_of(message, definitions->collations);
		case SHAREDINVALRELCACHE_ID:
			return list_member_oid(definitions->row_types, message->rc.relId);
		default:
			return false;
	}
}
