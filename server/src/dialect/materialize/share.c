/*-------------------------------------------------------------------------
 *
 * share.c
 *	  Sessions that subscribe to the same rows in the same form: one of them, the
 *	  reader, reads the changes, and all get the bytes it got.
 *
 * Each session keeps its own backend and its own subscription of the extension,
 * which only has to be told now and then how far it has been given rows
 * (subscription_advance). So every session can go on by itself at any moment,
 * from exactly where it is: when the reader is gone, when its client is slow,
 * when a change is larger than what is kept here.
 *
 * A newcomer reads its first rounds itself. Once the reader is at a position
 * that is not before the newcomer's own, it reads on to that one
 * (subscription_read_to) and listens from there; what the reader hands on
 * meanwhile is kept for it.
 *
 * Invariants:
 *	- A share is of one loop, and so of one thread.
 *	- All who listen have been given everything up to the share's position, and
 *	  nothing after it.
 *	- Bytes are handed on only with the position they lead to: a reading that was
 *	  broken off has reached nobody but the reader's own client.
 *	- Another session is only ever written to, or woken by its timer: what it does
 *	  then it does in a call of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/materialize.h"

#include <stdlib.h>
#include <string.h>

/* How often the backend of one who listens is told how far that is (milliseconds): at least,
 * and at most. */
#define SHARE_TOLD_LEAST 400
#define SHARE_TOLD_MOST 800

struct Share
{
	Share *next;
	char *key;
	Materialize *members;
	Materialize *reader;
	bool open; /* what is being read will be handed on */
	Buffer batch;
	char *position; /* NULL: not known yet */
};

static _Thread_local Share *shares;

static void share_act(Materialize *mz);

/* Let a session look at its place, unless its backend is busy: it does so afterwards then. */
static void
share_wake(Materialize *mz)
{
	if (mz->flight.done != NULL)
		return;
	mz->resume = share_act;
	session_timer(mz->session, 1);
}

/* Look again after a while, not all who listen at the same time. */
static void
share_rest(Materialize *mz)
{
	static _Thread_local unsigned turn;

	/* steps of the golden ratio leave no two close together */
	turn += 40503;
	mz->resume = share_act;
	session_timer(mz->session, SHARE_TOLD_LEAST + (turn & 0xffff) *
	                                                  (SHARE_TOLD_MOST - SHARE_TOLD_LEAST) /
	                                                  0x10000);
}

/* Let a place hold a copy of a position; NULL: of none. */
static void
share_set_position(char **place, const char *position)
{
	free(*place);
	*place = position != NULL ? strdup(position) : NULL;
	if (*place == NULL && position != NULL)
		abort();
}

/* From now on the session reads for itself, from where it is. */
static void
share_step_out(Materialize *mz)
{
	ShareMember *member = &mz->share;

	if (member->place == SHARE_LISTENING)
		share_set_position(&mz->run.stream->position, member->share->position);
	member->place = SHARE_ALONE;
	buffer_clear(&member->behind);
	member->behind_rows = 0;
}

/* Take a session off the list of members. */
static void
share_unlink(Materialize *mz)
{
	ShareMember *member = &mz->share;

	if (member->previous != NULL)
		member->previous->share.next = member->next;
	else
		member->share->members = member->next;
	if (member->next != NULL)
		member->next->share.previous = member->previous;
	buffer_free(&member->behind);
	*member = (ShareMember){0};
}

/* Forget a share; whoever is in it goes on by itself. */
static void
share_dissolve(Share *share)
{
	Share **link = &shares;

	while (*link != share)
		link = &(*link)->next;
	*link = share->next;
	while (share->members != NULL)
	{
		Materialize *mz = share->members;
		bool waits = mz->share.place == SHARE_WAITING || mz->share.place == SHARE_LISTENING;

		share_step_out(mz);
		share_unlink(mz);
		if (waits)
			share_wake(mz);
	}
	buffer_free(&share->batch);
	free(share->position);
	free(share->key);
	free(share);
}

/* One of those who listen becomes the reader; without any the share is over. */
static void
share_elect(Share *share)
{
	Materialize *mz = share->members;

	while (mz != NULL && mz->share.place != SHARE_LISTENING)
		mz = mz->share.next;
	if (mz == NULL)
	{
		share_dissolve(share);
		return;
	}
	share_step_out(mz);
	mz->share.place = SHARE_READER;
	share->reader = mz;
	share->open = false;
	share_wake(mz);
}

/*
 * The session has nothing to do with others any more. What it was given by them is
 * remembered in its stream.
 */
