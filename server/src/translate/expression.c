/*-------------------------------------------------------------------------
 *
 * expression.c
 *	  The one grammar of expressions. Operators bind as PostgreSQL's do; what a
 *	  dialect has of its own is switched on by its rules.
 *
 * parser->value says of what was read last whether it is a literal, a plain column
 * or jsonb. That is all that is known of types here: jsonb is what dialects call an
 * object, and PostgreSQL compares and adds nothing of it without being told how.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "translate/parser.h"

/* The most arguments of a function that is more than another name. */
#define TEMPLATE_ARGUMENTS 64

/* How tightly an operator binds: PostgreSQL's table of precedences. */
typedef enum Level
{
	LEVEL_NONE,
	LEVEL_OR,
	LEVEL_AND,
	LEVEL_NOT,
	LEVEL_IS,
	LEVEL_COMPARE,
	LEVEL_BETWEEN, /* and IN, LIKE, … */
	LEVEL_OTHER,
	LEVEL_ADD,
	LEVEL_MULTIPLY,
	LEVEL_POWER,
	LEVEL_AT, /* AT TIME ZONE */
	LEVEL_COLLATE,
	LEVEL_SIGN
} Level;

typedef struct OperatorRule
{
	const char *text; /* longer ones first */
	Level level;
} OperatorRule;

static const OperatorRule operators[] = {
    {"->>", LEVEL_OTHER},  {"!~*", LEVEL_OTHER},  {"||", LEVEL_OTHER},   {"->", LEVEL_OTHER},
    {"<=", LEVEL_COMPARE}, {">=", LEVEL_COMPARE}, {"<>", LEVEL_COMPARE}, {"!=", LEVEL_COMPARE},
    {"<<", LEVEL_OTHER},   {">>", LEVEL_OTHER},   {"@>", LEVEL_OTHER},   {"<@", LEVEL_OTHER},
    {"&&", LEVEL_OTHER},   {"!~", LEVEL_OTHER},   {"~*", LEVEL_OTHER},   {"//", LEVEL_MULTIPLY},
    {"<", LEVEL_COMPARE},  {">", LEVEL_COMPARE},  {"=", LEVEL_COMPARE},  {"+", LEVEL_ADD},
    {"-", LEVEL_ADD},      {"*", LEVEL_MULTIPLY}, {"/", LEVEL_MULTIPLY}, {"%", LEVEL_MULTIPLY},
    {"^", LEVEL_POWER},    {"&", LEVEL_OTHER},    {"|", LEVEL_OTHER},    {"#", LEVEL_OTHER},
    {"~", LEVEL_OTHER},
};

static void parse_level(Parser *parser, Level least);

/* Characters of which operators are made. */
static bool
is_operator_character(const Parser *parser, const char *at)
{
	return at < parser->text + parser->length && strchr("+-*/<>=~!@#%^&|", *at) != NULL;
}

/* The operator that comes next, or NULL; what is none that is known is an error. */
static const OperatorRule *
find_operator(Parser *parser)
{
	const char *at = parser->token.start;
	size_t length = 0;

	if (parser->token.kind != SQL_PUNCTUATION || *at == '?' || !is_operator_character(parser, at))
		return NULL;
	while (is_operator_character(parser, at + length))
		length++;
	for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
	{
		size_t own = strlen(operators[i].text);

		/* a sign may follow at once, and then a comment cannot */
		if (own <= length && memcmp(at, operators[i].text, own) == 0 &&
		    (own == length || strchr("+-~", at[own]) != NULL || strncmp(at + own, "/*", 2) == 0))
			return &operators[i];
	}
	parser_fail(parser, "42883", parser_at(parser), "operator %.*s does not exist",
	            length > 16 ? 16 : (int) length, at);
}

/* Read an operator: all its characters are one piece. */
static void
parse_operator(Parser *parser, const OperatorRule *operator)
{
	size_t length = strlen(operator->text);

	parser_replace(parser, operator->text);
	while (--length > 0)
		parser_skip(parser);
}

/* expression, … */
void
parse_expressions(Parser *parser)
{
	do
		parse_expression(parser);
	while (parser_take(parser, ","));
}

/* ORDER BY's items */
void
parse_order(Parser *parser)
{
	do
	{
		bool nulls = false;

		parse_expression(parser);
		if (!parser_take(parser, "asc"))
			parser_take(parser, "desc");
		if (parser_take(parser, "nulls"))
		{
			nulls = true;
			if (!parser_take(parser, "first"))
				parser_take_expected(parser, "last");
		}
		if (!nulls && parser->rules->nulls_last)
			emit(parser, " NULLS LAST");
	} while (parser_take(parser, ","));
}

