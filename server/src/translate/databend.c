/*-------------------------------------------------------------------------
 *
 * databend.c
 *	  Databend's SQL, as far as it is not PostgreSQL's.
 *
 * A database is a schema. What PostgreSQL has no word for is in three schemas that the
 * door makes (dialect/databend/library.sql): `databend` has types and functions,
 * `databend_system` and `databend_information_schema` are system and information_schema.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "translate/parser.h"

/* Nullable(T) */
static void
parse_nullable(Parser *parser)
{
	parser_expect(parser, "(");
	parse_type(parser);
	parser_expect(parser, ")");
}

/* ARRAY(T) */
static void
parse_array_type(Parser *parser)
{
	parse_nullable(parser);
	emit(parser, "[]");
}

/* MAP(K, V), TUPLE(A, B): jsonb */
static void
parse_parameters(Parser *parser)
{
	Mark mark = parser_mark(parser);

	parser_expect(parser, "(");
	do
	{
		/* TUPLE(a INT, b INT) has names */
		if (!parser_is_type(parser))
			read_name(parser);
		parse_type(parser);
	} while (parser_accept(parser, ","));
	parser_expect(parser, ")");
	emit_cut(parser, mark);
}

/* DECIMAL without numbers is DECIMAL(18, 3). */
static void
parse_decimal(Parser *parser)
{
	if (!parser_is(parser, "("))
		emit(parser, "(18, 3)");
}

/* Integers of a range that PostgreSQL has no type for are domains. */
static const TypeRule types[] = {
    {"boolean", "boolean", 0, false, NULL},
    {"bool", "boolean", 0, false, NULL},
    {"tinyint", "databend.tinyint", 0, false, NULL},
    {"int8", "databend.tinyint", 0, false, NULL},
    {"tinyint unsigned", "databend.tinyint_unsigned", 0, false, NULL},
    {"uint8", "databend.tinyint_unsigned", 0, false, NULL},
    {"smallint", "smallint", 0, false, NULL},
    {"int16", "smallint", 0, false, NULL},
    {"smallint unsigned", "databend.smallint_unsigned", 0, false, NULL},
    {"uint16", "databend.smallint_unsigned", 0, false, NULL},
    {"int", "integer", 0, false, NULL},
    {"integer", "integer", 0, false, NULL},
    {"int32", "integer", 0, false, NULL},
    {"int unsigned", "databend.int_unsigned", 0, false, NULL},
    {"integer unsigned", "databend.int_unsigned", 0, false, NULL},
    {"uint32", "databend.int_unsigned", 0, false, NULL},
    {"bigint", "bigint", 0, false, NULL},
    {"int64", "bigint", 0, false, NULL},
    {"signed", "bigint", 0, false, NULL},
    {"bigint unsigned", "databend.bigint_unsigned", 0, false, NULL},
    {"uint64", "databend.bigint_unsigned", 0, false, NULL},
    {"unsigned", "databend.bigint_unsigned", 0, false, NULL},
    {"float", "real", 0, false, NULL},
    {"float32", "real", 0, false, NULL},
    {"real", "real", 0, false, NULL},
    {"double", "double precision", 0, false, NULL},
    {"double precision", "double precision", 0, false, NULL},
    {"float64", "double precision", 0, false, NULL},
    {"decimal", "numeric", 2, false, parse_decimal},
    {"numeric", "numeric", 2, false, parse_decimal},
    {"string", "text", 0, false, NULL},
    {"text", "text", 0, false, NULL},
    {"varchar", "text", 1, true, NULL},
    {"char", "text", 1, true, NULL},
    {"character", "text", 1, true, NULL},
    {"binary", "bytea", 1, true, NULL},
    {"varbinary", "bytea", 1, true, NULL},
    {"date", "date", 0, false, NULL},
    {"timestamp", "timestamptz", 1, true, NULL},
    {"datetime", "timestamptz", 1, true, NULL},
    {"timestamp_tz", "timestamptz", 0, false, NULL},
    {"interval", "interval", 0, false, NULL},
    {"variant", "jsonb", 0, false, NULL},
    {"json", "jsonb", 0, false, NULL},
    {"map", "jsonb", 0, false, parse_parameters},
    {"tuple", "jsonb", 0, false, parse_parameters},
    {"array", NULL, 0, false, parse_array_type},
    {"nullable", NULL, 0, false, parse_nullable},
    {"vector", "real[]", 1, true, NULL},
    {NULL, NULL, 0, false, NULL},
};

/* A function that is not here. */
static void
refuse_function(Parser *parser)
{
	parser_refuse(
	    parser, parser_at(parser),
	    arena_printf(parser->arena, "function %s", sql_name(parser->arena, parser->token)));
}

/* if(a, b, c, d, e): CASE WHEN a THEN b WHEN c THEN d ELSE e END */
static void
parse_if(Parser *parser)
{
	parser_replace(parser, "CASE");
	parser_expect(parser, "(");
	for (int count = 0;; count++)
	{
		Mark mark = parser_mark(parser);
		bool last;

		parse_expression(parser);
		last = count > 0 && parser_is(parser, ")");
		emit_after(parser, mark, last ? " ELSE " : " WHEN ");
		if (last)
			break;
		parser_expect(parser, ",");
		emit(parser, " THEN ");
		parse_expression(parser);
		parser_expect(parser, ",");
	}
	parser_expect(parser, ")");
	emit(parser, " END");
}

