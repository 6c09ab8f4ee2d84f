/* SPDX-License-Identifier: MIT */
/*
 * tasks: the bounded table of tasks and the backlog.
 *
 *            add             take               end                 free
 *     FREE -------> PENDING -------> RUNNING -------> ENDED ---------------> FREE
 *                   ^ |   | prefetch    ^ ^             ^
 *         give_back | |   v             | |             |
 *                   | |  PREFETCHED ----+ |             |
 *                   | |  |         start  |             |
 *                   +----+----------------+             |
 *                     +-------- end (cancelled...) -----+
 *
 *     RUNNING -- retry --> WAITING -- resume --> PENDING         WAITING -- end --> ENDED
 *
 * PREFETCHED: in a worker's channel already, behind the one it runs; not begun as far as is known.
 * WAITING: a run of it has failed, and it pauses before the next one. It keeps its room.
 *
 * The backlog is 64 first-in-first-out levels and a bitmap: 3 to 40 ns whatever the depth. With ageing,
 * a task of level n counts as submitted n times the ageing later than it was, and the first of all levels
 * by that time is the next: so it rises a level in each of those spans, and nothing that is submitted
 * later than its time can overtake it. Levels are in order by themselves: only their heads are looked at.
 * Tasks with a queue timeout are also in a heap of deadlines, and so are those that wait, with the end of
 * their pause. Counts and bytes are kept here, in the same place as the moves they count. What retrying
 * needs is in a table of its own, whose memory stays untouched as long as nobody asks for it.
 */
#ifndef LP_CORE_TASKS_H
#define LP_CORE_TASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/heap.h"
#include "core/limits.h"

enum lp_task_state {
    LP_TASK_FREE = 0,
    LP_TASK_PENDING,
    LP_TASK_PREFETCHED,
    LP_TASK_RUNNING,
    LP_TASK_ENDED,
    LP_TASK_WAITING,
    LP_TASK_STATES
};

/* What a task came to; the facts behind libpool_result. */
struct lp_outcome {
    libpool_cause cause;
    libpool_certainty certainty;
    int code;
    int signal;
    int core_dumped;
    uint32_t silent_ms; /* TIMEOUT: it gave no sign of life for so long; 0: that was not why */
    int pid;
    uint32_t slot;
    uint32_t number; /* of the worker there */
    uint64_t pending_ns;
    uint64_t running_ns;
    uint64_t memory_bytes;       /* MEMORY: what was seen... */
    uint64_t memory_limit_bytes; /* ...and what was allowed; 0: its worker was killed for another */
    uint32_t attempts;           /* runs, this one included; 0: none */
    libpool_cause
        retried_cause; /* of the last run that was followed by another; PENDING: none was */
};

/* When a run that failed is followed by another. */
struct lp_retry_rule {
    uint32_t limit;          /* so often at most */
    uint32_t causes;         /* 1u << cause */
    uint64_t min_ns, max_ns; /* the pause before */
};

/* What the caller asks for. */
struct lp_task_spec {
    uint32_t priority;
    uint64_t bytes;
    uint64_t run_timeout_ns;   /* 0: none */
    uint64_t queue_timeout_ns; /* 0: none */
    uint64_t heartbeat_ns;     /* it has to give signs of life no further apart; 0: it has not */
    uint64_t grace_ns;         /* from being asked to end to its kill; 0: it is not asked */
    int soft_signal;           /* what its worker is sent when it is asked; 0: nothing */
    bool inside;               /* one that runs waits for it: it is taken while draining, too */
    void *user;                /* the supervisor's future; not looked at */
    uint64_t group;            /* 0: none */
    const struct lp_retry_rule *retry; /* NULL: one run is all. Copied */
    uint64_t kind;                     /* 0: none */
    uint64_t
        memory_limit_bytes; /* of its worker's tree, less than the pool's; 0: none of its own */
};

struct lp_task {
    uint64_t id; /* 1, 2, 3... in order of submission */
    enum lp_task_state state;
    uint32_t next, previous; /* in its level, its worker's queue, or the free list */
    uint32_t slot;           /* PREFETCHED, RUNNING: whose it is */
    uint32_t returns;        /* how often it came back from a worker that had died */
    bool doubted;  /* begun or not: its dead worker's word was on one that has ended meanwhile */
    bool launched; /* counted as launched: once, however often it was returned */
    struct lp_task_spec spec;
    uint64_t submitted_ns;
    uint64_t assigned_ns;      /* handed to a worker: from then on it may begin */
    struct lp_outcome outcome; /* ENDED; of one that is retried: that of its last failed run */
};

