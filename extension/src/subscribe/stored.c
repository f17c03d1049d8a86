/*-------------------------------------------------------------------------
 *
 * stored.c
 *	  The rows of a stored relation: those at a cut, and the difference
 *	  between two cuts.
 *
 * The change ring names the row versions that changed; each is looked at once,
 * and its visibility under the two snapshots says whether it appeared or
 * disappeared. Where the ring does not know, every version of the relation is
 * looked at.
 *
 * Invariant: rows are added to the difference while their buffer is pinned but
 * not locked, because adding may fetch values out of line.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "subscribe/subscription.h"

/* Reading the versions of one relation under two snapshots. */
typedef struct StoredScan
{
	Subscription *subscription;
	Relation relation;
	Snapshot from; /* NULL: no row was visible */
	Snapshot to;
	TupleTableSlot *version; /* a row version in its buffer */
	TupleTableSlot *row;     /* its columns that are subscribed to */
	Difference *change;
	int64 balance; /* rows that appeared less those that went */
} StoredScan;

/* Present the subscribed columns of a version. */
static TupleTableSlot *
stored_project(StoredScan *scan)
{
	Subscription *subscription = scan->subscription;
	TupleTableSlot *row = scan->row;

	slot_getallattrs(scan->version);
	ExecClearTuple(row);
	for (int i = 0; i < subscription->columns->natts; i++)
	{
		int attribute = subscription->attributes[i] - 1;

		row->tts_values[i] = scan->version->tts_values[attribute];
		row->tts_isnull[i] = scan->version->tts_isnull[attribute];
	}
	return ExecStoreVirtualTuple(row);
}

/* Prepare to read; the relation is open. */
static void
stored_begin(StoredScan *scan, Subscription *subscription, Relation relation, Difference *change)
{
	scan->subscription = subscription;
	scan->relation = relation;
	scan->version = MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsBufferHeapTuple);
	scan->row = MakeSingleTupleTableSlot(subscription->columns, &TTSOpsVirtual);
	scan->change = change;
	scan->balance = 0;
}

/* The reading is over. */
static void
stored_end(StoredScan *scan)
{
	ExecDropSingleTupleTableSlot(scan->version);
	ExecDropSingleTupleTableSlot(scan->row);
}

/* Fill in one version of a locked page; false if there is none at the offset. */
static bool
stored_version(StoredScan *scan, Buffer buffer, OffsetNumber offset, HeapTuple version)
{
	Page page = BufferGetPage(buffer);
	ItemId item;

	if (offset > PageGetMaxOffsetNumber(page))
		return false;
	item = PageGetItemId(page, offset);
	if (!ItemIdIsNormal(item))
		return false;
	version->t_data = (HeapTupleHeader) PageGetItem(page, item);
	version->t_len = ItemIdGetLength(item);
	version->t_tableOid = RelationGetRelid(scan->relation);
	ItemPointerSet(&version->t_self, BufferGetBlockNumber(buffer), offset);
	return true;
}

/*
 * Look at some versions of a pinned page, or at all of them, and add those
 * that only one of the snapshots sees.
 */
static void
stored_page(StoredScan *scan, Buffer buffer, const OffsetNumber *offsets, int count)
{
	HeapTupleData differing[MaxHeapTuplesPerPage];
	int signs[MaxHeapTuplesPerPage];
	int found = 0;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (offsets == NULL)
		count = PageGetMaxOffsetNumber(BufferGetPage(buffer));
	for (int i = 0; i < count; i++)
	{
		HeapTupleData *version = &differing[found];
		OffsetNumber offset = offsets == NULL ? (OffsetNumber) (i + 1) : offsets[i];
		bool was;
		bool is;

		if (!stored_version(scan, buffer, offset, version))
			continue;
		is = HeapTupleSatisfiesVisibility(version, scan->to, buffer);
		was = scan->from != NULL && HeapTupleSatisfiesVisibility(version, scan->from, buffer);
		if (is != was)
			signs[found++] = is ? 1 : -1;
	}
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);

	/* the pin keeps the versions where they are */
	for (int i = 0; i < found; i++)
	{
		ExecStoreBufferHeapTuple(&differing[i], scan->version, buffer);
		difference_add(scan->change, stored_project(scan), signs[i]);
		scan->balance += signs[i];
	}
	ExecClearTuple(scan->version);
}

