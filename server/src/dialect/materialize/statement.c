/*-------------------------------------------------------------------------
 *
 * statement.c
 *	  Reads SUBSCRIBE, the cursor statements and COPY (SUBSCRIBE …), and drops
 *	  the clauses of Materialize that mean nothing on one machine.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/statement.h"

#include <stdlib.h>
#include <string.h>

#include "session/scan.h"

/*
 * A quick look without reading the text: most of what passes has none of
 * these words in it.
 */
bool
mz_concerned(const char *text, size_t length)
{
	static const char *const words[] = {"FETCH", "CLOSE", MZ_WORDS, MZ_HEAD_WORDS, NULL};

	return scan_has_word(text, length, words);
}

/* BEGIN or START TRANSACTION. */
bool
mz_accept_begin(SqlLexer *lexer)
{
	return sql_accept(lexer, "begin") || sql_accept_two(lexer, "start", "transaction");
}

/* DECLARE and SUBSCRIBE in one text: a FETCH in it may be of that cursor. */
bool
mz_declares(const char *text, size_t length)
{
	return sql_mentions(text, length, "declare") &&
	       (sql_mentions(text, length, "subscribe") || sql_mentions(text, length, "tail"));
}

/* Make the statement an error. */
void
mz_error(MzStatement *statement, const char *sqlstate, const char *message)
{
	statement->kind = MZ_ERROR;
	statement->sqlstate = sqlstate;
	statement->error = message;
	statement->position = 0;
}

/* Make the statement an error because it is longer than what is kept of a message. */
void
mz_too_long(MzStatement *statement)
{
	mz_error(statement, "54000", "a statement of Materialize's is too long");
	statement->hint = "With all that is sent together with it, it may have a megabyte.";
}

/* Make the statement PostgreSQL's syntax error at a token. */
void
mz_syntax_error(Arena *arena, MzStatement *statement, SqlToken token)
{
	if (token.kind == SQL_END)
		mz_error(statement, "42601", "syntax error at end of input");
	else
		mz_error(statement, "42601",
		         arena_printf(arena, "syntax error at or near \"%.*s\"", (int) token.length,
		                      token.start));
	if (token.start != NULL && token.start >= statement->text.start)
		statement->position = (size_t) (token.start - statement->text.start) + 1;
}

/* Add a name. */
void
mz_add_name(Arena *arena, MzNames *names, char *name)
{
	/* at a power of two the room is used up */
	if ((names->count & (names->count - 1)) == 0)
	{
		size_t room = names->count == 0 ? 1 : 2 * (size_t) names->count;
		char **grown = arena_alloc(arena, room * sizeof(char *));

		if (names->count > 0)
			memcpy(grown, names->names, (size_t) names->count * sizeof(char *));
		names->names = grown;
	}
	names->names[names->count++] = name;
}

/* Read a name of at most three parts; the first of three is a database's, kept with the statement. */
bool
mz_qualified(Arena *arena, SqlLexer *lexer, MzStatement *statement, char **schema, char **name)
{
	SqlToken token = sql_peek(lexer);
	char *database = NULL;

	*schema = NULL;
	*name = NULL;
	for (int part = 0; part < 3; part++)
	{
		if (!sql_is_name(token))
			return false;
		sql_next(lexer);
		database = *schema;
		*schema = *name;
		*name = sql_name(arena, token);
		if (!sql_accept(lexer, "."))
		{
			if (database != NULL)
				mz_add_name(arena, &statement->databases, database);
			return true;
		}
		token = sql_peek(lexer);
	}
	return false;
}

/* Read the name of a relation, quoted; PostgreSQL refuses one of another database. */
static bool
append_relation(Arena *arena, SqlLexer *lexer, Text *text)
{
	do
	{
		SqlToken token = sql_peek(lexer);

		if (!sql_is_name(token))
			return false;
		sql_next(lexer);
		if (text->length > 0)
			text_append(text, ".");
		text_identifier(text, sql_name(arena, token));
	} while (sql_accept(lexer, "."));
	return true;
}

