/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  Applying a delta to a view: rows that come and rows that go, in any order
 *	  and as often as the delta queries give them.
 *
 * All rows are sorted by the hash under which the locator finds them
 * (ViewTarget.identity), in memory or on disk (sorted.h). Among the rows of one
 * hash, those that come and go with the same image cancel; of the rest, one that
 * goes and one that comes are an update. So the locator and the user's indexes
 * are visited in one order. Updates and deletions are gathered and written page
 * by page. Memory is bounded by work_mem and by the rows that share a hash.
 *
 * Unique indexes of users: rows are inserted after all others are deleted, and
 * updated only where no unique index can see two rows exchange values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/index.h"
#include "delta/image.h"
#include "delta/sorted.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "view/view.h"

/* So many rows ahead, remembered places are brought into the cache. */
#define PREFETCH_ROWS 8

/* A row of a run with the same hash. */
typedef struct MergeRow
{
	MinimalTuple tuple;
	bool done;   /* cancelled, deleted or updated */
	Place where; /* tid invalid: not known */
} MergeRow;

/* Rows of a run with the same sign. */
typedef struct MergeRows
{
	MergeRow *rows;
	int count;
	int capacity;
} MergeRows;

/* A row of the view to be replaced or deleted. */
typedef struct MergeWrite
{
	Place where;
	MinimalTuple old;    /* NULL: the row is known to be there */
	MinimalTuple wanted; /* NULL: it is to be deleted */
} MergeWrite;

struct Merge
{
	ViewTarget *target;
	MemoryContext context;
	SortedRows *delta;   /* their numbers are the signs */
	SortedRows *inserts; /* or the locator's entries that are to be used again, 0: none */
	bool in_place;       /* rows may be updated */
	MergeRows going;
	MergeRows coming;
	ImageComparison *comparison;
	TupleTableSlot *row; /* a row at hand */
	/* what is to be written before any row is inserted, and the rows at hand */
	MemoryContext write_context;
	BulkRow *writes; /* their owners are MergeWrite * */
	int write_count;
	int write_capacity;
};

/* Begin to collect a delta, in the current memory context. */
Merge *
merge_begin(ViewTarget *target)
{
	Merge *merge = palloc0(sizeof(Merge));
	TupleDesc view = RelationGetDescr(target->relation);

	merge->target = target;
	merge->context = CurrentMemoryContext;
	merge->delta = sorted_create(view, maintenance_work_mem, false);
	merge->inserts = sorted_create(view, work_mem, false);
	merge->in_place = target->identity_count > 0 &&
	                  apply_update_in_place(target, target->identity_count, target->identity);
	merge->write_context =
	    AllocSetContextCreate(CurrentMemoryContext, "freshet merge writes", ALLOCSET_DEFAULT_SIZES);
	merge->comparison = image_comparison_create(view);
	merge->row = MakeSingleTupleTableSlot(view, &TTSOpsMinimalTuple);
	return merge;
}

/* A row that comes (sign +1) or goes (sign -1). */
void
merge_row(TupleTableSlot *row, int sign, void *argument)
{
	Merge *merge = argument;

	sorted_put(merge->delta, locator_hash(merge->target, row), sign, row);
}

/* Add a row to the run. */
static void
merge_add(Merge *merge, const SortedRow *row)
{
	MergeRows *rows = row->number < 0 ? &merge->going : &merge->coming;
	MergeRow *added;

	if (rows->count == rows->capacity)
	{
		rows->capacity = Max(rows->capacity * 2, 8);
		rows->rows = rows->rows
		                 ? repalloc_huge(rows->rows, rows->capacity * sizeof(MergeRow))
		                 : MemoryContextAlloc(merge->context, rows->capacity * sizeof(MergeRow));
	}
	added = &rows->rows[rows->count++];
	added->tuple = row->tuple;
	added->done = false;
	ItemPointerSetInvalid(&added->where.tid);
}

/* Cancel rows that come and go with the same image. */
static void
merge_cancel(Merge *merge)
{
	int first = 0; /* rows that go before this one are done */

	for (int i = 0; i < merge->coming.count && merge->going.count > 0; i++)
	{
		MergeRow *coming = &merge->coming.rows[i];

		while (first < merge->going.count && merge->going.rows[first].done)
			first++;
		for (int j = first; j < merge->going.count; j++)
		{
			MergeRow *going = &merge->going.rows[j];

			if (going->done || !image_same_minimal(merge->comparison, coming->tuple, going->tuple))
				continue;
			going->done = coming->done = true;
			break;
		}
	}
}

