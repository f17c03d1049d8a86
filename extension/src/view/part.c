/*-------------------------------------------------------------------------
 *
 * part.c
 *	  The tables of a view's parts: freshet.part<number>_<view>.
 *
 * They are made when the view is loaded, empty, and filled when it is rebuilt;
 * they and their own hidden state go with the view. A table whose columns are
 * not those of its part is made anew, and then the view is not adopted, since
 * the files of its parts belong to its fingerprint.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"
#include "view/view.h"

/* Pages are filled so far that two versions of each row fit: groups are updated. */
#define PART_FILLFACTOR 45

/* The prefix of a part's table. */
static char *
part_prefix(int number)
{
	return psprintf("part%d", number);
}

/* The column list of a part's table. */
static char *
part_columns(const PlanPart *part)
{
	StringInfoData columns;
	ListCell *cell;

	initStringInfo(&columns);
	foreach (cell, part->plan->query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Node *expression = (Node *) entry->expr;
		ObjectAddress collation = {.classId = CollationRelationId,
		                           .objectId = exprCollation(expression)};

		if (entry->resjunk)
			continue;
		appendStringInfo(
		    &columns, "%sc%d %s", columns.len > 0 ? ", " : "", entry->resno,
		    format_type_extended(exprType(expression), exprTypmod(expression),
		                         FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
		/* with its schema: the command is run with another search_path */
		if (OidIsValid(collation.objectId))
			appendStringInfo(&columns, " COLLATE %s", getObjectIdentity(&collation, false));
	}
	return columns.data;
}

/* Has a table the columns of a part? */
static bool
part_fits(const PlanPart *part, Oid relid)
{
	Relation relation = table_open(relid, AccessShareLock);
	TupleDesc descriptor = RelationGetDescr(relation);
	bool fits = true;
	int count = 0;
	ListCell *cell;

	foreach (cell, part->plan->query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Node *expression = (Node *) entry->expr;
		Form_pg_attribute attribute;

		if (entry->resjunk)
			continue;
		if (count == descriptor->natts)
		{
			fits = false;
			break;
		}
		attribute = TupleDescAttr(descriptor, count++);
		fits &= !attribute->attisdropped && attribute->atttypid == exprType(expression) &&
		        attribute->atttypmod == exprTypmod(expression) &&
		        attribute->attcollation == exprCollation(expression);
	}
	fits &= count == descriptor->natts;
	table_close(relation, AccessShareLock);
	return fits;
}

/* Can a value be too long for an index? */
static bool
part_unbounded(Node *expression)
{
	return get_typlen(exprType(expression)) < 0 && exprType(expression) != NUMERICOID;
}

/*
 * The index by which the groups of a part are looked up from the block above:
 * on those of its keys that have a size, which are returned in order.
 */
static List *
part_index_groups(const ViewPlan *plan, const PlanPart *part)
{
	const Query *query = part->plan->query;
	StringInfoData columns;
	List *result = NIL;
	ListCell *cell;

	initStringInfo(&columns);
	foreach (cell, query->groupClause)
	{
		TargetEntry *entry = get_sortgroupclause_tle(lfirst(cell), query->targetList);
		Node *key = (Node *) entry->expr;
		TypeCacheEntry *type = lookup_type_cache(exprType(key), TYPECACHE_BTREE_OPFAMILY);

		if (entry->resjunk || part_unbounded(key) || !OidIsValid(type->btree_opf) ||
		    list_length(result) == INDEX_MAX_KEYS)
			continue;
		appendStringInfo(&columns, "%sc%d", result != NIL ? ", " : "", entry->resno);
		result = lappend_int(result, entry->resno);
	}
	if (result != NIL)
		hidden_ensure_index(part_prefix(part->number), plan->view, columns.data);
	return result;
}

/* The indexes by which the changes of a recursion's tables find the rows they lead on from. */
static void
part_index_recursion(const ViewPlan *plan, const PlanPart *part)
{
	ListCell *cell;

	foreach (cell, plan_recursion_columns(part->plan->recursion))
	{
		TargetEntry *entry =
		    list_nth_node(TargetEntry, part->plan->query->targetList, lfirst_int(cell) - 1);
		TypeCacheEntry *type =
		    lookup_type_cache(exprType((Node *) entry->expr), TYPECACHE_BTREE_OPFAMILY);

		if (!part_unbounded((Node *) entry->expr) && OidIsValid(type->btree_opf))
			hidden_ensure_index(part_prefix(part->number), plan->view,
			                    psprintf("c%d", entry->resno));
	}
}

/* The index in whose order a block with LIMIT reads its part. */
static void
part_index_order(const ViewPlan *plan, const PlanPart *part, const Query *block)
{
	StringInfoData columns;
	ListCell *cell;
	int count = 0;

	initStringInfo(&columns);
	foreach (cell, block->sortClause)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, cell);
		Var *var = (Var *) get_sortgroupclause_expr(clause, block->targetList);
		TypeCacheEntry *type =
		    lookup_type_cache(exprType((Node *) var), TYPECACHE_LT_OPR | TYPECACHE_GT_OPR);

		if (!IsA(var, Var) || part_unbounded((Node *) var) || count == INDEX_MAX_KEYS ||
		    (clause->sortop != type->lt_opr && clause->sortop != type->gt_opr))
			break;
		appendStringInfo(&columns, "%sc%d %s NULLS %s", count++ > 0 ? ", " : "", var->varattno,
		                 clause->sortop == type->lt_opr ? "ASC" : "DESC",
		                 clause->nulls_first ? "FIRST" : "LAST");
	}
	if (count > 0)
		hidden_ensure_index(part_prefix(part->number), plan->view, columns.data);
}

