/*-------------------------------------------------------------------------
 *
 * barrier.c
 *	  The freshness barrier (promise 4): a statement that starts after a commit
 *	  returned sees that commit in every maintained view it reads.
 *
 * The wait is in ExecutorStart, through which every statement goes whichever
 * protocol, cached plan, cursor or procedural language it came by, and after
 * which its snapshot is used. In READ COMMITTED the statement is then given a
 * new snapshot, since its own was taken before the wait and cannot see what was
 * waited for. That is only done when the snapshot belongs to this statement:
 *
 *	- Not when an outer statement runs under it too: a function that is STABLE
 *	  or IMMUTABLE looks at the data of the statement that calls it. Such a
 *	  snapshot is registered by the outer statement's QueryDesc and its EState,
 *	  beside our own QueryDesc. We do not wait then either:
 *	  the calling statement has, see reader.c.
 *	- Not when it is the one the portal of a utility command keeps for the
 *	  expressions it evaluates.
 *	- Not under a cut (cut_push), nor with a crosscheck snapshot.
 *
 * The active snapshot is replaced as well, unless it was pushed outside the
 * current subtransaction, where it will be popped once more. The statement then
 * runs under another snapshot than the active one, which is why it must not be
 * a parallel one: its workers would use the active snapshot.
 *
 * REPEATABLE READ and SERIALIZABLE transactions keep the snapshot of their first
 * statement, so they wait before that is taken: at BEGIN, or at the SET that
 * makes the isolation level such. All views are waited for there, since it
 * is not known yet which will be read. A single statement outside a transaction
 * block has its snapshot before any hook is called, where such a level is the
 * default: it waits like all others, and then reads under a newer snapshot than its
 * transaction's, if it is the first and only reads and calls no function that could
 * read under the transaction's. In SERIALIZABLE what was registered with the first
 * snapshot is rolled back: nothing was read under it.
 *
 * Nothing here raises an error but what the user asked for (cancel, timeouts,
 * freshet.on_stale).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "cut/cut.h"
#include "executor/executor.h"
#include "maintain/barrier.h"
#include "maintain/reader.h"
#include "maintain/stale.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/predicate.h"
#include "storage/proc.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "view/catalog.h"

PG_FUNCTION_INFO_V1(freshet_wait_fresh);

/* A snapshot that only one statement uses: its QueryDesc registered it, and at
 * most a portal that keeps it for rows to be fetched later. */
#define BARRIER_OWN_REGISTRATIONS 2

/* For a subtransaction: which snapshot was active when it started. */
typedef struct BarrierLevel
{
	Snapshot snapshot;
	uint32 active_count;
} BarrierLevel;

char *barrier_max_staleness = NULL;
static int64 barrier_staleness_ms = 0;

static ExecutorStart_hook_type barrier_previous_start = NULL;
static BarrierLevel *barrier_levels = NULL;
static int barrier_level_room = 0;

/*
 * Could a reader in this session have to wait, or on a standby be told that it
 * does not? The common answers take a few instructions: no shared memory entry and
 * no extension, or no view.
 */
bool
barrier_needed(void)
{
	FrontierDatabase *database;

	if (barrier_staleness_ms < 0 || IsParallelWorker() || IsBinaryUpgrade || !IsUnderPostmaster)
		return false;
	if (RecoveryInProgress())
		return stale_action != STALE_IGNORE;
	database = frontier_database(MyDatabaseId, false);
	if (database == NULL)
		return true; /* the worker may not have come up yet */
	if (pg_atomic_read_u32(&database->maintained) == 0)
		return false;
	return database->worker_pid != MyProcPid && !cut_pushed() &&
	       (application_name == NULL || strcmp(application_name, BARRIER_WORKER_NAME) != 0);
}

/*
 * Does this transaction itself keep the worker from writing the view? Then
 * waiting would be for ever, and it may have put its own content there, as
 * REFRESH does, whose plan mentions the view as well.
 */
bool
barrier_locked_by_me(Oid view)
{
	static const LOCKMODE modes[] = {ShareLock, ShareRowExclusiveLock, ExclusiveLock,
	                                 AccessExclusiveLock};
	LOCKTAG tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, view);
	for (int i = 0; i < lengthof(modes); i++)
	{
		if (LockHeldByMe(&tag, modes[i]))
			return true;
	}
	return false;
}

