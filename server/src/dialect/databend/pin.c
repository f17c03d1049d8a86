/*-------------------------------------------------------------------------
 *
 * pin.c
 *	  A backend that a client's session keeps between requests. See pin.h.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/databend/pin.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialect/databend/echo.h"

#define TOKEN_BYTES 16

struct Pin
{
	Guest guest;
	Pin *next; /* in the registry */
	char token[2 * TOKEN_BYTES + 1];
	unsigned char identity[QUERY_IDENTITY];
	SessionLoop *loop;
	Lease *lease; /* NULL while a query uses it */
	bool temporary;
	uv_timer_t idle;
};

/* Of all loops. Tokens, identities and loops do not change. */
static Pin *registry;
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;

/* The session's pin; the lock is held. */
static Pin *
find(const json_t *session, const unsigned char identity[QUERY_IDENTITY])
{
	const char *token = json_string_value(json_object_get(session, "internal"));
	Pin *pin = registry;

	if (token == NULL || strlen(token) != 2 * TOKEN_BYTES)
		return NULL;
	while (pin != NULL && (CRYPTO_memcmp(pin->token, token, 2 * TOKEN_BYTES) != 0 ||
	                       CRYPTO_memcmp(pin->identity, identity, QUERY_IDENTITY) != 0))
		pin = pin->next;
	return pin;
}

SessionLoop *
pin_loop(const json_t *session, const unsigned char identity[QUERY_IDENTITY])
{
	SessionLoop *loop;
	Pin *pin;

	pthread_mutex_lock(&registry_lock);
	pin = find(session, identity);
	loop = pin != NULL ? pin->loop : NULL;
	pthread_mutex_unlock(&registry_lock);
	return loop;
}

static void
pin_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* It is not a pin any more; its lease is not looked at. */
static void
forget(Pin *pin)
{
	Pin **link = &registry;

	pthread_mutex_lock(&registry_lock);
	while (*link != pin)
		link = &(*link)->next;
	*link = pin->next;
	pthread_mutex_unlock(&registry_lock);
	session_loop_leave(pin->loop, &pin->guest);
	uv_close((uv_handle_t *) &pin->idle, pin_closed);
}

/* The server stops; what a query uses ends with that. */
static void
guest_end(Guest *guest)
{
	Pin *pin = (Pin *) guest;

	if (pin->lease == NULL)
		return;
	lease_drop(pin->lease);
	forget(pin);
}

/* Nobody has asked for long enough. */
static void
idle_due(uv_timer_t *timer)
{
	Pin *pin = timer->data;

	lease_return(pin->lease);
	forget(pin);
}

/* Between requests a backend says nothing, unless it goes. */
static void
lease_lost(void *owner, const char *message)
{
	(void) message;
	forget(owner);
}

static void
lease_result(void *owner, PGresult *result)
{
	(void) owner;
	(void) result;
}

static void
lease_flushed(void *owner)
{
	(void) owner;
}

static const LeaseEvents lease_events = {NULL, NULL, lease_result, lease_flushed, lease_lost};

Pin *
pin_take(const json_t *session, const unsigned char identity[QUERY_IDENTITY])
{
	Pin *pin;

	pthread_mutex_lock(&registry_lock);
	pin = find(session, identity);
	pthread_mutex_unlock(&registry_lock);
	if (pin == NULL || pin->lease == NULL || loop_uv(loop_here()) != pin->idle.loop)
		return NULL;
	uv_timer_stop(&pin->idle);
	return pin;
}

Lease *
pin_lease(Pin *pin)
{
	Lease *lease = pin->lease;

	pin->lease = NULL;
	return lease;
}

/* A new one. */
static Pin *
make_pin(SessionLoop *loop, const unsigned char identity[QUERY_IDENTITY])
{
	Pin *pin = calloc(1, sizeof *pin);
	unsigned char bytes[TOKEN_BYTES];

	if (pin == NULL || RAND_bytes(bytes, sizeof bytes) != 1)
		abort();
	for (int i = 0; i < TOKEN_BYTES; i++)
		snprintf(pin->token + 2 * i, 3, "%02x", bytes[i]);
	memcpy(pin->identity, identity, QUERY_IDENTITY);
	pin->loop = loop;
	pin->guest.end = guest_end;
	uv_timer_init(loop_uv(loop_here()), &pin->idle);
	pin->idle.data = pin;
	session_loop_enter(loop, &pin->guest);
	pthread_mutex_lock(&registry_lock);
	pin->next = registry;
	registry = pin;
	pthread_mutex_unlock(&registry_lock);
	return pin;
}

void
pin_echo(const Pin *pin, Lease *lease, json_t *echo)
{
	PGTransactionStatusType status = PQtransactionStatus(lease_pq(lease));

	json_object_set_new(echo, "txn_state",
	                    json_string(status == PQTRANS_INTRANS   ? "Active"
	                                : status == PQTRANS_INERROR ? "Fail"
	                                                            : "AutoCommit"));
	json_object_set_new(echo, "need_sticky", json_true());
	json_object_set_new(echo, "need_keep_alive", json_true());
	json_object_set_new(echo, "internal", json_string(pin->token));
}

void
pin_settle(Pin *pin, Lease *lease, SessionLoop *loop, bool temporary,
           const unsigned char identity[QUERY_IDENTITY], json_t *echo)
{
	PGTransactionStatusType status = PQtransactionStatus(lease_pq(lease));
	bool open = status == PQTRANS_INTRANS || status == PQTRANS_INERROR;

	if (!open && !temporary && (pin == NULL || !pin->temporary))
	{
		lease_return(lease);
		echo_unpin(echo);
		if (pin != NULL)
			forget(pin);
		return;
	}
	if (pin == NULL)
		pin = make_pin(loop, identity);
	pin->temporary = pin->temporary || temporary;
	pin->lease = lease;
	lease_hand(lease, &lease_events, pin);
	uv_timer_start(
	    &pin->idle, idle_due,
	    (uint64_t) echo_seconds(echo, "idle_transaction_timeout_secs", PIN_IDLE_SECONDS) * 1000, 0);
	pin_echo(pin, lease, echo);
}

void
pin_lose(Pin *pin)
{
	forget(pin);
}
