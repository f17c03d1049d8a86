/*-------------------------------------------------------------------------
 *
 * affected.c
 *	  The tuples of core versions whose rows a leaf's changes can touch, as a
 *	  query.
 *
 * The query has the FROM items of every query on the path from the block down
 * to the leaf, each joined to the one above, and the leaf restricted to the
 * versions that changed. It is run at the old cut for those that went, and at
 * the new cut for those that came. What it keeps are conditions that hold for
 * whatever a change can touch:
 *	- An outer join with the leaf on its nullable side becomes an inner one. What
 *	  is on that side is "open": the same tuple without it may have given rows,
 *	  so no condition further up that reads it is kept.
 *	- Groupings, HAVING, LIMIT, windows and set operations on the path go; columns
 *	  they make are open. A grouping's own key stays if its equality is identity:
 *	  only groups with the key of a changed row can change.
 *	- A subquery of an expression becomes a lateral one in FROM. The comparison of
 *	  an IN is kept; of one that is not a condition by itself, a row is in doubt
 *	  unless the comparison is false for it: true, or one side NULL (three queries).
 *	- Other conditions with subqueries go.
 * Conditions that are kept read nothing but relations as they are in that cut.
 * A tuple that no such query gives, for any leaf, has the same derivations in both
 * cuts, hence the same rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "plan/plan.h"
#include "plan/tree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

typedef struct AffectedContext
{
	const PlanBlock *block;
	const PlanBlockLeaf *leaf;
	int sign;
	double rows;
	int variants;       /* how many queries the leaf needs */
	const char *reason; /* not NULL: the path is not understood */
} AffectedContext;

/* What cannot be relied upon further up. */
typedef struct AffectedOpen
{
	Bitmapset *relations;
	List *columns; /* Vars */
} AffectedOpen;

/* A query on the path. */
typedef struct AffectedLevel
{
	AffectedContext *context;
	Query *query;
	List *items; /* to add to FROM */
	List *quals; /* likewise, to its conditions */
	AffectedOpen open;
} AffectedLevel;

static void affected_query(AffectedContext *context, Query *query, Bitmapset **open_columns);

/* The name under which the versions of a relation that changed are registered. */
char *
plan_versions_name(Oid relid, int sign)
{
	return psprintf("freshet versions %c%u", sign > 0 ? '+' : '-', relid);
}

/* Is this the comparison with the clock that the leaf is? */
static bool
affected_comparison(Node *node, const PlanBlockLeaf *leaf)
{
	return leaf->clock && IsA(node, OpExpr) &&
	       ((OpExpr *) node)->location == PLAN_CLOCK_LOCATION(leaf->number);
}

/* Is the leaf somewhere in this tree? */
static bool
affected_leaf_walker(Node *node, const PlanBlockLeaf *leaf)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
		return !leaf->clock && ((RangeTblEntry *) node)->rtekind == RTE_RELATION &&
		       ((RangeTblEntry *) node)->enrtuples == leaf->number;
	if (affected_comparison(node, leaf))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, affected_leaf_walker, (void *) leaf,
		                         QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
	return expression_tree_walker(node, affected_leaf_walker, (void *) leaf);
}

/* Is the leaf somewhere in this expression? */
static bool
affected_in(AffectedContext *context, Node *node)
{
	return affected_leaf_walker(node, context->leaf);
}

/* Is the leaf below this FROM item, or in a condition of it? */
static bool
affected_in_from(AffectedLevel *level, Node *node)
{
	ListCell *cell;

	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex, level->query->rtable);

		return affected_in(level->context, (Node *) rte) ||
		       (rte->rtekind == RTE_SUBQUERY &&
		        affected_in(level->context, (Node *) rte->subquery));
	}
	if (IsA(node, JoinExpr))
		return affected_in_from(level, ((JoinExpr *) node)->larg) ||
		       affected_in_from(level, ((JoinExpr *) node)->rarg) ||
		       affected_in(level->context, ((JoinExpr *) node)->quals);
	foreach (cell, castNode(FromExpr, node)->fromlist)
		if (affected_in_from(level, lfirst(cell)))
			return true;
	return affected_in(level->context, ((FromExpr *) node)->quals);
}

