/*-------------------------------------------------------------------------
 *
 * difference.c
 *	  A Z-set of any size (difference.h).
 *
 * Rows are gathered in an image bag. When it outgrows its memory, what it
 * holds is added to sorted rows (sorted.h), whose numbers are multiplicities, and
 * the bag starts again; rows of the same image then meet when those are read. Rows
 * of one hash are held in memory together: without collisions that is one row and
 * its parts.
 *
 * Invariants:
 *	- difference_add is never called after difference_begin.
 *	- Temporary files belong to the resource owner under which the difference
 *	  was created, whoever adds to it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delta/difference.h"
#include "delta/image.h"
#include "delta/sorted.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/* A row among those of one hash. */
typedef struct GroupRow
{
	MinimalTuple tuple;
	int64 multiplicity;
} GroupRow;

struct Difference
{
	MemoryContext context;
	MemoryContext group_context; /* the rows of one hash */
	ResourceOwner owner;
	TupleDesc descriptor;
	int memory_kb;
	uint64 added;  /* since the bag's size was looked at */
	ImageBag *bag; /* NULL once everything is in the sort */

	/* only when the bag did not suffice */
	SortedRows *sorted;
	ImageComparison *comparison;
	GroupRow *group;
	int group_count;
	int group_capacity;
	int group_next;
};

/* How often the bag's size is looked at. */
#define ROWS_PER_LOOK 256

