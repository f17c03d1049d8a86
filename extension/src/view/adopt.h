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

extern void adopt_created(Oid view);
extern void adopt_dropped(Oid view);

#endif /* FRESHET_ADOPT_H */
