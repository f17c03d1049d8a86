/*-------------------------------------------------------------------------
 *
 * calls.h
 *	  Which functions a function calls, as far as its text says.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CALLS_H
#define FRESHET_CALLS_H

#include "postgres.h"

#include "access/htup.h"
#include "nodes/pg_list.h"

/* The next word of a text, at most NAMEDATALEN - 1 bytes of it in lower case; false: there is none. */
extern bool calls_next_word(const char **text, char *word);

/* What a function in SQL or PL/pgSQL consists of; NULL: it is in another language. */
extern char *calls_text(HeapTuple function);

/* These functions and those they call in turn; any: that is not known of all of them. */
extern List *calls_closure(List *functions, bool *any);

/* The functions of users with this hash in the cache of functions; none: it was dropped. */
extern List *calls_of_hash(uint32 hash);

/* May one of the functions, whose closure this is, call this one, by its name or without it? */
extern bool calls_may_reach(List *closure, Oid function);

#endif /* FRESHET_CALLS_H */
