/*-------------------------------------------------------------------------
 *
 * provide.h
 *	  The extension, made in a database by its first view.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_PROVIDE_H
#define FRESHET_PROVIDE_H

#include "postgres.h"

/* GUC freshet.create_extension: does the first view make the extension? */
extern bool provide_by_view;

/* Lets only one transaction at a time make the extension here. */
extern void provide_lock(void);

/* Makes the extension if the settings say so; is it there now? */
extern bool provide_for_view(Oid view);

#endif /* FRESHET_PROVIDE_H */
