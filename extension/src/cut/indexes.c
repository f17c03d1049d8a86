/*-------------------------------------------------------------------------
 *
 * indexes.c
 *	  Which indexes a query under a cut may use.
 *
 * CREATE INDEX CONCURRENTLY and REINDEX CONCURRENTLY wait for the snapshots of
 * transactions, not for cuts: their indexes may lack row versions that only a
 * cut still sees. So while a cut is pushed, indexes whose pg_index row is not
 * older than it are hidden from the planner. (Indexes with indcheckxmin hide
 * themselves by TransactionXmin.)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "cut/cut.h"
#include "optimizer/plancat.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

static get_relation_info_hook_type previous_relation_info_hook = NULL;
static uint64 hidden_count = 0;

/* The planner's hook. */
static void
cut_relation_info(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *relation)
{
	ListCell *cell;

	if (previous_relation_info_hook)
		previous_relation_info_hook(root, relid, inhparent, relation);
	if (!cut_pushed())
		return;
	foreach (cell, relation->indexlist)
	{
		IndexOptInfo *index = lfirst(cell);
		HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index->indexoid));
		TransactionId xmin;

		if (!HeapTupleIsValid(tuple))
			continue;
		xmin = HeapTupleHeaderGetXmin(tuple->t_data);
		ReleaseSysCache(tuple);
		if (TransactionIdIsNormal(xmin) && !TransactionIdPrecedes(xmin, TransactionXmin))
		{
			relation->indexlist = foreach_delete_current(relation->indexlist, cell);
			hidden_count++;
		}
	}
}

/* Put the hook in place; once, at library load. */
void
cut_install_hooks(void)
{
	previous_relation_info_hook = get_relation_info_hook;
	get_relation_info_hook = cut_relation_info;
}

/*
 * How many indexes were hidden so far: a plan during which the number grew
 * must not be kept for later cuts.
 */
uint64
cut_hidden_indexes(void)
{
	return hidden_count;
}
