/*-------------------------------------------------------------------------
 *
 * source.c
 *	  CREATE SOURCE … FROM LOAD GENERATOR and DROP SOURCE.
 *
 * A source is tables in the user's schema, made with the user's rights, and a
 * row in the server's catalog (source/catalog.h), all in one transaction of
 * the session's. Who runs sources hears of it at commit (NOTIFY).
 *
 * The session's search_path is the user's, or the database owner's. What is sent
 * here in the name of a superuser too names every function, type and operator in full.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialect/materialize/materialize.h"
#include "source/catalog.h"
#include "source/loadgen/generator.h"
#include "source/loadgen/loadgen.h"

/* A source's table. */
typedef struct Member
{
	int table; /* of the generator */
	const char *schema;
	const char *name;
} Member;

/* A CREATE SOURCE under way; lives in the task's memory. */
struct SourceMaking
{
	const Generator *generator;
	GeneratorOptions options;
	const char *interval; /* text; NULL: the default */
	int64_t as_of;
	int64_t up_to; /* -1: none */
	int member_count;
	Member members[GENERATOR_TABLES];
	const char *create_sql;
	char *problem; /* of making the catalog */
};

/* A whole number from 0 on. */
static bool
read_count(const char *value, int64_t *count)
{
	char *end;

	if (value == NULL || !isdigit((unsigned char) value[0]))
		return false;
	errno = 0;
	*count = strtoll(value, &end, 10);
	return errno == 0 && *end == '\0';
}

/* A NoticeResponse to the client. */
static void
send_notice(Materialize *mz, const char *message)
{
	Buffer out = {0};
	WireError notice = {.severity = "NOTICE", .sqlstate = "00000", .message = message};

	wire_add_notice(&out, &notice);
	session_to_client(mz->session, buffer_data(&out), out.length);
	buffer_free(&out);
}

/* Was the option given before? */
static bool
is_repeated(const MzSource *source, int option)
{
	for (int i = 0; i < option; i++)
	{
		if (strcmp(source->options[i].name, source->options[option].name) == 0)
			return true;
	}
	return false;
}

/* Read the generator's options; false: an error was raised. */
static bool
read_options(Materialize *mz, const MzSource *source, SourceMaking *making)
{
	making->options.max_cardinality = GENERATOR_NO_LIMIT;
	making->options.scale_factor = 0.01;
	making->up_to = -1;
	for (int i = 0; i < source->option_count; i++)
	{
		const MzSourceOption *option = &source->options[i];
		int64_t *count = NULL;
		int needs = 0;

		if (is_repeated(source, i))
		{
			task_raise(mz, "42601",
			           arena_printf(&mz->memory, "%s specified more than once", option->name),
			           NULL);
			return false;
		}
		if (strcmp(option->name, "TICK INTERVAL") == 0)
		{
			making->interval = option->value;
			if (option->value != NULL)
				continue;
		}
		else if (strcmp(option->name, "AS OF") == 0)
			count = &making->as_of;
		else if (strcmp(option->name, "UP TO") == 0)
			count = &making->up_to;
		else if (strcmp(option->name, "MAX CARDINALITY") == 0)
		{
			count = &making->options.max_cardinality;
			needs = GENERATOR_MAX_CARDINALITY;
		}
		else if (strcmp(option->name, "SCALE FACTOR") == 0)
			needs = GENERATOR_SCALE_FACTOR;
		else
			needs = -1;

		if (needs != 0 && (needs < 0 || !(making->generator->options & needs)))
		{
			task_raise(mz, "42601",
			           arena_printf(&mz->memory, "%s load generators do not support %s values",
			                        source->generator, option->name),
			           NULL);
			return false;
		}
		if (needs == GENERATOR_SCALE_FACTOR)
		{
			char *end = NULL;
			double scale = option->value != NULL ? strtod(option->value, &end) : 0;

			if (!(scale > 0 && scale <= CATALOG_SCALE_MAX) || *end != '\0')
			{
				task_raise(mz, "22023",
				           arena_printf(&mz->memory, "unsupported scale factor %s",
				                        option->value != NULL ? option->value : ""),
				           "The scale factor must be above 0 and at most 100.");
				return false;
			}
			making->options.scale_factor = scale;
		}
		else if (count == NULL || !read_count(option->value, count))
		{
			task_raise(mz, "22023",
			           arena_printf(&mz->memory, "invalid %s: invalid unsigned numeric value: %s",
			                        option->name, option->value != NULL ? option->value : ""),
			           NULL);
			return false;
		}
	}
	if (making->options.max_cardinality == 0)
	{
		task_raise(mz, "22023", "MAX CARDINALITY must be greater than zero", NULL);
		return false;
	}
	if (making->up_to >= 0 && making->up_to < making->as_of)
	{
		task_raise(mz, "22023", "UP TO cannot be less than AS OF", NULL);
		return false;
	}
	return true;
}

