/*-------------------------------------------------------------------------
 *
 * distinct.c
 *	  Aggregates over distinct values, such as
 *	  SELECT k, count(DISTINCT x), sum(y) FROM t GROUP BY k.
 *
 * Each kind of value becomes a part that counts how often a group has it, and the
 * query a grouping over these parts and the rows themselves:
 *
 *	  SELECT k, count(x), sum(y) FILTER (WHERE plain) FROM (
 *	      SELECT k, y, true AS plain, NULL AS x FROM t
 *	      UNION ALL
 *	      SELECT k, NULL, NULL, x FROM part) u GROUP BY k
 *	  part: SELECT k, x, count(*) FROM t GROUP BY k, x
 *
 * A filter of an aggregate over distinct values is another count of the part; a
 * value is in if this is not zero. Filters that read the clock have a branch of
 * their own, of the rows that pass. All states follow changes, so that a row
 * that comes or goes costs one value and one group, however large that is.
 *
 * What cannot be taken apart is left as it is: its groups are computed anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_oper.h"
#include "plan/normalise.h"
#include "plan/tree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

/* A branch of the union: rows, or the part that counts how often a group has some value. */
typedef struct DistinctBranch
{
	Expr *condition;         /* of the rows that are in it; NULL: all */
	Expr *value;             /* NULL: the rows themselves */
	SortGroupClause *clause; /* how values are compared */
	List *filters;           /* of Expr *: what else is counted of the values */
} DistinctBranch;

/* A column beside the keys, which is NULL in every other branch. */
typedef struct DistinctColumn
{
	DistinctBranch *branch;
	Expr *expression;
} DistinctColumn;

typedef struct DistinctContext
{
	List *keys;     /* of Expr * */
	List *clauses;  /* of SortGroupClause *, one for each key */
	List *branches; /* of DistinctBranch * */
	List *columns;  /* of DistinctColumn * */
	bool failed;    /* there is something that cannot be split */
} DistinctContext;

/* A key or value as a column of a relation. */
static Expr *
distinct_var(AttrNumber attribute, Expr *expression)
{
	Node *node = (Node *) expression;

	return (Expr *) makeVar(1, attribute, exprType(node), exprTypmod(node), exprCollation(node), 0);
}

/* Can rows be grouped by this below the top, and do equal ones look the same? */
static bool
distinct_groups_by(Expr *expression, const SortGroupClause *clause)
{
	Node *column = (Node *) distinct_var(1, expression);

	return clause->hashable && get_typtype(exprType(column)) != TYPTYPE_PSEUDO &&
	       plan_equality_decides_image(column);
}

/* Add what the query groups by, and columns that depend on that. */
static void
distinct_add_keys(DistinctContext *context, const Query *query)
{
	ListCell *cell;

	foreach (cell, query->groupClause)
	{
		TargetEntry *entry = get_sortgroupclause_tle(lfirst(cell), query->targetList);

		context->keys = lappend(context->keys, entry->expr);
		context->clauses = lappend(context->clauses, lfirst(cell));
	}
	context->keys = plan_bare_columns(query, context->keys);
	for (int i = list_length(context->clauses); i < list_length(context->keys); i++)
	{
		SortGroupClause *clause = makeNode(SortGroupClause);

		get_sort_group_operators(exprType(list_nth(context->keys, i)), false, false, false,
		                         &clause->sortop, &clause->eqop, NULL, &clause->hashable);
		context->clauses = lappend(context->clauses, clause);
	}
	for (int i = 0; i < list_length(context->keys); i++)
		context->failed |=
		    !distinct_groups_by(list_nth(context->keys, i), list_nth(context->clauses, i));
}

/* The column of the union that is this expression of a branch. */
static Expr *
distinct_column(DistinctContext *context, DistinctBranch *branch, Expr *expression)
{
	int number = list_length(context->keys);
	DistinctColumn *column;
	ListCell *cell;

	foreach (cell, context->columns)
	{
		column = lfirst(cell);
		number++;
		if (column->branch == branch && equal(column->expression, expression))
			return distinct_var(number, expression);
	}
	column = palloc(sizeof(DistinctColumn));
	column->branch = branch;
	column->expression = copyObject(expression);
	context->columns = lappend(context->columns, column);
	return distinct_var(number + 1, expression);
}

/* The branch of rows that pass a condition, or of a value of theirs. */
static DistinctBranch *
distinct_branch(DistinctContext *context, Expr *condition, Expr *value, SortGroupClause *clause)
{
	DistinctBranch *branch;
	ListCell *cell;

	foreach (cell, context->branches)
	{
		branch = lfirst(cell);
		if (equal(branch->condition, condition) && equal(branch->value, value))
			return branch;
	}
	branch = palloc0(sizeof(DistinctBranch));
	branch->condition = condition;
	branch->value = value;
	branch->clause = clause;
	context->branches = lappend(context->branches, branch);
	return branch;
}

