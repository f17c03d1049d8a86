/*-------------------------------------------------------------------------
 *
 * cycle.c
 *	  From one cut to the next: all views in one transaction.
 *
 * The order of a cycle:
 *	1. take the new cut, have the WAL up to it written, read it; if it tells of
 *	   DDL on a relation of ours, that has to be looked at first;
 *	2. decide which views have something to do; if none, the new cut takes the
 *	   old one's place without a transaction id;
 *	3. lock what those views read, and see that no DDL came in between;
 *	4. read the changed rows, bring the views to the new cut, in order of depth;
 *	5. write the cut and commit; publish it.
 *
 * An error undoes the whole cycle. The view that was being worked on falls
 * behind alone (cycle_failed), and the cycle is repeated without it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "cut/retention.h"
#include "cut/wal.h"
#include "debug/point.h"
#include "maintain/quarantine.h"
#include "maintain/worker.h"
#include "maintain/yield.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "view/catalog.h"

/* A cut without work is persisted this often, so that the slot can advance. */
#define PERSIST_INTERVAL_MS 1000
/* The slot is written to disk this often, besides checkpoints. */
#define SAVE_INTERVAL_MS 10000
/* A view in error is tried again after this long, doubling each time. */
#define RETRY_FIRST_MS 250
#define RETRY_MOST_MS 60000
/* A recomputation that took t is not repeated before RECOMPUTE_REST * t. */
#define RECOMPUTE_REST 4
/* Recomputations shorter than this belong to every cycle. */
#define RECOMPUTE_CHEAP_US 3000
/* So many times a costly query may be asked what ties at the end of a limit. */
#define MOST_TIES 3
/* Views that read the clock are recomputed this often. */
#define CLOCK_INTERVAL_MS 1000

/* Another server has this long to answer before the view falls behind. */
#define FOREIGN_PATIENCE_MS 1000
/* A recursion, which a row may have made endless, has this long, doubling each time it fails. */
#define RECURSION_PATIENCE_MS 5000
/* A view that took this long to fail is not tried again at once when its tables change. */
#define RETRY_COSTLY_US 1000000

/* A view that is locked is tried again after this long, doubling each time. */
#define LOCK_RETRY_FIRST_MS 10
#define LOCK_RETRY_MOST_MS 100
/* One that met the lock of an index or the like, at its price, after this long. */
#define LOCK_TIMEOUT_RETRY_MS 1000
/* After giving way so often, one after the other, a view says so. */
#define MOST_YIELDS 3
/* After so many failures of delta queries, one after the other, a view's query is left whole. */
#define MOST_UNFOLLOWED 3
/* A cycle waits at most this long for the locks of a view. */
#define LOCK_PATIENCE_MS 20

int cycle_recursion_timeout = 60000;

/* Why it is (MaintainedView.given_up). */
static const char unfollowed[] = "an expression that failed when its changes were computed";

/* What a cycle does with a view. */
typedef enum CycleAction
{
	ACTION_NONE, /* nothing changed for it */
	ACTION_FOLLOW,
	ACTION_REBUILD,
	ACTION_WAIT /* it falls, or stays, behind */
} CycleAction;

/* May a recomputation that is due run now? */
static bool
cycle_may_rebuild(WorkerView *entry, int64 now)
{
	MaintainedView *view = entry->view;

	if (view->retry_at_ms > now || entry->locked_until_ms > now)
		return false;
	return view->rebuild_us < RECOMPUTE_CHEAP_US || now >= view->rebuild_at_ms ||
	       pg_atomic_read_u32(&view->shared->wanted) != 0;
}

/* What to do with a view, given the changes known so far. */
static CycleAction
cycle_decide(Worker *worker, WorkerView *entry, List *changes, int64 now)
{
	MaintainedView *view = entry->view;
	bool changed = changed_concerns(view, changes);
	bool concerned = changed || now >= passes_at_ms(view);

	if (view->plan->clock && now >= view->clock_at_ms)
		entry->dirty = true;
	if (view->adopted && !entry->dirty && plan_follows(view->plan))
		return concerned ? ACTION_FOLLOW : ACTION_NONE;
	if (concerned || !view->adopted)
		entry->dirty = true;
	if (!entry->dirty)
		return ACTION_NONE;
	/*
	 * What made it fail may be gone, and readers wait to see: unless that costs
	 * others too much, or the change is only supposed, as a blind view's is.
	 */
	if (changed && view->failures > 0 && !view->plan->blind && view->rebuild_us < RETRY_COSTLY_US)
		view->retry_at_ms = RETRY_AT_ONCE;
	if (entry->sits_out)
		return ACTION_WAIT;
	return cycle_may_rebuild(entry, now) ? ACTION_REBUILD : ACTION_WAIT;
}

