/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  freshet.verify(view): how many rows differ, by image, between a view and
 *	  its query at the cut the view shows. 0 is the promise (exact).
 *
 * The query runs as the view's owner, security-restricted, under the settings
 * captured when the view was created, and without parallel workers: a float
 * sum must equal that of a serial computation. Both sides are read under one
 * snapshot, so nothing has to stand still meanwhile but the tables' files:
 * after TRUNCATE an older cut shows no rows. So the relations are locked before
 * the cut is taken.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pg/role.h"
#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "cut/frontier.h"
#include "delta/difference.h"
#include "delta/execute.h"
#include "plan/plan.h"
#include "view/catalog.h"
#include "view/view.h"

/* How long verify waits at most for a view in error. */
#define VERIFY_WAIT_ERROR_MS 2000

int verify_patience_ms = 60000;

PG_FUNCTION_INFO_V1(freshet_verify);

/* The view's query, planned now; its relations are locked. */
static PlannedStmt *
verify_plan(Relation view, List *settings)
{
	Query *query = plan_view(view, settings)->query;

	if (query == NULL)
		elog(ERROR, "materialized view \"%s\" is missing rewrite information",
		     RelationGetRelationName(view));
	return pg_plan_query(query, "freshet.verify", 0, NULL);
}

/* Lock all that the view's query reads, as planning it does. */
static void
verify_lock(Relation view, List *settings)
{
	Role before;

	role_compute(&before, view->rd_rel->relowner, settings);
	(void) verify_plan(view, settings);
	role_restore(&before);
}

/* Take the rows of the view's query under the active snapshot out. */
static void
verify_add_query(Relation view, List *settings, int64 at_ms, Difference *difference)
{
	difference_add_query(difference, verify_plan(view, settings), "freshet.verify",
	                     delta_times(at_ms, at_ms), -1);
}

/* Add the view's rows under the active snapshot. */
static void
verify_add_view(Relation view, Difference *difference)
{
	TupleTableSlot *slot = table_slot_create(view, NULL);
	TableScanDesc scan = table_beginscan(view, GetActiveSnapshot(), 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		difference_add(difference, slot, 1);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
}

/* Compare the view with its query under the active snapshot. */
static int64
verify_compare(Relation view, List *settings, int64 at_ms)
{
	Difference *difference =
	    difference_create(CurrentMemoryContext, RelationGetDescr(view), work_mem);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(view), &TTSOpsMinimalTuple);
	Role before;
	int64 multiplicity;
	int64 differing = 0;

	role_compute(&before, view->rd_rel->relowner, settings);
	verify_add_query(view, settings, at_ms, difference);
	role_restore(&before);
	verify_add_view(view, difference);

	difference_begin(difference);
	while (difference_next(difference, slot, &multiplicity))
	{
		CHECK_FOR_INTERRUPTS();
		differing += multiplicity < 0 ? -multiplicity : multiplicity;
	}
	ExecDropSingleTupleTableSlot(slot);
	difference_destroy(difference);
	return differing;
}

/* The view does not show the frontier's cut: say since when, and why, as far as the user may know. */
static void
verify_behind(Relation view, const ViewRow *row, const char *error, FrontierView *state)
{
	int64 at_ms = (int64) pg_atomic_read_u64(&state->at_ms);
	const char *why;

	if (error != NULL && pg_class_ownercheck(RelationGetRelid(view), GetUserId()))
		why = psprintf("its query failed: %s", error);
	else if (error != NULL)
		why = "its query failed; its owner sees why in freshet.views";
	else if (row->adopted)
		why = "it was not brought to the current cut in time";
	else
		why = "it has not been computed yet";
	ereport(ERROR,
	        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
	         errmsg("materialized view \"%s\" is not up to date", RelationGetRelationName(view)),
	         at_ms == 0 ? errdetail("It is behind because %s.", why)
	                    : errdetail("It is behind since %s because %s.",
	                                timestamptz_to_str(cut_timestamp(at_ms)), why),
	         errhint("See freshet.views.")));
}

/*
 * The cut to compare at, held by *pin: the last committed one, when the view
 * shows it, and the settings its query runs under. NULL: not yet.
 *
 * The cut says itself which views were behind when it was made. One may have
 * been brought to it since: such a view shows rows the cut does not see yet, and
 * the next cut has to be waited for. So the cut must have been published, and
 * the view may be behind neither in it nor now. What is published is looked at
 * before the cut is read: the cut is then at least as new as that.
 */
