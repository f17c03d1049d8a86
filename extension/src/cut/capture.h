/*-------------------------------------------------------------------------
 *
 * capture.h
 *	  From the WAL between two cuts to the row versions that differ.
 *
 * Invariants:
 *	- Every version of a watched relation whose visibility differs between two
 *	  cuts was touched by a heap record of a transaction that became visible
 *	  between them; its position is pending under that transaction's xid until
 *	  then, so a long transaction costs nothing per cycle.
 *	- The WAL is only a hint where to look. Whether a version appeared (+1) or
 *	  disappeared (-1) is decided by its visibility under the two snapshots.
 *	- Capture.restart_lsn is never after the first record of a pending
 *	  transaction: reading again from there finds everything again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CAPTURE_H
#define FRESHET_CAPTURE_H

#include "postgres.h"

#include "cut/ahead.h"
#include "cut/cut.h"
#include "storage/itemptr.h"
#include "storage/sinval.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

typedef struct Capture Capture;

/* What changed in one relation between two cuts. */
typedef struct RelationChange
{
	Oid relid;
	bool whole; /* too much to list, or the relation's file was
								 * replaced: anything may have changed */
	/* positions found in the WAL, sorted; offset 0 means the whole block */
	ItemPointerData *places;
	int place_count;
	List *ahead; /* of Ahead *: what was taken of it before, and is not
	              * among the places */

	/* filled by change_read */
	bool read;
	MemoryContext context; /* of everything below */
	TupleDesc descriptor;
	Tuplestorestate *plus;       /* versions visible at the new cut only */
	Tuplestorestate *minus;      /* versions visible at the old cut only */
	ItemPointerData *plus_tids;  /* sorted */
	ItemPointerData *minus_tids; /* sorted */
	int64 plus_count;
	int64 minus_count;
	int64 plus_capacity;
	int64 minus_capacity;
} RelationChange;

/*
 * Told of every invalidation by a committed transaction, which may not be
 * visible yet; says whether it changed a relation that is watched.
 */
typedef bool (*CaptureInvalidated)(const SharedInvalidationMessage *message, TransactionId xid);

/* Is anybody interested in the rows of a load into this relation that still runs? */
typedef bool (*CaptureWanted)(Oid relid, void *context);

extern Capture *
capture_create(MemoryContext parent, XLogRecPtr start, CaptureInvalidated invalidated);
extern void capture_watch(Capture *capture, Oid relid, RelFileNode node);
extern List *capture_watch_only(Capture *capture, const Oid *relids, int count);
extern bool capture_watches(Capture *capture, Oid relid, RelFileNode *node);
extern void capture_rewind(Capture *capture, bool again);
extern void capture_read_wal(Capture *capture, XLogRecPtr upto);
extern void
capture_read_ahead(Capture *capture, XLogRecPtr upto, CaptureWanted wanted, void *context);
extern XLogRecPtr capture_position(Capture *capture);
extern List *capture_ahead(Capture *capture);
extern void capture_spoil_ahead(Capture *capture);
extern XLogRecPtr capture_restart_lsn(Capture *capture);
extern List *capture_collect(Capture *capture, Snapshot old_snapshot, Snapshot new_snapshot);
extern void capture_finish(Capture *capture, bool keep);

extern int64 change_ahead_rows(const RelationChange *change);
extern void change_add_ahead(RelationChange *change);
extern void change_read(RelationChange *change, Relation relation, Snapshot old_snapshot,
                        Snapshot new_snapshot);
extern void change_begin(RelationChange *change, TupleDesc descriptor);
extern void change_add(RelationChange *change, HeapTuple tuple, int sign);
extern void change_end(RelationChange *change);
extern void change_free(RelationChange *change);
extern bool change_contains(const RelationChange *change, int sign, ItemPointer tid);

#endif /* FRESHET_CAPTURE_H */
