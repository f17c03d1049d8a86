/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  Which dialect each door speaks and which services the server runs.
 *
 *-------------------------------------------------------------------------
 */
#include "main/registry.h"

#include <stddef.h>

#include "dialect/materialize/dialect.h"
#include "source/loadgen/loadgen.h"

/* The dialect of a door, or NULL where nothing needs translation. */
const Dialect *
registry_dialect(SessionDoor door)
{
	return door == DOOR_MATERIALIZE ? &materialize_own_dialect : &materialize_dialect;
}

const Service *const registry_services[] = {&loadgen_service, NULL};
