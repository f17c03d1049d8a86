-- WITH RECURSIVE as a part that follows changes
CREATE EXTENSION freshet;
SET client_min_messages = warning;
CREATE SCHEMA recursion;
SET search_path = recursion, public;

CREATE TABLE staff (id int PRIMARY KEY, boss int, name text, pay int);
CREATE INDEX ON staff (boss);
INSERT INTO staff SELECT g, nullif(g / 3, 0), 'n' || g, g FROM generate_series(1, 2000) g;
CREATE TABLE edges (a int, b int);
CREATE INDEX ON edges (a);
INSERT INTO edges SELECT g, g + 1 FROM generate_series(1, 40) g;

-- a tree, by UNION ALL: rows that come and rows that go are followed
CREATE MATERIALIZED VIEW tree AS
WITH RECURSIVE t(id, path, depth) AS (
	SELECT id, name, 1 FROM staff WHERE boss IS NULL
	UNION ALL
	SELECT s.id, t.path || '/' || s.name, depth + 1 FROM t JOIN staff s ON s.boss = t.id)
SELECT * FROM t;
-- reachability, by UNION: cycles end it
CREATE MATERIALIZED VIEW reach AS
WITH RECURSIVE r AS (SELECT a, b FROM edges UNION SELECT r.a, e.b FROM r JOIN edges e ON e.a = r.b)
SELECT a, count(*) AS n FROM r GROUP BY a;
SELECT freshet.verify('tree'), freshet.verify('reach');
SELECT view::text, strategy, reason FROM freshet.views WHERE view::text ~ '^(tree|reach)$' ORDER BY 1;
SELECT regexp_replace(line, '[0-9]{5,}', 'OID', 'g') AS line FROM freshet.explain('tree') AS line
WHERE line ~ '^ *(Mat|Part|reason|delta|query)';
SELECT regexp_replace(line, '[0-9]{5,}', 'OID', 'g') AS line FROM freshet.explain('reach') AS line
WHERE line ~ '^ *(Mat|Part|reason|delta|query)';

-- what a change costs is the change: the part's versions stay where they are
CREATE FUNCTION part_of(regclass) RETURNS text LANGUAGE sql AS
$$SELECT c.oid::regclass::text FROM pg_class c WHERE c.relname = 'part1_' || $1::oid$$;
CREATE FUNCTION written(regclass) RETURNS bigint LANGUAGE plpgsql AS
$$DECLARE result bigint; BEGIN
	EXECUTE format('SELECT count(*) FROM %s WHERE xmin::text::bigint >= current_setting(''recursion.since'')::bigint', part_of($1)) INTO result;
	RETURN result;
END$$;
SELECT set_config('recursion.since', pg_current_xact_id()::text, false) IS NOT NULL AS since;
INSERT INTO staff VALUES (3000, 500, 'new', 1), (3001, 3000, 'newer', 1);
INSERT INTO edges VALUES (100, 101), (101, 100), (41, 100);
SELECT freshet.verify('tree'), freshet.verify('reach');
SELECT path, depth FROM tree WHERE id = 3001;
SELECT written('tree') AS tree, written('reach') AS reach;

-- a subtree moves, loses a row, gets a row twice
UPDATE staff SET boss = 3001 WHERE id = 4;
SELECT count(*) FROM tree WHERE path ~ '/newer/n4';
SELECT freshet.verify('tree');
DELETE FROM staff WHERE id = 500;
SELECT count(*) FROM tree WHERE path ~ 'new';
SELECT freshet.verify('tree');
BEGIN;
INSERT INTO staff VALUES (500, 166, 'n500', 0);
DELETE FROM staff WHERE id = 12;
UPDATE staff SET pay = pay + 1 WHERE id < 10;
UPDATE staff SET id = 12 WHERE id = 13;
COMMIT;
SELECT freshet.verify('tree');
SELECT count(*) FROM tree;

-- with UNION, what goes may be there by another way
DELETE FROM edges WHERE a = 41;
SELECT freshet.verify('reach');
INSERT INTO edges SELECT 50, 1 UNION ALL SELECT 50, 1;
SELECT freshet.verify('reach');
DELETE FROM edges WHERE ctid = (SELECT min(ctid) FROM edges WHERE a = 50);
SELECT freshet.verify('reach');
TRUNCATE edges;
INSERT INTO edges VALUES (1, 2), (2, 3), (3, 1), (NULL, 1), (1, NULL);
SELECT freshet.verify('reach'), freshet.verify('tree');
SELECT * FROM reach ORDER BY a;

