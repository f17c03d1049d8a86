/*-------------------------------------------------------------------------
 *
 * lock.c
 *	  Locking what a view's query reads without ever waiting.
 *
 * Rewriting and planning lock every relation they come across, and wait for
 * it. The worker must not (worker.h), so before it plans it takes all of those
 * locks here, or none is worth having: base tables with their indexes,
 * inheritance children and partitions, plain views with what they read, and
 * what policies of row security read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "nodes/nodeFuncs.h"
#include "plan/plan.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rowsecurity.h"
#include "storage/lmgr.h"
#include "utils/rel.h"

typedef struct PlanLocks
{
	List *taken; /* of Oid */
	Oid busy;    /* somebody holds a conflicting lock on this one */
} PlanLocks;

static bool plan_lock_walker(Node *node, PlanLocks *locks);

/* Lock an index, as planning does; true: that is not possible now. */
static bool
plan_lock_index(PlanLocks *locks, Oid index)
{
	if (ConditionalLockRelationOid(index, AccessShareLock))
		return false;
	locks->busy = index;
	return true;
}

/* Lock a relation and what stands behind it; true: that is not possible now. */
static bool
plan_lock_relation(PlanLocks *locks, Oid relid)
{
	Relation relation;
	ListCell *cell;
	bool busy = false;

	if (list_member_oid(locks->taken, relid))
		return false;
	if (!ConditionalLockRelationOid(relid, AccessShareLock))
	{
		locks->busy = relid;
		return true;
	}
	locks->taken = lappend_oid(locks->taken, relid);
	relation = try_relation_open(relid, NoLock);
	if (relation == NULL)
		return false; /* planning says so */
	if (relation->rd_rel->relkind == RELKIND_VIEW && relation->rd_rules != NULL)
		for (int i = 0; i < relation->rd_rules->numLocks && !busy; i++)
			busy = plan_lock_walker((Node *) relation->rd_rules->rules[i]->actions, locks);
	if (relation->rd_rsdesc != NULL)
		foreach (cell, relation->rd_rsdesc->policies)
			busy = busy ||
			       plan_lock_walker((Node *) ((RowSecurityPolicy *) lfirst(cell))->qual, locks);
	foreach (cell, RelationGetIndexList(relation))
		busy = busy || plan_lock_index(locks, lfirst_oid(cell));
	relation_close(relation, NoLock);
	foreach (cell, find_inheritance_children(relid, NoLock))
		busy = busy || plan_lock_relation(locks, lfirst_oid(cell));
	return busy;
}

/* Lock the relations of a query, at any depth. */
static bool
plan_lock_walker(Node *node, PlanLocks *locks)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, plan_lock_walker, locks, QTW_EXAMINE_RTES_BEFORE);
	if (IsA(node, RangeTblEntry))
		return ((RangeTblEntry *) node)->rtekind == RTE_RELATION &&
		       plan_lock_relation(locks, ((RangeTblEntry *) node)->relid);
	return expression_tree_walker(node, plan_lock_walker, locks);
}

/*
 * Take ACCESS SHARE on all that planning this view's query will lock. Returns
 * InvalidOid, or the relation that somebody has locked against us; then the
 * locks taken so far stay until the end of the transaction.
 */
Oid
plan_lock_relations(Relation view)
{
	PlanLocks locks = {0};

	if (view->rd_rules != NULL)
		for (int i = 0; i < view->rd_rules->numLocks; i++)
			if (plan_lock_walker((Node *) view->rd_rules->rules[i]->actions, &locks))
				break;
	list_free(locks.taken);
	return locks.busy;
}
