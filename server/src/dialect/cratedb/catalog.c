/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  What CrateDB's clients find in every database: catalog.sql, as text.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/cratedb/cratedb.h"

const char cratedb_catalog[] =
#include "dialect/cratedb/catalog.sql.h"
    ;
