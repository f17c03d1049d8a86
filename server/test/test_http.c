/*-------------------------------------------------------------------------
 *
 * test_http.c
 *	  Unit tests of HTTP/1.1: what the parser makes of requests, good and bad, however
 *	  they are cut into pieces; whom a request lets be trusted; gzip and its limit.
 *
 * Then requests are mixed out of these at random for HTTP_FUZZ_SECONDS (1): however they are cut, they
 * are the same requests. HTTP_FUZZ_SEED repeats a failure.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "check.h"
#include "http/basic.h"
#include "http/inflate.h"
#include "http/parser.h"
#include "http/trust.h"
#include "net/buffer.h"
#include "random.h"

#define HOST "Host: x\r\n"
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define THOUSAND HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED

/* A request, and what it becomes: "number of the method path?query body", one line a request; "! status" if refused. */
typedef struct Case
{
	const char *bytes;
	const char *found;
} Case;

static const Case cases[] = {
    /* what is good */
    {"GET / HTTP/1.1\r\n" HOST "\r\n", "0 /? []\n"},
    {"\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "0 /? []\n"},
    {"GET /a?b=c HTTP/1.1\r\n" HOST "\r\nHEAD /d HTTP/1.1\r\n" HOST "\r\n",
     "0 /a?b=c []\n1 /d? []\n"},
    {"GET / HTTP/1.0\r\n\r\n", "0 /? []\n"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", "2 /? [abc]\n"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n" HOST "\r\n",
     "2 /? [abc]\n0 /? []\n"},
    {"POST / HTTP/1.1\r\n" HOST
     "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
     "2 /? [abcde]\n"},
    {"POST / HTTP/1.1\r\n" HOST
     "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\nHost: y\r\nA: b\r\n\r\n"
     "GET / HTTP/1.1\r\n" HOST "\r\n",
     "2 /? [abc]\n0 /? []\n"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\nPUT /p HTTP/1.1\r\n" HOST "\r\n",
     "2 /? []\n3 /p? []\n"},
    {"GET / HTTP/1.1\r\n" HOST
     "Connection: upgrade\r\nUpgrade: websocket\r\n\r\nGET /2 HTTP/1.1\r\n" HOST "\r\n",
     "0 /? []\n0 /2? []\n"},
    {"GET / HTTP/1.1\r\nHost:x\r\nEmpty:\r\nBlank:   \r\n\r\n", "0 /? []\n"},

    /* what llhttp refuses */
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "! 400"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "! 400"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: -3\r\n\r\nabc", "! 400"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: +3\r\n\r\nabc", "! 400"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3, 3\r\n\r\nabc", "! 400"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0x3\r\n\r\nabc", "! 400"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", "! 400"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n", "! 400"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", "2 /? ! 400"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
     "2 /? ! 400"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
     "2 /? ! 400"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
     "2 /? [abc! 400"},
    {"GET / HTTP/1.1\r\n" HOST "A: b\x01\r\n\r\n", "! 400"},
    {"GET /\x7f HTTP/1.1\r\n" HOST "\r\n", "! 400"},
    {"\x16\x03\x01\x02\x01\x01\x01\x01\xfc\x03\x03\r\n\r\n", "! 400"},
    {"nonsense\r\n\r\n", "! 400"},
    {"GET  / HTTP/1.1\r\n" HOST "\r\n", "! 400"},
    {"GET / HTTP/3.1\r\n" HOST "\r\n", "! 400"},

    /* what it lets pass, and we do not */
    {"GET / HTTP/1.1\nHost: x\n\n" HUNDRED "\r\n\r\n", "! 400"},
    {"GET / HTTP/1.1\r\nHost: x\n\r\n\r\n", "! 400"},
    {"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", "! 400"},
    {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", "! 400"},
    {"GET / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n", "! 400"},
    {"GET / HTTP/1.1\r\n" HOST "A: b\r\n folded\r\n\r\n", "! 400"},
    {"GET / HTTP/1.1\r\n Host: x\r\n\r\n", "! 400"},
    {"GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n", "! 400"},
    {"GET / HTTP/1.1\r\n" HOST "no colon\r\n\r\n", "! 400"},
    {"GET / HTTP/1.1\r\n" HOST "\x80: b\r\n\r\n", "! 400"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "! 501"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", "! 400"},
    {"POST / HTTP/1.1\r\n" HOST
     "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "! 400"},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "! 400"},
    {"GET / HTTP/1.1\r\n\r\n", "! 400"},
    {"GET / HTTP/1.1\r\n" HOST "host: y\r\n\r\n", "! 400"},
    {"GET http://x/ HTTP/1.1\r\n" HOST "\r\n", "! 400"},
    {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "! 400"},
    {"CONNECT x:1 HTTP/1.1\r\n" HOST "\r\n", "! 501"},
    {"PURGE / HTTP/1.1\r\n" HOST "\r\n", "! 501"},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "! 505"},
    {"GET /\r\n\r\n", "! 400"},

    /* too much */
    {"GET /" THOUSAND THOUSAND THOUSAND THOUSAND HUNDRED " HTTP/1.1\r\n" HOST "\r\n", "! 414"},
    {THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND
         THOUSAND THOUSAND THOUSAND,
     "! 414"},
    {"GET / HTTP/1.1\r\n" HOST
     "A: " THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND
     "\r\n\r\n",
     "! 431"},
    {"GET / HTTP/1.1\r\n" HOST "A: " THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND
         THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND,
     "! 431"},
};

/* What was found so far. */
static Buffer found;

static void
add(const char *text)
{
	buffer_append(&found, text, strlen(text));
}

static void
body_came(void *owner, const char *bytes, size_t count)
{
	char *bodies = owner;

	if (*bodies == 0)
		add("[");
	*bodies = 1;
	buffer_append(&found, bytes, count);
}

/* Feed pieces of so many bytes. */
static void
feed(const char *bytes, size_t length, size_t piece)
{
	char bodies = 0;
	HttpParser *parser = http_parser_make(body_came, &bodies);
	size_t at = 0;
	HttpStep step = HTTP_STEP_HEAD;

	buffer_clear(&found);
	while (step != HTTP_STEP_REFUSED && (at < length || step != HTTP_STEP_MORE))
	{
		size_t count = length - at < piece ? length - at : piece;
		const HttpHead *head = http_parser_head(parser);
		char text[64];
		size_t used;

		step = http_parser_feed(parser, bytes + at, count, &used);
		CHECK(used <= count);
		at += used;
		if (step == HTTP_STEP_HEAD)
		{
			snprintf(text, sizeof text, "%d ", head->method);
			add(text);
			add(head->path);
			add("?");
			add(head->query);
			add(" ");
		}
		else if (step == HTTP_STEP_END)
		{
			add(bodies ? "]\n" : "[]\n");
			bodies = 0;
		}
		else if (step == HTTP_STEP_REFUSED)
		{
			snprintf(text, sizeof text, "! %d", http_parser_status(parser));
			add(text);
			CHECK(http_parser_reason(parser)[0] != '\0');
		}
	}
	buffer_append(&found, "", 1);
	http_parser_free(parser);
}

/* Every request of the table, whole and in pieces. */
static void
check_cases(void)
{
	static const size_t pieces[] = {1 << 20, 1, 2, 3, 7, 64};
	size_t i;
	size_t j;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++)
		for (j = 0; j < sizeof pieces / sizeof pieces[0]; j++)
		{
			feed(cases[i].bytes, strlen(cases[i].bytes), pieces[j]);
			if (strcmp(buffer_data(&found), cases[i].found) != 0)
			{
				fprintf(stderr, "%.300s\nin pieces of %zu gives\n%s\n", cases[i].bytes, pieces[j],
				        buffer_data(&found));
				CHECK(false);
			}
		}
}

/* A hundred fields are as many as there may be; chunks may not cost more than they carry. */
static void
check_limits(void)
{
	static const char chunked[] = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1;";
	int count;
	Buffer bytes = {0};

	for (count = 99; count <= 100; count++)
	{
		int i;

		buffer_clear(&bytes);
		buffer_append(&bytes, "GET / HTTP/1.1\r\n" HOST, strlen("GET / HTTP/1.1\r\n" HOST));
		for (i = 0; i < count; i++)
			buffer_append(&bytes, "a: b\r\n", 6);
		buffer_append(&bytes, "\r\n", 2);
		feed(buffer_data(&bytes), bytes.length, 1 << 20);
		CHECK(strcmp(buffer_data(&found), count == 99 ? "0 /? []\n" : "! 431") == 0);
	}
	buffer_clear(&bytes);
	buffer_append(&bytes, chunked, sizeof chunked - 1);
	for (count = 0; count < 100000; count++)
		buffer_append(&bytes, "x", 1);
	feed(buffer_data(&bytes), bytes.length, 1000);
	CHECK(strstr(buffer_data(&found), "! 400") != NULL);
	buffer_free(&bytes);
}

/* Whom a request with this field, beside a good Host, lets be trusted. */
static bool
trusts(const char *host, const char *field)
{
	char bodies = 0;
	HttpParser *parser = http_parser_make(body_came, &bodies);
	char bytes[512];
	size_t used;
	bool trusted;

	snprintf(bytes, sizeof bytes, "POST /_sql HTTP/1.1\r\nHost: %s\r\n%s\r\n", host, field);
	CHECK(http_parser_feed(parser, bytes, strlen(bytes), &used) == HTTP_STEP_HEAD);
	trusted = http_trust(http_parser_head(parser));
	http_parser_free(parser);
	return trusted;
}

static void
check_trust(void)
{
	CHECK(trusts("localhost", "") && trusts("LOCALHOST:4200", "") && trusts("127.0.0.1:4200", ""));
	CHECK(trusts("[::1]:4200", "") && trusts("127.1.2.3", "Accept: */*\r\n"));
	CHECK(trusts("localhost", "Sec-Fetch-Site: none\r\n"));
	CHECK(!trusts("evil.example", "") && !trusts("localhost.evil.example:4200", ""));
	CHECK(!trusts("127.0.0.1.evil.example", "") && !trusts("[::1", "") && !trusts("", ""));
	CHECK(!trusts("[::1].evil", "") && !trusts("10.0.0.1", "") && !trusts("localhost@evil", ""));
	CHECK(!trusts("localhost:80:evil.example", "") && !trusts("localhost:evil", ""));
	CHECK(!trusts("localhost", "Origin: null\r\n"));
	CHECK(!trusts("localhost", "ORIGIN: http://localhost:4200\r\n"));
	CHECK(!trusts("localhost", "Sec-Fetch-Site: cross-site\r\n"));
	CHECK(!trusts("localhost", "Sec-Fetch-Site: same-site\r\n"));
	CHECK(!trusts("localhost", "Forwarded: for=1.2.3.4\r\n"));
	CHECK(!trusts("localhost", "X-Forwarded-For: 127.0.0.1\r\n"));
	CHECK(!trusts("localhost", "x-forwarded-proto: https\r\n") &&
	      !trusts("localhost", "Via: 1.1 p\r\n"));
}

static size_t taken;

static bool
take(void *owner, const char *bytes, size_t count)
{
	(void) bytes;
	taken += count;
	return taken <= *(size_t *) owner;
}

/* A megabyte of nothing as a kilobyte of gzip. */
static void
check_gzip(void)
{
	static char zeros[1 << 20];
	unsigned char packed[1 << 14];
	size_t limit = sizeof zeros;
	z_stream zlib = {.next_in = (Bytef *) zeros,
	                 .avail_in = sizeof zeros,
	                 .next_out = packed,
	                 .avail_out = sizeof packed};
	Inflater *inflater = inflater_make();
	size_t i;

	CHECK(deflateInit2(&zlib, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	CHECK(deflate(&zlib, Z_FINISH) == Z_STREAM_END);
	deflateEnd(&zlib);
	for (i = 0; i < zlib.total_out; i++)
		CHECK(inflater_feed(inflater, (char *) packed + i, 1, take, &limit) == INFLATE_GOOD);
	CHECK(inflater_ended(inflater) && taken == sizeof zeros);
	CHECK(inflater_feed(inflater, "x", 1, take, &limit) == INFLATE_BAD);
	inflater_free(inflater);

	inflater = inflater_make();
	limit = 100000;
	taken = 0;
	CHECK(inflater_feed(inflater, (char *) packed, zlib.total_out, take, &limit) ==
	      INFLATE_STOPPED);
	CHECK(taken < 200000);
	inflater_free(inflater);

	inflater = inflater_make();
	CHECK(inflater_feed(inflater, "no gzip at all", 14, take, &limit) == INFLATE_BAD);
	inflater_free(inflater);
}

/* Pieces of the table's requests, one behind the other, with bytes changed, doubled and left out. */
static void
mix(Buffer *bytes)
{
	static const char interesting[] = "\r\n\t :,;=\0\xff"
	                                  "0aGHT/";
	size_t parts = 1 + roll(3);
	size_t changes = roll(4);

	buffer_clear(bytes);
	while (parts-- > 0)
	{
		const char *some = cases[roll(sizeof cases / sizeof cases[0])].bytes;
		size_t length = strlen(some);
		size_t from = roll(8) == 0 ? roll(length) : 0;

		buffer_append(bytes, some + from, roll(8) == 0 ? roll(length - from) : length - from);
	}
	while (changes-- > 0 && bytes->length > 0)
	{
		char *at = buffer_data(bytes) + roll(bytes->length);

		switch (roll(3))
		{
			case 0:
				*at = interesting[roll(sizeof interesting - 1)];
				break;
			case 1:
				*at ^= (char) (1 << roll(8));
				break;
			default:
				bytes->length = (size_t) (at - buffer_data(bytes));
				break;
		}
	}
}

/* However bytes are cut, they are the same requests. */
static void
fuzz(double seconds)
{
	clock_t until = clock() + (clock_t) (seconds * CLOCKS_PER_SEC);
	Buffer bytes = {0};
	Buffer whole = {0};
	size_t mixtures = 0;
	size_t good = 0;

	for (; clock() < until && failures < 5; mixtures++)
	{
		uint64_t before = seed;
		size_t piece = 1 + roll(20);

		mix(&bytes);
		feed(buffer_data(&bytes), bytes.length, 1 << 20);
		buffer_clear(&whole);
		buffer_append(&whole, buffer_data(&found), found.length);
		good += strchr(buffer_data(&found), '!') == NULL;
		feed(buffer_data(&bytes), bytes.length, piece);
		if (whole.length != found.length ||
		    memcmp(buffer_data(&whole), buffer_data(&found), found.length) != 0)
		{
			fprintf(stderr, "HTTP_FUZZ_SEED=%llu: pieces of %zu give\n%s\nnot\n%s\n",
			        (unsigned long long) before, piece, buffer_data(&found), buffer_data(&whole));
			failures++;
		}
	}
	printf("http: %zu mixtures, %zu good\n", mixtures, good);
	/* a generator that makes nothing but errors tests nothing */
	CHECK(mixtures < 1000 || good * 20 > mixtures);
	buffer_free(&bytes);
	buffer_free(&whole);
}

/* Who a field says it is: "user/password", or "-". */
static const char *
basic(const char *field)
{
	static char text[64];
	char *user;
	char *password;

	if (!http_basic(field, &user, &password))
		return "-";
	snprintf(text, sizeof text, "%s/%s", user, password);
	free(user);
	free(password);
	return text;
}

/* Authorization: Basic, and what looks like it. */
static void
check_basic(void)
{
	static const char *const bad[] = {
	    "Basic ",         "Basic ====",     "Basic ========", "Basic YQ======", "Basic YT=i",
	    "Basic YTpi=AAA", "Basic YWI=",     "Basic YT\xffi",  "Bearer YTpi",    "Basic YTpi\n",
	    "Basic YTo",      "Basic AGE6Yg==", "Basic =A=A=A=A"};

	CHECK(strcmp(basic("Basic YTpi"), "a/b") == 0 && strcmp(basic("basic  YTo="), "a/") == 0);
	CHECK(strcmp(basic("Basic YWI6Yw=="), "ab/c") == 0 &&
	      strcmp(basic("Basic OjpiYg=="), "/:bb") == 0);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		CHECK(strcmp(basic(bad[i]), "-") == 0);
}

/* All of them. */
int
main(void)
{
	const char *seconds = getenv("HTTP_FUZZ_SECONDS");
	const char *wanted = getenv("HTTP_FUZZ_SEED");

	if (wanted != NULL)
		seed = strtoull(wanted, NULL, 10);
	check_cases();
	check_limits();
	check_trust();
	check_gzip();
	check_basic();
	fuzz(seconds != NULL ? atof(seconds) : 1);
	buffer_free(&found);
	return check_status("test_http");
}
