/*-------------------------------------------------------------------------
 *
 * statement.h
 *	  The statements of Materialize that PostgreSQL does not know, as read
 *	  from a client's text.
 *
 * Invariants:
 *	- A statement that is not certainly Materialize's is MZ_OTHER and goes to
 *	  PostgreSQL unchanged: the dialect takes nothing away from it.
 *	- Everything a statement points to lives in the arena it was parsed into.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_MATERIALIZE_STATEMENT_H
#define FRESHET_MATERIALIZE_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql/arena.h"
#include "sql/lex.h"

typedef enum MzKind
{
	MZ_OTHER,         /* PostgreSQL's */
	MZ_ERROR,         /* Materialize's, but wrong: error says how */
	MZ_REWRITTEN,     /* PostgreSQL's once it reads as rewritten */
	MZ_ACCEPTED,      /* does nothing here but say so */
	MZ_SET_DATABASE,  /* SET database = tag */
	MZ_SUBSCRIBE,     /* SUBSCRIBE … */
	MZ_COPY,          /* COPY (SUBSCRIBE …) TO STDOUT … */
	MZ_DECLARE,       /* DECLARE c CURSOR FOR SUBSCRIBE … */
	MZ_FETCH,         /* FETCH …: of a cursor that may be a subscription's */
	MZ_CLOSE,         /* CLOSE …: likewise */
	MZ_CREATE_SOURCE, /* CREATE SOURCE … */
	MZ_DROP_SOURCE    /* DROP SOURCE … */
} MzKind;

typedef enum MzEnvelope
{
	MZ_ENVELOPE_NONE,
	MZ_ENVELOPE_UPSERT,
	MZ_ENVELOPE_DEBEZIUM,
	MZ_ENVELOPE_ORDERED /* WITHIN TIMESTAMP ORDER BY */
} MzEnvelope;

typedef struct MzNames
{
	int count;
	char **names;
} MzNames;

typedef struct MzSubscribe
{
	const char *target; /* a relation's name, or (SELECT …) */
	size_t position;    /* of it in the whole text, as below */
	bool is_query;
	bool snapshot;
	bool progress;
	MzEnvelope envelope;
	MzNames key;
	const char *order; /* the ORDER BY list of MZ_ENVELOPE_ORDERED */
	const char *as_of; /* an SQL expression, or NULL */
	bool as_of_at_least;
	const char *up_to; /* an SQL expression, or NULL */
} MzSubscribe;

#define MZ_FETCH_ALL (-1)

typedef struct MzFetch
{
	const char *cursor;  /* NULL: CLOSE ALL */
	int64_t count;       /* MZ_FETCH_ALL, or how many */
	const char *timeout; /* an SQL expression; NULL: wait for the first rows */
	const char *plain;   /* the statement without it, as PostgreSQL knows it */
	bool backward;       /* a direction no subscription can go */
} MzFetch;

typedef struct MzSourceTable
{
	char *reference; /* the generator's name of the table */
	char *schema;    /* NULL: that of the source */
	char *name;
} MzSourceTable;

typedef struct MzSourceOption
{
	char *name;  /* upper case, words joined by one blank */
	char *value; /* NULL: none */
} MzSourceOption;

typedef struct MzSource
{
	char *schema; /* NULL: the first of search_path */
	char *name;
	bool if_not_exists;
	char *generator; /* upper case */
	int option_count;
	MzSourceOption *options;
	bool all_tables;
	int table_count;
	MzSourceTable *tables;
	char *progress_schema;
	char *progress; /* NULL: name_progress */
} MzSource;

typedef struct MzDropSource
{
	bool if_exists;
	bool cascade;
	int count;
	char **schemas; /* an entry is NULL: by search_path */
	char **names;
} MzDropSource;

typedef struct MzStatement
{
	MzKind kind;
	SqlStatement text;

	/* MZ_ERROR */
	const char *error;
	const char *sqlstate;
	const char *hint;
	size_t position; /* in characters from 1 within the whole text; 0: none */

	size_t at; /* of the statement in the whole text, likewise */

	MzNames databases;        /* that names in it say to be in */
	const char *rewritten;    /* MZ_REWRITTEN */
	bool in_place;            /* … of which every character stands where it stood */
	bool own_door;            /* … on Materialize's door only */
	const char *tag;          /* MZ_ACCEPTED: of its CommandComplete */
	const char *notice;       /* to the client first, or NULL */
	const char *cursor;       /* MZ_DECLARE */
	const char *copy_options; /* MZ_COPY: the WITH (…) text, or "" */
	MzSubscribe subscribe;    /* MZ_SUBSCRIBE, MZ_COPY, MZ_DECLARE */
	MzFetch fetch;            /* MZ_FETCH, MZ_CLOSE */
	MzSource source;
	MzDropSource drop;
} MzStatement;

/* What statements of Materialize cannot do without … */
#define MZ_WORDS                                                                                   \
	"SUBSCRIBE", "TAIL", "SHOW", "SOURCE", "CLUSTER", "RETAIN", "REFRESH", "ASSERT", "TIMEOUT"
/* … and what its scripts begin with, or is not supported: looked for on its own door only. */
#define MZ_HEAD_WORDS                                                                              \
	"CONNECTION", "SECRET", "SINK", "EXPLAIN", "MUTUALLY", "MZ_", "AS OF", "S3:", "DEFAULT INDEX", \
	    "NETWORK", "REPLACEMENT", "DATABASE", "SCHEMA", "TRANSACTION_ISOLATION",                   \
	    "REAL_TIME_RECENCY", "STATEMENT_LOGGING", "MAX_QUERY_RESULT_SIZE", "AUTO_ROUTE", "EMIT_",  \
	    "RBAC", "RESTRICT_TO_USER", "WELCOME_MESSAGE", "OBJECT_MISSING", "WALL_TIME"

/* whether the text could hold one of these statements at all */
extern bool mz_concerned(const char *text, size_t length);

/* whether the text could declare a cursor over a subscription */
extern bool mz_accept_begin(SqlLexer *lexer);
extern bool mz_declares(const char *text, size_t length);

/*
 * Read one statement. whole is the text it stands in, for error positions.
 */
extern void mz_parse(Arena *arena, const char *whole, SqlStatement text, bool standard_strings,
                     MzStatement *statement);

/* parts that have files of their own */
extern bool mz_parse_show(Arena *arena, SqlLexer *lexer, MzStatement *statement);
extern bool mz_parse_create_source(Arena *arena, SqlLexer *lexer, MzStatement *statement);
extern bool mz_parse_drop_source(Arena *arena, SqlLexer *lexer, MzStatement *statement);
extern bool mz_parse_show_setting(Arena *arena, SqlLexer *lexer, MzStatement *statement);
extern void mz_parse_head(Arena *arena, SqlLexer lexer, MzStatement *statement);

/* how many characters these bytes of UTF-8 are */
extern size_t mz_characters(const char *bytes, size_t count);

/* what they share */
extern void mz_error(MzStatement *statement, const char *sqlstate, const char *message);
extern void mz_too_long(MzStatement *statement);
extern void mz_syntax_error(Arena *arena, MzStatement *statement, SqlToken token);
extern bool
mz_qualified(Arena *arena, SqlLexer *lexer, MzStatement *statement, char **schema, char **name);
extern void mz_add_name(Arena *arena, MzNames *names, char *name);

#endif /* FRESHET_MATERIALIZE_STATEMENT_H */
