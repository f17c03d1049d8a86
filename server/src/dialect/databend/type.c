/*-------------------------------------------------------------------------
 *
 * type.c
 *	  PostgreSQL's types and values as Databend names and writes them.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/databend/type.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "http/json.h"

typedef enum TypeForm
{
	FORM_TEXT,    /* inside of an array in quotes */
	FORM_PLAIN,   /* as it is */
	FORM_BOOLEAN, /* 1 and 0 */
	FORM_FLOAT,
	FORM_MOMENT, /* a date or a time: in quotes inside of an array */
	FORM_BYTES,
	FORM_JSON
} TypeForm;

typedef struct Type
{
	Oid oid;
	Oid array;
	const char *name;
	TypeForm form;
} Type;

/* PostgreSQL's OIDs (pg_type.dat) */
#define NUMERIC 1700
#define NUMERIC_ARRAY 1231

static const Type types[] = {
    {16, 1000, "Boolean", FORM_BOOLEAN},    {21, 1005, "Int16", FORM_PLAIN},
    {23, 1007, "Int32", FORM_PLAIN},        {20, 1016, "Int64", FORM_PLAIN},
    {26, 1028, "UInt32", FORM_PLAIN},       {700, 1021, "Float32", FORM_FLOAT},
    {701, 1022, "Float64", FORM_FLOAT},     {NUMERIC, NUMERIC_ARRAY, "Decimal", FORM_PLAIN},
    {1082, 1182, "Date", FORM_MOMENT},      {1114, 1115, "Timestamp", FORM_MOMENT},
    {1184, 1185, "Timestamp", FORM_MOMENT}, {1186, 1187, "Interval", FORM_TEXT},
    {17, 1001, "Binary", FORM_BYTES},       {3802, 3807, "Variant", FORM_JSON},
    {114, 199, "Variant", FORM_JSON},
};

static const Type text_type = {25, 1009, "String", FORM_TEXT};

/* A type nobody knows is text, and so are decimals of any scale in an array; `array`: it is one of these. */
static const Type *
find_type(Oid oid, int modifier, bool *array)
{
	*array = oid == NUMERIC_ARRAY;
	if (*array && modifier < 4)
		return &text_type;
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
	{
		*array = types[i].array == oid;
		if (types[i].oid == oid || *array)
			return &types[i];
	}
	/* text, varchar, bpchar, name, uuid */
	*array = oid == 1009 || oid == 1015 || oid == 1014 || oid == 1003 || oid == 2951;
	return &text_type;
}

bool
type_is_loose(Oid oid, int modifier)
{
	return oid == NUMERIC && modifier < 4;
}

void
type_name(Buffer *out, Oid oid, int modifier)
{
	bool array;
	const Type *type = find_type(oid, modifier, &array);

	json_raw(out, array ? "Array(" : "");
	if (type->oid != NUMERIC || modifier < 4)
		json_raw(out, type->name);
	else
	{
		int precision = (modifier - 4) >> 16 & 0xffff;
		int scale = (modifier - 4) & 0x7ff;

		/* an expression of type UInt64 is rather that than such a decimal */
		if (precision == 20 && scale == 0)
			json_raw(out, "UInt64");
		else
			buffer_printf(out, "Decimal(%d, %d)", precision, scale);
	}
	json_raw(out, array ? ")" : "");
}

/* A time with six digits of a second, and without an offset: it is the session's. */
static void
write_moment(Buffer *out, const char *text, size_t length)
{
	const char *time = memchr(text, ' ', length);
	size_t day = time != NULL ? (size_t) (time - text) : length;
	size_t end = day;
	size_t digits;

	/* infinity, or a year BC, which Databend has not */
	if (time == NULL || length < day + 9 || memchr(text + day, 'C', length - day) != NULL)
	{
		buffer_append(out, text, length);
		return;
	}
	end = day + 9;
	digits = end;
	if (end < length && text[end] == '.')
		for (digits = end + 1; digits < length && text[digits] >= '0' && text[digits] <= '9';)
			digits++;
	buffer_append(out, text, end);
	buffer_append(out, ".", 1);
	if (digits > end)
		buffer_append(out, text + end + 1, digits - end - 1);
	buffer_append(out, "000000", digits > end ? 6 - (digits - end - 1) : 6);
}

