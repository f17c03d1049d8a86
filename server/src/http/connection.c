/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  A connection of HTTP/1.1: from bytes to requests, and answers in their order.
 *
 * `input` holds what came while it could not be looked at: behind a request that is being
 * answered, or of a body that the handler holds up.
 *
 * A client that closed its end may still wait for its answer, or be gone: TCP says the same of both
 * until something is sent. So it is sent an interim answer, which RFC 9110, 15.2.1 lets
 * a client ignore; who is gone resets the connection.
 *
 *-------------------------------------------------------------------------
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>

#include "http/http.h"
#include "http/inflate.h"
#include "http/trust.h"
#include "net/stream.h"

/* The first byte of a TLS record that begins a handshake. */
#define TLS_HANDSHAKE 0x16

/* A client may be ahead of the answers by so much before it is not read. */
#define AHEAD_MAX (64 * 1024)

/* How often it is seen whether a client that is not read is still there. */
#define LOOK_MS 500

static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

typedef enum HttpPhase
{
	HTTP_RECEIVING,
	HTTP_ANSWERING, /* the request is whole, its answer is not */
	HTTP_CLOSED
} HttpPhase;

/* What the timer runs for. */
typedef enum HttpWait
{
	WAIT_NOTHING,
	WAIT_REQUEST,
	WAIT_HEAD,
	WAIT_BODY,
	WAIT_LOOK /* what becomes of a client that is not read */
} HttpWait;

struct HttpConnection
{
	Guest guest;
	SessionLoop *loop;
	SessionDoor door;
	const HttpHandler *handler;
	void *self;
	Stream *stream;
	uv_timer_t timer;
	HttpWait wait;
	HttpParser *parser;
	Buffer input;
	HttpPhase phase;
	bool first_byte; /* it has come */
	bool working;    /* inside `take` */
	bool left;       /* the client sends nothing more */
	bool probed;

	/* The request. */
	bool open;  /* the handler has it */
	bool whole; /* all of it has come */
	bool has_body;
	bool is_1_0;
	bool head_only;
	bool trusted;
	bool held;
	Inflater *inflater;
	size_t body_limit;
	size_t body_length;
	int body_status; /* why the body is refused */
	bool collecting;
	Buffer collected;

	/* The answer. */
	bool begun;
	bool ended;
	bool chunked;
	bool last; /* the connection is closed behind it */
};

static atomic_size_t collected_by_all;
static atomic_size_t connections;

static void settle(HttpConnection *connection);

/* What a status is called. */
static const char *
status_name(int status)
{
	static const struct
	{
		int status;
		const char *name;
	} names[] = {
	    {200, "OK"},
	    {201, "Created"},
	    {204, "No Content"},
	    {206, "Partial Content"},
	    {400, "Bad Request"},
	    {401, "Unauthorized"},
	    {403, "Forbidden"},
	    {404, "Not Found"},
	    {405, "Method Not Allowed"},
	    {408, "Request Timeout"},
	    {409, "Conflict"},
	    {413, "Content Too Large"},
	    {414, "URI Too Long"},
	    {415, "Unsupported Media Type"},
	    {416, "Range Not Satisfiable"},
	    {417, "Expectation Failed"},
	    {429, "Too Many Requests"},
	    {431, "Request Header Fields Too Large"},
	    {500, "Internal Server Error"},
	    {501, "Not Implemented"},
	    {505, "HTTP Version Not Supported"},
	};
	size_t i;

	for (i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].status == status)
			return names[i].name;
	return "Unknown";
}

/* Forget what was kept of a body. */
static void
drop_collected(HttpConnection *connection)
{
	collected_by_all -= connection->collected.length;
	buffer_free(&connection->collected);
	connection->collecting = false;
}

/* The timer is closed: nothing refers to the connection any more. */
static void
free_connection(uv_handle_t *handle)
{
	HttpConnection *connection = handle->data;

	connection->handler->close(connection->self);
	drop_collected(connection);
	inflater_free(connection->inflater);
	http_parser_free(connection->parser);
	buffer_free(&connection->input);
	free(connection);
	connections--;
}

