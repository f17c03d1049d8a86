/*-------------------------------------------------------------------------
 *
 * lease.c
 *	  Backends of PostgreSQL, lent. See lease.h.
 *
 * Each thread has a pool: its leases, lent and free, and the requests that wait, in
 * their order. A request waits for a free lease of its key, or for the one opened for it. The pool's
 * timer looks after both: at once when something may have changed, every WAIT_TURN_MS
 * while somebody waits (a place may be given back on another thread), every IDLE_TURN_MS while there is a free lease.
 *
 * What makes a lease as new goes out together with what is sent for its next owner, so that its backend
 * wakes once for both; if none comes within WAIT_TURN_MS it goes out alone.
 *
 *-------------------------------------------------------------------------
 */
#include "backend/lease.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "backend/places.h"
#include "main/service.h"
#include "net/buffer.h"
#include "net/loop.h"
#include "session/unproven.h"

#define WAIT_TURN_MS 20
#define IDLE_TURN_MS 1000

/* How long PostgreSQL may take to let somebody in. */
#define OPEN_MS 10000

#define KEY_SIZE 32

typedef struct Pool
{
	Guest guest;
	SessionLoop *loop;
	uv_timer_t timer;
	Lease *leases;
	LeaseRequest *requests;
	int openings;
	bool ended;
	bool closed;
} Pool;

struct LeaseRequest
{
	LeaseRequest *next;
	unsigned char key[KEY_SIZE];
	char *password; /* NULL: trusted */
	char *database;
	char *options;
	struct Opening *opening; /* a backend is being opened for it, which an earlier one may take */
	bool counted;            /* among those without a place */
	char *role;
	uint64_t network;
	uint64_t holder;
	bool trusted;
	uint64_t deadline;
	const LeaseEvents *events;
	void *owner;
};

struct Lease
{
	Lease *next;
	Pool *pool;
	unsigned char key[KEY_SIZE];
	char *role; /* whose place it has, and the network's */
	uint64_t network;
	PGconn *pq;
	uv_poll_t poll;
	uv_timer_t soon; /* results that are there already, or a loss found inside a call */
	int watched;     /* events of the socket */
	int handles;
	uint64_t born;
	uint64_t freed;
	bool free;
	bool dirty;      /* not as new yet */
	bool kept;       /* its last holder has it again */
	uint64_t holder; /* its last one, or the one who has it */
	bool held;
	bool copying; /* a COPY runs, outside of a pipeline ... */
	bool asked;   /* ... and takes data */
	bool dead;
	bool blocked;  /* something waits to be sent */
	int syncs;     /* sent and not answered ... */
	int cleaning;  /* ... of which so many are the first, and ours */
	bool unusable; /* cleaning has failed */
	const LeaseEvents *events;
	void *owner;
};

/* A backend on its way in, on a thread of libuv's. */
typedef struct Opening
{
	uv_work_t work;
	Pool *pool;
	LeaseRequest *request; /* NULL once it is over */
	unsigned char key[KEY_SIZE];
	char *conninfo;
	char *role;
	uint64_t network;
	bool trusted;
	PGconn *pq;
} Opening;

/* One on its way out: cancelled on such a thread. */
typedef struct Closing
{
	uv_work_t work;
	PGconn *pq;
	char *role;
	uint64_t network;
} Closing;

static unsigned char secret[KEY_SIZE];
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;
static atomic_int waiting_everywhere; /* requests without a place */
static _Thread_local Pool *pool_here;

static void pool_turn(uv_timer_t *timer);
static void take_results(Lease *lease);

int
lease_count(void)
{
	return places_taken();
}

/* The secret of this process. */
static void
make_secret(void)
{
	if (RAND_bytes(secret, sizeof secret) != 1)
		abort();
}

