/*-------------------------------------------------------------------------
 *
 * statement.c
 *	  One statement of a request: sent, and its result written as JSON while it comes.
 *
 * A small result is kept until it is known to be whole, so that an error is an error. A
 * large one streams; if it fails in the middle, the connection is closed there.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "dialect/cratedb/type.h"
#include "dialect/cratedb/visitor.h"
#include "http/json.h"

/* What is written before it goes to the client. */
#define PIECE (32 * 1024)

/* Settings of a session that are PostgreSQL's as well. */
static const char *const settings[] = {"search_path", "statement_timeout",  "application_name",
                                       "timezone",    "extra_float_digits", NULL};

/* Settings of CrateDB's that change no result. */
static const char *const ignored_settings[] = {"error_on_unknown_object_key",
                                               "enable_hashjoin",
                                               "insert_select_fail_fast",
                                               "memory.operation_limit",
                                               "optimizer",
                                               "optimizer_",
                                               NULL};

static bool
is_among(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
	{
		size_t length = strlen(*names);

		if (strcmp(name, *names) == 0 ||
		    ((*names)[length - 1] == '_' && strncmp(name, *names, length) == 0))
			return true;
	}
	return false;
}

/* Does it give rows? */
static bool
gives_rows(const Statement *statement)
{
	return statement->kind == STATEMENT_QUERY || statement->returning;
}

/* Columns, and the beginning of the rows. */
static void
write_columns(Visitor *visitor, const PGresult *result)
{
	Buffer *out = &visitor->out;
	int i;

	visitor->headed = true;
	visitor->count = 0;
	json_raw(out, "{\"cols\":[");
	for (i = 0; i < PQnfields(result); i++)
	{
		json_raw(out, i > 0 ? "," : "");
		json_text(out, PQfname(result, i), strlen(PQfname(result, i)));
	}
	json_raw(out, "]");
	if (visitor->wants_types)
	{
		json_raw(out, ",\"col_types\":[");
		for (i = 0; i < PQnfields(result); i++)
		{
			json_raw(out, i > 0 ? "," : "");
			type_write_id(out, PQftype(result, i));
		}
		json_raw(out, "]");
	}
	json_raw(out, ",\"rows\":[");
}

/* What is written goes to the client; if that does not take it, PostgreSQL waits. */
static void
stream(Visitor *visitor)
{
	if (!visitor->streaming)
		http_begin(visitor->connection, 200, "application/json; charset=UTF-8", "");
	visitor->streaming = true;
	http_chunk(visitor->connection, buffer_data(&visitor->out), visitor->out.length);
	buffer_clear(&visitor->out);
	if (http_backlog(visitor->connection) > HTTP_HIGH_WATER)
		lease_hold(visitor->lease, true);
}

static void
write_row(Visitor *visitor, const PGresult *result, int row)
{
	Buffer *out = &visitor->out;
	int i;

	json_raw(out, visitor->count++ > 0 ? ",[" : "[");
	for (i = 0; i < PQnfields(result); i++)
	{
		json_raw(out, i > 0 ? "," : "");
		if (PQgetisnull(result, row, i))
			json_raw(out, "null");
		else
			type_write_value(out, PQftype(result, i), PQgetvalue(result, row, i),
			                 (size_t) PQgetlength(result, row, i));
	}
	json_raw(out, "]");
	if (out->length >= PIECE)
		stream(visitor);
}

/* A result of the statement, or of those before and after it. */
static void
executed(Visitor *visitor, PGresult *result)
{
	bool row = PQresultStatus(result) == PGRES_SINGLE_TUPLE;

	if (visitor->skip > 0 || visitor->done)
	{
		visitor->skip -= !row && !visitor->done;
		return;
	}
	visitor->done = !row;
	if (gives_rows(visitor->statement))
	{
		if (!visitor->headed)
			write_columns(visitor, result);
		for (int i = 0; i < PQntuples(result); i++)
			write_row(visitor, result, i);
	}
	else if (!row && visitor->statement->kind != STATEMENT_SET &&
	         visitor->statement->kind != STATEMENT_RESET)
	{
		const char *count = PQcmdTuples(result);

		/* what defines something has changed one thing, as CrateDB counts */
		visitor->count =
		    PQresultStatus(result) == PGRES_COMMAND_OK && *count != '\0' ? atoll(count) : 1;
	}
}

/* The end of an answer with rows, or all of one with a count. */
static void
write_end(Visitor *visitor)
{
	Buffer *out = &visitor->out;

	if (visitor->headed)
		json_raw(out, "]");
	else
	{
		json_raw(out, "{\"cols\":[],");
		json_raw(out, visitor->wants_types ? "\"col_types\":[]," : "");
		json_raw(out, "\"rows\":[[]]");
	}
	buffer_printf(out, ",\"rowcount\":%lld,\"duration\":%.6g}", visitor->count,
	              visitor_duration(visitor));
}

