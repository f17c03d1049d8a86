-- Subscriptions in SQL: what they give, and what they refuse.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS freshet;
CREATE TABLE country (code char(2), name text, area numeric(12,2));
INSERT INTO country VALUES ('de', 'Germany', 357022), ('fr', 'France', 551695), ('fr', 'France', 551695);

-- The snapshot, with multiplicities; then changes, deletions first.
SELECT freshet.subscribe('s', 'country');
CALL freshet.wait('s', 10000, NULL, NULL, NULL) \gset
\echo :pending :finished
SELECT mz_diff, code, name, area FROM freshet.changes('s')
  AS (mz_timestamp numeric, mz_diff bigint, code char(2), name text, area numeric(12,2)) ORDER BY code;
SELECT freshet.subscription_frontier('s') AS before \gset
SELECT :before >= :frontier AS frontier_grew;
BEGIN;
INSERT INTO country VALUES ('it', 'Italy', 301338);
UPDATE country SET name = 'Deutschland' WHERE code = 'de';
DELETE FROM country WHERE ctid = (SELECT min(ctid) FROM country WHERE code = 'fr');
SAVEPOINT a;
INSERT INTO country VALUES ('xx', 'Nowhere', 0);
ROLLBACK TO a;
COMMIT;
CALL freshet.wait('s', 10000, NULL, NULL, NULL) \gset
SELECT mz_diff, code, name, area, mz_timestamp >= :before AS later FROM freshet.changes('s')
  AS (mz_timestamp numeric, mz_diff bigint, code char(2), name text, area numeric(12,2));
-- Nothing more: no rows, and no waiting with a timeout of 0.
CALL freshet.wait('s', 0, NULL, NULL, NULL) \gset
\echo :pending :finished
SELECT * FROM freshet.changes('s')
  AS (mz_timestamp numeric, mz_diff bigint, code char(2), name text, area numeric(12,2));
-- What a transaction takes back again is no change; the same image neither.
BEGIN;
UPDATE country SET area = area;
DELETE FROM country WHERE code = 'it';
INSERT INTO country VALUES ('it', 'Italy', 301338);
COMMIT;
INSERT INTO country VALUES ('at', 'Austria', 83879);
CALL freshet.wait('s', 10000, NULL, NULL, NULL) \gset
DO $$ BEGIN PERFORM freshet.wait_fresh(); END $$;
SELECT mz_diff, code FROM freshet.changes('s')
  AS (mz_timestamp numeric, mz_diff bigint, code char(2), name text, area numeric(12,2));

-- The column definition list must fit.
SELECT * FROM freshet.changes('s') AS (mz_timestamp numeric, mz_diff bigint, code text, name text, area numeric);
SELECT * FROM freshet.changes('s') AS (mz_timestamp numeric, mz_diff bigint);
SELECT freshet.changes('s');
-- Names.
SELECT freshet.subscribe('s', 'country');
SELECT freshet.subscribe('', 'country');
SELECT freshet.unsubscribe('s');
SELECT freshet.unsubscribe('s');
CALL freshet.wait('s', 0, NULL, NULL, NULL);
SELECT freshet.subscription_frontier('s');

-- Without the snapshot.
SELECT freshet.subscribe('s', 'public."country"', snapshot => false);
CALL freshet.wait('s', 0, NULL, NULL, NULL) \gset
\echo :pending :finished
DELETE FROM country WHERE code = 'at';
CALL freshet.wait('s', 10000, NULL, NULL, NULL) \gset
SELECT mz_diff, code FROM freshet.changes('s')
  AS (mz_timestamp numeric, mz_diff bigint, code char(2), name text, area numeric(12,2));
SELECT freshet.unsubscribe('s');

