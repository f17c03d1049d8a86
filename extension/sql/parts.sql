-- Parts: complex subqueries as hidden views that live and die with theirs
CREATE EXTENSION freshet;
SET client_min_messages = warning;
CREATE SCHEMA parts;
SET search_path = parts, public;

-- the hidden tables of the parts, and how many there are of their own state
CREATE VIEW hidden AS
SELECT count(*) FILTER (WHERE relname ~ '^part') AS parts,
	count(*) FILTER (WHERE relname ~ '^(groups|rows)') > 0 AS state
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'freshet' AND c.relkind = 'r' AND c.relname ~ '^(part|groups|rows)[0-9_]';

CREATE TABLE sales (id int PRIMARY KEY, shop int, item text, amount numeric, price numeric(8, 2), took interval);
CREATE TABLE shops (id int PRIMARY KEY, city text);
INSERT INTO sales SELECT g, g % 5, chr(97 + g % 3), g / 2.0, g / 4.0, make_interval(hours => g) FROM generate_series(1, 30) g;
INSERT INTO shops SELECT g, 'city ' || g FROM generate_series(0, 6) g;

CREATE MATERIALIZED VIEW best AS
WITH totals AS (SELECT shop, sum(amount) AS total FROM sales GROUP BY shop)
SELECT s.city, t.total FROM shops s JOIN totals t ON t.shop = s.id
WHERE t.total > (SELECT avg(total) FROM totals);
SELECT freshet.verify('best');
SELECT strategy, reason FROM freshet.views WHERE view = 'best'::regclass;
SELECT * FROM hidden;
SELECT regexp_replace(line, '[0-9]{5,}', 'OID', 'g') AS line FROM freshet.explain('best') AS line
WHERE line ~ '^ *(Mat|Part|reason|grouping|delta|rows)';
INSERT INTO sales VALUES (31, 4, 'a', 1000, 1, NULL), (32, NULL, NULL, NULL, NULL, NULL);
SELECT * FROM best ORDER BY city;
SELECT freshet.verify('best');
DELETE FROM sales WHERE id = 31;
UPDATE shops SET id = 7 WHERE id = 4;
SELECT * FROM best ORDER BY city;
SELECT freshet.verify('best');

-- a subquery used twice is one part; two that differ are two
CREATE MATERIALIZED VIEW twice AS
SELECT a.shop, b.shop AS other FROM (SELECT shop, max(amount) AS n FROM sales GROUP BY shop) a
JOIN (SELECT shop, max(amount) AS n FROM sales GROUP BY shop) b ON a.n = b.n AND a.shop < b.shop;
SELECT freshet.verify('twice');
SELECT * FROM hidden;

-- released, a view keeps its content and has no parts; adopted, it has them again
SELECT freshet.release('best');
SELECT * FROM hidden;
SELECT freshet.adopt('best');
SELECT freshet.verify('best');
SELECT * FROM hidden;
DROP MATERIALIZED VIEW best;
SELECT * FROM hidden;

-- the query changes beneath: other parts
CREATE VIEW counted AS SELECT shop, count(*) AS n FROM sales GROUP BY shop;
CREATE MATERIALIZED VIEW above AS SELECT s.city, c.n FROM shops s JOIN counted c ON c.shop = s.id;
SELECT freshet.verify('above');
CREATE OR REPLACE VIEW counted AS SELECT shop, count(item) AS n FROM sales WHERE amount > 3 GROUP BY shop;
INSERT INTO sales VALUES (40, 3, 'd', 4, 4, NULL);
SELECT freshet.verify('above');
SELECT sum(n) FROM above;
DROP MATERIALIZED VIEW above, twice;
SELECT * FROM hidden;