/* Take one lock, waiting for it a moment at the most. */
static bool
cycle_lock_relation(Oid relid, LOCKMODE mode, int *patience_ms)
{
	while (!yield_lock(relid, mode))
	{
		if ((*patience_ms)-- <= 0)
			return false;
		(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1, PG_WAIT_LOCK);
	}
	return true;
}

/* Lock a relation's indexes, which planning does: REINDEX holds them alone. */
static Oid
cycle_lock_indexes(Oid relid, int *patience_ms)
{
	Relation relation = try_relation_open(relid, NoLock);
	List *indexes;
	Oid busy = InvalidOid;
	ListCell *cell;

	if (relation == NULL)
		return InvalidOid;
	indexes = RelationGetIndexList(relation);
	foreach (cell, indexes)
		if (!OidIsValid(busy) &&
		    !cycle_lock_relation(lfirst_oid(cell), AccessShareLock, patience_ms))
			busy = lfirst_oid(cell);
	list_free(indexes);
	relation_close(relation, NoLock);
	return busy;
}

/*
 * Lock what a view needs; false: somebody else holds a conflicting lock. A
 * view that is at the frontier is worth waiting a moment (vacuum truncating a
 * table, a short ALTER), one that is behind already is not.
 */
static bool
cycle_lock(WorkerView *entry)
{
	int patience_ms = entry->view->adopted ? LOCK_PATIENCE_MS : 0;
	Oid busy;
	ListCell *cell;

	foreach (cell, entry->view->plan->relations)
	{
		PlanRelation *base = lfirst(cell);

		if (!cycle_lock_relation(base->relid, AccessShareLock, &patience_ms))
			busy = base->relid;
		else
			busy = cycle_lock_indexes(base->relid, &patience_ms);
		if (OidIsValid(busy))
		{
			pg_atomic_write_u32(&entry->view->shared->locked, busy);
			return false;
		}
	}
	pg_atomic_write_u32(&entry->view->shared->locked, InvalidOid);
	return cycle_lock_relation(entry->view->view, RowExclusiveLock, &patience_ms);
}

/* Tell readers about a view; behind views are not at the frontier. */
static void
cycle_show(Worker *worker, MaintainedView *view, bool behind, bool failed)
{
	FrontierView *shared = view->shared;
	bool changed = pg_atomic_read_u32(&shared->behind) != behind ||
	               pg_atomic_read_u32(&shared->failed) != failed;

	if (!behind)
	{
		pg_atomic_write_u64(&shared->completed, worker->cut->completed);
		pg_atomic_write_u64(&shared->lsn, worker->cut->lsn);
		pg_atomic_write_u64(&shared->at_ms, worker->cut->at_ms);
	}
	if (!changed)
		return;
	pg_write_barrier();
	pg_atomic_write_u32(&shared->behind, behind);
	pg_atomic_write_u32(&shared->failed, failed);
}

/* Let the slot follow the cuts whose commit records are flushed. */
static void
cycle_release(Worker *worker, int64 now)
{
	XLogRecPtr flushed = GetFlushRecPtr(NULL);
	CommittedCut *last = NULL;

	while (worker->committed != NIL)
	{
		CommittedCut *first = linitial(worker->committed);

		if (first->commit_lsn > flushed)
			break;
		if (last)
			pfree(last);
		last = first;
		worker->committed = list_delete_first(worker->committed);
	}
	if (last)
	{
		retention_hold(frontier_hold_xmin(worker->database, last->xmin), last->restart_lsn);
		pfree(last);
	}
	if (now - worker->saved_at_ms >= SAVE_INTERVAL_MS)
	{
		retention_save();
		worker->saved_at_ms = now;
	}
}

