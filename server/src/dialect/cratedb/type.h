/*-------------------------------------------------------------------------
 *
 * type.h
 *	  PostgreSQL's types as CrateDB numbers and writes them.
 *
 * Values come from PostgreSQL as text, under DateStyle ISO and IntervalStyle postgres.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CRATEDB_TYPE_H
#define FRESHET_CRATEDB_TYPE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "net/buffer.h"

/* How values are written in JSON. */
typedef enum TypeForm
{
	TYPE_TEXT,
	TYPE_NUMBER, /* as it is; null if it is no number (NaN, Infinity) */
	TYPE_BOOLEAN,
	TYPE_JSON,
	TYPE_TIME_POINT, /* milliseconds since 1970 */
	TYPE_TIME_ZONED, /* [microseconds of the day, offset in seconds] */
	TYPE_POINT,      /* [x, y] */
	TYPE_BITS,       /* B'01' */
	TYPE_VECTOR,     /* numbers with blanks between */
	TYPE_NOTHING
} TypeForm;

typedef struct Type
{
	Oid oid;
	Oid array; /* of such elements; 0: none */
	int id;    /* CrateDB's */
	TypeForm form;
} Type;

/* A type nobody knows is text. */
extern const Type *type_find(Oid oid);
/* The type of an array's elements, or NULL. */
extern const Type *type_element(Oid array);

/* CrateDB's number of a type: 4, or [100, 4] for an array. */
extern void type_write_id(Buffer *out, Oid oid);
extern void type_write_value(Buffer *out, Oid oid, const char *text, size_t length);

#endif /* FRESHET_CRATEDB_TYPE_H */
