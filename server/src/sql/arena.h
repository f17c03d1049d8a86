/*-------------------------------------------------------------------------
 *
 * arena.h
 *	  Memory that is freed all at once, and text that grows inside it.
 *
 * Invariants:
 *	- Everything taken from an arena lives until arena_reset.
 *	- An allocation never fails visibly: out of memory ends the process, as
 *	  there is nothing a session could do about it.
 *	- A Text's data is always terminated by a zero byte.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_SQL_ARENA_H
#define FRESHET_SQL_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct ArenaBlock ArenaBlock;

typedef struct Arena
{
	ArenaBlock *blocks;
} Arena;

extern void *arena_alloc(Arena *arena, size_t size);
extern char *arena_copy(Arena *arena, const char *data, size_t length);
extern char *
arena_printf(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern char *arena_vprintf(Arena *arena, const char *format, va_list arguments);
extern void arena_reset(Arena *arena);

/* SQL text under construction. */
typedef struct Text
{
	Arena *arena;
	char *data;
	size_t length;
	size_t capacity;
} Text;

extern void text_init(Text *text, Arena *arena);
extern void text_append(Text *text, const char *string);
extern void text_append_bytes(Text *text, const char *data, size_t length);
extern void text_printf(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern void text_identifier(Text *text, const char *name);
extern void text_qualified(Text *text, const char *schema, const char *name);
extern void text_literal(Text *text, const char *value);

#endif /* FRESHET_SQL_ARENA_H */
