/*-------------------------------------------------------------------------
 *
 * flight.c
 *	  Statements of the dialect's own, sent to the session's backend together
 *	  and answered without the client seeing it, but for the rows it is to get.
 *
 * Invariants:
 *	- One flight is under way at a time.
 *	- Every message of a flight that is answered has an entry in its ledger. The answers
 *	  that come are those of the oldest entry; the flight is over when there is none left.
 *	- An error of a flight is kept in mz->error and reaches the client only
 *	  through task_failed; a flight that failed is still brought to its
 *	  ReadyForQuery before done is called. The error of a message that was the client's own,
 *	  and of any in a FLIGHT_FLUSH, goes to the client; the backend then waits for the
 *	  client's Sync.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/materialize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Enter a message into the ledger, if it is answered. */
static void
flight_owe(Materialize *mz, char type, AnswerTo to)
{
	const char entry[2] = {type, (char) to};

	buffer_append(&mz->flight.owed, entry, sizeof entry);
}

/* The type of the message being answered; 0: none. */
static char
flight_head(const Flight *flight)
{
	return flight->owed.length > 0 ? buffer_data(&flight->owed)[0] : 0;
}

/* Whose its answers are. */
static AnswerTo
flight_to(const Flight *flight)
{
	return flight->owed.length > 0 ? (AnswerTo) buffer_data(&flight->owed)[1] : ANSWER_SILENT;
}

/* Start to put a flight together. */
void
flight_begin(Materialize *mz)
{
	Buffer out = mz->flight.out;
	Buffer owed = mz->flight.owed;
	Arena memory = mz->flight.memory;

	session_ends_alone(mz->session, false);
	buffer_clear(&out);
	buffer_clear(&owed);
	arena_reset(&memory);
	memset(&mz->flight, 0, sizeof(mz->flight));
	mz->flight.out = out;
	mz->flight.owed = owed;
	if (mz->unnamed_due)
	{
		mz->unnamed_due = false;
		flight_close(mz, 'S', "");
		/* of a failed block the portals are still there, and fail */
		if (mz->status != 'E')
			flight_close(mz, 'P', "");
	}
}

/* A statement of the client's may have dropped what the dialect has prepared. */
void
flight_forget_prepared(Materialize *mz)
{
	memset(mz->call_prepared, 0, sizeof(mz->call_prepared));
	mz->changes_of = NULL;
	mz->progress_of = NULL;
}

/* Add Parse with parameter types as Parse itself has them. */
void
flight_parse_typed(Materialize *mz, const char *name, const char *sql, int types,
                   const uint32_t *type, AnswerTo to)
{
	size_t begun = wire_begin(&mz->flight.out, 'P');

	wire_add_string(&mz->flight.out, name);
	wire_add_string(&mz->flight.out, sql);
	wire_add_int16(&mz->flight.out, (uint16_t) types);
	for (int i = 0; i < types; i++)
		wire_add_int32(&mz->flight.out, type[i]);
	wire_end(&mz->flight.out, begun);
	flight_owe(mz, 'P', to);
}

/* Add Parse. */
void
flight_parse(Materialize *mz, const char *name, const char *sql)
{
	flight_parse_typed(mz, name, sql, 0, NULL, ANSWER_SILENT);
}

/* Add Bind without parameters, with result formats as Bind itself has them. */
void
flight_bind(Materialize *mz, const char *portal, const char *statement, int formats,
            const int16_t *format)
{
	size_t begun = wire_begin(&mz->flight.out, 'B');

	wire_add_string(&mz->flight.out, portal);
	wire_add_string(&mz->flight.out, statement);
	wire_add_int16(&mz->flight.out, 0);
	wire_add_int16(&mz->flight.out, 0);
	wire_add_int16(&mz->flight.out, (uint16_t) formats);
	for (int i = 0; i < formats; i++)
		wire_add_int16(&mz->flight.out, (uint16_t) format[i]);
	wire_end(&mz->flight.out, begun);
	flight_owe(mz, 'B', ANSWER_SILENT);
}

/* Add Execute. */
void
flight_execute(Materialize *mz, const char *portal, uint32_t rows, AnswerTo to)
{
	size_t begun = wire_begin(&mz->flight.out, 'E');

	wire_add_string(&mz->flight.out, portal);
	wire_add_int32(&mz->flight.out, rows);
	wire_end(&mz->flight.out, begun);
	flight_owe(mz, 'E', to);
}

