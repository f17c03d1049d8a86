/*-------------------------------------------------------------------------
 *
 * wake.c
 *	  Tells the worker when there is something for it to do: at the commit of
 *	  a transaction that wrote.
 *
 * This is the only thing a writer ever does for a view: one atomic read, and a
 * SetLatch if the worker sleeps. It cannot fail. The worker sets "sleeping" and
 * then looks at the count of completed transactions once more before it sleeps;
 * the writer's transaction has been counted (ProcArrayEndTransaction) before it
 * looks at "sleeping". With a full barrier on both sides one of the two sees
 * the other.
 *
 * When the catalogs changed, readers are told as soon as the change is visible,
 * the worker once the locks have been released as well: it could not open a
 * new view before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "cut/cut.h"
#include "cut/frontier.h"
#include "debug/point.h"
#include "maintain/launcher.h"
#include "maintain/wake.h"
#include "miscadmin.h"
#include "utils/resowner.h"
#include "view/catalog.h"

static bool wake_wrote = false; /* this transaction has an xid */
static bool wake_launcher = false;
static bool wake_start = false;
static bool wake_catalogs = false; /* committed, locks not yet released */
static bool wake_start_committed = false;
static bool wake_launcher_committed = false;

/* Sets the worker's latch if it sleeps and has reason to look. */
static void
wake_worker(FrontierDatabase *database)
{
	if (pg_atomic_read_u32(&database->maintained) == 0 &&
	    pg_atomic_read_u32(&database->watched) == 0)
		return;
	pg_memory_barrier();
	if (pg_atomic_read_u32(&database->sleeping) != 0)
		frontier_wake_worker(database);
}

/* The end of a transaction. */
static void
wake_xact_callback(XactEvent event, void *arg)
{
	FrontierDatabase *database;

	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
				wake_wrote = true;
			break;
		case XACT_EVENT_COMMIT:
			if (wake_wrote)
			{
				wake_wrote = false;
				if (MyBackendType == B_BACKEND)
					DEBUG_POINT("visible");
				database = frontier_database(MyDatabaseId, false);
				if (catalog_take_changed())
				{
					wake_catalogs = true;
					if (database != NULL)
						frontier_catalogs_change(database);
				}
				if (database != NULL)
					wake_worker(database);
			}
			wake_start_committed = wake_start;
			wake_launcher_committed = wake_launcher;
			wake_start = wake_launcher = false;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			cut_reset();
			wake_wrote = wake_start = wake_launcher = false;
			(void) catalog_take_changed();
			break;
		default:
			break;
	}
}

/* The locks of a committed transaction are released now. */
static void
wake_release_callback(ResourceReleasePhase phase, bool commit, bool top, void *arg)
{
	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !top)
		return;
	if (wake_catalogs)
	{
		FrontierDatabase *database = frontier_database(MyDatabaseId, false);

		wake_catalogs = false;
		if (commit && database != NULL)
			frontier_catalogs_changed(database);
	}
	if (wake_start_committed)
	{
		wake_start_committed = false;
		if (commit)
			launcher_start_worker(MyDatabaseId);
	}
	if (wake_launcher_committed)
	{
		wake_launcher_committed = false;
		if (commit)
			launcher_wake();
	}
}

/* Registers the callbacks, once per process. */
void
wake_register(void)
{
	RegisterXactCallback(wake_xact_callback, NULL);
	RegisterResourceReleaseCallback(wake_release_callback, NULL);
}

/* The set of databases changes with this transaction. */
void
wake_launcher_at_commit(void)
{
	wake_launcher = true;
}

/* The database has the extension when this transaction commits. */
void
wake_start_worker_at_commit(void)
{
	wake_start = true;
}

/* COMMIT PREPARED has no xid of its own, but another's becomes visible. */
void
wake_prepared(void)
{
	wake_wrote = true;
}
