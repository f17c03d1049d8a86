/*-------------------------------------------------------------------------
 *
 * share.c
 *	  One reading for several subscriptions: where one is, told to another.
 *
 * Whoever hands rows on to many (the server's dialect) lets one session read
 * them, and tells the others' subscriptions up to where. A subscription's
 * position is its cut, which other backends cannot come by otherwise: the last
 * committed one may be later already. With it another subscription to the same
 * relation goes there without reading (subscription_advance), or ends its next
 * reading there (subscription_read_to).
 *
 * Invariants:
 *	- A position is given to clients and taken back from them, and reading under
 *	  a snapshot that was never taken would leave false hints in pages. It is
 *	  therefore sealed: signed with a secret of this server's, which ends with it.
 *	- A subscription goes forward only, to positions that its own pin holds.
 *	- Only what two subscriptions with the same subscription_sharing read is the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "common/hmac.h"
#include "common/md5.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc_tables.h"
#include "utils/memutils.h"
#include "subscribe/subscription.h"

/* What is signed; the snapshot follows. */
typedef struct Position
{
	Oid database;
	Oid relation;
	Oid filenode; /* in which the rows at the cut are */
	uint32 padding;
	uint64 number;
	XLogRecPtr lsn;
	int64 at_ms;
	int64 frontier;
	int64 rows;
} Position;

PG_FUNCTION_INFO_V1(freshet_subscription_sharing);
PG_FUNCTION_INFO_V1(freshet_subscription_position);
PG_FUNCTION_INFO_V1(freshet_subscription_advance);
PG_FUNCTION_INFO_V1(freshet_subscription_read_to);

/* Add the name and value of every setting that is this session's own. */
static void
share_add_settings(StringInfo text)
{
	struct config_generic **variables = get_guc_variables();
	int count = GetNumConfigOptions();

	for (int i = 0; i < count; i++)
	{
		const char *value;

		/* a name for people: nothing is written by it */
		if (variables[i]->source < PGC_S_DATABASE ||
		    strcmp(variables[i]->name, "application_name") == 0)
			continue;
		value = GetConfigOption(variables[i]->name, true, false);
		appendStringInfo(text, "%s=%s", variables[i]->name, value != NULL ? value : "");
		appendStringInfoChar(text, '\n');
	}
}

/*
 * freshet.subscription_sharing(name): a text that is the same for subscriptions
 * whose changes are the same rows, written in the same way; NULL where that
 * cannot be said: a query may look at the session it runs in.
 */
Datum
freshet_subscription_sharing(PG_FUNCTION_ARGS)
{
	Subscription *subscription = subscription_find(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	StringInfoData settings;
	char digest[33];
	const char *problem = NULL;

	if (subscription->query != NULL || subscription->as_of != SUBSCRIPTION_NO_TIME ||
	    subscription->up_to != SUBSCRIPTION_NO_TIME)
		PG_RETURN_NULL();

	initStringInfo(&settings);
	share_add_settings(&settings);
	for (int i = 0; i < subscription->columns->natts; i++)
		appendStringInfo(&settings, "%d ", subscription->attributes[i]);
	if (!pg_md5_hash(settings.data, settings.len, digest, &problem))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
		                errmsg("could not compute %s hash: %s", "MD5", problem)));
	PG_RETURN_TEXT_P(cstring_to_text(
	    psprintf("%u/%u/%u/%s", MyDatabaseId, subscription->user, subscription->relation, digest)));
}

/* Sign so many bytes. */
static void
share_sign(const void *bytes, Size size, uint8 signature[PG_SHA256_DIGEST_LENGTH])
{
	pg_hmac_ctx *context = pg_hmac_create(PG_SHA256);

	if (context == NULL || pg_hmac_init(context, frontier_secret(), FRONTIER_SECRET_SIZE) < 0 ||
	    pg_hmac_update(context, bytes, size) < 0 ||
	    pg_hmac_final(context, signature, PG_SHA256_DIGEST_LENGTH) < 0)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
		                errmsg("could not sign a position: %s", pg_hmac_error(context))));
	pg_hmac_free(context);
}

/*
 * freshet.subscription_position(name): what the subscription has given out goes
 * up to here; sealed, for subscription_advance and subscription_read_to.
 */
