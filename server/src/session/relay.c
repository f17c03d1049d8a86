/*-------------------------------------------------------------------------
 *
 * relay.c
 *	  The bytes of a session, walked from header to header in both directions.
 *
 * Invariants:
 *	- A run of messages that pass is written with one call, straight from the
 *	  network's buffer. Copied is only what cannot be decided yet.
 *	- Whatever is written to the client while the backend's bytes are walked
 *	  comes after the run before it (relay_flush_run).
 *	- Client input is walked again (relay_continue) when what held it up is
 *	  over, and never from inside a callback of the dialect.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "session/internal.h"
#include "session/scan.h"

/* Longest message PostgreSQL itself takes. */
#define WIRE_LENGTH_MAX 0x3fffffff

/* Messages of the backend the relay reads itself are never longer than this. */
#define SMALL_MESSAGE_MAX 16384

/* More unanswered messages than this hold the client up. */
#define PIPELINE_DEPTH_MAX (256 * 1024)

/* Four bytes in network order. */
static inline uint32_t
read_length(const char *bytes)
{
	const unsigned char *u = (const unsigned char *) bytes;

	return (uint32_t) u[0] << 24 | (uint32_t) u[1] << 16 | (uint32_t) u[2] << 8 | u[3];
}

/* Is the dialect shown a message of this type? See dialect.h. */
static inline bool
is_shown(const Session *session, char type)
{
	if (session->dialect == NULL || session->phase != SESSION_RELAYING ||
	    (session->pipeline.skipping && type != 'S') || session->pipeline.copying_in)
		return false;
	return session->watching || type == 'Q' || type == 'P';
}

/* What the dialect makes of this message; NULL: it passes. */
static void *
read_message(Session *session, const WireMessage *message)
{
	const Dialect *dialect = session->dialect;
	void *reading = session->reading;

	session->reading = NULL;
	if (reading != NULL)
		return reading;
	if (!session->watching && !scan_has_word(message->body, message->length, dialect->words))
		return NULL;
	if (!session->dialect_open)
	{
		session->dialect_open = true;
		session->dialect_self = dialect->open(session);
	}
	return dialect->read(session->dialect_self, message);
}

/* The message that was read is not shown to the dialect after all. */
void
relay_forget_reading(Session *session)
{
	if (session->reading != NULL)
		session->dialect->forget(session->reading);
	session->reading = NULL;
}

/* Until the backend is ready only the answers to its challenges pass. */
static inline bool
must_wait(Session *session)
{
	if (session->phase == SESSION_RELAYING)
		return false;
	if (!session->owes_proof)
		return true;
	session->owes_proof = false;
	return false;
}

/*
 * Hold the client's messages until everything before them is answered; ask
 * the backend not to sit on its answers.
 */
static void
hold(Session *session)
{
	static const char flush[WIRE_HEADER] = {'H', 0, 0, 0, 4};

	if (!session->held && pipeline_needs_flush(&session->pipeline))
		stream_write(session->backend, flush, sizeof flush);
	session->held = true;
}

/* How much of what is there belongs to the body under way, which is so much shorter then. */
static inline size_t
part_of_body(size_t *body, size_t there)
{
	size_t part = *body < there ? *body : there;

	*body -= part;
	return part;
}

