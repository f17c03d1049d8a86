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
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_agg.h"
#include "parser/parsetree.h"
#include "plan/plan.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/*
 * The query of a materialized view, rewritten with plain views and row
 * security expanded; NULL if the relation has none. Locks what it reads with
 * AccessShareLock.
 */
Query *
plan_view_query(Relation view)
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
	return linitial_node(Query, rewritten);
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

/* Is this function's result decided by more than its arguments and settings? */
static bool
function_reads_outside(Oid function, void *context)
{
	HeapTuple tuple;
	bool result;

	switch (function)
	{
		case F_NOW:
		case F_STATEMENT_TIMESTAMP:
		case F_TRANSACTION_TIMESTAMP:
			return true;
		default:
			break;
	}
	if (func_volatile(function) != PROVOLATILE_STABLE)
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return true;
	/* stable functions of the core depend on settings, which are replayed */
	result = ((Form_pg_proc) GETSTRUCT(tuple))->prolang != INTERNALlanguageId;
	ReleaseSysCache(tuple);
	return result;
}

/* Does an expression read the clock, or tables through a function? */
static bool
plan_clock_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction))
		return true;
	if (check_functions_in_node(node, function_reads_outside, context))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, plan_clock_walker, context, 0);
	return expression_tree_walker(node, plan_clock_walker, context);
}

/* Does an expression use system columns or whole rows? */
static bool
plan_special_var_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varattno <= 0;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, plan_special_var_walker, context, 0);
	return expression_tree_walker(node, plan_special_var_walker, context);
}

static const char *plan_check_query(ViewPlan *plan, Query *query, bool top);

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
				if (rte->tablesample)
					return "TABLESAMPLE";
				if (rte->relkind == RELKIND_PARTITIONED_TABLE)
					return "partitioned table";
				if (rte->relkind != RELKIND_RELATION && rte->relkind != RELKIND_MATVIEW)
					return "relation that is not a table";
				if (rte->inh && has_subclass(rte->relid))
					return "table with inheritance children";
				if (OidIsValid(rte->relid) &&
				    get_rel_persistence(rte->relid) != RELPERSISTENCE_PERMANENT)
					return "table that is not logged";
				leaf = palloc(sizeof(PlanLeaf));
				leaf->relid = rte->relid;
				plan->leaves = lappend(plan->leaves, leaf);
				return NULL;
			case RTE_SUBQUERY:
				return plan_check_query(plan, rte->subquery, false);
			case RTE_FUNCTION:
			case RTE_VALUES:
			case RTE_RESULT:
				return NULL;
			case RTE_CTE:
				return "WITH query";
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
		return plan_check_query(
		    plan, rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable)->subquery, false);
	operation = castNode(SetOperationStmt, node);
	if (operation->op != SETOP_UNION || !operation->all)
		return "set operation other than UNION ALL";
	reason = plan_check_union(plan, query, operation->larg);
	return reason ? reason : plan_check_union(plan, query, operation->rarg);
}

/*
 * Check a query for strategy A and collect its leaves; NULL: it fits. The top
 * query may be grouped, and its ORDER BY has no lasting effect.
 */
static const char *
plan_check_query(ViewPlan *plan, Query *query, bool top)
{
	if (query->commandType != CMD_SELECT || query->hasModifyingCTE)
		return "data-modifying query";
	if (query->cteList != NIL)
		return "WITH query";
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
	if (!top && (query->hasAggs || query->groupClause != NIL || query->havingQual != NULL))
		return "grouping below the top of the query";
	if (query->setOperations != NULL)
		return plan_check_union(plan, query, query->setOperations);
	return plan_check_from(plan, query, (Node *) query->jointree);
}

/* Collect the distinct aggregate calls of an expression. */
static bool
plan_aggref_walker(Node *node, List **aggrefs)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
	{
		*aggrefs = list_append_unique(*aggrefs, node);
		return false;
	}
	return expression_tree_walker(node, plan_aggref_walker, aggrefs);
}

/*
 * Describe an aggregate call for the maintenance of its state; returns NULL
 * and a reason if its state cannot follow changes exactly.
 */
