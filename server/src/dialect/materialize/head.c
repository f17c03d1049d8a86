/*-------------------------------------------------------------------------
 *
 * head.c
 *	  What a script written for Materialize begins with: settings, clusters,
 *	  and statements that have no meaning here. Each works, or says by name that
 *	  it is not supported and what to do instead.
 *
 * A setting of Materialize's is PostgreSQL's setting materialize.NAME: so SET LOCAL,
 * RESET, transactions and ALTER ROLE do with it what they do with any other.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "dialect/materialize/statement.h"

/* Settings of Materialize's and their values if nobody has set them. */
static const struct
{
	const char *name;
	const char *value;
} settings[] = {
    {"cluster", "quickstart"},
    {"cluster_replica", ""},
    {"real_time_recency", "off"},
    {"real_time_recency_timeout", "10s"},
    {"statement_logging_sample_rate", "1"},
    {"max_query_result_size", "1GB"},
    {"auto_route_catalog_queries", "on"},
    {"emit_timestamp_notice", "off"},
    {"emit_trace_id_notice", "off"},
    {"emit_plan_insights_notice", "off"},
    {"emit_introspection_query_notice", "on"},
    {"enable_session_rbac_checks", "on"},
    {"restrict_to_user_objects", "off"},
    {"current_object_missing_warnings", "on"},
    {"unsafe_new_transaction_wall_time", ""},
    {"welcome_message", "on"},
    {"network_policy", "default"},
};

/* Is the token a setting of Materialize's? Its value by default, or NULL. */
static const char *
setting_default(SqlToken token)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
	{
		if (sql_is(token, settings[i].name))
			return settings[i].value;
	}
	return NULL;
}

/* Let the statement read "materialize." before the token. */
static void
use_setting(Arena *arena, MzStatement *statement, SqlToken token)
{
	size_t before = (size_t) (token.start - statement->text.start);

	statement->kind = MZ_REWRITTEN;
	statement->rewritten =
	    arena_printf(arena, "%.*smaterialize.%.*s", (int) before, statement->text.start,
	                 (int) (statement->text.length - before), token.start);
}

/* The statement does nothing here, and says so. */
static void
accept(MzStatement *statement, const char *tag, const char *notice)
{
	statement->kind = MZ_ACCEPTED;
	statement->tag = tag;
	statement->notice = notice;
}

/* The statement is not supported. */
static void
refuse(MzStatement *statement, const char *error, const char *hint)
{
	mz_error(statement, "0A000", error);
	statement->hint = hint;
}

/* A value that is a name or a string; NULL: it is neither. */
static char *
read_value(Arena *arena, SqlLexer *lexer)
{
	SqlToken value = sql_next(lexer);

	if (value.kind == SQL_STRING)
		return sql_string(arena, value, lexer->standard_strings);
	return sql_is_name(value) ? sql_name(arena, value) : NULL;
}

/* SET database = name: a session stays in the database it is in. */
static void
set_database(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	const char *name;

	if (!sql_accept(lexer, "="))
		sql_accept(lexer, "to");
	name = read_value(arena, lexer);
	if (name == NULL)
		return;
	statement->kind = MZ_SET_DATABASE;
	statement->tag = name;
}

/* SET schema = name, which is the first of search_path: PostgreSQL's SET SCHEMA 'name'. */
static void
set_schema(Arena *arena, SqlLexer *lexer, MzStatement *statement, bool local)
{
	bool standard;
	const char *name = NULL;
	Text sql;

	if (!sql_accept(lexer, "=") && !sql_accept(lexer, "to"))
		return;
	standard = sql_accept(lexer, "default");
	if (!standard && (name = read_value(arena, lexer)) == NULL)
		return;
	text_init(&sql, arena);
	text_append(&sql, local ? "SET LOCAL search_path TO " : "SET search_path TO ");
	if (standard)
		text_append(&sql, "DEFAULT");
	else
		text_identifier(&sql, name);
	statement->kind = MZ_REWRITTEN;
	statement->rewritten = sql.data;
}

