/*-------------------------------------------------------------------------
 *
 * link.h
 *	  The server's own connection to PostgreSQL for short questions, on the
 *	  loop and never blocking it.
 *
 * Invariants:
 *	- The connection is made when something is asked and closed after
 *	  LINK_IDLE_MS without a question, so that no database is held in use.
 *	- Every query ends in exactly one call of its callback, from the loop, with
 *	  the result or with NULL and a reason; unless it was forgotten before.
 *	- Queries are answered in the order they were asked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_LINK_H
#define FRESHET_LINK_H

#include <libpq-fe.h>
#include <uv.h>

#define LINK_IDLE_MS 10000

typedef struct Link Link;
typedef struct LinkQuery LinkQuery;

typedef void (*LinkAnswer)(void *owner, PGresult *result, const char *problem);

extern Link *link_open(uv_loop_t *loop, const char *conninfo);
extern void link_close(Link *link);
extern LinkQuery *
link_query(Link *link, const char *sql, const char *parameter, LinkAnswer answer, void *owner);
extern void link_forget(LinkQuery *query);

#endif /* FRESHET_LINK_H */
