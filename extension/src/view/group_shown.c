/*-------------------------------------------------------------------------
 *
 * group_shown.c
 *	  Groups whose states are what the view's own rows show (plan->shown).
 *
 * A cycle's changes are folded into the differences of the groups' states. The
 * groups' rows are found by their keys with the view's locator, and visited page
 * by page: a row is read, the difference is added to what it shows, and the sum
 * is written in its place. So nothing is kept of a group but its row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "delta/image.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "view/groups.h"

/* So many groups ahead, remembered places are brought into the cache. */
#define PREFETCH_GROUPS 8

/* A group with a difference. */
typedef struct ShownGroup
{
	ViewGroup *group;
	Place where; /* of its row; tid invalid: it has none */
} ShownGroup;

typedef struct Shown
{
	Groups *groups;
	ViewTarget *target;
	TupleTableSlot *key;    /* a row of the view with nothing but its key */
	AggregateState *states; /* of a row that is read */
	ShownGroup *all;
	int count;
	BulkRow *rows; /* those that have one, or are believed to; their owners are ShownGroup * */
	int row_count;
	bool scanned; /* the rows were found without the locator, and none has an entry */
} Shown;

/* Does a difference change anything? */
static bool
shown_differs(const Groups *groups, const ViewGroup *group)
{
	if (group->rows != 0)
		return true;
	for (int i = 0; i < groups->aggregates; i++)
		if (group->states[i].count != 0 || group->states[i].sum != 0)
			return true;
	return false;
}

/* Show a group's key as a row of the view, which can be looked for. */
static TupleTableSlot *
shown_key(Shown *shown, const ViewGroup *group)
{
	TupleTableSlot *stored = shown->groups->group_key;
	TupleTableSlot *slot = shown->key;

	ExecStoreMinimalTuple(group->key, stored, false);
	slot_getallattrs(stored);
	ExecClearTuple(slot);
	for (int i = 0; i < shown->target->identity_count; i++)
	{
		int column = shown->target->identity[i] - 1;

		slot->tts_values[column] = stored->tts_values[i];
		slot->tts_isnull[column] = stored->tts_isnull[i];
	}
	return ExecStoreVirtualTuple(slot);
}

/* A group's row is at this tid. */
static void
shown_place(Shown *shown, ShownGroup *entry, ItemPointer tid)
{
	BulkRow *row = &shown->rows[shown->row_count++];

	row->tid = *tid;
	row->owner = entry;
}

/* Find the row of a group for certain, if it has one. */
static bool
shown_find(Shown *shown, ShownGroup *entry)
{
	if (locator_find(shown->target, shown_key(shown, entry->group), 1, &entry->where) > 0)
		return true;
	ItemPointerSetInvalid(&entry->where.tid);
	return false;
}

/* Find the groups' rows one by one: where they were seen last, or by the locator. */
static void
shown_locate(Shown *shown)
{
	ViewTarget *target = shown->target;

	for (int i = 0; i < shown->count; i++)
		shown->all[i].where.hash = locator_hash(target, shown_key(shown, shown->all[i].group));
	for (int i = 0; i < shown->count; i++)
	{
		ShownGroup *entry = &shown->all[i];

		CHECK_FOR_INTERRUPTS();
		if (i + PREFETCH_GROUPS < shown->count)
			places_prefetch(target->known, entry[PREFETCH_GROUPS].where.hash);
		if (locator_recall(target, entry->where.hash, &entry->where) || shown_find(shown, entry))
			shown_place(shown, entry, &entry->where.tid);
	}
}

/* A group's row is not where the locator says, or not the only one. */
static void
shown_refuse(Shown *shown)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
	                errmsg("materialized view \"%s\" does not have one row for each group",
	                       RelationGetRelationName(shown->target->relation))));
}

/*
 * Find the groups' rows by reading all of the view's. What is remembered of
 * their places is given up, as it is not kept up to date.
 */
