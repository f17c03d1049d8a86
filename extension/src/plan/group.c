/*-------------------------------------------------------------------------
 *
 * group.c
 *	  A grouped query taken apart: the inner query, whose rows are folded into
 *	  one state per aggregate and group, and the output over the groups.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_agg.h"
#include "parser/parsetree.h"
#include "plan/plan.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

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

/* Is an aggregate's state a number to which rows add? */
static PlanLinear
plan_aggregate_linear(Oid function)
{
	switch (function)
	{
		case F_COUNT_:
		case F_COUNT_ANY:
			return PLAN_LINEAR_COUNT;
		case F_SUM_INT2:
		case F_SUM_INT4:
			return PLAN_LINEAR_SUM;
		default:
			return PLAN_LINEAR_NONE;
	}
}

/*
 * Describe an aggregate call for the maintenance of its state; returns NULL
 * and a reason if its state cannot follow changes exactly.
 */
PlanAggregate *
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
	result->linear = plan_aggregate_linear(aggref->aggfnoid);
	if (result->linear != PLAN_LINEAR_NONE)
	{
		result->aggref = aggref;
		result->transition_type = result->stored_type = INT8OID;
		return result;
	}

	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggref->aggfnoid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	result->aggref = aggref;

	/*
	 * PostgreSQL takes rows out of a moving aggregate in the order in which they
	 * came, a view in any: of built-in functions it is known that the order does not
	 * matter. An internal state can be stored only by the plain form's functions.
	 */
	moving = OidIsValid(form->aggminvtransfn) && form->aggminvtransfn < FirstNormalObjectId &&
	         form->aggmtransfn < FirstNormalObjectId &&
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
		if (!OidIsValid(form->aggserialfn) || !OidIsValid(form->aggdeserialfn) ||
		    !OidIsValid(form->aggcombinefn))
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

/* Collect columns of a grouped query that stand outside of aggregates and keys. */
static bool
plan_bare_column_walker(Node *node, List **keys)
{
	if (node == NULL || IsA(node, Aggref) || list_member(*keys, node))
		return false;
	if (IsA(node, Var))
	{
		*keys = lappend(*keys, node);
		return false;
	}
	return expression_tree_walker(node, plan_bare_column_walker, keys);
}

/*
 * The keys of a grouped query, and behind them what it uses of columns that are
 * neither in a key nor in an aggregate: they depend on the keys.
 */
List *
plan_bare_columns(const Query *query, List *keys)
{
	(void) plan_bare_column_walker((Node *) query->targetList, &keys);
	(void) plan_bare_column_walker(query->havingQual, &keys);
	return keys;
}

/* Columns of the table of groups (group_store.c): of an aggregate, and beside keys and those. */
#define STATE_COLUMNS 2
#define OWN_COLUMNS 3

/*
 * Split a grouped query into its inner query (keys, then each aggregate's
 * arguments and filter) and the output over groups; NULL: done, else why not.
 */
const char *
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

	if (query->setOperations != NULL || query->groupingSets != NIL || query->hasWindowFuncs ||
	    query->distinctClause != NIL || query->limitCount != NULL || query->limitOffset != NULL ||
	    (!query->hasAggs && query->groupClause == NIL && query->havingQual == NULL))
		return "more than a grouping";
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
	context.keys = plan_bare_columns(query, context.keys);
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

	if (plan->key_count + STATE_COLUMNS * list_length(plan->aggregates) + OWN_COLUMNS >
	        MaxHeapAttributeNumber ||
	    list_length(columns) > MaxTupleAttributeNumber)
		return "more aggregates than a table has columns for";

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
	if (checkExprHasSubLink((Node *) plan->output) || checkExprHasSubLink(plan->having))
		return "subquery over groups";

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

/* What a key is, below the subqueries that only hand it on. */
static Node *
plan_key_source(const Query *query, Node *key)
{
	while (IsA(key, Var))
	{
		Var *var = (Var *) key;
		RangeTblEntry *rte = rt_fetch(var->varno, query->rtable);

		if (var->varlevelsup > 0 || var->varattno <= 0 || rte->rtekind != RTE_SUBQUERY ||
		    rte->subquery->setOperations != NULL)
			break;
		query = rte->subquery;
		key = (Node *) list_nth_node(TargetEntry, query->targetList, var->varattno - 1)->expr;
	}
	return key;
}

/* May equal values of some key have different images? */
bool
plan_keys_ambiguous(const ViewPlan *plan)
{
	for (int i = 0; i < plan->key_count; i++)
	{
		Node *key = (Node *) list_nth_node(TargetEntry, plan->inner->targetList, i)->expr;

		if (!plan_equality_decides_image(plan_key_source(plan->inner, key)))
			return true;
	}
	return false;
}

/* The column of the view that is a key or an aggregate as it is; 0: none. */
AttrNumber
plan_output_column(const ViewPlan *plan, AttrNumber attribute)
{
	ListCell *cell;

	foreach (cell, plan->output)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Var *var = (Var *) entry->expr;

		if (IsA(var, Var) && var->varattno == attribute)
			return entry->resno;
	}
	return 0;
}
