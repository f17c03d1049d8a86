/*-------------------------------------------------------------------------
 *
 * parser.h
 *	  What the grammar is made of: the token that comes next, the output as a
 *	  list of pieces, and the tables by which dialects differ.
 *
 * A function named parse_X reads an X and appends its translation to the output.
 * What has to go in front of something that was read already is put behind its
 * Mark; what has to move is cut out and put back. An error leaves by longjmp; all
 * memory is the arena's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_TRANSLATE_PARSER_H
#define FRESHET_TRANSLATE_PARSER_H

#include <setjmp.h>

#include "sql/lex.h"
#include "translate/translate.h"

typedef struct Parser Parser;

/* A piece of output, and where in the input it comes from. */
typedef struct Piece
{
	struct Piece *next;
	const char *text;
	size_t length;
	size_t in;
	bool verbatim;
	bool space; /* a blank was before it */
} Piece;

/* A place in the output: what comes next stands behind this piece. */
typedef Piece *Mark;

typedef struct Fragment
{
	Piece *first;
	Piece *last;
} Fragment;

/* What is known of the expression that was read last. */
typedef enum ValueKind
{
	VALUE_OTHER,
	VALUE_COLUMN, /* a plain column, or *: its own name */
	VALUE_NUMBER, /* these four are literals */
	VALUE_STRING,
	VALUE_CONSTANT, /* true, false */
	VALUE_NULL,
	VALUE_PARAMETER,
	VALUE_ARRAY, /* a literal array, its PostgreSQL form behind the mark */
	VALUE_JSON   /* jsonb: an object, or something inside one */
} ValueKind;

/* The type that a dialect's name stands for. */
typedef struct TypeRule
{
	const char *name; /* lower case; several words with one blank */
	const char *to;   /* NULL: `parse` reads what follows the name */
	int most;         /* numbers in parentheses that may follow */
	bool dropped;     /* they mean nothing here */
	void (*parse)(Parser *parser);
} TypeRule;

/*
 * A function that is something else here. `to` is another name, or, with a $ in it, a
 * template: $1 is the first argument, %1 the same as a string that names a unit of time, $* all
 * of them; @ is where FILTER and OVER go. Several rules of a name differ by how many
 * arguments they have.
 */
typedef struct FunctionRule
{
	const char *name;
	const char *to;
	void (*parse)(Parser *parser); /* instead of `to`: reads all from the name on */
	ValueKind value;
} FunctionRule;

/* How a statement that begins with these words is read. */
typedef struct StatementRule
{
	const char *words; /* upper case, one blank between */
	StatementKind kind;
	void (*parse)(Parser *parser); /* reads all from behind the words on */
} StatementRule;

/* What CREATE and DROP make of a kind of object. */
typedef struct ObjectRule
{
	const char *words;
	void (*create)(Parser *parser); /* reads all from behind the words on */
	const char *drop;               /* what PostgreSQL calls it; NULL: not dropped like that */
	bool schema_like;               /* its name has one part, and all in it goes with it */
} ObjectRule;

/* A schema, or a table of it, that stands somewhere else here. */
typedef struct SchemaRule
{
	const char *schema;
	const char *to;
} SchemaRule;

typedef struct DialectRules
{
	const char *name;
	bool escapes;   /* backslashes in strings, by Databend's rule */
	bool backticks; /* quote a name */
	bool nulls_last;
	bool float_division;
	bool colons; /* {'a': 1} rather than {a = 1}, and x:key for x['key'] */
	bool stages; /* INSERT … VALUES without rows, which come with the request */
	const StatementRule *statements;
	const ObjectRule *objects;
	const TypeRule *types;
	const FunctionRule *functions;
	const SchemaRule *schemas;
	const char *const *names;              /* reserved words of PostgreSQL that are names here */
	const char *const *clauses;            /* words that are not an alias without AS */
	void (*table_options)(Parser *parser); /* reads what ALTER TABLE … SET changes; may be NULL */
	bool (*column_option)(
	    Parser *parser); /* reads what may stand behind a column; false: nothing */
} DialectRules;

struct Parser
{
	Arena *arena;
	const DialectRules *rules;
	const char *text;
	size_t length;
	SqlLexer lexer;
	SqlToken token;  /* comes next */
	size_t previous; /* where the token before it ended */
	Piece head;      /* stands before all output */
	Piece *last;
	int depth;
	ValueKind value;
	bool in_object; /* inside an object's literal */
	Statement *statement;
	size_t name_room; /* of the statement's lists */
	size_t option_room;
	size_t parameter_room;
	bool or_replace; /* CREATE OR REPLACE, TEMPORARY */
	bool temporary;
	bool aliased;  /* the last item of FROM had an alias */
	int questions; /* ? so far */
	int *numbered; /* by the client's number: ours, or 0 */
	jmp_buf failed;
	TranslateError error;
};

