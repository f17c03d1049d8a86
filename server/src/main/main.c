/*-------------------------------------------------------------------------
 *
 * main.c
 *	  freshet: from the command line to a command.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "main/commands.h"
#include "main/log.h"

#define FRESHET_VERSION "0.1"

/* How it is used. */
static void
print_help(void)
{
	printf("freshet: PostgreSQL whose materialized views are always fresh\n\n"
	       "  freshet serve --data DIR [OPTIONS]   serve DIR until told to stop\n"
	       "  freshet status --data DIR            say whether DIR is served, and how\n"
	       "  freshet psql --data DIR [ARGUMENTS]  run psql on it\n\n"
	       "Options, also FRESHET_NAME in the environment and name = value in DIR/freshet.conf:\n");
	config_print_help();
}

/* Find the command, and run it. */
int
main(int argument_count, char **arguments)
{
	const char *command = argument_count > 1 ? arguments[1] : "--help";
	bool is_psql = strcmp(command, "psql") == 0;
	char problem[CONFIG_PROBLEM];
	Config config;
	int status;
	int rest;

	if (strcmp(command, "--help") == 0 || strcmp(command, "help") == 0 ||
	    (!is_psql && argument_count > 2 && strcmp(arguments[2], "--help") == 0))
	{
		print_help();
		return argument_count > 1 ? 0 : 1;
	}
	if (strcmp(command, "--version") == 0)
	{
		printf("freshet %s\n", FRESHET_VERSION);
		return 0;
	}
	if (!is_psql && strcmp(command, "serve") != 0 && strcmp(command, "status") != 0)
	{
		log_line("unknown command \"%s\" (see freshet --help)", command);
		return 1;
	}
	if (!config_read(&config, argument_count - 2, arguments + 2, is_psql, &rest, problem))
	{
		log_line("%s", problem);
		return 1;
	}
	if (is_psql)
		status = command_psql(&config, argument_count - 2 - rest, arguments + 2 + rest);
	else if (rest < argument_count - 2)
	{
		log_line("unexpected argument \"%s\"", arguments[2 + rest]);
		status = 1;
	}
	else if (strcmp(command, "serve") == 0)
		status = command_serve(&config);
	else
		status = command_status(&config);
	config_free(&config);
	return status;
}
