/*-------------------------------------------------------------------------
 *
 * server.h
 *	  What all sessions share, and the doors they come in by.
 *
 * Invariants:
 *	- `unavailable` is NULL exactly while PostgreSQL takes connections.
 *	- PostgreSQL lets the server in as any of `socket_roles` by `backend` without
 *	  a password. A client gets that way to them only if it is on this machine and
 *	  the role is trusted; else it gets `password_backend`, where a password is asked for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_SESSION_SERVER_H
#define FRESHET_SESSION_SERVER_H

#include <uv.h>

#include "net/address.h"
#include "postgres/link.h"
#include "session/session.h"
#include "tls/tls.h"

/* A name of a database that leads to another one, with a search_path or NULL. */
typedef struct DatabaseAlias
{
	char *name;
	char *search_path;
} DatabaseAlias;

typedef struct SessionServer
{
	uv_loop_t *loop;
	TlsContext *tls;
	Address backend;
	Address password_backend;
	bool has_password_backend;
	char **trusted_roles;    /* NULL at the end */
	const char *server_role; /* one more socket role, or NULL */
	DatabaseAlias *aliases;
	size_t alias_count;
	const char *unavailable;
	Link *link;

	Session *sessions;
	size_t paused_clients;
	uv_timer_t sweep;
} SessionServer;

/* The database that aliases lead to. */
#define DEFAULT_DATABASE "materialize"

typedef struct DoorListener DoorListener;

extern void session_server_init(SessionServer *server, uv_loop_t *loop);
extern void session_server_close(SessionServer *server);
extern DoorListener *door_open(SessionServer *server, SessionDoor door, const Dialect *dialect,
                               const Address *address, int *status);
extern void door_close(DoorListener *listener);

extern void session_accept(SessionServer *server, SessionDoor door, const Dialect *dialect,
                           uv_stream_t *listener);

#endif /* FRESHET_SESSION_SERVER_H */
