/*-------------------------------------------------------------------------
 *
 * auto_index.c
 *	  Which missing indexes are made without being asked for, and the record of
 *	  them in freshet.made_index.
 *
 * A table's owner chooses for the table, by a label: SECURITY LABEL FOR freshet ON
 * TABLE t IS 'auto_index' or 'no auto_index'. It needs no extension in the database,
 * goes with the table and is dumped with it. Where there is none, the setting
 * freshet.auto_index decides. An index is made once: one that is dropped stays
 * dropped until the table is labelled anew.
 *
 * Invariants:
 *	- No index of ours can refuse a row: columns whose values can be too long for
 *	  a B-tree get a hash index, which holds no values.
 *	- Only what the record names is ever dropped, and only if it was not finished.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_am.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/seclabel.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "pg/role.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "view/auto_index.h"
#include "view/catalog.h"
#include "view/remember.h"

/* So many columns of so many bytes at most are less than a third of a page, the limit. */
#define AUTO_INDEX_MOST_COLUMNS 4
#define AUTO_INDEX_MOST_BYTES 500

bool auto_index_enabled = false;

/* The provider of labels, and what they may say. */
#define AUTO_INDEX_WANTED "auto_index"
#define AUTO_INDEX_UNWANTED "no auto_index"

/*
 * Run a query on our own tables, as the superuser. Returns the first column of
 * the first row in the caller's memory, or NULL.
 */
static char *
auto_index_query(const char *query, int count, Oid *types, Datum *values, const char *nulls)
{
	MemoryContext caller = CurrentMemoryContext;
	char *result = NULL;
	Role before;

	role_own(&before);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(query, count, types, values, nulls, false, 0) < 0)
		elog(ERROR, "could not run: %s", query);
	if (SPI_processed > 0 && SPI_tuptable != NULL)
	{
		char *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

		if (value != NULL)
			result = MemoryContextStrdup(caller, value);
	}
	SPI_finish();
	PopActiveSnapshot();
	role_restore(&before);
	return result;
}

/* Likewise, with a relation for its parameter. */
static char *
auto_index_query_relation(const char *query, Oid relid)
{
	Oid types[1] = {OIDOID};
	Datum values[1] = {ObjectIdGetDatum(relid)};

	return auto_index_query(query, 1, types, values, NULL);
}

/* May indexes be made at all? */
bool
auto_index_any(void)
{
	return auto_index_enabled ||
	       auto_index_query("SELECT 1 FROM pg_catalog.pg_seclabel WHERE provider = "
	                        "'" AUTO_INDEX_PROVIDER "' AND label = '" AUTO_INDEX_WANTED "' LIMIT 1",
	                        0, NULL, NULL, NULL) != NULL;
}

/* Shall missing indexes of a relation be made? Of tables that users own alone. */
bool
auto_index_wanted(Oid relid)
{
	ObjectAddress table;
	char *label;

	if (get_rel_relkind(relid) != RELKIND_RELATION ||
	    get_rel_persistence(relid) == RELPERSISTENCE_TEMP || relid < FirstNormalObjectId ||
	    get_rel_namespace(relid) == catalog_schema())
		return false;
	ObjectAddressSet(table, RelationRelationId, relid);
	label = GetSecurityLabel(&table, AUTO_INDEX_PROVIDER);
	return label != NULL ? strcmp(label, AUTO_INDEX_WANTED) == 0 : auto_index_enabled;
}

/* Can every value of a column be a key of a B-tree, beside those of others? */
static bool
auto_index_bounded(Oid relid, AttrNumber attribute)
{
	HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attribute));
	Form_pg_attribute form;
	int32 typmod;
	Oid base;
	bool bounded;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_attribute) GETSTRUCT(tuple);
	typmod = form->atttypmod;
	base = getBaseTypeAndTypmod(form->atttypid, &typmod);
	bounded = form->attlen > 0 || base == INETOID || (base == NUMERICOID && typmod >= 0) ||
	          ((base == VARCHAROID || base == BPCHAROID) && typmod > 0 &&
	           typmod * MAX_MULTIBYTE_CHAR_LEN <= AUTO_INDEX_MOST_BYTES);
	ReleaseSysCache(tuple);
	return bounded;
}

