/* SPDX-License-Identifier: MIT */
/*
 * callbacks: what an application wants to be told of a task, and who tells it.
 *
 *     start, end (under the pool's lock) ---> queue ---> one caller at a time, no lock held
 *
 * What is told of is put into one queue when it happens, so the order is that of the events. It is taken
 * out by a thread of its own (LIBPOOL_CALLBACKS) or by libpool_dispatch (LIBPOOL_NO_THREAD), and what is
 * left by libpool_close. Nothing is allocated then: a task that has callbacks brings its places in the
 * queue along, and the pool's share of its future is given back when the last of them was made.
 *
 * A callback may do all that the application may, also close the pool: the caller learns that from a
 * word on its own stack, and touches nothing of the pool any more.
 */
#ifndef LP_CALLBACKS_H
#define LP_CALLBACKS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <libpool.h>

struct lp_callback_link {
    struct lp_callback *of;
    struct lp_callback_link *next;
};

/* Beside a future that has any; lives as long. */
struct lp_callback {
    libpool_future *future;
    libpool_callback *started, *done; /* either may be NULL */
    void *arg;
    bool told;     /* its start is in the queue, or was */
    bool detached; /* submitted without a future: nothing of it is the application's to free */
    struct lp_callback_link start, end;
};

/* Under the pool's lock. */
struct lp_callbacks {
    struct lp_callback_link *first, *last;
    uint32_t waiting; /* how many are in the queue */
    bool used;        /* some task had one: else there is nothing to look for */
    bool has_thread, asleep;
    bool stop; /* the thread ends as soon as the queue is empty */
    bool closing;
    bool runs;        /* somebody takes them out, and is inside one... */
    pthread_t runner; /* ...this thread */
    bool *gone;       /* the runner's: the pool is no more */
    pthread_t thread;
    pthread_cond_t came;
};

/* May a task of this pool have callbacks? */
bool lp_callbacks_accepts(const libpool *pool);
/* For lp_future_new: NULL: no memory. Released with the future. */
struct lp_callback *lp_callbacks_new(libpool_future *future, const libpool_task *task);

/* With the lock held: as many wait to be called as tasks may in the backlog; not said in a callback. */
bool lp_callbacks_are_full(const libpool *pool, const libpool_future *future);

/* With the lock held. A task that has callbacks is with a worker; a second time is ignored. */
void lp_callbacks_start(libpool *pool, libpool_future *future);
/* It has ended: the callbacks' share of its future is given back after the last. */
void lp_callbacks_end(libpool *pool, libpool_future *future);
/* Whoever has driven the pool and calls nothing: the descriptor says that callbacks are waiting. */
void lp_callbacks_leave(libpool *pool);

/* Starts the thread. */
int lp_callbacks_open(libpool *pool);

/* libpool_dispatch: a turn, then the callbacks that are there by now. The pool may be gone then. */
void lp_callbacks_dispatch(libpool *pool);

/* libpool_close, with the lock held: true, it is called from a callback, while it is under way. */
bool lp_callbacks_begin_close(libpool *pool);
/* All is down: makes those calls that are left, ends the thread. False: another process by now. */
bool lp_callbacks_close(libpool *pool);
/* In a forked copy: nothing is called there. */
void lp_callbacks_forget(libpool *pool);

#endif
