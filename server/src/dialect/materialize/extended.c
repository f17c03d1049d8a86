/*-------------------------------------------------------------------------
 *
 * extended.c
 *	  The dialect's statements in the extended protocol.
 *
 * A Parse of SUBSCRIBE goes on as a query with the same columns and no rows,
 * under the client's own statement name; one of a statement without rows goes
 * on as an empty one. So PostgreSQL answers Parse, Bind and Describe, with the
 * client's formats, in its place in the client's flight. Only Execute is taken.
 *
 * Invariants:
 *	- A Prepared or Portal here stands for one of the backend of the same name,
 *	  which is closed or replaced at the same time.
 *	- A portal lives no longer than its transaction: outside a block, until Sync.
 *	- Parameters are put into the text when the portal is executed, as literals
 *	  of the type the client gave, for the extension takes a text.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/materialize.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Names longer than this are PostgreSQL's alone: all of ours stand in the first SESSION_HEAD bytes. */
#define NAME_MAX_LENGTH 1000

/* A prepared statement of the client's that is ours. */
struct Prepared
{
	Prepared *next;
	Arena arena;
	int uses; /* by the list and by portals */
	char *name;
	char *text;
	MzStatement statement;
	int types;
	uint32_t *type; /* as Parse gave them */
};

struct Portal
{
	Portal *next;
	Arena arena;
	char *name;
	Prepared *prepared;
	int formats;
	int16_t *format;
	int values;
	char **value; /* literals; NULL: a format that cannot be written */
	Stream *stream;
	bool finished;
};

/* Is anything of the client's ours? */
bool
extended_active(const Materialize *mz)
{
	return mz->prepared != NULL || mz->portals != NULL;
}

/* The client's statement of that name that is ours, or NULL. */
static Prepared *
prepared_find(const Materialize *mz, const char *name)
{
	for (Prepared *prepared = mz->prepared; prepared != NULL; prepared = prepared->next)
	{
		if (strcmp(prepared->name, name) == 0)
			return prepared;
	}
	return NULL;
}

/* The client's portal of that name that is ours, or NULL. */
static Portal *
portal_find(const Materialize *mz, const char *name)
{
	for (Portal *portal = mz->portals; portal != NULL; portal = portal->next)
	{
		if (strcmp(portal->name, name) == 0)
			return portal;
	}
	return NULL;
}

/* One use of the statement less. */
static void
prepared_release(Prepared *prepared)
{
	Arena arena = prepared->arena;

	if (--prepared->uses > 0)
		return;
	free(prepared);
	arena_reset(&arena);
}

/* Forget the client's statement of that name. */
static void
prepared_forget(Materialize *mz, const char *name)
{
	for (Prepared **link = &mz->prepared; *link != NULL; link = &(*link)->next)
	{
		Prepared *prepared = *link;

		if (strcmp(prepared->name, name) == 0)
		{
			*link = prepared->next;
			prepared_release(prepared);
			return;
		}
	}
}

/* Forget the client's portal of that name. */
static void
portal_forget(Materialize *mz, const char *name)
{
	for (Portal **link = &mz->portals; *link != NULL; link = &(*link)->next)
	{
		Portal *portal = *link;

		if (strcmp(portal->name, name) == 0)
		{
			Arena arena = portal->arena;

			*link = portal->next;
			stream_free(mz, portal->stream);
			prepared_release(portal->prepared);
			free(portal);
			arena_reset(&arena);
			return;
		}
	}
}

/* The transaction has ended, and every portal with it. */
void
extended_block_ended(Materialize *mz)
{
	while (mz->portals != NULL)
		portal_forget(mz, mz->portals->name);
}

/* The session ends. */
void
extended_free(Materialize *mz)
{
	extended_block_ended(mz);
	if (mz->parsing != NULL)
		prepared_release(mz->parsing);
	while (mz->prepared != NULL)
		prepared_forget(mz, mz->prepared->name);
}

