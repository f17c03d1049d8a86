/*-------------------------------------------------------------------------
 *
 * parameter.c
 *	  Parameters of Bind as literals in a statement's text.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/materialize.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The type's name for a cast of a literal; NULL: the literal finds its own. */
static const char *
type_name(uint32_t oid)
{
	static const struct
	{
		uint32_t oid;
		const char *name;
	} types[] = {{16, "boolean"},    {20, "bigint"},      {21, "smallint"},
	             {23, "integer"},    {25, "text"},        {700, "real"},
	             {701, "float8"},    {1042, "bpchar"},    {1043, "varchar"},
	             {1082, "date"},     {1114, "timestamp"}, {1184, "timestamptz"},
	             {1700, "numeric"},  {2950, "uuid"},      {3802, "jsonb"},
	             {1009, "text[]"},   {1007, "integer[]"}, {1016, "bigint[]"},
	             {1186, "interval"}, {1083, "time"},      {17, "bytea"}};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
	{
		if (types[i].oid == oid)
			return types[i].name;
	}
	return NULL;
}

/* A parameter of Bind as a literal; NULL if its binary form is not known here. */
char *
parameter_literal(Arena *arena, uint32_t type, bool binary, const char *bytes, uint32_t length)
{
	Text literal;
	const char *name = type_name(type);
	uint64_t number = 0;

	text_init(&literal, arena);
	if (bytes == NULL)
	{
		text_append(&literal, "NULL");
		return literal.data;
	}
	if (!binary || type == 25 || type == 1043 || type == 1042)
	{
		text_append(&literal, "(");
		text_literal(&literal, arena_copy(arena, bytes, length));
		if (name != NULL)
			text_printf(&literal, "::%s", name);
		text_append(&literal, ")");
		return literal.data;
	}
	if (length > 8 || (type != 16 && type != 20 && type != 21 && type != 23))
		return NULL;
	for (uint32_t i = 0; i < length; i++)
		number = number << 8 | (unsigned char) bytes[i];
	if (type == 16)
		text_append(&literal, number != 0 ? "true" : "false");
	else
		text_printf(&literal, "('%" PRId64 "'::%s)",
		            length == 2   ? (int64_t) (int16_t) number
		            : length == 4 ? (int64_t) (int32_t) number
		                          : (int64_t) number,
		            name);
	return literal.data;
}

/* The text with $1 … replaced by literals; NULL: not possible. */
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

		if (token.kind == SQL_END || token.kind == SQL_BAD)
			break;
		if (token.kind == SQL_PARAMETER)
		{
			long number = strtol(token.start + 1, NULL, 10);

			if (number < 1 || number > count || values[number - 1] == NULL)
				return NULL;
			text_append_bytes(&result, copied, (size_t) (token.start - copied));
			text_append(&result, values[number - 1]);
			copied = token.start + token.length;
		}
	}
	text_append(&result, copied);
	return result.data;
}
