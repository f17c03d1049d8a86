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
 *	- A Prepared or Portal here is what is known of one of the backend of the same name.
 *	  That may be gone, or be another (DEALLOCATE, PREPARE, CLOSE, an error): the text
 *	  sent in a SUBSCRIBE's place bears a mark, and before a portal is executed the
 *	  backend is asked whether it is one with that mark. If not, Execute passes.
 *	- What is known of a portal changes with the backend's answer to its Bind.
 *	- A portal lives no longer than its transaction: outside a block, until Sync.
 *	- What was read or described of a statement is in the statement's own arena.
 *	- Parameters are put into the text when the portal is executed (parameter.c).
 *	- Whoever runs what stands for a statement of ours, by SQL's EXECUTE say, gets an error.
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
	char *mark;
	MzStatement statement;
	int types;
	uint32_t *type; /* as Parse gave them, or as PostgreSQL found them */
	int loose_count;
	bool *loose; /* its type was chosen here: as text any value will do */
	Described described;
};

struct Portal
{
	Portal *next;
	Arena arena;
	char *name;
	Prepared *prepared;
	Bind bind; /* as the client sent it */
	int formats;
	int16_t *format;
	int values;
	Bind arguments; /* formats and values, as the client sent them */
	bool *is_text;
	char **value; /* literals; NULL: PostgreSQL was not asked for them yet */
	Stream *stream;
	bool finished;
};

/* Of PostgreSQL's pg_type. */
#define TYPE_TEXT 25
#define TYPE_INTERVAL 1186
#define TYPE_NUMERIC 1700

static void execute(Materialize *mz);

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

