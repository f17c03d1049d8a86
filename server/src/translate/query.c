/*-------------------------------------------------------------------------
 *
 * query.c
 *	  SELECT, VALUES, WITH and what combines them.
 *
 * Where a result's column would get a name from PostgreSQL that is not the one the
 * dialects give (the text of the expression), the name is written behind it.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "translate/parser.h"

/* Words that follow an item, and so are no alias without AS. */
static const char *const clauses[] = {
    "from",    "where",       "group",     "having", "window", "union",  "intersect",
    "except",  "order",       "limit",     "offset", "fetch",  "for",    "on",
    "using",   "join",        "inner",     "left",   "right",  "full",   "cross",
    "natural", "lateral",     "returning", "set",    "values", "select", "with",
    "as",      "tablesample", "when",      "then",   "do",     NULL};

static void parse_query_body(Parser *parser, bool names);
static void parse_from_item(Parser *parser);
static bool parse_join(Parser *parser);

/* Can the next token be an alias, without AS before it? */
static bool
is_bare_alias(const Parser *parser)
{
	return parser_is_name(parser) &&
	       (parser->token.kind == SQL_QUOTED ||
	        (!parser_is_any(parser, clauses) && !parser_is_any(parser, parser->rules->clauses)));
}

/* [AS] alias; false: there is none. */
bool
parse_alias(Parser *parser)
{
	if (!parser_take(parser, "as") && !is_bare_alias(parser))
		return false;
	parse_name(parser);
	return true;
}

/* Name a column by its text, cut where PostgreSQL would cut it. */
static void
emit_column_name(Parser *parser, size_t from, size_t to)
{
	const char *name = parser_source(parser, from, to);
	size_t length = strlen(name);

	while (length > TRANSLATE_NAME_MAX)
		do
			length--;
		while (length > 0 && ((unsigned char) name[length] & 0xc0) == 0x80);
	emit(parser, " AS ");
	emit_name(parser, arena_copy(parser->arena, name, length), from, false);
}

/* One item of what is selected. */
static void
parse_target(Parser *parser, bool names)
{
	size_t from = parser_at(parser);

	if (parser_take(parser, "*"))
		return;
	parse_expression(parser);
	if (parser_take(parser, "as"))
		parse_label(parser);
	else if (is_bare_alias(parser))
	{
		emit(parser, " AS");
		parse_name(parser);
	}
	else if (names && parser->value != VALUE_COLUMN)
		emit_column_name(parser, from, parser->previous);
}

/* What is selected, or returned. */
static void
parse_target_list(Parser *parser, bool names)
{
	do
		parse_target(parser, names);
	while (parser_take(parser, ","));
}

/* What is returned. */
void
parse_targets(Parser *parser)
{
	parse_target_list(parser, true);
}

/* (query) in FROM; true: it was given the alias that PostgreSQL wants. */
static bool
parse_from_query(Parser *parser)
{
	parser_take_expected(parser, "(");
	parse_query_body(parser, true);
	parser_take_expected(parser, ")");
	if (parser_is(parser, "as") || is_bare_alias(parser))
		return false;
	emit_printf(parser, " AS subquery_%zu", parser_at(parser));
	return true;
}

/*
 * (a JOIN b); PostgreSQL knows no parentheses around a relation alone, so those go. True: that
 * relation has an alias.
 */
static bool
parse_from_parenthesis(Parser *parser)
{
	Mark mark = parser_mark(parser);
	Fragment inside;
	bool joined = false;

	parser_skip(parser);
	parse_from_item(parser);
	while (parse_join(parser))
		joined = true;
	inside = emit_cut(parser, mark);
	emit(parser, joined ? " (" : " ");
	emit_fragment(parser, inside);
	parser_expect(parser, ")");
	if (joined)
		emit(parser, ")");
	else if (parser->aliased && (parser_is(parser, "as") || is_bare_alias(parser)))
		parser_syntax(parser);
	return !joined && parser->aliased;
}

