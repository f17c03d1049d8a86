/*-------------------------------------------------------------------------
 *
 * keeper.c
 *	  See keeper.h.
 *
 *-------------------------------------------------------------------------
 */
#include "source/loadgen/keeper.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "main/service.h"
#include "session/server.h"
#include "source/connection.h"

/* Milliseconds between two looks. */
#define LOOK_MS 1000

/* Milliseconds for which its own database is left to somebody who waits for it. */
#define AWAY_MS 10000

/* Databases, and who waits for one; then who is in the way of somebody who waits for a table. */
static const char look_sql[] =
    "SELECT d.datname, EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'object'"
    " AND l.database = 0 AND l.classid = 'pg_database'::regclass AND l.objid = d.oid"
    " AND l.mode IN ('ShareLock', 'AccessExclusiveLock')), d.datname = current_database()"
    " FROM pg_database d WHERE d.datallowconn AND NOT d.datistemplate;"
    "SELECT DISTINCT unnest(pg_blocking_pids(l.pid)) FROM pg_locks l"
    " WHERE NOT l.granted AND l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'";

enum
{
	LOOK_NAME,
	LOOK_WANTED,
	LOOK_OWN,
	LOOK_COLUMNS
};

/* One of these it is in; the other is tried where the one cannot be entered. */
static const char *const homes[] = {"postgres", DEFAULT_DATABASE};

static uv_loop_t *keeper_loop;
static const KeeperEvents *keeper_events;
static uv_timer_t timer;
static Connection *connection;
static int home;
static bool leaving; /* its own database is wanted */
static bool complete;

static void keeper_timer(uv_timer_t *handle);

/* Leave PostgreSQL, and come back later if there is reason to. */
static void
leave(uint64_t pause)
{
	connection_close(connection);
	connection = NULL;
	uv_timer_start(&timer, keeper_timer, pause, 0);
}

/* A result of the look. */
static void
keeper_rows(void *owner, PGresult *result)
{
	(void) owner;
	for (int row = 0; row < PQntuples(result); row++)
	{
		bool wanted;

		if (PQnfields(result) != LOOK_COLUMNS)
		{
			keeper_events->blocker(atoi(PQgetvalue(result, row, 0)));
			continue;
		}
		wanted = PQgetvalue(result, row, LOOK_WANTED)[0] == 't';
		if (wanted && PQgetvalue(result, row, LOOK_OWN)[0] == 't')
			leaving = true;
		keeper_events->database(PQgetvalue(result, row, LOOK_NAME), wanted);
	}
	complete |= PQnfields(result) == LOOK_COLUMNS;
}

/* The look is over. */
static void
keeper_done(void *owner, const char *sqlstate, const char *message)
{
	(void) owner;
	(void) sqlstate;
	(void) message;
	if (complete)
		keeper_events->databases_seen();
	if (!complete)
		leave(LOOK_MS);
	else if (leaving)
		leave(AWAY_MS);
	else if (keeper_events->needed())
		uv_timer_start(&timer, keeper_timer, LOOK_MS, 0);
	else
	{
		connection_close(connection);
		connection = NULL;
	}
}

/* Look. */
static void
keeper_look(void *owner)
{
	Script script = {.sql = look_sql, .rows = keeper_rows, .done = keeper_done};

	(void) owner;
	leaving = false;
	complete = false;
	connection_run(connection, &script);
}

/* The connection is lost, or could not be made. */
static void
keeper_lost(void *owner, const char *message)
{
	(void) owner;
	(void) message;
	home = !home;
	leave(LOOK_MS);
}

/* Nothing is listened for. */
static void
keeper_notified(void *owner)
{
	(void) owner;
}

static const ConnectionEvents connection_events = {keeper_look, keeper_lost, keeper_notified};

/* It is time to look. */
static void
keeper_timer(uv_timer_t *handle)
{
	(void) handle;
	if (connection != NULL)
		keeper_look(NULL);
	else if (keeper_events->needed())
		connection = connection_open(keeper_loop, service_conninfo(NULL, homes[home]),
		                             &connection_events, NULL);
}

/* Begin. */
void
keeper_start(uv_loop_t *loop, const KeeperEvents *events)
{
	keeper_loop = loop;
	keeper_events = events;
	uv_timer_init(loop, &timer);
	keeper_timer(&timer);
}

/* There may be a reason to look. */
void
keeper_wake(void)
{
	if (connection == NULL && !uv_is_active((uv_handle_t *) &timer))
		keeper_timer(&timer);
}

/* End. */
void
keeper_stop(void)
{
	connection_close(connection);
	connection = NULL;
	uv_close((uv_handle_t *) &timer, NULL);
}
