-- freshet.verify: how many rows differ between a view and its query, by image.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS freshet;
CREATE TABLE amount (id int PRIMARY KEY, v numeric, f float8, t text);
INSERT INTO amount SELECT i, i * 1.10, i / 7.0, repeat('x', i % 100) FROM generate_series(1, 5000) i;
CREATE MATERIALIZED VIEW kept AS SELECT id % 10 AS g, count(*), sum(v), sum(f) AS f, max(t) FROM amount GROUP BY 1;
SELECT freshet.verify('kept');
UPDATE amount SET v = v + 1, f = -f WHERE id % 3 = 0;
DELETE FROM amount WHERE id % 7 = 0;
SELECT freshet.verify('kept');

-- One that is not maintained differs by what changed since; = is not identity.
SET freshet.maintain = off;
CREATE MATERIALIZED VIEW plain AS SELECT v, f, t FROM amount;
RESET freshet.maintain;
SELECT freshet.verify('plain');
UPDATE amount SET v = 2.200 WHERE id = 2;
UPDATE amount SET f = '-0' WHERE id = 4;
DELETE FROM amount WHERE id = 5;
SELECT freshet.verify('plain');
SET work_mem = '64kB';
SELECT freshet.verify('plain');
RESET work_mem;
-- duplicates are counted
INSERT INTO amount VALUES (10001, 1, 1, 'dup'), (10002, 1, 1, 'dup'), (10003, 1, 1, 'dup');
REFRESH MATERIALIZED VIEW plain;
SELECT freshet.verify('plain');
DELETE FROM amount WHERE id IN (10001, 10002);
SELECT freshet.verify('plain');

-- What it is not for.
CREATE MATERIALIZED VIEW unpopulated AS SELECT * FROM amount WITH NO DATA;
SELECT freshet.verify('unpopulated');
SELECT freshet.verify('amount');
CREATE ROLE freshet_reader;
SET ROLE freshet_reader;
SELECT freshet.verify('kept');
RESET ROLE;
GRANT SELECT ON kept TO freshet_reader;
SET ROLE freshet_reader;
SELECT freshet.verify('kept');
RESET ROLE;

-- A table joined with a UNION ALL that it is no branch of.
CREATE TABLE one_side (a int);
CREATE TABLE other_side (a int);
INSERT INTO one_side VALUES (1);
INSERT INTO other_side VALUES (1);
CREATE TABLE beside (a int);
CREATE MATERIALIZED VIEW united AS SELECT a FROM beside
	JOIN (SELECT a FROM one_side UNION ALL (SELECT a FROM other_side UNION ALL SELECT a + 1 FROM one_side)) u USING (a);
SELECT freshet.verify('united');
INSERT INTO beside VALUES (1), (2);
SELECT freshet.verify('united'), count(*) FROM united;
UPDATE one_side SET a = 2;
DELETE FROM beside WHERE a = 1;
SELECT freshet.verify('united'), count(*) FROM united;
DROP TABLE one_side, other_side, beside CASCADE;

-- A view in error says why, and is exact again when it has healed.
CREATE TABLE divisor (d int);
INSERT INTO divisor VALUES (1), (5);
CREATE MATERIALIZED VIEW shaky AS SELECT 100 / d AS q FROM divisor;
SELECT freshet.verify('shaky');
INSERT INTO divisor VALUES (0);
SET freshet.verify_patience = '100ms';
-- the detail says since when
DO $$
DECLARE
	detail text;
BEGIN
	PERFORM freshet.verify('shaky');
EXCEPTION WHEN object_not_in_prerequisite_state THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RAISE INFO '%: %', SQLERRM, regexp_replace(detail, 'since .* because', 'since then because');
END $$;
RESET freshet.verify_patience;
DELETE FROM divisor WHERE d = 0;
INSERT INTO divisor VALUES (7);
-- it is tried again later each time
DO $$ BEGIN
	FOR i IN 1..300 LOOP
		EXIT WHEN (SELECT error IS NULL FROM freshet.views WHERE view = 'shaky'::regclass);
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;
SELECT freshet.verify('shaky');

DROP TABLE divisor CASCADE;
DROP TABLE amount CASCADE;
DROP ROLE freshet_reader;
