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
#include <stdbool.h>
#include <stddef.h>

#include "net/buffer.h"

/* Is it a decimal of no fixed scale? Its type is then known when its values are. */
extern bool type_is_loose(Oid type, int modifier);

/* The name of a type: Int32, Array(String), Decimal(10, 2). */
extern void type_name(Buffer *out, Oid type, int modifier);

/* A value as Databend's text, without quotes. */
extern void type_value(Buffer *out, Oid type, int modifier, const char *text, size_t length);

#endif /* FRESHET_DATABEND_TYPE_H */
