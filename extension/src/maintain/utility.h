/*-------------------------------------------------------------------------
 *
 * utility.h
 *	  What Freshet does at utility commands.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_UTILITY_H
#define FRESHET_UTILITY_H

#include "postgres.h"

extern void utility_register(void);

#endif /* FRESHET_UTILITY_H */
