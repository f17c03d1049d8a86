/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  Applying a delta to a view: rows that come and rows that go, in any order
 *	  and as often as the delta queries give them.
 *
 * All rows go through one sort by the hash under which the locator finds them
 * (ViewTarget.identity), which spills to disk. Among the rows of one hash,
 * those that come and go with the same image cancel; of the rest, one that
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
#include "catalog/pg_type.h"
#include "delta/image.h"
#include "delta/sorted.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplesort.h"
#include "view/view.h"

/* So many rows ahead, remembered places are brought into the cache. */
#define PREFETCH_ROWS 8

/* leading columns of the sort; a row to be inserted again has for its sign -(its locator entry) */
#define MERGE_HASH 0
#define MERGE_SIGN 1
#define MERGE_COLUMNS 2
static const SortedColumn merge_columns[MERGE_COLUMNS] = {{"hash", INT8OID}, {"sign", INT8OID}};

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
	MinimalTuple old;    /* as sorted; NULL: the row is known to be there */
	MinimalTuple wanted; /* as sorted; NULL: it is to be deleted */
} MergeWrite;

struct Merge
{
	ViewTarget *target;
	TupleDesc descriptor;
	Tuplesortstate *sort;
	TupleTableSlot *put;
	bool in_place; /* rows may be updated */
	MemoryContext run_context;
	MergeRows going;
	MergeRows coming;
	/* two rows being compared: as sorted, and as rows of the view */
	TupleTableSlot *sorted[2];
	TupleTableSlot *row[2];
	Tuplestorestate *inserts;
	/* what is to be written before any row is inserted */
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
	merge->descriptor = sorted_descriptor(merge_columns, MERGE_COLUMNS, view);
	merge->sort = sorted_begin(merge->descriptor, maintenance_work_mem, TUPLESORT_NONE);
	merge->put = MakeSingleTupleTableSlot(merge->descriptor, &TTSOpsVirtual);
	merge->in_place = target->identity_count > 0 &&
	                  apply_update_in_place(target, target->identity_count, target->identity);
	merge->run_context =
	    AllocSetContextCreate(CurrentMemoryContext, "freshet merge run", ALLOCSET_DEFAULT_SIZES);
	merge->write_context =
	    AllocSetContextCreate(CurrentMemoryContext, "freshet merge writes", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < 2; i++)
	{
		merge->sorted[i] = MakeSingleTupleTableSlot(merge->descriptor, &TTSOpsMinimalTuple);
		merge->row[i] = MakeSingleTupleTableSlot(view, &TTSOpsVirtual);
	}
	return merge;
}

/* A row that comes (sign +1) or goes (sign -1). */
void
merge_row(TupleTableSlot *row, int sign, void *argument)
{
	Merge *merge = argument;
	TupleTableSlot *slot = merge->put;

	ExecClearTuple(slot);
	slot->tts_values[MERGE_HASH] = Int64GetDatum((int64) locator_hash(merge->target, row));
	slot->tts_values[MERGE_SIGN] = Int64GetDatum(sign);
	slot->tts_isnull[MERGE_HASH] = slot->tts_isnull[MERGE_SIGN] = false;
	sorted_put(merge->sort, slot, MERGE_COLUMNS, row);
}

/* Show a row of the run in one of the two slots. */
static TupleTableSlot *
merge_show(Merge *merge, int which, MergeRow *row)
{
	sorted_show_tuple(merge->sorted[which], MERGE_COLUMNS, row->tuple, merge->row[which]);
	return merge->row[which];
}

/* Add the sorted row in a slot to the run. */
static void
merge_add(Merge *merge, MergeRows *rows, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(merge->run_context);

	if (rows->count == rows->capacity)
	{
		rows->capacity = Max(rows->capacity * 2, 8);
		rows->rows = rows->rows ? repalloc_huge(rows->rows, rows->capacity * sizeof(MergeRow))
		                        : palloc(rows->capacity * sizeof(MergeRow));
	}
	rows->rows[rows->count].tuple = ExecCopySlotMinimalTuple(slot);
	rows->rows[rows->count].done = false;
	rows->count++;
	MemoryContextSwitchTo(old);
}

