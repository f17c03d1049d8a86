/*-------------------------------------------------------------------------
 *
 * cancel.c
 *	  A CancelRequest on its way to PostgreSQL.
 *
 *-------------------------------------------------------------------------
 */
#include "session/cancel.h"

#include <stdlib.h>

#include "net/stream.h"
#include "pgwire/message.h"

/* PostgreSQL has so many milliseconds to act; whoever waits is told then. */
#define CANCEL_MS 10000

struct CancelRequest
{
	Stream *stream;
	uv_timer_t timer; /* reports a connection that failed at once, or that takes too long */
	uint32_t pid;
	uint32_t key;
	void (*done)(void *owner);
	void *owner;
};

/* The timer is closed: nothing refers to the request any more. */
static void
free_request(uv_handle_t *handle)
{
	free(handle->data);
}

/* PostgreSQL has acted, or cannot be reached. */
static void
finish(CancelRequest *request)
{
	if (request->stream != NULL)
		stream_close(request->stream);
	request->stream = NULL;
	uv_close((uv_handle_t *) &request->timer, free_request);
	if (request->done != NULL)
		request->done(request->owner);
}

/* Connected: send the packet and wait for the end. */
static void
connected(void *owner, int status)
{
	CancelRequest *request = owner;
	Buffer packet = {0};

	if (status != 0)
	{
		finish(request);
		return;
	}
	wire_add_int32(&packet, 16);
	wire_add_int32(&packet, CANCEL_REQUEST_CODE);
	wire_add_int32(&packet, request->pid);
	wire_add_int32(&packet, request->key);
	stream_write(request->stream, buffer_data(&packet), packet.length);
	buffer_free(&packet);
	stream_resume(request->stream);
}

/* PostgreSQL answers a cancel with nothing but the end. */
static void
ignore_bytes(void *owner, const char *bytes, size_t count)
{
	(void) owner;
	(void) bytes;
	(void) count;
}

/* The end. */
static void
ended(void *owner, int status)
{
	(void) status;
	finish(owner);
}

/* Never called: no limits are set. */
static void
drained(void *owner)
{
	(void) owner;
}

/* The connection failed before it began, or takes too long. */
static void
timer_ran_out(uv_timer_t *timer)
{
	finish(timer->data);
}

static const StreamEvents cancel_events = {ignore_bytes, ended, drained, connected};

/* Ask PostgreSQL to cancel what the backend `pid` is doing. */
CancelRequest *
cancel_send(uv_loop_t *loop, const Address *backend, uint32_t pid, uint32_t key,
            void (*done)(void *owner), void *owner)
{
	CancelRequest *request = calloc(1, sizeof *request);

	if (request == NULL)
		abort();
	request->pid = pid;
	request->key = key;
	request->done = done;
	request->owner = owner;
	uv_timer_init(loop, &request->timer);
	request->timer.data = request;
	request->stream = stream_connect(loop, backend, &cancel_events, request);
	uv_timer_start(&request->timer, timer_ran_out, request->stream != NULL ? CANCEL_MS : 0, 0);
	return request;
}

/* Nobody wants to hear of it any more. */
void
cancel_forget(CancelRequest *request)
{
	request->done = NULL;
}
