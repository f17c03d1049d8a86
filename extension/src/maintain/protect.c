/*-------------------------------------------------------------------------
 *
 * protect.c
 *	  Hidden tables (view/hidden.c) belong to the owners of views, who have no right
 *	  on them: reading and writing is refused by PostgreSQL. As owners they could
 *	  still alter them, grant themselves rights, or have triggers, rules, policies,
 *	  statistics and children on them. That is refused here, to everybody.
 *
 * It is noticed by the object access hook, whatever command it is, where there is
 * one: an object that has just been made is refused if it depends on a hidden table.
 * Commands of which that hook does not tell, or not always, are looked at by name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "commands/extension.h"
#include "maintain/protect.h"
#include "miscadmin.h"
#include "pg/role.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "view/apply.h"
#include "view/catalog.h"

/* An error if somebody else than we does something to a hidden table. */
static void
protect_refuse(Oid relation)
{
	if (hidden_changing() != HIDDEN_NOT_OURS || creating_extension || IsBinaryUpgrade ||
	    !hidden_is(relation))
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
	                errmsg("permission denied: \"%s\" is kept by freshet", get_rel_name(relation)),
	                errdetail("It holds what is known of a materialized view, and goes with it.")));
}

/* The same for an object that has just been made, by the tables it depends on. */
static void
protect_refuse_dependent(Oid class, Oid object)
{
	Relation depend;
	SysScanDesc scan;
	ScanKeyData key[2];
	HeapTuple tuple;

	if (!catalog_installed())
		return;
	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyInit(&key[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
	            ObjectIdGetDatum(class));
	ScanKeyInit(&key[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
	            ObjectIdGetDatum(object));
	/* the rows are those of the command that runs */
	scan = systable_beginscan(depend, DependDependerIndexId, true, SnapshotSelf, 2, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->refclassid == RelationRelationId)
			protect_refuse(form->refobjid);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
}

/* Something is done to a relation, or to a column of it. */
static void
protect_relation_access(ObjectAccessType access, Oid relation, int column, void *arg)
{
	const ObjectAccessPostAlter *altered = arg;

	switch (access)
	{
		case OAT_POST_CREATE:
			/* an index of ours is about to be filled, by functions of its columns' types */
			if (hidden_changing() == HIDDEN_INDEX)
				role_only_compute();
			if (column != 0)
				protect_refuse(relation);
			break;
		case OAT_POST_ALTER:
			if (altered->is_internal)
				break;
			protect_refuse(relation);
			/* the parent of a child */
			if (OidIsValid(altered->auxiliary_id))
				protect_refuse(altered->auxiliary_id);
			break;
			/* dropping a column is an ALTER TABLE, or goes with its type, as the view does */
		case OAT_TRUNCATE:
			protect_refuse(relation);
			break;
		default:
			break;
	}
}

/* See protect.h. */
void
protect_object_access(ObjectAccessType access, Oid class, Oid object, int sub, void *arg)
{
	switch (class)
	{
		case RelationRelationId:
			protect_relation_access(access, object, sub, arg);
			break;
		case TriggerRelationId:
		case RewriteRelationId:
		case PolicyRelationId:
		case ConstraintRelationId:
			if (access == OAT_POST_CREATE)
				protect_refuse_dependent(class, object);
			break;
		default:
			break;
	}
}

/* Refuse a hidden table of this name. */
static void
protect_name(const RangeVar *name)
{
	Oid relation = name != NULL ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;

	if (OidIsValid(relation))
		protect_refuse(relation);
}

/* Refuse hidden tables among these names. */
static void
protect_names(const List *names)
{
	ListCell *cell;

	foreach (cell, names)
		if (IsA(lfirst(cell), RangeVar))
			protect_name(lfirst(cell));
}

/* Refuse GRANT and REVOKE on hidden tables; a superuser may do so for all tables of the schema. */
static void
protect_grant(const GrantStmt *grant)
{
	if (grant->objtype != OBJECT_TABLE || !catalog_installed())
		return;
	if (grant->targtype == ACL_TARGET_OBJECT)
		protect_names(grant->objects);
	else if (grant->targtype == ACL_TARGET_ALL_IN_SCHEMA && !superuser() &&
	         list_member(grant->objects, makeString("freshet")))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_SCHEMA, "freshet");
}

/* See protect.h. */
void
protect_command(Node *command)
{
	switch (nodeTag(command))
	{
		case T_GrantStmt:
			protect_grant((GrantStmt *) command);
			break;
		case T_CreateStmt:
			protect_names(((CreateStmt *) command)->inhRelations);
			break;
		case T_AlterTableStmt:
			protect_name(((AlterTableStmt *) command)->relation);
			break;
		case T_CreateStatsStmt:
			protect_names(((CreateStatsStmt *) command)->relations);
			break;
		case T_IndexStmt:
			protect_name(((IndexStmt *) command)->relation);
			break;
		default:
			break;
	}
}

/* See protect.h. */
void
protect_drop_owned(DropOwnedStmt *statement)
{
	ListCell *cell;

	if (!catalog_installed())
		return;
	foreach (cell, statement->roles)
	{
		Oid role = get_rolespec_oid(lfirst(cell), false);

		if (has_privs_of_role(GetUserId(), role))
			hidden_drop_owned(role);
	}
}
