/*-------------------------------------------------------------------------
 *
 * query.c
 *	  The rows of a query: those at a cut, and the difference between two cuts,
 *	  by running it under both.
 *
 * It is run only if one of the relations it reads changed. The query runs as
 * the role that subscribed, with the settings it had then, in a plan that the
 * plan cache keeps up to date.
 *
 * Both results must be those of one and the same query, so:
 *	- nothing in it may depend on anything but rows and captured settings: no
 *	  volatile function, no sampling, nothing that reads the clock;
 *	- when a view in it is redefined, or a partition leaves, the subscription
 *	  ends with an error; a partition that comes is taken in if it was empty at
 *	  the old cut;
 *	- sequential scans start at the beginning, so that a query whose result
 *	  depends on the order of rows sees the same order again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "pg/role.h"
#include "query/dependence.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "subscribe/subscription.h"
#include "view/catalog.h"

/* Does a query, or one in it, write, or lock rows? Sets what to say of it. */
static bool
query_writes_walker(Node *node, const char **detail)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query *query = (Query *) node;

		if (query->commandType != CMD_SELECT || query->hasModifyingCTE)
			*detail = "It writes.";
		else if (query->rowMarks != NIL)
			*detail = "It locks rows.";
		return *detail != NULL || query_tree_walker(query, query_writes_walker, detail, 0);
	}
	return expression_tree_walker(node, query_writes_walker, detail);
}

/* Refuse a query whose result at a cut is not determined by its rows. */
static void
query_refuse(Query *query)
{
	const char *detail = NULL;
	Dependence dependence;

	if (query->commandType == CMD_UTILITY)
		detail = "It is not a SELECT.";
	else if (!query_writes_walker((Node *) query, &detail))
	{
		dependence_judge(query, &dependence);
		if (dependence.kind != DEPENDENCE_FOLLOWED)
			detail = psprintf("Its result at a cut is not known: %s.", dependence.reason);
		else if (dependence.clock)
			detail = "It depends on the current time.";
	}

	if (detail != NULL)
		ereport(ERROR,
		        (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("cannot subscribe to this query"),
		         errdetail_internal("%s", detail)));
}

/* What the rewritten query is, views expanded, as a number. */
static uint64
query_tree_shape(CachedPlanSource *source)
{
	char *tree = nodeToString(source->query_list);
	uint64 shape = hash_bytes_extended((unsigned char *) tree, strlen(tree), 0);

	pfree(tree);
	return shape;
}

/*
 * The query's plan, up to date; locks on its relations are taken. An error if
 * it is the plan of another query by now.
 */
static CachedPlan *
query_plan(Subscription *subscription)
{
	CachedPlan *plan = GetCachedPlan(subscription->query, NULL, CurrentResourceOwner, NULL);

	if (plan->generation != subscription->query_generation)
	{
		if (query_tree_shape(subscription->query) != subscription->query_shape)
		{
			const char *altered = get_rel_name(subscription->altered_relation);

			ereport(ERROR,
			        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			         errmsg("the definition of %s has changed", target_title(subscription)),
			         altered == NULL ? 0 : errdetail("Relation \"%s\" was altered.", altered),
			         errhint("Subscribe again.")));
		}
		subscription->query_generation = plan->generation;
	}
	return plan;
}

/*
 * Take a query, not yet analyzed, as the subscription's target: its columns,
 * and the relations it reads. Locks are taken that the caller's scope releases.
 */
void
query_prepare(Subscription *subscription, RawStmt *parsed, const char *text)
{
	CachedPlanSource *source = CreateCachedPlan(parsed, text, CMDTAG_SELECT);
	List *queries = pg_analyze_and_rewrite_fixedparams(parsed, text, NULL, 0, NULL);
	Query *query;
	CachedPlan *plan;
	MemoryContext caller;
	ListCell *cell;

	if (list_length(queries) != 1)
		ereport(ERROR,
		        (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("cannot subscribe to this query"),
		         errdetail("A rule makes several of it.")));
	query = linitial_node(Query, queries);
	query_refuse(query);

	caller = MemoryContextSwitchTo(subscription->context);
	subscription->columns = ExecCleanTypeFromTL(query->targetList);
	subscription->settings = role_capture_settings();
	MemoryContextSwitchTo(caller);

	CompleteCachedPlan(source, queries, NULL, NULL, 0, NULL, NULL, CURSOR_OPT_GENERIC_PLAN, false);
	SaveCachedPlan(source);
	subscription->query = source;
	subscription->query_shape = query_tree_shape(source);

	plan = query_plan(subscription);
	(void) ExecCheckRTPerms(linitial_node(PlannedStmt, plan->stmt_list)->rtable, true);
	foreach (cell, linitial_node(PlannedStmt, plan->stmt_list)->relationOids)
		target_depend(subscription, lfirst_oid(cell));
	/* made without regard to a cut, it may use an index too young for the first */
	plan->is_valid = false;
	ReleaseCachedPlan(plan, CurrentResourceOwner);
}

