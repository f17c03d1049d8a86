/*-------------------------------------------------------------------------
 *
 * utility.c
 *	  What Freshet does at utility commands: matviews made and dropped, REFRESH
 *	  as a barrier, transactions that keep their first snapshot, databases that
 *	  are dropped, renamed, moved or copied.
 *
 * Matviews are noticed by the object access hook, so that it does not matter
 * by which command they come (CREATE, EXPLAIN ANALYZE CREATE, a function) or go
 * (DROP, CASCADE, DROP OWNED). The hook only notes their oids; what has to be
 * done is done when the command is complete, by the invocation of the
 * ProcessUtility hook that ran it. An error can leave oids behind that were not
 * made or dropped in the end: so they are looked up before anything is done.
 * While an extension is being created, ours cannot be made (provide.c): its
 * matviews are then looked after when that is complete.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/parallel.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/tablecmds.h"
#include "cut/frontier.h"
#include "maintain/barrier.h"
#include "maintain/launcher.h"
#include "maintain/protect.h"
#include "maintain/provide.h"
#include "maintain/utility.h"
#include "maintain/wake.h"
#include "miscadmin.h"
#include "pg/role.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "view/adopt.h"
#include "view/apply.h"
#include "view/catalog.h"
#include "view/remember.h"

/* The arguments of ProcessUtility, to hand on. */
typedef struct UtilityCall
{
	PlannedStmt *statement;
	const char *text;
	bool read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *environment;
	DestReceiver *dest;
	QueryCompletion *completion;
} UtilityCall;

/* Relations made or dropped by the commands under way. */
typedef struct UtilityOids
{
	Oid *oids;
	int count;
	int room;
} UtilityOids;

static ProcessUtility_hook_type utility_previous = NULL;
static object_access_hook_type utility_previous_access = NULL;
static UtilityOids utility_created;
static UtilityOids utility_altered;
static UtilityOids utility_dropped;

/* Does the command as if Freshet were not there. */
static void
utility_run(const UtilityCall *call)
{
	ProcessUtility_hook_type run =
	    utility_previous != NULL ? utility_previous : standard_ProcessUtility;

	run(call->statement, call->text, call->read_only_tree, call->context, call->params,
	    call->environment, call->dest, call->completion);
}

/* The same for REASSIGN OWNED. */
static void
utility_run_reassign(void *call)
{
	utility_run(call);
}

/* Notes an oid. */
static void
utility_note(UtilityOids *list, Oid oid)
{
	if (list->count == list->room)
	{
		int room = Max(32, 2 * list->room);

		if (list->oids == NULL)
			list->oids = MemoryContextAlloc(TopMemoryContext, room * sizeof(Oid));
		else
			list->oids = repalloc(list->oids, room * sizeof(Oid));
		list->room = room;
	}
	list->oids[list->count++] = oid;
}

/* A relation is about to be dropped. */
static void
utility_relation_dropped(Oid relation)
{
	Oid table;

	switch (get_rel_relkind(relation))
	{
		case RELKIND_MATVIEW:
			utility_note(&utility_dropped, relation);
			break;
		case RELKIND_RELATION:
			if (!creating_extension && catalog_is_table(relation))
				remember_all();
			break;
		case RELKIND_INDEX:
			table = IndexGetRelation(relation, true);
			if (OidIsValid(table) && get_rel_relkind(table) == RELKIND_MATVIEW)
				catalog_changed();
			break;
		default:
			break;
	}
}

/* A relation is made, altered or dropped. */
static void
utility_relation_access(ObjectAccessType access, Oid relation, void *arg)
{
	switch (access)
	{
		case OAT_POST_CREATE:
			if (!((ObjectAccessPostCreate *) arg)->is_internal)
				utility_note(&utility_created, relation);
			break;
		case OAT_POST_ALTER:
			if (get_rel_relkind(relation) != RELKIND_MATVIEW)
				break;
			utility_note(&utility_altered, relation);
			catalog_changed();
			break;
		case OAT_DROP:
			utility_relation_dropped(relation);
			break;
		default:
			break;
	}
}

