/*-------------------------------------------------------------------------
 *
 * external.c
 *	  A PostgreSQL that is there already.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres/external.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgres/conninfo.h"

/* Connect once to learn where it is and what it is; blocks. */
bool
external_find(const char *conninfo, Address *address, char *version, size_t version_size,
              char *problem, size_t problem_size)
{
	PGconn *connection = PQconnectdb(conninfo);
	const char *message = PQerrorMessage(connection);
	const char *host = PQhost(connection);
	int port;
	bool good = false;

	if (PQstatus(connection) != CONNECTION_OK)
		snprintf(problem, problem_size, "could not connect to PostgreSQL: %.*s",
		         (int) strcspn(message, "\n"), message);
	else
	{
		const char *why = "path of its socket is too long";

		port = atoi(PQport(connection));
		snprintf(version, version_size, "%s", PQparameterStatus(connection, "server_version"));
		version[strcspn(version, " ")] = '\0';
		if (host[0] == '/')
			good = address_unix(address, host, port);
		else
			good = address_tcp(address, *PQhostaddr(connection) ? PQhostaddr(connection) : host,
			                   port, &why);
		if (!good)
			snprintf(problem, problem_size, "could not find PostgreSQL at \"%s\": %s", host, why);
	}
	PQfinish(connection);
	return good;
}

/* The same connection string for another database; NULL keeps the one it names. */
char *
external_conninfo(const char *conninfo, const char *database)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	PQconninfoOption *option;
	Buffer result = {0};

	for (option = options; option != NULL && option->keyword != NULL; option++)
		if (option->val != NULL && (database == NULL || strcmp(option->keyword, "dbname") != 0))
			conninfo_add(&result, option->keyword, option->val);
	if (database != NULL)
		conninfo_add(&result, "dbname", database);
	buffer_append(&result, "", 1);
	PQconninfoFree(options);
	return result.memory;
}
