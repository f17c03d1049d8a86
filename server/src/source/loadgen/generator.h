/*-------------------------------------------------------------------------
 *
 * generator.h
 *	  A load generator: tables, what is in them at the start, and what each
 *	  tick adds.
 *
 * Invariants:
 *	- What a generator makes depends on its options, its state and the number of
 *	  the tick alone, but for wall-clock times. The state is a short text that
 *	  is committed together with the rows; so a generator goes on after a crash
 *	  as if nothing had happened.
 *	- Ticks are numbered from 0.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_LOADGEN_GENERATOR_H
#define FRESHET_LOADGEN_GENERATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "net/buffer.h"

#define GENERATOR_TABLES 8
#define GENERATOR_NO_LIMIT (-1)

/* options beyond TICK INTERVAL, AS OF and UP TO, which all of them have */
#define GENERATOR_MAX_CARDINALITY 1
#define GENERATOR_SCALE_FACTOR 2

typedef struct GeneratorOptions
{
	int64_t max_cardinality; /* GENERATOR_NO_LIMIT: none */
	double scale_factor;
} GeneratorOptions;

typedef struct GeneratorTable
{
	const char *name;
	const char *definition; /* columns and keys */
} GeneratorTable;

/* What ticks want done in one transaction. */
typedef struct GeneratorOutput
{
	Buffer rows[GENERATOR_TABLES];           /* lines of COPY text, by table */
	Buffer sql;                              /* runs before the rows are added */
	Buffer after;                            /* runs after that */
	const char *relations[GENERATOR_TABLES]; /* names for sql; NULL: not kept */
	int64_t now;                             /* microseconds since 1970 */
} GeneratorOutput;

typedef struct Generator
{
	const char *name; /* upper case */
	bool single;      /* the source itself is the table */
	int options;
	bool still; /* does nothing after the start unless it has a TICK INTERVAL */
	int table_count;
	GeneratorTable tables[GENERATOR_TABLES];

	/* the state before the first tick */
	const char *start;

	/*
	 * Rows of a table that are there at the start: some from *position on, which
	 * is moved; false when that was all. NULL: all tables start empty.
	 */
	bool (*load)(const GeneratorOptions *options, int table, uint64_t *position, int64_t now,
	             Buffer *rows);

	/* one tick; the state is changed in place */
	void (*tick)(const GeneratorOptions *options, char *state, size_t size, int64_t tick,
	             GeneratorOutput *output);
} Generator;

#define GENERATOR_STATE 128

extern const Generator generator_auction;
extern const Generator generator_clock;
extern const Generator generator_counter;
extern const Generator generator_marketing;
extern const Generator generator_tpch;

/* NULL: there is none of that name */
extern const Generator *generator_find(const char *name);

/* numbers that depend on nothing but where they are used */
extern uint64_t generator_below(uint64_t stream, uint64_t a, uint64_t b, uint64_t bound);

/* COPY text */
extern void
generator_row(Buffer *rows, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern const char *generator_time(int64_t microseconds, char *text);
#define GENERATOR_TIME 40

#endif /* FRESHET_LOADGEN_GENERATOR_H */