static void
execute_done(Visitor *visitor)
{
	bool sets =
	    visitor->statement->kind == STATEMENT_SET || visitor->statement->kind == STATEMENT_RESET;

	if (visitor->failed)
	{
		visitor_fail(visitor);
		return;
	}
	if (sets)
	{
		visitor->pinned = true;
		memcpy(visitor->pinned_for, visitor->identity, IDENTITY_SIZE);
	}
	write_end(visitor);
	visitor_answer(visitor);
}

/* The schema that a table without one in its name will be in: CrateDB makes it. */
static void
send_schema(Visitor *visitor)
{
	const Statement *statement = visitor->statement;
	Text sql;

	if (visitor->schema == NULL || statement->kind != STATEMENT_DEFINE ||
	    strncmp(statement->head, "CREATE TABLE", 12) != 0 || statement->relation.schema != NULL)
		return;
	text_init(&sql, &visitor->arena);
	text_append(&sql, "CREATE SCHEMA IF NOT EXISTS ");
	text_identifier(&sql, visitor->schema);
	visitor_send_text(visitor, sql.data);
	visitor->skip++;
}

/* All in one transaction: what comes before it, the statement, and what comes after. */
static void
execute(Visitor *visitor)
{
	const Statement *statement = visitor->statement;
	const char **other;

	visitor->result = executed;
	visitor->synced = execute_done;
	send_schema(visitor);
	for (other = statement->before; other != NULL && *other != NULL; other++, visitor->skip++)
		visitor_send_text(visitor, *other);
	if (statement->parameter_count > 0)
		visitor_send(visitor, visitor->request.arguments);
	else
		visitor_send_text(visitor, statement->sql);
	for (other = statement->after; other != NULL && *other != NULL; other++)
		visitor_send_text(visitor, *other);
	lease_sync(visitor->lease);
	lease_flush(visitor->lease);
}

static void
begin(Visitor *visitor)
{
	if (visitor->statement->parameter_count > 0)
		visitor_describe(visitor, execute);
	else
		execute(visitor);
}

/* SET and RESET of a setting become a statement; false: `error` says why not. */
static bool
translate_settings(Visitor *visitor)
{
	Statement *statement = (Statement *) visitor->statement;
	Text sql;
	size_t i;

	text_init(&sql, &visitor->arena);
	text_append(&sql, "SELECT 1");
	for (i = 0; i < statement->option_count + statement->name_count; i++)
	{
		const TranslateOption *option = i < statement->option_count ? &statement->options[i] : NULL;
		const char *name =
		    option != NULL ? option->name : statement->names[i - statement->option_count];

		if (option != NULL && option->global)
		{
			error_unsupported(&visitor->error, "SET GLOBAL");
			return false;
		}
		if (is_among(name, ignored_settings))
			continue;
		if (!is_among(name, settings))
		{
			error_unsupported(&visitor->error, "setting \"%.64s\"", name);
			return false;
		}
		text_append(&sql, ", pg_catalog.set_config(");
		text_literal(&sql, name);
		if (option != NULL)
		{
			text_append(&sql, ", ");
			text_literal(&sql, option->value);
		}
		else
		{
			text_append(
			    &sql,
			    ", (SELECT reset_val FROM pg_catalog.pg_settings WHERE pg_catalog.lower(name) = ");
			text_literal(&sql, name);
			text_append(&sql, ")");
		}
		text_append(&sql, ", false)");
	}
	statement->sql = sql.data;
	visitor->count = 0;
	return true;
}

/* A statement that is done without PostgreSQL. */
static void
answer_nothing(Visitor *visitor)
{
	visitor->count = 0;
	write_end(visitor);
	visitor_answer(visitor);
}

/* See visitor.h. */
void
statement_run(Visitor *visitor)
{
	visitor->count = -1;
	switch (visitor->statement->kind)
	{
		case STATEMENT_QUERY:
		case STATEMENT_INSERT:
		case STATEMENT_UPDATE:
		case STATEMENT_DELETE:
		case STATEMENT_DEFINE:
		case STATEMENT_REFRESH:
			begin(visitor);
			break;
		case STATEMENT_SET:
		case STATEMENT_RESET:
			if (translate_settings(visitor))
				begin(visitor);
			else
				visitor_fail(visitor);
			break;
		case STATEMENT_ACCEPTED:
		case STATEMENT_BEGIN: /* as in CrateDB each statement is a transaction */
		case STATEMENT_COMMIT:
			answer_nothing(visitor);
			break;
		default:
			error_unsupported(&visitor->error, "%s", visitor->statement->head);
			visitor_fail(visitor);
			break;
	}
}
