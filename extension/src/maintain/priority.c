/*-------------------------------------------------------------------------
 *
 * priority.c
 *	  The worker's share of the processors.
 *
 * One worker stands against all the backends that write. Where these keep every
 * processor busy, an equal share for each process leaves the worker too little
 * and views fall seconds behind; so the worker asks the kernel for more, which
 * needs CAP_SYS_NICE or a limit RLIMIT_NICE that allows it. It can do with less:
 * a refusal is no error.
 *
 * Every process of PostgreSQL is a session of its own. Linux with autogroups
 * shares the processors between sessions first, and the nice value of a process
 * counts within its session only; the session has one of its own, in /proc.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "maintain/worker.h"

#define AUTOGROUP_FILE "/proc/self/autogroup"
/* The kernel lets autogroups change ten times a second; others may change theirs. */
#define AUTOGROUP_RETRY_MS 200

/* A cycle that follows changes for so long is late, until one takes less again. */
#define LATE_US 250000
#define NO_LONGER_LATE_US 120000
/* The worker is nicer by so much less then, */
#define LATE_NICE 5
/* and by so much while readers wait for it: cycles are short then, and should begin at once. */
#define AWAITED_NICE 10

int worker_nice = -5; /* GUC, as in nice(1) */

/* Give this session a nice value; true unless that is worth another attempt. */
static bool
priority_set_autogroup(int nice)
{
	char value[16];
	int length = snprintf(value, sizeof value, "%d", nice);
	int fd = open(AUTOGROUP_FILE, O_WRONLY | O_CLOEXEC);
	bool done;

	if (fd < 0)
		return true; /* a kernel without autogroups */
	done = write(fd, value, length) == length || errno != EAGAIN;
	close(fd);
	return done;
}

/*
 * Apply freshet.worker_nice if it has changed, or less where it is below 0 and
 * writers get ahead: cycles grow longer then, the next one by what came during the
 * last; or if readers wait. following_us: how long the last cycle followed the
 * changes. awaited: a reader has waited lately. Cheap, for every turn of the worker.
 */
void
priority_apply(int64 following_us, bool awaited)
{
	static int applied = 0;
	static int64 retry_at_ms = 0;
	static bool late = false;
	int wanted = worker_nice;

	late = following_us > (late ? NO_LONGER_LATE_US : LATE_US);
	if (wanted < 0 && (late || awaited))
		wanted = Max(wanted - (awaited ? AWAITED_NICE : LATE_NICE), PRIO_MIN);
	if (wanted == applied || cut_now_ms() < retry_at_ms)
		return;
	if (setpriority(PRIO_PROCESS, 0, wanted) != 0)
		ereport(DEBUG1,
		        (errmsg("could not set the worker's nice value to %d: %m", wanted),
		         errhint("The server's processes need CAP_SYS_NICE or a limit on nice values that "
		                 "allows it.")));
	if (priority_set_autogroup(wanted))
		applied = wanted;
	else
		retry_at_ms = cut_now_ms() + AUTOGROUP_RETRY_MS;
}
