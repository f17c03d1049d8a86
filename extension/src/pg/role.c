/*-------------------------------------------------------------------------
 *
 * role.c
 *	  Being another role for a while (role.h).
 *
 * Three kinds of text run in the extension, and each gets its own role:
 *	- a view's query, as the view's owner: security-restricted, read only, under
 *	  the settings it was created with;
 *	- a subscription's query, as the role that subscribed, under its settings;
 *	- SQL of ours, as the bootstrap superuser: nothing in it may be looked up in
 *	  a schema of the caller, and no setting of the session or database counts.
 *
 * What user code in a view's query may not do: write (read-only transaction, which
 * also stops nextval), change role or leave something in the session (security-
 * restricted operation), and what neither of them knows: send notifications, take
 * advisory locks, write large objects or files, speak to other servers. So VOLATILE
 * functions written in C are refused, PostgreSQL's own and dblink's among them, but
 * those listed as harmless, and so are utility commands. A C function that is not
 * declared VOLATILE, and one in an untrusted language, does what it does.
 *
 * In a process whose authenticated user is a superuser, as in the worker, the
 * view's owner is the session user too, by the setting session_authorization,
 * which an abort puts back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "pg/role.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

/* What a query's result may depend on beside the data. Everybody may set each. */
static const char *const role_settings[] = {
    "search_path",
    "TimeZone",
    "timezone_abbreviations",
    "DateStyle",
    "IntervalStyle",
    "extra_float_digits",
    "bytea_output",
    "xmlbinary",
    "xmloption",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "default_text_search_config",
    "quote_all_identifiers",
    "array_nulls",
    "standard_conforming_strings",
    "transform_null_equals",
    "backslash_quote",
};

/* A setting and the value that SQL of ours needs. */
typedef struct RolePin
{
	const char *name;
	const char *value;
} RolePin;

/* What decides the meaning of SQL of ours, where what it makes goes, and who may. */
static const RolePin role_pins[] = {
    {"search_path", "pg_catalog, pg_temp"},
    {"standard_conforming_strings", "on"},
    {"transform_null_equals", "off"},
    {"row_security", "on"},
    {"check_function_bodies", "on"},
    {"session_replication_role", "origin"},
    {"default_tablespace", ""},
    {"temp_tablespaces", ""},
    {"default_table_access_method", "heap"},
    {"default_toast_compression", "pglz"},
    {"quote_all_identifiers", "off"},
    {"DateStyle", "ISO"},
    {"IntervalStyle", "postgres"},
};

/* Beside those, what a process of ours needs. A database's owner could set each. */
static const RolePin role_process_pins[] = {
    {"role", "none"},
    {"exit_on_error", "off"},
    {"statement_timeout", "0"},
    {"idle_in_transaction_session_timeout", "0"},
    {"default_transaction_isolation", "read committed"},
    {"default_transaction_read_only", "off"},
    {"default_transaction_deferrable", "off"},
    {"gin_fuzzy_search_limit", "0"},
    {"zero_damaged_pages", "off"},
    {"ignore_checksum_failure", "off"},
};

/* Why a view's query may not do something. */
#define ROLE_ONLY_COMPUTES "Such a query is run in the background: it may only compute."

/* The transaction nest level at which a view's query was begun; 0: none runs. */
static int role_computing_level = 0;

/* Is this one of the settings under which each query is run that was given earlier? */
bool
role_keeps_setting(const char *name)
{
	for (int i = 0; i < lengthof(role_settings); i++)
		if (pg_strcasecmp(role_settings[i], name) == 0)
			return true;
	return false;
}

/* See role.h. */
List *
role_capture_settings(void)
{
	List *settings = NIL;

	for (int i = 0; i < lengthof(role_settings); i++)
	{
		const char *value = GetConfigOption(role_settings[i], true, false);

		if (value != NULL)
			settings = lappend(settings, psprintf("%s=%s", role_settings[i], value));
	}
	return settings;
}

/* The name of a setting kept as "name=value", or as "name" where it has no value. */
static char *
role_setting_name(const char *setting)
{
	return pnstrdup(setting, strcspn(setting, "="));
}

/* May everybody set this? */
static bool
role_free_setting(const char *name)
{
	struct config_generic **settings = get_guc_variables();

	for (int i = 0; i < GetNumConfigOptions(); i++)
		if (pg_strcasecmp(settings[i]->name, name) == 0)
			return settings[i]->context == PGC_USERSET;
	return strchr(name, '.') != NULL;
}

/* The value that a setting had earlier; NULL: not known, or not everybody's to set. */
static char *
role_earlier_setting(const char *name, List *earlier)
{
	ListCell *cell;

	foreach (cell, earlier)
	{
		char *setting = lfirst(cell);

		if (pg_strcasecmp(role_setting_name(setting), name) == 0 && strchr(setting, '=') != NULL &&
		    role_free_setting(name))
			return strchr(setting, '=') + 1;
	}
	return NULL;
}

