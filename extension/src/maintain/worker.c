/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The worker of a database: cycle after cycle, as soon as something has
 *	  been committed.
 *
 * It goes on from the committed cut, after a crash as well. It leaves when the
 * extension is not (or no longer) there, and when somebody wants to drop,
 * rename, move or copy the database.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "cut/retention.h"
#include "cut/wal.h"
#include "maintain/barrier.h"
#include "maintain/indexer.h"
#include "maintain/launcher.h"
#include "maintain/quarantine.h"
#include "maintain/worker.h"
#include "maintain/yield.h"
#include "miscadmin.h"
#include "pg/role.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "view/catalog.h"

/*
 * Without a reader that waits, a cycle is followed by a rest (milliseconds):
 * commits gather, and fewer, bigger cycles cost less. Subscribers are not kept
 * waiting as long.
 */
#define REST_LEAST_MS 1
#define REST_MOST_SUBSCRIBED_MS 2
/* Unless there are so many that waking them takes its time: each has work to do then. */
#define REST_PER_PUBLISHING 25
/* For this long after a reader has waited the rest is the least, and cycles stay small. */
#define READERS_MS 1000
/*
 * Where cycles are long, the rest is so many times the last one, up to so many
 * times freshet.cycle_delay: a row costs less the more of its page change at once.
 */
#define REST_PER_CYCLE 2
#define REST_MOST_DELAYS 5
/* For subscribers cuts have times of their own, a millisecond apart: how far they may run ahead */
#define CLOCK_AHEAD_MS 5
/* Commits that wake nobody (COMMIT PREPARED ...) are noticed at the latest after */
#define LOOK_INTERVAL_MS 200
/* While somebody writes much WAL, it is looked at so often */
#define AHEAD_INTERVAL_MS 5
/* Consecutive errors that are no view's fault, after which the worker restarts. */
#define MOST_FAILURES 5

int worker_max_cut_age = 3600; /* GUC, seconds */
int worker_cycle_delay = 20;   /* GUC, milliseconds */

static volatile sig_atomic_t worker_terminated = false;

/* Somebody ended the worker: that is no crash, and the next one is to come at once. */
static void
worker_terminate(SIGNAL_ARGS)
{
	worker_terminated = true;
	die(postgres_signal_arg);
}

/* Tell the launcher why the process ends. */
static void
worker_exit(int code, Datum arg)
{
	if (worker_terminated)
		launcher_report(LAUNCHER_LEFT);
}

/* Leave for a reason the launcher is told. */
static void
worker_leave(LauncherOutcome outcome)
{
	indexer_stop();
	launcher_report(outcome);
	proc_exit(0);
}

/*
 * Leave, if the extension is not there or of another version. Nothing is held back
 * then, however long that lasts: views are made anew afterwards.
 */
static void
worker_require_extension(void)
{
	bool installed;

	StartTransactionCommand();
	installed = catalog_installed();
	if (catalog_foreign())
		catalog_complain(WARNING);
	CommitTransactionCommand();
	if (installed)
		return;
	retention_drop(MyDatabaseId);
	frontier_forget_database(MyDatabaseId);
	worker_leave(LAUNCHER_NO_EXTENSION);
}

/* The settings under which delta queries are planned, here and in the indexer. */
void
worker_configure_planning(void)
{
	role_start_process();
	SetConfigOption("max_parallel_workers_per_gather", "0", PGC_USERSET, PGC_S_OVERRIDE);
	/* what has just changed is in memory, unless the administrator knows better */
	SetConfigOption("random_page_cost", "1.1", PGC_USERSET, PGC_S_DYNAMIC_DEFAULT);
}

/* The settings under which the worker runs. */
static void
worker_configure(void)
{
	worker_configure_planning();
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "100ms", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("jit", "off", PGC_USERSET, PGC_S_OVERRIDE);
	/* the other side may be this very database: it must not wait for us */
	SetConfigOption("postgres_fdw.application_name", BARRIER_WORKER_NAME, PGC_USERSET,
	                PGC_S_OVERRIDE);
}

