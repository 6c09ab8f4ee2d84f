/* SPDX-License-Identifier: MIT */
/*
 * mix: sixteen threads do at once, at random, to one pool all that its interface has.
 *
 * One round is one pool with options of its own. Who finds something that can't be says so with
 * hn_mix_fail; the seed and the round's number are enough for the same options and the same choices.
 */
#ifndef HARNESS_MIX_H
#define HARNESS_MIX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <libpool.h>

#define HN_MIX_LOADERS 7
#define HN_MIX_THREADS 16
#define HN_MIX_TICKETS 32       /* of each loader */
#define HN_MIX_BYTES_MAX 70000  /* of one input: more than a channel's buffer */
#define HN_MIX_WORKERS 6        /* at most */
#define HN_MIX_SPARE 2          /* at most */
#define HN_MIX_TASKS (1u << 20) /* of one round, that are kept account of */
#define HN_MIX_FILE_BYTES 4096  /* of the input that is a file */

/* ---- what a task is told ------------------------------------------------------------------------- */

enum hn_mix_kind {
    HN_MIX_ECHO = 0,
    HN_MIX_WORK, /* work, until it is asked to end */
    HN_MIX_DEAF, /* work, whatever it is asked */
    HN_MIX_SPIN,
    HN_MIX_FAIL,
    HN_MIX_EXIT, /* a thread: by pthread_exit() */
    HN_MIX_CRASH,
    HN_MIX_ABORT,
    HN_MIX_BEAT, /* work, with signs of life and progress */
    HN_MIX_TREE, /* leaves a child behind that stays */
    HN_MIX_HOG,  /* touches more than a limit allows */
    HN_MIX_LEAK, /* keeps more than recycle_bytes allows */
    HN_MIX_KINDS
};

/* Then `bytes` of payload; all of it is what the task replies. */
struct hn_mix_order {
    enum hn_mix_kind kind;
    uint32_t work_us;
    uint64_t serial;
    int32_t code;   /* of FAIL and EXIT */
    uint32_t parts; /* it sends so many times what it was told, first of all */
    uint32_t bytes;
    uint32_t is_thread; /* it is in the application: no signals */
    uint64_t says;      /* its output is kept: it says its number, if it has one */
};

#define HN_MIX_LINE_BYTES 40
int hn_mix_line(const struct hn_mix_order *order, char line[HN_MIX_LINE_BYTES]);

int hn_mix_task(libpool_worker *worker, const void *input, size_t size);
int hn_mix_initialize(libpool_worker *worker, void *arg);
void hn_mix_finalize(libpool_worker *worker, void *arg);

/* ---- one round --------------------------------------------------------------------------------------- */

/* One future and all that is known of its task. Who only uses the future holds the lock for reading. */
struct hn_mix_ticket {
    pthread_rwlock_t lock;
    libpool_future *future;
    _Atomic uint32_t possible; /* bits: the causes it may end with */
    libpool_task task;
    union {
        struct hn_mix_order order;
        uint8_t bytes[sizeof(struct hn_mix_order) + HN_MIX_BYTES_MAX];
    } input;
};

/* What the events said of a task. */
struct hn_mix_entry {
    uint8_t received, ended, cause;
    uint8_t judged; /* the cause its future told, 0: nobody looked */
    uint8_t told;   /* the cause its callback was told, 0: none was */
};

struct hn_mix_thread {
    struct hn_mix *mix;
    pthread_t thread;
    uint64_t random;
    uint32_t number;
    bool refused;              /* the pool takes no more tasks */
    const char *_Atomic doing; /* for who wonders why it takes so long */
    void (*run)(struct hn_mix_thread *);
};

struct hn_mix {
    uint64_t seed;
    uint32_t round;
    libpool *pool;
    libpool_options options;
    libpool_outfit outfit; /* where the output is kept as a tail */
    char object[512], zygote_path[512], name[24];
    int file; /* an order and its payload, to be a task's input */
    atomic_bool over;
    atomic_int failures;
    atomic_bool zygote_killed;
    bool overran; /* the shutdown had a deadline, and did not wait for each death */
    atomic_long kills, submitted, detached, judged[LIBPOOL_CAUSES];
    atomic_long asked, begun, told; /* tasks with callbacks, and calls of both */
    atomic_int inside;              /* callbacks that are under way, nested ones not counted */
    uint64_t random;                /* for callbacks: one at a time */
    _Atomic int workers[HN_MIX_WORKERS + HN_MIX_SPARE + 2]; /* pids */
    _Atomic int zygote;
    atomic_long blocks, bytes; /* that the pool has from its allocator */
    struct hn_mix_thread threads[HN_MIX_THREADS];
    struct hn_mix_ticket tickets[HN_MIX_LOADERS][HN_MIX_TICKETS];
    struct hn_mix_entry entries[HN_MIX_TASKS];
    uint64_t spawned, exited, events_missed; /* by the events */
};

/* Says what was wrong, loudly, and that the run has failed. */
void hn_mix_fail(struct hn_mix *mix, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define HN_MIX_EXPECT(mix, holds, ...) ((holds) ? (void)0 : hn_mix_fail(mix, __VA_ARGS__))

uint32_t hn_mix_random(uint64_t *state, uint32_t below);
void hn_mix_pause(uint32_t us);

/* What the threads do until the round is over. */
void hn_mix_load(struct hn_mix_thread *thread);
void hn_mix_touch(struct hn_mix_thread *thread);
void hn_mix_resize(struct hn_mix_thread *thread);
void hn_mix_recycle(struct hn_mix_thread *thread);
void hn_mix_cancel_groups(struct hn_mix_thread *thread);
void hn_mix_drain(struct hn_mix_thread *thread);
void hn_mix_kill(struct hn_mix_thread *thread);
void hn_mix_read_books(struct hn_mix_thread *thread);
void hn_mix_read_text(struct hn_mix_thread *thread);
void hn_mix_read_events(struct hn_mix_thread *thread);

/* The future has ended: is that how it could? Afterwards the ticket is free. */
void hn_mix_judge(struct hn_mix *mix, struct hn_mix_ticket *ticket);

/* The pool is closed: was each one told once? */
void hn_mix_audit_callbacks(struct hn_mix *mix);

/* All is down, all was judged: do events, futures and numbers tell the same? */
void hn_mix_audit(struct hn_mix *mix, const libpool_stats *stats);

#endif
