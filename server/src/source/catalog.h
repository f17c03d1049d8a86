/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  The server's catalog of sources: schema freshet_server, made in a
 *	  database with its first source.
 *
 * freshet_server.source			one row per source: what it is and how far it has come
 * freshet_server.source_table		the tables it writes
 * freshet_server.source_relation	both as relations, for SHOW
 * freshet_server.source_advance	called by the server in the transaction that
 *									adds rows; see there
 *
 * Invariants:
 *	- A row of source is its creator's: nobody else may change it. Everybody may
 *	  read it.
 *	- tick is the number of ticks whose rows are committed, -1 before the tables
 *	  were filled for the first time; state is what the generator needs to go on.
 *	  Both change only together with the rows.
 *	- The server writes with its own rights, so it writes only into tables whose
 *	  owner is the source's and on which nothing of anybody's runs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_SOURCE_CATALOG_H
#define FRESHET_SOURCE_CATALOG_H

/* the channel on which sources are announced */
#define CATALOG_CHANNEL "freshet_server"

/* SQLSTATEs of source_advance */
#define CATALOG_GONE "FR001"
#define CATALOG_UNSAFE "FR002"

/* makes what is not there yet */
extern const char catalog_create_sql[];

/* sources, one row each, with these columns; a condition follows */
enum
{
	CATALOG_ID,
	CATALOG_GENERATOR,
	CATALOG_INTERVAL,
	CATALOG_AS_OF,
	CATALOG_UP_TO,
	CATALOG_MAX_CARDINALITY,
	CATALOG_SCALE_FACTOR,
	CATALOG_TICK,
	CATALOG_STATE,
	CATALOG_TABLES /* reference and relation, one a line, by a tab */
};
extern const char catalog_list_sql[];

#endif /* FRESHET_SOURCE_CATALOG_H */
