/*-------------------------------------------------------------------------
 *
 * passes.c
 *	  When the clock passes the next row of a block that compares rows with it
 *	  (plan/clock.c): until then, time changes nothing in the block.
 *
 * While the clock's side stays what it is nothing changes, as for CURRENT_DATE
 * until midnight. Else the next row is looked up by its expression, through an
 * index if there is one; the time is then found by bisection, with the comparison
 * itself as the judge. That needs a side that only grows. Sides that jump back,
 * with the offset of a time zone or the length of a month, do so by more than one
 * looks ahead: then they are less at the end than at the beginning. Where the next
 * row is dear to find, or the side does anything, the block is looked at again
 * with the next whole second, when most functions of the clock change, if at all.
 *
 * So the time of a block's content is one of its own: that of the cut to which it
 * was brought last, and of a block that is looked at with each second that of the
 * last look. The former is as good as that of any later cut until the clock passes
 * something; the latter has to be known, and is not stored, which is why such a
 * view is not adopted after a restart.
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
#include "utils/typcache.h"
#include "view/view.h"

/* Look ahead so far; sides that jump back do so by more. */
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

/* The clock's side of a comparison, and what it is now. */
typedef struct PassesClock
{
	ExprState *state;
	ExprContext *context;
	FmgrInfo *compare;
	Oid collation;
	int64 now_ms;
	Datum now;
	bool isnull;
} PassesClock;

/* The value of an expression at a time, in the memory of the expression's context. */
static Datum
passes_value(ExprState *state, ExprContext *context, int64 at_ms, bool *isnull)
{
	ResetExprContext(context);
	context->ecxt_param_list_info = delta_times(at_ms, at_ms);
	return ExecEvalExprSwitchContext(state, context, isnull);
}

/* How the clock's side at a time compares with what it is now. */
static int
passes_compare(const PassesClock *clock, int64 at_ms)
{
	bool isnull;
	Datum value = passes_value(clock->state, clock->context, at_ms, &isnull);

	/* strict functions of the clock have a value always or never */
	if (isnull || clock->isnull)
		return 0;
	return DatumGetInt32(FunctionCall2Coll(clock->compare, clock->collation, value, clock->now));
}

/* Has the clock's side jumped back at a time? */
static bool
passes_jumped(void *argument, int64 at_ms)
{
	return passes_compare(argument, at_ms) < 0;
}

/* Is it another one than now? */
static bool
passes_stepped(void *argument, int64 at_ms)
{
	return passes_compare(argument, at_ms) != 0;
}

/* The comparison for the next row, and what it says now. */
typedef struct PassesRow
{
	ExprState *state;
	ExprContext *context;
	bool holds;
} PassesRow;

/* Does the comparison hold at a time? */
static bool
passes_holds(const PassesRow *row, int64 at_ms)
{
	bool isnull;
	Datum result = passes_value(row->state, row->context, at_ms, &isnull);

	return !isnull && DatumGetBool(result);
}

/* Has the clock passed the row at a time? */
static bool
passes_row_passed(void *argument, int64 at_ms)
{
	const PassesRow *row = argument;

	return passes_holds(row, at_ms) != row->holds;
}

/*
 * The first time after one, and up to another, at which something has happened
 * that stays so; the latter if nothing does.
 */
static int64
passes_first(bool (*happened)(void *argument, int64 at_ms), void *argument, int64 after,
             int64 until)
{
	while (until - after > 1)
	{
		int64 middle = after + (until - after) / 2;

		if (happened(argument, middle))
			until = middle;
		else
			after = middle;
	}
	return until;
}

/* When does the clock pass this value? Not after until. */
static int64
passes_when(const PlanClockLeaf *leaf, PassesNext *next, EState *estate, int64 now_ms, int64 until)
{
	Const *value = makeConst(exprType(leaf->row), exprTypmod(leaf->row), exprCollation(leaf->row),
	                         next->length, next->value, false, next->by_value);
	PassesRow row = {.context = CreateExprContext(estate)};

	if (!plan_clock_equality(leaf))
		row.state = ExecPrepareExpr((Expr *) plan_clock_with_row(leaf, (Node *) value), estate);
	else
	{
		/* the search needs something that stays so; equality does not */
		row.state = ExecPrepareExpr((Expr *) plan_clock_ahead(leaf, (Node *) value, false), estate);
		if (!passes_holds(&row, now_ms))
			row.state =
			    ExecPrepareExpr((Expr *) plan_clock_ahead(leaf, (Node *) value, true), estate);
	}
	row.holds = passes_holds(&row, now_ms);
	return passes_first(passes_row_passed, &row, now_ms, until);
}

/* The next whole second, when most functions change that do not just grow. */
static int64
passes_second(int64 now_ms)
{
	return now_ms - now_ms % PASSES_DEAR_MS + PASSES_DEAR_MS;
}

