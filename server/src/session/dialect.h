/*-------------------------------------------------------------------------
 *
 * dialect.h
 *	  What a dialect is to a session: a set of words and of callbacks.
 *
 * A session relays bytes between a client and a backend of its own. It shows
 * a message of the client to its dialect if
 *	- it is a Query (Q) or a Parse (P) whose text contains one of the dialect's words,
 *	  in any case; or
 *	- the dialect is watching (session_watch): then every message is shown, whatever
 *	  its type. Only what the backend does not act on is not shown: what it skips after
 *	  an error, and the data of a COPY.
 * Of a message with more than SESSION_SCAN_MAX bytes the first SESSION_HEAD are looked at
 * and shown, and how many are missing.
 *
 * Invariants a dialect may rely on:
 *	- All of a session runs on one thread, sessions of a dialect on several: it
 *	  keeps no state but each session's own. A session_* function never calls
 *	  back into the dialect: callbacks do not nest.
 *	- A reading is used once: by `message`, or by `forget` if the message is dropped
 *	  by an error before it or the session ends.
 *	- `message` is called only when the backend has answered everything sent
 *	  before (the session asks it to with a Flush if it must), and never for what the
 *	  backend skips up to a Sync after an error; but it is for that Sync.
 *	- After DIALECT_TAKEN the dialect has control until session_release. Until
 *	  then no further message of the client is looked at: the session keeps
 *	  reading only to notice that the client went away.
 *	- ParameterStatus (S) and NotificationResponse (A) of the backend always go
 *	  straight to the client, in control or not.
 *	- A client that has closed its end gets all it sent before done and answered, as by
 *	  PostgreSQL: nobody can tell it from one that is gone.
 *	- `close` is the last call; it comes exactly once after `open`, whether the
 *	  client vanished, the backend did, or the server stops. If the dialect had
 *	  control, the session also asks PostgreSQL to cancel what is running, unless that
 *	  ends by itself (session_ends_alone).
 *
 * What a dialect must keep to:
 *	- `read` decides from the message and the dialect's own state alone and
 *	  changes nothing: the message may still be dropped by an error before it. What
 *	  a message does is noted in `passes`.
 *	- The client gets exactly the answers the protocol owes it for each message
 *	  taken. After session_error in answer to anything but a Query, the session
 *	  itself drops what the client sends up to the next Sync.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_DIALECT_H
#define FRESHET_DIALECT_H

#include <stdbool.h>
#include <stdint.h>

#include "pgwire/message.h"

typedef struct Session Session;

typedef enum DialectAnswer
{
	DIALECT_PASS, /* not ours after all: send it to the backend */
	DIALECT_TAKEN /* ours, until session_release */
} DialectAnswer;

/* What becomes of a message of the backend while the dialect has control. */
typedef enum BackendRoute
{
	BACKEND_FORWARD, /* to the client, streamed, of any size */
	BACKEND_SWALLOW, /* nowhere, streamed, of any size */
	BACKEND_COLLECT  /* whole to backend_message, which then decides */
} BackendRoute;

typedef struct Dialect
{
	const char *name;

	/* Upper-case ASCII letters, NULL at the end. */
	const char *const *words;

	/* Called before the first `read` of a session; its result is `self`. */
	void *(*open)(Session *session);
	void (*close)(void *self);

	/* What the dialect makes of a message that it may take; NULL: it passes. Pure; see above. */
	void *(*read)(void *self, const WireMessage *message);
	void (*forget)(void *reading);

	/* A message that was read, with everything before it answered. */
	DialectAnswer (*message)(void *self, const WireMessage *message, void *reading);

	/*
	 * Watching: the message goes on to the backend, read or not; exactly once for each.
	 * `settled`: everything before it is answered, so session_transaction is its status.
	 */
	void (*passes)(void *self, const WireMessage *message, bool settled);

	/*
	 * In control, for each message of the backend but S and A: first the header
	 * alone; then, if that said BACKEND_COLLECT, the whole message, to be
	 * forwarded or swallowed (BACKEND_COLLECT is no answer there). A collected message
	 * may have at most SESSION_COLLECT_MAX bytes; a larger one ends the session.
	 */
	BackendRoute (*backend_header)(void *self, char type, uint32_t length);
	BackendRoute (*backend_message)(void *self, const WireMessage *message);

	/* In control: session_timer has run out. */
	void (*timer)(void *self);

	/* In control: what waits for the client fell below the low water mark. */
	void (*drained)(void *self);

	/*
	 * In control: the client asked to cancel. True if the dialect has dealt
	 * with it; false sends the request on to the backend, whose error then
	 * comes through backend_header like any other.
	 */
	bool (*cancel)(void *self);

	/*
	 * In control: this message is the first the client has sent behind the one
	 * taken, Flush aside. It stays where it is, and is shown again when more comes.
	 */
	void (*behind)(void *self, const WireMessage *message);

	/*
	 * In control: the client sends nothing more, and may be gone; told more than once. What
	 * may never come is not to be waited for.
	 */
	void (*left)(void *self);

	/*
	 * Not in control but watching: a ReadyForQuery with this transaction status
	 * ('I', 'T', 'E') has just gone to the client.
	 */
	void (*ready)(void *self, char status);
} Dialect;

#endif /* FRESHET_DIALECT_H */
