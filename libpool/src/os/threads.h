/* SPDX-License-Identifier: MIT */
/*
 * threads: workers that are threads of the application, and the thread that starts and joins them.
 *
 * To the host that thread is a zygote: it speaks the same requests and reports (zygote.h) over the same
 * kind of socket, so nothing that hears them has to know. But a thread can't be killed, only asked, and
 * that is said to the worker through its channel; so KILL and WEIGH have no answer here, there is no
 * pidfd, and what is told of a worker is told when its thread has been joined. Then nothing of it is left.
 *
 * All threads are started by this one, so a worker has the priority, the CPUs and the namespaces of the
 * thread that opened the pool, not of whoever submitted a task.
 */
#ifndef LP_OS_THREADS_H
#define LP_OS_THREADS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "os/zygote.h"

/*
 * Runs in a fresh worker, in place of lp_worker_main. All signals are blocked but those that a fault of the
 * thread itself raises. What it returns is its exit code; one that is left by pthread_exit() has 1.
 */
typedef int lp_threads_body(void *context, uint32_t slot, uint32_t number, uint32_t generation);

struct lp_threads_seat { /* one a slot */
    struct lp_threads *threads;
    pthread_t thread;
    uint32_t slot, number, generation;
    bool taken, reported; /* the zygote's */
    _Atomic uintptr_t
        who;         /* its thread, as it sees itself; 0: none. Only its own is of use to anybody */
    _Atomic int tid; /* 0: it does not run yet */
    _Atomic bool ended; /* nothing of ours follows */
    int code;
};

struct lp_threads {
    /* Set by the caller, borrowed. */
    struct lp_threads_seat *seats; /* zeroed */
    uint32_t slots;
    lp_threads_body *body;
    void *context;
    const char *name; /* of threads: NAME:zygote and NAME:NUMBER */

    pthread_t zygote;
    bool runs;
    int socket_fd;
    int bell_fd; /* an eventfd: one has begun or ended */
    int pid;     /* the zygote's own */
};

/*
 * Starts the zygote's thread; the link has a socket and no pidfd. HELLO follows as the first report. 0 or
 * -errno. The caller's signal mask is as before.
 */
int lp_threads_start(struct lp_threads *threads, struct lp_zygote_link *link);

/*
 * When it was told to QUIT, or the link is closed: waits until every worker's thread has ended, and its own.
 * Not started, or done already: nothing.
 */
void lp_threads_join(struct lp_threads *threads);

/* The calling thread is one of these workers. Any thread, no lock. */
bool lp_threads_is_worker(const struct lp_threads *threads);

#endif
