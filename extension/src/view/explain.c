/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  freshet.explain(view): how a materialized view is kept fresh, as text,
 *	  one line per row.
 *
 * The view is planned again for it, as its owner, security-restricted, under
 * the settings captured when it was created, and its delta queries for a few
 * changed rows. So what is shown is what the worker would do with a small
 * change planned now; a plan it keeps may be older, and for many changed rows it
 * makes another one. Nothing is executed, and nothing depends on the worker.
 *
 * Whoever may SELECT from the view may have it explained. An error's text may
 * quote data and is shown to the owner alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "pg/role.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "view/auto_index.h"
#include "view/catalog.h"
#include "view/missing.h"
#include "view/view.h"

/* As many changed rows the delta queries are planned for. */
#define EXPLAIN_ROWS 8

PG_FUNCTION_INFO_V1(freshet_explain);

typedef struct Explain
{
	ReturnSetInfo *result; /* NULL: only what is missing is asked for */
	Relation view;
	ViewPlan *plan;
	List *names;   /* for showing expressions of the view's query */
	List *missing; /* of MissingIndex *, each once */
} Explain;

/* One line of the answer. */
static void
explain_line(Explain *explain, int indent, const char *format, ...) pg_attribute_printf(3, 4);

static void
explain_line(Explain *explain, int indent, const char *format, ...)
{
	StringInfoData line;
	Datum value;
	bool isnull = false;

	if (explain->result == NULL)
		return;
	initStringInfo(&line);
	appendStringInfoSpaces(&line, indent * 2);
	for (;;)
	{
		va_list arguments;
		int needed;

		va_start(arguments, format);
		needed = appendStringInfoVA(&line, format, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&line, needed);
	}
	value = CStringGetTextDatum(line.data);
	tuplestore_putvalues(explain->result->setResult, explain->result->setDesc, &value, &isnull);
}

/* Have a delta query name relations where it calls freshet.unchanged with oids. */
static bool
explain_unchanged_walker(Node *node, Oid *unchanged)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == *unchanged)
	{
		lsecond_node(Const, ((FuncExpr *) node)->args)->consttype = REGCLASSOID;
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, explain_unchanged_walker, unchanged, 0);
	return expression_tree_walker(node, explain_unchanged_walker, unchanged);
}

/* Show a query's plan, line by line; say what its ephemeral relation holds. */
static void
explain_plan(Explain *explain, int indent, QueryDesc *query, const char *ephemeral)
{
	static const char scan[] = "Named Tuplestore Scan";
	ExplainState *state = NewExplainState();
	char *position;
	char *line;

	state->costs = false;
	ExplainPrintPlan(state, query);
	for (line = strtok_r(state->str->data, "\n", &position); line != NULL;
	     line = strtok_r(NULL, "\n", &position))
	{
		size_t length = strlen(line);
		bool ends = length >= strlen(scan) && strcmp(line + length - strlen(scan), scan) == 0;

		if (ephemeral != NULL && ends)
			explain_line(explain, indent, "%s on %s", line, ephemeral);
		else
			explain_line(explain, indent, "%s", line);
	}
}

/* The names of relations, with commas. */
static char *
explain_names(List *relids)
{
	StringInfoData names;
	ListCell *cell;

	initStringInfo(&names);
	foreach (cell, relids)
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", catalog_name(lfirst_oid(cell)));
	return names.data;
}

/* An index that is missing, as the command that makes it. */
static void
explain_missing(Explain *explain, int indent, Oid relid, List *attributes)
{
	StringInfoData columns;
	MissingIndex *missing;
	char *error;
	ListCell *cell;

	foreach (cell, explain->missing)
	{
		missing = lfirst(cell);
		if (missing->relid == relid && equal(missing->attributes, attributes))
			break;
	}
	if (cell == NULL)
	{
		missing = palloc(sizeof(MissingIndex));
		missing->relid = relid;
		missing->attributes = attributes;
		explain->missing = lappend(explain->missing, missing);
	}
	initStringInfo(&columns);
	foreach (cell, attributes)
		appendStringInfo(&columns, "%s%s", columns.len > 0 ? ", " : "",
		                 quote_identifier(get_attname(relid, lfirst_int(cell), false)));
	explain_line(explain, indent, "missing index: CREATE INDEX ON %s (%s);", catalog_name(relid),
	             columns.data);
	if (explain->result == NULL || !auto_index_wanted(relid))
		return;
	error = auto_index_error(relid);
	explain_line(explain, indent + 1, "freshet.auto_index %s",
	             error ? "could not make it" : "makes it");
}

