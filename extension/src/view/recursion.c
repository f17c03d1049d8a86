/*-------------------------------------------------------------------------
 *
 * recursion.c
 *	  Following a recursion (plan/recursion.c): from the rows that its tables'
 *	  changes give at once, step by step, until nothing new comes.
 *
 * Rows that go go first, by the tables as they were; then what is left is in both
 * cuts, and rows that come are added to it, by the tables as they are. With UNION
 * a row that is in the table already is not followed again; the locator knows.
 *
 * The rows of a step are gathered before the table is written, so that no query
 * meets what it makes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "view/view.h"

typedef struct RecursionRun
{
	MaintainedView *view;
	ViewCycle *cycle;
	ViewTarget *target;
	int sign;
	Merge *merge; /* of rows that go */
	TupleTableSlot *row;
} RecursionRun;

/* Put a row into a store. */
static void
recursion_store_row(TupleTableSlot *row, void *store)
{
	tuplestore_puttupleslot(store, row);
}

/* The cut whose tables lead to the rows of a run. */
static const Cut *
recursion_cut(const RecursionRun *run)
{
	return run->sign > 0 ? run->cycle->new_cut : run->cycle->old_cut;
}

/* Run the queries of a kind for the changes of leaves, into a store. */
static void
recursion_terms(RecursionRun *run, char kind, const ViewPlan *terms, Tuplestorestate *store)
{
	ListCell *cell;

	foreach (cell, terms->leaves)
	{
		PlanLeaf *leaf = lfirst(cell);
		RelationChange *change = leaf->self ? NULL : delta_change(leaf->relid);
		int64 count = change == NULL ? 0 : run->sign > 0 ? change->plus_count : change->minus_count;

		if (count > 0)
			delta_execute(view_query(run->view, run->cycle, kind, foreach_current_index(cell),
			                         run->sign, count),
			              recursion_cut(run), run->cycle->environment, recursion_store_row, store);
	}
}

/* Take a row; false: it was there, and is not to be followed. */
static bool
recursion_take(RecursionRun *run, TupleTableSlot *row)
{
	ItemPointerData tid;
	Place place;

	if (run->sign < 0)
		merge_row(row, -1, run->merge);
	else if (run->view->plan->recursion->all)
		apply_insert(run->target, row);
	else
	{
		if (locator_find(run->target, row, 1, &place) > 0)
			return false;
		apply_insert_now(run->target, row, &tid);
	}
	return true;
}

/* Take the rows of a store, which is given back; those to be followed. */
static Tuplestorestate *
recursion_take_all(RecursionRun *run, Tuplestorestate *candidates, int64 *count)
{
	Tuplestorestate *taken = tuplestore_begin_heap(true, false, work_mem);

	*count = 0;
	while (tuplestore_gettupleslot(candidates, true, false, run->row))
	{
		CHECK_FOR_INTERRUPTS();
		if (!recursion_take(run, run->row))
			continue;
		tuplestore_puttupleslot(taken, run->row);
		(*count)++;
	}
	tuplestore_end(candidates);
	return taken;
}

/* The rows that a step leads to from those that were found last. */
static Tuplestorestate *
recursion_step(RecursionRun *run, Tuplestorestate *working, int64 count)
{
	Tuplestorestate *found = tuplestore_begin_heap(false, false, work_mem);
	QueryEnvironment *environment = create_queryEnv();

	delta_register(environment, plan_relation_name(run->view->view, run->sign),
	               RelationGetDescr(run->target->relation), working, count);
	delta_execute(view_query(run->view, run->cycle, 'w', -1, run->sign, count), recursion_cut(run),
	              environment, recursion_store_row, found);
	tuplestore_end(working);
	return found;
}

/* Find and take the rows of a sign. */
static void
recursion_run(RecursionRun *run)
{
	const PlanRecursion *recursion = run->view->plan->recursion;
	Tuplestorestate *rows = tuplestore_begin_heap(false, false, work_mem);
	int64 count;

	recursion_terms(run, 's', recursion->start, rows);
	recursion_terms(run, 'u', recursion->step, rows);
	rows = recursion_take_all(run, rows, &count);
	while (count > 0)
		rows = recursion_take_all(run, recursion_step(run, rows, count), &count);
	tuplestore_end(rows);
}

/* Do rows go from what a recursion reads? */
static bool
recursion_shrinks(MaintainedView *view)
{
	ListCell *cell;

	foreach (cell, view->plan->relations)
	{
		RelationChange *change = delta_change(((PlanRelation *) lfirst(cell))->relid);

		if (change != NULL && change->minus_count > 0)
			return true;
	}
	return false;
}

/* Can a recursion follow the cycle's changes? With UNION, rows may only come. */
bool
recursion_can_follow(MaintainedView *view)
{
	return view->plan->recursion->all || !recursion_shrinks(view);
}

/* Bring a recursion to the new cut. */
void
recursion_follow(MaintainedView *view, ViewCycle *cycle, ViewTarget *target)
{
	RecursionRun run = {.view = view, .cycle = cycle, .target = target};

	run.row = MakeSingleTupleTableSlot(RelationGetDescr(target->relation), &TTSOpsMinimalTuple);
	if (recursion_shrinks(view))
	{
		run.sign = -1;
		run.merge = merge_begin(target);
		recursion_run(&run);
		merge_end(run.merge);
		/* the rows that come are found by what is left */
		CommandCounterIncrement();
		target->estate->es_output_cid = GetCurrentCommandId(true);
	}
	run.sign = 1;
	recursion_run(&run);
	apply_flush(target);
	ExecDropSingleTupleTableSlot(run.row);
}