/* The oldest cut that is fresh enough, in ms since 1970; 0: none but now's. */
static int64
barrier_since(int64 staleness_ms)
{
	if (staleness_ms <= 0)
		return 0;
	return cut_now_ms() - staleness_ms;
}

/*
 * Waits till the view shows every transaction completed before now, or one as
 * old as staleness_ms; InvalidOid: the database's frontier alone.
 */
FrontierWait
barrier_wait_view(Oid view, int64 staleness_ms)
{
	uint64 completed = frontier_completed_now();
	int64 since_ms = barrier_since(staleness_ms);

	for (;;)
	{
		FrontierDatabase *database = frontier_database(MyDatabaseId, true);
		FrontierView *state = NULL;
		FrontierWait outcome;

		if (OidIsValid(view))
			state = frontier_view(MyDatabaseId, view, true);
		outcome = frontier_wait_since(database, state, completed, since_ms, -1);

		/* the worker of an extension that was dropped may have gone only now */
		if (outcome != FRONTIER_NO_WORKER || database->dboid == MyDatabaseId)
			return outcome;
	}
}

/*
 * Waits till the frontier, and every view that is not at it, show what was
 * completed before now. Views the worker does not know yet are found in the
 * catalog, which is read only when it has changed.
 */
static FrontierWait
barrier_wait_all(int64 staleness_ms)
{
	FrontierWait outcome = barrier_wait_view(InvalidOid, staleness_ms);
	FrontierDatabase *database = frontier_database(MyDatabaseId, true);
	List *views = NIL;
	ListCell *cell;

	if (outcome == FRONTIER_NO_WORKER)
		return outcome;
	if (pg_atomic_read_u32(&database->maintained) == FRONTIER_UNCOUNTED)
	{
		foreach (cell, catalog_views())
			views = lappend_oid(views, ((ViewRow *) lfirst(cell))->view);
	}
	else
		views = frontier_views_behind(MyDatabaseId);
	foreach (cell, views)
	{
		if (outcome != FRONTIER_NO_WORKER && catalog_view_maintained(lfirst_oid(cell)) &&
		    !barrier_locked_by_me(lfirst_oid(cell)))
			outcome = barrier_wait_view(lfirst_oid(cell), staleness_ms);
	}
	list_free(views);
	return outcome;
}

/* Notes the active snapshot at the start of each subtransaction. */
static void
barrier_subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
                         void *arg)
{
	int level = GetCurrentTransactionNestLevel();

	if (event != SUBXACT_EVENT_START_SUB)
		return;
	if (level >= barrier_level_room)
	{
		int room = Max(16, 2 * level);

		if (barrier_levels == NULL)
			barrier_levels = MemoryContextAlloc(TopMemoryContext, room * sizeof(BarrierLevel));
		else
			barrier_levels = repalloc(barrier_levels, room * sizeof(BarrierLevel));
		barrier_level_room = room;
	}
	barrier_levels[level].snapshot = ActiveSnapshotSet() ? GetActiveSnapshot() : NULL;
	barrier_levels[level].active_count =
	    ActiveSnapshotSet() ? GetActiveSnapshot()->active_count : 0;
}

/* Was the active snapshot pushed in the current (sub)transaction? */
static bool
barrier_active_is_local(void)
{
	int level = GetCurrentTransactionNestLevel();
	Snapshot active = GetActiveSnapshot();

	if (level <= 1)
		return true;
	return level < barrier_level_room &&
	       (barrier_levels[level].snapshot != active ||
	        barrier_levels[level].active_count < active->active_count);
}

/* Is it the client's statement? In the extended protocol its text is a copy. */
static bool
barrier_of_client(const QueryDesc *query)
{
	return debug_query_string != NULL && query->sourceText != NULL &&
	       strcmp(query->sourceText, debug_query_string) == 0;
}

