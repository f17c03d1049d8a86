/*-------------------------------------------------------------------------
 *
 * session.c
 *	  What a view's query, row security included, asks about the session.
 *
 * A view has no session: it is kept for its owner, from the moment it was created.
 * So current_user and session_user are the owner, and current_setting('name') is
 * what it was at that moment, kept with the view's settings; both become constants.
 * What is another thing in each session or transaction is refused: the number of
 * the backend, the client's address, the transaction's id.
 *
 * Functions of users that ask by themselves are not looked into. The worker answers
 * them with the same user (pg/role.c), and with its own settings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "pg/role.h"
#include "query/dependence.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/regproc.h"

/* What is known when a query is made independent of the session. */
typedef struct SessionOwner
{
	Oid owner;
	List *settings; /* kept with the view */
} SessionOwner;

/* What a query asks. */
typedef struct SessionUse
{
	char *fault; /* why it has no answer; NULL: it has */
	List *names; /* of settings, char * */
} SessionUse;

/* Does a function tell something that is another thing in each session? */
static bool
session_tells_own(Oid function)
{
	switch (function)
	{
		case F_PG_BACKEND_PID:
		case F_INET_CLIENT_ADDR:
		case F_INET_CLIENT_PORT:
		case F_INET_SERVER_ADDR:
		case F_INET_SERVER_PORT:
		case F_PG_MY_TEMP_SCHEMA:
		case F_PG_LISTENING_CHANNELS:
		case F_PG_TRIGGER_DEPTH:
		case F_TXID_CURRENT:
		case F_TXID_CURRENT_IF_ASSIGNED:
		case F_TXID_CURRENT_SNAPSHOT:
		case F_PG_CURRENT_XACT_ID:
		case F_PG_CURRENT_XACT_ID_IF_ASSIGNED:
		case F_PG_CURRENT_SNAPSHOT:
			return true;
		default:
			return false;
	}
}

/* Does an expression tell the user? */
static bool
session_tells_user(const Node *node)
{
	if (IsA(node, SQLValueFunction))
	{
		SQLValueFunctionOp op = ((const SQLValueFunction *) node)->op;

		return op == SVFOP_CURRENT_ROLE || op == SVFOP_CURRENT_USER || op == SVFOP_USER ||
		       op == SVFOP_SESSION_USER;
	}
	if (!IsA(node, FuncExpr))
		return false;
	return ((const FuncExpr *) node)->funcid == F_CURRENT_USER ||
	       ((const FuncExpr *) node)->funcid == F_SESSION_USER ||
	       ((const FuncExpr *) node)->funcid == F_GETPGUSERNAME;
}

/* Does an expression tell a setting? */
static bool
session_tells_setting(const Node *node)
{
	return IsA(node, FuncExpr) &&
	       (((const FuncExpr *) node)->funcid == F_CURRENT_SETTING_TEXT ||
	        ((const FuncExpr *) node)->funcid == F_CURRENT_SETTING_TEXT_BOOL);
}

/* The name of the setting that an expression tells; NULL: not a constant. */
static char *
session_setting_name(const Node *node)
{
	Node *name = eval_const_expressions(NULL, linitial(((const FuncExpr *) node)->args));

	if (!IsA(name, Const))
		return NULL;
	return ((Const *) name)->constisnull ? pstrdup("")
	                                     : TextDatumGetCString(((Const *) name)->constvalue);
}

/* Is NULL the answer where there is no such setting? */
static bool
session_setting_optional(const Node *node)
{
	const FuncExpr *call = (const FuncExpr *) node;
	Node *optional =
	    list_length(call->args) < 2 ? NULL : eval_const_expressions(NULL, lsecond(call->args));

	return optional != NULL && IsA(optional, Const) && !((Const *) optional)->constisnull &&
	       DatumGetBool(((Const *) optional)->constvalue);
}

/* Is this a setting that follows from who the owner is? */
static char *
session_owner_setting(const char *name, Oid owner)
{
	if (pg_strcasecmp(name, "role") == 0)
		return pstrdup("none");
	if (pg_strcasecmp(name, "session_authorization") == 0)
		return GetUserNameFromId(owner, false);
	if (pg_strcasecmp(name, "is_superuser") == 0)
		return pstrdup(superuser_arg(owner) ? "on" : "off");
	return NULL;
}

