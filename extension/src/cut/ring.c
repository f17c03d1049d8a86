/*-------------------------------------------------------------------------
 *
 * ring.c
 *	  The change ring of a database: for each of the last cuts, which row
 *	  versions of which relations appeared or disappeared.
 *
 * The ring lives in a DSM segment owned by the worker and dies with it. It is
 * lossy: the oldest records make room for new ones. A record is a header, the
 * tids and a footer that repeats the length, so that readers, who want the last
 * cuts, walk backwards from the head.
 *
 * Invariants:
 *	- head and tail are offsets that only grow; the byte at offset n is at
 *	  n % size. head - tail <= size.
 *	- Every change of the cuts (dropped, last] is in the ring: a cut is added
 *	  whole under the exclusive lock, or not at all.
 *	- A relation with very many changes in one cut has a single record that
 *	  says "the whole relation".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cut/frontier_private.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#define RING_MAGIC 0x46725269
#define RING_WHOLE UINT32_MAX

typedef struct RingHeader
{
	uint32 magic;
	Oid dboid;
	uint64 size; /* of data */
	uint64 head;
	uint64 tail;
	uint64 dropped; /* cuts up to this one are not complete */
	uint64 last;    /* the last cut added; 0: none */
	char data[FLEXIBLE_ARRAY_MEMBER];
} RingHeader;

typedef struct RingRecord
{
	uint32 length; /* with header and footer */
	uint32 count;  /* of tids; or RING_WHOLE */
	uint64 number; /* the cut */
	Oid relation;
	uint32 unused;
} RingRecord;

typedef struct RingFooter
{
	uint32 length;
	uint32 unused;
} RingFooter;

/* Changes of one relation in the cut being prepared. */
typedef struct RingPending
{
	Oid relation;
	bool whole;
	int count;
	int room;
	ItemPointerData *tids;
} RingPending;

/* the worker's side */
static RingHeader *ring_own = NULL;
static FrontierDatabase *ring_database = NULL;
static MemoryContext ring_context = NULL;
static uint64 ring_number = 0;   /* the cut being prepared; 0: none */
static List *ring_pending = NIL; /* of RingPending * */
static Size ring_pending_tids = 0;

/* a reader's side */
static dsm_segment *ring_segment = NULL;
static dsm_handle ring_segment_handle = DSM_HANDLE_INVALID;

/* Copies into the ring at a virtual offset, around its end if need be. */
static void
ring_put(RingHeader *ring, uint64 offset, const void *from, Size length)
{
	uint64 at = offset % ring->size;
	Size first = Min(length, ring->size - at);

	memcpy(ring->data + at, from, first);
	memcpy(ring->data, (const char *) from + first, length - first);
}

/* Copies out of the ring. */
static void
ring_get(RingHeader *ring, uint64 offset, void *to, Size length)
{
	uint64 at = offset % ring->size;
	Size first = Min(length, ring->size - at);

	memcpy(to, ring->data + at, first);
	memcpy((char *) to + first, ring->data, length - first);
}

/* Readers must not look for a ring whose owner is gone. */
static void
ring_owner_exit(int code, Datum arg)
{
	if (ring_database != NULL)
		ring_database->ring_handle = DSM_HANDLE_INVALID;
}

/* Makes the database's ring; this process is its only writer. */
void
frontier_ring_create(FrontierDatabase *database)
{
	dsm_segment *segment;
	Size size = TYPEALIGN(MAXIMUM_ALIGNOF, (Size) frontier_ring_kb * 1024);

	Assert(ring_own == NULL);
	segment = dsm_create(offsetof(RingHeader, data) + size, 0);
	dsm_pin_mapping(segment);

	ring_own = (RingHeader *) dsm_segment_address(segment);
	memset(ring_own, 0, offsetof(RingHeader, data));
	ring_own->magic = RING_MAGIC;
	ring_own->dboid = database->dboid;
	ring_own->size = size;

	ring_context =
	    AllocSetContextCreate(TopMemoryContext, "freshet change ring", ALLOCSET_DEFAULT_SIZES);
	ring_database = database;
	before_shmem_exit(ring_owner_exit, (Datum) 0);
	pg_write_barrier();
	database->ring_handle = dsm_segment_handle(segment);
}

