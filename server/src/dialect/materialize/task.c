/*-------------------------------------------------------------------------
 *
 * task.c
 *	  What the dialect does while it has control: the statements of a Query
 *	  one by one, or the one message of the extended protocol.
 *
 * A Query of several statements is one transaction in PostgreSQL, unless it
 * has transaction commands of its own. As the statements are sent one by one
 * here, a block is put around them (Materialize.implicit).
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/materialize.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void next_statement(Materialize *mz);

/* A message to the client. */
void
task_send(Materialize *mz, char type, const void *body, size_t length)
{
	Buffer out = {0};
	size_t begun = wire_begin(&out, type);

	wire_add_bytes(&out, body, length);
	wire_end(&out, begun);
	session_to_client(mz->session, buffer_data(&out), out.length);
	buffer_free(&out);
}

/* Be shown every message of the client as long as something here depends on them. */
void
task_watch(Materialize *mz)
{
	session_watch(mz->session, extended_active(mz) || mz->cursors != NULL ||
	                               session_door(mz->session) == DOOR_MATERIALIZE);
}

/* Give control back. */
static void
task_end(Materialize *mz)
{
	if (mz->status == 'I')
		cursor_forget_all(mz);
	/* a cancel of this task must not be repeated in the next one */
	session_timer(mz->session, 0);
	mz->task = TASK_NONE;
	mz->cancelled = false;
	mz->run = (Run){0};
	mz->making = NULL;
	reading_free(mz->query);
	mz->query = NULL;
	arena_reset(&mz->memory);
	task_watch(mz);
	session_release(mz->session);
}

/* The Query is answered. */
static void
query_ready(Materialize *mz)
{
	/* nothing was asked of the backend */
	if (mz->unnamed_due)
	{
		flight_begin(mz);
		flight_send(mz, FLIGHT_SYNC, query_ready);
		return;
	}
	session_ready_for_query(mz->session);
	commit_ready(mz, mz->status);
	task_end(mz);
}

/* The block around the statements, or that of DDL, was committed. */
static void
query_committed(Materialize *mz)
{
	mz->implicit = false;
	if (mz->flight.failed)
		task_failed(mz);
	else
		query_ready(mz);
}

/* All statements are done, or one has failed. */
static void
query_over(Materialize *mz)
{
	const char *command = NULL;

	if (mz->implicit)
		command = mz->failed ? "ROLLBACK" : "COMMIT";
	else if (mz->at_once && !mz->failed && mz->status == 'T')
	{
		command = "COMMIT AND CHAIN";
		commit_tell(mz);
	}
	mz->at_once = false;
	if (command == NULL)
	{
		query_ready(mz);
		return;
	}
	flight_begin(mz);
	mz->flight.quiet = mz->failed;
	flight_statement(mz, command, ANSWER_SILENT);
	flight_send(mz, FLIGHT_SYNC, query_committed);
}

/* An error reached the client. */
static void
task_error_sent(Materialize *mz)
{
	if (mz->task == TASK_QUERY)
	{
		bool again = mz->failed;

		mz->failed = true;
		if (again)
			query_ready(mz);
		else
			query_over(mz);
	}
	else
		task_end(mz);
}

/* What the failed statement had begun is cleared away. */
static void
task_failed_cleared(Materialize *mz)
{
	WireError error = {.sqlstate = mz->error.sqlstate,
	                   .message = mz->error.message,
	                   .detail = mz->error.detail,
	                   .hint = mz->error.hint,
	                   .position = mz->error.position[0] != '\0' ? mz->error.position : NULL};

	session_error(mz->session, &error);
	mz->error.position[0] = '\0';
	task_error_sent(mz);
}

/* The task has failed; mz->error says why. */
void
task_failed(Materialize *mz)
{
	Stream *stream = mz->run.stream;

	share_leave(mz);
	mz->cancelled = false;
	/* a cursor's stream lives until its block ends, whatever happens to it */
	if (stream != NULL && mz->run.mode != RUN_FETCH)
	{
		extended_forget_stream(mz, stream);
		stream_drop(mz, stream, FLIGHT_SYNC, task_failed_cleared);
	}
	else
		task_failed_cleared(mz);
}

/* The block has failed, as it had to. */
static void
raised(Materialize *mz)
{
	task_failed(mz);
}

/* A statement without rows that raises the error, in the flight's memory. */
char *
task_raise_sql(Materialize *mz, const char *sqlstate, const char *message)
{
	Text block;
	Text sql;

	text_init(&block, &mz->flight.memory);
	text_append(&block, "BEGIN RAISE EXCEPTION USING ERRCODE = ");
	text_literal(&block, sqlstate);
	text_append(&block, ", MESSAGE = ");
	text_literal(&block, message);
	text_append(&block, "; END");
	text_init(&sql, &mz->flight.memory);
	text_append(&sql, "DO ");
	text_literal(&sql, block.data);
	return sql.data;
}