/* JSON without the blanks that jsonb writes. */
static void
write_json(Buffer *out, const char *text, size_t length)
{
	bool quoted = false;

	for (size_t i = 0; i < length; i++)
	{
		if (text[i] == '"')
			quoted = !quoted;
		else if (text[i] == '\\' && quoted && i + 1 < length)
			buffer_append(out, &text[i++], 1);
		if (text[i] != ' ' || quoted)
			buffer_append(out, &text[i], 1);
	}
}

/* \x1f is 1F */
static void
write_bytes(Buffer *out, const char *text, size_t length)
{
	for (size_t i = length >= 2 ? 2 : 0; i < length; i++)
	{
		char c = text[i];

		if (c >= 'a' && c <= 'f')
			c = (char) (c - 'a' + 'A');
		buffer_append(out, &c, 1);
	}
}

/* A value of a type that is no array. */
static void
write_scalar(Buffer *out, TypeForm form, const char *text, size_t length)
{
	switch (form)
	{
		case FORM_BOOLEAN:
			buffer_append(out, length > 0 && text[0] == 't' ? "1" : "0", 1);
			break;
		case FORM_FLOAT:
			if (length == 3 && memcmp(text, "NaN", 3) == 0)
				json_raw(out, "nan");
			else if (length == 8 && memcmp(text, "Infinity", 8) == 0)
				json_raw(out, "inf");
			else if (length == 9 && memcmp(text, "-Infinity", 9) == 0)
				json_raw(out, "-inf");
			else
				buffer_append(out, text, length);
			break;
		case FORM_MOMENT:
			write_moment(out, text, length);
			break;
		case FORM_BYTES:
			write_bytes(out, text, length);
			break;
		case FORM_JSON:
			write_json(out, text, length);
			break;
		default:
			buffer_append(out, text, length);
	}
}

/* One element of an array: behind what it says in PostgreSQL's text. */
static const char *
write_element(Buffer *out, TypeForm form, const char *at, const char *end)
{
	Buffer element = {0};
	Buffer value = {0};
	bool quotes = form == FORM_TEXT || form == FORM_MOMENT;
	bool quoted = *at == '"';

	for (at += quoted; at < end && (quoted ? *at != '"' : *at != ',' && *at != '}'); at++)
	{
		if (*at == '\\' && at + 1 < end)
			at++;
		buffer_append(&element, at, 1);
	}
	buffer_append(&element, "", 1);
	element.length--;
	if (!quoted && strcmp(buffer_data(&element), "NULL") == 0)
		json_raw(out, "NULL");
	else
	{
		write_scalar(&value, form, buffer_data(&element), element.length);
		if (quotes)
			json_text(out, value.length > 0 ? buffer_data(&value) : "", value.length);
		else
			buffer_append(out, buffer_data(&value), value.length);
	}
	buffer_free(&element);
	buffer_free(&value);
	return at + quoted;
}

/* {1,2} is [1,2]; bounds before it are left out. */
static void
write_array(Buffer *out, TypeForm form, const char *text, size_t length)
{
	const char *at = text;
	const char *end = text + length;

	if (*at == '[' && memchr(at, '=', length) != NULL)
		at = (const char *) memchr(at, '=', length) + 1;
	while (at < end)
	{
		if (*at == '{' || *at == '}' || *at == ',')
		{
			json_raw(out, *at == '{' ? "[" : *at == '}' ? "]" : ",");
			at++;
		}
		else
			at = write_element(out, form, at, end);
	}
}

void
type_value(Buffer *out, Oid oid, int modifier, const char *text, size_t length)
{
	bool array;
	const Type *type = find_type(oid, modifier, &array);

	if (array)
		write_array(out, type->form, text, length);
	else
		write_scalar(out, type->form, text, length);
}
