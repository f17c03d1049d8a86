/*-------------------------------------------------------------------------
 *
 * loadgen.h
 *	  The service that runs the load generators of all databases.
 *
 * Invariants:
 *	- The server is in no one's way: it lets go of a database that somebody wants
 *	  to drop, rename or copy, and of tables that somebody wants for himself (keeper.h).
 *	- What a NOTIFY costs does not depend on how many there are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_LOADGEN_H
#define FRESHET_LOADGEN_H

#include <stdbool.h>

#include "main/service.h"

extern const Service loadgen_service;

/*
 * Make sure that a database has the catalog of sources, that its sources are run
 * from now on, and that the server can log in there as `role`. `done` is called from
 * the caller's loop, with NULL or an error, unless the request is cancelled before.
 * The service itself runs on the loop of the first thread.
 */
typedef struct LoadgenRequest LoadgenRequest;

extern LoadgenRequest *loadgen_ensure(const char *database, const char *role,
                                      void (*done)(void *owner, const char *message), void *owner);
extern void loadgen_cancel(LoadgenRequest *request);

#endif /* FRESHET_LOADGEN_H */
