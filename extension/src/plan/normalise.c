/*-------------------------------------------------------------------------
 *
 * normalise.c
 *	  A view's query as blocks, each of which one strategy can keep.
 *
 * A block has one layer at most on top of its joins and filters: a grouping,
 * windows, or ORDER BY ... LIMIT. What lies deeper becomes a part: a hidden view
 * that is kept like any other, and whose table is an ordinary leaf of the block
 * above. A subquery that depends on its surroundings cannot be a part and is left
 * as it is.
 *
 * Invariants:
 *	- A part's block mentions parts of lower numbers only.
 *	- Until plan_bind gives them tables, parts are entries of kind RTE_RELATION
 *	  with relid InvalidOid and the part's name in enrname.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "plan/normalise.h"
#include "plan/tree.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#define PART_NAME "freshet part "

/* Does an expression refer to a query further out than depth levels? */
static bool
closed_walker(Node *node, int *depth)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varlevelsup > *depth;
	if (IsA(node, Aggref) && ((Aggref *) node)->agglevelsup > *depth)
		return true;
	if (IsA(node, GroupingFunc) && ((GroupingFunc *) node)->agglevelsup > *depth)
		return true;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->rtekind == RTE_CTE && rte->ctelevelsup > *depth;
	}
	if (IsA(node, Query))
	{
		bool result;

		(*depth)++;
		result = query_tree_walker((Query *) node, closed_walker, depth, QTW_EXAMINE_RTES_BEFORE);
		(*depth)--;
		return result;
	}
	return expression_tree_walker(node, closed_walker, depth);
}

/* Does a query stand by itself, without columns or WITH queries of others? */
bool
normalise_closed(Query *query)
{
	int depth = 0;

	return !query_tree_walker(query, closed_walker, &depth, QTW_EXAMINE_RTES_BEFORE);
}

/* Does a query group its rows? */
bool
normalise_grouped(const Query *query)
{
	return query->hasAggs || query->groupClause != NIL || query->groupingSets != NIL ||
	       query->havingQual != NULL;
}

/* Is a set operation UNION ALL throughout? */
static bool
normalise_union_all(Node *node)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;

	if (IsA(node, RangeTblRef))
		return true;
	return operation->op == SETOP_UNION && operation->all && normalise_union_all(operation->larg) &&
	       normalise_union_all(operation->rarg);
}

/*
 * Has a query no layer on top of its joins, nor has a subquery of it that stands
 * by itself, so that it can stay within another?
 */
bool
normalise_flat(const Query *query)
{
	ListCell *cell;

	foreach (cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->rtekind == RTE_SUBQUERY && !normalise_flat(rte->subquery) &&
		    normalise_closed(rte->subquery))
			return false;
	}
	return !normalise_grouped(query) && !query->hasWindowFuncs && query->distinctClause == NIL &&
	       query->limitCount == NULL && query->limitOffset == NULL && query->rowMarks == NIL &&
	       query->cteList == NIL &&
	       (query->setOperations == NULL || normalise_union_all(query->setOperations));
}

/* Is this entry a part, bound to a table or not? */
bool
normalise_part_entry(const RangeTblEntry *rte)
{
	return rte->rtekind == RTE_RELATION && rte->enrname != NULL;
}

/* The number of the part that an entry is. */
int
normalise_part_number(const RangeTblEntry *rte)
{
	return atoi(rte->enrname + strlen(PART_NAME));
}

/* The names of a query's columns. */
static List *
normalise_names(List *targets)
{
	List *names = NIL;
	ListCell *cell;

	foreach (cell, targets)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (!entry->resjunk)
			names = lappend(
			    names, makeString(entry->resname ? entry->resname : psprintf("c%d", entry->resno)));
	}
	return names;
}

/* A subquery as an entry of the range table. */
RangeTblEntry *
normalise_entry(Query *query)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = query;
	rte->eref = makeAlias("block", normalise_names(query->targetList));
	rte->inFromCl = true;
	return rte;
}

/* SELECT every column FROM an entry with these columns. */
Query *
normalise_over(RangeTblEntry *rte, List *targets)
{
	Query *query = tree_select(list_make1(rte), NULL);

	query->targetList = tree_columns(targets);
	return query;
}

/* count(*) FILTER (WHERE condition), which may be NULL */
Node *
normalise_count(Expr *condition)
{
	Aggref *count = makeNode(Aggref);

	count->aggfnoid = F_COUNT_;
	count->aggtype = INT8OID;
	count->aggfilter = condition;
	count->aggstar = true;
	count->aggkind = AGGKIND_NORMAL;
	count->aggno = count->aggtransno = -1;
	count->location = -1;
	return (Node *) count;
}

