/*-------------------------------------------------------------------------
 *
 * loadgen.c
 *	  Which sources there are: one connection to each database that has any, to
 *	  hear of them. Each is run by runner.c.
 *
 *-------------------------------------------------------------------------
 */
#include "source/loadgen/loadgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "main/log.h"
#include "main/service.h"
#include "source/catalog.h"
#include "source/connection.h"
#include "source/loadgen/runner.h"

/* Milliseconds until a lost connection is made again. */
#define RETRY_MS 500

typedef struct Database Database;

/* Travels from its asker's loop to the service's and back. */
struct LoadgenRequest
{
	Errand errand;
	LoadgenRequest *next; /* that waits for the same database */
	Loop *home;           /* the asker's */
	char *database;
	char *message; /* NULL or why the sources are not run */

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
	bool wanted; /* its catalog is to be made if it is not there */
	bool has;    /* the catalog is there */
	bool ready;  /* and its sources are listened for */
	bool again;  /* something changed while a script ran */
	LoadgenRequest *requests;
	Runner *runners;
};

static Loop *service_loop;
static uv_loop_t *loop; /* libuv's part of it */
static Database *databases;
static Connection *finder; /* looks for databases at the start */
static uv_timer_t finder_timer;
static uv_timer_t stop_timer;
static bool running;

static void database_connect(Database *database);
static void database_list(Database *database);
static void finder_connect(void);

/* Back on the asker's loop. */
static void
request_returned(Errand *errand)
{
	LoadgenRequest *request = (LoadgenRequest *) errand;

	if (request->done != NULL)
		request->done(request->owner, request->message);
	free(request->message);
	free(request->database);
	free(request);
}

/* Send a request back with its answer. */
static void
request_answer(LoadgenRequest *request, const char *message)
{
	if (message != NULL && (request->message = strdup(message)) == NULL)
		abort();
	request->errand.run = request_returned;
	loop_post(request->home, &request->errand);
}

