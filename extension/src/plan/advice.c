/*-------------------------------------------------------------------------
 *
 * advice.c
 *	  What would let a view follow changes that is computed anew instead.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "plan/plan.h"

/* Part of a reason, and what to do about it. */
typedef struct Advice
{
	const char *reason;
	const char *advice;
} Advice;

static const Advice advices[] = {
    {"LIMIT without ORDER BY", "ORDER BY columns that tell all rows apart, with an index on them, "
                               "lets the first rows be looked up."},
    {"in ties", "End ORDER BY with columns that tell all rows apart."},
    {"that tie", "End ORDER BY with columns that tell all rows apart."},
    {"order of rows", "ORDER BY in the aggregate or window makes its result certain."},
    {"order of its rows", "ORDER BY in the aggregate or window makes its result certain."},
    {"window without PARTITION BY",
     "PARTITION BY lets only those partitions be computed anew that change."},
    {"one group of everything", "GROUP BY lets only those groups be computed anew that change; "
                                "count, and sum and avg of integers and numerics, need no group."},
    {"is unlogged", "ALTER TABLE ... SET LOGGED lets its changes be seen."},
    {"has access method", "ALTER TABLE ... SET ACCESS METHOD heap, where the server has it, or a "
                          "copy of the table lets its changes be seen."},
    {"reads is not known", "Let the view's query read the tables itself; a function of your own "
                           "that reads none can be declared IMMUTABLE."},
    {"clock in other than a comparison", "Compare columns with the time instead of showing it."},
    {"row locking", "A view's query needs no FOR UPDATE or FOR SHARE."},
    {"can be equal and look different",
     "Cast such keys to a type whose equal values look alike, as text does."},
    {"TABLESAMPLE without REPEATABLE", "REPEATABLE takes the same sample each time."},
};

/* See plan.h. */
const char *
plan_advice(const char *reason)
{
	for (int i = 0; i < lengthof(advices); i++)
		if (strstr(reason, advices[i].reason) != NULL)
			return advices[i].advice;
	return NULL;
}
