/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  The sessions by their backend's process number and secret key.
 *
 *-------------------------------------------------------------------------
 */
#include "session/internal.h"

#define KEY_BUCKETS 4096

static Session *buckets[KEY_BUCKETS];

/* From BackendKeyData on, a CancelRequest can name the session. */
void
keys_add(Session *session)
{
	Session **bucket = &buckets[session->pid % KEY_BUCKETS];

	session->next_of_key = *bucket;
	*bucket = session;
	session->keyed = true;
}

/* The session's backend is gone or about to go. */
void
keys_remove(Session *session)
{
	Session **link = &buckets[session->pid % KEY_BUCKETS];

	if (!session->keyed)
		return;
	while (*link != session)
		link = &(*link)->next_of_key;
	*link = session->next_of_key;
	session->keyed = false;
}

/* The session with both this number and this key, or NULL. */
Session *
keys_find(uint32_t pid, uint32_t key)
{
	Session *session = buckets[pid % KEY_BUCKETS];

	while (session != NULL && (session->pid != pid || session->key != key))
		session = session->next_of_key;
	return session;
}
