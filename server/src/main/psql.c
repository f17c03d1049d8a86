/*-------------------------------------------------------------------------
 *
 * psql.c
 *	  `freshet psql`: PostgreSQL's own, connected as the superuser.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "main/commands.h"
#include "main/log.h"
#include "main/status.h"
#include "postgres/program.h"
#include "postgres/settings.h"

/*
 * Where psql connects unless told otherwise is said in its environment, so
 * that all its arguments, also a bare name of a database, mean what they always mean.
 */
static bool
set_environment(const Directory *directory)
{
	char sockets[DIRECTORY_PATH];
	char port[32];

	if (!status_value(directory, "socket_directory", sockets, sizeof sockets) ||
	    !status_value(directory, "socket_port", port, sizeof port))
		return false;
	setenv("PGHOST", sockets, 1);
	setenv("PGPORT", port, 1);
	setenv("PGUSER", SERVER_ROLE, 1);
	setenv("PGDATABASE", DEFAULT_DATABASE, 1);
	return true;
}

/* Become psql. */
int
command_psql(const Config *config, int argument_count, char **arguments)
{
	char problem[DIRECTORY_PROBLEM];
	char program[2048];
	char **words = calloc((size_t) argument_count + 4, sizeof *words);
	int count = 0;
	Directory directory;
	int server;
	int i;

	if (words == NULL)
		abort();
	if (!directory_look(&directory, config->data, &server, problem))
	{
		log_line("%s", problem);
		free(words);
		return 1;
	}
	program_path(config->postgres_bin, "psql", program, sizeof program);
	words[count++] = program;
	if (config->postgres != NULL)
	{
		words[count++] = "-d";
		words[count++] = config->postgres;
	}
	else if (server == 0 || !set_environment(&directory))
	{
		log_line("no server is running on \"%s\"", directory.root);
		free(words);
		return 1;
	}
	for (i = 0; i < argument_count; i++)
		words[count++] = arguments[i];
	execv(program, words);
	log_line("could not run \"%s\": %s", program, strerror(errno));
	return 1;
}
