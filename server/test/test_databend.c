/*-------------------------------------------------------------------------
 *
 * test_databend.c
 *	  Unit tests of what reads a Databend client's bytes: CSV, forms, tokens, and
 *	  how values are written.
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "dialect/databend/csv.h"
#include "dialect/databend/multipart.h"
#include "dialect/databend/stage.h"
#include "dialect/databend/type.h"
#include "random.h"

/* CSV of three columns in pieces of some size, as COPY's text; false: it is wrong. */
static bool
read_csv(const char *text, size_t length, size_t piece, Buffer *out)
{
	static const bool empty_is_text[] = {false, true, false};
	Csv csv = {.delimiter = ',',
	           .quote = '"',
	           .columns = 3,
	           .empty_is_text = empty_is_text,
	           .record_number = 1};
	bool good = true;

	buffer_clear(out);
	for (size_t at = 0; good && at < length; at += piece)
		good = csv_feed(&csv, text + at, length - at < piece ? length - at : piece, out);
	good = good && csv_end(&csv, out);
	csv_free(&csv);
	buffer_append(out, "", 1);
	out->length--;
	return good;
}

/* The same however it is cut into pieces. */
static void
test_csv(void)
{
	static const struct
	{
		const char *csv;
		const char *text; /* NULL: wrong */
	} cases[] = {
	    {"1,a,2\n", "1\ta\t2\n"},
	    {"1,a,2", "1\ta\t2\n"},
	    {"1,a,2\r\n3,b,4\r\n", "1\ta\t2\n3\tb\t4\n"},
	    {",,\n", "\\N\t\t\\N\n"},
	    {"\"\",\"\",\"\"\n", "\t\t\n"},
	    {"\\N,\\N,\"\\N\"\n", "\\N\t\\N\t\\\\N\n"},
	    {"\"a\"\"b\",\"c,\nd\",e\tf\\\n", "a\"b\tc,\\nd\te\\tf\\\\\n"},
	    {"a\rb,c,d\n", "a\\rb\tc\td\n"},
	    {"\n1,a,2\n\n", "1\ta\t2\n"},
	    {"", ""},
	    {"1,2\n", NULL},
	    {"1,2,3,4\n", NULL},
	    {"\"1,2,3\n", NULL},
	    {"\"1\"x,2,3\n", NULL},
	};
	Buffer out = {0};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
	{
		for (size_t piece = 1; piece <= strlen(cases[i].csv) + 1; piece++)
		{
			bool good = read_csv(cases[i].csv, strlen(cases[i].csv), piece, &out);

			CHECK(good == (cases[i].text != NULL));
			CHECK(!good || strcmp(buffer_data(&out), cases[i].text) == 0);
		}
	}
	buffer_free(&out);
}

/* Any bytes: as many fields as columns in every line, whatever the pieces. */
static void
test_any_csv(void)
{
	static const char alphabet[] = ",,\"\"\n\r\\Nab\t1";
	Buffer whole = {0};
	Buffer pieces = {0};

	for (int turn = 0; turn < 20000; turn++)
	{
		char text[40];
		size_t length = roll(sizeof text);
		bool good;

		for (size_t i = 0; i < length; i++)
			text[i] = alphabet[roll(sizeof alphabet - 1)];
		good = read_csv(text, length, sizeof text, &whole);
		CHECK(read_csv(text, length, 1 + roll(5), &pieces) == good);
		if (!good)
			continue;
		CHECK(strcmp(buffer_data(&whole), buffer_data(&pieces)) == 0);
		for (const char *line = buffer_data(&whole); *line != '\0'; line = strchr(line, '\n') + 1)
		{
			size_t tabs = 0;

			for (const char *c = line; *c != '\n'; c++)
				tabs += *c == '\t';
			CHECK(tabs == 2);
		}
	}
	buffer_free(&whole);
	buffer_free(&pieces);
}

/* What a form had. */
typedef struct Parts
{
	Buffer said;
} Parts;

static bool
part_begin(void *owner, const char *filename)
{
	Parts *parts = owner;

	buffer_append(&parts->said, "<", 1);
	buffer_append(&parts->said, filename, strlen(filename));
	buffer_append(&parts->said, ">", 1);
	return true;
}

static bool
part_data(void *owner, const char *bytes, size_t count)
{
	Parts *parts = owner;

	buffer_append(&parts->said, bytes, count);
	return true;
}