/* The key of a wish. */
static void
make_key(const LeaseWish *wish, unsigned char key[KEY_SIZE])
{
	const char *parts[] = {wish->role, wish->database, wish->options,
	                       wish->trusted || wish->password == NULL ? "" : wish->password};
	Buffer bytes = {0};
	unsigned int length = KEY_SIZE;
	size_t i;

	pthread_once(&secret_once, make_secret);
	for (i = 0; i < sizeof parts / sizeof parts[0]; i++)
		buffer_append(&bytes, parts[i], strlen(parts[i]) + 1);
	buffer_append(&bytes, wish->trusted ? "t" : "p", 1);
	if (HMAC(EVP_sha256(), secret, sizeof secret, (unsigned char *) buffer_data(&bytes),
	         bytes.length, key, &length) == NULL)
		abort();
	OPENSSL_cleanse(buffer_data(&bytes), bytes.length);
	buffer_free(&bytes);
}

/* Have the pool looked after within so many milliseconds. */
static void
turn_in(Pool *pool, uint64_t milliseconds)
{
	if (!pool->ended && (!uv_is_active((uv_handle_t *) &pool->timer) ||
	                     uv_timer_get_due_in(&pool->timer) > milliseconds))
		uv_timer_start(&pool->timer, pool_turn, milliseconds, 0);
}

/* One of a lease's handles is closed. */
static void
handle_closed(uv_handle_t *handle)
{
	Lease *lease = handle->data;

	if (--lease->handles == 0)
		free(lease);
}

/* On a thread: have PostgreSQL stop what it does, and leave it. */
static void
close_work(uv_work_t *work)
{
	Closing *closing = work->data;
	PGcancel *cancel = PQgetCancel(closing->pq);
	char problem[256];

	if (cancel != NULL)
	{
		(void) PQcancel(cancel, problem, sizeof problem);
		PQfreeCancel(cancel);
	}
	PQfinish(closing->pq);
}

/* It is gone: its place is free. */
static void
close_done(uv_work_t *work, int status)
{
	Closing *closing = work->data;

	(void) status;
	places_leave(closing->role, closing->network);
	free(closing->role);
	free(closing);
	if (pool_here != NULL)
		turn_in(pool_here, 0);
}

/* The end of a lease. Its backend, if it is at work, is told to stop. */
static void
end_lease(Lease *lease)
{
	Lease **link = &lease->pool->leases;
	bool busy = lease->syncs > 0 && PQstatus(lease->pq) == CONNECTION_OK;

	if (lease->dead)
		return;
	lease->dead = true;
	while (*link != lease)
		link = &(*link)->next;
	*link = lease->next;
	uv_poll_stop(&lease->poll);
	uv_close((uv_handle_t *) &lease->poll, handle_closed);
	uv_close((uv_handle_t *) &lease->soon, handle_closed);
	if (busy)
	{
		Closing *closing = calloc(1, sizeof *closing);

		if (closing == NULL)
			abort();
		closing->work.data = closing;
		closing->pq = lease->pq;
		closing->role = lease->role;
		closing->network = lease->network;
		uv_queue_work(lease->poll.loop, &closing->work, close_work, close_done);
	}
	else
	{
		PQfinish(lease->pq);
		places_leave(lease->role, lease->network);
		free(lease->role);
		turn_in(lease->pool, 0);
	}
	lease->pq = NULL;
}

/* The backend is gone; on the loop. */
static void
lose(Lease *lease)
{
	const LeaseEvents *events = lease->free ? NULL : lease->events;
	void *owner = lease->owner;
	char message[512];

	if (lease->dead)
		return;
	snprintf(message, sizeof message, "%.*s", (int) strcspn(PQerrorMessage(lease->pq), "\n"),
	         PQerrorMessage(lease->pq));
	end_lease(lease);
	if (events != NULL)
		events->lost(owner, message[0] != '\0' ? message : "the connection to PostgreSQL is lost");
}

