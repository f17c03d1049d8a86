/*-------------------------------------------------------------------------
 *
 * session.h
 *	  One client and the backend of its own: what the rest of the server, a
 *	  dialect first of all, may ask of a session.
 *
 * Invariants:
 *	- Memory per session is bounded: input is held up to one scanned message or
 *	  SESSION_HOLD_MAX while a dialect has control; output stops being produced
 *	  when SESSION_HIGH_WATER bytes wait (the source is not read, a dialect is
 *	  expected to look at session_client_backlog before it makes more).
 *	- Every message sent to the backend, by the client or by the dialect, is in
 *	  the session's pipeline (pipeline.h), so what is still unanswered is known.
 *	- A session that has ended accepts all calls below and does nothing.
 *
 * See README.md in this folder for how a message travels.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_SESSION_H
#define FRESHET_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pgwire/message.h"
#include "session/dialect.h"

#define SESSION_SCAN_MAX (1024 * 1024)
#define SESSION_HEAD 4096
#define SESSION_COLLECT_MAX (16 * 1024 * 1024)
#define SESSION_HOLD_MAX (64 * 1024)
#define SESSION_HIGH_WATER (256 * 1024)
#define SESSION_LOW_WATER (64 * 1024)

typedef enum SessionDoor
{
	DOOR_POSTGRES,
	DOOR_MATERIALIZE,
	DOOR_CRATEDB,
	DOOR_DATABEND,
	DOOR_COUNT
} SessionDoor;

/* Who and where. Valid from the first `read` to `close`. */
extern SessionDoor session_door(const Session *session);
extern int session_door_port(const Session *session, SessionDoor door);
extern const char *session_database(const Session *session);
extern bool session_standard_strings(const Session *session);

/*
 * The transaction status of the last ReadyForQuery: 'I', 'T' or 'E'; no longer 'E' when a
 * statement has been completed since.
 */
extern char session_transaction(const Session *session);

/* Show every message of the client to `read` and `passes`, or stop doing so. */
extern void session_watch(Session *session, bool on);

/*
 * To the backend: whole messages, header included (built with wire_begin and
 * wire_end), one or several; or a Query with this text. In control only.
 */
extern void session_to_backend(Session *session, const void *messages, size_t count);
extern void session_query(Session *session, const char *sql);

/* To the client: whole messages, header included. In control only. */
extern void session_to_client(Session *session, const void *messages, size_t count);

/* Is the client in the middle of a message that the backend has not sent the rest of? */
extern bool session_client_midway(const Session *session);

/* Bytes that wait for the client; above SESSION_HIGH_WATER make no more. */
extern size_t session_client_backlog(const Session *session);

/*
 * An ErrorResponse to the client. If the message taken last was not a Query,
 * what the client sends is then dropped up to the next Sync (which goes to the
 * backend); after a Query the dialect still owes a ReadyForQuery. The backend's
 * transaction is not touched: to abort it, let the backend raise an error.
 */
extern void session_error(Session *session, const WireError *error);

/* A ReadyForQuery with the present transaction status to the client. */
extern void session_ready_for_query(Session *session);

/*
 * Ask PostgreSQL to cancel what the backend is doing. Such a request is lost if
 * it arrives between two statements. `done` is called when PostgreSQL has acted
 * on it, or cannot be asked; what is sent to the backend before may be hit by
 * it, the client's next statement too if control is given back. False, and
 * `done` does not come: there is no key, or such a request is under way. In
 * control only.
 */
extern bool session_cancel(Session *session, void (*done)(void *self));

/*
 * Does what the backend is doing end by itself when its connection does? Then nothing is
 * cancelled when the session ends.
 */
extern void session_ends_alone(Session *session, bool alone);

/* Call `timer` once, so many milliseconds from now; 0 turns it off. */
extern void session_timer(Session *session, uint64_t milliseconds);

/*
 * Hand control back. What the backend still owes then goes to the client, so a
 * rewritten statement is session_to_backend followed by session_release.
 */
extern void session_release(Session *session);

/* End the session with a FATAL error for the client. */
extern void session_end(Session *session, const WireError *error);

#endif /* FRESHET_SESSION_H */
