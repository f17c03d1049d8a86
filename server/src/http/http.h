/*-------------------------------------------------------------------------
 *
 * http.h
 *	  A connection of HTTP/1.1 and the handler behind it.
 *
 * A connection shows its handler one request at a time, from `head` to the end of its
 * answer; what the client sends ahead waits. Answers go out in the order of the requests.
 *
 *	head	the request line and the fields are there, and valid. The handler may answer now, or
 *			refuse; http_collect keeps the body for `end`, http_body_limit changes its limit.
 *	body	a piece of the body, inflated, as it comes; not if it is collected
 *	end		the request is whole
 *	gone	the client is gone before the answer ended, or what is left of the request was refused: nothing
 *			is to be answered any more, what runs for it is to be cancelled
 *	drained	what waited for the client fell below the low water mark
 *
 * The answer is http_answer, whole, or http_begin, http_chunk as often as there is something, and
 * http_end. Both may be called in a callback or at any time after it, on the connection's thread.
 *
 * Invariants:
 *	- `gone`, or an answer that ended, ends a request; nothing more is heard of it.
 *	- `close` is the last call, once after `open`. Callbacks do not nest: none is made from
 *	  inside a function of this file.
 *	- An answer that ends before its request does closes the connection: nobody knows how much
 *	  of the body the client will send.
 *	- After the connection is closed all functions here do nothing.
 *	- Memory is bounded: by the limits below, by the limit of the body where it is collected, and
 *	  by a handler that makes nothing while http_backlog is above HTTP_HIGH_WATER.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_HTTP_H
#define FRESHET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/parser.h"
#include "net/buffer.h"
#include "session/server.h"

#define HTTP_HEAD_MS 30000 /* from the first byte of a request to the end of its fields */
#define HTTP_IDLE_MS 60000 /* between requests, and between two pieces of a body */
#define HTTP_HIGH_WATER (256 * 1024)
#define HTTP_LOW_WATER (64 * 1024)

/* Bodies that are collected take at most this much memory, all together. */
#define HTTP_COLLECTED_MAX ((size_t) 1024 * 1024 * 1024)

typedef struct HttpConnection HttpConnection;

typedef struct HttpHandler
{
	const char *name;

	/* The result is `self`. */
	void *(*open)(HttpConnection *connection);
	void (*close)(void *self);
	void (*head)(void *self, const HttpHead *head);
	void (*body)(void *self, const char *bytes, size_t count);
	void (*end)(void *self);
	void (*gone)(void *self);
	void (*drained)(void *self);
} HttpHandler;

/* A client comes in, on the loop it will live on; `handler` is an HttpHandler. */
extern void http_accept(SessionLoop *loop, SessionDoor door, const void *handler, int fd);

/* In `head`: the bytes a body may have, inflated too. */
extern void http_body_limit(HttpConnection *connection, size_t limit);

/* In `head`: keep the body; http_collected gives it in `end` and after, up to the end of the answer. */
extern void http_collect(HttpConnection *connection);
extern const char *http_collected(const HttpConnection *connection, size_t *count);
/* Take it over, for work that may last longer than the request. */
extern void http_take_collected(HttpConnection *connection, Buffer *body);

/* Read no more of the body for now, or again. */
extern void http_hold(HttpConnection *connection, bool hold);

/* `fields` are whole lines, or "". http_last: the connection is closed behind this answer. */
extern void http_last(HttpConnection *connection);
extern void http_answer(HttpConnection *connection, int status, const char *type,
                        const char *fields, const void *body, size_t length);
extern void
http_begin(HttpConnection *connection, int status, const char *type, const char *fields);
extern void http_chunk(HttpConnection *connection, const void *bytes, size_t count);
extern void http_end(HttpConnection *connection);

/* The answer cannot be ended: close the connection in the middle of it, which the client notices. */
extern void http_abort(HttpConnection *connection);

/* Bytes that wait for the client; above HTTP_HIGH_WATER make no more. */
extern size_t http_backlog(const HttpConnection *connection);

/* May this request act as a trusted role without a password? See trust.h. */
extern bool http_trusted(const HttpConnection *connection);

/* Where the client is, as stream_network says, and the loop its connection lives on. */
extern uint64_t http_network(const HttpConnection *connection);
extern SessionLoop *http_loop(const HttpConnection *connection);

#endif /* FRESHET_HTTP_H */
