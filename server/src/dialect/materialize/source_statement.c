/*-------------------------------------------------------------------------
 *
 * source_statement.c
 *	  Reads CREATE SOURCE and DROP SOURCE. What the options mean is the
 *	  generator's business (source/loadgen).
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/statement.h"

#include <ctype.h>
#include <string.h>

/* A grown copy of an array in the arena. */
static void *
grow(Arena *arena, const void *array, int count, size_t size)
{
	void *grown = arena_alloc(arena, ((size_t) count + 1) * size);

	if (count > 0)
		memcpy(grown, array, (size_t) count * size);
	return grown;
}

/* Append a word in upper case to "a b". */
static void
append_word(Text *text, SqlToken token)
{
	if (text->length > 0)
		text_append(text, " ");
	for (size_t i = 0; i < token.length; i++)
	{
		char c = (char) toupper((unsigned char) token.start[i]);

		text_append_bytes(text, &c, 1);
	}
}

/* ( NAME WORDS [=] value, … ): the options of the generator. */
static bool
parse_options(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	MzSource *source = &statement->source;

	if (sql_accept(lexer, ")"))
		return true;
	do
	{
		static const char *const two[] = {"tick",  "up",       "as",    "max",
		                                  "scale", "snapshot", "value", "batch"};
		MzSourceOption *option;
		SqlToken token = sql_next(lexer);
		Text name;

		if (token.kind != SQL_WORD)
		{
			mz_syntax_error(arena, statement, token);
			return false;
		}
		text_init(&name, arena);
		append_word(&name, token);
		for (size_t i = 0; i < sizeof(two) / sizeof(two[0]); i++)
		{
			if (sql_is(token, two[i]) && sql_peek(lexer).kind == SQL_WORD)
			{
				append_word(&name, sql_next(lexer));
				break;
			}
		}
		if (strcmp(name.data, "TRANSACTIONAL") == 0 && sql_is(sql_peek(lexer), "snapshot"))
			append_word(&name, sql_next(lexer));
		source->options =
		    grow(arena, source->options, source->option_count, sizeof(MzSourceOption));
		option = &source->options[source->option_count++];
		option->name = name.data;
		option->value = NULL;
		sql_accept(lexer, "=");
		token = sql_peek(lexer);
		if (!sql_is(token, ",") && !sql_is(token, ")"))
		{
			bool negative = sql_accept(lexer, "-");

			token = sql_next(lexer);
			if (token.kind == SQL_STRING)
				option->value = sql_string(arena, token, lexer->standard_strings);
			else if (token.kind == SQL_NUMBER || token.kind == SQL_WORD)
				option->value = arena_printf(arena, "%s%.*s", negative ? "-" : "",
				                             (int) token.length, token.start);
			else
			{
				mz_syntax_error(arena, statement, token);
				return false;
			}
		}
	} while (sql_accept(lexer, ","));
	if (!sql_accept(lexer, ")"))
	{
		mz_syntax_error(arena, statement, sql_peek(lexer));
		return false;
	}
	return true;
}

/* FOR TABLES ( reference [AS name], … ). */
static bool
parse_tables(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	MzSource *source = &statement->source;
	bool complete = sql_accept(lexer, "(");

	while (complete)
	{
		MzSourceTable *table;
		MzStatement ignored = {0};
		char *schema;
		char *reference;

		/* a reference may be written in full, as mz_load_generators.auction.bids */
		complete = mz_qualified(arena, lexer, &ignored, &schema, &reference);
		if (!complete)
			break;
		source->tables = grow(arena, source->tables, source->table_count, sizeof(MzSourceTable));
		table = &source->tables[source->table_count++];
		table->reference = reference;
		table->schema = NULL;
		table->name = reference;
		if (sql_accept(lexer, "as") || sql_accept(lexer, "into"))
			complete = mz_qualified(arena, lexer, statement, &table->schema, &table->name);
		if (complete && !sql_accept(lexer, ","))
		{
			complete = sql_accept(lexer, ")");
			break;
		}
	}
	if (!complete)
		mz_syntax_error(arena, statement, sql_peek(lexer));
	return complete;
}