/* The stream is about to be freed. */
void
extended_forget_stream(Materialize *mz, const Stream *stream)
{
	for (Portal *portal = mz->portals; portal != NULL; portal = portal->next)
	{
		if (portal->stream == stream)
			portal->stream = NULL;
	}
}

/* A portal with a subscription of its own, or NULL. */
static Portal *
portal_with_stream(const Materialize *mz)
{
	for (Portal *portal = mz->portals; portal != NULL; portal = portal->next)
	{
		if (portal->stream != NULL)
			return portal;
	}
	return NULL;
}

/* Parse a Parse's text into a statement; more than one is PostgreSQL's error. */
static void
parse_one(Materialize *mz, Arena *arena, const char *text, MzStatement *statement)
{
	SqlLexer lexer;
	SqlStatement slice;
	SqlStatement second;
	bool standard_strings = session_standard_strings(mz->session);

	statement->kind = MZ_OTHER;
	if (!mz_concerned(text, strlen(text)))
		return;
	sql_lexer_init(&lexer, text, strlen(text), standard_strings);
	if (!sql_next_statement(&lexer, &slice))
		return;
	if (sql_next_statement(&lexer, &second))
		return;
	mz_parse(arena, text, slice, standard_strings, statement);
	if ((statement->kind == MZ_FETCH || statement->kind == MZ_CLOSE) &&
	    !cursor_concerned(mz, &statement->fetch))
		statement->kind = MZ_OTHER;
}

/* Would the message be taken? */
bool
extended_wants(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	const char *name;
	const char *second;
	char kind;

	wire_read(&reader, message);
	switch (message->type)
	{
		case 'P':
		{
			Arena arena = {0};
			MzStatement statement;

			name = wire_read_string(&reader);
			if (reader.failed || strlen(name) > NAME_MAX_LENGTH)
				return false;
			if (prepared_find(mz, name) != NULL)
				return true;
			second = wire_read_string(&reader);
			if (reader.failed)
				return false;
			parse_one(mz, &arena, second, &statement);
			arena_reset(&arena);
			return statement.kind != MZ_OTHER;
		}
		case 'B':
			name = wire_read_string(&reader);
			second = wire_read_string(&reader);
			return !reader.failed &&
			       (portal_find(mz, name) != NULL || prepared_find(mz, second) != NULL);
		case 'D':
			kind = (char) wire_read_byte(&reader);
			name = wire_read_string(&reader);
			return !reader.failed && kind == 'P' && portal_find(mz, name) == NULL &&
			       cursor_find(mz, name) != NULL;
		case 'E':
			name = wire_read_string(&reader);
			return !reader.failed && portal_find(mz, name) != NULL;
		case 'C':
			kind = (char) wire_read_byte(&reader);
			name = wire_read_string(&reader);
			if (reader.failed)
				return false;
			return kind == 'S' ? prepared_find(mz, name) != NULL : portal_find(mz, name) != NULL;
		case 'S':
			return portal_with_stream(mz) != NULL;
		default:
			return false;
	}
}

/* Does the text have a parameter? */
static bool
has_parameter(const char *text, bool standard_strings)
{
	SqlLexer lexer;
	SqlToken token;

	sql_lexer_init(&lexer, text, strlen(text), standard_strings);
	while ((token = sql_next(&lexer)).kind != SQL_END)
	{
		if (token.kind == SQL_PARAMETER)
			return true;
	}
	return false;
}

/* Let go of control; the backend's answers are the client's. */
static DialectAnswer
answered(Materialize *mz)
{
	mz->task = TASK_NONE;
	arena_reset(&mz->memory);
	session_watch(mz->session, extended_active(mz) || mz->cursors != NULL ||
	                               session_door(mz->session) == DOOR_MATERIALIZE);
	session_release(mz->session);
	return DIALECT_TAKEN;
}

