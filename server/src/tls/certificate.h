/*-------------------------------------------------------------------------
 *
 * certificate.h
 *	  A certificate of one's own, so that TLS works from the first start.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CERTIFICATE_H
#define FRESHET_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Make a key and a self-signed certificate for localhost and these addresses
 * unless both files are there. On failure `problem` says why.
 */
extern bool certificate_ensure(const char *certificate, const char *key, char *const *addresses,
                               char *problem, size_t problem_size);

#endif /* FRESHET_CERTIFICATE_H */
