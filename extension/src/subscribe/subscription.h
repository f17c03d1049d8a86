/*-------------------------------------------------------------------------
 *
 * subscription.h
 *	  A subscription: a target, and the cut up to which its changes have been
 *	  read. It lives in the memory of the backend that made it.
 *
 * Invariants:
 *	- Everything the subscription's cut sees is held by its pin; a pin that was
 *	  lost (freshet.max_cut_age) is noticed before rows are given out.
 *	- The cut is always one that was committed to freshet.cut. Its relations
 *	  were watched, or are maintained views, before it was chosen.
 *	- Rows are given out with a timestamp that is not less than "frontier", and
 *	  "frontier" only grows.
 *	- Between two calls a subscription holds no snapshot, no lock and no
 *	  reference to a cached relation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_SUBSCRIPTION_H
#define FRESHET_SUBSCRIPTION_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_class.h"
#include "cut/cut.h"
#include "cut/frontier.h"
#include "datatype/timestamp.h"
#include "delta/difference.h"
#include "lib/ilist.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/resowner.h"

/* "no AS OF" and "no UP TO" */
#define SUBSCRIPTION_NO_TIME (-1)

/* A relation the target depends on. */
typedef struct Dependency
{
	Oid relation;
	char *name;   /* that it had when the target was given */
	bool stored;  /* has rows of its own: watched */
	Oid filenode; /* the file in which the cut's rows are */
} Dependency;

typedef struct Subscription
{
	dlist_node link;       /* in the backend's list */
	MemoryContext context; /* everything below */
	char *name;

	/* lifetime */
	SubTransactionId created; /* until that commits; invalid afterwards */
	bool in_block;            /* ends with the transaction it was made in */

	/* what it is on */
	char *target; /* as given */
	Oid user;
	TupleDesc columns;       /* the target's own */
	Oid relation;            /* a stored relation; invalid: a query */
	AttrNumber *attributes;  /* of the stored relation, one per column */
	int64 rows;              /* of the stored relation at the cut; -1: unknown */
	CachedPlanSource *query; /* if no stored relation */
	int query_generation;    /* of the plan query_shape was checked for */
	uint64 query_shape;      /* hash of the query's tree when it was given */
	List *settings;          /* under which the query was given */
	int dependency_count;
	Dependency *dependencies;
	bool altered;         /* a dependency's definition may have changed */
	Oid altered_relation; /* whose, if it is one's */

	/* where it is */
	FrontierDatabase *database;
	int pin;                /* -1: none */
	TransactionId pin_xmin; /* what it holds */
	TimestampTz renewed_at; /* when it was told so last */
	Cut *cut;               /* NULL before the first */
	uint64 seen;            /* no change between the cut and this number */
	uint64 looked;          /* the frontier's number when the last committed cut was looked up */
	uint64 last;            /* and the number of that cut */
	Cut *read_to;           /* where the next reading ends; NULL: at the last committed cut */
	int64 as_of;
	int64 up_to;
	int64 frontier;    /* no row will have an earlier timestamp */
	bool early;        /* AS OF lies ahead */
	bool snapshot_due; /* the rows at the cut were not given out yet */
	bool pending;      /* something changed after "seen" */
	bool finished;
	TimestampTz not_before; /* a costly comparison is not wanted earlier */
	bool in_use;            /* a call is reading it */
} Subscription;

/* What is locked within a scope is unlocked at its end. */
typedef struct Scope
{
	ResourceOwner outer;
	ResourceOwner owner;
} Scope;

/* subscription.c: the backend's subscriptions */
extern Subscription *subscription_find(const char *name);
extern Subscription *subscription_create(const char *name);
extern void subscription_drop(Subscription *subscription);
extern void subscription_use(Subscription *subscription);
extern void subscription_release(Subscription *subscription);
extern void
subscription_depend(Subscription *subscription, Oid relation, char relkind, Oid filenode);
extern bool subscription_depends(Subscription *subscription, Oid relation);

/* position.c: the cut a subscription is at, and where it can go */
extern void position_start(Subscription *subscription);
extern void position_look(Subscription *subscription);
extern bool position_ready(Subscription *subscription);
extern Cut *position_next(Subscription *subscription);
extern void position_nothing(Subscription *subscription, uint64 number);
extern void position_advance(Subscription *subscription, Cut *cut);
extern void position_renew(Subscription *subscription);
extern void position_follow(Subscription *subscription);
extern void position_check(Subscription *subscription);

/* target.c: what can be subscribed to, and its columns */
extern void target_resolve(Subscription *subscription, const char *target);
extern void target_depend(Subscription *subscription, Oid relation);
extern char *target_column_list(TupleDesc columns);
extern void target_check(Subscription *subscription);
extern char *target_title(const Subscription *subscription);
extern void target_dropped(const Dependency *dependency) pg_attribute_noreturn();
extern Relation target_open(Subscription *subscription);
extern bool target_file_kept(const Dependency *dependency, Form_pg_class form, const Cut *cut);
extern bool target_files_same(Subscription *subscription);
extern void target_replaced(Oid relation) pg_attribute_noreturn();

/* stored.c: the rows of a stored relation */
extern void stored_snapshot(Subscription *subscription, Difference *rows);
extern void stored_change(Subscription *subscription, const Cut *to, Difference *change);

/* query.c: the rows of a query */
extern void query_prepare(Subscription *subscription, RawStmt *parsed, const char *text);
extern void query_check(Subscription *subscription);
extern void query_snapshot(Subscription *subscription, Difference *rows);
extern void query_change(Subscription *subscription, const Cut *to, Difference *change);

/* scope.c: locks given back before the transaction ends */
extern void scope_enter(Scope *scope);
extern void scope_leave(Scope *scope);

#endif /* FRESHET_SUBSCRIPTION_H */