static const FunctionRule functions[] = {
    {"add_days", "($1 + $2 * INTERVAL '1 day')", NULL, VALUE_OTHER},
    {"add_hours", "($1 + $2 * INTERVAL '1 hour')", NULL, VALUE_OTHER},
    {"add_months", "($1 + $2 * INTERVAL '1 month')", NULL, VALUE_OTHER},
    {"add_years", "($1 + $2 * INTERVAL '1 year')", NULL, VALUE_OTHER},
    {"any", "min($1)@", NULL, VALUE_OTHER},
    {"any_value", "min($1)@", NULL, VALUE_OTHER},
    {"approx_count_distinct", "count(DISTINCT $1)@", NULL, VALUE_OTHER},
    {"arg_max", "(array_agg($1 ORDER BY $2 DESC NULLS LAST))[1]", NULL, VALUE_OTHER},
    {"arg_min", "(array_agg($1 ORDER BY $2 NULLS LAST))[1]", NULL, VALUE_OTHER},
    {"avg", "(avg($1)@)::double precision", NULL, VALUE_OTHER},
    /* NULL if any of them is, which PostgreSQL's is not */
    {"concat", "($1)::text", NULL, VALUE_OTHER},
    {"concat", "(($1)::text || ($2)::text)", NULL, VALUE_OTHER},
    {"concat", "(($1)::text || ($2)::text || ($3)::text)", NULL, VALUE_OTHER},
    {"concat", "(($1)::text || ($2)::text || ($3)::text || ($4)::text)", NULL, VALUE_OTHER},
    {"contains", "($2 = ANY($1))", NULL, VALUE_OTHER},
    {"count_if", "count(*) FILTER (WHERE $1)", NULL, VALUE_OTHER},
    {"currentdatabase", "current_schema()", NULL, VALUE_OTHER},
    {"current_database", "current_schema()", NULL, VALUE_OTHER},
    {"database", "current_schema()", NULL, VALUE_OTHER},
    {"date_add", "($3 + $2 * ('1 ' || %1)::interval)", NULL, VALUE_OTHER},
    {"date_diff", "databend.date_diff(%1, $2, $3)", NULL, VALUE_OTHER},
    {"date_sub", "($3 - $2 * ('1 ' || %1)::interval)", NULL, VALUE_OTHER},
    {"date_trunc", "date_trunc(%1, $2)", NULL, VALUE_OTHER},
    {"group_array", "array_agg($1)@", NULL, VALUE_OTHER},
    {"group_concat", "string_agg($1, '')@", NULL, VALUE_OTHER},
    {"group_concat", "string_agg($1, $2)@", NULL, VALUE_OTHER},
    {"if", NULL, parse_if, VALUE_OTHER},
    {"iff", NULL, parse_if, VALUE_OTHER},
    {"ifnull", "coalesce($1, $2)", NULL, VALUE_OTHER},
    {"instr", "strpos($1, $2)", NULL, VALUE_OTHER},
    {"is_not_null", "($1 IS NOT NULL)", NULL, VALUE_OTHER},
    {"is_null", "($1 IS NULL)", NULL, VALUE_OTHER},
    {"json_extract_path_text", NULL, refuse_function, VALUE_OTHER},
    {"listagg", "string_agg($1, '')@", NULL, VALUE_OTHER},
    {"listagg", "string_agg($1, $2)@", NULL, VALUE_OTHER},
    {"locate", "strpos($2, $1)", NULL, VALUE_OTHER},
    {"log", "ln($1)", NULL, VALUE_OTHER},
    {"log", "log($1, $2)", NULL, VALUE_OTHER},
    {"log10", "log($1)", NULL, VALUE_OTHER},
    {"log2", "log(2, $1)", NULL, VALUE_OTHER},
    {"median", "percentile_cont(0.5) WITHIN GROUP (ORDER BY $1)", NULL, VALUE_OTHER},
    {"mid", "substr($1, $2)", NULL, VALUE_OTHER},
    {"mid", "substr($1, $2, $3)", NULL, VALUE_OTHER},
    {"nextval", NULL, refuse_function, VALUE_OTHER},
    {"numbers", "databend.numbers", NULL, VALUE_OTHER},
    {"nvl", "coalesce($1, $2)", NULL, VALUE_OTHER},
    {"nvl2", "CASE WHEN $1 IS NOT NULL THEN $2 ELSE $3 END", NULL, VALUE_OTHER},
    {"object_construct", "jsonb_build_object($*)", NULL, VALUE_JSON},
    {"object_construct", "jsonb_build_object()", NULL, VALUE_JSON},
    {"parse_json", "($1)::jsonb", NULL, VALUE_JSON},
    {"plus", "($1 + $2)", NULL, VALUE_OTHER},
    {"minus", "($1 - $2)", NULL, VALUE_OTHER},
    {"multiply", "($1 * $2)", NULL, VALUE_OTHER},
    {"divide", "databend.divide($1, $2)", NULL, VALUE_OTHER},
    {"modulo", "mod($1, $2)", NULL, VALUE_OTHER},
    {"pow", "power($1, $2)", NULL, VALUE_OTHER},
    {"rand", "random()", NULL, VALUE_OTHER},
    {"regexp_like", "($1 ~ $2)", NULL, VALUE_OTHER},
    {"round", "round($1)", NULL, VALUE_OTHER},
    {"round", "databend.round($1, $2)", NULL, VALUE_OTHER},
    {"sleep", NULL, refuse_function, VALUE_OTHER},
    {"split", "string_to_array($1, $2)", NULL, VALUE_OTHER},
    {"subtract_days", "($1 - $2 * INTERVAL '1 day')", NULL, VALUE_OTHER},
    {"sum_if", "sum($1) FILTER (WHERE $2)", NULL, VALUE_OTHER},
    {"to_boolean", "($1)::boolean", NULL, VALUE_OTHER},
    {"to_date", "($1)::date", NULL, VALUE_OTHER},
    {"to_datetime", "($1)::timestamptz", NULL, VALUE_OTHER},
    {"to_day_of_month", "extract(day from $1)::smallint", NULL, VALUE_OTHER},
    {"to_day_of_week", "extract(isodow from $1)::smallint", NULL, VALUE_OTHER},
    {"to_day_of_year", "extract(doy from $1)::smallint", NULL, VALUE_OTHER},
    {"to_float32", "($1)::real", NULL, VALUE_OTHER},
    {"to_float64", "($1)::double precision", NULL, VALUE_OTHER},
    {"to_hour", "extract(hour from $1)::smallint", NULL, VALUE_OTHER},
    {"to_int16", "($1)::smallint", NULL, VALUE_OTHER},
    {"to_int32", "($1)::integer", NULL, VALUE_OTHER},
    {"to_int64", "($1)::bigint", NULL, VALUE_OTHER},
    {"to_int8", "($1)::databend.tinyint", NULL, VALUE_OTHER},
    {"to_interval", "($1)::interval", NULL, VALUE_OTHER},
    {"to_minute", "extract(minute from $1)::smallint", NULL, VALUE_OTHER},
    {"to_month", "extract(month from $1)::smallint", NULL, VALUE_OTHER},
    {"to_quarter", "extract(quarter from $1)::smallint", NULL, VALUE_OTHER},
    {"to_second", "extract(second from $1)::smallint", NULL, VALUE_OTHER},
    {"to_start_of_day", "date_trunc('day', $1)", NULL, VALUE_OTHER},
    {"to_start_of_hour", "date_trunc('hour', $1)", NULL, VALUE_OTHER},
    {"to_start_of_minute", "date_trunc('minute', $1)", NULL, VALUE_OTHER},
    {"to_start_of_month", "date_trunc('month', $1)::date", NULL, VALUE_OTHER},
    {"to_start_of_quarter", "date_trunc('quarter', $1)::date", NULL, VALUE_OTHER},
    {"to_start_of_year", "date_trunc('year', $1)::date", NULL, VALUE_OTHER},
    {"to_string", "($1)::text", NULL, VALUE_OTHER},
    {"to_timestamp", "($1)::timestamptz", NULL, VALUE_OTHER},
    {"to_uint16", "($1)::databend.smallint_unsigned", NULL, VALUE_OTHER},
    {"to_uint32", "($1)::databend.int_unsigned", NULL, VALUE_OTHER},
    {"to_uint64", "($1)::databend.bigint_unsigned", NULL, VALUE_OTHER},
    {"to_uint8", "($1)::databend.tinyint_unsigned", NULL, VALUE_OTHER},
    {"to_varchar", "($1)::text", NULL, VALUE_OTHER},
    {"to_variant", "to_jsonb($1)", NULL, VALUE_JSON},
    {"to_year", "extract(year from $1)::smallint", NULL, VALUE_OTHER},
    {"to_yyyymm", "to_char($1, 'YYYYMM')::integer", NULL, VALUE_OTHER},
    {"to_yyyymmdd", "to_char($1, 'YYYYMMDD')::integer", NULL, VALUE_OTHER},
    {"today", "(CURRENT_DATE)", NULL, VALUE_OTHER},
    {"tomorrow", "(CURRENT_DATE + 1)", NULL, VALUE_OTHER},
    {"truncate", "trunc($1)", NULL, VALUE_OTHER},
    {"try_cast", NULL, refuse_function, VALUE_OTHER},
    {"uniq", "count(DISTINCT $1)@", NULL, VALUE_OTHER},
    {"user", "databend.account()", NULL, VALUE_OTHER},
    {"uuid", "gen_random_uuid()", NULL, VALUE_OTHER},
    {"version", "databend.version()", NULL, VALUE_OTHER},
    {"year", "extract(year from $1)::smallint", NULL, VALUE_OTHER},
    {"month", "extract(month from $1)::smallint", NULL, VALUE_OTHER},
    {"day", "extract(day from $1)::smallint", NULL, VALUE_OTHER},
    {"hour", "extract(hour from $1)::smallint", NULL, VALUE_OTHER},
    {"yesterday", "(CURRENT_DATE - 1)", NULL, VALUE_OTHER},
    {NULL, NULL, NULL, VALUE_OTHER},
};

