/*-------------------------------------------------------------------------
 *
 * bulk.c
 *	  Replacing and deleting many rows of a heap page by page.
 *
 * heap_update and heap_delete lock a page, write a WAL record and look at the
 * indexes for each row. Here all rows of a page are written under one lock with
 * one WAL record, as HOT updates as long as the page has room, and as deletions
 * from then on. The record is what GenericXLogFinish would write (generic_xlog.c,
 * of this major version), but made from what is known to change instead of by
 * comparing two images of the page. (PostgreSQL's developers' setting
 * wal_consistency_checking does not know that generic records can be about heap
 * pages, on which hint bits may differ.)
 *
 * A row for whose new version its page has no room is deleted, and the caller
 * inserts it anew. On a full page every update would begin with pruning what the
 * one before it left; so rows that are updated are made to leave it, until it
 * has some room to spare: then it is pruned once for many updates.
 *
 * Invariants:
 *	- A page is pinned while its rows are looked at, so nobody moves them.
 *	- Only the worker writes such a relation, and rows of a materialized view
 *	  cannot be locked: a live version has no xmax but one that was aborted.
 *	- A page that is all-visible first gets one row written by the table's own
 *	  functions, which clear the visibility map as well. So do rows that are,
 *	  or have to be, partly out of line.
 *	- No code of types runs under a page's lock, and nothing that can fail in the
 *	  critical section in which it is written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xloginsert.h"
#include "delta/image.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "view/bulk.h"

/* What a page that was pruned is to have room for, beyond what is to be written now. */
#define BULK_SPARE (BLCKSZ / 10)

/* A row of the page being written. */
typedef struct PageRow
{
	BulkRow *row;
	MinimalTuple wanted; /* NULL: it is to be deleted, or to leave the page */
	HeapTupleData old;   /* in the page */
	HeapTuple new;       /* where it can be written with the others as an update */
	CommandId cmax;      /* of the old version */
	bool cmax_combo;
	bool single; /* cannot be written with the others */
	bool done;   /* written, or as it should be */
} PageRow;

/* Before the bytes of a fragment of a page: where they belong, and how many they are. */
#define FRAGMENT_HEADER (2 * sizeof(OffsetNumber))

/* The fragments of a page in which each row is replaced: see bulk_log. */
#define FRAGMENTS_MOST                                                                             \
	(BLCKSZ + 2 * FRAGMENT_HEADER +                                                                \
	 MaxHeapTuplesPerPage * (2 * FRAGMENT_HEADER + SizeofHeapTupleHeader + sizeof(ItemIdData)))

typedef struct BulkPage
{
	BulkWriter *writer;
	Buffer buffer;
	PageRow rows[MaxHeapTuplesPerPage];
	int count;
	ImageComparison *comparison;
	char fragments[FRAGMENTS_MOST];
	int fragments_length;
} BulkPage;

/* Where a row is, as a number. */
static inline uint64
bulk_position(const BulkRow *row)
{
	return (uint64) ItemPointerGetBlockNumberNoCheck(&row->tid) << 16 |
	       ItemPointerGetOffsetNumberNoCheck(&row->tid);
}

/* Order rows by where they are. */
#define ST_SORT bulk_sort
#define ST_ELEMENT_TYPE BulkRow
#define ST_COMPARE(a, b)                                                                           \
	(bulk_position(a) < bulk_position(b) ? -1 : bulk_position(a) > bulk_position(b))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* A row is not where it should be, or somebody else wrote it. */
static void
bulk_refuse(Relation relation, ItemPointer tid)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
	                errmsg("row (%u,%u) of relation \"%s\" is not where it should be",
	                       ItemPointerGetBlockNumber(tid), ItemPointerGetOffsetNumber(tid),
	                       RelationGetRelationName(relation))));
}

/* Give the tuple at a tid of a page; false: there is none. */
static bool
bulk_tuple(Relation relation, Page page, ItemPointer tid, HeapTuple tuple)
{
	OffsetNumber offset = ItemPointerGetOffsetNumber(tid);
	ItemId item;

	if (offset == InvalidOffsetNumber || offset > PageGetMaxOffsetNumber(page))
		return false;
	item = PageGetItemId(page, offset);
	if (!ItemIdIsNormal(item))
		return false;
	tuple->t_data = (HeapTupleHeader) PageGetItem(page, item);
	tuple->t_len = ItemIdGetLength(item);
	tuple->t_tableOid = RelationGetRelid(relation);
	tuple->t_self = *tid;
	return true;
}

