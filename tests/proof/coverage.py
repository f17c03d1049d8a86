"""Each construct a query can have, as a view: how it is kept, and whether it is exact under changes of every table."""

import re
from typing import NamedTuple

from oracle.compare import differences
from oracle.shapes import Shape

SCHEMA = """
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN percent AS int CHECK (value BETWEEN 0 AND 100);
CREATE AGGREGATE total(numeric) (SFUNC = numeric_add, STYPE = numeric, INITCOND = '0');
CREATE TABLE customer (id int PRIMARY KEY, region int, credit numeric, name text);
CREATE TABLE sale (id int PRIMARY KEY, customer int, amount numeric, units int, price float8, day date, tags int[],
    note text, paid boolean);
CREATE TABLE region (id int PRIMARY KEY, name text, above int);
CREATE TABLE odd (id int PRIMARY KEY, ci text COLLATE ci, feeling mood, both_ pair, share percent, span int4range,
    spot point, doc json, wide text, twice int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE part (id int, customer int) PARTITION BY RANGE (id);
CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (100);
CREATE TABLE part_rest PARTITION OF part DEFAULT;
CREATE TABLE parent (id int, customer int);
CREATE TABLE child () INHERITS (parent);
CREATE VIEW big_sale AS SELECT id, customer, amount FROM sale WHERE amount > 20;
CREATE INDEX ON sale (customer);
CREATE INDEX ON sale (day);
CREATE INDEX ON customer (region);
CREATE INDEX ON region (above);
INSERT INTO region SELECT i, 'region ' || i, nullif(i / 2, 0) FROM generate_series(1, 12) i;
INSERT INTO customer SELECT i, nullif(i % 14, 0), i / 4.0, 'customer ' || i % 97 FROM generate_series(1, 300) i;
INSERT INTO sale SELECT i, nullif(i % 320, 0), (i % 100) / 2.0, i % 17, (i % 8) / 4.0, date '2026-01-01' + i % 200,
    ARRAY[i % 5, i % 3], repeat('note ', i % 4), i % 3 = 0 FROM generate_series(1, 3000) i;
INSERT INTO odd SELECT i, chr(65 + i % 3 + 32 * (i % 2)), (enum_range(NULL::mood))[1 + i % 3], ROW(i, 'b'::text)::pair, i % 100,
    int4range(i, i + 5), point(i, 1), '{"a": 1}', repeat('wide', 2000) FROM generate_series(1, 60) i;
INSERT INTO part SELECT i, i % 50 FROM generate_series(1, 300) i;
INSERT INTO parent SELECT i, i % 50 FROM generate_series(1, 100) i;
INSERT INTO child SELECT i, i % 50 FROM generate_series(101, 200) i;
ANALYZE;
"""

CHANGES = """
INSERT INTO sale SELECT i, nullif(i % 320, 0), 1.50, 3, 0.5, '2026-03-01', '{7}', NULL, NULL FROM generate_series(5000, 5009) i;
UPDATE sale SET customer = customer + 1, units = NULL WHERE id % 500 = 1;
UPDATE sale SET amount = amount * 1.0, day = day + 1, tags = tags || 9 WHERE id % 400 = 2;
DELETE FROM sale WHERE id % 300 = 3;
INSERT INTO customer VALUES (301, 3, 7.0, 'customer 5'), (302, NULL, NULL, NULL), (303, 99, 7.00, 'new');
UPDATE customer SET region = 1 + coalesce(region, 0) % 13, credit = credit + 1 WHERE id % 50 = 4;
UPDATE customer SET name = 'renamed' WHERE id = 6;
DELETE FROM customer WHERE id IN (7, 8, 60);
INSERT INTO region VALUES (13, 'thirteen', 2), (20, NULL, NULL);
UPDATE region SET name = 'first', above = 9 WHERE id = 2;
DELETE FROM region WHERE id IN (3, 12);
INSERT INTO odd (id, ci, feeling, both_, share, span, spot, doc, wide) VALUES
    (100, 'A', 'ok', NULL, 5, 'empty', '(0,0)', '{"a":1}', repeat('other', 3000));
UPDATE odd SET ci = upper(ci), spot = point(1, 2), doc = '[1]', feeling = 'sad', span = '[1,9)' WHERE id % 20 = 1;
UPDATE odd SET share = 1 WHERE id = 5;
DELETE FROM odd WHERE id % 20 = 2;
UPDATE part SET id = id + 100 WHERE id BETWEEN 90 AND 99;
DELETE FROM part WHERE id % 40 = 0;
INSERT INTO part VALUES (5, 5), (500, 5);
UPDATE parent SET customer = 7 WHERE id % 30 = 0;
DELETE FROM child WHERE id % 30 = 1;
INSERT INTO child VALUES (999, 9);
"""