/* The indexes used, and which of them are ours. */
static char *
explain_used(List *indexes)
{
	StringInfoData names;
	ListCell *cell;

	initStringInfo(&names);
	foreach (cell, indexes)
		appendStringInfo(&names, "%s%s%s", names.len > 0 ? ", " : "",
		                 quote_identifier(get_rel_name(lfirst_oid(cell))),
		                 auto_index_made(lfirst_oid(cell)) ? " (made by freshet.auto_index)" : "");
	return names.len > 0 ? names.data : pstrdup("none");
}

/* Which indexes a query uses, what it reads whole, and what it lacks. */
static void
explain_indexes(Explain *explain, int indent, QueryDesc *query)
{
	MissingReport report;
	ListCell *cell;

	missing_find(query, &report);
	if (explain->result != NULL)
		explain_line(explain, indent, "indexes used: %s", explain_used(report.used));
	if (report.whole != NIL)
		explain_line(explain, indent, "read whole: %s", explain_names(report.whole));
	foreach (cell, report.missing)
	{
		MissingIndex *missing = lfirst(cell);

		explain_missing(explain, indent, missing->relid, missing->attributes);
	}
}

/*
 * Plan a query and show the plan. A delta query's has an ephemeral relation in
 * environment, to be described as given; indexes are spoken of only there.
 */
static void
explain_query(Explain *explain, Query *query, QueryEnvironment *environment, const char *ephemeral)
{
	PlannedStmt *planned = pg_plan_query(query, "freshet.explain", 0, NULL);
	QueryDesc *description = CreateQueryDesc(planned, "freshet.explain", GetActiveSnapshot(),
	                                         InvalidSnapshot, None_Receiver, NULL, environment, 0);

	/* without the hooks: nothing is read, so there is nothing to wait for */
	standard_ExecutorStart(description, EXEC_FLAG_EXPLAIN_ONLY);
	if (explain->result != NULL)
		explain_plan(explain, 2, description, ephemeral);
	if (environment)
		explain_indexes(explain, 2, description);
	standard_ExecutorEnd(description);
	FreeQueryDesc(description);
}

/* An empty ephemeral relation. */
static QueryEnvironment *
explain_environment(const char *name, TupleDesc descriptor)
{
	QueryEnvironment *environment = create_queryEnv();

	delta_register(environment, name, descriptor, tuplestore_begin_heap(false, false, work_mem),
	               EXPLAIN_ROWS);
	return environment;
}

/* Show a query over one leaf of these terms that starts from changes of it. */
static void
explain_term(Explain *explain, const ViewPlan *terms, int leaf, Query *query, const char *changes)
{
	Oid types[3] = {INT4OID, OIDOID, TIDOID};
	List *name = list_make2(makeString("freshet"), makeString("unchanged"));
	Oid unchanged = LookupFuncName(name, 3, types, false);
	Oid relid = ((PlanLeaf *) list_nth(terms->leaves, leaf))->relid;
	Relation relation = table_open(relid, AccessShareLock);
	TupleDesc descriptor = CreateTupleDescCopy(RelationGetDescr(relation));

	table_close(relation, AccessShareLock);
	explain_unchanged_walker((Node *) query, &unchanged);
	explain_query(explain, query, explain_environment(plan_relation_name(relid, 1), descriptor),
	              changes);
}

/* The delta query for a leaf's changes. */
static void
explain_leaf(Explain *explain, const ViewPlan *terms, int leaf)
{
	Oid relid = ((PlanLeaf *) list_nth(terms->leaves, leaf))->relid;

	explain_line(explain, 1, "delta query for changes of %s (table %d of %d):", catalog_name(relid),
	             leaf + 1, list_length(terms->leaves));
	explain_term(explain, terms, leaf, plan_term(terms, leaf, 1, EXPLAIN_ROWS),
	             psprintf("changed rows of %s", quote_identifier(get_rel_name(relid))));
}

/* Names for the relations of the view's query, for explain_expression. */
static List *
explain_query_names(Query *query)
{
	PlannedStmt *carrier = makeNode(PlannedStmt);
	Bitmapset *all = bms_add_range(NULL, 1, list_length(query->rtable));

	carrier->rtable = query->rtable;
	return deparse_context_for_plan_tree(carrier,
	                                     select_rtable_names_for_explain(query->rtable, all));
}

