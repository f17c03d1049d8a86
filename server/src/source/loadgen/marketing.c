/*-------------------------------------------------------------------------
 *
 * marketing.c
 *	  MARKETING: each tick a customer sees a campaign. Some click, some become
 *	  leads; of a lead there is a prediction and perhaps a coupon; some leads
 *	  convert a few ticks later.
 *
 * A lead has the number of the tick it was made in, so everything about it can
 * be computed again from that number.
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>

#include "source/loadgen/generator.h"

enum
{
	CUSTOMERS,
	IMPRESSIONS,
	CLICKS,
	LEADS,
	COUPONS,
	PREDICTIONS
};

#define STREAM 7
#define CUSTOMER_COUNT 1000
#define CAMPAIGN_COUNT 10
/* ticks from lead to conversion */
#define CONVERSION_DELAY 7

/* The customers. */
static bool
marketing_load(const GeneratorOptions *options, int table, uint64_t *position, int64_t now,
               Buffer *rows)
{
	(void) options;
	(void) position;
	(void) now;
	for (uint64_t id = 0; table == CUSTOMERS && id < CUSTOMER_COUNT; id++)
		generator_row(rows, "%" PRIu64 "\tcustomer%" PRIu64 "@example.com\t%" PRIu64, id, id,
		              20000 + generator_below(STREAM, id, 0, 180000));
	return false;
}

/* Did this tick make a lead? */
static bool
is_lead(uint64_t tick)
{
	return generator_below(STREAM, tick, 1, 4) == 0;
}

/* Who sees the impression of a tick. */
static uint64_t
customer_of(uint64_t tick)
{
	return generator_below(STREAM, tick, 2, CUSTOMER_COUNT);
}

/* One impression and what comes of it. */
static void
marketing_tick(const GeneratorOptions *options, char *state, size_t size, int64_t tick,
               GeneratorOutput *output)
{
	uint64_t id = (uint64_t) tick;
	char now[GENERATOR_TIME];
	char later[GENERATOR_TIME];

	(void) options;
	(void) state;
	(void) size;
	generator_time(output->now, now);
	generator_row(&output->rows[IMPRESSIONS], "%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s", id,
	              customer_of(id), generator_below(STREAM, id, 3, CAMPAIGN_COUNT), now);
	if (is_lead(id) || generator_below(STREAM, id, 4, 2) == 0)
		generator_row(
		    &output->rows[CLICKS], "%" PRIu64 "\t%s", id,
		    generator_time(output->now + (int64_t) generator_below(STREAM, id, 5, 10) * 1000000,
		                   later));
	if (is_lead(id))
	{
		generator_row(&output->rows[LEADS], "%" PRIu64 "\t%" PRIu64 "\t%s\t\\N\t\\N", id,
		              customer_of(id), now);
		generator_row(&output->rows[PREDICTIONS], "%" PRIu64 "\t%s\t%s\t0.%03" PRIu64, id,
		              generator_below(STREAM, id, 6, 2) == 0 ? "control" : "experiment", now,
		              generator_below(STREAM, id, 7, 1000));
		if (generator_below(STREAM, id, 8, 2) == 0)
			generator_row(&output->rows[COUPONS], "%" PRIu64 "\t%" PRIu64 "\t%s\t%" PRIu64, id, id,
			              now, 1 + generator_below(STREAM, id, 9, 50));
	}
	if (id >= CONVERSION_DELAY && is_lead(id - CONVERSION_DELAY) &&
	    generator_below(STREAM, id - CONVERSION_DELAY, 10, 3) == 0 &&
	    output->relations[LEADS] != NULL)
		generator_row(&output->after,
		              "UPDATE %s SET converted_at = '%s', conversion_amount = %" PRIu64
		              " WHERE id = %" PRIu64 ";",
		              output->relations[LEADS], now, 1 + generator_below(STREAM, id, 11, 500),
		              id - CONVERSION_DELAY);
}

const Generator generator_marketing = {
    .name = "MARKETING",
    .table_count = 6,
    .tables = {{"customers",
                "id bigint PRIMARY KEY, email pg_catalog.text NOT NULL, income bigint NOT NULL"},
               {"impressions",
                "id bigint PRIMARY KEY, customer_id bigint NOT NULL,"
                " campaign_id bigint NOT NULL, impression_time pg_catalog.timestamptz NOT NULL"},
               {"clicks",
                "impression_id bigint NOT NULL, click_time pg_catalog.timestamptz NOT NULL"},
               {"leads",
                "id bigint PRIMARY KEY, customer_id bigint NOT NULL,"
                " created_at pg_catalog.timestamptz NOT NULL, converted_at pg_catalog.timestamptz,"
                " conversion_amount bigint"},
               {"coupons", "id bigint PRIMARY KEY, lead_id bigint NOT NULL,"
                           " created_at pg_catalog.timestamptz NOT NULL, amount bigint NOT NULL"},
               {"conversion_predictions",
                "lead_id bigint NOT NULL, experiment_bucket pg_catalog.text NOT NULL,"
                " predicted_at pg_catalog.timestamptz NOT NULL, score double precision NOT NULL"}},
    .start = "",
    .load = marketing_load,
    .tick = marketing_tick,
};
