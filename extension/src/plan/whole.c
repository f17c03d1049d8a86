/*-------------------------------------------------------------------------
 *
 * whole.c
 *	  Blocks that are run as a whole with every change of what they read.
 *
 * ORDER BY ... LIMIT over a part, or over a table with an index in this order,
 * costs as many rows as it shows. Which rows these are is decided by the query
 * only if no two rows around the limit tie, or those that do look the same. Where
 * that cannot be known from the ORDER BY, the block is run WITH TIES: more rows
 * than the limit mean that the query has to be asked.
 *
 * A block that no strategy can follow, but that reads parts alone, costs no more
 * than their rows, which are fewer than those of the tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/relation.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "plan/normalise.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* Has a table an index in whose order, or the reverse, the query wants its rows? */
static bool
whole_index_fits(Relation index, const Query *query)
{
	Form_pg_index form = index->rd_index;
	bool backward = false;
	int column = 0;
	ListCell *cell;

	if (!form->indisvalid || index->rd_rel->relam != BTREE_AM_OID ||
	    RelationGetIndexPredicate(index) != NIL ||
	    form->indnkeyatts < list_length(query->sortClause))
		return false;
	foreach (cell, query->sortClause)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, cell);
		Var *var = (Var *) get_sortgroupclause_expr(clause, query->targetList);
		Oid family;
		Oid type;
		int16 strategy;
		bool descending = (index->rd_indoption[column] & INDOPTION_DESC) != 0;
		bool nulls_first = (index->rd_indoption[column] & INDOPTION_NULLS_FIRST) != 0;
		bool reverse;

		if (!IsA(var, Var) || var->varattno != form->indkey.values[column] ||
		    var->varcollid != index->rd_indcollation[column] ||
		    !get_ordering_op_properties(clause->sortop, &family, &type, &strategy) ||
		    family != index->rd_opfamily[column])
			return false;
		reverse = descending != (strategy == BTGreaterStrategyNumber);
		if ((nulls_first != reverse) != clause->nulls_first || (column > 0 && reverse != backward))
			return false;
		backward = reverse;
		column++;
	}
	return true;
}

/* Does an index leave no two rows of its table in a tie? */
static bool
whole_index_unique(Relation relation, Relation index, const Query *query)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisunique || !form->indimmediate ||
	    form->indnkeyatts > list_length(query->sortClause))
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
		if (!TupleDescAttr(RelationGetDescr(relation), form->indkey.values[i] - 1)->attnotnull)
			return false;
	return true;
}

/*
 * Is a query the first rows of one table that has an index in their order? Then
 * unique says whether no two of them tie, unless it is NULL.
 */
bool
whole_ordered_table(const Query *query, bool *unique)
{
	int rtindex;
	RangeTblEntry *rte = normalise_single((Query *) query, &rtindex);
	Relation relation;
	bool found = false;
	ListCell *cell;

	if (rte == NULL || rte->rtekind != RTE_RELATION || !OidIsValid(rte->relid) ||
	    query->sortClause == NIL || query->limitCount == NULL || query->jointree->quals != NULL ||
	    plan_reads_clock((Node *) query) || rte->securityQuals != NIL || query->hasSubLinks ||
	    query->hasTargetSRFs || query->rowMarks != NIL || plan_check_leaf(rte) != NULL)
		return false;
	relation = relation_open(rte->relid, AccessShareLock);
	foreach (cell, RelationGetIndexList(relation))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (whole_index_fits(index, query))
		{
			found = true;
			if (unique != NULL)
				*unique |= whole_index_unique(relation, index, query);
		}
		index_close(index, AccessShareLock);
	}
	relation_close(relation, AccessShareLock);
	return found;
}

/* The value of a constant number of rows; -1: it is none. */
static int64
whole_constant(Node *node)
{
	Const *constant = (Const *) eval_const_expressions(NULL, node);

	if (!IsA(constant, Const) || constant->constisnull)
		return -1;
	return DatumGetInt64(constant->constvalue);
}

/* Is the block ORDER BY ... LIMIT over rows in order? Takes it apart, if so. */
bool
plan_check_limit(ViewPlan *plan)
{
	Query *query = plan->block;
	int rtindex;
	RangeTblEntry *rte;
	PlanLeaf *leaf;
	int64 count;
	bool unique = false;

	if (query->limitCount == NULL && query->limitOffset == NULL)
		return false;
	rte = normalise_single(query, &rtindex);
	if (rte == NULL || !(normalise_part_entry(rte) || whole_ordered_table(query, &unique)) ||
	    query->jointree->quals != NULL || query->hasSubLinks || query->hasTargetSRFs ||
	    query->rowMarks != NIL || query->distinctClause != NIL || normalise_grouped(query) ||
	    query->hasWindowFuncs || plan_reads_clock((Node *) query))
		return false;

	plan->inner = copyObject(query);
	if (query->limitOption == LIMIT_OPTION_COUNT && !unique &&
	    !plan_order_covers(query->targetList, query->sortClause))
	{
		count = query->limitCount ? whole_constant(query->limitCount) : -1;
		if (count < 0 || query->limitOffset != NULL)
			return false;
		plan->inner->limitOption = LIMIT_OPTION_WITH_TIES;
		plan->ties = count;
	}
	leaf = palloc0(sizeof(PlanLeaf));
	leaf->relid = rte->relid;
	plan->leaves = list_make1(leaf);
	plan->whole = true;
	plan->strategy = PLAN_KEYS;
	plan->reason = normalise_part_entry(rte) ? "ORDER BY with LIMIT, over parts"
	                                         : "ORDER BY with LIMIT, by an index";
	return true;
}

/* Collect the parts that a query reads; true: it reads something else. */
static bool
whole_leaf_walker(Node *node, List **leaves)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return ((Query *) node)->cteList != NIL || ((Query *) node)->rowMarks != NIL ||
		       query_tree_walker((Query *) node, whole_leaf_walker, leaves,
		                         QTW_EXAMINE_RTES_BEFORE);
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		PlanLeaf *leaf;

		if (rte->rtekind != RTE_RELATION || rte->relkind == RELKIND_VIEW || !rte->inFromCl)
			return false;
		if (!normalise_part_entry(rte))
			return true;
		leaf = palloc0(sizeof(PlanLeaf));
		leaf->relid = rte->relid;
		*leaves = lappend(*leaves, leaf);
		return false;
	}
	return expression_tree_walker(node, whole_leaf_walker, leaves);
}

/* Does a block read parts alone? Then it may be run as a whole. */
bool
plan_check_whole(ViewPlan *plan)
{
	List *leaves = NIL;

	if (plan_reads_clock((Node *) plan->block) ||
	    whole_leaf_walker((Node *) plan->block, &leaves) || leaves == NIL)
		return false;
	plan->inner = copyObject(plan->block);
	plan->leaves = leaves;
	plan->whole = true;
	plan->strategy = PLAN_KEYS;
	plan->reason = psprintf("run whole over parts, for %s", plan->reason);
	return true;
}