typedef struct OpenContext
{
	const AffectedOpen *open;
	int levels_up;
} OpenContext;

/* Is something open read? */
static bool
affected_open_walker(Node *node, OpenContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var *var = (Var *) node;
		ListCell *cell;

		if (var->varlevelsup != context->levels_up)
			return false;
		if (bms_is_member(var->varno, context->open->relations))
			return true;
		foreach (cell, context->open->columns)
		{
			Var *column = lfirst_node(Var, cell);

			if (column->varno == var->varno &&
			    (column->varattno == var->varattno || var->varattno == 0))
				return true;
		}
		return false;
	}
	if (IsA(node, Query))
	{
		bool result;

		context->levels_up++;
		result = query_tree_walker((Query *) node, affected_open_walker, context,
		                           QTW_IGNORE_JOINALIASES);
		context->levels_up--;
		return result;
	}
	return expression_tree_walker(node, affected_open_walker, context);
}

/* Does an expression of a query read what is open there? */
static bool
affected_reads_open(const AffectedOpen *open, Node *node, int levels_up)
{
	OpenContext context = {.open = open, .levels_up = levels_up};

	if (node == NULL || (open->relations == NULL && open->columns == NIL))
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, affected_open_walker, &context,
		                         QTW_IGNORE_JOINALIASES);
	return affected_open_walker(node, &context);
}

/* The conditions that are kept; the one with the leaf is not among them. */
static Node *
affected_quals(AffectedLevel *level, Node *quals)
{
	List *kept = NIL;
	ListCell *cell;

	foreach (cell, make_ands_implicit((Expr *) quals))
	{
		Node *qual = lfirst(cell);

		if (!checkExprHasSubLink(qual) && !affected_in(level->context, qual) &&
		    !affected_reads_open(&level->open, qual, 0))
			kept = lappend(kept, qual);
	}
	return kept ? (Node *) make_ands_explicit(kept) : NULL;
}

/* An item beside the path must not depend on what is open. */
static void
affected_check_beside(AffectedLevel *level, Node *node)
{
	int rtindex = -1;
	Bitmapset *relations = plan_from_relations(node);

	while ((rtindex = bms_next_member(relations, rtindex)) >= 0)
	{
		RangeTblEntry *rte = rt_fetch(rtindex, level->query->rtable);

		if (!rte->lateral)
			continue;
		if (affected_reads_open(&level->open, (Node *) rte->functions, 0) ||
		    affected_reads_open(&level->open, (Node *) rte->values_lists, 0) ||
		    affected_reads_open(&level->open, (Node *) rte->tablefunc, 0) ||
		    (rte->subquery && affected_reads_open(&level->open, (Node *) rte->subquery, 1)))
			level->context->reason = "lateral item that reads what may be missing";
	}
}

/* What the search for the subquery with the leaf found. */
typedef struct SublinkContext
{
	AffectedContext *context;
	SubLink *found;
	bool comparison; /* the leaf itself */
} SublinkContext;

/* Find the outermost subquery of an expression that contains the leaf, or the leaf. */
static bool
affected_sublink_walker(Node *node, SublinkContext *search)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink) && affected_in(search->context, ((SubLink *) node)->subselect))
	{
		search->found = (SubLink *) node;
		return true;
	}
	if (affected_comparison(node, search->context->leaf))
	{
		search->comparison = true;
		return true;
	}
	return expression_tree_walker(node, affected_sublink_walker, search);
}

/* A test of an expression for NULL. */
static Node *
affected_is_null(Node *expression)
{
	NullTest *test = makeNode(NullTest);

	test->arg = (Expr *) expression;
	test->nulltesttype = IS_NULL;
	test->location = -1;
	return (Node *) test;
}