static bool
part_end(void *owner)
{
	Parts *parts = owner;

	buffer_append(&parts->said, "|", 1);
	return true;
}

/* A form in pieces of some size; false: it is not valid, or not whole. */
static bool
read_form(const char *text, size_t length, size_t piece, Parts *parts)
{
	Multipart form = {.begin = part_begin, .data = part_data, .end = part_end, .owner = parts};
	bool good = multipart_begin(&form, "multipart/form-data; boundary=\"xyz\"");

	buffer_clear(&parts->said);
	for (size_t at = 0; good && at < length; at += piece)
		good = multipart_feed(&form, text + at, length - at < piece ? length - at : piece);
	good = good && multipart_ended(&form);
	multipart_free(&form);
	buffer_append(&parts->said, "", 1);
	return good;
}

static void
test_form(void)
{
#define HEAD(name) "Content-Disposition: form-data; name=\"upload\"; filename=\"" name "\"\r\n\r\n"
	static const struct
	{
		const char *form;
		const char *said; /* NULL: wrong */
	} cases[] = {
	    {"--xyz\r\n" HEAD("a") "1,2\r\n--xyz--\r\n", "<a>1,2|"},
	    {"--xyz\r\n" HEAD("a") "\r\n--xyz\r\n" HEAD("b") "\r\n--xy\r\n-\r\n--xyz--",
	     "<a>|<b>\r\n--xy\r\n-|"},
	    {"--xyz--", ""},
	    {"--xyz\r\n" HEAD("a") "1,2\r\n--xyz", NULL},
	    {"--xyz\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--xyz--", NULL},
	    {"junk--xyz--", NULL},
	    {"--xyz\r\n" HEAD("a") "1\r\n--xyzjunk\r\n", NULL},
	    {"", NULL},
	};
	Parts parts = {{0}};
	Multipart form = {0};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
	{
		for (size_t piece = 1; piece <= strlen(cases[i].form) + 1; piece++)
		{
			bool good = read_form(cases[i].form, strlen(cases[i].form), piece, &parts);

			CHECK(good == (cases[i].said != NULL));
			CHECK(!good || strcmp(buffer_data(&parts.said), cases[i].said) == 0);
		}
	}
	CHECK(!multipart_begin(&form, NULL));
	CHECK(!multipart_begin(&form, "multipart/form-data"));
	CHECK(!multipart_begin(&form, "multipart/form-data; boundary="));
	CHECK(!multipart_begin(&form, "text/plain; boundary=x"));
	/* a head without an end */
	CHECK(multipart_begin(&form, "multipart/form-data; boundary=x"));
	form.owner = &parts;
	CHECK(multipart_feed(&form, "--x\r\n", 5));
	for (int i = 0; i < MULTIPART_HEAD - 1; i++)
		CHECK(multipart_feed(&form, "h", 1));
	CHECK(!multipart_feed(&form, "hh", 2));
	multipart_free(&form);
	buffer_free(&parts.said);
}

/* A token says what was signed, until it ends, and nothing that was changed is one. */
static void
test_token(void)
{
	Buffer token = {0};
	char *role;
	char *location;
	char *text;

	stage_token_write(&token, "ro-le", "@~/a b/\xc3\xa9", (int64_t) time(NULL) + 100);
	buffer_append(&token, "", 1);
	text = buffer_data(&token);
	CHECK(stage_token_read(text, &role, &location));
	CHECK(strcmp(role, "ro-le") == 0 && strcmp(location, "@~/a b/\xc3\xa9") == 0);
	free(role);
	free(location);
	for (size_t i = 0; i + 1 < token.length; i++)
	{
		char before = text[i];

		text[i] = before == '1' ? '2' : '1';
		CHECK(!stage_token_read(text, &role, &location));
		text[i] = '\0';
		CHECK(!stage_token_read(text, &role, &location));
		text[i] = before;
	}
	buffer_clear(&token);
	stage_token_write(&token, "r", "@~/x", (int64_t) time(NULL) - 1);
	buffer_append(&token, "", 1);
	CHECK(!stage_token_read(buffer_data(&token), &role, &location));
	buffer_free(&token);
}

