-- Seed 1023716269023: wrong: v8: its query can be asked, but the view has an error: cannot handle unplanned sub-select (at statement 7)
-- /* n */ says which session a statement belongs to.
CREATE EXTENSION IF NOT EXISTS freshet;
/* 0 */ CREATE FUNCTION bucket(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 % 3; END';
/* 0 */ CREATE TABLE t0 (id int PRIMARY KEY, c0 int, c1 date, c2 int4range, c3 numeric, c4 int4range, spare int, made date GENERATED ALWAYS AS (c1) STORED);
/* 0 */ CREATE TABLE t1 (id int PRIMARY KEY, c0 int, c1 date, c2 int[], spare int);
/* 0 */ CREATE MATERIALIZED VIEW v1 AS SELECT avg(t4.c3) AS a0, count(*) FILTER (WHERE (t5.c0 IS NULL) OR (t4.c0 <> t5.id)) AS a1, max(round(t4.c3, 3)) AS a2, t4.c1 AS k0, t4.c0 AS k1 FROM t0 t4 JOIN t0 t5 ON true GROUP BY t4.c1, t4.c0;
/* 0 */ CREATE MATERIALIZED VIEW v3 AS SELECT string_agg(((t14.k1)::text COLLATE "default"), ',' ORDER BY (t14.k1)::text COLLATE "C") AS a0, t10.k0 AS k0 FROM (SELECT t8.id AS k0 FROM t0 t8) t10 JOIN (SELECT count(DISTINCT t11.k0) AS a0, count(t11.a2) AS a1 FROM v1 t11) t13 ON true JOIN v1 t14 ON (t14.a0 <= (- t14.a0)) GROUP BY t10.k0, t13.a1;
/* 0 */ CREATE MATERIALIZED VIEW v7 AS SELECT t30.made AS c0 FROM (SELECT t25.c0 AS c0, t24.c0 AS c1, t24.c1 AS c2, NOT EXISTS (SELECT 1 AS one FROM v3 t28 WHERE (t28.k0 < t25.id)) AS c3, t24.id AS c4 FROM t1 t24 JOIN t1 t25 ON (t24.id = t25.id) AND (t25.c1 IS DISTINCT FROM '2026-01-31'::date) WHERE ((extract(epoch FROM t25.c1) > extract(epoch FROM now())) AND ((t24.id IS NULL) OR (t25.c1 <> (t25.c1 + 1)))) AND ((SELECT count(t26.k0) AS a0 FROM v3 t26) IS NOT NULL)) t29 LEFT JOIN t0 t30 ON (t29.c4 = t30.c0) WHERE (t29.c1 IN (SELECT t31.k1 AS c0 FROM v1 t31 WHERE (t31.k1 <> t29.c4)));
/* 0 */ CREATE MATERIALIZED VIEW v8 AS SELECT dense_rank() OVER (PARTITION BY t35.k0 ORDER BY t35.a0) AS w0, dense_rank() OVER (PARTITION BY t35.k0 ORDER BY t35.a0) AS w1 FROM (SELECT max(t32.c0) AS a0, date_trunc('month', max(t32.c0)) = date_trunc('month', now()) AS m FROM v7 t32) t33 FULL JOIN v7 t34 ON (t33.a0 = t34.c0) LEFT JOIN v3 t35 ON ((t33.a0 < now() + interval '1000 days') OR (t35.a0 LIKE '%s%')) WHERE (t35.k0 IN (bucket(t35.k0), 6::int));
-- check
SELECT count(*) AS v1 FROM v1; SELECT freshet.verify('v1'); -- must be 0
SELECT count(*) AS v3 FROM v3; SELECT freshet.verify('v3'); -- must be 0
SELECT count(*) AS v7 FROM v7; SELECT freshet.verify('v7'); -- must be 0
SELECT count(*) AS v8 FROM v8; SELECT freshet.verify('v8'); -- must be 0
