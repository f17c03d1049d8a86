/*-------------------------------------------------------------------------
 *
 * rebuild.c
 *	  Strategy C: make a view's rows equal to a stream of rows by image,
 *	  writing only the difference.
 *
 * The wanted rows and the existing ones go through one sort by row hash that
 * spills to disk, so memory is bounded by work_mem and by the rows that share
 * a hash. Deletions come before insertions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "delta/image.h"
#include "delta/sorted.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplesort.h"
#include "view/view.h"

/* leading columns of the sort */
#define SORT_HASH 0
#define SORT_TID 1 /* NULL: a wanted row */
#define SORT_ORDINAL 2
#define SORT_COLUMNS 3
static const SortedColumn rebuild_columns[SORT_COLUMNS] = {
    {"hash", INT8OID}, {"tid", TIDOID}, {"ordinal", INT8OID}};

struct Rebuild
{
	ViewTarget *target;
	MemoryContext context;
	TupleDesc descriptor;
	Tuplesortstate *sort;
	TupleTableSlot *slot; /* of the sort */
	TupleTableSlot *put;  /* likewise, virtual */
	TupleTableSlot *row;  /* of the view's columns, virtual */
	Tuplestorestate *inserts;
};

/* Begin a rebuild of the target's view, in the current memory context. */
Rebuild *
rebuild_begin(ViewTarget *target)
{
	Rebuild *rebuild = palloc0(sizeof(Rebuild));
	TupleDesc view = RelationGetDescr(target->relation);

	/* rows are deleted here without asking where they were seen */
	places_clear(target->known);
	rebuild->target = target;
	rebuild->context = CurrentMemoryContext;
	rebuild->descriptor = sorted_descriptor(rebuild_columns, SORT_COLUMNS, view);
	rebuild->sort = sorted_begin(rebuild->descriptor, maintenance_work_mem, TUPLESORT_NONE);
	rebuild->slot = MakeSingleTupleTableSlot(rebuild->descriptor, &TTSOpsMinimalTuple);
	rebuild->put = MakeSingleTupleTableSlot(rebuild->descriptor, &TTSOpsVirtual);
	rebuild->row = MakeSingleTupleTableSlot(view, &TTSOpsVirtual);
	return rebuild;
}

/* Put a row into the sort. */
static void
rebuild_put(Rebuild *rebuild, TupleTableSlot *row, ItemPointer tid, int64 ordinal)
{
	TupleTableSlot *slot = rebuild->put;

	ExecClearTuple(slot);
	slot->tts_values[SORT_HASH] = Int64GetDatum((int64) image_hash(row));
	slot->tts_values[SORT_TID] = PointerGetDatum(tid);
	slot->tts_isnull[SORT_TID] = tid == NULL;
	slot->tts_values[SORT_ORDINAL] = Int64GetDatum(ordinal);
	slot->tts_isnull[SORT_HASH] = slot->tts_isnull[SORT_ORDINAL] = false;
	sorted_put(rebuild->sort, slot, SORT_COLUMNS, row);
}

/* A row the view must have. ordinal is the caller's name for it. */
void
rebuild_row(Rebuild *rebuild, TupleTableSlot *row, int64 ordinal)
{
	rebuild_put(rebuild, row, NULL, ordinal);
}

/* A row of a run with the same hash. */
typedef struct RunRow
{
	MinimalTuple tuple;
	ItemPointerData tid;
	int64 ordinal;
	bool matched;
} RunRow;

/* Match wanted and existing rows that share a hash. */
static void
rebuild_run(Rebuild *rebuild, List *wanted, List *existing, TupleTableSlot *left_sorted,
            TupleTableSlot *left, TupleTableSlot *right_sorted, TupleTableSlot *right,
            RebuildPlaced placed, void *context)
{
	ListCell *cell;
	int first = 0; /* existing rows before this one are matched */

	foreach (cell, wanted)
	{
		RunRow *want = lfirst(cell);

		sorted_show_tuple(left_sorted, SORT_COLUMNS, want->tuple, left);
		while (first < list_length(existing) && ((RunRow *) list_nth(existing, first))->matched)
			first++;
		for (int i = first; i < list_length(existing); i++)
		{
			RunRow *have = list_nth(existing, i);

			if (have->matched)
				continue;
			sorted_show_tuple(right_sorted, SORT_COLUMNS, have->tuple, right);
			if (!image_equal(left, right))
				continue;
			have->matched = want->matched = true;
			if (placed)
				placed(want->ordinal, &have->tid, context);
			break;
		}
		if (!want->matched)
			tuplestore_puttupleslot(rebuild->inserts, left_sorted);
	}
	foreach (cell, existing)
	{
		RunRow *have = lfirst(cell);

		if (!have->matched)
			apply_delete(rebuild->target, &have->tid);
	}
}