/*
 * The condition under which a row of a subquery can matter to an ANY that is not
 * a condition by itself: the comparison is not false. Operators of indexes give
 * NULL for NULL only; then this is asked for in parts that indexes can serve.
 */
static Node *
affected_not_false(AffectedContext *context, Node *test, int rtindex)
{
	OpExpr *comparison = (OpExpr *) test;
	BooleanTest *result;

	if (IsA(test, OpExpr) && list_length(comparison->args) == 2 && context->variants == 1 &&
	    op_strict(comparison->opno) && get_op_btree_interpretation(comparison->opno) != NIL)
	{
		Node *left = linitial(comparison->args);
		Node *right = lsecond(comparison->args);
		bool left_is_row = bms_is_member(rtindex, pull_varnos(NULL, left));

		context->variants = 3;
		switch (context->leaf->variant)
		{
			case 0:
				return test;
			case 1:
				return affected_is_null(left_is_row ? left : right);
			default:
				return affected_is_null(left_is_row ? right : left);
		}
	}
	result = makeNode(BooleanTest);
	result->arg = (Expr *) test;
	result->booltesttype = IS_NOT_FALSE;
	result->location = -1;
	return (Node *) result;
}

/*
 * Join the subquery of an expression that contains the leaf, or restrict the rows
 * to those for which a comparison with the clock can change. condition: the
 * expression is a condition that has to hold.
 */
static void
affected_sublink(AffectedLevel *level, Node *expression, bool condition)
{
	SublinkContext search = {.context = level->context};
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *item = makeNode(RangeTblRef);
	Bitmapset *open = NULL;
	Node *test = NULL;
	SubLink *sublink;
	ListCell *cell;

	affected_sublink_walker(expression, &search);
	if (search.comparison)
	{
		level->quals = lappend(level->quals, plan_clock_range(level->context->leaf->clock));
		return;
	}
	sublink = search.found;
	if (sublink == NULL || contain_aggs_of_level(sublink->subselect, 1))
	{
		level->context->reason = "aggregate of an outer query in a subquery";
		return;
	}
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = (Query *) sublink->subselect;
	affected_query(level->context, rte->subquery, &open);
	rte->lateral = true;
	rte->inFromCl = true;
	rte->eref = makeAlias("subquery", NIL);
	foreach (cell, rte->subquery->targetList)
		rte->eref->colnames =
		    lappend(rte->eref->colnames,
		            makeString(psprintf("c%d", lfirst_node(TargetEntry, cell)->resno)));
	level->query->rtable = lappend(level->query->rtable, rte);
	item->rtindex = list_length(level->query->rtable);
	level->items = lappend(level->items, item);

	if ((sublink->subLinkType != ANY_SUBLINK && sublink->subLinkType != ALL_SUBLINK) ||
	    open != NULL || checkExprHasSubLink(sublink->testexpr) ||
	    affected_reads_open(&level->open, sublink->testexpr, 0))
		return;
	test = tree_sublink_columns(sublink->testexpr, item->rtindex);
	if (sublink->subLinkType == ALL_SUBLINK)
	{
		BooleanTest *not_true = makeNode(BooleanTest);

		not_true->arg = (Expr *) test;
		not_true->booltesttype = IS_NOT_TRUE;
		not_true->location = -1;
		test = (Node *) not_true;
	}
	else if (!condition || expression != (Node *) sublink)
		test = affected_not_false(level->context, test, item->rtindex);
	level->quals = lappend(level->quals, test);
}

/* Join the subquery with the leaf out of a list of conditions, if it is there. */
static void
affected_in_quals(AffectedLevel *level, Node *quals)
{
	ListCell *cell;

	foreach (cell, make_ands_implicit((Expr *) quals))
	{
		if (!affected_in(level->context, lfirst(cell)))
			continue;
		affected_sublink(level, lfirst(cell), true);
		return;
	}
}

