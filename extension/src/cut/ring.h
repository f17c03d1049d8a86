/*-------------------------------------------------------------------------
 *
 * ring.h
 *	  The reading of the change ring without regard to watches; for
 *	  frontier.c. All others use frontier_ring_read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_RING_H
#define FRESHET_RING_H

#include "cut/frontier.h"

extern FrontierChanges frontier_ring_scan(FrontierDatabase *database, Oid relation, uint64 after,
                                          uint64 upto, ItemPointerData **tids, int *count);

#endif /* FRESHET_RING_H */
