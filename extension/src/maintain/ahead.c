/*-------------------------------------------------------------------------
 *
 * ahead.c
 *	  Looking at large loads while they run.
 *
 * While the worker has nothing better to do, it reads WAL that no cut has asked
 * for yet, a little at a time, and has the views fold the rows of loads. Of
 * nothing that goes wrong here anybody is told: it is done again, or not at all,
 * when a cut needs it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "cut/wal.h"
#include "maintain/quarantine.h"
#include "maintain/worker.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* WAL is read ahead when there is more of it than this, so much at a time. */
#define AHEAD_STEP_BYTES (512 * 1024)

/* The views that fold the rows of one Ahead. */
typedef struct AheadStep
{
	List *folds;            /* of AheadFold * */
	TupleTableSlot **slots; /* made where needed */
	TupleDesc descriptor;
} AheadStep;

/* Does some view fold the rows of loads into this relation? */
static bool
ahead_relation_wanted(Oid relid, void *context)
{
	ListCell *cell;

	foreach (cell, ((Worker *) context)->views)
		if (ahead_wanted(((WorkerView *) lfirst(cell))->view, relid))
			return true;
	return false;
}

/* Hand rows of a page to the views. */
static void
ahead_rows(const Ahead *ahead, HeapTuple rows, int count, void *context)
{
	AheadStep *step = context;
	ListCell *cell;

	for (int i = 0; i < count; i++)
	{
		if (step->slots[i] == NULL)
			step->slots[i] = MakeSingleTupleTableSlot(step->descriptor, &TTSOpsHeapTuple);
		ExecStoreHeapTuple(&rows[i], step->slots[i], false);
	}
	foreach (cell, step->folds)
	{
		quarantine_enter(ahead_fold_view(lfirst(cell)));
		ahead_fold_rows(lfirst(cell), step->slots, count);
	}
	quarantine_leave();
	for (int i = 0; i < count; i++)
		ExecClearTuple(step->slots[i]);
}

/* Take what is queued of one Ahead. */
static void
ahead_take(Worker *worker, Ahead *ahead)
{
	AheadStep step = {0};
	Relation relation;
	ListCell *cell;

	if (!ConditionalLockRelationOid(ahead->relid, AccessShareLock))
	{
		ahead_spoil(ahead);
		return;
	}
	relation = try_relation_open(ahead->relid, NoLock);
	if (relation == NULL)
	{
		ahead_spoil(ahead);
		return;
	}
	step.descriptor = CreateTupleDescCopyConstr(RelationGetDescr(relation));
	step.slots = palloc0(MaxHeapTuplesPerPage * sizeof(TupleTableSlot *));
	foreach (cell, worker->views)
	{
		MaintainedView *view = ((WorkerView *) lfirst(cell))->view;
		AheadFold *fold = NULL;

		quarantine_enter(view->view);
		if (ahead_wanted(view, ahead->relid))
			fold = ahead_fold_begin(view, worker->cut, ahead, step.descriptor);
		if (fold)
			step.folds = lappend(step.folds, fold);
	}
	if (step.folds == NIL)
		ahead_spoil(ahead);
	else
		ahead_read(ahead, relation, ahead_rows, &step);
	foreach (cell, step.folds)
		ahead_fold_end(lfirst(cell));
	for (int i = 0; i < MaxHeapTuplesPerPage && step.slots[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(step.slots[i]);
	relation_close(relation, NoLock);
}

/* Nothing that was taken so far counts. */
void
ahead_spoil_all(Worker *worker)
{
	capture_spoil_ahead(worker->capture);
	ahead_forget_ended(worker);
}

/* Have the views forget loads that have ended, or were spoilt. */
void
ahead_forget_ended(Worker *worker)
{
	ListCell *cell;

	foreach (cell, worker->views)
	{
		MaintainedView *view = ((WorkerView *) lfirst(cell))->view;

		if (view->ahead != NIL)
			ahead_forget(view, capture_ahead(worker->capture));
	}
}

/* Read some WAL, up to upto, and take what is to be taken. */
static void
ahead_step(Worker *worker, XLogRecPtr upto)
{
	MemoryContext old;
	ListCell *cell;

	MemoryContextReset(worker->cycle_context);
	StartTransactionCommand();
	old = MemoryContextSwitchTo(worker->cycle_context);
	PG_TRY();
	{
		capture_read_ahead(worker->capture, upto, ahead_relation_wanted, worker);
		PushActiveSnapshot(GetTransactionSnapshot());
		foreach (cell, capture_ahead(worker->capture))
		{
			Ahead *ahead = lfirst(cell);

			if (ahead->queued > 0)
				ahead_take(worker, ahead);
		}
		PopActiveSnapshot();
		MemoryContextSwitchTo(old);
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(old);
		FlushErrorState();
		AbortCurrentTransaction();
		cut_reset();
		quarantine_leave();
		ahead_spoil_all(worker);
	}
	PG_END_TRY();
	ahead_forget_ended(worker);
}

/*
 * Read WAL ahead, as far as it is flushed, if there is much of it; all of it for
 * the sake of a cycle that is due, else until one is. Returns whether there is
 * likely to be more soon.
 */
bool
ahead_run(Worker *worker)
{
	XLogRecPtr position = capture_position(worker->capture);
	XLogRecPtr flushed = GetFlushRecPtr(NULL);
	XLogRecPtr inserted = wal_end();
	bool due = cycle_wanted(worker);

	if (inserted < position + AHEAD_STEP_BYTES)
		return false;
	/* the WAL writer is to write it, not we */
	XLogSetAsyncXactLSN(inserted);
	while (flushed >= position + AHEAD_STEP_BYTES && !load_needed(worker) &&
	       (due || !cycle_wanted(worker)))
	{
		CHECK_FOR_INTERRUPTS();
		ahead_step(worker, position + AHEAD_STEP_BYTES);
		if (capture_position(worker->capture) < position + AHEAD_STEP_BYTES)
			break;
		position = capture_position(worker->capture);
	}
	return true;
}
