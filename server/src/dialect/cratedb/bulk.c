/*-------------------------------------------------------------------------
 *
 * bulk.c
 *	  A statement for many rows of values. A row that fails, by a constraint say, does
 *	  not keep the others out.
 *
 * All rows are sent at once, as one transaction: what usually happens costs one commit and one
 * round trip. If a row fails the transaction is begun anew, in groups under a savepoint: the rows before
 * it, then, behind it, one, two, four … as long as they do not fail. So a bad row costs
 * a few round trips, and is never tried twice.
 *
 * An error that is not a row's (a value that cannot be cast, a missing column, a right)
 * fails the whole request, and nothing is stored.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "dialect/cratedb/visitor.h"
#include "http/json.h"

/* CrateDB tells the first errors, and counts the rest. */
#define ERRORS_TOLD 10

/* So many rows are sent before it is seen whether they leave. */
#define ROWS_AT_ONCE 500

static void begin_group(Visitor *visitor);

void
bulk_free(Bulk *bulk)
{
	free(bulk->rows);
	free(bulk->errors);
	memset(bulk, 0, sizeof *bulk);
}

/* {"cols":[],"results":[…]} */
static void
answer(Visitor *visitor)
{
	const Bulk *bulk = &visitor->bulk;
	Buffer *out = &visitor->out;
	size_t i;

	buffer_printf(out, "{\"cols\":[],\"duration\":%.6g,\"results\":[", visitor_duration(visitor));
	for (i = 0; i < bulk->count; i++)
	{
		const BulkRow *row = &bulk->rows[i];

		buffer_printf(out, "%s{\"rowcount\":%lld", i > 0 ? "," : "", row->failed ? -2 : row->count);
		if (row->failed && row->error >= 0)
		{
			json_raw(out, ",\"error\":");
			error_write(out, &bulk->errors[row->error]);
		}
		json_raw(out, "}");
	}
	json_raw(out, "]}");
	visitor_answer(visitor);
}

/* A row's result. */
static void
row_done(Visitor *visitor, PGresult *result)
{
	Bulk *bulk = &visitor->bulk;

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		return;
	/* SAVEPOINT, RELEASE and the like have no count */
	if (*PQcmdTuples(result) != '\0' && bulk->answered < bulk->until)
		bulk->rows[bulk->answered++].count = atoll(PQcmdTuples(result));
}

/* Send what is left of a group, as far as it leaves; then its end. */
static void
send_rows(Visitor *visitor)
{
	Bulk *bulk = &visitor->bulk;
	size_t i;

	do
	{
		for (i = 0; i < ROWS_AT_ONCE && bulk->sent < bulk->until && !visitor->failed; i++)
			visitor_send(visitor, json_array_get(visitor->request.rows, bulk->sent++));
		if (bulk->sent == bulk->until || visitor->failed)
		{
			bulk->sent = bulk->until;
			if (bulk->group > 0)
				visitor_send_text(visitor, "RELEASE SAVEPOINT freshet_bulk");
			lease_sync(visitor->lease);
		}
	} while (lease_flush(visitor->lease) && bulk->sent < bulk->until);
}

/* What was sent has left: on with it. */
void
bulk_flushed(Visitor *visitor)
{
	if (visitor->bulk.sent < visitor->bulk.until)
		send_rows(visitor);
}

/* Keep why a row failed. */
static void
keep_error(Visitor *visitor, BulkRow *row)
{
	Bulk *bulk = &visitor->bulk;

	row->failed = true;
	row->error = -1;
	if (bulk->error_count == ERRORS_TOLD)
		return;
	if (bulk->errors == NULL)
		bulk->errors = calloc(ERRORS_TOLD, sizeof *bulk->errors);
	if (bulk->errors == NULL)
		abort();
	row->error = (int) bulk->error_count;
	bulk->errors[bulk->error_count++] = visitor->error;
}

/* The transaction is over. */
static void
committed(Visitor *visitor)
{
	if (visitor->failed)
		visitor_fail(visitor);
	else
		answer(visitor);
}

/* The savepoint is there again. */
static void
rolled_back(Visitor *visitor)
{
	if (visitor->failed)
		visitor_fail(visitor);
	else
		begin_group(visitor);
}

/* Send one statement of ours, or two; then go on. */
static void
send_own(Visitor *visitor, const char *sql, const char *more, void (*then)(Visitor *visitor))
{
	visitor->result = row_done;
	visitor->synced = then;
	visitor_send_text(visitor, sql);
	if (more != NULL)
		visitor_send_text(visitor, more);
	lease_sync(visitor->lease);
	lease_flush(visitor->lease);
}

/* A group, or all of them, has its answers. */
static void
group_done(Visitor *visitor)
{
	Bulk *bulk = &visitor->bulk;
	bool first = bulk->group == 0;

	if (!visitor->failed)
	{
		bulk->at = bulk->until;
		bulk->group *= 2;
		if (first)
			answer(visitor);
		else
			begin_group(visitor);
		return;
	}
	/* an error behind the last row is the commit's */
	if (!visitor->error.of_row || bulk->answered >= bulk->until)
	{
		visitor_fail(visitor);
		return;
	}
	visitor->failed = false;
	keep_error(visitor, &bulk->rows[bulk->answered]);
	bulk->group = bulk->answered > bulk->at ? bulk->answered - bulk->at : 1;
	if (first)
		send_own(visitor, "BEGIN", NULL, rolled_back);
	else
		send_own(visitor, "ROLLBACK TO SAVEPOINT freshet_bulk", "RELEASE SAVEPOINT freshet_bulk",
		         rolled_back);
}

/* The next rows that have not failed, as many as a group may have; or the end. */
static void
begin_group(Visitor *visitor)
{
	Bulk *bulk = &visitor->bulk;

	while (bulk->at < bulk->count && bulk->rows[bulk->at].failed)
	{
		bulk->at++;
		bulk->group = 1;
	}
	if (bulk->at == bulk->count)
	{
		send_own(visitor, "COMMIT", NULL, committed);
		return;
	}
	bulk->sent = bulk->answered = bulk->until = bulk->at;
	while (bulk->until < bulk->count && bulk->until - bulk->at < bulk->group &&
	       !bulk->rows[bulk->until].failed)
		bulk->until++;
	visitor->result = row_done;
	visitor->synced = group_done;
	visitor_send_text(visitor, "SAVEPOINT freshet_bulk");
	send_rows(visitor);
}

/* The statement is prepared: all rows at once. */
static void
begin_all(Visitor *visitor)
{
	Bulk *bulk = &visitor->bulk;

	bulk->count = bulk->until = json_array_size(visitor->request.rows);
	bulk->rows = calloc(bulk->count, sizeof *bulk->rows);
	if (bulk->rows == NULL)
		abort();
	visitor->result = row_done;
	visitor->synced = group_done;
	send_rows(visitor);
}

/* See visitor.h. */
void
bulk_run(Visitor *visitor)
{
	StatementKind kind = visitor->statement->kind;

	if ((kind != STATEMENT_INSERT && kind != STATEMENT_UPDATE && kind != STATEMENT_DELETE) ||
	    visitor->statement->returning)
	{
		error_unsupported(&visitor->error, "Bulk operations for statements that return result sets "
		                                   "is not supported");
		visitor_fail(visitor);
	}
	else if (json_array_size(visitor->request.rows) == 0)
		answer(visitor);
	else
		visitor_describe(visitor, begin_all);
}
