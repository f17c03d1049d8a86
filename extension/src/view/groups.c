/*-------------------------------------------------------------------------
 *
 * groups.c
 *	  Grouped views: one state per group, in freshet.groups_<oid>.
 *
 * A cycle folds the changes of the inner query into the states of the groups
 * they touch, computes groups anew whose states could not follow, and writes
 * the rows whose image changed. The hidden table has one row per group with at
 * least one input row (a global aggregate always has its one): the hash of the
 * keys (indexed), the number of input rows, the tid of the view's row (NULL
 * where HAVING hides the group), the keys, and per aggregate its state and the
 * number of inputs in it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "delta/image.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"
#include "view/view.h"

/* Columns of the hidden table before the keys. */
#define GROUP_HASH 0
#define GROUP_ROWS 1
#define GROUP_TID 2
#define GROUP_COLUMNS 3

/* One group touched by the cycle. */
typedef struct ViewGroup
{
	uint32 hash;
	bool stored;    /* has a row in the hidden table */
	bool shown;     /* has a row in the view */
	bool recompute; /* its states could not follow */
	bool refolding; /* rows of the recomputation were seen */
	int64 rows;
	ItemPointerData state_tid;
	ItemPointerData view_tid;
	MinimalTuple key;    /* the image of the keys that the view shows */
	MinimalTuple output; /* the view's row to be; NULL: none */
	AggregateState states[FLEXIBLE_ARRAY_MEMBER];
} ViewGroup;

typedef struct Groups
{
	MaintainedView *view;
	ViewCycle *cycle;
	ViewTarget *target;
	MemoryContext context; /* of this cycle and view */
	int keys;
	int aggregates;
	TupleHashTable table;
	bool ambiguous; /* keys may be equal and not the same image */
	TupleDesc key_descriptor;
	TupleTableSlot *key_slot;
	TupleTableSlot *stored_key; /* keys of a stored group */
	TupleTableSlot *group_key;  /* keys of a group in memory */
	List *touched;              /* of ViewGroup * */
	bool refold;                /* rows are those of groups computed anew */

	Relation hidden; /* NULL while rebuilding */
	Relation index;
	IndexInfo *index_info;
	IndexScanDesc scan;
	TupleTableSlot *hidden_slot;
	ExprState *key_equal;
	ExprContext *expression;

	/* output */
	EState *estate;
	TupleTableSlot *group_slot; /* keys and results */
	ProjectionInfo *projection;
	ExprState *having;
	TupleTableSlot *output_slot;
} Groups;

/* Attributes of the view that are group keys as they are. */
static AttrNumber *
groups_key_attributes(const ViewPlan *plan, int *count)
{
	AttrNumber *result = palloc(Max(plan->key_count, 1) * sizeof(AttrNumber));
	ListCell *cell;

	*count = 0;
	for (int key = 1; key <= plan->key_count; key++)
	{
		foreach (cell, plan->output)
		{
			TargetEntry *entry = lfirst_node(TargetEntry, cell);

			if (IsA(entry->expr, Var) && ((Var *) entry->expr)->varattno == key)
			{
				result[(*count)++] = entry->resno;
				break;
			}
		}
	}
	/* a key that is not shown: rows of two groups can look alike */
	if (*count < plan->key_count)
		*count = 0;
	return result;
}

/* Does the equality of every key imply the same image? */
bool
groups_keys_ambiguous(const ViewPlan *plan)
{
	ListCell *cell;
	int i = 0;

	foreach (cell, plan->inner->targetList)
	{
		Node *expression = (Node *) lfirst_node(TargetEntry, cell)->expr;

		if (i++ == plan->key_count)
			break;
		if (!plan_equality_decides_image(expression))
			return true;
	}
	return false;
}

/* Prepare for folding rows into groups. */
static Groups *
groups_begin(MaintainedView *view, ViewCycle *cycle, ViewTarget *target)
{
	Groups *groups = palloc0(sizeof(Groups));
	const ViewPlan *plan = view->plan;
	int keys = plan->key_count;
	AttrNumber *columns = palloc(Max(keys, 1) * sizeof(AttrNumber));
	Oid *equal = palloc(Max(keys, 1) * sizeof(Oid));
	Oid *collations = palloc(Max(keys, 1) * sizeof(Oid));
	FmgrInfo *hash = NULL;
	TupleDesc group_descriptor;
	ListCell *cell;
	int i = 0;

	groups->view = view;
	groups->cycle = cycle;
	groups->target = target;
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
	groups->ambiguous = groups_keys_ambiguous(plan);

	groups->estate = CreateExecutorState();
	groups->expression = CreateExprContext(groups->estate);
	groups->table = BuildTupleHashTableExt(
	    NULL, groups->key_descriptor, keys, columns, equal, hash, collations, 256,
	    offsetof(ViewGroup, states) + groups->aggregates * sizeof(AggregateState), groups->context,
	    groups->context, groups->expression->ecxt_per_tuple_memory, false);

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
	aggregate_begin(view->program, groups->context);
	return groups;
}