/* object_access_hook */
static void
utility_object_access(ObjectAccessType access, Oid class, Oid object, int sub, void *arg)
{
	if (utility_previous_access != NULL)
		utility_previous_access(access, class, object, sub, arg);

	if (access == OAT_FUNCTION_EXECUTE)
	{
		role_check_function(object);
		return;
	}
	protect_object_access(access, class, object, sub, arg);
	if (class == RelationRelationId && sub == 0)
		utility_relation_access(access, object, arg);
	else if (class == ExtensionRelationId && access == OAT_DROP && sub == 0 &&
	         object == get_extension_oid("freshet", true))
		catalog_changed();
}

/* Has a matview's query been run? */
static bool
utility_populated(Oid view)
{
	Relation relation = relation_open(view, AccessShareLock);
	bool populated = RelationIsPopulated(relation);

	relation_close(relation, NoLock);
	return populated;
}

/* Does what the commands since these counts, which took so long, have made necessary. */
static void
utility_finish_relations(int created, int altered, int dropped, int64 took_us)
{
	if (creating_extension && !catalog_installed())
		return;
	for (int i = created; i < utility_created.count; i++)
	{
		Oid oid = utility_created.oids[i];
		char relkind = get_rel_relkind(oid);

		if (relkind == RELKIND_MATVIEW && !IsBinaryUpgrade && provide_for_view(oid))
			adopt_created(oid, utility_populated(oid) ? took_us : 0);
		else if (relkind == RELKIND_INDEX &&
		         get_rel_relkind(IndexGetRelation(oid, false)) == RELKIND_MATVIEW)
			catalog_changed();
	}
	for (int i = altered; i < utility_altered.count; i++)
	{
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(utility_altered.oids[i])) &&
		    catalog_installed() && !IsBinaryUpgrade)
			hidden_follow_owner(utility_altered.oids[i]);
	}
	for (int i = dropped; i < utility_dropped.count; i++)
	{
		if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(utility_dropped.oids[i])) &&
		    catalog_installed())
			adopt_dropped(utility_dropped.oids[i]);
	}
	utility_created.count = Min(utility_created.count, created);
	utility_altered.count = Min(utility_altered.count, altered);
	utility_dropped.count = Min(utility_dropped.count, dropped);
}

/* Nothing is under way any more. */
static void
utility_xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		utility_created.count = utility_altered.count = utility_dropped.count = 0;
}

/* Lets workers into the database again. */
static void
utility_allow_worker(int code, Datum arg)
{
	frontier_allow_worker((FrontierDatabase *) DatumGetPointer(arg));
	launcher_wake();
}

/* Does the command while no worker is in the database. */
static void
utility_run_without_worker(const UtilityCall *call, const char *name)
{
	Oid dboid = get_database_oid(name, true);
	FrontierDatabase *database = frontier_database(dboid, false);

	if (database == NULL || dboid == MyDatabaseId || !pg_database_ownercheck(dboid, GetUserId()))
	{
		utility_run(call);
		return;
	}
	PG_ENSURE_ERROR_CLEANUP(utility_allow_worker, PointerGetDatum(database));
	{
		frontier_stop_worker(database);
		utility_run(call);
	}
	PG_END_ENSURE_ERROR_CLEANUP(utility_allow_worker, PointerGetDatum(database));
	utility_allow_worker(0, PointerGetDatum(database));
}

/* The value of a CREATE or ALTER DATABASE option, or NULL. */
static char *
utility_option(List *options, const char *name)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

/* Is there an index by which REFRESH ... CONCURRENTLY could tell rows apart? */
static bool
utility_has_unique_index(Relation view)
{
	bool found = false;
	ListCell *cell;

	foreach (cell, RelationGetIndexList(view))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);
		Form_pg_index form = index->rd_index;

		if (form->indisunique && form->indimmediate && form->indisvalid && form->indnkeyatts > 0 &&
		    index->rd_rel->relam == BTREE_AM_OID && RelationGetIndexPredicate(index) == NIL)
		{
			found = true;
			for (int i = 0; i < form->indnkeyatts; i++)
			{
				if (form->indkey.values[i] <= 0)
					found = false;
			}
		}
		index_close(index, AccessShareLock);
		if (found)
			return true;
	}
	return false;
}

