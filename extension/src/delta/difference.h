/*-------------------------------------------------------------------------
 *
 * difference.h
 *	  A Z-set that does not have to fit into memory: what is left when rows
 *	  are added on one side and taken out on the other, by row image.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_DIFFERENCE_H
#define FRESHET_DIFFERENCE_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "nodes/params.h"
#include "nodes/plannodes.h"

typedef struct Difference Difference;

extern Difference *difference_create(MemoryContext parent, TupleDesc descriptor, int memory_kb);
extern void difference_add(Difference *difference, TupleTableSlot *slot, int64 multiplicity);
extern bool difference_empty(Difference *difference);
extern void difference_begin(Difference *difference);
extern bool difference_next(Difference *difference, TupleTableSlot *slot, int64 *multiplicity);
extern void difference_destroy(Difference *difference);

/* A destination that adds every row it receives. */
extern void difference_add_query(Difference *difference, PlannedStmt *planned, const char *text,
                                 ParamListInfo parameters, int64 multiplicity);

#endif /* FRESHET_DIFFERENCE_H */