/* The socket can be read or written. */
static void
socket_ready(uv_poll_t *poll, int status, int events)
{
	Lease *lease = poll->data;
	bool unasked = lease->free && lease->syncs == 0;

	/* a backend that says something by itself says goodbye */
	if (((events & UV_READABLE) && unasked) ||
	    ((status < 0 || (events & UV_READABLE)) && !PQconsumeInput(lease->pq)))
	{
		lose(lease);
		return;
	}
	if (lease->blocked && lease_flush(lease) && !lease->free)
		lease->events->flushed(lease->owner);
	if (!lease->dead)
		take_results(lease);
}

/* Watch what is of interest. */
static void
watch(Lease *lease)
{
	int events = (lease->held ? 0 : UV_READABLE) | (lease->blocked ? UV_WRITABLE : 0);

	if (events == lease->watched)
		return;
	lease->watched = events;
	if (events == 0)
		uv_poll_stop(&lease->poll);
	else
		uv_poll_start(&lease->poll, events, socket_ready);
}

/* What was put off to the loop. */
static void
do_soon(uv_timer_t *timer)
{
	Lease *lease = timer->data;

	if (PQstatus(lease->pq) == CONNECTION_BAD || lease->unusable)
		lose(lease);
	else
		take_results(lease);
}

/* See lease.h. */
bool
lease_flush(Lease *lease)
{
	int flushed = PQflush(lease->pq);

	/* rows come one by one, of whatever is asked next */
	PQsetSingleRowMode(lease->pq);
	if (flushed < 0)
		uv_timer_start(&lease->soon, do_soon, 0, 0);
	lease->blocked = flushed > 0;
	watch(lease);
	return !lease->blocked;
}

/* The COPY is over: in pipelines again, as if a sync had been answered. */
static void
end_copy(Lease *lease)
{
	PGresult *sync = PQmakeEmptyPGresult(lease->pq, PGRES_PIPELINE_SYNC);

	lease->copying = false;
	lease->syncs--;
	if (PQenterPipelineMode(lease->pq) != 1)
		lease->unusable = true;
	lease->events->result(lease->owner, sync);
	PQclear(sync);
}

/* Hand out the results of a COPY; while it takes data there are none but the one that says so. */
static void
take_copy_results(Lease *lease)
{
	while (!lease->dead && lease->copying && !lease->asked && !PQisBusy(lease->pq))
	{
		PGresult *result = PQgetResult(lease->pq);

		if (result == NULL)
		{
			end_copy(lease);
			return;
		}
		lease->asked = PQresultStatus(result) == PGRES_COPY_IN;
		lease->events->result(lease->owner, result);
		PQclear(result);
	}
}

/* See lease.h. */
void
lease_copy(Lease *lease, const char *sql)
{
	lease->copying = true;
	lease->asked = false;
	lease->syncs++;
	if (PQexitPipelineMode(lease->pq) != 1 || PQsendQuery(lease->pq, sql) != 1)
		lease->unusable = true;
	lease_flush(lease);
	uv_timer_start(&lease->soon, do_soon, 0, 0);
}

/* See lease.h. */
bool
lease_copy_end(Lease *lease, const char *problem)
{
	lease->asked = false;
	PQputCopyEnd(lease->pq, problem);
	return lease_flush(lease);
}

/* Hand out the results that are there. */
static void
take_results(Lease *lease)
{
	if (lease->copying)
		take_copy_results(lease);
	while (!lease->dead && !lease->held && !lease->copying && lease->syncs > 0 &&
	       !PQisBusy(lease->pq))
	{
		PGresult *result = PQgetResult(lease->pq);
		bool cleaning = lease->cleaning > 0;
		ExecStatusType status;

		if (result == NULL)
		{
			if (PQstatus(lease->pq) == CONNECTION_BAD)
				lose(lease);
			else
				PQsetSingleRowMode(lease->pq);
			continue;
		}
		status = PQresultStatus(result);
		if (status == PGRES_PIPELINE_SYNC)
		{
			/* what comes behind a sync has begun with it */
			PQsetSingleRowMode(lease->pq);
			lease->syncs--;
			lease->cleaning -= cleaning;
		}
		if (!cleaning)
			lease->events->result(lease->owner, result);
		else if (status != PGRES_PIPELINE_SYNC && status != PGRES_COMMAND_OK)
			lease->unusable = true;
		PQclear(result);
	}
	if (lease->dead)
		return;
	if (PQstatus(lease->pq) == CONNECTION_BAD || lease->unusable)
		lose(lease);
}

