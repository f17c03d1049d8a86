/*-------------------------------------------------------------------------
 *
 * materialize.h
 *	  What the files of Materialize's dialect share: the state kept for one
 *	  session.
 *
 * How it works. The client's text is read (statement.h). What only needs other
 * words is rewritten and passes. The rest is a *task*: the dialect takes
 * control and sends statements of its own over the session's own backend, in
 * *flights* (flight.c), until the task ends.
 *
 * In the extended protocol a SUBSCRIBE is parsed by PostgreSQL as a query that
 * has the same columns and no rows, under the client's own names. Parse, Bind
 * and Describe are so answered by PostgreSQL itself; only Execute is a task.
 *
 * Invariants:
 *	- A task begins with nothing outstanding and ends with task_done or
 *	  task_failed, exactly once.
 *	- A subscription's rows pass through; none is kept here. What was not asked
 *	  for yet waits in a portal of the backend.
 *	- A flight's `done` is not called while a cancel of ours is under way: a
 *	  cancel hits the flight it is meant for, or nothing.
 *	- Changes that several sessions want are read by one of them (share.c); each
 *	  can go on by itself at any time.
 *	- Subscriptions of a transaction block are forgotten when the block ends;
 *	  others are dropped with their statement or portal.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_MATERIALIZE_H
#define FRESHET_MATERIALIZE_H

#include "dialect/materialize/envelope.h"
#include "dialect/materialize/statement.h"
#include "net/buffer.h"
#include "session/session.h"

typedef struct Materialize Materialize;

/* ---- flights: flight.c ---- */

typedef enum PartRole
{
	PART_SILENT, /* nothing reaches the client */
	PART_VALUES, /* its one row is kept in values */
	PART_ROWS,   /* its rows go to the client */
	PART_COPY    /* so does the data of its COPY */
} PartRole;

typedef enum FlightEnd
{
	FLIGHT_SYNC,    /* Sync; done when its ReadyForQuery came */
	FLIGHT_FLUSH,   /* Flush; its last message is a Close, which ends it */
	FLIGHT_SUSPEND, /* Flush; done when its Execute is suspended, or else like
					 * FLIGHT_SYNC */
	FLIGHT_RAW      /* one Query of the client, whose answers go to it */
} FlightEnd;

#define FLIGHT_PARTS 6
#define FLIGHT_VALUES 4

typedef struct Flight
{
	Buffer out;
	Arena memory; /* until the next flight begins */
	FlightEnd end;
	void (*done)(Materialize *mz);
	int parts;
	PartRole roles[FLIGHT_PARTS];
	int part;          /* the one being answered */
	int syncs;         /* ReadyForQuery that will still come */
	bool show_columns; /* RowDescription goes to the client */
	bool column_names; /* RowDescription is kept in mz->columns */
	bool failed;       /* mz->error says why */
	bool over;         /* all is answered, but a cancel is under way */
	bool quiet;        /* its error is not kept */
	bool suspended;
	size_t position; /* in the client's text, of the query that errors are placed in; or 0 */
	uint64_t rows;   /* that went to the client */
	char *values[FLIGHT_VALUES]; /* of one PART_VALUES after the other */
	int value_count;
} Flight;

/* What is called of the extension again and again, and is prepared once. */
typedef enum FlightCall
{
	CALL_WAIT,
	CALL_POSITION,
	CALL_ADVANCE,
	CALL_READ_TO,
	CALL_COUNT
} FlightCall;

/* Values of a wait; what its flight asks for besides comes behind them. */
#define WAIT_VALUES 3

/* A prepared statement of the dialect's that is no longer needed. */
typedef struct Garbage Garbage;
struct Garbage
{
	Garbage *next;
	char statement[];
};

extern void flight_begin(Materialize *mz);
extern void flight_parse(Materialize *mz, const char *name, const char *sql);
extern void flight_parse_typed(Materialize *mz, const char *name, const char *sql, int types,
                               const uint32_t *type);
extern void flight_bind(Materialize *mz, const char *portal, const char *statement, int formats,
                        const int16_t *format);
extern void flight_execute(Materialize *mz, const char *portal, uint32_t rows, PartRole role);
extern void flight_statement(Materialize *mz, const char *sql, PartRole role);
extern void flight_call(Materialize *mz, FlightCall call, const char *subscription,
                        const char *argument, PartRole role);
extern void flight_wait(Materialize *mz, const char *subscription, int64_t milliseconds);
extern void flight_close_later(Materialize *mz, const char *statement);
extern void flight_describe(Materialize *mz, const char *statement);
extern void flight_close(Materialize *mz, char kind, const char *name);
extern void flight_send(Materialize *mz, FlightEnd end, void (*done)(Materialize *mz));
extern void flight_query(Materialize *mz, const char *sql, size_t length, FlightEnd end,
                         void (*done)(Materialize *mz));
