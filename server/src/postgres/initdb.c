/*-------------------------------------------------------------------------
 *
 * initdb.c
 *	  The embedded PostgreSQL's data: made at the first start.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres/initdb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "postgres/program.h"
#include "postgres/settings.h"

/* What an attempt is called until it has succeeded. */
#define ATTEMPT "pgdata.new-"

/* Remove an attempt that a killed server left; one still at work is left to the next start. */
static bool
remove_attempt(void *owner, const char *name)
{
	const Directory *directory = owner;
	char log[DIRECTORY_PATH + 64];
	char path[DIRECTORY_PATH + 512];
	char problem[DIRECTORY_PROBLEM];
	char *arguments[] = {"/bin/rm", "-rf", path, NULL};

	if (strncmp(name, ATTEMPT, strlen(ATTEMPT)) != 0)
		return true;
	snprintf(log, sizeof log, "%s/initdb.log", directory->log);
	snprintf(path, sizeof path, "%s/%s", directory->root, name);
	program_run(arguments, log, problem, sizeof problem);
	return true;
}

/* Run initdb, and give its result the name when it is whole. */
static bool
make_data(const Directory *directory, const Config *config, char *problem)
{
	char initdb[2048];
	char attempt[DIRECTORY_PATH + 64];
	char log[DIRECTORY_PATH + 64];
	char *arguments[] = {initdb,
	                     "-D",
	                     attempt,
	                     "--username=" SERVER_ROLE,
	                     "--encoding=UTF8",
	                     "--locale=C.UTF-8",
	                     "--data-checksums",
	                     "--auth-local=peer",
	                     "--auth-host=reject",
	                     NULL};

	program_path(config->postgres_bin, "initdb", initdb, sizeof initdb);
	snprintf(log, sizeof log, "%s/initdb.log", directory->log);
	snprintf(attempt, sizeof attempt, "%s/" ATTEMPT "XXXXXX", directory->root);
	if (mkdtemp(attempt) != NULL)
	{
		if (!program_run(arguments, log, problem, DIRECTORY_PROBLEM) ||
		    !settings_write_first(attempt, problem))
			return false;
		if (rename(attempt, directory->pgdata) == 0)
			return true;
	}
	snprintf(problem, DIRECTORY_PROBLEM, "could not make \"%s\": %s", directory->pgdata,
	         strerror(errno));
	return false;
}

/* Is the data of the right major version? */
static bool
check_version(const Directory *directory, char *problem)
{
	char path[DIRECTORY_PATH + 64];
	char version[32];

	snprintf(path, sizeof path, "%s/PG_VERSION", directory->pgdata);
	directory_read_line(path, version, sizeof version);
	if (atoi(version) == POSTGRES_MAJOR)
		return true;
	snprintf(problem, DIRECTORY_PROBLEM, "\"%s\" was made by PostgreSQL %s, but %d is needed",
	         directory->pgdata, version[0] ? version : "?", POSTGRES_MAJOR);
	return false;
}

/* Make the data unless it is there, and write its configuration. */
bool
initdb_ensure(const Directory *directory, const Config *config, char problem[DIRECTORY_PROBLEM])
{
	struct stat status;

	directory_walk(directory->root, remove_attempt, (void *) directory);
	if (stat(directory->pgdata, &status) != 0 && !make_data(directory, config, problem))
		return false;
	return check_version(directory, problem) && settings_write(directory, config, problem);
}