/*
 * Fail with an error of the dialect's own. In a transaction block the backend
 * raises it too, so that the block fails.
 */
void
task_raise(Materialize *mz, const char *sqlstate, const char *message, const char *hint)
{
	/* a failed block says so of whatever can be read */
	if (mz->status == 'E' && strcmp(sqlstate, "42601") != 0)
	{
		sqlstate = "25P02";
		message = "current transaction is aborted, commands ignored until end of transaction block";
		hint = NULL;
		mz->error.position[0] = '\0';
	}
	snprintf(mz->error.sqlstate, sizeof(mz->error.sqlstate), "%s", sqlstate);
	free(mz->error.message);
	free(mz->error.detail);
	free(mz->error.hint);
	mz->error.message = copy_string(message);
	mz->error.detail = NULL;
	mz->error.hint = hint != NULL ? copy_string(hint) : NULL;
	if (mz->status == 'T')
	{
		flight_begin(mz);
		mz->flight.quiet = true;
		flight_statement(mz, task_raise_sql(mz, sqlstate, message), ANSWER_SILENT);
		flight_send(mz, FLIGHT_SYNC, raised);
	}
	else
		task_failed(mz);
}

/* Fail because the client asked to cancel. */
void
task_raise_cancelled(Materialize *mz)
{
	task_raise(mz, "57014", "canceling statement due to user request", NULL);
}

/* The statement is done; tag NULL: the client has had its CommandComplete. */
void
task_done(Materialize *mz, const char *tag)
{
	if (tag != NULL)
		task_send(mz, 'C', tag, strlen(tag) + 1);
	if (mz->task == TASK_QUERY)
		next_statement(mz);
	else
		task_end(mz);
}

/* A statement of PostgreSQL's was answered to the client. */
static void
raw_done(Materialize *mz)
{
	if (mz->flight.failed)
		task_error_sent(mz);
	else
		next_statement(mz);
}

/* A notice to the client. */
void
task_notice(Materialize *mz, const WireError *notice)
{
	Buffer out = {0};

	wire_add_notice(&out, notice);
	session_to_client(mz->session, buffer_data(&out), out.length);
	buffer_free(&out);
}

/* The statement's notice, if it has one. */
void
task_notice_of(Materialize *mz, const MzStatement *statement)
{
	if (statement->notice != NULL)
		task_notice(mz, &(WireError){.severity = "NOTICE",
		                             .sqlstate = "00000",
		                             .message = statement->notice,
		                             .hint = statement->hint});
}

/* Let PostgreSQL answer the statement that was parsed last. */
static void
query_pass(Materialize *mz)
{
	const MzStatement *statement = &mz->statement;
	SqlStatement text = statement->text;

	flight_begin(mz);
	task_notice_of(mz, statement);
	if (statement->kind == MZ_REWRITTEN)
		text = (SqlStatement){statement->rewritten, strlen(statement->rewritten)};
	/* what is rewritten in its own place keeps its places */
	if (statement->kind != MZ_REWRITTEN || statement->in_place)
		flight_place(mz, "", 0, text.start, statement->at);
	flight_query(mz, text.start, text.length, ANSWER_CLIENT, raw_done);
}

/* The statement that was to be a subscription's is PostgreSQL's. */
void
task_pass(Materialize *mz)
{
	if (mz->task == TASK_QUERY)
		query_pass(mz);
	else
		extended_pass(mz);
}

/* PostgreSQL's name for a BEGIN, whichever way it is written. */
static const char *
query_begin_tag(const Materialize *mz)
{
	SqlLexer lexer;

	sql_lexer_init(&lexer, mz->statement.text.start, mz->statement.text.length, true);
	return sql_accept(&lexer, "start") ? "START TRANSACTION" : "BEGIN";
}

/* The options of the client's BEGIN are set. */
static void
begin_set(Materialize *mz)
{
	if (mz->flight.failed)
		task_failed(mz);
	else
	{
		/* the block is the client's from here on */
		mz->implicit = false;
		task_done(mz, query_begin_tag(mz));
	}
}

/* The client's BEGIN in the block around the statements: it is that block, with these options. */
static void
query_begin(Materialize *mz, SqlLexer options)
{
	SqlToken token;
	Text sql;

	if (!sql_accept(&options, "transaction"))
		sql_accept(&options, "work");
	token = sql_peek(&options);
	if (token.kind == SQL_END)
	{
		mz->implicit = false;
		task_done(mz, query_begin_tag(mz));
		return;
	}
	flight_begin(mz);
	text_init(&sql, &mz->flight.memory);
	text_append(&sql, "SET TRANSACTION ");
	text_append_bytes(&sql, token.start, options.length - (size_t) (token.start - options.text));
	flight_statement(mz, sql.data, ANSWER_SILENT);
	flight_send(mz, FLIGHT_SYNC, begin_set);
}

