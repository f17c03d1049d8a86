/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  The server's catalog of sources: schema freshet_server, made in a
 *	  database with its first source.
 *
 * freshet_server.source			one row per source: what it is and how far it has come
 * freshet_server.new_source		what CREATE SOURCE inserts into: of source the
 *									columns that are its maker's to say
 * freshet_server.source_relation	sources and their tables as relations, for SHOW
 * freshet_server.source_advance	called by the owner's connection in the
 *									transaction that adds rows
 *
 * Invariants:
 *	- A source's owner is who made it, and its tables were the owner's then
 *	  (source_check). Nobody changes a row by hand; its owner sees it and deletes it.
 *	- tick is the number of ticks whose rows are committed, -1 before the tables
 *	  were filled for the first time; state is what the generator needs to go on.
 *	  Both change only together with the rows. The owner can say what he likes about
 *	  them (source_advance), so who reads them checks them.
 *	- The server writes rows as the owner, who is the session user of that connection.
 *	- What the server calls here is its own: a schema, or anything in it, that
 *	  another role owns or may add to is refused.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_SOURCE_CATALOG_H
#define FRESHET_SOURCE_CATALOG_H

/* the channel on which sources are announced */
#define CATALOG_CHANNEL "freshet_server"

/* SQLSTATE of source_advance: the source is not there, or not where it was */
#define CATALOG_GONE "FR001"

/* The largest scale of TPC-H that anybody may have made; a larger one fills disks. */
#define CATALOG_SCALE_FREE "1"

/* A larger scale is not made by this process within reasonable time. */
#define CATALOG_SCALE_MAX 100

/* Whether the catalog is there, and whether it is this one: one row. */
extern const char catalog_look_sql[];

/* Refuses a catalog that is not the server's alone; to be run before any other use. */
extern const char catalog_check_sql[];

/* Makes what is not there yet. */
extern const char catalog_create_sql[];

/* Sources, one row each, with these columns; a condition follows. */
enum
{
	CATALOG_ID,
	CATALOG_OWNER,
	CATALOG_GENERATOR,
	CATALOG_INTERVAL,
	CATALOG_AS_OF,
	CATALOG_UP_TO,
	CATALOG_MAX_CARDINALITY,
	CATALOG_SCALE_FACTOR,
	CATALOG_TICK,
	CATALOG_STATE,
	CATALOG_COLUMNS
};
extern const char catalog_list_sql[];

/*
 * A source's tables that are there, one row each, the last one that of its progress,
 * whose reference is NULL; a condition follows, and catalog_table_order.
 */
enum
{
	CATALOG_REFERENCE,
	CATALOG_TABLE_SCHEMA,
	CATALOG_TABLE_NAME,
	CATALOG_TABLE_COLUMNS
};
extern const char catalog_table_sql[];
extern const char catalog_table_order[];

#endif /* FRESHET_SOURCE_CATALOG_H */
