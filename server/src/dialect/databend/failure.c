/*-------------------------------------------------------------------------
 *
 * failure.c
 *	  An error as Databend says it.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/databend/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/json.h"

/* Databend's code for an SQLSTATE, or for a class of them; the first that fits counts. */
static const struct
{
	const char *sqlstate;
	const char *message; /* with which PostgreSQL's begins; NULL: any */
	int code;
} rules[] = {
    {"42601", "INSERT has", 1006},
    {"42601", NULL, 1005},
    {"42883", "operator", 1065},
    {"42883", NULL, 1008},
    {"3F000", NULL, 1003},
    {"42P01", NULL, 1025},
    {"42703", NULL, 1065},
    {"42704", "role", 2201},
    {"42704", "cannot find", 1005},
    {"42704", NULL, 2801},
    {"42710", "role", 2202},
    {"42710", NULL, 2302},
    {"42P06", NULL, 2301},
    {"42P07", NULL, 2302},
    {"42501", NULL, 1063},
    {"42809", NULL, 3905},
    {"0A000", NULL, 1002},
    {"0LP01", NULL, 1061},
    {"23514", NULL, 1133},
    {"23505", NULL, 1133},
    {"23503", NULL, 1133},
    {"23", NULL, 1006},
    {"22P04", NULL, 1046},
    {"22", NULL, 1006},
    {"2BP01", NULL, 1065},
    {"42602", NULL, 2217},
    {"42622", NULL, 1006},
    {"42", NULL, 1065},
    {"25P02", NULL, 4002},
    {"57014", NULL, 1043},
    {"28", NULL, 5100},
    {"53", NULL, 1104},
    {"54", NULL, 1006},
    {"", NULL, 1001},
};

static int
find_code(const char *sqlstate, const char *message)
{
	size_t i = 0;

	while (strncmp(sqlstate, rules[i].sqlstate, strlen(rules[i].sqlstate)) != 0 ||
	       (rules[i].message != NULL &&
	        strncmp(message, rules[i].message, strlen(rules[i].message)) != 0))
		i++;
	return rules[i].code;
}

/* A text that was cut ends with a whole character. */
static void
cut(char *text, size_t size)
{
	size_t end = size - 1;

	while (end > 0 && ((unsigned char) text[end - 1] & 0xc0) == 0x80)
		end--;
	text[end > 0 ? end - 1 : 0] = '\0';
}

void
failure_set(Failure *error, int code, const char *format, ...)
{
	va_list arguments;

	memset(error, 0, sizeof *error);
	error->code = code;
	va_start(arguments, format);
	if (vsnprintf(error->text, sizeof error->text, format, arguments) >= (int) sizeof error->text)
		cut(error->text, sizeof error->text);
	va_end(arguments);
}

void
failure_sqlstate(Failure *error, const char *sqlstate, const char *message)
{
	failure_set(error, find_code(sqlstate, message), "%s", message);
	snprintf(error->sqlstate, sizeof error->sqlstate, "%s", sqlstate);
}

/* The line where it is, with a pointer under it, as rustc draws it. */
static void
point(Failure *error, const char *sqlstate, const char *message, const char *text, size_t length,
      size_t position)
{
	size_t begin = position;
	size_t end = position;
	int line;
	int column;

	while (begin > 0 && text[begin - 1] != '\n')
		begin--;
	while (end < length && text[end] != '\n')
		end++;
	translate_line(text, length, position, &line, &column);
	failure_set(error, find_code(sqlstate, message),
	            "error: \n  --> SQL:%d:%d\n  |\n%d | %.*s\n  | %*s %.300s\n\n", line, column, line,
	            end - begin > 300 ? 300 : (int) (end - begin), text + begin,
	            column > 300 ? 300 : column, "^", message);
	snprintf(error->sqlstate, sizeof error->sqlstate, "%s", sqlstate);
}

void
failure_translation(Failure *error, const TranslateError *problem, const char *text, size_t length)
{
	point(error, problem->sqlstate, problem->message, text, length, problem->position);
}

/* What stands in the first quotes of PostgreSQL's message. */
static const char *
find_name(const char *message, char *name, size_t size)
{
	const char *from = strchr(message, '"');

	snprintf(name, size, "%.*s", from != NULL ? (int) strcspn(from + 1, "\"") : 0,
	         from != NULL ? from + 1 : "");
	return name;
}

void
failure_postgres(Failure *error, const PGresult *result, const Statement *statement,
                 const char *text, size_t length)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
	const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
	char name[256];
	char said[FAILURE_TEXT];

	sqlstate = sqlstate != NULL ? sqlstate : "08006";
	message = message != NULL ? message : PQresultErrorMessage(result);
	find_name(message, name, sizeof name);
	if (strcmp(sqlstate, "42P01") == 0)
		snprintf(said, sizeof said, "Unknown table '%s'", name);
	else if (strcmp(sqlstate, "3F000") == 0)
		snprintf(said, sizeof said, "Unknown database '%s'", name);
	else if (strcmp(sqlstate, "22012") == 0)
		snprintf(said, sizeof said, "divided by zero");
	else if (strcmp(sqlstate, "23502") == 0)
		snprintf(said, sizeof said,
		         "null value in column `%.128s` of table `%.128s` violates not-null constraint",
		         PQresultErrorField(result, PG_DIAG_COLUMN_NAME) != NULL
		             ? PQresultErrorField(result, PG_DIAG_COLUMN_NAME)
		             : name,
		         PQresultErrorField(result, PG_DIAG_TABLE_NAME) != NULL
		             ? PQresultErrorField(result, PG_DIAG_TABLE_NAME)
		             : "");
	else if (strcmp(sqlstate, "42501") == 0)
		snprintf(said, sizeof said, "Permission denied: %s", message);
	else
		snprintf(said, sizeof said, "%s", message);
	if (position != NULL && statement != NULL && strncmp(sqlstate, "42", 2) == 0)
		point(error, sqlstate, said, text, length, translate_position(statement, atoi(position)));
	else
		failure_sqlstate(error, sqlstate, said);
	if (context != NULL && strncmp(context, "COPY ", 5) == 0)
	{
		if (strncmp(sqlstate, "22", 2) == 0)
			error->code = 1046;
		snprintf(error->detail, sizeof error->detail, "%.*s", (int) strcspn(context, "\n"),
		         context);
	}
}

void
failure_write(Buffer *out, const Failure *error)
{
	buffer_printf(out, "{\"code\":%d,\"message\":", error->code);
	json_text(out, error->text, strlen(error->text));
	if (error->detail[0] != '\0')
	{
		json_raw(out, ",\"detail\":");
		json_text(out, error->detail, strlen(error->detail));
	}
	json_raw(out, "}");
}

int
failure_status(const Failure *error)
{
	switch (error->code)
	{
		case 5100:
		case 5101:
		case 5103:
			return 401;
		case 400:
		case 404:
		case 413:
		case 429:
		case 500:
			return error->code;
		default:
			return 200;
	}
}
