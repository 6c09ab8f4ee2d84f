/* SPDX-License-Identifier: MIT */
/*
 * sim_books: the sim's own books, and the judge.
 *
 * They are kept from what the pretend world did and from what the policy decided, never from the
 * policy's counters or tables: a second, slower account of the same story. A call into the policy is
 * told to the books before (what has happened), each action is judged in order (was it allowed? was
 * it due?), and afterwards both accounts have to agree.
 *
 *     hn_books_before(books, &call);   the event's own consequences
 *     lp_pool_step(pool, call.event);
 *     for each action: hn_books_action(books, pool, action);
 *     hn_books_after(books, pool);
 *
 * A call that does not settle (lp_pool_tell) is judged in the same way, and only what may wait for the
 * settling is not asked for.
 */
#ifndef HARNESS_SIM_BOOKS_H
#define HARNESS_SIM_BOOKS_H

#include "core/pool.h"
#include "harness/sim.h"
#include "harness/sim_trace.h"

#define HN_BOOK_TASKS 4096u
#define HN_BOOK_SLOTS 32u
#define HN_SPAWNS_KEPT 24u
#define HN_BOOK_KINDS 4u /* of tasks; 0 is none */

/* Where one run of a task took place. */
struct hn_book_run {
    uint32_t slot, generation;
    int pid;
    uint32_t number;
    bool begun;
    uint64_t ended_ns;
};

struct hn_book_task {
    uint32_t index; /* in the policy's table */
    enum lp_task_state state;
    struct lp_task_spec spec;
    uint64_t submitted_ns, assigned_ns;
    uint64_t launched_ns; /* nothing of its worker's is before it any more */
    uint64_t begun_ns;    /* the world's own: when a worker entered its function */
    uint64_t believed_ns; /* what a deadline may count from */
    uint32_t slot;        /* PREFETCHED, RUNNING: who has it */
    uint32_t returns;
    uint32_t begun; /* how often */
    bool launched;
    bool
        doubted; /* one behind it was ended in dying or dead hands: whose word may be on that one */
    struct lp_retry_rule rule; /* spec.retry, copied */
    uint32_t retried;
    uint32_t runs;               /* begun, all of them */
    libpool_cause retried_cause; /* of the run before */
    struct hn_book_run failed;   /* that run */
    uint64_t gone_ns;            /* since when nothing is left of it; 0: not known */
    uint64_t queued_ns;          /* what its queue timeout counts from */
    uint64_t order;              /* in its level */
    bool cancelled;              /* however it ends, it is not run again */
    uint64_t beat_every_ns;      /* once begun it gives signs of life so often; 0: never */
    uint64_t beats_end_ns;       /* until then */
    libpool_cause asked;         /* why it was asked to end; PENDING: it was not */
    uint64_t asked_ns;
    uint64_t due_ns;        /* when it should have ended, asked for its time */
    bool silent;            /* asked for its silence */
    uint64_t waited_ns;     /* until then it waited for others */
    bool not_started;       /* reported so */
    libpool_cause must_end; /* this call has to end it, for this reason; PENDING: it has not */
    bool must_say_how;      /* with the code and signal of the event */
};

struct hn_book_slot {
    enum lp_worker_state state;
    uint32_t generation;
    int pid;
    uint32_t number;                 /* what it is known by */
    uint32_t task;                   /* index in tasks, or LP_NONE */
    uint32_t queue[LP_PREFETCH_MAX]; /* what it was sent ahead, in that order */
    uint32_t queued;
    uint64_t quiet_ns;  /* since when something waits there without a result */
    uint64_t beside_ns; /* the same, but beside somebody idle; 0: as yet not */
    libpool_cause doom; /* why the policy has killed it */
    int sent_signal;    /* with a task that was asked to end and has not answered; 0: none */
    libpool_cause sent_why;
    libpool_cause must_kill; /* this call has to kill it, for this reason */
    bool ready, retiring, orphaned, early_ready;
    bool init_failed, final_started, finalized;
    bool waiting;  /* what it runs waits for others */
    bool leaves;   /* it has asked to */
    bool hurried;  /* a thread, when all was to end: whatever it runs is asked to */
    bool outgrown; /* it has to, for its memory */
    bool weighing; /* an answer is awaited */
    enum lp_worker_state weighed_in; /* what it was then... */
    uint32_t weighed_task;           /* ...and what it ran, or LP_NONE... */
    uint64_t weigh_limit_bytes;      /* ...and what it may hold */
    uint64_t weighed_ns;             /* when the last answer came */
    uint64_t weight_bytes;           /* what it said */
    int init_code;
    uint32_t tasks_done;
    uint64_t ready_ns;  /* when it was */
    bool aged;          /* it has told a result, and was too old by then */
    bool recalled;      /* what was taken back still lies in its channel */
    uint64_t last_id;   /* the last task of its that it ran and that has ended */
    uint64_t edition;   /* the pool's when it was spawned */
    uint32_t outfit;    /* the same */
    uint64_t asked_ns;  /* its spawn... */
    uint64_t killed_ns; /* ...and its kill by the pool; 0: none */
    uint64_t since_ns;  /* of the state */
    uint64_t idle_order;
    uint64_t lived_from_ns;
    bool unproven;        /* its death or empty tree was waited for in vain, at least once */
    bool grace_ended;     /* of its kill: what it holds may end */
    uint64_t foretold_ns; /* its death, which is not proven; 0: it is, or it lives */
    uint32_t held;        /* index of the task that runs again when its tree is gone, or LP_NONE */
};

