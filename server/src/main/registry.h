/*-------------------------------------------------------------------------
 *
 * registry.h
 *	  What each door speaks and which services the server runs. A new
 *	  dialect or source is added in registry.c and nowhere else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_REGISTRY_H
#define FRESHET_REGISTRY_H

#include "main/service.h"
#include "session/server.h"

/* Who welcomes a client at a door, and what is spoken there. */
typedef struct RegistryDoor
{
	Welcome welcome;
	const void *speaks;
	const char *catalog; /* SQL that makes what its clients expect to find; or NULL */
} RegistryDoor;

extern const RegistryDoor registry_doors[DOOR_COUNT];

/* NULL at the end. */
extern const Service *const registry_services[];

#endif /* FRESHET_REGISTRY_H */
