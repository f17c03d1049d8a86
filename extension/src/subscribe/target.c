/*-------------------------------------------------------------------------
 *
 * target.c
 *	  What can be subscribed to, and its columns.
 *
 * A relation with rows of its own is read through its changed row versions
 * (stored.c). Everything else is a query whose two results are compared
 * (query.c): views, partitioned tables, inheritance parents, tables whose rows
 * the subscriber sees through row security, and queries given as such.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/varlena.h"
#include "subscribe/subscription.h"
#include "view/catalog.h"

/* The subscriber needs SELECT, on the relation or on all of its columns. */
static void
target_check_privilege(Oid relation, Oid user, char relkind)
{
	if (pg_class_aclcheck(relation, user, ACL_SELECT) != ACLCHECK_OK &&
	    pg_attribute_aclcheck_all(relation, user, ACL_SELECT, ACLMASK_ALL) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(relkind), get_rel_name(relation));
}

/*
 * The target reads this relation. Refuse those whose rows leave no trace in
 * the WAL, and catalogs; watch the others.
 */
void
target_depend(Subscription *subscription, Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Form_pg_class form;
	const char *reason = NULL;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
		                errmsg("relation with OID %u does not exist", relation)));
	form = (Form_pg_class) GETSTRUCT(tuple);

	if (form->relkind == RELKIND_FOREIGN_TABLE)
		reason = "It is a foreign table.";
	else if (form->relkind == RELKIND_SEQUENCE)
		reason = "It is a sequence.";
	else if (form->relkind == RELKIND_RELATION || form->relkind == RELKIND_MATVIEW)
	{
		if (form->relpersistence == RELPERSISTENCE_TEMP)
			reason = "It is temporary: its changes are not in the WAL.";
		else if (form->relpersistence == RELPERSISTENCE_UNLOGGED)
			reason = "It is unlogged: its changes are not in the WAL.";
		else if (form->relam != HEAP_TABLE_AM_OID)
			reason = "Its table access method is not heap.";
		else if (IsSystemClass(relation, form))
			reason = "It is a system catalog.";
		else if (form->relnamespace == catalog_schema())
			reason = "It is one of freshet's own.";
		else if (form->relkind == RELKIND_MATVIEW && !form->relispopulated)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			                errmsg("materialized view \"%s\" has not been populated",
			                       NameStr(form->relname)),
			                errhint("Use the REFRESH MATERIALIZED VIEW command.")));
	}
	if (reason != NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		                errmsg("cannot subscribe to changes of \"%s\"", NameStr(form->relname)),
		                errdetail_internal("%s", reason)));

	subscription_depend(subscription, relation, form->relkind, form->relfilenode);
	ReleaseSysCache(tuple);
}

/* Take a stored relation as the target; it is locked and open. */
static void
target_take_stored(Subscription *subscription, Relation relation)
{
	TupleDesc descriptor = RelationGetDescr(relation);
	MemoryContext caller;
	int count = 0;

	target_depend(subscription, RelationGetRelid(relation));

	caller = MemoryContextSwitchTo(subscription->context);
	for (int i = 0; i < descriptor->natts; i++)
		count += !TupleDescAttr(descriptor, i)->attisdropped;
	subscription->relation = RelationGetRelid(relation);
	subscription->attributes = palloc(sizeof(AttrNumber) * Max(count, 1));
	subscription->columns = CreateTemplateTupleDesc(count);
	count = 0;
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		if (attribute->attisdropped)
			continue;
		subscription->attributes[count++] = attribute->attnum;
		TupleDescInitEntry(subscription->columns, count, NameStr(attribute->attname),
		                   attribute->atttypid, attribute->atttypmod, 0);
		TupleDescInitEntryCollation(subscription->columns, count, attribute->attcollation);
	}
	MemoryContextSwitchTo(caller);
}

/* An error's position is one in the target, not in the statement that names it. */
static void
target_place_error(void *text)
{
	int position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(text);
	}
}

