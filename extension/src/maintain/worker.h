/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The state of a database's worker.
 *
 * Lock order of a cycle: base relations of the affected views (ACCESS SHARE)
 * and the views (ROW EXCLUSIVE), all conditionally, in the order of the views;
 * then freshet.view and freshet.cut. Shared memory locks are taken last and
 * held shortly. The worker never waits for a lock a user holds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_WORKER_H
#define FRESHET_WORKER_H

#include "postgres.h"

#include "cut/capture.h"
#include "cut/cut.h"
#include "cut/frontier.h"
#include "portability/instr_time.h"
#include "storage/lock.h"
#include "view/view.h"

/* A committed cut whose commit record is not yet known to be flushed. */
typedef struct CommittedCut
{
	XLogRecPtr commit_lsn;
	TransactionId xmin;
	XLogRecPtr restart_lsn;
} CommittedCut;

/* A relation watched for subscribers. */
typedef struct WatchedRelation
{
	Oid relid;
	RelFileNode node;
	bool fresh;     /* taken up since the last cut */
	bool untaken;   /* its lock could not be had: nothing is known */
	bool unsettled; /* somebody may have written to it before it was watched */
} WatchedRelation;

/*
 * MaintainedView.retry_at_ms of a view in error that has been changed since:
 * readers wait for what comes of it.
 */
#define RETRY_AT_ONCE 1

/* A maintained view the worker has not been able to load since it began. */
typedef struct UnloadedView
{
	Oid view;
	int64 retry_at_ms; /* 0: it is but locked */
	int failures;
	const char *given_up; /* as MaintainedView.given_up */
} UnloadedView;

/* A view and what only the worker knows of it. */
typedef struct WorkerView
{
	MaintainedView *view;
	uint64 fingerprint;    /* of the query, and of the files it reads and writes */
	bool unsettled;        /* likewise to what it reads: rebuilt with every cut */
	List *defined_by;      /* transactions that changed a function or a type it
	                        * uses, and that no cut shows yet */
	bool dirty;            /* something changed since its content was made */
	bool rebuilt;          /* by the cycle that is running: not dirty and adopted
	                        * once that is committed */
	int64 locked_until_ms; /* somebody holds a lock: not before this time */
	int locked_ms;         /* how long that is, growing */
	int yields;            /* computations in a row broken off for others */
	bool sits_out;         /* it has just made a cycle fail, which is done again without it */
} WorkerView;

/* A function that a transaction made, changed or dropped. */
typedef struct ChangedFunction
{
	TransactionId xid;
	uint32 hash; /* in the cache of functions */
} ChangedFunction;

typedef struct Worker
{
	FrontierDatabase *database;
	MemoryContext context;
	MemoryContext cycle_context;
	Capture *capture;
	Cut *cut;               /* where the views are */
	uint64 own;             /* our transactions completed since */
	List *views;            /* of WorkerView *, those below others first */
	List *unloaded;         /* of UnloadedView *; behind, like views that wait */
	List *watched;          /* of WatchedRelation * */
	List *unseen;           /* of UnseenWriters *; see writers.c */
	List *functions;        /* of ChangedFunction *, that no cut shows yet */
	List *ddl;              /* transactions that changed what we plan with, and
	                         * that no cut shows yet */
	List *committed;        /* of CommittedCut *, oldest first */
	uint32 generation;      /* of the catalogs read last */
	int64 load_retry_at_ms; /* something could not be loaded: not before */
	int64 waited_ms;        /* when a reader waited last */
	int64 following_us;     /* how long views took to follow the last cut's changes */
	int64 publish_us;       /* how long it took to tell those who wait of the last cut */
	bool busy;              /* the last cycle had work to do */
	bool resuming;          /* views are loaded for the first time, from a cut */
	bool persisted;         /* cut is the committed one */
	int64 persisted_at_ms;
	int64 saved_at_ms;        /* the slot */
	WorkerView *culprit;      /* the view being worked on, for error handling */
	instr_time culprit_since; /* since when */
	bool culprit_follows;     /* by its delta queries */
} Worker;

/* cycle.c */
typedef enum CycleResult
{
	CYCLE_IDLE, /* a cut without work */
	CYCLE_WORKED,
	CYCLE_AGAIN /* relations changed under us: load them anew */
} CycleResult;

extern CycleResult cycle_run(Worker *worker);
extern void cycle_failed(Worker *worker, ErrorData *error, bool yielded);
extern void cycle_view_failed(Worker *worker, WorkerView *entry, ErrorData *error);
extern void cycle_record_error(Oid view, ErrorData *error);
extern int64 cycle_retry_ms(int failures);
extern int64 cycle_next_due_ms(Worker *worker);
extern bool cycle_pending(Worker *worker);
extern bool cycle_wanted(Worker *worker);

/* changed.c */
extern bool changed_concerns(MaintainedView *view, List *changes);
extern List *changed_by_others(Worker *worker, List *changes);
extern void changed_read(Worker *worker, ViewCycle *cycle, List *todo);
extern bool changed_follows_rest(MaintainedView *view, ViewCycle *cycle);
extern bool changed_follow_rest(MaintainedView *view, ViewCycle *cycle, ViewOutcome *outcome);
extern void changed_ring(List *changes);
extern bool changed_watched(Worker *worker, List *changes);

/* load.c */
extern void load_initialize(Worker *worker);
extern bool load_catalogs(Worker *worker);
extern bool load_invalidated(const SharedInvalidationMessage *message, TransactionId xid);
extern void load_view_again(MaintainedView *view);
extern bool load_ddl(Worker *worker, Snapshot cut);
extern bool load_needed(Worker *worker);

/* writers.c */
extern void writers_note(Worker *worker, Oid relid);
extern void writers_forget(Worker *worker, Oid relid);
extern void writers_settle(Worker *worker);

/* ahead.c */
extern bool ahead_run(Worker *worker);
extern void ahead_forget_ended(Worker *worker);
extern void ahead_spoil_all(Worker *worker);

/* worker.c */
extern void worker_configure_planning(void);

/* priority.c */
extern void priority_apply(int64 following_us, bool awaited);

extern int cycle_recursion_timeout; /* ms */
extern int worker_max_cut_age;
extern int worker_cycle_delay;
extern int worker_nice;

#endif /* FRESHET_WORKER_H */
