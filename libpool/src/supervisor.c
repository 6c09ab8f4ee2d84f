/* SPDX-License-Identifier: MIT */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

#include "admit.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/rare.h"
#include "door.h"
#include "os/death.h"
#include "os/lifeline.h"
#include "os/tree.h"
#include "parts.h"
#include "subs.h"
#include "sys/sys.h"

#define QUIT_WAIT_NS (1000 * LP_MS)
#define CLEAR_WAIT_MS 500
#define RETRY_NS (20 * LP_MS)          /* until there is a descriptor again */
#define STACK_BYTES (8u * 1024 * 1024) /* of the thread, and so of every task */
#define RING_MESSAGES (LP_CHANNEL_RING_BYTES / sizeof(struct lp_message))
#define DRAIN_BATCHES 64     /* of one whose end is near */
#define PUMP_ROUNDS 8        /* before others get their turn */
#define POLLING_PAYS 64u     /* submits, and ends that were found without a bell, in POLL_NS */
#define THIN_OUT_TASKS 1024u /* who gets none of so many is not looked at for the next one */
#define POLL_NS 500000u      /* what nobody takes is taken so soon */

/* What a poller event is about: kind, generation, slot. */
enum tag {
    TAG_SOCKET = 1,
    TAG_ZYGOTE,
    TAG_DOORBELL,
    TAG_PROCESS,
    TAG_OMENS
};

static uint64_t make_tag(enum tag kind, uint32_t generation, uint32_t slot)
{
    return (uint64_t)kind << 60 | (uint64_t)(generation & 0xfffffffu) << 32 | slot;
}

void lp_supervisor_stats(const libpool *pool, libpool_stats *stats)
{
    lp_pool_stats(&pool->core, stats);
    stats->containment = pool->containment;
    stats->oom_evidence = pool->oom_evidence;
    stats->memory_enforcement = pool->memory_enforcement;
}

uint64_t lp_supervisor_now(void)
{
    struct timespec now;
    (void)lp_sys.clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- into the core -------------------------------------------------------------------------- */

static void step(libpool *pool, struct lp_event *event)
{
    event->now_ns = lp_supervisor_now();
    lp_pool_step(&pool->core, event);
    lp_supervisor_perform(pool);
    if (event->kind < LP_WORKER_EVENTS && pool->core.workers[event->slot].task == LP_NONE)
        lp_line_abandon(&pool->lines[event->slot]); /* its task has ended, or went to another */
    if (pool->subs_due)
        lp_supervisor_perform(pool);
}

void lp_supervisor_step(libpool *pool, struct lp_event *event)
{
    step(pool, event);
}

/* An event about the worker in a slot, with its own word on what it has begun. */
static struct lp_event worker_event(const libpool *pool, enum lp_event_kind kind, uint32_t slot)
{
    const struct lp_line *line = &pool->lines[slot];
    struct lp_event event = {.kind = kind, .slot = slot, .generation = line->generation};
    lp_channel_read_started(&line->channel, &event.started_id, &event.started_ns);
    event.beat_ns = lp_board_last_beat(lp_window_board(line->window));
    return event;
}

static void step_worker(libpool *pool, enum lp_event_kind kind, uint32_t slot)
{
    struct lp_event event = worker_event(pool, kind, slot);
    step(pool, &event);
}

/* ---- out of the core ------------------------------------------------------------------------ */

static void leave_to_driver(libpool *pool)
{
    pool->work_waits = true;
    if (!pool->awake)
        lp_poller_nudge(&pool->poller);
}

static void request(libpool *pool, uint32_t slot, enum lp_request_kind kind, uint32_t owed)
{
    struct lp_line *line = &pool->lines[slot];
    struct lp_request message = {.kind = kind,
                                 .slot = slot,
                                 .generation = line->generation,
                                 .number = kind == LP_REQUEST_WEIGH
                                               ? (uint32_t)(lp_tail_held(line->tail_fd) >> 20)
                                               : pool->core.workers[slot].number,
                                 .limit_bytes = pool->core.workers[slot].weigh_limit_bytes};
    line->owed &= ~owed;
    if (pool->zygote.socket_fd < 0)
        return; /* it is lost: ZYGOTE_LOST settles what was asked */
    int doorbell_fd = kind == LP_REQUEST_SPAWN && line->has_process ? line->doorbell_fd : -1;
    if (lp_zygote_send(&pool->zygote, &message, doorbell_fd) != -EAGAIN)
        return;
    line->owed |= owed;
    pool->socket_full = true;
    (void)lp_poller_change(&pool->poller, pool->zygote.socket_fd, make_tag(TAG_SOCKET, 0, 0), true);
}

static void send_owed(libpool *pool)
{
    pool->socket_full = false;
    (void)lp_poller_change(&pool->poller, pool->zygote.socket_fd, make_tag(TAG_SOCKET, 0, 0),
                           false);
    for (uint32_t slot = 0; slot < pool->core.slots && !pool->socket_full; slot++) {
        if (pool->lines[slot].owed & LP_OWED_SPAWN)
            request(pool, slot, LP_REQUEST_SPAWN, LP_OWED_SPAWN);
        if (pool->lines[slot].owed & LP_OWED_KILL)
            request(pool, slot, LP_REQUEST_KILL, LP_OWED_KILL);
        if (pool->lines[slot].owed & LP_OWED_WEIGH)
            request(pool, slot, LP_REQUEST_WEIGH, LP_OWED_WEIGH);
    }
}

/* A place for the next pidfd: a full table must not keep it out. */
static void hold_place(struct lp_line *line)
{
    if (line->spare_fd < 0 && line->pid_fd < 0 && line->has_process)
        line->spare_fd = lp_sys.dup_from(line->doorbell_fd, 0);
}

/* The number is kept, never free in between for another thread to take. */
static void forget_process(libpool *pool, uint32_t slot)
{
    struct lp_line *line = &pool->lines[slot];
    if (line->pid_fd < 0)
        return;
    lp_poller_remove(&pool->poller, line->pid_fd);
    if (lp_sys.dup_to(line->doorbell_fd, line->pid_fd, O_CLOEXEC) < 0)
        (void)lp_sys.close(line->pid_fd);
    else
        line->spare_fd = line->pid_fd;
    line->pid_fd = -1;
}

static void perform_spawn(libpool *pool, const struct lp_action *action)
{
    forget_process(pool, action->slot);
    hold_place(&pool->lines[action->slot]);
    lp_line_reset(&pool->lines[action->slot], action->generation);
    lp_tails_renew(pool, action->slot);
    if (pool->options.flags & LIBPOOL_TRACE)
        lp_trace_wipe(lp_window_trace(pool->lines[action->slot].window));
    if (pool->wardrobe)
        lp_wardrobe_assign(pool->wardrobe, action->slot, pool->outfit_place);
    (void)lp_line_arm(&pool->lines[action->slot]);
    request(pool, action->slot, LP_REQUEST_SPAWN, LP_OWED_SPAWN);
}

/* One bell for all that one batch of actions has sent ahead. */
static void ring_owed_bell(libpool *pool)
{
    if (pool->bell_owed_to != LP_NONE)
        lp_channel_ring(&pool->lines[pool->bell_owed_to].channel);
    pool->bell_owed_to = LP_NONE;
    pool->held = 0;
}

static void perform_prefetch(libpool *pool, uint32_t slot, const struct lp_task *task)
{
    if (pool->bell_owed_to != slot) {
        ring_owed_bell(pool);
        lp_channel_hold(&pool->lines[slot].channel);
    }
    pool->bell_owed_to = slot;
    pool->held++;
    lp_line_prefetch(&pool->lines[slot], task->spec.user, task->id);
}

/* From here on it is heard by its bell. */
static void unscan_line(libpool *pool, struct lp_line *line)
{
    line->scanned = false;
    line->again = line->again || pool->polling || pool->arming; /* to be looked at once more */
    if (line->again)
        leave_to_driver(pool);
}

/*
 * A look at each costs as much as a lone task: a list that a burst has filled is thinned out again. Not
 * while somebody goes through it.
 */
static void thin_out(libpool *pool)
{
    if (pool->assigned < THIN_OUT_TASKS)
        return;
    uint32_t n = atomic_load_explicit(&pool->n_scanned, memory_order_relaxed), kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t slot = atomic_load_explicit(&pool->scanned[i], memory_order_relaxed);
        struct lp_line *line = &pool->lines[slot];
        if (line->assigned || pool->core.workers[slot].task != LP_NONE)
            atomic_store_explicit(&pool->scanned[kept++], slot, memory_order_relaxed);
        else
            unscan_line(pool, line);
        line->assigned = false;
    }
    atomic_store_explicit(&pool->n_scanned, kept, memory_order_release);
    pool->next_scanned = kept;
    pool->assigned = 0;
}

/* Those that were handed something last will answer next. */
static LP_RARE void scan_line(libpool *pool, uint32_t slot)
{
    uint32_t n = atomic_load_explicit(&pool->n_scanned, memory_order_relaxed);
    uint32_t at = pool->next_scanned++ % LP_SCANNED_MAX;
    if (at < n)
        unscan_line(pool,
                    &pool->lines[atomic_load_explicit(&pool->scanned[at], memory_order_relaxed)]);
    pool->lines[slot].scanned = true;
    atomic_store_explicit(&pool->scanned[at], slot, memory_order_relaxed);
    if (at >= n)
        atomic_store_explicit(&pool->n_scanned, at + 1, memory_order_release);
}

