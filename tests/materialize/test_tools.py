"""What tools ask before they show anything, in the shape they ask it: at each door the answers are PostgreSQL's own."""

import psycopg2
import pytest

# {0}: the schema; what is asked first, what names a relation, and what reads it
METABASE = [
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED", "SHOW TRANSACTION ISOLATION LEVEL", "SHOW timezone",
    "SELECT nspname AS table_schem, NULL AS table_catalog FROM pg_catalog.pg_namespace WHERE nspname <> 'pg_toast' AND"
    " (nspname !~ '^pg_temp_' OR nspname = (pg_catalog.current_schemas(true))[1]) AND nspname !~ '^pg_toast_temp_' ORDER BY 1",
    "SELECT NULL AS table_cat, n.nspname AS table_schem, c.relname AS table_name, CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN"
    " 'PARTITIONED TABLE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' END AS table_type,"
    " d.description AS remarks FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid"
    " LEFT JOIN pg_catalog.pg_description d ON c.oid = d.objoid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass"
    " WHERE n.nspname LIKE '{0}' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 4, 2, 3",
    "SELECT c.column_name AS name, c.udt_name AS \"database-type\", c.ordinal_position - 1 AS \"database-position\", c.table_schema,"
    " c.table_name, pk.column_name IS NOT NULL AS \"pk?\", col_description(format('%I.%I', c.table_schema, c.table_name)::regclass,"
    " c.ordinal_position) AS comment, (c.column_default IS NULL OR lower(c.column_default) = 'null') AND c.is_nullable = 'NO' AS required"
    " FROM information_schema.columns c LEFT JOIN (SELECT tc.table_schema, tc.table_name, kc.column_name FROM"
    " information_schema.table_constraints tc JOIN information_schema.key_column_usage kc USING (constraint_name, table_schema, table_name)"
    " WHERE tc.constraint_type = 'PRIMARY KEY') pk USING (table_schema, table_name, column_name) WHERE c.table_schema !~"
    " '^information_schema|catalog_history|pg_' AND c.table_schema = '{0}' UNION ALL SELECT pa.attname, format_type(pa.atttypid, pa.atttypmod),"
    " pa.attnum - 1, pn.nspname, pc.relname, false, NULL, false FROM pg_catalog.pg_class pc JOIN pg_catalog.pg_namespace pn"
    " ON pn.oid = pc.relnamespace JOIN pg_catalog.pg_attribute pa ON pa.attrelid = pc.oid AND pa.attnum > 0 WHERE pc.relkind = 'm'"
    " AND pn.nspname = '{0}' ORDER BY 4, 5, 3",
    "SELECT fk_ns.nspname, fk_table.relname, fk_column.attname, pk_table.relname FROM pg_constraint c JOIN pg_class fk_table"
    " ON c.conrelid = fk_table.oid JOIN pg_namespace fk_ns ON c.connamespace = fk_ns.oid JOIN pg_attribute fk_column"
    " ON c.conrelid = fk_column.attrelid JOIN pg_class pk_table ON c.confrelid = pk_table.oid WHERE c.contype = 'f'::\"char\""
    " AND fk_column.attnum = ANY (c.conkey) AND fk_ns.nspname = '{0}' ORDER BY 1, 2",
    "WITH table_privileges AS (SELECT NULL AS role, t.schemaname AS schema, t.objectname AS \"table\", pg_catalog.has_table_privilege("
    "current_user, '\"' || t.schemaname || '\".\"' || t.objectname || '\"', 'SELECT') AS \"select\" FROM (SELECT schemaname, tablename AS"
    " objectname FROM pg_catalog.pg_tables UNION SELECT schemaname, viewname FROM pg_catalog.pg_views UNION SELECT schemaname,"
    " matviewname FROM pg_catalog.pg_matviews) t WHERE t.schemaname = '{0}') SELECT * FROM table_privileges ORDER BY 2, 3",
]
GRAFANA = [
    "SELECT current_setting('server_version_num')::int / 100", "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'",
    "SELECT CASE WHEN table_schema = '{0}' THEN quote_ident(table_name) ELSE quote_ident(table_schema) || '.' || quote_ident(table_name)"
    " END AS \"table\" FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog',"
    " '_timescaledb_cache', '_timescaledb_catalog') AND table_schema IN (SELECT CASE WHEN trim(s[i]) = '\"$user\"' THEN user ELSE trim(s[i])"
    " END FROM generate_series(array_lower(string_to_array(current_setting('search_path'), ','), 1), array_upper(string_to_array("
    "current_setting('search_path'), ','), 1)) AS i, string_to_array(current_setting('search_path'), ',') s) ORDER BY 1",
    "SELECT quote_ident(column_name) AS \"column\", data_type AS \"type\" FROM information_schema.columns WHERE table_name = 'orders' ORDER BY 1",
    "SELECT floor(extract(epoch FROM at) / 60) * 60 AS \"time\", sum(amount) AS \"value\" FROM totals_source WHERE at BETWEEN"
    " '2026-01-01T00:00:00Z' AND '2026-12-31T00:00:00Z' GROUP BY 1 ORDER BY 1",
]
DBEAVER = [
    "SET extra_float_digits = 3", "SET application_name = 'DBeaver 24.1.0 - Metadata'", "SELECT current_schema(), session_user", "SHOW search_path",
    "SHOW ALL", "SELECT db.oid, db.* FROM pg_catalog.pg_database db WHERE datallowconn AND NOT datistemplate OR db.datname = 'materialize'",
    "SELECT n.oid, n.*, d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = n.oid"
    " AND d.objsubid = 0 AND d.classoid = 'pg_namespace'::regclass ORDER BY nspname",
    "SELECT c.oid, c.*, d.description, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS partition_expr, pg_catalog.pg_get_partkeydef(c.oid)"
    " AS partition_key FROM pg_catalog.pg_class c LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0 AND"
    " d.classoid = 'pg_class'::regclass WHERE c.relnamespace = '{0}'::regnamespace AND c.relkind NOT IN ('i', 'I', 'c') ORDER BY c.oid",
    "SELECT c.relname, a.*, pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) AS def_value, dsc.description, dep.objid FROM"
    " pg_catalog.pg_attribute a INNER JOIN pg_catalog.pg_class c ON (a.attrelid = c.oid) LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON"
    " (a.attrelid = ad.adrelid AND a.attnum = ad.adnum) LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid = dsc.objoid AND a.attnum ="
    " dsc.objsubid) LEFT OUTER JOIN pg_depend dep ON dep.refobjid = a.attrelid AND dep.deptype = 'i' AND dep.refobjsubid = a.attnum AND"
    " dep.classid = dep.refclassid WHERE NOT a.attisdropped AND c.relkind NOT IN ('i', 'I', 'c') AND c.oid = '{0}.totals'::regclass ORDER BY a.attnum",
    "SELECT pg_catalog.pg_get_viewdef('{0}.totals'::regclass, true)", "SELECT pg_catalog.pg_get_viewdef('{0}.seen'::regclass, true)",
    "SELECT i.*, i.indkey AS keys, c.relname, c.relnamespace, c.relam, c.reltablespace, tc.relname AS tabrelname, dsc.description,"
    " pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS pred_expr, pg_catalog.pg_get_expr(i.indexprs, i.indrelid, true) AS expr,"
    " pg_catalog.pg_relation_size(i.indexrelid) AS index_rel_size FROM pg_catalog.pg_index i INNER JOIN pg_catalog.pg_class c ON"
    " c.oid = i.indexrelid INNER JOIN pg_catalog.pg_class tc ON tc.oid = i.indrelid LEFT OUTER JOIN pg_catalog.pg_description dsc ON"
    " i.indexrelid = dsc.objoid WHERE tc.relnamespace = '{0}'::regnamespace ORDER BY tabrelname, c.relname",
    "SELECT a.oid, a.*, pd.description FROM pg_catalog.pg_roles a LEFT JOIN pg_catalog.pg_shdescription pd ON a.oid = pd.objoid ORDER BY a.rolname",
    "SELECT DISTINCT dep.deptype, dep.classid, cl.oid, cl.relkind, n.nspname, cl.relname FROM pg_depend dep LEFT JOIN pg_class cl ON"
    " dep.objid = cl.oid LEFT JOIN pg_namespace n ON cl.relnamespace = n.oid WHERE dep.refobjid = '{0}.orders'::regclass ORDER BY 3, 1",
    "EXPLAIN (COSTS OFF) SELECT * FROM orders WHERE id = 1",
]