/* The views that are not at the cut, as the cut records them. */
static void
cycle_record_behind(Worker *worker, Cut *cut)
{
	ListCell *cell;

	int count = list_length(worker->views) + list_length(worker->unloaded);

	cut->behind = palloc(Max(count, 1) * sizeof(Oid));
	cut->unsettled = palloc(Max(count, 1) * sizeof(Oid));
	cut->behind_count = cut->unsettled_count = 0;
	foreach (cell, worker->unloaded)
		cut->behind[cut->behind_count++] = ((UnloadedView *) lfirst(cell))->view;
	foreach (cell, worker->views)
	{
		WorkerView *entry = lfirst(cell);

		if ((!entry->view->adopted || entry->dirty) && !entry->rebuilt)
			cut->behind[cut->behind_count++] = entry->view->view;
		else if (entry->unsettled)
			cut->unsettled[cut->unsettled_count++] = entry->view->view;
	}
}

/* Make a cut the worker's own, and show it to everybody. */
static void
cycle_advance(Worker *worker, Cut *cut, uint64 own, bool persisted)
{
	MemoryContext old = MemoryContextSwitchTo(worker->context);
	instr_time begun;
	instr_time end;
	ListCell *cell;

	cut_free(worker->cut);
	worker->cut = cut_copy(cut);
	worker->own = own;
	worker->persisted = persisted;
	MemoryContextSwitchTo(old);
	foreach (cell, worker->views)
	{
		WorkerView *entry = lfirst(cell);

		entry->sits_out = false;
		cycle_show(worker, entry->view, !entry->view->adopted || entry->dirty,
		           entry->view->retry_at_ms > RETRY_AT_ONCE);
	}
	foreach (cell, worker->watched)
		((WatchedRelation *) lfirst(cell))->fresh = false;
	DEBUG_POINT("shown");
	frontier_ring_commit();
	INSTR_TIME_SET_CURRENT(begun);
	frontier_publish(worker->database, worker->cut, own);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, begun);
	worker->publish_us = (int64) INSTR_TIME_GET_MICROSEC(end);
}

/* When time alone changes a view next, or one that it reads. */
static int64
cycle_passes_at_ms(Worker *worker, MaintainedView *view)
{
	int64 result = view->adopted ? passes_at_ms(view) : PG_INT64_MAX;
	ListCell *cell;
	ListCell *other;

	if (view->depth <= 1)
		return result;
	foreach (cell, worker->views)
	{
		MaintainedView *below = ((WorkerView *) lfirst(cell))->view;

		if (below->depth >= view->depth || !below->has_readers)
			continue;
		foreach (other, view->plan->relations)
			if (((PlanRelation *) lfirst(other))->relid == below->view)
				result = Min(result, cycle_passes_at_ms(worker, below));
	}
	return result;
}

/* Have readers wait for what time changes next. */
static void
cycle_publish_passes(Worker *worker)
{
	bool timed = false;
	ListCell *cell;

	foreach (cell, worker->views)
		timed |= passes_timed(((WorkerView *) lfirst(cell))->view);
	foreach (cell, worker->views)
	{
		MaintainedView *view = ((WorkerView *) lfirst(cell))->view;
		int64 passes = timed ? cycle_passes_at_ms(worker, view) : PG_INT64_MAX;

		pg_atomic_write_u64(&view->shared->passes_at_ms, passes == PG_INT64_MAX ? 0 : passes);
	}
}

/* The cycle is committed: what it rebuilt is up to date now. */
static void
cycle_settle(Worker *worker)
{
	ListCell *cell;

	foreach (cell, worker->views)
	{
		WorkerView *entry = lfirst(cell);

		passes_settle(entry->view, true);
		if (!entry->rebuilt)
			continue;
		entry->rebuilt = entry->dirty = false;
		entry->view->adopted = true;
		entry->view->retry_at_ms = 0;
		if (entry->view->failures > 0 && entry->view->given_up == unfollowed)
		{
			/* it was the query itself that failed */
			entry->view->given_up = NULL;
			load_view_again(entry->view);
		}
		entry->view->failures = 0;
		entry->yields = 0;
		pg_atomic_write_u32(&entry->view->shared->wanted, 0);
	}
	cycle_publish_passes(worker);
}

/* How long the culprit has been worked on. */
static int64
cycle_took_us(const Worker *worker)
{
	instr_time took;

	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, worker->culprit_since);
	return (int64) INSTR_TIME_GET_MICROSEC(took);
}

/* A view rests after it was computed, or could not be; until when. */
static int64
cycle_rest(MaintainedView *view, int64 took_us)
{
	view->rebuild_us = took_us;
	view->rebuild_at_ms = cut_now_ms() + took_us * RECOMPUTE_REST / 1000;
	return view->rebuild_at_ms;
}