/* Does a cut see any row of a relation? */
static bool
query_relation_seen(Oid relid, const Cut *cut)
{
	Relation relation = table_open(relid, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	TableScanDesc scan;
	bool seen;

	cut_push(cut);
	scan = table_beginscan(relation, GetActiveSnapshot(), 0, NULL);
	seen = table_scan_getnextslot(scan, ForwardScanDirection, slot);
	table_endscan(scan);
	cut_pop();
	ExecDropSingleTupleTableSlot(slot);
	table_close(relation, NoLock);
	return seen;
}

/*
 * Compare the relations of an up-to-date plan with those known. One that left
 * took rows with it that cannot be read any more; one that came must not have
 * had any at the subscription's cut. Whether it has some now is said by the ring,
 * or rather not said, from the cut on in which the worker takes it up.
 */
static void
query_check_relations(Subscription *subscription, CachedPlan *plan)
{
	List *relations = linitial_node(PlannedStmt, plan->stmt_list)->relationOids;
	ListCell *cell;

	for (int i = 0; i < subscription->dependency_count; i++)
	{
		const Dependency *dependency = &subscription->dependencies[i];

		if (!list_member_oid(relations, dependency->relation))
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			                errmsg("%s has lost the partition or child table \"%s\"",
			                       target_title(subscription), dependency->name),
			                errhint("Subscribe again.")));
	}
	foreach (cell, relations)
	{
		Oid relation = lfirst_oid(cell);

		if (subscription_depends(subscription, relation))
			continue;
		target_depend(subscription, relation);
		if (!subscription->snapshot_due &&
		    subscription->dependencies[subscription->dependency_count - 1].stored &&
		    query_relation_seen(relation, subscription->cut))
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			                errmsg("%s has got the partition or child table \"%s\", which already "
			                       "had rows",
			                       target_title(subscription), get_rel_name(relation)),
			                errhint("Subscribe again.")));
	}
}

/*
 * Something the query depends on was altered: look whether it is still the
 * same query, and which relations it reads.
 */
void
query_check(Subscription *subscription)
{
	Scope scope;
	Role before;
	CachedPlan *plan;
	bool under_cut = cut_pushed();

	scope_enter(&scope);
	role_subscribe(&before, subscription->user, subscription->settings);
	PG_TRY();
	{
		cut_push(subscription->cut);
		plan = query_plan(subscription);
		query_check_relations(subscription, plan);
		ReleaseCachedPlan(plan, CurrentResourceOwner);
		cut_pop();
	}
	PG_CATCH();
	{
		if (!under_cut)
			cut_reset();
		PG_RE_THROW();
	}
	PG_END_TRY();
	role_restore(&before);
	scope_leave(&scope);
}

/* Run the query under a cut and add its rows so many times. */
static void
query_run(Subscription *subscription, const Cut *cut, Difference *rows, int64 multiplicity)
{
	CachedPlan *plan;

	/* planned under the cut: indexes that are too young for it are left out */
	cut_push(cut);
	plan = query_plan(subscription);
	query_check_relations(subscription, plan);
	difference_add_query(rows, linitial_node(PlannedStmt, plan->stmt_list),
	                     subscription->query->query_string, NULL, multiplicity);
	ReleaseCachedPlan(plan, CurrentResourceOwner);
	cut_pop();
}

/* Add the difference of one or two runs. */
static void
query_runs(Subscription *subscription, const Cut *from, const Cut *to, Difference *rows)
{
	TimestampTz started = GetCurrentTimestamp();
	TimestampTz ended;
	Role before;

	role_subscribe(&before, subscription->user, subscription->settings);
	(void) set_config_option("synchronize_seqscans", "off", PGC_USERSET, PGC_S_SESSION,
	                         GUC_ACTION_SAVE, true, 0, false);
	if (from != NULL)
		query_run(subscription, from, rows, -1);
	query_run(subscription, to, rows, 1);
	role_restore(&before);

	/* never spend more than half of the time on running it again */
	ended = GetCurrentTimestamp();
	subscription->not_before = ended + (ended - started);
}

/*
 * Lock the stored relations the query reads, and check that the rows the
 * subscription's cut sees are still in their files, if they are needed. Returns
 * whether one has another file. The locks end with the caller's scope.
 */
static bool
query_lock(Subscription *subscription, bool rows_needed)
{
	bool moved = false;

	for (int i = 0; i < subscription->dependency_count; i++)
	{
		Dependency *dependency = &subscription->dependencies[i];
		HeapTuple tuple;
		Form_pg_class form;

		if (!dependency->stored)
			continue;
		LockRelationOid(dependency->relation, AccessShareLock);
		tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(dependency->relation));
		if (!HeapTupleIsValid(tuple))
			target_dropped(dependency);
		form = (Form_pg_class) GETSTRUCT(tuple);
		if (rows_needed && !target_file_kept(dependency, form, subscription->cut))
			target_replaced(dependency->relation);
		moved |= form->relfilenode != dependency->filenode;
		dependency->filenode = form->relfilenode;
		ReleaseSysCache(tuple);
	}
	return moved;
}

/* Add the rows at the subscription's cut. */
void
query_snapshot(Subscription *subscription, Difference *rows)
{
	Scope scope;

	scope_enter(&scope);
	(void) query_lock(subscription, false);
	query_runs(subscription, NULL, subscription->cut, rows);
	scope_leave(&scope);
}

/* Did one of the query's relations change between two cuts? */
static bool
query_relations_changed(Subscription *subscription, const Cut *to)
{
	for (int i = 0; i < subscription->dependency_count; i++)
	{
		Dependency *dependency = &subscription->dependencies[i];
		ItemPointerData *places;
		int count;

		if (dependency->stored && frontier_ring_read(subscription->database, dependency->relation,
		                                             subscription->cut->number, to->number, &places,
		                                             &count) != FRONTIER_CHANGES_NONE)
			return true;
	}
	return false;
}

/* Add what changed between the subscription's cut and a later one. */
void
query_change(Subscription *subscription, const Cut *to, Difference *change)
{
	Scope scope;
	bool moved;

	scope_enter(&scope);
	moved = query_lock(subscription, true);
	if (moved || query_relations_changed(subscription, to))
		query_runs(subscription, subscription->cut, to, change);
	scope_leave(&scope);
}