/* A statement of ours that makes the backend as new. */
static void
send_cleaning(Lease *lease, const char *sql)
{
	if (PQsendQueryParams(lease->pq, sql, 0, NULL, NULL, NULL, NULL, 0) != 1)
		lease->unusable = true;
	lease_sync(lease);
	lease->cleaning++;
}

/* Make a lease as new: before anything else that is sent to it. */
static void
clean(Lease *lease)
{
	if (!lease->dirty)
		return;
	lease->dirty = false;
	if (PQtransactionStatus(lease->pq) != PQTRANS_IDLE)
		send_cleaning(lease, "ROLLBACK");
	send_cleaning(lease, "DISCARD ALL");
}

/* Has a free lease's backend said nothing by itself that the loop has not heard of yet? */
static bool
is_silent(const Lease *lease)
{
	char byte;

	return lease->syncs > 0 || (recv(PQsocket(lease->pq), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	                            (errno == EAGAIN || errno == EWOULDBLOCK));
}

/* May the request have this lease? */
static bool
fits(const Lease *lease, const LeaseRequest *request, uint64_t now)
{
	return lease->free && !lease->unusable && now - lease->born <= LEASE_AGE_MS &&
	       CRYPTO_memcmp(lease->key, request->key, KEY_SIZE) == 0 && is_silent(lease);
}

/* A free lease for the request, the one its holder had if that is there; or NULL. */
static Lease *
find_free(Pool *pool, const LeaseRequest *request)
{
	uint64_t now = uv_now(pool->timer.loop);
	Lease *found = NULL;
	Lease *lease;

	for (lease = pool->leases; lease != NULL; lease = lease->next)
	{
		bool held = request->holder != 0 && lease->holder == request->holder;

		if ((held || found == NULL) && fits(lease, request, now))
			found = lease;
		if (held && found == lease)
			break;
	}
	return found;
}

/* Such a lease, lent to it. */
static Lease *
lend(Pool *pool, const LeaseRequest *request)
{
	Lease *lease = find_free(pool, request);

	if (lease == NULL)
		return NULL;
	lease->free = false;
	lease->events = request->events;
	lease->owner = request->owner;
	/* a transaction that was left open is nobody's */
	lease->kept = lease->dirty && request->holder != 0 && request->holder == lease->holder &&
	              PQtransactionStatus(lease->pq) == PQTRANS_IDLE;
	lease->holder = request->holder;
	if (lease->kept)
		lease->dirty = false;
	else
		clean(lease);
	return lease;
}

/* Does it wait for a place? */
static void
set_counted(LeaseRequest *request, bool counted)
{
	waiting_everywhere += counted - request->counted;
	request->counted = counted;
}

/* Forget a request. */
static void
free_request(LeaseRequest *request)
{
	set_counted(request, false);
	if (request->opening != NULL)
		request->opening->request = NULL;
	free_secret(request->password);
	free(request->database);
	free(request->options);
	free(request->role);
	free(request);
}

/* Take a request out of its pool. */
static void
unlink_request(Pool *pool, LeaseRequest *request)
{
	LeaseRequest **link = &pool->requests;

	while (*link != request)
		link = &(*link)->next;
	*link = request->next;
}

/* It is refused. */
static void
refuse(Pool *pool, LeaseRequest *request, const char *sqlstate, const char *message)
{
	const LeaseEvents *events = request->events;
	void *owner = request->owner;

	unlink_request(pool, request);
	free_request(request);
	events->refused(owner, sqlstate, message);
}

/* On a thread: connect, with a time limit, such that an error says its SQLSTATE. */
static void
open_work(uv_work_t *work)
{
	Opening *opening = work->data;
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;
	uint64_t deadline = uv_hrtime() / 1000000 + OPEN_MS;

	opening->pq = PQconnectStart(opening->conninfo);
	if (opening->pq == NULL)
		abort();
	PQsetErrorVerbosity(opening->pq, PQERRORS_VERBOSE);
	if (PQstatus(opening->pq) == CONNECTION_BAD)
		return;
	while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING)
	{
		struct pollfd ready = {PQsocket(opening->pq),
		                       status == PGRES_POLLING_READING ? POLLIN : POLLOUT, 0};
		uint64_t now = uv_hrtime() / 1000000;

		if (now >= deadline || poll(&ready, 1, (int) (deadline - now)) < 0)
			return;
		status = PQconnectPoll(opening->pq);
	}
}

