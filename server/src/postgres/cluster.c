/*-------------------------------------------------------------------------
 *
 * cluster.c
 *	  The embedded PostgreSQL: started, watched, stopped.
 *
 * Whether the postmaster takes connections is read from postmaster.pid, where it
 * says so itself in the eighth line; asking it by connecting would cost a backend each time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres/cluster.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "main/log.h"
#include "postgres/program.h"

/* How often postmaster.pid is looked at while it starts. */
#define LOOK_MS 10

/* Pauses before starting again what has crashed. */
#define PAUSE_FIRST_MS 100
#define PAUSE_LONGEST_MS 10000

/* Up for so long, a postmaster counts as healthy again. */
#define HEALTHY_MS 60000

/*
 * A fast shutdown waits for backends. Those have so long to leave; the last checkpoint, which
 * is what loses no time at the next start, has longer. Then the shutdown is an immediate one, and then
 * all processes are killed.
 */
#define STOP_MS 5000
#define STOP_CHECKPOINT_MS 60000
#define STOP_KILL_MS 8000

/* How often it is looked whether backends are left. */
#define STOP_LOOK_MS 250

/* How long the postmaster of a killed server may take to end, fast and then immediately. */
#define PREDECESSOR_MS 30000

/* Processes of PostgreSQL that are looked at. */
#define CHILDREN_MAX 4096

/* How often a first start is tried while backends of a dead postmaster still end. */
#define ORPHAN_TRIES 50
#define ORPHAN_PAUSE_MS 200

typedef enum ClusterState
{
	CLUSTER_STARTING,
	CLUSTER_UP,
	CLUSTER_PAUSING, /* crashed; to be started again */
	CLUSTER_STOPPING,
	CLUSTER_STOPPED
} ClusterState;

struct Cluster
{
	uv_loop_t *loop;
	const Directory *directory;
	const Config *config;
	char *addresses;
	int port;
	const ClusterEvents *events;
	void *owner;
	ClusterState state;
	bool was_up;
	bool stopping_immediately;
	uint64_t stopping_since;
	int orphan_tries;
	uint64_t pause;
	uint64_t up_since;
	pid_t postmaster;
	uv_signal_t child;
	uv_timer_t timer;
	int open_handles;
};

static void timer_ran_out(uv_timer_t *timer);

/* The process in postmaster.pid if it runs PostgreSQL in this directory, else 0. */
static pid_t
predecessor(const Directory *directory)
{
	char path[DIRECTORY_PATH + 64];
	char link[64];
	char place[PATH_MAX];
	ssize_t length;
	FILE *file;
	int pid = 0;

	snprintf(path, sizeof path, "%s/postmaster.pid", directory->pgdata);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	if (fscanf(file, "%d", &pid) != 1)
		pid = 0;
	fclose(file);
	if (pid <= 0)
		return 0;
	snprintf(link, sizeof link, "/proc/%d/cwd", pid);
	length = readlink(link, place, sizeof place - 1);
	if (length < 0)
		return 0;
	place[length] = '\0';
	return strcmp(place, directory->pgdata) == 0 ? pid : 0;
}

/* The sockets of a dead postmaster, and what marks them as in use. */
static void
remove_sockets(const Directory *directory)
{
	DIR *dir = opendir(directory->sockets);
	struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
		if (strncmp(entry->d_name, ".s.PGSQL.", 9) == 0)
			unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
}

/*
 * Nobody runs PostgreSQL here, but the number in postmaster.pid may be that of
 * another process by now, or of a zombie, and PostgreSQL would not start beside it. Its
 * parent's number it does not mind; the rest of the file tells it whether
 * backends of the dead postmaster are still there, so it must stay.
 */
static bool
clear_traces(const Directory *directory, char *problem)
{
	char path[DIRECTORY_PATH + 64];
	char text[2048];
	char anew[2112];
	const char *rest;
	size_t length;
	FILE *file;

	remove_sockets(directory);
	snprintf(path, sizeof path, "%s/postmaster.pid", directory->pgdata);
	file = fopen(path, "re");
	if (file == NULL)
		return true;
	length = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[length] = '\0';
	rest = strchr(text, '\n');
	if (rest == NULL)
		return true;
	snprintf(anew, sizeof anew, "%d%s", (int) getpid(), rest);
	if (directory_write(path, 0600, anew))
		return true;
	snprintf(problem, DIRECTORY_PROBLEM, "could not write \"%s\": %s", path, strerror(errno));
	return false;
}