-- where equal values can look different, the query says which one is shown
CREATE MATERIALIZED VIEW distinct_amount AS SELECT DISTINCT amount FROM sales;
CREATE MATERIALIZED VIEW distinct_took AS SELECT took FROM sales EXCEPT SELECT interval '1 day';
CREATE MATERIALIZED VIEW distinct_price AS SELECT DISTINCT price FROM sales;
CREATE MATERIALIZED VIEW grouped_amount AS
SELECT n, count(*) AS amounts FROM (SELECT amount, count(*) AS n FROM sales GROUP BY amount) a GROUP BY n;
CREATE MATERIALIZED VIEW whole_row AS SELECT (c).shop FROM (SELECT c FROM (SELECT shop, count(*) FROM sales GROUP BY shop) c) d;
INSERT INTO sales VALUES (50, 1, 'x', 1.0, 1, '24 hours'), (51, 1, 'x', 1.00, 1, '1 day');
SELECT view, freshet.verify(view) FROM freshet.views WHERE maintained ORDER BY view::text;
SELECT view, strategy, reason FROM freshet.views WHERE maintained ORDER BY view::text;
DROP MATERIALIZED VIEW distinct_amount, distinct_took, distinct_price, grouped_amount, whole_row;

-- what depends on the order in which rows are met is asked of the query, whose tables have another
CREATE MATERIALIZED VIEW met AS SELECT n, array_agg(shop) AS shops FROM (SELECT shop, count(*) AS n FROM sales GROUP BY shop) s GROUP BY n;
CREATE MATERIALIZED VIEW met_ordered AS SELECT n, array_agg(shop ORDER BY shop) AS shops FROM (SELECT shop, count(*) AS n FROM sales GROUP BY shop) s GROUP BY n;
CREATE MATERIALIZED VIEW numbered AS SELECT shop, row_number() OVER (PARTITION BY shop % 2 ORDER BY count(*)) FROM sales GROUP BY shop;
CREATE MATERIALIZED VIEW numbered_all AS SELECT shop, row_number() OVER (PARTITION BY shop % 2 ORDER BY count(*), shop) FROM sales GROUP BY shop;
CREATE MATERIALIZED VIEW ranked AS SELECT shop, rank() OVER (PARTITION BY shop % 2 ORDER BY count(*)) FROM sales GROUP BY shop;
SELECT view, freshet.verify(view) FROM freshet.views WHERE maintained ORDER BY view::text;
SELECT view, strategy FROM freshet.views WHERE maintained ORDER BY view::text;
DROP MATERIALIZED VIEW met, met_ordered, numbered, numbered_all, ranked;

-- LIMIT: ties at its end are the query's business
CREATE MATERIALIZED VIEW top AS SELECT id, shop FROM sales WHERE shop IS NOT NULL ORDER BY shop DESC LIMIT 7;
CREATE MATERIALIZED VIEW top_groups AS SELECT shop, count(*) AS n FROM sales GROUP BY shop ORDER BY n DESC, shop LIMIT 2;
CREATE MATERIALIZED VIEW top_within AS SELECT t.id, s.city FROM (SELECT id, shop FROM sales ORDER BY shop LIMIT 3) t JOIN shops s ON s.id = t.shop;
CREATE MATERIALIZED VIEW top_any AS SELECT id FROM sales LIMIT 3;
INSERT INTO sales SELECT g, 4, 'tie', 1, 1, NULL FROM generate_series(60, 64) g;
SELECT freshet.verify('top'), freshet.verify('top_groups');
INSERT INTO sales VALUES (70, 9, 'first', 1, 1, NULL);
DELETE FROM sales WHERE shop = 4 AND id < 30;
SELECT view, freshet.verify(view) FROM freshet.views WHERE maintained ORDER BY view::text;
SELECT view, strategy, reason FROM freshet.views WHERE maintained ORDER BY view::text;
SELECT id, shop FROM top ORDER BY shop DESC, id LIMIT 1;
SELECT * FROM top_groups ORDER BY n DESC, shop;
DROP MATERIALIZED VIEW top, top_groups, top_within, top_any;

-- where they tie again and again, a costly query is left whole, and rests between its runs
CREATE TABLE many AS SELECT g AS id, g % 10 AS kind FROM generate_series(1, 200000) g;
CREATE MATERIALIZED VIEW top_many AS SELECT id, kind FROM many ORDER BY kind LIMIT 3;
SELECT freshet.verify('top_many');
SELECT strategy FROM freshet.views WHERE view = 'top_many'::regclass;
DELETE FROM many WHERE id = 10;
SELECT freshet.verify('top_many');
DELETE FROM many WHERE id = 20;
SELECT freshet.verify('top_many');
DELETE FROM many WHERE id = 30;
SELECT freshet.verify('top_many');
DELETE FROM many WHERE id = 40;
SELECT freshet.verify('top_many');
SELECT strategy, reason FROM freshet.views WHERE view = 'top_many'::regclass;
SELECT * FROM hidden;
DROP TABLE many CASCADE;

