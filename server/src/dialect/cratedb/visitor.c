/*-------------------------------------------------------------------------
 *
 * visitor.c
 *	  A client at CrateDB's door: who he is, and his way to a backend.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/cratedb/visitor.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dialect/cratedb/argument.h"
#include "dialect/cratedb/cratedb.h"
#include "http/basic.h"
#include "http/json.h"

/* What clients choose their SQL by. */
#define CRATEDB_VERSION "6.1.2"

/* Whom CrateDB takes a client for that does not say who it is. */
#define DEFAULT_ROLE "crate"

/* Where its names are looked for first. */
#define DEFAULT_SCHEMA "doc"

/* The name of a statement with parameters. */
#define PREPARED "freshet"

/* A body of so many bytes is read in no time. */
#define READ_HERE (256 * 1024)

#define JSON_TYPE "application/json; charset=UTF-8"
#define TEXT_TYPE "text/plain; charset=utf-8"

/* What a backend begins with: what values look like, and what CrateDB's client expects of a server. */
static const char settings[] = "-c client_encoding=UTF8 -c DateStyle=ISO -c IntervalStyle=postgres"
                               " -c TimeZone=UTC -c extra_float_digits=1 -c bytea_output=hex"
                               " -c standard_conforming_strings=on -c client_min_messages=warning"
                               " -c client_connection_check_interval=1000";

static atomic_uint_least64_t visitors;

static void *
visitor_open(HttpConnection *connection)
{
	Visitor *visitor = calloc(1, sizeof *visitor);

	if (visitor == NULL)
		abort();
	visitor->connection = connection;
	visitor->number = ++visitors;
	return visitor;
}

/* Forget a password as soon as it is not needed. */
static void
forget_password(Visitor *visitor)
{
	free_secret(visitor->password);
	visitor->password = NULL;
}

/* A large body is read on a thread of libuv's, where it delays nobody. */
typedef struct Reading
{
	uv_work_t work;
	Visitor *visitor; /* NULL once the request is over */
	Buffer body;
	Request request;
	Error error;
	bool good;
} Reading;

/* The request is over: nothing of it is left but a lease that holds what was set. */
static void
clear(Visitor *visitor)
{
	forget_password(visitor);
	if (visitor->reading != NULL)
		visitor->reading->visitor = NULL;
	visitor->reading = NULL;
	free(visitor->role);
	free(visitor->schema);
	free(visitor->types);
	visitor->role = visitor->schema = NULL;
	visitor->types = NULL;
	visitor->statement = NULL;
	request_free(&visitor->request);
	arena_reset(&visitor->arena);
	bulk_free(&visitor->bulk);
	buffer_clear(&visitor->out);
	visitor->failed = visitor->guessed = visitor->streaming = visitor->headed = visitor->done =
	    false;
	visitor->skip = 0;
	visitor->count = -1;
	visitor->sqlstate[0] = '\0';
	visitor->result = NULL;
	visitor->synced = NULL;
}

/* Let go of a backend. */
static void
give_up(Visitor *visitor)
{
	if (visitor->asking != NULL)
		lease_forget(visitor->asking);
	if (visitor->lease != NULL)
		lease_drop(visitor->lease);
	visitor->asking = NULL;
	visitor->lease = NULL;
	visitor->pinned = false;
}

static void
visitor_close(void *self)
{
	Visitor *visitor = self;

	if (visitor->pinned)
		lease_return(visitor->lease);
	else
		give_up(visitor);
	clear(visitor);
	buffer_free(&visitor->out);
	free(visitor);
}

/* Milliseconds since the request was whole. */
double
visitor_duration(const Visitor *visitor)
{
	return (double) (uv_hrtime() - visitor->begun) / 1e6;
}

/* The answer to the client; the backend is made as new meanwhile. */
static void
finish(Visitor *visitor, int status)
{
	Lease *lease = visitor->pinned ? NULL : visitor->lease;

	if (lease != NULL)
		visitor->lease = NULL;
	if (!visitor->streaming)
		http_answer(visitor->connection, status, JSON_TYPE, "", buffer_data(&visitor->out),
		            visitor->out.length);
	else if (visitor->failed)
		http_abort(visitor->connection);
	else
	{
		http_chunk(visitor->connection, buffer_data(&visitor->out), visitor->out.length);
		http_end(visitor->connection);
	}
	clear(visitor);
	if (lease != NULL)
		lease_return(lease);
}

/* What is in `out` is all. */
void
visitor_answer(Visitor *visitor)
{
	finish(visitor, 200);
}

