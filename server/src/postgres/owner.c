/*-------------------------------------------------------------------------
 *
 * owner.c
 *	  See owner.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres/owner.h"

#include <grp.h>
#include <sys/capability.h>
#include <unistd.h>

/* Have these capabilities and no others; false if they cannot be had. */
static bool
set_capabilities(const char *text)
{
	cap_t capabilities = cap_from_text(text);
	bool done = capabilities != NULL && cap_set_proc(capabilities) == 0;

	cap_free(capabilities);
	return done;
}

/* See owner.h. */
bool
owner_become(const struct passwd *account)
{
	if (initgroups(account->pw_name, account->pw_gid) != 0 || setgid(account->pw_gid) != 0 ||
	    cap_setuid(account->pw_uid) != 0)
		return false;
	/*
	 * Programs started by a user have those that are inheritable and ambient. They
	 * are effective here too: only who has as many may look at where such a
	 * program runs (cluster_await_predecessor).
	 */
	if (set_capabilities("cap_sys_nice=eip") && cap_set_ambient(CAP_SYS_NICE, CAP_SET) == 0)
		return true;
	return set_capabilities("=");
}
