/*-------------------------------------------------------------------------
 *
 * layers.c
 *	  One layer per query: grouping, windows, DISTINCT and LIMIT that lie on top
 *	  of each other in one SELECT are taken apart into a query over a subquery.
 *
 * The order is that of SQL: joins and WHERE, grouping and HAVING, windows,
 * set-returning functions, DISTINCT, ORDER BY and LIMIT.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "plan/normalise.h"
#include "plan/tree.h"
#include "rewrite/rewriteManip.h"

/*
 * Put the DISTINCT (unless it is to stay), ORDER BY and LIMIT of a query over
 * the rest of it.
 */
static Query *
layers_nest(Query *query, bool keep_distinct)
{
	Query *lower = copyObject(query);
	Query *upper;
	/* what is not shown, and comes last, is only needed by a sort that looks at it */
	bool sorted = query->distinctClause == NIL || query->hasDistinctOn;
	ListCell *cell;
	ListCell *other;
	int column = 0;

	foreach (cell, lower->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		entry->resno = ++column;
		entry->resjunk &= !sorted;
		if (entry->resname == NULL)
			entry->resname = psprintf("c%d", column);
	}
	lower->limitCount = lower->limitOffset = NULL;
	lower->limitOption = LIMIT_OPTION_COUNT;
	if (!keep_distinct)
	{
		lower->distinctClause = NIL;
		lower->hasDistinctOn = false;
	}
	if (!lower->hasDistinctOn)
		lower->sortClause = NIL;

	upper = normalise_over(normalise_entry(lower), lower->targetList);
	forboth(cell, upper->targetList, other, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		TargetEntry *original = lfirst_node(TargetEntry, other);

		entry->ressortgroupref = original->ressortgroupref;
		entry->resjunk = original->resjunk;
	}
	tree_copy_end(upper, query);
	if (keep_distinct)
	{
		upper->distinctClause = NIL;
		upper->hasDistinctOn = false;
	}
	return upper;
}

typedef struct SplitContext
{
	List *keys;     /* expressions that are grouped by */
	bool windows;   /* window functions are columns, not what they are computed from */
	List *columns;  /* of TargetEntry *: what the upper query needs */
	bool dependent; /* a subquery looks at what is grouped */
} SplitContext;

/* The column of the grouped query that is this expression. */
static Node *
split_column(SplitContext *context, Node *node)
{
	ListCell *cell;
	TargetEntry *entry = NULL;

	foreach (cell, context->columns)
		if (equal(lfirst_node(TargetEntry, cell)->expr, node))
			entry = lfirst(cell);
	if (entry == NULL)
	{
		int number = list_length(context->columns) + 1;

		entry = makeTargetEntry(copyObject((Expr *) node), number, psprintf("c%d", number), false);
		context->columns = lappend(context->columns, entry);
	}
	return (Node *) makeVar(1, entry->resno, exprType(node), exprTypmod(node), exprCollation(node),
	                        0);
}

/* Replace keys, aggregates and remaining columns by columns of the grouped query. */
static Node *
split_mutator(Node *node, SplitContext *context)
{
	if (node == NULL)
		return NULL;
	if (list_member(context->keys, node) || IsA(node, Aggref) || IsA(node, GroupingFunc) ||
	    IsA(node, Var) || (context->windows && IsA(node, WindowFunc)))
		return split_column(context, node);
	if (IsA(node, SubLink) && !normalise_closed((Query *) ((SubLink *) node)->subselect))
		context->dependent = true;
	if (IsA(node, Query))
		return (Node *) copyObject((Query *) node);
	return expression_tree_mutator(node, split_mutator, context);
}

/* Replace set-returning keys and columns by columns of the query below, also in aggregates. */
static Node *
split_rows_mutator(Node *node, SplitContext *context)
{
	if (node == NULL)
		return NULL;
	if (list_member(context->keys, node) || (IsA(node, Var) && ((Var *) node)->varlevelsup == 0))
		return split_column(context, node);
	if (IsA(node, SubLink) && !normalise_closed((Query *) ((SubLink *) node)->subselect))
		context->dependent = true;
	if (IsA(node, Query))
		return (Node *) copyObject((Query *) node);
	return expression_tree_mutator(node, split_rows_mutator, context);
}

/*
 * GROUP BY unnest(x) groups the rows that the function makes of each row: have a
 * query below make them.
 */