/* Do all indexed attributes stay as they are? */
static bool
bulk_hot(BulkPage *page, HeapTuple old, HeapTuple new)
{
	TupleDesc descriptor = RelationGetDescr(page->writer->relation);
	int member = -1;

	while ((member = bms_next_member(page->writer->indexed, member)) >= 0)
	{
		AttrNumber attribute = member + FirstLowInvalidHeapAttributeNumber;
		Form_pg_attribute form;
		bool old_null;
		bool new_null;
		Datum old_value;
		Datum new_value;

		/* an expression over the whole row */
		if (attribute <= 0)
			return false;
		form = TupleDescAttr(descriptor, attribute - 1);
		old_value = heap_getattr(old, attribute, descriptor, &old_null);
		new_value = heap_getattr(new, attribute, descriptor, &new_null);
		if (old_null != new_null ||
		    (!old_null && !datumIsEqual(old_value, new_value, form->attbyval, form->attlen)))
			return false;
	}
	return true;
}

/* Find the live versions that are meant in the page. */
static void
bulk_locate(BulkPage *page, BulkRow *rows, int count)
{
	BulkWriter *writer = page->writer;

	LockBuffer(page->buffer, BUFFER_LOCK_SHARE);
	page->count = count;
	for (int i = 0; i < count; i++)
	{
		PageRow *row = &page->rows[i];

		row->row = &rows[i];
		row->done =
		    !bulk_tuple(writer->relation, BufferGetPage(page->buffer), &rows[i].tid, &row->old) ||
		    (writer->is_old != NULL &&
		     !HeapTupleSatisfiesVisibility(&row->old, SnapshotSelf, page->buffer));
	}
	LockBuffer(page->buffer, BUFFER_LOCK_UNLOCK);
	for (int i = 0; i < count; i++)
	{
		PageRow *row = &page->rows[i];

		if (writer->is_old == NULL && row->done)
			bulk_refuse(writer->relation, &rows[i].tid);
		row->done = row->done || (writer->is_old != NULL &&
		                          !writer->is_old(&rows[i], &row->old, writer->context));
		rows[i].fate = row->done ? BULK_ELSEWHERE : BULK_DELETED;
	}
}

/* Learn what is to be done to the page's rows, of which so many have to leave it. */
static void
bulk_prepare(BulkPage *page, int leaving)
{
	BulkWriter *writer = page->writer;

	for (int i = 0; i < page->count; i++)
	{
		PageRow *row = &page->rows[i];

		if (row->done)
			continue;
		row->new = NULL;
		row->single = HeapTupleHasExternal(&row->old);
		row->wanted = writer->wanted(row->row, writer->context);
		if (row->wanted != NULL)
		{
			HeapTupleData new = image_heap_tuple(row->wanted);

			if (image_same(page->comparison, &row->old, &new))
			{
				row->row->fate = BULK_SAME;
				row->done = true;
				continue;
			}
			row->single |= HeapTupleHasExternal(&new) || new.t_len > TOAST_TUPLE_THRESHOLD;
			if (leaving > 0 && !row->single)
			{
				row->wanted = NULL;
				leaving--;
			}
			else if (!row->single && bulk_hot(page, &row->old, &new))
			{
				row->new = heap_tuple_from_minimal_tuple(row->wanted);
				row->new->t_tableOid = row->old.t_tableOid;
			}
		}
	}
}