/* SET [SESSION | LOCAL] name …, RESET name. */
static void
parse_set(Arena *arena, SqlLexer *lexer, MzStatement *statement, bool reset)
{
	bool local = sql_accept(lexer, "local");
	SqlToken name;
	SqlLexer value;

	if (!local)
		sql_accept(lexer, "session");
	name = sql_next(lexer);
	value = *lexer;
	if (setting_default(name) != NULL)
		use_setting(arena, statement, name);
	else if (sql_is(name, "database") && reset)
		accept(statement, "RESET", NULL);
	else if (sql_is(name, "database"))
		set_database(arena, lexer, statement);
	else if (sql_is(name, "schema") && reset)
	{
		statement->kind = MZ_REWRITTEN;
		statement->rewritten = "RESET search_path";
	}
	else if (sql_is(name, "schema"))
		set_schema(arena, lexer, statement, local);
	else if (sql_is(name, "transaction_isolation") && !reset)
	{
		if (!sql_accept(&value, "="))
			sql_accept(&value, "to");
		/* every read here sees all commits before it, which is more than either promises */
		statement->own_door = true;
		if (sql_mentions(value.text + value.at, value.length - value.at, "serializable"))
			use_setting(arena, statement, name);
	}
}

/* SHOW of a setting of Materialize's; false: it is none. */
bool
mz_parse_show_setting(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	SqlLexer look = *lexer;
	SqlToken name = sql_next(&look);
	const char *value = setting_default(name);

	if (sql_peek(&look).kind != SQL_END)
		return false;
	if (sql_is(name, "database"))
		statement->rewritten = "SELECT pg_catalog.current_database()::pg_catalog.text AS database";
	else if (sql_is(name, "schema"))
		statement->rewritten = "SELECT pg_catalog.current_schema()::pg_catalog.text AS schema";
	else if (value != NULL)
		statement->rewritten =
		    arena_printf(arena,
		                 "SELECT COALESCE(NULLIF(pg_catalog.current_setting('materialize.%.*s',"
		                 " true), ''), '%s') AS %.*s",
		                 (int) name.length, name.start, value, (int) name.length, name.start);
	else
		return false;
	statement->kind = MZ_REWRITTEN;
	return true;
}

/* ALTER ROLE name [IN DATABASE name] { SET | RESET } setting …. */
static void
parse_alter_role(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	SqlToken token;

	while ((token = sql_next(lexer)).kind != SQL_END && token.kind != SQL_BAD)
	{
		if (!sql_is(token, "set") && !sql_is(token, "reset"))
			continue;
		token = sql_next(lexer);
		if (setting_default(token) != NULL)
			use_setting(arena, statement, token);
		return;
	}
}

#define ONE_MACHINE "there is one machine: clusters are accepted and mean nothing here"

/* The heads of statements that are accepted or refused as they are: words, or NULL. */
static const struct
{
	const char *words[3];
	const char *tag; /* accepted; NULL: refused */
	const char *error;
	const char *hint;
} heads[] = {
    {{"create", "cluster", "replica"}, "CREATE CLUSTER REPLICA", ONE_MACHINE, NULL},
    {{"create", "cluster", NULL}, "CREATE CLUSTER", ONE_MACHINE, NULL},
    {{"alter", "cluster", NULL}, "ALTER CLUSTER", ONE_MACHINE, NULL},
    {{"drop", "cluster", "replica"}, "DROP CLUSTER REPLICA", ONE_MACHINE, NULL},
    {{"drop", "cluster", NULL}, "DROP CLUSTER", ONE_MACHINE, NULL},
    {{"create", "default", "index"},
     "CREATE INDEX",
     "materialized views need no index to be kept or read as a whole: nothing was made",
     "A plain view is computed when it is read: make it a materialized view."},
    {{"create", "connection", NULL},
     NULL,
     "CREATE CONNECTION is not supported",
     "Load with COPY, or use logical replication or a foreign data wrapper of PostgreSQL."},
    {{"create", "secret", NULL},
     NULL,
     "CREATE SECRET is not supported",
     "PostgreSQL keeps passwords in user mappings (CREATE USER MAPPING)."},
    {{"create", "sink", NULL},
     NULL,
     "CREATE SINK is not supported",
     "Let a client of yours SUBSCRIBE and hand the changes on."},
    {{"create", "network", "policy"},
     NULL,
     "CREATE NETWORK POLICY is not supported",
     "Who may connect is said in pg_hba.conf."},
    {{"create", "replacement", NULL},
     NULL,
     "CREATE REPLACEMENT is not supported",
     "Make a new materialized view and rename it: DDL is transactional here."},
    {{"alter", "connection", NULL}, NULL, "ALTER CONNECTION is not supported", NULL},
    {{"alter", "secret", NULL}, NULL, "ALTER SECRET is not supported", NULL},
    {{"alter", "sink", NULL}, NULL, "ALTER SINK is not supported", NULL},
    {{"alter", "source", NULL},
     NULL,
     "ALTER SOURCE is not supported",
     "Drop the source and make it anew; its tables can be altered."},
    {{"drop", "connection", NULL}, NULL, "DROP CONNECTION is not supported", NULL},
    {{"drop", "secret", NULL}, NULL, "DROP SECRET is not supported", NULL},
    {{"drop", "sink", NULL}, NULL, "DROP SINK is not supported", NULL},
    {{"validate", "connection", NULL}, NULL, "VALIDATE CONNECTION is not supported", NULL},
};

