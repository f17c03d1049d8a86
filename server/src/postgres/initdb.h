/*-------------------------------------------------------------------------
 *
 * initdb.h
 *	  The embedded PostgreSQL's data: made at the first start.
 *
 * Invariant: DIR/pgdata is whole or not there. It is made under a name that no
 * other attempt uses, because what a killed server had started may still be
 * at work on its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_INITDB_H
#define FRESHET_INITDB_H

#include <stdbool.h>

#include "config/config.h"
#include "postgres/directory.h"

/* Make the data unless it is there, and write its configuration; blocks. */
extern bool
initdb_ensure(const Directory *directory, const Config *config, char problem[DIRECTORY_PROBLEM]);

#endif /* FRESHET_INITDB_H */
