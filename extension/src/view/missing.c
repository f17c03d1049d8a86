/*-------------------------------------------------------------------------
 *
 * missing.c
 *	  The indexes a delta query lacks, read off its plan (missing.h).
 *
 * A delta query starts from a few changed rows. Where the plan nevertheless
 * reads a relation from end to end, and a clause of the plan equates a column
 * of it with something known by then, an index on such columns would do instead.
 * "Known" spreads from the changed rows: what is read through an index is known,
 * and a relation for which an index is named counts as known for the next.
 *
 * So plain views are seen through, and clauses that follow from others count, as
 * far as the planner does. No index is named for a relation of a few pages, nor
 * where one led by such a column exists and the planner preferred not to use it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "commands/defrem.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "view/missing.h"

/* Relations of at most so many pages are read as fast without an index. */
#define MISSING_TINY_PAGES 8

/* column = something over other relations of the query */
typedef struct MissingClause
{
	Index rtindex;
	AttrNumber attribute;
	Bitmapset *others;
} MissingClause;

/* What a nested loop hands to its inner side. */
typedef struct MissingParameter
{
	int number;
	Bitmapset *relations; /* what it is made from */
} MissingParameter;

typedef struct MissingContext
{
	MissingReport *report;
	List *rtable;
	Bitmapset *whole; /* rtindexes of relations read from end to end */
	List *clauses;    /* of MissingClause * */
	List *parameters; /* of MissingParameter * */
} MissingContext;

/* An expression and the plan node in which it stands. */
typedef struct MissingPlace
{
	MissingContext *context;
	Plan *plan;
	Bitmapset **relations;
} MissingPlace;

/*
 * The nodes below whose target lists a column of this node refers to; NIL: it
 * is a column of the relation that the node scans.
 */
static List *
missing_children(Plan *plan, Var *column)
{
	if (IsA(plan, Append))
		return ((Append *) plan)->appendplans;
	if (IsA(plan, MergeAppend))
		return ((MergeAppend *) plan)->mergeplans;
	if (IsA(plan, SubqueryScan))
		return list_make1(((SubqueryScan *) plan)->subplan);
	if (column->varno == OUTER_VAR)
		return list_make1(outerPlan(plan));
	if (column->varno == INNER_VAR)
		return list_make1(innerPlan(plan));
	return NIL;
}

/* The expression behind a column of a target list, or NULL. */
static Node *
missing_target(List *targets, AttrNumber attribute)
{
	if (attribute < 1 || attribute > list_length(targets))
		return NULL;
	return (Node *) list_nth_node(TargetEntry, targets, attribute - 1)->expr;
}

/* Collect the relations an expression is made from, as rtindexes. */
static bool
missing_relations_walker(Node *node, MissingPlace *place)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var *column = (Var *) node;
		List *children = missing_children(place->plan, column);
		ListCell *cell;

		foreach (cell, children)
		{
			MissingPlace below = *place;

			below.plan = lfirst(cell);
			missing_relations_walker(missing_target(below.plan->targetlist, column->varattno),
			                         &below);
		}
		if (children == NIL && IsA(place->plan, IndexOnlyScan))
			*place->relations =
			    bms_add_member(*place->relations, ((Scan *) place->plan)->scanrelid);
		else if (children == NIL && !IS_SPECIAL_VARNO(column->varno))
			*place->relations = bms_add_member(*place->relations, column->varno);
		return false;
	}
	if (IsA(node, Param))
	{
		ListCell *cell;

		foreach (cell, place->context->parameters)
		{
			MissingParameter *parameter = lfirst(cell);

			if (((Param *) node)->paramkind == PARAM_EXEC &&
			    ((Param *) node)->paramid == parameter->number)
				*place->relations = bms_add_members(*place->relations, parameter->relations);
		}
		return false;
	}
	return expression_tree_walker(node, missing_relations_walker, place);
}