/* Find out which tables the source has; false: an error was raised. */
static bool
read_tables(Materialize *mz, const MzSource *source, SourceMaking *making)
{
	const Generator *generator = making->generator;

	if (generator->single)
	{
		if (source->all_tables || source->table_count > 0)
		{
			task_raise(mz, "42601",
			           source->all_tables ? "FOR ALL TABLES is only valid for multi-output sources"
			                              : "FOR TABLES is only valid for multi-output sources",
			           NULL);
			return false;
		}
		making->members[making->member_count++] = (Member){0, NULL, source->name};
		return true;
	}
	if (source->table_count == 0)
	{
		/* without FOR the source would have no tables to read */
		for (int i = 0; i < generator->table_count; i++)
			making->members[making->member_count++] = (Member){i, NULL, generator->tables[i].name};
		return true;
	}
	for (int i = 0; i < source->table_count; i++)
	{
		const MzSourceTable *table = &source->tables[i];
		int place = making->member_count;
		int found = -1;

		for (int j = 0; j < generator->table_count; j++)
		{
			if (strcmp(generator->tables[j].name, table->reference) == 0)
				found = j;
		}
		for (int j = 0; j < making->member_count; j++)
		{
			if (making->members[j].table == found)
				found = -1;
		}
		if (found < 0)
		{
			task_raise(
			    mz, "42704",
			    arena_printf(&mz->memory, "reference to %s not found in source", table->reference),
			    NULL);
			return false;
		}
		/* in the order in which they will be locked */
		for (; place > 0 && making->members[place - 1].table > found; place--)
			making->members[place] = making->members[place - 1];
		making->members[place] = (Member){found, table->schema, table->name};
		making->member_count++;
	}
	return true;
}

/* The source is there. */
static void
create_done(Materialize *mz)
{
	if (mz->flight.failed)
		task_failed(mz);
	else
		task_done(mz, "CREATE SOURCE");
}

/* Nobody but the server has a say in the tables' indexes: let those be made that views need. */
static void
append_labels(Materialize *mz, Text *sql, const SourceMaking *making, const char *schema)
{
	Text body;

	text_init(&body, &mz->flight.memory);
	/* a PostgreSQL of somebody else's may not have the library */
	text_append(
	    &body, "BEGIN IF pg_catalog.current_setting('freshet.auto_index', true) IS NOT NULL THEN ");
	for (int i = 0; i < making->member_count; i++)
	{
		const Member *member = &making->members[i];

		text_append(&body, "SECURITY LABEL FOR freshet ON TABLE ");
		text_qualified(&body, member->schema != NULL ? member->schema : schema, member->name);
		text_append(&body, " IS 'auto_index';");
	}
	text_append(&body, "END IF; END");
	text_append(sql, "DO ");
	text_literal(sql, body.data);
	text_append(sql, ";");
}

