/*-------------------------------------------------------------------------
 *
 * term.c
 *	  The delta queries of strategy A, as query trees.
 *
 * Leaves are numbered in the order in which plan_check_query met them; the
 * functions here walk copies of the inner query in the same order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "plan/plan.h"
#include "plan/tree.h"
#include "utils/lsyscache.h"

typedef struct TermContext
{
	int target;   /* the leaf that is replaced by its changes */
	int excluded; /* leaves before this one are without their changes */
	int sign;
	double rows; /* how many changes the planner should expect */
	int next;    /* number of the next leaf met */
} TermContext;

/* The name under which a relation's changes of one sign are registered. */
char *
plan_relation_name(Oid relid, int sign)
{
	return psprintf("freshet %c%u", sign > 0 ? '+' : '-', relid);
}

/* Turn a leaf's entry into a scan of its changes. */
static void
term_replace_leaf(RangeTblEntry *rte, TermContext *context)
{
	Relation relation = table_open(rte->relid, AccessShareLock);
	TupleDesc descriptor = RelationGetDescr(relation);

	rte->rtekind = RTE_NAMEDTUPLESTORE;
	rte->enrname = plan_relation_name(rte->relid, context->sign);
	rte->enrtuples = context->rows;
	tree_forget_relation(rte);
	rte->coltypes = rte->coltypmods = rte->colcollations = NIL;
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
		bool dropped = attribute->attisdropped;

		rte->coltypes = lappend_oid(rte->coltypes, dropped ? InvalidOid : attribute->atttypid);
		rte->coltypmods = lappend_int(rte->coltypmods, dropped ? 0 : attribute->atttypmod);
		rte->colcollations =
		    lappend_oid(rte->colcollations, dropped ? InvalidOid : attribute->attcollation);
	}
	table_close(relation, AccessShareLock);
}

/* Restrict a leaf to versions that are in both cuts. */
static void
term_exclude_changes(Query *query, int rtindex, Oid relid, TermContext *context)
{
	Oid types[3] = {INT4OID, OIDOID, TIDOID};
	List *name = list_make2(makeString("freshet"), makeString("unchanged"));
	Oid function = LookupFuncName(name, 3, types, false);
	List *arguments;

	arguments =
	    list_make3(makeConst(INT4OID, -1, InvalidOid, 4, Int32GetDatum(context->sign), false, true),
	               makeConst(OIDOID, -1, InvalidOid, 4, ObjectIdGetDatum(relid), false, true),
	               makeVar(rtindex, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0));
	query->jointree->quals = make_and_qual(
	    query->jointree->quals, (Node *) makeFuncExpr(function, BOOLOID, arguments, InvalidOid,
	                                                  InvalidOid, COERCE_EXPLICIT_CALL));
}

static void term_query(Query *query, TermContext *context);

/* Walk a FROM item. */
static void
term_from(Query *query, Node *node, TermContext *context)
{
	ListCell *cell;

	if (IsA(node, RangeTblRef))
	{
		int rtindex = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rtindex, query->rtable);

		if (rte->rtekind == RTE_RELATION)
		{
			if (context->next == context->target)
				term_replace_leaf(rte, context);
			else if (context->next < context->excluded && rte->ctename == NULL)
				term_exclude_changes(query, rtindex, rte->relid, context);
			context->next++;
		}
		else if (rte->rtekind == RTE_SUBQUERY)
			term_query(rte->subquery, context);
		return;
	}
	if (IsA(node, JoinExpr))
	{
		term_from(query, ((JoinExpr *) node)->larg, context);
		term_from(query, ((JoinExpr *) node)->rarg, context);
		return;
	}
	foreach (cell, castNode(FromExpr, node)->fromlist)
		term_from(query, lfirst(cell), context);
}

/* Walk a tree of UNION ALL; collects the branches without the target. */
static void
term_union(Query *query, Node *node, TermContext *context, List **others)
{
	if (IsA(node, RangeTblRef))
	{
		Query *branch = rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable)->subquery;
		int first = context->next;

		term_query(branch, context);
		if (context->target < first || context->target >= context->next)
			*others = lappend(*others, branch);
		return;
	}
	term_union(query, ((SetOperationStmt *) node)->larg, context, others);
	term_union(query, ((SetOperationStmt *) node)->rarg, context, others);
}

/* Have a branch give no rows. */
void
plan_empty(Query *branch)
{
	if (branch->setOperations == NULL)
		branch->jointree->quals = (Node *) makeBoolConst(false, false);
	else
		branch->limitCount = (Node *) makeConst(INT8OID, -1, InvalidOid, 8, Int64GetDatum(0), false,
		                                        FLOAT8PASSBYVAL);
}

/*
 * Walk a query. Of a UNION ALL around the target only the target's branch gives
 * rows; one that the target is joined with gives all of them.
 */
static void
term_query(Query *query, TermContext *context)
{
	List *others = NIL;
	int first = context->next;
	ListCell *cell;

	if (query->setOperations == NULL)
	{
		term_from(query, (Node *) query->jointree, context);
		return;
	}
	term_union(query, query->setOperations, context, &others);
	if (context->target < first || context->target >= context->next)
		return;
	foreach (cell, others)
		plan_empty(lfirst(cell));
}

/*
 * The inner query with the changes of one leaf (from 0) and sign in the leaf's
 * place, and the other leaves before number excluded without their changes. Its
 * columns are the inner query's. rows is the expected number of changes.
 */
Query *
plan_term_among(const ViewPlan *plan, int leaf, int sign, double rows, int excluded)
{
	Query *query = copyObject(plan->inner);
	TermContext context = {.target = leaf, .excluded = excluded, .sign = sign, .rows = rows};

	term_query(query, &context);
	return query;
}

/* The delta query for the changes of one leaf with one sign, likewise. */
Query *
plan_term(const ViewPlan *plan, int leaf, int sign, double rows)
{
	return plan_term_among(plan, leaf, sign, rows, leaf);
}