-- A materialized view, a view, a query; columns are renamed when need be.
CREATE MATERIALIZED VIEW by_letter AS SELECT left(name, 1) AS letter, count(*), sum(area) AS area FROM country GROUP BY 1;
CREATE VIEW big AS SELECT name, area FROM country WHERE area > 400000;
SELECT freshet.subscribe('m', 'by_letter');
SELECT freshet.subscribe('v', 'big');
SELECT freshet.subscribe('q', '(SELECT count(*), count(DISTINCT code), min(area) AS mz_diff, max(area) AS "Max" FROM country)');
SELECT mz_diff, letter, n, area FROM freshet.changes('m') AS (mz_timestamp numeric, mz_diff bigint, letter text, n bigint, area numeric) ORDER BY 2;
SELECT mz_diff, name, area FROM freshet.changes('v') AS (mz_timestamp numeric, mz_diff bigint, name text, area numeric(12,2)) ORDER BY 2;
SELECT mz_diff, n, d, a, z FROM freshet.changes('q') AS (mz_timestamp numeric, mz_diff bigint, n bigint, d bigint, a numeric, z numeric);
UPDATE country SET area = area + 0.10 WHERE code = 'fr';
CALL freshet.wait('m', 10000, NULL, NULL, NULL) \gset
CALL freshet.wait('v', 10000, NULL, NULL, NULL) \gset
CALL freshet.wait('q', 10000, NULL, NULL, NULL) \gset
SELECT mz_diff, letter, n, area FROM freshet.changes('m') AS (mz_timestamp numeric, mz_diff bigint, letter text, n bigint, area numeric);
SELECT mz_diff, name, area FROM freshet.changes('v') AS (mz_timestamp numeric, mz_diff bigint, name text, area numeric(12,2));
SELECT mz_diff, n, d, a, z FROM freshet.changes('q') AS (mz_timestamp numeric, mz_diff bigint, n bigint, d bigint, a numeric, z numeric);
-- A change that leaves the result as it is gives no rows, and moves on.
UPDATE country SET area = 1 WHERE code = 'it';
UPDATE country SET area = 301338 WHERE code = 'it';
SELECT freshet.wait_fresh() IS NOT NULL;
SELECT * FROM freshet.changes('v') AS (mz_timestamp numeric, mz_diff bigint, name text, area numeric(12,2));
SELECT freshet.unsubscribe('m'), freshet.unsubscribe('v'), freshet.unsubscribe('q');