/* A name as the literal of its quoted form, as regclass and regnamespace read it. */
static void
append_name(Materialize *mz, Text *sql, const char *schema, const char *name)
{
	Text quoted;

	text_init(&quoted, &mz->flight.memory);
	text_qualified(&quoted, schema, name);
	text_literal(sql, quoted.data);
}

/* A count, of which -1 stands for none. */
static void
append_count(Text *sql, int64_t count)
{
	if (count < 0)
		text_append(sql, ", NULL");
	else
		text_printf(sql, ", %" PRId64, count);
}

/* What was asked before the source is made is answered. */
static void
create_checked(Materialize *mz)
{
	const MzSource *source = &mz->statement.source;
	SourceMaking *making = mz->making;
	const Generator *generator = making->generator;
	const char *schema;
	const char *progress_schema;
	const char *progress;
	int64_t interval;
	Text sql;

	if (mz->flight.failed)
	{
		task_failed(mz);
		return;
	}
	if (mz->flight.values[0] == NULL)
	{
		task_raise(mz, "3F000",
		           source->schema == NULL
		               ? "no schema has been selected to create in"
		               : arena_printf(&mz->memory, "schema \"%s\" does not exist", source->schema),
		           NULL);
		return;
	}
	schema = arena_copy(&mz->memory, mz->flight.values[0], strlen(mz->flight.values[0]));
	if (flight_true(mz, 1))
	{
		if (source->if_not_exists)
		{
			send_notice(mz, arena_printf(&mz->memory, "source \"%s\" already exists, skipping",
			                             source->name));
			task_done(mz, "CREATE SOURCE");
		}
		else
			task_raise(mz, "42710",
			           arena_printf(&mz->memory, "source \"%s\" already exists", source->name),
			           NULL);
		return;
	}
	interval = mz->flight.values[2] != NULL ? strtoll(mz->flight.values[2], NULL, 10)
	                                        : (generator->still ? 0 : 1000);
	if (making->interval != NULL && interval <= 0)
	{
		task_raise(mz, "22023", "TICK INTERVAL must be greater than zero", NULL);
		return;
	}
	progress = source->progress != NULL ? source->progress
	                                    : arena_printf(&mz->memory, "%s_progress", source->name);
	progress_schema = source->progress_schema != NULL ? source->progress_schema : schema;

	flight_begin(mz);
	text_init(&sql, &mz->flight.memory);
	for (int i = 0; i < making->member_count; i++)
	{
		const Member *member = &making->members[i];

		text_append(&sql, "CREATE TABLE ");
		text_qualified(&sql, member->schema != NULL ? member->schema : schema, member->name);
		text_printf(&sql, " (%s);", generator->tables[member->table].definition);
	}
	append_labels(mz, &sql, making, schema);
	text_append(&sql, "CREATE TABLE ");
	text_qualified(&sql, progress_schema, progress);
	text_append(&sql, " (\"offset\" bigint);INSERT INTO ");
	text_qualified(&sql, progress_schema, progress);
	text_append(&sql, " VALUES (0);INSERT INTO freshet_server.new_source (schema, name, generator,"
	                  " interval_ms, as_of, up_to, max_cardinality, scale_factor, create_sql,"
	                  " progress, reference, relation) VALUES (");
	append_name(mz, &sql, NULL, schema);
	text_append(&sql, ", ");
	text_literal(&sql, source->name);
	text_append(&sql, ", ");
	text_literal(&sql, generator->name);
	text_printf(&sql, ", %" PRId64 ", %" PRId64, interval, making->as_of);
	append_count(&sql, making->up_to);
	append_count(&sql, making->options.max_cardinality);
	text_printf(&sql, ", %.17g, ", making->options.scale_factor);
	text_literal(&sql, making->create_sql);
	text_append(&sql, ", ");
	append_name(mz, &sql, progress_schema, progress);
	for (int i = 0; i < making->member_count; i++)
	{
		text_append(&sql, i == 0 ? ", ARRAY[" : ", ");
		text_literal(&sql, generator->tables[making->members[i].table].name);
	}
	for (int i = 0; i < making->member_count; i++)
	{
		const Member *member = &making->members[i];

		text_append(&sql, i == 0 ? "], ARRAY[" : ", ");
		append_name(mz, &sql, member->schema != NULL ? member->schema : schema, member->name);
	}
	text_append(&sql, "]::pg_catalog.regclass[])");
	flight_query(mz, sql.data, sql.length, ANSWER_SILENT, create_done);
}

