/*-------------------------------------------------------------------------
 *
 * request.c
 *	  The body of POST /_sql.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/cratedb/request.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An array under a key, or none; null is none. */
static bool
read_array(const json_t *document, const char *key, const json_t **array, Error *error)
{
	*array = json_object_get(document, key);
	if (json_is_null(*array))
		*array = NULL;
	if (*array == NULL || json_is_array(*array))
		return true;
	error_parse(error, "%s must be an array", key);
	return false;
}

/* Is each row of a bulk request an array? */
static bool
check_rows(const json_t *rows, Error *error)
{
	size_t i;

	for (i = 0; i < json_array_size(rows); i++)
		if (!json_is_array(json_array_get(rows, i)))
		{
			error_parse(error, "bulk_args must be an array of arrays");
			return false;
		}
	return true;
}

/* Does the object have no other keys? */
static bool
check_keys(const json_t *document, Error *error)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *) document, key, value)
	{
		if (strcmp(key, "stmt") != 0 && strcmp(key, "args") != 0 && strcmp(key, "bulk_args") != 0)
		{
			error_parse(
			    error,
			    "Failed to parse source: unexpected property \"%.64s\", expecting stmt with "
			    "args or bulk_args",
			    key);
			return false;
		}
	}
	return true;
}

/* A double keeps so many digits of any number, and is written with so many at most. */
#define DIGITS_KEPT 15
#define DIGITS_MAX 17

/* The digits of a number that count: from the first to the last that is not zero. */
typedef struct Digits
{
	char kept[DIGITS_MAX];
	size_t count;
} Digits;

/* Read a number's digits, up to its exponent; `end` is behind them. */
static Digits
read_digits(const char *at, const char *stop, const char **end)
{
	Digits digits = {{0}, 0};
	size_t seen = 0;

	for (; at < stop && (isdigit((unsigned char) *at) || *at == '.'); at++)
	{
		if (*at == '.' || (*at == '0' && seen == 0))
			continue;
		if (seen < DIGITS_MAX)
			digits.kept[seen] = *at;
		seen++;
		if (*at != '0')
			digits.count = seen;
	}
	*end = at;
	return digits;
}

/* Is a number that becomes a double written as that number again? See argument.c. */
static bool
survives(const char *number, Digits digits)
{
	double value = strtod(number, NULL);
	int count;

	if (digits.count <= DIGITS_KEPT)
		return true;
	for (count = DIGITS_KEPT; count <= DIGITS_MAX; count++)
	{
		char text[64];
		const char *end;
		Digits written;

		snprintf(text, sizeof text, "%.*e", count - 1, value);
		if (strtod(text, NULL) != value)
			continue;
		written = read_digits(text, text + strlen(text), &end);
		return written.count == digits.count &&
		       memcmp(written.kept, digits.kept, digits.count) == 0;
	}
	return false;
}

/*
 * A number with a point or an exponent becomes a double. One that would be another number then is refused,
 * and can be sent as a string. The body is valid JSON.
 */
static bool
check_numbers(const char *body, size_t length, Error *error)
{
	const char *stop = body + length;
	const char *at = body;

	while (at < stop)
	{
		const char *end = at + 1;

		if (*at == '"')
			for (; end < stop && *end != '"'; end++)
				end += *end == '\\';
		if (isdigit((unsigned char) *at))
		{
			Digits digits = read_digits(at, stop, &end);
			bool real = memchr(at, '.', (size_t) (end - at)) != NULL || *end == 'e' || *end == 'E';

			if (real && !survives(at, digits))
			{
				error_parse(error,
				            "a double cannot hold the number %.*s exactly (send it as a string)",
				            (int) (end - at < 64 ? end - at : 64), at);
				return false;
			}
			/* what follows the exponent is no number of its own */
			while (end < stop && (isalnum((unsigned char) *end) || *end == '+' || *end == '-'))
				end++;
		}
		at = *at == '"' ? end + 1 : end;
	}
	return true;
}

bool
request_read(Request *request, const char *body, size_t length, Error *error)
{
	const json_t *statement;
	json_error_t problem;

	memset(request, 0, sizeof *request);
	if (length == 0)
	{
		error_parse(error, "Missing request body");
		return false;
	}
	request->document = json_loadb(body, length, JSON_REJECT_DUPLICATES, &problem);
	if (!json_is_object(request->document))
	{
		error_parse(error, "Failed to parse source, expecting stmt with args or bulk_args: %.160s",
		            request->document != NULL ? "it is no object" : problem.text);
		return false;
	}
	if (!check_numbers(body, length, error))
		return false;
	statement = json_object_get(request->document, "stmt");
	if (!json_is_string(statement))
	{
		error_parse(error, "Failed to parse source, expecting stmt with args or bulk_args: "
		                   "there is no stmt");
		return false;
	}
	request->text = json_string_value(statement);
	request->length = json_string_length(statement);
	if (!check_keys(request->document, error) ||
	    !read_array(request->document, "args", &request->arguments, error) ||
	    !read_array(request->document, "bulk_args", &request->rows, error) ||
	    !check_rows(request->rows, error))
		return false;
	if (json_array_size(request->arguments) > 0 && json_array_size(request->rows) > 0)
	{
		error_parse(error, "args and bulk_args cannot be used together");
		return false;
	}
	return true;
}

void
request_free(Request *request)
{
	json_decref(request->document);
	memset(request, 0, sizeof *request);
}