static Query *
layers_split_sets(Normalise *normalise, Query *query)
{
	SplitContext context = {0};
	Query *upper = copyObject(query);
	Query *lower = copyObject(query);
	ListCell *cell;

	foreach (cell, query->groupClause)
	{
		Node *key = get_sortgroupclause_expr(lfirst(cell), query->targetList);

		if (expression_returns_set(key))
			context.keys = lappend(context.keys, key);
	}
	if (context.keys == NIL)
		return query;
	upper->targetList = (List *) split_rows_mutator((Node *) query->targetList, &context);
	upper->havingQual = split_rows_mutator(query->havingQual, &context);
	if (context.dependent || query->cteList != NIL)
	{
		normalise->obstacle = "set-returning function in GROUP BY beside a subquery";
		return query;
	}

	lower->targetList = context.columns;
	lower->groupClause = lower->groupingSets = NIL;
	lower->windowClause = lower->distinctClause = lower->sortClause = NIL;
	lower->havingQual = NULL;
	lower->hasAggs = lower->hasWindowFuncs = lower->hasDistinctOn = false;
	lower->limitCount = lower->limitOffset = NULL;
	lower->hasSubLinks = checkExprHasSubLink((Node *) lower);

	upper->rtable = list_make1(normalise_entry(lower));
	upper->jointree = tree_select(upper->rtable, NULL)->jointree;
	upper->hasTargetSRFs = expression_returns_set((Node *) upper->targetList);
	upper->hasSubLinks = checkExprHasSubLink((Node *) upper);
	return upper;
}

/* Is there a subquery outside of aggregates? */
static bool
layers_sublink_walker(Node *node, void *context)
{
	if (node == NULL || IsA(node, Aggref))
		return false;
	return IsA(node, SubLink) || expression_tree_walker(node, layers_sublink_walker, context);
}

/* Is the clock read outside of aggregates and keys? */
static bool
layers_clock_walker(Node *node, List *keys)
{
	if (node == NULL || IsA(node, Aggref) || list_member(keys, node))
		return false;
	if (IsA(node, Param))
		return plan_reads_clock(node);
	return expression_tree_walker(node, layers_clock_walker, keys);
}

/*
 * Put everything that a grouped query does with its groups, beside a HAVING
 * without subqueries and the clock, over the grouping. NULL: its subqueries forbid
 * it.
 */
static Query *
layers_split_groups(Query *query)
{
	Query *lower = copyObject(query);
	Query *upper;
	List *targets = NIL;
	SplitContext context = {0};
	List *lower_having = NIL;
	List *upper_having = NIL;
	ListCell *cell;

	foreach (cell, query->groupClause)
	{
		TargetEntry *entry = copyObject(get_sortgroupclause_tle(lfirst(cell), query->targetList));

		context.keys = lappend(context.keys, entry->expr);
		entry->resno = list_length(context.columns) + 1;
		entry->resjunk = false;
		if (entry->resname == NULL)
			entry->resname = psprintf("c%d", entry->resno);
		context.columns = lappend(context.columns, entry);
	}
	foreach (cell, make_ands_implicit((Expr *) query->havingQual))
	{
		if (layers_sublink_walker(lfirst(cell), NULL) ||
		    layers_clock_walker(lfirst(cell), context.keys))
			upper_having = lappend(upper_having, lfirst(cell));
		else
			lower_having = lappend(lower_having, lfirst(cell));
	}

	foreach (cell, query->targetList)
	{
		TargetEntry *entry = flatCopyTargetEntry(lfirst(cell));

		entry->expr = (Expr *) split_mutator((Node *) entry->expr, &context);
		targets = lappend(targets, entry);
	}
	upper_having = (List *) split_mutator((Node *) upper_having, &context);
	if (context.dependent)
		return NULL;

	lower->targetList = context.columns;
	lower->havingQual = lower_having ? (Node *) make_ands_explicit(lower_having) : NULL;
	lower->hasWindowFuncs = lower->hasTargetSRFs = lower->hasDistinctOn = false;
	lower->windowClause = lower->distinctClause = lower->sortClause = NIL;
	lower->limitCount = lower->limitOffset = NULL;
	lower->hasSubLinks = checkExprHasSubLink((Node *) lower);

	upper = tree_select(list_make1(normalise_entry(lower)),
	                    upper_having ? (Node *) make_ands_explicit(upper_having) : NULL);
	upper->targetList = targets;
	upper->hasWindowFuncs = query->hasWindowFuncs;
	upper->windowClause = query->windowClause;
	upper->hasTargetSRFs = query->hasTargetSRFs;
	upper->hasSubLinks = checkExprHasSubLink((Node *) upper);
	tree_copy_end(upper, query);
	return upper;
}

/* Does a grouped query ask subqueries about its groups? */
static bool
layers_group_sublinks(Query *query)
{
	ListCell *cell;
	ListCell *clause;

	if (!query->hasSubLinks)
		return false;
	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		bool key = false;

		foreach (clause, query->groupClause)
			key |= get_sortgroupclause_tle(lfirst(clause), query->targetList) == entry;
		if (!key && layers_sublink_walker((Node *) entry->expr, NULL))
			return true;
	}
	return layers_sublink_walker(query->havingQual, NULL);
}