/* Answer everybody who waits for the database. */
static void
database_answer(Database *database, const char *message)
{
	while (database->requests != NULL)
	{
		LoadgenRequest *request = database->requests;

		database->requests = request->next;
		request_answer(request, message);
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

/* Stop all of the database's sources and forget it. */
static void
database_forget(Database *database)
{
	Database **link = &databases;

	while (*link != database)
		link = &(*link)->next;
	*link = database->next;
	while (database->runners != NULL)
		runner_stop(&database->runners, database->runners);
	connection_close(database->connection);
	database->connection = NULL;
	database_answer(database, "the server stops");
	uv_close((uv_handle_t *) &database->timer, database_closed);
}

/* Try again to connect. */
static void
database_retry(uv_timer_t *timer)
{
	database_connect(timer->data);
}

/* The connection is lost. */
static void
database_lost(void *owner, const char *message)
{
	Database *database = owner;

	connection_close(database->connection);
	database->connection = NULL;
	database->ready = false;
	database_answer(database, message);
	if (database->has)
		uv_timer_start(&database->timer, database_retry, RETRY_MS, 0);
	else
		database_forget(database);
}

/* One of the sources, as the catalog has it. */
static void
database_source(void *owner, PGresult *result)
{
	Database *database = owner;

	if (PQnfields(result) <= CATALOG_TABLES)
		return;
	for (Runner *runner = database->runners; runner != NULL; runner = runner_next(runner))
		runner_mark(runner, false);
	for (int row = 0; row < PQntuples(result); row++)
		runner_mark(runner_found(&database->runners, loop, database->name, result, row), true);
}

/* The sources are read: those that were not among them are gone. */
static void
database_listed(void *owner, const char *sqlstate, const char *message)
{
	Database *database = owner;
	Runner *next;

	if (sqlstate != NULL)
	{
		log_line("sources of database %s: %s", database->name, message);
		/* the schema may have been dropped, or is being so */
		while (strcmp(sqlstate, "42P01") == 0 && database->runners != NULL)
			runner_stop(&database->runners, database->runners);
	}
	else
	{
		for (Runner *runner = database->runners; runner != NULL; runner = next)
		{
			next = runner_next(runner);
			if (!runner_marked(runner))
				runner_stop(&database->runners, runner);
		}
	}
	database->ready = true;
	database_answer(database, NULL);
	if (database->again)
		database_list(database);
}

/* Read the sources. */
static void
database_list(Database *database)
{
	size_t length = strlen(catalog_list_sql) + 8;
	char *sql;
	Script script = {.rows = database_source, .done = database_listed};

	if (database->connection == NULL || connection_busy(database->connection))
	{
		database->again = true;
		return;
	}
	database->again = false;
	sql = malloc(length);
	if (sql == NULL)
		abort();
	snprintf(sql, length, "%strue", catalog_list_sql);
	script.sql = sql;
	connection_run(database->connection, &script);
	free(sql);
}

/* Somebody made or dropped a source. */
static void
database_notified(void *owner)
{
	database_list(owner);
}

/* The connection listens. */
static void
database_listening(void *owner, const char *sqlstate, const char *message)
{
	Database *database = owner;

	if (sqlstate != NULL)
	{
		database_lost(database, message);
		return;
	}
	database->has = true;
	database_list(database);
}

/* Make the catalog, as far as it is not there, and listen. */
static void
database_prepare(Database *database)
{
	static const char quiet[] = "SET client_min_messages = warning;";
	static const char listen[] = "LISTEN " CATALOG_CHANNEL;
	size_t length = sizeof(quiet) + strlen(catalog_create_sql) + sizeof(listen);
	char *sql = malloc(length);
	Script script = {.done = database_listening};

	if (sql == NULL)
		abort();
	snprintf(sql, length, "%s%s%s", quiet, catalog_create_sql, listen);
	script.sql = sql;
	connection_run(database->connection, &script);
	free(sql);
}

/* Whether the catalog is there. */
static void
database_look(void *owner, PGresult *result)
{
	Database *database = owner;

	database->has = PQntuples(result) == 1 && PQgetvalue(result, 0, 0)[0] == 't';
}

/* What to do with the database is known. */
static void
database_looked(void *owner, const char *sqlstate, const char *message)
{
	Database *database = owner;

	if (sqlstate != NULL)
		database_lost(database, message);
	else if (database->has || database->wanted)
		database_prepare(database);
	else
		database_forget(database);
}

/* The connection is there. */
static void
database_opened(void *owner)
{
	Database *database = owner;
	Script script = {.sql = "SELECT to_regclass('freshet_server.source') IS NOT NULL",
	                 .rows = database_look,
	                 .done = database_looked};

	connection_run(database->connection, &script);
}

static const ConnectionEvents database_events = {database_opened, database_lost, database_notified};

/* Connect to the database. */
static void
database_connect(Database *database)
{
	database->connection =
	    connection_open(loop, service_conninfo(database->name), &database_events, database);
}

/* The database of that name, known from now on. */
static Database *
database_find(const char *name)
{
	Database *database;

	for (database = databases; database != NULL; database = database->next)
	{
		if (strcmp(database->name, name) == 0)
			return database;
	}
	database = calloc(1, sizeof(Database));
	if (database == NULL || (database->name = strdup(name)) == NULL)
		abort();
	uv_timer_init(loop, &database->timer);
	database->timer.data = database;
	database->next = databases;
	databases = database;
	database_connect(database);
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
}

/* Make sure of the catalog; see loadgen.h. */
LoadgenRequest *
loadgen_ensure(const char *database, void (*done)(void *owner, const char *message), void *owner)
{
	LoadgenRequest *request = calloc(1, sizeof(LoadgenRequest));

	if (request == NULL || (request->database = strdup(database)) == NULL)
		abort();
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

/* A database there is. */
static void
finder_row(void *owner, PGresult *result)
{
	(void) owner;
	for (int row = 0; row < PQntuples(result); row++)
		database_find(PQgetvalue(result, row, 0));
}

/* Try again to find databases. */
static void
finder_retry(uv_timer_t *timer)
{
	(void) timer;
	finder_connect();
}

/* The databases are found, or not. */
static void
finder_done(void *owner, const char *sqlstate, const char *message)
{
	(void) owner;
	(void) message;
	connection_close(finder);
	finder = NULL;
	if (sqlstate != NULL)
		uv_timer_start(&finder_timer, finder_retry, RETRY_MS, 0);
}

/* The databases could not be looked for. */
static void
finder_lost(void *owner, const char *message)
{
	finder_done(owner, "08006", message);
}

/* Ask for the databases. */
static void
finder_opened(void *owner)
{
	Script script = {.sql = "SELECT datname FROM pg_database"
	                        " WHERE datallowconn AND NOT datistemplate",
	                 .rows = finder_row,
	                 .done = finder_done};

	(void) owner;
	connection_run(finder, &script);
}

static const ConnectionEvents finder_events = {finder_opened, finder_lost, finder_opened};

/* Look for databases with sources. */
static void
finder_connect(void)
{
	finder = connection_open(loop, service_conninfo("materialize"), &finder_events, NULL);
}

/* Start the service. */
static void
loadgen_start(Loop *server_loop)
{
	service_loop = server_loop;
	loop = loop_uv(server_loop);
	running = true;
	uv_timer_init(loop, &finder_timer);
	uv_timer_init(loop, &stop_timer);
	finder_connect();
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
		database_forget(databases);
	connection_close(finder);
	finder = NULL;
	uv_close((uv_handle_t *) &finder_timer, NULL);
	uv_timer_start(&stop_timer, stop_check, 0, 1);
}

const Service loadgen_service = {"load generators", loadgen_start, loadgen_stop};
