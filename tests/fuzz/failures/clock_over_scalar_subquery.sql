-- Seed 124550163218: wrong: v1: its query can be asked, but the view has an error: replace_rte_variables inserted a SubLink, but has noplace to record it (at statement 4)
-- /* n */ says which session a statement belongs to.
CREATE EXTENSION IF NOT EXISTS freshet;
/* 0 */ CREATE TABLE t0 (c0 int, c1 numeric, spare int);
/* 0 */ CREATE TABLE t1 (id int PRIMARY KEY, c0 int, c1 float8, c2 float8, c3 date, c4 date, spare int);
/* 0 */ CREATE TABLE t2 (id int PRIMARY KEY, c0 int, c1 float8, spare int);
/* 0 */ CREATE MATERIALIZED VIEW v1 AS WITH cte11 AS MATERIALIZED (SELECT (SELECT t10.c4 AS c0 FROM t1 t10) AS c0) SELECT FROM cte11 t12 CROSS JOIN LATERAL (SELECT FROM cte11 t14 WHERE (extract(epoch FROM t14.c0) > extract(epoch FROM now())) ORDER BY (t14.c0)::text COLLATE "C" LIMIT 2) l13;
-- check
SELECT count(*) AS v1 FROM v1; SELECT freshet.verify('v1'); -- must be 0
