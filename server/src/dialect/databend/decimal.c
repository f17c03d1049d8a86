/*-------------------------------------------------------------------------
 *
 * decimal.c
 *	  Decimals of no fixed scale in an answer. See decimal.h.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/databend/decimal.h"

#include <string.h>

#include "http/json.h"

#define MARK_TYPE '\1'
#define MARK_VALUE '\2'

/* What stands behind a mark's character. */
typedef struct Mark
{
	uint16_t column;
	uint16_t scale;
} Mark;

static void
write_mark(Buffer *out, char kind, Mark mark)
{
	buffer_append(out, &kind, 1);
	buffer_append(out, &mark, sizeof mark);
}

void
decimal_type(Buffer *out, uint16_t column)
{
	write_mark(out, MARK_TYPE, (Mark){column, 0});
}

bool
decimal_value(Decimals *decimals, Buffer *out, uint16_t column, const char *text, size_t length)
{
	const char *point = memchr(text, '.', length);
	size_t scale = point != NULL ? length - (size_t) (point - text) - 1 : 0;
	uint16_t *known = &decimals->scales[column];

	buffer_append(out, text, length);
	/* NaN and Infinity have none */
	if (length == 0 || text[length - 1] < '0' || text[length - 1] > '9')
		return true;
	if (scale > (decimals->fixed ? *known : DECIMAL_SCALE_MAX))
		return false;
	if (scale > *known)
		*known = (uint16_t) scale;
	write_mark(out, MARK_VALUE, (Mark){column, (uint16_t) scale});
	return true;
}

void
decimal_fix(Decimals *decimals, uint16_t columns, bool all)
{
	for (uint16_t i = 0; !decimals->fixed && !all && i < columns; i++)
		if (decimals->scales[i] < DECIMAL_SCALE)
			decimals->scales[i] = DECIMAL_SCALE;
	decimals->fixed = true;
}

/* The digits that a value lacks. */
static void
write_zeros(Buffer *out, uint16_t scale, uint16_t wanted)
{
	static const char zeros[DECIMAL_SCALE_MAX + 2] =
	    "000000000000000000000000000000000000000000000000000000000000";

	if (scale == 0 && wanted > 0)
		buffer_append(out, ".", 1);
	buffer_append(out, zeros, wanted > scale ? (size_t) (wanted - scale) : 0);
}

void
decimal_write(const Decimals *decimals, Buffer *out, const char *text, size_t length)
{
	size_t from = 0;

	for (size_t i = 0; decimals->scales != NULL && i + sizeof(Mark) < length; i++)
	{
		Mark mark;
		uint16_t scale;

		if (text[i] != MARK_TYPE && text[i] != MARK_VALUE)
			continue;
		memcpy(&mark, text + i + 1, sizeof mark);
		scale = decimals->scales[mark.column];
		buffer_append(out, text + from, i - from);
		if (text[i] == MARK_VALUE)
			write_zeros(out, mark.scale, scale);
		else
			buffer_printf(out, "Decimal(%d, %u)", scale > 18 ? 76 : 38, scale);
		i += sizeof mark;
		from = i + 1;
	}
	buffer_append(out, text + from, length - from);
}
