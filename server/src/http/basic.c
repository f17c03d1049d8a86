/*-------------------------------------------------------------------------
 *
 * basic.c
 *	  Authorization: Basic. See basic.h.
 *
 *-------------------------------------------------------------------------
 */
#include "http/basic.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "net/buffer.h"

#define BASIC_MAX 1024

bool
http_basic(const char *authorization, char **user, char **password)
{
	unsigned char decoded[BASIC_MAX + 1];
	const char *encoded = authorization + 6;
	size_t length;
	bool good;
	char *colon;
	int count;

	if (strncasecmp(authorization, "Basic ", 6) != 0)
		return false;
	encoded += strspn(encoded, " ");
	length = strlen(encoded);
	/* OpenSSL takes "=" for zeroes, however many there are */
	if (length > BASIC_MAX || length % 4 != 0 || strcspn(encoded, "=") + 2 < length)
		return false;
	count = EVP_DecodeBlock(decoded, (const unsigned char *) encoded, (int) length);
	if (count < 0)
		return false;
	count -= (int) (length - strcspn(encoded, "="));
	decoded[count] = '\0';
	colon = memchr(decoded, ':', (size_t) count);
	good = colon != NULL && strlen((char *) decoded) == (size_t) count;
	if (good)
	{
		*colon = '\0';
		*user = copy_string((char *) decoded);
		*password = copy_string(colon + 1);
	}
	OPENSSL_cleanse(decoded, sizeof decoded);
	return good;
}
