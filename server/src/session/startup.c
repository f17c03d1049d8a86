/*-------------------------------------------------------------------------
 *
 * startup.c
 *	  The beginning of a connection: encryption, the start-up packet, the name
 *	  of the database, the way to a backend; or a CancelRequest instead.
 *
 * Invariants:
 *	- Before TLS begins not a byte beyond the request for it is accepted.
 *	- The start-up packet goes to PostgreSQL as the client sent it; only when
 *	  an alias of the database applies is it written anew.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "session/internal.h"
#include "session/unproven.h"

/* From the first byte to the first ReadyForQuery. */
#define AUTHENTICATION_MS 60000

/* How often a client that waits for a place looks for one. */
#define PLACE_MS 50

/* PostgreSQL's own limit. */
#define STARTUP_PACKET_MAX 10000

#define SSL_REQUEST_CODE 80877103
#define GSS_REQUEST_CODE 80877104

/* The first byte of a TLS record that begins a handshake. */
#define TLS_HANDSHAKE 0x16

/* A CancelRequest on its way to the thread of the session it means, and back. */
typedef struct CancelErrand
{
	Errand errand;
	SessionLoop *home; /* of the client that asks */
	SessionLoop *there;
	Session *session; /* that client's, for its own thread only; NULL once it is gone */
	uint32_t pid;
	uint32_t key;
	bool done; /* the dialect has dealt with it */
} CancelErrand;

static void connect_backend(Session *session);

/* PostgreSQL has acted on the cancel: now the client may know. */
static void
cancel_done(void *owner)
{
	Session *session = owner;

	session->cancel = NULL;
	session_close(session);
}

/* Send the CancelRequest on to PostgreSQL. */
static void
cancel_backend(Session *session, uint32_t pid, uint32_t key)
{
	SessionLoop *loop = session->loop;

	session->cancel =
	    cancel_send(loop_uv(loop->loop), &loop->server->backend, pid, key, cancel_done, session);
}

/* The dialect has dealt with the CancelRequest, or it is for PostgreSQL. */
static void
cancel_returned(Errand *errand)
{
	CancelErrand *cancel = (CancelErrand *) errand;
	Session *session = cancel->session;

	if (session != NULL)
	{
		session->cancel_errand = NULL;
		if (cancel->done)
			session_close(session);
		else
			cancel_backend(session, cancel->pid, cancel->key);
	}
	else if (!cancel->done)
		cancel_send(loop_uv(cancel->home->loop), &cancel->home->server->backend, cancel->pid,
		            cancel->key, NULL, NULL); /* many clients do not wait for the end */
	free(cancel);
}

/* Ask the dialect that has control of the session that is meant, on that session's thread. */
static void
cancel_meant(Errand *errand)
{
	CancelErrand *cancel = (CancelErrand *) errand;
	Session *meant = keys_find(cancel->there, cancel->pid, cancel->key);

	if (meant != NULL && meant->controlled)
	{
		stream_cork(meant->client);
		cancel->done = meant->dialect->cancel(meant->dialect_self);
		if (meant->phase != SESSION_CLOSED)
		{
			stream_uncork(meant->client);
			relay_continue(meant);
		}
	}
	errand->run = cancel_returned;
	loop_post(cancel->home->loop, errand);
}

/* A CancelRequest: for a dialect that has control, or for PostgreSQL. */
static void
cancel(Session *session, uint32_t pid, uint32_t key)
{
	SessionLoop *there = keys_loop(pid, key);

	session->phase = SESSION_CANCELLING;
	if (there == NULL)
	{
		cancel_backend(session, pid, key);
		return;
	}
	session->cancel_errand = calloc(1, sizeof *session->cancel_errand);
	if (session->cancel_errand == NULL)
		abort();
	*session->cancel_errand =
	    (CancelErrand){{cancel_meant, NULL}, session->loop, there, session, pid, key, false};
	loop_post(there->loop, &session->cancel_errand->errand);
}

/* The client that asked to cancel is gone; what it asked for stands. */
void
startup_forget_cancel(Session *session)
{
	if (session->cancel_errand != NULL)
		session->cancel_errand->session = NULL;
	session->cancel_errand = NULL;
}

/* The alias of this name, or NULL. */
static const DatabaseAlias *
find_alias(const SessionServer *server, const char *name)
{
	size_t i;

	for (i = 0; i < server->alias_count; i++)
		if (strcmp(server->aliases[i].name, name) == 0)
			return &server->aliases[i];
	return NULL;
}

/* Add text to the value of the start-up option `options`, where blanks separate. */
static void
add_escaped(Buffer *out, const char *text)
{
	for (; *text != '\0'; text++)
	{
		if (*text == ' ' || *text == '\\')
			wire_add_byte(out, '\\');
		wire_add_byte(out, (uint8_t) *text);
	}
}

/*
 * The packet anew, with the database that the alias stands for. The search_path
 * goes first, so that the client's own options win.
 */
