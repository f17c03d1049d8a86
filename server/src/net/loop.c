/*-------------------------------------------------------------------------
 *
 * loop.c
 *	  A thread with its event loop, and errands between such threads.
 *
 *-------------------------------------------------------------------------
 */
#include "net/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>

struct Loop
{
	uv_loop_t uv;
	uv_async_t wake;
	uv_thread_t thread;
	Loop *spawner;
	void (*begin)(void *owner);
	void (*ended)(void *owner);
	void *owner;
	Errand stopping;
	Errand ending;

	pthread_mutex_t mutex; /* of the errands */
	Errand *first;
	Errand *last;
};

static _Thread_local Loop *here;

/* Run what was handed over; what is posted meanwhile waits for the next turn. */
static void
run_errands(uv_async_t *wake)
{
	Loop *loop = wake->data;
	Errand *errand;

	pthread_mutex_lock(&loop->mutex);
	errand = loop->first;
	loop->first = NULL;
	loop->last = NULL;
	pthread_mutex_unlock(&loop->mutex);
	while (errand != NULL)
	{
		Errand *next = errand->next;

		errand->run(errand);
		errand = next;
	}
}

/* A loop no thread runs yet. */
Loop *
loop_make(void)
{
	Loop *loop = calloc(1, sizeof *loop);

	if (loop == NULL || uv_loop_init(&loop->uv) != 0 ||
	    uv_async_init(&loop->uv, &loop->wake, run_errands) != 0)
		abort();
	loop->wake.data = loop;
	pthread_mutex_init(&loop->mutex, NULL);
	return loop;
}

/* The loop of the process's first thread; to be called there. */
Loop *
loop_first(void)
{
	here = loop_make();
	return here;
}

/* On the spawner's loop: a thread's loop has ended. */
static void
tell_ended(Errand *errand)
{
	Loop *loop = (Loop *) ((char *) errand - offsetof(Loop, ending));

	loop->ended(loop->owner);
}

/* The life of a thread. */
static void
live(void *argument)
{
	Loop *loop = argument;

	here = loop;
	loop->begin(loop->owner);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	loop->ending.run = tell_ended;
	loop_post(loop->spawner, &loop->ending);
}

/* Start a thread. Signals are for the first one. */
void
loop_spawn(Loop *loop, void (*begin)(void *owner), void (*ended)(void *owner), void *owner)
{
	sigset_t all;
	sigset_t before;

	loop->spawner = here;
	loop->begin = begin;
	loop->ended = ended;
	loop->owner = owner;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (uv_thread_create(&loop->thread, live, loop) != 0)
		abort();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The loop of the calling thread. */
Loop *
loop_here(void)
{
	return here;
}

/* For libuv's functions, on the loop's thread. */
uv_loop_t *
loop_uv(Loop *loop)
{
	return &loop->uv;
}

/* Hand an errand over. */
void
loop_post(Loop *loop, Errand *errand)
{
	errand->next = NULL;
	pthread_mutex_lock(&loop->mutex);
	if (loop->last != NULL)
		loop->last->next = errand;
	else
		loop->first = errand;
	loop->last = errand;
	pthread_mutex_unlock(&loop->mutex);
	uv_async_send(&loop->wake);
}

/* Errands alone do not keep the loop running any more. */
void
loop_finish(Loop *loop)
{
	uv_unref((uv_handle_t *) &loop->wake);
}

/* Leave the loop whatever is left to do. */
static void
stop_here(Errand *errand)
{
	(void) errand;
	uv_stop(&here->uv);
}

/* End a loop's thread. */
void
loop_stop(Loop *loop)
{
	loop->stopping.run = stop_here;
	loop_post(loop, &loop->stopping);
	uv_thread_join(&loop->thread);
}