/* UNBOUNDED PRECEDING, 3 FOLLOWING, … : how far from the frame's start it is */
static int
parse_bound(Parser *parser)
{
	bool unbounded = parser_take(parser, "unbounded");

	if (!unbounded && parser_take(parser, "current"))
	{
		parser_take_expected(parser, "row");
		return 2;
	}
	if (!unbounded)
		parse_expression(parser);
	if (parser_take(parser, "preceding"))
		return unbounded ? 0 : 1;
	parser_take_expected(parser, "following");
	return unbounded ? 4 : 3;
}

/* ROWS BETWEEN … */
static void
parse_frame(Parser *parser)
{
	size_t at = parser_at(parser);
	int first;
	int last = 2;

	if (!parser_take(parser, "rows") && !parser_take(parser, "range") &&
	    !parser_take(parser, "groups"))
		return;
	if (parser_take(parser, "between"))
	{
		first = parse_bound(parser);
		parser_take_expected(parser, "and");
		last = parse_bound(parser);
	}
	else
		first = parse_bound(parser);
	if (first == 4 || last == 0 || last < first)
		parser_fail(parser, "42P20", at, "the window frame ends before it starts");
}

/* ( [name] [PARTITION BY …] [ORDER BY …] [frame] ) */
void
parse_window(Parser *parser)
{
	static const char *const parts[] = {"partition", "order", "rows", "range", "groups", NULL};

	parser_take_expected(parser, "(");
	if (!parser_is(parser, ")") && !parser_is_any(parser, parts))
		parse_name(parser);
	if (parser_take(parser, "partition by"))
		parse_expressions(parser);
	if (parser_take(parser, "order by"))
		parse_order(parser);
	parse_frame(parser);
	parser_take_expected(parser, ")");
}

/* What may stand behind a function's parentheses. */
static void
parse_function_tail(Parser *parser)
{
	if (parser_take(parser, "within"))
	{
		parser_take_expected(parser, "group");
		parser_take_expected(parser, "(");
		parser_take_expected(parser, "order");
		parser_take_expected(parser, "by");
		parse_order(parser);
		parser_take_expected(parser, ")");
	}
	if (parser_is_two(parser, "filter", "(") && parser_take(parser, "filter"))
	{
		parser_take_expected(parser, "(");
		parser_take_expected(parser, "where");
		parse_expression(parser);
		parser_take_expected(parser, ")");
	}
	if (parser_is(parser, "over") &&
	    (sql_is(parser_peek(parser, 1), "(") || sql_is_name(parser_peek(parser, 1))))
	{
		parser_take(parser, "over");
		if (parser_is(parser, "("))
			parse_window(parser);
		else
			parse_name(parser);
	}
}

/* What is between a function's parentheses, and they. */
static void
parse_arguments(Parser *parser)
{
	parser_take_expected(parser, "(");
	if (parser_take(parser, "*"))
	{
		parser_take_expected(parser, ")");
		return;
	}
	if (!parser_is(parser, ")"))
	{
		if (!parser_take(parser, "distinct"))
			parser_take(parser, "all");
		parse_expressions(parser);
		if (parser_take(parser, "order by"))
			parse_order(parser);
	}
	parser_take_expected(parser, ")");
}

/* (query): a part of an expression that is a query of its own. */
static void
parse_subquery(Parser *parser)
{
	parser_take_expected(parser, "(");
	parse_query(parser);
	parser_take_expected(parser, ")");
}

/* CASE … END */
static void
parse_case(Parser *parser)
{
	parser_take_expected(parser, "case");
	if (!parser_is(parser, "when"))
		parse_expression(parser);
	do
	{
		parser_take_expected(parser, "when");
		parse_expression(parser);
		parser_take_expected(parser, "then");
		parse_expression(parser);
	} while (parser_is(parser, "when"));
	if (parser_take(parser, "else"))
		parse_expression(parser);
	parser_take_expected(parser, "end");
}

/* CAST(x AS type); TRY_CAST is a function of its own dialect. */
static void
parse_cast(Parser *parser)
{
	parser_take_expected(parser, "cast");
	parser_take_expected(parser, "(");
	parse_expression(parser);
	parser_take_expected(parser, "as");
	parse_type(parser);
	parser_take_expected(parser, ")");
}

/* EXTRACT(unit FROM x) */
static void
parse_extract(Parser *parser)
{
	parser_take_expected(parser, "extract");
	parser_take_expected(parser, "(");
	if (parser->token.kind == SQL_STRING)
		parse_string(parser);
	else if (parser_is_word(parser))
		parser_replace(parser,
		               arena_printf(parser->arena, "'%s'", sql_name(parser->arena, parser->token)));
	else
		parser_syntax(parser);
	parser_take_expected(parser, "from");
	parse_expression(parser);
	parser_take_expected(parser, ")");
}

