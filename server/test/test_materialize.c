/*-------------------------------------------------------------------------
 *
 * test_materialize.c
 *	  Unit tests of the SQL scanner and of the statements of Materialize.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "dialect/materialize/envelope.h"
#include "dialect/materialize/statement.h"
#include "source/loadgen/generator.h"
#include "sql/lex.h"

/* How many statements the text has; the last is left in statement. */
static int
count_statements(const char *text, SqlStatement *statement)
{
	SqlLexer lexer;
	int count = 0;

	sql_lexer_init(&lexer, text, strlen(text), true);
	while (sql_next_statement(&lexer, statement))
		count++;
	return count;
}

/* Statements end where PostgreSQL's do. */
static void
test_split(void)
{
	SqlStatement s;

	CHECK(count_statements("", &s) == 0);
	CHECK(count_statements(" ;; -- x\n ; /* ; */ ", &s) == 0);
	CHECK(count_statements("select 1", &s) == 1);
	CHECK(count_statements("select 1; select 2 ; ", &s) == 2);
	CHECK(s.length == 8 && strncmp(s.start, "select 2", 8) == 0);
	CHECK(count_statements("select ';', \"a;b\", $x$;$x$, $$;$$, E'\\';', U&'\\0041;'; s", &s) ==
	      2);
	CHECK(count_statements("select '''', 'a\\'; s", &s) == 2);
	CHECK(count_statements("/* a /* ; */ ; */ select 1 -- ; \n + 1; select 2", &s) == 2);
	CHECK(count_statements("create rule r as on insert to t do (select 1; select 2); s", &s) == 2);
	CHECK(count_statements("create function f() returns int begin atomic select 1; select case"
	                       " when true then 1 end; end; s",
	                       &s) == 2);
	CHECK(count_statements("select $1; select a$1$b; s", &s) == 3);
	CHECK(count_statements("select 'open; select 2", &s) == 1);
	CHECK(count_statements("select $x$ open; select 2", &s) == 1);
	CHECK(count_statements("select /* open; select 2", &s) == 1);
	CHECK(count_statements("select \"open; select 2", &s) == 1);
}

/* Without standard_conforming_strings a backslash escapes in any string. */
static void
test_strings(void)
{
	Arena arena = {0};
	SqlLexer lexer;
	SqlToken token;

	sql_lexer_init(&lexer, "'a\\'b' x", 8, false);
	token = sql_next(&lexer);
	CHECK(token.kind == SQL_STRING && token.length == 6);
	CHECK(strcmp(sql_string(&arena, token, false), "a'b") == 0);
	sql_lexer_init(&lexer, "'it''s'", 7, true);
	CHECK(strcmp(sql_string(&arena, sql_next(&lexer), true), "it's") == 0);
	sql_lexer_init(&lexer, "$q$1s$q$", 8, true);
	CHECK(strcmp(sql_string(&arena, sql_next(&lexer), true), "1s") == 0);
	sql_lexer_init(&lexer, "\"A\"\"b\"", 6, true);
	CHECK(strcmp(sql_name(&arena, sql_next(&lexer)), "A\"b") == 0);
	sql_lexer_init(&lexer, "FooBar", 6, true);
	CHECK(strcmp(sql_name(&arena, sql_next(&lexer)), "foobar") == 0);
	arena_reset(&arena);
}

/* Any cut of any text is read without going past its end. */
static void
test_bounds(void)
{
	static const char text[] =
	    "select E'\\\\', U&\"x\", $tag$ a $tag$, $1, 1.5e+10 /* /* */ */ -- x\n, \"q\"\"\", 'a'";

	for (size_t length = 0; length <= sizeof(text) - 1; length++)
	{
		char *copy = malloc(length + 1);
		SqlLexer lexer;
		int tokens = 0;

		if (copy == NULL)
			abort();
		memcpy(copy, text, length);
		sql_lexer_init(&lexer, copy, length, true);
		while (sql_next(&lexer).kind != SQL_END)
			CHECK(++tokens < 100);
		free(copy);
	}
}

/* A text as the dialect's statement. */
static MzStatement
parse(Arena *arena, const char *text)
{
	MzStatement statement;
	SqlLexer lexer;
	SqlStatement slice = {text, 0};

	sql_lexer_init(&lexer, text, strlen(text), true);
	sql_next_statement(&lexer, &slice);
	mz_parse(arena, text, slice, true, &statement);
	return statement;
}

