/*-------------------------------------------------------------------------
 *
 * auto_index.h
 *	  Indexes on users' tables that delta queries lack, and that Freshet is
 *	  allowed to make: for which tables, which, and what became of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_AUTO_INDEX_H
#define FRESHET_AUTO_INDEX_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "view/missing.h"

/* The provider of labels: of tables here, of matviews in remember.c. */
#define AUTO_INDEX_PROVIDER "freshet"

/* An index to be made. */
typedef struct AutoIndex
{
	Oid relid;
	Oid owner;
	char *name;
	char *command;
	char *drop;    /* what removes one that was not finished */
	bool leftover; /* there is such a one */
} AutoIndex;

extern bool auto_index_enabled; /* GUC */

extern void auto_index_register(void);
extern bool auto_index_any(void);
extern bool auto_index_wanted(Oid relid);
extern AutoIndex *auto_index_make(const MissingIndex *missing);
extern void auto_index_begin(const AutoIndex *index);
extern void auto_index_end(const AutoIndex *index, const char *error);
extern void auto_index_forget(void);
extern bool auto_index_made(Oid index);
extern char *auto_index_error(Oid relid);

/* explain.c: what a view's delta queries lack, as MissingIndex * */
extern List *explain_missing_indexes(Oid view);

#endif /* FRESHET_AUTO_INDEX_H */
