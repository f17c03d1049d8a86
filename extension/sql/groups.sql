-- Groups whose rows show all there is to know of them: nothing else is kept
CREATE EXTENSION freshet;
SET client_min_messages = warning;
CREATE SCHEMA groups;
SET search_path = groups, public;

-- the hidden tables of views, and what the explanation says of their groups
CREATE VIEW hidden AS
SELECT v.view, string_agg(split_part(c.relname, '_', 1), ', ' ORDER BY c.relname) AS tables
FROM freshet.views v JOIN pg_class c ON c.relname IN ('groups_' || v.view::oid, 'rows_' || v.view::oid)
GROUP BY v.view;
CREATE FUNCTION shown(view regclass) RETURNS boolean LANGUAGE sql AS
$$ SELECT count(*) > 0 FROM freshet.explain(view) AS line WHERE line ~ 'the view shows all of this' $$;
CREATE FUNCTION wrong() RETURNS TABLE (view regclass, rows bigint, error text) LANGUAGE sql AS
$$ SELECT view, freshet.verify(view), error FROM freshet.views
   WHERE maintained AND (freshet.verify(view) <> 0 OR error IS NOT NULL) ORDER BY view::text $$;

CREATE TABLE facts (id int PRIMARY KEY, k int, name text, small int2 NOT NULL, amount int NOT NULL, maybe int, big int8 NOT NULL);
CREATE TABLE names (k int PRIMARY KEY, label text NOT NULL);
INSERT INTO facts SELECT g, nullif(g % 10, 0), chr(97 + g % 3), g % 100, g, nullif(g % 4, 0), g FROM generate_series(1, 100) g;
INSERT INTO names SELECT g, 'label ' || g FROM generate_series(0, 12) g;

CREATE MATERIALIZED VIEW plain AS SELECT k, count(*) AS n, sum(amount) AS amount, sum(small) AS small FROM facts GROUP BY k;
CREATE MATERIALIZED VIEW two AS SELECT sum(amount) AS amount, name || '!' AS shouted, name, count(*) AS n, k FROM facts GROUP BY name, k;
CREATE MATERIALIZED VIEW maybe AS SELECT k, count(*) AS n, count(maybe) AS there, sum(maybe) AS sum FROM facts GROUP BY k;
CREATE MATERIALIZED VIEW filtered AS
SELECT k, count(*) AS n, count(*) FILTER (WHERE amount > 50) AS over, sum(amount) FILTER (WHERE amount > 50) AS sum FROM facts GROUP BY k;
CREATE MATERIALIZED VIEW joined AS SELECT n.label, count(*) AS n, sum(f.amount) AS amount FROM facts f JOIN names n USING (k) GROUP BY n.label;
CREATE MATERIALIZED VIEW above AS SELECT n, count(*) AS groups FROM plain GROUP BY n;
-- these do not show enough
CREATE MATERIALIZED VIEW uncounted AS SELECT k, sum(amount) AS amount FROM facts GROUP BY k;
CREATE MATERIALIZED VIEW uncertain AS SELECT k, count(*) AS n, sum(maybe) AS sum FROM facts GROUP BY k;
CREATE MATERIALIZED VIEW unfiltered AS SELECT k, count(*) AS n, sum(amount) FILTER (WHERE amount > 50) AS sum FROM facts GROUP BY k;
CREATE MATERIALIZED VIEW keyless AS SELECT count(*) AS n, sum(amount) AS amount FROM facts GROUP BY k;
CREATE MATERIALIZED VIEW often AS SELECT k, count(*) AS n FROM facts GROUP BY k HAVING count(*) > 9;
CREATE MATERIALIZED VIEW large AS SELECT k, count(*) AS n, sum(big) AS big FROM facts GROUP BY k;
CREATE MATERIALIZED VIEW outer_joined AS SELECT n.label, count(*) AS n, sum(f.amount) AS amount FROM names n LEFT JOIN facts f USING (k) GROUP BY n.label;
CREATE MATERIALIZED VIEW alike AS SELECT big::numeric / 2 AS half, count(*) AS n FROM facts GROUP BY 1;
SELECT * FROM wrong();
SELECT view, shown(view) FROM freshet.views WHERE maintained ORDER BY shown(view) DESC, view::text;
SELECT * FROM hidden ORDER BY view::text;