/* The indexes by which a block above finds the rows of a part that the clock passes. */
static void
part_index_clock(const ViewPlan *plan, const PlanPart *part, const ViewPlan *above)
{
	ListCell *cell;
	ListCell *leaf_cell;

	foreach (cell, above->blocks)
	{
		foreach (leaf_cell, ((PlanBlock *) lfirst(cell))->leaves)
		{
			PlanBlockLeaf *leaf = lfirst(leaf_cell);
			Var *passed;

			if (leaf->clock == NULL || leaf->clock->next == NULL || leaf->relid != part->relid)
				continue;
			passed = (Var *) linitial_node(TargetEntry, leaf->clock->next->targetList)->expr;
			if (IsA(passed, Var) && !part_unbounded((Node *) passed))
				hidden_ensure_index(part_prefix(part->number), plan->view,
				                    psprintf("c%d", passed->varattno));
		}
	}
}

/* The number of a part's column that an expression simply shows and an index can have; 0: none. */
static AttrNumber
part_column(const PlanPart *part, const Query *query, Node *expression)
{
	Var *var = (Var *) expression;
	TypeCacheEntry *type;

	if (!IsA(var, Var) || var->varlevelsup > 0 || var->varattno <= 0 ||
	    rt_fetch(var->varno, query->rtable)->relid != part->relid || part_unbounded(expression))
		return 0;
	type = lookup_type_cache(var->vartype, TYPECACHE_BTREE_OPFAMILY);
	return OidIsValid(type->btree_opf) ? var->varattno : 0;
}

/*
 * The index by which the rows of keys, expressions of a query that reads a part,
 * are found in it, unless that on its groups begins so.
 */
static void
part_index_keys(const ViewPlan *plan, const PlanPart *part, const Query *query, List *keys,
                List *groups)
{
	StringInfoData columns;
	bool served = true;
	ListCell *cell;
	int count = 0;

	initStringInfo(&columns);
	foreach (cell, keys)
	{
		AttrNumber column = part_column(part, query, lfirst(cell));

		if (column == 0 || count == INDEX_MAX_KEYS)
			continue;
		served &= count < list_length(groups) && list_nth_int(groups, count) == column;
		appendStringInfo(&columns, "%sc%d", count++ > 0 ? ", " : "", column);
	}
	if (!served)
		hidden_ensure_index(part_prefix(part->number), plan->view, columns.data);
}

/* The columns of a part that a query compares with others for equality. */
typedef struct PartEqualities
{
	const PlanPart *part;
	Query *query;
	Bitmapset *columns;
} PartEqualities;

