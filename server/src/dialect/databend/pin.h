/*-------------------------------------------------------------------------
 *
 * pin.h
 *	  A backend that a client's session keeps between requests: while a transaction is open, or there
 *	  are temporary tables.
 *
 * The session comes back with a token, `internal`, by which its next request is brought to the loop
 * that has the backend.
 *
 * Invariants:
 *	- A pin lives on one loop, and so does every query that uses it; one at a time.
 *	- Only who proved the same password finds it.
 *	- After some idle minutes the backend is made as new: what was open is rolled back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_DATABEND_PIN_H
#define FRESHET_DATABEND_PIN_H

#include <jansson.h>
#include <stdbool.h>

#include "backend/lease.h"
#include "dialect/databend/query.h"

#define PIN_IDLE_SECONDS 300 /* unless the session's setting says otherwise */

typedef struct Pin Pin;

/* The loop that has the session's pin, or NULL. From any thread. */
extern SessionLoop *pin_loop(const json_t *session, const unsigned char identity[QUERY_IDENTITY]);

/* On that loop: the pin, for a query; NULL: it is not there any more, or used by another. */
extern Pin *pin_take(const json_t *session, const unsigned char identity[QUERY_IDENTITY]);
/* Its backend: the query's, until that is settled or lost. */
extern Lease *pin_lease(Pin *pin);

/* What its session says while the query runs. */
extern void pin_echo(const Pin *pin, Lease *lease, json_t *echo);

/*
 * A query is over: does its session need the backend any longer? If so it is pinned, and the echoed
 * session says it; else it is given back. `pin`: the one it used, or NULL.
 */
extern void pin_settle(Pin *pin, Lease *lease, SessionLoop *loop, bool temporary,
                       const unsigned char identity[QUERY_IDENTITY], json_t *echo);

/* The backend is gone. */
extern void pin_lose(Pin *pin);

#endif /* FRESHET_DATABEND_PIN_H */