-- rows that come, go and move; groups that end, and begin again
UPDATE facts SET amount = amount + 1 WHERE id % 7 = 0;
SELECT * FROM wrong();
SELECT * FROM hidden ORDER BY view::text;
UPDATE facts SET k = k + 1 WHERE id % 5 < 2;
SELECT * FROM wrong();
DELETE FROM facts WHERE k = 3 OR k IS NULL;
SELECT * FROM wrong();
SELECT k, n, amount FROM plain ORDER BY k;
INSERT INTO facts SELECT g, nullif(g % 4, 0), 'new', 1, 1, NULL, 1 FROM generate_series(101, 110) g;
SELECT * FROM wrong();
SELECT * FROM plain ORDER BY k;
SELECT * FROM maybe ORDER BY k;
SELECT * FROM above ORDER BY n;

-- what changes nothing writes nothing
SELECT rows_out AS before FROM freshet.views WHERE view = 'plain'::regclass \gset
UPDATE facts SET name = name || 'x';
SELECT k FROM plain WHERE k = 1;
SELECT rows_out - :before AS written FROM freshet.views WHERE view = 'plain'::regclass;

-- a user's indexes: found by the one on the keys, never by one on what changes
DROP MATERIALIZED VIEW above;
CREATE MATERIALIZED VIEW indexed AS SELECT k, count(*) AS n, sum(amount) AS amount FROM facts GROUP BY k;
CREATE UNIQUE INDEX ON indexed (k);
CREATE INDEX ON indexed (amount);
CREATE MATERIALIZED VIEW exchanged AS SELECT k, count(*) AS n, sum(amount) AS amount FROM facts WHERE k < 3 GROUP BY k;
CREATE UNIQUE INDEX ON exchanged (amount);
UPDATE facts SET amount = 1000 WHERE k = 2;
UPDATE facts SET k = 3 - k WHERE k IN (1, 2);
SELECT * FROM wrong();
SELECT view, tables FROM hidden WHERE view = 'indexed'::regclass;
REFRESH MATERIALIZED VIEW CONCURRENTLY indexed;
INSERT INTO facts VALUES (111, 42, 'a', 1, 1, 1, 1), (112, NULL, 'a', 1, 1, 1, 1);
SELECT * FROM wrong();

-- many groups at once are found by reading the whole view, as long as no locator has been made
CREATE TABLE many (k int NOT NULL, v int NOT NULL);
CREATE MATERIALIZED VIEW many_groups AS SELECT k, count(*) AS n, sum(v) AS v FROM many GROUP BY k;
INSERT INTO many SELECT g % 5000, g FROM generate_series(1, 20000) g;
SELECT freshet.verify('many_groups');
INSERT INTO many SELECT g % 6000, g FROM generate_series(1, 20000) g;
SELECT freshet.verify('many_groups');
UPDATE many SET v = v + 1;
SELECT freshet.verify('many_groups');
SELECT * FROM hidden WHERE view = 'many_groups'::regclass;
DELETE FROM many WHERE k = 7;
SELECT freshet.verify('many_groups');
SELECT * FROM hidden WHERE view = 'many_groups'::regclass;
UPDATE many SET v = v + 1, k = k + 1 WHERE k % 2 = 0;
SELECT freshet.verify('many_groups');
DROP TABLE many CASCADE;

-- a constraint that goes in the transaction that needs it gone, and comes back
SELECT shown('plain');
BEGIN;
ALTER TABLE facts ALTER amount DROP NOT NULL;
UPDATE facts SET amount = NULL WHERE k = 1 OR id = 24;
INSERT INTO facts VALUES (120, 50, 'a', 1, NULL, 1, 1);
COMMIT;
SELECT * FROM plain WHERE k IN (1, 50) ORDER BY k;
SELECT * FROM wrong();
SELECT shown('plain');
UPDATE facts SET amount = 5 WHERE id = 120;
DELETE FROM facts WHERE amount IS NULL;
SELECT * FROM wrong();
ALTER TABLE facts ALTER amount SET NOT NULL;
UPDATE facts SET amount = amount + 1;
SELECT * FROM wrong();
SELECT shown('plain');
SELECT tables FROM hidden WHERE view = 'plain'::regclass;