-- A partitioned table: partitions may come.
CREATE TABLE part (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (100);
INSERT INTO part VALUES (1, 'a'), (2, 'b');
SELECT freshet.subscribe('p', 'part');
SELECT mz_diff, id, v FROM freshet.changes('p') AS (mz_timestamp numeric, mz_diff bigint, id int, v text) ORDER BY 2;
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (100) TO (200);
INSERT INTO part VALUES (101, 'c');
CALL freshet.wait('p', 10000, NULL, NULL, NULL) \gset
SELECT freshet.wait_fresh() IS NOT NULL;
SELECT mz_diff, id, v FROM freshet.changes('p') AS (mz_timestamp numeric, mz_diff bigint, id int, v text);
UPDATE part SET id = 3 WHERE id = 101;
CALL freshet.wait('p', 10000, NULL, NULL, NULL) \gset
SELECT mz_diff, id, v FROM freshet.changes('p') AS (mz_timestamp numeric, mz_diff bigint, id int, v text);
-- But none with rows of before, and none may leave.
CREATE TABLE part3 (LIKE part INCLUDING ALL);
INSERT INTO part3 VALUES (201, 'd');
SELECT freshet.wait_fresh() IS NOT NULL;
INSERT INTO part VALUES (4, 'e');
SELECT freshet.wait_fresh() IS NOT NULL;
SELECT mz_diff, id, v FROM freshet.changes('p') AS (mz_timestamp numeric, mz_diff bigint, id int, v text);
ALTER TABLE part ATTACH PARTITION part3 FOR VALUES FROM (200) TO (300);
CALL freshet.wait('p', 10000, NULL, NULL, NULL);
ALTER TABLE part DETACH PARTITION part3;
SELECT freshet.unsubscribe('p');
SELECT freshet.subscribe('p', 'part');
SELECT count(*) FROM freshet.changes('p') AS (mz_timestamp numeric, mz_diff bigint, id int, v text);
DROP TABLE part2;
CALL freshet.wait('p', 10000, NULL, NULL, NULL);
SELECT freshet.unsubscribe('p');

-- A constant query ends after its snapshot.
SELECT freshet.subscribe('k', '(VALUES (1, ''one''), (2, ''two''), (1, ''one''))');
SELECT mz_diff, i, t FROM freshet.changes('k') AS (mz_timestamp numeric, mz_diff bigint, i int, t text) ORDER BY i;
CALL freshet.wait('k', -1, NULL, NULL, NULL) \gset
\echo :pending :finished
SELECT freshet.unsubscribe('k');

-- AS OF and UP TO.
\set VERBOSITY terse
SELECT freshet.subscribe('t', 'country', as_of => 1000);
SELECT freshet.subscribe('t', 'country', up_to => 1000);
\set VERBOSITY default
SELECT freshet.subscribe('t', 'country', as_of => 2000, up_to => 1000);
SELECT freshet.subscribe('t', 'country', as_of => -1);
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 300 AS soon \gset
SELECT freshet.subscribe('t', 'country', as_of => :soon, up_to => :soon);
CALL freshet.wait('t', -1, NULL, NULL, NULL) \gset
\echo :pending :finished
SELECT count(*) FROM freshet.changes('t') AS (mz_timestamp numeric, mz_diff bigint, code char(2), name text, area numeric(12,2));
SELECT freshet.unsubscribe('t');
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 300 AS soon \gset
SELECT freshet.subscribe('t', 'country', as_of => :soon, up_to => :soon + 500);
CALL freshet.wait('t', 0, NULL, NULL, NULL) \gset
\echo :pending :finished
CALL freshet.wait('t', -1, NULL, NULL, NULL) \gset
\echo :pending :finished
SELECT mz_diff, code, mz_timestamp >= :soon AND mz_timestamp < :soon + 500 AS in_time
  FROM freshet.changes('t') AS (mz_timestamp numeric, mz_diff bigint, code char(2), name text, area numeric(12,2)) ORDER BY code;
CALL freshet.wait('t', -1, NULL, NULL, NULL) \gset
SELECT :'pending', :'finished', :frontier >= :soon + 500 AS reached;
SELECT freshet.unsubscribe('t');

-- Inside a transaction block it ends with it; otherwise it stays.
BEGIN;
SELECT freshet.subscribe('b', 'country');
SELECT count(*) FROM freshet.changes('b') AS (mz_timestamp numeric, mz_diff bigint, code char(2), name text, area numeric(12,2));
CALL freshet.wait('b', 1, NULL, NULL, NULL) \gset
\echo :pending :finished
-- no lock is kept
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'country'::regclass;
COMMIT;
CALL freshet.wait('b', 0, NULL, NULL, NULL);
BEGIN;
SAVEPOINT a;
SELECT freshet.subscribe('b', 'country');
ROLLBACK TO a;
SELECT freshet.subscribe('b', 'country');
SELECT 1 / 0;
ROLLBACK;
CALL freshet.wait('b', 0, NULL, NULL, NULL);
-- an error within the subscription leaves it where it was
CREATE TABLE divisor (d int);
INSERT INTO divisor VALUES (1);
SELECT freshet.subscribe('e', '(SELECT 10 / d AS x FROM divisor)');
SELECT mz_diff, x FROM freshet.changes('e') AS (mz_timestamp numeric, mz_diff bigint, x int);
INSERT INTO divisor VALUES (0), (5);
SELECT freshet.wait_fresh() IS NOT NULL;
SELECT mz_diff, x FROM freshet.changes('e') AS (mz_timestamp numeric, mz_diff bigint, x int);
DELETE FROM divisor WHERE d = 0;
SELECT freshet.wait_fresh() IS NOT NULL;
SELECT mz_diff, x FROM freshet.changes('e') AS (mz_timestamp numeric, mz_diff bigint, x int);
SELECT freshet.unsubscribe('e');

-- Where one cannot wait.
SELECT freshet.subscribe('w', 'country', snapshot => false);
BEGIN ISOLATION LEVEL REPEATABLE READ;
CALL freshet.wait('w', 1000, NULL, NULL, NULL);
ROLLBACK;
CREATE FUNCTION waits() RETURNS void LANGUAGE plpgsql AS $$
DECLARE p bool; f numeric; d bool;
BEGIN
  CALL freshet.wait('w', 1000, p, f, d);
END $$;
SELECT waits();
DO $$
DECLARE p bool; f numeric; d bool;
BEGIN
  CALL freshet.wait('w', 1, p, f, d);
  RAISE WARNING 'waited: % %', p, d;
END $$;
CALL freshet.wait(NULL, 1000, NULL, NULL, NULL);
SELECT freshet.unsubscribe('w');

-- What cannot be subscribed to.
CREATE UNLOGGED TABLE unlogged (a int);
CREATE TEMP TABLE temporary (a int);
CREATE SEQUENCE seq;
CREATE MATERIALIZED VIEW empty AS SELECT * FROM country WITH NO DATA;
SELECT freshet.subscribe('x', 'nowhere');
SELECT freshet.subscribe('x', 'bad name');
SELECT freshet.subscribe('x', 'unlogged');
SELECT freshet.subscribe('x', 'temporary');
SELECT freshet.subscribe('x', 'seq');
SELECT freshet.subscribe('x', 'empty');
SELECT freshet.subscribe('x', 'pg_class');
SELECT freshet.subscribe('x', 'freshet.cut');
SELECT freshet.subscribe('x', '(SELECT relname FROM pg_class, country)');
SELECT freshet.subscribe('x', '(SELECT random() FROM country)');
SELECT freshet.subscribe('x', '(SELECT name FROM country WHERE now() > ''2020-01-01'')');
SELECT freshet.subscribe('x', '(SELECT CURRENT_DATE)');
SELECT freshet.subscribe('x', '(SELECT * FROM country TABLESAMPLE SYSTEM (10))');
SELECT freshet.subscribe('x', '(SELECT * FROM country FOR UPDATE)');
SELECT freshet.subscribe('x', '(WITH d AS (DELETE FROM country RETURNING *) SELECT * FROM d)');
SELECT freshet.subscribe('x', '(SELECT ROW(1, 2) AS r FROM country)');
SELECT freshet.subscribe('x', '(SELECT 1); DROP TABLE country');
SELECT freshet.subscribe('x', '(SELECT * FROM unlogged)');
SELECT freshet.subscribe('x', '(SELECT');
SELECT freshet.subscribe('x', NULL);

-- What becomes of it when the target changes.
SELECT freshet.subscribe('c', 'country', snapshot => false);
ALTER TABLE country ADD COLUMN note text DEFAULT 'x';
INSERT INTO country VALUES ('pl', 'Poland', 312696);
CALL freshet.wait('c', 10000, NULL, NULL, NULL) \gset
SELECT mz_diff, code FROM freshet.changes('c')
  AS (mz_timestamp numeric, mz_diff bigint, code char(2), name text, area numeric(12,2));
TRUNCATE country;
CALL freshet.wait('c', 10000, NULL, NULL, NULL) \gset
SELECT mz_diff, code FROM freshet.changes('c')
  AS (mz_timestamp numeric, mz_diff bigint, code char(2), name text, area numeric(12,2));
SELECT freshet.unsubscribe('c');
-- moving the rows to another file is no change
SELECT freshet.subscribe('c', 'divisor', snapshot => false);
VACUUM FULL divisor;
INSERT INTO divisor VALUES (8);
SELECT freshet.wait_fresh() IS NOT NULL;
CALL freshet.wait('c', 10000, NULL, NULL, NULL) \gset
SELECT mz_diff, d FROM freshet.changes('c') AS (mz_timestamp numeric, mz_diff bigint, d int);
SELECT freshet.unsubscribe('c');
-- an empty table has nothing to lose
SELECT freshet.subscribe('c', 'country');
SELECT mz_diff, code FROM freshet.changes('c')
  AS (mz_timestamp numeric, mz_diff bigint, code char(2), name text, area numeric(12,2), note text);
BEGIN;
TRUNCATE country;
INSERT INTO country VALUES ('es', 'Spain', 505990);
COMMIT;
CALL freshet.wait('c', 10000, NULL, NULL, NULL) \gset
SELECT mz_diff, code FROM freshet.changes('c')
  AS (mz_timestamp numeric, mz_diff bigint, code char(2), name text, area numeric(12,2), note text);
ALTER TABLE country DROP COLUMN area CASCADE;
INSERT INTO country VALUES ('se', 'Sweden');
CALL freshet.wait('c', 10000, NULL, NULL, NULL) \gset
SELECT mz_diff, code FROM freshet.changes('c')
  AS (mz_timestamp numeric, mz_diff bigint, code char(2), name text, area numeric(12,2), note text);
DROP TABLE country CASCADE;
CALL freshet.wait('c', 10000, NULL, NULL, NULL);
SELECT freshet.unsubscribe('c');
CREATE VIEW halves AS SELECT d / 2 AS h FROM divisor;
SELECT freshet.subscribe('c', 'halves', snapshot => false);
CREATE OR REPLACE VIEW halves AS SELECT d / 3 AS h FROM divisor;
CALL freshet.wait('c', 10000, NULL, NULL, NULL);
SELECT freshet.unsubscribe('c');

-- Rights: SELECT is needed, when subscribing and later; row security holds.
CREATE ROLE freshet_reader;
CREATE TABLE secret (owner text, v int);
SET ROLE freshet_reader;
SELECT freshet.subscribe('r', 'secret');
SELECT freshet.subscribe('r', '(SELECT v FROM secret)');
RESET ROLE;
GRANT SELECT ON secret TO freshet_reader;
SET ROLE freshet_reader;
SELECT freshet.subscribe('r', 'secret', snapshot => false);
RESET ROLE;
REVOKE SELECT ON secret FROM freshet_reader;
INSERT INTO secret VALUES ('freshet_reader', 1), ('another', 2);
CALL freshet.wait('r', 10000, NULL, NULL, NULL) \gset
SELECT mz_diff, owner, v FROM freshet.changes('r') AS (mz_timestamp numeric, mz_diff bigint, owner text, v int);
SELECT freshet.unsubscribe('r');
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secret USING (owner = current_user);
GRANT SELECT ON secret TO freshet_reader;
SET ROLE freshet_reader;
SELECT freshet.subscribe('r', 'secret');
SELECT mz_diff, owner, v FROM freshet.changes('r') AS (mz_timestamp numeric, mz_diff bigint, owner text, v int);
RESET ROLE;
INSERT INTO secret VALUES ('freshet_reader', 3), ('another', 4);
CALL freshet.wait('r', 10000, NULL, NULL, NULL) \gset
SELECT mz_diff, owner, v FROM freshet.changes('r') AS (mz_timestamp numeric, mz_diff bigint, owner text, v int);
SELECT freshet.unsubscribe('r');

-- Values out of line, in both directions.
CREATE TABLE wide (id int PRIMARY KEY, t text);
ALTER TABLE wide ALTER t SET STORAGE EXTERNAL;
INSERT INTO wide VALUES (1, repeat('a', 10000)), (2, repeat('b', 10000));
SELECT freshet.subscribe('w', 'wide');
SELECT mz_diff, id, length(t) FROM freshet.changes('w') AS (mz_timestamp numeric, mz_diff bigint, id int, t text) ORDER BY 2;
UPDATE wide SET t = repeat('c', 20000) WHERE id = 1;
UPDATE wide SET t = repeat('b', 10000) WHERE id = 2;
SELECT freshet.wait_fresh() IS NOT NULL;
SELECT mz_diff, id, length(t), left(t, 1) FROM freshet.changes('w') AS (mz_timestamp numeric, mz_diff bigint, id int, t text);
SELECT freshet.unsubscribe('w');

-- More rows than work_mem.
SET work_mem = '64kB';
CREATE TABLE many AS SELECT i % 5000 AS i, repeat('x', 20) AS t FROM generate_series(1, 20000) i;
SELECT freshet.subscribe('l', 'many');
SELECT count(*), sum(mz_diff), min(mz_diff), max(mz_diff) FROM freshet.changes('l') AS (mz_timestamp numeric, mz_diff bigint, i int, t text);
UPDATE many SET i = i + 1;
CALL freshet.wait('l', 10000, NULL, NULL, NULL) \gset
SELECT mz_diff, i, t FROM freshet.changes('l') AS (mz_timestamp numeric, mz_diff bigint, i int, t text);
SELECT freshet.unsubscribe('l');
RESET work_mem;

-- One reads for another: how far it has come is told as a sealed position.
CREATE TABLE shared (id int PRIMARY KEY, v text);
INSERT INTO shared VALUES (1, 'a');
SELECT freshet.subscribe('x', 'shared'), freshet.subscribe('y', 'shared'), freshet.subscribe('z', '(SELECT id FROM shared)');
SELECT freshet.subscription_sharing('x') = freshet.subscription_sharing('y') AS same,
       freshet.subscription_sharing('z') IS NULL AS alone, freshet.subscription_position('x') IS NULL AS not_yet;
SELECT freshet.subscription_sharing('x') AS sharing \gset
SET DateStyle = 'German';
SELECT freshet.subscribe('d', 'shared');
SELECT :'sharing' = freshet.subscription_sharing('d') AS same;
RESET DateStyle;
SELECT mz_diff, id, v FROM freshet.changes('x') AS (mz_timestamp numeric, mz_diff bigint, id int, v text) ORDER BY 1, 2;
SELECT mz_diff, id, v FROM freshet.changes('y') AS (mz_timestamp numeric, mz_diff bigint, id int, v text) ORDER BY 1, 2;
INSERT INTO shared VALUES (2, 'b');
CALL freshet.wait('x', 10000, NULL, NULL, NULL) \gset
SELECT mz_diff, id, v FROM freshet.changes('x') AS (mz_timestamp numeric, mz_diff bigint, id int, v text) ORDER BY 1, 2;
SELECT freshet.subscription_position('x') AS first \gset
BEGIN;
INSERT INTO shared VALUES (3, 'c');
UPDATE shared SET v = 'B' WHERE id = 2;
COMMIT;
CALL freshet.wait('x', 10000, NULL, NULL, NULL) \gset
SELECT mz_diff, id, v FROM freshet.changes('x') AS (mz_timestamp numeric, mz_diff bigint, id int, v text) ORDER BY 1, 2;
SELECT freshet.subscription_position('x') AS second \gset
-- to the first, to the first again, and over the second without reading
SELECT freshet.subscription_read_to('y', :'first');
SELECT mz_diff, id, v FROM freshet.changes('y') AS (mz_timestamp numeric, mz_diff bigint, id int, v text) ORDER BY 1, 2;
SELECT freshet.subscription_advance('y', :'second');
SELECT freshet.subscription_read_to('y', :'first');
SELECT mz_diff, id, v FROM freshet.changes('y') AS (mz_timestamp numeric, mz_diff bigint, id int, v text) ORDER BY 1, 2;
SELECT freshet.subscription_advance('y', :'first');
DELETE FROM shared WHERE id = 1;
CALL freshet.wait('y', 10000, NULL, NULL, NULL) \gset
SELECT mz_diff, id, v FROM freshet.changes('y') AS (mz_timestamp numeric, mz_diff bigint, id int, v text) ORDER BY 1, 2;
-- into a file that VACUUM FULL has made
VACUUM FULL shared;
UPDATE shared SET v = 'BB' WHERE id = 2;
SELECT freshet.wait_fresh() IS NOT NULL;
SELECT mz_diff, id, v FROM freshet.changes('x') AS (mz_timestamp numeric, mz_diff bigint, id int, v text) ORDER BY 1, 2;
SELECT freshet.subscription_advance('y', freshet.subscription_position('x'));
INSERT INTO shared VALUES (4, 'd');
SELECT freshet.wait_fresh() IS NOT NULL;
SELECT mz_diff, id, v FROM freshet.changes('y') AS (mz_timestamp numeric, mz_diff bigint, id int, v text) ORDER BY 1, 2;
-- what is none
SELECT freshet.subscription_advance('y', 'no position');
SELECT freshet.subscription_advance('y', '');
SELECT freshet.subscription_read_to('y', set_byte(:'second', 8, 255 - get_byte(:'second', 8)));
SELECT freshet.subscription_read_to('y', substr(:'second'::bytea, 1, 100));
SELECT freshet.subscription_advance('z', :'second');
SELECT freshet.subscribe('c', 'wide', snapshot => false);
SELECT freshet.subscription_advance('c', :'second');
SELECT freshet.subscription_advance('d', :'second');
SELECT freshet.unsubscribe(n) FROM unnest('{x,y,z,d,c}'::text[]) n;

DROP TABLE shared, divisor, secret, wide, many, part, part3, unlogged CASCADE;
DROP SEQUENCE seq;
DROP FUNCTION waits();
DROP ROLE freshet_reader;
