/*-------------------------------------------------------------------------
 *
 * capture.c
 *	  Reading WAL for the places at which watched relations changed.
 *
 * Only insert, delete, update and multi-insert records of the heap matter:
 * pruning, freezing, locking and hint bits never change what a snapshot sees.
 * Commit records carry the invalidation messages of DDL, which may otherwise
 * arrive only after the transaction has become visible.
 * The places (pending.h) are kept per transaction; bulk records give the whole
 * block.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam_xlog.h"
#include "access/rmgr.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogreader.h"
#include "access/xlogutils.h"
#include "common/hashfn.h"
#include "cut/capture.h"
#include "cut/pending.h"
#include "cut/wal.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"

/* A multi-insert of more rows than this gives its whole block. */
#define PLACES_PER_RECORD 8

/* A transaction with so many places is a load, whose rows may be taken ahead. */
#define AHEAD_PLACES 64

typedef struct WatchEntry
{
	RelFileNode node; /* key */
	char status;
	Oid relid;
	uint16 index; /* into Capture.relids */
} WatchEntry;

#define SH_PREFIX watch
#define SH_ELEMENT_TYPE WatchEntry
#define SH_KEY_TYPE RelFileNode
#define SH_KEY node
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) &(key), sizeof(RelFileNode))
#define SH_EQUAL(tb, a, b) RelFileNodeEquals(a, b)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct Capture
{
	MemoryContext context;
	XLogReaderState *reader;
	ReadLocalXLogPageNoWaitPrivate reader_private;
	CaptureInvalidated invalidated;
	XLogRecPtr ddl_lsn;  /* end of the first commit since capture_rewind that mattered */
	XLogRecPtr position; /* end of the last record read */
	watch_hash *watched;
	Oid *relids; /* by WatchEntry.index; InvalidOid: not watched any more */
	int relid_count;
	int relid_capacity;
	List *free; /* indexes that nothing has to do with any more */
	Pending *pending;
	CaptureWanted wanted; /* while reading ahead */
	void *wanted_context;
};

/*
 * Create a capture that reads WAL from start on, which must be the start of a
 * record or the end of one.
 */
Capture *
capture_create(MemoryContext parent, XLogRecPtr start, CaptureInvalidated invalidated)
{
	MemoryContext context =
	    AllocSetContextCreate(parent, "freshet capture", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Capture *capture = palloc0(sizeof(Capture));

	capture->context = context;
	capture->position = start;
	capture->invalidated = invalidated;
	capture->watched = watch_create(context, 64, NULL);
	capture->pending = pending_create(context);
	capture->relid_capacity = 64;
	capture->relids = palloc(capture->relid_capacity * sizeof(Oid));
	capture->reader = XLogReaderAllocate(wal_segment_size, NULL,
	                                     XL_ROUTINE(.page_read = &wal_read_page,
	                                                .segment_open = &wal_segment_open,
	                                                .segment_close = &wal_segment_close),
	                                     &capture->reader_private);
	if (capture->reader == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
		                errdetail("Failed while allocating a WAL reading processor.")));
	MemoryContextSwitchTo(old);
	return capture;
}

/* The entry of a watched relation, or NULL. */
static WatchEntry *
capture_find(Capture *capture, Oid relid)
{
	watch_iterator iterator;
	WatchEntry *entry;

	watch_start_iterate(capture->watched, &iterator);
	while ((entry = watch_iterate(capture->watched, &iterator)) != NULL)
		if (entry->relid == relid)
			return entry;
	return NULL;
}

/* Find the indexes of relations that are not watched any more and of which nothing is pending. */
static void
capture_reclaim(Capture *capture)
{
	bool *used = palloc0(capture->relid_count * sizeof(bool));
	MemoryContext old = MemoryContextSwitchTo(capture->context);

	pending_mark_indexes(capture->pending, used);
	for (int i = 0; i < capture->relid_count; i++)
		if (!OidIsValid(capture->relids[i]) && !used[i])
			capture->free = lappend_int(capture->free, i);
	MemoryContextSwitchTo(old);
	pfree(used);
}

/* An index for a relation that was not watched. */
static uint16
capture_new_index(Capture *capture, Oid relid)
{
	int index;

	if (capture->free == NIL && capture->relid_count == capture->relid_capacity)
		capture_reclaim(capture);
	if (capture->free != NIL)
	{
		index = llast_int(capture->free);
		capture->free = list_delete_last(capture->free);
	}
	else
	{
		if (capture->relid_count > PG_UINT16_MAX)
			ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			                errmsg("too many relations are watched in one database")));
		if (capture->relid_count == capture->relid_capacity)
		{
			capture->relid_capacity *= 2;
			capture->relids = repalloc(capture->relids, capture->relid_capacity * sizeof(Oid));
		}
		index = capture->relid_count++;
	}
	capture->relids[index] = relid;
	return (uint16) index;
}