-- children may have what their parent forbids
CREATE TABLE child () INHERITS (facts);
ALTER TABLE child ALTER amount DROP NOT NULL;
INSERT INTO child SELECT g, 1, 'child', 1, NULL, 1, 1 FROM generate_series(201, 203) g;
SELECT * FROM wrong();
SELECT shown('plain');
DELETE FROM child WHERE id = 202;
UPDATE child SET k = 60 WHERE id = 203;
SELECT * FROM wrong();
SELECT * FROM plain WHERE k = 60;

-- a sum that wraps around on its way stays what it is
CREATE TABLE extreme (k int NOT NULL, v int NOT NULL);
CREATE MATERIALIZED VIEW extremes AS SELECT k, count(*) AS n, sum(v) AS v FROM extreme GROUP BY k;
INSERT INTO extreme SELECT g % 2, CASE g % 2 WHEN 0 THEN 2147483647 ELSE -2147483648 END FROM generate_series(1, 1000) g;
UPDATE extreme SET v = -v WHERE k = 0;
SELECT * FROM extremes ORDER BY k;
SELECT freshet.verify('extremes');

-- final functions whose result's type is that of the call; a whole row of a plain view in a subquery
CREATE FUNCTION collected(anyarray, anyelement) RETURNS anyarray LANGUAGE sql IMMUTABLE AS 'SELECT $1 || $2';
CREATE FUNCTION first_of(anyarray) RETURNS anyelement LANGUAGE sql IMMUTABLE AS 'SELECT $1[1]';
CREATE FUNCTION first_with(anyarray, anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE AS 'SELECT $1[1]';
CREATE AGGREGATE firstly(anyelement) (SFUNC = collected, STYPE = anyarray, INITCOND = '{}', FINALFUNC = first_of);
CREATE AGGREGATE firstly_extra(anyelement) (SFUNC = collected, STYPE = anyarray, INITCOND = '{}', FINALFUNC = first_with, FINALFUNC_EXTRA);
CREATE MATERIALIZED VIEW polymorphic AS
SELECT k, firstly(amount ORDER BY id) AS amount, firstly_extra(name ORDER BY id) AS name, count(*) AS n FROM facts GROUP BY k;
CREATE VIEW viewed AS SELECT id, k, name FROM facts WHERE id > 150;
CREATE MATERIALIZED VIEW whole AS SELECT (SELECT viewed) AS row, to_jsonb(viewed) AS json FROM viewed;
CREATE FUNCTION lengthened(int[]) RETURNS int[] LANGUAGE sql IMMUTABLE AS 'SELECT $1 || 1';
CREATE FUNCTION itself(anyarray) RETURNS anyarray LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE AGGREGATE ones(*) (SFUNC = lengthened, STYPE = int[], INITCOND = '{}', FINALFUNC = itself);
CREATE MATERIALIZED VIEW without_input AS SELECT k, ones(*) FROM facts WHERE k >= 77 GROUP BY k;
INSERT INTO facts SELECT g, 77, 'late', 1, g, 1, 1 FROM generate_series(301, 303) g;
DELETE FROM facts WHERE id = 301;
UPDATE facts SET amount = amount + 1 WHERE id IN (1, 302);
SELECT * FROM wrong();
SELECT * FROM polymorphic WHERE k = 77;
SELECT * FROM without_input;
SELECT * FROM whole WHERE json ->> 'k' = '77' ORDER BY json ->> 'id';

-- more aggregates than a table has columns for their states; then a row of 820 columns is computed anew
DO $$ BEGIN
	EXECUTE (SELECT format('CREATE MATERIALIZED VIEW wide AS SELECT k, %s FROM facts GROUP BY k',
		string_agg(format('min(id + %s) AS c%1$s', i), ', ')) FROM generate_series(1, 820) i);
END $$;
INSERT INTO facts SELECT g, 78, 'wide', 1, g, 1, 1 FROM generate_series(401, 403) g;
DELETE FROM facts WHERE id IN (1, 402);
SELECT k, c1, c820 FROM wide WHERE k = 78;
SELECT freshet.verify('wide'), strategy, reason, error FROM freshet.views WHERE view = 'wide'::regclass;

DROP SCHEMA groups CASCADE;
DROP EXTENSION freshet;
