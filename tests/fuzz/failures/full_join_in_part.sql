-- A full join below a window, in a part, was computed anew by the key of another table.
CREATE EXTENSION IF NOT EXISTS freshet;
/* 0 */ CREATE TABLE t0 (c0 int, c1 int);
/* 0 */ CREATE TABLE t1 (c0 int);
/* 0 */ CREATE MATERIALIZED VIEW v1 AS SELECT c0, n FROM (SELECT row_number() OVER (PARTITION BY b.c0 ORDER BY t.c0, a.c0, b.c1) AS n, b.c0 FROM t0 a JOIN t1 t ON true FULL JOIN t0 b ON true) q WHERE n <= 3;
/* 0 */ INSERT INTO t0 VALUES (8);
-- check
SELECT count(*) AS v1 FROM v1; SELECT freshet.verify('v1'); -- must be 0