/* How long a view may take before it falls behind; 0: as long as it takes. */
static int
cycle_patience_ms(const MaintainedView *view)
{
	if (view->plan->foreign)
		return FOREIGN_PATIENCE_MS;
	if (view->plan->recursive)
		return Min((int64) RECURSION_PATIENCE_MS << Min(view->failures, 16),
		           cycle_recursion_timeout);
	return 0;
}

/* Bring one view to the new cut. Not inlined: bench/cost counts its instructions. */
static pg_noinline void
cycle_maintain(Worker *worker, WorkerView *entry, CycleAction action, ViewCycle *cycle)
{
	MaintainedView *view = entry->view;
	ViewOutcome outcome = {0};
	bool rest = action == ACTION_FOLLOW && changed_follows_rest(view, cycle);
	int patience_ms = cycle_patience_ms(view);
	int64 took_us;

	worker->culprit = entry;
	INSTR_TIME_SET_CURRENT(worker->culprit_since);
	worker->culprit_follows = action == ACTION_FOLLOW;
	quarantine_enter(view->view);
	if (patience_ms > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, patience_ms);
	if (action == ACTION_FOLLOW && !rest && !view_can_follow(view, cycle))
		action = ACTION_REBUILD;
	else if (action == ACTION_FOLLOW && !(rest ? changed_follow_rest(view, cycle, &outcome)
	                                           : view_follow(view, cycle, &outcome)))
		action = cycle_may_rebuild(entry, cut_now_ms()) ? ACTION_REBUILD : ACTION_WAIT;
	if (action == ACTION_WAIT)
		entry->dirty = true;
	worker->culprit_follows = false;
	if (action == ACTION_REBUILD)
	{
		view_rebuild(view, cycle, &outcome);
		if (!view->adopted || view->retry_at_ms != 0)
			catalog_view_set_adopted(view->view, true, entry->fingerprint);
		if (view->retry_at_ms != 0)
			catalog_view_set_error(view->view, NULL, NULL);
		entry->rebuilt = true;
	}
	if (passes_loose(view) != view->loose)
	{
		/* which time its content is of is not stored */
		view->loose = !view->loose;
		catalog_view_set_adopted(view->view, true, view->loose ? 0 : entry->fingerprint);
	}
	took_us = cycle_took_us(worker);
	disable_timeout(STATEMENT_TIMEOUT, false);
	if (action == ACTION_FOLLOW)
		worker->following_us += took_us;
	if (action == ACTION_REBUILD)
		view->clock_at_ms = Max(cut_now_ms() + CLOCK_INTERVAL_MS, cycle_rest(view, took_us));
	worker->culprit = NULL;
	quarantine_done(view->view);
	if (action == ACTION_FOLLOW)
		view->unfollowed = 0;
	if (view->given_up == NULL && view->ties >= MOST_TIES && view->ties_us > RECOMPUTE_CHEAP_US)
	{
		/* planned again, it rests between its runs as others do */
		view->given_up = "LIMIT at whose end rows tie";
		load_view_again(view);
	}

	view_publish(cycle, &outcome);
	if (outcome.tid_count > 0)
		frontier_ring_add(view->view, outcome.tids, outcome.tid_count);
	pg_atomic_fetch_add_u64(&view->shared->rows_in, outcome.rows_in);
	pg_atomic_fetch_add_u64(&view->shared->rows_out, outcome.rows_out);
	pg_atomic_fetch_add_u64(&view->shared->cycles, 1);
	pg_atomic_write_u64(&view->shared->last_cycle_us, (uint64) took_us);
}

/*
 * The earliest time the next cut may have. For subscribers it is another than
 * the last cut's; who subscribes only now looks at the frontier afterwards, and
 * tells no change at a time it has told of already (changes_time).
 */
static int64
cycle_time_ms(Worker *worker)
{
	return worker->cut->at_ms + (pg_atomic_read_u32(&worker->database->watched) != 0 ? 1 : 0);
}

