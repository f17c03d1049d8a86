/*-------------------------------------------------------------------------
 *
 * image.c
 *	  Rows compared by image (image.h), and a Z-set of rows in memory.
 *
 * Invariants:
 *	- Rows with the same image have the same hash, however their values are
 *	  stored: short or long varlena header, compressed, out of line. Dropped
 *	  columns count for nothing.
 *	- A bag holds no pointer out of line: what is in it stays readable when
 *	  the cut it came from is given up and vacuum takes its TOAST rows.
 *	- A bag's rows are kept until it is destroyed, those whose multiplicity
 *	  came to zero included; everything is in its own memory context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "delta/image.h"

/* What stands for a NULL in the hash. */
#define IMAGE_NULL_HASH UINT64CONST(0x9e3779b97f4a7c15)

/* A row's identity while it is looked up: its hash, and the row itself once stored. */
typedef struct ImageKey
{
	uint64 hash;
	MinimalTuple tuple; /* NULL: the row being added (bag->values) */
} ImageKey;

typedef struct ImageEntry
{
	ImageKey key;
	int64 multiplicity;
	char status; /* of simplehash */
} ImageEntry;

#define SH_PREFIX imagetab
#define SH_ELEMENT_TYPE ImageEntry
#define SH_KEY_TYPE ImageKey
#define SH_SCOPE static inline
#define SH_DECLARE
#include "lib/simplehash.h"

struct ImageBag
{
	MemoryContext context; /* everything below */
	MemoryContext rows;    /* the stored tuples, one after the other */
	MemoryContext scratch; /* reset with each row added */
	TupleDesc descriptor;
	imagetab_hash *table;
	imagetab_iterator iterator;
	TupleTableSlot *stored; /* reads a stored row for comparison */
	Datum *values;          /* the row being added */
	bool *nulls;
};

static bool image_stored_equal(ImageBag *bag, const ImageKey *stored);

#define SH_PREFIX imagetab
#define SH_ELEMENT_TYPE ImageEntry
#define SH_KEY_TYPE ImageKey
#define SH_KEY key
#define SH_HASH_KEY(tb, k) ((uint32) ((k).hash ^ ((k).hash >> 32)))
#define SH_EQUAL(tb, a, b)                                                                         \
	((a).hash == (b).hash && image_stored_equal((ImageBag *) (tb)->private_data, &(a)))
#define SH_SCOPE static inline
#define SH_DEFINE
#include "lib/simplehash.h"

/* Spread the bits of a number (the finalizer of MurmurHash3). */
static inline uint64
image_mix(uint64 bits)
{
	bits ^= bits >> 33;
	bits *= UINT64CONST(0xff51afd7ed558ccd);
	bits ^= bits >> 33;
	bits *= UINT64CONST(0xc4ceb9fe1a85ec53);
	bits ^= bits >> 33;
	return bits;
}

/*
 * The hash of one value that is not NULL. As in datum_image_eq, only the
 * type's own bytes of a Datum count: what lies above them may differ.
 */
static uint64
image_hash_value(Datum value, int16 length, bool by_value)
{
	if (by_value)
	{
		switch (length)
		{
			case sizeof(char):
				return image_mix((uint8) DatumGetChar(value));
			case sizeof(int16):
				return image_mix((uint16) DatumGetInt16(value));
			case sizeof(int32):
				return image_mix((uint32) DatumGetInt32(value));
			default:
				return image_mix((uint64) value);
		}
	}

	if (length > 0)
		return hash_bytes_extended((unsigned char *) DatumGetPointer(value), length, 0);

	if (length == -1)
	{
		struct varlena *packed = PG_DETOAST_DATUM_PACKED(value);
		uint64 hash = hash_bytes_extended((unsigned char *) VARDATA_ANY(packed),
		                                  VARSIZE_ANY_EXHDR(packed), 0);

		if ((Pointer) packed != DatumGetPointer(value))
			pfree(packed);
		return hash;
	}

	Assert(length == -2);
	return hash_bytes_extended((unsigned char *) DatumGetCString(value),
	                           strlen(DatumGetCString(value)), 0);
}

/* The hash of a row given as arrays. */
static uint64
image_hash_row(TupleDesc descriptor, const Datum *values, const bool *nulls)
{
	uint64 hash = 0;

	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		if (attribute->attisdropped)
			continue;
		hash = hash_combine64(
		    hash, nulls[i] ? IMAGE_NULL_HASH
		                   : image_hash_value(values[i], attribute->attlen, attribute->attbyval));
	}

	return hash;
}

/* The 64-bit hash of a row's image. */
uint64
image_hash(TupleTableSlot *slot)
{
	slot_getallattrs(slot);
	return image_hash_row(slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull);
}

