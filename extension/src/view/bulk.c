/*-------------------------------------------------------------------------
 *
 * bulk.c
 *	  Replacing and deleting many rows of a heap page by page.
 *
 * heap_update and heap_delete lock a page, write a WAL record and look at the
 * indexes for each row. Where many rows of a page change, all of them are
 * written under one lock with one generic WAL record, as HOT updates as long as
 * the page has room, and as deletions from then on.
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
 *	- No code of types runs under a page's lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "delta/image.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "view/bulk.h"

/* With fewer rows to write, a page is not worth the record of it. */
#define BULK_LEAST_ROWS 8

/* What a page that was pruned is to have room for, beyond what is to be written now. */
#define BULK_SPARE (BLCKSZ / 10)

/* A row of the page being written. */
typedef struct PageRow
{
	BulkRow *row;
	MinimalTuple wanted; /* NULL: it is to be deleted, or to leave the page */
	HeapTupleData old;   /* in the page */
	HeapTuple new;       /* where it can be written with the others as an update */
	bool single;         /* cannot be written with the others */
	bool done;           /* written, or as it should be */
} PageRow;

typedef struct BulkPage
{
	BulkWriter *writer;
	Buffer buffer;
	PageRow rows[MaxHeapTuplesPerPage];
	int count;
	TupleTableSlot *old_slot; /* to compare images */
	TupleTableSlot *new_slot;
	bool by_image; /* rows may be the same image without the same bytes */
} BulkPage;

/* Order rows by where they are. */
static int
bulk_compare(const void *left, const void *right)
{
	return ItemPointerCompare(&((BulkRow *) left)->tid, &((BulkRow *) right)->tid);
}

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

/* A minimal tuple as a heap tuple whose header is not to be looked at. */
static HeapTupleData
bulk_as_heap_tuple(MinimalTuple tuple)
{
	HeapTupleData result = {.t_len = tuple->t_len + MINIMAL_TUPLE_OFFSET,
	                        .t_data = (HeapTupleHeader) ((char *) tuple - MINIMAL_TUPLE_OFFSET)};

	ItemPointerSetInvalid(&result.t_self);
	return result;
}

/* Is a version the image that is wanted? */
static bool
bulk_same(BulkPage *page, HeapTuple old, HeapTuple new)
{
	HeapTupleHeader left = old->t_data;
	HeapTupleHeader right = new->t_data;
	const int fixed = offsetof(HeapTupleHeaderData, t_bits);
	bool result;

	if (old->t_len == new->t_len &&
	    left->t_hoff == right->t_hoff &&HeapTupleHeaderGetNatts(left) ==
	        HeapTupleHeaderGetNatts(right) &&
	    (left->t_infomask & HEAP_HASNULL) == (right->t_infomask & HEAP_HASNULL) &&
	    memcmp((char *) left + fixed, (char *) right + fixed, old->t_len - fixed) == 0)
		return true;
	if (!page->by_image)
		return false;
	ExecForceStoreHeapTuple(old, page->old_slot, false);
	ExecForceStoreHeapTuple(new, page->new_slot, false);
	result = image_equal(page->old_slot, page->new_slot);
	ExecClearTuple(page->old_slot);
	ExecClearTuple(page->new_slot);
	return result;
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

/*
 * Learn what is to be done to the page's rows, of which so many have to leave
 * it; returns how many change with the others.
 */
static int
bulk_prepare(BulkPage *page, int leaving)
{
	BulkWriter *writer = page->writer;
	int together = 0;

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
			HeapTupleData new = bulk_as_heap_tuple(row->wanted);

			if (bulk_same(page, &row->old, &new))
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
		together += !row->single;
	}
	return together;
}

