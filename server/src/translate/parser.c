/*-------------------------------------------------------------------------
 *
 * parser.c
 *	  What the grammar is made of: errors, the next token, output, names and
 *	  strings.
 *
 *-------------------------------------------------------------------------
 */
#include "translate/parser.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "translate/keyword.h"

/* Give up: what is wrong, and where. */
void
parser_fail(Parser *parser, const char *sqlstate, size_t position, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	parser->error.message = arena_vprintf(parser->arena, format, arguments);
	va_end(arguments);
	parser->error.sqlstate = sqlstate;
	parser->error.position = position < parser->length ? position : parser->length;
	longjmp(parser->failed, 1);
}

/* The next token cannot stand here. */
void
parser_syntax(Parser *parser)
{
	if (parser->token.kind == SQL_END)
		parser_fail(parser, "42601", parser_at(parser), "unexpected end of input");
	if (parser->token.kind == SQL_BAD)
		parser_fail(parser, "42601", parser_at(parser), "unterminated quote or comment");
	parser_fail(parser, "42601", parser_at(parser), "unexpected \"%.*s\"",
	            parser->token.length > 64 ? 64 : (int) parser->token.length, parser->token.start);
}

/* What there is in the dialect and not here. */
void
parser_refuse(Parser *parser, size_t position, const char *what)
{
	parser_fail(parser, "0A000", position, "%s is not supported", what);
}

/* Go one level deeper, if that is allowed. */
void
parser_enter(Parser *parser)
{
	if (++parser->depth > TRANSLATE_DEPTH_MAX)
		parser_fail(parser, "54001", parser_at(parser), "statement is nested too deeply");
}

/* And back. */
void
parser_leave(Parser *parser)
{
	parser->depth--;
}

/* Where the next token begins. */
size_t
parser_at(const Parser *parser)
{
	return parser->token.kind == SQL_END ? parser->length
	                                     : (size_t) (parser->token.start - parser->text);
}

/* Read the next token without any output. */
void
parser_skip(Parser *parser)
{
	SqlTokenKind before = parser->token.kind;

	parser->previous = parser_at(parser) + parser->token.length;
	parser->token = sql_next(&parser->lexer);
	/* 1a is a number and its alias to older PostgreSQLs, and an error to newer ones */
	if (parser->token.kind == SQL_WORD && parser->previous == parser_at(parser) &&
	    (before == SQL_NUMBER || before == SQL_PARAMETER))
		parser_fail(parser, "42601", parser_at(parser), "trailing junk after a number");
}

/* Is the next token this word or character? */
bool
parser_is(const Parser *parser, const char *word)
{
	return sql_is(parser->token, word);
}

/* A token behind the next one; 1 is the first of them. */
SqlToken
parser_peek(const Parser *parser, int ahead)
{
	SqlLexer lexer = parser->lexer;
	SqlToken token = parser->token;

	while (ahead-- > 0)
		token = sql_next(&lexer);
	return token;
}

/* Are the next two tokens these? */
bool
parser_is_two(const Parser *parser, const char *first, const char *second)
{
	return parser_is(parser, first) && sql_is(parser_peek(parser, 1), second);
}

/* Is it a word, quoted or not? */
bool
parser_is_word(const Parser *parser)
{
	return parser->token.kind == SQL_WORD;
}

/* Is it one of these words? */
bool
parser_is_any(const Parser *parser, const char *const *words)
{
	for (; words != NULL && *words != NULL; words++)
		if (parser_is(parser, *words))
			return true;
	return false;
}

/* Are the next tokens these words, with one blank between each? Behind them, if so. */
static bool
match_words(const Parser *parser, const char *words, int *count)
{
	SqlLexer lexer = parser->lexer;
	SqlToken token = parser->token;

	for (*count = 0; *words != '\0'; (*count)++)
	{
		size_t length = strcspn(words, " ");

		if ((token.kind != SQL_WORD && token.kind != SQL_PUNCTUATION) || token.length != length ||
		    strncasecmp(token.start, words, length) != 0)
			return false;
		words += length + (words[length] == ' ');
		token = sql_next(&lexer);
	}
	return true;
}