/* What is not Materialize's stays as it is. */
static void
test_untouched(void)
{
	static const char *const texts[] = {
	    "select 1",
	    "show search_path",
	    "SHOW TRANSACTION ISOLATION LEVEL",
	    "show all",
	    "show tables.x",
	    "create table subscribe (a int)",
	    "declare c cursor for select 1",
	    "copy t to stdout",
	    "copy (select 1) to stdout",
	    "copy source from stdin",
	    "drop table source",
	    "create materialized view v as select 1 in cluster",
	    "create index on t (a) with (fillfactor = 70)",
	    "insert into t values ('subscribe t')",
	    "fetch 1 from",
	    "close a b",
	    "select 'open",
	};
	Arena arena = {0};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		MzStatement s = parse(&arena, texts[i]);

		if (s.kind != MZ_OTHER)
			fprintf(stderr, "not left alone: %s\n", texts[i]);
		CHECK(s.kind == MZ_OTHER);
	}
	arena_reset(&arena);
}

/* SUBSCRIBE and all its clauses. */
static void
test_subscribe(void)
{
	Arena arena = {0};
	MzStatement s;

	s = parse(&arena, "subscribe t");
	CHECK(s.kind == MZ_SUBSCRIBE && strcmp(s.subscribe.target, "\"t\"") == 0);
	CHECK(s.subscribe.snapshot && !s.subscribe.progress && s.subscribe.as_of == NULL);
	s = parse(&arena, "TAIL materialize.public.\"T x\"");
	CHECK(s.kind == MZ_SUBSCRIBE &&
	      strcmp(s.subscribe.target, "\"materialize\".\"public\".\"T x\"") == 0);
	s = parse(&arena,
	          "SUBSCRIBE TO (SELECT a FROM t WHERE (b) = ')') ENVELOPE UPSERT (KEY (c, \"B\"))"
	          " WITH (SNAPSHOT = false, PROGRESS) AS OF AT LEAST now() - interval '1s' UP TO 5");
	CHECK(s.kind == MZ_SUBSCRIBE && s.subscribe.is_query);
	CHECK(strcmp(s.subscribe.target, "(SELECT a FROM t WHERE (b) = ')')") == 0);
	CHECK(s.subscribe.envelope == MZ_ENVELOPE_UPSERT && s.subscribe.key.count == 2);
	CHECK(strcmp(s.subscribe.key.names[1], "B") == 0);
	CHECK(!s.subscribe.snapshot && s.subscribe.progress && s.subscribe.as_of_at_least);
	CHECK(strcmp(s.subscribe.as_of, "now() - interval '1s'") == 0);
	CHECK(strcmp(s.subscribe.up_to, "5") == 0);
	s = parse(&arena, "subscribe t with (progress = off) as of 1 envelope debezium (key (k))");
	CHECK(s.kind == MZ_SUBSCRIBE && s.subscribe.envelope == MZ_ENVELOPE_DEBEZIUM);
	CHECK(!s.subscribe.progress && strcmp(s.subscribe.as_of, "1") == 0);
	s = parse(&arena, "subscribe t within timestamp order by mz_diff desc nulls last, lower(v)"
	                  " with (snapshot false)");
	CHECK(s.subscribe.envelope == MZ_ENVELOPE_ORDERED && !s.subscribe.snapshot);
	CHECK(strcmp(s.subscribe.order, "mz_diff desc nulls last, lower(v)") == 0);

	s = parse(&arena, "subscribe");
	CHECK(s.kind == MZ_ERROR && strcmp(s.sqlstate, "42601") == 0);
	s = parse(&arena, "subscribe t foo");
	CHECK(s.kind == MZ_ERROR && s.position == 13);
	s = parse(&arena, "subscribe t with (nope)");
	CHECK(s.kind == MZ_ERROR && strstr(s.error, "nope") != NULL);
	s = parse(&arena, "subscribe t with (progress = 7)");
	CHECK(s.kind == MZ_ERROR);
	s = parse(&arena, "subscribe t envelope upsert (key (a)) within timestamp order by a");
	CHECK(s.kind == MZ_ERROR);
	s = parse(&arena, "subscribe (select 1");
	CHECK(s.kind == MZ_ERROR);

	s = parse(&arena, "copy (subscribe t with (progress)) to stdout with (format csv, header)");
	CHECK(s.kind == MZ_COPY && s.subscribe.progress);
	CHECK(strcmp(s.copy_options, "with (format csv, header)") == 0);
	arena_reset(&arena);
}