static PlanAggregate *
plan_aggregate(Aggref *aggref, const char **reason)
{
	PlanAggregate *result = palloc0(sizeof(PlanAggregate));
	Oid types[FUNC_MAX_ARGS];
	int type_count = get_aggregate_argtypes(aggref, types);
	HeapTuple tuple;
	Form_pg_aggregate form;
	bool isnull;
	Datum initial;
	bool moving;

	*reason = NULL;
	if (aggref->aggkind != AGGKIND_NORMAL)
		*reason = "ordered-set aggregate";
	else if (aggref->aggdistinct != NIL)
		*reason = "DISTINCT in an aggregate";
	else if (aggref->aggorder != NIL)
		*reason = "ORDER BY in an aggregate";
	else if (aggref->agglevelsup != 0)
		*reason = "aggregate of an outer query";
	if (*reason)
		return NULL;

	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggref->aggfnoid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	result->aggref = aggref;

	/* an internal state can be stored only by the plain form's functions */
	moving = OidIsValid(form->aggminvtransfn) &&
	         (form->aggmtranstype != INTERNALOID ||
	          (form->aggtranstype == INTERNALOID && form->aggtransfn == form->aggmtransfn));
	if (moving)
	{
		result->inverse = PLAN_INVERSE_FUNCTION;
		result->transition_function = form->aggmtransfn;
		result->inverse_function = form->aggminvtransfn;
		result->final_function = form->aggmfinalfn;
		result->final_extra = form->aggmfinalextra;
		result->transition_type = form->aggmtranstype;
		if (OidIsValid(form->aggmfinalfn) && form->aggmfinalmodify != AGGMODIFY_READ_ONLY)
			*reason = "aggregate whose final function changes the state";
		initial = SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_aggminitval, &isnull);
	}
	else
	{
		result->inverse = OidIsValid(form->aggsortop) ? PLAN_INVERSE_EXTREME : PLAN_INVERSE_NONE;
		result->transition_function = form->aggtransfn;
		result->final_function = form->aggfinalfn;
		result->final_extra = form->aggfinalextra;
		result->transition_type = form->aggtranstype;

		/*
		 * Without an inverse a state may only be added to if the order does
		 * not matter: built-in aggregates whose transition function is their
		 * combine function, but not sums of floats.
		 */
		if (aggref->aggfnoid >= FirstNormalObjectId ||
		    (!OidIsValid(form->aggsortop) &&
		     (form->aggcombinefn != form->aggtransfn || form->aggtranstype == FLOAT4OID ||
		      form->aggtranstype == FLOAT8OID)))
			*reason = "aggregate whose state cannot be changed";
		if (OidIsValid(form->aggfinalfn) && form->aggfinalmodify != AGGMODIFY_READ_ONLY)
			*reason = "aggregate whose final function changes the state";
		initial = SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_agginitval, &isnull);
	}
	if (!isnull)
		result->initial_value = TextDatumGetCString(initial);

	result->transition_type =
	    resolve_aggregate_transtype(aggref->aggfnoid, result->transition_type, types, type_count);
	result->stored_type = result->transition_type;
	if (result->transition_type == INTERNALOID)
	{
		result->stored_type = BYTEAOID;
		result->serialize_function = form->aggserialfn;
		result->deserialize_function = form->aggdeserialfn;
		if (!OidIsValid(form->aggserialfn) || !OidIsValid(form->aggdeserialfn))
			*reason = "aggregate whose state cannot be stored";
	}
	if (get_typtype(result->stored_type) == TYPTYPE_PSEUDO)
		*reason = "aggregate whose state cannot be stored";
	if (result->inverse == PLAN_INVERSE_EXTREME)
	{
		TypeCacheEntry *type = lookup_type_cache(result->transition_type, TYPECACHE_EQ_OPR);

		result->extreme_operator = type->eq_opr;
		if (!OidIsValid(type->eq_opr))
			*reason = "aggregate over a type without equality";
	}
	ReleaseSysCache(tuple);
	return *reason ? NULL : result;
}

typedef struct OutputContext
{
	List *keys;       /* expressions */
	List *aggregates; /* of PlanAggregate * */
	bool failed;      /* a column is neither */
} OutputContext;