class Construct(NamedTuple):
    what: str
    query: str
    maintained: bool = True


# In the order of the table; each view is named v1, v2, ... by it, and later queries may read earlier views.
CONSTRUCTS = [
    Construct("filter, projection", "SELECT id, amount * 2 AS twice FROM sale WHERE units > 3"),
    Construct("inner join", "SELECT s.id, c.name, s.amount FROM sale s JOIN customer c ON c.id = s.customer"),
    Construct("inner join, no equality", "SELECT s.id, r.name FROM sale s JOIN region r ON s.units < r.id - 8"),
    Construct("cross join", "SELECT r.id, c.id AS customer FROM region r CROSS JOIN customer c"),
    Construct("self join", "SELECT a.id, b.id AS other FROM customer a JOIN customer b ON a.name = b.name AND a.id < b.id"),
    Construct("UNION ALL", "SELECT id, amount FROM sale WHERE paid UNION ALL SELECT id, credit FROM customer"),
    Construct("LEFT JOIN", "SELECT c.id, c.name, s.id AS sale FROM customer c LEFT JOIN sale s ON s.customer = c.id"),
    Construct("RIGHT JOIN", "SELECT s.id, c.name FROM customer c RIGHT JOIN sale s ON s.customer = c.id"),
    Construct("FULL JOIN", "SELECT c.id, r.name FROM customer c FULL JOIN region r ON r.id = c.region"),
    Construct("chain of outer joins", "SELECT s.id, c.name, r.name AS region FROM sale s LEFT JOIN customer c ON c.id = "
              "s.customer LEFT JOIN region r ON r.id = c.region"),
    Construct("outer join, no equality", "SELECT c.id, r.id AS region FROM customer c LEFT JOIN region r ON r.id < c.region - 9"),
    Construct("outer join, then IS NULL", "SELECT c.id FROM customer c LEFT JOIN sale s ON s.customer = c.id WHERE s.id IS NULL"),
    Construct("EXISTS", "SELECT id, name FROM customer c WHERE EXISTS (SELECT FROM sale s WHERE s.customer = c.id AND s.paid)"),
    Construct("NOT EXISTS", "SELECT id, name FROM customer c WHERE NOT EXISTS (SELECT FROM sale s WHERE s.customer = c.id)"),
    Construct("IN (subquery)", "SELECT id, name FROM customer WHERE id IN (SELECT customer FROM sale WHERE units > 12)"),
    Construct("NOT IN (subquery), with NULLs", "SELECT id, name FROM customer WHERE region NOT IN "
              "(SELECT above FROM region WHERE id > 5)"),
    Construct("> ALL (subquery)", "SELECT id FROM customer c WHERE credit > ALL (SELECT amount FROM sale s WHERE s.customer = c.id)"),
    Construct("scalar subquery", "SELECT id FROM customer WHERE credit > (SELECT avg(credit) FROM customer)"),
    Construct("correlated subquery", "SELECT c.id, (SELECT max(s.amount) FROM sale s WHERE s.customer = c.id) AS most FROM customer c"),
    Construct("LATERAL", "SELECT c.id, s.amount FROM customer c CROSS JOIN LATERAL (SELECT amount FROM sale WHERE customer = c.id "
              "ORDER BY amount DESC, id LIMIT 2) s"),
    Construct("set-returning function in FROM", "SELECT s.id, t.tag FROM sale s CROSS JOIN LATERAL unnest(s.tags) AS t (tag)"),
    Construct("set-returning function in SELECT", "SELECT id, unnest(tags) AS tag FROM sale"),
    Construct("DISTINCT", "SELECT DISTINCT customer, paid FROM sale"),
    Construct("DISTINCT ON", "SELECT DISTINCT ON (customer) customer, id, amount FROM sale ORDER BY customer, amount DESC, id"),
    Construct("UNION", "SELECT customer FROM sale UNION SELECT id FROM customer"),
    Construct("INTERSECT", "SELECT customer FROM sale INTERSECT SELECT id FROM customer"),
    Construct("EXCEPT", "SELECT id FROM customer EXCEPT SELECT customer FROM sale"),
    Construct("INTERSECT ALL", "SELECT units FROM sale INTERSECT ALL SELECT region FROM customer"),
    Construct("EXCEPT ALL", "SELECT units FROM sale EXCEPT ALL SELECT region FROM customer"),
    Construct("GROUP BY count, sum, avg", "SELECT customer, count(*) AS n, sum(amount) AS amount, avg(units) AS units FROM sale "
              "GROUP BY customer"),
    Construct("aggregate without GROUP BY", "SELECT count(*) AS n, sum(amount) AS amount, max(day) AS last FROM sale"),
    Construct("min, max", "SELECT customer, min(amount + 0.00) AS least, max(day) AS last FROM sale GROUP BY customer"),
    Construct("stddev, variance", "SELECT customer, stddev(amount) AS s, var_pop(units) AS v FROM sale GROUP BY customer"),
    Construct("bool_and, bool_or", "SELECT customer, bool_and(paid) AS every, bool_or(paid) AS any FROM sale GROUP BY customer"),
    Construct("sum, avg of floats", "SELECT customer, sum(price) AS price, avg(price) AS mean FROM sale GROUP BY customer"),
    Construct("count(DISTINCT)", "SELECT customer, count(DISTINCT day) AS days FROM sale GROUP BY customer"),
    Construct("array_agg, string_agg, jsonb_agg, ordered", "SELECT customer, array_agg(id ORDER BY id) AS ids, "
              "string_agg(note, ',' ORDER BY id) AS notes, jsonb_agg(day ORDER BY id) AS days FROM sale GROUP BY customer"),
    Construct("percentile_cont, mode", "SELECT customer, percentile_cont(0.5) WITHIN GROUP (ORDER BY units) AS half, "
              "mode() WITHIN GROUP (ORDER BY day) AS day FROM sale GROUP BY customer"),
    Construct("user-defined aggregate", "SELECT customer, total(amount) AS amount FROM sale GROUP BY customer"),
    Construct("FILTER", "SELECT customer, count(*) FILTER (WHERE paid) AS paid FROM sale GROUP BY customer"),
    Construct("HAVING", "SELECT customer, sum(units) AS units FROM sale GROUP BY customer HAVING sum(units) > 70"),
    Construct("expression over aggregates", "SELECT customer, sum(amount) / nullif(sum(units), 0) AS each FROM sale GROUP BY customer"),
    Construct("GROUPING SETS, ROLLUP, CUBE", "SELECT customer, paid, count(*) AS n, grouping(customer, paid) AS g FROM sale "
              "GROUP BY ROLLUP (customer, paid)"),
    Construct("aggregate over an aggregate", "SELECT n, count(*) AS customers FROM (SELECT customer, count(*) AS n FROM sale "
              "GROUP BY customer) c GROUP BY n"),
    Construct("aggregate over an outer join", "SELECT c.id, count(s.id) AS sales FROM customer c LEFT JOIN sale s ON s.customer = c.id "
              "GROUP BY c.id"),
    Construct("outer join over two aggregates", "SELECT a.customer, a.n, b.units FROM (SELECT customer, count(*) AS n FROM sale WHERE paid "
              "GROUP BY customer) a LEFT JOIN (SELECT customer, sum(units) AS units FROM sale GROUP BY customer) b USING (customer)"),
    Construct("window functions by partition", "SELECT id, customer, rank() OVER (PARTITION BY customer ORDER BY amount) AS place, "
              "sum(units) OVER (PARTITION BY customer) AS units FROM sale"),
    Construct("window frame, lag, lead", "SELECT id, lag(amount) OVER w AS before, sum(units) OVER (w ROWS 3 PRECEDING) AS units FROM sale "
              "WINDOW w AS (PARTITION BY customer ORDER BY day, id)"),
    Construct("window without PARTITION BY", "SELECT id, row_number() OVER (ORDER BY credit DESC NULLS LAST, id) AS place FROM customer"),
    Construct("window over an aggregate", "SELECT customer, count(*) AS n, rank() OVER (PARTITION BY customer % 5 ORDER BY count(*)) AS place "
              "FROM sale GROUP BY customer"),
    Construct("top k of each group", "SELECT * FROM (SELECT id, customer, amount, row_number() OVER (PARTITION BY customer "
              "ORDER BY amount DESC, id) AS n FROM sale) s WHERE n <= 2"),
    Construct("ORDER BY ... LIMIT", "SELECT id, amount FROM sale ORDER BY day DESC, id LIMIT 10"),
    Construct("ORDER BY an aggregate LIMIT", "SELECT customer, sum(amount) AS amount FROM sale GROUP BY customer "
              "ORDER BY sum(amount) DESC, customer LIMIT 5"),
    Construct("WITH, used once", "WITH paid AS (SELECT * FROM sale WHERE paid) SELECT c.id, p.amount FROM customer c JOIN paid p "
              "ON p.customer = c.id"),
    Construct("WITH, used twice", "WITH per AS (SELECT customer, sum(units) AS units FROM sale GROUP BY customer) "
              "SELECT a.customer, b.customer AS other FROM per a JOIN per b ON a.units = b.units AND a.customer < b.customer"),
    Construct("WITH RECURSIVE, UNION", "WITH RECURSIVE up(id, top, depth) AS (SELECT id, id, 0 FROM region UNION SELECT r.id, up.top, depth + 1 "
              "FROM up JOIN region r ON r.above = up.id WHERE depth < 6) SELECT top, count(*) AS below FROM up GROUP BY top"),
    Construct("WITH RECURSIVE, UNION ALL", "WITH RECURSIVE up(id, path, depth) AS (SELECT id, name, 0 FROM region WHERE above IS NULL "
              "UNION ALL SELECT r.id, up.path || '/' || r.name, depth + 1 FROM up JOIN region r ON r.above = up.id WHERE depth < 6) "
              "SELECT id, path, depth FROM up"),
    Construct("plain view as a table", "SELECT c.name, b.amount FROM big_sale b JOIN customer c ON c.id = b.customer"),
    Construct("fresh view as a table", "SELECT customer, n FROM {count} WHERE n > 9"),
    Construct("fresh view over a fresh view", "SELECT n, count(*) AS customers FROM {fresh} GROUP BY n"),
    Construct("now() in WHERE", "SELECT id, day FROM sale WHERE day >= now() - interval '3000 days'"),
    Construct("CURRENT_DATE under a join and an aggregate", "SELECT c.region, count(*) AS n FROM sale s JOIN customer c ON c.id = s.customer "
              "WHERE s.day >= CURRENT_DATE - interval '3000 days' GROUP BY c.region"),
    Construct("time passed since a row", "SELECT id, day FROM sale WHERE now() - day::timestamptz < interval '3000 days'"),
    Construct("now() in HAVING", "SELECT customer, count(*) AS n FROM sale GROUP BY customer HAVING max(day) > now() - interval '3000 days'"),
    Construct("now() in an aggregate's FILTER", "SELECT customer, count(*) AS n, count(*) FILTER (WHERE day > now() - interval '3000 days') "
              "AS late FROM sale GROUP BY customer"),
    Construct("now() under DISTINCT, UNION, LIMIT", "SELECT DISTINCT customer FROM sale WHERE day > now() - interval '3000 days' "
              "UNION SELECT id FROM customer ORDER BY 1 LIMIT 40"),
    Construct("now() compared with windows", "SELECT id, lag(day) OVER (PARTITION BY customer ORDER BY id) > now() - interval '3000 days' "
              "AS late FROM sale"),
    Construct("the clock itself shown", "SELECT id, extract(year FROM now()) - extract(year FROM day) AS years FROM sale"),
    Construct("partitioned table", "SELECT p.id, c.name FROM part p JOIN customer c ON c.id = p.customer"),
    Construct("inheritance", "SELECT customer, count(*) AS n FROM parent GROUP BY customer"),
    Construct("generated column, enum, domain, composite, range", "SELECT id, twice, feeling, both_, share, span FROM odd WHERE feeling > 'sad'"),
    Construct("types without equality (json, point)", "SELECT id, spot, doc FROM odd"),
    Construct("nondeterministic collation", "SELECT a.id, b.id AS other FROM odd a JOIN odd b ON a.ci = b.ci"),
    Construct("long values (TOAST)", "SELECT id, wide FROM odd"),
    Construct("volatile function", "SELECT id, random() AS chance FROM customer", False),
]


