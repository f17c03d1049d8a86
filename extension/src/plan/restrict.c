/*-------------------------------------------------------------------------
 *
 * restrict.c
 *	  Queries restricted to some of their keys.
 *
 * The keys are an ephemeral relation named PLAN_KEYS_NAME without repetitions,
 * joined to the query's own FROM items by ordinary conditions. So the planner
 * sees a join that it can start from the keys, if there is an index for it;
 * versions of rows need none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "plan/plan.h"
#include "plan/tree.h"
#include "utils/lsyscache.h"

/*
 * Add an ephemeral relation to a query's range table, with a column for each of
 * these expressions; returns its index.
 */
int
plan_add_ephemeral(Query *query, const char *name, List *expressions, double rows)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List *names = NIL;
	ListCell *cell;

	foreach (cell, expressions)
	{
		Node *expression = lfirst(cell);

		names = lappend(names, makeString(psprintf("k%d", list_length(names) + 1)));
		rte->coltypes = lappend_oid(rte->coltypes, exprType(expression));
		rte->coltypmods = lappend_int(rte->coltypmods, exprTypmod(expression));
		rte->colcollations = lappend_oid(rte->colcollations, exprCollation(expression));
	}
	rte->rtekind = RTE_NAMEDTUPLESTORE;
	rte->enrname = pstrdup(name);
	rte->enrtuples = rows;
	rte->eref = makeAlias("keys", names);
	rte->inFromCl = true;
	query->rtable = lappend(query->rtable, rte);
	return list_length(query->rtable);
}

/* The condition that a version is that of a column of an ephemeral relation. */
Node *
plan_version_equal(Node *version, int rtindex, int column)
{
	Expr *equal = make_opclause(TIDEqualOperator, BOOLOID, false, (Expr *) version,
	                            (Expr *) makeVar(rtindex, column, TIDOID, -1, InvalidOid, 0),
	                            InvalidOid, InvalidOid);

	set_opfuncid((OpExpr *) equal);
	return (Node *) equal;
}

/* Add an item and conditions to a query's FROM clause. */
static void
restrict_join(Query *query, int rtindex, List *quals)
{
	RangeTblRef *item = makeNode(RangeTblRef);

	item->rtindex = rtindex;
	query->jointree->fromlist = lappend(query->jointree->fromlist, item);
	query->jointree->quals =
	    make_and_qual(query->jointree->quals, (Node *) make_ands_explicit(quals));
}

/* Restrict a block's query to tuples of core versions. */
static Query *
restrict_block(const PlanBlock *block, double rows)
{
	Query *query = copyObject(block->query);
	List *versions = plan_core_versions(query);
	List *quals = NIL;
	ListCell *cell;
	int rtindex;
	int column = 1;

	rtindex = plan_add_ephemeral(query, PLAN_KEYS_NAME, versions, rows);
	foreach (cell, versions)
		quals = lappend(quals, plan_version_equal(lfirst(cell), rtindex, column++));
	restrict_join(query, rtindex, quals);
	return query;
}

/* Of a tree of UNION ALL, keep one branch only, restricted. */
static void
restrict_branches(Query *query, Node *node, int wanted, Query *restricted, int *branch)
{
	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable);

		if ((*branch)++ == wanted)
			rte->subquery = restricted;
		else
			plan_empty(rte->subquery);
		return;
	}
	restrict_branches(query, ((SetOperationStmt *) node)->larg, wanted, restricted, branch);
	restrict_branches(query, ((SetOperationStmt *) node)->rarg, wanted, restricted, branch);
}

/*
 * The inner query restricted to the tuples of a block's core versions that are
 * registered as PLAN_KEYS_NAME.
 */
Query *
plan_restrict_versions(const ViewPlan *plan, const PlanBlock *block, double rows)
{
	Query *restricted = restrict_block(block, rows);
	Query *query;
	int branch = 0;

	if (block->branch < 0)
		return restricted;
	query = copyObject(plan->inner);
	restrict_branches(query, query->setOperations, block->branch, restricted, &branch);
	return query;
}

/*
 * Restrict a query to keys: its expressions in the order of the inner query's
 * columns. Keys with NULLs need a comparison that no index serves, so they are
 * asked for apart (with_nulls).
 */
static void
restrict_keys(Query *query, List *expressions, const Oid *equality, bool with_nulls, double rows)
{
	List *quals = NIL;
	ListCell *cell;
	int rtindex;
	int column = 0;

	rtindex = plan_add_ephemeral(query, PLAN_KEYS_NAME, expressions, rows);
	foreach (cell, expressions)
	{
		Node *expression = lfirst(cell);
		Expr *key = (Expr *) makeVar(rtindex, column + 1, exprType(expression),
		                             exprTypmod(expression), exprCollation(expression), 0);
		Expr *equal =
		    make_opclause(equality[column], BOOLOID, false, (Expr *) copyObject(expression), key,
		                  InvalidOid, exprCollation(expression));

		set_opfuncid((OpExpr *) equal);
		if (with_nulls)
		{
			NullTest *left = makeNode(NullTest);
			NullTest *right = makeNode(NullTest);

			left->arg = (Expr *) copyObject(expression);
			right->arg = copyObject(key);
			left->nulltesttype = right->nulltesttype = IS_NULL;
			left->location = right->location = -1;
			equal = makeBoolExpr(
			    OR_EXPR, list_make2(equal, makeBoolExpr(AND_EXPR, list_make2(left, right), -1)),
			    -1);
		}
		quals = lappend(quals, equal);
		column++;
	}
	restrict_join(query, rtindex, quals);
}

/* The block restricted to the keys that are registered as PLAN_KEYS_NAME. */
Query *
plan_restrict_keys(const ViewPlan *plan, bool with_nulls, double rows)
{
	Query *query = copyObject(plan->block);

	restrict_keys(plan_key_query(query, plan->key_depth), plan->keys, plan->key_equality,
	              with_nulls, rows);
	return query;
}

/* A query restricted to values of its first columns, likewise. */
Query *
plan_restrict_columns(const Query *restricted, int keys, const Oid *equality, bool with_nulls,
                      double rows)
{
	Query *query;
	RangeTblEntry *inner = makeNode(RangeTblEntry);
	List *targets = NIL;
	List *names = NIL;
	List *expressions = NIL;
	ListCell *cell;
	int column = 0;

	foreach (cell, restricted->targetList)
	{
		Node *expression = (Node *) lfirst_node(TargetEntry, cell)->expr;
		Var *var = makeVar(1, ++column, exprType(expression), exprTypmod(expression),
		                   exprCollation(expression), 0);
		char *name = psprintf("c%d", column);

		targets = lappend(targets, makeTargetEntry((Expr *) var, column, name, false));
		names = lappend(names, makeString(name));
		if (column <= keys)
			expressions = lappend(expressions, var);
	}
	inner->rtekind = RTE_SUBQUERY;
	inner->subquery = copyObject(unconstify(Query *, restricted));
	inner->eref = makeAlias("inner", names);
	inner->inFromCl = true;
	query = tree_select(list_make1(inner), NULL);
	query->targetList = targets;
	if (keys > 0)
		restrict_keys(query, expressions, equality, with_nulls, rows);
	return query;
}

/* The inner query of a grouped view restricted to group keys. */
Query *
plan_recompute_groups(const ViewPlan *plan, bool with_nulls, double rows)
{
	return plan_restrict_columns(plan->inner, plan->key_count, plan->key_equality, with_nulls,
	                             rows);
}