/* Go on with CREATE SOURCE: the catalog is there, or cannot be. */
static void
source_ensured(Materialize *mz)
{
	const MzSource *source = &mz->statement.source;
	SourceMaking *making = mz->making;
	Text sql;

	if (making == NULL)
		return;
	if (making->problem != NULL)
	{
		task_raise(mz, "58000",
		           arena_printf(&mz->memory, "sources cannot be kept in this database: %s",
		                        making->problem),
		           NULL);
		return;
	}
	if (mz->cancelled)
	{
		task_raise_cancelled(mz);
		return;
	}
	flight_begin(mz);
	text_init(&sql, &mz->flight.memory);
	text_append(&sql, "SELECT n.nspname, EXISTS (SELECT FROM freshet_server.source_relation s"
	                  " WHERE s.schema OPERATOR(pg_catalog.=) n.oid AND s.parent IS NULL"
	                  " AND s.name OPERATOR(pg_catalog.=) ");
	text_literal(&sql, source->name);
	text_append(&sql, "), ");
	if (making->interval != NULL)
	{
		text_append(&sql, "pg_catalog.int8(pg_catalog.ceil(pg_catalog.extract('epoch', ");
		text_literal(&sql, making->interval);
		text_append(&sql, "::pg_catalog.interval) OPERATOR(pg_catalog.*) 1000))");
	}
	else
		text_append(&sql, "NULL");
	text_append(&sql, " FROM (VALUES (1)) one LEFT JOIN pg_catalog.pg_namespace n"
	                  " ON n.nspname OPERATOR(pg_catalog.=) ");
	if (source->schema != NULL)
		text_literal(&sql, source->schema);
	else
		text_append(&sql, "pg_catalog.current_schema()");
	flight_statement(mz, sql.data, ANSWER_VALUES);
	flight_send(mz, FLIGHT_SYNC, create_checked);
}

/* The catalog of sources was looked after; the session is told by a timer. */
static void
catalog_ensured(void *owner, const char *message)
{
	Materialize *mz = owner;

	mz->ensuring = NULL;
	mz->making->problem =
	    message != NULL ? arena_copy(&mz->memory, message, strlen(message)) : NULL;
	mz->resume = source_ensured;
	session_timer(mz->session, 1);
}

/* The session ends while it waits for the catalog. */
void
source_cancel(Materialize *mz)
{
	if (mz->ensuring != NULL)
		loadgen_cancel(mz->ensuring);
	mz->ensuring = NULL;
}

/* Who makes the source is known: see whether the server can write in that name. */
static void
maker_known(Materialize *mz)
{
	const char *role = mz->flight.values[0];

	if (mz->flight.failed)
		task_failed(mz);
	else if (mz->flight.values[1] == NULL || mz->flight.values[1][0] != 't')
		task_raise(
		    mz, "42501",
		    arena_printf(&mz->memory, "role \"%s\" is not permitted to log in", role ? role : ""),
		    "A source's rows are written by a connection of its owner's.");
	else
		mz->ensuring = loadgen_ensure(session_database(mz->session), role, catalog_ensured, mz);
}

