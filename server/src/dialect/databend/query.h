/*-------------------------------------------------------------------------
 *
 * query.h
 *	  A statement of a client: from its text to the last page of its answer.
 *
 * A query lives on the loop of the request that began it. Requests for its pages may come by
 * other connections, on other loops: a QueryCall is posted to the query's loop and back.
 *
 *	start ── pages ── the last page: gone
 *	   └────────── kill, or nobody asks for a minute: a tombstone for as long, then gone
 *
 * Invariants:
 *	- A query that is not over has a lease, or asks for one, unless it needs none.
 *	- At most one call waits for a query. It is answered when a page is full, when the query has
 *	  ended, or after the wait that the client asked for; then with an empty page.
 *	- Page N can be fetched again until N + 1 has been.
 *	- No row is read from PostgreSQL while a full page waits to be fetched.
 *	- A call's `visitor` is looked at on its home loop only; NULL: nobody waits any more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_DATABEND_QUERY_H
#define FRESHET_DATABEND_QUERY_H

#include <jansson.h>

#include "backend/lease.h"
#include "dialect/databend/failure.h"
#include "net/buffer.h"
#include "net/loop.h"
#include "sql/arena.h"

#define QUERY_ID 64
#define QUERY_IDENTITY 32
#define QUERY_MAX 5000    /* in the whole server */
#define RESULT_SECONDS 60 /* unless the session's setting says otherwise */

/* What a backend begins with: what values look like. */
#define QUERY_OPTIONS                                                                              \
	"-c client_encoding=UTF8 -c DateStyle=ISO -c IntervalStyle=postgres -c extra_float_digits=1"   \
	" -c bytea_output=hex -c standard_conforming_strings=on -c client_min_messages=warning"        \
	" -c client_connection_check_interval=1000"

typedef struct Query Query;
typedef struct QueryCall QueryCall;

typedef enum QueryWish
{
	QUERY_PAGE,
	QUERY_FINAL,
	QUERY_KILL
} QueryWish;

struct QueryCall
{
	Errand errand;
	Loop *home;
	void *visitor;
	void (*done)(QueryCall *call); /* on the home loop: to answer, and to free it */
	char id[QUERY_ID];
	unsigned char identity[QUERY_IDENTITY]; /* of who asks: a hash */
	QueryWish wish;
	long page;
	int status;
	Buffer answer;
};

/* What a query is begun with; all of it is the query's from then on. */
typedef struct QueryBegin
{
	Errand errand;
	SessionLoop *loop;  /* where it will live */
	LeaseWish wish;     /* whose it is: role and password */
	char *host;         /* by which the client reached us, for URLs */
	json_t *body;       /* {"sql": …, "session": …, "pagination": …} */
	const char *stages; /* the directory of stages */
	bool lenient;
	QueryCall *call; /* waits for its first page */
} QueryBegin;

extern QueryCall *query_call_make(void *visitor, void (*done)(QueryCall *call));
extern void query_call_free(QueryCall *call);

/* The id of a query to begin: the client's, if it can be one, or a new one. */
extern void query_choose_id(QueryCall *call, const char *given);

/* Begin one, on its loop. */
extern void query_start(QueryBegin *begin);

/* To the query of the call's id; without one it is answered at once. */
extern void query_post(QueryCall *call);

/* From the home loop: whoever waits has gone. A query whose first page nobody has seen is killed. */
extern void query_forget(QueryCall *call);

#endif /* FRESHET_DATABEND_QUERY_H */
