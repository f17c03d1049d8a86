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

/*
 * A connection of the server's own by the same connection string to another database,
 * as another user unless that is NULL. A password in it is its own user's alone.
 */
char *
external_conninfo(const char *conninfo, const char *user, const char *database)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	PQconninfoOption *option;
	const char *theirs = "";
	Buffer settings = {0};
	Buffer result = {0};

	for (option = options; option != NULL && option->keyword != NULL; option++)
	{
		bool others = user != NULL && (strcmp(option->keyword, "user") == 0 ||
		                               strcmp(option->keyword, "password") == 0);

		if (option->val == NULL || others || strcmp(option->keyword, "dbname") == 0)
			continue;
		if (strcmp(option->keyword, "options") == 0)
			theirs = option->val;
		else
			conninfo_add(&result, option->keyword, option->val);
	}
	if (user != NULL)
		conninfo_add(&result, "user", user);
	conninfo_add(&result, "dbname", database);
	buffer_append(&settings, theirs, strlen(theirs));
	buffer_append(&settings, " ", 1);
	buffer_append(&settings, conninfo_pinned, strlen(conninfo_pinned) + 1);
	conninfo_add(&result, "options", buffer_data(&settings));
	buffer_free(&settings);
	buffer_append(&result, "", 1);
	PQconninfoFree(options);
	return result.memory;
}
