-- What Databend's SQL needs of a database and PostgreSQL has under another name, or not at all.
-- Run at each start by the bootstrap superuser: all of it may be there already. Nothing here has more
-- rights than who calls it.

CREATE SCHEMA IF NOT EXISTS databend;
CREATE SCHEMA IF NOT EXISTS databend_system;
CREATE SCHEMA IF NOT EXISTS databend_information_schema;
CREATE SCHEMA IF NOT EXISTS "default";
GRANT USAGE ON SCHEMA databend, databend_system, databend_information_schema, "default" TO PUBLIC;

-- Who may do all on *.*: reads and writes everything, and can do all in each database.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'databend_all') THEN
		CREATE ROLE databend_all NOLOGIN;
	END IF;
	EXECUTE pg_catalog.format('GRANT CREATE, TEMPORARY ON DATABASE %I TO databend_all', pg_catalog.current_database());
END $$;
GRANT pg_read_all_data, pg_write_all_data TO databend_all;
ALTER SCHEMA "default" OWNER TO databend_all;

-- Integers of ranges that PostgreSQL has no type for.
DO $$
BEGIN
	IF pg_catalog.to_regtype('databend.tinyint') IS NULL THEN
		CREATE DOMAIN databend.tinyint AS smallint CHECK (VALUE BETWEEN -128 AND 127);
		CREATE DOMAIN databend.tinyint_unsigned AS smallint CHECK (VALUE BETWEEN 0 AND 255);
		CREATE DOMAIN databend.smallint_unsigned AS integer CHECK (VALUE BETWEEN 0 AND 65535);
		CREATE DOMAIN databend.int_unsigned AS bigint CHECK (VALUE BETWEEN 0 AND 4294967295);
		CREATE DOMAIN databend.bigint_unsigned AS numeric(20, 0) CHECK (VALUE BETWEEN 0 AND 18446744073709551615);
	END IF;
END $$;

-- 3 / 2 is 1.5; of two decimals it is a decimal. With integers on both sides the second one is meant.
CREATE OR REPLACE FUNCTION databend.divide(numeric, numeric) RETURNS numeric
	LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT $1 / $2';
CREATE OR REPLACE FUNCTION databend.divide(double precision, double precision) RETURNS double precision
	LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT $1 / $2';
CREATE OR REPLACE FUNCTION databend.div(numeric, numeric) RETURNS bigint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT pg_catalog.div($1, $2)::bigint';
CREATE OR REPLACE FUNCTION databend.div(double precision, double precision) RETURNS bigint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT pg_catalog.trunc($1 / $2)::bigint';
CREATE OR REPLACE FUNCTION databend.round(numeric, integer) RETURNS numeric
	LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT pg_catalog.round($1, $2)';
CREATE OR REPLACE FUNCTION databend.round(double precision, integer) RETURNS double precision
	LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT pg_catalog.round($1::numeric, $2)::double precision';

CREATE OR REPLACE FUNCTION databend.numbers(bigint, OUT number bigint) RETURNS SETOF bigint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1000 AS 'SELECT pg_catalog.generate_series(0, $1 - 1)';

-- How many borders of the unit lie between two moments.
CREATE OR REPLACE FUNCTION databend.date_diff(unit text, earlier timestamptz, later timestamptz) RETURNS bigint
	LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT CASE lower(unit)
		WHEN 'year' THEN extract(year FROM later) - extract(year FROM earlier)
		WHEN 'quarter' THEN (extract(year FROM later) - extract(year FROM earlier)) * 4
			+ extract(quarter FROM later) - extract(quarter FROM earlier)
		WHEN 'month' THEN (extract(year FROM later) - extract(year FROM earlier)) * 12
			+ extract(month FROM later) - extract(month FROM earlier)
		WHEN 'week' THEN (date_trunc('week', later)::date - date_trunc('week', earlier)::date) / 7
		WHEN 'day' THEN later::date - earlier::date
		WHEN 'hour' THEN extract(epoch FROM date_trunc('hour', later) - date_trunc('hour', earlier)) / 3600
		WHEN 'minute' THEN extract(epoch FROM date_trunc('minute', later) - date_trunc('minute', earlier)) / 60
		WHEN 'second' THEN extract(epoch FROM date_trunc('second', later) - date_trunc('second', earlier))
	END::bigint $$;

CREATE OR REPLACE FUNCTION databend.version() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$SELECT 'Databend Query v1.2.780-nightly-0000000(rust-1.80)'$$;
CREATE OR REPLACE FUNCTION databend.account() RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE AS $$SELECT pg_catalog.quote_literal(current_user) || '@''%'''$$;

