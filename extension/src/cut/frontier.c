/*-------------------------------------------------------------------------
 *
 * frontier.c
 *	  The frontier of each database in shared memory: published by its worker,
 *	  waited for by readers, pinned by subscribers. See frontier.h for the
 *	  locking.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/transam.h"
#include "cut/ring.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define FRONTIER_MAX_WATCHES 1024

/* While waiting: how often a reader looks whether it is itself in the way. */
#define FRONTIER_LOOK_MS 50

/* A relation subscribed to; guarded by FrontierShared.lock. */
typedef struct FrontierWatch
{
	Oid dboid; /* InvalidOid: free */
	Oid relation;
	int subscribers;
	bool seen;              /* the worker has taken it up */
	TransactionId seen_xid; /* next xid when it did */
	bool covered;           /* the ring knows all changes ... */
	uint64 covered_after;   /* ... of the cuts after this one */
} FrontierWatch;

typedef struct FrontierShared
{
	LWLock *lock;
	int database_count;
	int view_count;
	FrontierWatch watches[FRONTIER_MAX_WATCHES];
	/* the databases and then the views follow */
} FrontierShared;

int frontier_max_databases = 16;
int frontier_max_views = 1024;
int frontier_ring_kb = 8192;

static FrontierShared *frontier_shared = NULL;
static FrontierDatabase *frontier_databases = NULL;
static FrontierView *frontier_views = NULL;

/* what this backend must give back when it ends */
static bool frontier_exit_registered = false;
static FrontierDatabase *frontier_waiting_for = NULL;
static FrontierDatabase *frontier_pinned = NULL;
static int frontier_pin_count = 0;
static FrontierDatabase *frontier_watching = NULL;
static List *frontier_watch_list = NIL; /* of Oid, once per subscription */

/* the worker: it has published a cut */
static bool frontier_published = false;

/* the worker: watches taken up and not yet covered by the ring */
static bool frontier_uncovered = false;

/* The shared memory needed, the three arrays included. */
static Size
frontier_shmem_size(void)
{
	Size size = MAXALIGN(sizeof(FrontierShared));

	size = add_size(size, mul_size(MAXALIGN(sizeof(FrontierDatabase)), frontier_max_databases));
	size = add_size(size, mul_size(MAXALIGN(sizeof(FrontierView)), frontier_max_views));
	return size;
}

/* shmem_request_hook's part */
void
frontier_request_shmem(void)
{
	RequestAddinShmemSpace(frontier_shmem_size());
	RequestNamedLWLockTranche("freshet", 1);
}

/* shmem_startup_hook's part; the caller holds AddinShmemInitLock */
void
frontier_startup_shmem(void)
{
	bool found;
	static int ring_tranche;

	frontier_shared = ShmemInitStruct("freshet frontier", frontier_shmem_size(), &found);
	frontier_databases =
	    (FrontierDatabase *) ((char *) frontier_shared + MAXALIGN(sizeof(FrontierShared)));
	frontier_views = (FrontierView *) ((char *) frontier_databases +
	                                   MAXALIGN(sizeof(FrontierDatabase)) * frontier_max_databases);
	if (found)
		return;

	memset(frontier_shared, 0, frontier_shmem_size());
	frontier_shared->lock = &GetNamedLWLockTranche("freshet")->lock;
	frontier_shared->database_count = frontier_max_databases;
	frontier_shared->view_count = frontier_max_views;
	ring_tranche = frontier_shared->lock->tranche;
	for (int i = 0; i < frontier_max_databases; i++)
	{
		FrontierDatabase *database = &frontier_databases[i];

		SpinLockInit(&database->lock);
		pg_atomic_init_u32(&database->sleeping, 0);
		pg_atomic_init_u32(&database->waiters, 0);
		pg_atomic_init_u32(&database->catalog_generation, 0);
		pg_atomic_init_u32(&database->maintained, FRONTIER_UNCOUNTED);
		pg_atomic_init_u32(&database->watched, 0);
		ConditionVariableInit(&database->moved);
		LWLockInitialize(&database->ring_lock, ring_tranche);
	}
	for (int i = 0; i < frontier_max_views; i++)
	{
		FrontierView *view = &frontier_views[i];

		pg_atomic_init_u64(&view->completed, 0);
		pg_atomic_init_u32(&view->behind, 0);
		pg_atomic_init_u32(&view->failed, 0);
		pg_atomic_init_u32(&view->wanted, 0);
		pg_atomic_init_u32(&view->locked, 0);
		pg_atomic_init_u64(&view->lsn, 0);
		pg_atomic_init_u64(&view->at_ms, 0);
		pg_atomic_init_u64(&view->rows_in, 0);
		pg_atomic_init_u64(&view->rows_out, 0);
		pg_atomic_init_u64(&view->cycles, 0);
		pg_atomic_init_u64(&view->last_cycle_us, 0);
	}
}

