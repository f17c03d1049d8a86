/*-------------------------------------------------------------------------
 *
 * loadgen.c
 *	  Which sources there are: one connection to each database that has any, to
 *	  hear of them. Each is run by runner.c.
 *
 *-------------------------------------------------------------------------
 */
#include "source/loadgen/loadgen.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "main/log.h"
#include "main/service.h"
#include "source/catalog.h"
#include "source/connection.h"
#include "source/loadgen/generator.h"
#include "source/loadgen/keeper.h"
#include "source/loadgen/runner.h"

/* Notifications lead to one reading of the sources in so many milliseconds. */
#define LIST_MS 200

/* PostgreSQL needs a moment to see that a role may log in (service_let_in). */
#define LOGIN_RETRY_MS 100
#define LOGIN_TRIES 30

/* How a failure is noted, if nobody is just deleting the source. */
#define SET_ERROR "UPDATE freshet_server.source SET error = "
#define SET_ERROR_OF                                                                               \
	" WHERE id = (SELECT id FROM freshet_server.source WHERE id = %" PRId64                        \
	" FOR UPDATE SKIP LOCKED);"

typedef struct Database Database;

/* Travels from its asker's loop to the service's and back. */
struct LoadgenRequest
{
	Errand errand;
	LoadgenRequest *next; /* that waits for the same database, or to log in */
	Loop *home;           /* the asker's */
	char *database;
	char *role;
	char *message; /* NULL or why the sources are not run */

	/* the attempt to log in as the role */
	Connection *login;
	uv_timer_t timer;
	int tries;

	/* The asker's; NULL once it does not wait any more. */
	void (*done)(void *owner, const char *message);
	void *owner;
};

struct Database
{
	Database *next;
	char *name;
	Connection *connection;
	uv_timer_t timer;
	uint64_t listed_at;
	bool wanted; /* its catalog is to be made if it is not there */
	bool has;    /* the catalog is there */
	bool current;
	bool ready; /* and its sources are listened for */
	bool again; /* something changed while a script ran */
	LoadgenRequest *requests;
	RunnerHome home;
};

static Loop *service_loop;
static uv_loop_t *loop; /* libuv's part of it */
static Database *databases;
static LoadgenRequest *logins;
static uv_timer_t stop_timer;
static bool running;
static bool look = true; /* look into each database there is */
static bool again;       /* and do so the next time */

static void database_list(Database *database);
static void login_try(LoadgenRequest *request);

/* Back on the asker's loop. */
static void
request_returned(Errand *errand)
{
	LoadgenRequest *request = (LoadgenRequest *) errand;

	if (request->done != NULL)
		request->done(request->owner, request->message);
	free(request->message);
	free(request->role);
	free(request->database);
	free(request);
}

/* Send a request back with its answer. */
static void
request_answer(LoadgenRequest *request, const char *message)
{
	request->message = message != NULL ? copy_string(message) : NULL;
	request->errand.run = request_returned;
	loop_post(request->home, &request->errand);
}

/* The login's timer is closed. */
static void
login_closed(uv_handle_t *handle)
{
	LoadgenRequest *request = handle->data;

	request->errand.run = request_returned;
	loop_post(request->home, &request->errand);
}

/* The server can log in as the role, or why it cannot. */
static void
login_over(LoadgenRequest *request, const char *message)
{
	LoadgenRequest **link = &logins;

	while (*link != request)
		link = &(*link)->next;
	*link = request->next;
	request->message = message != NULL ? copy_string(message) : NULL;
	connection_close(request->login);
	request->login = NULL;
	uv_close((uv_handle_t *) &request->timer, login_closed);
}

/* It can. */
static void
login_opened(void *owner)
{
	login_over(owner, NULL);
}

/* Try again. */
static void
login_retry(uv_timer_t *timer)
{
	login_try(timer->data);
}

/* It cannot, or not yet. */
static void
login_lost(void *owner, const char *message)
{
	LoadgenRequest *request = owner;

	if (++request->tries == LOGIN_TRIES)
	{
		const char *reason = strstr(message, "FATAL:  ");
		char text[512];

		snprintf(text, sizeof text, "the server cannot log in as role \"%s\": %s", request->role,
		         reason != NULL ? reason + 8 : message);
		login_over(request, text);
		return;
	}
	connection_close(request->login);
	request->login = NULL;
	uv_timer_start(&request->timer, login_retry, LOGIN_RETRY_MS, 0);
}

/* Nothing is listened for. */
static void
login_notified(void *owner)
{
	(void) owner;
}

static const ConnectionEvents login_events = {login_opened, login_lost, login_notified};

/* Log in as the role, in the way its sources will. */
static void
login_try(LoadgenRequest *request)
{
	request->login = connection_open(loop, service_conninfo(request->role, request->database),
	                                 &login_events, request);
}

