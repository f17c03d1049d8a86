/*-------------------------------------------------------------------------
 *
 * request.h
 *	  The body of POST /_sql: {"stmt": …, "args": […]} or {"stmt": …, "bulk_args": [[…], …]}.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CRATEDB_REQUEST_H
#define FRESHET_CRATEDB_REQUEST_H

#include <jansson.h>

#include "dialect/cratedb/error.h"

typedef struct Request
{
	json_t *document;
	const char *text; /* the statement's */
	size_t length;
	const json_t *arguments; /* an array or NULL */
	const json_t *rows;      /* of a bulk request: an array of arrays; else NULL */
} Request;

/* False: `error` says why. */
extern bool request_read(Request *request, const char *body, size_t length, Error *error);
extern void request_free(Request *request);

#endif /* FRESHET_CRATEDB_REQUEST_H */
