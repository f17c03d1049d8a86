/*-------------------------------------------------------------------------
 *
 * extension.c
 *	  The extension in the session's database: SUBSCRIBE cannot do without it.
 *
 * A database has it from its first view on (freshet.create_extension). Who
 * subscribes to a table before that has it made by the server's own connection:
 * the client may have no right to, and in its transaction block it would not be
 * committed, so that no worker could say what changes.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "dialect/materialize/materialize.h"
#include "main/service.h"
#include "postgres/link.h"

#define CREATE_EXTENSION "CREATE EXTENSION IF NOT EXISTS freshet"

/* The session stops waiting for the extension: it is there, or nobody wants it any more. */
void
extension_leave(Materialize *mz)
{
	if (mz->link != NULL)
		link_close(mz->link);
	mz->link = NULL;
	mz->resume = NULL;
}

/* The extension was made, or could not be. */
static void
extension_made(Materialize *mz)
{
	const char *problem = mz->problem;

	extension_leave(mz);
	if (problem != NULL)
	{
		task_raise(
		    mz, "58000",
		    arena_printf(&mz->memory, "extension \"freshet\" could not be made: %s", problem),
		    NULL);
		return;
	}
	mz->has_extension = true;
	mz->ensured(mz);
}

/* The server's connection has its answer; the session is told by a timer. */
static void
extension_answered(void *owner, PGresult *result, const char *problem)
{
	Materialize *mz = owner;

	(void) result;
	mz->problem = problem != NULL ? arena_copy(&mz->memory, problem, strlen(problem)) : NULL;
	mz->resume = extension_made;
	session_timer(mz->session, 1);
}

/* Whether the extension is there is known. */
static void
extension_looked(Materialize *mz)
{
	const char *made = mz->flight.values[1];
	bool found = flight_true(mz, 0);
	char *conninfo;

	if (mz->flight.failed)
	{
		task_failed(mz);
		return;
	}
	/* in a block it may be the block's own, and go with it */
	mz->has_extension = found && mz->status == 'I';
	if (found)
	{
		mz->ensured(mz);
		return;
	}
	if (mz->cancelled)
	{
		task_raise_cancelled(mz);
		return;
	}
	if (made == NULL || strcmp(made, "on") != 0)
	{
		task_raise(mz, "42704", "extension \"freshet\" is not installed in this database",
		           "Run CREATE EXTENSION freshet.");
		return;
	}
	conninfo = service_conninfo(NULL, session_database(mz->session));
	mz->link = link_open(loop_uv(loop_here()), conninfo);
	free(conninfo);
	link_query(mz->link, CREATE_EXTENSION, NULL, extension_answered, mz);
}

/* Make sure of the extension, then go on. */
void
extension_ensure(Materialize *mz, void (*ensured)(Materialize *mz))
{
	if (mz->has_extension)
	{
		ensured(mz);
		return;
	}
	mz->ensured = ensured;
	flight_begin(mz);
	flight_statement(mz,
	                 "SELECT EXISTS (SELECT FROM pg_catalog.pg_extension"
	                 " WHERE extname = 'freshet'),"
	                 " pg_catalog.current_setting('freshet.create_extension', true)",
	                 ANSWER_VALUES);
	flight_send(mz, FLIGHT_SYNC, extension_looked);
}