/* The Parse that was sent under the client's name is answered. */
static void
parsed(Materialize *mz)
{
	Prepared *prepared = mz->parsing;

	mz->parsing = NULL;
	if (mz->flight.failed)
		prepared_release(prepared);
	else
	{
		/* one of that name the client has deallocated in SQL */
		prepared_forget(mz, prepared->name);
		if (prepared->statement.kind == MZ_OTHER || prepared->statement.kind == MZ_REWRITTEN)
			prepared_release(prepared);
		else
		{
			prepared->next = mz->prepared;
			mz->prepared = prepared;
		}
		task_send(mz, '1', "", 0);
	}
	answered(mz);
}

/*
 * Send a Parse under the client's name. The statement is ours from its success
 * on: were it ours after a failure, another of that name would be taken for it.
 */
static DialectAnswer
send_parse(Materialize *mz, const char *sql)
{
	Prepared *prepared = mz->parsing;

	flight_begin(mz);
	flight_parse_typed(mz, prepared->name, sql, prepared->types, prepared->type);
	flight_close(mz, 'S', "freshet none");
	flight_send(mz, FLIGHT_FLUSH, parsed);
	return DIALECT_TAKEN;
}

/* The target's columns and the types of parameters are known now. */
static void
target_described(Materialize *mz)
{
	Prepared *prepared = mz->parsing;
	const MzSubscribe *subscribe = &prepared->statement.subscribe;
	const char *missing;

	if (mz->flight.failed)
	{
		mz->parsing = NULL;
		prepared_release(prepared);
		answered(mz);
		return;
	}
	if (mz->parameter_count > (uint32_t) prepared->types)
	{
		prepared->type = arena_alloc(&prepared->arena, mz->parameter_count * sizeof(uint32_t));
		prepared->types = (int) mz->parameter_count;
	}
	for (int i = 0; i < prepared->types && (uint32_t) i < mz->parameter_count; i++)
		prepared->type[i] = mz->parameters[i];
	if (subscribe->key.count == 0)
		mz->columns.count = 0;
	missing = mz_envelope_missing(subscribe, &mz->columns);
	/* let PostgreSQL say that there is no such column */
	send_parse(
	    mz, missing == NULL
	            ? mz_describe_sql(&mz->memory, subscribe, &mz->columns, subscribe->target)
	            : arena_printf(&mz->memory, "SELECT \"%s\" FROM %s q", missing, subscribe->target));
}

/* Find out the columns and parameters of a SUBSCRIBE's target. */
static DialectAnswer
describe_target(Materialize *mz)
{
	static const char *const name = "freshet columns";
	const Prepared *prepared = mz->parsing;

	flight_begin(mz);
	flight_parse_typed(mz, name,
	                   arena_printf(&mz->flight.memory, "SELECT * FROM %s q",
	                                prepared->statement.subscribe.target),
	                   prepared->types, prepared->type);
	flight_describe(mz, name);
	mz->flight.column_names = true;
	flight_close(mz, 'S', name);
	flight_send(mz, FLIGHT_FLUSH, target_described);
	return DIALECT_TAKEN;
}

/* A Parse as a statement of ours, or what it replaces; NULL: not well formed. */
static Prepared *
read_parse(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	const char *name;
	const char *text;
	Prepared *prepared = calloc(1, sizeof(Prepared));
	Arena arena = {0};

	if (prepared == NULL)
		abort();
	wire_read(&reader, message);
	name = wire_read_string(&reader);
	text = wire_read_string(&reader);
	if (!reader.failed)
	{
		prepared->name = arena_copy(&arena, name, strlen(name));
		prepared->text = arena_copy(&arena, text, strlen(text));
		parse_one(mz, &arena, prepared->text, &prepared->statement);
		prepared->types = wire_read_int16(&reader);
		prepared->type = arena_alloc(&arena, ((size_t) prepared->types + 1) * sizeof(uint32_t));
		for (int i = 0; i < prepared->types; i++)
			prepared->type[i] = wire_read_int32(&reader);
	}
	prepared->arena = arena;
	prepared->uses = 1;
	if (!reader.failed)
		return prepared;
	prepared_release(prepared);
	return NULL;
}

