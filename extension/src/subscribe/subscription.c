/*-------------------------------------------------------------------------
 *
 * subscription.c
 *	  The subscriptions of this backend: how they begin and end.
 *
 * A subscription made inside a transaction block ends with that transaction,
 * any other with freshet.unsubscribe or the session. The abort of the
 * (sub)transaction that made it always removes it. Pins and watches are given
 * back here; when the backend exits, frontier.c does it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "subscribe/subscription.h"

static dlist_head subscriptions = DLIST_STATIC_INIT(subscriptions);
static bool subscription_callbacks = false;

/* The subscription of this name; an error if there is none. */
Subscription *
subscription_find(const char *name)
{
	dlist_iter iterator;

	dlist_foreach(iterator, &subscriptions)
	{
		Subscription *subscription = dlist_container(Subscription, link, iterator.cur);

		if (strcmp(subscription->name, name) == 0)
			return subscription;
	}

	ereport(ERROR,
	        (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("subscription \"%s\" does not exist", name),
	         errdetail("A subscription made inside a transaction block ends with it.")));
}

/* End of a transaction: subscriptions end, or stay for good. */
static void
subscription_transaction_end(XactEvent event, void *arg)
{
	bool aborted = event == XACT_EVENT_ABORT;
	dlist_mutable_iter iterator;

	if (!aborted && event != XACT_EVENT_COMMIT && event != XACT_EVENT_PREPARE)
		return;

	dlist_foreach_modify(iterator, &subscriptions)
	{
		Subscription *subscription = dlist_container(Subscription, link, iterator.cur);

		subscription->in_use = false;
		if (subscription->in_block || (aborted && subscription->created != InvalidSubTransactionId))
			subscription_drop(subscription);
		else
			subscription->created = InvalidSubTransactionId;
	}
}

/* End of a subtransaction: what it made ends with it, or becomes its parent's. */
static void
subscription_subtransaction_end(SubXactEvent event, SubTransactionId own, SubTransactionId parent,
                                void *arg)
{
	dlist_mutable_iter iterator;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;

	dlist_foreach_modify(iterator, &subscriptions)
	{
		Subscription *subscription = dlist_container(Subscription, link, iterator.cur);

		if (event == SUBXACT_EVENT_ABORT_SUB)
			subscription->in_use = false;
		if (subscription->created != own)
			continue;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			subscription_drop(subscription);
		else
			subscription->created = parent;
	}
}

/* A relation's definition may have changed (or, InvalidOid, that of any). */
static void
subscription_relation_changed(Datum arg, Oid relation)
{
	dlist_iter iterator;

	dlist_foreach(iterator, &subscriptions)
	{
		Subscription *subscription = dlist_container(Subscription, link, iterator.cur);

		if (OidIsValid(relation) && !subscription_depends(subscription, relation))
			continue;
		subscription->altered = true;
		subscription->altered_relation = relation;
	}
}

/*
 * The role that subscribes. A subscription outlives the function that makes it: one that
 * runs as somebody else, its definer, lends the session's role nothing.
 */
static Oid
subscription_role(void)
{
	if (InSecurityRestrictedOperation())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		                errmsg("cannot subscribe within security-restricted operation")));
	return InLocalUserIdChange() ? GetOuterUserId() : GetUserId();
}

/* A new subscription without a target. It is known from here on. */
Subscription *
subscription_create(const char *name)
{
	MemoryContext context;
	Subscription *subscription;
	dlist_iter iterator;

	if (name[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
		                errmsg("the name of a subscription must not be empty")));
	dlist_foreach(iterator, &subscriptions)
	{
		if (strcmp(dlist_container(Subscription, link, iterator.cur)->name, name) == 0)
			ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
			                errmsg("subscription \"%s\" already exists", name)));
	}

	if (!subscription_callbacks)
	{
		RegisterXactCallback(subscription_transaction_end, NULL);
		RegisterSubXactCallback(subscription_subtransaction_end, NULL);
		CacheRegisterRelcacheCallback(subscription_relation_changed, (Datum) 0);
		subscription_callbacks = true;
	}

	context = AllocSetContextCreate(TopMemoryContext, "freshet subscription", ALLOCSET_SMALL_SIZES);
	subscription = MemoryContextAllocZero(context, sizeof(Subscription));
	subscription->context = context;
	subscription->name = MemoryContextStrdup(context, name);
	subscription->created = GetCurrentSubTransactionId();
	subscription->in_block = IsTransactionBlock();
	subscription->user = subscription_role();
	subscription->pin = -1;
	subscription->rows = -1;
	subscription->as_of = SUBSCRIPTION_NO_TIME;
	subscription->up_to = SUBSCRIPTION_NO_TIME;
	dlist_push_tail(&subscriptions, &subscription->link);
	return subscription;
}

/* End a subscription. Called at abort as well: nothing here can fail. */
void
subscription_drop(Subscription *subscription)
{
	dlist_delete(&subscription->link);
	if (subscription->pin >= 0)
		frontier_unpin(subscription->database, subscription->pin);
	for (int i = 0; i < subscription->dependency_count; i++)
	{
		if (subscription->dependencies[i].stored)
			frontier_unwatch(subscription->database, subscription->dependencies[i].relation);
	}
	if (subscription->query != NULL)
		DropCachedPlan(subscription->query);
	MemoryContextDelete(subscription->context);
}

/*
 * A call starts to read the subscription. What it reads may run functions of
 * others, which must not end or advance it meanwhile.
 */
void
subscription_use(Subscription *subscription)
{
	if (subscription->in_use)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
		                errmsg("subscription \"%s\" is being read", subscription->name)));
	subscription->in_use = true;
}

/* The call is over; after an error the transaction's end does this. */
void
subscription_release(Subscription *subscription)
{
	subscription->in_use = false;
}

/* Does the subscription's target depend on this relation? */
bool
subscription_depends(Subscription *subscription, Oid relation)
{
	for (int i = 0; i < subscription->dependency_count; i++)
	{
		if (subscription->dependencies[i].relation == relation)
			return true;
	}
	return false;
}

/* The target depends on this relation; watch it if it has rows of its own. */
void
subscription_depend(Subscription *subscription, Oid relation, char relkind, Oid filenode)
{
	Dependency *dependency;
	bool stored = relkind == RELKIND_RELATION || relkind == RELKIND_MATVIEW;
	Size size = sizeof(Dependency) * (subscription->dependency_count + 1);

	if (subscription_depends(subscription, relation))
		return;
	subscription->dependencies = subscription->dependencies == NULL
	                                 ? MemoryContextAlloc(subscription->context, size)
	                                 : repalloc(subscription->dependencies, size);
	if (stored)
		frontier_watch(subscription->database, relation);

	dependency = &subscription->dependencies[subscription->dependency_count++];
	dependency->relation = relation;
	dependency->name = MemoryContextStrdup(subscription->context, get_rel_name(relation));
	dependency->stored = stored;
	dependency->filenode = filenode;
}