/* A task that runs for the first time, and has a callback. */
static void tell_start(libpool *pool, uint32_t index)
{
    const struct lp_task *task = &pool->core.tasks.table[index];
    libpool_future *future = task->spec.user;
    if (pool->callbacks.used && task->launched && future->callback)
        lp_callbacks_start(pool, future);
}

static inline void count_assigned(libpool *pool, struct lp_line *line, uint32_t slot)
{
    if (!line->scanned)
        scan_line(pool, slot);
    line->assigned = true;
    pool->assigned++;
}

static void perform_assign(libpool *pool, const struct lp_action *action)
{
    struct lp_line *line = &pool->lines[action->slot];
    count_assigned(pool, line, action->slot);
    const struct lp_task *task = &pool->core.tasks.table[action->task];
    if (task->state == LP_TASK_PREFETCHED)
        perform_prefetch(pool, action->slot, task);
    else
        lp_line_assign(line, task->spec.user, task->id);
    line->again = line->again || (line->sending && lp_line_arm(line));
    if (line->again || line->broken)
        leave_to_driver(pool);
    tell_start(pool, action->task);
}

static void perform_retire(libpool *pool, const struct lp_action *action)
{
    lp_line_post(&pool->lines[action->slot], LP_MESSAGE_RETIRE);
    if (pool->lines[action->slot].broken)
        leave_to_driver(pool);
}

/* The signal is sent only while the worker has this task, and its end waits for it. */
static void perform_ask(libpool *pool, const struct lp_action *action)
{
    struct lp_line *line = &pool->lines[action->slot];
    const struct lp_task *task = &pool->core.tasks.table[action->task];
    lp_channel_ask(&line->channel, task->id);
    if (line->subs)
        lp_subs_end(line->subs, -ECANCELED);
    if (pool->core.config.cooperative) {
        line->asked = line->again = true; /* it may wait for its parts to be taken */
        leave_to_driver(pool);
    }
    if (!task->spec.soft_signal || line->pid_fd < 0 ||
        !lp_channel_claim_door(&line->channel, task->id))
        return;
    (void)lp_sys.pidfd_send_signal(line->pid_fd, task->spec.soft_signal);
    lp_channel_signal_sent(&line->channel);
}

static void perform_kill(libpool *pool, const struct lp_action *action)
{
    struct lp_line *line = &pool->lines[action->slot];
    if (pool->core.config.cooperative) {
        perform_retire(pool, action); /* when it comes to it */
        return;
    }
    bool is_told = line->orphaned && lp_cgroup_place_kill(&pool->place, action->slot);
    line->sending = false;
    if (line->pid_fd >= 0 && line->orphaned && !is_told)
        lp_tree_kill_pinned(line->pid_fd, line->pid); /* what it started would land nowhere */
    else if (line->pid_fd >= 0)
        (void)lp_sys.pidfd_send_signal(line->pid_fd, SIGKILL);
    request(pool, action->slot, LP_REQUEST_KILL, LP_OWED_KILL);
}

/* What the worker of this task has used in all, if that is known: dead, or about to be killed. */
static bool find_usage(const struct lp_line *line, uint64_t task_id, struct lp_usage *usage)
{
    uint64_t started_id, started_ns;
    lp_channel_read_started(&line->channel, &started_id, &started_ns);
    if (started_id != task_id)
        return false; /* another's was the last, or it has not begun */
    *usage = line->usage;
    return line->has_usage || (line->pid_fd >= 0 && !lp_usage_read(line->pid, line->pid_fd, usage));
}

static uint64_t less(uint64_t ns, uint64_t by)
{
    return ns > by ? ns - by : 0;
}

/* Of one that has not come to its end: then nobody has told of it but the kernel. */
static void attach_usage(const libpool *pool, uint32_t slot, const struct lp_task *task)
{
    libpool_future *future = task->spec.user;
    struct lp_usage usage = {0};
    uint64_t user_ns = 0, system_ns = 0;
    if (slot == LP_NONE || task->outcome.running_ns < LP_MS ||
        !find_usage(&pool->lines[slot], task->id, &usage))
        usage = (struct lp_usage){0};
    else
        lp_window_usage(pool->lines[slot].window, &user_ns, &system_ns);
    lp_future_set_usage(future, less(usage.user_ns, user_ns), less(usage.system_ns, system_ns),
                        usage.max_rss_bytes);
}

/* Its future has all that there is of it. */
static void complete(libpool *pool, uint32_t index)
{
    const struct lp_task *task = &pool->core.tasks.table[index];
    libpool_future *future = task->spec.user;
    pool->ends++;
    tell_start(pool, index); /* of one that was sent ahead it may be known only now */
    bool calls = pool->callbacks.used && future->callback, is_sub = future->is_sub;
    uint32_t visitors = lp_future_complete(future, task->id, &task->outcome);
    if (visitors)
        atomic_fetch_add(&pool->visitors, visitors);
    if (is_sub)
        lp_subs_ended(future); /* who waits holds it */
    if (calls)
        lp_callbacks_end(pool, future); /* which hold it */
    lp_pool_release(&pool->core, index);
}

static void perform_end(libpool *pool, const struct lp_action *action)
{
    const struct lp_task *task = &pool->core.tasks.table[action->task];
    libpool_future *future = task->spec.user;
    if (action->slot != LP_NONE && pool->lines[action->slot].future == future)
        lp_line_abandon(&pool->lines[action->slot]);
    if (pool->tails.bytes && action->slot != LP_NONE && task->outcome.cause != LIBPOOL_COMPLETED)
        lp_tails_attach(pool, action->slot, task->id, future);
    if (task->outcome.certainty != LIBPOOL_HAS_RUN)
        attach_usage(pool, action->slot, task);
    if (task->outcome.signal && action->slot != LP_NONE && pool->options.flags & LIBPOOL_TRACE)
        lp_future_set_trace(future, lp_traces_take(pool->lines[action->slot].window, task->id,
                                                   task->outcome.signal, &pool->allocator));
    complete(pool, action->task);
}

/* What the failed run still says must not get into the future, which lives on. */
static void perform_retry(libpool *pool, const struct lp_action *action)
{
    struct lp_line *line = &pool->lines[action->slot];
    if (line->future == pool->core.tasks.table[action->task].spec.user)
        lp_line_abandon(line);
}

static void perform_note(libpool *pool, const struct lp_action *action)
{
    struct lp_event_ring *ring = &pool->ring;
    libpool_event *event = &ring->events[ring->written++ % ring->capacity];
    *event = action->note;
    event->number = ring->written;
    if (ring->written - ring->taken > ring->capacity)
        ring->taken = ring->written - ring->capacity; /* a slow reader misses the oldest */
}

static void perform_down(libpool *pool)
{
    struct lp_request quit = {.kind = LP_REQUEST_QUIT};
    pool->quitting = true;
    pool->quit_by_ns = lp_supervisor_now() + QUIT_WAIT_NS;
    lp_governor_leave(&pool->membership);
    if (pool->zygote.socket_fd >= 0)
        (void)lp_zygote_send(&pool->zygote, &quit, -1);
    leave_to_driver(pool);
}

static void perform(libpool *pool, const struct lp_action *action)
{
    switch (action->kind) {
    case LP_ACTION_SPAWN: perform_spawn(pool, action); return;
    case LP_ACTION_ASSIGN: perform_assign(pool, action); return;
    case LP_ACTION_RETIRE: perform_retire(pool, action); return;
    case LP_ACTION_ASK: perform_ask(pool, action); return;
    case LP_ACTION_KILL: perform_kill(pool, action); return;
    case LP_ACTION_CLEAN: request(pool, action->slot, LP_REQUEST_KILL, LP_OWED_KILL); return;
    case LP_ACTION_WEIGH: request(pool, action->slot, LP_REQUEST_WEIGH, LP_OWED_WEIGH); return;
    case LP_ACTION_END: perform_end(pool, action); return;
    case LP_ACTION_ROOM: return; /* `changed` is signalled after every batch */
    case LP_ACTION_ZYGOTE_START:
        pool->start_zygote = true;
        leave_to_driver(pool);
        return;
    case LP_ACTION_ZYGOTE_DROP:
        pool->drop_zygote = true;
        leave_to_driver(pool);
        return;
    case LP_ACTION_NOTE: perform_note(pool, action); return;
    case LP_ACTION_DOWN: perform_down(pool); return;
    case LP_ACTION_RETRY: perform_retry(pool, action); return;
    case LP_ACTION_RESUME: return;
    case LP_ACTION_WANT: lp_governor_want(&pool->membership, action->count); return;
    case LP_ACTION_GIVE: lp_governor_give(&pool->membership, action->count); return;
    case LP_ACTION_SAMPLE:
        pool->look_at_memory = true;
        leave_to_driver(pool);
        return;
    case LP_ACTIONS: return;
    }
}

static void perform_batch(libpool *pool)
{
    for (uint32_t i = 0; i < pool->core.n_actions; i++)
        perform(pool, &pool->core.actions[i]);
    ring_owed_bell(pool);
    if (pool->core.n_actions && pool->tails.bytes)
        lp_tails_wake(pool);
    if (pool->core.n_actions && pool->waiters)
        pthread_cond_broadcast(&pool->changed);
    if (pool->core.n_actions && pool->driving)
        lp_poller_nudge(&pool->poller); /* the one who drives may be waiting for just this */
    pool->core.n_actions = 0;
}

