/*-------------------------------------------------------------------------
 *
 * loop.h
 *	  A thread with its event loop, and errands between such threads.
 *
 * Invariants:
 *	- A handle of libuv is touched on its loop's thread only. All that goes from
 *	  one thread to another is an errand.
 *	- An errand is run once, on the loop it was posted to, in the order of
 *	  posting. It belongs to that loop until it is run; its `run` frees it or posts it on.
 *	- A loop that has ended runs no errands any more, but they may be posted to
 *	  it: a Loop lives as long as the process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_LOOP_H
#define FRESHET_LOOP_H

#include <uv.h>

typedef struct Loop Loop;
typedef struct Errand Errand;

/* The first member of what is handed over. */
struct Errand
{
	void (*run)(Errand *errand);
	Errand *next;
};

/* The loop of the process's first thread. */
extern Loop *loop_first(void);

/*
 * Another loop, and a thread of its own for it, which begins with `begin` and
 * has no signals. `ended` is called on the loop of the thread that spawned it.
 */
extern Loop *loop_make(void);
extern void
loop_spawn(Loop *loop, void (*begin)(void *owner), void (*ended)(void *owner), void *owner);

/* The loop of the calling thread, and libuv's part of a loop. */
extern Loop *loop_here(void);
extern uv_loop_t *loop_uv(Loop *loop);

extern void loop_post(Loop *loop, Errand *errand);

/* On its own thread: end when nothing but errands can happen any more. */
extern void loop_finish(Loop *loop);

/* From another thread: end now, and wait for that. */
extern void loop_stop(Loop *loop);

#endif /* FRESHET_LOOP_H */
