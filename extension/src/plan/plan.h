/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  A view's query, taken apart: which strategy keeps it, why, and the
 *	  queries its deltas are made of.
 *
 * A view's query is a tree of joins, filters, projections and UNION ALL over
 * leaves (occurrences of base relations), with at most one grouping on top.
 * Where it has that shape it is kept by strategy A: delta queries that scan
 * the changed rows of one leaf and join them with the other leaves under one
 * ordinary snapshot. Everything else is kept by strategy C: run the query and
 * compare.
 *
 * Delta for leaves L1 ... Ln, at the new cut (sign +1):
 *
 *	sum over i of  (L1 without L1+) x ... x (L(i-1) without L(i-1)+) x Li+ x L(i+1) x ... x Ln
 *
 * and likewise at the old cut with the versions that disappeared (sign -1).
 * Rows made only of versions that are in both cuts are the same in both, so
 * the difference of the two sums is exactly the difference of the query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_PLAN_H
#define FRESHET_PLAN_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "utils/rel.h"

typedef enum PlanStrategy
{
	PLAN_ALGEBRAIC = 'A',
	PLAN_KEYS = 'B',
	PLAN_RECOMPUTE = 'C',
	PLAN_NONE = '-' /* not maintained: reason says why */
} PlanStrategy;

/* A relation the view's query reads; its changes concern the view. */
typedef struct PlanRelation
{
	Oid relid;
	char relkind;
	RelFileNode node;
} PlanRelation;

/* An occurrence of a base relation in the query of strategy A. */
typedef struct PlanLeaf
{
	Oid relid; /* InvalidOid: a part that is not bound to its table yet */
} PlanLeaf;

/* How an aggregate's state follows a deletion. */
typedef enum PlanInverse
{
	PLAN_INVERSE_FUNCTION, /* by its inverse transition function */
	PLAN_INVERSE_EXTREME,  /* min, max: recompute if the extreme leaves */
	PLAN_INVERSE_NONE      /* recompute the group */
} PlanInverse;

/* One aggregate call of a grouped query. */
typedef struct PlanAggregate
{
	Aggref *aggref;
	int first_argument; /* column of the inner query, from 1 */
	int argument_count;
	int filter; /* column of the inner query; 0: none */
	PlanInverse inverse;
	Oid transition_type; /* resolved; INTERNALOID possible */
	Oid stored_type;     /* of the state's column; BYTEAOID for internal */
	Oid transition_function;
	Oid inverse_function; /* InvalidOid: none */
	Oid final_function;   /* InvalidOid: the state is the result */
	bool final_extra;
	Oid serialize_function;
	Oid deserialize_function;
	char *initial_value;  /* NULL: none */
	Oid extreme_operator; /* "=" of min's and max's type */
} PlanAggregate;

/*
 * A hidden intermediate view (normalise.c): a block of the query that cannot be
 * flattened into the block above it, which reads the part's table as a leaf.
 */
typedef struct PlanPart
{
	int number; /* from 1; a part's block reads parts of lower numbers only */
	Oid relid;  /* its table; InvalidOid until it is bound to one */
	struct ViewPlan *plan;
} PlanPart;

typedef struct ViewPlan
{
	Oid view;
	Oid owner;
	PlanStrategy strategy;
	char *reason;
	bool clock;           /* reads the clock or other things no cut sees:
								 * recomputed on a timer as well */
	Query *query;         /* rewritten, as REFRESH would run it */
	List *relations;      /* of PlanRelation *, each once */
	Query *block;         /* the query normalised; reads the parts' tables */
	List *parts;          /* of PlanPart *, in the order of their numbers; of a view's
								 * own plan only */
	const char *obstacle; /* why the block may not equal the query, or NULL */

	/* strategy B */
	bool whole; /* run the block as a whole: it reads little of its part */
	int64 ties; /* rows more than these tell that rows tie at the end of the
				 * limit, and the view's query has to be asked; 0: never */

	/* strategy A */
	Query *inner; /* what the delta queries are made from */
	List *leaves; /* of PlanLeaf * */

	int identity_count; /* columns that tell the rows apart; 0: not known */
	AttrNumber *identity;

	/* grouped on top */
	bool grouped;
	bool global;       /* no keys: the one group is always there */
	int key_count;     /* the inner query's first columns */
	Oid *key_equality; /* operators */
	List *aggregates;  /* of PlanAggregate * */
	List *output;      /* TargetEntry list over (keys, aggregates) as
								 * attributes of relation 1 */
	Node *having;      /* likewise, or NULL */
} ViewPlan;

extern ViewPlan *plan_view(Relation view);
extern Query *plan_view_query(Relation view);

/* lock.c */
extern Oid plan_lock_relations(Relation view);
extern void plan_normalise(ViewPlan *plan);
extern void plan_classify(ViewPlan *plan);
extern PlanStrategy plan_strategy(const ViewPlan *plan);
extern bool plan_check_limit(ViewPlan *plan);
extern void plan_bind(ViewPlan *plan, const Oid *tables);
extern void plan_relations(ViewPlan *plan, Query *query);
extern bool plan_equality_decides_image(Node *expression);
extern void plan_identity(ViewPlan *plan);
extern Query *plan_term(const ViewPlan *plan, int leaf, int sign, double rows);
extern Query *plan_recompute_groups(const ViewPlan *plan, bool with_nulls, double rows);
extern char *plan_relation_name(Oid relid, int sign);

/* name of the ephemeral relation of group keys in plan_recompute_groups */
#define PLAN_KEYS_NAME "freshet keys"

#endif /* FRESHET_PLAN_H */
