/*-------------------------------------------------------------------------
 *
 * execute.c
 *	  What a query does with its backend: by the kind of its statement.
 *
 * What gives rows is prepared and described first: Databend tells a column's own type, and whether it
 * takes NULL, which PostgreSQL's catalog knows of columns of tables. All else goes in one unit, which
 * is one transaction.
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dialect/databend/echo.h"
#include "dialect/databend/internal.h"
#include "dialect/databend/pin.h"
#include "dialect/databend/stage.h"
#include "dialect/databend/type.h"
#include "http/json.h"

/* Roles whose last USE is remembered. */
#define USED_SLOTS 256

/* The database that a role used last, for clients that forget it themselves. */
static struct
{
	char *role;
	char *database;
} used[USED_SLOTS];
static pthread_mutex_t used_lock = PTHREAD_MUTEX_INITIALIZER;

/* The slot of a role: who has the same one forgets. */
static size_t
slot_of(const char *role)
{
	size_t hash = 5381;

	for (; *role != '\0'; role++)
		hash = hash * 33 + (unsigned char) *role;
	return hash % USED_SLOTS;
}

static void
remember_used(const char *role, const char *database)
{
	size_t slot = slot_of(role);

	pthread_mutex_lock(&used_lock);
	free(used[slot].role);
	free(used[slot].database);
	used[slot].role = copy_string(role);
	used[slot].database = copy_string(database);
	pthread_mutex_unlock(&used_lock);
}

/* What the role has used last, in the query's memory; or NULL. */
static const char *
recall_used(Query *query)
{
	size_t slot = slot_of(query->wish.role);
	const char *database = NULL;

	pthread_mutex_lock(&used_lock);
	if (used[slot].role != NULL && strcmp(used[slot].role, query->wish.role) == 0)
		database = arena_copy(&query->arena, used[slot].database, strlen(used[slot].database));
	pthread_mutex_unlock(&used_lock);
	return database;
}

/* Does it give rows? */
static bool
gives_rows(const Query *query)
{
	return query->statement->kind == STATEMENT_QUERY || query->statement->returning;
}

/* The values of the statement's parameters; false: one is missing. */
static bool
read_values(Query *query)
{
	const Statement *statement = query->statement;
	const json_t *params = json_object_get(query->body, "params");

	query->values =
	    arena_alloc(&query->arena, (statement->parameter_count + 1) * sizeof *query->values);
	for (size_t i = 0; i < statement->parameter_count; i++)
	{
		const char *name = statement->parameter_names[i];
		const json_t *value = name != NULL
		                          ? json_object_get(params, name)
		                          : json_array_get(params, (size_t) statement->parameters[i] - 1);
		char *text;

		if (value == NULL)
		{
			query_fail(query, 1006, "there is no value for a parameter of the statement");
			return false;
		}
		if (json_is_string(value) || json_is_null(value))
		{
			query->values[i] = json_string_value(value);
			continue;
		}
		text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		query->values[i] = arena_copy(&query->arena, text, strlen(text));
		free(text);
	}
	return true;
}

/* A column's name: of SHOW TABLES it says of which database. */
static void
write_column_name(Query *query, Buffer *out, const char *name)
{
	const Statement *statement = query->statement;
	size_t length = strlen(name);

	json_raw(out, name);
	if (length > 4 && strcmp(name + length - 4, "_in_") == 0 &&
	    strncmp(statement->head, "SHOW", 4) == 0)
		json_raw(out, statement->relation.schema != NULL ? statement->relation.schema
		                                                 : echo_database(query->echo));
	buffer_append(out, "", 1);
}

/* A column: with the type it has in its table, or that of its values. */
static void
write_column(Query *query, const PGresult *result, int column)
{
	const Column *known = &query->columns[column];
	bool nullable;
	Buffer name = {0};
	Buffer type = {0};

	write_column_name(query, &name, PQfname(result, column));
	if (type_is_loose(PQftype(result, column), PQfmod(result, column)))
		decimal_type(&type, (uint16_t) column);
	else if (known->type != NULL)
		json_raw(&type, known->type);
	else
		type_name(&type, PQftype(result, column), PQfmod(result, column));
	nullable = !known->not_null && (type.length < 5 || memcmp(buffer_data(&type), "Array", 5) != 0);
	if (nullable)
	{
		Buffer inside = type;

		memset(&type, 0, sizeof type);
		json_raw(&type, "Nullable(");
		buffer_append(&type, buffer_data(&inside), inside.length);
		json_raw(&type, ")");
		buffer_free(&inside);
	}
	query_add_column(query, buffer_data(&name), buffer_data(&type), type.length);
	buffer_free(&name);
	buffer_free(&type);
}

