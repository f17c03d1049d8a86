/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The worker of a database.
 *
 * It leaves when the extension is not (or no longer) there, and when somebody
 * wants to drop, rename, move or copy the database.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "cut/frontier.h"
#include "maintain/launcher.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "view/catalog.h"

/* Reads freshet.view; false: the extension is not there. */
static bool
worker_read_catalogs(FrontierDatabase *database, uint32 generation)
{
	bool		installed;

	StartTransactionCommand();
	installed = catalog_installed();
	if (installed && database != NULL)
		frontier_set_maintained(database, generation, 0);	/* it maintains none so far */
	CommitTransactionCommand();
	return installed;
}

/* The worker's main function. */
void
freshet_worker_main(Datum dboid)
{
	FrontierDatabase *database;
	uint32		generation;

	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(dboid), InvalidOid, 0);

	if (!worker_read_catalogs(NULL, 0))
	{
		launcher_report(LAUNCHER_NO_EXTENSION);
		proc_exit(0);
	}
	database = frontier_database(MyDatabaseId, true);
	if (!frontier_worker_attach(database))
	{
		launcher_report(LAUNCHER_LEFT);
		proc_exit(0);
	}

	generation = pg_atomic_read_u32(&database->catalog_generation) - 1;
	for (;;)
	{
		uint32		now;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (*(volatile int *) &database->stop_requested != 0)
		{
			launcher_report(LAUNCHER_LEFT);
			proc_exit(0);
		}
		now = pg_atomic_read_u32(&database->catalog_generation);
		if (now != generation && !worker_read_catalogs(database, now))
		{
			frontier_forget_database(MyDatabaseId);
			launcher_report(LAUNCHER_NO_EXTENSION);
			proc_exit(0);
		}
		generation = now;

		pg_atomic_write_u32(&database->sleeping, 1);
		pg_memory_barrier();
		if (generation == pg_atomic_read_u32(&database->catalog_generation))
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10000,
							 PG_WAIT_EXTENSION);
		pg_atomic_write_u32(&database->sleeping, 0);
	}
}
