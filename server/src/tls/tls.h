/*-------------------------------------------------------------------------
 *
 * tls.h
 *	  TLS over bytes in memory: what the network brought goes in, plain bytes
 *	  come out, and the reverse. No socket is touched here.
 *
 * Invariants:
 *	- Every byte given to tls_receive is consumed before it returns.
 *	- What must go to the network is appended to the caller's buffer at once;
 *	  sending never waits.
 *	- The certificate of a context may be replaced at any time (SIGHUP); a
 *	  connection keeps the one it began with. A context serves all threads, a
 *	  connection belongs to one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_TLS_H
#define FRESHET_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "net/buffer.h"

/* Of TLS 1.2: forward secrecy, and no CBC. */
#define TLS_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

/* What a client may call the protocol it means to speak (ALPN). */
#define TLS_POSTGRESQL "postgresql"
#define TLS_HTTP "http/1.1"

typedef struct TlsContext TlsContext;
typedef struct Tls Tls;

/* Certificate chain and key, both PEM; on failure `problem` says why. */
extern TlsContext *
tls_context_open(const char *certificate, const char *key, char *problem, size_t problem_size);
extern bool tls_context_replace(TlsContext *context, const char *certificate, const char *key,
                                char *problem, size_t problem_size);

/* A server's end, for that protocol. `out` gets what must go to the network. */
extern Tls *tls_open(TlsContext *context, const char *protocol, Buffer *out);
extern void tls_close(Tls *tls);

typedef enum TlsStatus
{
	TLS_OK,
	TLS_ENDED, /* the other side said goodbye */
	TLS_FAILED
} TlsStatus;

extern void tls_receive(Tls *tls, const char *bytes, size_t count);
extern TlsStatus tls_read(Tls *tls, char *plain, size_t room, size_t *count);
extern bool tls_write(Tls *tls, const void *plain, size_t count);
extern void tls_goodbye(Tls *tls);
extern bool tls_protocol_agreed(const Tls *tls);

#endif /* FRESHET_TLS_H */
