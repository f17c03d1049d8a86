/*-------------------------------------------------------------------------
 *
 * places.h
 *	  How many backends are leased: in all, for one role, for one network. All threads share
 *	  the counts.
 *
 * Half of max_connections is for leases, a quarter for one role and for one network: what is left
 * is for sessions of PostgreSQL's protocol.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_PLACES_H
#define FRESHET_PLACES_H

#include <stdbool.h>
#include <stdint.h>

/* False: there is no place now. */
extern bool places_enter(const char *role, uint64_t network, int max_connections);
extern void places_leave(const char *role, uint64_t network);
extern int places_taken(void);

#endif /* FRESHET_PLACES_H */
