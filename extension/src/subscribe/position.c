/*-------------------------------------------------------------------------
 *
 * position.c
 *	  The cut a subscription is at, and where it can go.
 *
 * The worker publishes a frontier with every cut, and commits those cuts to
 * freshet.cut at which a maintained view or a watched relation changed. So the
 * last committed cut shows what the frontier shows, and a subscription moves
 * from one committed cut to another. The change ring says for less than a
 * microsecond's work whether a move would bring rows.
 *
 * The pin holds one transaction more than the cut needs. Therefore a vacuum
 * horizon never reaches the cut's xmin, and the file that VACUUM FULL or
 * CLUSTER writes (frozen up to that horizon) can be told from one made anew by
 * a later TRUNCATE, ALTER TABLE or REFRESH; see target_file_kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "subscribe/subscription.h"
#include "view/catalog.h"

/* How long a new subscription waits for the worker to take it up. */
#define START_MS 10000

/* How long the frontier may lag behind the cut that was just committed. */
#define PUBLISH_MS 100

/* How often an idle subscription renews its pin and moves forward. */
#define RENEW_MS 400

/* The number of the published frontier, and its time. */
static uint64
position_published(FrontierDatabase *database, int64 *at_ms)
{
	uint64 number;

	SpinLockAcquire(&database->lock);
	number = database->number;
	*at_ms = database->at_ms;
	SpinLockRelease(&database->lock);
	return number;
}

/*
 * There was nothing to read although the frontier had come to this number,
 * which was read before looking for a committed cut.
 */
void
position_nothing(Subscription *subscription, uint64 number)
{
	subscription->pending = false;
	if (number > subscription->seen)
		subscription->seen = number;
}

/* An error if the extension is gone, or has no worker. */
void
position_check(Subscription *subscription)
{
	FrontierDatabase *database = subscription->database;
	TimestampTz left;
	bool gone;
	bool missing;

	SpinLockAcquire(&database->lock);
	gone = database->dboid != MyDatabaseId;
	missing = database->worker_pid == 0;
	left = database->worker_left;
	SpinLockRelease(&database->lock);

	if (gone)
		ereport(ERROR,
		        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		         errmsg("the extension freshet is no longer there"), errhint("Unsubscribe.")));
	if (missing &&
	    TimestampDifferenceExceeds(left, GetCurrentTimestamp(), FRONTIER_WORKER_GRACE_MS))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("freshet's worker is not running in this database"),
		                errhint("See the server's log for the reason.")));
	if (subscription->pin >= 0 && frontier_pin_lost(database, subscription->pin))
		ereport(ERROR,
		        (errcode(ERRCODE_SNAPSHOT_TOO_OLD),
		         errmsg("the subscription to %s has been left behind", target_title(subscription)),
		         errdetail("Its changes were not read for longer than freshet.max_cut_age."),
		         errhint("Subscribe again.")));
}

/* Does the ring know of no change of the target in the cuts (after, upto]? */
static bool
position_unchanged(Subscription *subscription, uint64 after, uint64 upto, bool *unknown)
{
	*unknown = false;
	for (int i = 0; i < subscription->dependency_count; i++)
	{
		Dependency *dependency = &subscription->dependencies[i];
		ItemPointerData *tids;
		int count;

		if (!dependency->stored)
			continue;
		switch (frontier_ring_read(subscription->database, dependency->relation, after, upto, &tids,
		                           &count))
		{
			case FRONTIER_CHANGES_NONE:
				break;
			case FRONTIER_CHANGES_TIDS:
				pfree(tids);
				*unknown = false;
				return false;
			case FRONTIER_CHANGES_UNKNOWN:
				*unknown = true;
				break;
		}
	}
	return !*unknown;
}

/*
 * The last committed cut, in the current memory context, if it is later than
 * the subscription's; else NULL. It is not given out before it is published:
 * only then does the ring hold its changes.
 */
