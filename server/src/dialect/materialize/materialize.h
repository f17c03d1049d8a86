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
 * A cursor or portal over a subscription has a *stand-in* of the same name in the
 * backend, whose text bears a mark of its own. Savepoints, CLOSE, DEALLOCATE, DISCARD
 * and errors do to it what they do to any other; whether it is still there is asked of
 * the backend before anything is read, never remembered.
 *
 * Invariants:
 *	- Each answer of a flight belongs to one message in its ledger, which says whose it is.
 *	- What the dialect itself has prepared is known to be there only while it has control
 *	  and no statement of the client's has run.
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

/* Whose the answers to a message are. */
typedef enum AnswerTo
{
	ANSWER_SILENT,  /* nobody's */
	ANSWER_VALUES,  /* its one row is kept in values */
	ANSWER_COLUMNS, /* columns and types of parameters are kept in described */
	ANSWER_ROWS,    /* its rows, or their description, are the client's */
	ANSWER_COPY,    /* so is the data of its COPY */
	ANSWER_CLIENT   /* all are, as it sent the message itself */
} AnswerTo;

typedef enum FlightEnd
{
	FLIGHT_SYNC,   /* Sync; done when its ReadyForQuery came */
	FLIGHT_FLUSH,  /* Flush, in the client's own flight: an error is the client's */
	FLIGHT_SUSPEND /* Flush; done when its last Execute is suspended, or else like
					* FLIGHT_SYNC */
} FlightEnd;

#define FLIGHT_VALUES 4

/* Columns and parameters of a statement, as PostgreSQL describes them. */
typedef struct Described
{
	Arena *arena;
	MzColumns columns;
	uint32_t parameter_count;
	uint32_t *parameters;
} Described;

/*
 * Where a text that is sent stands in the client's: errors are placed there. All in
 * characters; errors outside of it have no place.
 */
typedef struct FlightPlace
{
	const char *text;
	size_t from; /* in what is sent, from 0 */
	size_t length;
	size_t at; /* in the client's text, from 1; 0: nowhere */
} FlightPlace;

typedef struct Flight
{
	Buffer out;
	Buffer owed;  /* the ledger: type and AnswerTo of each message not answered yet */
	Arena memory; /* until the next flight begins */
	FlightEnd end;
	void (*done)(Materialize *mz);
	Described *described;
	FlightPlace place;
	bool waits;  /* it begins with a wait for changes, which is its first value */
	bool failed; /* mz->error says why, if the client was not told */
	bool over;   /* all is answered, but a cancel is under way */
	bool quiet;  /* its error is not kept */
	bool suspended;
	uint64_t rows;               /* that went to the client */
	char *values[FLIGHT_VALUES]; /* of one ANSWER_VALUES after the other */
	int value_count;
} Flight;

/* What is called of the extension again and again, and is prepared once. */
typedef enum FlightCall
{
	CALL_WAIT,
	CALL_POSITION,
	CALL_ADVANCE,
	CALL_READ_TO,
	CALL_STANDS,
	CALL_COUNT
} FlightCall;

/* Values of a wait; what its flight asks for besides comes behind them. */
#define WAIT_VALUES 3

extern void flight_begin(Materialize *mz);
extern void flight_parse(Materialize *mz, const char *name, const char *sql);
extern void flight_parse_typed(Materialize *mz, const char *name, const char *sql, int types,
                               const uint32_t *type, AnswerTo to);
extern void flight_bind(Materialize *mz, const char *portal, const char *statement, int formats,
                        const int16_t *format);
extern void flight_execute(Materialize *mz, const char *portal, uint32_t rows, AnswerTo to);
extern void flight_statement(Materialize *mz, const char *sql, AnswerTo to);
extern void
flight_call(Materialize *mz, FlightCall call, const char *first, const char *second, AnswerTo to);
extern void flight_wait(Materialize *mz, const char *subscription, int64_t milliseconds);
extern void flight_describe_of_client(Materialize *mz, char kind, const char *name);
extern void flight_describe(Materialize *mz, const char *statement, AnswerTo to);
extern void flight_close(Materialize *mz, char kind, const char *name);
extern void flight_bind_of_client(Materialize *mz, const void *body, size_t length, AnswerTo to);
extern void
flight_place(Materialize *mz, const char *sent, size_t bytes, const char *text, size_t at);
extern void flight_send(Materialize *mz, FlightEnd end, void (*done)(Materialize *mz));
extern void flight_query(Materialize *mz, const char *sql, size_t length, AnswerTo to,
                         void (*done)(Materialize *mz));
