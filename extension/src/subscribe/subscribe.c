/*-------------------------------------------------------------------------
 *
 * subscribe.c
 *	  freshet.subscribe, unsubscribe, subscription_frontier and read_by_fetch_alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pg/role.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "subscribe/subscription.h"
#include "view/catalog.h"

PG_FUNCTION_INFO_V1(freshet_subscribe);
PG_FUNCTION_INFO_V1(freshet_unsubscribe);
PG_FUNCTION_INFO_V1(freshet_subscription_frontier);
PG_FUNCTION_INFO_V1(freshet_read_by_fetch_alone);

/* An argument in milliseconds since 1970, or SUBSCRIPTION_NO_TIME for NULL. */
static int64
subscribe_time_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	int64 value;

	if (PG_ARGISNULL(argument))
		return SUBSCRIPTION_NO_TIME;
	value = DatumGetInt64(DirectFunctionCall1(numeric_int8, PG_GETARG_DATUM(argument)));
	if (value < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("%s must be a number of milliseconds since 1970", name)));
	return value;
}

/* Did this transaction make the extension? Then no worker knows of it yet. */
static bool
subscribe_before_commit(void)
{
	HeapTuple schema = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(catalog_schema()));
	bool mine;

	if (!HeapTupleIsValid(schema))
		return false;
	mine = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(schema->t_data));
	ReleaseSysCache(schema);
	return mine;
}

/* This database's place in shared memory; an error if there is none, or no worker can be. */
static FrontierDatabase *
subscribe_database(void)
{
	FrontierDatabase *database = NULL;

	if (catalog_installed())
		database = frontier_database(MyDatabaseId, true);
	if (database == NULL)
		ereport(ERROR,
		        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		         errmsg("freshet is not running in this server"),
		         errhint("Add freshet to shared_preload_libraries and restart the server.")));
	if (subscribe_before_commit())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("the first view of this database is not committed yet"),
		                errdetail("This transaction has made extension \"freshet\"."),
		                errhint("Commit before you subscribe.")));
	return database;
}

/*
 * freshet.subscribe(name, target, snapshot, as_of, up_to): make a subscription;
 * returns the target's columns as a column definition list.
 */
Datum
freshet_subscribe(PG_FUNCTION_ARGS)
{
	Subscription *subscription;
	Scope scope;
	Role before;
	int64 as_of;
	int64 up_to;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
		                errmsg("name, target and snapshot of a subscription must not be null")));
	as_of = subscribe_time_argument(fcinfo, 3, "as_of");
	up_to = subscribe_time_argument(fcinfo, 4, "up_to");
	if (as_of != SUBSCRIPTION_NO_TIME && up_to != SUBSCRIPTION_NO_TIME && up_to < as_of)
		ereport(ERROR,
		        (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		         errmsg("UP TO " INT64_FORMAT " is before AS OF " INT64_FORMAT, up_to, as_of)));

	subscription = subscription_create(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	subscription->database = subscribe_database();
	subscription->snapshot_due = PG_GETARG_BOOL(2);
	subscription->as_of = as_of;
	subscription->up_to = up_to;

	role_subscribe(&before, subscription->user, NIL);
	scope_enter(&scope);
	target_resolve(subscription, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	scope_leave(&scope);
	position_start(subscription);
	role_restore(&before);

	PG_RETURN_TEXT_P(cstring_to_text(target_column_list(subscription->columns)));
}

/* freshet.unsubscribe(name) */
Datum
freshet_unsubscribe(PG_FUNCTION_ARGS)
{
	Subscription *subscription = subscription_find(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	subscription_use(subscription);
	subscription_drop(subscription);
	PG_RETURN_VOID();
}

/* freshet.subscription_frontier(name): no later row will have an earlier time */
Datum
freshet_subscription_frontier(PG_FUNCTION_ARGS)
{
	Subscription *subscription = subscription_find(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	PG_RETURN_NUMERIC(int64_to_numeric(subscription->frontier));
}

/* freshet.read_by_fetch_alone(): the condition of a cursor that stands for a subscription */
Datum
freshet_read_by_fetch_alone(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
	                errmsg("a cursor over SUBSCRIBE can only be read by FETCH"),
	                errhint("Send FETCH as a statement of its own, not within a function.")));
}
