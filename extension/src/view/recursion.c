/*-------------------------------------------------------------------------
 *
 * recursion.c
 *	  Following a recursion (plan/recursion.c): from the rows that its tables'
 *	  changes give at once, step by step, until nothing new comes.
 *
 * Rows that go go first, by the tables as they were; then what is left is in both
 * cuts, and rows that come are added to it, by the tables as they are. With UNION
 * a row that is in the table already is not followed again; the locator knows. And
 * rows that went may be there by another way: they come again. Where most of the
 * rows do so, the recursion is computed anew for some time.
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
#include "optimizer/plancat.h"
#include "utils/rel.h"
#include "view/view.h"

/* More than one in so many rows of a table going makes it be computed anew the next time, */
#define WORTH_RATIO 4
/* and then more and more often, up to so many times between two trials. */
#define MOST_ANEW 63

typedef struct RecursionRun
{
	MaintainedView *view;
	ViewCycle *cycle;
	ViewTarget *target;
	int sign;
	Merge *merge; /* of rows that go, with UNION ALL */
	TupleTableSlot *row;
	MemoryContext context; /* of one step */

	/* with UNION: rows that went; [1]: those with a NULL */
	Tuplestorestate *gone[2];
	int64 gone_count[2];
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

/* With UNION, take a row out; false: it is not there any more. */
static bool
recursion_take_out(RecursionRun *run, TupleTableSlot *row)
{
	bool has_nulls = false;
	Place place;

	if (locator_find(run->target, row, 1, &place) == 0)
		return false;
	locator_forget(run->target, &place);
	apply_delete(run->target, &place.tid);
	for (int i = 0; i < row->tts_tupleDescriptor->natts; i++)
		has_nulls |= row->tts_isnull[i];
	tuplestore_puttupleslot(run->gone[has_nulls], row);
	run->gone_count[has_nulls]++;
	return true;
}

/* Take a row; false: nothing changes, and it is not to be followed. */
static bool
recursion_take(RecursionRun *run, TupleTableSlot *row)
{
	bool all = run->view->plan->recursion->all;
	ItemPointerData tid;
	Place place;

	if (run->sign < 0 && !all)
		return recursion_take_out(run, row);
	if (run->sign < 0)
		merge_row(row, -1, run->merge);
	else if (all)
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
	MemoryContext old = MemoryContextSwitchTo(run->context);
	QueryEnvironment *environment = create_queryEnv();

	delta_register(environment, plan_relation_name(run->view->view, run->sign),
	               RelationGetDescr(run->target->relation), working, count);
	delta_execute(view_query(run->view, run->cycle, 'w', -1, run->sign, count), recursion_cut(run),
	              environment, recursion_store_row, found);
	MemoryContextSwitchTo(old);
	MemoryContextReset(run->context);
	tuplestore_end(working);
	return found;
}

/* Those of the rows that went which are there by what is left, into a store. */
static void
recursion_again(RecursionRun *run, Tuplestorestate *store)
{
	static const char kinds[] = {'x', 'y'};

	for (int with_nulls = 0; with_nulls < 2; with_nulls++)
	{
		for (int i = 0; i < lengthof(kinds) && run->gone_count[with_nulls] > 0; i++)
		{
			QueryEnvironment *environment = create_queryEnv();

			tuplestore_rescan(run->gone[with_nulls]);
			delta_register(environment, PLAN_KEYS_NAME, RelationGetDescr(run->target->relation),
			               run->gone[with_nulls], run->gone_count[with_nulls]);
			delta_execute(view_query(run->view, run->cycle, kinds[i], with_nulls, 1,
			                         run->gone_count[with_nulls]),
			              run->cycle->new_cut, environment, recursion_store_row, store);
		}
	}
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
	if (run->sign > 0)
		recursion_again(run, rows);
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

/* Can a recursion follow the cycle's changes, and is it worth while? */
bool
recursion_can_follow(MaintainedView *view)
{
	if (view->plan->recursion->all || view->anew_next == 0 || !recursion_shrinks(view))
		return true;
	view->anew_next--;
	return false;
}

/* With UNION: so many rows went or came again. Is it worth while the next time? */
static void
recursion_judge(RecursionRun *run)
{
	int64 gone = run->gone_count[0] + run->gone_count[1];
	BlockNumber pages;
	double rows;
	double visible;

	estimate_rel_size(run->target->relation, NULL, &pages, &rows, &visible);
	run->view->anew_last =
	    gone * WORTH_RATIO > rows ? Min(2 * run->view->anew_last + 1, MOST_ANEW) : 0;
	run->view->anew_next = run->view->anew_last;
}

/* Take out rows that go, and what they lead to. */
static void
recursion_follow_gone(RecursionRun *run)
{
	run->sign = -1;
	if (run->view->plan->recursion->all)
	{
		run->merge = merge_begin(run->target);
		recursion_run(run);
		merge_end(run->merge);
	}
	else
	{
		for (int i = 0; i < 2; i++)
			run->gone[i] = tuplestore_begin_heap(true, false, work_mem);
		recursion_run(run);
		recursion_judge(run);
	}
	/* the rows that come are found by what is left */
	CommandCounterIncrement();
	run->target->estate->es_output_cid = GetCurrentCommandId(true);
}

/* Bring a recursion to the new cut. */
void
recursion_follow(MaintainedView *view, ViewCycle *cycle, ViewTarget *target)
{
	RecursionRun run = {.view = view, .cycle = cycle, .target = target};

	run.row = MakeSingleTupleTableSlot(RelationGetDescr(target->relation), &TTSOpsMinimalTuple);
	run.context =
	    AllocSetContextCreate(CurrentMemoryContext, "freshet recursion", ALLOCSET_DEFAULT_SIZES);
	if (recursion_shrinks(view))
		recursion_follow_gone(&run);
	run.sign = 1;
	recursion_run(&run);
	apply_flush(target);
	for (int i = 0; i < 2; i++)
		if (run.gone[i] != NULL)
			tuplestore_end(run.gone[i]);
	MemoryContextDelete(run.context);
	ExecDropSingleTupleTableSlot(run.row);
}
