/*-------------------------------------------------------------------------
 *
 * aggregate.c
 *	  Calling transition, inverse, final and serialization functions.
 *
 * Memory: states live in the context given to aggregate_begin; functions run
 * in a context of our own that is reset with every row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "delta/aggregate.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_agg.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

typedef struct AggregateCall
{
	const PlanAggregate *plan;
	FmgrInfo transition;
	FmgrInfo inverse;
	FmgrInfo final;
	FmgrInfo serialize;
	FmgrInfo deserialize;
	FmgrInfo equal;
	FmgrInfo combine; /* fn_oid InvalidOid: states cannot be combined */
	int final_arguments;
	PlanLinear linear;
	Oid input; /* of a linear sum: its argument's type */
	Oid collation;
	int16 length; /* of the transition type */
	bool by_value;
	bool ambiguous; /* values may be equal and not the same image */
	Datum initial;
	bool initial_isnull;
} AggregateCall;

struct AggregateProgram
{
	int count;
	AggregateCall *calls;
	WindowAggState *window; /* the call context aggregate functions ask for */
	MemoryContext states;
	MemoryContext scratch;
};

/*
 * The function that combines two of an aggregate's states, or InvalidOid.
 *
 * The catalog names it for ordinary states only; that of a moving aggregate is
 * often the ordinary one of another aggregate, as sum(int4)'s is avg(int4)'s.
 */
