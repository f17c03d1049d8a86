/*-------------------------------------------------------------------------
 *
 * query.c
 *	  A query's life: its pages, who waits for them, its end. See query.h.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/databend/query.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialect/databend/echo.h"
#include "dialect/databend/internal.h"
#include "dialect/databend/pin.h"
#include "http/json.h"

/* Queries that are not gone, of all loops. Their ids do not change. */
static Query *registry;
static size_t registered;
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;

static void timer_due(uv_timer_t *timer);
static void leave(Query *query);

QueryCall *
query_call_make(void *visitor, void (*done)(QueryCall *call))
{
	QueryCall *call = calloc(1, sizeof *call);

	if (call == NULL)
		abort();
	call->home = loop_here();
	call->visitor = visitor;
	call->done = done;
	return call;
}

void
query_call_free(QueryCall *call)
{
	buffer_free(&call->answer);
	free(call);
}

/* The call is back on its home loop. */
static void
call_home(Errand *errand)
{
	QueryCall *call = (QueryCall *) errand;

	call->done(call);
}

/* Send a call home with its answer. */
static void
answer_call(QueryCall *call, int status)
{
	call->status = status;
	call->errand.run = call_home;
	loop_post(call->home, &call->errand);
}

/* A call's answer that is an error of HTTP's. */
static void
refuse_call(QueryCall *call, int status, const char *message)
{
	Failure error;

	failure_set(&error, status, "%s", message);
	json_raw(&call->answer, "{\"error\":");
	failure_write(&call->answer, &error);
	json_raw(&call->answer, "}");
	answer_call(call, status);
}

/* The timer of a query that has left is closed: it is gone. */
static void
free_query(uv_handle_t *handle)
{
	Query *query = handle->data;

	if (--query->handles > 0)
		return;
	free_secret((char *) query->wish.password);
	free((char *) query->wish.role);
	free(query->host);
	json_decref(query->body);
	json_decref(query->echo);
	buffer_free(&query->last);
	buffer_free(&query->schema);
	buffer_free(&query->rows);
	arena_reset(&query->arena);
	free(query);
}

/* Its timers go, then it does. */
static void
close_query(Query *query)
{
	query->handles = 2;
	uv_close((uv_handle_t *) &query->timer, free_query);
	uv_close((uv_handle_t *) &query->turn, free_query);
}

/* Let go of the backend; what it does is stopped. */
static void
give_up(Query *query)
{
	if (query->asking != NULL)
		lease_forget(query->asking);
	if (query->lease != NULL)
		lease_drop(query->lease);
	if (query->pin != NULL)
	{
		pin_lose(query->pin);
		echo_unpin(query->echo);
	}
	query->asking = NULL;
	query->lease = NULL;
	query->pin = NULL;
	uv_timer_stop(&query->turn);
	load_free(query);
}

/* The query is gone for whoever asks. */
static void
leave(Query *query)
{
	Query **link = &registry;

	if (!query->entered)
		return;
	query->entered = false;
	pthread_mutex_lock(&registry_lock);
	while (*link != query)
		link = &(*link)->next;
	*link = query->next;
	registered--;
	pthread_mutex_unlock(&registry_lock);
	session_loop_leave(query->loop, &query->guest);
	give_up(query);
	if (query->waiting != NULL)
		refuse_call(query->waiting, 500, "the server is shutting down");
	query->waiting = NULL;
	close_query(query);
}

/* The server stops. */
static void
guest_end(Guest *guest)
{
	leave((Query *) guest);
}