/* Cursors. */
static void
test_cursors(void)
{
	Arena arena = {0};
	MzStatement s;

	s = parse(&arena, "DECLARE c CURSOR WITHOUT HOLD FOR SUBSCRIBE v WITH (SNAPSHOT = FALSE)");
	CHECK(s.kind == MZ_DECLARE && strcmp(s.cursor, "c") == 0 && !s.subscribe.snapshot);
	s = parse(&arena, "declare c cursor with hold for subscribe v");
	CHECK(s.kind == MZ_ERROR);
	s = parse(&arena, "fetch c");
	CHECK(s.kind == MZ_FETCH && s.fetch.count == 1 && strcmp(s.fetch.cursor, "c") == 0);
	s = parse(&arena, "FETCH ALL c WITH (TIMEOUT = '1s')");
	CHECK(s.kind == MZ_FETCH && s.fetch.count == MZ_FETCH_ALL);
	CHECK(strcmp(s.fetch.timeout, "'1s'") == 0);
	s = parse(&arena, "fetch forward 2000 from \"C\"");
	CHECK(s.fetch.count == 2000 && strcmp(s.fetch.cursor, "C") == 0);
	s = parse(&arena, "fetch 0 in c");
	CHECK(s.kind == MZ_FETCH && s.fetch.count == 0);
	s = parse(&arena, "fetch backward 2 from c");
	CHECK(s.fetch.backward);
	s = parse(&arena, "fetch -1 c");
	CHECK(s.fetch.backward);
	s = parse(&arena, "fetch last");
	CHECK(s.kind == MZ_FETCH && strcmp(s.fetch.cursor, "last") == 0 && !s.fetch.backward);
	s = parse(&arena, "fetch c with (timeout)");
	CHECK(s.kind == MZ_ERROR);
	s = parse(&arena, "close all");
	CHECK(s.kind == MZ_CLOSE && s.fetch.cursor == NULL);
	arena_reset(&arena);
}

/* Clauses that mean nothing here are dropped, and only those. */
static void
test_rewrites(void)
{
	Arena arena = {0};
	MzStatement s;

	/* what is left stays where it was: an error's place is the same */
	s = parse(&arena, "CREATE MATERIALIZED VIEW v IN CLUSTER \"c\" WITH (RETAIN HISTORY FOR '1hr')"
	                  " AS SELECT 1");
	CHECK(s.kind == MZ_REWRITTEN && s.in_place);
	CHECK(strcmp(s.rewritten, "CREATE MATERIALIZED VIEW v               "
	                          "                                 AS SELECT 1") == 0);
	s = parse(&arena, "create index i in cluster c on t (a)");
	CHECK(s.kind == MZ_REWRITTEN &&
	      strcmp(s.rewritten, "create index i              on t (a)") == 0);
	s = parse(&arena, "show tables from s like 'a%'");
	CHECK(s.kind == MZ_REWRITTEN && strstr(s.rewritten, "name LIKE 'a%'") != NULL);
	s = parse(&arena, "show columns from \"a'b\" where name = 'x'");
	CHECK(s.kind == MZ_REWRITTEN && strstr(s.rewritten, "'\"a''b\"'") != NULL);
	s = parse(&arena, "show materialized views in cluster c");
	CHECK(s.kind == MZ_REWRITTEN && strstr(s.rewritten, "cluster = 'c'") != NULL);
	s = parse(&arena, "show tables foo");
	CHECK(s.kind == MZ_ERROR);
	arena_reset(&arena);
}

