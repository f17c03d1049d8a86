/*-------------------------------------------------------------------------
 *
 * parser.h
 *	  One request of HTTP/1 after the other out of bytes, by llhttp, and what llhttp
 *	  lets pass refused.
 *
 * Invariants:
 *	- The head is looked at as a whole, before llhttp sees it, so that both agree on where it
 *	  ends: lines end with CRLF, no line is folded, a name is a token with a colon right behind it.
 *	- A request has one Host (HTTP/1.0 may have none), and its body one length: a Content-Length, or
 *	  chunks and nothing else, or none at all.
 *	- Nothing of the bytes is kept but the head.
 *
 * Sources: RFC 9110, 9112.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_HTTP_PARSER_H
#define FRESHET_HTTP_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_LINE_MAX 4096
#define HTTP_FIELDS_MAX 8192
#define HTTP_FIELD_COUNT 100

typedef enum HttpMethod
{
	HTTP_METHOD_GET,
	HTTP_METHOD_HEAD,
	HTTP_METHOD_POST,
	HTTP_METHOD_PUT,
	HTTP_METHOD_DELETE,
	HTTP_METHOD_OPTIONS,
	HTTP_METHOD_PATCH
} HttpMethod;

typedef struct HttpField
{
	char *name; /* in lower case */
	char *value;
} HttpField;

typedef struct HttpHead
{
	HttpMethod method;
	char *path;  /* as it came, up to a '?' */
	char *query; /* behind that, or "" */
	HttpField fields[HTTP_FIELD_COUNT];
	size_t field_count;
	bool is_1_0;
	bool keep_alive;
	bool has_body;
	uint64_t length; /* of the body, unless it comes in chunks */
} HttpHead;

/* The value of a field, or NULL; of several with one name the first. */
extern const char *http_field(const HttpHead *head, const char *name);

/* The value of a key of the query, not decoded; "" if it has none, NULL if it is not there. */
extern bool http_query(const HttpHead *head, const char *key, const char **value, size_t *length);

typedef enum HttpStep
{
	HTTP_STEP_MORE,   /* all bytes were used */
	HTTP_STEP_HEAD,   /* the head is there, until the next call */
	HTTP_STEP_END,    /* the request is over */
	HTTP_STEP_REFUSED /* it is not valid, and so is what comes after it */
} HttpStep;

typedef struct HttpParser HttpParser;

/* `body` is called from inside http_parser_feed. */
extern HttpParser *
http_parser_make(void (*body)(void *owner, const char *bytes, size_t count), void *owner);
extern void http_parser_free(HttpParser *parser);
extern HttpStep http_parser_feed(HttpParser *parser, const char *bytes, size_t count, size_t *used);
extern const HttpHead *http_parser_head(const HttpParser *parser);

/* Has a byte of a request come that is not whole yet? */
extern bool http_parser_midway(const HttpParser *parser);

/* Why it was refused. */
extern int http_parser_status(const HttpParser *parser);
extern const char *http_parser_reason(const HttpParser *parser);

#endif /* FRESHET_HTTP_PARSER_H */
