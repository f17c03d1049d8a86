/*-------------------------------------------------------------------------
 *
 * stable.c
 *	  Does a statement call STABLE functions that may read views?
 *
 * Such a function reads under the snapshot of the statement that calls it, so
 * it is that statement that has to wait, and its range table does not say so. A
 * plan lists the functions it depends on by the hash of their oid only
 * (PlannedStmt.invalItems, without the built-in ones); here are the hashes of
 * all functions that are STABLE and written in a language other than C. A hash
 * shared by two functions means a needless wait at worst.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "maintain/stable.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/syscache.h"

static HTAB *stable_hashes = NULL;
static bool stable_known = false;

/* A function has been made, changed or dropped. */
static void
stable_callback(Datum arg, int cache, uint32 hash)
{
	stable_known = false;
}

/* Reads pg_proc. */
static void
stable_read(void)
{
	static bool registered = false;
	HASHCTL control = {.keysize = sizeof(uint32), .entrysize = sizeof(uint32)};
	ScanKeyData key[1];
	Relation relation;
	SysScanDesc scan;
	HeapTuple tuple;

	if (!registered)
	{
		CacheRegisterSyscacheCallback(PROCOID, stable_callback, (Datum) 0);
		registered = true;
	}
	if (stable_hashes != NULL)
		hash_destroy(stable_hashes);
	stable_hashes = hash_create("freshet stable functions", 64, &control, HASH_ELEM | HASH_BLOBS);

	/* set first: what changes while we read makes us read again */
	stable_known = true;
	relation = table_open(ProcedureRelationId, AccessShareLock);
	ScanKeyInit(&key[0], Anum_pg_proc_oid, BTGreaterEqualStrategyNumber, F_OIDGE,
	            ObjectIdGetDatum(FirstNormalObjectId));
	scan = systable_beginscan(relation, ProcedureOidIndexId, true, NULL, 1, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
		uint32 hash;

		if (form->provolatile != PROVOLATILE_STABLE || form->prolang == INTERNALlanguageId ||
		    form->prolang == ClanguageId)
			continue;
		hash = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(form->oid));
		hash_search(stable_hashes, &hash, HASH_ENTER, NULL);
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
}

/* Does the plan call a function that may read under the plan's snapshot? */
bool
stable_called(PlannedStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->invalItems)
	{
		PlanInvalItem *item = (PlanInvalItem *) lfirst(cell);

		if (item->cacheId != PROCOID)
			continue;
		if (!stable_known)
			stable_read();
		if (hash_search(stable_hashes, &item->hashValue, HASH_FIND, NULL) != NULL)
			return true;
	}
	return false;
}

/* Does the plan call any function that is not built in? */
bool
stable_any(PlannedStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->invalItems)
	{
		if (((PlanInvalItem *) lfirst(cell))->cacheId == PROCOID)
			return true;
	}
	return false;
}