/* Read these words, if they come next, without any output. */
bool
parser_accept(Parser *parser, const char *words)
{
	int count;

	if (!match_words(parser, words, &count))
		return false;
	while (count-- > 0)
		parser_skip(parser);
	return true;
}

/* Read this word without any output. */
void
parser_expect(Parser *parser, const char *word)
{
	if (!parser_accept(parser, word))
		parser_syntax(parser);
}

/* Is this the end of the statement? */
bool
parser_ended(const Parser *parser)
{
	return parser->token.kind == SQL_END || parser_is(parser, ";");
}

/* Where the output ends now. */
Mark
parser_mark(const Parser *parser)
{
	return parser->last;
}

/* A piece behind another. */
static Piece *
add_piece(Parser *parser, Mark mark, Piece piece)
{
	Piece *added = arena_alloc(parser->arena, sizeof *added);

	*added = piece;
	added->next = mark->next;
	mark->next = added;
	if (parser->last == mark)
		parser->last = added;
	return added;
}

/* Did blanks stand before the next token? */
static bool
spaced(const Parser *parser)
{
	return parser_at(parser) > parser->previous;
}

/* Append text of ours; it belongs to the token that comes next. */
void
emit(Parser *parser, const char *text)
{
	add_piece(parser, parser->last,
	          (Piece){NULL, text, strlen(text), parser_at(parser), false, false});
}

/* The same as printf prints it. */
void
emit_printf(Parser *parser, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	emit(parser, arena_vprintf(parser->arena, format, arguments));
	va_end(arguments);
}

/* Put text of ours where a mark is; the blank before what stood there moves in front of it. */
void
emit_after(Parser *parser, Mark mark, const char *text)
{
	Piece *next = mark->next;
	Piece piece = {NULL, text, strlen(text), parser_at(parser), false, false};

	if (next != NULL)
	{
		piece.in = next->in;
		piece.space = next->space;
		next->space = false;
	}
	add_piece(parser, mark, piece);
}

/* Take out what stands behind the mark. */
Fragment
emit_cut(Parser *parser, Mark mark)
{
	Fragment fragment = {mark->next, parser->last};

	if (mark == parser->last)
		fragment.last = NULL;
	mark->next = NULL;
	parser->last = mark;
	return fragment;
}

/* Append what was cut out. */
void
emit_fragment(Parser *parser, Fragment fragment)
{
	if (fragment.first == NULL)
		return;
	parser->last->next = fragment.first;
	parser->last = fragment.last;
}

/* Read the next token, which means the same here. */
void
emit_token(Parser *parser)
{
	Piece piece = {NULL, parser->token.start, parser->token.length, parser_at(parser),
	               true, spaced(parser)};

	if (parser->token.kind == SQL_END || parser->token.kind == SQL_BAD)
		parser_syntax(parser);
	add_piece(parser, parser->last, piece);
	parser_skip(parser);
}

/* Read these words as they are, if they come next. */
bool
parser_take(Parser *parser, const char *words)
{
	int count;

	if (!match_words(parser, words, &count))
		return false;
	while (count-- > 0)
		emit_token(parser);
	return true;
}

/* Read this word as it is. */
void
parser_take_expected(Parser *parser, const char *word)
{
	if (!parser_take(parser, word))
		parser_syntax(parser);
}

/* Read the next token and put this in its place. */
void
parser_replace(Parser *parser, const char *text)
{
	Piece piece = {NULL, text, strlen(text), parser_at(parser), false, spaced(parser)};

	add_piece(parser, parser->last, piece);
	parser_skip(parser);
}

/* A character that can be in a word. */
static bool
in_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '$' || (unsigned char) c >= 0x80;
}

/* Would these two, without a blank between, be read as one token? */
static bool
would_join(char left, char right)
{
	static const char operators[] = "+-*/<>=~!@#%^&|`?:";

	if (in_word(left) && (in_word(right) || right == '\'' || right == '"'))
		return true;
	if (left == right && (left == '\'' || left == '"'))
		return true;
	return strchr(operators, left) != NULL && strchr(operators, right) != NULL;
}

