/*-------------------------------------------------------------------------
 *
 * internal.h
 *	  What a session is made of; for the files of this folder only.
 *
 * Invariants:
 *	- A session is in its loop's list from session_accept until it is closed;
 *	  its memory lives on until its timer handle is closed, so a callback may
 *	  close the session it works for and look at `phase` afterwards.
 *	- session_close is the only way out.
 *	- `client` is never NULL before SESSION_CLOSED. `backend` is NULL before
 *	  SESSION_CONNECTING.
 *	- `input` holds what the client sent and nobody consumed: a piece of a
 *	  header, a message to be scanned, or whatever came while `held` or
 *	  `controlled`. `answers` is the same for the backend.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_SESSION_INTERNAL_H
#define FRESHET_SESSION_INTERNAL_H

#include <stdatomic.h>
#include <uv.h>

#include "net/loop.h"
#include "net/stream.h"
#include "postgres/link.h"
#include "session/cancel.h"
#include "session/pipeline.h"
#include "session/server.h"
#include "session/session.h"

typedef enum SessionPhase
{
	SESSION_STARTUP,        /* waiting for the start-up packet */
	SESSION_NAMING,         /* asking whether a database of an alias's name exists */
	SESSION_WAITING,        /* for a place among those who have not proved who they are */
	SESSION_CONNECTING,     /* to PostgreSQL */
	SESSION_AUTHENTICATING, /* up to the first ReadyForQuery */
	SESSION_RELAYING,
	SESSION_CANCELLING, /* not a session but a CancelRequest under way */
	SESSION_CLOSED
} SessionPhase;

/* The sessions of one thread; all but `load` is that thread's. */
struct SessionLoop
{
	SessionServer *server;
	Loop *loop;
	int processor;
	Link *link;
	Session *sessions;
	Guest *guests;
	size_t paused_clients;
	uv_timer_t sweep;
	Errand finishing;
	atomic_size_t load; /* its sessions, those on their way to it too */
};

struct Session
{
	Session *previous;
	Session *next;
	SessionLoop *loop;
	SessionDoor door;
	SessionPhase phase;
	Stream *client;
	Stream *backend;
	uv_timer_t timer;

	/* The start-up. */
	char *user;
	char *database;
	Buffer startup; /* the packet as it goes to the backend */
	struct LinkQuery *naming;
	CancelRequest *cancel;
	struct CancelErrand *cancel_errand;
	uint64_t deadline;       /* by the loop's clock, for the first ReadyForQuery */
	bool encryption_settled; /* SSLRequest was answered */
	bool direct_tls;         /* TLS began without a request for it */
	bool gss_refused;
	bool from_loopback;
	uint64_t network; /* where the client is */
	bool unproven;    /* it has a place (unproven.h) */
	bool challenged;  /* the backend asked for a proof of identity */
	bool owes_proof;  /* ... and the client has not answered yet */

	/* The backend's key, for cancelling. */
	bool keyed;
	uint32_t pid;
	uint32_t key;
	Session *next_of_key;

	/* The relay. */
	Buffer input;
	Buffer answers;
	size_t client_body;  /* rest of the client's message under way */
	bool client_dropped; /* ... which goes nowhere */
	size_t backend_body; /* rest of the backend's message under way */
	bool backend_swallowed;
	bool judged;     /* the header at the head of `answers` was dealt with ... */
	bool collecting; /* ... and the dialect wants the whole message */
	const char *run; /* bytes of the backend seen but not yet forwarded */
	size_t run_length;
	Pipeline pipeline;
	char transaction;
	bool standard_strings;
	bool client_paused;
	bool client_left;  /* it sends nothing more */
	bool client_lost;  /* nor takes anything */
	bool backend_told; /* ... and the backend knows that nothing more comes */
	size_t discarded;  /* answers for a client that is lost */

	/* The dialect. */
	const Dialect *dialect;
	void *dialect_self;
	bool dialect_open;
	bool watching;
	bool held;       /* a message that was read waits for earlier answers */
	void *reading;   /* what the dialect made of it */
	bool controlled; /* the dialect has control */
	bool dropping;   /* what the client sends goes nowhere up to a Sync */
	char taken;      /* type of the message taken last */

	bool ends_alone; /* what the backend does ends with its connection */

	/* The dialect's own cancel, under way. */
	CancelRequest *cancelling;
	void (*cancelled)(void *self);
};

/* session.c */
extern const StreamEvents session_backend_events;
extern void session_close(Session *session);
extern void session_fail(Session *session, const char *sqlstate, const char *message);
extern void session_pause_client(Session *session);
extern void session_resume_client(Session *session);

/* startup.c */
extern void startup_begin(Session *session);
extern bool startup_trusts(const Session *session);
extern void startup_forget_cancel(Session *session);
extern void startup_leave_place(Session *session);
extern void startup_read(Session *session, const char *bytes, size_t count);
extern void startup_connected(Session *session, int status);

/* relay.c */
extern void relay_client(Session *session, const char *bytes, size_t count);
extern void relay_backend(Session *session, const char *bytes, size_t count);
extern void relay_continue(Session *session);
extern void relay_client_left(Session *session);
extern void relay_flush_run(Session *session);
extern void relay_forget_reading(Session *session);

/* keys.c */
extern void keys_add(Session *session);
extern void keys_remove(Session *session);
extern SessionLoop *keys_loop(uint32_t pid, uint32_t key);
extern Session *keys_find(const SessionLoop *loop, uint32_t pid, uint32_t key);

#endif /* FRESHET_SESSION_INTERNAL_H */