/* A function that tells what is the session's own. */
static bool
session_fault_function(Oid function, void *context)
{
	SessionUse *use = context;

	if (session_tells_own(function))
		use->fault =
		    psprintf("%s is another in each session or transaction", format_procedure(function));
	return use->fault != NULL;
}

/* Collect what a query asks, up to the first fault. */
static bool
session_walker(Node *node, SessionUse *use)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, session_walker, use, 0);
	if (check_functions_in_node(node, session_fault_function, use))
		return true;
	if (session_tells_setting(node))
	{
		char *name = session_setting_name(node);

		if (name == NULL)
		{
			use->fault = "the name of a setting is not a constant";
			return true;
		}
		use->names = lappend(use->names, name);
	}
	return expression_tree_walker(node, session_walker, use);
}

/* See dependence.h. */
const char *
session_fault(Query *query)
{
	SessionUse use = {0};

	(void) session_walker((Node *) query, &use);
	return use.fault;
}

/* See dependence.h. */
List *
session_settings(Query *query)
{
	SessionUse use = {0};
	List *settings = NIL;
	ListCell *cell;

	(void) session_walker((Node *) query, &use);
	foreach (cell, use.names)
	{
		char *name = lfirst(cell);
		char *value = GetConfigOptionByName(name, NULL, true);

		if (!role_keeps_setting(name) && session_owner_setting(name, BOOTSTRAP_SUPERUSERID) == NULL)
			settings = lappend(settings, value != NULL ? psprintf("%s=%s", name, value) : name);
	}
	return settings;
}

/* A constant of a type, or NULL. */
static Node *
session_constant(Oid type, Oid collation, int length, bool isnull, Datum value)
{
	return (Node *) makeConst(type, -1, collation, length, value, isnull, false);
}

/* What a setting was when the view was created. */
static Node *
session_setting(Node *node, const SessionOwner *of)
{
	char *name = session_setting_name(node);
	char *value = session_owner_setting(name, of->owner);
	bool kept = value != NULL;
	ListCell *cell;

	foreach (cell, of->settings)
	{
		const char *setting = lfirst(cell);
		size_t length = strcspn(setting, "=");

		if (kept || length != strlen(name) || pg_strncasecmp(setting, name, length) != 0)
			continue;
		kept = true;
		if (setting[length] == '=')
			value = pstrdup(setting + length + 1);
	}
	if (!kept)
		ereport(ERROR,
		        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		         errmsg("setting \"%s\" was not kept with the materialized view", name),
		         errdetail("Its query did not read the setting when the view was created."),
		         errhint("freshet.release() and then freshet.adopt() keep its present value.")));
	if (value == NULL && name[0] != '\0' && !session_setting_optional(node))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
		                errmsg("unrecognized configuration parameter \"%s\"", name)));
	return session_constant(TEXTOID, exprCollation(node), -1, value == NULL,
	                        value == NULL ? (Datum) 0 : CStringGetTextDatum(value));
}

/* Put constants where a query asks about the session. */
static Node *
session_mutator(Node *node, SessionOwner *of)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, session_mutator, of, 0);
	if (session_tells_user(node))
	{
		Name user = palloc0(NAMEDATALEN);

		namestrcpy(user, GetUserNameFromId(of->owner, false));
		return session_constant(NAMEOID, C_COLLATION_OID, NAMEDATALEN, false, NameGetDatum(user));
	}
	if (session_tells_setting(node))
		return session_setting(node, of);
	return expression_tree_mutator(node, session_mutator, of);
}

/* See dependence.h. */
Query *
session_constants(Query *query, Oid owner, List *settings)
{
	SessionOwner of = {.owner = owner, .settings = settings};
	const char *fault = session_fault(query);

	if (fault != NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		                errmsg("the query cannot be kept fresh any more: %s", fault),
		                errhint("freshet.release() makes it a plain materialized view.")));
	return (Query *) session_mutator((Node *) query, &of);
}