/* Starts the records of a cut; what was begun and not committed is forgotten. */
void
frontier_ring_begin(FrontierDatabase *database, uint64 number)
{
	if (ring_own == NULL)
		return;
	Assert(database == ring_database && number > 0);
	MemoryContextReset(ring_context);
	ring_pending = NIL;
	ring_pending_tids = 0;
	ring_number = number;
}

/* The prepared changes of a relation, made if need be. */
static RingPending *
ring_pending_of(Oid relation)
{
	RingPending *pending;
	MemoryContext old;
	ListCell *cell;

	foreach (cell, ring_pending)
	{
		pending = (RingPending *) lfirst(cell);
		if (pending->relation == relation)
			return pending;
	}
	old = MemoryContextSwitchTo(ring_context);
	pending = palloc0(sizeof(RingPending));
	pending->relation = relation;
	ring_pending = lappend(ring_pending, pending);
	MemoryContextSwitchTo(old);
	return pending;
}

/* The whole relation may have changed in this cut. */
void
frontier_ring_whole(Oid relation)
{
	RingPending *pending;

	if (ring_own == NULL || ring_number == 0)
		return;
	pending = ring_pending_of(relation);
	if (pending->whole)
		return;
	pending->whole = true;
	ring_pending_tids -= pending->count;
	pending->count = 0;
	if (pending->tids != NULL)
		pfree(pending->tids);
	pending->tids = NULL;
}

/* These versions of the relation appeared or disappeared in this cut. */
void
frontier_ring_add(Oid relation, const ItemPointerData *tids, int count)
{
	RingPending *pending;

	if (ring_own == NULL || ring_number == 0 || count <= 0)
		return;
	pending = ring_pending_of(relation);
	if (pending->whole)
		return;
	if ((ring_pending_tids + count) * sizeof(ItemPointerData) > ring_own->size / 4)
	{
		frontier_ring_whole(relation);
		return;
	}
	if (pending->count + count > pending->room)
	{
		pending->room = Max(pending->count + count, 2 * pending->room);
		if (pending->tids == NULL)
			pending->tids =
			    MemoryContextAllocHuge(ring_context, pending->room * sizeof(ItemPointerData));
		else
			pending->tids = repalloc_huge(pending->tids, pending->room * sizeof(ItemPointerData));
	}
	memcpy(pending->tids + pending->count, tids, count * sizeof(ItemPointerData));
	pending->count += count;
	ring_pending_tids += count;
}

/* Drops the oldest record. */
static void
ring_drop_oldest(RingHeader *ring)
{
	RingRecord record;

	ring_get(ring, ring->tail, &record, sizeof(record));
	ring->tail += record.length;
	ring->dropped = Max(ring->dropped, record.number);
}

/* Adds one relation's record; the caller holds the lock exclusively. */
static void
ring_append(RingHeader *ring, const RingPending *pending)
{
	RingRecord record = {0};
	RingFooter footer = {0};
	Size payload = pending->whole ? 0 : pending->count * sizeof(ItemPointerData);

	record.length = sizeof(record) + MAXALIGN(payload) + sizeof(footer);
	record.count = pending->whole ? RING_WHOLE : (uint32) pending->count;
	record.number = ring_number;
	record.relation = pending->relation;
	footer.length = record.length;

	if (record.length > ring->size)
	{
		ring->tail = ring->head;
		ring->dropped = ring_number;
		return;
	}
	while (ring->head + record.length - ring->tail > ring->size)
		ring_drop_oldest(ring);

	ring_put(ring, ring->head, &record, sizeof(record));
	if (payload > 0)
		ring_put(ring, ring->head + sizeof(record), pending->tids, payload);
	ring_put(ring, ring->head + record.length - sizeof(footer), &footer, sizeof(footer));
	ring->head += record.length;
}

