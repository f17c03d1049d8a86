/*-------------------------------------------------------------------------
 *
 * bulk.h
 *	  Replacing and deleting many rows of a heap page by page.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_BULK_H
#define FRESHET_BULK_H

#include "postgres.h"

#include "access/htup.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

/* What became of a row. */
typedef enum BulkFate
{
	BULK_SAME,     /* it has the image that is wanted already */
	BULK_REPLACED, /* its new version is at tid, and indexes lead to it */
	BULK_DELETED   /* its new version, if one is wanted, has to be inserted */
} BulkFate;

/* A live row to be replaced or deleted. */
typedef struct BulkRow
{
	ItemPointerData tid;
	BulkFate fate;
	void *owner; /* the caller's */
} BulkRow;

/*
 * How to write. wanted gives a row's new version in the current memory context;
 * NULL: it is to be deleted. single writes a row that has to be written by
 * itself, and sets its tid and fate. written, unless NULL, is told of each
 * version replaced or deleted and of what came in its place (NULL: nothing).
 */
typedef struct BulkWriter
{
	Relation relation; /* locked; nobody else writes it */
	CommandId command;
	bool hot; /* no index has a column that can change */
	MinimalTuple (*wanted)(BulkRow *row, void *context);
	void (*single)(BulkRow *row, MinimalTuple wanted, void *context);
	void (*written)(BulkRow *row, HeapTuple old, HeapTuple new, void *context);
	void *context;
} BulkWriter;

extern void bulk_write(BulkWriter *writer, BulkRow *rows, int count);

#endif /* FRESHET_BULK_H */
