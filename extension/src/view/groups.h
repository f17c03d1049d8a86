/*-------------------------------------------------------------------------
 *
 * groups.h
 *	  Groups being folded: what groups.c and its storage share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_GROUPS_H
#define FRESHET_GROUPS_H

#include "postgres.h"

#include "access/genam.h"
#include "executor/executor.h"
#include "view/view.h"

/* One group touched by the cycle. */
typedef struct ViewGroup
{
	uint32 hash;
	bool stored;    /* has a row in the hidden table */
	bool shown;     /* has a row in the view */
	bool recompute; /* its states could not follow */
	bool refolding; /* rows of the recomputation were seen */
	int number;     /* group_shown.c's; -1: it stays as it is */
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
	bool apart;                 /* nothing of what is stored is in the states yet */

	Relation hidden; /* NULL: not open */
	Relation index;
	IndexInfo *index_info;
	IndexScanDesc scan;
	TupleTableSlot *hidden_slot;
	TupleTableSlot *state_slot; /* likewise, a row to be written */
	ExprState *key_equal;
	ExprContext *expression;

	/* output */
	EState *estate;
	TupleTableSlot *group_slot; /* keys and results */
	ProjectionInfo *projection;
	ExprState *having;
	TupleTableSlot *output_slot;
} Groups;

/* groups.c */
extern Groups *groups_begin(MaintainedView *view, bool apart);
extern void groups_row(TupleTableSlot *row, int sign, void *groups);
extern void groups_show_keys(Groups *groups, Datum *values, bool *isnull);
extern ViewGroup *groups_find(Groups *groups, bool make);
extern void groups_output(Groups *groups, ViewGroup *group);

/* group_shown.c */
extern void groups_write_shown(Groups *groups);

/* group_store.c */
extern void groups_open(Groups *groups);
extern void groups_close(Groups *groups);
extern void groups_create(Groups *groups);
extern void groups_load(Groups *groups, ViewGroup *group);
extern void groups_load_all(Groups *groups);
extern void groups_store(Groups *groups);

#endif /* FRESHET_GROUPS_H */
