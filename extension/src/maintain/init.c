/*-------------------------------------------------------------------------
 *
 * init.c
 *	  Loading the library: settings, shared memory, hooks, the launcher.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "cut/frontier.h"
#include "debug/point.h"
#include "fmgr.h"
#include "maintain/barrier.h"
#include "maintain/launcher.h"
#include "maintain/provide.h"
#include "maintain/reader.h"
#include "maintain/stale.h"
#include "maintain/utility.h"
#include "maintain/wake.h"
#include "maintain/worker.h"
#include "miscadmin.h"
#include "pg/role.h"
#include "replication/slot.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "view/adopt.h"
#include "view/auto_index.h"
#include "view/catalog.h"
#include "view/view.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

PG_FUNCTION_INFO_V1(freshet_start_worker);

static shmem_request_hook_type init_previous_request = NULL;
static shmem_startup_hook_type init_previous_startup = NULL;

/* Asks for the shared memory of all parts. */
static void
init_request_shmem(void)
{
	if (init_previous_request != NULL)
		init_previous_request();
	frontier_request_shmem();
	launcher_request_shmem();
}

/* Makes, or finds, the shared memory of all parts. */
static void
init_startup_shmem(void)
{
	if (init_previous_startup != NULL)
		init_previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	frontier_startup_shmem();
	launcher_startup_shmem();
	LWLockRelease(AddinShmemInitLock);
}

/* The settings of all parts. */
static void
init_define_settings(void)
{
	DefineCustomIntVariable(
	    "freshet.max_databases", "Sets how many databases of the server can have the extension.",
	    NULL, &frontier_max_databases, 16, 1, 4096, PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
	    "freshet.max_views", "Sets how many maintained views all databases together can have.",
	    NULL, &frontier_max_views, 1024, 16, 1048576, PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("freshet.change_ring",
	                        "Sets the memory in which the last changes are kept for subscribers.",
	                        "A subscriber that has fallen behind it compares whole relations.",
	                        &frontier_ring_kb, 8192, 64, 1048576, PGC_SIGHUP, GUC_UNIT_KB, NULL,
	                        NULL, NULL);
	DefineCustomIntVariable("freshet.max_subscriptions_per_role",
	                        "Sets how many subscriptions a role can have in a database.",
	                        "Superusers can have any number; some are kept for them.",
	                        &frontier_max_pins_per_role, 256, 0, FRONTIER_MAX_PINS, PGC_SUSET, 0,
	                        NULL, NULL, NULL);
	DefineCustomIntVariable(
	    "freshet.verify_patience", "Sets how long freshet.verify waits for a view that is behind.",
	    NULL, &verify_patience_ms, 60000, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("freshet.maintain", "Keeps new materialized views always fresh.",
	                         "freshet.adopt and freshet.release change it for a view.",
	                         &catalog_maintain_default, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("freshet.strict",
	                         "Refuses materialized views that cannot follow changes.",
	                         "Those that would be computed anew, or not be kept fresh.",
	                         &adopt_strict, false, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("freshet.create_extension",
	                         "Makes the extension in a database at its first materialized view.",
	                         "Whoever makes the view, the extension is the bootstrap superuser's.",
	                         &provide_by_view, false, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable(
	    "freshet.enable_recompute",
	    "Runs a view's whole query where that is expected to be cheaper than to follow changes.",
	    "Off is for tests: whatever can follow changes does.", &choice_enable_recompute, true,
	    PGC_SIGHUP, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomBoolVariable(
	    "freshet.auto_index",
	    "Makes indexes that views need to follow changes, and that are missing.",
	    "A label of a table decides for it.", &auto_index_enabled, false, PGC_SIGHUP, 0, NULL, NULL,
	    NULL);
	barrier_define_settings();
	stale_define_settings();
	DefineCustomIntVariable(
	    "freshet.max_cut_age", "Sets how long a cut may be held for a reader or subscriber.", NULL,
	    &worker_max_cut_age, 3600, 1, INT_MAX / 1000, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable(
	    "freshet.cycle_delay", "Sets how long commits may gather while nobody waits for a view.",
	    NULL, &worker_cycle_delay, 20, 1, 1000, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable(
	    "freshet.recursion_timeout",
	    "Sets how long a WITH RECURSIVE of a view may take to be computed.",
	    "A row may have made it endless: the view is then tried again later and later.",
	    &cycle_recursion_timeout, 60000, 1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("freshet.worker_nice",
	                        "Sets the nice value of the processes that keep views fresh.",
	                        "Below 0, if the server's processes may.", &worker_nice, -5, -20, 19,
	                        PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("freshet.debug_points",
	                         "Lets tests hold processes at certain points by advisory locks.", NULL,
	                         &debug_points, false, PGC_SIGHUP, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	MarkGUCPrefixReserved("freshet");
}

/* Entry point: the server loads the library at start. */
void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR,
		        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		         errmsg("freshet must be loaded when the server starts"),
		         errhint("Add freshet to shared_preload_libraries in postgresql.conf and restart "
		                 "the server.")));

	init_define_settings();
	init_previous_request = shmem_request_hook;
	shmem_request_hook = init_request_shmem;
	init_previous_startup = shmem_startup_hook;
	shmem_startup_hook = init_startup_shmem;
	role_register();
	auto_index_register();
	cut_install_hooks();
	wake_register();
	reader_register();
	barrier_register();
	utility_register();
	launcher_register();
}

/*
 * freshet.start_worker(): starts this database's worker when we commit. Called
 * by CREATE EXTENSION, which shall fail where no worker could ever run.
 */
Datum
freshet_start_worker(PG_FUNCTION_ARGS)
{
	PreventCommandDuringRecovery("freshet.start_worker()");
	if (!XLogIsNeeded())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("freshet needs wal_level \"replica\" or \"logical\""),
		                errdetail("With wal_level \"minimal\" the write-ahead log does not tell "
		                          "every change."),
		                errhint("Set wal_level to \"replica\" and restart the server.")));
	if (max_replication_slots == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("freshet needs a replication slot for each database"),
		                errhint("Increase max_replication_slots and restart the server.")));
	wake_start_worker_at_commit();
	PG_RETURN_VOID();
}
