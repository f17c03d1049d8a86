--
-- Which materialized views are kept fresh: CREATE, DROP, adopt, release
--
CREATE EXTENSION freshet;

CREATE SCHEMA adoption;
SET search_path = adoption;
CREATE TABLE item (id int PRIMARY KEY, kind text, price numeric);
INSERT INTO item VALUES (1, 'a', 1.0), (2, 'b', 2.50), (3, 'a', 4);
CREATE UNLOGGED TABLE note (id int);

-- what freshet.views says, without what differs from run to run
CREATE FUNCTION shown() RETURNS TABLE (view text, maintained boolean, strategy text, reason text)
LANGUAGE sql AS $$
	SELECT v.view::text, v.maintained, CASE WHEN v.maintained THEN '-' ELSE v.strategy END,
		CASE WHEN v.maintained THEN '-' ELSE v.reason END
	FROM freshet.views v ORDER BY 1
$$;

-- the ordinary way
CREATE MATERIALIZED VIEW total AS SELECT kind, count(*) AS n FROM item GROUP BY kind;
CREATE MATERIALIZED VIEW IF NOT EXISTS total AS SELECT 1;
CREATE MATERIALIZED VIEW empty AS SELECT kind FROM item WITH NO DATA;
CREATE MATERIALIZED VIEW spaced TABLESPACE pg_default AS SELECT id FROM item;
SELECT * FROM total ORDER BY kind;
SELECT * FROM empty;
SELECT * FROM shown();

-- SELECT INTO and CREATE TABLE AS make tables
SELECT id INTO copied FROM item;
CREATE TABLE copied2 AS SELECT id FROM item;
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
	CREATE MATERIALIZED VIEW explained AS SELECT kind FROM item;
EXPLAIN (COSTS OFF) CREATE MATERIALIZED VIEW not_made AS SELECT id FROM item;
DO $$ BEGIN CREATE MATERIALIZED VIEW by_do AS SELECT 1 AS one FROM item; END $$;
SELECT * FROM shown();
DROP MATERIALIZED VIEW explained, by_do, spaced;

-- in transactions, whole or in part
BEGIN;
CREATE MATERIALIZED VIEW kept AS SELECT id FROM item;
SAVEPOINT s;
CREATE MATERIALIZED VIEW undone AS SELECT id FROM item;
ROLLBACK TO s;
INSERT INTO item VALUES (4, 'c', 5);
SELECT count(*) FROM kept;
COMMIT;
SELECT count(*) FROM kept;
BEGIN;
DROP MATERIALIZED VIEW kept;
ROLLBACK;
SELECT * FROM shown();
INSERT INTO item VALUES (5, 'c', 5);
SELECT count(*) FROM kept;
DROP MATERIALIZED VIEW kept;

-- nothing is refused: what cannot be kept fresh is a plain matview that says why
CREATE MATERIALIZED VIEW lucky AS SELECT random() < 2 AS r;
CREATE FUNCTION busy() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE VIEW between_them AS SELECT busy() AS b FROM item;
CREATE MATERIALIZED VIEW indirect AS SELECT count(b) FROM between_them;
CREATE MATERIALIZED VIEW unlogged_base AS SELECT id FROM note;
CREATE MATERIALIZED VIEW sampled AS SELECT id FROM item TABLESAMPLE bernoulli (100);
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE far_away (id int) SERVER nowhere;
CREATE MATERIALIZED VIEW foreign_base AS SELECT id FROM far_away WITH NO DATA;
SET freshet.maintain = off;
CREATE MATERIALIZED VIEW plain AS SELECT id FROM item;
RESET freshet.maintain;
SELECT * FROM shown();
SELECT freshet.adopt('lucky');
SELECT freshet.adopt('unlogged_base');
SELECT freshet.adopt('foreign_base');
SELECT freshet.adopt('item');
SELECT freshet.adopt(1::regclass);
INSERT INTO item VALUES (6, 'd', 6);
SELECT count(*) FROM plain;
REFRESH MATERIALIZED VIEW plain;
SELECT count(*) FROM plain;
DROP MATERIALIZED VIEW lucky, indirect, unlogged_base, sampled, foreign_base;
DROP SERVER nowhere CASCADE;
DROP FOREIGN DATA WRAPPER nowhere;

