/*-------------------------------------------------------------------------
 *
 * apply.c
 *	  Inserting, updating and deleting rows of a materialized view.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "view/apply.h"

/* Rows written by one multi-insert. */
#define BATCH_ROWS 256

/*
 * Prepare for writing a view that is open and locked, in the current memory
 * context. What is written is added to change, unless it is NULL.
 */
ViewTarget *
apply_open(Relation relation, RelationChange *change)
{
	ViewTarget *target = palloc0(sizeof(ViewTarget));
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	target->relation = relation;
	target->context = CurrentMemoryContext;
	target->change = change;
	target->estate = CreateExecutorState();
	rte->rtekind = RTE_RELATION;
	rte->relid = RelationGetRelid(relation);
	rte->relkind = relation->rd_rel->relkind;
	rte->rellockmode = RowExclusiveLock;
	ExecInitRangeTable(target->estate, list_make1(rte));
	target->estate->es_output_cid = GetCurrentCommandId(true);
	target->result = makeNode(ResultRelInfo);
	InitResultRelInfo(target->result, relation, 1, NULL, 0);
	ExecOpenIndices(target->result, false);
	target->bulk = GetBulkInsertState();
	target->slot = table_slot_create(relation, NULL);
	target->batch = palloc0(BATCH_ROWS * sizeof(TupleTableSlot *));
	target->places = palloc0(BATCH_ROWS * sizeof(ItemPointer));
	target->entries = palloc0(BATCH_ROWS * sizeof(ItemPointerData));
	return target;
}

/* Remember a version that came or went. */
static void
apply_note(ViewTarget *target, ItemPointer tid)
{
	if (target->tid_count == target->tid_capacity)
	{
		target->tid_capacity = Max(target->tid_capacity * 2, 64);
		target->tids =
		    target->tids
		        ? repalloc_huge(target->tids, target->tid_capacity * sizeof(ItemPointerData))
		        : MemoryContextAlloc(target->context,
		                             target->tid_capacity * sizeof(ItemPointerData));
	}
	target->tids[target->tid_count++] = *tid;
}

/* Add the version in a slot to the view's own change. */
static void
apply_record(ViewTarget *target, TupleTableSlot *row, int sign)
{
	bool free_tuple;
	HeapTuple tuple;

	apply_note(target, &row->tts_tid);
	if (target->change == NULL)
		return;
	tuple = ExecFetchSlotHeapTuple(row, false, &free_tuple);
	tuple->t_self = row->tts_tid;
	change_add(target->change, tuple, sign);
	if (free_tuple)
		heap_freetuple(tuple);
}

/*
 * Index entries and bookkeeping of a version just written. entry is the
 * locator's that is to lead to it; NULL or invalid: a new one.
 */
static void
apply_written(ViewTarget *target, TupleTableSlot *row, ItemPointer entry)
{
	if (target->result->ri_NumIndices > 0)
	{
		MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(target->estate));

		ExecInsertIndexTuples(target->result, row, target->estate, false, false, NULL, NIL);
		MemoryContextSwitchTo(old);
		ResetPerTupleExprContext(target->estate);
	}
	apply_record(target, row, 1);
	locator_inserted(target, row, &row->tts_tid, entry);
}

/* Write the waiting rows. */
void
apply_flush(ViewTarget *target)
{
	if (target->batch_count == 0)
		return;
	table_multi_insert(target->relation, target->batch, target->batch_count,
	                   target->estate->es_output_cid, 0, target->bulk);
	for (int i = 0; i < target->batch_count; i++)
	{
		apply_written(target, target->batch[i], &target->entries[i]);
		ItemPointerSetInvalid(&target->entries[i]);
		if (target->places[i] != NULL)
			*target->places[i] = target->batch[i]->tts_tid;
		target->places[i] = NULL;
		ExecClearTuple(target->batch[i]);
	}
	target->inserted += target->batch_count;
	target->batch_count = 0;
}

/* Put values into a slot of the view's own kind. */
static void
apply_copy_row(TupleTableSlot *to, TupleTableSlot *from)
{
	int natts = to->tts_tupleDescriptor->natts;

	slot_getallattrs(from);
	ExecClearTuple(to);
	memcpy(to->tts_values, from->tts_values, natts * sizeof(Datum));
	memcpy(to->tts_isnull, from->tts_isnull, natts * sizeof(bool));
	ExecStoreVirtualTuple(to);
	ExecMaterializeSlot(to);
}

/* Insert a row, at the latest with the next apply_flush. */
void
apply_insert(ViewTarget *target, TupleTableSlot *row)
{
	TupleTableSlot **place = &target->batch[target->batch_count];

	if (*place == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(target->context);

		*place = table_slot_create(target->relation, NULL);
		MemoryContextSwitchTo(old);
	}
	apply_copy_row(*place, row);
	if (++target->batch_count == BATCH_ROWS)
		apply_flush(target);
}

/* Likewise, a row that was deleted only to leave its page, and to which this entry of the locator leads. */
void
apply_insert_again(ViewTarget *target, TupleTableSlot *row, ItemPointer entry)
{
	target->entries[target->batch_count] = *entry;
	apply_insert(target, row);
}