extern bool flight_waiting(const Materialize *mz);
extern bool flight_true(const Materialize *mz, int value);
extern void flight_forget_prepared(Materialize *mz);
extern BackendRoute flight_header(Materialize *mz, char type, uint32_t length);
extern BackendRoute flight_answer(Materialize *mz, const WireMessage *message);
extern void flight_cancel_acted(Materialize *mz);

/* ---- subscriptions: stream.c ---- */

typedef struct Stream
{
	Arena arena;
	MzSubscribe subscribe;
	char *name;   /* of the extension's subscription */
	char *portal; /* holds rows not asked for yet */
	bool made;    /* the extension has it */
	char *changes_sql;
	char *progress_sql;
	MzColumns columns;
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

/* A Bind of the client's. */
typedef struct Bind
{
	const char *body;
	size_t length;
} Bind;

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
	Bind stand_in; /* of the portal that the client executes; no body: it has none, or needs none */
	bool show_columns;
	bool waiting; /* for the client to take what was sent */
	void (*done)(Materialize *mz);
} Run;

extern Stream *stream_create(Materialize *mz, const MzSubscribe *subscribe);
extern void stream_free(Materialize *mz, Stream *stream);
extern void stream_open(Materialize *mz, Stream *stream, void (*then)(Materialize *mz));
extern void stream_run(Materialize *mz);
extern void stream_read(Materialize *mz);
extern void
stream_drop(Materialize *mz, Stream *stream, FlightEnd end, void (*then)(Materialize *mz));
extern bool stream_wait_ends(const Materialize *mz);
extern bool stream_endless(const Materialize *mz);
extern void stream_end_without_client(Materialize *mz);
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
	bool reads_once; /* by itself, what it cannot be given */
	Buffer behind;   /* what the reader has read while it catches up */
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

/* ---- messages of the client, as they were read: reading.c ---- */

typedef struct Prepared Prepared;

/* One statement of a Query; NULL: PostgreSQL's. */
typedef struct MzPiece
{
	SqlStatement text;
	MzStatement *statement;
} MzPiece;

/* Lives until the task ends; a Parse's is the statement's own. */
typedef struct MzReading
{
	Arena arena;
	const char *text; /* of a Query, copied */
	size_t count;
	MzPiece *pieces;
	bool concerned;     /* some statement is not PostgreSQL's */
	bool ddl;           /* it may have to be committed at once */
	Prepared *prepared; /* of a Parse */
} MzReading;

extern MzReading *reading_query(Materialize *mz, const char *text);
extern MzReading *reading_large(Materialize *mz, const char *head, size_t length);
extern bool reading_is_ours(Materialize *mz, Arena *arena, const char *head, size_t length);
extern bool
reading_statement_is_ours(Materialize *mz, Arena *arena, MzStatement *statement, bool declares);
extern void reading_free(void *reading);

/* ---- tasks: task.c ---- */

typedef enum TaskKind
{
	TASK_NONE,
	TASK_QUERY,  /* a Query: statements one by one, then ReadyForQuery */
	TASK_EXECUTE /* anything else: one answer */
} TaskKind;

extern void task_query(Materialize *mz, MzReading *reading, bool at_once);
extern void task_watch(Materialize *mz);
extern void task_execute(Materialize *mz, bool resume, void (*begin)(Materialize *mz));
extern void task_statement(Materialize *mz, const MzStatement *statement);
extern void task_pass(Materialize *mz);
extern void task_notice(Materialize *mz, const WireError *notice);
extern void task_notice_of(Materialize *mz, const MzStatement *statement);
extern void task_done(Materialize *mz, const char *tag);
extern void task_failed(Materialize *mz);
extern void
task_raise(Materialize *mz, const char *sqlstate, const char *message, const char *hint);
extern void task_raise_cancelled(Materialize *mz);
extern char *task_raise_sql(Materialize *mz, const char *sqlstate, const char *message);
extern void task_send(Materialize *mz, char type, const void *body, size_t length);

/* ---- the extended protocol: extended.c ---- */

typedef struct Portal Portal;