/* Restrict the leaf to the versions that changed. */
static void
affected_versions(AffectedLevel *level, int rtindex)
{
	AffectedContext *context = level->context;
	RangeTblRef *item = makeNode(RangeTblRef);
	Node *version =
	    (Node *) makeVar(rtindex, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0);

	item->rtindex =
	    plan_add_ephemeral(level->query, plan_versions_name(context->leaf->relid, context->sign),
	                       list_make1(version), context->rows);
	level->items = lappend(level->items, item);
	level->quals = lappend(level->quals, plan_version_equal(version, item->rtindex, 1));
}

/* Go down to the leaf below a FROM item; returns what takes the item's place. */
static Node *
affected_from(AffectedLevel *level, Node *node)
{
	AffectedOpen *open = &level->open;
	ListCell *cell;

	if (IsA(node, RangeTblRef))
	{
		int rtindex = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rtindex, level->query->rtable);
		Bitmapset *columns = NULL;
		int column = -1;

		if (rte->rtekind == RTE_RELATION)
		{
			affected_versions(level, rtindex);
			return node;
		}
		affected_query(level->context, rte->subquery, &columns);
		while ((column = bms_next_member(columns, column)) >= 0)
			open->columns =
			    lappend(open->columns, makeVar(rtindex, column, InvalidOid, -1, InvalidOid, 0));
		return node;
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;
		bool left = affected_in_from(level, join->larg);
		bool right = !left && affected_in_from(level, join->rarg);

		if (join->jointype == JOIN_FULL)
		{
			/* a match that comes takes a row without one away: all is open */
			node = left ? affected_from(level, join->larg) : affected_from(level, join->rarg);
			if (!left && !right)
				level->context->reason = "subquery in the condition of a full join";
			open->relations = bms_union(open->relations, plan_from_relations((Node *) join));
			return node;
		}
		if (left)
		{
			join->larg = affected_from(level, join->larg);
			if (join->jointype == JOIN_LEFT)
			{
				if (open->relations != NULL || open->columns != NIL)
					open->relations = bms_union(open->relations, plan_from_relations(join->rarg));
				return node;
			}
			affected_check_beside(level, join->rarg);
		}
		else if (right)
		{
			join->rarg = affected_from(level, join->rarg);
			affected_check_beside(level, join->larg);
		}
		else
			affected_in_quals(level, join->quals);
		join->quals = affected_quals(level, join->quals);
		if (join->jointype == JOIN_LEFT)
		{
			join->jointype = JOIN_INNER;
			rt_fetch(join->rtindex, level->query->rtable)->jointype = JOIN_INNER;
			open->relations = bms_union(open->relations, plan_from_relations(join->rarg));
		}
		return node;
	}

	{
		FromExpr *from = castNode(FromExpr, node);
		bool found = false;

		foreach (cell, from->fromlist)
		{
			if (found || !affected_in_from(level, lfirst(cell)))
				continue;
			lfirst(cell) = affected_from(level, lfirst(cell));
			found = true;
		}
		if (!found)
			affected_in_quals(level, from->quals);
		foreach (cell, from->fromlist)
			if (!affected_in_from(level, lfirst(cell)))
				affected_check_beside(level, lfirst(cell));
		from->quals = affected_quals(level, from->quals);
	}
	return node;
}

/* Take the branch with the leaf out of a tree of set operations; all: all are UNION ALL. */
static int
affected_branch(AffectedLevel *level, Node *node, bool *all)
{
	SetOperationStmt *operation;
	int branch;

	if (IsA(node, RangeTblRef))
		return affected_in_from(level, node) ? ((RangeTblRef *) node)->rtindex : 0;
	operation = castNode(SetOperationStmt, node);
	branch = affected_branch(level, operation->larg, all);
	if (branch == 0)
		branch = affected_branch(level, operation->rarg, all);
	if (branch != 0 && (operation->op != SETOP_UNION || !operation->all))
		*all = false;
	return branch;
}