/* An aggregate over distinct values as one over the values of its part. */
static void
distinct_over_values(DistinctContext *context, Aggref *aggref, Expr *condition, Expr *filter)
{
	TargetEntry *argument = linitial_node(TargetEntry, aggref->args);
	DistinctBranch *branch = distinct_branch(context, condition, argument->expr,
	                                         linitial_node(SortGroupClause, aggref->aggdistinct));
	AttrNumber value = list_length(context->keys) + 1;

	argument->expr = distinct_column(context, branch, distinct_var(value, branch->value));
	argument->ressortgroupref = 0;
	aggref->aggdistinct = aggref->aggorder = NIL;
	if (filter != NULL)
	{
		int number = 0;

		branch->filters = list_append_unique(branch->filters, filter);
		while (!equal(list_nth(branch->filters, number), filter))
			number++;
		/* behind the value comes the count of all of its rows */
		filter = distinct_var(value + 2 + number, (Expr *) normalise_count(filter));
		aggref->aggfilter = distinct_column(context, branch, (Expr *) setop_some((Node *) filter));
	}
}

/* An aggregate over rows, which those of the parts are not among. */
static void
distinct_over_rows(DistinctContext *context, Aggref *aggref, Expr *condition, Expr *filter)
{
	DistinctBranch *branch = distinct_branch(context, condition, NULL, NULL);
	ListCell *cell;

	foreach (cell, aggref->args)
	{
		TargetEntry *argument = lfirst_node(TargetEntry, cell);

		argument->expr = distinct_column(context, branch, argument->expr);
	}
	aggref->aggfilter =
	    distinct_column(context, branch, filter ? filter : (Expr *) makeBoolConst(true, false));
}

/* Can this aggregate follow changes, once it has its values, if it is over distinct ones? */
static bool
distinct_follows(const Aggref *aggref)
{
	Aggref *plain = copyObject((Aggref *) aggref);
	const char *reason;

	plain->aggdistinct = NIL;
	if (aggref->aggdistinct != NIL)
	{
		plain->aggorder = NIL;
		if (list_length(aggref->args) != 1 ||
		    !distinct_groups_by(linitial_node(TargetEntry, aggref->args)->expr,
		                        linitial_node(SortGroupClause, aggref->aggdistinct)))
			return false;
	}
	return plan_aggregate(plain, &reason) != NULL && !plan_reads_clock((Node *) aggref->args);
}

/* Replace keys and aggregates by columns of the union and aggregates over them. */
static Node *
distinct_mutator(Node *node, DistinctContext *context)
{
	Aggref *aggref = (Aggref *) node;
	Expr *filter;
	Expr *condition;
	ListCell *cell;

	if (node == NULL)
		return NULL;
	foreach (cell, context->keys)
		if (equal(lfirst(cell), node))
			return (Node *) distinct_var(foreach_current_index(cell) + 1, lfirst(cell));
	if (!IsA(node, Aggref))
		return expression_tree_mutator(node, distinct_mutator, context);
	if (!distinct_follows(aggref))
	{
		context->failed = true;
		return node;
	}
	aggref = copyObject(aggref);
	filter = aggref->aggfilter;
	condition = plan_reads_clock((Node *) filter) ? filter : NULL;
	if (condition != NULL)
		aggref->aggfilter = filter = NULL;
	if (aggref->aggdistinct != NIL)
		distinct_over_values(context, aggref, condition, filter);
	else
		distinct_over_rows(context, aggref, condition, filter);
	return (Node *) aggref;
}

/* The query's rows below its grouping that are in a branch, without columns. */
static Query *
distinct_rows(const Query *query, const DistinctBranch *branch)
{
	Query *rows = copyObject((Query *) query);

	rows->targetList = rows->groupClause = rows->sortClause = NIL;
	rows->hasAggs = false;
	rows->havingQual = NULL;
	if (branch->condition != NULL)
		rows->jointree->quals =
		    make_and_qual(rows->jointree->quals, (Node *) copyObject(branch->condition));
	return rows;
}

/* Give a query one more column, and group by it as the clause says, unless that is NULL. */
static void
distinct_add_target(Query *query, Expr *expression, const SortGroupClause *clause)
{
	int number = list_length(query->targetList) + 1;
	TargetEntry *entry =
	    makeTargetEntry(copyObject(expression), number, psprintf("c%d", number), false);

	query->targetList = lappend(query->targetList, entry);
	if (clause != NULL)
	{
		SortGroupClause *copy = copyObject((SortGroupClause *) clause);

		entry->ressortgroupref = copy->tleSortGroupRef = number;
		query->groupClause = lappend(query->groupClause, copy);
	}
}