-- an index of the table serves as well as a part, as long as it is there
CREATE INDEX sales_price ON sales (price DESC NULLS LAST, id DESC);
CREATE MATERIALIZED VIEW dear AS SELECT id, price FROM sales ORDER BY price DESC NULLS LAST, id DESC LIMIT 3;
CREATE MATERIALIZED VIEW cheap AS SELECT id, price FROM sales ORDER BY price NULLS FIRST, id LIMIT 3;
CREATE MATERIALIZED VIEW mixed AS SELECT id, price FROM sales ORDER BY price NULLS FIRST, id DESC LIMIT 3;
SELECT freshet.verify('dear'), freshet.verify('cheap'), freshet.verify('mixed');
SELECT view, strategy, reason FROM freshet.views WHERE maintained ORDER BY view::text;
SELECT * FROM hidden;
INSERT INTO sales VALUES (80, 1, 'y', 1, 500, NULL);
SELECT * FROM dear ORDER BY id;
SELECT freshet.verify('dear'), freshet.verify('cheap'), freshet.verify('mixed');
DROP INDEX sales_price;
INSERT INTO sales VALUES (81, 1, 'y', 1, 501, NULL), (82, 1, 'y', 1, NULL, NULL);
SELECT freshet.verify('dear'), freshet.verify('cheap'), freshet.verify('mixed');
SELECT view, strategy, reason FROM freshet.views WHERE maintained ORDER BY view::text;
SELECT * FROM hidden;
DROP MATERIALIZED VIEW dear, cheap, mixed;

-- a table that is emptied, and no rows at all
CREATE MATERIALIZED VIEW rolled AS SELECT shop, item, grouping(shop, item) AS g, count(*) AS n, sum(price) AS price FROM sales GROUP BY ROLLUP (shop, item);
CREATE MATERIALIZED VIEW compared AS SELECT shop FROM sales EXCEPT ALL SELECT id FROM shops;
SELECT freshet.verify('rolled'), freshet.verify('compared');
TRUNCATE sales;
SELECT * FROM rolled;
SELECT * FROM compared;
SELECT freshet.verify('rolled'), freshet.verify('compared');
INSERT INTO sales SELECT g, g % 2, 'x', 1, 1, NULL FROM generate_series(1, 10) g;
SELECT freshet.verify('rolled'), freshet.verify('compared');
SELECT * FROM rolled ORDER BY g, shop;

-- partitions and inheritance: UNION ALL of the tables that have the rows
CREATE TABLE log (gone int, day int, level text, size int) PARTITION BY RANGE (day);
ALTER TABLE log DROP COLUMN gone;
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (10);
CREATE TABLE log_2 (size int, level text, day int);
INSERT INTO log_2 VALUES (1, 'info', 11);
CREATE TABLE log_3 PARTITION OF log FOR VALUES FROM (20) TO (30) PARTITION BY LIST (level);
CREATE TABLE log_3_info PARTITION OF log_3 DEFAULT;
CREATE TABLE base (a int, b text);
CREATE TABLE child (c int) INHERITS (base);
CREATE MATERIALIZED VIEW logged AS SELECT l.day, l.level, s.city FROM log l JOIN shops s ON s.id = l.day % 7;
CREATE MATERIALIZED VIEW log_shops AS SELECT l.day, l.level, s.city FROM log l LEFT JOIN shops s ON s.id = l.day
WHERE NOT EXISTS (SELECT FROM base b WHERE b.b = l.level);
CREATE MATERIALIZED VIEW levels AS SELECT level, count(*) AS n, max(size) AS most FROM log GROUP BY level;
CREATE MATERIALIZED VIEW bases AS SELECT b, count(*) AS n FROM base GROUP BY b;
CREATE MATERIALIZED VIEW only_base AS SELECT a, b FROM ONLY base;
SELECT freshet.verify('logged'), freshet.verify('levels'), freshet.verify('bases'), freshet.verify('only_base'), freshet.verify('log_shops');
SELECT view, strategy, reason FROM freshet.views WHERE view::text IN ('logged', 'levels', 'bases', 'only_base', 'log_shops') ORDER BY view::text;
INSERT INTO log SELECT g, CASE WHEN g % 2 = 0 THEN 'info' ELSE 'error' END, g FROM generate_series(0, 9) g;
INSERT INTO log VALUES (25, 'fatal', 3);
INSERT INTO base VALUES (1, 'x'), (2, 'info');
INSERT INTO child VALUES (2, 'x', 3);
SELECT freshet.verify('logged'), freshet.verify('levels'), freshet.verify('bases'), freshet.verify('only_base'), freshet.verify('log_shops');
UPDATE log SET day = day + 20 WHERE level = 'error';
ALTER TABLE log ATTACH PARTITION log_2 FOR VALUES FROM (10) TO (20);
SELECT * FROM levels ORDER BY level;
SELECT freshet.verify('logged'), freshet.verify('levels'), freshet.verify('log_shops');
UPDATE log SET size = size + 1 WHERE day = 11;
ALTER TABLE log DETACH PARTITION log_1;
SELECT * FROM levels ORDER BY level;
CREATE TABLE grandchild () INHERITS (child);
INSERT INTO grandchild VALUES (3, 'y', 4);
SELECT * FROM bases ORDER BY b;
SELECT freshet.verify('logged'), freshet.verify('levels'), freshet.verify('bases'), freshet.verify('only_base'), freshet.verify('log_shops');
DROP TABLE child CASCADE;
SELECT * FROM bases ORDER BY b;
SELECT freshet.verify('bases');

