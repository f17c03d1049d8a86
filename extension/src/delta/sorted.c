/*-------------------------------------------------------------------------
 *
 * sorted.c
 *	  Rows sorted by a hash (sorted.h).
 *
 * Invariants:
 *	- Rows are either all in memory, or all in the tuplesort, as (hash, number,
 *	  row's columns).
 *	- The array and the tuples in memory take at most about memory_kb, and so
 *	  does the tuplesort.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "delta/sorted.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"

/* Columns of the tuplesort before the row's own. */
#define SORTED_HASH 0
#define SORTED_NUMBER 1
#define SORTED_COLUMNS 2

/* Rows for which there is room first. */
#define SORTED_ROWS_FIRST 64

struct SortedRows
{
	MemoryContext context; /* everything below */
	TupleDesc descriptor;  /* the caller's */
	int memory_kb;
	bool rescan; /* sorted_begin may be called again */
	bool begun;

	/* in memory */
	MemoryContext tuples;
	SortedRow *rows;
	int64 count;
	int64 capacity;
	int64 next;

	/* beyond it; NULL: not needed so far */
	Tuplesortstate *sort;
	TupleTableSlot *put;
	TupleTableSlot *ahead; /* the next row, if there is one */
};

/* Order rows by hash. */
#define ST_SORT sorted_sort
#define ST_ELEMENT_TYPE SortedRow
#define ST_COMPARE(a, b) ((a)->hash < (b)->hash ? -1 : (a)->hash > (b)->hash)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * No rows yet, in a child of the current memory context. The descriptor has to
 * stay. memory_kb bounds what is held before rows go to temporary files. rescan:
 * they are to be read more than once.
 */
SortedRows *
sorted_create(TupleDesc descriptor, int memory_kb, bool rescan)
{
	MemoryContext context =
	    AllocSetContextCreate(CurrentMemoryContext, "freshet sorted rows", ALLOCSET_SMALL_SIZES);
	SortedRows *rows = MemoryContextAllocZero(context, sizeof(SortedRows));

	rows->context = context;
	rows->descriptor = descriptor;
	rows->memory_kb = memory_kb;
	rows->rescan = rescan;
	rows->tuples =
	    GenerationContextCreate(context, "freshet sorted tuples", ALLOCSET_DEFAULT_SIZES);
	return rows;
}

/* Put a row, whose attributes are there, into the tuplesort. */
static void
sorted_put_out(SortedRows *rows, uint64 hash, int64 number, TupleTableSlot *row)
{
	TupleTableSlot *put = rows->put;
	int natts = rows->descriptor->natts;

	ExecClearTuple(put);
	put->tts_values[SORTED_HASH] = Int64GetDatum((int64) hash);
	put->tts_values[SORTED_NUMBER] = Int64GetDatum(number);
	put->tts_isnull[SORTED_HASH] = put->tts_isnull[SORTED_NUMBER] = false;
	memcpy(put->tts_values + SORTED_COLUMNS, row->tts_values, natts * sizeof(Datum));
	memcpy(put->tts_isnull + SORTED_COLUMNS, row->tts_isnull, natts * sizeof(bool));
	ExecStoreVirtualTuple(put);
	tuplesort_puttupleslot(rows->sort, put);
}

/* Move the rows from memory to a tuplesort. */
static void
sorted_spill(SortedRows *rows)
{
	MemoryContext old = MemoryContextSwitchTo(rows->context);
	TupleDesc wide = CreateTemplateTupleDesc(SORTED_COLUMNS + rows->descriptor->natts);
	AttrNumber key = SORTED_HASH + 1;
	Oid less = Int8LessOperator;
	Oid collation = InvalidOid;
	bool nulls_first = false;
	TupleTableSlot *row = MakeSingleTupleTableSlot(rows->descriptor, &TTSOpsMinimalTuple);

	TupleDescInitEntry(wide, SORTED_HASH + 1, "hash", INT8OID, -1, 0);
	TupleDescInitEntry(wide, SORTED_NUMBER + 1, "number", INT8OID, -1, 0);
	for (int i = 0; i < rows->descriptor->natts; i++)
		TupleDescCopyEntry(wide, SORTED_COLUMNS + i + 1, rows->descriptor, i + 1);
	rows->put = MakeSingleTupleTableSlot(wide, &TTSOpsVirtual);
	rows->ahead = MakeSingleTupleTableSlot(wide, &TTSOpsMinimalTuple);
	rows->sort =
	    tuplesort_begin_heap(wide, 1, &key, &less, &collation, &nulls_first, rows->memory_kb, NULL,
	                         rows->rescan ? TUPLESORT_RANDOMACCESS : TUPLESORT_NONE);
	for (int64 i = 0; i < rows->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		ExecStoreMinimalTuple(rows->rows[i].tuple, row, false);
		slot_getallattrs(row);
		sorted_put_out(rows, rows->rows[i].hash, rows->rows[i].number, row);
	}
	ExecDropSingleTupleTableSlot(row);
	if (rows->rows != NULL)
		pfree(rows->rows);
	rows->rows = NULL;
	rows->count = rows->capacity = 0;
	MemoryContextReset(rows->tuples);
	MemoryContextSwitchTo(old);
}

