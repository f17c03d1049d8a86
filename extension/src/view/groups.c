/*-------------------------------------------------------------------------
 *
 * groups.c
 *	  Grouped views: one state per group, kept by group_store.c or shown by the
 *	  view's own rows (group_shown.c).
 *
 * A cycle folds the changes of the inner query into the states of the groups
 * they touch, computes groups anew whose states could not follow, and writes
 * the rows whose image changed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "catalog/pg_type.h"
#include "delta/image.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"
#include "view/groups.h"

/* So many rows that came, and none that went, are folded by themselves first. */
#define FOLD_APART_ROWS 4096

/* Attributes of the view that are group keys as they are. */
static AttrNumber *
groups_key_attributes(const ViewPlan *plan, int *count)
{
	AttrNumber *result = palloc(Max(plan->key_count, 1) * sizeof(AttrNumber));

	*count = 0;
	for (int key = 1; key <= plan->key_count; key++)
	{
		AttrNumber column = plan_output_column(plan, key);

		if (column != 0)
			result[(*count)++] = column;
	}
	/* a key that is not shown: rows of two groups can look alike */
	if (*count < plan->key_count)
		*count = 0;
	return result;
}

/*
 * Prepare for folding rows into groups, in the current memory context. apart:
 * without what is stored of them, so far.
 */
Groups *
groups_begin(MaintainedView *view, bool apart)
{
	Groups *groups = palloc0(sizeof(Groups));
	const ViewPlan *plan = view->plan;
	int keys = plan->key_count;
	AttrNumber *columns = palloc(Max(keys, 1) * sizeof(AttrNumber));
	Oid *equal = palloc(Max(keys, 1) * sizeof(Oid));
	Oid *collations = palloc(Max(keys, 1) * sizeof(Oid));
	FmgrInfo *hash = NULL;
	ListCell *cell;
	int i = 0;

	groups->view = view;
	groups->apart = apart;
	groups->context = CurrentMemoryContext;
	groups->keys = keys;
	groups->aggregates = list_length(plan->aggregates);
	groups->key_descriptor = CreateTemplateTupleDesc(Max(keys, 1));
	if (keys == 0)
		TupleDescInitEntry(groups->key_descriptor, 1, "k1", BOOLOID, -1, 0);
	foreach (cell, plan->inner->targetList)
	{
		Node *expression = (Node *) lfirst_node(TargetEntry, cell)->expr;

		if (i == keys)
			break;
		TupleDescInitEntry(groups->key_descriptor, i + 1, "key", exprType(expression),
		                   exprTypmod(expression), 0);
		TupleDescInitEntryCollation(groups->key_descriptor, i + 1, exprCollation(expression));
		columns[i] = i + 1;
		collations[i] = exprCollation(expression);
		i++;
	}
	execTuplesHashPrepare(keys, plan->key_equality, &equal, &hash);
	groups->key_slot = MakeSingleTupleTableSlot(groups->key_descriptor, &TTSOpsVirtual);
	groups->stored_key = MakeSingleTupleTableSlot(groups->key_descriptor, &TTSOpsMinimalTuple);
	groups->group_key = MakeSingleTupleTableSlot(groups->key_descriptor, &TTSOpsMinimalTuple);
	groups->ambiguous = plan_keys_ambiguous(plan);

	groups->estate = CreateExecutorState();
	groups->expression = CreateExprContext(groups->estate);
	groups->table = BuildTupleHashTableExt(
	    NULL, groups->key_descriptor, keys, columns, equal, hash, collations, 256,
	    offsetof(ViewGroup, states) + groups->aggregates * sizeof(AggregateState), groups->context,
	    groups->context, groups->expression->ecxt_per_tuple_memory, false);

	aggregate_begin(view->program, groups->context);
	return groups;
}

