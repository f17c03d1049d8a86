-- Seed 1023716267502: wrong: v0: its query can be asked, but the view has an error: ORDER/GROUP BY expression not found in targetlist (at statement 5)
-- /* n */ says which session a statement belongs to.
CREATE EXTENSION IF NOT EXISTS freshet;
/* 0 */ CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
/* 0 */ CREATE TABLE t1 (c0 int, c1 float8, c2 bigint, c3 int, c4 numeric, c5 int[], spare int);
/* 0 */ CREATE TABLE t2 (c0 int, c1 bigint, c2 float8, c3 text COLLATE ci, spare int);
/* 0 */ CREATE VIEW plain AS SELECT DISTINCT ON ((t2.c1 + 0.0)) t2.c5 AS c0, t1.c1 AS c1, t1.c3 AS c2 FROM t2 t1 JOIN t1 t2 ON (t1.c0 = t2.c0) ORDER BY (t2.c1 + 0.0), (t1.c0)::text COLLATE "C" DESC, (t1.c1)::text COLLATE "C" DESC, (t1.c2)::text COLLATE "C" DESC, (t1.c3)::text COLLATE "C" DESC, (t2.c0)::text COLLATE "C" DESC, (t2.c1)::text COLLATE "C" DESC, (t2.c2)::text COLLATE "C" DESC, (t2.c3)::text COLLATE "C" DESC, (t2.c4)::text COLLATE "C" DESC, (t2.c5)::text COLLATE "C" DESC;
/* 0 */ CREATE MATERIALIZED VIEW v0 AS SELECT (SELECT min((t4.c1 + 0.0)) AS a0 FROM t1 t4) AS c0 FROM plain t3;
-- check
SELECT count(*) AS v0 FROM v0; SELECT freshet.verify('v0'); -- must be 0