static void
shown_scan(Shown *shown)
{
	Groups *groups = shown->groups;
	ViewTarget *target = shown->target;
	TupleTableSlot *row = table_slot_create(target->relation, NULL);
	TableScanDesc scan = table_beginscan(target->relation, SnapshotSelf, 0, NULL);
	Datum *values = palloc(groups->keys * sizeof(Datum));
	bool *isnull = palloc(groups->keys * sizeof(bool));

	shown->scanned = true;
	places_clear(target->known);
	while (table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		ViewGroup *group;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(row);
		for (int i = 0; i < groups->keys; i++)
		{
			values[i] = row->tts_values[target->identity[i] - 1];
			isnull[i] = row->tts_isnull[target->identity[i] - 1];
		}
		groups_show_keys(groups, values, isnull);
		group = groups_find(groups, false);
		if (group == NULL || group->number < 0)
			continue;
		if (ItemPointerIsValid(&shown->all[group->number].where.tid))
			shown_refuse(shown);
		shown->all[group->number].where.tid = row->tts_tid;
		shown_place(shown, &shown->all[group->number], &row->tts_tid);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(row);
	pfree(values);
	pfree(isnull);
}

/* Is this version the row of the group? Then add the difference to what it shows. */
static bool
shown_is_old(BulkRow *row, TupleTableSlot *version, void *context)
{
	Shown *shown = context;
	Groups *groups = shown->groups;
	const ViewPlan *plan = groups->view->plan;
	ViewGroup *group = ((ShownGroup *) row->owner)->group;
	ListCell *cell;

	if (!image_equal_columns(version, shown_key(shown, group), plan->identity,
	                         plan->identity_count))
		return false;
	foreach (cell, plan->aggregates)
	{
		const PlanAggregate *aggregate = lfirst(cell);
		const PlanAggregate *count = list_nth(plan->aggregates, aggregate->counted_by);
		int column = aggregate->column - 1;
		int number = foreach_current_index(cell);

		aggregate_load(groups->view->program, number, &shown->states[number],
		               version->tts_values[column], version->tts_isnull[column],
		               DatumGetInt64(version->tts_values[count->column - 1]));
		if (number == plan->rows_by)
			group->rows += shown->states[number].count;
	}
	aggregate_combine(groups->view->program, group->states, shown->states);
	groups_output(groups, group);
	return true;
}

/* A group's row as it is to be, for apply_bulk. */
static MinimalTuple
shown_wanted(BulkRow *row, void *context)
{
	return ((ShownGroup *) row->owner)->group->output;
}

/*
 * Write the rows that are where they are believed to be. The others come first
 * then, and are counted. A group whose row had to leave its page keeps its
 * output, to be inserted.
 */
static int
shown_write(Shown *shown, int count)
{
	ViewTarget *target = shown->target;
	const ViewPlan *plan = shown->groups->view->plan;
	int elsewhere = 0;

	apply_bulk(target, shown->rows, count,
	           apply_update_in_place(target, plan->identity_count, plan->identity), shown_is_old,
	           shown_wanted, shown);
	for (int i = 0; i < count; i++)
	{
		BulkRow *row = &shown->rows[i];
		ShownGroup *entry = row->owner;
		ViewGroup *group = entry->group;

		switch (row->fate)
		{
			case BULK_SAME:
				group->output = NULL;
				break;
			case BULK_REPLACED:
				group->output = NULL;
				if (!shown->scanned)
					locator_moved(target, &entry->where, &row->tid);
				break;
			case BULK_MOVED:
				group->output = NULL;
				if (!shown->scanned)
					locator_forget(target, &entry->where);
				break;
			case BULK_DELETED:
				/* an entry that led to a row that has to be inserted again leads there afterwards */
				if (!shown->scanned &&
				    (group->output == NULL || !ItemPointerIsValid(&entry->where.entry)))
					locator_forget(target, &entry->where);
				break;
			case BULK_ELSEWHERE:
				shown->rows[elsewhere++] = *row;
				break;
		}
	}
	return elsewhere;
}

/* Insert the rows of groups that have none, or had to leave their pages. */
static void
shown_insert(Shown *shown)
{
	ViewTarget *target = shown->target;
	TupleTableSlot *wanted =
	    MakeSingleTupleTableSlot(RelationGetDescr(target->relation), &TTSOpsMinimalTuple);

	for (int i = 0; i < shown->count; i++)
	{
		ShownGroup *entry = &shown->all[i];
		ViewGroup *group = entry->group;
		bool is_new = !ItemPointerIsValid(&entry->where.tid);

		CHECK_FOR_INTERRUPTS();
		if (is_new && group->rows <= 0)
			shown_refuse(shown);
		if (is_new)
			groups_output(shown->groups, group);
		if (group->output == NULL)
			continue;
		ExecStoreMinimalTuple(group->output, wanted, false);
		if (!is_new && ItemPointerIsValid(&entry->where.entry))
			apply_insert_again(target, wanted, &entry->where.entry);
		else
			apply_insert(target, wanted);
	}
	apply_flush(target);
	ExecDropSingleTupleTableSlot(wanted);
}

/* Add the folded differences to the groups' rows. */
void
groups_write_shown(Groups *groups)
{
	Shown shown = {.groups = groups, .target = groups->target};
	int touched = list_length(groups->touched);
	int elsewhere;
	int lost = 0;
	ListCell *cell;

	shown.key =
	    MakeSingleTupleTableSlot(RelationGetDescr(groups->target->relation), &TTSOpsVirtual);
	memset(shown.key->tts_isnull, true, shown.key->tts_tupleDescriptor->natts * sizeof(bool));
	shown.states = palloc(Max(groups->aggregates, 1) * sizeof(AggregateState));
	shown.all = palloc_extended(Max(touched, 1) * sizeof(ShownGroup), MCXT_ALLOC_HUGE);
	shown.rows = palloc_extended(Max(touched, 1) * sizeof(BulkRow), MCXT_ALLOC_HUGE);
	foreach (cell, groups->touched)
	{
		ViewGroup *group = lfirst(cell);
		ShownGroup *entry = &shown.all[shown.count];

		group->number = -1;
		if (!shown_differs(groups, group))
			continue;
		group->number = shown.count++;
		entry->group = group;
		ItemPointerSetInvalid(&entry->where.tid);
		ItemPointerSetInvalid(&entry->where.entry);
	}
	if (locator_scanned(groups->target, shown.count))
		shown_scan(&shown);
	else
		shown_locate(&shown);
	elsewhere = shown_write(&shown, shown.row_count);
	for (int i = 0; i < elsewhere; i++)
	{
		ShownGroup *entry = shown.rows[i].owner;

		/* what was remembered was another group's: this one may have no row at all */
		if (!shown_find(&shown, entry))
			continue;
		shown.rows[lost].tid = entry->where.tid;
		shown.rows[lost++].owner = entry;
	}
	if (shown_write(&shown, lost) > 0)
		shown_refuse(&shown);
	shown_insert(&shown);
	ExecDropSingleTupleTableSlot(shown.key);
	pfree(shown.states);
	pfree(shown.all);
	pfree(shown.rows);
}