/* Replace one version in the image of a page, or delete it. */
static void
bulk_replace(BulkPage *page, Page image, PageRow *row)
{
	TransactionId xid = GetCurrentTransactionId();
	CommandId command = page->writer->command;
	BlockNumber block = ItemPointerGetBlockNumber(&row->row->tid);
	HeapTupleData old;
	bool is_combo;

	(void) bulk_tuple(page->writer->relation, image, &row->row->tid, &old);
	if (row->new != NULL && PageGetHeapFreeSpace(image) >= MAXALIGN(row->new->t_len))
	{
		HeapTupleHeader header = row->new->t_data;
		OffsetNumber offset;

		header->t_infomask &= ~HEAP_XACT_MASK;
		header->t_infomask2 &= ~HEAP2_XACT_MASK;
		header->t_infomask |= HEAP_UPDATED | HEAP_XMAX_INVALID;
		HeapTupleHeaderSetXmin(header, xid);
		HeapTupleHeaderSetCmin(header, command);
		HeapTupleHeaderSetXmax(header, InvalidTransactionId);
		HeapTupleHeaderSetHeapOnly(header);
		offset =
		    PageAddItem(image, (Item) header, row->new->t_len, InvalidOffsetNumber, false, true);
		if (offset != InvalidOffsetNumber)
		{
			ItemPointerSet(&row->new->t_self, block, offset);
			header->t_ctid = row->new->t_self;
			((HeapTupleHeader) PageGetItem(image, PageGetItemId(image, offset)))->t_ctid =
			    row->new->t_self;
			row->row->fate = BULK_REPLACED;
		}
	}

	HeapTupleHeaderAdjustCmax(old.t_data, &command, &is_combo);
	old.t_data->t_infomask &= ~(HEAP_XMAX_BITS | HEAP_MOVED);
	old.t_data->t_infomask2 &= ~HEAP_KEYS_UPDATED;
	HeapTupleHeaderSetXmax(old.t_data, xid);
	HeapTupleHeaderSetCmax(old.t_data, command, is_combo);
	if (row->row->fate == BULK_REPLACED)
	{
		HeapTupleHeaderSetHotUpdated(old.t_data);
		old.t_data->t_ctid = row->new->t_self;
	}
	else
	{
		old.t_data->t_infomask2 |= HEAP_KEYS_UPDATED;
		HeapTupleHeaderClearHotUpdated(old.t_data);
		old.t_data->t_ctid = old.t_self;
		row->new = NULL;
	}
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
	GenericXLogState *state;
	Page image;

	LockBuffer(page->buffer, BUFFER_LOCK_EXCLUSIVE);
	if (PageIsAllVisible(BufferGetPage(page->buffer)))
	{
		LockBuffer(page->buffer, BUFFER_LOCK_UNLOCK);
		return false;
	}
	for (int i = 0; i < page->count; i++)
	{
		PageRow *row = &page->rows[i];
		HeapTupleData old;

		if (row->done)
			continue;
		if (!bulk_tuple(relation, BufferGetPage(page->buffer), &row->row->tid, &old) ||
		    HeapTupleSatisfiesUpdate(&old, page->writer->command, page->buffer) != TM_Ok)
			bulk_refuse(relation, &row->row->tid);
	}

	/* so many changes are nearly a page: finding out which bytes differ costs more */
	state = GenericXLogStart(relation);
	image = GenericXLogRegisterBuffer(state, page->buffer, GENERIC_XLOG_FULL_IMAGE);
	for (int i = 0; i < page->count; i++)
		if (!page->rows[i].done)
			bulk_replace(page, image, &page->rows[i]);
	PageSetPrunable(image, xid);
	GenericXLogFinish(state);
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
	int together;
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
	together = bulk_prepare(page, leaving);
	for (int i = 0; i < count; i++)
		if (!page->rows[i].done && (page->rows[i].single || together < BULK_LEAST_ROWS))
			bulk_write_single(page, &page->rows[i]);
	while (together >= BULK_LEAST_ROWS && !bulk_write_together(page))
	{
		while (next < count && page->rows[next].done)
			next++;
		if (next == count)
			break;
		bulk_write_single(page, &page->rows[next]);
	}
	ReleaseBuffer(page->buffer);
}

/*
 * Write rows, each of which is there once; their fates and places are in the
 * array afterwards, sorted by where the rows were.
 */
void
bulk_write(BulkWriter *writer, BulkRow *rows, int count)
{
	TupleDesc descriptor = RelationGetDescr(writer->relation);
	MemoryContext context;
	MemoryContext old;
	BulkPage *page;
	int end;

	if (count == 0)
		return;
	qsort(rows, count, sizeof(BulkRow), bulk_compare);
	page = palloc(sizeof(BulkPage));
	page->writer = writer;
	page->old_slot = MakeSingleTupleTableSlot(descriptor, &TTSOpsHeapTuple);
	page->new_slot = MakeSingleTupleTableSlot(descriptor, &TTSOpsHeapTuple);
	page->by_image = false;
	for (int i = 0; i < descriptor->natts; i++)
		page->by_image |= TupleDescAttr(descriptor, i)->attlen < 0;
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
	ExecDropSingleTupleTableSlot(page->old_slot);
	ExecDropSingleTupleTableSlot(page->new_slot);
	MemoryContextDelete(context);
	pfree(page);
}