extern BackendRoute flight_header(Materialize *mz, char type, uint32_t length);
extern BackendRoute flight_message(Materialize *mz, const WireMessage *message);
extern void flight_cancel_acted(Materialize *mz);

/* ---- subscriptions: stream.c ---- */

typedef struct Stream
{
	Arena arena;
	MzSubscribe subscribe;
	char *name;      /* of the extension's subscription */
	char *statement; /* prepared: the changes */
	char *progress;  /* prepared: a progress row */
	char *portal;    /* holds rows not asked for yet */
	char *changes_sql;
	char *progress_sql;
	MzColumns columns;
	bool prepared;
	bool portal_open;
	bool portal_used;   /* it may be there, even if nothing is left in it */
	int portal_formats; /* of the open portal, as Bind has them */
	int16_t *portal_format;
	int64_t patience; /* no wait may take longer (milliseconds); 0: any may */
	bool finished;
	bool progressed; /* the first progress row was sent */
	uint64_t progress_at;
	char progress_frontier[48]; /* in the last progress row */
	char frontier[48];
	const char *sharing;   /* the extension's; NULL: its changes are nobody else's */
	const char *share_key; /* that and what was asked for */
	char *position;        /* up to here it was given rows by others, and the extension does
	                        * not know it yet; NULL: nothing of the kind */

	/* COPY */
	const char *copy_options;
	bool copy_begun;
	bool copy_header; /* a batch begins with a line that is sent once */
	bool copy_binary; /* a batch begins with bytes that are sent once */
	bool copy_first;  /* the batch's first data is still to come */
} Stream;

typedef enum RunMode
{
	RUN_SUBSCRIBE, /* until it ends, or for so many rows */
	RUN_FETCH,     /* what there is, or until the deadline */
	RUN_COPY
} RunMode;

/* One reading of a stream. */
typedef struct Run
{
	Stream *stream;
	RunMode mode;
	int64_t limit; /* -1: none */
	uint64_t rows;
	bool has_deadline;
	uint64_t deadline;
	int formats;
	const int16_t *format;
	bool show_columns;
	bool waiting; /* for the client to take what was sent */
	void (*done)(Materialize *mz);
} Run;

extern Stream *stream_create(Materialize *mz, const MzSubscribe *subscribe, const char *name);
extern void stream_free(Materialize *mz, Stream *stream);
extern void stream_open(Materialize *mz, Stream *stream, void (*then)(Materialize *mz));
extern void stream_run(Materialize *mz);
extern void stream_read(Materialize *mz, const char *statement);
extern void stream_drop(Materialize *mz, Stream *stream, void (*then)(Materialize *mz));
extern bool stream_wait_ends(const Materialize *mz);
extern BackendRoute stream_copy_header(Materialize *mz, char type, uint32_t length);
extern BackendRoute stream_copy_message(Materialize *mz, const WireMessage *message);
extern uint64_t stream_clock(void);

/* ---- one reading for several sessions: share.c ---- */

typedef struct Share Share;

typedef enum SharePlace
{
	SHARE_ALONE,       /* reads for itself */
	SHARE_READER,      /* reads for all */
	SHARE_WAITING,     /* for the reader to come to where it is */
	SHARE_CATCHING_UP, /* reads on to where the reader is */
	SHARE_LISTENING    /* is given what the reader reads */
} SharePlace;

typedef struct ShareMember
{
	Share *share;
	Materialize *previous;
	Materialize *next;
	SharePlace place;
	Buffer behind; /* what the reader has read while it catches up */
	uint64_t behind_rows;
} ShareMember;

extern bool share_enter(Materialize *mz);
extern void share_begin(Materialize *mz);
extern bool share_wants(Materialize *mz, uint32_t length);
extern void share_keep(Materialize *mz, char type, const char *body, size_t length);
extern void share_end(Materialize *mz, uint64_t rows);
extern bool share_waits(const Materialize *mz);
extern void share_go(Materialize *mz);
extern void share_leave(Materialize *mz);

/* ---- the extension: extension.c ---- */

extern void extension_ensure(Materialize *mz, void (*ensured)(Materialize *mz));
extern void extension_leave(Materialize *mz);

/* ---- tasks: task.c ---- */

typedef enum TaskKind
{
	TASK_NONE,
	TASK_QUERY,  /* a Query: statements one by one, then ReadyForQuery */
	TASK_EXECUTE /* anything else: one answer */
} TaskKind;

extern void task_query(Materialize *mz, const char *text, size_t length, bool at_once);
extern void task_execute(Materialize *mz, bool resume, void (*begin)(Materialize *mz));
extern void task_statement(Materialize *mz, const MzStatement *statement);
extern void task_done(Materialize *mz, const char *tag);
extern void task_failed(Materialize *mz);
extern void
task_raise(Materialize *mz, const char *sqlstate, const char *message, const char *hint);
extern void task_raise_cancelled(Materialize *mz);
extern void task_send(Materialize *mz, char type, const void *body, size_t length);