/* No path is outside of the user's directory. */
static void
test_stage(void)
{
	char root[] = "/tmp/freshet-stage-XXXXXX";
	StageFile file = {.fd = -1};
	const char *problem;
	char path[STAGE_PATH + 8];

	CHECK(mkdtemp(root) != NULL);
	CHECK(!stage_create(&file, root, "r", "@~", &problem));
	CHECK(!stage_create(&file, root, "r", "@~/", &problem));
	CHECK(!stage_create(&file, root, "r", "@other/x", &problem));
	memset(path, 'a', sizeof path);
	memcpy(path, "@~/", 3);
	path[STAGE_PATH + 4] = '\0';
	CHECK(!stage_create(&file, root, "r", path, &problem));
	CHECK(stage_create(&file, root, "r", "@~/../../x", &problem));
	CHECK(strncmp(file.final, root, strlen(root)) == 0 && strstr(file.final, "/../") == NULL);
	CHECK(stage_write(&file, "abc", 3) && stage_open(root, "r", "@~/../../x") < 0);
	CHECK(stage_commit(&file));
	file.fd = stage_open(root, "r", "@~/../../x");
	CHECK(file.fd >= 0 && stage_open(root, "other", "@~/../../x") < 0);
	file.temporary[0] = '\0';
	stage_abandon(&file);
	/* a stage of five bytes has room for two more */
	stage_limit = 5;
	CHECK(stage_create(&file, root, "r", "@~/y", &problem));
	CHECK(stage_write(&file, "a", 1) && !stage_write(&file, "bc", 2));
	stage_abandon(&file);
	stage_limit = 3;
	CHECK(!stage_create(&file, root, "r", "@~/y", &problem));
	stage_remove(root, "r", "@~/../../x");
	CHECK(stage_open(root, "r", "@~/../../x") < 0);
	memcpy(path, file.final, strlen(root) + 4);
	path[strlen(root) + 3] = '\0';
	CHECK(remove(path) == 0 && remove(root) == 0);
}

/* Values of PostgreSQL's are written as Databend writes them; whatever they are, nothing beyond them is read. */
static void
test_values(void)
{
	static const struct
	{
		Oid type;
		const char *from;
		const char *to;
	} cases[] = {
	    {16, "t", "1"},
	    {1000, "{t,f,NULL}", "[1,0,NULL]"},
	    {1007, "{{1,2},{3,4}}", "[[1,2],[3,4]]"},
	    {1007, "[0:1]={1,2}", "[1,2]"},
	    {1009, "{a,\"b \\\"c\\\\\",\"NULL\",NULL}", "[\"a\",\"b \\\"c\\\\\",\"NULL\",NULL]"},
	    {701, "-Infinity", "-inf"},
	    {701, "123456789", "123456789"},
	    {1184, "2020-01-01 00:00:00+00", "2020-01-01 00:00:00.000000"},
	    {1184, "2020-01-01 00:00:00.12-03:30", "2020-01-01 00:00:00.120000"},
	    {1184, "infinity", "infinity"},
	    {1184, "0044-03-15 00:00:00+00 BC", "0044-03-15 00:00:00+00 BC"},
	    {3802, "{\"a b\": [1, \"\\\" x\"]}", "{\"a b\":[1,\"\\\" x\"]}"},
	    {17, "\\x1fa0", "1FA0"},
	    {1231, "{1.5,2}", "[\"1.5\",\"2\"]"},
	    {25, "", ""},
	};
	Buffer out = {0};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
	{
		buffer_clear(&out);
		type_value(&out, cases[i].type, -1, cases[i].from, strlen(cases[i].from));
		buffer_append(&out, "", 1);
		if (strcmp(buffer_data(&out), cases[i].to) != 0)
			fprintf(stderr, "%s became %s\n", cases[i].from, buffer_data(&out));
		CHECK(strcmp(buffer_data(&out), cases[i].to) == 0);
		for (size_t length = 0; length < strlen(cases[i].from); length++)
		{
			char *cut = malloc(length + 1);

			if (cut == NULL)
				abort();
			memcpy(cut, cases[i].from, length);
			buffer_clear(&out);
			type_value(&out, cases[i].type, -1, cut, length);
			free(cut);
		}
	}
	buffer_free(&out);
}

int
main(void)
{
	test_csv();
	test_any_csv();
	test_form();
	test_token();
	test_stage();
	test_values();
	return check_status("test_databend");
}