/* Make room for more rows in memory. */
static void
sorted_grow(SortedRows *rows)
{
	rows->capacity = Max(rows->capacity * 2, SORTED_ROWS_FIRST);
	rows->rows = rows->rows ? repalloc_huge(rows->rows, rows->capacity * sizeof(SortedRow))
	                        : MemoryContextAlloc(rows->context, rows->capacity * sizeof(SortedRow));
}

/* Add a row, which is copied. */
void
sorted_put(SortedRows *rows, uint64 hash, int64 number, TupleTableSlot *row)
{
	MemoryContext old;

	Assert(!rows->begun);
	slot_getallattrs(row);
	if (rows->sort == NULL &&
	    MemoryContextMemAllocated(rows->tuples, false) + rows->capacity * sizeof(SortedRow) >
	        (Size) rows->memory_kb * 1024)
		sorted_spill(rows);
	if (rows->sort != NULL)
	{
		sorted_put_out(rows, hash, number, row);
		return;
	}
	if (rows->count == rows->capacity)
		sorted_grow(rows);
	old = MemoryContextSwitchTo(rows->tuples);
	rows->rows[rows->count++] = (SortedRow){
	    .hash = hash,
	    .number = number,
	    .tuple = heap_form_minimal_tuple(rows->descriptor, row->tts_values, row->tts_isnull)};
	MemoryContextSwitchTo(old);
}

/* Read the next row of the tuplesort. */
static void
sorted_read_ahead(SortedRows *rows)
{
	(void) tuplesort_gettupleslot(rows->sort, true, false, rows->ahead, NULL);
}

/* All rows are there: read them from the beginning. */
void
sorted_begin(SortedRows *rows)
{
	Assert(!rows->begun || rows->rescan);
	if (rows->sort != NULL)
	{
		if (rows->begun)
			tuplesort_rescan(rows->sort);
		else
			tuplesort_performsort(rows->sort);
		sorted_read_ahead(rows);
	}
	else
	{
		if (!rows->begun)
			sorted_sort(rows->rows, rows->count);
		rows->next = 0;
	}
	rows->begun = true;
}

/* The hash of the next row; false: there is none. */
bool
sorted_peek(SortedRows *rows, uint64 *hash)
{
	if (rows->sort != NULL)
	{
		bool isnull;

		if (TupIsNull(rows->ahead))
			return false;
		*hash = (uint64) DatumGetInt64(slot_getattr(rows->ahead, SORTED_HASH + 1, &isnull));
		return true;
	}
	if (rows->next == rows->count)
		return false;
	*hash = rows->rows[rows->next].hash;
	return true;
}

/*
 * Give the next row; false: there is none. Its tuple stays until the rows are
 * destroyed or the current memory context is reset, whichever comes first, and
 * is not to be freed by itself.
 */
bool
sorted_next(SortedRows *rows, SortedRow *row)
{
	TupleTableSlot *ahead = rows->ahead;

	CHECK_FOR_INTERRUPTS();
	if (rows->sort == NULL)
	{
		if (rows->next == rows->count)
			return false;
		*row = rows->rows[rows->next++];
		return true;
	}
	if (TupIsNull(ahead))
		return false;
	slot_getallattrs(ahead);
	row->hash = (uint64) DatumGetInt64(ahead->tts_values[SORTED_HASH]);
	row->number = DatumGetInt64(ahead->tts_values[SORTED_NUMBER]);
	row->tuple = heap_form_minimal_tuple(rows->descriptor, ahead->tts_values + SORTED_COLUMNS,
	                                     ahead->tts_isnull + SORTED_COLUMNS);
	sorted_read_ahead(rows);
	return true;
}

/* Likewise, show it in a slot for minimal tuples, until that is given the next one. */
bool
sorted_next_slot(SortedRows *rows, TupleTableSlot *slot, int64 *number)
{
	SortedRow row;

	ExecClearTuple(slot);
	if (!sorted_next(rows, &row))
		return false;
	ExecStoreMinimalTuple(row.tuple, slot, rows->sort != NULL);
	*number = row.number;
	return true;
}

/* Give up the rows, their memory and their files. */
void
sorted_destroy(SortedRows *rows)
{
	if (rows->sort != NULL)
	{
		ExecDropSingleTupleTableSlot(rows->put);
		ExecDropSingleTupleTableSlot(rows->ahead);
		tuplesort_end(rows->sort);
	}
	MemoryContextDelete(rows->context);
}
