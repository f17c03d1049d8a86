/*-------------------------------------------------------------------------
 *
 * config.h
 *	  The settings of the server.
 *
 * Invariants:
 *	- A setting has one name: `postgres_port` in freshet.conf, --postgres-port as
 *	  a flag, FRESHET_POSTGRES_PORT in the environment. A flag wins over the
 *	  environment, the environment over the file, the file over the default.
 *	- Every value was checked when config_read returned true.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CONFIG_H
#define FRESHET_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "session/server.h"

/* Room for a line that says what is wrong. */
#define CONFIG_PROBLEM 512

typedef struct Config
{
	char *data;
	char *listen;
	int postgres_port;
	int materialize_port;
	int cratedb_port;
	int databend_port;
	int console_port;
	int native_port;
	char *unix_socket_directory; /* of the PostgreSQL door, or NULL */
	char *postgres;              /* an existing PostgreSQL, or NULL */
	char *postgres_bin;          /* where PostgreSQL's programs are */
	char *postgres_password;     /* for the role postgres, or NULL */
	char *user;                  /* whom root becomes */
	char *tls_cert;
	char *tls_key;
	char *trusted_roles;
	char *trusted_doors;
	char *database_aliases;
	int max_connections;
	int http_body_megabytes;
	bool databend_lenient;

	/* The same three as lists; NULL at the end. */
	char **listen_list;
	char **trusted_role_list;
	DatabaseAlias *alias_list;
	size_t alias_count;

	/* The doors among trusted_doors. */
	bool trusting[DOOR_COUNT];
	bool trusting_native;

	/* Was a door that is not built asked for explicitly? */
	bool unbuilt_door_asked_for;
} Config;

extern bool config_read(Config *config, int argument_count, char **arguments, bool others_follow,
                        int *rest, char problem[CONFIG_PROBLEM]);
extern void config_free(Config *config);
extern void config_print_help(void);

#endif /* FRESHET_CONFIG_H */