/* Run one cycle. The caller catches errors and calls cycle_failed. */
CycleResult
cycle_run(Worker *worker)
{
	MemoryContext context = worker->cycle_context;
	MemoryContext old;
	ViewCycle cycle = {0};
	Cut *cut;
	List *changes = NIL;
	List *todo = NIL;
	ListCell *cell;
	int64 now = cut_now_ms();
	uint64 own;
	bool watched;
	bool rebuilds = false;
	bool timed = false;

	MemoryContextReset(context);
	worker->following_us = 0;
	cycle_release(worker, now);
	StartTransactionCommand();
	old = MemoryContextSwitchTo(context);

	/*
	 * 1. Where there is work in all likelihood, the transaction id comes before
	 * the snapshot: then the cut need not list those in between.
	 */
	if (worker->busy)
		(void) GetTopTransactionId();
	writers_settle(worker);
	cut = cut_take(worker->cut->number + 1, cycle_time_ms(worker));
	wal_make_readable(cut->lsn);
	capture_read_wal(worker->capture, cut->lsn);
	if (!load_ddl(worker, cut->snapshot))
	{
		MemoryContextSwitchTo(old);
		AbortCurrentTransaction();
		(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1, PG_WAIT_LOCK);
		return CYCLE_AGAIN;
	}
	AcceptInvalidationMessages();
	if (load_needed(worker))
	{
		MemoryContextSwitchTo(old);
		AbortCurrentTransaction();
		return CYCLE_AGAIN;
	}
	changes = capture_collect(worker->capture, worker->cut->snapshot, cut->snapshot);
	cut->restart_lsn = capture_restart_lsn(worker->capture);
	frontier_ring_begin(worker->database, cut->number);

	/*
	 * A relation with another file: its records were not kept by the reading
	 * just done. Who wrote to the new file, and is visible in the cut, came
	 * after the message that says so.
	 */
	AcceptInvalidationMessages();
	if (load_needed(worker))
	{
		MemoryContextSwitchTo(old);
		AbortCurrentTransaction();
		capture_finish(worker->capture, true);
		return CYCLE_AGAIN;
	}

	changes = changed_by_others(worker, changes);

	/* 2 */
	watched = changed_watched(worker, changes);
	foreach (cell, worker->views)
	{
		WorkerView *entry = lfirst(cell);
		CycleAction action = cycle_decide(worker, entry, changes, Max(now, cut->at_ms));

		if (entry->view->invalid)
		{
			/*
			 * Changed by DDL, and could not be loaded since. (Later on, when
			 * everything is locked, it is but statistics that change.)
			 */
			entry->dirty = true;
			continue;
		}
		if (action == ACTION_FOLLOW || action == ACTION_REBUILD || entry->view->depth > 1)
			todo = lappend(todo, entry);
		rebuilds |= action == ACTION_REBUILD;
		timed |= action == ACTION_FOLLOW && passes_timed(entry->view);
	}
	/* a view over views alone has nothing to do by itself */
	if (!rebuilds && !timed && changes == NIL)
		todo = NIL;

	/* 3 */
	DEBUG_POINT("decided");
	foreach (cell, todo)
	{
		WorkerView *entry = lfirst(cell);

		if (cycle_lock(entry))
		{
			entry->locked_ms = 0;
			continue;
		}
		entry->dirty = true;
		entry->view->adopted = false;
		entry->locked_ms = Min(Max(entry->locked_ms * 2, LOCK_RETRY_FIRST_MS), LOCK_RETRY_MOST_MS);
		entry->locked_until_ms = now + entry->locked_ms;
		todo = foreach_delete_current(todo, cell);
	}
	if (load_needed(worker))
	{
		MemoryContextSwitchTo(old);
		AbortCurrentTransaction();
		(void) yield_end();
		capture_finish(worker->capture, true);
		return CYCLE_AGAIN;
	}
	if (todo == NIL && !watched && now - worker->persisted_at_ms < PERSIST_INTERVAL_MS)
	{
		own = TransactionIdIsValid(GetTopTransactionIdIfAny());
		/* only cuts with changes need a time of their own */
		if (cut->at_ms > now)
			cut->at_ms = worker->cut->at_ms;
		MemoryContextSwitchTo(old);
		CommitTransactionCommand();
		(void) yield_end();
		capture_finish(worker->capture, false);
		ahead_forget_ended(worker);
		cycle_advance(worker, cut, own, false);
		worker->busy = false;
		cycle_release(worker, now);
		return CYCLE_IDLE;
	}

	/* 4 */
	(void) GetTopTransactionId();
	worker->busy = true;
	PushActiveSnapshot(GetTransactionSnapshot());
	cycle.old_cut = worker->cut;
	cycle.new_cut = cut;
	cycle.changes = changes;
	cycle.environment = create_queryEnv();
	cycle.rest_environment = create_queryEnv();
	delta_set_changes(cycle.changes);
	changed_read(worker, &cycle, todo);
	changed_ring(changes);
	foreach (cell, todo)
	{
		WorkerView *entry = lfirst(cell);
		CycleAction action = cycle_decide(worker, entry, cycle.changes, Max(now, cut->at_ms));

		if (action == ACTION_FOLLOW || action == ACTION_REBUILD)
			cycle_maintain(worker, entry, action, &cycle);
	}
	delta_set_changes(NIL);
	quarantine_leave();

	/* 5 */
	cut_include_own_transaction(cut);
	cycle_record_behind(worker, cut);
	catalog_cut_write(cut);
	foreach (cell, cycle.changes)
		change_free(lfirst(cell));
	foreach (cell, cycle.rest)
		change_free(lfirst(cell));
	PopActiveSnapshot();
	MemoryContextSwitchTo(old);
	DEBUG_POINT("applied");
	CommitTransactionCommand();
	(void) yield_end();

	DEBUG_POINT("committed");
	quarantine_settle(true);
	cycle_settle(worker);
	capture_finish(worker->capture, false);
	ahead_forget_ended(worker);
	old = MemoryContextSwitchTo(worker->context);
	{
		CommittedCut *committed = palloc(sizeof(CommittedCut));

		committed->commit_lsn = XactLastCommitEnd;
		committed->xmin = cut->snapshot->xmin;
		committed->restart_lsn = cut->restart_lsn;
		worker->committed = lappend(worker->committed, committed);
	}
	MemoryContextSwitchTo(old);
	worker->persisted_at_ms = now;
	cycle_advance(worker, cut, 1, true);
	cycle_release(worker, now);
	return CYCLE_WORKED;
}

