/*-------------------------------------------------------------------------
 *
 * type.c
 *	  PostgreSQL's types as CrateDB numbers and writes them.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/cratedb/type.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialect/cratedb/moment.h"
#include "http/json.h"

#define ID_TEXT 4
#define ID_ARRAY 100

/* PostgreSQL's numbers of its own types never change (pg_type.dat). */
static const Type types[] = {
    {16, 1000, 3, TYPE_BOOLEAN},       {17, 1001, 4, TYPE_TEXT},
    {18, 1002, 4, TYPE_TEXT},          {19, 1003, 4, TYPE_TEXT},
    {20, 1016, 10, TYPE_NUMBER},       {21, 1005, 8, TYPE_NUMBER},
    {22, 1006, 21, TYPE_VECTOR},       {23, 1007, 9, TYPE_NUMBER},
    {24, 1008, 19, TYPE_TEXT},         {25, 1009, 4, TYPE_TEXT},
    {26, 1028, 10, TYPE_NUMBER},       {30, 1013, 21, TYPE_VECTOR},
    {114, 199, 12, TYPE_JSON},         {600, 1017, 13, TYPE_POINT},
    {650, 651, 5, TYPE_TEXT},          {700, 1021, 7, TYPE_NUMBER},
    {701, 1022, 6, TYPE_NUMBER},       {869, 1041, 5, TYPE_TEXT},
    {1042, 1014, 27, TYPE_TEXT},       {1043, 1015, 4, TYPE_TEXT},
    {1082, 1182, 24, TYPE_TIME_POINT}, {1083, 1183, 4, TYPE_TEXT},
    {1114, 1115, 15, TYPE_TIME_POINT}, {1184, 1185, 11, TYPE_TIME_POINT},
    {1186, 1187, 17, TYPE_TEXT},       {1266, 1270, 20, TYPE_TIME_ZONED},
    {1560, 1561, 25, TYPE_BITS},       {1562, 1563, 25, TYPE_BITS},
    {1700, 1231, 22, TYPE_NUMBER},     {2205, 2210, 23, TYPE_TEXT},
    {2206, 2211, 30, TYPE_TEXT},       {2249, 2287, 18, TYPE_TEXT},
    {2278, 0, 0, TYPE_NOTHING},        {2950, 2951, 29, TYPE_TEXT},
    {3802, 3807, 12, TYPE_JSON},
};

#define TYPE_COUNT (sizeof types / sizeof types[0])

static const Type *
find(Oid oid, bool array)
{
	size_t i;

	for (i = 0; oid != 0 && i < TYPE_COUNT; i++)
		if ((array ? types[i].array : types[i].oid) == oid)
			return &types[i];
	return NULL;
}

const Type *
type_find(Oid oid)
{
	static const Type unknown = {0, 0, ID_TEXT, TYPE_TEXT};
	const Type *type = find(oid, false);

	return type != NULL ? type : &unknown;
}

const Type *
type_element(Oid array)
{
	return find(array, true);
}

void
type_write_id(Buffer *out, Oid oid)
{
	const Type *element = type_element(oid);

	if (element != NULL)
		buffer_printf(out, "[%d,%d]", ID_ARRAY, element->id);
	else
		buffer_printf(out, "%d", type_find(oid)->id);
}

/* A number, with all its digits; what JSON has no word for is null. */
static void
write_number(Buffer *out, const char *text, size_t length)
{
	if (length > 0 && isdigit((unsigned char) text[length - 1]))
		buffer_append(out, text, length);
	else
		json_raw(out, "null");
}

/* (1,2) becomes [1,2] */
static void
write_point(Buffer *out, const char *text, size_t length)
{
	if (length < 2 || strpbrk(text, "yN") != NULL)
	{
		json_raw(out, "null");
		return;
	}
	buffer_append(out, "[", 1);
	buffer_append(out, text + 1, length - 2);
	buffer_append(out, "]", 1);
}

/* 1 2 3 becomes [1,2,3] */
static void
write_vector(Buffer *out, const char *text, size_t length)
{
	size_t i;

	buffer_append(out, "[", 1);
	for (i = 0; i < length; i++)
		buffer_append(out, text[i] == ' ' ? "," : text + i, 1);
	buffer_append(out, "]", 1);
}

static void
write_scalar(Buffer *out, const Type *type, const char *text, size_t length)
{
	int64_t number;
	int offset;

	switch (type->form)
	{
		case TYPE_NUMBER:
			write_number(out, text, length);
			break;
		case TYPE_BOOLEAN:
			json_raw(out, text[0] == 't' ? "true" : "false");
			break;
		case TYPE_JSON:
			buffer_append(out, text, length);
			break;
		case TYPE_TIME_POINT:
			if (moment_read(text, &number))
				buffer_printf(out, "%lld", (long long) number);
			else
				json_raw(out, "null");
			break;
		case TYPE_TIME_ZONED:
			moment_read_time(text, &number, &offset);
			buffer_printf(out, "[%lld,%d]", (long long) number, offset);
			break;
		case TYPE_POINT:
			write_point(out, text, length);
			break;
		case TYPE_BITS:
			buffer_printf(out, "\"B'%.*s'\"", (int) length, text);
			break;
		case TYPE_VECTOR:
			write_vector(out, text, length);
			break;
		case TYPE_NOTHING:
			json_raw(out, "null");
			break;
		case TYPE_TEXT:
			json_text(out, text, length);
			break;
	}
}

/*
 * An element of an array's text, up to what ends it; returns where that is. In quotes a
 * backslash stands before each quote and backslash, and the quotes themselves are no part of it.
 */
static const char *
write_element(Buffer *out, const Type *type, const char *at)
{
	Buffer element = {0};
	bool quoted = *at == '"';

	if (quoted)
		for (at++; *at != '"' && *at != '\0'; at++)
		{
			at += *at == '\\' && at[1] != '\0';
			buffer_append(&element, at, 1);
		}
	else
		for (; *at != ',' && *at != '}' && *at != '\0'; at++)
			buffer_append(&element, at, 1);
	at += quoted && *at == '"';
	if (!quoted && element.length == 4 && memcmp(buffer_data(&element), "NULL", 4) == 0)
		json_raw(out, "null");
	else
	{
		size_t length = element.length;

		buffer_append(&element, "", 1);
		write_scalar(out, type, buffer_data(&element), length);
	}
	buffer_free(&element);
	return at;
}

/* PostgreSQL's {1,{2}} is [1,[2]]; bounds before it ([0:1]=) are left out. */
static void
write_array(Buffer *out, const Type *type, const char *text)
{
	const char *at = strchr(text, '{');

	for (at = at != NULL ? at : ""; *at != '\0';)
	{
		if (*at == '{')
			json_raw(out, "[");
		else if (*at == '}')
			json_raw(out, "]");
		else if (*at == ',')
			json_raw(out, ",");
		else
		{
			at = write_element(out, type, at);
			continue;
		}
		at++;
	}
}

void
type_write_value(Buffer *out, Oid oid, const char *text, size_t length)
{
	const Type *element = type_element(oid);

	if (element != NULL)
		write_array(out, element, text);
	else
		write_scalar(out, type_find(oid), text, length);
}
