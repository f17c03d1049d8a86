/*-------------------------------------------------------------------------
 *
 * door.c
 *	  Databend's HTTP endpoint: which request is for whom, and who sends it.
 *
 *-------------------------------------------------------------------------
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/lease.h"
#include "dialect/databend/databend.h"
#include "dialect/databend/failure.h"
#include "dialect/databend/multipart.h"
#include "dialect/databend/pin.h"
#include "dialect/databend/query.h"
#include "dialect/databend/stage.h"
#include "http/basic.h"
#include "http/json.h"

/* What clients choose their ways by: behind it they send files in other ones. */
#define DATABEND_VERSION "1.2.780"

#define JSON_TYPE "application/json; charset=utf-8"

/* A file that is uploaded may have so many bytes. */
#define UPLOAD_MAX ((size_t) 4 * 1024 * 1024 * 1024)

typedef enum Route
{
	ROUTE_NOWHERE,
	ROUTE_QUERY,
	ROUTE_CALL, /* of a query that there is */
	ROUTE_LOGIN,
	ROUTE_SESSION, /* logout, heartbeat */
	ROUTE_PUT,     /* a file, with a token */
	ROUTE_FORM     /* files in a form */
} Route;

typedef struct Visitor
{
	HttpConnection *connection;
	Route route;
	char *role;
	char *password;
	bool trusted;
	char *host;
	char *query_id;
	char *answer; /* of ROUTE_SESSION */

	LeaseRequest *asking;
	QueryCall *call;   /* under way */
	QueryCall *wanted; /* not sent yet */

	StageFile file;
	bool refused; /* the upload has been answered */
	Multipart form;
	char *prefix; /* of the paths of a form's files */
} Visitor;

static void *
visitor_open(HttpConnection *connection)
{
	Visitor *visitor = calloc(1, sizeof *visitor);

	if (visitor == NULL)
		abort();
	visitor->connection = connection;
	visitor->file.fd = -1;
	return visitor;
}

static void
forget_password(Visitor *visitor)
{
	free_secret(visitor->password);
	visitor->password = NULL;
}

/* Nothing is left of a request. */
static void
clear(Visitor *visitor)
{
	if (visitor->asking != NULL)
		lease_forget(visitor->asking);
	if (visitor->call != NULL)
		query_forget(visitor->call);
	if (visitor->wanted != NULL)
		query_call_free(visitor->wanted);
	visitor->asking = NULL;
	visitor->call = visitor->wanted = NULL;
	stage_abandon(&visitor->file);
	multipart_free(&visitor->form);
	forget_password(visitor);
	free(visitor->role);
	free(visitor->host);
	free(visitor->query_id);
	free(visitor->prefix);
	visitor->role = visitor->host = visitor->query_id = visitor->prefix = NULL;
	visitor->route = ROUTE_NOWHERE;
	visitor->refused = false;
}

static void
visitor_close(void *self)
{
	clear(self);
	free(self);
}

static void
answer(Visitor *visitor, int status, const char *text, size_t length)
{
	const char *fields = status == 401 ? "WWW-Authenticate: Basic realm=\"Databend\"\r\n" : "";

	http_answer(visitor->connection, status, JSON_TYPE, fields, text, length);
	clear(visitor);
}

/* An error that is not one of SQL. */
static void
answer_error(Visitor *visitor, int status, int code, const char *message)
{
	Buffer out = {0};
	Failure error;

	failure_set(&error, code, "%s", message);
	json_raw(&out, "{\"error\":");
	failure_write(&out, &error);
	json_raw(&out, "}");
	answer(visitor, status, buffer_data(&out), out.length);
	buffer_free(&out);
}

/* A query has answered. */
static void
call_done(QueryCall *call)
{
	Visitor *visitor = call->visitor;

	if (visitor != NULL)
	{
		visitor->call = NULL;
		answer(visitor, call->status, call->answer.length > 0 ? buffer_data(&call->answer) : "",
		       call->answer.length);
	}
	query_call_free(call);
}

static SessionServer *
server_of(const Visitor *visitor)
{
	return session_loop_server(http_loop(visitor->connection));
}

