/*-------------------------------------------------------------------------
 *
 * load.c
 *	  What the worker maintains and watches: read from the catalogs, kept in
 *	  step with DDL.
 *
 * Invariants:
 *	- A relation is watched before the first cut at which a view over it is
 *	  adopted. Transactions that may have written to it before that are waited
 *	  for: until they have ended, the view is rebuilt with every cut.
 *	- A view whose relations, their files, or whose query changed is rebuilt.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "debug/point.h"
#include "nodes/nodes.h"
#include "access/relation.h"
#include "maintain/indexer.h"
#include "maintain/quarantine.h"
#include "maintain/worker.h"
#include "miscadmin.h"
#include "query/calls.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "view/apply.h"
#include "view/catalog.h"

/* How many relations can be subscribed to at a time. */
#define MAX_WATCHED 1024

/* When to try again to load a view that is locked or in error. */
#define LOAD_RETRY_MS 200

/* Another number wherever what is stored of the same plan is another. */
#define STATE_FORMAT UINT64CONST(2)

static Worker *load_worker = NULL;
static bool load_new_file = false; /* a relation is watched under another file now */
static bool load_failed = false;   /* something could not be loaded, to be tried again */
static bool load_pending = false;  /* some view is invalid */
static bool load_loading = false;  /* a view is being loaded */
static List *load_meanwhile = NIL; /* relations that have changed since then */

/* A view has to be planned again, and perhaps that is the end of its trouble. */
static void
load_invalidate(MaintainedView *view)
{
	view->invalid = true;
	if (view->retry_at_ms != 0)
		view->retry_at_ms = RETRY_AT_ONCE;
}

/* A relation changed: views over it have to be planned again. */
static bool
load_relation_changed(Oid relid)
{
	bool result = false;
	ListCell *cell;

	if (load_worker == NULL)
		return false;
	foreach (cell, load_worker->views)
	{
		MaintainedView *view = ((WorkerView *) lfirst(cell))->view;
		bool concerned = relid == InvalidOid || relid == view->view;
		ListCell *base;

		foreach (base, view->plan->relations)
		{
			if (concerned)
				break;
			concerned = ((PlanRelation *) lfirst(base))->relid == relid;
		}
		foreach (base, view->parts)
			concerned |= ((MaintainedView *) lfirst(base))->view == relid;
		result |= concerned;
		if (!concerned)
			continue;
		load_invalidate(view);
	}
	foreach (cell, load_worker->watched)
		result |= relid == InvalidOid || ((WatchedRelation *) lfirst(cell))->relid == relid;
	load_pending |= result;
	return result;
}

/* Plan a view again before the next cycle. */
void
load_view_again(MaintainedView *view)
{
	view->invalid = load_pending = true;
}

/* Remember a transaction, once. */
static void
load_remember(List **xids, TransactionId xid)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	*xids = list_append_unique_oid(*xids, xid);
	MemoryContextSwitchTo(old);
}

