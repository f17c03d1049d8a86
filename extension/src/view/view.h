/*-------------------------------------------------------------------------
 *
 * view.h
 *	  A maintained view in the worker's memory, and bringing it from one cut
 *	  to the next.
 *
 * Invariants:
 *	- Between cycles an adopted view's content and hidden state are those of
 *	  the worker's cut. A view that could not follow is not adopted any more,
 *	  keeps its last good content, and is rebuilt (strategy C) when it can be.
 *	- All functions here run inside the cycle's transaction; an error means
 *	  that the whole cycle is undone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_VIEW_H
#define FRESHET_VIEW_H

#include "postgres.h"

#include "cut/capture.h"
#include "cut/cut.h"
#include "cut/frontier.h"
#include "delta/aggregate.h"
#include "delta/execute.h"
#include "nodes/pg_list.h"
#include "portability/instr_time.h"
#include "plan/plan.h"
#include "view/apply.h"

/* A delta query kept planned, for one leaf, sign and order of magnitude. */
typedef struct ViewQuery
{
	int leaf; /* -1: see kind */
	int sign;
	int magnitude;
	char kind;              /* 't' term, 'k' groups by key, 'n' likewise with
								 * NULL keys, 'i' the inner query, 'b' the block,
								 * 'q' the view's whole query,
								 * 'a' affected versions, 'r' rows of versions,
								 * 'g' the block by key, 'h' with NULL keys,
								 * 'p' the row the clock passes next,
								 * 's' a term of a recursion's start, 'u' of its
								 * step, 'w' its step from the rows found last,
								 * 'x' of a recursion's start, 'y' of its step,
								 * what they give of some rows (leaf 1: with NULLs) */
	const PlanBlock *block; /* of 'a', 'r' and 'p' */
	PlannedStmt *planned;
	MemoryContext context;
} ViewQuery;

/* Keys that the running cycle's changes touch (keyed.c). */
typedef struct ViewKeys ViewKeys;

/* Takes a row that comes (+1) or goes (-1). */
typedef void (*ViewRowReceiver)(TupleTableSlot *row, int sign, void *context);

/* For view_signed_row, which hands the rows of a query on with this sign. */
typedef struct SignedRow
{
	ViewRowReceiver row;
	void *context;
	int sign;
} SignedRow;

/* What is known about following by keys and running a block as a whole (choice.c). */
typedef struct ViewChoice
{
	double keyed_us; /* per unit of the planner's cost; 0: not known */
	double whole_us;
	bool whole; /* chosen last */
} ViewChoice;

typedef struct MaintainedView
{
	Oid view;
	MemoryContext context; /* everything about it */
	ViewPlan *plan;
	List *queries; /* of ViewQuery * */
	AggregateProgram *program;
	Places *places; /* of its rows, or of its groups' states */
	List *settings; /* "name=value" that differ from the worker's own */
	FrontierView *shared;
	List *parts;      /* of MaintainedView *: its hidden parts, those below
								 * others first; they are adopted and rebuilt with it */
	List *ahead;      /* of ViewAhead *: loads that still run (ahead.c) */
	bool has_readers; /* another maintained view reads it */
	int depth;        /* 1 + the deepest maintained view below it */

	/* state */
	bool adopted;      /* content is that of the worker's cut */
	bool invalid;      /* a relation changed: plan again */
	int64 retry_at_ms; /* 0: no error */
	int failures;
	int64 rebuild_at_ms;  /* a costly recomputation waits until then */
	int64 clock_at_ms;    /* next timer of a view that reads the clock */
	int64 rebuild_us;     /* what the last recomputation took */
	int ties;             /* runs one after the other in which a limit's end tied */
	int64 ties_us;        /* what the view's query took then */
	int unfollowed;       /* delta queries failed so often, one after the other, and the view's
	                      * query did not */
	const char *given_up; /* why the query is left whole though it could be followed, or NULL */

	/* views that read the clock: see passes.c */
	int64 passes_at_ms; /* until then, time changes nothing in its block */
	int64 time_ms;      /* of its content; 0: the worker's cut's */
	int64 new_time_ms;  /* likewise, once the cycle is committed */
	bool looked_for;    /* changes are looked for with each second */
	bool loose;         /* some of its blocks were so when that was last stored */

	/* a recursion with UNION */
	int anew_next; /* so many more times it is computed anew when rows go */
	int anew_last; /* as often as that was so the last time */

	/* strategy B, while a cycle follows */
	ViewChoice choice;
	double keyed_cost; /* what the planner expected of the keys at hand */
	List *versions;    /* of ViewKeys *, for each block */
	ViewKeys *values;  /* of plan->by_key */
} MaintainedView;

/* What the views of a cycle share. */
typedef struct ViewCycle
{
	const Cut *old_cut;
	Cut *new_cut;
	List *changes; /* of RelationChange *, read where a view needs it */
	List *rest;    /* likewise, without what was taken ahead: for views
	                                * that have it folded already */
	QueryEnvironment *rest_environment;
	QueryEnvironment *environment; /* the changes as ephemeral relations */
} ViewCycle;