/* How long a view rests after its so manieth failure in a row. */
int64
cycle_retry_ms(int failures)
{
	return Min((int64) RETRY_FIRST_MS << Min(failures, 16), RETRY_MOST_MS);
}

/* Show why a view is behind, outside of a transaction. */
void
cycle_record_error(Oid view, ErrorData *error)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (ConditionalLockRelationOid(view, RowExclusiveLock))
		catalog_view_set_error(view, unpack_sql_state(error->sqlerrcode), error->message);
	ereport(LOG,
	        (errmsg("materialized view %s falls behind: %s", catalog_name(view), error->message),
	         error->detail ? errdetail_internal("%s", error->detail) : 0));
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* Plan a view's queries anew. */
static void
cycle_forget_queries(MaintainedView *view)
{
	ListCell *cell;

	view->queries = NIL;
	foreach (cell, view->parts)
		((MaintainedView *) lfirst(cell))->queries = NIL;
}

/* A view falls behind, says why, and is left alone for a while. */
void
cycle_view_failed(Worker *worker, WorkerView *entry, ErrorData *error)
{
	MaintainedView *view = entry->view;

	view->adopted = false;
	entry->dirty = true;
	/* somebody's lock says nothing about the view */
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		view->retry_at_ms = cut_now_ms() + LOCK_TIMEOUT_RETRY_MS;
	else
		view->retry_at_ms =
		    Max(cut_now_ms() + cycle_retry_ms(view->failures++), view->rebuild_at_ms);
	entry->sits_out = true;
	cycle_forget_queries(view);
	cycle_record_error(view->view, error);
	cycle_show(worker, view, true, true);
}

/*
 * Could the error be of the delta queries alone? They may evaluate an expression
 * where the view's query does not, behind a condition that protects it, say, and
 * may be too large. What we or the machine did wrong is not.
 */
static bool
cycle_of_delta_query(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_INTERNAL_ERROR:
			return false;
		default:
			return true;
	}
}

/*
 * A query that was made from the view's failed. The cycle is done again with the
 * view's own, which says whether that fails: once, or, after some failures or when
 * it was computing the view anew that failed, from now on.
 */
static void
cycle_view_unfollowed(Worker *worker, WorkerView *entry, const ErrorData *error)
{
	MaintainedView *view = entry->view;

	if (!worker->culprit_follows || ++view->unfollowed >= MOST_UNFOLLOWED)
	{
		view->given_up = unfollowed;
		load_view_again(view);
	}
	view->adopted = false;
	entry->dirty = true;
	cycle_forget_queries(view);
	cycle_show(worker, view, true, false);
	StartTransactionCommand();
	ereport(DEBUG1, (errmsg_internal("materialized view %s is computed anew: %s",
	                                 catalog_name(view->view), error->message)));
	CommitTransactionCommand();
}

