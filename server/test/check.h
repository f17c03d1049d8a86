/*-------------------------------------------------------------------------
 *
 * check.h
 *	  What the unit tests say when something is not as it should be. Each test is
 *	  a program that ends with failure if `failures` is not 0.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CHECK_H
#define FRESHET_CHECK_H

#include <stdio.h>

static int failures;

#define CHECK(condition)                                                                           \
	do                                                                                             \
	{                                                                                              \
		if (!(condition))                                                                          \
		{                                                                                          \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                \
			failures++;                                                                            \
		}                                                                                          \
	} while (0)

/* The program's status, said aloud if it is good. */
static inline int
check_status(const char *program)
{
	if (failures == 0)
		printf("%s: ok\n", program);
	return failures != 0;
}

#endif /* FRESHET_CHECK_H */
