/*-------------------------------------------------------------------------
 *
 * dependence.h
 *	  What a query's result depends on beside the rows it reads, and whether that
 *	  can be followed from cut to cut. Views and subscriptions ask here, and here only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_DEPENDENCE_H
#define FRESHET_DEPENDENCE_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "storage/sinval.h"

/* Later ones are worse. */
typedef enum DependenceKind
{
	DEPENDENCE_FOLLOWED, /* on rows that the WAL tells of, on settings and definitions */
	DEPENDENCE_UNSEEN,   /* on what transactions change and the WAL does not tell of */
	DEPENDENCE_LATE,     /* on what also changes without a transaction */
	DEPENDENCE_NONE      /* the result is another one each time the query runs */
} DependenceKind;

typedef struct Dependence
{
	DependenceKind kind;
	char *reason; /* why it is not followed, as a clause; NULL if it is */
	bool foreign; /* another server is asked */
	bool clock;   /* the time is read */
} Dependence;

/* What users define, and may define anew; of oids. */
typedef struct Definitions
{
	List *functions; /* of users */
	List *called;    /* they, and the functions that they call in turn */
	bool calls_any;  /* that is not known of all of them */
	List *enums;
	List *row_types; /* by their relations */
	List *domains;   /* whose constraints are checked */
	List *collations;
	bool searches; /* by text search configurations or dictionaries */
	bool rights;   /* by what roles may do */
} Definitions;

/* dependence.c */
extern void dependence_judge(Query *query, Dependence *dependence);

/*
 * session.c: why a query that asks about the session cannot be kept (NULL: it can); the
 * settings it reads beside those that are kept with every query, as char * "name=value",
 * or "name" of one that is not there; and the query with constants in their place.
 */
extern const char *session_fault(Query *query);
extern List *session_settings(Query *query);
extern Query *session_constants(Query *query, Oid owner, List *settings);

/* definition.c */
extern void definitions_collect(Query *query, Definitions *definitions);
extern uint64 definitions_hash(const Definitions *definitions);
extern bool
definitions_told_by(const Definitions *definitions, const SharedInvalidationMessage *message);

/*
 * Likewise of a message about a function, once what it tells of is visible; changed: the
 * functions it may be about (calls.h).
 */
extern bool
definitions_changed_by_function(const Definitions *definitions, uint32 hash, List *changed);

#endif /* FRESHET_DEPENDENCE_H */