extern MzReading *extended_read(Materialize *mz, const WireMessage *message);
extern bool extended_is_leaving(Materialize *mz, const WireMessage *message);
extern DialectAnswer
extended_message(Materialize *mz, const WireMessage *message, MzReading *reading);
extern void extended_prepared_free(Prepared *prepared);
extern void extended_pass(Materialize *mz);
extern void extended_block_ended(Materialize *mz);
extern void extended_forget_stream(Materialize *mz, const Stream *stream);
extern void extended_free(Materialize *mz);
extern bool extended_active(const Materialize *mz);

/* ---- parameters as literals: parameter.c ---- */

extern int parameter_alone(const char *text);
extern bool parameter_in(const char *text, bool standard_strings);
extern char *parameter_query(Arena *arena, int count, const uint32_t *type);
extern bool parameter_cut(Arena *arena, const char *list, char **values, int count);
extern const char *parameter_replace(Arena *arena, const char *text, bool standard_strings,
                                     char *const *values, int count);

/* ---- times of AS OF and UP TO: moment.c ---- */

extern bool moment_is_now(const char *expression);
extern void moment_append(Text *sql, const char *expression);
extern const char *moment_clause(Arena *arena, const MzSubscribe *subscribe, bool standard_strings);

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
extern void cursor_prepare(Materialize *mz, const Cursor *cursor);
extern void cursor_declare(Materialize *mz, const MzStatement *statement);
extern void cursor_fetch(Materialize *mz, const MzFetch *fetch, bool show_columns, int formats,
                         const int16_t *format);
extern void cursor_close(Materialize *mz, const MzStatement *statement);
extern void cursor_forget_all(Materialize *mz);

/* ---- DDL that commits at once: commit.c ---- */

#define COMMIT_NAME 64

typedef struct CommitWatch
{
	bool begun;    /* the block holds nothing but its BEGIN */
	bool told;     /* the client knows that its DDL is committed */
	bool pending;  /* the flight's statement is DDL that is to be committed */
	bool executed; /* something since all was settled last, and no transaction was open */
	bool has_ddl;  /* the last DDL that was parsed has this name */
	char ddl[COMMIT_NAME];
	bool has_begin; /* so has the last BEGIN */
	char begin[COMMIT_NAME];
} CommitWatch;

extern void commit_passes(Materialize *mz, const WireMessage *message, bool settled);
extern void commit_parsed(Materialize *mz, const char *name, const char *text);
extern void commit_taken(Materialize *mz);
extern bool commit_may(const Materialize *mz, const char *text, size_t length);
extern bool commit_at_once(const Materialize *mz, const MzReading *reading);
extern void commit_take_sync(Materialize *mz);
extern void commit_tell(Materialize *mz);
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
	const Stream *changes_of; /* whose changes and whose progress are prepared; or NULL */
	const Stream *progress_of;

	TaskKind task;
	bool cancelled;  /* the client has asked for it */
	bool leaving;    /* by closing the portal it waits for */
	bool left;       /* it sends nothing more, and may be gone */
	bool cancelling; /* PostgreSQL was asked and has not acted yet */
	MzError error;
	char status; /* of the last ReadyForQuery seen in control */

	/* TASK_QUERY */
	MzReading *query;
	size_t piece;                /* the statement of it that is next */
	const char *statement_start; /* where the one before begins, and that in characters from 1 */
	size_t statement_at;
	bool implicit;    /* a block of our own around its statements */
	bool unnamed_due; /* a Query ends the unnamed statement and portal */
	bool failed;
	bool at_once; /* the statement is DDL first in its block: commit it */

	/* TASK_EXECUTE */
	void (*begin)(Materialize *mz);
	const char *portal; /* of the client's, and what Execute has besides */
	uint32_t row_limit;

	Flight flight;
	Run run;
	ShareMember share;
	MzStatement statement; /* the one that runs */
	void (*then)(Materialize *mz);
	void (*resume)(Materialize *mz); /* what was waited for is there: by the timer */
	bool has_extension;              /* as far as is known */
	void (*ensured)(Materialize *mz);
	struct Link *link; /* SUBSCRIBE waits for the extension */
	char *problem;
	struct LoadgenRequest *ensuring; /* CREATE SOURCE waits for the catalog */
	SourceMaking *making;

	Prepared *prepared;
	Prepared *parsing; /* its Parse is not answered yet */
	Portal *binding;   /* nor is its Bind */
	Portal *portals;
	Cursor *cursors;
	CommitWatch commit;
	Stream *dropping;
};

#endif /* FRESHET_MATERIALIZE_H */