/* The columns, when the first result of the statement itself is there. */
static void
write_columns(Query *query, const PGresult *result)
{
	if (query->has_result)
		return;
	for (int i = 0; i < PQnfields(result); i++)
		write_column(query, result, i);
	query->has_result = true;
}

/* A row of the statement's. */
static void
write_row(Query *query, const PGresult *result)
{
	Buffer value = {0};

	for (int i = 0; i < PQnfields(result); i++)
	{
		buffer_clear(&value);
		if (PQgetisnull(result, 0, i))
		{
			query_add_value(query, NULL, 0);
			continue;
		}
		if (type_is_loose(PQftype(result, i), PQfmod(result, i)))
		{
			if (!query_add_decimal(query, i, PQgetvalue(result, 0, i),
			                       (size_t) PQgetlength(result, 0, i)))
				failure_set(
				    &query->error, 1006,
				    "a decimal of column %d has more digits than those before it: cast it to "
				    "a DECIMAL with a scale",
				    i + 1);
			continue;
		}
		type_value(&value, PQftype(result, i), PQfmod(result, i), PQgetvalue(result, 0, i),
		           (size_t) PQgetlength(result, 0, i));
		query_add_value(query, value.length > 0 ? buffer_data(&value) : "", value.length);
	}
	buffer_free(&value);
	query_add_row(query);
}

/* Is this the end of a result that comes before the statement's own? */
static bool
is_before(Query *query, const PGresult *result)
{
	if (query->skip == 0)
		return false;
	query->skip -= PQresultStatus(result) != PGRES_SINGLE_TUPLE;
	return true;
}

/* The count that a change gives, as a row. */
static void
write_count(Query *query, const PGresult *result)
{
	static const struct
	{
		StatementKind kind;
		const char *name;
	} names[] = {{STATEMENT_INSERT, "number of rows inserted"},
	             {STATEMENT_UPDATE, "number of rows updated"},
	             {STATEMENT_DELETE, "number of rows deleted"}};
	const char *count = PQcmdTuples((PGresult *) result);

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
	{
		if (names[i].kind != query->statement->kind)
			continue;
		query->written_rows = strtoull(count, NULL, 10);
		query_add_own_column(query, names[i].name, "UInt64");
		query_add_value(query, count, strlen(count));
		query_add_row(query);
	}
}

/* A result of the statement. */
static void
executed(Query *query, PGresult *result)
{
	if (is_before(query, result) || query->done)
		return;
	query->done = PQresultStatus(result) != PGRES_SINGLE_TUPLE;
	if (gives_rows(query))
	{
		write_columns(query, result);
		if (!query->done)
			write_row(query, result);
	}
	else if (query->done)
		write_count(query, result);
}

/* The session as the statement leaves it. */
static void
change_session(Query *query)
{
	const Statement *statement = query->statement;
	Buffer affect = {0};

	if (statement->kind == STATEMENT_USE)
	{
		echo_use(query->echo, statement->relation.name);
		remember_used(query->wish.role, statement->relation.name);
		json_raw(&affect, "{\"type\":\"UseDB\",\"name\":");
		json_text(&affect, statement->relation.name, strlen(statement->relation.name));
		json_raw(&affect, "}");
	}
	for (size_t i = 0; i < statement->option_count && statement->kind == STATEMENT_SET; i++)
	{
		const TranslateOption *option = &statement->options[i];

		echo_set(query->echo, option->name, option->value);
		json_raw(&affect, i == 0 ? "{\"type\":\"ChangeSettings\",\"keys\":[" : ",");
		json_text(&affect, option->name, strlen(option->name));
	}
	if (statement->kind == STATEMENT_SET)
	{
		json_raw(&affect, "],\"values\":[");
		for (size_t i = 0; i < statement->option_count; i++)
		{
			json_raw(&affect, i == 0 ? "" : ",");
			json_text(&affect, statement->options[i].value, strlen(statement->options[i].value));
		}
		json_raw(&affect, "],\"is_globals\":[");
		for (size_t i = 0; i < statement->option_count; i++)
			buffer_printf(&affect, "%s%s", i == 0 ? "" : ",",
			              statement->options[i].global ? "true" : "false");
		json_raw(&affect, "]}");
	}
	for (size_t i = 0; i < statement->name_count && statement->kind == STATEMENT_RESET; i++)
		echo_set(query->echo, statement->names[i], NULL);
	if (affect.length > 0)
		query->affect = arena_copy(&query->arena, buffer_data(&affect), affect.length);
	buffer_free(&affect);
}