/* An expression of the view's query as SQL. */
static char *
explain_expression(Explain *explain, Node *expression)
{
	return deparse_expression(expression, explain->names, list_length(explain->plan->leaves) > 1,
	                          false);
}

/* The keys of the groups. */
static void
explain_keys(Explain *explain)
{
	StringInfoData keys;

	if (explain->plan->key_count == 0)
	{
		explain_line(explain, 1, "grouping: all rows are one group");
		return;
	}
	initStringInfo(&keys);
	for (int i = 0; i < explain->plan->key_count; i++)
	{
		TargetEntry *entry = list_nth_node(TargetEntry, explain->plan->inner->targetList, i);

		appendStringInfo(&keys, "%s%s", i > 0 ? ", " : "",
		                 explain_expression(explain, (Node *) entry->expr));
	}
	explain_line(explain, 1, "grouping by %s", keys.data);
	if (plan_keys_ambiguous(explain->plan))
		explain_line(explain, 2,
		             "equal keys can look different: a group is computed anew when the one shown "
		             "may have gone");
}

/* Can this inverse transition function find that it cannot go back? */
static bool
explain_inverse_gives_up(Oid function)
{
	return function == F_NUMERIC_ACCUM_INV || function >= FirstNormalObjectId;
}

/* How an aggregate's state follows changes. Returns: can a group need to be computed anew? */
static bool
explain_aggregate(Explain *explain, PlanAggregate *aggregate)
{
	const char *call = explain_expression(explain, (Node *) aggregate->aggref);

	if (aggregate->linear != PLAN_LINEAR_NONE)
	{
		explain_line(explain, 2, "%s: rows that go are subtracted", call);
		return false;
	}
	switch (aggregate->inverse)
	{
		case PLAN_INVERSE_FUNCTION:
			if (!explain_inverse_gives_up(aggregate->inverse_function))
			{
				explain_line(explain, 2, "%s: follows rows that go by %s", call,
				             get_func_name(aggregate->inverse_function));
				return false;
			}
			explain_line(explain, 2,
			             "%s: follows rows that go by %s; where that gives up, the group is "
			             "computed anew",
			             call, get_func_name(aggregate->inverse_function));
			return true;
		case PLAN_INVERSE_EXTREME:
			explain_line(explain, 2, "%s: the group is computed anew when its extreme goes", call);
			return true;
		case PLAN_INVERSE_NONE:
			break;
	}
	explain_line(explain, 2, "%s: the group is computed anew when a row goes", call);
	return true;
}

/* The columns of the relation of keys. */
static TupleDesc
explain_key_descriptor(Explain *explain)
{
	int keys = explain->plan->key_count;
	TupleDesc descriptor = CreateTemplateTupleDesc(keys);

	for (int i = 0; i < keys; i++)
	{
		TargetEntry *entry = list_nth_node(TargetEntry, explain->plan->inner->targetList, i);
		Node *key = (Node *) entry->expr;

		TupleDescInitEntry(descriptor, i + 1, psprintf("k%d", i + 1), exprType(key),
		                   exprTypmod(key), 0);
		TupleDescInitEntryCollation(descriptor, i + 1, exprCollation(key));
	}
	return descriptor;
}

/* The query that computes groups anew. */
static void
explain_recompute(Explain *explain)
{
	explain_line(explain, 1, "query that computes groups anew:");
	explain_query(explain, plan_recompute_groups(explain->plan, false, EXPLAIN_ROWS),
	              explain_environment(PLAN_KEYS_NAME, explain_key_descriptor(explain)),
	              "keys of the groups");
}

/* The grouping on top. */
static void
explain_grouping(Explain *explain)
{
	bool recompute = plan_keys_ambiguous(explain->plan);
	ListCell *cell;

	explain_keys(explain);
	foreach (cell, explain->plan->aggregates)
		recompute |= explain_aggregate(explain, lfirst(cell));
	if (explain->plan->shown)
		explain_line(explain, 2, "the view shows all of this: nothing else is kept of a group");
	if (recompute)
		explain_recompute(explain);
}

