/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  A subscription of the extension, read for the client: wait without a
 *	  snapshot, then a short query, again and again.
 *
 * Invariants:
 *	- Nothing is asked of the backend while more than SESSION_HIGH_WATER bytes
 *	  wait for the client: a slow client's subscription falls behind, and gets
 *	  one larger change later.
 *	- Rows that were read and not asked for stay in one portal of the backend.
 *	- Outside a transaction block every round is a transaction of its own, so
 *	  that between two of them no lock is held.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/materialize.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* At most one progress row in so many milliseconds. */
#define PROGRESS_INTERVAL 1000

/* Milliseconds of a wait in a block, which no cancel can end without failing the block. */
#define BLOCK_WAIT 500

/* Signature, flags and extension length in front of binary COPY data. */
#define COPY_BINARY_HEADER 19

/* Prepared: the changes, and a progress row, of the stream that is read. */
#define STREAM_CHANGES "freshet changes"
#define STREAM_PROGRESS "freshet progress"

static void run_step(Materialize *mz);

/* Milliseconds of a clock that only goes forward. */
uint64_t
stream_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

/* Copy a string that may be NULL. */
static const char *
copy_text(Arena *arena, const char *text)
{
	return text == NULL ? NULL : arena_copy(arena, text, strlen(text));
}

/* A stream for this SUBSCRIBE. */
Stream *
stream_create(Materialize *mz, const MzSubscribe *subscribe)
{
	Stream *stream = calloc(1, sizeof(Stream));
	Arena *arena;
	uint32_t serial = ++mz->serial;

	if (stream == NULL)
		abort();
	arena = &stream->arena;
	stream->subscribe = *subscribe;
	stream->subscribe.target = copy_text(arena, subscribe->target);
	stream->subscribe.order = copy_text(arena, subscribe->order);
	stream->subscribe.as_of = copy_text(arena, subscribe->as_of);
	stream->subscribe.up_to = copy_text(arena, subscribe->up_to);
	stream->subscribe.key.names =
	    arena_alloc(arena, ((size_t) subscribe->key.count + 1) * sizeof(char *));
	for (int i = 0; i < subscribe->key.count; i++)
		stream->subscribe.key.names[i] = (char *) copy_text(arena, subscribe->key.names[i]);
	stream->name = arena_printf(arena, "freshet %" PRIu32, serial);
	stream->portal = arena_printf(arena, "freshet rows %" PRIu32, serial);
	return stream;
}

/* Free the stream. */
void
stream_free(Materialize *mz, Stream *stream)
{
	Arena arena;

	if (stream == NULL)
		return;
	if (mz->run.stream == stream)
		mz->run.stream = NULL;
	if (mz->changes_of == stream)
		mz->changes_of = NULL;
	if (mz->progress_of == stream)
		mz->progress_of = NULL;
	free(stream->position);
	arena = stream->arena;
	free(stream);
	arena_reset(&arena);
}

/* The query as the stream sends it; for a COPY its data is part of one COPY. */
static const char *
stream_sql(Materialize *mz, const Stream *stream, const char *query)
{
	return stream->copy_options == NULL ? query
	                                    : arena_printf(&mz->flight.memory, "COPY (%s) TO STDOUT %s",
	                                                   query, stream->copy_options);
}

/* Let the stream's changes be prepared. */
static void
prepare_changes(Materialize *mz, const Stream *stream)
{
	if (mz->changes_of == stream)
		return;
	flight_close(mz, 'S', STREAM_CHANGES);
	flight_parse(mz, STREAM_CHANGES, stream_sql(mz, stream, stream->changes_sql));
	mz->changes_of = stream;
}

/* Let its progress row be prepared. */
static void
prepare_progress(Materialize *mz, const Stream *stream)
{
	if (mz->progress_of == stream)
		return;
	flight_close(mz, 'S', STREAM_PROGRESS);
	flight_parse(mz, STREAM_PROGRESS, stream_sql(mz, stream, stream->progress_sql));
	mz->progress_of = stream;
}

/* An error about the target itself, which is a relation, is placed at its name. */
static void
place_relation(Materialize *mz, const MzSubscribe *subscribe)
{
	static const char *const states[] = {"42P01", "3F000", "42809", "42501"};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
	{
		if (!subscribe->is_query && strcmp(mz->error.sqlstate, states[i]) == 0)
			snprintf(mz->error.position, sizeof(mz->error.position), "%zu", subscribe->position);
	}
}

