/*-------------------------------------------------------------------------
 *
 * dependence.c
 *	  The gate: may a query be kept from cut to cut, and if not, why not?
 *
 * What decides:
 *	- Functions. An IMMUTABLE one depends on its arguments alone. Of PostgreSQL's
 *	  own STABLE ones, those that depend on settings beside are listed here: settings
 *	  are kept with the view. Any other STABLE function may read anything. A VOLATILE
 *	  one has no result that could be kept.
 *	- Relations. Only tables of the heap access method whose changes are in the
 *	  WAL can be followed. Catalogs look like such, but PostgreSQL overwrites
 *	  rows of pg_class and pg_database in place.
 *	- Names of objects. A value of type regclass and the like is an oid, but
 *	  its text is a name that may change.
 *
 * Definitions (functions, types, collations) can be followed: see definition.c. What is
 * the session's own is the owner's, or no part of a view: see session.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type_d.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "query/dependence.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/*
 * PostgreSQL's own STABLE functions, by name, whose result is decided by arguments,
 * definitions and settings; in the order of strcmp. Input and output functions of
 * types are not listed, see dependence_of_settings.
 */
static const char *const dependence_known[] = {
    "age",
    "anytextcat",
    "array_to_json",
    "array_to_string",
    "concat",
    "concat_ws",
    "convert",
    "convert_from",
    "convert_to",
    "current_setting",
    "current_user",
    "date",
    "date_cmp_timestamptz",
    "date_eq_timestamptz",
    "date_ge_timestamptz",
    "date_gt_timestamptz",
    "date_le_timestamptz",
    "date_lt_timestamptz",
    "date_ne_timestamptz",
    "date_part",
    "date_trunc",
    "enum_first",
    "enum_last",
    "enum_range",
    "extract",
    "format",
    "format_type",
    "generate_series",
    "getdatabaseencoding",
    "getpgusername",
    "in_range",
    "interval_pl_timestamptz",
    "json_agg",
    "json_agg_transfn",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "json_object_agg_transfn",
    "json_populate_record",
    "json_populate_recordset",
    "json_to_record",
    "json_to_recordset",
    "json_to_tsvector",
    "jsonb_agg",
    "jsonb_agg_finalfn",
    "jsonb_agg_transfn",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_object_agg_finalfn",
    "jsonb_object_agg_transfn",
    "jsonb_path_exists_tz",
    "jsonb_path_match_tz",
    "jsonb_path_query_array_tz",
    "jsonb_path_query_first_tz",
    "jsonb_path_query_tz",
    "jsonb_populate_record",
    "jsonb_populate_recordset",
    "jsonb_to_record",
    "jsonb_to_recordset",
    "jsonb_to_tsvector",
    "length",
    "make_timestamptz",
    "money",
    "numeric",
    "overlaps",
    "pg_char_to_encoding",
    "pg_collation_for",
    "pg_encoding_to_char",
    "pg_has_role",
    "pg_typeof",
    "phraseto_tsquery",
    "plainto_tsquery",
    "quote_literal",
    "quote_nullable",
    "row_to_json",
    "session_user",
    "textanycat",
    "time",
    "timestamp",
    "timestamp_cmp_timestamptz",
    "timestamp_eq_timestamptz",
    "timestamp_ge_timestamptz",
    "timestamp_gt_timestamptz",
    "timestamp_le_timestamptz",
    "timestamp_lt_timestamptz",
    "timestamp_ne_timestamptz",
    "timestamptz",
    "timestamptz_cmp_date",
    "timestamptz_cmp_timestamp",
    "timestamptz_eq_date",
    "timestamptz_eq_timestamp",
    "timestamptz_ge_date",
    "timestamptz_ge_timestamp",
    "timestamptz_gt_date",
    "timestamptz_gt_timestamp",
    "timestamptz_le_date",
    "timestamptz_le_timestamp",
    "timestamptz_lt_date",
    "timestamptz_lt_timestamp",
    "timestamptz_mi_interval",
    "timestamptz_ne_date",
    "timestamptz_ne_timestamp",
    "timestamptz_pl_interval",
    "timetz",
    "timezone",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_timestamp",
    "to_tsquery",
    "to_tsvector",
    "ts_debug",
    "ts_headline",
    "ts_match_tq",
    "ts_match_tt",
    "ts_parse",
    "ts_token_type",
    "websearch_to_tsquery",
    "xml",
    "xml_is_well_formed",
};

