/*-------------------------------------------------------------------------
 *
 * buffer.h
 *	  A run of bytes that is appended to at its end and consumed from its
 *	  front.
 *
 * Invariants:
 *	- The live bytes are data[start .. start + length).
 *	- An empty buffer holds no memory beyond BUFFER_KEEP, so an idle session
 *	  costs next to nothing.
 *	- Running out of memory ends the process: the supervisor's PostgreSQL is
 *	  stopped with it and nothing is half done.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_BUFFER_H
#define FRESHET_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#define BUFFER_KEEP 4096

typedef struct Buffer
{
	char *memory;
	size_t start;
	size_t length;
	size_t capacity;
} Buffer;

extern char *buffer_data(const Buffer *buffer);
extern char *buffer_reserve(Buffer *buffer, size_t more);
extern void buffer_append(Buffer *buffer, const void *bytes, size_t count);
extern void
buffer_printf(Buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern void buffer_consume(Buffer *buffer, size_t count);
extern void buffer_clear(Buffer *buffer);
extern void buffer_free(Buffer *buffer);

/* A copy of a string, under the same rule about memory. */
extern char *copy_string(const char *text);

/* Overwrite a copy that is secret, and free it; NULL: there is none. */
extern void free_secret(char *text);

#endif /* FRESHET_BUFFER_H */
