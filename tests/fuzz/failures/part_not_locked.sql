-- Seed 8000006: server: -: None consuming input failed: server closed the connection unexpectedly This probably means the server terminated abnormally before or while processing the request. TRAP: FailedAssertion("lockmode != NoLock || IsBootstrapProcessingMode() || CheckRelationLockedByMe(r, AccessShareLock, true)", File: "relation.c", Line: 68, PID: 5776) (at statement 5)
-- /* n */ says which session a statement belongs to.
CREATE EXTENSION IF NOT EXISTS freshet;
/* 0 */ CREATE TABLE t0 (c0 int, c1 int, c2 bigint, c3 numeric, c4 text, c5 interval, spare int);
/* 0 */ INSERT INTO t0 (c0, c1, c2, c3, c4, c5) VALUES (3::int, 0::int, 3::bigint, 0::numeric, ''::text, '1 month'::interval);
/* 0 */ CREATE TABLE t2 (c0 int, c1 bigint, spare int);
/* 0 */ CREATE MATERIALIZED VIEW v0 AS SELECT FROM (SELECT DISTINCT t4.c1 AS c0 FROM t2 t4) t6 JOIN t0 t7 ON true;
-- check
SELECT count(*) AS v0 FROM v0; SELECT freshet.verify('v0'); -- must be 0
/* 0 */ DELETE FROM t0;
