/*-------------------------------------------------------------------------
 *
 * barrier.h
 *	  The freshness barrier: a statement that reads maintained views waits for
 *	  what was committed before it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_BARRIER_H
#define FRESHET_BARRIER_H

#include "postgres.h"

#include "cut/frontier.h"

/* application_name of what our worker does through postgres_fdw: never waits */
#define BARRIER_WORKER_NAME "freshet worker"

/* GUC freshet.max_staleness */
extern char *barrier_max_staleness;

extern void barrier_register(void);
extern void barrier_define_settings(void);
extern bool barrier_needed(void);
extern bool barrier_command(void);
extern void barrier_wait_transaction(void);
extern bool barrier_locked_by_me(Oid view);
extern FrontierWait barrier_wait_view(Oid view, int64 staleness_ms);

#endif /* FRESHET_BARRIER_H */
