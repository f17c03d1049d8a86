/*-------------------------------------------------------------------------
 *
 * keeper.h
 *	  Looks which databases there are, and whether somebody waits for the server
 *	  to let go of one of them, or of a table.
 *
 * DROP, ALTER and CREATE DATABASE … TEMPLATE lock the database and then give those
 * who are connected to it five seconds to leave; so it is enough to look once a second.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_LOADGEN_KEEPER_H
#define FRESHET_LOADGEN_KEEPER_H

#include <stdbool.h>
#include <uv.h>

typedef struct KeeperEvents
{
	/* a database there is, and whether somebody waits for it to be left */
	void (*database)(const char *name, bool wanted);

	/* that was all of them */
	void (*databases_seen)(void);

	/* this process has a lock on a table that somebody wants for himself */
	void (*blocker)(int backend);

	/* is there any reason to look again? */
	bool (*needed)(void);
} KeeperEvents;

extern void keeper_start(uv_loop_t *loop, const KeeperEvents *events);

/* There may be a reason to look, where there was none. */
extern void keeper_wake(void);
extern void keeper_stop(void);

#endif /* FRESHET_LOADGEN_KEEPER_H */
