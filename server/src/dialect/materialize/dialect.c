/*-------------------------------------------------------------------------
 *
 * dialect.c
 *	  Materialize's dialect as a session knows it (session/dialect.h).
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/dialect.h"

#include <stdlib.h>
#include <string.h>

#include "dialect/materialize/materialize.h"

static const char *const any_door_words[] = {MZ_WORDS, NULL};
/* on the door of its own a block's first statement is looked for as well */
static const char *const own_door_words[] = {MZ_WORDS, MZ_HEAD_WORDS, "BEGIN", "START", NULL};

/* Milliseconds after which a cancel that had no effect is asked for again. */
#define CANCEL_AGAIN 250

/* The state of a session. */
static void *
materialize_open(Session *session)
{
	Materialize *mz = calloc(1, sizeof(Materialize));

	if (mz == NULL)
		abort();
	mz->session = session;
	mz->commit.executed = true; /* what came before is not known */
	if (session_door(session) == DOOR_MATERIALIZE)
		session_watch(session, true);
	return mz;
}

/* The session has ended; its backend's connection is closed by the session. */
static void
materialize_close(void *self)
{
	Materialize *mz = self;

	share_leave(mz);
	source_cancel(mz);
	extension_leave(mz);
	cursor_forget_all(mz);
	extended_free(mz);
	stream_free(mz, mz->dropping != NULL ? mz->dropping : mz->run.stream);
	reading_free(mz->query);
	buffer_free(&mz->flight.out);
	buffer_free(&mz->flight.owed);
	arena_reset(&mz->flight.memory);
	arena_reset(&mz->memory);
	free(mz->error.message);
	free(mz->error.detail);
	free(mz->error.hint);
	free(mz);
}

/* What a message means, if it may be taken. */
static void *
materialize_read(void *self, const WireMessage *message)
{
	Materialize *mz = self;
	WireReader reader;
	const char *text;

	if (message->type != 'Q')
		return extended_read(mz, message);
	if (message->missing > 0)
		return reading_large(mz, message->body, message->length);
	wire_read(&reader, message);
	text = wire_read_string(&reader);
	return reader.failed ? NULL : reading_query(mz, text);
}

/* A message to take. */
static DialectAnswer
materialize_message(void *self, const WireMessage *message, void *reading)
{
	Materialize *mz = self;
	MzReading *query = reading;
	bool at_once;

	mz->cancelled = false;
	mz->leaving = false;
	if (message->type == 'S' && mz->commit.pending)
	{
		reading_free(reading);
		commit_take_sync(mz);
		return DIALECT_TAKEN;
	}
	if (message->type != 'Q')
		return extended_message(mz, message, reading);
	at_once = commit_at_once(mz, query);
	if (!at_once && !query->concerned)
	{
		reading_free(query);
		return DIALECT_PASS;
	}
	if (!at_once)
		commit_taken(mz);
	task_query(mz, query, at_once);
	return DIALECT_TAKEN;
}

/* A message goes on to the backend. */
static void
materialize_passes(void *self, const WireMessage *message, bool settled)
{
	commit_passes(self, message, settled);
}

/* A message of the backend begins while the dialect is in control. */
static BackendRoute
materialize_backend_header(void *self, char type, uint32_t length)
{
	return flight_header(self, type, length);
}

/* One that is wanted whole is there. */
static BackendRoute
materialize_backend_message(void *self, const WireMessage *message)
{
	return flight_answer(self, message);
}

/* Does the session wait for its client, for the extension, or for what others read? */
static bool
is_waiting(const Materialize *mz)
{
	return mz->run.waiting || mz->link != NULL || share_waits(mz);
}

/* End such a wait; PostgreSQL has nothing to cancel then. */
static void
cancel_waiting(Materialize *mz)
{
	mz->run.waiting = false;
	extension_leave(mz);
	task_raise_cancelled(mz);
}