/* Collect the columns of relations that an expression simply shows, as Vars. */
static void
missing_columns(Plan *plan, Node *node, List **columns)
{
	Var *column;
	List *children;
	ListCell *cell;

	while (node && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (node == NULL || !IsA(node, Var))
		return;
	column = (Var *) node;
	children = missing_children(plan, column);
	foreach (cell, children)
	{
		Plan *below = lfirst(cell);

		missing_columns(below, missing_target(below->targetlist, column->varattno), columns);
	}
	if (children == NIL && IsA(plan, IndexOnlyScan) && column->varno == INDEX_VAR)
	{
		node = missing_target(((IndexOnlyScan *) plan)->indextlist, column->varattno);
		if (node && IsA(node, Var))
			*columns = lappend(*columns, node);
	}
	else if (children == NIL && !IS_SPECIAL_VARNO(column->varno))
		*columns = lappend(*columns, column);
}

/* Could an ordinary index on this column serve this operator? */
static bool
missing_indexable(Var *column, OpExpr *clause)
{
	Oid opclass = GetDefaultOpClass(column->vartype, BTREE_AM_OID);

	if (column->varattno <= 0 || !OidIsValid(opclass))
		return false;
	if (OidIsValid(clause->inputcollid) && clause->inputcollid != column->varcollid)
		return false;
	return list_member_oid(get_mergejoin_opfamilies(clause->opno), get_opclass_family(opclass));
}

/* Note what the clauses of a node equate. */
static void
missing_note_clauses(MissingContext *context, Plan *plan, List *clauses)
{
	ListCell *cell;

	foreach (cell, clauses)
	{
		OpExpr *clause = lfirst(cell);

		if (!IsA(clause, OpExpr) || list_length(clause->args) != 2)
			continue;
		for (int side = 0; side < 2; side++)
		{
			List *columns = NIL;
			Bitmapset *others = NULL;
			MissingPlace place = {.context = context, .plan = plan, .relations = &others};
			ListCell *found;

			missing_columns(plan, list_nth(clause->args, side), &columns);
			missing_relations_walker(list_nth(clause->args, 1 - side), &place);
			foreach (found, columns)
			{
				Var *column = lfirst_node(Var, found);
				MissingClause *noted;

				if (!missing_indexable(column, clause) || bms_is_member(column->varno, others))
					continue;
				noted = palloc(sizeof(MissingClause));
				noted->rtindex = column->varno;
				noted->attribute = column->varattno;
				noted->others = others;
				context->clauses = lappend(context->clauses, noted);
			}
		}
	}
}

/* Note what a nested loop hands to its inner side. */
static void
missing_note_parameters(MissingContext *context, NestLoop *join)
{
	ListCell *cell;

	foreach (cell, join->nestParams)
	{
		NestLoopParam *handed = lfirst_node(NestLoopParam, cell);
		MissingParameter *parameter = palloc0(sizeof(MissingParameter));
		MissingPlace place = {
		    .context = context, .plan = (Plan *) join, .relations = &parameter->relations};

		parameter->number = handed->paramno;
		missing_relations_walker((Node *) handed->paramval, &place);
		context->parameters = lappend(context->parameters, parameter);
	}
}

/* A relation is read from end to end. */
static void
missing_note_whole(MissingContext *context, Index rtindex)
{
	RangeTblEntry *entry = rt_fetch(rtindex, context->rtable);

	context->whole = bms_add_member(context->whole, rtindex);
	context->report->whole = list_append_unique_oid(context->report->whole, entry->relid);
}

/* An index is used; without conditions it still gives the whole relation. */
static void
missing_note_index(MissingContext *context, Index rtindex, Oid index, List *conditions)
{
	context->report->used = list_append_unique_oid(context->report->used, index);
	if (conditions == NIL)
		missing_note_whole(context, rtindex);
}

/* Note what each node of the plan reads and joins. */
static bool
missing_plan_walker(PlanState *state, MissingContext *context)
{
	Plan *plan = state->plan;
	Index rtindex;

	switch (nodeTag(plan))
	{
		case T_SeqScan:
			missing_note_whole(context, ((Scan *) plan)->scanrelid);
			missing_note_clauses(context, plan, plan->qual);
			break;
		case T_IndexScan:
			rtindex = ((Scan *) plan)->scanrelid;
			missing_note_index(context, rtindex, ((IndexScan *) plan)->indexid,
			                   ((IndexScan *) plan)->indexqual);
			break;
		case T_IndexOnlyScan:
			rtindex = ((Scan *) plan)->scanrelid;
			missing_note_index(context, rtindex, ((IndexOnlyScan *) plan)->indexid,
			                   ((IndexOnlyScan *) plan)->indexqual);
			break;
		case T_BitmapIndexScan:
			rtindex = ((Scan *) plan)->scanrelid;
			missing_note_index(context, rtindex, ((BitmapIndexScan *) plan)->indexid,
			                   ((BitmapIndexScan *) plan)->indexqual);
			break;
		case T_HashJoin:
			missing_note_clauses(context, plan, ((HashJoin *) plan)->hashclauses);
			missing_note_clauses(context, plan, ((Join *) plan)->joinqual);
			break;
		case T_MergeJoin:
			missing_note_clauses(context, plan, ((MergeJoin *) plan)->mergeclauses);
			missing_note_clauses(context, plan, ((Join *) plan)->joinqual);
			break;
		case T_NestLoop:
			missing_note_parameters(context, (NestLoop *) plan);
			missing_note_clauses(context, plan, ((Join *) plan)->joinqual);
			break;
		default:
			break;
	}
	return planstate_tree_walker(state, missing_plan_walker, context);
}

/* Is an index on these columns worth naming? */
bool
missing_worth(Oid relid, List *attributes)
{
	Relation relation = table_open(relid, AccessShareLock);
	bool result = RelationGetNumberOfBlocks(relation) > MISSING_TINY_PAGES;
	ListCell *cell;

	foreach (cell, RelationGetIndexList(relation))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (index->rd_index->indisvalid &&
		    (index->rd_rel->relam == BTREE_AM_OID || index->rd_rel->relam == HASH_AM_OID) &&
		    heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) &&
		    list_member_int(attributes, index->rd_index->indkey.values[0]))
			result = false;
		index_close(index, AccessShareLock);
	}
	table_close(relation, AccessShareLock);
	return result;
}

