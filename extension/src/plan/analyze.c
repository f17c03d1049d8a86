/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  What a view's query is made of, and the strategy that follows from it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_agg.h"
#include "parser/parsetree.h"
#include "plan/normalise.h"
#include "plan/tree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/*
 * The query of a materialized view, rewritten with plain views and row
 * security expanded, with what it asks about the session answered, and whole rows of
 * subqueries as columns of them (row.c); NULL if the relation has none. Locks what it
 * reads with AccessShareLock.
 */
static Query *
plan_view_query(Relation view, List *settings)
{
	RuleLock *rules = view->rd_rules;
	Query *query;
	List *rewritten;

	if (rules == NULL || rules->numLocks != 1 || list_length(rules->rules[0]->actions) != 1)
		return NULL;
	query = copyObject(linitial_node(Query, rules->rules[0]->actions));
	AcquireRewriteLocks(query, true, false);
	rewritten = QueryRewrite(query);
	if (list_length(rewritten) != 1)
		return NULL;
	query = session_constants(linitial_node(Query, rewritten), view->rd_rel->relowner, settings);
	query = plan_clock_parameter(query);
	row_rewrite(query);
	return query;
}

/* Add a relation, once. */
static void
plan_add_relation(ViewPlan *plan, Oid relid)
{
	PlanRelation *relation;
	Relation open;
	ListCell *cell;

	foreach (cell, plan->relations)
		if (((PlanRelation *) lfirst(cell))->relid == relid)
			return;
	open = try_relation_open(relid, AccessShareLock);
	if (open == NULL)
		return;
	relation = palloc(sizeof(PlanRelation));
	relation->relid = relid;
	relation->relkind = open->rd_rel->relkind;
	relation->node = open->rd_node;
	plan->relations = lappend(plan->relations, relation);
	relation_close(open, AccessShareLock);
}

/* Every relation the query reads, at any depth, inheritance children too. */
static bool
plan_relations_walker(Node *node, ViewPlan *plan)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, plan_relations_walker, plan,
		                         QTW_EXAMINE_RTES_BEFORE);
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION && rte->relid != plan->view && OidIsValid(rte->relid))
		{
			plan_add_relation(plan, rte->relid);
			if (rte->inh)
			{
				List *children = find_all_inheritors(rte->relid, AccessShareLock, NULL);
				ListCell *cell;

				plan->inherited = list_concat(plan->inherited, children);
				foreach (cell, children)
					plan_add_relation(plan, lfirst_oid(cell));
			}
		}
		return false;
	}
	return expression_tree_walker(node, plan_relations_walker, plan);
}

/* Collect the relations that a query reads. */
void
plan_relations(ViewPlan *plan, Query *query)
{
	(void) plan_relations_walker((Node *) query, plan);
}

/* Can the changes of this relation be known version by version? NULL: yes. */
const char *
plan_check_leaf(RangeTblEntry *rte)
{
	if (rte->tablesample)
		return "TABLESAMPLE";
	if (rte->relkind == RELKIND_PARTITIONED_TABLE)
		return "partitioned table";
	if (rte->relkind != RELKIND_RELATION && rte->relkind != RELKIND_MATVIEW)
		return "relation that is not a table";
	if (rte->inh && has_subclass(rte->relid))
		return "table with inheritance children";
	if (OidIsValid(rte->relid) && get_rel_persistence(rte->relid) != RELPERSISTENCE_PERMANENT)
		return "table that is not logged";
	return NULL;
}

static const char *plan_check_query(ViewPlan *plan, Query *query);

/* Check a FROM item for strategy A and collect its leaves; NULL: it fits. */
static const char *
plan_check_from(ViewPlan *plan, Query *query, Node *node)
{
	const char *reason;
	ListCell *cell;

	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable);
		PlanLeaf *leaf;

		switch (rte->rtekind)
		{
			case RTE_RELATION:
				reason = plan_check_leaf(rte);
				if (reason)
					return reason;
				leaf = palloc(sizeof(PlanLeaf));
				leaf->relid = rte->relid;
				leaf->self = rte->ctename != NULL;
				plan->leaves = lappend(plan->leaves, leaf);
				return NULL;
			case RTE_SUBQUERY:
				return plan_check_query(plan, rte->subquery);
			case RTE_FUNCTION:
			case RTE_VALUES:
			case RTE_RESULT:
				return NULL;
			case RTE_CTE:
				return plan_with_reason(NULL);
			default:
				return "FROM item of another kind";
		}
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;

		if (join->jointype != JOIN_INNER)
			return "outer join";
		reason = plan_check_from(plan, query, join->larg);
		return reason ? reason : plan_check_from(plan, query, join->rarg);
	}
	foreach (cell, castNode(FromExpr, node)->fromlist)
	{
		reason = plan_check_from(plan, query, lfirst(cell));
		if (reason)
			return reason;
	}
	return NULL;
}

