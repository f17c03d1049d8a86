/*-------------------------------------------------------------------------
 *
 * argument.c
 *	  A value of a request's JSON as text that PostgreSQL reads as a type.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/cratedb/argument.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dialect/cratedb/moment.h"
#include "dialect/cratedb/type.h"
#include "http/json.h"

#define OID_BOOL 16
#define OID_INT8 20
#define OID_TEXT 25
#define OID_POINT 600
#define OID_FLOAT8 701
#define OID_JSONB 3802

/* A value as JSON. */
static void
write_json(Buffer *out, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));

	if (text == NULL)
		abort();
	json_raw(out, text);
	free(text);
}

/* The shortest text that is this number. */
static void
write_real(Buffer *out, double number)
{
	char text[64];
	int digits;

	for (digits = 15; digits <= 17; digits++)
	{
		snprintf(text, sizeof text, "%.*g", digits, number);
		if (strtod(text, NULL) == number)
			break;
	}
	json_raw(out, text);
}

/* Milliseconds since 1970, as a date or a time. */
static bool
write_moment(Buffer *out, const json_t *value)
{
	double real = json_real_value(value);

	if (json_is_real(value) && real > -1e17 && real < 1e17)
		return moment_write(out, (int64_t) real);
	return json_is_integer(value) && moment_write(out, json_integer_value(value));
}

/* [x, y] or POINT (x y): PostgreSQL's is (x,y). */
static bool
write_point(Buffer *out, const json_t *value)
{
	const char *text = json_string_value(value);
	double x;
	double y;

	if (text != NULL && strncasecmp(text, "POINT", 5) == 0 &&
	    sscanf(text + 5, " ( %lf %lf )", &x, &y) == 2)
		;
	else if (json_array_size(value) == 2 && json_is_number(json_array_get(value, 0)) &&
	         json_is_number(json_array_get(value, 1)))
	{
		x = json_number_value(json_array_get(value, 0));
		y = json_number_value(json_array_get(value, 1));
	}
	else
		return false;
	json_raw(out, "(");
	write_real(out, x);
	json_raw(out, ",");
	write_real(out, y);
	json_raw(out, ")");
	return true;
}

static void write_value(Buffer *out, const json_t *value, Oid type);

/* {"1","2"}: with quotes each element is what it is. */
static void
write_array(Buffer *out, const json_t *value, Oid element)
{
	size_t i;

	json_raw(out, "{");
	for (i = 0; i < json_array_size(value); i++)
	{
		const json_t *item = json_array_get(value, i);
		Buffer text = {0};
		size_t j;

		if (i > 0)
			json_raw(out, ",");
		if (json_is_null(item))
			json_raw(out, "NULL");
		else if (json_is_array(item) && type_find(element)->form != TYPE_JSON &&
		         element != OID_POINT)
			write_array(out, item, element);
		else
		{
			write_value(&text, item, element);
			json_raw(out, "\"");
			for (j = 0; j < text.length; j++)
			{
				const char *byte = buffer_data(&text) + j;

				if (*byte == '"' || *byte == '\\')
					json_raw(out, "\\");
				buffer_append(out, byte, 1);
			}
			json_raw(out, "\"");
		}
		buffer_free(&text);
	}
	json_raw(out, "}");
}

static void
write_value(Buffer *out, const json_t *value, Oid type)
{
	const Type *element = type_element(type);
	TypeForm form = type_find(type)->form;

	if (element != NULL && json_is_array(value))
		write_array(out, value, element->oid);
	else if (form == TYPE_JSON)
		write_json(out, value);
	else if (form == TYPE_TIME_POINT && write_moment(out, value))
		;
	else if (type == OID_POINT && write_point(out, value))
		;
	else if (json_is_string(value))
		buffer_append(out, json_string_value(value), json_string_length(value));
	else if (json_is_real(value))
		write_real(out, json_real_value(value));
	else
		write_json(out, value);
}

void
argument_write(Buffer *out, const json_t *value, Oid type)
{
	write_value(out, value, type);
	buffer_append(out, "", 1);
}

Oid
argument_type(const json_t *value)
{
	size_t i;

	switch (json_typeof(value))
	{
		case JSON_OBJECT:
			return OID_JSONB;
		case JSON_INTEGER:
			return OID_INT8;
		case JSON_REAL:
			return OID_FLOAT8;
		case JSON_TRUE:
		case JSON_FALSE:
			return OID_BOOL;
		case JSON_ARRAY:
			for (i = 0; i < json_array_size(value); i++)
				if (!json_is_null(json_array_get(value, i)))
				{
					Oid type = argument_type(json_array_get(value, i));

					/* an array of arrays has the inner one's type */
					return type_element(type) != NULL ? type : type_find(type)->array;
				}
			return type_find(OID_TEXT)->array;
		case JSON_STRING:
		case JSON_NULL:
			break;
	}
	return OID_TEXT;
}
