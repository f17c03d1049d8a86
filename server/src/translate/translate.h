/*-------------------------------------------------------------------------
 *
 * translate.h
 *	  A text in a dialect of SQL becomes statements of PostgreSQL's.
 *
 * A door gives the text as it came and runs what it gets: `before`, `sql` and
 * `after` in one transaction. What no SQL can do (USE, COPY INTO from a
 * stage, …) has a kind of its own, and its words in `relation`, `names` and `options`.
 *
 * Invariants:
 *	- Nothing passes through unread: what the grammar does not know is an error.
 *	- `sql` is one statement that PostgreSQL's grammar accepts, or is empty where
 *	  the door does it all. Every name and literal in it was quoted anew or is
 *	  spelled the same in both.
 *	- An error's position lies inside the text.
 *	- The result lives in the arena; pieces of the text are copied.
 *	- Depth, length and the numbers of parameters are limited (TRANSLATE_*).
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_TRANSLATE_H
#define FRESHET_TRANSLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "sql/arena.h"

#define TRANSLATE_TEXT_MAX (8 * 1024 * 1024)
#define TRANSLATE_DEPTH_MAX 200
#define TRANSLATE_PARAMETER_MAX 65535
#define TRANSLATE_NAMED_PARAMETER_MAX 1000
#define TRANSLATE_NAME_MAX 63

typedef enum TranslateDialect
{
	TRANSLATE_CRATEDB,
	TRANSLATE_DATABEND
} TranslateDialect;

typedef enum StatementKind
{
	STATEMENT_QUERY,  /* gives rows: SELECT, VALUES, SHOW, DESC, EXPLAIN */
	STATEMENT_INSERT, /* these give a count; rows as well if `returning` */
	STATEMENT_UPDATE,
	STATEMENT_DELETE,
	STATEMENT_MERGE,
	STATEMENT_REPLACE,
	STATEMENT_DEFINE,   /* DDL, GRANT and the like: gives nothing */
	STATEMENT_REFRESH,  /* gives nothing; `sql` fails if the relation is not there */
	STATEMENT_ACCEPTED, /* does nothing, and may: there is no `sql` */
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_SET,   /* options: what to set, for the session */
	STATEMENT_RESET, /* names: what to set back; none is all */
	STATEMENT_USE,   /* relation.name: the database */
	STATEMENT_KILL,  /* names: the query */
	/* Databend's, done by its door */
	STATEMENT_SHOW_SETTINGS, /* names: a pattern of LIKE */
	STATEMENT_INSERT_STAGE, /* INSERT or REPLACE … VALUES without values: they are in the attachment */
	STATEMENT_COPY_INTO,   /* relation, names: columns, stage, options: what to do with the files */
	STATEMENT_PRESIGN,     /* stage; names[0] is UPLOAD or DOWNLOAD */
	STATEMENT_LIST_STAGE,  /* stage */
	STATEMENT_REMOVE_STAGE /* stage */
} StatementKind;

/* A name in two parts; schema is NULL where none was written. */
typedef struct TranslateName
{
	const char *schema;
	const char *name;
} TranslateName;

/* A setting or an option; names are in lower case unless they were quoted. */
typedef struct TranslateOption
{
	const char *name;
	const char *value;
	bool global; /* SET GLOBAL */
} TranslateOption;

/* From a byte of the output on, positions stand for this byte of the input. */
typedef struct TranslateSpan
{
	size_t out;
	size_t in;
	bool verbatim; /* bytes correspond one to one; else all of them to `in` */
} TranslateSpan;

typedef struct Statement
{
	StatementKind kind;
	const char *head; /* the words by which it is known: "CREATE TABLE" */
	size_t at;        /* where it begins and ends in the text */
	size_t end;

	const char *sql;     /* PostgreSQL's text, or "" */
	const char **before; /* statements to run first, without parameters; NULL at the end, or NULL */
	const char **after;  /* and afterwards */
	TranslateSpan *spans;
	size_t span_count;

	/*
	 * PostgreSQL's parameter $(i + 1) is the client's parameter number
	 * parameters[i], counted from 1. Numbers that the text does not use are missing here.
	 * A parameter with a name has it in parameter_names[i], and the number 0.
	 */
	int *parameters;
	const char **parameter_names;
	size_t parameter_count;

	bool unless_exists;     /* that it is there already is no error */
	bool temporary;         /* it makes something that ends with the session */
	bool placeholders;      /* INSERT … VALUES (?, ?, …), a single row of nothing else */
	bool returning;         /* INSERT … RETURNING and the like */
	TranslateName relation; /* what it is about: the table that is created, changed or copied to */
	const char *stage;      /* Databend: "@~/path" */
	const char **names;
	size_t name_count;
	TranslateOption *options;
	size_t option_count;
} Statement;

typedef struct TranslateError
{
	const char *sqlstate; /* as PostgreSQL would say: 42601, 0A000, 42704, 42622, 22021, 54001 */
	const char *message;
	size_t position; /* a byte of the text, from 0 */
} TranslateError;

typedef struct Translation
{
	bool failed; /* then `error` says why, and nothing else counts */
	TranslateError error;
	Statement *statements;
	size_t count;
} Translation;

/* All statements of a text; an empty text has none. */
extern Translation
translate(Arena *arena, TranslateDialect dialect, const char *text, size_t length);

/* The byte of the text for a position in `sql` as PostgreSQL tells it: in characters, from 1. */
extern size_t translate_position(const Statement *statement, int character);

/* Line and column of a byte of the text, both from 1, in characters. */
extern void
translate_line(const char *text, size_t length, size_t position, int *line, int *column);

#endif /* FRESHET_TRANSLATE_H */
