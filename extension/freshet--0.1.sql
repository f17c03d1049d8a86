/* Materialized views that are always fresh: freshet's schema, version 0.1 */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION freshet" to load this file. \quit

CREATE SCHEMA freshet;

-- Fails with a clear error when the library was not preloaded.
CREATE FUNCTION freshet.start_worker() RETURNS void
AS 'MODULE_PATHNAME', 'freshet_start_worker'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION freshet.start_worker() IS
'starts this database''s worker at commit, if it is not running';

-- The oid of a view, shown as its name: so that pg_dump can save freshet.view.
CREATE TYPE freshet.view_name;
CREATE FUNCTION freshet.view_name_in(cstring) RETURNS freshet.view_name
AS 'MODULE_PATHNAME', 'freshet_view_name_in'
LANGUAGE C STRICT STABLE;
CREATE FUNCTION freshet.view_name_out(freshet.view_name) RETURNS cstring
AS 'MODULE_PATHNAME', 'freshet_view_name_out'
LANGUAGE C STRICT STABLE;
CREATE TYPE freshet.view_name (
	INPUT = freshet.view_name_in, OUTPUT = freshet.view_name_out, LIKE = pg_catalog.oid);
CREATE CAST (freshet.view_name AS oid) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (freshet.view_name AS regclass) WITHOUT FUNCTION AS ASSIGNMENT;

-- Which materialized views are kept fresh. Written by the library alone; a row
-- lives and dies with its view. A row is written only under a lock on the view
-- that conflicts with ROW EXCLUSIVE, or, by the worker, under ROW EXCLUSIVE.
CREATE TABLE freshet.view (
	view freshet.view_name PRIMARY KEY,
	maintain boolean NOT NULL,
	settings text[] NOT NULL,
	adopted boolean NOT NULL,
	strategy text,
	reason text,
	fingerprint int8 NOT NULL DEFAULT 0
);
CREATE FUNCTION freshet.view_restored() RETURNS trigger
AS 'MODULE_PATHNAME', 'freshet_view_restored'
LANGUAGE C;
CREATE TRIGGER restored BEFORE INSERT ON freshet.view
FOR EACH ROW EXECUTE FUNCTION freshet.view_restored();
SELECT pg_catalog.pg_extension_config_dump('freshet.view', '');

-- Why a view is behind: a text that may quote data, which who may dump freshet.view need not see.
CREATE TABLE freshet.view_error (
	view oid PRIMARY KEY,
	sqlstate text NOT NULL,
	error text NOT NULL
);

-- The last committed cut: one row, rewritten by every cycle of the worker.
CREATE TABLE freshet.cut (
	db oid NOT NULL,
	number int8 NOT NULL,
	snapshot bytea NOT NULL,
	lsn pg_lsn NOT NULL,
	restart_lsn pg_lsn NOT NULL,
	at_ms int8 NOT NULL,
	behind oid[] NOT NULL,
	unsettled oid[] NOT NULL
) WITH (fillfactor = 25, autovacuum_vacuum_threshold = 1000);

-- Keep a matview fresh from now on; let it be a plain one again.
CREATE FUNCTION freshet.adopt(view regclass) RETURNS void
AS 'MODULE_PATHNAME', 'freshet_adopt'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION freshet.adopt(regclass) IS
'keeps a materialized view always fresh; for its owner';

CREATE FUNCTION freshet.release(view regclass) RETURNS void
AS 'MODULE_PATHNAME', 'freshet_release'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION freshet.release(regclass) IS
'makes a maintained view a plain materialized view again; for its owner';

CREATE FUNCTION freshet.wait_fresh() RETURNS pg_lsn
AS 'MODULE_PATHNAME', 'freshet_wait_fresh'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION freshet.wait_fresh() IS
'waits until every view shows what was committed before; returns the frontier';

CREATE FUNCTION freshet.view_state(
	OUT view oid, OUT frontier pg_lsn, OUT frontier_time timestamptz, OUT lag interval,
	OUT rows_in bigint, OUT rows_out bigint, OUT cycles bigint, OUT last_cycle interval)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'freshet_view_state'
LANGUAGE C VOLATILE ROWS 20;
COMMENT ON FUNCTION freshet.view_state() IS 'what the worker says of each view; see freshet.views';

-- One row per matview. An error text may quote data, so only the owner sees it; who may
-- not read the view does not learn what it is made of.
CREATE VIEW freshet.views AS
SELECT c.oid::regclass AS view,
	coalesce(v.maintain, false) AS maintained,
	v.strategy,
	CASE WHEN v.view IS NULL THEN 'not adopted; see freshet.adopt'
		WHEN has_table_privilege(c.oid, 'SELECT') OR pg_has_role(c.relowner, 'USAGE') THEN v.reason END AS reason,
	s.frontier,
	s.frontier_time,
	s.lag,
	s.rows_in,
	s.rows_out,
	s.cycles,
	s.last_cycle,
	CASE WHEN pg_has_role(c.relowner, 'USAGE') THEN e.error END AS error,
	e.sqlstate
FROM pg_class c
	LEFT JOIN freshet.view v ON v.view = c.oid
	LEFT JOIN freshet.view_error e ON e.view = c.oid
	LEFT JOIN freshet.view_state() s ON s.view = c.oid
WHERE c.relkind = 'm';
COMMENT ON VIEW freshet.views IS
'the materialized views of this database: whether, how and how far they are kept fresh';

