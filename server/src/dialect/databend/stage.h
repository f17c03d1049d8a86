/*-------------------------------------------------------------------------
 *
 * stage.h
 *	  A user's stage, @~: a directory of files, and tokens to put one there.
 *
 * Invariants:
 *	- A file's name is its path in the stage, percent-encoded as a whole: no path leads out of the
 *	  directory, which has the user's name in hexadecimal digits.
 *	- A file is there when it is whole: it is written beside and renamed.
 *	- A stage has at most STAGE_FILES files and stage_limit bytes, and a tenth of the disk stays free: PostgreSQL
 *	  may be on it. What is older than STAGE_AGE is removed when a file is added.
 *	- A token names a user, a path and a time when it ends, under an HMAC of a secret of the process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_DATABEND_STAGE_H
#define FRESHET_DATABEND_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/buffer.h"

#define STAGE_FILES 10000
#define STAGE_AGE (24 * 60 * 60)
#define STAGE_PATH 80 /* bytes of a path inside a stage */
#define STAGE_TOKEN_SECONDS 3600

/* Bytes of a user's stage; set at the start. */
extern uint64_t stage_limit;

/* A file on its way into a stage. */
typedef struct StageFile
{
	int fd; /* -1: none */
	char temporary[1400];
	char final[1400];
	uint64_t room; /* bytes that may still be written */
} StageFile;

/* `location` is @~/path; false: `problem` says why not. */
extern bool stage_create(StageFile *file, const char *root, const char *role, const char *location,
                         const char **problem);
/* False: there is no room, or it cannot be written. */
extern bool stage_write(StageFile *file, const char *bytes, size_t count);
extern bool stage_commit(StageFile *file);
extern void stage_abandon(StageFile *file);

/* A file to read, or -1. */
extern int stage_open(const char *root, const char *role, const char *location);
extern void stage_remove(const char *root, const char *role, const char *location);

/* The end of a URL, safe in it. */
extern void stage_token_write(Buffer *out, const char *role, const char *location, int64_t expires);
/* False: it is none, or none any more. The caller frees both. */
extern bool stage_token_read(const char *token, char **role, char **location);

#endif /* FRESHET_DATABEND_STAGE_H */
