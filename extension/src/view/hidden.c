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
 * They belong to the view's owner, whoever that is: what PostgreSQL does with a
 * table by itself, such as ANALYZE, runs functions of the types of its columns as
 * the table's owner. But the owner has no right on them, and nobody alters them,
 * or makes anything that hangs on them: see protect.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "commands/tablecmds.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pg/role.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "view/apply.h"
#include "view/catalog.h"

/* What we do with hidden tables, which nobody else may. */
static HiddenChange hidden_change = HIDDEN_NOT_OURS;

/* Do something with hidden tables. */
static void
hidden_run(HiddenChange change, void (*run)(void *context), void *context)
{
	hidden_change = change;
	PG_TRY();
	{
		run(context);
	}
	PG_FINALLY();
	{
		hidden_change = HIDDEN_NOT_OURS;
	}
	PG_END_TRY();
}

/* See apply.h. */
HiddenChange
hidden_changing(void)
{
	return hidden_change;
}

/* See apply.h. */
void
hidden_run_reassign(void (*run)(void *context), void *context)
{
	hidden_run(HIDDEN_TABLE, run, context);
}

/* Is this a hidden table, or an index of one? */
bool
hidden_is(Oid relation)
{
	char *name;

	if (!catalog_installed() || get_rel_namespace(relation) != catalog_schema())
		return false;
	name = get_rel_name(relation);
	return strncmp(name, "groups_", 7) == 0 || strncmp(name, "rows_", 5) == 0 ||
	       (strncmp(name, "part", 4) == 0 && isdigit((unsigned char) name[4]));
}

/* Run a utility command. */
static void
hidden_run_command(void *command)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(command, false, 0) < 0)
		elog(ERROR, "could not run: %s", (char *) command);
	SPI_finish();
	PopActiveSnapshot();
	CommandCounterIncrement();
}

/* Run a utility command as the extension's owner would. */
static void
hidden_execute(HiddenChange change, char *command)
{
	Role before;

	role_own(&before);
	hidden_run(change, hidden_run_command, command);
	role_restore(&before);
}

/* A hidden table and the role that shall own it. */
typedef struct HiddenOwner
{
	Oid table;
	Oid owner;
} HiddenOwner;

/* Give a hidden table, with its indexes, to a role. */
static void
hidden_run_owner(void *context)
{
	const HiddenOwner *to = context;

	ATExecChangeOwner(to->table, to->owner, true, AccessExclusiveLock);
	CommandCounterIncrement();
}

/* Likewise. */
static void
hidden_set_owner(Oid table, Oid owner)
{
	HiddenOwner to = {.table = table, .owner = owner};

	hidden_run(HIDDEN_TABLE, hidden_run_owner, &to);
}

/* The owner of a relation. */
static Oid
hidden_owner(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* The hidden table of a view, or InvalidOid. */
Oid
hidden_relation(const char *prefix, Oid view)
{
	char name[NAMEDATALEN];

	snprintf(name, sizeof(name), "%s_%u", prefix, view);
	return get_relname_relid(name, catalog_schema());
}

/*
 * Create a hidden table with these columns, as the extension's member, for the
 * owner of the view, or part, it belongs to, who gets no right on it. A table
 * whose rows are updated wants pages filled (percent) so that two versions of
 * each fit: then updates are HOT.
 */
Oid
hidden_create(const char *prefix, Oid view, const char *columns, int fillfactor)
{
	Oid owner = hidden_owner(view);
	ObjectAddress table;
	ObjectAddress extension;

	hidden_execute(HIDDEN_TABLE, psprintf("CREATE TABLE freshet.%s_%u (%s) WITH (fillfactor = %d,"
	                                      " autovacuum_vacuum_scale_factor = 0.1);"
	                                      "REVOKE ALL ON freshet.%s_%u FROM CURRENT_USER",
	                                      prefix, view, columns, fillfactor, prefix, view));
	ObjectAddressSet(table, RelationRelationId, hidden_relation(prefix, view));
	ObjectAddressSet(extension, ExtensionRelationId, get_extension_oid("freshet", false));
	recordDependencyOn(&table, &extension, DEPENDENCY_EXTENSION);
	hidden_set_owner(table.objectId, owner);
	/* so that pg_dump does not save that */
	recordExtObjInitPriv(table.objectId, RelationRelationId);
	CommandCounterIncrement();
	return table.objectId;
}

/* Create the index of a hidden table. */
Oid
hidden_create_index(const char *prefix, Oid view, const char *columns)
{
	hidden_execute(HIDDEN_INDEX,
	               psprintf("CREATE INDEX ON freshet.%s_%u (%s)", prefix, view, columns));
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
		hidden_execute(HIDDEN_INDEX, psprintf("CREATE INDEX %s ON freshet.%s_%u (%s)", name, prefix,
		                                      view, columns));
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

/* Give a relation's hidden tables to its owner. */
static void
hidden_follow_owner_of(Oid relation, Oid owner)
{
	static const char *const prefixes[] = {"groups", "rows"};

	for (int i = 0; i < lengthof(prefixes); i++)
	{
		Oid table = hidden_relation(prefixes[i], relation);

		if (OidIsValid(table) && hidden_owner(table) != owner)
			hidden_set_owner(table, owner);
	}
}

/* A view may have another owner now: so have its hidden tables. */
void
hidden_follow_owner(Oid view)
{
	Oid owner = hidden_owner(view);

	hidden_follow_owner_of(view, owner);
	for (int number = 1;; number++)
	{
		Oid part = hidden_relation(psprintf("part%d", number), view);

		if (!OidIsValid(part))
			break;
		if (hidden_owner(part) != owner)
			hidden_set_owner(part, owner);
		hidden_follow_owner_of(part, owner);
	}
}

/* Drop the hidden tables of all views of a role, which are about to be dropped. */
void
hidden_drop_owned(Oid owner)
{
	ListCell *cell;

	foreach (cell, catalog_views())
	{
		Oid view = ((ViewRow *) lfirst(cell))->view;

		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(view)) && hidden_owner(view) == owner)
			hidden_drop_all(view);
	}
}
