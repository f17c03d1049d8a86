/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  Reading and writing freshet.view and freshet.cut.
 *
 * Both are read and written through the heap, not by SQL: the cut is written by
 * every cycle, and no function or setting of a user can come in between. Each
 * access sees the latest committed rows (and its own), whatever the
 * transaction's isolation level.
 *
 * What a backend remembers: where the tables are, dropped when schema freshet or
 * one of them changes; and for each view asked for whether it is maintained,
 * dropped by the relcache invalidation of that view, which every writer of its
 * row sends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "catalog/dependency.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "view/catalog.h"

/* columns of freshet.view */
#define Anum_view_view 1
#define Anum_view_maintain 2
#define Anum_view_settings 3
#define Anum_view_adopted 4
#define Anum_view_strategy 5
#define Anum_view_reason 6
#define Anum_view_fingerprint 7
#define Natts_view 7

/* columns of freshet.view_error */
#define Anum_error_view 1
#define Anum_error_sqlstate 2
#define Anum_error_error 3
#define Natts_error 3

/* columns of freshet.cut */
#define Anum_cut_db 1
#define Anum_cut_number 2
#define Anum_cut_snapshot 3
#define Anum_cut_lsn 4
#define Anum_cut_restart_lsn 5
#define Anum_cut_at_ms 6
#define Anum_cut_behind 7
#define Anum_cut_unsettled 8
#define Natts_cut 8

/* Where the extension's tables are in this database. */
typedef struct CatalogPlace
{
	bool known; /* the rest is up to date */
	bool installed;
	bool foreign; /* the extension is there, of a version with other tables */
	Oid schema;
	Oid view;
	Oid view_index;
	Oid error;
	Oid error_index;
	Oid cut;
} CatalogPlace;

/* Is a view maintained? */
typedef struct CatalogMaintained
{
	Oid view;
	bool maintained;
} CatalogMaintained;

bool catalog_maintain_default = true;

static CatalogPlace catalog_place;
static bool catalog_callbacks = false;
static HTAB *catalog_maintained = NULL;
static ItemPointerData catalog_cut_tid;
static bool catalog_has_changed = false;
static uint64 catalog_invalidation_count = 0;

/* Schema freshet may have come, gone or been renamed. */
static void
catalog_namespace_callback(Datum arg, int cache, uint32 hash)
{
	catalog_place.known = false;
}

/* A relation has changed: one of ours, or a view. */
static void
catalog_relation_callback(Datum arg, Oid relation)
{
	catalog_invalidation_count++;
	if (!catalog_place.installed || relation == InvalidOid || relation == catalog_place.view ||
	    relation == catalog_place.cut || relation == catalog_place.view_index ||
	    relation == catalog_place.error || relation == catalog_place.error_index)
		catalog_place.known = false;
	if (catalog_maintained == NULL)
		return;
	if (relation != InvalidOid)
		hash_search(catalog_maintained, &relation, HASH_REMOVE, NULL);
	else
	{
		HASH_SEQ_STATUS scan;
		CatalogMaintained *entry;

		hash_seq_init(&scan, catalog_maintained);
		while ((entry = hash_seq_search(&scan)) != NULL)
			hash_search(catalog_maintained, &entry->view, HASH_REMOVE, NULL);
	}
}

/*
 * Is the extension of a version with this library's tables? The first two numbers of a
 * version say which tables there are.
 */
static bool
catalog_version_fits(Oid extension)
{
	static const char ours[] = FRESHET_VERSION;
	Relation relation = table_open(ExtensionRelationId, AccessShareLock);
	bool fits = false;
	ScanKeyData key[1];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key[0], Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
	            ObjectIdGetDatum(extension));
	scan = systable_beginscan(relation, ExtensionOidIndexId, true, NULL, 1, key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool isnull;
		char *version = TextDatumGetCString(
		    heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(relation), &isnull));
		char *second = strchr(version, '.');
		size_t length =
		    second == NULL ? strlen(version) : second + 1 + strcspn(second + 1, ".") - version;

		fits = length == strlen(ours) && strncmp(version, ours, length) == 0;
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return fits;
}

/*
 * A table of ours and, if asked for, the index of its key; or InvalidOid. One of the
 * same name made by a user is not ours.
 */