void lp_supervisor_rouse(libpool *pool)
{
    if (pool->zygote.pid_fd >= 0)
        (void)lp_sys.pidfd_send_signal(pool->zygote.pid_fd, SIGCONT);
}

/* What is to be told to the core without a cause of its own. */
static bool next_cause(libpool *pool, struct lp_event *event)
{
    bool any = pool->core.config.governed && lp_governor_fetch(&pool->membership, event);
    if (!any && pool->core.more) {
        *event = (struct lp_event){.kind = LP_EVENT_TICK};
        any = true;
    }
    event->now_ns = any ? lp_supervisor_now() : 0;
    return any;
}

void lp_supervisor_perform(libpool *pool)
{
    struct lp_event event;
    perform_batch(pool);
    while (next_cause(pool, &event)) {
        lp_pool_step(&pool->core, &event);
        perform_batch(pool);
    }
    if (pool->subs_due)
        lp_subs_settle(pool);
    uint64_t next_ns = lp_pool_next_deadline(&pool->core);
    if (!pool->polling ||
        next_ns < pool->poll_ns) /* the next look is armed already, or under way */
        lp_poller_set_deadline(&pool->poller, next_ns, pool->core.now_ns);
}

/* It has others before them, and will have told their results before it has done all. */
static bool can_wait(const libpool *pool, uint32_t slot)
{
    return pool->has_thread && pool->held < LP_FEED_TASKS && !pool->waiters &&
           pool->core.workers[slot].queued > pool->held + LP_FEED_TASKS;
}

void lp_supervisor_send(libpool *pool, uint32_t index)
{
    const struct lp_task *task = &pool->core.tasks.table[index];
    uint32_t slot = task->slot;
    struct lp_line *line = &pool->lines[slot];
    bool waits = can_wait(pool, slot);
    count_assigned(pool, line, slot);
    perform_prefetch(pool, slot, task);
    if (line->broken)
        leave_to_driver(pool);
    if (!waits)
        ring_owed_bell(pool);
}

/* ---- what a worker says --------------------------------------------------------------------- */

/* The turn of the one that was sent ahead has come: told when the ends before it have been. */
static void tell_turn(libpool *pool, uint32_t slot)
{
    uint32_t task = pool->core.workers[slot].task;
    if (task != LP_NONE)
        tell_start(pool, task);
}

/* Of a task that it does not run, it is nonsense: that says nothing of what it has begun. */
static bool is_of_its_task(const libpool *pool, uint32_t slot, const struct lp_message *message)
{
    uint32_t task = pool->core.workers[slot].task;
    return task != LP_NONE && pool->core.tasks.table[task].id == message->task_id;
}

/* What the core decides of it follows with the next settling. `event`: about the slot, to be filled in. */
static void hear_result(libpool *pool, struct lp_event *event, const struct lp_message *message)
{
    struct lp_line *line = &pool->lines[event->slot];
    event->generation = line->generation;
    event->code = message->code;
    event->task_id = message->task_id;
    event->started_id = message->started_ns ? message->task_id : 0;
    event->started_ns = message->started_ns;
    event->ended_ns = message->ended_ns;
    if (__builtin_expect(!is_of_its_task(pool, event->slot, message), 0))
        lp_channel_read_started(&line->channel, &event->started_id, &event->started_ns);
    event->leaves = message->leaves != 0;
    event->grown = message->leaves == LP_LEAVES_OUTGROWN;
    line->results++;
    if (line->future)
        lp_future_set_usage(line->future, message->user_ns, message->system_ns,
                            message->max_rss_kib * UINT64_C(1024));
    uint32_t ended = lp_pool_tell(&pool->core, event);
    if (ended != LP_NONE)
        complete(pool, ended);
    uint32_t next = pool->core.workers[event->slot].task;
    if (next == LP_NONE)
        lp_line_abandon(line);
    else
        lp_line_expect(line, pool->core.tasks.table[next].spec.user);
}

/* From now on somebody could miss it. What was submitted and has not come yet is waited for all the same. */
static void await_omen(libpool *pool, uint32_t slot)
{
    struct lp_line *line = &pool->lines[slot];
    const _Atomic uint32_t *word = lp_omen_word(lp_window_omen(line->window));
    if (pool->omens.fd < 0 || line->foretold || !word)
        return;
    line->foretold = true;
    lp_omens_await(&pool->omens, word, slot);
}

static bool is_of_call(const struct lp_message *message)
{
    return message->kind == LP_MESSAGE_CALL || message->kind == LP_MESSAGE_SUBTASK ||
           message->kind == LP_MESSAGE_HANG_UP;
}

void lp_supervisor_attend(libpool *pool, uint32_t slot)
{
    struct lp_line *line = &pool->lines[slot];
    line->again = line->again || (line->sending && lp_line_arm(line));
    if (line->again || line->broken)
        leave_to_driver(pool);
}

/* Of the task that it runs; of one that is dying it does not matter any more, else it is nonsense. */
static void hear_call(libpool *pool, uint32_t slot, const struct lp_message *message)
{
    const struct lp_worker *worker = &pool->core.workers[slot];
    bool is_its = worker->state == LP_WORKER_BUSY &&
                  pool->core.tasks.table[worker->task].id == message->task_id;
    bool heard = is_its && lp_subs_hear(pool, slot, message);
    if (!heard && worker->state < LP_WORKER_DYING)
        step_worker(pool, LP_EVENT_CORRUPT, slot);
    lp_part_free(lp_line_take_part(&pool->lines[slot])); /* of one that nobody has taken */
}

static void hear(libpool *pool, uint32_t slot, const struct lp_message *message)
{
    if (is_of_call(message)) {
        hear_call(pool, slot, message);
        return;
    }
    static const enum lp_event_kind events[LP_MESSAGE_N] = {
        [LP_MESSAGE_TASK] = LP_EVENT_CORRUPT,
        [LP_MESSAGE_RETIRE] = LP_EVENT_CORRUPT,
        [LP_MESSAGE_START] = LP_EVENT_CORRUPT,
        [LP_MESSAGE_READY] = LP_EVENT_READY,
        [LP_MESSAGE_INIT_FAILED] = LP_EVENT_INIT_FAILED,
        [LP_MESSAGE_REPLY] = LP_EVENT_CORRUPT,
        [LP_MESSAGE_RESULT] = LP_EVENT_CORRUPT,
        [LP_MESSAGE_PART] = LP_EVENT_CORRUPT,
        [LP_MESSAGE_FINAL_STARTED] = LP_EVENT_FINAL_STARTED,
        [LP_MESSAGE_FINALIZED] = LP_EVENT_FINALIZED,
        [LP_MESSAGE_CALL] = LP_EVENT_CORRUPT,
        [LP_MESSAGE_GO] = LP_EVENT_CORRUPT,
        [LP_MESSAGE_SUBTASK] = LP_EVENT_CORRUPT,
        [LP_MESSAGE_HANG_UP] = LP_EVENT_CORRUPT,
        [LP_MESSAGE_SUBRESULT] = LP_EVENT_CORRUPT,
        [LP_MESSAGE_CALLED] = LP_EVENT_CORRUPT,
    };
    bool known = message->kind > 0 && message->kind < LP_MESSAGE_N;
    struct lp_event event = worker_event(pool, known ? events[message->kind] : LP_EVENT_CORRUPT,
                                         slot);
    event.code = message->code;
    event.task_id = message->task_id;
    step(pool, &event);
    if (event.kind == LP_EVENT_READY)
        await_omen(pool, slot);
}

/* Somebody is there, or was until a moment ago, whose words still count. */
static bool is_heard(const libpool *pool, uint32_t slot)
{
    enum lp_worker_state state = pool->core.workers[slot].state;
    return state > LP_WORKER_SPAWNING && state < LP_WORKER_DEAD;
}

static void settle(libpool *pool, uint64_t now_ns)
{
    lp_pool_settle(&pool->core, now_ns);
    lp_supervisor_perform(pool);
}

/*
 * A part, or some of the result, of the task that it runs; of one that has ended since it is dropped, else it
 * is nonsense: false.
 */
static bool hear_piece(libpool *pool, uint32_t slot, const struct lp_message *message)
{
    const struct lp_worker *worker = &pool->core.workers[slot];
    bool is_its = worker->task != LP_NONE &&
                  pool->core.tasks.table[worker->task].id == message->task_id;
    if (is_its && message->kind == LP_MESSAGE_PART)
        lp_line_keep_part(&pool->lines[slot]);
    return is_its || worker->state >= LP_WORKER_DYING;
}

static bool is_piece(const struct lp_message *message)
{
    return message->kind == LP_MESSAGE_PART || message->kind == LP_MESSAGE_REPLY;
}

/*
 * Results are told to the core one by one, up to a batch; what follows from them is settled later. How
 * the last look at the channel went: as lp_line_receive. Another message than a result or a piece is left
 * to the caller. *now_ns: of the last result; 0: there was none. So many bytes of parts may wait.
 */