/*
 * REFRESH of a maintained view as a mere wait. Returns false if it has to be
 * PostgreSQL's own, which also raises PostgreSQL's own errors: this transaction
 * has written and wants to see that, the view is in error or nobody maintains
 * it, it reads what changes unseen, or the command is one that fails.
 */
static bool
utility_refresh_is_wait(RefreshMatViewStmt *statement, Oid view)
{
	FrontierDatabase *database = frontier_database(MyDatabaseId, false);
	Relation relation;
	FrontierView *state;
	bool possible;

	if (database != NULL &&
	    (pg_atomic_read_u32(&database->maintained) == 0 || database->worker_pid == MyProcPid))
		return false;
	if (statement->skipData || XactReadOnly || IsInParallelMode() ||
	    TransactionIdIsValid(GetTopTransactionIdIfAny()) || barrier_locked_by_me(view))
		return false;
	relation = try_relation_open(view, AccessShareLock);
	if (relation == NULL)
		return false;
	possible = relation->rd_rel->relkind == RELKIND_MATVIEW && RelationIsPopulated(relation) &&
	           (!statement->concurrent || utility_has_unique_index(relation)) &&
	           relation->rd_refcnt == 1;
	relation_close(relation, NoLock);
	if (!possible || adopt_late(view))
		return false;

	state = frontier_view(MyDatabaseId, view, false);
	if (state != NULL && pg_atomic_read_u32(&state->failed) != 0)
		return false;
	if (barrier_wait_view(view, 0) != FRONTIER_FRESH)
		return false;
	state = frontier_view(MyDatabaseId, view, false);
	return state != NULL && pg_atomic_read_u32(&state->failed) == 0;
}

/* REFRESH MATERIALIZED VIEW [CONCURRENTLY] */
static void
utility_refresh(const UtilityCall *call, RefreshMatViewStmt *statement)
{
	Oid view;

	if (!catalog_installed())
	{
		utility_run(call);
		return;
	}
	view = RangeVarGetRelidExtended(statement->relation, NoLock, RVR_MISSING_OK,
	                                RangeVarCallbackOwnsTable, NULL);
	if (OidIsValid(view) && catalog_view_maintained(view) &&
	    utility_refresh_is_wait(statement, view))
	{
		if (call->completion != NULL)
			SetQueryCompletion(call->completion, CMDTAG_REFRESH_MATERIALIZED_VIEW, 0);
		return;
	}

	utility_run(call);
	if (OidIsValid(view) && SearchSysCacheExists1(RELOID, ObjectIdGetDatum(view)))
	{
		ViewRow *row = catalog_view(view);

		if (row != NULL && row->maintain)
		{
			catalog_view_set_adopted(view, false, 0);
			catalog_view_set_error(view, NULL, NULL);
			catalog_changed();
		}
	}
}

/* COMMIT PREPARED may make changed catalogs visible, which other has not said. */
static void
utility_commit_prepared(const UtilityCall *call)
{
	bool installed = catalog_installed();
	uint64 before = catalog_invalidations();
	bool changed;

	utility_run(call);
	wake_prepared();
	changed = catalog_invalidations() != before;
	if (!installed || changed)
		catalog_changed();
	if (!installed && catalog_installed())
		wake_start_worker_at_commit();
}

/* An error about a plain view that was to have an index says what can have one. */
static void
utility_hint_materialized(void *arg)
{
	if (geterrcode() == ERRCODE_WRONG_OBJECT_TYPE)
		errhint("Make it a materialized view: that is kept fresh, and can have indexes.");
}

/* CREATE INDEX */
static void
utility_index(const UtilityCall *call, IndexStmt *statement)
{
	Oid relation = RangeVarGetRelid(statement->relation, NoLock, true);
	ErrorContextCallback hint = {.previous = error_context_stack,
	                             .callback = utility_hint_materialized};

	if (get_rel_relkind(relation) == RELKIND_VIEW)
		error_context_stack = &hint;
	utility_run(call);
	error_context_stack = hint.previous;
}