/* Free a statement that is on no list. */
void
extended_prepared_free(Prepared *prepared)
{
	prepared_release(prepared);
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

/* Free a portal that is on no list. */
static void
portal_free(Materialize *mz, Portal *portal)
{
	Arena arena = portal->arena;

	stream_free(mz, portal->stream);
	prepared_release(portal->prepared);
	free(portal);
	arena_reset(&arena);
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
			*link = portal->next;
			portal_free(mz, portal);
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
	if (mz->binding != NULL)
		portal_free(mz, mz->binding);
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
	statement->at = mz_characters(text, (size_t) (slice.start - text)) + 1;
	(void) reading_statement_is_ours(mz, arena, statement, false);
}

/* A parameter that is all of a text, and of which the client does not say the type, has this one. */
static void
declare_parameter(Arena *arena, Prepared *prepared, const char *text, uint32_t type)
{
	int number = parameter_alone(text);

	if (number == 0 || (number <= prepared->types && prepared->type[number - 1] != 0))
		return;
	if (number > prepared->types)
	{
		uint32_t *grown = arena_alloc(arena, (size_t) number * sizeof(uint32_t));

		memset(grown, 0, (size_t) number * sizeof(uint32_t));
		memcpy(grown, prepared->type, (size_t) prepared->types * sizeof(uint32_t));
		prepared->type = grown;
		prepared->types = number;
	}
	if (number > prepared->loose_count)
	{
		bool *grown = arena_alloc(arena, (size_t) number * sizeof(bool));

		memset(grown, 0, (size_t) number * sizeof(bool));
		if (prepared->loose_count > 0)
			memcpy(grown, prepared->loose, (size_t) prepared->loose_count * sizeof(bool));
		prepared->loose = grown;
		prepared->loose_count = number;
	}
	prepared->type[number - 1] = type;
	prepared->loose[number - 1] = true;
}

/* A Parse of which only the beginning is there: it is refused, if it is ours; else NULL. */
static Prepared *
read_large_parse(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	const char *name;
	Prepared *prepared;
	Arena arena = {0};

	wire_read(&reader, message);
	name = wire_read_string(&reader);
	if (reader.failed || strlen(name) > NAME_MAX_LENGTH)
		return NULL;
	if (!reading_is_ours(mz, &arena, reader.at, (size_t) (reader.end - reader.at)))
	{
		arena_reset(&arena);
		return NULL;
	}
	prepared = calloc(1, sizeof(Prepared));
	if (prepared == NULL)
		abort();
	prepared->name = arena_copy(&arena, name, strlen(name));
	prepared->text = "";
	mz_too_long(&prepared->statement);
	prepared->arena = arena;
	prepared->uses = 1;
	return prepared;
}

/* A Parse as a statement of ours, or what it replaces; NULL: neither, or not well formed. */
static Prepared *
read_parse(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	const char *name;
	const char *text;
	Prepared *prepared;
	Arena arena = {0};

	wire_read(&reader, message);
	name = wire_read_string(&reader);
	text = wire_read_string(&reader);
	if (reader.failed || strlen(name) > NAME_MAX_LENGTH ||
	    (!mz_concerned(text, strlen(text)) && prepared_find(mz, name) == NULL))
		return NULL;
	prepared = calloc(1, sizeof(Prepared));
	if (prepared == NULL)
		abort();
	prepared->name = arena_copy(&arena, name, strlen(name));
	prepared->text = arena_copy(&arena, text, strlen(text));
	parse_one(mz, &arena, prepared->text, &prepared->statement);
	prepared->types = wire_read_int16(&reader);
	prepared->type = arena_alloc(&arena, ((size_t) prepared->types + 1) * sizeof(uint32_t));
	for (int i = 0; i < prepared->types; i++)
		prepared->type[i] = wire_read_int32(&reader);
	declare_parameter(&arena, prepared, prepared->statement.subscribe.as_of, TYPE_NUMERIC);
	declare_parameter(&arena, prepared, prepared->statement.subscribe.up_to, TYPE_NUMERIC);
	declare_parameter(&arena, prepared, prepared->statement.fetch.timeout, TYPE_INTERVAL);
	prepared->arena = arena;
	prepared->uses = 1;
	if (!reader.failed && (prepared->statement.kind != MZ_OTHER || prepared_find(mz, name) != NULL))
		return prepared;
	prepared_release(prepared);
	return NULL;
}

/* The cursor over a subscription that is described, or of which a FETCH is; or NULL. */
static const Cursor *
described_cursor(Materialize *mz, char kind, const char *name)
{
	const Portal *portal = kind == 'P' ? portal_find(mz, name) : NULL;
	const Prepared *prepared =
	    kind == 'P' ? (portal != NULL ? portal->prepared : NULL) : prepared_find(mz, name);

	if (prepared != NULL && prepared->statement.kind == MZ_FETCH)
		return cursor_find(mz, prepared->statement.fetch.cursor);
	return kind == 'P' ? cursor_find(mz, name) : NULL;
}

/* Does a message that is no Parse name something of ours? */
static bool
names_ours(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	const char *name;
	const char *second;
	char kind;

	wire_read(&reader, message);
	switch (message->type)
	{
		case 'B':
			name = wire_read_string(&reader);
			second = wire_read_string(&reader);
			return !reader.failed &&
			       (prepared_find(mz, second) != NULL || portal_find(mz, name) != NULL);
		case 'E':
			name = wire_read_string(&reader);
			return !reader.failed && portal_find(mz, name) != NULL;
		case 'D':
			kind = (char) wire_read_byte(&reader);
			name = wire_read_string(&reader);
			return !reader.failed && described_cursor(mz, kind, name) != NULL;
		case 'C':
			kind = (char) wire_read_byte(&reader);
			name = wire_read_string(&reader);
			if (reader.failed)
				return false;
			return kind == 'S' ? prepared_find(mz, name) != NULL : portal_find(mz, name) != NULL;
		case 'S':
			return mz->commit.pending || portal_with_stream(mz) != NULL;
		default:
			return false;
	}
}

/* What a message of the extended protocol means; NULL: it passes. */
MzReading *
extended_read(Materialize *mz, const WireMessage *message)
{
	Prepared *prepared = NULL;
	MzReading *reading;

	if (message->type == 'P')
		prepared = message->missing > 0 ? read_large_parse(mz, message) : read_parse(mz, message);
	if (prepared == NULL && !names_ours(mz, message))
		return NULL;
	reading = calloc(1, sizeof(MzReading));
	if (reading == NULL)
		abort();
	reading->prepared = prepared;
	return reading;
}

/* Does a SUBSCRIBE have parameters? */
static bool
has_parameter(Materialize *mz, const MzSubscribe *subscribe)
{
	bool standard_strings = session_standard_strings(mz->session);

	return parameter_in(subscribe->target, standard_strings) ||
	       parameter_in(subscribe->as_of, standard_strings) ||
	       parameter_in(subscribe->up_to, standard_strings);
}

/* Let go of control; the backend's answers are the client's. */
static DialectAnswer
answered(Materialize *mz)
{
	mz->task = TASK_NONE;
	mz->cancelled = false;
	mz->run = (Run){0};
	session_timer(mz->session, 0);
	arena_reset(&mz->memory);
	task_watch(mz);
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
	}
	answered(mz);
}

