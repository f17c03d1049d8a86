-- Seed 70029: wrong: v2: its query can be asked, but the view has an error: could not open relation with OID 0 (at statement 4)
-- /* n */ says which session a statement belongs to.
CREATE EXTENSION IF NOT EXISTS freshet;
/* 0 */ CREATE TABLE t1 (c0 int, c1 bigint, c2 interval, c3 timestamptz, spare int);
/* 0 */ CREATE TABLE t2 (id int PRIMARY KEY, c0 int, c1 interval, spare int);
/* 0 */ CREATE VIEW plain AS SELECT t1.c2 AS c0, coalesce(t1.c0, 0) AS c1, t1.c3 AS c2 FROM t1 t1 ORDER BY t1.c2, (t1.c2)::text COLLATE "C", (coalesce(t1.c0, 0))::text COLLATE "C", (t1.c3)::text COLLATE "C" LIMIT 3;
/* 0 */ CREATE MATERIALIZED VIEW v2 AS SELECT FROM t2 t6 JOIN plain t7 ON true GROUP BY t6.c1;
-- check
SELECT count(*) AS v2 FROM v2; SELECT freshet.verify('v2'); -- must be 0