/* The one entry of a query's FROM clause, or NULL. */
RangeTblEntry *
normalise_single(Query *query, int *rtindex)
{
	RangeTblRef *reference;

	if (query->setOperations != NULL || list_length(query->jointree->fromlist) != 1)
		return NULL;
	reference = linitial(query->jointree->fromlist);
	if (!IsA(reference, RangeTblRef))
		return NULL;
	*rtindex = reference->rtindex;
	return rt_fetch(reference->rtindex, query->rtable);
}

/* Can a hidden table have these columns, and is each row decided by the query? */
static const char *
normalise_part_obstacle(Query *query)
{
	ListCell *cell;

	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (!entry->resjunk && get_typtype(exprType((Node *) entry->expr)) == TYPTYPE_PSEUDO)
			return "a subquery with a column that cannot be stored";
	}
	foreach (cell, query->groupClause)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, cell);
		Node *key = get_sortgroupclause_expr(clause, query->targetList);

		if (!plan_equality_decides_image(key))
			return "a grouping below the top whose equal keys can look different";
	}
	return NULL;
}

/*
 * Make a part of a query, or take the one that is there for it already; its
 * entry for the block above.
 */
RangeTblEntry *
normalise_part(Normalise *normalise, Query *query)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	PlanPart *part = NULL;
	const char *obstacle;
	ListCell *cell;

	/* rows of a table have no order */
	if (query->limitCount == NULL && query->limitOffset == NULL && !query->hasDistinctOn)
		query->sortClause = NIL;
	obstacle = normalise_part_obstacle(query);
	if (obstacle != NULL)
		normalise->obstacle = obstacle;
	foreach (cell, normalise->parts)
		if (equal(((PlanPart *) lfirst(cell))->plan->query, query))
			part = lfirst(cell);
	if (part == NULL)
	{
		part = palloc0(sizeof(PlanPart));
		part->number = list_length(normalise->parts) + 1;
		part->plan = palloc0(sizeof(ViewPlan));
		part->plan->query = query;
		part->plan->block = query;
		normalise->parts = lappend(normalise->parts, part);
	}
	rte->rtekind = RTE_RELATION;
	rte->relkind = RELKIND_RELATION;
	rte->rellockmode = AccessShareLock;
	rte->enrname = psprintf(PART_NAME "%d", part->number);
	rte->eref = makeAlias("part", normalise_names(query->targetList));
	rte->inFromCl = true;
	return rte;
}

typedef struct InlineContext
{
	CommonTableExpr *cte;
	int depth;
} InlineContext;

/* Put a WITH query in the place of the references to it. */
static bool
inline_walker(Node *node, InlineContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		bool result;

		context->depth++;
		result = query_tree_walker((Query *) node, inline_walker, context, QTW_EXAMINE_RTES_AFTER);
		context->depth--;
		return result;
	}
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind != RTE_CTE || rte->ctelevelsup != context->depth ||
		    strcmp(rte->ctename, context->cte->ctename) != 0)
			return false;
		rte->rtekind = RTE_SUBQUERY;
		rte->subquery = copyObject((Query *) context->cte->ctequery);
		IncrementVarSublevelsUp((Node *) rte->subquery, context->depth, 1);
		rte->ctename = NULL;
		rte->ctelevelsup = 0;
		rte->coltypes = rte->coltypmods = rte->colcollations = NIL;
		return false;
	}
	return expression_tree_walker(node, inline_walker, context);
}

/*
 * Inline the WITH queries of a query, and put recursive ones that stand by
 * themselves into subqueries of their own.
 */
static void
normalise_inline(Query *query)
{
	List *kept = NIL;
	ListCell *cell;

	/* a WITH query is one level below the query, and mentions earlier ones only */
	foreach (cell, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);
		InlineContext context = {.cte = copyObject(cte), .depth = 0};

		query->cteList = foreach_delete_current(query->cteList, cell);
		if (cte->cterecursive && !recursion_alone(cte))
		{
			kept = lappend(kept, cte);
			continue;
		}
		if (cte->cterecursive)
			context.cte->ctequery = (Node *) recursion_make(cte);
		(void) query_tree_walker(query, inline_walker, &context, QTW_EXAMINE_RTES_AFTER);
	}
	query->cteList = kept;
}

/*
 * Does a query only filter and project the rows of one subquery, whose windows
 * or DISTINCT ON have keys, without the clock? Then they are one block: its rows are computed anew
 * by key, and only those that are left are stored.
 */
