/*-------------------------------------------------------------------------
 *
 * pending.c
 *	  The places that transactions touched, until a cut shows them.
 *
 * Places are made unique whenever their array would grow, so memory is bounded
 * by the distinct places a running transaction touched.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "common/hashfn.h"
#include "cut/pending.h"
#include "lib/qunique.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* The table of pending transactions is made smaller when it is that big, and that empty. */
#define PENDING_LARGE 1024
#define PENDING_SPARSE 16

#define SH_PREFIX transaction
#define SH_ELEMENT_TYPE PendingTransaction
#define SH_KEY_TYPE TransactionId
#define SH_KEY xid
#define SH_HASH_KEY(tb, key) murmurhash32(key)
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

#define PLACE_INDEX(place) ((uint16) ((place) >> 48))
#define PLACE_BLOCK(place) ((BlockNumber) ((place) >> 16))
#define PLACE_OFFSET(place) ((OffsetNumber) (place))

/* Nothing pending yet; all of it lives in the memory context. */
Pending *
pending_create(MemoryContext context)
{
	Pending *pending = MemoryContextAllocZero(context, sizeof(Pending));

	pending->context = context;
	pending->transactions = transaction_create(context, 64, NULL);
	pending->collected_capacity = 64;
	pending->collected =
	    MemoryContextAlloc(context, pending->collected_capacity * sizeof(TransactionId));
	return pending;
}

/* Order places: by relation, block and offset. */
static int
place_compare(const void *left, const void *right)
{
	uint64 a = *(const uint64 *) left;
	uint64 b = *(const uint64 *) right;

	return a < b ? -1 : a > b;
}

/* Sort an array of places and drop duplicates; returns how many are left. */
static int
places_unique(uint64 *places, int count)
{
	if (count < 2)
		return count;
	qsort(places, count, sizeof(uint64), place_compare);
	return qunique(places, count, sizeof(uint64), place_compare);
}

/* Remember a place under the transaction that touched it. */
void
pending_add(PendingTransaction *entry, uint64 place)
{
	if (entry->count > 0 && entry->places[entry->count - 1] == place)
		return;
	if (entry->count == entry->capacity)
	{
		entry->count = places_unique(entry->places, entry->count);
		if (entry->count > entry->capacity / 2)
		{
			entry->capacity *= 2;
			entry->places = repalloc_huge(entry->places, (Size) entry->capacity * sizeof(uint64));
		}
	}
	entry->places[entry->count++] = place;
}

/* The pending entry of the record's transaction. */
PendingTransaction *
pending_transaction(Pending *pending, TransactionId xid, XLogRecPtr lsn)
{
	bool found;
	PendingTransaction *entry = transaction_insert(pending->transactions, xid, &found);

	if (!found)
	{
		entry->collected = false;
		entry->first_lsn = lsn;
		entry->count = 0;
		entry->capacity = 8;
		entry->places = MemoryContextAlloc(pending->context, entry->capacity * sizeof(uint64));
	}
	return entry;
}

/* What is taken ahead of a transaction and a relation, or NULL. */
Ahead *
pending_find_ahead(Pending *pending, TransactionId xid, uint16 index)
{
	ListCell *cell;

	foreach (cell, pending->ahead)
	{
		Ahead *ahead = lfirst(cell);

		if (ahead->xid == xid && ahead->index == index)
			return ahead;
	}
	return NULL;
}

/* Begin to take the rows of a transaction and a relation ahead. */
Ahead *
pending_add_ahead(Pending *pending, TransactionId xid, Oid relid, RelFileNode node, uint16 index)
{
	MemoryContext old = MemoryContextSwitchTo(pending->context);
	Ahead *ahead = ahead_create(pending->context, xid, relid, node, index);

	pending->ahead = lappend(pending->ahead, ahead);
	MemoryContextSwitchTo(old);
	return ahead;
}

/* A version was removed, or written by a record that is not taken ahead. */
void
pending_touch(Pending *pending, uint16 index, BlockNumber block, OffsetNumber offset)
{
	ListCell *cell;

	foreach (cell, pending->ahead)
	{
		Ahead *ahead = lfirst(cell);

		if (ahead->index == index)
			ahead_touch(ahead, block, offset);
	}
}