@pytest.fixture
def schema(place):
    place.run("CREATE TABLE customers (id int PRIMARY KEY)",
              "CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, amount numeric DEFAULT 0, at timestamptz)",
              "COMMENT ON TABLE orders IS 'the source of totals'", "INSERT INTO customers VALUES (1)",
              "INSERT INTO orders SELECT g, 1, g, '2026-02-03 04:05:06+00' FROM generate_series(1, 5) g",
              "CREATE VIEW seen AS SELECT id FROM orders", "CREATE VIEW totals_source AS SELECT at, amount FROM orders",
              "CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(amount) AS total FROM orders GROUP BY customer",
              "CREATE UNIQUE INDEX ON totals (customer)")
    place.wait_for("SELECT freshet.verify('totals')", 0)
    return place


def answers(place, door, queries, prepare):
    connection = place.psycopg(door=door)
    found = []
    for query in queries:
        cursor = connection.execute(query.format(place.schema), prepare=prepare)
        found.append((cursor.statusmessage, cursor.description and [(c.name, c.type_code) for c in cursor.description],
                      cursor.description and cursor.fetchall()))
    return found


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("door", ["postgres", "materialize"])
@pytest.mark.parametrize("tool", ["METABASE", "GRAFANA", "DBEAVER"])
def test_introspection(schema, tool, door, prepare):
    queries = globals()[tool]
    ours, theirs = (answers(schema, each, queries, prepare) for each in (door, "native"))
    for query, our, their in zip(queries, ours, theirs):
        if query != "SHOW ALL":  # ports and process ids are in it
            assert our == their, query
        assert our[2] is None or our[2] or "timescaledb" in query, query


