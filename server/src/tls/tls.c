/*-------------------------------------------------------------------------
 *
 * tls.c
 *	  TLS over bytes in memory.
 *
 * OpenSSL reads and writes through a BIO of ours: its read takes from the
 * bytes the network just brought, its write appends to the connection's
 * output. So no byte is copied twice and OpenSSL never blocks.
 *
 *-------------------------------------------------------------------------
 */
#include "tls/tls.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct TlsContext
{
	pthread_mutex_t mutex; /* connections begin on any thread */
	SSL_CTX *openssl;
};

struct Tls
{
	SSL *openssl;
	const char *protocol;
	const char *received;
	size_t received_count;
	Buffer *out;
};

/* Give OpenSSL what the network brought. */
static int
bio_read(BIO *bio, char *bytes, int room)
{
	Tls *tls = BIO_get_data(bio);
	size_t count = tls->received_count < (size_t) room ? tls->received_count : (size_t) room;

	BIO_clear_retry_flags(bio);
	if (count == 0)
	{
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(bytes, tls->received, count);
	tls->received += count;
	tls->received_count -= count;
	return (int) count;
}

/* Take from OpenSSL what must go to the network. */
static int
bio_write(BIO *bio, const char *bytes, int count)
{
	Tls *tls = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	buffer_append(tls->out, bytes, (size_t) count);
	return count;
}

/* The only control OpenSSL insists on. */
static long
bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void) bio;
	(void) number;
	(void) pointer;
	return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/* The kind of BIO used for every connection. */
static BIO_METHOD *
bio_method(void)
{
	static BIO_METHOD *method;

	if (method == NULL)
	{
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "freshet");
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_ctrl(method, bio_control);
	}
	return method;
}

/* Say what OpenSSL complained about first. */
static void
describe_failure(const char *what, const char *file, char *problem, size_t problem_size)
{
	unsigned long code = ERR_get_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	snprintf(problem, problem_size, "could not %s \"%s\": %s", what, file,
	         ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code))
	         : reason               ? reason
	                                : "unknown reason");
	ERR_clear_error();
}