/* Open the hidden table of stored groups. */
static void
groups_open(Groups *groups)
{
	Oid hidden = hidden_relation("groups", groups->view->view);
	Oid *equal;
	AttrNumber *columns = palloc(Max(groups->keys, 1) * sizeof(AttrNumber));
	Oid *collations = palloc(Max(groups->keys, 1) * sizeof(Oid));

	if (!OidIsValid(hidden))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
		                errmsg("hidden state of materialized view \"%s\" is missing",
		                       RelationGetRelationName(groups->target->relation))));
	groups->hidden = table_open(hidden, RowExclusiveLock);
	groups->index = index_open(hidden_index(hidden), RowExclusiveLock);
	groups->index_info = BuildIndexInfo(groups->index);
	groups->scan = index_beginscan(groups->hidden, groups->index, SnapshotSelf, 1, 0);
	groups->hidden_slot = table_slot_create(groups->hidden, NULL);

	if (groups->keys > 0)
	{
		equal = palloc(groups->keys * sizeof(Oid));
		for (int i = 0; i < groups->keys; i++)
		{
			columns[i] = i + 1;
			collations[i] = TupleDescAttr(groups->key_descriptor, i)->attcollation;
			equal[i] = get_opcode(groups->view->plan->key_equality[i]);
		}
		groups->key_equal = ExecBuildGroupingEqual(groups->key_descriptor, groups->key_descriptor,
		                                           &TTSOpsMinimalTuple, &TTSOpsMinimalTuple,
		                                           groups->keys, columns, equal, collations, NULL);
	}
}

/* Release everything. */
static void
groups_end(Groups *groups)
{
	if (groups->hidden)
	{
		index_endscan(groups->scan);
		index_close(groups->index, NoLock);
		ExecDropSingleTupleTableSlot(groups->hidden_slot);
		table_close(groups->hidden, NoLock);
	}
	ExecDropSingleTupleTableSlot(groups->key_slot);
	ExecDropSingleTupleTableSlot(groups->stored_key);
	ExecDropSingleTupleTableSlot(groups->group_key);
	ExecDropSingleTupleTableSlot(groups->group_slot);
	ExecDropSingleTupleTableSlot(groups->output_slot);
	FreeExecutorState(groups->estate);
}

/* Show the keys of a row of the inner query in the key slot. */
static void
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

/*
 * Bring a group that the cycle touches for the first time into memory. The
 * stored image of its keys replaces the one it was met with.
 */
static void
groups_load(Groups *groups, ViewGroup *group)
{
	TupleTableSlot *stored = groups->hidden_slot;
	ScanKeyData scan_key;

	if (groups->hidden == NULL)
		return;
	ScanKeyInit(&scan_key, 1, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum((int32) group->hash));
	index_rescan(groups->scan, &scan_key, 1, NULL, 0);
	while (index_getnext_slot(groups->scan, ForwardScanDirection, stored))
	{
		int column = GROUP_COLUMNS + groups->keys;

		slot_getallattrs(stored);
		if (groups->keys > 0)
		{
			groups_show_keys(groups, stored->tts_values + GROUP_COLUMNS,
			                 stored->tts_isnull + GROUP_COLUMNS);
			ExecCopySlot(groups->stored_key, groups->key_slot);
			ExecStoreMinimalTuple(group->key, groups->group_key, false);
			groups->expression->ecxt_innertuple = groups->stored_key;
			groups->expression->ecxt_outertuple = groups->group_key;
			if (!ExecQualAndReset(groups->key_equal, groups->expression))
				continue;
			if (groups->ambiguous)
				group->key = ExecCopySlotMinimalTuple(groups->stored_key);
		}
		group->stored = true;
		group->state_tid = stored->tts_tid;
		group->rows = DatumGetInt64(stored->tts_values[GROUP_ROWS]);
		group->shown = !stored->tts_isnull[GROUP_TID];
		if (group->shown)
			group->view_tid = *(ItemPointer) DatumGetPointer(stored->tts_values[GROUP_TID]);
		for (int i = 0; i < groups->aggregates; i++, column += 2)
			aggregate_load(groups->view->program, i, &group->states[i], stored->tts_values[column],
			               stored->tts_isnull[column],
			               DatumGetInt64(stored->tts_values[column + 1]));
		break;
	}
	ExecClearTuple(stored);
}