/* The end. What waits for the client is still sent, unless `at_once`. */
static void
close_connection(HttpConnection *connection, bool at_once)
{
	if (connection->phase == HTTP_CLOSED)
		return;
	connection->phase = HTTP_CLOSED;
	if (at_once)
		stream_close(connection->stream);
	else
		stream_finish(connection->stream);
	session_loop_leave(connection->loop, &connection->guest);
	uv_close((uv_handle_t *) &connection->timer, free_connection);
}

/* The end, not by the handler's wish. */
static void
lose(HttpConnection *connection)
{
	bool open = connection->open;

	if (connection->phase == HTTP_CLOSED)
		return;
	connection->open = false;
	close_connection(connection, false);
	if (open)
		connection->handler->gone(connection->self);
}

/* The server stops. */
static void
guest_end(Guest *guest)
{
	lose((HttpConnection *) guest);
}

/* The time as a field; made once a second. */
static const char *
date(void)
{
	static _Thread_local char text[64];
	static _Thread_local time_t made;
	time_t now = time(NULL);
	struct tm parts;

	if (now != made)
	{
		gmtime_r(&now, &parts);
		strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
		made = now;
	}
	return text;
}

/* Status line and fields; `framing` is the field that says where the body ends. */
static void
send_head(HttpConnection *connection, int status, const char *type, const char *fields,
          const char *framing)
{
	Buffer head = {0};
	size_t room = strlen(fields) + strlen(framing) + 512;

	/* how much of the body is still to come nobody knows */
	connection->last |= connection->has_body && !connection->whole;
	head.length = (size_t) snprintf(buffer_reserve(&head, room), room,
	                                "HTTP/1.1 %d %s\r\nDate: %s\r\n%s%s%s%s%s%s\r\n", status,
	                                status_name(status), date(), type ? "Content-Type: " : "",
	                                type ? type : "", type ? "\r\n" : "", fields, framing,
	                                connection->last     ? "Connection: close\r\n"
	                                : connection->is_1_0 ? "Connection: keep-alive\r\n"
	                                                     : "");
	connection->begun = true;
	stream_write(connection->stream, buffer_data(&head), head.length);
	buffer_free(&head);
}

/* A request that no handler sees, or no more of: a line of text, and the end. */
static void
refuse(HttpConnection *connection, int status, const char *reason)
{
	char framing[64];
	char text[256];
	int length = snprintf(text, sizeof text, "%s\n", reason);

	if (!connection->begun)
	{
		connection->last = true;
		snprintf(framing, sizeof framing, "Content-Length: %d\r\n", length);
		stream_cork(connection->stream);
		send_head(connection, status, "text/plain; charset=utf-8", "", framing);
		if (!connection->head_only)
			stream_write(connection->stream, text, (size_t) length);
		stream_uncork(connection->stream);
	}
	lose(connection);
}

/* A piece of the body, inflated; false: no more of it is wanted. */
static bool
deliver(void *owner, const char *bytes, size_t count)
{
	HttpConnection *connection = owner;

	if (count > connection->body_limit - connection->body_length)
	{
		connection->body_status = 413;
		return false;
	}
	connection->body_length += count;
	if (!connection->collecting)
		connection->handler->body(connection->self, bytes, count);
	else if (collected_by_all + count > HTTP_COLLECTED_MAX)
		connection->body_status = 429;
	else
	{
		collected_by_all += count;
		buffer_append(&connection->collected, bytes, count);
	}
	return connection->open && connection->body_status == 0;
}

/* A piece of the body as it came. */
static void
body_came(void *owner, const char *bytes, size_t count)
{
	HttpConnection *connection = owner;

	if (!connection->open || connection->body_status != 0)
		return;
	if (connection->inflater == NULL)
		deliver(connection, bytes, count);
	else if (inflater_feed(connection->inflater, bytes, count, deliver, connection) == INFLATE_BAD)
		connection->body_status = 400;
}

/* A client may send a body encoded by gzip, or as it is. */
static bool
accept_encoding(HttpConnection *connection, const HttpHead *head)
{
	const char *encoding = http_field(head, "content-encoding");

	if (encoding == NULL || !head->has_body || strcasecmp(encoding, "identity") == 0)
		return true;
	if (strcasecmp(encoding, "gzip") != 0)
		return false;
	connection->inflater = inflater_make();
	return true;
}