/* The views' cut cannot be read any more: each says so until it is made anew. */
static void
worker_cut_lost(void)
{
	ListCell *cell;

	foreach (cell, catalog_views())
	{
		ViewRow *row = lfirst(cell);

		if (row->maintain && ConditionalLockRelationOid(row->view, RowExclusiveLock))
			catalog_view_set_error(row->view, unpack_sql_state(ERRCODE_SNAPSHOT_TOO_OLD),
			                       "what changed since its last cut is not known any more");
	}
}

/*
 * Take up the slot and the committed cut. If the slot does not cover the cut
 * any more, everything is rebuilt at the first cut. Numbers and times never go
 * back, whatever was lost: the worker before may have published cuts that it
 * did not commit, and somebody have looked at them.
 */
static void
worker_resume(Worker *worker)
{
	MemoryContext old;
	Cut *cut;
	XLogRecPtr start;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	retention_acquire(MyDatabaseId);
	cut = catalog_cut_read();
	old = MemoryContextSwitchTo(worker->context);
	if (cut != NULL && retention_covers(cut))
	{
		worker->cut = cut_copy(cut);
		worker->cut->completed = 0;
		worker->cut->number = Max(cut->number, frontier_number(worker->database));
		worker->persisted = true;
		worker->resuming = true;
		start = cut->restart_lsn;
		(void) frontier_hold_xmin(worker->database, retention_xmin());
		ereport(LOG, (errmsg("freshet worker goes on from cut %llu at %X/%X",
		                     (unsigned long long) cut->number, LSN_FORMAT_ARGS(cut->lsn))));
	}
	else
	{
		uint64 number = Max(cut ? cut->number : 0, frontier_number(worker->database));
		int64 at_ms = cut ? cut->at_ms : 0;

		if (cut != NULL)
			worker_cut_lost();
		start = wal_end();
		cut = cut_take(number + 1, at_ms + 1);
		worker->cut = cut_copy(cut);
		worker->cut->completed = 0; /* nothing is published before a cycle */
		worker->persisted = false;
		retention_hold(frontier_hold_xmin(worker->database, worker->cut->snapshot->xmin), start);
		retention_save();
		ereport(LOG, (errmsg("freshet worker starts anew at %X/%X", LSN_FORMAT_ARGS(start))));
	}
	XLogFlush(start);
	worker->capture = capture_create(worker->context, start, load_invalidated);
	MemoryContextSwitchTo(old);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* Run a cycle; an error becomes the view's, or is thrown if it repeats. */
static CycleResult
worker_cycle(Worker *worker)
{
	static int failures = 0;
	volatile CycleResult result = CYCLE_AGAIN;

	PG_TRY();
	{
		result = cycle_run(worker);
		failures = 0;
	}
	PG_CATCH();
	{
		ErrorData *error;
		bool yielded;

		MemoryContextSwitchTo(worker->context);
		error = CopyErrorData();
		yielded = yield_end() && error->sqlerrcode == ERRCODE_QUERY_CANCELED;
		if (!yielded && worker->culprit == NULL && ++failures >= MOST_FAILURES)
			PG_RE_THROW();
		if (!yielded)
			EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		cut_reset();
		cycle_failed(worker, error, yielded);
		FreeErrorData(error);
	}
	PG_END_TRY();
	return result;
}

/*
 * Sleep until somebody wants something: at most timeout_ms. Commits wake us
 * only in a real sleep, not in the rest after a cycle.
 */
static void
worker_sleep(Worker *worker, long timeout_ms, bool rest)
{
	FrontierDatabase *database = worker->database;

	if (!rest)
	{
		pg_atomic_write_u32(&database->sleeping, 1);
		pg_memory_barrier();
		if (cycle_pending(worker) || load_needed(worker))
			timeout_ms = Min(timeout_ms, REST_LEAST_MS);
	}
	if (pg_atomic_read_u32(&database->waiters) == 0 || !cycle_pending(worker))
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout_ms,
		                 PG_WAIT_EXTENSION);
	pg_atomic_write_u32(&database->sleeping, 0);
	ResetLatch(MyLatch);
}

/* Has a reader waited lately? */
static bool
worker_awaited(const Worker *worker)
{
	return cut_now_ms() - worker->waited_ms < READERS_MS;
}