/* An empty difference; its bag takes at most about memory_kb. */
Difference *
difference_create(MemoryContext parent, TupleDesc descriptor, int memory_kb)
{
	MemoryContext context =
	    AllocSetContextCreate(parent, "freshet difference", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Difference *difference = palloc0(sizeof(Difference));

	difference->context = context;
	difference->owner = CurrentResourceOwner;
	difference->descriptor = CreateTupleDescCopy(descriptor);
	difference->memory_kb = memory_kb;
	difference->bag = image_bag_create(context, difference->descriptor);

	MemoryContextSwitchTo(caller);
	return difference;
}

/* Set up the sort, the first time the bag is too small. */
static void
difference_start_sort(Difference *difference)
{
	difference->sorted = sorted_create(difference->descriptor, difference->memory_kb, true);
	difference->comparison = image_comparison_create(difference->descriptor);
	difference->group_context =
	    AllocSetContextCreate(difference->context, "freshet group", ALLOCSET_SMALL_SIZES);
	difference->group_capacity = 8;
	difference->group = palloc(sizeof(GroupRow) * difference->group_capacity);
}

/* Move what the bag holds to the sort. */
static void
difference_spill(Difference *difference)
{
	MemoryContext caller = MemoryContextSwitchTo(difference->context);
	ResourceOwner owner = CurrentResourceOwner;
	TupleTableSlot *stored;
	int64 multiplicity;

	CurrentResourceOwner = difference->owner;
	if (difference->sorted == NULL)
		difference_start_sort(difference);

	stored = MakeSingleTupleTableSlot(difference->descriptor, &TTSOpsMinimalTuple);
	image_bag_scan_begin(difference->bag);
	while (image_bag_scan_next(difference->bag, stored, &multiplicity))
	{
		CHECK_FOR_INTERRUPTS();
		sorted_put(difference->sorted, image_hash(stored), multiplicity, stored);
	}
	ExecDropSingleTupleTableSlot(stored);
	image_bag_destroy(difference->bag);
	difference->bag = NULL;

	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(caller);
}

/* Add a row so many times; a negative multiplicity takes it out. */
void
difference_add(Difference *difference, TupleTableSlot *slot, int64 multiplicity)
{
	if (difference->bag == NULL)
		difference->bag = image_bag_create(difference->context, difference->descriptor);
	image_bag_add(difference->bag, slot, multiplicity);

	if (++difference->added % ROWS_PER_LOOK == 0 &&
	    image_bag_bytes(difference->bag) > (Size) difference->memory_kb * 1024)
		difference_spill(difference);
}

/* Was nothing ever added? */
bool
difference_empty(Difference *difference)
{
	return difference->added == 0;
}

/* Start reading, from the beginning; may be called again to read once more. */
void
difference_begin(Difference *difference)
{
	MemoryContext caller;

	if (difference->sorted == NULL)
	{
		image_bag_scan_begin(difference->bag);
		return;
	}

	if (difference->bag != NULL)
		difference_spill(difference);
	caller = MemoryContextSwitchTo(difference->context);
	sorted_begin(difference->sorted);
	difference->group_count = difference->group_next = 0;
	MemoryContextSwitchTo(caller);
}

/* Put a row into the group, or add to the one it equals. */
static void
difference_group_add(Difference *difference, const SortedRow *row)
{
	for (int i = 0; i < difference->group_count; i++)
	{
		if (image_same_minimal(difference->comparison, difference->group[i].tuple, row->tuple))
		{
			difference->group[i].multiplicity += row->number;
			return;
		}
	}

	if (difference->group_count == difference->group_capacity)
	{
		difference->group_capacity *= 2;
		difference->group =
		    repalloc(difference->group, sizeof(GroupRow) * difference->group_capacity);
	}
	difference->group[difference->group_count++] =
	    (GroupRow){.tuple = row->tuple, .multiplicity = row->number};
}

/* Read the rows of the next hash; false at the end. */
static bool
difference_next_group(Difference *difference)
{
	MemoryContext caller;
	uint64 hash;
	uint64 next;

	if (!sorted_peek(difference->sorted, &hash))
		return false;

	MemoryContextReset(difference->group_context);
	caller = MemoryContextSwitchTo(difference->group_context);
	difference->group_count = difference->group_next = 0;
	do
	{
		SortedRow row;

		sorted_next(difference->sorted, &row);
		difference_group_add(difference, &row);
	} while (sorted_peek(difference->sorted, &next) && next == hash);

	MemoryContextSwitchTo(caller);
	return true;
}

/*
 * The next row whose multiplicity is not zero, stored in a slot of the
 * difference's description; valid until the next call. False at the end.
 */
bool
difference_next(Difference *difference, TupleTableSlot *slot, int64 *multiplicity)
{
	if (difference->sorted == NULL)
		return image_bag_scan_next(difference->bag, slot, multiplicity);

	do
	{
		while (difference->group_next < difference->group_count)
		{
			GroupRow *group_row = &difference->group[difference->group_next++];

			if (group_row->multiplicity == 0)
				continue;
			ExecForceStoreMinimalTuple(group_row->tuple, slot, false);
			*multiplicity = group_row->multiplicity;
			return true;
		}
		ExecClearTuple(slot);
	} while (difference_next_group(difference));

	return false;
}

/* Give up the difference, its memory and its files. */
void
difference_destroy(Difference *difference)
{
	if (difference->bag != NULL)
		image_bag_destroy(difference->bag);
	if (difference->sorted != NULL)
	{
		image_comparison_destroy(difference->comparison);
		sorted_destroy(difference->sorted);
	}
	MemoryContextDelete(difference->context);
}

typedef struct DifferenceReceiver
{
	DestReceiver pub;
	Difference *difference;
	int64 multiplicity;
} DifferenceReceiver;

/* Take a row. */
static bool
difference_receive(TupleTableSlot *slot, DestReceiver *self)
{
	DifferenceReceiver *receiver = (DifferenceReceiver *) self;

	difference_add(receiver->difference, slot, receiver->multiplicity);
	return true;
}

/* The rows' description is known already. */
static void
difference_receive_startup(DestReceiver *self, int operation, TupleDesc descriptor)
{
}

/* Nothing to do at the end of a query. */
static void
difference_receive_shutdown(DestReceiver *self)
{
}

/* Free the receiver; the difference stays. */
static void
difference_receive_destroy(DestReceiver *self)
{
	pfree(self);
}

/* A destination for the executor that adds every row so many times. */
static DestReceiver *
difference_receiver(Difference *difference, int64 multiplicity)
{
	DifferenceReceiver *receiver = palloc0(sizeof(DifferenceReceiver));

	receiver->pub.receiveSlot = difference_receive;
	receiver->pub.rStartup = difference_receive_startup;
	receiver->pub.rShutdown = difference_receive_shutdown;
	receiver->pub.rDestroy = difference_receive_destroy;
	receiver->pub.mydest = DestNone;
	receiver->difference = difference;
	receiver->multiplicity = multiplicity;
	return &receiver->pub;
}

/*
 * Run a query under the active snapshot and add its rows so many times. The
 * hooks are left out: it is no statement of the user's, and waits for nothing.
 */
void
difference_add_query(Difference *difference, PlannedStmt *planned, const char *text,
                     ParamListInfo parameters, int64 multiplicity)
{
	DestReceiver *receiver = difference_receiver(difference, multiplicity);
	QueryDesc *query = CreateQueryDesc(planned, text, GetActiveSnapshot(), InvalidSnapshot,
	                                   receiver, parameters, NULL, 0);

	standard_ExecutorStart(query, 0);
	standard_ExecutorRun(query, ForwardScanDirection, 0, true);
	standard_ExecutorFinish(query);
	standard_ExecutorEnd(query);
	FreeQueryDesc(query);
	receiver->rDestroy(receiver);
}
