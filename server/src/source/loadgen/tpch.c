/*-------------------------------------------------------------------------
 *
 * tpch.c
 *	  TPCH: the tables of TPC-H at a scale, with values from the ranges its
 *	  specification gives. With a TICK INTERVAL one order and its lines are
 *	  replaced each tick.
 *
 * Invariants:
 *	- A row depends on its key and, for orders and lines, on the version of its
 *	  order alone; so it is made anywhere without the rows before it.
 *	- References hold: every key points to a row there is.
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "source/loadgen/generator.h"

enum
{
	SUPPLIER,
	PART,
	PARTSUPP,
	CUSTOMER,
	ORDERS,
	LINEITEM,
	NATION,
	REGION
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LOAD_CHUNK 500
#define MAX_LINES 7

/* days since 1992-01-01 */
#define ORDER_DAYS 2406  /* up to 1998-08-02 */
#define CURRENT_DAY 1263 /* 1995-06-17 */

static const char *const regions[] = {"AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"};
static const struct
{
	const char *name;
	int region;
} nations[] = {{"ALGERIA", 0},      {"ARGENTINA", 1}, {"BRAZIL", 1}, {"CANADA", 1},
               {"EGYPT", 4},        {"ETHIOPIA", 0},  {"FRANCE", 3}, {"GERMANY", 3},
               {"INDIA", 2},        {"INDONESIA", 2}, {"IRAN", 4},   {"IRAQ", 4},
               {"JAPAN", 2},        {"JORDAN", 4},    {"KENYA", 0},  {"MOROCCO", 0},
               {"MOZAMBIQUE", 0},   {"PERU", 1},      {"CHINA", 2},  {"ROMANIA", 3},
               {"SAUDI ARABIA", 4}, {"VIETNAM", 2},   {"RUSSIA", 3}, {"UNITED KINGDOM", 3},
               {"UNITED STATES", 1}};
static const char *const segments[] = {"AUTOMOBILE", "BUILDING", "FURNITURE", "HOUSEHOLD",
                                       "MACHINERY"};
static const char *const priorities[] = {"1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED",
                                         "5-LOW"};
static const char *const instructions[] = {"COLLECT COD", "DELIVER IN PERSON", "NONE",
                                           "TAKE BACK RETURN"};
static const char *const modes[] = {"AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK"};
static const char *const type_sizes[] = {"ECONOMY", "LARGE", "MEDIUM",
                                         "PROMO",   "SMALL", "STANDARD"};
static const char *const type_finishes[] = {"ANODIZED", "BRUSHED", "BURNISHED", "PLATED",
                                            "POLISHED"};
static const char *const type_metals[] = {"BRASS", "COPPER", "NICKEL", "STEEL", "TIN"};
static const char *const container_sizes[] = {"JUMBO", "LG", "MED", "SM", "WRAP"};
static const char *const containers[] = {"BAG", "BOX", "CAN", "CASE", "DRUM", "JAR", "PACK", "PKG"};
static const char *const colours[] = {
    "almond", "azure",   "beige",    "blush",    "chiffon", "coral", "cyan", "drab",
    "forest", "ghost",   "green",    "honeydew", "ivory",   "khaki", "lace", "lemon",
    "linen",  "magenta", "metallic", "navy",     "olive",   "peach", "plum", "rose",
    "salmon", "sienna",  "smoke",    "thistle",  "violet",  "wheat"};
static const char *const words[] = {"accounts", "across",      "blithely", "bold",     "carefully",
                                    "courts",   "deposits",    "express",  "final",    "fluffily",
                                    "foxes",    "furiously",   "ideas",    "ironic",   "packages",
                                    "pending",  "quickly",     "regular",  "requests", "slyly",
                                    "special",  "theodolites", "unusual",  "wake"};

/* One of an array's entries, by chance. */
#define PICK(array, stream, a, b) ((array)[generator_below((stream), (a), (b), COUNT(array))])

/* How many rows a table of `base` rows at scale 1 has. */
static uint64_t
scaled(const GeneratorOptions *options, double base)
{
	double count = floor(base * options->scale_factor + 1e-9);

	return count < 1 ? 1 : (uint64_t) count;
}

/* How many suppliers there are. */
static uint64_t
suppliers(const GeneratorOptions *options)
{
	return scaled(options, 10000);
}

/* How many parts there are. */
static uint64_t
parts(const GeneratorOptions *options)
{
	return scaled(options, 200000);
}

/* How many customers there are. */
static uint64_t
customers(const GeneratorOptions *options)
{
	return scaled(options, 150000);
}