/* The schema is there or not, and the error says which. */
static void
schema_looked_for(Visitor *visitor, PGresult *result)
{
	if (PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_SINGLE_TUPLE)
		visitor->count += PQntuples(result);
}

static void
schema_known(Visitor *visitor)
{
	if (visitor->count == 0)
		error_schema(&visitor->error);
	visitor_fail(visitor);
}

/*
 * CrateDB tells a schema that is not there from a relation; PostgreSQL does not, so it is asked.
 * The name is the first part of what the error names.
 */
static bool
look_for_schema(Visitor *visitor)
{
	char schema[ERROR_TEXT];
	const char *name = schema;

	if (visitor->lease == NULL || strcmp(visitor->sqlstate, "42P01") != 0 ||
	    !error_find_schema(&visitor->error, schema))
		return false;
	visitor->sqlstate[0] = '\0';
	visitor->failed = false;
	visitor->count = 0;
	visitor->result = schema_looked_for;
	visitor->synced = schema_known;
	PQsendQueryParams(lease_pq(visitor->lease),
	                  "SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1", 1, NULL, &name,
	                  NULL, NULL, 0);
	lease_sync(visitor->lease);
	lease_flush(visitor->lease);
	return true;
}

/* The request has failed, for the reason in `error`. */
void
visitor_fail(Visitor *visitor)
{
	const Error *error = &visitor->error;

	if (look_for_schema(visitor))
		return;
	visitor->failed = true;
	buffer_clear(&visitor->out);
	json_raw(&visitor->out, "{\"error\":");
	error_write(&visitor->out, error);
	if (visitor->wants_trace && visitor->request.rows == NULL)
	{
		char trace[ERROR_TEXT + 128];
		int length = snprintf(trace, sizeof trace, "io.crate.exceptions.%s: %s\n", error->class,
		                      error->text);

		json_raw(&visitor->out, ",\"error_trace\":");
		json_text(&visitor->out, trace, (size_t) length);
	}
	json_raw(&visitor->out, "}");
	finish(visitor, error->status);
}

/* A line of text. */
static void
answer_text(Visitor *visitor, int status, const char *fields, const char *text)
{
	http_answer(visitor->connection, status, TEXT_TYPE, fields, text, strlen(text));
}

/* He is not let in. As CrateDB does, in plain text, and the connection is over. */
static void
turn_away(Visitor *visitor, const char *why)
{
	char text[ERROR_TEXT];

	snprintf(text, sizeof text, "%s\n", why);
	http_last(visitor->connection);
	answer_text(visitor, 401, "WWW-Authenticate: Basic realm=\"CrateDB Authenticator\"\r\n", text);
	clear(visitor);
}

/* A result of what was sent. */
static void
lease_result(void *owner, PGresult *result)
{
	Visitor *visitor = owner;

	switch (PQresultStatus(result))
	{
		case PGRES_PIPELINE_SYNC:
			visitor->synced(visitor);
			break;
		case PGRES_PIPELINE_ABORTED:
			break;
		case PGRES_BAD_RESPONSE:
		case PGRES_NONFATAL_ERROR:
		case PGRES_FATAL_ERROR:
			if (visitor->failed)
				break;
			visitor->failed = true;
			error_postgres(&visitor->error, result, visitor->statement, visitor->request.text,
			               visitor->request.length, visitor->role,
			               visitor->schema != NULL ? visitor->schema : DEFAULT_SCHEMA);
			snprintf(visitor->sqlstate, sizeof visitor->sqlstate, "%s",
			         PQresultErrorField(result, PG_DIAG_SQLSTATE)
			             ? PQresultErrorField(result, PG_DIAG_SQLSTATE)
			             : "");
			break;
		default:
			if (!visitor->failed)
				visitor->result(visitor, result);
			break;
	}
}

static void
lease_granted(void *owner, Lease *lease)
{
	Visitor *visitor = owner;

	visitor->asking = NULL;
	visitor->lease = lease;
	forget_password(visitor);
	visitor->start(visitor);
}

static void
lease_refused(void *owner, const char *sqlstate, const char *message)
{
	Visitor *visitor = owner;

	visitor->asking = NULL;
	if (strncmp(sqlstate, "28", 2) == 0)
	{
		turn_away(visitor, message);
		return;
	}
	error_server(&visitor->error, sqlstate, message);
	visitor_fail(visitor);
}

static void
lease_lost(void *owner, const char *message)
{
	Visitor *visitor = owner;

	visitor->lease = NULL;
	visitor->pinned = false;
	if (visitor->role == NULL)
		return;
	error_server(&visitor->error, "08006", message);
	visitor_fail(visitor);
}

static void
lease_flushed(void *owner)
{
	bulk_flushed(owner);
}