static void
apply_alias(Session *session, const DatabaseAlias *alias)
{
	WireMessage old = {0, buffer_data(&session->startup) + 8,
	                   (uint32_t) session->startup.length - 8, 0};
	Buffer packet = {0};
	WireReader reader;
	const char *options = NULL;
	const char *name;
	char *length;

	wire_add_int32(&packet, 0);
	wire_add_bytes(&packet, buffer_data(&session->startup) + 4, 4);
	wire_read(&reader, &old);
	while ((name = wire_read_string(&reader)) != NULL && *name != '\0')
	{
		const char *value = wire_read_string(&reader);

		if (strcmp(name, "options") == 0)
			options = value;
		else if (strcmp(name, "database") != 0)
		{
			wire_add_string(&packet, name);
			wire_add_string(&packet, value);
		}
	}
	wire_add_string(&packet, "database");
	wire_add_string(&packet, DEFAULT_DATABASE);
	if (alias->search_path != NULL || options != NULL)
	{
		wire_add_string(&packet, "options");
		if (alias->search_path != NULL)
		{
			wire_add_bytes(&packet, "-c search_path=", 15);
			add_escaped(&packet, alias->search_path);
			wire_add_byte(&packet, ' ');
		}
		wire_add_string(&packet, options ? options : "");
	}
	wire_add_byte(&packet, 0);
	length = buffer_data(&packet);
	length[0] = (char) (packet.length >> 24);
	length[1] = (char) (packet.length >> 16);
	length[2] = (char) (packet.length >> 8);
	length[3] = (char) packet.length;
	buffer_free(&session->startup);
	session->startup = packet;
	free(session->database);
	session->database = copy_string(DEFAULT_DATABASE);
}

/* PostgreSQL said whether a database of the alias's name really exists. */
static void
name_settled(void *owner, PGresult *result, const char *problem)
{
	Session *session = owner;
	const DatabaseAlias *alias = find_alias(session->loop->server, session->database);

	session->naming = NULL;
	if (result == NULL)
	{
		WireError error = {.severity = "FATAL",
		                   .sqlstate = "57P03",
		                   .message = "PostgreSQL does not answer",
		                   .detail = problem};

		session_end(session, &error);
		return;
	}
	if (PQntuples(result) == 0)
		apply_alias(session, alias);
	connect_backend(session);
}

/* May the client enter without a password, if PostgreSQL says so? */
bool
startup_trusts(const Session *session)
{
	return session->from_loopback && session->loop->server->trusting[session->door];
}

/* The client took too long to say who it is. */
static void
startup_timed_out(uv_timer_t *timer)
{
	session_close(timer->data);
}

/* A client has come: from now on its time runs. */
void
startup_begin(Session *session)
{
	session->deadline = uv_now(session->timer.loop) + AUTHENTICATION_MS;
	uv_timer_start(&session->timer, startup_timed_out, AUTHENTICATION_MS, 0);
}

/* The client has proved who it is, or goes. */
void
startup_leave_place(Session *session)
{
	if (session->unproven)
		unproven_leave(session->network);
	session->unproven = false;
}

/* Look again for a place. */
static void
place_retry(uv_timer_t *timer)
{
	connect_backend(timer->data);
}

/* Has the client a place among those who have not proved who they are? If not, it waits. */
static bool
has_place(Session *session)
{
	uint64_t now = uv_now(session->timer.loop);

	session->unproven = unproven_enter(session->network, session->loop->server->max_connections);
	if (session->unproven)
		uv_timer_start(&session->timer, startup_timed_out,
		               session->deadline > now ? session->deadline - now : 0, 0);
	else if (now < session->deadline)
	{
		session->phase = SESSION_WAITING;
		uv_timer_start(&session->timer, place_retry, PLACE_MS, 0);
	}
	else
		session_fail(session, "53300", "too many clients have not said who they are");
	return session->unproven;
}

/* Find the way to a backend. */
static void
connect_backend(Session *session)
{
	SessionServer *server = session->loop->server;
	bool trusted = startup_trusts(session) && session_server_trusts(server, session->user);
	const Address *address =
	    server->has_password_backend && !trusted ? &server->password_backend : &server->backend;

	if (!trusted && !has_place(session))
		return;
	session->phase = SESSION_CONNECTING;
	session->backend =
	    stream_connect(loop_uv(session->loop->loop), address, &session_backend_events, session);
	if (session->backend == NULL)
		session_fail(session, "57P03", "could not connect to PostgreSQL");
}

/* Connected: the start-up packet first, then whatever the client sent already. */
void
startup_connected(Session *session, int status)
{
	if (status != 0)
	{
		WireError error = {.severity = "FATAL",
		                   .sqlstate = "57P03",
		                   .message = "could not connect to PostgreSQL",
		                   .detail = uv_strerror(status)};

		session_end(session, &error);
		return;
	}
	session->phase = SESSION_AUTHENTICATING;
	stream_limits(session->backend, SESSION_LOW_WATER, SESSION_HIGH_WATER);
	stream_write(session->backend, buffer_data(&session->startup), session->startup.length);
	pipeline_sent(&session->pipeline, 'S');
	buffer_free(&session->startup);
	stream_resume(session->backend);
	relay_continue(session);
}

