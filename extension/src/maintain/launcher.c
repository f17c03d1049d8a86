/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  A background worker without a database that keeps one worker running in
 *	  every database that has the extension.
 *
 * Whether a database has the extension can only be seen from inside: a worker
 * is started once in every database that accepts connections and is no
 * template; where it finds no extension it says so (launcher_report), and the
 * launcher does not try again until CREATE EXTENSION asks for it. A worker that
 * somebody ended is followed by the next one at once; one that ends without a
 * word has failed and is restarted with growing delay.
 *
 * It also removes what databases leave behind that were dropped: their
 * replication slot and their entry in shared memory.
 *
 * Locking: LauncherShared.lock, a spinlock, guards the whole of it; the report
 * of a worker is read only after the postmaster has said that it ended.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "cut/frontier.h"
#include "maintain/launcher.h"
#include "maintain/quarantine.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "replication/slot.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define LAUNCHER_MAX_REQUESTS 64
#define LAUNCHER_FIRST_RETRY_MS 50
#define LAUNCHER_LAST_RETRY_MS 60000
/* A worker that ran for so long has not failed at its start: the next one comes at once. */
#define LAUNCHER_STARTED_MS 1000
#define LAUNCHER_POLL_MS 60000 /* pg_database may be updated by hand */
#define LAUNCHER_SLOT_PREFIX "freshet_"

typedef struct LauncherShared
{
	slock_t lock;
	Latch *latch; /* of the launcher; NULL: none */
	int requests; /* more than fit: ask everywhere */
	Oid requested[LAUNCHER_MAX_REQUESTS];
	int outcome_count;
	LauncherOutcome outcomes[FLEXIBLE_ARRAY_MEMBER]; /* by worker started */
} LauncherShared;

typedef enum LauncherState
{
	LAUNCHER_START, /* start a worker at start_at */
	LAUNCHER_RUNNING,
	LAUNCHER_ABSENT /* no extension there */
} LauncherState;

/* What the launcher knows of a database. */
typedef struct LauncherDatabase
{
	Oid dboid;
	bool present; /* still in pg_database, and eligible */
	LauncherState state;
	TimestampTz start_at;
	TimestampTz started;
	int failures;
	bool again;                     /* asked for while its worker was running, which
								 * may have looked too early */
	int outcome;                    /* index of its worker's outcome; -1: none */
	BackgroundWorkerHandle *handle; /* NULL: started by an earlier launcher */
} LauncherDatabase;

static LauncherShared *launcher_shared = NULL;
static HTAB *launcher_databases = NULL;
static bool *launcher_outcome_used = NULL;
static MemoryContext launcher_context = NULL;

/* Room for one outcome per worker that can run at a time. */
static Size
launcher_shmem_size(void)
{
	return add_size(offsetof(LauncherShared, outcomes),
	                mul_size(sizeof(LauncherOutcome), max_worker_processes));
}

/* shmem_request_hook's part */
void
launcher_request_shmem(void)
{
	RequestAddinShmemSpace(launcher_shmem_size());
}

/* shmem_startup_hook's part; the caller holds AddinShmemInitLock */
void
launcher_startup_shmem(void)
{
	bool found;

	launcher_shared = ShmemInitStruct("freshet launcher", launcher_shmem_size(), &found);
	if (found)
		return;
	memset(launcher_shared, 0, launcher_shmem_size());
	SpinLockInit(&launcher_shared->lock);
	launcher_shared->outcome_count = max_worker_processes;
}

