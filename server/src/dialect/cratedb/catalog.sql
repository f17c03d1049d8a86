-- What CrateDB's clients find in every database: schemas doc and sys, and CrateDB's own information_schema, which
-- the translator puts in the place of PostgreSQL's. Run at every start, as the server's role, in one transaction.

CREATE SCHEMA IF NOT EXISTS doc;
CREATE SCHEMA IF NOT EXISTS sys;
CREATE SCHEMA IF NOT EXISTS crate_information_schema;
GRANT USAGE ON SCHEMA doc, sys, crate_information_schema TO PUBLIC;

CREATE OR REPLACE VIEW sys.cluster AS
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS id, 'crate'::text AS name,
	'freshet'::text AS master_node, NULL::text AS state, NULL::jsonb AS license, '{}'::jsonb AS settings;

CREATE OR REPLACE VIEW sys.nodes AS
SELECT 'freshet'::text AS id, 'freshet'::text AS name, ARRAY['master', 'data']::text[] AS roles, true AS is_master,
	'localhost'::text AS hostname, NULL::text AS rest_url, NULL::jsonb AS port,
	jsonb_build_object('number', '6.1.2', 'build_hash', 'freshet', 'build_snapshot', false) AS version,
	NULL::jsonb AS load, NULL::jsonb AS mem, NULL::jsonb AS heap, NULL::jsonb AS os,
	NULL::jsonb AS os_info, NULL::jsonb AS process, NULL::jsonb AS fs, '{}'::jsonb AS attributes;

-- Heights and prominences in metres; what is not known is null.
CREATE OR REPLACE VIEW sys.summits AS
SELECT mountain::text, height::integer, prominence::integer, coordinates::point, range::text, classification::text,
	region::text, country::text, first_ascent::integer