static const LeaseEvents lease_events = {lease_granted, lease_refused, lease_result, lease_flushed,
                                         lease_lost};

/* A name as it stands in a setting's value, and that among the options of a start: blanks separate. */
static void
add_schema(Buffer *options, const char *schema)
{
	json_raw(options, "\"");
	for (; *schema != '\0'; schema++)
	{
		if (*schema == '"')
			json_raw(options, "\"");
		if (*schema == ' ' || *schema == '\\')
			json_raw(options, "\\");
		buffer_append(options, schema, 1);
	}
	json_raw(options, "\",");
}

/* Get a backend; then `start`. */
static void
ask(Visitor *visitor, void (*start)(Visitor *visitor))
{
	Buffer options = {0};
	LeaseWish wish = {.role = visitor->role,
	                  .password = visitor->password,
	                  .trusted = visitor->trusted,
	                  .database = DEFAULT_DATABASE,
	                  .network = http_network(visitor->connection),
	                  .holder = visitor->number};

	visitor->start = start;
	if (visitor->pinned &&
	    CRYPTO_memcmp(visitor->pinned_for, visitor->identity, IDENTITY_SIZE) == 0)
	{
		start(visitor);
		return;
	}
	if (visitor->pinned)
		lease_return(visitor->lease);
	visitor->pinned = false;
	visitor->lease = NULL;
	json_raw(&options, settings);
	json_raw(&options, " -c search_path=");
	add_schema(&options, visitor->schema != NULL ? visitor->schema : DEFAULT_SCHEMA);
	buffer_append(&options, "public", 7);
	wish.options = buffer_data(&options);
	visitor->asking = lease_ask(http_loop(visitor->connection), &wish, &lease_events, visitor);
	buffer_free(&options);
	forget_password(visitor);
}

/* PostgreSQL says which types the parameters have. */
static void
described(Visitor *visitor, PGresult *result)
{
	size_t i;

	if (PQnparams(result) != (int) visitor->statement->parameter_count)
		return;
	for (i = 0; i < visitor->statement->parameter_count; i++)
		visitor->types[i] = PQparamtype(result, (int) i);
}

/* The client's value for a parameter. */
static const json_t *
argument(const Visitor *visitor, const json_t *arguments, size_t parameter)
{
	return json_array_get(arguments, (size_t) visitor->statement->parameters[parameter] - 1);
}

/* Where PostgreSQL cannot say, the values do. */
static void
guess_types(Visitor *visitor)
{
	const json_t *arguments = visitor->request.rows != NULL
	                              ? json_array_get(visitor->request.rows, 0)
	                              : visitor->request.arguments;
	size_t i;

	visitor->guessed = true;
	for (i = 0; i < visitor->statement->parameter_count; i++)
		visitor->types[i] = argument_type(argument(visitor, arguments, i));
}

static void send_description(Visitor *visitor);

static void
describe_done(Visitor *visitor)
{
	if (visitor->failed && strcmp(visitor->sqlstate, "42P18") == 0 && !visitor->guessed)
	{
		visitor->failed = false;
		guess_types(visitor);
		send_description(visitor);
	}
	else if (visitor->failed)
		visitor_fail(visitor);
	else
		visitor->start(visitor);
}

static void
send_description(Visitor *visitor)
{
	PGconn *pq = lease_pq(visitor->lease);
	const Statement *statement = visitor->statement;

	visitor->result = described;
	visitor->synced = describe_done;
	/* it has a name, since statements of ours come between, and a session that is kept may have one */
	if (visitor->pinned || !lease_is_new(visitor->lease))
		visitor_send_text(visitor, "DEALLOCATE ALL");
	PQsendPrepare(pq, PREPARED, statement->sql,
	              visitor->guessed ? (int) statement->parameter_count : 0, visitor->types);
	PQsendDescribePrepared(pq, PREPARED);
	lease_sync(visitor->lease);
	lease_flush(visitor->lease);
}

/* Prepare the statement, and find the types of its parameters; then go on. */
void
visitor_describe(Visitor *visitor, void (*then)(Visitor *visitor))
{
	size_t count = visitor->statement->parameter_count;

	visitor->start = then;
	visitor->types = calloc(count + 1, sizeof *visitor->types);
	if (visitor->types == NULL)
		abort();
	send_description(visitor);
}

/* Send a statement without parameters. */
void
visitor_send_text(Visitor *visitor, const char *sql)
{
	PQsendQueryParams(lease_pq(visitor->lease), sql, 0, NULL, NULL, NULL, NULL, 0);
}

