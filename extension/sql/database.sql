--
-- Databases with a worker are dropped, renamed, copied as in PostgreSQL
--
\set main :DBNAME
CREATE DATABASE regress_freshet_one;
\c regress_freshet_one
CREATE EXTENSION freshet;
CREATE TABLE item (id int);
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM item;
INSERT INTO item VALUES (1);
SELECT n FROM counted;
\c :main
CREATE DATABASE regress_freshet_two TEMPLATE regress_freshet_one;
ALTER DATABASE regress_freshet_one RENAME TO regress_freshet_three;

-- the copy goes its own way, and so does the renamed one
\c regress_freshet_two
INSERT INTO item VALUES (2), (3);
SELECT n FROM counted;
\c regress_freshet_three
INSERT INTO item VALUES (2);
SELECT n FROM counted;
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'freshet worker' AND datname LIKE 'regress\_freshet\_%';
\c :main
CREATE ROLE regress_freshet_nobody;
SET ROLE regress_freshet_nobody;
DROP DATABASE regress_freshet_two;
RESET ROLE;
DROP ROLE regress_freshet_nobody;
DROP DATABASE regress_freshet_two;
DROP DATABASE regress_freshet_three WITH (FORCE);
DROP DATABASE IF EXISTS regress_freshet_three;

-- their slots go with them
DO $$
BEGIN
	FOR i IN 1..100 LOOP
		EXIT WHEN NOT EXISTS (SELECT FROM pg_replication_slots s
			WHERE s.slot_name ~ '^freshet_' AND NOT EXISTS (
				SELECT FROM pg_database d WHERE 'freshet_' || d.oid = s.slot_name));
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;
SELECT count(*) FROM pg_replication_slots s
WHERE s.slot_name ~ '^freshet_' AND NOT EXISTS (
	SELECT FROM pg_database d WHERE 'freshet_' || d.oid = s.slot_name);

-- a template gets no worker, and nobody is in the way of one
CREATE DATABASE regress_freshet_template IS_TEMPLATE true;
CREATE DATABASE regress_freshet_four TEMPLATE regress_freshet_template;
ALTER DATABASE regress_freshet_template IS_TEMPLATE false;
DROP DATABASE regress_freshet_template;
DROP DATABASE regress_freshet_four;
