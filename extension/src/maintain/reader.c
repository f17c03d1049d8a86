/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Does a statement call functions that may read views under its snapshot?
 *
 * Such a function is not VOLATILE, or is PostgreSQL's own: what it reads is seen under
 * the snapshot of the statement that calls it. So it is that statement that has to
 * wait, and its range table does not say so. A plan lists the functions it depends on
 * by the hash of their oid only (PlannedStmt.invalItems), without the built-in ones,
 * which we add when a statement is planned. Here are the hashes of all readers. A hash
 * shared by two functions means a needless wait at worst.
 *
 * Readers are:
 *	- PostgreSQL's own functions that run a query given to them;
 *	- STABLE functions in C that return sets, as crosstab and connectby do: what C
 *	  code does cannot be seen;
 *	- STABLE and IMMUTABLE functions in SQL or PL/pgSQL whose text has a word by which
 *	  a relation or a dynamic query is read, or is the name of a reader, and such
 *	  functions in all other languages.
 *
 * A reader that such a text calls by nothing but an operator or a cast is not found.
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
#include "maintain/reader.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "query/calls.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* PostgreSQL's own readers. */
static const Oid reader_own[] = {
    F_QUERY_TO_XML,
    F_QUERY_TO_XML_AND_XMLSCHEMA,
    F_TABLE_TO_XML,
    F_TABLE_TO_XML_AND_XMLSCHEMA,
    F_SCHEMA_TO_XML,
    F_SCHEMA_TO_XML_AND_XMLSCHEMA,
    F_DATABASE_TO_XML,
    F_DATABASE_TO_XML_AND_XMLSCHEMA,
    F_TS_STAT_TEXT,
    F_TS_STAT_TEXT_TEXT,
    F_TS_REWRITE_TSQUERY_TEXT,
};

/* A function whose text calls none of the readers known so far. */
typedef struct ReaderCandidate
{
	Oid oid;
	NameData name;
	char *text;
} ReaderCandidate;

static HTAB *reader_hashes = NULL;
static bool reader_known = false;
static planner_hook_type reader_previous_planner = NULL;

/* A function has been made, changed or dropped. */
static void
reader_callback(Datum arg, int cache, uint32 hash)
{
	reader_known = false;
}

/* Has a text one of the words by which a reader is told? */
static bool
reader_text_has(const char *text, HTAB *words)
{
	char word[NAMEDATALEN];

	while (calls_next_word(&text, word))
		if (hash_search(words, word, HASH_FIND, NULL) != NULL)
			return true;
	return false;
}

/* A function is a reader, and who calls it: by its name, or by its oid in a parsed body. */
static void
reader_add(Oid oid, const char *name, HTAB *words)
{
	uint32 hash = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(oid));
	char word[NAMEDATALEN];

	hash_search(reader_hashes, &hash, HASH_ENTER, NULL);
	if (calls_next_word(&name, word))
		hash_search(words, word, HASH_ENTER, NULL);
	snprintf(word, sizeof(word), "%u", oid);
	hash_search(words, word, HASH_ENTER, NULL);
}

/* Is a function a reader? Gives its text if that decides. */
static bool
reader_judge(HeapTuple tuple, char **text)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);

	if (form->prolang == ClanguageId)
		return form->proretset && form->provolatile == PROVOLATILE_STABLE;
	if (form->prolang == INTERNALlanguageId || form->provolatile == PROVOLATILE_VOLATILE)
		return false;
	*text = calls_text(tuple);
	return *text == NULL;
}

/* Readers are added as long as their being so makes others such. */
static void
reader_add_callers(List *candidates, HTAB *words)
{
	bool more = true;
	ListCell *cell;

	while (more)
	{
		more = false;
		foreach (cell, candidates)
		{
			ReaderCandidate *candidate = lfirst(cell);

			if (!reader_text_has(candidate->text, words))
				continue;
			reader_add(candidate->oid, NameStr(candidate->name), words);
			candidates = foreach_delete_current(candidates, cell);
			more = true;
		}
	}
}

