/*-------------------------------------------------------------------------
 *
 * sorted.h
 *	  Rows sorted by a hash, each with a number that says what it is.
 *
 * Whoever reads them holds the rows of one hash together and compares them by
 * image. Rows are kept in memory, and are not copied again when they are read;
 * those beyond it go through a tuplesort.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_SORTED_H
#define FRESHET_SORTED_H

#include "postgres.h"

#include "executor/tuptable.h"

typedef struct SortedRows SortedRows;

/* A row with its hash and its number. */
typedef struct SortedRow
{
	uint64 hash;
	int64 number;
	MinimalTuple tuple;
} SortedRow;

extern SortedRows *sorted_create(TupleDesc descriptor, int memory_kb, bool rescan);
extern void sorted_put(SortedRows *rows, uint64 hash, int64 number, TupleTableSlot *row);
extern void sorted_begin(SortedRows *rows);
extern bool sorted_peek(SortedRows *rows, uint64 *hash);
extern bool sorted_next(SortedRows *rows, SortedRow *row);
extern bool sorted_next_slot(SortedRows *rows, TupleTableSlot *slot, int64 *number);
extern void sorted_destroy(SortedRows *rows);

#endif /* FRESHET_SORTED_H */