/* The view's hidden tables and their sizes, indexes included. */
static void
explain_hidden(Explain *explain, Oid view)
{
	static const struct
	{
		const char *prefix;
		const char *purpose;
	} tables[] = {{"groups", "the groups' states"}, {"rows", "where each row is"}};

	for (int i = 0; i < lengthof(tables); i++)
	{
		Oid hidden = hidden_relation(tables[i].prefix, view);
		Datum size;

		if (!OidIsValid(hidden))
			continue;
		size = DirectFunctionCall1(pg_total_relation_size, ObjectIdGetDatum(hidden));
		explain_line(explain, 1, "hidden state: %s in %s, %s", tables[i].purpose,
		             catalog_name(hidden),
		             TextDatumGetCString(DirectFunctionCall1(pg_size_pretty, size)));
	}
}

/* What tells the rows of an ungrouped view apart. */
static void
explain_identity(Explain *explain)
{
	ViewPlan *plan = explain->plan;
	StringInfoData columns;

	initStringInfo(&columns);
	for (int i = 0; i < plan->identity_count; i++)
		appendStringInfo(&columns, "%s%s", i > 0 ? ", " : "",
		                 quote_identifier(get_attname(plan->view, plan->identity[i], false)));
	explain_line(explain, 1, "rows are told apart by: %s",
	             plan->identity_count == 0 ? "all columns" : columns.data);
}

/* A block that is run as a whole. */
static void
explain_limit(Explain *explain)
{
	explain_line(explain, 1, "run whole with every change of what it reads:");
	explain_query(explain, copyObject(explain->plan->inner), NULL, NULL);
	if (explain->plan->ties > 0)
		explain_line(explain, 1, "where rows tie at the end of the limit, the query is run anew");
}

/* The query that finds the rows that changes of a leaf can touch. */
static void
explain_affected(Explain *explain, PlanBlock *block, PlanBlockLeaf *leaf)
{
	TupleDesc descriptor = CreateTemplateTupleDesc(1);
	const char *reason;
	int variants;
	Query *query = plan_affected(block, leaf, 1, EXPLAIN_ROWS, &variants, &reason);

	TupleDescInitEntry(descriptor, 1, "k1", TIDOID, -1, 0);
	if (leaf->clock)
	{
		explain_line(explain, 1, "query for the rows%s that the clock passes:",
		             OidIsValid(leaf->relid) ? psprintf(" of %s", catalog_name(leaf->relid)) : "");
		explain_query(explain, query, explain_environment(PLAN_KEYS_NAME, descriptor), NULL);
		if (leaf->clock->next != NULL)
		{
			Var *passed = (Var *) linitial_node(TargetEntry, leaf->clock->next->targetList)->expr;

			if (IsA(passed, Var) && missing_worth(leaf->relid, list_make1_int(passed->varattno)))
				explain_missing(explain, 2, leaf->relid, list_make1_int(passed->varattno));
		}
		return;
	}
	explain_line(explain, 1,
	             "query for the rows that changes of %s can touch%s:", catalog_name(leaf->relid),
	             leaf->variant == 0 ? "" : psprintf(" (NULLs, %d)", leaf->variant));
	explain_query(explain, query,
	              explain_environment(plan_versions_name(leaf->relid, 1), descriptor),
	              psprintf("changed versions of %s", quote_identifier(get_rel_name(leaf->relid))));
}

/* The queries for keys. */
static void
explain_keyed(Explain *explain)
{
	ViewPlan *plan = explain->plan;
	ListCell *cell;
	ListCell *leaf;

	foreach (cell, plan->blocks)
	{
		PlanBlock *block = lfirst(cell);
		TupleDesc descriptor = CreateTemplateTupleDesc(block->core);

		foreach (leaf, block->leaves)
			explain_affected(explain, block, lfirst(leaf));
		for (int i = 0; i < block->core; i++)
			TupleDescInitEntry(descriptor, i + 1, psprintf("k%d", i + 1), TIDOID, -1, 0);
		explain_line(explain, 1, "query that computes these rows anew:");
		explain_query(explain, plan_restrict_versions(plan, block, EXPLAIN_ROWS),
		              explain_environment(PLAN_KEYS_NAME, descriptor), "versions touched");
	}
	if (plan->by_key)
	{
		explain_line(explain, 1, "query that computes groups or partitions anew:");
		explain_query(explain, plan_restrict_keys(plan, false, EXPLAIN_ROWS),
		              explain_environment(PLAN_KEYS_NAME, explain_key_descriptor(explain)),
		              "keys touched");
	}
}

