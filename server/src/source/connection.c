/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  A libpq connection of the server's own, driven by the loop.
 *
 *-------------------------------------------------------------------------
 */
#include "source/connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The most that a COPY is fed before the loop looks after others. */
#define COPY_TURN (256 * 1024)

typedef enum ConnectionState
{
	CONNECTION_OPENING,
	CONNECTION_IDLE,
	CONNECTION_RUNNING,
	CONNECTION_LOST
} ConnectionState;

struct Connection
{
	uv_loop_t *loop;
	uv_poll_t poll;
	uv_timer_t soon; /* reports what was noticed inside a call */
	int handles;     /* open, so that memory is freed after the last */
	int fd;          /* what poll watches; -1: nothing */
	bool closed;
	ConnectionState state;
	PGconn *pq;
	const ConnectionEvents *events;
	void *owner;
	Script script;
	int copies;
	bool copying;
	bool copy_more;
	Buffer data;
	char sqlstate[6]; /* of the script's error; empty: none */
	char *message;    /* of that, or of the loss */
};

static int connections;

static void connection_ready(uv_poll_t *poll, int status, int events);
static void report_loss(uv_timer_t *timer);
static void lose(Connection *connection);

/* Connections that are not quite closed yet. */
int
connection_count(void)
{
	return connections;
}

/* Keep a message in the place of the one before. */
static void
set_message(Connection *connection, const char *message)
{
	free(connection->message);
	connection->message = copy_string(message);
}

/* A handle is closed; after the last one the memory goes. */
static void
handle_closed(uv_handle_t *handle)
{
	Connection *connection = handle->data;

	if (--connection->handles > 0)
		return;
	buffer_free(&connection->data);
	free(connection->message);
	free(connection);
	connections--;
}

/* Watch the socket for what libpq needs. */
static void
watch(Connection *connection, int events)
{
	int fd = PQsocket(connection->pq);

	/* libpq goes on with another socket only if this one has failed */
	if (fd < 0 || (connection->fd >= 0 && fd != connection->fd))
	{
		lose(connection);
		return;
	}
	if (connection->fd < 0)
	{
		if (uv_poll_init(connection->loop, &connection->poll, fd) != 0)
		{
			lose(connection);
			return;
		}
		connection->poll.data = connection;
		connection->handles++;
		connection->fd = fd;
	}
	uv_poll_start(&connection->poll, events, connection_ready);
}

/* The connection is lost: say so from the loop. */
static void
lose(Connection *connection)
{
	if (connection->state == CONNECTION_LOST)
		return;
	connection->state = CONNECTION_LOST;
	if (connection->fd >= 0)
		uv_poll_stop(&connection->poll);
	uv_timer_start(&connection->soon, report_loss, 0, 0);
}

/* Say that the connection is lost. */
static void
report_loss(uv_timer_t *timer)
{
	Connection *connection = timer->data;

	if (connection->closed)
		return;
	/* libpq's own would go with the connection, which the owner is going to close */
	set_message(connection, PQerrorMessage(connection->pq));
	connection->message[strcspn(connection->message, "\n")] = '\0';
	connection->events->lost(connection->owner, connection->message);
}

/* The script has ended. */
static void
script_over(Connection *connection)
{
	bool failed = connection->sqlstate[0] != '\0';

	connection->state = CONNECTION_IDLE;
	connection->script.done(connection->owner, failed ? connection->sqlstate : NULL,
	                        failed ? connection->message : NULL);
}

/*
 * Feed a COPY as long as the socket takes it, but not too much at once; false:
 * the connection is lost. If this returns while copying, the rest is for when
 * the socket can be written.
 */
static bool
feed_copy(Connection *connection)
{
	int left = COPY_TURN;

	while (connection->copying && left > 0)
	{
		Buffer *data = &connection->data;
		int taken = PQflush(connection->pq);

		if (taken < 0)
			return false;
		if (taken > 0)
			return true;
		if (data->length == 0 && connection->copy_more)
			connection->copy_more =
			    connection->script.fill(connection->owner, connection->copies, data);
		if (data->length > 0)
		{
			int size = data->length > (size_t) left ? left : (int) data->length;

			taken = PQputCopyData(connection->pq, buffer_data(data), size);
			if (taken > 0)
			{
				buffer_consume(data, (size_t) size);
				left -= size;
			}
		}
		else if (!connection->copy_more)
		{
			taken = PQputCopyEnd(connection->pq, NULL);
			if (taken > 0)
			{
				connection->copying = false;
				connection->copies++;
			}
		}
		else
			continue;
		if (taken < 0)
			return false;
		if (taken == 0)
			return true;
	}
	return true;
}

/* Take in the results that are there. */
static bool
take_results(Connection *connection)
{
	PGresult *result;

	while (!connection->copying && !PQisBusy(connection->pq))
	{
		result = PQgetResult(connection->pq);
		if (result == NULL)
		{
			if (PQstatus(connection->pq) == CONNECTION_BAD)
				return false;
			script_over(connection);
			return true;
		}
		switch (PQresultStatus(result))
		{
			case PGRES_COPY_IN:
				connection->copying = true;
				connection->copy_more = true;
				buffer_clear(&connection->data);
				if (!feed_copy(connection))
				{
					PQclear(result);
					return false;
				}
				break;
			case PGRES_TUPLES_OK:
				if (connection->script.rows != NULL)
					connection->script.rows(connection->owner, result);
				break;
			case PGRES_COMMAND_OK:
			case PGRES_EMPTY_QUERY:
				break;
			default:
				if (connection->sqlstate[0] == '\0')
				{
					const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
					const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

					snprintf(connection->sqlstate, sizeof connection->sqlstate, "%s",
					         sqlstate != NULL ? sqlstate : "08006");
					set_message(connection,
					            message != NULL ? message : PQresultErrorMessage(result));
				}
				break;
		}
		PQclear(result);
		if (connection->closed)
			return true;
	}
	return true;
}