/* What is held against a kind of tasks. */
struct hn_book_kind {
    uint32_t deaths;   /* in a row */
    uint64_t until_ns; /* 0: it is not held */
};

/* One call into the policy. */
struct hn_call {
    const struct lp_event *event; /* NULL: submit, cancel, settle... */
    bool settles;                 /* conclusions are drawn in this call */
    uint32_t submitted;           /* index in tasks, or LP_NONE */
    uint32_t cancelled;           /* index in tasks, or LP_NONE */
    uint64_t cancelled_group;     /* 0: none */
    libpool_cause injected;       /* EXITED: what was done to it in truth */
};

struct hn_books {
    struct hn_trace *trace;
    struct hn_sim_coverage *coverage;
    struct lp_pool_config config;
    uint32_t min_workers, max_workers; /* apart from config: a resize would change them */
    uint32_t n_slots;
    uint64_t slack_ns; /* how late the supervisor may wake */

    struct hn_book_task tasks[HN_BOOK_TASKS];
    uint32_t n_tasks, oldest; /* all before oldest have ended */
    struct hn_book_slot slots[HN_BOOK_SLOTS];
    uint64_t idle_order;
    uint64_t order;                      /* of the last task that joined the backlog's end */
    uint32_t held, places_wanted, share; /* of a governor */
    uint32_t fresh;                      /* granted in this call, or since one has settled */
    enum lp_yield yield;
    bool gave;             /* some back, in this call */
    bool scarce;           /* admission: the last answer was no... */
    uint64_t told_ns;      /* ...then; 0: there was none */
    bool sampling;         /* another is awaited */
    uint64_t matters_ns;   /* since when one is needed; 0: it is not */
    uint32_t paused;       /* tasks that wait for another run */
    uint32_t retry_budget; /* in hundredths */
    struct hn_book_kind kinds[HN_BOOK_KINDS];
    uint32_t favourite;    /* the slot that was assigned a task last, or the first to tell since */
    uint64_t least_run_ns; /* the shortest run that was told */
    uint32_t init_failures;
    int init_code; /* of the last of them */

    uint64_t edition;          /* one more with each recycle */
    uint32_t recycle_parallel; /* of the last */
    uint32_t outfit;           /* one more with each that workers are given */
    bool
        hopes; /* since then nobody in it has died, no fork was refused, nor anything else proved it wrong */
    uint64_t dressed_ns; /* when that was; those before may have used up what is forgiven */
    uint32_t owed; /* of an older edition, told to leave, and nobody has become ready instead */

    enum lp_zygote_state zygote;
    uint64_t zygote_since_ns;
    bool weighs;          /* the zygote that is up is to weigh trees */
    uint64_t weighing_ns; /* when they were weighed last */

    bool shutting, cancelling, killing, down;
    bool over; /* down before this call */
    uint64_t deadline_ns, killing_since_ns;

    bool waiting; /* somebody was refused for want of room */
    uint64_t waiting_bytes;
    bool room_told;
    bool settled; /* by the last call */

    struct hn_call call;
    uint64_t now_ns;
    uint32_t must_end; /* tasks that this call has to end */
    uint32_t ends;     /* tasks that it has ended */
    bool must_drop;
    uint32_t died_slot; /* whose death this call tells, or LP_NONE */
    libpool_cause died_cause;

