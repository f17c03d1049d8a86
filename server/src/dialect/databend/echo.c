/*-------------------------------------------------------------------------
 *
 * echo.c
 *	  A client's session: it comes with each request, and goes back changed.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/databend/echo.h"

#include <stdlib.h>
#include <string.h>

/* Settings that clients, their suites and Databend's documentation set. Only the first ones act here. */
const char *const echo_settings[] = {"timezone",
                                     "format_null_as_str",
                                     "sql_dialect",
                                     "max_block_size",
                                     "max_threads",
                                     "max_memory_usage",
                                     "max_result_rows",
                                     "max_execute_time_in_seconds",
                                     "max_storage_io_requests",
                                     "max_insert_threads",
                                     "group_by_two_level_threshold",
                                     "group_by_shuffle_mode",
                                     "storage_read_buffer_size",
                                     "input_read_buffer_size",
                                     "quoted_ident_case_sensitive",
                                     "unquoted_ident_case_sensitive",
                                     "enable_cbo",
                                     "enable_dphyp",
                                     "enable_runtime_filter",
                                     "enable_bloom_runtime_filter",
                                     "enable_query_result_cache",
                                     "query_result_cache_ttl_secs",
                                     "query_result_cache_allow_inconsistent",
                                     "query_result_cache_min_execute_secs",
                                     "enable_table_lock",
                                     "enable_geo_create_table",
                                     "enable_experimental_merge_into",
                                     "enable_distributed_copy_into",
                                     "enable_distributed_merge_into",
                                     "enable_distributed_replace_into",
                                     "enable_parquet_page_index",
                                     "enable_aggregating_index_scan",
                                     "enable_materialized_cte",
                                     "enable_replace_into_partitioning",
                                     "enable_recluster_after_write",
                                     "enable_compact_after_write",
                                     "default_order_by_null",
                                     "statement_queued_timeout_in_seconds",
                                     "http_handler_result_timeout_secs",
                                     "idle_transaction_timeout_secs",
                                     "http_json_result_mode",
                                     "geometry_output_format",
                                     "binary_output_format",
                                     "binary_input_format",
                                     "json_path",
                                     "lazy_read_threshold",
                                     "join_spilling_memory_ratio",
                                     "aggregate_spilling_memory_ratio",
                                     "sort_spilling_memory_ratio",
                                     "parquet_fast_read_bytes",
                                     "data_retention_time_in_days",
                                     "numeric_cast_option",
                                     "ddl_column_type_nullable",
                                     "flight_client_timeout",
                                     "prefer_broadcast_join",
                                     "inlist_to_join_threshold",
                                     "create_query_flight_client_with_current_rt",
                                     "error_on_nondeterministic_update",
                                     "parse_datetime_ignore_remainder",
                                     "week_start",
                                     "collation",
                                     NULL};

bool
echo_knows(const char *name)
{
	for (const char *const *known = echo_settings; *known != NULL; known++)
		if (strcmp(*known, name) == 0)
			return true;
	return false;
}

long
echo_seconds(const json_t *echo, const char *name, long otherwise)
{
	const char *value = echo_setting(echo, name);
	long seconds = value != NULL ? strtol(value, NULL, 10) : otherwise;

	return seconds < 1 || seconds > 3600 ? otherwise : seconds;
}

/* A member if it is an object. */
static json_t *
object_of(const json_t *echo, const char *key)
{
	json_t *member = json_object_get(echo, key);

	return json_is_object(member) ? member : NULL;
}

json_t *
echo_make(const json_t *given)
{
	json_t *echo = json_is_object(given) ? json_deep_copy(given) : json_object();

	if (echo == NULL)
		abort();
	if (!json_is_string(json_object_get(echo, "database")) ||
	    json_string_length(json_object_get(echo, "database")) == 0)
		json_object_set_new(echo, "database", json_string("default"));
	if (object_of(echo, "settings") == NULL)
		json_object_set_new(echo, "settings", json_object());
	echo_unpin(echo);
	return echo;
}

void
echo_unpin(json_t *echo)
{
	json_object_set_new(echo, "txn_state", json_string("AutoCommit"));
	json_object_set_new(echo, "need_sticky", json_false());
	json_object_set_new(echo, "need_keep_alive", json_false());
	json_object_del(echo, "internal");
}

const char *
echo_database(const json_t *echo)
{
	return json_string_value(json_object_get(echo, "database"));
}

void
echo_use(json_t *echo, const char *database)
{
	json_object_set_new(echo, "database", json_string(database));
}

const char *
echo_setting(const json_t *echo, const char *name)
{
	return json_string_value(json_object_get(object_of(echo, "settings"), name));
}

void
echo_set(json_t *echo, const char *name, const char *value)
{
	json_t *settings = object_of(echo, "settings");

	if (value == NULL)
		json_object_del(settings, name);
	else
		json_object_set_new(settings, name, json_string(value));
}

/* jansson hands over what it writes. */
static int
take(const char *bytes, size_t count, void *out)
{
	buffer_append(out, bytes, count);
	return 0;
}

void
echo_write(Buffer *out, const json_t *echo)
{
	if (json_dump_callback(echo, take, out, JSON_COMPACT) != 0)
		abort();
}
