/*-------------------------------------------------------------------------
 *
 * watch.c
 *	  Relations somebody subscribes to: the worker reads their changes too, and
 *	  the change ring knows them from some cut on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "cut/frontier_private.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#define MAX_WATCHES 1024

/* A relation subscribed to; guarded by frontier_lock. */
typedef struct FrontierWatch
{
	Oid dboid; /* InvalidOid: free */
	Oid relation;
	int subscribers;
	bool seen;              /* the worker has taken it up */
	TransactionId seen_xid; /* next xid when it did */
	uint64 seen_after;      /* and the frontier's number */
	bool covered;           /* the ring knows all changes ... */
	uint64 covered_after;   /* ... of the cuts after this one */
} FrontierWatch;

static FrontierWatch *watches = NULL;

/* what this backend must give back when it ends */
static bool exit_registered = false;
static FrontierDatabase *watching = NULL;
static List *watch_list = NIL; /* of Oid, once per subscription */

/* the worker: watches taken up and not yet covered by the ring */
static bool uncovered = false;

/* The shared memory needed. */
Size
frontier_watch_size(void)
{
	return mul_size(sizeof(FrontierWatch), MAX_WATCHES);
}

/* Part of frontier_startup_shmem. */
void
frontier_watch_startup(void)
{
	bool found;

	watches = ShmemInitStruct("freshet watches", frontier_watch_size(), &found);
	if (!found)
		memset(watches, 0, frontier_watch_size());
}

/* Gives back watches, whatever way the backend ends. */
static void
watch_backend_exit(int code, Datum arg)
{
	while (watch_list != NIL)
		frontier_unwatch(watching, linitial_oid(watch_list));
}

/* What an earlier worker has taken up, the present one has not. */
void
frontier_watch_forget_worker(FrontierDatabase *database)
{
	LWLockAcquire(frontier_lock, LW_EXCLUSIVE);
	for (int i = 0; i < MAX_WATCHES; i++)
	{
		if (watches[i].dboid == database->dboid)
			watches[i].seen = watches[i].covered = false;
	}
	LWLockRelease(frontier_lock);
}

/*
 * From this cut on the ring knows relations whose writers of before have ended,
 * and maintained views, which only the worker writes.
 */
void
frontier_watch_cover(FrontierDatabase *database, const Cut *cut)
{
	if (!uncovered)
		return;
	uncovered = false;
	LWLockAcquire(frontier_lock, LW_EXCLUSIVE);
	for (int i = 0; i < MAX_WATCHES; i++)
	{
		FrontierWatch *watch = &watches[i];

		if (watch->dboid != database->dboid || !watch->seen || watch->covered)
			continue;
		if (TransactionIdFollowsOrEquals(cut->snapshot->xmin, watch->seen_xid) ||
		    frontier_view(database->dboid, watch->relation, false) != NULL)
		{
			watch->covered = true;
			watch->covered_after = cut->number;
		}
		else
			uncovered = true;
	}
	LWLockRelease(frontier_lock);
}

/* The watch of a relation, or a free one, or NULL; the caller holds the lock. */
static FrontierWatch *
watch_find(Oid dboid, Oid relation, bool or_free)
{
	FrontierWatch *free_watch = NULL;

	for (int i = 0; i < MAX_WATCHES; i++)
	{
		FrontierWatch *watch = &watches[i];

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

	frontier_at_exit(&exit_registered, watch_backend_exit);
	Assert(watch_list == NIL || watching == database);
	old = MemoryContextSwitchTo(TopMemoryContext);
	watch_list = lappend_oid(watch_list, relation);
	MemoryContextSwitchTo(old);
	watching = database;

	LWLockAcquire(frontier_lock, LW_EXCLUSIVE);
	watch = watch_find(database->dboid, relation, true);
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
	LWLockRelease(frontier_lock);

	if (watch == NULL)
	{
		watch_list = list_truncate(watch_list, list_length(watch_list) - 1);
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		                errmsg("too many relations are subscribed to"),
		                errdetail("At most %d relations can be watched at a time.", MAX_WATCHES)));
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

	if (!list_member_oid(watch_list, relation))
		return;
	watch_list = list_delete_oid(watch_list, relation);

	LWLockAcquire(frontier_lock, LW_EXCLUSIVE);
	watch = watch_find(database->dboid, relation, false);
	if (watch != NULL && --watch->subscribers == 0)
	{
		watch->dboid = InvalidOid;
		pg_atomic_fetch_sub_u32(&database->watched, 1);
		pg_atomic_fetch_add_u32(&database->catalog_generation, 1);
	}
	LWLockRelease(frontier_lock);
}

/*
 * The worker takes up the watched relations: from here on it reads their
 * changes. Returns how many there are; at most max are written. is_new says
 * which ones it had not taken up before.
 */
int
frontier_watched(FrontierDatabase *database, Oid *relations, bool *is_new, int max)
{
	uint64 number;
	int count = 0;

	if (pg_atomic_read_u32(&database->watched) == 0)
		return 0;
	number = frontier_number(database);
	LWLockAcquire(frontier_lock, LW_EXCLUSIVE);
	for (int i = 0; i < MAX_WATCHES && count < max; i++)
	{
		FrontierWatch *watch = &watches[i];

		if (watch->dboid != database->dboid)
			continue;
		relations[count] = watch->relation;
		is_new[count++] = !watch->seen;
		if (!watch->seen)
		{
			watch->seen = true;
			watch->seen_xid = XidFromFullTransactionId(ReadNextFullTransactionId());
			watch->seen_after = number;
			uncovered = true;
		}
	}
	LWLockRelease(frontier_lock);
	return count;
}

/* Had the worker taken up a watched relation before the cut of this number? */
bool
frontier_watch_taken(FrontierDatabase *database, Oid relation, uint64 number)
{
	FrontierWatch *watch;
	bool taken;

	LWLockAcquire(frontier_lock, LW_SHARED);
	watch = watch_find(database->dboid, relation, false);
	taken = watch != NULL && watch->seen && number > watch->seen_after;
	LWLockRelease(frontier_lock);
	return taken;
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
	LWLockAcquire(frontier_lock, LW_SHARED);
	watch = watch_find(database->dboid, relation, false);
	covered = watch != NULL && watch->covered && after >= watch->covered_after;
	LWLockRelease(frontier_lock);
	if (!covered)
		return FRONTIER_CHANGES_UNKNOWN;
	return frontier_ring_scan(database, relation, after, upto, tids, count);
}