static Oid
catalog_table(const char *name, Oid schema, Oid extension, Oid *index)
{
	Oid found = get_relname_relid(name, schema);
	Relation relation;

	if (!OidIsValid(found) || getExtensionOfObject(RelationRelationId, found) != extension)
		return InvalidOid;
	relation = table_open(found, AccessShareLock);
	if (index != NULL)
		*index = RelationGetPrimaryKeyIndex(relation);
	if (index != NULL && !OidIsValid(*index))
		found = InvalidOid;
	table_close(relation, AccessShareLock);
	return found;
}

/* Schema freshet, if it is the extension's own, or InvalidOid. */
static Oid
catalog_own_schema(Oid extension)
{
	Oid schema = get_namespace_oid("freshet", true);

	if (OidIsValid(schema) && getExtensionOfObject(NamespaceRelationId, schema) != extension)
		return InvalidOid;
	return schema;
}

/* Brings catalog_place up to date. */
static void
catalog_find(void)
{
	CatalogPlace place = {0};

	if (!catalog_callbacks)
	{
		CacheRegisterSyscacheCallback(NAMESPACEOID, catalog_namespace_callback, (Datum) 0);
		CacheRegisterRelcacheCallback(catalog_relation_callback, (Datum) 0);
		catalog_callbacks = true;
	}

	/* set first: what happens while we look must not be overwritten */
	catalog_place.known = true;
	place.known = true;
	if (OidIsValid(get_namespace_oid("freshet", true)))
	{
		Oid extension = get_extension_oid("freshet", true);

		place.schema = catalog_own_schema(extension);
		if (OidIsValid(extension) && OidIsValid(place.schema) &&
		    !(creating_extension && CurrentExtensionObject == extension))
		{
			place.view = catalog_table("view", place.schema, extension, &place.view_index);
			place.error = catalog_table("view_error", place.schema, extension, &place.error_index);
			place.cut = catalog_table("cut", place.schema, extension, NULL);
			place.installed = catalog_version_fits(extension) && OidIsValid(place.view) &&
			                  OidIsValid(place.error) && OidIsValid(place.cut);
			place.foreign = !place.installed;
		}
		else if (OidIsValid(extension))
			place.known = false; /* our own CREATE EXTENSION is under way */
	}
	place.known = place.known && catalog_place.known;
	if (place.cut != catalog_place.cut)
		ItemPointerSetInvalid(&catalog_cut_tid);
	catalog_place = place;
}

/* Is the extension there, with all of its tables? */
bool
catalog_installed(void)
{
	if (!catalog_place.known)
		catalog_find();
	return catalog_place.installed;
}

/* Is the extension there, of a version whose tables this library does not know? */
bool
catalog_foreign(void)
{
	return !catalog_installed() && catalog_place.foreign;
}

/* See catalog.h. */
void
catalog_version_changed(void)
{
	Oid schema = get_namespace_oid("freshet", true);
	Oid view = OidIsValid(schema) ? get_relname_relid("view", schema) : InvalidOid;

	if (OidIsValid(view))
		CacheInvalidateRelcacheByRelid(view);
	catalog_place.known = false;
}

/* Says that the extension is not there, or that it is not the library's. */
void
catalog_complain(int level)
{
	if (catalog_foreign())
		ereport(level,
		        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		         errmsg("extension \"freshet\" in database \"%s\" is of another version than "
		                "the library the server has loaded",
		                get_database_name(MyDatabaseId)),
		         errdetail("Views keep their content until the versions agree."),
		         errhint("Run ALTER EXTENSION freshet UPDATE, or restart the server with the "
		                 "library of that version.")));
	else
		ereport(level, (errcode(ERRCODE_UNDEFINED_OBJECT),
		                errmsg("extension \"freshet\" is not installed in this database"),
		                errhint("Run CREATE EXTENSION freshet.")));
}

/* Schema freshet. */
Oid
catalog_schema(void)
{
	if (!catalog_installed())
		catalog_complain(ERROR);
	return catalog_place.schema;
}

/* See catalog.h. */
bool
catalog_is_view_table(Oid relation)
{
	return catalog_installed() && relation == catalog_place.view;
}

/* See catalog.h. */
bool
catalog_is_table(Oid relation)
{
	return catalog_installed() &&
	       (relation == catalog_place.view || relation == catalog_place.error ||
	        relation == catalog_place.cut);
}