/* Cancel rows that come and go with the same image. */
static void
merge_cancel(Merge *merge)
{
	int first = 0; /* rows that go before this one are done */

	for (int i = 0; i < merge->coming.count && merge->going.count > 0; i++)
	{
		MergeRow *coming = &merge->coming.rows[i];
		TupleTableSlot *left = merge_show(merge, 0, coming);

		while (first < merge->going.count && merge->going.rows[first].done)
			first++;
		for (int j = first; j < merge->going.count; j++)
		{
			MergeRow *going = &merge->going.rows[j];

			if (going->done || !image_equal(left, merge_show(merge, 1, going)))
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
		TupleTableSlot *left;
		int wanted = 0;

		if (going->done || ItemPointerIsValid(&going->where.tid))
			continue;
		if (found == NULL)
		{
			MemoryContext old = MemoryContextSwitchTo(merge->run_context);

			found = palloc_extended(merge->going.count * sizeof(Place), MCXT_ALLOC_HUGE);
			same = palloc_extended(merge->going.count * sizeof(MergeRow *), MCXT_ALLOC_HUGE);
			MemoryContextSwitchTo(old);
		}
		left = merge_show(merge, 0, going);
		for (int j = i; j < merge->going.count; j++)
		{
			MergeRow *other = &merge->going.rows[j];

			if (!other->done && !ItemPointerIsValid(&other->where.tid) &&
			    (j == i || image_equal(left, merge_show(merge, 1, other))))
				same[wanted++] = other;
		}
		if (locator_find(merge->target, left, wanted, found) < wanted)
			merge_refuse(merge);
		for (int j = 0; j < wanted; j++)
			same[j]->where = found[j];
	}
}

/* A sorted row that comes is inserted when all others are written. */
static void
merge_insert(Merge *merge, MinimalTuple tuple)
{
	ExecStoreMinimalTuple(tuple, merge->sorted[0], false);
	tuplestore_puttupleslot(merge->inserts, merge->sorted[0]);
}

/* Likewise, one that had to leave its page: the locator's entry for it is used again. */
static void
merge_insert_again(Merge *merge, MergeWrite *write)
{
	sorted_show_tuple(merge->sorted[0], MERGE_COLUMNS, write->wanted, merge->row[0]);
	ExecClearTuple(merge->put);
	merge->put->tts_values[MERGE_HASH] = Int64GetDatum((int64) write->where.hash);
	merge->put->tts_values[MERGE_SIGN] = Int64GetDatum(-itemptr_encode(&write->where.entry));
	merge->put->tts_isnull[MERGE_HASH] = merge->put->tts_isnull[MERGE_SIGN] = false;
	sorted_fill(merge->put, MERGE_COLUMNS, merge->row[0]);
	tuplestore_puttupleslot(merge->inserts, merge->put);
}

/* The new version of a row, without the columns it was sorted by. */
static MinimalTuple
merge_wanted(BulkRow *row, void *context)
{
	Merge *merge = context;
	MergeWrite *write = row->owner;

	if (write->wanted == NULL)
		return NULL;
	sorted_show_tuple(merge->sorted[0], MERGE_COLUMNS, write->wanted, merge->row[0]);
	return ExecCopySlotMinimalTuple(merge->row[0]);
}

/* Is this version of a row the one that goes? */
static bool
merge_is_old(BulkRow *row, TupleTableSlot *version, void *context)
{
	Merge *merge = context;
	MergeWrite *write = row->owner;

	if (write->old == NULL)
		return true;
	sorted_show_tuple(merge->sorted[1], MERGE_COLUMNS, write->old, merge->row[1]);
	return image_equal(version, merge->row[1]);
}

/* Find a row in the view that is to be written. */
static void
merge_find(Merge *merge, BulkRow *row)
{
	MergeWrite *write = row->owner;

	if (write->old == NULL)
		merge_refuse(merge);
	sorted_show_tuple(merge->sorted[0], MERGE_COLUMNS, write->old, merge->row[0]);
	if (locator_find(merge->target, merge->row[0], 1, &write->where) == 0)
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
				if (write->wanted != NULL && ItemPointerIsValid(&write->where.entry))
					merge_insert_again(merge, write);
				else
				{
					locator_forget(target, &write->where);
					if (write->wanted != NULL)
						merge_insert(merge, write->wanted);
				}
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
	ExecClearTuple(merge->sorted[0]);
	ExecClearTuple(merge->sorted[1]);
	merge->writes = NULL;
	merge->write_count = merge->write_capacity = 0;
	MemoryContextReset(merge->write_context);
}

/* Gather a row to be replaced by a sorted row, or deleted (NULL). */
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
	write->old =
	    ItemPointerIsValid(&going->where.tid) ? NULL : heap_copy_minimal_tuple(going->tuple);
	write->wanted = wanted ? heap_copy_minimal_tuple(wanted) : NULL;
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

	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < merge->going.count; i++)
		ItemPointerSetInvalid(&merge->going.rows[i].where.tid);
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
			merge_insert(merge, merge->coming.rows[next].tuple);
	ExecClearTuple(merge->sorted[0]);
	ExecClearTuple(merge->sorted[1]);
	memset(&merge->going, 0, sizeof(MergeRows));
	memset(&merge->coming, 0, sizeof(MergeRows));
	MemoryContextReset(merge->run_context);
	if (MemoryContextMemAllocated(merge->write_context, false) > (Size) work_mem * 1024)
		merge_write(merge);
}

