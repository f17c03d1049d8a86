/*-------------------------------------------------------------------------
 *
 * commit.c
 *	  On Materialize's door a DDL statement that opens a transaction block
 *	  commits at once: drivers begin a block by themselves, and scripts written
 *	  for Materialize do not commit after CREATE TABLE. The client's block
 *	  goes on (COMMIT AND CHAIN).
 *
 * Invariants:
 *	- `begun` is true only if nothing but its BEGIN was sent in the block. Every message
 *	  that goes to the backend is noted (commit_passes), of whatever type and length, and so
 *	  is every one that the dialect takes. Where something is not certain `begun`
 *	  is false, and PostgreSQL's rules hold: a name that SQL may have given to another
 *	  statement, a BEGIN behind something that is not answered yet.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/materialize.h"

#include <string.h>

/* Is the text one statement? Read as a whole only if its head says that this matters. */
static bool
is_single(const char *text, size_t length, bool standard_strings)
{
	SqlLexer lexer;
	SqlStatement statement;

	sql_lexer_init(&lexer, text, length, standard_strings);
	return sql_next_statement(&lexer, &statement) && !sql_next_statement(&lexer, &statement);
}

/* The head of a text, behind what is no statement. */
static SqlLexer
text_head(const char *text, size_t length, bool standard_strings)
{
	SqlLexer head;

	sql_lexer_init(&head, text, length, standard_strings);
	while (sql_accept(&head, ";"))
		;
	return head;
}

/* BEGIN or START TRANSACTION. */
static bool
is_begin(const char *text, size_t length, bool standard_strings)
{
	SqlLexer head = text_head(text, length, standard_strings);

	return mz_accept_begin(&head) && is_single(text, length, standard_strings);
}

/* DDL that Materialize has too. Temporary tables may end with their block. */
static bool
is_ddl(const char *text, size_t length, bool standard_strings)
{
	SqlLexer head = text_head(text, length, standard_strings);

	if (!sql_accept(&head, "drop") && !sql_accept(&head, "alter"))
	{
		if (!sql_accept(&head, "create"))
			return false;
		sql_accept_two(&head, "or", "replace");
		if (sql_accept(&head, "global") || sql_accept(&head, "local") ||
		    sql_is(sql_peek(&head), "temp") || sql_is(sql_peek(&head), "temporary"))
			return false;
	}
	return is_single(text, length, standard_strings);
}

/* Is the Query DDL that is to be committed at once, if what came before went well? */
bool
commit_may(const Materialize *mz, const char *text, size_t length)
{
	return session_door(mz->session) == DOOR_MATERIALIZE && mz->commit.begun &&
	       is_ddl(text, length, session_standard_strings(mz->session));
}

/* Did it? */
bool
commit_at_once(const Materialize *mz, const MzReading *reading)
{
	return reading->ddl && mz->commit.begun && session_transaction(mz->session) == 'T';
}

/* Forget a name, if it is this one. */
static void
forget_name(bool *has, const char *known, const char *name)
{
	*has = *has && strcmp(known, name) != 0;
}

/* A statement is parsed under a name; text NULL: it is not known whole. */
void
commit_parsed(Materialize *mz, const char *name, const char *text)
{
	CommitWatch *watch = &mz->commit;
	bool standard_strings = session_standard_strings(mz->session);

	forget_name(&watch->has_ddl, watch->ddl, name);
	forget_name(&watch->has_begin, watch->begin, name);
	if (text == NULL || strlen(name) >= COMMIT_NAME)
		return;
	if (is_ddl(text, strlen(text), standard_strings))
	{
		watch->has_ddl = true;
		strcpy(watch->ddl, name);
	}
	else if (is_begin(text, strlen(text), standard_strings))
	{
		watch->has_begin = true;
		strcpy(watch->begin, name);
	}
}

/* Something other than a BEGIN or such DDL is executed. */
void
commit_taken(Materialize *mz)
{
	mz->commit.begun = false;
	mz->commit.pending = false;
	mz->commit.executed = true;
}

/* A BEGIN is executed. */
static void
begin_executed(CommitWatch *watch)
{
	watch->begun = !watch->executed;
	watch->pending = false;
	watch->executed = true;
}

/* Might the text give a name to another statement, or is it not known? */
static bool
may_rename(const char *text)
{
	static const char *const words[] = {"deallocate", "discard", "prepare"};

	for (size_t i = 0; text != NULL && i < sizeof(words) / sizeof(words[0]); i++)
	{
		if (sql_mentions(text, strlen(text), words[i]))
			return true;
	}
	return text == NULL;
}

/* A string of a message; NULL: it does not end in what is there. */
static const char *
read_known(WireReader *reader)
{
	const char *text = wire_read_string(reader);

	return reader->failed ? NULL : text;
}

/* Note what a message does to the block. */
void
commit_passes(Materialize *mz, const WireMessage *message, bool settled)
{
	CommitWatch *watch = &mz->commit;
	WireReader reader;
	const char *name = "";
	const char *text = "";

	if (settled)
		watch->executed = session_transaction(mz->session) != 'I';
	wire_read(&reader, message);
	switch (message->type)
	{
		case 'P':
			name = read_known(&reader);
			text = name == NULL ? NULL : read_known(&reader);
			if (name != NULL)
				commit_parsed(mz, name, text);
			break;
		case 'Q':
			text = read_known(&reader);
			if (text != NULL && is_begin(text, strlen(text), session_standard_strings(mz->session)))
				begin_executed(watch);
			else
				commit_taken(mz);
			break;
		case 'B':
			text = read_known(&reader); /* the portal */
			name = text == NULL ? NULL : read_known(&reader);
			if (name != NULL && watch->has_begin && strcmp(watch->begin, name) == 0)
				begin_executed(watch);
			else if (name != NULL && watch->has_ddl && strcmp(watch->ddl, name) == 0 &&
			         watch->begun && !watch->pending)
				watch->pending = true;
			else
				commit_taken(mz);
			return;
		case 'F':
			commit_taken(mz);
			return;
		default:
			return;
	}
	if (may_rename(text))
		watch->has_ddl = watch->has_begin = false;
}

/* Say once to a client what becomes of its DDL here. */
void
commit_tell(Materialize *mz)
{
	int port = session_door_port(mz->session, DOOR_POSTGRES);
	WireError notice = {.severity = "NOTICE",
	                    .sqlstate = "00000",
	                    .message =
	                        "DDL that opens a transaction block is committed at once on this port"};

	if (mz->commit.told)
		return;
	mz->commit.told = true;
	if (port > 0)
		notice.hint =
		    arena_printf(&mz->memory, "Where DDL is to wait for COMMIT, use port %d.", port);
	task_notice(mz, &notice);
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
	commit_tell(mz);
	flight_begin(mz);
	flight_statement(mz, "COMMIT AND CHAIN", ANSWER_SILENT);
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
