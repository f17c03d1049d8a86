/*-------------------------------------------------------------------------
 *
 * maintain.c
 *	  One maintained view: loading it, its planned delta queries, and bringing
 *	  its content to the cycle's cut.
 *
 * Queries run as the view's owner, security-restricted, under the settings the
 * view was created with.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "pg/role.h"
#include "portability/instr_time.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "view/view.h"

/* Settings that differ from the worker's own. */
static List *
view_differing_settings(List *settings)
{
	List *result = NIL;
	ListCell *cell;

	foreach (cell, settings)
	{
		char *setting = pstrdup(lfirst(cell));
		char *value = strchr(setting, '=');
		const char *ours;

		if (value == NULL)
			continue;
		*value++ = '\0';
		ours = GetConfigOption(setting, true, false);
		if (ours != NULL && strcmp(ours, value) != 0)
			result = lappend(result, pstrdup(lfirst(cell)));
	}
	return result;
}

/* A view, or a part of one, that is kept by a plan. */
static MaintainedView *
view_make(Oid relid, ViewPlan *plan, List *settings, MemoryContext context)
{
	MaintainedView *view = palloc0(sizeof(MaintainedView));

	view->view = relid;
	view->plan = plan;
	view->settings = settings;
	view->context = context;
	view->places = places_create(context);
	if (plan->grouped)
		view->program = aggregate_program(plan->aggregates);
	return view;
}

/*
 * May we read what the query reads? Delta queries do not ask: of a table that
 * changed they read the changes.
 */
static bool
view_check_rights(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		(void) ExecCheckRTPerms(((Query *) node)->rtable, true);
		return query_tree_walker((Query *) node, view_check_rights, context, 0);
	}
	return expression_tree_walker(node, view_check_rights, context);
}

/*
 * Load a view: plan it, in a memory context of its own. The caller is in a
 * transaction. Returns NULL if the view is gone or not populated. given_up: why its
 * query is to be left whole, a string that stays; NULL: it is not.
 */
MaintainedView *
view_load(Oid oid, List *settings, const char *given_up)
{
	Relation relation = try_relation_open(oid, AccessShareLock);
	MemoryContext context;
	MemoryContext old;
	MaintainedView *view;
	ViewPlan *plan;
	Role role;
	ListCell *cell;

	if (relation == NULL)
		return NULL;
	if (relation->rd_rel->relkind != RELKIND_MATVIEW || !RelationIsPopulated(relation))
	{
		relation_close(relation, AccessShareLock);
		return NULL;
	}
	context = AllocSetContextCreate(CurrentMemoryContext, "freshet view", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	role_compute(&role, relation->rd_rel->relowner, settings);
	plan = plan_view(relation, settings);
	(void) view_check_rights((Node *) plan->query, NULL);
	if (given_up != NULL && plan->strategy != PLAN_NONE)
		plan_give_up(plan, given_up);
	(void) part_bind(plan, true);
	role_restore(&role);
	settings = view_differing_settings(settings);
	view = view_make(oid, plan, settings, context);
	view->given_up = given_up;
	foreach (cell, plan->parts)
	{
		PlanPart *part = lfirst(cell);

		view->parts = lappend(view->parts, view_make(part->relid, part->plan, settings, context));
	}
	foreach (cell, view->plan->relations)
	{
		PlanRelation *base = lfirst(cell);

		if (base->relid == oid)
			view->plan->relations = foreach_delete_current(view->plan->relations, cell);
	}
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, TopMemoryContext);
	relation_close(relation, AccessShareLock);
	return view;
}

/* Forget a view. */
void
view_unload(MaintainedView *view)
{
	ListCell *cell;

	places_clear(view->places);
	foreach (cell, view->parts)
		places_clear(((MaintainedView *) lfirst(cell))->places);
	MemoryContextDelete(view->context);
}

