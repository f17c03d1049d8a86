/*-------------------------------------------------------------------------
 *
 * cratedb.h
 *	  CrateDB's door: its HTTP endpoint.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CRATEDB_H
#define FRESHET_CRATEDB_H

#include "http/http.h"

extern const HttpHandler cratedb_handler;

/* SQL that makes what its clients expect in a database. */
extern const char cratedb_catalog[];

#endif /* FRESHET_CRATEDB_H */