/* Replace one version in the page, or delete it; in the critical section. */
static void
bulk_replace(BulkPage *page, PageRow *row, TransactionId xid)
{
	Page contents = BufferGetPage(page->buffer);
	HeapTupleHeader old = row->old.t_data;

	if (row->new != NULL && PageGetHeapFreeSpace(contents) >= MAXALIGN(row->new->t_len))
	{
		HeapTupleHeader header = row->new->t_data;
		OffsetNumber offset;

		header->t_infomask &= ~HEAP_XACT_MASK;
		header->t_infomask2 &= ~HEAP2_XACT_MASK;
		header->t_infomask |= HEAP_UPDATED | HEAP_XMAX_INVALID;
		HeapTupleHeaderSetXmin(header, xid);
		HeapTupleHeaderSetCmin(header, page->writer->command);
		HeapTupleHeaderSetXmax(header, InvalidTransactionId);
		HeapTupleHeaderSetHeapOnly(header);
		offset =
		    PageAddItem(contents, (Item) header, row->new->t_len, InvalidOffsetNumber, false, true);
		if (offset != InvalidOffsetNumber)
		{
			ItemPointerSet(&row->new->t_self, BufferGetBlockNumber(page->buffer), offset);
			header->t_ctid = row->new->t_self;
			((HeapTupleHeader) PageGetItem(contents, PageGetItemId(contents, offset)))->t_ctid =
			    row->new->t_self;
			row->row->fate = BULK_REPLACED;
		}
	}

	old->t_infomask &= ~(HEAP_XMAX_BITS | HEAP_MOVED);
	old->t_infomask2 &= ~HEAP_KEYS_UPDATED;
	HeapTupleHeaderSetXmax(old, xid);
	HeapTupleHeaderSetCmax(old, row->cmax, row->cmax_combo);
	if (row->row->fate == BULK_REPLACED)
	{
		HeapTupleHeaderSetHotUpdated(old);
		old->t_ctid = row->new->t_self;
	}
	else
	{
		old->t_infomask2 |= HEAP_KEYS_UPDATED;
		HeapTupleHeaderClearHotUpdated(old);
		old->t_ctid = row->old.t_self;
		row->new = NULL;
	}
}

/* Add bytes of the page to those that are logged. */
static void
bulk_log_fragment(BulkPage *page, Size offset, Size length)
{
	char *fragment = page->fragments + page->fragments_length;
	OffsetNumber header[2] = {(OffsetNumber) offset, (OffsetNumber) length};

	Assert(page->fragments_length + FRAGMENT_HEADER + length <= FRAGMENTS_MOST);
	memcpy(fragment, header, FRAGMENT_HEADER);
	memcpy(fragment + FRAGMENT_HEADER, BufferGetPage(page->buffer) + offset, length);
	page->fragments_length += FRAGMENT_HEADER + length;
}

/*
 * Log what bulk_replace did, in the critical section: the page's header, the
 * headers of the old versions, the new versions, which lie below those that were
 * there, and the line pointers to them. upper is where those began.
 */
static void
bulk_log(BulkPage *page, LocationIndex upper)
{
	Page contents = BufferGetPage(page->buffer);
	LocationIndex new_upper = ((PageHeader) contents)->pd_upper;
	XLogRecPtr position;

	page->fragments_length = 0;
	/* the LSN and the checksum before it are not the log's to say */
	bulk_log_fragment(page, offsetof(PageHeaderData, pd_flags),
	                  SizeOfPageHeaderData - offsetof(PageHeaderData, pd_flags));
	for (int i = 0; i < page->count; i++)
	{
		PageRow *row = &page->rows[i];

		if (row->done)
			continue;
		bulk_log_fragment(page, (char *) row->old.t_data - contents, SizeofHeapTupleHeader);
		if (row->row->fate == BULK_REPLACED)
			bulk_log_fragment(
			    page,
			    (char *) PageGetItemId(contents, ItemPointerGetOffsetNumber(&row->new->t_self)) -
			        contents,
			    sizeof(ItemIdData));
	}
	if (new_upper < upper)
		bulk_log_fragment(page, new_upper, upper - new_upper);

	XLogBeginInsert();
	XLogRegisterBuffer(0, page->buffer, REGBUF_STANDARD);
	XLogRegisterBufData(0, page->fragments, page->fragments_length);
	position = XLogInsert(RM_GENERIC_ID, 0);
	PageSetLSN(contents, position);
}

/*
 * Write the rows that can be written together. Returns false, and has done
 * nothing, if the page is all-visible.
 */