COMMENT = '/* {{"app": "dbt", "dbt_version": "1.9.0", "profile_name": "p", "target_name": "dev", "node_id": "model.p.{}"}} */'


class Dbt:
    """dbt-postgres: psycopg2, a BEGIN of its own in the driver's block, names in three parts."""

    def __init__(self, place, door):
        self.place = place
        self.connection = place.psycopg2(door=door)

    def name(self, relation):
        return f'"materialize"."{self.place.schema}"."{relation}"'

    def run(self, *statements):
        with self.connection.cursor() as cursor:
            cursor.execute("BEGIN")
            for statement in statements:
                cursor.execute(COMMENT.format("m") + "\n" + statement)
                found = cursor.fetchall() if cursor.description else None
        self.connection.commit()
        return found

    def relations(self):
        return self.run(f"""
            select 'materialize' as database, tablename as name, schemaname as schema, 'table' as type from pg_tables
            where schemaname ilike '{self.place.schema}'
            union all select 'materialize', viewname, schemaname, 'view' from pg_views where schemaname ilike '{self.place.schema}'
            union all select 'materialize', matviewname, schemaname, 'materialized_view' from pg_matviews
            where schemaname ilike '{self.place.schema}'""")

    def depends(self):
        return self.run("""
            with relation as (select pg_rewrite.ev_class as class, pg_rewrite.oid as id from pg_rewrite),
            class as (select oid as id, relname as name, relnamespace as schema, relkind as kind from pg_class),
            dependency as (select distinct pg_depend.objid as id, pg_depend.refobjid as ref from pg_depend),
            schema as (select pg_namespace.oid as id, pg_namespace.nspname as name from pg_namespace
                       where nspname != 'information_schema' and nspname not like 'pg\\_%%'),
            referenced as (select relation.id as id, referenced_class.name, referenced_class.schema, referenced_class.kind
                           from relation join class as referenced_class on relation.class = referenced_class.id
                           where referenced_class.kind in ('r', 'v', 'm')),
            relationships as (select referenced.name as referenced_name, dependent_class.name as dependent_name
                              from referenced join dependency on referenced.id = dependency.id
                              join class as dependent_class on dependency.ref = dependent_class.id
                              where dependent_class.kind in ('r', 'v', 'm') and referenced.schema = '%s'::regnamespace
                              and (dependent_class.name != referenced.name))
            select distinct * from relationships order by 1, 2""" % self.place.schema)

    def indexes(self, relation):
        return self.run(f"""
            select i.relname as name, m.amname as method, ix.indisunique as "unique", array_to_string(array_agg(a.attname), ',') as column_names
            from pg_index ix join pg_class i on i.oid = ix.indexrelid join pg_am m on m.oid = i.relam join pg_class t on t.oid = ix.indrelid
            join pg_namespace n on n.oid = t.relnamespace join pg_attribute a on a.attrelid = t.oid and a.attnum = any(ix.indkey)
            where t.relname = '{relation}' and n.nspname = '{self.place.schema}' and t.relkind in ('r', 'm') group by 1, 2, 3 order by 1""")


