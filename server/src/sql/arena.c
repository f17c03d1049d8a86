/*-------------------------------------------------------------------------
 *
 * arena.c
 *	  Memory that is freed all at once, and text that grows inside it.
 *
 *-------------------------------------------------------------------------
 */
#include "sql/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK 4096
#define ARENA_ALIGN 16

struct ArenaBlock
{
	ArenaBlock *next;
	size_t used;
	size_t size;
	_Alignas(ARENA_ALIGN) char data[];
};

/* Memory for size bytes, aligned for anything. */
void *
arena_alloc(Arena *arena, size_t size)
{
	ArenaBlock *block = arena->blocks;
	void *result;

	if (size > SIZE_MAX / 2)
		abort();
	size = (size + ARENA_ALIGN - 1) & ~(size_t) (ARENA_ALIGN - 1);
	if (block == NULL || block->size - block->used < size)
	{
		size_t room = size > ARENA_BLOCK ? size : ARENA_BLOCK;

		block = malloc(sizeof(ArenaBlock) + room);
		if (block == NULL)
		{
			fputs("freshet: out of memory\n", stderr);
			abort();
		}
		block->used = 0;
		block->size = room;
		block->next = arena->blocks;
		arena->blocks = block;
	}
	result = block->data + block->used;
	block->used += size;
	return result;
}

/* A zero-terminated copy of length bytes. */
char *
arena_copy(Arena *arena, const char *data, size_t length)
{
	char *copy = arena_alloc(arena, length + 1);

	memcpy(copy, data, length);
	copy[length] = '\0';
	return copy;
}

/* vprintf into the arena. */
char *
arena_vprintf(Arena *arena, const char *format, va_list arguments)
{
	va_list again;
	char *result;
	int length;

	va_copy(again, arguments);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length < 0)
		abort();
	result = arena_alloc(arena, (size_t) length + 1);
	vsnprintf(result, (size_t) length + 1, format, arguments);
	return result;
}

/* printf into the arena. */
char *
arena_printf(Arena *arena, const char *format, ...)
{
	va_list arguments;
	char *result;

	va_start(arguments, format);
	result = arena_vprintf(arena, format, arguments);
	va_end(arguments);
	return result;
}

/* Free everything that was taken from the arena. */
void
arena_reset(Arena *arena)
{
	while (arena->blocks != NULL)
	{
		ArenaBlock *next = arena->blocks->next;

		free(arena->blocks);
		arena->blocks = next;
	}
}

/* An empty text whose memory comes from the arena. */
void
text_init(Text *text, Arena *arena)
{
	text->arena = arena;
	text->capacity = 240;
	text->data = arena_alloc(arena, text->capacity);
	text->data[0] = '\0';
	text->length = 0;
}

/* Append length bytes. */
void
text_append_bytes(Text *text, const char *data, size_t length)
{
	if (text->capacity - text->length <= length)
	{
		size_t capacity = 2 * text->capacity + length;
		char *grown = arena_alloc(text->arena, capacity);

		memcpy(grown, text->data, text->length);
		text->data = grown;
		text->capacity = capacity;
	}
	memcpy(text->data + text->length, data, length);
	text->length += length;
	text->data[text->length] = '\0';
}

/* Append a zero-terminated string. */
void
text_append(Text *text, const char *string)
{
	text_append_bytes(text, string, strlen(string));
}

/* Append as printf would print. */
void
text_printf(Text *text, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	text_append(text, arena_vprintf(text->arena, format, arguments));
	va_end(arguments);
}

/* Append text with every quote character doubled. */
static void
text_doubled(Text *text, const char *string, char quote)
{
	for (; *string != '\0'; string++)
	{
		if (*string == quote)
			text_append_bytes(text, string, 1);
		text_append_bytes(text, string, 1);
	}
}

/* Append a name, always in double quotes. */
void
text_identifier(Text *text, const char *name)
{
	text_append(text, "\"");
	text_doubled(text, name, '"');
	text_append(text, "\"");
}

/* Append the name of something in a schema; without one (NULL), its own alone. */
void
text_qualified(Text *text, const char *schema, const char *name)
{
	if (schema != NULL)
	{
		text_identifier(text, schema);
		text_append(text, ".");
	}
	text_identifier(text, name);
}

/*
 * Append a string literal. With a backslash in it the E form is used, whose
 * meaning does not depend on standard_conforming_strings.
 */
void
text_literal(Text *text, const char *value)
{
	bool escape = strchr(value, '\\') != NULL;

	text_append(text, escape ? " E'" : "'");
	for (; *value != '\0'; value++)
	{
		if (*value == '\'' || *value == '\\')
			text_append_bytes(text, value, 1);
		text_append_bytes(text, value, 1);
	}
	text_append(text, "'");
}