/* Nothing is known of the next statement yet. */
void
parser_begin_statement(Parser *parser)
{
	parser->head.next = NULL;
	parser->last = &parser->head;
	parser->value = VALUE_OTHER;
	parser->name_room = parser->option_room = parser->parameter_room = 0;
	parser->questions = 0;
	parser->numbered = NULL;
	parser->or_replace = parser->temporary = false;
}

/* The output becomes the statement's text, and its map. */
void
parser_finish_sql(Parser *parser)
{
	Statement *statement = parser->statement;
	size_t pieces = 0;
	Text sql;

	for (const Piece *piece = parser->head.next; piece != NULL; piece = piece->next)
		pieces++;
	statement->spans = arena_alloc(parser->arena, (pieces + 1) * sizeof *statement->spans);
	text_init(&sql, parser->arena);
	for (const Piece *piece = parser->head.next; piece != NULL; piece = piece->next)
	{
		if (piece->length == 0)
			continue;
		if (sql.length > 0 &&
		    (piece->space || would_join(sql.data[sql.length - 1], piece->text[0])) &&
		    sql.data[sql.length - 1] != ' ' && piece->text[0] != ' ')
			text_append(&sql, " ");
		statement->spans[statement->span_count++] =
		    (TranslateSpan){sql.length, piece->in, piece->verbatim};
		text_append_bytes(&sql, piece->text, piece->length);
	}
	statement->sql = sql.data;
}

/* Can the next token be a name? */
bool
parser_is_name(const Parser *parser)
{
	const char *word;

	if (parser->token.kind != SQL_WORD)
		return sql_is_name(parser->token);
	word = sql_name(parser->arena, parser->token);
	if (!keyword_is_reserved(word))
		return true;
	return parser_is_any(parser, parser->rules->names);
}

/* Read a name, checked. */
const char *
read_name(Parser *parser)
{
	const char *name;

	if (!parser_is_name(parser))
		parser_syntax(parser);
	name = sql_name(parser->arena, parser->token);
	if (*name == '\0')
		parser_fail(parser, "42601", parser_at(parser), "a quoted name is empty");
	if (strlen(name) > TRANSLATE_NAME_MAX)
		parser_fail(parser, "42622", parser_at(parser), "name \"%.16s…\" has more than %d bytes",
		            name, TRANSLATE_NAME_MAX);
	parser_skip(parser);
	return name;
}

/* Append a name; in quotes only if it needs them. */
void
emit_name(Parser *parser, const char *name, size_t in, bool space)
{
	Text text;
	/* a name NULLS before a word FIRST would be read as two keywords */
	bool plain = !(name[0] >= '0' && name[0] <= '9') && name[0] != '$' && keyword_is_plain(name) &&
	             strcmp(name, "nulls") != 0;

	for (const char *c = name; plain && *c != '\0'; c++)
		plain = in_word(*c) && !(*c >= 'A' && *c <= 'Z') && (unsigned char) *c < 0x80;
	text_init(&text, parser->arena);
	if (plain)
		text_append(&text, name);
	else
		text_identifier(&text, name);
	add_piece(parser, parser->last, (Piece){NULL, text.data, text.length, in, false, space});
}

/* Read a name and write it. */
const char *
parse_name(Parser *parser)
{
	size_t in = parser_at(parser);
	bool space = spaced(parser);
	const char *name = read_name(parser);

	emit_name(parser, name, in, space);
	return name;
}

/* A name behind AS or a dot, which may be any word. */
const char *
parse_label(Parser *parser)
{
	size_t in = parser_at(parser);
	bool space = spaced(parser);
	const char *name;

	if (!parser_is_word(parser))
		return parse_name(parser);
	name = sql_name(parser->arena, parser->token);
	if (strlen(name) > TRANSLATE_NAME_MAX)
		return read_name(parser);
	parser_skip(parser);
	emit_name(parser, name, in, space);
	return name;
}

/* Where the dialect's schema is to be found here. */
static const char *
find_schema(const Parser *parser, const char *schema)
{
	for (const SchemaRule *rule = parser->rules->schemas; rule->schema != NULL; rule++)
		if (strcmp(rule->schema, schema) == 0)
			return rule->to;
	return schema;
}