/* An id of 32 digits. */
static void
make_id(char id[QUERY_ID])
{
	unsigned char bytes[16];

	if (RAND_bytes(bytes, sizeof bytes) != 1)
		abort();
	for (int i = 0; i < 16; i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

/* Can a client's id stand in a URL? */
static bool
is_id(const char *id)
{
	static const char allowed[] =
	    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

	return *id != '\0' && strlen(id) < QUERY_ID && strspn(id, allowed) == strlen(id);
}

/* Somebody's query of this id; the lock is held. */
static Query *
find(const char *id, const unsigned char identity[QUERY_IDENTITY])
{
	Query *query = registry;

	while (query != NULL && (strcmp(query->id, id) != 0 ||
	                         CRYPTO_memcmp(query->identity, identity, QUERY_IDENTITY) != 0))
		query = query->next;
	return query;
}

void
query_choose_id(QueryCall *call, const char *given)
{
	bool good = given != NULL && is_id(given);

	if (good)
	{
		pthread_mutex_lock(&registry_lock);
		good = find(given, call->identity) == NULL;
		pthread_mutex_unlock(&registry_lock);
	}
	if (good)
		snprintf(call->id, sizeof call->id, "%s", given);
	else
		make_id(call->id);
}

/* Enter the registry; false: there are too many, or one of this id came first. */
static bool
enter(Query *query)
{
	bool good;

	pthread_mutex_lock(&registry_lock);
	good = registered < QUERY_MAX && find(query->id, query->identity) == NULL;
	if (good)
	{
		query->next = registry;
		registry = query;
		registered++;
	}
	pthread_mutex_unlock(&registry_lock);
	return good;
}

/* What every answer says of the query's progress. */
static void
write_stats(Buffer *out, const Query *query)
{
	buffer_printf(
	    out,
	    "\"stats\":{\"scan_progress\":{\"rows\":0,\"bytes\":0},\"write_progress\":{\"rows\":"
	    "%llu,\"bytes\":0},\"result_progress\":{\"rows\":%llu,\"bytes\":0},\"total_scan\":{"
	    "\"rows\":0,\"bytes\":0},\"spill_progress\":{\"file_nums\":0,\"bytes\":0},"
	    "\"running_time_ms\":%.3f}",
	    (unsigned long long) query->written_rows, (unsigned long long) query->result_rows,
	    (double) (uv_hrtime() - query->begun) / 1e6);
}

/* A member that is a path below the query's, or null. */
static void
write_uri(Buffer *out, const Query *query, const char *name, const char *below, bool there)
{
	if (there)
		buffer_printf(out, ",\"%s\":\"/v1/query/%s%s\"", name, query->id, below);
	else
		buffer_printf(out, ",\"%s\":null", name);
}

/* A page of the answer. */
static void
write_page(Buffer *out, const Query *query, bool more)
{
	const char *timezone = echo_setting(query->echo, "timezone");
	bool failed = query->error.code != 0;
	char next[32];

	snprintf(next, sizeof next, "/page/%ld", query->page + 1);
	buffer_printf(out, "{\"id\":\"%s\",\"session_id\":\"%s\",\"node_id\":\"freshet\",\"session\":",
	              query->id, query->session_id);
	echo_write(out, query->echo);
	json_raw(out, ",\"schema\":[");
	if (!failed && query->schema.length > 0)
		decimal_write(&query->decimals, out, buffer_data(&query->schema), query->schema.length);
	json_raw(out, "],\"data\":[");
	if (!failed && query->rows.length > 0)
		decimal_write(&query->decimals, out, buffer_data(&query->rows), query->rows.length);
	buffer_printf(out, "],\"state\":\"%s\",\"error\":",
	              failed ? "Failed"
	              : more ? "Running"
	                     : "Succeeded");
	if (failed)
		failure_write(out, &query->error);
	else
		json_raw(out, "null");
	buffer_printf(
	    out, ",\"warnings\":[],\"affect\":%s,\"has_result_set\":%s,\"result_timeout_secs\":%ld,",
	    query->affect != NULL ? query->affect : "null", query->has_result ? "true" : "false",
	    query->result_seconds);
	json_raw(out, "\"settings\":{\"timezone\":");
	timezone = timezone != NULL ? timezone : "UTC";
	json_text(out, timezone, strlen(timezone));
	json_raw(out, ",\"geometry_output_format\":\"GeoJSON\",\"binary_output_format\":\"hex\"},");
	write_stats(out, query);
	write_uri(out, query, "stats_uri", "", true);
	write_uri(out, query, "final_uri", "/final", true);
	write_uri(out, query, "next_uri", next, more);
	write_uri(out, query, "kill_uri", "/kill", true);
	json_raw(out, "}");
}

/* Whoever waits gets what there is: a page of rows, none yet, the last one, or an error. */
static void
deliver(Query *query)
{
	QueryCall *call = query->waiting;
	bool more = !query->ended;

	if (call == NULL)
		return;
	query->waiting = NULL;
	query->page++;
	if (query->has_result && query->decimals.scales != NULL)
		decimal_fix(&query->decimals, (uint16_t) query->column_count, !more);
	write_page(&call->answer, query, more);
	buffer_clear(&query->last);
	if (more)
		buffer_append(&query->last, buffer_data(&call->answer), call->answer.length);
	buffer_clear(&query->rows);
	query->row_count = 0;
	query->full = false;
	answer_call(call, failure_status(&query->error));
	if (more)
		uv_timer_start(&query->timer, timer_due, (uint64_t) query->result_seconds * 1000, 0);
	else
		leave(query);
}

/* There will be no more rows. */
void
query_end(Query *query)
{
	Lease *lease = query->lease;

	query->ended = true;
	query->lease = NULL;
	uv_timer_stop(&query->turn);
	load_free(query);
	if (lease != NULL)
		pin_settle(query->pin, lease, query->loop,
		           query->error.code == 0 && query->statement->temporary, query->identity,
		           query->echo);
	else if (query->pin != NULL)
	{
		pin_lose(query->pin);
		echo_unpin(query->echo);
	}
	query->pin = NULL;
	deliver(query);
}

void
query_fail(Query *query, int code, const char *format, ...)
{
	char text[FAILURE_TEXT];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	failure_set(&query->error, code, "%s", text);
	query_end(query);
}

/* Stop it, for a reason; it stays as a tombstone that tells it. */
static void
stop(Query *query, const char *reason)
{
	if (query->killed)
		return;
	query->killed = query->ended = true;
	give_up(query);
	buffer_clear(&query->rows);
	failure_set(&query->error, query->waiting != NULL ? 1043 : 400, "query %s closed for %s",
	            query->id, reason);
	if (query->waiting != NULL)
		deliver(query);
	else
		uv_timer_start(&query->timer, timer_due, (uint64_t) query->result_seconds * 1000, 0);
}

/* Who waits has waited long enough; or nobody has asked for long enough. */
static void
timer_due(uv_timer_t *timer)
{
	Query *query = timer->data;

	if (query->waiting != NULL)
		deliver(query);
	else if (query->killed)
		leave(query);
	else
		stop(query, "timed out");
}

/* A call for a page. */
static void
want_page(Query *query, QueryCall *call)
{
	char message[128];

	if (query->killed)
		refuse_call(call, 400, query->error.text);
	else if (call->page == query->page && query->last.length > 0)
	{
		buffer_append(&call->answer, buffer_data(&query->last), query->last.length);
		answer_call(call, 200);
	}
	else if (call->page != query->page + 1 || query->waiting != NULL)
	{
		snprintf(message, sizeof message, "wrong page number %ld, current is %ld", call->page,
		         query->page);
		refuse_call(call, 404, message);
	}
	else
	{
		query->waiting = call;
		if (query->full || query->ended)
			deliver(query);
		else
			uv_timer_start(&query->timer, timer_due, query->wait_ms, 0);
	}
	/* what was held back for a page that is gone now may come */
	if (query->entered && query->lease != NULL && !query->full)
		lease_hold(query->lease, false);
}

/* A call on the loop of its query, if that is still there. */
static void
call_here(Errand *errand)
{
	QueryCall *call = (QueryCall *) errand;
	char message[QUERY_ID + 32];
	Query *query;

	pthread_mutex_lock(&registry_lock);
	query = find(call->id, call->identity);
	pthread_mutex_unlock(&registry_lock);
	if (query == NULL || loop_uv(loop_here()) != query->timer.loop)
	{
		snprintf(message, sizeof message, "unknown query %s", call->id);
		refuse_call(call, 404, message);
	}
	else if (call->wish == QUERY_PAGE)
		want_page(query, call);
	else
	{
		if (call->wish == QUERY_KILL)
			stop(query, "canceled");
		else
			leave(query);
		answer_call(call, 200);
	}
}

void
query_post(QueryCall *call)
{
	char message[QUERY_ID + 32];
	Loop *loop = NULL;
	Query *query;

	pthread_mutex_lock(&registry_lock);
	query = find(call->id, call->identity);
	if (query != NULL)
		loop = session_loop_of(query->loop);
	pthread_mutex_unlock(&registry_lock);
	if (loop != NULL)
	{
		call->errand.run = call_here;
		loop_post(loop, &call->errand);
		return;
	}
	snprintf(message, sizeof message, "unknown query %s", call->id);
	refuse_call(call, 404, message);
}

/* The loop of a query learns that nobody waits for its first page any more. */
static void
kill_home(QueryCall *call)
{
	query_call_free(call);
}

void
query_forget(QueryCall *call)
{
	QueryCall *kill;

	call->visitor = NULL;
	if (call->wish != QUERY_PAGE || call->page > 0)
		return;
	kill = query_call_make(NULL, kill_home);
	snprintf(kill->id, sizeof kill->id, "%s", call->id);
	memcpy(kill->identity, call->identity, QUERY_IDENTITY);
	kill->wish = QUERY_KILL;
	query_post(kill);
}

/* A number of the request's pagination, within bounds. */
static long
read_pagination(const json_t *body, const char *key, long otherwise, long least, long most)
{
	const json_t *value = json_object_get(json_object_get(body, "pagination"), key);
	long number = json_is_integer(value) ? (long) json_integer_value(value) : otherwise;

	return number < least ? least : number > most ? most : number;
}

/* What the request says of the query. */
static void
read_begin(Query *query, const QueryBegin *begin)
{
	const json_t *body = begin->body;
	const char *as_text;

	snprintf(query->id, sizeof query->id, "%s", begin->call->id);
	memcpy(query->identity, begin->call->identity, QUERY_IDENTITY);
	query->wish = begin->wish;
	query->host = begin->host;
	query->stages = begin->stages;
	query->lenient = begin->lenient;
	query->loop = begin->loop;
	query->body = begin->body;
	query->echo = echo_make(json_object_get(body, "session"));
	query->text = json_string_value(json_object_get(body, "sql"));
	query->length = json_string_length(json_object_get(body, "sql"));
	as_text = echo_setting(query->echo, "format_null_as_str");
	query->null_text = as_text != NULL ? strcmp(as_text, "0") != 0
	                                   : json_is_true(json_object_get(body, "string_fields"));
	query->rows_per_page = read_pagination(body, "max_rows_per_page", 10000, 1, 1000000);
	query->wait_ms = 1000 * (uint64_t) read_pagination(body, "wait_time_secs", 10, 1, 60);
	query->result_seconds =
	    echo_seconds(query->echo, "http_handler_result_timeout_secs", RESULT_SECONDS);
	query->load.fd = -1;
	query->page = -1;
	query->begun = uv_hrtime();
}

void
query_start(QueryBegin *begin)
{
	Query *query = calloc(1, sizeof *query);
	QueryCall *call = begin->call;

	if (query == NULL)
		abort();
	read_begin(query, begin);
	free(begin);
	make_id(query->session_id);
	uv_timer_init(loop_uv(loop_here()), &query->timer);
	query->timer.data = query;
	uv_timer_init(loop_uv(loop_here()), &query->turn);
	query->turn.data = query;
	query->guest.end = guest_end;
	call->wish = QUERY_PAGE;
	if (!enter(query))
	{
		refuse_call(call, 429, "too many queries are under way");
		close_query(query);
		return;
	}
	query->entered = true;
	session_loop_enter(query->loop, &query->guest);
	query->waiting = call;
	uv_timer_start(&query->timer, timer_due, query->wait_ms, 0);
	execute_begin(query);
}

/* A statement, its values being literals in it. */
void
query_send(Query *query, const char *sql)
{
	PQsendQueryParams(lease_pq(query->lease), sql, 0, NULL, NULL, NULL, NULL, 0);
	query->skip++;
}

/* What the session has set, for what is sent after it. */
void
query_send_settings(Query *query)
{
	const char *timezone = echo_setting(query->echo, "timezone");
	Text path;
	Text sql;

	text_init(&path, &query->arena);
	text_identifier(&path, echo_database(query->echo));
	if (query->fallback != NULL)
	{
		text_append(&path, ", ");
		text_identifier(&path, query->fallback);
	}
	text_init(&sql, &query->arena);
	text_append(&sql, "SELECT pg_catalog.set_config('search_path', ");
	text_literal(&sql, path.data);
	text_append(&sql, ", false), pg_catalog.set_config('TimeZone', ");
	text_literal(&sql, timezone != NULL ? timezone : "UTC");
	/* the role's name, since it may have been dropped */
	text_append(&sql, ", false), current_user");
	query_send(query, sql.data);
}

void
query_flush(Query *query)
{
	lease_sync(query->lease);
	lease_flush(query->lease);
}

/* A column of the answer; its type has nothing in it that a string of JSON would not have as it is. */
void
query_add_column(Query *query, const char *name, const char *type, size_t length)
{
	json_raw(&query->schema, query->schema.length > 0 ? ",{\"name\":" : "{\"name\":");
	json_text(&query->schema, name, strlen(name));
	json_raw(&query->schema, ",\"type\":\"");
	buffer_append(&query->schema, type, length);
	json_raw(&query->schema, "\"}");
	query->has_result = true;
}

/* The same of an answer that is made here. */
void
query_add_own_column(Query *query, const char *name, const char *type)
{
	query_add_column(query, name, type, strlen(type));
}

/* What stands between two values, and before the first one. */
static void
separate(Query *query)
{
	const Buffer *out = &query->rows;
	char last = out->length > 0 ? buffer_data(out)[out->length - 1] : '\0';

	json_raw(&query->rows, last == '\0' ? "[" : last == ']' ? ",[" : ",");
}

/* A value of the row that is being written; NULL is one too. */
void
query_add_value(Query *query, const char *text, size_t length)
{
	separate(query);
	if (text != NULL)
		json_text(&query->rows, text, length);
	else
		json_raw(&query->rows, query->null_text ? "\"NULL\"" : "null");
}

/* A decimal of no fixed scale; false: it has too many digits. */
bool
query_add_decimal(Query *query, int column, const char *text, size_t length)
{
	bool good;

	separate(query);
	json_raw(&query->rows, "\"");
	good = decimal_value(&query->decimals, &query->rows, (uint16_t) column, text, length);
	json_raw(&query->rows, "\"");
	return good;
}

/* The row is written. */
void
query_add_row(Query *query)
{
	json_raw(&query->rows, "]");
	query->row_count++;
	query->result_rows++;
	if (query->row_count < query->rows_per_page && query->rows.length < PAGE_BYTES)
		return;
	query->full = true;
	if (query->lease != NULL)
		lease_hold(query->lease, true);
	deliver(query);
	if (query->entered && query->lease != NULL && !query->full)
		lease_hold(query->lease, false);
}
