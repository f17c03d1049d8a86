/*-------------------------------------------------------------------------
 *
 * show.c
 *	  SHOW of Materialize as a SELECT over PostgreSQL's catalogs and, for
 *	  sources, the server's own (source/catalog.h).
 *
 * Each form is SELECT columns FROM (base) WHERE filter ORDER BY the columns.
 * The base may have more columns than are shown: WHERE can use them.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/materialize/statement.h"

#include <string.h>

/* Schemas no one made. */
#define SYSTEM_SCHEMAS                                                                             \
	"(n.nspname ~ '^pg_' OR n.nspname IN ('information_schema', 'freshet', 'freshet_server'))"

/*
 * The server's catalog of sources is made in a database with its first source.
 * A query must name it only if it is there, which plain SQL cannot say;
 * query_to_xml takes the query as text.
 */
#define SOURCE_RELATIONS                                                                           \
	"(SELECT x.* FROM xmltable('/table/row' PASSING query_to_xml("                                 \
	"CASE WHEN to_regclass('freshet_server.source_relation') IS NULL"                              \
	" THEN 'SELECT WHERE false'"                                                                   \
	" ELSE 'SELECT relation, source, kind, schema, name, create_sql, parent"                       \
	" FROM freshet_server.source_relation' END, false, false, '')"                                 \
	" COLUMNS relation pg_catalog.oid, source bigint, kind text, schema pg_catalog.oid,"           \
	" name text, create_sql text, parent text) x)"

/* The oid of the first schema of search_path; NULL: there is none. A name is not a regnamespace's text. */
#define CURRENT_SCHEMA                                                                             \
	"(SELECT ns.oid FROM pg_catalog.pg_namespace ns"                                               \
	" WHERE ns.nspname OPERATOR(pg_catalog.=) pg_catalog.current_schema())"

#define COMMENT_OF(object, catalog) "coalesce(obj_description(" object ", '" catalog "'), '')"

typedef struct ShowForm
{
	const char *first;  /* the word behind SHOW */
	const char *second; /* the next one, or NULL */
	const char *columns;
	const char *base;
	const char *scope;   /* what FROM schema restricts, or NULL */
	const char *on;      /* what ON name restricts, or NULL */
	const char *cluster; /* what IN CLUSTER restricts, or NULL */
	const char *order;
} ShowForm;

#define RELATION_SCOPE "schema_id = %s"

