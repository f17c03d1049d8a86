/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  The sessions of all threads by their backend's process number and secret key.
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>

#include "session/internal.h"

#define KEY_BUCKETS 4096

static Session *buckets[KEY_BUCKETS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* From BackendKeyData on, a CancelRequest can name the session. */
void
keys_add(Session *session)
{
	Session **bucket = &buckets[session->pid % KEY_BUCKETS];

	pthread_mutex_lock(&mutex);
	session->next_of_key = *bucket;
	*bucket = session;
	pthread_mutex_unlock(&mutex);
	session->keyed = true;
}

/* The session's backend is gone or about to go. */
void
keys_remove(Session *session)
{
	Session **link = &buckets[session->pid % KEY_BUCKETS];

	if (!session->keyed)
		return;
	pthread_mutex_lock(&mutex);
	while (*link != session)
		link = &(*link)->next_of_key;
	*link = session->next_of_key;
	pthread_mutex_unlock(&mutex);
	session->keyed = false;
}

/* The session with both this number and this key. The mutex is held. */
static Session *
find(uint32_t pid, uint32_t key)
{
	Session *session = buckets[pid % KEY_BUCKETS];

	while (session != NULL && (session->pid != pid || session->key != key))
		session = session->next_of_key;
	return session;
}

/* Where the session with both this number and this key lives, or NULL. */
SessionLoop *
keys_loop(uint32_t pid, uint32_t key)
{
	SessionLoop *loop;
	Session *session;

	pthread_mutex_lock(&mutex);
	session = find(pid, key);
	loop = session != NULL ? session->loop : NULL;
	pthread_mutex_unlock(&mutex);
	return loop;
}

/* That session, if it lives on the calling thread's loop, or NULL. */
Session *
keys_find(const SessionLoop *loop, uint32_t pid, uint32_t key)
{
	Session *session;

	pthread_mutex_lock(&mutex);
	session = find(pid, key);
	/* no other thread can end it after this */
	if (session != NULL && session->loop != loop)
		session = NULL;
	pthread_mutex_unlock(&mutex);
	return session;
}
