/*-------------------------------------------------------------------------
 *
 * stale.c
 *	  Telling who reads a view that it is not fresh (freshet.on_stale): no view is
 *	  silently old.
 *
 * A view is not fresh if it is in error, is locked by somebody, has no place in
 * shared memory, or is read on a standby. What the error says may quote data; it
 * is shown to the view's owner only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "maintain/stale.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "view/catalog.h"

int stale_action = STALE_WARNING;

static const struct config_enum_entry stale_actions[] = {{"ignore", STALE_IGNORE, false},
                                                         {"warning", STALE_WARNING, false},
                                                         {"error", STALE_ERROR, false},
                                                         {NULL, 0, false}};

/* The level at which to tell. */
static int
stale_level(void)
{
	return stale_action == STALE_ERROR ? ERROR : WARNING;
}

/* No worker has come: all views may be stale. */
void
stale_tell_unmaintained(void)
{
	if (stale_action == STALE_IGNORE)
		return;
	ereport(stale_level(),
	        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
	         errmsg("materialized views may be stale: no worker maintains them in database \"%s\"",
	                get_database_name(MyDatabaseId)),
	         errhint("The server's log says why the freshet worker does not run.")));
}

/* The view's query has failed. */
static void
stale_tell_failed(int level, Oid view)
{
	const char *why = pg_class_ownercheck(view, GetUserId()) ? catalog_view_error(view) : NULL;

	ereport(level,
	        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
	         errmsg("materialized view \"%s\" is stale: its query failed", get_rel_name(view)),
	         why != NULL ? errdetail_internal("%s", why)
	                     : errdetail("Its owner sees why in freshet.views."),
	         errhint("It is tried again when what it reads changes, and by REFRESH MATERIALIZED "
	                 "VIEW.")));
}

/* Tells that the statement reads a stale view, if it does; outcome: that of waiting for it. */
void
stale_tell(Oid view, FrontierWait outcome)
{
	FrontierView *state;

	if (stale_action == STALE_IGNORE || outcome == FRONTIER_NO_WORKER)
		return;
	if (RecoveryInProgress())
	{
		ereport(stale_level(),
		        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		         errmsg("materialized view \"%s\" may be stale", get_rel_name(view)),
		         errdetail("On a standby nothing waits for it: views are kept fresh on the "
		                   "primary server.")));
		return;
	}
	state = frontier_view(MyDatabaseId, view, true);
	if (state == NULL)
		ereport(stale_level(),
		        (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		         errmsg("materialized view \"%s\" is stale: too many views are maintained",
		                get_rel_name(view)),
		         errhint("Increase freshet.max_views, now %d, and restart the server.",
		                 frontier_max_views)));
	else if (pg_atomic_read_u32(&state->failed) != 0)
		stale_tell_failed(stale_level(), view);
	else if (outcome == FRONTIER_TIMEOUT && pg_atomic_read_u32(&state->behind) != 0)
		ereport(stale_level(),
		        (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
		         errmsg("materialized view \"%s\" is stale: it, or what it reads, is locked",
		                get_rel_name(view))));
}

/* An error if a view of the database has failed, for who waits for all of them. */
void
stale_refuse_failed(void)
{
	List *views;
	ListCell *cell;

	if (stale_action == STALE_IGNORE)
		return;
	views = frontier_views_failed(MyDatabaseId);
	list_sort(views, list_oid_cmp);
	foreach (cell, views)
		if (catalog_view_maintained(lfirst_oid(cell)))
			stale_tell_failed(ERROR, lfirst_oid(cell));
}

/* The setting of this part. */
void
stale_define_settings(void)
{
	DefineCustomEnumVariable(
	    "freshet.on_stale", "Sets what a statement gets that reads a view which is not fresh.",
	    "A view is not fresh when its query fails, when it is locked, and on a "
	    "standby.",
	    &stale_action, STALE_WARNING, stale_actions, PGC_USERSET, 0, NULL, NULL, NULL);
}
