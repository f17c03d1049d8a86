/*-------------------------------------------------------------------------
 *
 * aggregate.h
 *	  Aggregate states that follow changes, by PostgreSQL's own functions.
 *
 * The moving-aggregate functions of the catalog are called as WindowAgg calls
 * them, so results are the same to the last digit of a numeric's scale. When a
 * state cannot follow a change exactly, the caller is told and computes the
 * group anew.
 *
 * Linear states (PlanLinear) are numbers here, and no function is called: they
 * can follow rows that go before those that came, and so be a difference.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_AGGREGATE_H
#define FRESHET_AGGREGATE_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "plan/plan.h"

typedef struct AggregateProgram AggregateProgram;

/* State of one aggregate call in one group. */
typedef struct AggregateState
{
	union
	{
		Datum value;
		uint64 sum; /* of a linear aggregate: of an int8, which wraps around as PostgreSQL's does */
	};
	bool isnull;
	int64 count; /* inputs that are in the state */
} AggregateState;

extern AggregateProgram *aggregate_program(List *aggregates);
extern void aggregate_begin(AggregateProgram *program, MemoryContext states);
extern void aggregate_initialize(AggregateProgram *program, AggregateState *states);
extern bool aggregate_change(AggregateProgram *program, AggregateState *states, TupleTableSlot *row,
                             int sign, bool fresh);
extern bool aggregate_combinable(AggregateProgram *program);
extern bool aggregate_linear(AggregateProgram *program);
extern bool
aggregate_combine(AggregateProgram *program, AggregateState *states, const AggregateState *more);
extern void
aggregate_results(AggregateProgram *program, AggregateState *states, Datum *values, bool *isnull);
extern Datum
aggregate_store(AggregateProgram *program, int number, AggregateState *state, bool *isnull);
extern void aggregate_load(AggregateProgram *program, int number, AggregateState *state,
                           Datum stored, bool isnull, int64 count);

#endif /* FRESHET_AGGREGATE_H */
