/*-------------------------------------------------------------------------
 *
 * type.c
 *	  Names of types: each dialect's table says which of PostgreSQL's they are. A
 *	  name that no table has is refused.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "translate/parser.h"

/* The rule for the type whose name comes next, the longest there is; how many words it has. */
static const TypeRule *
find_type(const Parser *parser, int *words)
{
	const TypeRule *found = NULL;

	*words = 0;
	if (!parser_is_word(parser))
		return NULL;
	for (const TypeRule *rule = parser->rules->types; rule->name != NULL; rule++)
	{
		const char *name = rule->name;
		int count = 0;

		do
		{
			size_t length = strcspn(name, " ");
			SqlToken token = parser_peek(parser, count);

			if (token.kind != SQL_WORD || token.length != length ||
			    !sql_is(token, arena_copy(parser->arena, name, length)))
				break;
			count++;
			name += length + (name[length] == ' ');
		} while (*name != '\0');
		if (*name == '\0' && count > *words)
		{
			found = rule;
			*words = count;
		}
	}
	return found;
}

/* Does a type's name come next? */
bool
parser_is_type(const Parser *parser)
{
	int words;

	return find_type(parser, &words) != NULL;
}

/* (10, 2) behind a type */
static void
parse_modifiers(Parser *parser, const TypeRule *rule)
{
	Mark mark = parser_mark(parser);
	int count = 0;

	if (rule->most == 0 || !parser_take(parser, "("))
		return;
	do
	{
		bool digits = parser->token.kind == SQL_NUMBER && parser->token.length <= 9;

		for (size_t i = 0; digits && i < parser->token.length; i++)
			digits = parser->token.start[i] >= '0' && parser->token.start[i] <= '9';
		if (!digits || ++count > rule->most)
			parser_syntax(parser);
		emit_token(parser);
	} while (parser_take(parser, ","));
	parser_take_expected(parser, ")");
	if (rule->dropped)
		emit_cut(parser, mark);
}

/* A type, with [] behind it if it is an array. */
void
parse_type(Parser *parser)
{
	int words;
	const TypeRule *rule = find_type(parser, &words);
	const char *name;

	if (rule == NULL)
	{
		if (!parser_is_word(parser) && !parser_is_name(parser))
			parser_syntax(parser);
		name = sql_name(parser->arena, parser->token);
		parser_fail(parser, "42704", parser_at(parser), "cannot find data type: %.64s", name);
	}
	parser_enter(parser);
	if (rule->to != NULL)
		parser_replace(parser, rule->to);
	else
		parser_skip(parser);
	for (int i = 1; i < words; i++)
		parser_skip(parser);
	if (rule->parse != NULL)
		rule->parse(parser);
	parse_modifiers(parser, rule);
	while (parser_is_two(parser, "[", "]"))
	{
		emit_token(parser);
		emit_token(parser);
	}
	parser_leave(parser);
}
