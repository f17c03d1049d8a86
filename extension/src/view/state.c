/*-------------------------------------------------------------------------
 *
 * state.c
 *	  What freshet.views shows from shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "cut/frontier.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
#include "view/catalog.h"

PG_FUNCTION_INFO_V1(freshet_view_state);

#define STATE_COLUMNS 8

/* An interval of so many microseconds. */
static Datum
state_interval(int64 us)
{
	Interval *interval = palloc0(sizeof(Interval));

	interval->time = us;
	return IntervalPGetDatum(interval);
}

/*
 * The state of one view: a view that is not behind is at the database's
 * frontier, whatever it was when the view itself last changed.
 */
static void
state_of_view(FrontierDatabase *database, FrontierView *view, Datum *values, bool *nulls)
{
	bool fresh = frontier_is_fresh(database, view, frontier_completed_now());
	XLogRecPtr lsn;
	int64 at_ms;

	if (pg_atomic_read_u32(&view->behind) == 0 && pg_atomic_read_u32(&view->failed) == 0)
	{
		SpinLockAcquire(&database->lock);
		lsn = database->lsn;
		at_ms = database->at_ms;
		SpinLockRelease(&database->lock);
	}
	else
	{
		fresh = fresh && pg_atomic_read_u32(&view->failed) == 0;
		lsn = pg_atomic_read_u64(&view->lsn);
		at_ms = (int64) pg_atomic_read_u64(&view->at_ms);
	}

	nulls[1] = XLogRecPtrIsInvalid(lsn);
	values[1] = LSNGetDatum(lsn);
	nulls[2] = nulls[3] = at_ms == 0;
	if (at_ms != 0)
	{
		TimestampTz at = cut_timestamp(at_ms);

		values[2] = TimestampTzGetDatum(at);
		values[3] = state_interval(fresh ? 0 : Max(GetCurrentTimestamp() - at, 0));
	}
	values[4] = Int64GetDatum((int64) pg_atomic_read_u64(&view->rows_in));
	values[5] = Int64GetDatum((int64) pg_atomic_read_u64(&view->rows_out));
	values[6] = Int64GetDatum((int64) pg_atomic_read_u64(&view->cycles));
	values[7] = state_interval((int64) pg_atomic_read_u64(&view->last_cycle_us));
}

/* freshet.view_state(): one row per maintained view the worker knows */
Datum
freshet_view_state(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	FrontierDatabase *database = frontier_database(MyDatabaseId, false);
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	if (database == NULL || !catalog_installed())
		return (Datum) 0;
	foreach (cell, catalog_views())
	{
		ViewRow *row = (ViewRow *) lfirst(cell);
		FrontierView *view = frontier_view(MyDatabaseId, row->view, false);
		Datum values[STATE_COLUMNS] = {0};
		bool nulls[STATE_COLUMNS] = {0};

		if (view == NULL || !row->maintain)
			continue;
		values[0] = ObjectIdGetDatum(row->view);
		state_of_view(database, view, values, nulls);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
