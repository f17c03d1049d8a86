/*-------------------------------------------------------------------------
 *
 * keyed.c
 *	  Strategy B: find the keys that the cycle's changes can touch, and run the
 *	  query for those keys alone at both cuts.
 *
 * Keys are sets: the rows of a key come once, however many changes lead to it.
 * Both cuts are asked for the same keys, so rows that are the same in both
 * cancel (merge.c), and keys more than needed do no harm.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"
#include "view/view.h"

/* Keys without repetitions. */
struct ViewKeys
{
	TupleDesc descriptor;
	Tuplestorestate *store[2]; /* [1]: those with a NULL; NULL: none */
	int64 count[2];
};

/* A set of the versions that changed in a relation, for the affected queries. */
static QueryEnvironment *
keyed_versions_environment(RelationChange *change, int sign)
{
	QueryEnvironment *environment = create_queryEnv();
	TupleDesc descriptor = CreateTemplateTupleDesc(1);
	Tuplestorestate *store = tuplestore_begin_heap(true, false, work_mem);
	ItemPointerData *tids = sign > 0 ? change->plus_tids : change->minus_tids;
	int64 count = sign > 0 ? change->plus_count : change->minus_count;

	TupleDescInitEntry(descriptor, 1, "k1", TIDOID, -1, 0);
	for (int64 i = 0; i < count; i++)
	{
		Datum value = PointerGetDatum(&tids[i]);
		bool isnull = false;

		tuplestore_putvalues(store, descriptor, &value, &isnull);
	}
	delta_register(environment, plan_versions_name(change->relid, sign), descriptor, store, count);
	return environment;
}

/* Gives the store back; the rest belongs to the cycle's memory. */
static void
keyed_end_environment(QueryEnvironment *environment, const char *name)
{
	tuplestore_end(get_ENR(environment, name)->reldata);
}

/* Begin a sort of tuples of versions. */
static Tuplesortstate *
keyed_begin_sort(TupleDesc descriptor)
{
	int columns = descriptor->natts;
	AttrNumber *attributes = palloc(columns * sizeof(AttrNumber));
	Oid *operators = palloc(columns * sizeof(Oid));
	Oid *collations = palloc(columns * sizeof(Oid));
	bool *nulls_first = palloc(columns * sizeof(bool));

	for (int i = 0; i < columns; i++)
	{
		attributes[i] = i + 1;
		operators[i] = TIDLessOperator;
		collations[i] = InvalidOid;
		nulls_first[i] = false;
	}
	return tuplesort_begin_heap(descriptor, columns, attributes, operators, collations, nulls_first,
	                            work_mem, NULL, TUPLESORT_NONE);
}

/* Take a tuple of versions. */
static void
keyed_versions_row(TupleTableSlot *row, void *sort)
{
	tuplesort_puttupleslot(sort, row);
}

/* Are these the same versions? */
static bool
keyed_same_versions(TupleTableSlot *left, TupleTableSlot *right)
{
	slot_getallattrs(left);
	slot_getallattrs(right);
	for (int i = 0; i < left->tts_tupleDescriptor->natts; i++)
		if (!ItemPointerEquals((ItemPointer) DatumGetPointer(left->tts_values[i]),
		                       (ItemPointer) DatumGetPointer(right->tts_values[i])))
			return false;
	return true;
}

/* The sorted tuples, each once. */
static void
keyed_unique(ViewKeys *keys, Tuplesortstate *sort)
{
	TupleTableSlot *slots[2];
	int current = 0;

	slots[0] = MakeSingleTupleTableSlot(keys->descriptor, &TTSOpsMinimalTuple);
	slots[1] = MakeSingleTupleTableSlot(keys->descriptor, &TTSOpsMinimalTuple);
	keys->store[0] = tuplestore_begin_heap(true, false, work_mem);
	tuplesort_performsort(sort);
	while (tuplesort_gettupleslot(sort, true, true, slots[current], NULL))
	{
		if (!TTS_EMPTY(slots[1 - current]) &&
		    keyed_same_versions(slots[current], slots[1 - current]))
			continue;
		tuplestore_puttupleslot(keys->store[0], slots[current]);
		keys->count[0]++;
		current = 1 - current;
	}
	ExecDropSingleTupleTableSlot(slots[0]);
	ExecDropSingleTupleTableSlot(slots[1]);
}

/*
 * How many changes of a sign a leaf has. The clock counts as one when it passes
 * a row: what was true at the old cut goes, what is true at the new one comes.
 */
static int64
keyed_changes(MaintainedView *view, ViewCycle *cycle, const PlanBlockLeaf *leaf, int sign)
{
	RelationChange *change = delta_change(leaf->relid);

	if (leaf->clock)
		return passes_due(view, cycle) ? 1 : 0;
	if (change == NULL)
		return 0;
	return sign > 0 ? change->plus_count : change->minus_count;
}

