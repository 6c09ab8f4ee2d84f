/* SPDX-License-Identifier: MIT */
/*
 * worker: the life of one worker process, as a table of states by events.
 *
 *            SPAWN             SPAWNED            READY            ASSIGN
 *   VACANT --------> SPAWNING --------> STARTING --------> IDLE <---------> BUSY
 *     ^                 |                  |                |      RESULT     |
 *     |  SPAWN_FAILED,  |                  |                | RETIRE          | RESULT, recycled
 *     |  ZYGOTE_LOST    |                  |                v                 v
 *     +-----------------+                  |             RETIRING <-----------+
 *     |                                    |                |                 |
 *     |                       KILL (timeout, cancel, corrupt, shutdown...)    |
 *     |                                    v                v                 v
 *     |                                  DYING <--------------------------------
 *     |                                    |
 *     |         EMPTY              EXITED  |  (from STARTING, IDLE, BUSY, RETIRING, DYING)
 *     +----------------------- DEAD <------+---- GONE: dead, by its pidfd or by an omen; status to follow
 *
 * What is true in each state
 *   VACANT    no process, no task, no deadline; nothing maps the slot's channel
 *   SPAWNING  the zygote was asked; no pid yet. Deadline: start timeout, then the zygote is dropped.
 *             The worker's own words may come first: they are kept for SPAWNED
 *   STARTING  the process runs the initializer. Deadline: initializer timeout
 *   IDLE      in the idle list; no task. Deadline, if workers have an age: then it leaves
 *   BUSY      exactly one task, which is RUNNING, and a queue of those PREFETCHED behind it. Deadline:
 *             its run timeout or heartbeat, or the start timeout until it is known to have begun;
 *             patience while others wait behind it. A task with a grace that overran or was cancelled is
 *             `asked`: nothing is sent behind it any more, and the deadline is the end of its grace. It
 *             ends as what it was asked for, however it ends; if it returns, its worker lives on.
 *             In a cooperative pool that grace has no end, and no deadline. While its task waits for
 *             others it has no queue, and its silence means nothing
 *   RETIRING  told to leave; no task. Deadline: finalizer timeout
 *   DYING     SIGKILL was sent by the pool; `doom` says why. It keeps tasks only if they may turn out
 *             never to have been started, and for a second at most. Deadline: then the zygote may be
 *             mute, and is dropped
 *   GONE      dead, or so near to it that it does nothing any more; may keep tasks until the status says
 *             what became of them. Deadline, anew when it is told again: the start timeout, then the zygote
 *             that should tell is dropped; a second where it is lost. While its death is only foretold
 *             nobody can tell: then that task still ends with its run timeout or grace, or, lost, after
 *             some start timeouts, and no zygote is dropped
 *   DEAD      cause known and counted; its tree is not proven empty yet. Deadline, while there is a
 *             zygote: it may be mute, and is dropped
 *
 * created = alive + ended by cause: `created` grows at SPAWNED, `ended` at EXITED, nowhere else.
 */
#ifndef LP_CORE_WORKER_H
#define LP_CORE_WORKER_H

#include "core/event.h"
#include "core/limits.h"

struct lp_pool;

enum lp_worker_state {
    LP_WORKER_VACANT = 0,
    LP_WORKER_SPAWNING,
    LP_WORKER_STARTING,
    LP_WORKER_IDLE,
    LP_WORKER_BUSY,
    LP_WORKER_RETIRING,
    LP_WORKER_DYING,
    LP_WORKER_GONE,
    LP_WORKER_DEAD,
    LP_WORKER_STATES
};

