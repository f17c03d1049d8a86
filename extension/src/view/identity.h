/*-------------------------------------------------------------------------
 *
 * identity.h
 *	  As whom, and under which settings, a query runs that somebody gave
 *	  earlier: as the role he was, with the settings that were captured then.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_IDENTITY_H
#define FRESHET_IDENTITY_H

#include "postgres.h"

#include "nodes/pg_list.h"

typedef struct Identity
{
	Oid user;
	int security;
	int settings_level;
} Identity;

extern void identity_assume(Identity *before, Oid user, bool restricted, List *settings);
extern void identity_restore(const Identity *before);

#endif /* FRESHET_IDENTITY_H */