static int hear_results(libpool *pool, uint32_t slot, uint64_t parts_bytes,
                        struct lp_message *message, uint64_t *now_ns)
{
    struct lp_event event = {.kind = LP_EVENT_RESULT, .slot = slot};
    uint64_t replied_bytes = 0;
    *now_ns = 0;
    for (uint32_t n = 0; n < LP_RESULTS_PER_BATCH; n++) {
        if (lp_line_is_stalled(&pool->lines[slot], parts_bytes) ||
            replied_bytes >= LP_LINE_TURN_BYTES) /* more than was in the ring when it began */
            return 0;
        int got = lp_line_receive(&pool->lines[slot], pool->options.result_bytes, message);
        if (got == 1 && is_piece(message) && hear_piece(pool, slot, message)) {
            replied_bytes += message->kind == LP_MESSAGE_REPLY ? message->size : 0;
            continue;
        }
        if (got != 1 || message->kind != LP_MESSAGE_RESULT)
            return got;
        if (message->ended_ns > *now_ns || *now_ns == 0)
            *now_ns = lp_supervisor_now(); /* it may have come in while we read */
        event.now_ns = *now_ns;
        hear_result(pool, &event, message);
    }
    message->kind = LP_MESSAGE_RESULT; /* the last may have been a piece, which is not left over */
    return 1;
}

/* Hears up to a batch of messages, settled once. */
static int hear_batch(libpool *pool, uint32_t slot, uint64_t parts_bytes)
{
    struct lp_message message;
    uint64_t now_ns;
    int got = hear_results(pool, slot, parts_bytes, &message, &now_ns);
    if (now_ns) {
        settle(pool, now_ns);
        tell_turn(pool, slot);
    }
    if (got == 1 && message.kind != LP_MESSAGE_RESULT)
        hear(pool, slot, &message);
    return got;
}

/* What is there now, before the worker's fate is decided. Bounded: it may still be writing. */
static void drain(libpool *pool, uint32_t slot)
{
    const struct lp_line *line = &pool->lines[slot];
    if (!is_heard(pool, slot))
        return;
    uint64_t parts_bytes = lp_line_parts_bytes(line) + LP_CHANNEL_RING_BYTES;
    for (int i = 0; i < DRAIN_BATCHES; i++) {
        int got = hear_batch(pool, slot, parts_bytes);
        if (got < 0 || (got == 0 && (!line->receiving || !lp_line_arm(&pool->lines[slot]))))
            return;
    }
}

/*
 * All results that are there, however many parts are between them: what fills the ring, and no more, as it
 * may still be writing. Nothing is settled, so nothing is sent meanwhile.
 */
static void take_results(libpool *pool, uint32_t slot)
{
    struct lp_message message;
    uint64_t now_ns;
    int got = 1;
    uint64_t parts_bytes = lp_line_parts_bytes(&pool->lines[slot]) + LP_CHANNEL_RING_BYTES;
    for (uint32_t i = 0; got == 1 && i <= RING_MESSAGES / LP_RESULTS_PER_BATCH; i++) {
        got = hear_results(pool, slot, parts_bytes, &message, &now_ns);
        perform_batch(pool);
        tell_turn(pool, slot);
        if (got == 1 && is_of_call(&message)) { /* it would settle: heard when all is taken back */
            lp_line_put_back(&pool->lines[slot]);
            pool->lines[slot].again = true;
            leave_to_driver(pool);
            return;
        }
        if (got == 1 && message.kind != LP_MESSAGE_RESULT) {
            hear(pool, slot, &message); /* nothing that a busy worker can say: it is killed */
            return;
        }
    }
}

/*
 * Takes back what the worker has not begun: before what may kill it, and when others would have to wait
 * for it. If it has not begun even the first, that one is sent again: it can't begin it as it was sent.
 * The core is told, and settled by the caller's next step.
 */
static void recall(libpool *pool, uint32_t slot)
{
    struct lp_line *line = &pool->lines[slot];
    const struct lp_worker *worker = &pool->core.workers[slot];
    uint32_t claimed;
    if (!lp_pool_holds_prefetched(&pool->core, slot))
        return;
    int error = lp_channel_recall(&line->channel, &claimed);
    take_results(pool, slot);
    if (error || claimed - line->results > 1) {
        step_worker(pool, LP_EVENT_CORRUPT, slot);
        return;
    }
    if (claimed == line->results && worker->state == LP_WORKER_BUSY) {
        const struct lp_task *task = &pool->core.tasks.table[worker->task];
        lp_line_assign(line, task->spec.user, task->id);
    }
    struct lp_event event = worker_event(pool, LP_EVENT_RECALLED, slot);
    event.now_ns = lp_supervisor_now();
    (void)lp_pool_tell(&pool->core, &event);
}

void lp_supervisor_recall(libpool *pool, uint32_t slot)
{
    recall(pool, slot);
}

void lp_supervisor_recall_all(libpool *pool)
{
    for (uint32_t slot = 0; slot < pool->core.slots; slot++)
        recall(pool, slot);
}

/* Takes what the worker has written; true: there is more. */
static bool pump(libpool *pool, uint32_t slot, bool arm)
{
    struct lp_line *line = &pool->lines[slot];
    if (line->sending)
        lp_line_push(line);
    if (pool->subs_due)
        lp_supervisor_perform(
            pool); /* it may have been told all: its next word follows from that */
    int got = hear_batch(pool, slot, LIBPOOL_PARTS_BYTES);
    if (got < 0 || line->broken) {
        line->broken = false;
        recall(pool, slot);
        step_worker(pool, LP_EVENT_CORRUPT, slot);
        return false;
    }
    return got == 1 || (arm && lp_line_arm(line));
}

static void pump_line(libpool *pool, uint32_t slot, bool arm)
{
    struct lp_line *line = &pool->lines[slot];
    if (!is_heard(pool, slot))
        return; /* nobody, or faster than the zygote's report: heard when that is here */
    bool more = true;
    for (int i = 0; more && i < PUMP_ROUNDS; i++)
        more = pump(pool, slot, arm);
    line->again = more && arm; /* else the next look finds it */
    if (line->again)
        leave_to_driver(pool);
}

void lp_supervisor_resume(libpool *pool, const libpool_future *future)
{
    const struct lp_task *task = &pool->core.tasks.table[future->task];
    if (lp_future_has_ended(future) || task->state != LP_TASK_RUNNING)
        return;
    struct lp_line *line = &pool->lines[task->slot];
    if (line->future != future || lp_line_is_stalled(line, LIBPOOL_PARTS_BYTES))
        return;
    line->again = true;
    leave_to_driver(pool);
}

/* ---- polling -------------------------------------------------------------------------------- */

bool lp_supervisor_take(libpool *pool)
{
    uint32_t before = pool->ends;
    thin_out(pool);
    uint32_t n = atomic_load_explicit(&pool->n_scanned, memory_order_relaxed);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t slot = atomic_load_explicit(&pool->scanned[i], memory_order_relaxed);
        if (is_heard(pool, slot) && lp_window_has_reply(pool->lines[slot].window))
            pump_line(pool, slot, !pool->polling);
    }
    pool->taken += pool->ends - before;
    return pool->ends != before;
}

static void arm_all(libpool *pool)
{
    uint32_t n = atomic_load_explicit(&pool->n_scanned, memory_order_relaxed);
    pool->polling = false;
    pool->arming = true;
    for (uint32_t i = 0; i < n; i++)
        pump_line(pool, atomic_load_explicit(&pool->scanned[i], memory_order_relaxed), true);
    pool->arming = false;
}

void lp_supervisor_before_sleep(libpool *pool)
{
    if (pool->polling)
        arm_all(pool);
}

static uint32_t looks(const libpool *pool)
{
    return pool->taken + (pool->callbacks.used ? 0 : pool->submits);
}

/*
 * Threads that submit or wait look at the results by themselves. Who has submitted may have turned to other
 * things, though, and be called back: then it doesn't count.
 */
static bool others_look(libpool *pool)
{
    uint32_t now = looks(pool);
    bool others = now - pool->looks_seen >= POLLING_PAYS;
    pool->looks_seen = now;
    return others;
}

/*
 * While they do, bells are a waste: they would call a thread that only keeps the others from the lock.
 * They are left unarmed, and the lines are looked at when nobody else has for a while. The first look
 * that finds nothing to do arms them again.
 */
static void poll_lines(libpool *pool, uint64_t now_ns)
{
    if (now_ns < pool->poll_ns)
        return;
    pool->poll_ns = now_ns + POLL_NS;
    if (others_look(pool)) {
        pool->polling = true;
        return;
    }
    if (!pool->polling)
        return;
    uint32_t before = pool->taken;
    (void)lp_supervisor_take(pool);
    if (pool->taken == before)
        arm_all(pool);
    pool->looks_seen = looks(pool);
}

/* The parent that would tell how it ended is lost: the pidfd is asked, if there is one. */
static void orphan_died(libpool *pool, uint32_t slot)
{
    struct lp_line *line = &pool->lines[slot];
    struct lp_event event = worker_event(pool, LP_EVENT_EXITED, slot);
    int error = line->pid_fd < 0
                    ? -ESRCH
                    : lp_death_ask(line->pid_fd, &event.code, &event.signal, &event.core_dumped);
    if (error == -EAGAIN) { /* init has yet to reap it: asked again until the time of GONE is up */
        lp_poller_remove(&pool->poller, line->pid_fd);
        pool->unwatched = true;
        step_worker(pool, LP_EVENT_GONE, slot);
        return;
    }
    event.unknown = error != 0;
    forget_process(pool, slot);
    step(pool, &event);
}

/* Its pidfd says it is dead. */
static void handle_process(libpool *pool, uint32_t slot)
{
    struct lp_line *line = &pool->lines[slot];
    drain(pool, slot);
    if (line->orphaned) {
        orphan_died(pool, slot);
        return;
    }
    lp_poller_remove(&pool->poller, line->pid_fd);
    step_worker(pool, LP_EVENT_GONE, slot);
}