Cut *
position_next(Subscription *subscription)
{
	FrontierDatabase *database = subscription->database;
	uint64 number = frontier_number(database);
	Cut *cut = catalog_cut_read();
	TimestampTz until;
	int64 at_ms;

	if (cut == NULL)
		return NULL;
	subscription->looked = number;
	subscription->last = cut->number;
	if (subscription->cut != NULL && cut->number <= subscription->cut->number)
	{
		cut_free(cut);
		return NULL;
	}
	if (position_published(database, &at_ms) >= cut->number)
		return cut;

	until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PUBLISH_MS);
	ConditionVariablePrepareToSleep(&database->moved);
	while (position_published(database, &at_ms) < cut->number)
	{
		if (GetCurrentTimestamp() >= until)
		{
			cut_free(cut);
			cut = NULL;
			break;
		}
		ConditionVariableTimedSleep(&database->moved, PUBLISH_MS, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	return cut;
}

/*
 * Is the subscription at the last committed cut, as far as that is published?
 * A cut is committed before it is published: while the frontier is where it
 * was when the last one was looked up, there is no later one.
 */
static bool
position_latest(Subscription *subscription)
{
	return subscription->cut->number >= subscription->last &&
	       subscription->looked == frontier_number(subscription->database);
}

/* Let the pin hold what the subscription's cut needs, from now on. */
void
position_renew(Subscription *subscription)
{
	TransactionId xmin = subscription->cut->snapshot->xmin;

	TransactionIdRetreat(xmin);
	if (TransactionIdPrecedes(xmin, subscription->pin_xmin))
		xmin = subscription->pin_xmin;
	frontier_pin_advance(subscription->database, subscription->pin, xmin);
	subscription->pin_xmin = xmin;
	subscription->renewed_at = GetCurrentTimestamp();
}

/* Go to a cut; the caller has given out everything up to it. */
void
position_advance(Subscription *subscription, Cut *cut)
{
	MemoryContext caller = MemoryContextSwitchTo(subscription->context);
	Cut *copy = cut_copy(cut);

	MemoryContextSwitchTo(caller);
	cut_free(subscription->cut);
	subscription->cut = copy;
	if (copy->number > subscription->seen)
		subscription->seen = copy->number;
	subscription->pending = false;
	position_renew(subscription);
}

/*
 * Has the frontier reached this time? It has if its last cut was taken then or
 * later, or if it is that late now and no transaction has ended that the
 * frontier does not show: the next cut can only be later still.
 */
static bool
position_reached(Subscription *subscription, int64 at_ms)
{
	int64 published_ms;
	uint64 completed;

	(void) position_published(subscription->database, &published_ms);
	if (published_ms >= at_ms)
		return true;
	if (cut_now_ms() < at_ms)
		return false;
	completed = frontier_completed_now();
	return frontier_is_fresh(subscription->database, NULL, completed);
}

/* Hold what the worker's slot holds; waits till there is a slot. */
static void
position_pin(Subscription *subscription, TimestampTz until)
{
	FrontierDatabase *database = subscription->database;

	ConditionVariablePrepareToSleep(&database->moved);
	for (;;)
	{
		subscription->pin = frontier_pin(database, &subscription->pin_xmin);
		if (subscription->pin >= 0)
			break;
		position_check(subscription);
		if (GetCurrentTimestamp() >= until)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			                errmsg("freshet's worker has not made its first cut yet"),
			                errhint("Try again later.")));
		ConditionVariableTimedSleep(&database->moved, RENEW_MS, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
}

/* Had the worker taken up all that the target depends on before the cut of this number? */
static bool
position_taken(Subscription *subscription, uint64 number)
{
	for (int i = 0; i < subscription->dependency_count; i++)
	{
		Dependency *dependency = &subscription->dependencies[i];

		if (dependency->stored &&
		    !frontier_watch_taken(subscription->database, dependency->relation, number))
			return false;
	}
	return true;
}

/*
 * May the subscription start from this cut, the last committed one? It may be from
 * before the worker took up the relations; it commits one when it does. After
 * that, what changes them is committed, but for what writers of before have done
 * when they end: then the frontier, if it is later, tells no more than the cut only
 * where the ring knows that. watched_at: a frontier that was published after the
 * relations were watched.
 */
static bool
position_may_start(Subscription *subscription, const Cut *cut, uint64 watched_at)
{
	int64 at_ms;
	uint64 published = position_published(subscription->database, &at_ms);
	bool unknown;

	return position_taken(subscription, cut->number) &&
	       (cut->number > watched_at || cut->number >= published ||
	        position_unchanged(subscription, cut->number, published, &unknown));
}

/* The cut to start from. */
static Cut *
position_first(Subscription *subscription, uint64 watched_at, TimestampTz until)
{
	FrontierDatabase *database = subscription->database;
	Cut *cut;

	ConditionVariablePrepareToSleep(&database->moved);
	for (;;)
	{
		cut = position_next(subscription);
		if (cut != NULL && position_may_start(subscription, cut, watched_at))
			break;
		if (cut != NULL)
			cut_free(cut);
		position_check(subscription);
		if (GetCurrentTimestamp() >= until)
			ereport(
			    ERROR,
			    (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			     errmsg("freshet's worker did not take up \"%s\" in time", subscription->target),
			     errhint("Try again later, or see freshet.views for what holds the worker up.")));
		frontier_wake_worker(database);
		ConditionVariableTimedSleep(&database->moved, PUBLISH_MS, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	return cut;
}

/*
 * Waits till the frontier, and each view that the subscription reads, shows what is
 * committed now: the rows of a view that is behind are older than the cut. A view
 * that fails, or whose locks this very transaction holds, is not waited for.
 */
static void
position_wait_fresh(Subscription *subscription)
{
	uint64 completed = frontier_completed_now();
	FrontierWait outcome = frontier_wait(subscription->database, NULL, completed, START_MS);

	for (int i = 0; outcome != FRONTIER_NO_WORKER && i < subscription->dependency_count; i++)
	{
		Oid relation = subscription->dependencies[i].relation;

		if (subscription->dependencies[i].stored && catalog_view_maintained(relation))
			outcome =
			    frontier_wait(subscription->database, frontier_view(MyDatabaseId, relation, true),
			                  completed, START_MS);
	}
	if (outcome == FRONTIER_NO_WORKER)
		position_check(subscription);
}

/*
 * Find the first cut of a new subscription whose relations are watched: it
 * shows whatever was committed before, but for views that are not waited for.
 */
void
position_start(Subscription *subscription)
{
	FrontierDatabase *database = subscription->database;
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), START_MS);
	int64 at_ms;
	uint64 watched_at = position_published(database, &at_ms);
	int64 start_ms;
	Cut *cut;

	position_wait_fresh(subscription);
	position_pin(subscription, until);
	cut = position_first(subscription, watched_at, until);
	position_advance(subscription, cut);

	(void) position_published(database, &at_ms);
	start_ms = Max(at_ms, cut->at_ms);
	if (subscription->as_of != SUBSCRIPTION_NO_TIME)
	{
		if (subscription->as_of < cut->at_ms)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			                errmsg("AS OF " INT64_FORMAT " is in the past", subscription->as_of),
			                errdetail("The content is known from " INT64_FORMAT
			                          " on; history is not kept.",
			                          cut->at_ms)));
		subscription->early = !position_reached(subscription, subscription->as_of);
		start_ms = subscription->as_of;
	}
	if (subscription->up_to != SUBSCRIPTION_NO_TIME)
	{
		if (subscription->up_to < start_ms)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			                errmsg("UP TO " INT64_FORMAT " is in the past", subscription->up_to),
			                errdetail("The subscription starts at " INT64_FORMAT ".", start_ms)));
		subscription->finished = subscription->up_to == start_ms;
	}
	/* AS OF is included in the snapshot; without one, changes come after it */
	subscription->frontier = subscription->snapshot_due ? start_ms : start_ms + 1;
	cut_free(cut);
}

