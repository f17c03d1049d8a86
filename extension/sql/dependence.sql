-- What a query depends on beside rows, and queries of which some part must be computed only where PostgreSQL would
CREATE EXTENSION freshet;
CREATE SCHEMA dependence;
SET search_path = dependence, public;
CREATE FUNCTION wrong() RETURNS TABLE (view regclass, rows bigint, error text) LANGUAGE sql AS
$$ SELECT view, freshet.verify(view), error FROM freshet.views
   WHERE maintained AND (freshet.verify(view) <> 0 OR error IS NOT NULL) ORDER BY view::text $$;

CREATE TABLE t (id int PRIMARY KEY, a int, tags text[]);
INSERT INTO t VALUES (1, 5, '{x,y}'), (2, 1, '{y}');
CREATE TABLE setting (n int);
INSERT INTO setting VALUES (2);

-- a set as a key; GROUPING() of one set; LIMIT by a subquery; arguments that a filter protects
CREATE MATERIALIZED VIEW tags AS SELECT unnest(tags) AS tag, count(*) AS n FROM t GROUP BY 1;
CREATE MATERIALIZED VIEW tags_having AS SELECT unnest(tags) AS tag, sum(a), generate_series(1, 2) AS g FROM t GROUP BY 1 HAVING count(*) > 1;
CREATE MATERIALIZED VIEW tags_rollup AS SELECT unnest(tags) AS tag, id, count(*) AS n FROM t GROUP BY ROLLUP (1, 2);
CREATE MATERIALIZED VIEW one_set AS SELECT a, grouping(a) AS g, count(*) AS n FROM t GROUP BY a;
CREATE MATERIALIZED VIEW first_rows AS SELECT id, a FROM t ORDER BY id LIMIT (SELECT n FROM setting);
CREATE MATERIALIZED VIEW later_rows AS SELECT id FROM t ORDER BY id OFFSET (SELECT n FROM setting);
CREATE MATERIALIZED VIEW quotients AS SELECT id, sum(100 / a) FILTER (WHERE a <> 0) AS q FROM t GROUP BY id;
CREATE MATERIALIZED VIEW quotients_distinct AS SELECT count(DISTINCT 100 / a) FILTER (WHERE a <> 0) AS q, count(*) AS n FROM t;
CREATE MATERIALIZED VIEW quotients_rollup AS SELECT id, max(100 / a) FILTER (WHERE a <> 0) AS q FROM t GROUP BY ROLLUP (id);
CREATE MATERIALIZED VIEW quotients_having AS SELECT id FROM t GROUP BY id HAVING sum(100 / a) FILTER (WHERE a <> 0) > 1;
INSERT INTO t VALUES (3, 0, '{x,x,z}'), (4, NULL, NULL), (5, 3, '{}');
UPDATE setting SET n = 3;
SELECT * FROM wrong();
DELETE FROM t WHERE a = 0;
UPDATE t SET tags = tags || 'z'::text WHERE id IN (1, 5);
SELECT * FROM wrong();
SELECT * FROM tags ORDER BY tag;
SELECT * FROM one_set ORDER BY a;
SELECT view, strategy, reason FROM freshet.views WHERE view::text ~ 'rows$' ORDER BY view::text;

-- a moving aggregate of a user takes rows out in the order in which they came
CREATE FUNCTION append(int[], int) RETURNS int[] LANGUAGE sql IMMUTABLE AS 'SELECT $1 || $2';
CREATE FUNCTION drop_first(int[], int) RETURNS int[] LANGUAGE sql IMMUTABLE AS 'SELECT $1[2:]';
CREATE FUNCTION total(int[]) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT sum(x) FROM unnest($1) x';
CREATE AGGREGATE queue_sum(int) (SFUNC = append, STYPE = int[], FINALFUNC = total, INITCOND = '{}',
	MSFUNC = append, MINVFUNC = drop_first, MSTYPE = int[], MFINALFUNC = total, MINITCOND = '{}');
CREATE MATERIALIZED VIEW queued AS SELECT queue_sum(a) AS s FROM t;
DELETE FROM t WHERE id = 5;
SELECT * FROM wrong();

