/*-------------------------------------------------------------------------
 *
 * test_session.c
 *	  Unit tests of what a session is built from: buffers, messages, the
 *	  pipeline, the search for words, settings that are lists.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "config/list.h"
#include "net/address.h"
#include "net/buffer.h"
#include "pgwire/message.h"
#include "session/pipeline.h"
#include "session/scan.h"

/* Bytes come out in the order they went in, whatever the pieces. */
static void
test_buffer(void)
{
	Buffer buffer = {0};
	size_t in = 0;
	size_t out = 0;
	size_t turn;

	for (turn = 1; turn < 2000; turn++)
	{
		size_t count = turn * 7919 % 5000;
		size_t i;

		for (i = 0; i < count; i++, in++)
			buffer_append(&buffer, &(unsigned char){(unsigned char) (in % 251)}, 1);
		count = turn * 104729 % (buffer.length + 1);
		for (i = 0; i < count; i++, out++)
			if ((unsigned char) buffer_data(&buffer)[i] != out % 251)
				break;
		CHECK(i == count);
		buffer_consume(&buffer, count);
		CHECK(buffer.length == in - out);
	}
	buffer_consume(&buffer, buffer.length);
	CHECK(buffer.capacity <= BUFFER_KEEP);
	buffer_free(&buffer);
	CHECK(buffer_data(&buffer) == NULL);
}

/* What was built can be read, and nothing beyond it. */
static void
test_message(void)
{
	Buffer out = {0};
	WireError error = {.sqlstate = "42P01", .message = "no such table", .hint = "Make it."};
	WireMessage message;
	WireReader reader;
	const char *value;
	size_t begun;

	wire_add_byte(&out, 'x');
	begun = wire_begin(&out, 'Q');
	wire_add_int32(&out, 0xdeadbeef);
	wire_add_int16(&out, 0xfffe);
	wire_add_string(&out, "text");
	wire_end(&out, begun);
	CHECK(memcmp(buffer_data(&out), "xQ\0\0\0\x0f\xde\xad\xbe\xef\xff\xfetext", 17) == 0);

	message = (WireMessage){'Q', buffer_data(&out) + 6, (uint32_t) out.length - 6, 0};
	wire_read(&reader, &message);
	CHECK(wire_read_int32(&reader) == 0xdeadbeef);
	CHECK(wire_read_int16(&reader) == 0xfffe);
	CHECK(strcmp(wire_read_string(&reader), "text") == 0);
	CHECK(wire_read_done(&reader));
	CHECK(wire_read_string(&reader) == NULL && reader.failed && !wire_read_done(&reader));

	/* Every shorter message fails somewhere and never reads on. */
	for (message.length--; message.length > 0; message.length--)
	{
		wire_read(&reader, &message);
		wire_read_int32(&reader);
		wire_read_int16(&reader);
		CHECK(wire_read_string(&reader) == NULL);
		CHECK(wire_read_byte(&reader) == 0 && wire_read_bytes(&reader, 0) == NULL);
	}

	buffer_clear(&out);
	wire_add_error(&out, &error);
	message =
	    (WireMessage){'E', buffer_data(&out) + WIRE_HEADER, (uint32_t) out.length - WIRE_HEADER, 0};
	CHECK(wire_error_field(&message, 'C', &value) && strcmp(value, "42P01") == 0);
	CHECK(wire_error_field(&message, 'V', &value) && strcmp(value, "ERROR") == 0);
	CHECK(wire_error_field(&message, 'H', &value) && strcmp(value, "Make it.") == 0);
	CHECK(!wire_error_field(&message, 'D', &value));
	buffer_free(&out);
}

/* Run > sent and < received messages; the result is what is still owed. */
static const char *
owed(const char *script)
{
	static char text[64];
	Pipeline pipeline = {0};
	size_t i;

	for (i = 0; script[i] != '\0'; i += 2)
	{
		if (script[i] == '>')
			pipeline_sent(&pipeline, script[i + 1]);
		else
			pipeline_received(&pipeline, script[i + 1]);
	}
	snprintf(text, sizeof text, "%.*s%s%s", (int) pipeline.entries.length,
	         pipeline.entries.length ? buffer_data(&pipeline.entries) : "",
	         pipeline.skipping ? "+skip" : "", pipeline.copying_in ? "+copy" : "");
	pipeline_free(&pipeline);
	return text;
}

