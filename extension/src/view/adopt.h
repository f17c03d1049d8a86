/*-------------------------------------------------------------------------
 *
 * adopt.h
 *	  Which matviews are maintained: made so at their creation, by
 *	  freshet.adopt, and no longer by freshet.release or DROP.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_ADOPT_H
#define FRESHET_ADOPT_H

#include "postgres.h"

#include "nodes/pg_list.h"

/* GUC freshet.strict */
extern bool adopt_strict;

/* took_us: how long the command took that made the view; 0: it did not run its query */
extern void adopt_created(Oid view, int64 took_us);
/* Does a maintained view read what changes without a transaction? */
extern bool adopt_late(Oid view);

/* A matview that was maintained before, with these settings, is so again. */
extern void adopt_again(Oid view, List *settings);
extern void adopt_dropped(Oid view);

#endif /* FRESHET_ADOPT_H */
