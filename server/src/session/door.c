/*-------------------------------------------------------------------------
 *
 * door.c
 *	  A port, or a unix socket, that clients knock at.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "session/server.h"

#define DOOR_BACKLOG 1024

typedef union DoorHandle
{
	uv_handle_t handle;
	uv_stream_t stream;
	uv_tcp_t tcp;
	uv_pipe_t pipe;
} DoorHandle;

struct DoorListener
{
	DoorHandle uv;
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
	DoorHandle *client;

	if (status != 0)
		return;
	client = malloc(sizeof *client);
	if (client == NULL)
		abort();
	if (stream->type == UV_NAMED_PIPE)
		uv_pipe_init(stream->loop, &client->pipe, 0);
	else
		uv_tcp_init(stream->loop, &client->tcp);
	/* a handle cannot move to another loop, so what it stands for does */
	if (uv_accept(stream, &client->stream) == 0 && uv_fileno(&client->handle, &fd) == 0 &&
	    (fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) >= 0)
		session_knock(listener->server, listener->door, listener->welcome, listener->speaks, fd);
	uv_close(&client->handle, (uv_close_cb) free);
}

/* The handle is closed. */
static void
free_listener(uv_handle_t *handle)
{
	free(handle->data);
}

/*
 * Listen at a unix socket. One that a killed server left is removed, another's is
 * not. libuv removes ours when it is closed.
 */
static int
listen_unix(uv_loop_t *loop, uv_pipe_t *pipe, const struct sockaddr_un *un)
{
	int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool left = probe >= 0 && connect(probe, (const struct sockaddr *) un, sizeof *un) != 0 &&
	            errno == ECONNREFUSED;
	int status;

	if (probe >= 0)
		close(probe);
	if (left)
		unlink(un->sun_path);
	uv_pipe_init(loop, pipe, 0);
	status = uv_pipe_bind(pipe, un->sun_path);
	if (status == 0)
		status = uv_pipe_chmod(pipe, UV_READABLE | UV_WRITABLE);
	return status;
}

/* Listen at a port. */
static int
listen_tcp(uv_loop_t *loop, uv_tcp_t *tcp, const struct sockaddr *address)
{
	uv_tcp_init(loop, tcp);
	return uv_tcp_bind(tcp, address, address->sa_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0);
}

/* Open a door; NULL and libuv's reason if the address cannot be had. */
DoorListener *
door_open(uv_loop_t *loop, SessionServer *server, SessionDoor door, Welcome welcome,
          const void *speaks, const Address *address, int *status)
{
	const struct sockaddr *remote = (const struct sockaddr *) &address->remote;
	DoorListener *listener = calloc(1, sizeof *listener);

	if (listener == NULL)
		abort();
	listener->server = server;
	listener->door = door;
	listener->welcome = welcome;
	listener->speaks = speaks;
	*status = address_is_unix(address)
	              ? listen_unix(loop, &listener->uv.pipe, (const struct sockaddr_un *) remote)
	              : listen_tcp(loop, &listener->uv.tcp, remote);
	listener->uv.handle.data = listener;
	if (*status == 0)
		*status = uv_listen(&listener->uv.stream, DOOR_BACKLOG, knock);
	if (*status != 0)
	{
		uv_close(&listener->uv.handle, free_listener);
		return NULL;
	}
	if (!address_is_unix(address))
		server->ports[door] = address_port(remote);
	return listener;
}

/* Nobody else comes in; those inside stay. */
void
door_close(DoorListener *listener)
{
	uv_close(&listener->uv.handle, free_listener);
}