static bool
bulk_write_together(BulkPage *page)
{
	Relation relation = page->writer->relation;
	TransactionId xid = GetCurrentTransactionId();
	Page contents = BufferGetPage(page->buffer);
	LocationIndex upper;

	LockBuffer(page->buffer, BUFFER_LOCK_EXCLUSIVE);
	if (PageIsAllVisible(contents))
	{
		LockBuffer(page->buffer, BUFFER_LOCK_UNLOCK);
		return false;
	}
	for (int i = 0; i < page->count; i++)
	{
		PageRow *row = &page->rows[i];

		if (row->done)
			continue;
		if (!bulk_tuple(relation, contents, &row->row->tid, &row->old) ||
		    HeapTupleSatisfiesUpdate(&row->old, page->writer->command, page->buffer) != TM_Ok)
			bulk_refuse(relation, &row->row->tid);
		row->cmax = page->writer->command;
		HeapTupleHeaderAdjustCmax(row->old.t_data, &row->cmax, &row->cmax_combo);
	}
	upper = ((PageHeader) contents)->pd_upper;

	START_CRIT_SECTION();
	for (int i = 0; i < page->count; i++)
		if (!page->rows[i].done)
			bulk_replace(page, &page->rows[i], xid);
	PageSetPrunable(contents, xid);
	MarkBufferDirty(page->buffer);
	if (RelationNeedsWAL(relation))
		bulk_log(page, upper);
	END_CRIT_SECTION();
	LockBuffer(page->buffer, BUFFER_LOCK_UNLOCK);

	for (int i = 0; i < page->count; i++)
	{
		PageRow *row = &page->rows[i];

		if (row->done)
			continue;
		if (page->writer->written)
			page->writer->written(row->row, &row->old, row->new, page->writer->context);
		if (row->row->fate == BULK_REPLACED)
		{
			pgstat_count_heap_update(relation, true);
			row->row->tid = row->new->t_self;
		}
		else
			pgstat_count_heap_delete(relation);
	}
	return true;
}

/* Write one row by itself. */
static void
bulk_write_single(BulkPage *page, PageRow *row)
{
	MinimalTuple wanted = row->wanted;

	/* what has to leave the page is cheaper written with other insertions */
	if (wanted != NULL && !row->single &&
	    PageGetHeapFreeSpace(BufferGetPage(page->buffer)) <
	        MAXALIGN(wanted->t_len + MINIMAL_TUPLE_OFFSET))
		wanted = NULL;
	page->writer->single(row->row, wanted, page->writer->context);
	row->done = true;
}

/* The room that new versions of these rows need beside them, about. */
static Size
bulk_needed(Buffer buffer, BulkRow *rows, int count)
{
	Page page = BufferGetPage(buffer);
	Size size = 0;

	for (int i = 0; i < count; i++)
		size += MAXALIGN(
		    ItemIdGetLength(PageGetItemId(page, ItemPointerGetOffsetNumber(&rows[i].tid))));
	return size;
}

/* Write some rows, all of one page. */
static void
bulk_write_page(BulkPage *page, BulkRow *rows, int count)
{
	BulkWriter *writer = page->writer;
	int leaving = 0;
	Page contents;
	Size needed;
	int next = 0;

	page->buffer = ReadBuffer(writer->relation, ItemPointerGetBlockNumber(&rows[0].tid));
	contents = BufferGetPage(page->buffer);
	/* a look without a lock, which pruning repeats with one */
	needed = bulk_needed(page->buffer, rows, count);
	if (PageGetHeapFreeSpace(contents) < needed)
	{
		Size room;

		heap_page_prune_opt(writer->relation, page->buffer);
		room = PageGetHeapFreeSpace(contents);
		if (room < needed + BULK_SPARE)
			leaving = (needed + BULK_SPARE - room) / Max(needed / count, 1);
	}
	bulk_locate(page, rows, count);
	bulk_prepare(page, leaving);
	for (int i = 0; i < count; i++)
		if (!page->rows[i].done && page->rows[i].single)
			bulk_write_single(page, &page->rows[i]);
	do
	{
		while (next < count && page->rows[next].done)
			next++;
		if (next == count || bulk_write_together(page))
			break;
		bulk_write_single(page, &page->rows[next]);
	} while (true);
	ReleaseBuffer(page->buffer);
}

/*
 * Write rows, each of which is there once; their fates and places are in the
 * array afterwards, sorted by where the rows were.
 */
void
bulk_write(BulkWriter *writer, BulkRow *rows, int count)
{
	MemoryContext context;
	MemoryContext old;
	BulkPage *page;
	int end;

	if (count == 0)
		return;
	bulk_sort(rows, count);
	page = palloc(sizeof(BulkPage));
	page->writer = writer;
	page->comparison = image_comparison_create(RelationGetDescr(writer->relation));
	context = AllocSetContextCreate(CurrentMemoryContext, "freshet bulk", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	for (int i = 0; i < count; i = end)
	{
		BlockNumber block = ItemPointerGetBlockNumber(&rows[i].tid);

		CHECK_FOR_INTERRUPTS();
		for (end = i + 1; end < count && end - i < MaxHeapTuplesPerPage &&
		                  ItemPointerGetBlockNumber(&rows[end].tid) == block;)
			end++;
		bulk_write_page(page, rows + i, end - i);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	image_comparison_destroy(page->comparison);
	MemoryContextDelete(context);
	pfree(page);
}