/* Go down into a branch of a set operation; returns the columns that are open. */
static void
affected_set_operation(AffectedLevel *level)
{
	Query *query = level->query;
	RangeTblRef *item = makeNode(RangeTblRef);
	bool all = true;
	Query *branch;
	ListCell *cell;

	item->rtindex = affected_branch(level, query->setOperations, &all);
	branch = rt_fetch(item->rtindex, query->rtable)->subquery;
	query->jointree = makeFromExpr(list_make1(item), NULL);
	query->jointree = (FromExpr *) affected_from(level, (Node *) query->jointree);
	if (!all)
		level->open.relations = bms_add_member(level->open.relations, item->rtindex);
	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		TargetEntry *source;

		if (entry->resjunk)
			continue;
		source = list_nth_node(TargetEntry, branch->targetList, entry->resno - 1);
		/* a column whose type the set operation changes is as good as open */
		if (exprType((Node *) source->expr) == exprType((Node *) entry->expr) &&
		    exprTypmod((Node *) source->expr) == exprTypmod((Node *) entry->expr))
			entry->expr = (Expr *) makeVar(
			    item->rtindex, entry->resno, exprType((Node *) source->expr),
			    exprTypmod((Node *) source->expr), exprCollation((Node *) source->expr), 0);
		else
			level->open.columns = lappend(level->open.columns, copyObject(entry->expr));
	}
}

/* Is a column of a query on the path not that of the changed row? */
static bool
affected_column_open(AffectedLevel *level, TargetEntry *entry, bool grouped)
{
	Query *query = level->query;
	Node *expression = (Node *) entry->expr;

	if (query->hasWindowFuncs || query->limitCount || query->limitOffset || query->hasDistinctOn ||
	    query->groupingSets)
		return true;
	if (affected_in(level->context, expression) || contain_aggs_of_level(expression, 0) ||
	    expression_returns_set(expression) || checkExprHasSubLink(expression))
		return true;
	if (grouped && !plan_equality_decides_image(expression))
		return true;
	return affected_reads_open(&level->open, expression, 0);
}

/* Drop outer joins whose nullable side nothing reads; they filter nothing. */
static Node *
affected_prune(Query *query, Node *node)
{
	ListCell *cell;

	if (IsA(node, RangeTblRef))
		return node;
	if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;
		Bitmapset *relations = plan_from_relations(join->rarg);
		Bitmapset *read;
		Node *quals = join->quals;
		Node *right = join->rarg;
		int rtindex;

		join->larg = affected_prune(query, join->larg);
		if (join->jointype != JOIN_LEFT)
		{
			join->rarg = affected_prune(query, join->rarg);
			return node;
		}
		/* whatever the query reads beside this join */
		join->quals = NULL;
		join->rarg = (Node *) makeFromExpr(NIL, NULL);
		read = bms_union(pull_varnos(NULL, (Node *) query->jointree),
		                 pull_varnos(NULL, (Node *) query->targetList));
		join->quals = quals;
		join->rarg = right;
		for (rtindex = 1; rtindex <= list_length(query->rtable); rtindex++)
		{
			RangeTblEntry *rte = rt_fetch(rtindex, query->rtable);

			if (!rte->lateral || bms_is_member(rtindex, relations))
				continue;
			read = bms_union(read, pull_varnos(NULL, (Node *) rte->functions));
			read = bms_union(read, pull_varnos(NULL, (Node *) rte->values_lists));
			read = bms_union(read, pull_varnos(NULL, (Node *) rte->tablefunc));
			if (rte->subquery)
				read = bms_union(read, pull_varnos_of_level(NULL, (Node *) rte->subquery, 1));
		}
		return bms_overlap(read, relations) ? node : join->larg;
	}
	foreach (cell, castNode(FromExpr, node)->fromlist)
		lfirst(cell) = affected_prune(query, lfirst(cell));
	return node;
}

/* Drop the outer joins that are not needed. */
static void
affected_drop_joins(Query *query)
{
	query->jointree = (FromExpr *) affected_prune(query, (Node *) query->jointree);
	plan_forget_joins(query);
}

