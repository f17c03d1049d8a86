/*-------------------------------------------------------------------------
 *
 * databend.c
 *	  Databend's SQL, as far as it is not PostgreSQL's.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "translate/parser.h"

static const TypeRule types[] = {
    {"int", "integer", 0, false, NULL},
    {NULL, NULL, 0, false, NULL},
};
static const FunctionRule functions[] = {
    {NULL, NULL, NULL, false},
};
static const SchemaRule schemas[] = {
    {NULL, NULL},
};
static const ObjectRule objects[] = {
    {NULL, NULL, NULL, false},
};
static const StatementRule statements[] = {
    {NULL, STATEMENT_QUERY, NULL},
};

const DialectRules databend_rules = {
    .name = "Databend",
    .escapes = true,
    .backticks = true,
    .nulls_last = true,
    .float_division = true,
    .brace_colon = true,
    .statements = statements,
    .objects = objects,
    .types = types,
    .functions = functions,
    .schemas = schemas,
};