/* Remember a function that a transaction changed, once. */
static void
load_remember_function(TransactionId xid, uint32 hash)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	ChangedFunction *changed;
	ListCell *cell;

	foreach (cell, load_worker->functions)
	{
		changed = lfirst(cell);
		if (changed->xid == xid && changed->hash == hash)
			break;
	}
	if (cell == NULL)
	{
		changed = palloc(sizeof(ChangedFunction));
		*changed = (ChangedFunction){.xid = xid, .hash = hash};
		load_worker->functions = lappend(load_worker->functions, changed);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Does a message concern this database? Roles and their memberships are shared by all;
 * only messages about relations and catalog rows name their database there.
 */
static bool
load_concerned(const SharedInvalidationMessage *message, bool *roles)
{
	*roles = message->id == AUTHOID || message->id == AUTHMEMROLEMEM;
	if (message->id == SHAREDINVALRELCACHE_ID)
		return message->rc.dbId == MyDatabaseId;
	return *roles || (message->id >= 0 && message->cc.dbId == MyDatabaseId);
}

/*
 * What capture tells of. Whoever changes a function, a type or a table's
 * partitions holds no lock that would keep us from planning with what was
 * before: so the transaction is remembered until a cut shows it.
 *
 * What a role may do decides which policies are in a query and whether it may be run at
 * all: each view is planned again, which tells whether its query is another one now.
 */
bool
load_invalidated(const SharedInvalidationMessage *message, TransactionId xid)
{
	bool watched;
	bool roles;
	ListCell *cell;

	if (!load_concerned(message, &roles))
		return false;
	foreach (cell, load_worker->views)
	{
		WorkerView *entry = lfirst(cell);

		if (roles)
		{
			load_invalidate(entry->view);
			load_pending = true;
		}
		if (!definitions_told_by(&entry->view->plan->definitions, message))
			continue;
		load_remember(&entry->defined_by, xid);
		load_remember(&load_worker->ddl, xid);
	}
	if (message->id == PROCOID && load_worker->views != NIL)
	{
		load_remember_function(xid, message->cc.hashValue);
		load_remember(&load_worker->ddl, xid);
	}
	watched = message->id == SHAREDINVALRELCACHE_ID && load_relation_changed(message->rc.relId);
	if (watched || roles)
		load_remember(&load_worker->ddl, xid);
	return watched;
}

/* Which of these transactions does the cut show? Forgets them. */
static bool
load_shown(List **xids, Snapshot cut)
{
	bool shown = false;
	ListCell *cell;

	foreach (cell, *xids)
	{
		if (XidInMVCCSnapshot(lfirst_oid(cell), cut))
			continue;
		*xids = foreach_delete_current(*xids, cell);
		shown = true;
	}
	return shown;
}

/* What a view uses was defined anew: so is the view made. */
static void
load_redefined(WorkerView *entry)
{
	entry->fingerprint = 0;
	load_invalidate(entry->view);
	load_pending = true;
}

/* A function was made, changed or dropped, and that is visible now. */
static void
load_function_changed(Worker *worker, uint32 hash)
{
	List *changed = calls_of_hash(hash);
	ListCell *cell;

	foreach (cell, worker->views)
	{
		WorkerView *entry = lfirst(cell);

		if (definitions_changed_by_function(&entry->view->plan->definitions, hash, changed))
			load_redefined(entry);
	}
	list_free(changed);
}

/*
 * Have all DDL that the cut shows known. A transaction is visible a moment before
 * its messages come, but keeps the lock of its id until they have: false if
 * that moment has to be waited for.
 *
 * Views whose functions or types have changed are made anew.
 */
bool
load_ddl(Worker *worker, Snapshot cut)
{
	ListCell *cell;

	foreach (cell, worker->ddl)
		if (!XidInMVCCSnapshot(lfirst_oid(cell), cut) &&
		    !ConditionalXactLockTableWait(lfirst_oid(cell)))
			return false;
	if (load_shown(&worker->ddl, cut))
		AcceptInvalidationMessages();
	foreach (cell, worker->views)
	{
		WorkerView *entry = lfirst(cell);

		if (load_shown(&entry->defined_by, cut))
			load_redefined(entry);
	}
	foreach (cell, worker->functions)
	{
		ChangedFunction *changed = lfirst(cell);

		if (XidInMVCCSnapshot(changed->xid, cut))
			continue;
		load_function_changed(worker, changed->hash);
		worker->functions = foreach_delete_current(worker->functions, cell);
		pfree(changed);
	}
	return true;
}

/* As the relation cache calls it, at any time. */
static void
load_relcache_callback(Datum argument, Oid relid)
{
	if (load_loading)
	{
		MemoryContext old = MemoryContextSwitchTo(load_worker->context);

		load_meanwhile = list_append_unique_oid(load_meanwhile, relid);
		MemoryContextSwitchTo(old);
	}
	(void) load_relation_changed(relid);
}

/* From here on what changes may have been planned with as it was before. */
static void
load_begin(void)
{
	list_free(load_meanwhile);
	load_meanwhile = NIL;
	load_loading = true;
}

/*
 * A view has been planned: was that with something that changed while it was?
 * Its parts are tables of ours, which making them changes.
 */
static void
load_end(MaintainedView *view)
{
	ListCell *cell;
	bool changed = list_member_oid(load_meanwhile, InvalidOid);

	foreach (cell, view->plan->relations)
		changed |= list_member_oid(load_meanwhile, ((PlanRelation *) lfirst(cell))->relid);
	if (changed)
		load_view_again(view);
}

/* Listen to what changes. */
void
load_initialize(Worker *worker)
{
	load_worker = worker;
	CacheRegisterRelcacheCallback(load_relcache_callback, (Datum) 0);
}

/* Must the catalogs be read, or a view planned again? */
bool
load_needed(Worker *worker)
{
	return load_pending || (load_failed && cut_now_ms() >= worker->load_retry_at_ms) ||
	       worker->generation != pg_atomic_read_u32(&worker->database->catalog_generation);
}

/* Something could not be loaded: try again in a while. */
static void
load_again(Worker *worker)
{
	load_failed = true;
	worker->load_retry_at_ms = cut_now_ms() + LOAD_RETRY_MS;
}

/* Is this relation a view that we maintain ourselves? */
static WorkerView *
load_find(Worker *worker, Oid relid)
{
	ListCell *cell;

	foreach (cell, worker->views)
	{
		WorkerView *view = lfirst(cell);

		if (view->view->view == relid)
			return view;
	}
	return NULL;
}

/* Watch a base relation under its present file. */
static void
load_watch(Worker *worker, Oid relid, RelFileNode node)
{
	RelFileNode watched;
	bool known;

	if (load_find(worker, relid) != NULL || node.relNode == InvalidOid)
		return;
	known = capture_watches(worker->capture, relid, &watched);
	if (known && RelFileNodeEquals(watched, node))
		return;
	capture_watch(worker->capture, relid, node);
	DEBUG_POINT("watched");
	/* of a new file, capture_rewind sees everything */
	load_new_file |= known;
	if (!known)
		writers_note(worker, relid);
}

/* Add a query and the way in which it, and its hidden state, is kept to a fingerprint. */
static uint64
load_fingerprint_query(uint64 hash, const ViewPlan *plan)
{
	char *query = nodeToString(plan->query);

	hash = hash_combine64(
	    hash, hash_bytes_extended((unsigned char *) query, strlen(query), plan->strategy));
	hash = hash_combine64(hash, plan->shown ? STATE_FORMAT : ~STATE_FORMAT);
	pfree(query);
	return hash;
}

/*
 * What a view's content is made from: its query and its parts, and the files of
 * what it reads, of its parts and of itself. If it is another one, the view has
 * to be rebuilt.
 */
static uint64
load_fingerprint(MaintainedView *view, RelFileNode node)
{
	const ViewPlan *plan = view->plan;
	uint64 hash = load_fingerprint_query(0, plan);
	ListCell *cell;

	foreach (cell, view->parts)
	{
		MaintainedView *part = lfirst(cell);
		Relation relation = relation_open(part->view, AccessShareLock);

		hash = load_fingerprint_query(hash, part->plan);
		hash = hash_combine64(hash, hash_bytes_extended((unsigned char *) &relation->rd_node,
		                                                sizeof(RelFileNode), 0));
		relation_close(relation, AccessShareLock);
	}
	hash = hash_combine64(hash, plan->owner);
	hash = hash_combine64(hash, definitions_hash(&plan->definitions));
	hash = hash_combine64(hash, hash_bytes_extended((unsigned char *) &node, sizeof(node), 0));
	/* a child that leaves a table may still be read by its own name */
	foreach (cell, plan->inherited)
		hash = hash_combine64(hash, lfirst_oid(cell));
	foreach (cell, plan->relations)
	{
		PlanRelation *base = lfirst(cell);

		hash = hash_combine64(hash, base->relid);
		hash = hash_combine64(
		    hash, hash_bytes_extended((unsigned char *) &base->node, sizeof(base->node), 0));
	}
	return hash;
}

/* The shared entry of a view. */
static FrontierView *
load_shared(Oid view)
{
	FrontierView *shared = frontier_view(MyDatabaseId, view, true);

	if (shared == NULL)
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		                errmsg("too many materialized views are kept fresh"),
		                errhint("Increase freshet.max_views, now %d, and restart the server.",
		                        frontier_max_views)));
	return shared;
}

