/*-------------------------------------------------------------------------
 *
 * protect.h
 *	  Hidden tables belong to users, who are to leave them alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_PROTECT_H
#define FRESHET_PROTECT_H

#include "postgres.h"

#include "catalog/objectaccess.h"
#include "nodes/parsenodes.h"

/* Errors of what is done to a hidden table by another than us. */
extern void
protect_object_access(ObjectAccessType access, Oid class, Oid object, int sub, void *arg);
extern void protect_command(Node *command);

/* Before DROP OWNED: hidden tables are dropped with their views only. */
extern void protect_drop_owned(DropOwnedStmt *statement);

#endif /* FRESHET_PROTECT_H */