/* A table, a function or a query, with its alias. */
static void
parse_from_item(Parser *parser)
{
	SqlToken next = parser_peek(parser, 1);
	bool aliased = false;
	bool lateral;

	parser_enter(parser);
	lateral = parser_take(parser, "lateral");
	if (parser_is(parser, "("))
	{
		next = parser_peek(parser, 1);
		if (sql_is(next, "select") || sql_is(next, "with") || sql_is(next, "values"))
			aliased = parse_from_query(parser);
		else if (lateral)
			parser_syntax(parser);
		else
			aliased = parse_from_parenthesis(parser);
	}
	else if (sql_is(next, "(") || (sql_is(next, ".") && sql_is(parser_peek(parser, 3), "(")) ||
	         lateral)
	{
		parse_table_function(parser);
		parser_take(parser, "with ordinality");
	}
	else
		parse_relation(parser);
	if (parse_alias(parser))
	{
		aliased = true;
		if (parser_is(parser, "("))
			parse_names(parser);
	}
	parser->aliased = aliased;
	parser_leave(parser);
}

/* JOIN … [ON … | USING (…)]; false: no join follows. */
static bool
parse_join(Parser *parser)
{
	bool condition = true;

	if (parser_take(parser, "cross"))
		condition = false;
	else
	{
		if (parser_take(parser, "natural"))
			condition = false;
		if (parser_take(parser, "left") || parser_take(parser, "right") ||
		    parser_take(parser, "full"))
			parser_take(parser, "outer");
		else if (!parser_take(parser, "inner") && condition && !parser_is(parser, "join"))
			return false;
	}
	parser_take_expected(parser, "join");
	parse_from_item(parser);
	if (!condition)
		return true;
	if (parser_take(parser, "using"))
		parse_names(parser);
	else
	{
		parser_take_expected(parser, "on");
		parse_expression(parser);
	}
	return true;
}

/* FROM's items */
void
parse_from_items(Parser *parser)
{
	do
	{
		parse_from_item(parser);
		while (parse_join(parser))
			;
	} while (parser_take(parser, ","));
}

/* GROUP BY's items */
static void
parse_groups(Parser *parser)
{
	do
	{
		if (parser_is_two(parser, "grouping", "sets"))
		{
			emit_token(parser);
			emit_token(parser);
			parser_take_expected(parser, "(");
			parser_enter(parser);
			parse_groups(parser);
			parser_leave(parser);
			parser_take_expected(parser, ")");
		}
		else if (parser_is(parser, "(") && sql_is(parser_peek(parser, 1), ")"))
		{
			emit_token(parser);
			emit_token(parser);
		}
		else if (parser_is_two(parser, "rollup", "(") || parser_is_two(parser, "cube", "("))
		{
			emit_token(parser);
			emit_token(parser);
			parse_expressions(parser);
			parser_take_expected(parser, ")");
		}
		else
			parse_expression(parser);
	} while (parser_take(parser, ","));
}

/* WINDOW w AS (…), … */
static void
parse_windows(Parser *parser)
{
	do
	{
		parse_name(parser);
		parser_take_expected(parser, "as");
		parse_window(parser);
	} while (parser_take(parser, ","));
}

/* SELECT … up to what is ordered */
static void
parse_select(Parser *parser, bool names)
{
	parser_take_expected(parser, "select");
	if (parser_take(parser, "distinct"))
	{
		if (parser_take(parser, "on"))
		{
			parser_take_expected(parser, "(");
			parse_expressions(parser);
			parser_take_expected(parser, ")");
		}
	}
	else
		parser_take(parser, "all");
	parse_target_list(parser, names);
	if (parser_take(parser, "from"))
		parse_from_items(parser);
	if (parser_take(parser, "where"))
		parse_expression(parser);
	if (parser_take(parser, "group by"))
		parse_groups(parser);
	if (parser_take(parser, "having"))
		parse_expression(parser);
	if (parser_take(parser, "window"))
		parse_windows(parser);
}

/* VALUES (…), (…) */
static void
parse_values(Parser *parser)
{
	parser_take_expected(parser, "values");
	do
	{
		parser_take_expected(parser, "(");
		parse_expressions(parser);
		parser_take_expected(parser, ")");
	} while (parser_take(parser, ","));
}

/* One side of a UNION; was it in parentheses? */
static bool
parse_query_part(Parser *parser, bool names)
{
	if (parser_take(parser, "("))
	{
		parse_query_body(parser, names);
		parser_take_expected(parser, ")");
		return true;
	}
	if (parser_is(parser, "values"))
		parse_values(parser);
	else
		parse_select(parser, names);
	return false;
}