/* Sources. */
static void
test_sources(void)
{
	Arena arena = {0};
	MzStatement s;

	s = parse(&arena,
	          "CREATE SOURCE IF NOT EXISTS a.s IN CLUSTER c FROM LOAD GENERATOR AUCTION"
	          " (TICK INTERVAL = '50ms', AS OF 300, UP TO 301) FOR TABLES (bids AS b.x, users)"
	          " EXPOSE PROGRESS AS p WITH (RETAIN HISTORY FOR '1s')");
	CHECK(s.kind == MZ_CREATE_SOURCE && s.source.if_not_exists);
	CHECK(strcmp(s.source.schema, "a") == 0 && strcmp(s.source.generator, "AUCTION") == 0);
	CHECK(s.source.option_count == 3 && strcmp(s.source.options[1].name, "AS OF") == 0);
	CHECK(strcmp(s.source.options[0].value, "50ms") == 0);
	CHECK(s.source.table_count == 2 && strcmp(s.source.tables[0].schema, "b") == 0);
	CHECK(strcmp(s.source.tables[1].name, "users") == 0 && strcmp(s.source.progress, "p") == 0);
	s = parse(&arena, "create source s from load generator key value (keys 4)");
	CHECK(s.kind == MZ_ERROR && strcmp(s.sqlstate, "0A000") == 0);
	s = parse(&arena, "create source s from kafka connection k");
	CHECK(s.kind == MZ_ERROR && strcmp(s.sqlstate, "0A000") == 0);
	s = parse(&arena, "drop source if exists a, b.c cascade");
	CHECK(s.kind == MZ_DROP_SOURCE && s.drop.count == 2 && s.drop.cascade && s.drop.if_exists);
	CHECK(strcmp(s.drop.schemas[1], "b") == 0);
	arena_reset(&arena);
}

/* The columns of each form. */
static void
test_envelopes(void)
{
	Arena arena = {0};
	MzColumns columns;
	MzStatement s;

	CHECK(mz_columns_read(
	    &arena, "a numeric(10,2), \"B c\" character(2), t timestamp(3) with time zone", &columns));
	CHECK(columns.count == 3 && strcmp(columns.items[0].type, "numeric(10,2)") == 0);
	CHECK(strcmp(columns.items[1].name, "B c") == 0);
	CHECK(strcmp(columns.items[2].type, "timestamp(3) with time zone") == 0);
	s = parse(&arena, "subscribe v envelope debezium (key (\"B c\")) with (progress)");
	CHECK(mz_envelope_missing(&s.subscribe, &columns) == NULL);
	CHECK(strcmp(mz_cursor_sql(&arena, &s.subscribe, &columns),
	             "SELECT NULL::numeric AS \"mz_timestamp\", NULL::boolean AS \"mz_progressed\","
	             " NULL::text AS \"mz_state\", NULL::character(2) AS \"B c\","
	             " NULL::numeric(10,2) AS \"before_a\","
	             " NULL::timestamp(3) with time zone AS \"before_t\","
	             " NULL::numeric(10,2) AS \"after_a\","
	             " NULL::timestamp(3) with time zone AS \"after_t\""
	             " WHERE freshet.read_by_fetch_alone()") == 0);
	s = parse(&arena, "subscribe v envelope upsert (key (nope))");
	CHECK(strcmp(mz_envelope_missing(&s.subscribe, &columns), "nope") == 0);
	arena_reset(&arena);
}

/* AUCTION goes on from its state as if it had not stopped. */
static void
test_generator(void)
{
	GeneratorOptions options = {GENERATOR_NO_LIMIT, 0.01};
	GeneratorOutput whole = {0};
	GeneratorOutput parts = {0};
	char state[GENERATOR_STATE];
	char copy[GENERATOR_STATE];
	int bids = 0;

	strcpy(state, generator_auction.start);
	for (int tick = 0; tick < 301; tick++)
		generator_auction.tick(&options, state, sizeof(state), tick, &whole);
	strcpy(state, generator_auction.start);
	for (int tick = 0; tick < 301; tick++)
	{
		memcpy(copy, state, sizeof(state));
		generator_auction.tick(&options, copy, sizeof(copy), tick, &parts);
		memcpy(state, copy, sizeof(state));
	}
	CHECK(whole.rows[4].length == parts.rows[4].length);
	CHECK(memcmp(buffer_data(&whole.rows[4]), buffer_data(&parts.rows[4]), whole.rows[4].length) ==
	      0);
	for (size_t i = 0; i < whole.rows[4].length; i++)
		bids += buffer_data(&whole.rows[4])[i] == '\n';
	CHECK(bids == 255);
	for (int i = 0; i < GENERATOR_TABLES; i++)
	{
		buffer_free(&whole.rows[i]);
		buffer_free(&parts.rows[i]);
	}
}

/* All of them. */
int
main(void)
{
	test_split();
	test_strings();
	test_bounds();
	test_untouched();
	test_subscribe();
	test_cursors();
	test_rewrites();
	test_sources();
	test_envelopes();
	test_generator();
	return check_status("test_materialize");
}
