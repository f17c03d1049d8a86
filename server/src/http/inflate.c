/*-------------------------------------------------------------------------
 *
 * inflate.c
 *	  A body that comes as gzip.
 *
 *-------------------------------------------------------------------------
 */
#include "http/inflate.h"

#include <stdlib.h>
#include <zlib.h>

#define PIECE (32 * 1024)

/* zlib's word for: gzip and nothing else. */
#define GZIP_ONLY (16 + MAX_WBITS)

struct Inflater
{
	z_stream zlib;
	bool ended;
};

/* For one body. */
Inflater *
inflater_make(void)
{
	Inflater *inflater = calloc(1, sizeof *inflater);

	if (inflater == NULL || inflateInit2(&inflater->zlib, GZIP_ONLY) != Z_OK)
		abort();
	return inflater;
}

void
inflater_free(Inflater *inflater)
{
	if (inflater == NULL)
		return;
	inflateEnd(&inflater->zlib);
	free(inflater);
}

/* More of the body; what it inflates to is handed to `take`. */
InflateResult
inflater_feed(Inflater *inflater, const char *bytes, size_t count,
              bool (*take)(void *owner, const char *bytes, size_t count), void *owner)
{
	z_stream *zlib = &inflater->zlib;
	char piece[PIECE];

	zlib->next_in = (Bytef *) bytes;
	zlib->avail_in = (uInt) count;
	do
	{
		int result;

		/* of several members the body could have as many as it likes: one is enough */
		if (inflater->ended)
			return zlib->avail_in > 0 ? INFLATE_BAD : INFLATE_GOOD;
		zlib->next_out = (Bytef *) piece;
		zlib->avail_out = PIECE;
		result = inflate(zlib, Z_NO_FLUSH);
		if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
			return INFLATE_BAD;
		inflater->ended = result == Z_STREAM_END;
		if (zlib->avail_out < PIECE && !take(owner, piece, PIECE - zlib->avail_out))
			return INFLATE_STOPPED;
	} while (zlib->avail_in > 0 || zlib->avail_out == 0);
	return INFLATE_GOOD;
}

bool
inflater_ended(const Inflater *inflater)
{
	return inflater->ended;
}
