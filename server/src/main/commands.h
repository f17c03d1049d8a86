/*-------------------------------------------------------------------------
 *
 * commands.h
 *	  What `freshet` can be told to do. Each returns the exit status.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_COMMANDS_H
#define FRESHET_COMMANDS_H

#include "config/config.h"

extern int command_serve(const Config *config);
extern int command_status(const Config *config);
extern int command_psql(const Config *config, int argument_count, char **arguments);

#endif /* FRESHET_COMMANDS_H */
