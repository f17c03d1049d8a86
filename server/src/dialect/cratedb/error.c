/*-------------------------------------------------------------------------
 *
 * error.c
 *	  An error as CrateDB says it.
 *
 * PostgreSQL's message is taken apart only for the name in it, which CrateDB's own texts
 * are built around; clients look for those.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/cratedb/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/json.h"

/* How CrateDB says what PostgreSQL says with an SQLSTATE, or with a class of them. */
typedef struct Rule
{
	const char *sqlstate; /* or its first two letters */
	const char *message;  /* with which PostgreSQL's begins; NULL: any */
	int status;
	int code;
	const char *class;
	const char *text; /* %s: what stands in quotes in PostgreSQL's; NULL: PostgreSQL's */
	bool of_row;
} Rule;

/* The first that fits counts. Codes and classes: CrateDB's SQLExceptions and HttpErrorStatus. */
static const Rule rules[] = {
    {"42P01", NULL, 404, 4041, "RelationUnknown", "Relation '%s' unknown", false},
    {"3F000", NULL, 404, 4045, "SchemaUnknownException", "Schema '%s' unknown", false},
    {"42703", NULL, 404, 4043, "ColumnUnknownException", "Column %s unknown", false},
    {"42883", "function", 400, 4004, "UnsupportedFunctionException", "Unknown function: %s", false},
    {"42883", NULL, 400, 4004, "UnsupportedFunctionException", NULL, false},
    {"42P07", NULL, 409, 4093, "RelationAlreadyExists", "Relation '%s' already exists.", false},
    {"42710", "role", 409, 4099, "RoleAlreadyExistsException", "Role '%s' already exists", false},
    {"42710", NULL, 409, 40910, "ObjectAlreadyExistsException", NULL, false},
    {"42P06", NULL, 409, 40910, "SchemaAlreadyExists", "Schema '%s' already exists.", false},
    {"42704", "role", 404, 40410, "RoleUnknownException", "Role '%s' does not exist", false},
    {"2BP01", NULL, 400, 40013, "DependentObjectsExists", NULL, false},
    {"23505", NULL, 409, 4091, "DuplicateKeyException",
     "A document with the same primary key exists already", true},
    {"23502", NULL, 400, 4000, "SQLParseException", "\"%s\" must not be null", true},
    {"23", NULL, 400, 4000, "SQLParseException", NULL, true},
    {"P0", NULL, 400, 4000, "SQLParseException", NULL, true},
    {"22012", NULL, 500, 5000, "ArithmeticException", "/ by zero", true},
    {"22003", "value \"", 400, 4000, "SQLParseException", NULL, false},
    {"22003", NULL, 500, 5000, "ArithmeticException", NULL, true},
    {"22", NULL, 400, 4000, "SQLParseException", NULL, false},
    {"42702", NULL, 400, 4006, "AmbiguousColumnException", "Column \"%s\" is ambiguous", false},
    {"42939", NULL, 400, 4008, "InvalidColumnNameException", NULL, false},
    {"42809", NULL, 400, 4007, "OperationOnInaccessibleRelationException", NULL, false},
    {"25006", NULL, 400, 4007, "OperationOnInaccessibleRelationException", NULL, false},
    {"0A000", NULL, 400, 4004, "UnsupportedFeatureException", NULL, false},
    {"57014", NULL, 500, 5005, "JobKilledException", NULL, false},
    {"53300", NULL, 429, 4290, "TooManyRequestsException", NULL, false},
    {"42", NULL, 400, 4000, "SQLParseException", NULL, false},
    {"", NULL, 500, 5000, "UnhandledServerException", NULL, false},
};

static const Rule *
find_rule(const char *sqlstate, const char *message)
{
	const Rule *rule = rules;

	while (strncmp(sqlstate, rule->sqlstate, strlen(rule->sqlstate)) != 0 ||
	       (rule->message != NULL && strncmp(message, rule->message, strlen(rule->message)) != 0))
		rule++;
	return rule;
}

/* What stands in the first quotes of a message; where it has none, what is said not to exist. */
static void
find_name(const char *message, char *name, size_t size)
{
	const char *from = strchr(message, '"');
	size_t length;

	if (from != NULL)
		length = strcspn(++from, "\"");
	else
	{
		from = strchr(message, ' ');
		from = from != NULL ? from + 1 : message;
		length = strlen(from);
		if (strstr(from, " does not exist") != NULL)
			length = (size_t) (strstr(from, " does not exist") - from);
	}
	snprintf(name, size, "%.*s", (int) length, from);
}

