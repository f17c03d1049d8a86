/*-------------------------------------------------------------------------
 *
 * indexer.h
 *	  What the worker does about indexes that delta queries lack (indexer.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_INDEXER_H
#define FRESHET_INDEXER_H

#include "postgres.h"

extern void indexer_catalogs_changed(void);
extern void indexer_tables_changed(void);
extern void indexer_look(int64 now_ms);
extern void indexer_stop(void);

#endif /* FRESHET_INDEXER_H */