/* A message that is too large is not sent to the backend, where it would meet a stand-in. */
static void
too_large(Materialize *mz)
{
	task_raise(mz, "54000", "the parameters of this statement, or its names, are too long",
	           arena_printf(&mz->memory, "They may have %d bytes.", SESSION_SCAN_MAX));
}

/* A large statement wants a name that one of ours has. */
static void
name_in_use(Materialize *mz)
{
	task_raise(mz, "42P05", "a prepared statement of this name already exists",
	           "Close it in the protocol; DEALLOCATE is not enough before so large a statement.");
}

/* A large Parse under a name that is ours. */
static DialectAnswer
take_large_parse(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	const char *name;

	wire_read(&reader, message);
	name = wire_read_string(&reader);
	if (name[0] == '\0')
	{
		prepared_forget(mz, name);
		return DIALECT_PASS;
	}
	task_execute(mz, false, name_in_use);
	return DIALECT_TAKEN;
}

/* Parse. */
static DialectAnswer
take_parse(Materialize *mz, const WireMessage *message)
{
	Prepared *prepared;
	const MzStatement *statement;
	const Cursor *cursor;
	const MzColumns none = {0};

	if (message->missing > 0)
		return take_large_parse(mz, message);
	prepared = read_parse(mz, message);
	if (prepared == NULL)
		return DIALECT_PASS;
	commit_parsed(mz, prepared->name, prepared->text);
	mz->parsing = prepared;
	/* the unnamed statement is gone, whatever becomes of this one */
	if (prepared->name[0] == '\0')
		prepared_forget(mz, prepared->name);
	statement = &prepared->statement;
	switch (statement->kind)
	{
		case MZ_OTHER:
			return send_parse(mz, prepared->text);
		case MZ_REWRITTEN:
			return send_parse(mz, statement->rewritten);
		case MZ_SUBSCRIBE:
			if (statement->subscribe.key.count > 0 ||
			    has_parameter(statement->subscribe.target, session_standard_strings(mz->session)))
				return describe_target(mz);
			return send_parse(mz, mz_describe_sql(&mz->memory, &statement->subscribe, &none,
			                                      statement->subscribe.target));
		case MZ_FETCH:
			cursor = cursor_find(mz, statement->fetch.cursor);
			if (cursor != NULL)
				return send_parse(mz, mz_describe_sql(&mz->memory, &cursor->stream->subscribe,
				                                      &cursor->stream->columns, NULL));
			return send_parse(mz, "");
		default:
			/* of MZ_ERROR too: Execute raises it */
			return send_parse(mz, "");
	}
}

