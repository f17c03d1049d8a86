/*-------------------------------------------------------------------------
 *
 * envelope.c
 *	  The queries over freshet.changes behind each form of SUBSCRIBE.
 *
 * Inside them the columns are called t (timestamp), d (diff) and c1 … cn, so
 * that a target may use any names, even the same one twice.
 *
 * An envelope looks at the changes of one key at one timestamp together. Of
 * a key there is at most one live row, or the row is a key_violation; so the
 * rows removed are the state before and the rows added the state after.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/envelope.h"

#include <stdlib.h>
#include <string.h>

/* Read a column definition list; see envelope.h. */
bool
mz_columns_read(Arena *arena, const char *list, MzColumns *columns)
{
	SqlLexer lexer;
	int room = 0;

	columns->count = 0;
	columns->items = NULL;
	sql_lexer_init(&lexer, list, strlen(list), true);
	if (sql_peek(&lexer).kind == SQL_END)
		return true;
	do
	{
		SqlToken name = sql_next(&lexer);
		const char *start = sql_peek(&lexer).start;
		const char *end = start;
		size_t depth = 0;

		if (!sql_is_name(name))
			return false;
		for (;;)
		{
			SqlToken token = sql_peek(&lexer);

			if (token.kind == SQL_END || token.kind == SQL_BAD)
				break;
			if (depth == 0 && sql_is(token, ","))
				break;
			if (sql_is(token, "("))
				depth++;
			else if (sql_is(token, ")") && depth > 0)
				depth--;
			sql_next(&lexer);
			end = token.start + token.length;
		}
		if (columns->count == room)
		{
			MzColumn *grown;

			room = room == 0 ? 16 : 2 * room;
			grown = arena_alloc(arena, (size_t) room * sizeof(MzColumn));
			if (columns->count > 0)
				memcpy(grown, columns->items, (size_t) columns->count * sizeof(MzColumn));
			columns->items = grown;
		}
		columns->items[columns->count].name = sql_name(arena, name);
		columns->items[columns->count].type = arena_copy(arena, start, (size_t) (end - start));
		columns->count++;
	} while (sql_accept(&lexer, ","));
	return sql_peek(&lexer).kind == SQL_END;
}

/* The column of that name, or -1. */
static int
find_column(const MzColumns *columns, const char *name)
{
	for (int i = 0; i < columns->count; i++)
	{
		if (strcmp(columns->items[i].name, name) == 0)
			return i;
	}
	return -1;
}

/* Whether the column belongs to the envelope's key. */
static bool
in_key(const MzSubscribe *subscribe, const MzColumns *columns, int column)
{
	for (int i = 0; i < subscribe->key.count; i++)
	{
		if (find_column(columns, subscribe->key.names[i]) == column)
			return true;
	}
	return false;
}

/* The column of KEY that the target does not have. */
const char *
mz_envelope_missing(const MzSubscribe *subscribe, const MzColumns *columns)
{
	for (int i = 0; i < subscribe->key.count; i++)
	{
		if (find_column(columns, subscribe->key.names[i]) < 0)
			return subscribe->key.names[i];
	}
	return NULL;
}

/* One output column: its expression, its type for a NULL in its place, its name. */
typedef void (*Emit)(Text *text, void *context, const char *expression, const char *type,
                     const char *name);

/* Walk the columns a form of SUBSCRIBE gives, in their order. */
static void
each_column(const MzSubscribe *subscribe, const MzColumns *columns, Text *text, Emit emit,
            void *context)
{
	static const struct
	{
		const char *column;
		const char *name;
	} images[] = {{"b", "before_"}, {"a", "after_"}};
	Arena *arena = text->arena;
	bool keyed =
	    subscribe->envelope == MZ_ENVELOPE_UPSERT || subscribe->envelope == MZ_ENVELOPE_DEBEZIUM;

	emit(text, context, "t", "numeric", "mz_timestamp");
	if (subscribe->progress)
		emit(text, context, "false", "boolean", "mz_progressed");
	if (!keyed)
	{
		emit(text, context, "d", "bigint", "mz_diff");
		for (int i = 0; i < columns->count; i++)
			emit(text, context, arena_printf(arena, "c%d", i + 1), columns->items[i].type,
			     columns->items[i].name);
		return;
	}
	emit(text, context, "s", "text", "mz_state");
	for (int i = 0; i < subscribe->key.count; i++)
	{
		int column = find_column(columns, subscribe->key.names[i]);

		emit(text, context, arena_printf(arena, "c%d", column + 1), columns->items[column].type,
		     columns->items[column].name);
	}
	for (int image = 0; image < 2; image++)
	{
		bool upsert = subscribe->envelope == MZ_ENVELOPE_UPSERT;

		if (upsert && image == 0)
			continue;
		for (int i = 0; i < columns->count; i++)
		{
			if (in_key(subscribe, columns, i))
				continue;
			emit(text, context, arena_printf(arena, "%s%d", images[image].column, i + 1),
			     columns->items[i].type,
			     upsert ? columns->items[i].name
			            : arena_printf(arena, "%s%s", images[image].name, columns->items[i].name));
		}
	}
}