/* See role.h. An error if what was captured earlier is no value of the setting. */
List *
role_merge_settings(List *captured, List *earlier)
{
	List *merged = NIL;
	ListCell *cell;

	foreach (cell, captured)
	{
		char *name = role_setting_name(lfirst(cell));
		char *value = role_earlier_setting(name, earlier);

		if (value != NULL && role_keeps_setting(name))
			(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
			                         false, 0, false);
		merged = lappend(merged, value != NULL ? psprintf("%s=%s", name, value) : lfirst(cell));
	}
	return merged;
}

/*
 * A view's query runs from now on, or none any more (0). None may set exit_on_error, which
 * would make its next error end the process.
 */
static void
role_set_computing(int level)
{
	static struct config_generic *exit_on_error = NULL;
	struct config_generic **settings = get_guc_variables();

	for (int i = 0; exit_on_error == NULL && i < GetNumConfigOptions(); i++)
		if (strcmp(settings[i]->name, "exit_on_error") == 0)
			exit_on_error = settings[i];
	role_computing_level = level;
	exit_on_error->context = level > 0 ? PGC_INTERNAL : PGC_USERSET;
}

/* Note what is now, and begin a level of settings. */
static void
role_save(Role *before)
{
	GetUserIdAndSecContext(&before->user, &before->security);
	before->read_only = XactReadOnly;
	before->computing = role_computing_level;
	before->settings = NewGUCNestLevel();
}

/* Set something until the level ends, as a user may; an error if it is no value. */
static void
role_set(const char *name, const char *value)
{
	const char *current = GetConfigOption(name, true, false);

	if (current != NULL && strcmp(current, value) != 0)
		(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
		                         false);
}

/* Set what was kept with a query. */
static void
role_set_kept(List *settings)
{
	ListCell *cell;

	foreach (cell, settings)
	{
		char *name = pstrdup(lfirst(cell));
		char *value = strchr(name, '=');

		if (value != NULL)
		{
			*value++ = '\0';
			if (role_keeps_setting(name))
				role_set(name, value);
		}
		pfree(name);
	}
}

/* Make the owner of a view the session user, where that may be. */
static void
role_set_session_user(Oid owner)
{
	if (owner != GetSessionUserId() && GetAuthenticatedUserIsSuperuser() &&
	    !InLocalUserIdChange() && !InSecurityRestrictedOperation())
		(void) set_config_option("session_authorization", GetUserNameFromId(owner, false),
		                         PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* See role.h. */
void
role_only_compute(void)
{
	XactReadOnly = true;
	role_set_computing(GetCurrentTransactionNestLevel());
}

/* See role.h. */
void
role_compute(Role *before, Oid owner, List *settings)
{
	role_save(before);
	role_set_session_user(owner);
	SetUserIdAndSecContext(owner, before->security | SECURITY_RESTRICTED_OPERATION);
	role_set_kept(settings);
	role_only_compute();
}

/* See role.h. */
void
role_subscribe(Role *before, Oid user, List *settings)
{
	role_save(before);
	/* whoever reads the subscription, its query must not become the session's user */
	SetUserIdAndSecContext(user, before->security | SECURITY_LOCAL_USERID_CHANGE);
	role_set_kept(settings);
}

/* See role.h. */
void
role_own(Role *before)
{
	role_save(before);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, before->security | SECURITY_LOCAL_USERID_CHANGE);
	for (int i = 0; i < lengthof(role_pins); i++)
		role_set(role_pins[i].name, role_pins[i].value);
	XactReadOnly = false;
	role_set_computing(0);
}

/* See role.h: in a process of ours, which has the settings already. */
void
role_own_as(Oid user)
{
	SetUserIdAndSecContext(user, user == BOOTSTRAP_SUPERUSERID ? 0 : SECURITY_LOCAL_USERID_CHANGE);
}

/* See role.h. */
void
role_restore(const Role *before)
{
	role_set_computing(before->computing);
	XactReadOnly = before->read_only;
	/* session_authorization is put back outside of a restricted operation only, and sets the user */
	SetUserIdAndSecContext(before->user, before->security);
	AtEOXact_GUC(false, before->settings);
	SetUserIdAndSecContext(before->user, before->security);
}

/* See role.h. */
bool
role_computing(void)
{
	return role_computing_level > 0;
}

/* Is this a VOLATILE function that leaves no trace? */
static bool
role_function_harmless(Oid function)
{
	switch (function)
	{
		case F_TIMEOFDAY:
		case F_CLOCK_TIMESTAMP:
		case F_RANDOM:
		case F_SETSEED:
		case F_GEN_RANDOM_UUID:
		case F_SET_CONFIG:
		case F_PG_SLEEP:
		case F_PG_SLEEP_FOR:
		case F_PG_SLEEP_UNTIL:
		case F_CURRENT_QUERY:
		case F_LO_GET_OID:
		case F_LO_GET_OID_INT8_INT4:
		case F_LO_OPEN:
		case F_LO_CLOSE:
		case F_LOREAD:
		case F_LO_LSEEK:
		case F_LO_LSEEK64:
		case F_LO_TELL:
		case F_LO_TELL64:
		case F_QUERY_TO_XML:
		case F_CURSOR_TO_XML:
		case F_QUERY_TO_XMLSCHEMA:
		case F_CURSOR_TO_XMLSCHEMA:
		case F_QUERY_TO_XML_AND_XMLSCHEMA:
		case F_TS_REWRITE_TSQUERY_TEXT:
		case F_TS_STAT_TEXT:
		case F_TS_STAT_TEXT_TEXT:
		case F_BERNOULLI:
		case F_SYSTEM:
		case F_PG_IS_IN_RECOVERY:
		case F_PG_RELATION_SIZE_REGCLASS:
		case F_PG_RELATION_SIZE_REGCLASS_TEXT:
		case F_PG_TOTAL_RELATION_SIZE:
		case F_PG_TABLE_SIZE:
		case F_PG_INDEXES_SIZE:
		case F_PG_DATABASE_SIZE_NAME:
		case F_PG_DATABASE_SIZE_OID:
			return true;
		default:
			return false;
	}
}

/* Is this a function that may do what no right or state of the transaction stops? */
static bool
role_function_acts(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool acts;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	acts = form->provolatile == PROVOLATILE_VOLATILE &&
	       (form->prolang == INTERNALlanguageId || form->prolang == ClanguageId) &&
	       !role_function_harmless(function);
	ReleaseSysCache(tuple);
	return acts;
}

/* See role.h. */
void
role_check_function(Oid function)
{
	if (role_computing() && role_function_acts(function))
		ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
		                errmsg("cannot execute function %s in the query of a materialized view",
		                       format_procedure(function)),
		                errdetail(ROLE_ONLY_COMPUTES)));
}

