/*-------------------------------------------------------------------------
 *
 * basic.h
 *	  Authorization: Basic (RFC 7617).
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_HTTP_BASIC_H
#define FRESHET_HTTP_BASIC_H

#include <stdbool.h>

/* The user and the password of a field's value; false: it is no such value. The caller frees both. */
extern bool http_basic(const char *authorization, char **user, char **password);

#endif /* FRESHET_HTTP_BASIC_H */
