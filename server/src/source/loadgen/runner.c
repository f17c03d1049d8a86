/*-------------------------------------------------------------------------
 *
 * runner.c
 *	  Runs one source.
 *
 *-------------------------------------------------------------------------
 */
#include "source/loadgen/runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "main/log.h"
#include "main/service.h"
#include "source/catalog.h"
#include "source/connection.h"
#include "source/loadgen/generator.h"

/* Milliseconds until something that failed is tried again. */
#define RETRY_MS 1000

/* Ticks of one transaction. */
#define TICKS_MAX 10000

/* A larger scale is not made by this process within reasonable time. */
#define SCALE_MAX 100.0

struct Runner
{
	Runner *next;
	uv_loop_t *loop;
	char *database;
	bool marked;
	bool stopped;

	/* from the catalog */
	int64_t id;
	const Generator *generator;
	GeneratorOptions options;
	int64_t interval; /* milliseconds; 0: no ticks after the start */
	int64_t as_of;
	int64_t up_to; /* -1: none */
	int64_t tick;  /* those committed; -1: not even the start */
	char state[GENERATOR_STATE];
	char *relations[GENERATOR_TABLES]; /* NULL: not kept */

	Connection *connection;
	uv_timer_t timer;
	uint64_t due_at; /* when the next tick is due, by the loop's clock */
	bool found;
	char *error; /* of the last failure, to be noted in the catalog */

	/* the transaction under way */
	int64_t next_tick;
	char next_state[GENERATOR_STATE];
	GeneratorOutput output;
	int copies[GENERATOR_TABLES]; /* the table of the n-th COPY */
	int filling;                  /* the COPY that is being filled */
	bool loading;                 /* with what is there at the start */
	uint64_t position;
};

static int runners;

static void runner_step(Runner *runner);
static void runner_connect(Runner *runner);

/* Runners that are not quite stopped yet. */
int
runner_count(void)
{
	return runners;
}

/* The runner behind this one in its list. */
Runner *
runner_next(Runner *runner)
{
	return runner->next;
}

/* Mark a runner, or take its mark away; NULL: nothing happens. */
void
runner_mark(Runner *runner, bool marked)
{
	if (runner != NULL)
		runner->marked = marked;
}

/* Is it marked? */
bool
runner_marked(const Runner *runner)
{
	return runner->marked;
}

