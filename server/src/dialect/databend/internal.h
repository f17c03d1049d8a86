/*-------------------------------------------------------------------------
 *
 * internal.h
 *	  A query, for the files of this folder only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_DATABEND_INTERNAL_H
#define FRESHET_DATABEND_INTERNAL_H

#include <uv.h>

#include "dialect/databend/csv.h"
#include "dialect/databend/decimal.h"
#include "dialect/databend/query.h"
#include "http/inflate.h"

/* A page ends before it has more bytes than this. */
#define PAGE_BYTES (8 * 1024 * 1024)

/* A column of a result that is a table's; `type` is its own name of it. */
typedef struct Column
{
	Oid table;
	int number;
	const char *type;
	bool not_null;
} Column;

/* A column of the table that is loaded. */
typedef struct LoadColumn
{
	struct LoadColumn *next;
	const char *name;
	bool empty_is_text;
} LoadColumn;

typedef struct Load
{
	const char *location;
	int fd; /* -1: not open */
	bool purge;
	bool compressed;
	bool ended; /* all of the file is read */
	bool sent;  /* and the end of the COPY */
	Csv csv;
	Inflater *inflater;
	Buffer data; /* for PostgreSQL */
	LoadColumn *columns;
	LoadColumn **end;
} Load;

struct Query
{
	Guest guest;
	Query *next; /* in the registry */
	char id[QUERY_ID];
	char session_id[QUERY_ID];
	unsigned char identity[QUERY_IDENTITY];
	char *host;
	const char *stages;
	bool lenient;
	SessionLoop *loop;
	LeaseWish wish; /* role and password are its own */
	uint64_t begun;
	uv_timer_t timer; /* who waits has waited enough, or nobody asked for too long */
	uv_timer_t turn;  /* of feeding a COPY */
	int handles;
	bool entered; /* among the guests of the loop, and in the registry */

	Arena arena;
	const char *text;
	size_t length;
	json_t *body;
	json_t *echo;
	Statement *statement;
	bool null_text; /* NULL is the text "NULL" */
	long rows_per_page;
	uint64_t wait_ms;
	long result_seconds; /* without anybody asking for a page */
	Load load;

	LeaseRequest *asking;
	Lease *lease;
	struct Pin *pin; /* whose the lease is, or NULL */
	void (*result)(Query *query, PGresult *result);
	void (*synced)(Query *query);
	int skip;             /* results before that of the statement itself */
	const char *fallback; /* a database to look in as well, or NULL */
	Column *columns;
	int column_count;
	Decimals decimals;
	const char **values; /* of the parameters */
	int looked_up;
	bool done;    /* the statement itself is */
	bool feeding; /* its COPY */

	QueryCall *waiting;
	long page;     /* the last that was answered; -1: none */
	Buffer last;   /* that answer */
	Buffer schema; /* without brackets */
	Buffer rows;
	long row_count;
	uint64_t result_rows;
	uint64_t written_rows;
	const char *affect; /* JSON, or NULL */
	bool has_result;
	bool full;  /* the page is, and waits to be fetched */
	bool ended; /* there will be no more rows */
	bool killed;
	bool stale; /* the backend is one of a role that was dropped */
	Failure error;
};

/* query.c */
extern void query_end(Query *query);
extern void
query_fail(Query *query, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
extern void query_send(Query *query, const char *sql);
extern void query_send_settings(Query *query);
extern void query_flush(Query *query);
extern void query_add_column(Query *query, const char *name, const char *type, size_t length);
extern void query_add_own_column(Query *query, const char *name, const char *type);
extern bool query_add_decimal(Query *query, int column, const char *text, size_t length);
extern void query_add_value(Query *query, const char *text, size_t length);
extern void query_add_row(Query *query);

/* execute.c */
extern void execute_begin(Query *query);
extern bool execute_again(Query *query);

/* load.c */
extern bool load_prepare(Query *query);
extern void load_begin(Query *query);
extern void load_flushed(Query *query);
extern void load_free(Query *query);

#endif /* FRESHET_DATABEND_INTERNAL_H */