static void begin_statement(Query *query);

/*
 * Try a failed statement again, with the database that was used last as well: one that reads, or the
 * INSERT of a file whose request has no session at all, as databend-py sends it. False: it has failed.
 */
bool
execute_again(Query *query)
{
	bool reads = query->statement->kind == STATEMENT_QUERY;
	bool forgetful = query->statement->kind == STATEMENT_INSERT_STAGE &&
	                 json_object_get(query->body, "session") == NULL;
	const char *database;

	if (!query->lenient || query->fallback != NULL || query->pin != NULL || !(reads || forgetful) ||
	    query->has_result || strcmp(query->error.sqlstate, "42P01") != 0)
		return false;
	database = recall_used(query);
	if (database == NULL || strcmp(database, echo_database(query->echo)) == 0)
		return false;
	query->fallback = database;
	query->error.code = 0;
	query->skip = 0;
	begin_statement(query);
	return true;
}

/* All that was sent is answered. */
static void
finished(Query *query)
{
	if (query->error.code != 0 && execute_again(query))
		return;
	if (query->error.code != 0 && query->statement->unless_exists &&
	    (strcmp(query->error.sqlstate, "42710") == 0 ||
	     strcmp(query->error.sqlstate, "42P07") == 0))
		query->error.code = 0;
	if (query->error.code == 0)
		change_session(query);
	query_end(query);
}

/* One of the columns' own types. */
static void
looked_up(Query *query, PGresult *result)
{
	Column *column;

	if (PQresultStatus(result) != PGRES_SINGLE_TUPLE)
	{
		query->result = executed;
		return;
	}
	column = &query->columns[query->looked_up++];
	if (!PQgetisnull(result, 0, 0))
		column->type =
		    arena_copy(&query->arena, PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0));
	column->not_null = PQgetvalue(result, 0, 1)[0] == 't';
}

/* Ask the catalog about the columns of tables; false: there are none. */
static bool
send_lookup(Query *query)
{
	Text sql;
	bool any = false;

	text_init(&sql, &query->arena);
	text_append(&sql, "SELECT databend.type_name(a.atttypid, a.atttypmod, false), a.attnotnull "
	                  "FROM (VALUES ");
	for (int i = 0; i < query->column_count; i++)
	{
		any = any || query->columns[i].table != 0;
		text_printf(&sql, "%s(%d, %u::pg_catalog.oid, %d)", i > 0 ? ", " : "", i,
		            query->columns[i].table, query->columns[i].number);
	}
	text_append(&sql, ") AS c (i, r, n) LEFT JOIN pg_catalog.pg_attribute AS a "
	                  "ON a.attrelid = c.r AND a.attnum = c.n ORDER BY c.i");
	if (any)
		query_send(query, sql.data);
	return any;
}

/* The name of what is prepared: the unnamed statement is used by everything else that is sent. */
static const char *
prepared_name(Query *query)
{
	return arena_printf(&query->arena, "%s%.48s", query->fallback == NULL ? "q" : "again",
	                    query->id);
}