/* Read `schema.name`, or a name alone. */
TranslateName
read_relation(Parser *parser)
{
	TranslateName relation = {NULL, read_name(parser)};

	if (parser_is(parser, "."))
	{
		parser_skip(parser);
		relation.schema = find_schema(parser, relation.name);
		if (!parser_is_word(parser) && !parser_is_name(parser))
			parser_syntax(parser);
		relation.name = sql_name(parser->arena, parser->token);
		if (parser_is_word(parser) && strlen(relation.name) <= TRANSLATE_NAME_MAX)
			parser_skip(parser);
		else
			relation.name = read_name(parser);
	}
	if (parser_is(parser, "."))
		parser_fail(parser, "0A000", parser_at(parser), "names of three parts are not supported");
	return relation;
}

/* Append a relation's name. */
void
emit_relation(Parser *parser, TranslateName relation)
{
	if (relation.schema != NULL)
	{
		emit_name(parser, relation.schema, parser_at(parser), false);
		emit(parser, ".");
	}
	emit_name(parser, relation.name, parser_at(parser), false);
}

/* Read it and write it. */
TranslateName
parse_relation(Parser *parser)
{
	size_t in = parser_at(parser);
	bool space = spaced(parser);
	TranslateName relation = read_relation(parser);
	Piece *before = parser->last;

	emit_relation(parser, relation);
	before->next->space = space;
	for (Piece *piece = before->next; piece != NULL; piece = piece->next)
		piece->in = in;
	return relation;
}

/* ( name, … ) */
void
parse_names(Parser *parser)
{
	parser_take_expected(parser, "(");
	do
		parse_label(parser);
	while (parser_take(parser, ","));
	parser_take_expected(parser, ")");
}

/* The digits of an escape, at most so many; -1 if there are fewer than that. */
static long
read_digits(const char **at, const char *end, int base, int most, bool all)
{
	long value = 0;
	int count = 0;

	for (; count < most && *at < end; count++, (*at)++)
	{
		static const char digits[] = "0123456789abcdef";
		const char *digit = strchr(digits, **at | (**at >= 'A' ? 0x20 : 0));

		if (**at == '\0' || digit == NULL || digit - digits >= base)
			break;
		value = value * base + (digit - digits);
	}
	return count == 0 || (all && count < most) ? -1 : value;
}

/* Append a character as UTF-8. */
static void
append_character(Text *text, long c)
{
	char bytes[4];
	size_t length = 0;

	if (c < 0x80)
		bytes[length++] = (char) c;
	else if (c < 0x800)
	{
		bytes[length++] = (char) (0xc0 | c >> 6);
		bytes[length++] = (char) (0x80 | (c & 0x3f));
	}
	else
	{
		if (c < 0x10000)
			bytes[length++] = (char) (0xe0 | c >> 12);
		else
		{
			bytes[length++] = (char) (0xf0 | c >> 18);
			bytes[length++] = (char) (0x80 | (c >> 12 & 0x3f));
		}
		bytes[length++] = (char) (0x80 | (c >> 6 & 0x3f));
		bytes[length++] = (char) (0x80 | (c & 0x3f));
	}
	text_append_bytes(text, bytes, length);
}

/* The character an escape of digits stands for, or -1; `at` then stands behind it. */
static long
read_character(const char **at, const char *end, bool databend)
{
	const char kind = **at;

	if (kind >= '0' && kind <= '7')
		return read_digits(at, end, 8, 3, databend);
	(*at)++;
	if (kind == 'x')
		return read_digits(at, end, 16, 2, databend);
	if (kind == 'u' || (kind == 'U' && !databend))
		return read_digits(at, end, 16, kind == 'u' ? 4 : 8, true);
	return -1;
}

/*
 * What a backslash and what follows stand for; returns what is behind it. What is no
 * escape stays by Databend's rule with the backslash, by PostgreSQL's (E'') without.
 */
