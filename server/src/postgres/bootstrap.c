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
	char *conninfo = conninfo_socket(directory->sockets, port, database);
	PGconn *connection = PQconnectdb(conninfo);
	PGresult *result;

	free(conninfo);
	if (PQstatus(connection) != CONNECTION_OK)
	{
		complain(PQerrorMessage(connection), problem);
		PQfinish(connection);
		return NULL;
	}
	result = PQexec(connection, "SET client_min_messages = warning");
	PQclear(result);
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

/* Make the database, which gets the extension from its template. */
static bool
ensure_database(PGconn *connection, char *problem)
{
	PGresult *result = query(
	    connection, "SELECT FROM pg_database WHERE datname = '" DEFAULT_DATABASE "'", problem);
	bool exists = PQntuples(result) > 0;

	PQclear(result);
	if (result == NULL || exists)
		return result != NULL;
	return run(connection, "CREATE DATABASE " DEFAULT_DATABASE, problem);
}

/*
 * Give the server's role, if it has no password yet, the one from the settings,
 * unreadable in any log.
 */
static bool
ensure_password(PGconn *connection, const char *password, char *problem)
{
	PGresult *result = query(
	    connection,
	    "SELECT FROM pg_authid WHERE rolname = '" SERVER_ROLE "' AND rolpassword IS NULL", problem);
	bool missing = PQntuples(result) > 0;
	char *secret;
	char *literal;
	char sql[1024];
	bool good = false;

	PQclear(result);
	if (result == NULL || !missing)
		return result != NULL;
	secret = PQencryptPasswordConn(connection, password, SERVER_ROLE, "scram-sha-256");
	literal = secret ? PQescapeLiteral(connection, secret, strlen(secret)) : NULL;
	if (literal == NULL)
		complain(PQerrorMessage(connection), problem);
	else
	{
		snprintf(sql, sizeof sql, "ALTER ROLE " SERVER_ROLE " PASSWORD %s", literal);
		good = run(connection, sql, problem);
	}
	PQfreemem(literal);
	PQfreemem(secret);
	return good;
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

	if (!run_in(directory, port, "template1", CREATE_EXTENSION, problem))
		return false;
	connection = open_database(directory, port, "postgres", problem);
	good = connection != NULL && run(connection, CREATE_EXTENSION, problem) &&
	       ensure_database(connection, problem) &&
	       (config->postgres_password == NULL ||
	        ensure_password(connection, config->postgres_password, problem)) &&
	       (!beyond_loopback || check_superusers(connection, problem));
	PQfinish(connection);
	return good && run_in(directory, port, DEFAULT_DATABASE, CREATE_EXTENSION, problem);
}