/* ---- the extended protocol: extended.c ---- */

typedef struct Prepared Prepared;
typedef struct Portal Portal;

extern bool extended_wants(Materialize *mz, const WireMessage *message);
extern bool extended_is_leaving(Materialize *mz, const WireMessage *message);
extern DialectAnswer extended_message(Materialize *mz, const WireMessage *message);
extern void extended_block_ended(Materialize *mz);
extern void extended_forget_stream(Materialize *mz, const Stream *stream);
extern void extended_free(Materialize *mz);
extern bool extended_active(const Materialize *mz);

/* ---- parameters as literals: parameter.c ---- */

extern char *
parameter_literal(Arena *arena, uint32_t type, bool binary, const char *bytes, uint32_t length);
extern const char *parameter_replace(Arena *arena, const char *text, bool standard_strings,
                                     char *const *values, int count);

/* ---- cursors: cursor.c ---- */

typedef struct Cursor Cursor;

struct Cursor
{
	Cursor *next;
	char *name;
	Stream *stream;
};

extern Cursor *cursor_find(Materialize *mz, const char *name);
extern bool cursor_concerned(Materialize *mz, const MzFetch *fetch);
extern void cursor_declare(Materialize *mz, const MzStatement *statement);
extern void cursor_fetch(Materialize *mz, const MzFetch *fetch, bool show_columns, int formats,
                         const int16_t *format);
extern void cursor_close(Materialize *mz, const MzFetch *fetch);
extern void cursor_forget_all(Materialize *mz);

/* ---- DDL that commits at once: commit.c ---- */

#define COMMIT_NAME 64

typedef struct CommitWatch
{
	bool begun;    /* the block holds nothing but its BEGIN */
	bool pending;  /* the flight's statement is DDL that is to be committed */
	bool executed; /* something since all was settled last, and no transaction was open */
	bool has_ddl;  /* the last DDL that was parsed has this name */
	char ddl[COMMIT_NAME];
	bool has_begin; /* so has the last BEGIN */
	char begin[COMMIT_NAME];
} CommitWatch;

extern bool commit_wants(Materialize *mz, const WireMessage *message);
extern void commit_passes(Materialize *mz, const WireMessage *message, bool settled);
extern void commit_parsed(Materialize *mz, const char *name, const char *text);
extern void commit_taken(Materialize *mz);
extern bool commit_at_once(Materialize *mz, const char *text, size_t length);
extern void commit_take_sync(Materialize *mz);
extern void commit_ready(Materialize *mz, char status);

/* ---- sources: source.c ---- */

typedef struct SourceMaking SourceMaking;

extern void source_create(Materialize *mz, const MzSource *source, const SqlStatement *text);
extern void source_drop(Materialize *mz, const MzDropSource *drop);
extern void source_cancel(Materialize *mz);

/* ---- the session's state ---- */

typedef struct MzError
{
	char severity[16];
	char sqlstate[6];
	char *message;
	char *detail;
	char *hint;
	char position[24]; /* empty: none */
} MzError;

struct Materialize
{
	Session *session;
	Arena memory;    /* until the task ends */
	uint32_t serial; /* for names */
	bool call_prepared[CALL_COUNT];

	TaskKind task;
	bool cancelled;  /* the client has asked for it */
	bool leaving;    /* by closing the portal it waits for */
	bool cancelling; /* PostgreSQL was asked and has not acted yet */
	MzError error;
	char status; /* of the last ReadyForQuery seen in control */

	/* TASK_QUERY */
	char *text;
	SqlLexer lexer;
	bool several;  /* more than one statement */
	bool implicit; /* a block of our own around them */
	bool failed;
	bool at_once; /* the statement is DDL first in its block: commit it */

	/* TASK_EXECUTE */
	void (*begin)(Materialize *mz);
	const char *portal;
	uint32_t row_limit;

	Flight flight;
	Run run;
	ShareMember share;
	MzColumns columns; /* collected by Flight.column_names, as are these */
	uint32_t parameter_count;
	uint32_t *parameters;
	MzStatement statement;
	void (*then)(Materialize *mz);
	void (*resume)(Materialize *mz); /* what was waited for is there: by the timer */
	bool has_extension;              /* as far as is known */
	void (*ensured)(Materialize *mz);
	struct Link *link; /* SUBSCRIBE waits for the extension */
	char *problem;
	struct LoadgenRequest *ensuring; /* CREATE SOURCE waits for the catalog */
	SourceMaking *making;

	Garbage *garbage;
	Prepared *prepared;
	Prepared *parsing; /* its Parse is not answered yet */
	Portal *portals;
	Cursor *cursors;
	CommitWatch commit;
	Stream *dropping;
};

#endif /* FRESHET_MATERIALIZE_H */
