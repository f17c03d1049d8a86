/*-------------------------------------------------------------------------
 *
 * block.c
 *	  A query whose rows belong to the row versions of its core (PlanBlock).
 *
 * The core are the leaves that are on no nullable side of a join and in no
 * subquery but those that filter, project and join. All other leaves, at any
 * depth, are dependent: they decide what becomes of a tuple of core versions.
 * Leaves are numbered through RangeTblEntry.enrtuples, which means nothing for
 * an ordinary relation and is copied with the query.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "parser/parsetree.h"
#include "plan/plan.h"
#include "rewrite/rewriteManip.h"

/* Does a query only join, filter and project? */
bool
plan_query_simple(Query *query)
{
	return query->commandType == CMD_SELECT && !query->hasModifyingCTE && query->cteList == NIL &&
	       query->setOperations == NULL && !query->hasAggs && query->groupClause == NIL &&
	       query->groupingSets == NIL && query->havingQual == NULL && !query->hasWindowFuncs &&
	       query->distinctClause == NIL && query->limitCount == NULL &&
	       query->limitOffset == NULL && query->rowMarks == NIL;
}

/* The relations of a FROM item. */
Bitmapset *
plan_from_relations(Node *node)
{
	Bitmapset *result = NULL;
	ListCell *cell;

	if (IsA(node, RangeTblRef))
		return bms_make_singleton(((RangeTblRef *) node)->rtindex);
	if (IsA(node, JoinExpr))
		return bms_join(plan_from_relations(((JoinExpr *) node)->larg),
		                plan_from_relations(((JoinExpr *) node)->rarg));
	foreach (cell, castNode(FromExpr, node)->fromlist)
		result = bms_join(result, plan_from_relations(lfirst(cell)));
	return result;
}

/* Note which joins a FROM item still has. */
static Bitmapset *
block_joins(Node *node)
{
	Bitmapset *result = NULL;
	ListCell *cell;

	if (IsA(node, RangeTblRef))
		return NULL;
	if (IsA(node, JoinExpr))
		return bms_add_member(bms_join(block_joins(((JoinExpr *) node)->larg),
		                               block_joins(((JoinExpr *) node)->rarg)),
		                      ((JoinExpr *) node)->rtindex);
	foreach (cell, castNode(FromExpr, node)->fromlist)
		result = bms_join(result, block_joins(lfirst(cell)));
	return result;
}

/* The planner wants to find the outer joins that the range table tells of: forget others. */
void
plan_forget_joins(Query *query)
{
	Bitmapset *joins = block_joins((Node *) query->jointree);

	for (int rtindex = 1; rtindex <= list_length(query->rtable); rtindex++)
	{
		RangeTblEntry *rte = rt_fetch(rtindex, query->rtable);

		if (rte->rtekind == RTE_JOIN && !bms_is_member(rtindex, joins))
			rte->jointype = JOIN_INNER;
	}
}

/* Is there an outer join in a FROM clause? */
static bool
block_outer_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, JoinExpr) && ((JoinExpr *) node)->jointype != JOIN_INNER)
		return true;
	if (IsA(node, Query))
		return false;
	return expression_tree_walker(node, block_outer_walker, context);
}

/* Turn right joins into left ones, and the planner's anti joins back. */
static bool
block_left_walker(Node *node, Query *query)
{
	JoinExpr *join = (JoinExpr *) node;

	if (node == NULL || IsA(node, Query))
		return false;
	if (IsA(node, JoinExpr) && join->jointype == JOIN_RIGHT)
	{
		Node *left = join->larg;

		join->larg = join->rarg;
		join->rarg = left;
	}
	if (IsA(node, JoinExpr) && (join->jointype == JOIN_RIGHT || join->jointype == JOIN_ANTI))
		join->jointype = JOIN_LEFT;
	if (IsA(node, JoinExpr) && join->rtindex > 0)
		rt_fetch(join->rtindex, query->rtable)->jointype = join->jointype;
	return expression_tree_walker(node, block_left_walker, query);
}

