/*-------------------------------------------------------------------------
 *
 * test_connection.c
 *	  Unit tests of the server's own connections: COPY that does not fit into
 *	  the socket, errors, notifications and the loss of the connection, against
 *	  a PostgreSQL played by the test.
 *
 * PQflush is replaced by one that lets the other side read all as soon as
 * something did not fit, so that what is asked again is told the contrary.
 *
 *-------------------------------------------------------------------------
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "net/buffer.h"
#include "pgwire/message.h"
#include "source/connection.h"

#define COPIES 3
#define PIECE (300 * 1000)
#define PIECES 8
#define PATIENCE_MS 10000

/* How PostgreSQL behaves. */
typedef enum Manner
{
	MANNER_GOOD,
	MANNER_ERROR, /* the first COPY fails after some of its data */
	MANNER_GONE,  /* it goes away and leaves data unread */
	MANNER_NOTIFY /* a notification comes between the result and ReadyForQuery */
} Manner;

static uv_loop_t loop;
static uv_timer_t patience;
static uv_poll_t listening;
static uv_poll_t talking;
static char directory[] = "/tmp/freshet-test-XXXXXX";
static Manner manner;
static int peer;
static bool peer_greeted;
static bool peer_failed;
static int peer_copies;
static size_t peer_bytes;
static int blocked;
static Buffer received;
static Connection *connection;
static int pieces;
static bool over;
static bool lost;
static int notified;
static char over_sqlstate[6];

/* The other side sends bytes. */
static void
peer_send(Buffer *bytes)
{
	CHECK(write(peer, buffer_data(bytes), bytes->length) == (ssize_t) bytes->length);
	buffer_free(bytes);
}

/* A message of the other side. */
static void
peer_add(Buffer *bytes, char type, const char *body, size_t length)
{
	size_t begun = wire_begin(bytes, type);

	wire_add_bytes(bytes, body, length);
	wire_end(bytes, begun);
}

/* Ask for the next COPY, or say that all is done. */
static void
peer_next(bool copied)
{
	Buffer bytes = {0};

	if (copied)
		peer_add(&bytes, 'C', "COPY 1", 7);
	if (manner == MANNER_NOTIFY)
	{
		peer_add(&bytes, 'C', "SELECT 0", 9);
		peer_add(&bytes, 'A', "\0\0\0\1channel\0", 13);
		peer_add(&bytes, 'Z', "I", 1);
	}
	else if (peer_copies < COPIES)
		peer_add(&bytes, 'G', "\0\0\0", 3);
	else
		peer_add(&bytes, 'Z', "I", 1);
	peer_send(&bytes);
}

/* Act on what has come. */
static void
peer_act(void)
{
	while (received.length >= WIRE_HEADER)
	{
		const unsigned char *bytes = (const unsigned char *) buffer_data(&received);
		char type = (char) bytes[0];
		size_t at = peer_greeted ? 1 : 0;
		size_t length = (size_t) bytes[at] << 24 | (size_t) bytes[at + 1] << 16 |
		                (size_t) bytes[at + 2] << 8 | (size_t) bytes[at + 3];
		Buffer answer = {0};

		if (received.length < at + length)
			return;
		buffer_consume(&received, at + length);
		if (!peer_greeted)
		{
			peer_greeted = true;
			peer_add(&answer, 'R', "\0\0\0\0", 4);
			peer_add(&answer, 'Z', "I", 1);
			peer_send(&answer);
		}
		else if (type == 'Q')
			peer_next(false);
		else if (type == 'd' && !peer_failed)
		{
			peer_bytes += length - 4;
			if (manner == MANNER_ERROR)
			{
				peer_failed = true;
				peer_add(&answer, 'E', "SERROR\0C22P04\0Mbad\0", 20);
				peer_add(&answer, 'Z', "I", 1);
				peer_send(&answer);
			}
		}
		else if (type == 'c' && !peer_failed)
		{
			peer_copies++;
			peer_next(true);
		}
	}
}

/* The other side reads all there is, or goes away in the middle of it. */
static void
peer_read(void)
{
	char bytes[65536];
	ssize_t count;

	if (manner == MANNER_GONE && peer_greeted && blocked > 0 && peer >= 0)
	{
		uv_poll_stop(&talking);
		close(peer);
		peer = -1;
	}
	while (peer >= 0 && (count = read(peer, bytes, sizeof(bytes))) > 0)
	{
		buffer_append(&received, bytes, (size_t) count);
		peer_act();
	}
}