/* Raise an error: what goes is not there. */
static void
merge_refuse(Merge *merge)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
	                errmsg("a row to delete is not in materialized view \"%s\"",
	                       RelationGetRelationName(merge->target->relation))));
}

/*
 * Find the rows of a hash that go in the view; those with the same image at
 * once. A single one is found when it is written.
 */
static void
merge_locate(Merge *merge)
{
	Place *found = NULL;
	MergeRow **same = NULL;

	if (merge->going.count < 2)
		return;

	for (int i = 0; i < merge->going.count; i++)
	{
		MergeRow *going = &merge->going.rows[i];
		int wanted = 0;

		if (going->done || ItemPointerIsValid(&going->where.tid))
			continue;
		if (found == NULL)
		{
			MemoryContext old = MemoryContextSwitchTo(merge->write_context);

			found = palloc_extended(merge->going.count * sizeof(Place), MCXT_ALLOC_HUGE);
			same = palloc_extended(merge->going.count * sizeof(MergeRow *), MCXT_ALLOC_HUGE);
			MemoryContextSwitchTo(old);
		}
		for (int j = i; j < merge->going.count; j++)
		{
			MergeRow *other = &merge->going.rows[j];

			if (!other->done && !ItemPointerIsValid(&other->where.tid) &&
			    (j == i || image_same_minimal(merge->comparison, going->tuple, other->tuple)))
				same[wanted++] = other;
		}
		ExecStoreMinimalTuple(going->tuple, merge->row, false);
		if (locator_find(merge->target, merge->row, wanted, found) < wanted)
			merge_refuse(merge);
		for (int j = 0; j < wanted; j++)
			same[j]->where = found[j];
	}
}

/* A row that comes is inserted when all others are written; entry: it only had to leave its page. */
static void
merge_insert(Merge *merge, MinimalTuple tuple, uint64 hash, ItemPointer entry)
{
	ExecStoreMinimalTuple(tuple, merge->row, false);
	sorted_put(merge->inserts, hash,
	           entry != NULL && ItemPointerIsValid(entry) ? itemptr_encode(entry) : 0, merge->row);
}

/* The new version of a row. */
static MinimalTuple
merge_wanted(BulkRow *row, void *context)
{
	return ((MergeWrite *) row->owner)->wanted;
}

/* Is this version of a row the one that goes? */
static bool
merge_is_old(BulkRow *row, TupleTableSlot *version, void *context)
{
	Merge *merge = context;
	MinimalTuple old = ((MergeWrite *) row->owner)->old;
	HeapTupleData old_tuple;

	if (old == NULL)
		return true;
	old_tuple = image_heap_tuple(old);
	return image_same(merge->comparison, ExecFetchSlotHeapTuple(version, false, NULL), &old_tuple);
}

/* Find a row in the view that is to be written. */
static void
merge_find(Merge *merge, BulkRow *row)
{
	MergeWrite *write = row->owner;

	if (write->old == NULL)
		merge_refuse(merge);
	ExecStoreMinimalTuple(write->old, merge->row, false);
	if (locator_find(merge->target, merge->row, 1, &write->where) == 0)
		merge_refuse(merge);
	row->tid = write->where.tid;
	write->old = NULL;
}

/* Let rows be where they were seen last, which is looked at when they are written; find the others. */
static void
merge_recall(Merge *merge)
{
	Places *known = merge->target->known;

	for (int i = 0; i < merge->write_count; i++)
	{
		BulkRow *row = &merge->writes[i];
		MergeWrite *write = row->owner;

		if (i + PREFETCH_ROWS < merge->write_count)
			places_prefetch(known, ((MergeWrite *) row[PREFETCH_ROWS].owner)->where.hash);
		if (write->old == NULL)
			continue;
		if (locator_recall(merge->target, write->where.hash, &write->where))
			row->tid = write->where.tid;
		else
			merge_find(merge, row);
	}
}