static const ShowForm forms[] = {
    {"databases", NULL, "name, comment",
     "SELECT oid, datname::text AS name, coalesce(shobj_description(oid, 'pg_database'), '')"
     " AS comment FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate",
     NULL, NULL, NULL, "1, 2"},
    {"schemas", NULL, "name, comment",
     "SELECT oid, nspname::text AS name, " COMMENT_OF(
         "oid", "pg_namespace") " AS comment"
                                " FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_(toast|temp)'"
                                " AND nspname NOT IN ('freshet', 'freshet_server')",
     NULL, NULL, NULL, "1, 2"},
    {"tables", NULL, "name, comment",
     "SELECT c.oid, c.relname::text AS name, c.relnamespace AS schema_id, s.parent AS "
     "source, " COMMENT_OF("c.oid",
                           "pg_class") " AS comment FROM pg_catalog.pg_class c"
                                       " LEFT JOIN " SOURCE_RELATIONS " s ON s.relation = c.oid"
                                       " WHERE c.relkind IN ('r', 'p', 'f') AND s.relation IS NULL",
     RELATION_SCOPE, "source = %s", NULL, "1, 2"},
    {"sources", NULL, "name, type, cluster, comment",
     "SELECT s.relation AS oid, s.name, s.schema AS schema_id, s.kind AS type,"
     " CASE WHEN s.kind <> 'progress' THEN 'quickstart' END AS cluster,"
     " coalesce(obj_description(s.relation, 'pg_class'), '') AS comment"
     " FROM " SOURCE_RELATIONS " s",
     RELATION_SCOPE, NULL, "cluster = %s", "1, 2, 3, 4"},
    {"subsources", NULL, "name, type",
     "SELECT s.relation AS oid, s.name, s.schema AS schema_id, s.kind AS type, s.parent AS source"
     " FROM " SOURCE_RELATIONS " s WHERE s.kind <> 'load-generator'",
     RELATION_SCOPE, "source = %s", NULL, "1, 2"},
    {"views", NULL, "name, comment",
     "SELECT c.oid, c.relname::text AS name, c.relnamespace AS schema_id, " COMMENT_OF(
         "c.oid", "pg_class") " AS comment"
                              " FROM pg_catalog.pg_class c WHERE c.relkind = 'v'",
     RELATION_SCOPE, NULL, NULL, "1, 2"},
    {"materialized", "views", "name, cluster, comment",
     "SELECT c.oid, c.relname::text AS name, c.relnamespace AS schema_id, 'quickstart' AS "
     "cluster, " COMMENT_OF("c.oid",
                            "pg_class") " AS comment"
                                        " FROM pg_catalog.pg_class c WHERE c.relkind = 'm'",
     RELATION_SCOPE, NULL, "cluster = %s", "1, 2, 3"},
    {"indexes", NULL, "name, \"on\", cluster, key, comment",
     "SELECT c.oid, c.relname::text AS name, t.relname::text AS \"on\", i.indrelid AS on_id,"
     " c.relnamespace AS schema_id, 'quickstart' AS cluster,"
     " (SELECT array_agg(pg_get_indexdef(i.indexrelid, k, true) ORDER BY k)"
     " FROM generate_series(1, i.indnkeyatts) k) AS key, " COMMENT_OF(
         "c.oid", "pg_class") " AS comment"
                              " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = "
                              "i.indexrelid"
                              " JOIN pg_catalog.pg_class t ON t.oid = i.indrelid WHERE t.relkind "
                              "IN ('r', 'p', 'm')",
     RELATION_SCOPE, "on_id = %s::pg_catalog.regclass", "cluster = %s", "1, 2, 3, 4, 5"},
    {"sinks", NULL, "name, type, cluster, comment",
     "SELECT NULL::text AS name, NULL::text AS type, NULL::text AS cluster, NULL::text AS comment,"
     " NULL::pg_catalog.oid AS schema_id WHERE false",
     RELATION_SCOPE, NULL, "cluster = %s", "1, 2, 3, 4"},
    {"connections", NULL, "name, type, comment",
     "SELECT NULL::text AS name, NULL::text AS type, NULL::text AS comment,"
     " NULL::pg_catalog.oid AS schema_id WHERE false",
     RELATION_SCOPE, NULL, NULL, "1, 2, 3"},
    {"secrets", NULL, "name, comment",
     "SELECT NULL::text AS name, NULL::text AS comment, NULL::pg_catalog.oid AS schema_id"
     " WHERE false",
     RELATION_SCOPE, NULL, NULL, "1, 2"},
    {"objects", NULL, "name, type, comment",
     "SELECT c.oid, c.relname::text AS name, c.relnamespace AS schema_id,"
     " CASE WHEN s.relation IS NOT NULL THEN 'source' ELSE CASE c.relkind WHEN 'v' THEN 'view'"
     " WHEN 'm' THEN 'materialized-view' WHEN 'i' THEN 'index' WHEN 'I' THEN 'index'"
     " WHEN 'S' THEN 'sequence' ELSE 'table' END END AS type, " COMMENT_OF(
         "c.oid",
         "pg_class") " AS comment FROM pg_catalog.pg_class c"
                     " LEFT JOIN " SOURCE_RELATIONS " s ON s.relation = c.oid"
                     " WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'i', 'I', 'S')"
                     " UNION ALL SELECT NULL, s.name, s.schema, 'source', '' FROM " SOURCE_RELATIONS
                     " s"
                     " WHERE s.relation IS NULL"
                     " UNION ALL SELECT t.oid, t.typname::text, t.typnamespace, "
                     "'type', " COMMENT_OF(
                         "t.oid",
                         "pg_type") " FROM pg_catalog.pg_type t"
                                    " WHERE t.typtype IN ('d', 'e', 'r') AND t.typrelid = 0"
                                    " UNION ALL SELECT p.oid, p.proname::text, p.pronamespace, "
                                    "'func', " COMMENT_OF("p.oid",
                                                          "pg_proc") " FROM pg_catalog.pg_proc p",
     RELATION_SCOPE, NULL, NULL, "1, 2, 3"},
    {"types", NULL, "name, comment",
     "SELECT t.oid, t.typname::text AS name, t.typnamespace AS schema_id, " COMMENT_OF(
         "t.oid", "pg_type") " AS comment FROM pg_catalog.pg_type t"
                             " LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid"
                             " WHERE t.typcategory <> 'A' AND t.typtype <> 'p'"
                             " AND (t.typrelid = 0 OR c.relkind = 'c')",
     RELATION_SCOPE, NULL, NULL, "1, 2"},
    {"roles", NULL, "name, comment",
     "SELECT oid, rolname::text AS name, coalesce(shobj_description(oid, 'pg_authid'), '')"
     " AS comment FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'",
     NULL, NULL, NULL, "1, 2"},
    {"clusters", NULL, "name, replicas, comment",
     "SELECT 'quickstart'::text AS name, 'r1 (local)'::text AS replicas, ''::text AS comment", NULL,
     NULL, NULL, "1, 2, 3"},
    {"cluster", "replicas", "cluster, replica, size, ready, comment",
     "SELECT 'quickstart'::text AS cluster, 'r1'::text AS replica, 'local'::text AS size,"
     " true AS ready, ''::text AS comment, 'r1'::text AS name",
     NULL, NULL, NULL, "1, 2, 3, 4, 5"},
    {"network", "policies", "name, rules, comment",
     "SELECT NULL::text AS name, NULL::text AS rules, NULL::text AS comment WHERE false", NULL,
     NULL, NULL, "1, 2, 3"},
    {"role", "membership", "role, member, grantor",
     "SELECT r.rolname::text AS role, m.rolname::text AS member, g.rolname::text AS grantor,"
     " r.rolname::text AS name FROM pg_catalog.pg_auth_members a"
     " JOIN pg_catalog.pg_roles r ON r.oid = a.roleid"
     " JOIN pg_catalog.pg_roles m ON m.oid = a.member"
     " LEFT JOIN pg_catalog.pg_roles g ON g.oid = a.grantor WHERE r.rolname !~ '^pg_'",
     NULL, NULL, NULL, "1, 2, 3"},
    {"privileges", NULL, "grantor, grantee, database, schema, name, object_type, privilege_type",
     "SELECT g.rolname::text AS grantor,"
     " CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END AS grantee,"
     " current_database()::text AS database, n.nspname::text AS schema, c.relname::text AS name,"
     " CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized-view' ELSE 'table' END"
     " AS object_type, a.privilege_type"
     " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
     " CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a"
     " LEFT JOIN pg_catalog.pg_roles g ON g.oid = a.grantor"
     " WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND NOT " SYSTEM_SCHEMAS,
     NULL, "object_type = %s", NULL, "1, 2, 3, 4, 5, 6, 7"},
    {"default", "privileges",
     "object_owner, database, schema, object_type, grantee, privilege_type",
     "SELECT pg_get_userbyid(d.defaclrole)::text AS object_owner,"
     " current_database()::text AS database, n.nspname::text AS schema,"
     " CASE d.defaclobjtype WHEN 'r' THEN 'table' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'func'"
     " WHEN 'T' THEN 'type' ELSE 'schema' END AS object_type,"
     " CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END AS grantee,"
     " a.privilege_type, NULL::text AS name FROM pg_catalog.pg_default_acl d"
     " LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace"
     " CROSS JOIN LATERAL aclexplode(d.defaclacl) a",
     NULL, "object_type = %s", NULL, "1, 2, 3, 4, 5, 6"},
};