/* A recursion: its terms, and its step. */
static void
explain_recursion(Explain *explain)
{
	const PlanRecursion *recursion = explain->plan->recursion;
	ListCell *cell;

	foreach (cell, recursion->start->leaves)
		explain_leaf(explain, recursion->start, foreach_current_index(cell));
	foreach (cell, recursion->step->leaves)
		if (!((PlanLeaf *) lfirst(cell))->self)
			explain_leaf(explain, recursion->step, foreach_current_index(cell));
	explain_line(explain, 1, "query for each step, until nothing new comes:");
	explain_term(explain, recursion->step, recursion->self,
	             plan_recursion_step(recursion, 1, EXPLAIN_ROWS), "rows found last");
}

/* How a block follows its changes. */
static void
explain_block(Explain *explain)
{
	if (explain->plan->recursion != NULL)
	{
		explain_recursion(explain);
		return;
	}
	if (explain->plan->whole)
	{
		explain_limit(explain);
		return;
	}
	if (explain->plan->grouped)
		explain_grouping(explain);
	else
		explain_identity(explain);
	for (int leaf = 0; leaf < list_length(explain->plan->leaves); leaf++)
		explain_leaf(explain, explain->plan, leaf);
	explain_keyed(explain);
}

/* The blocks below the view's own. */
static void
explain_parts(Explain *explain)
{
	ViewPlan *plan = explain->plan;
	List *names = explain->names;
	ListCell *cell;

	foreach (cell, plan->parts)
	{
		PlanPart *part = lfirst(cell);

		explain_line(explain, 0, "Part %s: strategy %c", catalog_name(part->relid),
		             (char) part->plan->strategy);
		explain_line(explain, 1, "reason: %s", part->plan->reason);
		explain->plan = part->plan;
		explain->names = explain_query_names(part->plan->query);
		explain_block(explain);
		explain_hidden(explain, part->relid);
	}
	explain->plan = plan;
	explain->names = names;
}

/* Where keys and the whole query compete: what either took. */
static void
explain_choice(Explain *explain)
{
	FrontierView *state = frontier_view(MyDatabaseId, RelationGetRelid(explain->view), false);
	uint64 keyed = state ? pg_atomic_read_u64(&state->keyed_us) : 0;
	uint64 whole = state ? pg_atomic_read_u64(&state->whole_us) : 0;

	if (!plan_keyed(explain->plan))
		return;
	explain_line(
	    explain, 1,
	    "each cycle: by keys, or the query as a whole where that is expected to take less");
	if (keyed > 0)
		explain_line(explain, 2, "last time by keys: %.3f ms", keyed / 1000.0);
	if (whole > 0)
		explain_line(explain, 2, "last time as a whole: %.3f ms", whole / 1000.0);
}

/* Strategies A and B: how each block follows. */
static void
explain_following(Explain *explain)
{
	bool algebraic = plan_strategy(explain->plan) == PLAN_ALGEBRAIC;

	explain_line(explain, 0, "Materialized view %s: strategy %s",
	             catalog_name(RelationGetRelid(explain->view)),
	             algebraic ? "A, its changes are computed from those of its tables"
	                       : "B, what its changes touch is computed anew");
	explain_line(explain, 1, "reason: %s", explain->plan->reason);
	if (!part_bind(explain->plan, false))
		return;
	if (explain->plan->parts != NIL)
		explain->names = explain_query_names(explain->plan->block);
	explain_choice(explain);
	explain_block(explain);
	explain_hidden(explain, RelationGetRelid(explain->view));
	explain_parts(explain);
}

/* Strategy C: the whole query. */
static void
explain_whole(Explain *explain)
{
	FrontierView *state = frontier_view(MyDatabaseId, RelationGetRelid(explain->view), false);
	uint64 took = state ? pg_atomic_read_u64(&state->last_cycle_us) : 0;
	List *watched = NIL;
	ListCell *cell;

	foreach (cell, explain->plan->relations)
	{
		PlanRelation *relation = lfirst(cell);

		if (RELKIND_HAS_STORAGE(relation->relkind))
			watched = lappend_oid(watched, relation->relid);
	}
	explain_line(explain, 0, "Materialized view %s: strategy C, its query is run anew and compared",
	             catalog_name(RelationGetRelid(explain->view)));
	explain_line(explain, 1, "reason: %s", explain->plan->reason);
	if (explain->plan->clock)
		explain_line(explain, 1,
		             "run anew: from time to time, and when a relation watched changes");
	explain_line(explain, 1, "relations watched: %s",
	             watched == NIL ? "none" : explain_names(watched));
	if (took > 0)
		explain_line(explain, 1, "last run: %.3f ms", took / 1000.0);
	explain_line(explain, 1, "query:");
	explain_query(explain, copyObject(explain->plan->query), NULL, NULL);
}