/* The extension has made the subscription and told its columns. */
static void
open_subscribed(Materialize *mz)
{
	Stream *stream = mz->run.stream;
	const char *missing;

	if (mz->flight.failed)
	{
		mz->has_extension = false; /* it may have been dropped */
		place_relation(mz, &stream->subscribe);
		task_failed(mz);
		return;
	}
	stream->made = true;
	if (mz->flight.values[1] != NULL && strcmp(mz->flight.values[1], "read committed") != 0 &&
	    strcmp(mz->flight.values[1], "read uncommitted") != 0)
	{
		task_raise(mz, "0A000",
		           arena_printf(&mz->memory, "SUBSCRIBE is not possible in a %s transaction",
		                        mz->flight.values[1]),
		           "A transaction with one snapshot cannot see changes. Use READ COMMITTED.");
		return;
	}
	if (mz->flight.values[0] == NULL ||
	    !mz_columns_read(&stream->arena, copy_text(&stream->arena, mz->flight.values[0]),
	                     &stream->columns))
	{
		task_raise(mz, "XX000", "freshet.subscribe gave no column list", NULL);
		return;
	}
	if (mz->flight.values[3] != NULL)
		stream->sharing = copy_text(&stream->arena, mz->flight.values[3]);
	if (mz->flight.values[2] != NULL)
		stream->patience = strtoll(mz->flight.values[2], NULL, 10) / 2;
	missing = mz_envelope_missing(&stream->subscribe, &stream->columns);
	if (missing != NULL)
	{
		task_raise(
		    mz, "42703",
		    arena_printf(&mz->memory, "column \"%s\" in ENVELOPE key does not exist", missing),
		    NULL);
		return;
	}
	stream->changes_sql =
	    mz_changes_sql(&stream->arena, &stream->subscribe, &stream->columns, stream->name);
	stream->progress_sql =
	    mz_progress_sql(&stream->arena, &stream->subscribe, &stream->columns, stream->name);
	mz->then(mz);
}

/* The extension is there: make the subscription. */
static void
open_subscribe(Materialize *mz)
{
	Stream *stream = mz->run.stream;
	const MzSubscribe *subscribe = &stream->subscribe;
	Text sql;

	text_init(&sql, &mz->memory);
	text_append(&sql, "SELECT freshet.subscribe(");
	text_literal(&sql, stream->name);
	text_append(&sql, ", ");
	text_literal(&sql, subscribe->target);
	text_printf(&sql, ", %s, ", subscribe->snapshot ? "true" : "false");
	if (subscribe->as_of_at_least)
	{
		/* the earliest possible time is now */
		text_append(&sql, "(SELECT CASE WHEN a > extract(epoch FROM clock_timestamp()) * 1000"
		                  " THEN a END FROM (SELECT ");
		moment_append(&sql, subscribe->as_of);
		text_append(&sql, " AS a) least)");
	}
	else
		moment_append(&sql, moment_is_now(subscribe->as_of) ? NULL : subscribe->as_of);
	text_append(&sql, ", ");
	moment_append(&sql, subscribe->up_to);
	text_append(&sql, "), current_setting('transaction_isolation'),"
	                  " (extract(epoch FROM current_setting('statement_timeout')::interval)"
	                  " * 1000)::bigint, freshet.subscription_sharing(");
	text_literal(&sql, stream->name);
	text_append(&sql, ")");
	flight_begin(mz);
	flight_place(mz, "", 0, subscribe->target, subscribe->position);
	flight_statement(mz, sql.data, ANSWER_VALUES);
	flight_send(mz, FLIGHT_SYNC, open_subscribed);
}

/* Make the extension's subscription; then is called if that worked. */
void
stream_open(Materialize *mz, Stream *stream, void (*then)(Materialize *mz))
{
	mz->run.stream = stream;
	mz->then = then;
	extension_ensure(mz, open_subscribe);
}

/* The run is over. */
static void
run_over(Materialize *mz)
{
	Stream *stream = mz->run.stream;

	share_leave(mz);
	mz->run.waiting = false;
	if (stream->portal_used && !stream->portal_open && mz->status == 'T')
	{
		/* an exhausted portal holds its snapshot as long as it is there */
		stream->portal_used = false;
		flight_begin(mz);
		flight_close(mz, 'P', stream->portal);
		flight_send(mz, FLIGHT_SYNC, run_over);
		return;
	}
	mz->run.done(mz);
}

/* Whether the two Bind formats mean the same for the open portal. */
static bool
same_formats(const Stream *stream, const Run *run)
{
	return stream->portal_formats == run->formats &&
	       (run->formats == 0 || memcmp(stream->portal_format, run->format,
	                                    (size_t) run->formats * sizeof(int16_t)) == 0);
}

