/*-------------------------------------------------------------------------
 *
 * cut.h
 *	  A cut: an MVCC snapshot, the WAL position up to which its changes have
 *	  been read, and the wall-clock time at which it was taken.
 *
 * Invariants:
 *	- A cut's snapshot is never overflowed and was never taken in recovery, so
 *	  it can be read after a restart, when pg_subtrans is gone.
 *	- The snapshot also sees the transactions in which the worker wrote the
 *	  views' contents for this very cut (cut_include_own_transaction), so one
 *	  snapshot shows base tables and views at the same frontier.
 *	- curcid is FirstCommandId: the writes of the transaction that is looking
 *	  are never part of an old cut.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CUT_H
#define FRESHET_CUT_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "utils/snapshot.h"

typedef struct Cut
{
	uint64 number;          /* grows by one with every cut of a database */
	Snapshot snapshot;      /* what is visible at the cut */
	XLogRecPtr lsn;         /* WAL has been read up to here */
	XLogRecPtr restart_lsn; /* reading from here sees every record of the
								 * transactions still running at the cut */
	int64 at_ms;            /* milliseconds since 1970; never goes back, and grows
								 * with every cut that somebody may subscribe to */
	bool current;           /* made by the transaction that is running: sees
								 * what it has written */
	Oid *behind;            /* maintained views whose content is older */
	int behind_count;
	Oid *unsettled; /* views rebuilt with every cut, until transactions have
	                 * ended that wrote before their tables were watched */
	int unsettled_count;
	uint64 completed; /* count of completed transactions when the
								 * snapshot was taken; not kept over a restart */
} Cut;

extern int64 cut_now_ms(void);
extern TimestampTz cut_timestamp(int64 at_ms);
extern Cut *cut_take(uint64 number, int64 least_ms);
extern Cut *cut_copy(const Cut *cut);
extern void cut_free(Cut *cut);
extern void cut_include_own_transaction(Cut *cut);
extern bytea *cut_serialize_snapshot(const Cut *cut);
extern Snapshot cut_restore_snapshot(const bytea *serialized);
extern void cut_push(const Cut *cut);
extern void cut_pop(void);
extern void cut_reset(void);
extern bool cut_pushed(void);
extern bool cut_too_old(const Cut *cut);

/* indexes.c */
extern void cut_install_hooks(void);
extern uint64 cut_hidden_indexes(void);

#endif /* FRESHET_CUT_H */
