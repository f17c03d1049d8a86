/*-------------------------------------------------------------------------
 *
 * indexer.c
 *	  Making the indexes that delta queries lack (view/auto_index.c).
 *
 * A process of its own does it, by CREATE INDEX CONCURRENTLY as the table's owner,
 * and ends: the worker never waits for a lock. While it runs, the worker looks
 * whether somebody waits for a lock that it holds; then it is cancelled at once,
 * before anybody queues behind that session. What it leaves unfinished is dropped,
 * likewise concurrently, before the next attempt.
 *
 * The worker starts it when views were loaded or changes applied since it ran
 * last, but not more often than every few seconds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "maintain/indexer.h"
#include "maintain/worker.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "pg/role.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "view/auto_index.h"
#include "view/catalog.h"

extern PGDLLEXPORT void freshet_indexer_main(Datum dboid);

/* The least time between two runs, and how many times as long as the last one took. */
#define INDEXER_INTERVAL_MS 5000
#define INDEXER_INTERVAL_RATIO 20
/* How often the worker looks whether it is in somebody's way. */
#define INDEXER_LOOK_MS 100

/* The fourth field of the lock of a database's one indexer. */
#define INDEXER_LOCK 3

static BackgroundWorkerHandle *indexer_handle = NULL;
static bool indexer_chosen = false; /* some table's owner wants it */
static bool indexer_due = false;
static int64 indexer_next_ms = 0;
static int64 indexer_started_ms = 0;

/* Does anybody wait for a lock on a relation that a process holds? */
static bool
indexer_in_the_way(pid_t pid)
{
	LockData *locks = GetLockStatusData();
	bool result = false;

	for (int i = 0; i < locks->nelements && !result; i++)
	{
		LockInstanceData *held = &locks->locks[i];

		if (held->pid != pid || held->holdMask == 0 ||
		    held->locktag.locktag_type != LOCKTAG_RELATION)
			continue;
		for (int j = 0; j < locks->nelements && !result; j++)
		{
			LockInstanceData *other = &locks->locks[j];

			result = other->pid != pid && other->waitLockMode != NoLock &&
			         memcmp(&other->locktag, &held->locktag, sizeof(LOCKTAG)) == 0;
		}
	}
	return result;
}

/* The catalogs were read: may there be something to make? In a transaction. */
void
indexer_catalogs_changed(void)
{
	indexer_chosen = auto_index_any();
	indexer_due = true;
}

/* Tables have changed. */
void
indexer_tables_changed(void)
{
	indexer_due = true;
}

/* Start the indexer, if it may have something to do; have it give way. */
void
indexer_look(int64 now_ms)
{
	BackgroundWorker worker = {0};
	MemoryContext old;
	pid_t pid;

	if (now_ms < indexer_next_ms || (indexer_handle == NULL && !indexer_due) ||
	    (indexer_handle == NULL && !indexer_chosen && !auto_index_enabled))
		return;
	if (indexer_handle != NULL)
	{
		BgwHandleStatus status = GetBackgroundWorkerPid(indexer_handle, &pid);

		indexer_next_ms = now_ms + INDEXER_LOOK_MS;
		if (status == BGWH_STARTED && indexer_in_the_way(pid))
			kill(pid, SIGINT);
		if (status != BGWH_STOPPED)
			return;
		pfree(indexer_handle);
		indexer_handle = NULL;
		indexer_next_ms = now_ms + Max(INDEXER_INTERVAL_MS,
		                               (now_ms - indexer_started_ms) * INDEXER_INTERVAL_RATIO);
		return;
	}

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = ObjectIdGetDatum(MyDatabaseId);
	worker.bgw_notify_pid = MyProcPid;
	snprintf(worker.bgw_name, BGW_MAXLEN, "freshet indexer for database %u", MyDatabaseId);
	strlcpy(worker.bgw_type, "freshet indexer", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "freshet", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "freshet_indexer_main", BGW_MAXLEN);
	old = MemoryContextSwitchTo(TopMemoryContext);
	indexer_started_ms = now_ms;
	if (RegisterDynamicBackgroundWorker(&worker, &indexer_handle))
		indexer_due = false;
	else
		indexer_handle = NULL; /* no process is free: later */
	MemoryContextSwitchTo(old);
	indexer_next_ms = now_ms + (indexer_handle != NULL ? INDEXER_LOOK_MS : INDEXER_INTERVAL_MS);
}