/* Take a query as the target. */
static void
target_take_query(Subscription *subscription, const char *text)
{
	ErrorContextCallback callback = {
	    .previous = error_context_stack, .callback = target_place_error, .arg = (void *) text};
	List *parsed;

	error_context_stack = &callback;
	parsed = raw_parser(text, RAW_PARSE_DEFAULT);
	if (list_length(parsed) != 1 || !IsA(linitial_node(RawStmt, parsed)->stmt, SelectStmt) ||
	    ((SelectStmt *) linitial_node(RawStmt, parsed)->stmt)->intoClause != NULL)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
		                errmsg("a subscription is on a relation or on one query in parentheses")));
	query_prepare(subscription, linitial_node(RawStmt, parsed), text);
	error_context_stack = callback.previous;
}

/* Do other tables inherit from this one? */
static bool
target_has_children(Oid relation)
{
	return has_subclass(relation) && find_inheritance_children(relation, AccessShareLock) != NIL;
}

/* Take the relation of this name as the target. */
static void
target_take_relation(Subscription *subscription, const char *name)
{
	text *name_text = cstring_to_text(name);
	RangeVar *range_var = makeRangeVarFromNameList(textToQualifiedNameList(name_text));
	Relation relation = relation_openrv(range_var, AccessShareLock);
	Oid relid = RelationGetRelid(relation);
	char relkind = relation->rd_rel->relkind;
	char *query;
	bool as_query = false;

	target_check_privilege(relid, subscription->user, relkind);
	switch (relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_MATVIEW:
			as_query = target_has_children(relid) ||
			           check_enable_rls(relid, InvalidOid, false) == RLS_ENABLED;
			if (!as_query)
				target_take_stored(subscription, relation);
			break;
		case RELKIND_VIEW:
		case RELKIND_PARTITIONED_TABLE:
			as_query = true;
			break;
		case RELKIND_FOREIGN_TABLE:
			target_depend(subscription, relid);
			break;
		default:
			ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
			                errmsg("\"%s\" is not a table, view or materialized view",
			                       RelationGetRelationName(relation)),
			                errdetail_relkind_not_supported(relkind)));
	}

	query = psprintf("SELECT * FROM %s",
	                 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
	                                            RelationGetRelationName(relation)));
	relation_close(relation, NoLock);
	if (as_query)
		target_take_query(subscription, query);
}

/* Columns of these types could not be named in a column definition list. */
static void
target_check_types(TupleDesc columns)
{
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(columns, i);

		if (get_typtype(column->atttypid) == TYPTYPE_PSEUDO)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			                errmsg("cannot subscribe to column \"%s\" of pseudo-type %s",
			                       NameStr(column->attname), format_type_be(column->atttypid)),
			                errhint("Cast it to another type.")));
	}
}

/* Find out what the text given as target is, and what it depends on. */
void
target_resolve(Subscription *subscription, const char *target)
{
	while (scanner_isspace(*target))
		target++;
	subscription->target = MemoryContextStrdup(subscription->context, target);
	if (*target == '(')
		target_take_query(subscription, target);
	else
		target_take_relation(subscription, target);
	target_check_types(subscription->columns);
}

/* Is this name among the first so many names, or one of ours? */
static bool
target_name_taken(char **names, int count, const char *name)
{
	if (strcmp(name, "mz_timestamp") == 0 || strcmp(name, "mz_diff") == 0)
		return true;
	for (int i = 0; i < count; i++)
	{
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

/*
 * The columns as a column definition list, without its parentheses. Names are
 * made unique, also against the two columns that changes() puts before them.
 */
char *
target_column_list(TupleDesc columns)
{
	StringInfoData list;
	char **names = palloc(sizeof(char *) * Max(columns->natts, 1));

	initStringInfo(&list);
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(columns, i);

		names[i] = pstrdup(NameStr(column->attname));
		for (int suffix = 1; target_name_taken(names, i, names[i]); suffix++)
		{
			char digits[16];
			int length;

			snprintf(digits, sizeof(digits), "_%d", suffix);
			length = pg_mbcliplen(NameStr(column->attname), strlen(NameStr(column->attname)),
			                      NAMEDATALEN - 1 - strlen(digits));
			names[i] = psprintf("%.*s%s", length, NameStr(column->attname), digits);
		}
		appendStringInfo(&list, "%s%s %s", i > 0 ? ", " : "", quote_identifier(names[i]),
		                 format_type_with_typemod(column->atttypid, column->atttypmod));
	}
	return list.data;
}

/* What errors call the target: the client may never have given the subscription a name. */
char *
target_title(const Subscription *subscription)
{
	const char *target = subscription->target;

	if (target[0] == '(')
		return pstrdup("the query");
	return psprintf(strchr(target, '"') != NULL ? "relation %s" : "relation \"%s\"", target);
}

/* A relation that the target reads is not there any more. */
void
target_dropped(const Dependency *dependency)
{
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
	                errmsg("relation \"%s\" was dropped", dependency->name)));
}