/* A whole number of a row. */
static int64_t
number(PGresult *result, int row, int column)
{
	return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

/* Forget the names of the tables. */
static void
forget_relations(Runner *runner)
{
	for (int i = 0; i < GENERATOR_TABLES; i++)
	{
		free(runner->relations[i]);
		runner->relations[i] = NULL;
	}
}

/* Take a source's row in. */
static void
read_row(Runner *runner, PGresult *result, int row)
{
	char *tables = strdup(PQgetvalue(result, row, CATALOG_TABLES));
	char *rest = tables;
	char *line;

	if (tables == NULL)
		abort();
	runner->id = number(result, row, CATALOG_ID);
	runner->generator = generator_find(PQgetvalue(result, row, CATALOG_GENERATOR));
	runner->interval = number(result, row, CATALOG_INTERVAL);
	runner->as_of = number(result, row, CATALOG_AS_OF);
	runner->up_to = number(result, row, CATALOG_UP_TO);
	runner->options.max_cardinality = number(result, row, CATALOG_MAX_CARDINALITY);
	runner->options.scale_factor = strtod(PQgetvalue(result, row, CATALOG_SCALE_FACTOR), NULL);
	if (!(runner->options.scale_factor > 0 && runner->options.scale_factor <= SCALE_MAX))
		runner->options.scale_factor = 0.01;
	runner->tick = number(result, row, CATALOG_TICK);
	snprintf(runner->state, sizeof(runner->state), "%s", PQgetvalue(result, row, CATALOG_STATE));
	forget_relations(runner);
	while ((line = strsep(&rest, "\n")) != NULL)
	{
		char *reference = strsep(&line, "\t");

		for (int i = 0;
		     line != NULL && runner->generator != NULL && i < runner->generator->table_count; i++)
		{
			if (strcmp(runner->generator->tables[i].name, reference) == 0)
				runner->relations[i] = strdup(line);
		}
	}
	free(tables);
}

/* The timer is closed: the memory can go. */
static void
runner_closed(uv_handle_t *handle)
{
	Runner *runner = handle->data;

	forget_relations(runner);
	for (int i = 0; i < GENERATOR_TABLES; i++)
		buffer_free(&runner->output.rows[i]);
	buffer_free(&runner->output.sql);
	buffer_free(&runner->output.after);
	free(runner->database);
	free(runner->error);
	free(runner);
	runners--;
}

/* Stop a runner and take it off its list. */
void
runner_stop(Runner **list, Runner *runner)
{
	while (*list != runner)
		list = &(*list)->next;
	*list = runner->next;
	runner->stopped = true;
	connection_close(runner->connection);
	runner->connection = NULL;
	uv_close((uv_handle_t *) &runner->timer, runner_closed);
}

/* Do what is due. */
static void
runner_timer(uv_timer_t *timer)
{
	Runner *runner = timer->data;

	if (runner->connection == NULL)
		runner_connect(runner);
	else
		runner_step(runner);
}

/* Something failed, or the source is gone (no message): ask the catalog. */
static void
runner_failed(Runner *runner, const char *message)
{
	connection_close(runner->connection);
	runner->connection = NULL;
	if (message != NULL && (runner->error == NULL || strcmp(runner->error, message) != 0))
	{
		log_line("source %" PRId64 " of database %s: %s", runner->id, runner->database, message);
		free(runner->error);
		runner->error = strdup(message);
	}
	uv_timer_start(&runner->timer, runner_timer, RETRY_MS, 0);
}

/* The connection is lost. */
static void
runner_lost(void *owner, const char *message)
{
	runner_failed(owner, message);
}

/* Nothing is listened for. */
static void
runner_notified(void *owner)
{
	(void) owner;
}

/* The transaction has committed, or not. */
static void
runner_done(void *owner, const char *sqlstate, const char *message)
{
	Runner *runner = owner;

	if (sqlstate != NULL)
	{
		runner_failed(runner, strcmp(sqlstate, CATALOG_GONE) == 0 ? NULL : message);
		return;
	}
	free(runner->error);
	runner->error = NULL;
	runner->tick = runner->next_tick;
	memcpy(runner->state, runner->next_state, sizeof(runner->state));
	runner_step(runner);
}

/* Rows for a COPY: first those of the start, then those of the ticks. */
static bool
runner_fill(void *owner, int copy, Buffer *data)
{
	Runner *runner = owner;
	int table = runner->copies[copy];
	Buffer *rows = &runner->output.rows[table];

	if (copy != runner->filling)
	{
		runner->filling = copy;
		runner->loading = runner->tick < 0 && runner->generator->load != NULL;
		runner->position = 0;
	}
	if (runner->loading)
	{
		runner->loading = runner->generator->load(&runner->options, table, &runner->position,
		                                          runner->output.now, data);
		return true;
	}
	buffer_append(data, buffer_data(rows), rows->length);
	return false;
}

/* Send one transaction: the start if it has not been, and so many ticks. */
static void
runner_write(Runner *runner, int64_t ticks)
{
	const Generator *generator = runner->generator;
	GeneratorOutput *output = &runner->output;
	bool start = runner->tick < 0;
	int64_t first = start ? 0 : runner->tick;
	Buffer sql = {0};
	Script script = {.fill = runner_fill, .done = runner_done};
	struct timeval now;
	int copies = 0;

	gettimeofday(&now, NULL);
	output->now = (int64_t) now.tv_sec * 1000000 + now.tv_usec;
	buffer_clear(&output->sql);
	buffer_clear(&output->after);
	for (int i = 0; i < GENERATOR_TABLES; i++)
	{
		buffer_clear(&output->rows[i]);
		output->relations[i] = runner->relations[i];
	}
	memcpy(runner->next_state, runner->state, sizeof(runner->state));
	if (start)
		snprintf(runner->next_state, sizeof(runner->next_state), "%s", generator->start);
	for (int64_t i = 0; i < ticks; i++)
		generator->tick(&runner->options, runner->next_state, sizeof(runner->next_state), first + i,
		                output);
	runner->next_tick = first + ticks;

	generator_row(
	    &sql, "SELECT freshet_server.source_advance(%" PRId64 ", %" PRId64 ", %" PRId64 ", '%s');",
	    runner->id, runner->tick, runner->next_tick, runner->next_state);
	buffer_append(&sql, buffer_data(&output->sql), output->sql.length);
	for (int i = 0; i < generator->table_count; i++)
	{
		if (runner->relations[i] == NULL ||
		    (output->rows[i].length == 0 && !(start && generator->load != NULL)))
			continue;
		runner->copies[copies++] = i;
		generator_row(&sql, "COPY %s FROM STDIN;", runner->relations[i]);
	}
	buffer_append(&sql, buffer_data(&output->after), output->after.length);
	buffer_append(&sql, "", 1);
	runner->filling = -1;
	script.sql = buffer_data(&sql);
	connection_run(runner->connection, &script);
	buffer_free(&sql);
}

/* Write what is due, or wait until something is. */
static void
runner_step(Runner *runner)
{
	bool started = runner->tick >= 0;
	int64_t done = started ? runner->tick : 0;
	int64_t limit = TICKS_MAX;
	int64_t due = 0;
	uint64_t now;

	if (runner->connection == NULL || connection_busy(runner->connection))
		return;
	uv_update_time(runner->loop);
	now = uv_now(runner->loop);
	if (runner->up_to >= 0 && runner->up_to - done < limit)
		limit = runner->up_to - done;
	/* from AS OF to UP TO nothing happens if they are the same */
	if (runner->up_to >= 0 && runner->as_of >= runner->up_to)
		limit = 0;

	/*
	 * Ticks up to AS OF are at once, together with the start; but not those that
	 * replace rows of the start, as they delete before rows are added.
	 */
	if (!started && runner->generator->still)
		due = 0;
	else if (runner->interval > 0 && done <= runner->as_of)
	{
		due = runner->as_of + 1 - done;
		runner->due_at = now + (uint64_t) runner->interval;
	}
	else if (runner->interval > 0 && now >= runner->due_at)
	{
		due = 1 + (int64_t) ((now - runner->due_at) / (uint64_t) runner->interval);
		runner->due_at += (uint64_t) due * (uint64_t) runner->interval;
	}
	if (due > limit)
		due = limit;
	if (due > 0 || !started)
		runner_write(runner, due);
	else if (limit > 0 && runner->interval > 0)
		uv_timer_start(&runner->timer, runner_timer, runner->due_at - now, 0);
	else
	{
		/* all was written; the connection is not needed */
		connection_close(runner->connection);
		runner->connection = NULL;
	}
}

/* The source as it is now. */
static void
runner_row(void *owner, PGresult *result)
{
	Runner *runner = owner;

	if (PQnfields(result) <= CATALOG_TABLES || PQntuples(result) == 0)
		return;
	read_row(runner, result, 0);
	runner->found = true;
}

/* It is known where the source is. */
static void
runner_read(void *owner, const char *sqlstate, const char *message)
{
	Runner *runner = owner;

	if (sqlstate != NULL)
		runner_failed(runner, message);
	else if (!runner->found || runner->generator == NULL)
	{
		/* dropped: the database's list will say so too */
		connection_close(runner->connection);
		runner->connection = NULL;
	}
	else
	{
		runner->due_at = uv_now(runner->loop) + (uint64_t) runner->interval;
		runner_step(runner);
	}
}

/* The connection is there: note what went wrong, and read where the source is. */
static void
runner_opened(void *owner)
{
	Runner *runner = owner;
	Script script = {.rows = runner_row, .done = runner_read};
	Buffer sql = {0};

	runner->found = false;
	generator_row(&sql, "SET search_path = pg_catalog; SET client_min_messages = warning;"
	                    " SET statement_timeout = 0; SET lock_timeout = 0;"
	                    " SET idle_in_transaction_session_timeout = 0;"
	                    " SET DateStyle = 'ISO'; SET TimeZone = 'UTC';");
	if (runner->error != NULL)
	{
		char *quoted = malloc(2 * strlen(runner->error) + 1);

		if (quoted == NULL)
			abort();
		PQescapeString(quoted, runner->error, strlen(runner->error));
		generator_row(&sql, "UPDATE freshet_server.source SET error = '%s' WHERE id = %" PRId64 ";",
		              quoted, runner->id);
		free(quoted);
	}
	generator_row(&sql, "%ss.id = %" PRId64 ";", catalog_list_sql, runner->id);
	buffer_append(&sql, "", 1);
	script.sql = buffer_data(&sql);
	connection_run(runner->connection, &script);
	buffer_free(&sql);
}

static const ConnectionEvents runner_events = {runner_opened, runner_lost, runner_notified};

/* Connect. */
static void
runner_connect(Runner *runner)
{
	runner->connection =
	    connection_open(runner->loop, service_conninfo(runner->database), &runner_events, runner);
}

/* The runner of a source; see runner.h. */
Runner *
runner_found(Runner **list, uv_loop_t *loop, const char *database, PGresult *result, int row)
{
	Runner *runner;
	int64_t id = number(result, row, CATALOG_ID);

	for (runner = *list; runner != NULL; runner = runner->next)
	{
		if (runner->id == id)
			return runner;
	}
	if (generator_find(PQgetvalue(result, row, CATALOG_GENERATOR)) == NULL)
		return NULL;
	runner = calloc(1, sizeof(Runner));
	if (runner == NULL || (runner->database = strdup(database)) == NULL)
		abort();
	runners++;
	runner->loop = loop;
	runner->id = id;
	uv_timer_init(loop, &runner->timer);
	runner->timer.data = runner;
	runner->next = *list;
	*list = runner;
	runner_connect(runner);
	return runner;
}