class Row(NamedTuple):
    what: str
    strategy: str
    reason: str
    exact: bool


def measure(connection) -> list[Row]:
    """Make every view in an empty database, change all tables, and see."""
    connection.execute(SCHEMA)
    names = {construct.what: f"v{number}" for number, construct in enumerate(CONSTRUCTS, 1)}
    places = {"count": names["GROUP BY count, sum, avg"], "fresh": names["fresh view as a table"]}
    connection.execute("SET client_min_messages = error")
    shapes = []
    for construct in CONSTRUCTS:
        query = re.sub(r"{(\w+)}", lambda match: places[match[1]], construct.query)
        connection.execute(f"CREATE MATERIALIZED VIEW {names[construct.what]} AS {query}")
        if construct.maintained:
            shapes.append(Shape(names[construct.what], "", query))
    wrong = differences(connection, shapes)
    for number, statement in enumerate(CHANGES.strip().split(";\n"), 1):
        connection.execute(statement)
        # views are read, and so brought up to date, after one change or several
        if number % 3:
            connection.execute("SELECT freshet.wait_fresh()")
        else:
            wrong += differences(connection, shapes)
    wrong += differences(connection, shapes)
    inexact = {line.partition(":")[0] for line in wrong}
    found = {view: (strategy, maintained, reason) for view, strategy, maintained, reason in connection.execute(
        "SELECT view::text, strategy, maintained, coalesce(error, reason) FROM freshet.views").fetchall()}
    rows = []
    for construct in CONSTRUCTS:
        strategy, maintained, reason = found[names[construct.what]]
        rows.append(Row(construct.what, strategy if maintained else "–", reason, names[construct.what] not in inexact))
    return rows


