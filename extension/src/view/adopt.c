/*-------------------------------------------------------------------------
 *
 * adopt.c
 *	  Taking a matview into freshet.view, and letting it go.
 *
 * A view is adopted in two steps. Here, in the user's transaction, its row is
 * made; the worker fills it and its hidden state later (promise 3: nothing of
 * that is in a writer's way). A query is never refused (promise 2): where there
 * is an obstacle the matview stays a plain one, its row says why, and a NOTICE
 * does.
 *
 * Obstacles: volatile functions and samples, whose result is another one at each
 * call, and what is another thing in each session (plan/session.c). Of foreign tables, whose changes cannot be seen, a NOTICE tells.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "cut/frontier.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "pg/role.h"
#include "plan/plan.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "view/adopt.h"
#include "view/apply.h"
#include "view/catalog.h"

PG_FUNCTION_INFO_V1(freshet_adopt);
PG_FUNCTION_INFO_V1(freshet_release);

/* A name for messages. */
static char *
adopt_name(Oid relation)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
	                                  get_rel_name(relation));
}

/* What the relations of a query tell about keeping it. */
typedef struct AdoptRelations
{
	bool sample; /* takes another sample each time */
	Oid foreign; /* a foreign table; InvalidOid: none */
} AdoptRelations;

/* Looks for samples and foreign tables. */
static bool
adopt_relations_walker(Node *node, AdoptRelations *found)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;

		if (entry->rtekind == RTE_RELATION && entry->relkind == RELKIND_FOREIGN_TABLE)
			found->foreign = entry->relid;
		if (entry->tablesample != NULL && entry->tablesample->repeatable == NULL)
			found->sample = true;
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, adopt_relations_walker, found,
		                         QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, adopt_relations_walker, found);
}

/* Finds the first volatile function called. */
static bool
adopt_volatile_function(Oid function, void *found)
{
	if (func_volatile(function) != PROVOLATILE_VOLATILE)
		return false;
	*(Oid *) found = function;
	return true;
}

/* Walks to the first volatile function. */
static bool
adopt_volatile_walker(Node *node, Oid *found)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, adopt_volatile_function, found))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, adopt_volatile_walker, found, 0);
	return expression_tree_walker(node, adopt_volatile_walker, found);
}

/* What a matview's query says about keeping it. */
typedef struct AdoptQuery
{
	const char *obstacle; /* why it cannot be kept; NULL: it can */
	Oid foreign;          /* a foreign table it reads */
	List *settings;       /* of the session, that it reads */
} AdoptQuery;

/* Why a rewritten query cannot be kept, or NULL. */
static const char *
adopt_obstacle(Query *query, Oid *foreign)
{
	AdoptRelations found = {0};
	Oid function = InvalidOid;

	if (contain_volatile_functions((Node *) query))
	{
		if (adopt_volatile_walker((Node *) query, &function) && OidIsValid(function))
			return psprintf("function %s is volatile", format_procedure(function));
		return "its query is volatile";
	}
	(void) adopt_relations_walker((Node *) query, &found);
	*foreign = found.foreign;
	return found.sample ? "TABLESAMPLE without REPEATABLE takes another sample each time"
	                    : plan_session_fault(query);
}

/* The query of a matview as its owner runs it, row security included; NULL: there is none. */
static Query *
adopt_rewrite(Oid view)
{
	Relation relation = table_open(view, AccessShareLock);
	Query *query = NULL;
	List *rewritten = NIL;
	Role before;

	if (relation->rd_rules != NULL && relation->rd_rules->numLocks == 1 &&
	    list_length(relation->rd_rules->rules[0]->actions) == 1)
		query = copyObject(linitial_node(Query, relation->rd_rules->rules[0]->actions));
	if (query != NULL)
	{
		role_compute(&before, relation->rd_rel->relowner, NIL);
		AcquireRewriteLocks(query, true, false);
		rewritten = QueryRewrite(query);
		role_restore(&before);
	}
	table_close(relation, NoLock);
	return list_length(rewritten) == 1 ? linitial_node(Query, rewritten) : NULL;
}

