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
 * ordinary snapshot. Strategy B finds the keys that a change can touch and runs
 * the query for those keys alone at both cuts. Everything else is kept by
 * strategy C: run the query and compare.
 *
 * Delta for leaves L1 ... Ln, at the new cut (sign +1):
 *
 *	sum over i of  (L1 without L1+) x ... x (L(i-1) without L(i-1)+) x Li+ x L(i+1) x ... x Ln
 *
 * and likewise at the old cut with the versions that disappeared (sign -1).
 * Rows made only of versions that are in both cuts are the same in both, so
 * the difference of the two sums is exactly the difference of the query.
 *
 * Strategy B has two kinds of keys. The rows of a query without grouping
 * (PlanBlock) belong to tuples of versions of its core: the leaves that are on
 * no nullable side of a join and in no subquery of an expression. Rows of groups,
 * of partitions of window functions, and of DISTINCT belong to the values of
 * some expressions over the inner query. A key more than needed costs time; a
 * key that is missed is a wrong answer, so what is not understood is left to C.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_PLAN_H
#define FRESHET_PLAN_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "query/dependence.h"
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
	bool self; /* the rows of a recursion itself (recursion.c) */
} PlanLeaf;

/* How an aggregate's state follows a deletion. */
typedef enum PlanInverse
{
	PLAN_INVERSE_FUNCTION, /* by its inverse transition function */
	PLAN_INVERSE_EXTREME,  /* min, max: recompute if the extreme leaves */
	PLAN_INVERSE_NONE      /* recompute the group */
} PlanInverse;

/*
 * A state that is a number to which rows add: counts, and sums of integers that
 * PostgreSQL sums as bigint. Rows that go are subtracted, in any order.
 */
typedef enum PlanLinear
{
	PLAN_LINEAR_NONE,
	PLAN_LINEAR_COUNT,
	PLAN_LINEAR_SUM
} PlanLinear;

