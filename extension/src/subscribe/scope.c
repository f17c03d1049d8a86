/*-------------------------------------------------------------------------
 *
 * scope.c
 *	  Locks given back before the transaction ends.
 *
 * A subscription must not keep others from altering or dropping what it reads
 * while it is idle, also inside a transaction block. What needs locks runs
 * under a resource owner of its own, and that owner's locks are released with
 * it. After an error the transaction's abort releases the owner with all its
 * siblings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "subscribe/subscription.h"

/* Start a scope. */
void
scope_enter(Scope *scope)
{
	scope->outer = CurrentResourceOwner;
	scope->owner = ResourceOwnerCreate(scope->outer, "freshet subscription");
	CurrentResourceOwner = scope->owner;
}

/*
 * End a scope: its locks are released, not handed to the surrounding one.
 * Everything else must have been released already.
 */
void
scope_leave(Scope *scope)
{
	CurrentResourceOwner = scope->outer;
	ResourceOwnerRelease(scope->owner, RESOURCE_RELEASE_BEFORE_LOCKS, true, false);
	ResourceOwnerRelease(scope->owner, RESOURCE_RELEASE_LOCKS, false, false);
	ResourceOwnerRelease(scope->owner, RESOURCE_RELEASE_AFTER_LOCKS, true, false);
	ResourceOwnerDelete(scope->owner);
}
