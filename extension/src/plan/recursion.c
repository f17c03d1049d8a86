/*-------------------------------------------------------------------------
 *
 * recursion.c
 *	  WITH RECURSIVE as a part that follows changes.
 *
 * The rows F of a recursion with the start N and the step R are the least that
 * satisfy F = N + R(F). R is linear: it reads F once, by joins, filters and
 * projections. So with UNION ALL, where rows count as often as they come, the rows
 * D that come at once when N and R grow by dN and dR are
 *
 *	D = (dN + dR(F)) + R'(D)		(R' = R + dR)
 *
 * a recursion with another start, whose every term is one of strategy A: dR(F)
 * is made from the changes of the step's other leaves, and R'(D) has the rows
 * found last in the place of F. When N and R shrink, R' is the step without the
 * rows that go. With UNION, the rows that are there already are not followed
 * again. When N and R shrink then, every row that one that goes leads to is taken
 * out, by the step as it was; what is left needs none of them. Those of the rows
 * taken out that N and R still give from what is left start a recursion that
 * brings the others back.
 *
 * Invariants:
 *	- A recursion is a block of its own: WITH RECURSIVE with one query, and all
 *	  its columns selected from it. The block is that of a part: its delta reads
 *	  the part's table in the place of F.
 *	- In plan->recursion, the entry of F has the name of the WITH query in ctename,
 *	  and is a relation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "plan/normalise.h"
#include "plan/tree.h"
#include "utils/lsyscache.h"

typedef struct AloneContext
{
	const CommonTableExpr *cte;
	int depth;
} AloneContext;

/* Does an expression refer to anything outside of a WITH query but itself? */
static bool
alone_walker(Node *node, AloneContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varlevelsup > context->depth;
	if (IsA(node, Aggref) && ((Aggref *) node)->agglevelsup > context->depth)
		return true;
	if (IsA(node, GroupingFunc) && ((GroupingFunc *) node)->agglevelsup > context->depth)
		return true;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->rtekind == RTE_CTE && rte->ctelevelsup > context->depth &&
		       (rte->ctelevelsup != context->depth + 1 ||
		        strcmp(rte->ctename, context->cte->ctename) != 0);
	}
	if (IsA(node, Query))
	{
		bool result;

		context->depth++;
		result = query_tree_walker((Query *) node, alone_walker, context, QTW_EXAMINE_RTES_BEFORE);
		context->depth--;
		return result;
	}
	return expression_tree_walker(node, alone_walker, context);
}

/* Is there a WITH RECURSIVE in a query? */
bool
plan_recursive(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, CommonTableExpr) && ((CommonTableExpr *) node)->cterecursive)
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, plan_recursive, context, 0);
	return expression_tree_walker(node, plan_recursive, context);
}

/* What stands in the way: WITH queries that are left; NULL: one of a query further out. */
const char *
plan_with_reason(Query *query)
{
	ListCell *cell;

	if (query != NULL)
		foreach (cell, query->cteList)
			if (lfirst_node(CommonTableExpr, cell)->cterecursive)
				return "WITH RECURSIVE";
	return "WITH that cannot be taken apart";
}

/* Does a recursive WITH query stand by itself? */
bool
recursion_alone(const CommonTableExpr *cte)
{
	AloneContext context = {.cte = cte};

	return !query_tree_walker((Query *) cte->ctequery, alone_walker, &context,
	                          QTW_EXAMINE_RTES_BEFORE);
}

/* Is a query WITH RECURSIVE with one query that stands by itself, and its columns? */
bool
recursion_block(Query *query)
{
	CommonTableExpr *cte;
	RangeTblEntry *rte;
	int rtindex;
	ListCell *cell;

	if (list_length(query->cteList) != 1 || query->sortClause != NIL || query->hasSubLinks ||
	    query->hasTargetSRFs || query->hasWindowFuncs || query->distinctClause != NIL ||
	    query->limitCount != NULL || query->limitOffset != NULL || query->rowMarks != NIL ||
	    normalise_grouped(query))
		return false;
	cte = linitial_node(CommonTableExpr, query->cteList);
	rte = normalise_single(query, &rtindex);
	if (!cte->cterecursive || rte == NULL || rte->rtekind != RTE_CTE || rte->ctelevelsup != 0 ||
	    query->jointree->quals != NULL ||
	    list_length(query->targetList) != list_length(cte->ctecoltypes))
		return false;
	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Var *var = (Var *) entry->expr;

		if (entry->resjunk || !IsA(var, Var) || var->varno != rtindex ||
		    var->varattno != entry->resno)
			return false;
	}
	return recursion_alone(cte);
}

