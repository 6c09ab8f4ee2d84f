/* SPDX-License-Identifier: MIT */
/*
 * sim_world: the pretend kernel, zygote, workers and supervisor that the policy acts upon.
 *
 * What happens is a set of items, each with its time. Inner items (a fork, the end of an
 * initializer, a death) change the world and put more items into it; an EVENT item is what the
 * supervisor tells the policy. The world is honest, it only says what the real one could say:
 *   - what one worker writes arrives in order, and before the news of its death (the supervisor
 *     empties the channel first); it may overtake the report of its birth
 *   - what the zygote reports arrives in order; when it dies, what it had sent still arrives, the
 *     rest never; a worker that was not reported dies with it
 *   - a pidfd tells a death at most once: as GONE, or as EXITED where the zygote is lost; a worker
 *     without one is looked for when its zygote is lost, and when there are descriptors again. GONE may
 *     be told before that, of who is idle or busy, once
 *   - SPAWN is answered by SPAWNED, SPAWN_FAILED or the loss of the zygote; CLEAN by EMPTY
 *   - KILL leads to a death, but not at once, and not at all for the unkillable; when it meets the
 *     news of the empty tree, that is told again
 *   - a worker begins what it was sent in that order, nothing that was recalled, and each once
 * A hostile worker says any word at any time.
 * In a cooperative pool workers are threads: KILL only tells one to leave when it comes to it, a task that
 * does not listen goes on, nobody has a pidfd, and the zygote neither dies nor hangs for ever. When calm
 * comes everybody comes back from where he was: late, but in the end.
 */
#ifndef HARNESS_SIM_WORLD_H
#define HARNESS_SIM_WORLD_H

#include "core/pool.h"
#include "harness/sim_books.h"
#include "harness/sim_random.h"

#define HN_ITEMS 4096u
#define HN_OTHER_POOLS 2u

/* Classes of faults; a schedule has each of them on or off. */
enum hn_fault {
    HN_FAULT_EXIT = 0, /* workers leave by themselves */
    HN_FAULT_SIGNAL,   /* they crash or are killed from outside */
    HN_FAULT_OOM,
    HN_FAULT_SPAWN_ERROR, /* fork fails */
    HN_FAULT_ZYGOTE_DEATH,
    HN_FAULT_ZYGOTE_HANG,  /* for ever */
    HN_FAULT_ZYGOTE_PAUSE, /* for a while */
    HN_FAULT_ZYGOTE_START, /* it can't be started */
    HN_FAULT_INIT_FAIL,
    HN_FAULT_INIT_HANG,
    HN_FAULT_FINAL_FAIL,
    HN_FAULT_FINAL_HANG,
    HN_FAULT_TASK_HANG,
    HN_FAULT_STUCK_START, /* a worker does not begin the task it was given */
    HN_FAULT_CORRUPT,     /* hostile words */
    HN_FAULT_LIE,         /* hostile word on when a task began */
    HN_FAULT_FIB,         /* hostile word, found after its death, on which task it began */
    HN_FAULT_UNKILLABLE,
    HN_FAULT_TREE_SLOW,    /* descendants outlive the worker for long */
    HN_FAULT_STATUS_SLOW,  /* the zygote is long in reporting a death */
    HN_FAULT_WAKE_LATE,    /* the supervisor's timer */
    HN_FAULT_RELEASE_LATE, /* ended tasks keep their record for a while */
    HN_FAULT_LEFTOVERS,    /* a worker can't clear up after a task, and asks to leave */
    HN_FAULT_NO_PIDFD,     /* the host has no descriptor free for a worker's pidfd */
    HN_FAULT_HEAVY,        /* trees hold more than their limit */
    HN_FAULT_GROWN,        /* workers find themselves too big after a task */
    HN_FAULT_DEAF,         /* a task that is asked to end does not */
    HN_FAULT_SILENT,       /* a task gives no signs of life, or not to its end */
    HN_FAULT_SCARCE,       /* the machine has no memory for more tasks */
    HN_FAULTS
};

/* Everything fails, always: what the backoff is for. */
enum hn_total {
    HN_TOTAL_NONE = 0,
    HN_TOTAL_SPAWN,
    HN_TOTAL_ZYGOTE_START,
    HN_TOTAL_ZYGOTE_DIES, /* with the first request */
    HN_TOTAL_INIT,
    HN_TOTAL_IDLE_DEATH, /* as soon as it is ready */
    HN_TOTAL_UNBEGUN,    /* when it is handed a task, before it begins it */
    HN_TOTAL_CORRUPT,    /* nonsense as soon as it is ready */
    HN_TOTALS
};

enum hn_item_kind {
    HN_ITEM_EVENT = 0, /* told to the policy */
    HN_ITEM_RELEASE,   /* event.task_id: index of the task's record */
    HN_ITEM_FORK,
    HN_ITEM_INIT_END,
    HN_ITEM_BEGIN, /* claims the next of its channel */
    HN_ITEM_ENTER, /* the function of what it has claimed */
    HN_ITEM_CALL,  /* it wants to wait for others */
    HN_ITEM_TASK_END,
    HN_ITEM_LEAVE,
    HN_ITEM_FINAL_END,
    HN_ITEM_DIE,   /* event.code, signal, oom_kills */
    HN_ITEM_REAP,  /* by the zygote */
    HN_ITEM_PROVE, /* by the zygote: its tree is empty */
    HN_ITEM_WEIGH, /* by the zygote */
    HN_ITEM_ZYGOTE_DIE
};

struct hn_item {
    enum hn_item_kind kind;
    uint64_t at_ns, order;
    uint32_t zygote; /* done or sent by this incarnation; 0: not by a zygote */
    struct lp_event event;
};