/* Run the affected query of a block's leaf for one sign, into the sort. */
static void
keyed_affected(MaintainedView *view, ViewCycle *cycle, PlanBlock *block, int leaf, int sign,
               Tuplesortstate *sort)
{
	PlanBlockLeaf *entry = list_nth(block->leaves, leaf);
	RelationChange *change = delta_change(entry->relid);
	int64 count = keyed_changes(view, cycle, entry, sign);
	const Cut *cut = sign > 0 ? cycle->new_cut : cycle->old_cut;
	int64 old_ms = passes_old_ms(view, cycle);
	int64 at_ms = sign > 0 ? view->new_time_ms : old_ms;
	int64 other_ms = sign > 0 ? old_ms : view->new_time_ms;
	QueryEnvironment *environment = NULL;

	if (count == 0)
		return;
	if (!entry->clock)
		environment = keyed_versions_environment(change, sign);
	delta_execute_at(view_block_query(view, cycle, 'a', block, leaf, sign, count), cut, at_ms,
	                 other_ms, environment, keyed_versions_row, sort);
	if (!entry->clock)
		keyed_end_environment(environment, plan_versions_name(entry->relid, sign));
}

/* The tuples of a block's core versions that the cycle's changes can touch. */
static ViewKeys *
keyed_versions(MaintainedView *view, ViewCycle *cycle, PlanBlock *block)
{
	ViewKeys *keys = palloc0(sizeof(ViewKeys));
	Tuplesortstate *sort;

	keys->descriptor = CreateTemplateTupleDesc(block->core);
	for (int i = 0; i < block->core; i++)
		TupleDescInitEntry(keys->descriptor, i + 1, "version", TIDOID, -1, 0);
	sort = keyed_begin_sort(keys->descriptor);
	for (int leaf = 0; leaf < list_length(block->leaves); leaf++)
	{
		keyed_affected(view, cycle, block, leaf, -1, sort);
		keyed_affected(view, cycle, block, leaf, 1, sort);
	}
	keyed_unique(keys, sort);
	tuplesort_end(sort);
	return keys;
}

/* Run a query for some keys at both cuts. */
static void
keyed_run(MaintainedView *view, PlannedStmt *planned, ViewCycle *cycle, ViewKeys *keys,
          bool with_nulls, ViewRowReceiver row, void *context)
{
	SignedRow receiver = {.row = row, .context = context};
	QueryEnvironment *environment = create_queryEnv();
	int64 old_ms = passes_old_ms(view, cycle);

	delta_register(environment, PLAN_KEYS_NAME, keys->descriptor, keys->store[with_nulls],
	               keys->count[with_nulls]);
	receiver.sign = -1;
	delta_execute_at(planned, cycle->old_cut, old_ms, old_ms, environment, view_signed_row,
	                 &receiver);
	tuplestore_rescan(keys->store[with_nulls]);
	receiver.sign = 1;
	delta_execute_at(planned, cycle->new_cut, view->new_time_ms, view->new_time_ms, environment,
	                 view_signed_row, &receiver);
}

/* The rows of the inner query that come and go, by way of its blocks. */
static void
keyed_block_rows(MaintainedView *view, ViewCycle *cycle, List *versions, ViewRowReceiver row,
                 void *context)
{
	ListCell *cell;
	ListCell *keys;

	forboth(cell, view->plan->blocks, keys, versions)
	{
		ViewKeys *set = lfirst(keys);

		if (set->count[0] > 0)
			keyed_run(view, view_block_query(view, cycle, 'r', lfirst(cell), 0, 1, set->count[0]),
			          cycle, set, false, row, context);
	}
}

/* Values of keys, each once. */
typedef struct KeySet
{
	ViewKeys *keys;
	TupleHashTable table;
	ExprContext *expression;
	TupleTableSlot *slot;
} KeySet;

/* Take the key of a row that came or went. */
static void
keyed_value_row(TupleTableSlot *row, int sign, void *argument)
{
	KeySet *set = argument;
	TupleDesc descriptor = set->keys->descriptor;
	bool has_nulls = false;
	bool is_new;

	slot_getallattrs(row);
	ExecClearTuple(set->slot);
	for (int i = 0; i < descriptor->natts; i++)
	{
		set->slot->tts_values[i] = row->tts_values[i];
		set->slot->tts_isnull[i] = row->tts_isnull[i];
		has_nulls |= row->tts_isnull[i];
	}
	ExecStoreVirtualTuple(set->slot);
	(void) LookupTupleHashEntry(set->table, set->slot, &is_new, NULL);
	ResetExprContext(set->expression);
	if (is_new)
	{
		tuplestore_puttupleslot(set->keys->store[has_nulls], set->slot);
		set->keys->count[has_nulls]++;
	}
}

