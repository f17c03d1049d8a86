-- Aggregates over distinct values: parts count the values, groups follow them
CREATE EXTENSION freshet;
SET client_min_messages = warning;
CREATE SCHEMA distinct_values;
SET search_path = distinct_values, public;

CREATE TABLE people (id int PRIMARY KEY, name text);
CREATE TABLE visits (id int PRIMARY KEY, day date, person int, page text COLLATE "C", seconds int, price numeric, at timestamptz);
INSERT INTO people SELECT g, 'person ' || g FROM generate_series(1, 5) g;
INSERT INTO visits SELECT g, date '2026-01-01' + g % 3, nullif(g % 7, 6), chr(97 + g % 4), g, g / 2.0, now() FROM generate_series(1, 60) g;

CREATE MATERIALIZED VIEW daily AS
SELECT day, count(*) AS n, count(DISTINCT person) AS people, count(DISTINCT page) AS pages, max(seconds) AS longest,
	count(DISTINCT person) FILTER (WHERE seconds > 30) AS patient, sum(DISTINCT seconds % 5) AS odd
FROM visits GROUP BY day;
-- no other aggregate: the part has every group
CREATE MATERIALIZED VIEW alone AS SELECT day, count(DISTINCT person) AS people FROM visits GROUP BY day HAVING count(DISTINCT page) > 1;
-- keys that are not shown, columns that depend on one, groups of a join
CREATE MATERIALIZED VIEW apart AS SELECT count(DISTINCT page) AS pages FROM visits GROUP BY day, person;
CREATE MATERIALIZED VIEW dependent AS
SELECT upper(p.name) AS name, count(DISTINCT v.page) + 1 AS pages, sum(v.seconds) AS seconds
FROM people p JOIN visits v ON v.person = p.id GROUP BY p.id;
CREATE MATERIALIZED VIEW everything AS SELECT count(DISTINCT person) AS people, sum(DISTINCT seconds) AS seconds, count(*) AS n FROM visits;
CREATE MATERIALIZED VIEW sets AS SELECT day, page, count(DISTINCT person) AS people FROM visits GROUP BY ROLLUP (day, page);
CREATE MATERIALIZED VIEW above AS SELECT people, count(*) AS days FROM daily GROUP BY people;
CREATE MATERIALIZED VIEW ranked AS SELECT day, rank() OVER (PARTITION BY page ORDER BY count(DISTINCT person)) AS place FROM visits GROUP BY day, page;
-- the clock in a filter has its own rows; a group without any is still there
CREATE MATERIALIZED VIEW recent AS
SELECT day, count(DISTINCT person) FILTER (WHERE at > now() - interval '1 hour') AS people FROM visits GROUP BY day;
CREATE MATERIALIZED VIEW recent_rows AS
SELECT count(DISTINCT page) AS pages, count(*) FILTER (WHERE at > now() - interval '1 hour') AS n FROM visits;
-- what makes a group be computed anew makes it be computed anew whole
CREATE MATERIALIZED VIEW listed AS SELECT day, count(DISTINCT person) AS people, string_agg(page, '' ORDER BY id) AS pages FROM visits GROUP BY day;
CREATE MATERIALIZED VIEW looks AS SELECT day, count(DISTINCT price) AS prices FROM visits GROUP BY day;
-- DISTINCT over groups whose keys are not shown
CREATE MATERIALIZED VIEW sizes AS SELECT DISTINCT count(DISTINCT page) AS pages FROM visits GROUP BY day, person;
CREATE MATERIALIZED VIEW first_sizes AS SELECT DISTINCT count(*) AS n FROM visits GROUP BY person ORDER BY 1 LIMIT 2;

SELECT oid::regclass, freshet.verify(oid::regclass) FROM pg_class WHERE relkind = 'm' ORDER BY oid::regclass::text;
SELECT view, strategy FROM freshet.views WHERE maintained ORDER BY view::text;
SELECT regexp_replace(line, '[0-9]{5,}', 'OID', 'g') AS line FROM freshet.explain('daily') AS line
WHERE line ~ '^ *(Mat|Part|reason|grouping|delta|rows)';

-- values come, change, go one by one, and the last of a group with it
INSERT INTO visits VALUES (100, '2026-01-01', 42, 'z', 1, 1, now()), (101, '2026-01-01', 42, 'z', 1, 1, now()), (102, '2026-01-09', NULL, NULL, NULL, NULL, NULL);
SELECT * FROM daily ORDER BY day;
DELETE FROM visits WHERE id = 100;
UPDATE visits SET seconds = 1000 WHERE id = 101;
SELECT day, people, pages, patient FROM daily ORDER BY day;
UPDATE visits SET person = NULL, page = 'a' WHERE id = 101;
UPDATE people SET name = 'nobody' WHERE id = 3;
SELECT day, people, pages, patient FROM daily ORDER BY day;
SELECT view, freshet.verify(view) FROM freshet.views WHERE maintained AND freshet.verify(view) <> 0;
DELETE FROM visits WHERE day <> '2026-01-02';
UPDATE visits SET at = now() - interval '2 hours' WHERE id % 2 = 0;
SELECT * FROM daily ORDER BY day;
SELECT * FROM recent;
SELECT view, freshet.verify(view) FROM freshet.views WHERE maintained AND freshet.verify(view) <> 0;
TRUNCATE visits;
SELECT * FROM daily;
SELECT * FROM everything;
SELECT view, freshet.verify(view) FROM freshet.views WHERE maintained AND freshet.verify(view) <> 0;

-- values that are equal and look different: of one length, by a collation
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE padded (side int, x char(3) COLLATE ci, y char(3));
INSERT INTO padded VALUES (1, 'abc', 'abc'), (2, 'ABC', 'ABC'), (2, 'x', 'x');
CREATE MATERIALIZED VIEW padded_union AS SELECT x FROM padded WHERE side = 1 UNION SELECT x FROM padded WHERE side = 2;
CREATE MATERIALIZED VIEW padded_groups AS SELECT x, count(*) AS n FROM padded GROUP BY x;
CREATE MATERIALIZED VIEW padded_plain AS SELECT DISTINCT y FROM padded;
DELETE FROM padded WHERE side = 1;
SELECT * FROM padded_union ORDER BY x;
SELECT * FROM padded_groups ORDER BY x;
SELECT view, strategy, freshet.verify(view) FROM freshet.views WHERE view::text ~ '^padded' ORDER BY view::text;

DROP SCHEMA distinct_values CASCADE;
DROP EXTENSION freshet;
