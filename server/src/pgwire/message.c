/*-------------------------------------------------------------------------
 *
 * message.c
 *	  Messages of PostgreSQL's protocol 3.0: reading the fields of one,
 *	  building one.
 *
 *-------------------------------------------------------------------------
 */
#include "pgwire/message.h"

#include <string.h>

/* Begin to read a message's body. */
void
wire_read(WireReader *reader, const WireMessage *message)
{
	reader->at = message->body;
	reader->end = message->body + message->length;
	reader->failed = false;
}

/* The next `count` bytes, or NULL if there are fewer. */
const char *
wire_read_bytes(WireReader *reader, size_t count)
{
	const char *bytes = reader->at;

	if (reader->failed || (size_t) (reader->end - reader->at) < count)
	{
		reader->failed = true;
		return NULL;
	}
	reader->at += count;
	return bytes;
}

/* One byte; 0 if there is none. */
uint8_t
wire_read_byte(WireReader *reader)
{
	const char *bytes = wire_read_bytes(reader, 1);

	return bytes ? (uint8_t) bytes[0] : 0;
}

/* Two bytes in network order. */
uint16_t
wire_read_int16(WireReader *reader)
{
	const unsigned char *bytes = (const unsigned char *) wire_read_bytes(reader, 2);

	return bytes ? (uint16_t) (bytes[0] << 8 | bytes[1]) : 0;
}

/* Four bytes in network order. */
uint32_t
wire_read_int32(WireReader *reader)
{
	const unsigned char *bytes = (const unsigned char *) wire_read_bytes(reader, 4);

	return bytes ? (uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16 |
	                   (uint32_t) bytes[2] << 8 | bytes[3]
	             : 0;
}

/* A zero-terminated string inside the message, or NULL if it has no end. */
const char *
wire_read_string(WireReader *reader)
{
	const char *text = reader->at;
	const char *end;

	if (reader->failed || reader->at == reader->end ||
	    (end = memchr(text, 0, (size_t) (reader->end - text))) == NULL)
	{
		reader->failed = true;
		return NULL;
	}
	reader->at = end + 1;
	return text;
}

/* Did every field fit, and is nothing left over? */
bool
wire_read_done(const WireReader *reader)
{
	return !reader->failed && reader->at == reader->end;
}

/* Start a message; the result goes to wire_end. */
size_t
wire_begin(Buffer *out, char type)
{
	size_t begun = out->length;

	wire_add_byte(out, (uint8_t) type);
	wire_add_int32(out, 0);
	return begun;
}

/* One byte. */
void
wire_add_byte(Buffer *out, uint8_t value)
{
	buffer_append(out, &value, 1);
}

/* Two bytes in network order. */
void
wire_add_int16(Buffer *out, uint16_t value)
{
	unsigned char bytes[2] = {(unsigned char) (value >> 8), (unsigned char) value};

	buffer_append(out, bytes, sizeof bytes);
}

/* Four bytes in network order. */
void
wire_add_int32(Buffer *out, uint32_t value)
{
	unsigned char bytes[4] = {(unsigned char) (value >> 24), (unsigned char) (value >> 16),
	                          (unsigned char) (value >> 8), (unsigned char) value};

	buffer_append(out, bytes, sizeof bytes);
}

/* A string with its terminating zero. */
void
wire_add_string(Buffer *out, const char *text)
{
	buffer_append(out, text, strlen(text) + 1);
}

/* Bytes as they are. */
void
wire_add_bytes(Buffer *out, const void *bytes, size_t count)
{
	buffer_append(out, bytes, count);
}

/* Finish the message begun at `begun` by writing its length word. */
void
wire_end(Buffer *out, size_t begun)
{
	char *word = buffer_data(out) + begun + 1;
	uint32_t length = (uint32_t) (out->length - begun - 1);

	word[0] = (char) (length >> 24);
	word[1] = (char) (length >> 16);
	word[2] = (char) (length >> 8);
	word[3] = (char) length;
}

/* One field of an error or a notice; an absent one is left out. */
static void
add_field(Buffer *out, char field, const char *value)
{
	if (value == NULL)
		return;
	wire_add_byte(out, (uint8_t) field);
	wire_add_string(out, value);
}

/* The common form of errors and notices. */
static void
add_report(Buffer *out, char type, const WireError *report, const char *severity,
           const char *sqlstate)
{
	size_t begun = wire_begin(out, type);

	severity = report->severity ? report->severity : severity;
	add_field(out, 'S', severity);
	add_field(out, 'V', severity);
	add_field(out, 'C', report->sqlstate ? report->sqlstate : sqlstate);
	add_field(out, 'M', report->message ? report->message : "");
	add_field(out, 'D', report->detail);
	add_field(out, 'H', report->hint);
	add_field(out, 'P', report->position);
	wire_add_byte(out, 0);
	wire_end(out, begun);
}

/* An ErrorResponse. */
void
wire_add_error(Buffer *out, const WireError *error)
{
	add_report(out, 'E', error, "ERROR", "XX000");
}

/* A NoticeResponse. */
void
wire_add_notice(Buffer *out, const WireError *notice)
{
	add_report(out, 'N', notice, "NOTICE", "00000");
}

/* Find one field of an ErrorResponse or NoticeResponse. */
bool
wire_error_field(const WireMessage *message, char field, const char **value)
{
	WireReader reader;

	wire_read(&reader, message);
	for (;;)
	{
		char type = (char) wire_read_byte(&reader);
		const char *text;

		if (type == 0)
			return false;
		text = wire_read_string(&reader);
		if (text == NULL)
			return false;
		if (type == field)
		{
			*value = text;
			return true;
		}
	}
}
