/*-------------------------------------------------------------------------
 *
 * role.h
 *	  Being another role for a while: who, with which rights and under which
 *	  settings. All changes of role in the extension are these.
 *
 * After an error nothing has to be restored: the end of the (sub)transaction
 * does it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_ROLE_H
#define FRESHET_ROLE_H

#include "postgres.h"

#include "nodes/pg_list.h"

/* What was before. */
typedef struct Role
{
	Oid user;
	int security;
	int settings; /* GUC nest level */
	bool read_only;
	int computing;
} Role;

/* As a view's owner, for its query: nothing may be done but compute. */
extern void role_compute(Role *before, Oid owner, List *settings);

/* What follows is user code again, of the command of ours that runs. */
extern void role_only_compute(void);

/* As the role that subscribed, who runs its own query. */
extern void role_subscribe(Role *before, Oid user, List *settings);

/* As the bootstrap superuser, for SQL of ours, whatever the session has set. */
extern void role_own(Role *before);

/* Likewise as another role, for commands whose transactions end in between. */
extern void role_own_as(Oid user);

extern void role_restore(const Role *before);

/* Is a view's query running? */
extern bool role_computing(void);

/* Errors of what a view's query may not do. */
extern void role_check_function(Oid function);
extern void role_check_utility(Node *statement);

/* A process of ours starts: no setting of the database or of a role counts. */
extern void role_start_process(void);

/*
 * The settings on which a query's result depends, as char * "name=value": those of
 * this session, and the same with values that were captured earlier and that the
 * current user could set.
 */
extern List *role_capture_settings(void);
extern List *role_merge_settings(List *captured, List *earlier);
extern bool role_keeps_setting(const char *name);

/* Once, at library load. */
extern void role_register(void);

#endif /* FRESHET_ROLE_H */