/* How many orders there are. */
static uint64_t
orders(const GeneratorOptions *options)
{
	return scaled(options, 1500000);
}

/* A few words. */
static const char *
comment(uint64_t stream, uint64_t a, uint64_t b, char *text, size_t size)
{
	unsigned count = 3 + (unsigned) generator_below(stream, a, b, 4);
	size_t length = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < count && length < size; i++)
		length += (size_t) snprintf(text + length, size - length, "%s%s", i == 0 ? "" : " ",
		                            PICK(words, stream + 100 + i, a, b));
	return text;
}
#define COMMENT 128

/* A date so many days after 1992-01-01 (days from civil, reversed). */
static const char *
date_text(int64_t day, char *text)
{
	char full[GENERATOR_TIME];

	generator_time((day + 8035) * INT64_C(86400) * 1000000, full);
	snprintf(text, 11, "%.10s", full);
	return text;
}

#define PHONE 64

/* 25-989-741-2988: the country code is the nation's. */
static const char *
phone(uint64_t stream, uint64_t key, uint64_t nation, char *text)
{
	snprintf(text, PHONE, "%d-%03d-%03d-%04d", (int) nation + 10,
	         (int) generator_below(stream, key, 21, 900) + 100,
	         (int) generator_below(stream, key, 22, 900) + 100,
	         (int) generator_below(stream, key, 23, 9000) + 1000);
	return text;
}

/* Money from -999.99 to 9999.99, in hundredths. */
static int64_t
balance(uint64_t stream, uint64_t key)
{
	return (int64_t) generator_below(stream, key, 24, 1099999) - 99999;
}

/* Append money as text. */
static const char *
money(int64_t cents, char *text)
{
	int64_t size = cents < 0 ? -cents : cents;

	snprintf(text, 32, "%s%" PRId64 ".%02d", cents < 0 ? "-" : "", size / 100, (int) (size % 100));
	return text;
}

/* What a part costs, in hundredths. */
static int64_t
retail_price(uint64_t part)
{
	return (int64_t) (90000 + (part / 10) % 20001 + 100 * (part % 1000));
}

/* How many suppliers a part has: four, if there are as many. */
static uint64_t
part_suppliers(const GeneratorOptions *options)
{
	return suppliers(options) < 4 ? suppliers(options) : 4;
}

/* One of the suppliers of a part; for different numbers they are different. */
static uint64_t
part_supplier(const GeneratorOptions *options, uint64_t part, uint64_t number)
{
	uint64_t count = suppliers(options);

	return (part + (part - 1) / count + number * (count < 4 ? 1 : count / 4)) % count + 1;
}

/* An order and its lines. */
static void
add_order(const GeneratorOptions *options, uint64_t order, uint64_t version, Buffer *order_rows,
          Buffer *line_rows)
{
	uint64_t stream = 40 + version * 1000;
	uint64_t lines = 1 + generator_below(stream, order, 0, MAX_LINES);
	uint64_t customer = 1 + generator_below(stream, order, 1, customers(options));
	int64_t day = (int64_t) generator_below(stream, order, 2, ORDER_DAYS);
	int64_t total = 0;
	uint64_t open = 0;
	char text[COMMENT];
	char date[11];
	char amount[32];

	/* every third customer has no orders */
	if (customers(options) > 3 && customer % 3 == 0)
		customer--;
	for (uint64_t line = 1; line <= lines; line++)
	{
		uint64_t at = order * 8 + line;
		uint64_t part = 1 + generator_below(stream, at, 3, parts(options));
		int64_t quantity = 1 + (int64_t) generator_below(stream, at, 4, 50);
		int64_t price = quantity * retail_price(part);
		int64_t discount = (int64_t) generator_below(stream, at, 5, 11);
		int64_t tax = (int64_t) generator_below(stream, at, 6, 9);
		int64_t shipped = day + 1 + (int64_t) generator_below(stream, at, 7, 121);
		int64_t committed = day + 30 + (int64_t) generator_below(stream, at, 8, 61);
		int64_t received = shipped + 1 + (int64_t) generator_below(stream, at, 9, 30);
		char dates[3][11];

		total += price * (100 + tax) * (100 - discount) / 10000;
		open += shipped > CURRENT_DAY;
		if (line_rows == NULL)
			continue;
		generator_row(
		    line_rows,
		    "%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRId64
		    ".00\t%s\t0.%02d\t0.%02d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s",
		    order, part,
		    part_supplier(options, part, generator_below(stream, at, 10, part_suppliers(options))),
		    line, quantity, money(price, amount), (int) discount, (int) tax,
		    received > CURRENT_DAY                    ? "N"
		    : generator_below(stream, at, 11, 2) == 0 ? "R"
		                                              : "A",
		    shipped > CURRENT_DAY ? "O" : "F", date_text(shipped, dates[0]),
		    date_text(committed, dates[1]), date_text(received, dates[2]),
		    PICK(instructions, stream, at, 12), PICK(modes, stream, at, 13),
		    comment(stream, at, 14, text, sizeof(text)));
	}
	if (order_rows == NULL)
		return;
	generator_row(order_rows,
	              "%" PRIu64 "\t%" PRIu64 "\t%s\t%s\t%s\t%s\tClerk#%09" PRIu64 "\t0\t%s", order,
	              customer,
	              open == 0       ? "F"
	              : open == lines ? "O"
	                              : "P",
	              money(total, amount), date_text(day, date), PICK(priorities, stream, order, 15),
	              1 + generator_below(stream, order, 16, scaled(options, 1000)),
	              comment(stream, order, 17, text, sizeof(text)));
}