/*
 * Transaction commands among the statements of a Query, within the block that is only
 * around them. True: the command was dealt with.
 */
static bool
query_transaction(Materialize *mz)
{
	static const WireError none = {.severity = "WARNING",
	                               .sqlstate = "25P01",
	                               .message = "there is no transaction in progress"};
	SqlLexer lexer;
	const char *refused = NULL;

	sql_lexer_init(&lexer, mz->statement.text.start, mz->statement.text.length, true);
	if (mz_accept_begin(&lexer))
	{
		query_begin(mz, lexer);
		return true;
	}
	if (sql_accept(&lexer, "savepoint"))
		refused = "SAVEPOINT can only be used in transaction blocks";
	else if (sql_accept(&lexer, "release"))
		refused = "RELEASE SAVEPOINT can only be used in transaction blocks";
	else if (sql_is(sql_peek(&lexer), "commit") || sql_is(sql_peek(&lexer), "rollback") ||
	         sql_is(sql_peek(&lexer), "end") || sql_is(sql_peek(&lexer), "abort"))
	{
		sql_next(&lexer);
		if (!sql_accept(&lexer, "transaction"))
			sql_accept(&lexer, "work");
		if (sql_accept(&lexer, "to"))
			refused = "ROLLBACK TO SAVEPOINT can only be used in transaction blocks";
		else if (sql_accept_two(&lexer, "and", "chain"))
			refused =
			    "COMMIT AND CHAIN and ROLLBACK AND CHAIN can only be used in transaction blocks";
		else if (sql_is(sql_peek(&lexer), "prepared"))
			return false;
		else
		{
			mz->implicit = false;
			task_notice(mz, &none);
		}
	}
	if (refused != NULL)
		task_raise(mz, "25P01", refused, NULL);
	return refused != NULL;
}

/* Begin the statement that was parsed last. */
static void
begin_statement(Materialize *mz)
{
	const MzStatement *statement = &mz->statement;

	if (statement->kind != MZ_OTHER && statement->kind != MZ_REWRITTEN)
		task_statement(mz, statement);
	else if (!mz->implicit || !query_transaction(mz))
		query_pass(mz);
}

/* The block around the statements has begun. */
static void
implicit_begun(Materialize *mz)
{
	if (mz->flight.failed)
	{
		task_failed(mz);
		return;
	}
	mz->implicit = true;
	begin_statement(mz);
}

/* Does the statement open a block by itself? */
static bool
opens_block(SqlStatement statement)
{
	SqlLexer lexer;

	sql_lexer_init(&lexer, statement.start, statement.length, true);
	return mz_accept_begin(&lexer);
}

/* Go on with the Query's next statement. */
static void
next_statement(Materialize *mz)
{
	const MzPiece *piece;

	mz->run = (Run){0};
	/* the statement before may have been a COMMIT */
	if (mz->status == 'I')
		cursor_forget_all(mz);
	if (mz->piece == mz->query->count)
	{
		query_over(mz);
		return;
	}
	if (mz->cancelled)
	{
		task_raise_cancelled(mz);
		return;
	}
	piece = &mz->query->pieces[mz->piece++];
	if (piece->statement != NULL)
		mz->statement = *piece->statement;
	else
		mz->statement = (MzStatement){.text = piece->text};
	mz->statement_at +=
	    mz_characters(mz->statement_start, (size_t) (piece->text.start - mz->statement_start));
	mz->statement_start = piece->text.start;
	mz->statement.at = mz->statement_at;
	if ((mz->statement.kind == MZ_FETCH || mz->statement.kind == MZ_CLOSE) &&
	    !cursor_concerned(mz, &mz->statement.fetch))
		mz->statement.kind = MZ_OTHER;
	if (mz->query->count > 1 && !mz->implicit && mz->status == 'I' && !opens_block(piece->text))
	{
		flight_begin(mz);
		flight_statement(mz, "BEGIN", ANSWER_SILENT);
		flight_send(mz, FLIGHT_SYNC, implicit_begun);
	}
	else
		begin_statement(mz);
}

/* Take a Query. */
void
task_query(Materialize *mz, MzReading *reading, bool at_once)
{
	mz->task = TASK_QUERY;
	mz->status = session_transaction(mz->session);
	mz->query = reading;
	mz->piece = 0;
	mz->statement_start = reading->text;
	mz->statement_at = 1;
	mz->implicit = false;
	mz->failed = false;
	mz->at_once = at_once;
	mz->unnamed_due = true;
	flight_forget_prepared(mz);
	next_statement(mz);
}

/* The backend has settled what came before the task. */
static void
settled(Materialize *mz)
{
	void (*begin)(Materialize *) = mz->begin;

	begin(mz);
}