void
share_leave(Materialize *mz)
{
	Share *share = mz->share.share;
	bool reads = mz->share.place == SHARE_READER;

	if (share == NULL)
		return;
	share_step_out(mz);
	share_unlink(mz);
	if (mz->resume == share_act)
	{
		mz->resume = NULL;
		session_timer(mz->session, 0);
	}
	if (reads)
	{
		share->reader = NULL;
		share_elect(share);
	}
}

/* Is the session waiting for what others read, its own backend idle? */
bool
share_waits(const Materialize *mz)
{
	return (mz->share.place == SHARE_LISTENING || mz->share.place == SHARE_WAITING) &&
	       mz->flight.done == NULL;
}

/* What two runs must have in common: what the extension says, and what was asked for. */
static const char *
share_key(Materialize *mz)
{
	const Run *run = &mz->run;
	Stream *stream = run->stream;
	Text key;

	if (stream->share_key != NULL)
		return stream->share_key;
	text_init(&key, &stream->arena);
	text_printf(&key, "%s %d %s ", stream->sharing, (int) run->mode,
	            stream->copy_options != NULL ? stream->copy_options : "");
	for (int i = 0; i < run->formats; i++)
		text_printf(&key, "%d", run->format[i]);
	text_append(&key, mz_changes_sql(&stream->arena, &stream->subscribe, &stream->columns, ""));
	stream->share_key = key.data;
	return key.data;
}

/* Become a member, of a new share if there is none. */
static void
share_join(Materialize *mz)
{
	const char *key = share_key(mz);
	Share *share = shares;

	while (share != NULL && strcmp(share->key, key) != 0)
		share = share->next;
	if (share == NULL)
	{
		share = calloc(1, sizeof(Share));
		if (share == NULL || (share->key = strdup(key)) == NULL)
			abort();
		share->next = shares;
		shares = share;
		share->reader = mz;
	}
	mz->share = (ShareMember){.share = share,
	                          .next = share->members,
	                          .place = share->reader == mz ? SHARE_READER : SHARE_ALONE};
	if (share->members != NULL)
		share->members->share.previous = mz;
	share->members = mz;
}

/*
 * The run would read on. True: it need not, others will do that for it. It must be
 * one without an end, whose first rows were given.
 */
bool
share_enter(Materialize *mz)
{
	const Run *run = &mz->run;
	const Stream *stream = run->stream;
	ShareMember *member = &mz->share;

	if (stream->sharing == NULL || stream->subscribe.progress || stream->frontier[0] == '\0' ||
	    stream->finished || run->mode == RUN_FETCH || run->limit >= 0 || run->has_deadline ||
	    mz->status != 'I' || mz->leaving || mz->left)
		return false;
	if (member->share == NULL)
		share_join(mz);
	if (member->place == SHARE_ALONE && member->share->open && !member->reads_once)
	{
		member->place = SHARE_WAITING;
		if (member->share->position != NULL)
			share_rest(mz);
		else
			share_wake(mz);
	}
	member->reads_once = false;
	return member->place == SHARE_WAITING;
}

/*
 * A flight that reads changes is put together: where others are to have them, it
 * asks for the position as well.
 */
void
share_begin(Materialize *mz)
{
	Share *share = mz->share.share;

	if (mz->share.place != SHARE_READER)
		return;
	share->open = share->members != mz || mz->share.next != NULL;
	buffer_clear(&share->batch);
	if (share->open)
		flight_call(mz, CALL_POSITION, mz->run.stream->name, NULL, ANSWER_VALUES);
	else
		share_set_position(&share->position, NULL);
}

/*
 * Is a message of the reading, with so long a body, to be handed on? Not if that is more
 * than is kept, nor if the reader's client is slow to take it: then nobody waits for the
 * rest, and all go on by themselves. The backend is not held up before that is noticed.
 */
bool
share_wants(Materialize *mz, uint32_t length)
{
	Share *share = mz->share.share;

	if (mz->share.place != SHARE_READER || !share->open)
		return false;
	if (share->batch.length + WIRE_HEADER + length <= SESSION_HIGH_WATER &&
	    session_client_backlog(mz->session) <= SESSION_LOW_WATER)
		return true;
	share_dissolve(share);
	return false;
}

/* Keep a message of the reading for the others. */
void
share_keep(Materialize *mz, char type, const char *body, size_t length)
{
	Buffer *batch;
	size_t begun;

	if (mz->share.place != SHARE_READER)
		return;
	batch = &mz->share.share->batch;
	begun = wire_begin(batch, type);

	wire_add_bytes(batch, body, length);
	wire_end(batch, begun);
}

