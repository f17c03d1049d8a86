--
-- The freshness barrier: a statement sees in every view what was committed
-- before it, whatever way it comes. Each insert is its own transaction, so that
-- without the barrier a read right after it would race with the worker.
--
CREATE EXTENSION freshet;
CREATE SCHEMA barrier;
SET search_path = barrier;
CREATE TABLE item (id int PRIMARY KEY);
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n, max(id) AS last FROM item;
CREATE VIEW over_it AS SELECT n FROM counted;
CREATE MATERIALIZED VIEW second AS SELECT n + 1 AS n1 FROM counted;

CREATE PROCEDURE add() LANGUAGE sql AS
	'INSERT INTO item SELECT coalesce(max(id), 0) + 1 FROM item';
CREATE FUNCTION n_volatile() RETURNS bigint LANGUAGE plpgsql AS
	$$ DECLARE r bigint; BEGIN SELECT n INTO r FROM counted; RETURN r; END $$;
CREATE FUNCTION n_stable() RETURNS bigint STABLE LANGUAGE plpgsql AS
	$$ DECLARE r bigint; BEGIN SELECT n INTO r FROM counted; RETURN r; END $$;
CREATE FUNCTION n_stable_sub() RETURNS bigint STABLE LANGUAGE plpgsql AS
	$$ DECLARE r bigint; BEGIN BEGIN SELECT n INTO r FROM counted; EXCEPTION WHEN division_by_zero THEN NULL; END; RETURN r; END $$;
CREATE FUNCTION n_assigned() RETURNS bigint LANGUAGE plpgsql AS
	$$ DECLARE r bigint; BEGIN r := n_stable(); RETURN r; END $$;
CREATE FUNCTION n_assigned_sub() RETURNS bigint LANGUAGE plpgsql AS
	$$ DECLARE r bigint; BEGIN r := n_stable_sub(); RETURN r; END $$;
CREATE FUNCTION n_sql() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT n FROM counted';
CREATE FUNCTION n_dynamic() RETURNS bigint LANGUAGE plpgsql AS
	$$ DECLARE r bigint; BEGIN EXECUTE 'SELECT n FROM counted' INTO r; RETURN r; END $$;
CREATE FUNCTION n_loop() RETURNS bigint LANGUAGE plpgsql AS
	$$ DECLARE r record; BEGIN FOR r IN SELECT n FROM counted LOOP RETURN r.n; END LOOP; END $$;

-- plain, over a view, a view over views, subqueries
CALL add(); SELECT n FROM counted;
CALL add(); SELECT n FROM over_it;
CALL add(); SELECT n1 FROM second;
CALL add(); SELECT (SELECT n FROM counted) AS n;
CALL add(); WITH x AS MATERIALIZED (SELECT n FROM counted) SELECT n FROM x;
CALL add(); SELECT count(*) = max(c.n) FROM item, counted c;
UPDATE item SET id = 1000 WHERE id = 1; SELECT last FROM counted;
DELETE FROM item WHERE id = 1000; SELECT n, last FROM counted;

-- prepared, with a cached generic plan
SET plan_cache_mode = force_generic_plan;
PREPARE p AS SELECT n FROM counted;
EXECUTE p;
CALL add(); EXECUTE p;
CALL add(); EXECUTE p;
RESET plan_cache_mode;

-- in functions of every kind
CALL add(); SELECT n_volatile();
CALL add(); SELECT n_stable();
CALL add(); SELECT n_stable_sub();
CALL add(); SELECT n_assigned();
CALL add(); SELECT n_assigned_sub();
CALL add(); SELECT n_sql();
CALL add(); SELECT n_dynamic();
CALL add(); SELECT n_loop();
CALL add(); SELECT * FROM n_stable() AS n;
CALL add(); SELECT n_stable() = n AS same FROM counted;
CALL add(); DO $$ BEGIN RAISE NOTICE '%', (SELECT n FROM counted); END $$;
CREATE PROCEDURE add_and_look() LANGUAGE plpgsql AS $$
BEGIN
	CALL add();
	COMMIT;
	RAISE NOTICE '% %', n_stable_sub(), n_volatile();
	CALL add();
	ROLLBACK;
	RAISE NOTICE '% %', n_stable_sub(), n_volatile();
END $$;
CALL add_and_look();

-- in functions that read under the snapshot of who calls them, whatever they are declared and written in
CREATE FUNCTION n_immutable(int) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS
	$$ BEGIN RETURN (SELECT n FROM counted); END $$;
CREATE FUNCTION n_nested(int) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS
	$$ BEGIN RETURN N_immutable($1); END $$;
CREATE FUNCTION n_parsed(int) RETURNS bigint STABLE LANGUAGE sql BEGIN ATOMIC SELECT max(n) FROM counted; END;
CREATE FUNCTION n_parsed_nested(int) RETURNS bigint STABLE LANGUAGE sql RETURN n_immutable($1) + $1;
CREATE FUNCTION n_xml() RETURNS text STABLE LANGUAGE plpgsql AS
	$$ BEGIN RETURN query_to_xml('TABLE counted', true, true, ''); END $$;
