/*-------------------------------------------------------------------------
 *
 * argument.h
 *	  A value of a request's JSON as text that PostgreSQL reads as a type.
 *
 * PostgreSQL says which type a parameter has; what is then not valid text of it is PostgreSQL's
 * error. Where PostgreSQL cannot say, the value does.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CRATEDB_ARGUMENT_H
#define FRESHET_CRATEDB_ARGUMENT_H

#include <jansson.h>
#include <libpq-fe.h>

#include "net/buffer.h"

/* With a NUL at its end; nothing for null. */
extern void argument_write(Buffer *out, const json_t *value, Oid type);

/* The type a value has by itself. */
extern Oid argument_type(const json_t *value);

#endif /* FRESHET_CRATEDB_ARGUMENT_H */
