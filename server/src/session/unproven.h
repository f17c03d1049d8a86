/*-------------------------------------------------------------------------
 *
 * unproven.h
 *	  How many clients hold a backend and have not proved yet who they are.
 *
 * Such a backend takes a place of max_connections. So all of them together may have
 * half of the places, those from one network (an IPv4 address, a /64 of IPv6) an eighth: the rest
 * is for who has logged in. Who finds no place waits for one. All threads share the count.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_UNPROVEN_H
#define FRESHET_UNPROVEN_H

#include <stdbool.h>
#include <stdint.h>

/* False: there is no place now. */
extern bool unproven_enter(uint64_t network, int max_connections);
extern void unproven_leave(uint64_t network);

#endif /* FRESHET_UNPROVEN_H */