/* A row of one of the tables that never change. */
static void
add_fixed(const GeneratorOptions *options, int table, uint64_t key, Buffer *rows)
{
	uint64_t stream = 30 + (uint64_t) table;
	uint64_t nation = generator_below(stream, key, 0, COUNT(nations));
	char text[COMMENT];
	char number[PHONE];
	char amount[32];

	comment(stream, key, 1, text, sizeof(text));
	switch (table)
	{
		case REGION:
			generator_row(rows, "%" PRIu64 "\t%s\t%s", key - 1, regions[key - 1], text);
			break;
		case NATION:
			generator_row(rows, "%" PRIu64 "\t%s\t%d\t%s", key - 1, nations[key - 1].name,
			              nations[key - 1].region, text);
			break;
		case SUPPLIER:
			generator_row(
			    rows,
			    "%" PRIu64 "\tSupplier#%09" PRIu64 "\t%s %" PRIu64 "\t%" PRIu64 "\t%s\t%s\t%s", key,
			    key, PICK(words, stream, key, 2), generator_below(stream, key, 3, 1000), nation,
			    phone(stream, key, nation, number), money(balance(stream, key), amount), text);
			break;
		case CUSTOMER:
			generator_row(
			    rows,
			    "%" PRIu64 "\tCustomer#%09" PRIu64 "\t%s %" PRIu64 "\t%" PRIu64 "\t%s\t%s\t%s\t%s",
			    key, key, PICK(words, stream, key, 2), generator_below(stream, key, 3, 1000),
			    nation, phone(stream, key, nation, number), money(balance(stream, key), amount),
			    PICK(segments, stream, key, 4), text);
			break;
		case PART:
		{
			int maker = 1 + (int) generator_below(stream, key, 5, 5);

			generator_row(rows,
			              "%" PRIu64 "\t%s %s %s\tManufacturer#%d\tBrand#%d%d\t%s %s %s\t%d\t"
			              "%s %s\t%s\t%s",
			              key, PICK(colours, stream, key, 6), PICK(colours, stream, key, 7),
			              PICK(colours, stream, key, 8), maker, maker,
			              1 + (int) generator_below(stream, key, 9, 5),
			              PICK(type_sizes, stream, key, 10), PICK(type_finishes, stream, key, 11),
			              PICK(type_metals, stream, key, 12),
			              1 + (int) generator_below(stream, key, 13, 50),
			              PICK(container_sizes, stream, key, 14), PICK(containers, stream, key, 15),
			              money(retail_price(key), amount), text);
			break;
		}
		default:
			for (uint64_t i = 0; i < part_suppliers(options); i++)
				generator_row(
				    rows, "%" PRIu64 "\t%" PRIu64 "\t%d\t%s\t%s", key,
				    part_supplier(options, key, i),
				    1 + (int) generator_below(stream, key, 16 + i, 9999),
				    money(100 + (int64_t) generator_below(stream, key, 20 + i, 99901), amount),
				    text);
			break;
	}
}

/* The keys a table is made from. */
static uint64_t
table_keys(const GeneratorOptions *options, int table)
{
	switch (table)
	{
		case SUPPLIER:
			return suppliers(options);
		case PART:
		case PARTSUPP:
			return parts(options);
		case CUSTOMER:
			return customers(options);
		case NATION:
			return COUNT(nations);
		case REGION:
			return COUNT(regions);
		default:
			return orders(options);
	}
}