/* The statement was described, or could not be: run it. */
static void
run_described(Query *query)
{
	if (query->error.code != 0)
	{
		finished(query);
		return;
	}
	query->synced = finished;
	query->result = send_lookup(query) ? looked_up : executed;
	query->skip = 0;
	query->looked_up = 0;
	PQsendQueryPrepared(lease_pq(query->lease), prepared_name(query),
	                    (int) query->statement->parameter_count, query->values, NULL, NULL, 0);
	/* a backend that is kept would keep it as well */
	if (query->pin != NULL)
		PQsendQueryParams(lease_pq(query->lease),
		                  arena_printf(&query->arena, "DEALLOCATE \"%s\"", prepared_name(query)), 0,
		                  NULL, NULL, NULL, NULL, 0);
	query_flush(query);
}

/* The columns of what was prepared. */
static void
described(Query *query, PGresult *result)
{
	int count = PQnfields(result);

	if (is_before(query, result) || count == 0 || PQresultStatus(result) != PGRES_COMMAND_OK)
		return;
	query->columns = arena_alloc(&query->arena, (size_t) count * sizeof *query->columns);
	query->decimals.scales =
	    arena_alloc(&query->arena, (size_t) count * sizeof *query->decimals.scales);
	memset(query->decimals.scales, 0, (size_t) count * sizeof *query->decimals.scales);
	query->column_count = count;
	for (int i = 0; i < count; i++)
		query->columns[i] = (Column){PQftable(result, i), PQftablecol(result, i), NULL, false};
}

/* Prepare what gives rows. */
static void
send_describe(Query *query)
{
	PGconn *pq = lease_pq(query->lease);

	query->result = described;
	query->synced = run_described;
	PQsendPrepare(pq, prepared_name(query), query->statement->sql, 0, NULL);
	PQsendDescribePrepared(pq, prepared_name(query));
	query_flush(query);
}

/* Send the statement with what goes before and after it. */
static void
send_statement(Query *query)
{
	const Statement *statement = query->statement;
	const char **other;

	query->result = executed;
	query->synced = finished;
	for (other = statement->before; other != NULL && *other != NULL; other++)
		query_send(query, *other);
	if (statement->sql[0] != '\0')
		PQsendQueryParams(lease_pq(query->lease), statement->sql, (int) statement->parameter_count,
		                  NULL, query->values, NULL, NULL, 0);
	for (other = statement->after; other != NULL && *other != NULL; other++)
		PQsendQueryParams(lease_pq(query->lease), *other, 0, NULL, NULL, NULL, NULL, 0);
	query_flush(query);
}

/* SQL of ours for a statement that has none, such that PostgreSQL says whether it is possible. */
static void
make_check(Query *query)
{
	Statement *statement = query->statement;
	Text sql;
	Text name;

	text_init(&sql, &query->arena);
	text_append(&sql, "SELECT ");
	if (statement->kind == STATEMENT_USE)
	{
		text_init(&name, &query->arena);
		text_identifier(&name, statement->relation.name);
		text_literal(&sql, name.data);
		text_append(&sql, "::pg_catalog.regnamespace");
	}
	else
	{
		text_append(&sql, "1");
		for (size_t i = 0; i < statement->option_count; i++)
		{
			if (strcmp(statement->options[i].name, "timezone") != 0)
				continue;
			text_append(&sql, ", pg_catalog.set_config('TimeZone', ");
			text_literal(&sql, statement->options[i].value);
			text_append(&sql, ", false)");
		}
	}
	statement->sql = sql.data;
}

/* PRESIGN's answer: where to put a file. */
static void
answer_presign(Query *query)
{
	int64_t seconds = STAGE_TOKEN_SECONDS;
	Buffer url = {0};

	for (size_t i = 0; i < query->statement->option_count; i++)
		if (strcmp(query->statement->options[i].name, "expire") == 0)
			seconds = strtoll(query->statement->options[i].value, NULL, 10);
	if (seconds < 1 || seconds > 7 * 24 * 3600)
	{
		query_fail(query, 1006, "EXPIRE must be between 1 and 604800 seconds");
		return;
	}
	buffer_printf(&url, "http://%s/v1/stage_upload/", query->host);
	stage_token_write(&url, query->wish.role, query->statement->stage,
	                  (int64_t) time(NULL) + seconds);
	query_add_own_column(query, "method", "String");
	query_add_own_column(query, "headers", "Variant");
	query_add_own_column(query, "url", "String");
	query_add_value(query, "PUT", 3);
	query_add_value(query, "{}", 2);
	query_add_value(query, buffer_data(&url), url.length);
	buffer_free(&url);
	query_add_row(query);
	query_end(query);
}

