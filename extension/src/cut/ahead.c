/*-------------------------------------------------------------------------
 *
 * ahead.c
 *	  Taking the rows of a load that still runs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "cut/ahead.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"

typedef struct AheadBlock
{
	BlockNumber block; /* key */
	OffsetNumber last; /* rows of the transaction up to here were taken */
	bool ended;        /* and none behind it are: one there was not */
	char status;
} AheadBlock;

#define SH_PREFIX aheadblock
#define SH_ELEMENT_TYPE AheadBlock
#define SH_KEY_TYPE BlockNumber
#define SH_KEY block
#define SH_HASH_KEY(tb, key) murmurhash32(key)
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

#define QUEUED(block, offset) (((uint64) (block) << 16) | (offset))
#define QUEUED_BLOCK(entry) ((BlockNumber) ((entry) >> 16))
#define QUEUED_OFFSET(entry) ((OffsetNumber) (entry))

/* Begin to take a transaction's rows of a relation. */
Ahead *
ahead_create(MemoryContext parent, TransactionId xid, Oid relid, RelFileNode node, uint16 index)
{
	static uint64 last_number = 0;
	MemoryContext context = AllocSetContextCreate(parent, "freshet ahead", ALLOCSET_DEFAULT_SIZES);
	Ahead *ahead = MemoryContextAllocZero(context, sizeof(Ahead));

	ahead->number = ++last_number;
	ahead->xid = xid;
	ahead->relid = relid;
	ahead->node = node;
	ahead->index = index;
	ahead->context = context;
	ahead->blocks = aheadblock_create(context, 256, NULL);
	ahead->capacity = 1024;
	ahead->queue = MemoryContextAlloc(context, ahead->capacity * sizeof(uint64));
	return ahead;
}

/* Take nothing more; what was taken does not count. */
void
ahead_spoil(Ahead *ahead)
{
	ahead->spoilt = true;
	ahead->queued = 0;
}

/* Forget all about it. */
void
ahead_free(Ahead *ahead)
{
	MemoryContextDelete(ahead->context);
}

/*
 * A record of the transaction inserted rows into a page that it began (fresh) or
 * went on with. Returns whether they will be taken; if not, they are places.
 */
bool
ahead_queue(Ahead *ahead, BlockNumber block, const OffsetNumber *offsets, int count, bool fresh)
{
	AheadBlock *entry = aheadblock_lookup(ahead->blocks, block);
	bool found;

	if (ahead->spoilt || (entry == NULL ? !fresh : entry->ended))
		return false;
	if (entry == NULL)
	{
		entry = aheadblock_insert(ahead->blocks, block, &found);
		entry->last = InvalidOffsetNumber;
		entry->ended = false;
	}
	if (ahead->queued + count > ahead->capacity)
	{
		ahead->capacity = Max(ahead->capacity * 2, ahead->queued + count);
		ahead->queue = repalloc_huge(ahead->queue, ahead->capacity * sizeof(uint64));
	}
	for (int i = 0; i < count; i++)
	{
		if (offsets[i] <= entry->last)
		{
			ahead_spoil(ahead);
			return false;
		}
		entry->last = offsets[i];
		ahead->queue[ahead->queued++] = QUEUED(block, offsets[i]);
	}
	return true;
}

/* A record removed the version there, or wrote one that is not taken. */
void
ahead_touch(Ahead *ahead, BlockNumber block, OffsetNumber offset)
{
	AheadBlock *entry;

	if (ahead->spoilt)
		return;
	entry = aheadblock_lookup(ahead->blocks, block);
	if (entry != NULL && offset <= entry->last)
		ahead_spoil(ahead);
	else if (entry != NULL)
		entry->ended = true;
}

/* Was this version taken? */
bool
ahead_took(const Ahead *ahead, HeapTuple tuple)
{
	AheadBlock *entry;

	if (HeapTupleHeaderGetRawXmin(tuple->t_data) != ahead->xid)
		return false;
	entry = aheadblock_lookup(ahead->blocks, ItemPointerGetBlockNumber(&tuple->t_self));
	return entry != NULL && ItemPointerGetOffsetNumber(&tuple->t_self) <= entry->last;
}

/* The blocks with taken rows, in no order; blocks may be NULL to count them. */
int64
ahead_blocks(const Ahead *ahead, BlockNumber *blocks)
{
	aheadblock_iterator iterator;
	AheadBlock *entry;
	int64 count = 0;

	if (blocks == NULL)
		return ahead->blocks->members;
	aheadblock_start_iterate(ahead->blocks, &iterator);
	while ((entry = aheadblock_iterate(ahead->blocks, &iterator)) != NULL)
		blocks[count++] = entry->block;
	return count;
}

/* Is a version what the transaction inserted, and nothing else since? */
static bool
ahead_untouched(const Ahead *ahead, HeapTuple tuple)
{
	uint16 infomask = tuple->t_data->t_infomask;

	return HeapTupleHeaderGetRawXmin(tuple->t_data) == ahead->xid &&
	       !HeapTupleHeaderXminInvalid(tuple->t_data) &&
	       ((infomask & HEAP_XMAX_INVALID) || HEAP_XMAX_IS_LOCKED_ONLY(infomask));
}

/*
 * Take the rows that are queued: give them, page by page, to a function. If one
 * of them is not there as it was inserted, the whole is spoilt. The relation is
 * locked.
 */
void
ahead_read(Ahead *ahead, Relation relation, AheadRows rows, void *context)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(relation);
	PGAlignedBlock *page = palloc(sizeof(PGAlignedBlock));
	HeapTuple tuples = palloc(MaxHeapTuplesPerPage * sizeof(HeapTupleData));
	int64 end;

	if (!RelFileNodeEquals(relation->rd_node, ahead->node))
		ahead_spoil(ahead);
	for (int64 i = 0; i < ahead->queued; i = end)
	{
		BlockNumber block = QUEUED_BLOCK(ahead->queue[i]);
		int count = 0;
		Buffer buffer;

		CHECK_FOR_INTERRUPTS();
		if (block >= blocks)
		{
			ahead_spoil(ahead);
			break;
		}
		buffer = ReadBuffer(relation, block);
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		memcpy(page->data, BufferGetPage(buffer), BLCKSZ);
		UnlockReleaseBuffer(buffer);
		for (end = i; end < ahead->queued && QUEUED_BLOCK(ahead->queue[end]) == block; end++)
		{
			OffsetNumber offset = QUEUED_OFFSET(ahead->queue[end]);
			HeapTuple tuple = &tuples[count++];
			ItemId item;

			if (offset > PageGetMaxOffsetNumber(page->data) ||
			    !ItemIdIsNormal(PageGetItemId(page->data, offset)))
				break;
			item = PageGetItemId(page->data, offset);
			tuple->t_data = (HeapTupleHeader) PageGetItem(page->data, item);
			tuple->t_len = ItemIdGetLength(item);
			tuple->t_tableOid = RelationGetRelid(relation);
			ItemPointerSet(&tuple->t_self, block, offset);
			if (!ahead_untouched(ahead, tuple))
				break;
		}
		if (count != end - i)
		{
			ahead_spoil(ahead);
			break;
		}
		rows(ahead, tuples, count, context);
		ahead->rows += count;
	}
	ahead->queued = 0;
	pfree(tuples);
	pfree(page);
}
