/*-------------------------------------------------------------------------
 *
 * normalise.c
 *	  A view's query as blocks, each of which one strategy can keep.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "plan/plan.h"

/* Normalise a view's query: sets the plan's block and parts. */
void
plan_normalise(ViewPlan *plan)
{
	plan->block = copyObject(plan->query);
}
