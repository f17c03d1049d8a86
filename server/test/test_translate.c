/*-------------------------------------------------------------------------
 *
 * test_translate.c
 *	  The translator against its golden files, and against PostgreSQL's own
 *	  grammar (libpg_query): what comes out parses, or there is an error with a
 *	  position inside the input.
 *
 * test/translate/DIALECT.golden has statements, each line behind "> ", and under
 * them what they become. With FRESHET_TEST_ACCEPT=1 the files are written anew.
 * Then statements are made out of pieces of those for TRANSLATE_FUZZ_SECONDS (2), from
 * TRANSLATE_FUZZ_SEED.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <pg_query.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "random.h"
#include "sql/lex.h"
#include "translate/translate.h"

#define DIALECTS 2

static const char *const dialect_names[DIALECTS] = {"cratedb", "databend"};

static const char *const kinds[] = {
    [STATEMENT_QUERY] = "query",
    [STATEMENT_INSERT] = "insert",
    [STATEMENT_UPDATE] = "update",
    [STATEMENT_DELETE] = "delete",
    [STATEMENT_MERGE] = "merge",
    [STATEMENT_REPLACE] = "replace",
    [STATEMENT_DEFINE] = "define",
    [STATEMENT_REFRESH] = "refresh",
    [STATEMENT_ACCEPTED] = "accepted",
    [STATEMENT_BEGIN] = "begin",
    [STATEMENT_COMMIT] = "commit",
    [STATEMENT_ROLLBACK] = "rollback",
    [STATEMENT_SET] = "set",
    [STATEMENT_RESET] = "reset",
    [STATEMENT_USE] = "use",
    [STATEMENT_KILL] = "kill",
    [STATEMENT_SHOW_SETTINGS] = "show settings",
    [STATEMENT_INSERT_STAGE] = "insert stage",
    [STATEMENT_COPY_INTO] = "copy into",
    [STATEMENT_PRESIGN] = "presign",
    [STATEMENT_LIST_STAGE] = "list stage",
    [STATEMENT_REMOVE_STAGE] = "remove stage",
};

/* The statements of a golden file. */
typedef struct Corpus
{
	Arena arena;
	char **texts;
	size_t count;
	char **comments; /* the lines before each */
	char *golden;    /* the file */
} Corpus;

static Corpus corpora[DIALECTS];

/* A whole file, or "". */
static char *
read_whole(Arena *arena, const char *path)
{
	FILE *file = fopen(path, "r");
	Text text;
	char buffer[4096];
	size_t got;

	text_init(&text, arena);
	while (file != NULL && (got = fread(buffer, 1, sizeof buffer, file)) > 0)
		text_append_bytes(&text, buffer, got);
	if (file != NULL)
		fclose(file);
	return text.data;
}

/* Does PostgreSQL's grammar take it? The reason if not. */
static char *
parse_problem(Arena *arena, const char *sql)
{
	PgQueryParseResult result = pg_query_parse(sql);
	char *problem = result.error != NULL ? arena_printf(arena, "%s", result.error->message) : NULL;

	pg_query_free_parse_result(result);
	return problem;
}

/* All SQL of a statement is such as PostgreSQL's grammar takes. */
static bool
check_statement(Arena *arena, const Statement *statement, const char *text)
{
	const char *const *lists[] = {(const char *const[]){statement->sql, NULL},
	                              (const char *const *) statement->before,
	                              (const char *const *) statement->after};
	bool good = true;

	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
	{
		for (size_t j = 0; lists[i] != NULL && lists[i][j] != NULL; j++)
		{
			char *problem = lists[i][j][0] != '\0' ? parse_problem(arena, lists[i][j]) : NULL;

			if (problem != NULL)
			{
				fprintf(stderr, "not PostgreSQL's: %s\n  from: %s\n  %s\n", lists[i][j], text,
				        problem);
				good = false;
			}
		}
	}
	for (int at = 1; at <= (int) strlen(statement->sql); at++)
	{
		size_t position = translate_position(statement, at);

		good = good && position >= statement->at && position <= statement->end;
	}
	return good && statement->end <= strlen(text);
}