/* Bind: remember formats and parameters; the backend binds its own portal. */
static DialectAnswer
take_bind(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	const char *name;
	Prepared *prepared;
	Portal *portal;
	int formats;
	int16_t *format;

	wire_read(&reader, message);
	name = wire_read_string(&reader);
	prepared = prepared_find(mz, wire_read_string(&reader));
	/* only the unnamed portal may be replaced */
	if (prepared == NULL)
	{
		if (name[0] == '\0')
			portal_forget(mz, name);
		return DIALECT_PASS;
	}
	if (message->missing > 0 || strlen(name) > NAME_MAX_LENGTH)
	{
		mz->portal = "";
		task_execute(mz, false, too_large);
		return DIALECT_TAKEN;
	}
	if (name[0] != '\0' && portal_find(mz, name) != NULL)
		return DIALECT_PASS;
	portal_forget(mz, name);
	portal = calloc(1, sizeof(Portal));
	if (portal == NULL)
		abort();
	portal->name = arena_copy(&portal->arena, name, strlen(name));
	portal->prepared = prepared;
	prepared->uses++;
	portal->next = mz->portals;
	mz->portals = portal;

	formats = wire_read_int16(&reader);
	format = arena_alloc(&portal->arena, ((size_t) formats + 1) * sizeof(int16_t));
	for (int i = 0; i < formats; i++)
		format[i] = (int16_t) wire_read_int16(&reader);
	portal->values = wire_read_int16(&reader);
	portal->value = arena_alloc(&portal->arena, ((size_t) portal->values + 1) * sizeof(char *));
	for (int i = 0; i < portal->values; i++)
	{
		uint32_t length = wire_read_int32(&reader);
		const char *bytes = length == UINT32_MAX ? NULL : wire_read_bytes(&reader, length);
		bool binary = formats == 1 ? format[0] == 1 : (i < formats && format[i] == 1);

		if (reader.failed)
			break;
		portal->value[i] = parameter_literal(
		    &portal->arena, i < prepared->types ? prepared->type[i] : 0, binary, bytes, length);
	}
	portal->formats = wire_read_int16(&reader);
	portal->format = arena_alloc(&portal->arena, ((size_t) portal->formats + 1) * sizeof(int16_t));
	for (int i = 0; i < portal->formats; i++)
		portal->format[i] = (int16_t) wire_read_int16(&reader);
	if (reader.failed)
		portal_forget(mz, portal->name);
	return DIALECT_PASS;
}

/* The portal that is being executed. */
static Portal *
executed(Materialize *mz)
{
	return portal_find(mz, mz->portal);
}

/* The subscription of an ended portal is cleared away. */
static void
portal_cleared(Materialize *mz)
{
	task_done(mz, arena_printf(&mz->memory, "SUBSCRIBE %" PRIu64, mz->run.rows));
}

/* A SUBSCRIBE's portal has given what was asked for, or has ended. */
static void
portal_over(Materialize *mz)
{
	Portal *portal = executed(mz);
	Stream *stream = mz->run.stream;

	if (!stream->finished || stream->portal_open)
	{
		task_send(mz, 's', "", 0);
		task_done(mz, NULL);
		return;
	}
	portal->stream = NULL;
	portal->finished = true;
	stream_drop(mz, stream, portal_cleared);
}

/* A SUBSCRIBE's subscription is made. */
static void
portal_opened(Materialize *mz)
{
	executed(mz)->stream = mz->run.stream;
	stream_run(mz);
}

/* Execute, with everything before it settled. */
static void
execute(Materialize *mz)
{
	Portal *portal = executed(mz);
	const MzStatement *statement = &portal->prepared->statement;
	MzSubscribe subscribe = statement->subscribe;

	mz->statement = *statement;
	if (statement->kind == MZ_FETCH)
	{
		cursor_fetch(mz, &statement->fetch, false, portal->formats, portal->format);
		return;
	}
	if (statement->kind == MZ_SUBSCRIBE || statement->kind == MZ_COPY ||
	    statement->kind == MZ_DECLARE)
	{
		const char **texts[] = {&subscribe.target, &subscribe.as_of, &subscribe.up_to};

		for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		{
			const char *text =
			    parameter_replace(&mz->memory, *texts[i], session_standard_strings(mz->session),
			                      portal->value, portal->values);

			if (text == NULL && *texts[i] != NULL)
			{
				task_raise(mz, "0A000", "this parameter of SUBSCRIBE cannot be taken in binary",
				           "Send it as text, or as bigint, integer, smallint, boolean or text.");
				return;
			}
			*texts[i] = text;
		}
		mz->statement.subscribe = subscribe;
	}
	if (statement->kind != MZ_SUBSCRIBE)
	{
		task_statement(mz, &mz->statement);
		return;
	}

	if (portal->finished)
	{
		task_done(mz, "SUBSCRIBE 0");
		return;
	}
	mz->run = (Run){.mode = RUN_SUBSCRIBE,
	                .stream = portal->stream,
	                .limit = mz->row_limit > 0 ? (int64_t) mz->row_limit : -1,
	                .formats = portal->formats,
	                .format = portal->format,
	                .done = portal_over};
	if (portal->stream != NULL)
		stream_run(mz);
	else
		stream_open(mz, stream_create(mz, &subscribe, NULL), portal_opened);
}

