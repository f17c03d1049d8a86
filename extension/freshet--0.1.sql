/* Materialized views that are always fresh: freshet's schema, version 0.1 */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION freshet" to load this file. \quit

-- Fails with a clear error when the library was not preloaded.
CREATE FUNCTION freshet.start_worker() RETURNS void
AS 'MODULE_PATHNAME', 'freshet_start_worker'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION freshet.start_worker() IS
'starts this database''s worker at commit, if it is not running';

-- Which materialized views are kept fresh. Written by the library alone; a row
-- lives and dies with its view. A row is written only under a lock on the view
-- that conflicts with ROW EXCLUSIVE, or, by the worker, under ROW EXCLUSIVE.
CREATE TABLE freshet.view (
	view oid PRIMARY KEY,
	maintain boolean NOT NULL,
	settings text[] NOT NULL,
	adopted boolean NOT NULL,
	strategy text,
	reason text,
	error text,
	sqlstate text,
	retry_at timestamptz
);

-- The last committed cut: one row, rewritten by every cycle of the worker.
CREATE TABLE freshet.cut (
	db oid NOT NULL,
	number int8 NOT NULL,
	snapshot bytea NOT NULL,
	lsn pg_lsn NOT NULL,
	restart_lsn pg_lsn NOT NULL,
	at_ms int8 NOT NULL
) WITH (fillfactor = 25, autovacuum_vacuum_threshold = 1000);

GRANT USAGE ON SCHEMA freshet TO PUBLIC;

SELECT freshet.start_worker();