/* What a golden file says of one statement. */
static void
describe(Text *out, const Statement *statement)
{
	for (size_t i = 0; statement->before != NULL && statement->before[i] != NULL; i++)
		text_printf(out, "before: %s\n", statement->before[i]);
	text_printf(out, "%s%s%s: %s\n", kinds[statement->kind],
	            strcasecmp(statement->head, kinds[statement->kind]) == 0 ||
	                    strcmp(statement->head, "SELECT") == 0
	                ? ""
	                : ", ",
	            strcasecmp(statement->head, kinds[statement->kind]) == 0 ||
	                    strcmp(statement->head, "SELECT") == 0
	                ? ""
	                : statement->head,
	            statement->sql);
	for (size_t i = 0; statement->after != NULL && statement->after[i] != NULL; i++)
		text_printf(out, "after: %s\n", statement->after[i]);
	if (statement->placeholders)
		text_append(out, "  placeholders\n");
	if (statement->unless_exists)
		text_append(out, "  unless it exists\n");
	if (statement->relation.name != NULL)
		text_printf(out, "  relation %s%s%s\n",
		            statement->relation.schema != NULL ? statement->relation.schema : "",
		            statement->relation.schema != NULL ? " . " : "", statement->relation.name);
	if (statement->stage != NULL)
		text_printf(out, "  stage %s\n", statement->stage);
	for (size_t i = 0; i < statement->name_count; i++)
		text_printf(out, "  name %s\n", statement->names[i]);
	for (size_t i = 0; i < statement->option_count; i++)
		text_printf(out, "  option %s = %s%s\n", statement->options[i].name,
		            statement->options[i].value, statement->options[i].global ? " (global)" : "");
	for (size_t i = 0; i < statement->parameter_count; i++)
	{
		if (statement->parameter_names[i] != NULL)
			text_printf(out, "  $%zu is :%s\n", i + 1, statement->parameter_names[i]);
		else
			text_printf(out, "  $%zu is %d\n", i + 1, statement->parameters[i]);
	}
}

/* What becomes of a text. */
static void
describe_text(Arena *arena, Text *out, TranslateDialect dialect, const char *text)
{
	Translation translation = translate(arena, dialect, text, strlen(text));
	int line;
	int column;

	if (translation.failed)
	{
		CHECK(translation.error.position <= strlen(text));
		translate_line(text, strlen(text), translation.error.position, &line, &column);
		text_printf(out, "error %s at %d:%d: %s\n", translation.error.sqlstate, line, column,
		            translation.error.message);
	}
	for (size_t i = 0; !translation.failed && i < translation.count; i++)
	{
		CHECK(check_statement(arena, &translation.statements[i], text));
		describe(out, &translation.statements[i]);
	}
}

/* Read a golden file's statements. */
static void
read_corpus(Corpus *corpus, const char *path)
{
	char *line;
	char *rest;
	Text text;
	Text comment;

	corpus->golden = read_whole(&corpus->arena, path);
	corpus->texts = arena_alloc(&corpus->arena, (strlen(corpus->golden) + 1) * sizeof(char *));
	corpus->comments = arena_alloc(&corpus->arena, (strlen(corpus->golden) + 1) * sizeof(char *));
	rest = arena_copy(&corpus->arena, corpus->golden, strlen(corpus->golden));
	text_init(&text, &corpus->arena);
	text_init(&comment, &corpus->arena);
	while ((line = strsep(&rest, "\n")) != NULL)
	{
		if (strncmp(line, "> ", 2) == 0)
			text_printf(&text, "%s%s", text.length > 0 ? "\n" : "", line + 2);
		else if (text.length > 0)
		{
			corpus->comments[corpus->count] = comment.data;
			corpus->texts[corpus->count++] = text.data;
			text_init(&text, &corpus->arena);
			text_init(&comment, &corpus->arena);
		}
		if (line[0] == '#')
			text_printf(&comment, "%s\n", line);
	}
}

