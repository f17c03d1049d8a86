/*-------------------------------------------------------------------------
 *
 * execute.c
 *	  Planning and running queries at cuts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "delta/execute.h"
#include "executor/executor.h"
#include "nodes/supportnodes.h"
#include "plan/plan.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Changes of the running cycle. */
static List *current_changes = NIL;

/*
 * Plan a rewritten query that will run at cuts not older than oldest. The
 * result's transientPlan says that it must not be kept.
 */
PlannedStmt *
delta_plan(Query *query, const Cut *oldest)
{
	uint64 hidden = cut_hidden_indexes();
	PlannedStmt *planned;

	cut_push(oldest);
	planned = pg_plan_query(query, "freshet", 0, NULL);
	cut_pop();
	planned->transientPlan |= cut_hidden_indexes() != hidden;
	return planned;
}

typedef struct RowReceiver
{
	DestReceiver base;
	DeltaRow row;
	void *context;
} RowReceiver;

/* Hand a row on. */
static bool
receiver_row(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;

	receiver->row(slot, receiver->context);
	return true;
}

/* The rows' description is known to whoever asked for them. */
static void
receiver_startup(DestReceiver *self, int operation, TupleDesc descriptor)
{
}

/* There is nothing to do at the end, nor to free. */
static void
receiver_end(DestReceiver *self)
{
}

/* The parameters of queries: the time it is, and another one of the cycle, in ms. */
ParamListInfo
delta_times(int64 at_ms, int64 other_ms)
{
	ParamListInfo parameters = makeParamList(2);
	int64 times[2] = {at_ms, other_ms};

	for (int i = 0; i < 2; i++)
	{
		parameters->params[i].value = TimestampTzGetDatum(cut_timestamp(times[i]));
		parameters->params[i].isnull = false;
		parameters->params[i].pflags = PARAM_FLAG_CONST;
		parameters->params[i].ptype = TIMESTAMPTZOID;
	}
	return parameters;
}

/*
 * Run a planned query at a cut and hand its rows to a function, with two times as
 * its parameters; environment may be NULL. Returns the number of rows.
 *
 * Relations are locked here, as for any kept plan.
 */
uint64
delta_execute_at(PlannedStmt *planned, const Cut *cut, int64 at_ms, int64 other_ms,
                 QueryEnvironment *environment, DeltaRow row, void *context)
{
	RowReceiver receiver = {
	    .base =
	        {
	            .receiveSlot = receiver_row,
	            .rStartup = receiver_startup,
	            .rShutdown = receiver_end,
	            .rDestroy = receiver_end,
	            .mydest = DestNone,
	        },
	    .row = row,
	    .context = context,
	};
	QueryDesc *query;
	uint64 processed;

	cut_push(cut);
	query = CreateQueryDesc(planned, "freshet", GetActiveSnapshot(), InvalidSnapshot,
	                        &receiver.base, delta_times(at_ms, other_ms), environment, 0);
	ExecutorStart(query, 0);
	ExecutorRun(query, ForwardScanDirection, 0, true);
	processed = query->estate->es_processed;
	ExecutorFinish(query);
	ExecutorEnd(query);
	FreeQueryDesc(query);
	cut_pop();
	return processed;
}

/* Likewise, of a query that reads the time of its cut at the most. */
uint64
delta_execute(PlannedStmt *planned, const Cut *cut, QueryEnvironment *environment, DeltaRow row,
              void *context)
{
	return delta_execute_at(planned, cut, cut->at_ms, cut->at_ms, environment, row, context);
}

/* Let freshet.unchanged() and delta_change() see these changes. */
void
delta_set_changes(List *changes)
{
	current_changes = changes;
}

/* The change of a relation in the running cycle, or NULL. */
RelationChange *
delta_change(Oid relid)
{
	ListCell *cell;

	foreach (cell, current_changes)
	{
		RelationChange *change = lfirst(cell);

		if (change->relid == relid)
			return change;
	}
	return NULL;
}

/* Register a tuplestore as an ephemeral relation. */
void
delta_register(QueryEnvironment *environment, const char *name, TupleDesc descriptor,
               Tuplestorestate *store, double rows)
{
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));

	relation->md.name = pstrdup(name);
	relation->md.reliddesc = InvalidOid;
	relation->md.tupdesc = descriptor;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = rows;
	relation->reldata = store;
	register_ENR(environment, relation);
}

/* Register both signs of a change that has been read. */
void
delta_register_change(QueryEnvironment *environment, RelationChange *change)
{
	delta_register(environment, plan_relation_name(change->relid, 1), change->descriptor,
	               change->plus, change->plus_count);
	delta_register(environment, plan_relation_name(change->relid, -1), change->descriptor,
	               change->minus, change->minus_count);
}

PG_FUNCTION_INFO_V1(freshet_unchanged);

/*
 * freshet.unchanged(sign int4, relation oid, version tid): is this version in
 * both cuts of the running cycle? The anti-filter of the delta queries.
 */
Datum
freshet_unchanged(PG_FUNCTION_ARGS)
{
	int32 sign = PG_GETARG_INT32(0);
	Oid relid = PG_GETARG_OID(1);
	ItemPointer tid = (ItemPointer) PG_GETARG_POINTER(2);
	RelationChange *change;

	/* the cycle's list is stable while a query runs; look the relation up once */
	if (fcinfo->flinfo->fn_extra == NULL)
		fcinfo->flinfo->fn_extra = delta_change(relid);
	change = fcinfo->flinfo->fn_extra;
	PG_RETURN_BOOL(change == NULL || !change->read || !change_contains(change, sign, tid));
}

PG_FUNCTION_INFO_V1(freshet_unchanged_support);

/*
 * What the planner should know of freshet.unchanged: nearly every version is in
 * both cuts. It would guess a third for each table, and begin a delta query of
 * many tables at one that did not change.
 */
Datum
freshet_unchanged_support(PG_FUNCTION_ARGS)
{
	Node *request = (Node *) PG_GETARG_POINTER(0);

	if (!IsA(request, SupportRequestSelectivity))
		PG_RETURN_POINTER(NULL);
	((SupportRequestSelectivity *) request)->selectivity = 1.0;
	PG_RETURN_POINTER(request);
}