static const SchemaRule schemas[] = {
    {"information_schema", "databend_information_schema"},
    {"system", "databend_system"},
    {NULL, NULL},
};

/* A value, or a name in quotes. */
static const char *
read_named_value(Parser *parser)
{
	return parser->token.kind == SQL_QUOTED ? read_name(parser) : read_value(parser);
}

/* name = value */
static void
parse_option(Parser *parser, const char *prefix)
{
	const char *name;

	if (!parser_is_word(parser))
		parser_syntax(parser);
	name = sql_name(parser->arena, parser->token);
	parser_skip(parser);
	parser_expect(parser, "=");
	parser_add_option(parser, arena_printf(parser->arena, "%s%s", prefix, name),
	                  read_named_value(parser), false);
}

/* ENGINE = …, CLUSTER BY (…), COMMENT = '…' behind a table's columns */
static void
parse_table_tail(Parser *parser)
{
	Mark mark = parser_mark(parser);

	for (;;)
	{
		if (parser_accept(parser, "engine"))
		{
			parser_expect(parser, "=");
			if (!parser_accept(parser, "fuse") && !parser_accept(parser, "memory"))
				parser_refuse(parser, parser_at(parser),
				              "a table engine other than fuse and memory");
		}
		else if (parser_accept(parser, "cluster by"))
		{
			if (!parser_accept(parser, "linear"))
				parser_accept(parser, "hilbert");
			parser_expect(parser, "(");
			parse_expressions(parser);
			parser_expect(parser, ")");
		}
		else if (parser_accept(parser, "comment"))
		{
			Text comment;
			const char *text;

			parser_accept(parser, "=");
			text = read_string(parser);
			text_init(&comment, parser->arena);
			text_append(&comment, "COMMENT ON TABLE ");
			text_qualified(&comment, parser->statement->relation.schema,
			               parser->statement->relation.name);
			text_append(&comment, " IS ");
			text_literal(&comment, text);
			parser_add_after(parser, comment.data);
		}
		else
			break;
	}
	emit_cut(parser, mark);
}