/* Can the statement, its transaction's first or not, be given another snapshot? See the head. */
static bool
barrier_owns_snapshot(QueryDesc *query, bool first)
{
	Snapshot snapshot = query->snapshot;

	if (snapshot == InvalidSnapshot || query->crosscheck_snapshot != InvalidSnapshot ||
	    snapshot->snapshot_type != SNAPSHOT_MVCC ||
	    snapshot->regd_count > BARRIER_OWN_REGISTRATIONS || !ActiveSnapshotSet() ||
	    GetActiveSnapshot() != snapshot ||
	    (query->plannedstmt->parallelModeNeeded && !barrier_active_is_local()))
		return false;
	if (ActivePortal != NULL && ActivePortal->portalSnapshot == snapshot &&
	    snapshot->active_count == 1)
		return false;
	if (XactIsoLevel < XACT_REPEATABLE_READ)
		return true;
	return first && !IsTransactionBlock() && query->operation == CMD_SELECT &&
	       !query->plannedstmt->hasModifyingCTE && query->plannedstmt->rowMarks == NIL &&
	       snapshot->regd_count == 1 && barrier_of_client(query) && !reader_any(query->plannedstmt);
}

/* A snapshot of now at the transaction's isolation level. */
static Snapshot
barrier_snapshot(void)
{
	static SnapshotData serializable = {SNAPSHOT_MVCC};

	if (!IsolationUsesXactSnapshot())
		return GetTransactionSnapshot();
	if (!IsolationIsSerializable())
		return GetLatestSnapshot();
	ReleasePredicateLocks(false, false);
	return GetSerializableTransactionSnapshot(&serializable);
}

/* Gives the statement a snapshot of now. */
static void
barrier_renew_snapshot(QueryDesc *query)
{
	Snapshot old = query->snapshot;
	CommandId curcid = old->curcid;
	Snapshot renewed = RegisterSnapshot(barrier_snapshot());

	renewed->curcid = curcid;
	if (barrier_active_is_local())
	{
		PopActiveSnapshot();
		PushActiveSnapshot(renewed);
	}
	query->snapshot = renewed;
	UnregisterSnapshot(old);
}

/* The maintained views among the statement's relations. */
static List *
barrier_views(PlannedStmt *statement)
{
	List *views = NIL;
	ListCell *cell;

	foreach (cell, statement->rtable)
	{
		RangeTblEntry *entry = (RangeTblEntry *) lfirst(cell);

		if (entry->rtekind == RTE_RELATION && entry->relkind == RELKIND_MATVIEW &&
		    catalog_view_maintained(entry->relid) && !barrier_locked_by_me(entry->relid))
			views = list_append_unique_oid(views, entry->relid);
	}
	return views;
}

/* Waits for what the statement reads, lets it see that, and tells what is not fresh. */
static void
barrier_wait_statement(QueryDesc *query, bool first)
{
	List *views = barrier_views(query->plannedstmt);
	bool waits = barrier_owns_snapshot(query, first) && !RecoveryInProgress();
	bool waits_all = waits && reader_called(query->plannedstmt);
	FrontierWait outcome = FRONTIER_FRESH;
	ListCell *cell;

	if (views == NIL && !waits_all)
		return;
	if (waits_all)
		outcome = barrier_wait_all(barrier_staleness_ms);
	foreach (cell, views)
	{
		if (outcome == FRONTIER_NO_WORKER)
			break;
		if (waits)
			outcome = barrier_wait_view(lfirst_oid(cell), barrier_staleness_ms);
		stale_tell(lfirst_oid(cell), outcome);
	}
	if (outcome == FRONTIER_NO_WORKER)
		stale_tell_unmaintained();
	if (waits)
		barrier_renew_snapshot(query);
	list_free(views);
}

/* A command begins: is it the first of its transaction? */
bool
barrier_command(void)
{
	static LocalTransactionId transaction = InvalidLocalTransactionId;
	bool first = MyProc == NULL || transaction != MyProc->lxid;

	if (MyProc != NULL)
		transaction = MyProc->lxid;
	return first;
}

/* Is a look at the catalogs necessary? For most statements it is not. */
static bool
barrier_concerned(PlannedStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->rtable)
	{
		RangeTblEntry *entry = (RangeTblEntry *) lfirst(cell);

		if (entry->rtekind == RTE_RELATION && entry->relkind == RELKIND_MATVIEW)
			return true;
	}
	/* functions: only where there are views, as a worker has said */
	return statement->invalItems != NIL && frontier_database(MyDatabaseId, false) != NULL;
}