/* The columns that the index will have; hash: it is to be a hash index. */
static List *
auto_index_columns(const MissingIndex *missing, bool *hash)
{
	List *columns = NIL;
	ListCell *cell;

	*hash = false;
	foreach (cell, missing->attributes)
		if (list_length(columns) < AUTO_INDEX_MOST_COLUMNS &&
		    auto_index_bounded(missing->relid, lfirst_int(cell)))
			columns = lappend_int(columns, lfirst_int(cell));
	foreach (cell, missing->attributes)
	{
		Oid type = get_atttype(missing->relid, lfirst_int(cell));

		if (columns == NIL && OidIsValid(GetDefaultOpClass(type, HASH_AM_OID)))
		{
			*hash = true;
			columns = list_make1_int(lfirst_int(cell));
		}
	}
	return columns;
}

/* Is an index there that was not finished? */
static bool
auto_index_unfinished(Oid relid, Oid index)
{
	HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	bool result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_index) GETSTRUCT(tuple))->indrelid == relid &&
	         !((Form_pg_index) GETSTRUCT(tuple))->indisvalid;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * How a missing index is to be made; NULL: it is not, because nobody wants it,
 * it was made before, its time has not come, or its name is taken.
 */
AutoIndex *
auto_index_make(const MissingIndex *missing)
{
	Oid relid = missing->relid;
	AutoIndex *index = palloc0(sizeof(AutoIndex));
	Oid namespace = get_rel_namespace(relid);
	StringInfoData names;
	StringInfoData columns;
	HeapTuple tuple;
	Oid types[2] = {OIDOID, TEXTOID};
	Datum values[2];
	char *state;
	Oid existing;
	bool hash;
	ListCell *cell;

	if (!auto_index_wanted(relid))
		return NULL;
	initStringInfo(&names);
	initStringInfo(&columns);
	foreach (cell, auto_index_columns(missing, &hash))
	{
		char *name = get_attname(relid, lfirst_int(cell), false);

		appendStringInfo(&names, "%s%s", names.len > 0 ? "_" : "", name);
		appendStringInfo(&columns, "%s%s", columns.len > 0 ? ", " : "", quote_identifier(name));
	}
	if (columns.len == 0)
		return NULL;
	index->relid = relid;
	index->name = makeObjectName(get_rel_name(relid), names.data, "freshet_idx");
	index->command =
	    psprintf("CREATE INDEX CONCURRENTLY %s ON %s USING %s (%s)", quote_identifier(index->name),
	             quote_qualified_identifier(get_namespace_name(namespace), get_rel_name(relid)),
	             hash ? "hash" : "btree", columns.data);
	index->drop = psprintf("DROP INDEX CONCURRENTLY %s",
	                       quote_qualified_identifier(get_namespace_name(namespace), index->name));
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	index->owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);

	values[0] = ObjectIdGetDatum(relid);
	values[1] = CStringGetTextDatum(index->name);
	state =
	    auto_index_query("SELECT CASE WHEN made_at IS NOT NULL THEN 'made' WHEN retry_at > now() "
	                     "THEN 'later' ELSE 'begun' END FROM freshet.made_index "
	                     "WHERE relation = $1 AND name = $2",
	                     2, types, values, NULL);
	if (state != NULL && strcmp(state, "begun") != 0)
		return NULL;
	existing = get_relname_relid(index->name, namespace);
	if (!OidIsValid(existing))
		return index;
	index->leftover = state != NULL && auto_index_unfinished(relid, existing);
	return index->leftover ? index : NULL;
}