/* What Databend adds behind a column. */
static bool
parse_column_option(Parser *parser)
{
	if (parser_is(parser, "comment"))
		parser_refuse(parser, parser_at(parser), "a comment of a column");
	if (!parser_accept(parser, "as"))
		return false;
	parser_expect(parser, "(");
	emit(parser, " GENERATED ALWAYS AS (");
	parse_expression(parser);
	parser_expect(parser, ")");
	if (!parser_accept(parser, "stored"))
		parser_refuse(parser, parser_at(parser), "a virtual column");
	emit(parser, ") STORED");
	return true;
}

/* CREATE TABLE t (…) … | LIKE t | AS query */
static void
parse_create_table(Parser *parser)
{
	emit(parser, parser->temporary ? "CREATE TEMPORARY TABLE" : "CREATE TABLE");
	parser->statement->temporary = parser->temporary;
	parse_if_not_exists(parser);
	parser->statement->relation = parse_relation(parser);
	if (parser->temporary && parser->or_replace)
		parser_refuse(parser, parser->statement->at, "CREATE OR REPLACE TEMPORARY TABLE");
	parse_or_replace(parser, "TABLE");
	if (parser_accept(parser, "like"))
	{
		emit(parser, " (LIKE ");
		parse_relation(parser);
		emit(parser, " INCLUDING DEFAULTS INCLUDING GENERATED)");
		return;
	}
	if (parser_is(parser, "("))
		parse_table_elements(parser);
	else if (!parser_is(parser, "as") && !parser_is(parser, "engine"))
		parser_syntax(parser);
	parse_table_tail(parser);
	if (parser_take(parser, "as"))
		parse_named_query(parser);
}

/* CREATE DATABASE d: who may do all can do all in it. */
static void
parse_create_database(Parser *parser)
{
	Text grant;

	emit(parser, "CREATE SCHEMA");
	parse_if_not_exists(parser);
	parser->statement->relation.name = parse_name(parser);
	parse_or_replace(parser, "SCHEMA");
	if (parser_accept(parser, "engine"))
	{
		parser_expect(parser, "=");
		parser_expect(parser, "default");
	}
	text_init(&grant, parser->arena);
	text_append(&grant, "SELECT databend.share_database(");
	text_literal(&grant, parser->statement->relation.name);
	text_append(&grant, ")");
	parser_add_after(parser, grant.data);
}

/* A user's or role's name: u, 'u', 'u'@'%' */
static const char *
read_user(Parser *parser)
{
	size_t at = parser_at(parser);
	const char *name;

	if (parser->token.kind == SQL_STRING)
		name = read_string(parser);
	else
		name = read_name(parser);
	if (*name == '\0' || strlen(name) > TRANSLATE_NAME_MAX)
		parser_fail(parser, "42602", at, "\"%.16s…\" cannot be the name of a user", name);
	if (!parser_accept(parser, "@"))
		return name;
	at = parser_at(parser);
	if (strcmp(read_string(parser), "%") != 0)
		parser_refuse(parser, at, "a user of some hosts");
	return name;
}

/* Append a user's name; those of PostgreSQL's own roles are no user's. */
static const char *
parse_user(Parser *parser)
{
	const char *name = read_user(parser);

	emit(parser, " ");
	emit_name(parser, name, parser_at(parser), false);
	return name;
}

/* IDENTIFIED [WITH method] BY '…' */
static void
parse_identified(Parser *parser)
{
	size_t at;

	parser_expect(parser, "identified");
	if (parser_accept(parser, "with"))
	{
		at = parser_at(parser);
		if (parser_accept(parser, "no_password"))
			parser_refuse(parser, at, "IDENTIFIED WITH no_password");
		if (!parser_accept(parser, "sha256_password") &&
		    !parser_accept(parser, "double_sha1_password"))
			parser_refuse(parser, at, "this method of authentication");
	}
	parser_expect(parser, "by");
	emit(parser, " PASSWORD ");
	at = parser_at(parser);
	if (*parse_string(parser) == '\0')
		parser_fail(parser, "22023", at, "a password must not be empty");
}