/* LIKE 'pattern' or WHERE expression, or nothing, up to the end. */
static bool
show_filter(Arena *arena, SqlLexer *lexer, MzStatement *statement, Text *filter)
{
	SqlToken token;

	if (sql_accept(lexer, "like"))
	{
		token = sql_next(lexer);
		if (token.kind != SQL_STRING && token.kind != SQL_PARAMETER)
		{
			mz_syntax_error(arena, statement, token);
			return false;
		}
		text_printf(filter, " AND name LIKE %.*s", (int) token.length, token.start);
	}
	else if (sql_accept(lexer, "where"))
	{
		const char *end = statement->text.start + statement->text.length;

		token = sql_peek(lexer);
		if (token.kind == SQL_END)
		{
			mz_syntax_error(arena, statement, token);
			return false;
		}
		/* the line break ends a comment the expression may end with */
		text_printf(filter, " AND (%.*s\n)", (int) (end - token.start), token.start);
		return true;
	}
	token = sql_peek(lexer);
	if (token.kind != SQL_END)
	{
		mz_syntax_error(arena, statement, token);
		return false;
	}
	return true;
}

/* A name as the SQL literal of its quoted form. */
static char *
name_literal(Arena *arena, const char *schema, const char *name)
{
	Text quoted;
	Text literal;

	text_init(&quoted, arena);
	text_qualified(&quoted, schema, name);
	text_init(&literal, arena);
	text_literal(&literal, quoted.data);
	return literal.data;
}

