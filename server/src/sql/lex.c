/*-------------------------------------------------------------------------
 *
 * lex.c
 *	  PostgreSQL's lexical rules, and the splitting of a text into statements.
 *
 *-------------------------------------------------------------------------
 */
#include "sql/lex.h"

#include <string.h>
#include <strings.h>

/* A letter that may begin an identifier. */
static bool
lex_letter(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

/* Is it a digit? */
static bool
lex_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

/* Is it white space? */
static bool
lex_space(unsigned char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A letter of ASCII in lower case, anything else as it is. */
static unsigned char
lex_lower(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') ? (unsigned char) (c + ('a' - 'A')) : c;
}

/* The character at an offset from the lexer's place; zero past the end. */
static unsigned char
lex_at(const SqlLexer *lexer, size_t offset)
{
	return offset < lexer->length - lexer->at ? (unsigned char) lexer->text[lexer->at + offset] : 0;
}

/* Begin to read a text. */
void
sql_lexer_init(SqlLexer *lexer, const char *text, size_t length, bool standard_strings)
{
	lexer->text = text;
	lexer->length = length;
	lexer->at = 0;
	lexer->standard_strings = standard_strings;
	lexer->backticks = false;
}

/* Skip blanks and comments; false if a comment does not end. */
static bool
lex_skip(SqlLexer *lexer)
{
	for (;;)
	{
		unsigned char c = lex_at(lexer, 0);

		if (lexer->at >= lexer->length)
			return true;
		if (lex_space(c))
			lexer->at++;
		else if (c == '-' && lex_at(lexer, 1) == '-')
		{
			while (lexer->at < lexer->length && lexer->text[lexer->at] != '\n' &&
			       lexer->text[lexer->at] != '\r')
				lexer->at++;
		}
		else if (c == '/' && lex_at(lexer, 1) == '*')
		{
			size_t depth = 0;

			do
			{
				if (lex_at(lexer, 0) == '/' && lex_at(lexer, 1) == '*')
				{
					depth++;
					lexer->at += 2;
				}
				else if (lex_at(lexer, 0) == '*' && lex_at(lexer, 1) == '/')
				{
					depth--;
					lexer->at += 2;
				}
				else
					lexer->at++;
			} while (depth > 0 && lexer->at < lexer->length);
			if (depth > 0)
				return false;
		}
		else
			return true;
	}
}

/* Go past a quoted text whose opening quote is at the place. */
static bool
lex_quoted(SqlLexer *lexer, char quote, bool escapes)
{
	lexer->at++;
	while (lexer->at < lexer->length)
	{
		char c = lexer->text[lexer->at++];

		if (escapes && c == '\\' && lexer->at < lexer->length)
			lexer->at++;
		else if (c == quote)
		{
			if (lex_at(lexer, 0) != (unsigned char) quote)
				return true;
			lexer->at++;
		}
	}
	return false;
}

/* Length of the dollar quote's tag at the place, $ signs included; or 0. */
static size_t
lex_dollar_tag(const SqlLexer *lexer)
{
	size_t length = 1;

	if (lex_at(lexer, 0) != '$')
		return 0;
	if (lex_letter(lex_at(lexer, 1)))
		while (lex_letter(lex_at(lexer, length)) || lex_digit(lex_at(lexer, length)))
			length++;
	return lex_at(lexer, length) == '$' ? length + 1 : 0;
}

/* Go past a dollar-quoted text whose tag is at the place. */
static bool
lex_dollar_quoted(SqlLexer *lexer, size_t tag_length)
{
	const char *tag = lexer->text + lexer->at;
	size_t at = lexer->at + tag_length;

	while (at < lexer->length)
	{
		const char *found = memchr(lexer->text + at, '$', lexer->length - at);

		if (found == NULL)
			break;
		at = (size_t) (found - lexer->text);
		if (lexer->length - at >= tag_length && memcmp(found, tag, tag_length) == 0)
		{
			lexer->at = at + tag_length;
			return true;
		}
		at++;
	}
	lexer->at = lexer->length;
	return false;
}

/* Go past a number. */
static void
lex_number(SqlLexer *lexer)
{
	while (lex_digit(lex_at(lexer, 0)) || lex_at(lexer, 0) == '.')
		lexer->at++;
	if (lex_lower(lex_at(lexer, 0)) == 'e')
	{
		size_t sign = lex_at(lexer, 1) == '+' || lex_at(lexer, 1) == '-' ? 2 : 1;

		if (lex_digit(lex_at(lexer, sign)))
		{
			lexer->at += sign;
			while (lex_digit(lex_at(lexer, 0)))
				lexer->at++;
		}
	}
}

/* Read one token. */
SqlToken
sql_next(SqlLexer *lexer)
{
	SqlToken token = {SQL_END, NULL, 0};
	bool complete = lex_skip(lexer);
	unsigned char c = lex_at(lexer, 0);
	size_t begin = lexer->at;
	size_t tag;

	token.start = lexer->text + begin;
	if (!complete)
	{
		lexer->at = lexer->length;
		token.kind = SQL_BAD;
		return token;
	}
	if (lexer->at >= lexer->length)
		return token;

	if (lex_letter(c))
	{
		unsigned char prefix = lex_lower(c);

		if (lex_at(lexer, 1) == '\'' && strchr("ebxn", prefix) != NULL)
		{
			lexer->at++;
			complete = lex_quoted(lexer, '\'',
			                      prefix == 'e' || (prefix == 'n' && !lexer->standard_strings));
			token.kind = SQL_STRING;
		}
		else if (prefix == 'u' && lex_at(lexer, 1) == '&' &&
		         (lex_at(lexer, 2) == '\'' || lex_at(lexer, 2) == '"'))
		{
			token.kind = lex_at(lexer, 2) == '"' ? SQL_QUOTED : SQL_STRING;
			lexer->at += 2;
			complete = lex_quoted(lexer, lexer->text[lexer->at], false);
		}
		else
		{
			while (lex_letter(lex_at(lexer, 0)) || lex_digit(lex_at(lexer, 0)) ||
			       lex_at(lexer, 0) == '$')
				lexer->at++;
			token.kind = SQL_WORD;
		}
	}
	else if (c == '"' || (c == '`' && lexer->backticks))
	{
		complete = lex_quoted(lexer, (char) c, false);
		token.kind = SQL_QUOTED;
	}
	else if (c == '\'')
	{
		complete = lex_quoted(lexer, '\'', !lexer->standard_strings);
		token.kind = SQL_STRING;
	}
	else if (c == '$' && lex_digit(lex_at(lexer, 1)))
	{
		lexer->at++;
		while (lex_digit(lex_at(lexer, 0)))
			lexer->at++;
		token.kind = SQL_PARAMETER;
	}
	else if ((tag = lex_dollar_tag(lexer)) > 0)
	{
		complete = lex_dollar_quoted(lexer, tag);
		token.kind = SQL_STRING;
	}
	else if (lex_digit(c) || (c == '.' && lex_digit(lex_at(lexer, 1))))
	{
		lex_number(lexer);
		token.kind = SQL_NUMBER;
	}
	else
	{
		lexer->at++;
		token.kind = SQL_PUNCTUATION;
	}
	if (!complete)
	{
		lexer->at = lexer->length;
		token.kind = SQL_BAD;
	}
	token.length = lexer->at - begin;
	return token;
}

/* The token sql_next would read. */
SqlToken
sql_peek(const SqlLexer *lexer)
{
	SqlLexer copy = *lexer;

	return sql_next(&copy);
}

/* Whether the token is this word or punctuation character. */
bool
sql_is(SqlToken token, const char *word)
{
	return (token.kind == SQL_WORD || token.kind == SQL_PUNCTUATION) &&
	       token.length == strlen(word) && strncasecmp(token.start, word, token.length) == 0;
}

/* Read the next token if it is this word or character. */
bool
sql_accept(SqlLexer *lexer, const char *word)
{
	SqlLexer copy = *lexer;

	if (!sql_is(sql_next(&copy), word))
		return false;
	*lexer = copy;
	return true;
}

/* Read the next two tokens if they are these. */
bool
sql_accept_two(SqlLexer *lexer, const char *first, const char *second)
{
	SqlLexer copy = *lexer;

	if (!sql_accept(&copy, first) || !sql_accept(&copy, second))
		return false;
	*lexer = copy;
	return true;
}

/* Skip parentheses and what is in them; where they end, or NULL. */
const char *
sql_skip_parentheses(SqlLexer *lexer)
{
	SqlToken token;
	size_t depth = 0;

	if (!sql_is(sql_peek(lexer), "("))
		return NULL;
	do
	{
		token = sql_next(lexer);
		if (token.kind == SQL_END || token.kind == SQL_BAD)
			return NULL;
		if (sql_is(token, "("))
			depth++;
		else if (sql_is(token, ")"))
			depth--;
	} while (depth > 0);
	return token.start + token.length;
}

/* Whether the token can be a name. */
bool
sql_is_name(SqlToken token)
{
	return token.kind == SQL_WORD ||
	       (token.kind == SQL_QUOTED && lex_lower((unsigned char) token.start[0]) != 'u');
}

/* The name a token stands for: folded to lower case unless quoted. */
char *
sql_name(Arena *arena, SqlToken token)
{
	char *name = arena_alloc(arena, token.length + 1);
	size_t length = 0;

	if (token.kind == SQL_QUOTED)
	{
		for (size_t i = 1; i + 1 < token.length; i++)
		{
			name[length++] = token.start[i];
			if (token.start[i] == token.start[0])
				i++;
		}
	}
	else
	{
		for (size_t i = 0; i < token.length; i++)
			name[length++] = (char) lex_lower((unsigned char) token.start[i]);
	}
	name[length] = '\0';
	return name;
}

/*
 * The value of a string token; of the escapes only those of one character are
 * known, which is enough for the options of a statement's head.
 */
char *
sql_string(Arena *arena, SqlToken token, bool standard_strings)
{
	char *value = arena_alloc(arena, token.length + 1);
	const char *at = token.start;
	const char *end = token.start + token.length - 1;
	size_t length = 0;
	bool escapes = !standard_strings;

	if (*at == '$')
	{
		size_t tag = (size_t) ((const char *) memchr(at + 1, '$', token.length - 1) - at) + 1;

		return arena_copy(arena, at + tag, token.length - 2 * tag);
	}
	if (*at != '\'')
	{
		escapes = lex_lower((unsigned char) *at) == 'e';
		while (*at != '\'')
			at++;
	}
	for (at++; at < end; at++)
	{
		if (*at == '\'')
			at++;
		else if (escapes && *at == '\\' && at + 1 < end)
			at++;
		value[length++] = *at;
	}
	value[length] = '\0';
	return value;
}

/*
 * Statements end at a semicolon outside parentheses and outside the body of a
 * function written as BEGIN ATOMIC … END, where CASE … END nests.
 */
bool
sql_next_statement(SqlLexer *lexer, SqlStatement *statement)
{
	SqlToken token = sql_next(lexer);
	size_t parentheses = 0;
	size_t body = 0;
	bool routine = false;
	const char *end;

	while (sql_is(token, ";"))
		token = sql_next(lexer);
	if (token.kind == SQL_END)
		return false;

	statement->start = token.start;
	if (sql_is(token, "create"))
	{
		SqlLexer head = *lexer;

		sql_accept_two(&head, "or", "replace");
		routine = sql_accept(&head, "function") || sql_accept(&head, "procedure");
	}
	for (;;)
	{
		end = token.start + token.length;
		if (token.kind == SQL_BAD)
			end = lexer->text + lexer->length;
		else if (sql_is(token, "("))
			parentheses++;
		else if (sql_is(token, ")") && parentheses > 0)
			parentheses--;
		else if (routine && body == 0 && sql_is(token, "begin") && sql_accept(lexer, "atomic"))
			body = 1;
		else if (body > 0 && sql_is(token, "case"))
			body++;
		else if (body > 0 && sql_is(token, "end"))
			body--;

		token = sql_next(lexer);
		if (token.kind == SQL_END || (sql_is(token, ";") && parentheses == 0 && body == 0))
			break;
	}
	statement->length = (size_t) (end - statement->start);
	return true;
}

/* Find the word as it stands, without regard to case or to what is around it. */
bool
sql_mentions(const char *text, size_t length, const char *word)
{
	size_t word_length = strlen(word);
	unsigned char first = lex_lower((unsigned char) word[0]);

	if (length < word_length)
		return false;
	for (size_t i = 0; i <= length - word_length; i++)
	{
		if (lex_lower((unsigned char) text[i]) == first &&
		    strncasecmp(text + i, word, word_length) == 0)
			return true;
	}
	return false;
}
