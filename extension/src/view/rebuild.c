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
#include "catalog/index.h"
#include "delta/image.h"
#include "delta/sorted.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "view/view.h"

struct Rebuild
{
	ViewTarget *target;
	MemoryContext context;
	SortedRows *rows; /* wanted ones, whose number is the ordinal, and existing ones */
	SortedRows *inserts;
	ImageComparison *comparison;
	TupleTableSlot *row; /* a row at hand */
};

/* The number of an existing row: negative, and says where it is. */
static int64
rebuild_existing(ItemPointer tid)
{
	return -1 - itemptr_encode(tid);
}

/* Where the row of such a number is. */
static ItemPointerData
rebuild_place(int64 number)
{
	ItemPointerData tid;

	itemptr_decode(&tid, -1 - number);
	return tid;
}

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
	rebuild->rows = sorted_create(view, maintenance_work_mem, false);
	rebuild->inserts = sorted_create(view, work_mem, false);
	rebuild->comparison = image_comparison_create(view);
	rebuild->row = MakeSingleTupleTableSlot(view, &TTSOpsMinimalTuple);
	return rebuild;
}

/* A row the view must have. ordinal is the caller's name for it, not negative. */
void
rebuild_row(Rebuild *rebuild, TupleTableSlot *row, int64 ordinal)
{
	sorted_put(rebuild->rows, image_hash(row), ordinal, row);
}

/* A row of a run with the same hash. */
typedef struct RunRow
{
	SortedRow sorted;
	bool matched;
} RunRow;

/* Match wanted and existing rows that share a hash. */
static void
rebuild_run(Rebuild *rebuild, List *wanted, List *existing, RebuildPlaced placed, void *context)
{
	ListCell *cell;
	int first = 0; /* existing rows before this one are matched */

	foreach (cell, wanted)
	{
		RunRow *want = lfirst(cell);

		while (first < list_length(existing) && ((RunRow *) list_nth(existing, first))->matched)
			first++;
		for (int i = first; i < list_length(existing); i++)
		{
			RunRow *have = list_nth(existing, i);

			if (have->matched ||
			    !image_same_minimal(rebuild->comparison, want->sorted.tuple, have->sorted.tuple))
				continue;
			have->matched = want->matched = true;
			if (placed)
			{
				ItemPointerData tid = rebuild_place(have->sorted.number);

				placed(want->sorted.number, &tid, context);
			}
			break;
		}
		if (want->matched)
			continue;
		ExecStoreMinimalTuple(want->sorted.tuple, rebuild->row, false);
		sorted_put(rebuild->inserts, want->sorted.hash, want->sorted.number, rebuild->row);
	}
	foreach (cell, existing)
	{
		RunRow *have = lfirst(cell);
		ItemPointerData tid = rebuild_place(have->sorted.number);

		if (!have->matched)
			apply_delete(rebuild->target, &tid);
	}
	ExecClearTuple(rebuild->row);
}

/* Add the rows that the view has. */
static void
rebuild_read(Rebuild *rebuild)
{
	Relation relation = rebuild->target->relation;
	TupleTableSlot *row = table_slot_create(relation, NULL);
	TableScanDesc scan = table_beginscan(relation, SnapshotSelf, 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		CHECK_FOR_INTERRUPTS();
		sorted_put(rebuild->rows, image_hash(row), rebuild_existing(&row->tts_tid), row);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(row);
}

/*
 * All wanted rows were given: write the difference. placed, if not NULL, is
 * told where each wanted row is.
 */
void
rebuild_end(Rebuild *rebuild, RebuildPlaced placed, void *context)
{
	ViewTarget *target = rebuild->target;
	MemoryContext run_context =
	    AllocSetContextCreate(rebuild->context, "freshet rebuild run", ALLOCSET_DEFAULT_SIZES);
	uint64 hash;
	uint64 next;
	int64 ordinal;

	rebuild_read(rebuild);
	sorted_begin(rebuild->rows);
	while (sorted_peek(rebuild->rows, &hash))
	{
		MemoryContext old = MemoryContextSwitchTo(run_context);
		List *wanted = NIL;
		List *existing = NIL;

		do
		{
			RunRow *run = palloc0(sizeof(RunRow));

			sorted_next(rebuild->rows, &run->sorted);
			if (run->sorted.number >= 0)
				wanted = lappend(wanted, run);
			else
				existing = lappend(existing, run);
		} while (sorted_peek(rebuild->rows, &next) && next == hash);
		MemoryContextSwitchTo(old);
		rebuild_run(rebuild, wanted, existing, placed, context);
		MemoryContextReset(run_context);
	}

	/* now that all deletions are done, nothing old can clash with a new row */
	CommandCounterIncrement();
	target->estate->es_output_cid = GetCurrentCommandId(true);
	sorted_begin(rebuild->inserts);
	while (sorted_next_slot(rebuild->inserts, rebuild->row, &ordinal))
		if (placed)
		{
			ItemPointerData tid;

			apply_insert_now(target, rebuild->row, &tid);
			placed(ordinal, &tid, context);
		}
		else
			apply_insert(target, rebuild->row);
	apply_flush(target);

	sorted_destroy(rebuild->inserts);
	sorted_destroy(rebuild->rows);
	ExecDropSingleTupleTableSlot(rebuild->row);
	image_comparison_destroy(rebuild->comparison);
	MemoryContextDelete(run_context);
}
