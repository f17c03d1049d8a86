/*-------------------------------------------------------------------------
 *
 * certificate.c
 *	  A certificate of one's own, so that TLS works from the first start.
 *
 * Invariant: a certificate is written after its key and both by rename. Where a pair does
 * not belong together, because the server was killed in between, it is made anew.
 *
 *-------------------------------------------------------------------------
 */
#include "tls/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CERTIFICATE_DAYS 365
#define AUTHORITY_DAYS 3650

/* So many days before its end a certificate is made anew. */
#define RENEWAL_DAYS 30

/* By these names it is known as ours; older ones were signed with their own key. */
#define CERTIFICATE_NAME "freshet"
#define AUTHORITY_NAME "freshet authority"

typedef struct Pair
{
	EVP_PKEY *key;
	X509 *x509;
} Pair;

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

/* One extension of a certificate that `issuer` signs. */
static bool
add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool added;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	if (extension == NULL)
		return false;
	added = X509_add_ext(x509, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return added;
}

/* What an authority may do, and nothing else. */
static bool
add_authority_extensions(X509 *x509)
{
	return add_extension(x509, x509, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	       add_extension(x509, x509, NID_key_usage, "critical,keyCertSign");
}

/* What a server may do, and who it is. */
static bool
add_server_extensions(X509 *x509, X509 *issuer, const char *names)
{
	return add_extension(x509, issuer, NID_authority_key_identifier, "keyid:always") &&
	       add_extension(x509, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(x509, issuer, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(x509, issuer, NID_ext_key_usage, "serverAuth") &&
	       add_extension(x509, issuer, NID_subject_alt_name, names);
}

/* A random number of a certificate. */
static bool
set_serial(X509 *x509)
{
	unsigned char bytes[16];
	BIGNUM *serial;
	bool good;

	if (RAND_bytes(bytes, sizeof bytes) != 1)
		return false;
	bytes[0] &= 0x7f;
	serial = BN_bin2bn(bytes, sizeof bytes, NULL);
	good = serial != NULL && BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x509)) != NULL;
	BN_free(serial);
	return good;
}

/* A key and its certificate: an authority's, or, by an authority, a server's of these names. */
static bool
make_pair(Pair *pair, const Pair *authority, const char *names)
{
	bool server = authority != NULL;
	const unsigned char *name =
	    (const unsigned char *) (server ? CERTIFICATE_NAME : AUTHORITY_NAME);
	X509 *x509 = X509_new();
	X509 *issuer = server ? authority->x509 : x509;

	pair->x509 = x509;
	pair->key = EVP_EC_gen("P-256");
	return x509 != NULL && pair->key != NULL && set_serial(x509) &&
	       X509_set_version(x509, X509_VERSION_3) == 1 &&
	       X509_gmtime_adj(X509_getm_notBefore(x509), -3600) != NULL &&
	       X509_time_adj_ex(X509_getm_notAfter(x509), server ? CERTIFICATE_DAYS : AUTHORITY_DAYS, 0,
	                        NULL) != NULL &&
	       X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC, name, -1, -1,
	                                  0) == 1 &&
	       X509_set_issuer_name(x509, X509_get_subject_name(issuer)) == 1 &&
	       X509_set_pubkey(x509, pair->key) == 1 &&
	       add_extension(x509, issuer, NID_subject_key_identifier, "hash") &&
	       (server ? add_server_extensions(x509, issuer, names) : add_authority_extensions(x509)) &&
	       X509_sign(x509, server ? authority->key : pair->key, EVP_sha256()) > 0;
}

/* Forget a pair. */
static void
free_pair(Pair *pair)
{
	X509_free(pair->x509);
	EVP_PKEY_free(pair->key);
	*pair = (Pair){0};
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

/* Write key and certificate. */
static bool
write_pair(const Pair *pair, const char *certificate, const char *key)
{
	return write_file(key, 0600, pair->key, NULL) &&
	       write_file(certificate, 0644, NULL, pair->x509);
}

/* Read a pair; false if it is not there, or its halves do not belong together. */
static bool
read_pair(Pair *pair, const char *certificate, const char *key)
{
	FILE *file = fopen(certificate, "re");

	*pair = (Pair){0};
	if (file != NULL)
	{
		pair->x509 = PEM_read_X509(file, NULL, NULL, NULL);
		fclose(file);
	}
	file = fopen(key, "re");
	if (file != NULL)
	{
		pair->key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
		fclose(file);
	}
	if (pair->x509 != NULL && pair->key != NULL &&
	    X509_check_private_key(pair->x509, pair->key) == 1)
		return true;
	ERR_clear_error();
	return false;
}

/* Does the certificate end soon? */
static bool
ends_soon(const X509 *x509)
{
	time_t soon = time(NULL) + RENEWAL_DAYS * 86400;

	return X509_cmp_time(X509_get0_notAfter(x509), &soon) < 0;
}

/* Is it one that somebody put there? */
static bool
is_anothers(X509 *x509)
{
	char name[64] = "";

	X509_NAME_get_text_by_NID(X509_get_subject_name(x509), NID_commonName, name, sizeof name);
	return strcmp(name, CERTIFICATE_NAME) != 0;
}

/* See to the authority; `anew`: those it has signed are no good any more. */
static bool
ensure_authority(Pair *authority, const CertificateFiles *files, bool *anew)
{
	*anew =
	    !read_pair(authority, files->authority, files->authority_key) || ends_soon(authority->x509);
	if (!*anew)
		return true;
	free_pair(authority);
	return make_pair(authority, NULL, NULL) &&
	       write_pair(authority, files->authority, files->authority_key);
}

/* See certificate.h. */
bool
certificate_ensure(const CertificateFiles *files, char *const *addresses, bool *made, char *problem,
                   size_t problem_size)
{
	char names[1024];
	Pair authority = {0};
	Pair pair;
	bool there = read_pair(&pair, files->certificate, files->key);
	bool anothers = there && is_anothers(pair.x509);
	bool anew = false;
	bool good = anothers;

	errno = 0;
	*made = false;
	if (!anothers && ensure_authority(&authority, files, &anew))
	{
		*made = anew || !there || ends_soon(pair.x509) ||
		        X509_verify(pair.x509, X509_get0_pubkey(authority.x509)) != 1;
		subject_names(addresses, names, sizeof names);
		if (*made)
			free_pair(&pair);
		good = !*made || (make_pair(&pair, &authority, names) &&
		                  write_pair(&pair, files->certificate, files->key));
	}
	if (!good)
		snprintf(problem, problem_size, "could not make certificate \"%s\": %s", files->certificate,
		         errno != 0 ? strerror(errno) : "OpenSSL refuses");
	ERR_clear_error();
	free_pair(&pair);
	free_pair(&authority);
	return good;
}