/* Find out when the clock passes the next row of a leaf. */
static int64
passes_leaf(MaintainedView *view, ViewCycle *cycle, PlanBlock *block, int number, EState *estate)
{
	const PlanClockLeaf *leaf = ((PlanBlockLeaf *) list_nth(block->leaves, number))->clock;
	TypeCacheEntry *type = lookup_type_cache(exprType(leaf->clock), TYPECACHE_CMP_PROC_FINFO);
	int64 now_ms = cycle->new_cut->at_ms;
	int64 until = now_ms + PASSES_MOST_MS;
	PassesNext next = {.context = CurrentMemoryContext};
	PassesClock clock = {.context = CreateExprContext(estate),
	                     .compare = &type->cmp_proc_finfo,
	                     .collation = leaf->collation,
	                     .now_ms = now_ms};
	PlannedStmt *planned;
	int64 step;

	if (!leaf->grows)
	{
		view->looked_for = true;
		return passes_second(now_ms);
	}
	clock.state = ExecPrepareExpr((Expr *) copyObject(leaf->clock), estate);
	clock.now = passes_value(clock.state, clock.context, now_ms, &clock.isnull);
	if (!clock.isnull)
		clock.now = datumCopy(clock.now, type->typbyval, type->typlen);
	if (passes_jumped(&clock, until))
		until = passes_first(passes_jumped, &clock, now_ms, until);
	step = passes_stepped(&clock, until - 1)
	           ? passes_first(passes_stepped, &clock, now_ms, until - 1)
	           : until;
	if (step - now_ms >= PASSES_DEAR_MS)
		return step;

	/* an elapsed time that is to be a certain one is so for a while only: that is not searched for */
	planned = leaf->next == NULL || (leaf->elapsed && leaf->before == PLAN_CLOCK_TWICE)
	              ? NULL
	              : view_block_query(view, cycle, 'p', block, number, 1, 1);
	if (planned == NULL || planned->planTree->total_cost > PASSES_DEAR_COST)
	{
		view->looked_for = true;
		return Min(until, passes_second(now_ms));
	}
	get_typlenbyval(exprType(leaf->row), &next.length, &next.by_value);
	delta_execute(planned, cycle->new_cut, NULL, passes_row, &next);
	return next.found ? passes_when(leaf, &next, estate, now_ms, until) : until;
}

/* Find out when the clock passes the next row of a block that is at the cycle's cut. */
void
passes_find(MaintainedView *view, ViewCycle *cycle)
{
	EState *estate;
	ListCell *cell;

	/* not looked at in this cycle */
	if (!view->plan->timed || view->new_time_ms != cycle->new_cut->at_ms)
		return;
	view->looked_for = false;
	estate = CreateExecutorState();
	view->passes_at_ms = cycle->new_cut->at_ms + PASSES_MOST_MS;
	foreach (cell, view->plan->blocks)
	{
		PlanBlock *block = lfirst(cell);

		for (int number = 0; number < list_length(block->leaves); number++)
			if (((PlanBlockLeaf *) list_nth(block->leaves, number))->clock != NULL)
				view->passes_at_ms =
				    Min(view->passes_at_ms, passes_leaf(view, cycle, block, number, estate));
	}
	FreeExecutorState(estate);
}

/* Does time alone change something in a view, or in a part of it? */
bool
passes_timed(const MaintainedView *view)
{
	return passes_at_ms(view) != PG_INT64_MAX;
}

/* Until when does time change nothing in a view and its parts? */
int64
passes_at_ms(const MaintainedView *view)
{
	int64 result = view->plan->timed ? view->passes_at_ms : PG_INT64_MAX;
	ListCell *cell;

	foreach (cell, view->parts)
		result = Min(result, passes_at_ms(lfirst(cell)));
	return result;
}

/* Has the clock passed something in a block, or may it have? */
bool
passes_due(const MaintainedView *view, const ViewCycle *cycle)
{
	return view->plan->timed && cycle->new_cut->at_ms >= view->passes_at_ms;
}

/* Is the time of some block's content another than that of the cut? */
bool
passes_loose(const MaintainedView *view)
{
	ListCell *cell;

	foreach (cell, view->parts)
		if (passes_loose(lfirst(cell)))
			return true;
	return view->plan->timed && view->looked_for;
}

/* The time of a block's content at the beginning of a cycle. */
int64
passes_old_ms(const MaintainedView *view, const ViewCycle *cycle)
{
	return view->time_ms != 0 ? view->time_ms : cycle->old_cut->at_ms;
}

/* A block is brought to the cycle's cut: decide of which time its content is then. */
void
passes_begin(MaintainedView *view, const ViewCycle *cycle, bool anew)
{
	bool look = anew || !view->looked_for || passes_due(view, cycle);

	view->new_time_ms = look ? cycle->new_cut->at_ms : passes_old_ms(view, cycle);
}

/* The cycle is committed, or undone: then what the clock passes is found out anew. */
void
passes_settle(MaintainedView *view, bool committed)
{
	ListCell *cell;

	foreach (cell, view->parts)
		passes_settle(lfirst(cell), committed);
	if (committed)
		view->time_ms = view->new_time_ms;
	else
	{
		view->new_time_ms = view->time_ms;
		view->passes_at_ms = 0;
	}
}

/* A view is loaded again, and its content stays: so does its time. */
void
passes_take_over(MaintainedView *view, const MaintainedView *from)
{
	ListCell *cell;
	ListCell *other;

	view->time_ms = view->new_time_ms = from->time_ms;
	view->loose = from->loose;
	forboth(cell, view->parts, other, from->parts) passes_take_over(lfirst(cell), lfirst(other));
}
