/*-------------------------------------------------------------------------
 *
 * json.c
 *	  See json.h.
 *
 *-------------------------------------------------------------------------
 */
#include "http/json.h"

#include <string.h>

void
json_raw(Buffer *out, const char *json)
{
	buffer_append(out, json, strlen(json));
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
			buffer_printf(out, "\\%c", byte);
		else
			buffer_printf(out, "\\u%04x", byte);
	}
	buffer_append(out, text + from, length - from);
	buffer_append(out, "\"", 1);
}
