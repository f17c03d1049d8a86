/*-------------------------------------------------------------------------
 *
 * commit.c
 *	  On Materialize's door a DDL statement that opens a transaction block
 *	  commits at once: drivers begin a block by themselves, and scripts written
 *	  for Materialize do not commit after CREATE TABLE. The client's block
 *	  goes on (COMMIT AND CHAIN).
 *
 * Invariants:
 *	- `begun` is true only if nothing but its BEGIN was sent in the block. Where
 *	  that is not certain it is false, and PostgreSQL's rules hold.
 *	- What is noted while a message is only looked at (commit_wants) may be
 *	  noted twice without harm.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/materialize.h"

#include <string.h>

/* The first tokens of a text, and whether it is one statement. */
static bool
single_statement(const char *text, size_t length, bool standard_strings, SqlLexer *head)
{
	SqlLexer lexer;
	SqlStatement first;
	SqlStatement second;

	sql_lexer_init(&lexer, text, length, standard_strings);
	if (!sql_next_statement(&lexer, &first))
		return false;
	sql_lexer_init(head, first.start, first.length, standard_strings);
	return !sql_next_statement(&lexer, &second);
}

/* BEGIN or START TRANSACTION. */
static bool
is_begin(const char *text, size_t length, bool standard_strings)
{
	SqlLexer head;

	return single_statement(text, length, standard_strings, &head) &&
	       (sql_accept(&head, "begin") || sql_accept_two(&head, "start", "transaction"));
}

/* DDL that Materialize has too. Temporary tables may end with their block. */
static bool
is_ddl(const char *text, size_t length, bool standard_strings)
{
	SqlLexer head;

	if (!single_statement(text, length, standard_strings, &head))
		return false;
	if (sql_accept(&head, "drop") || sql_accept(&head, "alter"))
		return true;
	if (!sql_accept(&head, "create"))
		return false;
	sql_accept_two(&head, "or", "replace");
	if (sql_accept(&head, "global") || sql_accept(&head, "local"))
		return false;
	return !sql_is(sql_peek(&head), "temp") && !sql_is(sql_peek(&head), "temporary");
}

/* Is the Query DDL that is to be committed at once? */
bool
commit_at_once(Materialize *mz, const char *text, size_t length)
{
	return mz->commit.begun && session_transaction(mz->session) == 'T' &&
	       is_ddl(text, length, session_standard_strings(mz->session));
}

/* Note what the message does to the block; is it to be taken? */
bool
commit_wants(Materialize *mz, const WireMessage *message)
{
	CommitWatch *watch = &mz->commit;
	bool standard_strings = session_standard_strings(mz->session);
	WireReader reader;
	const char *name;
	const char *text;

	wire_read(&reader, message);
	switch (message->type)
	{
		case 'Q':
			text = wire_read_string(&reader);
			if (reader.failed)
				return false;
			if (commit_at_once(mz, text, strlen(text)))
				return true;
			watch->begun = session_transaction(mz->session) == 'I' &&
			               is_begin(text, strlen(text), standard_strings);
			return false;
		case 'P':
			name = wire_read_string(&reader);
			text = wire_read_string(&reader);
			if (reader.failed)
				return false;
			if (strcmp(watch->ddl, name) == 0)
				watch->is_ddl = false;
			if (is_ddl(text, strlen(text), standard_strings) && strlen(name) < sizeof(watch->ddl))
			{
				watch->is_ddl = true;
				strcpy(watch->ddl, name);
				return false;
			}
			watch->pending = false;
			watch->begun = session_transaction(mz->session) == 'I' &&
			               is_begin(text, strlen(text), standard_strings);
			return false;
		case 'B':
			wire_read_string(&reader);
			name = wire_read_string(&reader);
			if (reader.failed)
				return false;
			if (watch->is_ddl && strcmp(watch->ddl, name) == 0)
				watch->pending = watch->begun;
			else if (name[0] != '\0' || watch->pending)
				/* a named statement may be anything */
				watch->begun = watch->pending = false;
			return false;
		case 'S':
			return watch->pending;
		default:
			return false;
	}
}

/* COMMIT AND CHAIN is done. */
static void
chained(Materialize *mz)
{
	if (mz->flight.failed)
	{
		WireError error = {.sqlstate = mz->error.sqlstate,
		                   .message = mz->error.message,
		                   .detail = mz->error.detail,
		                   .hint = mz->error.hint};

		session_error(mz->session, &error);
	}
	session_ready_for_query(mz->session);
	commit_ready(mz, mz->status);
	task_done(mz, NULL);
}

/* The client's Sync behind DDL. */
static void
settled(Materialize *mz)
{
	if (mz->status != 'T')
	{
		session_ready_for_query(mz->session);
		commit_ready(mz, mz->status);
		task_done(mz, NULL);
		return;
	}
	flight_begin(mz);
	flight_statement(mz, "COMMIT AND CHAIN", PART_SILENT);
	flight_send(mz, FLIGHT_SYNC, chained);
}

/* Take the Sync behind DDL. */
void
commit_take_sync(Materialize *mz)
{
	mz->commit.pending = false;
	mz->commit.begun = true;
	task_execute(mz, false, settled);
}

/* A ReadyForQuery went to the client. */
void
commit_ready(Materialize *mz, char status)
{
	mz->commit.pending = false;
	if (status != 'T')
		mz->commit.begun = false;
}
