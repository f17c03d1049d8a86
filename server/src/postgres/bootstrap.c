/*-------------------------------------------------------------------------
 *
 * bootstrap.c
 *	  What the embedded PostgreSQL must contain before the doors open.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres/bootstrap.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgres/conninfo.h"
#include "postgres/settings.h"
#include "session/server.h"

#define CREATE_EXTENSION "CREATE EXTENSION IF NOT EXISTS freshet"

/* The first line of what libpq complains about. */
static void
complain(const char *message, char *problem)
{
	snprintf(problem, DIRECTORY_PROBLEM, "PostgreSQL could not be prepared: %.*s",
	         (int) strcspn(message, "\n"), message);
}

/* Connect to a database as the server does. */
static PGconn *
open_database(const Directory *directory, int port, const char *database, char *problem)
{
	char *conninfo = conninfo_socket(directory->sockets, port, SERVER_ROLE, database);
	PGconn *connection = PQconnectdb(conninfo);

	free(conninfo);
	if (PQstatus(connection) != CONNECTION_OK)
	{
		complain(PQerrorMessage(connection), problem);
		PQfinish(connection);
		return NULL;
	}
	return connection;
}

/* Run a statement; NULL and a reason if it fails. */
static PGresult *
query(PGconn *connection, const char *sql, char *problem)
{
	PGresult *result = PQexec(connection, sql);

	if (PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK)
		return result;
	complain(PQresultErrorMessage(result), problem);
	PQclear(result);
	return NULL;
}

/* Run a statement that returns nothing of interest. */
static bool
run(PGconn *connection, const char *sql, char *problem)
{
	PGresult *result = query(connection, sql, problem);

	PQclear(result);
	return result != NULL;
}

/* Run one statement in a database. */
static bool
run_in(const Directory *directory, int port, const char *database, const char *sql, char *problem)
{
	PGconn *connection = open_database(directory, port, database, problem);
	bool good = connection != NULL && run(connection, sql, problem);

	PQfinish(connection);
	return good;
}

/* Make those of the trusted roles that there are not, for whoever comes from another server. */
static bool
make_trusted_roles(PGconn *connection, char *const *roles, char *problem)
{
	for (; *roles != NULL; roles++)
	{
		char *literal = PQescapeLiteral(connection, *roles, strlen(*roles));
		char *name = PQescapeIdentifier(connection, *roles, strlen(*roles));
		bool good = literal != NULL && name != NULL;
		char sql[1024];

		if (!good)
			complain(PQerrorMessage(connection), problem);
		else
		{
			snprintf(sql, sizeof sql,
			         "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = %s) "
			         "THEN CREATE ROLE %s SUPERUSER LOGIN; END IF; END $$",
			         literal, name);
			good = run(connection, sql, problem);
		}
		PQfreemem(literal);
		PQfreemem(name);
		if (!good)
			return false;
	}
	return true;
}

/* At the first start make the trusted roles and the database. */
static bool
ensure_database(PGconn *connection, const Config *config, char *problem)
{
	PGresult *result = query(
	    connection, "SELECT FROM pg_database WHERE datname = '" DEFAULT_DATABASE "'", problem);
	bool exists = PQntuples(result) > 0;

	PQclear(result);
	if (result == NULL || exists)
		return result != NULL;
	return make_trusted_roles(connection, config->trusted_role_list, problem) &&
	       run(connection, "CREATE DATABASE " DEFAULT_DATABASE, problem);
}

/*
 * Give a role, if there is one without a password, the one from the settings,
 * unreadable in any log.
 */
static bool
ensure_password(PGconn *connection, const char *role, const char *password, char *problem)
{
	const char *parameter = role;
	PGresult *result =
	    PQexecParams(connection, "SELECT FROM pg_authid WHERE rolname = $1 AND rolpassword IS NULL",
	                 1, NULL, &parameter, NULL, NULL, 0);
	bool known = PQresultStatus(result) == PGRES_TUPLES_OK;
	bool missing = PQntuples(result) > 0;
	char *secret;
	char *literal;
	char *name;
	char sql[1024];
	bool good = false;

	if (!known)
		complain(PQresultErrorMessage(result), problem);
	PQclear(result);
	if (!known || !missing)
		return known;
	secret = PQencryptPasswordConn(connection, password, role, "scram-sha-256");
	literal = secret ? PQescapeLiteral(connection, secret, strlen(secret)) : NULL;
	name = PQescapeIdentifier(connection, role, strlen(role));
	if (literal == NULL || name == NULL)
		complain(PQerrorMessage(connection), problem);
	else
	{
		snprintf(sql, sizeof sql, "ALTER ROLE %s PASSWORD %s", name, literal);
		good = run(connection, sql, problem);
	}
	PQfreemem(name);
	PQfreemem(literal);
	PQfreemem(secret);
	return good;
}

/* The server's role and the trusted ones may be asked for their password. */
static bool
ensure_passwords(PGconn *connection, const Config *config, char *problem)
{
	char *const *role;

	if (config->postgres_password == NULL)
		return true;
	if (!ensure_password(connection, SERVER_ROLE, config->postgres_password, problem))
		return false;
	for (role = config->trusted_role_list; *role != NULL; role++)
		if (!ensure_password(connection, *role, config->postgres_password, problem))
			return false;
	return true;
}

/* Nobody may reach a superuser without a password from another machine. */
static bool
check_superusers(PGconn *connection, char *problem)
{
	PGresult *result = query(connection,
	                         "SELECT string_agg(rolname, ', ' ORDER BY rolname) FROM pg_authid "
	                         "WHERE rolsuper AND rolcanlogin AND rolpassword IS NULL",
	                         problem);
	bool good = result != NULL && PQgetisnull(result, 0, 0);

	if (result != NULL && !good)
		snprintf(problem, DIRECTORY_PROBLEM,
		         "will not listen beyond this machine while a superuser has no password: %s "
		         "(set one from this machine, or postgres_password in freshet.conf)",
		         PQgetvalue(result, 0, 0));
	PQclear(result);
	return good;
}

/* Do all of it. */
bool
bootstrap(const Directory *directory, int port, const Config *config, bool beyond_loopback,
          char problem[DIRECTORY_PROBLEM])
{
	PGconn *connection;
	bool good;

	connection = open_database(directory, port, "postgres", problem);
	good = connection != NULL && ensure_database(connection, config, problem) &&
	       ensure_passwords(connection, config, problem) &&
	       (!beyond_loopback || check_superusers(connection, problem));
	PQfinish(connection);
	return good && run_in(directory, port, DEFAULT_DATABASE, CREATE_EXTENSION, problem);
}

/* See bootstrap.h. */
bool
bootstrap_catalog(const Directory *directory, int port, const char *sql,
                  char problem[DIRECTORY_PROBLEM])
{
	return run_in(directory, port, DEFAULT_DATABASE, sql, problem);
}