/* The launcher is started when the server accepts writes: not on a standby. */
void
launcher_register(void)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	strlcpy(worker.bgw_name, "freshet launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "freshet launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "freshet", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "freshet_launcher_main", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

/* The launcher shall look at its databases again. */
void
launcher_wake(void)
{
	Latch *latch;

	SpinLockAcquire(&launcher_shared->lock);
	latch = launcher_shared->latch;
	SpinLockRelease(&launcher_shared->lock);
	if (latch != NULL)
		SetLatch(latch);
}

/* The database has the extension now: start a worker there. */
void
launcher_start_worker(Oid dboid)
{
	SpinLockAcquire(&launcher_shared->lock);
	if (launcher_shared->requests < LAUNCHER_MAX_REQUESTS)
		launcher_shared->requested[launcher_shared->requests] = dboid;
	if (launcher_shared->requests <= LAUNCHER_MAX_REQUESTS)
		launcher_shared->requests++;
	SpinLockRelease(&launcher_shared->lock);
	launcher_wake();
}

/* See launcher.h. */
void
launcher_report(LauncherOutcome outcome)
{
	int index;

	memcpy(&index, MyBgworkerEntry->bgw_extra, sizeof(index));
	if (index < 0 || index >= launcher_shared->outcome_count)
		return;
	SpinLockAcquire(&launcher_shared->lock);
	launcher_shared->outcomes[index] = outcome;
	SpinLockRelease(&launcher_shared->lock);
}

/* Nobody shall wake a launcher that is gone. */
static void
launcher_exit(int code, Datum arg)
{
	SpinLockAcquire(&launcher_shared->lock);
	launcher_shared->latch = NULL;
	SpinLockRelease(&launcher_shared->lock);
}

/* The database that a slot's name says it belongs to, or InvalidOid. */
static Oid
launcher_slot_database(const char *name)
{
	const char *digits = name + strlen(LAUNCHER_SLOT_PREFIX);
	char *end;
	unsigned long dboid;

	if (strncmp(name, LAUNCHER_SLOT_PREFIX, strlen(LAUNCHER_SLOT_PREFIX)) != 0)
		return InvalidOid;
	if (*digits < '1' || *digits > '9')
		return InvalidOid;
	errno = 0;
	dboid = strtoul(digits, &end, 10);
	if (errno != 0 || *end != '\0' || dboid > PG_UINT32_MAX)
		return InvalidOid;
	return (Oid) dboid;
}

/* The databases that have a slot of ours which no process uses. */
static List *
launcher_idle_slots(void)
{
	List *databases = NIL;

	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];
		Oid dboid;

		if (!slot->in_use || slot->active_pid != 0)
			continue;
		dboid = launcher_slot_database(NameStr(slot->data.name));
		if (OidIsValid(dboid))
			databases = lappend_oid(databases, dboid);
	}
	LWLockRelease(ReplicationSlotControlLock);
	return databases;
}

/* Notes which databases there are; returns all oids of pg_database. */
static List *
launcher_read_databases(void)
{
	Relation relation;
	TableScanDesc scan;
	HeapTuple tuple;
	HASH_SEQ_STATUS sequence;
	LauncherDatabase *database;
	List *all = NIL;

	hash_seq_init(&sequence, launcher_databases);
	while ((database = hash_seq_search(&sequence)) != NULL)
		database->present = false;

	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);
		bool found;
		MemoryContext old = MemoryContextSwitchTo(launcher_context);

		all = lappend_oid(all, form->oid);
		MemoryContextSwitchTo(old);
		if (!form->datallowconn || form->datistemplate || database_is_invalid_form(form))
			continue;
		database = hash_search(launcher_databases, &form->oid, HASH_ENTER, &found);
		if (!found)
		{
			FrontierDatabase *frontier = frontier_database(form->oid, false);

			memset((char *) database + sizeof(Oid), 0, sizeof(*database) - sizeof(Oid));
			database->outcome = -1;
			database->state =
			    frontier != NULL && frontier->worker_pid != 0 ? LAUNCHER_RUNNING : LAUNCHER_START;
		}
		database->present = true;
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	return all;
}

/*
 * Removes what is left of dropped databases. "slots" was read before "all", so
 * a slot whose database is not there is not that of a database just made.
 */
static void
launcher_clean(List *slots, List *all)
{
	ListCell *cell;
	Oid dboid;
	int position = 0;

	foreach (cell, slots)
	{
		NameData name;

		dboid = lfirst_oid(cell);
		if (list_member_oid(all, dboid))
			continue;
		snprintf(NameStr(name), NAMEDATALEN, LAUNCHER_SLOT_PREFIX "%u", dboid);
		ereport(LOG, (errmsg("dropping replication slot \"%s\" of a database that is gone",
		                     NameStr(name))));
		ReplicationSlotDrop(NameStr(name), true);
		quarantine_remove(dboid);
	}
	while (OidIsValid(dboid = frontier_next_database(&position)))
	{
		FrontierDatabase *frontier = frontier_database(dboid, false);

		if (!list_member_oid(all, dboid) && frontier != NULL && frontier->worker_pid == 0)
			frontier_forget_database(dboid);
	}
}

