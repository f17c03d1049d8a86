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

/* PostgreSQL needs a moment to see that the owner may log in (service_let_in). */
#define LOGIN_RETRY_MS 200
#define LOGIN_TRIES 5

/* Milliseconds that are left to somebody who waits for the tables. */
#define GIVE_WAY_MS 3000

/* Ticks of one transaction. */
#define TICKS_MAX 10000

struct Runner
{
	Runner *next;
	RunnerHome *home;
	bool marked;

	/* from the catalog */
	int64_t id;
	char *owner;
	const Generator *generator;
	GeneratorOptions options;
	int64_t interval; /* milliseconds; 0: no ticks after the start */
	int64_t as_of;
	int64_t up_to; /* -1: none */
	int64_t tick;  /* those committed; -1: not even the start */
	char state[GENERATOR_STATE];
	char *relations[GENERATOR_TABLES]; /* as SQL has their names; NULL: not kept */
	char *progress;

	Connection *connection;
	uv_timer_t timer;
	uint64_t due_at; /* when the next tick is due, by the loop's clock */
	bool found;
	bool valid;
	int refused; /* how often the connection failed before it was there */
	char *failure;
	bool failure_told;

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

/* The source this runs. */
int64_t
runner_source(const Runner *runner)
{
	return runner->id;
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
	free(runner->progress);
	runner->progress = NULL;
}

/*
 * Take a source's row in. Its owner has a say in it, so nothing is believed: sums of
 * what is accepted here and a transaction's ticks do not overflow.
 */
static void
read_row(Runner *runner, PGresult *result, int row)
{
	const char *state = PQgetvalue(result, row, CATALOG_STATE);
	const int64_t most = INT64_MAX / 4;

	runner->generator = generator_find(PQgetvalue(result, row, CATALOG_GENERATOR));
	runner->interval = number(result, row, CATALOG_INTERVAL);
	runner->as_of = number(result, row, CATALOG_AS_OF);
	runner->up_to = number(result, row, CATALOG_UP_TO);
	runner->options.max_cardinality = number(result, row, CATALOG_MAX_CARDINALITY);
	runner->options.scale_factor = strtod(PQgetvalue(result, row, CATALOG_SCALE_FACTOR), NULL);
	runner->tick = number(result, row, CATALOG_TICK);
	snprintf(runner->state, sizeof(runner->state), "%s", state);
	runner->valid = runner->generator != NULL && runner->interval >= 0 &&
	                runner->interval <= most && runner->as_of >= 0 && runner->as_of <= most &&
	                runner->up_to >= -1 && runner->options.max_cardinality >= GENERATOR_NO_LIMIT &&
	                runner->options.scale_factor > 0 &&
	                runner->options.scale_factor <= CATALOG_SCALE_MAX && runner->tick >= -1 &&
	                runner->tick <= most && strlen(state) < sizeof(runner->state);
}

/* Take one of a source's tables in. */
static void
read_table(Runner *runner, PGresult *result, int row)
{
	char **place = PQgetisnull(result, row, CATALOG_REFERENCE) ? &runner->progress : NULL;
	Buffer name = {0};

	for (int i = 0; place == NULL && i < runner->generator->table_count; i++)
	{
		if (strcmp(runner->generator->tables[i].name, PQgetvalue(result, row, CATALOG_REFERENCE)) ==
		    0)
			place = &runner->relations[i];
	}
	if (place == NULL)
		return;
	if (!connection_identifier(runner->connection, &name,
	                           PQgetvalue(result, row, CATALOG_TABLE_SCHEMA)))
		runner->valid = false;
	buffer_append(&name, ".", 1);
	if (!connection_identifier(runner->connection, &name,
	                           PQgetvalue(result, row, CATALOG_TABLE_NAME)))
		runner->valid = false;
	buffer_append(&name, "", 1);
	free(*place);
	*place = copy_string(buffer_data(&name));
	buffer_free(&name);
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
	free(runner->owner);
	free(runner->failure);
	free(runner);
	runners--;
}

/* Let go of the connection. */
static void
runner_disconnect(Runner *runner)
{
	connection_close(runner->connection);
	runner->connection = NULL;
}

/* Stop a runner and take it off its list. */
void
runner_stop(RunnerHome *home, Runner *runner)
{
	Runner **link = &home->runners;

	while (*link != runner)
		link = &(*link)->next;
	*link = runner->next;
	runner_disconnect(runner);
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
	runner_disconnect(runner);
	uv_timer_start(&runner->timer, runner_timer, RETRY_MS, 0);
	if (message == NULL || (runner->failure != NULL && strcmp(runner->failure, message) == 0))
		return;
	log_line("source %" PRId64 " of database %s: %s", runner->id, runner->home->database, message);
	free(runner->failure);
	runner->failure = copy_string(message);
	runner->failure_told = false;
	runner->home->failed(runner->home);
}

/* A failure that nobody has asked for yet. */
const char *
runner_failure(Runner *runner)
{
	if (runner->failure == NULL || runner->failure_told)
		return NULL;
	runner->failure_told = true;
	return runner->failure;
}

/* Somebody waits for the tables: end the transaction, and go on later. */
void
runner_give_way(Runner *runner, int backend)
{
	if (runner->connection == NULL || connection_backend(runner->connection) != backend)
		return;
	runner_disconnect(runner);
	uv_timer_start(&runner->timer, runner_timer, GIVE_WAY_MS, 0);
}

/* The connection is lost, or could not be made. */
static void
runner_lost(void *owner, const char *message)
{
	Runner *runner = owner;

	if (runner->refused++ >= LOGIN_TRIES)
	{
		runner_failed(runner, message);
		return;
	}
	runner_disconnect(runner);
	uv_timer_start(&runner->timer, runner_timer, LOGIN_RETRY_MS, 0);
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
		/* a table that is not there was dropped, with its source or without */
		bool gone = strcmp(sqlstate, CATALOG_GONE) == 0 || strcmp(sqlstate, "42P01") == 0;

		runner_failed(runner, gone ? NULL : message);
		return;
	}
	free(runner->failure);
	runner->failure = NULL;
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

/* Have so many ticks made, behind the start if that has not been. */
static void
make_ticks(Runner *runner, int64_t ticks)
{
	GeneratorOutput *output = &runner->output;
	bool start = runner->tick < 0;
	int64_t first = start ? 0 : runner->tick;
	struct timeval now;

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
		snprintf(runner->next_state, sizeof(runner->next_state), "%s", runner->generator->start);
	for (int64_t i = 0; i < ticks; i++)
		runner->generator->tick(&runner->options, runner->next_state, sizeof(runner->next_state),
		                        first + i, output);
	runner->next_tick = first + ticks;
}

/* Lock the tables. */
static void
add_locks(const Runner *runner, Buffer *sql)
{
	const char *before = "LOCK TABLE ONLY ";

	for (int i = 0; i <= GENERATOR_TABLES; i++)
	{
		const char *relation = i < GENERATOR_TABLES ? runner->relations[i] : runner->progress;

		if (relation == NULL)
			continue;
		generator_row(sql, "%s%s", before, relation);
		before = ", ONLY ";
	}
	if (before[0] == ',')
		generator_row(sql, " IN ROW EXCLUSIVE MODE;");
}

/* Send one transaction: the start if it has not been, and so many ticks. */
static void
runner_write(Runner *runner, int64_t ticks)
{
	const Generator *generator = runner->generator;
	const GeneratorOutput *output = &runner->output;
	bool loads = runner->tick < 0 && generator->load != NULL;
	Buffer sql = {0};
	Script script = {.fill = runner_fill, .done = runner_done};
	int copies = 0;

	make_ticks(runner, ticks);
	add_locks(runner, &sql);
	buffer_append(&sql, buffer_data(&output->sql), output->sql.length);
	for (int i = 0; i < generator->table_count; i++)
	{
		if (runner->relations[i] == NULL || (output->rows[i].length == 0 && !loads))
			continue;
		runner->copies[copies++] = i;
		generator_row(&sql, "COPY %s FROM STDIN;", runner->relations[i]);
	}
	buffer_append(&sql, buffer_data(&output->after), output->after.length);
	if (runner->progress != NULL)
		generator_row(&sql, "UPDATE ONLY %s SET \"offset\" = %" PRId64 ";", runner->progress,
		              runner->next_tick);
	generator_row(&sql, "SELECT freshet_server.source_advance(%" PRId64 ", %" PRId64 ", %" PRId64,
	              runner->id, runner->tick, runner->next_tick);
	buffer_append(&sql, ", ", 2);
	runner->filling = -1;
	if (!connection_literal(runner->connection, &sql, runner->next_state))
		abort();
	buffer_append(&sql, ")", 2);
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
	uv_update_time(runner->home->loop);
	now = uv_now(runner->home->loop);
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
		runner_disconnect(runner);
	}
}

