/*-------------------------------------------------------------------------
 *
 * log.c
 *	  One line for whoever runs the server.
 *
 *-------------------------------------------------------------------------
 */
#include "main/log.h"

#include <stdarg.h>
#include <stdio.h>

/* One line, in one write, so that lines of several processes do not mix. */
void
log_line(const char *format, ...)
{
	char text[2048];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	fprintf(stderr, "freshet: %s\n", text);
}
