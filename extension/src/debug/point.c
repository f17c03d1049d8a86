/*-------------------------------------------------------------------------
 *
 * point.c
 *	  Points at which a test can hold a process, to make a race happen.
 *
 * With freshet.debug_points on, a process that comes to a point stays there as
 * long as some session holds the advisory lock
 *
 *		pg_advisory_lock(hashtext('freshet hold'), hashtext(point))
 *
 * of its database. While it stays, it holds the lock of
 * hashtext('freshet held') and the same point, by which pg_locks tells that it
 * has come.
 *
 * A point may be anywhere where no LWLock or spinlock is held, also where an
 * error would be a PANIC: locks are never waited for, and a process that is
 * told to cancel or to end goes on, and obeys where it may. The end of the
 * postmaster ends it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "debug/point.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lock.h"

/* How often a held process looks whether it may go on. */
#define LOOK_INTERVAL_MS 5

bool debug_points = false;

/* hashtext() */
static uint32
point_hash(const char *text)
{
	return hash_bytes((const unsigned char *) text, (int) strlen(text));
}

/* Stay here while somebody holds the point. */
void
debug_point(const char *name)
{
	LOCKTAG hold;
	LOCKTAG held;
	bool free;
	bool waiting = false;

	SET_LOCKTAG_ADVISORY(hold, MyDatabaseId, point_hash("freshet hold"), point_hash(name), 2);
	SET_LOCKTAG_ADVISORY(held, MyDatabaseId, point_hash("freshet held"), point_hash(name), 2);
	for (;;)
	{
		free = LockAcquire(&hold, ShareLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
		if (free || QueryCancelPending || ProcDiePending)
			break;
		if (!waiting)
			waiting = LockAcquire(&held, ShareLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
		(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_INTERVAL_MS,
		                 PG_WAIT_EXTENSION);
	}
	if (free)
		(void) LockRelease(&hold, ShareLock, true);
	if (waiting)
		(void) LockRelease(&held, ShareLock, true);
	CHECK_FOR_INTERRUPTS();
}