/* The delta is complete: apply it. */
void
merge_end(Merge *merge)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(merge->descriptor, &TTSOpsMinimalTuple);
	int64 hash = 0;

	merge->inserts = tuplestore_begin_heap(false, false, work_mem);
	tuplesort_performsort(merge->sort);
	while (tuplesort_gettupleslot(merge->sort, true, false, slot, NULL))
	{
		bool isnull;
		int64 this_hash = DatumGetInt64(slot_getattr(slot, MERGE_HASH + 1, &isnull));

		if (this_hash != hash && merge->going.count + merge->coming.count > 0)
			merge_run(merge, (uint64) hash);
		hash = this_hash;
		merge_add(merge,
		          DatumGetInt64(slot_getattr(slot, MERGE_SIGN + 1, &isnull)) < 0 ? &merge->going
		                                                                         : &merge->coming,
		          slot);
	}
	merge_run(merge, (uint64) hash);
	merge_write(merge);
	while (tuplestore_gettupleslot(merge->inserts, true, false, slot))
	{
		int64 sign;

		CHECK_FOR_INTERRUPTS();
		sorted_show(slot, MERGE_COLUMNS, merge->row[0]);
		sign = DatumGetInt64(slot->tts_values[MERGE_SIGN]);
		if (sign > 0)
			apply_insert(merge->target, merge->row[0]);
		else
		{
			ItemPointerData entry;

			itemptr_decode(&entry, -sign);
			apply_insert_again(merge->target, merge->row[0], &entry);
		}
	}
	apply_flush(merge->target);

	tuplestore_end(merge->inserts);
	tuplesort_end(merge->sort);
	ExecDropSingleTupleTableSlot(slot);
	ExecDropSingleTupleTableSlot(merge->put);
	for (int i = 0; i < 2; i++)
	{
		ExecDropSingleTupleTableSlot(merge->sorted[i]);
		ExecDropSingleTupleTableSlot(merge->row[i]);
	}
	MemoryContextDelete(merge->run_context);
	MemoryContextDelete(merge->write_context);
}