/* Execute. */
static DialectAnswer
take_execute(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	const char *name;
	Portal *portal;

	wire_read(&reader, message);
	name = wire_read_string(&reader);
	mz->row_limit = wire_read_int32(&reader);
	if (reader.failed || mz->row_limit > INT32_MAX)
		mz->row_limit = 0;
	portal = portal_find(mz, name);
	mz->portal = arena_copy(&mz->memory, name, strlen(name));
	task_execute(mz, portal->stream != NULL && portal->stream->portal_open, execute);
	return DIALECT_TAKEN;
}

/* Describe of a cursor was answered. */
static void
cursor_described(Materialize *mz)
{
	answered(mz);
}

/* The portal's subscription is gone. */
static void
portal_closed(Materialize *mz)
{
	task_send(mz, '3', "", 0);
	task_done(mz, NULL);
}

/*
 * Does the client close the portal from which it waits for so many rows? Only a
 * portal with a name, for the unnamed one is closed by clients that tidy up in
 * the flight of their Execute, and want its rows.
 */
bool
extended_is_leaving(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	const Portal *portal;

	if (message->type != 'C' || mz->task != TASK_EXECUTE || mz->begin != execute ||
	    mz->row_limit == 0 || mz->portal[0] == '\0')
		return false;
	portal = executed(mz);
	if (portal == NULL || portal->prepared->statement.kind != MZ_SUBSCRIBE)
		return false;
	wire_read(&reader, message);
	return wire_read_byte(&reader) == 'P' && strcmp(wire_read_string(&reader), mz->portal) == 0;
}

/* Close of a portal with a subscription. */
static void
close_portal(Materialize *mz)
{
	Portal *portal = executed(mz);
	Stream *stream = portal->stream;

	portal->stream = NULL;
	portal_forget(mz, mz->portal);
	stream_drop(mz, stream, portal_closed);
}

/* The client's Sync was answered: outside a block its portals end. */
static void
synced(Materialize *mz)
{
	Portal *portal = portal_with_stream(mz);

	if (mz->status == 'I' && portal != NULL)
	{
		Stream *stream = portal->stream;

		portal->stream = NULL;
		stream_drop(mz, stream, synced);
		return;
	}
	if (mz->status == 'I')
		extended_block_ended(mz);
	session_ready_for_query(mz->session);
	commit_ready(mz, mz->status);
	task_done(mz, NULL);
}

/* A message that extended_wants wanted. */
DialectAnswer
extended_message(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	const char *name;
	char kind;

	wire_read(&reader, message);
	switch (message->type)
	{
		case 'P':
			return take_parse(mz, message);
		case 'B':
			return take_bind(mz, message);
		case 'E':
			return take_execute(mz, message);
		case 'D':
			wire_read_byte(&reader);
			name = wire_read_string(&reader);
			flight_begin(mz);
			flight_describe(mz, cursor_find(mz, name)->stream->statement);
			mz->flight.show_columns = true;
			flight_close(mz, 'S', "freshet none");
			flight_send(mz, FLIGHT_FLUSH, cursor_described);
			return DIALECT_TAKEN;
		case 'C':
			kind = (char) wire_read_byte(&reader);
			name = wire_read_string(&reader);
			if (kind == 'S')
				prepared_forget(mz, name);
			else if (portal_find(mz, name)->stream != NULL)
			{
				mz->portal = arena_copy(&mz->memory, name, strlen(name));
				task_execute(mz, false, close_portal);
				return DIALECT_TAKEN;
			}
			else
				portal_forget(mz, name);
			return DIALECT_PASS;
		case 'S':
			mz->portal = "";
			task_execute(mz, false, synced);
			return DIALECT_TAKEN;
		default:
			return DIALECT_PASS;
	}
}