/* The worst that was found counts; the first of its kind is told. */
static void
dependence_note(Dependence *dependence, DependenceKind kind, char *reason)
{
	if (kind <= dependence->kind)
		return;
	dependence->kind = kind;
	dependence->reason = reason;
}

/* Is a value of this type the oid of an object, whose text is a name? */
static bool
dependence_names_objects(Oid type)
{
	Oid element = get_element_type(type);

	switch (getBaseType(OidIsValid(element) ? element : type))
	{
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGTYPEOID:
		case REGROLEOID:
		case REGNAMESPACEOID:
		case ACLITEMOID:
			return true;
		default:
			return false;
	}
}

/* Does this function convert a type from or to its text or binary form? */
static bool
dependence_converts_type(Form_pg_proc function)
{
	Oid other = function->prorettype == CSTRINGOID || function->prorettype == BYTEAOID
	                ? (function->pronargs > 0 ? function->proargtypes.values[0] : InvalidOid)
	                : function->prorettype;
	const char *name = NameStr(function->proname);
	size_t length = strlen(name);

	/* by PostgreSQL's own convention: int4in, record_out, numeric_send, namerecv */
	return !dependence_names_objects(other) &&
	       ((length > 2 && strcmp(name + length - 2, "in") == 0) ||
	        (length > 3 && strcmp(name + length - 3, "out") == 0) ||
	        (length > 4 &&
	         (strcmp(name + length - 4, "send") == 0 || strcmp(name + length - 4, "recv") == 0))) &&
	       (function->prorettype == CSTRINGOID || function->prorettype == BYTEAOID ||
	        (function->pronargs > 0 && (function->proargtypes.values[0] == CSTRINGOID ||
	                                    function->proargtypes.values[0] == INTERNALOID)));
}

/* For bsearch */
static int
dependence_compare_names(const void *name, const void *entry)
{
	return strcmp(name, *(const char *const *) entry);
}

/* Is the result of a STABLE function decided by arguments, definitions and settings? */
static bool
dependence_of_settings(Oid oid)
{
	HeapTuple tuple;
	Form_pg_proc function;
	bool result;

	if (oid >= FirstNormalObjectId)
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		return false;
	function = (Form_pg_proc) GETSTRUCT(tuple);
	result = dependence_converts_type(function) ||
	         bsearch(NameStr(function->proname), dependence_known, lengthof(dependence_known),
	                 sizeof(char *), dependence_compare_names) != NULL;
	ReleaseSysCache(tuple);
	return result;
}

/* Does this function tell the time of the transaction? */
static bool
dependence_tells_time(Oid function)
{
	return function == F_NOW || function == F_TRANSACTION_TIMESTAMP ||
	       function == F_STATEMENT_TIMESTAMP || function == F_AGE_TIMESTAMP ||
	       function == F_AGE_TIMESTAMPTZ;
}

/* Judge a function that is called. */
static bool
dependence_function(Oid function, void *context)
{
	Dependence *dependence = context;

	switch (func_volatile(function))
	{
		case PROVOLATILE_VOLATILE:
			dependence_note(dependence, DEPENDENCE_NONE,
			                psprintf("function %s is volatile", format_procedure(function)));
			break;
		case PROVOLATILE_STABLE:
			if (dependence_tells_time(function))
				dependence->clock = true;
			else if (!dependence_of_settings(function))
				dependence_note(
				    dependence, DEPENDENCE_LATE,
				    psprintf("what function %s reads is not known", format_procedure(function)));
			break;
	}
	return false;
}

/* Judge a value of the session. */
static void
dependence_session_value(const SQLValueFunction *value, Dependence *dependence)
{
	switch (value->op)
	{
		case SVFOP_CURRENT_ROLE:
		case SVFOP_CURRENT_USER:
		case SVFOP_USER:
		case SVFOP_SESSION_USER:
			break; /* the owner, whose view it is */
		case SVFOP_CURRENT_CATALOG:
		case SVFOP_CURRENT_SCHEMA:
			dependence_note(dependence, DEPENDENCE_LATE,
			                pstrdup("a database or schema can be renamed unseen"));
			break;
		default:
			dependence->clock = true;
			break;
	}
}

