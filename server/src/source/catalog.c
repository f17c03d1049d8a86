/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  The SQL of the server's catalog of sources; see catalog.h.
 *
 *-------------------------------------------------------------------------
 */
#include "source/catalog.h"

/* What the schema's comment says once all of this is in it. */
#define VERSION "sources of the Freshet server, 2"

const char catalog_look_sql[] = "SELECT to_regclass('freshet_server.source') IS NOT NULL,"
                                " EXISTS (SELECT FROM pg_namespace WHERE nspname = 'freshet_server'"
                                " AND obj_description(oid, 'pg_namespace') = '" VERSION "')";

/*
 * Refuse a schema in which somebody else has, or could put, what the server will
 * call. Its owner, and that of everything in it, is the server's role or a superuser, and only
 * the owner may create in it.
 */
#define CHECK_OURS                                                                                 \
	"DO $check$ DECLARE place oid := (SELECT oid FROM pg_namespace"                                \
	" WHERE nspname = 'freshet_server');"                                                          \
	" BEGIN IF EXISTS (SELECT FROM (SELECT nspowner FROM pg_namespace WHERE oid = place"           \
	" UNION ALL SELECT relowner FROM pg_class WHERE relnamespace = place"                          \
	" UNION ALL SELECT proowner FROM pg_proc WHERE pronamespace = place"                           \
	" UNION ALL SELECT oprowner FROM pg_operator WHERE oprnamespace = place"                       \
	" UNION ALL SELECT typowner FROM pg_type WHERE typnamespace = place"                           \
	" UNION ALL SELECT a.grantee FROM pg_namespace n, aclexplode(n.nspacl) a"                      \
	" WHERE n.oid = place AND a.privilege_type = 'CREATE') others (role)"                          \
	" WHERE role NOT IN (SELECT oid FROM pg_roles WHERE rolsuper OR rolname = current_user))"      \
	" THEN RAISE EXCEPTION 'schema \"freshet_server\" is not the server''s alone'"                 \
	" USING ERRCODE = 'insufficient_privilege',"                                                   \
	" HINT = 'Rename or drop the schema, or what others own in it.';"                              \
	" END IF; END $check$;"

/* The relations of an older catalog, which kept them in a table of their own. */
#define MOVE_OLDER                                                                                 \
	"DO $move$ BEGIN IF to_regclass('freshet_server.source_table') IS NOT NULL THEN"               \
	" DROP VIEW IF EXISTS freshet_server.source_relation;"                                         \
	" DROP FUNCTION IF EXISTS freshet_server.source_advance;"                                      \
	" REVOKE ALL ON freshet_server.source FROM PUBLIC;"                                            \
	" ALTER TABLE freshet_server.source ADD reference text[] NOT NULL DEFAULT '{}',"               \
	"  ADD relation regclass[] NOT NULL DEFAULT '{}';"                                             \
	" UPDATE freshet_server.source s SET (reference, relation) ="                                  \
	"  (SELECT coalesce(array_agg(t.reference ORDER BY t.reference), '{}'),"                       \
	"   coalesce(array_agg(t.relation ORDER BY t.reference), '{}')"                                \
	"   FROM freshet_server.source_table t JOIN pg_class c ON c.oid = t.relation"                  \
	"   WHERE t.source = s.id AND c.relowner = s.owner);"                                          \
	" DROP TABLE freshet_server.source_table; END IF; END $move$;"

/*
 * Whoever makes a source is current_user here: source_check is a trigger without a
 * definer's rights. So code of A that B calls cannot make a source of B's.
 */