/* Prepare a query and those in it; it is modified. */
static bool
block_prepare_walker(Node *node, void *context)
{
	Query *query = (Query *) node;
	ListCell *cell;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, block_prepare_walker, context);

	query->targetList = (List *) flatten_join_alias_vars(query, (Node *) query->targetList);
	query->jointree = (FromExpr *) flatten_join_alias_vars(query, (Node *) query->jointree);
	query->havingQual = flatten_join_alias_vars(query, query->havingQual);
	foreach (cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->lateral && rte->rtekind == RTE_SUBQUERY)
			rte->subquery = (Query *) flatten_join_alias_vars(query, (Node *) rte->subquery);
		rte->functions = (List *) flatten_join_alias_vars(query, (Node *) rte->functions);
		rte->values_lists = (List *) flatten_join_alias_vars(query, (Node *) rte->values_lists);
		rte->tablefunc = (TableFunc *) flatten_join_alias_vars(query, (Node *) rte->tablefunc);
	}
	block_left_walker((Node *) query->jointree, query);
	if (block_outer_walker((Node *) query->jointree, NULL))
	{
		PlannerInfo *root = makeNode(PlannerInfo);

		root->parse = query;
		reduce_outer_joins(root);
		block_left_walker((Node *) query->jointree, query);
	}
	return query_tree_walker(query, block_prepare_walker, context, QTW_IGNORE_JOINALIASES);
}

/*
 * Forget the order of rows that are only joined and projected further up, which
 * keeps the planner from flattening.
 */
static void
block_forget_order(Query *query)
{
	ListCell *cell;

	if (query->setOperations == NULL && !plan_query_simple(query))
		return;
	if (query->setOperations == NULL && !query->hasTargetSRFs)
	{
		foreach (cell, query->targetList)
		{
			lfirst_node(TargetEntry, cell)->ressortgroupref = 0;
			if (lfirst_node(TargetEntry, cell)->resjunk)
				query->targetList = foreach_delete_current(query->targetList, cell);
		}
		query->sortClause = NIL;
	}
	foreach (cell, query->rtable)
		if (lfirst_node(RangeTblEntry, cell)->rtekind == RTE_SUBQUERY)
			block_forget_order(lfirst_node(RangeTblEntry, cell)->subquery);
}

/*
 * A query like the given one in which no column stands for one of a join, no
 * join is a right one, and outer joins are inner ones where that is the same.
 */
Query *
plan_prepare(Query *query)
{
	query = copyObject(query);
	block_prepare_walker((Node *) query, NULL);
	block_forget_order(query);
	return query;
}

/* The version of a relation, as an expression. */
static Node *
block_version(int rtindex)
{
	return (Node *) makeVar(rtindex, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0);
}

/* The versions of the core below a FROM item, as expressions of the query. */
static List *
block_core_versions(Query *query, Node *node)
{
	List *result = NIL;
	ListCell *cell;

	if (IsA(node, RangeTblRef))
	{
		int rtindex = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rtindex, query->rtable);

		if (rte->rtekind == RTE_RELATION)
			return list_make1(block_version(rtindex));
		if (rte->rtekind != RTE_SUBQUERY || !plan_query_simple(rte->subquery))
			return NIL;
		foreach (cell, plan_core_versions(rte->subquery))
		{
			int number = list_length(rte->subquery->targetList) + 1;
			char *name = psprintf("version%d", number);

			rte->subquery->targetList = lappend(rte->subquery->targetList,
			                                    makeTargetEntry(lfirst(cell), number, name, false));
			rte->eref->colnames = lappend(rte->eref->colnames, makeString(name));
			result = lappend(result, makeVar(rtindex, number, TIDOID, -1, InvalidOid, 0));
		}
		return result;
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;

		if (join->jointype == JOIN_FULL)
			return NIL;
		result = block_core_versions(query, join->larg);
		return join->jointype == JOIN_INNER
		           ? list_concat(result, block_core_versions(query, join->rarg))
		           : result;
	}
	foreach (cell, castNode(FromExpr, node)->fromlist)
		result = list_concat(result, block_core_versions(query, lfirst(cell)));
	return result;
}