/* Is the text of an object's name, which may change, made from one of these? */
static void
dependence_arguments(List *arguments, Dependence *dependence)
{
	ListCell *cell;

	foreach (cell, arguments)
	{
		Node *argument = lfirst(cell);

		if (IsA(argument, TargetEntry))
			argument = (Node *) ((TargetEntry *) argument)->expr;
		if (dependence_names_objects(exprType(argument)))
			dependence_note(dependence, DEPENDENCE_LATE,
			                pstrdup("names of objects can change unseen"));
	}
}

/* Judge one stored relation. */
static void
dependence_relation(Oid relid, Dependence *dependence)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;
	const char *name;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_class) GETSTRUCT(tuple);
	name = NameStr(form->relname);
	if (form->relkind == RELKIND_FOREIGN_TABLE)
	{
		dependence->foreign = true;
		dependence_note(dependence, DEPENDENCE_LATE,
		                psprintf("changes of foreign table %s are not seen", name));
	}
	else if (form->relkind == RELKIND_SEQUENCE)
		dependence_note(dependence, DEPENDENCE_LATE,
		                psprintf("changes of sequence %s are not seen", name));
	else if (!RELKIND_HAS_TABLE_AM(form->relkind))
		/* a view or partitioned table has no rows of its own */;
	else if (relid < FirstNormalObjectId)
		dependence_note(dependence, DEPENDENCE_LATE,
		                psprintf("changes of system catalog %s are not all seen", name));
	else if (form->relpersistence == RELPERSISTENCE_UNLOGGED)
		dependence_note(dependence, DEPENDENCE_UNSEEN, psprintf("table %s is unlogged", name));
	else if (form->relam != HEAP_TABLE_AM_OID)
		dependence_note(dependence, DEPENDENCE_UNSEEN,
		                psprintf("table %s has access method %s, whose changes are not seen", name,
		                         get_am_name(form->relam)));
	ReleaseSysCache(tuple);
}

/* Judge a relation of the query, with those that inherit from it. */
static void
dependence_entry(const RangeTblEntry *rte, Dependence *dependence)
{
	ListCell *cell;

	if (rte->tablesample != NULL && rte->tablesample->repeatable == NULL)
		dependence_note(dependence, DEPENDENCE_NONE,
		                pstrdup("TABLESAMPLE without REPEATABLE takes another sample each time"));
	if (rte->rtekind != RTE_RELATION || !OidIsValid(rte->relid))
		return;
	if (!rte->inh)
		dependence_relation(rte->relid, dependence);
	else
		foreach (cell, find_all_inheritors(rte->relid, AccessShareLock, NULL))
			dependence_relation(lfirst_oid(cell), dependence);
}

/* Walk over a query, with all that is in it. */
static bool
dependence_walker(Node *node, Dependence *dependence)
{
	if (node == NULL)
		return false;
	(void) check_functions_in_node(node, dependence_function, dependence);
	switch (nodeTag(node))
	{
		case T_Query:
			return query_tree_walker((Query *) node, dependence_walker, dependence,
			                         QTW_EXAMINE_RTES_BEFORE);
		case T_RangeTblEntry:
			dependence_entry((RangeTblEntry *) node, dependence);
			return false;
		case T_SQLValueFunction:
			dependence_session_value((SQLValueFunction *) node, dependence);
			break;
		case T_FuncExpr:
			if (func_volatile(((FuncExpr *) node)->funcid) == PROVOLATILE_STABLE)
				dependence_arguments(((FuncExpr *) node)->args, dependence);
			break;
		case T_CoerceViaIO:
			dependence_arguments(list_make1(((CoerceViaIO *) node)->arg), dependence);
			break;
		case T_Aggref:
			/* json_agg and the like make texts; min, count and array_agg do not */
			if (!dependence_names_objects(((Aggref *) node)->aggtype) &&
			    ((Aggref *) node)->aggtype != INT8OID)
				dependence_arguments(((Aggref *) node)->args, dependence);
			break;
		default:
			break;
	}
	return expression_tree_walker(node, dependence_walker, dependence);
}

/* What does a query, rewritten, depend on that cannot be followed? */
void
dependence_judge(Query *query, Dependence *dependence)
{
	const char *fault = session_fault(query);

	memset(dependence, 0, sizeof(*dependence));
	if (fault != NULL)
		dependence_note(dependence, DEPENDENCE_NONE, pstrdup(fault));
	(void) dependence_walker((Node *) query, dependence);
}
