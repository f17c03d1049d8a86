/*-------------------------------------------------------------------------
 *
 * load.c
 *	  A file of a stage into a table: COPY INTO, and INSERT … VALUES with an attachment.
 *
 * The columns are looked up first, since CSV does not say which NULL and the empty text are. Then one
 * COPY is fed from the file, as fast as PostgreSQL takes it, in turns that leave the loop to others.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "dialect/databend/internal.h"
#include "dialect/databend/stage.h"
#include "http/json.h"

#define PIECE (64 * 1024)
#define TURN (512 * 1024)

/* A character an option stands for; -1: none, or more than one. */
static int
read_character(const char *value)
{
	return strlen(value) == 1 ? (unsigned char) value[0] : -1;
}

/* One option of the format; false: it is not one that is known, or its value is not. */
static bool
read_format(Load *load, const char *name, const char *value)
{
	int c = read_character(value);

	if (strcasecmp(name, "type") == 0)
		return strcasecmp(value, "CSV") == 0;
	if (strcasecmp(name, "compression") == 0)
	{
		load->compressed = load->compressed || strcasecmp(value, "gzip") == 0;
		return strcasecmp(value, "auto") == 0 || strcasecmp(value, "none") == 0 ||
		       strcasecmp(value, "gzip") == 0;
	}
	if (strcasecmp(name, "skip_header") == 0)
	{
		load->csv.skip = strtol(value, NULL, 10);
		return load->csv.skip >= 0 && value[strspn(value, "0123456789")] == '\0';
	}
	if (strcasecmp(name, "record_delimiter") == 0)
	{
		load->csv.record = c > 0 && c != '\n' ? (char) c : '\0';
		return c > 0 || strcmp(value, "\r\n") == 0;
	}
	if (strcasecmp(name, "field_delimiter") == 0)
		load->csv.delimiter = (char) c;
	else if (strcasecmp(name, "quote") == 0)
		load->csv.quote = (char) c;
	else if (strcasecmp(name, "escape") == 0)
	{
		load->csv.escape = *value == '\0' || *value == load->csv.quote ? '\0' : (char) c;
		return c > 0 || *value == '\0';
	}
	else
		return strcasecmp(name, "null_display") == 0 && strcmp(value, "\\N") == 0;
	return c > 0;
}

/* One option of what to do with the file. */
static bool
read_copy(Load *load, const char *name, const char *value)
{
	if (strcasecmp(name, "purge") == 0)
	{
		load->purge = strcasecmp(value, "true") == 0;
		return load->purge || strcasecmp(value, "false") == 0;
	}
	if (strcasecmp(name, "force") == 0)
		return strcasecmp(value, "true") == 0 || strcasecmp(value, "false") == 0;
	if (strcasecmp(name, "size_limit") == 0 || strcasecmp(name, "max_files") == 0)
		return strcmp(value, "0") == 0;
	return strcasecmp(name, "on_error") == 0 && strcasecmp(value, "abort") == 0;
}

/* An option that is not here. */
static bool
refuse(Query *query, const char *name, const char *value)
{
	query_fail(query, 1002, "%.64s = '%.64s' is not supported", name, value);
	return false;
}

/* Options of an attachment, which are members of objects; the values are text. */
static bool
read_object(Query *query, const json_t *options,
            bool (*read)(Load *load, const char *name, const char *value))
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *) options, name, value)
	{
		const char *text = json_is_string(value)  ? json_string_value(value)
		                   : json_is_true(value)  ? "true"
		                   : json_is_false(value) ? "false"
		                                          : "";

		if (!read(&query->load, name, text))
			return refuse(query, name, text);
	}
	return true;
}

/* Where the file is, and what its format is; false: the query has failed. */
static bool
read_attachment(Query *query)
{
	const json_t *attachment = json_object_get(query->body, "stage_attachment");

	query->load.location = json_string_value(json_object_get(attachment, "location"));
	if (query->load.location == NULL)
	{
		query_fail(query, 1005, "INSERT without values needs a stage_attachment with a location");
		return false;
	}
	return read_object(query, json_object_get(attachment, "file_format_options"), read_format) &&
	       read_object(query, json_object_get(attachment, "copy_options"), read_copy);
}

/* The same of COPY INTO, whose options are the statement's. */
static bool
read_statement(Query *query)
{
	query->load.location = query->statement->stage;
	for (size_t i = 0; i < query->statement->option_count; i++)
	{
		const TranslateOption *option = &query->statement->options[i];
		bool copy = strncmp(option->name, "copy_", 5) == 0;

		if (copy ? !read_copy(&query->load, option->name + 5, option->value)
		         : !read_format(&query->load, option->name, option->value))
			return refuse(query, copy ? option->name + 5 : option->name, option->value);
	}
	return true;
}

