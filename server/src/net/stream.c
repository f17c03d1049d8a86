/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  One connection: a TCP or unix socket on the loop, in clear or in TLS.
 *
 * What waits to be sent is in `queued`; when the socket is full it moves to
 * `sending`, which belongs to libuv until its write is done, and `queued`
 * collects what comes meanwhile. So at most one write is under way.
 *
 *-------------------------------------------------------------------------
 */
#include "net/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One read of the network; large, so that bulk results take few calls. */
#define READ_SIZE (128 * 1024)

/* How long a finished stream may take to send what waits. */
#define FINISH_MS 10000

/* How long, after that, the other side may take to close its end. */
#define LINGER_MS 1000

/* Seconds of silence before the system asks whether a peer is still there. */
#define KEEPALIVE_SECONDS 60

struct Stream
{
	union
	{
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
	uv_timer_t timer;
	uv_write_t writing_request;
	uv_connect_t connecting;
	uv_shutdown_t shutting_down;

	const StreamEvents *events;
	void *owner;
	Tls *tls;

	Buffer queued;
	Buffer sending;
	size_t low;
	size_t high;
	int corked;
	int open_handles;
	bool writing;
	bool reading;
	bool over_high;
	bool ending; /* our end is closed when all is sent */
	bool finishing;
	bool closing;
	int broken; /* libuv's error; bytes were lost, and no more are sent */
};

/* Shared by all streams of a thread: a read is consumed before the next one begins. */
static _Thread_local char network_bytes[READ_SIZE];
static _Thread_local char plain_bytes[READ_SIZE];

static void write_done(uv_write_t *request, int status);

/* A stream with its timer, not yet connected to anything. */
static Stream *
stream_make(uv_loop_t *loop, bool is_unix, const StreamEvents *events, void *owner)
{
	Stream *stream = calloc(1, sizeof *stream);

	if (stream == NULL)
		abort();
	if (is_unix)
		uv_pipe_init(loop, &stream->uv.pipe, 0);
	else
		uv_tcp_init(loop, &stream->uv.tcp);
	uv_timer_init(loop, &stream->timer);
	stream->uv.handle.data = stream;
	stream->timer.data = stream;
	stream->open_handles = 2;
	stream->events = events;
	stream->owner = owner;
	stream->low = SIZE_MAX;
	stream->high = SIZE_MAX;
	return stream;
}

/* Small messages must not wait for each other; vanished machines are noticed. */
static void
set_tcp_options(Stream *stream)
{
	if (stream->uv.handle.type != UV_TCP)
		return;
	uv_tcp_nodelay(&stream->uv.tcp, 1);
	uv_tcp_keepalive(&stream->uv.tcp, 1, KEEPALIVE_SECONDS);
}

/* A connection that was accepted; NULL, and it is closed, if that fails. */
Stream *
stream_accepted(uv_loop_t *loop, int fd, const StreamEvents *events, void *owner)
{
	struct sockaddr_storage local = {0};
	socklen_t length = sizeof local;
	bool is_unix =
	    getsockname(fd, (struct sockaddr *) &local, &length) == 0 && local.ss_family == AF_UNIX;
	Stream *stream = stream_make(loop, is_unix, events, owner);

	if ((is_unix ? uv_pipe_open(&stream->uv.pipe, fd) : uv_tcp_open(&stream->uv.tcp, fd)) != 0)
	{
		close(fd);
		stream_close(stream);
		return NULL;
	}
	set_tcp_options(stream);
	return stream;
}

/* The outcome of stream_connect. */
static void
connect_done(uv_connect_t *request, int status)
{
	Stream *stream = request->data;

	if (stream->closing || stream->finishing)
		return;
	if (status == 0)
		set_tcp_options(stream);
	stream->events->connected(stream->owner, status);
}

/* Connect; NULL if that fails at once, else `connected` tells. */
Stream *
stream_connect(uv_loop_t *loop, const Address *address, const StreamEvents *events, void *owner)
{
	Stream *stream = stream_make(loop, address_is_unix(address), events, owner);
	int status = 0;

	stream->connecting.data = stream;
	if (address_is_unix(address))
	{
		const struct sockaddr_un *un = (const struct sockaddr_un *) &address->remote;

		uv_pipe_connect(&stream->connecting, &stream->uv.pipe, un->sun_path, connect_done);
		return stream;
	}
	if (address->local.ss_family != 0)
		status = uv_tcp_bind(&stream->uv.tcp, (const struct sockaddr *) &address->local, 0);
	if (status == 0)
		status = uv_tcp_connect(&stream->connecting, &stream->uv.tcp,
		                        (const struct sockaddr *) &address->remote, connect_done);
	if (status != 0)
	{
		stream_close(stream);
		return NULL;
	}
	return stream;
}

/* Water marks for `drained`. */
void
stream_limits(Stream *stream, size_t low, size_t high)
{
	stream->low = low;
	stream->high = high;
}

/* Tell the owner, once, that the connection is over. */
static void
report_end(Stream *stream, int status)
{
	if (stream->closing)
		return;
	if (stream->finishing)
	{
		stream_close(stream);
		return;
	}
	stream_pause(stream);
	stream->events->ended(stream->owner, status);
}

/* Nothing can be sent any more: the owner hears of it from the loop. */
static void
report_broken(uv_timer_t *timer)
{
	Stream *stream = timer->data;

	report_end(stream, stream->broken);
}

/* Room for libuv to read into. */
static void
give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
	(void) handle;
	(void) suggested;
	*room = uv_buf_init(network_bytes, sizeof network_bytes);
}

