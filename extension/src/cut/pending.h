/*-------------------------------------------------------------------------
 *
 * pending.h
 *	  The places that transactions touched, until a cut shows them.
 *
 * A place is a (relation, block, offset), packed into 64 bits; offset 0 is the
 * whole block. It is kept under the transaction, or subtransaction, that touched
 * it, and so is what is taken ahead of one.
 *
 * Invariants: see capture.h, whose half this is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_PENDING_H
#define FRESHET_PENDING_H

#include "postgres.h"

#include "cut/ahead.h"
#include "cut/capture.h"
#include "storage/block.h"

#define PLACE(index, block, offset)                                                                \
	(((uint64) (index) << 48) | ((uint64) (block) << 16) | (uint64) (offset))

typedef struct PendingTransaction
{
	TransactionId xid; /* key: a transaction or subtransaction */
	char status;
	bool collected; /* handed out by pending_collect */
	XLogRecPtr first_lsn;
	uint64 *places;
	int count;
	int capacity;
} PendingTransaction;

struct transaction_hash;

typedef struct Pending
{
	MemoryContext context;
	struct transaction_hash *transactions;
	List *ahead; /* of Ahead *, each of one of the transactions */
	/* xids whose places pending_collect has handed out */
	TransactionId *collected;
	int collected_count;
	int collected_capacity;
} Pending;

extern Pending *pending_create(MemoryContext context);
extern PendingTransaction *pending_transaction(Pending *pending, TransactionId xid, XLogRecPtr lsn);
extern void pending_add(PendingTransaction *entry, uint64 place);
extern Ahead *pending_find_ahead(Pending *pending, TransactionId xid, uint16 index);
extern Ahead *
pending_add_ahead(Pending *pending, TransactionId xid, Oid relid, RelFileNode node, uint16 index);
extern void pending_touch(Pending *pending, uint16 index, BlockNumber block, OffsetNumber offset);
extern void pending_spoil_ahead(Pending *pending);
extern void pending_mark_indexes(Pending *pending, bool *used);
extern XLogRecPtr pending_restart_lsn(Pending *pending, XLogRecPtr position);
extern List *
pending_collect(Pending *pending, const Oid *relids, Snapshot old_snapshot, Snapshot new_snapshot);
extern void pending_finish(Pending *pending, bool keep);

#endif /* FRESHET_PENDING_H */
