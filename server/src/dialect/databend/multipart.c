/*-------------------------------------------------------------------------
 *
 * multipart.c
 *	  The body of a form with files, as it comes. See multipart.h.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/databend/multipart.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef enum MultipartState
{
	MULTIPART_START, /* before the first boundary, which has no CR LF before it */
	MULTIPART_DATA,
	MULTIPART_LINE, /* behind a boundary: CR LF, or -- */
	MULTIPART_HEAD_LINES,
	MULTIPART_ENDED
} MultipartState;

bool
multipart_begin(Multipart *multipart, const char *content_type)
{
	const char *from = content_type != NULL ? strcasestr(content_type, "boundary=") : NULL;
	size_t length;

	memset(&multipart->kept, 0, sizeof multipart->kept);
	multipart->state = MULTIPART_START;
	if (from == NULL || strncasecmp(content_type, "multipart/form-data", 19) != 0)
		return false;
	from += 9;
	length = *from == '"' ? strcspn(++from, "\"") : strcspn(from, "; \t");
	if (length == 0 || length > MULTIPART_BOUNDARY)
		return false;
	snprintf(multipart->boundary, sizeof multipart->boundary, "\r\n--%.*s", (int) length, from);
	multipart->boundary_length = strlen(multipart->boundary);
	return true;
}

/* Begin a part by its head; it has to be a file. */
static bool
begin_part(Multipart *multipart, char *head)
{
	char *name = strcasestr(head, "filename=\"");
	char *end = name != NULL ? strchr(name + 10, '"') : NULL;

	if (end == NULL || memchr(name, '\n', (size_t) (end - name)) != NULL)
		return false;
	*end = '\0';
	return multipart->begin(multipart->owner, name + 10);
}

/* Behind a boundary; false: wrong. `used`: bytes of what is kept that are done with, 0: more have to come. */
static bool
read_line(Multipart *multipart, size_t *used)
{
	const char *at = buffer_data(&multipart->kept);

	*used = 0;
	if (multipart->kept.length < 2)
		return true;
	*used = 2;
	if (memcmp(at, "--", 2) == 0)
		multipart->state = MULTIPART_ENDED;
	else if (memcmp(at, "\r\n", 2) == 0)
		multipart->state = MULTIPART_HEAD_LINES;
	else
		return false;
	return true;
}

/* A part's head. */
static bool
read_head(Multipart *multipart, size_t *used)
{
	char head[MULTIPART_HEAD + 1];
	const char *at = buffer_data(&multipart->kept);
	const char *end = memmem(at, multipart->kept.length, "\r\n\r\n", 4);

	*used = 0;
	if (end == NULL)
		return multipart->kept.length < MULTIPART_HEAD;
	*used = (size_t) (end - at) + 4;
	if (*used > MULTIPART_HEAD)
		return false;
	memcpy(head, at, *used);
	head[*used] = '\0';
	multipart->state = MULTIPART_DATA;
	return begin_part(multipart, head);
}

/* What is in a part, up to what could be the beginning of a boundary. */
static bool
read_data(Multipart *multipart, size_t *used)
{
	bool start = multipart->state == MULTIPART_START;
	const char *boundary = multipart->boundary + (start ? 2 : 0);
	size_t length = multipart->boundary_length - (start ? 2 : 0);
	const char *at = buffer_data(&multipart->kept);
	size_t count = multipart->kept.length;
	const char *found = count >= length ? memmem(at, count, boundary, length) : NULL;
	size_t before = found != NULL     ? (size_t) (found - at)
	                : count >= length ? count - length + 1
	                                  : 0;

	*used = before + (found != NULL ? length : 0);
	if (start)
	{
		if (found == NULL ? count >= length : before > 0)
			return false;
		if (found != NULL)
			multipart->state = MULTIPART_LINE;
		else
			*used = 0;
		return true;
	}
	if (before > 0 && !multipart->data(multipart->owner, at, before))
		return false;
	if (found == NULL)
		return true;
	multipart->state = MULTIPART_LINE;
	return multipart->end(multipart->owner);
}

bool
multipart_feed(Multipart *multipart, const char *bytes, size_t count)
{
	size_t used = 1;

	buffer_append(&multipart->kept, bytes, count);
	while (used > 0 && multipart->kept.length > 0 && multipart->state != MULTIPART_ENDED)
	{
		bool good = multipart->state == MULTIPART_LINE         ? read_line(multipart, &used)
		            : multipart->state == MULTIPART_HEAD_LINES ? read_head(multipart, &used)
		                                                       : read_data(multipart, &used);

		if (!good)
			return false;
		buffer_consume(&multipart->kept, used);
	}
	if (multipart->state == MULTIPART_ENDED)
		buffer_clear(&multipart->kept);
	return true;
}

bool
multipart_ended(const Multipart *multipart)
{
	return multipart->state == MULTIPART_ENDED;
}

void
multipart_free(Multipart *multipart)
{
	buffer_free(&multipart->kept);
}