/* A task as it lies in a channel. */
struct hn_sent {
    uint64_t task_id;
    uint32_t epoch;
};

#define HN_CHANNEL 1024u /* what was sent since the channel was empty, at most */

/*
 * A slot's channel and its gate, as os/channel.h promises them: a worker claims what it begins in the
 * order of sending, and only what is of the gate's epoch; whoever moves the gate knows how many it has
 * claimed, and that it never begins the rest.
 */
struct hn_channel {
    struct hn_sent sent[HN_CHANNEL];
    uint32_t first, n;
    uint32_t epoch, claimed;
    uint32_t results; /* heard by the host */
};

/* The process that was last started in a slot. */
struct hn_process {
    uint32_t generation, zygote;
    int pid;
    bool alive, reported, frozen, unkillable, liar;
    bool babbles;                    /* it has said what it can't say, or not yet */
    bool no_pidfd;                   /* only the zygote would know of its death */
    bool ready;                      /* its initializer is done */
    bool hangs;                      /* in its initializer or finalizer, until it is calm */
    bool said_no;                    /* its initializer has, and it does not leave */
    bool told_to_leave, leaving;     /* threads */
    bool calling;                    /* its task has asked to wait, and was not answered */
    bool told;                       /* its death, by EXITED */
    bool dying;                      /* SIGKILL is under way */
    bool proven;                     /* its tree, to be empty; the report may be under way */
    uint64_t words_ns;               /* when its last word arrives */
    uint64_t born_ns;                /* when its birth is reported */
    uint64_t proof_ns;               /* its death is foretold, and proven only then */
    uint64_t tree_ns;                /* its tree can't be empty before */
    bool at_work;                    /* or about to look into its channel */
    uint64_t asked_id;               /* the task that the host has asked to end; 0: none */
    bool fibs;                       /* its word after its death */
    uint64_t task_id;                /* it has claimed it; 0: none */
    uint64_t started_id, started_ns; /* its own word in the shared memory */
    uint64_t begun_ns;
    libpool_cause death;
    struct lp_event ended; /* code, signal... */
};

struct hn_zygote {
    uint32_t incarnation;
    bool alive, hung;
    bool linked;       /* the supervisor has not told its loss yet */
    uint64_t pause_ns; /* stopped until */
    uint64_t reports_ns;
};

struct hn_world {
    struct hn_random random;
    struct hn_trace *trace;
    struct hn_books *books;
    struct hn_sim_coverage *coverage;
    struct lp_pool *pool;
    bool has_finalizer;
    bool threads; /* the pool is cooperative */
    bool hoards;  /* no ended task is released at once */

    uint64_t faults; /* bit set */
    uint32_t percent;
    bool calm;
    enum hn_total total;
    uint64_t work_ns;  /* tasks take up to so long */
    uint64_t start_ns; /* initializers and finalizers, too */
    bool tiny;         /* most tasks take no longer than tiny_ns */
    uint64_t tiny_ns;
    uint32_t call_percent; /* of the tasks wait for others that they submit */

    struct lp_shares shares; /* the governor, this pool's part in it, and two other pools' */
    struct lp_share ours, others[HN_OTHER_POOLS];
    bool news_under_way;

    struct hn_process processes[HN_BOOK_SLOTS];
    struct hn_channel channels[HN_BOOK_SLOTS];
    struct hn_zygote zygote;
    int next_pid;

    uint64_t order;
    uint32_t n_items;
    struct hn_item items[HN_ITEMS];
};

void hn_world_init(struct hn_world *world, uint64_t seed);
bool hn_world_has(struct hn_world *world, enum hn_fault fault); /* the class is on */
/* The earliest item, or NULL. */
struct hn_item *hn_world_next(struct hn_world *world);
/* Takes an item out. */
struct hn_item hn_world_take(struct hn_world *world, struct hn_item *item);
/* An inner item takes its course. */
void hn_world_happen(struct hn_world *world, const struct hn_item *item);
/* Fills in what the supervisor adds when it tells an event. false: it is not told at all. */
bool hn_world_tell(struct hn_world *world, struct lp_event *event, libpool_cause *injected);
void hn_world_perform(struct hn_world *world, const struct lp_action *action);
/* The first word that the worker in a slot has written and nobody has read yet, or NULL. */
struct hn_item *hn_world_unread(struct hn_world *world, uint32_t slot);
/* The gate moves on; how many tasks were claimed until then. */
uint32_t hn_world_recall(struct hn_world *world, uint32_t slot);
/* Into the channel: the task at an index of the policy's table. */
void hn_world_send(struct hn_world *world, uint32_t slot, uint32_t task);

/* This pool and two others have a governor. */
void hn_world_govern(struct hn_world *world);
/* A new reserve of this pool: 0 or -ENOSPC. */
int hn_world_reserve(struct hn_world *world, uint32_t min_workers);
/* The other pools want places, and give some back. */
void hn_world_rival(struct hn_world *world);

/* Faults from outside, on whatever is there. */
void hn_world_kill_worker(struct hn_world *world);
void hn_world_hurt_zygote(struct hn_world *world);
void hn_world_say_nonsense(struct hn_world *world); /* a living worker says any word */
void hn_world_old_word(struct hn_world *world);     /* about a process that is no more */
/* What a task has waited for has ended, or it may not wait: it goes on. */
void hn_world_answer(struct hn_world *world, uint32_t slot, uint64_t task_id);
/* The faults stop; some of the frozen and unkillable recover. */
void hn_world_calm(struct hn_world *world);
/* Slots that will never be empty. */
bool hn_world_is_stuck(const struct hn_world *world, uint32_t slot);
uint32_t hn_world_stuck(const struct hn_world *world);

#endif