-- an error in a part is the view's; it keeps its content and heals
CREATE MATERIALIZED VIEW shares AS SELECT city, share FROM shops JOIN (SELECT shop, sum(1 / price) AS share FROM sales GROUP BY shop) t ON t.shop = shops.id;
SELECT freshet.verify('shares');
SELECT count(*) FROM shares;
SET freshet.max_staleness = -1;
INSERT INTO sales VALUES (99, 0, 'free', 0, 0, NULL);
DO $$
BEGIN
	FOR i IN 1 .. 500 LOOP
		EXIT WHEN EXISTS (SELECT FROM freshet.view_error);
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SELECT error FROM freshet.views WHERE view = 'shares'::regclass;
SELECT count(*) FROM shares;
DELETE FROM sales WHERE id = 99;
RESET freshet.max_staleness;
SELECT freshet.verify('shares');

-- partitions with other columns' numbers than their parent's, of more levels, and dropped columns everywhere
CREATE TABLE spread (gone int, id int, k int, v text, d numeric(6, 2), w int GENERATED ALWAYS AS (id * 2) STORED) PARTITION BY LIST (k);
ALTER TABLE spread DROP COLUMN gone;
CREATE TABLE spread_1 (x int, y int, v text, d numeric(6, 2), k int, id int, w int GENERATED ALWAYS AS (id * 2) STORED);
ALTER TABLE spread_1 DROP COLUMN x, DROP COLUMN y;
CREATE TABLE spread_2 (d numeric(6, 2), x int, k int, id int, v text, w int GENERATED ALWAYS AS (id * 2) STORED) PARTITION BY RANGE (id);
ALTER TABLE spread_2 DROP COLUMN x;
CREATE TABLE spread_21 (w int GENERATED ALWAYS AS (id * 2) STORED, x text, y int, k int, id int, v text, d numeric(6, 2));
ALTER TABLE spread_21 DROP COLUMN x, DROP COLUMN y;
ALTER TABLE spread_2 ATTACH PARTITION spread_21 FOR VALUES FROM (0) TO (1000);
ALTER TABLE spread ATTACH PARTITION spread_1 FOR VALUES IN (1);
CREATE MATERIALIZED VIEW spread_rows AS SELECT * FROM spread;
ALTER TABLE spread ATTACH PARTITION spread_2 FOR VALUES IN (2);
CREATE MATERIALIZED VIEW spread_groups AS SELECT k, count(*) AS n, sum(d) AS d, max(v) AS v, sum(w) AS w FROM spread GROUP BY k;
CREATE MATERIALIZED VIEW spread_outer AS SELECT p.id, q.v FROM spread p LEFT JOIN spread q ON p.id = q.id + 1;
CREATE MATERIALIZED VIEW spread_whole AS SELECT p AS r, tableoid::regclass AS t, p.ctid AS place FROM spread p;
INSERT INTO spread (id, k, v, d) SELECT i, 1 + i % 2, 'v' || i, i * 1.5 FROM generate_series(1, 20) i;
SELECT * FROM spread_groups ORDER BY k;
SELECT view, strategy, error, freshet.verify(view) FROM freshet.views WHERE view::text LIKE 'spread%' ORDER BY view::text;
UPDATE spread SET k = 3 - k, d = d + 1 WHERE id % 3 = 0;
DELETE FROM spread WHERE id = 7;
SELECT * FROM spread_groups ORDER BY k;
SELECT view, strategy, error, freshet.verify(view) FROM freshet.views WHERE view::text LIKE 'spread%' ORDER BY view::text;

