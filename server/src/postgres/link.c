/*-------------------------------------------------------------------------
 *
 * link.c
 *	  The server's own connection to PostgreSQL for short questions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres/link.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A connection or an answer that takes longer than this has failed. */
#define LINK_PATIENCE_MS 10000

struct LinkQuery
{
	LinkQuery *next;
	char *sql;
	char *parameter;
	LinkAnswer answer; /* NULL once forgotten */
	void *owner;
};

typedef enum LinkState
{
	LINK_APART,
	LINK_CONNECTING,
	LINK_QUIET, /* connected, nothing asked */
	LINK_ASKED  /* the first query of the queue is under way */
} LinkState;

struct Link
{
	uv_loop_t *loop;
	char *conninfo;
	LinkState state;
	PGconn *connection;
	uv_poll_t *poll;
	uv_timer_t timer;
	LinkQuery *first;
	LinkQuery *last;
};

static void work(Link *link);
static void timer_ran_out(uv_timer_t *timer);

/* For handles that are memory of their own. */
static void
free_handle(uv_handle_t *handle)
{
	free(handle);
}

/* For the timer, which is part of the link. */
static void
free_link(uv_handle_t *handle)
{
	Link *link = handle->data;

	free(link->conninfo);
	free(link);
}

/* A link by this connection string; nothing is connected yet. */
Link *
link_open(uv_loop_t *loop, const char *conninfo)
{
	Link *link = calloc(1, sizeof *link);

	if (link == NULL || (link->conninfo = strdup(conninfo)) == NULL)
		abort();
	link->loop = loop;
	uv_timer_init(loop, &link->timer);
	link->timer.data = link;
	return link;
}

/* Close the connection; the next question opens another. */
static void
part(Link *link)
{
	if (link->poll != NULL)
	{
		uv_poll_stop(link->poll);
		uv_close((uv_handle_t *) link->poll, free_handle);
		link->poll = NULL;
	}
	if (link->connection != NULL)
		PQfinish(link->connection);
	link->connection = NULL;
	link->state = LINK_APART;
	uv_timer_stop(&link->timer);
}

/* Take the first query from the queue and tell its owner. */
static void
answer_first(Link *link, PGresult *result, const char *problem)
{
	LinkQuery *query = link->first;

	link->first = query->next;
	if (link->first == NULL)
		link->last = NULL;
	if (query->answer != NULL)
		query->answer(query->owner, result, problem);
	free(query->sql);
	free(query->parameter);
	free(query);
}

/* The connection is lost or was never there: so are all questions. */
static void
fail(Link *link, const char *problem)
{
	LinkQuery *until = link->last;
	char text[512];

	snprintf(text, sizeof text, "%s", problem);
	text[strcspn(text, "\n")] = '\0';
	part(link);
	while (link->first != NULL)
	{
		bool was_last = link->first == until;

		answer_first(link, NULL, text);
		if (was_last)
			break;
	}
	if (link->first != NULL)
		uv_timer_start(&link->timer, timer_ran_out, 0, 0);
}

/* The connection's socket is ready for something. */
static void
socket_ready(uv_poll_t *poll, int status, int events)
{
	(void) status;
	(void) events;
	work(poll->data);
}

/* Watch the connection's socket, which libpq may have changed. */
static void
watch(Link *link, int events)
{
	if (link->poll == NULL)
	{
		uv_poll_t *poll = calloc(1, sizeof *poll);

		if (poll == NULL)
			abort();
		if (uv_poll_init(link->loop, poll, PQsocket(link->connection)) != 0)
		{
			free(poll);
			fail(link, "the socket cannot be watched");
			return;
		}
		poll->data = link;
		link->poll = poll;
	}
	uv_poll_start(link->poll, events, socket_ready);
}

/* One step of connecting. */
static void
connect_step(Link *link)
{
	PostgresPollingStatusType status;

	/* libpq may close one socket and open another; a poll handle must not outlive its socket. */
	if (link->poll != NULL)
	{
		uv_poll_stop(link->poll);
		uv_close((uv_handle_t *) link->poll, free_handle);
		link->poll = NULL;
	}
	status = PQconnectPoll(link->connection);
	if (status == PGRES_POLLING_FAILED)
		fail(link, PQerrorMessage(link->connection));
	else if (status == PGRES_POLLING_OK)
	{
		link->state = LINK_QUIET;
		uv_timer_stop(&link->timer);
		watch(link, UV_READABLE);
		work(link);
	}
	else
		watch(link, status == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE);
}

