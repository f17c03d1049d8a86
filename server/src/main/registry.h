/*-------------------------------------------------------------------------
 *
 * registry.h
 *	  Which dialect each door speaks and which services the server runs. A new
 *	  dialect or source is added in registry.c and nowhere else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_REGISTRY_H
#define FRESHET_REGISTRY_H

#include "main/service.h"
#include "session/session.h"

extern const Dialect *registry_dialect(SessionDoor door);

/* NULL at the end. */
extern const Service *const registry_services[];

#endif /* FRESHET_REGISTRY_H */
