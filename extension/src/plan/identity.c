/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  Which columns of an ungrouped view tell its rows apart.
 *
 * A row of a join is told apart by the primary keys of its relations; those of
 * a relation that is joined by its whole primary key follow from the others.
 * This is only used to find rows faster and to update them in place: nothing
 * is wrong if rows turn out to share these columns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_constraint.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "plan/plan.h"
#include "utils/lsyscache.h"

/* A base relation of the query's FROM clause. */
typedef struct KeyedRelation
{
	int rtindex;
	Bitmapset *key;  /* attributes of its primary key */
	bool determined; /* by the columns of the view */
} KeyedRelation;

/* Collect the relations of a FROM clause; false: something else is there. */
static bool
identity_relations(Query *query, Node *node, List **relations, List **quals)
{
	ListCell *cell;

	if (IsA(node, RangeTblRef))
	{
		int rtindex = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rtindex, query->rtable);
		KeyedRelation *relation;
		Bitmapset *key;
		Oid constraint;

		if (rte->rtekind != RTE_RELATION)
			return false;
		key = get_primary_key_attnos(rte->relid, false, &constraint);
		if (key == NULL)
			return false;
		relation = palloc0(sizeof(KeyedRelation));
		relation->rtindex = rtindex;
		relation->key = key;
		*relations = lappend(*relations, relation);
		return true;
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;

		*quals = list_concat(*quals, make_ands_implicit((Expr *) join->quals));
		return identity_relations(query, join->larg, relations, quals) &&
		       identity_relations(query, join->rarg, relations, quals);
	}
	*quals = list_concat(*quals, make_ands_implicit((Expr *) ((FromExpr *) node)->quals));
	foreach (cell, castNode(FromExpr, node)->fromlist)
		if (!identity_relations(query, lfirst(cell), relations, quals))
			return false;
	return true;
}

/* The column of the view that is this attribute as it is; 0: none. */
static AttrNumber
identity_column(List *targets, int rtindex, AttrNumber attribute)
{
	ListCell *cell;

	foreach (cell, targets)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Var *var = (Var *) entry->expr;

		if (!entry->resjunk && IsA(var, Var) && var->varno == rtindex && var->varattno == attribute)
			return entry->resno;
	}
	return 0;
}

/* Is this attribute equal to one of a determined relation? */
static bool
identity_joined(List *quals, List *relations, int rtindex, AttrNumber attribute)
{
	ListCell *cell;

	foreach (cell, quals)
	{
		OpExpr *qual = lfirst(cell);
		Var *left;
		Var *right;
		ListCell *other;

		if (!IsA(qual, OpExpr) || list_length(qual->args) != 2)
			continue;
		left = linitial(qual->args);
		right = lsecond(qual->args);
		if (!IsA(left, Var) || !IsA(right, Var) ||
		    !op_mergejoinable(qual->opno, exprType((Node *) left)))
			continue;
		if (right->varno == rtindex && right->varattno == attribute)
		{
			Var *swap = left;

			left = right;
			right = swap;
		}
		if (left->varno != rtindex || left->varattno != attribute)
			continue;
		foreach (other, relations)
		{
			KeyedRelation *relation = lfirst(other);

			if (relation->rtindex == right->varno && relation->determined)
				return true;
		}
	}
	return false;
}

/*
 * Take the primary keys that the view shows whole: their relations are
 * determined. Returns how many relations are not.
 */
static int
identity_shown_keys(List *targets, List *relations, List **columns)
{
	int open = 0;
	ListCell *cell;

	foreach (cell, relations)
	{
		KeyedRelation *relation = lfirst(cell);
		List *key_columns = NIL;
		int attribute = -1;

		relation->determined = true;
		while ((attribute = bms_next_member(relation->key, attribute)) >= 0)
		{
			AttrNumber column = identity_column(targets, relation->rtindex,
			                                    attribute + FirstLowInvalidHeapAttributeNumber);

			relation->determined &= column != 0;
			key_columns = lappend_int(key_columns, column);
		}
		if (relation->determined)
			*columns = list_concat(*columns, key_columns);
		else
			open++;
	}
	return open;
}

/* Find the columns that tell the rows of an ungrouped view apart. */
void
plan_identity(ViewPlan *plan)
{
	Query *query = plan->inner;
	List *relations = NIL;
	List *quals = NIL;
	List *columns = NIL;
	List *targets;
	ListCell *cell;
	bool progress = true;
	int open;

	if (query->setOperations || query->hasTargetSRFs ||
	    !identity_relations(query, (Node *) query->jointree, &relations, &quals))
		return;
	targets = (List *) flatten_join_alias_vars(query, (Node *) copyObject(query->targetList));
	quals = (List *) flatten_join_alias_vars(query, (Node *) copyObject(quals));

	open = identity_shown_keys(targets, relations, &columns);
	while (open > 0 && progress)
	{
		progress = false;
		foreach (cell, relations)
		{
			KeyedRelation *relation = lfirst(cell);
			bool joined = !relation->determined;
			int attribute = -1;

			while (joined && (attribute = bms_next_member(relation->key, attribute)) >= 0)
				joined = identity_joined(quals, relations, relation->rtindex,
				                         attribute + FirstLowInvalidHeapAttributeNumber);
			if (joined)
			{
				relation->determined = progress = true;
				open--;
			}
		}
	}
	if (open > 0)
		return;
	plan->identity = palloc(list_length(columns) * sizeof(AttrNumber));
	foreach (cell, columns)
		plan->identity[plan->identity_count++] = lfirst_int(cell);
}
