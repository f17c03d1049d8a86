/*-------------------------------------------------------------------------
 *
 * cluster.h
 *	  The embedded PostgreSQL: started, watched, stopped.
 *
 * Invariants:
 *	- At most one postmaster is ours. It gets SIGINT (a fast shutdown) when the
 *	  server dies, however that happens; the next start waits for its end.
 *	- A postmaster that ends without being told to is started again, after a
 *	  pause that doubles with every failure. Only if it never was up is that
 *	  an error (`failed`).
 *	- Events come from the loop, never from inside a function below.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CLUSTER_H
#define FRESHET_CLUSTER_H

#include <stdbool.h>
#include <uv.h>

#include "config/config.h"
#include "postgres/directory.h"

typedef struct Cluster Cluster;

typedef struct ClusterEvents
{
	void (*up)(void *owner);
	void (*down)(void *owner);
	void (*failed)(void *owner, const char *problem);
	void (*stopped)(void *owner);
} ClusterEvents;

/* Wait until the PostgreSQL of a server that was killed has ended; blocks. */
extern bool cluster_await_predecessor(const Directory *directory, char problem[DIRECTORY_PROBLEM]);

/* `addresses` is listen_addresses of PostgreSQL; `port` names its socket too. */
extern Cluster *
cluster_start(uv_loop_t *loop, const Directory *directory, const Config *config,
              const char *addresses, int port, const ClusterEvents *events, void *owner);
extern void cluster_reload(Cluster *cluster);
extern void cluster_stop(Cluster *cluster, bool immediately);
extern void cluster_free(Cluster *cluster);

#endif /* FRESHET_CLUSTER_H */