/* Prepare for writing the groups: the cycle's cut comes, and the view is open. */
static void
groups_attach(Groups *groups, ViewCycle *cycle, ViewTarget *target)
{
	const ViewPlan *plan = groups->view->plan;
	MemoryContext old = MemoryContextSwitchTo(groups->context);
	int keys = groups->keys;
	TupleDesc group_descriptor;
	ListCell *cell;
	int i;

	groups->cycle = cycle;
	groups->target = target;
	group_descriptor = CreateTemplateTupleDesc(Max(keys + groups->aggregates, 1));
	if (keys + groups->aggregates == 0)
		TupleDescInitEntry(group_descriptor, 1, "none", BOOLOID, -1, 0);
	for (i = 0; i < keys; i++)
		TupleDescCopyEntry(group_descriptor, i + 1, groups->key_descriptor, i + 1);
	foreach (cell, plan->aggregates)
	{
		Aggref *aggref = ((PlanAggregate *) lfirst(cell))->aggref;

		TupleDescInitEntry(group_descriptor, i + 1, "aggregate", aggref->aggtype, -1, 0);
		TupleDescInitEntryCollation(group_descriptor, i + 1, aggref->aggcollid);
		i++;
	}
	groups->group_slot = MakeSingleTupleTableSlot(group_descriptor, &TTSOpsVirtual);
	groups->output_slot =
	    MakeSingleTupleTableSlot(RelationGetDescr(target->relation), &TTSOpsVirtual);
	groups->expression->ecxt_scantuple = groups->group_slot;
	groups->projection =
	    ExecBuildProjectionInfo((List *) expression_planner((Expr *) copyObject(plan->output)),
	                            groups->expression, groups->output_slot, NULL, group_descriptor);
	if (plan->having)
		groups->having =
		    ExecPrepareQual(make_ands_implicit((Expr *) copyObject(plan->having)), groups->estate);
	aggregate_begin(groups->view->program, groups->context);
	MemoryContextSwitchTo(old);
}

/* Release everything. */
static void
groups_end(Groups *groups)
{
	if (groups->hidden)
		groups_close(groups);
	ExecDropSingleTupleTableSlot(groups->key_slot);
	ExecDropSingleTupleTableSlot(groups->stored_key);
	ExecDropSingleTupleTableSlot(groups->group_key);
	if (groups->target)
	{
		ExecDropSingleTupleTableSlot(groups->group_slot);
		ExecDropSingleTupleTableSlot(groups->output_slot);
	}
	FreeExecutorState(groups->estate);
}

/* Show the keys of a row of the inner query in the key slot. */
void
groups_show_keys(Groups *groups, Datum *values, bool *isnull)
{
	TupleTableSlot *slot = groups->key_slot;

	ExecClearTuple(slot);
	if (groups->keys > 0)
	{
		memcpy(slot->tts_values, values, groups->keys * sizeof(Datum));
		memcpy(slot->tts_isnull, isnull, groups->keys * sizeof(bool));
	}
	else
		slot->tts_isnull[0] = true;
	ExecStoreVirtualTuple(slot);
}

/* The group of the keys in the key slot; NULL if it is not there and not made. */
ViewGroup *
groups_find(Groups *groups, bool make)
{
	MemoryContext old;
	TupleHashEntry entry;
	ViewGroup *group;
	bool is_new;
	uint32 hash;

	entry = LookupTupleHashEntry(groups->table, groups->key_slot, make ? &is_new : NULL, &hash);
	ResetExprContext(groups->expression);
	if (entry == NULL)
		return NULL;
	if (!make || !is_new)
		return entry->additional;

	old = MemoryContextSwitchTo(groups->context);
	group = palloc0(offsetof(ViewGroup, states) + groups->aggregates * sizeof(AggregateState));
	entry->additional = group;
	group->hash = hash;
	group->key = entry->firstTuple;
	aggregate_initialize(groups->view->program, group->states);
	if (!groups->apart)
		groups_load(groups, group);
	groups->touched = lappend(groups->touched, group);
	MemoryContextSwitchTo(old);
	return group;
}

