/*-------------------------------------------------------------------------
 *
 * choice.c
 *	  Whether a block that can follow by keys does so in a cycle, or is run as a
 *	  whole.
 *
 * Both are judged by the planner's costs for as many keys as there are, times
 * what a unit of cost was measured to take in this block, either way. What was
 * chosen last keeps being chosen until the other is clearly cheaper. What is not
 * chosen is not measured: its measure drifts towards the other's, so that no
 * single slow run rules it out for ever.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "view/view.h"

/* How much cheaper the other way has to be. */
#define CHOICE_HYSTERESIS 1.5
/* How much a measurement counts against those before. */
#define CHOICE_WEIGHT 0.3
/* How much of its difference to the other a measure loses while it is not taken. */
#define CHOICE_DRIFT 0.05

bool choice_enable_recompute = true; /* GUC */

/* What the whole costs, the comparison with the view's rows included. */
static double
choice_whole_cost(MaintainedView *view, ViewCycle *cycle)
{
	Plan *whole = view_query(view, cycle, 'b', -1, 1, 0)->planTree;

	return whole->total_cost + whole->plan_rows * CHOICE_COMPARE_COST;
}

/* Shall a block follow by keys at this cost? */
bool
choice_by_keys(MaintainedView *view, ViewCycle *cycle, double cost)
{
	ViewChoice *choice = &view->choice;
	double keyed_us = choice->keyed_us > 0 ? choice->keyed_us : choice->whole_us;
	double whole_us = choice->whole_us > 0 ? choice->whole_us : choice->keyed_us;
	double whole;

	if (!choice_enable_recompute)
		return true;
	whole = choice_whole_cost(view, cycle);
	if (keyed_us > 0)
	{
		cost *= keyed_us;
		whole *= whole_us;
	}
	if (choice->whole)
		cost *= CHOICE_HYSTERESIS;
	else
		whole *= CHOICE_HYSTERESIS;
	choice->whole = cost > whole;
	return !choice->whole;
}

/* What a unit of cost took. */
static void
choice_learn(double *measure, double *other, double us_per_cost)
{
	*measure = *measure > 0 ? *measure + CHOICE_WEIGHT * (us_per_cost - *measure) : us_per_cost;
	if (*other > 0)
		*other += CHOICE_DRIFT * (*measure - *other);
}

/* A block followed by keys at this cost. */
void
choice_followed(MaintainedView *view, double cost, instr_time begun)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, begun);
	choice_learn(&view->choice.keyed_us, &view->choice.whole_us,
	             INSTR_TIME_GET_MICROSEC(now) / Max(cost, 1));
	if (view->shared)
		pg_atomic_write_u64(&view->shared->keyed_us, INSTR_TIME_GET_MICROSEC(now));
}

/* A block was run as a whole. */
void
choice_recomputed(MaintainedView *view, ViewCycle *cycle, instr_time begun)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, begun);
	choice_learn(&view->choice.whole_us, &view->choice.keyed_us,
	             INSTR_TIME_GET_MICROSEC(now) / Max(choice_whole_cost(view, cycle), 1));
	if (view->shared)
		pg_atomic_write_u64(&view->shared->whole_us, INSTR_TIME_GET_MICROSEC(now));
}