/*
 * Wait until the postmaster of a server that was killed has ended. Where the
 * system cannot tell, PostgreSQL itself refuses to start beside it.
 */
bool
cluster_await_predecessor(const Directory *directory, char problem[DIRECTORY_PROBLEM])
{
	static const int signals[] = {SIGINT, SIGQUIT};
	pid_t pid = predecessor(directory);
	struct pollfd end = {.events = POLLIN};
	size_t i;

	if (pid == 0)
		return clear_traces(directory, problem);
	end.fd = (int) syscall(SYS_pidfd_open, pid, 0);
	if (end.fd < 0)
		return true;
	log_line("waiting for the PostgreSQL of an earlier server (process %d) to end", (int) pid);
	for (i = 0; i < sizeof signals / sizeof signals[0]; i++)
	{
		kill(pid, signals[i]);
		if (poll(&end, 1, PREDECESSOR_MS) > 0)
		{
			close(end.fd);
			return clear_traces(directory, problem);
		}
	}
	close(end.fd);
	snprintf(problem, DIRECTORY_PROBLEM, "the PostgreSQL of an earlier server does not end");
	return false;
}

/* Fork the postmaster. */
static void
launch(Cluster *cluster)
{
	const Directory *directory = cluster->directory;
	char postgres[2048];
	char log[DIRECTORY_PATH + 64];
	char sockets[DIRECTORY_PATH + 64];
	char addresses[1024];
	char port[32];
	char certificate[DIRECTORY_PATH + 64];
	char key[DIRECTORY_PATH + 64];
	bool ssl = cluster->config->native_port != 0;
	char *arguments[] = {
	    postgres, "-D", (char *) directory->pgdata, "-c",        sockets, "-c", addresses,
	    "-c",     port, ssl ? "-c" : NULL,          certificate, "-c",    key,  "-c",
	    "ssl=on", NULL};

	program_path(cluster->config->postgres_bin, "postgres", postgres, sizeof postgres);
	snprintf(log, sizeof log, "%s/start.log", directory->log);
	snprintf(sockets, sizeof sockets, "unix_socket_directories=\"%s\"", directory->sockets);
	snprintf(addresses, sizeof addresses, "listen_addresses=%s", cluster->addresses);
	snprintf(port, sizeof port, "port=%d", cluster->port);
	snprintf(certificate, sizeof certificate, "ssl_cert_file=%s",
	         cluster->config->tls_cert ? cluster->config->tls_cert : directory->certificate);
	snprintf(key, sizeof key, "ssl_key_file=%s",
	         cluster->config->tls_key ? cluster->config->tls_key : directory->key);
	unlink(log);
	cluster->postmaster = program_start(arguments, log, SIGINT);
	if (cluster->postmaster > 0)
	{
		cluster->state = CLUSTER_STARTING;
		uv_timer_start(&cluster->timer, timer_ran_out, LOOK_MS, LOOK_MS);
		return;
	}
	log_line("could not start a process: %s", strerror(errno));
	cluster->state = CLUSTER_PAUSING;
	uv_timer_start(&cluster->timer, timer_ran_out, PAUSE_LONGEST_MS, 0);
}

/* Why the postmaster did not start: the last FATAL line of its logs. */
static void
find_reason(const Cluster *cluster, char *reason, size_t size)
{
	char path[DIRECTORY_PATH + 128];
	char name[65];
	FILE *current;

	snprintf(path, sizeof path, "%s/start.log", cluster->directory->log);
	if (program_last_line(path, "FATAL:", reason, size))
		return;
	snprintf(path, sizeof path, "%s/current_logfiles", cluster->directory->pgdata);
	current = fopen(path, "re");
	if (current != NULL)
	{
		if (fscanf(current, "stderr ../log/%64s", name) == 1)
		{
			snprintf(path, sizeof path, "%s/%s", cluster->directory->log, name);
			if (program_last_line(path, "FATAL:", reason, size))
			{
				fclose(current);
				return;
			}
		}
		fclose(current);
	}
	snprintf(reason, size, "see its log in \"%.512s\"", cluster->directory->log);
}