def table(cells: list[tuple[str, ...]]) -> str:
    """Lines of a table, the first its head."""
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def every_construct(rows: list[Row]) -> str:
    """The table of docs/coverage.md: how each construct is kept, and why so."""
    return table([("construct", "strategy", "reason", "exact")] + [
        (row.what, row.strategy, row.reason.replace("|", "\\|"), "" if row.strategy == "–" else "yes" if row.exact else "NO")
        for row in rows])


def by_strategy(rows: list[Row]) -> str:
    """The README's: the constructs of each strategy."""
    kept = [row for row in rows if row.strategy != "–"]
    groups = [(strategy, [row.what for row in rows if row.strategy == strategy]) for strategy in "ABC–"]
    lines = [f"| {strategy} | {len(names)} | {'; '.join(names)} |" for strategy, names in groups if names]
    exact = sum(row.exact for row in kept)
    return "\n".join([f"{len(kept)} of {len(rows)} constructs are kept fresh, {exact} of them exactly.", "",
                      "| kept by | how many | constructs |", "|---|---|---|", *lines]) + "\n"


MARKERS = re.compile(r"(<!-- coverage -->\n).*?(<!-- end of coverage -->)", re.DOTALL)

# Which file has which table.
TABLES = {"README.md": by_strategy, "docs/coverage.md": every_construct}


def renew(text: str, table: str) -> str:
    """The text with the table between its markers."""
    return MARKERS.sub(lambda match: match[1] + table + match[2], text)