/* The order of magnitude a plan is good for, and the rows it is made for. */
static int
view_magnitude(double rows, double *planned_rows)
{
	static const double limits[] = {32, 256, 2048, 16384, 131072, 1048576};

	for (int i = 0; i < lengthof(limits); i++)
	{
		if (rows <= limits[i])
		{
			*planned_rows = limits[i] / 4;
			return i;
		}
	}
	*planned_rows = rows;
	return lengthof(limits);
}

/*
 * The planned query of a kind (see ViewQuery), for a leaf's changes of a sign,
 * good for about so many rows. Plans are kept with the view.
 */
PlannedStmt *
view_block_query(MaintainedView *view, ViewCycle *cycle, char kind, const PlanBlock *block,
                 int leaf, int sign, double rows)
{
	double planned_rows;
	int magnitude = view_magnitude(rows, &planned_rows);
	ViewQuery *entry;
	ListCell *cell;
	Query *query;
	PlannedStmt *planned;
	MemoryContext old;
	const char *reason;
	int variants;
	bool anew; /* run at new cuts only */

	foreach (cell, view->queries)
	{
		entry = lfirst(cell);
		if (entry->kind == kind && entry->block == block && entry->leaf == leaf &&
		    entry->sign == sign && entry->magnitude == magnitude)
			return entry->planned;
	}

	switch (kind)
	{
		case 't':
			query = plan_term(view->plan, leaf, sign, planned_rows);
			break;
		case 's':
			query = plan_term(view->plan->recursion->start, leaf, sign, planned_rows);
			break;
		case 'u':
			query = plan_term(view->plan->recursion->step, leaf, sign, planned_rows);
			break;
		case 'w':
			query = plan_recursion_step(view->plan->recursion, sign, planned_rows);
			break;
		case 'x':
		case 'y':
			query =
			    plan_recursion_again(view->plan->recursion, kind == 'y', leaf > 0, planned_rows);
			break;
		case 'k':
			query = plan_recompute_groups(view->plan, false, planned_rows);
			break;
		case 'n':
			query = plan_recompute_groups(view->plan, true, planned_rows);
			break;
		case 'i':
			query = copyObject(view->plan->inner);
			break;
		case 'b':
			query = copyObject(view->plan->block);
			break;
		case 'a':
			query = plan_affected(block, list_nth(block->leaves, leaf), sign, planned_rows,
			                      &variants, &reason);
			break;
		case 'p':
			query = copyObject(((PlanBlockLeaf *) list_nth(block->leaves, leaf))->clock->next);
			break;
		case 'r':
			query = plan_restrict_versions(view->plan, block, planned_rows);
			break;
		case 'g':
			query = plan_restrict_keys(view->plan, false, planned_rows);
			break;
		case 'h':
			query = plan_restrict_keys(view->plan, true, planned_rows);
			break;
		default:
			query = copyObject(view->plan->query);
			break;
	}
	/* a partition being detached is in the query before a cut and not after it */
	anew = kind == 'b' || kind == 'i' || kind == 'q';
	planned = delta_plan(query, anew ? cycle->new_cut : cycle->old_cut);
	if (planned->transientPlan)
		return planned;

	old = MemoryContextSwitchTo(view->context);
	entry = palloc0(sizeof(ViewQuery));
	entry->context =
	    AllocSetContextCreate(view->context, "freshet delta query", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(entry->context);
	entry->kind = kind;
	entry->block = block;
	entry->leaf = leaf;
	entry->sign = sign;
	entry->magnitude = magnitude;
	entry->planned = copyObject(planned);
	MemoryContextSwitchTo(view->context);
	view->queries = lappend(view->queries, entry);
	MemoryContextSwitchTo(old);
	return entry->planned;
}

/* Likewise, of a kind that is not of a block. */
PlannedStmt *
view_query(MaintainedView *view, ViewCycle *cycle, char kind, int leaf, int sign, double rows)
{
	return view_block_query(view, cycle, kind, NULL, leaf, sign, rows);
}

/* Hand a row on with its sign. */
void
view_signed_row(TupleTableSlot *slot, void *argument)
{
	SignedRow *signed_row = argument;

	signed_row->row(slot, signed_row->sign, signed_row->context);
}

/*
 * The delta of the view's inner query between the cycle's cuts, row by row,
 * not consolidated.
 */
void
view_delta(MaintainedView *view, ViewCycle *cycle, ViewRowReceiver row, void *context)
{
	SignedRow signed_row = {.row = row, .context = context};
	ListCell *cell;
	int leaf = 0;

	if (view->plan->blocks != NIL)
	{
		keyed_delta(view, cycle, row, context);
		return;
	}

	foreach (cell, view->plan->leaves)
	{
		RelationChange *change = delta_change(((PlanLeaf *) lfirst(cell))->relid);

		if (change != NULL && change->minus_count > 0)
		{
			signed_row.sign = -1;
			delta_execute(view_query(view, cycle, 't', leaf, -1, change->minus_count),
			              cycle->old_cut, cycle->environment, view_signed_row, &signed_row);
		}
		if (change != NULL && change->plus_count > 0)
		{
			signed_row.sign = 1;
			delta_execute(view_query(view, cycle, 't', leaf, 1, change->plus_count), cycle->new_cut,
			              cycle->environment, view_signed_row, &signed_row);
		}
		leaf++;
	}
}

/* Insert a row that came; nothing went in this cycle. */
static void
view_insert_row(TupleTableSlot *slot, int sign, void *context)
{
	apply_insert(context, slot);
}

/* Bring an ungrouped view to the new cut. */
static void
view_follow_rows(MaintainedView *view, ViewCycle *cycle, ViewTarget *target)
{
	Merge *merge;
	bool deletions = false;
	ListCell *cell;

	if (plan_keyed(view->plan))
	{
		merge = merge_begin(target);
		keyed_rows(view, cycle, merge_row, merge);
		merge_end(merge);
		return;
	}

	foreach (cell, view->plan->leaves)
	{
		RelationChange *change = delta_change(((PlanLeaf *) lfirst(cell))->relid);

		deletions |= change != NULL && change->minus_count > 0;
	}
	if (!deletions)
	{
		view_delta(view, cycle, view_insert_row, target);
		apply_flush(target);
		return;
	}
	merge = merge_begin(target);
	view_delta(view, cycle, merge_row, merge);
	merge_end(merge);
}

/* Put a row into a store. */
static void
view_store_row(TupleTableSlot *row, void *store)
{
	tuplestore_puttupleslot(store, row);
}

/*
 * Run the block as a whole and make the view's rows equal to it. Where rows tie
 * at the end of a LIMIT, the view's query says which of them it shows.
 */
static void
view_run_whole(MaintainedView *view, ViewCycle *cycle, ViewTarget *target)
{
	Rebuild *rebuild = rebuild_begin(target);
	TupleTableSlot *row =
	    MakeSingleTupleTableSlot(RelationGetDescr(target->relation), &TTSOpsMinimalTuple);
	Tuplestorestate *rows = tuplestore_begin_heap(false, false, work_mem);
	uint64 count;

	count = delta_execute(view_query(view, cycle, 'i', -1, 1, 0), cycle->new_cut, NULL,
	                      view_store_row, rows);
	if (view->plan->ties > 0 && count > (uint64) view->plan->ties)
	{
		instr_time start;
		instr_time end;

		INSTR_TIME_SET_CURRENT(start);
		tuplestore_clear(rows);
		delta_execute(view_query(view, cycle, 'q', -1, 1, 0), cycle->new_cut, NULL, view_store_row,
		              rows);
		INSTR_TIME_SET_CURRENT(end);
		INSTR_TIME_SUBTRACT(end, start);
		view->ties++;
		view->ties_us = (int64) INSTR_TIME_GET_MICROSEC(end);
	}
	else
		view->ties = 0;
	while (tuplestore_gettupleslot(rows, true, false, row))
		rebuild_row(rebuild, row, 0);
	rebuild_end(rebuild, NULL, NULL);
	tuplestore_end(rows);
	ExecDropSingleTupleTableSlot(row);
}

/* Does a block read anything that changed? */
static bool
view_block_concerned(MaintainedView *view)
{
	ListCell *cell;

	foreach (cell, view->plan->relations)
		if (delta_change(((PlanRelation *) lfirst(cell))->relid) != NULL)
			return true;
	return false;
}

/* Did a leaf of a block change? */
static bool
view_leaves_changed(MaintainedView *view)
{
	ListCell *cell;

	foreach (cell, view->plan->leaves)
		if (delta_change(((PlanLeaf *) lfirst(cell))->relid) != NULL)
			return true;
	return false;
}

/* Are the changes of what a block reads known row by row? */
static bool
view_block_can_follow(MaintainedView *view)
{
	ListCell *cell;

	foreach (cell, view->plan->relations)
	{
		RelationChange *change = delta_change(((PlanRelation *) lfirst(cell))->relid);

		if (change != NULL && (change->whole || !change->read))
			return false;
	}
	return true;
}

/*
 * Can the view go from the old cut to the new one by its changes? Not if a
 * relation's change is not known row by row.
 */
bool
view_can_follow(MaintainedView *view, ViewCycle *cycle)
{
	ListCell *cell;

	if (!plan_follows(view->plan) || !view_block_can_follow(view))
		return false;
	foreach (cell, view->parts)
		if (!view_block_can_follow(lfirst(cell)))
			return false;
	return true;
}

/* Open a view for writing. */
static ViewTarget *
view_open(MaintainedView *view, ViewOutcome *outcome)
{
	Relation relation = table_open(view->view, RowExclusiveLock);
	ViewTarget *target;

	if (view->has_readers)
	{
		outcome->change = palloc0(sizeof(RelationChange));
		outcome->change->relid = view->view;
		change_begin(outcome->change, RelationGetDescr(relation));
	}
	target = apply_open(relation, outcome->change);
	target->known = view->places;
	target->identity = view->plan->identity;
	target->identity_count = view->plan->identity_count;
	target->by_identity = view->plan->shown;
	return target;
}

/* Finish writing a view. */
static void
view_close(ViewTarget *target, ViewOutcome *outcome)
{
	apply_close(target);
	outcome->rows_out += target->inserted + target->deleted;
	outcome->tids = target->tids;
	outcome->tid_count = target->tid_count;
	if (outcome->change)
		change_end(outcome->change);
	table_close(target->relation, NoLock);
	CommandCounterIncrement();
}

/*
 * Bring a view's own block from the cycle's old cut to its new one. False, and
 * nothing is done: to compute it anew is cheaper, or all that can be done.
 */
static bool
view_follow_block(MaintainedView *view, ViewCycle *cycle, ViewOutcome *outcome)
{
	bool keyed = plan_keyed(view->plan);
	instr_time begun;
	ViewTarget *target;

	INSTR_TIME_SET_CURRENT(begun);
	if (view->plan->whole && !view_leaves_changed(view))
		return true;
	passes_begin(view, cycle, false);
	if (view->plan->recursion != NULL && !recursion_can_follow(view))
		return false;
	if (keyed && !keyed_begin(view, cycle))
	{
		keyed_end(view);
		return false;
	}
	target = view_open(view, outcome);
	if (view->plan->whole)
		view_run_whole(view, cycle, target);
	else
	{
		locator_open(target, false);
		if (view->plan->recursion != NULL)
			recursion_follow(view, cycle, target);
		else if (view->plan->grouped)
			groups_follow(view, cycle, target);
		else
			view_follow_rows(view, cycle, target);
	}
	keyed_end(view);
	view_close(target, outcome);
	if (keyed)
		choice_followed(view, view->keyed_cost, begun);
	return true;
}

/* Let those who read a view in this cycle see its change. */
void
view_publish(ViewCycle *cycle, ViewOutcome *outcome)
{
	RelationChange *change = outcome->change;

	if (change == NULL || change->plus_count + change->minus_count == 0)
		return;
	cycle->changes = lappend(cycle->changes, change);
	delta_set_changes(cycle->changes);
	delta_register_change(cycle->environment, change);
}

/* Give a wanted row to the rebuild. */
static void
view_rebuild_row(TupleTableSlot *row, void *context)
{
	rebuild_row(context, row, 0);
}

/* Compute a block anew at the new cut and write the difference. */
static void
view_rebuild_block(MaintainedView *view, ViewCycle *cycle, ViewOutcome *outcome)
{
	instr_time begun;
	ViewTarget *target;

	INSTR_TIME_SET_CURRENT(begun);
	locator_drop(view->view);
	passes_begin(view, cycle, true);
	target = view_open(view, outcome);
	if (view->plan->grouped && !view->plan->shown)
		groups_rebuild(view, cycle, target, outcome);
	else
	{
		hidden_drop("groups", view->view);
		if (view->plan->whole)
			view_run_whole(view, cycle, target);
		else
		{
			Rebuild *rebuild = rebuild_begin(target);

			outcome->rows_in += delta_execute(view_query(view, cycle, 'b', -1, 1, 0),
			                                  cycle->new_cut, NULL, view_rebuild_row, rebuild);
			rebuild_end(rebuild, NULL, NULL);
		}
	}
	view_close(target, outcome);
	if (plan_keyed(view->plan))
		choice_recomputed(view, cycle, begun);
}

/*
 * Bring an adopted view from the cycle's old cut to its new one. False: to
 * compute it anew is cheaper, and has to be done.
 */
bool
view_follow(MaintainedView *view, ViewCycle *cycle, ViewOutcome *outcome)
{
	Role role;
	ListCell *cell;
	bool result;

	role_compute(&role, view->plan->owner, view->settings);
	foreach (cell, view->plan->relations)
	{
		RelationChange *change = delta_change(((PlanRelation *) lfirst(cell))->relid);

		if (change)
			outcome->rows_in +=
			    change->plus_count + change->minus_count + change_ahead_rows(change);
	}
	foreach (cell, view->parts)
	{
		MaintainedView *part = lfirst(cell);
		ViewOutcome part_outcome = {0};

		/* the blocks above read it even where it stays as it is */
		LockRelationOid(part->view, AccessShareLock);
		if (!view_block_concerned(part) && !passes_due(part, cycle))
			continue;
		part->has_readers = true;
		if (!view_follow_block(part, cycle, &part_outcome))
			view_rebuild_block(part, cycle, &part_outcome);
		view_publish(cycle, &part_outcome);
		passes_find(part, cycle);
	}
	result = view_follow_block(view, cycle, outcome);
	if (!result && view->parts != NIL)
	{
		view_rebuild_block(view, cycle, outcome);
		result = true;
	}
	if (result)
		passes_find(view, cycle);
	role_restore(&role);
	return result;
}

/* Compute a view and its parts anew at the new cut and write the difference. */
void
view_rebuild(MaintainedView *view, ViewCycle *cycle, ViewOutcome *outcome)
{
	Role role;
	ListCell *cell;

	/* it may be anew because what its expressions mean has changed */
	ahead_forget(view, NIL);
	role_compute(&role, view->plan->owner, view->settings);
	foreach (cell, view->parts)
	{
		MaintainedView *part = lfirst(cell);
		ViewOutcome part_outcome = {0};

		/* the block above is computed as a whole, too */
		part->has_readers = false;
		view_rebuild_block(part, cycle, &part_outcome);
		passes_find(part, cycle);
		outcome->rows_in += part_outcome.rows_in;
	}
	view_rebuild_block(view, cycle, outcome);
	passes_find(view, cycle);
	role_restore(&role);
}