/* Likewise, and say then where it is. */
void
apply_insert_placed(ViewTarget *target, TupleTableSlot *row, ItemPointer tid)
{
	target->places[target->batch_count] = tid;
	apply_insert(target, row);
}

/* Insert a row now, and say where it is. */
void
apply_insert_now(ViewTarget *target, TupleTableSlot *row, ItemPointer tid)
{
	apply_copy_row(target->slot, row);
	table_tuple_insert(target->relation, target->slot, target->estate->es_output_cid, 0,
	                   target->bulk);
	apply_written(target, target->slot, NULL);
	*tid = target->slot->tts_tid;
	target->inserted++;
}

/*
 * Read the live version at a tid of a relation that only the worker writes, or,
 * with chain, of the HOT chain that begins there; false: there is none. Unlike
 * an index scan it does not prune: that is done when a page is written.
 */
static bool
apply_read_version(Relation relation, ItemPointer tid, TupleTableSlot *slot, bool chain)
{
	HeapTuple tuple = &((BufferHeapTupleTableSlot *) slot)->base.tupdata;
	OffsetNumber offset = ItemPointerGetOffsetNumber(tid);
	Buffer buffer = ReadBuffer(relation, ItemPointerGetBlockNumber(tid));
	Page page = BufferGetPage(buffer);
	ItemId item = PageGetItemId(page, offset);
	bool live = false;

	Assert(TTS_IS_BUFFERTUPLE(slot));
	ExecClearTuple(slot);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (chain)
	{
		ItemPointerData version = *tid;

		live = heap_hot_search_buffer(&version, relation, buffer, SnapshotSelf, tuple, NULL, true);
	}
	else if (offset <= PageGetMaxOffsetNumber(page) && ItemIdIsNormal(item))
	{
		tuple->t_data = (HeapTupleHeader) PageGetItem(page, item);
		tuple->t_len = ItemIdGetLength(item);
		tuple->t_tableOid = RelationGetRelid(relation);
		tuple->t_self = *tid;
		live = HeapTupleSatisfiesVisibility(tuple, SnapshotSelf, buffer);
	}
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	if (live)
		ExecStorePinnedBufferHeapTuple(tuple, slot, buffer);
	else
		ReleaseBuffer(buffer);
	return live;
}

/* Read the live version at a tid; false: there is none. */
bool
apply_read(Relation relation, ItemPointer tid, TupleTableSlot *slot)
{
	return apply_read_version(relation, tid, slot, false);
}

/* Read the live version to which an index, or a locator, leads by this tid; false: there is none. */
bool
apply_read_chain(Relation relation, ItemPointer root, TupleTableSlot *slot)
{
	return apply_read_version(relation, root, slot, true);
}

/* Fetch the live version at a tid of the view, or raise an error. */
static TupleTableSlot *
apply_fetch(ViewTarget *target, ItemPointer tid)
{
	if (!apply_read(target->relation, tid, target->slot))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
		                errmsg("row (%u,%u) of materialized view \"%s\" is not where it should be",
		                       ItemPointerGetBlockNumber(tid), ItemPointerGetOffsetNumber(tid),
		                       RelationGetRelationName(target->relation))));
	return target->slot;
}

/* Raise an error unless a write succeeded: nobody else writes the view. */
static void
apply_check(ViewTarget *target, TM_Result result)
{
	if (result != TM_Ok)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
		                errmsg("materialized view \"%s\" was written by somebody else",
		                       RelationGetRelationName(target->relation))));
}

/* Note that the version at a tid is about to go. */
static void
apply_note_gone(ViewTarget *target, ItemPointer tid)
{
	if (target->change != NULL)
	{
		TupleTableSlot *row = apply_fetch(target, tid);

		apply_record(target, row, -1);
		ExecClearTuple(row);
	}
	else
		apply_note(target, tid);
}

/* Delete the version at a tid. */
void
apply_delete(ViewTarget *target, ItemPointer tid)
{
	TM_FailureData failure;
	ItemPointerData where = *tid;

	apply_note_gone(target, &where);
	apply_check(target, table_tuple_delete(target->relation, &where, target->estate->es_output_cid,
	                                       SnapshotSelf, InvalidSnapshot, true, &failure, false));
	target->deleted++;
}

/*
 * May rows be updated where they are, when their values in the fixed
 * attributes identify them and never change? Not if some unique index could
 * see two rows of the cycle exchange values.
 */
bool
apply_update_in_place(ViewTarget *target, int attributes, const AttrNumber *fixed)
{
	for (int i = 0; i < target->result->ri_NumIndices; i++)
	{
		IndexInfo *index = target->result->ri_IndexRelationInfo[i];
		int covered = 0;

		if (!index->ii_Unique && index->ii_ExclusionOps == NULL)
			continue;
		for (int j = 0; j < attributes; j++)
			for (int k = 0; k < index->ii_NumIndexKeyAttrs; k++)
				if (index->ii_IndexAttrNumbers[k] == fixed[j])
				{
					covered++;
					break;
				}
		if (attributes == 0 || covered < attributes)
			return false;
	}
	return true;
}

