/*-------------------------------------------------------------------------
 *
 * places.c
 *	  Where the worker saw rows last: from a row's hash to its tid.
 *
 * Finding a row through an index costs more than writing it. What the worker
 * has found or written it remembers here, in the memory of one view: a table
 * of sets, each a cache line with four places, that grows with its use, all of
 * them together bounded by maintenance_work_mem.
 *
 * Hashes may be numbers in a row, so they are multiplied first. The upper bits
 * of the product choose the set, the 32 bits below them are kept as the place's
 * tag. When the table doubles, a tag's first bit becomes the set's last one, and
 * its last bit is not known any more.
 *
 * A place is a hint. Whoever uses it reads the row and sees that it is the one
 * meant; if it is not, or nothing is remembered, the index knows. Two things
 * are right nevertheless, because a place is removed with its row: its tid is
 * inside the relation, and its entry belongs to that row. Therefore all is
 * forgotten when a transaction aborts that changed any of it, and when the
 * relation or the locator has another file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "view/apply.h"

#define PLACES_IN_SET 4
#define PLACES_SET_BITS_FIRST 8
#define PLACES_SET_BITS_MOST 24

/* What is remembered unasked of one relation takes at most this part of the memory. */
#define UNASKED_PART 4

/* A remembered place; its tid is invalid where none is remembered. */
typedef struct StoredPlace
{
	uint32 tag;
	ItemPointerData tid;
	ItemPointerData entry;
} StoredPlace;

/* The newest place comes first. */
typedef struct PlaceSet
{
	StoredPlace places[PLACES_IN_SET];
} PlaceSet;

StaticAssertDecl(sizeof(PlaceSet) == 64, "a set of places is a cache line");

struct Places
{
	MemoryContext context;
	void *memory;   /* NULL: nothing remembered yet */
	PlaceSet *sets; /* in it, aligned */
	int bits;       /* there are 2 ^ bits sets */
	int unknown;    /* so many last bits of the tags are not known */
	uint32 used;
	uint32 aborts;        /* the value of places_aborts when they were valid */
	RelFileNode relation; /* the files they are about */
	RelFileNode locator;
};

static uint32 places_aborts = 0;
static bool places_written = false; /* by the transaction that runs */
static Size places_bytes = 0;       /* of all views */

/* What a transaction wrote that aborts is not where it seemed to be. */
static void
places_xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT && places_written)
		places_aborts++;
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT)
		places_written = false;
}

/* The rows of a subtransaction are gone as well. */
static void
places_subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
                        void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && places_written)
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

/* The memory of so many sets; some of it is spent on aligning them. */
static Size
places_size(int bits)
{
	return ((Size) 1 << bits) * sizeof(PlaceSet) + sizeof(PlaceSet);
}

