/*-------------------------------------------------------------------------
 *
 * point.h
 *	  Points at which a test can hold a process, to make a race happen.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_POINT_H
#define FRESHET_POINT_H

#include "postgres.h"

/* Hold this process here while a test wants it; costs one branch otherwise. */
#define DEBUG_POINT(name)                                                                          \
	do                                                                                             \
	{                                                                                              \
		if (unlikely(debug_points))                                                                \
			debug_point(name);                                                                     \
	} while (0)

extern bool debug_points; /* GUC freshet.debug_points */

extern void debug_point(const char *name);

#endif /* FRESHET_POINT_H */