/* SHOW SETTINGS: those of the session. */
static void
answer_settings(Query *query)
{
	const char *pattern = query->statement->name_count > 0 ? query->statement->names[0] : NULL;
	size_t length = pattern != NULL ? strcspn(pattern, "%_") : 0;

	query_add_own_column(query, "name", "String");
	query_add_own_column(query, "value", "String");
	query_add_own_column(query, "level", "String");
	for (const char *const *name = echo_settings; *name != NULL; name++)
	{
		const char *value = echo_setting(query->echo, *name);

		if (pattern != NULL && (strncmp(*name, pattern, length) != 0 ||
		                        (pattern[length] == '\0' && strlen(*name) != length)))
			continue;
		query_add_value(query, *name, strlen(*name));
		value = value != NULL ? value : strcmp(*name, "timezone") == 0 ? "UTC" : "";
		query_add_value(query, value, strlen(value));
		query_add_value(query, "SESSION", 7);
		query_add_row(query);
	}
	query_end(query);
}

/* KILL QUERY: what is killed answers its own client. */
static void
kill_done(QueryCall *call)
{
	query_call_free(call);
}

static void
answer_kill(Query *query)
{
	QueryCall *call = query_call_make(NULL, kill_done);

	snprintf(call->id, sizeof call->id, "%s", query->statement->names[0]);
	memcpy(call->identity, query->identity, QUERY_IDENTITY);
	call->wish = QUERY_KILL;
	query_post(call);
	query_end(query);
}

/* There is a backend, and so the client is who he says. */
static void
begin_statement(Query *query)
{
	switch (query->statement->kind)
	{
		case STATEMENT_PRESIGN:
			answer_presign(query);
			return;
		case STATEMENT_SHOW_SETTINGS:
			answer_settings(query);
			return;
		case STATEMENT_KILL:
			answer_kill(query);
			return;
		case STATEMENT_INSERT_STAGE:
		case STATEMENT_COPY_INTO:
			load_begin(query);
			return;
		default:
			break;
	}
	if (query->statement->kind == STATEMENT_USE || query->statement->kind == STATEMENT_SET)
		make_check(query);
	/* a transaction that has failed takes nothing but its end */
	if (query->statement->kind != STATEMENT_COMMIT && query->statement->kind != STATEMENT_ROLLBACK)
		query_send_settings(query);
	if (gives_rows(query))
		send_describe(query);
	else
		send_statement(query);
}

static void
lease_granted(void *owner, Lease *lease)
{
	Query *query = owner;

	query->asking = NULL;
	query->lease = lease;
	begin_statement(query);
}

static void
lease_refused(void *owner, const char *sqlstate, const char *message)
{
	Query *query = owner;

	query->asking = NULL;
	failure_sqlstate(&query->error, sqlstate, message);
	if (strcmp(sqlstate, "53300") == 0)
		query->error.code = 429;
	query_end(query);
}

static void lease_result(void *owner, PGresult *result);
static void lease_flushed(void *owner);
static void lease_lost(void *owner, const char *message);

static const LeaseEvents lease_events = {lease_granted, lease_refused, lease_result, lease_flushed,
                                         lease_lost};

/* Another backend, for the role as it is now. */
static void
ask_again(Query *query)
{
	lease_drop(query->lease);
	if (query->pin != NULL)
		pin_lose(query->pin);
	query->lease = NULL;
	query->pin = NULL;
	query->stale = false;
	query->error.code = 0;
	query->skip = 0;
	query->asking = lease_ask(query->loop, &query->wish, &lease_events, query);
}

/* Was the backend opened for a role that has been dropped since, maybe for another of that name? */
static bool
is_stale(const PGresult *result)
{
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	return message != NULL && strncmp(message, "invalid role OID", 16) == 0;
}