/* CREATE USER u IDENTIFIED BY '…' */
static void
parse_create_user(Parser *parser)
{
	emit(parser, "CREATE ROLE");
	parse_unless_exists(parser);
	parser->statement->relation.name = parse_user(parser);
	emit(parser, " LOGIN");
	parse_identified(parser);
	if (parser_accept(parser, "with"))
		parser_refuse(parser, parser_at(parser), "an option of a user");
}

/* ALTER USER u IDENTIFIED BY '…' */
static void
parse_alter_user(Parser *parser)
{
	emit(parser, "ALTER ROLE");
	parser->statement->relation.name = parse_user(parser);
	parse_identified(parser);
}

/* CREATE ROLE r */
static void
parse_create_role(Parser *parser)
{
	emit(parser, "CREATE ROLE");
	parse_unless_exists(parser);
	parser->statement->relation.name = parse_user(parser);
}

/* DROP USER u: what it owns stays. */
static void
parse_drop_user(Parser *parser)
{
	bool exists = parser_accept(parser, "if");

	if (exists)
		parser_expect(parser, "exists");
	emit(parser, "CALL databend.drop_user(");
	parser->statement->relation.name = read_user(parser);
	emit_literal(parser, parser->statement->relation.name);
	emit(parser, exists ? ", true)" : ", false)");
}

static const ObjectRule objects[] = {
    {"TABLE", parse_create_table, "TABLE", false},
    {"MATERIALIZED VIEW", parse_materialized_view, "MATERIALIZED VIEW", false},
    {"VIEW", parse_view, "VIEW", false},
    {"DATABASE", parse_create_database, "SCHEMA", true},
    {"SCHEMA", parse_create_database, "SCHEMA", true},
    {"USER", parse_create_user, NULL, false},
    {"ROLE", parse_create_role, NULL, false},
    {"STAGE", NULL, NULL, false},
    {"STREAM", NULL, NULL, false},
    {"TASK", NULL, NULL, false},
    {"FUNCTION", NULL, NULL, false},
    {"INDEX", NULL, NULL, false},
    {"AGGREGATING INDEX", NULL, NULL, false},
    {"SEQUENCE", NULL, NULL, false},
    {"FILE FORMAT", NULL, NULL, false},
    {"MASKING POLICY", NULL, NULL, false},
    {"NETWORK POLICY", NULL, NULL, false},
    {"DYNAMIC TABLE", NULL, NULL, false},
    {"CONNECTION", NULL, NULL, false},
    {NULL, NULL, NULL, false},
};

/* INSERT [INTO] [TABLE] t [(names)] VALUES without any: they come with the request. */
static void
parse_insert_into(Parser *parser)
{
	parser_accept(parser, "table");
	parse_insert(parser);
}

/* A place in a stage: @~/path, or the same as a string */
static const char *
read_stage(Parser *parser)
{
	const char *start = parser->token.start;
	const char *end = parser->text + parser->length;
	const char *at = start;
	const char *stage;
	size_t position = parser_at(parser);

	if (parser->token.kind == SQL_STRING)
		stage = read_string(parser);
	else
	{
		if (!parser_is(parser, "@"))
			parser_syntax(parser);
		while (at < end && strchr(" \t\r\n\f\v;(),'\"", *at) == NULL)
			at++;
		stage = arena_copy(parser->arena, start, (size_t) (at - start));
		parser->lexer.at = (size_t) (at - parser->text);
		parser->previous = parser->lexer.at;
		parser->token = sql_next(&parser->lexer);
	}
	if (stage[0] != '@')
		parser_refuse(parser, position, "a location that is no stage");
	if (strncmp(stage, "@~", 2) != 0 || (stage[2] != '/' && stage[2] != '\0'))
		parser_refuse(parser, position, "a stage other than @~");
	return stage;
}

/* FILE_FORMAT = (type = CSV …), with or without commas */
static void
parse_file_format(Parser *parser)
{
	parser_accept(parser, "=");
	parser_expect(parser, "(");
	while (!parser_is(parser, ")"))
	{
		parse_option(parser, "");
		parser_accept(parser, ",");
	}
	parser_expect(parser, ")");
}

/* COPY INTO t [(names)] FROM @~/path options */
static void
parse_copy(Parser *parser)
{
	if (parser_is(parser, "@") || parser->token.kind == SQL_STRING)
		parser_refuse(parser, parser_at(parser), "COPY INTO a stage");
	parser->statement->relation = read_relation(parser);
	if (parser_accept(parser, "("))
	{
		do
			parser_add_name(parser, read_name(parser));
		while (parser_accept(parser, ","));
		parser_expect(parser, ")");
	}
	parser_expect(parser, "from");
	if (parser_is(parser, "("))
		parser_refuse(parser, parser_at(parser), "COPY INTO from a query");
	parser->statement->stage = read_stage(parser);
	while (!parser_ended(parser))
	{
		size_t at = parser_at(parser);

		if (parser_accept(parser, "file_format"))
			parse_file_format(parser);
		else if (parser_accept(parser, "pattern"))
			parser_refuse(parser, at, "PATTERN");
		else if (parser_accept(parser, "files"))
			parser_refuse(parser, at, "FILES");
		else
			parse_option(parser, "copy_");
		parser_accept(parser, ",");
	}
}

