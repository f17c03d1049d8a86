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
		/* a cursor that is declared in the same text is not known yet */
		if ((statement.kind == MZ_FETCH || statement.kind == MZ_CLOSE) && !declares &&
		    !cursor_concerned(mz, &statement.fetch))
			statement.kind = MZ_OTHER;
		if (statement.own_door && session_door(mz->session) != DOOR_MATERIALIZE)
			statement.kind = MZ_OTHER;
		reading->concerned |= statement.kind != MZ_OTHER;
		reading_add(reading, slice, statement.kind != MZ_OTHER ? &statement : NULL);
	}
	reading->ddl = ddl;
	if (reading->concerned || ddl)
		return reading;
	reading_free(reading);
	return NULL;
}