/* The lexer stands behind CREATE SOURCE. */
bool
mz_parse_create_source(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	MzSource *source = &statement->source;
	SqlToken token;
	Text generator;

	statement->kind = MZ_CREATE_SOURCE;
	if (sql_accept(lexer, "if"))
	{
		if (!sql_accept_two(lexer, "not", "exists"))
		{
			mz_syntax_error(arena, statement, sql_peek(lexer));
			return true;
		}
		source->if_not_exists = true;
	}
	if (!mz_qualified(arena, lexer, statement, &source->schema, &source->name))
	{
		mz_syntax_error(arena, statement, sql_peek(lexer));
		return true;
	}
	if (sql_accept_two(lexer, "in", "cluster"))
		sql_next(lexer);
	if (!sql_accept(lexer, "from"))
	{
		mz_syntax_error(arena, statement, sql_peek(lexer));
		return true;
	}
	if (!sql_accept_two(lexer, "load", "generator"))
	{
		token = sql_peek(lexer);
		if (token.kind == SQL_WORD)
		{
			mz_error(statement, "0A000",
			         arena_printf(arena, "sources from %.*s are not supported", (int) token.length,
			                      token.start));
			statement->hint = "Sources that exist: LOAD GENERATOR.";
		}
		else
			mz_syntax_error(arena, statement, token);
		return true;
	}
	token = sql_next(lexer);
	if (token.kind != SQL_WORD)
	{
		mz_syntax_error(arena, statement, token);
		return true;
	}
	text_init(&generator, arena);
	append_word(&generator, token);
	if (sql_is(token, "key") && sql_is(sql_peek(lexer), "value"))
		append_word(&generator, sql_next(lexer));
	source->generator = generator.data;
	if (strcmp(generator.data, "KEY VALUE") == 0 || strcmp(generator.data, "DATUMS") == 0)
	{
		mz_error(statement, "0A000",
		         arena_printf(arena, "load generator %s is not supported", generator.data));
		statement->hint = "Fill a table of your own, with INSERT … SELECT … FROM generate_series.";
		return true;
	}
	if (sql_accept(lexer, "(") && !parse_options(arena, lexer, statement))
		return true;
	for (;;)
	{
		token = sql_peek(lexer);
		if (token.kind == SQL_END)
			return true;
		if (sql_accept(lexer, "include"))
		{
			mz_error(statement, "0A000",
			         "INCLUDE metadata only supported with `KEY VALUE` load generators");
			return true;
		}
		if (sql_accept(lexer, "for"))
		{
			if (sql_accept_two(lexer, "all", "tables"))
				source->all_tables = true;
			else if (!sql_accept(lexer, "tables"))
			{
				mz_syntax_error(arena, statement, sql_peek(lexer));
				return true;
			}
			else if (!parse_tables(arena, lexer, statement))
				return true;
		}
		else if (sql_accept_two(lexer, "expose", "progress") && sql_accept(lexer, "as"))
		{
			if (!mz_qualified(arena, lexer, statement, &source->progress_schema, &source->progress))
			{
				mz_syntax_error(arena, statement, sql_peek(lexer));
				return true;
			}
		}
		else if (!sql_accept(lexer, "with") || sql_skip_parentheses(lexer) == NULL)
		{
			mz_syntax_error(arena, statement, sql_peek(lexer));
			return true;
		}
	}
}

/* The lexer stands behind DROP SOURCE. */
bool
mz_parse_drop_source(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	MzDropSource *drop = &statement->drop;

	statement->kind = MZ_DROP_SOURCE;
	drop->if_exists = sql_accept_two(lexer, "if", "exists");
	do
	{
		char *schema;
		char *name;

		if (!mz_qualified(arena, lexer, statement, &schema, &name))
		{
			mz_syntax_error(arena, statement, sql_peek(lexer));
			return true;
		}
		drop->schemas = grow(arena, drop->schemas, drop->count, sizeof(char *));
		drop->names = grow(arena, drop->names, drop->count, sizeof(char *));
		drop->schemas[drop->count] = schema;
		drop->names[drop->count++] = name;
	} while (sql_accept(lexer, ","));
	drop->cascade = sql_accept(lexer, "cascade");
	if (!drop->cascade)
		sql_accept(lexer, "restrict");
	if (sql_peek(lexer).kind != SQL_END)
		mz_syntax_error(arena, statement, sql_peek(lexer));
	return true;
}