/* Send what waits as far as the socket takes it, the rest when it can. */
static void
flush_queued(Stream *stream)
{
	uv_buf_t bytes;
	int written;

	if (stream->writing || stream->corked > 0 || stream->queued.length == 0 || stream->closing ||
	    stream->broken != 0)
		return;
	bytes = uv_buf_init(buffer_data(&stream->queued), (unsigned int) stream->queued.length);
	written = uv_try_write(&stream->uv.stream, &bytes, 1);
	if (written > 0)
		buffer_consume(&stream->queued, (size_t) written);
	if (stream->queued.length > 0)
	{
		stream->sending = stream->queued;
		memset(&stream->queued, 0, sizeof stream->queued);
		bytes = uv_buf_init(buffer_data(&stream->sending), (unsigned int) stream->sending.length);
		stream->writing = true;
		stream->writing_request.data = stream;
		/* A broken connection is reported through the request, not from here. */
		stream->broken =
		    uv_write(&stream->writing_request, &stream->uv.stream, &bytes, 1, write_done);
		if (stream->broken != 0)
		{
			stream->writing = false;
			buffer_free(&stream->sending);
			uv_timer_start(&stream->timer, report_broken, 0, 0);
		}
	}
	if (stream_backlog(stream) > stream->high)
		stream->over_high = true;
}

/* Decrypt what came and hand it on. */
static void
receive_tls(Stream *stream, const char *bytes, size_t count)
{
	tls_receive(stream->tls, bytes, count);
	for (;;)
	{
		size_t plain_count;
		TlsStatus status = tls_read(stream->tls, plain_bytes, sizeof plain_bytes, &plain_count);

		flush_queued(stream);
		if (status != TLS_OK)
		{
			report_end(stream, status == TLS_ENDED ? 0 : UV_EPROTO);
			return;
		}
		if (plain_count == 0)
			return;
		stream->events->read(stream->owner, plain_bytes, plain_count);
		if (stream->closing || stream->finishing)
			return;
	}
}

/* Something came from the network, or nothing will any more. */
static void
network_read(uv_stream_t *handle, ssize_t count, const uv_buf_t *room)
{
	Stream *stream = handle->data;

	if (count == 0)
		return;
	if (count < 0)
		report_end(stream, count == UV_EOF ? 0 : (int) count);
	else if (stream->finishing)
		return;
	else if (stream->tls != NULL)
		receive_tls(stream, room->base, (size_t) count);
	else
		stream->events->read(stream->owner, room->base, (size_t) count);
}

/* Read from now on. */
void
stream_resume(Stream *stream)
{
	if (stream->reading || stream->closing)
		return;
	stream->reading = true;
	uv_read_start(&stream->uv.stream, give_room, network_read);
}

