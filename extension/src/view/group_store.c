/*-------------------------------------------------------------------------
 *
 * group_store.c
 *	  The hidden table of a grouped view, freshet.groups_<oid>: the states of
 *	  its groups.
 *
 * It has one row per group with at least one input row (a global aggregate
 * always has its one): the hash of the keys (indexed), the number of input
 * rows, the tid of the view's row (NULL where HAVING hides the group), the
 * keys, and per aggregate its state and the number of inputs in it. A row's
 * hash and keys never change, so it is updated without touching the index
 * wherever its page has room.
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
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "view/groups.h"

/* Columns of the hidden table before the keys. */
#define GROUP_HASH 0
#define GROUP_ROWS 1
#define GROUP_TID 2
#define GROUP_COLUMNS 3

/* Pages are filled so far (percent) that every row's next version fits beside it. */
#define GROUP_FILLFACTOR 45

/* Rows written by one multi-insert. */
#define STORE_BATCH 256

/* Open the hidden table of stored groups. */
void
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
	groups->state_slot = MakeSingleTupleTableSlot(RelationGetDescr(groups->hidden), &TTSOpsVirtual);
	places_concern(groups->view->places, groups->hidden, NULL);

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

/* Release it again. */
void
groups_close(Groups *groups)
{
	index_endscan(groups->scan);
	index_close(groups->index, NoLock);
	ExecDropSingleTupleTableSlot(groups->hidden_slot);
	ExecDropSingleTupleTableSlot(groups->state_slot);
	table_close(groups->hidden, NoLock);
	groups->hidden = NULL;
}

/* Bring what is stored of a group, in the slot of the hidden table, into memory. */
static void
groups_load_stored(Groups *groups, ViewGroup *group)
{
	TupleTableSlot *stored = groups->hidden_slot;
	int column = GROUP_COLUMNS + groups->keys;

	group->stored = true;
	group->state_tid = stored->tts_tid;
	group->rows = DatumGetInt64(stored->tts_values[GROUP_ROWS]);
	group->shown = !stored->tts_isnull[GROUP_TID];
	if (group->shown)
		group->view_tid = *(ItemPointer) DatumGetPointer(stored->tts_values[GROUP_TID]);
	for (int i = 0; i < groups->aggregates; i++, column += 2)
		aggregate_load(groups->view->program, i, &group->states[i], stored->tts_values[column],
		               stored->tts_isnull[column], DatumGetInt64(stored->tts_values[column + 1]));
}

/* Add what is stored of a group to states that do not have it yet. */
static void
groups_add_stored(Groups *groups, ViewGroup *group)
{
	Size size = groups->aggregates * sizeof(AggregateState);
	AggregateState *apart = palloc(Max(size, 1));
	int64 rows = group->rows;

	memcpy(apart, group->states, size);
	groups_load_stored(groups, group);
	group->rows += rows;
	if (!aggregate_combine(groups->view->program, group->states, apart))
		group->recompute = true;
	pfree(apart);
}

/* Is the row in the slot of the hidden table this group's? Then add it. */
static bool
groups_take(Groups *groups, ViewGroup *group)
{
	TupleTableSlot *stored = groups->hidden_slot;

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
			return false;
		if (groups->ambiguous)
			group->key = ExecCopySlotMinimalTuple(groups->stored_key);
	}
	groups_add_stored(groups, group);
	return true;
}

/*
 * Add what is stored of a group, if anything is: where it was written last, or
 * where the index leads. The stored image of its keys replaces the one it was
 * met with.
 */