-- whole rows, of tables and of subqueries
CREATE VIEW plain AS SELECT id, a FROM t;
CREATE MATERIALIZED VIEW row_of_table AS SELECT id, to_jsonb(t) AS j FROM t;
CREATE MATERIALIZED VIEW rows_of_table AS SELECT jsonb_agg(t ORDER BY id) AS j, count(t) AS n FROM t;
CREATE MATERIALIZED VIEW row_of_view AS SELECT plain::text AS p, to_json(plain)::text AS j FROM plain;
CREATE MATERIALIZED VIEW row_of_subquery AS SELECT id, row_to_json(s)::text AS j FROM (SELECT id, a AS q FROM t) s;
CREATE MATERIALIZED VIEW row_of_with AS WITH w AS MATERIALIZED (SELECT id FROM t WHERE a > 1) SELECT to_jsonb(w) AS j FROM w;
CREATE MATERIALIZED VIEW row_in_subquery AS SELECT (SELECT plain::text) AS p FROM plain WHERE EXISTS (SELECT FROM t x WHERE x.id = plain.id + 1);
CREATE MATERIALIZED VIEW row_left_out AS SELECT t.id, to_jsonb(s) AS j FROM t LEFT JOIN (SELECT id, a FROM t WHERE a > 1) s USING (id);
UPDATE t SET a = a + 1 WHERE id = 2;
INSERT INTO t VALUES (6, 1, NULL);
SELECT * FROM wrong();
SELECT * FROM row_of_subquery ORDER BY id;
SELECT * FROM row_left_out ORDER BY id;
ALTER TABLE t ADD COLUMN z int DEFAULT 5;
SELECT * FROM wrong();
ALTER TABLE t RENAME COLUMN a TO aa;
UPDATE t SET z = 6 WHERE id = 1;
SELECT * FROM wrong();
ALTER TABLE t DROP COLUMN z;
DELETE FROM t WHERE id = 6;
SELECT * FROM wrong();
ALTER TABLE t RENAME COLUMN aa TO a;

-- types within types
CREATE TYPE inside AS (a int);
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE outside AS (i inside, m mood);
CREATE TABLE typed (id int, o outside, l outside[]);
INSERT INTO typed VALUES (1, ROW(ROW(1), 'good'), ARRAY[ROW(ROW(2), 'bad')::outside]);
CREATE MATERIALIZED VIEW types AS SELECT id, o::text AS o, to_jsonb(o) AS j, l::text AS l FROM typed;
ALTER TYPE inside ADD ATTRIBUTE z int;
SELECT * FROM wrong();
ALTER TYPE mood RENAME VALUE 'bad' TO 'worse';
SELECT * FROM wrong();
ALTER TYPE inside RENAME ATTRIBUTE z TO y;
INSERT INTO typed VALUES (2, ROW(ROW(1, 5), 'worse'), NULL);
SELECT * FROM wrong();

-- a partition that leaves, and is read by its name as well
CREATE TABLE p (id int, k int) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
INSERT INTO p SELECT i, 1 + i % 2 FROM generate_series(1, 6) i;
CREATE MATERIALIZED VIEW both_ways AS SELECT p1.id, p.k FROM p1 JOIN p USING (id);
ALTER TABLE p DETACH PARTITION p1;
SELECT * FROM wrong();
INSERT INTO p1 VALUES (50, 1);
ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1);
SELECT * FROM wrong();