/* Look at the versions the ring has named, sorted and without duplicates. */
static void
stored_places(StoredScan *scan, const ItemPointerData *places, int count)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(scan->relation);
	OffsetNumber offsets[MaxHeapTuplesPerPage];

	for (int i = 0; i < count;)
	{
		BlockNumber block = ItemPointerGetBlockNumberNoCheck(&places[i]);
		bool whole = false;
		int on_page = 0;
		Buffer buffer;

		CHECK_FOR_INTERRUPTS();
		/* vacuum may have cut off a tail in which nobody saw a row any more */
		if (block >= blocks)
			break;
		for (; i < count && ItemPointerGetBlockNumberNoCheck(&places[i]) == block; i++)
		{
			OffsetNumber offset = ItemPointerGetOffsetNumberNoCheck(&places[i]);

			/* offset 0 stands for the whole block */
			if (offset == InvalidOffsetNumber || on_page == MaxHeapTuplesPerPage)
				whole = true;
			else
				offsets[on_page++] = offset;
		}
		buffer = ReadBuffer(scan->relation, block);
		stored_page(scan, buffer, whole ? NULL : offsets, on_page);
		ReleaseBuffer(buffer);
	}
}

/* Look at every version of the relation. */
static void
stored_everything(StoredScan *scan)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(scan->relation);
	BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);

	for (BlockNumber block = 0; block < blocks; block++)
	{
		Buffer buffer;

		CHECK_FOR_INTERRUPTS();
		buffer = ReadBufferExtended(scan->relation, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
		stored_page(scan, buffer, NULL, 0);
		ReleaseBuffer(buffer);
	}
	FreeAccessStrategy(strategy);
}

/* Add the rows at the subscription's cut. */
void
stored_snapshot(Subscription *subscription, Difference *rows)
{
	Relation relation = target_open(subscription);
	StoredScan scan;
	TableScanDesc reading;

	stored_begin(&scan, subscription, relation, rows);
	cut_push(subscription->cut);
	reading = table_beginscan(relation, GetActiveSnapshot(), 0, NULL);
	while (table_scan_getnextslot(reading, ForwardScanDirection, scan.version))
	{
		CHECK_FOR_INTERRUPTS();
		difference_add(rows, stored_project(&scan), 1);
		scan.balance++;
	}
	table_endscan(reading);
	cut_pop();
	stored_end(&scan);

	subscription->dependencies[0].filenode = relation->rd_rel->relfilenode;
	subscription->rows = scan.balance;
	table_close(relation, AccessShareLock);
}

/* Add what changed between the subscription's cut and a later one. */
void
stored_change(Subscription *subscription, const Cut *to, Difference *change)
{
	Relation relation = target_open(subscription);
	Dependency *dependency = &subscription->dependencies[0];
	const Cut *from = subscription->cut;
	StoredScan scan;
	FrontierChanges known;
	ItemPointerData *places = NULL;
	int count = 0;
	bool kept = true;

	if (relation->rd_rel->relfilenode != dependency->filenode)
	{
		kept = target_file_kept(dependency, relation->rd_rel, from);
		if (!kept && subscription->rows != 0)
			target_replaced(subscription->relation);
		known = FRONTIER_CHANGES_UNKNOWN;
	}
	else
		known = frontier_ring_read(subscription->database, subscription->relation, from->number,
		                           to->number, &places, &count);

	if (known != FRONTIER_CHANGES_NONE)
	{
		stored_begin(&scan, subscription, relation, change);
		/* the older of the two is pushed: it is the one more is kept for */
		cut_push(from);
		scan.from = kept ? from->snapshot : NULL;
		scan.to = to->snapshot;
		if (known == FRONTIER_CHANGES_TIDS)
			stored_places(&scan, places, count);
		else
		{
			TimestampTz started = GetCurrentTimestamp();
			TimestampTz ended;

			stored_everything(&scan);
			/* never spend more than half of the time on comparing everything */
			ended = GetCurrentTimestamp();
			subscription->not_before = ended + (ended - started);
		}
		cut_pop();
		stored_end(&scan);
		if (subscription->rows >= 0)
			subscription->rows += scan.balance;
		if (places != NULL)
			pfree(places);
	}

	dependency->filenode = relation->rd_rel->relfilenode;
	table_close(relation, AccessShareLock);
}