/* The source as it is now, and behind that its tables. */
static void
runner_row(void *owner, PGresult *result)
{
	Runner *runner = owner;

	if (PQnfields(result) == CATALOG_COLUMNS && PQntuples(result) == 1)
	{
		forget_relations(runner);
		read_row(runner, result, 0);
		runner->found = true;
	}
	else if (PQnfields(result) == CATALOG_TABLE_COLUMNS && runner->found && runner->valid)
		for (int row = 0; row < PQntuples(result); row++)
			read_table(runner, result, row);
}

/* It is known where the source is. */
static void
runner_read(void *owner, const char *sqlstate, const char *message)
{
	Runner *runner = owner;

	if (sqlstate != NULL)
		runner_failed(runner, message);
	else if (!runner->found)
		runner_disconnect(runner); /* dropped: the database's list will say so too */
	else if (!runner->valid)
		runner_failed(runner, "its row in freshet_server.source is not valid");
	else
	{
		runner->due_at = uv_now(runner->home->loop) + (uint64_t) runner->interval;
		runner_step(runner);
	}
}

/* The connection is there: read where the source is. */
static void
runner_opened(void *owner)
{
	Runner *runner = owner;
	Script script = {.rows = runner_row, .done = runner_read};
	Buffer sql = {0};

	runner->found = false;
	runner->refused = 0;
	generator_row(&sql, "%ss.id = %" PRId64 ";%ss.id = %" PRId64 "%s", catalog_list_sql, runner->id,
	              catalog_table_sql, runner->id, catalog_table_order);
	buffer_append(&sql, "", 1);
	script.sql = buffer_data(&sql);
	connection_run(runner->connection, &script);
	buffer_free(&sql);
}

static const ConnectionEvents runner_events = {runner_opened, runner_lost, runner_notified};

/* Connect as the owner. */
static void
runner_connect(Runner *runner)
{
	if (!service_let_in(runner->owner))
	{
		runner_failed(runner, "the server cannot log in as a role of this name");
		return;
	}
	runner->connection =
	    connection_open(runner->home->loop, service_conninfo(runner->owner, runner->home->database),
	                    &runner_events, runner);
}

/* The runner of a source; see runner.h. */
Runner *
runner_found(RunnerHome *home, PGresult *result, int row)
{
	int64_t id = number(result, row, CATALOG_ID);
	Runner *runner = home->runners;

	while (runner != NULL && runner->id != id)
		runner = runner->next;
	if (runner != NULL)
		return runner;
	runner = calloc(1, sizeof(Runner));
	if (runner == NULL)
		abort();
	runners++;
	runner->home = home;
	runner->id = id;
	runner->owner = copy_string(PQgetvalue(result, row, CATALOG_OWNER));
	uv_timer_init(home->loop, &runner->timer);
	runner->timer.data = runner;
	runner->next = home->runners;
	home->runners = runner;
	runner_connect(runner);
	return runner;
}