-- what is not followed is computed anew, and says why
CREATE TABLE amounts (a numeric, b numeric);
INSERT INTO amounts VALUES (1.0, 2), (2.0, 3), (1.00, 5);
CREATE MATERIALIZED VIEW images AS
WITH RECURSIVE r AS (SELECT a FROM amounts UNION SELECT x.b FROM r JOIN amounts x ON x.a = r.a) SELECT count(*) FROM r;
CREATE MATERIALIZED VIEW outer_step AS
WITH RECURSIVE r(a, n) AS (SELECT a, 0 FROM edges UNION ALL SELECT e.b, n + 1 FROM r LEFT JOIN edges e ON e.a = r.a WHERE n < 3)
SELECT * FROM r;
CREATE MATERIALIZED VIEW cycles AS
WITH RECURSIVE r(a) AS (SELECT a FROM edges UNION ALL SELECT e.b FROM r JOIN edges e ON e.a = r.a) CYCLE a SET again USING path
SELECT a, again FROM r;
CREATE MATERIALIZED VIEW lateral_one AS
SELECT s.id, l.n FROM staff s, LATERAL (WITH RECURSIVE r(n) AS (SELECT s.id UNION ALL SELECT n / 2 FROM r WHERE n > 1) SELECT count(*) AS n FROM r) l
WHERE s.id < 20;
SELECT freshet.verify('images'), freshet.verify('outer_step'), freshet.verify('cycles'), freshet.verify('lateral_one');
SELECT view::text, strategy, reason FROM freshet.views WHERE view::text ~ '^(images|outer_step|cycles|lateral_one)$' ORDER BY 1;
INSERT INTO edges VALUES (3, 4);
INSERT INTO amounts VALUES (3, 1.000);
UPDATE staff SET id = 2019 WHERE id = 19;
SELECT freshet.verify('images'), freshet.verify('outer_step'), freshet.verify('cycles'), freshet.verify('lateral_one');

-- terms over groups, set operations and other recursions
CREATE MATERIALIZED VIEW mixed AS
WITH RECURSIVE heads AS (SELECT boss, count(*) AS n FROM staff GROUP BY boss),
up(id, n) AS (
	SELECT id, 1::bigint FROM staff WHERE id < 30 UNION SELECT a, 2 FROM edges
	UNION ALL
	SELECT h.boss, up.n + h.n FROM up JOIN staff s ON s.id = up.id JOIN heads h ON h.boss = s.boss),
again(id) AS (SELECT id FROM up WHERE n > 5 UNION SELECT e.b FROM again JOIN edges e ON e.a = again.id)
SELECT u.id, u.n, (SELECT count(*) FROM again a WHERE a.id = u.id) AS again FROM up u;
SELECT freshet.verify('mixed');
SELECT view::text, strategy FROM freshet.views WHERE view = 'mixed'::regclass;
INSERT INTO staff VALUES (5000, 3, 'x', 1), (5001, 5000, 'y', 1);
INSERT INTO edges VALUES (5, 6), (6, 7);
SELECT freshet.verify('mixed');
DELETE FROM staff WHERE id IN (5, 3);
DELETE FROM edges WHERE a = 1;
SELECT freshet.verify('mixed'), freshet.verify('tree'), freshet.verify('reach');

-- one without an end is read no further than it has to be, and never stored
CREATE MATERIALIZED VIEW endless_exists AS
SELECT id FROM staff s WHERE id < 10 AND EXISTS (
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT FROM n WHERE i > s.id);
CREATE MATERIALIZED VIEW endless_limit AS
WITH RECURSIVE n(i) AS (SELECT min(id) FROM staff UNION ALL SELECT i + 1 FROM n)
SELECT s.id, x FROM staff s, LATERAL (SELECT i AS x FROM n LIMIT 2) l WHERE s.id < 10;
SELECT freshet.verify('endless_exists'), freshet.verify('endless_limit');
SELECT view::text, strategy, reason FROM freshet.views WHERE view::text ~ '^endless' ORDER BY 1;
DELETE FROM staff WHERE id = 7;
SELECT freshet.verify('endless_exists'), freshet.verify('endless_limit');

SET client_min_messages = error;
DROP SCHEMA recursion CASCADE;
SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'freshet' AND c.relname ~ '^part';
DROP EXTENSION freshet;
