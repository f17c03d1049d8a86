/*-------------------------------------------------------------------------
 *
 * cratedb.c
 *	  CrateDB's SQL, as far as it is not PostgreSQL's.
 *
 * An OBJECT is jsonb, and so is an ARRAY(OBJECT). Options by which CrateDB lays out
 * its shards mean nothing here: they are checked and handed to the door.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "translate/parser.h"

static void parse_object_type(Parser *parser);
static void parse_array_type(Parser *parser);

/* The columns inside of an OBJECT: (a TYPE, …). What they say is not checked. */
static void
parse_object_columns(Parser *parser)
{
	Mark mark = parser_mark(parser);

	parser_take_expected(parser, "(");
	do
	{
		parse_name(parser);
		parse_type(parser);
		if (parser_accept(parser, "index"))
			parser_expect(parser, "off");
	} while (parser_take(parser, ","));
	parser_take_expected(parser, ")");
	emit_cut(parser, mark);
}

/* OBJECT [(DYNAMIC | STRICT | IGNORED)] [AS (…)] */
static void
parse_object_type(Parser *parser)
{
	if (parser_is_two(parser, "(", "strict"))
		parser_refuse(parser, parser_at(parser), "OBJECT(STRICT)");
	if (parser_accept(parser, "("))
	{
		if (!parser_accept(parser, "dynamic"))
			parser_expect(parser, "ignored");
		parser_expect(parser, ")");
	}
	if (parser_accept(parser, "as"))
		parse_object_columns(parser);
}

/* ARRAY(TYPE): of objects it is jsonb, else an array */
static void
parse_array_type(Parser *parser)
{
	bool objects;

	parser_expect(parser, "(");
	objects = parser_is(parser, "object");
	parse_type(parser);
	parser_expect(parser, ")");
	if (!objects)
		emit(parser, "[]");
}

static const TypeRule types[] = {
    {"boolean", "boolean", 0, false, NULL},
    {"bool", "boolean", 0, false, NULL},
    {"text", "text", 0, false, NULL},
    {"string", "text", 0, false, NULL},
    {"varchar", "varchar", 1, false, NULL},
    {"character varying", "varchar", 1, false, NULL},
    {"char", "char", 1, false, NULL},
    {"character", "char", 1, false, NULL},
    {"byte", "smallint", 0, false, NULL},
    {"short", "smallint", 0, false, NULL},
    {"smallint", "smallint", 0, false, NULL},
    {"int2", "smallint", 0, false, NULL},
    {"int", "integer", 0, false, NULL},
    {"integer", "integer", 0, false, NULL},
    {"int4", "integer", 0, false, NULL},
    {"long", "bigint", 0, false, NULL},
    {"bigint", "bigint", 0, false, NULL},
    {"int8", "bigint", 0, false, NULL},
    {"real", "real", 0, false, NULL},
    {"float", "real", 0, false, NULL},
    {"float4", "real", 0, false, NULL},
    {"double", "double precision", 0, false, NULL},
    {"double precision", "double precision", 0, false, NULL},
    {"float8", "double precision", 0, false, NULL},
    {"numeric", "numeric", 2, false, NULL},
    {"decimal", "numeric", 2, false, NULL},
    {"timestamp", "timestamp", 0, false, NULL},
    {"timestamp without time zone", "timestamp", 0, false, NULL},
    {"timestamp with time zone", "timestamptz", 0, false, NULL},
    {"timestamptz", "timestamptz", 0, false, NULL},
    {"date", "date", 0, false, NULL},
    {"time with time zone", "timetz", 0, false, NULL},
    {"timetz", "timetz", 0, false, NULL},
    {"interval", "interval", 0, false, NULL},
    {"bit", "bit", 1, false, NULL},
    {"ip", "inet", 0, false, NULL},
    {"uuid", "uuid", 0, false, NULL},
    {"json", "json", 0, false, NULL},
    {"regclass", "regclass", 0, false, NULL},
    {"regproc", "regproc", 0, false, NULL},
    {"regtype", "regtype", 0, false, NULL},
    {"oid", "oid", 0, false, NULL},
    {"name", "name", 0, false, NULL},
    {"geo_point", "point", 0, false, NULL},
    {"geo_shape", "jsonb", 0, false, NULL},
    {"float_vector", "real[]", 1, true, NULL},
    {"object", "jsonb", 0, false, parse_object_type},
    {"array", NULL, 0, false, parse_array_type},
    {NULL, NULL, 0, false, NULL},
};

/* try_cast(x AS type): NULL where the cast fails, which PostgreSQL 15 cannot say. */
static void
refuse_function(Parser *parser)
{
	SqlToken name = parser->token;

	parser_refuse(parser, parser_at(parser),
	              arena_printf(parser->arena, "function %.*s", (int) name.length, name.start));
}

