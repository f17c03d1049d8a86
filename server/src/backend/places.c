/*-------------------------------------------------------------------------
 *
 * places.c
 *	  See places.h.
 *
 *-------------------------------------------------------------------------
 */
#include "backend/places.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "net/buffer.h"

/* One place, taken. There are a few hundred at most, so they are counted by looking. */
typedef struct Place
{
	char *role;
	uint64_t network;
} Place;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Place *places;
static int taken;

/* A part of the places, at least one. */
static int
part(int max_connections, int divisor)
{
	return max_connections > divisor ? max_connections / divisor : 1;
}

/* Is there one for both? The mutex is held. */
static bool
is_free(const char *role, uint64_t network, int max_connections)
{
	int of_role = 0;
	int of_network = 0;
	int i;

	for (i = 0; i < taken; i++)
	{
		of_role += strcmp(places[i].role, role) == 0;
		of_network += places[i].network == network;
	}
	return taken < part(max_connections, 2) && of_role < part(max_connections, 4) &&
	       of_network < part(max_connections, 4);
}

/* Take a place. */
bool
places_enter(const char *role, uint64_t network, int max_connections)
{
	bool enters;

	pthread_mutex_lock(&mutex);
	enters = is_free(role, network, max_connections);
	if (enters)
	{
		places = realloc(places, (size_t) (taken + 1) * sizeof *places);
		if (places == NULL)
			abort();
		places[taken++] = (Place){copy_string(role), network};
	}
	pthread_mutex_unlock(&mutex);
	return enters;
}

/* Give a place back. */
void
places_leave(const char *role, uint64_t network)
{
	int i = 0;

	pthread_mutex_lock(&mutex);
	while (places[i].network != network || strcmp(places[i].role, role) != 0)
		i++;
	free(places[i].role);
	places[i] = places[--taken];
	pthread_mutex_unlock(&mutex);
}

int
places_taken(void)
{
	int count;

	pthread_mutex_lock(&mutex);
	count = taken;
	pthread_mutex_unlock(&mutex);
	return count;
}