/* Does a grouped query compare its groups with the clock? */
static bool
layers_group_clock(Query *query)
{
	List *keys = get_sortgrouplist_exprs(query->groupClause, query->targetList);

	return layers_clock_walker((Node *) query->targetList, keys) ||
	       layers_clock_walker(query->havingQual, keys);
}

/* Does a column compare what windows show with the clock? */
static bool
layers_window_clock(TargetEntry *entry)
{
	return contain_window_function((Node *) entry->expr) && plan_reads_clock((Node *) entry->expr);
}

/*
 * Put the columns that compare what windows show with the clock over the windows;
 * a query without such is left as it is.
 */
static Query *
layers_split_windows(Query *query)
{
	SplitContext context = {.windows = true};
	List *targets = NIL;
	bool found = false;
	Query *lower;
	Query *upper;
	ListCell *cell;

	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (layers_window_clock(entry))
		{
			if (checkExprHasSubLink((Node *) entry->expr) ||
			    expression_returns_set((Node *) entry->expr))
				return query;
			found = true;
			continue;
		}
		entry = copyObject(entry);
		entry->resno = list_length(context.columns) + 1;
		entry->resjunk = false;
		context.columns = lappend(context.columns, entry);
	}
	if (!found)
		return query;
	foreach (cell, query->targetList)
	{
		TargetEntry *entry = flatCopyTargetEntry(lfirst(cell));

		entry->expr = (Expr *) (layers_window_clock(lfirst(cell))
		                            ? split_mutator((Node *) entry->expr, &context)
		                            : split_column(&context, (Node *) entry->expr));
		targets = lappend(targets, entry);
	}
	lower = copyObject(query);
	lower->targetList = context.columns;
	lower->sortClause = NIL;
	upper = tree_select(list_make1(normalise_entry(lower)), NULL);
	upper->targetList = targets;
	tree_copy_end(upper, query);
	return upper;
}

/* Compute an aggregate's arguments only where its filter holds, if they could fail elsewhere. */
static Node *
layers_guard_mutator(Node *node, void *context)
{
	Aggref *aggref;
	ListCell *cell;

	if (node == NULL || IsA(node, Query))
		return node;
	node = expression_tree_mutator(node, layers_guard_mutator, context);
	if (!IsA(node, Aggref) || ((Aggref *) node)->aggfilter == NULL)
		return node;
	aggref = (Aggref *) node;
	foreach (cell, aggref->args)
	{
		TargetEntry *argument = lfirst_node(TargetEntry, cell);
		Node *value = (Node *) argument->expr;
		CaseExpr *guarded = makeNode(CaseExpr);
		CaseWhen *when = makeNode(CaseWhen);

		if (!contain_leaked_vars(value))
			continue;
		when->expr = copyObject(aggref->aggfilter);
		when->result = (Expr *) value;
		when->location = -1;
		guarded->casetype = exprType(value);
		guarded->casecollid = exprCollation(value);
		guarded->args = list_make1(when);
		guarded->defresult =
		    (Expr *) makeNullConst(exprType(value), exprTypmod(value), exprCollation(value));
		guarded->location = -1;
		argument->expr = (Expr *) guarded;
	}
	return node;
}

/*
 * sum(100 / x) FILTER (WHERE x <> 0): PostgreSQL looks at the filter first. An
 * argument that becomes a column of its own is computed for every row.
 */
static void
layers_guard_filters(Query *query)
{
	query->targetList = (List *) layers_guard_mutator((Node *) query->targetList, NULL);
	query->havingQual = layers_guard_mutator(query->havingQual, NULL);
}

/* SELECT DISTINCT is a grouping by every column. */
static Query *
layers_distinct(Normalise *normalise, Query *query)
{
	ListCell *cell;

	foreach (cell, query->distinctClause)
	{
		Node *column = get_sortgroupclause_expr(lfirst(cell), query->targetList);

		if (!plan_equality_decides_image(column))
			normalise->obstacle = "DISTINCT over values that can be equal and look different";
	}
	query->groupClause = query->distinctClause;
	query->distinctClause = NIL;
	query->sortClause = NIL;
	return query;
}

/* Are all columns of a query those of one entry, as they are? */
static bool
layers_plain(Query *query, int rtindex)
{
	ListCell *cell;

	foreach (cell, query->targetList)
	{
		Var *var = (Var *) lfirst_node(TargetEntry, cell)->expr;

		if (!IsA(var, Var) || var->varno != rtindex)
			return false;
	}
	return query->jointree->quals == NULL;
}

/*
 * Have ORDER BY ... LIMIT stand over one relation with nothing else to do: a
 * part, which has an index in this order, or a table that has one.
 */
