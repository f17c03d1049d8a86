/*-------------------------------------------------------------------------
 *
 * json.h
 *	  JSON behind what is in a buffer. Rows are written as they come, and numbers with all
 *	  their digits, which no library does.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_HTTP_JSON_H
#define FRESHET_HTTP_JSON_H

#include "net/buffer.h"

/* Text that is JSON already; formatted text is buffer_printf's. */
extern void json_raw(Buffer *out, const char *json);

/* A string of valid UTF-8, in quotes. */
extern void json_text(Buffer *out, const char *text, size_t length);

#endif /* FRESHET_HTTP_JSON_H */