void
groups_load(Groups *groups, ViewGroup *group)
{
	TupleTableSlot *stored = groups->hidden_slot;
	Place place;
	bool done = places_get(groups->view->places, group->hash, &place) &&
	            apply_read(groups->hidden, &place.tid, stored) && groups_take(groups, group);
	ScanKeyData scan_key;

	if (!done)
	{
		ScanKeyInit(&scan_key, 1, BTEqualStrategyNumber, F_INT4EQ,
		            Int32GetDatum((int32) group->hash));
		index_rescan(groups->scan, &scan_key, 1, NULL, 0);
	}
	while (!done && index_getnext_slot(groups->scan, ForwardScanDirection, stored))
		done = groups_take(groups, group);
	ExecClearTuple(stored);
}

/*
 * The groups were folded apart: add what is stored of them, by reading all of
 * that if they are a large part of it.
 */
void
groups_load_all(Groups *groups)
{
	TupleTableSlot *stored = groups->hidden_slot;
	TableScanDesc scan;
	ListCell *cell;

	groups->apart = false;
	if (list_length(groups->touched) / LOOKUPS_PER_PAGE < RelationGetNumberOfBlocks(groups->hidden))
	{
		foreach (cell, groups->touched)
		{
			CHECK_FOR_INTERRUPTS();
			groups_load(groups, lfirst(cell));
		}
		return;
	}
	scan = table_beginscan(groups->hidden, SnapshotSelf, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, stored))
	{
		ViewGroup *group;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(stored);
		groups_show_keys(groups, stored->tts_values + GROUP_COLUMNS,
		                 stored->tts_isnull + GROUP_COLUMNS);
		group = groups_find(groups, false);
		if (group)
			groups_add_stored(groups, group);
	}
	table_endscan(scan);
	ExecClearTuple(stored);
}