/* The 64-bit hash of the images of some of a row's columns. */
uint64
image_hash_columns(TupleTableSlot *slot, const AttrNumber *columns, int count)
{
	uint64 hash = 0;

	slot_getallattrs(slot);
	for (int i = 0; i < count; i++)
	{
		int column = columns[i] - 1;
		Form_pg_attribute attribute = TupleDescAttr(slot->tts_tupleDescriptor, column);

		hash = hash_combine64(hash, slot->tts_isnull[column]
		                                ? IMAGE_NULL_HASH
		                                : image_hash_value(slot->tts_values[column],
		                                                   attribute->attlen, attribute->attbyval));
	}
	return hash;
}

/* Are two values of an attribute, which may be NULL, the same image? */
static inline bool
image_equal_value(Form_pg_attribute attribute, Datum left, bool left_null, Datum right,
                  bool right_null)
{
	return left_null == right_null &&
	       (left_null || datum_image_eq(left, right, attribute->attbyval, attribute->attlen));
}

/*
 * Are two rows given as arrays the same image? The descriptors have the same
 * live columns; where the dropped ones lie may differ.
 */
static bool
image_equal_rows(TupleDesc left, const Datum *left_values, const bool *left_nulls, TupleDesc right,
                 const Datum *right_values, const bool *right_nulls)
{
	int j = 0;

	for (int i = 0; i < left->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(left, i);

		if (attribute->attisdropped)
			continue;
		while (j < right->natts && TupleDescAttr(right, j)->attisdropped)
			j++;
		if (j >= right->natts)
			return false;
		if (!image_equal_value(attribute, left_values[i], left_nulls[i], right_values[j],
		                       right_nulls[j]))
			return false;
		j++;
	}

	while (j < right->natts && TupleDescAttr(right, j)->attisdropped)
		j++;
	return j == right->natts;
}

/* Are two rows the same image? */
bool
image_equal(TupleTableSlot *left, TupleTableSlot *right)
{
	slot_getallattrs(left);
	slot_getallattrs(right);
	return image_equal_rows(left->tts_tupleDescriptor, left->tts_values, left->tts_isnull,
	                        right->tts_tupleDescriptor, right->tts_values, right->tts_isnull);
}

/* Are these columns of two rows with the same columns the same image? */
bool
image_equal_columns(TupleTableSlot *left, TupleTableSlot *right, const AttrNumber *columns,
                    int count)
{
	slot_getallattrs(left);
	slot_getallattrs(right);
	for (int i = 0; i < count; i++)
	{
		int column = columns[i] - 1;

		if (!image_equal_value(TupleDescAttr(left->tts_tupleDescriptor, column),
		                       left->tts_values[column], left->tts_isnull[column],
		                       right->tts_values[column], right->tts_isnull[column]))
			return false;
	}
	return true;
}

/* A minimal tuple as a heap tuple; nothing before its number of attributes is to be looked at. */
HeapTupleData
image_heap_tuple(MinimalTuple tuple)
{
	HeapTupleData result = {.t_len = tuple->t_len + MINIMAL_TUPLE_OFFSET,
	                        .t_data = (HeapTupleHeader) ((char *) tuple - MINIMAL_TUPLE_OFFSET)};

	ItemPointerSetInvalid(&result.t_self);
	return result;
}

/* Prepare to compare rows of this description, in the current memory context. */
ImageComparison *
image_comparison_create(TupleDesc descriptor)
{
	ImageComparison *comparison = palloc(sizeof(ImageComparison));

	comparison->by_bytes = true;
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		/* values of other lengths are stored in more than one way, what was dropped counts for nothing */
		if (attribute->attlen < 0 || attribute->attisdropped)
			comparison->by_bytes = false;
	}
	comparison->left = MakeSingleTupleTableSlot(descriptor, &TTSOpsHeapTuple);
	comparison->right = MakeSingleTupleTableSlot(descriptor, &TTSOpsHeapTuple);
	return comparison;
}

/* Are two tuples the same bytes? Then they are the same image. */
static bool
image_identical(HeapTuple left, HeapTuple right)
{
	const int fixed = offsetof(HeapTupleHeaderData, t_bits);

	return left->t_len == right->t_len && left->t_data->t_hoff == right->t_data->t_hoff &&
	       HeapTupleHeaderGetNatts(left->t_data) == HeapTupleHeaderGetNatts(right->t_data) &&
	       ((left->t_data->t_infomask ^ right->t_data->t_infomask) & HEAP_HASNULL) == 0 &&
	       memcmp((char *) left->t_data + fixed, (char *) right->t_data + fixed,
	              left->t_len - fixed) == 0;
}

/* Are two tuples the same image? They are taken apart only if their bytes do not tell. */
bool
image_same(ImageComparison *comparison, HeapTuple left, HeapTuple right)
{
	bool result;

	if (image_identical(left, right))
		return true;
	if (comparison->by_bytes)
		return false;
	ExecStoreHeapTuple(left, comparison->left, false);
	ExecStoreHeapTuple(right, comparison->right, false);
	result = image_equal(comparison->left, comparison->right);
	ExecClearTuple(comparison->left);
	ExecClearTuple(comparison->right);
	return result;
}

/* Likewise, of minimal tuples. */
bool
image_same_minimal(ImageComparison *comparison, MinimalTuple left, MinimalTuple right)
{
	HeapTupleData left_tuple = image_heap_tuple(left);
	HeapTupleData right_tuple = image_heap_tuple(right);

	return image_same(comparison, &left_tuple, &right_tuple);
}

