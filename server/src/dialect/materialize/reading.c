/*-------------------------------------------------------------------------
 *
 * reading.c
 *	  A Query of the client as it was read: its text, cut into statements,
 *	  and what those of Materialize mean. A text is read once.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/materialize.h"

#include <stdlib.h>
#include <string.h>

/* Free what was read and not used. */
void
reading_free(void *reading)
{
	MzReading *own = reading;
	Arena arena;

	if (own == NULL)
		return;
	if (own->prepared != NULL)
		extended_prepared_free(own->prepared);
	arena = own->arena;
	free(own);
	arena_reset(&arena);
}

/*
 * Is the statement for the dialect after all, as the session goes? Otherwise it is
 * PostgreSQL's. declares: a cursor that is not known yet may be declared before it.
 */
bool
reading_statement_is_ours(Materialize *mz, Arena *arena, MzStatement *statement, bool declares)
{
	if ((statement->kind == MZ_FETCH || statement->kind == MZ_CLOSE) && !declares &&
	    !cursor_concerned(mz, &statement->fetch))
		statement->kind = MZ_OTHER;
	if (statement->own_door && session_door(mz->session) != DOOR_MATERIALIZE)
		statement->kind = MZ_OTHER;
	for (int i = 0; i < statement->databases.count && statement->kind != MZ_ERROR; i++)
	{
		const char *database = statement->databases.names[i];

		if (strcmp(database, session_database(mz->session)) == 0)
			continue;
		mz_error(statement, "0A000",
		         arena_printf(arena, "a name in database \"%s\" is out of reach", database));
		statement->hint = "A session sees the database it is connected to.";
	}
	return statement->kind != MZ_OTHER;
}

/* Add a statement. */
static void
reading_add(MzReading *reading, SqlStatement text, const MzStatement *statement)
{
	MzPiece *piece;

	/* at a power of two the room is used up */
	if ((reading->count & (reading->count - 1)) == 0)
	{
		size_t room = reading->count == 0 ? 1 : 2 * reading->count;
		MzPiece *grown = arena_alloc(&reading->arena, room * sizeof(MzPiece));

		if (reading->count > 0)
			memcpy(grown, reading->pieces, reading->count * sizeof(MzPiece));
		reading->pieces = grown;
	}
	piece = &reading->pieces[reading->count++];
	piece->text = text;
	piece->statement = NULL;
	if (statement != NULL)
	{
		piece->statement = arena_alloc(&reading->arena, sizeof(MzStatement));
		*piece->statement = *statement;
	}
}

/*
 * Does such a beginning of a text have a statement of Materialize's in it? What would be a
 * syntax error is one that goes on behind it.
 */
bool
reading_is_ours(Materialize *mz, Arena *arena, const char *head, size_t length)
{
	bool standard_strings = session_standard_strings(mz->session);
	SqlStatement slice;
	SqlLexer lexer;

	if (!mz_concerned(head, length))
		return false;
	sql_lexer_init(&lexer, head, length, standard_strings);
	while (sql_next_statement(&lexer, &slice))
	{
		MzStatement statement;

		mz_parse(arena, NULL, slice, standard_strings, &statement);
		if (reading_statement_is_ours(mz, arena, &statement, false))
			return true;
	}
	return false;
}

/* A Query of which only the beginning is there; NULL: there is nothing of Materialize's in that. */
MzReading *
reading_large(Materialize *mz, const char *head, size_t length)
{
	MzReading *reading;
	MzStatement statement = {0};
	Arena arena = {0};
	bool ours = reading_is_ours(mz, &arena, head, length);

	arena_reset(&arena);
	if (!ours)
		return NULL;
	reading = calloc(1, sizeof(MzReading));
	if (reading == NULL)
		abort();
	mz_too_long(&statement);
	reading->text = "";
	statement.text = (SqlStatement){reading->text, 0};
	reading->concerned = true;
	reading_add(reading, statement.text, &statement);
	return reading;
}

/* Read a Query's text as a whole; NULL: there is nothing of Materialize's in it. */
MzReading *
reading_query(Materialize *mz, const char *text)
{
	bool standard_strings = session_standard_strings(mz->session);
	bool ddl = commit_may(mz, text, strlen(text));
	MzReading *reading;
	bool declares;
	SqlStatement slice;
	SqlLexer lexer;

	if (!ddl && !mz_concerned(text, strlen(text)))
		return NULL;
	declares = mz_declares(text, strlen(text));
	reading = calloc(1, sizeof(MzReading));
	if (reading == NULL)
		abort();
	reading->text = arena_copy(&reading->arena, text, strlen(text));
	sql_lexer_init(&lexer, reading->text, strlen(text), standard_strings);
	while (sql_next_statement(&lexer, &slice))
	{
		MzStatement statement;

		mz_parse(&reading->arena, reading->text, slice, standard_strings, &statement);
		if (reading_statement_is_ours(mz, &reading->arena, &statement, declares))
			reading->concerned = true;
		reading_add(reading, slice, statement.kind != MZ_OTHER ? &statement : NULL);
	}
	reading->ddl = ddl;
	if (reading->concerned || ddl)
		return reading;
	reading_free(reading);
	return NULL;
}