/* Write some rows; those that are elsewhere come first then, and are counted. */
static int
merge_write_rows(Merge *merge, int count)
{
	ViewTarget *target = merge->target;
	int elsewhere = 0;

	apply_bulk(target, merge->writes, count, merge->in_place, merge_is_old, merge_wanted, merge);
	for (int i = 0; i < count; i++)
	{
		BulkRow *row = &merge->writes[i];
		MergeWrite *write = row->owner;

		switch (row->fate)
		{
			case BULK_SAME:
				break;
			case BULK_REPLACED:
				locator_moved(target, &write->where, &row->tid);
				break;
			case BULK_MOVED:
				locator_forget(target, &write->where);
				break;
			case BULK_DELETED:
				/* an entry that led to a row that has to be inserted again leads there afterwards */
				if (write->wanted == NULL || !ItemPointerIsValid(&write->where.entry))
					locator_forget(target, &write->where);
				if (write->wanted != NULL)
					merge_insert(merge, write->wanted, write->where.hash, &write->where.entry);
				break;
			case BULK_ELSEWHERE:
				merge->writes[elsewhere++] = *row;
				break;
		}
	}
	return elsewhere;
}

/* Write what was gathered. */
static void
merge_write(Merge *merge)
{
	int elsewhere;

	merge_recall(merge);
	elsewhere = merge_write_rows(merge, merge->write_count);
	for (int i = 0; i < elsewhere; i++)
		merge_find(merge, &merge->writes[i]);
	if (merge_write_rows(merge, elsewhere) > 0)
		merge_refuse(merge);
	ExecClearTuple(merge->row);
	merge->writes = NULL;
	merge->write_count = merge->write_capacity = 0;
	MemoryContextReset(merge->write_context);
}

/* Gather a row to be replaced by a wanted one, or deleted (NULL). */
static void
merge_gather(Merge *merge, MergeRow *going, uint64 hash, MinimalTuple wanted)
{
	MemoryContext old = MemoryContextSwitchTo(merge->write_context);
	MergeWrite *write = palloc(sizeof(MergeWrite));
	BulkRow *row;

	if (merge->write_count == merge->write_capacity)
	{
		Size size;

		merge->write_capacity = Max(merge->write_capacity * 2, 64);
		size = merge->write_capacity * sizeof(BulkRow);
		merge->writes = merge->writes ? repalloc_huge(merge->writes, size) : palloc(size);
	}
	write->where = going->where;
	write->where.hash = hash;
	write->old = ItemPointerIsValid(&going->where.tid) ? NULL : going->tuple;
	write->wanted = wanted;
	row = &merge->writes[merge->write_count++];
	row->tid = going->where.tid;
	row->owner = write;
	MemoryContextSwitchTo(old);
}

/* Gather what is to be done with the rows of one hash. */
static void
merge_run(Merge *merge, uint64 hash)
{
	int next = 0; /* the next row that comes */

	merge_cancel(merge);
	merge_locate(merge);
	for (int i = 0; i < merge->going.count; i++)
	{
		MergeRow *going = &merge->going.rows[i];
		MinimalTuple wanted = NULL;

		if (going->done)
			continue;
		while (next < merge->coming.count && merge->coming.rows[next].done)
			next++;
		if (merge->in_place && next < merge->coming.count)
			wanted = merge->coming.rows[next++].tuple;
		merge_gather(merge, going, hash, wanted);
	}
	for (; next < merge->coming.count; next++)
		if (!merge->coming.rows[next].done)
			merge_insert(merge, merge->coming.rows[next].tuple, hash, NULL);
	merge->going.count = merge->coming.count = 0;
}

/* The delta is complete: apply it. */
void
merge_end(Merge *merge)
{
	uint64 hash;
	uint64 next;
	int64 entry;

	sorted_begin(merge->delta);
	while (sorted_peek(merge->delta, &hash))
	{
		do
		{
			MemoryContext old = MemoryContextSwitchTo(merge->write_context);
			SortedRow row;

			sorted_next(merge->delta, &row);
			MemoryContextSwitchTo(old);
			merge_add(merge, &row);
		} while (sorted_peek(merge->delta, &next) && next == hash);
		merge_run(merge, hash);
		if (MemoryContextMemAllocated(merge->write_context, false) > (Size) work_mem * 1024)
			merge_write(merge);
	}
	merge_write(merge);

	sorted_begin(merge->inserts);
	while (sorted_next_slot(merge->inserts, merge->row, &entry))
		if (entry == 0)
			apply_insert(merge->target, merge->row);
		else
		{
			ItemPointerData place;

			itemptr_decode(&place, entry);
			apply_insert_again(merge->target, merge->row, &place);
		}
	apply_flush(merge->target);

	sorted_destroy(merge->inserts);
	sorted_destroy(merge->delta);
	ExecDropSingleTupleTableSlot(merge->row);
	image_comparison_destroy(merge->comparison);
	MemoryContextDelete(merge->write_context);
}