FROM (VALUES
	('Mont Blanc', 4808, 4695, point(6.86444, 45.8325), 'Mont Blanc massif', NULL, NULL, 'FR/IT', 1786),
	('Dufourspitze', 4634, 2165, point(7.86694, 45.93694), 'Pennine Alps', NULL, NULL, 'CH', 1855),
	('Dom', 4545, 1046, point(7.85861, 46.09389), 'Pennine Alps', NULL, NULL, 'CH', 1858),
	('Liskamm', 4527, 376, point(7.83556, 45.9225), 'Pennine Alps', NULL, NULL, 'CH/IT', 1861),
	('Weisshorn', 4506, 1235, point(7.71611, 46.10139), 'Pennine Alps', NULL, NULL, 'CH', 1861),
	('Täschhorn', 4491, 209, point(7.85694, 46.08389), 'Pennine Alps', NULL, NULL, 'CH', 1862),
	('Matterhorn', 4478, 1042, point(7.65833, 45.97639), 'Pennine Alps', NULL, NULL, 'CH/IT', 1865),
	('Dent Blanche', 4357, 915, point(7.61194, 46.03417), 'Pennine Alps', NULL, NULL, 'CH', 1862),
	('Nadelhorn', 4327, 206, point(7.86417, 46.10889), 'Pennine Alps', NULL, NULL, 'CH', 1858),
	('Grand Combin', 4314, 1517, point(7.29917, 45.9375), 'Pennine Alps', NULL, NULL, 'CH', 1859),
	('Finsteraarhorn', 4274, 2280, point(8.12611, 46.53722), 'Bernese Alps', NULL, NULL, 'CH', 1829),
	('Zinalrothorn', 4221, 491, point(7.69028, 46.06472), 'Pennine Alps', NULL, NULL, 'CH', 1864),
	('Grandes Jorasses', 4208, 841, point(6.98806, 45.86889), 'Mont Blanc massif', NULL, NULL, 'FR/IT', 1868),
	('Alphubel', 4206, 359, point(7.86389, 46.06306), 'Pennine Alps', NULL, NULL, 'CH', 1860),
	('Rimpfischhorn', 4199, 647, point(7.88417, 46.02306), 'Pennine Alps', NULL, NULL, 'CH', 1859),
	('Aletschhorn', 4193, 1043, point(7.99361, 46.46528), 'Bernese Alps', NULL, NULL, 'CH', 1859),
	('Strahlhorn', 4190, 404, point(7.90167, 46.01306), 'Pennine Alps', NULL, NULL, 'CH', 1854),
	('Dent d''Hérens', 4171, 704, point(7.605, 45.96972), 'Pennine Alps', NULL, NULL, 'CH/IT', 1863),
	('Breithorn', 4164, 433, point(7.74889, 45.94111), 'Pennine Alps', NULL, NULL, 'CH/IT', 1813),
	('Jungfrau', 4158, 692, point(7.9625, 46.53667), 'Bernese Alps', NULL, NULL, 'CH', 1811),
	('Bishorn', 4153, NULL, point(7.71472, 46.11806), 'Pennine Alps', NULL, NULL, 'CH', 1884),
	('Aiguille Verte', 4122, 689, point(6.97, 45.93472), 'Mont Blanc massif', NULL, NULL, 'FR', 1865),
	('Mönch', 4107, 591, point(7.99722, 46.55833), 'Bernese Alps', NULL, NULL, 'CH', 1857),
	('Barre des Écrins', 4102, 2045, point(6.35972, 44.92222), 'Dauphiné Alps', NULL, NULL, 'FR', 1864),
	('Schreckhorn', 4078, 795, point(8.11806, 46.59), 'Bernese Alps', NULL, NULL, 'CH', 1861),
	('Ober Gabelhorn', 4063, 534, point(7.66806, 46.03889), 'Pennine Alps', NULL, NULL, 'CH', 1865),
	('Gran Paradiso', 4061, 1888, point(7.26611, 45.51722), 'Graian Alps', NULL, NULL, 'IT', 1860),
	('Aiguille de Bionnassay', 4052, NULL, point(6.81806, 45.83611), 'Mont Blanc massif', NULL, NULL, 'FR/IT', 1865),
	('Piz Bernina', 4049, 2234, point(9.90806, 46.38222), 'Bernina Range', NULL, NULL, 'CH', 1850),
	('Gross Fiescherhorn', 4049, 395, point(8.06111, 46.55139), 'Bernese Alps', NULL, NULL, 'CH', 1862),
	('Gross Grünhorn', 4044, 305, point(8.07778, 46.53194), 'Bernese Alps', NULL, NULL, 'CH', 1865),
	('Weissmies', 4017, 1183, point(8.01194, 46.12778), 'Pennine Alps', NULL, NULL, 'CH', 1855),
	('Dent du Géant', 4013, NULL, point(6.95194, 45.86222), 'Mont Blanc massif', NULL, NULL, 'FR/IT', 1882),
	('Lagginhorn', 4010, 511, point(8.00306, 46.15722), 'Pennine Alps', NULL, NULL, 'CH', 1856),
	('La Meije', 3983, NULL, point(6.30861, 45.00472), 'Dauphiné Alps', NULL, NULL, 'FR', 1877),
	('Grivola', 3969, NULL, point(7.25694, 45.59528), 'Graian Alps', NULL, NULL, 'IT', 1859),
	('Eiger', 3967, NULL, point(8.00528, 46.5775), 'Bernese Alps', NULL, NULL, 'CH', 1858),
	('Mont Pelvoux', 3946, NULL, point(6.39639, 44.89806), 'Dauphiné Alps', NULL, NULL, 'FR', 1848),
	('Bietschhorn', 3934, 807, point(7.85111, 46.39194), 'Bernese Alps', NULL, NULL, 'CH', 1859),
	('Ortler', 3905, 1953, point(10.54472, 46.50889), 'Ortler Alps', NULL, NULL, 'IT', 1804),
	('Aiguille d''Argentière', 3901, NULL, point(7.01972, 45.96056), 'Mont Blanc massif', NULL, NULL, 'FR/CH', 1864),
	('Piz Palü', 3900, NULL, point(9.96028, 46.37806), 'Bernina Range', NULL, NULL, 'CH/IT', 1866),
	('Grande Casse', 3855, NULL, point(6.8275, 45.40528), 'Graian Alps', NULL, NULL, 'FR', 1860),
	('Königspitze', 3851, NULL, point(10.56833, 46.47833), 'Ortler Alps', NULL, NULL, 'IT', 1854),
	('Monte Viso', 3841, 2062, point(7.09083, 44.6675), 'Cottian Alps', NULL, NULL, 'IT', 1861),
	('Mont Dolent', 3820, NULL, point(7.04611, 45.92278), 'Mont Blanc massif', NULL, NULL, 'CH/FR/IT', 1864),
	('Grossglockner', 3798, 2423, point(12.69389, 47.07417), 'Glockner Group', NULL, NULL, 'AT', 1800),
	('Monte Cevedale', 3769, NULL, point(10.61917, 46.44167), 'Ortler Alps', NULL, NULL, 'IT', 1865),
	('Wildspitze', 3768, 2261, point(10.86722, 46.88528), 'Ötztal Alps', NULL, NULL, 'AT', 1861),
	('Weißkugel', 3738, NULL, point(10.72722, 46.79778), 'Ötztal Alps', NULL, NULL, 'AT/IT', 1861),
	('Mont Vélan', 3727, NULL, point(7.25167, 45.89), 'Pennine Alps', NULL, NULL, 'CH/IT', 1779),
	('Balmhorn', 3698, NULL, point(7.69361, 46.42583), 'Bernese Alps', NULL, NULL, 'CH', 1864),
	('Wetterhorn', 3692, NULL, point(8.11528, 46.63889), 'Bernese Alps', NULL, NULL, 'CH', 1844),
	('Monte Disgrazia', 3678, NULL, point(9.74917, 46.26833), 'Bregaglia Range', NULL, NULL, 'IT', 1862),
	('Blüemlisalphorn', 3661, NULL, point(7.7725, 46.48917), 'Bernese Alps', NULL, NULL, 'CH', 1860),
	('Großvenediger', 3657, 1185, point(12.34639, 47.10917), 'Venediger Group', NULL, NULL, 'AT', 1841),
	('Dammastock', 3630, 1466, point(8.42111, 46.64333), 'Urner Alps', NULL, NULL, 'CH', 1864),
	('Tödi', 3613, 1570, point(8.91472, 46.81111), 'Glarus Alps', NULL, NULL, 'CH', 1824),
	('Presanella', 3558, 1676, point(10.66389, 46.22), 'Adamello-Presanella Alps', NULL, NULL, 'IT', 1864),
	('Adamello', 3539, NULL, point(10.49583, 46.15556), 'Adamello-Presanella Alps', NULL, NULL, 'IT', 1864),
	('Hochfeiler', 3510, NULL, point(11.72778, 46.9725), 'Zillertal Alps', NULL, NULL, 'AT/IT', 1865),
	('Zuckerhütl', 3507, NULL, point(11.15389, 46.96444), 'Stubai Alps', NULL, NULL, 'AT', 1863),
	('Rheinwaldhorn', 3402, NULL, point(9.04028, 46.49361), 'Lepontine Alps', NULL, NULL, 'CH', 1789),
	('Marmolada', 3343, 2131, point(11.85083, 46.43472), 'Dolomites', NULL, NULL, 'IT', 1864),
	('Piz Badile', 3308, NULL, point(9.58611, 46.29472), 'Bregaglia Range', NULL, NULL, 'CH/IT', 1867),
	('Tofana di Mezzo', 3244, NULL, point(12.06611, 46.55), 'Dolomites', NULL, NULL, 'IT', 1863),
	('Monte Pelmo', 3168, NULL, point(12.135, 46.42), 'Dolomites', NULL, NULL, 'IT', 1857),
	('Dachstein', 2995, 2136, point(13.60611, 47.47528), 'Dachstein Mountains', NULL, NULL, 'AT', 1832),
	('Zugspitze', 2962, 1746, point(10.98528, 47.42111), 'Wetterstein Mountains', NULL, NULL, 'DE/AT', 1820),
	('Hochkönig', 2941, 2181, point(13.0625, 47.42028), 'Berchtesgaden Alps', NULL, NULL, 'AT', 1826),
	('Triglav', 2864, 2052, point(13.83667, 46.37833), 'Julian Alps', NULL, NULL, 'SI', 1778),
	('Watzmann', 2713, NULL, point(12.92222, 47.55444), 'Berchtesgaden Alps', NULL, NULL, 'DE', 1800)
) AS summit (mountain, height, prominence, coordinates, range, classification, region, country, first_ascent);

