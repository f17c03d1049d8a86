/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  CALL freshet.wait: sleep until a subscription has something to read.
 *
 * While it sleeps the backend holds no snapshot, so backend_xmin is empty: the
 * snapshot that PortalRunUtility made for the CALL is popped, the portal's own
 * reference to it and the catalog snapshot are dropped, and at the end the
 * portal gets a new one. That is what a procedure's COMMIT does as well, and
 * is possible only where the CALL is the portal's own statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "funcapi.h"
#include "libpq/libpq.h"
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "subscribe/subscription.h"

/* How often a sleeper looks for a vanished client and renews its pin. */
#define WAIT_TICK_MS 500

/* How often it asks the worker for a cut when a time is waited for. */
#define WAIT_TIME_MS 10

PG_FUNCTION_INFO_V1(freshet_wait);

/* Give up the snapshot of the CALL, or say why that is not possible. */
static void
wait_drop_snapshot(void)
{
	Portal portal = ActivePortal;

	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
		        (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
		         errmsg("cannot wait for changes in a transaction with isolation level %s",
		                XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" : "REPEATABLE READ"),
		         errdetail("Such a transaction keeps its snapshot to its end."),
		         errhint("Use READ COMMITTED.")));
	if (portal == NULL || portal->portalSnapshot == NULL ||
	    portal->portalSnapshot != GetActiveSnapshot())
		ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_STATE),
		                errmsg("cannot wait for changes inside a function"),
		                errhint("CALL freshet.wait as a statement of its own.")));

	PopActiveSnapshot();
	portal->portalSnapshot = NULL;
	if (portal->holdSnapshot != NULL)
	{
		UnregisterSnapshotFromOwner(portal->holdSnapshot, portal->resowner);
		portal->holdSnapshot = NULL;
	}
	InvalidateCatalogSnapshot();
}

/* End the session if its client is gone. */
static void
wait_check_client(void)
{
	if (MyProcPort == NULL || pq_check_connection())
		return;
	/* as ProcessInterrupts does, but in one line: which statement it was says nothing */
	whereToSendOutput = DestNone;
	ereport(FATAL, (errcode(ERRCODE_CONNECTION_FAILURE), errmsg("connection to client lost"),
	                errhidestmt(true)));
}

/* Look at the subscription's state; true: there is no reason to sleep. */
static bool
wait_look(Subscription *subscription)
{
	position_check(subscription);
	AcceptInvalidationMessages();
	target_check(subscription);
	position_look(subscription);
	return subscription->finished || position_ready(subscription);
}

/*
 * How long to sleep at most: until the deadline (negative: none), the next
 * tick, or a moment the subscription waits for.
 */
static long
wait_slice(Subscription *subscription, TimestampTz deadline)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz until = TimestampTzPlusMilliseconds(now, WAIT_TICK_MS);
	int64 at_ms = SUBSCRIPTION_NO_TIME;

	if (deadline >= 0)
		until = Min(until, deadline);
	if (subscription->pending && subscription->not_before > now)
		until = Min(until, subscription->not_before);

	if (subscription->early)
		at_ms = subscription->as_of;
	else if (!subscription->pending)
		at_ms = subscription->up_to;
	if (at_ms != SUBSCRIPTION_NO_TIME)
	{
		int64 left = at_ms - cut_now_ms();

		if (left <= 0)
		{
			/* the time has come; only the frontier has not reached it yet */
			frontier_wake_worker(subscription->database);
			left = WAIT_TIME_MS;
		}
		until = Min(until, TimestampTzPlusMilliseconds(now, Min(left, WAIT_TICK_MS)));
	}
	return Max(TimestampDifferenceMilliseconds(now, until), 1);
}

/*
 * Sleep until there is something to read, or the deadline. deadline < 0: none.
 *
 * Looking may leave the condition variable's list or reset the latch; then
 * ConditionVariableTimedSleep puts us back and returns at once, so that one
 * looks again before sleeping.
 */
static void
wait_sleep(Subscription *subscription, TimestampTz deadline)
{
	ConditionVariable *moved = &subscription->database->moved;
	TimestampTz checked = GetCurrentTimestamp();

	ConditionVariablePrepareToSleep(moved);
	for (;;)
	{
		TimestampTz now;

		if (wait_look(subscription))
			break;
		InvalidateCatalogSnapshot();
		now = GetCurrentTimestamp();
		if (deadline >= 0 && now >= deadline)
			break;
		if (TimestampDifferenceExceeds(checked, now, WAIT_TICK_MS))
		{
			checked = now;
			wait_check_client();
			ConditionVariableCancelSleep();
			continue;
		}
		ConditionVariableTimedSleep(moved, wait_slice(subscription, deadline), PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
}

/* The description of wait's result. */
static TupleDesc
wait_result_descriptor(void)
{
	static TupleDesc descriptor = NULL;

	if (descriptor == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
		TupleDesc made = CreateTemplateTupleDesc(3);

		TupleDescInitEntry(made, 1, "pending", BOOLOID, -1, 0);
		TupleDescInitEntry(made, 2, "frontier", NUMERICOID, -1, 0);
		TupleDescInitEntry(made, 3, "finished", BOOLOID, -1, 0);
		descriptor = BlessTupleDesc(made);
		MemoryContextSwitchTo(caller);
	}
	return descriptor;
}

/*
 * freshet.wait(name, timeout_ms, OUT pending, OUT frontier, OUT finished):
 * until freshet.changes would return something, the subscription is finished,
 * or the time is over (0: look once; -1: no limit).
 */
Datum
freshet_wait(PG_FUNCTION_ARGS)
{
	Subscription *subscription;
	int32 timeout_ms;
	Datum values[3];
	bool nulls[3] = {false};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
		                errmsg("name and timeout of a wait must not be null")));
	subscription = subscription_find(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	timeout_ms = PG_GETARG_INT32(1);

	subscription_use(subscription);
	if (!wait_look(subscription) && timeout_ms != 0)
	{
		wait_drop_snapshot();
		wait_sleep(subscription,
		           timeout_ms < 0 ? -1
		                          : TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms));
		EnsurePortalSnapshotExists();
	}
	subscription_release(subscription);

	values[0] = BoolGetDatum(position_ready(subscription));
	values[1] = NumericGetDatum(int64_to_numeric(subscription->frontier));
	values[2] = BoolGetDatum(subscription->finished);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(wait_result_descriptor(), values, nulls)));
}