static const FunctionRule functions[] = {
    {"try_cast", NULL, refuse_function, VALUE_OTHER},
    {"match", NULL, refuse_function, VALUE_OTHER},
    {"knn_match", NULL, refuse_function, VALUE_OTHER},
    {"arbitrary", "min", NULL, VALUE_OTHER},
    {"any_value", "min", NULL, VALUE_OTHER},
    {NULL, NULL, NULL, VALUE_OTHER},
};

static const SchemaRule schemas[] = {
    {"information_schema", "crate_information_schema"},
    {NULL, NULL},
};

/* The options that CREATE TABLE … WITH takes; none of them changes a result. */
static const char *const table_options[] = {"number_of_replicas",
                                            "refresh_interval",
                                            "column_policy",
                                            "codec",
                                            "mapping.",
                                            "blocks.",
                                            "translog.",
                                            "write.",
                                            "allocation.",
                                            "routing.",
                                            "merge.",
                                            "store.",
                                            "unassigned.",
                                            "soft_deletes.",
                                            "max_ngram_diff",
                                            "max_shingle_diff",
                                            NULL};

/* A name with dots: "translog.durability", translog.durability */
static const char *
read_option_name(Parser *parser)
{
	Text name;

	text_init(&name, parser->arena);
	text_append(&name, read_name(parser));
	while (parser_accept(parser, "."))
	{
		text_append(&name, ".");
		text_append(&name, read_name(parser));
	}
	return name.data;
}

/* WITH (name = value, …) of a table */
static void
parse_table_options(Parser *parser)
{
	parser_expect(parser, "(");
	do
	{
		size_t at = parser_at(parser);
		const char *name = read_option_name(parser);
		const char *const *known = table_options;

		while (*known != NULL && strncmp(*known, name, strlen(*known)) != 0)
			known++;
		if (*known == NULL)
			parser_fail(parser, "22023", at,
			            "Invalid property \"%s\" passed to [ALTER | CREATE] TABLE statement", name);
		parser_expect(parser, "=");
		parser_add_option(parser, name, read_value(parser), false);
	} while (parser_accept(parser, ","));
	parser_expect(parser, ")");
}

/* Go past parentheses with expressions in them. */
static void
skip_expressions(Parser *parser)
{
	Mark mark = parser_mark(parser);

	parser_take_expected(parser, "(");
	parse_expressions(parser);
	parser_take_expected(parser, ")");
	emit_cut(parser, mark);
}

/* CLUSTERED, PARTITIONED and WITH behind a table's columns */
static void
parse_table_tail(Parser *parser)
{
	for (;;)
	{
		size_t from = parser_at(parser);

		if (parser_accept(parser, "clustered"))
		{
			if (parser_accept(parser, "by"))
				skip_expressions(parser);
			if (parser_accept(parser, "into"))
			{
				if (parser->token.kind != SQL_NUMBER)
					parser_syntax(parser);
				parser_skip(parser);
				parser_expect(parser, "shards");
			}
			parser_add_option(parser, "CLUSTERED", parser_source(parser, from, parser->previous),
			                  false);
		}
		else if (parser_accept(parser, "partitioned by"))
		{
			skip_expressions(parser);
			parser_add_option(parser, "PARTITIONED BY",
			                  parser_source(parser, from, parser->previous), false);
		}
		else if (parser_accept(parser, "with"))
			parse_table_options(parser);
		else
			break;
	}
}

/* What CrateDB adds behind a column. */
static bool
parse_column_option(Parser *parser)
{
	if (parser_is_two(parser, "index", "using"))
	{
		parser_accept(parser, "index using");
		if (parser_is(parser, "fulltext"))
			parser_refuse(parser, parser_at(parser), "INDEX USING FULLTEXT");
		if (!parser_accept(parser, "plain"))
			read_name(parser);
	}
	else if (parser_accept(parser, "index"))
		parser_expect(parser, "off");
	else if (parser_accept(parser, "storage"))
	{
		parser_expect(parser, "with");
		parser_expect(parser, "(");
		parser_expect(parser, "columnstore");
		parser_expect(parser, "=");
		read_value(parser);
		parser_expect(parser, ")");
	}
	else if (parser_is(parser, "generated") || parser_is(parser, "as"))
	{
		if (parser_accept(parser, "generated"))
			parser_expect(parser, "always");
		emit(parser, " GENERATED ALWAYS");
		parser_take_expected(parser, "as");
		emit(parser, " (");
		parse_expression(parser);
		emit(parser, ") STORED");
	}
	else
		return false;
	return true;
}

/* CREATE TABLE t ( … ) … | AS query */
static void
parse_create_table(Parser *parser)
{
	emit(parser, "CREATE TABLE");
	parse_if_not_exists(parser);
	parser->statement->relation = parse_relation(parser);
	if (parser_take(parser, "as"))
	{
		parse_named_query(parser);
		return;
	}
	parse_table_elements(parser);
	parse_table_tail(parser);
}