/* Take in what freshet.wait said. */
static void
note_wait(Materialize *mz)
{
	Stream *stream = mz->run.stream;
	const char *frontier = mz->flight.values[1];

	if (frontier != NULL)
		snprintf(stream->frontier, sizeof(stream->frontier), "%s", frontier);
	if (stream->progressed && stream->progress_frontier[0] == '\0')
		memcpy(stream->progress_frontier, stream->frontier, sizeof(stream->frontier));
}

/* Would a cancel end a wait for changes, and nothing else? A block would fail. */
bool
stream_wait_ends(const Materialize *mz)
{
	return mz->status == 'I' && mz->run.stream != NULL && flight_waiting(mz);
}

/* May what the run waits for never come? */
bool
stream_endless(const Materialize *mz)
{
	const Run *run = &mz->run;

	return run->stream != NULL && !run->has_deadline && run->stream->subscribe.up_to == NULL;
}

/* Nothing more is there, and nobody may be there to wait for it. */
void
stream_end_without_client(Materialize *mz)
{
	const WireError error = {.severity = "FATAL",
	                         .sqlstate = "08006",
	                         .message = "the client has closed its end of the connection"};

	session_end(mz->session, &error);
}

/* A round has ended: wait and changes, or only what was left of the changes. */
static void
batch_done(Materialize *mz)
{
	Run *run = &mz->run;
	Stream *stream = run->stream;
	Flight *flight = &mz->flight;
	bool waited = flight->waits;

	run->rows += flight->rows;
	if (flight->failed)
	{
		stream->portal_open = false;
		if (mz->leaving && mz->status == 'I' && strcmp(mz->error.sqlstate, "57014") == 0)
			run_over(mz);
		else
			task_failed(mz);
		return;
	}
	share_end(mz, flight->rows);
	stream->portal_open = flight->suspended;
	stream->copy_begun = run->mode == RUN_COPY;
	if (waited)
	{
		note_wait(mz);
		if (flight_true(mz, 2) && flight->rows == 0)
			stream->finished = true;
	}
	if (mz->left && waited && flight->rows == 0 && !stream->finished && stream_endless(mz))
		stream_end_without_client(mz);
	else if (run->mode == RUN_FETCH && !run->has_deadline && flight->rows > 0)
		run_over(mz);
	else if (run->has_deadline && stream_clock() >= run->deadline)
		run_over(mz);
	else
		run_step(mz);
}

/* Rows left in the portal were fetched with other formats. */
static void
remainder_done(Materialize *mz)
{
	Run *run = &mz->run;
	bool all = run->limit < 0 || mz->flight.rows < (uint64_t) run->limit - run->rows;

	mz->flight.suspended = !all;
	batch_done(mz);
}

/* A progress row was sent. */
static void
progress_done(Materialize *mz)
{
	Stream *stream = mz->run.stream;

	mz->run.rows += mz->flight.rows;
	if (mz->flight.failed)
	{
		task_failed(mz);
		return;
	}
	stream->copy_begun = mz->run.mode == RUN_COPY;
	stream->progressed = true;
	stream->progress_at = stream_clock();
	memcpy(stream->progress_frontier, stream->frontier, sizeof(stream->frontier));
	if (mz->run.mode == RUN_FETCH && !mz->run.has_deadline && stream->frontier[0] != '\0')
		run_over(mz);
	else
		run_step(mz);
}

/* How long the next wait may take; -1: for ever. */
static int64_t
wait_time(const Run *run, uint64_t now, bool in_block, bool at_once)
{
	int64_t time = -1;

	if (run->stream->subscribe.progress)
	{
		uint64_t since = now - run->stream->progress_at;

		time =
		    since < PROGRESS_INTERVAL ? (int64_t) (PROGRESS_INTERVAL - since) : PROGRESS_INTERVAL;
	}
	if (run->has_deadline)
	{
		int64_t left = run->deadline > now ? (int64_t) (run->deadline - now) : 0;

		if (time < 0 || left < time)
			time = left;
	}
	if ((run->mode == RUN_COPY && !run->stream->copy_begun) || at_once)
		time = 0;
	if (in_block && run->mode == RUN_SUBSCRIBE && run->limit >= 0 &&
	    (time < 0 || time > BLOCK_WAIT))
		time = BLOCK_WAIT;
	/* waiting is no statement of the client's that could take too long */
	if (run->stream->patience > 0 && (time < 0 || time > run->stream->patience))
		time = run->stream->patience;
	return time;
}

/* Whether it is time for a progress row. */
static bool
progress_due(const Stream *stream, uint64_t now)
{
	if (!stream->subscribe.progress)
		return false;
	if (!stream->progressed)
		return true;
	return now - stream->progress_at >= PROGRESS_INTERVAL &&
	       strcmp(stream->frontier, stream->progress_frontier) != 0;
}