/*
 * Where keys can be equal and not the same image: may this row leave the image
 * that the view shows as it is?
 */
static bool
groups_key_stays(Groups *groups, ViewGroup *group, TupleTableSlot *row, int sign)
{
	bool same;

	groups_show_keys(groups, row->tts_values, row->tts_isnull);
	ExecStoreMinimalTuple(group->key, groups->group_key, false);
	same = image_equal(groups->key_slot, groups->group_key);
	return sign > 0 ? same : !same;
}

/* Fold one row of the inner query into its group. */
void
groups_row(TupleTableSlot *row, int sign, void *argument)
{
	Groups *groups = argument;
	ViewGroup *group;

	slot_getallattrs(row);
	groups_show_keys(groups, row->tts_values, row->tts_isnull);
	group = groups_find(groups, !groups->refold);
	if (groups->refold)
	{
		if (group == NULL || !group->recompute)
			return;
		if (!group->refolding && groups->ambiguous && groups->keys > 0)
		{
			MemoryContext old = MemoryContextSwitchTo(groups->context);

			group->key = ExecCopySlotMinimalTuple(groups->key_slot);
			MemoryContextSwitchTo(old);
		}
		group->refolding = true;
	}
	else if (!group->recompute && groups->ambiguous && groups->keys > 0 && !groups->apart &&
	         !groups_key_stays(groups, group, row, sign))
		group->recompute = true;

	group->rows += sign;
	if (group->recompute && !groups->refold)
		return;
	if (!aggregate_change(groups->view->program, group->states, row, sign,
	                      groups->refold || groups->apart))
		group->recompute = true;
}

/* Likewise, as the receiver of a whole query. */
static void
groups_query_row(TupleTableSlot *row, void *argument)
{
	groups_row(row, 1, argument);
}

/* Compute the groups anew whose states could not follow. */
static void
groups_recompute(Groups *groups)
{
	Tuplestorestate *stores[2] = {NULL, NULL};
	int64 counts[2] = {0, 0};
	ListCell *cell;

	foreach (cell, groups->touched)
	{
		ViewGroup *group = lfirst(cell);
		bool has_nulls = false;

		if (!group->recompute)
			continue;
		group->rows = 0;
		aggregate_initialize(groups->view->program, group->states);
		ExecStoreMinimalTuple(group->key, groups->group_key, false);
		slot_getallattrs(groups->group_key);
		for (int i = 0; i < groups->keys; i++)
			has_nulls |= groups->group_key->tts_isnull[i];
		if (stores[has_nulls] == NULL)
			stores[has_nulls] = tuplestore_begin_heap(true, false, work_mem);
		tuplestore_puttupleslot(stores[has_nulls], groups->group_key);
		counts[has_nulls]++;
	}

	groups->refold = true;
	for (int with_nulls = 0; with_nulls < 2; with_nulls++)
	{
		QueryEnvironment *environment;

		if (stores[with_nulls] == NULL)
			continue;
		environment = create_queryEnv();
		delta_register(environment, PLAN_KEYS_NAME, groups->key_descriptor, stores[with_nulls],
		               counts[with_nulls]);
		delta_execute_at(view_query(groups->view, groups->cycle, with_nulls ? 'n' : 'k', -1, 1,
		                            counts[with_nulls]),
		                 groups->cycle->new_cut, groups->view->new_time_ms,
		                 groups->view->new_time_ms, environment, groups_query_row, groups);
		tuplestore_end(stores[with_nulls]);
	}
	groups->refold = false;
}