/* libpq's PQflush, with the other side reading between two calls. */
int
PQflush(PGconn *pq)
{
	static int (*flush)(PGconn *);
	int flushed;

	if (flush == NULL)
		*(void **) &flush = dlsym(RTLD_NEXT, "PQflush");
	flushed = flush(pq);
	if (flushed > 0)
	{
		blocked++;
		peer_read();
	}
	return flushed;
}

/* The other side can read. */
static void
peer_ready(uv_poll_t *poll, int status, int events)
{
	(void) poll;
	(void) status;
	(void) events;
	if (manner != MANNER_GONE || blocked == 0)
		peer_read();
}

/* Somebody connects. */
static void
peer_accept(uv_poll_t *poll, int status, int events)
{
	int listener;

	(void) status;
	(void) events;
	uv_fileno((uv_handle_t *) poll, &listener);
	peer = accept(listener, NULL, NULL);
	fcntl(peer, F_SETFL, O_NONBLOCK);
	uv_poll_init(&loop, &talking, peer);
	uv_poll_start(&talking, UV_READABLE, peer_ready);
}

/* Some pieces for each COPY. */
static bool
fill(void *owner, int copy, Buffer *data)
{
	(void) owner;
	CHECK(copy < COPIES);
	memset(buffer_reserve(data, PIECE), 'x', PIECE);
	data->length += PIECE;
	return ++pieces % PIECES != 0;
}

/* All is over: the loop has nothing to wait for any more. */
static void
end(void)
{
	connection_close(connection);
	connection = NULL;
	uv_close((uv_handle_t *) &patience, NULL);
	uv_close((uv_handle_t *) &listening, NULL);
	uv_close((uv_handle_t *) &talking, NULL);
}

/* The script has ended. */
static void
done(void *owner, const char *sqlstate, const char *message)
{
	(void) owner;
	(void) message;
	over = true;
	snprintf(over_sqlstate, sizeof(over_sqlstate), "%s", sqlstate != NULL ? sqlstate : "");
	if (manner != MANNER_NOTIFY)
		end();
}

/* The connection is there: send the COPY. */
static void
opened(void *owner)
{
	(void) owner;
	connection_run(connection, &(Script){.sql = "COPY", .fill = fill, .done = done});
}

/* It is gone, which ends the run. */
static void
connection_lost(void *owner, const char *message)
{
	(void) owner;
	(void) message;
	lost = true;
	end();
}

/* A notification came, which ends the run. */
static void
connection_notified(void *owner)
{
	(void) owner;
	notified++;
	end();
}

/* It takes too long. */
static void
out_of_patience(uv_timer_t *timer)
{
	(void) timer;
	end();
}

static const ConnectionEvents events = {opened, connection_lost, connection_notified};

/* Run one script against a PostgreSQL of such manners. */
static void
run(Manner chosen)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	char *conninfo = malloc(256);

	manner = chosen;
	peer_greeted = peer_failed = over = lost = false;
	peer_copies = blocked = pieces = notified = 0;
	peer_bytes = 0;
	buffer_clear(&received);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.1", directory);
	unlink(address.sun_path);
	CHECK(bind(listener, (struct sockaddr *) &address, sizeof(address)) == 0);
	CHECK(listen(listener, 1) == 0);
	uv_timer_init(&loop, &patience);
	uv_timer_start(&patience, out_of_patience, PATIENCE_MS, 0);
	uv_poll_init(&loop, &listening, listener);
	uv_poll_start(&listening, UV_READABLE, peer_accept);
	snprintf(conninfo, 256, "host=%s port=1 user=u dbname=d gssencmode=disable", directory);
	connection = connection_open(&loop, conninfo, &events, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	CHECK(connection_count() == 0);
	if (peer >= 0)
		close(peer);
	close(listener);
	unlink(address.sun_path);
}

/* All of them. */
int
main(void)
{
	if (mkdtemp(directory) == NULL)
		abort();
	uv_loop_init(&loop);

	/* what did not fit left before it was asked for again */
	run(MANNER_GOOD);
	CHECK(over && over_sqlstate[0] == '\0');
	CHECK(blocked > 0);
	CHECK(peer_copies == COPIES);
	CHECK(peer_bytes == (size_t) COPIES * PIECES * PIECE);

	run(MANNER_ERROR);
	CHECK(over && strcmp(over_sqlstate, "22P04") == 0);

	run(MANNER_GONE);
	CHECK(blocked > 0);
	CHECK(lost && !over);

	run(MANNER_NOTIFY);
	CHECK(over && over_sqlstate[0] == '\0');
	CHECK(notified == 1);

	uv_loop_close(&loop);
	buffer_free(&received);
	rmdir(directory);
	return check_status("test_connection");
}