static const char *
read_escape(Parser *parser, Text *value, const char *at, const char *end)
{
	static const char letters[] = "bfnrt'\"\\";
	static const char meant[] = "\b\f\n\r\t'\"\\";
	const char *letter = *at != '\0' ? strchr(letters, *at) : NULL;
	const char *behind = at;
	bool databend = parser->rules->escapes;
	long c;

	if (letter != NULL)
	{
		text_append_bytes(value, meant + (letter - letters), 1);
		return at + 1;
	}
	c = read_character(&behind, end, databend);
	if (c < 0)
	{
		if (!databend && strchr("xuU", *at) != NULL)
			parser_fail(parser, "22025", (size_t) (at - parser->text), "invalid escape");
		text_append_bytes(value, databend ? "\\" : at, 1);
		return databend ? at : at + 1;
	}
	if (c == 0 || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		parser_fail(parser, "22021", (size_t) (at - parser->text),
		            "this character cannot be in a text");
	if (c >= 0x80 && !databend && *at != 'u' && *at != 'U')
		parser_refuse(parser, (size_t) (at - parser->text), "an escaped byte beyond ASCII");
	append_character(value, c);
	return behind;
}

/* Read a string: what it says. */
const char *
read_string(Parser *parser)
{
	SqlToken token = parser->token;
	const char *at = token.start;
	const char *end = token.start + token.length - 1;
	bool escapes = parser->rules->escapes;
	Text value;

	if (token.kind != SQL_STRING)
		parser_syntax(parser);
	if (*at == '$')
	{
		parser_skip(parser);
		return sql_string(parser->arena, token, true);
	}
	if (*at != '\'')
	{
		if ((*at != 'e' && *at != 'E') || escapes)
			parser_refuse(parser, parser_at(parser), "a string with this prefix");
		escapes = true;
		at++;
	}
	text_init(&value, parser->arena);
	for (at++; at < end;)
	{
		if (escapes && *at == '\\' && at + 1 < end)
			at = read_escape(parser, &value, at + 1, end);
		else
		{
			text_append_bytes(&value, at, 1);
			at += *at == '\'' ? 2 : 1;
		}
	}
	parser_skip(parser);
	return value.data;
}

/* A string, a word or a number, as text. */
const char *
read_value(Parser *parser)
{
	size_t from = parser_at(parser);

	if (parser->token.kind == SQL_STRING)
		return read_string(parser);
	parser_accept(parser, "-");
	if (parser->token.kind != SQL_NUMBER && !parser_is_word(parser))
		parser_syntax(parser);
	parser_skip(parser);
	return parser_source(parser, from, parser->previous);
}

/* Read a string and write it. */
const char *
parse_string(Parser *parser)
{
	size_t in = parser_at(parser);
	bool space = spaced(parser);
	const char *value = read_string(parser);
	Text text;

	text_init(&text, parser->arena);
	text_literal(&text, value);
	add_piece(parser, parser->last, (Piece){NULL, text.data, text.length, in, false, space});
	return value;
}

/* Append a string's literal. */
void
emit_literal(Parser *parser, const char *value)
{
	Text text;

	text_init(&text, parser->arena);
	text_literal(&text, value);
	emit(parser, text.data);
}

/* Room for one more in a list that grows; the list doubles. */
static void *
grow(Parser *parser, void *list, size_t count, size_t *room, size_t size)
{
	void *grown;

	if (count < *room)
		return list;
	*room = *room == 0 ? 8 : 2 * *room;
	grown = arena_alloc(parser->arena, *room * size);
	if (count > 0)
		memcpy(grown, list, count * size);
	return grown;
}

/* A parameter the statement did not have: its number here. */
static size_t
add_parameter(Parser *parser, int number, const char *name)
{
	Statement *statement = parser->statement;
	size_t count = statement->parameter_count;
	size_t room = parser->parameter_room;

	if (count == TRANSLATE_PARAMETER_MAX)
		parser_fail(parser, "54000", parser_at(parser), "too many parameters");
	statement->parameters =
	    grow(parser, statement->parameters, count, &parser->parameter_room, sizeof(int));
	statement->parameter_names =
	    grow(parser, statement->parameter_names, count, &room, sizeof(char *));
	statement->parameters[count] = number;
	statement->parameter_names[count] = name;
	return ++statement->parameter_count;
}

/* $n: its number here. */
static size_t
numbered_parameter(Parser *parser)
{
	size_t number = 0;
	int *known;

	for (size_t i = 1; i < parser->token.length && number <= TRANSLATE_PARAMETER_MAX; i++)
		number = number * 10 + (size_t) (parser->token.start[i] - '0');
	if (number == 0 || number > TRANSLATE_PARAMETER_MAX)
		parser_fail(parser, "42P02", parser_at(parser), "there is no parameter %.*s",
		            parser->token.length > 16 ? 16 : (int) parser->token.length,
		            parser->token.start);
	if (parser->numbered == NULL)
	{
		parser->numbered = arena_alloc(parser->arena, (TRANSLATE_PARAMETER_MAX + 1) * sizeof(int));
		memset(parser->numbered, 0, (TRANSLATE_PARAMETER_MAX + 1) * sizeof(int));
	}
	known = &parser->numbered[number];
	if (*known == 0)
		*known = (int) add_parameter(parser, (int) number, NULL);
	return (size_t) *known;
}

/* :name: its number here. */
static size_t
named_parameter(Parser *parser)
{
	Statement *statement = parser->statement;
	const char *name = sql_name(parser->arena, parser->token);

	for (size_t i = 0; i < statement->parameter_count; i++)
		if (statement->parameter_names[i] != NULL &&
		    strcmp(statement->parameter_names[i], name) == 0)
			return i + 1;
	if (statement->parameter_count >= TRANSLATE_NAMED_PARAMETER_MAX)
		parser_fail(parser, "54000", parser_at(parser), "too many parameters with names");
	return add_parameter(parser, 0, name);
}

/* ?, $n or :name */
void
parse_parameter(Parser *parser)
{
	size_t number;

	if (parser->token.kind == SQL_PARAMETER)
		number = numbered_parameter(parser);
	else if (parser_is(parser, "?"))
		number = add_parameter(parser, ++parser->questions, NULL);
	else
	{
		parser_expect(parser, ":");
		if (!parser_is_word(parser))
			parser_syntax(parser);
		number = named_parameter(parser);
	}
	parser_replace(parser, arena_printf(parser->arena, "$%zu", number));
}

/* One of the statement's names. */
void
parser_add_name(Parser *parser, const char *name)
{
	Statement *statement = parser->statement;

	statement->names = grow(parser, statement->names, statement->name_count, &parser->name_room,
	                        sizeof *statement->names);
	statement->names[statement->name_count++] = name;
}

/* One of its options. */
void
parser_add_option(Parser *parser, const char *name, const char *value, bool global)
{
	Statement *statement = parser->statement;

	statement->options = grow(parser, statement->options, statement->option_count,
	                          &parser->option_room, sizeof *statement->options);
	statement->options[statement->option_count++] = (TranslateOption){name, value, global};
}

/* One more at the end of a list that ends with NULL. */
static const char **
add_sql(Parser *parser, const char **list, const char *sql)
{
	size_t count = 0;
	const char **longer;

	while (list != NULL && list[count] != NULL)
		count++;
	longer = arena_alloc(parser->arena, (count + 2) * sizeof *longer);
	if (count > 0)
		memcpy(longer, list, count * sizeof *longer);
	longer[count] = sql;
	longer[count + 1] = NULL;
	return longer;
}

/* A statement to run before it. */
void
parser_add_before(Parser *parser, const char *sql)
{
	parser->statement->before = add_sql(parser, parser->statement->before, sql);
}

/* A statement to run after it. */
void
parser_add_after(Parser *parser, const char *sql)
{
	parser->statement->after = add_sql(parser, parser->statement->after, sql);
}

/* A piece of the text, blanks and comments as one blank, words outside of quotes in lower case. */
const char *
parser_source(const Parser *parser, size_t from, size_t to)
{
	SqlLexer lexer;
	SqlToken token;
	Text text;
	const char *end = NULL;

	sql_lexer_init(&lexer, parser->text + from, to - from, parser->lexer.standard_strings);
	lexer.backticks = parser->lexer.backticks;
	text_init(&text, parser->arena);
	while ((token = sql_next(&lexer)).kind != SQL_END && token.kind != SQL_BAD)
	{
		if (end != NULL && token.start > end)
			text_append(&text, " ");
		if (token.kind == SQL_WORD)
			text_append(&text, sql_name(parser->arena, token));
		else
			text_append_bytes(&text, token.start, token.length);
		end = token.start + token.length;
	}
	return text.data;
}
