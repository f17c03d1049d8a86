/*-------------------------------------------------------------------------
 *
 * normalise.h
 *	  What the files of the normalisation share: normalise.c (the walk and the
 *	  parts), layers.c (grouping, windows, DISTINCT and LIMIT on top of each
 *	  other), setop.c, recursion.c, inherit.c, grouping.c (grouping sets),
 *	  distinct.c (aggregates over distinct values) and sublink.c; row.c goes
 *	  before them.
 *
 * Every rewriting gives the same rows, by image, as what it replaces. Where that
 * cannot be known, it notes an obstacle, and the view is recomputed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_NORMALISE_H
#define FRESHET_NORMALISE_H

#include "plan/plan.h"

typedef struct Normalise
{
	List *parts;          /* of PlanPart *, those below others first */
	const char *obstacle; /* why the blocks may not equal the query; NULL: they do */
	bool partial;         /* what is being normalised may be asked for some of its rows only */
} Normalise;

/* normalise.c */
extern Query *normalise_query(Normalise *normalise, Query *query, bool top);
extern bool normalise_closed(Query *query);
extern bool normalise_grouped(const Query *query);
extern bool normalise_flat(const Query *query);
extern bool normalise_part_entry(const RangeTblEntry *rte);
extern int normalise_part_number(const RangeTblEntry *rte);
extern RangeTblEntry *normalise_part(Normalise *normalise, Query *query);
extern RangeTblEntry *normalise_entry(Query *query);
extern Query *normalise_over(RangeTblEntry *rte, List *targets);
extern RangeTblEntry *normalise_single(Query *query, int *rtindex);

extern Node *normalise_count(Expr *condition);

/* layers.c */
extern Query *layers_split(Normalise *normalise, Query *query);
extern Query *layers_collapse(Query *query);

/* setop.c */
extern Query *setop_rewrite(Normalise *normalise, Query *query);
extern Query *setop_coerce(Query *branch, SetOperationStmt *operation);
extern Node *setop_some(Node *count);
extern Query *setop_union_all(List *branches, List *targets);

/* recursion.c */
extern bool recursion_alone(const CommonTableExpr *cte);
extern bool recursion_block(Query *query);
extern Query *recursion_make(const CommonTableExpr *cte);
extern void recursion_normalise(Normalise *normalise, Query *query);

/* inherit.c */
extern void inherit_rewrite(RangeTblEntry *rte);

/* row.c */
extern void row_rewrite(Query *query);

/* grouping.c */
extern Query *grouping_rewrite(Normalise *normalise, Query *query);
extern void grouping_plain(Query *query);

/* distinct.c */
extern Query *distinct_rewrite(Normalise *normalise, Query *query);

/* whole.c */
extern bool whole_ordered_table(const Query *query, bool *unique);

/* sublink.c */
extern void sublink_rewrite(Normalise *normalise, Query *query);

#endif /* FRESHET_NORMALISE_H */
