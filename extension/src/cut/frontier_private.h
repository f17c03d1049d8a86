/*-------------------------------------------------------------------------
 *
 * frontier_private.h
 *	  What the files of the frontier (frontier.c, wait.c, pin.c, watch.c and
 *	  ring.c) share and show to nobody else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_FRONTIER_PRIVATE_H
#define FRESHET_FRONTIER_PRIVATE_H

#include "cut/frontier.h"
#include "storage/ipc.h"

/* frontier.c: guards the arrays of databases, views and watches */
extern LWLock *frontier_lock;
extern void frontier_at_exit(bool *registered, pg_on_exit_callback callback);

/* wait.c */
extern bool frontier_passed(FrontierView *view, int64 at_ms);

/* watch.c */
extern Size frontier_watch_size(void);
extern void frontier_watch_startup(void);
extern void frontier_watch_forget_worker(FrontierDatabase *database);
extern void frontier_watch_cover(FrontierDatabase *database, const Cut *cut);

/* ring.c: the reading of the change ring without regard to watches */
extern FrontierChanges frontier_ring_scan(FrontierDatabase *database, Oid relation, uint64 after,
                                          uint64 upto, ItemPointerData **tids, int *count);

#endif /* FRESHET_FRONTIER_PRIVATE_H */
