/*-------------------------------------------------------------------------
 *
 * type.h
 *	  PostgreSQL's types and values as Databend names and writes them: all values are text.
 *
 * Values come from PostgreSQL as text, under DateStyle ISO and the session's time zone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_DATABEND_TYPE_H
#define FRESHET_DATABEND_TYPE_H

#include <libpq-fe.h>
#include <stddef.h>

#include "net/buffer.h"

/* The name of a type: Int32, Array(String), Decimal(10, 2). */
extern void type_name(Buffer *out, Oid type, int modifier);

/* A value as Databend's text, without quotes. */
extern void type_value(Buffer *out, Oid type, const char *text, size_t length);

#endif /* FRESHET_DATABEND_TYPE_H */