static bool is_at_work(const libpool *pool, uint32_t slot)
{
    enum lp_worker_state state = pool->core.workers[slot].state;
    return state == LP_WORKER_IDLE || state == LP_WORKER_BUSY;
}

/*
 * Its word has been changed. If it is dying it is given up now, however long the kernel takes over its
 * memory: what it was sent ahead goes to others, another one takes its place. How it ended is told as ever.
 */
static void handle_omen(libpool *pool, uint32_t slot)
{
    struct lp_line *line = &pool->lines[slot];
    line->foretold = false;
    if (!is_at_work(pool, slot) || line->omen_of == line->generation || line->orphaned)
        return; /* of an orphan the pidfd tells how it ended, or nobody */
    line->omen_of = line->generation;
    if (!lp_omen_is_true(line->pid, line->pid_fd))
        return;
    drain(pool, slot);
    recall(pool, slot);
    if (!is_at_work(pool, slot))
        return;
    struct lp_event event = worker_event(pool, LP_EVENT_GONE, slot);
    event.foretold = true;
    step(pool, &event);
}

static void handle_omens(libpool *pool)
{
    uint32_t slot;
    int error = 0;
    while (lp_omens_take(&pool->omens, &slot, &error))
        if (slot < pool->core.slots && error != -EINVAL)
            handle_omen(pool, slot);
        else
            lp_omens_close(&pool->omens); /* this kernel can't wait so */
}

/* For the thread that is about to be started: nobody else submits. */
static void open_omens(libpool *pool)
{
    if (pool->core.config.cooperative || lp_omens_open(&pool->omens, pool->core.slots) ||
        lp_poller_add(&pool->poller, pool->omens.fd, make_tag(TAG_OMENS, 0, 0)))
        lp_omens_close(&pool->omens);
}

/* ---- what the zygote says ------------------------------------------------------------------- */

/* It may be refused (a limit of the kernel's): then the zygote tells, and later watch_orphan looks. */
static void watch_process(libpool *pool, uint32_t slot)
{
    struct lp_line *line = &pool->lines[slot];
    line->watched = line->pid_fd >= 0 &&
                    lp_poller_add(&pool->poller, line->pid_fd,
                                  make_tag(TAG_PROCESS, line->generation, slot)) == 0;
}

static void handle_spawned(libpool *pool, const struct lp_report *report, int pid_fd)
{
    struct lp_line *line = &pool->lines[report->slot];
    line->pid = report->pid;
    line->born_from_ns = report->born_from_ns;
    line->born_by_ns = report->born_by_ns;
    line->pid_fd = pid_fd;
    watch_process(pool, report->slot);
    lp_line_post(line, LP_MESSAGE_START);
    struct lp_event event = worker_event(pool, LP_EVENT_SPAWNED, report->slot);
    event.pid = report->pid;
    step(pool, &event);
    pump_line(pool, report->slot, true);
}

static void handle_exited(libpool *pool, const struct lp_report *report)
{
    drain(pool, report->slot);
    struct lp_event event = worker_event(pool, LP_EVENT_EXITED, report->slot);
    event.code = report->code;
    event.signal = report->signal;
    event.core_dumped = report->core_dumped;
    event.oom_kills = report->oom_kills;
    pool->lines[report->slot].has_usage = true;
    pool->lines[report->slot].usage = (struct lp_usage){
        report->user_us * 1000, report->system_us * 1000, report->max_rss_kib * 1024};
    forget_process(pool, report->slot);
    step(pool, &event);
}

/* A result that is there counts; and what only waits with a worker that is killed can't be blamed. */
static void handle_weighed(libpool *pool, const struct lp_report *report)
{
    if (report->memory_bytes > pool->core.workers[report->slot].weigh_limit_bytes) {
        drain(pool, report->slot);
        recall(pool, report->slot);
    }
    struct lp_event event = worker_event(pool, LP_EVENT_WEIGHED, report->slot);
    event.bytes = report->memory_bytes;
    step(pool, &event);
}

static void handle_hello(libpool *pool, const struct lp_report *report)
{
    bool weighs = report->memory_enforcement == LIBPOOL_MEMORY_SAMPLED ||
                  report->memory_enforcement == LIBPOOL_MEMORY_CGROUP_V1;
    pool->containment = report->containment;
    pool->oom_evidence = report->oom_evidence;
    pool->memory_enforcement = report->memory_enforcement;
    pool->can_weigh = report->can_weigh != 0;
    struct lp_event event = {.kind = LP_EVENT_ZYGOTE_UP, .pid = report->pid, .weighs = weighs};
    step(pool, &event);
    if (!pool->opened && pool->place.is_delegated)
        pool->open_error = report->error; /* what was asked for by name is not done without */
    pool->opened = true;
}

static void zygote_failed(libpool *pool, int error)
{
    lp_poller_remove(&pool->poller, pool->zygote.socket_fd);
    lp_poller_remove(&pool->poller, pool->zygote.pid_fd);
    lp_zygote_drop(&pool->zygote);
    struct lp_event event = {.kind = LP_EVENT_ZYGOTE_FAILED, .error = error};
    if (!pool->opened)
        pool->open_error = error;
    pool->opened = true;
    step(pool, &event);
}

static void handle_spawn_failed(libpool *pool, const struct lp_report *report)
{
    struct lp_event event = worker_event(pool, LP_EVENT_SPAWN_FAILED, report->slot);
    event.error = report->error;
    step(pool, &event);
}

static void handle_report(libpool *pool, const struct lp_report *report, int pid_fd)
{
    bool about_slot = report->kind != LP_REPORT_HELLO && report->kind != LP_REPORT_FAILED;
    bool current = !about_slot || (report->slot < pool->core.slots &&
                                   pool->lines[report->slot].generation == report->generation);
    switch (current ? (enum lp_report_kind)report->kind : LP_REPORT_N) {
    case LP_REPORT_HELLO: handle_hello(pool, report); break;
    case LP_REPORT_FAILED: zygote_failed(pool, report->error); break;
    case LP_REPORT_SPAWNED:
        handle_spawned(pool, report, pid_fd); /* the line's from here on */
        return;
    case LP_REPORT_SPAWN_FAILED: handle_spawn_failed(pool, report); break;
    case LP_REPORT_EXITED: handle_exited(pool, report); break;
    case LP_REPORT_EMPTY: step_worker(pool, LP_EVENT_EMPTY, report->slot); break;
    case LP_REPORT_WEIGHED: handle_weighed(pool, report); break;
    case LP_REPORT_N: /* about a process that is no more */ break;
    }
    lp_fd_close(&pid_fd);
}

static bool is_dead(int pid_fd)
{
    struct pollfd death = {.fd = pid_fd, .events = POLLIN};
    return lp_sys.poll(&death, 1, 0) > 0;
}

/* Nobody will tell of its death any more: it needs a pidfd, watched. False: look again later. */
static bool watch_orphan(libpool *pool, uint32_t slot)
{
    struct lp_line *line = &pool->lines[slot];
    if (line->pid_fd < 0) {
        lp_fd_close(&line->spare_fd);
        line->pid_fd = lp_death_pin(line->pid, line->born_from_ns, line->born_by_ns);
    }
    bool dead = line->pid_fd == -ESRCH;
    if (!line->watched)
        watch_process(pool, slot);
    if (!line->watched && line->pid_fd >= 0)
        dead = is_dead(line->pid_fd);
    if (dead)
        handle_process(pool, slot);
    return dead || line->watched;
}

/* It is gone, and how it ended is not known yet. False: its death was only foretold, ask again later. */
static bool ask_orphan(libpool *pool, uint32_t slot)
{
    int pid_fd = pool->lines[slot].pid_fd;
    if (pid_fd >= 0 && !is_dead(pid_fd))
        return false;
    if (pid_fd >= 0)
        orphan_died(pool, slot);
    return true;
}

static void watch_orphans(libpool *pool)
{
    bool all = true;
    pool->unwatched = false;
    for (uint32_t slot = 0; slot < pool->core.slots; slot++) {
        enum lp_worker_state state = pool->core.workers[slot].state;
        if (!pool->lines[slot].orphaned || !is_heard(pool, slot))
            continue;
        if (state != LP_WORKER_GONE)
            all = watch_orphan(pool, slot) && all;
        else
            all = ask_orphan(pool, slot) && all;
    }
    pool->unwatched = pool->unwatched || !all;
}

static void zygote_lost(libpool *pool)
{
    lp_poller_remove(&pool->poller, pool->zygote.socket_fd);
    lp_poller_remove(&pool->poller, pool->zygote.pid_fd);
    lp_zygote_drop(&pool->zygote);
    pool->drop_zygote = false;
    if (pool->quitting)
        return;
    for (uint32_t slot = 0; slot < pool->core.slots; slot++) {
        enum lp_worker_state state = pool->core.workers[slot].state;
        pool->lines[slot].owed = 0;
        pool->lines[slot].orphaned = state > LP_WORKER_SPAWNING;
    }
    struct lp_event event = {.kind = LP_EVENT_ZYGOTE_LOST};
    step(pool, &event);
    watch_orphans(pool);
    if (!pool->opened)
        pool->open_error = -EAGAIN;
    pool->opened = true;
}