/*
 * Make a query give the rows a changed version of the leaf took part in, as far
 * as that can be said; open_columns are those that say nothing about them.
 */
static void
affected_query(AffectedContext *context, Query *query, Bitmapset **open_columns)
{
	AffectedLevel level = {.context = context, .query = query};
	bool grouped = query->hasAggs || query->groupClause != NIL || query->distinctClause != NIL;
	ListCell *cell;

	if (query->setOperations)
		affected_set_operation(&level);
	else if (affected_in_from(&level, (Node *) query->jointree))
		query->jointree = (FromExpr *) affected_from(&level, (Node *) query->jointree);
	else
	{
		List *expressions =
		    list_make4(query->targetList, query->havingQual, query->limitCount, query->limitOffset);

		query->jointree->quals = affected_quals(&level, query->jointree->quals);
		foreach (cell, expressions)
			if (affected_in(context, lfirst(cell)))
				break;
		if (cell)
			affected_sublink(&level, lfirst(cell), false);
		else
			context->reason = "subquery in a place of its own";
	}
	if (context->reason)
		return;

	query->jointree->fromlist = list_concat(query->jointree->fromlist, level.items);
	if (level.quals)
		query->jointree->quals =
		    make_and_qual(query->jointree->quals, (Node *) make_ands_explicit(level.quals));
	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		entry->ressortgroupref = 0;
		if (entry->resjunk)
		{
			query->targetList = foreach_delete_current(query->targetList, cell);
			continue;
		}
		if (!affected_column_open(&level, entry, grouped))
			continue;
		*open_columns = bms_add_member(*open_columns, entry->resno);
		entry->expr =
		    (Expr *) makeNullConst(exprType((Node *) entry->expr), exprTypmod((Node *) entry->expr),
		                           exprCollation((Node *) entry->expr));
	}
	query->hasAggs = query->hasWindowFuncs = query->hasDistinctOn = query->hasTargetSRFs = false;
	query->groupClause = query->groupingSets = query->windowClause = NIL;
	query->distinctClause = query->sortClause = query->rowMarks = NIL;
	query->havingQual = query->limitCount = query->limitOffset = query->setOperations = NULL;
	affected_drop_joins(query);
}

/*
 * The query for a leaf's changes of a sign: its columns are the versions of the
 * core. rows is the expected number of changes; variants says how many queries
 * the leaf needs, and reason, if not NULL, why there is none.
 */
Query *
plan_affected(const PlanBlock *block, const PlanBlockLeaf *leaf, int sign, double rows,
              int *variants, const char **reason)
{
	Query *query = copyObject(block->query);
	AffectedContext context = {
	    .block = block, .leaf = leaf, .sign = sign, .rows = rows, .variants = 1};
	Bitmapset *open = NULL;
	List *versions;
	ListCell *cell;

	versions = plan_core_versions(query);
	if (affected_in(&context, (Node *) query->targetList))
	{
		/* the leaf is in a subquery that only shows something */
		AffectedLevel level = {.context = &context, .query = query};

		query->jointree->quals = affected_quals(&level, query->jointree->quals);
		affected_sublink(&level, (Node *) query->targetList, false);
		query->jointree->fromlist = list_concat(query->jointree->fromlist, level.items);
		if (level.quals)
			query->jointree->quals =
			    make_and_qual(query->jointree->quals, (Node *) make_ands_explicit(level.quals));
		query->targetList = NIL;
	}
	else
	{
		query->targetList = NIL;
		affected_query(&context, query, &open);
	}
	*variants = context.variants;
	*reason = context.reason;
	if (context.reason)
		return NULL;
	query->hasTargetSRFs = false;
	query->sortClause = NIL;
	foreach (cell, versions)
	{
		int number = list_length(query->targetList) + 1;

		query->targetList =
		    lappend(query->targetList,
		            makeTargetEntry(lfirst(cell), number, psprintf("version%d", number), false));
	}
	affected_drop_joins(query);
	return query;
}