/* The database is ready: see whether the role can log in. */
static void
login_begin(LoadgenRequest *request)
{
	uv_timer_init(loop, &request->timer);
	request->timer.data = request;
	request->next = logins;
	logins = request;
	if (service_let_in(request->role))
		login_try(request);
	else
		login_over(request, "a role of this name cannot be written down");
}

/* Answer everybody who waits for the database, if there was an error; else go on. */
static void
database_answer(Database *database, const char *message)
{
	while (database->requests != NULL)
	{
		LoadgenRequest *request = database->requests;

		database->requests = request->next;
		if (message != NULL)
			request_answer(request, message);
		else
			login_begin(request);
	}
}

/* The database's timer is closed. */
static void
database_closed(uv_handle_t *handle)
{
	Database *database = handle->data;

	free(database->name);
	free(database);
}

/* Stop all of the database's sources and forget it; those who wait are told why. */
static void
database_forget(Database *database, const char *message)
{
	Database **link = &databases;

	while (*link != database)
		link = &(*link)->next;
	*link = database->next;
	while (database->home.runners != NULL)
		runner_stop(&database->home, database->home.runners);
	connection_close(database->connection);
	database_answer(database, message);
	uv_close((uv_handle_t *) &database->timer, database_closed);
}

/* The connection is lost: if the database is still there, the keeper will find it. */
static void
database_lost(void *owner, const char *message)
{
	Database *database = owner;

	again |= database->has;
	database_forget(database, message);
	keeper_wake();
}

/* The sources, as the catalog has them. */
static void
database_source(void *owner, PGresult *result)
{
	Database *database = owner;
	Runner *runner;

	if (PQnfields(result) != CATALOG_COLUMNS)
		return;
	for (runner = database->home.runners; runner != NULL; runner = runner_next(runner))
		runner_mark(runner, false);
	for (int row = 0; row < PQntuples(result); row++)
		runner_mark(runner_found(&database->home, result, row), true);
}

/* The sources are read: those that were not among them are gone. */
static void
database_listed(void *owner, const char *sqlstate, const char *message)
{
	Database *database = owner;
	Runner *next;

	if (sqlstate != NULL)
	{
		/* the schema may have been dropped */
		log_line("sources of database %s: %s", database->name, message);
		database_forget(database, message);
		return;
	}
	for (Runner *runner = database->home.runners; runner != NULL; runner = next)
	{
		next = runner_next(runner);
		if (!runner_marked(runner))
			runner_stop(&database->home, runner);
	}
	database->ready = true;
	database_answer(database, NULL);
	if (database->again)
		database_list(database);
}

/* Note what went wrong with the sources; but wait for nobody. */
static void
add_failures(Database *database, Buffer *sql)
{
	for (Runner *runner = database->home.runners; runner != NULL; runner = runner_next(runner))
	{
		const char *failure = runner_failure(runner);
		size_t begun = sql->length;

		if (failure == NULL)
			continue;
		buffer_append(sql, SET_ERROR, strlen(SET_ERROR));
		if (connection_literal(database->connection, sql, failure))
			generator_row(sql, SET_ERROR_OF, runner_source(runner));
		else
			sql->length = begun;
	}
}

/* Read the sources. */
static void
database_list(Database *database)
{
	Buffer sql = {0};
	Script script = {.rows = database_source, .done = database_listed};

	if (!database->has || connection_busy(database->connection))
	{
		database->again = true;
		return;
	}
	uv_timer_stop(&database->timer);
	database->again = false;
	database->listed_at = uv_now(loop);
	add_failures(database, &sql);
	generator_row(&sql, "%strue", catalog_list_sql);
	buffer_append(&sql, "", 1);
	script.sql = buffer_data(&sql);
	connection_run(database->connection, &script);
	buffer_free(&sql);
}

/* Time to read the sources. */
static void
database_timer(uv_timer_t *timer)
{
	database_list(timer->data);
}

/* Read the sources soon. */
static void
database_list_soon(Database *database)
{
	uint64_t since = uv_now(loop) - database->listed_at;

	if (!uv_is_active((uv_handle_t *) &database->timer))
		uv_timer_start(&database->timer, database_timer, since < LIST_MS ? LIST_MS - since : 0, 0);
}

/* Somebody made or dropped a source, or says so. */
static void
database_notified(void *owner)
{
	database_list_soon(owner);
}

/* A source has failed. */
static void
database_source_failed(RunnerHome *home)
{
	database_list_soon((Database *) ((char *) home - offsetof(Database, home)));
}

/* The connection listens. */
static void
database_listening(void *owner, const char *sqlstate, const char *message)
{
	Database *database = owner;

	if (sqlstate != NULL)
	{
		log_line("sources of database %s: %s", database->name, message);
		database_forget(database, message);
		return;
	}
	database->has = true;
	database_list(database);
}

/* Make the catalog, as far as it is not there, and listen. */
static void
database_prepare(Database *database)
{
	Buffer sql = {0};
	Script script = {.done = database_listening};

	if (!database->current)
		generator_row(&sql, "%s", catalog_create_sql);
	generator_row(&sql, "%sLISTEN " CATALOG_CHANNEL, catalog_check_sql);
	buffer_append(&sql, "", 1);
	script.sql = buffer_data(&sql);
	connection_run(database->connection, &script);
	buffer_free(&sql);
}

