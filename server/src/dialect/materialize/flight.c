/*-------------------------------------------------------------------------
 *
 * flight.c
 *	  Statements of the dialect's own, sent to the session's backend together
 *	  and answered without the client seeing it, but for the rows it is to get.
 *
 * Invariants:
 *	- One flight is under way at a time.
 *	- An error of a flight is kept in mz->error and reaches the client only
 *	  through task_failed; a flight that failed is still brought to its
 *	  ReadyForQuery before done is called (but FLIGHT_FLUSH, whose error belongs
 *	  to the client's own flight and is forwarded).
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/materialize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Start to put a flight together. */
void
flight_begin(Materialize *mz)
{
	Buffer out = mz->flight.out;
	Arena memory = mz->flight.memory;

	buffer_clear(&out);
	arena_reset(&memory);
	memset(&mz->flight, 0, sizeof(mz->flight));
	mz->flight.out = out;
	while (mz->garbage != NULL)
	{
		Garbage *garbage = mz->garbage;

		flight_close(mz, 'S', garbage->statement);
		mz->garbage = garbage->next;
		free(garbage);
	}
}

/* Remember a prepared statement that is to be closed when the backend is ours. */
void
flight_close_later(Materialize *mz, const char *statement)
{
	Garbage *garbage = malloc(sizeof(Garbage) + strlen(statement) + 1);

	if (garbage == NULL)
		abort();
	strcpy(garbage->statement, statement);
	garbage->next = mz->garbage;
	mz->garbage = garbage;
}

/* Add Parse with parameter types as Parse itself has them. */
void
flight_parse_typed(Materialize *mz, const char *name, const char *sql, int types,
                   const uint32_t *type)
{
	size_t begun = wire_begin(&mz->flight.out, 'P');

	wire_add_string(&mz->flight.out, name);
	wire_add_string(&mz->flight.out, sql);
	wire_add_int16(&mz->flight.out, (uint16_t) types);
	for (int i = 0; i < types; i++)
		wire_add_int32(&mz->flight.out, type[i]);
	wire_end(&mz->flight.out, begun);
}

/* Add Parse. */
void
flight_parse(Materialize *mz, const char *name, const char *sql)
{
	flight_parse_typed(mz, name, sql, 0, NULL);
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
}

/* Add Execute; its rows have this role. */
void
flight_execute(Materialize *mz, const char *portal, uint32_t rows, PartRole role)
{
	size_t begun = wire_begin(&mz->flight.out, 'E');

	wire_add_string(&mz->flight.out, portal);
	wire_add_int32(&mz->flight.out, rows);
	wire_end(&mz->flight.out, begun);
	if (mz->flight.parts == FLIGHT_PARTS)
		abort();
	mz->flight.roles[mz->flight.parts++] = role;
}

/*
 * Add a statement with text results. Its statement and portal have a name of
 * the dialect's, as the unnamed ones may be in use by the client. The portal of
 * one that failed in a block is still there, and must not be in the way of its
 * ROLLBACK.
 */
void
flight_statement(Materialize *mz, const char *sql, PartRole role)
{
	flight_close(mz, 'P', "freshet once");
	flight_close(mz, 'S', "freshet once");
	flight_parse(mz, "freshet once", sql);
	flight_bind(mz, "freshet once", "freshet once", 0, NULL);
	flight_execute(mz, "freshet once", 0, role);
	flight_close(mz, 'P', "freshet once");
	flight_close(mz, 'S', "freshet once");
}

/* Add Describe or Close of a statement ('S') or portal ('P'). */
static void
flight_named(Materialize *mz, char type, char kind, const char *name)
{
	size_t begun = wire_begin(&mz->flight.out, type);

	wire_add_byte(&mz->flight.out, (uint8_t) kind);
	wire_add_string(&mz->flight.out, name);
	wire_end(&mz->flight.out, begun);
}

/* Add Describe of a statement. */
void
flight_describe(Materialize *mz, const char *statement)
{
	flight_named(mz, 'D', 'S', statement);
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
    [CALL_READ_TO] = {"freshet read to", "SELECT freshet.subscription_read_to($1, $2)"}};

/* Add a text parameter. */
static void
flight_parameter(Materialize *mz, const char *text)
{
	wire_add_int32(&mz->flight.out, (uint32_t) strlen(text));
	wire_add_bytes(&mz->flight.out, text, strlen(text));
}