/* Compute a group's row of the view; leaves group->output NULL if it has none. */
void
groups_output(Groups *groups, ViewGroup *group)
{
	TupleTableSlot *slot = groups->group_slot;
	MemoryContext old;

	if (group->rows < 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
		                errmsg("hidden state of materialized view \"%s\" is inconsistent",
		                       RelationGetRelationName(groups->target->relation)),
		                errdetail("A group has %lld rows.", (long long) group->rows)));
	group->output = NULL;
	if (group->rows == 0 && !groups->view->plan->global)
		return;

	ResetExprContext(groups->expression);
	old = MemoryContextSwitchTo(groups->expression->ecxt_per_tuple_memory);
	ExecStoreMinimalTuple(group->key, groups->group_key, false);
	slot_getallattrs(groups->group_key);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, groups->group_key->tts_values, groups->keys * sizeof(Datum));
	memcpy(slot->tts_isnull, groups->group_key->tts_isnull, groups->keys * sizeof(bool));
	aggregate_results(groups->view->program, group->states, slot->tts_values + groups->keys,
	                  slot->tts_isnull + groups->keys);
	ExecStoreVirtualTuple(slot);
	MemoryContextSwitchTo(old);

	groups->expression->ecxt_scantuple = slot;
	if (groups->having && !ExecQual(groups->having, groups->expression))
		return;
	ExecProject(groups->projection);
	old = MemoryContextSwitchTo(groups->context);
	group->output = ExecCopySlotMinimalTuple(groups->output_slot);
	MemoryContextSwitchTo(old);
}

/* A shown group's row as it is to be, for apply_bulk. */
static MinimalTuple
groups_wanted_output(BulkRow *row, void *context)
{
	return ((ViewGroup *) row->owner)->output;
}

/* Write what became of the touched groups. */
static void
groups_write(Groups *groups)
{
	ViewTarget *target = groups->target;
	TupleTableSlot *wanted =
	    MakeSingleTupleTableSlot(RelationGetDescr(target->relation), &TTSOpsMinimalTuple);
	BulkRow *rows =
	    palloc_extended(Max(list_length(groups->touched), 1) * sizeof(BulkRow), MCXT_ALLOC_HUGE);
	int count = 0;
	int fixed_count;
	AttrNumber *fixed = groups_key_attributes(groups->view->plan, &fixed_count);
	ListCell *cell;

	/* deletions first: unique indexes of users must not see old and new at once */
	foreach (cell, groups->touched)
	{
		ViewGroup *group = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		groups_output(groups, group);
		if (!group->shown)
			continue;
		rows[count].tid = group->view_tid;
		rows[count++].owner = group;
	}
	apply_bulk(target, rows, count, apply_update_in_place(target, fixed_count, fixed), NULL,
	           groups_wanted_output, groups);
	for (int i = 0; i < count; i++)
	{
		ViewGroup *group = rows[i].owner;

		group->shown = rows[i].fate != BULK_DELETED;
		if (!group->shown)
			continue;
		group->view_tid = rows[i].tid;
		group->output = NULL;
	}
	foreach (cell, groups->touched)
	{
		ViewGroup *group = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (group->output == NULL)
			continue;
		ExecStoreMinimalTuple(group->output, wanted, false);
		apply_insert_placed(target, wanted, &group->view_tid);
		group->shown = true;
	}
	apply_flush(target);
	groups_store(groups);
	pfree(rows);
	ExecDropSingleTupleTableSlot(wanted);
}

/*
 * Fold the cycle's changes. Many rows are folded without what is stored of their
 * groups, which is then needed but once; if some went, only where that can be.
 */
static void
groups_fold(Groups *groups)
{
	MaintainedView *view = groups->view;
	int64 plus = 0;
	int64 minus = 0;
	ListCell *cell;

	foreach (cell, view->plan->leaves)
	{
		RelationChange *change = delta_change(((PlanLeaf *) lfirst(cell))->relid);

		if (change == NULL)
			continue;
		plus += change->plus_count;
		minus += change->minus_count;
	}
	groups->apart =
	    groups->touched == NIL && plus + minus >= FOLD_APART_ROWS && !groups->ambiguous &&
	    (minus == 0 ? aggregate_combinable(view->program) : aggregate_linear(view->program));
	view_delta(view, groups->cycle, groups_row, groups);
	if (groups->apart)
		groups_load_all(groups);
}

