/*-------------------------------------------------------------------------
 *
 * changes.c
 *	  freshet.changes: the rows a subscription has not given out yet.
 *
 * First the rows at its cut; after that, with each call, the difference to the
 * last committed cut, all with that cut's time, deletions first. The
 * subscription moves on when the result is complete, so that after an error
 * the same changes are given again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_type_d.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/tuplestore.h"
#include "subscribe/subscription.h"

/* Columns before the target's own. */
#define CHANGES_TIME 0
#define CHANGES_COUNT 1
#define CHANGES_ROW 2

PG_FUNCTION_INFO_V1(freshet_changes);

/* The caller's column definition list must be that of the target. */
static void
changes_check_columns(Subscription *subscription, TupleDesc expected)
{
	TupleDesc columns = subscription->columns;
	bool same = expected->natts == columns->natts + CHANGES_ROW &&
	            TupleDescAttr(expected, CHANGES_TIME)->atttypid == NUMERICOID &&
	            TupleDescAttr(expected, CHANGES_COUNT)->atttypid == INT8OID;

	for (int i = 0; same && i < columns->natts; i++)
	{
		Form_pg_attribute wanted = TupleDescAttr(expected, i + CHANGES_ROW);
		Form_pg_attribute column = TupleDescAttr(columns, i);

		same = wanted->atttypid == column->atttypid &&
		       (wanted->atttypmod < 0 || wanted->atttypmod == column->atttypmod);
	}
	if (!same)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
		                errmsg("the column definition list does not fit subscription \"%s\"",
		                       subscription->name),
		                errhint("Use AS (mz_timestamp numeric, mz_diff bigint%s%s).",
		                        columns->natts > 0 ? ", " : "", target_column_list(columns))));
}

/* Write the rows whose multiplicity has this sign to the result. */
static void
changes_emit(Difference *difference, TupleTableSlot *row, Datum at, int sign,
             Tuplestorestate *result, TupleDesc descriptor)
{
	int natts = row->tts_tupleDescriptor->natts;
	Datum *values = palloc(sizeof(Datum) * (natts + CHANGES_ROW));
	bool *nulls = palloc(sizeof(bool) * (natts + CHANGES_ROW));
	int64 multiplicity;

	values[CHANGES_TIME] = at;
	nulls[CHANGES_TIME] = nulls[CHANGES_COUNT] = false;
	difference_begin(difference);
	while (difference_next(difference, row, &multiplicity))
	{
		CHECK_FOR_INTERRUPTS();
		if ((multiplicity > 0) != (sign > 0))
			continue;
		slot_getallattrs(row);
		values[CHANGES_COUNT] = Int64GetDatum(multiplicity);
		memcpy(values + CHANGES_ROW, row->tts_values, sizeof(Datum) * natts);
		memcpy(nulls + CHANGES_ROW, row->tts_isnull, sizeof(bool) * natts);
		tuplestore_putvalues(result, descriptor, values, nulls);
	}
	ExecClearTuple(row);
	pfree(values);
	pfree(nulls);
}

/* Write a whole difference to the result: deletions, then insertions. */
static void
changes_emit_all(Subscription *subscription, Difference *difference, int64 at_ms,
                 Tuplestorestate *result, TupleDesc descriptor)
{
	TupleTableSlot *row;
	Datum at = NumericGetDatum(int64_to_numeric(at_ms));

	if (difference_empty(difference))
		return;
	row = MakeSingleTupleTableSlot(subscription->columns, &TTSOpsMinimalTuple);
	changes_emit(difference, row, at, -1, result, descriptor);
	changes_emit(difference, row, at, 1, result, descriptor);
	ExecDropSingleTupleTableSlot(row);
}

/* The time of rows read at a cut; finishes the subscription at UP TO. */
static bool
changes_time(Subscription *subscription, const Cut *cut, int64 *at_ms)
{
	*at_ms = Max(cut->at_ms, subscription->frontier);
	if (subscription->up_to == SUBSCRIPTION_NO_TIME || *at_ms < subscription->up_to)
		return true;
	subscription->finished = true;
	return false;
}

/*
 * The rows at the first cut. Without UP TO, which a later cut could have
 * passed, and without AS OF, the later the better.
 */
