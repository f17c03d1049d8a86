/*-------------------------------------------------------------------------
 *
 * program.h
 *	  PostgreSQL's programs: where they are, and running one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_PROGRAM_H
#define FRESHET_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The major version of PostgreSQL this server is made for. */
#define POSTGRES_MAJOR 15

extern void program_path(const char *bin, const char *name, char *path, size_t size);
extern bool
program_version(const char *bin, char *version, size_t size, char *problem, size_t problem_size);
extern pid_t program_start(char *const *arguments, const char *output, int death_signal);
extern bool
program_run(char *const *arguments, const char *output, char *problem, size_t problem_size);
extern bool program_last_line(const char *file, const char *mark, char *line, size_t size);

#endif /* FRESHET_PROGRAM_H */