Datum
freshet_subscription_position(PG_FUNCTION_ARGS)
{
	Subscription *subscription = subscription_find(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	const Cut *cut = subscription->cut;
	bytea *snapshot;
	Position *position;
	bytea *result;
	Size size;

	if (subscription->query != NULL || subscription->snapshot_due || frontier_secret() == NULL)
		PG_RETURN_NULL();

	snapshot = cut_serialize_snapshot(cut);
	size = sizeof(Position) + VARSIZE_ANY_EXHDR(snapshot);
	result = palloc(VARHDRSZ + size + PG_SHA256_DIGEST_LENGTH);
	SET_VARSIZE(result, VARHDRSZ + size + PG_SHA256_DIGEST_LENGTH);
	position = palloc0(size);
	position->database = MyDatabaseId;
	position->relation = subscription->relation;
	position->filenode = subscription->dependencies[0].filenode;
	position->number = cut->number;
	position->lsn = cut->lsn;
	position->at_ms = cut->at_ms;
	position->frontier = subscription->frontier;
	position->rows = subscription->rows;
	memcpy(position + 1, VARDATA_ANY(snapshot), VARSIZE_ANY_EXHDR(snapshot));
	memcpy(VARDATA(result), position, size);
	share_sign(position, size, (uint8 *) VARDATA(result) + size);
	PG_RETURN_BYTEA_P(result);
}

/* Open a sealed position for a subscription; *cut is made in the current memory context. */
static Position *
share_open(Subscription *subscription, const bytea *sealed, Cut **cut)
{
	Size size = VARSIZE_ANY_EXHDR(sealed);
	uint8 signature[PG_SHA256_DIGEST_LENGTH];
	Position *position;
	bytea *snapshot;

	if (subscription->query != NULL || subscription->snapshot_due)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("subscription \"%s\" cannot take a position", subscription->name),
		                errdetail("It is on a query, or has its snapshot still to give out.")));
	if (frontier_secret() == NULL || size <= sizeof(Position) + PG_SHA256_DIGEST_LENGTH)
		position = NULL;
	else
	{
		size -= PG_SHA256_DIGEST_LENGTH;
		position = palloc(size);
		memcpy(position, VARDATA_ANY(sealed), size);
		share_sign(position, size, signature);
		if (timingsafe_bcmp(signature, VARDATA_ANY(sealed) + size, sizeof(signature)) != 0)
			position = NULL;
	}
	if (position == NULL || position->database != MyDatabaseId ||
	    position->relation != subscription->relation)
		ereport(ERROR,
		        (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		         errmsg("this is no position for subscription \"%s\"", subscription->name),
		         errhint("Use what freshet.subscription_position returned for another subscription "
		                 "to the same relation, since the server's start.")));

	snapshot = palloc(VARHDRSZ + size - sizeof(Position));
	SET_VARSIZE(snapshot, VARHDRSZ + size - sizeof(Position));
	memcpy(VARDATA(snapshot), position + 1, size - sizeof(Position));
	*cut = palloc0(sizeof(Cut));
	(*cut)->number = position->number;
	(*cut)->snapshot = cut_restore_snapshot(snapshot);
	(*cut)->lsn = (*cut)->restart_lsn = position->lsn;
	(*cut)->at_ms = position->at_ms;
	/* a later number with an earlier xmin: an earlier life of this database's extension */
	if (position->number > subscription->cut->number &&
	    TransactionIdPrecedes((*cut)->snapshot->xmin, subscription->pin_xmin))
		ereport(ERROR,
		        (errcode(ERRCODE_SNAPSHOT_TOO_OLD),
		         errmsg("subscription \"%s\" does not hold this position", subscription->name)));
	return position;
}

/*
 * freshet.subscription_advance(name, position): the rows up to this position were
 * had elsewhere; go on from there. One that is not later changes nothing.
 */
Datum
freshet_subscription_advance(PG_FUNCTION_ARGS)
{
	Subscription *subscription = subscription_find(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	Position *position;
	Cut *cut;

	subscription_use(subscription);
	position_check(subscription);
	target_check(subscription);
	position = share_open(subscription, PG_GETARG_BYTEA_PP(1), &cut);
	if (cut->number > subscription->cut->number)
	{
		position_advance(subscription, cut);
		subscription->dependencies[0].filenode = position->filenode;
		subscription->rows = position->rows;
		subscription->frontier = Max(subscription->frontier, position->frontier);
	}
	else
		position_renew(subscription);
	subscription_release(subscription);
	PG_RETURN_VOID();
}

/*
 * freshet.subscription_read_to(name, position): the next reading ends at this
 * position. False: the subscription is past it, and that reading gives nothing.
 */
Datum
freshet_subscription_read_to(PG_FUNCTION_ARGS)
{
	Subscription *subscription = subscription_find(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	MemoryContext caller;
	Cut *cut;
	bool ahead;

	subscription_use(subscription);
	position_check(subscription);
	(void) share_open(subscription, PG_GETARG_BYTEA_PP(1), &cut);
	ahead = cut->number >= subscription->cut->number;
	if (subscription->read_to != NULL)
		cut_free(subscription->read_to);
	caller = MemoryContextSwitchTo(subscription->context);
	subscription->read_to = cut_copy(cut);
	MemoryContextSwitchTo(caller);
	if (!ahead)
		position_renew(subscription);
	subscription_release(subscription);
	PG_RETURN_BOOL(ahead);
}