/* Send the prepared statement with these values; false: libpq would not. */
bool
visitor_send(Visitor *visitor, const json_t *arguments)
{
	size_t count = visitor->statement->parameter_count;
	const char **values = arena_alloc(&visitor->arena, (count + 1) * sizeof *values);
	size_t *offsets = arena_alloc(&visitor->arena, (count + 1) * sizeof *offsets);
	Buffer bytes = {0};
	bool sent;
	size_t i;

	for (i = 0; i < count; i++)
	{
		offsets[i] = bytes.length;
		if (!json_is_null(argument(visitor, arguments, i)))
			argument_write(&bytes, argument(visitor, arguments, i), visitor->types[i]);
	}
	for (i = 0; i < count; i++)
		values[i] =
		    json_is_null(argument(visitor, arguments, i)) ? NULL : buffer_data(&bytes) + offsets[i];
	sent = PQsendQueryPrepared(lease_pq(visitor->lease), PREPARED, (int) count, values, NULL, NULL,
	                           0) == 1;
	buffer_free(&bytes);
	return sent;
}

/* Who is there: answered without PostgreSQL, since each client asks it first. */
static void
answer_root(Visitor *visitor)
{
	static const char text[] =
	    "{\"ok\":true,\"status\":200,\"name\":\"freshet\",\"cluster_name\":\"crate\",\"version\":{"
	    "\"number\":\"" CRATEDB_VERSION "\",\"build_hash\":\"freshet\",\"build_timestamp\":\"NA\","
	    "\"build_snapshot\":false,\"lucene_version\":\"none\"}}";

	http_answer(visitor->connection, 200, JSON_TYPE, "", text, sizeof text - 1);
}

/* All that makes a session of its own, as one hash. */
static void
make_identity(Visitor *visitor)
{
	const char *parts[] = {visitor->role, visitor->password, visitor->schema};
	Buffer bytes = {0};
	size_t i;

	for (i = 0; i < sizeof parts / sizeof parts[0]; i++)
	{
		buffer_append(&bytes, parts[i] != NULL ? "+" : "-", 1);
		if (parts[i] != NULL)
			buffer_append(&bytes, parts[i], strlen(parts[i]) + 1);
	}
	buffer_append(&bytes, visitor->trusted ? "t" : "p", 1);
	if (EVP_Digest(buffer_data(&bytes), bytes.length, visitor->identity, NULL, EVP_sha256(),
	               NULL) != 1)
		abort();
	OPENSSL_cleanse(buffer_data(&bytes), bytes.length);
	buffer_free(&bytes);
}

/* Find out who he says he is; false: he is turned away. */
static bool
identify(Visitor *visitor, const HttpHead *head)
{
	const char *authorization = http_field(head, "authorization");
	const char *user = http_field(head, "x-user");
	const char *schema = http_field(head, "default-schema");
	const SessionServer *server = session_loop_server(http_loop(visitor->connection));

	if (authorization != NULL && !http_basic(authorization, &visitor->role, &visitor->password))
	{
		turn_away(visitor, "Only Basic authentication is supported");
		return false;
	}
	if (visitor->role == NULL)
		visitor->role = copy_string(user != NULL && *user != '\0' ? user : DEFAULT_ROLE);
	/* an empty password is none */
	if (visitor->password != NULL && visitor->password[0] == '\0')
		forget_password(visitor);
	if (schema != NULL && *schema != '\0')
		visitor->schema = copy_string(schema);
	visitor->trusted = http_trusted(visitor->connection) && server->has_password_backend &&
	                   session_server_trusts(server, visitor->role);
	if (visitor->role[0] == '\0' || (!visitor->trusted && visitor->password == NULL))
	{
		char text[ERROR_TEXT];

		snprintf(text, sizeof text, "password authentication failed for user \"%.64s\"",
		         visitor->role);
		turn_away(visitor, text);
		return false;
	}
	make_identity(visitor);
	return true;
}

/* Is a key of the query set? */
static bool
is_set(const HttpHead *head, const char *key)
{
	const char *value;
	size_t length;

	return http_query(head, key, &value, &length) &&
	       (length == 0 || (length == 4 && strncmp(value, "true", 4) == 0));
}

static void
visitor_head(void *self, const HttpHead *head)
{
	Visitor *visitor = self;
	bool reads = head->method == HTTP_METHOD_GET || head->method == HTTP_METHOD_HEAD;
	char text[ERROR_TEXT];

	if (reads && strcmp(head->path, "/") == 0)
		answer_root(visitor);
	else if (head->method == HTTP_METHOD_POST && strcmp(head->path, "/_sql") == 0)
	{
		visitor->wants_types = is_set(head, "types");
		visitor->wants_trace = is_set(head, "error_trace");
		if (identify(visitor, head))
			http_collect(visitor->connection);
	}
	else if (reads)
	{
		snprintf(text, sizeof text, "Requested file [%.512s] was not found\n", head->path);
		answer_text(visitor, 404, "", text);
	}
	else
	{
		snprintf(text, sizeof text, "This method is not allowed for [%.512s]\n", head->path);
		answer_text(visitor, 403, "", text);
	}
}