-- what cannot be followed says so
CREATE SEQUENCE s;
CREATE FUNCTION reads(int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT $1 * sum(n) FROM dependence.setting';
CREATE MATERIALIZED VIEW of_catalog AS SELECT relname, reltuples FROM pg_class WHERE relname = 'setting';
CREATE MATERIALIZED VIEW of_sequence AS SELECT last_value FROM s;
CREATE MATERIALIZED VIEW of_function AS SELECT id, reads(id) FROM t;
CREATE MATERIALIZED VIEW of_set AS SELECT * FROM reads(2);
CREATE MATERIALIZED VIEW of_name AS SELECT id, tableoid::regclass::text AS name FROM t;
CREATE MATERIALIZED VIEW of_statistics AS SELECT relname, n_tup_ins FROM pg_stat_user_tables WHERE relname = 'setting';
CREATE MATERIALIZED VIEW of_privileges AS SELECT has_table_privilege('setting', 'SELECT') FROM setting;
CREATE MATERIALIZED VIEW of_settings AS SELECT to_char(1.5, '0D0') AS n, '{1}'::text::int[] AS a FROM setting;
UPDATE setting SET n = 4;
SELECT * FROM of_function ORDER BY id;
SELECT * FROM of_set;
SELECT view, strategy, reason FROM freshet.views WHERE view::text ~ '^of_' ORDER BY view::text;
-- what changes without a transaction is looked at by REFRESH
SELECT nextval('s') > 0 AS logged;
SELECT count(*) FROM of_sequence;
DO $$ BEGIN PERFORM nextval('s') FROM generate_series(1, 5); END $$;
REFRESH MATERIALIZED VIEW of_sequence;
SELECT v.last_value = s.last_value AS same FROM of_sequence v, s;
SELECT freshet.subscribe('x', '(SELECT dependence.reads(id) FROM dependence.t)');
DROP MATERIALIZED VIEW of_catalog, of_sequence, of_function, of_set, of_name, of_statistics, of_privileges;

-- a function that becomes volatile: the view is in error, keeps its content, and goes on afterwards
CREATE FUNCTION half(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 2';
CREATE MATERIALIZED VIEW halves AS SELECT id, half(a) FROM t;
ALTER FUNCTION half(int) VOLATILE;
INSERT INTO t VALUES (7, 8, NULL);
SELECT freshet.wait_fresh() IS NOT NULL AS waited;
SELECT maintained, error, sqlstate FROM freshet.views WHERE view = 'halves'::regclass;
ALTER FUNCTION half(int) IMMUTABLE;
INSERT INTO t VALUES (8, 8, NULL);
DO $$ BEGIN
	FOR i IN 1..300 LOOP
		EXIT WHEN (SELECT error IS NULL FROM freshet.views WHERE view = 'halves'::regclass);
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;
SELECT * FROM wrong();

-- a function that another one calls: by its name, by an operator, as part of an aggregate, in a parsed body, made anew
CREATE FUNCTION one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION two(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
CREATE OPERATOR ++ (FUNCTION = two, LEFTARG = int, RIGHTARG = int);
CREATE FUNCTION keep(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT greatest($1, $2)';
CREATE AGGREGATE kept(int) (SFUNC = keep, STYPE = int);
CREATE FUNCTION call_one(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN One($1); END $$;
CREATE FUNCTION call_call_one(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN call_one($1); END $$;
CREATE FUNCTION call_two(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 ++ $1; END $$;
CREATE FUNCTION call_parsed(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN call_one($1);
CREATE MATERIALIZED VIEW by_name AS SELECT id, call_call_one(id) AS n FROM t;
CREATE MATERIALIZED VIEW by_operator AS SELECT id, call_two(id) AS n FROM t;
CREATE MATERIALIZED VIEW by_aggregate AS SELECT a, kept(id) AS n FROM t GROUP BY a;
CREATE MATERIALIZED VIEW by_body AS SELECT id, call_parsed(id) AS n FROM t;
SELECT freshet.wait_fresh() IS NOT NULL AS waited;
CREATE TEMP TABLE before AS SELECT view::text, cycles FROM freshet.views WHERE view::text ~ '^by_';
CREATE FUNCTION unrelated(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE OR REPLACE FUNCTION unrelated(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
DROP FUNCTION unrelated(int);
SELECT freshet.wait_fresh() IS NOT NULL AS waited;
SELECT b.view, v.cycles - b.cycles AS computed FROM before b JOIN freshet.views v ON v.view = b.view::regclass ORDER BY 1;
CREATE OR REPLACE FUNCTION one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 100';
SELECT * FROM wrong();
SELECT n FROM by_name WHERE id = 1;
SELECT n FROM by_body WHERE id = 1;
CREATE OR REPLACE FUNCTION two(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * $2 * 10';
CREATE OR REPLACE FUNCTION keep(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT least($1, $2)';
SELECT * FROM wrong();
DROP FUNCTION one(int);
CREATE FUNCTION one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 7';
SELECT n FROM by_name WHERE id = 1;
SELECT * FROM wrong();

-- freshet.strict refuses what cannot follow changes
SET freshet.strict = on;
CREATE MATERIALIZED VIEW strict_followed AS SELECT id, a FROM t;
CREATE MATERIALIZED VIEW strict_whole AS SELECT id, row_number() OVER (ORDER BY id) FROM t;
CREATE MATERIALIZED VIEW strict_late AS SELECT last_value FROM s;
CREATE MATERIALIZED VIEW strict_none AS SELECT id, random() FROM t;
SET freshet.maintain = off;
CREATE MATERIALIZED VIEW strict_plain AS SELECT id, random() FROM t;
RESET freshet.maintain;
SELECT freshet.adopt('strict_plain');
RESET freshet.strict;
-- what a run costs is not known of a query that was not run
CREATE MATERIALIZED VIEW not_run AS SELECT id, row_number() OVER (ORDER BY id) FROM t WITH NO DATA;
SELECT view, maintained FROM freshet.views WHERE view::text ~ '^(strict|not_run)' ORDER BY view::text;

SET client_min_messages = warning;
DROP SCHEMA dependence CASCADE;
DROP EXTENSION freshet;