/* Give up a comparison. */
void
image_comparison_destroy(ImageComparison *comparison)
{
	ExecDropSingleTupleTableSlot(comparison->left);
	ExecDropSingleTupleTableSlot(comparison->right);
	pfree(comparison);
}

/* Is a stored row, whose hash is the right one, the row being added? */
static bool
image_stored_equal(ImageBag *bag, const ImageKey *stored)
{
	ExecStoreMinimalTuple(stored->tuple, bag->stored, false);
	slot_getallattrs(bag->stored);
	return image_equal_rows(bag->descriptor, bag->stored->tts_values, bag->stored->tts_isnull,
	                        bag->descriptor, bag->values, bag->nulls);
}

/* An empty bag for rows of this description, in a child of parent. */
ImageBag *
image_bag_create(MemoryContext parent, TupleDesc descriptor)
{
	MemoryContext context =
	    AllocSetContextCreate(parent, "freshet image bag", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	ImageBag *bag = palloc0(sizeof(ImageBag));

	bag->context = context;
	bag->rows = GenerationContextCreate(context, "freshet image rows", ALLOCSET_DEFAULT_SIZES);
	bag->scratch = AllocSetContextCreate(context, "freshet image scratch", ALLOCSET_SMALL_SIZES);
	bag->descriptor = CreateTupleDescCopy(descriptor);
	bag->table = imagetab_create(context, 64, bag);
	bag->stored = MakeSingleTupleTableSlot(bag->descriptor, &TTSOpsMinimalTuple);
	bag->values = palloc(sizeof(Datum) * Max(descriptor->natts, 1));
	bag->nulls = palloc(sizeof(bool) * Max(descriptor->natts, 1));

	MemoryContextSwitchTo(caller);
	return bag;
}

/*
 * Load the row being added into the bag's arrays: dropped columns as NULL,
 * values out of line fetched (into the scratch context).
 */
static void
image_bag_load(ImageBag *bag, TupleTableSlot *slot)
{
	TupleDesc descriptor = bag->descriptor;

	if (slot->tts_tupleDescriptor->natts != descriptor->natts)
		elog(ERROR, "row of %d columns added to a bag of %d", slot->tts_tupleDescriptor->natts,
		     descriptor->natts);

	slot_getallattrs(slot);
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		bag->values[i] = slot->tts_values[i];
		bag->nulls[i] = slot->tts_isnull[i] || attribute->attisdropped;
		if (!bag->nulls[i] && attribute->attlen == -1 &&
		    VARATT_IS_EXTERNAL(DatumGetPointer(bag->values[i])))
			bag->values[i] = PointerGetDatum(
			    detoast_external_attr((struct varlena *) DatumGetPointer(bag->values[i])));
	}
}

/* Add a row so many times; a negative multiplicity takes it out. */
void
image_bag_add(ImageBag *bag, TupleTableSlot *slot, int64 multiplicity)
{
	MemoryContext caller = MemoryContextSwitchTo(bag->scratch);
	ImageKey key = {0, NULL};
	ImageEntry *entry;
	bool found;

	image_bag_load(bag, slot);
	key.hash = image_hash_row(bag->descriptor, bag->values, bag->nulls);
	entry = imagetab_insert(bag->table, key, &found);
	if (found)
		entry->multiplicity += multiplicity;
	else
	{
		/* until the tuple is there the entry must not be compared with */
		MemoryContextSwitchTo(bag->rows);
		entry->key.tuple = heap_form_minimal_tuple(bag->descriptor, bag->values, bag->nulls);
		entry->multiplicity = multiplicity;
	}

	MemoryContextSwitchTo(caller);
	MemoryContextReset(bag->scratch);
}

/* How much memory the bag takes. */
Size
image_bag_bytes(ImageBag *bag)
{
	return MemoryContextMemAllocated(bag->context, true);
}

/* Start reading the bag; nothing may be added until the reading is over. */
void
image_bag_scan_begin(ImageBag *bag)
{
	imagetab_start_iterate(bag->table, &bag->iterator);
}

/*
 * The next row whose multiplicity is not zero, stored in a slot of the bag's
 * description; valid until the bag is destroyed. False at the end.
 */
bool
image_bag_scan_next(ImageBag *bag, TupleTableSlot *slot, int64 *multiplicity)
{
	ImageEntry *entry;

	while ((entry = imagetab_iterate(bag->table, &bag->iterator)) != NULL)
	{
		if (entry->multiplicity == 0)
			continue;
		ExecForceStoreMinimalTuple(entry->key.tuple, slot, false);
		*multiplicity = entry->multiplicity;
		return true;
	}

	ExecClearTuple(slot);
	return false;
}

/* Give up the bag and everything in it. */
void
image_bag_destroy(ImageBag *bag)
{
	ExecDropSingleTupleTableSlot(bag->stored);
	MemoryContextDelete(bag->context);
}
