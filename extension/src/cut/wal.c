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
 * PostgreSQL writes without flushing as the WAL writer does: whole pages; and the
 * last page, for commits that nobody waits for, while no whole page is to be
 * flushed. Else a record that says nothing fills the page, if so much was
 * written since the last such record that it does not count.
 *
 * A position that is not the end of a record must never be asked for: the WAL
 * writer PANICs where it is asked to write more than there is.
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

/* Such records are at most this part of the WAL. */
#define FILL_SHARE 8

/*
 * The end of the last record inserted so far. PostgreSQL says where the next
 * one will begin: at the start of a page that is behind the page's header,
 * which is not there yet.
 */
XLogRecPtr
wal_end(void)
{
	XLogRecPtr next = GetXLogInsertRecPtr();

	if (XLogSegmentOffset(next, wal_segment_size) == SizeOfXLogLongPHD)
		return next - SizeOfXLogLongPHD;
	if (next % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		return next - SizeOfXLogShortPHD;
	return next;
}

/*
 * Fill the page that ends with this position with a record without effect.
 * Returns false where there is too little to be written for that, or others
 * have filled the page meanwhile.
 */
static bool
wal_fill_page(XLogRecPtr end)
{
	static char nothing[XLOG_BLCKSZ];
	static XLogRecPtr filled = InvalidXLogRecPtr;
	int left = XLOG_BLCKSZ - (int) (end % XLOG_BLCKSZ);

	if (end < filled + (XLogRecPtr) left * FILL_SHARE ||
	    wal_end() / XLOG_BLCKSZ != (end - 1) / XLOG_BLCKSZ)
		return false;
	XLogBeginInsert();
	XLogSetRecordFlags(XLOG_MARK_UNIMPORTANT);
	XLogRegisterData(nothing, Max(left - (int) SizeOfXLogRecord, 1));
	filled = XLogInsert(RM_XLOG_ID, XLOG_NOOP);
	return true;
}

/*
 * Have the WAL written up to upto, the end of a record (wal_end), so that
 * wal_read_page finds it; flushed as well, if that has not been done for a
 * while.
 */
void
wal_make_readable(XLogRecPtr upto)
{
	static TimestampTz flushed_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	bool flush = TimestampDifferenceExceeds(flushed_at, now, FLUSH_INTERVAL_MS);

	if (!flush && GetXLogWriteRecPtr() < upto)
	{
		XLogSetAsyncXactLSN(upto);
		(void) XLogBackgroundFlush();
		if (GetXLogWriteRecPtr() < upto && wal_fill_page(upto))
			(void) XLogBackgroundFlush();
		/* it stops where it is convenient */
		flush = GetXLogWriteRecPtr() < upto;
	}
	if (flush)
	{
		XLogFlush(upto);
		flushed_at = now;
	}
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