/*
 * The view's computation was broken off for somebody who waited for a lock. It
 * is tried again later and later; readers wait for it until it cannot be hidden
 * any more that it does not get through.
 */
static void
cycle_view_yielded(Worker *worker, WorkerView *entry)
{
	MaintainedView *view = entry->view;

	view->adopted = false;
	entry->dirty = true;
	entry->locked_until_ms = cut_now_ms() + cycle_retry_ms(entry->yields++);
	if (entry->yields >= MOST_YIELDS)
	{
		ErrorData given_way = {.sqlerrcode = ERRCODE_LOCK_NOT_AVAILABLE};

		given_way.message =
		    psprintf("computing it was broken off %d times for others who waited for its locks",
		             entry->yields);
		cycle_view_failed(worker, entry, &given_way);
		pfree(given_way.message);
	}
	else
		cycle_show(worker, view, true, pg_atomic_read_u32(&view->shared->failed) != 0);
}

/*
 * After an error, outside of a transaction: nothing of the cycle has happened,
 * and the view that was being worked on falls behind. yielded: the error was
 * only to give way to somebody.
 */
void
cycle_failed(Worker *worker, ErrorData *error, bool yielded)
{
	WorkerView *culprit = worker->culprit;
	ListCell *cell;

	disable_timeout(STATEMENT_TIMEOUT, false);
	quarantine_leave();
	quarantine_settle(false);
	QueryCancelPending = false;
	delta_set_changes(NIL);
	capture_finish(worker->capture, true);
	/* what was folded ahead may have been used already */
	ahead_spoil_all(worker);
	worker->culprit = NULL;
	foreach (cell, worker->views)
	{
		WorkerView *entry = lfirst(cell);

		entry->rebuilt = false;
		passes_settle(entry->view, false);
	}
	if (culprit != NULL && yielded)
		cycle_view_yielded(worker, culprit);
	else if (culprit != NULL && plan_follows(culprit->view->plan) && cycle_of_delta_query(error))
		cycle_view_unfollowed(worker, culprit, error);
	else if (culprit != NULL)
	{
		int patience_ms = cycle_patience_ms(culprit->view);
		int64 took_us = cycle_took_us(worker);

		(void) cycle_rest(culprit->view, took_us);
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && patience_ms > 0 &&
		    took_us >= patience_ms * INT64CONST(1000))
			error->message =
			    psprintf(culprit->view->plan->foreign ? "another server did not answer within %d ms"
			                                          : "its recursion did not end within %d ms",
			             patience_ms);
		cycle_view_failed(worker, culprit, error);
	}
}

/* When something is due without anybody's commit; 0: nothing is. */
int64
cycle_next_due_ms(Worker *worker)
{
	int64 result = 0;
	ListCell *cell;

	foreach (cell, worker->views)
	{
		WorkerView *entry = lfirst(cell);
		MaintainedView *view = entry->view;
		int64 due = 0;

		if (view->invalid)
			continue; /* load_needed says when */
		if (view->retry_at_ms != 0 || !view->adopted || entry->dirty || entry->unsettled)
		{
			due = Max(Max(view->retry_at_ms, entry->locked_until_ms), 1);
			if (pg_atomic_read_u32(&view->shared->wanted) == 0)
				due = Max(due, view->rebuild_at_ms);
		}
		else if (view->plan->clock)
			due = view->clock_at_ms;
		else if (passes_timed(view))
			due = Max(passes_at_ms(view), 1);
		if (due != 0 && (result == 0 || due < result))
			result = due;
	}
	return result;
}

/* Has any transaction completed that the cut does not see? */
bool
cycle_pending(Worker *worker)
{
	return frontier_completed_now() != worker->cut->completed + worker->own;
}

/* Is there a reason to run a cycle now? */
bool
cycle_wanted(Worker *worker)
{
	int64 now = cut_now_ms();
	int64 due = cycle_next_due_ms(worker);
	ListCell *cell;

	if (cycle_pending(worker) || (due != 0 && due <= now) ||
	    (!worker->persisted && now - worker->persisted_at_ms >= PERSIST_INTERVAL_MS))
		return true;
	foreach (cell, worker->watched)
	{
		WatchedRelation *watched = lfirst(cell);

		if (watched->fresh || watched->unsettled)
			return true;
	}
	return false;
}
