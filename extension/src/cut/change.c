/*-------------------------------------------------------------------------
 *
 * change.c
 *	  From places to rows: visiting the heap once, under two snapshots.
 *
 * A version visible under the new snapshot and not under the old one is +1,
 * the reverse is -1; both are copied with all attributes, so that they can be
 * scanned as ephemeral named relations, and their tids are kept sorted for the
 * anti-filter of the delta queries.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "cut/capture.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/snapmgr.h"

/* Prepare an empty change, in the current memory context. */
void
change_begin(RelationChange *change, TupleDesc descriptor)
{
	change->context = CurrentMemoryContext;
	change->descriptor = CreateTupleDescCopyConstr(descriptor);
	change->plus = tuplestore_begin_heap(true, false, work_mem);
	change->minus = tuplestore_begin_heap(true, false, work_mem);
	change->plus_count = change->minus_count = 0;
	change->plus_capacity = change->minus_capacity = 0;
	change->plus_tids = change->minus_tids = NULL;
	change->read = true;
}

/* Append a tid to one of the two arrays. */
static void
tids_append(RelationChange *change, ItemPointerData **tids, int64 *count, int64 *capacity,
            ItemPointer tid)
{
	if (*count == *capacity)
	{
		*capacity = Max(*capacity * 2, 16);
		*tids = *tids
		            ? repalloc_huge(*tids, *capacity * sizeof(ItemPointerData))
		            : MemoryContextAllocHuge(change->context, *capacity * sizeof(ItemPointerData));
	}
	(*tids)[(*count)++] = *tid;
}

/* Add a version with sign +1 or -1. Its t_self must be set. */
void
change_add(RelationChange *change, HeapTuple tuple, int sign)
{
	if (sign > 0)
	{
		tuplestore_puttuple(change->plus, tuple);
		tids_append(change, &change->plus_tids, &change->plus_count, &change->plus_capacity,
		            &tuple->t_self);
	}
	else
	{
		tuplestore_puttuple(change->minus, tuple);
		tids_append(change, &change->minus_tids, &change->minus_count, &change->minus_capacity,
		            &tuple->t_self);
	}
}

/* Order tids. */
static int
tid_compare(const void *left, const void *right)
{
	return ItemPointerCompare((ItemPointer) left, (ItemPointer) right);
}

/* No more is added: sort the tids, which change_read adds in order already. */
void
change_end(RelationChange *change)
{
	if (change->plus_count > 1)
		qsort(change->plus_tids, change->plus_count, sizeof(ItemPointerData), tid_compare);
	if (change->minus_count > 1)
		qsort(change->minus_tids, change->minus_count, sizeof(ItemPointerData), tid_compare);
}

/* Compare one version's visibility under the two snapshots. */
static void
change_visit(RelationChange *change, Relation relation, Page page, Buffer buffer, BlockNumber block,
             OffsetNumber offset, Snapshot old_snapshot, Snapshot new_snapshot)
{
	ItemId item;
	HeapTupleData tuple;
	bool was;
	bool is;
	ListCell *cell;

	if (offset > PageGetMaxOffsetNumber(page))
		return;
	item = PageGetItemId(page, offset);
	if (!ItemIdIsNormal(item))
		return;
	tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
	tuple.t_len = ItemIdGetLength(item);
	tuple.t_tableOid = RelationGetRelid(relation);
	ItemPointerSet(&tuple.t_self, block, offset);

	foreach (cell, change->ahead)
		if (ahead_took(lfirst(cell), &tuple))
			return;
	is = HeapTupleSatisfiesVisibility(&tuple, new_snapshot, buffer);
	was = HeapTupleSatisfiesVisibility(&tuple, old_snapshot, buffer);
	if (is != was)
		change_add(change, &tuple, is ? 1 : -1);
}

/* How many rows were taken ahead and will not be read. */
int64
change_ahead_rows(const RelationChange *change)
{
	int64 result = 0;
	ListCell *cell;

	foreach (cell, change->ahead)
		result += ((Ahead *) lfirst(cell))->rows;
	return result;
}