/* SUBSTRING(x FROM a FOR b), or with commas */
static void
parse_substring(Parser *parser)
{
	emit_token(parser);
	parser_take_expected(parser, "(");
	parse_expression(parser);
	if (parser_take(parser, "from"))
	{
		parse_expression(parser);
		if (parser_take(parser, "for"))
			parse_expression(parser);
	}
	else if (parser_take(parser, "for"))
		parse_expression(parser);
	else
		while (parser_take(parser, ","))
			parse_expression(parser);
	parser_take_expected(parser, ")");
}

/* TRIM([BOTH] [x FROM] y) */
static void
parse_trim(Parser *parser)
{
	parser_take_expected(parser, "trim");
	parser_take_expected(parser, "(");
	if (!parser_take(parser, "both") && !parser_take(parser, "leading"))
		parser_take(parser, "trailing");
	if (!parser_take(parser, "from"))
	{
		parse_expression(parser);
		if (!parser_take(parser, "from"))
		{
			while (parser_take(parser, ","))
				parse_expression(parser);
			parser_take_expected(parser, ")");
			return;
		}
	}
	parse_expressions(parser);
	parser_take_expected(parser, ")");
}

/* POSITION(x IN y) */
static void
parse_position(Parser *parser)
{
	parser_take_expected(parser, "position");
	parser_take_expected(parser, "(");
	parse_level(parser, LEVEL_OTHER);
	if (parser_take(parser, ","))
	{
		parse_level(parser, LEVEL_OTHER);
		parser_refuse(parser, parser_at(parser), "position without IN");
	}
	parser_take_expected(parser, "in");
	parse_level(parser, LEVEL_OTHER);
	parser_take_expected(parser, ")");
}

/* EXISTS (query) */
static void
parse_exists(Parser *parser)
{
	parser_take_expected(parser, "exists");
	parse_subquery(parser);
}

/* INTERVAL '1 day', INTERVAL '1' DAY */
static void
parse_interval(Parser *parser)
{
	static const char *const units[] = {"year", "month", "day", "hour", "minute", "second", NULL};

	parser_take_expected(parser, "interval");
	if (parser->token.kind == SQL_NUMBER)
	{
		/* INTERVAL 1 DAY: its number is a string to PostgreSQL */
		parser_replace(parser, arena_printf(parser->arena, "'%.*s'", (int) parser->token.length,
		                                    parser->token.start));
		if (!parser_is_any(parser, units))
			parser_syntax(parser);
	}
	else
		parse_string(parser);
	if (!parser_is_any(parser, units))
		return;
	emit_token(parser);
	if (parser_take(parser, "to"))
	{
		if (!parser_is_any(parser, units))
			parser_syntax(parser);
		emit_token(parser);
	}
}

/* Words that begin an expression of their own form. */
static const struct
{
	const char *word;
	const char *next; /* what must follow it; NULL: anything */
	void (*parse)(Parser *parser);
} forms[] = {
    {"case", NULL, parse_case},      {"cast", "(", parse_cast},
    {"extract", "(", parse_extract}, {"substring", "(", parse_substring},
    {"trim", "(", parse_trim},       {"position", "(", parse_position},
    {"exists", "(", parse_exists},
};

/* Words that are a function without parentheses. */
static const char *const bare_functions[] = {
    "current_date",   "current_time",   "current_timestamp", "localtime",
    "localtimestamp", "current_user",   "current_role",      "session_user",
    "user",           "current_schema", "current_catalog",   NULL};

static const char *const constants[] = {"null", "true", "false", NULL};

/* Functions whose names are PostgreSQL's keywords: they have plain arguments only. */
static const char *const keyword_functions[] = {"coalesce", "greatest", "least",
                                                "nullif",   "grouping", NULL};

/* How the dialect's function is called here. */
static const FunctionRule *
find_function(const Parser *parser)
{
	for (const FunctionRule *rule = parser->rules->functions; rule->name != NULL; rule++)
		if (parser_is(parser, rule->name))
			return rule;
	return NULL;
}

/* A function's name has been read up to its parenthesis. */
static void
parse_call_behind_name(Parser *parser)
{
	parse_arguments(parser);
	parse_function_tail(parser);
	parser->value = VALUE_OTHER;
}

/* How many arguments a template has; -1: any number of them. */
static int
template_arity(const char *template)
{
	int most = 0;

	for (; *template != '\0'; template ++)
	{
		if (*template != '$' && *template != '%')
			continue;
		if (template[1] == '*')
			return -1;
		if (template[1] - '0' > most)
			most = template[1] - '0';
	}
	return most;
}

