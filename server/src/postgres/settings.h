/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  The configuration files of the embedded PostgreSQL.
 *
 *	pgdata/freshet.conf		what suits this machine; written at every start
 *	pgdata/postgresql.conf	includes it; the user's from then on
 *	pgdata/pg_hba.conf		who may enter how; written at every start
 *	pgdata/pg_ident.conf	as whom the server itself may come through its socket: as its own
 *							role, the trusted ones and the owners of sources
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_SETTINGS_H
#define FRESHET_SETTINGS_H

#include <stdbool.h>

#include "config/config.h"
#include "postgres/directory.h"

/*
 * Where doors connect from for all who are not trusted: pg_hba.conf demands the
 * password of whoever comes from there.
 */
#define PASSWORD_SOURCE "127.0.0.2"

/* Whom the server itself connects as. */
#define SERVER_ROLE "postgres"

extern bool
settings_write(const Directory *directory, const Config *config, char problem[DIRECTORY_PROBLEM]);
extern bool
accounts_add(const Directory *directory, const Config *config, const char *role, bool *added);
extern bool settings_write_first(const char *pgdata, char problem[DIRECTORY_PROBLEM]);

#endif /* FRESHET_SETTINGS_H */
