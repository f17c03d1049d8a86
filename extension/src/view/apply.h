/*-------------------------------------------------------------------------
 *
 * apply.h
 *	  Writing a view's rows.
 *
 * A matview is written through the table and index access methods, by the
 * worker only, under RowExclusiveLock. Everything written is noted for those
 * who read this view's changes in the same cycle (views over it) or later
 * (subscriptions).
 *
 * Unique indexes of users: all deletions of a cycle come before its
 * insertions, and an update touches unique columns only if no other row of the
 * cycle can hold the same value in between (apply_update decides).
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_APPLY_H
#define FRESHET_APPLY_H

#include "postgres.h"

#include "access/heapam.h"
#include "cut/capture.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "view/bulk.h"

/* Reading a page costs about as much as finding so many rows through an index. */
#define LOOKUPS_PER_PAGE 5

typedef struct ViewLocator ViewLocator;

/* Where a row of some hash is, and the locator's entry for it. */
typedef struct Place
{
	uint64 hash;
	ItemPointerData tid;
	ItemPointerData entry; /* invalid: there is none */
} Place;

/* Places remembered by hash. */
typedef struct Places Places;

typedef struct ViewTarget
{
	Relation relation;
	EState *estate;
	ResultRelInfo *result;
	MemoryContext context; /* lives as long as the target */
	BulkInsertState bulk;
	TupleTableSlot **batch;   /* rows waiting for apply_flush */
	ItemPointer *places;      /* where to say where they are; NULL: nobody asks */
	ItemPointerData *entries; /* the locator's that are to lead to them; invalid: new ones */
	int batch_count;
	TupleTableSlot *slot; /* for a row fetched by tid */
	int identity_count;   /* attributes that tell rows apart; 0: all of them */
	const AttrNumber *identity;
	bool by_identity;       /* rows are found by them alone, and no two share them */
	RelationChange *change; /* NULL: nobody reads this view's changes now */
	ViewLocator *locator;   /* NULL: not needed so far */
	Places *known;          /* where rows are, as the locator knows it */
	ItemPointerData *tids;  /* every version that came or went */
	int tid_count;
	int tid_capacity;
	int64 inserted;
	int64 deleted;
} ViewTarget;

extern ViewTarget *apply_open(Relation relation, RelationChange *change);
extern void apply_insert(ViewTarget *target, TupleTableSlot *row);
extern void apply_insert_again(ViewTarget *target, TupleTableSlot *row, ItemPointer entry);
extern void apply_insert_placed(ViewTarget *target, TupleTableSlot *row, ItemPointer tid);
extern void apply_bulk(ViewTarget *target, BulkRow *rows, int count, bool in_place,
                       bool (*is_old)(BulkRow *row, TupleTableSlot *version, void *context),
                       MinimalTuple (*wanted)(BulkRow *row, void *context), void *context);
extern void apply_insert_now(ViewTarget *target, TupleTableSlot *row, ItemPointer tid);
extern void apply_delete(ViewTarget *target, ItemPointer tid);
extern bool apply_update_in_place(ViewTarget *target, int attributes, const AttrNumber *fixed);
extern bool apply_read(Relation relation, ItemPointer tid, TupleTableSlot *slot);
extern bool apply_read_chain(Relation relation, ItemPointer root, TupleTableSlot *slot);
extern void apply_flush(ViewTarget *target);
extern void apply_close(ViewTarget *target);

/* locator.c: from a row's image to where it is */
extern void locator_open(ViewTarget *target, bool build);
extern uint64 locator_hash(ViewTarget *target, TupleTableSlot *row);
extern bool locator_scanned(ViewTarget *target, int rows);
extern bool locator_recall(ViewTarget *target, uint64 hash, Place *place);
extern int locator_find(ViewTarget *target, TupleTableSlot *row, int64 wanted, Place *rows);
extern void
locator_inserted(ViewTarget *target, TupleTableSlot *row, ItemPointer tid, ItemPointer entry);
extern void locator_moved(ViewTarget *target, Place *row, ItemPointer tid);
extern void locator_forget(ViewTarget *target, Place *row);
extern void locator_close(ViewTarget *target);
extern void locator_drop(Oid view);

/* places.c: where rows were seen last */
extern Places *places_create(MemoryContext context);
extern void places_clear(Places *places);
extern void places_concern(Places *places, Relation relation, Relation locator);
extern bool places_get(Places *places, uint64 hash, Place *found);
extern void places_prefetch(Places *places, uint64 hash);
extern void places_put(Places *places, uint64 hash, ItemPointer tid, ItemPointer entry);
extern void places_put_unasked(Places *places, uint64 hash, ItemPointer tid, ItemPointer entry);
extern void places_remove(Places *places, uint64 hash, ItemPointer tid);

/* hidden.c: tables of the extension's own that belong to one view */
/* What we do with hidden tables at present. */
typedef enum HiddenChange
{
	HIDDEN_NOT_OURS, /* nothing: who changes one is somebody else */
	HIDDEN_TABLE,
	HIDDEN_INDEX
} HiddenChange;

extern Oid hidden_relation(const char *prefix, Oid view);
extern Oid hidden_create(const char *prefix, Oid view, const char *columns, int fillfactor);
extern Oid hidden_create_index(const char *prefix, Oid view, const char *columns);
extern void hidden_ensure_index(const char *prefix, Oid view, const char *columns);
extern Oid hidden_index(Oid relation);
extern void hidden_drop(const char *prefix, Oid view);
extern void hidden_drop_parts(Oid view, int first);
extern void hidden_drop_all(Oid view);
extern void hidden_drop_owned(Oid owner);
extern void hidden_follow_owner(Oid view);
extern bool hidden_is(Oid relation);
extern HiddenChange hidden_changing(void);
/* Run REASSIGN OWNED, which takes hidden tables along. */
extern void hidden_run_reassign(void (*run)(void *context), void *context);

#endif /* FRESHET_APPLY_H */