/*
 * Replace the version at a tid, and say where the new one is. Returns whether
 * indexes still lead to it: then a locator does as well.
 */
static bool
apply_update(ViewTarget *target, ItemPointer tid, TupleTableSlot *row, ItemPointer new_tid)
{
	TM_FailureData failure;
	LockTupleMode mode;
	bool update_indexes;
	ItemPointerData where = *tid;

	apply_note_gone(target, &where);
	apply_copy_row(target->slot, row);
	apply_check(target, table_tuple_update(
	                        target->relation, &where, target->slot, target->estate->es_output_cid,
	                        SnapshotSelf, InvalidSnapshot, true, &failure, &mode, &update_indexes));
	if (update_indexes)
		apply_written(target, target->slot, NULL);
	else
		apply_record(target, target->slot, 1);
	*new_tid = target->slot->tts_tid;
	target->inserted++;
	target->deleted++;
	return !update_indexes;
}

/* What apply_bulk writes, and how. */
typedef struct ApplyBulk
{
	ViewTarget *target;
	bool in_place;
	bool (*is_old)(BulkRow *row, TupleTableSlot *version, void *context);
	MinimalTuple (*wanted)(BulkRow *row, void *context);
	void *context;
	TupleTableSlot *slot; /* of a new version */
	TupleTableSlot *old;  /* of an old one */
} ApplyBulk;

/* Ask whether a version is the one that is meant. */
static bool
apply_bulk_is_old(BulkRow *row, HeapTuple version, void *context)
{
	ApplyBulk *bulk = context;
	bool result;

	ExecStoreHeapTuple(version, bulk->old, false);
	result = bulk->is_old(row, bulk->old, bulk->context);
	ExecClearTuple(bulk->old);
	return result;
}

/* Ask for a row's new version. */
static MinimalTuple
apply_bulk_wanted(BulkRow *row, void *context)
{
	ApplyBulk *bulk = context;

	return bulk->wanted(row, bulk->context);
}

/* Write a row that cannot be written with others. */
static void
apply_bulk_single(BulkRow *row, MinimalTuple wanted, void *context)
{
	ApplyBulk *bulk = context;

	row->fate = BULK_DELETED;
	if (wanted != NULL && bulk->in_place)
	{
		ExecStoreMinimalTuple(wanted, bulk->slot, false);
		row->fate = apply_update(bulk->target, &row->tid, bulk->slot, &row->tid) ? BULK_REPLACED
		                                                                         : BULK_MOVED;
	}
	else
		apply_delete(bulk->target, &row->tid);
}

/* Keep account of a version that was replaced or deleted. */
static void
apply_bulk_written(BulkRow *row, HeapTuple old, HeapTuple new, void *context)
{
	ViewTarget *target = ((ApplyBulk *) context)->target;

	apply_note(target, &old->t_self);
	if (target->change)
		change_add(target->change, old, -1);
	target->deleted++;
	if (new == NULL)
		return;
	apply_note(target, &new->t_self);
	if (target->change)
		change_add(target->change, new, 1);
	target->inserted++;
}

/*
 * Replace and delete many rows, before any is inserted; in_place: as
 * apply_update_in_place says. is_old tells whether the row at a tid is the one
 * that is meant; NULL: it is. The locator's entries of rows that are moved or
 * deleted are the caller's to forget.
 */
void
apply_bulk(ViewTarget *target, BulkRow *rows, int count, bool in_place,
           bool (*is_old)(BulkRow *row, TupleTableSlot *version, void *context),
           MinimalTuple (*wanted)(BulkRow *row, void *context), void *context)
{
	ApplyBulk bulk = {.target = target,
	                  .in_place = in_place,
	                  .is_old = is_old,
	                  .wanted = wanted,
	                  .context = context};
	BulkWriter writer = {.relation = target->relation,
	                     .command = target->estate->es_output_cid,
	                     .indexed =
	                         RelationGetIndexAttrBitmap(target->relation, INDEX_ATTR_BITMAP_ALL),
	                     .is_old = is_old ? apply_bulk_is_old : NULL,
	                     .wanted = apply_bulk_wanted,
	                     .single = apply_bulk_single,
	                     .written = apply_bulk_written,
	                     .context = &bulk};

	bulk.slot = MakeSingleTupleTableSlot(RelationGetDescr(target->relation), &TTSOpsMinimalTuple);
	bulk.old = MakeSingleTupleTableSlot(RelationGetDescr(target->relation), &TTSOpsHeapTuple);
	bulk_write(&writer, rows, count);
	ExecDropSingleTupleTableSlot(bulk.slot);
	ExecDropSingleTupleTableSlot(bulk.old);
}

/* Write what waits and release everything but the relation itself. */
void
apply_close(ViewTarget *target)
{
	apply_flush(target);
	FreeBulkInsertState(target->bulk);
	locator_close(target);
	ExecDropSingleTupleTableSlot(target->slot);
	for (int i = 0; i < BATCH_ROWS && target->batch[i]; i++)
		ExecDropSingleTupleTableSlot(target->batch[i]);
	ExecCloseIndices(target->result);
	FreeExecutorState(target->estate);
}