-- Names of types. `name` is SQL's (INT), else the one in results (Int32).
CREATE OR REPLACE FUNCTION databend.type_name(type oid, modifier integer, sql boolean) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT CASE
		WHEN t.typcategory = 'A' AND t.typelem = 'numeric'::regtype AND modifier < 4 THEN CASE WHEN sql THEN 'ARRAY(VARCHAR)' ELSE 'Array(String)' END
		WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN
			CASE WHEN sql THEN 'ARRAY(' ELSE 'Array(' END || databend.type_name(t.typelem, modifier, sql) || ')'
		WHEN type = 'numeric'::regtype AND modifier >= 4 THEN
			CASE WHEN sql THEN 'DECIMAL(' ELSE 'Decimal(' END || ((modifier - 4) >> 16) || ', ' || ((modifier - 4) & 65535) || ')'
		ELSE coalesce((SELECT CASE WHEN sql THEN n.sql_name ELSE n.name END
			FROM (VALUES ('boolean', 'BOOLEAN', 'Boolean'), ('smallint', 'SMALLINT', 'Int16'), ('integer', 'INT', 'Int32'),
				('bigint', 'BIGINT', 'Int64'), ('real', 'FLOAT', 'Float32'), ('double precision', 'DOUBLE', 'Float64'),
				('numeric', 'DECIMAL', 'Decimal'), ('date', 'DATE', 'Date'),
				('timestamp with time zone', 'TIMESTAMP', 'Timestamp'), ('timestamp without time zone', 'TIMESTAMP', 'Timestamp'),
				('interval', 'INTERVAL', 'Interval'), ('bytea', 'BINARY', 'Binary'),
				('jsonb', 'VARIANT', 'Variant'), ('json', 'VARIANT', 'Variant'), ('databend.tinyint', 'TINYINT', 'Int8'),
				('databend.tinyint_unsigned', 'TINYINT UNSIGNED', 'UInt8'), ('databend.smallint_unsigned', 'SMALLINT UNSIGNED', 'UInt16'),
				('databend.int_unsigned', 'INT UNSIGNED', 'UInt32'), ('databend.bigint_unsigned', 'BIGINT UNSIGNED', 'UInt64'))
				AS n (type, sql_name, name)
			WHERE n.type = pg_catalog.format_type(t.oid, NULL)), CASE WHEN sql THEN 'VARCHAR' ELSE 'String' END)
		END
	FROM pg_catalog.pg_type AS t WHERE t.oid = type $$;

CREATE OR REPLACE FUNCTION databend.describe(relation regclass, OUT "Field" text, OUT "Type" text, OUT "Null" text,
		OUT "Default" text, OUT "Extra" text) RETURNS SETOF record
	LANGUAGE sql STABLE AS $$
	SELECT a.attname::text, databend.type_name(a.atttypid, a.atttypmod, true), CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END,
		coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), 'NULL'), ''
	FROM pg_catalog.pg_attribute AS a LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
		AND (pg_catalog.has_table_privilege(relation, 'SELECT, INSERT, UPDATE, DELETE') OR pg_catalog.has_any_column_privilege(relation, 'SELECT'))
	ORDER BY a.attnum $$;

-- GRANT and REVOKE. Nothing is checked here that PostgreSQL does not check: the caller grants.
-- A database of one who may do all belongs to all such: each of them can drop it, and what is in it.
CREATE OR REPLACE FUNCTION databend.share_database(name text) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = name) IS DISTINCT FROM current_user THEN
		RETURN;
	ELSIF pg_has_role('databend_all', 'MEMBER') THEN
		EXECUTE format('ALTER SCHEMA %I OWNER TO databend_all', name);
	ELSE
		EXECUTE format('GRANT ALL ON SCHEMA %I TO databend_all', name);
	END IF;
END $$;

CREATE OR REPLACE PROCEDURE databend.change_privileges(granting boolean, privileges text, database text, relation text, grantee text)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	verb text := CASE WHEN granting THEN 'GRANT' ELSE 'REVOKE' END;
	preposition text := CASE WHEN granting THEN 'TO' ELSE 'FROM' END;
	wanted text[] := string_to_array(privileges, ',');
	of_tables text;
	creator text;