/* The head has come. */
static void
begin_request(HttpConnection *connection)
{
	const HttpHead *head = http_parser_head(connection->parser);
	const SessionServer *server = session_loop_server(connection->loop);
	const char *expect = http_field(head, "expect");

	connection->whole = connection->begun = connection->ended = connection->probed = false;
	connection->has_body = head->has_body;
	connection->is_1_0 = head->is_1_0;
	connection->head_only = head->method == HTTP_METHOD_HEAD;
	connection->last = !head->keep_alive;
	connection->trusted = server->trusting[connection->door] &&
	                      stream_from_loopback(connection->stream) && http_trust(head);
	connection->body_limit = server->http_body_limit;
	connection->body_length = 0;
	connection->body_status = 0;
	if (!accept_encoding(connection, head))
	{
		refuse(connection, 415, "the only content encoding is \"gzip\"");
		return;
	}
	if (expect != NULL && strcasecmp(expect, "100-continue") != 0)
	{
		refuse(connection, 417, "the only expectation is \"100-continue\"");
		return;
	}
	connection->open = true;
	connection->handler->head(connection->self, head);
	if (!connection->open)
		return;
	if (head->length > connection->body_limit)
		refuse(connection, 413, "the body is too large");
	else if (expect != NULL && head->has_body && !head->is_1_0 && !connection->begun)
		stream_write(connection->stream, go_on, sizeof go_on - 1);
}

/* The answer has ended, and so had the request. */
static void
next_request(HttpConnection *connection)
{
	drop_collected(connection);
	inflater_free(connection->inflater);
	connection->inflater = NULL;
	connection->held = false;
	connection->has_body = false;
	connection->begun = false;
	connection->head_only = false;
	connection->phase = HTTP_RECEIVING;
	if (connection->last)
		close_connection(connection, false);
}

/* The request is whole. */
static void
end_request(HttpConnection *connection)
{
	connection->whole = true;
	connection->phase = HTTP_ANSWERING;
	if (connection->open && connection->inflater != NULL && !inflater_ended(connection->inflater))
	{
		refuse(connection, 400, "the body is no gzip");
		return;
	}
	if (connection->open)
		connection->handler->end(connection->self);
	if (connection->phase != HTTP_CLOSED && connection->ended)
		next_request(connection);
}

/* Make of the bytes what can be made of them now; the number of those used. */
static size_t
take(HttpConnection *connection, const char *bytes, size_t count)
{
	size_t all = 0;
	HttpStep step = HTTP_STEP_HEAD;

	connection->working = true;
	while (connection->phase == HTTP_RECEIVING && !connection->held && step != HTTP_STEP_MORE)
	{
		size_t used;

		step = http_parser_feed(connection->parser, bytes + all, count - all, &used);
		all += used;
		if (connection->phase == HTTP_CLOSED)
			break;
		if (step == HTTP_STEP_REFUSED)
			refuse(connection, http_parser_status(connection->parser),
			       http_parser_reason(connection->parser));
		else if (connection->body_status == 413)
			refuse(connection, 413, "the body is too large");
		else if (connection->body_status == 429)
			refuse(connection, 429, "too many bodies are under way");
		else if (connection->body_status != 0)
			refuse(connection, 400, "the body is no gzip");
		else if (step == HTTP_STEP_HEAD)
			begin_request(connection);
		else if (step == HTTP_STEP_END)
			end_request(connection);
		/* an answer that did not wait for the body */
		if (connection->ended && connection->has_body && !connection->whole)
			close_connection(connection, false);
	}
	connection->working = false;
	return all;
}

/* Go on with what had to wait. */
static void
advance(HttpConnection *connection)
{
	size_t used = take(connection, buffer_data(&connection->input), connection->input.length);

	if (connection->phase != HTTP_CLOSED)
		buffer_consume(&connection->input, used);
	settle(connection);
}

static void
advance_soon(uv_timer_t *timer)
{
	advance(timer->data);
}