/* CREATE SOURCE. */
void
source_create(Materialize *mz, const MzSource *source, const SqlStatement *text)
{
	SourceMaking *making = arena_alloc(&mz->memory, sizeof(SourceMaking));

	memset(making, 0, sizeof(*making));
	mz->making = making;
	mz->statement.source = *source;
	making->generator = generator_find(source->generator);
	making->create_sql = arena_printf(&mz->memory, "%.*s;", (int) text->length, text->start);
	if (making->generator == NULL)
	{
		task_raise(
		    mz, "0A000",
		    arena_printf(&mz->memory, "load generator %s is not supported", source->generator),
		    "Load generators are AUCTION, CLOCK, COUNTER, MARKETING and TPCH.");
		return;
	}
	if (!read_options(mz, source, making) || !read_tables(mz, source, making))
		return;
	flight_begin(mz);
	flight_statement(mz,
	                 "SELECT rolname, rolcanlogin FROM pg_catalog.pg_roles"
	                 " WHERE rolname OPERATOR(pg_catalog.=) current_user",
	                 ANSWER_VALUES);
	flight_send(mz, FLIGHT_SYNC, maker_known);
}

/* The sources are gone. */
static void
drop_done(Materialize *mz)
{
	if (mz->flight.failed)
		task_failed(mz);
	else
		task_done(mz, "DROP SOURCE");
}

/* Refuse to drop what is no source, or not the user's; false: an error was raised. */
static bool
drop_allowed(Materialize *mz, const char *missing, const char *why)
{
	const MzDropSource *drop = &mz->statement.drop;
	char *name = arena_copy(&mz->memory, missing, strlen(missing));

	if (why != NULL && strcmp(why, "denied") == 0)
		task_raise(mz, "42501", arena_printf(&mz->memory, "must be owner of source %s", name),
		           NULL);
	else if (why != NULL)
		task_raise(mz, "42809", arena_printf(&mz->memory, "%s is not a source", name), NULL);
	else if (!drop->if_exists)
		task_raise(mz, "42704", arena_printf(&mz->memory, "source \"%s\" does not exist", name),
		           NULL);
	else
	{
		send_notice(mz, arena_printf(&mz->memory, "source \"%s\" does not exist, skipping", name));
		return true;
	}
	return false;
}

/*
 * The sources to be dropped are known: one that is missing, their ids, their tables,
 * and what the missing one is. DROP TABLE asks who owns the tables.
 */
static void
drop_found(Materialize *mz)
{
	char **values = mz->flight.values;
	const char *ids;
	const char *tables;
	Text sql;

	if (mz->flight.failed)
	{
		task_failed(mz);
		return;
	}
	if (values[0] != NULL && !drop_allowed(mz, values[0], values[3]))
		return;
	if (values[1] == NULL)
	{
		task_done(mz, "DROP SOURCE");
		return;
	}
	ids = arena_copy(&mz->memory, values[1], strlen(values[1]));
	tables = values[2] == NULL ? NULL : arena_copy(&mz->memory, values[2], strlen(values[2]));
	flight_begin(mz);
	text_init(&sql, &mz->flight.memory);
	/* the generator locks its tables before its row, and so does this */
	if (tables != NULL)
		text_printf(&sql, "DROP TABLE %s%s;", tables, mz->statement.drop.cascade ? " CASCADE" : "");
	text_append(&sql, "DELETE FROM freshet_server.source WHERE id OPERATOR(pg_catalog.=) ANY (");
	text_literal(&sql, ids);
	text_append(&sql, "::pg_catalog.int8[])");
	flight_query(mz, sql.data, sql.length, ANSWER_SILENT, drop_done);
}

/* What there is, and what is seen, where the database has a catalog of sources. */
#define DROP_FROM_CATALOG                                                                          \
	"source AS (SELECT id, schema::pg_catalog.oid, name, owner::pg_catalog.oid,"                   \
	" relation OPERATOR(pg_catalog.||) progress AS tables FROM freshet_server.source),"            \
	" seen AS (SELECT schema, name FROM freshet_server.source_relation WHERE parent IS NULL)"

