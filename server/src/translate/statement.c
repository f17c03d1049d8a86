/*-------------------------------------------------------------------------
 *
 * statement.c
 *	  Statements that the dialects share, and which words begin which.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "translate/parser.h"

/* A value to store: an expression or DEFAULT. */
static void
parse_value(Parser *parser)
{
	if (!parser_take(parser, "default"))
		parse_expression(parser);
}

/* VALUES (…), …; in here a value may be DEFAULT. */
static void
parse_insert_values(Parser *parser)
{
	parser_take_expected(parser, "values");
	do
	{
		parser_take_expected(parser, "(");
		do
			parse_value(parser);
		while (parser_take(parser, ","));
		parser_take_expected(parser, ")");
	} while (parser_take(parser, ","));
}

/* a = 1, o['k'] = 2, … */
static void
parse_assignments(Parser *parser)
{
	do
	{
		bool json = false;

		parse_name(parser);
		while (parser_take(parser, "["))
		{
			json = json || parser->token.kind == SQL_STRING;
			parse_expression(parser);
			parser_take_expected(parser, "]");
		}
		parser_take_expected(parser, "=");
		if (json && !parser_is(parser, "default"))
		{
			Mark mark = parser_mark(parser);

			parse_expression(parser);
			value_to_json(parser, mark, parser->value);
		}
		else
			parse_value(parser);
	} while (parser_take(parser, ","));
}

/* RETURNING … */
static void
parse_returning(Parser *parser)
{
	if (!parser_take(parser, "returning"))
		return;
	parser->statement->returning = true;
	parse_targets(parser);
}

/* ON CONFLICT … */
static void
parse_conflict(Parser *parser)
{
	if (!parser_take(parser, "on"))
		return;
	parser_take_expected(parser, "conflict");
	if (parser_is(parser, "("))
		parse_names(parser);
	parser_take_expected(parser, "do");
	if (parser_take(parser, "nothing"))
		return;
	parser_take_expected(parser, "update");
	parser_take_expected(parser, "set");
	parse_assignments(parser);
	if (parser_take(parser, "where"))
		parse_expression(parser);
}

/* Do the words VALUES, and nothing else, end the statement? */
static bool
is_stage_insert(const Parser *parser)
{
	SqlToken next = parser_peek(parser, 1);

	return parser->rules->stages && (next.kind == SQL_END || sql_is(next, ";"));
}

/* VALUES (?, ?, …) and nothing else */
static bool
is_placeholder_row(const Parser *parser)
{
	SqlLexer lexer = parser->lexer;
	SqlToken token = sql_next(&lexer);
	SqlToken end;

	if (!sql_is(token, "("))
		return false;
	do
	{
		if (!sql_is(sql_next(&lexer), "?"))
			return false;
		token = sql_next(&lexer);
	} while (sql_is(token, ","));
	end = sql_next(&lexer);
	return sql_is(token, ")") && (end.kind == SQL_END || sql_is(end, ";"));
}

/* (names) of an INSERT, which the statement keeps */
static void
parse_insert_names(Parser *parser)
{
	parser_take_expected(parser, "(");
	do
		parser_add_name(parser, parse_label(parser));
	while (parser_take(parser, ","));
	parser_take_expected(parser, ")");
}

/* INSERT INTO t [(names)] … */
void
parse_insert(Parser *parser)
{
	emit(parser, "INSERT INTO");
	parser->statement->relation = parse_relation(parser);
	if (parser_is(parser, "(") && !parser_is_query(parser))
		parse_insert_names(parser);
	if (parser->statement->name_count == 0 && parser_take(parser, "default"))
		parser_take_expected(parser, "values");
	else if (parser_is(parser, "values") && is_stage_insert(parser))
	{
		/* the rows come with the request */
		parser_expect(parser, "values");
		emit_cut(parser, &parser->head);
		parser->statement->kind = STATEMENT_INSERT_STAGE;
		return;
	}
	else if (parser_is(parser, "values"))
	{
		parser->statement->placeholders = is_placeholder_row(parser);
		parse_insert_values(parser);
	}
	else
		parse_query(parser);
	parse_conflict(parser);
	parse_returning(parser);
}

