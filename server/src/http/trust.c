/*-------------------------------------------------------------------------
 *
 * trust.c
 *	  See trust.h.
 *
 *-------------------------------------------------------------------------
 */
#include "http/trust.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* Is this what a browser says of a request that no other site's page has made? */
static bool
is_own_site(const char *value)
{
	return strcmp(value, "same-origin") == 0 || strcmp(value, "none") == 0;
}

/* Does the Host name loopback, with a port or without? */
static bool
is_loopback_name(const char *host)
{
	const char *bracket = strchr(host, ']');
	size_t length = bracket != NULL ? (size_t) (bracket - host) + 1 : strcspn(host, ":");
	const char *port = host + length;
	struct in_addr address;
	char name[64];

	if (length >= sizeof name ||
	    (*port != '\0' && (*port != ':' || port[1 + strspn(port + 1, "0123456789")] != '\0')))
		return false;
	memcpy(name, host, length);
	name[length] = '\0';
	return strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0 ||
	       (inet_pton(AF_INET, name, &address) == 1 && (ntohl(address.s_addr) >> 24) == 127);
}

/* See trust.h. */
bool
http_trust(const HttpHead *head)
{
	bool named = false;
	size_t i;

	for (i = 0; i < head->field_count; i++)
	{
		const char *name = head->fields[i].name;
		const char *value = head->fields[i].value;

		if (strcmp(name, "origin") == 0 || strcmp(name, "forwarded") == 0 ||
		    strncmp(name, "x-forwarded-", 12) == 0 || strcmp(name, "x-real-ip") == 0 ||
		    strcmp(name, "via") == 0 ||
		    (strcmp(name, "sec-fetch-site") == 0 && !is_own_site(value)) ||
		    (strcmp(name, "host") == 0 && !is_loopback_name(value)))
			return false;
		named |= strcmp(name, "host") == 0;
	}
	return named;
}