/* What is there at the start. */
static bool
tpch_load(const GeneratorOptions *options, int table, uint64_t *position, int64_t now, Buffer *rows)
{
	uint64_t keys = table_keys(options, table);

	(void) now;
	for (int i = 0; i < LOAD_CHUNK && *position < keys; i++)
	{
		uint64_t key = ++*position;

		if (table == ORDERS)
			add_order(options, key, 0, rows, NULL);
		else if (table == LINEITEM)
			add_order(options, key, 0, NULL, rows);
		else
			add_fixed(options, table, key, rows);
	}
	return *position < keys;
}

/*
 * One order takes the place of another. The rows of several ticks are added
 * together, so an order that was already replaced in them stays as it is.
 */
static void
tpch_tick(const GeneratorOptions *options, char *state, size_t size, int64_t tick,
          GeneratorOutput *output)
{
	uint64_t order = 1 + generator_below(29, (uint64_t) tick, 0, orders(options));
	char mark[32];

	(void) state;
	(void) size;
	snprintf(mark, sizeof(mark), "key = %" PRIu64 ";", order);
	buffer_append(&output->sql, "", 1);
	if (strstr(buffer_data(&output->sql), mark) != NULL)
	{
		output->sql.length--;
		return;
	}
	output->sql.length--;
	if (output->relations[LINEITEM] != NULL)
		generator_row(&output->sql, "DELETE FROM %s WHERE l_orderkey = %" PRIu64 ";",
		              output->relations[LINEITEM], order);
	if (output->relations[ORDERS] != NULL)
		generator_row(&output->sql, "DELETE FROM %s WHERE o_orderkey = %" PRIu64 ";",
		              output->relations[ORDERS], order);
	add_order(options, order, (uint64_t) tick + 1, &output->rows[ORDERS], &output->rows[LINEITEM]);
}

#define MONEY " numeric(38,2) NOT NULL"
#define TEXT " pg_catalog.text NOT NULL"
#define KEY " bigint NOT NULL"

const Generator generator_tpch = {
    .name = "TPCH",
    .options = GENERATOR_SCALE_FACTOR,
    .still = true,
    .table_count = 8,
    .tables = {{"supplier",
                "s_suppkey bigint PRIMARY KEY, s_name" TEXT ", s_address" TEXT ", s_nationkey" KEY
                ", s_phone" TEXT ", s_acctbal" MONEY ", s_comment" TEXT},
               {"part", "p_partkey bigint PRIMARY KEY, p_name" TEXT ", p_mfgr" TEXT ", p_brand" TEXT
                        ", p_type" TEXT ", p_size integer NOT NULL, p_container" TEXT
                        ", p_retailprice" MONEY ", p_comment" TEXT},
               {"partsupp", "ps_partkey" KEY ", ps_suppkey" KEY
                            ", ps_availqty integer NOT NULL, ps_supplycost" MONEY
                            ", ps_comment" TEXT ", PRIMARY KEY (ps_partkey, ps_suppkey)"},
               {"customer",
                "c_custkey bigint PRIMARY KEY, c_name" TEXT ", c_address" TEXT ", c_nationkey" KEY
                ", c_phone" TEXT ", c_acctbal" MONEY ", c_mktsegment" TEXT ", c_comment" TEXT},
               {"orders", "o_orderkey bigint PRIMARY KEY, o_custkey" KEY ", o_orderstatus" TEXT
                          ", o_totalprice" MONEY
                          ", o_orderdate pg_catalog.date NOT NULL, o_orderpriority" TEXT
                          ", o_clerk" TEXT ", o_shippriority integer NOT NULL, o_comment" TEXT},
               {"lineitem",
                "l_orderkey" KEY ", l_partkey" KEY ", l_suppkey" KEY
                ", l_linenumber integer NOT NULL, l_quantity" MONEY ", l_extendedprice" MONEY
                ", l_discount" MONEY ", l_tax" MONEY ", l_returnflag" TEXT ", l_linestatus" TEXT
                ", l_shipdate pg_catalog.date NOT NULL, l_commitdate pg_catalog.date NOT NULL"
                ", l_receiptdate pg_catalog.date NOT NULL, l_shipinstruct" TEXT ", l_shipmode" TEXT
                ", l_comment" TEXT ", PRIMARY KEY (l_orderkey, l_linenumber)"},
               {"nation", "n_nationkey bigint PRIMARY KEY, n_name" TEXT ", n_regionkey" KEY
                          ", n_comment" TEXT},
               {"region", "r_regionkey bigint PRIMARY KEY, r_name" TEXT ", r_comment" TEXT}},
    .start = "",
    .load = tpch_load,
    .tick = tpch_tick,
};
