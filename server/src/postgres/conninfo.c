/*-------------------------------------------------------------------------
 *
 * conninfo.c
 *	  Connection strings for libpq.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres/conninfo.h"

#include <stdio.h>

/* Add name='value'; the string is not terminated. */
void
conninfo_add(Buffer *conninfo, const char *name, const char *value)
{
	if (conninfo->length > 0)
		buffer_append(conninfo, " ", 1);
	for (; *name != '\0'; name++)
		buffer_append(conninfo, name, 1);
	buffer_append(conninfo, "='", 2);
	for (; *value != '\0'; value++)
	{
		if (*value == '\'' || *value == '\\')
			buffer_append(conninfo, "\\", 1);
		buffer_append(conninfo, value, 1);
	}
	buffer_append(conninfo, "'", 1);
}

/* The superuser's way into a database through the socket; the caller frees it. */
char *
conninfo_socket(const char *directory, int port, const char *database)
{
	Buffer conninfo = {0};
	char number[16];

	snprintf(number, sizeof number, "%d", port);
	conninfo_add(&conninfo, "host", directory);
	conninfo_add(&conninfo, "port", number);
	conninfo_add(&conninfo, "user", "postgres");
	conninfo_add(&conninfo, "dbname", database);
	conninfo_add(&conninfo, "application_name", "freshet");
	conninfo_add(&conninfo, "connect_timeout", "10");
	buffer_append(&conninfo, "", 1);
	return conninfo.memory;
}
