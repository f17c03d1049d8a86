--
-- What a role without rights can do: nothing of ours lends it any
--
CREATE EXTENSION freshet;
CREATE ROLE regress_eve;
CREATE ROLE regress_alice;
CREATE SCHEMA eve AUTHORIZATION regress_eve;
CREATE SCHEMA alice AUTHORIZATION regress_alice;

-- the trigger of freshet.view is that of no other table, however it looks
GRANT EXECUTE ON FUNCTION freshet.view_restored() TO regress_eve;
SET SESSION AUTHORIZATION regress_eve;
CREATE TABLE eve.row (view oid, maintain bool, settings text[]);
CREATE TRIGGER restored BEFORE INSERT ON eve.row
FOR EACH ROW EXECUTE FUNCTION freshet.view_restored();
INSERT INTO eve.row VALUES (1, true, '{}');
CREATE TABLE eve.number (view oid, maintain bool, settings int8);
CREATE TRIGGER restored BEFORE INSERT ON eve.number
FOR EACH ROW EXECUTE FUNCTION freshet.view_restored();
INSERT INTO eve.number VALUES (1, true, 3735928559);
CREATE TRIGGER restored_after AFTER UPDATE OR DELETE ON eve.number
EXECUTE FUNCTION freshet.view_restored();
UPDATE eve.number SET view = 2;
RESET SESSION AUTHORIZATION;
REVOKE EXECUTE ON FUNCTION freshet.view_restored() FROM regress_eve;
SET SESSION AUTHORIZATION regress_eve;
CREATE TRIGGER again BEFORE INSERT ON eve.row
FOR EACH ROW EXECUTE FUNCTION freshet.view_restored();
SELECT freshet.view_restored();
RESET SESSION AUTHORIZATION;

-- a row is restored for one's own view only, before which nothing is locked
CREATE TABLE alice.t (id int);
ALTER TABLE alice.t OWNER TO regress_alice;
SET SESSION AUTHORIZATION regress_alice;
CREATE MATERIALIZED VIEW alice.v AS SELECT id, current_setting('bytea_output') AS output FROM alice.t;
RESET SESSION AUTHORIZATION;
GRANT INSERT, SELECT ON freshet.view TO regress_eve;
GRANT USAGE ON SCHEMA alice TO regress_eve;
SET SESSION AUTHORIZATION regress_eve;
BEGIN;
SAVEPOINT before;
INSERT INTO freshet.view VALUES ('alice.v', true, '{}', false);
ROLLBACK TO before;
INSERT INTO freshet.view VALUES ('pg_class', true, '{}', false), ('1', true, '{}', false);
SELECT relation::regclass, mode FROM pg_locks
WHERE pid = pg_backend_pid() AND relation IN ('pg_class'::regclass, 'alice.v'::regclass)
	AND mode <> 'AccessShareLock';
COMMIT;
RESET SESSION AUTHORIZATION;
REVOKE INSERT, SELECT ON freshet.view FROM regress_eve;

-- of its settings, those that a view keeps and everybody may set
INSERT INTO freshet.view VALUES ('alice.v', true, '{exit_on_error=on,zero_damaged_pages=on,role=postgres,session_authorization=postgres,lo_compat_privileges=on,session_replication_role=replica,bytea_output=escape,no_value,=}', false);
SELECT s FROM freshet.view, unnest(settings) s
WHERE view::oid = 'alice.v'::regclass AND s !~ '^(bytea_output|search_path|TimeZone|lc_|.*[sS]tyle|xml|quote_all|array_nulls|standard|transform|backslash|extra_float|default_text|timezone_abb)';
SELECT s FROM freshet.view, unnest(settings) s WHERE view::oid = 'alice.v'::regclass AND s ~ '^bytea';
INSERT INTO freshet.view VALUES ('alice.v', true, '{bytea_output=nonsense}', false);SET SESSION AUTHORIZATION regress_alice;
INSERT INTO alice.t VALUES (1);
SELECT * FROM alice.v;
SELECT freshet.verify('alice.v');
RESET SESSION AUTHORIZATION;

-- SQL of ours looks nothing up in the caller's schemas
SET SESSION AUTHORIZATION regress_eve;
CREATE TABLE eve.item (id int PRIMARY KEY, name text);
CREATE TABLE eve.sale (id int PRIMARY KEY, item int);
INSERT INTO eve.item SELECT i, i::text FROM generate_series(1, 3000) i;
INSERT INTO eve.sale SELECT i, i FROM generate_series(1, 3000) i;
ANALYZE eve.item, eve.sale;
CREATE FUNCTION eve.equal(oid, oid) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'regress_eve' THEN
		RAISE WARNING 'run as %', current_user;
	END IF;
	RETURN $1 OPERATOR(pg_catalog.=) $2;