/* Nothing that was taken ahead counts. */
void
pending_spoil_ahead(Pending *pending)
{
	ListCell *cell;

	foreach (cell, pending->ahead)
		ahead_spoil(lfirst(cell));
}

/* Set used[index] of the relations of which something is pending. */
void
pending_mark_indexes(Pending *pending, bool *used)
{
	transaction_iterator iterator;
	PendingTransaction *entry;
	ListCell *cell;

	transaction_start_iterate(pending->transactions, &iterator);
	while ((entry = transaction_iterate(pending->transactions, &iterator)) != NULL)
		for (int i = 0; i < entry->count; i++)
			used[PLACE_INDEX(entry->places[i])] = true;
	foreach (cell, pending->ahead)
		used[((Ahead *) lfirst(cell))->index] = true;
}

/*
 * Where reading, which has come to position, must begin again after a restart,
 * once the transactions handed out by pending_collect have been dealt with.
 */
XLogRecPtr
pending_restart_lsn(Pending *pending, XLogRecPtr position)
{
	XLogRecPtr result = position;
	transaction_iterator iterator;
	PendingTransaction *entry;

	transaction_start_iterate(pending->transactions, &iterator);
	while ((entry = transaction_iterate(pending->transactions, &iterator)) != NULL)
		if (!entry->collected && entry->first_lsn < result)
			result = entry->first_lsn;
	return result;
}

/* The blocks of what was taken ahead of a transaction in vain. */
static int64
pending_spoilt_places(Pending *pending, TransactionId xid, uint64 *places)
{
	int64 count = 0;
	ListCell *cell;

	foreach (cell, pending->ahead)
	{
		Ahead *ahead = lfirst(cell);
		BlockNumber *blocks;
		int64 block_count;

		if (ahead->xid != xid || !ahead->spoilt)
			continue;
		block_count = ahead_blocks(ahead, NULL);
		blocks = palloc_extended(Max(block_count, 1) * sizeof(BlockNumber), MCXT_ALLOC_HUGE);
		(void) ahead_blocks(ahead, blocks);
		for (int64 i = 0; i < block_count; i++)
			places[count++] = PLACE(ahead->index, blocks[i], InvalidOffsetNumber);
		pfree(blocks);
	}
	return count;
}

/* Add what was taken ahead to the change of its relation. */
static List *
pending_attach_ahead(List *changes, Ahead *ahead)
{
	RelationChange *change = NULL;
	ListCell *cell;

	foreach (cell, changes)
		if (((RelationChange *) lfirst(cell))->relid == ahead->relid)
			change = lfirst(cell);
	if (change == NULL)
	{
		change = palloc0(sizeof(RelationChange));
		change->relid = ahead->relid;
		changes = lappend(changes, change);
	}
	change->ahead = lappend(change->ahead, ahead);
	return changes;
}

/*
 * What may have changed between the two snapshots, as a list of
 * RelationChange in the current memory context, one per relation (of those a
 * place names by index), places sorted. Transactions still running at the new one stay pending. The others
 * are forgotten by pending_finish, so that a cycle that fails is repeated with
 * the same places.
 */