/* UPDATE t SET … */
void
parse_update(Parser *parser)
{
	emit(parser, "UPDATE");
	parser->statement->relation = parse_relation(parser);
	parse_alias(parser);
	parser_take_expected(parser, "set");
	parse_assignments(parser);
	if (parser_take(parser, "from"))
		parse_from_items(parser);
	if (parser_take(parser, "where"))
		parse_expression(parser);
	parse_returning(parser);
}

/* DELETE FROM t … */
void
parse_delete(Parser *parser)
{
	emit(parser, "DELETE FROM");
	parser->statement->relation = parse_relation(parser);
	parse_alias(parser);
	if (parser_take(parser, "using"))
		parse_from_items(parser);
	if (parser_take(parser, "where"))
		parse_expression(parser);
	parse_returning(parser);
}

/* EXPLAIN [ANALYZE] query */
void
parse_explain(Parser *parser)
{
	emit(parser, "EXPLAIN");
	parser_take(parser, "analyze");
	if (!parser_is_query(parser))
		parser_refuse(parser, parser_at(parser), "EXPLAIN of what is no query");
	parse_named_query(parser);
}

/* [IF NOT EXISTS] */
bool
parse_if_not_exists(Parser *parser)
{
	if (!parser_take(parser, "if"))
		return false;
	parser_take_expected(parser, "not");
	parser_take_expected(parser, "exists");
	return true;
}

/* [IF NOT EXISTS] of what PostgreSQL has no such word for: the door sees to it. */
void
parse_unless_exists(Parser *parser)
{
	if (!parser_accept(parser, "if"))
		return;
	parser_expect(parser, "not");
	parser_expect(parser, "exists");
	parser->statement->unless_exists = true;
}

/* With OR REPLACE the old one goes first. */
void
parse_or_replace(Parser *parser, const char *kind)
{
	const TranslateName *relation = &parser->statement->relation;
	Text drop;

	if (!parser->or_replace)
		return;
	text_init(&drop, parser->arena);
	text_printf(&drop, "DROP %s IF EXISTS ", kind);
	text_qualified(&drop, relation->schema, relation->name);
	if (strcmp(kind, "SCHEMA") == 0)
		text_append(&drop, " CASCADE");
	parser_add_before(parser, drop.data);
}

/* PRIMARY KEY, UNIQUE, CHECK (…) behind a column or for itself; false: none of them. */
static bool
parse_constraint(Parser *parser, bool of_table)
{
	if (parser_take(parser, "primary"))
		parser_take_expected(parser, "key");
	else if (parser_take(parser, "check"))
	{
		parser_take_expected(parser, "(");
		parse_expression(parser);
		parser_take_expected(parser, ")");
		return true;
	}
	else if (!parser_take(parser, "unique"))
		return false;
	if (of_table)
		parse_names(parser);
	return true;
}

/* A column's default: what is more than a literal needs parentheses here. */
static void
parse_default(Parser *parser)
{
	Mark mark = parser_mark(parser);

	parse_expression(parser);
	if (parser->value != VALUE_OTHER)
		return;
	emit_after(parser, mark, "(");
	emit(parser, ")");
}

/* What may stand behind a column's type. */
static bool
parse_column_constraint(Parser *parser)
{
	if (parser_take(parser, "not"))
		parser_take_expected(parser, "null");
	else if (parser_take(parser, "null"))
		return true;
	else if (parser_take(parser, "default"))
		parse_default(parser);
	else if (parser_is(parser, "constraint"))
	{
		emit_token(parser);
		parse_name(parser);
		if (!parse_constraint(parser, false))
			parser_syntax(parser);
	}
	else
		return parse_constraint(parser, false);
	return true;
}