/* Lock what the view reads at once, or tell readers what is in the way. */
static bool
load_lock(Oid view, FrontierView *shared)
{
	Relation relation = try_relation_open(view, NoLock);
	Oid busy = InvalidOid;

	if (relation != NULL)
	{
		busy = plan_lock_relations(relation);
		relation_close(relation, NoLock);
	}
	pg_atomic_write_u32(&shared->locked, busy);
	return !OidIsValid(busy);
}

/* The note about a view that is not loaded, or NULL. */
static UnloadedView *
load_find_unloaded(List *unloaded, Oid view)
{
	ListCell *cell;

	foreach (cell, unloaded)
		if (((UnloadedView *) lfirst(cell))->view == view)
			return lfirst(cell);
	return NULL;
}

/* Why a view's query is left whole, as known from before; NULL: it is not. */
static const char *
load_given_up(Worker *worker, const WorkerView *entry, Oid view)
{
	const UnloadedView *unloaded;

	if (entry != NULL)
		return entry->view->given_up;
	unloaded = load_find_unloaded(worker->unloaded, view);
	return unloaded != NULL ? unloaded->given_up : NULL;
}

/*
 * Load one view of the catalog, or load it again; the caller has locked it.
 * Returns whether it is up to date with the catalogs; if not, something it
 * reads is locked.
 */