CREATE FUNCTION harmless(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN i + 0; END $$;
CREATE EXTENSION tablefunc;
CREATE MATERIALIZED VIEW words AS SELECT 'x' || count(*) AS word FROM item;
CALL add(); SELECT n_immutable(id), harmless(id) FROM item WHERE id = 2;
CALL add(); SELECT n_nested(id) FROM item WHERE id = 2;
CALL add(); SELECT n_parsed(id) FROM item WHERE id = 2;
CALL add(); SELECT n_parsed_nested(id - 2) FROM item WHERE id = 2;
CALL add(); SELECT n_immutable(1);
CALL add(); SELECT query_to_xml('SELECT n FROM counted', true, true, '')::text ~ (SELECT '>' || count(*) || '<' FROM item);
CALL add(); SELECT table_to_xml('counted', true, true, '')::text ~ (SELECT '>' || count(*) || '<' FROM item);
CALL add(); SELECT n_xml() ~ (SELECT '>' || count(*) || '<' FROM item);
CALL add(); SELECT word FROM ts_stat('SELECT to_tsvector(''simple'', word) FROM words');
CALL add(); SELECT * FROM crosstab('SELECT 1, 1, n FROM counted') AS c (r int, n bigint);
CALL add(); SELECT keyid FROM connectby('words', 'word', 'NULL::text', (SELECT 'x' || count(*) FROM item), 0) AS c (keyid text, parent text, level int);
-- beside a view that is read directly
CALL add(); SELECT n1, n_xml() ~ ('>' || n1 - 1 || '<') FROM second;

CREATE PROCEDURE say(n bigint) LANGUAGE plpgsql AS $$ BEGIN COMMIT; RAISE NOTICE '%', n; END $$;
CALL add(); CALL say(n_stable());
CALL add(); CALL say(n_stable_sub());

-- as the source of other commands
CALL add(); COPY (SELECT n FROM counted) TO STDOUT;
CALL add(); CREATE TABLE made AS SELECT n FROM counted; SELECT * FROM made;
CALL add(); INSERT INTO made SELECT n FROM counted RETURNING n;
CALL add(); UPDATE made SET n = c.n FROM counted c RETURNING made.n;
CALL add(); WITH x AS (INSERT INTO made SELECT n FROM counted RETURNING n) SELECT n FROM x;
CALL add(); EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT n FROM counted;
CALL add(); SELECT n FROM counted FOR KEY SHARE;
CALL add();
BEGIN;
DECLARE c CURSOR FOR SELECT n FROM counted;
FETCH c;
COMMIT;
CALL add();
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT n FROM counted;
COMMIT;
FETCH h;
CLOSE h;

-- within a transaction a view shows committed data, each statement anew
BEGIN;
SELECT n FROM counted;
CALL add();
SELECT n FROM counted;
SAVEPOINT s;
SELECT n FROM counted;
ROLLBACK TO s;
SELECT n_stable_sub();
COMMIT;
SELECT n FROM counted;

-- transactions that keep their first snapshot
CALL add();
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT c.n = (SELECT count(*) FROM item) AS same, c.n FROM counted c;
COMMIT;
CALL add();
BEGIN;
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
SELECT c.n = (SELECT count(*) FROM item) AS same, c.n FROM counted c;
COMMIT;
CALL add();
BEGIN;
SET transaction_isolation = 'repeatable read';
SELECT n FROM counted;
COMMIT;
SET default_transaction_isolation = 'repeatable read';
CALL add(); SELECT n FROM counted;
CALL add();
START TRANSACTION;
SELECT n, n_stable() FROM counted;
COMMIT;
SET default_transaction_isolation = 'serializable';
CALL add(); SELECT n, c.n = (SELECT count(*) FROM item) AS same FROM counted c;
RESET default_transaction_isolation;

-- two-phase: COMMIT PREPARED by a session without a transaction id
BEGIN;
CALL add();
CREATE MATERIALIZED VIEW third AS SELECT count(*) AS n FROM item;
PREPARE TRANSACTION 'freshet';
SELECT n FROM counted;
COMMIT PREPARED 'freshet';
SELECT n FROM counted;
CALL add(); SELECT n FROM third;
BEGIN;
CALL add();
PREPARE TRANSACTION 'freshet';
ROLLBACK PREPARED 'freshet';
SELECT n FROM counted;

-- this session's own locks keep the worker out: it goes on with what there is
BEGIN;
CREATE INDEX ON counted (n);
SELECT n FROM counted;
COMMIT;
BEGIN;
CREATE MATERIALIZED VIEW own AS SELECT n FROM counted;
SELECT n FROM own;
ROLLBACK;

-- how stale it may be
SHOW freshet.max_staleness;
SET freshet.max_staleness = '5s';
SET freshet.max_staleness = '1 min 30 s';
SET freshet.max_staleness = '00:00:01';
SET freshet.max_staleness = 10;
SET freshet.max_staleness = '-1';
SELECT n IS NOT NULL AS something FROM counted;
SET freshet.max_staleness = '-5s';
SET freshet.max_staleness = 'soon';
SET freshet.max_staleness = '';
SET freshet.max_staleness = '1 hour';
CALL add(); SELECT n IS NOT NULL AS something FROM counted;
RESET freshet.max_staleness;
SELECT n = (SELECT count(*) FROM item) AS fresh FROM counted;
SELECT freshet.wait_fresh() <= pg_current_wal_insert_lsn() AS waited;
SELECT view, frontier IS NOT NULL AS frontier, frontier_time IS NOT NULL AS frontier_time, lag,
	rows_in > 0 AS rows_in, cycles > 0 AS cycles, last_cycle > '0' AS last_cycle
FROM freshet.views WHERE view = 'counted'::regclass;

-- the worker comes back by itself, and readers wait for it
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE backend_type = 'freshet worker' AND datname = current_database();
CALL add();
SELECT n = (SELECT count(*) FROM item) AS fresh FROM counted;

SET client_min_messages = warning;
DROP SCHEMA barrier CASCADE;
DROP EXTENSION freshet;