/* Go along to the next cut, if there is one. */
void
position_follow(Subscription *subscription)
{
	Cut *next = position_next(subscription);

	if (next != NULL)
	{
		position_advance(subscription, next);
		cut_free(next);
	}
}

/* While AS OF lies ahead, go along with the cuts. */
static void
position_wait_as_of(Subscription *subscription)
{
	bool reached = position_reached(subscription, subscription->as_of);

	position_follow(subscription);
	if (reached)
		subscription->early = false;
}

/*
 * Once in a while: move forward over cuts that changed nothing, so that what
 * they superseded can be vacuumed, or at least say that the cut is still in
 * use. Where nothing happens, that needs no look at the catalog, and so neither
 * a snapshot nor a lock.
 */
static void
position_move(Subscription *subscription)
{
	bool unknown;
	Cut *next;

	if (subscription->pending ||
	    !TimestampDifferenceExceeds(subscription->renewed_at, GetCurrentTimestamp(), RENEW_MS))
		return;

	next = position_latest(subscription) ? NULL : position_next(subscription);
	if (next == NULL)
		position_renew(subscription);
	else
	{
		if (position_unchanged(subscription, subscription->cut->number, next->number, &unknown) &&
		    target_files_same(subscription))
			position_advance(subscription, next);
		else
			subscription->pending = true;
		cut_free(next);
	}
}

/*
 * Look how far the frontier has come, and whether there is anything to read.
 * The time is read before the frontier, and the frontier is found unmoved
 * afterwards: then all that was committed by that time has been looked at.
 */
void
position_look(Subscription *subscription)
{
	FrontierDatabase *database = subscription->database;
	int64 now = cut_now_ms();
	uint64 completed = frontier_completed_now();
	int64 at_ms;
	uint64 number = position_published(database, &at_ms);

	if (subscription->finished)
		return;
	if (subscription->early)
	{
		position_wait_as_of(subscription);
		return;
	}
	if (subscription->snapshot_due)
		return;

	if (!subscription->pending && number > subscription->seen)
	{
		bool unknown;

		if (!position_unchanged(subscription, subscription->seen, number, &unknown))
		{
			/* the ring not knowing means something only with a new committed cut */
			Cut *next = unknown ? position_next(subscription) : NULL;

			subscription->pending = !unknown || next != NULL;
			if (next != NULL)
				cut_free(next);
		}
		if (!subscription->pending)
			subscription->seen = number;
	}
	position_move(subscription);

	if (!subscription->pending)
	{
		int64 latest_ms;
		bool fresh = frontier_is_fresh(database, NULL, completed);

		if (at_ms + 1 > subscription->frontier)
			subscription->frontier = at_ms + 1;
		if (fresh && now > subscription->frontier &&
		    position_published(database, &latest_ms) == number)
			subscription->frontier = now;
	}
	if (subscription->up_to != SUBSCRIPTION_NO_TIME && !subscription->pending &&
	    subscription->frontier >= subscription->up_to)
		subscription->finished = true;
}

/* Would reading bring anything, as far as one has looked? */
bool
position_ready(Subscription *subscription)
{
	if (subscription->finished || subscription->early)
		return false;
	if (subscription->snapshot_due)
		return true;
	return subscription->pending &&
	       (subscription->not_before == 0 || GetCurrentTimestamp() >= subscription->not_before);
}
