/*-------------------------------------------------------------------------
 *
 * frontier.h
 *	  What the worker of a database publishes in shared memory: how far its
 *	  views have come, per-view counters, which cuts others still need, and
 *	  which rows changed in the last cuts.
 *
 * Locking: FrontierDatabase.lock (a spinlock) guards the frontier's fields and
 * the pins of that database; it is held for a few instructions and nothing is
 * called under it. frontier_lock (an LWLock) guards the arrays of
 * databases and views; it may be held while a spinlock is taken, never the
 * other way round. The change ring has an LWLock of its own, always taken
 * last.
 *
 * Entries of the arrays are found without a lock: an entry is filled before
 * its dboid is set, and its dboid is cleared before it is used again.
 *
 * A reader is "fresh" when every transaction completed before it looked is
 * visible in the frontier's cut. That is decided by the number of completed
 * transactions (TransamVariables' xactCompletionCount), never by LSN: a commit
 * record may be in the WAL long before its transaction is visible.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_FRONTIER_H
#define FRESHET_FRONTIER_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "storage/condition_variable.h"
#include "storage/itemptr.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "port/atomics.h"
#include "cut/cut.h"

#define FRONTIER_MAX_PINS 1024
/* So many of these are kept for superusers. */
#define FRONTIER_RESERVED_PINS 32

/* FrontierDatabase.maintained when the worker has not counted (again) yet */
#define FRONTIER_UNCOUNTED UINT32_MAX

/* How long readers wait for a worker that is not there. */
#define FRONTIER_WORKER_GRACE_MS 5000

/* A cut somebody still reads: its xmin holds the database's slot back. */
typedef struct FrontierPin
{
	pid_t pid; /* 0: free */
	Oid role;  /* who reads */
	TransactionId xmin;
	int64 since_ms;
	bool lost; /* older than freshet.max_cut_age: dropped */
} FrontierPin;

/* One database with the extension; its worker is the only writer. */
typedef struct FrontierDatabase
{
	Oid dboid; /* InvalidOid: free */
	slock_t lock;
	pid_t worker_pid;                    /* 0: none */
	Latch *worker_latch;                 /* valid while worker_pid != 0 */
	TimestampTz worker_left;             /* when the last one that published left */
	int stop_requested;                  /* number of backends about to drop, rename,
								 * move or copy the database: while not 0 the
								 * worker leaves and none is started */
	pg_atomic_uint32 sleeping;           /* 1 while the worker waits on its latch */
	pg_atomic_uint32 waiters;            /* backends waiting for the frontier */
	pg_atomic_uint32 catalog_generation; /* grows with each committed change
											 * of freshet's catalogs or DDL on
											 * a view */
	pg_atomic_uint32 maintained;         /* number of maintained views; 0: readers
									 * need not look further;
									 * FRONTIER_UNCOUNTED: look at the catalog */
	pg_atomic_uint32 watched;            /* number of relations subscribed to */

	/* the frontier, under lock */
	uint64 number;
	XLogRecPtr lsn;
	int64 at_ms;
	uint64 completed;        /* Cut.completed of the frontier */
	uint64 own;              /* transactions of the worker itself completed
								 * since then */
	TransactionId slot_xmin; /* what the slot holds; no pin may be older */
	int pins_used;           /* pins from here on were never used */
	FrontierPin pins[FRONTIER_MAX_PINS];

	ConditionVariable moved; /* broadcast whenever the frontier moves, a
								 * view's state changes, a worker comes or
								 * leaves */
	uint32 ring_handle;      /* dsm_handle of the change ring; 0: none */
	LWLock ring_lock;        /* guards the ring's content */
} FrontierDatabase;

/* Counters and state of one view; written by the worker only. */
typedef struct FrontierView
{
	Oid dboid; /* InvalidOid: free */
	Oid view;
	pg_atomic_uint64 completed; /* as FrontierDatabase.completed, but for what
								 * the view's own content covers */
	pg_atomic_uint32 behind;    /* 1: the view is not at the database's
								 * frontier (being adopted, locked, in error,
								 * or a costly recomputation is due) */
	pg_atomic_uint32 failed;    /* 1: in error; readers do not wait for it */
	pg_atomic_uint32 wanted;    /* a reader waits for it: recompute now */
	pg_atomic_uint32 locked;    /* a relation whose lock the worker cannot have; 0:
	                          * none */
	pg_atomic_uint64 lsn;
	pg_atomic_uint64 at_ms;
	pg_atomic_uint64 passes_at_ms; /* when time alone changes it next; 0: it does not */
	pg_atomic_uint64 rows_in;
	pg_atomic_uint64 rows_out;
	pg_atomic_uint64 cycles;
	pg_atomic_uint64 last_cycle_us;
	pg_atomic_uint64 keyed_us; /* what its block took last, by keys and as a whole */
	pg_atomic_uint64 whole_us;
} FrontierView;

/* Outcome of frontier_wait. */
typedef enum FrontierWait
{
	FRONTIER_FRESH,    /* reached */
	FRONTIER_TIMEOUT,  /* not within the time given, or the worker waits for a
	                   * lock of this very transaction, or cannot lock the view */
	FRONTIER_NO_WORKER /* no worker, and none came within five
								 * seconds */
} FrontierWait;

/* Bytes of the server's secret. */
#define FRONTIER_SECRET_SIZE 32

extern int frontier_max_databases;     /* GUC freshet.max_databases */
extern int frontier_max_views;         /* GUC freshet.max_views */
extern int frontier_max_pins_per_role; /* GUC freshet.max_subscriptions_per_role */
extern int frontier_ring_kb;           /* GUC freshet.change_ring */