/* Gives back what belonged to a worker that is gone. */
static void
launcher_forget_worker(LauncherDatabase *database)
{
	if (database->outcome >= 0)
		launcher_outcome_used[database->outcome] = false;
	database->outcome = -1;
	if (database->handle != NULL)
		pfree(database->handle);
	database->handle = NULL;
}

/* Is the worker still running? If not, what comes next for its database? */
static void
launcher_check_worker(LauncherDatabase *database)
{
	LauncherOutcome outcome = LAUNCHER_CRASHED;
	TimestampTz now = GetCurrentTimestamp();
	long delay;
	pid_t pid;

	if (database->handle == NULL)
	{
		FrontierDatabase *frontier = frontier_database(database->dboid, false);

		if (frontier != NULL && frontier->worker_pid != 0)
			return;
		outcome = LAUNCHER_LEFT;
	}
	else
	{
		if (GetBackgroundWorkerPid(database->handle, &pid) != BGWH_STOPPED)
			return;
		SpinLockAcquire(&launcher_shared->lock);
		outcome = launcher_shared->outcomes[database->outcome];
		SpinLockRelease(&launcher_shared->lock);
	}
	launcher_forget_worker(database);

	switch (outcome)
	{
		case LAUNCHER_NO_EXTENSION:
			database->state = database->again ? LAUNCHER_START : LAUNCHER_ABSENT;
			database->start_at = now;
			database->failures = 0;
			break;
		case LAUNCHER_LEFT:
			database->state = LAUNCHER_START;
			database->start_at = now;
			database->failures = 0;
			break;
		case LAUNCHER_CRASHED:
			if (TimestampDifferenceExceeds(database->started, now, LAUNCHER_STARTED_MS))
				database->failures = 0;
			delay = (long) LAUNCHER_FIRST_RETRY_MS << Min(database->failures, 16);
			database->failures++;
			database->state = LAUNCHER_START;
			database->start_at =
			    TimestampTzPlusMilliseconds(now, Min(delay, LAUNCHER_LAST_RETRY_MS));
			break;
	}
}

/* Starts the worker of a database. */
static void
launcher_start(LauncherDatabase *database)
{
	BackgroundWorker worker = {0};
	MemoryContext old;
	int outcome = 0;
	bool started = false;

	while (outcome < launcher_shared->outcome_count && launcher_outcome_used[outcome])
		outcome++;
	if (outcome < launcher_shared->outcome_count)
	{
		worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
		worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
		worker.bgw_restart_time = BGW_NEVER_RESTART;
		worker.bgw_main_arg = ObjectIdGetDatum(database->dboid);
		worker.bgw_notify_pid = MyProcPid;
		snprintf(worker.bgw_name, BGW_MAXLEN, "freshet worker for database %u", database->dboid);
		strlcpy(worker.bgw_type, "freshet worker", BGW_MAXLEN);
		strlcpy(worker.bgw_library_name, "freshet", BGW_MAXLEN);
		strlcpy(worker.bgw_function_name, "freshet_worker_main", BGW_MAXLEN);
		memcpy(worker.bgw_extra, &outcome, sizeof(outcome));

		SpinLockAcquire(&launcher_shared->lock);
		launcher_shared->outcomes[outcome] = LAUNCHER_CRASHED;
		SpinLockRelease(&launcher_shared->lock);

		old = MemoryContextSwitchTo(launcher_context);
		started = RegisterDynamicBackgroundWorker(&worker, &database->handle);
		MemoryContextSwitchTo(old);
	}
	if (!started)
	{
		if (database->failures++ == 0)
			ereport(WARNING,
			        (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			         errmsg("no background worker is free to maintain the views of database %u",
			                database->dboid),
			         errhint("Increase max_worker_processes, now %d.", max_worker_processes)));
		database->handle = NULL;
		database->start_at =
		    TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LAUNCHER_LAST_RETRY_MS / 10);
		return;
	}
	launcher_outcome_used[outcome] = true;
	database->outcome = outcome;
	database->again = false;
	database->started = GetCurrentTimestamp();
	database->state = LAUNCHER_RUNNING;
}