/* Read "( name, … )". */
static bool
parse_names(Arena *arena, SqlLexer *lexer, MzNames *names)
{
	*names = (MzNames){0};
	if (!sql_accept(lexer, "("))
		return false;
	do
	{
		SqlToken token = sql_peek(lexer);

		if (!sql_is_name(token))
			return false;
		sql_next(lexer);
		mz_add_name(arena, names, sql_name(arena, token));
	} while (sql_accept(lexer, ","));
	return sql_accept(lexer, ")");
}

/* Whether one of SUBSCRIBE's clauses begins here. */
static bool
subscribe_clause_follows(const SqlLexer *lexer)
{
	SqlLexer look = *lexer;
	SqlToken token = sql_next(&look);

	if (token.kind == SQL_END)
		return true;
	if (sql_is(token, "envelope") || sql_is(token, "within"))
		return true;
	if (sql_is(token, "with"))
		return sql_is(sql_peek(&look), "(");
	if (sql_is(token, "as"))
		return sql_is(sql_peek(&look), "of");
	return sql_is(token, "up") && sql_is(sql_peek(&look), "to");
}

/* Copy the text up to the next clause, a closing parenthesis or the end. */
static const char *
subscribe_text(Arena *arena, SqlLexer *lexer)
{
	const char *start = sql_peek(lexer).start;
	const char *end = start;
	size_t depth = 0;

	for (;;)
	{
		SqlToken token = sql_peek(lexer);

		if (depth == 0 && (subscribe_clause_follows(lexer) || sql_is(token, ")")))
			break;
		if (token.kind == SQL_END || token.kind == SQL_BAD)
			break;
		if (sql_is(token, "("))
			depth++;
		else if (sql_is(token, ")"))
			depth--;
		sql_next(lexer);
		end = token.start + token.length;
	}
	return end == start ? NULL : arena_copy(arena, start, (size_t) (end - start));
}

/* Read "[=] true", "[=] false" or nothing, which is true. */
static bool
parse_boolean(SqlLexer *lexer, Arena *arena, bool *value)
{
	static const char *const yes[] = {"true", "on", "1", "t", "yes"};
	static const char *const no[] = {"false", "off", "0", "f", "no"};
	SqlToken token;
	char *word;

	*value = true;
	sql_accept(lexer, "=");
	token = sql_peek(lexer);
	if (sql_is(token, ",") || sql_is(token, ")"))
		return true;
	sql_next(lexer);
	if (token.kind == SQL_STRING)
		word = sql_string(arena, token, lexer->standard_strings);
	else if (token.kind == SQL_WORD || token.kind == SQL_NUMBER)
		word = sql_name(arena, token);
	else
		return false;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
	{
		if (strcmp(word, yes[i]) == 0)
			return true;
		if (strcmp(word, no[i]) == 0)
		{
			*value = false;
			return true;
		}
	}
	return false;
}

/* Read ENVELOPE … or WITHIN TIMESTAMP ORDER BY …. */
static bool
parse_output(Arena *arena, SqlLexer *lexer, MzStatement *statement, MzSubscribe *subscribe)
{
	bool within = sql_accept(lexer, "within");

	if (subscribe->envelope != MZ_ENVELOPE_NONE)
	{
		mz_error(statement, "42601", "multiple output clauses of SUBSCRIBE are not allowed");
		return true;
	}
	if (within)
	{
		if (!sql_accept(lexer, "timestamp") || !sql_accept_two(lexer, "order", "by"))
			return false;
		subscribe->envelope = MZ_ENVELOPE_ORDERED;
		subscribe->order = subscribe_text(arena, lexer);
		return subscribe->order != NULL;
	}
	sql_next(lexer);
	if (sql_accept(lexer, "upsert"))
		subscribe->envelope = MZ_ENVELOPE_UPSERT;
	else if (sql_accept(lexer, "debezium"))
		subscribe->envelope = MZ_ENVELOPE_DEBEZIUM;
	else
		return false;
	if (!sql_accept(lexer, "("))
		return false;
	return sql_accept(lexer, "key") && parse_names(arena, lexer, &subscribe->key) &&
	       sql_accept(lexer, ")");
}

