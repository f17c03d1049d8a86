/*-------------------------------------------------------------------------
 *
 * trust.h
 *	  May a request from this machine act as a trusted role without a password?
 *
 * A web page in a browser on this machine can make requests here as well, and so can a proxy for
 * somebody elsewhere. What comes from either carries a field that says so, or the name by which
 * the page was found: Origin, Sec-Fetch-Site, Forwarded, X-Forwarded-*, Via, a Host that is no name of
 * loopback (DNS can lead any name here). Whose request carries one is not trusted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_HTTP_TRUST_H
#define FRESHET_HTTP_TRUST_H

#include "http/parser.h"

extern bool http_trust(const HttpHead *head);

#endif /* FRESHET_HTTP_TRUST_H */
