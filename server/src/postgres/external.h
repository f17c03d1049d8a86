/*-------------------------------------------------------------------------
 *
 * external.h
 *	  A PostgreSQL that is there already.
 *
 * Invariant: it is neither started nor stopped nor configured here; whom it lets
 * in is its own pg_hba.conf's business, except that a door refuses a client
 * from elsewhere who was not asked for a password.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_EXTERNAL_H
#define FRESHET_EXTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "net/address.h"

extern bool external_find(const char *conninfo, Address *address, char *version,
                          size_t version_size, char *problem, size_t problem_size);
extern char *external_conninfo(const char *conninfo, const char *user, const char *database);

#endif /* FRESHET_EXTERNAL_H */