static void
changes_snapshot(Subscription *subscription, Tuplestorestate *result, TupleDesc descriptor)
{
	Difference *rows;
	int64 at_ms;

	if (subscription->as_of == SUBSCRIPTION_NO_TIME && subscription->up_to == SUBSCRIPTION_NO_TIME)
		position_follow(subscription);
	if (!changes_time(subscription, subscription->cut, &at_ms))
		return;

	rows = difference_create(CurrentMemoryContext, subscription->columns, work_mem);
	if (subscription->query != NULL)
		query_snapshot(subscription, rows);
	else
		stored_snapshot(subscription, rows);
	changes_emit_all(subscription, rows, at_ms, result, descriptor);
	difference_destroy(rows);
	position_check(subscription);

	subscription->snapshot_due = false;
	subscription->frontier = at_ms + 1;
	if (subscription->dependency_count == 0)
		subscription->finished = true;
}

/* Where a reading ends, or NULL: there is nothing to read. */
static Cut *
changes_end(Subscription *subscription)
{
	uint64 number = frontier_number(subscription->database);
	Cut *end = subscription->read_to;

	subscription->read_to = NULL;
	if (end == NULL)
	{
		end = position_next(subscription);
		if (end == NULL)
			position_nothing(subscription, number);
	}
	else if (end->number <= subscription->cut->number)
	{
		cut_free(end);
		end = NULL;
	}
	return end;
}

/* The difference between the subscription's cut and a later one. */
static void
changes_next(Subscription *subscription, Tuplestorestate *result, TupleDesc descriptor)
{
	Cut *next = changes_end(subscription);
	Difference *change;
	int64 at_ms;

	if (next == NULL || !changes_time(subscription, next, &at_ms))
		return;

	change = difference_create(CurrentMemoryContext, subscription->columns, work_mem);
	if (subscription->query != NULL)
		query_change(subscription, next, change);
	else
		stored_change(subscription, next, change);
	changes_emit_all(subscription, change, at_ms, result, descriptor);
	difference_destroy(change);
	/* what was read is right only if the old cut was held all the time */
	position_check(subscription);

	position_advance(subscription, next);
	subscription->frontier = at_ms + 1;
	cut_free(next);
}

/* What is next: nothing, the snapshot, or the changes since. */
static void
changes_read(Subscription *subscription, Tuplestorestate *result, TupleDesc descriptor)
{
	position_check(subscription);
	target_check(subscription);
	if (subscription->early)
		position_look(subscription);
	if (!subscription->finished && !subscription->early)
	{
		if (subscription->snapshot_due)
			changes_snapshot(subscription, result, descriptor);
		else
			changes_next(subscription, result, descriptor);
	}
}

/* freshet.changes(name) */
Datum
freshet_changes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	Subscription *subscription = subscription_find(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	MemoryContext caller;
	TupleDesc descriptor;
	Tuplestorestate *result;
	bool under_cut = cut_pushed();

	if (info == NULL || !IsA(info, ReturnSetInfo) || (info->allowedModes & SFRM_Materialize) == 0 ||
	    info->expectedDesc == NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		                errmsg("freshet.changes needs a column definition list"),
		                errhint("Use SELECT * FROM freshet.changes(%s) AS (mz_timestamp numeric, "
		                        "mz_diff bigint%s%s).",
		                        quote_literal_cstr(subscription->name),
		                        subscription->columns->natts > 0 ? ", " : "",
		                        target_column_list(subscription->columns))));
	changes_check_columns(subscription, info->expectedDesc);

	caller = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	descriptor = CreateTupleDescCopy(info->expectedDesc);
	result =
	    tuplestore_begin_heap((info->allowedModes & SFRM_Materialize_Random) != 0, false, work_mem);
	MemoryContextSwitchTo(caller);

	subscription_use(subscription);
	PG_TRY();
	{
		changes_read(subscription, result, descriptor);
	}
	PG_CATCH();
	{
		/* the error may be caught within the transaction */
		if (!under_cut)
			cut_reset();
		PG_RE_THROW();
	}
	PG_END_TRY();
	subscription_release(subscription);

	info->returnMode = SFRM_Materialize;
	info->setResult = result;
	info->setDesc = descriptor;
	PG_RETURN_NULL();
}
