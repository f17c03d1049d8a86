/*-------------------------------------------------------------------------
 *
 * session.c
 *	  The life of a session, and what it does for a dialect.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "session/internal.h"

/* How often clients that are not read are looked after. */
#define SWEEP_MS 500

static void client_read(void *owner, const char *bytes, size_t count);
static void client_ended(void *owner, int status);
static void client_drained(void *owner);
static void backend_read(void *owner, const char *bytes, size_t count);
static void backend_ended(void *owner, int status);
static void backend_drained(void *owner);
static void backend_connected(void *owner, int status);

static const StreamEvents client_events = {client_read, client_ended, client_drained, NULL};
const StreamEvents session_backend_events = {backend_read, backend_ended, backend_drained,
                                             backend_connected};

/*
 * Has the client of a session that is not being read gone away, or closed its end while a
 * dialect waits? Otherwise PostgreSQL comes to the end of what it was sent.
 */
static void
sweep(uv_timer_t *timer)
{
	SessionLoop *loop = timer->data;
	Session *session = loop->sessions;

	while (session != NULL)
	{
		Session *next = session->next;

		if (session->client_paused)
		{
			StreamPeer peer = stream_peer(session->client);

			session->client_lost |= peer == STREAM_PEER_GONE;
			if (session->client_lost || (peer == STREAM_PEER_ENDED && session->controlled))
				session_close(session);
		}
		session = next;
	}
}

/* A client comes in, on the loop it will live on. */
void
session_accept(SessionLoop *loop, SessionDoor door, const void *dialect, int fd)
{
	uv_loop_t *uv = loop_uv(loop->loop);
	Session *session = calloc(1, sizeof *session);

	if (session == NULL)
		abort();
	session->loop = loop;
	session->door = door;
	session->dialect = dialect;
	session->transaction = 'I';
	session->standard_strings = true;
	session->client = stream_accepted(uv, fd, &client_events, session);
	if (session->client == NULL)
	{
		free(session);
		loop->load--;
		return;
	}
	session->from_loopback = stream_from_loopback(session->client);
	session->network = stream_network(session->client);
	session->next = loop->sessions;
	if (session->next != NULL)
		session->next->previous = session;
	loop->sessions = session;
	uv_timer_init(uv, &session->timer);
	session->timer.data = session;
	startup_begin(session);
	stream_limits(session->client, SESSION_LOW_WATER, SESSION_HIGH_WATER);
	stream_resume(session->client);
}

/* The timer is closed: nothing but the dialect refers to the session. */
static void
free_session(uv_handle_t *handle)
{
	Session *session = handle->data;

	/* Not earlier: a dialect may end its session from within a callback. */
	relay_forget_reading(session);
	if (session->dialect_open)
		session->dialect->close(session->dialect_self);
	buffer_free(&session->startup);
	buffer_free(&session->input);
	buffer_free(&session->answers);
	pipeline_free(&session->pipeline);
	free(session->user);
	free(session->database);
	free(session);
}

/*
 * The end. What waits for either side is still sent, but nothing more is read;
 * a backend with nothing to send is closed at once.
 */
void
session_close(Session *session)
{
	SessionLoop *loop = session->loop;
	bool controlled = session->controlled;

	if (session->phase == SESSION_CLOSED)
		return;
	session_resume_client(session);
	session->phase = SESSION_CLOSED;
	session->controlled = false;
	if (controlled && session->keyed && !session->ends_alone)
		cancel_send(loop_uv(loop->loop), &loop->server->backend, session->pid, session->key, NULL,
		            NULL);
	keys_remove(session);
	if (session->naming != NULL)
		link_forget(session->naming);
	if (session->cancel != NULL)
		cancel_forget(session->cancel);
	if (session->cancelling != NULL)
		cancel_forget(session->cancelling);
	startup_forget_cancel(session);
	startup_leave_place(session);
	if (session->backend != NULL)
	{
		/* A backend whose answers nobody takes would not get to what waits. */
		if (!controlled && !session->client_lost && stream_backlog(session->backend) > 0 &&
		    !stream_paused(session->backend))
			stream_finish(session->backend);
		else
			stream_close(session->backend);
	}
	stream_finish(session->client);

	if (session->previous != NULL)
		session->previous->next = session->next;
	else
		loop->sessions = session->next;
	loop->load--;
	if (session->next != NULL)
		session->next->previous = session->previous;
	uv_close((uv_handle_t *) &session->timer, free_session);
}