bool
load_prepare(Query *query)
{
	Load *load = &query->load;
	size_t length;

	load->csv.delimiter = ',';
	load->csv.quote = '"';
	load->csv.record_number = 1;
	if (query->statement->kind == STATEMENT_COPY_INTO ? !read_statement(query)
	                                                  : !read_attachment(query))
		return false;
	length = strlen(load->location);
	load->compressed =
	    load->compressed || (length > 3 && strcasecmp(load->location + length - 3, ".gz") == 0);
	load->fd = stage_open(query->stages, query->wish.role, load->location);
	if (load->fd >= 0)
		return true;
	query_fail(query, 1046, "file '%.100s' is not in the stage", load->location);
	return false;
}

void
load_free(Query *query)
{
	Load *load = &query->load;

	if (load->fd >= 0)
		close(load->fd);
	load->fd = -1;
	if (load->inflater != NULL)
		inflater_free(load->inflater);
	load->inflater = NULL;
	csv_free(&load->csv);
	buffer_free(&load->data);
}

/* What was inflated goes on as CSV. */
static bool
take_inflated(void *owner, const char *bytes, size_t count)
{
	Load *load = owner;

	return csv_feed(&load->csv, bytes, count, &load->data);
}

/* Read a piece of the file; false: `problem` says what is wrong with it. */
static bool
read_piece(Load *load)
{
	char piece[PIECE];
	ssize_t got = read(load->fd, piece, sizeof piece);

	if (got < 0)
	{
		snprintf(load->csv.problem, sizeof load->csv.problem, "%s", strerror(errno));
		return false;
	}
	load->ended = got == 0;
	if (load->ended && load->inflater != NULL && !inflater_ended(load->inflater))
	{
		snprintf(load->csv.problem, sizeof load->csv.problem, "it is no whole gzip file");
		return false;
	}
	if (load->ended)
		return csv_end(&load->csv, &load->data);
	if (load->inflater == NULL)
		return csv_feed(&load->csv, piece, (size_t) got, &load->data);
	if (inflater_feed(load->inflater, piece, (size_t) got, take_inflated, load) == INFLATE_GOOD)
		return true;
	if (load->csv.problem[0] == '\0')
		snprintf(load->csv.problem, sizeof load->csv.problem, "it is no gzip file");
	return false;
}

/* The file is wrong: PostgreSQL forgets what it had of it. */
static void
fail_file(Query *query)
{
	Load *load = &query->load;

	failure_set(&query->error, 1046, "%s", load->csv.problem);
	snprintf(query->error.detail, sizeof query->error.detail, "at file '%.100s', line %ld",
	         load->location + 3, load->csv.record_number);
	load->sent = true;
	lease_copy_end(query->lease, "the file is wrong");
}

static void feed(Query *query);

/* The next turn. */
static void
feed_later(uv_timer_t *timer)
{
	feed(timer->data);
}

/* Feed the COPY until the socket takes no more, or for a turn. */
static void
feed(Query *query)
{
	Load *load = &query->load;
	PGconn *pq = lease_pq(query->lease);
	size_t turn = 0;

	while (!load->sent && turn < TURN)
	{
		if (load->data.length == 0 && !load->ended && !read_piece(load))
		{
			fail_file(query);
			return;
		}
		if (load->data.length > 0 &&
		    PQputCopyData(pq, buffer_data(&load->data), (int) load->data.length) <= 0)
			break;
		turn += load->data.length;
		buffer_clear(&load->data);
		if (load->ended)
		{
			load->sent = true;
			lease_copy_end(query->lease, NULL);
			return;
		}
	}
	if (lease_flush(query->lease) && !load->sent)
		uv_timer_start(&query->turn, feed_later, 0, 0);
}

void
load_flushed(Query *query)
{
	if (query->load.fd >= 0 && query->feeding && !query->load.sent)
		feed(query);
}

/* The COPY has begun, or ended. */
static void
copied(Query *query, PGresult *result)
{
	const char *count;

	if (PQresultStatus(result) == PGRES_COPY_IN)
	{
		query->feeding = true;
		uv_timer_start(&query->turn, feed_later, 0, 0);
		return;
	}
	count = PQcmdTuples(result);
	query->written_rows = strtoull(count, NULL, 10);
	if (query->statement->kind == STATEMENT_INSERT_STAGE)
	{
		query_add_own_column(query, "number of rows inserted", "UInt64");
		query_add_value(query, count, strlen(count));
	}
	else
	{
		query_add_own_column(query, "File", "String");
		query_add_own_column(query, "Rows_loaded", "Int32");
		query_add_own_column(query, "Errors_seen", "Int32");
		query_add_own_column(query, "First_error", "Nullable(String)");
		query_add_own_column(query, "First_error_line", "Nullable(Int32)");
		query_add_value(query, query->load.location + 3, strlen(query->load.location + 3));
		query_add_value(query, count, strlen(count));
		query_add_value(query, "0", 1);
		query_add_value(query, NULL, 0);
		query_add_value(query, NULL, 0);
	}
	query_add_row(query);
}

