/*-------------------------------------------------------------------------
 *
 * provide.c
 *	  The extension, made in a database by its first view.
 *
 * A database without views shall look as PostgreSQL made it: no schema of ours
 * in it, no worker, no replication slot. With freshet.create_extension = on, the
 * first materialized view to be kept fresh brings the extension along, in its
 * own transaction, so that both stay or go together.
 *
 * Whoever may make the view has it made: it is the administrator who turned the
 * setting on. The extension belongs to the bootstrap superuser, so that who
 * made the first view cannot take it away from those who made the others, and
 * no setting of the session decides where its tables are.
 *
 * Locking: who makes the extension holds, until the end of its transaction, a
 * lock on the extension with no oid; CREATE EXTENSION freshet by hand takes it
 * too. Others wait for it and then find the extension, or make it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "maintain/provide.h"
#include "nodes/makefuncs.h"
#include "pg/role.h"
#include "storage/lmgr.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "view/catalog.h"

bool provide_by_view = false;

/* See provide.h. */
void
provide_lock(void)
{
	LockDatabaseObject(ExtensionRelationId, InvalidOid, 0, ExclusiveLock);
}

/* Runs CREATE EXTENSION, as a command that other hooks and event triggers see too. */
static void
provide_create(void)
{
	CreateExtensionStmt *create = makeNode(CreateExtensionStmt);
	PlannedStmt *statement = makeNode(PlannedStmt);

	create->extname = pstrdup("freshet");
	statement->commandType = CMD_UTILITY;
	statement->canSetTag = false;
	statement->utilityStmt = (Node *) create;
	statement->stmt_location = -1;
	ProcessUtility(statement, "CREATE EXTENSION freshet", false, PROCESS_UTILITY_QUERY, NULL, NULL,
	               None_Receiver, NULL);
	CommandCounterIncrement();
}

/* The same with the bootstrap superuser's rights, whatever the session has set. */
static void
provide_create_as_superuser(void)
{
	Role before;

	role_own(&before);
	provide_create();
	role_restore(&before);
}

/* See provide.h. */
bool
provide_for_view(Oid view)
{
	if (catalog_installed() || !provide_by_view || !catalog_maintain_default)
		return catalog_installed();
	provide_lock();
	if (OidIsValid(get_extension_oid("freshet", true)))
		return catalog_installed();
	if (OidIsValid(get_namespace_oid("freshet", true)))
	{
		ereport(NOTICE,
		        (errmsg("materialized view \"%s\" is not kept fresh: this database has a schema "
		                "\"freshet\" of its own, where extension \"freshet\" would be",
		                get_rel_name(view)),
		         errhint("Rename the schema, run CREATE EXTENSION freshet, and then "
		                 "freshet.adopt for the view.")));
		return false;
	}
	provide_create_as_superuser();
	return catalog_installed();
}
