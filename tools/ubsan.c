/*-------------------------------------------------------------------------
 *
 * ubsan.c
 *	  UndefinedBehaviorSanitizer for an extension of PostgreSQL: this, and the
 *	  whole of the sanitizer's static library, as one shared library that is
 *	  loaded with the server.
 *
 * By itself it would look for its settings in /proc/self/environ, which
 * PostgreSQL has overwritten by then, and would have AddressSanitizer's library
 * take its settings of where to report.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

extern const char *__ubsan_default_options(void);

/* The settings, from the environment that PostgreSQL has kept. */
const char *
__ubsan_default_options(void)
{
	const char *options = getenv("UBSAN_OPTIONS");

	return options != NULL ? options : "";
}