-- What CrateDB calls a type, as its SQLAlchemy dialect reads it.
CREATE OR REPLACE FUNCTION crate_information_schema.type_name(type oid) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog
RETURN (
	SELECT CASE
		WHEN item.typname IN ('json', 'jsonb') THEN 'object'
		WHEN item.typname IN ('varchar', 'name', 'unknown') THEN 'text'
		WHEN item.typname = 'bpchar' THEN 'character'
		WHEN item.typname = 'inet' THEN 'ip'
		WHEN item.typname = 'point' THEN 'geo_point'
		ELSE pg_catalog.format_type(item.oid, NULL)
	END || CASE WHEN item.oid <> base.oid THEN '_array' ELSE '' END
	FROM pg_catalog.pg_type t
		JOIN pg_catalog.pg_type base ON base.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
		JOIN pg_catalog.pg_type item ON item.oid = CASE base.typcategory WHEN 'A' THEN base.typelem ELSE base.oid END
	WHERE t.oid = type);

-- Schemas by the names clients know; what is the server's own is not shown.
CREATE OR REPLACE VIEW crate_information_schema.shown AS
SELECT oid, CASE nspname WHEN 'crate_information_schema' THEN 'information_schema' ELSE nspname END::text AS name,
	nspname IN ('crate_information_schema', 'sys', 'pg_catalog') AS system