static Oid
aggregate_combine_function(const PlanAggregate *plan)
{
	Relation catalog = table_open(AggregateRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	Oid result = InvalidOid;
	HeapTuple tuple;

	while (!OidIsValid(result) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_aggregate form = (Form_pg_aggregate) GETSTRUCT(tuple);
		Datum initial;
		bool isnull;

		if (form->aggtransfn != plan->transition_function ||
		    form->aggtranstype != plan->transition_type || !OidIsValid(form->aggcombinefn) ||
		    (form->aggfnoid != plan->aggref->aggfnoid && form->aggfnoid >= FirstNormalObjectId))
			continue;
		initial =
		    heap_getattr(tuple, Anum_pg_aggregate_agginitval, RelationGetDescr(catalog), &isnull);
		if (isnull != (plan->initial_value == NULL) ||
		    (!isnull && strcmp(TextDatumGetCString(initial), plan->initial_value) != 0))
			continue;
		result = form->aggcombinefn;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/*
 * Prepare the aggregates of a plan (of PlanAggregate *), in the current memory
 * context.
 */
AggregateProgram *
aggregate_program(List *aggregates)
{
	AggregateProgram *program = palloc0(sizeof(AggregateProgram));
	ListCell *cell;
	int i = 0;

	program->count = list_length(aggregates);
	program->calls = palloc0(Max(program->count, 1) * sizeof(AggregateCall));
	program->window = makeNode(WindowAggState);
	program->scratch = AllocSetContextCreate(CurrentMemoryContext, "freshet aggregate scratch",
	                                         ALLOCSET_DEFAULT_SIZES);
	foreach (cell, aggregates)
	{
		const PlanAggregate *plan = lfirst(cell);
		AggregateCall *call = &program->calls[i++];
		Oid types[FUNC_MAX_ARGS];
		int type_count = get_aggregate_argtypes(plan->aggref, types);
		Expr *transition_expr;
		Expr *inverse_expr;
		Oid combine;

		call->plan = plan;
		call->linear = plan->linear;
		if (call->linear != PLAN_LINEAR_NONE)
		{
			call->input = type_count > 0 ? types[0] : InvalidOid;
			continue;
		}
		call->collation = plan->aggref->inputcollid;
		get_typlenbyval(plan->transition_type, &call->length, &call->by_value);
		build_aggregate_transfn_expr(
		    types, type_count, 0, plan->aggref->aggvariadic, plan->transition_type, call->collation,
		    plan->transition_function, plan->inverse_function, &transition_expr, &inverse_expr);
		fmgr_info(plan->transition_function, &call->transition);
		fmgr_info_set_expr((Node *) transition_expr, &call->transition);
		if (OidIsValid(plan->inverse_function))
		{
			fmgr_info(plan->inverse_function, &call->inverse);
			fmgr_info_set_expr((Node *) inverse_expr, &call->inverse);
		}
		if (OidIsValid(plan->final_function))
		{
			Expr *final_expr;

			call->final_arguments = plan->final_extra ? type_count + 1 : 1;
			build_aggregate_finalfn_expr(types, call->final_arguments, plan->transition_type,
			                             plan->aggref->aggtype, call->collation,
			                             plan->final_function, &final_expr);
			fmgr_info(plan->final_function, &call->final);
			fmgr_info_set_expr((Node *) final_expr, &call->final);
		}
		if (OidIsValid(plan->serialize_function))
		{
			fmgr_info(plan->serialize_function, &call->serialize);
			fmgr_info(plan->deserialize_function, &call->deserialize);
		}
		if (plan->inverse == PLAN_INVERSE_EXTREME)
		{
			fmgr_info(get_opcode(plan->extreme_operator), &call->equal);
			call->ambiguous = true;
		}
		combine = aggregate_combine_function(plan);
		if (OidIsValid(combine))
		{
			Expr *combine_expr;

			types[0] = plan->transition_type;
			build_aggregate_transfn_expr(types, 1, 0, false, plan->transition_type, call->collation,
			                             combine, InvalidOid, &combine_expr, NULL);
			fmgr_info(combine, &call->combine);
			fmgr_info_set_expr((Node *) combine_expr, &call->combine);
		}
		call->initial_isnull = plan->initial_value == NULL;
		if (!call->initial_isnull)
		{
			Oid input;
			Oid parameter;

			getTypeInputInfo(plan->transition_type, &input, &parameter);
			call->initial = OidInputFunctionCall(input, plan->initial_value, parameter, -1);
		}
	}
	return program;
}

/* Keep the states of the groups to come in this memory context. */
void
aggregate_begin(AggregateProgram *program, MemoryContext states)
{
	program->states = states;
	program->window->curaggcontext = states;
}

/* Bring one aggregate's state to that of no input. */
static void
aggregate_reset(AggregateProgram *program, AggregateCall *call, AggregateState *state)
{
	MemoryContext old;

	if (call->linear != PLAN_LINEAR_NONE)
	{
		*state = (AggregateState){0};
		return;
	}
	old = MemoryContextSwitchTo(program->states);
	state->isnull = call->initial_isnull;
	state->value =
	    call->initial_isnull ? (Datum) 0 : datumCopy(call->initial, call->by_value, call->length);
	state->count = 0;
	MemoryContextSwitchTo(old);
}

/* Bring a group's states to those of no input. */
void
aggregate_initialize(AggregateProgram *program, AggregateState *states)
{
	for (int i = 0; i < program->count; i++)
		aggregate_reset(program, &program->calls[i], &states[i]);
}

/* Take over a function's result as the state's value. */
static void
aggregate_take(AggregateProgram *program, AggregateCall *call, AggregateState *state, Datum value,
               bool isnull)
{
	if (!call->by_value && !isnull && (state->isnull || value != state->value))
	{
		MemoryContext old = MemoryContextSwitchTo(program->states);

		/* an internal state is made in the states' context by its function */
		if (call->plan->transition_type != INTERNALOID)
		{
			value = datumCopy(value, false, call->length);
			if (!state->isnull)
				pfree(DatumGetPointer(state->value));
		}
		MemoryContextSwitchTo(old);
	}
	state->value = value;
	state->isnull = isnull;
}

/* Call a transition or inverse function with the row's arguments. */
static Datum
aggregate_call(AggregateProgram *program, AggregateCall *call, FmgrInfo *function,
               AggregateState *state, TupleTableSlot *row, bool *isnull)
{
	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
	int first = call->plan->first_argument - 1;
	Datum result;

	InitFunctionCallInfoData(*fcinfo, function, call->plan->argument_count + 1, call->collation,
	                         (Node *) program->window, NULL);
	fcinfo->args[0].value = state->value;
	fcinfo->args[0].isnull = state->isnull;
	for (int i = 0; i < call->plan->argument_count; i++)
	{
		fcinfo->args[i + 1].value = row->tts_values[first + i];
		fcinfo->args[i + 1].isnull = row->tts_isnull[first + i];
	}
	result = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull;
	return result;
}

/* Add a row's input to a state; false: the group must be computed anew. */
static bool
aggregate_add(AggregateProgram *program, AggregateCall *call, AggregateState *state,
              TupleTableSlot *row, bool fresh)
{
	int first = call->plan->first_argument - 1;
	Datum value;
	bool isnull;

	if (call->transition.fn_strict)
	{
		for (int i = 0; i < call->plan->argument_count; i++)
			if (row->tts_isnull[first + i])
				return true;
		if (state->count == 0 && state->isnull)
		{
			aggregate_take(program, call, state, row->tts_values[first], false);
			state->count = 1;
			return true;
		}
		if (state->isnull)
		{
			state->count++;
			return true;
		}
	}

	/*
	 * Of two equal extremes with different images either may be shown; it is
	 * the one that a computation from nothing meets.
	 */
	if (!fresh && call->ambiguous && !state->isnull && !row->tts_isnull[first] &&
	    DatumGetBool(FunctionCall2Coll(&call->equal, call->collation, state->value,
	                                   row->tts_values[first])) &&
	    !datum_image_eq(state->value, row->tts_values[first], call->by_value, call->length))
		return false;

	value = aggregate_call(program, call, &call->transition, state, row, &isnull);
	if (isnull && OidIsValid(call->plan->inverse_function))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
		                errmsg("moving-aggregate transition function must not return null")));
	aggregate_take(program, call, state, value, isnull);
	state->count++;
	return true;
}

/* Remove a row's input from a state; false: the group must be computed anew. */
static bool
aggregate_remove(AggregateProgram *program, AggregateCall *call, AggregateState *state,
                 TupleTableSlot *row)
{
	int first = call->plan->first_argument - 1;
	Datum value;
	bool isnull;
	bool strict = call->plan->inverse == PLAN_INVERSE_FUNCTION ? call->inverse.fn_strict
	                                                           : call->transition.fn_strict;

	if (strict)
		for (int i = 0; i < call->plan->argument_count; i++)
			if (row->tts_isnull[first + i])
				return true;
	if (state->count <= 0)
		return false;
	if (state->count == 1)
	{
		aggregate_reset(program, call, state);
		return true;
	}
	switch (call->plan->inverse)
	{
		case PLAN_INVERSE_FUNCTION:
			if (state->isnull)
				return false;
			value = aggregate_call(program, call, &call->inverse, state, row, &isnull);
			if (isnull)
				return false;
			aggregate_take(program, call, state, value, false);
			break;
		case PLAN_INVERSE_EXTREME:
			if (state->isnull ||
			    DatumGetBool(FunctionCall2Coll(&call->equal, call->collation, state->value,
			                                   row->tts_values[first])))
				return false;
			break;
		case PLAN_INVERSE_NONE:
			return false;
	}
	state->count--;
	return true;
}

/* Add a row's input to a linear state, or subtract it. */
static void
aggregate_change_linear(AggregateCall *call, AggregateState *state, TupleTableSlot *row, int sign)
{
	int first = call->plan->first_argument - 1;

	if (call->plan->argument_count > 0 && row->tts_isnull[first])
		return;
	state->count += sign;
	if (call->linear == PLAN_LINEAR_SUM)
	{
		uint64 input = (uint64) (call->input == INT2OID ? DatumGetInt16(row->tts_values[first])
		                                                : DatumGetInt32(row->tts_values[first]));

		state->sum += sign > 0 ? input : -input;
	}
}

/*
 * Let a group's states follow one row of the inner query that came (sign +1)
 * or went (sign -1). Returns false if a state cannot: the group must be
 * computed anew, and its states are void. With fresh, the states see all rows
 * of the group from the first on, and can always follow.
 */
bool
aggregate_change(AggregateProgram *program, AggregateState *states, TupleTableSlot *row, int sign,
                 bool fresh)
{
	bool exact = true;
	MemoryContext old = MemoryContextSwitchTo(program->scratch);

	for (int i = 0; i < program->count && exact; i++)
	{
		AggregateCall *call = &program->calls[i];
		int filter = call->plan->filter;

		if (filter > 0 &&
		    (row->tts_isnull[filter - 1] || !DatumGetBool(row->tts_values[filter - 1])))
			continue;
		if (call->linear != PLAN_LINEAR_NONE)
			aggregate_change_linear(call, &states[i], row, sign);
		else
			exact = sign > 0 ? aggregate_add(program, call, &states[i], row, fresh)
			                 : aggregate_remove(program, call, &states[i], row);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(program->scratch);
	return exact;
}

/* Can states that saw some rows be combined with states that saw others? */
bool
aggregate_combinable(AggregateProgram *program)
{
	for (int i = 0; i < program->count; i++)
		if (program->calls[i].linear == PLAN_LINEAR_NONE &&
		    !OidIsValid(program->calls[i].combine.fn_oid))
			return false;
	return true;
}

/* Are all states linear, and so can be those of a difference? */
bool
aggregate_linear(AggregateProgram *program)
{
	for (int i = 0; i < program->count; i++)
		if (program->calls[i].linear == PLAN_LINEAR_NONE)
			return false;
	return true;
}

/* Add the inputs of one state to another; false as for aggregate_change. */
static bool
aggregate_combine_one(AggregateProgram *program, AggregateCall *call, AggregateState *state,
                      const AggregateState *more)
{
	bool internal = call->plan->transition_type == INTERNALOID;
	LOCAL_FCINFO(fcinfo, 2);
	Datum value;

	if (call->linear != PLAN_LINEAR_NONE)
	{
		state->count += more->count;
		state->sum += more->sum;
		return true;
	}
	if (more->count == 0)
		return true;
	if (state->count == 0 && !internal)
	{
		aggregate_take(program, call, state, more->value, more->isnull);
		state->count = more->count;
		return true;
	}
	if (call->ambiguous && !state->isnull && !more->isnull &&
	    DatumGetBool(FunctionCall2Coll(&call->equal, call->collation, state->value, more->value)) &&
	    !datum_image_eq(state->value, more->value, call->by_value, call->length))
		return false;
	state->count += more->count;
	if (call->combine.fn_strict && (state->isnull || more->isnull))
	{
		aggregate_take(program, call, state, (Datum) 0, true);
		return true;
	}
	InitFunctionCallInfoData(*fcinfo, &call->combine, 2, call->collation, (Node *) program->window,
	                         NULL);
	fcinfo->args[0].value = state->value;
	fcinfo->args[0].isnull = state->isnull;
	fcinfo->args[1].value = more->value;
	fcinfo->args[1].isnull = more->isnull;
	value = FunctionCallInvoke(fcinfo);
	aggregate_take(program, call, state, value, fcinfo->isnull);
	return true;
}

/*
 * Let a group's states follow rows that came, of which other states were made
 * by aggregate_change. Returns false as that does.
 */
bool
aggregate_combine(AggregateProgram *program, AggregateState *states, const AggregateState *more)
{
	bool exact = true;
	MemoryContext old = MemoryContextSwitchTo(program->scratch);

	for (int i = 0; i < program->count && exact; i++)
		exact = aggregate_combine_one(program, &program->calls[i], &states[i], &more[i]);
	MemoryContextSwitchTo(old);
	MemoryContextReset(program->scratch);
	return exact;
}

/* The aggregates' results, in the current memory context. */
void
aggregate_results(AggregateProgram *program, AggregateState *states, Datum *values, bool *isnull)
{
	for (int i = 0; i < program->count; i++)
	{
		AggregateCall *call = &program->calls[i];
		AggregateState *state = &states[i];
		LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);

		if (call->linear != PLAN_LINEAR_NONE)
		{
			isnull[i] = call->linear == PLAN_LINEAR_SUM && state->count == 0;
			values[i] = isnull[i]
			                ? (Datum) 0
			                : Int64GetDatum(call->linear == PLAN_LINEAR_COUNT ? state->count
			                                                                  : (int64) state->sum);
			continue;
		}
		if (!OidIsValid(call->plan->final_function))
		{
			values[i] = state->value;
			isnull[i] = state->isnull;
			continue;
		}
		if (call->final.fn_strict && (state->isnull || call->final_arguments > 1))
		{
			values[i] = (Datum) 0;
			isnull[i] = true;
			continue;
		}
		InitFunctionCallInfoData(*fcinfo, &call->final, call->final_arguments, call->collation,
		                         (Node *) program->window, NULL);
		fcinfo->args[0].value = state->value;
		fcinfo->args[0].isnull = state->isnull;
		for (int j = 1; j < call->final_arguments; j++)
		{
			fcinfo->args[j].value = (Datum) 0;
			fcinfo->args[j].isnull = true;
		}
		values[i] = FunctionCallInvoke(fcinfo);
		isnull[i] = fcinfo->isnull;
	}
}

/* A state in the form of its column. */
Datum
aggregate_store(AggregateProgram *program, int number, AggregateState *state, bool *isnull)
{
	AggregateCall *call = &program->calls[number];
	LOCAL_FCINFO(fcinfo, 1);
	Datum result;

	if (call->linear != PLAN_LINEAR_NONE)
	{
		*isnull = false;
		return Int64GetDatum((int64) state->sum);
	}
	*isnull = state->isnull;
	if (state->isnull || call->plan->transition_type != INTERNALOID)
		return state->value;
	InitFunctionCallInfoData(*fcinfo, &call->serialize, 1, InvalidOid, (Node *) program->window,
	                         NULL);
	fcinfo->args[0].value = state->value;
	fcinfo->args[0].isnull = false;
	result = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull;
	return result;
}

/* The reverse of aggregate_store; the state is made in the states' context. */
void
aggregate_load(AggregateProgram *program, int number, AggregateState *state, Datum stored,
               bool isnull, int64 count)
{
	AggregateCall *call = &program->calls[number];
	MemoryContext old;

	state->isnull = isnull;
	state->count = count;
	if (call->linear != PLAN_LINEAR_NONE)
	{
		state->isnull = false;
		state->sum = isnull ? 0 : (uint64) DatumGetInt64(stored);
		return;
	}
	old = MemoryContextSwitchTo(program->states);
	if (isnull)
		state->value = (Datum) 0;
	else if (call->plan->transition_type != INTERNALOID)
		state->value = datumCopy(stored, call->by_value, call->length);
	else
	{
		LOCAL_FCINFO(fcinfo, 2);

		InitFunctionCallInfoData(*fcinfo, &call->deserialize, 2, InvalidOid,
		                         (Node *) program->window, NULL);
		fcinfo->args[0].value = stored;
		fcinfo->args[0].isnull = false;
		fcinfo->args[1].value = (Datum) 0;
		fcinfo->args[1].isnull = true;
		state->value = FunctionCallInvoke(fcinfo);
		state->isnull = fcinfo->isnull;

		/*
		 * A deserialized state is good for combining only: in minor releases
		 * that take that at its word, a variance's (numeric_deserialize)
		 * ignores the squares of what is added to it.
		 */
		if (!fcinfo->isnull && OidIsValid(call->combine.fn_oid))
		{
			InitFunctionCallInfoData(*fcinfo, &call->combine, 2, call->collation,
			                         (Node *) program->window, NULL);
			fcinfo->args[0].value = (Datum) 0;
			fcinfo->args[0].isnull = true;
			fcinfo->args[1].value = state->value;
			fcinfo->args[1].isnull = false;
			state->value = FunctionCallInvoke(fcinfo);
			state->isnull = fcinfo->isnull;
		}
	}
	MemoryContextSwitchTo(old);
}
