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
#include "nodes/bitmapset.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

/* What became of a row. */
typedef enum BulkFate
{
	BULK_SAME,     /* it has the image that is wanted already */
	BULK_REPLACED, /* its new version is at tid, and indexes lead to it as before */
	BULK_MOVED,    /* its new version is at tid, and has index entries of its own */
	BULK_DELETED,  /* its new version, if one is wanted, has to be inserted */
	BULK_ELSEWHERE /* it is not at tid, and nothing was done */
} BulkFate;

/* A row to be replaced or deleted: the live one at tid. */
typedef struct BulkRow
{
	ItemPointerData tid;
	BulkFate fate;
	void *owner; /* the caller's */
} BulkRow;

/*
 * How to write. is_old tells whether a version is the one that is meant; NULL:
 * all of them are. wanted gives a row's new version, which stays until written or
 * single is told of the row; NULL: it is to be deleted. single writes a row that
 * has to be written by itself, or deletes it (wanted NULL), and sets its tid and
 * fate. written, unless NULL, is told of each version replaced or deleted
 * together with others, and of what came in its place (NULL: nothing).
 */
typedef struct BulkWriter
{
	Relation relation; /* locked; nobody else writes it */
	CommandId command;
	Bitmapset *indexed; /* attributes in indexes that can change, as RelationGetIndexAttrBitmap */
	bool (*is_old)(BulkRow *row, HeapTuple version, void *context);
	MinimalTuple (*wanted)(BulkRow *row, void *context);
	void (*single)(BulkRow *row, MinimalTuple wanted, void *context);
	void (*written)(BulkRow *row, HeapTuple old, HeapTuple new, void *context);
	void *context;
} BulkWriter;

extern void bulk_write(BulkWriter *writer, BulkRow *rows, int count);

#endif /* FRESHET_BULK_H */
