/* SPDX-License-Identifier: MIT */
/*
 * event: what may happen (in) and what is to be done (out). Plain structs, no behaviour.
 *
 * The policy is one function of (state, event) to (state, actions). Time comes with the event.
 */
#ifndef LP_CORE_EVENT_H
#define LP_CORE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include <libpool.h>

#include "core/shares.h"

enum lp_event_kind {
    /* About the worker in `slot`; ignored when `generation` is not its current one. */
    LP_EVENT_SPAWNED = 0,   /* the fork succeeded: pid */
    LP_EVENT_SPAWN_FAILED,  /* error */
    LP_EVENT_READY,         /* its initializer is done */
    LP_EVENT_INIT_FAILED,   /* its initializer said no: code */
    LP_EVENT_RESULT,        /* task_id, code, started_ns, ended_ns */
    LP_EVENT_FINAL_STARTED, /* its finalizer begins */
    LP_EVENT_FINALIZED,     /* its finalizer returned */
    LP_EVENT_CORRUPT,       /* it wrote nonsense into its channel */
    LP_EVENT_GONE,          /* dead, or certain to be, cause unknown yet; started_id, started_ns */
    LP_EVENT_EXITED,        /* dead: code, signal, core_dumped, oom_kills, unknown; started_* */
    LP_EVENT_EMPTY,         /* nothing of its tree is left: the slot may be used again */
    LP_EVENT_DEADLINE,      /* the deadline lp_pool_due() told has passed; started_* */
    LP_EVENT_RECALLED,      /* it will not begin what was prefetched: all results it had are told */
    LP_EVENT_WEIGHED,       /* bytes: what its tree holds, as asked for by WEIGH; started_* */
    LP_EVENT_WAITS,         /* its task waits for others, if lp_waiting_may: task_id */
    LP_EVENT_WAITED,        /* it does no more: they have ended, or it gave up */
    LP_WORKER_EVENTS,
    /* About the pool. */
    LP_EVENT_ZYGOTE_UP = LP_WORKER_EVENTS, /* pid, weighs */
    LP_EVENT_ZYGOTE_FAILED,                /* could not be started: error */
    LP_EVENT_ZYGOTE_LOST,                  /* it is dead, or dropped as asked */
    LP_EVENT_SHUTDOWN,                     /* flags, deadline_ns */
    LP_EVENT_TICK,                         /* time passes */
    LP_EVENT_ADMISSION,                    /* as asked for by SAMPLE: closes */
    LP_EVENT_PLACES,                       /* from the governor: granted, share, yield */
    LP_EVENTS
};

struct lp_event {
    enum lp_event_kind kind;
    uint32_t slot;
    uint32_t generation;
    uint64_t now_ns;
    int pid;
    int error; /* negated errno */
    int code;
    int signal;
    int core_dumped;
    bool unknown; /* EXITED: nobody could tell how */
    bool leaves;  /* RESULT: the worker asks to be retired: it could not clear up after the task */
    bool grown;   /* RESULT: it asks to be retired: it has grown too big */
    bool weighs;  /* ZYGOTE_UP: trees have to be looked at, nobody else keeps them to their limit */
    bool closes;  /* ADMISSION: there is not enough memory to start tasks */
    uint64_t oom_kills;
    uint64_t task_id;
    uint64_t started_id; /* the worker's own word: the task it began last... */
    uint64_t started_ns; /* ...and when. RESULT: when the function was entered */
    uint64_t ended_ns;
    uint64_t beat_ns;     /* DEADLINE, RECALLED: when it gave its last sign of life */
    uint32_t flags;       /* SHUTDOWN: LIBPOOL_WAIT, LIBPOOL_CANCEL */
    uint64_t deadline_ns; /* SHUTDOWN: absolute; 0: none */
    uint64_t bytes;       /* WEIGHED */
    uint32_t granted;     /* PLACES: so many more may be used */
    uint32_t share;       /* PLACES: those it has a right to */
    enum lp_yield yield;  /* PLACES: what others need */
    bool foretold;        /* GONE, DEADLINE of one that is: the kernel has yet to tear it down */
};

enum lp_action_kind {
    LP_ACTION_SPAWN = 0,    /* ask the zygote for a worker in slot */
    LP_ACTION_ASSIGN,       /* send task to the worker in slot, to run at once or after others */
    LP_ACTION_RETIRE,       /* tell the worker in slot to finalize and leave */
    LP_ACTION_ASK,          /* ask task, which the worker in slot runs, to end by itself */
    LP_ACTION_KILL,         /* SIGKILL the worker in slot; have the zygote end its tree */
    LP_ACTION_CLEAN,        /* have the (new) zygote prove the tree of a dead worker empty */
    LP_ACTION_WEIGH,        /* have the zygote weigh the tree of the worker in slot */
    LP_ACTION_END,          /* task has ended: complete its future, then lp_pool_release() */
    LP_ACTION_ROOM,         /* the backlog has room again */
    LP_ACTION_ZYGOTE_START, /* start a zygote; answer ZYGOTE_UP or ZYGOTE_FAILED */
    LP_ACTION_ZYGOTE_DROP,  /* it does not answer: kill it; answer ZYGOTE_LOST */
    LP_ACTION_NOTE,         /* for the event stream: note */
    LP_ACTION_DOWN,         /* all is down: nothing follows */
    LP_ACTION_RETRY,        /* a run of task has failed in slot, another follows: forget that one */
    LP_ACTION_RESUME,       /* its pause is over: task is in the backlog again */
    LP_ACTION_SAMPLE,       /* look whether there is memory for more tasks; answer ADMISSION */
    LP_ACTION_WANT,         /* tell the governor that the pool wants `count` places more */
    LP_ACTION_GIVE,         /* give it back `count` */
    LP_ACTIONS
};

struct lp_action {
    enum lp_action_kind kind;
    uint32_t slot;
    uint32_t generation;
    uint32_t task;      /* index in the task table */
    uint32_t count;     /* WANT, GIVE */
    libpool_event note; /* NOTE; `number` is filled in by the reader's ring */
};

#endif
