/*-------------------------------------------------------------------------
 *
 * visitor.h
 *	  A client at CrateDB's door, and what is done for its request; for the files of this
 *	  folder only.
 *
 * Invariants:
 *	- From the head of a request to the end of its answer there is a role. From its end on there is either
 *	  `asking` or `lease`: nothing is read of a body before its sender has proved who he is.
 *	- `failed` is set by the first error of what was sent; what follows it up to the sync is void.
 *	- A lease is given back with the answer, unless the visitor has set something for his session.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CRATEDB_VISITOR_H
#define FRESHET_CRATEDB_VISITOR_H

#include "backend/lease.h"
#include "dialect/cratedb/error.h"
#include "dialect/cratedb/request.h"
#include "http/http.h"
#include "sql/arena.h"

#define IDENTITY_SIZE 32

typedef struct Visitor Visitor;

/* A row of a bulk request: how many rows it changed, or that it failed. */
typedef struct BulkRow
{
	long long count;
	bool failed;
	int error; /* of those that are told: its place among them; -1 */
} BulkRow;

typedef struct Bulk
{
	BulkRow *rows;
	size_t count;
	size_t at;    /* rows before it are settled */
	size_t sent;  /* rows before it are sent ... */
	size_t until; /* ... and up to this one they will be, in one unit */
	size_t answered;
	size_t group; /* how many to try at once under a savepoint; 0: all, without one */
	Error *errors;
	size_t error_count;
} Bulk;

struct Visitor
{
	HttpConnection *connection;
	uint64_t number; /* his own */

	/* Who he is, by the request's head. */
	char *role;
	char *password; /* NULL: none was given */
	char *schema;   /* the default one, or NULL */
	bool trusted;
	unsigned char identity[IDENTITY_SIZE]; /* of all of it: a hash */
	bool wants_types;
	bool wants_trace;

	/* What he wants. */
	uint64_t begun;
	struct Reading *reading; /* its body is being read, on a thread */
	Request request;
	Arena arena;
	const Statement *statement;

	/* What is done for it. */
	LeaseRequest *asking;
	Lease *lease;
	bool pinned; /* the lease holds what `pinned_for` has set */
	unsigned char pinned_for[IDENTITY_SIZE];
	bool failed;
	Error error;
	char sqlstate[6];
	void (*start)(Visitor *visitor); /* there is a lease */
	void (*result)(Visitor *visitor, PGresult *result);
	void (*synced)(Visitor *visitor);
	Oid *types; /* of the parameters */
	bool guessed;
	Bulk bulk;

	/* The answer. */
	Buffer out;
	bool streaming;
	bool headed; /* the columns are written */
	bool done;   /* the statement itself is */
	int skip;    /* results of statements before it */
	long long count;
};

/* visitor.c */
extern void visitor_answer(Visitor *visitor);
extern void visitor_fail(Visitor *visitor);
extern void visitor_describe(Visitor *visitor, void (*then)(Visitor *visitor));
extern void visitor_send_text(Visitor *visitor, const char *sql);
extern bool visitor_send(Visitor *visitor, const json_t *arguments);
extern double visitor_duration(const Visitor *visitor);

/* statement.c, bulk.c */
extern void statement_run(Visitor *visitor);
extern void bulk_run(Visitor *visitor);
extern void bulk_flushed(Visitor *visitor);
extern void bulk_free(Bulk *bulk);

#endif /* FRESHET_CRATEDB_VISITOR_H */
