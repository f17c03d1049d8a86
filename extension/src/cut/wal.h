/*-------------------------------------------------------------------------
 *
 * wal.h
 *	  The end of the WAL, readable before it is flushed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_WAL_H
#define FRESHET_WAL_H

#include "postgres.h"

#include "access/xlogreader.h"

extern XLogRecPtr wal_end(void);
extern void wal_make_readable(XLogRecPtr upto);
extern int wal_read_page(XLogReaderState *reader, XLogRecPtr page, int length, XLogRecPtr record,
                         char *buffer);

#endif
