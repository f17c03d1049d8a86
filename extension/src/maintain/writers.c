/*-------------------------------------------------------------------------
 *
 * writers.c
 *	  Transactions that may have written to a relation before it was watched.
 *
 * What they wrote is in WAL that was read without being kept. Until all of
 * them have ended, views over the relation are unsettled: computed anew
 * with every cut. Once more after that, under a cut that is taken later and so
 * shows all they did; from there on nothing is unseen.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "maintain/worker.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/memutils.h"

/* The writers of one relation. */
typedef struct UnseenWriters
{
	Oid relid;
	List *running; /* of VirtualTransactionId *; NIL: all have ended now */
} UnseenWriters;

/* Those of a relation, or NULL. */
static UnseenWriters *
writers_find(Worker *worker, Oid relid)
{
	ListCell *cell;

	foreach (cell, worker->unseen)
	{
		UnseenWriters *unseen = lfirst(cell);

		if (unseen->relid == relid)
			return unseen;
	}
	return NULL;
}

/* A relation has begun to be watched: who has locked it so that it can write? */
void
writers_note(Worker *worker, Oid relid)
{
	LOCKTAG tag;
	VirtualTransactionId *holders;
	int count;
	UnseenWriters *unseen;
	MemoryContext old = MemoryContextSwitchTo(worker->context);

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	holders = GetLockConflicts(&tag, ShareLock, &count);
	if (count > 0)
	{
		unseen = palloc0(sizeof(UnseenWriters));
		unseen->relid = relid;
		for (int i = 0; i < count; i++)
		{
			VirtualTransactionId *writer = palloc(sizeof(VirtualTransactionId));

			*writer = holders[i];
			unseen->running = lappend(unseen->running, writer);
		}
		worker->unseen = lappend(worker->unseen, unseen);
	}
	pfree(holders);
	MemoryContextSwitchTo(old);
}

/* Forget a relation's writers; writers_settle has been told that all have ended. */
static void
writers_free(UnseenWriters *unseen)
{
	list_free_deep(unseen->running);
	pfree(unseen);
}

/* WAL is read from where a cut says that all of the relation's changes are found. */
void
writers_forget(Worker *worker, Oid relid)
{
	UnseenWriters *unseen = writers_find(worker, relid);

	if (unseen == NULL)
		return;
	worker->unseen = list_delete_ptr(worker->unseen, unseen);
	writers_free(unseen);
}

/* Does a relation have writers that run, or that have just ended? */
static bool
writers_concern(Worker *worker, Oid relid, bool *ended)
{
	UnseenWriters *unseen = writers_find(worker, relid);

	if (unseen == NULL)
		return false;
	*ended |= unseen->running == NIL;
	return unseen->running != NIL;
}

/* Before a cut is taken: see who has ended, and what that means for the views. */
void
writers_settle(Worker *worker)
{
	ListCell *cell;
	ListCell *other;

	foreach (cell, worker->unseen)
	{
		UnseenWriters *unseen = lfirst(cell);

		foreach (other, unseen->running)
		{
			VirtualTransactionId *writer = lfirst(other);

			if (!VirtualXactLock(*writer, false))
				continue;
			unseen->running = foreach_delete_current(unseen->running, other);
			pfree(writer);
		}
	}
	foreach (cell, worker->views)
	{
		WorkerView *entry = lfirst(cell);
		bool ended = false;

		entry->unsettled = false;
		foreach (other, entry->view->plan->relations)
			entry->unsettled |=
			    writers_concern(worker, ((PlanRelation *) lfirst(other))->relid, &ended);
		if (entry->unsettled || ended)
			entry->dirty = true;
		if (ended)
			entry->view->adopted = false;
	}
	foreach (cell, worker->watched)
	{
		WatchedRelation *watched = lfirst(cell);

		watched->unsettled = writers_concern(worker, watched->relid, &watched->fresh);
	}
	foreach (cell, worker->unseen)
	{
		UnseenWriters *unseen = lfirst(cell);

		if (unseen->running != NIL)
			continue;
		worker->unseen = foreach_delete_current(worker->unseen, cell);
		writers_free(unseen);
	}
}
