/* SPDX-License-Identifier: MIT */
/*
 * tails: the last words of workers (os/tail.h), of one pool: one file a slot, read when a task has failed.
 *
 * While tasks run somebody looks every 20 ms whether a file has grown too large, and gives its beginning
 * back. A hostile writer can hold up whoever does that, for as long as it lives: so it is a thread of its
 * own, which holds no lock meanwhile. A pool with LIBPOOL_NO_THREAD has it, too: who drives that is the
 * application, which must not be held up either. It takes no signal and calls nothing of the application's.
 */
#ifndef LP_TAILS_H
#define LP_TAILS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <libpool.h>

struct lp_tails {
    uint32_t bytes; /* of each tail, at most; 0: none are kept */
    bool has_thread, asleep, stop;
    bool unsettled;   /* something ran when it was looked last: look once more */
    uint64_t look_ns; /* when the next look is due */
    pthread_t thread;
    pthread_cond_t came;
};

/* What the options ask for: before lines are opened. */
void lp_tails_init(libpool *pool);
/* The thread, if tails are kept. 0 or -errno. */
int lp_tails_open(libpool *pool);
void lp_tails_close(libpool *pool);

/* With the lock held. A new worker is about to live in the slot. */
void lp_tails_renew(libpool *pool, uint32_t slot);
/* Something happened: somebody has to look from now on. */
void lp_tails_wake(libpool *pool);
/* It has ended with the worker in this slot, and failed: what it wrote last becomes part of its result. */
void lp_tails_attach(libpool *pool, uint32_t slot, uint64_t task_id, libpool_future *future);
#endif
