/*-------------------------------------------------------------------------
 *
 * stage.c
 *	  A user's stage, @~: a directory of files, and tokens to put one there.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/databend/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "http/json.h"

#define SECRET_SIZE 32

static unsigned char secret[SECRET_SIZE];
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

static void
make_secret(void)
{
	if (RAND_bytes(secret, sizeof secret) != 1)
		abort();
}

/* Bytes as hexadecimal digits. */
static void
write_hex(Buffer *out, const void *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buffer_printf(out, "%02x", ((const unsigned char *) bytes)[i]);
}

/* The directory of a user's stage, with a zero byte. */
static void
write_directory(Buffer *out, const char *root, const char *role)
{
	buffer_printf(out, "%s/", root);
	write_hex(out, role, strlen(role));
}

/* The path of a file; false: it has none. */
static bool
write_path(Buffer *out, const char *root, const char *role, const char *location)
{
	const char *path = location + 3;

	if (strncmp(location, "@~/", 3) != 0 || *path == '\0' || strlen(path) > STAGE_PATH ||
	    strlen(role) > 63)
		return false;
	write_directory(out, root, role);
	json_raw(out, "/f");
	for (; *path != '\0'; path++)
	{
		bool plain = (*path >= 'a' && *path <= 'z') || (*path >= 'A' && *path <= 'Z') ||
		             (*path >= '0' && *path <= '9') || *path == '-' || *path == '_' || *path == '.';

		if (plain)
			buffer_append(out, path, 1);
		else
			buffer_printf(out, "%%%02X", (unsigned char) *path);
	}
	buffer_append(out, "", 1);
	return true;
}

uint64_t stage_limit = UINT64_C(10) * 1024 * 1024 * 1024;

