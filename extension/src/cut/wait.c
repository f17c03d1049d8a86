/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  Waiting until a database's frontier, or a view of it, covers what has
 *	  been committed.
 *
 * A wait ends early when it could not end otherwise: without a worker, or when
 * a lock keeps the worker from the view, which may be a lock of the very
 * transaction that waits.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "cut/frontier_private.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* While waiting: how often a reader looks whether it is itself in the way. */
#define LOOK_MS 50
/* A worker that does not come to what time changes is not waited for longer. */
#define CLOCK_MOST_MS 1000

/* what this backend must give back when it ends */
static bool exit_registered = false;
static FrontierDatabase *waiting_for = NULL;

/* Nobody waits any more, whatever way the backend ends. */
static void
wait_backend_exit(int code, Datum arg)
{
	if (waiting_for != NULL)
		pg_atomic_fetch_sub_u32(&waiting_for->waiters, 1);
	waiting_for = NULL;
}

/* How many transactions have completed since the server started. */
uint64
frontier_completed_now(void)
{
	pg_read_barrier();
	return *(volatile uint64 *) &ShmemVariableCache->xactCompletionCount;
}

/*
 * Does the frontier show all of the first "completed" transactions, or a cut
 * at since_ms or later? Either it covers them by number, or nothing but the
 * worker's own transactions has completed since its cut. The count of completed
 * transactions is read after the frontier's fields: read before, it could miss
 * a commit that the fields already count as the worker's own.
 */
static bool
wait_frontier_satisfied(FrontierDatabase *database, uint64 completed, int64 since_ms)
{
	uint64 covered;
	uint64 own;
	int64 at_ms;

	SpinLockAcquire(&database->lock);
	covered = database->completed;
	own = database->own;
	at_ms = database->at_ms;
	SpinLockRelease(&database->lock);

	if (covered == 0)
		return false; /* no cut since the server started */
	return covered >= completed || (since_ms > 0 && at_ms >= since_ms) ||
	       covered + own == frontier_completed_now();
}

/*
 * Likewise, with a view that may be behind the frontier. What is said of the
 * view is read after the frontier: it is said before a cut is published at
 * which the view is behind. clock_ms: what time was to change by then has
 * changed; 0: that does not matter.
 */
static bool
wait_satisfied(FrontierDatabase *database, FrontierView *view, uint64 completed, int64 since_ms,
               int64 clock_ms)
{
	bool satisfied = wait_frontier_satisfied(database, completed, since_ms);

	pg_read_barrier();
	if (view == NULL || view->dboid != database->dboid || pg_atomic_read_u32(&view->failed) != 0)
		return satisfied;
	if (pg_atomic_read_u32(&view->behind) != 0)
		return pg_atomic_read_u64(&view->completed) >= completed ||
		       (since_ms > 0 && pg_atomic_read_u64(&view->at_ms) >= (uint64) since_ms);
	return satisfied && !frontier_passed(view, clock_ms);
}

/* Are the first "completed" transactions visible in the frontier's cut? */
bool
frontier_is_fresh(FrontierDatabase *database, FrontierView *view, uint64 completed)
{
	return wait_satisfied(database, view, completed, 0, 0);
}

/* Was time to change a view by then, and is it not known yet that it has? */
bool
frontier_passed(FrontierView *view, int64 at_ms)
{
	uint64 passes_at_ms = pg_atomic_read_u64(&view->passes_at_ms);

	return passes_at_ms != 0 && passes_at_ms <= (uint64) at_ms;
}

/* Does the worker wait for a lock that this very transaction holds? */
static bool
wait_blocked_by_me(FrontierDatabase *database)
{
	ArrayType *array;
	int32 *pids;
	int count;
	bool mine = false;
	pid_t worker = database->worker_pid;
	PGPROC *process = worker == 0 ? NULL : BackendPidGetProc(worker);

	/* it hardly ever waits; who blocks whom is asked under all locks of the lock table */
	if (process == NULL || *(LOCK *volatile *) &process->waitLock == NULL)
		return false;
	array = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(worker)));
	pids = (int32 *) ARR_DATA_PTR(array);
	count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	for (int i = 0; i < count; i++)
	{
		if (pids[i] == MyProcPid)
			mine = true;
	}
	pfree(array);
	return mine;
}

/* Could the worker have this lock now: does nobody, not even we, stand in its way? */
static bool
wait_lockable(Oid relation, LOCKMODE mode)
{
	LOCKTAG tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relation);
	for (LOCKMODE held = AccessShareLock; held <= AccessExclusiveLock; held++)
		if (DoLockModesConflict(held, mode) && LockHeldByMe(&tag, held))
			return false;
	if (!ConditionalLockRelationOid(relation, mode))
		return false;
	UnlockRelationOid(relation, mode);
	return true;
}