/* Forget everything. */
void
places_clear(Places *places)
{
	if (places->memory != NULL)
	{
		places_bytes -= places_size(places->bits);
		pfree(places->memory);
	}
	places->memory = NULL;
	places->used = 0;
	places->unknown = 0;
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

/* Where a hash belongs: its set, and its tag there. */
static PlaceSet *
places_set(Places *places, uint64 hash, uint32 *tag)
{
	uint64 product = hash * UINT64CONST(0x9e3779b97f4a7c15);

	*tag = (uint32) (product << places->bits >> 32);
	return &places->sets[product >> (64 - places->bits)];
}

/* The place of a tag in its set, or NULL. */
static StoredPlace *
places_find(Places *places, PlaceSet *set, uint32 tag)
{
	for (int i = 0; i < PLACES_IN_SET; i++)
		if ((set->places[i].tag ^ tag) >> places->unknown == 0 &&
		    ItemPointerIsValid(&set->places[i].tid))
			return &set->places[i];
	return NULL;
}

/* Give where a row of this hash was seen last; false: nothing is remembered of it. */
bool
places_get(Places *places, uint64 hash, Place *found)
{
	StoredPlace *stored;
	PlaceSet *set;
	uint32 tag;

	if (places->memory == NULL)
		return false;
	set = places_set(places, hash, &tag);
	stored = places_find(places, set, tag);
	if (stored == NULL)
		return false;
	found->hash = hash;
	found->tid = stored->tid;
	found->entry = stored->entry;
	return true;
}

/* Have the place of this hash in the cache soon. */
void
places_prefetch(Places *places, uint64 hash)
{
	uint32 tag;

	if (places->memory != NULL)
		__builtin_prefetch(places_set(places, hash, &tag), 1);
}

/* Put a place into its set, instead of that of the same tag or of the oldest one. */
static void
places_insert(Places *places, PlaceSet *set, const StoredPlace *place)
{
	StoredPlace *last = places_find(places, set, place->tag);

	for (int i = 0; last == NULL && i < PLACES_IN_SET; i++)
		if (!ItemPointerIsValid(&set->places[i].tid))
		{
			last = &set->places[i];
			places->used++;
		}
	if (last == NULL)
		last = &set->places[PLACES_IN_SET - 1];
	memmove(&set->places[1], &set->places[0], (char *) last - (char *) &set->places[0]);
	set->places[0] = *place;
}

/* Make room, as far as memory goes. */
static void
places_grow(Places *places)
{
	bool first = places->memory == NULL;
	PlaceSet *old = places->sets;
	void *old_memory = places->memory;
	int old_bits = places->bits;
	int bits = first ? PLACES_SET_BITS_FIRST : old_bits + 1;
	Size more = places_size(bits) - (first ? 0 : places_size(old_bits));
	void *memory;

	if (bits > PLACES_SET_BITS_MOST ||
	    (!first && places_bytes + more > (Size) maintenance_work_mem * 1024))
		return;
	memory = MemoryContextAllocExtended(places->context, places_size(bits),
	                                    MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO | MCXT_ALLOC_NO_OOM);
	if (memory == NULL)
		return;
	places->memory = memory;
	places->sets = (PlaceSet *) TYPEALIGN(sizeof(PlaceSet), memory);
	places->bits = bits;
	places_bytes += more;
	if (first)
		return;
	places->used = 0;
	places->unknown++;
	for (uint32 i = 0; i < (uint32) 1 << old_bits; i++)
		for (int j = PLACES_IN_SET - 1; j >= 0; j--)
		{
			StoredPlace place = old[i].places[j];

			if (!ItemPointerIsValid(&place.tid))
				continue;
			place.tag <<= 1;
			places_insert(places, &places->sets[i << 1 | old[i].places[j].tag >> 31], &place);
		}
	pfree(old_memory);
}

/* A row of this hash is at tid; entry is the locator's for it, NULL: none. */
void
places_put(Places *places, uint64 hash, ItemPointer tid, ItemPointer entry)
{
	StoredPlace place = {.tid = *tid};
	PlaceSet *set;

	places_written = true;
	if (entry != NULL)
		place.entry = *entry;
	else
		ItemPointerSetInvalid(&place.entry);
	if (places->memory == NULL || places->used >> places->bits >= PLACES_IN_SET / 2)
		places_grow(places);
	if (places->memory == NULL)
		return;
	set = places_set(places, hash, &place.tag);
	places_insert(places, set, &place);
}

/*
 * Remember a row that was not asked for, as long as what is remembered of its
 * relation takes no more than its part of the memory.
 */
void
places_put_unasked(Places *places, uint64 hash, ItemPointer tid, ItemPointer entry)
{
	if (places->memory == NULL ||
	    places_size(places->bits) <= (Size) maintenance_work_mem * 1024 / UNASKED_PART)
		places_put(places, hash, tid, entry);
}

/* The row of this hash at tid is going. */
void
places_remove(Places *places, uint64 hash, ItemPointer tid)
{
	StoredPlace *stored;
	PlaceSet *set;
	uint32 tag;

	if (places->memory == NULL)
		return;
	set = places_set(places, hash, &tag);
	stored = places_find(places, set, tag);
	if (stored == NULL || !ItemPointerEquals(&stored->tid, tid))
		return;
	places_written = true;
	ItemPointerSetInvalid(&stored->tid);
	places->used--;
}