/* PRESIGN [UPLOAD | DOWNLOAD] @~/path [EXPIRE = n] */
static void
parse_presign(Parser *parser)
{
	if (parser_accept(parser, "download"))
		parser_refuse(parser, parser->previous, "PRESIGN DOWNLOAD");
	parser_accept(parser, "upload");
	parser_add_name(parser, "UPLOAD");
	parser->statement->stage = read_stage(parser);
	while (!parser_ended(parser))
		parse_option(parser, "");
}

/* LIST @~/path, REMOVE @~/path */
static void
parse_stage(Parser *parser)
{
	parser->statement->stage = read_stage(parser);
}

/* USE d */
static void
parse_use(Parser *parser)
{
	parser_accept(parser, "database");
	parser->statement->relation.name = read_name(parser);
}

/* SET [GLOBAL | SESSION] a = 1; SET (a, b) = (1, 2) is not here */
static void
parse_set(Parser *parser)
{
	bool global = parser_accept(parser, "global");
	size_t at;

	if (!global)
		parser_accept(parser, "session");
	at = parser_at(parser);
	if (parser_is(parser, "role") || parser_is(parser, "secondary"))
		parser_refuse(parser, at, "SET ROLE");
	if (parser_is(parser, "variable"))
		parser_refuse(parser, at, "SET VARIABLE");
	if (!parser_is_word(parser))
		parser_syntax(parser);
	do
	{
		const char *name = sql_name(parser->arena, parser->token);

		parser_skip(parser);
		parser_expect(parser, "=");
		parser_add_option(parser, name, read_named_value(parser), global);
	} while (parser_accept(parser, ",") && parser_is_word(parser));
}

/* UNSET a; UNSET (a, b) */
static void
parse_unset(Parser *parser)
{
	bool list;

	if (!parser_accept(parser, "session"))
		parser_accept(parser, "global");
	list = parser_accept(parser, "(");
	do
		parser_add_name(parser, read_name(parser));
	while (list && parser_accept(parser, ","));
	if (list)
		parser_expect(parser, ")");
}

/* BEGIN [TRANSACTION] */
static void
parse_begin(Parser *parser)
{
	parser_accept(parser, "transaction");
	emit(parser, "BEGIN");
}

/* COMMIT */
static void
parse_commit(Parser *parser)
{
	emit(parser, "COMMIT");
}

/* ROLLBACK, ABORT */
static void
parse_rollback(Parser *parser)
{
	emit(parser, "ROLLBACK");
}

/* KILL QUERY 'id' */
static void
parse_kill(Parser *parser)
{
	if (!parser_accept(parser, "query"))
		parser_expect(parser, "connection");
	parser_add_name(parser, read_string(parser));
}

/* TRUNCATE [TABLE] t */
static void
parse_truncate(Parser *parser)
{
	parser_accept(parser, "table");
	emit(parser, "TRUNCATE");
	parser->statement->relation = parse_relation(parser);
}

/* RENAME TABLE a TO b */
static void
parse_rename(Parser *parser)
{
	emit(parser, "ALTER TABLE");
	parser->statement->relation = parse_relation(parser);
	parser_expect(parser, "to");
	emit(parser, " RENAME TO");
	parse_name(parser);
}

/* REFRESH MATERIALIZED VIEW v, OPTIMIZE TABLE t …: nothing is to be done, if it is there. */
static void
parse_refresh(Parser *parser)
{
	emit(parser, "SELECT ");
	parser->statement->relation = read_relation(parser);
	emit_regclass(parser, parser->statement->relation);
	if (strcmp(parser->statement->head, "OPTIMIZE TABLE") == 0 && !parser_accept(parser, "all") &&
	    !parser_accept(parser, "purge"))
		parser_expect(parser, "compact");
}

/* ANALYZE TABLE t */
static void
parse_analyze(Parser *parser)
{
	emit(parser, "ANALYZE");
	parser->statement->relation = parse_relation(parser);
}

/* The relation that is described, as text. */
static void
emit_described(Parser *parser, const char *function)
{
	TranslateName relation = read_relation(parser);

	parser->statement->relation = relation;
	emit_printf(parser, "SELECT * FROM databend.%s(", function);
	emit_regclass(parser, relation);
	emit(parser, ")");
}

/* DESC [TABLE] t */
static void
parse_describe(Parser *parser)
{
	parser_accept(parser, "table");
	emit_described(parser, "describe");
}

/* EXISTS TABLE t */
static void
parse_exists_table(Parser *parser)
{
	TranslateName relation = read_relation(parser);
	Text name;

	parser->statement->relation = relation;
	text_init(&name, parser->arena);
	text_qualified(&name, relation.schema, relation.name);
	emit(parser, "SELECT (to_regclass(");
	emit_literal(parser, name.data);
	emit(parser, ") IS NOT NULL)::int::databend.tinyint_unsigned AS result");
}

