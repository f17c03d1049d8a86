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

-- hidden tables are the view's owner's, who leaves them alone; what PostgreSQL does with
-- them runs the functions of their types as the owner
SET SESSION AUTHORIZATION regress_eve;
CREATE FUNCTION eve.who() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'regress_eve' THEN
		RAISE EXCEPTION 'run as %', current_user;
	END IF;
END $$;
CREATE FUNCTION eve.diff(int, int) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM eve.who();
	RETURN $1 - $2;
END $$;
CREATE TYPE eve.span AS RANGE (subtype = int4, subtype_diff = eve.diff);
CREATE TYPE eve.pair AS (a int);
CREATE FUNCTION eve.compare(eve.pair, eve.pair) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM eve.who();
	RETURN btint4cmp($1.a, $2.a);
END $$;
CREATE FUNCTION eve.less(eve.pair, eve.pair) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT eve.compare($1, $2) < 0';
CREATE FUNCTION eve.most(eve.pair, eve.pair) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT eve.compare($1, $2) <= 0';
CREATE FUNCTION eve.same(eve.pair, eve.pair) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT eve.compare($1, $2) = 0';
CREATE FUNCTION eve.least(eve.pair, eve.pair) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT eve.compare($1, $2) >= 0';
CREATE FUNCTION eve.more(eve.pair, eve.pair) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT eve.compare($1, $2) > 0';
CREATE OPERATOR eve.< (LEFTARG = eve.pair, RIGHTARG = eve.pair, FUNCTION = eve.less);
CREATE OPERATOR eve.<= (LEFTARG = eve.pair, RIGHTARG = eve.pair, FUNCTION = eve.most);
CREATE OPERATOR eve.= (LEFTARG = eve.pair, RIGHTARG = eve.pair, FUNCTION = eve.same, MERGES);
CREATE OPERATOR eve.>= (LEFTARG = eve.pair, RIGHTARG = eve.pair, FUNCTION = eve.least);
CREATE OPERATOR eve.> (LEFTARG = eve.pair, RIGHTARG = eve.pair, FUNCTION = eve.more);
RESET SESSION AUTHORIZATION;
CREATE OPERATOR CLASS eve.pair_ops DEFAULT FOR TYPE eve.pair USING btree AS
	OPERATOR 1 eve.<, OPERATOR 2 eve.<=, OPERATOR 3 eve.=, OPERATOR 4 eve.>=, OPERATOR 5 eve.>,
	FUNCTION 1 eve.compare(eve.pair, eve.pair);
SET SESSION AUTHORIZATION regress_eve;
CREATE TABLE eve.thing (id int, k eve.pair, v eve.span);
INSERT INTO eve.thing SELECT i, row(i % 7)::eve.pair, eve.span(i, i + 10) FROM generate_series(1, 300) i;
CREATE MATERIALIZED VIEW eve.chain AS
WITH RECURSIVE w AS (
	SELECT id, k, v FROM eve.thing WHERE id <= 3
	UNION ALL SELECT t.id, t.k, t.v FROM eve.thing t JOIN w ON t.id = w.id + 3)
SELECT * FROM w;
CREATE MATERIALIZED VIEW eve.first AS
SELECT t.id, w.v FROM eve.thing t JOIN (
	SELECT k, max(id) AS id, range_agg(v) AS v FROM eve.thing GROUP BY k ORDER BY k LIMIT 5) w USING (k);