/* Beside a task that has a rule. */
struct lp_retry {
    struct lp_retry_rule rule;
    uint32_t retried;   /* so often so far */
    uint64_t pause_ns;  /* before the next run */
    uint64_t queued_ns; /* when it joined the backlog's end */
    uint64_t behind_id; /* in its level it stands behind the task with this number... */
    uint64_t turn;      /* ...and behind those with a smaller turn there; 0: at its own place */
};

struct lp_level {
    uint32_t first, last;
};

struct lp_tasks {
    struct lp_task *table;
    struct lp_retry *retries; /* by table index */
    uint32_t capacity;
    uint32_t untouched; /* table entries never used yet: memory stays untouched, too */
    uint32_t free_first;
    struct lp_level levels[LIBPOOL_PRIORITIES];
    uint64_t occupied;  /* bit n: level n is not empty */
    uint64_t ageing_ns; /* a task rises a level in so long; 0: never */
    uint64_t last_id;
    uint32_t pending;
    uint32_t prefetched;
    uint32_t running;
    uint32_t limited; /* of those: tasks with a memory limit of their own */
    uint32_t ended;   /* waiting for their release */
    uint32_t waiting;
    uint64_t last_turn;
    uint64_t pending_bytes;         /* of those that wait, too */
    struct lp_heap queue_deadlines; /* by table index */
};

/* Bytes that lp_tasks_init needs for so many tasks; zeroed, aligned to 16. */
size_t lp_tasks_bytes(uint32_t capacity);
void lp_tasks_init(struct lp_tasks *tasks, uint32_t capacity, void *memory);

/* Into the backlog, at its level's end. LP_NONE: the table is full. */
uint32_t lp_tasks_add(struct lp_tasks *tasks, const struct lp_task_spec *spec, uint64_t now_ns);
/* The same past the backlog, which is empty: into a worker's channel. */
uint32_t lp_tasks_add_ahead(struct lp_tasks *tasks, const struct lp_task_spec *spec,
                            uint64_t now_ns);
/* The next one to run leaves the backlog. LP_NONE: there is none. */
uint32_t lp_tasks_take(struct lp_tasks *tasks, uint64_t now_ns);
/* The same, to wait in a worker's channel; from there it is started or given back. */
uint32_t lp_tasks_prefetch(struct lp_tasks *tasks, uint64_t now_ns);
void lp_tasks_start(struct lp_tasks *tasks, uint32_t index);
/* One that a worker has goes back to where it came from: its place in submission order. */
void lp_tasks_give_back(struct lp_tasks *tasks, uint32_t index);
/* To ended, from any state before it. The outcome's times are the caller's. */
void lp_tasks_end(struct lp_tasks *tasks, uint32_t index, const struct lp_outcome *outcome);
void lp_tasks_free(struct lp_tasks *tasks, uint32_t index);
/* RUNNING to WAITING; the outcome is that of the run that failed. Until then: lp_tasks_pause. */
void lp_tasks_retry(struct lp_tasks *tasks, uint32_t index, const struct lp_outcome *outcome);
void lp_tasks_pause(struct lp_tasks *tasks, uint32_t index, uint64_t until_ns);
/* Its pause is over: into the backlog, at its level's end. */
void lp_tasks_resume(struct lp_tasks *tasks, uint32_t index, uint64_t now_ns);
/* When it joined the backlog's end: what its queue timeout, its age and its wait count from. */
uint64_t lp_tasks_queued_ns(const struct lp_tasks *tasks, uint32_t index);
/* How often it was retried. */
uint32_t lp_tasks_retried(const struct lp_tasks *tasks, uint32_t index);

/* The first of the backlog without taking it, LP_NONE when empty. */
uint32_t lp_tasks_first(const struct lp_tasks *tasks);
/* The pending task whose queue timeout passed first, or the waiting one whose pause did; LP_NONE: none. */
uint32_t lp_tasks_overdue(const struct lp_tasks *tasks, uint64_t now_ns);

/* Asserts what the diagram says; for tests and the sim. Linear in capacity. */
bool lp_tasks_check(const struct lp_tasks *tasks);

#endif
