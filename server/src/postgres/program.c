/*-------------------------------------------------------------------------
 *
 * program.c
 *	  PostgreSQL's programs: where they are, and running one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* How much of the end of a log is searched. */
#define TAIL_SIZE 16384

/* The absolute name of a program's file. */
void
program_path(const char *bin, const char *name, char *path, size_t size)
{
	char here[PATH_MAX] = "";

	if (bin[0] != '/' && getcwd(here, sizeof here) == NULL)
		here[0] = '\0';
	snprintf(path, size, "%s%s%s/%s", here, here[0] != '\0' ? "/" : "", bin, name);
}

/* PostgreSQL's version as `postgres --version` says it, checked. */
bool
program_version(const char *bin, char *version, size_t size, char *problem, size_t problem_size)
{
	static const char *const needed[] = {"postgres", "initdb"};
	char path[2048];
	char command[2100];
	char line[256] = "";
	FILE *output;
	size_t i;

	for (i = 0; i < sizeof needed / sizeof needed[0]; i++)
	{
		program_path(bin, needed[i], path, sizeof path);
		if (access(path, X_OK) != 0)
		{
			snprintf(problem, problem_size,
			         "PostgreSQL %d was not found: \"%s\": %s (set --postgres-bin)", POSTGRES_MAJOR,
			         path, strerror(errno));
			return false;
		}
	}
	program_path(bin, "postgres", path, sizeof path);
	snprintf(command, sizeof command, "cd / && '%s' --version", path);
	output = strchr(path, '\'') == NULL ? popen(command, "re") : NULL;
	if (output != NULL)
	{
		if (fgets(line, sizeof line, output) == NULL)
			line[0] = '\0';
		pclose(output);
	}
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "postgres (PostgreSQL) ", 22) != 0)
	{
		snprintf(problem, problem_size, "\"%s\" does not run", path);
		return false;
	}
	snprintf(version, size, "%s", line + 22);
	version[strcspn(version, " ")] = '\0';
	if (atoi(version) != POSTGRES_MAJOR)
	{
		snprintf(problem, problem_size, "\"%s\" is PostgreSQL %s, but %d is needed", path, version,
		         POSTGRES_MAJOR);
		return false;
	}
	return true;
}

/*
 * Start a program in a session of its own, its output appended to a file. It
 * gets `death_signal`, unless that is 0, when this process dies. It runs in "/":
 * where the server was started, root's home say, PostgreSQL's owner may not be
 * let in, and PostgreSQL's programs complain about such a directory.
 */
pid_t
program_start(char *const *arguments, const char *output, int death_signal)
{
	pid_t parent = getpid();
	sigset_t none;
	pid_t child = fork();
	int fd;

	if (child != 0)
		return child;
	if (death_signal != 0)
	{
		prctl(PR_SET_PDEATHSIG, death_signal);
		if (getppid() != parent)
			_exit(1);
	}
	setsid();
	if (chdir("/") != 0)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	fd = open("/dev/null", O_RDONLY);
	if (fd >= 0)
		dup2(fd, STDIN_FILENO);
	fd = open(output, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd >= 0)
	{
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
	execv(arguments[0], arguments);
	dprintf(STDERR_FILENO, "FATAL:  could not run \"%s\": %s\n", arguments[0], strerror(errno));
	_exit(127);
}

/* Run a program to its end; false, with its last words, if it fails. */
bool
program_run(char *const *arguments, const char *output, char *problem, size_t problem_size)
{
	pid_t child = program_start(arguments, output, SIGTERM);
	char line[512];
	int status;

	if (child < 0)
	{
		snprintf(problem, problem_size, "could not run \"%s\": %s", arguments[0], strerror(errno));
		return false;
	}
	while (waitpid(child, &status, 0) < 0)
	{
		if (errno != EINTR)
			return false;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (!program_last_line(output, "error:", line, sizeof line) &&
	    !program_last_line(output, "FATAL:", line, sizeof line))
		snprintf(line, sizeof line, "see \"%s\"", output);
	snprintf(problem, problem_size, "\"%s\" failed: %s", arguments[0], line);
	return false;
}

/* The last line of a file with this mark, from the mark's end on. */
bool
program_last_line(const char *file, const char *mark, char *line, size_t size)
{
	char tail[TAIL_SIZE + 1];
	struct stat status;
	const char *found = NULL;
	const char *next = tail;
	ssize_t count;
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (fstat(fd, &status) != 0)
		status.st_size = 0;
	count = pread(fd, tail, TAIL_SIZE, status.st_size > TAIL_SIZE ? status.st_size - TAIL_SIZE : 0);
	close(fd);
	if (count <= 0)
		return false;
	tail[count] = '\0';
	while ((next = strstr(next, mark)) != NULL)
	{
		next += strlen(mark);
		found = next;
	}
	if (found == NULL)
		return false;
	found += strspn(found, " ");
	snprintf(line, size, "%.*s", (int) strcspn(found, "\n"), found);
	return true;
}