/* The SQLSTATE in what PostgreSQL said when it let nobody in, and the message behind it. */
static const char *
read_refusal(const char *message, char sqlstate[6])
{
	const char *at = strstr(message, "FATAL:  ");

	if (at != NULL && strlen(at) > 15 && at[13] == ':')
	{
		snprintf(sqlstate, 6, "%.5s", at + 8);
		return at + 15;
	}
	snprintf(sqlstate, 6, "57P03");
	return message;
}

/* A backend was opened: it is free, for whoever wants it. */
static void
enter_lease(Opening *opening)
{
	Lease *lease = calloc(1, sizeof *lease);
	Pool *pool = opening->pool;
	uv_loop_t *uv = pool->timer.loop;

	if (lease == NULL)
		abort();
	/* libpq would keep it as long as the connection */
	OPENSSL_cleanse(PQpass(opening->pq), strlen(PQpass(opening->pq)));
	PQsetErrorVerbosity(opening->pq, PQERRORS_DEFAULT);
	PQsetnonblocking(opening->pq, 1);
	PQenterPipelineMode(opening->pq);
	lease->pool = pool;
	memcpy(lease->key, opening->key, KEY_SIZE);
	lease->role = opening->role;
	lease->network = opening->network;
	lease->pq = opening->pq;
	/* its request takes it, or the first one of that key */
	if (opening->request != NULL)
		opening->request->opening = NULL;
	lease->free = true;
	lease->born = lease->freed = uv_now(uv);
	lease->handles = 2;
	uv_timer_init(uv, &lease->soon);
	lease->soon.data = lease;
	uv_poll_init(uv, &lease->poll, PQsocket(lease->pq));
	lease->poll.data = lease;
	lease->next = pool->leases;
	pool->leases = lease;
	watch(lease);
}

/* It was not. */
static void
fail_opening(Opening *opening, bool unasked)
{
	char sqlstate[6] = "28P01";
	char message[512] = "its password cannot be checked: PostgreSQL lets it in without one";

	if (!unasked && PQconnectionNeedsPassword(opening->pq))
		snprintf(message, sizeof message, "no password was supplied");
	else if (!unasked)
	{
		const char *said = read_refusal(PQerrorMessage(opening->pq), sqlstate);

		snprintf(message, sizeof message, "%.*s", (int) strcspn(said, "\n"),
		         said[0] != '\0' ? said : "PostgreSQL does not answer");
	}
	PQfinish(opening->pq);
	places_leave(opening->role, opening->network);
	free(opening->role);
	if (opening->request == NULL)
		return;
	opening->request->opening = NULL;
	refuse(opening->pool, opening->request, sqlstate, message);
}

/* The pool goes when its thread ends and nothing looks at it any more. */
static void
free_pool(Pool *pool)
{
	if (!pool->closed || pool->openings > 0)
		return;
	pool_here = NULL;
	free(pool);
}