/* Check a tree of set operations: UNION ALL only. */
static const char *
plan_check_union(ViewPlan *plan, Query *query, Node *node)
{
	SetOperationStmt *operation;
	const char *reason;

	if (IsA(node, RangeTblRef))
		return plan_check_query(plan,
		                        rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable)->subquery);
	operation = castNode(SetOperationStmt, node);
	if (operation->op != SETOP_UNION || !operation->all)
		return "set operation other than UNION ALL";
	reason = plan_check_union(plan, query, operation->larg);
	return reason ? reason : plan_check_union(plan, query, operation->rarg);
}

/* Check a query for strategy A and collect its leaves; NULL: it fits. */
static const char *
plan_check_query(ViewPlan *plan, Query *query)
{
	if (query->commandType != CMD_SELECT || query->hasModifyingCTE)
		return "data-modifying query";
	if (query->cteList != NIL)
		return plan_with_reason(query);
	if (query->hasSubLinks)
		return "subquery in an expression";
	if (query->hasWindowFuncs)
		return "window function";
	if (query->distinctClause != NIL)
		return "DISTINCT";
	if (query->limitCount != NULL || query->limitOffset != NULL)
		return "LIMIT";
	if (query->rowMarks != NIL)
		return "row locking";
	if (query->groupingSets != NIL)
		return "grouping sets";
	if (query->hasAggs || query->groupClause != NIL || query->havingQual != NULL)
		return "grouping below the top of the query";
	if (query->setOperations != NULL)
		return plan_check_union(plan, query, query->setOperations);
	return plan_check_from(plan, query, (Node *) query->jointree);
}

/* Does the inner query's delta have algebraic terms? NULL: yes. */
const char *
plan_check_terms(ViewPlan *plan)
{
	const char *reason;

	if (plan_reads_clock((Node *) plan->inner))
		return "clock";
	reason = plan_check_query(plan, plan->inner);
	if (reason == NULL && tree_special((Node *) plan->inner, NULL))
		reason = "system column or whole row";
	if (reason)
		plan->leaves = NIL;
	return reason;
}

/* Is the clock read by comparisons of blocks alone? NULL: yes. */
static const char *
plan_check_clock(ViewPlan *plan)
{
	ListCell *cell;
	ListCell *leaf;

	plan->timed = false;
	foreach (cell, plan->blocks)
		foreach (leaf, ((PlanBlock *) lfirst(cell))->leaves)
			plan->timed |= ((PlanBlockLeaf *) lfirst(leaf))->clock != NULL;
	if (plan->by_key)
	{
		/* what lies above the rows that the keys are taken from */
		for (int depth = 0; depth < plan->key_depth; depth++)
		{
			Query *query = plan_key_query(plan->block, depth);

			if (plan_reads_clock((Node *) query->targetList) ||
			    plan_reads_clock((Node *) query->jointree))
				return "clock above groups or partitions";
		}
	}
	if (plan_reads_clock((Node *) plan->output) || plan_reads_clock(plan->having))
		return "clock over groups";
	return NULL;
}

/* Split a block at its grouping, if any; NULL: the plan's inner query is set. */
static const char *
plan_split(ViewPlan *plan, Query *query)
{
	if (!plan_needs_keys(query))
	{
		plan->inner = copyObject(query);
		plan->inner->sortClause = NIL;
		return NULL;
	}
	if (plan_split_groups(plan, query) == NULL)
		return NULL;
	plan->aggregates = plan->output = NIL;
	plan->having = NULL;
	return plan_split_keys(plan, query);
}

/* Can a view be brought from cut to cut by the changes of its tables? */
bool
plan_follows(const ViewPlan *plan)
{
	return plan->strategy == PLAN_ALGEBRAIC || plan->strategy == PLAN_KEYS;
}

/* Are rows of a block computed anew for the keys that changes touch? */
bool
plan_keyed(const ViewPlan *plan)
{
	return plan->by_key || plan->blocks != NIL;
}

/* Forget what was found out about a block. */
static void
plan_reset_block(ViewPlan *plan)
{
	ViewPlan kept = *plan;

	memset(plan, 0, sizeof(ViewPlan));
	plan->view = kept.view;
	plan->owner = kept.owner;
	plan->clock = kept.clock;
	plan->recursive = kept.recursive;
	plan->definitions = kept.definitions;
	plan->query = kept.query;
	plan->relations = kept.relations;
	plan->inherited = kept.inherited;
	plan->block = kept.block;
	plan->parts = kept.parts;
	plan->obstacle = kept.obstacle;
	plan->determined = kept.determined;
}