static void
lease_result(void *owner, PGresult *result)
{
	Query *query = owner;

	switch (PQresultStatus(result))
	{
		case PGRES_PIPELINE_SYNC:
			if (query->stale)
				ask_again(query);
			else
				query->synced(query);
			break;
		case PGRES_PIPELINE_ABORTED:
			break;
		case PGRES_BAD_RESPONSE:
		case PGRES_NONFATAL_ERROR:
		case PGRES_FATAL_ERROR:
			query->stale = query->stale || is_stale(result);
			if (query->error.code == 0)
				failure_postgres(&query->error, result, query->statement, query->text,
				                 query->length);
			break;
		default:
			if (query->error.code == 0)
				query->result(query, result);
	}
}

static void
lease_flushed(void *owner)
{
	load_flushed(owner);
}

static void
lease_lost(void *owner, const char *message)
{
	Query *query = owner;

	query->lease = NULL;
	query_fail(query, 1001, "%s", message);
}

/* Is each setting one that there is? */
static bool
check_settings(Query *query)
{
	const Statement *statement = query->statement;

	for (size_t i = 0; i < statement->option_count + statement->name_count; i++)
	{
		const char *name = i < statement->option_count
		                       ? statement->options[i].name
		                       : statement->names[i - statement->option_count];

		if (echo_knows(name))
			continue;
		query_fail(query, 2801, "Unknown variable: %.64s", name);
		return false;
	}
	return true;
}

/* Is it something that is done here? */
static bool
check_statement(Query *query)
{
	Statement *statement = query->statement;
	bool attached = json_object_get(query->body, "stage_attachment") != NULL;

	/* the fields of a file in place of parameters */
	if (attached && statement->placeholders)
		statement->kind = STATEMENT_INSERT_STAGE;
	if (attached && statement->kind != STATEMENT_INSERT_STAGE)
	{
		query_fail(query, 1006, "a stage_attachment goes with INSERT … VALUES");
		return false;
	}
	switch (statement->kind)
	{
		case STATEMENT_QUERY:
		case STATEMENT_INSERT:
		case STATEMENT_UPDATE:
		case STATEMENT_DELETE:
		case STATEMENT_DEFINE:
		case STATEMENT_REFRESH:
		case STATEMENT_USE:
		case STATEMENT_KILL:
		case STATEMENT_PRESIGN:
		case STATEMENT_SHOW_SETTINGS:
		case STATEMENT_BEGIN:
		case STATEMENT_COMMIT:
		case STATEMENT_ROLLBACK:
			return read_values(query);
		case STATEMENT_SET:
		case STATEMENT_RESET:
			return check_settings(query) && read_values(query);
		case STATEMENT_INSERT_STAGE:
		case STATEMENT_COPY_INTO:
			return load_prepare(query);
		default:
			query_fail(query, 1002, "%s is not supported", statement->head);
			return false;
	}
}

/* The backend that the session has kept; false: it is gone, and with it the transaction. */
static bool
take_pin(Query *query)
{
	const json_t *session = json_object_get(query->body, "session");
	const char *state = json_string_value(json_object_get(session, "txn_state"));

	query->pin = pin_take(session, query->identity);
	if (query->pin != NULL || state == NULL || strcmp(state, "AutoCommit") == 0)
		return true;
	query_fail(query, 4003,
	           "the transaction is not there any more: it has ended after some idle "
	           "minutes, or another statement of it is under way");
	return false;
}

void
execute_begin(Query *query)
{
	Translation translation =
	    translate(&query->arena, TRANSLATE_DATABEND, query->text, query->length);

	if (!translation.failed && translation.count != 1)
	{
		translation.failed = true;
		translation.error = (TranslateError){
		    "42601",
		    translation.count == 0 ? "unexpected end of input" : "there is more than one statement",
		    translation.count == 0 ? query->length : translation.statements[1].at};
	}
	if (translation.failed)
	{
		failure_translation(&query->error, &translation.error, query->text, query->length);
		query_end(query);
		return;
	}
	query->statement = &translation.statements[0];
	if (!check_statement(query) || !take_pin(query))
		return;
	if (query->pin != NULL)
	{
		query->lease = pin_lease(query->pin);
		pin_echo(query->pin, query->lease, query->echo);
		lease_hand(query->lease, &lease_events, query);
		begin_statement(query);
		return;
	}
	query->asking = lease_ask(query->loop, &query->wish, &lease_events, query);
}