/* Does the postmaster say that it takes connections? */
static bool
says_ready(const Cluster *cluster)
{
	char path[DIRECTORY_PATH + 64];
	char line[DIRECTORY_PATH + 64];
	bool ready = false;
	int number;
	FILE *file;

	snprintf(path, sizeof path, "%s/postmaster.pid", cluster->directory->pgdata);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	for (number = 1; fgets(line, sizeof line, file) != NULL; number++)
	{
		if (number == 1 && atoi(line) != cluster->postmaster)
			break;
		if (number == 8)
			ready = strncmp(line, "ready", 5) == 0;
	}
	fclose(file);
	return ready;
}

/* The postmaster's children; at most so many. */
static size_t
find_children(const Cluster *cluster, pid_t *children, size_t room)
{
	char path[64];
	size_t count = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int) cluster->postmaster,
	         (int) cluster->postmaster);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	while (count < room && fscanf(file, "%d", &children[count]) == 1)
		count++;
	fclose(file);
	return count;
}

/* Is this the process that writes the last checkpoint, or one that stays until it is written? */
static bool
is_checkpointing(pid_t child)
{
	static const char *const titles[] = {"checkpointer", "logger", "walsender", "archiver"};
	char path[64];
	char title[256];
	size_t i;

	snprintf(path, sizeof path, "/proc/%d/cmdline", (int) child);
	directory_read_line(path, title, sizeof title);
	for (i = 0; i < sizeof titles / sizeof titles[0]; i++)
		if (strstr(title, titles[i]) != NULL)
			return true;
	return title[0] == '\0';
}

/* Do all that are left only wait for the last checkpoint? */
static bool
only_checkpoints(const Cluster *cluster)
{
	pid_t children[CHILDREN_MAX];
	size_t count = find_children(cluster, children, CHILDREN_MAX);

	while (count > 0 && is_checkpointing(children[count - 1]))
		count--;
	return count == 0;
}

/* End every process of it. */
static void
kill_all(const Cluster *cluster)
{
	pid_t children[CHILDREN_MAX];
	size_t count;

	/* stopped, it starts no more of them */
	kill(cluster->postmaster, SIGSTOP);
	count = find_children(cluster, children, CHILDREN_MAX);
	while (count > 0)
		kill(children[--count], SIGKILL);
	kill(cluster->postmaster, SIGKILL);
}

/* It has been told to stop and has not stopped yet. */
static void
stop_again(Cluster *cluster)
{
	uint64_t waited = uv_now(cluster->loop) - cluster->stopping_since;

	if (!cluster->stopping_immediately && waited >= STOP_MS &&
	    (waited >= STOP_CHECKPOINT_MS || !only_checkpoints(cluster)))
	{
		log_line("PostgreSQL does not stop; what it does is broken off");
		cluster_stop(cluster, true);
	}
	else if (cluster->stopping_immediately && waited >= STOP_KILL_MS)
	{
		log_line("PostgreSQL does not stop; its processes are killed");
		kill_all(cluster);
	}
}

/* Time to look, to start again, or to lose patience. */
static void
timer_ran_out(uv_timer_t *timer)
{
	Cluster *cluster = timer->data;

	if (cluster->state == CLUSTER_STARTING && says_ready(cluster))
	{
		uv_timer_stop(timer);
		cluster->state = CLUSTER_UP;
		cluster->was_up = true;
		cluster->up_since = uv_now(cluster->loop);
		cluster->events->up(cluster->owner);
	}
	else if (cluster->state == CLUSTER_PAUSING)
		launch(cluster);
	else if (cluster->state == CLUSTER_STOPPING)
		stop_again(cluster);
}

/* The postmaster ended by itself before it was ever up. */
static void
first_start_failed(Cluster *cluster)
{
	char reason[1024];
	char problem[1280];

	find_reason(cluster, reason, sizeof reason);
	if (strstr(reason, "shared memory block") != NULL && cluster->orphan_tries++ < ORPHAN_TRIES)
	{
		cluster->state = CLUSTER_PAUSING;
		uv_timer_start(&cluster->timer, timer_ran_out, ORPHAN_PAUSE_MS, 0);
		return;
	}
	cluster->state = CLUSTER_STOPPED;
	snprintf(problem, sizeof problem, "PostgreSQL did not start: %s", reason);
	cluster->events->failed(cluster->owner, problem);
}