/* What is owed after each exchange is what PostgreSQL would still send. */
static void
test_pipeline(void)
{
	static const struct
	{
		const char *script;
		const char *owed;
	} cases[] = {
	    {">Q<T<D<C<Z", ""},
	    {">Q<C", "Q"},
	    {">P>B>D>E>S<1<2<T<D<C<Z", ""},
	    {">P>D>H<1<t<T", ""},
	    {">P>D>H<1<t", "D"},
	    {">B>E>H<2<D<s>E<D<C>S<Z", ""},
	    {">P>B>E>S>P>B>E>S<1<2<I<Z<1", "BES"},
	    {">C>S<3<Z", ""},
	    /* Errors: up to the Sync that is there already, or up to the next one. */
	    {">P>B>E>S>Q<E", "SQ"},
	    {">P>B>E>S>Q<E<Z<T<C<Z", ""},
	    {">P>B>E<E", "+skip"},
	    {">P>B>E<E>B>E>Q", "+skip"},
	    {">P>B>E<E>B>E>S", "S"},
	    {">P>B>E<E>B>E>S<Z>Q", "Q"},
	    {">Q<E<Z", ""},
	    {">S<E<Z", ""},
	    {">Q<T<D<E<Z>P<E", "+skip"},
	    /* Notices and reports are nobody's answer. */
	    {">P<N<S<A", "P"},
	    /* COPY out, and in by a Query. */
	    {">Q<H<d<d<c<C<Z", ""},
	    {">Q<G", "Q+copy"},
	    {">Q<G>d>c<C<Z", ""},
	    {">Q<G>d>f<E<Z", ""},
	    {">Q<G>d<E>d>c<Z", ""},
	    {">Q>d>c<G", "Qc"},
	    {">Q>d>c<G<C<Z", ""},
	    {">Q<G>c<C<G", "Q+copy"},
	    {">Q<G>c<C<G>c<C<Z", ""},
	    /* COPY in by Execute: a Sync before the data's end does not count. */
	    {">P>B>E>S<1<2<G>d>c>S<C<Z", ""},
	    {">P>B>E>S>d>c>S<1<2<G<C<Z", ""},
	    {">P>B>E>S<1<2<G>d>S>c>S<C<Z", ""},
	    {">P>B>E>S<1<2<G>d<E>d>c>S<Z", ""},
	    {">P>B>E>S<1<2<G>d<E", "+skip"},
	    /* A function call. */
	    {">F<V<Z", ""},
	};
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (strcmp(owed(cases[i].script), cases[i].owed) != 0)
		{
			fprintf(stderr, "pipeline %s owes %s, not %s\n", cases[i].script, owed(cases[i].script),
			        cases[i].owed);
			failures++;
		}
}

/* Words are found in any case and place, and only whole within the text. */
static void
test_scan(void)
{
	static const char *const words[] = {"SUBSCRIBE", "SHOW", "SOURCE", NULL};

	CHECK(scan_has_word("subscribe t", 11, words));
	CHECK(scan_has_word("select 1; sHoW tables", 21, words));
	CHECK(scan_has_word("xxSOURCExx", 10, words));
	CHECK(!scan_has_word("subscrib", 8, words));
	CHECK(!scan_has_word("subscribe", 8, words));
	CHECK(!scan_has_word("", 0, words));
	CHECK(!scan_has_word("select s from s where s = 'sho' and sour", 40, words));
	CHECK(scan_has_word("ssssshow", 8, words));
	CHECK(!scan_has_word("\x13how", 4, words));
}

/* Lists of names and of aliases. */
static void
test_lists(void)
{
	char **list = list_split(" a, b,,c ", ", ");
	DatabaseAlias *aliases;
	size_t count;

	CHECK(strcmp(list[0], "a") == 0 && strcmp(list[1], "b") == 0 && strcmp(list[2], "c") == 0 &&
	      list[3] == NULL);
	list_free(list);
	list = list_split("", ",");
	CHECK(list[0] == NULL);
	list_free(list);
	aliases = list_aliases("doc:doc,public  admin", &count);
	CHECK(count == 2);
	CHECK(strcmp(aliases[0].name, "doc") == 0);
	CHECK(strcmp(aliases[0].search_path, "doc,public") == 0);
	CHECK(strcmp(aliases[1].name, "admin") == 0 && aliases[1].search_path == NULL);
	list_free_aliases(aliases, count);
}

/* Is the numeric address loopback? */
static bool
loopback(const char *host)
{
	const char *why;
	Address address;

	return address_tcp(&address, host, 1, &why) &&
	       address_is_loopback((const struct sockaddr *) &address.remote);
}

/* Only loopback is loopback, since trust depends on it. */
static void
test_address(void)
{
	Address address;
	char deep[200];

	CHECK(loopback("127.0.0.1") && loopback("127.255.0.9") && loopback("::1") &&
	      loopback("::ffff:127.0.0.1"));
	CHECK(!loopback("128.0.0.1") && !loopback("0.0.0.0") && !loopback("::") && !loopback("*") &&
	      !loopback("::ffff:10.0.0.1") && !loopback("10.127.0.1"));
	memset(deep, 'd', sizeof deep);
	deep[sizeof deep - 1] = '\0';
	CHECK(!address_unix(&address, deep, 5432));
	CHECK(address_unix(&address, "/tmp", 5432) && address_is_unix(&address));
}

/* All of them. */
int
main(void)
{
	test_buffer();
	test_message();
	test_pipeline();
	test_scan();
	test_lists();
	test_address();
	return check_status("test_session");
}
