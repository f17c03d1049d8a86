/*-------------------------------------------------------------------------
 *
 * owner.h
 *	  From root to the user the server, and its PostgreSQL, run as.
 *
 * Of root's powers one remains, for PostgreSQL as well: to give processes a
 * larger share of the processors (CAP_SYS_NICE), which the workers that keep
 * views fresh do (freshet.worker_nice). Where root itself lacks it, as in many
 * containers, nothing remains.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_OWNER_H
#define FRESHET_OWNER_H

#include <pwd.h>
#include <stdbool.h>

/* Become this user, for good; false, with errno set, if that cannot be. */
extern bool owner_become(const struct passwd *account);

#endif /* FRESHET_OWNER_H */
