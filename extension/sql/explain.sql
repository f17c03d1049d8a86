-- freshet.explain: strategies and their reasons, delta queries, indexes.
SET client_min_messages = warning;
CREATE EXTENSION freshet;
CREATE SCHEMA explaining;
SET search_path = explaining;
CREATE TABLE dims (id int PRIMARY KEY, name text, region int);
CREATE TABLE facts (id int PRIMARY KEY, dim int, amount int, price numeric, at date);
CREATE TABLE regions (code int, label text);
INSERT INTO dims SELECT i, 'dim ' || i, i % 50 FROM generate_series(1, 5000) i;
INSERT INTO facts SELECT i, i % 5000 + 1, i % 100, i / 10.0, date '2020-01-01' + i % 1000
	FROM generate_series(1, 20000) i;
INSERT INTO regions SELECT i, 'region ' || i FROM generate_series(0, 49) i;
ALTER TABLE dims SET (autovacuum_enabled = off);
ALTER TABLE facts SET (autovacuum_enabled = off);
ANALYZE dims, facts, regions;

-- without what differs from run to run: oids, sizes, times
CREATE FUNCTION explained(view regclass) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(regexp_replace(line,
		'((groups|rows)_)\d+', '\1N'), '\d+ (bytes|kB|MB)$', 'N kB'), '\d+\.\d+ ms$', 'N ms')
	FROM freshet.explain(view) line
$$;

-- joins: the index that is missing, and then is not
CREATE MATERIALIZED VIEW joined AS
	SELECT f.id, d.name, f.amount FROM facts f JOIN dims d ON f.dim = d.id WHERE f.amount > 1;
SELECT count(*) FROM joined;
SELECT * FROM explained('joined');
CREATE INDEX facts_dim ON facts (dim);
SELECT * FROM explained('joined');
DROP INDEX facts_dim;

-- a table of a few pages needs none; an index found on the way to another
CREATE MATERIALIZED VIEW three AS
	SELECT f.id, r.label FROM facts f, dims d, regions r WHERE f.dim = d.id AND d.region = r.code;
SELECT count(*) FROM three;
SELECT * FROM explained('three');

-- through plain views and UNION ALL; no clause to look rows up by
CREATE VIEW numbered AS
	SELECT id AS number, name AS label FROM dims UNION ALL SELECT code, label FROM regions;
CREATE MATERIALIZED VIEW united AS
	SELECT f.id, n.label FROM facts f JOIN numbered n ON f.amount = n.number;
SELECT count(*) FROM united;
SELECT * FROM explained('united');
CREATE TABLE noted (number int, note text) WITH (autovacuum_enabled = off);
INSERT INTO noted SELECT i, repeat('x', 50) FROM generate_series(1, 1000) i;
ANALYZE noted;
CREATE VIEW described AS
	SELECT id AS number, 'fact' AS note FROM facts UNION ALL SELECT number, note FROM noted;
CREATE MATERIALIZED VIEW told AS
	SELECT d.id, e.note FROM dims d JOIN described e ON d.region = e.number;
SELECT count(*) FROM told;
SELECT line FROM explained('told') WITH ORDINALITY AS l (line, n) WHERE n <= 14;
CREATE MATERIALIZED VIEW crossed AS
	SELECT a.code, b.label FROM regions a JOIN regions b ON a.code < b.code;
SELECT count(*) FROM crossed;
SELECT * FROM explained('crossed');

-- grouped: how each aggregate's state follows
CREATE MATERIALIZED VIEW counted AS SELECT dim, count(*), sum(amount) FROM facts GROUP BY dim;
SELECT count(*) FROM counted;
SELECT * FROM explained('counted');
CREATE MATERIALIZED VIEW grouped AS
	SELECT d.name, count(*) FILTER (WHERE f.amount > 3), sum(f.price), max(f.at), bit_or(f.amount)
	FROM facts f JOIN dims d ON d.id = f.dim GROUP BY d.name;
SELECT count(*) FROM grouped;
SELECT * FROM explained('grouped');
CREATE INDEX facts_dim ON facts (dim);
CREATE INDEX dims_name ON dims (name);
SELECT * FROM explained('grouped');
CREATE MATERIALIZED VIEW extremes AS SELECT min(price), max(price) FROM facts;
SELECT count(*) FROM extremes;
SELECT * FROM explained('extremes');

-- computed anew
CREATE MATERIALIZED VIEW outer_joined AS
	SELECT d.id, f.amount FROM dims d LEFT JOIN facts f ON f.dim = d.id;
SELECT count(*) FROM outer_joined;
SELECT * FROM explained('outer_joined');
CREATE MATERIALIZED VIEW today AS SELECT id FROM facts WHERE at = current_date;
SELECT count(*) FROM today;
SELECT * FROM explained('today');

-- not maintained
CREATE MATERIALIZED VIEW lucky AS SELECT id FROM facts WHERE random() < 2;
SELECT * FROM explained('lucky');
SET freshet.maintain = off;
CREATE MATERIALIZED VIEW plain AS SELECT id FROM facts;
RESET freshet.maintain;
SELECT * FROM explained('plain');
CREATE MATERIALIZED VIEW unpopulated AS SELECT label FROM regions WITH NO DATA;
SELECT * FROM explained('unpopulated');

-- rows that exist later than the view: what finds them
DELETE FROM facts WHERE id < 10;
SELECT count(*) FROM joined;
SELECT * FROM explained('joined') line WHERE line LIKE '%hidden%';

-- who may; the text of an error is the owner's
CREATE TABLE divisor (d int);
INSERT INTO divisor VALUES (1);
CREATE MATERIALIZED VIEW shaky AS SELECT 100 / d AS q FROM divisor;
SELECT count(*) FROM shaky;
INSERT INTO divisor VALUES (0);
SELECT freshet.wait_fresh() IS NOT NULL;
SELECT * FROM explained('shaky') line WHERE line LIKE '%error%';
CREATE ROLE freshet_explainer;
GRANT USAGE ON SCHEMA explaining TO freshet_explainer;
SET ROLE freshet_explainer;
SELECT freshet.explain('shaky');
RESET ROLE;
GRANT SELECT ON shaky TO freshet_explainer;
SET ROLE freshet_explainer;
SELECT freshet.explain('shaky');
RESET ROLE;
SELECT freshet.explain('facts');
SELECT freshet.explain(1::regclass);
SELECT freshet.explain(NULL);

DROP SCHEMA explaining CASCADE;
DROP ROLE freshet_explainer;
DROP EXTENSION freshet;
