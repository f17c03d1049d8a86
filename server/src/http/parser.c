/*-------------------------------------------------------------------------
 *
 * parser.c
 *	  One request of HTTP/1 after the other out of bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "http/parser.h"

#include <ctype.h>
#include <llhttp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/buffer.h"

#define HEAD_MAX (HTTP_LINE_MAX + HTTP_FIELDS_MAX)

/* What chunks may cost beside what they carry: small ones, but no long tales in their extensions. */
#define CHUNK_COST 16
#define CHUNK_COST_FREE (64 * 1024)

typedef struct Span
{
	char *at;
	size_t length;
} Span;

struct HttpParser
{
	llhttp_t llhttp;
	void (*body)(void *owner, const char *bytes, size_t count);
	void *owner;
	Buffer bytes; /* of the head */
	HttpHead head;
	Span target;
	Span names[HTTP_FIELD_COUNT + 1];
	Span values[HTTP_FIELD_COUNT + 1];
	size_t name_count;
	size_t value_count;
	bool in_body;     /* the head is there */
	bool over;        /* the request is over */
	size_t wire;      /* bytes of the body as they came ... */
	size_t delivered; /* ... and without what chunks cost */
	int status;
	const char *reason;
};

/* The request is not valid. */
static HttpStep
refuse(HttpParser *parser, int status, const char *reason)
{
	parser->status = status;
	parser->reason = reason;
	return HTTP_STEP_REFUSED;
}

/* llhttp found a piece of the head; it was given the whole of it, so pieces are whole. */
static Span
span(const char *at, size_t length)
{
	return (Span){(char *) at, length};
}

static int
on_url(llhttp_t *llhttp, const char *at, size_t length)
{
	((HttpParser *) llhttp->data)->target = span(at, length);
	return 0;
}

static int
on_header_field(llhttp_t *llhttp, const char *at, size_t length)
{
	HttpParser *parser = llhttp->data;

	/* what comes behind the chunks is nobody's */
	if (!parser->in_body && parser->name_count <= HTTP_FIELD_COUNT)
		parser->names[parser->name_count++] = span(at, length);
	return 0;
}

static int
on_header_value(llhttp_t *llhttp, const char *at, size_t length)
{
	HttpParser *parser = llhttp->data;

	/* an empty value may come as a piece or not at all, so it takes the last name's place */
	if (!parser->in_body && parser->name_count > 0)
		parser->values[parser->name_count - 1] = span(at, length);
	return 0;
}

static int
on_headers_complete(llhttp_t *llhttp)
{
	/* an upgrade that nobody offers is ignored */
	llhttp->upgrade = 0;
	return 0;
}

static int
on_body(llhttp_t *llhttp, const char *at, size_t length)
{
	HttpParser *parser = llhttp->data;

	parser->delivered += length;
	parser->body(parser->owner, at, length);
	return 0;
}

static int
on_message_complete(llhttp_t *llhttp)
{
	((HttpParser *) llhttp->data)->over = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t llhttp_events = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* A parser that waits for a request. */
HttpParser *
http_parser_make(void (*body)(void *owner, const char *bytes, size_t count), void *owner)
{
	HttpParser *parser = calloc(1, sizeof *parser);

	if (parser == NULL)
		abort();
	parser->body = body;
	parser->owner = owner;
	return parser;
}

/* Forget it. */
void
http_parser_free(HttpParser *parser)
{
	buffer_free(&parser->bytes);
	free(parser);
}

const HttpHead *
http_parser_head(const HttpParser *parser)
{
	return &parser->head;
}

bool
http_parser_midway(const HttpParser *parser)
{
	return parser->in_body || parser->bytes.length > 0;
}

int
http_parser_status(const HttpParser *parser)
{
	return parser->status;
}

const char *
http_parser_reason(const HttpParser *parser)
{
	return parser->reason;
}

/* May this byte stand in the name of a field? RFC 9110, 5.6.2. */
static bool
is_token(char byte)
{
	return isalnum((unsigned char) byte) || (byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte));
}

/* Is it a method, a target and a version, with one blank between them? */
static bool
is_request_line(const char *line, const char *stop)
{
	int blanks = 0;

	for (; line < stop; line++)
		blanks += *line == ' ';
	return blanks == 2;
}