/* Makes the begun cut's changes readable; call it before the cut is published. */
void
frontier_ring_commit(void)
{
	ListCell *cell;

	if (ring_own == NULL || ring_number == 0)
		return;

	LWLockAcquire(&ring_database->ring_lock, LW_EXCLUSIVE);
	if (ring_own->last + 1 != ring_number)
	{
		/* a cut was never added, or this is the first one */
		ring_own->tail = ring_own->head;
		ring_own->dropped = ring_number - 1;
	}
	foreach (cell, ring_pending)
		ring_append(ring_own, (RingPending *) lfirst(cell));
	ring_own->last = ring_number;
	LWLockRelease(&ring_database->ring_lock);

	ring_number = 0;
	ring_pending = NIL;
	ring_pending_tids = 0;
	MemoryContextReset(ring_context);
}

/* The ring of a database as a reader maps it, or NULL. */
static RingHeader *
ring_attach(FrontierDatabase *database)
{
	dsm_handle handle = database->ring_handle;
	RingHeader *ring;

	if (ring_own != NULL && database == ring_database)
		return ring_own;
	if (ring_segment != NULL && ring_segment_handle != handle)
	{
		dsm_detach(ring_segment);
		ring_segment = NULL;
		ring_segment_handle = DSM_HANDLE_INVALID;
	}
	if (handle == DSM_HANDLE_INVALID)
		return NULL;
	if (ring_segment == NULL)
	{
		ring_segment = dsm_attach(handle);
		if (ring_segment == NULL)
			return NULL;
		dsm_pin_mapping(ring_segment);
		ring_segment_handle = handle;
	}
	ring = (RingHeader *) dsm_segment_address(ring_segment);
	if (ring->magic != RING_MAGIC || ring->dboid != database->dboid)
		return NULL;
	return ring;
}

/* qsort comparison of tids */
static int
ring_tid_cmp(const void *left, const void *right)
{
	return ItemPointerCompare((ItemPointer) left, (ItemPointer) right);
}

/*
 * What happened to a relation in the cuts (after, upto]. The caller has watched
 * the relation, see frontier_watch; frontier_ring_read in frontier.c asks that
 * first.
 */
FrontierChanges
frontier_ring_scan(FrontierDatabase *database, Oid relation, uint64 after, uint64 upto,
                   ItemPointerData **tids, int *count)
{
	RingHeader *ring = ring_attach(database);
	StringInfoData found;
	bool known;
	uint64 at;
	int kept;

	*tids = NULL;
	*count = 0;
	if (ring == NULL)
		return FRONTIER_CHANGES_UNKNOWN;

	initStringInfo(&found);
	LWLockAcquire(&database->ring_lock, LW_SHARED);
	known = after >= ring->dropped && upto <= ring->last && after <= upto;
	at = ring->head;
	while (known && at > ring->tail)
	{
		RingRecord record;
		RingFooter footer;
		Size payload;

		ring_get(ring, at - sizeof(footer), &footer, sizeof(footer));
		at -= footer.length;
		ring_get(ring, at, &record, sizeof(record));
		if (record.number <= after)
			break;
		if (record.number > upto || record.relation != relation)
			continue;
		if (record.count == RING_WHOLE)
		{
			known = false;
			break;
		}
		payload = record.count * sizeof(ItemPointerData);
		enlargeStringInfo(&found, payload);
		ring_get(ring, at + sizeof(record), found.data + found.len, payload);
		found.len += payload;
	}
	LWLockRelease(&database->ring_lock);

	if (!known || found.len == 0)
	{
		pfree(found.data);
		return known ? FRONTIER_CHANGES_NONE : FRONTIER_CHANGES_UNKNOWN;
	}

	*tids = (ItemPointerData *) found.data;
	*count = found.len / sizeof(ItemPointerData);
	qsort(*tids, *count, sizeof(ItemPointerData), ring_tid_cmp);
	kept = 1;
	for (int i = 1; i < *count; i++)
	{
		if (!ItemPointerEquals(&(*tids)[i], &(*tids)[kept - 1]))
			(*tids)[kept++] = (*tids)[i];
	}
	*count = kept;
	return FRONTIER_CHANGES_TIDS;
}