/*
 * Choose the strategy of a block, and take it apart for it. The tables of parts
 * may not be known yet.
 */
void
plan_classify(ViewPlan *plan)
{
	const char *top = "joins, filters and projections";
	const char *below;
	const char *reason;

	plan_reset_block(plan);
	plan->strategy = PLAN_RECOMPUTE;
	if (plan_check_limit(plan) || plan_check_recursion(plan))
		return;
	reason = plan_split(plan, plan->block);
	if (reason != NULL)
	{
		plan->reason = psprintf("the query has: %s", reason);
		(void) plan_check_whole(plan);
		return;
	}
	plan->inner = plan_prepare(plan->inner);
	if (plan->by_key)
		for (int key = 0; key < plan->key_count; key++)
			plan->keys =
			    lappend(plan->keys, list_nth_node(TargetEntry, plan->inner->targetList, key)->expr);
	below = plan_check_terms(plan);
	if (below == NULL && plan->leaves == NIL)
		below = "no table";
	if (below != NULL)
	{
		plan->inner = plan_distribute(plan_split_full(plan->inner));
		reason = plan_make_blocks(plan);
	}
	if (reason == NULL)
		reason = plan_check_clock(plan);
	if (reason != NULL)
	{
		plan->blocks = NIL;
		plan->grouped = plan->by_key = false;
		plan->reason = psprintf("the query has: %s", reason);
		(void) plan_check_whole(plan);
		return;
	}
	if (plan->grouped)
		plan_shown(plan);
	else if (!plan->by_key)
		plan_identity(plan);
	plan->strategy = plan_keyed(plan) ? PLAN_KEYS : PLAN_ALGEBRAIC;
	if (plan->by_key)
		top = "joins, filters and projections under groups or partitions that are computed anew";
	else if (plan->grouped)
		top = "joins, filters and projections under a grouping with reversible states";
	plan->reason =
	    below == NULL ? pstrdup(top) : psprintf("%s; rows are computed anew for: %s", top, below);
	if (plan->parts != NIL)
		plan->reason = psprintf("%s, over parts", plan->reason);
}

/* How a view is kept: as that of its blocks which is the worst. */
PlanStrategy
plan_strategy(const ViewPlan *plan)
{
	PlanStrategy strategy = plan->strategy;
	ListCell *cell;

	foreach (cell, plan->parts)
		if (((PlanPart *) lfirst(cell))->plan->strategy == PLAN_KEYS)
			strategy = PLAN_KEYS;
	return strategy;
}

/* Would the order of its parts' rows change what a block gives? */
static bool
plan_order_obstacle(const ViewPlan *plan, List *parts)
{
	/* the end of a limit is looked after (ViewPlan.ties) */
	if (plan->strategy != PLAN_KEYS || plan->block->limitCount != NULL ||
	    plan->block->limitOffset != NULL)
		return false;
	return plan_order_matters(plan->block, parts);
}

/*
 * Parts are worth their while only if no block is recomputed, and right only if
 * nothing speaks against the blocks; otherwise the query is left whole.
 */
static void
plan_judge_parts(ViewPlan *plan)
{
	const char *reason = plan->obstacle;
	const char *ordered =
	    "the query has: something over a subquery that depends on the order of its rows";
	ListCell *cell;

	if (reason == NULL && plan_order_obstacle(plan, plan->parts))
		reason = ordered;
	foreach (cell, plan->parts)
	{
		ViewPlan *part = ((PlanPart *) lfirst(cell))->plan;

		plan_classify(part);
		if (reason == NULL && plan_order_obstacle(part, plan->parts))
			reason = ordered;
		if (reason == NULL && part->strategy == PLAN_RECOMPUTE)
			reason = part->reason;
		else if (reason == NULL && part->ties > 0)
			reason = "the query has: LIMIT in a subquery whose ORDER BY leaves rows in ties";
	}
	if (plan->strategy != PLAN_RECOMPUTE && reason != NULL)
	{
		plan_reset_block(plan);
		plan->strategy = PLAN_RECOMPUTE;
		plan->reason =
		    reason == plan->obstacle ? psprintf("the query has: %s", reason) : pstrdup(reason);
	}
	if (plan->strategy == PLAN_RECOMPUTE)
	{
		plan->parts = NIL;
		plan->obstacle = NULL;
		plan->block = plan->query;
		/* what cannot be taken apart may have keys as it is */
		reason = plan->reason;
		plan_classify(plan);
		if (plan->strategy == PLAN_RECOMPUTE)
			plan->reason = pstrdup(reason);
	}
}