extern void frontier_request_shmem(void);
extern void frontier_startup_shmem(void);

/*
 * Any backend.
 *
 * frontier_wait: returns once every transaction among the first "completed"
 * ones is visible in the frontier's cut, and, with a view that is behind, in
 * that view's own content, and time has changed in it what it was to change by
 * now. A failed view is never waited for. timeout_ms < 0:
 * no limit. frontier_wait_since is also satisfied by a cut taken at since_ms
 * or later (0: no such cut).
 *
 * frontier_pin: holds everything the worker's slot holds now; *xmin is set to
 * that horizon. -1 while the worker holds no slot. Pins and watches of a
 * backend end with it at the latest. frontier_secret: FRONTIER_SECRET_SIZE bytes
 * that nobody else knows, to sign with; NULL if there are none.
 */
extern FrontierDatabase *frontier_database(Oid dboid, bool create);
extern const uint8 *frontier_secret(void);
extern void frontier_forget_database(Oid dboid);
extern Oid frontier_next_database(int *position);
extern FrontierView *frontier_view(Oid dboid, Oid view, bool create);
extern List *frontier_views_behind(Oid dboid); /* but for those in error */
extern List *frontier_views_failed(Oid dboid);
extern uint64 frontier_number(FrontierDatabase *database);
extern uint64 frontier_completed_now(void);
extern bool frontier_is_fresh(FrontierDatabase *database, FrontierView *view, uint64 completed);
extern FrontierWait
frontier_wait(FrontierDatabase *database, FrontierView *view, uint64 completed, long timeout_ms);
extern FrontierWait frontier_wait_since(FrontierDatabase *database, FrontierView *view,
                                        uint64 completed, int64 since_ms, long timeout_ms);
extern void frontier_wake_worker(FrontierDatabase *database);
extern void frontier_catalogs_change(FrontierDatabase *database);
extern void frontier_catalogs_changed(FrontierDatabase *database);
extern void frontier_stop_worker(FrontierDatabase *database);
extern void frontier_allow_worker(FrontierDatabase *database);
extern int frontier_pin(FrontierDatabase *database, TransactionId *xmin);
extern void frontier_pin_advance(FrontierDatabase *database, int pin, TransactionId xmin);
extern bool frontier_pin_lost(FrontierDatabase *database, int pin);
extern void frontier_unpin(FrontierDatabase *database, int pin);

/*
 * The worker.
 *
 * frontier_worker_attach: this process is the database's worker from now on;
 * false: there is one already, or it is asked to leave. It is detached when it
 * exits, however it does.
 *
 * frontier_hold_xmin: sets slot_xmin to the older of "wanted" and the oldest
 * pin and returns it; only then may the slot be advanced to it, since from that
 * moment on no new pin can ask for more.
 *
 * frontier_drop_pins: pins older than before_ms are lost; they hold nothing any
 * more.
 *
 * frontier_keep_views: "known" are all maintained views, according to catalogs
 * read after catalog_generation was "generation"; entries of others are free
 * again.
 *
 * frontier_set_maintained: how many views there are according to catalogs read
 * after catalog_generation was "generation"; ignored if it has changed since.
 */
extern bool frontier_worker_attach(FrontierDatabase *database);
extern void frontier_set_maintained(FrontierDatabase *database, uint32 generation, uint32 count);
extern void frontier_keep_views(FrontierDatabase *database, uint32 generation, List *known);
extern void frontier_publish(FrontierDatabase *database, const Cut *cut, uint64 own);
extern TransactionId frontier_hold_xmin(FrontierDatabase *database, TransactionId wanted);
extern void frontier_drop_pins(FrontierDatabase *database, int64 before_ms);

/*
 * The change ring: for each of the last cuts, which row versions of which
 * relations appeared or disappeared. Written by the worker as part of
 * publishing a cut; a subscriber that has fallen behind the ring compares the
 * whole relation under its two snapshots instead.
 */
extern void frontier_ring_create(FrontierDatabase *database);
extern void frontier_ring_begin(FrontierDatabase *database, uint64 number);
extern void frontier_ring_add(Oid relation, const ItemPointerData *tids, int count);
extern void frontier_ring_whole(Oid relation);
extern void frontier_ring_commit(void);

typedef enum FrontierChanges
{
	FRONTIER_CHANGES_NONE,   /* nothing changed between the cuts */
	FRONTIER_CHANGES_TIDS,   /* tids holds every changed version */
	FRONTIER_CHANGES_UNKNOWN /* compare the whole relation */
} FrontierChanges;

/* *tids: sorted, without duplicates, palloc'd */
extern FrontierChanges frontier_ring_read(FrontierDatabase *database, Oid relation, uint64 after,
                                          uint64 upto, ItemPointerData **tids, int *count);

/*
 * Relations somebody subscribes to: the worker watches them as well. The ring
 * knows a relation's changes from the first cut on by which every transaction
 * has ended that ran when the worker took the relation up (frontier_watched);
 * for older cuts frontier_ring_read says FRONTIER_CHANGES_UNKNOWN.
 */
extern void frontier_watch(FrontierDatabase *database, Oid relation);
extern void frontier_unwatch(FrontierDatabase *database, Oid relation);
extern bool frontier_watch_taken(FrontierDatabase *database, Oid relation, uint64 number);
extern int frontier_watched(FrontierDatabase *database, Oid *relations, bool *is_new, int max);

#endif /* FRESHET_FRONTIER_H */
