/*-------------------------------------------------------------------------
 *
 * error.h
 *	  An error as CrateDB says it: status, code, the class of its exception, a text.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CRATEDB_ERROR_H
#define FRESHET_CRATEDB_ERROR_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "net/buffer.h"
#include "translate/translate.h"

#define ERROR_TEXT 1024

typedef struct Error
{
	int status;
	int code;
	const char *class;
	char text[ERROR_TEXT];
	bool of_row; /* of a bulk request's row, and not of the whole request */
} Error;

/* What the door itself finds wrong with a request. */
extern void
error_parse(Error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern void
error_unsupported(Error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern void error_server(Error *error, const char *sqlstate, const char *message);

/* What the translator says of a text; what PostgreSQL says of a statement that was made from it. */
extern void
error_translation(Error *error, const TranslateError *problem, const char *text, size_t length);
extern void error_postgres(Error *error, const PGresult *result, const Statement *statement,
                           const char *text, size_t length, const char *user, const char *schema);

/*
 * Does the error name a relation in a schema? Then its name, in ERROR_TEXT bytes; and the same error for a schema that
 * is not there.
 */
extern bool error_find_schema(const Error *error, char schema[ERROR_TEXT]);
extern void error_schema(Error *error);

/* {"message":…,"code":…} */
extern void error_write(Buffer *out, const Error *error);

#endif /* FRESHET_CRATEDB_ERROR_H */