-- whole rows of subqueries show the columns of the query alone, and NULL where there is no row
CREATE VIEW plain AS SELECT id, city FROM shops;
CREATE MATERIALIZED VIEW rows_flat AS SELECT row_to_json(s) AS j FROM (SELECT id, city FROM shops) s;
CREATE MATERIALIZED VIEW rows_outer AS SELECT s.id, to_jsonb(l) AS j FROM shops s LEFT JOIN (SELECT id AS shop, item FROM sales WHERE id < 4) l ON l.shop = s.id;
CREATE MATERIALIZED VIEW rows_grouped AS SELECT row_to_json(s) AS j FROM (SELECT shop, count(*) FROM sales GROUP BY shop) s;
CREATE MATERIALIZED VIEW rows_lateral AS SELECT s.id, to_json(l) AS j FROM shops s, LATERAL (SELECT x.id, s.city FROM sales x WHERE x.shop = s.id) l;
CREATE MATERIALIZED VIEW rows_renamed AS SELECT row_to_json(s) AS j FROM (SELECT id FROM shops UNION SELECT shop FROM sales) s (x);
CREATE MATERIALIZED VIEW rows_view AS SELECT (SELECT plain) AS r, plain::text AS t, (plain).city FROM plain;
CREATE MATERIALIZED VIEW rows_nested AS SELECT id, (SELECT jsonb_agg(x ORDER BY x.id) FROM (SELECT id, item FROM sales WHERE shop = s.id) x) AS j FROM shops s;
INSERT INTO shops VALUES (10, 'far'), (11, NULL);
UPDATE shops SET city = city || '!' WHERE id < 3;
INSERT INTO sales VALUES (98, 10, 'x', 1, 1, NULL);
DELETE FROM sales WHERE id = 2;
SELECT j FROM rows_flat ORDER BY j::text LIMIT 2;
SELECT j FROM rows_grouped ORDER BY j::text LIMIT 2;
SELECT * FROM rows_outer WHERE id IN (2, 3) ORDER BY id;
SELECT * FROM rows_view WHERE (r).id > 9 ORDER BY t;
SELECT view, strategy, error, freshet.verify(view) FROM freshet.views WHERE view::text LIKE 'rows%' ORDER BY view::text;
DROP VIEW plain CASCADE;

-- an array of the rows of a part is in the order of its query
CREATE TABLE sorted (id int PRIMARY KEY, n int, kind text);
CREATE MATERIALIZED VIEW sorted_apart AS SELECT s.id, ARRAY(SELECT p.n FROM (SELECT DISTINCT ON (kind) n, kind, id FROM sorted
	ORDER BY kind, id) p ORDER BY p.n::text COLLATE "C" DESC) AS a, ARRAY(SELECT p.n FROM (SELECT DISTINCT ON (kind) n, kind, id
	FROM sorted ORDER BY kind, id) p ORDER BY p.kind DESC, p.n LIMIT 3) AS b FROM sorted s WHERE id < 3;
INSERT INTO sorted SELECT i, i * 7 % 11, chr(64 + i % 5) FROM generate_series(1, 9) i;
INSERT INTO sorted VALUES (10, -4, 'Z'), (0, 100, 'B');
DELETE FROM sorted WHERE id = 4;
SELECT * FROM sorted_apart ORDER BY id;
SELECT strategy, reason, freshet.verify(view) FROM freshet.views WHERE view = 'sorted_apart'::regclass;
DROP TABLE sorted CASCADE;

-- nothing stays behind
DROP EXTENSION freshet CASCADE;
SELECT count(*) FROM pg_namespace WHERE nspname = 'freshet';
SELECT count(*) FROM rolled;
DROP SCHEMA parts CASCADE;
