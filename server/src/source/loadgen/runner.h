/*-------------------------------------------------------------------------
 *
 * runner.h
 *	  Runs one source: its generator, on a connection of its own.
 *
 * Invariants:
 *	- A source is run once: the transaction that adds rows locks and compares
 *	  the row that says how far the source has come (source/catalog.h).
 *	- After any failure the runner reads from the catalog where the source is
 *	  before it writes again: ticks are neither lost nor written twice.
 *	- One transaction is under way at a time; what has become due meanwhile goes
 *	  into the next one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_LOADGEN_RUNNER_H
#define FRESHET_LOADGEN_RUNNER_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <uv.h>

typedef struct Runner Runner;

/* The runner of the source in a row of the catalog; started if there is none. */
extern Runner *
runner_found(Runner **list, uv_loop_t *loop, const char *database, PGresult *result, int row);
extern void runner_stop(Runner **list, Runner *runner);
extern Runner *runner_next(Runner *runner);
extern void runner_mark(Runner *runner, bool marked);
extern bool runner_marked(const Runner *runner);

/* runners that are not quite stopped yet */
extern int runner_count(void);

#endif /* FRESHET_LOADGEN_RUNNER_H */
