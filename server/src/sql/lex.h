/*-------------------------------------------------------------------------
 *
 * lex.h
 *	  PostgreSQL's lexical rules, as far as one needs them to find where
 *	  statements begin and end and to read the head of one: nested comments,
 *	  the string forms, dollar quotes, quoted identifiers.
 *
 * Invariants:
 *	- A token is a slice of the text; nothing is copied.
 *	- The lexer never reads past the text's length, whatever the text is.
 *	- Text that is not lexically complete yields SQL_BAD once and then
 *	  SQL_END: such text is left to PostgreSQL, which has the right message.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_SQL_LEX_H
#define FRESHET_SQL_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "sql/arena.h"

typedef enum SqlTokenKind
{
	SQL_END,
	SQL_WORD,        /* keyword or plain identifier */
	SQL_QUOTED,      /* "identifier", or `identifier` where backticks quote */
	SQL_STRING,      /* '', E'', $$ $$, B'', X'', N'' */
	SQL_NUMBER,      /* 12, 1.5, 1e9 */
	SQL_PARAMETER,   /* $1 */
	SQL_PUNCTUATION, /* one character of anything else */
	SQL_BAD          /* an unterminated string, quote or comment */
} SqlTokenKind;

typedef struct SqlToken
{
	SqlTokenKind kind;
	const char *start;
	size_t length;
} SqlToken;

typedef struct SqlLexer
{
	const char *text;
	size_t length;
	size_t at;
	bool standard_strings; /* standard_conforming_strings */
	bool backticks;        /* quote names, as double quotes do */
} SqlLexer;

extern void sql_lexer_init(SqlLexer *lexer, const char *text, size_t length, bool standard_strings);
extern SqlToken sql_next(SqlLexer *lexer);
extern SqlToken sql_peek(const SqlLexer *lexer);

/* words are compared without regard to case, punctuation as it is */
extern bool sql_is(SqlToken token, const char *word);
extern bool sql_accept(SqlLexer *lexer, const char *word);
extern bool sql_accept_two(SqlLexer *lexer, const char *first, const char *second);
extern bool sql_is_name(SqlToken token);

/* behind what is in the parentheses that come next, or NULL */
extern const char *sql_skip_parentheses(SqlLexer *lexer);

/* the meaning of a token, copied */
extern char *sql_name(Arena *arena, SqlToken token);
extern char *sql_string(Arena *arena, SqlToken token, bool standard_strings);

/*
 * The next statement of the lexer's text, without its semicolon and without
 * the blanks around it; false at the end. Empty statements are skipped.
 */
typedef struct SqlStatement
{
	const char *start;
	size_t length;
} SqlStatement;

extern bool sql_next_statement(SqlLexer *lexer, SqlStatement *statement);

/* whether the text contains the word, anywhere and in any case */
extern bool sql_mentions(const char *text, size_t length, const char *word);

#endif /* FRESHET_SQL_LEX_H */
