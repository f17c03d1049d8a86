/*-------------------------------------------------------------------------
 *
 * sorted.h
 *	  Rows sorted by a hash, each behind leading columns that say what it is.
 *
 * The first leading column is the hash, an int8. Whoever reads the sort holds
 * the rows of one hash together and compares them by image.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_SORTED_H
#define FRESHET_SORTED_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/tuplesort.h"

/* A leading column. */
typedef struct SortedColumn
{
	const char *name;
	Oid type;
} SortedColumn;

extern TupleDesc sorted_descriptor(const SortedColumn *leading, int leading_count, TupleDesc row);
extern Tuplesortstate *sorted_begin(TupleDesc descriptor, int memory_kb, int options);
extern void sorted_fill(TupleTableSlot *put, int leading_count, TupleTableSlot *row);
extern void
sorted_put(Tuplesortstate *sort, TupleTableSlot *put, int leading_count, TupleTableSlot *row);
extern void sorted_show(TupleTableSlot *sorted, int leading_count, TupleTableSlot *row);
extern void sorted_show_tuple(TupleTableSlot *sorted, int leading_count, MinimalTuple tuple,
                              TupleTableSlot *row);

#endif /* FRESHET_SORTED_H */
