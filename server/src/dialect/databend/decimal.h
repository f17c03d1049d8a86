/*-------------------------------------------------------------------------
 *
 * decimal.h
 *	  Decimals of no fixed scale in an answer.
 *
 * PostgreSQL's numeric has a scale of each value, Databend's Decimal one of the column, and clients take
 * the digits by it: 1.5 of a Decimal(38, 10) is 0.00000000015 to them. So values and the type are
 * written with marks, and when the first page leaves, the most digits in it become the column's scale.
 *
 * Invariants:
 *	- A mark begins with a control character, which JSON has nowhere.
 *	- Once a page has left the scale is fixed: a value with more digits is an error, never rounded.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_DATABEND_DECIMAL_H
#define FRESHET_DATABEND_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

#include "net/buffer.h"

/* So many digits behind the point are expected at least where a page does not show all values. */
#define DECIMAL_SCALE 20
#define DECIMAL_SCALE_MAX 60

typedef struct Decimals
{
	uint16_t *scales; /* of each column of the result */
	bool fixed;
} Decimals;

/* The type of a column, in its place among all. */
extern void decimal_type(Buffer *out, uint16_t column);
/* A value; false: it has more digits than there can be. */
extern bool
decimal_value(Decimals *decimals, Buffer *out, uint16_t column, const char *text, size_t length);

/* A page leaves; `all`: no value will come after it. */
extern void decimal_fix(Decimals *decimals, uint16_t columns, bool all);
/* What was written with marks. */
extern void decimal_write(const Decimals *decimals, Buffer *out, const char *text, size_t length);

#endif /* FRESHET_DATABEND_DECIMAL_H */