#define EXPLAIN_HINT                                                                               \
	"EXPLAIN shows PostgreSQL's plan of a query; freshet.explain('view') says how a view is kept."

/* EXPLAIN's forms of Materialize. */
static bool
parse_explain(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	static const char *const forms[] = {"raw",      "decorrelated", "locally",   "optimized",
	                                    "physical", "plan",         "timestamp", "filter",
	                                    "key",      "replan",       "subscribe"};
	SqlToken token;
	bool found = false;

	(void) sql_skip_parentheses(lexer);
	token = sql_next(lexer);
	if (sql_is(token, "verbose"))
		token = sql_next(lexer);
	if (sql_is(token, "analyze"))
	{
		sql_accept(lexer, "verbose");
		token = sql_next(lexer);
		found = sql_is(token, "cpu") || sql_is(token, "memory") || sql_is(token, "hints") ||
		        sql_is(token, "cluster");
	}
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		found = found || sql_is(token, forms[i]);
	if (found)
		refuse(
		    statement,
		    arena_printf(arena, "EXPLAIN %.*s is not supported", (int) token.length, token.start),
		    EXPLAIN_HINT);
	return found;
}

/* Is the token at the lexer's place what AS OF has behind it, and no alias? */
static bool
time_follows(const SqlLexer *lexer)
{
	SqlToken token = sql_peek(lexer);

	return token.kind == SQL_NUMBER || token.kind == SQL_STRING || token.kind == SQL_PARAMETER ||
	       sql_is(token, "at") || sql_is(token, "now") || sql_is(token, "mz_now");
}

/* A query: mz_now() is now(), AS OF is not supported. */
static void
parse_query(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	char *text = NULL;
	SqlToken token;

	while ((token = sql_next(lexer)).kind != SQL_END && token.kind != SQL_BAD)
	{
		size_t at = (size_t) (token.start - statement->text.start);

		if (sql_is(token, "as") && sql_accept(lexer, "of"))
		{
			if (time_follows(lexer))
			{
				refuse(statement, "SELECT … AS OF is not supported",
				       "A SELECT sees every commit before it. SUBSCRIBE takes AS OF.");
				return;
			}
		}
		else if (sql_is(token, "mutually") && sql_is(sql_peek(lexer), "recursive"))
		{
			refuse(statement, "WITH MUTUALLY RECURSIVE is not supported",
			       "Use WITH RECURSIVE; it is kept fresh too.");
			return;
		}
		else if (sql_is(token, "mz_now") && sql_is(sql_peek(lexer), "("))
		{
			/* as long as before, so that errors keep their places */
			if (text == NULL)
				text = arena_copy(arena, statement->text.start, statement->text.length);
			memcpy(text + at, "   now", strlen("mz_now"));
		}
	}
	if (text == NULL)
		return;
	statement->kind = MZ_REWRITTEN;
	statement->rewritten = text;
	statement->in_place = true;
}