/*
 * Decide what the view's query lets decide at once: true, and it is not kept, or run
 * as a whole because of what cannot be followed.
 */
static bool
plan_depends(ViewPlan *plan)
{
	Dependence dependence;

	dependence_judge(plan->query, &dependence);
	plan->reason = dependence.reason;
	plan->strategy = PLAN_RECOMPUTE;
	plan->foreign = dependence.foreign;
	switch (dependence.kind)
	{
		case DEPENDENCE_FOLLOWED:
			return false;
		case DEPENDENCE_UNSEEN:
			plan->blind = true;
			plan->reason = psprintf("%s: computed anew after every transaction", plan->reason);
			break;
		case DEPENDENCE_LATE:
			plan->blind = plan->clock = true;
			plan->reason = psprintf(
			    "%s: computed anew after every transaction, and every second or so", plan->reason);
			break;
		case DEPENDENCE_NONE:
			plan->strategy = PLAN_NONE;
			break;
	}
	return true;
}

/* Keep a view by strategy C after all. */
void
plan_give_up(ViewPlan *plan, const char *reason)
{
	plan_reset_block(plan);
	plan->strategy = PLAN_RECOMPUTE;
	plan->parts = NIL;
	plan->obstacle = NULL;
	plan->block = plan->query;
	plan->clock |= plan_reads_clock((Node *) plan->query);
	plan->reason = psprintf("the query has: %s", reason);
}

/*
 * What is computed by keys must not depend on the order in which rows are met:
 * have the queries decide it, in the view's own query as in its blocks.
 */
static void
plan_settle_order(ViewPlan *plan)
{
	Query *query = copyObject(plan->query);
	bool changed = false;
	const char *reason = plan_determine(query, plan->parts, &changed);
	bool given_up = false;
	ListCell *cell;

	if (plan->whole)
	{
		/* the end of a limit is looked after (ViewPlan.ties) */
		changed = false;
		reason = NULL;
		foreach (cell, plan->parts)
			if (reason == NULL)
				reason = plan_determine(copyObject(((PlanPart *) lfirst(cell))->plan->block),
				                        plan->parts, &changed);
		if (changed && reason == NULL)
			reason = "LIMIT over something that depends on the order of rows";
	}
	if (reason == NULL && !changed)
		return;
	if (reason != NULL)
	{
		plan_give_up(plan, reason);
		return;
	}
	plan->determined = true;
	plan->block = copyObject(plan->block);
	reason = plan_determine(plan->block, plan->parts, &changed);
	foreach (cell, plan->parts)
	{
		ViewPlan *part = ((PlanPart *) lfirst(cell))->plan;

		part->determined = true;
		/* it may have nodes in common with the view's query */
		part->block = copyObject(part->block);
		if (reason == NULL)
			reason = plan_determine(part->block, plan->parts, &changed);
		part->query = part->block;
		plan_classify(part);
		given_up |= part->strategy == PLAN_RECOMPUTE;
	}
	plan_classify(plan);
	if (reason != NULL || given_up || plan->strategy == PLAN_RECOMPUTE)
	{
		plan->determined = false;
		plan_give_up(plan, reason ? reason : "something that depends on the order of rows");
		return;
	}
	plan->query = query;
}

/*
 * Take a view's query apart, in the current memory context. If it has parts,
 * plan_bind has to give them tables before any query is made from the plan.
 *
 * The caller has locked the view, and is its owner. settings are those kept with it.
 * Errors are those of rewriting the query.
 */
ViewPlan *
plan_view(Relation view, List *settings)
{
	ViewPlan *plan = palloc0(sizeof(ViewPlan));
	Query *query = plan_view_query(view, settings);
	bool keyed;
	ListCell *cell;

	plan->view = RelationGetRelid(view);
	plan->owner = view->rd_rel->relowner;
	plan->query = plan->block = query;
	plan->recursive = plan_recursive((Node *) query, NULL);
	if (query == NULL)
	{
		plan->strategy = PLAN_NONE;
		plan->reason = "the view has no query";
		return plan;
	}
	plan_relations(plan, query);

	definitions_collect(query, &plan->definitions);
	if (plan_depends(plan))
		return plan;
	plan_normalise(plan);
	plan_classify(plan);
	plan_judge_parts(plan);
	keyed = plan_keyed(plan);
	foreach (cell, plan->parts)
		keyed |= plan_keyed(((PlanPart *) lfirst(cell))->plan);
	if (keyed)
		plan_settle_order(plan);
	plan->clock |= plan->strategy == PLAN_RECOMPUTE && plan_reads_clock((Node *) query);
	return plan;
}