/* The extension knows what the stream was given by others. */
static void
position_told(Materialize *mz)
{
	if (mz->flight.failed)
	{
		task_failed(mz);
		return;
	}
	free(mz->run.stream->position);
	mz->run.stream->position = NULL;
	run_step(mz);
}

/* Add the reading of a prepared statement as a whole; its rows or data go to the client. */
static void
read_whole(Materialize *mz, const char *statement)
{
	const Run *run = &mz->run;

	run->stream->copy_first = true;
	flight_bind(mz, "freshet once", statement, run->formats, run->format);
	flight_execute(mz, "freshet once", 0, run->mode == RUN_COPY ? ANSWER_COPY : ANSWER_ROWS);
	flight_close(mz, 'P', "freshet once");
}

/* Add the reading of the changes as a whole. */
void
stream_read(Materialize *mz)
{
	prepare_changes(mz, mz->run.stream);
	read_whole(mz, STREAM_CHANGES);
}

/* One step of a run: decide what the backend is asked next. */
static void
run_step(Materialize *mz)
{
	Run *run = &mz->run;
	Stream *stream = run->stream;
	uint64_t now = stream_clock();
	uint32_t rows = 0;
	bool in_block = mz->status == 'T';

	if (run->limit >= 0)
	{
		if (run->rows >= (uint64_t) run->limit)
		{
			run_over(mz);
			return;
		}
		rows = (uint64_t) run->limit - run->rows > INT32_MAX
		           ? INT32_MAX
		           : (uint32_t) ((uint64_t) run->limit - run->rows);
	}
	if (stream->finished && !stream->portal_open)
	{
		run_over(mz);
		return;
	}
	/* the cancel may have come between two rounds, where PostgreSQL ignores it */
	if (mz->cancelled)
	{
		task_raise_cancelled(mz);
		return;
	}
	if (session_client_backlog(mz->session) > SESSION_HIGH_WATER)
	{
		share_leave(mz);
		run->waiting = true;
		return;
	}
	if (stream->position != NULL)
	{
		flight_begin(mz);
		flight_call(mz, CALL_ADVANCE, stream->name, stream->position, ANSWER_SILENT);
		flight_send(mz, FLIGHT_SYNC, position_told);
		return;
	}

	if (stream->portal_open && same_formats(stream, run))
	{
		flight_begin(mz);
		flight_execute(mz, stream->portal, rows, ANSWER_ROWS);
		flight_send(mz, in_block ? FLIGHT_SYNC : FLIGHT_SUSPEND, batch_done);
		return;
	}
	if (stream->portal_open)
	{
		Text sql;

		flight_begin(mz);
		text_init(&sql, &mz->flight.memory);
		if (rows > 0)
			text_printf(&sql, "FETCH FORWARD %" PRIu32 " FROM ", rows);
		else
			text_append(&sql, "FETCH FORWARD ALL FROM ");
		text_identifier(&sql, stream->portal);
		flight_close(mz, 'S', "freshet once");
		flight_parse(mz, "freshet once", sql.data);
		flight_bind(mz, "freshet once", "freshet once", run->formats, run->format);
		flight_execute(mz, "freshet once", 0, ANSWER_ROWS);
		flight_close(mz, 'P', "freshet once");
		flight_send(mz, FLIGHT_SYNC, remainder_done);
		return;
	}
	if (progress_due(stream, now))
	{
		flight_begin(mz);
		prepare_progress(mz, stream);
		read_whole(mz, STREAM_PROGRESS);
		flight_send(mz, FLIGHT_SYNC, progress_done);
		return;
	}

	if (mz->leaving && stream->frontier[0] != '\0')
	{
		run_over(mz);
		return;
	}
	if (share_enter(mz))
		return;
	flight_begin(mz);
	/* a Sync has closed the client's portal; it lasts as long as rows are left */
	if (rows > 0 && !in_block && run->stand_in.body != NULL)
		flight_bind_of_client(mz, run->stand_in.body, run->stand_in.length, ANSWER_SILENT);
	flight_wait(mz, stream->name, wait_time(run, now, in_block, mz->left && stream_endless(mz)));
	if (run->mode == RUN_COPY)
	{
		stream_read(mz);
		share_begin(mz);
		flight_send(mz, FLIGHT_SYNC, batch_done);
		return;
	}
	if (stream->portal_formats < run->formats)
		stream->portal_format =
		    arena_alloc(&stream->arena, (size_t) run->formats * sizeof(int16_t));
	if (run->formats > 0)
		memcpy(stream->portal_format, run->format, (size_t) run->formats * sizeof(int16_t));
	stream->portal_formats = run->formats;
	prepare_changes(mz, stream);
	flight_close(mz, 'P', stream->portal);
	flight_bind(mz, stream->portal, STREAM_CHANGES, run->formats, run->format);
	flight_execute(mz, stream->portal, rows, ANSWER_ROWS);
	if (rows == 0)
		flight_close(mz, 'P', stream->portal);
	share_begin(mz);
	stream->portal_used = rows > 0;
	if (rows > 0 && !in_block)
		flight_send(mz, FLIGHT_SUSPEND, batch_done);
	else
		flight_send(mz, FLIGHT_SYNC, batch_done);
}