/* Reads pg_proc; gives the functions whose text may call a reader. */
static List *
reader_read(HTAB *words)
{
	List *candidates = NIL;
	Relation relation = table_open(ProcedureRelationId, AccessShareLock);
	ScanKeyData key[1];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key[0], Anum_pg_proc_oid, BTGreaterEqualStrategyNumber, F_OIDGE,
	            ObjectIdGetDatum(FirstNormalObjectId));
	scan = systable_beginscan(relation, ProcedureOidIndexId, true, NULL, 1, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
		char *text = NULL;

		if (reader_judge(tuple, &text))
			reader_add(form->oid, NameStr(form->proname), words);
		else if (text != NULL)
		{
			ReaderCandidate *candidate = palloc(sizeof(ReaderCandidate));

			*candidate = (ReaderCandidate){.oid = form->oid, .name = form->proname, .text = text};
			candidates = lappend(candidates, candidate);
		}
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return candidates;
}

/* Finds all readers. */
static void
reader_find(void)
{
	/* the last one is what a relation has in a parsed body */
	static const char *const reading[] = {"from", "table", "execute", "relkind"};
	static bool registered = false;
	HASHCTL hashes = {.keysize = sizeof(uint32), .entrysize = sizeof(uint32)};
	HASHCTL names = {.keysize = NAMEDATALEN, .entrysize = NAMEDATALEN};
	MemoryContext context =
	    AllocSetContextCreate(CurrentMemoryContext, "freshet readers", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HTAB *words;

	if (!registered)
	{
		CacheRegisterSyscacheCallback(PROCOID, reader_callback, (Datum) 0);
		registered = true;
	}
	if (reader_hashes != NULL)
		hash_destroy(reader_hashes);
	reader_hashes = hash_create("freshet readers", 64, &hashes, HASH_ELEM | HASH_BLOBS);
	names.hcxt = context;
	words = hash_create("freshet words", 64, &names, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	for (int i = 0; i < lengthof(reading); i++)
		hash_search(words, reading[i], HASH_ENTER, NULL);
	for (int i = 0; i < lengthof(reader_own); i++)
		reader_add(reader_own[i], get_func_name(reader_own[i]), words);

	/* set first: what changes while we read makes us read again */
	reader_known = true;
	reader_add_callers(reader_read(words), words);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Does the plan call a function that may read under the plan's snapshot? */
bool
reader_called(PlannedStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->invalItems)
	{
		PlanInvalItem *item = (PlanInvalItem *) lfirst(cell);

		if (item->cacheId != PROCOID)
			continue;
		if (!reader_known)
			reader_find();
		if (hash_search(reader_hashes, &item->hashValue, HASH_FIND, NULL) != NULL)
			return true;
	}
	return false;
}

/* Does the plan call any function that is not built in, or is a reader? */
bool
reader_any(PlannedStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->invalItems)
	{
		if (((PlanInvalItem *) lfirst(cell))->cacheId == PROCOID)
			return true;
	}
	return false;
}

/* Does a query call one of PostgreSQL's own readers? */
static bool
reader_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reader_walker, context, 0);
	if (IsA(node, FuncExpr))
		for (int i = 0; i < lengthof(reader_own); i++)
			if (((FuncExpr *) node)->funcid == reader_own[i])
				return true;
	return expression_tree_walker(node, reader_walker, context);
}

/* planner_hook: the plan says that it calls one of PostgreSQL's own readers */
static PlannedStmt *
reader_planner(Query *query, const char *text, int options, ParamListInfo params)
{
	bool reads = reader_walker((Node *) query, NULL);
	planner_hook_type plan =
	    reader_previous_planner != NULL ? reader_previous_planner : standard_planner;
	PlannedStmt *statement = plan(query, text, options, params);

	if (reads)
	{
		PlanInvalItem *item = makeNode(PlanInvalItem);

		item->cacheId = PROCOID;
		item->hashValue = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(reader_own[0]));
		statement->invalItems = lappend(statement->invalItems, item);
	}
	return statement;
}

/* Registers the hook. */
void
reader_register(void)
{
	reader_previous_planner = planner_hook;
	planner_hook = reader_planner;
}
