/*-------------------------------------------------------------------------
 *
 * cursor.c
 *	  DECLARE … CURSOR FOR SUBSCRIBE, FETCH and CLOSE.
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

/* DECLARE: the subscription is made. */
static void
declare_opened(Materialize *mz)
{
	Cursor *cursor = cursor_find(mz, mz->run.stream->name);

	/* one of that name which the extension did not know ended with its block */
	if (cursor != NULL)
		cursor_forget(mz, cursor);
	cursor = calloc(1, sizeof(Cursor));
	if (cursor == NULL || (cursor->name = strdup(mz->run.stream->name)) == NULL)
		abort();
	cursor->stream = mz->run.stream;
	cursor->next = mz->cursors;
	mz->cursors = cursor;
	mz->run.stream = NULL;
	task_done(mz, "DECLARE CURSOR");
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
	stream_open(mz, stream_create(mz, &statement->subscribe, statement->cursor), declare_opened);
}

/* FETCH is satisfied. */
static void
fetch_over(Materialize *mz)
{
	task_done(mz, arena_printf(&mz->memory, "FETCH %" PRIu64, mz->run.rows));
}

/* FETCH … WITH (TIMEOUT): PostgreSQL has read the interval. */
static void
fetch_timeout_read(Materialize *mz)
{
	double timeout;

	if (mz->flight.failed)
	{
		task_failed(mz);
		return;
	}
	timeout = mz->flight.values[0] != NULL ? strtod(mz->flight.values[0], NULL) : -1;
	if (timeout < 0 || timeout > TIMEOUT_MAX)
	{
		task_raise(mz, "22023", "timeout out of range", "The timeout must be between 0 and 1 day.");
		return;
	}
	mz->run.has_deadline = true;
	mz->run.deadline = stream_clock() + (uint64_t) timeout;
	stream_run(mz);
}

/* FETCH of a subscription's cursor, whose rows are to have these formats. */
void
cursor_fetch(Materialize *mz, const MzFetch *fetch, bool show_columns, int formats,
             const int16_t *format)
{
	Cursor *cursor = fetch->cursor != NULL ? cursor_find(mz, fetch->cursor) : NULL;

	if (cursor == NULL || mz->status == 'I')
	{
		task_raise(mz, "34000",
		           arena_printf(&mz->memory, "cursor \"%s\" does not exist",
		                        fetch->cursor != NULL ? fetch->cursor : ""),
		           NULL);
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
	if (fetch->timeout == NULL)
	{
		stream_run(mz);
		return;
	}
	{
		Text sql;

		flight_begin(mz);
		text_init(&sql, &mz->flight.memory);
		text_append(&sql, "SELECT extract(epoch FROM ");
		text_literal(&sql, fetch->timeout);
		text_append(&sql, "::interval) * 1000");
		flight_statement(mz, sql.data, PART_VALUES);
		flight_send(mz, FLIGHT_SYNC, fetch_timeout_read);
	}
}

/* CLOSE: the extension has given up the subscriptions. */
static void
close_done(Materialize *mz)
{
	const char *name = mz->statement.fetch.cursor;

	if (mz->flight.failed)
	{
		task_failed(mz);
		return;
	}
	if (name == NULL)
	{
		cursor_forget_all(mz);
		task_done(mz, "CLOSE CURSOR ALL");
		return;
	}
	cursor_forget(mz, cursor_find(mz, name));
	task_done(mz, "CLOSE CURSOR");
}

/* CLOSE of a subscription's cursor, or of all cursors. */
void
cursor_close(Materialize *mz, const MzFetch *fetch)
{
	Text sql;
	const char *separator = "";

	if (mz->status == 'I' || (fetch->cursor != NULL && cursor_find(mz, fetch->cursor) == NULL))
	{
		task_raise(mz, "34000",
		           arena_printf(&mz->memory, "cursor \"%s\" does not exist",
		                        fetch->cursor != NULL ? fetch->cursor : ""),
		           NULL);
		return;
	}
	mz->statement.fetch = *fetch;
	flight_begin(mz);
	text_init(&sql, &mz->flight.memory);
	text_append(&sql, "SELECT freshet.unsubscribe(name) FROM unnest(ARRAY[");
	for (Cursor *cursor = mz->cursors; cursor != NULL; cursor = cursor->next)
	{
		if (fetch->cursor != NULL && strcmp(cursor->name, fetch->cursor) != 0)
			continue;
		text_append(&sql, separator);
		text_literal(&sql, cursor->name);
		separator = ", ";
		flight_close(mz, 'P', cursor->stream->portal);
	}
	text_append(&sql, "]) name");
	flight_statement(mz, sql.data, PART_SILENT);
	if (fetch->cursor == NULL)
		flight_statement(mz, "CLOSE ALL", PART_SILENT);
	flight_send(mz, FLIGHT_SYNC, close_done);
}
