/*-------------------------------------------------------------------------
 *
 * directory.c
 *	  The data directory: what is where, whose it is, and that one server at a
 *	  time serves it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "postgres/owner.h"

/* The layout described in directory.h. */
#define LAYOUT "1"

/* The longest name of PostgreSQL's socket in its directory. */
#define SOCKET_NAME "/.s.PGSQL.65535"

/* Says that a directory is ours. */
#define VERSION_FILE "freshet.version"

/* What a file is called behind its name while it is being written. */
#define DIRECTORY_WRITING ".new"

/* Who the server is to be when it is started by root. */
#define DEFAULT_USER "postgres"
#define FALLBACK_USER "nobody"

static uid_t new_owner;
static gid_t new_group;

/* Fill in the paths below the root. */
static void
set_paths(Directory *directory)
{
	const char *root = directory->root;

	snprintf(directory->pgdata, sizeof directory->pgdata, "%s/pgdata", root);
	snprintf(directory->sockets, sizeof directory->sockets, "%s/run", root);
	snprintf(directory->stages, sizeof directory->stages, "%s/stages", root);
	snprintf(directory->log, sizeof directory->log, "%s/log", root);
	snprintf(directory->certificate, sizeof directory->certificate, "%s/tls/server.crt", root);
	snprintf(directory->key, sizeof directory->key, "%s/tls/server.key", root);
	snprintf(directory->authority, sizeof directory->authority, "%s/tls/ca.crt", root);
	snprintf(directory->authority_key, sizeof directory->authority_key, "%s/tls/ca.key", root);
	snprintf(directory->status, sizeof directory->status, "%s/status", root);
}

/* The absolute name of an existing directory. */
static bool
set_root(Directory *directory, const char *path, char *problem)
{
	char resolved[PATH_MAX];

	directory->lock = -1;
	if (realpath(path, resolved) == NULL)
	{
		snprintf(problem, DIRECTORY_PROBLEM, "data directory \"%s\": %s", path, strerror(errno));
		return false;
	}
	if (strlen(resolved) >= sizeof directory->root)
	{
		snprintf(problem, DIRECTORY_PROBLEM, "data directory's path is too long");
		return false;
	}
	memcpy(directory->root, resolved, strlen(resolved) + 1);
	set_paths(directory);
	return true;
}