static void
visitor_body(void *self, const char *bytes, size_t count)
{
	(void) self;
	(void) bytes;
	(void) count;
}

/* Is each parameter's value there? */
static bool
check_arguments(Visitor *visitor, const json_t *arguments)
{
	const Statement *statement = visitor->statement;
	size_t i;

	for (i = 0; i < statement->parameter_count; i++)
		if (statement->parameters[i] < 1 ||
		    (size_t) statement->parameters[i] > json_array_size(arguments))
		{
			error_parse(&visitor->error,
			            "The query contains a parameter placeholder $%d, but there are only %zu "
			            "parameter values",
			            statement->parameters[i], json_array_size(arguments));
			return false;
		}
	return true;
}

/* The same, for a request of any kind. */
static bool
check_all_arguments(Visitor *visitor)
{
	const json_t *rows = visitor->request.rows;
	size_t i;

	if (rows == NULL)
		return check_arguments(visitor, visitor->request.arguments);
	for (i = 0; i < json_array_size(rows); i++)
		if (!check_arguments(visitor, json_array_get(rows, i)))
			return false;
	return true;
}

/* Make a statement of PostgreSQL's of the request; false: `error` says why not. */
static bool
read_statement(Visitor *visitor)
{
	Request *request = &visitor->request;
	Translation translation;

	translation = translate(&visitor->arena, TRANSLATE_CRATEDB, request->text, request->length);
	if (!translation.failed && translation.count != 1)
	{
		translation.error.sqlstate = "42601";
		translation.error.message = translation.count == 0 ? "syntax error at end of input"
		                                                   : "there is more than one statement";
		translation.error.position = translation.count == 0 ? 0 : translation.statements[1].at;
		translation.failed = true;
	}
	if (translation.failed)
	{
		error_translation(&visitor->error, &translation.error, request->text, request->length);
		return false;
	}
	visitor->statement = &translation.statements[0];
	return check_all_arguments(visitor);
}

/* The body is read: do what it says. */
static void
run(Visitor *visitor, bool good)
{
	if (!good || !read_statement(visitor))
		visitor_fail(visitor);
	else if (visitor->request.rows != NULL)
		bulk_run(visitor);
	else
		statement_run(visitor);
}

static void
reading_work(uv_work_t *work)
{
	Reading *reading = work->data;

	reading->good = request_read(&reading->request, buffer_data(&reading->body),
	                             reading->body.length, &reading->error);
}

static void
reading_done(uv_work_t *work, int status)
{
	Reading *reading = work->data;
	Visitor *visitor = reading->visitor;

	(void) status;
	buffer_free(&reading->body);
	if (visitor == NULL)
		request_free(&reading->request);
	else
	{
		visitor->reading = NULL;
		visitor->request = reading->request;
		visitor->error = reading->error;
		run(visitor, reading->good);
	}
	free(reading);
}

/* There is a backend, so he is who he says: read the body. */
static void
read_body(Visitor *visitor)
{
	size_t length;
	const char *body = http_collected(visitor->connection, &length);

	if (length <= READ_HERE)
	{
		run(visitor, request_read(&visitor->request, body, length, &visitor->error));
		return;
	}
	visitor->reading = calloc(1, sizeof *visitor->reading);
	if (visitor->reading == NULL)
		abort();
	visitor->reading->visitor = visitor;
	visitor->reading->work.data = visitor->reading;
	http_take_collected(visitor->connection, &visitor->reading->body);
	uv_queue_work(loop_uv(session_loop_of(http_loop(visitor->connection))), &visitor->reading->work,
	              reading_work, reading_done);
}

static void
visitor_end(void *self)
{
	Visitor *visitor = self;

	visitor->begun = uv_hrtime();
	ask(visitor, read_body);
}

static void
visitor_gone(void *self)
{
	Visitor *visitor = self;

	give_up(visitor);
	clear(visitor);
}

static void
visitor_drained(void *self)
{
	Visitor *visitor = self;

	if (visitor->lease != NULL)
		lease_hold(visitor->lease, false);
}

const HttpHandler cratedb_handler = {"cratedb",    visitor_open, visitor_close, visitor_head,
                                     visitor_body, visitor_end,  visitor_gone,  visitor_drained};