/* End the indexer: the worker leaves the database. */
void
indexer_stop(void)
{
	if (indexer_handle == NULL)
		return;
	TerminateBackgroundWorker(indexer_handle);
	(void) WaitForBackgroundWorkerShutdown(indexer_handle);
	indexer_handle = NULL;
}

/*
 * Run a command that begins and ends transactions itself, in a memory context
 * that outlives them. Errors are thrown.
 */
static void
indexer_command(const char *command, Oid user, MemoryContext context)
{
	PlannedStmt *statement;
	QueryCompletion completion;

	MemoryContextSwitchTo(context);
	statement = makeNode(PlannedStmt);
	statement->commandType = CMD_UTILITY;
	statement->canSetTag = true;
	statement->utilityStmt = linitial_node(RawStmt, pg_parse_query(command))->stmt;
	pgstat_report_activity(STATE_RUNNING, command);
	StartTransactionCommand();
	role_own_as(user);
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
	InitializeQueryCompletion(&completion);
	ProcessUtility(statement, command, false, PROCESS_UTILITY_TOPLEVEL, NULL, NULL, None_Receiver,
	               &completion);
	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* Take an error that was caught: the transaction is undone. */
static ErrorData *
indexer_caught(MemoryContext context, Oid user)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	role_own_as(user);
	MemoryContextSwitchTo(context);
	return error;
}

/* The indexes that a view lacks and that shall be made, in a memory context. */
static List *
indexer_wanted(Oid view, MemoryContext context)
{
	Oid superuser = GetUserId();
	List *volatile result = NIL;

	PG_TRY();
	{
		ListCell *cell;
		MemoryContext old;

		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		old = MemoryContextSwitchTo(context);
		foreach (cell, explain_missing_indexes(view))
		{
			AutoIndex *index = auto_index_make(lfirst(cell));

			if (index != NULL)
				result = lappend(result, index);
		}
		MemoryContextSwitchTo(old);
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		/* a view that cannot be planned says so elsewhere */
		FreeErrorData(indexer_caught(context, superuser));
		result = NIL;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return result;
}

/* Note in a transaction of its own what became of an index. */
static void
indexer_note(const AutoIndex *index, bool begin, const char *error)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (begin)
		auto_index_begin(index);
	else
		auto_index_end(index, error);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* Make an index. False: somebody wants us to give way. */
static bool
indexer_make(const AutoIndex *index, MemoryContext context)
{
	Oid superuser = GetUserId();
	ErrorData *volatile error = NULL;
	bool cancelled;

	indexer_note(index, true, NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		if (index->leftover)
			indexer_command(index->drop, index->owner, context);
		indexer_command(index->command, index->owner, context);
		role_own_as(superuser);
	}
	PG_CATCH();
	{
		error = indexer_caught(context, superuser);
	}
	PG_END_TRY();
	cancelled = error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED;
	indexer_note(index, false, error != NULL ? error->message : NULL);
	if (error != NULL)
		ereport(LOG, (errmsg("freshet could not make an index: %s", error->message),
		              errdetail("The command was: %s", index->command)));
	else
		ereport(LOG, (errmsg("freshet made an index: %s", index->command)));
	MemoryContextSwitchTo(context);
	return !cancelled;
}

/* Is this the one indexer of the database? One may still be there whose worker is not. */
static bool
indexer_alone(void)
{
	LOCKTAG tag;

	/* a lock of a kind that ends with the process; those that users take have other fourth fields */
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, INDEXER_LOCK);
	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* The indexer's main function. */
void
freshet_indexer_main(Datum dboid)
{
	MemoryContext context;
	List *views = NIL;
	ListCell *cell;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(dboid), InvalidOid, 0);
	worker_configure_planning();
	SetConfigOption("lock_timeout", "0", PGC_USERSET, PGC_S_OVERRIDE);

	context = AllocSetContextCreate(TopMemoryContext, "freshet indexer", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	StartTransactionCommand();
	if (catalog_installed() && indexer_alone())
	{
		MemoryContext old;

		PushActiveSnapshot(GetTransactionSnapshot());
		auto_index_forget();
		old = MemoryContextSwitchTo(context);
		views = catalog_views();
		MemoryContextSwitchTo(old);
		PopActiveSnapshot();
	}
	CommitTransactionCommand();
	foreach (cell, views)
	{
		const ViewRow *row = lfirst(cell);
		ListCell *index;

		if (!row->maintain)
			continue;
		foreach (index, indexer_wanted(row->view, context))
			if (!indexer_make(lfirst(index), context))
				proc_exit(0);
	}
	proc_exit(0);
}