static bool
load_view(Worker *worker, ViewRow *row, bool from_cut)
{
	WorkerView *entry = load_find(worker, row->view);
	FrontierView *shared;
	MaintainedView *view;
	RelFileNode node = {0};
	uint64 fingerprint;
	Relation relation;
	MemoryContext old;
	ListCell *cell;
	bool keep;
	bool failed;
	char strategy;

	if (entry != NULL && !entry->view->invalid && entry->view->adopted == row->adopted &&
	    entry->view->retry_at_ms == 0)
		return true;
	if (entry != NULL && !entry->view->invalid && row->adopted)
		return true;

	shared = load_shared(row->view);
	if (!load_lock(row->view, shared))
		return false;
	view = view_load(row->view, row->settings, load_given_up(worker, entry, row->view));
	if (view != NULL && view->plan->strategy == PLAN_NONE)
	{
		/* it was adopted when it could be followed, and may be so again */
		const char *reason = pstrdup(view->plan->reason);

		view_unload(view);
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		                errmsg("materialized view \"%s\" cannot be kept fresh: %s",
		                       get_rel_name(row->view), reason)));
	}
	if (view == NULL)
	{
		if (entry != NULL)
		{
			worker->views = list_delete_ptr(worker->views, entry);
			view_unload(entry->view);
			list_free(entry->defined_by);
			pfree(entry);
		}
		return true;
	}
	relation = relation_open(row->view, AccessShareLock);
	node = relation->rd_node;
	relation_close(relation, AccessShareLock);

	/* read now: while entry->view is replaced, an invalidation would meet a view that is gone */
	failed = catalog_view_error(row->view) != NULL;
	view->shared = shared;
	fingerprint = load_fingerprint(view, node);
	old = MemoryContextSwitchTo(worker->context);
	if (entry == NULL)
	{
		entry = palloc0(sizeof(WorkerView));
		keep = false;
		view->adopted = from_cut && row->adopted && row->fingerprint == fingerprint;
		worker->views = lappend(worker->views, entry);
	}
	else
	{
		keep = entry->fingerprint == fingerprint;
		view->adopted = entry->view->adopted && row->adopted && keep;
		view->rebuild_us = entry->view->rebuild_us;
		view->failures = entry->view->failures;
		if (keep)
		{
			view->retry_at_ms = entry->view->retry_at_ms;
			passes_take_over(view, entry->view);
		}
		view_unload(entry->view);
	}
	/* a changed view gets another chance at once, and an error that is over is to be cleared */
	if (failed && (!keep || view->retry_at_ms == 0))
		view->retry_at_ms = RETRY_AT_ONCE;
	entry->view = view;
	load_end(view);
	entry->fingerprint = fingerprint;
	entry->locked_until_ms = entry->locked_ms = 0;
	if (!view->adopted)
		entry->dirty = true;
	MemoryContextSwitchTo(old);

	foreach (cell, view->plan->relations)
	{
		PlanRelation *base = lfirst(cell);

		load_watch(worker, base->relid, base->node);
		/* reading goes on from a cut that knew the relation: nothing is unseen */
		if (from_cut && view->adopted)
			writers_forget(worker, base->relid);
	}
	strategy = (char) plan_strategy(view->plan);
	if (row->strategy == NULL || row->strategy[0] != strategy || row->reason == NULL ||
	    strcmp(row->reason, view->plan->reason) != 0)
		catalog_view_set_strategy(row->view, psprintf("%c", strategy), view->plan->reason);
	return true;
}