BEGIN
	IF 'ALL' = ANY (wanted) THEN
		of_tables := 'ALL';
	ELSE
		SELECT string_agg(p, ', ') INTO of_tables FROM unnest(wanted) AS p WHERE p IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE');
	END IF;
	IF relation IS NOT NULL THEN
		IF of_tables IS NULL OR (of_tables <> 'ALL' AND wanted && ARRAY['CREATE', 'USAGE']) THEN
			RAISE EXCEPTION 'illegal grant: % on a table', privileges USING ERRCODE = '0LP01';
		END IF;
		EXECUTE format('%s %s ON TABLE %I.%I %s %I', verb, of_tables, database, relation, preposition, grantee);
		IF granting THEN
			EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', database, grantee);
		END IF;
		RETURN;
	END IF;
	IF database IS NOT NULL THEN
		IF of_tables = 'ALL' OR 'CREATE' = ANY (wanted) THEN
			EXECUTE format('%s CREATE ON SCHEMA %I %s %I', verb, database, preposition, grantee);
		END IF;
		IF granting THEN
			EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', database, grantee);
		ELSIF of_tables = 'ALL' OR 'USAGE' = ANY (wanted) THEN
			EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM %I', database, grantee);
		END IF;
		IF of_tables IS NOT NULL THEN
			EXECUTE format('%s %s ON ALL TABLES IN SCHEMA %I %s %I', verb, of_tables, database, preposition, grantee);
			-- and of tables made later, by any who can make some there now and for whom the caller may speak
			FOR creator IN SELECT rolname FROM pg_roles WHERE has_schema_privilege(rolname, database, 'CREATE')
				AND pg_has_role(oid, 'MEMBER') AND rolname NOT LIKE 'pg\_%' LOOP
				EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I %s %s ON TABLES %s %I',
					creator, database, verb, of_tables, preposition, grantee);
			END LOOP;
		END IF;
		RETURN;
	END IF;
	IF of_tables = 'ALL' THEN
		EXECUTE format('%s databend_all %s %I', verb, preposition, grantee);
		RETURN;
	END IF;
	IF 'SELECT' = ANY (wanted) THEN
		EXECUTE format('%s pg_read_all_data %s %I', verb, preposition, grantee);
	END IF;
	IF wanted @> ARRAY['INSERT', 'UPDATE', 'DELETE'] THEN
		EXECUTE format('%s pg_write_all_data %s %I', verb, preposition, grantee);
	ELSIF wanted && ARRAY['INSERT', 'UPDATE', 'DELETE'] THEN
		RAISE EXCEPTION 'INSERT, UPDATE and DELETE on *.* are not supported one without the others' USING ERRCODE = '0A000';
	END IF;
	IF 'CREATE' = ANY (wanted) THEN
		EXECUTE format('%s CREATE ON DATABASE %I %s %I', verb, current_database(), preposition, grantee);
	END IF;
END $$;

-- The relation without a database is in the current one.
CREATE OR REPLACE PROCEDURE databend.grant_privileges(privileges text, database text, relation text, grantee text)
	LANGUAGE plpgsql AS $$
BEGIN
	CALL databend.change_privileges(true, privileges, CASE WHEN relation IS NULL THEN database
		ELSE coalesce(database, current_schema()::text) END, relation, grantee);
END $$;
CREATE OR REPLACE PROCEDURE databend.revoke_privileges(privileges text, database text, relation text, grantee text)
	LANGUAGE plpgsql AS $$
BEGIN
	CALL databend.change_privileges(false, privileges, CASE WHEN relation IS NULL THEN database
		ELSE coalesce(database, current_schema()::text) END, relation, grantee);
END $$;

-- What the user owns goes to whoever drops him; what was granted to him is taken back.
CREATE OR REPLACE PROCEDURE databend.drop_user(name text, if_exists boolean)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
		EXECUTE format('REASSIGN OWNED BY %I TO CURRENT_USER', name);
		EXECUTE format('DROP OWNED BY %I', name);
		EXECUTE format('DROP ROLE %I', name);
	ELSIF NOT if_exists THEN
		RAISE EXCEPTION 'role "%" does not exist', name USING ERRCODE = 'undefined_object';
	END IF;
END $$;

-- system and information_schema: what the reader may see.
CREATE OR REPLACE VIEW databend_system.databases AS
	SELECT 'default'::text AS catalog, n.nspname::text AS name, n.oid::bigint AS database_id,
		pg_catalog.pg_get_userbyid(n.nspowner)::text AS owner
	FROM pg_catalog.pg_namespace AS n
	WHERE n.nspname NOT IN ('freshet', 'databend', 'databend_system', 'databend_information_schema', 'information_schema', 'sys', 'blob')
		AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT LIKE 'crate\_%' AND n.nspname NOT LIKE 'mz\_%'
		AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
	UNION ALL SELECT 'default', x, 0, NULL FROM (VALUES ('system'), ('information_schema')) AS v (x);