/*
 * Send a Parse under the client's name. The statement is ours from its success
 * on: were it ours after a failure, another of that name would be taken for it.
 */
static void
send_parse(Materialize *mz, const char *sql)
{
	Prepared *prepared = mz->parsing;

	flight_parse_typed(mz, prepared->name, sql, prepared->types, prepared->type, ANSWER_CLIENT);
	flight_send(mz, FLIGHT_FLUSH, parsed);
}

/* Send one that stands for the statement. */
static void
send_stand_in(Materialize *mz, const char *sql)
{
	Prepared *prepared = mz->parsing;

	prepared->mark = arena_printf(&prepared->arena, "/* freshet %" PRIu32 " */", ++mz->serial);
	send_parse(mz, arena_printf(&mz->flight.memory, "%s %s", sql, prepared->mark));
}

/* Send a query with a SUBSCRIBE's columns; of them are known those that were described. */
static void
send_subscribe(Materialize *mz)
{
	Prepared *prepared = mz->parsing;
	const MzSubscribe *subscribe = &prepared->statement.subscribe;
	const char *sql = mz_describe_sql(
	    &mz->flight.memory, subscribe, &prepared->described.columns,
	    moment_clause(&mz->flight.memory, subscribe, session_standard_strings(mz->session)));
	const char *from =
	    strstr(sql, arena_printf(&mz->flight.memory, " FROM %s q", subscribe->target));

	if (from != NULL)
		flight_place(mz, sql, (size_t) (from - sql) + strlen(" FROM "), subscribe->target,
		             subscribe->position);
	send_stand_in(mz, sql);
}

/* Send what stands for a statement without rows. */
static void
send_rowless(Materialize *mz)
{
	send_stand_in(
	    mz, task_raise_sql(mz, "0A000", "this statement is run by the protocol's Execute alone"));
}

/* The target's columns and the types of parameters are known now. */
static void
target_described(Materialize *mz)
{
	Prepared *prepared = mz->parsing;
	const MzSubscribe *subscribe = &prepared->statement.subscribe;
	Described *described = &prepared->described;
	const char *missing;

	if (mz->flight.failed)
	{
		mz->parsing = NULL;
		prepared_release(prepared);
		answered(mz);
		return;
	}
	if (described->parameter_count >= (uint32_t) prepared->types)
	{
		prepared->type = described->parameters;
		prepared->types = (int) described->parameter_count;
	}
	if (subscribe->key.count == 0)
		described->columns.count = 0;
	missing = mz_envelope_missing(subscribe, &described->columns);
	flight_begin(mz);
	if (prepared->statement.kind != MZ_SUBSCRIBE)
		send_rowless(mz);
	else if (missing == NULL)
		send_subscribe(mz);
	else
	{
		/* let PostgreSQL say that there is no such column */
		Text sql;

		text_init(&sql, &mz->flight.memory);
		text_append(&sql, "SELECT q.");
		text_identifier(&sql, missing);
		text_printf(&sql, " FROM %s q", subscribe->target);
		send_stand_in(mz, sql.data);
	}
}

/* Find out the columns and parameters of a SUBSCRIBE's target. */
static void
describe_target(Materialize *mz)
{
	static const char *const name = "freshet columns";
	static const char head[] = "SELECT * FROM ";
	Prepared *prepared = mz->parsing;
	const MzSubscribe *subscribe = &prepared->statement.subscribe;

	prepared->described.arena = &prepared->arena;
	mz->flight.described = &prepared->described;
	flight_place(mz, head, strlen(head), subscribe->target, subscribe->position);
	flight_close(mz, 'S', name);
	flight_parse_typed(mz, name,
	                   arena_printf(&mz->flight.memory, "%s%s q%s", head, subscribe->target,
	                                moment_clause(&mz->flight.memory, subscribe,
	                                              session_standard_strings(mz->session))),
	                   prepared->types, prepared->type, ANSWER_SILENT);
	flight_describe(mz, name, ANSWER_COLUMNS);
	flight_close(mz, 'S', name);
	flight_send(mz, FLIGHT_FLUSH, target_described);
}

