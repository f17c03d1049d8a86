/*-------------------------------------------------------------------------
 *
 * runner.h
 *	  Runs one source: its generator, on a connection of its own, whose session
 *	  user is the source's owner.
 *
 * Invariants:
 *	- Whatever the owner has hung on the tables runs with the owner's rights and no
 *	  others: no role but the owner ever was this session's.
 *	- A source is run once: the transaction that adds rows compares and changes
 *	  the row that says how far the source has come (source/catalog.h).
 *	- After any failure the runner reads from the catalog where the source is
 *	  before it writes again: ticks are neither lost nor written twice.
 *	- One transaction is under way at a time; what has become due meanwhile goes
 *	  into the next one. It locks its tables first, in the order in which DROP
 *	  SOURCE drops them, and the source's row last: who drops waits for no load.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_LOADGEN_RUNNER_H
#define FRESHET_LOADGEN_RUNNER_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

typedef struct Runner Runner;

/* The sources of one database. */
typedef struct RunnerHome
{
	uv_loop_t *loop;
	const char *database;
	Runner *runners;
	void (*failed)(struct RunnerHome *home); /* a runner has a failure to be noted */
} RunnerHome;

/* The runner of the source in a row of the catalog; started if there is none. */
extern Runner *runner_found(RunnerHome *home, PGresult *result, int row);
extern void runner_stop(RunnerHome *home, Runner *runner);
extern Runner *runner_next(Runner *runner);
extern int64_t runner_source(const Runner *runner);
extern void runner_mark(Runner *runner, bool marked);
extern bool runner_marked(const Runner *runner);

/* A failure that nobody has asked for yet, or NULL. */
extern const char *runner_failure(Runner *runner);

/* If this process serves the runner, its transaction ends; it goes on later. */
extern void runner_give_way(Runner *runner, int backend);

/* runners that are not quite stopped yet */
extern int runner_count(void);

#endif /* FRESHET_LOADGEN_RUNNER_H */