/* The same where it has none. */
#define DROP_FROM_NOTHING                                                                          \
	"source AS (SELECT NULL::pg_catalog.int8 AS id, NULL::pg_catalog.oid AS schema,"               \
	" NULL::pg_catalog.text AS name, NULL::pg_catalog.oid AS owner,"                               \
	" NULL::pg_catalog.oid[] AS tables WHERE false),"                                              \
	" seen AS (SELECT schema, name FROM source)"

/* What is wanted and what is found of it; see drop_found. */
#define DROP_FIND                                                                                  \
	", found AS (SELECT w.name, n.oid AS schema, s.id, s.owner, s.tables FROM wanted w"            \
	" LEFT JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) w.schema"            \
	" LEFT JOIN source s ON s.schema OPERATOR(pg_catalog.=) n.oid"                                 \
	" AND s.name OPERATOR(pg_catalog.=) w.name),"                                                  \
	" missing AS (SELECT schema, name FROM found WHERE id IS NULL LIMIT 1)"                        \
	" SELECT (SELECT name FROM missing), (SELECT pg_catalog.array_agg(id) FROM found"              \
	" WHERE id IS NOT NULL), (SELECT pg_catalog.string_agg("                                       \
	"pg_catalog.format('%I.%I', n.nspname, c.relname), ', '"                                       \
	" ORDER BY found.id, pg_catalog.array_position(found.tables::pg_catalog.oid[], c.oid))"        \
	" FROM found JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) ANY (found.tables)"    \
	" AND c.relowner OPERATOR(pg_catalog.=) found.owner"                                           \
	" JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace),"             \
	" (SELECT CASE WHEN seen.name IS NOT NULL"                                                     \
	" OR NOT pg_catalog.pg_has_role(c.relowner, 'USAGE') THEN 'denied'"                            \
	" WHEN c.oid IS NOT NULL THEN 'other' END FROM missing"                                        \
	" LEFT JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) missing.schema"     \
	" AND c.relname OPERATOR(pg_catalog.=) missing.name"                                           \
	" LEFT JOIN seen ON seen.schema OPERATOR(pg_catalog.=) missing.schema"                         \
	" AND seen.name OPERATOR(pg_catalog.=) missing.name LIMIT 1)"

/* Whether the database has a catalog of sources is known. */
static void
drop_looked(Materialize *mz)
{
	const MzDropSource *drop = &mz->statement.drop;
	bool has;
	Text sql;

	if (mz->flight.failed)
	{
		task_failed(mz);
		return;
	}
	has = mz->flight.values[0] != NULL;
	flight_begin(mz);
	text_init(&sql, &mz->flight.memory);
	text_append(&sql, "WITH wanted (schema, name) AS (VALUES ");
	for (int i = 0; i < drop->count; i++)
	{
		text_append(&sql, i == 0 ? "(" : ", (");
		if (drop->schemas[i] != NULL)
			text_literal(&sql, drop->schemas[i]);
		else
			text_append(&sql, "pg_catalog.current_schema()");
		text_append(&sql, "::pg_catalog.text, ");
		text_literal(&sql, drop->names[i]);
		text_append(&sql, "::pg_catalog.text)");
	}
	text_append(&sql, "), ");
	text_append(&sql, has ? DROP_FROM_CATALOG : DROP_FROM_NOTHING);
	text_append(&sql, DROP_FIND);
	flight_statement(mz, sql.data, ANSWER_VALUES);
	flight_send(mz, FLIGHT_SYNC, drop_found);
}

/* DROP SOURCE. */
void
source_drop(Materialize *mz, const MzDropSource *drop)
{
	mz->statement.drop = *drop;
	flight_begin(mz);
	flight_statement(mz, "SELECT pg_catalog.to_regclass('freshet_server.source')", ANSWER_VALUES);
	flight_send(mz, FLIGHT_SYNC, drop_looked);
}
