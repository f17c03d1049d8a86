/*-------------------------------------------------------------------------
 *
 * setop.c
 *	  Set operations as groupings over UNION ALL.
 *
 *	UNION          SELECT c FROM (l UNION ALL r) GROUP BY c
 *	INTERSECT      the same over rows marked with their side,
 *	               HAVING count(left) > 0 AND count(right) > 0
 *	EXCEPT         HAVING count(left) > 0 AND count(right) = 0
 *	... ALL        each row so many times: least(left, right), left - right
 *
 * A grouping keeps counters, so that a row that comes or goes costs one group.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "plan/normalise.h"
#include "plan/tree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* "=", ">" and "-" of int8 */
#define INT8_EQUAL_OPERATOR 410
#define INT8_GREATER_OPERATOR 413
#define INT8_MINUS_OPERATOR 685

/*
 * UNION ALL of queries whose columns have the same types; the result's are
 * named as the targets.
 */
Query *
setop_union_all(List *branches, List *targets)
{
	Query *query = tree_select(NIL, NULL);
	List *types = NIL;
	List *typmods = NIL;
	List *collations = NIL;
	Node *tree = NULL;
	ListCell *cell;
	int number = 0;

	query->targetList = tree_columns(targets);
	foreach (cell, targets)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Node *expression = (Node *) entry->expr;

		if (entry->resjunk)
			continue;
		types = lappend_oid(types, exprType(expression));
		typmods = lappend_int(typmods, exprTypmod(expression));
		collations = lappend_oid(collations, exprCollation(expression));
	}
	foreach (cell, branches)
	{
		RangeTblRef *reference = makeNode(RangeTblRef);
		SetOperationStmt *operation;

		query->rtable = lappend(query->rtable, normalise_entry(lfirst(cell)));
		reference->rtindex = ++number;
		if (tree == NULL)
		{
			tree = (Node *) reference;
			continue;
		}
		operation = makeNode(SetOperationStmt);
		operation->op = SETOP_UNION;
		operation->all = true;
		operation->larg = tree;
		operation->rarg = (Node *) reference;
		operation->colTypes = list_copy(types);
		operation->colTypmods = list_copy(typmods);
		operation->colCollations = list_copy(collations);
		tree = (Node *) operation;
	}
	query->setOperations = tree;
	if (IsA(tree, RangeTblRef))
		return normalise_over(normalise_entry(linitial(branches)), targets);
	return query;
}

/* A branch whose columns have the types of its operation. */
Query *
setop_coerce(Query *branch, SetOperationStmt *operation)
{
	Query *result = normalise_over(normalise_entry(branch), branch->targetList);
	bool differs = false;
	ListCell *cell;
	ListCell *type;

	forboth(cell, result->targetList, type, operation->colTypes)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (exprType((Node *) entry->expr) == lfirst_oid(type))
			continue;
		entry->expr = (Expr *) coerce_to_common_type(NULL, (Node *) entry->expr, lfirst_oid(type),
		                                             "set operation");
		differs = true;
	}
	return differs ? result : branch;
}

static Query *setop_build(Normalise *normalise, Query *query, Node *node);

/*
 * Collect the branches of nested UNION ALLs; below a UNION those of UNIONs as
 * well, since duplicates go anyway.
 */
static List *
setop_branches(Normalise *normalise, Query *query, Node *node, bool distinct)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;
	List *branches;
	ListCell *cell;

	if (IsA(node, RangeTblRef) || operation->op != SETOP_UNION || !(operation->all || distinct))
		return list_make1(setop_build(normalise, query, node));
	branches = list_concat(setop_branches(normalise, query, operation->larg, distinct),
	                       setop_branches(normalise, query, operation->rarg, distinct));
	foreach (cell, branches)
		lfirst(cell) = setop_coerce(lfirst(cell), operation);
	return branches;
}

/* The columns of an operation, as targets that have its types. */
static List *
setop_targets(Query *query, SetOperationStmt *operation)
{
	List *targets = NIL;
	ListCell *cell;
	int number = 0;

	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Var *var;

		if (entry->resjunk)
			continue;
		var = makeVar(1, number + 1, list_nth_oid(operation->colTypes, number),
		              list_nth_int(operation->colTypmods, number),
		              list_nth_oid(operation->colCollations, number), 0);
		number++;
		targets = lappend(targets, makeTargetEntry((Expr *) var, number, entry->resname, false));
	}
	return targets;
}

/* Group a query by its first columns, as the operation compares them. */
static void
setop_group(Normalise *normalise, Query *query, SetOperationStmt *operation)
{
	ListCell *cell;
	ListCell *clause_cell;

	forboth(cell, query->targetList, clause_cell, operation->groupClauses)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		SortGroupClause *clause = copyObject(lfirst_node(SortGroupClause, clause_cell));

		if (!plan_equality_decides_image((Node *) entry->expr))
			normalise->obstacle =
			    "a set operation over values that can be equal and look different";
		entry->ressortgroupref = clause->tleSortGroupRef = entry->resno;
		query->groupClause = lappend(query->groupClause, clause);
	}
}

/* A side's rows, with a column that says which. */
static Query *
setop_side(Query *branch, bool left)
{
	Query *query = normalise_over(normalise_entry(branch), branch->targetList);

	query->targetList =
	    lappend(query->targetList,
	            makeTargetEntry((Expr *) makeBoolConst(left, false),
	                            list_length(query->targetList) + 1, pstrdup("side"), false));
	return query;
}