/* Read WITH ( option, … ). */
static bool
parse_subscribe_options(Arena *arena, SqlLexer *lexer, MzStatement *statement,
                        MzSubscribe *subscribe)
{
	if (!sql_accept(lexer, "("))
		return false;
	do
	{
		SqlToken token = sql_peek(lexer);
		bool *option = NULL;

		if (sql_is(token, "snapshot"))
			option = &subscribe->snapshot;
		else if (sql_is(token, "progress"))
			option = &subscribe->progress;
		else if (!sql_is_name(token))
			return false;
		sql_next(lexer);
		if (option == NULL)
		{
			mz_error(statement, "42601",
			         arena_printf(arena, "unrecognized SUBSCRIBE option \"%s\"",
			                      sql_name(arena, token)));
			statement->position = (size_t) (token.start - statement->text.start) + 1;
			return true;
		}
		if (!parse_boolean(lexer, arena, option))
		{
			mz_error(statement, "22023",
			         arena_printf(arena, "SUBSCRIBE option \"%s\" requires a Boolean value",
			                      sql_name(arena, token)));
			return true;
		}
	} while (sql_accept(lexer, ","));
	return sql_accept(lexer, ")");
}

/*
 * Read what stands after SUBSCRIBE, up to the end or a parenthesis that was
 * opened before it. False: not of this grammar at the lexer's place.
 */
static bool
parse_subscribe(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	MzSubscribe *subscribe = &statement->subscribe;
	bool with = false;

	subscribe->snapshot = true;
	sql_accept(lexer, "to");
	subscribe->is_query = sql_is(sql_peek(lexer), "(");
	if (subscribe->is_query)
	{
		const char *start = sql_peek(lexer).start;
		const char *end = sql_skip_parentheses(lexer);

		if (end == NULL)
			return false;
		subscribe->target = arena_copy(arena, start, (size_t) (end - start));
		subscribe->position = (size_t) (start - statement->text.start) + 1;
	}
	else
	{
		const char *start = sql_peek(lexer).start;
		Text text;

		subscribe->position = (size_t) (start - statement->text.start) + 1;
		text_init(&text, arena);
		if (!append_relation(arena, lexer, &text))
			return false;
		subscribe->target = text.data;
	}

	for (;;)
	{
		SqlToken token = sql_peek(lexer);

		if (statement->kind == MZ_ERROR || token.kind == SQL_END || sql_is(token, ")"))
			return true;
		if (sql_is(token, "envelope") || sql_is(token, "within"))
		{
			if (!parse_output(arena, lexer, statement, subscribe))
				return false;
		}
		else if (!with && sql_accept(lexer, "with"))
		{
			with = true;
			if (!parse_subscribe_options(arena, lexer, statement, subscribe))
				return false;
		}
		else if (subscribe->as_of == NULL && sql_accept_two(lexer, "as", "of"))
		{
			subscribe->as_of_at_least = sql_accept_two(lexer, "at", "least");
			subscribe->as_of = subscribe_text(arena, lexer);
			if (subscribe->as_of == NULL)
				return false;
		}
		else if (subscribe->up_to == NULL && sql_accept_two(lexer, "up", "to"))
		{
			subscribe->up_to = subscribe_text(arena, lexer);
			if (subscribe->up_to == NULL)
				return false;
		}
		else
			return false;
	}
}

/* SUBSCRIBE or its older name TAIL; TAIL alone is a name like any other. */
static bool
accept_subscribe(SqlLexer *lexer)
{
	return sql_accept(lexer, "subscribe") || sql_accept(lexer, "tail");
}

/* Parse the rest as SUBSCRIBE and nothing behind it. */
static void
subscribe_to_end(Arena *arena, SqlLexer *lexer, MzStatement *statement, MzKind kind)
{
	statement->kind = kind;
	if (!parse_subscribe(arena, lexer, statement) ||
	    (statement->kind == kind && sql_peek(lexer).kind != SQL_END))
		mz_syntax_error(arena, statement, sql_peek(lexer));
}

