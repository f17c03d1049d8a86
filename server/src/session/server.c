/*-------------------------------------------------------------------------
 *
 * server.c
 *	  The threads that sessions live on.
 *
 * There is a loop for each processor, and it stays there. A client goes to the
 * loop of the processor its packets come in on; for one on this machine that is
 * where it runs. So client, relay and backend tend to meet on one processor and
 * to wake each other without an interrupt to another one, which is most of what
 * relaying a short query costs.
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session/internal.h"

/* More loops than this are of no use. */
#define LOOPS_MAX 64

/* A client on its way from its door to its loop. */
typedef struct Arrival
{
	Errand errand;
	SessionLoop *loop;
	SessionDoor door;
	Welcome welcome;
	const void *speaks;
	int fd;
} Arrival;

/* The first thing on a loop's thread. */
static void
loop_began(void *owner)
{
	SessionLoop *loop = owner;
	cpu_set_t processor;

	/* where that is refused, it only costs speed */
	CPU_ZERO(&processor);
	CPU_SET(loop->processor, &processor);
	(void) pthread_setaffinity_np(pthread_self(), sizeof processor, &processor);
	uv_timer_init(loop_uv(loop->loop), &loop->sweep);
	loop->sweep.data = loop;
	loop->link = link_open(loop_uv(loop->loop), loop->server->conninfo);
}

/* On the first thread: a loop has ended. */
static void
loop_ended(void *owner)
{
	SessionLoop *loop = owner;

	if (--loop->server->loops_running == 0 && loop->server->ended != NULL)
		loop->server->ended();
}

/* One loop for each processor this process may use; the server is filled in. */
void
session_server_start(SessionServer *server)
{
	cpu_set_t processors;
	size_t count = 0;
	int processor;

	if (sched_getaffinity(0, sizeof processors, &processors) != 0)
	{
		CPU_ZERO(&processors);
		CPU_SET(0, &processors);
	}
	server->loops = calloc(LOOPS_MAX, sizeof *server->loops);
	if (server->loops == NULL)
		abort();
	for (processor = 0; processor < CPU_SETSIZE && count < LOOPS_MAX; processor++)
		if (CPU_ISSET(processor, &processors))
		{
			SessionLoop *loop = &server->loops[count++];

			loop->server = server;
			loop->processor = processor;
			loop->loop = loop_make();
			loop_spawn(loop->loop, loop_began, loop_ended, loop);
		}
	server->loop_count = count;
	server->loops_running = count;
}

/* End a loop's sessions, and the loop when they have said their last words. */
static void
finish_loop(Errand *errand)
{
	SessionLoop *loop = (SessionLoop *) ((char *) errand - offsetof(SessionLoop, finishing));

	while (loop->sessions != NULL)
		session_close(loop->sessions);
	while (loop->guests != NULL)
		loop->guests->end(loop->guests);
	uv_close((uv_handle_t *) &loop->sweep, NULL);
	link_close(loop->link);
	loop_finish(loop->loop);
}

/* End every session; `ended` is called when all of them are gone. No more clients come. */
void
session_server_finish(SessionServer *server, void (*ended)(void))
{
	size_t i;

	server->ended = ended;
	for (i = 0; i < server->loop_count; i++)
	{
		server->loops[i].finishing.run = finish_loop;
		loop_post(server->loops[i].loop, &server->loops[i].finishing);
	}
}

/* End what did not end by itself. */
void
session_server_stop(SessionServer *server)
{
	size_t i;

	for (i = 0; i < server->loop_count; i++)
		loop_stop(server->loops[i].loop);
}

Loop *
session_loop_of(const SessionLoop *loop)
{
	return loop->loop;
}

SessionServer *
session_loop_server(const SessionLoop *loop)
{
	return loop->server;
}

/* Somebody lives on the loop from now on, and is ended with it. */
void
session_loop_enter(SessionLoop *loop, Guest *guest)
{
	guest->next = loop->guests;
	guest->previous = NULL;
	if (guest->next != NULL)
		guest->next->previous = guest;
	loop->guests = guest;
}

/* He is gone. */
void
session_loop_leave(SessionLoop *loop, Guest *guest)
{
	if (guest->previous != NULL)
		guest->previous->next = guest->next;
	else
		loop->guests = guest->next;
	if (guest->next != NULL)
		guest->next->previous = guest->previous;
	loop->load -= guest->client;
}

/* See server.h. */
bool
session_server_trusts(const SessionServer *server, const char *role)
{
	size_t i;

	for (i = 0; server->trusted_roles != NULL && server->trusted_roles[i] != NULL; i++)
		if (strcmp(server->trusted_roles[i], role) == 0)
			return true;
	return false;
}

/* A client has arrived where it will live. */
static void
arrive(Errand *errand)
{
	Arrival *arrival = (Arrival *) errand;

	arrival->welcome(arrival->loop, arrival->door, arrival->speaks, arrival->fd);
	free(arrival);
}

/*
 * The loop on the processor a client's packets come in on; or, where that would
 * have many more sessions than others, the one with the fewest.
 */
static SessionLoop *
loop_for(const SessionServer *server, int fd)
{
	SessionLoop *nearest = NULL;
	SessionLoop *emptiest = &server->loops[0];
	int processor = -1;
	socklen_t length = sizeof processor;
	size_t i;

	(void) getsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &processor, &length);
	for (i = 0; i < server->loop_count; i++)
	{
		SessionLoop *loop = &server->loops[i];

		if (loop->processor == processor)
			nearest = loop;
		if (loop->load < emptiest->load)
			emptiest = loop;
	}
	if (nearest == NULL || nearest->load > emptiest->load + emptiest->load / 2 + 4)
		return emptiest;
	return nearest;
}

/* A client knocks at a door: hand it to a loop. */
void
session_knock(SessionServer *server, SessionDoor door, Welcome welcome, const void *speaks, int fd)
{
	Arrival *arrival = calloc(1, sizeof *arrival);
	SessionLoop *loop = loop_for(server, fd);

	if (arrival == NULL)
		abort();
	loop->load++;
	*arrival = (Arrival){{arrive, NULL}, loop, door, welcome, speaks, fd};
	loop_post(loop->loop, &arrival->errand);
}