/* Fill in an error; ends of UTF-8 that do not fit are cut off as a whole. */
static void fill(Error *error, int status, int code, const char *class, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static void
vfill(Error *error, int status, int code, const char *class, const char *format, va_list arguments)
{
	int length = vsnprintf(error->text, sizeof error->text, format, arguments);

	error->status = status;
	error->code = code;
	error->class = class;
	error->of_row = false;
	if (length >= ERROR_TEXT)
	{
		size_t end = ERROR_TEXT - 1;

		while (end > 0 && (error->text[end - 1] & 0xc0) == 0x80)
			end--;
		error->text[end > 0 ? end - 1 : 0] = '\0';
	}
}

static void
fill(Error *error, int status, int code, const char *class, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfill(error, status, code, class, format, arguments);
	va_end(arguments);
}

void
error_parse(Error *error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfill(error, 400, 4000, "SQLParseException", format, arguments);
	va_end(arguments);
}

void
error_unsupported(Error *error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfill(error, 400, 4004, "UnsupportedFeatureException", format, arguments);
	va_end(arguments);
}

void
error_server(Error *error, const char *sqlstate, const char *message)
{
	const Rule *rule = find_rule(sqlstate, message);

	fill(error, rule->status, rule->code, rule->class, "%s", message);
}

/* A syntax error, which is known by the token where it is. */
static void
fill_syntax(Error *error, const char *message, const char *text, size_t length, size_t position)
{
	char token[256];
	int line;
	int column;

	translate_line(text, length, position, &line, &column);
	if (strstr(message, "end of input") != NULL)
		snprintf(token, sizeof token, "<EOF>");
	else
		find_name(message, token, sizeof token);
	if (strncmp(message, "syntax error", 12) == 0 || strncmp(message, "unexpected ", 11) == 0)
		fill(error, 400, 4000, "ParsingException", "line %d:%d: mismatched input '%s'", line,
		     column, token);
	else
		fill(error, 400, 4000, "ParsingException", "line %d:%d: %s", line, column, message);
}

void
error_translation(Error *error, const TranslateError *problem, const char *text, size_t length)
{
	if (strcmp(problem->sqlstate, "42601") == 0)
		fill_syntax(error, problem->message, text, length, problem->position);
	else if (strcmp(problem->sqlstate, "0A000") == 0)
		error_unsupported(error, "%s", problem->message);
	else
		error_parse(error, "%s", problem->message);
}

/* invalid input syntax for type integer: "abc", as CrateDB says it */
static bool
fill_cast(Error *error, const char *message)
{
	static const char begin[] = "invalid input syntax for type ";
	char value[256];
	const char *type = message + sizeof begin - 1;
	size_t length;

	if (strncmp(message, begin, sizeof begin - 1) != 0)
		return false;
	length = strcspn(type, ":");
	find_name(message, value, sizeof value);
	error_parse(error, "Cannot cast value `%s` to type `%.*s`", value, (int) length, type);
	return true;
}

/* What a statement needs the privilege for: CrateDB has one for reading, writing, defining, administering. */
static const char *
privilege(const Statement *statement)
{
	switch (statement != NULL ? statement->kind : STATEMENT_QUERY)
	{
		case STATEMENT_INSERT:
		case STATEMENT_UPDATE:
		case STATEMENT_DELETE:
			return "DML";
		case STATEMENT_DEFINE:
			return strstr(statement->head, "USER") != NULL ||
			               strstr(statement->head, "ROLE") != NULL ||
			               strstr(statement->head, "GRANT") != NULL
			           ? "AL"
			           : "DDL";
		default:
			return "DQL";
	}
}

void
error_postgres(Error *error, const PGresult *result, const Statement *statement, const char *text,
               size_t length, const char *user, const char *schema)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *column = PQresultErrorField(result, PG_DIAG_COLUMN_NAME);
	const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
	const Rule *rule;
	char name[256];

	sqlstate = sqlstate != NULL ? sqlstate : "08006";
	message = message != NULL ? message : PQresultErrorMessage(result);
	if (strcmp(sqlstate, "42601") == 0 && position != NULL && statement != NULL)
	{
		fill_syntax(error, message, text, length, translate_position(statement, atoi(position)));
		return;
	}
	if (strcmp(sqlstate, "42501") == 0)
	{
		fill(error, 401, 4011, "MissingPrivilegeException",
		     "Missing '%s' privilege for user '%s': %s", privilege(statement), user, message);
		return;
	}
	if (fill_cast(error, message))
		return;
	rule = find_rule(sqlstate, message);
	find_name(message, name, sizeof name);
	/* CrateDB names the schema of what is there already */
	if (strcmp(sqlstate, "42P07") == 0 && statement != NULL && strchr(name, '.') == NULL)
	{
		char relation[64];

		snprintf(relation, sizeof relation, "%.63s", name);
		snprintf(name, sizeof name, "%.63s.%s",
		         statement->relation.schema != NULL ? statement->relation.schema : schema,
		         relation);
	}
	if (rule->text == NULL)
		fill(error, rule->status, rule->code, rule->class, "%s", message);
	else
	{
		const char *at = strstr(rule->text, "%s");
		const char *found = column != NULL && strcmp(sqlstate, "23502") == 0 ? column : name;

		fill(error, rule->status, rule->code, rule->class, "%.*s%s%s",
		     at != NULL ? (int) (at - rule->text) : (int) strlen(rule->text), rule->text,
		     at != NULL ? found : "", at != NULL ? at + 2 : "");
	}
	error->of_row = rule->of_row;
}

bool
error_find_schema(const Error *error, char schema[ERROR_TEXT])
{
	const char *name = strchr(error->text, '\'');
	size_t length = name != NULL ? strcspn(++name, ".'") : 0;

	if (error->code != 4041 || name == NULL || name[length] != '.')
		return false;
	snprintf(schema, ERROR_TEXT, "%.*s", (int) length, name);
	return true;
}

void
error_schema(Error *error)
{
	char schema[ERROR_TEXT];

	if (error_find_schema(error, schema))
		fill(error, 404, 4045, "SchemaUnknownException", "Schema '%.512s' unknown", schema);
}

void
error_write(Buffer *out, const Error *error)
{
	char message[ERROR_TEXT + 128];
	int length = snprintf(message, sizeof message, "%s[%s]", error->class, error->text);

	json_raw(out, "{\"message\":");
	json_text(out, message, (size_t) length);
	buffer_printf(out, ",\"code\":%d}", error->code);
}
