/*-------------------------------------------------------------------------
 *
 * door.c
 *	  CrateDB's HTTP endpoint: which request is for whom.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialect/cratedb/cratedb.h"

/* What clients choose their SQL by. */
#define CRATEDB_VERSION "6.1.2"

typedef struct Visitor
{
	HttpConnection *connection;
} Visitor;

static void *
visitor_open(HttpConnection *connection)
{
	Visitor *visitor = calloc(1, sizeof *visitor);

	if (visitor == NULL)
		abort();
	visitor->connection = connection;
	return visitor;
}

static void
visitor_close(void *self)
{
	free(self);
}

/* A line of text. */
static void
answer_text(Visitor *visitor, int status, const char *text)
{
	http_answer(visitor->connection, status, "text/plain; charset=utf-8", "", text, strlen(text));
}

/* Who is there: answered without PostgreSQL, since each client asks it first. */
static void
answer_root(Visitor *visitor)
{
	static const char text[] =
	    "{\"ok\":true,\"status\":200,\"name\":\"freshet\",\"cluster_name\":\"crate\",\"version\":{"
	    "\"number\":\"" CRATEDB_VERSION "\",\"build_hash\":\"freshet\",\"build_timestamp\":\"NA\","
	    "\"build_snapshot\":false,\"lucene_version\":\"none\"}}";

	http_answer(visitor->connection, 200, "application/json; charset=UTF-8", "", text,
	            sizeof text - 1);
}

static void
visitor_head(void *self, const HttpHead *head)
{
	Visitor *visitor = self;
	bool reads = head->method == HTTP_METHOD_GET || head->method == HTTP_METHOD_HEAD;

	if (reads && strcmp(head->path, "/") == 0)
		answer_root(visitor);
	else if (reads)
		answer_text(visitor, 404, "Requested file was not found\n");
	else
		answer_text(visitor, 403, "This method is not allowed here\n");
}

static void
visitor_body(void *self, const char *bytes, size_t count)
{
	(void) self;
	(void) bytes;
	(void) count;
}

static void
visitor_end(void *self)
{
	(void) self;
}

static void
visitor_gone(void *self)
{
	(void) self;
}

static void
visitor_drained(void *self)
{
	(void) self;
}

const HttpHandler cratedb_handler = {"cratedb",    visitor_open, visitor_close, visitor_head,
                                     visitor_body, visitor_end,  visitor_gone,  visitor_drained};