/* Parse. */
static void
take_parse(Materialize *mz, Prepared *prepared)
{
	const MzStatement *statement = &prepared->statement;

	commit_parsed(mz, prepared->name, prepared->text);
	mz->parsing = prepared;
	/* the unnamed statement is gone, whatever becomes of this one */
	if (prepared->name[0] == '\0')
		prepared_forget(mz, prepared->name);
	flight_begin(mz);
	switch (statement->kind)
	{
		case MZ_OTHER:
			flight_place(mz, "", 0, prepared->text, 1);
			send_parse(mz, prepared->text);
			break;
		case MZ_REWRITTEN:
			task_notice_of(mz, statement);
			if (statement->in_place)
				flight_place(mz, "", 0, statement->rewritten, statement->at);
			send_parse(mz, statement->rewritten);
			break;
		case MZ_SUBSCRIBE:
			if (statement->subscribe.key.count > 0 || has_parameter(mz, &statement->subscribe))
				describe_target(mz);
			else
				send_subscribe(mz);
			break;
		case MZ_COPY:
		case MZ_DECLARE:
			if (has_parameter(mz, &statement->subscribe))
				describe_target(mz);
			else
				send_rowless(mz);
			break;
		case MZ_FETCH:
			/* its columns are those of the cursor's stand-in */
			send_stand_in(mz, statement->fetch.plain);
			break;
		default:
			/* of MZ_ERROR too: Execute raises it */
			send_rowless(mz);
			break;
	}
}

/* The portal's subscription is given up, in the client's own flight: then is called. */
static void
portal_leave(Materialize *mz, const char *name, void (*then)(Materialize *mz))
{
	Portal *portal = portal_find(mz, name);
	Stream *stream = portal != NULL ? portal->stream : NULL;

	if (portal != NULL)
		portal->stream = NULL;
	portal_forget(mz, name);
	if (stream != NULL)
		stream_drop(mz, stream, FLIGHT_FLUSH, then);
	else
		then(mz);
}

/* What the portal was before is given up. */
static void
portal_replaced(Materialize *mz)
{
	Portal *portal = mz->binding;

	mz->binding = NULL;
	portal->next = mz->portals;
	mz->portals = portal;
	answered(mz);
}

/* The client's Bind was answered: from its success on the portal is the one bound here. */
static void
bound(Materialize *mz)
{
	Portal *portal = mz->binding;

	if (!mz->flight.failed)
	{
		portal_leave(mz, portal->name, portal_replaced);
		return;
	}
	mz->binding = NULL;
	portal_free(mz, portal);
	answered(mz);
}

/* A Bind that is too large is not sent to the backend, where it would meet a stand-in. */
static void
too_large(Materialize *mz)
{
	task_raise(mz, "54000", "the parameters of this statement, or its names, are too long",
	           arena_printf(&mz->memory, "They may have %d bytes.", SESSION_SCAN_MAX));
}

/* Read a Bind's formats and parameters, behind the names; false: it is not well formed. */
static bool
read_bind(WireReader *reader, Portal *portal)
{
	const char *start = reader->at;
	int formats = wire_read_int16(reader);
	bool text = true;
	bool *is_text = arena_alloc(&portal->arena, ((size_t) formats + 1) * sizeof(bool));

	for (int i = 0; i < formats; i++)
		is_text[i] = text = wire_read_int16(reader) == 0;
	portal->values = wire_read_int16(reader);
	portal->is_text = arena_alloc(&portal->arena, ((size_t) portal->values + 1) * sizeof(bool));
	for (int i = 0; i < portal->values && !reader->failed; i++)
	{
		uint32_t length = wire_read_int32(reader);

		if (length != UINT32_MAX)
			wire_read_bytes(reader, length);
		/* one format is that of all, none means text */
		portal->is_text[i] = formats <= 1 ? text : (i < formats && is_text[i]);
	}
	if (reader->failed)
		return false;
	portal->arguments = (Bind){start, (size_t) (reader->at - start)};
	portal->formats = wire_read_int16(reader);
	portal->format = arena_alloc(&portal->arena, ((size_t) portal->formats + 1) * sizeof(int16_t));
	for (int i = 0; i < portal->formats; i++)
		portal->format[i] = (int16_t) wire_read_int16(reader);
	return !reader->failed;
}

