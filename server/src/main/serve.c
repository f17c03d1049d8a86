/*-------------------------------------------------------------------------
 *
 * serve.c
 *	  `freshet serve`: PostgreSQL, doors and services from start to stop.
 *
 * The order is: directory, certificate, ports (so that one in use is noticed
 * before anything is made), PostgreSQL, its contents, services, `ready`. It stops
 * the other way round. While PostgreSQL is not up, the doors answer that it is starting.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <signal.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "main/commands.h"
#include "main/log.h"
#include "main/registry.h"
#include "main/status.h"
#include "postgres/bootstrap.h"
#include "postgres/cluster.h"
#include "postgres/conninfo.h"
#include "postgres/external.h"
#include "postgres/initdb.h"
#include "postgres/program.h"
#include "net/loop.h"
#include "postgres/settings.h"
#include "session/server.h"
#include "tls/certificate.h"

#define DAY_MS (UINT64_C(24) * 60 * 60 * 1000)

/* How long clients may take to fetch the server's last words. */
#define FAREWELL_MS 2000

typedef enum ServeStage
{
	SERVE_STARTING,
	SERVE_READY,
	SERVE_STOPPING_SERVICES,
	SERVE_STOPPING_POSTGRES,
	SERVE_LEAVING
} ServeStage;

typedef struct Server
{
	const Config *config;
	Directory directory;
	uv_loop_t *loop;
	SessionServer sessions;
	Cluster *cluster; /* NULL where PostgreSQL is not ours */
	DoorListener **doors;
	size_t door_count;
	uv_signal_t signals[3];
	uv_timer_t timer;
	uv_timer_t daily;
	ServeStage stage;
	int exit_status;
	bool beyond_loopback;
	int port; /* of PostgreSQL's socket */
	char addresses[512];
	char version[64];
	size_t services_running;
} Server;

/* There is one server in a process; services, which know no server, ask for it. */
static Server server;

static void stop(int exit_status);

/* A connection string for the server's own connections; the caller frees it. */
char *
service_conninfo(const char *user, const char *database)
{
	if (server.config->postgres != NULL)
		return external_conninfo(server.config->postgres, user, database);
	return conninfo_socket(server.directory.sockets, server.port, user != NULL ? user : SERVER_ROLE,
	                       database);
}

/* A connection string for a client's connection. Of equal names the last counts. */
char *
service_client_conninfo(const char *user, const char *password, const char *database,
                        const char *options)
{
	bool ours = server.config->postgres == NULL;
	Buffer conninfo = {0};
	char port[16];

	if (!ours || password == NULL)
	{
		char *own = service_conninfo(user, database);

		buffer_append(&conninfo, own, strlen(own));
		free(own);
	}
	else
	{
		snprintf(port, sizeof port, "%d", server.port);
		conninfo_add(&conninfo, "host", "127.0.0.1");
		conninfo_add(&conninfo, "port", port);
		conninfo_add(&conninfo, "user", user);
		conninfo_add(&conninfo, "dbname", database);
		conninfo_add(&conninfo, "sslmode", "disable");
	}
	/* with none libpq would look into a file of the server's user */
	conninfo_add(&conninfo, "password", password != NULL && *password != '\0' ? password : "none");
	conninfo_add(&conninfo, "gssencmode", "disable");
	conninfo_add(&conninfo, "options", options);
	buffer_append(&conninfo, "", 1);
	return buffer_data(&conninfo);
}

/* Let the server log in as this role; see service.h. */
bool
service_let_in(const char *user)
{
	bool added;

	if (server.cluster == NULL)
		return true;
	if (!accounts_add(&server.directory, server.config, user, &added))
		return false;
	if (added)
		cluster_reload(server.cluster);
	return true;
}

/* The certificate in use. */
static const char *
certificate(void)
{
	return server.config->tls_cert ? server.config->tls_cert : server.directory.certificate;
}

/* Its key. */
static const char *
certificate_key(void)
{
	return server.config->tls_key ? server.config->tls_key : server.directory.key;
}

/* See to the certificate that is made here, if it is. */
static bool
ensure_certificate(bool *made, char *problem)
{
	const Directory *directory = &server.directory;
	CertificateFiles files = {directory->certificate, directory->key, directory->authority,
	                          directory->authority_key};

	*made = false;
	return server.config->tls_cert != NULL ||
	       certificate_ensure(&files, server.config->listen_list, made, problem, DIRECTORY_PROBLEM);
}

/* TLS works from the first start. */
static bool
prepare_tls(char *problem)
{
	bool made;

	if (!ensure_certificate(&made, problem))
		return false;
	server.sessions.tls =
	    tls_context_open(certificate(), certificate_key(), problem, DIRECTORY_PROBLEM);
	return server.sessions.tls != NULL;
}

