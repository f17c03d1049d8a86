/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  The configuration files of the embedded PostgreSQL.
 *
 * Who may enter: PostgreSQL sees the door, not the client. So
 *	- the unix socket is the server's own: `peer` lets only the server's account (and
 *	  root) in, and only as the roles of pg_ident.conf. Of clients only one on this machine that
 *	  names a trusted role is connected by it;
 *	- every other client is connected by TCP from PASSWORD_SOURCE, where everybody
 *	  proves a password by SCRAM.
 * The socket's directory is the server's alone, so nobody else on the machine
 * reaches the first rule.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres/settings.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "net/buffer.h"
#include "tls/tls.h"

#define MEGABYTE ((unsigned long long) 1024 * 1024)

/* Owners of sources, as whom the server writes. */
static char **owners;
static size_t owner_count;

/* Less POSIX shared memory than this is not enough. */
#define SHARED_MEMORY_LEAST (256 * MEGABYTE)

/* Write the text, and free it. */
static bool
write_text(const char *directory, const char *name, Buffer *text, char *problem)
{
	char path[DIRECTORY_PATH + 64];
	bool good;

	buffer_append(text, "", 1);
	snprintf(path, sizeof path, "%s/%s", directory, name);
	good = directory_write(path, 0600, buffer_data(text));
	if (!good)
		snprintf(problem, DIRECTORY_PROBLEM, "could not write \"%s\": %s", path, strerror(errno));
	buffer_free(text);
	return good;
}

/* A number in a file of the system, or 0. */
static unsigned long long
read_limit(const char *path)
{
	unsigned long long limit = 0;
	FILE *file = fopen(path, "re");

	if (file == NULL)
		return 0;
	if (fscanf(file, "%llu", &limit) != 1)
		limit = 0;
	fclose(file);
	return limit;
}

/* Memory of this machine, or of the container if that has less, in MB. */
static unsigned long long
memory_megabytes(void)
{
	unsigned long long bytes =
	    (unsigned long long) sysconf(_SC_PHYS_PAGES) * (unsigned long long) sysconf(_SC_PAGESIZE);
	unsigned long long limits[2];
	size_t i;

	limits[0] = read_limit("/sys/fs/cgroup/memory.max");
	limits[1] = read_limit("/sys/fs/cgroup/memory/memory.limit_in_bytes");
	for (i = 0; i < 2; i++)
		if (limits[i] > 0 && limits[i] < bytes)
			bytes = limits[i];
	return bytes / MEGABYTE;
}

/* A value between two bounds. */
static unsigned long long
clamp(unsigned long long value, unsigned long long least, unsigned long long most)
{
	return value < least ? least : value > most ? most : value;
}

/*
 * Containers often have next to no room for POSIX shared memory, which parallel
 * queries use; System V's has no such limit.
 */
static const char *
shared_memory_type(void)
{
	struct statvfs status;

	if (statvfs("/dev/shm", &status) == 0 &&
	    (unsigned long long) status.f_blocks * status.f_frsize >= SHARED_MEMORY_LEAST)
		return "posix";
	return "sysv";
}

/*
 * WAL that a slot may hold back, a worker that stands still too: a tenth of the disk. What
 * was held back longer is given up, and views are computed anew.
 */
static unsigned long long
wal_share_megabytes(const char *pgdata)
{
	struct statvfs status;

	if (statvfs(pgdata, &status) != 0)
		return 1024;
	return clamp((unsigned long long) status.f_blocks * status.f_frsize / MEGABYTE / 10, 64, 65536);
}

/* What suits this machine. */
static bool
write_settings(const Directory *directory, const Config *config, char *problem)
{
	unsigned long long memory = memory_megabytes();
	Buffer text = {0};

	buffer_printf(&text, "# Written by freshet at every start; change postgresql.conf instead.\n");
	buffer_printf(&text, "shared_preload_libraries = 'freshet'\n");
	buffer_printf(&text, "freshet.create_extension = on\n");
	buffer_printf(&text, "max_connections = %d\n", config->max_connections);
	buffer_printf(&text, "shared_buffers = %lluMB\n", clamp(memory / 4, 32, 16384));
	buffer_printf(&text, "effective_cache_size = %lluMB\n",
	              clamp(memory / 4 * 3, 128, 1024 * 1024));
	buffer_printf(&text, "maintenance_work_mem = %lluMB\n", clamp(memory / 16, 16, 2048));
	buffer_printf(&text, "work_mem = %lluMB\n", clamp(memory / 256, 4, 64));
	buffer_printf(&text, "dynamic_shared_memory_type = %s\n", shared_memory_type());
	buffer_printf(&text, "wal_level = replica\n");
	buffer_printf(&text, "max_wal_senders = 10\n");
	buffer_printf(&text, "max_replication_slots = 32\n");
	buffer_printf(&text, "max_slot_wal_keep_size = %lluMB\n",
	              wal_share_megabytes(directory->pgdata));
	buffer_printf(&text, "max_worker_processes = 64\n");
	buffer_printf(&text, "max_prepared_transactions = 64\n");
	buffer_printf(&text, "max_wal_size = 4GB\n");
	buffer_printf(&text, "min_wal_size = 256MB\n");
	buffer_printf(&text, "random_page_cost = 1.1\n");
	buffer_printf(&text, "password_encryption = scram-sha-256\n");
	buffer_printf(&text, "ssl_ciphers = '" TLS_CIPHERS "'\n");
	buffer_printf(&text, "timezone = 'UTC'\n");
	buffer_printf(&text, "log_timezone = 'UTC'\n");
	buffer_printf(&text, "lc_messages = 'C'\n");
	buffer_printf(&text, "default_text_search_config = 'pg_catalog.english'\n");
	buffer_printf(&text, "logging_collector = on\n");
	buffer_printf(&text, "log_directory = '../log'\n");
	buffer_printf(&text, "log_filename = 'postgresql-%%a.log'\n");
	buffer_printf(&text, "log_rotation_age = 1d\n");
	buffer_printf(&text, "log_rotation_size = 0\n");
	buffer_printf(&text, "log_truncate_on_rotation = on\n");
	buffer_printf(&text, "log_line_prefix = '%%m [%%p] %%q%%u@%%d '\n");
	return write_text(directory->pgdata, "freshet.conf", &text, problem);
}

