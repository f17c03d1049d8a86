/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  What Databend's clients find in the database: library.sql, as text.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/databend/databend.h"

const char databend_catalog[] =
#include "dialect/databend/library.sql.h"
    ;
