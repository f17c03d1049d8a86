/*-------------------------------------------------------------------------
 *
 * csv.h
 *	  CSV as Databend reads it, into the text format of COPY.
 *
 * PostgreSQL's own CSV has one way to write NULL and no other end of a record than that of a line.
 * Here an empty field without quotes, or `\N`, is NULL where the column takes one; in a column of text
 * that does not, the first is the empty text. What is in quotes is never NULL.
 *
 * Invariants:
 *	- Bytes may come in any pieces.
 *	- A field has at most CSV_FIELD_MAX bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_DATABEND_CSV_H
#define FRESHET_DATABEND_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "net/buffer.h"

#define CSV_FIELD_MAX (64 * 1024 * 1024)

typedef struct Csv
{
	/* How it is written. */
	char delimiter;
	char quote;
	char escape; /* in quotes; 0: the quote itself, doubled */
	char record; /* the end of a record; 0: a line's, CR LF or LF */
	long skip;   /* records before the first one that counts */
	int columns;
	const bool *empty_is_text; /* for each column: it is text that is never NULL */

	/* Where it is. */
	int state;
	bool quoted; /* the field has been in quotes */
	int field;
	long record_number; /* from 1 */
	long records;       /* that counted */
	Buffer text;        /* of the field */
	char problem[160];
} Csv;

/* False: `problem` says what is wrong with record `record_number`. */
extern bool csv_feed(Csv *csv, const char *bytes, size_t count, Buffer *out);
extern bool csv_end(Csv *csv, Buffer *out);
extern void csv_free(Csv *csv);

#endif /* FRESHET_DATABEND_CSV_H */
