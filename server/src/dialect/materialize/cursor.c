/*-------------------------------------------------------------------------
 *
 * cursor.c
 *	  DECLARE … CURSOR FOR SUBSCRIBE, FETCH and CLOSE.
 *
 * A portal of PostgreSQL's of the same name and columns stands for each. It lives and
 * dies as any cursor does, by CLOSE, savepoints and the block's end, and its text has the
 * mark of the stream. As long as it is there a FETCH reads the stream; otherwise the FETCH
 * is PostgreSQL's. It is one of EXECUTE, not of SELECT, which would hold a snapshot.
 *
 * A FETCH without TIMEOUT waits until there is at least one row, then gives
 * what is there. With TIMEOUT it gives what comes until then. Either ends
 * when it has as many rows as it was asked for.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/materialize.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Prepared: what raises an error when anything but FETCH reads a cursor of ours. */
#define CURSOR_QUERY "freshet cursor"

/* The longest time FETCH may be asked to wait: a day. */
#define TIMEOUT_MAX 86400000.0

/* The cursor over a subscription of that name, or NULL. */
Cursor *
cursor_find(Materialize *mz, const char *name)
{
	for (Cursor *cursor = mz->cursors; cursor != NULL; cursor = cursor->next)
	{
		if (strcmp(cursor->name, name) == 0)
			return cursor;
	}
	return NULL;
}

/*
 * Is the FETCH or CLOSE about one of the subscriptions' cursors? With TIMEOUT it
 * can be about nothing else.
 */
bool
cursor_concerned(Materialize *mz, const MzFetch *fetch)
{
	if (fetch->timeout != NULL)
		return true;
	return fetch->cursor == NULL ? mz->cursors != NULL : cursor_find(mz, fetch->cursor) != NULL;
}

/* Take a cursor off the list and free it. */
static void
cursor_forget(Materialize *mz, Cursor *gone)
{
	for (Cursor **link = &mz->cursors; *link != NULL; link = &(*link)->next)
	{
		if (*link == gone)
		{
			*link = gone->next;
			break;
		}
	}
	stream_free(mz, gone->stream);
	free(gone->name);
	free(gone);
}

/* The transaction block has ended, and every cursor with it. */
void
cursor_forget_all(Materialize *mz)
{
	while (mz->cursors != NULL)
		cursor_forget(mz, mz->cursors);
}

/* What the text of a cursor's stand-in bears. */
static char *
cursor_mark(Arena *arena, const Stream *stream)
{
	return arena_printf(arena, "/* %s */", stream->name);
}

/* DECLARE: the stand-in is there, or cannot be. */
static void
declare_standing(Materialize *mz)
{
	const char *name = mz->statement.cursor;
	Cursor *cursor = cursor_find(mz, name);

	if (mz->flight.failed)
	{
		task_failed(mz);
		return;
	}
	/* the stand-in of one of that name is gone */
	if (cursor != NULL)
		cursor_forget(mz, cursor);
	cursor = calloc(1, sizeof(Cursor));
	if (cursor == NULL || (cursor->name = strdup(name)) == NULL)
		abort();
	cursor->stream = mz->run.stream;
	cursor->next = mz->cursors;
	mz->cursors = cursor;
	mz->run.stream = NULL;
	task_done(mz, "DECLARE CURSOR");
}

/* Prepare what raises an error, with the columns of this stream. */
static void
prepare_query(Materialize *mz, const Stream *stream)
{
	flight_close(mz, 'S', CURSOR_QUERY);
	flight_parse(mz, CURSOR_QUERY,
	             mz_cursor_sql(&mz->flight.memory, &stream->subscribe, &stream->columns));
}

/*
 * Make sure of what is prepared for a cursor: DEALLOCATE ALL may have dropped it, and
 * PostgreSQL looks it up when the cursor, or a FETCH of it, is described.
 */