/* Look at what is in a directory. */
bool
directory_walk(const char *path, bool (*visit)(void *owner, const char *name), void *owner)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool whole = dir != NULL;

	while (whole && (entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			whole = visit(owner, entry->d_name);
	if (dir != NULL)
		closedir(dir);
	return whole;
}

/* May a user put this there beforehand, or a server killed at its first start leave it? */
static bool
counts_as_empty(void *owner, const char *name)
{
	static const char *const names[] = {"freshet.conf", "lost+found", "lock",
	                                    VERSION_FILE DIRECTORY_WRITING};
	size_t i;

	(void) owner;
	for (i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Is the directory ours, or as good as empty? */
static bool
is_ours_or_empty(const Directory *directory, bool *ours, char *problem)
{
	char path[DIRECTORY_PATH + 32];

	if (access(directory->root, R_OK | X_OK) != 0)
	{
		snprintf(problem, DIRECTORY_PROBLEM, "data directory \"%s\": %s", directory->root,
		         strerror(errno));
		return false;
	}
	snprintf(path, sizeof path, "%s/" VERSION_FILE, directory->root);
	*ours = access(path, F_OK) == 0;
	if (*ours || directory_walk(directory->root, counts_as_empty, NULL))
		return true;
	snprintf(problem, DIRECTORY_PROBLEM,
	         "data directory \"%s\" is not empty and was not made by freshet", directory->root);
	return false;
}

/* See directory.h. */
void
directory_read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");

	if (file == NULL || fgets(line, (int) size, file) == NULL)
		line[0] = '\0';
	if (file != NULL)
		fclose(file);
	line[strcspn(line, "\n")] = '\0';
}

/* Does the directory have the layout this program knows? */
static bool
has_our_layout(const Directory *directory, char *problem)
{
	char path[DIRECTORY_PATH + 32];
	char layout[64];

	snprintf(path, sizeof path, "%s/" VERSION_FILE, directory->root);
	directory_read_line(path, layout, sizeof layout);
	if (strcmp(layout, LAYOUT) == 0)
		return true;
	snprintf(problem, DIRECTORY_PROBLEM,
	         "data directory \"%s\" was made by another version of freshet", directory->root);
	return false;
}

/* Take the lock, or say who has it. */
static bool
take_lock(Directory *directory, char *problem)
{
	char path[DIRECTORY_PATH + 32];
	char text[32] = "";

	snprintf(path, sizeof path, "%s/lock", directory->root);
	directory->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (directory->lock < 0)
	{
		snprintf(problem, DIRECTORY_PROBLEM, "could not open \"%s\": %s", path, strerror(errno));
		return false;
	}
	if (flock(directory->lock, LOCK_EX | LOCK_NB) != 0)
	{
		ssize_t count = read(directory->lock, text, sizeof text - 1);

		text[count > 0 ? strcspn(text, "\n") : 0] = '\0';
		snprintf(problem, DIRECTORY_PROBLEM,
		         "data directory \"%s\" is already served by process %s", directory->root, text);
		return false;
	}
	snprintf(text, sizeof text, "%d\n", (int) getpid());
	if (ftruncate(directory->lock, 0) != 0 ||
	    pwrite(directory->lock, text, strlen(text), 0) != (ssize_t) strlen(text))
	{
		snprintf(problem, DIRECTORY_PROBLEM, "could not write \"%s\": %s", path, strerror(errno));
		return false;
	}
	return true;
}

/* Give one file to the new owner. */
static int
give_file(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void) status;
	(void) kind;
	(void) place;
	return lchown(path, new_owner, new_group);
}

/* Root does not serve: the directory gets another owner, and so does the process. */
static bool
leave_root(const Directory *directory, const char *user, char *problem)
{
	const struct passwd *account = user != NULL ? getpwnam(user) : getpwnam(DEFAULT_USER);
	struct stat status;

	if (account == NULL && user == NULL)
		account = getpwnam(FALLBACK_USER);
	if (account == NULL || account->pw_uid == 0)
	{
		snprintf(problem, DIRECTORY_PROBLEM, "cannot become user \"%s\": %s",
		         user ? user : DEFAULT_USER,
		         account ? "PostgreSQL refuses to run as root" : "there is no such user");
		return false;
	}
	new_owner = account->pw_uid;
	new_group = account->pw_gid;
	if (stat(directory->root, &status) == 0 && status.st_uid != new_owner &&
	    nftw(directory->root, give_file, 16, FTW_PHYS | FTW_MOUNT) != 0)
	{
		snprintf(problem, DIRECTORY_PROBLEM, "could not give \"%s\" to user \"%s\": %s",
		         directory->root, account->pw_name, strerror(errno));
		return false;
	}
	if (fchown(directory->lock, new_owner, new_group) != 0 || !owner_become(account))
	{
		snprintf(problem, DIRECTORY_PROBLEM, "could not become user \"%s\": %s", account->pw_name,
		         strerror(errno));
		return false;
	}
	setenv("HOME", directory->root, 1);
	return true;
}

/* A directory for the server only; that it was there already is fine. */
static bool
make_directory(const char *path, mode_t mode)
{
	return (mkdir(path, mode) == 0 || errno == EEXIST) && chmod(path, mode) == 0;
}

/* A directory in /tmp for sockets, as recorded last time or a new one. */
static bool
choose_short_sockets(Directory *directory)
{
	char path[DIRECTORY_PATH + 32];
	char recorded[128];
	char made[] = "/tmp/freshet-XXXXXX";
	struct stat status;

	snprintf(path, sizeof path, "%s/socket_directory", directory->root);
	directory_read_line(path, recorded, sizeof recorded);
	if (strncmp(recorded, "/tmp/freshet-", 13) == 0 && lstat(recorded, &status) == 0 &&
	    S_ISDIR(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & 077) == 0)
	{
		snprintf(directory->sockets, sizeof directory->sockets, "%s", recorded);
		return true;
	}
	if (mkdtemp(made) == NULL)
		return false;
	snprintf(directory->sockets, sizeof directory->sockets, "%s", made);
	return directory_write(path, 0644, made);
}

/* The directories inside. */
static bool
make_inside(Directory *directory, char *problem)
{
	char path[DIRECTORY_PATH + 32];
	bool made;

	snprintf(path, sizeof path, "%s/tls", directory->root);
	made = make_directory(path, 0755) && make_directory(directory->log, 0700) &&
	       make_directory(directory->sockets, 0700);
	if (made && strlen(directory->sockets) + sizeof SOCKET_NAME >
	                sizeof((struct sockaddr_un *) NULL)->sun_path)
		made = choose_short_sockets(directory);
	if (!made)
		snprintf(problem, DIRECTORY_PROBLEM, "could not write in \"%s\": %s", directory->root,
		         strerror(errno));
	return made;
}

/*
 * Make the directory if it is not there, lock it, become `user` (NULL for the
 * default) if root, and see to what belongs inside. On failure `problem` says why.
 */
bool
directory_open(Directory *directory, const char *path, const char *user,
               char problem[DIRECTORY_PROBLEM])
{
	char version[DIRECTORY_PATH + 32];
	bool ours;

	memset(directory, 0, sizeof *directory);
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
	{
		snprintf(problem, DIRECTORY_PROBLEM, "could not make data directory \"%s\": %s", path,
		         strerror(errno));
		return false;
	}
	if (!set_root(directory, path, problem) || !is_ours_or_empty(directory, &ours, problem))
		return false;
	if (!take_lock(directory, problem))
		return false;
	if (geteuid() == 0 && !leave_root(directory, user, problem))
		return false;
	if (access(directory->root, R_OK | W_OK | X_OK) != 0)
	{
		snprintf(problem, DIRECTORY_PROBLEM, "data directory \"%s\" is out of reach: %s",
		         directory->root, strerror(errno));
		return false;
	}
	snprintf(version, sizeof version, "%s/" VERSION_FILE, directory->root);
	if (!ours && !directory_write(version, 0644, LAYOUT "\n"))
	{
		snprintf(problem, DIRECTORY_PROBLEM, "could not write \"%s\": %s", version,
		         strerror(errno));
		return false;
	}
	unlink(directory->status);
	return has_our_layout(directory, problem) && make_inside(directory, problem);
}

/* Look at a directory that may be served; `server` becomes the server's process or 0. */
bool
directory_look(Directory *directory, const char *path, int *server, char problem[DIRECTORY_PROBLEM])
{
	char lock[DIRECTORY_PATH + 32];
	char text[32] = "";
	bool ours;
	int fd;

	memset(directory, 0, sizeof *directory);
	*server = 0;
	if (!set_root(directory, path, problem) || !is_ours_or_empty(directory, &ours, problem))
		return false;
	snprintf(lock, sizeof lock, "%s/lock", directory->root);
	fd = open(lock, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	if (flock(fd, LOCK_SH | LOCK_NB) != 0 && read(fd, text, sizeof text - 1) > 0)
		*server = atoi(text);
	close(fd);
	return true;
}

/* The server has ended. */
void
directory_close(Directory *directory)
{
	unlink(directory->status);
	if (strncmp(directory->sockets, directory->root, strlen(directory->root)) != 0)
		rmdir(directory->sockets);
	if (directory->lock >= 0)
		close(directory->lock);
	directory->lock = -1;
}

/* Write a small file so that it is there whole or not at all. */
bool
directory_write(const char *path, unsigned mode, const char *text)
{
	char temporary[DIRECTORY_PATH + 64];
	size_t length = strlen(text);
	bool good;
	int fd;

	snprintf(temporary, sizeof temporary, "%s" DIRECTORY_WRITING, path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t) mode);
	if (fd < 0)
		return false;
	good = write(fd, text, length) == (ssize_t) length && fsync(fd) == 0;
	good = close(fd) == 0 && good;
	return good && rename(temporary, path) == 0;
}