/* What stands between the view and its being fresh now. */
static void
explain_state(Explain *explain, ViewRow *row)
{
	const char *error = catalog_view_error(row->view);

	if (!RelationIsPopulated(explain->view))
		explain_line(explain, 1, "not populated: REFRESH MATERIALIZED VIEW fills it");
	else if (error != NULL && pg_class_ownercheck(row->view, GetUserId()))
		explain_line(explain, 1, "in error: %s", error);
	else if (error != NULL)
		explain_line(explain, 1, "in error: its owner sees why in freshet.views");
	else if (!row->adopted)
		explain_line(explain, 1, "not adopted yet: it is about to be computed");
}

/* What the view's query read of the session when it was created. */
static void
explain_settings(Explain *explain, ViewRow *row)
{
	bool owner = has_privs_of_role(GetUserId(), explain->view->rd_rel->relowner);
	ListCell *cell;

	foreach (cell, row->settings)
	{
		const char *setting = lfirst(cell);
		const char *value = strchr(setting, '=');
		char *name = pnstrdup(setting, strcspn(setting, "="));

		if (role_keeps_setting(name))
			continue;
		if (value == NULL)
			explain_line(explain, 1, "setting %s is kept as it was: not there", name);
		else
			explain_line(explain, 1, "setting %s is kept as it was%s%s", name, owner ? ": " : "",
			             owner ? quote_literal_cstr(value + 1) : "");
	}
}

/* A maintained view. */
static void
explain_maintained(Explain *explain, ViewRow *row)
{
	Role before;

	role_compute(&before, explain->view->rd_rel->relowner, row->settings);
	explain->plan = plan_view(explain->view, row->settings);
	if (explain->plan->query != NULL)
		explain->names = explain_query_names(explain->plan->query);
	switch (explain->plan->strategy)
	{
		case PLAN_ALGEBRAIC:
		case PLAN_KEYS:
			explain_following(explain);
			break;
		case PLAN_RECOMPUTE:
			explain_whole(explain);
			break;
		case PLAN_NONE:
			explain_line(explain, 0, "Materialized view %s: not maintained",
			             catalog_name(RelationGetRelid(explain->view)));
			explain_line(explain, 1, "reason: %s", explain->plan->reason);
			break;
	}
	role_restore(&before);
	explain_settings(explain, row);
	explain_state(explain, row);
}

/* See auto_index.h. In the caller's transaction. */
List *
explain_missing_indexes(Oid view)
{
	Explain explain = {.view = try_relation_open(view, AccessShareLock)};
	ViewRow *row = catalog_view(view);

	if (explain.view == NULL)
		return NIL;
	if (row != NULL && row->maintain && explain.view->rd_rel->relkind == RELKIND_MATVIEW)
		explain_maintained(&explain, row);
	relation_close(explain.view, AccessShareLock);
	return explain.missing;
}

/* freshet.explain(regclass) */
Datum
freshet_explain(PG_FUNCTION_ARGS)
{
	Oid viewid = PG_GETARG_OID(0);
	Explain explain = {.result = (ReturnSetInfo *) fcinfo->resultinfo};
	ViewRow *row;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	explain.view = try_relation_open(viewid, AccessShareLock);
	if (explain.view == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
		                errmsg("relation with OID %u does not exist", viewid)));
	if (explain.view->rd_rel->relkind != RELKIND_MATVIEW)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
		                errmsg("\"%s\" is not a materialized view",
		                       RelationGetRelationName(explain.view))));
	if (pg_class_aclcheck(viewid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_MATVIEW, RelationGetRelationName(explain.view));

	row = catalog_view(viewid);
	if (row != NULL && row->maintain)
		explain_maintained(&explain, row);
	else
	{
		explain_line(&explain, 0, "Materialized view %s: not maintained", catalog_name(viewid));
		explain_line(&explain, 1, "reason: %s",
		             row != NULL && row->reason ? row->reason : "not adopted; see freshet.adopt");
	}
	relation_close(explain.view, AccessShareLock);
	return (Datum) 0;
}
