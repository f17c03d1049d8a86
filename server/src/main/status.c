/*-------------------------------------------------------------------------
 *
 * status.c
 *	  `freshet status`, and the file it reads.
 *
 *-------------------------------------------------------------------------
 */
#include "main/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "main/commands.h"
#include "main/log.h"

/* The server is ready: say how to reach it. */
bool
status_write(const Directory *directory, const Config *config, const char *version, int socket_port)
{
	char text[DIRECTORY_PATH + 1024];

	snprintf(text, sizeof text,
	         "postgres_version = %s\n"
	         "listen = %.256s\n"
	         "postgres_port = %d\n"
	         "materialize_port = %d\n"
	         "cratedb_port = %d\n"
	         "native_port = %d\n"
	         "socket_directory = %s\n"
	         "socket_port = %d\n",
	         version, config->listen, config->postgres_port, config->materialize_port,
	         config->cratedb_port, config->postgres ? 0 : config->native_port,
	         config->postgres ? "" : directory->sockets, socket_port);
	return directory_write(directory->status, 0644, text);
}

/* One value of the file; false if there is none. */
bool
status_value(const Directory *directory, const char *name, char *value, size_t size)
{
	char line[DIRECTORY_PATH + 128];
	bool found = false;
	FILE *file = fopen(directory->status, "re");

	if (file == NULL)
		return false;
	while (!found && fgets(line, sizeof line, file) != NULL)
	{
		char *equals = strstr(line, " = ");

		if (equals == NULL)
			continue;
		*equals = '\0';
		if (strcmp(line, name) == 0)
		{
			snprintf(value, size, "%s", equals + 3);
			value[strcspn(value, "\n")] = '\0';
			found = true;
		}
	}
	fclose(file);
	return found;
}

/* Print one door if it is open. */
static void
print_door(const Directory *directory, const char *title, const char *setting, const char *listen)
{
	char port[32];

	if (status_value(directory, setting, port, sizeof port) && strcmp(port, "0") != 0)
		printf("  %-12s %s port %s\n", title, listen, port);
}

/* Say whether the directory is served, by whom, and at which doors. */
int
command_status(const Config *config)
{
	char problem[DIRECTORY_PROBLEM];
	char version[64];
	char listen[300];
	Directory directory;
	int server;

	if (!directory_look(&directory, config->data, &server, problem))
	{
		log_line("%s", problem);
		return 1;
	}
	if (server == 0)
	{
		printf("not running\n");
		return 1;
	}
	if (!status_value(&directory, "postgres_version", version, sizeof version) ||
	    !status_value(&directory, "listen", listen, sizeof listen))
	{
		printf("starting or stopping, process %d\n", server);
		return 1;
	}
	printf("running, process %d\nPostgreSQL %s\ndoors:\n", server, version);
	print_door(&directory, "postgres", "postgres_port", listen);
	print_door(&directory, "materialize", "materialize_port", listen);
	print_door(&directory, "cratedb", "cratedb_port", listen);
	print_door(&directory, "native", "native_port", listen);
	return 0;
}