/* Do not read for now: the other side will be held up. */
void
stream_pause(Stream *stream)
{
	if (!stream->reading || stream->closing)
		return;
	stream->reading = false;
	uv_read_stop(&stream->uv.stream);
}

/* Is reading held up? */
bool
stream_paused(const Stream *stream)
{
	return !stream->reading;
}

/* Send; what the socket does not take now waits. */
void
stream_write(Stream *stream, const void *bytes, size_t count)
{
	if (stream->closing || stream->finishing || stream->broken != 0 || count == 0)
		return;
	if (stream->tls != NULL)
	{
		/* The failure shows as the end of what is read as well. */
		if (!tls_write(stream->tls, bytes, count))
			return;
	}
	else
	{
		if (!stream->writing && stream->corked == 0 && stream->queued.length == 0)
		{
			uv_buf_t direct = uv_buf_init((char *) bytes, (unsigned int) count);
			int written = uv_try_write(&stream->uv.stream, &direct, 1);

			if (written == (int) count)
				return;
			if (written > 0)
			{
				bytes = (const char *) bytes + written;
				count -= (size_t) written;
			}
		}
		buffer_append(&stream->queued, bytes, count);
	}
	flush_queued(stream);
	if (stream_backlog(stream) > stream->high)
		stream->over_high = true;
}

/* Collect writes until stream_uncork, so that many small ones are one. */
void
stream_cork(Stream *stream)
{
	stream->corked++;
}

/* The socket took at once what had been above the mark while it was corked. */
static void
report_drained(uv_timer_t *timer)
{
	Stream *stream = timer->data;

	if (!stream->over_high || stream_backlog(stream) > stream->low)
		return;
	stream->over_high = false;
	stream->events->drained(stream->owner);
}

/* Send what was collected. */
void
stream_uncork(Stream *stream)
{
	if (--stream->corked > 0 || stream->closing || stream->finishing || stream->broken != 0)
		return;
	flush_queued(stream);
	if (stream->over_high && !stream->writing && stream_backlog(stream) <= stream->low)
		uv_timer_start(&stream->timer, report_drained, 0, 0);
}

/* Bytes that wait for the socket. */
size_t
stream_backlog(const Stream *stream)
{
	return stream->queued.length + uv_stream_get_write_queue_size(&stream->uv.stream);
}

/* The other side does not close after us: enough. */
static void
timer_ran_out(uv_timer_t *timer)
{
	stream_close(timer->data);
}

/* Our end is closed; give the other side a moment to read and close its own. */
static void
shutdown_done(uv_shutdown_t *request, int status)
{
	Stream *stream = request->data;

	if (stream->closing)
		return;
	if (status != 0)
	{
		stream_close(stream);
		return;
	}
	uv_timer_start(&stream->timer, timer_ran_out, LINGER_MS, 0);
	stream_resume(stream);
}

/* Everything is sent: close our end. */
static void
shut_down(Stream *stream)
{
	stream->shutting_down.data = stream;
	if (uv_shutdown(&stream->shutting_down, &stream->uv.stream, shutdown_done) != 0)
		stream_close(stream);
}

/* Our end is closed; the peer's end tells the rest. */
static void
end_done(uv_shutdown_t *request, int status)
{
	(void) request;
	(void) status;
}

/* Close our end, once everything is sent. */
static void
end_if_sent(Stream *stream)
{
	if (!stream->ending || stream->writing || stream->queued.length > 0 || stream->closing)
		return;
	stream->ending = false;
	stream->shutting_down.data = stream;
	uv_shutdown(&stream->shutting_down, &stream->uv.stream, end_done);
}

/* See stream.h. */
void
stream_end(Stream *stream)
{
	stream->ending = true;
	end_if_sent(stream);
}