void
cursor_prepare(Materialize *mz, const Cursor *cursor)
{
	prepare_query(mz, cursor->stream);
}

/* DECLARE: the subscription is made. */
static void
declare_opened(Materialize *mz)
{
	const Stream *stream = mz->run.stream;

	flight_begin(mz);
	prepare_query(mz, stream);
	flight_close(mz, 'S', "freshet once");
	flight_parse(mz, "freshet once",
	             arena_printf(&mz->flight.memory, "EXECUTE \"" CURSOR_QUERY "\" %s",
	                          cursor_mark(&mz->flight.memory, stream)));
	flight_bind(mz, mz->statement.cursor, "freshet once", 0, NULL);
	flight_close(mz, 'S', "freshet once");
	flight_send(mz, FLIGHT_SYNC, declare_standing);
}

/* DECLARE name CURSOR FOR SUBSCRIBE …. */
void
cursor_declare(Materialize *mz, const MzStatement *statement)
{
	if (mz->status == 'I')
	{
		task_raise(mz, "25P01", "DECLARE CURSOR can only be used in transaction blocks", NULL);
		return;
	}
	mz->run = (Run){.mode = RUN_SUBSCRIBE};
	stream_open(mz, stream_create(mz, &statement->subscribe), declare_opened);
}

/* FETCH is satisfied. */
static void
fetch_over(Materialize *mz)
{
	task_done(mz, arena_printf(&mz->memory, "FETCH %" PRIu64, mz->run.rows));
}

/* There is no such cursor. */
static void
cursor_missing(Materialize *mz, const char *name)
{
	task_raise(mz, "34000", arena_printf(&mz->memory, "cursor \"%s\" does not exist", name), NULL);
}

/* Take the time FETCH may wait, as PostgreSQL has read it; false: an error was raised. */
static bool
take_timeout(Materialize *mz, const char *milliseconds)
{
	double timeout = milliseconds != NULL ? strtod(milliseconds, NULL) : -1;

	if (timeout < 0 || timeout > TIMEOUT_MAX)
	{
		task_raise(mz, "22023", "timeout out of range", "The timeout must be between 0 and 1 day.");
		return false;
	}
	mz->run.has_deadline = true;
	mz->run.deadline = stream_clock() + (uint64_t) timeout;
	return true;
}

/* FETCH of a cursor of PostgreSQL's, which never waits, or of none. */
static void
fetch_pass(Materialize *mz, const MzFetch *fetch)
{
	if (mz->status == 'I')
	{
		cursor_missing(mz, fetch->cursor);
		return;
	}
	mz->statement.kind = MZ_REWRITTEN;
	mz->statement.rewritten = fetch->plain;
	mz->statement.in_place = true;
	task_pass(mz);
}

/* FETCH: it is known what stands, and how long to wait. */
static void
fetch_looked(Materialize *mz)
{
	const MzFetch *fetch = &mz->statement.fetch;
	const Flight *flight = &mz->flight;
	Stream *stream = mz->run.stream;

	if (flight->failed)
		task_failed(mz);
	else if (!flight_true(mz, 0))
	{
		mz->run = (Run){0};
		fetch_pass(mz, fetch);
	}
	else if (stream->portal_open && !flight_true(mz, 1))
	{
		/* ROLLBACK TO a savepoint behind which the rest of a change was read */
		stream->portal_open = false;
		task_raise(mz, "24000",
		           arena_printf(&mz->memory, "cursor \"%s\" has lost rows that it had read ahead",
		                        fetch->cursor),
		           "They went with the savepoint. Declare the cursor anew, or use FETCH ALL behind "
		           "savepoints.");
	}
	else if (fetch->timeout == NULL || take_timeout(mz, flight->values[flight->value_count - 1]))
		stream_run(mz);
}