/* Who it is; false: he is turned away. */
static bool
identify(Visitor *visitor, const HttpHead *head)
{
	const char *authorization = http_field(head, "authorization");

	if (authorization == NULL || !http_basic(authorization, &visitor->role, &visitor->password))
	{
		answer_error(visitor, 401, 5100, "Basic authentication is needed");
		return false;
	}
	/* an empty password is none */
	if (visitor->password[0] == '\0')
		forget_password(visitor);
	visitor->trusted = visitor->password == NULL && http_trusted(visitor->connection) &&
	                   session_server_trusts(server_of(visitor), visitor->role);
	if (visitor->role[0] != '\0' && strlen(visitor->role) <= TRANSLATE_NAME_MAX &&
	    (visitor->trusted || visitor->password != NULL))
		return true;
	answer_error(visitor, 401, 5100, "password authentication failed");
	return false;
}

/* Who asked for a query may ask for its pages: a hash of what he proves himself by. */
static void
write_identity(const Visitor *visitor, unsigned char identity[QUERY_IDENTITY])
{
	const char *password = visitor->trusted || visitor->password == NULL ? "" : visitor->password;
	Buffer bytes = {0};

	buffer_append(&bytes, visitor->role, strlen(visitor->role) + 1);
	buffer_append(&bytes, visitor->trusted ? "t" : "p", 1);
	buffer_append(&bytes, password, strlen(password));
	if (EVP_Digest(buffer_data(&bytes), bytes.length, identity, NULL, EVP_sha256(), NULL) != 1)
		abort();
	OPENSSL_cleanse(buffer_data(&bytes), bytes.length);
	buffer_free(&bytes);
}

/* /v1/query/ID/page/N, …/final, …/kill */
static bool
read_call(Visitor *visitor, const char *path)
{
	QueryCall *call = query_call_make(visitor, call_done);
	char below[16] = "";
	int end = 0;

	if (sscanf(path, "%63[0-9A-Za-z_-]/page/%ld%n", call->id, &call->page, &end) == 2 &&
	    path[end] == '\0')
		call->wish = QUERY_PAGE;
	else if (sscanf(path, "%63[0-9A-Za-z_-]/%15s", call->id, below) == 2 &&
	         strcmp(below, "final") == 0)
		call->wish = QUERY_FINAL;
	else if (strcmp(below, "kill") == 0)
		call->wish = QUERY_KILL;
	else
	{
		query_call_free(call);
		return false;
	}
	visitor->wanted = call;
	return true;
}

/* The wish of who is there, to have his password checked. */
static LeaseWish
make_wish(const Visitor *visitor)
{
	return (LeaseWish){.role = visitor->role,
	                   .password = visitor->password,
	                   .trusted = visitor->trusted,
	                   .database = DEFAULT_DATABASE,
	                   .options = QUERY_OPTIONS,
	                   .network = http_network(visitor->connection)};
}

static void
lease_granted(void *owner, Lease *lease)
{
	static const char text[] = "{\"version\":\"" DATABEND_VERSION "\",\"session_id\":\"freshet\","
	                           "\"tokens\":null,\"session\":null}";
	Visitor *visitor = owner;

	visitor->asking = NULL;
	lease_return(lease);
	if (visitor->route == ROUTE_LOGIN)
		answer(visitor, 200, text, sizeof text - 1);
	else
		http_hold(visitor->connection, false);
}

static void
lease_refused(void *owner, const char *sqlstate, const char *message)
{
	Visitor *visitor = owner;
	Failure error;

	visitor->asking = NULL;
	failure_sqlstate(&error, sqlstate, message);
	answer_error(visitor,
	             error.code == 5100               ? 401
	             : strcmp(sqlstate, "53300") == 0 ? 429
	                                              : 500,
	             error.code, message);
}

static void
lease_result(void *owner, PGresult *result)
{
	(void) owner;
	(void) result;
}

static void
lease_flushed(void *owner)
{
	(void) owner;
}

static void
lease_lost(void *owner, const char *message)
{
	(void) owner;
	(void) message;
}

static const LeaseEvents lease_events = {lease_granted, lease_refused, lease_result, lease_flushed,
                                         lease_lost};

/* Have the password checked; then what the request is for. */
static void
check_password(Visitor *visitor)
{
	LeaseWish wish = make_wish(visitor);

	visitor->asking = lease_ask(http_loop(visitor->connection), &wish, &lease_events, visitor);
	forget_password(visitor);
}

/* The upload cannot go on. */
static bool
refuse_upload(Visitor *visitor, int status, const char *message)
{
	visitor->refused = true;
	answer_error(visitor, status, status, message);
	return false;
}