CREATE MATERIALIZED VIEW eve.kinds AS
SELECT k, avg(id), range_agg(v) AS v FROM eve.thing GROUP BY k HAVING avg(id) > 1;
CREATE MATERIALIZED VIEW eve.means AS SELECT k, avg(id) FROM eve.thing GROUP BY k;
CREATE MATERIALIZED VIEW eve.copies AS SELECT k, v FROM eve.thing;
INSERT INTO eve.thing SELECT i, row(i % 7)::eve.pair, eve.span(i, i + 10) FROM generate_series(301, 400) i;
DELETE FROM eve.thing WHERE id % 10 = 0;
SELECT (SELECT count(*) FROM eve.chain), (SELECT count(*) FROM eve.first), (SELECT count(*) FROM eve.kinds), (SELECT count(*) FROM eve.means), (SELECT count(*) FROM eve.copies);
SELECT freshet.verify(c) FROM unnest('{eve.chain,eve.first,eve.kinds,eve.means,eve.copies}'::regclass[]) c;
RESET SESSION AUTHORIZATION;
SELECT DISTINCT relowner::regrole, CASE relkind WHEN 'i' THEN '{}' ELSE relacl::text END AS rights FROM pg_class
WHERE relnamespace = 'freshet'::regnamespace AND relname ~ '^(part|groups_|rows_)';
CREATE TEMP VIEW hidden AS SELECT relname FROM pg_class
WHERE relnamespace = 'freshet'::regnamespace AND relkind = 'r' AND relname ~ '^part';
GRANT SELECT ON hidden TO PUBLIC;
DO $$
DECLARE
	name text;
BEGIN
	FOR name IN SELECT 'freshet.' || relname FROM hidden LOOP
		EXECUTE 'ANALYZE ' || name;
		EXECUTE 'REINDEX TABLE ' || name;
	END LOOP;