/* Nobody reads what PostgreSQL says beside its answers. */
static void
ignore_notice(void *owner, const PGresult *notice)
{
	(void) owner;
	(void) notice;
}

/* Start to connect. */
static void
start_to_connect(Link *link)
{
	link->connection = PQconnectStart(link->conninfo);
	if (link->connection == NULL || PQstatus(link->connection) == CONNECTION_BAD)
	{
		fail(link, link->connection ? PQerrorMessage(link->connection) : "out of memory");
		return;
	}
	PQsetNoticeReceiver(link->connection, ignore_notice, NULL);
	link->state = LINK_CONNECTING;
	uv_timer_start(&link->timer, timer_ran_out, LINK_PATIENCE_MS, 0);
	watch(link, UV_WRITABLE);
}

/* Send the first query of the queue. */
static void
ask(Link *link)
{
	const char *values[1] = {link->first->parameter};

	if (PQsendQueryParams(link->connection, link->first->sql, values[0] ? 1 : 0, NULL, values, NULL,
	                      NULL, 0) != 1)
	{
		fail(link, PQerrorMessage(link->connection));
		return;
	}
	link->state = LINK_ASKED;
	uv_timer_start(&link->timer, timer_ran_out, LINK_PATIENCE_MS, 0);
	watch(link, UV_READABLE);
}

/* Take what the backend sent. */
static void
receive(Link *link)
{
	PGresult *result;

	if (PQconsumeInput(link->connection) != 1)
	{
		fail(link, PQerrorMessage(link->connection));
		return;
	}
	while (link->state == LINK_ASKED && !PQisBusy(link->connection))
	{
		result = PQgetResult(link->connection);
		if (result == NULL)
		{
			link->state = LINK_QUIET;
			uv_timer_start(&link->timer, timer_ran_out, LINK_IDLE_MS, 0);
		}
		else if (link->first != NULL && PQresultStatus(result) != PGRES_TUPLES_OK &&
		         PQresultStatus(result) != PGRES_COMMAND_OK)
		{
			char text[512];

			snprintf(text, sizeof text, "%s", PQresultErrorMessage(result));
			text[strcspn(text, "\n")] = '\0';
			answer_first(link, NULL, text);
		}
		else if (link->first != NULL)
			answer_first(link, result, NULL);
		PQclear(result);
	}
	if (link->connection != NULL && PQstatus(link->connection) == CONNECTION_BAD)
		fail(link, "connection to PostgreSQL lost");
}

/* Do what can be done now. */
static void
work(Link *link)
{
	switch (link->state)
	{
		case LINK_APART:
			if (link->first != NULL)
				start_to_connect(link);
			return;
		case LINK_CONNECTING:
			connect_step(link);
			return;
		case LINK_QUIET:
		case LINK_ASKED:
			receive(link);
			if (link->state == LINK_QUIET && link->first != NULL)
				ask(link);
			return;
	}
}

/* Patience or idleness has an end; or a new question must be begun. */
static void
timer_ran_out(uv_timer_t *timer)
{
	Link *link = timer->data;

	if (link->state == LINK_APART)
		work(link);
	else if (link->state == LINK_QUIET)
		part(link);
	else
		fail(link, "PostgreSQL does not answer");
}

/* A question came while the connection was quiet. */
static void
ask_later(uv_timer_t *timer)
{
	work(timer->data);
}

/* Ask; with one text parameter unless that is NULL. */
LinkQuery *
link_query(Link *link, const char *sql, const char *parameter, LinkAnswer answer, void *owner)
{
	LinkQuery *query = calloc(1, sizeof *query);

	if (query == NULL || (query->sql = strdup(sql)) == NULL ||
	    (parameter != NULL && (query->parameter = strdup(parameter)) == NULL))
		abort();
	query->answer = answer;
	query->owner = owner;
	if (link->last != NULL)
		link->last->next = query;
	else
		link->first = query;
	link->last = query;
	if (link->state == LINK_APART)
		uv_timer_start(&link->timer, timer_ran_out, 0, 0);
	else if (link->state == LINK_QUIET)
		uv_timer_start(&link->timer, ask_later, 0, 0);
	return query;
}

/* The owner goes away; its callback will not be called. */
void
link_forget(LinkQuery *query)
{
	query->answer = NULL;
}

/* Close for good; questions still open are not answered. */
void
link_close(Link *link)
{
	LinkQuery *query;

	part(link);
	while ((query = link->first) != NULL)
	{
		link->first = query->next;
		free(query->sql);
		free(query->parameter);
		free(query);
	}
	uv_close((uv_handle_t *) &link->timer, free_link);
}