/* What SHOW shows: where from, and what LIKE is about. */
static const struct
{
	const char *words;
	const char *select;
	const char *column; /* NULL: no LIKE */
	const char *owner;  /* what FROM is about; NULL: no FROM */
	bool of_current;    /* without FROM, of the current database */
} shows[] = {
    {"DATABASES", "SELECT name AS databases_in_default FROM databend_system.databases", "name",
     NULL, false},
    {"SCHEMAS", "SELECT name AS databases_in_default FROM databend_system.databases", "name", NULL,
     false},
    {"FULL TABLES",
     "SELECT name AS tables, table_type, database, catalog, engine, cluster_by, num_rows "
     "FROM databend_system.tables",
     "name", "database", true},
    {"TABLES", "SELECT name AS \"Tables_in_\" FROM databend_system.tables", "name", "database",
     true},
    {"VIEWS", "SELECT name AS \"Views_in_\" FROM databend_system.views", "name", "database", true},
    {"MATERIALIZED VIEWS", "SELECT name, database FROM databend_system.tables", "name", "database",
     true},
    {"USERS", "SELECT name, hostname, auth_type FROM databend_system.users", "name", NULL, false},
    {"ROLES", "SELECT name FROM databend_system.roles", "name", NULL, false},
    {"FUNCTIONS", "SELECT name FROM databend_system.functions", "name", NULL, false},
    {"PROCESSLIST", "SELECT * FROM databend_system.processes", NULL, NULL, false},
};

/* SHOW TABLES [FROM d] [LIKE '…'] and its like */
static void
parse_show(Parser *parser)
{
	size_t i;
	size_t at = parser_at(parser);
	const char *glue = " WHERE ";
	bool materialized;

	if (parser_accept(parser, "create"))
		parser_refuse(parser, at, "SHOW CREATE");
	for (i = 0; i < sizeof shows / sizeof shows[0]; i++)
		if (parser_accept(parser, shows[i].words))
			break;
	if (i == sizeof shows / sizeof shows[0])
	{
		if (!parser_is_word(parser))
			parser_syntax(parser);
		parser_refuse(parser, at,
		              arena_printf(parser->arena, "SHOW %.*s",
		                           parser->token.length > 32 ? 32 : (int) parser->token.length,
		                           parser->token.start));
	}
	parser->statement->head = arena_printf(parser->arena, "SHOW %s", shows[i].words);
	materialized = strcmp(shows[i].words, "MATERIALIZED VIEWS") == 0;
	emit(parser, shows[i].select);
	if (materialized)
	{
		emit(parser, " WHERE table_type = 'MATERIALIZED VIEW'");
		glue = " AND ";
	}
	if (shows[i].owner != NULL && (parser_accept(parser, "from") || parser_accept(parser, "in")))
	{
		parser->statement->relation.schema = read_name(parser);
		emit_printf(parser, "%s%s = ", glue, shows[i].owner);
		emit_literal(parser, parser->statement->relation.schema);
		glue = " AND ";
	}
	else if (shows[i].of_current)
	{
		emit_printf(parser, "%s%s = current_schema()", glue, shows[i].owner);
		glue = " AND ";
	}
	if (shows[i].column != NULL && parser_is(parser, "like"))
	{
		emit_printf(parser, "%s%s", glue, shows[i].column);
		emit_token(parser);
		parse_string(parser);
	}
	else if (shows[i].column != NULL && parser_accept(parser, "where"))
	{
		emit(parser, glue);
		parse_expression(parser);
	}
	emit(parser, " ORDER BY 1");
}

/* SHOW COLUMNS FROM t */
static void
parse_show_columns(Parser *parser)
{
	if (!parser_accept(parser, "from"))
		parser_expect(parser, "in");
	emit_described(parser, "describe");
}

/* SHOW SETTINGS [LIKE '…']: they are the session's, which the door has. */
static void
parse_show_settings(Parser *parser)
{
	if (parser_accept(parser, "like"))
		parser_add_name(parser, read_string(parser));
}

/* A privilege by its name; NULL: there is none. */
static const char *
read_privilege(Parser *parser)
{
	static const char *const known[] = {"ALL PRIVILEGES", "ALL",    "SELECT", "INSERT", "UPDATE",
	                                    "DELETE",         "CREATE", "USAGE",  NULL};

	for (int i = 0; known[i] != NULL; i++)
		if (parser_accept(parser, known[i]))
			return i == 0 ? "ALL" : known[i];
	if (!parser_is_word(parser))
		parser_syntax(parser);
	parser_refuse(parser, parser_at(parser),
	              arena_printf(parser->arena, "privilege %.*s", (int) parser->token.length,
	                           parser->token.start));
}

/* GRANT ROLE r TO u, and the same of REVOKE */
static void
parse_grant_role(Parser *parser, bool grant)
{
	emit(parser, grant ? "GRANT" : "REVOKE");
	parse_user(parser);
	parser_expect(parser, grant ? "to" : "from");
	emit(parser, grant ? " TO" : " FROM");
	if (!parser_accept(parser, "user"))
		parser_accept(parser, "role");
	parse_user(parser);
}