/* Back on the loop. */
static void
open_done(uv_work_t *work, int status)
{
	Opening *opening = work->data;
	Pool *pool = opening->pool;
	bool in = PQstatus(opening->pq) == CONNECTION_OK;
	bool unasked = in && !opening->trusted && !PQconnectionUsedPassword(opening->pq);

	(void) status;
	if (!opening->trusted)
		unproven_leave(opening->network);
	if (in && !unasked && !pool->ended)
		enter_lease(opening);
	else
		fail_opening(opening, unasked);
	turn_in(pool, 0);
	free_secret(opening->conninfo);
	free(opening);
	pool->openings--;
	free_pool(pool);
}

/* Open a backend for a request, if there is a place for it. */
static void
open_for(Pool *pool, LeaseRequest *request)
{
	int max_connections = session_loop_server(pool->loop)->max_connections;
	Opening *opening;

	set_counted(request, !places_enter(request->role, request->network, max_connections));
	if (request->counted)
		return;
	if (!request->trusted && !unproven_enter(request->network, max_connections))
	{
		places_leave(request->role, request->network);
		return;
	}
	opening = calloc(1, sizeof *opening);
	if (opening == NULL)
		abort();
	opening->work.data = opening;
	opening->pool = pool;
	opening->request = request;
	memcpy(opening->key, request->key, KEY_SIZE);
	opening->conninfo = service_client_conninfo(request->role, request->password, request->database,
	                                            request->options);
	opening->role = copy_string(request->role);
	opening->network = request->network;
	opening->trusted = request->trusted;
	request->opening = opening;
	pool->openings++;
	uv_queue_work(pool->timer.loop, &opening->work, open_work, open_done);
}

/* Free leases that were so for too long go, and one more where somebody waits for a place. */
static void
thin_out(Pool *pool)
{
	uint64_t now = uv_now(pool->timer.loop);
	Lease *lease = pool->leases;
	bool one_more = waiting_everywhere > 0;

	while (lease != NULL)
	{
		Lease *next = lease->next;

		if (lease->free && lease->syncs == 0 &&
		    (one_more || now - lease->freed > LEASE_IDLE_MS || now - lease->born > LEASE_AGE_MS))
		{
			end_lease(lease);
			one_more = false;
		}
		lease = next;
	}
}

/* One request: granted, refused, or on its way; false: it is gone. */
static bool
serve_request(Pool *pool, LeaseRequest *request)
{
	Lease *lease = lend(pool, request);

	if (lease != NULL)
	{
		unlink_request(pool, request);
		free_request(request);
		lease->events->granted(lease->owner, lease);
		return false;
	}
	if (request->opening != NULL)
		return true;
	if (uv_now(pool->timer.loop) > request->deadline)
	{
		refuse(pool, request, "53300", "too many requests are under way");
		return false;
	}
	open_for(pool, request);
	return true;
}

/* Look after who waits and what is free. */
static void
pool_turn(uv_timer_t *timer)
{
	Pool *pool = timer->data;
	LeaseRequest *request = pool->requests;
	bool waits = false;
	bool keeps = false;
	Lease *lease;

	while (request != NULL)
	{
		/* what a callback asks for or forgets changes the list: begin anew behind one */
		if (!serve_request(pool, request))
			request = pool->requests;
		else
			request = request->next;
	}
	for (request = pool->requests; request != NULL; request = request->next)
		waits |= request->opening == NULL;
	thin_out(pool);
	for (lease = pool->leases; lease != NULL; lease = lease->next)
	{
		keeps |= lease->free;
		if (!lease->free || !lease->dirty)
			continue;
		/* given back in this very turn, it may have an owner in the next */
		if (uv_now(timer->loop) - lease->freed < WAIT_TURN_MS)
			waits = true;
		else
		{
			clean(lease);
			lease_flush(lease);
		}
	}
	if (waits)
		turn_in(pool, WAIT_TURN_MS);
	else if (keeps)
		turn_in(pool, IDLE_TURN_MS);
}