/* A token allows to put one file. */
static void
begin_put(Visitor *visitor, const char *token)
{
	const char *problem;
	char *location;

	if (!stage_token_read(token, &visitor->role, &location))
	{
		visitor->role = NULL;
		refuse_upload(visitor, 403, "this upload is not allowed, or not any more");
		return;
	}
	http_body_limit(visitor->connection, UPLOAD_MAX);
	if (!stage_create(&visitor->file, server_of(visitor)->stages, visitor->role, location,
	                  &problem))
		refuse_upload(visitor, 400, problem);
	free(location);
}

/* A part of a form: a file, named by its path in the stage. */
static bool
form_begin(void *owner, const char *filename)
{
	Visitor *visitor = owner;
	Buffer location = {0};
	const char *problem;
	bool good;

	buffer_printf(&location, "@~/%s%s%s", visitor->prefix, *visitor->prefix != '\0' ? "/" : "",
	              filename + strspn(filename, "/"));
	buffer_append(&location, "", 1);
	good = stage_create(&visitor->file, server_of(visitor)->stages, visitor->role,
	                    buffer_data(&location), &problem);
	buffer_free(&location);
	return good || refuse_upload(visitor, 400, problem);
}

static bool
form_data(void *owner, const char *bytes, size_t count)
{
	Visitor *visitor = owner;

	return stage_write(&visitor->file, bytes, count) ||
	       refuse_upload(visitor, 413,
	                     "the file could not be written: the stage, or the disk, is full");
}

static bool
form_end(void *owner)
{
	Visitor *visitor = owner;

	return stage_commit(&visitor->file) ||
	       refuse_upload(visitor, 500, "the file could not be written");
}

/* A form with files for the user's stage. */
static void
begin_form(Visitor *visitor, const HttpHead *head)
{
	const char *stage = http_field(head, "x-databend-stage-name");
	const char *prefix = http_field(head, "x-databend-relative-path");

	stage = stage != NULL ? stage : http_field(head, "stage_name");
	if (stage != NULL && strcmp(stage, "~") != 0)
	{
		answer_error(visitor, 400, 2501, "a stage other than ~ is not supported");
		return;
	}
	visitor->prefix = copy_string(prefix != NULL ? prefix : "");
	visitor->form.begin = form_begin;
	visitor->form.data = form_data;
	visitor->form.end = form_end;
	visitor->form.owner = visitor;
	if (!multipart_begin(&visitor->form, http_field(head, "content-type")))
	{
		answer_error(visitor, 400, 400, "this is no multipart/form-data");
		return;
	}
	http_body_limit(visitor->connection, UPLOAD_MAX);
	http_hold(visitor->connection, true);
	check_password(visitor);
}

/* A request to one of the paths that need to know who it is. */
static void
route(Visitor *visitor, const HttpHead *head)
{
	const char *path = head->path;
	bool post = head->method == HTTP_METHOD_POST;
	const char *id = http_field(head, "x-databend-query-id");
	const char *host = http_field(head, "host");

	if (post && (strcmp(path, "/v1/query") == 0 || strcmp(path, "/v1/query/") == 0))
		visitor->route = ROUTE_QUERY;
	else if (post && strcmp(path, "/v1/session/login") == 0)
		visitor->route = ROUTE_LOGIN;
	else if (post && (strcmp(path, "/v1/session/logout") == 0 ||
	                  strcmp(path, "/v1/session/heartbeat") == 0))
		visitor->route = ROUTE_SESSION;
	else if (head->method == HTTP_METHOD_PUT && strcmp(path, "/v1/upload_to_stage") == 0)
		visitor->route = ROUTE_FORM;
	else if (strncmp(path, "/v1/query/", 10) == 0 && read_call(visitor, path + 10))
		visitor->route = ROUTE_CALL;
	if (visitor->route == ROUTE_NOWHERE)
	{
		answer_error(visitor, 404, 404, "not found");
		return;
	}
	if (!identify(visitor, head))
		return;
	if (visitor->wanted != NULL)
		write_identity(visitor, visitor->wanted->identity);
	visitor->answer = strcmp(path, "/v1/session/heartbeat") == 0 ? "{\"queries_to_remove\":[]}"
	                                                             : "{\"error\":null}";
	visitor->host = copy_string(host != NULL ? host : "localhost");
	visitor->query_id = id != NULL ? copy_string(id) : NULL;
	if (visitor->route == ROUTE_FORM)
		begin_form(visitor, head);
	else
		http_collect(visitor->connection);
}