/* Order views so that those read by others come first. */
static void
load_order(Worker *worker)
{
	List *ordered = NIL;
	ListCell *cell;
	int depth = 1;
	MemoryContext old = MemoryContextSwitchTo(worker->context);

	foreach (cell, worker->views)
	{
		MaintainedView *view = ((WorkerView *) lfirst(cell))->view;

		view->depth = 0;
		view->has_readers = false;
	}
	/* a view's depth is known when those of all views it reads are */
	while (list_length(ordered) < list_length(worker->views))
	{
		foreach (cell, worker->views)
		{
			WorkerView *entry = lfirst(cell);
			ListCell *base;
			bool ready = entry->view->depth == 0;

			foreach (base, entry->view->plan->relations)
			{
				WorkerView *below = load_find(worker, ((PlanRelation *) lfirst(base))->relid);

				if (below == NULL)
					continue;
				below->view->has_readers = true;
				if (below->view->depth == 0 || below->view->depth == depth)
					ready = false;
			}
			if (ready)
			{
				entry->view->depth = depth;
				ordered = lappend(ordered, entry);
			}
		}
		depth++;
	}
	list_free(worker->views);
	worker->views = ordered;
	MemoryContextSwitchTo(old);
}

/* Take up relations that subscribers ask for, and drop those nobody wants. */
static void
load_watched(Worker *worker)
{
	Oid *relids = palloc(MAX_WATCHED * sizeof(Oid));
	bool *is_new = palloc(MAX_WATCHED * sizeof(bool));
	int count = frontier_watched(worker->database, relids, is_new, MAX_WATCHED);
	List *kept = NIL;
	MemoryContext old = MemoryContextSwitchTo(worker->context);

	for (int i = 0; i < count; i++)
	{
		WatchedRelation *watched = NULL;
		Relation relation;
		ListCell *cell;

		foreach (cell, worker->watched)
			if (((WatchedRelation *) lfirst(cell))->relid == relids[i])
				watched = lfirst(cell);
		if (watched == NULL)
		{
			watched = palloc0(sizeof(WatchedRelation));
			watched->relid = relids[i];
		}
		kept = lappend(kept, watched);
		watched->fresh |= is_new[i];
		watched->untaken = !ConditionalLockRelationOid(relids[i], AccessShareLock);
		if (watched->untaken)
		{
			load_again(worker);
			continue;
		}
		relation = try_relation_open(relids[i], NoLock);
		if (relation != NULL)
		{
			if (!RelFileNodeEquals(watched->node, relation->rd_node))
				watched->fresh = true;
			watched->node = relation->rd_node;
			load_watch(worker, relids[i], relation->rd_node);
			relation_close(relation, NoLock);
		}
		UnlockRelationOid(relids[i], AccessShareLock);
	}
	list_free(worker->watched);
	worker->watched = kept;
	MemoryContextSwitchTo(old);
}

