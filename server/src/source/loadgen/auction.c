/*-------------------------------------------------------------------------
 *
 * auction.c
 *	  AUCTION: organizations, users and accounts at the start; then one row a
 *	  tick, an auction followed by its two to nine bids.
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>

#include "source/loadgen/generator.h"

enum
{
	ORGANIZATIONS,
	USERS,
	ACCOUNTS,
	AUCTIONS,
	BIDS
};

static const char *const organizations[] = {"Harbour Lights", "Northgate Supply", "Osprey & Sons",
                                            "Tin Roof Records", "Wildflower Bakery"};
static const char *const users[] = {"amara",  "bjorn",  "chidi",  "delphine", "esteban",
                                    "farida", "gregor", "hikaru", "ines",     "jamal",
                                    "katya",  "leif",   "mirela", "nour",     "odette",
                                    "pavel",  "quinn",  "rosa",   "sanjay",   "tilda"};
static const char *const items[] = {"Signed Memorabilia", "City Bar Crawl", "Best Pizza in Town",
                                    "Gift Basket", "Custom Art"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define STREAM 12

/* What is there before the first auction. */
static bool
auction_load(const GeneratorOptions *options, int table, uint64_t *position, int64_t now,
             Buffer *rows)
{
	(void) options;
	(void) position;
	(void) now;
	for (size_t i = 0; table == ORGANIZATIONS && i < COUNT(organizations); i++)
		generator_row(rows, "%zu\t%s", i, organizations[i]);
	for (size_t i = 0; table == USERS && i < COUNT(users); i++)
		generator_row(rows, "%zu\t%zu\t%s", i, i % COUNT(organizations), users[i]);
	for (size_t i = 0; table == ACCOUNTS && i < COUNT(organizations); i++)
		generator_row(rows, "%zu\t%zu\t10000", i + 42, i);
	return false;
}

/* The next auction, or the next bid of the last one. */
static void
auction_tick(const GeneratorOptions *options, char *state, size_t size, int64_t tick,
             GeneratorOutput *output)
{
	uint64_t auction = 0;
	unsigned bid = 0;
	unsigned bids = 0;
	char time[GENERATOR_TIME];

	(void) options;
	sscanf(state, "%" SCNu64 " %u %u", &auction, &bid, &bids);
	if (bid >= bids)
	{
		auction++;
		bid = 0;
		bids = 2 + (unsigned) generator_below(STREAM, auction, 0, 8);
		generator_row(&output->rows[AUCTIONS], "%" PRIu64 "\t%" PRIu64 "\t%s\t%s", auction,
		              generator_below(STREAM, auction, 1, COUNT(users)),
		              items[generator_below(STREAM, auction, 2, COUNT(items))],
		              generator_time(output->now + 10 * INT64_C(1000000), time));
	}
	else
	{
		generator_row(&output->rows[BIDS], "%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s",
		              auction * 10 + bid, generator_below(STREAM, (uint64_t) tick, 3, COUNT(users)),
		              auction, 1 + generator_below(STREAM, (uint64_t) tick, 4, 99),
		              generator_time(output->now + bid * INT64_C(1000000), time));
		bid++;
	}
	snprintf(state, size, "%" PRIu64 " %u %u", auction, bid, bids);
}

const Generator generator_auction = {
    .name = "AUCTION",
    .table_count = 5,
    .tables = {{"organizations", "id bigint PRIMARY KEY, name pg_catalog.text NOT NULL"},
               {"users",
                "id bigint PRIMARY KEY, org_id bigint NOT NULL, name pg_catalog.text NOT NULL"},
               {"accounts",
                "id bigint PRIMARY KEY, org_id bigint NOT NULL, balance bigint NOT NULL"},
               {"auctions",
                "id bigint PRIMARY KEY, seller bigint NOT NULL, item pg_catalog.text NOT NULL,"
                " end_time pg_catalog.timestamptz NOT NULL"},
               {"bids", "id bigint PRIMARY KEY, buyer bigint NOT NULL, auction_id bigint NOT NULL,"
                        " amount integer NOT NULL, bid_time pg_catalog.timestamptz NOT NULL"}},
    .start = "0 0 0",
    .load = auction_load,
    .tick = auction_tick,
};
