/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  Which dialect each door speaks and which services the server runs.
 *
 *-------------------------------------------------------------------------
 */
#include "main/registry.h"

#include <stddef.h>

/* The dialect of a door, or NULL where nothing needs translation. */
const Dialect *
registry_dialect(SessionDoor door)
{
	(void) door;
	return NULL;
}

const Service *const registry_services[] = {NULL};
