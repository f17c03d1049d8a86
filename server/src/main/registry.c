/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  What each door speaks and which services the server runs.
 *
 *-------------------------------------------------------------------------
 */
#include "main/registry.h"

#include <stddef.h>

#include "dialect/cratedb/cratedb.h"
#include "dialect/databend/databend.h"
#include "dialect/materialize/dialect.h"
#include "http/http.h"
#include "source/loadgen/loadgen.h"

const RegistryDoor registry_doors[DOOR_COUNT] = {
    [DOOR_POSTGRES] = {session_accept, &materialize_dialect, NULL},
    [DOOR_MATERIALIZE] = {session_accept, &materialize_own_dialect, NULL},
    [DOOR_CRATEDB] = {http_accept, &cratedb_handler, cratedb_catalog},
    [DOOR_DATABEND] = {http_accept, &databend_handler, databend_catalog},
};

const Service *const registry_services[] = {&loadgen_service, NULL};
