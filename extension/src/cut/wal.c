/*-------------------------------------------------------------------------
 *
 * wal.c
 *	  The end of the WAL, readable before it is flushed.
 *
 * What is to be read has to be written, not flushed: the transaction that tells
 * of having read it comes after it in the WAL, so it is lost, if it is, together
 * with that. Waiting for the disk at each of a thousand cuts a second would make
 * them later, and hold up whoever else needs it. The disk is asked now and then
 * only, because the slot follows the flushed cuts.
 *
 * PostgreSQL writes without flushing as the WAL writer does, whole pages. The
 * last page is filled with a record that says nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xloginsert.h"
#include "access/xlogrecord.h"
#include "access/xlogutils.h"
#include "catalog/pg_control.h"
#include "cut/wal.h"
#include "utils/timestamp.h"

/* While cuts follow each other, the WAL is flushed after so many milliseconds. */
#define FLUSH_INTERVAL_MS 10

/* Insert a record without effect that ends on a later page than this position. */
static void
wal_fill_page(XLogRecPtr position)
{
	static char nothing[XLOG_BLCKSZ];
	int left = XLOG_BLCKSZ - (int) (position % XLOG_BLCKSZ);

	XLogBeginInsert();
	XLogSetRecordFlags(XLOG_MARK_UNIMPORTANT);
	XLogRegisterData(nothing, Max(left - (int) SizeOfXLogRecord, 1));
	(void) XLogInsert(RM_XLOG_ID, XLOG_NOOP);
}

/*
 * Have the WAL written up to upto, which was inserted already, so that
 * wal_read_page finds it; flushed as well, if that has not been done for a
 * while.
 */
void
wal_make_readable(XLogRecPtr upto)
{
	static TimestampTz flushed_at = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (TimestampDifferenceExceeds(flushed_at, now, FLUSH_INTERVAL_MS))
	{
		XLogFlush(upto);
		flushed_at = now;
		return;
	}
	if (GetXLogWriteRecPtr() >= upto)
		return;
	/* others may have filled the page meanwhile */
	if (GetXLogInsertRecPtr() / XLOG_BLCKSZ == (upto - 1) / XLOG_BLCKSZ)
		wal_fill_page(upto);
	(void) XLogBackgroundFlush();
	/* it stops where it is convenient */
	if (GetXLogWriteRecPtr() < upto)
		XLogFlush(upto);
}

/*
 * The WAL reader's callback: as read_local_xlog_page_no_wait (xlogutils.c), but up
 * to what is written.
 */
int
wal_read_page(XLogReaderState *reader, XLogRecPtr page, int length, XLogRecPtr record, char *buffer)
{
	TimeLineID timeline;
	XLogRecPtr wanted = page + length;
	XLogRecPtr flushed = GetFlushRecPtr(&timeline);
	XLogRecPtr written = GetXLogWriteRecPtr();
	WALReadError error;

	if (wanted <= flushed || wanted > written)
		return read_local_xlog_page_no_wait(reader, page, length, record, buffer);
	if (!WALRead(reader, buffer, page, XLOG_BLCKSZ, timeline, &error))
		WALReadRaiseError(&error);
	return (int) Min(written - page, XLOG_BLCKSZ);
}
