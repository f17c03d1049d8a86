-- A function of the view's query is redefined.
CREATE EXTENSION IF NOT EXISTS freshet;
/* 0 */ CREATE FUNCTION bucket(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 % 3; END';
/* 0 */ CREATE TABLE t1 (c0 int);
/* 0 */ CREATE MATERIALIZED VIEW v0 AS SELECT bucket(c0) FROM t1;
/* 0 */ INSERT INTO t1 VALUES (4);
-- check
SELECT count(*) AS v0 FROM v0; SELECT freshet.verify('v0'); -- must be 0
/* 0 */ CREATE OR REPLACE FUNCTION bucket(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 % 5; END';
-- check
SELECT count(*) AS v0 FROM v0; SELECT freshet.verify('v0'); -- must be 0