/* Add a call for a subscription; argument NULL: it has no other. Its row has this role. */
void
flight_call(Materialize *mz, FlightCall call, const char *subscription, const char *argument,
            PartRole role)
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
	wire_add_int16(&mz->flight.out, argument != NULL ? 2 : 1);
	flight_parameter(mz, subscription);
	if (argument != NULL)
		flight_parameter(mz, argument);
	wire_add_int16(&mz->flight.out, 0);
	wire_end(&mz->flight.out, begun);
	flight_execute(mz, name, 0, role);
	flight_close(mz, 'P', name);
}

/* Add "CALL freshet.wait": its row is pending, frontier, finished. */
void
flight_wait(Materialize *mz, const char *subscription, int64_t milliseconds)
{
	char timeout[24];

	snprintf(timeout, sizeof(timeout), "%lld", (long long) milliseconds);
	flight_call(mz, CALL_WAIT, subscription, timeout, PART_VALUES);
}

/* Add Close of a statement ('S') or portal ('P'). */
void
flight_close(Materialize *mz, char kind, const char *name)
{
	flight_named(mz, 'C', kind, name);
}

/* Add Sync: it ends an implicit transaction. */
static void
flight_sync(Materialize *mz)
{
	wire_end(&mz->flight.out, wire_begin(&mz->flight.out, 'S'));
	mz->flight.syncs++;
}

/* Hand what was put together to the backend. */
static void
flight_depart(Materialize *mz)
{
	session_to_backend(mz->session, buffer_data(&mz->flight.out), mz->flight.out.length);
	buffer_clear(&mz->flight.out);
}

/* Send what was put together. */
void
flight_send(Materialize *mz, FlightEnd end, void (*done)(Materialize *mz))
{
	Flight *flight = &mz->flight;

	flight->end = end;
	flight->done = done;
	if (end == FLIGHT_SYNC)
		flight_sync(mz);
	else
		wire_end(&flight->out, wire_begin(&flight->out, 'H'));
	flight_depart(mz);
}

/* Send a text as one Query; it may have several statements. */
void
flight_query(Materialize *mz, const char *sql, size_t length, FlightEnd end,
             void (*done)(Materialize *mz))
{
	Flight *flight = &mz->flight;
	size_t begun;

	begun = wire_begin(&flight->out, 'Q');
	wire_add_bytes(&flight->out, sql, length);
	wire_add_byte(&flight->out, 0);
	wire_end(&flight->out, begun);
	flight->end = end;
	flight->done = done;
	flight->syncs++;
	flight_depart(mz);
}

/* The role of what is being answered. */
static PartRole
flight_role(const Flight *flight)
{
	return flight->part < flight->parts ? flight->roles[flight->part] : PART_SILENT;
}