/* See role.h. */
void
role_check_utility(Node *statement)
{
	if (!role_computing())
		return;
	switch (nodeTag(statement))
	{
		case T_VariableSetStmt:
		case T_VariableShowStmt:
		case T_ExplainStmt:
		case T_DoStmt:
		case T_CallStmt:
		case T_DeclareCursorStmt:
		case T_FetchStmt:
		case T_ClosePortalStmt:
			return;
		default:
			ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
			                errmsg("cannot execute %s in the query of a materialized view",
			                       CreateCommandName(statement)),
			                errdetail(ROLE_ONLY_COMPUTES)));
	}
}

/* See role.h. Outside of a transaction. */
void
role_start_process(void)
{
	StartTransactionCommand();
	/* so that an abort can put it back */
	SetConfigOption("session_authorization", GetUserNameFromId(BOOTSTRAP_SUPERUSERID, false),
	                PGC_SUSET, PGC_S_OVERRIDE);
	for (int i = 0; i < lengthof(role_pins); i++)
		SetConfigOption(role_pins[i].name, role_pins[i].value, PGC_SUSET, PGC_S_OVERRIDE);
	for (int i = 0; i < lengthof(role_process_pins); i++)
		SetConfigOption(role_process_pins[i].name, role_process_pins[i].value, PGC_SUSET,
		                PGC_S_OVERRIDE);
	/* a reload must not change them under views that have been loaded */
	for (int i = 0; i < lengthof(role_settings); i++)
	{
		const char *value = GetConfigOption(role_settings[i], true, false);

		if (value != NULL)
			SetConfigOption(role_settings[i], pstrdup(value), PGC_SUSET, PGC_S_OVERRIDE);
	}
	CommitTransactionCommand();
}

/* The end of a transaction: no query runs any more. */
static void
role_transaction_end(XactEvent event, void *argument)
{
	if (role_computing_level > 0)
		role_set_computing(0);
}

/* The abort of a subtransaction within which a view's query was begun. */
static void
role_subtransaction_end(SubXactEvent event, SubTransactionId own, SubTransactionId parent,
                        void *argument)
{
	if (event == SUBXACT_EVENT_ABORT_SUB &&
	    role_computing_level >= GetCurrentTransactionNestLevel())
		role_set_computing(0);
}

/* See role.h. */
void
role_register(void)
{
	RegisterXactCallback(role_transaction_end, NULL);
	RegisterSubXactCallback(role_subtransaction_end, NULL);
}
