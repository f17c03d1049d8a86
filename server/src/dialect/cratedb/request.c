/*-------------------------------------------------------------------------
 *
 * request.c
 *	  The body of POST /_sql.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/cratedb/request.h"

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
