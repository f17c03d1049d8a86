/*-------------------------------------------------------------------------
 *
 * frontier.c
 *	  The frontier of each database in shared memory, with its views: published
 *	  by its worker. See frontier.h for the locking; wait.c, pin.c, watch.c and
 *	  ring.c for what others do with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "cut/frontier_private.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

typedef struct FrontierShared
{
	int database_count;
	int view_count;
	/* the server's, until it ends */
	bool has_secret;
	uint8 secret[FRONTIER_SECRET_SIZE];
	/* the databases and then the views follow */
} FrontierShared;

int frontier_max_databases = 16;
int frontier_max_views = 1024;
int frontier_ring_kb = 8192;

LWLock *frontier_lock = NULL;
static FrontierShared *frontier_shared = NULL;
static FrontierDatabase *frontier_databases = NULL;
static FrontierView *frontier_views = NULL;

/* the worker: it has published a cut */
static bool frontier_published = false;

/* The shared memory needed, the two arrays included. */
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
	RequestAddinShmemSpace(add_size(frontier_shmem_size(), frontier_watch_size()));
	RequestNamedLWLockTranche("freshet", 1);
}

/* See frontier.h. */
const uint8 *
frontier_secret(void)
{
	return frontier_shared != NULL && frontier_shared->has_secret ? frontier_shared->secret : NULL;
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
	frontier_lock = &GetNamedLWLockTranche("freshet")->lock;
	frontier_watch_startup();
	if (found)
		return;

	memset(frontier_shared, 0, frontier_shmem_size());
	frontier_shared->database_count = frontier_max_databases;
	frontier_shared->view_count = frontier_max_views;
	frontier_shared->has_secret =
	    pg_strong_random(frontier_shared->secret, sizeof(frontier_shared->secret));
	ring_tranche = frontier_lock->tranche;
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
		pg_atomic_init_u64(&view->passes_at_ms, 0);
		pg_atomic_init_u64(&view->rows_in, 0);
		pg_atomic_init_u64(&view->rows_out, 0);
		pg_atomic_init_u64(&view->cycles, 0);
		pg_atomic_init_u64(&view->last_cycle_us, 0);
		pg_atomic_init_u64(&view->keyed_us, 0);
		pg_atomic_init_u64(&view->whole_us, 0);
	}
}

/* Have a callback run when the backend ends, whatever way; registered says whether it will. */
void
frontier_at_exit(bool *registered, pg_on_exit_callback callback)
{
	if (!*registered)
		before_shmem_exit(callback, (Datum) 0);
	*registered = true;
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

	LWLockAcquire(frontier_lock, LW_EXCLUSIVE);
	for (int i = 0; i < frontier_shared->database_count; i++)
	{
		FrontierDatabase *database = &frontier_databases[i];

		if (database->dboid == dboid)
		{
			LWLockRelease(frontier_lock);
			return last = database;
		}
		if (database->dboid == InvalidOid && free_entry == NULL)
			free_entry = database;
	}
	if (free_entry == NULL)
	{
		LWLockRelease(frontier_lock);
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
	LWLockRelease(frontier_lock);
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
	LWLockAcquire(frontier_lock, LW_EXCLUSIVE);
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
	LWLockRelease(frontier_lock);
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

	LWLockAcquire(frontier_lock, LW_EXCLUSIVE);
	for (int i = 0; i < frontier_shared->view_count; i++)
	{
		entry = &frontier_views[(start + i) % frontier_shared->view_count];
		if (entry->dboid == dboid && entry->view == view)
		{
			LWLockRelease(frontier_lock);
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
		pg_atomic_write_u32(&free_entry->locked, InvalidOid);
		pg_atomic_write_u64(&free_entry->lsn, 0);
		pg_atomic_write_u64(&free_entry->at_ms, 0);
		pg_atomic_write_u64(&free_entry->passes_at_ms, 0);
		pg_atomic_write_u64(&free_entry->rows_in, 0);
		pg_atomic_write_u64(&free_entry->rows_out, 0);
		pg_atomic_write_u64(&free_entry->cycles, 0);
		pg_atomic_write_u64(&free_entry->last_cycle_us, 0);
		pg_atomic_write_u64(&free_entry->keyed_us, 0);
		pg_atomic_write_u64(&free_entry->whole_us, 0);
		pg_write_barrier();
		free_entry->dboid = dboid;
	}
	LWLockRelease(frontier_lock);
	return free_entry;
}

/* See frontier.h. */
void
frontier_keep_views(FrontierDatabase *database, uint32 generation, List *known)
{
	LWLockAcquire(frontier_lock, LW_EXCLUSIVE);
	for (int i = 0; i < frontier_shared->view_count; i++)
	{
		FrontierView *entry = &frontier_views[i];

		if (pg_atomic_read_u32(&database->catalog_generation) != generation)
			break;
		if (entry->dboid == database->dboid && !list_member_oid(known, entry->view))
			entry->dboid = InvalidOid;
	}
	LWLockRelease(frontier_lock);
}

/* The views of a database that are behind and not in error. */
List *
frontier_views_behind(Oid dboid)
{
	List *views = NIL;
	int64 now_ms = cut_now_ms();

	for (int i = 0; i < frontier_shared->view_count; i++)
	{
		FrontierView *entry = &frontier_views[i];

		if (entry->dboid == dboid && pg_atomic_read_u32(&entry->failed) == 0 &&
		    (pg_atomic_read_u32(&entry->behind) != 0 || frontier_passed(entry, now_ms)))
			views = lappend_oid(views, entry->view);
	}
	return views;
}

/* The views of a database that are in error. */
List *
frontier_views_failed(Oid dboid)
{
	List *views = NIL;

	for (int i = 0; i < frontier_shared->view_count; i++)
		if (frontier_views[i].dboid == dboid && pg_atomic_read_u32(&frontier_views[i].failed) != 0)
			views = lappend_oid(views, frontier_views[i].view);
	return views;
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

/* The number of the published cut; 0: none was published yet. */
uint64
frontier_number(FrontierDatabase *database)
{
	uint64 number;

	SpinLockAcquire(&database->lock);
	number = database->number;
	SpinLockRelease(&database->lock);
	return number;
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
	frontier_watch_forget_worker(database);
	ConditionVariableBroadcast(&database->moved);
	return true;
}

/*
 * The database's views show this cut now; "own" transactions of the worker have
 * completed since its snapshot was taken.
 */
void
frontier_publish(FrontierDatabase *database, const Cut *cut, uint64 own)
{
	frontier_published = true;
	frontier_watch_cover(database, cut);
	SpinLockAcquire(&database->lock);
	database->number = cut->number;
	database->lsn = cut->lsn;
	database->at_ms = cut->at_ms;
	database->completed = cut->completed;
	database->own = own;
	SpinLockRelease(&database->lock);
	ConditionVariableBroadcast(&database->moved);
}