#define CHECK_SOURCE                                                                               \
	"CREATE OR REPLACE FUNCTION freshet_server.source_check() RETURNS trigger"                     \
	" LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$ BEGIN"                  \
	" NEW.owner := quote_ident(current_user)::regrole;"                                            \
	" IF NOT has_schema_privilege(NEW.schema::oid, 'CREATE') THEN"                                 \
	"  RAISE EXCEPTION 'permission denied for schema %', NEW.schema"                               \
	"   USING ERRCODE = 'insufficient_privilege'; END IF;"                                         \
	" IF array_ndims(NEW.relation) IS DISTINCT FROM 1"                                             \
	"  OR cardinality(NEW.reference) <> cardinality(NEW.relation) OR EXISTS ("                     \
	"   SELECT FROM unnest(NEW.relation || NEW.progress) r (oid) LEFT JOIN pg_class c"             \
	"   ON c.oid = r.oid WHERE c.relowner IS DISTINCT FROM NEW.owner OR c.relkind <> 'r') THEN"    \
	"  RAISE EXCEPTION 'a source writes into tables of its owner''s'"                              \
	"   USING ERRCODE = 'insufficient_privilege'; END IF;"                                         \
	" IF NEW.scale_factor > " CATALOG_SCALE_FREE " AND NOT pg_has_role("                           \
	"  'pg_write_server_files', 'USAGE') THEN"                                                     \
	"  RAISE EXCEPTION 'permission denied for a scale factor above %', " CATALOG_SCALE_FREE        \
	"   USING ERRCODE = 'insufficient_privilege', HINT = 'Only superusers and members of"          \
	" pg_write_server_files may fill the disk that far.'; END IF;"                                 \
	" RETURN NEW; END $function$;"

/* The owner's sources only, whatever role is set: session_user cannot be changed. */
#define ADVANCE                                                                                    \
	"CREATE OR REPLACE FUNCTION freshet_server.source_advance("                                    \
	" which bigint, from_tick bigint, to_tick bigint, new_state text) RETURNS void"                \
	" LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$ BEGIN" \
	" UPDATE freshet_server.source SET tick = to_tick, state = new_state, error = NULL"            \
	"  WHERE id = which AND tick = from_tick AND owner = quote_ident(session_user)::regrole;"      \
	" IF NOT FOUND THEN"                                                                           \
	"  RAISE EXCEPTION 'the source is gone' USING ERRCODE = '" CATALOG_GONE "';"                   \
	" END IF; END $function$;"

const char catalog_check_sql[] = CHECK_OURS
    /* who dropped all of a source's tables has dropped it */
    "DELETE FROM freshet_server.source WHERE id IN (SELECT id FROM freshet_server.source s"
    " WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = s.progress"
    " OR c.oid = ANY (s.relation)) FOR UPDATE SKIP LOCKED);";