static bool
normalise_wraps(Query *query, const Query *subquery)
{
	int rtindex;
	RangeTblEntry *single = normalise_single(query, &rtindex);

	return single != NULL && single->rtekind == RTE_SUBQUERY && single->subquery == subquery &&
	       (subquery->hasWindowFuncs || subquery->hasDistinctOn) && subquery->limitCount == NULL &&
	       subquery->limitOffset == NULL && !query->hasSubLinks && !normalise_grouped(query) &&
	       !query->hasWindowFuncs && query->distinctClause == NIL && query->limitCount == NULL &&
	       query->limitOffset == NULL && query->rowMarks == NIL &&
	       !plan_reads_clock((Node *) query->targetList) &&
	       !plan_reads_clock((Node *) query->jointree);
}

/* Normalise the subqueries of a query's FROM clause or set operation. */
static void
normalise_children(Normalise *normalise, Query *query)
{
	ListCell *cell;

	foreach (cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);
		RangeTblEntry *part;

		inherit_rewrite(rte);
		if (rte->rtekind != RTE_SUBQUERY)
			continue;
		rte->subquery = normalise_query(normalise, rte->subquery, false);
		if (normalise_flat(rte->subquery) || !normalise_closed(rte->subquery) ||
		    normalise_wraps(query, rte->subquery))
			continue;
		part = normalise_part(normalise, rte->subquery);
		if (query->setOperations != NULL)
			rte->subquery = normalise_over(part, rte->subquery->targetList);
		else
		{
			part->alias = rte->alias;
			part->eref = rte->eref;
			lfirst(cell) = part;
		}
	}
}

/*
 * Normalise a query. The result gives the same rows; where it stands by itself,
 * it has one layer at most, over tables, parts and flat subqueries.
 */
Query *
normalise_query(Normalise *normalise, Query *query, bool top)
{
	bool partial_before = normalise->partial;

	check_stack_depth();
	if (!top && recursion_block(query))
	{
		if (normalise->partial)
			normalise->obstacle = "WITH RECURSIVE that may have no end and need not be read to it";
		recursion_normalise(normalise, query);
		return query;
	}
	if ((query->limitCount != NULL || query->limitOffset != NULL) && query->sortClause == NIL)
		normalise->partial = true;
	normalise_inline(query);
	if (normalise_closed(query))
	{
		if (top && query->limitCount == NULL && query->limitOffset == NULL && !query->hasDistinctOn)
			query->sortClause = NIL;
		query = layers_collapse(query);
		query = layers_split(normalise, query);
	}
	normalise_children(normalise, query);
	if (query->hasSubLinks)
		sublink_rewrite(normalise, query);
	normalise->partial = partial_before;
	return query;
}

/* Normalise a view's query: sets the plan's block and parts. */
void
plan_normalise(ViewPlan *plan)
{
	Normalise normalise = {0};

	/* a part's rows are not of the type of the subquery's */
	if (tree_special((Node *) plan->query, NULL))
	{
		plan->block = copyObject(plan->query);
		return;
	}
	plan->block = normalise_query(&normalise, plan_during(plan->query), true);
	plan->parts = normalise.parts;
	plan->obstacle = normalise.obstacle;
}

/* Put the parts' tables in the place of the parts. */
static bool
bind_walker(Node *node, const Oid *tables)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, bind_walker, (void *) tables,
		                         QTW_EXAMINE_RTES_BEFORE);
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (normalise_part_entry(rte))
			rte->relid = tables[normalise_part_number(rte) - 1];
		return false;
	}
	return expression_tree_walker(node, bind_walker, (void *) tables);
}

/*
 * Give each part its table: tables[number - 1]. The blocks are classified anew,
 * now that their leaves are known.
 */
void
plan_bind(ViewPlan *plan, const Oid *tables)
{
	ListCell *cell;

	foreach (cell, plan->parts)
	{
		PlanPart *part = lfirst(cell);
		Query *block = part->plan->block;

		part->relid = tables[part->number - 1];
		(void) bind_walker((Node *) block, tables);
		memset(part->plan, 0, sizeof(ViewPlan));
		part->plan->determined = plan->determined;
		part->plan->view = part->relid;
		part->plan->owner = plan->owner;
		part->plan->query = part->plan->block = block;
		plan_classify(part->plan);
		plan_relations(part->plan, block);
	}
	(void) bind_walker((Node *) plan->block, tables);
	plan_classify(plan);
}