/* DECLARE name … CURSOR … FOR SUBSCRIBE …. */
static void
parse_declare(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	SqlToken name = sql_next(lexer);
	bool hold = false;
	bool scroll = false;

	if (!sql_is_name(name) || sql_name(arena, name)[0] == '\0')
		return;
	for (;;)
	{
		if (sql_accept_two(lexer, "no", "scroll") || sql_accept(lexer, "binary") ||
		    sql_accept(lexer, "insensitive") || sql_accept(lexer, "asensitive"))
			continue;
		if (sql_accept(lexer, "scroll"))
			scroll = true;
		else
			break;
	}
	if (!sql_accept(lexer, "cursor"))
		return;
	if (sql_accept_two(lexer, "with", "hold"))
		hold = true;
	else
		sql_accept_two(lexer, "without", "hold");
	if (!sql_accept(lexer, "for") || !accept_subscribe(lexer))
		return;
	statement->cursor = sql_name(arena, name);
	subscribe_to_end(arena, lexer, statement, MZ_DECLARE);
	if (statement->kind == MZ_DECLARE && hold)
		mz_error(statement, "0A000", "a cursor over SUBSCRIBE cannot be WITH HOLD");
	else if (statement->kind == MZ_DECLARE && scroll)
		mz_error(statement, "0A000", "a cursor over SUBSCRIBE cannot SCROLL");
}

/* Read a count with an optional sign. */
static bool
parse_count(Arena *arena, SqlLexer *lexer, MzFetch *fetch)
{
	SqlLexer look = *lexer;
	bool negative = sql_accept(&look, "-");
	SqlToken token = sql_next(&look);
	char *end;

	if (token.kind != SQL_NUMBER)
		return false;
	fetch->count = strtoll(arena_copy(arena, token.start, token.length), &end, 10);
	if (*end != '\0')
		return false;
	fetch->backward = negative && fetch->count != 0;
	*lexer = look;
	return true;
}

/* The value as an SQL literal. */
static char *
literal(Arena *arena, const char *value)
{
	Text text;

	text_init(&text, arena);
	text_literal(&text, value);
	return text.data;
}

/* FETCH [direction] [FROM | IN] name [WITH (TIMEOUT [=] interval)]. */
static void
parse_fetch(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	static const char *const backward[] = {"prior",    "first",    "last",
	                                       "absolute", "relative", "backward"};
	MzFetch *fetch = &statement->fetch;
	SqlToken token;

	fetch->count = 1;
	if (sql_accept(lexer, "all"))
		fetch->count = MZ_FETCH_ALL;
	else if (sql_accept(lexer, "forward"))
	{
		if (sql_accept(lexer, "all"))
			fetch->count = MZ_FETCH_ALL;
		else
			parse_count(arena, lexer, fetch);
	}
	else if (!parse_count(arena, lexer, fetch) && !sql_accept(lexer, "next"))
	{
		for (size_t i = 0; i < sizeof(backward) / sizeof(backward[0]); i++)
		{
			SqlLexer look = *lexer;

			/* FETCH prior; fetches one row of a cursor named prior */
			if (sql_accept(&look, backward[i]) && sql_peek(&look).kind != SQL_END)
			{
				fetch->backward = true;
				*lexer = look;
				if (!sql_accept(lexer, "all"))
					parse_count(arena, lexer, fetch);
				fetch->backward = true;
				break;
			}
		}
	}
	if (!sql_accept(lexer, "from"))
		sql_accept(lexer, "in");
	token = sql_next(lexer);
	if (!sql_is_name(token))
		return;
	fetch->cursor = sql_name(arena, token);
	fetch->plain = arena_copy(arena, statement->text.start,
	                          (size_t) (token.start + token.length - statement->text.start));
	if (sql_accept(lexer, "with"))
	{
		SqlToken value;

		statement->kind = MZ_FETCH;
		if (!sql_accept(lexer, "(") || !sql_accept(lexer, "timeout"))
		{
			mz_syntax_error(arena, statement, sql_peek(lexer));
			return;
		}
		sql_accept(lexer, "=");
		value = sql_peek(lexer);
		if (value.kind == SQL_STRING)
			fetch->timeout = literal(arena, sql_string(arena, value, lexer->standard_strings));
		else if (value.kind == SQL_NUMBER || value.kind == SQL_WORD)
			fetch->timeout = literal(arena, sql_name(arena, value));
		else if (value.kind == SQL_PARAMETER)
			fetch->timeout = arena_copy(arena, value.start, value.length);
		else
		{
			mz_syntax_error(arena, statement, value);
			return;
		}
		sql_next(lexer);
		if (!sql_accept(lexer, ")"))
		{
			mz_syntax_error(arena, statement, sql_peek(lexer));
			return;
		}
	}
	if (sql_peek(lexer).kind == SQL_END)
		statement->kind = MZ_FETCH;
	else if (statement->kind == MZ_FETCH)
		mz_syntax_error(arena, statement, sql_peek(lexer));
}

