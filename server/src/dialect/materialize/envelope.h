/*-------------------------------------------------------------------------
 *
 * envelope.h
 *	  The columns SUBSCRIBE gives, and the queries over freshet.changes that
 *	  give them: plain, with progress, ENVELOPE UPSERT and DEBEZIUM, WITHIN
 *	  TIMESTAMP ORDER BY.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_MATERIALIZE_ENVELOPE_H
#define FRESHET_MATERIALIZE_ENVELOPE_H

#include "dialect/materialize/statement.h"

typedef struct MzColumn
{
	char *name;
	char *type; /* as format_type writes it */
} MzColumn;

typedef struct MzColumns
{
	int count;
	MzColumn *items;
} MzColumns;

/* Read a column definition list: "code character(2), name text". */
extern bool mz_columns_read(Arena *arena, const char *list, MzColumns *columns);

/* NULL, or the column of KEY that the target does not have. */
extern const char *mz_envelope_missing(const MzSubscribe *subscribe, const MzColumns *columns);

/* Changes of the subscription, in the form asked for. */
extern char *mz_changes_sql(Arena *arena, const MzSubscribe *subscribe, const MzColumns *columns,
                            const char *subscription);

/* One progress row with the subscription's frontier. */
extern char *mz_progress_sql(Arena *arena, const MzSubscribe *subscribe, const MzColumns *columns,
                             const char *subscription);

/* The same columns, and an error for whoever reads them: PostgreSQL's cursor over a subscription. */
extern char *mz_cursor_sql(Arena *arena, const MzSubscribe *subscribe, const MzColumns *columns);

/* The same columns from the target, to be described and never run. Types of columns may be missing. */
extern char *mz_describe_sql(Arena *arena, const MzSubscribe *subscribe, const MzColumns *columns,
                             const char *clause);

#endif /* FRESHET_MATERIALIZE_ENVELOPE_H */