/* The client knows the columns. */
static void
described(Materialize *mz)
{
	if (mz->flight.failed)
		task_failed(mz);
	else
		run_step(mz);
}

/*
 * Run as mz->run says, or go on after the client has taken what waited for it.
 */
void
stream_run(Materialize *mz)
{
	Run *run = &mz->run;

	run->waiting = false;
	if (run->show_columns)
	{
		run->show_columns = false;
		flight_begin(mz);
		prepare_changes(mz, run->stream);
		flight_describe(mz, STREAM_CHANGES, ANSWER_ROWS);
		flight_send(mz, FLIGHT_SYNC, described);
		return;
	}
	run_step(mz);
}

/* Where a message of a COPY goes. */
BackendRoute
stream_copy_header(Materialize *mz, char type, uint32_t length)
{
	Stream *stream = mz->run.stream;
	bool first = stream->copy_first;

	switch (type)
	{
		case 'H':
			return stream->copy_begun ? BACKEND_SWALLOW : BACKEND_FORWARD;
		case 'd':
			stream->copy_first = first && stream->copy_binary;
			if (stream->copy_binary)
			{
				/* the first data has the file's header before it; two bytes are the trailer */
				if (first)
					return BACKEND_COLLECT;
				if (length == 2)
					return BACKEND_SWALLOW;
			}
			else if (first && stream->copy_header)
			{
				return stream->copy_begun ? BACKEND_SWALLOW : BACKEND_FORWARD;
			}
			mz->flight.rows++;
			return share_wants(mz, length) ? BACKEND_COLLECT : BACKEND_FORWARD;
		default:
			return BACKEND_SWALLOW;
	}
}

/* Data of a COPY: the first of a batch in binary format, or what others are to have too. */
BackendRoute
stream_copy_message(Materialize *mz, const WireMessage *message)
{
	Stream *stream = mz->run.stream;
	bool empty = message->length <= COPY_BINARY_HEADER + 2;
	const char *body = message->body + COPY_BINARY_HEADER;
	uint32_t length = message->length - COPY_BINARY_HEADER;

	if (!stream->copy_first)
	{
		share_keep(mz, 'd', message->body, message->length);
		return BACKEND_FORWARD;
	}
	stream->copy_first = false;
	if (message->length < COPY_BINARY_HEADER)
		return BACKEND_SWALLOW;
	if (!empty)
		mz->flight.rows++;
	if (!stream->copy_begun)
		task_send(mz, 'd', message->body, empty ? COPY_BINARY_HEADER : message->length);
	else if (!empty)
	{
		if (share_wants(mz, length))
			share_keep(mz, 'd', body, length);
		task_send(mz, 'd', body, length);
	}
	return BACKEND_SWALLOW;
}

/* What the backend kept for the stream is gone. */
static void
dropped(Materialize *mz)
{
	Stream *stream = mz->dropping;

	mz->dropping = NULL;
	stream_free(mz, stream);
	mz->then(mz);
}

/*
 * Give up a stream. In a transaction block the extension's subscription ends
 * with the block, and must not be touched if the block has failed.
 */
void
stream_drop(Materialize *mz, Stream *stream, FlightEnd end, void (*then)(Materialize *mz))
{
	mz->then = then;
	mz->dropping = stream;
	flight_begin(mz);
	mz->flight.quiet = true;
	flight_close(mz, 'P', stream->portal);
	flight_close(mz, 'S', STREAM_CHANGES);
	flight_close(mz, 'S', STREAM_PROGRESS);
	flight_forget_prepared(mz);
	if (stream->made && mz->status == 'I')
	{
		Text sql;

		text_init(&sql, &mz->memory);
		text_append(&sql, "SELECT freshet.unsubscribe(");
		text_literal(&sql, stream->name);
		text_append(&sql, ")");
		flight_statement(mz, sql.data, ANSWER_SILENT);
	}
	flight_send(mz, end, dropped);
}
