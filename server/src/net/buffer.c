/*-------------------------------------------------------------------------
 *
 * buffer.c
 *	  A run of bytes that is appended to at its end and consumed from its
 *	  front.
 *
 *-------------------------------------------------------------------------
 */
#include "net/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first live byte. */
char *
buffer_data(const Buffer *buffer)
{
	return buffer->memory ? buffer->memory + buffer->start : NULL;
}

/* Room for `more` bytes behind the live ones; the caller adds to length itself. */
char *
buffer_reserve(Buffer *buffer, size_t more)
{
	size_t needed = buffer->length + more;

	if (needed > buffer->capacity - buffer->start || buffer->memory == NULL)
	{
		/* Moving to the front pays only when much of the room is there. */
		if (needed <= buffer->capacity && buffer->start >= buffer->capacity / 2)
		{
			memmove(buffer->memory, buffer->memory + buffer->start, buffer->length);
		}
		else
		{
			size_t capacity = buffer->capacity > BUFFER_KEEP ? buffer->capacity : BUFFER_KEEP;
			char *memory;

			while (capacity < needed)
				capacity *= 2;
			memory = malloc(capacity);
			if (memory == NULL)
			{
				fprintf(stderr, "freshet: out of memory\n");
				abort();
			}
			if (buffer->length > 0)
				memcpy(memory, buffer->memory + buffer->start, buffer->length);
			free(buffer->memory);
			buffer->memory = memory;
			buffer->capacity = capacity;
		}
		buffer->start = 0;
	}
	return buffer->memory + buffer->start + buffer->length;
}

/* Add a copy of these bytes at the end. */
void
buffer_append(Buffer *buffer, const void *bytes, size_t count)
{
	if (count == 0)
		return;
	memcpy(buffer_reserve(buffer, count), bytes, count);
	buffer->length += count;
}

/* Append formatted text. */
void
buffer_printf(Buffer *buffer, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	buffer_reserve(buffer, (size_t) length + 1);
	va_start(arguments, format);
	vsnprintf(buffer_data(buffer) + buffer->length, (size_t) length + 1, format, arguments);
	va_end(arguments);
	buffer->length += (size_t) length;
}

/* Drop bytes from the front; an emptied buffer gives big memory back. */
void
buffer_consume(Buffer *buffer, size_t count)
{
	buffer->start += count;
	buffer->length -= count;
	if (buffer->length == 0)
		buffer_clear(buffer);
}

/* Drop everything, and memory beyond BUFFER_KEEP. */
void
buffer_clear(Buffer *buffer)
{
	if (buffer->capacity > BUFFER_KEEP)
		buffer_free(buffer);
	buffer->start = 0;
	buffer->length = 0;
}

/* Drop everything, memory too; the buffer may be used again. */
void
buffer_free(Buffer *buffer)
{
	free(buffer->memory);
	memset(buffer, 0, sizeof *buffer);
}

/* A copy of a string. */
char *
copy_string(const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
	{
		fprintf(stderr, "freshet: out of memory\n");
		abort();
	}
	return copy;
}

/* See buffer.h. */
void
free_secret(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}
