/*-------------------------------------------------------------------------
 *
 * translate.c
 *	  A text in a dialect of SQL becomes statements of PostgreSQL's.
 *
 *-------------------------------------------------------------------------
 */
#include "translate/translate.h"

#include <stdint.h>
#include <string.h>

#include "translate/parser.h"

static const DialectRules *const dialects[] = {
    [TRANSLATE_CRATEDB] = &cratedb_rules,
    [TRANSLATE_DATABEND] = &databend_rules,
};

/* How many bytes the character of UTF-8 at this place has; 0 if it is none. */
static size_t
character_length(const char *text, size_t length)
{
	unsigned char c = (unsigned char) text[0];
	size_t size = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	if (size == 0 || size > length)
		return 0;
	for (size_t i = 1; i < size; i++)
		if (((unsigned char) text[i] & 0xc0) != 0x80)
			return 0;
	if ((c == 0xe0 && (unsigned char) text[1] < 0xa0) ||
	    (c == 0xed && (unsigned char) text[1] > 0x9f) ||
	    (c == 0xf0 && (unsigned char) text[1] < 0x90) ||
	    (c == 0xf4 && (unsigned char) text[1] > 0x8f))
		return 0;
	return size;
}

/* A text is UTF-8 without zero bytes, and not too long. */
static void
check_text(Parser *parser)
{
	size_t at = 0;

	if (parser->length > TRANSLATE_TEXT_MAX)
		parser_fail(parser, "54000", TRANSLATE_TEXT_MAX, "the text has more than %d bytes",
		            TRANSLATE_TEXT_MAX);
	while (at < parser->length)
	{
		size_t size = character_length(parser->text + at, parser->length - at);

		if (size == 0 || parser->text[at] == '\0')
			parser_fail(parser, "22021", at, "the text is not UTF-8");
		at += size;
	}
}

/* Room for another statement. */
static Statement *
add_statement(Parser *parser, Translation *translation)
{
	size_t count = translation->count;
	Statement *statements = translation->statements;

	/* a list of 2^n is full */
	if ((count & (count - 1)) == 0)
	{
		statements = arena_alloc(parser->arena, 2 * (count + 1) * sizeof *statements);
		if (count > 0)
			memcpy(statements, translation->statements, count * sizeof *statements);
		translation->statements = statements;
	}
	translation->count++;
	memset(&statements[count], 0, sizeof *statements);
	return &statements[count];
}

/* All statements of a text; see translate.h. */
Translation
translate(Arena *arena, TranslateDialect dialect, const char *text, size_t length)
{
	Translation *translation = arena_alloc(arena, sizeof *translation);
	Parser *parser = arena_alloc(arena, sizeof *parser);

	memset(translation, 0, sizeof *translation);
	memset(parser, 0, sizeof *parser);
	parser->arena = arena;
	parser->rules = dialects[dialect];
	parser->text = text;
	parser->length = length;
	parser->last = &parser->head;
	if (setjmp(parser->failed) != 0)
		return (Translation){.failed = true, .error = parser->error};
	check_text(parser);
	sql_lexer_init(&parser->lexer, text, length, !parser->rules->escapes);
	parser->lexer.backticks = parser->rules->backticks;
	parser_skip(parser);
	for (;;)
	{
		while (parser_is(parser, ";"))
			parser_skip(parser);
		if (parser->token.kind == SQL_END)
			return *translation;
		parser->statement = add_statement(parser, translation);
		parser_begin_statement(parser);
		parse_statement(parser);
	}
}

/* The byte of the text for a position in `sql`; see translate.h. */
size_t
translate_position(const Statement *statement, int character)
{
	size_t at = 0;
	size_t low = 0;
	size_t high = statement->span_count;
	const TranslateSpan *span;

	for (; character > 1 && statement->sql[at] != '\0'; character--)
		do
			at++;
		while (((unsigned char) statement->sql[at] & 0xc0) == 0x80);
	if (high == 0)
		return statement->at;
	/* the last span that does not begin behind it */
	while (high - low > 1)
	{
		size_t middle = low + (high - low) / 2;

		if (statement->spans[middle].out <= at)
			low = middle;
		else
			high = middle;
	}
	span = &statement->spans[low];
	at = span->verbatim && at > span->out ? span->in + (at - span->out) : span->in;
	return at < statement->end ? at : statement->end;
}

/* Line and column of a byte of the text, both from 1, in characters. */
void
translate_line(const char *text, size_t length, size_t position, int *line, int *column)
{
	*line = 1;
	*column = 1;
	for (size_t i = 0; i < position && i < length; i++)
	{
		if (text[i] == '\n')
		{
			(*line)++;
			*column = 1;
		}
		else if (((unsigned char) text[i] & 0xc0) != 0x80)
			(*column)++;
	}
}