/* SHOW objects [FROM schema] [ON object] [IN CLUSTER c] [LIKE | WHERE]. */
static bool
show_form(Arena *arena, SqlLexer *lexer, MzStatement *statement, const ShowForm *form)
{
	Text sql;
	Text filter;
	bool scoped = false;
	char *schema;
	char *name;

	text_init(&filter, arena);
	for (;;)
	{
		if (form->cluster != NULL && sql_accept_two(lexer, "in", "cluster"))
		{
			SqlToken token = sql_next(lexer);
			Text literal;

			if (!sql_is_name(token))
			{
				mz_syntax_error(arena, statement, token);
				return true;
			}
			text_init(&literal, arena);
			text_literal(&literal, sql_name(arena, token));
			text_append(&filter, " AND ");
			text_printf(&filter, form->cluster, literal.data);
		}
		else if (strcmp(form->first, "schemas") == 0 &&
		         (sql_accept(lexer, "from") || sql_accept(lexer, "in")))
		{
			if (!sql_is_name(sql_peek(lexer)))
			{
				mz_syntax_error(arena, statement, sql_peek(lexer));
				return true;
			}
			mz_add_name(arena, &statement->databases, sql_name(arena, sql_next(lexer)));
		}
		else if ((form->scope != NULL || form->on != NULL) && !scoped &&
		         (sql_accept(lexer, "from") || sql_accept(lexer, "in")))
		{
			if (!mz_qualified(arena, lexer, statement, &schema, &name))
			{
				mz_syntax_error(arena, statement, sql_peek(lexer));
				return true;
			}
			if (schema != NULL)
				mz_add_name(arena, &statement->databases, schema);
			scoped = true;
			text_append(&filter, " AND ");
			if (form->scope == NULL)
			{
				mz_syntax_error(arena, statement, sql_peek(lexer));
				return true;
			}
			text_printf(&filter, RELATION_SCOPE,
			            arena_printf(arena, "%s::pg_catalog.regnamespace",
			                         name_literal(arena, NULL, name)));
		}
		else if (form->on != NULL && sql_accept(lexer, "on"))
		{
			Text literal;

			if (!mz_qualified(arena, lexer, statement, &schema, &name))
			{
				mz_syntax_error(arena, statement, sql_peek(lexer));
				return true;
			}
			text_init(&literal, arena);
			if (strstr(form->on, "regclass") != NULL)
				text_append(&literal, name_literal(arena, schema, name));
			else
				text_literal(&literal, name);
			scoped = true;
			text_append(&filter, " AND ");
			text_printf(&filter, form->on, literal.data);
		}
		else if (sql_is(sql_peek(lexer), "for") &&
		         (strcmp(form->first, "role") == 0 || form->second != NULL ||
		          strcmp(form->first, "privileges") == 0))
		{
			SqlToken token;
			Text literal;

			sql_next(lexer);
			token = sql_next(lexer);
			if (!sql_is_name(token))
			{
				mz_syntax_error(arena, statement, token);
				return true;
			}
			text_init(&literal, arena);
			text_literal(&literal, sql_name(arena, token));
			text_printf(&filter, " AND %s = %s",
			            strcmp(form->first, "role") == 0 ? "member" : "grantee", literal.data);
		}
		else
			break;
	}
	if (!show_filter(arena, lexer, statement, &filter))
		return true;
	if (form->scope != NULL && !scoped)
		text_append(&filter, " AND schema_id OPERATOR(pg_catalog.=) " CURRENT_SCHEMA);

	text_init(&sql, arena);
	text_printf(&sql, "SELECT %s FROM (%s) show WHERE true%s ORDER BY %s", form->columns,
	            form->base, filter.data, form->order);
	statement->kind = MZ_REWRITTEN;
	statement->rewritten = sql.data;
	return true;
}