/*
 * Add a statement with text results. Its statement and portal have a name of
 * the dialect's, as the unnamed ones may be in use by the client. The portal of
 * one that failed in a block is still there, and must not be in the way of its
 * ROLLBACK.
 */
void
flight_statement(Materialize *mz, const char *sql, AnswerTo to)
{
	flight_close(mz, 'P', "freshet once");
	flight_close(mz, 'S', "freshet once");
	flight_parse(mz, "freshet once", sql);
	flight_bind(mz, "freshet once", "freshet once", 0, NULL);
	flight_execute(mz, "freshet once", 0, to);
	flight_close(mz, 'P', "freshet once");
	flight_close(mz, 'S', "freshet once");
}

/* Add Describe or Close of a statement ('S') or portal ('P'). */
static void
flight_named(Materialize *mz, char type, char kind, const char *name, AnswerTo to)
{
	size_t begun = wire_begin(&mz->flight.out, type);

	wire_add_byte(&mz->flight.out, (uint8_t) kind);
	wire_add_string(&mz->flight.out, name);
	wire_end(&mz->flight.out, begun);
	flight_owe(mz, type, to);
}

/* Add Describe of a statement. */
void
flight_describe(Materialize *mz, const char *statement, AnswerTo to)
{
	flight_named(mz, 'D', 'S', statement, to);
}

/* Add the client's own Describe of a statement ('S') or portal ('P'). */
void
flight_describe_of_client(Materialize *mz, char kind, const char *name)
{
	flight_named(mz, 'D', kind, name, ANSWER_CLIENT);
}

/* Add Close of a statement ('S') or portal ('P'). */
void
flight_close(Materialize *mz, char kind, const char *name)
{
	flight_named(mz, 'C', kind, name, ANSWER_SILENT);
}

/* Add a Bind as the client sent it. */
void
flight_bind_of_client(Materialize *mz, const void *body, size_t length, AnswerTo to)
{
	size_t begun = wire_begin(&mz->flight.out, 'B');

	wire_add_bytes(&mz->flight.out, body, length);
	wire_end(&mz->flight.out, begun);
	flight_owe(mz, 'B', to);
}

/* The statements of the calls, by the names they are prepared under. */
static const struct
{
	const char *name;
	const char *sql;
} calls[CALL_COUNT] = {
    [CALL_WAIT] = {"freshet wait", "CALL freshet.wait($1, $2, NULL, NULL, NULL)"},
    [CALL_POSITION] = {"freshet position", "SELECT freshet.subscription_position($1)"},
    [CALL_ADVANCE] = {"freshet advance", "SELECT freshet.subscription_advance($1, $2)"},
    [CALL_READ_TO] = {"freshet read to", "SELECT freshet.subscription_read_to($1, $2)"},
    /* is there a cursor or portal of this name whose text bears this mark? */
    [CALL_STANDS] = {"freshet stands", "SELECT EXISTS (SELECT FROM pg_catalog.pg_cursor() AS c"
                                       " WHERE c.name OPERATOR(pg_catalog.=) $1::pg_catalog.text"
                                       " AND pg_catalog.strpos(c.statement, $2::pg_catalog.text)"
                                       " OPERATOR(pg_catalog.>) 0)"}};

/* Add a text parameter. */
static void
flight_parameter(Materialize *mz, const char *text)
{
	wire_add_int32(&mz->flight.out, (uint32_t) strlen(text));
	wire_add_bytes(&mz->flight.out, text, strlen(text));
}

/* Add a call with one argument, or with two. */
void
flight_call(Materialize *mz, FlightCall call, const char *first, const char *second, AnswerTo to)
{
	const char *name = calls[call].name;
	size_t begun;

	if (!mz->call_prepared[call])
	{
		flight_close(mz, 'S', name);
		flight_parse(mz, name, calls[call].sql);
		mz->call_prepared[call] = true;
	}
	begun = wire_begin(&mz->flight.out, 'B');
	wire_add_string(&mz->flight.out, name);
	wire_add_string(&mz->flight.out, name);
	wire_add_int16(&mz->flight.out, 0);
	wire_add_int16(&mz->flight.out, second != NULL ? 2 : 1);
	flight_parameter(mz, first);
	if (second != NULL)
		flight_parameter(mz, second);
	wire_add_int16(&mz->flight.out, 0);
	wire_end(&mz->flight.out, begun);
	flight_owe(mz, 'B', ANSWER_SILENT);
	flight_execute(mz, name, 0, to);
	flight_close(mz, 'P', name);
}

