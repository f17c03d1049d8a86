/*-------------------------------------------------------------------------
 *
 * ahead.c
 *	  Grouped views and loads that still run: their rows are folded into groups
 *	  of their own, which are added to the stored ones once the load counts.
 *
 * For a view that groups the rows of one relation, through expressions that
 * depend on nothing else. The delta query's plan is then a scan of the changed
 * rows alone, and its filter and its columns are computed here.
 *
 * Invariants:
 *	- Nothing here is anybody's error: rows of a transaction that has not ended
 *	  may never count. What cannot be folded is forgotten, and read at the cut.
 *	- Groups count only if all rows taken are in them (ViewAhead.rows).
 *	- A cycle uses them up: if it fails, everything taken ahead is spoilt.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "pg/role.h"
#include "utils/memutils.h"
#include "view/groups.h"

/* The number of rows the delta query is planned for. */
#define AHEAD_PLANNED_ROWS 1e6

struct AheadFold
{
	MaintainedView *view;
	ViewAhead *entry;
	EState *estate;
	ExprContext *expression;
	ExprState *filter;
	ProjectionInfo *projection;
};

/*
 * The scan of changed rows that the view's delta query consists of, or NULL if
 * it is something else.
 */
static Scan *
ahead_scan(MaintainedView *view, const Cut *cut)
{
	ViewCycle cycle = {.old_cut = cut};
	PlannedStmt *planned = view_query(view, &cycle, 't', 0, 1, AHEAD_PLANNED_ROWS);
	Plan *plan = planned->planTree;

	if (planned->transientPlan || !IsA(plan, NamedTuplestoreScan) || planned->subplans != NIL ||
	    plan->initPlan != NIL || contain_mutable_functions((Node *) plan->qual) ||
	    contain_mutable_functions((Node *) plan->targetlist))
		return NULL;
	return (Scan *) plan;
}

/* Can the view fold rows of a load into this relation ahead of its end? */
bool
ahead_wanted(MaintainedView *view, Oid relid)
{
	const ViewPlan *plan = view->plan;

	return view->adopted && !view->invalid && plan->strategy == PLAN_ALGEBRAIC && plan->grouped &&
	       view->parts == NIL && list_length(plan->leaves) == 1 &&
	       ((PlanLeaf *) linitial(plan->leaves))->relid == relid &&
	       aggregate_combinable(view->program) && !plan_keys_ambiguous(plan);
}

/* What is folded of an Ahead, or NULL. */
static ViewAhead *
ahead_find(MaintainedView *view, uint64 number)
{
	ListCell *cell;

	foreach (cell, view->ahead)
		if (((ViewAhead *) lfirst(cell))->number == number)
			return lfirst(cell);
	return NULL;
}

/* Forget what is folded of an Ahead. */
static void
ahead_drop(MaintainedView *view, ViewAhead *entry)
{
	view->ahead = list_delete_ptr(view->ahead, entry);
	MemoryContextDelete(entry->context);
}

/* Forget what is folded of all but those that are kept (of Ahead *). */
void
ahead_forget(MaintainedView *view, const List *kept)
{
	ListCell *cell;
	ListCell *other;

	foreach (cell, view->ahead)
	{
		ViewAhead *entry = lfirst(cell);
		bool found = false;

		foreach (other, kept)
		{
			Ahead *ahead = lfirst(other);

			found |= ahead->number == entry->number && !ahead->spoilt;
		}
		if (found)
			continue;
		view->ahead = foreach_delete_current(view->ahead, cell);
		MemoryContextDelete(entry->context);
	}
}

/*
 * Prepare to fold more rows of an Ahead, in the current memory context, which
 * outlives the fold. NULL if the view cannot, or did not see those before.
 */
AheadFold *
ahead_fold_begin(MaintainedView *view, const Cut *cut, const Ahead *ahead, TupleDesc descriptor)
{
	ViewAhead *entry = ahead_find(view, ahead->number);
	Role role;
	AheadFold *fold;
	MemoryContext old;
	TupleTableSlot *result;
	Scan *scan;

	if (entry == NULL ? ahead->rows > 0 : entry->rows != ahead->rows)
		return NULL;
	role_compute(&role, view->plan->owner, view->settings);
	scan = ahead_scan(view, cut);
	if (scan == NULL)
	{
		role_restore(&role);
		return NULL;
	}
	if (entry == NULL)
	{
		MemoryContext context =
		    AllocSetContextCreate(view->context, "freshet view ahead", ALLOCSET_DEFAULT_SIZES);

		old = MemoryContextSwitchTo(context);
		entry = palloc0(sizeof(ViewAhead));
		entry->number = ahead->number;
		entry->context = context;
		entry->groups = groups_begin(view, true);
		MemoryContextSwitchTo(view->context);
		view->ahead = lappend(view->ahead, entry);
		MemoryContextSwitchTo(old);
	}
	fold = palloc0(sizeof(AheadFold));
	fold->view = view;
	fold->entry = entry;
	fold->estate = CreateExecutorState();
	fold->expression = CreateExprContext(fold->estate);
	old = MemoryContextSwitchTo(fold->estate->es_query_cxt);
	result = MakeSingleTupleTableSlot(ExecTypeFromTL(scan->plan.targetlist), &TTSOpsVirtual);
	fold->filter = ExecInitQual(scan->plan.qual, NULL);
	fold->projection =
	    ExecBuildProjectionInfo(scan->plan.targetlist, fold->expression, result, NULL, descriptor);
	MemoryContextSwitchTo(old);
	role_restore(&role);
	return fold;
}

/* Whose fold it is. */
Oid
ahead_fold_view(const AheadFold *fold)
{
	return fold->view->view;
}

/* Fold rows of the relation. */
void
ahead_fold_rows(AheadFold *fold, TupleTableSlot **rows, int count)
{
	Role role;

	role_compute(&role, fold->view->plan->owner, fold->view->settings);
	aggregate_begin(fold->view->program, fold->entry->groups->context);
	for (int i = 0; i < count; i++)
	{
		ResetExprContext(fold->expression);
		fold->expression->ecxt_scantuple = rows[i];
		if (ExecQual(fold->filter, fold->expression))
			groups_row(ExecProject(fold->projection), 1, fold->entry->groups);
	}
	fold->entry->rows += count;
	role_restore(&role);
}

/* Release the fold. What has grown too large is forgotten. */
void
ahead_fold_end(AheadFold *fold)
{
	ExecDropSingleTupleTableSlot(fold->projection->pi_state.resultslot);
	FreeExecutorState(fold->estate);
	if (MemoryContextMemAllocated(fold->entry->context, true) > (Size) maintenance_work_mem * 1024)
		ahead_drop(fold->view, fold->entry);
	pfree(fold);
}

/* The groups of all that was taken ahead of a change; NIL if some are not there. */
List *
ahead_groups(MaintainedView *view, const RelationChange *change)
{
	List *result = NIL;
	ListCell *cell;

	foreach (cell, change->ahead)
	{
		Ahead *ahead = lfirst(cell);
		ViewAhead *entry = ahead_find(view, ahead->number);

		if (entry == NULL || entry->rows != ahead->rows)
			return NIL;
		result = lappend(result, entry->groups);
	}
	return result;
}
