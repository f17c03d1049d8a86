/*-------------------------------------------------------------------------
 *
 * ahead.h
 *	  Rows taken before the transaction that inserts them has ended.
 *
 * A large load is looked at while it runs: what its rows come to is computed
 * aside, and counts once its transaction is visible in a cut. An Ahead is about
 * one transaction (or subtransaction) and one relation.
 *
 * Invariants:
 *	- A row is taken at most once: by a WAL record that was read ahead, on a
 *	  page the transaction began or in front of which it was taken already. It
 *	  carries the transaction's xid and no xmax.
 *	- On a page, the transaction's rows up to the last one taken were all taken:
 *	  behind one that was not, none is.
 *	- What is inserted never changes. A record, read ahead or not, that removes a
 *	  taken row, or writes one again where a taken row is, spoils the whole;
 *	  then its blocks are places as if nothing had been taken.
 *	- So at a cut up to which the WAL was read and in which the transaction is
 *	  visible, what is not spoilt is exactly visible there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_AHEAD_H
#define FRESHET_AHEAD_H

#include "postgres.h"

#include "access/htup.h"
#include "storage/block.h"
#include "storage/off.h"
#include "utils/rel.h"

struct aheadblock_hash;

typedef struct Ahead
{
	uint64 number; /* never used again */
	TransactionId xid;
	Oid relid;
	RelFileNode node;
	uint16 index; /* of the relation in the capture */
	bool spoilt;
	int64 rows; /* taken */
	MemoryContext context;
	struct aheadblock_hash *blocks; /* with taken rows */
	uint64 *queue;                  /* block and offset of rows read and not taken yet */
	int64 queued;
	int64 capacity;
} Ahead;

/* Given rows of one page; they are valid during the call. */
typedef void (*AheadRows)(const Ahead *ahead, HeapTuple rows, int count, void *context);

extern Ahead *
ahead_create(MemoryContext parent, TransactionId xid, Oid relid, RelFileNode node, uint16 index);
extern bool
ahead_queue(Ahead *ahead, BlockNumber block, const OffsetNumber *offsets, int count, bool fresh);
extern void ahead_touch(Ahead *ahead, BlockNumber block, OffsetNumber offset);
extern bool ahead_took(const Ahead *ahead, HeapTuple tuple);
extern int64 ahead_blocks(const Ahead *ahead, BlockNumber *blocks);
extern void ahead_read(Ahead *ahead, Relation relation, AheadRows rows, void *context);
extern void ahead_spoil(Ahead *ahead);
extern void ahead_free(Ahead *ahead);

#endif /* FRESHET_AHEAD_H */
