/*-------------------------------------------------------------------------
 *
 * locator.c
 *	  Finding a view's row again by its image, to delete it.
 *
 * Through a unique index that a user made, or else through a hidden table of
 * (hash, tid), built when a row first has to be found. Either only gives
 * candidates: a row is taken if its image is the same. A keyless view may hold
 * the same row many times; as many as wanted are given.
 *
 * The hash is that of the columns which tell rows apart (ViewTarget.identity),
 * so that it outlives updates of the others. An entry's tid is used as an
 * index would use it: it is that of the root of a HOT chain, and stays right as
 * long as the row moves along the chain; where it has to leave the chain, its
 * entry is updated. Entries are removed with their rows, never left behind.
 * What has been found or written is remembered (places.c), and looked at there
 * first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "delta/image.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "view/apply.h"

#define ROWS_HASH 1
#define ROWS_TID 2

/* Entries written by one multi-insert while the rows table is built. */
#define BUILD_BATCH 512

/* Reading so many entries on costs less than looking for one anew. */
#define SEEK_MOST 4

struct ViewLocator
{
	Relation rows; /* freshet.rows_<oid>; NULL: none */
	Relation rows_index;
	IndexScanDesc rows_scan;
	bool rows_onward; /* the scan is of all entries from a hash on, not only of its own */
	TupleTableSlot *rows_slot;
	bool rows_read;   /* rows_slot holds an entry of the scan */
	bool rows_passed; /* which was looked at */
	int64 rows_hash;  /* the hash that was read last, or looked for in vain */
	IndexInfo *rows_info;
	EState *estate;
	BulkInsertState bulk;
	Relation unique; /* the user's index; NULL: none */
	IndexScanDesc unique_scan;
	TupleTableSlot *candidate;
};

/* The hidden table of a view's rows, or InvalidOid. */
static Oid
locator_relation(Oid view)
{
	return hidden_relation("rows", view);
}

/* Is this column among those by which rows are found? */
static bool
locator_known(const ViewTarget *target, AttrNumber column)
{
	for (int i = 0; i < target->identity_count && target->by_identity; i++)
		if (target->identity[i] == column)
			return true;
	return !target->by_identity && column > 0;
}

/* A unique index that identifies rows by plain columns, or NULL. */
static Relation
locator_unique_index(ViewTarget *target)
{
	for (int i = 0; i < target->result->ri_NumIndices; i++)
	{
		Relation index = target->result->ri_IndexRelationDescs[i];
		Form_pg_index form = index->rd_index;
		bool usable = form->indisunique && form->indisvalid && form->indimmediate &&
		              RelationGetIndexPredicate(index) == NIL &&
		              index->rd_rel->relam == BTREE_AM_OID;

		for (int j = 0; j < form->indnkeyatts && usable; j++)
			usable = locator_known(target, form->indkey.values[j]);
		if (usable)
			return index;
	}
	return NULL;
}

/* Read the next entry, if there is one. */
static void
locator_next(ViewLocator *locator)
{
	bool isnull;

	locator->rows_read =
	    index_getnext_slot(locator->rows_scan, ForwardScanDirection, locator->rows_slot);
	locator->rows_passed = false;
	if (locator->rows_read)
		locator->rows_hash = DatumGetInt64(slot_getattr(locator->rows_slot, ROWS_HASH, &isnull));
}

/* Was an entry of this hash read last? */
static bool
locator_at(const ViewLocator *locator, int64 hash)
{
	return locator->rows_read && locator->rows_hash == hash;
}

/*
 * Go to the first entry of a hash, if there is one. Rows are looked for in the
 * order of their hashes. Where these are integers that stand for themselves, those of one
 * change are often numbers in a row, and the entry is one of the next: the second of such
 * numbers begins a scan that the others read on. A scan of one hash alone costs less to begin.
 */
