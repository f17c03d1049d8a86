/*-------------------------------------------------------------------------
 *
 * door.c
 *	  A port that clients knock at.
 *
 *-------------------------------------------------------------------------
 */
#include <fcntl.h>
#include <stdlib.h>

#include "session/server.h"

#define DOOR_BACKLOG 1024

struct DoorListener
{
	uv_tcp_t tcp;
	SessionServer *server;
	Welcome welcome;
	const void *speaks;
	SessionDoor door;
};

/* Someone knocks. */
static void
knock(uv_stream_t *stream, int status)
{
	DoorListener *listener = stream->data;

	uv_os_fd_t fd;
	uv_tcp_t *client;

	if (status != 0)
		return;
	client = malloc(sizeof *client);
	if (client == NULL)
		abort();
	uv_tcp_init(stream->loop, client);
	/* a handle cannot move to another loop, so what it stands for does */
	if (uv_accept(stream, (uv_stream_t *) client) == 0 &&
	    uv_fileno((uv_handle_t *) client, &fd) == 0 && (fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) >= 0)
		session_knock(listener->server, listener->door, listener->welcome, listener->speaks, fd);
	uv_close((uv_handle_t *) client, (uv_close_cb) free);
}

/* The handle is closed. */
static void
free_listener(uv_handle_t *handle)
{
	free(handle->data);
}

/* Open a door; NULL and libuv's reason if the address cannot be had. */
DoorListener *
door_open(uv_loop_t *loop, SessionServer *server, SessionDoor door, Welcome welcome,
          const void *speaks, const Address *address, int *status)
{
	DoorListener *listener = calloc(1, sizeof *listener);

	if (listener == NULL)
		abort();
	listener->server = server;
	listener->door = door;
	listener->welcome = welcome;
	listener->speaks = speaks;
	uv_tcp_init(loop, &listener->tcp);
	listener->tcp.data = listener;
	*status = uv_tcp_bind(&listener->tcp, (const struct sockaddr *) &address->remote,
	                      address->remote.ss_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0);
	if (*status == 0)
		*status = uv_listen((uv_stream_t *) &listener->tcp, DOOR_BACKLOG, knock);
	if (*status == 0)
	{
		server->ports[door] = address_port((const struct sockaddr *) &address->remote);
		return listener;
	}
	uv_close((uv_handle_t *) &listener->tcp, free_listener);
	return NULL;
}

/* Nobody else comes in; those inside stay. */
void
door_close(DoorListener *listener)
{
	uv_close((uv_handle_t *) &listener->tcp, free_listener);
}
