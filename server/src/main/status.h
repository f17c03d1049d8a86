/*-------------------------------------------------------------------------
 *
 * status.h
 *	  DIR/status: what a running server tells the other commands.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_STATUS_H
#define FRESHET_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "postgres/directory.h"

extern bool status_write(const Directory *directory, const Config *config, const char *version,
                         int socket_port);
extern bool status_value(const Directory *directory, const char *name, char *value, size_t size);

#endif /* FRESHET_STATUS_H */