/* Gives back waits, pins and watches, whatever way the backend ends. */
static void
frontier_backend_exit(int code, Datum arg)
{
	if (frontier_waiting_for != NULL)
	{
		pg_atomic_fetch_sub_u32(&frontier_waiting_for->waiters, 1);
		frontier_waiting_for = NULL;
	}
	if (frontier_pin_count > 0)
	{
		SpinLockAcquire(&frontier_pinned->lock);
		for (int i = 0; i < frontier_pinned->pins_used; i++)
		{
			if (frontier_pinned->pins[i].pid == MyProcPid)
				frontier_pinned->pins[i].pid = 0;
		}
		SpinLockRelease(&frontier_pinned->lock);
		frontier_pin_count = 0;
	}
	while (frontier_watch_list != NIL)
		frontier_unwatch(frontier_watching, linitial_oid(frontier_watch_list));
}

/* Registers frontier_backend_exit once. */
static void
frontier_register_exit(void)
{
	if (frontier_exit_registered)
		return;
	before_shmem_exit(frontier_backend_exit, (Datum) 0);
	frontier_exit_registered = true;
}

/* Milliseconds since 1970. */
static int64
frontier_now_ms(void)
{
	return GetCurrentTimestamp() / 1000 +
	       (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;
}

/* The entry of a database, or NULL. */
FrontierDatabase *
frontier_database(Oid dboid, bool create)
{
	static FrontierDatabase *last = NULL;
	FrontierDatabase *free_entry = NULL;

	if (frontier_shared == NULL || !OidIsValid(dboid))
		return NULL;
	if (last != NULL && last->dboid == dboid)
		return last;
	for (int i = 0; i < frontier_shared->database_count; i++)
	{
		if (frontier_databases[i].dboid == dboid)
		{
			pg_read_barrier();
			return last = &frontier_databases[i];
		}
	}
	if (!create)
		return NULL;

	LWLockAcquire(frontier_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < frontier_shared->database_count; i++)
	{
		FrontierDatabase *database = &frontier_databases[i];

		if (database->dboid == dboid)
		{
			LWLockRelease(frontier_shared->lock);
			return last = database;
		}
		if (database->dboid == InvalidOid && free_entry == NULL)
			free_entry = database;
	}
	if (free_entry == NULL)
	{
		LWLockRelease(frontier_shared->lock);
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		                errmsg("too many databases with the extension freshet"),
		                errhint("Increase freshet.max_databases, now %d, and restart the server.",
		                        frontier_max_databases)));
	}
	free_entry->worker_pid = 0;
	free_entry->worker_latch = NULL;
	free_entry->worker_left = GetCurrentTimestamp();
	free_entry->stop_requested = 0;
	free_entry->number = 0;
	free_entry->lsn = InvalidXLogRecPtr;
	free_entry->at_ms = 0;
	free_entry->completed = 0;
	free_entry->own = 0;
	free_entry->slot_xmin = InvalidTransactionId;
	free_entry->ring_handle = 0;
	free_entry->pins_used = 0;
	memset(free_entry->pins, 0, sizeof(free_entry->pins));
	pg_atomic_write_u32(&free_entry->sleeping, 0);
	pg_atomic_write_u32(&free_entry->waiters, 0);
	pg_atomic_write_u32(&free_entry->watched, 0);
	pg_atomic_write_u32(&free_entry->maintained, FRONTIER_UNCOUNTED);
	pg_write_barrier();
	free_entry->dboid = dboid;
	LWLockRelease(frontier_shared->lock);
	return last = free_entry;
}