/* Replace group keys and aggregates by attributes of the groups' relation. */
static Node *
plan_output_mutator(Node *node, OutputContext *context)
{
	ListCell *cell;
	int attribute = 1;

	if (node == NULL)
		return NULL;
	foreach (cell, context->keys)
	{
		if (equal(node, lfirst(cell)))
			return (Node *) makeVar(1, attribute, exprType(node), exprTypmod(node),
			                        exprCollation(node), 0);
		attribute++;
	}
	if (IsA(node, Aggref))
	{
		foreach (cell, context->aggregates)
		{
			if (equal(node, ((PlanAggregate *) lfirst(cell))->aggref))
				return (Node *) makeVar(1, attribute, exprType(node), exprTypmod(node),
				                        exprCollation(node), 0);
			attribute++;
		}
	}
	if (IsA(node, Var))
		context->failed = true;
	return expression_tree_mutator(node, plan_output_mutator, context);
}

/* Collect columns of the grouped query that stand outside of aggregates. */
static bool
plan_bare_var_walker(Node *node, OutputContext *context)
{
	ListCell *cell;

	if (node == NULL || IsA(node, Aggref))
		return false;
	foreach (cell, context->keys)
		if (equal(node, lfirst(cell)))
			return false;
	if (IsA(node, Var))
	{
		context->keys = lappend(context->keys, node);
		return false;
	}
	return expression_tree_walker(node, plan_bare_var_walker, context);
}

/*
 * Split a grouped query into its inner query (keys, then each aggregate's
 * arguments and filter) and the output over groups; NULL: done, else why not.
 */
static const char *
plan_split_groups(ViewPlan *plan, Query *query)
{
	Query *inner = copyObject(query);
	OutputContext context = {0};
	List *equality = NIL;
	List *aggrefs = NIL;
	List *columns = NIL;
	ListCell *cell;
	const char *reason;
	int i;

	if (query->hasTargetSRFs)
		return "set-returning function over groups";
	foreach (cell, query->groupClause)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, cell);
		TargetEntry *entry = get_sortgroupclause_tle(clause, query->targetList);

		if (!clause->hashable || get_typtype(exprType((Node *) entry->expr)) == TYPTYPE_PSEUDO)
			return "group key that cannot be hashed";
		context.keys = lappend(context.keys, entry->expr);
		equality = lappend_oid(equality, clause->eqop);
	}

	/* columns that depend on a grouped primary key are keys as well */
	plan_bare_var_walker((Node *) query->targetList, &context);
	plan_bare_var_walker(query->havingQual, &context);
	for (i = list_length(equality); i < list_length(context.keys); i++)
	{
		Oid type = exprType(list_nth(context.keys, i));
		TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_HASH_PROC);

		if (!OidIsValid(cache->eq_opr) || !OidIsValid(cache->hash_proc))
			return "group key that cannot be hashed";
		equality = lappend_oid(equality, cache->eq_opr);
	}
	plan->global = query->groupClause == NIL;
	plan->key_count = list_length(context.keys);
	plan->key_equality = palloc(Max(plan->key_count, 1) * sizeof(Oid));
	i = 0;
	foreach (cell, equality)
		plan->key_equality[i++] = lfirst_oid(cell);

	foreach (cell, context.keys)
		columns = lappend(columns, copyObject(lfirst(cell)));

	plan_aggref_walker((Node *) query->targetList, &aggrefs);
	plan_aggref_walker(query->havingQual, &aggrefs);
	foreach (cell, aggrefs)
	{
		Aggref *aggref = lfirst_node(Aggref, cell);
		PlanAggregate *aggregate = plan_aggregate(aggref, &reason);
		ListCell *argument;

		if (aggregate == NULL)
			return reason;
		aggregate->first_argument = list_length(columns) + 1;
		aggregate->argument_count = list_length(aggref->args);
		foreach (argument, aggref->args)
			columns = lappend(columns, copyObject(lfirst_node(TargetEntry, argument)->expr));
		if (aggref->aggfilter)
		{
			columns = lappend(columns, copyObject(aggref->aggfilter));
			aggregate->filter = list_length(columns);
		}
		plan->aggregates = lappend(plan->aggregates, aggregate);
	}

	context.aggregates = plan->aggregates;
	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (entry->resjunk)
			continue;
		entry = flatCopyTargetEntry(entry);
		entry->expr = (Expr *) plan_output_mutator((Node *) entry->expr, &context);
		plan->output = lappend(plan->output, entry);
	}
	plan->having = plan_output_mutator(query->havingQual, &context);
	if (context.failed)
		return "column that is neither grouped nor aggregated";

	inner->targetList = NIL;
	/* a query without columns still has rows to count */
	if (columns == NIL)
		columns = list_make1(makeBoolConst(true, false));
	foreach (cell, columns)
	{
		int number = list_length(inner->targetList) + 1;

		inner->targetList =
		    lappend(inner->targetList,
		            makeTargetEntry(lfirst(cell), number, psprintf("c%d", number), false));
	}
	inner->hasAggs = false;
	inner->groupClause = NIL;
	inner->havingQual = NULL;
	inner->sortClause = NIL;
	plan->inner = inner;
	plan->grouped = true;
	return NULL;
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
	plan->query = kept.query;
	plan->relations = kept.relations;
	plan->block = kept.block;
	plan->parts = kept.parts;
	plan->obstacle = kept.obstacle;
}