/* Put a group's state into a slot. */
static void
groups_state(Groups *groups, ViewGroup *group)
{
	TupleTableSlot *slot = groups->state_slot;
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

/* Does the group have a row in the hidden table? */
static bool
groups_kept(Groups *groups, ViewGroup *group)
{
	return group->rows > 0 || groups->view->plan->global;
}

/* A stored group's new version, for bulk_write. */
static MinimalTuple
groups_wanted_state(BulkRow *row, void *context)
{
	Groups *groups = context;
	ViewGroup *group = row->owner;

	if (!groups_kept(groups, group))
		return NULL;
	groups_state(groups, group);
	return ExecCopySlotMinimalTuple(groups->state_slot);
}

/* Have the index lead to a version of a group's row. */
static void
groups_index(Groups *groups, ViewGroup *group, ItemPointer tid)
{
	Datum value = Int32GetDatum((int32) group->hash);
	bool isnull = false;

	if (groups->index)
		index_insert(groups->index, &value, &isnull, tid, groups->hidden, UNIQUE_CHECK_NO, false,
		             groups->index_info);
}

/* Write one stored group by itself, for bulk_write. */
static void
groups_single_state(BulkRow *row, MinimalTuple wanted, void *context)
{
	Groups *groups = context;
	CommandId command = GetCurrentCommandId(true);
	TM_FailureData failure;
	TM_Result result;

	if (wanted == NULL)
	{
		row->fate = BULK_DELETED;
		result = table_tuple_delete(groups->hidden, &row->tid, command, SnapshotSelf,
		                            InvalidSnapshot, true, &failure, false);
	}
	else
	{
		LockTupleMode mode;
		bool update_indexes;

		row->fate = BULK_REPLACED;
		ExecForceStoreMinimalTuple(wanted, groups->hidden_slot, false);
		result = table_tuple_update(groups->hidden, &row->tid, groups->hidden_slot, command,
		                            SnapshotSelf, InvalidSnapshot, true, &failure, &mode,
		                            &update_indexes);
		if (result == TM_Ok && update_indexes)
			groups_index(groups, row->owner, &groups->hidden_slot->tts_tid);
		row->tid = groups->hidden_slot->tts_tid;
		ExecClearTuple(groups->hidden_slot);
	}
	if (result != TM_Ok)
		elog(ERROR, "could not write the state of a group");
}

/* Insert the states of groups that are kept and have no row. */
static void
groups_insert_states(Groups *groups)
{
	TupleTableSlot *slots[STORE_BATCH];
	ViewGroup *batch[STORE_BATCH];
	BulkInsertState bulk = GetBulkInsertState();
	MemoryContext scratch = groups->expression->ecxt_per_tuple_memory;
	int count = list_length(groups->touched);
	int made = 0;
	int waiting = 0;

	for (int i = 0; i <= count; i++)
	{
		ViewGroup *group = i < count ? list_nth(groups->touched, i) : NULL;
		MemoryContext old;

		if (waiting == STORE_BATCH || (i == count && waiting > 0))
		{
			CHECK_FOR_INTERRUPTS();
			old = MemoryContextSwitchTo(scratch);
			table_multi_insert(groups->hidden, slots, waiting, GetCurrentCommandId(true), 0, bulk);
			for (int j = 0; j < waiting; j++)
			{
				groups_index(groups, batch[j], &slots[j]->tts_tid);
				if (groups->index)
					places_put(groups->view->places, batch[j]->hash, &slots[j]->tts_tid, NULL);
				else
					places_put_unasked(groups->view->places, batch[j]->hash, &slots[j]->tts_tid,
					                   NULL);
				ExecClearTuple(slots[j]);
			}
			MemoryContextSwitchTo(old);
			ResetExprContext(groups->expression);
			waiting = 0;
		}
		if (group == NULL || group->stored || !groups_kept(groups, group))
			continue;
		if (waiting == made)
			slots[made++] = table_slot_create(groups->hidden, NULL);
		old = MemoryContextSwitchTo(scratch);
		groups_state(groups, group);
		ExecCopySlot(slots[waiting], groups->state_slot);
		MemoryContextSwitchTo(old);
		batch[waiting++] = group;
	}
	for (int i = 0; i < made; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	FreeBulkInsertState(bulk);
}

/* Store the states of the touched groups. */
void
groups_store(Groups *groups)
{
	BulkRow *rows =
	    palloc_extended(Max(list_length(groups->touched), 1) * sizeof(BulkRow), MCXT_ALLOC_HUGE);
	BulkWriter writer = {.relation = groups->hidden,
	                     .command = GetCurrentCommandId(true),
	                     .indexed = NULL,
	                     .wanted = groups_wanted_state,
	                     .single = groups_single_state,
	                     .context = groups};
	int count = 0;
	ListCell *cell;

	foreach (cell, groups->touched)
	{
		ViewGroup *group = lfirst(cell);

		if (!group->stored)
			continue;
		rows[count].tid = group->state_tid;
		rows[count++].owner = group;
	}
	bulk_write(&writer, rows, count);
	for (int i = 0; i < count; i++)
	{
		ViewGroup *group = rows[i].owner;

		if (rows[i].fate == BULK_DELETED)
		{
			group->stored = false;
			places_remove(groups->view->places, group->hash, &group->state_tid);
		}
		else
			places_put(groups->view->places, group->hash, &rows[i].tid, NULL);
	}
	pfree(rows);
	groups_insert_states(groups);
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

/* Make the hidden table anew, with the states of all groups; the index comes last. */
void
groups_create(Groups *groups)
{
	Oid view = groups->view->view;
	Oid hidden;

	hidden_drop("groups", view);
	hidden =
	    hidden_create("groups", view, groups_columns(groups, groups->view->plan), GROUP_FILLFACTOR);
	groups->hidden = table_open(hidden, RowExclusiveLock);
	places_concern(groups->view->places, groups->hidden, NULL);
	groups->state_slot = MakeSingleTupleTableSlot(RelationGetDescr(groups->hidden), &TTSOpsVirtual);
	groups_insert_states(groups);
	ExecDropSingleTupleTableSlot(groups->state_slot);
	table_close(groups->hidden, NoLock);
	groups->hidden = NULL;
	CommandCounterIncrement();
	hidden_create_index("groups", view, "hash");
}