/* SHOW COLUMNS FROM object. */
static bool
show_columns(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	Text sql;
	Text filter;
	char *schema;
	char *name;

	if ((!sql_accept(lexer, "from") && !sql_accept(lexer, "in")) ||
	    !mz_qualified(arena, lexer, statement, &schema, &name))
	{
		mz_syntax_error(arena, statement, sql_peek(lexer));
		return true;
	}
	text_init(&filter, arena);
	if (!show_filter(arena, lexer, statement, &filter))
		return true;
	text_init(&sql, arena);
	text_printf(
	    &sql,
	    "SELECT name, nullable, type, comment FROM (SELECT a.attname::text AS name,"
	    " NOT a.attnotnull AS nullable, format_type(a.atttypid, a.atttypmod) AS type,"
	    " coalesce(col_description(a.attrelid, a.attnum), '') AS comment, a.attnum AS position"
	    " FROM pg_catalog.pg_attribute a WHERE a.attrelid = %s::pg_catalog.regclass"
	    " AND a.attnum > 0 AND NOT a.attisdropped) show WHERE true%s ORDER BY position",
	    name_literal(arena, schema, name), filter.data);
	statement->kind = MZ_REWRITTEN;
	statement->rewritten = sql.data;
	return true;
}

/*
 * An error, raised when the query runs, if there is nothing of that kind in `from`. It is
 * that of a name that nothing can have.
 */
static const char *
show_missing(Arena *arena, const char *from, SqlToken kind, const char *name)
{
	Text missing;

	text_init(&missing, arena);
	text_printf(&missing,
	            " UNION ALL SELECT NULL, NULL WHERE CASE WHEN EXISTS (SELECT FROM %s) THEN false"
	            " ELSE CAST(pg_catalog.concat(pg_catalog.quote_ident(",
	            from);
	text_literal(&missing, arena_printf(arena, "%.*s %s", (int) kind.length, kind.start, name));
	text_append(&missing, ")) AS pg_catalog.regclass) IS NULL END");
	return missing.data;
}