/* The pool's timer is closed. */
static void
pool_closed(uv_handle_t *handle)
{
	Pool *pool = handle->data;

	pool->closed = true;
	free_pool(pool);
}

/* The server stops. */
static void
pool_end(Guest *guest)
{
	Pool *pool = (Pool *) guest;

	pool->ended = true;
	session_loop_leave(pool->loop, guest);
	while (pool->requests != NULL)
		refuse(pool, pool->requests, "57P01", "the server is shutting down");
	while (pool->leases != NULL)
		lose(pool->leases);
	uv_close((uv_handle_t *) &pool->timer, pool_closed);
}

/* The pool of this thread. */
static Pool *
find_pool(SessionLoop *loop)
{
	Pool *pool = pool_here;

	if (pool != NULL)
		return pool;
	pool = calloc(1, sizeof *pool);
	if (pool == NULL)
		abort();
	pool->loop = loop;
	pool->guest.end = pool_end;
	uv_timer_init(loop_uv(session_loop_of(loop)), &pool->timer);
	pool->timer.data = pool;
	session_loop_enter(loop, &pool->guest);
	pool_here = pool;
	return pool;
}

/* See lease.h. */
LeaseRequest *
lease_ask(SessionLoop *loop, const LeaseWish *wish, const LeaseEvents *events, void *owner)
{
	Pool *pool = find_pool(loop);
	LeaseRequest *request = calloc(1, sizeof *request);
	LeaseRequest **link = &pool->requests;

	if (request == NULL)
		abort();
	make_key(wish, request->key);
	if (!wish->trusted)
		request->password = copy_string(wish->password != NULL ? wish->password : "");
	request->database = copy_string(wish->database);
	request->options = copy_string(wish->options);
	request->role = copy_string(wish->role);
	request->network = wish->network;
	request->holder = wish->holder;
	request->trusted = wish->trusted;
	request->deadline = uv_now(pool->timer.loop) + LEASE_WAIT_MS;
	request->events = events;
	request->owner = owner;
	while (*link != NULL)
		link = &(*link)->next;
	*link = request;
	turn_in(pool, 0);
	return request;
}

/* The owner needs no lease any more. What is being opened for it will be free. */
void
lease_forget(LeaseRequest *request)
{
	unlink_request(pool_here, request);
	free_request(request);
}

bool
lease_is_new(const Lease *lease)
{
	return !lease->kept;
}

PGconn *
lease_pq(const Lease *lease)
{
	return lease->pq;
}

/* What was sent so far is one unit. */
void
lease_sync(Lease *lease)
{
	if (PQpipelineSync(lease->pq) == 1)
		lease->syncs++;
}

/* See lease.h. */
void
lease_hold(Lease *lease, bool hold)
{
	if (lease->held == hold)
		return;
	lease->held = hold;
	watch(lease);
	/* some may be here already, which no socket tells of */
	if (!hold)
		uv_timer_start(&lease->soon, do_soon, 0, 0);
}

/* See lease.h. */
void
lease_return(Lease *lease)
{
	if (lease->syncs > 0)
	{
		end_lease(lease);
		return;
	}
	lease->free = true;
	lease->freed = uv_now(lease->soon.loop);
	lease->owner = NULL;
	lease->held = false;
	lease->dirty = true;
	watch(lease);
	turn_in(lease->pool, lease->pool->requests != NULL ? 0 : WAIT_TURN_MS);
}

/* See lease.h. */
void
lease_hand(Lease *lease, const LeaseEvents *events, void *owner)
{
	lease->events = events;
	lease->owner = owner;
}

/* See lease.h. */
void
lease_drop(Lease *lease)
{
	end_lease(lease);
}