/* One aggregate call of a grouped query. */
typedef struct PlanAggregate
{
	Aggref *aggref;
	int first_argument; /* column of the inner query, from 1 */
	int argument_count;
	int filter;        /* column of the inner query; 0: none */
	PlanLinear linear; /* if so, what follows is not used */
	AttrNumber column; /* of the view that shows it as it is; 0: none */
	int counted_by;    /* with plan->shown: the aggregate that counts this one's inputs */
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

/* What an elapsed time's comparison is for rows that the clock has not passed. */
typedef enum PlanClockBefore
{
	PLAN_CLOCK_TWICE, /* it changes, and back */
	PLAN_CLOCK_HOLDS,
	PLAN_CLOCK_FAILS
} PlanClockBefore;

/*
 * A comparison of rows with the clock (clock.c). Between two times it differs for
 * those rows only whose expression lies between the lesser low and the greater
 * high of both times, ends included.
 */
typedef struct PlanClockLeaf
{
	OpExpr *comparison; /* with parameter PLAN_CLOCK_ROW for the row's expression */
	Node *row;          /* the row's expression, as in the comparison's query */
	Node *clock;        /* what it is compared with */
	Node *low;
	Node *high;
	Oid order; /* a comparison operator of the row's expression with low and high */
	Oid collation;
	bool grows;             /* the clock's side does, but for jumps back */
	bool ordered;           /* rows change in the order of their expressions */
	bool elapsed;           /* elapsed.c: low and high are not the clock's side itself */
	PlanClockBefore before; /* of elapsed times */
	Query *next;            /* the row the clock passes next; NULL: not to be told */
} PlanClockLeaf;

/* The parameter that stands for a row's expression in a PlanClockLeaf's comparison. */
#define PLAN_CLOCK_ROW 3

/* A relation's place in a block, and how its changes lead to the block's keys. */
typedef struct PlanBlockLeaf
{
	int number; /* from 1; RangeTblEntry.enrtuples of its entry says the same */
	Oid relid;
	bool core;
	int variant; /* a leaf can need several queries: from 0 */

	PlanClockLeaf *clock; /* not NULL: not a relation, but a comparison with the clock; its
	                       * relid is the one the comparison's rows are of, if one */
} PlanBlockLeaf;

/* The location that marks the comparison of a leaf. */
#define PLAN_CLOCK_LOCATION(number) (-1000 - (number))

/*
 * A select, or one branch of a UNION ALL of selects, whose rows belong to the
 * row versions of its core.
 */
typedef struct PlanBlock
{
	int branch;   /* of the inner query, from 0; -1: it is the inner query */
	Query *query; /* prepared (block.c), its leaves numbered */
	int core;     /* number of leaves in the core */
	List *leaves; /* of PlanBlockLeaf * */
} PlanBlock;

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

/*
 * A recursion, taken apart: rows to start with, and a step that leads from rows
 * to more of them (recursion.c).
 */
typedef struct PlanRecursion
{
	bool all;               /* UNION ALL: rows count as often as they come */
	Oid *equality;          /* operators that tell rows apart; NULL: UNION ALL */
	struct ViewPlan *start; /* inner query and leaves alone */
	struct ViewPlan *step;  /* likewise; one leaf is the recursion's own table */
	int self;               /* that leaf, from 0 */
} PlanRecursion;

typedef struct ViewPlan
{
	Oid view;
	Oid owner;
	PlanStrategy strategy;
	char *reason;
	bool clock;     /* reads the clock or other things no cut sees:
								 * recomputed on a timer as well */
	bool blind;     /* reads tables whose changes are not in the WAL: any
								 * transaction may have changed something */
	bool foreign;   /* likewise, and asks another server */
	bool recursive; /* has WITH RECURSIVE, which may not end */
	Definitions definitions;
	Query *query;         /* rewritten, as REFRESH would run it */
	List *relations;      /* of PlanRelation *, each once */
	List *inherited;      /* of oids: each table read with its children, and they */
	Query *block;         /* the query normalised; reads the parts' tables */
	List *parts;          /* of PlanPart *, in the order of their numbers; of a view's
								 * own plan only */
	const char *obstacle; /* why the block may not equal the query, or NULL */

	bool whole; /* run the block as a whole with every change (whole.c) */
	int64 ties; /* rows more than these tell that rows tie at the end of the
				 * limit, and the view's query has to be asked; 0: never */

	/* strategy A */
	Query *inner; /* what the delta queries are made from */
	List *leaves; /* of PlanLeaf *; NIL where there are blocks */

	/* strategy B */
	List *blocks;    /* of PlanBlock *: the inner query's rows belong to core
	               * versions; NIL: its delta is algebraic */
	bool determined; /* the queries order rows by their versions (determine.c) */
	bool timed;      /* some leaf of a block is a comparison with the clock */
	bool by_key;     /* the inner query gives keys alone, and the block is run for
	               * the keys of its delta */
	List *keys;      /* with by_key: expressions of the query key_depth below; what
	               * the inner query has beside them is not read */
	int key_depth;   /* the keys' expressions are of the query so far below */

	PlanRecursion *recursion; /* the block is a recursion; NULL: it is not */

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
	bool shown;        /* a group's row says all there is to know of it (shown.c) */
	int rows_by;       /* with shown: the aggregate that counts the group's rows */
} ViewPlan;

extern ViewPlan *plan_view(Relation view, List *settings);

/* advice.c: what would help a view that is kept whole, or not at all, for a reason; or NULL */
extern const char *plan_advice(const char *reason);

/* lock.c */
extern Oid plan_lock_relations(Relation view);
extern void plan_normalise(ViewPlan *plan);
extern void plan_classify(ViewPlan *plan);
extern Query *plan_distribute(Query *query);
extern void plan_give_up(ViewPlan *plan, const char *reason);
extern PlanStrategy plan_strategy(const ViewPlan *plan);
extern bool plan_order_matters(Query *block, List *parts);
extern bool plan_check_whole(ViewPlan *plan);
extern bool plan_check_limit(ViewPlan *plan);
extern void plan_bind(ViewPlan *plan, const Oid *tables);
extern void plan_relations(ViewPlan *plan, Query *query);
extern bool plan_equality_decides_image(Node *expression);
extern void plan_identity(ViewPlan *plan);
extern Query *plan_term(const ViewPlan *plan, int leaf, int sign, double rows);
extern Query *plan_recompute_groups(const ViewPlan *plan, bool with_nulls, double rows);
extern Query *plan_term_among(const ViewPlan *plan, int leaf, int sign, double rows, int excluded);
extern char *plan_relation_name(Oid relid, int sign);
extern void plan_empty(Query *branch);

/* analyze.c */
extern bool plan_follows(const ViewPlan *plan);
extern bool plan_keyed(const ViewPlan *plan);
extern const char *plan_check_leaf(RangeTblEntry *rte);
extern const char *plan_check_terms(ViewPlan *plan);

/* group.c */
extern List *plan_bare_columns(const Query *query, List *keys);
extern PlanAggregate *plan_aggregate(Aggref *aggref, const char **reason);
extern const char *plan_split_groups(ViewPlan *plan, Query *query);
extern bool plan_keys_ambiguous(const ViewPlan *plan);
extern AttrNumber plan_output_column(const ViewPlan *plan, AttrNumber attribute);

/* shown.c */
extern void plan_shown(ViewPlan *plan);

/* key.c */
extern bool plan_needs_keys(Query *query);
extern const char *plan_split_keys(ViewPlan *plan, Query *query);
extern Query *plan_key_query(Query *query, int depth);

/* block.c */
extern Query *plan_prepare(Query *query);
extern bool plan_query_simple(Query *query);
extern const char *plan_make_blocks(ViewPlan *plan);
extern List *plan_core_versions(Query *query);
extern Bitmapset *plan_from_relations(Node *node);
extern void plan_forget_joins(Query *query);

/* clock.c */
extern Query *plan_clock_parameter(Query *query);
extern bool plan_reads_clock(Node *node);
extern bool plan_reads_rows(Node *node);
extern bool plan_clock_grows(Node *node);
extern bool plan_clock_comparison(Node *node);
extern bool plan_clock_comparisons(Node *node, List **comparisons);
extern bool plan_clock_leaf(Query *query, OpExpr *comparison, PlanBlockLeaf *leaf);
extern Node *plan_clock_range(const PlanClockLeaf *leaf);
extern Node *plan_clock_with_row(const PlanClockLeaf *leaf, Node *row);
extern bool plan_clock_equality(const PlanClockLeaf *leaf);
extern Node *plan_clock_ahead(const PlanClockLeaf *leaf, Node *row, bool or_at);

/* during.c */
extern Query *plan_during(Query *query);

/* elapsed.c */
extern bool plan_elapsed_number(Node *expression, double *value);
extern bool plan_elapsed(OpExpr *comparison, PlanClockLeaf *leaf);

/* recursion.c */
extern bool plan_recursive(Node *node, void *context);
extern const char *plan_with_reason(Query *query);
extern bool plan_check_recursion(ViewPlan *plan);
extern Query *plan_recursion_step(const PlanRecursion *recursion, int sign, double rows);
extern Query *
plan_recursion_again(const PlanRecursion *recursion, bool step, bool with_nulls, double rows);
extern List *plan_recursion_columns(const PlanRecursion *recursion);

/* order.c */
extern bool plan_order_covers(List *targets, List *clauses);
extern bool plan_order_aggregate(const Aggref *aggref);
extern bool plan_order_window(Query *query, List *parts, const WindowFunc *call);

/* determine.c */
extern const char *plan_determine(Query *query, List *parts, bool *changed);

/* full.c */
extern Query *plan_split_full(Query *query);

/* affected.c */
extern Query *plan_affected(const PlanBlock *block, const PlanBlockLeaf *leaf, int sign,
                            double rows, int *variants, const char **reason);
extern char *plan_versions_name(Oid relid, int sign);

/* restrict.c */
extern Query *plan_restrict_versions(const ViewPlan *plan, const PlanBlock *block, double rows);
extern Query *plan_restrict_columns(const Query *restricted, int keys, const Oid *equality,
                                    bool with_nulls, double rows);
extern Query *plan_restrict_keys(const ViewPlan *plan, bool with_nulls, double rows);
extern Node *plan_version_equal(Node *version, int rtindex, int column);
extern int plan_add_ephemeral(Query *query, const char *name, List *expressions, double rows);

/* name of the ephemeral relation of keys in plan_recompute_groups and plan_restrict_* */
#define PLAN_KEYS_NAME "freshet keys"

#endif /* FRESHET_PLAN_H */
