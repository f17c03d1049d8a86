/*-------------------------------------------------------------------------
 *
 * inherit.c
 *	  Partitioned tables and inheritance as UNION ALL of the tables that have
 *	  the rows.
 *
 * Which tables these are belongs to the view's relations, and so to its
 * fingerprint: a view is rebuilt when one is attached or detached.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "plan/normalise.h"
#include "plan/tree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* A query over more tables would take longer to plan than to run. */
#define MOST_CHILDREN 128

/* The names of a table's columns by number, as a range table entry has them. */
static List *
inherit_names(TupleDesc descriptor)
{
	List *names = NIL;

	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		names = lappend(names,
		                makeString(attribute->attisdropped ? pstrdup("")
		                                                   : pstrdup(NameStr(attribute->attname))));
	}
	return names;
}

/*
 * The columns of the parent, as those of one table of its rows. These may have
 * other numbers there; their names are the same.
 */
static Query *
inherit_branch(RangeTblEntry *parent, TupleDesc descriptor, Relation child)
{
	RangeTblEntry *rte = copyObject(parent);
	Query *query = tree_select(list_make1(rte), NULL);

	rte->relid = RelationGetRelid(child);
	rte->relkind = child->rd_rel->relkind;
	rte->eref->colnames = inherit_names(RelationGetDescr(child));
	rte->inh = false;
	rte->lateral = false;
	rte->alias = NULL;
	/* the right to read the parent is all that is needed */
	rte->requiredPerms = 0;
	rte->selectedCols = NULL;
	rte->securityQuals = NIL;
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
		char *name = pstrdup(NameStr(attribute->attname));
		Node *value;

		if (attribute->attisdropped)
			value = (Node *) makeNullConst(INT4OID, -1, InvalidOid);
		else
			value = (Node *) makeVar(1, get_attnum(rte->relid, name), attribute->atttypid,
			                         attribute->atttypmod, attribute->attcollation, 0);
		query->targetList =
		    lappend(query->targetList, makeTargetEntry((Expr *) value, i + 1, name, false));
	}
	return query;
}

/*
 * Put a subquery in the place of a table that has its rows in others. It is left
 * as it is where one of these is no ordinary table.
 */
void
inherit_rewrite(RangeTblEntry *rte)
{
	List *children;
	List *branches = NIL;
	List *targets;
	Relation relation;
	ListCell *cell;

	if (rte->rtekind != RTE_RELATION || !rte->inh || !OidIsValid(rte->relid) ||
	    rte->tablesample != NULL ||
	    (rte->relkind != RELKIND_PARTITIONED_TABLE &&
	     (rte->relkind != RELKIND_RELATION || !has_subclass(rte->relid))))
		return;
	children = find_all_inheritors(rte->relid, AccessShareLock, NULL);
	if (list_length(children) > MOST_CHILDREN)
		return;
	relation = relation_open(rte->relid, AccessShareLock);
	foreach (cell, children)
	{
		/* find_all_inheritors has locked it */
		Relation child = relation_open(lfirst_oid(cell), NoLock);
		char relkind = child->rd_rel->relkind;

		if (relkind == RELKIND_RELATION)
			branches = lappend(branches, inherit_branch(rte, RelationGetDescr(relation), child));
		relation_close(child, NoLock);
		if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		{
			relation_close(relation, AccessShareLock);
			return;
		}
	}
	relation_close(relation, AccessShareLock);
	if (branches == NIL)
		return;

	targets = linitial_node(Query, branches)->targetList;
	rte->subquery = list_length(branches) == 1 ? linitial_node(Query, branches)
	                                           : setop_union_all(branches, targets);
	tree_forget_relation(rte);
	rte->rtekind = RTE_SUBQUERY;
}