/* A unit of time as a string, in place of the name that was read. */
static void
emit_unit(Parser *parser, Fragment argument)
{
	static const char *const units[] = {"year",   "quarter", "month", "week", "day", "hour",
	                                    "minute", "second",  "epoch", "dow",  "doy", NULL};

	for (int i = 0; argument.first == argument.last && units[i] != NULL; i++)
	{
		if (strcmp(argument.first->text, units[i]) == 0)
		{
			emit_literal(parser, units[i]);
			return;
		}
	}
	parser_refuse(parser, argument.first->in, "this unit of time");
}

/* A template with the arguments in it. */
static void
emit_template(Parser *parser, const char *template, Fragment *arguments, int count)
{
	while (*template != '\0')
	{
		size_t plain = strcspn(template, "$%@");

		emit(parser, arena_copy(parser->arena, template, plain));
		template += plain;
		if (*template == '@')
		{
			parse_function_tail(parser);
			template ++;
		}
		else if (*template == '%')
		{
			emit_unit(parser, arguments[template[1] - '1']);
			template += 2;
		}
		else if (*template == '$')
		{
			int first = template[1] == '*' ? 0 : template[1] - '1';
			int last = template[1] == '*' ? count - 1 : first;

			for (int i = first; i <= last; i++)
			{
				if (i > first)
					emit(parser, ", ");
				if (arguments[i].first != NULL)
					arguments[i].first->space = false;
				emit_fragment(parser, arguments[i]);
			}
			template += 2;
		}
	}
}

/* f(a, b), by a template of as many arguments. */
static void
parse_template(Parser *parser, const FunctionRule *rule)
{
	const char *name = rule->name;
	size_t at = parser_at(parser);
	bool space = parser_at(parser) > parser->previous;
	Fragment arguments[TEMPLATE_ARGUMENTS];
	Mark mark = parser_mark(parser);
	int count = 0;

	parser_skip(parser);
	parser_expect(parser, "(");
	while (!parser_is(parser, ")"))
	{
		if (count == TEMPLATE_ARGUMENTS)
			parser_fail(parser, "54023", at, "function %s has too many arguments", name);
		if (strchr(rule->to, '@') != NULL && count == 0)
			parser_take(parser, "distinct");
		parse_expression(parser);
		arguments[count++] = emit_cut(parser, mark);
		if (!parser_accept(parser, ","))
			break;
	}
	parser_expect(parser, ")");
	for (; rule->name != NULL && strcmp(rule->name, name) == 0; rule++)
	{
		int arity = template_arity(rule->to);

		if (arity != count && (arity >= 0 || count == 0))
			continue;
		emit_template(parser, rule->to, arguments, count);
		mark->next->space = space;
		parser->value = rule->value;
		return;
	}
	parser_fail(parser, "42883", at, "no function matches %s with %d argument%s", name, count,
	            count == 1 ? "" : "s");
}

/* A function of the dialect's table. */
static void
parse_known_function(Parser *parser, const FunctionRule *rule)
{
	if (rule->parse != NULL)
		rule->parse(parser);
	else if (strpbrk(rule->to, "$%(") != NULL)
		parse_template(parser, rule);
	else
	{
		parser_replace(parser, rule->to);
		parse_call_behind_name(parser);
	}
	parser->value = rule->value;
}

/* name, a.name, a.b.name, a.*, f(…), schema.f(…) */
static void
parse_name_expression(Parser *parser)
{
	SqlToken next = parser_peek(parser, 1);
	const FunctionRule *rule =
	    parser_is_word(parser) && sql_is(next, "(") ? find_function(parser) : NULL;
	int parts = 1;

	if (rule != NULL)
	{
		parse_known_function(parser, rule);
		return;
	}
	parse_name(parser);
	for (; parser_is(parser, "."); parts++)
	{
		if (parts == 3)
			parser_refuse(parser, parser_at(parser), "a name of four parts");
		emit_token(parser);
		if (parser_take(parser, "*"))
		{
			if (parser_is(parser, "[") || parser_is(parser, ":"))
				parser_syntax(parser);
			parser->value = VALUE_COLUMN;
			return;
		}
		parse_label(parser);
	}
	if (parser_is(parser, "("))
		parse_call_behind_name(parser);
	else
		parser->value = VALUE_COLUMN;
}

/* f(…) or schema.f(…) as a relation */
void
parse_table_function(Parser *parser)
{
	const FunctionRule *rule = find_function(parser);

	if (rule != NULL && (rule->parse != NULL || strpbrk(rule->to, "$%(") != NULL))
		parser_refuse(parser, parser_at(parser), "this function as a relation");
	else
	{
		if (rule != NULL)
			parser_replace(parser, rule->to);
		else
			parse_name(parser);
		if (parser_take(parser, "."))
			parse_label(parser);
		parse_arguments(parser);
	}
}