/* One database with an entry after the other, then InvalidOid; starts at 0. */
Oid
frontier_next_database(int *position)
{
	while (*position < frontier_shared->database_count)
	{
		Oid dboid = frontier_databases[(*position)++].dboid;

		if (OidIsValid(dboid))
			return dboid;
	}
	return InvalidOid;
}

/* The database or its extension is gone: its entry and its views' are free. */
void
frontier_forget_database(Oid dboid)
{
	if (frontier_shared == NULL)
		return;
	LWLockAcquire(frontier_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < frontier_shared->view_count; i++)
	{
		if (frontier_views[i].dboid == dboid)
			frontier_views[i].dboid = InvalidOid;
	}
	for (int i = 0; i < frontier_shared->database_count; i++)
	{
		if (frontier_databases[i].dboid == dboid)
		{
			frontier_databases[i].dboid = InvalidOid;
			ConditionVariableBroadcast(&frontier_databases[i].moved);
		}
	}
	LWLockRelease(frontier_shared->lock);
}

/*
 * The entry of a view, or NULL. The array is an open-addressed table: a search
 * ends at an entry that was never used (view not set); a freed entry keeps its
 * view and is only passed over. A new entry is behind, since nothing has
 * brought it to the frontier yet. NULL with create: the array is full.
 */
FrontierView *
frontier_view(Oid dboid, Oid view, bool create)
{
	FrontierView *free_entry = NULL;
	FrontierView *entry = NULL;
	uint32 start;

	if (frontier_shared == NULL || !OidIsValid(dboid) || !OidIsValid(view))
		return NULL;
	start = hash_combine(murmurhash32(dboid), murmurhash32(view)) % frontier_shared->view_count;
	for (int i = 0; i < frontier_shared->view_count; i++)
	{
		entry = &frontier_views[(start + i) % frontier_shared->view_count];
		if (entry->dboid == dboid && entry->view == view)
		{
			pg_read_barrier();
			return entry;
		}
		if (entry->view == InvalidOid)
			break;
	}
	if (!create)
		return NULL;

	LWLockAcquire(frontier_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < frontier_shared->view_count; i++)
	{
		entry = &frontier_views[(start + i) % frontier_shared->view_count];
		if (entry->dboid == dboid && entry->view == view)
		{
			LWLockRelease(frontier_shared->lock);
			return entry;
		}
		if (entry->dboid == InvalidOid && free_entry == NULL)
			free_entry = entry;
		if (entry->view == InvalidOid)
			break;
	}
	if (free_entry != NULL)
	{
		free_entry->view = view;
		pg_atomic_write_u64(&free_entry->completed, 0);
		pg_atomic_write_u32(&free_entry->behind, 1);
		pg_atomic_write_u32(&free_entry->failed, 0);
		pg_atomic_write_u32(&free_entry->wanted, 0);
		pg_atomic_write_u64(&free_entry->lsn, 0);
		pg_atomic_write_u64(&free_entry->at_ms, 0);
		pg_atomic_write_u64(&free_entry->rows_in, 0);
		pg_atomic_write_u64(&free_entry->rows_out, 0);
		pg_atomic_write_u64(&free_entry->cycles, 0);
		pg_atomic_write_u64(&free_entry->last_cycle_us, 0);
		pg_write_barrier();
		free_entry->dboid = dboid;
	}
	LWLockRelease(frontier_shared->lock);
	return free_entry;
}

