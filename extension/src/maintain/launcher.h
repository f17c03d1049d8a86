/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  One worker per database that has the extension, started and restarted by
 *	  the launcher.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_LAUNCHER_H
#define FRESHET_LAUNCHER_H

#include "postgres.h"

/* How a worker's life ended; what it does not say is a crash. */
typedef enum LauncherOutcome
{
	LAUNCHER_CRASHED,      /* start another one, later and later */
	LAUNCHER_NO_EXTENSION, /* start none until asked */
	LAUNCHER_LEFT          /* it was asked to leave; start another one as
								 * soon as that is allowed */
} LauncherOutcome;

extern void launcher_request_shmem(void);
extern void launcher_startup_shmem(void);
extern void launcher_register(void);

/* any backend */
extern void launcher_wake(void);
extern void launcher_start_worker(Oid dboid);

/* a worker, just before it exits */
extern void launcher_report(LauncherOutcome outcome);

extern PGDLLEXPORT void freshet_launcher_main(Datum unused);
extern PGDLLEXPORT void freshet_worker_main(Datum dboid);

#endif /* FRESHET_LAUNCHER_H */