/* Does the command, and what Freshet has to do before or after it. */
static void
utility_dispatch(const UtilityCall *call)
{
	Node *node = call->statement->utilityStmt;
	char *name;

	switch (nodeTag(node))
	{
		case T_RefreshMatViewStmt:
			utility_refresh(call, (RefreshMatViewStmt *) node);
			break;

		case T_TransactionStmt:
			switch (((TransactionStmt *) node)->kind)
			{
				case TRANS_STMT_BEGIN:
				case TRANS_STMT_START:
					utility_run(call);
					barrier_wait_transaction();
					break;
				case TRANS_STMT_COMMIT_PREPARED:
					utility_commit_prepared(call);
					break;
				case TRANS_STMT_ROLLBACK_PREPARED:
					utility_run(call);
					wake_prepared();
					break;
				default:
					utility_run(call);
					break;
			}
			break;

		case T_VariableSetStmt:
			utility_run(call);
			name = ((VariableSetStmt *) node)->name;
			if (name != NULL &&
			    (strcmp(name, "TRANSACTION") == 0 || strcmp(name, "transaction_isolation") == 0))
				barrier_wait_transaction();
			break;

		case T_IndexStmt:
			utility_index(call, (IndexStmt *) node);
			break;

		case T_CreateExtensionStmt:
			if (strcmp(((CreateExtensionStmt *) node)->extname, "freshet") == 0)
				provide_lock();
			utility_run(call);
			if (strcmp(((CreateExtensionStmt *) node)->extname, "freshet") == 0 &&
			    catalog_installed() && !IsBinaryUpgrade)
				remember_adopt_all();
			break;

		case T_DropStmt:
			remember_check_drop((DropStmt *) node);
			utility_run(call);
			break;

		case T_AlterExtensionStmt:
			utility_run(call);
			if (strcmp(((AlterExtensionStmt *) node)->extname, "freshet") == 0)
			{
				/* its worker may have left because of the version it had */
				catalog_changed();
				catalog_version_changed();
				wake_start_worker_at_commit();
			}
			break;

		case T_DropOwnedStmt:
			protect_drop_owned((DropOwnedStmt *) node);
			utility_run(call);
			break;

		case T_ReassignOwnedStmt:
			hidden_run_reassign(utility_run_reassign, (void *) call);
			break;

		case T_CreatedbStmt:
			name = utility_option(((CreatedbStmt *) node)->options, "template");
			utility_run_without_worker(call, name != NULL ? name : "template1");
			wake_launcher_at_commit();
			break;

		case T_DropdbStmt:
			utility_run_without_worker(call, ((DropdbStmt *) node)->dbname);
			wake_launcher_at_commit();
			break;

		case T_AlterDatabaseStmt:
			if (utility_option(((AlterDatabaseStmt *) node)->options, "tablespace") != NULL)
				utility_run_without_worker(call, ((AlterDatabaseStmt *) node)->dbname);
			else
				utility_run(call);
			wake_launcher_at_commit();
			break;

		case T_RenameStmt:
			if (((RenameStmt *) node)->renameType == OBJECT_DATABASE)
				utility_run_without_worker(call, ((RenameStmt *) node)->subname);
			else
				utility_run(call);
			break;

		default:
			utility_run(call);
			break;
	}
}

/* ProcessUtility_hook */
static void
utility_process(PlannedStmt *statement, const char *text, bool read_only_tree,
                ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
                DestReceiver *dest, QueryCompletion *completion)
{
	UtilityCall call = {statement, text,        read_only_tree, context,
	                    params,    environment, dest,           completion};
	int created = utility_created.count;
	int altered = utility_altered.count;
	int dropped = utility_dropped.count;
	instr_time begun;
	instr_time took;

	(void) barrier_command();
	role_check_utility(statement->utilityStmt);
	protect_command(statement->utilityStmt);
	INSTR_TIME_SET_CURRENT(begun);
	utility_dispatch(&call);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, begun);
	if (utility_created.count > created || utility_altered.count > altered ||
	    utility_dropped.count > dropped)
		utility_finish_relations(created, altered, dropped, INSTR_TIME_GET_MICROSEC(took));
}

/* Registers the hooks. */
void
utility_register(void)
{
	utility_previous = ProcessUtility_hook;
	ProcessUtility_hook = utility_process;
	utility_previous_access = object_access_hook;
	object_access_hook = utility_object_access;
	RegisterXactCallback(utility_xact_callback, NULL);
}
