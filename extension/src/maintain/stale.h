/*-------------------------------------------------------------------------
 *
 * stale.h
 *	  What a statement is told that reads a view which is not fresh.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_STALE_H
#define FRESHET_STALE_H

#include "postgres.h"

#include "cut/frontier.h"

/* GUC freshet.on_stale */
typedef enum StaleAction
{
	STALE_IGNORE,
	STALE_WARNING,
	STALE_ERROR
} StaleAction;

extern int stale_action;

extern void stale_define_settings(void);
extern void stale_tell_unmaintained(void);
extern void stale_tell(Oid view, FrontierWait outcome);
extern void stale_refuse_failed(void);

#endif /* FRESHET_STALE_H */