static Query *
layers_limit(Normalise *normalise, Query *query)
{
	int rtindex;
	RangeTblEntry *single = normalise_single(query, &rtindex);

	if (query->sortClause == NIL)
		normalise->obstacle = "LIMIT without ORDER BY";
	if (whole_ordered_table(query, NULL))
		return query;
	if (single == NULL || single->rtekind != RTE_SUBQUERY || !layers_plain(query, rtindex))
	{
		query = layers_nest(query, true);
		single = normalise_single(query, &rtindex);
	}
	lfirst(list_nth_cell(query->rtable, rtindex - 1)) =
	    normalise_part(normalise, normalise_query(normalise, single->subquery, false));
	return query;
}

/* Leave one layer in a query, and the others in subqueries of it. */
Query *
layers_split(Normalise *normalise, Query *query)
{
	bool distinct = query->distinctClause != NIL;
	bool limit = query->limitCount != NULL || query->limitOffset != NULL;
	bool grouped = normalise_grouped(query);

	if (checkExprHasSubLink(query->limitCount) || checkExprHasSubLink(query->limitOffset))
	{
		normalise->obstacle = "LIMIT or OFFSET by a subquery";
		return query;
	}
	if (grouped)
		layers_guard_filters(query);
	if (grouped && query->groupingSets == NIL)
		grouping_plain(query);
	if (grouped && query->hasTargetSRFs)
		query = layers_split_sets(normalise, query);
	if (limit && (distinct || grouped || query->hasWindowFuncs || query->setOperations != NULL ||
	              query->hasTargetSRFs))
		query = layers_nest(query, true);
	else if (distinct && (grouped || query->hasWindowFuncs || query->hasTargetSRFs))
		query = layers_nest(query, false);
	else if (grouped && (query->hasWindowFuncs || query->hasTargetSRFs ||
	                     layers_group_sublinks(query) || layers_group_clock(query)))
	{
		Query *upper = layers_split_groups(query);

		if (upper == NULL)
			return query;
		query = upper;
	}
	else if (grouped)
	{
		Query *upper = distinct_rewrite(normalise, query);

		if (upper != NULL)
			return upper;
	}
	if (query->hasWindowFuncs)
		query = layers_split_windows(query);

	if (query->limitCount != NULL || query->limitOffset != NULL)
		return layers_limit(normalise, query);
	if (query->distinctClause != NIL && !query->hasDistinctOn)
		return layers_distinct(normalise, query);
	if (query->setOperations != NULL)
		return setop_rewrite(normalise, query);
	if (query->groupingSets != NIL)
		return grouping_rewrite(normalise, query);
	return query;
}

/*
 * A query that only filters and projects the groups of its one subquery, without
 * the clock, is a grouped query itself.
 */
Query *
layers_collapse(Query *query)
{
	int rtindex;
	RangeTblEntry *rte = normalise_single(query, &rtindex);
	Query *lower;
	Query *result;
	List *targets = NIL;
	bool sublinks = false;
	ListCell *cell;

	if (rte == NULL || rte->rtekind != RTE_SUBQUERY || query->hasSubLinks || query->hasTargetSRFs ||
	    query->distinctClause != NIL || query->limitCount != NULL || query->limitOffset != NULL ||
	    normalise_grouped(query) || query->hasWindowFuncs || query->rowMarks != NIL ||
	    query->cteList != NIL || plan_reads_clock((Node *) query->targetList) ||
	    plan_reads_clock((Node *) query->jointree))
		return query;
	lower = rte->subquery;
	if (!normalise_grouped(lower) || lower->groupingSets != NIL || lower->hasWindowFuncs ||
	    lower->hasTargetSRFs || lower->distinctClause != NIL || lower->limitCount != NULL ||
	    lower->limitOffset != NULL || lower->rowMarks != NIL || lower->cteList != NIL ||
	    lower->hasSubLinks)
		return query;

	result = copyObject(lower);
	foreach (cell, query->targetList)
	{
		TargetEntry *entry = flatCopyTargetEntry(lfirst(cell));

		if (entry->resjunk)
			continue;
		entry->ressortgroupref = 0;
		entry->expr = (Expr *) ReplaceVarsFromTargetList((Node *) entry->expr, rtindex, 0, rte,
		                                                 lower->targetList,
		                                                 REPLACEVARS_REPORT_ERROR, 0, &sublinks);
		targets = lappend(targets, entry);
	}
	foreach (cell, lower->groupClause)
	{
		TargetEntry *entry = copyObject(get_sortgroupclause_tle(lfirst(cell), lower->targetList));

		entry->resno = list_length(targets) + 1;
		entry->resjunk = true;
		targets = lappend(targets, entry);
	}
	result->targetList = targets;
	result->havingQual = make_and_qual(
	    result->havingQual,
	    ReplaceVarsFromTargetList(query->jointree->quals, rtindex, 0, rte, lower->targetList,
	                              REPLACEVARS_REPORT_ERROR, 0, &sublinks));
	result->sortClause = NIL;
	return result;
}
