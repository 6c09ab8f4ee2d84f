/* SPDX-License-Identifier: MIT */
/*
 * pool: the policy. Events in, actions out; no system call, clock or randomness of its own. The
 * supervisor runs it against the kernel, harness/sim against pretend workers and a virtual clock.
 *
 * Use: call one of submit, cancel, step; then perform actions[0..n_actions) in order and set
 * n_actions to 0; as long as `more` is set, step a TICK again. Sleep until lp_pool_next_deadline().
 * RESULT, LP_RESULTS_PER_BATCH in a row at most, and RECALLED may be told instead; any of the calls
 * above, or lp_pool_settle(), draws the conclusions before anything is performed. Where a call's answer is a
 * task (express.h), what is to be done with that is done before the next call.
 *
 * Prefetching. A worker whose tasks are tiny is sent some ahead of time, LP_PREFETCH_NS worth of work
 * by what was seen last; the longest run seen counts until shorter ones have outweighed it. They may
 * be taken back as long as it has not begun them: whoever runs the policy then makes sure that it
 * never will, tells the results that are there, and tells or steps RECALLED. In between nothing may be
 * settled: more would be sent, and would not be recalled. That is due instead of LP_EVENT_DEADLINE when
 * lp_pool_holds_prefetched, and before a cancel that asks for it; it is wise before whatever may kill:
 * what waits in the channel of one that was killed stays there until its death tells what it has begun.
 *
 * Weighing. Where nobody else keeps a tree to its memory limit, whoever may be running the
 * application's code is weighed every LP_WEIGH_NS, and so is everywhere who runs a task with a limit of
 * its own, which is less than the pool's. A weight counts against the task that was there when
 * it was asked for; when that has ended meanwhile the worker leaves, and nobody pays for another.
 *
 * Cooperative pools. Their workers are threads, which nobody can kill, and so is their zygote. A task that
 * overruns, is silent, is cancelled, or has outlived a shutdown is asked to end, and ends when it returns,
 * as what it was asked for; it has no grace that could be over. Who can't be asked (it is in its
 * initializer or finalizer) is DYING until it has left by itself: KILL only says that it may. Nobody and
 * nothing is given up: KILLING lasts until the last one has left.
 *
 * Waiting (waiting.h). A worker whose task waits for others is recalled first, and then told by WAITS;
 * nothing is sent ahead to it until WAITED.
 *
 * Phases: OPEN -> DRAINING -> (KILLING ->) DOWN. DRAINING runs or cancels what is pending, then lets
 * the workers leave; KILLING is after the deadline. DOWN: no worker is left, or its proof of death
 * did not come in time.
 *
 * All counters and histograms are changed by the transitions in worker.c and by end_task() alone.
 */
#ifndef LP_CORE_POOL_H
#define LP_CORE_POOL_H

#include "core/admission.h"
#include "core/backoff.h"
#include "core/event.h"
#include "core/express.h"
#include "core/heap.h"
#include "core/limits.h"
#include "core/places.h"
#include "core/quarantine.h"
#include "core/tasks.h"
#include "core/waiting.h"
#include "core/worker.h"

struct lp_pool_config {
    uint32_t min_workers, max_workers;
    uint32_t spare_workers;    /* kept ready beyond those that are wanted, run nothing themselves */
    uint32_t workers_limit;    /* what a resize may raise max_workers to; at least max_workers */
    uint32_t waiting_workers;  /* that may wait for other tasks; not if governed */
    uint32_t tasks_per_worker; /* 0: no matter how many */
    uint64_t max_age_ns;       /* 0: no matter how old */
    uint32_t jitter_percent;   /* how much less than these two a worker may be given */
    uint32_t backlog_tasks;
    uint64_t backlog_bytes;
    uint64_t ageing_ns; /* of pending tasks; 0: none */
    uint64_t idle_timeout_ns;
    uint64_t start_timeout_ns, initializer_timeout_ns, finalizer_timeout_ns;
    uint32_t initializer_failures;
    uint64_t backoff_min_ns, backoff_max_ns;
    uint64_t seed;               /* of all jitter */
    uint64_t memory_limit_bytes; /* of a worker's tree; 0: none */
    uint32_t retry_percent;      /* retries at most for 100 tasks received; 0: no limit */
    uint32_t
        quarantine_deaths;  /* in a row, of workers that ran tasks of one kind; 0: no quarantine */
    uint64_t quarantine_ns; /* 0: until a pardon */
    bool exclusive;
    bool governed; /* workers need a place of the governor's */
    bool admits;   /* tasks start only as ADMISSION allows */
    bool has_finalizer;
    bool notes;       /* emit LP_ACTION_NOTE */
    bool cooperative; /* nobody can be killed: see below */
    bool driven;      /* by who may be busy elsewhere: nothing can be taken back in time */
};

