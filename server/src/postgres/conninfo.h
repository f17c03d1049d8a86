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

/*
 * What every connection of the server's own begins with, as command-line options: neither
 * the database's owner (ALTER DATABASE … SET) nor the role's settings have a say in
 * what the server's SQL means, how long it may take or as whom it runs.
 */
extern const char conninfo_pinned[];

extern void conninfo_add(Buffer *conninfo, const char *name, const char *value);
extern char *
conninfo_socket(const char *directory, int port, const char *user, const char *database);

#endif /* FRESHET_CONNINFO_H */