/* Whether the catalog is there. */
static void
database_look(void *owner, PGresult *result)
{
	Database *database = owner;

	database->has = PQntuples(result) == 1 && PQgetvalue(result, 0, 0)[0] == 't';
	database->current = PQntuples(result) == 1 && PQgetvalue(result, 0, 1)[0] == 't';
}

/* What to do with the database is known. */
static void
database_looked(void *owner, const char *sqlstate, const char *message)
{
	Database *database = owner;

	if (sqlstate != NULL)
		database_forget(database, message);
	else if (database->has || database->wanted)
		database_prepare(database);
	else
		database_forget(database, "the catalog of sources is not there");
}

/* The connection is there. */
static void
database_opened(void *owner)
{
	Database *database = owner;
	Script script = {.sql = catalog_look_sql, .rows = database_look, .done = database_looked};

	connection_run(database->connection, &script);
}

static const ConnectionEvents database_events = {database_opened, database_lost, database_notified};

/* The database of that name, known from now on. */
static Database *
database_find(const char *name)
{
	Database *database = databases;

	while (database != NULL && strcmp(database->name, name) != 0)
		database = database->next;
	if (database != NULL)
		return database;
	database = calloc(1, sizeof(Database));
	if (database == NULL)
		abort();
	database->name = copy_string(name);
	database->home = (RunnerHome){loop, database->name, NULL, database_source_failed};
	uv_timer_init(loop, &database->timer);
	database->timer.data = database;
	database->next = databases;
	databases = database;
	database->connection =
	    connection_open(loop, service_conninfo(NULL, name), &database_events, database);
	return database;
}

/* On the service's loop: make sure of the catalog. */
static void
request_arrived(Errand *errand)
{
	LoadgenRequest *request = (LoadgenRequest *) errand;
	Database *database;

	if (!running)
	{
		request_answer(request, "the server stops");
		return;
	}
	database = database_find(request->database);
	request->next = database->requests;
	database->requests = request;
	database->wanted = true;
	/* one that is ready answers when it has read its sources once more */
	if (database->ready)
		database_list(database);
	keeper_wake();
}

/* Make sure of the catalog; see loadgen.h. */
LoadgenRequest *
loadgen_ensure(const char *database, const char *role,
               void (*done)(void *owner, const char *message), void *owner)
{
	LoadgenRequest *request = calloc(1, sizeof(LoadgenRequest));

	if (request == NULL)
		abort();
	request->database = copy_string(database);
	request->role = copy_string(role);
	request->home = loop_here();
	request->done = done;
	request->owner = owner;
	request->errand.run = request_arrived;
	loop_post(service_loop, &request->errand);
	return request;
}

/* Nobody wants to hear of it any more. */
void
loadgen_cancel(LoadgenRequest *request)
{
	request->done = NULL;
}

/* A database there is, which somebody may be waiting for. */
static void
database_seen(const char *name, bool wanted)
{
	Database *database = databases;

	if (wanted)
	{
		while (database != NULL && strcmp(database->name, name) != 0)
			database = database->next;
		if (database != NULL)
			database_forget(database, "the database is being dropped, renamed or copied");
		again = true;
	}
	else if (look)
		database_find(name);
}

/* Those were all. */
static void
databases_seen(void)
{
	look = again;
	again = false;
}

/* Somebody waits for a table that this process has locked. */
static void
blocker_seen(int backend)
{
	for (Database *database = databases; database != NULL; database = database->next)
		for (Runner *runner = database->home.runners; runner != NULL; runner = runner_next(runner))
			runner_give_way(runner, backend);
}

/* Is there any reason to look? */
static bool
look_needed(void)
{
	return running && (databases != NULL || look || again);
}

static const KeeperEvents keeper_events = {database_seen, databases_seen, blocker_seen,
                                           look_needed};

/* Start the service. */
static void
loadgen_start(Loop *server_loop)
{
	service_loop = server_loop;
	loop = loop_uv(server_loop);
	running = true;
	uv_timer_init(loop, &stop_timer);
	keeper_start(loop, &keeper_events);
}

/* Everything is closed? */
static void
stop_check(uv_timer_t *timer)
{
	if (connection_count() > 0 || runner_count() > 0)
		return;
	uv_close((uv_handle_t *) timer, NULL);
	service_stopped(&loadgen_service);
}

/* Stop the service. */
static void
loadgen_stop(void)
{
	running = false;
	while (databases != NULL)
		database_forget(databases, "the server stops");
	while (logins != NULL)
		login_over(logins, "the server stops");
	keeper_stop();
	uv_timer_start(&stop_timer, stop_check, 0, 1);
}

const Service loadgen_service = {"load generators", loadgen_start, loadgen_stop};
