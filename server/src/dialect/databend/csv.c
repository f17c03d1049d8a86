/*-------------------------------------------------------------------------
 *
 * csv.c
 *	  CSV as Databend reads it, into the text format of COPY.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/databend/csv.h"

#include <stdio.h>
#include <string.h>

typedef enum CsvState
{
	CSV_RECORD, /* nothing of a record has come */
	CSV_FIELD,  /* nothing of a field has come */
	CSV_PLAIN,
	CSV_QUOTED,
	CSV_ESCAPED, /* behind the escape, in quotes */
	CSV_CLOSED,  /* behind a quote in quotes: the end, or one of two */
	CSV_RETURN   /* behind a CR: LF is to come */
} CsvState;

static bool
fail(Csv *csv, const char *what)
{
	snprintf(csv->problem, sizeof csv->problem, "%s", what);
	return false;
}

/* Append a value as COPY's text writes it. */
static void
write_value(Buffer *out, const char *text, size_t length)
{
	size_t from = 0;

	for (size_t i = 0; i < length; i++)
	{
		const char *as = text[i] == '\\'   ? "\\\\"
		                 : text[i] == '\t' ? "\\t"
		                 : text[i] == '\n' ? "\\n"
		                 : text[i] == '\r' ? "\\r"
		                                   : NULL;

		if (as == NULL)
			continue;
		buffer_append(out, text + from, i - from);
		buffer_append(out, as, 2);
		from = i + 1;
	}
	buffer_append(out, text + from, length - from);
}

/* A field is over. */
static bool
end_field(Csv *csv, Buffer *out)
{
	const char *text = csv->text.length > 0 ? buffer_data(&csv->text) : "";
	bool shown = !csv->quoted && csv->text.length == 2 && memcmp(text, "\\N", 2) == 0;
	bool empty = !csv->quoted && csv->text.length == 0;

	if (csv->skip == 0)
	{
		if (csv->field >= csv->columns)
			return fail(csv, "it has more fields than there are columns");
		if (csv->field > 0)
			buffer_append(out, "\t", 1);
		if (shown || (empty && !csv->empty_is_text[csv->field]))
			buffer_append(out, "\\N", 2);
		else
			write_value(out, text, csv->text.length);
	}
	csv->field++;
	csv->quoted = false;
	buffer_clear(&csv->text);
	csv->state = CSV_FIELD;
	return true;
}

/* A record is over, and with it its last field. */
static bool
end_record(Csv *csv, Buffer *out)
{
	if (!end_field(csv, out))
		return false;
	if (csv->skip > 0)
		csv->skip--;
	else
	{
		if (csv->field < csv->columns)
			return fail(csv, "it has fewer fields than there are columns");
		buffer_append(out, "\n", 1);
		csv->records++;
	}
	csv->record_number++;
	csv->field = 0;
	csv->state = CSV_RECORD;
	return true;
}

/* One character of a field. */
static bool
add_character(Csv *csv, char c)
{
	if (csv->text.length >= CSV_FIELD_MAX)
		return fail(csv, "a field is too long");
	buffer_append(&csv->text, &c, 1);
	return true;
}

/* A character outside of quotes. */
static bool
plain_character(Csv *csv, char c, Buffer *out)
{
	if (c == csv->delimiter)
		return end_field(csv, out);
	if (csv->record != 0 ? c == csv->record : c == '\n')
		return end_record(csv, out);
	if (csv->record == 0 && c == '\r')
	{
		csv->state = CSV_RETURN;
		return true;
	}
	if (csv->state == CSV_CLOSED)
		return fail(csv, "text follows a closing quote");
	if (c == csv->quote && csv->state != CSV_PLAIN)
	{
		csv->state = CSV_QUOTED;
		csv->quoted = true;
		return true;
	}
	csv->state = CSV_PLAIN;
	return add_character(csv, c);
}

/* A character, wherever it is. */
static bool
character(Csv *csv, char c, Buffer *out)
{
	switch ((CsvState) csv->state)
	{
		case CSV_QUOTED:
			if (csv->escape != 0 && c == csv->escape)
				csv->state = CSV_ESCAPED;
			else if (c == csv->quote)
				csv->state = CSV_CLOSED;
			else
				return add_character(csv, c);
			return true;
		case CSV_ESCAPED:
			csv->state = CSV_QUOTED;
			return add_character(csv, c);
		case CSV_CLOSED:
			if (c != csv->quote || csv->escape != 0)
				return plain_character(csv, c, out);
			csv->state = CSV_QUOTED;
			return add_character(csv, c);
		case CSV_RETURN:
			if (c == '\n')
				return end_record(csv, out);
			csv->state = CSV_PLAIN;
			return add_character(csv, '\r') && plain_character(csv, c, out);
		case CSV_RECORD:
			/* an empty line is no record, unless it is one of a single column */
			if (csv->columns > 1 && csv->skip == 0 &&
			    (csv->record != 0 ? c == csv->record : c == '\n' || c == '\r'))
				return true;
			return plain_character(csv, c, out);
		default:
			return plain_character(csv, c, out);
	}
}

bool
csv_feed(Csv *csv, const char *bytes, size_t count, Buffer *out)
{
	for (size_t i = 0; i < count; i++)
		if (!character(csv, bytes[i], out))
			return false;
	return true;
}

bool
csv_end(Csv *csv, Buffer *out)
{
	if (csv->state == CSV_QUOTED || csv->state == CSV_ESCAPED)
		return fail(csv, "a quote is not closed");
	return csv->state == CSV_RECORD || end_record(csv, out);
}

void
csv_free(Csv *csv)
{
	buffer_free(&csv->text);
}