/* The group of the keys in the key slot; NULL if it is not there and not made. */
static ViewGroup *
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
static void
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
	else if (!group->recompute && groups->ambiguous && groups->keys > 0 && groups->hidden != NULL &&
	         !groups_key_stays(groups, group, row, sign))
		group->recompute = true;

	group->rows += sign;
	if (group->recompute && !groups->refold)
		return;
	if (!aggregate_change(groups->view->program, group->states, row, sign,
	                      groups->refold || groups->hidden == NULL))
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
		delta_execute(view_query(groups->view, groups->cycle, with_nulls ? 'n' : 'k', -1, 1,
		                         counts[with_nulls]),
		              groups->cycle->new_cut, environment, groups_query_row, groups);
		tuplestore_end(stores[with_nulls]);
	}
	groups->refold = false;
}

/* Compute a group's row of the view; leaves group->output NULL if it has none. */
static void
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

/* Put a group's state into the slot of the hidden table. */
static void
groups_state(Groups *groups, ViewGroup *group)
{
	TupleTableSlot *slot = groups->hidden_slot;
	int column = GROUP_COLUMNS + groups->keys;

	ExecClearTuple(slot);
	slot->tts_values[GROUP_HASH] = Int32GetDatum((int32) group->hash);
	slot->tts_values[GROUP_ROWS] = Int64GetDatum(group->rows);
	slot->tts_values[GROUP_TID] = PointerGetDatum(&group->view_tid);
	slot->tts_isnull[GROUP_HASH] = slot->tts_isnull[GROUP_ROWS] = false;
	slot->tts_isnull[GROUP_TID] = !group->shown;
	ExecStoreMinimalTuple(group->key, groups->group_key, false);
	slot_getallattrs(groups->group_key);
	memcpy(slot->tts_values + GROUP_COLUMNS, groups->group_key->tts_values,
	       groups->keys * sizeof(Datum));
	memcpy(slot->tts_isnull + GROUP_COLUMNS, groups->group_key->tts_isnull,
	       groups->keys * sizeof(bool));
	for (int i = 0; i < groups->aggregates; i++, column += 2)
	{
		slot->tts_values[column] =
		    aggregate_store(groups->view->program, i, &group->states[i], &slot->tts_isnull[column]);
		slot->tts_values[column + 1] = Int64GetDatum(group->states[i].count);
		slot->tts_isnull[column + 1] = false;
	}
	ExecStoreVirtualTuple(slot);
}

/* Write a group's row of the hidden table. */
static void
groups_write_state(Groups *groups, ViewGroup *group, BulkInsertState bulk)
{
	CommandId command = GetCurrentCommandId(true);
	TM_FailureData failure;
	LockTupleMode mode;
	bool update_indexes = true;
	MemoryContext old = MemoryContextSwitchTo(groups->expression->ecxt_per_tuple_memory);

	if (group->rows == 0 && !groups->view->plan->global)
	{
		if (group->stored &&
		    table_tuple_delete(groups->hidden, &group->state_tid, command, SnapshotSelf,
		                       InvalidSnapshot, true, &failure, false) != TM_Ok)
			elog(ERROR, "could not delete the state of a group");
		MemoryContextSwitchTo(old);
		return;
	}
	groups_state(groups, group);
	if (!group->stored)
		table_tuple_insert(groups->hidden, groups->hidden_slot, command, 0, bulk);
	else if (table_tuple_update(groups->hidden, &group->state_tid, groups->hidden_slot, command,
	                            SnapshotSelf, InvalidSnapshot, true, &failure, &mode,
	                            &update_indexes) != TM_Ok)
		elog(ERROR, "could not update the state of a group");
	if (update_indexes && groups->index)
	{
		Datum value = Int32GetDatum((int32) group->hash);
		bool isnull = false;

		index_insert(groups->index, &value, &isnull, &groups->hidden_slot->tts_tid, groups->hidden,
		             UNIQUE_CHECK_NO, false, groups->index_info);
	}
	ExecClearTuple(groups->hidden_slot);
	MemoryContextSwitchTo(old);
	ResetExprContext(groups->expression);
}

