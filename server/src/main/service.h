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
 * A libpq connection string for the server's own superuser connections to this
 * database; the caller frees it.
 */
extern char *service_conninfo(const char *database);

#endif /* FRESHET_SERVICE_H */