/* CLOSE name, CLOSE ALL. */
static void
parse_close(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	SqlToken token = sql_next(lexer);

	if (!sql_is_name(token) || sql_peek(lexer).kind != SQL_END)
		return;
	statement->kind = MZ_CLOSE;
	if (!sql_is(token, "all"))
		statement->fetch.cursor = sql_name(arena, token);
}

/* COPY (SUBSCRIBE …) TO STDOUT [[WITH] (…)]. */
static void
parse_copy(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	SqlToken token;

	if (!sql_accept(lexer, "(") || !accept_subscribe(lexer))
		return;
	statement->kind = MZ_COPY;
	statement->copy_options = "";
	if (!parse_subscribe(arena, lexer, statement))
	{
		mz_syntax_error(arena, statement, sql_peek(lexer));
		return;
	}
	if (statement->kind == MZ_ERROR)
		return;
	if (!sql_accept(lexer, ")") || !sql_accept(lexer, "to") || !sql_accept(lexer, "stdout"))
	{
		mz_syntax_error(arena, statement, sql_peek(lexer));
		return;
	}
	token = sql_peek(lexer);
	if (token.kind != SQL_END)
	{
		const char *end = statement->text.start + statement->text.length;

		statement->copy_options = arena_copy(arena, token.start, (size_t) (end - token.start));
	}
}

/*
 * Take a clause out of the statement's text: [begin, end) becomes blanks, one for each
 * character, so that all others stay where they were.
 */
static void
cut_clause(Arena *arena, MzStatement *statement, SqlLexer *lexer, const char *begin,
           const char *end)
{
	Text text;
	size_t before = (size_t) (begin - statement->text.start);
	size_t at = lexer->at - (size_t) (end - begin);
	size_t blanks = mz_characters(begin, (size_t) (end - begin));

	text_init(&text, arena);
	text_append_bytes(&text, statement->text.start, before);
	for (size_t i = 0; i < blanks; i++)
		text_append(&text, " ");
	text_append_bytes(&text, end, statement->text.length - before - (size_t) (end - begin));
	statement->text.start = text.data;
	statement->text.length = text.length;
	statement->kind = MZ_REWRITTEN;
	statement->rewritten = text.data;
	statement->in_place = true;
	sql_lexer_init(lexer, text.data, text.length, lexer->standard_strings);
	lexer->at = at + blanks;
}

/*
 * CREATE [MATERIALIZED VIEW | INDEX | TABLE …]: IN CLUSTER c, and of WITH the
 * option RETAIN HISTORY FOR, which say where and how long in Materialize.
 * Only the head is looked at: up to AS, or to the end for an index.
 */
