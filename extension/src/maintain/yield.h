/*-------------------------------------------------------------------------
 *
 * yield.h
 *	  What ends a cycle early: others who wait for its locks, and the end of
 *	  the postmaster.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_YIELD_H
#define FRESHET_YIELD_H

#include "postgres.h"

#include "storage/lockdefs.h"

extern void yield_initialize(void);
extern bool yield_lock(Oid relation, LOCKMODE mode);
extern bool yield_end(void);

#endif /* FRESHET_YIELD_H */
