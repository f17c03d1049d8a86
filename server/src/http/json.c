/*-------------------------------------------------------------------------
 *
 * json.c
 *	  See json.h.
 *
 *-------------------------------------------------------------------------
 */
#include "http/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
json_raw(Buffer *out, const char *json)
{
	buffer_append(out, json, strlen(json));
}

void
json_printf(Buffer *out, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	buffer_reserve(out, (size_t) length + 1);
	va_start(arguments, format);
	vsnprintf(buffer_data(out) + out->length, (size_t) length + 1, format, arguments);
	va_end(arguments);
	out->length += (size_t) length;
}

void
json_text(Buffer *out, const char *text, size_t length)
{
	size_t from = 0;
	size_t i;

	buffer_append(out, "\"", 1);
	for (i = 0; i < length; i++)
	{
		unsigned char byte = (unsigned char) text[i];

		if (byte >= 0x20 && byte != '"' && byte != '\\')
			continue;
		buffer_append(out, text + from, i - from);
		from = i + 1;
		if (byte == '"' || byte == '\\')
			json_printf(out, "\\%c", byte);
		else
			json_printf(out, "\\u%04x", byte);
	}
	buffer_append(out, text + from, length - from);
	buffer_append(out, "\"", 1);
}