/* FETCH of a subscription's cursor, whose rows are to have these formats. */
void
cursor_fetch(Materialize *mz, const MzFetch *fetch, bool show_columns, int formats,
             const int16_t *format)
{
	Cursor *cursor = cursor_find(mz, fetch->cursor);

	if (cursor == NULL || mz->status == 'I')
	{
		fetch_pass(mz, fetch);
		return;
	}
	if (fetch->backward)
	{
		task_raise(mz, "55000", "cursor can only scan forward",
		           "A cursor over SUBSCRIBE cannot go back.");
		return;
	}
	mz->run = (Run){.mode = RUN_FETCH,
	                .stream = cursor->stream,
	                .limit = fetch->count,
	                .formats = formats,
	                .format = format,
	                .show_columns = show_columns,
	                .done = fetch_over};
	flight_begin(mz);
	flight_call(mz, CALL_STANDS, cursor->name, cursor_mark(&mz->flight.memory, cursor->stream),
	            ANSWER_VALUES);
	if (cursor->stream->portal_open)
		flight_call(mz, CALL_STANDS, cursor->stream->portal, "", ANSWER_VALUES);
	if (fetch->timeout != NULL)
	{
		Text sql;

		text_init(&sql, &mz->flight.memory);
		text_printf(&sql,
		            "SELECT pg_catalog.date_part('epoch', %s::pg_catalog.text::pg_catalog.interval)"
		            " OPERATOR(pg_catalog.*) 1000::pg_catalog.float8",
		            fetch->timeout);
		flight_statement(mz, sql.data, ANSWER_VALUES);
	}
	flight_send(mz, FLIGHT_SYNC, fetch_looked);
}

/* CLOSE is done. */
static void
close_done(Materialize *mz)
{
	const char *name = mz->statement.fetch.cursor;

	if (mz->flight.failed)
		task_failed(mz);
	else if (name == NULL)
	{
		cursor_forget_all(mz);
		task_done(mz, "CLOSE CURSOR ALL");
	}
	else
	{
		cursor_forget(mz, cursor_find(mz, name));
		task_done(mz, "CLOSE CURSOR");
	}
}

/* CLOSE of a subscription's cursor, or of all cursors: of the stand-ins that are there, and they. */
void
cursor_close(Materialize *mz, const MzStatement *statement)
{
	const char *name = statement->fetch.cursor;
	Text sql;

	if (mz->status == 'I' || (name != NULL && cursor_find(mz, name) == NULL))
	{
		if (name != NULL)
			cursor_missing(mz, name);
		else
			task_pass(mz);
		return;
	}
	flight_begin(mz);
	text_init(&sql, &mz->flight.memory);
	text_append(&sql, "SELECT freshet.unsubscribe(s.name) FROM (VALUES (NULL, NULL)");
	for (Cursor *cursor = mz->cursors; cursor != NULL; cursor = cursor->next)
	{
		if (name != NULL && strcmp(cursor->name, name) != 0)
			continue;
		text_append(&sql, ", (");
		text_literal(&sql, cursor->stream->name);
		text_append(&sql, ", ");
		text_literal(&sql, cursor_mark(&mz->flight.memory, cursor->stream));
		text_append(&sql, ")");
		flight_close(mz, 'P', cursor->stream->portal);
	}
	text_append(&sql, ") AS s(name, mark) WHERE EXISTS (SELECT FROM pg_catalog.pg_cursor() AS c"
	                  " WHERE pg_catalog.strpos(c.statement, s.mark) OPERATOR(pg_catalog.>) 0"
	                  /* this one has the marks in it */
	                  " AND c.name OPERATOR(pg_catalog.<>) 'freshet once')");
	flight_statement(mz, sql.data, ANSWER_SILENT);
	text_init(&sql, &mz->flight.memory);
	text_append(&sql, "CLOSE ");
	if (name == NULL)
		text_append(&sql, "ALL");
	else
		text_identifier(&sql, name);
	flight_statement(mz, sql.data, ANSWER_SILENT);
	flight_send(mz, FLIGHT_SYNC, close_done);
}