/* A dialect's statements become what its golden file says. */
static void
test_golden(TranslateDialect dialect, const char *path)
{
	Corpus *corpus = &corpora[dialect];
	Text made;
	FILE *file;

	read_corpus(corpus, path);
	CHECK(corpus->count > 0);
	text_init(&made, &corpus->arena);
	for (size_t i = 0; i < corpus->count; i++)
	{
		const char *text = corpus->texts[i];

		text_append(&made, corpus->comments[i]);
		for (const char *at = text; at != NULL; at = strchr(at, '\n'))
		{
			at += *at == '\n';
			text_printf(&made, "> %.*s\n", (int) strcspn(at, "\n"), at);
			if (at[0] == '\0')
				break;
		}
		describe_text(&corpus->arena, &made, dialect, text);
		text_append(&made, "\n");
	}
	if (strcmp(made.data, corpus->golden) == 0)
		return;
	if (getenv("FRESHET_TEST_ACCEPT") == NULL)
	{
		fprintf(stderr, "%s differs from what is made now: see %s.now\n", path, path);
		path = arena_printf(&corpus->arena, "%s.now", path);
		failures++;
	}
	file = fopen(path, "w");
	if (file == NULL)
		abort();
	fputs(made.data, file);
	fclose(file);
}

/* A token of some statement of the corpus, with the blank before it or without. */
static void
append_some_token(Text *text, const Corpus *corpus)
{
	const char *from = corpus->texts[roll(corpus->count)];
	SqlLexer lexer;
	SqlToken tokens[64];
	size_t count = 0;

	sql_lexer_init(&lexer, from, strlen(from), true);
	while (count < 64 && (tokens[count] = sql_next(&lexer)).kind != SQL_END)
		count++;
	if (count == 0)
		return;
	if (roll(4) > 0)
		text_append(text, " ");
	count = roll(count);
	text_append_bytes(text, tokens[count].start, tokens[count].length);
}

/* A statement of the corpus in which some tokens are missing, doubled or others. */
static char *
some_text(Arena *arena, const Corpus *corpus)
{
	const char *from = corpus->texts[roll(corpus->count)];
	size_t rate = 2 + roll(12);
	const char *end = from;
	SqlLexer lexer;
	SqlToken token;
	Text text;

	text_init(&text, arena);
	sql_lexer_init(&lexer, from, strlen(from), true);
	while ((token = sql_next(&lexer)).kind != SQL_END)
	{
		const char *start = roll(8) > 0 ? end : token.start;

		end = token.start + token.length;
		switch (roll(rate) == 0 ? roll(6) : 9)
		{
			case 0:
				break;
			case 1:
				append_some_token(&text, corpus);
				break;
			case 2:
				append_some_token(&text, corpus);
				text_append_bytes(&text, start, (size_t) (end - start));
				break;
			case 3:
				text_append_bytes(&text, start, (size_t) (end - start));
				text_append_bytes(&text, start, (size_t) (end - start));
				break;
			case 4:
				text_append(&text, "(");
				text_append_bytes(&text, start, (size_t) (end - start));
				text_append(&text, ")");
				break;
			case 5:
				text_append(&text, &"'\0\"\0`\0\\\0$\0/*\0\xc3\xa4\0--\0[\0{\0"[2 * roll(8)]);
				break;
			default:
				text_append_bytes(&text, start, (size_t) (end - start));
		}
	}
	return text.data;
}

/* Whatever the text: SQL that parses, or an error with a place. */
static void
test_fuzz(TranslateDialect dialect, double seconds)
{
	const Corpus *corpus = &corpora[dialect];
	clock_t until = clock() + (clock_t) (seconds * CLOCKS_PER_SEC);
	size_t texts = 0;
	size_t good = 0;

	for (; clock() < until && failures < 5; texts++)
	{
		Arena arena = {NULL};
		uint64_t before = seed;
		char *text = some_text(&arena, corpus);
		Translation translation = translate(&arena, dialect, text, strlen(text));
		bool fine = !translation.failed || translation.error.position <= strlen(text);

		for (size_t i = 0; !translation.failed && i < translation.count; i++)
			fine = fine && check_statement(&arena, &translation.statements[i], text);
		if (!fine)
		{
			fprintf(stderr, "%s, TRANSLATE_FUZZ_SEED=%llu: %s\n", dialect_names[dialect],
			        (unsigned long long) before, text);
			failures++;
		}
		good += !translation.failed;
		arena_reset(&arena);
	}
	printf("translate: %zu texts of %s, %zu translated\n", texts, dialect_names[dialect], good);
	/* a generator that makes nothing but errors tests nothing */
	CHECK(texts < 1000 || good * 20 > texts);
}

