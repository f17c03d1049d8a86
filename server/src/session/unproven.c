/*-------------------------------------------------------------------------
 *
 * unproven.c
 *	  See unproven.h.
 *
 *-------------------------------------------------------------------------
 */
#include "session/unproven.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

typedef struct Network
{
	uint64_t network;
	int clients;
} Network;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Network *networks; /* those with clients */
static size_t network_count;
static int all;

/* A part of the places, at least one. */
static int
part(int max_connections, int divisor)
{
	return max_connections > divisor ? max_connections / divisor : 1;
}

/* The network's entry; behind the last one if there is none. The mutex is held. */
static size_t
find(uint64_t network)
{
	size_t i = 0;

	while (i < network_count && networks[i].network != network)
		i++;
	return i;
}

/* Take a place. */
bool
unproven_enter(uint64_t network, int max_connections)
{
	size_t i;
	bool enters;

	pthread_mutex_lock(&mutex);
	i = find(network);
	enters = all < part(max_connections, 2) &&
	         (i == network_count || networks[i].clients < part(max_connections, 8));
	if (enters && i == network_count)
	{
		networks = realloc(networks, (network_count + 1) * sizeof *networks);
		if (networks == NULL)
			abort();
		networks[network_count++] = (Network){network, 0};
	}
	if (enters)
	{
		networks[i].clients++;
		all++;
	}
	pthread_mutex_unlock(&mutex);
	return enters;
}

/* Give a place back. */
void
unproven_leave(uint64_t network)
{
	size_t i;

	pthread_mutex_lock(&mutex);
	i = find(network);
	all--;
	if (--networks[i].clients == 0)
		networks[i] = networks[--network_count];
	pthread_mutex_unlock(&mutex);
}