/* Walk what the client sent; the result is how much of it is dealt with. */
static size_t
walk_client(Session *session, const char *bytes, size_t count)
{
	const char *at = bytes;
	const char *end = bytes + count;
	const char *run = bytes; /* start of what passes and is not written yet */

	while (at < end)
	{
		WireMessage message;
		size_t total;
		uint32_t length;
		bool shown;

		if (session->client_body > 0)
		{
			size_t part = part_of_body(&session->client_body, (size_t) (end - at));

			at += part;
			if (session->client_dropped)
				run = at;
			continue;
		}
		if (end - at < WIRE_HEADER)
			break;
		length = read_length(at + 1);
		if (length < 4 || length > WIRE_LENGTH_MAX)
		{
			stream_write(session->backend, run, (size_t) (at - run));
			session_fail(session, "08P01", "invalid message length");
			return count;
		}
		if (must_wait(session))
			break;
		total = (size_t) length + 1;
		message.type = at[0];
		message.body = at + WIRE_HEADER;
		message.length = length - 4;
		message.missing = 0;

		if (session->dropping && message.type != 'S' && message.type != 'X')
		{
			stream_write(session->backend, run, (size_t) (at - run));
			run = at;
			session->client_body = total;
			session->client_dropped = true;
			continue;
		}
		session->dropping = false;

		shown = is_shown(session, message.type);
		if (!shown)
			relay_forget_reading(session);
		else
		{
			void *reading;

			if (message.length > SESSION_SCAN_MAX)
			{
				message.missing = message.length - SESSION_HEAD;
				message.length = SESSION_HEAD;
			}
			if ((size_t) (end - at) < WIRE_HEADER + message.length)
				break;
			reading = read_message(session, &message);
			if (reading != NULL)
			{
				DialectAnswer answer;

				stream_write(session->backend, run, (size_t) (at - run));
				run = at;
				if (pipeline_depth(&session->pipeline) > 0)
				{
					session->reading = reading;
					hold(session);
					break;
				}
				session->taken = message.type;
				session->controlled = true;
				stream_cork(session->client);
				answer = session->dialect->message(session->dialect_self, &message, reading);
				if (session->phase == SESSION_CLOSED)
					return count;
				stream_uncork(session->client);
				if (answer == DIALECT_TAKEN)
				{
					/* of a large one there is more to come, which goes nowhere */
					session->client_body = total;
					session->client_dropped = true;
					at += part_of_body(&session->client_body, (size_t) (end - at));
					run = at;
					if (session->controlled)
						break;
					continue;
				}
				session->controlled = false;
			}
			if (session->watching)
				session->dialect->passes(session->dialect_self, &message,
				                         pipeline_depth(&session->pipeline) == 0);
		}
		pipeline_sent(&session->pipeline, message.type);
		session->client_body = total;
		session->client_dropped = false;
	}
	stream_write(session->backend, run, (size_t) (at - run));
	return (size_t) (at - bytes);
}

/* Read the client as long as neither the backend nor memory is in the way. */
static void
balance_client(Session *session)
{
	bool waiting = session->held || session->controlled || session->phase != SESSION_RELAYING;

	if (stream_backlog(session->backend) > SESSION_HIGH_WATER ||
	    pipeline_depth(&session->pipeline) > PIPELINE_DEPTH_MAX ||
	    (waiting && session->input.length > SESSION_HOLD_MAX))
		session_pause_client(session);
	else if (session->client_paused && stream_backlog(session->backend) <= SESSION_LOW_WATER)
		session_resume_client(session);
}

/* Show the dialect what the client sends while it waits for the dialect. */
static void
show_behind(Session *session)
{
	const char *at = buffer_data(&session->input);
	const char *end = at + session->input.length;
	WireMessage message;
	uint32_t length;

	if (!session->controlled || session->client_body > 0)
		return;
	while (end - at >= WIRE_HEADER && at[0] == 'H' && read_length(at + 1) == 4)
		at += WIRE_HEADER;
	if (end - at < WIRE_HEADER)
		return;
	length = read_length(at + 1);
	if (length < 4 || length >= (size_t) (end - at))
		return;
	message.type = at[0];
	message.body = at + WIRE_HEADER;
	message.length = length - 4;
	message.missing = 0;
	stream_cork(session->client);
	session->dialect->behind(session->dialect_self, &message);
	if (session->phase != SESSION_CLOSED)
		stream_uncork(session->client);
}

/*
 * The client has closed its end. What it has sent is still done and answered; then the
 * backend is told, which ends when it comes to that.
 */
void
relay_client_left(Session *session)
{
	if (!session->client_left || session->phase != SESSION_RELAYING || session->backend_told ||
	    session->held)
		return;
	if (!session->controlled)
	{
		session->backend_told = true;
		stream_end(session->backend);
	}
	else if (session->client_lost)
		session_close(session);
	else
		session->dialect->left(session->dialect_self);
}

