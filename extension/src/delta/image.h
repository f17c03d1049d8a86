/*-------------------------------------------------------------------------
 *
 * image.h
 *	  Rows compared by image: equal only if every value is the same bytes
 *	  (after detoasting), as PostgreSQL's record_image_eq (*=) does. Two rows
 *	  that are = but not the same image (1.0 and 1.00) are different rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_IMAGE_H
#define FRESHET_IMAGE_H

#include "postgres.h"

#include "access/htup.h"
#include "executor/tuptable.h"

extern uint64 image_hash(TupleTableSlot *slot);
extern uint64 image_hash_columns(TupleTableSlot *slot, const AttrNumber *columns, int count);
extern bool image_equal(TupleTableSlot *left, TupleTableSlot *right);
extern bool image_equal_columns(TupleTableSlot *left, TupleTableSlot *right,
                                const AttrNumber *columns, int count);
extern HeapTupleData image_heap_tuple(MinimalTuple tuple);

/* A comparison of many tuples of one description. */
typedef struct ImageComparison
{
	bool by_bytes; /* only the same bytes are the same image */
	TupleTableSlot *left;
	TupleTableSlot *right;
} ImageComparison;

extern ImageComparison *image_comparison_create(TupleDesc descriptor);
extern bool image_same(ImageComparison *comparison, HeapTuple left, HeapTuple right);
extern bool image_same_minimal(ImageComparison *comparison, MinimalTuple left, MinimalTuple right);
extern void image_comparison_destroy(ImageComparison *comparison);

/*
 * A Z-set in memory: rows by image with integer multiplicity. Rows whose
 * multiplicity comes to zero are not returned.
 */
typedef struct ImageBag ImageBag;

extern ImageBag *image_bag_create(MemoryContext parent, TupleDesc descriptor);
extern void image_bag_add(ImageBag *bag, TupleTableSlot *slot, int64 multiplicity);
extern Size image_bag_bytes(ImageBag *bag);
extern void image_bag_scan_begin(ImageBag *bag);
extern bool image_bag_scan_next(ImageBag *bag, TupleTableSlot *slot, int64 *multiplicity);
extern void image_bag_destroy(ImageBag *bag);

#endif /* FRESHET_IMAGE_H */
