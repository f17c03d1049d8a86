/*-------------------------------------------------------------------------
 *
 * test_cratedb.c
 *	  Unit tests of CrateDB's values: what a request's JSON becomes as a type of PostgreSQL's, and what
 *	  that becomes in the answer.
 *
 * Bodies of requests are changed at random for HTTP_FUZZ_SECONDS (1): each is refused with a reason or read, and
 * what was read comes back as it was. HTTP_FUZZ_SEED repeats a failure.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "dialect/cratedb/argument.h"
#include "dialect/cratedb/moment.h"
#include "dialect/cratedb/request.h"
#include "dialect/cratedb/type.h"
#include "random.h"

#define OID_INT8 20
#define OID_TEXT 25
#define OID_JSONB 3802
#define OID_TIMESTAMPTZ 1184

/* Days around what is special in the calendar, forth and back. */
static void
check_moments(void)
{
	static const struct
	{
		int64_t milliseconds;
		const char *text;
	} known[] = {
	    {0, "1970-01-01 00:00:00.000+00"},
	    {-1, "1969-12-31 23:59:59.999+00"},
	    {1582979696789, "2020-02-29 12:34:56.789+00"},
	    {-62135596800000, "0001-01-01 00:00:00.000+00"},
	    {-62135596800001, "0001-12-31 23:59:59.999+00 BC"},
	    {-210866803200000, "4714-11-24 00:00:00.000+00 BC"},
	    {9224318015999999, "294276-12-31 23:59:59.999+00"},
	};
	Buffer out = {0};
	int64_t back;
	size_t i;

	for (i = 0; i < sizeof known / sizeof known[0]; i++)
	{
		buffer_clear(&out);
		CHECK(moment_write(&out, known[i].milliseconds));
		buffer_append(&out, "", 1);
		CHECK(strcmp(buffer_data(&out), known[i].text) == 0);
		CHECK(moment_read(known[i].text, &back) && back == known[i].milliseconds);
	}
	for (i = 0; i < 100000; i++)
	{
		int64_t moment = (int64_t) (roll(20000000000000000)) - 10000000000000000;

		buffer_clear(&out);
		if (!moment_write(&out, moment))
			continue;
		buffer_append(&out, "", 1);
		CHECK(moment_read(buffer_data(&out), &back) && back == moment);
	}
	CHECK(!moment_read("infinity", &back) && !moment_read("-infinity", &back));
	CHECK(moment_read("2020-01-01 00:00:00.0009+05:30:15", &back) &&
	      back == 1577836800000 - 19815000);
	CHECK(!moment_write(&out, INT64_MAX) && !moment_write(&out, INT64_MIN));
	buffer_free(&out);
}

/* Is a value the same when it comes back as this type? */
static bool
comes_back(const json_t *value, Oid type)
{
	Buffer text = {0};
	Buffer out = {0};
	json_t *back;
	bool same;

	argument_write(&text, value, type);
	type_write_value(&out, type, buffer_data(&text), text.length - 1);
	back =
	    json_loadb(buffer_data(&out), out.length, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	same = back != NULL && json_equal(back, value);
	json_decref(back);
	buffer_free(&text);
	buffer_free(&out);
	return same;
}

/* What was read from a body, as the types its values have by themselves. */
static bool
check_request(const Request *request)
{
	size_t i;

	for (i = 0; i < json_array_size(request->arguments); i++)
	{
		const json_t *value = json_array_get(request->arguments, i);

		if (!json_is_null(value) && !comes_back(value, OID_JSONB))
			return false;
		if (json_is_string(value) && !comes_back(value, OID_TEXT))
			return false;
		if (json_is_integer(value) && !comes_back(value, OID_INT8))
			return false;
		/* whatever it is, it can be written as anything */
		if (!json_is_null(value))
		{
			static const Oid types[] = {OID_TEXT, OID_TIMESTAMPTZ, 600, 1009, 3807, 1185, 1017, 0};
			size_t j;

			for (j = 0; j < sizeof types / sizeof types[0]; j++)
				comes_back(value, types[j]);
			argument_type(value);
		}
	}
	return true;
}

static const char *const bodies[] = {
    "{\"stmt\": \"SELECT ?\", \"args\": [1, -2.5e10, \"a\\\"b\\\\c\", null, true]}",
    "{\"stmt\": \"INSERT INTO t VALUES (?, ?)\", \"bulk_args\": [[1, \"x\"], [2, {\"a\": [1, "
    "2]}]]}",
    "{\"args\": [[\"a\", null, \"\"], [[1, 2], [3]], {\"k\": {\"l\": []}}, "
    "\"\\u00e9\\ud83d\\ude00\"], \"stmt\": \"SELECT 1\"}",
    "{\"stmt\": \"SELECT 1\", \"args\": [9223372036854775807, 0.1, \"POINT (1 2)\", [1.5, 2], "
    "\"2020-01-01\"]}",
};

/* A body is refused for a reason, or read. */
static void
fuzz(double seconds)
{
	static const char interesting[] = "{}[]\",:\\0u19.eE-+ \xc3\xff";
	clock_t until = clock() + (clock_t) (seconds * CLOCKS_PER_SEC);
	size_t count = 0;
	size_t good = 0;

	for (; clock() < until && failures < 5; count++)
	{
		uint64_t before = seed;
		const char *some = bodies[roll(sizeof bodies / sizeof bodies[0])];
		size_t length = strlen(some);
		char *body = malloc(length + 1);
		size_t changes = roll(4);
		Request request;
		Error error = {0};

		if (body == NULL)
			abort();
		memcpy(body, some, length + 1);
		while (changes-- > 0)
			body[roll(length)] = interesting[roll(sizeof interesting - 1)];
		if (request_read(&request, body, roll(10) == 0 ? roll(length) : length, &error))
		{
			good++;
			if (!check_request(&request))
			{
				fprintf(stderr, "HTTP_FUZZ_SEED=%llu: %s\n", (unsigned long long) before, body);
				failures++;
			}
		}
		else
			CHECK(error.status == 400 && error.code == 4000 && error.text[0] != '\0');
		request_free(&request);
		free(body);
	}
	printf("cratedb: %zu bodies, %zu read\n", count, good);
	CHECK(count < 1000 || good * 20 > count);
}

int
main(void)
{
	const char *seconds = getenv("HTTP_FUZZ_SECONDS");
	const char *wanted = getenv("HTTP_FUZZ_SEED");

	if (wanted != NULL)
		seed = strtoull(wanted, NULL, 10);
	check_moments();
	fuzz(seconds != NULL ? atof(seconds) : 1);
	return check_status("test_cratedb");
}