/* LIMIT a, b has its numbers the other way round than LIMIT and OFFSET; true: it is such. */
static bool
parse_limit(Parser *parser)
{
	Mark mark;
	Fragment offset;

	parser_take_expected(parser, "limit");
	if (parser_take(parser, "all") || parser_take(parser, "null"))
		return false;
	mark = parser_mark(parser);
	parse_expression(parser);
	if (!parser_is(parser, ","))
		return false;
	parser_skip(parser);
	offset = emit_cut(parser, mark);
	parse_expression(parser);
	emit(parser, " OFFSET");
	emit_fragment(parser, offset);
	return true;
}

/* FETCH FIRST n ROWS ONLY */
static void
parse_fetch(Parser *parser)
{
	parser_take_expected(parser, "fetch");
	if (!parser_take(parser, "first"))
		parser_take_expected(parser, "next");
	if (!parser_is(parser, "row") && !parser_is(parser, "rows"))
	{
		if (parser->token.kind == SQL_NUMBER)
			parse_number(parser);
		else
			parse_parameter(parser);
	}
	if (!parser_take(parser, "row"))
		parser_take_expected(parser, "rows");
	parser_take_expected(parser, "only");
}

/* What comes behind all sides. */
static void
parse_query_end(Parser *parser)
{
	bool limit = false;
	bool offset = false;

	if (parser_take(parser, "order by"))
		parse_order(parser);
	for (;;)
	{
		if (!limit && parser_is(parser, "limit"))
		{
			bool both = parse_limit(parser);

			if (both && offset)
				parser_syntax(parser);
			limit = true;
			offset = offset || both;
		}
		else if (!limit && parser_is(parser, "fetch"))
		{
			parse_fetch(parser);
			limit = true;
		}
		else if (!offset && parser_take(parser, "offset"))
		{
			parse_expression(parser);
			if (!parser_take(parser, "rows"))
				parser_take(parser, "row");
			offset = true;
		}
		else
			break;
	}
}

/* WITH a AS (…), … */
void
parse_with(Parser *parser)
{
	parser_take_expected(parser, "with");
	parser_take(parser, "recursive");
	do
	{
		parse_name(parser);
		if (parser_is(parser, "("))
			parse_names(parser);
		parser_take_expected(parser, "as");
		if (parser_take(parser, "not"))
			parser_take_expected(parser, "materialized");
		else
			parser_take(parser, "materialized");
		parser_take_expected(parser, "(");
		parse_query_body(parser, true);
		parser_take_expected(parser, ")");
	} while (parser_take(parser, ","));
}

/* A whole query; `names`: its columns are seen by name. */
static void
parse_query_body(Parser *parser, bool names)
{
	bool in_object = parser->in_object;
	bool parenthesis;
	Mark mark;

	parser_enter(parser);
	parser->in_object = false;
	if (parser_is(parser, "with"))
		parse_with(parser);
	mark = parser_mark(parser);
	parenthesis = parse_query_part(parser, names);
	while (parser_take(parser, "union") || parser_take(parser, "intersect") ||
	       parser_take(parser, "except"))
	{
		if (!parser_take(parser, "all"))
			parser_take(parser, "distinct");
		parse_query_part(parser, false);
		parenthesis = false;
	}
	if (parenthesis)
	{
		/* what stands around the parentheses may not meet its like inside them */
		emit_after(parser, mark, "SELECT * FROM ");
		emit(parser, " AS query");
	}
	parse_query_end(parser);
	parser->in_object = in_object;
	parser_leave(parser);
}

/* Does a query come next? */
bool
parser_is_query(const Parser *parser)
{
	static const char *const words[] = {"select", "with", "values", NULL};
	int depth = 0;
	SqlToken token = parser->token;

	while (sql_is(token, "(") && depth < 16)
		token = parser_peek(parser, ++depth);
	for (int i = 0; words[i] != NULL; i++)
		if (sql_is(token, words[i]))
			return true;
	return false;
}

/* A query in an expression: nobody sees what its columns are called. */
void
parse_query(Parser *parser)
{
	parse_query_body(parser, false);
}

/* A query whose columns are seen. */
void
parse_named_query(Parser *parser)
{
	parse_query_body(parser, true);
}