/*
 * Choose the strategy of a block, and take it apart for it. The tables of parts
 * may not be known yet.
 */
void
plan_classify(ViewPlan *plan)
{
	Query *query = plan->block;
	const char *reason;

	plan_reset_block(plan);
	plan->strategy = PLAN_RECOMPUTE;
	if (plan_check_limit(plan))
		return;
	reason = plan_check_query(plan, query, true);
	if (reason == NULL && plan->leaves == NIL)
		reason = "no table";
	if (reason == NULL && query->setOperations == NULL &&
	    (query->hasAggs || query->groupClause != NIL || query->havingQual != NULL))
		reason = plan_split_groups(plan, query);
	if (reason != NULL)
	{
		plan->reason = psprintf("the query has: %s", reason);
		return;
	}
	if (!plan->grouped)
	{
		plan->inner = copyObject(query);
		plan->inner->sortClause = NIL;
		plan_identity(plan);
	}
	plan->strategy = PLAN_ALGEBRAIC;
	plan->reason = plan->grouped
	                   ? "joins, filters and projections under a grouping with reversible states"
	                   : "joins, filters and projections";
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

/*
 * Parts are worth their while only if no block is recomputed, and right only if
 * nothing speaks against the blocks; otherwise the query is left whole.
 */
static void
plan_judge_parts(ViewPlan *plan)
{
	const char *reason = plan->obstacle;
	ListCell *cell;

	foreach (cell, plan->parts)
	{
		ViewPlan *part = ((PlanPart *) lfirst(cell))->plan;

		plan_classify(part);
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
		plan->block = plan->query;
	}
}

/*
 * Take a view's query apart, in the current memory context. If it has parts,
 * plan_bind has to give them tables before any query is made from the plan.
 *
 * The caller has locked the view. Errors are those of rewriting the query.
 */
ViewPlan *
plan_view(Relation view)
{
	ViewPlan *plan = palloc0(sizeof(ViewPlan));
	Query *query = plan_view_query(view);
	ListCell *cell;

	plan->view = RelationGetRelid(view);
	plan->owner = view->rd_rel->relowner;
	plan->query = plan->block = query;
	if (query == NULL)
	{
		plan->strategy = PLAN_NONE;
		plan->reason = "the view has no query";
		return plan;
	}
	plan_relations(plan, query);

	if (contain_volatile_functions((Node *) query))
	{
		plan->strategy = PLAN_NONE;
		plan->reason = "the query calls a volatile function";
		return plan;
	}
	foreach (cell, plan->relations)
	{
		PlanRelation *relation = lfirst(cell);

		if (relation->relkind == RELKIND_FOREIGN_TABLE ||
		    (relation->relkind != RELKIND_VIEW &&
		     get_rel_persistence(relation->relid) != RELPERSISTENCE_PERMANENT))
			plan->clock = true;
	}

	plan->strategy = PLAN_RECOMPUTE;
	if (plan_clock_walker((Node *) query, NULL))
	{
		plan->clock = true;
		plan->reason = "the query depends on the clock or on what functions read";
		return plan;
	}
	if (plan_special_var_walker((Node *) query, NULL))
	{
		plan->reason = "the query uses a system column or a whole row";
		return plan;
	}
	plan_normalise(plan);
	plan_classify(plan);
	plan_judge_parts(plan);
	return plan;
}