END $$;
SELECT count(*) > 0 AS analyzed FROM pg_stats WHERE schemaname = 'freshet' AND tablename ~ '^part' AND histogram_bounds IS NOT NULL;
CREATE FUNCTION pg_temp.each(command text, OUT refused text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	name text;
	refusals text[] := '{}';
BEGIN
	FOR name IN SELECT relname FROM hidden LOOP
		BEGIN
			EXECUTE format(command, 'freshet.' || name);
			refusals := refusals || 'not refused'::text;
		EXCEPTION WHEN OTHERS THEN
			refusals := refusals || regexp_replace(sqlerrm, name, 'TABLE');
		END;
	END LOOP;
	RETURN QUERY SELECT DISTINCT r FROM unnest(refusals) r;
END $$;
CREATE TEMP TABLE command (id serial, command text);
GRANT SELECT ON command TO PUBLIC;
INSERT INTO command (command) VALUES
	('TABLE %s'), ('INSERT INTO %s DEFAULT VALUES'), ('DELETE FROM %s'), ('TRUNCATE %s'), ('LOCK TABLE %s'),
	('DROP TABLE %s'), ('ALTER TABLE %s ADD COLUMN x int'), ('ALTER TABLE %s SET (fillfactor = 10)'),
	('ALTER TABLE %s ENABLE ROW LEVEL SECURITY'), ('ALTER TABLE %s OWNER TO regress_eve'), ('ALTER TABLE %s RENAME TO mine'),
	('ALTER TABLE %s SET SCHEMA eve'), ('ALTER TABLE %s ADD CHECK (true)'), ('ALTER TABLE %s DISABLE TRIGGER ALL'),
	('CREATE RULE r AS ON INSERT TO %s DO INSTEAD NOTHING'), ('CREATE POLICY p ON %s USING (true)'),
	('CREATE TRIGGER t AFTER INSERT ON %s EXECUTE FUNCTION suppress_redundant_updates_trigger()'),
	('CREATE STATISTICS eve.s ON (1 + 1) FROM %s'), ('CREATE VIEW eve.above AS SELECT 1 FROM %s'),
	('CREATE TABLE eve.child () INHERITS (%s)'), ('CREATE INDEX ON %s ((1))'), ('GRANT ALL ON %s TO regress_eve'),
	('REVOKE ALL ON %s FROM regress_eve'), ('ANALYZE %s');
SET SESSION AUTHORIZATION regress_eve;
SELECT command, refused FROM command, pg_temp.each(command) ORDER BY id, refused;
GRANT ALL ON ALL TABLES IN SCHEMA freshet TO regress_eve;
RESET SESSION AUTHORIZATION;
SELECT command, refused FROM command, pg_temp.each(command)
WHERE command !~ '^(TABLE|INSERT|DELETE|LOCK)' ORDER BY id, refused;
\set ECHO none
SELECT format('VACUUM (FULL, ANALYZE) freshet.%I', relname) FROM hidden \gexec
\set ECHO all
SELECT freshet.verify(c) FROM unnest('{eve.chain,eve.first,eve.kinds,eve.means,eve.copies}'::regclass[]) c;

-- they go with the view from owner to owner
GRANT USAGE ON SCHEMA eve TO regress_alice;
GRANT SELECT ON eve.thing TO regress_alice;
ALTER MATERIALIZED VIEW eve.chain OWNER TO regress_alice;
ALTER MATERIALIZED VIEW eve.chain OWNER TO regress_alice;
SELECT DISTINCT relowner::regrole FROM pg_class
WHERE relnamespace = 'freshet'::regnamespace AND relname ~ ('_' || 'eve.chain'::regclass::oid || '\M');
REASSIGN OWNED BY regress_alice TO regress_eve;
SELECT DISTINCT relowner::regrole FROM pg_class
WHERE relnamespace = 'freshet'::regnamespace AND relname ~ '^(part|groups_|rows_)';
SELECT freshet.verify('eve.chain');

-- a view has no session: it is its owner's, as it was when the view was created
CREATE ROLE regress_readers;
CREATE TABLE alice.secret (owner name, tenant text, what text);
INSERT INTO alice.secret VALUES ('postgres', 'a', 'of the superuser'), ('regress_eve', 'a', 'of eve'), ('regress_alice', 'b', 'of alice');
GRANT SELECT ON alice.secret TO regress_eve;
ALTER TABLE alice.secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON alice.secret USING (owner = session_user OR tenant = current_setting('eve.tenant', true));
CREATE FUNCTION eve.session(int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN session_user || '' '' || current_user; END';
SET ROLE regress_eve;
CREATE MATERIALIZED VIEW eve.secrets AS SELECT what FROM alice.secret;
CREATE MATERIALIZED VIEW eve.session AS SELECT session_user, current_user, current_role, "session_user"() AS f, current_setting('role') AS role,
	current_setting('is_superuser') AS super, current_setting('session_authorization') AS auth,
	current_setting('eve.' || 'none', true) AS none, min(eve.session(id)) AS called, count(*) FROM eve.thing;
RESET ROLE;
INSERT INTO alice.secret VALUES ('postgres', 'a', 'another'), ('regress_eve', 'b', 'new of eve');
INSERT INTO eve.thing VALUES (1000, NULL, NULL);
SELECT * FROM eve.secrets ORDER BY 1;
SELECT * FROM eve.session;
SELECT freshet.verify('eve.secrets'), freshet.verify('eve.session');
SET ROLE regress_eve;
SET eve.tenant = 'b';
CREATE MATERIALIZED VIEW eve.tenant AS SELECT what FROM alice.secret;
SET eve.tenant = 'a';
INSERT INTO eve.thing VALUES (1001, NULL, NULL);
SELECT * FROM eve.tenant ORDER BY 1;
SELECT e FROM freshet.explain('eve.tenant') e WHERE e ~ 'setting';
SELECT freshet.release('eve.tenant');
SELECT freshet.adopt('eve.tenant');
SELECT * FROM eve.tenant ORDER BY 1;
RESET eve.tenant;
CREATE MATERIALIZED VIEW eve.pid AS SELECT pg_backend_pid();
CREATE MATERIALIZED VIEW eve.address AS SELECT inet_client_addr();
CREATE MATERIALIZED VIEW eve.named AS SELECT current_setting(name) FROM (VALUES ('TimeZone')) v (name);
RESET ROLE;
GRANT SELECT ON eve.tenant TO regress_alice;
SET ROLE regress_alice;
SELECT e FROM freshet.explain('eve.tenant') e WHERE e ~ 'setting';
RESET ROLE;
-- a policy that reads another setting has no value for it
ALTER POLICY own ON alice.secret USING (tenant = current_setting('eve.other', true));
CREATE FUNCTION pg_temp.wait(condition text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	result boolean;
BEGIN
	FOR i IN 1..300 LOOP
		EXECUTE 'SELECT ' || condition INTO result;
		EXIT WHEN result;
		PERFORM pg_sleep(0.1);
	END LOOP;
	RETURN result;
END $$;
SELECT pg_temp.wait($$(SELECT error FROM freshet.views WHERE view = 'eve.tenant'::regclass) IS NOT NULL$$);
SELECT error FROM freshet.views WHERE view = 'eve.tenant'::regclass;
ALTER POLICY own ON alice.secret USING (owner = current_user);
SELECT pg_temp.wait($$(SELECT error FROM freshet.views WHERE view = 'eve.tenant'::regclass) IS NULL$$);

-- what a role may do, and may not do any more, counts in its views
CREATE POLICY readers ON alice.secret TO regress_readers USING (true);
CREATE MATERIALIZED VIEW eve.member AS SELECT what FROM alice.secret WHERE pg_has_role('regress_readers', 'USAGE');
ALTER MATERIALIZED VIEW eve.member OWNER TO regress_eve;
SELECT (SELECT count(*) FROM eve.secrets) AS secrets, (SELECT count(*) FROM eve.member) AS member;
GRANT regress_readers TO regress_eve;
SELECT (SELECT count(*) FROM eve.secrets) AS secrets, (SELECT count(*) FROM eve.member) AS member;
ALTER ROLE regress_eve NOINHERIT;
SELECT (SELECT count(*) FROM eve.secrets) AS secrets, (SELECT count(*) FROM eve.member) AS member;
ALTER ROLE regress_eve BYPASSRLS INHERIT;
REVOKE regress_readers FROM regress_eve;
SELECT (SELECT count(*) FROM eve.secrets) AS secrets, (SELECT count(*) FROM eve.member) AS member;
ALTER ROLE regress_eve NOBYPASSRLS;
SELECT (SELECT count(*) FROM eve.secrets) AS secrets, (SELECT count(*) FROM eve.member) AS member;
REVOKE SELECT ON alice.secret FROM regress_eve;
GRANT SELECT ON alice.secret TO regress_readers;
SELECT pg_temp.wait($$(SELECT error FROM freshet.views WHERE view = 'eve.secrets'::regclass) IS NOT NULL$$);
GRANT regress_readers TO regress_eve;
SELECT pg_temp.wait($$(SELECT error FROM freshet.views WHERE view = 'eve.secrets'::regclass) IS NULL$$);
SELECT (SELECT count(*) FROM eve.secrets) AS secrets, (SELECT count(*) FROM eve.member) AS member;
REVOKE regress_readers FROM regress_eve;
SELECT pg_temp.wait($$(SELECT error FROM freshet.views WHERE view = 'eve.secrets'::regclass) IS NOT NULL$$);
SELECT error FROM freshet.views WHERE view = 'eve.secrets'::regclass;

-- a subscription is the session's role's, whose function made it as somebody else
CREATE FUNCTION alice.subscribe(name text, target text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
'BEGIN RETURN freshet.subscribe(name, target); END';
CREATE TABLE eve.seen (id int);
ALTER TABLE eve.seen OWNER TO regress_eve;
SET SESSION AUTHORIZATION regress_eve;
SELECT alice.subscribe('lent', 'alice.secret');
SELECT alice.subscribe('mine', '(SELECT id, eve.session(id) AS as_ FROM eve.seen)');
INSERT INTO eve.seen VALUES (1);
SELECT freshet.wait_fresh() IS NOT NULL AS fresh;
SELECT mz_diff, id, as_ FROM freshet.changes('mine') AS (mz_timestamp numeric, mz_diff bigint, id int, as_ text);
SELECT freshet.unsubscribe('mine');
CREATE FUNCTION eve.become(int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM set_config('role', 'postgres', true);
	RETURN current_user;
EXCEPTION WHEN OTHERS THEN
	RETURN sqlerrm;
END $$;
RESET SESSION AUTHORIZATION;
SET ROLE regress_eve;
SELECT freshet.subscribe('eves', '(SELECT eve.become(id) FROM eve.seen)');
RESET ROLE;
SELECT mz_diff, became FROM freshet.changes('eves') AS (mz_timestamp numeric, mz_diff bigint, became text);
SELECT freshet.unsubscribe('eves');
-- and a role has so many
SET freshet.max_subscriptions_per_role = 2;
SET ROLE regress_eve;
SELECT freshet.subscribe('one', 'eve.seen');
SELECT freshet.subscribe('two', 'eve.seen');
SELECT freshet.subscribe('three', 'eve.seen');
SELECT freshet.verify('eve.means');
SET freshet.max_subscriptions_per_role = 3;
RESET ROLE;
SELECT freshet.verify('eve.means');
SELECT freshet.subscribe('three', 'eve.seen');
SELECT freshet.unsubscribe(s) FROM unnest('{one,two,three}'::text[]) s;
SET ROLE regress_eve;
SELECT freshet.verify('eve.means');
RESET ROLE;
RESET freshet.max_subscriptions_per_role;

-- what a view of somebody else is made of is nothing to who may not read it
SET ROLE regress_alice;
SELECT view, maintained, strategy, reason, error FROM freshet.views WHERE view::text ~ 'eve.(pid|secrets|tenant)' ORDER BY 1;
RESET ROLE;

-- what a database's owner sets for it counts in no process of ours
SELECT format('ALTER DATABASE %I SET %s', current_database(), s)
FROM unnest('{exit_on_error = on,role = regress_eve,default_transaction_read_only = on,search_path = eve}'::text[]) s \gexec
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE backend_type = 'freshet worker' AND datname = current_database();
CREATE TABLE eve.divisor (n int);
INSERT INTO eve.divisor VALUES (1);
CREATE MATERIALIZED VIEW eve.inverse AS SELECT 1 / n AS n FROM eve.divisor;
INSERT INTO eve.divisor VALUES (2);
SELECT pg_temp.wait($$(SELECT count(*) FROM eve.inverse) = 2$$);
CREATE TEMP TABLE worker AS SELECT pid FROM pg_stat_activity
WHERE backend_type = 'freshet worker' AND datname = current_database();
INSERT INTO eve.divisor VALUES (0);
SELECT pg_temp.wait($$(SELECT error FROM freshet.views WHERE view = 'eve.inverse'::regclass) IS NOT NULL$$);
SELECT error FROM freshet.views WHERE view = 'eve.inverse'::regclass;
SELECT count(*) FROM pg_stat_activity JOIN worker USING (pid);
SELECT format('ALTER DATABASE %I RESET %s', current_database(), s)
FROM unnest('{exit_on_error,role,default_transaction_read_only,search_path}'::text[]) s \gexec

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
DROP VIEW hidden;
DROP OPERATOR CLASS eve.pair_ops USING btree CASCADE;
DROP OWNED BY regress_eve CASCADE;
SELECT count(*) FROM pg_class WHERE relnamespace = 'freshet'::regnamespace AND relname ~ '^(part|groups_|rows_)';
DROP OWNED BY regress_alice CASCADE;
DROP EXTENSION freshet;
DROP OWNED BY regress_readers;
DROP ROLE regress_eve, regress_alice, regress_readers;
