/*-------------------------------------------------------------------------
 *
 * hidden.c
 *	  Tables in schema freshet that hold a view's hidden state: freshet.
 *	  groups_<oid>, freshet.rows_<oid>, and its parts freshet.part<n>_<oid>,
 *	  which have such state of their own.
 *
 * They are members of the extension, so that DROP EXTENSION takes them along
 * and pg_dump leaves them out; whatever they hold can be computed again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "pg/role.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "view/apply.h"
#include "view/catalog.h"

/* Run a utility command as the extension's owner would. */
static void
hidden_execute(const char *command)
{
	Role before;

	role_own(&before);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(command, false, 0) < 0)
		elog(ERROR, "could not run: %s", command);
	SPI_finish();
	PopActiveSnapshot();
	CommandCounterIncrement();
	role_restore(&before);
}

/* The hidden table of a view, or InvalidOid. */
Oid
hidden_relation(const char *prefix, Oid view)
{
	char name[NAMEDATALEN];

	snprintf(name, sizeof(name), "%s_%u", prefix, view);
	return get_relname_relid(name, catalog_schema());
}

/* Create a hidden table with these columns, as the extension's member. A table
 * whose rows are updated wants pages filled (percent) so that two versions of
 * each fit: then updates are HOT.
 */
Oid
hidden_create(const char *prefix, Oid view, const char *columns, int fillfactor)
{
	ObjectAddress table;
	ObjectAddress extension;

	hidden_execute(psprintf("CREATE TABLE freshet.%s_%u (%s) WITH (fillfactor = %d,"
	                        " autovacuum_vacuum_scale_factor = 0.1)",
	                        prefix, view, columns, fillfactor));
	ObjectAddressSet(table, RelationRelationId, hidden_relation(prefix, view));
	ObjectAddressSet(extension, ExtensionRelationId, get_extension_oid("freshet", false));
	recordDependencyOn(&table, &extension, DEPENDENCY_EXTENSION);
	CommandCounterIncrement();
	return table.objectId;
}

/* Create the index of a hidden table. */
Oid
hidden_create_index(const char *prefix, Oid view, const char *columns)
{
	hidden_execute(psprintf("CREATE INDEX ON freshet.%s_%u (%s)", prefix, view, columns));
	return hidden_index(hidden_relation(prefix, view));
}

/*
 * Have an index of a hidden table on these columns. Its name tells it from
 * others.
 */
void
hidden_ensure_index(const char *prefix, Oid view, const char *columns)
{
	char *name =
	    psprintf("%s_%u_%08x", prefix, view,
	             DatumGetUInt32(hash_any((const unsigned char *) columns, (int) strlen(columns))));

	if (!OidIsValid(get_relname_relid(name, catalog_schema())))
		hidden_execute(
		    psprintf("CREATE INDEX %s ON freshet.%s_%u (%s)", name, prefix, view, columns));
}

/* The one index of a hidden table. */
Oid
hidden_index(Oid relation)
{
	Relation table = table_open(relation, AccessShareLock);
	List *indexes = RelationGetIndexList(table);
	Oid result = indexes == NIL ? InvalidOid : linitial_oid(indexes);

	table_close(table, AccessShareLock);
	return result;
}

/* Drop a hidden table, if it is there. */
void
hidden_drop(const char *prefix, Oid view)
{
	Oid relation = hidden_relation(prefix, view);
	ObjectAddress table;

	if (!OidIsValid(relation))
		return;
	ObjectAddressSet(table, RelationRelationId, relation);
	performDeletion(&table, DROP_CASCADE,
	                PERFORM_DELETION_INTERNAL | PERFORM_DELETION_QUIETLY |
	                    PERFORM_DELETION_SKIP_EXTENSIONS);
	CommandCounterIncrement();
}

/* Drop the parts of a view from this number on, with their own hidden state. */
void
hidden_drop_parts(Oid view, int first)
{
	for (int number = first;; number++)
	{
		char *prefix = psprintf("part%d", number);
		Oid part = hidden_relation(prefix, view);

		if (!OidIsValid(part))
			break;
		hidden_drop("groups", part);
		hidden_drop("rows", part);
		hidden_drop(prefix, view);
	}
}

/* Drop all hidden state of a view. */
void
hidden_drop_all(Oid view)
{
	hidden_drop("groups", view);
	hidden_drop("rows", view);
	hidden_drop_parts(view, 1);
}