/* Looks at a matview's query. */
static void
adopt_look(Oid view, AdoptQuery *look)
{
	Query *query = adopt_rewrite(view);

	memset(look, 0, sizeof(*look));
	look->obstacle = query == NULL ? "its query is missing" : adopt_obstacle(query, &look->foreign);
	if (look->obstacle == NULL)
		look->settings = plan_session_settings(query);
}

/* Tells that changes of a foreign table are seen late. */
static void
adopt_tell_foreign(Oid view, Oid foreign)
{
	if (OidIsValid(foreign))
		ereport(NOTICE, (errmsg("materialized view \"%s\" is computed anew every second or so: "
		                        "changes of foreign table %s cannot be seen",
		                        get_rel_name(view), adopt_name(foreign)),
		                 errhint("freshet.release() makes it a plain materialized view.")));
}

/* A matview has just been created: maintain it, or say why not. */
void
adopt_created(Oid view)
{
	AdoptQuery look;

	if (!catalog_maintain_default)
	{
		catalog_view_insert(view, false, role_capture_settings());
		catalog_view_set_strategy(view, "none", "freshet.maintain was off when it was created");
		return;
	}
	adopt_look(view, &look);
	catalog_view_insert(view, look.obstacle == NULL,
	                    list_concat(role_capture_settings(), look.settings));
	if (look.obstacle == NULL)
	{
		adopt_tell_foreign(view, look.foreign);
		return;
	}
	catalog_view_set_strategy(view, "none", look.obstacle);
	ereport(NOTICE, (errmsg("materialized view \"%s\" is not kept fresh: %s", get_rel_name(view),
	                        look.obstacle),
	                 errhint("Use REFRESH MATERIALIZED VIEW.")));
}

/* The matview is gone: so are its row and its hidden state. */
void
adopt_dropped(Oid view)
{
	catalog_view_delete(view);
	hidden_drop_all(view);
}

/*
 * Opens a matview for freshet.adopt or freshet.release: locked against the
 * worker and everyone else who writes its row, and owned by the caller.
 */
static void
adopt_lock(Oid view)
{
	char relkind = get_rel_relkind(view);

	if (relkind == '\0')
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
		                errmsg("relation with OID %u does not exist", view)));
	if (relkind != RELKIND_MATVIEW)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
		                errmsg("\"%s\" is not a materialized view", get_rel_name(view))));
	if (!pg_class_ownercheck(view, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_MATVIEW, get_rel_name(view));
	(void) catalog_schema();
	LockRelationOid(view, ShareRowExclusiveLock);
	if (get_rel_relkind(view) != RELKIND_MATVIEW)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
		                errmsg("relation with OID %u does not exist", view)));
}

/* freshet.adopt(regclass): keep this matview fresh from now on */
Datum
freshet_adopt(PG_FUNCTION_ARGS)
{
	Oid view = PG_GETARG_OID(0);
	ViewRow *row;
	List *settings;
	AdoptQuery look;

	PreventCommandDuringRecovery("freshet.adopt()");
	adopt_lock(view);
	row = catalog_view(view);
	if (row != NULL && row->maintain)
		PG_RETURN_VOID();
	adopt_look(view, &look);
	if (look.obstacle != NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		                errmsg("materialized view \"%s\" cannot be kept fresh", get_rel_name(view)),
		                errdetail("In its query, %s.", look.obstacle),
		                errhint("Use REFRESH MATERIALIZED VIEW.")));
	adopt_tell_foreign(view, look.foreign);
	settings = role_capture_settings();
	if (row != NULL)
		settings = role_merge_settings(settings, row->settings);
	catalog_view_insert(view, true, list_concat(settings, look.settings));
	PG_RETURN_VOID();
}

/* freshet.release(regclass): make it a plain matview with the content it has */
Datum
freshet_release(PG_FUNCTION_ARGS)
{
	Oid view = PG_GETARG_OID(0);
	ViewRow *row;

	PreventCommandDuringRecovery("freshet.release()");
	adopt_lock(view);
	row = catalog_view(view);
	if (row != NULL && !row->maintain)
		PG_RETURN_VOID();
	if (row == NULL)
		catalog_view_insert(view, false, role_capture_settings());
	else
		catalog_view_set_maintain(view, false);
	catalog_view_set_strategy(view, "none", "released by freshet.release");
	catalog_view_set_error(view, NULL, NULL);
	hidden_drop_all(view);
	PG_RETURN_VOID();
}
