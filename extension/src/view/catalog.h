/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  Freshet's own tables in schema freshet: which matviews are maintained
 *	  (freshet.view), and the last committed cut (freshet.cut).
 *
 * A row of freshet.view lives and dies with its matview. Columns:
 *	view oid, maintain bool, settings text[] (name=value, captured when the view
 *	was created), adopted bool (content and hidden state are those of the
 *	committed cut), strategy text, reason text, error text, sqlstate text,
 *	fingerprint int8 (of the query and the files of its relations when the view
 *	was adopted).
 *
 * Invariant: who writes the row of a view holds, until the end of its
 * transaction, a lock on the view: ROW EXCLUSIVE suffices for the worker, all
 * others need one that conflicts with it. So two of them never write one row at
 * a time, and nobody is told "tuple concurrently updated".
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CATALOG_H
#define FRESHET_CATALOG_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "cut/cut.h"

typedef struct ViewRow
{
	Oid view;
	bool maintain;
	bool adopted;
	uint64 fingerprint; /* of what the content was made from, when adopted */
	List *settings;     /* of char *, "name=value" */
	char *strategy;     /* "A", "B", "C", "none" or NULL: not planned yet */
	char *reason;
} ViewRow;

/* false while the extension is not (or not yet fully) there in this database */
extern bool catalog_installed(void);
extern bool catalog_foreign(void);
extern void catalog_complain(int level);
extern void catalog_version_changed(void); /* every session looks again */
extern Oid catalog_schema(void);
extern bool catalog_is_view_table(Oid relation); /* is it freshet.view? */
extern bool catalog_is_table(Oid relation);      /* is it one of freshet's own? */
extern char *catalog_name(Oid relation);

extern List *catalog_views(void);              /* of ViewRow *, maintained or not */
extern ViewRow *catalog_view(Oid view);        /* NULL: unknown */
extern bool catalog_view_maintained(Oid view); /* cached in the backend */
extern void catalog_view_insert(Oid view, bool maintain, List *settings);
extern void catalog_view_set_maintain(Oid view, bool maintain);
extern void catalog_view_set_adopted(Oid view, bool adopted, uint64 fingerprint);
extern void catalog_view_set_strategy(Oid view, const char *strategy, const char *reason);
extern char *catalog_view_error(Oid view); /* NULL: none */
extern void catalog_view_set_error(Oid view, const char *sqlstate, const char *error);
extern void catalog_view_delete(Oid view);

extern Cut *catalog_cut_read(void); /* NULL: none, or of another database */
extern void catalog_cut_write(const Cut *cut);

/* At commit of this transaction, tell the worker that the catalogs changed. */
extern void catalog_changed(void);

/* wake.c's side of it: was it called in this transaction? Forgets it. */
extern bool catalog_take_changed(void);
extern uint64 catalog_invalidations(void);

/* GUC freshet.maintain: are new materialized views maintained? */
extern bool catalog_maintain_default;

/* column settings as a list of char * */
extern List *catalog_settings_of(Datum array);

#endif /* FRESHET_CATALOG_H */