static void
visitor_head(void *self, const HttpHead *head)
{
	static const char health[] = "{\"status\":\"pass\"}";
	Visitor *visitor = self;
	bool reads = head->method == HTTP_METHOD_GET || head->method == HTTP_METHOD_HEAD;

	if (reads && (strcmp(head->path, "/v1/health") == 0 || strcmp(head->path, "/health") == 0))
		answer(visitor, 200, health, sizeof health - 1);
	else if (head->method == HTTP_METHOD_PUT && strncmp(head->path, "/v1/stage_upload/", 17) == 0)
	{
		visitor->route = ROUTE_PUT;
		begin_put(visitor, head->path + 17);
	}
	else
		route(visitor, head);
}

static void
visitor_body(void *self, const char *bytes, size_t count)
{
	Visitor *visitor = self;

	if (visitor->route == ROUTE_PUT && visitor->file.fd >= 0)
		form_data(visitor, bytes, count);
	else if (visitor->route == ROUTE_FORM && !multipart_feed(&visitor->form, bytes, count) &&
	         !visitor->refused && visitor->route == ROUTE_FORM)
		refuse_upload(visitor, 400, "the form is not valid");
}

/* The query begins on another loop, where its session's backend is. */
static void
start_there(Errand *errand)
{
	query_start((QueryBegin *) errand);
}

/* Begin a query: here, or where the session's backend is. */
static void
start_query(Visitor *visitor, json_t *document)
{
	SessionLoop *here = http_loop(visitor->connection);
	QueryBegin *begin = calloc(1, sizeof *begin);
	SessionLoop *there;

	if (begin == NULL)
		abort();
	visitor->call = query_call_make(visitor, call_done);
	write_identity(visitor, visitor->call->identity);
	query_choose_id(visitor->call, visitor->query_id);
	there = pin_loop(json_object_get(document, "session"), visitor->call->identity);
	begin->loop = there != NULL ? there : here;
	begin->wish = make_wish(visitor);
	begin->host = visitor->host;
	begin->body = document;
	begin->stages = server_of(visitor)->stages;
	begin->lenient = server_of(visitor)->databend_lenient;
	begin->call = visitor->call;
	/* they are the query's now */
	visitor->role = visitor->password = visitor->host = NULL;
	begin->errand.run = start_there;
	if (begin->loop == here)
		query_start(begin);
	else
		loop_post(session_loop_of(begin->loop), &begin->errand);
}

/* POST /v1/query: its body is {"sql": …, …}. */
static void
begin_query(Visitor *visitor)
{
	size_t length;
	const char *body = http_collected(visitor->connection, &length);
	json_error_t problem;
	json_t *document = json_loadb(body, length, JSON_REJECT_DUPLICATES, &problem);
	char message[256];

	if (json_is_object(document) && json_is_string(json_object_get(document, "sql")))
	{
		start_query(visitor, document);
		return;
	}
	snprintf(message, sizeof message, "parse error: %.160s",
	         document == NULL ? problem.text : "the body must be an object with sql");
	json_decref(document);
	answer_error(visitor, 400, 400, message);
}

static void
visitor_end(void *self)
{
	static const char uploaded[] =
	    "{\"id\":\"freshet\",\"stage_name\":\"~\",\"state\":\"SUCCESS\",\"files\":[]}";
	Visitor *visitor = self;

	switch (visitor->route)
	{
		case ROUTE_QUERY:
			begin_query(visitor);
			break;
		case ROUTE_CALL:
			visitor->call = visitor->wanted;
			visitor->wanted = NULL;
			query_post(visitor->call);
			break;
		case ROUTE_LOGIN:
			check_password(visitor);
			break;
		case ROUTE_SESSION:
			answer(visitor, 200, visitor->answer, strlen(visitor->answer));
			break;
		case ROUTE_PUT:
			if (form_end(visitor))
				answer(visitor, 200, "", 0);
			break;
		case ROUTE_FORM:
			if (multipart_ended(&visitor->form))
				answer(visitor, 200, uploaded, sizeof uploaded - 1);
			else
				refuse_upload(visitor, 400, "the form is not whole");
			break;
		default:
			break;
	}
}

static void
visitor_gone(void *self)
{
	clear(self);
}

static void
visitor_drained(void *self)
{
	(void) self;
}

const HttpHandler databend_handler = {"databend",   visitor_open, visitor_close, visitor_head,
                                      visitor_body, visitor_end,  visitor_gone,  visitor_drained};
