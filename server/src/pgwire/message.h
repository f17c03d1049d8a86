/*-------------------------------------------------------------------------
 *
 * message.h
 *	  Messages of PostgreSQL's protocol 3.0: reading the fields of one,
 *	  building one. No input or output happens here.
 *
 * Invariants:
 *	- A WireReader never looks outside its message. Once a field did not fit,
 *	  `failed` stays set and every further read gives zero or NULL, so a caller
 *	  may read a whole message and check once.
 *	- A message built between wire_begin and wire_end has a right length word.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_MESSAGE_H
#define FRESHET_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/buffer.h"

/* The type byte and the length word in front of every message but the first. */
#define WIRE_HEADER 5

/* One message without its header: complete, unless something is missing. */
typedef struct WireMessage
{
	char type;
	const char *body;
	uint32_t length;  /* of the body, as far as it is there */
	uint32_t missing; /* bytes of a large body that nobody keeps */
} WireMessage;

typedef struct WireReader
{
	const char *at;
	const char *end;
	bool failed;
} WireReader;

extern void wire_read(WireReader *reader, const WireMessage *message);
extern uint8_t wire_read_byte(WireReader *reader);
extern uint16_t wire_read_int16(WireReader *reader);
extern uint32_t wire_read_int32(WireReader *reader);
extern const char *wire_read_string(WireReader *reader);
extern const char *wire_read_bytes(WireReader *reader, size_t count);
extern bool wire_read_done(const WireReader *reader);

extern size_t wire_begin(Buffer *out, char type);
extern void wire_add_byte(Buffer *out, uint8_t value);
extern void wire_add_int16(Buffer *out, uint16_t value);
extern void wire_add_int32(Buffer *out, uint32_t value);
extern void wire_add_string(Buffer *out, const char *text);
extern void wire_add_bytes(Buffer *out, const void *bytes, size_t count);
extern void wire_end(Buffer *out, size_t begun);

/* What an ErrorResponse or a NoticeResponse says; NULL fields are left out. */
typedef struct WireError
{
	const char *severity; /* NULL means ERROR */
	const char *sqlstate;
	const char *message;
	const char *detail;
	const char *hint;
	const char *position; /* in the client's text, in characters from 1 */
} WireError;

extern void wire_add_error(Buffer *out, const WireError *error);
extern void wire_add_notice(Buffer *out, const WireError *notice);
extern bool wire_error_field(const WireMessage *message, char field, const char **value);

#endif /* FRESHET_MESSAGE_H */