/*
 * From the records read from now on, keep those of this relation's file. A
 * relation is watched under one file; places found in another are looked at in
 * this one, where they do no harm.
 */
void
capture_watch(Capture *capture, Oid relid, RelFileNode node)
{
	WatchEntry *entry = capture_find(capture, relid);
	uint16 index;
	bool found;

	if (entry != NULL)
	{
		index = entry->index;
		watch_delete_item(capture->watched, entry);
	}
	else
		index = capture_new_index(capture, relid);
	entry = watch_insert(capture->watched, node, &found);
	entry->relid = relid;
	entry->index = index;
}

/*
 * Watch only the relations of this list (sorted, of oids) any more. What was
 * found in the others is dropped. Returns the oids of these.
 */
List *
capture_watch_only(Capture *capture, const Oid *relids, int count)
{
	watch_iterator iterator;
	WatchEntry *entry;
	List *others = NIL;

	watch_start_iterate(capture->watched, &iterator);
	while ((entry = watch_iterate(capture->watched, &iterator)) != NULL)
	{
		if (bsearch(&entry->relid, relids, count, sizeof(Oid), oid_cmp) != NULL)
			continue;
		others = lappend_oid(others, entry->relid);
		capture->relids[entry->index] = InvalidOid;
		/* the table is walked backwards, so the current entry may go */
		watch_delete_item(capture->watched, entry);
	}
	return others;
}

/* Is the relation watched? If so, give the file it is watched under. */
bool
capture_watches(Capture *capture, Oid relid, RelFileNode *node)
{
	WatchEntry *entry = capture_find(capture, relid);

	if (entry != NULL)
		*node = entry->node;
	return entry != NULL;
}

/*
 * The watched relation a record's block belongs to, or NULL; its block number
 * goes to *block.
 */
static WatchEntry *
capture_record_block(Capture *capture, int block_id, BlockNumber *block)
{
	RelFileNode node;
	ForkNumber fork;

	if (!XLogRecGetBlockTagExtended(capture->reader, block_id, &node, &fork, block, NULL) ||
	    fork != MAIN_FORKNUM)
		return NULL;
	return watch_lookup(capture->watched, node);
}

/* Will the rows that a record inserted be taken ahead? */
static bool
capture_take(Capture *capture, WatchEntry *watch, PendingTransaction *pending, BlockNumber block,
             const OffsetNumber *offsets, int count, bool fresh)
{
	Ahead *ahead;

	if (capture->wanted == NULL)
		return false;
	ahead = pending_find_ahead(capture->pending, pending->xid, watch->index);
	if (ahead == NULL)
	{
		if (!fresh || pending->count < AHEAD_PLACES ||
		    !capture->wanted(watch->relid, capture->wanted_context))
			return false;
		ahead = pending_add_ahead(capture->pending, pending->xid, watch->relid, watch->node,
		                          watch->index);
	}
	return ahead_queue(ahead, block, offsets, count, fresh);
}

/* Keep what a record says that inserted rows. */
static void
capture_insert(Capture *capture, WatchEntry *watch, PendingTransaction *pending, BlockNumber block,
               const OffsetNumber *offsets, int count, bool fresh)
{
	if (capture->pending->ahead != NIL || capture->wanted != NULL)
	{
		if (capture_take(capture, watch, pending, block, offsets, count, fresh))
			return;
		for (int i = 0; i < count; i++)
			pending_touch(capture->pending, watch->index, block, offsets[i]);
	}
	if (count > PLACES_PER_RECORD)
	{
		pending_add(pending, PLACE(watch->index, block, InvalidOffsetNumber));
		return;
	}
	for (int i = 0; i < count; i++)
		pending_add(pending, PLACE(watch->index, block, offsets[i]));
}