/* Is the parameter's value a text of any type? */
static bool
is_loose(const Portal *portal, int i)
{
	return i < portal->prepared->loose_count && portal->prepared->loose[i] && portal->is_text[i];
}

/* Let the Bind that the backend gets have NULL where it would not take the value. */
static void
leave_out_loose(Portal *portal)
{
	size_t before = (size_t) (portal->arguments.body - portal->bind.body);
	const char *end = portal->bind.body + portal->bind.length;
	WireReader reader = {.at = portal->arguments.body, .end = end};
	Buffer out = {0};
	bool any = false;
	int formats = wire_read_int16(&reader);

	wire_read_bytes(&reader, 2 * (size_t) formats + 2);
	wire_add_bytes(&out, portal->bind.body, before + 2 * (size_t) formats + 4);
	for (int i = 0; i < portal->values; i++)
	{
		const char *start = reader.at;
		uint32_t length = wire_read_int32(&reader);

		if (length != UINT32_MAX)
			wire_read_bytes(&reader, length);
		if (is_loose(portal, i))
			wire_add_int32(&out, UINT32_MAX);
		else
			wire_add_bytes(&out, start, (size_t) (reader.at - start));
		any |= is_loose(portal, i);
	}
	wire_add_bytes(&out, reader.at, (size_t) (end - reader.at));
	if (any)
		portal->bind =
		    (Bind){arena_copy(&portal->arena, buffer_data(&out), out.length), out.length};
	buffer_free(&out);
}

/* Answered, with nothing left to clear away. */
static void
replaced(Materialize *mz)
{
	answered(mz);
}

/* A Bind of PostgreSQL's own was answered: from its success on the portal is no more ours. */
static void
foreign_bound(Materialize *mz)
{
	if (mz->flight.failed)
		answered(mz);
	else
		portal_leave(mz, mz->portal, replaced);
}

/*
 * Bind of a statement of PostgreSQL's to the name of a portal of ours. Were it not known that
 * the portal is another one now, PostgreSQL would be asked at Execute; and a statement that
 * has to be the first of its pipeline would not be.
 */
static DialectAnswer
take_foreign_bind(Materialize *mz, const WireMessage *message, const char *portal)
{
	if (message->missing > 0 || session_transaction(mz->session) == 'E')
		return DIALECT_PASS;
	commit_passes(mz, message, false);
	mz->portal = arena_copy(&mz->memory, portal, strlen(portal));
	flight_begin(mz);
	flight_bind_of_client(mz, message->body, message->length, ANSWER_CLIENT);
	flight_send(mz, FLIGHT_FLUSH, foreign_bound);
	return DIALECT_TAKEN;
}

/* Bind: remember formats and parameters; the backend binds its own portal. */
static DialectAnswer
take_bind(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	const char *name;
	Portal *portal;

	WireMessage copy = *message;

	wire_read(&reader, message);
	name = wire_read_string(&reader);
	if (prepared_find(mz, wire_read_string(&reader)) == NULL)
		return take_foreign_bind(mz, message, name);
	if (message->missing > 0 || strlen(name) > NAME_MAX_LENGTH)
	{
		mz->portal = "";
		task_execute(mz, false, too_large);
		return DIALECT_TAKEN;
	}
	portal = calloc(1, sizeof(Portal));
	if (portal == NULL)
		abort();
	copy.body = arena_copy(&portal->arena, message->body, message->length);
	portal->bind = (Bind){copy.body, copy.length};
	wire_read(&reader, &copy);
	portal->name = arena_copy(&portal->arena, name, strlen(name));
	(void) wire_read_string(&reader);
	portal->prepared = prepared_find(mz, wire_read_string(&reader));
	portal->prepared->uses++;
	if (!read_bind(&reader, portal))
	{
		portal_free(mz, portal);
		return DIALECT_PASS;
	}
	commit_passes(mz, message, false);
	leave_out_loose(portal);
	mz->binding = portal;
	flight_begin(mz);
	flight_bind_of_client(mz, portal->bind.body, portal->bind.length, ANSWER_CLIENT);
	flight_send(mz, FLIGHT_FLUSH, bound);
	return DIALECT_TAKEN;
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
	stream_drop(mz, stream, FLIGHT_SYNC, portal_cleared);
}