/* The client took too long, or it is time to see whether it is there. */
static void
out_of_time(uv_timer_t *timer)
{
	HttpConnection *connection = timer->data;

	if (connection->wait == WAIT_REQUEST)
		close_connection(connection, false);
	else if (connection->wait != WAIT_LOOK)
		refuse(connection, 408, "the request takes too long");
	else if (stream_peer(connection->stream) == STREAM_PEER_GONE)
		lose(connection);
	else if (connection->left && !connection->probed && !connection->begun && !connection->is_1_0)
	{
		connection->probed = true;
		stream_write(connection->stream, go_on, sizeof go_on - 1);
	}
}

/* What is waited for now. */
static HttpWait
find_wait(const HttpConnection *connection)
{
	if (connection->phase == HTTP_ANSWERING || connection->held)
		return stream_paused(connection->stream) ? WAIT_LOOK : WAIT_NOTHING;
	if (connection->open)
		return WAIT_BODY;
	return http_parser_midway(connection->parser) ? WAIT_HEAD : WAIT_REQUEST;
}

/* Read or do not, and set the timer, after something has happened. */
static void
settle(HttpConnection *connection)
{
	HttpWait wait;

	if (connection->phase == HTTP_CLOSED)
		return;
	if (connection->phase == HTTP_RECEIVING && !connection->held)
	{
		if (connection->input.length > 0)
		{
			connection->wait = WAIT_NOTHING;
			uv_timer_start(&connection->timer, advance_soon, 0, 0);
			return;
		}
		if (connection->left)
		{
			lose(connection);
			return;
		}
	}
	if (connection->held || connection->left || connection->input.length > AHEAD_MAX)
		stream_pause(connection->stream);
	else
		stream_resume(connection->stream);
	wait = find_wait(connection);
	if (wait == connection->wait && wait != WAIT_BODY)
		return;
	connection->wait = wait;
	if (wait == WAIT_NOTHING)
		uv_timer_stop(&connection->timer);
	else if (wait == WAIT_LOOK)
		uv_timer_start(&connection->timer, out_of_time, LOOK_MS, LOOK_MS);
	else
		uv_timer_start(&connection->timer, out_of_time,
		               wait == WAIT_HEAD ? HTTP_HEAD_MS : HTTP_IDLE_MS, 0);
}

/* Bytes of the client. */
static void
client_read(void *owner, const char *bytes, size_t count)
{
	HttpConnection *connection = owner;
	size_t used = 0;

	if (connection->phase == HTTP_CLOSED)
		return;
	if (!connection->first_byte)
	{
		connection->first_byte = true;
		if ((unsigned char) bytes[0] == TLS_HANDSHAKE)
		{
			if (!stream_start_tls(connection->stream, session_loop_server(connection->loop)->tls,
			                      TLS_HTTP, bytes, count))
				close_connection(connection, true);
			return;
		}
	}
	if (connection->input.length == 0)
		used = take(connection, bytes, count);
	if (connection->phase == HTTP_CLOSED)
		return;
	buffer_append(&connection->input, bytes + used, count - used);
	settle(connection);
}

/* The client has closed its end (0), or is gone. */
static void
client_ended(void *owner, int status)
{
	HttpConnection *connection = owner;

	connection->left = true;
	if (status != 0)
		lose(connection);
	else
		settle(connection);
}

/* The client took what waited for it. */
static void
client_drained(void *owner)
{
	HttpConnection *connection = owner;

	if (connection->open)
		connection->handler->drained(connection->self);
}

static const StreamEvents client_events = {client_read, client_ended, client_drained, NULL};

/*
 * Is there room for one more? Half of the descriptors are for others: PostgreSQL's protocol, backends, files.
 * It is asked each time, since an administrator may change the limit.
 */
static bool
has_room(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) != 0 || connections < limit.rlim_cur / 2;
}

