/*-------------------------------------------------------------------------
 *
 * pin.c
 *	  Cuts that somebody still reads: pins hold the slot of the database back.
 *
 * A pin is taken at what the slot holds, and the slot is advanced only to what
 * no pin asks for (frontier_hold_xmin), both under the database's spinlock: so
 * a pin never asks for rows that are gone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "cut/frontier_private.h"
#include "miscadmin.h"
#include "storage/ipc.h"

int frontier_max_pins_per_role = 256;

/* what this backend must give back when it ends */
static bool exit_registered = false;
static FrontierDatabase *pinned = NULL;
static int pin_count = 0;

/* Gives back pins, whatever way the backend ends. */
static void
pin_backend_exit(int code, Datum arg)
{
	if (pin_count == 0)
		return;
	SpinLockAcquire(&pinned->lock);
	for (int i = 0; i < pinned->pins_used; i++)
	{
		if (pinned->pins[i].pid == MyProcPid)
			pinned->pins[i].pid = 0;
	}
	SpinLockRelease(&pinned->lock);
	pin_count = 0;
}

/* How many pins a role has, and all roles together; the caller holds the spinlock. */
static void
pin_count_of(const FrontierDatabase *database, Oid role, int *own, int *all)
{
	*own = *all = 0;
	for (int i = 0; i < database->pins_used; i++)
	{
		if (database->pins[i].pid == 0)
			continue;
		(*all)++;
		*own += database->pins[i].role == role;
	}
}

/* Says that there is no pin for a role. */
static void
pin_refuse(Oid role, int own)
{
	if (own >= frontier_max_pins_per_role)
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		                errmsg("too many subscriptions of role \"%s\" in this database",
		                       GetUserNameFromId(role, false)),
		                errdetail("A role can read at most %d cuts at a time.",
		                          frontier_max_pins_per_role),
		                errhint("An administrator can increase "
		                        "freshet.max_subscriptions_per_role.")));
	ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
	                errmsg("too many subscriptions in this database"),
	                errdetail("At most %d cuts can be read at a time; %d are kept for superusers.",
	                          FRONTIER_MAX_PINS, FRONTIER_RESERVED_PINS)));
}

/* See frontier.h. */
int
frontier_pin(FrontierDatabase *database, TransactionId *xmin)
{
	Oid role = GetUserId();
	bool privileged = superuser();
	int pin = -1;
	bool full;
	int own;
	int all;
	int64 now = cut_now_ms();

	frontier_at_exit(&exit_registered, pin_backend_exit);
	SpinLockAcquire(&database->lock);
	pin_count_of(database, role, &own, &all);
	full = privileged ? all >= FRONTIER_MAX_PINS
	                  : own >= frontier_max_pins_per_role ||
	                        all >= FRONTIER_MAX_PINS - FRONTIER_RESERVED_PINS;
	for (int i = 0; i < FRONTIER_MAX_PINS && !full; i++)
	{
		if (database->pins[i].pid != 0)
			continue;
		if (TransactionIdIsValid(database->slot_xmin))
		{
			pin = i;
			database->pins[i].pid = MyProcPid;
			database->pins[i].role = role;
			database->pins[i].xmin = *xmin = database->slot_xmin;
			database->pins[i].since_ms = now;
			database->pins[i].lost = false;
			database->pins_used = Max(database->pins_used, i + 1);
		}
		break;
	}
	SpinLockRelease(&database->lock);

	if (full)
		pin_refuse(role, privileged ? -1 : own);
	if (pin >= 0)
	{
		pinned = database;
		pin_count++;
	}
	return pin;
}

/* The reader has come to a later cut. */
void
frontier_pin_advance(FrontierDatabase *database, int pin, TransactionId xmin)
{
	int64 now = cut_now_ms();

	Assert(pin >= 0 && pin < FRONTIER_MAX_PINS && database->pins[pin].pid == MyProcPid);
	SpinLockAcquire(&database->lock);
	if (TransactionIdFollowsOrEquals(xmin, database->pins[pin].xmin))
	{
		database->pins[pin].xmin = xmin;
		database->pins[pin].since_ms = now;
	}
	SpinLockRelease(&database->lock);
}

/* Has the pinned cut been dropped because it was held too long? */
bool
frontier_pin_lost(FrontierDatabase *database, int pin)
{
	bool lost;

	Assert(pin >= 0 && pin < FRONTIER_MAX_PINS);
	SpinLockAcquire(&database->lock);
	lost = database->pins[pin].pid != MyProcPid || database->pins[pin].lost;
	SpinLockRelease(&database->lock);
	return lost;
}

/* The cut is no longer read. */
void
frontier_unpin(FrontierDatabase *database, int pin)
{
	Assert(pin >= 0 && pin < FRONTIER_MAX_PINS);
	SpinLockAcquire(&database->lock);
	if (database->pins[pin].pid == MyProcPid)
	{
		database->pins[pin].pid = 0;
		pin_count--;
	}
	SpinLockRelease(&database->lock);
}

/* The oldest pin that still holds something; the caller holds the spinlock. */
static TransactionId
pin_oldest(FrontierDatabase *database)
{
	TransactionId oldest = InvalidTransactionId;

	for (int i = 0; i < database->pins_used; i++)
	{
		FrontierPin *pin = &database->pins[i];

		if (pin->pid == 0 || pin->lost)
			continue;
		if (!TransactionIdIsValid(oldest) || TransactionIdPrecedes(pin->xmin, oldest))
			oldest = pin->xmin;
	}
	return oldest;
}

/* See frontier.h. */
TransactionId
frontier_hold_xmin(FrontierDatabase *database, TransactionId wanted)
{
	TransactionId oldest;

	SpinLockAcquire(&database->lock);
	oldest = pin_oldest(database);
	if (TransactionIdIsValid(oldest) && TransactionIdPrecedes(oldest, wanted))
		wanted = oldest;
	database->slot_xmin = wanted;
	SpinLockRelease(&database->lock);
	return wanted;
}

/* See frontier.h. */
void
frontier_drop_pins(FrontierDatabase *database, int64 before_ms)
{
	SpinLockAcquire(&database->lock);
	for (int i = 0; i < database->pins_used; i++)
	{
		if (database->pins[i].pid != 0 && database->pins[i].since_ms < before_ms)
			database->pins[i].lost = true;
	}
	SpinLockRelease(&database->lock);
}
