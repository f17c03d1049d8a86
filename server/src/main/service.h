/*-------------------------------------------------------------------------
 *
 * service.h
 *	  Parts of the server that live as long as it does and need PostgreSQL
 *	  but no client: sources, later the hub of subscriptions.
 *
 * Invariants:
 *	- `start` is called once, on the loop's thread (the process's first), after PostgreSQL answers and
 *	  the database `materialize` with its extension exists, before `ready`.
 *	- PostgreSQL may go away and come back at any time: a service reconnects.
 *	- `stop` is called once, before PostgreSQL is stopped; the service calls
 *	  service_stopped when its connections are closed. The server waits for it
 *	  for at most SERVICE_STOP_MS.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_SERVICE_H
#define FRESHET_SERVICE_H

#include <stdbool.h>

#include "net/loop.h"

#define SERVICE_STOP_MS 5000

typedef struct Service
{
	const char *name;
	void (*start)(Loop *loop);
	void (*stop)(void);
} Service;

extern void service_stopped(const Service *service);

/*
 * A libpq connection string for the server's own connections to this database; the
 * caller frees it. NULL is the server's own role; as any other the server gets in only
 * after service_let_in, and where PostgreSQL is not ours only if its pg_hba.conf says so.
 */
extern char *service_conninfo(const char *user, const char *database);

/*
 * The same for a client's connection, which has none of the server's settings but these: with
 * this password, or, NULL, as a role that is trusted.
 */
extern char *service_client_conninfo(const char *user, const char *password, const char *database,
                                     const char *options);

/*
 * Let the server log in as this role, by its own socket; on the first thread. It takes
 * PostgreSQL a moment to notice. False: the role's name cannot be written down.
 */
extern bool service_let_in(const char *user);

#endif /* FRESHET_SERVICE_H */