/* PostgreSQL has acted on our cancel: if that had no effect, ask again. */
static void
cancel_acted(void *self)
{
	Materialize *mz = self;

	mz->cancelling = false;
	if (mz->flight.over)
		flight_cancel_acted(mz);
	else if (mz->run.stream != NULL)
		session_timer(mz->session, CANCEL_AGAIN);
}

/* Ask PostgreSQL to cancel the flight; but what clears away is not disturbed. */
static void
cancel_flight(Materialize *mz)
{
	if (mz->flight.done != NULL && !mz->flight.quiet && !mz->cancelling)
		mz->cancelling = session_cancel(mz->session, cancel_acted);
}

/* What the session waited for is there, or a cancel was asked for. */
static void
materialize_timer(void *self)
{
	Materialize *mz = self;

	if (mz->resume != NULL)
	{
		void (*resume)(Materialize *) = mz->resume;

		mz->resume = NULL;
		if (mz->leaving)
			session_timer(mz->session, CANCEL_AGAIN);
		resume(mz);
	}
	else if (mz->cancelled && is_waiting(mz))
		cancel_waiting(mz);
	else if (mz->run.stream != NULL && (mz->cancelled || (mz->leaving && stream_wait_ends(mz))))
		cancel_flight(mz);
	else if (mz->leaving)
		session_timer(mz->session, CANCEL_AGAIN);
	else if (mz->left && stream_endless(mz) && flight_waiting(mz))
		stream_end_without_client(mz);
}

/* The client has taken what waited for it. */
static void
materialize_drained(void *self)
{
	Materialize *mz = self;

	if (mz->run.waiting)
		stream_run(mz);
}

/*
 * The client asks to cancel. PostgreSQL does that; but a request that reaches
 * it between two messages of a flight is lost, so it is repeated until the run
 * has ended. The client's own request does not go to PostgreSQL: the task might
 * end before it arrives.
 */
static bool
materialize_cancel(void *self)
{
	Materialize *mz = self;

	mz->cancelled = true;
	if (is_waiting(mz))
		cancel_waiting(mz);
	else
		cancel_flight(mz);
	return true;
}

/*
 * The client goes on while it waits. If that is to leave, no more rows are
 * waited for: otherwise its Close would stand behind them. A first round may
 * have a snapshot to give and gets some time for it.
 */
static void
materialize_behind(void *self, const WireMessage *message)
{
	Materialize *mz = self;

	if (mz->leaving || !extended_is_leaving(mz, message))
		return;
	mz->leaving = true;
	if (share_waits(mz))
		share_go(mz);
	else if (stream_wait_ends(mz) && mz->run.stream->frontier[0] != '\0')
		cancel_flight(mz);
	else
		session_timer(mz->session, CANCEL_AGAIN);
}

/*
 * The client sends nothing more. It still gets what there is; but nobody would notice that
 * it is gone while nothing is sent to it.
 */
static void
materialize_left(void *self)
{
	Materialize *mz = self;

	if (mz->left)
		return;
	mz->left = true;
	if (mz->resume == NULL)
		session_timer(mz->session, CANCEL_AGAIN);
}

/* A ReadyForQuery went to the client. */
static void
materialize_ready(void *self, char status)
{
	Materialize *mz = self;

	commit_ready(mz, status);
	if (status == 'I')
	{
		cursor_forget_all(mz);
		extended_block_ended(mz);
	}
}

#define MATERIALIZE_DIALECT(door_words)                                                            \
	{                                                                                              \
		.name = "materialize", .words = door_words, .open = materialize_open,                      \
		.close = materialize_close, .read = materialize_read, .forget = reading_free,              \
		.message = materialize_message, .passes = materialize_passes,                              \
		.backend_header = materialize_backend_header,                                              \
		.backend_message = materialize_backend_message, .timer = materialize_timer,                \
		.drained = materialize_drained, .cancel = materialize_cancel,                              \
		.behind = materialize_behind, .left = materialize_left, .ready = materialize_ready         \
	}

const Dialect materialize_dialect = MATERIALIZE_DIALECT(any_door_words);
const Dialect materialize_own_dialect = MATERIALIZE_DIALECT(own_door_words);
