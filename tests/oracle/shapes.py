"""The base tables and the view shapes the oracle keeps comparing with their queries.

Tables have no more constraints than needed, so that rows repeat and keys are NULL. Values are chosen
where equality and identity part: 1.0 and 1.00, 0 and -0, NaN, '' and NULL, text long enough for TOAST.
"""

from typing import NamedTuple

SCHEMA = """
CREATE TABLE customers (id int, region text, credit numeric);
CREATE TABLE orders (id int, customer int, amount numeric, units int, price float8,
                     note text, day date, flag bool);
CREATE TABLE regions (name text, manager text);
CREATE TABLE items (id int PRIMARY KEY, order_id int, units bigint);
CREATE INDEX ON orders (customer);
CREATE INDEX ON items (order_id);
CREATE VIEW big_orders AS SELECT id, customer, amount FROM orders WHERE amount >= 5;
"""

TABLES = ("customers", "orders", "regions", "items")


class Shape(NamedTuple):
    name: str
    strategy: str  # the strategy this query must have: A, or C for any query A does not cover
    query: str


# Shapes that show in which order the rows of a group were read: a sort for the groups leaves them in any.
ORDER_SHOWS = ("arrays_plain",)

SHAPES = [
    # select, project, join, union all
    Shape("projection", "A", "SELECT id, note, amount FROM orders"),
    Shape("filtered", "A", "SELECT id, upper(note) AS note, amount * 2 AS twice FROM orders "
                           "WHERE amount > 3 AND flag"),
    Shape("keyless", "A", "SELECT customer, flag FROM orders"),
    Shape("constant", "A", "SELECT 1 AS one FROM regions"),
    Shape("join2", "A", "SELECT o.id, o.amount, c.region, c.credit FROM orders o "
                        "JOIN customers c ON c.id = o.customer"),
    Shape("join3", "A", "SELECT o.id, c.region, r.manager FROM orders o, customers c, regions r "
                        "WHERE o.customer = c.id AND c.region = r.name"),
    Shape("join4", "A", "SELECT r.manager, i.units, o.note FROM items i JOIN orders o ON o.id = i.order_id "
                        "JOIN customers c ON c.id = o.customer JOIN regions r ON r.name = c.region "
                        "WHERE i.units > 1"),
    Shape("self_join", "A", "SELECT a.id AS a, b.id AS b, a.region FROM customers a "
                            "JOIN customers b ON a.region = b.region AND a.id < b.id"),
    Shape("theta_join", "A", "SELECT i.id, c.credit FROM items i JOIN customers c ON i.units > c.credit"),
    Shape("cross_join", "A", "SELECT r.name, c.id FROM regions r CROSS JOIN customers c WHERE c.credit < 2"),
    Shape("union_all", "A", "SELECT id, note FROM orders WHERE flag UNION ALL "
                            "SELECT id, region FROM customers UNION ALL SELECT units::int, 'item' FROM items"),
    Shape("from_subquery", "A", "SELECT s.customer, s.total FROM (SELECT customer, amount + units AS total "
                                "FROM orders WHERE units IS NOT NULL) s WHERE s.total > 4"),
    Shape("over_view", "A", "SELECT customer, amount FROM big_orders WHERE customer IS NOT NULL"),
    Shape("over_matview", "A", "SELECT region, count(*) AS n, sum(amount) AS amount FROM join2 GROUP BY region"),
    Shape("over_two_matviews", "A", "SELECT j.id, g.n FROM join2 j JOIN by_customer g ON g.customer = j.id % 20"),
    # grouped and global aggregates
    Shape("by_customer", "A", "SELECT customer, count(*) AS n, count(units) AS known, sum(units) AS units, "
                              "avg(units) AS mean FROM orders GROUP BY customer"),
    Shape("by_flag_numeric", "A", "SELECT flag, sum(amount) AS total, avg(amount) AS mean, count(amount) AS n "
                                  "FROM orders GROUP BY flag"),
    Shape("by_item_bigint", "A", "SELECT order_id % 5 AS bucket, sum(units) AS units, avg(units) AS mean "
                                 "FROM items GROUP BY 1"),
    Shape("spread", "A", "SELECT customer, var_samp(amount) AS v, stddev_pop(amount) AS s, var_pop(units) AS vu, "
                         "stddev(units) AS su FROM orders GROUP BY customer"),
    Shape("extremes", "A", "SELECT customer, min(units) AS least, max(units) AS most, min(note) AS first, "
                           "max(day) AS last FROM orders GROUP BY customer"),
    Shape("bools", "A", "SELECT customer, bool_and(flag) AS every, bool_or(flag) AS any, count(flag) AS n "
                        "FROM orders GROUP BY customer"),
    Shape("floats", "B", "SELECT day, sum(price) AS total, avg(price) AS mean, count(price) AS n "
                         "FROM orders GROUP BY day"),
    Shape("two_keys", "A", "SELECT day, note, count(*) AS n FROM orders GROUP BY day, note"),
    Shape("global", "A", "SELECT count(*) AS n, sum(amount) AS total, avg(units) AS mean, min(day) AS first, "
                         "max(note) AS last FROM orders"),
    Shape("global_empty", "A", "SELECT count(*) AS n, sum(units) AS total FROM orders WHERE id < -1000000"),
    Shape("filtered_aggregate", "A", "SELECT customer, count(*) FILTER (WHERE flag) AS flagged, "
                                     "sum(amount) FILTER (WHERE units > 2) AS amount FROM orders GROUP BY customer"),
    Shape("having_count", "A", "SELECT customer, count(*) AS n FROM orders GROUP BY customer HAVING count(*) > 2"),
    Shape("aggregate_expression", "A", "SELECT customer, sum(amount) / count(*) AS per_order, "
                                       "coalesce(max(units), 0) - coalesce(min(units), 0) AS range "
                                       "FROM orders GROUP BY customer"),
    Shape("grouped_join", "A", "SELECT c.region, count(*) AS n, sum(o.amount) AS amount, max(o.units) AS most "
                               "FROM orders o JOIN customers c ON c.id = o.customer GROUP BY c.region"),
    Shape("grouped_expression", "A", "SELECT date_trunc('month', day::timestamp) AS month, length(note) AS length, "
                                     "count(*) AS n FROM orders GROUP BY 1, 2"),
    # what fails unless what stands before it holds; whole rows; sets as keys
    Shape("protected_filter", "A", "SELECT customer, sum(100 / units) FILTER (WHERE units <> 0) AS parts FROM orders "
                                   "GROUP BY customer"),
    Shape("protected_case", "A", "SELECT id, CASE WHEN units <> 0 THEN 100 / units END AS part FROM orders"),
    Shape("protected_with", "A", "WITH o AS MATERIALIZED (SELECT id, units FROM orders WHERE units <> 0) "
                                 "SELECT id, 100 / units AS part FROM o WHERE 100 / units > 20"),
    Shape("whole_rows", "B", "SELECT c.id, to_jsonb(c) AS json, (SELECT count(*) FROM regions r WHERE r.name = c.region) AS n, "
                             "c::text AS text FROM customers c"),
    Shape("sets_as_keys", "A", "SELECT generate_series(1, units) AS n, count(*) AS rows FROM orders GROUP BY 1"),
    # parts: complex subqueries as hidden views
    Shape("distinct_rows", "A", "SELECT DISTINCT customer, flag FROM orders"),
    Shape("distinct_join", "A", "SELECT DISTINCT c.region, o.note FROM orders o JOIN customers c ON c.id = o.customer"),
    Shape("distinct_groups", "A", "SELECT DISTINCT n FROM (SELECT count(*) AS n FROM orders GROUP BY customer) c"),
    Shape("distinct_series", "A", "SELECT DISTINCT generate_series(1, units) AS n FROM orders"),
    Shape("set_union", "A", "SELECT customer FROM orders UNION SELECT id FROM customers UNION SELECT NULL"),
    Shape("set_union_mixed", "A", "(SELECT customer FROM orders UNION SELECT id FROM customers) UNION ALL "
                                  "SELECT units FROM items WHERE units > 10"),
    Shape("set_intersect", "A", "SELECT note FROM orders INTERSECT SELECT region FROM customers"),
    Shape("set_intersect_all", "A", "SELECT note FROM orders INTERSECT ALL SELECT region FROM customers"),
    Shape("set_except", "A", "SELECT customer FROM orders EXCEPT ALL SELECT id FROM customers"),
    Shape("set_except_distinct", "A", "SELECT id FROM customers EXCEPT SELECT customer FROM orders WHERE flag"),
    Shape("set_nested", "A", "SELECT n, count(*) AS rows FROM (SELECT units AS n FROM items EXCEPT "
                             "(SELECT units FROM orders INTERSECT SELECT id FROM customers)) s GROUP BY n"),
    Shape("grouped_twice", "A", "SELECT n, count(*) AS customers FROM (SELECT customer, count(*) AS n "
                                "FROM orders GROUP BY customer) c GROUP BY n"),
    Shape("grouped_filtered", "A", "SELECT customer, n * 2 AS twice FROM (SELECT customer, count(*) AS n, sum(units) AS u "
                                   "FROM orders GROUP BY customer) c WHERE u > 3"),
    Shape("groups_joined", "A", "SELECT c.id, o.n, i.most FROM customers c JOIN (SELECT customer, count(*) AS n "
                                "FROM orders GROUP BY customer) o ON o.customer = c.id JOIN (SELECT order_id, "
                                "max(units) AS most FROM items GROUP BY order_id) i ON i.order_id = c.id"),
    Shape("cte_twice", "A", "WITH t AS (SELECT customer, sum(units) AS units FROM orders GROUP BY customer) "
                            "SELECT a.customer, b.customer AS other FROM t a JOIN t b ON a.units = b.units "
                            "AND a.customer < b.customer"),
    Shape("cte_plain", "A", "WITH a AS (SELECT id, customer FROM orders WHERE flag), b AS (SELECT a.id, c.region FROM a "
                            "JOIN customers c ON c.id = a.customer) SELECT region, count(*) AS n FROM b GROUP BY region"),
    Shape("having_share", "A", "SELECT customer, sum(units) AS units FROM orders GROUP BY customer "
                               "HAVING sum(units) > (SELECT avg(units) FROM items)"),
    Shape("scalar_extreme", "A", "WITH t AS (SELECT customer, sum(units) AS units FROM orders GROUP BY customer) "
                                 "SELECT c.id, t.units FROM customers c JOIN t ON t.customer = c.id "
                                 "WHERE t.units = (SELECT max(units) FROM t)"),
    Shape("scalar_shown", "A", "SELECT id, units - (SELECT min(units) FROM orders) AS above FROM items WHERE units > 8"),
    Shape("in_groups", "A", "SELECT id, region FROM customers WHERE id IN (SELECT customer FROM orders "
                            "GROUP BY customer HAVING sum(units) > 5)"),
    Shape("in_union", "A", "SELECT id, note FROM orders WHERE customer IN (SELECT id FROM customers UNION "
                           "SELECT order_id FROM items)"),
    Shape("part_outer_joins", "B", "SELECT c.id, a.n, b.most FROM customers c LEFT JOIN (SELECT customer, count(*) AS n "
                                   "FROM orders WHERE flag GROUP BY customer) a ON a.customer = c.id LEFT JOIN "
                                   "(SELECT order_id, max(units) AS most FROM items GROUP BY order_id "
                                   "HAVING max(units) > 3) b ON b.order_id = c.id"),
    Shape("part_ranked", "B", "SELECT customer, count(*) AS n, rank() OVER (PARTITION BY customer % 3 ORDER BY count(*)) "
                              "AS place FROM orders GROUP BY customer"),
    Shape("part_numbered", "B", "SELECT customer, sum(units) AS n, row_number() OVER (PARTITION BY customer % 3 "
                                "ORDER BY sum(units), customer) AS place FROM orders GROUP BY customer"),
    Shape("part_array_ordered", "B", "SELECT n, array_agg(customer ORDER BY customer) AS customers FROM (SELECT customer, "
                                     "count(*) AS n FROM orders GROUP BY customer) c GROUP BY n"),
    Shape("part_not_exists", "B", "SELECT id FROM customers c WHERE NOT EXISTS (SELECT FROM (SELECT customer, count(*) AS n "
                                  "FROM orders GROUP BY customer) g WHERE g.customer = c.id AND g.n > 2)"),
    Shape("part_not_in", "B", "SELECT id, region FROM customers WHERE id NOT IN (SELECT customer FROM orders "
                              "WHERE units > 6 EXCEPT SELECT order_id FROM items)"),
    Shape("part_correlated", "B", "SELECT c.id, (SELECT count(*) FROM orders o WHERE o.customer = c.id AND o.units > "
                                  "(SELECT avg(units) FROM items)) AS n FROM customers c"),
    Shape("distinct_counted", "A", "SELECT count(*) AS n, count(DISTINCT customer) AS customers, sum(DISTINCT units) "
                                   "FILTER (WHERE flag) AS units, max(note) AS last FROM orders HAVING count(*) > 1"),
    Shape("part_running", "B", "SELECT customer, n, sum(n) OVER (ORDER BY customer) AS running FROM (SELECT customer, "
                               "count(*) AS n FROM orders GROUP BY customer) s"),
    Shape("top_indexed", "B", "SELECT customer, units FROM orders ORDER BY customer DESC, units LIMIT 5"),
    Shape("top_by_key", "B", "SELECT id, units FROM items ORDER BY id DESC LIMIT 5 OFFSET 1"),
    Shape("grouping_sets", "A", "SELECT customer, flag, count(*) AS n FROM orders GROUP BY ROLLUP (customer, flag)"),
    Shape("grouping_cube", "A", "SELECT day, flag, grouping(day, flag) AS g, sum(units) AS units, max(note) AS last "
                                "FROM orders GROUP BY CUBE (day, flag) HAVING count(*) > 1"),
    Shape("top", "B", "SELECT id, units, note FROM orders ORDER BY units DESC NULLS LAST, id, note LIMIT 10"),
    Shape("top_offset", "B", "SELECT id, units FROM items ORDER BY units, id LIMIT 7 OFFSET 3"),
    Shape("top_groups", "B", "SELECT customer, sum(units) AS units, count(*) AS n FROM orders GROUP BY customer "
                             "ORDER BY units DESC NULLS LAST, customer LIMIT 5"),
    Shape("top_ties", "B", "SELECT units FROM items ORDER BY units DESC FETCH FIRST 3 ROWS WITH TIES"),
    Shape("top_joined", "B", "SELECT c.region, t.units FROM (SELECT customer, units FROM orders WHERE units IS NOT NULL "
                             "ORDER BY units DESC, customer LIMIT 8) t JOIN customers c ON c.id = t.customer"),
    # everything else
    Shape("left_join", "B", "SELECT c.id, c.region, o.amount FROM customers c LEFT JOIN orders o ON o.customer = c.id"),
    Shape("full_join", "B", "SELECT c.id, r.manager FROM customers c FULL JOIN regions r ON r.name = c.region"),
    Shape("not_in", "B", "SELECT id, note FROM orders WHERE customer NOT IN "
                         "(SELECT id FROM customers WHERE id IS NOT NULL)"),
    Shape("where_exists", "B", "SELECT id, region FROM customers c WHERE EXISTS "
                         "(SELECT 1 FROM orders o WHERE o.customer = c.id AND o.flag)"),
    Shape("windowed", "B", "SELECT id, customer, rank() OVER (PARTITION BY customer ORDER BY units, id) AS place, "
                         "sum(units) OVER (PARTITION BY customer) AS units FROM orders"),
    Shape("count_distinct", "A", "SELECT customer, count(DISTINCT note) AS notes FROM orders GROUP BY customer"),
    Shape("distinct_of_several", "A", "SELECT flag, count(DISTINCT note) AS notes, count(*) AS n, sum(DISTINCT units) AS units, "
                                      "count(DISTINCT customer) FILTER (WHERE units > 2) AS buyers, max(id) AS latest "
                                      "FROM orders GROUP BY flag HAVING count(DISTINCT customer) > 1"),
    Shape("distinct_of_joined", "A", "SELECT i.id, i.units, count(DISTINCT o.note) AS notes, sum(o.units) AS sum "
                                     "FROM items i JOIN orders o ON o.id = i.order_id GROUP BY i.id"),
    Shape("distinct_of_outer", "B", "SELECT c.region, count(DISTINCT o.note) AS notes, count(*) AS n "
                                    "FROM customers c LEFT JOIN orders o ON o.customer = c.id GROUP BY c.region"),
    Shape("distinct_unshown", "A", "SELECT DISTINCT count(*) AS n FROM orders GROUP BY customer, flag"),
    Shape("ordered_array", "B", "SELECT customer, array_agg(id ORDER BY id) AS ids FROM orders GROUP BY customer"),
    # affected keys: rows of core versions
    Shape("left_chain", "B", "SELECT o.id, c.region, r.manager FROM orders o LEFT JOIN customers c ON c.id = o.customer "
                             "LEFT JOIN regions r ON r.name = c.region"),
    Shape("left_nested", "B", "SELECT c.id, o.id AS order_id, i.units FROM customers c LEFT JOIN (orders o LEFT JOIN "
                              "items i ON i.order_id = o.id AND i.units > 2) ON o.customer = c.id AND o.flag"),
    Shape("left_inner", "B", "SELECT c.id, o.id AS order_id, i.units FROM customers c LEFT JOIN (orders o JOIN "
                             "items i ON i.order_id = o.id) ON o.customer = c.id WHERE c.credit > 1"),
    Shape("right_join", "B", "SELECT c.id, c.region, o.id AS order_id FROM orders o RIGHT JOIN customers c "
                             "ON c.id = o.customer AND o.units > c.credit"),
    Shape("dangling", "B", "SELECT c.id, c.region FROM customers c LEFT JOIN orders o ON o.customer = c.id "
                           "WHERE o.customer IS NULL"),
    Shape("left_filtered", "B", "SELECT c.id, r.manager FROM customers c LEFT JOIN regions r ON r.name = c.region "
                                "WHERE coalesce(r.manager, 'none') <> 'a'"),
    Shape("left_theta", "B", "SELECT r.name, c.id FROM regions r LEFT JOIN customers c ON c.credit > 7 "
                             "AND c.region <> r.name"),
    Shape("left_reduced", "A", "SELECT o.id, c.region FROM orders o LEFT JOIN customers c ON c.id = o.customer "
                               "WHERE c.credit > 1"),
    Shape("not_exists", "B", "SELECT id, note FROM orders o WHERE NOT EXISTS (SELECT 1 FROM customers c "
                             "WHERE c.id = o.customer AND c.credit > 1)"),
    Shape("in_list", "B", "SELECT id, note FROM orders WHERE customer IN (SELECT id FROM customers "
                          "WHERE credit < 9)"),
    Shape("not_in_nulls", "B", "SELECT id, region FROM customers WHERE id NOT IN (SELECT customer FROM orders "
                               "WHERE units > 3)"),
    Shape("not_in_correlated", "B", "SELECT c.id, c.credit FROM customers c WHERE c.credit NOT IN "
                                    "(SELECT o.amount FROM orders o WHERE o.customer = c.id)"),
    Shape("in_or", "B", "SELECT id FROM customers WHERE id IN (SELECT order_id FROM items) OR region = 'a'"),
    Shape("in_grouped", "A", "SELECT id, region FROM customers WHERE id IN (SELECT customer FROM orders "
                             "GROUP BY customer HAVING sum(units) > 5)"),
    Shape("all_greater", "B", "SELECT id, units FROM items WHERE units >= ALL (SELECT units FROM orders WHERE flag)"),
    Shape("in_shown", "B", "SELECT id, region IN (SELECT name FROM regions) AS known FROM customers"),
    Shape("scalar", "B", "SELECT c.id, (SELECT count(*) FROM orders o WHERE o.customer = c.id) AS orders, "
                         "(SELECT max(o.units) FROM orders o WHERE o.customer = c.id) AS most FROM customers c"),
    Shape("scalar_alone", "A", "SELECT id, units FROM items WHERE units > (SELECT avg(units) FROM orders)"),
    Shape("arrays", "B", "SELECT c.id, ARRAY(SELECT o.id FROM orders o WHERE o.customer = c.id ORDER BY o.id) AS ids "
                         "FROM customers c"),
    Shape("nested_sublinks", "B", "SELECT r.name FROM regions r WHERE EXISTS (SELECT 1 FROM customers c "
                                  "WHERE c.region = r.name AND EXISTS (SELECT 1 FROM orders o "
                                  "WHERE o.customer = c.id AND NOT EXISTS (SELECT 1 FROM items i "
                                  "WHERE i.order_id = o.id)))"),
    Shape("exists_left", "B", "SELECT r.name FROM regions r WHERE EXISTS (SELECT 1 FROM customers c LEFT JOIN orders o "
                              "ON o.customer = c.id WHERE c.region = r.name AND o.id IS NULL)"),
    Shape("lateral_top", "B", "SELECT c.id, t.id AS order_id, t.units FROM customers c, LATERAL (SELECT o.id, o.units "
                              "FROM orders o WHERE o.customer = c.id ORDER BY o.units DESC NULLS LAST, o.id LIMIT 2) t"),
    Shape("lateral_left", "B", "SELECT c.id, t.n, t.total FROM customers c LEFT JOIN LATERAL (SELECT count(*) AS n, "
                               "sum(o.amount) AS total FROM orders o WHERE o.customer = c.id HAVING count(*) > 1) t "
                               "ON true"),
    Shape("lateral_beside", "C", "SELECT c.id, r.name, n FROM customers c LEFT JOIN regions r ON r.name = c.region, "
                                 "LATERAL generate_series(1, coalesce(length(r.name), 1)) n"),
    Shape("lateral_beside_true", "B", "SELECT c.id, s.customer, l.x FROM customers c JOIN LATERAL (SELECT c.id AS x) l "
                                      "ON true JOIN LATERAL (SELECT max(o.customer) AS customer FROM orders o "
                                      "WHERE o.id = c.id) s ON true"),
    Shape("srf_target", "B", "SELECT c.id, generate_series(1, c.id % 4) AS n FROM customers c WHERE EXISTS "
                             "(SELECT 1 FROM orders o WHERE o.customer = c.id)"),
    Shape("left_subquery", "B", "SELECT c.id, s.note FROM customers c LEFT JOIN (SELECT o.customer, o.note FROM orders o "
                                "JOIN items i ON i.order_id = o.id) s ON s.customer = c.id"),
    Shape("left_union", "B", "SELECT id, note FROM orders WHERE flag UNION ALL SELECT c.id, r.manager FROM customers c "
                             "LEFT JOIN regions r ON r.name = c.region"),
    Shape("self_left", "B", "SELECT a.id, b.id AS other FROM customers a LEFT JOIN customers b ON a.region = b.region "
                            "AND a.id < b.id"),
    Shape("whole_row", "B", "SELECT o.id, to_jsonb(c) AS customer FROM orders o JOIN customers c ON c.id = o.customer"),
    Shape("full_chain", "B", "SELECT c.id, o.id AS order_id, i.units FROM customers c FULL JOIN orders o "
                             "ON o.customer = c.id FULL JOIN items i ON i.order_id = o.id WHERE coalesce(c.id, 3) < 9"),
    Shape("full_using", "B", "SELECT id, a.credit, b.units, r.manager FROM customers a FULL JOIN orders b USING (id) "
                             "JOIN regions r ON r.name = coalesce(a.region, 'a')"),
    Shape("full_grouped", "B", "SELECT c.region, count(*) AS n, sum(o.units) AS units FROM customers c FULL JOIN orders o "
                               "ON o.customer = c.id AND o.flag GROUP BY c.region"),
    Shape("exists_full", "B", "SELECT r.name FROM regions r WHERE EXISTS (SELECT 1 FROM customers c FULL JOIN orders o "
                              "ON o.customer = c.id WHERE c.region = r.name OR o.note = r.name)"),
    # groups over them
    Shape("grouped_left", "B", "SELECT c.region, count(*) AS n, count(o.id) AS orders, sum(o.amount) AS total "
                               "FROM customers c LEFT JOIN orders o ON o.customer = c.id GROUP BY c.region"),
    Shape("grouped_exists", "B", "SELECT customer, count(*) AS n, max(units) AS most FROM orders o WHERE EXISTS "
                                 "(SELECT 1 FROM items i WHERE i.order_id = o.id) GROUP BY customer"),
    Shape("arrays_left", "B", "SELECT c.region, array_agg(o.id ORDER BY o.id) AS ids, count(DISTINCT o.note) AS notes "
                              "FROM customers c LEFT JOIN orders o ON o.customer = c.id GROUP BY c.region"),
    # groups and partitions computed anew
    Shape("middle", "B", "SELECT customer, percentile_disc(0.5) WITHIN GROUP (ORDER BY units) AS middle, "
                         "mode() WITHIN GROUP (ORDER BY units) AS mode FROM orders GROUP BY customer"),
    Shape("distinct_sum", "B", "SELECT flag, day, sum(DISTINCT units) AS units, "
                               "string_agg(DISTINCT note, ',') AS notes FROM orders GROUP BY flag, day "
                               "HAVING count(DISTINCT id) > 1"),
    Shape("numbered", "B", "SELECT id, customer, dense_rank() OVER (PARTITION BY customer ORDER BY units, id) AS place, "
                           "count(*) OVER (PARTITION BY customer, flag) AS n FROM orders"),
    Shape("top_each", "B", "SELECT * FROM (SELECT id, customer, units, rank() OVER (PARTITION BY customer "
                           "ORDER BY units DESC NULLS LAST, id) AS place FROM orders) s WHERE place <= 2"),
    Shape("distinct_on", "B", "SELECT DISTINCT ON (customer) customer, id, units FROM orders "
                              "ORDER BY customer, id DESC, units"),
    # the order of rows decides: their versions do, and freshet.verify says the same
    Shape("floats_joined", "B", "SELECT c.region, round(sum(o.price)::numeric, 3) AS total FROM orders o JOIN customers c "
                                "ON c.id = o.customer WHERE o.price BETWEEN -10 AND 10 GROUP BY c.region"),
    Shape("arrays_plain", "B", "SELECT customer, array_agg(id) AS ids, string_agg(note, ',') AS notes FROM orders "
                               "GROUP BY customer"),
    Shape("windowed_left", "B", "SELECT c.region, o.id, sum(o.units) OVER (PARTITION BY c.region) AS units "
                                "FROM customers c LEFT JOIN orders o ON o.customer = c.id"),
    # recursions: parts of their own
    Shape("recursive", "B", "WITH RECURSIVE chain(id, depth) AS (SELECT id, 0 FROM customers WHERE id < 3 "
                            "UNION SELECT c.id, depth + 1 FROM chain JOIN customers c ON c.id = chain.id + 1 "
                            "WHERE depth < 5) SELECT id, depth FROM chain"),
    Shape("recursive_all", "A", "WITH RECURSIVE chain(id, depth, path) AS (SELECT customer, 0, note FROM orders WHERE id < 20 "
                                "UNION ALL SELECT o.customer, depth + 1, path || o.note FROM orders o JOIN chain ON o.id = chain.id "
                                "WHERE depth < 3) SELECT id, depth, left(path, 20) AS path FROM chain"),
    Shape("recursive_two_tables", "A", "WITH RECURSIVE walk(id, units, depth) AS (SELECT id, units::bigint, 1 FROM orders WHERE flag "
                                       "UNION ALL SELECT o.id, w.units + i.units, depth + 1 FROM walk w JOIN items i ON i.order_id = w.id, "
                                       "orders o JOIN customers c ON c.id = o.customer WHERE o.id = i.units AND depth < 3) "
                                       "SELECT depth, count(*) AS n, sum(units) AS units FROM walk GROUP BY depth"),
    Shape("recursive_nulls", "B", "WITH RECURSIVE reach(a, b) AS (SELECT customer, units FROM orders "
                                  "UNION SELECT r.a, o.units FROM reach r JOIN orders o ON o.customer = r.b) SELECT a, b FROM reach"),
    Shape("recursive_over_groups", "B", "WITH RECURSIVE n AS (SELECT customer, count(*) AS n FROM orders GROUP BY customer), "
                                        "up(id, n) AS (SELECT customer, n FROM n WHERE n > 1 UNION ALL SELECT up.id + 1, n.n FROM up "
                                        "JOIN n ON n.customer = up.id + 1 WHERE up.id < 10) "
                                        "SELECT c.region, u.id, u.n FROM customers c LEFT JOIN up u ON u.id = c.id"),
    Shape("recursive_two", "A", "WITH RECURSIVE a(id, k) AS (SELECT id, 0 FROM customers UNION ALL SELECT id, k + 1 FROM a WHERE k < 2), "
                                "b(id, k) AS (SELECT id, k FROM a WHERE id < 5 UNION ALL SELECT c.id, b.k FROM b JOIN customers c "
                                "ON c.id = b.id + 7 WHERE c.region IS NOT NULL) SELECT a.id, a.k, b.k AS other FROM a JOIN b ON b.id = a.id"),
    # its depth has a bound: all paths without a cycle can take minutes to find
    Shape("recursive_cycle", "C", "WITH RECURSIVE walk(id, depth) AS (SELECT id, 0 FROM customers UNION ALL SELECT o.customer, "
                                  "depth + 1 FROM walk JOIN orders o ON o.id = walk.id WHERE depth < 4) "
                                  "CYCLE id SET again USING path SELECT id, depth, again FROM walk"),
    Shape("recursive_images", "C", "WITH RECURSIVE up(credit, depth) AS (SELECT credit, 0 FROM customers UNION SELECT o.amount, depth + 1 "
                                   "FROM up JOIN orders o ON o.units = up.credit WHERE depth < 3) SELECT credit = 1 AS one, depth FROM up"),
]


def creation_order(shapes: list[Shape]) -> list[Shape]:
    """Views over other views after them."""
    return sorted(shapes, key=lambda shape: shape.name.startswith("over_"))
