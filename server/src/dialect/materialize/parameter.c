/*-------------------------------------------------------------------------
 *
 * parameter.c
 *	  Parameters of Bind as literals in a statement's text.
 *
 * The extension takes a text. So PostgreSQL is asked to read the parameters, in whatever
 * format and type they come, and to write them as literals.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/materialize.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Not in any text that is asked for. */
#define PARAMETER_MAX 65535

/* The number of a parameter; 0: no Bind can have it. */
static int
parameter_number(SqlToken token)
{
	long number = strtol(token.start + 1, NULL, 10);

	return number > 0 && number <= PARAMETER_MAX ? (int) number : 0;
}

/* The parameter that is all of a text, or 0. */
int
parameter_alone(const char *text)
{
	SqlLexer lexer;
	SqlToken token;

	if (text == NULL)
		return 0;
	sql_lexer_init(&lexer, text, strlen(text), true);
	token = sql_next(&lexer);
	return token.kind == SQL_PARAMETER && sql_peek(&lexer).kind == SQL_END ? parameter_number(token)
	                                                                       : 0;
}

/* Does a text have a parameter? */
bool
parameter_in(const char *text, bool standard_strings)
{
	SqlLexer lexer;
	SqlToken token;

	if (text == NULL)
		return false;
	sql_lexer_init(&lexer, text, strlen(text), standard_strings);
	while ((token = sql_next(&lexer)).kind != SQL_END && token.kind != SQL_BAD)
	{
		if (token.kind == SQL_PARAMETER)
			return true;
	}
	return false;
}

/* The query whose one value is a list of literals, each in parentheses with its type. */
char *
parameter_query(Arena *arena, int count, const uint32_t *type)
{
	Text sql;

	text_init(&sql, arena);
	text_append(&sql, "SELECT pg_catalog.array_to_string(ARRAY[");
	for (int i = 0; i < count; i++)
		text_printf(
		    &sql, "%spg_catalog.format('(%%L::%%s)', $%d, pg_catalog.format_type(%" PRIu32 ", -1))",
		    i > 0 ? ", " : "", i + 1, type[i]);
	text_append(&sql, "], ', ')");
	return sql.data;
}

/* Cut such a list into its literals; false: it has not so many. */
bool
parameter_cut(Arena *arena, const char *list, char **values, int count)
{
	SqlLexer lexer;

	sql_lexer_init(&lexer, list, strlen(list), true);
	for (int i = 0; i < count; i++)
	{
		const char *start = sql_peek(&lexer).start;
		const char *end = sql_skip_parentheses(&lexer);

		if (end == NULL)
			return false;
		values[i] = arena_copy(arena, start, (size_t) (end - start));
		sql_accept(&lexer, ",");
	}
	return true;
}

/* The text with $1 … replaced by literals; NULL: there are not so many. */
const char *
parameter_replace(Arena *arena, const char *text, bool standard_strings, char *const *values,
                  int count)
{
	SqlLexer lexer;
	Text result;
	const char *copied = text;

	if (text == NULL || count == 0)
		return text;
	text_init(&result, arena);
	sql_lexer_init(&lexer, text, strlen(text), standard_strings);
	for (;;)
	{
		SqlToken token = sql_next(&lexer);
		int number;

		if (token.kind == SQL_END || token.kind == SQL_BAD)
			break;
		if (token.kind != SQL_PARAMETER)
			continue;
		number = parameter_number(token);
		if (number == 0 || number > count)
			return NULL;
		text_append_bytes(&result, copied, (size_t) (token.start - copied));
		text_append(&result, values[number - 1]);
		copied = token.start + token.length;
	}
	text_append(&result, copied);
	return result.data;
}