/* Some child ended: the postmaster? */
static void
child_ended(uv_signal_t *handle, int signal_number)
{
	Cluster *cluster = handle->data;
	bool was_up = cluster->state == CLUSTER_UP;
	int status;

	(void) signal_number;
	if (cluster->postmaster <= 0 || waitpid(cluster->postmaster, &status, WNOHANG) <= 0)
		return;
	cluster->postmaster = 0;
	uv_timer_stop(&cluster->timer);
	if (cluster->state == CLUSTER_STOPPING)
	{
		cluster->state = CLUSTER_STOPPED;
		cluster->events->stopped(cluster->owner);
		return;
	}
	if (!cluster->was_up)
	{
		first_start_failed(cluster);
		return;
	}
	if (was_up && uv_now(cluster->loop) - cluster->up_since > HEALTHY_MS)
		cluster->pause = PAUSE_FIRST_MS;
	log_line("PostgreSQL ended unexpectedly (%s %d); starting it again in %llu ms",
	         WIFSIGNALED(status) ? "signal" : "status",
	         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
	         (unsigned long long) cluster->pause);
	cluster->state = CLUSTER_PAUSING;
	uv_timer_start(&cluster->timer, timer_ran_out, cluster->pause, 0);
	cluster->pause = cluster->pause * 2 < PAUSE_LONGEST_MS ? cluster->pause * 2 : PAUSE_LONGEST_MS;
	if (was_up)
		cluster->events->down(cluster->owner);
}

/* Start the postmaster and watch it from now on. */
Cluster *
cluster_start(uv_loop_t *loop, const Directory *directory, const Config *config,
              const char *addresses, int port, const ClusterEvents *events, void *owner)
{
	Cluster *cluster = calloc(1, sizeof *cluster);

	if (cluster == NULL || (cluster->addresses = strdup(addresses)) == NULL)
		abort();
	cluster->loop = loop;
	cluster->directory = directory;
	cluster->config = config;
	cluster->port = port;
	cluster->events = events;
	cluster->owner = owner;
	cluster->pause = PAUSE_FIRST_MS;
	cluster->open_handles = 2;
	uv_signal_init(loop, &cluster->child);
	cluster->child.data = cluster;
	uv_signal_start(&cluster->child, child_ended, SIGCHLD);
	uv_timer_init(loop, &cluster->timer);
	cluster->timer.data = cluster;
	launch(cluster);
	return cluster;
}

/* Have it read its configuration again. */
void
cluster_reload(Cluster *cluster)
{
	if (cluster->postmaster > 0)
		kill(cluster->postmaster, SIGHUP);
}

/* There is nothing to stop: say so from the loop. */
static void
report_stopped(uv_timer_t *timer)
{
	Cluster *cluster = timer->data;

	cluster->state = CLUSTER_STOPPED;
	cluster->events->stopped(cluster->owner);
}

/* Stop it: fast, which loses nothing, or immediately, which leaves recovery to the next start. */
void
cluster_stop(Cluster *cluster, bool immediately)
{
	if (cluster->state == CLUSTER_STOPPED)
		return;
	cluster->state = CLUSTER_STOPPING;
	cluster->stopping_immediately = immediately;
	cluster->stopping_since = uv_now(cluster->loop);
	if (cluster->postmaster <= 0)
	{
		uv_timer_start(&cluster->timer, report_stopped, 0, 0);
		return;
	}
	kill(cluster->postmaster, immediately ? SIGQUIT : SIGINT);
	uv_timer_start(&cluster->timer, timer_ran_out, STOP_LOOK_MS, STOP_LOOK_MS);
}

/* Both handles must be closed before the memory goes. */
static void
handle_closed(uv_handle_t *handle)
{
	Cluster *cluster = handle->data;

	if (--cluster->open_handles > 0)
		return;
	free(cluster->addresses);
	free(cluster);
}

/* Forget a cluster that has stopped or failed. */
void
cluster_free(Cluster *cluster)
{
	uv_close((uv_handle_t *) &cluster->child, handle_closed);
	uv_close((uv_handle_t *) &cluster->timer, handle_closed);
}
