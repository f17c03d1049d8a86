/*-------------------------------------------------------------------------
 *
 * moment.h
 *	  Dates and times: PostgreSQL's text (ISO) and CrateDB's milliseconds since 1970.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CRATEDB_MOMENT_H
#define FRESHET_CRATEDB_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "net/buffer.h"

/* A date, a timestamp without or with time zone; false: infinity. Rounded down. */
extern bool moment_read(const char *text, int64_t *milliseconds);

/* A time with time zone: microseconds of the day, and seconds east of UTC. */
extern void moment_read_time(const char *text, int64_t *microseconds, int *offset);

/* As PostgreSQL reads it, for each of its types; false: no such year. */
extern bool moment_write(Buffer *out, int64_t milliseconds);

#endif /* FRESHET_CRATEDB_MOMENT_H */
