/*-------------------------------------------------------------------------
 *
 * multipart.h
 *	  The body of a form with files (RFC 7578), as it comes.
 *
 * Invariants:
 *	- Bytes may come in any pieces. What is kept is shorter than a boundary, or a part's head, which
 *	  has at most MULTIPART_HEAD bytes.
 *	- `begin` is called for each part, then `data` for what is in it, then `end`.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_DATABEND_MULTIPART_H
#define FRESHET_DATABEND_MULTIPART_H

#include <stdbool.h>

#include "net/buffer.h"

#define MULTIPART_BOUNDARY 70
#define MULTIPART_HEAD 4096

typedef struct Multipart
{
	/* false: stop, for a reason of the owner's */
	bool (*begin)(void *owner, const char *filename);
	bool (*data)(void *owner, const char *bytes, size_t count);
	bool (*end)(void *owner);
	void *owner;

	char boundary[MULTIPART_BOUNDARY + 5]; /* CR LF -- boundary */
	size_t boundary_length;
	int state;
	Buffer kept;
} Multipart;

/* Of a Content-Type; false: it is none of a form, or has no valid boundary. */
extern bool multipart_begin(Multipart *multipart, const char *content_type);
/* False: it is not valid, or a callback said so. */
extern bool multipart_feed(Multipart *multipart, const char *bytes, size_t count);
/* Has all of it come? */
extern bool multipart_ended(const Multipart *multipart);
extern void multipart_free(Multipart *multipart);

#endif /* FRESHET_DATABEND_MULTIPART_H */