/* The place that is held for its pidfd is given up just before that comes. */
static int take_report(libpool *pool, struct lp_report *report, int *pid_fd)
{
    *pid_fd = -1;
    int got = lp_zygote_peek(&pool->zygote, report);
    if (got == 1 && report->kind == LP_REPORT_SPAWNED && report->slot < pool->core.slots)
        lp_fd_close(&pool->lines[report->slot].spare_fd);
    return got == 1 ? lp_zygote_receive(&pool->zygote, report, pid_fd) : got;
}

/* It was told to leave and has closed its files; it is there until its memory is gone, too. */
static void hang_up(libpool *pool)
{
    lp_poller_remove(&pool->poller, pool->zygote.socket_fd);
    lp_fd_close(&pool->zygote.socket_fd);
}

/* Everything it has said; when it is gone, its last words come first. */
static void handle_reports(libpool *pool)
{
    struct lp_report report;
    int pid_fd, got = 0;
    while (pool->zygote.socket_fd >= 0 && (got = take_report(pool, &report, &pid_fd)) == 1)
        handle_report(pool, &report, pid_fd);
    if (pool->zygote.socket_fd < 0 || got >= 0)
        return;
    if (pool->quitting && pool->zygote.pid_fd >= 0)
        hang_up(pool);
    else
        zygote_lost(pool);
}

static void handle_zygote_death(libpool *pool)
{
    handle_reports(pool);
    if (pool->zygote.pid_fd >= 0)
        zygote_lost(pool);
}

/* The workers that the lost zygote left: the next one ends them if need be. */
static void name_heirs(libpool *pool)
{
    for (uint32_t slot = 0; slot < pool->core.slots; slot++) {
        const struct lp_line *line = &pool->lines[slot];
        pool->heir_fds[slot] = line->orphaned ? line->pid_fd : -1;
        pool->heir_pids[slot] = pool->heir_fds[slot] >= 0 ? line->pid : 0;
    }
}

static struct lp_manifest make_manifest(const libpool *pool)
{
    const struct lp_start *start = &pool->start;
    return (struct lp_manifest){
        .slots = pool->core.slots,
        .keep_stdin = lp_outfit_keeps_stdin(pool->outfit),
        .preloads = start->preloads,
        .traces = pool->options.flags & LIBPOOL_TRACE,
        .files_of = pool->pid,
        .result_bytes = pool->options.result_bytes,
        .memory_limit_bytes = pool->options.memory_limit_bytes,
        .recycle_bytes = pool->options.recycle_bytes,
        .trim_bytes = pool->options.trim_bytes,
        .name = pool->name,
        .place = pool->options.flags & LIBPOOL_NO_CGROUP ? NULL : &pool->place,
        .heir_pids = pool->heir_pids,
        .outfit = pool->outfit,
        .object = start->object,
        .initializer = start->initializer,
        .finalizer = start->finalizer,
    };
}

/* What dead workers of a lost zygote left may be just what keeps the next from being forked. */
static void kill_remains(const libpool *pool)
{
    for (uint32_t slot = 0; slot < pool->core.slots; slot++) {
        const struct lp_worker *worker = &pool->core.workers[slot];
        if (worker->orphaned &&
            (worker->state == LP_WORKER_DEAD || worker->state == LP_WORKER_VACANT))
            (void)lp_cgroup_place_kill(&pool->place, slot);
    }
}

/* Forking a large host takes milliseconds: the lock is given up meanwhile. */
static void start_zygote(libpool *pool)
{
    struct lp_zygote_link link;
    pool->start_zygote = false;
    kill_remains(pool);
    name_heirs(pool);
    struct lp_manifest manifest = make_manifest(pool);
    if (pool->start.method == LIBPOOL_SPAWN)
        lp_start_tell(&pool->start, &manifest);
    pthread_mutex_unlock(&pool->lock);
    int error = pool->start.method == LIBPOOL_THREADS
                    ? lp_threads_start(&pool->threads, &link)
                    : lp_zygote_start(&link, &pool->zygote_options);
    pthread_mutex_lock(&pool->lock);
    pool->zygote = link;
    if (!error)
        error = lp_poller_add(&pool->poller, link.socket_fd, make_tag(TAG_SOCKET, 0, 0));
    if (!error && link.pid_fd >= 0)
        error = lp_poller_add(&pool->poller, link.pid_fd,
                              make_tag(TAG_ZYGOTE, (uint32_t)link.pid, 0));
    if (error)
        zygote_failed(pool, error);
    else if (pool->quitting)
        perform_down(pool); /* too late to be of use */
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void handle(libpool *pool, const struct lp_poller_event *event)
{
    uint32_t slot = (uint32_t)event->tag;
    uint32_t generation = (uint32_t)(event->tag >> 32) & 0xfffffffu;
    switch ((enum tag)(event->tag >> 60)) {
    case TAG_SOCKET:
        if (event->writable && pool->zygote.socket_fd >= 0)
            send_owed(pool);
        handle_reports(pool);
        return;
    case TAG_ZYGOTE:
        if (pool->zygote.pid_fd >= 0 && ((uint32_t)pool->zygote.pid & 0xfffffffu) == generation)
            handle_zygote_death(pool);
        return;
    case TAG_DOORBELL: pump_line(pool, slot, !pool->polling || !pool->lines[slot].scanned); return;
    case TAG_PROCESS: /* stale when the slot went on within this batch */
        if (pool->lines[slot].pid_fd >= 0 &&
            (pool->lines[slot].generation & 0xfffffffu) == generation)
            handle_process(pool, slot);
        return;
    case TAG_OMENS: return; /* looked at in each turn: news of it interrupts a wait as well */
    }
}

/* The lock is given up meanwhile: files are read. */
static void look_at_memory(libpool *pool)
{
    pool->look_at_memory = false;
    pthread_mutex_unlock(&pool->lock);
    bool scarce = lp_admit_is_scarce(&pool->headroom, &pool->options);
    pthread_mutex_lock(&pool->lock);
    struct lp_event event = {.kind = LP_EVENT_ADMISSION, .closes = scarce};
    step(pool, &event);
}

/* What other threads left to this one, and lines that had more to do. */
static void handle_left_work(libpool *pool)
{
    if (!pool->work_waits)
        return;
    pool->work_waits = false;
    if (pool->drop_zygote && pool->zygote.socket_fd >= 0)
        zygote_lost(pool);
    if (pool->start_zygote && !pool->quitting)
        start_zygote(pool);
    if (pool->look_at_memory)
        look_at_memory(pool);
    for (uint32_t slot = 0; slot < pool->core.slots; slot++) {
        struct lp_line *line = &pool->lines[slot];
        if (line->again || line->broken)
            pump_line(pool, slot, !pool->polling || !line->scanned);
    }
}

/* Its death was foretold, and the kernel is still tearing it down: nobody can tell how it ended. */
static bool is_torn_down(const libpool *pool, uint32_t slot)
{
    int pid_fd = pool->lines[slot].pid_fd;
    return pool->core.workers[slot].state == LP_WORKER_GONE && pid_fd >= 0 && !is_dead(pid_fd);
}

static void handle_deadline(libpool *pool, uint32_t slot)
{
    drain(pool, slot); /* a result that is there in time counts */
    if (pool->core.workers[slot].deadline_ns)
        return; /* something has happened, and what it does now has a deadline of its own */
    if (lp_pool_holds_prefetched(&pool->core, slot)) {
        recall(pool, slot);
        settle(pool, lp_supervisor_now());
    } else {
        struct lp_event event = worker_event(pool, LP_EVENT_DEADLINE, slot);
        event.foretold = is_torn_down(pool, slot);
        step(pool, &event);
    }
}

static void handle_deadlines(libpool *pool)
{
    uint32_t slot;
    if (lp_pool_next_deadline(&pool->core) <= lp_supervisor_now())
        handle_reports(pool); /* what has been told in time counts */
    while ((slot = lp_pool_due(&pool->core, lp_supervisor_now())) != LP_NONE)
        handle_deadline(pool, slot);
    if (lp_pool_next_deadline(&pool->core) > lp_supervisor_now())
        return;
    struct lp_event tick = {.kind = LP_EVENT_TICK};
    step(pool, &tick);
}

/* The zygote was told to leave: all is down when it has, or has taken too long over it. */
static void handle_quit(libpool *pool)
{
    if (!pool->quitting || pool->down)
        return;
    bool late = lp_supervisor_now() >= pool->quit_by_ns;
    if ((pool->zygote.socket_fd >= 0 || pool->zygote.pid_fd >= 0) && !late) {
        lp_poller_set_deadline(&pool->poller, pool->quit_by_ns, lp_supervisor_now());
        return;
    }
    lp_supervisor_rouse(pool);
    lp_fd_close(&pool->zygote.socket_fd); /* end of file: it leaves as soon as it can */
    lp_fd_close(&pool->zygote.pid_fd);
    pool->down = true;
    pthread_cond_broadcast(&pool->changed);
}

static void set_next_turn(libpool *pool)
{
    uint64_t now_ns = lp_supervisor_now(), next_ns = lp_pool_next_deadline(&pool->core);
    if (pool->unwatched && now_ns + RETRY_NS < next_ns)
        next_ns = now_ns + RETRY_NS;
    if (pool->polling && pool->poll_ns < next_ns)
        next_ns = pool->poll_ns;
    lp_poller_set_deadline(&pool->poller, next_ns, now_ns);
}

void lp_supervisor_turn(libpool *pool, int timeout_ms, bool driving)
{
    struct lp_poller_event events[LP_POLLER_BATCH];
    int n = lp_poller_wait(&pool->poller, events, timeout_ms, driving);
    pthread_mutex_lock(&pool->lock);
    pool->awake = pool->has_thread; /* it looks for left work before it sleeps */
    handle_omens(pool);
    for (int i = 0; i < n; i++)
        handle(pool, &events[i]);
    if (atomic_load(&pool->membership.has_word))
        lp_supervisor_perform(pool); /* another pool has left word */
    handle_left_work(pool);
    handle_deadlines(pool);
    handle_left_work(pool);
    if (pool->unwatched)
        watch_orphans(pool);
    if (pool->has_thread)
        poll_lines(pool, lp_supervisor_now());
    handle_quit(pool);
    ring_owed_bell(pool);
    set_next_turn(pool);
    if (pool->waiters)
        pthread_cond_broadcast(&pool->changed);
    pool->awake = pool->has_thread && pool->work_waits;
    pthread_mutex_unlock(&pool->lock);
}

void lp_supervisor_look(libpool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool driving = !pool->driving;
    pthread_mutex_unlock(&pool->lock);
    lp_supervisor_turn(pool, 0, driving);
    pthread_mutex_lock(&pool->lock);
    /* It may have taken the nudge of callbacks, or of somebody who has begun to drive meanwhile. */
    lp_callbacks_leave(pool);
    if (driving && pool->driving)
        lp_poller_nudge(&pool->poller);
    pthread_mutex_unlock(&pool->lock);
}

bool lp_supervisor_is_worker(const libpool *pool)
{
    return pool->start.method == LIBPOOL_THREADS && lp_threads_is_worker(&pool->threads);
}

static void *supervise(void *arg)
{
    libpool *pool = arg;
    bool down = false, awake = false;
    while (!down) {
        bool left = lp_omens_submit(&pool->omens);
        int most_ms = left ? (int)(RETRY_NS / LP_MS) : -1;
        lp_supervisor_turn(pool, awake ? 0 : most_ms, true);
        pthread_mutex_lock(&pool->lock);
        down = pool->down;
        awake = pool->awake;
        pthread_mutex_unlock(&pool->lock);
    }
    return NULL;
}

/* ---- waiting -------------------------------------------------------------------------------- */

static void drive(libpool *pool, uint64_t deadline_ns)
{
    pool->driving = true;
    pthread_mutex_unlock(&pool->lock);
    lp_supervisor_turn(pool, lp_door_left_ms(deadline_ns), true);
    pthread_mutex_lock(&pool->lock);
    pool->driving = false;
    pthread_cond_broadcast(&pool->changed);
}

static void wait_for_change(libpool *pool, uint64_t deadline_ns)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                             .tv_nsec = (long)(deadline_ns % 1000000000u)};
    if (pool->polling) {
        arm_all(pool); /* which may bring the change that is waited for: the caller looks again */
        return;
    }
    pool->waiters++;
    if (deadline_ns == UINT64_MAX)
        pthread_cond_wait(&pool->changed, &pool->lock);
    else
        pthread_cond_timedwait(&pool->changed, &pool->lock, &until);
    pool->waiters--;
}

