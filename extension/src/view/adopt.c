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
 * What is an obstacle, query/dependence.c decides. Of a view that is kept by strategy C a
 * NOTICE tells why, what one run costs and what would help; freshet.strict refuses it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "cut/frontier.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pg/role.h"
#include "plan/plan.h"
#include "query/dependence.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "view/adopt.h"
#include "view/apply.h"
#include "view/catalog.h"

PG_FUNCTION_INFO_V1(freshet_adopt);
PG_FUNCTION_INFO_V1(freshet_release);

bool adopt_strict = false;

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

/* What a matview's query depends on; gives the settings of the session that it reads. */
static List *
adopt_judge(Oid view, Dependence *dependence)
{
	Query *query = adopt_rewrite(view);

	if (query == NULL)
	{
		*dependence = (Dependence){DEPENDENCE_NONE, pstrdup("its query is missing")};
		return NIL;
	}
	dependence_judge(query, dependence);
	return dependence->kind == DEPENDENCE_NONE ? NIL : session_settings(query);
}

/* See adopt.h. */
bool
adopt_late(Oid view)
{
	ViewRow *row = catalog_view(view);
	Dependence dependence;

	if (row == NULL || row->strategy == NULL || strcmp(row->strategy, "C") != 0)
		return false;
	(void) adopt_judge(view, &dependence);
	return dependence.kind == DEPENDENCE_LATE;
}

/* The plan's reason for running a matview's query whole, or NULL; an error is the worker's to tell. */
static const char *
adopt_whole(Oid view, List *settings)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	const char *volatile reason = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		Relation relation = table_open(view, AccessShareLock);
		ViewPlan *plan;
		Role before;

		role_compute(&before, relation->rd_rel->relowner, settings);
		plan = plan_view(relation, settings);
		role_restore(&before);
		table_close(relation, NoLock);
		if (plan_strategy(plan) == PLAN_RECOMPUTE)
			reason = plan->reason;
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (adopt_strict)
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return reason;
}

/* Tells, or refuses, a matview that cannot follow changes; took_us as for adopt_created. */
static void
adopt_tell(Oid view, const Dependence *dependence, List *settings, int64 took_us)
{
	static const char *const when[] = {
	    [DEPENDENCE_FOLLOWED] = "when what it reads changes",
	    [DEPENDENCE_UNSEEN] = "after every transaction",
	    [DEPENDENCE_LATE] = "after every transaction, and every second or so",
	};
	const char *reason =
	    dependence->kind == DEPENDENCE_FOLLOWED ? adopt_whole(view, settings) : dependence->reason;
	const char *advice = reason != NULL ? plan_advice(reason) : NULL;
	char *cost = "One run takes less than 100 ms.";

	if (reason == NULL)
		return;
	if (took_us >= 100000)
		cost = psprintf("One run takes about " INT64_FORMAT " ms.", took_us / 1000);
	if (adopt_strict)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		                errmsg("materialized view \"%s\" cannot follow changes: %s",
		                       get_rel_name(view), reason),
		                errdetail("freshet.strict is on, and it would be computed anew %s.",
		                          when[dependence->kind]),
		                advice != NULL ? errhint("%s", advice) : 0));
	ereport(NOTICE, (errmsg("materialized view \"%s\" is computed anew %s: %s", get_rel_name(view),
	                        when[dependence->kind], reason),
	                 took_us > 0 ? errdetail_internal("%s", cost) : 0,
	                 errhint("%s", advice != NULL ? advice
	                                              : "freshet.release() makes it a plain "
	                                                "materialized view.")));
}

/* A matview has just been created: maintain it, or say why not. */
void
adopt_created(Oid view, int64 took_us)
{
	Dependence dependence;
	List *settings;
	const char *advice;

	if (!catalog_maintain_default)
	{
		catalog_view_insert(view, false, role_capture_settings());
		catalog_view_set_strategy(view, "none", "freshet.maintain was off when it was created");
		return;
	}
	settings = role_capture_settings();
	settings = list_concat(settings, adopt_judge(view, &dependence));
	catalog_view_insert(view, dependence.kind != DEPENDENCE_NONE, settings);
	if (dependence.kind != DEPENDENCE_NONE)
	{
		adopt_tell(view, &dependence, settings, took_us);
		return;
	}
	catalog_view_set_strategy(view, "none", dependence.reason);
	advice = plan_advice(dependence.reason);
	ereport(adopt_strict ? ERROR : NOTICE,
	        (errcode(adopt_strict ? ERRCODE_FEATURE_NOT_SUPPORTED : ERRCODE_SUCCESSFUL_COMPLETION),
	         errmsg("materialized view \"%s\" is not kept fresh: %s", get_rel_name(view),
	                dependence.reason),
	         errhint("%s", advice != NULL ? advice : "Use REFRESH MATERIALIZED VIEW.")));
}

/* See adopt.h. */
void
adopt_again(Oid view, List *settings)
{
	Dependence dependence;
	List *captured = role_capture_settings();

	captured = list_concat(captured, adopt_judge(view, &dependence));
	catalog_view_insert(view, dependence.kind != DEPENDENCE_NONE,
	                    role_merge_settings(captured, settings));
	if (dependence.kind == DEPENDENCE_NONE)
		catalog_view_set_strategy(view, "none", dependence.reason);
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
	List *session;
	Dependence dependence;

	PreventCommandDuringRecovery("freshet.adopt()");
	adopt_lock(view);
	row = catalog_view(view);
	if (row != NULL && row->maintain)
		PG_RETURN_VOID();
	session = adopt_judge(view, &dependence);
	if (dependence.kind == DEPENDENCE_NONE)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		                errmsg("materialized view \"%s\" cannot be kept fresh", get_rel_name(view)),
		                errdetail("In its query, %s.", dependence.reason),
		                errhint("Use REFRESH MATERIALIZED VIEW.")));
	settings = role_capture_settings();
	if (row != NULL)
		settings = role_merge_settings(settings, row->settings);
	settings = list_concat(settings, session);
	catalog_view_insert(view, true, settings);
	adopt_tell(view, &dependence, settings, 0);
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
