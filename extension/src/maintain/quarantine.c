/*-------------------------------------------------------------------------
 *
 * quarantine.c
 *	  Views at which the worker died.
 *
 * A view whose query crashes the process, or has the kernel kill it for its
 * memory, would do so again at the same cut, and with each crash PostgreSQL
 * restarts all of its processes. So the worker notes in a file which view it
 * works on. A worker that finds a view there counts one more death of it; from
 * the second on the view is not loaded but released, with an error that says
 * so.
 *
 * The file is a few bytes, written where they change and never synced: it
 * outlives processes, and what it says after a power failure counts once at the
 * most. It is in pg_stat, like that of pg_stat_statements. Without it, for lack
 * of space for example, nothing is counted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "access/xact.h"
#include "maintain/quarantine.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "view/catalog.h"

/* So many views are remembered; the one that died first is forgotten for another. */
#define MOST_DEAD 16
/* So many deaths in a row are enough. */
#define MOST_DEATHS 2

typedef struct QuarantineDead
{
	Oid view; /* InvalidOid: free */
	uint32 deaths;
} QuarantineDead;

/* The file. */
typedef struct QuarantineFile
{
	Oid current; /* the view that is worked on; InvalidOid: none */
	QuarantineDead dead[MOST_DEAD];
} QuarantineFile;

static int quarantine_file = -1;
static QuarantineFile quarantine = {0};
static bool quarantine_survived[MOST_DEAD]; /* in the running cycle */

/* The file of a database. */
static void
quarantine_path(Oid dboid, char *path)
{
	snprintf(path, MAXPGPATH, PGSTAT_STAT_PERMANENT_DIRECTORY "/freshet_%u", dboid);
}

/* Write what is worked on. May be called by a signal handler. */
static void
quarantine_write_current(Oid view)
{
	if (quarantine.current == view || quarantine_file < 0)
		return;
	quarantine.current = view;
	if (pwrite(quarantine_file, &quarantine.current, sizeof(Oid), 0) != sizeof(Oid))
		quarantine_file = -1;
}

/* Write which views died. */
static void
quarantine_write_dead(void)
{
	if (quarantine_file >= 0 && pwrite(quarantine_file, quarantine.dead, sizeof(quarantine.dead),
	                                   offsetof(QuarantineFile, dead)) != sizeof(quarantine.dead))
		quarantine_file = -1;
}

/* The process ends by itself. */
static void
quarantine_exit(int code, Datum arg)
{
	quarantine_write_current(InvalidOid);
}

/* The postmaster ends all processes because another one has crashed. */
static void
quarantine_quit(SIGNAL_ARGS)
{
	quarantine_write_current(InvalidOid);
	_exit(2);
}

/* The place of a view among the dead; -1: it is none of them. */
static int
quarantine_find(Oid view)
{
	for (int i = 0; i < MOST_DEAD; i++)
		if (quarantine.dead[i].view == view)
			return i;
	return -1;
}

/* The worker before died at this view. */
static void
quarantine_count(Oid view)
{
	int place = quarantine_find(view);

	if (place < 0)
	{
		memmove(&quarantine.dead[1], &quarantine.dead[0], (MOST_DEAD - 1) * sizeof(QuarantineDead));
		quarantine.dead[0] = (QuarantineDead){.view = view};
		place = 0;
	}
	quarantine.dead[place].deaths++;
	quarantine_write_dead();
	StartTransactionCommand();
	ereport(LOG, (errmsg("the freshet worker before died while it worked on materialized view %s, "
	                     "%u times in a row",
	                     catalog_name(view), quarantine.dead[place].deaths)));
	CommitTransactionCommand();
}

/* Read what the worker before left; from now on, note what this one does. */
void
quarantine_initialize(void)
{
	char path[MAXPGPATH];
	QuarantineFile found = {0};

	quarantine_path(MyDatabaseId, path);
	quarantine_file = BasicOpenFile(path, O_RDWR | O_CREAT | PG_BINARY);
	if (quarantine_file < 0)
	{
		ereport(LOG, (errcode_for_file_access(), errmsg("could not open file \"%s\": %m", path)));
		return;
	}
	if (pread(quarantine_file, &found, sizeof(found), 0) == sizeof(found))
		quarantine = found;
	else if (pwrite(quarantine_file, &quarantine, sizeof(quarantine), 0) != sizeof(quarantine))
		quarantine_file = -1;
	if (OidIsValid(quarantine.current))
		quarantine_count(quarantine.current);
	quarantine_write_current(InvalidOid);
	before_shmem_exit(quarantine_exit, (Datum) 0);
	pqsignal(SIGQUIT, quarantine_quit);
}

/* See quarantine.h. */
void
quarantine_enter(Oid view)
{
	quarantine_write_current(view);
}

/* See quarantine.h. */
void
quarantine_leave(void)
{
	quarantine_write_current(InvalidOid);
}

/* See quarantine.h. */
bool
quarantine_due(Oid view)
{
	int place = quarantine_find(view);

	return place >= 0 && quarantine.dead[place].deaths >= MOST_DEATHS;
}

/* See quarantine.h. */
void
quarantine_done(Oid view)
{
	int place = quarantine_find(view);

	if (place >= 0)
		quarantine_survived[place] = true;
}

/* See quarantine.h. */
void
quarantine_settle(bool committed)
{
	for (int i = 0; i < MOST_DEAD; i++)
	{
		if (quarantine_survived[i] && committed)
			quarantine_forget(quarantine.dead[i].view);
		quarantine_survived[i] = false;
	}
}

/* Count anew. */
void
quarantine_forget(Oid view)
{
	int place = quarantine_find(view);

	if (place < 0)
		return;
	quarantine.dead[place] = (QuarantineDead){0};
	quarantine_write_dead();
}

/* The database is gone. */
void
quarantine_remove(Oid dboid)
{
	char path[MAXPGPATH];

	quarantine_path(dboid, path);
	(void) unlink(path);
}
