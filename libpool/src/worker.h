/* SPDX-License-Identifier: MIT */
/*
 * worker: what a worker process has to know of its pool, whether its zygote was forked or exec'ed.
 */
#ifndef LP_WORKER_H
#define LP_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <libpool.h>

#include "os/cgroup_place.h"
#include "os/outfit.h"
#include "os/wardrobe.h"

struct lp_worker_kit {
    uint32_t *alive; /* a page that is wiped in forked copies, of the process that forks workers */
    pid_t files_of;  /* of the host: its number in /proc */
    char *windows;   /* of all slots */
    uint32_t slots;
    size_t
        window_bytes; /* of one: to ask for it would touch a page of libc that nothing else does */
    uint64_t result_bytes;
    libpool_options sizes; /* only memory_limit_bytes, recycle_bytes, trim_bytes count */
    const struct lp_cgroup_place *place;
    bool traces;                  /* its crashes, see os/trace.h */
    struct lp_outfit *outfit;     /* NULL: none */
    struct lp_wardrobe *wardrobe; /* what is worn instead (wardrobe.h); NULL: nothing */
    libpool_initializer *initializer;
    void *initializer_arg;
    libpool_finalizer *finalizer;
    void *finalizer_arg;
    const char *object, *initializer_symbol, *finalizer_symbol; /* NULL: none */
};

/*
 * In the zygote, for all its workers: what the application had not flushed is its own to print, and exit()
 * in a task must not run the application's exit handlers in its copy. That takes a lock which another
 * thread of the application may have held when the zygote was forked.
 */
void lp_worker_prepare(void);
/* The same where crashes are traced. */
void lp_worker_prepare_traced(void);

/* Runs in a fresh worker (worker_main.c). */
_Noreturn void lp_worker_process(const struct lp_worker_kit *kit, uint32_t slot, uint32_t number,
                                 uint32_t generation);

/*
 * The same in a fresh thread of the application. Returns its exit code when it has left. A child of fork()
 * that comes back from the application's code ends there.
 */
int lp_worker_thread(const struct lp_worker_kit *kit, int doorbell_fd, uint32_t slot,
                     uint32_t number, uint32_t generation);

#endif
