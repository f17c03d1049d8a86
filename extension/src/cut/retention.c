/*-------------------------------------------------------------------------
 *
 * retention.c
 *	  The slot of a database's cuts.
 *
 * A physical slot without a walsender: PostgreSQL counts its xmin into every
 * vacuum horizon and its restart_lsn into WAL recycling, saves it with each
 * checkpoint and restores it before anything can be vacuumed after a crash.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "cut/retention.h"
#include "replication/slot.h"
#include "storage/spin.h"

/* The name of a database's slot, into a buffer of NAMEDATALEN. */
static void
retention_slot_name(Oid dboid, char *name)
{
	snprintf(name, NAMEDATALEN, "freshet_%u", dboid);
}

/*
 * Acquire the database's slot, creating it if it is not there. Returns whether
 * it was there. A new slot holds the WAL from here on and no rows yet; so does one
 * that PostgreSQL has given up (max_slot_wal_keep_size).
 *
 * Errors: as PostgreSQL's, wal_level too low or no slot free.
 */
bool
retention_acquire(Oid dboid)
{
	char name[NAMEDATALEN];

	CheckSlotRequirements();
	retention_slot_name(dboid, name);
	if (SearchNamedReplicationSlot(name, true) != NULL)
	{
		ReplicationSlotAcquire(name, true);
		if (XLogRecPtrIsInvalid(MyReplicationSlot->data.invalidated_at))
			return true;
		ReplicationSlotRelease();
		ReplicationSlotDrop(name, true);
	}
	ReplicationSlotCreate(name, false, RS_PERSISTENT, false);
	ReplicationSlotReserveWal();
	ReplicationSlotMarkDirty();
	ReplicationSlotSave();
	return false;
}

/* Is everything the cut needs still held by the slot? */
bool
retention_covers(const Cut *cut)
{
	ReplicationSlot *slot = MyReplicationSlot;

	return TransactionIdIsValid(slot->data.xmin) &&
	       TransactionIdPrecedesOrEquals(slot->data.xmin, cut->snapshot->xmin) &&
	       !XLogRecPtrIsInvalid(slot->data.restart_lsn) &&
	       slot->data.restart_lsn <= cut->restart_lsn;
}

/*
 * Let the slot hold rows from xmin and WAL from restart_lsn on, and release
 * what is older. It never goes back: when xmin is older than what is held
 * already, the rows are gone.
 */
void
retention_hold(TransactionId xmin, XLogRecPtr restart_lsn)
{
	ReplicationSlot *slot = MyReplicationSlot;
	bool xmin_moves =
	    !TransactionIdIsValid(slot->data.xmin) || TransactionIdPrecedes(slot->data.xmin, xmin);
	bool lsn_moves = slot->data.restart_lsn < restart_lsn;

	if (!xmin_moves && !lsn_moves)
		return;

	SpinLockAcquire(&slot->mutex);
	if (xmin_moves)
	{
		slot->data.xmin = xmin;
		slot->effective_xmin = xmin;
	}
	if (lsn_moves)
		slot->data.restart_lsn = restart_lsn;
	SpinLockRelease(&slot->mutex);

	ReplicationSlotMarkDirty();
	if (xmin_moves)
		ReplicationSlotsComputeRequiredXmin(false);
	if (lsn_moves)
		ReplicationSlotsComputeRequiredLSN();
}

/* The xmin the slot holds. */
TransactionId
retention_xmin(void)
{
	return MyReplicationSlot->data.xmin;
}

/* Write the slot to disk. */
void
retention_save(void)
{
	ReplicationSlotSave();
}

/* Give the slot up for good. */
void
retention_drop(Oid dboid)
{
	char name[NAMEDATALEN];

	retention_slot_name(dboid, name);
	if (MyReplicationSlot != NULL)
		ReplicationSlotRelease();
	if (SearchNamedReplicationSlot(name, true) != NULL)
		ReplicationSlotDrop(name, true);
}