bool lp_supervisor_await(libpool *pool, uint64_t deadline_ns)
{
    if (deadline_ns <= lp_supervisor_now())
        return false;
    if (pool->has_thread || pool->driving)
        wait_for_change(pool, deadline_ns);
    else
        drive(pool, deadline_ns);
    return true;
}

/* ---- opening and closing -------------------------------------------------------------------- */

static void enter_worker(void *context, uint32_t slot, uint32_t number, uint32_t generation)
{
    const libpool *pool = context;
    lp_worker_process(&pool->kit, slot, number, generation);
}

static int enter_thread(void *context, uint32_t slot, uint32_t number, uint32_t generation)
{
    const libpool *pool = context;
    return lp_worker_thread(&pool->kit, pool->lines[slot].doorbell_fd, slot, number, generation);
}

static struct lp_pool_config make_config(const libpool_options *options)
{
    return (struct lp_pool_config){
        .min_workers = options->min_workers,
        .max_workers = options->max_workers,
        .workers_limit = options->workers_limit,
        .spare_workers = options->spare_workers,
        .waiting_workers = options->waiting_workers,
        .tasks_per_worker = options->tasks_per_worker,
        .max_age_ns = options->max_age_ms * LP_MS,
        .jitter_percent = options->recycle_jitter_percent,
        .backlog_tasks = options->backlog_tasks,
        .backlog_bytes = options->backlog_bytes,
        .ageing_ns = options->ageing_ms * LP_MS,
        .idle_timeout_ns = options->idle_timeout_ms * LP_MS,
        .start_timeout_ns = options->start_timeout_ms * LP_MS,
        .initializer_timeout_ns = options->initializer_timeout_ms * LP_MS,
        .finalizer_timeout_ns = options->finalizer_timeout_ms * LP_MS,
        .initializer_failures = options->initializer_failures,
        .backoff_min_ns = options->backoff_min_ms * LP_MS,
        .backoff_max_ns = options->backoff_max_ms * LP_MS,
        .memory_limit_bytes = options->memory_limit_bytes,
        .seed = lp_supervisor_now(),
        .retry_percent = options->retry_percent,
        .quarantine_deaths = options->quarantine_deaths,
        .quarantine_ns = options->quarantine_ms * LP_MS,
        .exclusive = options->flags & LIBPOOL_EXCLUSIVE,
        .driven = options->flags & LIBPOOL_NO_THREAD,
        .admits = lp_admit_is_wanted(options),
        .governed = options->governor != NULL,
        .has_finalizer = options->finalizer || options->finalizer_symbol,
        .notes = options->event_buffer != 0,
        .cooperative = options->start == LIBPOOL_THREADS,
    };
}

/* The windows; behind them, where the zygote is a program, the wardrobe. */
static int share_memory(libpool *pool, uint32_t slots)
{
    struct lp_manifest manifest = make_manifest(pool);
    bool spawns = pool->start.method == LIBPOOL_SPAWN;
    size_t bytes = slots * lp_channel_window_bytes();
    size_t behind = spawns ? lp_wardrobe_bytes(slots) : 0;
    int error = lp_start_share(&pool->start, &manifest, bytes + behind, &pool->windows,
                               &pool->allocator);
    if (error || !spawns)
        return error;
    pool->wardrobe = lp_wardrobe_open_at(pool->windows + bytes, slots, &pool->allocator);
    return pool->wardrobe ? 0 : -ENOMEM;
}

static int take_memory(libpool *pool, const struct lp_pool_config *config)
{
    uint32_t slots = lp_pool_slots(config);
    const libpool_allocator *allocator = &pool->allocator;
    pool->core.config = *config; /* what lp_supervisor_close needs to give back a part */
    pool->core.slots = slots;
    pool->core_memory = lp_alloc_zeroed(allocator, lp_pool_bytes(config));
    pool->lines = lp_alloc_zeroed(allocator, slots * sizeof *pool->lines);
    for (uint32_t slot = 0; pool->lines && slot < slots; slot++)
        pool->lines[slot].doorbell_fd = pool->lines[slot].pid_fd = pool->lines[slot].spare_fd =
            pool->lines[slot].tail_fd = pool->lines[slot].old_tail_fd = -1;
    pool->heir_fds = lp_alloc_zeroed(allocator, slots * sizeof *pool->heir_fds);
    pool->heir_pids = lp_alloc_zeroed(allocator, slots * sizeof *pool->heir_pids);
    bool forks = pool->start.method == LIBPOOL_FORK,
         threads = pool->start.method == LIBPOOL_THREADS;
    pool->wardrobe = forks ? lp_wardrobe_open(slots, allocator) : NULL;
    pool->threads.slots = threads ? slots : 0;
    pool->threads.seats = lp_alloc_zeroed(allocator,
                                          pool->threads.slots * sizeof *pool->threads.seats);
    pool->ring.capacity = pool->options.event_buffer;
    pool->ring.events = lp_alloc_zeroed(allocator, pool->ring.capacity * sizeof(libpool_event));
    if (!pool->core_memory || !pool->lines || !pool->heir_fds || !pool->heir_pids ||
        (pool->ring.capacity && !pool->ring.events) || (forks && !pool->wardrobe) ||
        (threads && !pool->threads.seats))
        return -ENOMEM;
    lp_pool_init(&pool->core, config, pool->core_memory);
    return share_memory(pool, slots);
}

static void close_lines(libpool *pool)
{
    for (uint32_t slot = 0; pool->lines && slot < pool->core.slots; slot++) {
        lp_fd_close(&pool->lines[slot].doorbell_fd);
        lp_fd_close(&pool->lines[slot].pid_fd);
        lp_fd_close(&pool->lines[slot].spare_fd);
        lp_fd_close(&pool->lines[slot].tail_fd);
        lp_fd_close(&pool->lines[slot].old_tail_fd);
    }
}

static int open_lines(libpool *pool)
{
    for (uint32_t slot = 0; slot < pool->core.slots; slot++) {
        struct lp_line *line = &pool->lines[slot];
        line->doorbell_fd = lp_sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (line->doorbell_fd < 0)
            return line->doorbell_fd;
        line->window = (void *)(pool->windows + slot * lp_channel_window_bytes());
        if (pool->tails.bytes && (line->tail_fd = lp_tail_open()) < 0)
            return line->tail_fd;
        line->has_process = pool->start.method != LIBPOOL_THREADS;
        hold_place(line);
        lp_line_reset(line, 0);
        int error = lp_poller_add_edge(&pool->poller, line->doorbell_fd,
                                       make_tag(TAG_DOORBELL, 0, slot));
        if (error)
            return error;
    }
    return 0;
}

