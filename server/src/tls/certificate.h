/*-------------------------------------------------------------------------
 *
 * certificate.h
 *	  A certificate of one's own, so that TLS works from the first start.
 *
 * A small authority of the server's own signs it: its certificate is what clients
 * trust (sslrootcert), for ten years; the server's is good for one, and made anew a month
 * before it ends. Who holds the key of the one cannot act as the other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_CERTIFICATE_H
#define FRESHET_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct CertificateFiles
{
	const char *certificate;
	const char *key;
	const char *authority;
	const char *authority_key;
} CertificateFiles;

/*
 * See to a certificate for localhost and these addresses, and to its authority: what is
 * not there or ends soon is made. A certificate of somebody else's in its place stays.
 * On failure `problem` says why; `made` says whether the certificate is another one now.
 */
extern bool certificate_ensure(const CertificateFiles *files, char *const *addresses, bool *made,
                               char *problem, size_t problem_size);

#endif /* FRESHET_CERTIFICATE_H */