/*
 * Is the worker kept out of the view by somebody's lock, or by somebody who
 * waits for one, perhaps for one of ours? It is if we would be, too. Such a view
 * keeps its content until that is over; to wait could be to wait for ourselves,
 * where no deadlock check looks.
 */
static bool
wait_locked_out(FrontierView *view)
{
	Oid base = (Oid) pg_atomic_read_u32(&view->locked);

	if (pg_atomic_read_u32(&view->behind) == 0 || view->dboid != MyDatabaseId)
		return false;
	return !wait_lockable(view->view, RowExclusiveLock) ||
	       (OidIsValid(base) && !wait_lockable(base, AccessShareLock));
}

/* Is there no worker, and has been none for the time readers wait for one? */
static bool
wait_worker_missing(FrontierDatabase *database)
{
	TimestampTz left;
	bool none;

	SpinLockAcquire(&database->lock);
	none = database->worker_pid == 0;
	left = database->worker_left;
	SpinLockRelease(&database->lock);
	return none &&
	       TimestampDifferenceExceeds(left, GetCurrentTimestamp(), FRONTIER_WORKER_GRACE_MS);
}

/* The loop of frontier_wait. */
static FrontierWait
wait_loop(FrontierDatabase *database, FrontierView *view, uint64 completed, int64 since_ms,
          long timeout_ms)
{
	TimestampTz started = GetCurrentTimestamp();
	Oid dboid = database->dboid;
	TimestampTz looked = started;
	int64 clock_ms = since_ms > 0 ? since_ms : cut_now_ms();

	/* the worker has met a lock already: no need to let it try again first */
	if (view != NULL && pg_atomic_read_u32(&view->locked) != InvalidOid && wait_locked_out(view))
		return FRONTIER_TIMEOUT;

	ConditionVariablePrepareToSleep(&database->moved);
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		long slice = LOOK_MS;

		if (database->dboid != dboid)
			return FRONTIER_NO_WORKER;
		if (TimestampDifferenceExceeds(started, now, CLOCK_MOST_MS))
			clock_ms = 0;
		if (wait_satisfied(database, view, completed, since_ms, clock_ms))
			return FRONTIER_FRESH;
		if (wait_worker_missing(database))
			return FRONTIER_NO_WORKER;
		if (timeout_ms >= 0)
		{
			long passed = TimestampDifferenceMilliseconds(started, now);

			if (passed >= timeout_ms)
				return FRONTIER_TIMEOUT;
			slice = Min(slice, timeout_ms - passed);
		}
		if (LockTimeout > 0)
		{
			long passed = TimestampDifferenceMilliseconds(started, now);

			if (passed >= LockTimeout)
				ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				                errmsg("canceling statement due to lock timeout"),
				                errdetail("It waited for a materialized view to become fresh.")));
			slice = Min(slice, LockTimeout - passed);
		}
		/* by the clock: a busy worker may wake us more often than that */
		if (TimestampDifferenceExceeds(looked, now, LOOK_MS))
		{
			looked = now;
			if (wait_blocked_by_me(database) || (view != NULL && wait_locked_out(view)))
				return FRONTIER_TIMEOUT;
		}

		if (view != NULL && pg_atomic_read_u32(&view->behind) != 0)
			pg_atomic_write_u32(&view->wanted, 1);
		frontier_wake_worker(database);
		ConditionVariableTimedSleep(&database->moved, slice, PG_WAIT_EXTENSION);
	}
}

/* Waits as frontier_wait, or for a cut at since_ms or later. */
FrontierWait
frontier_wait_since(FrontierDatabase *database, FrontierView *view, uint64 completed,
                    int64 since_ms, long timeout_ms)
{
	volatile FrontierWait outcome = FRONTIER_TIMEOUT;
	int64 clock_ms = since_ms;

	if (view != NULL && since_ms == 0 && pg_atomic_read_u64(&view->passes_at_ms) != 0)
		clock_ms = cut_now_ms();
	if (wait_satisfied(database, view, completed, since_ms, clock_ms))
		return FRONTIER_FRESH;

	frontier_at_exit(&exit_registered, wait_backend_exit);
	Assert(waiting_for == NULL);
	waiting_for = database;
	pg_atomic_fetch_add_u32(&database->waiters, 1);
	PG_TRY();
	{
		outcome = wait_loop(database, view, completed, since_ms, timeout_ms);
	}
	PG_FINALLY();
	{
		ConditionVariableCancelSleep();
		waiting_for = NULL;
		pg_atomic_fetch_sub_u32(&database->waiters, 1);
	}
	PG_END_TRY();
	return outcome;
}

/* Waits till the first "completed" transactions are in the frontier. */
FrontierWait
frontier_wait(FrontierDatabase *database, FrontierView *view, uint64 completed, long timeout_ms)
{
	return frontier_wait_since(database, view, completed, 0, timeout_ms);
}
