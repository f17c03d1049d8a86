/*-------------------------------------------------------------------------
 *
 * address.h
 *	  Where to listen and where to connect: a TCP address or a unix socket.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_ADDRESS_H
#define FRESHET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef struct Address
{
	struct sockaddr_storage remote;

	/* The local end of a TCP connection, if ss_family is not 0. */
	struct sockaddr_storage local;
} Address;

extern bool address_unix(Address *address, const char *directory, int port);
extern bool address_tcp(Address *address, const char *host, int port, const char **problem);
extern bool address_is_unix(const Address *address);
extern int address_port(const struct sockaddr *address);
extern bool address_is_loopback(const struct sockaddr *sockaddr);
extern bool address_is_any(const struct sockaddr *sockaddr);

#endif /* FRESHET_ADDRESS_H */