@pytest.mark.parametrize("door", ["postgres", "materialize"])
def test_dbt_materialized_view(place, door):
    """A first run, one with nothing to change, one with other indexes, and a full refresh."""
    place.run("CREATE TABLE raw (k int, v int)", "INSERT INTO raw VALUES (1, 10), (2, 20)")
    dbt = Dbt(place, door)
    m, backup, fresh = (dbt.name(name) for name in ("m", "m__dbt_backup", "m__dbt_tmp"))
    total = f"select k, sum(v) as total from {dbt.name('raw')} group by k"
    dbt.run("select distinct nspname from pg_namespace")
    dbt.run(f'create schema if not exists "{place.schema}"')
    assert ("materialize", "raw", place.schema, "table") in dbt.relations()
    dbt.run(f"drop materialized view if exists {fresh} cascade", f"drop materialized view if exists {backup} cascade",
            f"create materialized view if not exists {m} as {total};",
            f'create unique index if not exists "by_k" on {m} using btree (k)')
    assert ("materialize", "m", place.schema, "materialized_view") in dbt.relations()
    assert ("m", "raw") in dbt.depends()
    assert dbt.indexes("m") == [("by_k", "btree", True, "k")]
    dbt.run(f"refresh materialized view {m}")
    dbt.run(f'drop index if exists "{place.schema}"."by_k"', f'create index if not exists "by_total" on {m} using hash (total)')
    assert dbt.indexes("m") == [("by_total", "hash", False, "total")]
    place.run("INSERT INTO raw VALUES (1, 5)")
    assert dbt.run(f"select total from {m} where k = 1") == [(15,)]
    # a full refresh: what was there is moved aside
    dbt.run(f"create materialized view if not exists {fresh} as {total} having sum(v) > 15;",
            f'alter materialized view {m} rename to "m__dbt_backup"', f'alter materialized view {fresh} rename to "m"',
            f"drop materialized view if exists {backup} cascade")
    assert dbt.run(f"select * from {m}") == [(2, 20)]
    place.run("INSERT INTO raw VALUES (1, 1)")
    assert dbt.run(f"select count(*), freshet.verify('{place.schema}.m') from {m}") == [(2, 0)]
    # a run that fails leaves nothing, as far as its door promises
    with pytest.raises(psycopg2.Error):
        dbt.run("select 1", f"create materialized view {fresh} as select 1 / 0 as x")
    dbt.connection.rollback()
    assert sorted(row[1] for row in dbt.relations()) == ["m", "raw"]
