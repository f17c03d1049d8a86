/*-------------------------------------------------------------------------
 *
 * certificate.c
 *	  A certificate of one's own, so that TLS works from the first start.
 *
 * Invariant: the certificate is written after its key and both by rename, so
 * where the certificate is, the key that belongs to it is.
 *
 *-------------------------------------------------------------------------
 */
#include "tls/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CERTIFICATE_DAYS 3650

/* Is this an address and not a name? */
static bool
is_address(const char *text)
{
	unsigned char binary[16];

	return inet_pton(AF_INET, text, binary) == 1 || inet_pton(AF_INET6, text, binary) == 1;
}

/* The names a client may know the server by, in OpenSSL's notation. */
static void
subject_names(char *const *addresses, char *names, size_t size)
{
	char host[256] = "";
	size_t used;
	size_t i;

	used = (size_t) snprintf(names, size, "DNS:localhost,IP:127.0.0.1,IP:::1");
	if (gethostname(host, sizeof host - 1) == 0 && host[0] != '\0' &&
	    strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") ==
	        strlen(host) &&
	    strcmp(host, "localhost") != 0)
		used += (size_t) snprintf(names + used, size - used, ",DNS:%s", host);
	for (i = 0; addresses[i] != NULL && used + 64 < size; i++)
	{
		const char *address = addresses[i];

		if (is_address(address) && strcmp(address, "127.0.0.1") != 0 &&
		    strcmp(address, "0.0.0.0") != 0 && strcmp(address, "::") != 0 &&
		    strcmp(address, "::1") != 0)
			used += (size_t) snprintf(names + used, size - used, ",IP:%s", address);
	}
}

/* One extension of the certificate. */
static bool
add_extension(X509 *x509, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool added;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	if (extension == NULL)
		return false;
	added = X509_add_ext(x509, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return added;
}

/* A certificate for this key, signed with it. */
static X509 *
make_certificate(EVP_PKEY *pair, const char *names)
{
	X509 *x509 = X509_new();
	X509_NAME *subject;
	unsigned char serial_bytes[16];
	BIGNUM *serial;
	bool good;

	if (x509 == NULL || RAND_bytes(serial_bytes, sizeof serial_bytes) != 1)
		return x509;
	serial_bytes[0] &= 0x7f;
	serial = BN_bin2bn(serial_bytes, sizeof serial_bytes, NULL);
	subject = X509_get_subject_name(x509);
	good = serial != NULL && BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x509)) != NULL &&
	       X509_set_version(x509, X509_VERSION_3) == 1 &&
	       X509_gmtime_adj(X509_getm_notBefore(x509), -3600) != NULL &&
	       X509_time_adj_ex(X509_getm_notAfter(x509), CERTIFICATE_DAYS, 0, NULL) != NULL &&
	       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
	                                  (const unsigned char *) "freshet", -1, -1, 0) == 1 &&
	       X509_set_issuer_name(x509, subject) == 1 && X509_set_pubkey(x509, pair) == 1 &&
	       add_extension(x509, NID_subject_key_identifier, "hash") &&
	       add_extension(x509, NID_authority_key_identifier, "keyid:always") &&
	       add_extension(x509, NID_basic_constraints, "critical,CA:TRUE") &&
	       add_extension(x509, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
	       add_extension(x509, NID_ext_key_usage, "serverAuth") &&
	       add_extension(x509, NID_subject_alt_name, names) &&
	       X509_sign(x509, pair, EVP_sha256()) > 0;
	BN_free(serial);
	if (good)
		return x509;
	X509_free(x509);
	return NULL;
}

/* Write a file under another name and rename it when it is whole. */
static bool
write_file(const char *path, mode_t mode, EVP_PKEY *pair, X509 *x509)
{
	char temporary[4096];
	FILE *file;
	bool good;
	int fd;

	if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int) sizeof temporary)
		return false;
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	file = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (file == NULL)
		return false;
	good = x509 != NULL ? PEM_write_X509(file, x509) == 1
	                    : PEM_write_PrivateKey(file, pair, NULL, NULL, 0, NULL, NULL) == 1;
	good = fflush(file) == 0 && fsync(fd) == 0 && good;
	good = fclose(file) == 0 && good;
	return good && rename(temporary, path) == 0;
}

/* Make key and certificate unless they are there. */
bool
certificate_ensure(const char *certificate, const char *key, char *const *addresses, char *problem,
                   size_t problem_size)
{
	char names[1024];
	EVP_PKEY *pair;
	X509 *x509 = NULL;
	bool good;

	if (access(certificate, F_OK) == 0 && access(key, F_OK) == 0)
		return true;
	subject_names(addresses, names, sizeof names);
	errno = 0;
	pair = EVP_EC_gen("P-256");
	good = pair != NULL && (x509 = make_certificate(pair, names)) != NULL &&
	       write_file(key, 0600, pair, NULL) && write_file(certificate, 0644, NULL, x509);
	if (!good)
		snprintf(problem, problem_size, "could not make certificate \"%s\": %s", certificate,
		         errno != 0 ? strerror(errno) : "OpenSSL refuses");
	X509_free(x509);
	EVP_PKEY_free(pair);
	return good;
}