/*
 * The versions of a simple query's core, as expressions of the query; its
 * subqueries are made to show those of theirs.
 */
List *
plan_core_versions(Query *query)
{
	return block_core_versions(query, (Node *) query->jointree);
}

/* What numbering the leaves of a block has come to. */
typedef struct BlockContext
{
	PlanBlock *block;
	Query *query;       /* the one at hand */
	bool determined;    /* rows are ordered by their versions */
	const char *reason; /* NULL: it is a block so far */
} BlockContext;

static void block_number(BlockContext *context, Query *query, bool core);

/* Number the leaves in the subqueries of an expression. */
static bool
block_sublinks_walker(Node *node, BlockContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varattno < 0 &&
	    !(context->determined && ((Var *) node)->varattno == SelfItemPointerAttributeNumber))
		context->reason = "system column";
	if (plan_clock_comparison(node))
	{
		PlanBlockLeaf *leaf = palloc0(sizeof(PlanBlockLeaf));

		leaf->number = list_length(context->block->leaves) + 1;
		if (plan_clock_leaf(context->query, (OpExpr *) node, leaf))
		{
			context->block->leaves = lappend(context->block->leaves, leaf);
			return false;
		}
	}
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
		context->reason = "clock in other than a comparison with rows";
	if (IsA(node, Query))
	{
		block_number(context, (Query *) node, false);
		return false;
	}
	return expression_tree_walker(node, block_sublinks_walker, context);
}

/* Number the leaves of a FROM item. */
static void
block_number_from(BlockContext *context, Query *query, Node *node, bool core)
{
	ListCell *cell;

	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable);

		if (checkExprHasSubLink((Node *) rte->securityQuals) ||
		    plan_reads_clock((Node *) rte->securityQuals))
			context->reason = "row security policy with a subquery or the clock";
		if (rte->rtekind == RTE_RELATION)
		{
			PlanBlockLeaf *leaf = palloc0(sizeof(PlanBlockLeaf));

			if (context->reason == NULL)
				context->reason = plan_check_leaf(rte);
			leaf->number = list_length(context->block->leaves) + 1;
			leaf->relid = rte->relid;
			leaf->core = core;
			rte->enrtuples = leaf->number;
			context->block->leaves = lappend(context->block->leaves, leaf);
			context->block->core += core;
		}
		else if (rte->rtekind == RTE_SUBQUERY)
			block_number(context, rte->subquery, core && plan_query_simple(rte->subquery));
		else if (rte->rtekind != RTE_FUNCTION && rte->rtekind != RTE_VALUES &&
		         rte->rtekind != RTE_RESULT && rte->rtekind != RTE_TABLEFUNC)
			context->reason =
			    rte->rtekind == RTE_CTE ? plan_with_reason(NULL) : "FROM item of another kind";
		else if (plan_reads_clock((Node *) rte->functions) ||
		         plan_reads_clock((Node *) rte->values_lists) ||
		         plan_reads_clock((Node *) rte->tablefunc))
			context->reason = "clock in a function or VALUES in FROM";
		else if (checkExprHasSubLink((Node *) rte->functions) ||
		         checkExprHasSubLink((Node *) rte->values_lists) ||
		         checkExprHasSubLink((Node *) rte->tablefunc))
			context->reason = "subquery in a function or VALUES in FROM";
		return;
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;

		block_number_from(context, query, join->larg, core && join->jointype != JOIN_FULL);
		block_number_from(context, query, join->rarg, core && join->jointype == JOIN_INNER);
		return;
	}
	foreach (cell, castNode(FromExpr, node)->fromlist)
		block_number_from(context, query, lfirst(cell), core);
}

/* Number the leaves of a tree of set operations. */
static void
block_number_branches(BlockContext *context, Query *query, Node *node)
{
	if (IsA(node, RangeTblRef))
	{
		block_number_from(context, query, node, false);
		return;
	}
	block_number_branches(context, query, castNode(SetOperationStmt, node)->larg);
	block_number_branches(context, query, castNode(SetOperationStmt, node)->rarg);
}