/* See http.h. */
void
http_accept(SessionLoop *loop, SessionDoor door, const void *handler, int fd)
{
	uv_loop_t *uv = loop_uv(session_loop_of(loop));
	HttpConnection *connection = calloc(1, sizeof *connection);

	if (connection == NULL)
		abort();
	connection->loop = loop;
	connection->door = door;
	connection->handler = handler;
	connection->guest.end = guest_end;
	connection->guest.client = true;
	session_loop_enter(loop, &connection->guest);
	connection->stream = stream_accepted(uv, fd, &client_events, connection);
	if (connection->stream == NULL || !has_room())
	{
		if (connection->stream != NULL)
			stream_close(connection->stream);
		session_loop_leave(loop, &connection->guest);
		free(connection);
		return;
	}
	connections++;
	connection->parser = http_parser_make(body_came, connection);
	uv_timer_init(uv, &connection->timer);
	connection->timer.data = connection;
	connection->self = connection->handler->open(connection);
	stream_limits(connection->stream, HTTP_LOW_WATER, HTTP_HIGH_WATER);
	settle(connection);
}

void
http_body_limit(HttpConnection *connection, size_t limit)
{
	connection->body_limit = limit;
}

void
http_collect(HttpConnection *connection)
{
	connection->collecting = true;
}

const char *
http_collected(const HttpConnection *connection, size_t *count)
{
	*count = connection->collected.length;
	return buffer_data(&connection->collected);
}

void
http_take_collected(HttpConnection *connection, Buffer *body)
{
	*body = connection->collected;
	collected_by_all -= body->length;
	memset(&connection->collected, 0, sizeof connection->collected);
}

void
http_hold(HttpConnection *connection, bool hold)
{
	if (!connection->open || connection->held == hold)
		return;
	connection->held = hold;
	if (!connection->working)
		settle(connection);
}

void
http_last(HttpConnection *connection)
{
	connection->last = true;
}

/* The answer is complete. */
static void
answered(HttpConnection *connection)
{
	connection->open = false;
	connection->ended = true;
	if (connection->working)
		return;
	if (!connection->whole)
		close_connection(connection, false);
	else
	{
		next_request(connection);
		settle(connection);
	}
}

void
http_answer(HttpConnection *connection, int status, const char *type, const char *fields,
            const void *body, size_t length)
{
	char framing[64] = "";

	if (!connection->open || connection->begun)
		return;
	if (status != 204)
		snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", length);
	stream_cork(connection->stream);
	send_head(connection, status, type, fields, framing);
	if (!connection->head_only)
		stream_write(connection->stream, body, length);
	stream_uncork(connection->stream);
	answered(connection);
}

void
http_begin(HttpConnection *connection, int status, const char *type, const char *fields)
{
	if (!connection->open || connection->begun)
		return;
	connection->chunked = !connection->is_1_0;
	connection->last |= connection->is_1_0;
	send_head(connection, status, type, fields,
	          connection->chunked ? "Transfer-Encoding: chunked\r\n" : "");
}

void
http_chunk(HttpConnection *connection, const void *bytes, size_t count)
{
	char size[24];

	if (!connection->open || !connection->begun || connection->head_only || count == 0)
		return;
	stream_cork(connection->stream);
	if (connection->chunked)
		stream_write(connection->stream, size,
		             (size_t) snprintf(size, sizeof size, "%zx\r\n", count));
	stream_write(connection->stream, bytes, count);
	if (connection->chunked)
		stream_write(connection->stream, "\r\n", 2);
	stream_uncork(connection->stream);
}

void
http_end(HttpConnection *connection)
{
	if (!connection->open || !connection->begun)
		return;
	if (connection->chunked && !connection->head_only)
		stream_write(connection->stream, "0\r\n\r\n", 5);
	answered(connection);
}

void
http_abort(HttpConnection *connection)
{
	if (!connection->open)
		return;
	connection->open = false;
	close_connection(connection, true);
}

size_t
http_backlog(const HttpConnection *connection)
{
	return connection->phase == HTTP_CLOSED ? 0 : stream_backlog(connection->stream);
}

bool
http_trusted(const HttpConnection *connection)
{
	return connection->trusted;
}

uint64_t
http_network(const HttpConnection *connection)
{
	return connection->phase == HTTP_CLOSED ? 0 : stream_network(connection->stream);
}

SessionLoop *
http_loop(const HttpConnection *connection)
{
	return connection->loop;
}