/* Open one door at one address. */
static bool
open_door(SessionDoor door, const char *host, int port, char *problem)
{
	const char *why;
	Address address;
	DoorListener *listener;
	int status;

	if (port == 0)
		return true;
	if (!address_tcp(&address, host, port, &why))
	{
		snprintf(problem, DIRECTORY_PROBLEM, "could not listen on \"%s\": %s", host, why);
		return false;
	}
	listener = door_open(server.loop, &server.sessions, door, registry_doors[door].welcome,
	                     registry_doors[door].speaks, &address, &status);
	if (listener == NULL)
	{
		snprintf(problem, DIRECTORY_PROBLEM, "could not listen on %s port %d: %s", host, port,
		         uv_strerror(status));
		return false;
	}
	server.doors[server.door_count++] = listener;
	return true;
}

/* The PostgreSQL door at its unix socket. */
static bool
open_socket(const char *socket_directory, int port, char *problem)
{
	Address address;
	DoorListener *listener;
	int status = UV_ENAMETOOLONG;

	listener = address_unix(&address, socket_directory, port)
	               ? door_open(server.loop, &server.sessions, DOOR_POSTGRES,
	                           registry_doors[DOOR_POSTGRES].welcome,
	                           registry_doors[DOOR_POSTGRES].speaks, &address, &status)
	               : NULL;
	if (listener == NULL)
	{
		snprintf(problem, DIRECTORY_PROBLEM, "could not make a socket for port %d in \"%s\": %s",
		         port, socket_directory, uv_strerror(status));
		return false;
	}
	server.doors[server.door_count++] = listener;
	return true;
}

/* Open every door at every address. */
static bool
open_doors(char *problem)
{
	const int ports[DOOR_COUNT] = {
	    [DOOR_POSTGRES] = server.config->postgres_port,
	    [DOOR_MATERIALIZE] = server.config->materialize_port,
	    [DOOR_CRATEDB] = server.config->cratedb_port,
	    [DOOR_DATABEND] = server.config->databend_port,
	};
	char *const *listen = server.config->listen_list;
	size_t count;
	size_t i;
	int door;

	for (count = 0; listen[count] != NULL; count++)
		;
	server.doors = calloc(count * DOOR_COUNT + 1, sizeof *server.doors);
	if (server.doors == NULL)
		abort();
	for (i = 0; i < count; i++)
	{
		const char *why;
		Address address;

		if (address_tcp(&address, listen[i], 0, &why) &&
		    !address_is_loopback((const struct sockaddr *) &address.remote))
			server.beyond_loopback = true;
		for (door = 0; door < DOOR_COUNT; door++)
			if (!open_door(door, listen[i], ports[door], problem))
				return false;
	}
	if (server.config->unix_socket_directory != NULL && ports[DOOR_POSTGRES] != 0)
		return open_socket(server.config->unix_socket_directory, ports[DOOR_POSTGRES], problem);
	return true;
}

/* Nobody comes in any more. */
static void
close_doors(void)
{
	while (server.door_count > 0)
		door_close(server.doors[--server.door_count]);
	free(server.doors);
	server.doors = NULL;
}