/* Read the closing character of a literal and put this in its place. */
static void
close_literal(Parser *parser, const char *character, const char *text)
{
	if (!parser_is(parser, character))
		parser_syntax(parser);
	parser_replace(parser, text);
}

/* [a, b]: an array, or, inside of an object, one of JSON */
static void
parse_array(Parser *parser)
{
	Mark mark = parser_mark(parser);
	bool json = parser->in_object;

	if (parser_is_two(parser, "[", "]"))
	{
		parser_replace(parser, json ? "'[]'::jsonb" : "'{}'");
		parser_skip(parser);
		parser->value = json ? VALUE_JSON : VALUE_STRING;
		return;
	}
	parser_replace(parser, "ARRAY[");
	do
	{
		parse_expression(parser);
		json = json || parser->value == VALUE_JSON;
	} while (parser_take(parser, ","));
	if (json)
	{
		mark->next->text = "jsonb_build_array(";
		mark->next->length = strlen(mark->next->text);
	}
	close_literal(parser, "]", json ? ")" : "]");
	parser->value = json ? VALUE_JSON : VALUE_ARRAY;
}

/* The key of a member of an object, as a string. */
static void
parse_key(Parser *parser)
{
	Text text;

	if (parser->token.kind == SQL_STRING)
	{
		parse_string(parser);
		return;
	}
	if (parser->rules->colons || (!parser_is_word(parser) && !parser_is_name(parser)))
		parser_syntax(parser);
	text_init(&text, parser->arena);
	text_literal(&text, sql_name(parser->arena, parser->token));
	parser_replace(parser, text.data);
}

/* {a = 1, b = 'x'}, or {'a': 1} */
static void
parse_object(Parser *parser)
{
	bool in_object = parser->in_object;
	const char *between = parser->rules->colons ? ":" : "=";

	parser->value = VALUE_JSON;
	if (parser_is_two(parser, "{", "}"))
	{
		parser_replace(parser, "'{}'::jsonb");
		parser_skip(parser);
		return;
	}
	parser_replace(parser, "jsonb_build_object(");
	parser->in_object = true;
	do
	{
		parse_key(parser);
		if (!parser_is(parser, between))
			parser_syntax(parser);
		parser_skip(parser);
		emit(parser, ",");
		parse_expression(parser);
	} while (parser_take(parser, ","));
	close_literal(parser, "}", ")");
	parser->in_object = in_object;
	parser->value = VALUE_JSON;
}

/* (query), (expression), (a, b) */
static void
parse_parenthesis(Parser *parser)
{
	SqlToken next = parser_peek(parser, 1);

	if (sql_is(next, "select") || sql_is(next, "with") || sql_is(next, "values"))
	{
		parse_subquery(parser);
		parser->value = VALUE_OTHER;
		return;
	}
	parser_take_expected(parser, "(");
	parse_expression(parser);
	if (parser_is(parser, ","))
	{
		while (parser_take(parser, ","))
			parse_expression(parser);
		parser->value = VALUE_OTHER;
	}
	parser_take_expected(parser, ")");
	if (parser->value != VALUE_JSON)
		parser->value = VALUE_OTHER;
}

/* DATE '…' and the like: a type and a string. */
static bool
parse_typed_literal(Parser *parser)
{
	static const char *const types[] = {"date",        "time",     "timestamp",
	                                    "timestamptz", "datetime", NULL};
	Mark mark = parser_mark(parser);
	Fragment type;

	if (!parser_is_any(parser, types) || parser_peek(parser, 1).kind != SQL_STRING)
		return false;
	parse_type(parser);
	type = emit_cut(parser, mark);
	emit(parser, " ");
	parse_string(parser);
	emit(parser, "::");
	type.first->space = false;
	emit_fragment(parser, type);
	return true;
}

/* coalesce(a, b) and the like */
static void
parse_keyword_function(Parser *parser)
{
	bool two = parser_is(parser, "nullif");

	emit_token(parser);
	parser_take_expected(parser, "(");
	if (two)
	{
		parse_expression(parser);
		parser_take_expected(parser, ",");
		parse_expression(parser);
	}
	else
		parse_expressions(parser);
	parser_take_expected(parser, ")");
	parser->value = VALUE_OTHER;
}

/* ARRAY[…], ARRAY(query) */
static void
parse_array_word(Parser *parser)
{
	if (sql_is(parser_peek(parser, 1), "["))
	{
		parser_skip(parser);
		parse_array(parser);
		return;
	}
	emit_token(parser);
	parse_subquery(parser);
	parser->value = VALUE_OTHER;
}