/* See frontier.h. */
void
frontier_keep_views(FrontierDatabase *database, uint32 generation, List *known)
{
	LWLockAcquire(frontier_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < frontier_shared->view_count; i++)
	{
		FrontierView *entry = &frontier_views[i];

		if (pg_atomic_read_u32(&database->catalog_generation) != generation)
			break;
		if (entry->dboid == database->dboid && !list_member_oid(known, entry->view))
			entry->dboid = InvalidOid;
	}
	LWLockRelease(frontier_shared->lock);
}

/* The views of a database that are behind and not in error. */
List *
frontier_views_behind(Oid dboid)
{
	List *views = NIL;

	for (int i = 0; i < frontier_shared->view_count; i++)
	{
		FrontierView *entry = &frontier_views[i];

		if (entry->dboid == dboid && pg_atomic_read_u32(&entry->behind) != 0 &&
		    pg_atomic_read_u32(&entry->failed) == 0)
			views = lappend_oid(views, entry->view);
	}
	return views;
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
frontier_satisfied(FrontierDatabase *database, FrontierView *view, uint64 completed, int64 since_ms)
{
	uint64 covered;
	uint64 own;
	int64 at_ms;

	if (view != NULL && view->dboid == database->dboid && pg_atomic_read_u32(&view->failed) == 0 &&
	    pg_atomic_read_u32(&view->behind) != 0)
		return pg_atomic_read_u64(&view->completed) >= completed ||
		       (since_ms > 0 && pg_atomic_read_u64(&view->at_ms) >= (uint64) since_ms);

	SpinLockAcquire(&database->lock);
	covered = database->completed;
	own = database->own;
	at_ms = database->at_ms;
	SpinLockRelease(&database->lock);

	if (covered == 0)
		return false; /* no cut since the server started */
	if (covered >= completed)
		return true;
	if (since_ms > 0 && at_ms >= since_ms)
		return true;
	return covered + own == frontier_completed_now();
}

/* Are the first "completed" transactions visible in the frontier's cut? */
bool
frontier_is_fresh(FrontierDatabase *database, FrontierView *view, uint64 completed)
{
	return frontier_satisfied(database, view, completed, 0);
}

/* Sets the worker's latch, if there is a worker. */
void
frontier_wake_worker(FrontierDatabase *database)
{
	Latch *latch;

	SpinLockAcquire(&database->lock);
	latch = database->worker_pid != 0 ? database->worker_latch : NULL;
	SpinLockRelease(&database->lock);

	/* should the worker just have left, the latch is some process's anyway */
	if (latch != NULL)
		SetLatch(latch);
}

/* Does the worker wait for a lock that this very transaction holds? */
static bool
frontier_blocked_by_me(FrontierDatabase *database)
{
	ArrayType *array;
	int32 *pids;
	int count;
	bool mine = false;
	pid_t worker = database->worker_pid;

	if (worker == 0)
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
frontier_lockable(Oid relation, LOCKMODE mode)
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
frontier_locked_out(FrontierView *view)
{
	Oid base = (Oid) pg_atomic_read_u32(&view->locked);

	if (pg_atomic_read_u32(&view->behind) == 0 || view->dboid != MyDatabaseId)
		return false;
	return !frontier_lockable(view->view, RowExclusiveLock) ||
	       (OidIsValid(base) && !frontier_lockable(base, AccessShareLock));
}

/* Is there no worker, and has been none for the time readers wait for one? */
static bool
frontier_worker_missing(FrontierDatabase *database)
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
frontier_wait_loop(FrontierDatabase *database, FrontierView *view, uint64 completed, int64 since_ms,
                   long timeout_ms)
{
	TimestampTz started = GetCurrentTimestamp();
	Oid dboid = database->dboid;
	TimestampTz looked = started;

	/* the worker has met a lock already: no need to let it try again first */
	if (view != NULL && pg_atomic_read_u32(&view->locked) != InvalidOid &&
	    frontier_locked_out(view))
		return FRONTIER_TIMEOUT;

	ConditionVariablePrepareToSleep(&database->moved);
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		long slice = FRONTIER_LOOK_MS;

		if (database->dboid != dboid)
			return FRONTIER_NO_WORKER;
		if (frontier_satisfied(database, view, completed, since_ms))
			return FRONTIER_FRESH;
		if (frontier_worker_missing(database))
			return FRONTIER_NO_WORKER;
		if (timeout_ms >= 0)
		{
			long passed = TimestampDifferenceMilliseconds(started, now);

			if (passed >= timeout_ms)
				return FRONTIER_TIMEOUT;
			slice = Min(slice, timeout_ms - passed);
		}
		/* by the clock: a busy worker may wake us more often than that */
		if (TimestampDifferenceExceeds(looked, now, FRONTIER_LOOK_MS))
		{
			looked = now;
			if (frontier_blocked_by_me(database) || (view != NULL && frontier_locked_out(view)))
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

	if (frontier_satisfied(database, view, completed, since_ms))
		return FRONTIER_FRESH;

	frontier_register_exit();
	Assert(frontier_waiting_for == NULL);
	frontier_waiting_for = database;
	pg_atomic_fetch_add_u32(&database->waiters, 1);
	PG_TRY();
	{
		outcome = frontier_wait_loop(database, view, completed, since_ms, timeout_ms);
	}
	PG_FINALLY();
	{
		ConditionVariableCancelSleep();
		frontier_waiting_for = NULL;
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

/*
 * A transaction that changed the catalogs is visible now: readers must not
 * trust a count of none any more.
 */
void
frontier_catalogs_change(FrontierDatabase *database)
{
	SpinLockAcquire(&database->lock);
	pg_atomic_fetch_add_u32(&database->catalog_generation, 1);
	pg_atomic_write_u32(&database->maintained, FRONTIER_UNCOUNTED);
	SpinLockRelease(&database->lock);
}

/* That transaction has released its locks as well: the worker may look. */
void
frontier_catalogs_changed(FrontierDatabase *database)
{
	pg_atomic_fetch_add_u32(&database->catalog_generation, 1);
	frontier_wake_worker(database);
}

/* See frontier.h. */
void
frontier_set_maintained(FrontierDatabase *database, uint32 generation, uint32 count)
{
	SpinLockAcquire(&database->lock);
	if (pg_atomic_read_u32(&database->catalog_generation) == generation)
		pg_atomic_write_u32(&database->maintained, count);
	SpinLockRelease(&database->lock);
}

/*
 * Asks the worker to leave and waits till it has; none will be started until
 * frontier_allow_worker. The caller must call that on error as well, this
 * function's own errors included.
 */
void
frontier_stop_worker(FrontierDatabase *database)
{
	pid_t worker;

	SpinLockAcquire(&database->lock);
	database->stop_requested++;
	SpinLockRelease(&database->lock);

	ConditionVariablePrepareToSleep(&database->moved);
	while ((worker = *(volatile pid_t *) &database->worker_pid) != 0)
	{
		frontier_wake_worker(database);
		/* in the middle of something long: it can be interrupted anywhere */
		if (ConditionVariableTimedSleep(&database->moved, 1000, PG_WAIT_EXTENSION))
			kill(worker, SIGTERM);
	}
	ConditionVariableCancelSleep();
}

/* Ends what frontier_stop_worker began. */
void
frontier_allow_worker(FrontierDatabase *database)
{
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&database->lock);
	if (database->stop_requested > 0)
		database->stop_requested--;
	database->worker_left = now;
	SpinLockRelease(&database->lock);
}

/* See frontier.h. */
int
frontier_pin(FrontierDatabase *database, TransactionId *xmin)
{
	int pin = -1;
	bool full = true;
	int64 now = frontier_now_ms();

	frontier_register_exit();
	SpinLockAcquire(&database->lock);
	for (int i = 0; i < FRONTIER_MAX_PINS; i++)
	{
		if (database->pins[i].pid != 0)
			continue;
		full = false;
		if (TransactionIdIsValid(database->slot_xmin))
		{
			pin = i;
			database->pins[i].pid = MyProcPid;
			database->pins[i].xmin = *xmin = database->slot_xmin;
			database->pins[i].since_ms = now;
			database->pins[i].lost = false;
			database->pins_used = Max(database->pins_used, i + 1);
		}
		break;
	}
	SpinLockRelease(&database->lock);

	if (full)
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		                errmsg("too many subscriptions in this database"),
		                errdetail("At most %d cuts can be read at a time.", FRONTIER_MAX_PINS)));
	if (pin >= 0)
	{
		frontier_pinned = database;
		frontier_pin_count++;
	}
	return pin;
}

/* The reader has come to a later cut. */
void
frontier_pin_advance(FrontierDatabase *database, int pin, TransactionId xmin)
{
	int64 now = frontier_now_ms();

	Assert(pin >= 0 && pin < FRONTIER_MAX_PINS && database->pins[pin].pid == MyProcPid);
	SpinLockAcquire(&database->lock);
	if (TransactionIdFollowsOrEquals(xmin, database->pins[pin].xmin))
	{
		database->pins[pin].xmin = xmin;
		database->pins[pin].since_ms = now;
	}
	SpinLockRelease(&database->lock);
}

/* Has the pinned cut been dropped because it was held too long? */
bool
frontier_pin_lost(FrontierDatabase *database, int pin)
{
	bool lost;

	Assert(pin >= 0 && pin < FRONTIER_MAX_PINS);
	SpinLockAcquire(&database->lock);
	lost = database->pins[pin].pid != MyProcPid || database->pins[pin].lost;
	SpinLockRelease(&database->lock);
	return lost;
}

/* The cut is no longer read. */
void
frontier_unpin(FrontierDatabase *database, int pin)
{
	Assert(pin >= 0 && pin < FRONTIER_MAX_PINS);
	SpinLockAcquire(&database->lock);
	if (database->pins[pin].pid == MyProcPid)
	{
		database->pins[pin].pid = 0;
		frontier_pin_count--;
	}
	SpinLockRelease(&database->lock);
}

/* The database has no worker any more: tell those who wait. */
static void
frontier_worker_exit(int code, Datum arg)
{
	FrontierDatabase *database = (FrontierDatabase *) DatumGetPointer(arg);
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&database->lock);
	if (database->worker_pid == MyProcPid)
	{
		database->worker_pid = 0;
		database->worker_latch = NULL;
		/* readers do not wait for workers that come and go and do nothing */
		if (frontier_published)
			database->worker_left = now;
		database->slot_xmin = InvalidTransactionId;
		pg_atomic_write_u32(&database->sleeping, 0);
	}
	SpinLockRelease(&database->lock);
	ConditionVariableBroadcast(&database->moved);
}

/* See frontier.h. */
bool
frontier_worker_attach(FrontierDatabase *database)
{
	bool attached = false;

	before_shmem_exit(frontier_worker_exit, PointerGetDatum(database));
	SpinLockAcquire(&database->lock);
	if (database->worker_pid == 0 && database->stop_requested == 0)
	{
		attached = true;
		database->worker_pid = MyProcPid;
		database->worker_latch = &MyProc->procLatch;
	}
	SpinLockRelease(&database->lock);
	if (!attached)
		return false;

	pg_atomic_write_u32(&database->sleeping, 0);
	LWLockAcquire(frontier_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < FRONTIER_MAX_WATCHES; i++)
	{
		FrontierWatch *watch = &frontier_shared->watches[i];

		if (watch->dboid == database->dboid)
			watch->seen = watch->covered = false;
	}
	LWLockRelease(frontier_shared->lock);
	ConditionVariableBroadcast(&database->moved);
	return true;
}

/*
 * From this cut on the ring knows relations whose writers of before have ended,
 * and maintained views, which only the worker writes.
 */
static void
frontier_cover_watches(FrontierDatabase *database, const Cut *cut)
{
	frontier_uncovered = false;
	LWLockAcquire(frontier_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < FRONTIER_MAX_WATCHES; i++)
	{
		FrontierWatch *watch = &frontier_shared->watches[i];

		if (watch->dboid != database->dboid || !watch->seen || watch->covered)
			continue;
		if (TransactionIdFollowsOrEquals(cut->snapshot->xmin, watch->seen_xid) ||
		    frontier_view(database->dboid, watch->relation, false) != NULL)
		{
			watch->covered = true;
			watch->covered_after = cut->number;
		}
		else
			frontier_uncovered = true;
	}
	LWLockRelease(frontier_shared->lock);
}

/*
 * The database's views show this cut now; "own" transactions of the worker have
 * completed since its snapshot was taken.
 */
void
frontier_publish(FrontierDatabase *database, const Cut *cut, uint64 own)
{
	frontier_published = true;
	if (frontier_uncovered)
		frontier_cover_watches(database, cut);

	SpinLockAcquire(&database->lock);
	database->number = cut->number;
	database->lsn = cut->lsn;
	database->at_ms = cut->at_ms;
	database->completed = cut->completed;
	database->own = own;
	SpinLockRelease(&database->lock);
	ConditionVariableBroadcast(&database->moved);
}

/* The oldest pin that still holds something; the caller holds the spinlock. */
static TransactionId
frontier_oldest_pin_locked(FrontierDatabase *database)
{
	TransactionId oldest = InvalidTransactionId;

	for (int i = 0; i < database->pins_used; i++)
	{
		FrontierPin *pin = &database->pins[i];

		if (pin->pid == 0 || pin->lost)
			continue;
		if (!TransactionIdIsValid(oldest) || TransactionIdPrecedes(pin->xmin, oldest))
			oldest = pin->xmin;
	}
	return oldest;
}

/* See frontier.h. */
TransactionId
frontier_hold_xmin(FrontierDatabase *database, TransactionId wanted)
{
	TransactionId oldest;

	SpinLockAcquire(&database->lock);
	oldest = frontier_oldest_pin_locked(database);
	if (TransactionIdIsValid(oldest) && TransactionIdPrecedes(oldest, wanted))
		wanted = oldest;
	database->slot_xmin = wanted;
	SpinLockRelease(&database->lock);
	return wanted;
}

/* See frontier.h. */
void
frontier_drop_pins(FrontierDatabase *database, int64 before_ms)
{
	SpinLockAcquire(&database->lock);
	for (int i = 0; i < database->pins_used; i++)
	{
		if (database->pins[i].pid != 0 && database->pins[i].since_ms < before_ms)
			database->pins[i].lost = true;
	}
	SpinLockRelease(&database->lock);
}

/* The watch of a relation, or a free one, or NULL; the caller holds the lock. */
static FrontierWatch *
frontier_find_watch(Oid dboid, Oid relation, bool or_free)
{
	FrontierWatch *free_watch = NULL;

	for (int i = 0; i < FRONTIER_MAX_WATCHES; i++)
	{
		FrontierWatch *watch = &frontier_shared->watches[i];

		if (watch->dboid == dboid && watch->relation == relation)
			return watch;
		if (watch->dboid == InvalidOid && free_watch == NULL)
			free_watch = watch;
	}
	return or_free ? free_watch : NULL;
}

/* The worker shall read this relation's changes, until frontier_unwatch. */
void
frontier_watch(FrontierDatabase *database, Oid relation)
{
	FrontierWatch *watch;
	MemoryContext old;
	bool added = false;

	frontier_register_exit();
	Assert(frontier_watch_list == NIL || frontier_watching == database);
	old = MemoryContextSwitchTo(TopMemoryContext);
	frontier_watch_list = lappend_oid(frontier_watch_list, relation);
	MemoryContextSwitchTo(old);
	frontier_watching = database;

	LWLockAcquire(frontier_shared->lock, LW_EXCLUSIVE);
	watch = frontier_find_watch(database->dboid, relation, true);
	if (watch != NULL && watch->dboid == InvalidOid)
	{
		memset(watch, 0, sizeof(*watch));
		watch->relation = relation;
		watch->dboid = database->dboid;
		pg_atomic_fetch_add_u32(&database->watched, 1);
		added = true;
	}
	if (watch != NULL)
		watch->subscribers++;
	LWLockRelease(frontier_shared->lock);

	if (watch == NULL)
	{
		frontier_watch_list =
		    list_truncate(frontier_watch_list, list_length(frontier_watch_list) - 1);
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		                errmsg("too many relations are subscribed to"),
		                errdetail("At most %d relations can be watched at a time.",
		                          FRONTIER_MAX_WATCHES)));
	}
	if (added)
	{
		pg_atomic_fetch_add_u32(&database->catalog_generation, 1);
		frontier_wake_worker(database);
	}
}