/* Threads need none: they end with the application. */
static int open_lifeline(libpool *pool)
{
    if (pool->start.method == LIBPOOL_THREADS)
        return 0;
    pool->lifeline_fd = lp_lifeline_open();
    return pool->lifeline_fd < 0 ? pool->lifeline_fd : 0;
}

void lp_supervisor_init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static int init_locks(libpool *pool)
{
    lp_supervisor_init_condition(&pool->changed);
    return -pthread_mutex_init(&pool->lock, NULL);
}

int lp_supervisor_start_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void)lp_sys.signal_mask(SIG_SETMASK, &all, &before);
    int error = -pthread_create(thread, &attributes, run, arg);
    (void)lp_sys.signal_mask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

/* The zygote may be there already, and have something to say to the new thread. */
static int start_thread(libpool *pool)
{
    pthread_mutex_lock(&pool->lock);
    open_omens(pool);
    int error = lp_supervisor_start_thread(&pool->thread, supervise, pool);
    pool->has_thread = error == 0;
    pthread_mutex_unlock(&pool->lock);
    return error;
}

static void describe_worker(libpool *pool)
{
    const libpool_options *options = &pool->options;
    pool->kit = (struct lp_worker_kit){
        .alive = pool->alive,
        .files_of = pool->pid,
        .windows = pool->windows,
        .slots = pool->core.slots,
        .window_bytes = lp_channel_window_bytes(),
        .result_bytes = options->result_bytes,
        .sizes = pool->options,
        .place = &pool->place,
        .traces = options->flags & LIBPOOL_TRACE,
        .outfit = pool->outfit,
        .wardrobe = pool->wardrobe,
        .initializer = options->initializer,
        .initializer_arg = options->initializer_arg,
        .finalizer = options->finalizer,
        .finalizer_arg = options->finalizer_arg,
        .object = pool->start.object,
        .initializer_symbol = pool->start.initializer,
        .finalizer_symbol = pool->start.finalizer,
    };
}

/* Of a program that is executed the zygote has another mapping. */
static void lend_memory(libpool *pool)
{
    struct lp_zygote_memory *lent = pool->zygote_options.lent;
    if (pool->start.method != LIBPOOL_FORK)
        return;
    lent[0] = (struct lp_zygote_memory){pool->start.memory, pool->start.memory_bytes};
    lent[1].memory = lp_wardrobe_memory(pool->wardrobe, &lent[1].bytes);
}

static void describe_zygote(libpool *pool)
{
    bool traces = pool->options.flags & LIBPOOL_TRACE;
    pool->zygote = LP_ZYGOTE_LINK_NULL;
    pool->zygote_options = (struct lp_zygote_options){
        .slots = pool->core.slots,
        .keep_stdin = lp_outfit_keeps_stdin(pool->outfit),
        .lifeline_fd = pool->lifeline_fd,
        .memory_limit_bytes = pool->options.memory_limit_bytes,
        .heir_fds = pool->heir_fds,
        .heir_pids = pool->heir_pids,
        .begin = traces ? lp_worker_prepare_traced : lp_worker_prepare,
        .worker_main = enter_worker,
        .context = pool,
        .name = pool->name,
        .place = pool->options.flags & LIBPOOL_NO_CGROUP ? NULL : &pool->place,
        .program = pool->start.method == LIBPOOL_SPAWN ? &pool->start.program : NULL,
    };
    lend_memory(pool);
    for (uint32_t i = 0; i < LP_ZYGOTE_NUMBERS && i < pool->core.slots; i++)
        pool->zygote_options.numbers[i] = pool->lines[i].doorbell_fd;
    pool->threads.body = enter_thread;
    pool->threads.context = pool;
    pool->threads.name = pool->name;
}

static int find_place(libpool *pool)
{
    if ((pool->options.flags & LIBPOOL_NO_CGROUP) || pool->start.method == LIBPOOL_THREADS)
        return 0;
    uint64_t id = (uint64_t)(uintptr_t)pool ^ lp_supervisor_now();
    return lp_cgroup_place_find(&pool->place, pool->options.cgroup, id);
}

static void ring_poller(void *pool)
{
    lp_poller_nudge(&((libpool *)pool)->poller);
}

/* With the lock held: from now on others may ring, and the thread that wakes has to find a whole pool. */
static int join_governor(libpool *pool)
{
    pool->membership.ring = ring_poller;
    pool->membership.pool = pool;
    return lp_governor_join(&pool->membership, pool->options.governor,
                            lp_places_reserve(pool->options.min_workers));
}

/* The first zygote is started now, before the application grows, and its failure is told. */
static int await_zygote(libpool *pool)
{
    pool->core.zygote = LP_ZYGOTE_STARTING;
    pool->core.zygote_deadline_ns = lp_supervisor_now() + LP_HELLO_WAIT_NS;
    pool->start_zygote = true;
    leave_to_driver(pool);
    while (!pool->opened)
        lp_supervisor_await(pool, UINT64_MAX);
    return pool->open_error;
}

static int open_zygote(libpool *pool)
{
    pthread_mutex_lock(&pool->lock);
    int error = join_governor(pool);
    if (!error)
        error = await_zygote(pool);
    pthread_mutex_unlock(&pool->lock);
    return error;
}

/*
 * Once there was a thread, glibc's fork() takes locks, and so does that of the zygote and of what it forks:
 * 5 pages more of each worker are copied. So an application without threads has its first zygote forked
 * before the pool's thread. From a stack that is about as large as that one's: it is what tasks have.
 */
static bool forks_first(const libpool *pool)
{
    return pool->start.method == LIBPOOL_FORK && !lp_sys.has_threads() &&
           lp_sys.stack_left() >= STACK_BYTES / 8 * 7;
}

static void stop(libpool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct lp_event event = {
        .kind = LP_EVENT_SHUTDOWN, .flags = LIBPOOL_CANCEL, .deadline_ns = lp_supervisor_now()};
    step(pool, &event);
    while (!pool->down)
        lp_supervisor_await(pool, UINT64_MAX);
    pthread_mutex_unlock(&pool->lock);
}

int lp_supervisor_open(libpool *pool)
{
    struct lp_pool_config config = make_config(&pool->options);
    pool->poller = LP_POLLER_NULL;
    pool->omens = LP_OMENS_NULL;
    pool->lifeline_fd = -1;
    pool->bell_owed_to = LP_NONE;
    pool->zygote = LP_ZYGOTE_LINK_NULL;
    lp_tails_init(pool);
    int error = init_locks(pool);
    if (!error)
        error = take_memory(pool, &config);
    if (!error)
        error = find_place(pool);
    if (!error)
        error = lp_admit_find(&pool->headroom, &pool->options);
    if (!error)
        error = lp_poller_open(&pool->poller);
    if (!error)
        error = open_lines(pool);
    if (!error)
        error = open_lifeline(pool);
    if (error)
        return error;
    describe_worker(pool);
    describe_zygote(pool);
    bool threads = !(pool->options.flags & LIBPOOL_NO_THREAD);
    if (threads && !forks_first(pool))
        error = start_thread(pool);
    if (error)
        return error;
    error = open_zygote(pool);
    if (!error && threads && !pool->has_thread)
        error = start_thread(pool);
    if (!error)
        error = lp_tails_open(pool);
    if (!error)
        error = lp_callbacks_open(pool);
    if (error)
        stop(pool);
    return error;
}

static void close_fds(libpool *pool)
{
    close_lines(pool);
    lp_omens_close(&pool->omens);
    lp_poller_close(&pool->poller);
    lp_fd_close(&pool->lifeline_fd);
    lp_fd_close(&pool->zygote.socket_fd);
    lp_fd_close(&pool->zygote.pid_fd);
}

void lp_supervisor_close(libpool *pool, bool forked)
{
    if (!forked) { /* in a copy the numbers may stand for something else by now */
        if (pool->has_thread)
            pthread_join(pool->thread, NULL);
        lp_governor_leave(&pool->membership);
        lp_tails_close(pool);
        lp_fd_close(&pool->zygote.socket_fd);
        lp_threads_join(&pool->threads);
        close_fds(pool);
        lp_cgroup_place_clear(&pool->place, CLEAR_WAIT_MS); /* the zygote may have been killed */
    }
    uint32_t slots = pool->core.slots;
    const libpool_allocator *allocator = &pool->allocator;
    lp_subs_forget(pool);
    lp_start_release(&pool->start, slots, forked, allocator);
    lp_wardrobe_close(pool->wardrobe, forked, allocator);
    lp_release(allocator, pool->ring.events, pool->ring.capacity * sizeof(libpool_event));
    lp_release(allocator, pool->threads.seats, pool->threads.slots * sizeof *pool->threads.seats);
    lp_release(allocator, pool->heir_fds, slots * sizeof *pool->heir_fds);
    lp_release(allocator, pool->heir_pids, slots * sizeof *pool->heir_pids);
    lp_release(allocator, pool->lines, slots * sizeof *pool->lines);
    lp_release(allocator, pool->core_memory, lp_pool_bytes(&pool->core.config));
    if (forked)
        return; /* another thread of the original may have held them */
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
}