/* Look at the lines of a whole head: `line` is the first one's, `end` is behind the empty one. */
static HttpStep
check_lines(HttpParser *parser, const char *line, const char *end)
{
	bool first = true;

	while (line < end)
	{
		const char *stop = memchr(line, '\n', (size_t) (end - line));
		const char *at = line;

		if (stop == line || stop[-1] != '\r')
			return refuse(parser, 400, "a line does not end with CRLF");
		stop--;
		if (memchr(line, '\r', (size_t) (stop - line)) != NULL ||
		    memchr(line, '\0', (size_t) (stop - line)) != NULL)
			return refuse(parser, 400, "a line has CR or NUL in it");
		if (first && stop - line > HTTP_LINE_MAX)
			return refuse(parser, 414, "the request line is too long");
		if (first && !is_request_line(line, stop))
			return refuse(parser, 400, "the request line is not valid");
		while (!first && at < stop && is_token(*at))
			at++;
		if (!first && at < stop && (at == line || *at != ':'))
			return refuse(parser, 400, "a field has no name with a colon right behind it");
		line = stop + 2;
		if (first && end - line > HTTP_FIELDS_MAX)
			return refuse(parser, 431, "the fields are too long");
		first = false;
	}
	return HTTP_STEP_HEAD;
}

/* Put an end to what was found, now that llhttp has read it. */
static char *
terminate(Span found)
{
	static char nothing[1];

	if (found.at == NULL)
		return nothing;
	/* blanks behind a value are not part of it */
	while (found.length > 0 && strchr(" \t", found.at[found.length - 1]) != NULL)
		found.length--;
	found.at[found.length] = '\0';
	return found.at;
}

/* The methods that are spoken here; false: another one. */
static bool
find_method(HttpParser *parser)
{
	static const struct
	{
		int llhttp;
		HttpMethod method;
	} methods[] = {
	    {HTTP_GET, HTTP_METHOD_GET},       {HTTP_HEAD, HTTP_METHOD_HEAD},
	    {HTTP_POST, HTTP_METHOD_POST},     {HTTP_PUT, HTTP_METHOD_PUT},
	    {HTTP_DELETE, HTTP_METHOD_DELETE}, {HTTP_OPTIONS, HTTP_METHOD_OPTIONS},
	    {HTTP_PATCH, HTTP_METHOD_PATCH},
	};
	size_t i;

	for (i = 0; i < sizeof methods / sizeof methods[0]; i++)
		if (methods[i].llhttp == parser->llhttp.method)
		{
			parser->head.method = methods[i].method;
			return true;
		}
	return false;
}

/* Fill in the head from what llhttp found. */
static HttpStep
fill_head(HttpParser *parser)
{
	HttpHead *head = &parser->head;
	int hosts = 0;
	int encodings = 0;
	size_t i;

	if (parser->llhttp.http_major != 1 || parser->llhttp.http_minor > 1)
		return refuse(parser, 505, "HTTP/1.1 is spoken here");
	if (!find_method(parser))
		return refuse(parser, 501, "the method is not known");
	if (parser->name_count > HTTP_FIELD_COUNT)
		return refuse(parser, 431, "there are too many fields");
	head->is_1_0 = parser->llhttp.http_minor == 0;
	head->path = terminate(parser->target);
	if (head->path[0] != '/')
		return refuse(parser, 400, "the target is no path");
	head->query = strchr(head->path, '?');
	if (head->query != NULL)
		*head->query++ = '\0';
	else
		head->query = head->path + strlen(head->path);
	head->field_count = parser->name_count;
	for (i = 0; i < parser->name_count; i++)
	{
		HttpField *field = &head->fields[i];
		char *at;

		field->name = terminate(parser->names[i]);
		field->value = terminate(parser->values[i]);
		for (at = field->name; *at != '\0'; at++)
			*at = (char) tolower((unsigned char) *at);
		hosts += strcmp(field->name, "host") == 0;
		if (strcmp(field->name, "transfer-encoding") == 0)
		{
			encodings++;
			if (strcasecmp(field->value, "chunked") != 0)
				return refuse(parser, 501, "the only transfer encoding is \"chunked\"");
		}
	}
	if (hosts > 1 || (hosts == 0 && !head->is_1_0))
		return refuse(parser, 400, "a request has one Host");
	if (encodings > 1 || (encodings == 1 && head->is_1_0))
		return refuse(parser, 400, "the transfer encoding is not valid");
	head->keep_alive = llhttp_should_keep_alive(&parser->llhttp) != 0;
	head->length = encodings > 0 ? 0 : parser->llhttp.content_length;
	head->has_body = encodings > 0 || head->length > 0;
	return HTTP_STEP_HEAD;
}

