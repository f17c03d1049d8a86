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

#endif /* FRESHET_CRATEDB_H */