/* Write what became of the touched groups. */
static void
groups_write(Groups *groups)
{
	ViewTarget *target = groups->target;
	TupleTableSlot *wanted =
	    MakeSingleTupleTableSlot(RelationGetDescr(target->relation), &TTSOpsMinimalTuple);
	int fixed_count;
	AttrNumber *fixed = groups_key_attributes(groups->view->plan, &fixed_count);
	bool in_place = apply_update_in_place(target, fixed_count, fixed);
	BulkInsertState bulk = GetBulkInsertState();
	ListCell *cell;

	/* deletions first: unique indexes of users must not see old and new at once */
	foreach (cell, groups->touched)
	{
		ViewGroup *group = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		groups_output(groups, group);
		if (!group->shown)
			continue;
		if (group->output != NULL)
		{
			ExecStoreMinimalTuple(group->output, wanted, false);
			if (image_equal(apply_fetch(target, &group->view_tid), wanted))
			{
				group->output = NULL;
				continue;
			}
			if (in_place)
				continue;
		}
		apply_delete(target, &group->view_tid);
		group->shown = false;
	}
	foreach (cell, groups->touched)
	{
		ViewGroup *group = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (group->output != NULL)
		{
			ExecStoreMinimalTuple(group->output, wanted, false);
			if (group->shown)
				apply_update(target, &group->view_tid, wanted, &group->view_tid);
			else
				apply_insert_now(target, wanted, &group->view_tid);
			group->shown = true;
		}
		groups_write_state(groups, group, bulk);
	}
	FreeBulkInsertState(bulk);
	ExecDropSingleTupleTableSlot(wanted);
}

/* Bring a grouped view from the old cut to the new one. */
void
groups_follow(MaintainedView *view, ViewCycle *cycle, ViewTarget *target, ViewOutcome *outcome)
{
	Groups *groups = groups_begin(view, cycle, target);
	ListCell *cell;
	bool recompute = false;

	groups_open(groups);
	view_delta(view, cycle, groups_row, groups);
	foreach (cell, groups->touched)
		recompute |= ((ViewGroup *) lfirst(cell))->recompute;
	if (recompute)
		groups_recompute(groups);
	groups_write(groups);
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

/* The column list of a grouped view's hidden table. */
static char *
groups_columns(const Groups *groups, const ViewPlan *plan)
{
	StringInfoData columns;
	ListCell *cell;
	int i = 0;

	initStringInfo(&columns);
	appendStringInfoString(&columns, "hash int4 NOT NULL, rows int8 NOT NULL, t tid");
	for (i = 0; i < groups->keys; i++)
		appendStringInfo(&columns, ", k%d %s", i + 1,
		                 format_type_extended(TupleDescAttr(groups->key_descriptor, i)->atttypid,
		                                      -1, FORMAT_TYPE_FORCE_QUALIFY));
	i = 0;
	foreach (cell, plan->aggregates)
	{
		PlanAggregate *aggregate = lfirst(cell);

		i++;
		appendStringInfo(
		    &columns, ", s%d %s, c%d int8 NOT NULL", i,
		    format_type_extended(aggregate->stored_type, -1, FORMAT_TYPE_FORCE_QUALIFY), i);
	}
	return columns.data;
}

/* Compute a grouped view and its hidden state from nothing. */
void
groups_rebuild(MaintainedView *view, ViewCycle *cycle, ViewTarget *target, ViewOutcome *outcome)
{
	Groups *groups = groups_begin(view, cycle, target);
	Rebuild *rebuild = rebuild_begin(target);
	TupleTableSlot *row =
	    MakeSingleTupleTableSlot(RelationGetDescr(target->relation), &TTSOpsMinimalTuple);
	BulkInsertState bulk;
	ListCell *cell;
	int64 ordinal = 0;

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

	hidden_drop("groups", view->view);
	groups->hidden =
	    table_open(hidden_create("groups", view->view, groups_columns(groups, view->plan), 45),
	               RowExclusiveLock);
	groups->hidden_slot = table_slot_create(groups->hidden, NULL);
	bulk = GetBulkInsertState();
	foreach (cell, groups->touched)
	{
		CHECK_FOR_INTERRUPTS();
		groups_write_state(groups, lfirst(cell), bulk);
	}
	FreeBulkInsertState(bulk);
	ExecDropSingleTupleTableSlot(groups->hidden_slot);
	table_close(groups->hidden, NoLock);
	groups->hidden = NULL;
	CommandCounterIncrement();
	hidden_create_index("groups", view->view, "hash");
	target->estate->es_output_cid = GetCurrentCommandId(true);
	ExecDropSingleTupleTableSlot(row);
	groups_end(groups);
}
