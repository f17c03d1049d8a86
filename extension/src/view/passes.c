/*-------------------------------------------------------------------------
 *
 * passes.c
 *	  When the clock passes the next row of a view that compares rows with it
 *	  (plan/clock.c): until then, time changes nothing in the view.
 *
 * The next row is looked up by its expression, through an index if there is one;
 * the time is then found by bisection, with the comparison itself as the judge.
 * Where that is dear, or the clock far from the row, the view is looked at again
 * earlier, which does no harm.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "view/view.h"

/* Time zones change their offset: do not look further ahead. */
#define PASSES_MOST_MS (10 * 60 * 1000)
/* Where the next row is dear to find, look for changes this often. */
#define PASSES_DEAR_MS 1000
/* What is dear, in the planner's units. */
#define PASSES_DEAR_COST 1000

/* The value of the next row. */
typedef struct PassesNext
{
	bool found;
	bool isnull;
	Datum value;
	bool by_value;
	int16 length;
	MemoryContext context;
} PassesNext;

/* Keep the value. */
static void
passes_row(TupleTableSlot *slot, void *argument)
{
	PassesNext *next = argument;
	MemoryContext old = MemoryContextSwitchTo(next->context);
	Datum value = slot_getattr(slot, 1, &next->isnull);

	next->found = !next->isnull;
	if (next->found)
		next->value = datumCopy(value, next->by_value, next->length);
	MemoryContextSwitchTo(old);
}

/* The comparison of a value with the clock at a time. */
static bool
passes_holds(ExprState *comparison, ExprContext *context, int64 at_ms)
{
	bool isnull;
	Datum result;

	context->ecxt_param_list_info = delta_times(at_ms, at_ms);
	result = ExecEvalExprSwitchContext(comparison, context, &isnull);
	ResetExprContext(context);
	return !isnull && DatumGetBool(result);
}

/* When does the clock pass this value, seen from a time? */
static int64
passes_when(const PlanBlockLeaf *leaf, PassesNext *next, int64 now_ms)
{
	OpExpr *comparison = copyObject(leaf->comparison);
	Node *left = linitial(comparison->args);
	EState *estate = CreateExecutorState();
	ExprContext *context = CreateExprContext(estate);
	int64 before = 0; /* after now_ms, not passed yet */
	int64 after = 1;  /* likewise, passed */
	ExprState *state;
	bool holds;

	linitial(comparison->args) = makeConst(exprType(left), exprTypmod(left), exprCollation(left),
	                                       next->length, next->value, false, next->by_value);
	state = ExecPrepareExpr((Expr *) comparison, estate);
	holds = passes_holds(state, context, now_ms);
	while (after < PASSES_MOST_MS && passes_holds(state, context, now_ms + after) == holds)
	{
		before = after;
		after *= 2;
	}
	after = Min(after, PASSES_MOST_MS);
	while (after - before > 1 && passes_holds(state, context, now_ms + after) != holds)
	{
		int64 middle = before + (after - before) / 2;

		if (passes_holds(state, context, now_ms + middle) == holds)
			before = middle;
		else
			after = middle;
	}
	FreeExecutorState(estate);
	return now_ms + after;
}

/* Find out when the clock passes the next row of a view that is at the cycle's cut. */
void
passes_find(MaintainedView *view, ViewCycle *cycle)
{
	int64 now_ms = cycle->new_cut->at_ms;
	ListCell *cell;
	ListCell *leaf_cell;

	view->passes_at_ms = now_ms + PASSES_MOST_MS;
	foreach (cell, view->plan->blocks)
	{
		PlanBlock *block = lfirst(cell);
		int number = 0;

		foreach (leaf_cell, block->leaves)
		{
			PlanBlockLeaf *leaf = lfirst(leaf_cell);
			PassesNext next = {.context = CurrentMemoryContext};
			PlannedStmt *planned;

			number++;
			if (!leaf->clock)
				continue;
			planned = view_block_query(view, cycle, 'p', block, number - 1, 1, 1);
			if (planned->planTree->total_cost > PASSES_DEAR_COST)
			{
				view->passes_at_ms = Min(view->passes_at_ms, now_ms + PASSES_DEAR_MS);
				continue;
			}
			get_typlenbyval(exprType(linitial(leaf->comparison->args)), &next.length,
			                &next.by_value);
			delta_execute(planned, cycle->new_cut, NULL, passes_row, &next);
			if (next.found)
				view->passes_at_ms = Min(view->passes_at_ms, passes_when(leaf, &next, now_ms));
		}
	}
}