/* The part that counts values: keys, value, and how often it is there at all and with each filter. */
static RangeTblEntry *
distinct_count_values(Normalise *normalise, const DistinctContext *context, const Query *query,
                      const DistinctBranch *branch)
{
	Query *counted = distinct_rows(query, branch);
	ListCell *cell;
	ListCell *clause;

	forboth(cell, context->keys, clause, context->clauses)
	    distinct_add_target(counted, lfirst(cell), lfirst(clause));
	distinct_add_target(counted, branch->value, branch->clause);
	distinct_add_target(counted, (Expr *) normalise_count(NULL), NULL);
	foreach (cell, branch->filters)
		distinct_add_target(counted, (Expr *) normalise_count(lfirst(cell)), NULL);
	counted->hasAggs = true;
	return normalise_part(normalise, normalise_query(normalise, counted, false));
}

/* The keys of a branch, and what every column of the union is in it. */
static Query *
distinct_make_branch(Normalise *normalise, const DistinctContext *context, const Query *query,
                     const DistinctBranch *branch)
{
	Query *result;
	ListCell *cell;

	if (branch->value == NULL)
		result = distinct_rows(query, branch);
	else
		result =
		    tree_select(list_make1(distinct_count_values(normalise, context, query, branch)), NULL);
	foreach (cell, context->keys)
	{
		Expr *key = lfirst(cell);

		if (branch->value != NULL)
			key = distinct_var(foreach_current_index(cell) + 1, key);
		distinct_add_target(result, key, NULL);
	}
	foreach (cell, context->columns)
	{
		DistinctColumn *column = lfirst(cell);
		Node *node = (Node *) column->expression;

		if (column->branch != branch)
			node = (Node *) makeNullConst(exprType(node), exprTypmod(node), exprCollation(node));
		distinct_add_target(result, (Expr *) node, NULL);
	}
	return result;
}

/* Is there an aggregate over distinct values? */
static bool
distinct_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref) && ((Aggref *) node)->aggdistinct != NIL)
		return true;
	return expression_tree_walker(node, distinct_walker, context);
}

/* See to it that every group is in the union, also one that no aggregate takes anything from. */
static void
distinct_add_groups(DistinctContext *context)
{
	ListCell *cell;

	foreach (cell, context->branches)
		if (((DistinctBranch *) lfirst(cell))->condition == NULL)
			return;
	if (context->keys != NIL)
		(void) distinct_branch(context, NULL, NULL, NULL);
}

/* Rewrite a grouped query; NULL: it is left as it is. */
Query *
distinct_rewrite(Normalise *normalise, Query *query)
{
	DistinctContext context = {0};
	List *branches = NIL;
	List *targets;
	Node *having;
	Query *all;
	Query *upper;
	ListCell *cell;

	if (!query->hasAggs || query->groupingSets != NIL || query->setOperations != NULL ||
	    query->hasWindowFuncs || query->hasTargetSRFs || query->cteList != NIL ||
	    checkExprHasSubLink((Node *) query->targetList) || checkExprHasSubLink(query->havingQual) ||
	    !(distinct_walker((Node *) query->targetList, NULL) ||
	      distinct_walker(query->havingQual, NULL)))
		return NULL;
	distinct_add_keys(&context, query);
	targets = (List *) distinct_mutator((Node *) query->targetList, &context);
	having = distinct_mutator(query->havingQual, &context);
	if (context.failed)
		return NULL;

	distinct_add_groups(&context);
	foreach (cell, context.branches)
		branches =
		    lappend(branches, distinct_make_branch(normalise, &context, query, lfirst(cell)));
	all = setop_union_all(branches, linitial_node(Query, branches)->targetList);
	upper = normalise_over(normalise_entry(all), NIL);
	upper->targetList = targets;
	upper->havingQual = having;
	upper->hasAggs = true;
	upper->groupClause = list_copy(query->groupClause);
	/* columns that depend on a key are keys in their own right now */
	for (int i = list_length(query->groupClause); i < list_length(context.keys); i++)
	{
		SortGroupClause *clause = list_nth(context.clauses, i);
		TargetEntry *entry = makeTargetEntry(distinct_var(i + 1, list_nth(context.keys, i)),
		                                     list_length(upper->targetList) + 1, NULL, true);

		upper->targetList = lappend(upper->targetList, entry);
		clause->tleSortGroupRef = assignSortGroupRef(entry, upper->targetList);
		upper->groupClause = lappend(upper->groupClause, clause);
	}
	return upper;
}
