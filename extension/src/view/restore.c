/*-------------------------------------------------------------------------
 *
 * restore.c
 *	  freshet.view through pg_dump and restore.
 *
 * pg_dump saves the rows of freshet.view as it saves a table's. Two things make
 * that work. The column "view" holds an oid and is written as the view's name;
 * a name that leads nowhere is read as 0 and not an error, since pg_dump creates
 * some matviews only after the data (those that group by a primary key). And the
 * rows do not go into the table: when they arrive, the restored CREATE
 * MATERIALIZED VIEW has made each view's row already; a trigger puts into that
 * what was decided before, whether the view is maintained and under which
 * settings, and drops the rest.
 *
 * The database's owner may do both. A view's settings decide what its query means,
 * which runs with its owner's rights, so a row is taken from the view's owner only,
 * and of its settings those that CREATE captured and that the owner could have set.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pg/role.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/regproc.h"
#include "view/catalog.h"

PG_FUNCTION_INFO_V1(freshet_view_name_in);
PG_FUNCTION_INFO_V1(freshet_view_name_out);
PG_FUNCTION_INFO_V1(freshet_view_restored);

/* A view's name, or oid, to its oid; 0 if there is none. */
Datum
freshet_view_name_in(PG_FUNCTION_ARGS)
{
	char *name = PG_GETARG_CSTRING(0);
	RangeVar *relation;

	if (name[0] >= '0' && name[0] <= '9' && strspn(name, "0123456789") == strlen(name))
		return DirectFunctionCall1(oidin, CStringGetDatum(name));
	relation = makeRangeVarFromNameList(stringToQualifiedNameList(name));
	PG_RETURN_OID(RangeVarGetRelid(relation, NoLock, true));
}

/* The name of a view. */
Datum
freshet_view_name_out(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall1(regclassout, PG_GETARG_DATUM(0));
}

/* May the role that restores decide about this matview? */
static bool
restore_owned(Oid view)
{
	if (get_rel_relkind(view) != RELKIND_MATVIEW)
		return false;
	if (!pg_class_ownercheck(view, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_MATVIEW, get_rel_name(view));
	return true;
}

/* Applies a row that is being restored. The view is locked only by who owns it. */
static void
restore_row(Oid view, bool maintain, List *settings)
{
	ViewRow *row;

	if (!restore_owned(view))
		return;
	LockRelationOid(view, ShareRowExclusiveLock);
	if (!restore_owned(view))
		return;
	row = catalog_view(view);
	/* what could not be maintained where it was created anew cannot be here */
	if (row != NULL && !row->maintain)
		maintain = false;
	catalog_view_insert(
	    view, maintain,
	    role_merge_settings(row != NULL ? row->settings : role_capture_settings(), settings));
	if (!maintain)
		catalog_view_set_strategy(view, "none",
		                          row != NULL && row->reason != NULL && !row->maintain
		                              ? row->reason
		                              : "released by freshet.release");
}

/* Is this the trigger of freshet.view, fired as it should be, for a row as we know it? */
static void
restore_check(FunctionCallInfo fcinfo)
{
	static const Oid types[] = {InvalidOid, BOOLOID, TEXTARRAYOID};
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	bool known = CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_BEFORE(trigger->tg_event) &&
	             TRIGGER_FIRED_BY_INSERT(trigger->tg_event) &&
	             TRIGGER_FIRED_FOR_ROW(trigger->tg_event) &&
	             catalog_is_view_table(RelationGetRelid(trigger->tg_relation));

	for (int i = 1; known && i < lengthof(types); i++)
		known = TupleDescAttr(RelationGetDescr(trigger->tg_relation), i)->atttypid == types[i];
	if (!known)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
		                errmsg("freshet.view_restored() is the trigger of freshet.view")));
}

/* BEFORE INSERT trigger of freshet.view; rows made by the library do not fire it */
Datum
freshet_view_restored(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc descriptor;
	Datum values[3];
	bool nulls[3];

	restore_check(fcinfo);
	descriptor = RelationGetDescr(trigger->tg_relation);
	for (int i = 0; i < lengthof(values); i++)
		values[i] = heap_getattr(trigger->tg_trigtuple, i + 1, descriptor, &nulls[i]);
	if (!nulls[0] && !nulls[1] && !nulls[2] && OidIsValid(DatumGetObjectId(values[0])))
		restore_row(DatumGetObjectId(values[0]), DatumGetBool(values[1]),
		            catalog_settings_of(values[2]));
	return PointerGetDatum(NULL);
}