/* Read the start-up packet, which is whole, and set out for a backend. */
static void
begin_session(Session *session, const char *packet, uint32_t length)
{
	SessionServer *server = session->loop->server;
	const char *unavailable = server->unavailable;
	WireMessage message = {0, packet + 8, length - 8, 0};
	WireReader reader;
	const char *name;
	const char *user = NULL;
	const char *database = NULL;
	bool replication = false;

	wire_read(&reader, &message);
	while ((name = wire_read_string(&reader)) != NULL && *name != '\0')
	{
		const char *value = wire_read_string(&reader);

		if (value == NULL)
			break;
		if (strcmp(name, "user") == 0)
			user = value;
		else if (strcmp(name, "database") == 0)
			database = value;
		else if (strcmp(name, "replication") == 0)
			replication = strcmp(value, "database") != 0;
	}
	if (!wire_read_done(&reader))
	{
		session_fail(session, "08P01",
		             "invalid startup packet layout: expected terminator as last byte");
		return;
	}
	if (unavailable != NULL)
	{
		session_fail(session, "57P03", unavailable);
		return;
	}
	if (user == NULL)
		user = "";
	if (database == NULL || *database == '\0')
		database = user;
	session->user = copy_string(user);
	session->database = copy_string(database);
	buffer_append(&session->startup, packet, length);
	if (!replication && find_alias(server, database) != NULL)
	{
		session->phase = SESSION_NAMING;
		session->naming =
		    link_query(session->loop->link, "SELECT FROM pg_catalog.pg_database WHERE datname = $1",
		               session->database, name_settled, session);
		return;
	}
	connect_backend(session);
}

/* Answer a request for encryption; false if the session ended because of it. */
static bool
answer_encryption(Session *session, uint32_t code, bool more)
{
	if (code == GSS_REQUEST_CODE)
	{
		session->gss_refused = true;
		stream_write(session->client, "N", 1);
		return true;
	}
	/* What follows in clear could come from someone in between. */
	if (more)
	{
		session_fail(session, "08P01", "received unencrypted data after SSL request");
		return false;
	}
	session->encryption_settled = true;
	stream_write(session->client, "S", 1);
	if (!stream_start_tls(session->client, session->loop->server->tls, TLS_POSTGRESQL, NULL, 0))
	{
		session_close(session);
		return false;
	}
	return true;
}

/* Deal with the first packet in `input`; true if there may be another one. */
static bool
read_packet(Session *session)
{
	const char *packet = buffer_data(&session->input);
	WireMessage header = {0, packet, (uint32_t) session->input.length, 0};
	WireReader reader;
	uint32_t length;
	uint32_t code;

	if (session->input.length < 4)
		return false;
	wire_read(&reader, &header);
	length = wire_read_int32(&reader);
	if (length < 8 || length > STARTUP_PACKET_MAX)
	{
		session_fail(session, "08P01", "invalid length of startup packet");
		return false;
	}
	if (session->input.length < length)
		return false;
	code = wire_read_int32(&reader);

	if ((code == SSL_REQUEST_CODE && !session->encryption_settled) ||
	    (code == GSS_REQUEST_CODE && !session->gss_refused))
	{
		bool more = session->input.length > length;

		buffer_consume(&session->input, length);
		return answer_encryption(session, code, more);
	}
	if (code == CANCEL_REQUEST_CODE)
	{
		uint32_t pid = wire_read_int32(&reader);
		uint32_t key = wire_read_int32(&reader);

		if (length != 16)
			session_fail(session, "08P01", "invalid length of startup packet");
		else
			cancel(session, pid, key);
		return false;
	}
	if (code >> 16 != 3)
	{
		WireError error = {.severity = "FATAL",
		                   .sqlstate = "0A000",
		                   .message = "unsupported frontend protocol",
		                   .detail = "The server supports version 3.0."};

		session_end(session, &error);
		return false;
	}
	begin_session(session, packet, length);
	if (session->phase != SESSION_CLOSED)
		buffer_consume(&session->input, length);
	return false;
}

/* The first bytes of a client. */
void
startup_read(Session *session, const char *bytes, size_t count)
{
	if (session->input.length == 0 && (unsigned char) bytes[0] == TLS_HANDSHAKE &&
	    !session->encryption_settled)
	{
		session->encryption_settled = true;
		session->direct_tls = true;
		if (!stream_start_tls(session->client, session->loop->server->tls, TLS_POSTGRESQL, bytes,
		                      count))
			session_close(session);
		return;
	}
	if (session->direct_tls && !stream_protocol_agreed(session->client))
	{
		session_fail(session, "08P01",
		             "received direct SSL connection request without ALPN protocol "
		             "negotiation extension");
		return;
	}
	buffer_append(&session->input, bytes, count);
	while (session->phase == SESSION_STARTUP && read_packet(session))
		;
}