/*
 * All wanted rows were given: write the difference. placed, if not NULL, is
 * told where each wanted row is.
 */
void
rebuild_end(Rebuild *rebuild, RebuildPlaced placed, void *context)
{
	ViewTarget *target = rebuild->target;
	TableScanDesc scan;
	TupleTableSlot *existing_row = table_slot_create(target->relation, NULL);
	TupleTableSlot *left_sorted =
	    MakeSingleTupleTableSlot(rebuild->descriptor, &TTSOpsMinimalTuple);
	TupleTableSlot *right_sorted =
	    MakeSingleTupleTableSlot(rebuild->descriptor, &TTSOpsMinimalTuple);
	TupleTableSlot *right =
	    MakeSingleTupleTableSlot(RelationGetDescr(target->relation), &TTSOpsVirtual);
	MemoryContext run_context =
	    AllocSetContextCreate(rebuild->context, "freshet rebuild run", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	List *wanted = NIL;
	List *existing = NIL;
	int64 hash = 0;
	bool more;

	scan = table_beginscan(target->relation, SnapshotSelf, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, existing_row))
	{
		CHECK_FOR_INTERRUPTS();
		rebuild_put(rebuild, existing_row, &existing_row->tts_tid, 0);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(existing_row);
	tuplesort_performsort(rebuild->sort);

	rebuild->inserts = tuplestore_begin_heap(false, false, work_mem);
	do
	{
		int64 this_hash = 0;
		bool isnull;

		CHECK_FOR_INTERRUPTS();
		more = tuplesort_gettupleslot(rebuild->sort, true, false, rebuild->slot, NULL);
		if (more)
			this_hash = DatumGetInt64(slot_getattr(rebuild->slot, SORT_HASH + 1, &isnull));
		if (!more || this_hash != hash)
		{
			rebuild_run(rebuild, wanted, existing, left_sorted, rebuild->row, right_sorted, right,
			            placed, context);
			ExecClearTuple(left_sorted);
			ExecClearTuple(right_sorted);
			wanted = existing = NIL;
			MemoryContextReset(run_context);
			hash = this_hash;
		}
		if (more)
		{
			RunRow *run;
			Datum tid = slot_getattr(rebuild->slot, SORT_TID + 1, &isnull);

			old = MemoryContextSwitchTo(run_context);
			run = palloc0(sizeof(RunRow));
			run->tuple = ExecCopySlotMinimalTuple(rebuild->slot);
			if (isnull)
			{
				run->ordinal =
				    DatumGetInt64(slot_getattr(rebuild->slot, SORT_ORDINAL + 1, &isnull));
				wanted = lappend(wanted, run);
			}
			else
			{
				run->tid = *(ItemPointer) DatumGetPointer(tid);
				existing = lappend(existing, run);
			}
			MemoryContextSwitchTo(old);
		}
	} while (more);

	/* now that all deletions are done, nothing old can clash with a new row */
	CommandCounterIncrement();
	target->estate->es_output_cid = GetCurrentCommandId(true);
	while (tuplestore_gettupleslot(rebuild->inserts, true, false, left_sorted))
	{
		bool isnull;

		CHECK_FOR_INTERRUPTS();
		sorted_show(left_sorted, SORT_COLUMNS, rebuild->row);
		if (placed)
		{
			ItemPointerData tid;

			apply_insert_now(target, rebuild->row, &tid);
			placed(DatumGetInt64(slot_getattr(left_sorted, SORT_ORDINAL + 1, &isnull)), &tid,
			       context);
		}
		else
			apply_insert(target, rebuild->row);
	}
	apply_flush(target);

	tuplestore_end(rebuild->inserts);
	tuplesort_end(rebuild->sort);
	ExecDropSingleTupleTableSlot(rebuild->slot);
	ExecDropSingleTupleTableSlot(rebuild->put);
	ExecDropSingleTupleTableSlot(rebuild->row);
	ExecDropSingleTupleTableSlot(left_sorted);
	ExecDropSingleTupleTableSlot(right_sorted);
	ExecDropSingleTupleTableSlot(right);
	MemoryContextDelete(run_context);
}