/* Keep what a heap or heap2 record says about watched relations. */
static void
capture_record(Capture *capture)
{
	XLogReaderState *record = capture->reader;
	uint8 info = XLogRecGetInfo(record);
	TransactionId xid = XLogRecGetXid(record);
	char *data = XLogRecGetData(record);
	BlockNumber block;
	WatchEntry *watch = capture_record_block(capture, 0, &block);
	PendingTransaction *pending;

	if (watch == NULL || !TransactionIdIsValid(xid))
		return;

	if (XLogRecGetRmid(record) == RM_HEAP2_ID)
	{
		xl_heap_multi_insert *insert = (xl_heap_multi_insert *) data;

		if ((info & XLOG_HEAP_OPMASK) != XLOG_HEAP2_MULTI_INSERT)
			return;
		pending = pending_transaction(capture->pending, xid, record->ReadRecPtr);
		if (info & XLOG_HEAP_INIT_PAGE)
		{
			/* the rows of a page that was empty are numbered from its first */
			OffsetNumber offsets[MaxHeapTuplesPerPage];
			int count = Min(insert->ntuples, MaxHeapTuplesPerPage);

			for (int i = 0; i < count; i++)
				offsets[i] = FirstOffsetNumber + i;
			capture_insert(capture, watch, pending, block, offsets, count, true);
		}
		else
			capture_insert(capture, watch, pending, block, insert->offsets, insert->ntuples, false);
		return;
	}

	switch (info & XLOG_HEAP_OPMASK)
	{
		case XLOG_HEAP_INSERT:
			pending = pending_transaction(capture->pending, xid, record->ReadRecPtr);
			capture_insert(capture, watch, pending, block, &((xl_heap_insert *) data)->offnum, 1,
			               (info & XLOG_HEAP_INIT_PAGE) != 0);
			break;
		case XLOG_HEAP_DELETE:
			pending = pending_transaction(capture->pending, xid, record->ReadRecPtr);
			pending_add(pending, PLACE(watch->index, block, ((xl_heap_delete *) data)->offnum));
			pending_touch(capture->pending, watch->index, block, ((xl_heap_delete *) data)->offnum);
			break;
		case XLOG_HEAP_UPDATE:
		case XLOG_HEAP_HOT_UPDATE:
		{
			xl_heap_update *update = (xl_heap_update *) data;
			BlockNumber old_block = block;

			/* block 1 is the old version's, if it is another one */
			if (XLogRecHasBlockRef(record, 1))
				XLogRecGetBlockTag(record, 1, NULL, NULL, &old_block);
			pending = pending_transaction(capture->pending, xid, record->ReadRecPtr);
			pending_add(pending, PLACE(watch->index, block, update->new_offnum));
			pending_add(pending, PLACE(watch->index, old_block, update->old_offnum));
			pending_touch(capture->pending, watch->index, block, update->new_offnum);
			pending_touch(capture->pending, watch->index, old_block, update->old_offnum);
			break;
		}
		default:
			break;
	}
}

/*
 * Has the transaction of a commit record that is read ahead told everybody what
 * it invalidates? It gives up the lock of its xid only after that.
 */
static bool
capture_commit_told(TransactionId xid)
{
	if (!ConditionalXactLockTableWait(xid))
		return false;
	AcceptInvalidationMessages();
	return true;
}

/*
 * Pass on what a committed transaction changed by DDL. Returns false
 * if the record is to be read again: it is read ahead, and what it tells of may
 * not be visible yet.
 */
static bool
capture_commit(Capture *capture)
{
	XLogReaderState *record = capture->reader;
	uint8 info = XLogRecGetInfo(record);
	uint8 operation = info & XLOG_XACT_OPMASK;
	xl_xact_parsed_commit commit;
	bool told = false;
	TransactionId xid;

	if ((operation != XLOG_XACT_COMMIT && operation != XLOG_XACT_COMMIT_PREPARED) ||
	    (info & XLOG_XACT_HAS_INFO) == 0)
		return true;
	ParseCommitRecord(info, (xl_xact_commit *) XLogRecGetData(record), &commit);
	xid = operation == XLOG_XACT_COMMIT ? XLogRecGetXid(record) : commit.twophase_xid;
	for (int i = 0; i < commit.nmsgs; i++)
	{
		SharedInvalidationMessage *message = &commit.msgs[i];

		if (message->id == SHAREDINVALRELCACHE_ID && message->rc.dbId == MyDatabaseId &&
		    capture->wanted != NULL && !told)
		{
			told = capture_commit_told(xid);
			if (!told)
				return false;
		}
		if (capture->invalidated(message, xid) && XLogRecPtrIsInvalid(capture->ddl_lsn))
			capture->ddl_lsn = record->EndRecPtr;
	}
	return true;
}

