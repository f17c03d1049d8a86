/*-------------------------------------------------------------------------
 *
 * echo.h
 *	  A client's session: it comes with each request, and goes back changed.
 *
 * Invariants:
 *	- What the client put there and is not known here goes back as it came.
 *	- There always is a database. A transaction is open between requests only if pin.c says so.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_DATABEND_ECHO_H
#define FRESHET_DATABEND_ECHO_H

#include <jansson.h>
#include <stdbool.h>

#include "net/buffer.h"
#include "sql/arena.h"

/* A session for a request's, which may be NULL. */
extern json_t *echo_make(const json_t *given);

/* It keeps no backend. */
extern void echo_unpin(json_t *echo);

extern const char *echo_database(const json_t *echo);
extern void echo_use(json_t *echo, const char *database);

/* A setting's value, or NULL if it has its default. */
extern const char *echo_setting(const json_t *echo, const char *name);
/* One of seconds, up to an hour. */
extern long echo_seconds(const json_t *echo, const char *name, long otherwise);
/* NULL sets it back. */
extern void echo_set(json_t *echo, const char *name, const char *value);

/* Is there such a setting in Databend? */
extern bool echo_knows(const char *name);
/* The known settings, one after the other; NULL at the end. */
extern const char *const echo_settings[];

extern void echo_write(Buffer *out, const json_t *echo);

#endif /* FRESHET_DATABEND_ECHO_H */
