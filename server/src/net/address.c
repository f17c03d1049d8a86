/*-------------------------------------------------------------------------
 *
 * address.c
 *	  Where to listen and where to connect: a TCP address or a unix socket.
 *
 *-------------------------------------------------------------------------
 */
#include "net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* PostgreSQL's socket in this directory; false if the path is too long. */
bool
address_unix(Address *address, const char *directory, int port)
{
	struct sockaddr_un *un = (struct sockaddr_un *) &address->remote;
	int length;

	memset(address, 0, sizeof *address);
	un->sun_family = AF_UNIX;
	length = snprintf(un->sun_path, sizeof un->sun_path, "%s/.s.PGSQL.%d", directory, port);
	return length > 0 && (size_t) length < sizeof un->sun_path;
}

/*
 * A host name or number and a port; of several addresses one of IPv4, so that
 * localhost means 127.0.0.1 everywhere. On failure `problem` says why.
 */
bool
address_tcp(Address *address, const char *host, int port, const char **problem)
{
	struct addrinfo hints = {
	    .ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	char service[16];
	int failed;

	memset(address, 0, sizeof *address);
	snprintf(service, sizeof service, "%d", port);
	if (strcmp(host, "*") == 0)
		host = "0.0.0.0";
	failed = getaddrinfo(host, service, &hints, &found);
	if (failed != 0)
	{
		hints.ai_family = AF_UNSPEC;
		failed = getaddrinfo(host, service, &hints, &found);
	}
	if (failed != 0)
	{
		*problem = gai_strerror(failed);
		return false;
	}
	memcpy(&address->remote, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return true;
}

/* Is this a unix socket? */
bool
address_is_unix(const Address *address)
{
	return address->remote.ss_family == AF_UNIX;
}

/* Can only this machine reach the address, or only it have come from there? */
bool
address_is_loopback(const struct sockaddr *sockaddr)
{
	if (sockaddr->sa_family == AF_UNIX)
		return true;
	if (sockaddr->sa_family == AF_INET)
	{
		const struct sockaddr_in *in = (const struct sockaddr_in *) sockaddr;

		return (ntohl(in->sin_addr.s_addr) >> 24) == 127;
	}
	if (sockaddr->sa_family == AF_INET6)
	{
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) sockaddr;

		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
			return in6->sin6_addr.s6_addr[12] == 127;
		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	}
	return false;
}

/* Does the address stand for every one of this machine? */
bool
address_is_any(const struct sockaddr *sockaddr)
{
	if (sockaddr->sa_family == AF_INET)
		return ((const struct sockaddr_in *) sockaddr)->sin_addr.s_addr == htonl(INADDR_ANY);
	if (sockaddr->sa_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *) sockaddr)->sin6_addr);
	return false;
}

/* The port of an address of TCP. */
int
address_port(const struct sockaddr *address)
{
	return ntohs(address->sa_family == AF_INET6
	                 ? ((const struct sockaddr_in6 *) (const void *) address)->sin6_port
	                 : ((const struct sockaddr_in *) (const void *) address)->sin_port);
}
