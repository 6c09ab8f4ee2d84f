/* SPDX-License-Identifier: MIT */
/*
 * tasks: what the target's tasks, initializers and finalizers do, in the worker.
 *
 * Every task runs inside one wrapper, which writes task-start and task-end into the history and
 * passes the gates. What a task is told to do travels in its input; what all of them need (the
 * world, the pool's handle) is found through hn_tasks_bind, called in the target before it opens
 * the pool: the workers inherit it.
 */
#ifndef HARNESS_TASKS_H
#define HARNESS_TASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpool.h>

#include "harness/outfit.h"
#include "harness/sabotage.h"

struct hn_world;

enum hn_task_kind {
    HN_TASK_NOOP = 0,
    HN_TASK_SLEEP, /* work */
    HN_TASK_SPIN,  /* work, of CPU time */
    HN_TASK_FAIL,  /* returns code */
    HN_TASK_HOG,   /* touches bytes, sleeps work, frees */
    HN_TASK_ECHO,  /* replies its payload */
    HN_TASK_EXIT,
    HN_TASK_EXIT_NOW,
    HN_TASK_SEGV,
    HN_TASK_ABORT,
    HN_TASK_BUS,
    HN_TASK_FPE,
    HN_TASK_ILL,
    HN_TASK_STACK_OVERFLOW,
    HN_TASK_HANG,
    HN_TASK_SPIN_FOREVER,
    HN_TASK_STOP_SELF,
    HN_TASK_BLOCK_SIGNALS,
    HN_TASK_GRANDCHILD,
    HN_TASK_LEAK_FDS,
    HN_TASK_DIE,
    HN_TASK_SCRIBBLE,
    HN_TASK_KILL_SELF,
    HN_TASK_HOG_TREE, /* so many children each do what HOG does; waits for them */
    HN_TASK_LEAK,     /* touches bytes, sleeps work, keeps them */
    HN_TASK_HEED,     /* until it is asked to end; then work */
    HN_TASK_BEAT,     /* signs of life during work, then none */
    HN_TASK_EMIT,     /* parts of bytes each, then work, then end */
    HN_TASK_HELD,     /* until its group is released */
    HN_TASK_TRESPASS, /* makes a system call that a sandbox forbids */
    HN_TASK_CALL,     /* has others of its pool work, `subs` of them, `depth` deep */
    HN_TASK_KINDS
};

#define HN_SUBS_MAX 64u /* of one CALL */

enum hn_style {
    HN_STYLE_PLAIN = 0,
    HN_STYLE_SETSID,
    HN_STYLE_DOUBLE_FORK,
    HN_STYLE_HOLD_FDS,
    HN_STYLE_STORM,
    HN_STYLE_IGNORE_TERM,
    HN_STYLES
};

enum hn_end {
    HN_END_RETURN = 0,
    HN_END_HANG,
    HN_END_SEGV,
    HN_ENDS
};

/* What TRESPASS calls. Harmless where it is allowed. */
enum hn_trespass {
    HN_TRESPASS_SOCKET = 0,
    HN_TRESPASS_EXEC,
    HN_TRESPASS_FORK,
    HN_TRESPASSES
};

/* How the pool gets a task's input. */
enum hn_input {
    HN_INPUT_COPY = 0,
    HN_INPUT_BORROW,
    HN_INPUT_FILE,
    HN_INPUT_FILE_SHARED, /* ECHO turns each byte over there, and replies nothing */
    HN_INPUTS
};

/* Through libpool_map, or one by one. */
enum hn_batch {
    HN_BATCH_NONE = 0,
    HN_BATCH_ANY_ORDER,
    HN_BATCH_IN_ORDER,
    HN_BATCHES
};

/* One submit statement: a group of equal tasks. */
struct hn_group {
    uint32_t count;
    enum hn_task_kind kind;
    uint64_t work_us;
    int code;
    uint64_t bytes;
    int signal;
    enum hn_style style;
    enum hn_end end;
    uint32_t priority;
    uint32_t run_timeout_ms;
    uint32_t queue_timeout_ms;
    uint32_t heartbeat_timeout_ms;
    uint32_t grace_ms;
    int soft_signal;
    int wait_ms; /* -1: for ever */
    bool ordered;
    bool awaited;      /* each of its tasks has a thread that waits for it: see hn_row.awaited_ns */
    bool too_large;    /* HOG: beyond the workers' RLIMIT_AS, so it fails with -ENOMEM */
    uint32_t children; /* HOG_TREE */
    uint32_t retries, retry_causes, retry_min_ms, retry_max_ms; /* as in libpool_task */
    uint32_t family;                                            /* libpool_task.kind */
    uint32_t works_at; /* from this run on it completes; 0: each run does the same */
    uint32_t parts;    /* EMIT */
    enum hn_trespass trespass;
    uint32_t many;  /* so many at a time, by libpool_submit_many; 0: one by one */
    uint32_t wears; /* the change of outfit that its workers have to wear; 0: any */
    bool gathered;  /* the group is taken through libpool_gather, too */
    bool forbidden; /* TRESPASS: by the sandbox of its pool, so it dies of SIGSYS */
    enum hn_input input;
    enum hn_batch batch;
    uint32_t halt_failures;      /* of a batch; 0: never */
    bool take_late;              /* EMIT: nobody takes a part before the task has ended */
    uint64_t memory_limit_bytes; /* as in libpool_task */
    uint32_t subs, depth;        /* CALL */
    uint32_t client;             /* by that process, from 1; 0: by the target itself */
};

/* A task's input; for ECHO bytes of payload follow. */
struct hn_order {
    struct hn_group what;
    uint32_t group;
    uint32_t task;
    uint64_t payload_size;
};

enum hn_callback {
    HN_CALLBACK_NONE = 0,
    HN_CALLBACK_OK,
    HN_CALLBACK_ERROR,
    HN_CALLBACK_EXIT,
    HN_CALLBACK_EXIT0,
    HN_CALLBACK_SEGV,
    HN_CALLBACK_ABORT,
    HN_CALLBACK_HANG,
    HN_CALLBACK_REENTER,
    HN_CALLBACK_FAIL,
    HN_CALLBACKS
};

/* In the target, before libpool_open; the pool's handle may follow later, for REENTER. */
void hn_tasks_bind(struct hn_world *world, enum hn_callback initializer, uint32_t initializer_fails,
                   enum hn_callback finalizer, libpool *const *pool, enum hn_sabotage sabotage);

/* What each task's worker has to wear: looked at before each task. */
void hn_tasks_bind_outfit(const struct hn_outfit *wanted, const struct hn_outfit_given *given);

/* In the target, too: each initializer ends with a call of it (libpool_sandbox_profile, and its name). */
void hn_tasks_bind_sandbox(int (*confine)(libpool_worker *worker, void *name), const char *name);

/* The functions for libpool_task and libpool_options. */
int hn_task_run(libpool_worker *worker, const void *input, size_t input_size);
int hn_worker_initialize(libpool_worker *worker, void *arg);
void hn_worker_finalize(libpool_worker *worker, void *arg);

/* The payload of task number `task`: made, and compared. */
void hn_payload_fill(uint8_t *bytes, size_t size, uint32_t task);
bool hn_payload_matches(const uint8_t *bytes, size_t size, uint32_t task);

/* Opens /dev/null until there is no descriptor left. How many; fds[0..max) keeps the first ones. */
int hn_fill_fds(int *fds, int max);

#endif
