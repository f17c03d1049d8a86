/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  Does a statement call functions that may read views under its snapshot?
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_READER_H
#define FRESHET_READER_H

#include "postgres.h"

#include "nodes/plannodes.h"

extern bool reader_called(PlannedStmt *statement);
extern bool reader_any(PlannedStmt *statement);
extern void reader_register(void);

#endif /* FRESHET_READER_H */
