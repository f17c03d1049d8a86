/*-------------------------------------------------------------------------
 *
 * remember.c
 *	  Which matviews were fresh when the extension was dropped: so that it keeps them
 *	  again when it comes back.
 *
 * DROP EXTENSION leaves plain matviews. It demands CASCADE where there are fresh ones.
 * A label of each, of our provider, then says with which settings it was kept; labels
 * stay, and go with their object. Who makes the extension anew has them kept again, as
 * their owners decided.
 *
 * A label can be given by the matview's owner too, as pg_dump has it done: what it
 * says is checked then, and its settings are those that everybody may set.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_seclabel.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/seclabel.h"
#include "miscadmin.h"
#include "pg/role.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "view/adopt.h"
#include "view/auto_index.h"
#include "view/catalog.h"
#include "view/remember.h"

/* What a label begins with; the settings follow as an array. */
#define REMEMBER_FRESH "fresh "

/* See remember.h. */
void
remember_check_drop(DropStmt *statement)
{
	bool named = false;
	int fresh = 0;
	ListCell *cell;

	if (statement->removeType != OBJECT_EXTENSION || statement->behavior == DROP_CASCADE ||
	    !catalog_installed())
		return;
	foreach (cell, statement->objects)
		named |= strcmp(strVal(lfirst(cell)), "freshet") == 0;
	if (!named || !pg_extension_ownercheck(get_extension_oid("freshet", false), GetUserId()))
		return;
	foreach (cell, catalog_views())
		fresh += ((ViewRow *) lfirst(cell))->maintain;
	if (fresh > 0)
		ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
		                errmsg_plural("cannot drop extension freshet because it keeps %d "
		                              "materialized view fresh",
		                              "cannot drop extension freshet because it keeps %d "
		                              "materialized views fresh",
		                              fresh, fresh),
		                errhint("DROP EXTENSION ... CASCADE leaves plain materialized views, which "
		                        "are kept fresh again when the extension is.")));
}

/* The label of a matview that was kept with these settings. */
static char *
remember_label(List *settings)
{
	Datum *texts = palloc(Max(list_length(settings), 1) * sizeof(Datum));
	ArrayType *array;
	ListCell *cell;

	foreach (cell, settings)
		texts[foreach_current_index(cell)] = CStringGetTextDatum(lfirst(cell));
	array = construct_array(texts, list_length(settings), TEXTOID, -1, false, TYPALIGN_INT);
	return psprintf(REMEMBER_FRESH "%s",
	                OidOutputFunctionCall(F_ARRAY_OUT, PointerGetDatum(array)));
}

/* See remember.h. */
void
remember_all(void)
{
	ListCell *cell;

	foreach (cell, catalog_views())
	{
		ViewRow *row = lfirst(cell);
		ObjectAddress object;

		ObjectAddressSet(object, RelationRelationId, row->view);
		if (row->maintain && SearchSysCacheExists1(RELOID, ObjectIdGetDatum(row->view)))
			SetSecurityLabel(&object, AUTO_INDEX_PROVIDER, remember_label(row->settings));
	}
}

/* The settings that a label says; false: it is another one. */
static bool
remember_settings(const char *label, List **settings)
{
	if (strncmp(label, REMEMBER_FRESH, strlen(REMEMBER_FRESH)) != 0)
		return false;
	*settings = catalog_settings_of(
	    OidInputFunctionCall(F_ARRAY_IN, pstrdup(label + strlen(REMEMBER_FRESH)), TEXTOID, -1));
	return true;
}

/* See remember.h. */
bool
remember_check_label(const char *label)
{
	List *settings;

	if (!remember_settings(label, &settings))
		return false;
	(void) role_merge_settings(role_capture_settings(), settings);
	return true;
}

/* Have a matview be kept again, if it still is one, and take its label away. */
static void
remember_adopt(Oid view, List *settings)
{
	ObjectAddress object;

	LockRelationOid(view, AccessShareLock);
	if (get_rel_relkind(view) != RELKIND_MATVIEW)
		return;
	adopt_again(view, settings);
	ObjectAddressSet(object, RelationRelationId, view);
	SetSecurityLabel(&object, AUTO_INDEX_PROVIDER, NULL);
}

/* See remember.h. */
void
remember_adopt_all(void)
{
	Relation relation = table_open(SecLabelRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		FormData_pg_seclabel *form = (FormData_pg_seclabel *) GETSTRUCT(tuple);
		bool isnull;
		Datum provider =
		    heap_getattr(tuple, Anum_pg_seclabel_provider, RelationGetDescr(relation), &isnull);
		Datum label =
		    heap_getattr(tuple, Anum_pg_seclabel_label, RelationGetDescr(relation), &isnull);
		List *settings;

		if (form->classoid == RelationRelationId &&
		    strcmp(TextDatumGetCString(provider), AUTO_INDEX_PROVIDER) == 0 &&
		    remember_settings(TextDatumGetCString(label), &settings))
			remember_adopt(form->objoid, settings);
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
}
