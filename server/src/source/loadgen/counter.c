/*-------------------------------------------------------------------------
 *
 * counter.c
 *	  COUNTER: 1, 2, 3 …, of which the last MAX CARDINALITY stay. CLOCK: one
 *	  row with the time.
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>

#include "source/loadgen/generator.h"

/* The next number; the one that is too many leaves. */
static void
counter_tick(const GeneratorOptions *options, char *state, size_t size, int64_t tick,
             GeneratorOutput *output)
{
	int64_t number = tick + 1;

	(void) state;
	(void) size;
	if (options->max_cardinality == 0)
		return;
	generator_row(&output->rows[0], "%" PRId64, number);
	/* ticks of one transaction follow each other, so the last bound holds for all */
	if (options->max_cardinality > 0 && number > options->max_cardinality &&
	    output->relations[0] != NULL)
	{
		buffer_clear(&output->after);
		generator_row(&output->after, "DELETE FROM %s WHERE counter <= %" PRId64 ";",
		              output->relations[0], number - options->max_cardinality);
	}
}

const Generator generator_counter = {
    .name = "COUNTER",
    .single = true,
    .options = GENERATOR_MAX_CARDINALITY,
    .table_count = 1,
    .tables = {{"counter", "counter bigint NOT NULL"}},
    .start = "",
    .tick = counter_tick,
};

/* The time takes the place of the one before. */
static void
clock_tick(const GeneratorOptions *options, char *state, size_t size, int64_t tick,
           GeneratorOutput *output)
{
	char text[GENERATOR_TIME];

	(void) options;
	(void) state;
	(void) size;
	(void) tick;
	if (output->relations[0] == NULL)
		return;
	buffer_clear(&output->sql);
	buffer_clear(&output->rows[0]);
	generator_row(&output->sql, "DELETE FROM %s;", output->relations[0]);
	generator_row(&output->rows[0], "%s", generator_time(output->now, text));
}

const Generator generator_clock = {
    .name = "CLOCK",
    .single = true,
    .table_count = 1,
    .tables = {{"clock", "\"time\" pg_catalog.timestamptz NOT NULL"}},
    .start = "",
    .tick = clock_tick,
};
