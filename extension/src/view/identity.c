/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  Taking another role and other settings for a while (identity.h).
 *
 * An error in between needs no care: the end of the (sub)transaction restores
 * both.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"
#include "view/identity.h"

/*
 * Become user, with the settings given ("name=value" each). Restricted: as for
 * the query of a materialized view, nothing may be changed that outlives it.
 * What was before goes to *before.
 */
void
identity_assume(Identity *before, Oid user, bool restricted, List *settings)
{
	ListCell *cell;

	GetUserIdAndSecContext(&before->user, &before->security);
	SetUserIdAndSecContext(user, restricted ? before->security | SECURITY_RESTRICTED_OPERATION
	                                        : before->security);
	before->settings_level = NewGUCNestLevel();

	foreach (cell, settings)
	{
		const char *setting = lfirst(cell);
		const char *equals = strchr(setting, '=');
		const char *current;
		char *name;

		if (equals == NULL)
			continue;
		name = pnstrdup(setting, equals - setting);
		current = GetConfigOption(name, true, false);
		if (current != NULL && strcmp(current, equals + 1) != 0)
			(void) set_config_option(name, equals + 1, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
			                         true, 0, false);
		pfree(name);
	}
}

/* Become again who one was before. */
void
identity_restore(const Identity *before)
{
	AtEOXact_GUC(false, before->settings_level);
	SetUserIdAndSecContext(before->user, before->security);
}
