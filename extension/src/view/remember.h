/*-------------------------------------------------------------------------
 *
 * remember.h
 *	  Which matviews were fresh when the extension was dropped.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_REMEMBER_H
#define FRESHET_REMEMBER_H

#include "postgres.h"

#include "nodes/parsenodes.h"

/* An error if DROP EXTENSION without CASCADE would leave views that are fresh. */
extern void remember_check_drop(DropStmt *statement);

/* Freshet's tables are about to be dropped. */
extern void remember_all(void);

/* The extension is there again. */
extern void remember_adopt_all(void);

/* Is this label of a matview one of ours? An error if it says what cannot be. */
extern bool remember_check_label(const char *label);

#endif /* FRESHET_REMEMBER_H */
