/*-------------------------------------------------------------------------
 *
 * databend.h
 *	  Databend's door: its HTTP endpoint.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_DATABEND_H
#define FRESHET_DATABEND_H

#include "http/http.h"

extern const HttpHandler databend_handler;

/* SQL that makes what its clients expect in a database. */
extern const char databend_catalog[];

#endif /* FRESHET_DATABEND_H */
