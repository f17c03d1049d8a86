/*-------------------------------------------------------------------------
 *
 * inflate.h
 *	  A body that comes as gzip.
 *
 * Invariant: it is inflated in small pieces; whoever takes them says when there is enough, so a
 * small body that would become a large one costs no more than the limit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_HTTP_INFLATE_H
#define FRESHET_HTTP_INFLATE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Inflater Inflater;

typedef enum InflateResult
{
	INFLATE_GOOD,
	INFLATE_BAD,    /* no gzip */
	INFLATE_STOPPED /* `take` wanted no more */
} InflateResult;

extern Inflater *inflater_make(void);
extern void inflater_free(Inflater *inflater);
extern InflateResult
inflater_feed(Inflater *inflater, const char *bytes, size_t count,
              bool (*take)(void *owner, const char *bytes, size_t count), void *owner);

/* Has all of it come? */
extern bool inflater_ended(const Inflater *inflater);

#endif /* FRESHET_HTTP_INFLATE_H */
