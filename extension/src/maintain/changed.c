/*-------------------------------------------------------------------------
 *
 * changed.c
 *	  What changed from one cut to the next: whom it concerns, and its rows.
 *
 * The rows of a relation are read once for all views and subscribers. Of a load
 * that was looked at while it ran, views that have folded its rows follow the
 * *rest*: the same change without what was taken ahead.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "maintain/worker.h"
#include "maintain/yield.h"
#include "storage/lmgr.h"
#include "utils/rel.h"

/* Does any of the view's relations appear among the changes? */
bool
changed_concerns(MaintainedView *view, List *changes)
{
	ListCell *cell;
	ListCell *base;

	if (view->plan->blind)
		return true;
	foreach (cell, changes)
	{
		RelationChange *change = lfirst(cell);

		foreach (base, view->plan->relations)
			if (((PlanRelation *) lfirst(base))->relid == change->relid)
				return true;
	}
	return false;
}

/* The changes but those of views: what we write ourselves is known from writing it. */
List *
changed_by_others(Worker *worker, List *changes)
{
	ListCell *cell;
	ListCell *other;

	foreach (cell, changes)
		foreach (other, worker->views)
			if (((WorkerView *) lfirst(other))->view->view ==
			    ((RelationChange *) lfirst(cell))->relid)
			{
				changes = foreach_delete_current(changes, cell);
				break;
			}
	return changes;
}

/* Read one change, if the relation is what it was when the WAL told of it. */
static void
changed_read_one(Worker *worker, ViewCycle *cycle, RelationChange *change,
                 QueryEnvironment *environment)
{
	RelFileNode watched;
	Relation relation;

	/* locked by another: then by none of the views that are to follow */
	if (!yield_lock(change->relid, AccessShareLock) ||
	    (relation = try_relation_open(change->relid, NoLock)) == NULL)
	{
		change->whole = true;
		return;
	}
	if (!capture_watches(worker->capture, change->relid, &watched) ||
	    !RelFileNodeEquals(watched, relation->rd_node))
		change->whole = true;
	else
	{
		change_read(change, relation, cycle->old_cut->snapshot, cycle->new_cut->snapshot);
		/* asked when all is read: what had been removed by then may have been needed */
		if (cut_too_old(cycle->old_cut))
		{
			change_free(change);
			change->whole = true;
		}
		else
			delta_register_change(environment, change);
	}
	relation_close(relation, NoLock);
}

/*
 * Of this change, rows were taken ahead: does some view have them folded
 * already (*folded), and does anybody need all of them one by one?
 */
static bool
changed_needs_rows(Worker *worker, RelationChange *change, List *todo, bool *folded)
{
	bool result = false;
	ListCell *cell;

	*folded = false;
	foreach (cell, worker->watched)
		result |= ((WatchedRelation *) lfirst(cell))->relid == change->relid;
	foreach (cell, todo)
	{
		MaintainedView *view = ((WorkerView *) lfirst(cell))->view;

		if (!changed_concerns(view, list_make1(change)))
			continue;
		if (ahead_groups(view, change) != NIL)
			*folded = true;
		else
			result = true;
	}
	return result;
}

/* Read the changes of relations that views look at. */
void
changed_read(Worker *worker, ViewCycle *cycle, List *todo)
{
	ListCell *cell;

	foreach (cell, cycle->changes)
	{
		RelationChange *change = lfirst(cell);

		if (change->read || change->whole)
			continue;
		if (change->ahead != NIL)
		{
			bool folded;
			bool needed = changed_needs_rows(worker, change, todo, &folded);

			if (folded)
			{
				RelationChange *rest = palloc(sizeof(RelationChange));

				*rest = *change;
				changed_read_one(worker, cycle, rest, cycle->rest_environment);
				cycle->rest = lappend(cycle->rest, rest);
			}
			if (!needed)
				continue;
			change_add_ahead(change);
		}
		changed_read_one(worker, cycle, change, cycle->environment);
	}
}

/*
 * Has the view folded what was taken ahead of a change? Then it follows the
 * rest.
 */
bool
changed_follows_rest(MaintainedView *view, ViewCycle *cycle)
{
	ListCell *cell;

	foreach (cell, cycle->rest)
	{
		RelationChange *rest = lfirst(cell);

		if (rest->read && changed_concerns(view, list_make1(rest)) &&
		    ahead_groups(view, rest) != NIL)
			return true;
	}
	return false;
}

/* Let a view follow the rest of the changes. */
bool
changed_follow_rest(MaintainedView *view, ViewCycle *cycle, ViewOutcome *outcome)
{
	ViewCycle rest = *cycle;
	bool followed;

	rest.changes = cycle->rest;
	rest.environment = cycle->rest_environment;
	delta_set_changes(rest.changes);
	followed = view_follow(view, &rest, outcome);
	delta_set_changes(cycle->changes);
	return followed;
}

/* Put the changes of relations that subscribers watch into the ring. */
void
changed_ring(List *changes)
{
	ListCell *cell;

	foreach (cell, changes)
	{
		RelationChange *change = lfirst(cell);

		if (change->whole || !change->read)
		{
			frontier_ring_whole(change->relid);
			continue;
		}
		frontier_ring_add(change->relid, change->plus_tids, (int) change->plus_count);
		frontier_ring_add(change->relid, change->minus_tids, (int) change->minus_count);
	}
}

/*
 * Do relations that subscribers watch need a committed cut: because they
 * changed, were taken up, or became fully known?
 */
bool
changed_watched(Worker *worker, List *changes)
{
	bool result = false;
	ListCell *cell;
	ListCell *other;

	foreach (cell, worker->watched)
	{
		WatchedRelation *watched = lfirst(cell);

		foreach (other, changes)
			result |= ((RelationChange *) lfirst(other))->relid == watched->relid;
		/* what was written unseen is unknown, and places in another file mean nothing */
		if (watched->unsettled || watched->fresh || watched->untaken)
			frontier_ring_whole(watched->relid);
		result |= watched->fresh || watched->untaken;
	}
	return result;
}
