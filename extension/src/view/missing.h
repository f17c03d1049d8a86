/*-------------------------------------------------------------------------
 *
 * missing.h
 *	  Which indexes a planned delta query uses, what it reads whole, and the
 *	  indexes that would spare it that.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_MISSING_H
#define FRESHET_MISSING_H

#include "postgres.h"

#include "executor/execdesc.h"
#include "nodes/pg_list.h"

/* An index that is not there. */
typedef struct MissingIndex
{
	Oid relid;
	List *attributes; /* of int, ascending */
} MissingIndex;

typedef struct MissingReport
{
	List *used;    /* Oids of indexes, each once */
	List *whole;   /* Oids of relations read from end to end, each once */
	List *missing; /* of MissingIndex * */
} MissingReport;

extern bool missing_worth(Oid relid, List *attributes);
extern void missing_find(QueryDesc *query, MissingReport *report);

#endif /* FRESHET_MISSING_H */
