/*-------------------------------------------------------------------------
 *
 * generator.c
 *	  The generators there are, and what they share.
 *
 *-------------------------------------------------------------------------
 */
#include "source/loadgen/generator.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const Generator *const generators[] = {&generator_auction, &generator_clock,
                                              &generator_counter, &generator_marketing,
                                              &generator_tpch};

/* The generator of that name, in upper case. */
const Generator *
generator_find(const char *name)
{
	for (size_t i = 0; i < sizeof(generators) / sizeof(generators[0]); i++)
	{
		if (strcmp(generators[i]->name, name) == 0)
			return generators[i];
	}
	return NULL;
}

/* Mix 64 bits (the finalizer of splitmix64). */
static uint64_t
mix(uint64_t x)
{
	x += UINT64_C(0x9E3779B97F4A7C15);
	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

/* A random number for this place. */
static uint64_t
generator_random(uint64_t stream, uint64_t a, uint64_t b)
{
	return mix(mix(mix(stream) ^ a) ^ b);
}

/* A random number for this place, from 0 to bound - 1. */
uint64_t
generator_below(uint64_t stream, uint64_t a, uint64_t b, uint64_t bound)
{
	return generator_random(stream, a, b) % bound;
}

/* Append a line; columns are separated by \t in the format. */
void
generator_row(Buffer *rows, const char *format, ...)
{
	va_list arguments;
	int length;
	char *line;

	va_start(arguments, format);
	length = vasprintf(&line, format, arguments);
	va_end(arguments);
	if (length < 0)
		abort();
	line[length] = '\n'; /* in the place of its zero */
	buffer_append(rows, line, (size_t) length + 1);
	free(line);
}

/* A timestamp with time zone as text. */
const char *
generator_time(int64_t microseconds, char *text)
{
	time_t seconds = (time_t) (microseconds / 1000000);
	struct tm tm;
	size_t length;

	gmtime_r(&seconds, &tm);
	length = strftime(text, GENERATOR_TIME, "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(text + length, GENERATOR_TIME - length, ".%06d+00", (int) (microseconds % 1000000));
	return text;
}