/* Number the leaves of a query. */
static void
block_number(BlockContext *context, Query *query, bool core)
{
	Query *above = context->query;

	if (query->commandType != CMD_SELECT || query->hasModifyingCTE)
		context->reason = "data-modifying query";
	else if (query->cteList != NIL)
		context->reason = plan_with_reason(query);
	else if (query->rowMarks != NIL)
		context->reason = "row locking";
	if (context->reason)
		return;
	if (query->setOperations)
		block_number_branches(context, query, query->setOperations);
	else
		block_number_from(context, query, (Node *) query->jointree, core);
	context->query = query;
	block_sublinks_walker((Node *) query->jointree, context);
	block_sublinks_walker((Node *) query->targetList, context);
	block_sublinks_walker(query->havingQual, context);
	block_sublinks_walker((Node *) query->windowClause, context);
	block_sublinks_walker(query->limitCount, context);
	block_sublinks_walker(query->limitOffset, context);
	context->query = above;
}

/* A leaf that needs several queries gets an entry for each. */
static const char *
block_variants(PlanBlock *block)
{
	List *leaves = block->leaves;
	const char *reason = NULL;
	ListCell *cell;

	block->leaves = NIL;
	foreach (cell, leaves)
	{
		PlanBlockLeaf *leaf = lfirst(cell);
		int variants;

		(void) plan_affected(block, leaf, 1, 1, &variants, &reason);
		if (reason)
			return reason;
		block->leaves = lappend(block->leaves, leaf);
		for (int variant = 1; variant < variants; variant++)
		{
			PlanBlockLeaf *another = palloc(sizeof(PlanBlockLeaf));

			*another = *leaf;
			another->variant = variant;
			block->leaves = lappend(block->leaves, another);
		}
	}
	return NULL;
}

/* Make a block from a select; NULL: done, else why it is none. */
static const char *
block_make(ViewPlan *plan, Query *query, int branch)
{
	PlanBlock *block = palloc0(sizeof(PlanBlock));
	BlockContext context = {.block = block, .determined = plan->determined};

	if (!plan_query_simple(query))
	{
		if (query->limitCount != NULL || query->limitOffset != NULL)
			return "LIMIT";
		if (query->cteList != NIL)
			return plan_with_reason(query);
		return query->setOperations ? "set operation other than UNION ALL"
		                            : "grouping, window function or DISTINCT below the top";
	}
	block->branch = branch;
	block->query = query;
	block_number(&context, query, true);
	if (context.reason)
		return context.reason;
	if (block->core == 0)
		return "no table to whose rows those of the query belong";
	plan->blocks = lappend(plan->blocks, block);
	return block_variants(block);
}

/* Make blocks from the branches of a UNION ALL. */
static const char *
block_make_branches(ViewPlan *plan, Query *query, Node *node, int *branch)
{
	SetOperationStmt *operation;
	Query *subquery;
	const char *reason;

	if (IsA(node, RangeTblRef))
	{
		subquery = rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable)->subquery;
		return block_make(plan, copyObject(subquery), (*branch)++);
	}
	operation = castNode(SetOperationStmt, node);
	if (operation->op != SETOP_UNION || !operation->all)
		return "set operation other than UNION ALL";
	reason = block_make_branches(plan, query, operation->larg, branch);
	return reason ? reason : block_make_branches(plan, query, operation->rarg, branch);
}

/* Take the plan's inner query, prepared, as blocks; NULL: done, else why not. */
const char *
plan_make_blocks(ViewPlan *plan)
{
	int branch = 0;

	if (plan->inner->setOperations == NULL)
		return block_make(plan, copyObject(plan->inner), -1);
	if (plan->inner->limitCount != NULL || plan->inner->limitOffset != NULL)
		return "LIMIT";
	if (plan->inner->cteList != NIL)
		return plan_with_reason(plan->inner);
	return block_make_branches(plan, plan->inner, plan->inner->setOperations, &branch);
}
