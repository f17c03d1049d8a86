-- A collation that is not in pg_catalog, in a view whose query is kept as text somewhere.
CREATE EXTENSION IF NOT EXISTS freshet;
/* 0 */ CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
/* 0 */ CREATE TABLE t0 (c0 int, c1 date, c2 numeric, c3 float8, c4 text COLLATE ci, c5 jsonb, c6 point, spare int) PARTITION BY LIST (c0);
/* 0 */ CREATE TABLE t0_low (c6 point, c4 text COLLATE ci, c1 date, c3 float8, c2 numeric, c5 jsonb, c0 int, spare int);
/* 0 */ ALTER TABLE t0 ATTACH PARTITION t0_low FOR VALUES IN (-2, -1, 0, 1, 2);
/* 0 */ CREATE MATERIALIZED VIEW v1 AS SELECT FROM t0 t4 ORDER BY coalesce(t4.c4, ('' COLLATE ci)) DESC, (coalesce(t4.c4, ('' COLLATE ci)))::text COLLATE "C", (t4.c1)::text COLLATE "C", (t4.c3)::text COLLATE "C" LIMIT 5;
-- check
SELECT count(*) AS v1 FROM v1; SELECT freshet.verify('v1'); -- must be 0