/* Begin with "CALL freshet.wait": its row is pending, frontier, finished. */
void
flight_wait(Materialize *mz, const char *subscription, int64_t milliseconds)
{
	char timeout[24];

	snprintf(timeout, sizeof(timeout), "%lld", (long long) milliseconds);
	mz->flight.waits = true;
	session_ends_alone(mz->session, true);
	flight_call(mz, CALL_WAIT, subscription, timeout, ANSWER_VALUES);
}

/* Is the flight still waiting for changes? */
bool
flight_waiting(const Materialize *mz)
{
	const Flight *flight = &mz->flight;

	return flight->done != NULL && flight->waits && flight->value_count == 0 && !flight->failed;
}

/* Is this value, a boolean, true? */
bool
flight_true(const Materialize *mz, int value)
{
	return mz->flight.values[value] != NULL && mz->flight.values[value][0] == 't';
}

/*
 * Errors in `text`, which stands so many bytes behind the beginning of what is sent, are
 * the client's, in whose text it is at `at` (in characters from 1; 0: nowhere).
 */
void
flight_place(Materialize *mz, const char *sent, size_t bytes, const char *text, size_t at)
{
	mz->flight.place = (FlightPlace){.text = text,
	                                 .from = mz_characters(sent, bytes),
	                                 .length = mz_characters(text, strlen(text)),
	                                 .at = at};
}

/* Hand what was put together to the backend. */
static void
flight_depart(Materialize *mz)
{
	session_to_backend(mz->session, buffer_data(&mz->flight.out), mz->flight.out.length);
	buffer_clear(&mz->flight.out);
}

/* Add Sync: it ends an implicit transaction. */
static void
flight_sync(Materialize *mz)
{
	mz->flight.end = FLIGHT_SYNC;
	wire_end(&mz->flight.out, wire_begin(&mz->flight.out, 'S'));
	flight_owe(mz, 'S', ANSWER_SILENT);
	flight_depart(mz);
}

/* Send what was put together. */
void
flight_send(Materialize *mz, FlightEnd end, void (*done)(Materialize *mz))
{
	Flight *flight = &mz->flight;

	flight->end = end;
	flight->done = done;
	if (end == FLIGHT_SYNC)
	{
		flight_sync(mz);
		return;
	}
	wire_end(&flight->out, wire_begin(&flight->out, 'H'));
	flight_depart(mz);
}

/* Send a text as one Query; it may have several statements. */
void
flight_query(Materialize *mz, const char *sql, size_t length, AnswerTo to,
             void (*done)(Materialize *mz))
{
	Flight *flight = &mz->flight;
	size_t begun = wire_begin(&flight->out, 'Q');

	wire_add_bytes(&flight->out, sql, length);
	wire_add_byte(&flight->out, 0);
	wire_end(&flight->out, begun);
	flight_owe(mz, 'Q', to);
	flight->end = FLIGHT_SYNC;
	flight->done = done;
	flight_depart(mz);
	flight_forget_prepared(mz);
}

/* Where a message of the backend goes; what ends the answers to a message is collected. */
BackendRoute
flight_header(Materialize *mz, char type, uint32_t length)
{
	Flight *flight = &mz->flight;
	AnswerTo to = flight_to(flight);

	switch (type)
	{
		case 'N':
			return to >= ANSWER_ROWS ? BACKEND_FORWARD : BACKEND_SWALLOW;
		case 'Z':
		case 'E':
		case 'G':
			return BACKEND_COLLECT;
		default:
			break;
	}
	if (flight_head(flight) == 'Q')
		return to == ANSWER_CLIENT ? BACKEND_FORWARD : BACKEND_SWALLOW;
	switch (type)
	{
		case 'H':
		case 'd':
		case 'c':
			if (to == ANSWER_COPY)
				return stream_copy_header(mz, type, length);
			return to == ANSWER_CLIENT ? BACKEND_FORWARD : BACKEND_SWALLOW;
		case 'D':
			if (to == ANSWER_ROWS)
			{
				flight->rows++;
				return share_wants(mz, length) ? BACKEND_COLLECT : BACKEND_FORWARD;
			}
			if (to == ANSWER_CLIENT)
				return BACKEND_FORWARD;
			return to == ANSWER_VALUES ? BACKEND_COLLECT : BACKEND_SWALLOW;
		default:
			return BACKEND_COLLECT;
	}
}