/* Hand what was read to one who listens. */
static void
share_give(Materialize *mz, const Share *share, uint64_t rows)
{
	if (session_client_midway(mz->session))
	{
		share_step_out(mz);
		share_wake(mz);
	}
	else if (session_client_backlog(mz->session) > SESSION_HIGH_WATER)
	{
		share_step_out(mz);
		mz->run.waiting = mz->flight.done == NULL;
	}
	else
	{
		mz->run.rows += rows;
		session_to_client(mz->session, buffer_data(&share->batch), share->batch.length);
	}
}

/* Keep what was read for one who catches up. */
static void
share_give_later(Materialize *mz, const Share *share, uint64_t rows)
{
	ShareMember *member = &mz->share;

	if (member->behind.length + share->batch.length > SESSION_HIGH_WATER)
	{
		share_step_out(mz);
		return;
	}
	member->behind_rows += rows;
	buffer_append(&member->behind, buffer_data(&share->batch), share->batch.length);
}

/*
 * The reading has come to an end: so many rows. Those who step out do so at the
 * position before it.
 */
void
share_end(Materialize *mz, uint64_t rows)
{
	Share *share = mz->share.share;
	const char *position = mz->flight.values[WAIT_VALUES];
	Materialize *next;

	if (mz->share.place != SHARE_READER || !share->open || position == NULL)
		return;
	for (Materialize *member = share->members; member != NULL; member = next)
	{
		next = member->share.next;
		if (member->share.place == SHARE_LISTENING)
			share_give(member, share, rows);
		else if (member->share.place == SHARE_CATCHING_UP)
			share_give_later(member, share, rows);
		else if (member->share.place == SHARE_WAITING)
			share_wake(member);
	}
	share_set_position(&share->position, position);
	buffer_clear(&share->batch);
}

/* An answer has come, to a session that does not read: true, if that ends its waiting. */
static bool
share_failed(Materialize *mz)
{
	if (mz->flight.failed)
		task_failed(mz);
	else if (mz->cancelled)
		task_raise_cancelled(mz);
	else
		return false;
	return true;
}

/* The session has read to the share's position, if it was not past that. */
static void
share_caught_up(Materialize *mz)
{
	ShareMember *member = &mz->share;
	bool there = flight_true(mz, 0);

	mz->run.rows += mz->flight.rows;
	if (share_failed(mz))
		return;
	if (member->place == SHARE_CATCHING_UP && there && !mz->leaving)
	{
		member->place = SHARE_LISTENING;
		mz->run.rows += member->behind_rows;
		session_to_client(mz->session, buffer_data(&member->behind), member->behind.length);
		buffer_free(&member->behind);
		share_rest(mz);
		return;
	}
	if (member->place == SHARE_CATCHING_UP)
		share_step_out(mz);
	stream_run(mz);
}

/* Read to the share's position; what is read after that will be kept. */
static void
share_catch_up(Materialize *mz)
{
	const Stream *stream = mz->run.stream;

	mz->share.place = SHARE_CATCHING_UP;
	flight_begin(mz);
	flight_call(mz, CALL_READ_TO, stream->name, mz->share.share->position, ANSWER_VALUES);
	stream_read(mz);
	flight_send(mz, FLIGHT_SYNC, share_caught_up);
}

/* The extension was told how far the session is. */
static void
share_told(Materialize *mz)
{
	if (share_failed(mz))
		return;
	if (mz->leaving || mz->left)
		share_leave(mz);
	if (!share_waits(mz))
		stream_run(mz);
	else if (mz->share.place == SHARE_WAITING && mz->share.share->position != NULL)
		share_catch_up(mz);
	else if (mz->share.place == SHARE_WAITING && flight_true(mz, 0))
	{
		/* the reader has read this change before it kept anything, and reads nothing now */
		mz->share.place = SHARE_ALONE;
		mz->share.reads_once = true;
		stream_run(mz);
	}
	else
		share_rest(mz);
}

/* It is time for something, or somebody says so: look at the session's place. */
static void
share_act(Materialize *mz)
{
	const ShareMember *member = &mz->share;

	if (member->place == SHARE_LISTENING)
	{
		flight_begin(mz);
		flight_call(mz, CALL_ADVANCE, mz->run.stream->name, member->share->position, ANSWER_SILENT);
		flight_send(mz, FLIGHT_SYNC, share_told);
	}
	else if (member->place != SHARE_WAITING)
		stream_run(mz);
	else if (member->share->position != NULL)
		share_catch_up(mz);
	else
	{
		flight_begin(mz);
		flight_wait(mz, mz->run.stream->name, 0);
		flight_send(mz, FLIGHT_SYNC, share_told);
	}
}

/* The client wants to leave while its session waits for others. */
void
share_go(Materialize *mz)
{
	share_leave(mz);
	share_wake(mz);
}
