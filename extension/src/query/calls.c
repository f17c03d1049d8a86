/*-------------------------------------------------------------------------
 *
 * calls.c
 *	  Which functions a function calls, as far as its text says.
 *
 * A word of the text that is the name of functions may be a call of each of them. A
 * parsed body has their oids instead, and an aggregate its own functions. What cannot
 * be told: dynamic SQL, quoted names, other languages. C and internal functions call
 * none of a user's. Operators, casts and the like call functions that nobody names.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_language.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/proclang.h"
#include "miscadmin.h"
#include "query/calls.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* See calls.h. */
bool
calls_next_word(const char **text, char *word)
{
	const char *at = *text;
	int length = 0;

	while (*at != '\0' && !isalnum((unsigned char) *at) && *at != '_' && !IS_HIGHBIT_SET(*at))
		at++;
	for (; isalnum((unsigned char) *at) || *at == '_' || *at == '$' || IS_HIGHBIT_SET(*at); at++)
		if (length < NAMEDATALEN - 1)
			word[length++] = pg_ascii_tolower((unsigned char) *at);
	word[length] = '\0';
	*text = at;
	return length > 0;
}

/* See calls.h. */
char *
calls_text(HeapTuple function)
{
	static const int columns[] = {Anum_pg_proc_prosqlbody, Anum_pg_proc_prosrc};
	Oid language = ((Form_pg_proc) GETSTRUCT(function))->prolang;
	bool isnull;
	Datum value;

	if (language != SQLlanguageId && language != get_language_oid("plpgsql", true))
		return NULL;
	for (int i = 0; i < lengthof(columns); i++)
	{
		value = SysCacheGetAttr(PROCOID, function, columns[i], &isnull);
		if (!isnull)
			return TextDatumGetCString(value);
	}
	return pstrdup("");
}

/* Add a function of a user, once. */
static List *
calls_add(List *closure, Oid function)
{
	return function < FirstNormalObjectId ? closure : list_append_unique_oid(closure, function);
}

/* Add the functions of a name. */
static List *
calls_add_name(List *closure, const char *name)
{
	CatCList *named = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));

	for (int i = 0; i < named->n_members; i++)
		closure = calls_add(closure, ((Form_pg_proc) GETSTRUCT(&named->members[i]->tuple))->oid);
	ReleaseSysCacheList(named);
	return closure;
}

/* Add what an aggregate calls. */
static List *
calls_add_aggregate(List *closure, Oid aggregate)
{
	HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	Form_pg_aggregate form;

	if (!HeapTupleIsValid(tuple))
		return closure;
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	closure = calls_add(closure, form->aggtransfn);
	closure = calls_add(closure, form->aggfinalfn);
	closure = calls_add(closure, form->aggcombinefn);
	closure = calls_add(closure, form->aggserialfn);
	closure = calls_add(closure, form->aggdeserialfn);
	closure = calls_add(closure, form->aggmtransfn);
	closure = calls_add(closure, form->aggminvtransfn);
	closure = calls_add(closure, form->aggmfinalfn);
	ReleaseSysCache(tuple);
	return closure;
}

/* Add what a text calls. */
static List *
calls_add_text(List *closure, const char *text, bool *any)
{
	char word[NAMEDATALEN];

	*any |= strchr(text, '"') != NULL;
	while (calls_next_word(&text, word))
	{
		*any |= strcmp(word, "execute") == 0;
		if (strspn(word, "0123456789") < strlen(word))
			closure = calls_add_name(closure, word);
		else if (strlen(word) < 10 && SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(atoi(word))))
			closure = calls_add(closure, atoi(word));
	}
	return closure;
}

/* Add what a function calls. */
static List *
calls_add_callees(List *closure, Oid function, bool *any)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid language;
	char *text;

	if (!HeapTupleIsValid(tuple))
		return closure;
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	text = calls_text(tuple);
	if (((Form_pg_proc) GETSTRUCT(tuple))->prokind == PROKIND_AGGREGATE)
		closure = calls_add_aggregate(closure, function);
	else if (text != NULL)
		closure = calls_add_text(closure, text, any);
	else
		*any |= language != INTERNALlanguageId && language != ClanguageId;
	ReleaseSysCache(tuple);
	return closure;
}

/* See calls.h. */
List *
calls_closure(List *functions, bool *any)
{
	List *closure = list_copy(functions);

	*any = false;
	/* it grows while we go through it */
	for (int i = 0; i < list_length(closure) && !*any; i++)
	{
		CHECK_FOR_INTERRUPTS();
		closure = calls_add_callees(closure, list_nth_oid(closure, i), any);
	}
	return closure;
}

/* See calls.h. */
List *
calls_of_hash(uint32 hash)
{
	Relation relation = table_open(ProcedureRelationId, AccessShareLock);
	List *found = NIL;
	ScanKeyData key[1];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key[0], Anum_pg_proc_oid, BTGreaterEqualStrategyNumber, F_OIDGE,
	            ObjectIdGetDatum(FirstNormalObjectId));
	scan = systable_beginscan(relation, ProcedureOidIndexId, true, NULL, 1, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid function = ((Form_pg_proc) GETSTRUCT(tuple))->oid;

		if (GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(function)) == hash)
			found = lappend_oid(found, function);
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return found;
}

/* Is a function called by what does not name it: an operator, a cast, a type, an aggregate? */
static bool
calls_unnamed(Oid function)
{
	static const Oid callers[] = {OperatorRelationId,  CastRelationId,
	                              TypeRelationId,      ConstraintRelationId,
	                              ProcedureRelationId, AccessMethodProcedureRelationId};
	Relation relation = table_open(DependRelationId, AccessShareLock);
	bool found = false;
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
	            ObjectIdGetDatum(ProcedureRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
	            ObjectIdGetDatum(function));
	scan = systable_beginscan(relation, DependReferenceIndexId, true, NULL, 2, key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		for (int i = 0; i < lengthof(callers); i++)
			found |= ((Form_pg_depend) GETSTRUCT(tuple))->classid == callers[i];
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return found;
}

/* See calls.h. */
bool
calls_may_reach(List *closure, Oid function)
{
	const char *name = get_func_name(function);
	char wanted[NAMEDATALEN];
	char word[NAMEDATALEN];
	ListCell *cell;

	if (name == NULL || !calls_next_word(&name, wanted))
		return true;
	foreach (cell, closure)
	{
		HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(lfirst_oid(cell)));
		const char *text = HeapTupleIsValid(tuple) ? calls_text(tuple) : NULL;

		if (HeapTupleIsValid(tuple))
			ReleaseSysCache(tuple);
		while (text != NULL && calls_next_word(&text, word))
			if (strcmp(word, wanted) == 0)
				return true;
	}
	return calls_unnamed(function);
}