/* Collect them, in the conditions of a query and of its subqueries. */
static bool
part_equalities_walker(Node *node, PartEqualities *equalities)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query *outer = equalities->query;
		ListCell *cell;

		equalities->query = (Query *) node;
		(void) part_equalities_walker((Node *) equalities->query->jointree, equalities);
		foreach (cell, equalities->query->rtable)
			(void) part_equalities_walker((Node *) lfirst_node(RangeTblEntry, cell)->subquery,
			                              equalities);
		equalities->query = outer;
		return false;
	}
	if (IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2 &&
	    op_mergejoinable(((OpExpr *) node)->opno, exprType(linitial(((OpExpr *) node)->args))))
	{
		for (int side = 0; side < 2; side++)
		{
			AttrNumber column = part_column(equalities->part, equalities->query,
			                                list_nth(((OpExpr *) node)->args, side));

			if (column > 0)
				equalities->columns = bms_add_member(equalities->columns, column);
		}
	}
	return expression_tree_walker(node, part_equalities_walker, equalities);
}

/*
 * The indexes by which a block that reads a part finds the rows its changes lead
 * to, beside that on the part's groups.
 */
static void
part_index_reader(const ViewPlan *plan, const PlanPart *part, const ViewPlan *above, List *groups)
{
	PartEqualities equalities = {.part = part};
	bool all = true; /* the groups' columns are compared */
	int column = -1;
	ListCell *cell;

	part_index_clock(plan, part, above);
	if (above->whole)
	{
		if (((PlanLeaf *) linitial(above->leaves))->relid == part->relid)
			part_index_order(plan, part, above->block);
		return;
	}
	if (above->by_key)
		part_index_keys(plan, part, plan_key_query(above->block, above->key_depth), above->keys,
		                groups);
	foreach (cell, above->aggregates)
	{
		List *keys = NIL;

		if (((PlanAggregate *) lfirst(cell))->inverse == PLAN_INVERSE_FUNCTION)
			continue;
		for (int key = 0; key < above->key_count; key++)
			keys = lappend(keys, list_nth_node(TargetEntry, above->inner->targetList, key)->expr);
		part_index_keys(plan, part, above->inner, keys, groups);
		break;
	}
	(void) part_equalities_walker((Node *) above->block, &equalities);
	foreach (cell, groups)
		all &= bms_is_member(lfirst_int(cell), equalities.columns);
	foreach (cell, groups)
		if (all || foreach_current_index(cell) == 0)
			equalities.columns = bms_del_member(equalities.columns, lfirst_int(cell));
	while ((column = bms_next_member(equalities.columns, column)) >= 0)
		hidden_ensure_index(part_prefix(part->number), plan->view, psprintf("c%d", column));
}

/* Have the indexes of a part. */
static void
part_indexes(const ViewPlan *plan, const PlanPart *part)
{
	List *groups = NIL;
	ListCell *cell;

	if (part->plan->query->groupClause != NIL)
		groups = part_index_groups(plan, part);
	if (part->plan->recursion != NULL)
		part_index_recursion(plan, part);
	part_index_reader(plan, part, plan, groups);
	foreach (cell, plan->parts)
		part_index_reader(plan, part, ((PlanPart *) lfirst(cell))->plan, groups);
}

/*
 * Bind a plan to the tables of its parts. Those that are missing are made, and
 * those that are not needed dropped, if the caller may; else false is returned
 * when there are such.
 */
bool
part_bind(ViewPlan *plan, bool make)
{
	Oid *tables = palloc((list_length(plan->parts) + 1) * sizeof(Oid));
	ListCell *cell;

	if (make)
		hidden_drop_parts(plan->view, list_length(plan->parts) + 1);
	foreach (cell, plan->parts)
	{
		const PlanPart *part = lfirst(cell);
		char *prefix = part_prefix(part->number);
		Oid relid = hidden_relation(prefix, plan->view);

		if (OidIsValid(relid) && !part_fits(part, relid))
		{
			if (make)
				hidden_drop_parts(plan->view, part->number);
			relid = InvalidOid;
		}
		if (!OidIsValid(relid))
		{
			if (!make)
				return false;
			relid = hidden_create(prefix, plan->view, part_columns(part), PART_FILLFACTOR);
		}
		LockRelationOid(relid, AccessShareLock);
		tables[part->number - 1] = relid;
	}
	if (plan->parts == NIL)
		return true;
	plan_bind(plan, tables);
	if (make)
		foreach (cell, plan->parts)
			part_indexes(plan, lfirst(cell));
	return true;
}