/*
 * Relations have been watched anew after DDL: read again from behind its commit.
 * Whoever wrote to a relation's new file did so after that. What is found twice
 * counts once. With again, more relations are to follow: the place is kept.
 */
void
capture_rewind(Capture *capture, bool again)
{
	if (!XLogRecPtrIsInvalid(capture->ddl_lsn) && capture->ddl_lsn < capture->position)
	{
		capture->position = capture->ddl_lsn;
		/* a row taken once more would count twice */
		pending_spoil_ahead(capture->pending);
	}
	if (!again)
		capture->ddl_lsn = InvalidXLogRecPtr;
}

/*
 * Where the next record behind a record's end begins: the reader is given no
 * position at the start of a page, where the page's header is.
 */
static XLogRecPtr
capture_next_record(XLogRecPtr end)
{
	if (XLogSegmentOffset(end, wal_segment_size) == 0)
		return end + SizeOfXLogLongPHD;
	return end % XLOG_BLCKSZ == 0 ? end + SizeOfXLogShortPHD : end;
}

/*
 * Read the WAL from where the last call ended up to upto. Returns false at the
 * end of what is written.
 */
static bool
capture_read(Capture *capture, XLogRecPtr upto)
{
	XLogReaderState *reader = capture->reader;
	MemoryContext old;
	bool more = true;

	if (capture->position >= upto)
		return true;
	/* the reader keeps what it allocates, whenever it does */
	old = MemoryContextSwitchTo(capture->context);
	XLogBeginRead(reader, capture_next_record(capture->position));
	while (capture->position < upto)
	{
		char *error;
		XLogRecord *record = XLogReadRecord(reader, &error);
		RmgrId rmid;

		if (record == NULL)
		{
			if (error != NULL || !capture->reader_private.end_of_wal)
				ereport(ERROR,
				        (errcode_for_file_access(),
				         errmsg("could not read WAL at %X/%X: %s",
				                LSN_FORMAT_ARGS(capture->position), error ? error : "no record")));
			more = false;
			break;
		}
		rmid = XLogRecGetRmid(reader);
		if (rmid == RM_XACT_ID && !capture_commit(capture))
		{
			more = false;
			break;
		}
		capture->position = reader->EndRecPtr;
		if (rmid == RM_HEAP_ID || rmid == RM_HEAP2_ID)
			capture_record(capture);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(old);
	return more;
}

/*
 * Read the WAL from where the last call ended up to upto, the end of a record
 * that is written already (wal.h).
 */
void
capture_read_wal(Capture *capture, XLogRecPtr upto)
{
	if (!capture_read(capture, upto))
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not read WAL at %X/%X: end of WAL",
		                                                  LSN_FORMAT_ARGS(capture->position))));
}

/*
 * Read the WAL up to upto, or as far as it is written, before a cut needs it; not
 * beyond DDL that not everybody has been told of. The rows of loads into
 * relations that are wanted are queued, to be taken (capture_ahead) before
 * anything else is done.
 */
void
capture_read_ahead(Capture *capture, XLogRecPtr upto, CaptureWanted wanted, void *context)
{
	capture->wanted = wanted;
	capture->wanted_context = context;
	PG_TRY();
	{
		(void) capture_read(capture, upto);
	}
	PG_FINALLY();
	{
		capture->wanted = NULL;
	}
	PG_END_TRY();
}

/* How far the WAL has been read. */
XLogRecPtr
capture_position(Capture *capture)
{
	return capture->position;
}

/* What is taken ahead: a list of Ahead * that changes with the next call. */
List *
capture_ahead(Capture *capture)
{
	return capture->pending->ahead;
}

/* Nothing that was taken ahead counts. */
void
capture_spoil_ahead(Capture *capture)
{
	pending_spoil_ahead(capture->pending);
}

/*
 * Where reading must begin again after a restart, once the transactions handed
 * out by capture_collect have been dealt with.
 */
XLogRecPtr
capture_restart_lsn(Capture *capture)
{
	return pending_restart_lsn(capture->pending, capture->position);
}

/*
 * What may have changed between the two snapshots, as a list of
 * RelationChange in the current memory context.
 */
List *
capture_collect(Capture *capture, Snapshot old_snapshot, Snapshot new_snapshot)
{
	return pending_collect(capture->pending, capture->relids, old_snapshot, new_snapshot);
}

/*
 * The transactions handed out by the last capture_collect have been dealt with
 * (keep false), or will be asked for again (keep true).
 */
void
capture_finish(Capture *capture, bool keep)
{
	pending_finish(capture->pending, keep);
}
