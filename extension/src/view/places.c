/*-------------------------------------------------------------------------
 *
 * places.c
 *	  Where the worker saw rows last: from a row's hash to its tid.
 *
 * Finding a row through an index costs more than writing it. What the worker
 * has found or written it remembers here, in the memory of one view: a table
 * of two-way sets that grows with its use, all of them together bounded by
 * maintenance_work_mem.
 *
 * A place is a hint. Whoever uses it reads the row and sees that it is the one
 * meant; if it is not, or nothing is remembered, the index knows. Two things
 * are right nevertheless, because a place is removed with its row: its tid is
 * inside the relation, and its entry belongs to that row. Therefore all is
 * forgotten when a transaction aborts, and when the relation or the locator
 * has another file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"
#include "view/apply.h"

#define PLACES_FEWEST 1024

struct Places
{
	MemoryContext context;
	Place *sets; /* NULL: nothing remembered yet */
	uint32 size; /* a power of 2 */
	int shift;   /* leaves as many bits as there are sets */
	uint32 used;
	uint32 aborts;        /* the value of places_aborts when they were valid */
	RelFileNode relation; /* the files they are about */
	RelFileNode locator;
};

static uint32 places_aborts = 0;
static Size places_bytes = 0; /* of all views */

/* What a transaction wrote that aborts is not where it seemed to be. */
static void
places_xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		places_aborts++;
}

/* The rows of a subtransaction are gone as well. */
static void
places_subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
                        void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		places_aborts++;
}

/* Remember nothing yet, in this memory context. */
Places *
places_create(MemoryContext context)
{
	static bool registered = false;
	Places *places = MemoryContextAllocZero(context, sizeof(Places));

	places->context = context;
	if (!registered)
	{
		RegisterXactCallback(places_xact_callback, NULL);
		RegisterSubXactCallback(places_subxact_callback, NULL);
		registered = true;
	}
	return places;
}

/* Forget everything. */
void
places_clear(Places *places)
{
	if (places->sets != NULL)
	{
		places_bytes -= places->size * sizeof(Place);
		pfree(places->sets);
	}
	places->sets = NULL;
	places->size = places->used = 0;
	places->aborts = places_aborts;
}

/* What follows is about the files these have now; locator may be NULL. */
void
places_concern(Places *places, Relation relation, Relation locator)
{
	static const RelFileNode none = {0};
	RelFileNode node = locator ? locator->rd_node : none;

	if (places->aborts != places_aborts || !RelFileNodeEquals(places->locator, node) ||
	    !RelFileNodeEquals(places->relation, relation->rd_node))
		places_clear(places);
	places->relation = relation->rd_node;
	places->locator = node;
}

/* The first of the two places of a hash. */
static Place *
places_set(Places *places, uint64 hash)
{
	/* hashes may be numbers in a row: the upper bits of the product spread them evenly */
	return &places->sets[(hash * UINT64CONST(0x9e3779b97f4a7c15)) >> places->shift << 1];
}

/* Where a row of this hash was seen last, or NULL. */
Place *
places_get(Places *places, uint64 hash)
{
	Place *set;

	if (places->sets == NULL)
		return NULL;
	set = places_set(places, hash);
	for (int i = 0; i < 2; i++)
		if (set[i].hash == hash && ItemPointerIsValid(&set[i].tid))
			return &set[i];
	return NULL;
}

/* Put a place into its set; of two others the older one goes. */
static void
places_insert(Places *places, const Place *place)
{
	Place *set = places_set(places, place->hash);

	if (ItemPointerIsValid(&set[0].tid) && set[0].hash != place->hash)
	{
		places->used += !ItemPointerIsValid(&set[1].tid);
		set[1] = set[0];
	}
	else
	{
		places->used += !ItemPointerIsValid(&set[0].tid);
		/* of one hash there is one place at the most */
		if (ItemPointerIsValid(&set[1].tid) && set[1].hash == place->hash)
		{
			ItemPointerSetInvalid(&set[1].tid);
			places->used--;
		}
	}
	set[0] = *place;
}

/* Make room, as far as memory goes. */
static void
places_grow(Places *places)
{
	Place *old = places->sets;
	Place *sets;
	uint32 old_size = places->size;
	uint32 size = old_size == 0 ? PLACES_FEWEST : old_size * 2;

	if (old_size > PG_UINT32_MAX / 4 ||
	    (old_size > 0 &&
	     places_bytes + (size - old_size) * sizeof(Place) > (Size) maintenance_work_mem * 1024))
		return;
	sets = MemoryContextAllocExtended(places->context, size * sizeof(Place),
	                                  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO | MCXT_ALLOC_NO_OOM);
	if (sets == NULL)
		return;
	places->sets = sets;
	places_bytes += (size - old_size) * sizeof(Place);
	places->size = size;
	places->shift = 64 - pg_leftmost_one_pos32(size / 2);
	places->used = 0;
	for (uint32 i = 0; i < old_size; i++)
		if (ItemPointerIsValid(&old[i].tid))
			places_insert(places, &old[i]);
	if (old != NULL)
		pfree(old);
}

/* A row of this hash is at tid; entry is the locator's for it, NULL: none. */
void
places_put(Places *places, uint64 hash, ItemPointer tid, ItemPointer entry)
{
	Place place = {.hash = hash, .tid = *tid};

	if (entry != NULL)
		place.entry = *entry;
	else
		ItemPointerSetInvalid(&place.entry);
	if (places->used >= places->size / 2)
		places_grow(places);
	if (places->sets != NULL)
		places_insert(places, &place);
}

/* The row of this hash at tid is going. */
void
places_remove(Places *places, uint64 hash, ItemPointer tid)
{
	Place *place = places_get(places, hash);

	if (place == NULL || !ItemPointerEquals(&place->tid, tid))
		return;
	ItemPointerSetInvalid(&place->tid);
	places->used--;
}