/* The keys of the inner rows that come and go. */
static ViewKeys *
keyed_values(MaintainedView *view, ViewCycle *cycle)
{
	const ViewPlan *plan = view->plan;
	int count = plan->key_count;
	ViewKeys *keys = palloc0(sizeof(ViewKeys));
	AttrNumber *columns = palloc(count * sizeof(AttrNumber));
	Oid *collations = palloc(count * sizeof(Oid));
	EState *estate = CreateExecutorState();
	KeySet set = {.keys = keys, .expression = CreateExprContext(estate)};
	Oid *equal;
	FmgrInfo *hash;

	keys->descriptor = CreateTemplateTupleDesc(count);
	for (int i = 0; i < count; i++)
	{
		Node *key = (Node *) list_nth_node(TargetEntry, plan->inner->targetList, i)->expr;

		TupleDescInitEntry(keys->descriptor, i + 1, "key", exprType(key), exprTypmod(key), 0);
		TupleDescInitEntryCollation(keys->descriptor, i + 1, exprCollation(key));
		columns[i] = i + 1;
		collations[i] = exprCollation(key);
	}
	keys->store[0] = tuplestore_begin_heap(true, false, work_mem);
	keys->store[1] = tuplestore_begin_heap(true, false, work_mem);
	set.slot = MakeSingleTupleTableSlot(keys->descriptor, &TTSOpsVirtual);
	execTuplesHashPrepare(count, plan->key_equality, &equal, &hash);
	set.table = BuildTupleHashTableExt(
	    NULL, keys->descriptor, count, columns, equal, hash, collations, 256, 0,
	    CurrentMemoryContext, CurrentMemoryContext, set.expression->ecxt_per_tuple_memory, false);
	view_delta(view, cycle, keyed_value_row, &set);
	ExecDropSingleTupleTableSlot(set.slot);
	FreeExecutorState(estate);
	return keys;
}

/* What planned queries are expected to cost. */
static double
keyed_cost(PlannedStmt *planned)
{
	return planned->planTree->total_cost;
}

/* What it would cost to find the affected versions. */
static double
keyed_affected_cost(MaintainedView *view, ViewCycle *cycle)
{
	double cost = 0;
	ListCell *cell;

	foreach (cell, view->plan->blocks)
	{
		PlanBlock *block = lfirst(cell);

		for (int leaf = 0; leaf < list_length(block->leaves); leaf++)
		{
			for (int sign = -1; sign <= 1; sign += 2)
			{
				int64 count = keyed_changes(view, cycle, list_nth(block->leaves, leaf), sign);

				if (count > 0)
					cost +=
					    keyed_cost(view_block_query(view, cycle, 'a', block, leaf, sign, count));
			}
		}
	}
	return cost;
}

/*
 * Find the keys of the cycle's changes; false: it is cheaper to run the whole
 * query. The keys are the view's until keyed_end.
 */
bool
keyed_begin(MaintainedView *view, ViewCycle *cycle)
{
	double cost = keyed_affected_cost(view, cycle);
	ListCell *cell;
	int i = 0;

	view->versions = NIL;
	view->values = NULL;
	if (!choice_by_keys(view, cycle, cost))
		return false;
	foreach (cell, view->plan->blocks)
		view->versions = lappend(view->versions, keyed_versions(view, cycle, lfirst(cell)));
	foreach (cell, view->plan->blocks)
	{
		ViewKeys *keys = list_nth(view->versions, i++);

		if (keys->count[0] > 0)
			cost += 2 * keyed_cost(
			                view_block_query(view, cycle, 'r', lfirst(cell), 0, 1, keys->count[0]));
	}
	view->keyed_cost = cost;
	if (!choice_by_keys(view, cycle, cost))
		return false;
	if (!view->plan->by_key)
		return true;
	view->values = keyed_values(view, cycle);
	for (int with_nulls = 0; with_nulls < 2; with_nulls++)
		if (view->values->count[with_nulls] > 0)
			cost += 2 * keyed_cost(view_query(view, cycle, with_nulls ? 'h' : 'g', -1, 1,
			                                  view->values->count[with_nulls]));
	view->keyed_cost = cost;
	return choice_by_keys(view, cycle, cost);
}

/* The inner query's delta, after keyed_begin. */
void
keyed_delta(MaintainedView *view, ViewCycle *cycle, ViewRowReceiver row, void *context)
{
	keyed_block_rows(view, cycle, view->versions, row, context);
}

/* The view's delta, after keyed_begin; for views whose rows follow from keys. */
void
keyed_rows(MaintainedView *view, ViewCycle *cycle, ViewRowReceiver row, void *context)
{
	if (!view->plan->by_key)
	{
		keyed_delta(view, cycle, row, context);
		return;
	}
	for (int with_nulls = 0; with_nulls < 2; with_nulls++)
		if (view->values->count[with_nulls] > 0)
			keyed_run(view,
			          view_query(view, cycle, with_nulls ? 'h' : 'g', -1, 1,
			                     view->values->count[with_nulls]),
			          cycle, view->values, with_nulls, row, context);
}

/* Give back the stores of a set of keys. */
static void
keyed_free(ViewKeys *keys)
{
	for (int i = 0; i < 2; i++)
		if (keys->store[i])
			tuplestore_end(keys->store[i]);
}

/* Forget the keys of the cycle. */
void
keyed_end(MaintainedView *view)
{
	ListCell *cell;

	foreach (cell, view->versions)
		keyed_free(lfirst(cell));
	if (view->values)
		keyed_free(view->values);
	view->versions = NIL;
	view->values = NULL;
}