-- adopt and release
SELECT freshet.adopt('plain');
SELECT freshet.adopt('plain');
INSERT INTO item VALUES (7, 'd', 7);
SELECT count(*) FROM plain;
SELECT freshet.release('plain');
SELECT freshet.release('plain');
INSERT INTO item VALUES (8, 'd', 8);
SELECT count(*) FROM plain;
SELECT * FROM shown() WHERE view = 'plain';
SELECT freshet.adopt('plain');
SELECT count(*) FROM plain;
SELECT freshet.release('total');
SELECT count(*) FROM pg_class
WHERE relnamespace = 'freshet'::regnamespace AND relname ~ ('_' || 'total'::regclass::oid || '$');
SELECT freshet.adopt('total');
SELECT * FROM total ORDER BY kind;

-- what a restored dump does with the rows of freshet.view
INSERT INTO freshet.view VALUES ('adoption.plain', false, '{TimeZone=Asia/Tokyo}', true);
INSERT INTO freshet.view VALUES ('adoption.total', true, '{TimeZone=Asia/Tokyo}', true, 'C', 'as it was');
INSERT INTO freshet.view VALUES ('adoption.nothing', true, '{}', true), ('nowhere.at_all', true, '{}', true);
INSERT INTO freshet.view VALUES ('adoption.item', true, '{}', true);
SELECT view, maintain FROM freshet.view WHERE 'TimeZone=Asia/Tokyo' = ANY (settings) ORDER BY 1;
SELECT count(*) FROM freshet.view;
INSERT INTO item VALUES (81, 'd', 8);
SELECT * FROM total ORDER BY kind;
SELECT freshet.adopt('plain');
SELECT count(*) FROM plain;

-- only the owner may
CREATE ROLE regress_freshet_other;
GRANT USAGE ON SCHEMA adoption TO regress_freshet_other;
GRANT SELECT ON total TO regress_freshet_other;
SET ROLE regress_freshet_other;
SELECT freshet.adopt('plain');
SELECT freshet.release('total');
SELECT * FROM total ORDER BY kind;
SELECT view, maintained, error FROM freshet.views ORDER BY view::text;
SELECT * FROM freshet.view;
SELECT freshet.wait_fresh() IS NOT NULL AS waited;
REFRESH MATERIALIZED VIEW total;
RESET ROLE;
DROP OWNED BY regress_freshet_other;
DROP ROLE regress_freshet_other;

-- as in PostgreSQL: RENAME, SET SCHEMA, indexes, DROP ... CASCADE
CREATE SCHEMA adoption2;
ALTER MATERIALIZED VIEW total RENAME TO sums;
ALTER MATERIALIZED VIEW sums RENAME COLUMN n TO amount;
CREATE UNIQUE INDEX sums_kind ON sums (kind);
ALTER MATERIALIZED VIEW sums SET SCHEMA adoption2;
INSERT INTO item VALUES (9, 'e', 9);
SELECT * FROM adoption2.sums ORDER BY kind;
DROP INDEX adoption2.sums_kind;
DELETE FROM item WHERE kind = 'e';
SELECT * FROM adoption2.sums ORDER BY kind;
SELECT count(*) FROM freshet.view;
DROP TABLE item CASCADE;
SELECT * FROM shown();
SELECT count(*) FROM freshet.view;
SELECT relname FROM pg_class
WHERE relnamespace = 'freshet'::regnamespace AND relname ~ '^(groups|rows)_';

-- a name of ours in a place of ours is not enough to be ours
DROP EXTENSION freshet;
CREATE SCHEMA freshet;
CREATE TABLE freshet.view (view oid PRIMARY KEY, x int);
CREATE TABLE item (id int);
CREATE MATERIALIZED VIEW before AS SELECT id FROM item;
SELECT * FROM before;
DROP SCHEMA freshet CASCADE;

-- matviews from before the extension
CREATE EXTENSION freshet;
INSERT INTO item VALUES (1);
SELECT * FROM before;
SELECT * FROM shown();
SELECT freshet.adopt('before');
SELECT * FROM before;
SELECT * FROM shown();

-- DROP EXTENSION leaves plain matviews, and nothing else
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM item;
SELECT * FROM counted;
DROP EXTENSION freshet;
DROP EXTENSION freshet CASCADE;
SELECT objname, left(label, 6) AS label FROM pg_seclabels WHERE provider = 'freshet' ORDER BY objname;
\d
INSERT INTO item VALUES (2);
SELECT * FROM counted;
REFRESH MATERIALIZED VIEW counted;
SELECT * FROM counted;
DO $$
BEGIN
	FOR i IN 1..100 LOOP
		EXIT WHEN NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name ~ '^freshet_');
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;
SELECT count(*) FROM pg_replication_slots WHERE slot_name ~ '^freshet_';
SET client_min_messages = warning;
DROP SCHEMA adoption, adoption2 CASCADE;