END $$;
CREATE OPERATOR eve.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = eve.equal);
SET search_path = eve, pg_catalog;
SECURITY LABEL FOR freshet ON TABLE eve.item IS 'auto_index';
SECURITY LABEL FOR freshet ON TABLE eve.item IS NULL;
CREATE MATERIALIZED VIEW eve.joined AS SELECT s.id, i.name
FROM eve.sale s JOIN eve.item i ON i.id OPERATOR(pg_catalog.=) s.item;
SELECT count(*) > 0 AS explained FROM freshet.explain('eve.joined');
INSERT INTO eve.sale VALUES (0, 1);
SELECT count(*) FROM eve.joined;
RESET search_path;
RESET SESSION AUTHORIZATION;

-- a view's query computes, and does nothing else, whatever it calls
CREATE SEQUENCE eve.seq;
ALTER SEQUENCE eve.seq OWNER TO regress_eve;
SET SESSION AUTHORIZATION regress_eve;
CREATE TABLE eve.log (who text);
CREATE TABLE eve.did (id int, what text);
CREATE FUNCTION eve.does(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE what;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN sqlerrm;
END $$;
CREATE FUNCTION eve.compute(what text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN eve.does(what);
END $$;
CREATE MATERIALIZED VIEW eve.result AS SELECT id, what, eve.compute(what) AS result FROM eve.did;
INSERT INTO eve.did SELECT i, what FROM unnest(ARRAY[
	'INSERT INTO eve.log VALUES (current_user)', 'CREATE TEMP TABLE t ()', 'TRUNCATE eve.log',
	'SELECT nextval(''eve.seq'')', 'SELECT setval(''eve.seq'', 1)',
	'NOTIFY n', 'SELECT pg_notify(''n'', '''')', 'LISTEN n', 'UNLISTEN *',
	'SELECT pg_advisory_lock(1)', 'SELECT pg_try_advisory_xact_lock(1)', 'LOCK TABLE eve.log',
	'SELECT lo_create(0)', 'SELECT lo_from_bytea(0, '''')', 'SELECT lo_unlink(1)',
	'COPY eve.log TO PROGRAM ''cat''', 'PREPARE p AS SELECT 1', 'DISCARD ALL',
	'SELECT pg_terminate_backend(pg_backend_pid())', 'SELECT pg_switch_wal()',
	'SELECT freshet.verify(''eve.joined'')', 'SELECT freshet.adopt(''eve.joined'')',
	'SELECT freshet.subscribe(''s'', ''eve.log'')', 'SET ROLE postgres',
	'SET SESSION AUTHORIZATION postgres', 'SET transaction_read_only = off',
	'SET exit_on_error = on', 'RESET ROLE', 'SET work_mem = 64', 'SELECT random()',
	'SELECT set_config(''search_path'', ''eve'', false)', 'EXPLAIN SELECT 1',
	'DO ''BEGIN PERFORM pg_advisory_lock(1); END''']) WITH ORDINALITY AS w (what, i);
SELECT what, result FROM eve.result ORDER BY id;
SELECT count(*) FROM eve.log;
SELECT freshet.verify('eve.result');
-- and the session that asks for it is as it was
SHOW transaction_read_only;
SHOW search_path;
RESET SESSION AUTHORIZATION;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';

-- each object of the extension, and what others than its owner may do with it
SELECT pg_describe_object(classid, objid, 0) AS object,
	CASE classid
		WHEN 'pg_class'::regclass THEN (SELECT relacl::text FROM pg_class WHERE oid = objid)
		WHEN 'pg_proc'::regclass THEN (SELECT proacl::text FROM pg_proc WHERE oid = objid)
		WHEN 'pg_namespace'::regclass THEN (SELECT nspacl::text FROM pg_namespace WHERE oid = objid)
		WHEN 'pg_type'::regclass THEN (SELECT typacl::text FROM pg_type WHERE oid = objid)
	END AS rights
FROM pg_depend WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'freshet')
	AND NOT (classid = 'pg_class'::regclass AND objid::regclass::text ~ '[0-9]$')
ORDER BY pg_describe_object(classid, objid, 0) COLLATE "C";

SET client_min_messages = warning;
DROP SCHEMA eve, alice CASCADE;
DROP EXTENSION freshet;
DROP ROLE regress_eve, regress_alice;