struct lp_worker {
    enum lp_worker_state state;
    uint32_t generation; /* grows with each SPAWN: late words about an old process are ignored */
    int pid;
    uint32_t number; /* what the world knows it by; from SPAWN until another one may have it */
    uint32_t task;   /* index, or LP_NONE */
    uint32_t queue_first, queue_last; /* prefetched tasks, in the order in which they were sent */
    uint32_t queued;
    bool recalled; /* what was taken back still lies in its channel: nothing is added to it */
    uint32_t hungry_next; /* in the list of those that may be sent more in this step */
    bool hungry;
    libpool_cause doom;  /* why the pool ended it; LIBPOOL_PENDING: it did not */
    bool ready;          /* reached READY */
    bool ready_early;    /* SPAWNING: it said so before the zygote reported its birth */
    libpool_cause asked; /* BUSY: why its task was asked to end; LIBPOOL_PENDING: it was not */
    int soft_signal;     /* it may have been sent this one, and no word came since; 0: none */
    bool silent;         /* when its task was looked at last, it had been silent for too long */
    bool waiting;        /* BUSY: its task waits for others */
    bool assigned;       /* was handed a task */
    bool leave;          /* retire it after its task */
    bool orphaned;       /* its zygote is lost */
    bool retiring;       /* was told to leave */
    bool kill_overran;   /* was killed, and its death is long in coming */
    bool hurried;        /* cooperative: whatever it runs is asked to end */
    bool init_failed;    /* its initializer said no: init_code */
    int init_code;
    bool final_started;
    bool finalized;
    bool weighing;                    /* an answer is awaited */
    bool outgrown;                    /* it is to leave for its memory */
    uint32_t tasks_done, tasks_limit; /* it leaves after so many; 0: no matter how many */
    uint64_t aged_ns;                 /* it leaves from then on; 0: no matter when */
    uint64_t last_id;                 /* the last task of its that has ended; 0: none has */
    uint64_t launched_ns;             /* its task: since then nothing is before it */
    uint64_t waited_ns;               /* until then it waited for others; 0: it has not */
    uint64_t edition;                 /* the pool's when it was spawned */
    uint64_t asked_ns;                /* it was asked for */
    uint64_t killed_ns;               /* by the pool; 0: it was not */
    uint32_t outfit;                  /* the number of the one it was given */
    enum lp_worker_state weighed_in;  /* what it was when that was asked... */
    uint64_t weighed_id;              /* ...and the task that it had; 0: none... */
    uint64_t weigh_limit_bytes;       /* ...and what its tree may hold */
    uint64_t weight_bytes;            /* the last answer */
    uint64_t spawned_ns;
    uint64_t idle_since_ns;
    uint64_t proof_wait_ns; /* how long to wait for its death and empty tree next time */
    uint64_t
        run_deadline_ns;  /* BUSY: when its task has to end, once it has begun or was asked to */
    uint64_t torn_by_ns;  /* GONE, and only foretold: its task ends then; 0: its death is proven */
    bool torn_overruns;   /* that is for its own limit */
    uint64_t overran_ns;  /* when the task that was asked for its time should have ended */
    uint64_t deadline_ns; /* 0: none. The heap may hold an earlier time to look */
    uint32_t idle_older, idle_newer; /* the idle list */
    uint32_t held; /* the task whose next run waits until this worker's tree is gone, or LP_NONE */
};

/* One event about one worker, through the table. */
void lp_worker_step(struct lp_pool *pool, uint32_t slot, const struct lp_event *event);

/* Commands of the pool's policy; each is legal only in the states its comment names. */
void lp_worker_spawn(struct lp_pool *pool, uint32_t slot);  /* VACANT */
void lp_worker_assign(struct lp_pool *pool, uint32_t slot); /* IDLE */
void lp_worker_go_on(struct lp_pool *pool,
                     uint32_t slot); /* BUSY: its task has ended, others wait */
/* DYING, GONE: ends a task that it was sent ahead and may have begun. */
void lp_worker_drop_prefetched(struct lp_pool *pool, uint32_t task, libpool_cause cause);
void lp_worker_retire(struct lp_pool *pool, uint32_t slot); /* IDLE */
void lp_worker_kill(struct lp_pool *pool, uint32_t slot,
                    libpool_cause doom);                   /* any: VACANT, DYING... ignore it */
void lp_worker_weigh(struct lp_pool *pool, uint32_t slot); /* any: who runs nothing ignores it */
void lp_worker_await_proof(struct lp_pool *pool, uint32_t slot); /* DEAD, the zygote is up */
void lp_worker_zygote_lost(struct lp_pool *pool, uint32_t slot); /* any */

/* The heap keeps the earliest time to look; a later deadline needs no work there. */
void lp_worker_set_deadline(struct lp_pool *pool, uint32_t slot, uint64_t deadline_ns);

const char *lp_worker_state_name(enum lp_worker_state state);

/* What the comment above says is true, asserted for one worker. */
bool lp_worker_check(const struct lp_pool *pool, uint32_t slot);

#endif
