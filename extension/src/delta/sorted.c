/*-------------------------------------------------------------------------
 *
 * sorted.c
 *	  Rows sorted by a hash (sorted.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator_d.h"
#include "delta/sorted.h"
#include "executor/executor.h"

/* The description of sorted rows: the leading columns, and the row's own. */
TupleDesc
sorted_descriptor(const SortedColumn *leading, int leading_count, TupleDesc row)
{
	TupleDesc result = CreateTemplateTupleDesc(leading_count + row->natts);

	for (int i = 0; i < leading_count; i++)
		TupleDescInitEntry(result, i + 1, leading[i].name, leading[i].type, -1, 0);
	for (int i = 0; i < row->natts; i++)
		TupleDescCopyEntry(result, leading_count + i + 1, row, i + 1);
	return result;
}

/* Begin a sort of such rows by the hash. */
Tuplesortstate *
sorted_begin(TupleDesc descriptor, int memory_kb, int options)
{
	AttrNumber key = 1;
	Oid less = Int8LessOperator;
	Oid collation = InvalidOid;
	bool nulls_first = false;

	return tuplesort_begin_heap(descriptor, 1, &key, &less, &collation, &nulls_first, memory_kb,
	                            NULL, options);
}

/*
 * Fill a virtual slot, whose leading columns the caller has set since it was
 * cleared, with a row.
 */
void
sorted_fill(TupleTableSlot *put, int leading_count, TupleTableSlot *row)
{
	int natts = put->tts_tupleDescriptor->natts - leading_count;

	slot_getallattrs(row);
	memcpy(put->tts_values + leading_count, row->tts_values, natts * sizeof(Datum));
	memcpy(put->tts_isnull + leading_count, row->tts_isnull, natts * sizeof(bool));
	ExecStoreVirtualTuple(put);
}

/* Put a row into the sort, by such a slot. */
void
sorted_put(Tuplesortstate *sort, TupleTableSlot *put, int leading_count, TupleTableSlot *row)
{
	sorted_fill(put, leading_count, row);
	tuplesort_puttupleslot(sort, put);
}

/* Show the row's own columns of a sorted one. */
void
sorted_show(TupleTableSlot *sorted, int leading_count, TupleTableSlot *row)
{
	int natts = row->tts_tupleDescriptor->natts;

	slot_getallattrs(sorted);
	ExecClearTuple(row);
	memcpy(row->tts_values, sorted->tts_values + leading_count, natts * sizeof(Datum));
	memcpy(row->tts_isnull, sorted->tts_isnull + leading_count, natts * sizeof(bool));
	ExecStoreVirtualTuple(row);
}

/* Likewise, of a sorted tuple that is first put into a slot. */
void
sorted_show_tuple(TupleTableSlot *sorted, int leading_count, MinimalTuple tuple,
                  TupleTableSlot *row)
{
	ExecStoreMinimalTuple(tuple, sorted, false);
	sorted_show(sorted, leading_count, row);
}