extern const DialectRules cratedb_rules;
extern const DialectRules databend_rules;

/* parser.c: errors */
extern _Noreturn void parser_fail(Parser *parser, const char *sqlstate, size_t position,
                                  const char *format, ...) __attribute__((format(printf, 4, 5)));
extern _Noreturn void parser_syntax(Parser *parser);
extern _Noreturn void parser_refuse(Parser *parser, size_t position, const char *what);
extern void parser_enter(Parser *parser);
extern void parser_leave(Parser *parser);

/* parser.c: the token that comes next */
extern size_t parser_at(const Parser *parser);
extern void parser_skip(Parser *parser);
extern bool parser_is(const Parser *parser, const char *word);
extern bool parser_is_two(const Parser *parser, const char *first, const char *second);
extern bool parser_is_word(const Parser *parser);
extern bool parser_is_any(const Parser *parser, const char *const *words);
extern SqlToken parser_peek(const Parser *parser, int ahead);
extern bool parser_accept(Parser *parser, const char *words);
extern void parser_expect(Parser *parser, const char *word);
extern bool parser_ended(const Parser *parser);

/* parser.c: output */
extern Mark parser_mark(const Parser *parser);
extern void emit(Parser *parser, const char *text);
extern void
emit_printf(Parser *parser, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern void emit_literal(Parser *parser, const char *value);
extern void emit_after(Parser *parser, Mark mark, const char *text);
extern Fragment emit_cut(Parser *parser, Mark mark);
extern void emit_fragment(Parser *parser, Fragment fragment);
extern void emit_token(Parser *parser);
extern bool parser_take(Parser *parser, const char *words);
extern void parser_take_expected(Parser *parser, const char *word);
extern void parser_replace(Parser *parser, const char *text);
extern void parser_begin_statement(Parser *parser);
extern void parser_finish_sql(Parser *parser);

/* parser.c: names, strings, parameters, lists of the statement */
extern bool parser_is_name(const Parser *parser);
extern const char *read_name(Parser *parser);
extern const char *parse_name(Parser *parser);
extern const char *parse_label(Parser *parser);
extern TranslateName read_relation(Parser *parser);
extern TranslateName parse_relation(Parser *parser);
extern void emit_relation(Parser *parser, TranslateName relation);
extern void emit_name(Parser *parser, const char *name, size_t in, bool space);
extern void parse_names(Parser *parser);
extern const char *read_string(Parser *parser);
extern const char *read_value(Parser *parser);
extern const char *parse_string(Parser *parser);
extern void parse_parameter(Parser *parser);
extern void parser_add_name(Parser *parser, const char *name);
extern void parser_add_option(Parser *parser, const char *name, const char *value, bool global);
extern void parser_add_before(Parser *parser, const char *sql);
extern void parser_add_after(Parser *parser, const char *sql);
extern const char *parser_source(const Parser *parser, size_t from, size_t to);

/* expression.c */
extern void parse_number(Parser *parser);
extern void parse_expression(Parser *parser);
extern void parse_table_function(Parser *parser);
extern void value_to_json(Parser *parser, Mark mark, ValueKind kind);
extern void parse_expressions(Parser *parser);
extern void parse_order(Parser *parser);
extern void parse_window(Parser *parser);

/* type.c */
extern bool parser_is_type(const Parser *parser);
extern void parse_type(Parser *parser);

/* query.c */
extern bool parser_is_query(const Parser *parser);
extern void parse_query(Parser *parser);
extern void parse_named_query(Parser *parser);
extern void parse_with(Parser *parser);
extern void parse_targets(Parser *parser);
extern void parse_from_items(Parser *parser);
extern bool parse_alias(Parser *parser);

/* statement.c: what both dialects have */
extern void parse_statement(Parser *parser);
extern void parse_insert(Parser *parser);
extern void parse_update(Parser *parser);
extern void parse_delete(Parser *parser);
extern void parse_explain(Parser *parser);
extern void parse_create(Parser *parser);
extern void parse_drop(Parser *parser);
extern void parse_view(Parser *parser);
extern void parse_materialized_view(Parser *parser);
extern void parse_alter_table(Parser *parser);
extern void parse_unless_exists(Parser *parser);
extern void parse_or_replace(Parser *parser, const char *kind);
extern void parse_table_elements(Parser *parser);
extern bool parse_if_not_exists(Parser *parser);
extern void emit_regclass(Parser *parser, TranslateName relation);
extern void parse_nothing(Parser *parser);
extern void parse_refused(Parser *parser);

#endif /* FRESHET_TRANSLATE_PARSER_H */