/* SELECT of one function of Materialize's and nothing else; NULL: it is not that. */
static const char *
function_alone(SqlLexer lexer)
{
	static const struct
	{
		const char *name;
		const char *sql;
	} functions[] = {
	    {"mz_version", "SELECT 'v0.0.0 (Freshet on PostgreSQL ' OPERATOR(pg_catalog.||)"
	                   " pg_catalog.current_setting('server_version') OPERATOR(pg_catalog.||) ')'"
	                   " AS mz_version"},
	    {"mz_environment_id", "SELECT 'freshet-' OPERATOR(pg_catalog.||) c.system_identifier::"
	                          "pg_catalog.text AS mz_environment_id FROM"
	                          " pg_catalog.pg_control_system() AS c"},
	    {"mz_uptime", "SELECT pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)"
	                  " pg_catalog.pg_postmaster_start_time() AS mz_uptime"}};
	SqlToken name = sql_next(&lexer);

	if (!sql_accept_two(&lexer, "(", ")") || sql_peek(&lexer).kind != SQL_END)
		return NULL;
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
	{
		if (sql_is(name, functions[i].name))
			return functions[i].sql;
	}
	return NULL;
}

/* COPY … TO or FROM 's3://…'. */
static void
parse_copy_target(SqlLexer *lexer, MzStatement *statement)
{
	SqlToken token;

	while ((token = sql_next(lexer)).kind != SQL_END && token.kind != SQL_BAD)
	{
		if (token.kind == SQL_STRING && sql_mentions(token.start, token.length, "s3://"))
			refuse(statement, "COPY to and from S3 is not supported",
			       "Use COPY … TO STDOUT and hand the data on.");
	}
}

/* GRANT and REVOKE … ON CLUSTER. */
static void
parse_grant(SqlLexer *lexer, MzStatement *statement, const char *tag)
{
	SqlToken token;

	while ((token = sql_next(lexer)).kind != SQL_END && token.kind != SQL_BAD)
	{
		if (sql_is(token, "on") && sql_is(sql_peek(lexer), "cluster"))
			accept(statement, tag, ONE_MACHINE);
	}
}

/* PREPARE name [(types)] AS SUBSCRIBE …. */
static void
parse_prepare(SqlLexer lexer, MzStatement *statement)
{
	sql_next(&lexer);
	(void) sql_skip_parentheses(&lexer);
	if (sql_accept(&lexer, "as") && (sql_accept(&lexer, "subscribe") || sql_accept(&lexer, "tail")))
		refuse(statement, "PREPARE of SUBSCRIBE is not supported",
		       "Prepare it by the protocol, as drivers do with parameters.");
}

/* The statement is none that other files read; see the top of this one. */
void
mz_parse_head(Arena *arena, SqlLexer lexer, MzStatement *statement)
{
	SqlLexer head = lexer;
	SqlToken token;
	const char *alone;

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
	{
		SqlLexer look = lexer;

		if (!sql_accept_two(&look, heads[i].words[0], heads[i].words[1]) ||
		    (heads[i].words[2] != NULL && !sql_accept(&look, heads[i].words[2])))
			continue;
		if (heads[i].tag != NULL)
		{
			accept(statement, heads[i].tag, heads[i].error);
			statement->hint = heads[i].hint;
		}
		else
			refuse(statement, heads[i].error, heads[i].hint);
		return;
	}
	token = sql_next(&head);
	if (sql_is(token, "prepare"))
		parse_prepare(head, statement);
	else if (sql_is(token, "set") || sql_is(token, "reset"))
		parse_set(arena, &head, statement, sql_is(token, "reset"));
	else if (sql_is(token, "alter") && (sql_accept(&head, "role") || sql_accept(&head, "user")))
		parse_alter_role(arena, &head, statement);
	else if (sql_is(token, "grant") || sql_is(token, "revoke"))
		parse_grant(&head, statement, sql_is(token, "grant") ? "GRANT" : "REVOKE");
	else if (sql_is(token, "copy"))
		parse_copy_target(&head, statement);
	else if (sql_is(token, "explain"))
		parse_explain(arena, &head, statement);
	else if (sql_is(token, "select") && (alone = function_alone(head)) != NULL)
	{
		statement->kind = MZ_REWRITTEN;
		statement->rewritten = alone;
	}
	else if (sql_is(token, "select") || sql_is(token, "with") || sql_is(token, "create") ||
	         sql_is(token, "values") || sql_is(token, "("))
		parse_query(arena, &head, statement);
}