/* Copy a field of an error; the field's place is freed first. */
static void
error_field(const WireMessage *message, char field, char **value)
{
	const char *found = NULL;

	free(*value);
	*value = NULL;
	if (wire_error_field(message, field, &found) && found != NULL)
		*value = copy_string(found);
}

/* Where the error is in the client's text; 0: not known. */
static size_t
error_place(const Flight *flight, const WireMessage *message)
{
	const FlightPlace *place = &flight->place;
	const char *found = NULL;
	size_t position;

	if (place->at == 0)
		return 0;
	/* the extension reads the client's query as a text of its own */
	if (wire_error_field(message, 'q', &found) && strcmp(found, place->text) == 0 &&
	    wire_error_field(message, 'p', &found))
		return place->at + strtoul(found, NULL, 10) - 1;
	if (!wire_error_field(message, 'P', &found) || found == NULL)
		return 0;
	position = strtoul(found, NULL, 10);
	if (position <= place->from || position > place->from + place->length + 1)
		return 0;
	return place->at + position - place->from - 1;
}

/* Keep the error. */
static void
keep_error(Materialize *mz, const WireMessage *message)
{
	const char *found = NULL;
	size_t place = error_place(&mz->flight, message);

	if (mz->flight.quiet)
		return;
	mz->error.position[0] = '\0';
	if (place > 0)
		snprintf(mz->error.position, sizeof(mz->error.position), "%zu", place);
	snprintf(mz->error.sqlstate, sizeof(mz->error.sqlstate), "%s",
	         wire_error_field(message, 'C', &found) ? found : "XX000");
	snprintf(mz->error.severity, sizeof(mz->error.severity), "%s",
	         wire_error_field(message, 'S', &found) ? found : "ERROR");
	error_field(message, 'M', &mz->error.message);
	error_field(message, 'D', &mz->error.detail);
	error_field(message, 'H', &mz->error.hint);
}

/* Send an error of a message that was the client's, with its place in the client's text. */
static void
forward_error(Materialize *mz, const WireMessage *message)
{
	const Flight *flight = &mz->flight;
	size_t place = error_place(flight, message);
	const char *at = message->body;
	const char *end = message->body + message->length;
	Buffer body = {0};

	while (at < end && *at != '\0')
	{
		size_t length = strnlen(at, (size_t) (end - at)) + 1;

		if (*at != 'P')
			wire_add_bytes(&body, at, length);
		at += length;
	}
	if (place > 0)
	{
		char position[24];

		snprintf(position, sizeof(position), "P%zu", place);
		wire_add_string(&body, position);
	}
	wire_add_byte(&body, 0);
	task_send(mz, 'E', buffer_data(&body), body.length);
	buffer_free(&body);
}

/* Keep the values of a row, behind those of the parts before. */
static void
keep_values(Materialize *mz, const WireMessage *message)
{
	Flight *flight = &mz->flight;
	WireReader reader;
	int count;

	/* what stands behind a wait is read now */
	session_ends_alone(mz->session, false);
	wire_read(&reader, message);
	count = wire_read_int16(&reader);
	for (int i = 0; i < count && flight->value_count < FLIGHT_VALUES; i++)
	{
		char **value = &flight->values[flight->value_count++];
		uint32_t length = wire_read_int32(&reader);
		const char *bytes;

		if (length == UINT32_MAX)
			continue;
		bytes = wire_read_bytes(&reader, length);
		if (bytes == NULL)
			return;
		*value = arena_copy(&flight->memory, bytes, length);
	}
}

/* Keep the names of a RowDescription. */
static void
keep_columns(Described *described, const WireMessage *message)
{
	WireReader reader;
	int count;

	wire_read(&reader, message);
	count = wire_read_int16(&reader);
	described->columns.count = 0;
	described->columns.items =
	    arena_alloc(described->arena, ((size_t) count + 1) * sizeof(MzColumn));
	for (int i = 0; i < count; i++)
	{
		MzColumn *column = &described->columns.items[i];
		const char *name = wire_read_string(&reader);

		wire_read_bytes(&reader, 18);
		if (reader.failed)
			return;
		column->name = arena_copy(described->arena, name, strlen(name));
		column->type = "";
		described->columns.count++;
	}
}