/* A word that begins an expression. */
static void
parse_word_expression(Parser *parser)
{
	bool call = sql_is(parser_peek(parser, 1), "(");

	if (call && find_function(parser) != NULL)
	{
		parse_name_expression(parser);
		return;
	}
	parser->value = VALUE_OTHER;
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
	{
		if (parser_is(parser, forms[i].word) && (forms[i].next == NULL || call))
		{
			forms[i].parse(parser);
			parser->value = VALUE_OTHER;
			return;
		}
	}
	if (parser_is_any(parser, constants))
	{
		parser->value = parser_is(parser, "null") ? VALUE_NULL : VALUE_CONSTANT;
		emit_token(parser);
		return;
	}
	if (call && parser_is_any(parser, keyword_functions))
	{
		parse_keyword_function(parser);
		return;
	}
	if (parser_is(parser, "interval") &&
	    (parser_peek(parser, 1).kind == SQL_STRING || parser_peek(parser, 1).kind == SQL_NUMBER))
	{
		parse_interval(parser);
		return;
	}
	if (parser_is_two(parser, "array", "[") || parser_is_two(parser, "array", "("))
	{
		parse_array_word(parser);
		return;
	}
	if (parse_typed_literal(parser))
		return;
	if (parser_is_any(parser, bare_functions) && !sql_is(parser_peek(parser, 1), "."))
	{
		emit_token(parser);
		if (call)
		{
			/* current_schema() is a function like any other, the others have no parentheses */
			parser_skip(parser);
			parser_expect(parser, ")");
		}
		return;
	}
	parse_name_expression(parser);
}

/* 12, 1.5, 1e9 */
void
parse_number(Parser *parser)
{
	SqlToken token = parser->token;

	if (memchr(token.start, '.', token.length) != memrchr(token.start, '.', token.length))
		parser_syntax(parser);
	emit_token(parser);
	parser->value = VALUE_NUMBER;
}

/* B'0101' */
static bool
is_bit_string(const Parser *parser)
{
	const char *text = parser->token.start;

	return (*text == 'b' || *text == 'B') && !parser->rules->escapes &&
	       strspn(text + 2, "01") == parser->token.length - 3;
}

/* What an expression begins with, signs aside. */
static void
parse_primary(Parser *parser)
{
	switch (parser->token.kind)
	{
		case SQL_NUMBER:
			parse_number(parser);
			return;
		case SQL_STRING:
			if (is_bit_string(parser))
				emit_token(parser);
			else
				parse_string(parser);
			parser->value = VALUE_STRING;
			return;
		case SQL_PARAMETER:
			parse_parameter(parser);
			parser->value = VALUE_PARAMETER;
			return;
		case SQL_WORD:
			parse_word_expression(parser);
			return;
		case SQL_QUOTED:
			parse_name_expression(parser);
			return;
		default:
			break;
	}
	if (parser_is(parser, "?") || parser_is(parser, ":"))
	{
		parse_parameter(parser);
		parser->value = VALUE_PARAMETER;
	}
	else if (parser_is(parser, "["))
		parse_array(parser);
	else if (parser_is(parser, "{"))
		parse_object(parser);
	else if (parser_is(parser, "("))
		parse_parenthesis(parser);
	else
		parser_syntax(parser);
}

/* x['key'], x[1], x[1:2] */
static void
parse_subscript(Parser *parser)
{
	bool key = false;
	bool in_object = parser->in_object;

	parser->in_object = false;
	parser_take_expected(parser, "[");
	if (!parser_is(parser, ":"))
	{
		key = parser->token.kind == SQL_STRING;
		parse_expression(parser);
	}
	if (!parser->rules->colons && parser_take(parser, ":") && !parser_is(parser, "]"))
		parse_expression(parser);
	parser_take_expected(parser, "]");
	parser->in_object = in_object;
	parser->value = key ? VALUE_JSON : VALUE_OTHER;
}

/* x:key.other is x['key']['other'] */
static void
parse_path(Parser *parser)
{
	do
	{
		parser_skip(parser);
		if (parser->token.kind != SQL_WORD && parser->token.kind != SQL_QUOTED)
			parser_syntax(parser);
		emit(parser, "[");
		emit_literal(parser, sql_name(parser->arena, parser->token));
		emit(parser, "]");
		parser_skip(parser);
	} while (parser_is(parser, "."));
	parser->value = VALUE_JSON;
}

/* Does x:key go on with what was read? */
static bool
is_path(const Parser *parser)
{
	SqlToken next = parser_peek(parser, 1);

	return parser->rules->colons && parser_is(parser, ":") &&
	       (next.kind == SQL_WORD || next.kind == SQL_QUOTED);
}