/* Do not read the client; see from time to time whether it is still there. */
void
session_pause_client(Session *session)
{
	if (session->client_paused)
		return;
	session->client_paused = true;
	stream_pause(session->client);
	if (session->loop->paused_clients++ == 0)
		uv_timer_start(&session->loop->sweep, sweep, SWEEP_MS, SWEEP_MS);
}

/* Read the client again. */
void
session_resume_client(Session *session)
{
	if (!session->client_paused)
		return;
	session->client_paused = false;
	stream_resume(session->client);
	if (--session->loop->paused_clients == 0)
		uv_timer_stop(&session->loop->sweep);
}

/* End the session with a FATAL error of one line. */
void
session_fail(Session *session, const char *sqlstate, const char *message)
{
	WireError error = {.severity = "FATAL", .sqlstate = sqlstate, .message = message};

	session_end(session, &error);
}

/* Bytes of the client. */
static void
client_read(void *owner, const char *bytes, size_t count)
{
	Session *session = owner;

	switch (session->phase)
	{
		case SESSION_STARTUP:
			startup_read(session, bytes, count);
			break;
		case SESSION_NAMING:
		case SESSION_WAITING:
		case SESSION_CONNECTING:
			buffer_append(&session->input, bytes, count);
			if (session->input.length > SESSION_HOLD_MAX)
				session_pause_client(session);
			break;
		case SESSION_AUTHENTICATING:
		case SESSION_RELAYING:
			relay_client(session, bytes, count);
			break;
		case SESSION_CANCELLING:
		case SESSION_CLOSED:
			break;
	}
}

/* The client has closed its end (0), or is gone; what it sent before is dealt with. */
static void
client_ended(void *owner, int status)
{
	Session *session = owner;
	bool begun = session->phase == SESSION_RELAYING ||
	             (session->phase != SESSION_STARTUP && session->phase != SESSION_CANCELLING &&
	              session->input.length > 0);

	if (session->phase == SESSION_CLOSED)
		return;
	if (!begun || (status != 0 && session->controlled))
	{
		session_close(session);
		return;
	}
	session->client_left = true;
	if (status != 0)
	{
		session->client_lost = true;
		if (session->backend != NULL && session->phase == SESSION_RELAYING)
			stream_resume(session->backend);
	}
	relay_client_left(session);
}

/* Something happened that the dialect waits for, if it has control. */
static void
call_dialect(Session *session, void (*callback)(void *self))
{
	if (!session->controlled)
		return;
	stream_cork(session->client);
	callback(session->dialect_self);
	if (session->phase == SESSION_CLOSED)
		return;
	stream_uncork(session->client);
	relay_continue(session);
}

/* The client took what waited for it. */
static void
client_drained(void *owner)
{
	Session *session = owner;

	if (session->backend == NULL || session->phase < SESSION_AUTHENTICATING)
		return;
	stream_resume(session->backend);
	if (session->controlled)
		call_dialect(session, session->dialect->drained);
}

/* Connected to PostgreSQL, or not. */
static void
backend_connected(void *owner, int status)
{
	startup_connected(owner, status);
}

/* Bytes of the backend. */
static void
backend_read(void *owner, const char *bytes, size_t count)
{
	relay_backend(owner, bytes, count);
}

/* The backend is gone; only where a dialect was talking is that news. */
static void
backend_ended(void *owner, int status)
{
	Session *session = owner;

	(void) status;
	if (session->controlled && session->backend_body == 0)
		session_fail(session, "57P01", "terminating connection because PostgreSQL ended it");
	else
		session_close(session);
}

/* The backend took what waited for it. */
static void
backend_drained(void *owner)
{
	relay_continue(owner);
}

/* By which door the client came. */
SessionDoor
session_door(const Session *session)
{
	return session->door;
}

/* The port of a door; 0: it is not open. */
int
session_door_port(const Session *session, SessionDoor door)
{
	return session->loop->server->ports[door];
}

/* The database the backend is in. */
const char *
session_database(const Session *session)
{
	return session->database;
}

/* Is a backslash in '' an ordinary character? */
bool
session_standard_strings(const Session *session)
{
	return session->standard_strings;
}

