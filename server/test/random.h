/*-------------------------------------------------------------------------
 *
 * random.h
 *	  Random numbers of the unit tests that make inputs up; `seed` repeats them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_TEST_RANDOM_H
#define FRESHET_TEST_RANDOM_H

#include <stddef.h>
#include <stdint.h>

static uint64_t seed = 1;

/* A number below a limit (xorshift64, Marsaglia 2003). */
static inline size_t
roll(size_t limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t) (seed % limit);
}

#endif /* FRESHET_TEST_RANDOM_H */