enum lp_phase {
    LP_PHASE_OPEN = 0,
    LP_PHASE_DRAINING,
    LP_PHASE_KILLING,
    LP_PHASE_DOWN,
    LP_PHASES
};

enum lp_zygote_state {
    LP_ZYGOTE_DOWN = 0,
    LP_ZYGOTE_STARTING,
    LP_ZYGOTE_UP,
    LP_ZYGOTE_DROPPED
};

enum lp_cancel {
    LP_CANCEL_RECALL =
        0, /* it waits in a channel, or others do behind it: RECALLED, then ask again */
    LP_CANCEL_DONE = 1,
    LP_CANCEL_DEQUEUED,
    LP_CANCEL_KILLED,
    LP_CANCEL_ASKED
};

/* The tasks of one group are ended in batches: begins zeroed but for the group. */
struct lp_group_cancel {
    uint64_t group;
    uint32_t next; /* place in the table */
    uint64_t dequeued, killed;
    bool recall; /* some wait in a channel: recall them, and begin again at the first */
};

struct lp_pool {
    struct lp_pool_config config;
    uint64_t now_ns; /* time of the event being handled */

    struct lp_tasks tasks;
    struct lp_worker *workers;
    bool *numbers;            /* that are taken; there are as many as slots */
    uint32_t slots;           /* max_workers and the spares */
    struct lp_heap deadlines; /* by slot: when to look at a worker */
    uint32_t idle_oldest, idle_newest;
    uint32_t hungry_first, hungry_last; /* workers that may be sent tasks ahead of time */
    uint32_t prefetch_left;
    struct lp_express express;
    uint32_t favourite;                  /* the worker that was assigned a task last, or LP_NONE */
    bool unsettled;                      /* something was told or added, conclusions are due */
    bool made_room;                      /* in the backlog, since that was told last */
    uint64_t run_ns;                     /* how long a task takes, as far as can be foreseen */
    uint32_t in_state[LP_WORKER_STATES]; /* how many workers are in each state */
    uint32_t waiting;                    /* of the busy, those whose task waits for others */

    uint64_t random; /* for what workers are given */
    uint64_t retry_random;
    uint32_t retry_budget; /* in hundredths of a retry */
    struct lp_backoff spawn_backoff;
    struct lp_backoff zygote_backoff;
    uint32_t initializer_failures; /* in a row */
    int init_code;                 /* what the last of them returned; 0: it did not */
    uint32_t probe;                /* slot of the worker that was spawned last, or LP_NONE */
    uint32_t probe_generation;

    enum lp_zygote_state zygote;
    int zygote_pid;
    uint64_t zygote_deadline_ns; /* STARTING: its first word */
    uint64_t zygote_up_ns;
    bool weighs;       /* the zygote that is up is to weigh trees */
    uint64_t weigh_ns; /* when that is next; 0: nobody ran anything when it was last */

    uint64_t edition;          /* 1, one more with each recycle */
    bool recycling;            /* somebody may be of an older edition */
    uint32_t recycle_parallel; /* so many may be missing for its sake */
    uint32_t owed;   /* workers of an older edition that have left and were not replaced */
    uint32_t outfit; /* one more with each that workers are given: whose failures count */

    enum lp_phase phase;
    bool cancel_pending;
    bool overran;                  /* the shutdown's deadline had to kill */
    uint64_t shutdown_deadline_ns; /* 0: none */
    uint64_t give_up_ns;           /* KILLING: when to stop waiting for proofs */

    libpool_stats stats; /* the counters; gauges are filled in by lp_pool_stats */
    libpool_histogram histograms[LIBPOOL_HISTOGRAMS];

    struct lp_quarantine quarantine;
    struct lp_admission admission;
    struct lp_places places;

    libpool_event unread; /* where notes go that nobody wants */
    struct lp_action *actions;
    uint32_t n_actions, actions_capacity;
    uint32_t ends_left; /* pending tasks that may still be ended in this step */
    bool more;
};

/* Bytes for lp_pool_init's memory (zeroed, aligned to 16). */
size_t lp_pool_bytes(const struct lp_pool_config *config);
void lp_pool_init(struct lp_pool *pool, const struct lp_pool_config *config, void *memory);
uint32_t lp_pool_slots(const struct lp_pool_config *config);

#define LP_POOL_SENT 1

/*
 * 0 and the task's index; -EAGAIN: full; -ESHUTDOWN; -E2BIG: larger than the backlog may ever be;
 * -EKEYREJECTED: its kind is held. LP_POOL_SENT: there are no actions, nothing follows but that the task,
 * which is PREFETCHED, is sent to the worker in its slot, as ASSIGN would have it.
 */
int lp_pool_submit(struct lp_pool *pool, const struct lp_task_spec *spec, uint64_t now_ns,
                   uint32_t *task);