/* Make such a query. */
Query *
recursion_make(const CommonTableExpr *cte)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	Query *query;

	rte->rtekind = RTE_CTE;
	rte->ctename = pstrdup(cte->ctename);
	rte->coltypes = list_copy(cte->ctecoltypes);
	rte->coltypmods = list_copy(cte->ctecoltypmods);
	rte->colcollations = list_copy(cte->ctecolcollations);
	rte->eref = makeAlias(cte->ctename, copyObject(cte->ctecolnames));
	rte->inFromCl = true;
	query = tree_select(list_make1(rte), NULL);
	query->cteList = list_make1(copyObject(unconstify(CommonTableExpr *, cte)));
	query->hasRecursive = true;
	for (int i = 0; i < list_length(cte->ctecoltypes); i++)
	{
		Var *var =
		    makeVar(1, i + 1, list_nth_oid(cte->ctecoltypes, i),
		            list_nth_int(cte->ctecoltypmods, i), list_nth_oid(cte->ctecolcollations, i), 0);

		query->targetList = lappend(
		    query->targetList,
		    makeTargetEntry((Expr *) var, i + 1, strVal(list_nth(cte->ctecolnames, i)), false));
	}
	return query;
}

/*
 * The UNION of a recursion, if its right side is one query; *terms is the query
 * of which both sides are subqueries.
 */
static SetOperationStmt *
recursion_union(Query *block, Query **terms)
{
	Query *query = (Query *) linitial_node(CommonTableExpr, block->cteList)->ctequery;
	SetOperationStmt *operation = (SetOperationStmt *) query->setOperations;

	*terms = query;
	if (operation == NULL || !IsA(operation, SetOperationStmt) || operation->op != SETOP_UNION ||
	    !IsA(operation->rarg, RangeTblRef) || query->cteList != NIL ||
	    ((RangeTblRef *) operation->rarg)->rtindex != list_length(query->rtable))
		return NULL;
	return operation;
}

/* Have a recursion start with one query, where it starts with set operations. */
static void
recursion_gather_start(Query *terms, SetOperationStmt *operation)
{
	Query *start = copyObject(terms);
	RangeTblRef *left = makeNode(RangeTblRef);
	RangeTblRef *right = makeNode(RangeTblRef);
	ListCell *cell;

	start->setOperations = operation->larg;
	start->rtable = list_truncate(start->rtable, list_length(start->rtable) - 1);
	left->rtindex = 1;
	right->rtindex = 2;
	terms->rtable = list_make2(normalise_entry(start), llast(terms->rtable));
	operation->larg = (Node *) left;
	operation->rarg = (Node *) right;
	foreach (cell, terms->targetList)
		((Var *) lfirst_node(TargetEntry, cell)->expr)->varno = 1;
}

/* Normalise the start and the step of a recursion, and give them its types. */
void
recursion_normalise(Normalise *normalise, Query *query)
{
	Query *terms;
	SetOperationStmt *operation = recursion_union(query, &terms);
	RangeTblEntry *start;
	RangeTblEntry *step;
	ListCell *cell;
	ListCell *type;

	if (operation == NULL)
		return;
	if (!IsA(operation->larg, RangeTblRef))
		recursion_gather_start(terms, operation);
	start = rt_fetch(((RangeTblRef *) operation->larg)->rtindex, terms->rtable);
	start->subquery = normalise_query(normalise, start->subquery, false);
	if (!normalise_flat(start->subquery))
		start->subquery =
		    normalise_over(normalise_part(normalise, start->subquery), start->subquery->targetList);
	start->subquery = setop_coerce(start->subquery, operation);

	step = rt_fetch(((RangeTblRef *) operation->rarg)->rtindex, terms->rtable);
	step->subquery = normalise_query(normalise, step->subquery, false);
	forboth(cell, step->subquery->targetList, type, operation->colTypes)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (exprType((Node *) entry->expr) != lfirst_oid(type))
			entry->expr = (Expr *) coerce_to_common_type(NULL, (Node *) entry->expr,
			                                             lfirst_oid(type), "WITH RECURSIVE");
	}
}

/*
 * Have the step read a table, instead of the recursion depth levels further out.
 * How often it does so; less than 0: within something that is not linear.
 */
static int
recursion_bind(Query *query, int depth, Oid relid)
{
	int found = 0;
	ListCell *cell;

	foreach (cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->rtekind == RTE_SUBQUERY)
		{
			int below = recursion_bind(rte->subquery, depth + 1, relid);

			if (below < 0)
				return below;
			found += below;
		}
		if (rte->rtekind != RTE_CTE || rte->ctelevelsup != depth)
			continue;
		found++;
		rte->rtekind = RTE_RELATION;
		rte->relid = relid;
		rte->relkind = RELKIND_RELATION;
		rte->rellockmode = AccessShareLock;
		rte->self_reference = false;
		rte->ctelevelsup = 0;
		rte->coltypes = rte->coltypmods = rte->colcollations = NIL;
	}
	return found > 0 && query->setOperations != NULL ? -1 : found;
}