/* Keep the types of a ParameterDescription. */
static void
keep_parameters(Described *described, const WireMessage *message)
{
	WireReader reader;
	uint32_t count;

	wire_read(&reader, message);
	count = wire_read_int16(&reader);
	described->parameter_count = 0;
	described->parameters = arena_alloc(described->arena, (count + 1) * sizeof(uint32_t));
	for (uint32_t i = 0; i < count; i++)
	{
		described->parameters[i] = wire_read_int32(&reader);
		if (reader.failed)
			return;
		described->parameter_count++;
	}
}

/* The flight is answered; but nothing is done while a cancel could still hit it. */
static void
flight_over(Materialize *mz)
{
	void (*done)(Materialize *) = mz->flight.done;

	mz->flight.over = mz->cancelling;
	if (mz->flight.over)
		return;
	mz->flight.done = NULL;
	done(mz);
}

/* No cancel is under way any more. */
void
flight_cancel_acted(Materialize *mz)
{
	if (mz->flight.over)
		flight_over(mz);
}

/* The oldest message is answered; with the last one the flight is over. */
static void
flight_answered(Materialize *mz)
{
	Flight *flight = &mz->flight;

	if (flight->owed.length > 0)
		buffer_consume(&flight->owed, 2);
	if (flight->owed.length > 0)
		return;
	if (flight->end == FLIGHT_SUSPEND && !flight->suspended)
		flight_sync(mz);
	else
		flight_over(mz);
}

/* An error: the backend answers nothing more up to the next Sync. */
static void
flight_error(Materialize *mz, const WireMessage *message)
{
	Flight *flight = &mz->flight;

	flight->failed = true;
	/* a Parse behind it was skipped */
	flight_forget_prepared(mz);
	if (flight->end == FLIGHT_FLUSH || flight_to(flight) == ANSWER_CLIENT)
		forward_error(mz, message);
	else
		keep_error(mz, message);
	if (flight_head(flight) == 'Q')
		return;
	while (flight->owed.length > 0 && flight_head(flight) != 'S')
		buffer_consume(&flight->owed, 2);
	if (flight->end == FLIGHT_FLUSH)
		flight_over(mz);
	else if (flight->end == FLIGHT_SUSPEND)
		flight_sync(mz);
}

/* A COPY FROM STDIN waits for data that nobody could tell from what the client sends else. */
static void
flight_refuse_copy(Materialize *mz)
{
	Buffer fail = {0};
	size_t begun = wire_begin(&fail, 'f');

	wire_add_string(&fail, "COPY FROM STDIN cannot stand beside SUBSCRIBE in one query");
	wire_end(&fail, begun);
	session_to_backend(mz->session, buffer_data(&fail), fail.length);
	buffer_free(&fail);
}

/* A message that was collected: what is the client's is sent before anything else is done. */
BackendRoute
flight_answer(Materialize *mz, const WireMessage *message)
{
	Flight *flight = &mz->flight;
	AnswerTo to = flight_to(flight);

	switch (message->type)
	{
		case 'Z':
			mz->status = message->length > 0 ? message->body[0] : 'I';
			flight_answered(mz);
			return BACKEND_SWALLOW;
		case 'E':
			flight_error(mz, message);
			return BACKEND_SWALLOW;
		case 'G':
			flight_refuse_copy(mz);
			return BACKEND_SWALLOW;
		case 'D':
			if (to == ANSWER_ROWS)
			{
				share_keep(mz, message->type, message->body, message->length);
				return BACKEND_FORWARD;
			}
			keep_values(mz, message);
			return BACKEND_SWALLOW;
		case 'd':
			return stream_copy_message(mz, message);
		case 't':
			if (to == ANSWER_COLUMNS)
				keep_parameters(flight->described, message);
			return to == ANSWER_CLIENT ? BACKEND_FORWARD : BACKEND_SWALLOW;
		case 'T':
			if (to == ANSWER_COLUMNS)
				keep_columns(flight->described, message);
			break;
		default:
			break;
	}
	if (to == ANSWER_CLIENT || (to == ANSWER_ROWS && message->type == 'T'))
		task_send(mz, message->type, message->body, message->length);
	switch (message->type)
	{
		case 'C':
		case 's':
		case 'I':
			flight->suspended = message->type == 's';
			flight_answered(mz);
			break;
		case '1':
		case '2':
		case '3':
		case 'T':
		case 'n':
			flight_answered(mz);
			break;
		default:
			break;
	}
	return BACKEND_SWALLOW;
}
