/* SPDX-License-Identifier: MIT */
/*
 * supervisor: the loop that runs the policy against the kernel: wait, lp_pool_step, perform.
 *
 * The one module that sees both core/ and os/. One mutex guards everything below; no user code runs
 * under it but the allocator, and no call under it waits for a worker. Submitting threads step the
 * core themselves and write straight into an idle worker's channel; what must not be done there
 * (starting a zygote) is left to the thread that drives the pool: the supervisor's own, or any that
 * calls lp_supervisor_turn.
 */
#ifndef LP_SUPERVISOR_H
#define LP_SUPERVISOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <libpool.h>

#include "callbacks.h"
#include "core/pool.h"
#include "governor.h"
#include "line.h"
#include "os/cgroup_place.h"
#include "os/headroom.h"
#include "os/omen.h"
#include "os/outfit.h"
#include "os/poller.h"
#include "os/threads.h"
#include "os/wardrobe.h"
#include "os/zygote.h"
#include "start.h"
#include "tails.h"
#include "traces.h"
#include "worker.h"

#define LP_NAME_BYTES 16
#define LP_SCANNED_MAX 64              /* looking at more windows costs more than bells */
#define LP_ALIVE 0x6c69706fu           /* the process that opened the pool */
#define LP_ALIVE_IN_WORKER 0x776f726bu /* one of its workers; their own children find 0 */

struct lp_event_ring {
    libpool_event *events; /* NULL: nobody wants them */
    uint32_t capacity;
    uint64_t written, taken; /* numbers of the last one written and taken */
};

struct libpool {
    uint32_t *alive; /* a page of its own, wiped in forked copies: LP_ALIVE... */

    libpool_options options;
    libpool_allocator allocator;
    struct lp_outfit *outfit; /* a copy of options.outfit, which is NULL here */
    char name[LP_NAME_BYTES];
    pid_t pid; /* of the process that opened it */

    pthread_mutex_t lock;
    pthread_cond_t
        changed; /* room in the backlog, an event, opened, down: whoever waits looks again */
    uint32_t waiters;

    struct lp_slab *futures; /* outlives the pool */

    struct lp_pool core;
    void *core_memory;
    struct lp_line *lines;
    char *windows; /* shared memory: one window a slot */
    struct lp_wardrobe *wardrobe;
    enum lp_place outfit_place; /* what workers wear that are started from now on */

    struct lp_poller poller;
    struct lp_omens omens; /* the supervisor's thread's; none where there is no such thread */
    struct lp_membership membership;
    struct lp_zygote_link zygote;
    struct lp_zygote_options zygote_options;
    int *heir_fds; /* by slot: workers that a lost zygote left, for the next one */
    pid_t *heir_pids;
    uint32_t containment, oom_evidence, memory_enforcement;
    _Atomic bool can_weigh; /* the last zygote could tell what memory a tree holds */
    int lifeline_fd;        /* its end is the end of all workers */
    _Atomic uint32_t
        scanned[LP_SCANNED_MAX]; /* slots that were assigned a task last: read without the lock */
    _Atomic uint32_t n_scanned;
    uint32_t next_scanned; /* where the next one goes */
    uint32_t assigned;     /* tasks that were handed out since the list was thinned out */
    uint32_t bell_owed_to; /* slot whose worker was sent tasks ahead and not told yet, or LP_NONE */
    uint32_t held;         /* so many of them are not shown to it either */
    bool polling;          /* bells are unarmed: the supervisor looks by itself now and then */
    bool arming;           /* they are being armed again, one by one */
    uint64_t poll_ns;      /* when the next look is due */
    uint32_t submits;
    uint32_t ends;       /* tasks that have ended */
    uint32_t taken;      /* of those, the ones whose result was found without a bell */
    uint32_t looks_seen; /* of `submits` and `taken` together */
    bool unwatched; /* some worker's death would go unnoticed: no descriptor for its pidfd yet */
    bool start_zygote, drop_zygote; /* left for the driving thread */
    bool look_at_memory;            /* that, too: for the core's admission */
    bool socket_full;
    bool awake;      /* the supervisor's thread looks at work_waits before it sleeps */
    bool work_waits; /* some line's `again` or `broken`, or a zygote matter */