/* The transaction status of the last ReadyForQuery. */
char
session_transaction(const Session *session)
{
	return session->transaction;
}

/* Show every message of the extended protocol to the dialect, or no longer. */
void
session_watch(Session *session, bool on)
{
	session->watching = on;
}

/* Whole messages to the backend; each is entered in the pipeline. */
void
session_to_backend(Session *session, const void *messages, size_t count)
{
	WireReader reader = {messages, (const char *) messages + count, false};

	if (!session->controlled)
		return;
	while (reader.at < reader.end)
	{
		char type = (char) wire_read_byte(&reader);
		uint32_t length = wire_read_int32(&reader);

		if (length < 4 || wire_read_bytes(&reader, length - 4) == NULL)
			abort();
		pipeline_sent(&session->pipeline, type);
	}
	stream_write(session->backend, messages, count);
}

/* A Query to the backend. */
void
session_query(Session *session, const char *sql)
{
	Buffer message = {0};
	size_t begun = wire_begin(&message, 'Q');

	wire_add_string(&message, sql);
	wire_end(&message, begun);
	session_to_backend(session, buffer_data(&message), message.length);
	buffer_free(&message);
}

/* Whole messages to the client. */
void
session_to_client(Session *session, const void *messages, size_t count)
{
	if (!session->controlled)
		return;
	relay_flush_run(session);
	stream_write(session->client, messages, count);
}

/* Is a message of the backend under way to the client? */
bool
session_client_midway(const Session *session)
{
	return session->backend_body > 0 && !session->backend_swallowed;
}

/* Bytes that wait for the client. */
size_t
session_client_backlog(const Session *session)
{
	return session->phase == SESSION_CLOSED ? 0 : stream_backlog(session->client);
}

/* An error to the client, which in the extended protocol also skips to Sync. */
void
session_error(Session *session, const WireError *error)
{
	Buffer message = {0};

	if (!session->controlled)
		return;
	wire_add_error(&message, error);
	session_to_client(session, buffer_data(&message), message.length);
	buffer_free(&message);
	session->dropping = session->taken != 'Q' && session->taken != 'S';
}

/* ReadyForQuery to the client. */
void
session_ready_for_query(Session *session)
{
	char message[WIRE_HEADER + 1] = {'Z', 0, 0, 0, 5, session->transaction};

	session_to_client(session, message, sizeof message);
}

/* See session.h. */
void
session_ends_alone(Session *session, bool alone)
{
	session->ends_alone = alone;
}

/* PostgreSQL has acted on the dialect's cancel. */
static void
cancel_acted(void *owner)
{
	Session *session = owner;

	session->cancelling = NULL;
	call_dialect(session, session->cancelled);
}

/* Ask PostgreSQL to cancel what the backend is doing. */
bool
session_cancel(Session *session, void (*done)(void *self))
{
	if (!session->controlled || !session->keyed || session->cancelling != NULL)
		return false;
	session->cancelled = done;
	session->cancelling = cancel_send(loop_uv(session->loop->loop), &session->loop->server->backend,
	                                  session->pid, session->key, cancel_acted, session);
	return true;
}

/* The dialect's timer ran out. */
static void
dialect_timer(uv_timer_t *timer)
{
	Session *session = timer->data;

	call_dialect(session, session->dialect->timer);
}

/* Call the dialect's `timer` once. */
void
session_timer(Session *session, uint64_t milliseconds)
{
	if (session->phase != SESSION_RELAYING)
		return;
	if (milliseconds == 0)
		uv_timer_stop(&session->timer);
	else
		uv_timer_start(&session->timer, dialect_timer, milliseconds, 0);
}

/* The dialect has finished; the caller goes on with the client's input. */
void
session_release(Session *session)
{
	if (!session->controlled)
		return;
	session->controlled = false;
	uv_timer_stop(&session->timer);
}

/* End the session with an error for the client. */
void
session_end(Session *session, const WireError *error)
{
	Buffer message = {0};

	if (session->phase == SESSION_CLOSED)
		return;
	relay_flush_run(session);
	if (session->backend_body == 0 || session->backend_swallowed)
	{
		wire_add_error(&message, error);
		stream_write(session->client, buffer_data(&message), message.length);
		buffer_free(&message);
	}
	session_close(session);
}