/* expression AS "name" */
static void
emit_value(Text *text, void *context, const char *expression, const char *type, const char *name)
{
	bool *first = context;

	(void) type;
	text_printf(text, "%s%s AS ", *first ? "" : ", ", expression);
	text_identifier(text, name);
	*first = false;
}

typedef struct EmitNull
{
	bool first;
	const MzColumns *columns;
} EmitNull;

/* NULL::type AS "name"; without a known type, the column of q itself. */
static void
emit_null(Text *text, void *context, const char *expression, const char *type, const char *name)
{
	EmitNull *emit = context;

	text_append(text, emit->first ? "" : ", ");
	if (type[0] == '\0')
	{
		text_append(text, "q.");
		text_identifier(text, emit->columns->items[atoi(expression + 1) - 1].name);
	}
	else
		text_printf(text, "NULL::%s", type);
	text_append(text, " AS ");
	text_identifier(text, name);
	emit->first = false;
}

/* The frontier, true, and NULLs. */
static void
emit_progress(Text *text, void *context, const char *expression, const char *type, const char *name)
{
	Text literal;

	if (strcmp(expression, "t") == 0)
	{
		text_init(&literal, text->arena);
		text_literal(&literal, context);
		text_printf(text, "freshet.subscription_frontier(%s) AS \"mz_timestamp\"", literal.data);
	}
	else
	{
		if (strcmp(expression, "false") == 0)
			text_append(text, ", true AS ");
		else
			text_printf(text, ", NULL::%s AS ", type);
		text_identifier(text, name);
	}
}

/* FROM freshet.changes(…) AS name(t numeric, d bigint, c1 …). */
static void
append_changes(Text *text, const MzColumns *columns, const char *subscription)
{
	text_append(text, "freshet.changes(");
	text_literal(text, subscription);
	text_append(text, ") AS z(t numeric, d bigint");
	for (int i = 0; i < columns->count; i++)
		text_printf(text, ", c%d %s", i + 1, columns->items[i].type);
	text_append(text, ")");
}

/* t, c1, … of the key. */
static void
append_key(Text *text, const MzSubscribe *subscribe, const MzColumns *columns)
{
	text_append(text, "t");
	for (int i = 0; i < subscribe->key.count; i++)
		text_printf(text, ", c%d", find_column(columns, subscribe->key.names[i]) + 1);
}

/*
 * One row per timestamp and key. plus and minus are how many rows of the key
 * came and went; b and a are the last that went and that came, of which there
 * is only one unless the key is violated.
 */