static void
locator_seek(ViewLocator *locator, int64 hash)
{
	bool near =
	    hash > locator->rows_hash && (uint64) hash - (uint64) locator->rows_hash <= SEEK_MOST;

	if (near && locator->rows_onward)
		for (int i = 0; i < SEEK_MOST && locator->rows_read && locator->rows_hash < hash; i++)
			locator_next(locator);
	if (!locator_at(locator, hash) || locator->rows_passed)
	{
		ScanKeyData key;

		ScanKeyInit(&key, 1, near ? BTGreaterEqualStrategyNumber : BTEqualStrategyNumber,
		            near ? F_INT8GE : F_INT8EQ, Int64GetDatum(hash));
		index_rescan(locator->rows_scan, &key, 1, NULL, 0);
		locator->rows_onward = near;
		locator->rows_hash = hash;
		locator_next(locator);
	}
}

/* Put an entry into a slot of the rows table. */
static void
locator_entry(TupleTableSlot *slot, uint64 hash, ItemPointer tid)
{
	ExecClearTuple(slot);
	slot->tts_values[ROWS_HASH - 1] = Int64GetDatum((int64) hash);
	slot->tts_values[ROWS_TID - 1] = PointerGetDatum(tid);
	slot->tts_isnull[ROWS_HASH - 1] = slot->tts_isnull[ROWS_TID - 1] = false;
	ExecStoreVirtualTuple(slot);
}

/* Have the index lead to the entry just written. */
static void
locator_index(ViewLocator *locator, uint64 hash)
{
	Datum value = Int64GetDatum((int64) hash);
	bool isnull = false;

	index_insert(locator->rows_index, &value, &isnull, &locator->rows_slot->tts_tid, locator->rows,
	             UNIQUE_CHECK_NO, false, locator->rows_info);
}

/* Write one entry of the rows table. */
static void
locator_write(ViewLocator *locator, uint64 hash, ItemPointer tid)
{
	locator->rows_read = false;
	locator_entry(locator->rows_slot, hash, tid);
	table_tuple_insert(locator->rows, locator->rows_slot, GetCurrentCommandId(true), 0,
	                   locator->bulk);
	locator_index(locator, hash);
}

/* Have an entry lead to where its row is now: mostly without touching the index. */
static void
locator_rewrite(ViewLocator *locator, uint64 hash, ItemPointer tid, ItemPointer entry)
{
	TM_FailureData failure;
	LockTupleMode mode;
	bool update_indexes;

	locator->rows_read = false;
	locator_entry(locator->rows_slot, hash, tid);
	if (table_tuple_update(locator->rows, entry, locator->rows_slot, GetCurrentCommandId(true),
	                       SnapshotSelf, InvalidSnapshot, true, &failure, &mode,
	                       &update_indexes) != TM_Ok)
		elog(ERROR, "could not update a locator entry");
	if (update_indexes)
		locator_index(locator, hash);
}

/* Open the rows table and its index. */
static void
locator_open_rows(ViewTarget *target, ViewLocator *locator, Oid rows)
{
	locator->rows = table_open(rows, RowExclusiveLock);
	locator->rows_slot = table_slot_create(locator->rows, NULL);
	locator->bulk = GetBulkInsertState();
	locator->rows_index = index_open(hidden_index(rows), RowExclusiveLock);
	locator->rows_info = BuildIndexInfo(locator->rows_index);
	locator->rows_scan = index_beginscan(locator->rows, locator->rows_index, SnapshotSelf, 1, 0);
}

/*
 * Where the HOT chain of a scanned row begins: pruning takes away what lies
 * between. roots are those of the block, filled when a new one begins.
 */