/* Is the view in one of a cut's lists? */
static bool
load_listed(const Oid *views, int count, Oid view)
{
	for (int i = 0; i < count; i++)
		if (views[i] == view)
			return true;
	return false;
}

/* May a view whose loading failed be tried again? */
static bool
load_may_retry(Worker *worker, Oid view)
{
	WorkerView *entry = load_find(worker, view);
	UnloadedView *unloaded = load_find_unloaded(worker->unloaded, view);
	int64 now = cut_now_ms();

	if (entry != NULL)
		return !entry->view->invalid || entry->view->retry_at_ms <= now;
	return unloaded == NULL || unloaded->retry_at_ms <= now;
}

/*
 * A view that is not loaded has fallen behind, whatever was said of it before:
 * nobody brings it to the next cut.
 */
static void
load_postpone(Worker *worker, Oid view, ErrorData *error)
{
	UnloadedView *unloaded = load_find_unloaded(worker->unloaded, view);
	FrontierView *shared = frontier_view(MyDatabaseId, view, true);

	if (unloaded == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(worker->context);

		unloaded = palloc0(sizeof(UnloadedView));
		unloaded->view = view;
		worker->unloaded = lappend(worker->unloaded, unloaded);
		MemoryContextSwitchTo(old);
	}
	if (error != NULL)
	{
		unloaded->retry_at_ms = cut_now_ms() + cycle_retry_ms(unloaded->failures++);
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_PROGRAM_LIMIT_EXCEEDED)
			unloaded->given_up = "more columns to keep for it than a table can have";
		cycle_record_error(view, error);
	}
	if (shared == NULL)
		return;
	pg_atomic_write_u32(&shared->behind, 1);
	if (error != NULL)
		pg_atomic_write_u32(&shared->failed, 1);
}

/*
 * A view at which the worker died again and again is a plain one from now on:
 * freshet.adopt tries again. The caller has locked it.
 */
static void
load_quarantine(Oid view)
{
	const char *why =
	    "the server process that keeps views fresh died twice while it worked on this one";

	catalog_view_set_maintain(view, false);
	catalog_view_set_strategy(view, "none", why);
	catalog_view_set_error(view, unpack_sql_state(ERRCODE_CRASH_SHUTDOWN), why);
	hidden_drop_all(view);
	ereport(WARNING,
	        (errmsg("materialized view \"%s\" is not kept fresh any more", get_rel_name(view)),
	         errdetail("%c%s.", toupper((unsigned char) why[0]), why + 1),
	         errhint("SELECT freshet.adopt('%s') tries again.", get_rel_name(view))));
}

/* Load a view in a transaction of its own, or let it fall behind. */
static void
load_one(Worker *worker, ViewRow *row)
{
	const Cut *cut = worker->cut;
	bool from_cut = worker->resuming && !load_listed(cut->behind, cut->behind_count, row->view) &&
	                !load_listed(cut->unsettled, cut->unsettled_count, row->view);
	ErrorData *volatile error = NULL;
	volatile bool loaded = false;
	bool quarantined = quarantine_due(row->view);

	DEBUG_POINT("load");
	StartTransactionCommand();
	load_begin();
	PG_TRY();
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		loaded = load_may_retry(worker, row->view) &&
		         ConditionalLockRelationOid(row->view,
		                                    quarantined ? ShareRowExclusiveLock : RowExclusiveLock);
		if (loaded && quarantined)
			load_quarantine(row->view);
		else if (loaded)
		{
			quarantine_enter(row->view);
			loaded = load_view(worker, row, from_cut);
		}
		PopActiveSnapshot();
		CommitTransactionCommand();
		if (loaded && quarantined)
			quarantine_forget(row->view);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(worker->cycle_context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		cut_reset();
		loaded = false;
	}
	PG_END_TRY();
	quarantine_leave();
	load_loading = false;

	if (!loaded)
	{
		WorkerView *entry = load_find(worker, row->view);

		load_again(worker);
		if (entry == NULL)
			load_postpone(worker, row->view, error);
		else if (error != NULL)
			cycle_view_failed(worker, entry, error);
	}
	else
	{
		UnloadedView *unloaded = load_find_unloaded(worker->unloaded, row->view);

		worker->unloaded = list_delete_ptr(worker->unloaded, unloaded);
		if (unloaded != NULL)
			pfree(unloaded);
	}
}