/* A name as pg_hba.conf and pg_ident.conf want it. */
static void
add_quoted(Buffer *text, const char *name)
{
	buffer_printf(text, "\"");
	for (; *name != '\0'; name++)
	{
		if (*name == '"')
			buffer_append(text, name, 1);
		buffer_append(text, name, 1);
	}
	buffer_printf(text, "\"");
}

/* One rule, for databases and for replication; NULL for all roles. */
static void
add_rule(Buffer *text, const char *type, char *const *roles, const char *address,
         const char *method)
{
	static const char *const what[] = {"all", "replication"};
	size_t i;
	size_t j;

	for (i = 0; i < 2; i++)
	{
		buffer_printf(text, "%s %s ", type, what[i]);
		for (j = 0; roles != NULL && roles[j] != NULL; j++)
		{
			buffer_printf(text, "%s", j > 0 ? "," : "");
			add_quoted(text, roles[j]);
		}
		buffer_printf(text, "%s %s %s\n", roles ? "" : "all", address, method);
	}
}

/* Who may enter how. */
static bool
write_rules(const Directory *directory, const Config *config, char *problem)
{
	char *const *trusted = config->trusted_role_list;
	Buffer text = {0};

	buffer_printf(&text,
	              "# Written by freshet at every start; see trusted_roles in freshet.conf.\n");
	add_rule(&text, "local", NULL, "", "peer map=freshet");
	add_rule(&text, "host", NULL, PASSWORD_SOURCE "/32", "scram-sha-256");
	if (config->native_port != 0 && config->trusting_native && trusted[0] != NULL)
	{
		add_rule(&text, "host", trusted, "127.0.0.0/8", "trust");
		add_rule(&text, "host", trusted, "::1/128", "trust");
	}
	add_rule(&text, "host", NULL, "all", "scram-sha-256");
	return write_text(directory->pgdata, "pg_hba.conf", &text, problem);
}

/* The server's account, and root, may be the role through the socket. */
static void
add_role(Buffer *text, const char *account, const char *role)
{
	const char *const accounts[] = {account, "root"};
	size_t i;

	for (i = 0; i < 2; i++)
	{
		buffer_printf(text, "freshet ");
		add_quoted(text, accounts[i]);
		buffer_printf(text, " ");
		add_quoted(text, role);
		buffer_printf(text, "\n");
	}
}

/* As whom the server may come through the socket. */
static bool
write_accounts(const Directory *directory, const Config *config, char *problem)
{
	const struct passwd *account = getpwuid(geteuid());
	Buffer text = {0};
	size_t i;

	if (account == NULL)
	{
		snprintf(problem, DIRECTORY_PROBLEM, "user %d has no name, which PostgreSQL needs",
		         (int) geteuid());
		return false;
	}
	buffer_printf(&text, "# Written by freshet at every start and with every owner of a source.\n");
	add_role(&text, account->pw_name, SERVER_ROLE);
	for (i = 0; config->trusted_role_list[i] != NULL; i++)
		add_role(&text, account->pw_name, config->trusted_role_list[i]);
	for (i = 0; i < owner_count; i++)
		add_role(&text, account->pw_name, owners[i]);
	return write_text(directory->pgdata, "pg_ident.conf", &text, problem);
}

/* Is the name among these? */
static bool
is_among(char *const *names, size_t count, const char *name)
{
	size_t i;

	for (i = 0; i < count && names[i] != NULL; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/*
 * The server comes through the socket as this role too; if it is added, once
 * PostgreSQL has read its configuration again. False: the name does not fit into a line.
 */
bool
accounts_add(const Directory *directory, const Config *config, const char *role, bool *added)
{
	char problem[DIRECTORY_PROBLEM];

	*added = false;
	if (strcmp(role, SERVER_ROLE) == 0 || is_among(config->trusted_role_list, SIZE_MAX, role) ||
	    is_among(owners, owner_count, role))
		return true;
	if (strpbrk(role, "\n\r") != NULL)
		return false;
	*added = true;
	owners = realloc(owners, (owner_count + 1) * sizeof *owners);
	if (owners == NULL || (owners[owner_count++] = strdup(role)) == NULL)
		abort();
	return write_accounts(directory, config, problem);
}

/* The files written at every start. */
bool
settings_write(const Directory *directory, const Config *config, char problem[DIRECTORY_PROBLEM])
{
	size_t i;

	for (i = 0; config->trusted_role_list[i] != NULL; i++)
		if (strpbrk(config->trusted_role_list[i], "\"\n\r") != NULL)
		{
			snprintf(problem, DIRECTORY_PROBLEM, "invalid name of a role in trusted_roles");
			return false;
		}
	return write_settings(directory, config, problem) && write_rules(directory, config, problem) &&
	       write_accounts(directory, config, problem);
}

/* The file that is the user's from then on. */
bool
settings_write_first(const char *pgdata, char problem[DIRECTORY_PROBLEM])
{
	Buffer text = {0};

	buffer_printf(&text, "# What suits this machine. Settings below it win.\n");
	buffer_printf(&text, "include_if_exists = 'freshet.conf'\n");
	return write_text(pgdata, "postgresql.conf", &text, problem);
}