/* Groups of loads that were folded while they ran, and count now. */
static List *
groups_taken(MaintainedView *view)
{
	List *result = NIL;
	ListCell *cell;

	foreach (cell, view->plan->leaves)
	{
		RelationChange *change = delta_change(((PlanLeaf *) lfirst(cell))->relid);

		if (change != NULL && change->ahead != NIL)
			result = list_concat(result, ahead_groups(view, change));
	}
	return result;
}

/* Add groups that were folded apart, of rows that came. */
static void
groups_absorb(Groups *groups, Groups *more)
{
	ListCell *cell;

	foreach (cell, more->touched)
	{
		ViewGroup *other = lfirst(cell);
		ViewGroup *group;

		CHECK_FOR_INTERRUPTS();
		ExecStoreMinimalTuple(other->key, groups->group_key, false);
		slot_getallattrs(groups->group_key);
		groups_show_keys(groups, groups->group_key->tts_values, groups->group_key->tts_isnull);
		group = groups_find(groups, true);
		group->rows += other->rows;
		if (!group->recompute &&
		    !aggregate_combine(groups->view->program, group->states, other->states))
			group->recompute = true;
	}
}

/* Bring a grouped view from the old cut to the new one. */
void
groups_follow(MaintainedView *view, ViewCycle *cycle, ViewTarget *target)
{
	List *taken = groups_taken(view);
	bool shown = view->plan->shown;
	Groups *groups = taken ? linitial(taken) : groups_begin(view, shown);
	ListCell *cell;
	bool recompute = false;

	groups_attach(groups, cycle, target);
	if (!shown)
	{
		groups_open(groups);
		if (taken)
			groups_load_all(groups);
	}
	for_each_from(cell, taken, 1) groups_absorb(groups, lfirst(cell));
	if (shown)
	{
		view_delta(view, cycle, groups_row, groups);
		groups_write_shown(groups);
	}
	else
	{
		groups_fold(groups);
		foreach (cell, groups->touched)
			recompute |= ((ViewGroup *) lfirst(cell))->recompute;
		if (recompute)
			groups_recompute(groups);
		groups_write(groups);
	}
	groups_end(groups);
}

/* Where a wanted row of a rebuild came to be. */
static void
groups_placed(int64 ordinal, ItemPointer tid, void *argument)
{
	Groups *groups = argument;
	ViewGroup *group = list_nth(groups->touched, (int) ordinal);

	group->view_tid = *tid;
	group->shown = true;
}

/* Compute a grouped view and its hidden state from nothing. */
void
groups_rebuild(MaintainedView *view, ViewCycle *cycle, ViewTarget *target, ViewOutcome *outcome)
{
	Groups *groups = groups_begin(view, true);
	Rebuild *rebuild = rebuild_begin(target);
	TupleTableSlot *row =
	    MakeSingleTupleTableSlot(RelationGetDescr(target->relation), &TTSOpsMinimalTuple);
	ListCell *cell;
	int64 ordinal = 0;

	groups_attach(groups, cycle, target);
	outcome->rows_in += delta_execute(view_query(view, cycle, 'i', -1, 1, 0), cycle->new_cut, NULL,
	                                  groups_query_row, groups);
	if (view->plan->global && groups->touched == NIL)
	{
		groups_show_keys(groups, NULL, NULL);
		groups_find(groups, true);
	}
	foreach (cell, groups->touched)
	{
		ViewGroup *group = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		groups_output(groups, group);
		if (group->output != NULL)
		{
			ExecStoreMinimalTuple(group->output, row, false);
			rebuild_row(rebuild, row, ordinal);
		}
		ordinal++;
	}
	rebuild_end(rebuild, groups_placed, groups);

	groups_create(groups);
	target->estate->es_output_cid = GetCurrentCommandId(true);
	ExecDropSingleTupleTableSlot(row);
	groups_end(groups);
}
