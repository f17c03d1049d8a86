/*-------------------------------------------------------------------------
 *
 * server.h
 *	  What all sessions share, the threads they live on, and the doors they come in by.
 *
 * Invariants:
 *	- A session lives on one of the server's loops from its first byte to its
 *	  end; the doors are on the loop of the first thread and hand clients over.
 *	- A SessionServer is filled in before its loops are started. After that
 *	  nothing in it changes but `unavailable`.
 *	- `unavailable` is NULL exactly while PostgreSQL takes connections.
 *	- By `backend` PostgreSQL lets the server in as itself, as any of `trusted_roles` and
 *	  as the owners of sources, without a password. A client gets that way only if it is on this
 *	  machine and names a trusted role, at a door that trusts; all others get `password_backend`, where PostgreSQL
 *	  asks for a password. Of a PostgreSQL that is not ours there is only `backend`.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_SESSION_SERVER_H
#define FRESHET_SESSION_SERVER_H

#include <uv.h>

#include "net/address.h"
#include "net/loop.h"
#include "session/session.h"
#include "tls/tls.h"

/* A name of a database that leads to another one, with a search_path or NULL. */
typedef struct DatabaseAlias
{
	char *name;
	char *search_path;
} DatabaseAlias;

/* The sessions of one thread; internal.h. */
typedef struct SessionLoop SessionLoop;

/* Who lives on such a thread and is no session; the first member of it. */
typedef struct Guest Guest;
struct Guest
{
	void (*end)(Guest *guest); /* the server stops: leave */
	bool client;               /* he came by a door, and is part of the loop's load */
	Guest *previous;
	Guest *next;
};

/* Somebody has come in by a door: on the thread he will live on. `speaks` is the door's, see below. */
typedef void (*Welcome)(SessionLoop *loop, SessionDoor door, const void *speaks, int fd);

typedef struct SessionServer
{
	TlsContext *tls;
	Address backend;
	Address password_backend;
	bool has_password_backend;
	char **trusted_roles;  /* NULL at the end */
	const bool *trusting;  /* by door: may they enter so? */
	int ports[DOOR_COUNT]; /* 0: not open */
	int max_connections;
	DatabaseAlias *aliases;
	size_t alias_count;
	char *conninfo; /* for questions of the server's own */
	size_t http_body_limit;
	const char *stages; /* directory of uploaded files */
	bool databend_lenient;
	_Atomic(const char *) unavailable;

	SessionLoop *loops;
	size_t loop_count;
	size_t loops_running;
	void (*ended)(void);
} SessionServer;

/* The database that aliases lead to. */
#define DEFAULT_DATABASE "materialize"

typedef struct DoorListener DoorListener;

extern void session_server_start(SessionServer *server);
extern void session_server_finish(SessionServer *server, void (*ended)(void));
extern void session_server_stop(SessionServer *server);
extern DoorListener *
door_open(uv_loop_t *loop, SessionServer *server, SessionDoor door, Welcome welcome,
          const void *speaks, const Address *address, int *status);
extern void door_close(DoorListener *listener);
extern void
session_knock(SessionServer *server, SessionDoor door, Welcome welcome, const void *speaks, int fd);

/* A session at a door; `dialect` is a Dialect. */
extern void session_accept(SessionLoop *loop, SessionDoor door, const void *dialect, int fd);

extern Loop *session_loop_of(const SessionLoop *loop);
extern SessionServer *session_loop_server(const SessionLoop *loop);
extern void session_loop_enter(SessionLoop *loop, Guest *guest);
extern void session_loop_leave(SessionLoop *loop, Guest *guest);

/* Is this one of the roles that may enter without a password? */
extern bool session_server_trusts(const SessionServer *server, const char *role);

#endif /* FRESHET_SESSION_SERVER_H */