/* For which databases somebody asked; returns how many, or more than fit. */
static int
launcher_take_requests(Oid *requested)
{
	int requests;

	SpinLockAcquire(&launcher_shared->lock);
	requests = launcher_shared->requests;
	memcpy(requested, launcher_shared->requested, sizeof(launcher_shared->requested));
	launcher_shared->requests = 0;
	SpinLockRelease(&launcher_shared->lock);
	return requests;
}

/* A database asked for is tried again at once, or when its worker has ended. */
static void
launcher_apply_request(LauncherDatabase *database)
{
	switch (database->state)
	{
		case LAUNCHER_ABSENT:
			database->state = LAUNCHER_START;
			database->start_at = 0;
			break;
		case LAUNCHER_START:
			database->start_at = 0;
			break;
		case LAUNCHER_RUNNING:
			database->again = true;
			break;
	}
}

/* One round: what is there, what has ended, what is to start; returns the wait. */
static long
launcher_round(void)
{
	Oid requested[LAUNCHER_MAX_REQUESTS];
	int requests = launcher_take_requests(requested);
	List *slots;
	List *all;
	HASH_SEQ_STATUS sequence;
	LauncherDatabase *database;
	TimestampTz now;
	long wait = LAUNCHER_POLL_MS;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	slots = launcher_idle_slots();
	all = launcher_read_databases();
	PopActiveSnapshot();
	launcher_clean(slots, all);
	CommitTransactionCommand();
	list_free(all);

	now = GetCurrentTimestamp();
	hash_seq_init(&sequence, launcher_databases);
	while ((database = hash_seq_search(&sequence)) != NULL)
	{
		FrontierDatabase *frontier = frontier_database(database->dboid, false);
		bool asked = requests > LAUNCHER_MAX_REQUESTS;

		for (int i = 0; i < requests && !asked; i++)
			asked = requested[i] == database->dboid;
		if (asked)
			launcher_apply_request(database);
		if (database->state == LAUNCHER_RUNNING)
			launcher_check_worker(database);
		if (!database->present)
		{
			if (database->state != LAUNCHER_RUNNING)
				hash_search(launcher_databases, &database->dboid, HASH_REMOVE, NULL);
			continue;
		}
		if (database->state == LAUNCHER_START && database->start_at <= now &&
		    (frontier == NULL || frontier->stop_requested == 0))
			launcher_start(database);
		if (database->state == LAUNCHER_START && database->start_at > now)
			wait = Min(wait, TimestampDifferenceMilliseconds(now, database->start_at) + 1);
		if (database->state == LAUNCHER_RUNNING && database->handle == NULL)
			wait = Min(wait, 1000);
	}
	return wait;
}

/* The launcher's main function. */
void
freshet_launcher_main(Datum unused)
{
	HASHCTL control = {.keysize = sizeof(Oid), .entrysize = sizeof(LauncherDatabase)};

	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	launcher_context =
	    AllocSetContextCreate(TopMemoryContext, "freshet launcher", ALLOCSET_DEFAULT_SIZES);
	control.hcxt = launcher_context;
	launcher_databases =
	    hash_create("freshet databases", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	launcher_outcome_used =
	    MemoryContextAllocZero(launcher_context, sizeof(bool) * launcher_shared->outcome_count);

	before_shmem_exit(launcher_exit, (Datum) 0);
	SpinLockAcquire(&launcher_shared->lock);
	launcher_shared->latch = MyLatch;
	SpinLockRelease(&launcher_shared->lock);

	for (;;)
	{
		long wait;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		MemoryContextSwitchTo(launcher_context);
		wait = launcher_round();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait,
		                 PG_WAIT_EXTENSION);
	}
}
