/*-------------------------------------------------------------------------
 *
 * execute.h
 *	  Running a query at a cut, with changes as ephemeral relations.
 *
 * Invariants:
 *	- A query runs under exactly one cut; it never sees anything else.
 *	- Plans are made without parallel workers and only with indexes that hold
 *	  every row the older of the two cuts can see.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_EXECUTE_H
#define FRESHET_EXECUTE_H

#include "postgres.h"

#include "cut/capture.h"
#include "cut/cut.h"
#include "executor/tuptable.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "utils/queryenvironment.h"

/* Receives one row; the slot is valid during the call only. */
typedef void (*DeltaRow)(TupleTableSlot *slot, void *context);

extern PlannedStmt *delta_plan(Query *query, const Cut *oldest);
extern ParamListInfo delta_times(int64 at_ms, int64 other_ms);
extern uint64 delta_execute_at(PlannedStmt *planned, const Cut *cut, int64 at_ms, int64 other_ms,
                               QueryEnvironment *environment, DeltaRow row, void *context);
extern uint64 delta_execute(PlannedStmt *planned, const Cut *cut, QueryEnvironment *environment,
                            DeltaRow row, void *context);

/* the changes of the cycle that is running, for freshet.unchanged() */
extern void delta_set_changes(List *changes);
extern RelationChange *delta_change(Oid relid);
extern void delta_register_change(QueryEnvironment *environment, RelationChange *change);
extern void delta_register(QueryEnvironment *environment, const char *name, TupleDesc descriptor,
                           Tuplestorestate *store, double rows);

#endif /* FRESHET_EXECUTE_H */