static void
drop_clauses(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	size_t depth = 0;

	for (;;)
	{
		SqlToken token = sql_next(lexer);

		if (token.kind == SQL_END || token.kind == SQL_BAD)
			return;
		if (sql_is(token, "("))
			depth++;
		else if (sql_is(token, ")") && depth > 0)
			depth--;
		else if (depth > 0)
			continue;
		else if (sql_is(token, "as"))
			return;
		else if (sql_is(token, "in") && sql_accept(lexer, "cluster"))
		{
			SqlToken name = sql_next(lexer);

			if (!sql_is_name(name))
			{
				mz_syntax_error(arena, statement, name);
				return;
			}
			cut_clause(arena, statement, lexer, token.start, name.start + name.length);
		}
		else if (sql_is(token, "with"))
		{
			SqlLexer look = *lexer;
			SqlToken value;
			SqlToken close;

			if (!sql_accept(&look, "("))
				continue;
			if (sql_accept_two(&look, "assert", "not"))
			{
				mz_error(statement, "0A000", "ASSERT NOT NULL is not supported");
				statement->hint = "Leave it out, and look for NULL in the view instead.";
				return;
			}
			if (sql_is(sql_peek(&look), "refresh"))
			{
				const char *end = sql_skip_parentheses(lexer);

				if (end == NULL)
					return;
				statement->notice = "REFRESH is not needed: the view is always fresh";
				cut_clause(arena, statement, lexer, token.start, end);
				continue;
			}
			if (!sql_accept_two(&look, "retain", "history"))
				continue;
			if (!sql_accept(&look, "for"))
				sql_accept(&look, "=");
			value = sql_next(&look);
			close = sql_next(&look);
			if (value.kind != SQL_STRING || !sql_is(close, ")"))
				continue;
			*lexer = look;
			cut_clause(arena, statement, lexer, token.start, close.start + close.length);
		}
	}
}

/* CREATE …. */
static void
parse_create(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	SqlToken token;

	sql_accept_two(lexer, "or", "replace");
	token = sql_next(lexer);
	if (sql_is(token, "source"))
		mz_parse_create_source(arena, lexer, statement);
	else if (sql_is(token, "index") || (sql_is(token, "unique") && sql_accept(lexer, "index")) ||
	         (sql_is(token, "materialized") && sql_accept(lexer, "view")) || sql_is(token, "table"))
		drop_clauses(arena, lexer, statement);
}

/* The protocol counts characters: of UTF-8 only the first bytes count. */
size_t
mz_characters(const char *bytes, size_t count)
{
	size_t result = 0;

	for (size_t i = 0; i < count; i++)
		result += ((unsigned char) bytes[i] & 0xC0) != 0x80;
	return result;
}

/* Turn a place in the statement, in bytes from 1, into one in the whole text. */
static void
place(const char *whole, SqlStatement text, size_t *position)
{
	if (whole != NULL && *position > 0)
		*position = mz_characters(whole, (size_t) (text.start - whole) + *position - 1) + 1;
}

/* Read one statement; see statement.h. */
void
mz_parse(Arena *arena, const char *whole, SqlStatement text, bool standard_strings,
         MzStatement *statement)
{
	SqlLexer lexer;
	SqlToken token;

	memset(statement, 0, sizeof(*statement));
	statement->text = text;
	sql_lexer_init(&lexer, text.start, text.length, standard_strings);
	token = sql_next(&lexer);
	if (sql_is(token, "subscribe") || sql_is(token, "tail"))
		subscribe_to_end(arena, &lexer, statement, MZ_SUBSCRIBE);
	else if (sql_is(token, "declare"))
		parse_declare(arena, &lexer, statement);
	else if (sql_is(token, "fetch"))
		parse_fetch(arena, &lexer, statement);
	else if (sql_is(token, "close"))
		parse_close(arena, &lexer, statement);
	else if (sql_is(token, "copy"))
		parse_copy(arena, &lexer, statement);
	else if (sql_is(token, "show"))
		mz_parse_show(arena, &lexer, statement);
	else if (sql_is(token, "create"))
		parse_create(arena, &lexer, statement);
	else if (sql_is(token, "drop") && sql_accept(&lexer, "source"))
		mz_parse_drop_source(arena, &lexer, statement);
	if (statement->kind == MZ_OTHER)
	{
		sql_lexer_init(&lexer, text.start, text.length, standard_strings);
		mz_parse_head(arena, lexer, statement);
	}

	place(whole, text, &statement->position);
	place(whole, text, &statement->subscribe.position);
}