/* Where a message of the backend goes. */
BackendRoute
flight_header(Materialize *mz, char type, uint32_t length)
{
	Flight *flight = &mz->flight;

	switch (type)
	{
		case 'Z':
			return BACKEND_COLLECT;
		case 'E':
			if (flight->end == FLIGHT_RAW)
			{
				flight->failed = true;
				return BACKEND_FORWARD;
			}
			return BACKEND_COLLECT;
		case 'N':
			return flight->end == FLIGHT_RAW || flight_role(flight) == PART_ROWS ||
			               flight_role(flight) == PART_COPY
			           ? BACKEND_FORWARD
			           : BACKEND_SWALLOW;
		default:
			break;
	}
	if (flight->end == FLIGHT_RAW)
		return type == 'G' ? BACKEND_COLLECT : BACKEND_FORWARD;
	switch (type)
	{
		case 'H':
		case 'd':
		case 'c':
			return flight_role(flight) == PART_COPY ? stream_copy_header(mz, type, length)
			                                        : BACKEND_SWALLOW;
		case 'D':
			if (flight_role(flight) == PART_ROWS)
			{
				flight->rows++;
				return share_wants(mz, length) ? BACKEND_COLLECT : BACKEND_FORWARD;
			}
			return flight_role(flight) == PART_VALUES ? BACKEND_COLLECT : BACKEND_SWALLOW;
		case 'T':
			if (flight->column_names)
				return BACKEND_COLLECT;
			return flight->show_columns ? BACKEND_FORWARD : BACKEND_SWALLOW;
		case 'C':
		case 's':
		case 'I':
			return BACKEND_COLLECT;
		case 't':
			return flight->column_names ? BACKEND_COLLECT : BACKEND_SWALLOW;
		case '3':
			return flight->end == FLIGHT_FLUSH ? BACKEND_COLLECT : BACKEND_SWALLOW;
		default:
			return BACKEND_SWALLOW;
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

/* Keep the error. */
static void
keep_error(Materialize *mz, const WireMessage *message)
{
	const char *found = NULL;

	if (mz->flight.quiet)
		return;
	/* someone may have dropped our statement with DEALLOCATE ALL */
	memset(mz->call_prepared, 0, sizeof(mz->call_prepared));
	mz->error.position[0] = '\0';
	/* a position in our own statement means nothing to the client, one in its query does */
	if (mz->flight.position > 0 && wire_error_field(message, 'p', &found) && found != NULL)
		snprintf(mz->error.position, sizeof(mz->error.position), "%zu",
		         mz->flight.position + (size_t) strtoul(found, NULL, 10) - 1);
	snprintf(mz->error.sqlstate, sizeof(mz->error.sqlstate), "%s",
	         wire_error_field(message, 'C', &found) ? found : "XX000");
	snprintf(mz->error.severity, sizeof(mz->error.severity), "%s",
	         wire_error_field(message, 'S', &found) ? found : "ERROR");
	error_field(message, 'M', &mz->error.message);
	error_field(message, 'D', &mz->error.detail);
	error_field(message, 'H', &mz->error.hint);
}

/* Keep the values of a row, behind those of the parts before. */
static void
keep_values(Materialize *mz, const WireMessage *message)
{
	Flight *flight = &mz->flight;
	WireReader reader;
	int count;

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
keep_columns(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	int count;

	wire_read(&reader, message);
	count = wire_read_int16(&reader);
	mz->columns.count = 0;
	mz->columns.items = arena_alloc(&mz->memory, ((size_t) count + 1) * sizeof(MzColumn));
	for (int i = 0; i < count; i++)
	{
		const char *name = wire_read_string(&reader);

		wire_read_bytes(&reader, 18);
		if (reader.failed)
			return;
		mz->columns.items[i].name = arena_copy(&mz->memory, name, strlen(name));
		mz->columns.items[i].type = "";
		mz->columns.count++;
	}
}

/* Keep the types of a ParameterDescription. */
static void
keep_parameters(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	uint32_t count;

	wire_read(&reader, message);
	count = wire_read_int16(&reader);
	mz->parameter_count = 0;
	mz->parameters = arena_alloc(&mz->memory, (count + 1) * sizeof(uint32_t));
	for (uint32_t i = 0; i < count; i++)
	{
		mz->parameters[i] = wire_read_int32(&reader);
		if (reader.failed)
			return;
		mz->parameter_count++;
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

/* Let a FLIGHT_SUSPEND that is not suspended end like a FLIGHT_SYNC. */
static void
flight_finish_with_sync(Materialize *mz)
{
	mz->flight.end = FLIGHT_SYNC;
	flight_sync(mz);
	flight_depart(mz);
}

/* A message that was collected. */
BackendRoute
flight_message(Materialize *mz, const WireMessage *message)
{
	Flight *flight = &mz->flight;

	switch (message->type)
	{
		case 'Z':
			mz->status = message->length > 0 ? message->body[0] : 'I';
			if (--flight->syncs > 0)
				return BACKEND_SWALLOW;
			flight_over(mz);
			return BACKEND_SWALLOW;

		case 'E':
			flight->failed = true;
			if (flight->end == FLIGHT_FLUSH)
			{
				/* the client's own flight has failed; the backend waits for its Sync */
				flight_over(mz);
				return BACKEND_FORWARD;
			}
			keep_error(mz, message);
			if (flight->end == FLIGHT_SUSPEND)
				flight_finish_with_sync(mz);
			return BACKEND_SWALLOW;

		case 'G':
		{
			Buffer fail = {0};
			size_t begun = wire_begin(&fail, 'f');

			wire_add_string(&fail, "COPY FROM STDIN cannot stand beside SUBSCRIBE in one query");
			wire_end(&fail, begun);
			session_to_backend(mz->session, buffer_data(&fail), fail.length);
			buffer_free(&fail);
			return BACKEND_SWALLOW;
		}

		case 'D':
			if (flight_role(flight) == PART_ROWS)
			{
				share_keep(mz, message->type, message->body, message->length);
				return BACKEND_FORWARD;
			}
			keep_values(mz, message);
			return BACKEND_SWALLOW;

		case 't':
			keep_parameters(mz, message);
			return BACKEND_SWALLOW;

		case 'T':
			keep_columns(mz, message);
			return BACKEND_SWALLOW;

		case 'C':
		case 's':
		case 'I':
			flight->suspended = message->type == 's';
			flight->part++;
			if (flight->end == FLIGHT_SUSPEND && flight->part == flight->parts)
			{
				if (flight->suspended)
					flight_over(mz);
				else
					flight_finish_with_sync(mz);
			}
			return BACKEND_SWALLOW;

		case '3':
			flight_over(mz);
			return BACKEND_SWALLOW;

		case 'd':
			return stream_copy_message(mz, message);

		default:
			return BACKEND_SWALLOW;
	}
}