CREATE OR REPLACE VIEW databend_system.tables AS
	SELECT 'default'::text AS catalog, n.nspname::text AS database, c.relname::text AS name, c.oid::bigint AS table_id,
		CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED_VIEW' ELSE 'FUSE' END AS engine, ''::text AS engine_full,
		''::text AS cluster_by, ''::text AS is_transient, NULL::timestamptz AS created_on, NULL::timestamptz AS dropped_on,
		c.reltuples::bigint AS num_rows, coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), '') AS comment,
		pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
		CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'BASE TABLE' END AS table_type, c.oid AS relation
	FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
		JOIN databend_system.databases AS d ON d.name = n.nspname
	WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
		AND (pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE') OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT'));

CREATE OR REPLACE VIEW databend_system.views AS
	SELECT catalog, database, name, engine, pg_catalog.pg_get_viewdef(relation) AS view_query, owner
	FROM databend_system.tables WHERE table_type = 'VIEW';

CREATE OR REPLACE VIEW databend_system.columns AS
	SELECT a.attname::text AS name, t.database, t.name AS table, databend.type_name(a.atttypid, a.atttypmod, false) AS type,
		databend.type_name(a.atttypid, a.atttypmod, true) AS data_type, ''::text AS default_kind,
		coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') AS default_expression,
		CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable,
		coalesce(pg_catalog.col_description(a.attrelid, a.attnum), '') AS comment, a.attnum::integer AS position
	FROM databend_system.tables AS t JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.relation
		LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	WHERE a.attnum > 0 AND NOT a.attisdropped;

CREATE OR REPLACE VIEW databend_system.users AS
	SELECT rolname::text AS name, '%'::text AS hostname, 'sha256_password'::text AS auth_type FROM pg_catalog.pg_roles
	WHERE rolcanlogin AND pg_catalog.pg_has_role(oid, 'MEMBER');
CREATE OR REPLACE VIEW databend_system.roles AS
	SELECT rolname::text AS name FROM pg_catalog.pg_roles
	WHERE NOT rolcanlogin AND rolname NOT LIKE 'pg\_%' AND pg_catalog.pg_has_role(oid, 'MEMBER');
CREATE OR REPLACE VIEW databend_system.functions AS
	SELECT DISTINCT p.proname::text AS name, p.prokind = 'a' AS is_aggregate FROM pg_catalog.pg_proc AS p
	WHERE p.pronamespace = 'pg_catalog'::regnamespace;
CREATE OR REPLACE VIEW databend_system.processes AS
	SELECT pid::text AS id, 'HTTPQuery'::text AS type, usename::text AS "user", state AS status, query AS extra_info
	FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend';
CREATE OR REPLACE VIEW databend_system.temporary_tables AS
	SELECT 'default'::text AS catalog, n.nspname::text AS database, c.relname::text AS name, 'MEMORY'::text AS engine
	FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
	WHERE c.relkind = 'r' AND n.oid = pg_catalog.pg_my_temp_schema();

CREATE OR REPLACE VIEW databend_information_schema.schemata AS
	SELECT catalog AS catalog_name, name AS schema_name, owner AS schema_owner FROM databend_system.databases;
CREATE OR REPLACE VIEW databend_information_schema.tables AS
	SELECT database AS table_catalog, database AS table_schema, name AS table_name, table_type, engine, created_on AS create_time,
		dropped_on AS drop_time, NULL::bigint AS data_length, NULL::bigint AS index_length, num_rows AS table_rows,
		NULL::bigint AS auto_increment, NULL::text AS table_collation, NULL::bigint AS data_free, comment AS table_comment
	FROM databend_system.tables;
CREATE OR REPLACE VIEW databend_information_schema.views AS
	SELECT database AS table_catalog, database AS table_schema, name AS table_name, view_query AS view_definition
	FROM databend_system.views;
CREATE OR REPLACE VIEW databend_information_schema.columns AS
	SELECT database AS table_catalog, database AS table_schema, "table" AS table_name, name AS column_name,
		position AS ordinal_position, NULLIF(default_expression, '') AS column_default, comment AS column_comment,
		is_nullable AS nullable, is_nullable, lower(data_type) AS data_type, lower(data_type) AS column_type, ''::text AS extra,
		default_expression AS "default"
	FROM databend_system.columns;

GRANT SELECT ON ALL TABLES IN SCHEMA databend_system, databend_information_schema TO PUBLIC;
