/*-------------------------------------------------------------------------
 *
 * conninfo.h
 *	  Connection strings for libpq.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CONNINFO_H
#define FRESHET_CONNINFO_H

#include "net/buffer.h"

extern void conninfo_add(Buffer *conninfo, const char *name, const char *value);
extern char *conninfo_socket(const char *directory, int port, const char *database);

#endif /* FRESHET_CONNINFO_H */