static void
append_keyed(Text *text, const MzSubscribe *subscribe, const MzColumns *columns,
             const char *subscription)
{
	bool upsert = subscribe->envelope == MZ_ENVELOPE_UPSERT;

	text_append(text, "(SELECT DISTINCT ON (");
	append_key(text, subscribe, columns);
	if (upsert)
		text_append(text, ") *, CASE WHEN plus > 1 THEN 'key_violation'"
		                  " WHEN plus = 1 THEN 'upsert' ELSE 'delete' END AS s");
	else
		text_append(text, ") *, CASE WHEN plus > 1 OR minus > 1 THEN 'key_violation'"
		                  " WHEN plus = 0 THEN 'delete' WHEN minus = 0 THEN 'insert'"
		                  " ELSE 'upsert' END AS s");
	for (int i = 1; i <= columns->count; i++)
	{
		if (in_key(subscribe, columns, i - 1))
			continue;
		if (upsert)
			text_printf(text, ", CASE WHEN plus = 1 THEN l%d END AS a%d", i, i);
		else
			text_printf(text,
			            ", CASE WHEN minus = 1 AND plus <= 1 THEN f%d END AS b%d,"
			            " CASE WHEN plus = 1 AND minus <= 1 THEN l%d END AS a%d",
			            i, i, i, i);
	}
	text_append(text, " FROM (SELECT *, sum(greatest(d, 0)) OVER w AS plus,"
	                  " sum(greatest(-d, 0)) OVER w AS minus");
	for (int i = 1; i <= columns->count; i++)
	{
		if (!in_key(subscribe, columns, i - 1))
			text_printf(text, ", first_value(c%d) OVER w AS f%d, last_value(c%d) OVER w AS l%d", i,
			            i, i, i);
	}
	text_append(text, " FROM ");
	append_changes(text, columns, subscription);
	text_append(text, " WINDOW w AS (PARTITION BY ");
	append_key(text, subscribe, columns);
	text_append(text, " ORDER BY d ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) y"
	                  " ORDER BY ");
	append_key(text, subscribe, columns);
	text_append(text, ") x");
}

/* The query that gives the changes in the form asked for. */
char *
mz_changes_sql(Arena *arena, const MzSubscribe *subscribe, const MzColumns *columns,
               const char *subscription)
{
	bool first = true;
	bool ordered = subscribe->envelope == MZ_ENVELOPE_ORDERED;
	Text text;

	text_init(&text, arena);
	text_append(&text, ordered ? "SELECT * FROM (SELECT " : "SELECT ");
	each_column(subscribe, columns, &text, emit_value, &first);
	text_append(&text, " FROM ");
	if (subscribe->envelope == MZ_ENVELOPE_UPSERT || subscribe->envelope == MZ_ENVELOPE_DEBEZIUM)
		append_keyed(&text, subscribe, columns, subscription);
	else
		append_changes(&text, columns, subscription);
	if (ordered)
		text_printf(&text, ") q ORDER BY q.mz_timestamp, %s", subscribe->order);
	return text.data;
}

/* The query that gives one progress row. */
char *
mz_progress_sql(Arena *arena, const MzSubscribe *subscribe, const MzColumns *columns,
                const char *subscription)
{
	Text text;

	text_init(&text, arena);
	text_append(&text, "SELECT ");
	each_column(subscribe, columns, &text, emit_progress, (void *) subscription);
	return text.data;
}

/* A query of the same columns that cannot be read. */
char *
mz_cursor_sql(Arena *arena, const MzSubscribe *subscribe, const MzColumns *columns)
{
	EmitNull emit = {true, columns};
	Text text;

	text_init(&text, arena);
	text_append(&text, "SELECT ");
	each_column(subscribe, columns, &text, emit_null, &emit);
	text_append(&text, " WHERE freshet.read_by_fetch_alone()");
	return text.data;
}

/* What a query that is only described has for a LIMIT: an error for whoever runs it. */
#define NEVER_RUN                                                                                  \
	"('a prepared SUBSCRIBE is run by the protocol''s Execute alone' OPERATOR(pg_catalog.||)"      \
	" pg_catalog.substr(pg_catalog.random()::pg_catalog.text, 1, 0))::pg_catalog.int8"

/* A query of the same columns that cannot be run; see envelope.h. */
char *
mz_describe_sql(Arena *arena, const MzSubscribe *subscribe, const MzColumns *columns,
                const char *clause)
{
	EmitNull emit = {true, columns};
	Text text;

	text_init(&text, arena);
	text_append(&text, "SELECT ");
	if (columns->count == 0)
	{
		MzSubscribe head = *subscribe;

		head.envelope = MZ_ENVELOPE_NONE;
		each_column(&head, columns, &text, emit_null, &emit);
		text_append(&text, ", q.*");
	}
	else
		each_column(subscribe, columns, &text, emit_null, &emit);
	text_printf(&text, " FROM %s q LIMIT " NEVER_RUN "%s", subscribe->target, clause);
	return text.data;
}
