/*-------------------------------------------------------------------------
 *
 * quarantine.h
 *	  Views at which the worker died.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_QUARANTINE_H
#define FRESHET_QUARANTINE_H

#include "postgres.h"

/*
 * quarantine_enter: a view is being worked on until quarantine_leave. A process
 * that ends by itself has left.
 * quarantine_due: the worker died at this view twice, and no cycle of it was
 * committed in between.
 * quarantine_done: the view's part of a cycle is done; quarantine_settle: that
 * cycle is committed, or has failed.
 */
extern void quarantine_initialize(void);
extern void quarantine_enter(Oid view);
extern void quarantine_leave(void);
extern bool quarantine_due(Oid view);
extern void quarantine_done(Oid view);
extern void quarantine_settle(bool committed);
extern void quarantine_forget(Oid view);
extern void quarantine_remove(Oid dboid);

#endif /* FRESHET_QUARANTINE_H */
