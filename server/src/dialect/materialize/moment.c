/*-------------------------------------------------------------------------
 *
 * moment.c
 *	  The times of AS OF and UP TO: any expression that is a number of milliseconds
 *	  or casts to timestamptz.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/materialize.h"

#include <string.h>

/* Skip a call of now() or the like. */
static bool
accept_clock(SqlLexer *lexer)
{
	static const char *const functions[] = {"now", "mz_now", "transaction_timestamp"};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
	{
		SqlLexer look = *lexer;

		if (sql_accept(&look, functions[i]) && sql_accept_two(&look, "(", ")"))
		{
			*lexer = look;
			return true;
		}
	}
	return sql_accept(lexer, "current_timestamp");
}

/* Is the expression just the time it is? AS OF that asks for nothing. */
bool
moment_is_now(const char *expression)
{
	SqlLexer lexer;

	if (expression == NULL)
		return false;
	sql_lexer_init(&lexer, expression, strlen(expression), true);
	return accept_clock(&lexer) && sql_peek(&lexer).kind == SQL_END;
}

/* Append the expression, in which now() is the time it is: that of a block may be long ago. */
static void
append_expression(Text *sql, const char *expression)
{
	SqlLexer lexer;
	SqlToken token;
	const char *copied = expression;

	text_append(sql, "(");
	sql_lexer_init(&lexer, expression, strlen(expression), true);
	while ((token = sql_peek(&lexer)).kind != SQL_END && token.kind != SQL_BAD)
	{
		if (!accept_clock(&lexer))
		{
			sql_next(&lexer);
			continue;
		}
		text_append_bytes(sql, copied, (size_t) (token.start - copied));
		text_append(sql, "pg_catalog.clock_timestamp()");
		copied = lexer.text + lexer.at;
	}
	text_append(sql, copied);
	/* a comment may end it */
	text_append(sql, "\n)");
}

/* Append its value as milliseconds. */
void
moment_append(Text *sql, const char *expression)
{
	if (expression == NULL)
	{
		text_append(sql, "NULL");
		return;
	}
	text_append(sql, "(SELECT CASE WHEN v::text ~ '^-?[0-9]+([.][0-9]*)?$' THEN v::text::numeric"
	                 " ELSE floor(extract(epoch FROM v::text::timestamptz) * 1000) END"
	                 " FROM (SELECT ");
	append_expression(sql, expression);
	text_append(sql, " AS v) t)");
}

/* A clause for a query that is only described, from which PostgreSQL learns the types of their parameters. */
const char *
moment_clause(Arena *arena, const MzSubscribe *subscribe, bool standard_strings)
{
	const char *const expressions[] = {subscribe->as_of, subscribe->up_to};
	Text sql;

	text_init(&sql, arena);
	for (size_t i = 0; i < sizeof(expressions) / sizeof(expressions[0]); i++)
	{
		/* one that is all of it has its type already */
		if (parameter_alone(expressions[i]) > 0 || !parameter_in(expressions[i], standard_strings))
			continue;
		text_append(&sql, sql.length == 0 ? " OFFSET pg_catalog.num_nulls(" : ", ");
		append_expression(&sql, expressions[i]);
	}
	if (sql.length > 0)
		text_append(&sql, ")");
	return sql.data;
}