/* One subscription less. */
void
frontier_unwatch(FrontierDatabase *database, Oid relation)
{
	FrontierWatch *watch;

	if (!list_member_oid(frontier_watch_list, relation))
		return;
	frontier_watch_list = list_delete_oid(frontier_watch_list, relation);

	LWLockAcquire(frontier_shared->lock, LW_EXCLUSIVE);
	watch = frontier_find_watch(database->dboid, relation, false);
	if (watch != NULL && --watch->subscribers == 0)
	{
		watch->dboid = InvalidOid;
		pg_atomic_fetch_sub_u32(&database->watched, 1);
		pg_atomic_fetch_add_u32(&database->catalog_generation, 1);
	}
	LWLockRelease(frontier_shared->lock);
}

/*
 * The worker takes up the watched relations: from here on it reads their
 * changes. Returns how many there are; at most max are written. is_new says
 * which ones it had not taken up before.
 */
int
frontier_watched(FrontierDatabase *database, Oid *relations, bool *is_new, int max)
{
	int count = 0;

	if (pg_atomic_read_u32(&database->watched) == 0)
		return 0;
	LWLockAcquire(frontier_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < FRONTIER_MAX_WATCHES && count < max; i++)
	{
		FrontierWatch *watch = &frontier_shared->watches[i];

		if (watch->dboid != database->dboid)
			continue;
		relations[count] = watch->relation;
		is_new[count++] = !watch->seen;
		if (!watch->seen)
		{
			watch->seen = true;
			watch->seen_xid = XidFromFullTransactionId(ReadNextFullTransactionId());
			frontier_uncovered = true;
		}
	}
	LWLockRelease(frontier_shared->lock);
	return count;
}

/* The changes of a watched relation in the cuts (after, upto]; see ring.c. */
FrontierChanges
frontier_ring_read(FrontierDatabase *database, Oid relation, uint64 after, uint64 upto,
                   ItemPointerData **tids, int *count)
{
	FrontierWatch *watch;
	bool covered;

	*tids = NULL;
	*count = 0;
	LWLockAcquire(frontier_shared->lock, LW_SHARED);
	watch = frontier_find_watch(database->dboid, relation, false);
	covered = watch != NULL && watch->covered && after >= watch->covered_after;
	LWLockRelease(frontier_shared->lock);
	if (!covered)
		return FRONTIER_CHANGES_UNKNOWN;
	return frontier_ring_scan(database, relation, after, upto, tids, count);
}