/* Remove files that are too old; how many are left, and their bytes. */
static int
sweep(const char *directory, uint64_t *bytes)
{
	DIR *stage = opendir(directory);
	struct dirent *entry;
	struct stat status;
	int left = 0;

	*bytes = 0;
	while (stage != NULL && (entry = readdir(stage)) != NULL)
	{
		if (entry->d_name[0] == '.' ||
		    fstatat(dirfd(stage), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (time(NULL) - status.st_mtime > STAGE_AGE)
			unlinkat(dirfd(stage), entry->d_name, 0);
		else
		{
			left++;
			*bytes += (uint64_t) status.st_size;
		}
	}
	if (stage != NULL)
		closedir(stage);
	return left;
}

/* Is a tenth of the disk free? */
static bool
has_disk(int fd)
{
	struct statvfs disk;

	return fstatvfs(fd, &disk) == 0 && disk.f_bavail > disk.f_blocks / 10;
}

bool
stage_create(StageFile *file, const char *root, const char *role, const char *location,
             const char **problem)
{
	static atomic_uint number;
	Buffer directory = {0};
	Buffer path = {0};
	uint64_t used;
	bool good = false;

	file->fd = -1;
	if (!write_path(&path, root, role, location))
	{
		*problem = "this is no path of a file in a stage";
		buffer_free(&path);
		return false;
	}
	write_directory(&directory, root, role);
	buffer_append(&directory, "", 1);
	if ((mkdir(root, 0700) != 0 && errno != EEXIST) ||
	    (mkdir(buffer_data(&directory), 0700) != 0 && errno != EEXIST))
		*problem = strerror(errno);
	else if (sweep(buffer_data(&directory), &used) >= STAGE_FILES)
		*problem = "the stage has too many files";
	else if (used >= stage_limit)
		*problem = "the stage is full";
	else if (snprintf(file->final, sizeof file->final, "%s", buffer_data(&path)) >=
	             (int) sizeof file->final ||
	         snprintf(file->temporary, sizeof file->temporary, "%s/t%u", buffer_data(&directory),
	                  atomic_fetch_add(&number, 1)) >= (int) sizeof file->temporary)
		*problem = "the path is too long";
	else
	{
		file->fd =
		    open(file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
		good = file->fd >= 0;
		file->room = stage_limit - used;
		if (!good)
			*problem = strerror(errno);
	}
	buffer_free(&directory);
	buffer_free(&path);
	return good;
}

bool
stage_write(StageFile *file, const char *bytes, size_t count)
{
	if (count > file->room || !has_disk(file->fd))
		return false;
	file->room -= count;
	while (count > 0)
	{
		ssize_t written = write(file->fd, bytes, count);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		bytes += written;
		count -= (size_t) written;
	}
	return true;
}

/* Files that came at the same time may be too much together. */
bool
stage_commit(StageFile *file)
{
	char directory[sizeof file->final];
	uint64_t used;
	bool good = close(file->fd) == 0;

	snprintf(directory, sizeof directory, "%.*s", (int) (strrchr(file->final, '/') - file->final),
	         file->final);
	sweep(directory, &used);
	good = good && used <= stage_limit && rename(file->temporary, file->final) == 0;
	file->fd = -1;
	if (!good)
		unlink(file->temporary);
	return good;
}

void
stage_abandon(StageFile *file)
{
	if (file->fd < 0)
		return;
	close(file->fd);
	unlink(file->temporary);
	file->fd = -1;
}

int
stage_open(const char *root, const char *role, const char *location)
{
	Buffer path = {0};
	int fd = -1;

	if (write_path(&path, root, role, location))
		fd = open(buffer_data(&path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	buffer_free(&path);
	return fd;
}

void
stage_remove(const char *root, const char *role, const char *location)
{
	Buffer path = {0};

	if (write_path(&path, root, role, location))
		unlink(buffer_data(&path));
	buffer_free(&path);
}

/* The signature of what a token says. */
static void
sign(const char *text, size_t length, unsigned char signature[SECRET_SIZE])
{
	unsigned int size = SECRET_SIZE;

	pthread_once(&secret_once, make_secret);
	if (HMAC(EVP_sha256(), secret, sizeof secret, (const unsigned char *) text, length, signature,
	         &size) == NULL)
		abort();
}

/* expires-role-location-signature, all in hexadecimal digits */
void
stage_token_write(Buffer *out, const char *role, const char *location, int64_t expires)
{
	unsigned char signature[SECRET_SIZE];
	size_t begin = out->length;

	buffer_printf(out, "%llx-", (unsigned long long) expires);
	write_hex(out, role, strlen(role));
	json_raw(out, "-");
	write_hex(out, location, strlen(location));
	sign(buffer_data(out) + begin, out->length - begin, signature);
	json_raw(out, "-");
	write_hex(out, signature, sizeof signature);
}

/* Hexadecimal digits as text; NULL: they are none, or say a zero byte. */
static char *
read_hex(const char *from, size_t length)
{
	char *text = calloc(1, length / 2 + 1);

	if (text == NULL)
		abort();
	for (size_t i = 0; i + 1 < length; i += 2)
	{
		char digits[3] = {from[i], from[i + 1], '\0'};
		char *end;

		text[i / 2] = (char) strtol(digits, &end, 16);
		if (end != digits + 2 || text[i / 2] == '\0')
		{
			free(text);
			return NULL;
		}
	}
	return text;
}

bool
stage_token_read(const char *token, char **role, char **location)
{
	const char *first = strchr(token, '-');
	const char *second = first != NULL ? strchr(first + 1, '-') : NULL;
	const char *last = second != NULL ? strchr(second + 1, '-') : NULL;
	unsigned char signature[SECRET_SIZE];
	Buffer expected = {0};
	bool good;

	*role = *location = NULL;
	if (last == NULL)
		return false;
	sign(token, (size_t) (last - token), signature);
	write_hex(&expected, signature, sizeof signature);
	good = strlen(last + 1) == expected.length &&
	       CRYPTO_memcmp(last + 1, buffer_data(&expected), expected.length) == 0 &&
	       (int64_t) strtoll(token, NULL, 16) > (int64_t) time(NULL);
	buffer_free(&expected);
	if (!good)
		return false;
	*role = read_hex(first + 1, (size_t) (second - first - 1));
	*location = read_hex(second + 1, (size_t) (last - second - 1));
	if (*role != NULL && *location != NULL)
		return true;
	free(*role);
	free(*location);
	return false;
}
