/*-------------------------------------------------------------------------
 *
 * lease.h
 *	  A backend of PostgreSQL, lent to whoever needs its state for a while.
 *
 * It is lent for a wish: role, password, database and options. When it comes back it is
 * made as new (DISCARD ALL) and kept for the next equal wish; after a minute without one it dies. Its last holder
 * gets it as it is, if he asks again within a moment: what a function has set for the session may still be there.
 * PostgreSQL checks the password when a backend is opened. That, and all that follows from it, is
 * believed for as long as the backend lives, at most LEASE_AGE_MS.
 *
 * Invariants:
 *	- Of a wish its key is kept, an HMAC under a secret of the process. No password outlives the opening.
 *	- Who is not trusted has proved a password: a PostgreSQL that asked for none is not believed.
 *	- A lease lives on the loop it was asked for on. Callbacks come from the loop, never from inside a
 *	  function of this file. Opening and cancelling wait on threads of libuv's.
 *	- There are limits for one role, one network and all together; who finds no place waits, and is refused
 *	  after LEASE_WAIT_MS (53300).
 *	- What is sent to a backend ends with lease_sync; its owner gives it back when all syncs were
 *	  answered, or drops it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_LEASE_H
#define FRESHET_LEASE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "session/server.h"

#define LEASE_IDLE_MS 60000
#define LEASE_AGE_MS 300000
#define LEASE_WAIT_MS 5000

typedef struct Lease Lease;
typedef struct LeaseRequest LeaseRequest;

typedef struct LeaseWish
{
	const char *role;
	const char *password; /* NULL: none was given */
	bool trusted;         /* may enter without */
	const char *database;
	const char *options; /* settings at its start: "-c name=value …" */
	uint64_t network;
	uint64_t holder; /* a number of the asker's own; 0: none */
} LeaseWish;

typedef struct LeaseEvents
{
	/* `request` is over */
	void (*granted)(void *owner, Lease *lease);
	void (*refused)(void *owner, const char *sqlstate, const char *message);

	/* each result as it comes, rows one by one, PGRES_PIPELINE_SYNC too; it is freed afterwards */
	void (*result)(void *owner, PGresult *result);

	/* all that was sent has left; only after lease_flush said that it had not */
	void (*flushed)(void *owner);

	/* the backend is gone, and so is the lease */
	void (*lost)(void *owner, const char *message);
} LeaseEvents;

/* The wish is not needed after the call. */
extern LeaseRequest *
lease_ask(SessionLoop *loop, const LeaseWish *wish, const LeaseEvents *events, void *owner);
extern void lease_forget(LeaseRequest *request);

/* Is it as new? If not its holder had it last. */
extern bool lease_is_new(const Lease *lease);

/* For libpq's PQsend…; in pipeline mode and not blocking. */
extern PGconn *lease_pq(const Lease *lease);
extern void lease_sync(Lease *lease);
/*
 * With all syncs answered: run a COPY … FROM STDIN. Its results are PGRES_COPY_IN, which asks for PQputCopyData
 * with lease_flush behind it, and at last for lease_copy_end; then that of the end, and a sync.
 */
extern void lease_copy(Lease *lease, const char *sql);
/* `problem`: nothing of it is stored. False: some of it waits. */
extern bool lease_copy_end(Lease *lease, const char *problem);
/* False: some of it waits, and `flushed` will come. */
extern bool lease_flush(Lease *lease);

/* Hand out no results for now, or again. */
extern void lease_hold(Lease *lease, bool hold);

/* Another owner, on the same loop; all syncs are answered. */
extern void lease_hand(Lease *lease, const LeaseEvents *events, void *owner);

/* Give it back, with all answered; or cancel what it does, and let it die. */
extern void lease_return(Lease *lease);
extern void lease_drop(Lease *lease);

/* Backends that are lent, kept, or on their way in or out. */
extern int lease_count(void);

#endif /* FRESHET_LEASE_H */
