/*-------------------------------------------------------------------------
 *
 * yield.c
 *	  What ends a cycle early: others who wait for its locks, and the end of
 *	  the postmaster.
 *
 * A cycle may run a query for long, and holds locks on what the query reads
 * until it is done. Like autovacuum it gives way to whoever has waited for one
 * of them for deadlock_timeout: the query is cancelled, the views are tried again later.
 * And while it runs it does not come to wait for its latch, where a process
 * learns that the postmaster has died; yet no server can start on the
 * database before the last process of the old one has gone.
 *
 * Both are looked for by a timer, in its signal handler. So nothing there may
 * need a lock: PostgreSQL's list of processes is read as it is. Who is taken for one who
 * waits and is not costs a repeated cycle; who is missed is seen the next time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "maintain/yield.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/pmsignal.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#define LOOK_INTERVAL_MS 500

/* A lock the running cycle holds. */
typedef struct YieldLock
{
	Oid relation;
	LOCKMODE mode;
} YieldLock;

static YieldLock *yield_locks = NULL;
static volatile int yield_count = 0; /* the handler looks at no more */
static int yield_room = 0;
static volatile bool yield_asked = false;

/* Would a lock like this one have to wait for us? */
static bool
yield_blocks(const LOCKTAG *tag, LOCKMODE mode)
{
	if (tag->locktag_type != LOCKTAG_RELATION || tag->locktag_field1 != MyDatabaseId)
		return false;
	for (int i = 0; i < yield_count; i++)
		if (yield_locks[i].relation == tag->locktag_field2 &&
		    DoLockModesConflict(mode, yield_locks[i].mode))
			return true;
	return false;
}

/* Has anybody waited for one of our locks for long? */
static bool
yield_waited_for(void)
{
	TimestampTz now = GetCurrentTimestamp();

	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
	{
		PGPROC *proc = &ProcGlobal->allProcs[i];
		LOCK *lock = *(LOCK *volatile *) &proc->waitLock;
		TimestampTz since = (TimestampTz) pg_atomic_read_u64(&proc->waitStart);
		LOCKTAG tag;

		if (lock == NULL || since == 0 || !TimestampDifferenceExceeds(since, now, DeadlockTimeout))
			continue;
		tag = lock->tag;
		if (yield_blocks(&tag, proc->waitLockMode))
			return true;
	}
	return false;
}

/* The timer's handler. */
static void
yield_look(void)
{
	if (!PostmasterIsAlive())
		ProcDiePending = InterruptPending = true;
	else if (yield_count > 0 && !yield_asked && yield_waited_for())
	{
		yield_asked = true;
		QueryCancelPending = InterruptPending = true;
	}
}

/* Look from now on, as long as this process lives. */
void
yield_initialize(void)
{
	TimeoutId timer = RegisterTimeout(USER_TIMEOUT, yield_look);

	enable_timeout_every(timer,
	                     TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOOK_INTERVAL_MS),
	                     LOOK_INTERVAL_MS);
}

/* Take a lock for the running cycle, unless one would have to wait for it. */
bool
yield_lock(Oid relation, LOCKMODE mode)
{
	int count = yield_count;

	if (!ConditionalLockRelationOid(relation, mode))
		return false;
	if (count == yield_room)
	{
		int room = Max(64, 2 * count);

		/* the handler must not look while the array moves */
		yield_count = 0;
		pg_compiler_barrier();
		yield_locks = yield_locks == NULL
		                  ? MemoryContextAlloc(TopMemoryContext, room * sizeof(YieldLock))
		                  : repalloc(yield_locks, room * sizeof(YieldLock));
		yield_room = room;
	}
	yield_locks[count].relation = relation;
	yield_locks[count].mode = mode;
	pg_compiler_barrier();
	yield_count = count + 1;
	return true;
}

/*
 * The cycle has ended, one way or the other, and its locks are released. Was it
 * asked to give way? Then what is left of that is taken back.
 */
bool
yield_end(void)
{
	bool asked;

	yield_count = 0;
	pg_compiler_barrier();
	asked = yield_asked;
	yield_asked = false;
	if (asked)
		QueryCancelPending = false;
	return asked;
}