/* How long to rest after a cycle that took so long. */
static long
worker_rest_ms(Worker *worker, int64 cycle_us)
{
	bool subscribed = pg_atomic_read_u32(&worker->database->watched) != 0;
	long rest = Min(Max(cycle_us * REST_PER_CYCLE / 1000, worker_cycle_delay),
	                (int64) worker_cycle_delay * REST_MOST_DELAYS);
	int64 due;

	if (worker_awaited(worker))
		return REST_LEAST_MS;
	if (!worker->busy)
		return REST_MOST_SUBSCRIBED_MS; /* it was another database's commit */
	if (subscribed)
		rest = Min(rest,
		           Max(REST_MOST_SUBSCRIBED_MS, worker->publish_us * REST_PER_PUBLISHING / 1000));
	due = cycle_next_due_ms(worker);
	if (due != 0)
		rest = Min(rest, due - cut_now_ms());
	return Max(rest, REST_LEAST_MS);
}

/* Interrupts, settings, statistics, requests to leave. Not in a transaction. */
static void
worker_housekeeping(Worker *worker)
{
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		indexer_tables_changed();
	}
	priority_apply(worker->following_us, worker_awaited(worker));
	/* what autovacuum knows of the views; by itself at most once a second */
	(void) pgstat_report_stat(false);
	if (*(volatile int *) &worker->database->stop_requested != 0)
		worker_leave(LAUNCHER_LEFT);
	indexer_look(cut_now_ms());
}

/* The worker's main function. */
void
freshet_worker_main(Datum dboid)
{
	Worker *worker;
	FrontierDatabase *database;

	pqsignal(SIGTERM, worker_terminate);
	before_shmem_exit(worker_exit, (Datum) 0);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(dboid), InvalidOid, 0);
	worker_configure();

	worker_require_extension();
	database = frontier_database(MyDatabaseId, true);
	if (database == NULL)
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		                errmsg("too many databases have the extension freshet"),
		                errhint("Increase freshet.max_databases and restart the server.")));
	if (!frontier_worker_attach(database))
		worker_leave(LAUNCHER_LEFT);

	worker = MemoryContextAllocZero(TopMemoryContext, sizeof(Worker));
	worker->database = database;
	worker->context =
	    AllocSetContextCreate(TopMemoryContext, "freshet worker", ALLOCSET_DEFAULT_SIZES);
	worker->cycle_context =
	    AllocSetContextCreate(TopMemoryContext, "freshet cycle", ALLOCSET_DEFAULT_SIZES);
	worker->generation = pg_atomic_read_u32(&database->catalog_generation) - 1;
	load_initialize(worker);
	yield_initialize();
	frontier_ring_create(database);
	quarantine_initialize();
	worker_resume(worker);

	for (;;)
	{
		TimestampTz begun_us;
		int64 begun;
		long rest_ms;
		bool ahead;

		worker_housekeeping(worker);
		begun_us = GetCurrentTimestamp();
		begun = cut_now_ms();
		if (load_needed(worker) && !load_catalogs(worker))
			worker_require_extension();
		ahead = ahead_run(worker);
		if (cycle_wanted(worker))
		{
			if (pg_atomic_read_u32(&database->waiters) != 0)
				worker->waited_ms = begun;
			if (worker->cut->at_ms > begun + CLOCK_AHEAD_MS)
				(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1, PG_WAIT_EXTENSION);
			if (worker_cycle(worker) == CYCLE_AGAIN)
				continue;
			if (worker->busy)
				indexer_tables_changed();
			frontier_drop_pins(database, begun - (int64) worker_max_cut_age * 1000);
			rest_ms = worker_rest_ms(worker, GetCurrentTimestamp() - begun_us);
			if (pg_atomic_read_u32(&database->waiters) == 0)
				worker_sleep(worker, rest_ms, true);
		}
		if (!cycle_wanted(worker) && !load_needed(worker))
		{
			int64 timeout = LOOK_INTERVAL_MS;
			int64 due = cycle_next_due_ms(worker);

			if (ahead)
				timeout = AHEAD_INTERVAL_MS;
			if (due != 0)
				timeout = Max(Min(timeout, due - cut_now_ms()), REST_LEAST_MS);
			worker_sleep(worker, timeout, false);
		}
	}
}
