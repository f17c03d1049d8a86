/*-------------------------------------------------------------------------
 *
 * cut.c
 *	  Taking a cut, keeping it beyond its transaction, and reading under it.
 *
 * A snapshot does not outlive its transaction by itself: the rows it sees are
 * kept by the slot's xmin (retention.c), and pg_subtrans may be truncated or
 * zeroed under it. Therefore a cut's snapshot lists every running transaction
 * and subtransaction in one array and is never overflowed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/subtrans.h"
#include "access/transam.h"
#include "access/xact.h"
#include "cut/cut.h"
#include "cut/wal.h"
#include "debug/point.h"
#include "lib/qunique.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/memdebug.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* From 1970 to the beginning of PostgreSQL's time. */
#define EPOCH_DIFFERENCE_MS                                                                        \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000)

/* TransactionXmin of the surrounding transaction, while a cut is pushed. */
static TransactionId saved_transaction_xmin = InvalidTransactionId;
static int pushed = 0;

/* Order xids by value, for duplicate removal only. */
static int
xid_compare(const void *left, const void *right)
{
	TransactionId a = *(const TransactionId *) left;
	TransactionId b = *(const TransactionId *) right;

	return a < b ? -1 : a > b;
}

/*
 * Make a snapshot in the current memory context in which exactly the listed
 * transactions, and those from xmax on, are invisible.
 *
 * copied is false, so that the snapshot manager works on copies of its own and
 * never frees ours. Its age is that of the snapshot it is made from: with
 * old_snapshot_threshold, rows that an old one sees are removed.
 */
static Snapshot
snapshot_make(Snapshot source, TransactionId xmax, const TransactionId *running, int count)
{
	Snapshot snapshot = palloc0(sizeof(SnapshotData) + count * sizeof(TransactionId));

	snapshot->snapshot_type = SNAPSHOT_MVCC;
	snapshot->xmax = xmax;
	snapshot->xmin = xmax;
	snapshot->xip = (TransactionId *) (snapshot + 1);
	for (int i = 0; i < count; i++)
	{
		if (!TransactionIdPrecedes(running[i], xmax))
			continue;
		snapshot->xip[snapshot->xcnt++] = running[i];
		if (TransactionIdPrecedes(running[i], snapshot->xmin))
			snapshot->xmin = running[i];
	}
	snapshot->curcid = FirstCommandId;
	snapshot->whenTaken = source->whenTaken;
	snapshot->lsn = source->lsn;
	return snapshot;
}

/* What is known of an overflowed snapshot, for the next one. */
static TransactionId *resolved = NULL;
static int resolved_count = 0;
static TransactionId resolved_xmax = InvalidTransactionId;

/*
 * Append those of the xids from begin to before end that run in a snapshot.
 *
 * A subtransaction has an xid a moment before pg_subtrans has its parent, and
 * until then does not look as if it ran. What has not ended runs, whatever is
 * said of its parent; and what has ended had its parent there, so that is asked
 * for first.
 */
static TransactionId *
snapshot_running(Snapshot source, TransactionId begin, TransactionId end, TransactionId *running,
                 int *count, int *capacity)
{
	for (TransactionId xid = begin; TransactionIdPrecedes(xid, end);)
	{
		CHECK_FOR_INTERRUPTS();
		if (!(TransactionIdDidCommit(xid) || TransactionIdDidAbort(xid)) ||
		    XidInMVCCSnapshot(xid, source))
		{
			if (*count == *capacity)
			{
				*capacity *= 2;
				running = repalloc_huge(running, *capacity * sizeof(TransactionId));
			}
			running[(*count)++] = xid;
		}
		TransactionIdAdvance(xid);
	}
	return running;
}

/*
 * The running transactions and subtransactions of an overflowed snapshot, added
 * to its transactions. Through pg_subtrans, which still covers everything from
 * the snapshot's xmin on as long as the surrounding transaction holds that
 * xmin.
 *
 * What did not run in an earlier snapshot of ours, and had begun before it,
 * does not run in this one: of the xids before that only those that did are
 * asked for.
 */