List *
pending_collect(Pending *pending, const Oid *relids, Snapshot old_snapshot, Snapshot new_snapshot)
{
	List *result = NIL;
	uint64 *places = NULL;
	int64 count = 0;
	int64 capacity = 0;
	int64 spoilt;
	List *taken = NIL;
	ListCell *cell;
	transaction_iterator iterator;
	PendingTransaction *entry;

	pending->collected_count = 0;
	transaction_start_iterate(pending->transactions, &iterator);
	while ((entry = transaction_iterate(pending->transactions, &iterator)) != NULL)
	{
		if (XidInMVCCSnapshot(entry->xid, new_snapshot))
			continue;
		entry->collected = true;
		if (pending->collected_count == pending->collected_capacity)
		{
			pending->collected_capacity *= 2;
			pending->collected = repalloc_huge(
			    pending->collected, (Size) pending->collected_capacity * sizeof(TransactionId));
		}
		pending->collected[pending->collected_count++] = entry->xid;

		/* finished before the old cut (read again after a restart), or aborted */
		if (!XidInMVCCSnapshot(entry->xid, old_snapshot) || !TransactionIdDidCommit(entry->xid))
			continue;

		spoilt = 0;
		foreach (cell, pending->ahead)
		{
			Ahead *other = lfirst(cell);

			if (other->xid != entry->xid)
				continue;
			if (other->spoilt)
				spoilt += ahead_blocks(other, NULL);
			else
				taken = lappend(taken, other);
		}
		if (count + entry->count + spoilt > capacity)
		{
			capacity = Max(Max(capacity * 2, count + entry->count + spoilt), 256);
			places = places
			             ? repalloc_huge(places, capacity * sizeof(uint64))
			             : MemoryContextAllocHuge(CurrentMemoryContext, capacity * sizeof(uint64));
		}
		memcpy(places + count, entry->places, entry->count * sizeof(uint64));
		count += entry->count;
		if (spoilt > 0)
			count += pending_spoilt_places(pending, entry->xid, places + count);
	}
	if (count == 0 && taken == NIL)
		return NIL;
	if (count > PG_INT32_MAX)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		                errmsg("too many row versions changed between two cuts")));

	if (count > 0)
		count = places_unique(places, (int) count);
	for (int64 i = 0; i < count;)
	{
		uint16 index = PLACE_INDEX(places[i]);
		RelationChange *change;
		int64 end = i;
		BlockNumber whole_block = InvalidBlockNumber;

		while (end < count && PLACE_INDEX(places[end]) == index)
			end++;
		if (!OidIsValid(relids[index]))
		{
			/* nobody watches it any more */
			i = end;
			continue;
		}
		change = palloc0(sizeof(RelationChange));
		change->relid = relids[index];
		change->places =
		    MemoryContextAllocHuge(CurrentMemoryContext, (end - i) * sizeof(ItemPointerData));
		for (; i < end; i++)
		{
			BlockNumber block = PLACE_BLOCK(places[i]);

			/* offset 0 sorts first and stands for all others of its block */
			if (block == whole_block)
				continue;
			if (PLACE_OFFSET(places[i]) == InvalidOffsetNumber)
				whole_block = block;
			ItemPointerSet(&change->places[change->place_count], block, PLACE_OFFSET(places[i]));
			change->place_count++;
		}
		result = lappend(result, change);
	}
	if (places)
		pfree(places);
	foreach (cell, taken)
		result = pending_attach_ahead(result, lfirst(cell));
	return result;
}

/*
 * Each cycle walks through the whole table, so one that a burst of
 * transactions has made large does not stay so.
 */
static void
pending_shrink(Pending *pending)
{
	transaction_hash *large = pending->transactions;
	transaction_iterator iterator;
	PendingTransaction *entry;
	bool found;

	if (large->size < PENDING_LARGE || large->members > large->size / PENDING_SPARSE ||
	    pending->collected_count > large->size / PENDING_SPARSE)
		return;
	pending->transactions = transaction_create(pending->context, Max(large->members, 64), NULL);
	transaction_start_iterate(large, &iterator);
	while ((entry = transaction_iterate(large, &iterator)) != NULL)
	{
		PendingTransaction *copy = transaction_insert(pending->transactions, entry->xid, &found);
		char status = copy->status;

		*copy = *entry;
		copy->status = status;
	}
	transaction_destroy(large);
}

/*
 * The transactions handed out by the last pending_collect have been dealt with
 * (keep false), or will be asked for again (keep true).
 */
void
pending_finish(Pending *pending, bool keep)
{
	for (int i = 0; i < pending->collected_count; i++)
	{
		PendingTransaction *entry =
		    transaction_lookup(pending->transactions, pending->collected[i]);
		ListCell *cell;

		if (entry == NULL)
			continue;
		entry->collected = false;
		if (keep)
			continue;
		foreach (cell, pending->ahead)
		{
			Ahead *ahead = lfirst(cell);

			if (ahead->xid != entry->xid)
				continue;
			pending->ahead = foreach_delete_current(pending->ahead, cell);
			ahead_free(ahead);
		}
		pfree(entry->places);
		transaction_delete_item(pending->transactions, entry);
	}
	pending_shrink(pending);
	pending->collected_count = 0;
}