/* The head is whole: have llhttp read it. `skipped` bytes stand before its first line. */
static HttpStep
read_head(HttpParser *parser, size_t skipped)
{
	const char *bytes = buffer_data(&parser->bytes) + skipped;
	size_t length = parser->bytes.length - skipped;
	HttpStep step = check_lines(parser, bytes, bytes + length);
	llhttp_errno_t error;

	if (step != HTTP_STEP_HEAD)
		return step;
	llhttp_init(&parser->llhttp, HTTP_REQUEST, &llhttp_events);
	parser->llhttp.data = parser;
	parser->name_count = 0;
	memset(parser->values, 0, sizeof parser->values);
	parser->target = span(NULL, 0);
	parser->over = false;
	parser->wire = 0;
	parser->delivered = 0;
	error = llhttp_execute(&parser->llhttp, bytes, length);
	if (error != HPE_OK && error != HPE_PAUSED)
		return refuse(parser, 400, llhttp_get_error_reason(&parser->llhttp));
	parser->in_body = true;
	return fill_head(parser);
}

/*
 * Bytes of a head: keep them up to its end. Empty lines before a request are skipped, as
 * RFC 9112, 2.2 wants it.
 */
static HttpStep
feed_head(HttpParser *parser, const char *bytes, size_t count, size_t *used)
{
	size_t before = parser->bytes.length;
	size_t take = count < HEAD_MAX - before ? count : HEAD_MAX - before;
	size_t skipped = 0;
	size_t from;
	const char *all;
	const char *found;

	*used = 0;
	if (count == 0)
		return HTTP_STEP_MORE;
	buffer_append(&parser->bytes, bytes, take);
	all = buffer_data(&parser->bytes);
	while (skipped + 1 < parser->bytes.length && memcmp(all + skipped, "\r\n", 2) == 0)
		skipped += 2;
	from = before > skipped + 3 ? before - 3 : skipped;
	found = memmem(all + from, parser->bytes.length - from, "\r\n\r\n", 4);
	if (found == NULL)
	{
		*used = take;
		if (parser->bytes.length < HEAD_MAX)
			return HTTP_STEP_MORE;
		if (memchr(all + skipped, '\n', parser->bytes.length - skipped) == NULL)
			return refuse(parser, 414, "the request line is too long");
		return refuse(parser, 431, "the fields are too long");
	}
	parser->bytes.length = (size_t) (found + 4 - all);
	*used = parser->bytes.length - before;
	return read_head(parser, skipped);
}

/* Bytes of a body. */
static HttpStep
feed_body(HttpParser *parser, const char *bytes, size_t count, size_t *used)
{
	llhttp_errno_t error = HPE_PAUSED;

	*used = 0;
	if (!parser->over)
	{
		if (count == 0)
			return HTTP_STEP_MORE;
		error = llhttp_execute(&parser->llhttp, bytes, count);
		*used = error == HPE_OK ? count : (size_t) (llhttp_get_error_pos(&parser->llhttp) - bytes);
	}
	if (error != HPE_OK && error != HPE_PAUSED)
		return refuse(parser, 400, llhttp_get_error_reason(&parser->llhttp));
	parser->wire += *used;
	if (parser->wire > parser->delivered * CHUNK_COST + CHUNK_COST_FREE)
		return refuse(parser, 400, "chunks cost more than they carry");
	if (!parser->over)
		return HTTP_STEP_MORE;
	parser->in_body = false;
	buffer_free(&parser->bytes);
	return HTTP_STEP_END;
}

/* Read on; at each step the caller has to come back with the bytes that were not used. */
HttpStep
http_parser_feed(HttpParser *parser, const char *bytes, size_t count, size_t *used)
{
	if (parser->status != 0)
	{
		*used = count;
		return HTTP_STEP_REFUSED;
	}
	return parser->in_body ? feed_body(parser, bytes, count, used)
	                       : feed_head(parser, bytes, count, used);
}

/* See parser.h. */
const char *
http_field(const HttpHead *head, const char *name)
{
	size_t i;

	for (i = 0; i < head->field_count; i++)
		if (strcmp(head->fields[i].name, name) == 0)
			return head->fields[i].value;
	return NULL;
}

/* See parser.h. */
bool
http_query(const HttpHead *head, const char *key, const char **value, size_t *length)
{
	const char *at = head->query;
	size_t key_length = strlen(key);

	while (*at != '\0')
	{
		size_t part = strcspn(at, "&");

		if (strncmp(at, key, key_length) == 0 &&
		    (part == key_length || (part > key_length && at[key_length] == '=')))
		{
			*value = part == key_length ? at + part : at + key_length + 1;
			*length = (size_t) (at + part - *value);
			return true;
		}
		at += part + (at[part] == '&');
	}
	return false;
}
