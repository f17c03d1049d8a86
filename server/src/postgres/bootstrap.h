/*-------------------------------------------------------------------------
 *
 * bootstrap.h
 *	  What the embedded PostgreSQL must contain before the doors open.
 *
 * Invariant: every step may be repeated, so a start that was interrupted is
 * completed by the next one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_BOOTSTRAP_H
#define FRESHET_BOOTSTRAP_H

#include <stdbool.h>

#include "config/config.h"
#include "postgres/directory.h"

/* The extension everywhere, the trusted roles, the database, passwords; blocks. */
extern bool bootstrap(const Directory *directory, int port, const Config *config,
                      bool beyond_loopback, char problem[DIRECTORY_PROBLEM]);

/* Run the SQL of a door in the database that clients come to. */
extern bool bootstrap_catalog(const Directory *directory, int port, const char *sql,
                              char problem[DIRECTORY_PROBLEM]);

#endif /* FRESHET_BOOTSTRAP_H */