/*
 * Take an Execute. The client's flight may have opened a transaction, so a
 * Sync first tells the status; but not if that would close a suspended portal.
 */
void
task_execute(Materialize *mz, bool resume, void (*begin)(Materialize *mz))
{
	mz->task = TASK_EXECUTE;
	mz->status = session_transaction(mz->session);
	mz->begin = begin;
	flight_forget_prepared(mz);
	if (resume)
	{
		begin(mz);
		return;
	}
	flight_begin(mz);
	flight_send(mz, FLIGHT_SYNC, settled);
}

/* SUBSCRIBE has ended and is cleared away. */
static void
subscribe_cleared(Materialize *mz)
{
	task_done(mz, arena_printf(&mz->memory, "SUBSCRIBE %" PRIu64, mz->run.rows));
}

/* SUBSCRIBE has reached UP TO. */
static void
subscribe_over(Materialize *mz)
{
	stream_drop(mz, mz->run.stream, FLIGHT_SYNC, subscribe_cleared);
}

/* The end of COPY's data. */
static void
copy_cleared(Materialize *mz)
{
	task_send(mz, 'c', "", 0);
	task_done(mz, arena_printf(&mz->memory, "COPY %" PRIu64, mz->run.rows));
}

/* COPY (SUBSCRIBE …) has reached UP TO. */
static void
copy_over(Materialize *mz)
{
	if (mz->run.stream->copy_binary)
		task_send(mz, 'd', "\377\377", 2);
	stream_drop(mz, mz->run.stream, FLIGHT_SYNC, copy_cleared);
}

/* Whether COPY's options have HEADER on, or binary format. */
static void
read_copy_options(Stream *stream, const char *options)
{
	SqlLexer lexer;
	SqlToken token;

	sql_lexer_init(&lexer, options, strlen(options), true);
	while ((token = sql_next(&lexer)).kind != SQL_END)
	{
		if (sql_is(token, "header"))
		{
			token = sql_peek(&lexer);
			stream->copy_header =
			    !sql_is(token, "false") && !sql_is(token, "off") &&
			    !(token.kind == SQL_NUMBER && token.length == 1 && token.start[0] == '0');
		}
		else if (sql_is(token, "binary") || (token.kind == SQL_STRING && token.length == 8 &&
		                                     sql_mentions(token.start, token.length, "binary")))
			stream->copy_binary = true;
	}
}

/* A statement that does nothing. */
static void
accepted(Materialize *mz, const MzStatement *statement)
{
	if (mz->status == 'E')
	{
		task_raise(mz, "25P02", "", NULL);
		return;
	}
	task_notice_of(mz, statement);
	task_done(mz, statement->tag);
}

/* Begin one statement of the dialect's. */
void
task_statement(Materialize *mz, const MzStatement *statement)
{
	switch (statement->kind)
	{
		case MZ_ERROR:
			if (statement->position > 0)
				snprintf(mz->error.position, sizeof(mz->error.position), "%zu",
				         statement->position);
			task_raise(mz, statement->sqlstate, statement->error, statement->hint);
			break;
		case MZ_SUBSCRIBE:
			mz->run = (Run){
			    .mode = RUN_SUBSCRIBE, .limit = -1, .show_columns = true, .done = subscribe_over};
			stream_open(mz, stream_create(mz, &statement->subscribe), stream_run);
			break;
		case MZ_COPY:
		{
			Stream *stream = stream_create(mz, &statement->subscribe);

			stream->copy_options = arena_copy(&stream->arena, statement->copy_options,
			                                  strlen(statement->copy_options));
			read_copy_options(stream, statement->copy_options);
			mz->run = (Run){.mode = RUN_COPY, .limit = -1, .done = copy_over};
			stream_open(mz, stream, stream_run);
			break;
		}
		case MZ_DECLARE:
			cursor_declare(mz, statement);
			break;
		case MZ_FETCH:
			cursor_fetch(mz, &statement->fetch, true, 0, NULL);
			break;
		case MZ_CLOSE:
			cursor_close(mz, statement);
			break;
		case MZ_CREATE_SOURCE:
			source_create(mz, &statement->source, &statement->text);
			break;
		case MZ_DROP_SOURCE:
			source_drop(mz, &statement->drop);
			break;
		case MZ_ACCEPTED:
			accepted(mz, statement);
			break;
		case MZ_SET_DATABASE:
			if (strcmp(statement->tag, session_database(mz->session)) == 0)
				task_done(mz, "SET");
			else
				task_raise(
				    mz, "0A000", "a session cannot change its database",
				    arena_printf(&mz->memory, "Connect to database \"%s\".", statement->tag));
			break;
		case MZ_OTHER:
		case MZ_REWRITTEN:
			abort();
	}
}