/* Note that an index is about to be made. */
void
auto_index_begin(const AutoIndex *index)
{
	Oid types[2] = {OIDOID, TEXTOID};
	Datum values[2] = {ObjectIdGetDatum(index->relid), CStringGetTextDatum(index->name)};

	(void) auto_index_query("INSERT INTO freshet.made_index (relation, name) VALUES ($1, $2) "
	                        "ON CONFLICT DO NOTHING",
	                        2, types, values, NULL);
}

/* Note that an index was made (error is NULL), or why not. */
void
auto_index_end(const AutoIndex *index, const char *error)
{
	Oid types[3] = {OIDOID, TEXTOID, TEXTOID};
	Datum values[3] = {ObjectIdGetDatum(index->relid), CStringGetTextDatum(index->name), (Datum) 0};
	char nulls[3] = {' ', ' ', 'n'};

	if (error != NULL)
	{
		values[2] = CStringGetTextDatum(error);
		nulls[2] = ' ';
	}
	(void) auto_index_query(
	    "UPDATE freshet.made_index SET error = $3, "
	    "made_at = CASE WHEN $3 IS NULL THEN clock_timestamp() END, "
	    "failures = CASE WHEN $3 IS NULL THEN 0 ELSE failures + 1 END, "
	    "retry_at = CASE WHEN $3 IS NOT NULL THEN "
	    "clock_timestamp() + least(interval '1 minute' * 2 ^ failures, interval '1 day') END "
	    "WHERE relation = $1 AND name = $2",
	    3, types, values, nulls);
}

/* Forget what was noted of tables that are gone. */
void
auto_index_forget(void)
{
	(void) auto_index_query("DELETE FROM freshet.made_index m WHERE NOT EXISTS "
	                        "(SELECT FROM pg_catalog.pg_class WHERE oid = m.relation)",
	                        0, NULL, NULL, NULL);
}

/* Is this an index that we made? */
bool
auto_index_made(Oid index)
{
	return auto_index_query_relation(
	           "SELECT 1 FROM freshet.made_index m JOIN pg_catalog.pg_index i "
	           "ON i.indrelid = m.relation JOIN pg_catalog.pg_class c "
	           "ON c.oid = i.indexrelid AND c.relname = m.name "
	           "WHERE i.indexrelid = $1",
	           index) != NULL;
}

/* Why an index of a table could not be made, or NULL. */
char *
auto_index_error(Oid relid)
{
	return auto_index_query_relation("SELECT error FROM freshet.made_index WHERE relation = $1 "
	                                 "AND error IS NOT NULL ORDER BY name LIMIT 1",
	                                 relid);
}

/*
 * A table is labelled: check what its owner says. What failed or was dropped is
 * tried anew.
 */
static void
auto_index_label(const ObjectAddress *object, const char *label)
{
	if (object->classId == RelationRelationId && object->objectSubId == 0 &&
	    get_rel_relkind(object->objectId) == RELKIND_MATVIEW &&
	    (label == NULL || remember_check_label(label)))
		return;
	if (object->classId != RelationRelationId || object->objectSubId != 0 ||
	    get_rel_relkind(object->objectId) != RELKIND_RELATION)
		ereport(ERROR,
		        (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("only tables have labels of freshet")));
	if (label != NULL && strcmp(label, AUTO_INDEX_WANTED) != 0 &&
	    strcmp(label, AUTO_INDEX_UNWANTED) != 0)
		ereport(ERROR,
		        (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown label \"%s\"", label),
		         errhint("A table's label of freshet is \"" AUTO_INDEX_WANTED
		                 "\" or \"" AUTO_INDEX_UNWANTED "\".")));
	if (!catalog_installed())
		return;
	(void) auto_index_query_relation(
	    "UPDATE freshet.made_index m SET made_at = NULL, retry_at = NULL WHERE relation = $1 AND "
	    "NOT EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c "
	    "ON c.oid = i.indexrelid WHERE i.indrelid = m.relation AND c.relname = m.name "
	    "AND i.indisvalid)",
	    object->objectId);
	catalog_changed();
}

/* Once, at library load. */
void
auto_index_register(void)
{
	register_label_provider(AUTO_INDEX_PROVIDER, auto_index_label);
}
