/*-------------------------------------------------------------------------
 *
 * shown.c
 *	  Grouped views whose rows say all there is to know of their groups.
 *
 * That is so where every key and every aggregate is a column of its own, every
 * aggregate is linear (PlanLinear), some count counts the rows of a group, and
 * some count the inputs of each sum: one without inputs is NULL. Then a group's
 * old states are read from its row, and no other state has to be kept for it.
 *
 * That an argument is never NULL is known from constraints as they are when the
 * plan is made; without them it is another plan (load.c: its fingerprint).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "plan/plan.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* Is there an outer join? */
static bool
shown_outer_walker(Node *node, void *context)
{
	if (node == NULL || IsA(node, Query))
		return false;
	if (IsA(node, JoinExpr) && ((JoinExpr *) node)->jointype != JOIN_INNER)
		return true;
	return expression_tree_walker(node, shown_outer_walker, context);
}

/* Is this a column of a table that has a NOT NULL constraint, as have all tables under it? */
static bool
shown_constrained(Oid relid, char kind, AttrNumber attribute)
{
	HeapTuple tuple;
	bool result;

	if (attribute <= 0 || (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE))
		return false;
	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attribute));
	/* a part that is not bound to its table yet */
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull &&
	         (kind == RELKIND_PARTITIONED_TABLE || !has_subclass(relid));
	ReleaseSysCache(tuple);
	return result;
}

/* Is a column of the inner query never NULL? */
static bool
shown_never_null(const ViewPlan *plan, int column)
{
	Query *inner = plan->inner;
	Node *expression = (Node *) list_nth_node(TargetEntry, inner->targetList, column - 1)->expr;

	if (IsA(expression, Const))
		return !((Const *) expression)->constisnull;
	if (IsA(expression, Var) && inner->setOperations == NULL)
	{
		Var *var = (Var *) expression;
		RangeTblEntry *rte = rt_fetch(var->varno, inner->rtable);

		return rte->rtekind == RTE_RELATION && var->varlevelsup == 0 &&
		       !shown_outer_walker((Node *) inner->jointree, NULL) &&
		       shown_constrained(rte->relid, rte->relkind, var->varattno);
	}
	return false;
}

/* Are an aggregate's inputs, of the rows that pass its filter, all of these rows? */
static bool
shown_takes_all(const ViewPlan *plan, const PlanAggregate *aggregate)
{
	return aggregate->argument_count == 0 || shown_never_null(plan, aggregate->first_argument);
}

/* Does a count count the inputs of this aggregate? NULL: the rows of the group. */
static bool
shown_counts(const ViewPlan *plan, const PlanAggregate *count, const PlanAggregate *aggregate)
{
	if (count->linear != PLAN_LINEAR_COUNT)
		return false;
	if (aggregate == NULL)
		return count->filter == 0 && shown_takes_all(plan, count);
	if (!equal(count->aggref->aggfilter, aggregate->aggref->aggfilter))
		return false;
	if (count->argument_count == 1 &&
	    equal(linitial_node(TargetEntry, count->aggref->args)->expr,
	          linitial_node(TargetEntry, aggregate->aggref->args)->expr))
		return true;
	return shown_takes_all(plan, count) && shown_takes_all(plan, aggregate);
}

/* The first aggregate that counts the inputs of this one (NULL: the rows); -1: none. */
static int
shown_counted_by(const ViewPlan *plan, const PlanAggregate *aggregate)
{
	ListCell *cell;

	foreach (cell, plan->aggregates)
		if (shown_counts(plan, lfirst(cell), aggregate))
			return foreach_current_index(cell);
	return -1;
}

/* Find out whether a grouped plan's view shows its groups' states; its keys then tell rows apart. */
void
plan_shown(ViewPlan *plan)
{
	AttrNumber *identity = palloc(Max(plan->key_count, 1) * sizeof(AttrNumber));
	ListCell *cell;

	if (plan->key_count == 0 || plan->having != NULL || plan_keys_ambiguous(plan))
		return;
	for (int key = 1; key <= plan->key_count; key++)
	{
		identity[key - 1] = plan_output_column(plan, key);
		if (identity[key - 1] == 0)
			return;
	}
	foreach (cell, plan->aggregates)
	{
		PlanAggregate *aggregate = lfirst(cell);
		int number = foreach_current_index(cell);

		aggregate->column = plan_output_column(plan, plan->key_count + number + 1);
		aggregate->counted_by =
		    aggregate->linear == PLAN_LINEAR_COUNT ? number : shown_counted_by(plan, aggregate);
		if (aggregate->linear == PLAN_LINEAR_NONE || aggregate->column == 0 ||
		    aggregate->counted_by < 0)
			return;
	}
	plan->rows_by = shown_counted_by(plan, NULL);
	if (plan->rows_by < 0)
		return;
	plan->shown = true;
	plan->identity = identity;
	plan->identity_count = plan->key_count;
}