    struct lp_subs *subs_due; /* something is to be done about them (subs.h) */
    bool settles_subs;        /* that is being done, further down the stack */

    struct lp_event_ring ring;

    struct lp_callbacks callbacks;
    struct lp_tails tails;

    _Atomic uint32_t visitors; /* threads that came through a future that has ended since */
    _Atomic uint32_t watchers; /* threads that look into the windows by themselves (watch.h) */
    _Atomic uint32_t watch_ns; /* for how long it pays */

    pthread_t thread;
    bool has_thread;
    bool driving; /* some thread is inside the loop (LIBPOOL_NO_THREAD) */
    bool opened;  /* the first zygote was tried; open_error tells */
    int open_error;
    bool quitting; /* the core is down, the zygote was told to leave */
    uint64_t quit_by_ns;
    bool down;

    struct lp_cgroup_place place; /* written at the opening only */
    struct lp_headroom headroom;  /* so is that */
    struct lp_start start;        /* so is that */
    struct lp_worker_kit kit;     /* and that: of workers whose zygote is forked, or threads */

    struct lp_threads threads; /* LIBPOOL_THREADS: the zygote and the workers; else no slots */
};

/* One that waits by CLOCK_MONOTONIC. */
void lp_supervisor_init_condition(pthread_cond_t *condition);
/* A thread that takes no signal: they are the application's. 0 or -errno. */
int lp_supervisor_start_thread(pthread_t *thread, void *(*run)(void *), void *arg);

/* Takes all memory and descriptors, starts the thread and the zygote. The fields above `lock` are set. */
int lp_supervisor_open(libpool *pool);
/* All is down, or this is a forked copy: gives everything back but the handle itself. */
void lp_supervisor_close(libpool *pool, bool forked);

/*
 * One turn: waits up to timeout_ms, handles what happened. Not `driving`: another thread may be asleep
 * in there, whose nudges are not taken from it.
 */
void lp_supervisor_turn(libpool *pool, int timeout_ms, bool driving);

/* A turn that waits for nothing. */
void lp_supervisor_look(libpool *pool);

/* With the lock held, after any call into the core: performs its actions. */
void lp_supervisor_perform(libpool *pool);

/*
 * After LP_POOL_SENT: sends the task. What goes to a worker that has enough to do is shown to it together
 * with what follows, or with the next of its results that is heard.
 */
void lp_supervisor_send(libpool *pool, uint32_t task);

/* With the lock held, for subs.c: an event about a worker, and the line of one that is being told results. */
void lp_supervisor_step(libpool *pool, struct lp_event *event);
void lp_supervisor_attend(libpool *pool, uint32_t slot);

/* With the lock held: a zygote that was stopped goes on; it is needed to end things in time. */
void lp_supervisor_rouse(libpool *pool);

/*
 * With the lock held: takes what the scanned workers have written, without waiting for their bells.
 * True: a task has ended.
 */
bool lp_supervisor_take(libpool *pool);
/* With the lock held, before this thread sleeps until something ends: bells ring from now on. */
void lp_supervisor_before_sleep(libpool *pool);

/*
 * With the lock held: takes back what a worker (all) has been sent ahead of time and has not begun. The
 * next call into the core settles what follows.
 */
void lp_supervisor_recall(libpool *pool, uint32_t slot);
void lp_supervisor_recall_all(libpool *pool);
/* Some of its parts were taken: if its worker was not listened to for that, it is again. */
void lp_supervisor_resume(libpool *pool, const libpool_future *future);

/*
 * With the lock held: gives it up until something changed or deadline_ns passed (UINT64_MAX: never);
 * drives the pool meanwhile where no thread does. false: the deadline passed.
 */
bool lp_supervisor_await(libpool *pool, uint64_t deadline_ns);

/* The calling thread is a worker of this pool: it must not wait for it. */
bool lp_supervisor_is_worker(const libpool *pool);

uint64_t lp_supervisor_now(void);

/* With the lock held. The core's numbers, and how things are done, as the zygote has told. */
void lp_supervisor_stats(const libpool *pool, libpool_stats *stats);

#endif