static ItemPointerData
locator_root(TupleTableSlot *row, BlockNumber *block, OffsetNumber *roots)
{
	ItemPointerData result = row->tts_tid;
	Buffer buffer = ((BufferHeapTupleTableSlot *) row)->buffer;

	if (!HeapTupleIsHeapOnly(ExecFetchSlotHeapTuple(row, false, NULL)))
		return result;
	if (*block != ItemPointerGetBlockNumber(&result))
	{
		*block = ItemPointerGetBlockNumber(&result);
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		heap_get_root_tuples(BufferGetPage(buffer), roots);
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	}
	ItemPointerSetOffsetNumber(&result, roots[ItemPointerGetOffsetNumber(&result) - 1]);
	return result;
}

/* Make a rows table and fill it from the view; the index comes last. */
static void
locator_build(ViewTarget *target, ViewLocator *locator)
{
	Oid view = RelationGetRelid(target->relation);
	Oid rows = hidden_create("rows", view, "h int8 NOT NULL, t tid NOT NULL", 90);
	OffsetNumber roots[MaxHeapTuplesPerPage];
	BlockNumber block = InvalidBlockNumber;
	TableScanDesc scan;
	TupleTableSlot *slots[BUILD_BATCH];
	Place found[BUILD_BATCH]; /* the rows that the slots' entries are for */
	int waiting = 0;
	bool more = true;

	locator->rows = table_open(rows, RowExclusiveLock);
	places_concern(target->known, target->relation, locator->rows);
	for (int i = 0; i < BUILD_BATCH; i++)
		slots[i] = table_slot_create(locator->rows, NULL);
	locator->bulk = GetBulkInsertState();
	scan = table_beginscan(target->relation, SnapshotSelf, 0, NULL);
	while (more)
	{
		more = table_scan_getnextslot(scan, ForwardScanDirection, locator->candidate);
		if (more)
		{
			ItemPointerData root = locator_root(locator->candidate, &block, roots);

			found[waiting].hash = locator_hash(target, locator->candidate);
			found[waiting].tid = locator->candidate->tts_tid;
			locator_entry(slots[waiting], found[waiting].hash, &root);
			ExecMaterializeSlot(slots[waiting++]);
		}
		if (waiting < BUILD_BATCH && (more || waiting == 0))
			continue;
		CHECK_FOR_INTERRUPTS();
		table_multi_insert(locator->rows, slots, waiting, GetCurrentCommandId(true), 0,
		                   locator->bulk);
		for (int i = 0; i < waiting; i++)
		{
			places_put_unasked(target->known, found[i].hash, &found[i].tid, &slots[i]->tts_tid);
			ExecClearTuple(slots[i]);
		}
		waiting = 0;
	}
	table_endscan(scan);
	FreeBulkInsertState(locator->bulk);
	for (int i = 0; i < BUILD_BATCH; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	table_close(locator->rows, NoLock);
	CommandCounterIncrement();
	hidden_create_index("rows", view, "h");
	target->estate->es_output_cid = GetCurrentCommandId(true);
	locator_open_rows(target, locator, rows);
}

/*
 * Open the view's locator. With build, some way to find rows is there
 * afterwards; without, only a rows table that exists already is opened, to be
 * kept up to date.
 */
void
locator_open(ViewTarget *target, bool build)
{
	Oid rows = locator_relation(RelationGetRelid(target->relation));
	ViewLocator *locator = target->locator;
	MemoryContext old = MemoryContextSwitchTo(target->context);

	if (locator == NULL && (build || OidIsValid(rows)))
	{
		locator = palloc0(sizeof(ViewLocator));
		locator->candidate = table_slot_create(target->relation, NULL);
		target->locator = locator;
		if (OidIsValid(rows))
			locator_open_rows(target, locator, rows);
	}
	if (build && locator->unique == NULL && locator->rows == NULL)
	{
		locator->unique = locator_unique_index(target);
		if (locator->unique)
			locator->unique_scan = index_beginscan(target->relation, locator->unique, SnapshotSelf,
			                                       locator->unique->rd_index->indnkeyatts, 0);
		else
		{
			/* rows still waiting would be missed by the scan that builds it */
			apply_flush(target);
			locator_build(target, locator);
		}
	}
	if (locator != NULL && (locator->rows || locator->unique))
		places_concern(target->known, target->relation, locator->rows);
	MemoryContextSwitchTo(old);
}

/* Have a locator that finds rows. */
static void
locator_require(ViewTarget *target)
{
	if (target->locator == NULL || (!target->locator->rows && !target->locator->unique))
		locator_open(target, true);
}

/*
 * Is reading the whole view better than finding so many rows one by one? Never
 * where rows have entries of their own, which would not be known then.
 */
bool
locator_scanned(ViewTarget *target, int rows)
{
	return (target->locator == NULL || target->locator->rows == NULL) &&
	       rows / LOOKUPS_PER_PAGE >= RelationGetNumberOfBlocks(target->relation);
}

/*
 * Give the place at which a row of this hash was seen last, which is yet to be
 * looked at; false: nothing is remembered of it.
 */
bool
locator_recall(ViewTarget *target, uint64 hash, Place *place)
{
	locator_require(target);
	return places_get(target->known, hash, place);
}

/* Is a candidate the row that is to be found? */
static bool
locator_is(ViewTarget *target, TupleTableSlot *row, TupleTableSlot *candidate)
{
	return target->by_identity
	           ? image_equal_columns(row, candidate, target->identity, target->identity_count)
	           : image_equal(row, candidate);
}

/* Take a candidate if it is the row and is not taken already. */
static int
locator_take(ViewTarget *target, TupleTableSlot *row, uint64 hash, TupleTableSlot *candidate,
             ItemPointer entry, Place *rows, int found)
{
	if (!locator_is(target, row, candidate))
		return found;
	for (int i = 0; i < found; i++)
		if (ItemPointerEquals(&rows[i].tid, &candidate->tts_tid))
			return found;
	rows[found].hash = hash;
	rows[found].tid = candidate->tts_tid;
	if (entry)
		rows[found].entry = *entry;
	else
		ItemPointerSetInvalid(&rows[found].entry);
	return found + 1;
}

/*
 * The hash under which a row is found. An integer that tells rows apart stands
 * for itself: then entries lie in the order in which rows mostly do.
 */
uint64
locator_hash(ViewTarget *target, TupleTableSlot *row)
{
	if (target->identity_count == 0)
		return image_hash(row);
	if (target->identity_count == 1)
	{
		int column = target->identity[0] - 1;
		bool isnull;
		Datum value = slot_getattr(row, column + 1, &isnull);

		if (!isnull)
			switch (TupleDescAttr(row->tts_tupleDescriptor, column)->atttypid)
			{
				case INT2OID:
					return (uint64) DatumGetInt16(value);
				case INT4OID:
					return (uint64) DatumGetInt32(value);
				case INT8OID:
					return (uint64) DatumGetInt64(value);
				default:
					break;
			}
	}
	return image_hash_columns(row, target->identity, target->identity_count);
}

/*
 * Find up to wanted live rows with the same image as row; by identity, the one
 * whose columns of identity are the same as row's, the others not being read.
 * Returns how many there are.
 */
int
locator_find(ViewTarget *target, TupleTableSlot *row, int64 wanted, Place *rows)
{
	ViewLocator *locator;
	uint64 hash;
	int found = 0;

	locator_require(target);
	locator = target->locator;
	slot_getallattrs(row);
	hash = locator_hash(target, row);
	if (wanted == 1 && places_get(target->known, hash, rows) &&
	    apply_read(target->relation, &rows->tid, locator->candidate) &&
	    locator_is(target, row, locator->candidate))
		found = 1;
	else if (locator->rows == NULL)
	{
		Form_pg_index form = locator->unique->rd_index;
		ScanKeyData keys[INDEX_MAX_KEYS];

		for (int i = 0; i < form->indnkeyatts; i++)
		{
			AttrNumber attribute = form->indkey.values[i];
			Oid family = locator->unique->rd_opfamily[i];
			Oid type = locator->unique->rd_opcintype[i];
			Oid operator= get_opfamily_member(family, type, type, BTEqualStrategyNumber);

			if (row->tts_isnull[attribute - 1])
				ScanKeyEntryInitialize(&keys[i], SK_ISNULL | SK_SEARCHNULL, i + 1, InvalidStrategy,
				                       InvalidOid, InvalidOid, InvalidOid, (Datum) 0);
			else
				ScanKeyEntryInitialize(&keys[i], 0, i + 1, BTEqualStrategyNumber, type,
				                       locator->unique->rd_indcollation[i], get_opcode(operator),
				                       row->tts_values[attribute - 1]);
		}
		index_rescan(locator->unique_scan, keys, form->indnkeyatts, NULL, 0);
		while (found < wanted &&
		       index_getnext_slot(locator->unique_scan, ForwardScanDirection, locator->candidate))
			found = locator_take(target, row, hash, locator->candidate, NULL, rows, found);
	}
	else
	{
		locator_seek(locator, (int64) hash);
		while (found < wanted && locator_at(locator, (int64) hash))
		{
			bool isnull;
			ItemPointer root =
			    (ItemPointer) DatumGetPointer(slot_getattr(locator->rows_slot, ROWS_TID, &isnull));

			if (apply_read_chain(target->relation, root, locator->candidate))
				found = locator_take(target, row, hash, locator->candidate,
				                     &locator->rows_slot->tts_tid, rows, found);
			if (found < wanted)
				locator_next(locator);
			else
				locator->rows_passed = true;
		}
	}
	ExecClearTuple(locator->candidate);
	return found;
}

/*
 * A row was written: keep the rows table up to date. entry is the one that led
 * to the same row before; NULL or invalid: there is none.
 */
void
locator_inserted(ViewTarget *target, TupleTableSlot *row, ItemPointer tid, ItemPointer entry)
{
	ViewLocator *locator = target->locator;
	uint64 hash;

	if (locator == NULL || locator->rows == NULL)
		return;
	hash = locator_hash(target, row);
	if (entry != NULL && ItemPointerIsValid(entry))
		locator_rewrite(locator, hash, tid, entry);
	else
		locator_write(locator, hash, tid);
	places_put(target->known, hash, tid, &locator->rows_slot->tts_tid);
}

/* A row that was found was updated, and its entry leads to the new version. */
void
locator_moved(ViewTarget *target, Place *row, ItemPointer tid)
{
	places_put(target->known, row->hash, tid, &row->entry);
}

/* A row that was found is going, or its entry leads to it no more. */
void
locator_forget(ViewTarget *target, Place *row)
{
	TM_FailureData failure;

	places_remove(target->known, row->hash, &row->tid);
	if (!ItemPointerIsValid(&row->entry))
		return;
	target->locator->rows_read = false;
	if (table_tuple_delete(target->locator->rows, &row->entry, GetCurrentCommandId(true),
	                       SnapshotSelf, InvalidSnapshot, true, &failure, false) != TM_Ok)
		elog(ERROR, "could not delete a locator entry");
}

/* Release the locator. */
void
locator_close(ViewTarget *target)
{
	ViewLocator *locator = target->locator;

	if (locator == NULL)
		return;
	if (locator->rows_scan)
		index_endscan(locator->rows_scan);
	if (locator->unique_scan)
		index_endscan(locator->unique_scan);
	if (locator->bulk)
		FreeBulkInsertState(locator->bulk);
	if (locator->rows_index)
		index_close(locator->rows_index, NoLock);
	if (locator->rows)
	{
		ExecDropSingleTupleTableSlot(locator->rows_slot);
		table_close(locator->rows, NoLock);
	}
	ExecDropSingleTupleTableSlot(locator->candidate);
	target->locator = NULL;
}

/* Forget where rows are: the view's contents were replaced. */
void
locator_drop(Oid view)
{
	hidden_drop("rows", view);
}