/* What follows a primary expression and binds tightest: [ ], ::, .name */
static void
parse_postfix(Parser *parser, Mark mark)
{
	bool simple = parser->value == VALUE_COLUMN || parser->value == VALUE_PARAMETER;

	for (;;)
	{
		bool path = is_path(parser);

		if (path || parser_is(parser, "["))
		{
			bool json = parser->value == VALUE_JSON;

			if (!simple)
			{
				emit_after(parser, mark, "(");
				emit(parser, ")");
				simple = true;
			}
			if (path)
				parse_path(parser);
			else
				parse_subscript(parser);
			if (json)
				parser->value = VALUE_JSON;
		}
		else if (parser_is_two(parser, ":", ":"))
		{
			parser_replace(parser, "::");
			parser_skip(parser);
			parse_type(parser);
			simple = false;
			parser->value = VALUE_OTHER;
		}
		else
			break;
	}
}

/* Make what stands behind the mark a number if it is jsonb. */
static void
json_to_number(Parser *parser, Mark mark, ValueKind kind)
{
	if (kind != VALUE_JSON)
		return;
	emit_after(parser, mark, "(");
	emit(parser, ")::numeric");
}

/* Signs, NOT, and what they stand before. */
static void
parse_unary(Parser *parser)
{
	Mark mark = parser_mark(parser);

	parser_enter(parser);
	if (parser_take(parser, "not"))
	{
		parse_level(parser, LEVEL_NOT);
		parser->value = VALUE_OTHER;
	}
	else if (parser_is(parser, "-") || parser_is(parser, "+"))
	{
		emit_token(parser);
		mark = parser_mark(parser);
		parse_level(parser, LEVEL_SIGN);
		json_to_number(parser, mark, parser->value);
		if (parser->value != VALUE_NUMBER)
			parser->value = VALUE_OTHER;
	}
	else if (parser_is(parser, "~"))
	{
		emit_token(parser);
		parse_level(parser, LEVEL_ADD);
		parser->value = VALUE_OTHER;
	}
	else
	{
		parse_primary(parser);
		parse_postfix(parser, mark);
	}
	parser_leave(parser);
}

/* Make what stands behind the mark jsonb, as what it is compared with or stored in. */
void
value_to_json(Parser *parser, Mark mark, ValueKind kind)
{
	/* a parameter is jsonb by itself, and so is NULL */
	if (kind == VALUE_JSON || kind == VALUE_PARAMETER || kind == VALUE_NULL)
		return;
	emit_after(parser, mark, "to_jsonb(");
	emit(parser, kind == VALUE_STRING ? "::text)" : ")");
}

/* ANY (array), ALL (query): an array inside of an object is the list of its elements. */
static void
parse_quantified(Parser *parser)
{
	Mark mark;

	emit_token(parser);
	parser_take_expected(parser, "(");
	mark = parser_mark(parser);
	if (parser_is_query(parser))
	{
		parse_query(parser);
		parser->value = VALUE_OTHER;
	}
	else
		parse_expression(parser);
	if (parser->value == VALUE_JSON)
	{
		emit_after(parser, mark, "ARRAY(SELECT jsonb_array_elements(");
		emit(parser, "))");
	}
	parser_take_expected(parser, ")");
}

/* a < b and the like: with jsonb on one side the other has to be it too. */
static void
parse_comparison(Parser *parser, const OperatorRule *operator, Mark left)
{
	ValueKind left_kind = parser->value;
	Fragment rest;
	Mark begin = parser_mark(parser);
	Mark right;

	parse_operator(parser, operator);
	right = parser_mark(parser);
	if (parser_is(parser, "any") || parser_is(parser, "all") || parser_is(parser, "some"))
		parse_quantified(parser);
	else
	{
		parse_level(parser, LEVEL_COMPARE + 1);
		if (left_kind == VALUE_JSON)
			value_to_json(parser, right, parser->value);
	}
	if (parser->value != VALUE_JSON)
		return;
	rest = emit_cut(parser, begin);
	value_to_json(parser, left, left_kind);
	emit_fragment(parser, rest);
}

/* a / b and a // b where they are functions here */
static void
parse_division(Parser *parser, Mark left)
{
	const char *function = parser_is_two(parser, "/", "/") || parser_is(parser, "div")
	                           ? "databend.div("
	                           : "databend.divide(";

	emit_after(parser, left, function);
	emit(parser, ",");
	if (parser_is_two(parser, "/", "/"))
		parser_skip(parser);
	parser_skip(parser);
	parse_level(parser, LEVEL_MULTIPLY + 1);
	emit(parser, ")");
}

/* a + b and the like */
static void
parse_arithmetic(Parser *parser, Level level, Mark left)
{
	bool number = level == LEVEL_ADD || level == LEVEL_MULTIPLY;
	Mark right;

	if (number)
		json_to_number(parser, left, parser->value);
	if (parser->rules->float_division && (parser_is(parser, "/") || parser_is(parser, "div")))
	{
		parse_division(parser, left);
		return;
	}
	if (parser_is_two(parser, "/", "/"))
		parser_syntax(parser);
	parse_operator(parser, find_operator(parser));
	right = parser_mark(parser);
	parse_level(parser, level + 1);
	if (number)
		json_to_number(parser, right, parser->value);
}

