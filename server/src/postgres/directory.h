/*-------------------------------------------------------------------------
 *
 * directory.h
 *	  The data directory: what is where, whose it is, and that one server at a
 *	  time serves it.
 *
 *	DIR/freshet.conf	settings; the user's
 *	DIR/freshet.version	says that the directory is ours, and its layout
 *	DIR/lock			held with flock while a server runs; its process number
 *	DIR/status			what `freshet status` and `freshet psql` want to know
 *	DIR/pgdata			PostgreSQL's
 *	DIR/run				PostgreSQL's socket (mode 0700)
 *	DIR/log				PostgreSQL's log (mode 0700)
 *	DIR/stages			files that Databend's clients have uploaded (mode 0700)
 *	DIR/tls				certificate and key, and those of its authority
 *
 * Invariants:
 *	- Nothing is changed in a directory that is not empty and not ours.
 *	- The lock is not inherited by children, so it ends with the server, in
 *	  whatever way that ends.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_DIRECTORY_H
#define FRESHET_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>

#define DIRECTORY_PATH 1024
#define DIRECTORY_PROBLEM (DIRECTORY_PATH + 512)

typedef struct Directory
{
	char root[DIRECTORY_PATH];
	char pgdata[DIRECTORY_PATH + 32];
	char sockets[DIRECTORY_PATH + 32];
	char log[DIRECTORY_PATH + 32];
	char certificate[DIRECTORY_PATH + 32];
	char key[DIRECTORY_PATH + 32];
	char authority[DIRECTORY_PATH + 32];
	char authority_key[DIRECTORY_PATH + 32];
	char status[DIRECTORY_PATH + 32];
	char stages[DIRECTORY_PATH + 32];
	int lock;
} Directory;

extern bool directory_open(Directory *directory, const char *path, const char *user,
                           char problem[DIRECTORY_PROBLEM]);
extern bool directory_look(Directory *directory, const char *path, int *server,
                           char problem[DIRECTORY_PROBLEM]);
extern void directory_close(Directory *directory);
/* Call `visit` for each entry until it says false; false if that happened or nothing can be read. */
extern bool
directory_walk(const char *path, bool (*visit)(void *owner, const char *name), void *owner);

extern bool directory_write(const char *path, unsigned mode, const char *text);
/* The first line of a file, without its end; empty if there is none. */
extern void directory_read_line(const char *path, char *line, size_t size);

#endif /* FRESHET_DIRECTORY_H */