/* Agree only to the door's own protocol when a client names protocols. */
static int
choose_protocol(SSL *openssl, const unsigned char **chosen, unsigned char *chosen_length,
                const unsigned char *offered, unsigned int offered_length, void *argument)
{
	const Tls *tls = SSL_get_app_data(openssl);
	unsigned char wanted[32];
	size_t length = strlen(tls->protocol);

	(void) argument;
	wanted[0] = (unsigned char) length;
	memcpy(wanted + 1, tls->protocol, length);
	/* what is chosen is a piece of what was offered, which lives on */
	if (SSL_select_next_proto((unsigned char **) chosen, chosen_length, offered, offered_length,
	                          wanted, (unsigned int) length + 1) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

/* What OpenSSL makes of a certificate and its key; NULL says why. */
static SSL_CTX *
load(const char *certificate, const char *key, char *problem, size_t problem_size)
{
	SSL_CTX *openssl = SSL_CTX_new(TLS_server_method());

	ERR_clear_error();
	if (openssl == NULL)
	{
		describe_failure("use OpenSSL for", certificate, problem, problem_size);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(openssl, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(openssl, TLS_CIPHERS);
	SSL_CTX_set_options(openssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
	                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(openssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(openssl, 0);
	SSL_CTX_set_mode(openssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_alpn_select_cb(openssl, choose_protocol, NULL);
	if (SSL_CTX_use_certificate_chain_file(openssl, certificate) != 1)
		describe_failure("load certificate", certificate, problem, problem_size);
	else if (SSL_CTX_use_PrivateKey_file(openssl, key, SSL_FILETYPE_PEM) != 1)
		describe_failure("load private key", key, problem, problem_size);
	else if (SSL_CTX_check_private_key(openssl) != 1)
		describe_failure("match certificate with private key", key, problem, problem_size);
	else
		return openssl;
	SSL_CTX_free(openssl);
	return NULL;
}

/* Certificate and key for new connections. */
TlsContext *
tls_context_open(const char *certificate, const char *key, char *problem, size_t problem_size)
{
	SSL_CTX *openssl = load(certificate, key, problem, problem_size);
	TlsContext *context;

	if (openssl == NULL)
		return NULL;
	context = calloc(1, sizeof *context);
	if (context == NULL)
		abort();
	pthread_mutex_init(&context->mutex, NULL);
	context->openssl = openssl;
	/* made here, while there is one thread */
	bio_method();
	return context;
}

/* Another certificate for new connections; false, and the old one stays, if it is no good. */
bool
tls_context_replace(TlsContext *context, const char *certificate, const char *key, char *problem,
                    size_t problem_size)
{
	SSL_CTX *openssl = load(certificate, key, problem, problem_size);
	SSL_CTX *old;

	if (openssl == NULL)
		return false;
	pthread_mutex_lock(&context->mutex);
	old = context->openssl;
	context->openssl = openssl;
	pthread_mutex_unlock(&context->mutex);
	SSL_CTX_free(old);
	return true;
}

/* Begin as the server's end; the client speaks first. */
Tls *
tls_open(TlsContext *context, const char *protocol, Buffer *out)
{
	Tls *tls = calloc(1, sizeof *tls);
	BIO *bio = BIO_new(bio_method());

	if (tls != NULL && bio != NULL)
	{
		pthread_mutex_lock(&context->mutex);
		tls->openssl = SSL_new(context->openssl);
		pthread_mutex_unlock(&context->mutex);
	}
	if (tls == NULL || tls->openssl == NULL)
	{
		BIO_free(bio);
		free(tls);
		return NULL;
	}
	tls->protocol = protocol;
	tls->out = out;
	SSL_set_app_data(tls->openssl, tls);
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(tls->openssl, bio, bio);
	SSL_set_accept_state(tls->openssl);
	return tls;
}

/* Forget a connection without a word to the other side. */
void
tls_close(Tls *tls)
{
	if (tls == NULL)
		return;
	SSL_free(tls->openssl);
	free(tls);
}

/* Bytes from the network; tls_read must follow until it gives nothing more. */
void
tls_receive(Tls *tls, const char *bytes, size_t count)
{
	tls->received = bytes;
	tls->received_count = count;
}

/* Plain bytes, 0 when more must come from the network first. */
TlsStatus
tls_read(Tls *tls, char *plain, size_t room, size_t *count)
{
	int result;

	*count = 0;
	ERR_clear_error();
	result = SSL_read_ex(tls->openssl, plain, room, count);
	if (result == 1)
		return TLS_OK;
	switch (SSL_get_error(tls->openssl, result))
	{
		case SSL_ERROR_WANT_READ:
		case SSL_ERROR_WANT_WRITE:
			return TLS_OK;
		case SSL_ERROR_ZERO_RETURN:
			return TLS_ENDED;
		default:
			return TLS_FAILED;
	}
}

/* Encrypt; the result is in the output buffer when this returns. */
bool
tls_write(Tls *tls, const void *plain, size_t count)
{
	size_t written;

	ERR_clear_error();
	while (count > 0)
	{
		if (SSL_write_ex(tls->openssl, plain, count, &written) != 1)
			return false;
		plain = (const char *) plain + written;
		count -= written;
	}
	return true;
}

/* Did the client name the protocol when it began? */
bool
tls_protocol_agreed(const Tls *tls)
{
	const unsigned char *protocol;
	unsigned int length;

	SSL_get0_alpn_selected(tls->openssl, &protocol, &length);
	return length > 0;
}

/* Tell the other side that nothing more comes. */
void
tls_goodbye(Tls *tls)
{
	ERR_clear_error();
	if (SSL_is_init_finished(tls->openssl))
		SSL_shutdown(tls->openssl);
	ERR_clear_error();
}