/* Groups of what was taken of a load ahead of its transaction's end. */
typedef struct ViewAhead
{
	uint64 number; /* of the Ahead */
	int64 rows;    /* folded; all that were taken, or the groups do not count */
	struct Groups *groups;
	MemoryContext context;
} ViewAhead;

/* What maintaining a view came to. */
typedef struct ViewOutcome
{
	int64 rows_in;
	int64 rows_out;
	ItemPointerData *tids; /* versions of the view that came or went */
	int tid_count;
	RelationChange *change; /* the view's own change, if has_readers */
} ViewOutcome;

/* GUC freshet.verify_patience */
extern int verify_patience_ms;

extern MaintainedView *view_load(Oid view, List *settings, const char *given_up);
extern void view_unload(MaintainedView *view);
extern bool view_follow(MaintainedView *view, ViewCycle *cycle, ViewOutcome *outcome);
extern void view_rebuild(MaintainedView *view, ViewCycle *cycle, ViewOutcome *outcome);
extern void view_publish(ViewCycle *cycle, ViewOutcome *outcome);
extern bool view_can_follow(MaintainedView *view, ViewCycle *cycle);

/* maintain.c */
extern PlannedStmt *
view_query(MaintainedView *view, ViewCycle *cycle, char kind, int leaf, int sign, double rows);
extern PlannedStmt *view_block_query(MaintainedView *view, ViewCycle *cycle, char kind,
                                     const PlanBlock *block, int leaf, int sign, double rows);
extern void view_signed_row(TupleTableSlot *slot, void *argument);
extern void view_delta(MaintainedView *view, ViewCycle *cycle, ViewRowReceiver row, void *context);

/* keyed.c */
extern bool keyed_begin(MaintainedView *view, ViewCycle *cycle);
extern void keyed_delta(MaintainedView *view, ViewCycle *cycle, ViewRowReceiver row, void *context);
extern void keyed_rows(MaintainedView *view, ViewCycle *cycle, ViewRowReceiver row, void *context);
extern void keyed_end(MaintainedView *view);

/* ahead.c: groups of loads that still run */
typedef struct AheadFold AheadFold;

extern bool ahead_wanted(MaintainedView *view, Oid relid);
extern AheadFold *
ahead_fold_begin(MaintainedView *view, const Cut *cut, const Ahead *ahead, TupleDesc descriptor);
extern Oid ahead_fold_view(const AheadFold *fold);
extern void ahead_fold_rows(AheadFold *fold, TupleTableSlot **rows, int count);
extern void ahead_fold_end(AheadFold *fold);
extern List *ahead_groups(MaintainedView *view, const RelationChange *change);
extern void ahead_forget(MaintainedView *view, const List *kept);

/* choice.c: what comparing a row of a whole result with the view costs, in the planner's units */
#define CHOICE_COMPARE_COST 0.02

extern bool choice_enable_recompute;
extern bool choice_by_keys(MaintainedView *view, ViewCycle *cycle, double cost);
extern void choice_followed(MaintainedView *view, double cost, instr_time begun);
extern void choice_recomputed(MaintainedView *view, ViewCycle *cycle, instr_time begun);

/* recursion.c */
extern bool recursion_can_follow(MaintainedView *view);
extern void recursion_follow(MaintainedView *view, ViewCycle *cycle, ViewTarget *target);

/* passes.c */
extern void passes_find(MaintainedView *view, ViewCycle *cycle);
extern bool passes_timed(const MaintainedView *view);
extern bool passes_due(const MaintainedView *view, const ViewCycle *cycle);
extern bool passes_loose(const MaintainedView *view);
extern int64 passes_old_ms(const MaintainedView *view, const ViewCycle *cycle);
extern void passes_begin(MaintainedView *view, const ViewCycle *cycle, bool anew);
extern void passes_settle(MaintainedView *view, bool committed);
extern void passes_take_over(MaintainedView *view, const MaintainedView *from);
extern int64 passes_at_ms(const MaintainedView *view);

/* part.c */
extern bool part_bind(ViewPlan *plan, bool make);

/* groups.c */
extern void groups_follow(MaintainedView *view, ViewCycle *cycle, ViewTarget *target);
extern void
groups_rebuild(MaintainedView *view, ViewCycle *cycle, ViewTarget *target, ViewOutcome *outcome);

/* rebuild.c: make the view's rows equal to a stream of rows */
typedef struct Rebuild Rebuild;
typedef void (*RebuildPlaced)(int64 ordinal, ItemPointer tid, void *context);

extern Rebuild *rebuild_begin(ViewTarget *target);
extern void rebuild_row(Rebuild *rebuild, TupleTableSlot *row, int64 ordinal);
extern void rebuild_end(Rebuild *rebuild, RebuildPlaced placed, void *context);

/* merge.c: apply rows that come and go */
typedef struct Merge Merge;

extern Merge *merge_begin(ViewTarget *target);
extern void merge_row(TupleTableSlot *row, int sign, void *merge);
extern void merge_end(Merge *merge);

#endif /* FRESHET_VIEW_H */
