-- What SQL leaves to the order of rows: a view decides by their versions, in every way it is computed.
SET client_min_messages = warning;
CREATE EXTENSION freshet;
CREATE SCHEMA ordering;
SET search_path = ordering;
CREATE TABLE sales (id int, shop int, price float8, note text);
CREATE TABLE shops (id int, city text);
INSERT INTO shops SELECT s, 'city ' || s % 2 FROM generate_series(0, 4) s;
INSERT INTO sales SELECT s, s % 5, s / 7.0, 'note ' || s FROM generate_series(1, 60) s;

CREATE MATERIALIZED VIEW collected AS
	SELECT c.city, string_agg(s.note, ',') AS notes, sum(s.price) AS price, jsonb_agg(s.id ORDER BY s.id % 3) AS ids
	FROM sales s JOIN shops c ON c.id = s.shop GROUP BY c.city;
CREATE MATERIALIZED VIEW numbered AS
	SELECT id, shop, row_number() OVER w, rank() OVER w, lag(id) OVER w, first_value(id) OVER (w ROWS 2 PRECEDING)
	FROM sales WINDOW w AS (PARTITION BY shop ORDER BY id % 3);
CREATE MATERIALIZED VIEW taken AS SELECT DISTINCT ON (shop) shop, id, note FROM sales ORDER BY shop, id % 4;
CREATE MATERIALIZED VIEW latest AS
	SELECT c.id, t.note FROM shops c, LATERAL (SELECT note FROM sales s WHERE s.shop = c.id ORDER BY s.id % 2 LIMIT 2) t;
CREATE MATERIALIZED VIEW undecided AS
	SELECT shop, last_value(id) OVER (PARTITION BY shop ORDER BY id % 3) FROM sales;
CREATE MATERIALIZED VIEW looks AS SELECT shop, count(DISTINCT round(price::numeric, 1)) AS n,
	array_agg(DISTINCT price::numeric) AS prices FROM sales GROUP BY shop;
SELECT count(*) FROM collected;
SELECT view, strategy, reason FROM freshet.views ORDER BY view::text;

UPDATE sales SET price = price + 0.1 WHERE id % 7 = 0;
SELECT view, freshet.verify(view) FROM freshet.views ORDER BY view::text;
DELETE FROM sales WHERE id % 11 = 3;
INSERT INTO sales SELECT s, s % 5, s / 3.0, 'more ' || s FROM generate_series(61, 70) s;
UPDATE shops SET city = 'city 1' WHERE id = 2;
SELECT view, freshet.verify(view), error FROM freshet.views ORDER BY view::text;
VACUUM FULL sales;
UPDATE sales SET note = upper(note) WHERE id % 5 = 2;
SELECT view, freshet.verify(view), error FROM freshet.views ORDER BY view::text;
DROP SCHEMA ordering CASCADE;
DROP EXTENSION freshet;