/* What is too long, too deep or too much is refused. */
static void
test_limits(void)
{
	Arena arena = {NULL};
	size_t length = TRANSLATE_TEXT_MAX + 1;
	char *text = arena_alloc(&arena, length + 1);
	Translation translation;
	Text many;

	memset(text, ' ', length);
	translation = translate(&arena, TRANSLATE_CRATEDB, text, length);
	CHECK(translation.failed && strcmp(translation.error.sqlstate, "54000") == 0);
	memset(text, '(', length);
	memcpy(text, "select", 6);
	for (int dialect = 0; dialect < DIALECTS; dialect++)
	{
		static const char openers[] = "([{-~";

		for (size_t i = 0; openers[i] != '\0'; i++)
		{
			memset(text + 7, openers[i], 100000);
			text[6] = ' ';
			translation = translate(&arena, (TranslateDialect) dialect, text, 100000);
			CHECK(translation.failed);
		}
	}
	text_init(&many, &arena);
	text_append(&many, "select ?");
	for (int i = 0; i < TRANSLATE_PARAMETER_MAX; i++)
		text_append(&many, ",?");
	translation = translate(&arena, TRANSLATE_CRATEDB, many.data, many.length - 2);
	CHECK(!translation.failed &&
	      translation.statements[0].parameter_count == TRANSLATE_PARAMETER_MAX);
	translation = translate(&arena, TRANSLATE_CRATEDB, many.data, many.length);
	CHECK(translation.failed && strcmp(translation.error.sqlstate, "54000") == 0);
	translation = translate(&arena, TRANSLATE_DATABEND, "select 1\0", 9);
	CHECK(translation.failed && translation.error.position == 8);
	translation = translate(&arena, TRANSLATE_DATABEND, "select '\xff'", 10);
	CHECK(translation.failed && translation.error.position == 8);
	translation = translate(&arena, TRANSLATE_DATABEND, " ; ;", 4);
	CHECK(!translation.failed && translation.count == 0);
	arena_reset(&arena);
}

/* Positions in the output lead to the input. */
static void
test_positions(void)
{
	Arena arena = {NULL};
	const char *text = "select 'é', o['k'] = 1,\n nonsense from t";
	Translation translation = translate(&arena, TRANSLATE_CRATEDB, text, strlen(text));
	const char *sql = translation.statements[0].sql;
	int characters = 1;
	int line;
	int column;

	for (const char *at = sql; at < strstr(sql, "nonsense"); at++)
		characters += ((unsigned char) *at & 0xc0) != 0x80;
	translate_line(text, strlen(text), translate_position(translation.statements, characters),
	               &line, &column);
	CHECK(line == 2 && column == 2);
	arena_reset(&arena);
}

int
main(void)
{
	const char *seconds = getenv("TRANSLATE_FUZZ_SECONDS");
	const char *wanted = getenv("TRANSLATE_FUZZ_SEED");
	Arena arena = {NULL};

	if (wanted != NULL)
		seed = strtoull(wanted, NULL, 10);
	for (int dialect = 0; dialect < DIALECTS; dialect++)
	{
		test_golden((TranslateDialect) dialect,
		            arena_printf(&arena, "test/translate/%s.golden", dialect_names[dialect]));
		test_fuzz((TranslateDialect) dialect, seconds != NULL ? atof(seconds) / 2 : 1);
	}
	test_limits();
	test_positions();
	for (int dialect = 0; dialect < DIALECTS; dialect++)
		arena_reset(&corpora[dialect].arena);
	arena_reset(&arena);
	return check_status("test_translate");
}