/* The columns by which what is known leads to a relation. */
static List *
missing_attributes(MissingContext *context, Index rtindex, Bitmapset *unknown)
{
	List *result = NIL;
	ListCell *cell;

	foreach (cell, context->clauses)
	{
		MissingClause *clause = lfirst(cell);

		if (clause->rtindex == rtindex && !bms_is_empty(clause->others) &&
		    !bms_overlap(clause->others, unknown))
			result = list_append_unique_int(result, clause->attribute);
	}
	list_sort(result, list_int_cmp);
	return list_truncate(result, INDEX_MAX_KEYS);
}

/* Name an index, once, if it is worth it. */
static void
missing_add(MissingReport *report, Oid relid, List *attributes)
{
	MissingIndex *missing;
	ListCell *cell;

	foreach (cell, report->missing)
	{
		missing = lfirst(cell);
		if (missing->relid == relid && equal(missing->attributes, attributes))
			return;
	}
	if (!missing_worth(relid, attributes))
		return;
	missing = palloc(sizeof(MissingIndex));
	missing->relid = relid;
	missing->attributes = attributes;
	report->missing = lappend(report->missing, missing);
}

/*
 * Report on a planned query whose execution was started (EXPLAIN only will do).
 */
void
missing_find(QueryDesc *query, MissingReport *report)
{
	MissingContext context = {.report = report, .rtable = query->plannedstmt->rtable};
	Bitmapset *unknown;
	bool progress = true;

	memset(report, 0, sizeof(MissingReport));
	missing_plan_walker(query->planstate, &context);

	unknown = bms_copy(context.whole);
	while (progress)
	{
		int rtindex = -1;

		progress = false;
		while ((rtindex = bms_next_member(unknown, rtindex)) >= 0)
		{
			List *attributes = missing_attributes(&context, rtindex, unknown);
			Oid relid = rt_fetch(rtindex, context.rtable)->relid;

			if (attributes == NIL)
				continue;
			unknown = bms_del_member(unknown, rtindex);
			progress = true;
			missing_add(report, relid, attributes);
			break;
		}
	}
}