/* left operator right, of int8 */
static Node *
setop_int8(Oid operator, Oid result, Node *left, Node *right)
{
	Expr *expression = make_opclause(operator, result, false, (Expr *) copyObject(left),
	                                 (Expr *) copyObject(right), InvalidOid, InvalidOid);

	set_opfuncid((OpExpr *) expression);
	return (Node *) expression;
}

/* 0, of int8 */
static Node *
setop_zero(void)
{
	return (Node *) makeConst(INT8OID, -1, InvalidOid, 8, Int64GetDatum(0), false, FLOAT8PASSBYVAL);
}

/* Is a count more than 0? */
Node *
setop_some(Node *count)
{
	return setop_int8(INT8_GREATER_OPERATOR, BOOLOID, count, setop_zero());
}

/* Every row of a part, as often as its last column says. */
static Query *
setop_repeat(Query *counted)
{
	int columns = list_length(counted->targetList) - 1;
	Query *query = normalise_over(normalise_entry(counted), counted->targetList);
	TargetEntry *times = llast_node(TargetEntry, query->targetList);
	RangeTblEntry *series = makeNode(RangeTblEntry);
	RangeTblFunction *function = makeNode(RangeTblFunction);
	RangeTblRef *reference = makeNode(RangeTblRef);
	FuncExpr *call;

	call = makeFuncExpr(
	    F_GENERATE_SERIES_INT8_INT8, INT8OID,
	    list_make2(makeConst(INT8OID, -1, InvalidOid, 8, Int64GetDatum(1), false, FLOAT8PASSBYVAL),
	               times->expr),
	    InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	call->funcretset = true;
	function->funcexpr = (Node *) call;
	function->funccolcount = 1;
	series->rtekind = RTE_FUNCTION;
	series->functions = list_make1(function);
	series->lateral = true;
	series->inFromCl = true;
	series->eref = makeAlias("series", list_make1(makeString("n")));
	reference->rtindex = 2;
	query->rtable = lappend(query->rtable, series);
	query->jointree->fromlist = lappend(query->jointree->fromlist, reference);
	query->targetList = list_truncate(query->targetList, columns);
	return query;
}

/* INTERSECT or EXCEPT, with or without ALL. */
static Query *
setop_compare(Normalise *normalise, Query *query, SetOperationStmt *operation)
{
	List *targets = setop_targets(query, operation);
	Query *left = setop_coerce(setop_build(normalise, query, operation->larg), operation);
	Query *right = setop_coerce(setop_build(normalise, query, operation->rarg), operation);
	int columns = list_length(targets);
	Var *side = makeVar(1, columns + 1, BOOLOID, -1, InvalidOid, 0);
	Node *lefts = normalise_count((Expr *) copyObject(side));
	Node *rights = normalise_count(makeBoolExpr(NOT_EXPR, list_make1(side), -1));
	Node *some = setop_some(lefts);
	bool intersect = operation->op == SETOP_INTERSECT;
	Query *sides;
	Query *grouped;
	Node *times;

	targets = lappend(targets, makeTargetEntry((Expr *) side, columns + 1, pstrdup("side"), false));
	sides = setop_union_all(list_make2(setop_side(left, true), setop_side(right, false)), targets);
	grouped = normalise_over(normalise_entry(sides), sides->targetList);
	grouped->targetList = list_truncate(grouped->targetList, columns);
	setop_group(normalise, grouped, operation);
	grouped->hasAggs = true;
	if (intersect)
		grouped->havingQual = make_and_qual(some, setop_some(rights));
	else if (operation->all)
		grouped->havingQual = setop_int8(INT8_GREATER_OPERATOR, BOOLOID, lefts, rights);
	else
		grouped->havingQual =
		    make_and_qual(some, setop_int8(INT8_EQUAL_OPERATOR, BOOLOID, rights, setop_zero()));
	if (!operation->all)
		return grouped;

	if (intersect)
	{
		MinMaxExpr *least = makeNode(MinMaxExpr);

		least->minmaxtype = INT8OID;
		least->op = IS_LEAST;
		least->args = list_make2(lefts, rights);
		least->location = -1;
		times = (Node *) least;
	}
	else
		times = setop_int8(INT8_MINUS_OPERATOR, INT8OID, lefts, rights);
	grouped->targetList = lappend(
	    grouped->targetList, makeTargetEntry((Expr *) times, columns + 1, pstrdup("times"), false));
	return setop_repeat(grouped);
}

/* The rows of a node of the tree, as a query of its own. */
static Query *
setop_build(Normalise *normalise, Query *query, Node *node)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;
	Query *all;
	Query *result;

	check_stack_depth();
	if (IsA(node, RangeTblRef))
		return rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable)->subquery;
	if (operation->op != SETOP_UNION)
		return setop_compare(normalise, query, operation);
	all = setop_union_all(setop_branches(normalise, query, node, !operation->all),
	                      setop_targets(query, operation));
	if (operation->all)
		return all;
	result = normalise_over(normalise_entry(all), all->targetList);
	setop_group(normalise, result, operation);
	return result;
}

/* Is there anything but UNION ALL in a tree? */
static bool
setop_needed(Node *node)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;

	return !IsA(node, RangeTblRef) &&
	       (operation->op != SETOP_UNION || !operation->all || setop_needed(operation->larg) ||
	        setop_needed(operation->rarg));
}

/* Rewrite a query that is a tree of set operations. */
Query *
setop_rewrite(Normalise *normalise, Query *query)
{
	if (!setop_needed(query->setOperations))
		return query;
	if (query->targetList == NIL)
	{
		normalise->obstacle = "a set operation without columns";
		return query;
	}
	return setop_build(normalise, query, query->setOperations);
}
