/*-------------------------------------------------------------------------
 *
 * stable.h
 *	  Does a statement call STABLE functions that may read views?
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_STABLE_H
#define FRESHET_STABLE_H

#include "postgres.h"

#include "nodes/plannodes.h"

extern bool stable_called(PlannedStmt *statement);
extern bool stable_any(PlannedStmt *statement);

#endif /* FRESHET_STABLE_H */