static Cut *
verify_take_cut(FrontierDatabase *database, FrontierView *state, Oid view, volatile int *pin,
                List **settings)
{
	TransactionId xmin;
	Cut *cut;
	ViewRow *row;
	bool behind;
	uint64 published;

	*pin = frontier_pin(database, &xmin);
	if (*pin < 0)
		return NULL;
	behind = pg_atomic_read_u32(&state->behind) != 0;
	published = frontier_number(database);
	cut = catalog_cut_read();
	row = catalog_view(view);
	if (cut != NULL && row != NULL)
	{
		bool usable = !behind && published >= cut->number;

		for (int i = 0; i < cut->behind_count; i++)
		{
			if (cut->behind[i] == view)
				usable = false;
		}
		if (usable && row->adopted && TransactionIdFollowsOrEquals(cut->snapshot->xmin, xmin) &&
		    catalog_view_error(view) == NULL)
		{
			*settings = row->settings;
			return cut;
		}
	}
	frontier_unpin(database, *pin);
	*pin = -1;
	return NULL;
}

/* Compare a maintained view at the cut it shows. */
static int64
verify_maintained(Relation view)
{
	Oid viewid = RelationGetRelid(view);
	FrontierDatabase *database = frontier_database(MyDatabaseId, true);
	FrontierView *state = frontier_view(MyDatabaseId, viewid, true);
	TimestampTz started = GetCurrentTimestamp();
	ViewRow *row;
	const char *error;
	Cut *cut;
	List *settings = NIL;
	bool under_cut = cut_pushed();
	volatile int pin = -1;
	volatile int64 differing = 0;

	if (database == NULL || state == NULL)
		ereport(ERROR,
		        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		         errmsg("freshet is not running in this server"),
		         errhint("Add freshet to shared_preload_libraries and restart the server.")));
	row = catalog_view(viewid);
	verify_lock(view, row != NULL ? row->settings : NIL);
	if (frontier_wait(database, state, frontier_completed_now(), verify_patience_ms) ==
	    FRONTIER_NO_WORKER)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("freshet's worker is not running in this database"),
		                errhint("See the server's log for the reason.")));

	PG_TRY();
	{
		ConditionVariablePrepareToSleep(&database->moved);
		for (;;)
		{
			cut = verify_take_cut(database, state, viewid, &pin, &settings);
			if (cut != NULL)
				break;
			row = catalog_view(viewid);
			if (row == NULL)
				ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				                errmsg("materialized view \"%s\" is no longer maintained",
				                       RelationGetRelationName(view))));
			error = catalog_view_error(viewid);
			if (TimestampDifferenceExceeds(started, GetCurrentTimestamp(),
			                               error != NULL
			                                   ? Min(verify_patience_ms, VERIFY_WAIT_ERROR_MS)
			                                   : verify_patience_ms))
				verify_behind(view, row, error, state);
			pg_atomic_write_u32(&state->wanted, 1);
			frontier_wake_worker(database);
			ConditionVariableTimedSleep(&database->moved, 100, PG_WAIT_EXTENSION);
		}
		ConditionVariableCancelSleep();
		cut_push(cut);
		differing = verify_compare(view, settings, cut->at_ms);
		cut_pop();
		cut_free(cut);
		if (frontier_pin_lost(database, pin))
			ereport(ERROR, (errcode(ERRCODE_SNAPSHOT_TOO_OLD),
			                errmsg("verifying \"%s\" took longer than freshet.max_cut_age",
			                       RelationGetRelationName(view))));
	}
	PG_FINALLY();
	{
		/* after an error, which may be caught within the transaction */
		if (!under_cut)
			cut_reset();
		if (pin >= 0)
			frontier_unpin(database, pin);
	}
	PG_END_TRY();
	return differing;
}

/* freshet.verify(regclass) */
Datum
freshet_verify(PG_FUNCTION_ARGS)
{
	Oid viewid = PG_GETARG_OID(0);
	Relation view = relation_open(viewid, AccessShareLock);
	ViewRow *row;
	int64 differing;

	if (view->rd_rel->relkind != RELKIND_MATVIEW)
		ereport(ERROR,
		        (errcode(ERRCODE_WRONG_OBJECT_TYPE),
		         errmsg("\"%s\" is not a materialized view", RelationGetRelationName(view))));
	if (pg_class_aclcheck(viewid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_MATVIEW, RelationGetRelationName(view));
	if (!RelationIsPopulated(view))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("materialized view \"%s\" has not been populated",
		                       RelationGetRelationName(view)),
		                errhint("Use the REFRESH MATERIALIZED VIEW command.")));

	row = catalog_view(viewid);
	if (row != NULL && row->maintain)
		differing = verify_maintained(view);
	else
	{
		PushActiveSnapshot(GetLatestSnapshot());
		differing = verify_compare(view, row != NULL ? row->settings : NIL, cut_now_ms());
		PopActiveSnapshot();
	}

	relation_close(view, AccessShareLock);
	PG_RETURN_INT64(differing);
}