/* The same without what follows from it: lp_pool_settle() once for several, if not all were SENT. */
int lp_pool_add(struct lp_pool *pool, const struct lp_task_spec *spec, uint64_t now_ns,
                uint32_t *task);
/* Counts a task that was refused for good. */
void lp_pool_reject(struct lp_pool *pool, uint64_t tasks);
/* Tasks of this kind are taken again. False: they were. */
bool lp_pool_pardon(struct lp_pool *pool, uint64_t kind, uint64_t now_ns);
/* The task must not have been released. */
enum lp_cancel lp_pool_cancel(struct lp_pool *pool, uint32_t task, uint64_t now_ns);
/*
 * Ends the next batch of a group's tasks; what waits in channels is to be recalled before. Nothing is
 * settled, so nothing of the group is handed out, until it returns true: it has seen all.
 */
bool lp_pool_cancel_group(struct lp_pool *pool, struct lp_group_cancel *cancel, uint64_t now_ns);
/* These bounds are possible: to be asked first by who has to reserve places for them. */
bool lp_pool_may_resize(const struct lp_pool *pool, uint32_t min_workers, uint32_t max_workers);
/* New bounds from now on. Too many: the idle leave first, the busy after their task. -EINVAL. */
int lp_pool_resize(struct lp_pool *pool, uint32_t min_workers, uint32_t max_workers,
                   uint64_t now_ns);
/*
 * From now on a new edition: whoever is of an older one leaves when it is idle, as long as fewer than
 * `parallel` workers are missing, and is replaced. -EINVAL, -ESHUTDOWN.
 */
int lp_pool_recycle(struct lp_pool *pool, uint32_t parallel, uint64_t now_ns);
/*
 * Workers are given another outfit from now on. What has failed in the one before says nothing of it: no
 * pause is made any more, and failures in a row count anew.
 */
void lp_pool_dress(struct lp_pool *pool, uint64_t now_ns);
/* 0: as many more tasks would be taken, with so much input; -EAGAIN, -E2BIG. */
int lp_pool_has_room(const struct lp_pool *pool, uint32_t tasks, uint64_t bytes);
void lp_pool_step(struct lp_pool *pool, const struct lp_event *event);
/* RESULT, RECALLED. The index of a task that has ended by it, as if END were among the actions; LP_NONE. */
uint32_t lp_pool_tell(struct lp_pool *pool, const struct lp_event *event);
void lp_pool_settle(struct lp_pool *pool, uint64_t now_ns);
/* Tasks wait in the channel of the worker in this slot, and it may live to begin them. */
bool lp_pool_holds_prefetched(const struct lp_pool *pool, uint32_t slot);
/* Nothing is pending or running. */
bool lp_pool_is_drained(const struct lp_pool *pool);
/* An ended task's record may be used again. */
void lp_pool_release(struct lp_pool *pool, uint32_t task);

/* A slot whose deadline has passed (answer with LP_EVENT_DEADLINE), or LP_NONE. */
uint32_t lp_pool_due(struct lp_pool *pool, uint64_t now_ns);
/* When something is to be done without an event: absolute, UINT64_MAX: never. */
uint64_t lp_pool_next_deadline(const struct lp_pool *pool);

/* One consistent snapshot. `size` is left alone. */
void lp_pool_stats(const struct lp_pool *pool, libpool_stats *stats);

/* ---- for worker.c -------------------------------------------------------------------------- */

struct lp_action *lp_pool_emit(struct lp_pool *pool, enum lp_action_kind kind, uint32_t slot);
/* An event for the stream; the task and slot may be LP_NONE. */
libpool_event *lp_pool_note(struct lp_pool *pool, libpool_event_kind kind, uint32_t slot,
                            uint32_t task);
/* Ends a task: counters, END, note. outcome->cause and certainty are set, its times are filled in. */
void lp_pool_end_task(struct lp_pool *pool, uint32_t task, struct lp_outcome *outcome);
/* The same for one that runs, unless it is to run again: then true, RETRY, note, and it waits. */
bool lp_pool_end_run(struct lp_pool *pool, uint32_t task, struct lp_outcome *outcome);
/* The worker that ran this task has died of it, or has to. */
void lp_pool_blame(struct lp_pool *pool, uint32_t task, libpool_cause cause);
/* It does not do what it was asked to. */
void lp_pool_drop_zygote(struct lp_pool *pool);
/* More are ready than are ever wanted: one of them leaves as it falls idle. */
bool lp_pool_is_excessive(const struct lp_pool *pool);
/* With so many more tasks it would not want more workers than it has. */
bool lp_pool_is_strong_for(const struct lp_pool *pool, uint32_t more);
/* A death's classification from facts alone. */
libpool_cause lp_pool_classify(const struct lp_event *exited);

/* Every invariant of the policy's own state; for tests and the sim. */
bool lp_pool_check(const struct lp_pool *pool);

#endif
