-- Seed 70000: a join ON true beside a changed table crashed the worker
CREATE EXTENSION IF NOT EXISTS freshet;
/* 0 */ CREATE TABLE t0 (id int PRIMARY KEY, c0 int, c1 int, c2 bigint, c3 float8, c4 date, spare int, made int GENERATED ALWAYS AS (c1) STORED);
/* 0 */ CREATE TABLE t1 (c0 int, c1 bigint, c2 float8, spare int);
/* 0 */ CREATE TABLE t2 (id int PRIMARY KEY, c0 int, c1 int, c2 float8, c3 json, spare int, made int GENERATED ALWAYS AS (c1) STORED);
/* 0 */ CREATE VIEW plain AS SELECT DISTINCT ON ((t1.c2 + 0.0), t1.c1) t1.c2 AS c0, t1.c1 AS c1, t1.c0 AS c2 FROM t1 t1 ORDER BY (t1.c2 + 0.0), t1.c1, (t1.c0)::text COLLATE "C", (t1.c1)::text COLLATE "C", (t1.c2)::text COLLATE "C";
/* 0 */ CREATE MATERIALIZED VIEW v1 AS SELECT CASE WHEN t5.c2 = coalesce(t5.c2, 0.25::float8) THEN t5.c1 END AS c0, t5.c1 AS c1 FROM t1 t5;
/* 0 */ CREATE MATERIALIZED VIEW v3 AS SELECT t8.c2 AS c0, coalesce(t6.c1, 1::bigint) AS c1 FROM plain t6 JOIN t1 t8 ON true;
/* 0 */ CREATE MATERIALIZED VIEW v6 AS SELECT FROM v1 t19 JOIN LATERAL (SELECT ) l20 ON true JOIN (SELECT count(DISTINCT t22.c1) AS a0 FROM t1 t22) t24 ON true;
-- check