/* Take the terms of a recursion; NULL: they can be followed. */
static const char *
recursion_terms(ViewPlan *plan, PlanRecursion *recursion)
{
	Query *terms;
	SetOperationStmt *operation = recursion_union(plan->block, &terms);
	const char *reason;
	Query *step;
	ListCell *cell;

	if (operation == NULL || !IsA(operation->larg, RangeTblRef))
		return "WITH RECURSIVE of another form";
	recursion->all = operation->all;
	if (!operation->all)
	{
		recursion->equality = palloc(list_length(operation->groupClauses) * sizeof(Oid));
		foreach (cell, operation->groupClauses)
			recursion->equality[foreach_current_index(cell)] =
			    lfirst_node(SortGroupClause, cell)->eqop;
		foreach (cell, plan->block->targetList)
			if (!plan_equality_decides_image((Node *) lfirst_node(TargetEntry, cell)->expr))
				return "WITH RECURSIVE with UNION over values that can be equal and look different";
	}

	recursion->start = palloc0(sizeof(ViewPlan));
	recursion->start->inner =
	    plan_prepare(rt_fetch(((RangeTblRef *) operation->larg)->rtindex, terms->rtable)->subquery);
	reason = plan_check_terms(recursion->start);
	if (reason != NULL)
		return psprintf("WITH RECURSIVE that starts with: %s", reason);

	recursion->step = palloc0(sizeof(ViewPlan));
	step =
	    copyObject(rt_fetch(((RangeTblRef *) operation->rarg)->rtindex, terms->rtable)->subquery);
	if (recursion_bind(step, 2, plan->view) != 1)
		return "WITH RECURSIVE that does not read itself once, by a join";
	recursion->step->inner = plan_prepare(step);
	reason = plan_check_terms(recursion->step);
	if (reason != NULL)
		return psprintf("WITH RECURSIVE whose step has: %s", reason);
	foreach (cell, recursion->step->leaves)
	{
		if (!((PlanLeaf *) lfirst(cell))->self)
			continue;
		recursion->self = foreach_current_index(cell);
		return NULL;
	}
	return "WITH RECURSIVE that does not read itself once, by a join";
}

/*
 * Is the block a recursion? Takes it apart, if it can be followed. That of a
 * user's view is not, whose table may have no index of ours.
 */
bool
plan_check_recursion(ViewPlan *plan)
{
	PlanRecursion *recursion;
	const char *reason;

	if (!recursion_block(plan->block) ||
	    (OidIsValid(plan->view) && get_rel_relkind(plan->view) != RELKIND_RELATION))
		return false;
	recursion = palloc0(sizeof(PlanRecursion));
	reason = recursion_terms(plan, recursion);
	if (reason != NULL)
	{
		plan->reason = psprintf("the query has: %s", reason);
		return true;
	}
	plan->recursion = recursion;
	plan->strategy = recursion->all ? PLAN_ALGEBRAIC : PLAN_KEYS;
	plan->reason = recursion->all
	                   ? "WITH RECURSIVE, UNION ALL"
	                   : "WITH RECURSIVE, UNION: what rows that go lead to is computed anew";
	return true;
}

/*
 * The step from the rows of a sign that were found last, which stand for changes
 * of the recursion's own table. With UNION ALL, rows that go take with them what
 * others that go do not.
 */
Query *
plan_recursion_step(const PlanRecursion *recursion, int sign, double rows)
{
	return plan_term_among(recursion->step, recursion->self, sign, rows,
	                       sign < 0 && recursion->all ? list_length(recursion->step->leaves) : 0);
}

/* The start or the step restricted to rows that are registered as PLAN_KEYS_NAME. */
Query *
plan_recursion_again(const PlanRecursion *recursion, bool step, bool with_nulls, double rows)
{
	Query *inner = step ? recursion->step->inner : recursion->start->inner;

	return plan_restrict_columns(inner, list_length(inner->targetList), recursion->equality,
	                             with_nulls, rows);
}

typedef struct ColumnsContext
{
	int rtindex;
	List *columns; /* of int */
} ColumnsContext;

/* Collect the columns of an entry that a condition equates with something else. */
static bool
recursion_columns_walker(Node *node, ColumnsContext *context)
{
	OpExpr *clause = (OpExpr *) node;

	if (node == NULL || IsA(node, Query) || IsA(node, SubLink))
		return false;
	if (!IsA(node, OpExpr) || list_length(clause->args) != 2 ||
	    get_mergejoin_opfamilies(clause->opno) == NIL)
		return expression_tree_walker(node, recursion_columns_walker, context);
	for (int side = 0; side < 2; side++)
	{
		Node *argument = list_nth(clause->args, side);

		while (IsA(argument, RelabelType))
			argument = (Node *) ((RelabelType *) argument)->arg;
		if (IsA(argument, Var) && ((Var *) argument)->varno == context->rtindex)
			context->columns =
			    list_append_unique_int(context->columns, ((Var *) argument)->varattno);
	}
	return false;
}

/* The columns by which the step's other tables lead to the recursion's own. */
List *
plan_recursion_columns(const PlanRecursion *recursion)
{
	ColumnsContext context = {0};
	Query *step = recursion->step->inner;
	ListCell *cell;

	foreach (cell, step->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->rtekind == RTE_RELATION && rte->ctename != NULL)
			context.rtindex = foreach_current_index(cell) + 1;
	}
	if (context.rtindex > 0)
		(void) recursion_columns_walker((Node *) step->jointree, &context);
	return context.columns;
}