/* SHOW CREATE kind name: the name in full and a statement that makes it. */
static bool
show_create(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	SqlToken kind = sql_next(lexer);
	const char *create = NULL;
	const char *relkinds = NULL;
	Text sql;
	char *schema;
	char *name;

	if (sql_is(kind, "materialized") && sql_accept(lexer, "view"))
	{
		relkinds = "'m'";
		create = "'CREATE MATERIALIZED VIEW ' || full_name || ' AS' || E'\\n'"
		         " || pg_get_viewdef(oid, true)";
	}
	else if (sql_is(kind, "view"))
	{
		relkinds = "'v'";
		create = "'CREATE VIEW ' || full_name || ' AS' || E'\\n' || pg_get_viewdef(oid, true)";
	}
	else if (sql_is(kind, "index"))
	{
		relkinds = "'i', 'I'";
		create = "pg_get_indexdef(oid) || ';'";
	}
	else if (sql_is(kind, "table"))
	{
		relkinds = "'r', 'p', 'f'";
		create = "'CREATE TABLE ' || full_name || ' (' || (SELECT string_agg("
		         "quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) ||"
		         " CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END, ', ' ORDER BY a.attnum)"
		         " FROM pg_catalog.pg_attribute a WHERE a.attrelid = show.oid AND a.attnum > 0"
		         " AND NOT a.attisdropped) || ');'";
	}
	else if (!sql_is(kind, "source") && !sql_is(kind, "cluster") && !sql_is(kind, "sink") &&
	         !sql_is(kind, "connection"))
	{
		mz_syntax_error(arena, statement, kind);
		return true;
	}
	if (!mz_qualified(arena, lexer, statement, &schema, &name) || sql_peek(lexer).kind != SQL_END)
	{
		mz_syntax_error(arena, statement, sql_peek(lexer));
		return true;
	}

	text_init(&sql, arena);
	if (relkinds != NULL)
	{
		const char *from = arena_printf(
		    arena,
		    "pg_catalog.pg_class c WHERE c.oid = %s::pg_catalog.regclass AND c.relkind IN (%s)",
		    name_literal(arena, schema, name), relkinds);

		text_printf(&sql,
		            "SELECT name, %s AS create_sql FROM (SELECT c.oid,"
		            " current_database() || '.' || c.schema || '.' || c.relname AS name,"
		            " quote_ident(c.schema) || '.' || quote_ident(c.relname) AS full_name"
		            " FROM (SELECT *, (SELECT n.nspname FROM pg_catalog.pg_namespace n"
		            " WHERE n.oid = c.relnamespace) AS schema FROM %s) c) show%s",
		            create, from, show_missing(arena, from, kind, name));
	}
	else if (sql_is(kind, "source"))
	{
		Text from;

		text_init(&from, arena);
		text_append(&from, SOURCE_RELATIONS " s WHERE s.name = ");
		text_literal(&from, name);
		text_printf(&from, " AND s.schema = %s",
		            schema == NULL ? CURRENT_SCHEMA
		                           : arena_printf(arena, "%s::pg_catalog.regnamespace",
		                                          name_literal(arena, NULL, schema)));
		text_printf(&sql,
		            "SELECT current_database() || '.' || (SELECT n.nspname FROM"
		            " pg_catalog.pg_namespace n WHERE n.oid = s.schema) || '.' || s.name AS name,"
		            " s.create_sql FROM %s%s",
		            from.data, show_missing(arena, from.data, kind, name));
	}
	else if (sql_is(kind, "cluster") && strcmp(name, "quickstart") == 0)
		text_append(&sql, "SELECT 'quickstart'::text AS name,"
		                  " 'CREATE CLUSTER quickstart (SIZE = ''local'')'::text AS create_sql");
	else
	{
		mz_error(
		    statement, "42704",
		    arena_printf(arena, "%.*s \"%s\" does not exist", (int) kind.length, kind.start, name));
		return true;
	}
	statement->kind = MZ_REWRITTEN;
	statement->rewritten = sql.data;
	return true;
}

/*
 * The lexer stands behind SHOW. False: PostgreSQL's (a setting). A form is
 * taken only if what follows its words can belong to it, so that a setting of
 * the same name would still be one.
 */
bool
mz_parse_show(Arena *arena, SqlLexer *lexer, MzStatement *statement)
{
	SqlLexer look = *lexer;
	SqlToken word = sql_next(&look);

	if (sql_is(sql_peek(&look), "."))
		return false;
	if (mz_parse_show_setting(arena, lexer, statement))
		return true;
	if (sql_accept(lexer, "columns"))
		return show_columns(arena, lexer, statement);
	if (sql_accept_two(lexer, "redacted", "create") || sql_accept(lexer, "create"))
		return show_create(arena, lexer, statement);
	word = sql_next(lexer);
	if (sql_is(word, "index") || sql_is(word, "keys"))
		word = (SqlToken){SQL_WORD, "indexes", 7};
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
	{
		if (!sql_is(word, forms[i].first))
			continue;
		if (forms[i].second != NULL && !sql_accept(lexer, forms[i].second))
			continue;
		return show_form(arena, lexer, statement, &forms[i]);
	}
	return false;
}