/* WITH (password = '…') of a user */
static void
parse_password(Parser *parser)
{
	if (!parser_accept(parser, "with"))
		return;
	parser_expect(parser, "(");
	if (!parser_accept(parser, "password"))
		parser_refuse(parser, parser_at(parser), "a user's property other than the password");
	parser_expect(parser, "=");
	emit(parser, " PASSWORD ");
	parse_string(parser);
	parser_expect(parser, ")");
}

/* CREATE USER u [WITH (password = '…')] */
static void
parse_create_user(Parser *parser)
{
	emit(parser, "CREATE ROLE");
	parser->statement->relation.name = parse_name(parser);
	emit(parser, " LOGIN");
	parse_password(parser);
}

/* CREATE ROLE r */
static void
parse_create_role(Parser *parser)
{
	emit(parser, "CREATE ROLE");
	parser->statement->relation.name = parse_name(parser);
}

static const ObjectRule objects[] = {
    {"TABLE", parse_create_table, "TABLE", false},
    {"MATERIALIZED VIEW", parse_materialized_view, "MATERIALIZED VIEW", false},
    {"VIEW", parse_view, "VIEW", false},
    {"SCHEMA", NULL, "SCHEMA", true},
    {"USER", parse_create_user, "ROLE", true},
    {"ROLE", parse_create_role, "ROLE", true},
    {"BLOB TABLE", NULL, NULL, false},
    {"FUNCTION", NULL, NULL, false},
    {"ANALYZER", NULL, NULL, false},
    {"REPOSITORY", NULL, NULL, false},
    {"SNAPSHOT", NULL, NULL, false},
    {"SERVER", NULL, NULL, false},
    {"FOREIGN TABLE", NULL, NULL, false},
    {"SUBSCRIPTION", NULL, NULL, false},
    {"PUBLICATION", NULL, NULL, false},
    {NULL, NULL, NULL, false},
};

/* REFRESH TABLE a, b: rows are seen at once, but a table that is not there is an error. */
static void
parse_refresh(Parser *parser)
{
	emit(parser, "SELECT ");
	do
	{
		if (parser->statement->relation.name != NULL)
			emit(parser, ", ");
		parser->statement->relation = read_relation(parser);
		emit_regclass(parser, parser->statement->relation);
	} while (parser_accept(parser, ","));
}

/* SET [SESSION | LOCAL | GLOBAL] a = 1, b = 2 */
static void
parse_set(Parser *parser)
{
	bool global = parser_accept(parser, "global");
	bool several = global;

	if (global && !parser_accept(parser, "persistent"))
		parser_accept(parser, "transient");
	if (!global && !parser_accept(parser, "session"))
		parser_accept(parser, "local");
	do
	{
		const char *name = read_option_name(parser);
		Text value;

		if (!parser_accept(parser, "="))
			parser_expect(parser, "to");
		text_init(&value, parser->arena);
		text_append(&value, read_value(parser));
		while (!several && parser_accept(parser, ","))
		{
			text_append(&value, ", ");
			text_append(&value, read_value(parser));
		}
		parser_add_option(parser, name, value.data, global);
	} while (several && parser_accept(parser, ","));
}

/* RESET [GLOBAL] a, b */
static void
parse_reset(Parser *parser)
{
	parser_accept(parser, "global");
	if (parser_accept(parser, "all"))
		return;
	do
		parser_add_name(parser, read_option_name(parser));
	while (parser_accept(parser, ","));
}

/* [LIKE '…'] of a SHOW */
static void
parse_show_like(Parser *parser, const char *column, bool first)
{
	if (!parser_is(parser, "like"))
		return;
	emit_printf(parser, first ? " WHERE %s" : " AND %s", column);
	emit_token(parser);
	parse_string(parser);
}

/* FROM or IN of a SHOW, and the schema's name as a literal; false: none. */
static bool
parse_show_from(Parser *parser)
{
	if (!parser_accept(parser, "from") && !parser_accept(parser, "in"))
		return false;
	emit_literal(parser, read_name(parser));
	return true;
}

/* SHOW TABLES [FROM s] [LIKE '…'] */
static void
parse_show_tables(Parser *parser)
{
	emit(parser, "SELECT table_name FROM crate_information_schema.tables WHERE ");
	if (parser_is(parser, "from") || parser_is(parser, "in"))
	{
		emit(parser, "table_schema = ");
		parse_show_from(parser);
	}
	else
		emit(parser, "table_schema NOT IN ('sys', 'information_schema', 'pg_catalog', 'blob')");
	parse_show_like(parser, "table_name", false);
	emit(parser, " ORDER BY 1");
}