static TransactionId *
snapshot_overflowed(Snapshot source, TransactionId *running, int *count, int *capacity)
{
	TransactionId begin = source->xmin;

	if (TransactionIdIsValid(resolved_xmax) && TransactionIdPrecedes(begin, resolved_xmax) &&
	    TransactionIdPrecedesOrEquals(resolved_xmax, source->xmax))
	{
		for (int i = 0; i < resolved_count; i++)
		{
			TransactionId next = resolved[i];

			TransactionIdAdvance(next);
			if (TransactionIdFollowsOrEquals(resolved[i], begin))
				running = snapshot_running(source, resolved[i], next, running, count, capacity);
		}
		begin = resolved_xmax;
	}
	running = snapshot_running(source, begin, source->xmax, running, count, capacity);
	qsort(running, *count, sizeof(TransactionId), xid_compare);
	*count = qunique(running, *count, sizeof(TransactionId), xid_compare);

	resolved_xmax = InvalidTransactionId;
	if (resolved != NULL)
		pfree(resolved);
	resolved = NULL;
	resolved = MemoryContextAllocHuge(TopMemoryContext, Max(*count, 1) * sizeof(TransactionId));
	memcpy(resolved, running, *count * sizeof(TransactionId));
	resolved_count = *count;
	resolved_xmax = source->xmax;
	return running;
}

/*
 * Copy a snapshot that the snapshot manager gave us, every running
 * subtransaction included.
 */
static Snapshot
snapshot_resolve(Snapshot source)
{
	int capacity = source->xcnt + Max(source->subxcnt, 0) + 16;
	TransactionId *running = palloc(capacity * sizeof(TransactionId));
	int count = source->xcnt;
	Snapshot result;

	memcpy(running, source->xip, source->xcnt * sizeof(TransactionId));
	if (!source->suboverflowed)
	{
		memcpy(running + count, source->subxip, source->subxcnt * sizeof(TransactionId));
		count += source->subxcnt;
	}
	else
		running = snapshot_overflowed(source, running, &count, &capacity);

	result = snapshot_make(source, source->xmax, running, count);
	if (TransactionIdPrecedes(source->xmin, result->xmin))
		result->xmin = source->xmin;
	pfree(running);
	return result;
}

/* Milliseconds since 1970. */
int64
cut_now_ms(void)
{
	return GetCurrentTimestamp() / 1000 + EPOCH_DIFFERENCE_MS;
}

/* Milliseconds since 1970 as a timestamp. */
TimestampTz
cut_timestamp(int64 at_ms)
{
	return (at_ms - EPOCH_DIFFERENCE_MS) * 1000;
}

/*
 * Take a cut now, in the current memory context.
 *
 * The snapshot comes first and the WAL position after it: every transaction
 * visible in the snapshot then has all its records before the position.
 * restart_lsn is set by the capture, which knows the running transactions.
 * Its time is now's, or least_ms if that is later.
 */
Cut *
cut_take(uint64 number, int64 least_ms)
{
	Cut *cut = palloc0(sizeof(Cut));
	Snapshot latest = GetLatestSnapshot();
	int64 now = cut_now_ms();

	cut->number = number;
	cut->current = true;
	cut->completed = latest->snapXactCompletionCount;
	cut->snapshot = snapshot_resolve(latest);
	DEBUG_POINT("cut");
	cut->lsn = wal_end();
	cut->restart_lsn = cut->lsn;
	cut->at_ms = Max(now, least_ms);
	return cut;
}

/* Copy a cut into the current memory context. */
Cut *
cut_copy(const Cut *cut)
{
	Cut *copy = palloc(sizeof(Cut));

	*copy = *cut;
	copy->snapshot =
	    snapshot_make(cut->snapshot, cut->snapshot->xmax, cut->snapshot->xip, cut->snapshot->xcnt);
	copy->snapshot->xmin = cut->snapshot->xmin;
	copy->current = false;
	copy->behind = copy->unsettled = NULL;
	if (cut->behind_count > 0)
	{
		copy->behind = palloc(cut->behind_count * sizeof(Oid));
		memcpy(copy->behind, cut->behind, cut->behind_count * sizeof(Oid));
	}
	if (cut->unsettled_count > 0)
	{
		copy->unsettled = palloc(cut->unsettled_count * sizeof(Oid));
		memcpy(copy->unsettled, cut->unsettled, cut->unsettled_count * sizeof(Oid));
	}
	return copy;
}

/* Free a cut and its snapshot. */
void
cut_free(Cut *cut)
{
	if (cut == NULL)
		return;
	pfree(cut->snapshot);
	if (cut->behind)
		pfree(cut->behind);
	if (cut->unsettled)
		pfree(cut->unsettled);
	pfree(cut);
}

/*
 * Make the current transaction, and its subtransactions committed so far,
 * visible in the cut: what it wrote is the views' content at this cut. Call it
 * when nothing more will be written. Transactions that began after the
 * snapshot and before ours stay invisible.
 */
