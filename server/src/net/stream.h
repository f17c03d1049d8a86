/*-------------------------------------------------------------------------
 *
 * stream.h
 *	  One connection: a TCP or unix socket on the loop, in clear or in TLS.
 *
 * Invariants:
 *	- Reading uses one buffer shared by all streams of a thread; bytes given to
 *	  `read` are gone when it returns.
 *	- A write first tries the socket; only what the socket does not take is
 *	  copied and waits. stream_backlog counts those bytes; nobody but the caller
 *	  limits them.
 *	- `ended` is called at most once. After stream_close or stream_finish no
 *	  event is delivered and the owner must forget the stream, which frees itself.
 *	- No event is delivered from inside stream_write, stream_uncork or stream_pause.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_STREAM_H
#define FRESHET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "net/address.h"
#include "tls/tls.h"

typedef struct Stream Stream;

typedef struct StreamEvents
{
	/* Some bytes came, decrypted. */
	void (*read)(void *owner, const char *bytes, size_t count);

	/* The other side closed (0) or the connection broke (a libuv error). */
	void (*ended)(void *owner, int status);

	/* What waited fell to `low` bytes or less after having been above `high`. */
	void (*drained)(void *owner);

	/* stream_connect succeeded (0) or failed (a libuv error). */
	void (*connected)(void *owner, int status);
} StreamEvents;

extern Stream *stream_accepted(uv_loop_t *loop, int fd, const StreamEvents *events, void *owner);
extern Stream *
stream_connect(uv_loop_t *loop, const Address *address, const StreamEvents *events, void *owner);
extern void stream_limits(Stream *stream, size_t low, size_t high);
extern void stream_resume(Stream *stream);
extern void stream_pause(Stream *stream);
extern bool stream_paused(const Stream *stream);
extern void stream_write(Stream *stream, const void *bytes, size_t count);
extern void stream_cork(Stream *stream);
extern void stream_uncork(Stream *stream);
extern size_t stream_backlog(const Stream *stream);
extern bool stream_start_tls(Stream *stream, TlsContext *context, const char *protocol,
                             const char *bytes, size_t count);
extern bool stream_protocol_agreed(const Stream *stream);
extern bool stream_from_loopback(const Stream *stream);
/* The peer's IPv4 address, or the /64 of its IPv6 one. */
extern uint64_t stream_network(const Stream *stream);
/* What is known of the peer, even though unread bytes stand before its end. */
typedef enum StreamPeer
{
	STREAM_PEER_THERE,
	STREAM_PEER_ENDED, /* it sends nothing more */
	STREAM_PEER_GONE   /* nor takes anything */
} StreamPeer;

extern StreamPeer stream_peer(const Stream *stream);
extern void stream_close(Stream *stream);
extern void stream_finish(Stream *stream);
/* Send what waits, then nothing more: the peer sees the end, and is still read. */
extern void stream_end(Stream *stream);

#endif /* FRESHET_STREAM_H */