/* IS [NOT] NULL, TRUE, DISTINCT FROM … */
static void
parse_is(Parser *parser)
{
	parser_take_expected(parser, "is");
	parser_take(parser, "not");
	if (parser_take(parser, "distinct"))
	{
		parser_take_expected(parser, "from");
		parse_level(parser, LEVEL_IS + 1);
	}
	else if (parser_is_any(parser, constants) || parser_is(parser, "unknown"))
		emit_token(parser);
	else
		parser_syntax(parser);
}

/* [NOT] BETWEEN, IN, LIKE, ILIKE */
static bool
parse_predicate(Parser *parser)
{
	static const char *const words[] = {"between", "in", "like", "ilike", "regexp", "rlike", NULL};
	bool negated = parser_is(parser, "not");
	SqlToken word = negated ? parser_peek(parser, 1) : parser->token;
	bool known = false;

	for (size_t i = 0; words[i] != NULL; i++)
		known = known || sql_is(word, words[i]);
	if (!known)
		return false;
	if (sql_is(word, "regexp") || sql_is(word, "rlike"))
	{
		if (negated)
			parser_skip(parser);
		parser_replace(parser, negated ? "!~" : "~");
		parse_level(parser, LEVEL_OTHER + 1);
		return true;
	}
	parser_take(parser, "not");
	if (parser_take(parser, "between"))
	{
		parse_level(parser, LEVEL_OTHER);
		parser_take_expected(parser, "and");
		parse_level(parser, LEVEL_OTHER);
	}
	else if (parser_take(parser, "in"))
	{
		parser_take_expected(parser, "(");
		if (parser_is_query(parser))
			parse_query(parser);
		else
			parse_expressions(parser);
		parser_take_expected(parser, ")");
	}
	else
	{
		emit_token(parser);
		parse_level(parser, LEVEL_OTHER);
		if (parser_take(parser, "escape"))
			parse_level(parser, LEVEL_OTHER);
	}
	return true;
}

/* The level of what comes next, if it goes on with an expression. */
static Level
next_level(Parser *parser)
{
	static const char *const predicates[] = {"between", "in",     "like",  "ilike",
	                                         "not",     "regexp", "rlike", NULL};
	const OperatorRule *operator;

	if (parser->token.kind != SQL_WORD)
	{
		operator= find_operator(parser);
		return operator!= NULL ? operator->level : LEVEL_NONE;
	}
	if (parser_is(parser, "or"))
		return LEVEL_OR;
	if (parser_is(parser, "and"))
		return LEVEL_AND;
	if (parser_is(parser, "is"))
		return LEVEL_IS;
	if (parser_is_any(parser, predicates))
		return LEVEL_BETWEEN;
	if (parser_is_two(parser, "at", "time"))
		return LEVEL_AT;
	if (parser_is(parser, "div") && parser->rules->float_division)
		return LEVEL_MULTIPLY;
	return LEVEL_NONE;
}

/* Go on with an expression by what comes next; false: it was none of these. */
static bool
parse_infix(Parser *parser, Level level, Mark left)
{
	switch (level)
	{
		case LEVEL_OR:
		case LEVEL_AND:
			emit_token(parser);
			parse_level(parser, level + 1);
			break;
		case LEVEL_IS:
			parse_is(parser);
			break;
		case LEVEL_BETWEEN:
			if (!parse_predicate(parser))
				return false;
			break;
		case LEVEL_AT:
			parser_take(parser, "at time");
			parser_take_expected(parser, "zone");
			parse_level(parser, LEVEL_AT + 1);
			break;
		case LEVEL_COMPARE:
			parse_comparison(parser, find_operator(parser), left);
			break;
		default:
			parse_arithmetic(parser, level, left);
	}
	return true;
}

/* An expression whose operators bind at least so tightly. */
static void
parse_level(Parser *parser, Level least)
{
	Mark left = parser_mark(parser);
	Level last = LEVEL_NONE;

	parser_enter(parser);
	parse_unary(parser);
	for (;;)
	{
		Level level = next_level(parser);

		if (level == LEVEL_NONE || level < least)
			break;
		/* a < b < c is no expression */
		if (level == last && (level == LEVEL_COMPARE || level == LEVEL_BETWEEN))
			parser_syntax(parser);
		if (!parse_infix(parser, level, left))
			break;
		parser->value = VALUE_OTHER;
		last = level;
	}
	parser_leave(parser);
}

/* An expression. */
void
parse_expression(Parser *parser)
{
	parse_level(parser, LEVEL_OR);
}