/* See whether PostgreSQL can have its port, or, with port 0, which one is free. */
static int
try_port(const char *host, int port, char *problem)
{
	const char *why = "";
	Address address;
	struct sockaddr_storage bound;
	socklen_t length = sizeof bound;
	int on = 1;
	int fd;

	if (!address_tcp(&address, host, port, &why))
	{
		snprintf(problem, DIRECTORY_PROBLEM, "could not listen on \"%s\": %s", host, why);
		return -1;
	}
	fd = socket(address.remote.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	length = address.remote.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
	                                              : sizeof(struct sockaddr_in);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
	    bind(fd, (struct sockaddr *) &address.remote, length) != 0 || listen(fd, 1) != 0)
	{
		snprintf(problem, DIRECTORY_PROBLEM, "could not listen on %s port %d: %s", host, port,
		         strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	length = sizeof bound;
	if (getsockname(fd, (struct sockaddr *) &bound, &length) == 0)
		port = ntohs(((struct sockaddr_in *) &bound)->sin_port);
	close(fd);
	return port;
}

/*
 * Where PostgreSQL listens by TCP: at the native port, and on this machine for the
 * doors, whose clients are asked for their password there.
 */
static bool
choose_addresses(char *problem)
{
	const Config *config = server.config;
	Address *password = &server.sessions.password_backend;
	bool local = false;
	const char *why;
	size_t i;

	server.port = config->native_port;
	if (config->native_port != 0)
	{
		for (i = 0; config->listen_list[i] != NULL; i++)
		{
			const char *host = config->listen_list[i];
			size_t used = strlen(server.addresses);
			Address address;

			if (try_port(host, config->native_port, problem) < 0)
				return false;
			snprintf(server.addresses + used, sizeof server.addresses - used, "%s%s",
			         used > 0 ? "," : "", host);
			if (address_tcp(&address, host, 0, &why) && address.remote.ss_family == AF_INET &&
			    (address_is_any((const struct sockaddr *) &address.remote) ||
			     ((struct sockaddr_in *) &address.remote)->sin_addr.s_addr ==
			         htonl(INADDR_LOOPBACK)))
				local = true;
		}
	}
	if (server.port == 0)
		server.port = try_port("127.0.0.1", 0, problem);
	if (server.port < 0)
		return false;
	if (!local)
	{
		size_t used = strlen(server.addresses);

		snprintf(server.addresses + used, sizeof server.addresses - used, "%s127.0.0.1",
		         used > 0 ? "," : "");
	}
	server.sessions.has_password_backend = true;
	if (!address_tcp(password, PASSWORD_SOURCE, 0, &why))
		return false;
	password->local = password->remote;
	((struct sockaddr_in *) &password->remote)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	((struct sockaddr_in *) &password->remote)->sin_port = htons((uint16_t) server.port);
	return true;
}

/* PostgreSQL is up for the first time and the doors may be used. */
static void
become_ready(void)
{
	const Service *const *service;

	for (service = registry_services; *service != NULL; service++)
	{
		server.services_running++;
		(*service)->start(loop_here());
	}
	server.sessions.unavailable = NULL;
	if (!status_write(&server.directory, server.config, server.version, server.port))
		log_line("could not write \"%s\": %s", server.directory.status, strerror(errno));
	server.stage = SERVE_READY;
	printf("ready\n");
	fflush(stdout);
}

/*
 * What the clients of each open door expect to find. Where it cannot be made, because somebody's own
 * is in its place say, the door is open all the same.
 */
static void
make_catalogs(void)
{
	char problem[DIRECTORY_PROBLEM];
	int door;

	for (door = 0; door < DOOR_COUNT; door++)
		if (server.sessions.ports[door] != 0 && registry_doors[door].catalog != NULL &&
		    !bootstrap_catalog(&server.directory, server.port, registry_doors[door].catalog,
		                       problem))
			log_line("%s", problem);
}

/* The postmaster takes connections. */
static void
postgres_up(void *owner)
{
	char problem[DIRECTORY_PROBLEM];

	(void) owner;
	if (server.stage == SERVE_READY)
	{
		server.sessions.unavailable = NULL;
		log_line("PostgreSQL is up again");
	}
	else if (server.stage != SERVE_STARTING)
		return;
	else if (bootstrap(&server.directory, server.port, server.config, server.beyond_loopback,
	                   problem))
	{
		make_catalogs();
		become_ready();
	}
	else
	{
		log_line("%s", problem);
		stop(1);
	}
}

/* The postmaster crashed and will be started again. */
static void
postgres_down(void *owner)
{
	(void) owner;
	server.sessions.unavailable = "the database system is starting up";
}

/* All sessions are gone. */
static void
leave(void)
{
	uv_stop(server.loop);
}

/* Everything is closed but what clients are still fetching. */
static void
leave_anyway(uv_timer_t *timer)
{
	(void) timer;
	leave();
}

/* PostgreSQL has ended: so does everything. */
static void
postgres_stopped(void *owner)
{
	size_t i;

	(void) owner;
	server.stage = SERVE_LEAVING;
	session_server_finish(&server.sessions, leave);
	if (server.cluster != NULL)
		cluster_free(server.cluster);
	for (i = 0; i < sizeof server.signals / sizeof server.signals[0]; i++)
		uv_close((uv_handle_t *) &server.signals[i], NULL);
	uv_close((uv_handle_t *) &server.daily, NULL);
	uv_timer_start(&server.timer, leave_anyway, FAREWELL_MS, 0);
}

/* It could not be started at all. */
static void
postgres_failed(void *owner, const char *problem)
{
	log_line("%s", problem);
	server.exit_status = 1;
	close_doors();
	postgres_stopped(owner);
}

static const ClusterEvents cluster_events = {postgres_up, postgres_down, postgres_failed,
                                             postgres_stopped};

/* The services have stopped, or took too long: now PostgreSQL. */
static void
stop_postgres(uv_timer_t *timer)
{
	(void) timer;
	uv_timer_stop(&server.timer);
	server.stage = SERVE_STOPPING_POSTGRES;
	if (server.cluster != NULL)
		cluster_stop(server.cluster, false);
	else
		postgres_stopped(NULL);
}

/* A service has closed its connections. */
void
service_stopped(const Service *service)
{
	(void) service;
	if (--server.services_running == 0 && server.stage == SERVE_STOPPING_SERVICES)
		uv_timer_start(&server.timer, stop_postgres, 0, 0);
}

/* Begin to stop; asked a second time, stop at once. */
static void
stop(int exit_status)
{
	const Service *const *service;
	bool serving = server.stage == SERVE_READY;

	if (server.stage >= SERVE_STOPPING_SERVICES)
	{
		if (server.cluster != NULL && server.stage < SERVE_LEAVING)
			cluster_stop(server.cluster, true);
		return;
	}
	server.exit_status = exit_status;
	server.stage = SERVE_STOPPING_SERVICES;
	server.sessions.unavailable = "the database system is shutting down";
	close_doors();
	uv_timer_start(&server.timer, stop_postgres, SERVICE_STOP_MS, 0);
	if (serving)
		for (service = registry_services; *service != NULL; service++)
			(*service)->stop();
	if (server.services_running == 0)
		uv_timer_start(&server.timer, stop_postgres, 0, 0);
}

/* Certificates and PostgreSQL's configuration anew. */
static void
reload(void)
{
	char problem[DIRECTORY_PROBLEM];
	bool made;

	if (!ensure_certificate(&made, problem))
		log_line("%s", problem);
	if (!tls_context_replace(server.sessions.tls, certificate(), certificate_key(), problem,
	                         DIRECTORY_PROBLEM))
		log_line("keeping the old certificate: %s", problem);
	if (server.cluster != NULL)
		cluster_reload(server.cluster);
}

/* A day has passed: does the certificate end soon? */
static void
certificate_day(uv_timer_t *timer)
{
	char problem[DIRECTORY_PROBLEM];
	bool made;

	(void) timer;
	if (!ensure_certificate(&made, problem))
		log_line("%s", problem);
	else if (made)
		reload();
}

/* Somebody wants something of the server. */
static void
signalled(uv_signal_t *handle, int number)
{
	(void) handle;
	if (number == SIGHUP)
		reload();
	else
		stop(0);
}

/* Listen to signals. */
static void
watch_signals(void)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	size_t i;

	for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
	{
		uv_signal_init(server.loop, &server.signals[i]);
		uv_signal_start(&server.signals[i], signalled, numbers[i]);
	}
}

/* Every session needs two descriptors: take as many as are allowed. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
	{
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Find or make PostgreSQL and have it on its way up. */
static bool
begin_postgres(char *problem)
{
	const Config *config = server.config;

	if (config->postgres != NULL)
	{
		if (!external_find(config->postgres, &server.sessions.backend, server.version,
		                   sizeof server.version, problem, DIRECTORY_PROBLEM))
			return false;
	}
	else
	{
		if (!program_version(config->postgres_bin, server.version, sizeof server.version, problem,
		                     DIRECTORY_PROBLEM) ||
		    !cluster_await_predecessor(&server.directory, problem) || !choose_addresses(problem) ||
		    !initdb_ensure(&server.directory, config, problem))
			return false;
		if (!address_unix(&server.sessions.backend, server.directory.sockets, server.port))
			abort();
	}
	server.sessions.conninfo = service_conninfo(NULL, "postgres");
	return true;
}

/* Serve until told to stop. */
int
command_serve(const Config *config)
{
	char problem[DIRECTORY_PROBLEM] = "";

	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit();
	server.config = config;
	if (config->unbuilt_door_asked_for)
		log_line("the door for the console is not built yet; its port stays closed");
	if (!directory_open(&server.directory, config->data, config->user, problem))
	{
		log_line("%s", problem);
		return 1;
	}
	server.loop = loop_uv(loop_first());
	server.sessions.unavailable = "the database system is starting up";
	server.sessions.trusted_roles = config->trusted_role_list;
	server.sessions.trusting = config->trusting;
	server.sessions.max_connections = config->max_connections;
	server.sessions.stages = server.directory.stages;
	server.sessions.databend_lenient = config->databend_lenient;
	server.sessions.http_body_limit = (size_t) config->http_body_megabytes * 1024 * 1024;
	server.sessions.aliases = config->alias_list;
	server.sessions.alias_count = config->alias_count;
	if (!prepare_tls(problem) || !open_doors(problem) || !begin_postgres(problem))
	{
		log_line("%s", problem);
		directory_close(&server.directory);
		return 1;
	}
	session_server_start(&server.sessions);
	watch_signals();
	uv_timer_init(server.loop, &server.timer);
	uv_timer_init(server.loop, &server.daily);
	uv_timer_start(&server.daily, certificate_day, DAY_MS, DAY_MS);
	if (config->postgres == NULL)
		server.cluster = cluster_start(server.loop, &server.directory, config, server.addresses,
		                               server.port, &cluster_events, &server);
	else
		become_ready();
	uv_run(server.loop, UV_RUN_DEFAULT);
	session_server_stop(&server.sessions);
	directory_close(&server.directory);
	return server.exit_status;
}