/* GRANT privileges ON *.* | d.* | d.t | t TO u: the library knows what each of them is here. */
static void
parse_grant(Parser *parser, bool grant)
{
	Text privileges;
	TranslateName object = {NULL, NULL};
	bool all = false;
	const char *user;

	if (parser_accept(parser, "role"))
	{
		parse_grant_role(parser, grant);
		return;
	}
	text_init(&privileges, parser->arena);
	do
		text_printf(&privileges, "%s%s", privileges.length > 0 ? "," : "", read_privilege(parser));
	while (parser_accept(parser, ","));
	parser_expect(parser, "on");
	parser_accept(parser, "table");
	if (parser_accept(parser, "*"))
	{
		/* * alone is the current database */
		if (parser_accept(parser, "."))
			all = parser_accept(parser, "*");
		if (!all)
			parser_refuse(parser, parser_at(parser), "GRANT ON *");
	}
	else
	{
		object.name = read_name(parser);
		if (parser_accept(parser, "."))
		{
			object.schema = object.name;
			object.name = parser_accept(parser, "*") ? NULL : read_name(parser);
		}
	}
	parser_expect(parser, grant ? "to" : "from");
	if (!parser_accept(parser, "user"))
		parser_accept(parser, "role");
	user = read_user(parser);
	emit_printf(parser, "CALL databend.%s(", grant ? "grant_privileges" : "revoke_privileges");
	emit_literal(parser, privileges.data);
	emit(parser, ", ");
	if (object.schema != NULL)
		emit_literal(parser, object.schema);
	else
		emit(parser, "NULL");
	emit(parser, ", ");
	if (object.name != NULL)
		emit_literal(parser, object.name);
	else
		emit(parser, "NULL");
	emit(parser, ", ");
	emit_literal(parser, user);
	emit(parser, ")");
}

/* GRANT … */
static void
parse_grant_statement(Parser *parser)
{
	parse_grant(parser, true);
}

/* REVOKE … */
static void
parse_revoke_statement(Parser *parser)
{
	parse_grant(parser, false);
}

/* longer ones before those they begin with */
static const StatementRule statements[] = {
    {"INSERT INTO", STATEMENT_INSERT, parse_insert_into},
    {"INSERT OVERWRITE", STATEMENT_INSERT, parse_refused},
    {"INSERT", STATEMENT_INSERT, parse_insert_into},
    {"REPLACE INTO", STATEMENT_REPLACE, parse_refused},
    {"UPDATE", STATEMENT_UPDATE, parse_update},
    {"DELETE FROM", STATEMENT_DELETE, parse_delete},
    {"MERGE INTO", STATEMENT_MERGE, parse_refused},
    {"TRUNCATE", STATEMENT_DEFINE, parse_truncate},
    {"CREATE", STATEMENT_DEFINE, parse_create},
    {"DROP USER", STATEMENT_DEFINE, parse_drop_user},
    {"DROP ROLE", STATEMENT_DEFINE, parse_drop_user},
    {"DROP", STATEMENT_DEFINE, parse_drop},
    {"ALTER TABLE", STATEMENT_DEFINE, parse_alter_table},
    {"ALTER USER", STATEMENT_DEFINE, parse_alter_user},
    {"RENAME TABLE", STATEMENT_DEFINE, parse_rename},
    {"REFRESH MATERIALIZED VIEW", STATEMENT_REFRESH, parse_refresh},
    {"OPTIMIZE TABLE", STATEMENT_REFRESH, parse_refresh},
    {"ANALYZE TABLE", STATEMENT_DEFINE, parse_analyze},
    {"GRANT", STATEMENT_DEFINE, parse_grant_statement},
    {"REVOKE", STATEMENT_DEFINE, parse_revoke_statement},
    {"EXPLAIN", STATEMENT_QUERY, parse_explain},
    {"DESC", STATEMENT_QUERY, parse_describe},
    {"DESCRIBE", STATEMENT_QUERY, parse_describe},
    {"EXISTS TABLE", STATEMENT_QUERY, parse_exists_table},
    {"SHOW COLUMNS", STATEMENT_QUERY, parse_show_columns},
    {"SHOW SETTINGS", STATEMENT_SHOW_SETTINGS, parse_show_settings},
    {"SHOW", STATEMENT_QUERY, parse_show},
    {"USE", STATEMENT_USE, parse_use},
    {"SET", STATEMENT_SET, parse_set},
    {"UNSET", STATEMENT_RESET, parse_unset},
    {"BEGIN", STATEMENT_BEGIN, parse_begin},
    {"START TRANSACTION", STATEMENT_BEGIN, parse_begin},
    {"COMMIT", STATEMENT_COMMIT, parse_commit},
    {"ROLLBACK", STATEMENT_ROLLBACK, parse_rollback},
    {"ABORT", STATEMENT_ROLLBACK, parse_rollback},
    {"KILL", STATEMENT_KILL, parse_kill},
    {"COPY INTO", STATEMENT_COPY_INTO, parse_copy},
    {"PRESIGN", STATEMENT_PRESIGN, parse_presign},
    {"LIST", STATEMENT_LIST_STAGE, parse_stage},
    {"REMOVE", STATEMENT_REMOVE_STAGE, parse_stage},
    {NULL, STATEMENT_QUERY, NULL},
};

/* words that PostgreSQL reserves and Databend does not */
static const char *const names[] = {"default",  "user",      "placing",    "analyse",
                                    "variadic", "initially", "deferrable", NULL};

/* words behind an item of FROM or of what is selected */
static const char *const clauses[] = {"qualify", "ignore_result", "settings", "exclude", "final",
                                      "asof",    "pivot",         "unpivot",  NULL};

const DialectRules databend_rules = {
    .name = "Databend",
    .escapes = true,
    .backticks = true,
    .nulls_last = true,
    .float_division = true,
    .colons = true,
    .stages = true,
    .statements = statements,
    .objects = objects,
    .types = types,
    .functions = functions,
    .schemas = schemas,
    .names = names,
    .clauses = clauses,
    .column_option = parse_column_option,
};