/* Forget views that are not maintained any more. */
static void
load_forget(Worker *worker, List *known)
{
	ListCell *cell;

	foreach (cell, worker->views)
	{
		WorkerView *entry = lfirst(cell);

		if (list_member_oid(known, entry->view->view))
			continue;
		worker->views = foreach_delete_current(worker->views, cell);
		view_unload(entry->view);
		list_free(entry->defined_by);
		pfree(entry);
	}
	foreach (cell, worker->unloaded)
	{
		UnloadedView *unloaded = lfirst(cell);

		if (list_member_oid(known, unloaded->view))
			continue;
		worker->unloaded = foreach_delete_current(worker->unloaded, cell);
		pfree(unloaded);
	}
}

/* Forget the relations that no view and no subscriber looks at any more. */
static void
load_unwatch(Worker *worker)
{
	int room = list_length(worker->watched);
	int count = 0;
	Oid *relids;
	ListCell *cell;
	ListCell *base;

	foreach (cell, worker->views)
		room += list_length(((WorkerView *) lfirst(cell))->view->plan->relations);
	relids = palloc(Max(room, 1) * sizeof(Oid));
	foreach (cell, worker->watched)
		relids[count++] = ((WatchedRelation *) lfirst(cell))->relid;
	foreach (cell, worker->views)
		foreach (base, ((WorkerView *) lfirst(cell))->view->plan->relations)
			relids[count++] = ((PlanRelation *) lfirst(base))->relid;
	qsort(relids, count, sizeof(Oid), oid_cmp);
	foreach (cell, capture_watch_only(worker->capture, relids, count))
		writers_forget(worker, lfirst_oid(cell));
	pfree(relids);
}

/*
 * Read the catalogs. Returns false if the extension is gone. Runs its own
 * transactions, one per view, so that a view that cannot be planned is in error
 * by itself.
 */
bool
load_catalogs(Worker *worker)
{
	uint32 generation = pg_atomic_read_u32(&worker->database->catalog_generation);
	List *rows = NIL;
	List *known = NIL;
	ListCell *cell;
	MemoryContext old;

	load_pending = load_failed = false;
	StartTransactionCommand();
	if (!catalog_installed())
	{
		CommitTransactionCommand();
		return false;
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	old = MemoryContextSwitchTo(worker->cycle_context);
	foreach (cell, catalog_views())
	{
		ViewRow *row = lfirst(cell);

		if (!row->maintain)
			continue;
		rows = lappend(rows, row);
		known = lappend_oid(known, row->view);
	}
	MemoryContextSwitchTo(old);
	load_watched(worker);
	indexer_catalogs_changed();
	PopActiveSnapshot();
	CommitTransactionCommand();

	frontier_keep_views(worker->database, generation, known);
	load_forget(worker, known);
	foreach (cell, rows)
		load_one(worker, lfirst(cell));
	load_order(worker);
	old = MemoryContextSwitchTo(worker->cycle_context);
	load_unwatch(worker);
	MemoryContextSwitchTo(old);
	if (load_new_file || !load_failed)
		capture_rewind(worker->capture, load_failed);
	load_new_file = false;
	worker->resuming = false;
	worker->generation = generation;
	frontier_set_maintained(worker->database, generation, (uint32) list_length(rows));
	return true;
}