/*
 * If something the target depends on was altered: is it still there, and the
 * same? Costs nothing otherwise.
 */
void
target_check(Subscription *subscription)
{
	if (!subscription->altered)
		return;
	subscription->altered = false;
	for (int i = 0; i < subscription->dependency_count; i++)
	{
		const Dependency *dependency = &subscription->dependencies[i];

		if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(dependency->relation)))
			target_dropped(dependency);
	}
	if (subscription->query != NULL)
		query_check(subscription);
	subscription->altered_relation = InvalidOid;
}

/*
 * Open the stored relation of a subscription, locked against changes of its
 * definition; an error if it is no longer what it was.
 */
Relation
target_open(Subscription *subscription)
{
	Relation relation = try_table_open(subscription->relation, AccessShareLock);
	TupleDesc descriptor;

	if (relation == NULL)
		target_dropped(&subscription->dependencies[0]);
	target_check_privilege(RelationGetRelid(relation), subscription->user,
	                       relation->rd_rel->relkind);

	descriptor = RelationGetDescr(relation);
	for (int i = 0; i < subscription->columns->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(subscription->columns, i);
		Form_pg_attribute attribute = TupleDescAttr(descriptor, subscription->attributes[i] - 1);

		if (attribute->attisdropped || attribute->atttypid != column->atttypid ||
		    attribute->atttypmod != column->atttypmod)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			                errmsg("column \"%s\" of %s was altered or dropped",
			                       NameStr(column->attname), target_title(subscription)),
			                errhint("Subscribe again.")));
	}
	if (relation->rd_rel->relrowsecurity &&
	    check_enable_rls(RelationGetRelid(relation), subscription->user, true) == RLS_ENABLED)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("row security was enabled on %s", target_title(subscription)),
		                errhint("Subscribe again.")));
	if (relation->rd_rel->relhassubclass && target_has_children(RelationGetRelid(relation)))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("%s now has children", target_title(subscription)),
		                errhint("Subscribe again.")));
	return relation;
}

/*
 * Are the rows that the cut sees still in the relation's file? They are if it
 * is the same file, or one into which VACUUM FULL, CLUSTER or SET TABLESPACE
 * copied them. A file begun anew (TRUNCATE, a rewriting ALTER TABLE, REFRESH)
 * has a relfrozenxid that is not older than the cut; a copied one has an older
 * one, because the pin keeps every horizon before the cut's xmin.
 */
bool
target_file_kept(const Dependency *dependency, Form_pg_class form, const Cut *cut)
{
	return form->relfilenode == dependency->filenode ||
	       (TransactionIdIsNormal(form->relfrozenxid) &&
	        TransactionIdPrecedes(form->relfrozenxid, cut->snapshot->xmin));
}

/*
 * Are the target's relations in the files they were in? False also where that
 * cannot be said because somebody is altering one.
 */
bool
target_files_same(Subscription *subscription)
{
	for (int i = 0; i < subscription->dependency_count; i++)
	{
		Dependency *dependency = &subscription->dependencies[i];
		HeapTuple tuple;
		bool same;

		if (!dependency->stored)
			continue;
		if (!ConditionalLockRelationOid(dependency->relation, AccessShareLock))
			return false;
		tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(dependency->relation));
		same = HeapTupleIsValid(tuple) &&
		       ((Form_pg_class) GETSTRUCT(tuple))->relfilenode == dependency->filenode;
		if (HeapTupleIsValid(tuple))
			ReleaseSysCache(tuple);
		UnlockRelationOid(dependency->relation, AccessShareLock);
		if (!same)
			return false;
	}
	return true;
}

/* The rows that the subscription's cut sees are gone. */
void
target_replaced(Oid relation)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
	                errmsg("the content of relation \"%s\" was replaced as a whole",
	                       get_rel_name(relation)),
	                errdetail("TRUNCATE, REFRESH and some forms of ALTER TABLE leave nothing to "
	                          "compare the new rows with."),
	                errhint("Subscribe again.")));
}