/* ( column type …, constraint, … ) */
void
parse_table_elements(Parser *parser)
{
	parser_take_expected(parser, "(");
	do
	{
		bool named = parser_is(parser, "constraint");

		if (named)
		{
			emit_token(parser);
			parse_name(parser);
		}
		if ((parser_is_two(parser, "primary", "key") || parser_is_two(parser, "unique", "(") ||
		     parser_is_two(parser, "check", "(") || named))
		{
			if (!parse_constraint(parser, true))
				parser_syntax(parser);
			continue;
		}
		if (parser_is_two(parser, "foreign", "key"))
			parser_refuse(parser, parser_at(parser), "FOREIGN KEY");
		parse_name(parser);
		parse_type(parser);
		while (parse_column_constraint(parser) || parser->rules->column_option(parser))
			;
	} while (parser_take(parser, ","));
	parser_take_expected(parser, ")");
}

/* CREATE … : which modifiers, and of what */
void
parse_create(Parser *parser)
{
	size_t at = parser_at(parser);
	const ObjectRule *rule = parser->rules->objects;

	parser->or_replace = parser_accept(parser, "or replace");
	parser_accept(parser, "transient");
	parser->temporary = parser_accept(parser, "temp") || parser_accept(parser, "temporary");
	for (; rule->words != NULL; rule++)
		if (parser_accept(parser, rule->words))
			break;
	if (rule->words == NULL || rule->create == NULL)
	{
		if (!parser_is_word(parser) && rule->words == NULL)
			parser_syntax(parser);
		parser_refuse(
		    parser, at,
		    arena_printf(parser->arena, "CREATE %.*s",
		                 (int) (rule->words != NULL ? strlen(rule->words) : parser->token.length),
		                 rule->words != NULL ? rule->words : parser->token.start));
	}
	parser->statement->head = arena_printf(parser->arena, "CREATE %s", rule->words);
	rule->create(parser);
}

/* DROP … [IF EXISTS] a, b [CASCADE] */
void
parse_drop(Parser *parser)
{
	size_t at = parser_at(parser);
	const ObjectRule *rule = parser->rules->objects;

	for (; rule->words != NULL; rule++)
		if (parser_accept(parser, rule->words))
			break;
	if (rule->words == NULL || rule->drop == NULL)
	{
		if (!parser_is_word(parser) && rule->words == NULL)
			parser_syntax(parser);
		parser_refuse(
		    parser, at,
		    arena_printf(parser->arena, "DROP %.*s",
		                 (int) (rule->words != NULL ? strlen(rule->words) : parser->token.length),
		                 rule->words != NULL ? rule->words : parser->token.start));
	}
	parser->statement->head = arena_printf(parser->arena, "DROP %s", rule->words);
	emit_printf(parser, "DROP %s", rule->drop);
	if (parser_take(parser, "if"))
		parser_take_expected(parser, "exists");
	do
	{
		if (rule->schema_like)
			parser->statement->relation.name = parse_name(parser);
		else
			parser->statement->relation = parse_relation(parser);
	} while (parser_take(parser, ","));
	if (rule->schema_like)
	{
		parser_accept(parser, "cascade");
		if (strcmp(rule->drop, "SCHEMA") == 0)
			emit(parser, " CASCADE");
	}
	else if (!parser_take(parser, "cascade"))
		parser_take(parser, "restrict");
}

/* [IF NOT EXISTS] v [(names)] AS query */
static void
parse_view_body(Parser *parser, const char *kind)
{
	emit_printf(parser, "CREATE %s", kind);
	if (strcmp(kind, "VIEW") == 0)
		parse_unless_exists(parser);
	else
		parse_if_not_exists(parser);
	parser->statement->relation = parse_relation(parser);
	if (parser_is(parser, "("))
		parse_names(parser);
	parser_take_expected(parser, "as");
	parse_named_query(parser);
}