/* Bytes of the client. */
void
relay_client(Session *session, const char *bytes, size_t count)
{
	size_t consumed;

	if (session->input.length > 0 || session->held || session->controlled)
	{
		buffer_append(&session->input, bytes, count);
		show_behind(session);
		relay_continue(session);
		return;
	}
	consumed = walk_client(session, bytes, count);
	if (session->phase == SESSION_CLOSED)
		return;
	buffer_append(&session->input, bytes + consumed, count - consumed);
	show_behind(session);
	balance_client(session);
}

/* Go on with what the client had sent, if nothing holds it up any more. */
void
relay_continue(Session *session)
{
	if (session->phase == SESSION_CLOSED)
		return;
	if (session->held && (pipeline_depth(&session->pipeline) == 0 || session->pipeline.copying_in))
		session->held = false;
	if (!session->held && !session->controlled && session->input.length > 0)
	{
		size_t consumed = walk_client(session, buffer_data(&session->input), session->input.length);

		if (session->phase == SESSION_CLOSED)
			return;
		buffer_consume(&session->input, consumed);
		show_behind(session);
	}
	balance_client(session);
	relay_client_left(session);
}

/* Write what was walked and not yet forwarded to the client. */
void
relay_flush_run(Session *session)
{
	if (session->run_length == 0)
		return;
	stream_write(session->client, session->run, session->run_length);
	session->run += session->run_length;
	session->run_length = 0;
}

/* A whole message of the start-up; false if the session was ended because of it. */
static bool
startup_message(Session *session, const WireMessage *message)
{
	WireReader reader;

	wire_read(&reader, message);
	if (message->type == 'R')
	{
		uint32_t request = wire_read_int32(&reader);

		/* 0 is the final yes, 12 the last word of SASL; neither is answered. */
		if (request != 0 && request != 12)
		{
			session->challenged = true;
			session->owes_proof = true;
		}
		if (request == 0 && !session->challenged && !startup_trusts(session))
		{
			WireError error = {
			    .severity = "FATAL",
			    .sqlstate = "28000",
			    .message = session->from_loopback
			                   ? "this role has no password and may not enter by this door"
			                   : "this role has no password and may enter from this machine only",
			    .hint = "Set a password for the role, or require one in pg_hba.conf."};

			session_end(session, &error);
			return false;
		}
	}
	else if (message->type == 'K' && !session->keyed)
	{
		session->pid = wire_read_int32(&reader);
		session->key = wire_read_int32(&reader);
		if (!reader.failed)
			keys_add(session);
	}
	else if (message->type == 'Z')
	{
		session->phase = SESSION_RELAYING;
		uv_timer_stop(&session->timer);
		startup_leave_place(session);
	}
	return true;
}

/* Remember the one reported setting a scanner of SQL must know. */
static void
note_parameter(Session *session, const WireMessage *message)
{
	WireReader reader;
	const char *name;
	const char *value;

	wire_read(&reader, message);
	name = wire_read_string(&reader);
	value = wire_read_string(&reader);
	if (value != NULL && strcmp(name, "standard_conforming_strings") == 0)
		session->standard_strings = strcmp(value, "off") != 0;
}

/* Must the relay read the body of a message of this type itself? */
static inline bool
is_read_here(const Session *session, char type, size_t total)
{
	return type == 'Z' || (type == 'S' && total <= SMALL_MESSAGE_MAX) ||
	       (session->phase == SESSION_AUTHENTICATING && (type == 'R' || type == 'K'));
}