/* Have change_read give the rows as well that were taken ahead. */
void
change_add_ahead(RelationChange *change)
{
	int64 count = change->place_count;
	int64 room = count;
	ItemPointerData *places;
	BlockNumber *blocks;
	BlockNumber whole_block = InvalidBlockNumber;
	ListCell *cell;

	foreach (cell, change->ahead)
		room += ahead_blocks(lfirst(cell), NULL);
	if (room > PG_INT32_MAX)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		                errmsg("too many row versions changed between two cuts")));
	places = palloc_extended(Max(room, 1) * sizeof(ItemPointerData), MCXT_ALLOC_HUGE);
	blocks = palloc_extended(Max(room, 1) * sizeof(BlockNumber), MCXT_ALLOC_HUGE);
	if (count > 0)
		memcpy(places, change->places, count * sizeof(ItemPointerData));
	foreach (cell, change->ahead)
	{
		int64 block_count = ahead_blocks(lfirst(cell), blocks);

		for (int64 i = 0; i < block_count; i++)
			ItemPointerSet(&places[count + i], blocks[i], InvalidOffsetNumber);
		count += block_count;
	}
	qsort(places, count, sizeof(ItemPointerData), tid_compare);

	/* offset 0 sorts first and stands for all others of its block */
	change->place_count = 0;
	for (int64 i = 0; i < count; i++)
	{
		BlockNumber block = ItemPointerGetBlockNumberNoCheck(&places[i]);

		if (block == whole_block)
			continue;
		if (ItemPointerGetOffsetNumberNoCheck(&places[i]) == InvalidOffsetNumber)
			whole_block = block;
		places[change->place_count++] = places[i];
	}
	change->places = places;
	change->ahead = NIL;
	pfree(blocks);
}

/*
 * Visit the places of a change and keep the versions that differ, in the
 * current memory context. The relation is locked, and its file is the one the
 * places were found under.
 */
void
change_read(RelationChange *change, Relation relation, Snapshot old_snapshot, Snapshot new_snapshot)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(relation);
	Buffer buffer = InvalidBuffer;

	change_begin(change, RelationGetDescr(relation));
	for (int i = 0; i < change->place_count; i++)
	{
		BlockNumber block = ItemPointerGetBlockNumberNoCheck(&change->places[i]);
		OffsetNumber offset = ItemPointerGetOffsetNumberNoCheck(&change->places[i]);
		Page page;

		CHECK_FOR_INTERRUPTS();
		/* vacuum may have cut off a tail in which nobody saw a row any more */
		if (block >= blocks)
			break;
		if (!BufferIsValid(buffer) || BufferGetBlockNumber(buffer) != block)
		{
			if (BufferIsValid(buffer))
				UnlockReleaseBuffer(buffer);
			buffer = ReadBufferExtended(relation, MAIN_FORKNUM, block, RBM_NORMAL, NULL);
			LockBuffer(buffer, BUFFER_LOCK_SHARE);
		}
		page = BufferGetPage(buffer);
		if (offset != InvalidOffsetNumber)
			change_visit(change, relation, page, buffer, block, offset, old_snapshot, new_snapshot);
		else
			for (offset = FirstOffsetNumber; offset <= PageGetMaxOffsetNumber(page); offset++)
				change_visit(change, relation, page, buffer, block, offset, old_snapshot,
				             new_snapshot);
	}
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
}

/* Release what change_begin and change_add made. */
void
change_free(RelationChange *change)
{
	if (!change->read)
		return;
	tuplestore_end(change->plus);
	tuplestore_end(change->minus);
	change->read = false;
}

/* Is this version among those that appeared (+1) or disappeared (-1)? */
bool
change_contains(const RelationChange *change, int sign, ItemPointer tid)
{
	ItemPointerData *tids = sign > 0 ? change->plus_tids : change->minus_tids;
	int64 count = sign > 0 ? change->plus_count : change->minus_count;

	return count > 0 && bsearch(tid, tids, count, sizeof(ItemPointerData), tid_compare) != NULL;
}