/* The socket can be read or written. */
static void
connection_ready(uv_poll_t *poll, int status, int events)
{
	Connection *connection = poll->data;
	PGnotify *notify;
	bool notified = false;
	int flushed;

	if (connection->closed || connection->state == CONNECTION_LOST)
		return;
	if (connection->state == CONNECTION_OPENING)
	{
		switch (PQconnectPoll(connection->pq))
		{
			case PGRES_POLLING_READING:
				watch(connection, UV_READABLE);
				return;
			case PGRES_POLLING_WRITING:
				watch(connection, UV_WRITABLE);
				return;
			case PGRES_POLLING_OK:
				PQsetnonblocking(connection->pq, 1);
				connection->state = CONNECTION_IDLE;
				watch(connection, UV_READABLE);
				connection->events->opened(connection->owner);
				return;
			default:
				lose(connection);
				return;
		}
	}

	/* an error of the socket comes without events; reading finds and clears it */
	if ((status < 0 || (events & UV_READABLE)) && !PQconsumeInput(connection->pq))
	{
		lose(connection);
		return;
	}
	if (connection->state == CONNECTION_RUNNING &&
	    (!feed_copy(connection) || !take_results(connection)))
	{
		if (!connection->closed)
			lose(connection);
		return;
	}
	/* only now: a notification may stand among the results */
	while (!connection->closed && (notify = PQnotifies(connection->pq)) != NULL)
	{
		PQfreemem(notify);
		notified = true;
	}
	if (notified && !connection->closed)
		connection->events->notified(connection->owner);
	if (connection->closed || connection->state == CONNECTION_LOST)
		return;
	if (PQstatus(connection->pq) == CONNECTION_BAD || (flushed = PQflush(connection->pq)) < 0)
	{
		lose(connection);
		return;
	}

	/*
	 * What did not fit when the COPY was fed may have left just now: the feeding
	 * goes on when the socket can be written, which it then can at once.
	 */
	watch(connection, flushed > 0 || connection->copying ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

/* Open a connection; conninfo is freed. */
Connection *
connection_open(uv_loop_t *loop, char *conninfo, const ConnectionEvents *events, void *owner)
{
	Connection *connection = calloc(1, sizeof(Connection));

	if (connection == NULL)
		abort();
	connections++;
	connection->loop = loop;
	connection->fd = -1;
	connection->events = events;
	connection->owner = owner;
	uv_timer_init(loop, &connection->soon);
	connection->soon.data = connection;
	connection->handles = 1;
	connection->pq = PQconnectStart(conninfo);
	free(conninfo);
	if (connection->pq == NULL)
		abort();
	if (PQstatus(connection->pq) == CONNECTION_BAD)
		lose(connection);
	else
		watch(connection, UV_WRITABLE);
	return connection;
}

/* Whether a script runs, or the connection is not there. */
bool
connection_busy(const Connection *connection)
{
	return connection->state != CONNECTION_IDLE;
}

/* Run a script; its text is not needed after the call. */
void
connection_run(Connection *connection, const Script *script)
{
	int flushed;

	if (connection->state != CONNECTION_IDLE)
		return;
	connection->script = *script;
	connection->copies = 0;
	connection->copying = false;
	connection->sqlstate[0] = '\0';
	connection->state = CONNECTION_RUNNING;
	if (!PQsendQuery(connection->pq, script->sql) || (flushed = PQflush(connection->pq)) < 0)
	{
		lose(connection);
		return;
	}
	watch(connection, flushed > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

/* Add what libpq made of a text; nothing, if the text was not valid UTF-8. */
static bool
add_escaped(Buffer *sql, char *escaped)
{
	if (escaped == NULL)
		return false;
	buffer_append(sql, escaped, strlen(escaped));
	PQfreemem(escaped);
	return true;
}

/* Add a text as a literal. */
bool
connection_literal(Connection *connection, Buffer *sql, const char *text)
{
	return add_escaped(sql, PQescapeLiteral(connection->pq, text, strlen(text)));
}

/* Add a text as an identifier. */
bool
connection_identifier(Connection *connection, Buffer *sql, const char *text)
{
	return add_escaped(sql, PQescapeIdentifier(connection->pq, text, strlen(text)));
}

/* The process that serves the connection. */
int
connection_backend(const Connection *connection)
{
	return PQbackendPID(connection->pq);
}

/* Close the connection; nothing is heard of it any more. */
void
connection_close(Connection *connection)
{
	if (connection == NULL || connection->closed)
		return;
	connection->closed = true;
	if (connection->fd >= 0)
	{
		uv_poll_stop(&connection->poll);
		uv_close((uv_handle_t *) &connection->poll, handle_closed);
	}
	uv_close((uv_handle_t *) &connection->soon, handle_closed);
	PQfinish(connection->pq);
	connection->pq = NULL;
}