/* CREATE VIEW */
void
parse_view(Parser *parser)
{
	parse_view_body(parser, parser->or_replace ? "OR REPLACE VIEW" : "VIEW");
}

/* CREATE MATERIALIZED VIEW */
void
parse_materialized_view(Parser *parser)
{
	parse_view_body(parser, "MATERIALIZED VIEW");
	parse_or_replace(parser, "MATERIALIZED VIEW");
}

/* A relation that has to be there. */
void
emit_regclass(Parser *parser, TranslateName relation)
{
	Text name;

	text_init(&name, parser->arena);
	text_qualified(&name, relation.schema, relation.name);
	emit_literal(parser, name.data);
	emit(parser, "::regclass");
}

/* What ALTER TABLE does, behind the table's name. */
static void
parse_alteration(Parser *parser)
{
	if (parser_take(parser, "add"))
	{
		parser_take(parser, "column");
		parse_if_not_exists(parser);
		parse_name(parser);
		if (parser_is(parser, "["))
			parser_refuse(parser, parser_at(parser), "ALTER TABLE of a column inside of an object");
		parse_type(parser);
		while (parse_column_constraint(parser) || parser->rules->column_option(parser))
			;
	}
	else if (parser_take(parser, "drop"))
	{
		parser_take(parser, "column");
		if (parser_take(parser, "if"))
			parser_take_expected(parser, "exists");
		parse_name(parser);
	}
	else if (parser_take(parser, "rename"))
	{
		if (parser_take(parser, "column"))
			parse_name(parser);
		parser_take_expected(parser, "to");
		parse_name(parser);
	}
	else
		parser_refuse(parser, parser_at(parser), "this form of ALTER TABLE");
}

/* ALTER TABLE [IF EXISTS] t … */
void
parse_alter_table(Parser *parser)
{
	bool exists = parser_accept(parser, "if");
	TranslateName relation;

	if (exists)
		parser_expect(parser, "exists");
	relation = read_relation(parser);
	parser->statement->relation = relation;
	if (parser->rules->table_options != NULL && parser_accept(parser, "set"))
	{
		parser->rules->table_options(parser);
		parser->statement->kind = STATEMENT_REFRESH;
		emit(parser, "SELECT ");
		emit_regclass(parser, relation);
		return;
	}
	emit(parser, exists ? "ALTER TABLE IF EXISTS " : "ALTER TABLE ");
	emit_relation(parser, relation);
	parse_alteration(parser);
}

/* Nothing more is read. */
void
parse_nothing(Parser *parser)
{
	(void) parser;
}

/* A statement of the dialect that is not here. */
void
parse_refused(Parser *parser)
{
	parser_refuse(parser, parser->statement->at, parser->statement->head);
}

/* Everything of one statement but its end. */
static void
parse_statement_body(Parser *parser)
{
	const StatementRule *rule = parser->rules->statements;

	if (parser_is_query(parser))
	{
		parser->statement->kind = STATEMENT_QUERY;
		parser->statement->head = "SELECT";
		parse_named_query(parser);
		return;
	}
	for (; rule->words != NULL; rule++)
		if (parser_accept(parser, rule->words))
			break;
	if (rule->words == NULL)
	{
		if (!parser_is_word(parser))
			parser_syntax(parser);
		parser_refuse(parser, parser_at(parser),
		              arena_printf(parser->arena, "%.*s",
		                           parser->token.length > 32 ? 32 : (int) parser->token.length,
		                           parser->token.start));
	}
	parser->statement->kind = rule->kind;
	parser->statement->head = rule->words;
	rule->parse(parser);
}

/* One statement. */
void
parse_statement(Parser *parser)
{
	parser->statement->at = parser_at(parser);
	parse_statement_body(parser);
	if (!parser_ended(parser))
		parser_syntax(parser);
	parser->statement->end = parser->previous;
	parser_finish_sql(parser);
}
