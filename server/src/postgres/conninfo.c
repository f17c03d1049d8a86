/*-------------------------------------------------------------------------
 *
 * conninfo.c
 *	  Connection strings for libpq.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres/conninfo.h"

#include <stdio.h>

/* Of equal names the last counts; `role` is among them because a database can have one. */
const char conninfo_pinned[] = "-c role=none"
                               " -c search_path=pg_catalog,pg_temp"
                               " -c client_encoding=UTF8"
                               " -c standard_conforming_strings=on"
                               " -c backslash_quote=safe_encoding"
                               " -c transform_null_equals=off"
                               " -c array_nulls=on"
                               " -c row_security=on"
                               " -c check_function_bodies=on"
                               " -c default_tablespace="
                               " -c temp_tablespaces="
                               " -c default_table_access_method=heap"
                               " -c default_transaction_isolation=read\\ committed"
                               " -c default_transaction_read_only=off"
                               " -c default_transaction_deferrable=off"
                               " -c statement_timeout=0"
                               " -c lock_timeout=0"
                               " -c idle_in_transaction_session_timeout=0"
                               " -c idle_session_timeout=0"
                               " -c client_connection_check_interval=1000"
                               " -c client_min_messages=warning"
                               " -c exit_on_error=off"
                               " -c bytea_output=hex"
                               " -c DateStyle=ISO"
                               " -c IntervalStyle=postgres"
                               " -c TimeZone=UTC";

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

/* A role's way into a database through the socket, for the server itself; the caller frees it. */
char *
conninfo_socket(const char *directory, int port, const char *user, const char *database)
{
	Buffer conninfo = {0};
	char number[16];

	snprintf(number, sizeof number, "%d", port);
	conninfo_add(&conninfo, "host", directory);
	conninfo_add(&conninfo, "port", number);
	conninfo_add(&conninfo, "user", user);
	conninfo_add(&conninfo, "dbname", database);
	conninfo_add(&conninfo, "application_name", "freshet");
	conninfo_add(&conninfo, "connect_timeout", "10");
	conninfo_add(&conninfo, "options", conninfo_pinned);
	buffer_append(&conninfo, "", 1);
	return conninfo.memory;
}