/* A relation's name with its schema; its oid if it is gone. */
char *
catalog_name(Oid relation)
{
	char *name = get_rel_name(relation);

	if (name == NULL)
		return psprintf("%u", relation);
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), name);
}

/*
 * Opens one of our tables, or returns NULL: the extension may have been dropped
 * while we waited for the lock.
 */
static Relation
catalog_try_open(const Oid *place, LOCKMODE mode)
{
	Oid relation;

	if (!catalog_installed())
		return NULL;
	relation = *place;
	LockRelationOid(relation, mode);
	if (catalog_installed() && *place == relation)
		return table_open(relation, NoLock);
	UnlockRelationOid(relation, mode);
	return NULL;
}

/* Opens one of our tables. */
static Relation
catalog_open(const Oid *place, LOCKMODE mode)
{
	Relation relation = catalog_try_open(place, mode);

	if (relation == NULL)
		catalog_complain(ERROR);
	return relation;
}

/* A text array, as in column settings, as a list of C strings. */
List *
catalog_settings_of(Datum array)
{
	Datum *elements;
	bool *nulls;
	int count;
	List *list = NIL;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements,
	                  &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (!nulls[i])
			list = lappend(list, TextDatumGetCString(elements[i]));
	}
	return list;
}

/* A list of C strings as a text array. */
static Datum
catalog_array_of_list(List *list)
{
	Datum *elements = palloc(sizeof(Datum) * Max(list_length(list), 1));
	int count = 0;
	ListCell *cell;

	foreach (cell, list)
		elements[count++] = CStringGetTextDatum((char *) lfirst(cell));
	return PointerGetDatum(construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* A row of freshet.view in the current memory context. */
static ViewRow *
catalog_row(HeapTuple tuple, TupleDesc descriptor)
{
	ViewRow *row = palloc0(sizeof(ViewRow));
	Datum values[Natts_view];
	bool nulls[Natts_view];

	heap_deform_tuple(tuple, descriptor, values, nulls);
	row->view = DatumGetObjectId(values[Anum_view_view - 1]);
	row->maintain = DatumGetBool(values[Anum_view_maintain - 1]);
	row->adopted = DatumGetBool(values[Anum_view_adopted - 1]);
	row->fingerprint = (uint64) DatumGetInt64(values[Anum_view_fingerprint - 1]);
	row->settings = catalog_settings_of(values[Anum_view_settings - 1]);
	if (!nulls[Anum_view_strategy - 1])
		row->strategy = TextDatumGetCString(values[Anum_view_strategy - 1]);
	if (!nulls[Anum_view_reason - 1])
		row->reason = TextDatumGetCString(values[Anum_view_reason - 1]);
	return row;
}

/* Starts the scan of a table whose first column is its key: for a view's row, or for all rows (InvalidOid). */
static SysScanDesc
catalog_scan(Relation relation, Oid index, Oid view)
{
	ScanKeyData key[1];

	if (!OidIsValid(view))
		return systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	ScanKeyInit(&key[0], 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(view));
	return systable_beginscan(relation, index, true, NULL, 1, key);
}

/* Why a view is behind, or NULL. */
char *
catalog_view_error(Oid view)
{
	Relation relation = catalog_open(&catalog_place.error, AccessShareLock);
	SysScanDesc scan = catalog_scan(relation, catalog_place.error_index, view);
	HeapTuple tuple = systable_getnext(scan);
	char *error = NULL;

	if (HeapTupleIsValid(tuple))
	{
		bool null;

		error = TextDatumGetCString(
		    heap_getattr(tuple, Anum_error_error, RelationGetDescr(relation), &null));
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return error;
}

/* All rows of freshet.view. */
List *
catalog_views(void)
{
	Relation relation = catalog_try_open(&catalog_place.view, AccessShareLock);
	SysScanDesc scan;
	HeapTuple tuple;
	List *rows = NIL;

	if (relation == NULL)
		return NIL;
	scan = catalog_scan(relation, InvalidOid, InvalidOid);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		rows = lappend(rows, catalog_row(tuple, RelationGetDescr(relation)));
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return rows;
}

/* The row of a view, or NULL. */
ViewRow *
catalog_view(Oid view)
{
	Relation relation = catalog_try_open(&catalog_place.view, AccessShareLock);
	SysScanDesc scan;
	HeapTuple tuple;
	ViewRow *row = NULL;

	if (relation == NULL)
		return NULL;
	scan = catalog_scan(relation, catalog_place.view_index, view);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		row = catalog_row(tuple, RelationGetDescr(relation));
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return row;
}

/*
 * Is the view populated and maintained? The answer is remembered until the
 * relation changes.
 */
bool
catalog_view_maintained(Oid view)
{
	CatalogMaintained *entry;
	bool maintained = false;
	HeapTuple tuple;

	if (!catalog_installed())
		return false;
	if (catalog_maintained == NULL)
	{
		HASHCTL control = {.keysize = sizeof(Oid), .entrysize = sizeof(CatalogMaintained)};

		catalog_maintained =
		    hash_create("freshet maintained views", 64, &control, HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(catalog_maintained, &view, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->maintained;

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(view));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relkind == RELKIND_MATVIEW && form->relispopulated)
		{
			ViewRow *row = catalog_view(view);

			maintained = row != NULL && row->maintain;
		}
		ReleaseSysCache(tuple);
	}
	entry = hash_search(catalog_maintained, &view, HASH_ENTER, NULL);
	entry->maintained = maintained;
	return maintained;
}

/* Columns of a view's row that are to be replaced. */
typedef struct ViewUpdate
{
	Datum values[Natts_view];
	bool nulls[Natts_view];
	bool replace[Natts_view];
} ViewUpdate;

/* Sets a column. */
static void
catalog_set(ViewUpdate *update, int attribute, Datum value)
{
	update->values[attribute - 1] = value;
	update->replace[attribute - 1] = true;
}

/* Sets a text column; NULL is NULL. */
static void
catalog_set_text(ViewUpdate *update, int attribute, const char *text)
{
	catalog_set(update, attribute, text == NULL ? (Datum) 0 : CStringGetTextDatum(text));
	update->nulls[attribute - 1] = text == NULL;
}

/* Replaces columns of a view's row; no row: nothing happens. */
static void
catalog_view_update(Oid view, ViewUpdate *update)
{
	Relation relation = catalog_open(&catalog_place.view, RowExclusiveLock);
	SysScanDesc scan = catalog_scan(relation, catalog_place.view_index, view);
	HeapTuple tuple = systable_getnext(scan);

	if (HeapTupleIsValid(tuple))
	{
		HeapTuple changed = heap_modify_tuple(tuple, RelationGetDescr(relation), update->values,
		                                      update->nulls, update->replace);

		CatalogTupleUpdate(relation, &tuple->t_self, changed);
		heap_freetuple(changed);
	}
	systable_endscan(scan);
	table_close(relation, RowExclusiveLock);
	CommandCounterIncrement();
}

/* The view's row has been made, removed, or says something else about maintain. */
static void
catalog_view_changed(Oid view)
{
	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(view)))
		CacheInvalidateRelcacheByRelid(view);
	if (catalog_maintained != NULL)
		hash_search(catalog_maintained, &view, HASH_REMOVE, NULL);
	catalog_changed();
}

/* Makes the row of a view, not adopted; one that is there is made anew. */
void
catalog_view_insert(Oid view, bool maintain, List *settings)
{
	Relation relation;
	Datum values[Natts_view] = {0};
	bool nulls[Natts_view] = {0};
	HeapTuple tuple;

	catalog_view_delete(view);
	relation = catalog_open(&catalog_place.view, RowExclusiveLock);
	values[Anum_view_view - 1] = ObjectIdGetDatum(view);
	values[Anum_view_maintain - 1] = BoolGetDatum(maintain);
	values[Anum_view_settings - 1] = catalog_array_of_list(settings);
	values[Anum_view_adopted - 1] = BoolGetDatum(false);
	values[Anum_view_fingerprint - 1] = Int64GetDatum(0);
	nulls[Anum_view_strategy - 1] = true;
	nulls[Anum_view_reason - 1] = true;
	tuple = heap_form_tuple(RelationGetDescr(relation), values, nulls);
	CatalogTupleInsert(relation, tuple);
	heap_freetuple(tuple);
	table_close(relation, RowExclusiveLock);
	CommandCounterIncrement();
	catalog_view_changed(view);
}

/* Shall the view be maintained? Either way it is not adopted afterwards. */
void
catalog_view_set_maintain(Oid view, bool maintain)
{
	ViewUpdate update = {0};

	catalog_set(&update, Anum_view_maintain, BoolGetDatum(maintain));
	catalog_set(&update, Anum_view_adopted, BoolGetDatum(false));
	catalog_view_update(view, &update);
	catalog_view_changed(view);
}

/*
 * Are the view's content and hidden state those of the committed cut, and from
 * what were they made?
 */
void
catalog_view_set_adopted(Oid view, bool adopted, uint64 fingerprint)
{
	ViewUpdate update = {0};

	catalog_set(&update, Anum_view_adopted, BoolGetDatum(adopted));
	catalog_set(&update, Anum_view_fingerprint, Int64GetDatum((int64) fingerprint));
	catalog_view_update(view, &update);
}

/* How the view is maintained, and why so. */
void
catalog_view_set_strategy(Oid view, const char *strategy, const char *reason)
{
	ViewUpdate update = {0};

	catalog_set_text(&update, Anum_view_strategy, strategy);
	catalog_set_text(&update, Anum_view_reason, reason);
	catalog_view_update(view, &update);
}

/* Why the view is not at the frontier; NULL: it has recovered. */
void
catalog_view_set_error(Oid view, const char *sqlstate, const char *error)
{
	Relation relation = catalog_open(&catalog_place.error, RowExclusiveLock);
	SysScanDesc scan = catalog_scan(relation, catalog_place.error_index, view);
	HeapTuple tuple = systable_getnext(scan);

	if (HeapTupleIsValid(tuple))
		CatalogTupleDelete(relation, &tuple->t_self);
	systable_endscan(scan);
	if (error != NULL)
	{
		Datum values[Natts_error] = {ObjectIdGetDatum(view), CStringGetTextDatum(sqlstate),
		                             CStringGetTextDatum(error)};
		bool nulls[Natts_error] = {false};

		tuple = heap_form_tuple(RelationGetDescr(relation), values, nulls);
		CatalogTupleInsert(relation, tuple);
		heap_freetuple(tuple);
	}
	table_close(relation, RowExclusiveLock);
	CommandCounterIncrement();
}

/* Removes the row of a view, if there is one. */
void
catalog_view_delete(Oid view)
{
	Relation relation = catalog_open(&catalog_place.view, RowExclusiveLock);
	SysScanDesc scan = catalog_scan(relation, catalog_place.view_index, view);
	HeapTuple tuple = systable_getnext(scan);
	bool found = HeapTupleIsValid(tuple);

	if (found)
		CatalogTupleDelete(relation, &tuple->t_self);
	systable_endscan(scan);
	table_close(relation, RowExclusiveLock);
	if (found)
	{
		catalog_view_set_error(view, NULL, NULL);
		catalog_view_changed(view);
	}
}

/* Takes an array of oids out of a column of freshet.cut. */
static int
catalog_cut_oids(Datum column, Oid **oids)
{
	Datum *elements;
	int count;

	deconstruct_array(DatumGetArrayTypeP(column), OIDOID, sizeof(Oid), true, TYPALIGN_INT,
	                  &elements, NULL, &count);
	*oids = count > 0 ? palloc(count * sizeof(Oid)) : NULL;
	for (int i = 0; i < count; i++)
		(*oids)[i] = DatumGetObjectId(elements[i]);
	return count;
}

/* The reverse. */
static Datum
catalog_cut_array(const Oid *oids, int count)
{
	Datum *elements = palloc(Max(count, 1) * sizeof(Datum));

	for (int i = 0; i < count; i++)
		elements[i] = ObjectIdGetDatum(oids[i]);
	return PointerGetDatum(
	    construct_array(elements, count, OIDOID, sizeof(Oid), true, TYPALIGN_INT));
}

/* The committed cut; its "completed" is 0, which covers nothing. */
Cut *
catalog_cut_read(void)
{
	Relation relation;
	SysScanDesc scan;
	HeapTuple tuple;
	Cut *cut = NULL;

	relation = catalog_open(&catalog_place.cut, AccessShareLock);
	scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Datum values[Natts_cut];
		bool nulls[Natts_cut];

		heap_deform_tuple(tuple, RelationGetDescr(relation), values, nulls);
		if (DatumGetObjectId(values[Anum_cut_db - 1]) == MyDatabaseId)
		{
			cut = palloc0(sizeof(Cut));
			cut->number = (uint64) DatumGetInt64(values[Anum_cut_number - 1]);
			cut->snapshot = cut_restore_snapshot(DatumGetByteaP(values[Anum_cut_snapshot - 1]));
			cut->lsn = DatumGetLSN(values[Anum_cut_lsn - 1]);
			cut->restart_lsn = DatumGetLSN(values[Anum_cut_restart_lsn - 1]);
			cut->at_ms = DatumGetInt64(values[Anum_cut_at_ms - 1]);
			cut->behind_count = catalog_cut_oids(values[Anum_cut_behind - 1], &cut->behind);
			cut->unsettled_count =
			    catalog_cut_oids(values[Anum_cut_unsettled - 1], &cut->unsettled);
		}
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return cut;
}

/*
 * Where the cut's row is: where this backend wrote it last, if that version is
 * still the live one, else found by a scan. Older versions on the same page are
 * pruned on the way, so that the row stays on it.
 */
static bool
catalog_cut_locate(Relation relation, ItemPointer tid)
{
	SysScanDesc scan;
	HeapTuple found;

	if (ItemPointerIsValid(&catalog_cut_tid) &&
	    ItemPointerGetBlockNumber(&catalog_cut_tid) < RelationGetNumberOfBlocks(relation))
	{
		HeapTupleData tuple;
		Buffer buffer;

		tuple.t_self = catalog_cut_tid;
		if (heap_fetch(relation, SnapshotSelf, &tuple, &buffer, false))
		{
			heap_page_prune_opt(relation, buffer);
			ReleaseBuffer(buffer);
			*tid = catalog_cut_tid;
			return true;
		}
	}

	scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	found = systable_getnext(scan);
	if (HeapTupleIsValid(found))
		*tid = found->t_self;
	systable_endscan(scan);
	return HeapTupleIsValid(found);
}

/* Makes this the committed cut, with the transaction. */
void
catalog_cut_write(const Cut *cut)
{
	Relation relation;
	Datum values[Natts_cut];
	bool nulls[Natts_cut] = {0};
	HeapTuple tuple;
	ItemPointerData tid;

	relation = catalog_open(&catalog_place.cut, RowExclusiveLock);
	values[Anum_cut_db - 1] = ObjectIdGetDatum(MyDatabaseId);
	values[Anum_cut_number - 1] = Int64GetDatum((int64) cut->number);
	values[Anum_cut_snapshot - 1] = PointerGetDatum(cut_serialize_snapshot(cut));
	values[Anum_cut_lsn - 1] = LSNGetDatum(cut->lsn);
	values[Anum_cut_restart_lsn - 1] = LSNGetDatum(cut->restart_lsn);
	values[Anum_cut_at_ms - 1] = Int64GetDatum(cut->at_ms);
	values[Anum_cut_behind - 1] = catalog_cut_array(cut->behind, cut->behind_count);
	values[Anum_cut_unsettled - 1] = catalog_cut_array(cut->unsettled, cut->unsettled_count);
	tuple = heap_form_tuple(RelationGetDescr(relation), values, nulls);

	if (catalog_cut_locate(relation, &tid))
		simple_heap_update(relation, &tid, tuple);
	else
		simple_heap_insert(relation, tuple);
	catalog_cut_tid = tuple->t_self;

	pfree(DatumGetPointer(values[Anum_cut_snapshot - 1]));
	heap_freetuple(tuple);
	table_close(relation, RowExclusiveLock);
}

/* See catalog.h; wake.c does it. */
void
catalog_changed(void)
{
	catalog_has_changed = true;
}

/* Was catalog_changed called in this transaction? */
bool
catalog_take_changed(void)
{
	bool changed = catalog_has_changed;

	catalog_has_changed = false;
	return changed;
}

/*
 * How many relation invalidations this backend has seen since it first looked
 * for the extension: unchanged means that no view's row has changed either.
 */
uint64
catalog_invalidations(void)
{
	AcceptInvalidationMessages();
	return catalog_invalidation_count;
}
