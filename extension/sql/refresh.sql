--
-- REFRESH MATERIALIZED VIEW: a wait, or PostgreSQL's own, with its errors
--
CREATE EXTENSION freshet;
CREATE SCHEMA refresh;
SET search_path = refresh;
CREATE TABLE item (id int PRIMARY KEY, part int);
INSERT INTO item SELECT i, i % 3 FROM generate_series(1, 9) i;
CREATE MATERIALIZED VIEW parts AS SELECT part, count(*) AS n FROM item GROUP BY part;

-- a wait leaves the view's file alone
CREATE FUNCTION rewritten() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	file oid := pg_relation_filenode('parts');
	before oid := current_setting('refresh.file', true);
BEGIN
	PERFORM set_config('refresh.file', file::text, false);
	RETURN file <> before;
END $$;
SELECT rewritten();
INSERT INTO item VALUES (10, 1);
REFRESH MATERIALIZED VIEW parts;
SET freshet.max_staleness = -1;
SELECT * FROM parts ORDER BY part;
RESET freshet.max_staleness;
SELECT rewritten();
BEGIN;
REFRESH MATERIALIZED VIEW parts;
SELECT mode FROM pg_locks WHERE relation = 'parts'::regclass AND pid = pg_backend_pid();
COMMIT;

-- PostgreSQL's errors
REFRESH MATERIALIZED VIEW CONCURRENTLY parts;
CREATE INDEX ON parts (part);
REFRESH MATERIALIZED VIEW CONCURRENTLY parts;
CREATE UNIQUE INDEX parts_some ON parts (part) WHERE part > 0;
REFRESH MATERIALIZED VIEW CONCURRENTLY parts;
DROP INDEX parts_some;
CREATE UNIQUE INDEX parts_expression ON parts ((part + 1));
REFRESH MATERIALIZED VIEW CONCURRENTLY parts;
CREATE UNIQUE INDEX parts_part ON parts (part);
INSERT INTO item VALUES (11, 2);
REFRESH MATERIALIZED VIEW CONCURRENTLY parts;
SELECT rewritten();
SELECT * FROM parts ORDER BY part;
REFRESH MATERIALIZED VIEW CONCURRENTLY parts WITH NO DATA;
REFRESH MATERIALIZED VIEW item;
REFRESH MATERIALIZED VIEW nothing;
REFRESH MATERIALIZED VIEW parts_part;
CREATE VIEW ordinary AS SELECT 1 AS one;
REFRESH MATERIALIZED VIEW ordinary;
BEGIN READ ONLY;
REFRESH MATERIALIZED VIEW parts;
ROLLBACK;
CREATE ROLE regress_freshet_reader;
GRANT USAGE ON SCHEMA refresh TO regress_freshet_reader;
GRANT SELECT ON parts TO regress_freshet_reader;
SET ROLE regress_freshet_reader;
REFRESH MATERIALIZED VIEW parts;
RESET ROLE;
DROP OWNED BY regress_freshet_reader;
DROP ROLE regress_freshet_reader;

-- not populated
REFRESH MATERIALIZED VIEW parts WITH NO DATA;
SELECT * FROM parts;
REFRESH MATERIALIZED VIEW CONCURRENTLY parts;
INSERT INTO item VALUES (12, 3);
REFRESH MATERIALIZED VIEW parts;
SELECT * FROM parts ORDER BY part;
INSERT INTO item VALUES (13, 3);
SELECT * FROM parts ORDER BY part;
CREATE MATERIALIZED VIEW later AS SELECT id FROM item WITH NO DATA;
REFRESH MATERIALIZED VIEW later;
SELECT count(*) FROM later;
INSERT INTO item VALUES (14, 3);
SELECT count(*) FROM later;

-- a transaction that has written sees its own data; afterwards it is kept fresh
SELECT rewritten();
BEGIN;
INSERT INTO item VALUES (15, 4);
REFRESH MATERIALIZED VIEW parts;
SELECT n FROM parts WHERE part = 4;
ROLLBACK;
SELECT n FROM parts WHERE part = 4;
SELECT rewritten();
BEGIN;
INSERT INTO item VALUES (15, 4);
REFRESH MATERIALIZED VIEW CONCURRENTLY parts;
SELECT n FROM parts WHERE part = 4;
COMMIT;
INSERT INTO item VALUES (16, 4);
SELECT n FROM parts WHERE part = 4;
BEGIN;
DELETE FROM item WHERE id = 16;
REFRESH MATERIALIZED VIEW parts;
INSERT INTO item VALUES (17, 4), (18, 4);
COMMIT;
SELECT n FROM parts WHERE part = 4;
SELECT rewritten();
INSERT INTO item VALUES (19, 4);
SELECT n FROM parts WHERE part = 4;
SELECT view, maintained, error FROM freshet.views ORDER BY 1;

