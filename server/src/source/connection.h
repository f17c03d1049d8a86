/*-------------------------------------------------------------------------
 *
 * connection.h
 *	  A libpq connection of the server's own, driven by the loop.
 *
 * Invariants:
 *	- One script runs at a time: several statements in one text, which is one
 *	  transaction unless it says otherwise. COPY … FROM STDIN in it is fed by
 *	  the script's `fill`.
 *	- Callbacks come from the loop, never from inside a call of this module.
 *	- After connection_close no callback comes. What a callback was given (a
 *	  message, a result) stays until the callback returns, closed or not.
 *	- While a COPY is fed the socket is watched for writing, whatever the last
 *	  flush said: nothing else would bring the feeding back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_SOURCE_CONNECTION_H
#define FRESHET_SOURCE_CONNECTION_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <uv.h>

#include "net/buffer.h"

typedef struct Connection Connection;

typedef struct ConnectionEvents
{
	/* the connection is there */
	void (*opened)(void *owner);

	/* it failed or was lost; it can only be closed now */
	void (*lost)(void *owner, const char *message);

	/* somebody notified this connection */
	void (*notified)(void *owner);
} ConnectionEvents;

/* One script. */
typedef struct Script
{
	const char *sql;

	/* each result with rows, as it comes; may be NULL */
	void (*rows)(void *owner, PGresult *result);

	/*
	 * The n-th COPY of the script wants data: append some, and say whether there
	 * is more to come.
	 */
	bool (*fill)(void *owner, int copy, Buffer *data);

	/* the end; sqlstate and message are NULL if all went well */
	void (*done)(void *owner, const char *sqlstate, const char *message);
} Script;

/* conninfo is freed */
extern Connection *
connection_open(uv_loop_t *loop, char *conninfo, const ConnectionEvents *events, void *owner);
extern void connection_run(Connection *connection, const Script *script);
extern bool connection_busy(const Connection *connection);
extern void connection_close(Connection *connection);

/* Text as a literal or an identifier behind what is in `sql`; false: it is no text. */
extern bool connection_literal(Connection *connection, Buffer *sql, const char *text);
extern bool connection_identifier(Connection *connection, Buffer *sql, const char *text);

/* The process that serves the connection, by PostgreSQL's word. */
extern int connection_backend(const Connection *connection);

/* connections that are not quite closed yet */
extern int connection_count(void);

#endif /* FRESHET_SOURCE_CONNECTION_H */