void
cut_include_own_transaction(Cut *cut)
{
	TransactionId top = GetTopTransactionIdIfAny();
	Snapshot old = cut->snapshot;
	TransactionId *children;
	int child_count;
	TransactionId *own;
	int own_count = 0;
	TransactionId newest;
	TransactionId *running;
	int count = 0;
	int gap;
	MemoryContext context = MemoryContextSwitchTo(GetMemoryChunkContext(cut));

	if (!TransactionIdIsValid(top))
	{
		MemoryContextSwitchTo(context);
		return;
	}

	child_count = xactGetCommittedChildren(&children);
	own = palloc((child_count + 1) * sizeof(TransactionId));
	own[own_count++] = top;
	newest = top;
	for (int i = 0; i < child_count; i++)
	{
		own[own_count++] = children[i];
		if (TransactionIdFollows(children[i], newest))
			newest = children[i];
	}

	gap = TransactionIdFollowsOrEquals(newest, old->xmax) ? (int) (newest - old->xmax) + 1 : 0;
	running = palloc_extended((old->xcnt + gap) * sizeof(TransactionId) + 1, MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < old->xcnt; i++)
	{
		bool is_own = false;

		for (int j = 0; j < own_count && !is_own; j++)
			is_own = old->xip[i] == own[j];
		if (!is_own)
			running[count++] = old->xip[i];
	}
	if (gap > 0)
	{
		TransactionId end = newest;

		TransactionIdAdvance(end);
		for (TransactionId xid = old->xmax; xid != end;)
		{
			bool is_own = false;

			for (int j = 0; j < own_count && !is_own; j++)
				is_own = xid == own[j];
			if (!is_own)
				running[count++] = xid;
			TransactionIdAdvance(xid);
		}
		cut->snapshot = snapshot_make(old, end, running, count);
	}
	else
		cut->snapshot = snapshot_make(old, old->xmax, running, count);

	pfree(running);
	pfree(own);
	pfree(old);
	MemoryContextSwitchTo(context);
}

/* The cut's snapshot as bytes, for freshet.cut. */
bytea *
cut_serialize_snapshot(const Cut *cut)
{
	Size size = EstimateSnapshotSpace(cut->snapshot);
	bytea *result = palloc(VARHDRSZ + size);

	SET_VARSIZE(result, VARHDRSZ + size);
	SerializeSnapshot(cut->snapshot, VARDATA(result));
	/* what it writes has padding in it */
	VALGRIND_MAKE_MEM_DEFINED(VARDATA(result), size);
	return result;
}

/* The reverse of cut_serialize_snapshot, in the current memory context. */
Snapshot
cut_restore_snapshot(const bytea *serialized)
{
	Snapshot restored;
	Snapshot result;

	if (VARSIZE_ANY_EXHDR(serialized) < 24)
		ereport(ERROR,
		        (errcode(ERRCODE_DATA_CORRUPTED), errmsg("stored snapshot of a cut is too short")));
	restored = RestoreSnapshot(VARDATA_ANY(serialized));
	result = snapshot_make(restored, restored->xmax, restored->xip, restored->xcnt);
	result->xmin = restored->xmin;
	pfree(restored);
	return result;
}

/*
 * Make the cut's snapshot the active one. What it sees must be retained by the
 * slot or a pin. TransactionXmin goes back with it, for subtransaction
 * look-ups and for indexes that are not yet usable for old snapshots.
 */
void
cut_push(const Cut *cut)
{
	if (pushed++ == 0)
		saved_transaction_xmin = TransactionXmin;
	PushActiveSnapshot(cut->snapshot);
	if (cut->current)
		UpdateActiveSnapshotCommandId();
	if (!TransactionIdIsValid(TransactionXmin) ||
	    TransactionIdPrecedes(cut->snapshot->xmin, TransactionXmin))
		TransactionXmin = cut->snapshot->xmin;
}

/* May rows that the cut shows be gone already (old_snapshot_threshold)? */
bool
cut_too_old(const Cut *cut)
{
	return old_snapshot_threshold >= 0 &&
	       cut->snapshot->whenTaken < GetOldSnapshotThresholdTimestamp();
}

/* Undo cut_push. Not called when an error unwinds; see cut_reset. */
void
cut_pop(void)
{
	PopActiveSnapshot();
	if (--pushed == 0)
		TransactionXmin = saved_transaction_xmin;
}

/* Forget pushed cuts after an error: the transaction's abort popped them. */
void
cut_reset(void)
{
	pushed = 0;
}

/* Is a cut's snapshot active? */
bool
cut_pushed(void)
{
	return pushed > 0;
}