/* A SUBSCRIBE's subscription is made. */
static void
portal_opened(Materialize *mz)
{
	executed(mz)->stream = mz->run.stream;
	stream_run(mz);
}

/* PostgreSQL has written the parameters as literals. */
static void
values_known(Materialize *mz)
{
	Portal *portal = executed(mz);
	char **value = arena_alloc(&portal->arena, (size_t) portal->values * sizeof(char *));

	if (mz->flight.failed)
		task_failed(mz);
	else if (mz->flight.values[0] == NULL ||
	         !parameter_cut(&portal->arena, mz->flight.values[0], value, portal->values))
		task_raise(mz, "XX000", "the parameters could not be read", NULL);
	else
	{
		portal->value = value;
		execute(mz);
	}
}

/* Ask PostgreSQL for the portal's parameters as literals. */
static void
ask_values(Materialize *mz, const Portal *portal)
{
	static const char names[] = "freshet once\0freshet once";
	const Prepared *prepared = portal->prepared;
	uint32_t *type;
	Buffer bind = {0};

	flight_begin(mz);
	type = arena_alloc(&mz->flight.memory, (size_t) portal->values * sizeof(uint32_t));
	for (int i = 0; i < portal->values; i++)
		type[i] = i < prepared->types && !is_loose(portal, i) ? prepared->type[i] : TYPE_TEXT;
	flight_close(mz, 'P', "freshet once");
	flight_close(mz, 'S', "freshet once");
	flight_parse_typed(mz, "freshet once",
	                   parameter_query(&mz->flight.memory, portal->values, type), portal->values,
	                   type, ANSWER_SILENT);
	wire_add_bytes(&bind, names, sizeof(names));
	wire_add_bytes(&bind, portal->arguments.body, portal->arguments.length);
	wire_add_int16(&bind, 0);
	flight_bind_of_client(mz, buffer_data(&bind), bind.length, ANSWER_SILENT);
	buffer_free(&bind);
	flight_execute(mz, "freshet once", 0, ANSWER_VALUES);
	flight_close(mz, 'P', "freshet once");
	flight_close(mz, 'S', "freshet once");
	flight_send(mz, FLIGHT_SYNC, values_known);
}

/* Put the portal's parameters into the statement; false: it has one more. */
static bool
put_values(Materialize *mz, const Portal *portal)
{
	MzSubscribe *subscribe = &mz->statement.subscribe;
	const char **texts[] = {&subscribe->target, &subscribe->as_of, &subscribe->up_to,
	                        &mz->statement.fetch.timeout};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		const char *text =
		    parameter_replace(&mz->memory, *texts[i], session_standard_strings(mz->session),
		                      portal->value, portal->values);

		if (text == NULL && *texts[i] != NULL)
			return false;
		*texts[i] = text;
	}
	return true;
}

/* Execute, with everything before it settled. */
static void
execute(Materialize *mz)
{
	Portal *portal = executed(mz);
	const MzStatement *statement = &portal->prepared->statement;

	if (portal->values > 0 && portal->value == NULL)
	{
		ask_values(mz, portal);
		return;
	}
	mz->statement = *statement;
	if (!put_values(mz, portal))
	{
		task_raise(mz, "42P02", "the statement has more parameters than were bound", NULL);
		return;
	}
	if (statement->kind == MZ_FETCH)
	{
		cursor_fetch(mz, &mz->statement.fetch, false, portal->formats, portal->format);
		return;
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
	                .stand_in = portal->bind,
	                .done = portal_over};
	if (portal->stream != NULL)
		stream_run(mz);
	else
		stream_open(mz, stream_create(mz, &mz->statement.subscribe), portal_opened);
}