    uint64_t spawn_times[HN_SPAWNS_KEPT], zygote_times[HN_SPAWNS_KEPT];
    uint64_t n_spawns, n_zygotes;
    uint64_t last_attempt_ns;  /* of either */
    uint64_t failing_since_ns; /* everything fails since then; 0: it does not */
    bool zygotes_fail;         /* by the death of each zygote */

    uint64_t notes[LIBPOOL_EVENT_KINDS], notes_due[LIBPOOL_EVENT_KINDS];
    libpool_stats stats; /* the counters as they should be */
    struct {
        uint64_t count, sum_ns, max_ns;
    } times[LIBPOOL_HISTOGRAMS];
};

void hn_books_init(struct hn_books *books, const struct lp_pool_config *config,
                   struct hn_trace *trace, struct hn_sim_coverage *coverage);

/* True when its age is over whatever it was given, at the least it may have been given. */
bool hn_books_age_over(const struct hn_books *books, const struct hn_book_slot *slot);
bool hn_books_age_may_be_over(const struct hn_books *books, const struct hn_book_slot *slot);

/* When a task that was begun gave its last sign of life, its beginning being the first. */
uint64_t hn_books_last_sign(const struct hn_book_task *task, uint64_t now_ns);
/* It is dying, and that takes too long: its task is lost. */
bool hn_books_gave_up(const struct hn_books *books, const struct hn_book_slot *slot);
/* The user's call; how many are of an older edition and may still take a task. */
void hn_books_recycle(struct hn_books *books, uint32_t parallel);
void hn_books_dress(struct hn_books *books);
uint32_t hn_books_outdated(const struct hn_books *books);
/* How many would be ready if those who left for it were replaced, within the bounds. */
uint32_t hn_books_as_strong(const struct hn_books *books);

/* Facts of the world. */
void hn_books_begun(struct hn_books *books, uint64_t task_id, uint32_t slot, uint64_t believed_ns);
void hn_books_released(struct hn_books *books, uint32_t index);

/* What submit returned; call before the actions are judged. */
void hn_books_submitted(struct hn_books *books, const struct lp_pool *pool,
                        const struct lp_task_spec *spec, int result, uint32_t index);
void hn_books_before(struct hn_books *books, const struct hn_call *call);
void hn_books_action(struct hn_books *books, const struct lp_pool *pool,
                     const struct lp_action *action);
void hn_books_after(struct hn_books *books, const struct lp_pool *pool);

/* Before anything is done to who runs this task, it is asked to end. */
bool hn_books_asks(const struct hn_books *books, const struct hn_book_task *task);
/* None of this kind may be run. */
bool hn_books_holds_kind(struct hn_books *books, uint64_t kind);
/* Those whose task waits for others, and those who run something and don't. */
uint32_t hn_books_waiting(const struct hn_books *books);
uint32_t hn_books_active(const struct hn_books *books);
/* Somebody idle may be given a task. */
bool hn_books_has_free(const struct hn_books *books);
/* Places of the governor's that are in use. */
uint32_t hn_books_used(const struct hn_books *books);
/* Admission: any number of tasks may start; one may; somebody who could run one waits for that. */
bool hn_books_is_open(const struct hn_books *books);
bool hn_books_admits(const struct hn_books *books);
bool hn_books_admission_matters(const struct hn_books *books);
uint32_t hn_books_in(const struct hn_books *books, enum lp_worker_state state);
uint32_t hn_books_pending(
    const struct hn_books *books); /* in the backlog or a channel, or paused */
uint32_t hn_books_backlog(const struct hn_books *books); /* in the backlog, to be run now */
/* A run that ended so is to be followed by another. */
bool hn_books_runs_again(struct hn_books *books, uint32_t index, libpool_cause cause);
uint32_t hn_books_running(const struct hn_books *books);
bool hn_books_holds(const struct hn_book_slot *slot); /* it has tasks */
/* The place of a task in a slot's queue; LP_NONE: it is not there. */
uint32_t hn_books_place(const struct hn_books *books, const struct hn_book_slot *slot,
                        uint64_t task_id);
void hn_books_launch(struct hn_books *books, struct hn_book_task *task);
void hn_books_time(struct hn_books *books, libpool_histogram_kind kind, uint64_t ns);
/* At the end: what is in the buckets is what was counted. */
void hn_books_histograms(struct hn_books *books, const struct lp_pool *pool);
void hn_books_dequeue(struct hn_book_slot *slot, uint32_t place);

#endif