GRANT USAGE ON SCHEMA freshet TO PUBLIC;
GRANT SELECT ON freshet.views TO PUBLIC;
-- Who owns a database can dump and restore it; see view_restored for the rest.
GRANT SELECT, INSERT ON freshet.view TO pg_database_owner;
REVOKE EXECUTE ON FUNCTION freshet.start_worker(), freshet.view_restored(),
	freshet.view_name_in(cstring), freshet.view_name_out(freshet.view_name) FROM PUBLIC;

-- The anti-filter of the delta queries; true outside of the worker.
CREATE FUNCTION freshet.unchanged_support(internal) RETURNS internal
AS 'MODULE_PATHNAME', 'freshet_unchanged_support'
LANGUAGE C STRICT;
CREATE FUNCTION freshet.unchanged(sign int4, relation oid, version tid) RETURNS boolean
AS 'MODULE_PATHNAME', 'freshet_unchanged'
LANGUAGE C STRICT STABLE
SUPPORT freshet.unchanged_support;
REVOKE EXECUTE ON FUNCTION freshet.unchanged_support(internal) FROM PUBLIC;

-- Looking at it

CREATE FUNCTION freshet.verify(view regclass) RETURNS bigint
AS 'MODULE_PATHNAME', 'freshet_verify'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION freshet.verify(regclass) IS
'number of rows, by image, in which a materialized view differs from its query at the cut it shows; 0 is exact';

CREATE FUNCTION freshet.explain(view regclass) RETURNS SETOF text
AS 'MODULE_PATHNAME', 'freshet_explain'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 20;
COMMENT ON FUNCTION freshet.explain(regclass) IS
'how a materialized view is kept fresh: strategy, delta queries, indexes used and missing';

-- Indexes that delta queries lacked and that were made, or could not be.
CREATE TABLE freshet.made_index (
	relation oid,
	name name,
	made_at timestamptz,
	error text,
	failures int NOT NULL DEFAULT 0,
	retry_at timestamptz,
	PRIMARY KEY (relation, name)
);
CREATE VIEW freshet.made_indexes AS
SELECT m.relation::regclass AS relation,
	m.name,
	coalesce(i.indisvalid, false) AS valid,
	m.made_at,
	CASE WHEN pg_has_role(t.relowner, 'USAGE') THEN m.error END AS error,
	m.retry_at
FROM freshet.made_index m
	JOIN pg_class t ON t.oid = m.relation
	LEFT JOIN pg_class c ON c.relname = m.name AND c.relnamespace = t.relnamespace
	LEFT JOIN pg_index i ON i.indexrelid = c.oid AND i.indrelid = m.relation;
COMMENT ON VIEW freshet.made_indexes IS
'the indexes that freshet.auto_index made or tried to make; one that is not valid is not there or not finished';
GRANT SELECT ON freshet.made_indexes TO PUBLIC;

-- Subscriptions: see docs/subscribe.md

CREATE FUNCTION freshet.subscribe(name text, target text, snapshot boolean DEFAULT true,
	as_of numeric DEFAULT NULL, up_to numeric DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'freshet_subscribe'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION freshet.subscribe(text, text, boolean, numeric, numeric) IS
'subscribes this session to the changes of a relation or (SELECT ...); returns its columns as a column definition list';

CREATE PROCEDURE freshet.wait(name text, timeout_ms integer,
	OUT pending boolean, OUT frontier numeric, OUT finished boolean)
AS 'MODULE_PATHNAME', 'freshet_wait'
LANGUAGE C;
COMMENT ON PROCEDURE freshet.wait(text, integer, boolean, numeric, boolean) IS
'sleeps without a snapshot until a subscription has rows to read';

CREATE FUNCTION freshet.changes(name text) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'freshet_changes'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION freshet.changes(text) IS
'what a subscription has not given out yet: (mz_timestamp numeric, mz_diff bigint, columns)';

CREATE FUNCTION freshet.unsubscribe(name text) RETURNS void
AS 'MODULE_PATHNAME', 'freshet_unsubscribe'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION freshet.unsubscribe(text) IS 'ends a subscription';

CREATE FUNCTION freshet.subscription_frontier(name text) RETURNS numeric
AS 'MODULE_PATHNAME', 'freshet_subscription_frontier'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION freshet.subscription_frontier(text) IS
'no later row of the subscription has an earlier mz_timestamp';

-- What a cursor of PostgreSQL's asks that stands for a subscription
CREATE FUNCTION freshet.read_by_fetch_alone() RETURNS boolean
AS 'MODULE_PATHNAME', 'freshet_read_by_fetch_alone'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION freshet.read_by_fetch_alone() IS
'an error: a cursor over SUBSCRIBE was read by something else than FETCH';

-- One reading for several subscriptions to the same relation
CREATE FUNCTION freshet.subscription_sharing(name text) RETURNS text
AS 'MODULE_PATHNAME', 'freshet_subscription_sharing'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION freshet.subscription_sharing(text) IS
'the same for subscriptions whose changes are the same; NULL: this one is read for itself';

CREATE FUNCTION freshet.subscription_position(name text) RETURNS bytea
AS 'MODULE_PATHNAME', 'freshet_subscription_position'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION freshet.subscription_position(text) IS
'up to where changes were given out, sealed for other subscriptions to the same relation';

CREATE FUNCTION freshet.subscription_advance(name text, "position" bytea) RETURNS void
AS 'MODULE_PATHNAME', 'freshet_subscription_advance'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION freshet.subscription_advance(text, bytea) IS
'goes to a position without giving out the changes up to it';

CREATE FUNCTION freshet.subscription_read_to(name text, "position" bytea) RETURNS boolean
AS 'MODULE_PATHNAME', 'freshet_subscription_read_to'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION freshet.subscription_read_to(text, bytea) IS
'lets the next reading of changes end at a position; false if that is past';

SELECT freshet.start_worker();