/* Walk what the backend sent; the result is how much of it is dealt with. */
static size_t
walk_backend(Session *session, const char *bytes, size_t count)
{
	const char *at = bytes;
	const char *end = bytes + count;

	session->run = bytes;
	session->run_length = 0;
	while (at < end)
	{
		BackendRoute route = BACKEND_FORWARD;
		WireMessage message;
		uint32_t length;
		size_t total;
		bool asked;

		if (session->backend_body > 0)
		{
			size_t part = part_of_body(&session->backend_body, (size_t) (end - at));

			at += part;
			if (session->backend_swallowed)
			{
				relay_flush_run(session);
				session->run = at;
			}
			else
				session->run_length += part;
			continue;
		}
		if (end - at < WIRE_HEADER)
			break;
		length = read_length(at + 1);
		if (length < 4 || length > WIRE_LENGTH_MAX)
		{
			relay_flush_run(session);
			session_fail(session, "08P01", "invalid message length from PostgreSQL");
			return count;
		}
		total = (size_t) length + 1;
		message.type = at[0];
		message.body = at + WIRE_HEADER;
		message.length = length - 4;
		message.missing = 0;
		asked = session->controlled && message.type != 'S' && message.type != 'A';

		if (!session->judged)
		{
			if (is_read_here(session, message.type, total))
			{
				if (total > SMALL_MESSAGE_MAX)
				{
					relay_flush_run(session);
					session_fail(session, "54000", "message of PostgreSQL is too long");
					return count;
				}
				if ((size_t) (end - at) < total)
					break;
				if (message.type == 'Z' && message.length > 0)
					session->transaction = message.body[0];
				else if (message.type == 'S')
					note_parameter(session, &message);
				if (session->phase == SESSION_AUTHENTICATING && !startup_message(session, &message))
					return count;
			}
			/* a failed block completes nothing but what ends or revives it; ReadyForQuery tells which */
			if (message.type == 'C' && session->transaction == 'E')
				session->transaction = 'T';
			pipeline_received(&session->pipeline, message.type);
			if (asked)
			{
				route = session->dialect->backend_header(session->dialect_self, message.type,
				                                         message.length);
				if (session->phase == SESSION_CLOSED)
					return count;
				session->collecting = route == BACKEND_COLLECT;
			}
			session->judged = true;
		}
		if (session->collecting && session->controlled)
		{
			if (message.length > SESSION_COLLECT_MAX)
			{
				relay_flush_run(session);
				session_fail(session, "54000", "message of PostgreSQL is too long");
				return count;
			}
			if ((size_t) (end - at) < total)
				break;
			route = session->dialect->backend_message(session->dialect_self, &message);
			if (session->phase == SESSION_CLOSED)
				return count;
		}
		session->judged = false;
		session->collecting = false;
		session->backend_body = total;
		session->backend_swallowed = route == BACKEND_SWALLOW;
		if (message.type == 'Z' && !asked && session->watching &&
		    session->phase == SESSION_RELAYING && session->dialect_open)
			session->dialect->ready(session->dialect_self, session->transaction);
	}
	relay_flush_run(session);
	return (size_t) (at - bytes);
}

/* Bytes of the backend. */
void
relay_backend(Session *session, const char *bytes, size_t count)
{
	/* A dialect writes in small pieces; let them leave together. */
	bool corked = session->controlled;
	Stream *client = session->client;

	if (corked)
		stream_cork(client);
	if (session->answers.length > 0)
	{
		size_t consumed;

		buffer_append(&session->answers, bytes, count);
		consumed = walk_backend(session, buffer_data(&session->answers), session->answers.length);
		if (session->phase != SESSION_CLOSED)
			buffer_consume(&session->answers, consumed);
	}
	else
	{
		size_t consumed = walk_backend(session, bytes, count);

		if (session->phase != SESSION_CLOSED)
			buffer_append(&session->answers, bytes + consumed, count - consumed);
	}
	if (session->phase == SESSION_CLOSED)
		return;
	if (corked)
		stream_uncork(client);
	if (stream_backlog(session->client) > SESSION_HIGH_WATER)
		stream_pause(session->backend);
	/* PostgreSQL itself ends when it cannot write; a little fits into its socket */
	if (session->client_lost && (session->discarded += count) > SESSION_HIGH_WATER)
	{
		session_close(session);
		return;
	}
	if (session->held || session->client_paused || session->input.length > 0 ||
	    session->client_left)
		relay_continue(session);
}
