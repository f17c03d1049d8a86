/*-------------------------------------------------------------------------
 *
 * failure.h
 *	  An error as Databend says it: a code and a text.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_DATABEND_FAILURE_H
#define FRESHET_DATABEND_FAILURE_H

#include <libpq-fe.h>

#include "net/buffer.h"
#include "translate/translate.h"

#define FAILURE_TEXT 1024

typedef struct Failure
{
	int code; /* 0: none */
	char sqlstate[6];
	char text[FAILURE_TEXT];
	char detail[256];
} Failure;

extern void failure_set(Failure *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* By an SQLSTATE, with PostgreSQL's message. */
extern void failure_sqlstate(Failure *error, const char *sqlstate, const char *message);

/* What the translator says of a text; what PostgreSQL says of a statement that was made from it. */
extern void
failure_translation(Failure *error, const TranslateError *problem, const char *text, size_t length);
extern void failure_postgres(Failure *error, const PGresult *result, const Statement *statement,
                             const char *text, size_t length);

/* {"code":…,"message":…} */
extern void failure_write(Buffer *out, const Failure *error);

/* The HTTP status that goes with it: SQL's errors have 200. */
extern int failure_status(const Failure *error);

#endif /* FRESHET_DATABEND_FAILURE_H */
