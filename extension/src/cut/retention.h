/*-------------------------------------------------------------------------
 *
 * retention.h
 *	  The replication slot that keeps a database's cuts readable: its xmin
 *	  keeps vacuum from the rows, its restart_lsn keeps the WAL.
 *
 * Invariants:
 *	- What the slot holds is never newer than the last cut whose commit record
 *	  is flushed: after a crash that cut is where the worker goes on.
 *	- Only the database's worker acquires the slot.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_RETENTION_H
#define FRESHET_RETENTION_H

#include "cut/cut.h"

extern bool retention_acquire(Oid dboid);
extern bool retention_covers(const Cut *cut);
extern void retention_hold(TransactionId xmin, XLogRecPtr restart_lsn);
extern TransactionId retention_xmin(void);
extern void retention_save(void);
extern void retention_drop(Oid dboid);

#endif /* FRESHET_RETENTION_H */