FROM pg_catalog.pg_namespace
WHERE nspname NOT IN ('information_schema', 'pg_toast', 'freshet', 'freshet_server') AND nspname !~ '^pg_(toast_)?temp_'
	AND pg_catalog.has_schema_privilege(oid, 'USAGE');

CREATE OR REPLACE VIEW crate_information_schema.schemata AS
SELECT name AS schema_name FROM crate_information_schema.shown s
WHERE name <> 'public' OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = s.oid)
UNION ALL SELECT 'blob';

CREATE OR REPLACE VIEW crate_information_schema.tables AS
SELECT 'crate'::text AS table_catalog, s.name AS table_schema, c.relname::text AS table_name,
	CASE WHEN s.system OR c.relkind IN ('r', 'p') THEN 'BASE TABLE' WHEN c.relkind = 'v' THEN 'VIEW'
		WHEN c.relkind = 'm' THEN 'MATERIALIZED VIEW' ELSE 'FOREIGN' END AS table_type,
	1 AS number_of_shards, '0'::text AS number_of_replicas, NULL::text AS clustered_by, NULL::text[] AS partitioned_by,
	NULL::text AS blobs_path, 'strict'::text AS column_policy
FROM pg_catalog.pg_class c JOIN crate_information_schema.shown s ON s.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname <> 'shown'
	AND (pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE')
		OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE'));

CREATE OR REPLACE VIEW crate_information_schema.views AS
SELECT 'crate'::text AS table_catalog, s.name AS table_schema, c.relname::text AS table_name,
	pg_catalog.pg_get_viewdef(c.oid) AS view_definition, 'NONE'::text AS check_option, false AS is_updatable,
	pg_catalog.pg_get_userbyid(c.relowner)::text AS owner
FROM pg_catalog.pg_class c JOIN crate_information_schema.shown s ON s.oid = c.relnamespace
WHERE c.relkind = 'v' AND NOT s.system AND pg_catalog.has_table_privilege(c.oid, 'SELECT');

CREATE OR REPLACE VIEW crate_information_schema.columns AS
SELECT t.table_catalog, t.table_schema, t.table_name, a.attname::text AS column_name, a.attnum::integer AS ordinal_position,
	crate_information_schema.type_name(a.atttypid) AS data_type, NOT a.attnotnull AS is_nullable,
	CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END AS column_default,
	CASE WHEN a.atttypid IN (1042, 1043) AND a.atttypmod > 4 THEN a.atttypmod - 4 END AS character_maximum_length,
	CASE WHEN a.attgenerated = '' THEN 'NEVER' ELSE 'ALWAYS' END AS is_generated,
	CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END AS generation_expression,
	jsonb_build_object('name', a.attname, 'path', '[]'::jsonb) AS column_details
FROM crate_information_schema.tables t
	JOIN crate_information_schema.shown s ON s.name = t.table_schema
	JOIN pg_catalog.pg_class c ON c.relnamespace = s.oid AND c.relname = t.table_name
	JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT, INSERT, UPDATE');

CREATE OR REPLACE VIEW crate_information_schema.table_constraints AS
SELECT 'crate'::text AS constraint_catalog, s.name AS constraint_schema, k.conname::text AS constraint_name,
	'crate'::text AS table_catalog, s.name AS table_schema, c.relname::text AS table_name,
	CASE k.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'CHECK' END AS constraint_type
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
	JOIN crate_information_schema.shown s ON s.oid = c.relnamespace
WHERE k.contype IN ('p', 'c') AND pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE');

-- The primary key and nothing else.
CREATE OR REPLACE VIEW crate_information_schema.key_column_usage AS
SELECT 'crate'::text AS constraint_catalog, s.name AS constraint_schema, k.conname::text AS constraint_name,
	'crate'::text AS table_catalog, s.name AS table_schema, c.relname::text AS table_name,
	a.attname::text AS column_name, key.position::integer AS ordinal_position
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
	JOIN crate_information_schema.shown s ON s.oid = c.relnamespace
	CROSS JOIN LATERAL pg_catalog.unnest(k.conkey) WITH ORDINALITY AS key (attnum, position)
	JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = key.attnum
WHERE k.contype = 'p' AND pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE');

GRANT SELECT ON ALL TABLES IN SCHEMA sys, crate_information_schema TO PUBLIC;