/* All is stored, or nothing. */
static void
copy_done(Query *query)
{
	uv_timer_stop(&query->turn);
	query->feeding = false;
	if (query->error.code == 0 && query->load.purge)
		stage_remove(query->stages, query->wish.role, query->load.location);
	query_end(query);
}

/* A column of the table: which are there, and what they take. */
static void
looked_up(Query *query, PGresult *result)
{
	LoadColumn *column;

	if (query->skip > 0 || PQresultStatus(result) != PGRES_SINGLE_TUPLE)
	{
		query->skip -= query->skip > 0 && PQresultStatus(result) != PGRES_SINGLE_TUPLE;
		return;
	}
	column = arena_alloc(&query->arena, sizeof *column);
	*column = (LoadColumn){
	    NULL,
	    arena_copy(&query->arena, PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0)),
	    PQgetvalue(result, 0, 1)[0] == 't'};
	*query->load.end = column;
	query->load.end = &column->next;
}

/* The table's column of a name, or NULL. */
static const LoadColumn *
find_column(const Load *load, const char *name)
{
	const LoadColumn *column = load->columns;

	while (column != NULL && strcmp(column->name, name) != 0)
		column = column->next;
	return column;
}

/*
 * Which columns the file's fields are for. Where none of those that were written is there, and there are
 * as many as the table has, they are taken by place: a leniency, since Databend refuses them.
 */
static bool
choose_columns(Query *query, const LoadColumn **chosen, size_t *count)
{
	const Statement *statement = query->statement;
	const LoadColumn *column = query->load.columns;
	size_t known = 0;
	size_t all = 0;

	for (; column != NULL; column = column->next)
		chosen[all++] = column;
	for (size_t i = 0; i < statement->name_count; i++)
		known += find_column(&query->load, statement->names[i]) != NULL;
	*count = all;
	if (statement->name_count == 0 ||
	    (query->lenient && known == 0 && statement->name_count == all &&
	     statement->kind == STATEMENT_INSERT_STAGE))
		return true;
	for (size_t i = 0; i < statement->name_count; i++)
	{
		chosen[i] = find_column(&query->load, statement->names[i]);
		if (chosen[i] == NULL)
		{
			query_fail(query, 1065, "column %.64s doesn't exist", statement->names[i]);
			return false;
		}
	}
	*count = statement->name_count;
	return true;
}

/* The columns are known: begin the COPY. */
static void
begin_copy(Query *query)
{
	Load *load = &query->load;
	size_t room = query->statement->name_count;
	const LoadColumn **chosen;
	bool *empty_is_text;
	size_t count;
	Text sql;

	if (query->error.code != 0)
	{
		if (!execute_again(query))
			query_end(query);
		return;
	}
	for (const LoadColumn *column = load->columns; column != NULL; column = column->next)
		room++;
	chosen = arena_alloc(&query->arena, (room + 1) * sizeof *chosen);
	if (!choose_columns(query, chosen, &count))
		return;
	empty_is_text = arena_alloc(&query->arena, count + 1);
	text_init(&sql, &query->arena);
	text_append(&sql, "COPY ");
	text_qualified(&sql, query->statement->relation.schema, query->statement->relation.name);
	for (size_t i = 0; i < count; i++)
	{
		text_append(&sql, i == 0 ? " (" : ", ");
		text_identifier(&sql, chosen[i]->name);
		empty_is_text[i] = chosen[i]->empty_is_text;
	}
	text_append(&sql, count > 0 ? ") FROM STDIN" : " FROM STDIN");
	load->csv.columns = (int) count;
	load->csv.empty_is_text = empty_is_text;
	if (load->compressed)
		load->inflater = inflater_make();
	query->result = copied;
	query->synced = copy_done;
	lease_copy(query->lease, sql.data);
}

void
load_begin(Query *query)
{
	Text name;
	Text sql;

	text_init(&name, &query->arena);
	text_qualified(&name, query->statement->relation.schema, query->statement->relation.name);
	text_init(&sql, &query->arena);
	text_append(&sql, "SELECT a.attname, a.attnotnull AND t.typcategory = 'S' "
	                  "FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t "
	                  "ON t.oid = a.atttypid WHERE a.attrelid = ");
	text_literal(&sql, name.data);
	text_append(&sql, "::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped "
	                  "AND a.attgenerated = '' ORDER BY a.attnum");
	query->load.columns = NULL;
	query->load.end = &query->load.columns;
	query->result = looked_up;
	query->synced = begin_copy;
	query_send_settings(query);
	query_send(query, sql.data);
	query->skip = 1;
	query_flush(query);
}