const char catalog_create_sql[] =
    "BEGIN; CREATE SCHEMA IF NOT EXISTS freshet_server;" CHECK_OURS
    "GRANT USAGE ON SCHEMA freshet_server TO PUBLIC;"
    "CREATE TABLE IF NOT EXISTS freshet_server.source ("
    " id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " schema regnamespace NOT NULL,"
    " name text NOT NULL,"
    " owner regrole NOT NULL,"
    " generator text NOT NULL,"
    " interval_ms bigint NOT NULL,"
    " as_of bigint NOT NULL,"
    " up_to bigint,"
    " max_cardinality bigint,"
    " scale_factor double precision,"
    " create_sql text NOT NULL,"
    " progress regclass NOT NULL,"
    " tick bigint NOT NULL DEFAULT -1,"
    " state text NOT NULL DEFAULT '',"
    " error text,"
    " reference text[] NOT NULL,"
    " relation regclass[] NOT NULL,"
    " UNIQUE (schema, name)) WITH (fillfactor = 50);" MOVE_OLDER CHECK_SOURCE ADVANCE
    "CREATE OR REPLACE FUNCTION freshet_server.source_announce() RETURNS trigger LANGUAGE plpgsql"
    " AS $function$ BEGIN NOTIFY " CATALOG_CHANNEL "; RETURN NULL; END $function$;"
    "CREATE OR REPLACE TRIGGER source_check BEFORE INSERT ON freshet_server.source"
    " FOR EACH ROW EXECUTE FUNCTION freshet_server.source_check();"
    "CREATE OR REPLACE TRIGGER source_announce AFTER INSERT OR DELETE ON freshet_server.source"
    " FOR EACH ROW EXECUTE FUNCTION freshet_server.source_announce();"
    "ALTER TABLE freshet_server.source ENABLE ROW LEVEL SECURITY;"
    "DROP POLICY IF EXISTS readers ON freshet_server.source;"
    "DROP POLICY IF EXISTS creator ON freshet_server.source;"
    "DROP POLICY IF EXISTS owners ON freshet_server.source;"
    "CREATE POLICY owners ON freshet_server.source USING (pg_has_role(owner::oid, 'USAGE'));"
    "CREATE OR REPLACE VIEW freshet_server.new_source AS SELECT schema, name, generator,"
    " interval_ms, as_of, up_to, max_cardinality, scale_factor, create_sql, progress, reference,"
    " relation FROM freshet_server.source;"
    "CREATE OR REPLACE VIEW freshet_server.source_relation AS"
    " WITH member AS (SELECT s.*, t.reference AS member, t.relation AS member_relation"
    "  FROM freshet_server.source s, unnest(s.reference, s.relation) t (reference, relation)),"
    " entry AS (SELECT t.member_relation::oid AS relation, s.id AS source,"
    "  'load-generator'::text AS kind, s.schema::oid AS schema, s.name, s.create_sql,"
    "  NULL::text AS parent, s.owner, coalesce(t.member_relation, s.progress)::oid AS shown"
    "  FROM freshet_server.source s"
    "  LEFT JOIN member t ON t.id = s.id AND t.member = lower(s.generator)"
    "  UNION ALL SELECT c.oid, s.id, 'subsource', c.relnamespace, c.relname, NULL, s.name,"
    "  s.owner, c.oid FROM member s JOIN pg_class c ON c.oid = s.member_relation"
    "  WHERE s.member <> lower(s.generator)"
    "  UNION ALL SELECT c.oid, s.id, 'progress', c.relnamespace, c.relname, NULL, s.name,"
    "  s.owner, c.oid FROM freshet_server.source s JOIN pg_class c ON c.oid = s.progress)"
    " SELECT relation, source, kind, schema, name,"
    " CASE WHEN pg_has_role(owner::oid, 'USAGE') THEN create_sql END AS create_sql, parent"
    " FROM entry WHERE pg_has_role(owner::oid, 'USAGE') OR has_table_privilege(shown, 'SELECT');"
    "REVOKE ALL ON ALL TABLES IN SCHEMA freshet_server FROM PUBLIC;"
    "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA freshet_server FROM PUBLIC;"
    "GRANT SELECT, DELETE ON freshet_server.source TO PUBLIC;"
    "GRANT INSERT ON freshet_server.new_source TO PUBLIC;"
    "GRANT SELECT ON freshet_server.source_relation TO PUBLIC;"
    "GRANT EXECUTE ON FUNCTION freshet_server.source_advance TO PUBLIC;"
    "COMMENT ON SCHEMA freshet_server IS '" VERSION "';"
    "COMMIT;";

const char catalog_list_sql[] =
    "SELECT s.id, r.rolname, s.generator, s.interval_ms, s.as_of, coalesce(s.up_to, -1),"
    " coalesce(s.max_cardinality, -1), coalesce(s.scale_factor, 0.01), s.tick, s.state"
    " FROM freshet_server.source s JOIN pg_roles r ON r.oid = s.owner WHERE ";

const char catalog_table_sql[] =
    "SELECT t.reference, n.nspname, c.relname FROM freshet_server.source s,"
    " unnest(s.reference || NULL, s.relation || s.progress) WITH ORDINALITY t (reference, "
    "relation, n)"
    " JOIN pg_class c ON c.oid = t.relation JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ";

const char catalog_table_order[] = " ORDER BY t.n;";
