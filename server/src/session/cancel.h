/*-------------------------------------------------------------------------
 *
 * cancel.h
 *	  A CancelRequest on its way to PostgreSQL.
 *
 * Invariant: `done` is called once PostgreSQL has closed the connection, which
 * it does after signalling the backend; so a client that waits for that knows
 * the cancel cannot hit a later statement. A PostgreSQL that does not answer at all is
 * given up after ten seconds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CANCEL_H
#define FRESHET_CANCEL_H

#include <stdint.h>
#include <uv.h>

#include "net/address.h"

/* The request code in place of a protocol version. */
#define CANCEL_REQUEST_CODE 80877102

typedef struct CancelRequest CancelRequest;

/* Send it; `done`, if not NULL, is called from the loop and never from here. */
extern CancelRequest *cancel_send(uv_loop_t *loop, const Address *backend, uint32_t pid,
                                  uint32_t key, void (*done)(void *owner), void *owner);

/* The owner goes away; the request still reaches PostgreSQL. */
extern void cancel_forget(CancelRequest *request);

#endif /* FRESHET_CANCEL_H */