-- an error in the data is the view's, not the writer's; REFRESH shows it
CREATE MATERIALIZED VIEW shares AS SELECT id, 100 / part AS share FROM item WHERE part > 3 OR id > 20;
SELECT * FROM shares ORDER BY id;
INSERT INTO item VALUES (21, 0);
SELECT * FROM shares ORDER BY id;
REFRESH MATERIALIZED VIEW shares;
SELECT view, maintained, error FROM freshet.views ORDER BY 1;
UPDATE item SET part = 50 WHERE id = 21;
REFRESH MATERIALIZED VIEW shares;
SELECT * FROM shares ORDER BY id;

-- who reads a view in error is told so, as asked for; a change of its tables has it tried at once
INSERT INTO item VALUES (22, 0), (23, 60);
SELECT count(*) FROM shares;
SET freshet.on_stale = ignore;
SELECT count(*) FROM shares;
SELECT freshet.wait_fresh() IS NOT NULL AS waited;
SET freshet.on_stale = error;
SELECT count(*) FROM shares;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM shares;
ROLLBACK;
CREATE FUNCTION shares_count() RETURNS bigint STABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM shares); END';
SELECT shares_count();
SELECT freshet.wait_fresh();
SELECT count(*) FROM parts;
CREATE ROLE regress_freshet_reader;
GRANT USAGE ON SCHEMA refresh TO regress_freshet_reader;
GRANT SELECT ON shares TO regress_freshet_reader;
SET ROLE regress_freshet_reader;
SELECT count(*) FROM shares;
SELECT freshet.wait_fresh();
RESET ROLE;
DROP OWNED BY regress_freshet_reader;
DROP ROLE regress_freshet_reader;
UPDATE item SET part = 10 WHERE id = 22;
SELECT * FROM shares ORDER BY id;
INSERT INTO item VALUES (24, 0);
SELECT count(*) FROM shares;
INSERT INTO item VALUES (25, 0);
DELETE FROM item WHERE id = 24;
SELECT count(*) FROM shares;
DELETE FROM item WHERE part = 0 AND id > 20;
SELECT count(*) FROM shares;
SELECT freshet.verify('shares');
RESET freshet.on_stale;

-- an expression that the query protects, and what is made from the query does not: the query is left whole
CREATE TABLE event (id int PRIMARY KEY, kind text, data text);
INSERT INTO event VALUES (1, 'at', (now() + interval '1 hour')::text), (2, 'text', 'hello');
CREATE MATERIALIZED VIEW coming AS
SELECT id FROM event WHERE CASE WHEN kind = 'at' THEN data::timestamptz > now() ELSE true END;
SELECT * FROM coming ORDER BY id;
INSERT INTO event VALUES (3, 'text', 'there'), (4, 'at', 'infinity');
SELECT * FROM coming ORDER BY id;
SELECT freshet.verify('coming');
SELECT strategy, reason, error FROM freshet.views WHERE view = 'coming'::regclass;
-- unless it was the query itself that failed
INSERT INTO event VALUES (5, 'at', 'never');
SELECT count(*) FROM coming;
DELETE FROM event WHERE kind = 'text' OR id = 5;
SELECT * FROM coming ORDER BY id;
DO $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		EXIT WHEN (SELECT strategy = 'B' FROM freshet.views WHERE view = 'coming'::regclass);
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SELECT * FROM coming ORDER BY id;
SELECT strategy, error FROM freshet.views WHERE view = 'coming'::regclass;

-- not maintained: as ever
SELECT freshet.release('parts');
INSERT INTO item VALUES (30, 5);
SELECT n FROM parts WHERE part = 5;
REFRESH MATERIALIZED VIEW CONCURRENTLY parts;
SELECT n FROM parts WHERE part = 5;
SELECT maintained FROM freshet.views WHERE view = 'parts'::regclass;

SET client_min_messages = warning;
DROP SCHEMA refresh CASCADE;
DROP EXTENSION freshet;