/* What was being sent is sent, or the connection broke. */
static void
write_done(uv_write_t *request, int status)
{
	Stream *stream = request->data;

	stream->writing = false;
	buffer_free(&stream->sending);
	if (stream->closing)
		return;
	if (status != 0)
	{
		report_end(stream, status);
		return;
	}
	flush_queued(stream);
	if (stream->finishing)
	{
		if (!stream->writing)
			shut_down(stream);
		return;
	}
	end_if_sent(stream);
	if (stream->over_high && stream_backlog(stream) <= stream->low)
	{
		stream->over_high = false;
		stream->events->drained(stream->owner);
	}
}

/*
 * Speak TLS from now on, and that protocol in it. The bytes, if any, are what was already read of it.
 */
bool
stream_start_tls(Stream *stream, TlsContext *context, const char *protocol, const char *bytes,
                 size_t count)
{
	stream->tls = tls_open(context, protocol, &stream->queued);
	if (stream->tls == NULL)
		return false;
	if (count > 0)
		receive_tls(stream, bytes, count);
	return true;
}

/* Did the client of a TLS connection name its protocol? */
bool
stream_protocol_agreed(const Stream *stream)
{
	return tls_protocol_agreed(stream->tls);
}

/* Did the peer come from this very machine, over loopback? */
bool
stream_from_loopback(const Stream *stream)
{
	struct sockaddr_storage peer;
	int length = sizeof peer;

	if (stream->uv.handle.type == UV_NAMED_PIPE)
		return true;
	if (uv_tcp_getpeername(&stream->uv.tcp, (struct sockaddr *) &peer, &length) != 0)
		return false;
	return address_is_loopback((const struct sockaddr *) &peer);
}

/* See stream.h. */
uint64_t
stream_network(const Stream *stream)
{
	struct sockaddr_storage peer = {0};
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *) &peer;
	int length = sizeof peer;
	uint64_t network = 0;

	if (stream->uv.handle.type == UV_NAMED_PIPE)
		return 0;
	if (uv_tcp_getpeername(&stream->uv.tcp, (struct sockaddr *) &peer, &length) != 0)
		return 0;
	if (peer.ss_family == AF_INET)
		return ((const struct sockaddr_in *) &peer)->sin_addr.s_addr;
	if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		memcpy(&network, six->sin6_addr.s6_addr + 12, 4);
	else
		memcpy(&network, six->sin6_addr.s6_addr, sizeof network);
	return network;
}

/* See stream.h. */
StreamPeer
stream_peer(const Stream *stream)
{
	struct pollfd poll_for = {.events = POLLRDHUP};
	uv_os_fd_t fd;

	if (uv_fileno(&stream->uv.handle, &fd) != 0)
		return STREAM_PEER_GONE;
	poll_for.fd = fd;
	if (poll(&poll_for, 1, 0) <= 0)
		return STREAM_PEER_THERE;
	if ((poll_for.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
		return STREAM_PEER_GONE;
	return (poll_for.revents & POLLRDHUP) != 0 ? STREAM_PEER_ENDED : STREAM_PEER_THERE;
}

/* One of the two handles is closed; after both the stream is gone. */
static void
handle_closed(uv_handle_t *handle)
{
	Stream *stream = handle->data;

	if (--stream->open_handles > 0)
		return;
	tls_close(stream->tls);
	buffer_free(&stream->queued);
	buffer_free(&stream->sending);
	free(stream);
}

/* Close at once; what waits is lost. */
void
stream_close(Stream *stream)
{
	if (stream->closing)
		return;
	stream->closing = true;
	uv_close(&stream->uv.handle, handle_closed);
	uv_close((uv_handle_t *) &stream->timer, handle_closed);
}

/*
 * Send what waits, then close. The peer gets a moment to read it: closing with
 * unread input would make the system drop what is on its way.
 */
void
stream_finish(Stream *stream)
{
	if (stream->closing || stream->finishing)
		return;
	stream_pause(stream);
	if (stream->tls != NULL)
		tls_goodbye(stream->tls);
	stream->corked = 0;
	stream->finishing = true;
	uv_timer_start(&stream->timer, timer_ran_out, FINISH_MS, 0);
	flush_queued(stream);
	if (!stream->writing && stream->broken == 0)
		shut_down(stream);
	else if (stream->broken != 0)
		uv_timer_start(&stream->timer, timer_ran_out, 0, 0);
}