/* The client's Execute as it was goes to the backend, and so do its answers to the client. */
void
extended_pass(Materialize *mz)
{
	flight_begin(mz);
	flight_execute(mz, mz->portal, mz->row_limit, ANSWER_CLIENT);
	session_to_backend(mz->session, buffer_data(&mz->flight.out), mz->flight.out.length);
	answered(mz);
}

/* The backend has said whether the portal is a stand-in of ours. */
static void
portal_looked(Materialize *mz)
{
	const Portal *portal = executed(mz);

	if (mz->flight.failed)
		answered(mz);
	else if (!flight_true(mz, 0))
		portal_leave(mz, mz->portal, extended_pass);
	else
		task_execute(mz, portal->stream != NULL && portal->stream->portal_open, execute);
}

/* Execute. */
static void
take_execute(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	const char *name;

	wire_read(&reader, message);
	name = wire_read_string(&reader);
	mz->row_limit = wire_read_int32(&reader);
	if (reader.failed || mz->row_limit > INT32_MAX)
		mz->row_limit = 0;
	mz->portal = arena_copy(&mz->memory, name, strlen(name));
	mz->task = TASK_EXECUTE;
	mz->begin = execute;
	flight_forget_prepared(mz);
	flight_begin(mz);
	flight_call(mz, CALL_STANDS, name, executed(mz)->prepared->mark, ANSWER_VALUES);
	flight_send(mz, FLIGHT_FLUSH, portal_looked);
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
	stream_drop(mz, stream, FLIGHT_SYNC, portal_closed);
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
		stream_drop(mz, stream, FLIGHT_SYNC, synced);
		return;
	}
	if (mz->status == 'I')
		extended_block_ended(mz);
	session_ready_for_query(mz->session);
	commit_ready(mz, mz->status);
	task_done(mz, NULL);
}

/* The client's Describe is answered. */
static void
described(Materialize *mz)
{
	answered(mz);
}

/* Describe of a cursor over a subscription, or of a FETCH of it. */
static void
take_describe(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	const char *name;
	char kind;

	wire_read(&reader, message);
	kind = (char) wire_read_byte(&reader);
	name = wire_read_string(&reader);
	flight_begin(mz);
	cursor_prepare(mz, described_cursor(mz, kind, name));
	flight_describe_of_client(mz, kind, name);
	flight_send(mz, FLIGHT_FLUSH, described);
}

/* Close of a statement or portal of ours. */
static DialectAnswer
take_close(Materialize *mz, const WireMessage *message)
{
	WireReader reader;
	const Portal *portal;
	const char *name;
	char kind;

	wire_read(&reader, message);
	kind = (char) wire_read_byte(&reader);
	name = wire_read_string(&reader);
	portal = kind == 'P' ? portal_find(mz, name) : NULL;
	if (portal != NULL && portal->stream != NULL)
	{
		mz->portal = arena_copy(&mz->memory, name, strlen(name));
		task_execute(mz, false, close_portal);
		return DIALECT_TAKEN;
	}
	if (kind == 'S')
		prepared_forget(mz, name);
	else
		portal_forget(mz, name);
	return DIALECT_PASS;
}

/* A message that was read and found to be ours, with everything before it answered. */
DialectAnswer
extended_message(Materialize *mz, const WireMessage *message, MzReading *reading)
{
	Prepared *prepared = reading->prepared;

	reading->prepared = NULL;
	reading_free(reading);
	/* what came before may have ended what it names */
	if (prepared == NULL && !names_ours(mz, message))
		return DIALECT_PASS;
	switch (message->type)
	{
		case 'P':
			take_parse(mz, prepared);
			return DIALECT_TAKEN;
		case 'B':
			return take_bind(mz, message);
		case 'E':
			/* a failed block can be asked nothing, and refuses by itself what does not end it */
			if (session_transaction(mz->session) == 'E')
				return DIALECT_PASS;
			take_execute(mz, message);
			return DIALECT_TAKEN;
		case 'D':
			if (session_transaction(mz->session) == 'E')
				return DIALECT_PASS;
			take_describe(mz, message);
			return DIALECT_TAKEN;
		case 'C':
			return take_close(mz, message);
		default:
			mz->portal = "";
			task_execute(mz, false, synced);
			return DIALECT_TAKEN;
	}
}