/* SHOW SCHEMAS [LIKE '…'] */
static void
parse_show_schemas(Parser *parser)
{
	emit(parser, "SELECT schema_name FROM crate_information_schema.schemata");
	parse_show_like(parser, "schema_name", true);
	emit(parser, " ORDER BY 1");
}

/* SHOW COLUMNS FROM t [FROM s] [LIKE '…'] */
static void
parse_show_columns(Parser *parser)
{
	emit(parser, "SELECT column_name, data_type FROM crate_information_schema.columns "
	             "WHERE table_name = ");
	if (!parse_show_from(parser))
		parser_syntax(parser);
	emit(parser, " AND table_schema = ");
	if (!parse_show_from(parser))
		emit(parser, "current_schema()");
	parse_show_like(parser, "column_name", false);
	emit(parser, " ORDER BY 1");
}

/* SHOW setting */
static void
parse_show(Parser *parser)
{
	emit(parser, "SHOW ");
	emit_name(parser, read_option_name(parser), parser_at(parser), false);
}

/* KILL ALL, KILL 'id' */
static void
parse_kill(Parser *parser)
{
	if (parser_accept(parser, "all"))
		return;
	parser_add_name(parser, read_string(parser));
}

/* Rest of what a transaction's begin may say. */
static void
parse_begin(Parser *parser)
{
	if (!parser_accept(parser, "transaction"))
		parser_accept(parser, "work");
}

/* OPTIMIZE TABLE t [PARTITION (…)] [WITH (…)]: nothing has to be done. */
static void
parse_optimize(Parser *parser)
{
	parse_refresh(parser);
	if (parser_accept(parser, "with"))
	{
		parser_expect(parser, "(");
		do
		{
			read_option_name(parser);
			parser_expect(parser, "=");
			read_value(parser);
		} while (parser_accept(parser, ","));
		parser_expect(parser, ")");
	}
}

/* ANALYZE */
static void
parse_analyze(Parser *parser)
{
	emit(parser, "ANALYZE");
}

/* longer ones before those they begin with */
static const StatementRule statements[] = {
    {"INSERT INTO", STATEMENT_INSERT, parse_insert},
    {"UPDATE", STATEMENT_UPDATE, parse_update},
    {"DELETE FROM", STATEMENT_DELETE, parse_delete},
    {"CREATE", STATEMENT_DEFINE, parse_create},
    {"DROP", STATEMENT_DEFINE, parse_drop},
    {"ALTER TABLE", STATEMENT_DEFINE, parse_alter_table},
    {"REFRESH TABLE", STATEMENT_REFRESH, parse_refresh},
    {"OPTIMIZE TABLE", STATEMENT_REFRESH, parse_optimize},
    {"ANALYZE", STATEMENT_DEFINE, parse_analyze},
    {"EXPLAIN", STATEMENT_QUERY, parse_explain},
    {"SHOW TABLES", STATEMENT_QUERY, parse_show_tables},
    {"SHOW SCHEMAS", STATEMENT_QUERY, parse_show_schemas},
    {"SHOW COLUMNS", STATEMENT_QUERY, parse_show_columns},
    {"SHOW CREATE TABLE", STATEMENT_QUERY, parse_refused},
    {"SHOW", STATEMENT_QUERY, parse_show},
    {"SET", STATEMENT_SET, parse_set},
    {"RESET", STATEMENT_RESET, parse_reset},
    {"BEGIN", STATEMENT_BEGIN, parse_begin},
    {"START TRANSACTION", STATEMENT_BEGIN, parse_nothing},
    {"COMMIT", STATEMENT_COMMIT, parse_begin},
    {"END", STATEMENT_COMMIT, parse_begin},
    {"DISCARD ALL", STATEMENT_RESET, parse_nothing},
    {"KILL", STATEMENT_KILL, parse_kill},
    {"COPY", STATEMENT_COPY_INTO, parse_refused},
    {"GRANT", STATEMENT_DEFINE, parse_refused},
    {"REVOKE", STATEMENT_DEFINE, parse_refused},
    {"DENY", STATEMENT_DEFINE, parse_refused},
    {NULL, STATEMENT_QUERY, NULL},
};

/* words that PostgreSQL reserves and CrateDB does not */
static const char *const names[] = {"user",    "default",   "analyse",    "analyze",
                                    "placing", "symmetric", "asymmetric", "variadic",
                                    "collate", "initially", "deferrable", "only",
                                    "both",    "leading",   "trailing",   NULL};

const DialectRules cratedb_rules = {
    .name = "CrateDB",
    .statements = statements,
    .objects = objects,
    .types = types,
    .functions = functions,
    .schemas = schemas,
    .names = names,
    .column_option = parse_column_option,
    .table_options = parse_table_options,
};