/* ExecutorStart_hook */
static void
barrier_executor_start(QueryDesc *query, int flags)
{
	bool first = barrier_command();

	if ((flags & EXEC_FLAG_EXPLAIN_ONLY) == 0 && barrier_needed() &&
	    barrier_concerned(query->plannedstmt))
		barrier_wait_statement(query, first);

	if (barrier_previous_start != NULL)
		barrier_previous_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

/*
 * A transaction that will keep its first snapshot waits before it has one.
 * Called after BEGIN and SET TRANSACTION.
 */
void
barrier_wait_transaction(void)
{
	if (!IsolationUsesXactSnapshot() || FirstSnapshotSet || !IsTransactionState() ||
	    RecoveryInProgress() || !barrier_needed())
		return;
	if (frontier_database(MyDatabaseId, false) == NULL && !catalog_installed())
		return;
	if (barrier_wait_all(barrier_staleness_ms) == FRONTIER_NO_WORKER)
		stale_tell_unmaintained();
}

/*
 * Parses a value of freshet.max_staleness: '-1', or an interval that is not
 * negative; a bare number is seconds, as in an interval.
 */
static bool
barrier_check_staleness(char **value, void **extra, GucSource source)
{
	int64 *ms = malloc(sizeof(int64));
	struct pg_itm_in parts;
	char work[MAXDATELEN + 1];
	char *fields[MAXDATEFIELDS];
	int types[MAXDATEFIELDS];
	int count;
	int type;
	int error;

	if (ms == NULL)
		return false;
	*extra = ms;
	if (strcmp(*value, "-1") == 0)
	{
		*ms = -1;
		return true;
	}
	error = ParseDateTime(*value, work, sizeof(work), fields, types, MAXDATEFIELDS, &count);
	if (error == 0)
		error = DecodeInterval(fields, types, count, INTERVAL_FULL_RANGE, &type, &parts);
	if (error == 0 && type != DTK_DELTA)
		error = DTERR_BAD_FORMAT;
	if (error == 0 &&
	    (parts.tm_usec < 0 || parts.tm_mday < 0 || parts.tm_mon < 0 || parts.tm_year < 0 ||
	     parts.tm_year > 1000 || parts.tm_mon > 12000 || parts.tm_mday > 365000))
		error = DTERR_INTERVAL_OVERFLOW;
	if (error != 0)
	{
		GUC_check_errdetail(
		    "It is 0 (always fresh), an interval such as '5s', or -1 (never wait).");
		return false;
	}
	*ms = parts.tm_usec / 1000 + ((int64) parts.tm_year * DAYS_PER_YEAR +
	                              (int64) parts.tm_mon * DAYS_PER_MONTH + parts.tm_mday) *
	                                 SECS_PER_DAY * 1000;
	return true;
}

/* assign_hook of freshet.max_staleness */
static void
barrier_assign_staleness(const char *value, void *extra)
{
	barrier_staleness_ms = *(int64 *) extra;
}

/* The setting of this part. */
void
barrier_define_settings(void)
{
	DefineCustomStringVariable("freshet.max_staleness",
	                           "Sets how old the content of a maintained view may be that is read.",
	                           "0: everything committed before the statement is in it. "
	                           "An interval: at most so much older. -1: never wait.",
	                           &barrier_max_staleness, "0", PGC_USERSET, 0, barrier_check_staleness,
	                           barrier_assign_staleness, NULL);
}

/* Registers the hook. */
void
barrier_register(void)
{
	barrier_previous_start = ExecutorStart_hook;
	ExecutorStart_hook = barrier_executor_start;
	RegisterSubXactCallback(barrier_subxact_callback, NULL);
}

/* freshet.wait_fresh(): waits for the frontier and all views; returns its LSN */
Datum
freshet_wait_fresh(PG_FUNCTION_ARGS)
{
	FrontierDatabase *database;
	XLogRecPtr lsn;

	(void) catalog_schema();
	if (RecoveryInProgress())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("recovery is in progress"),
		                errhint("Views are maintained on the primary server.")));
	if (barrier_wait_all(0) == FRONTIER_NO_WORKER)
		stale_tell_unmaintained();
	stale_refuse_failed();

	database = frontier_database(MyDatabaseId, true);
	SpinLockAcquire(&database->lock);
	lsn = database->lsn;
	SpinLockRelease(&database->lock);
	if (XLogRecPtrIsInvalid(lsn))
		PG_RETURN_NULL();
	PG_RETURN_LSN(lsn);
}
