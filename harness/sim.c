/* SPDX-License-Identifier: MIT */
/*
 * One schedule, from its seed: draw a pool, trouble it, let the trouble stop, ask for full strength,
 * shut it down. The loop below is a supervisor reduced to what the policy sees of one.
 */
#include "harness/sim.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "harness/sim_books.h"
#include "harness/sim_world.h"

#define FAIL(...) hn_trace_fail(&sim->trace, __VA_ARGS__)
#define TRACE(...) HN_TRACE(&sim->trace, __VA_ARGS__)
#define TURNS_MAX 200000u /* of the loop in one schedule */
#define MORE_MAX 64u      /* TICKs in a row for one call */
#define ADDED_AT_ONCE 64u /* tasks added before settling */
#define GRACE_MAX_MS 1000
#define NEVER UINT64_MAX
#define HN_RETRIES_MAX 3u
#define HN_PAUSE_MAX_MS 800u
#define HN_SUBS_MAX 3u

/* A task that waits for others, by the slot that it runs in. */
struct hn_calling {
    bool open;
    uint64_t until_ns;         /* then it hangs up */
    uint32_t generation, task; /* its place in the books */
    uint32_t subs[HN_SUBS_MAX], n;
};

struct hn_sim {
    struct hn_trace trace;
    struct hn_books books;
    struct hn_world world;
    struct hn_random random;
    struct hn_sim_coverage *coverage;
    struct lp_pool pool;
    struct lp_pool_config config;
    void *memory;
    size_t memory_bytes;

    uint64_t late_ns; /* the supervisor's timer fires late by up to */
    uint64_t wake_for_ns,
        wake_ns;     /* the deadline that is waited for, and when it will be noticed */
    uint64_t gap_ns; /* between two troubles, at most */
    uint32_t steps;
    uint32_t turns;
    bool will_shut_down; /* in the middle of it all */
    bool will_resize;
    bool will_recycle;
    bool will_dress;
    uint32_t retry_chance;   /* percent of the tasks that are submitted one by one */
    uint32_t limited_chance; /* percent of those that have a memory limit of their own */
    bool deep;               /* a large backlog, filled again and again */

    uint32_t judged; /* actions that wait to be performed with those of the next settling */
    bool unsettled;  /* something was told without settling */

    struct hn_calling calls[HN_BOOK_SLOTS];
};

struct hn_sim *hn_sim_new(void)
{
    return calloc(1, sizeof(struct hn_sim));
}

void hn_sim_free(struct hn_sim *sim)
{
    if (sim)
        free(sim->memory);
    free(sim);
}

static bool failed(const struct hn_sim *sim)
{
    return sim->trace.violated[0] != '\0';
}

/* ---- names ---------------------------------------------------------------------------------- */

const char *hn_sim_event_name(enum lp_event_kind kind)
{
    static const char *const names[LP_EVENTS] = {
        "spawned",     "spawn-failed", "ready", "init-failed", "result",    "final-started",
        "finalized",   "corrupt",      "gone",  "exited",      "empty",     "deadline",
        "recalled",    "weighed",      "waits", "waited",      "zygote-up", "zygote-failed",
        "zygote-lost", "shutdown",     "tick",  "admission",   "places"};
    return names[kind];
}

static const char *action_name(enum lp_action_kind kind)
{
    static const char *const names[LP_ACTIONS] = {
        "spawn", "assign", "retire", "ask",          "kill",        "clean",
        "weigh", "end",    "room",   "zygote-start", "zygote-drop", "note",
        "down",  "retry",  "resume", "sample",       "want",        "give"};
    return names[kind];
}

/*
 * What no honest supervisor can tell: SPAWNED and SPAWN_FAILED answer a SPAWN, and each is told once;
 * a state without a process or pidfd hears of no death; a tree is proven empty after its death only;
 * whoever has a deadline overruns it, the idle that of their age; something is recalled from the busy,
 * whatever they are when what they had written is read.
 */
bool hn_sim_reachable(enum lp_worker_state state, enum lp_event_kind event)
{
    switch (event) {
    case LP_EVENT_SPAWNED:
    case LP_EVENT_SPAWN_FAILED: return state == LP_WORKER_SPAWNING;
    case LP_EVENT_GONE: return state != LP_WORKER_SPAWNING;
    case LP_EVENT_EXITED: return state != LP_WORKER_SPAWNING;
    case LP_EVENT_EMPTY: return state == LP_WORKER_DEAD || state == LP_WORKER_VACANT;
    case LP_EVENT_DEADLINE: return state != LP_WORKER_VACANT;
    case LP_EVENT_WEIGHED: return state != LP_WORKER_VACANT && state != LP_WORKER_SPAWNING;
    case LP_EVENT_WAITED: return state == LP_WORKER_BUSY;
    case LP_EVENT_RECALLED: return state >= LP_WORKER_IDLE && state <= LP_WORKER_DYING;
    case LP_EVENT_READY:
    case LP_EVENT_INIT_FAILED:
    case LP_EVENT_RESULT:
    case LP_EVENT_FINAL_STARTED:
    case LP_EVENT_FINALIZED:
    case LP_EVENT_WAITS:
    case LP_EVENT_CORRUPT: return true;
    case LP_EVENT_ZYGOTE_UP:
    case LP_EVENT_ZYGOTE_FAILED:
    case LP_EVENT_ZYGOTE_LOST:
    case LP_EVENT_SHUTDOWN:
    case LP_EVENT_TICK:
    case LP_EVENT_ADMISSION:
    case LP_EVENT_PLACES:
    case LP_EVENTS: return false;
    }
    return false;
}

/* ---- into the policy -------------------------------------------------------------------------- */

static void trace_action(struct hn_sim *sim, const struct lp_action *action)
{
    const struct lp_task *tasks = sim->pool.tasks.table;
    if (action->kind == LP_ACTION_NOTE)
        return;
    if (action->kind == LP_ACTION_RETRY || action->kind == LP_ACTION_RESUME)
        TRACE("policy", "  %s task %llu", action_name(action->kind),
              (unsigned long long)tasks[action->task].id);
    else if (action->kind == LP_ACTION_END)
        TRACE("policy", "  end task %llu: %s, returned %u times",
              (unsigned long long)tasks[action->task].id,
              libpool_cause_name(tasks[action->task].outcome.cause), tasks[action->task].returns);
    else if (action->kind == LP_ACTION_ASSIGN)
        TRACE("policy", "  %s task %llu to slot %u",
              tasks[action->task].state == LP_TASK_PREFETCHED ? "send ahead" : "assign",
              (unsigned long long)tasks[action->task].id, action->slot);
    else if (action->slot == LP_NONE)
        TRACE("policy", "  %s", action_name(action->kind));
    else
        TRACE("policy", "  %s slot %u.%u", action_name(action->kind), action->slot,
              action->generation);
}

/* Judges what one call has decided; what calls before it have left to be performed was judged then. */
static void judge(struct hn_sim *sim)
{
    struct lp_pool *pool = &sim->pool;
    for (; sim->judged < pool->n_actions && !failed(sim); sim->judged++) {
        trace_action(sim, &pool->actions[sim->judged]);
        hn_books_action(&sim->books, pool, &pool->actions[sim->judged]);
    }
    hn_books_after(&sim->books, pool);
}

/* Performs what was judged. */
static void carry_out(struct hn_sim *sim)
{
    struct lp_pool *pool = &sim->pool;
    for (uint32_t i = 0; i < pool->n_actions && !failed(sim); i++)
        hn_world_perform(&sim->world, &pool->actions[i]);
    sim->judged = pool->n_actions = 0;
}

/* Judges and performs what one call has decided. */
static void perform(struct hn_sim *sim)
{
    struct lp_pool *pool = &sim->pool;
    sim->coverage->calls++;
    if (pool->n_actions > sim->coverage->most_actions) {
        sim->coverage->most_actions = pool->n_actions;
        sim->coverage->most_actions_of = pool->actions_capacity;
    }
    if (!lp_pool_check(pool))
        FAIL("lp_pool_check: the policy's own invariants do not hold");
    judge(sim);
    sim->unsettled = sim->unsettled && !sim->books.call.settles;
    if (!failed(sim)) /* else what it asks for may be nonsense */
        carry_out(sim);
}

/* What a call has answered instead of an action is judged as one; its caller performs it at once. */
static void answered(struct hn_sim *sim, enum lp_action_kind kind, uint32_t slot, uint32_t task)
{
    struct lp_action action = {
        .kind = kind, .slot = slot, .generation = sim->pool.workers[slot].generation, .task = task};
    trace_action(sim, &action);
    hn_books_action(&sim->books, &sim->pool, &action);
    if (sim->pool.n_actions)
        FAIL("an answer beside actions that wait to be performed");
    if (!failed(sim))
        hn_world_perform(&sim->world, &action);
}

static void begin_step(struct hn_sim *sim, struct lp_event *event, libpool_cause injected)
{
    struct hn_call call = {.event = event,
                           .settles = true,
                           .submitted = LP_NONE,
                           .cancelled = LP_NONE,
                           .injected = injected};
    event->now_ns = sim->trace.now_ns;
    hn_books_before(&sim->books, &call);
    lp_pool_step(&sim->pool, event);
}

static void tick(struct hn_sim *sim)
{
    struct lp_event event = {.kind = LP_EVENT_TICK};
    begin_step(sim, &event, LIBPOOL_PENDING);
    perform(sim);
}

/* The call's own actions, then those of the ticks that it asks for. */
static void perform_all(struct hn_sim *sim)
{
    perform(sim);
    for (uint32_t i = 0; sim->pool.more && !failed(sim); i++) {
        sim->coverage->sometimes[HN_MANY_ENDED]++;
        if (i == MORE_MAX)
            FAIL("I6: the policy always wants more ticks");
        tick(sim);
    }
}

static void step_all(struct hn_sim *sim, struct lp_event *event, libpool_cause injected)
{
    begin_step(sim, event, injected);
    perform_all(sim);
}

static void settle(struct hn_sim *sim)
{
    struct hn_call call = {.settles = true, .submitted = LP_NONE, .cancelled = LP_NONE};
    TRACE("supervisor", "settles");
    hn_books_before(&sim->books, &call);
    lp_pool_settle(&sim->pool, sim->trace.now_ns);
    perform_all(sim);
}

static void settle_if_needed(struct hn_sim *sim)
{
    if (sim->unsettled && !failed(sim))
        settle(sim);
}

static void count_cell(struct hn_sim *sim, const struct lp_event *event)
{
    const struct lp_worker *worker = &sim->pool.workers[event->slot];
    if (worker->generation == event->generation)
        sim->coverage->cells[worker->state][event->kind]++;
}

static void trace_event(struct hn_sim *sim, const struct lp_event *event)
{
    if (event->kind < LP_WORKER_EVENTS) {
        count_cell(sim, event);
        TRACE("event", "%s slot %u.%u (%s) code %d signal %d", hn_sim_event_name(event->kind),
              event->slot, event->generation,
              lp_worker_state_name(sim->pool.workers[event->slot].state), event->code,
              event->signal);
    } else {
        TRACE("event", "%s", hn_sim_event_name(event->kind));
    }
}

/* Without settling: RESULT or RECALLED. */
static void tell_only(struct hn_sim *sim, struct lp_event *event)
{
    struct hn_call call = {.event = event, .submitted = LP_NONE, .cancelled = LP_NONE};
    (void)hn_world_tell(&sim->world, event, &call.injected);
    trace_event(sim, event);
    event->now_ns = sim->trace.now_ns;
    hn_books_before(&sim->books, &call);
    uint32_t ended = lp_pool_tell(&sim->pool, event);
    sim->coverage->calls++;
    sim->coverage->sometimes[HN_EXPRESS_ENDED] += ended != LP_NONE;
    sim->unsettled = true;
    if (ended != LP_NONE)
        answered(sim, LP_ACTION_END, event->slot, ended);
    judge(sim);
}

static void tell(struct hn_sim *sim, struct lp_event *event)
{
    libpool_cause injected = LIBPOOL_PENDING;
    if (!hn_world_tell(&sim->world, event, &injected))
        return;
    trace_event(sim, event);
    step_all(sim, event, injected);
}

/* ---- a worker's words --------------------------------------------------------------------------- */

/* Somebody is there, or was until a moment ago, whose words still count. */
static bool is_heard(const struct hn_sim *sim, uint32_t slot)
{
    enum lp_worker_state state = sim->pool.workers[slot].state;
    return state > LP_WORKER_SPAWNING && state < LP_WORKER_DEAD;
}

static struct lp_event about(const struct hn_sim *sim, enum lp_event_kind kind, uint32_t slot)
{
    return (struct lp_event){
        .kind = kind, .slot = slot, .generation = sim->pool.workers[slot].generation};
}

/* About the worker whose channel is in the slot now. */
static bool is_current(const struct hn_sim *sim, const struct lp_event *event)
{
    return event->kind < LP_WORKER_EVENTS &&
           sim->pool.workers[event->slot].generation == event->generation;
}

/* A result is counted by whoever reads it, whatever the policy makes of it. */
static void count_result(struct hn_sim *sim, const struct lp_event *event)
{
    if (event->kind == LP_EVENT_RESULT && is_current(sim, event))
        sim->world.channels[event->slot].results++;
}

static void tell_result(struct hn_sim *sim, struct lp_event *event)
{
    count_result(sim, event);
    tell_only(sim, event);
}

/* Up to so many results that are there, in a row; how many. */
static uint32_t hear_results(struct hn_sim *sim, uint32_t slot, uint32_t most)
{
    uint32_t heard = 0;
    struct hn_item *next;
    while (heard < most && !failed(sim) && (next = hn_world_unread(&sim->world, slot)) != NULL &&
           next->event.kind == LP_EVENT_RESULT) {
        struct hn_item item = hn_world_take(&sim->world, next);
        tell_result(sim, &item.event);
        heard++;
    }
    return heard;
}

/*
 * All that a worker has written, before its fate is decided; how many words. Between a recall and
 * its telling nothing may be settled, or more would be sent that is not recalled: then the actions are
 * performed, and no more. A word that is no result is the end of a worker that has tasks.
 */
static uint32_t drain(struct hn_sim *sim, uint32_t slot, bool settles)
{
    uint32_t heard = 0;
    struct hn_item *next;
    while (!failed(sim) && is_heard(sim, slot) &&
           (next = hn_world_unread(&sim->world, slot)) != NULL) {
        if (next->event.kind == LP_EVENT_WAITS)
            break; /* to be heard when it is its turn */
        if (next->event.kind == LP_EVENT_RESULT) {
            heard += hear_results(sim, slot, LP_RESULTS_PER_BATCH);
            if (settles)
                settle(sim);
            else if (!failed(sim))
                carry_out(sim);
            continue;
        }
        struct hn_item item = hn_world_take(&sim->world, next);
        tell(sim, &item.event);
        heard++;
    }
    return heard;
}

/* What the worker in a slot has not begun by now is taken back. */
static void recall(struct hn_sim *sim, uint32_t slot)
{
    const struct lp_worker *worker = &sim->pool.workers[slot];
    if (!lp_pool_holds_prefetched(&sim->pool, slot) || failed(sim))
        return;
    uint32_t claimed = hn_world_recall(&sim->world, slot);
    uint32_t generation = worker->generation, queued = worker->queued;
    drain(sim, slot, false);
    if (failed(sim) || worker->generation != generation)
        return;
    sim->coverage->sometimes[HN_RECALL_DRAINED] += queued && !worker->queued;
    uint32_t unheard = claimed - sim->world.channels[slot].results;
    if (unheard > 1) {
        struct lp_event event = about(sim, LP_EVENT_CORRUPT, slot);
        tell(sim, &event);
        return;
    }
    if (unheard == 0 && worker->state == LP_WORKER_BUSY) {
        hn_world_send(&sim->world, slot, worker->task);
        sim->coverage->sometimes[HN_RECALL_UNCLAIMED]++;
    }
    struct lp_event event = about(sim, LP_EVENT_RECALLED, slot);
    tell_only(sim, &event);
}

/* What it was sent ahead goes to others before it is given up. */
static void foretell(struct hn_sim *sim, uint32_t slot)
{
    const struct lp_worker *worker = &sim->pool.workers[slot];
    if (worker->orphaned || (worker->state != LP_WORKER_BUSY && worker->state != LP_WORKER_IDLE))
        return;
    sim->coverage->sometimes[HN_KNOWN_EARLY]++;
    drain(sim, slot, true);
    sim->coverage->sometimes[HN_KNOWN_EARLY_QUEUE] += lp_pool_holds_prefetched(&sim->pool, slot);
    recall(sim, slot);
}

/*
 * One word has arrived. Who has read a result reads on, and leaves the conclusions to the settling, or
 * to the next call.
 */
static void hear(struct hn_sim *sim, struct lp_event *event)
{
    bool current = is_current(sim, event);
    if (event->kind == LP_EVENT_RESULT && sim->world.tiny) {
        uint32_t most = hn_random_chance(&sim->random, 50)
                            ? LP_RESULTS_PER_BATCH
                            : hn_random_between(&sim->random, 1, LP_RESULTS_PER_BATCH);
        tell_result(sim, event);
        uint32_t heard = 1;
        if (current && is_heard(sim, event->slot))
            heard += hear_results(sim, event->slot, most - 1);
        sim->coverage->sometimes[HN_BATCH] += heard > 1;
        sim->coverage->sometimes[HN_BATCH_FULL] += heard == LP_RESULTS_PER_BATCH;
        return;
    }
    count_result(sim, event);
    bool kills = event->kind == LP_EVENT_CORRUPT ||
                 (event->kind == LP_EVENT_WEIGHED &&
                  event->bytes > sim->books.slots[event->slot].weigh_limit_bytes);
    if (kills && current && hn_random_chance(&sim->random, 50))
        recall(sim, event->slot);
    if (event->kind == LP_EVENT_GONE && event->foretold && current)
        foretell(sim, event->slot);
    tell(sim, event);
}

/* ---- users ------------------------------------------------------------------------------------ */

static uint64_t draw_ms(struct hn_sim *sim, uint32_t least, uint32_t most)
{
    return (least + hn_random_time_ns(&sim->random, most - least)) * LP_MS;
}

static uint64_t draw_timeout(struct hn_sim *sim)
{
    if (hn_random_chance(&sim->random, 70))
        return 0;
    return (1 + hn_random_time_ns(&sim->random, 3000)) * LP_MS;
}

static struct lp_retry_rule draw_rule(struct hn_sim *sim)
{
    const uint32_t causes = 1u << LIBPOOL_ERROR | 1u << LIBPOOL_CRASH | 1u << LIBPOOL_EXIT |
                            1u << LIBPOOL_OOM | 1u << LIBPOOL_TIMEOUT | 1u << LIBPOOL_KILLED |
                            1u << LIBPOOL_CORRUPT | 1u << LIBPOOL_LOST | 1u << LIBPOOL_MEMORY;
    uint64_t some = hn_random_chance(&sim->random, 50) ? UINT64_MAX : hn_random_next(&sim->random);
    uint64_t min_ns = draw_ms(sim, 1, 200);
    return (struct lp_retry_rule){
        .limit = hn_random_between(&sim->random, 1, HN_RETRIES_MAX),
        .causes = causes & (uint32_t)some,
        .min_ns = min_ns,
        .max_ns = min_ns + draw_ms(sim, 0, HN_PAUSE_MAX_MS - 200),
    };
}

/* Where all are busy there is nothing to conclude from one more task. */
static bool submit_settles(const struct hn_sim *sim, const struct lp_task_spec *spec)
{
    uint32_t ready = hn_books_in(&sim->books, LP_WORKER_IDLE) +
                     hn_books_in(&sim->books, LP_WORKER_BUSY);
    uint32_t most = sim->books.max_workers + sim->config.spare_workers +
                    sim->config.waiting_workers;
    return hn_books_active(&sim->books) != sim->books.max_workers || ready > most ||
           spec->queue_timeout_ns;
}

/* `many`: others follow, and what follows from all of them is settled then. */
static int hand_over(struct hn_sim *sim, const struct lp_task_spec *spec, bool many)
{
    uint32_t index = LP_NONE;
    struct hn_call call = {.submitted = sim->books.n_tasks, .cancelled = LP_NONE};
    if (sim->books.n_tasks >= HN_BOOK_TASKS - (sim->world.calm ? 0 : 8))
        return -EAGAIN; /* enough is enough; a few are kept for probes */
    call.settles = !many && (!sim->unsettled || submit_settles(sim, spec));
    hn_books_before(&sim->books, &call);
    int result = many ? lp_pool_add(&sim->pool, spec, sim->trace.now_ns, &index)
                      : lp_pool_submit(&sim->pool, spec, sim->trace.now_ns, &index);
    bool sent = result == LP_POOL_SENT;
    result = sent ? 0 : result;
    TRACE("user", "%s priority %u bytes %llu: %d, task %u", many ? "add" : "submit", spec->priority,
          (unsigned long long)spec->bytes, result, sim->books.n_tasks + (result == 0));
    hn_books_submitted(&sim->books, &sim->pool, spec, result, index);
    sim->coverage->sometimes[many ? HN_EXPRESS_MANY : HN_EXPRESS_SENT] += sent;
    if (sent)
        answered(sim, LP_ACTION_ASSIGN, sim->pool.tasks.table[index].slot, index);
    if (result == 0 && many) {
        sim->unsettled = sim->unsettled || !sent;
        judge(sim);
    } else if (result == 0) {
        perform_all(sim);
    } else if (result != -EAGAIN) {
        lp_pool_reject(&sim->pool, 1);
        sim->books.stats.tasks_rejected++;
    }
    return result;
}

static int submit_spec(struct hn_sim *sim, const struct lp_task_spec *spec)
{
    return hand_over(sim, spec, false);
}

static void draw_grace(struct hn_sim *sim, struct lp_task_spec *spec)
{
    static const int signals[] = {0, SIGTERM, SIGUSR1};
    spec->grace_ns = draw_ms(sim, 1, GRACE_MAX_MS);
    if (!sim->config.cooperative)
        spec->soft_signal = signals[hn_random_below(&sim->random, 3)];
}

static void submit(struct hn_sim *sim)
{
    struct lp_task_spec spec = {
        .priority = hn_random_chance(&sim->random, 50) ? 0 : hn_random_below(&sim->random, 64),
        .bytes = hn_random_below(&sim->random, 200),
        .run_timeout_ns = draw_timeout(sim),
        .queue_timeout_ns = draw_timeout(sim),
        .group = hn_random_below(&sim->random, 4),
        .kind = hn_random_chance(&sim->random, 50) ? 0
                                                   : hn_random_below(&sim->random, HN_BOOK_KINDS),
    };
    if (hn_random_chance(&sim->random, 25))
        spec.heartbeat_ns = draw_ms(sim, 1, 500);
    if (hn_random_chance(&sim->random, 50))
        draw_grace(sim, &spec);
    struct lp_retry_rule rule = draw_rule(sim);
    spec.retry = hn_random_chance(&sim->random, sim->retry_chance) ? &rule : NULL;
    if (sim->world.tiny && hn_random_chance(&sim->random, 80)) /* else none could go ahead */
        spec.queue_timeout_ns = 0;
    if (sim->world.tiny && hn_random_chance(&sim->random, 10))
        spec.bytes += LP_PREFETCH_BYTES - 100;
    if (sim->limited_chance && hn_random_chance(&sim->random, sim->limited_chance))
        spec.memory_limit_bytes = hn_random_between(&sim->random, 1, (1u << 20) - 1);
    submit_spec(sim, &spec);
}

static void submit_burst(struct hn_sim *sim)
{
    uint32_t count = 1 + hn_random_below(&sim->random, sim->config.backlog_tasks + 2);
    while (count-- && !failed(sim))
        submit(sim);
}

static enum lp_cancel cancel_due(const struct hn_sim *sim, const struct hn_book_task *task)
{
    bool is_handed = task->state == LP_TASK_RUNNING || task->state == LP_TASK_PREFETCHED;
    bool lives = is_handed && sim->books.slots[task->slot].state == LP_WORKER_BUSY;
    bool recalls = lives && sim->books.slots[task->slot].queued;
    uint64_t *sometimes = sim->coverage->sometimes;
    switch (task->state) {
    case LP_TASK_PENDING:
    case LP_TASK_WAITING: return LP_CANCEL_DEQUEUED;
    case LP_TASK_PREFETCHED:
        sometimes[lives ? HN_CANCEL_RECALL : HN_CANCEL_QUEUED_DEAD]++;
        return lives ? LP_CANCEL_RECALL : LP_CANCEL_KILLED;
    case LP_TASK_RUNNING:
        sometimes[HN_CANCEL_UNSTARTED] += !lives;
        if (recalls)
            return LP_CANCEL_RECALL;
        sometimes[HN_ASKED_AGAIN] += lives && task->asked != LIBPOOL_PENDING;
        return lives && hn_books_asks(&sim->books, task) ? LP_CANCEL_ASKED : LP_CANCEL_KILLED;
    case LP_TASK_ENDED: sometimes[HN_CANCEL_ENDED]++; return LP_CANCEL_DONE;
    case LP_TASK_FREE:
    case LP_TASK_STATES: break;
    }
    return LP_CANCEL_DONE;
}

/* Asks once. What answers RECALL has done nothing. */
static enum lp_cancel ask_cancel(struct hn_sim *sim, uint32_t index)
{
    struct hn_book_task *task = &sim->books.tasks[index];
    enum lp_cancel due = cancel_due(sim, task);
    struct hn_call call = {
        .settles = due != LP_CANCEL_RECALL, .submitted = LP_NONE, .cancelled = index};
    TRACE("user", "cancel task %u", index + 1);
    hn_books_before(&sim->books, &call);
    enum lp_cancel done = lp_pool_cancel(&sim->pool, task->index, sim->trace.now_ns);
    if (done != due)
        FAIL("cancel of task %u said %d, not %d", index + 1, (int)done, (int)due);
    if (due == LP_CANCEL_RECALL)
        judge(sim);
    else
        perform_all(sim);
    return due;
}

static bool is_open(const struct hn_book_task *task)
{
    return task->state != LP_TASK_ENDED && task->state != LP_TASK_FREE;
}

static void cancel_task(struct hn_sim *sim, uint32_t index)
{
    const struct hn_book_task *task = &sim->books.tasks[index];
    enum lp_cancel done = LP_CANCEL_RECALL;
    if (task->state == LP_TASK_FREE)
        return;
    for (uint32_t asked = 0; done == LP_CANCEL_RECALL && !failed(sim); asked++) {
        if (asked && !is_open(task))
            break; /* its result was there */
        if (asked == 2)
            FAIL("task %u is to be recalled again and again", index + 1);
        done = ask_cancel(sim, index);
        if (done == LP_CANCEL_RECALL)
            recall(sim, task->slot);
    }
    settle_if_needed(sim);
    if (is_open(task) && (done != LP_CANCEL_ASKED || task->asked == LIBPOOL_PENDING))
        FAIL("I1: task %u goes on after its cancel", index + 1);
}

static void cancel(struct hn_sim *sim)
{
    uint32_t open = sim->books.n_tasks - sim->books.oldest;
    if (open)
        cancel_task(sim, sim->books.oldest + hn_random_below(&sim->random, open));
}

/* ---- tasks that wait for others ---------------------------------------------------------------- */

static void submit_sub(struct hn_sim *sim, struct hn_calling *calling)
{
    struct lp_task_spec spec = {
        .inside = true,
        .priority = hn_random_below(&sim->random, 4),
        .bytes = hn_random_below(&sim->random, 100),
        .run_timeout_ns = draw_timeout(sim),
        .queue_timeout_ns = draw_timeout(sim),
    };
    if (hn_random_chance(&sim->random, 20))
        draw_grace(sim, &spec);
    struct lp_retry_rule rule = draw_rule(sim);
    spec.retry = hn_random_chance(&sim->random, sim->retry_chance) ? &rule : NULL;
    uint32_t index = sim->books.n_tasks;
    if (hand_over(sim, &spec, hn_random_chance(&sim->random, 50)) == 0)
        calling->subs[calling->n++] = index;
}

static bool still_waits(const struct hn_sim *sim, uint32_t slot)
{
    const struct hn_book_slot *book = &sim->books.slots[slot];
    const struct hn_calling *calling = &sim->calls[slot];
    return book->generation == calling->generation && book->waiting && book->task == calling->task;
}

/* A hostile one that waits has a result all the same, or asks again. */
static void interrupt(struct hn_sim *sim, uint32_t slot)
{
    bool again = hn_random_chance(&sim->random, 50);
    struct lp_event event = about(sim, again ? LP_EVENT_WAITS : LP_EVENT_RESULT, slot);
    event.task_id = sim->calls[slot].task + UINT64_C(1);
    if (hn_random_chance(&sim->random, 20))
        tell(sim, &event);
}

/* What it had been sent ahead goes back first. If it may wait the rest follows. */
static void hear_call(struct hn_sim *sim, struct lp_event *event)
{
    uint32_t slot = event->slot;
    const struct lp_worker *worker = &sim->pool.workers[slot];
    struct hn_calling *calling = &sim->calls[slot];
    bool current = is_current(sim, event);
    if (current)
        recall(sim, slot);
    if (failed(sim))
        return;
    tell(sim, event);
    if (failed(sim) || !current || !is_current(sim, event) || worker->state != LP_WORKER_BUSY)
        return;
    if (!worker->waiting) {
        hn_world_answer(&sim->world, slot, event->task_id);
        return;
    }
    *calling = (struct hn_calling){.open = true,
                                   .generation = event->generation,
                                   .task = (uint32_t)event->task_id - 1,
                                   .until_ns = NEVER};
    if (hn_random_chance(&sim->random, 30))
        calling->until_ns = sim->trace.now_ns + draw_ms(sim, 0, 500);
    for (uint32_t n = hn_random_between(&sim->random, 1, HN_SUBS_MAX); n && !failed(sim); n--)
        submit_sub(sim, calling);
    settle_if_needed(sim);
    if (hn_world_has(&sim->world, HN_FAULT_CORRUPT) && still_waits(sim, slot) && !failed(sim))
        interrupt(sim, slot);
}

static void cancel_subs(struct hn_sim *sim, const struct hn_calling *calling)
{
    for (uint32_t i = 0; i < calling->n && !failed(sim); i++)
        if (is_open(&sim->books.tasks[calling->subs[i]])) {
            sim->coverage->sometimes[HN_WAIT_LEFT]++;
            cancel_task(sim, calling->subs[i]);
        }
}

/* True: something was done, by which another call may have ended. */
static bool settle_call(struct hn_sim *sim, uint32_t slot)
{
    struct hn_calling *calling = &sim->calls[slot];
    bool asked = sim->books.tasks[calling->task].asked != LIBPOOL_PENDING, open = false;
    bool waits = still_waits(sim, slot);
    bool hung_up = sim->trace.now_ns >= calling->until_ns;
    for (uint32_t i = 0; i < calling->n; i++)
        open = open || is_open(&sim->books.tasks[calling->subs[i]]);
    bool over = !waits || asked || hung_up;
    if (open && !over)
        return false;
    calling->open = false;
    sim->coverage->sometimes[HN_WAIT_ASKED] += waits && asked;
    sim->coverage->sometimes[HN_WAIT_HUNG_UP] += waits && open && hung_up;
    cancel_subs(sim, calling);
    if (failed(sim) || !still_waits(sim, slot))
        return true;
    struct lp_event event = about(sim, LP_EVENT_WAITED, slot);
    tell(sim, &event);
    hn_world_answer(&sim->world, slot, calling->task + UINT64_C(1));
    return true;
}

static void settle_calls(struct hn_sim *sim)
{
    for (uint32_t slot = 0; slot < sim->books.n_slots && !failed(sim); slot++)
        if (sim->calls[slot].open && settle_call(sim, slot))
            slot = UINT32_MAX; /* from the first */
}

/* How many of a group's tasks have not ended, and how many of them wait in the backlog. */
static uint32_t open_in_group(const struct hn_sim *sim, uint64_t group, uint32_t *pending)
{
    uint32_t open = 0;
    *pending = 0;
    for (uint32_t i = sim->books.oldest; i < sim->books.n_tasks; i++) {
        const struct hn_book_task *task = &sim->books.tasks[i];
        bool counts = task->spec.group == group && is_open(task);
        open += counts;
        *pending += counts && (task->state == LP_TASK_PENDING || task->state == LP_TASK_WAITING);
    }
    return open;
}

/* They have a grace. */
static uint32_t asked_in_group(const struct hn_sim *sim, uint64_t group)
{
    uint32_t asked = 0;
    for (uint32_t i = sim->books.oldest; i < sim->books.n_tasks; i++) {
        const struct hn_book_task *task = &sim->books.tasks[i];
        asked += task->spec.group == group && is_open(task) && task->asked != LIBPOOL_PENDING;
    }
    return asked;
}

/* It ends when a cancel comes: who runs with a grace is asked. */
static bool is_endable(const struct hn_sim *sim, uint64_t group, const struct hn_book_task *task)
{
    bool is_asked = task->state == LP_TASK_RUNNING && hn_books_asks(&sim->books, task) &&
                    sim->books.slots[task->slot].state == LP_WORKER_BUSY;
    return task->spec.group == group && is_open(task) && !is_asked;
}

static uint32_t endable_in_group(const struct hn_sim *sim, uint64_t group)
{
    uint32_t endable = 0;
    for (uint32_t i = sim->books.oldest; i < sim->books.n_tasks; i++)
        endable += is_endable(sim, group, &sim->books.tasks[i]);
    return endable;
}

/* Without those that it has passed: who is held by what was sent ahead is tried again later. */
static uint32_t endable_ahead(const struct hn_sim *sim, const struct lp_group_cancel *cancel)
{
    const struct lp_tasks *tasks = &sim->pool.tasks;
    uint32_t endable = 0;
    for (uint32_t i = cancel->next; i < tasks->untouched; i++)
        endable += tasks->table[i].id &&
                   is_endable(sim, cancel->group, &sim->books.tasks[tasks->table[i].id - 1]);
    return endable;
}

/* One batch; nothing is settled before the last. */
static bool cancel_batch(struct hn_sim *sim, struct lp_group_cancel *cancel)
{
    uint32_t open = endable_ahead(sim, cancel);
    bool last = open <= LP_ENDS_PER_STEP;
    struct hn_call call = {.settles = last,
                           .submitted = LP_NONE,
                           .cancelled = LP_NONE,
                           .cancelled_group = cancel->group};
    hn_books_before(&sim->books, &call);
    if (lp_pool_cancel_group(&sim->pool, cancel, sim->trace.now_ns) != last)
        FAIL("%u tasks of a group to cancel, and it says that it is %s", open,
             last ? "not done" : "done");
    sim->coverage->sometimes[HN_GROUP_CANCELLED] += last && open > 1;
    sim->coverage->sometimes[HN_GROUP_BATCHES] += !last;
    if (last) {
        perform_all(sim);
    } else {
        judge(sim);
        carry_out(sim);
        sim->unsettled = true;
    }
    return last;
}

static void cancel_group(struct hn_sim *sim)
{
    struct lp_group_cancel cancel = {.group = 1 + hn_random_below(&sim->random, 3)};
    uint32_t pending, open, endable;
    for (uint32_t slot = 0; slot < sim->books.n_slots; slot++)
        recall(sim, slot);
    open = open_in_group(sim, cancel.group, &pending);
    endable = endable_in_group(sim, cancel.group);
    TRACE("user", "cancel group %u: %u open", (unsigned)cancel.group, open);
    while (!failed(sim) && !cancel_batch(sim, &cancel))
        continue;
    if (failed(sim))
        return;
    if (cancel.recall) { /* one was found corrupt, and what was recalled before sent again */
        cancel_group(sim);
        return;
    }
    if (cancel.dequeued != pending || cancel.dequeued + cancel.killed != endable)
        FAIL("cancel of a group: %u dequeued, %u killed of %u that can be, %u pending",
             (unsigned)cancel.dequeued, (unsigned)cancel.killed, endable, pending);
    uint32_t asked = asked_in_group(sim, cancel.group);
    uint32_t left = open_in_group(sim, cancel.group, &pending);
    if (left != asked)
        FAIL("I1: %u tasks of a group go on after its cancel, %u were asked", left, asked);
}

static void shut_down(struct hn_sim *sim, uint32_t flags, uint64_t deadline_ns)
{
    struct lp_event event = {.kind = LP_EVENT_SHUTDOWN, .flags = flags, .deadline_ns = deadline_ns};
    bool recalls = (flags & LIBPOOL_CANCEL) && hn_random_chance(&sim->random, 70);
    for (uint32_t slot = 0; recalls && slot < sim->books.n_slots; slot++)
        recall(sim, slot);
    if (failed(sim))
        return;
    TRACE("user", "shutdown%s%s, deadline %llu ms", flags & LIBPOOL_WAIT ? " wait" : "",
          flags & LIBPOOL_CANCEL ? " cancel" : "", (unsigned long long)(deadline_ns / LP_MS));
    step_all(sim, &event, LIBPOOL_PENDING);
}

static void any_shutdown(struct hn_sim *sim)
{
    static const uint32_t modes[] = {0, LIBPOOL_WAIT, LIBPOOL_CANCEL,
                                     LIBPOOL_WAIT | LIBPOOL_CANCEL};
    uint64_t deadline_ns = 0;
    if (hn_random_chance(&sim->random, 60))
        deadline_ns = sim->trace.now_ns + hn_random_time_ns(&sim->random, 5000 * LP_MS);
    shut_down(sim, modes[hn_random_below(&sim->random, 4)], deadline_ns);
}

static void pardon(struct hn_sim *sim)
{
    uint64_t kind = hn_random_below(&sim->random, HN_BOOK_KINDS);
    struct hn_book_kind *book = &sim->books.kinds[kind];
    bool held = hn_books_holds_kind(&sim->books, kind), known = held || book->deaths;
    sim->coverage->sometimes[HN_KIND_PARDONED] += held;
    TRACE("user", "pardon kind %u", (unsigned)kind);
    if (lp_pool_pardon(&sim->pool, kind, sim->trace.now_ns) != known)
        FAIL("pardon of kind %u: it was %sknown", (unsigned)kind, known ? "" : "not ");
    *book = (struct hn_book_kind){0};
}

/* ---- troubles --------------------------------------------------------------------------------- */

static void kill_worker(struct hn_sim *sim)
{
    hn_world_kill_worker(&sim->world);
}

static void hurt_zygote(struct hn_sim *sim)
{
    hn_world_hurt_zygote(&sim->world);
}

static void say_nonsense(struct hn_sim *sim)
{
    hn_world_say_nonsense(&sim->world);
}

static void old_word(struct hn_sim *sim)
{
    hn_world_old_word(&sim->world);
}

static void rival(struct hn_sim *sim)
{
    if (sim->config.governed)
        hn_world_rival(&sim->world);
    else
        submit(sim);
}

static void maybe_shut_down(struct hn_sim *sim)
{
    if (sim->will_shut_down)
        any_shutdown(sim);
}

static void resize(struct hn_sim *sim)
{
    struct hn_random *random = &sim->random;
    uint32_t most = hn_random_between(random, 0, sim->config.workers_limit + 1);
    uint32_t least = hn_random_between(random, 0, most + 1);
    bool legal = most > 0 && most <= sim->config.workers_limit && least <= most;
    struct hn_call call = {.settles = true, .submitted = LP_NONE, .cancelled = LP_NONE};
    if (!sim->will_resize)
        return;
    if (legal && sim->config.governed && hn_world_reserve(&sim->world, least) != 0)
        return; /* there is no room for that */
    TRACE("user", "resize to %u to %u", least, most);
    if (legal) {
        sim->books.min_workers = least;
        sim->books.max_workers = most;
        hn_books_before(&sim->books, &call);
    }
    int result = lp_pool_resize(&sim->pool, least, most, sim->trace.now_ns);
    if (result != (legal ? 0 : -EINVAL))
        FAIL("resize said %d", result);
    if (legal)
        perform_all(sim);
    sim->coverage->sometimes[HN_RESIZED] += legal;
}

static void recycle(struct hn_sim *sim)
{
    uint32_t parallel = hn_random_chance(&sim->random, 10) ? UINT32_MAX
                                                           : hn_random_below(&sim->random, 4);
    bool legal = parallel && !sim->books.shutting;
    struct hn_call call = {.settles = true, .submitted = LP_NONE, .cancelled = LP_NONE};
    if (!sim->will_recycle)
        return;
    TRACE("user", "recycle, %u at a time", parallel);
    if (legal) {
        hn_books_recycle(&sim->books, parallel);
        hn_books_before(&sim->books, &call);
    }
    int result = lp_pool_recycle(&sim->pool, parallel, sim->trace.now_ns);
    if (result != (legal ? 0 : parallel ? -ESHUTDOWN : -EINVAL))
        FAIL("recycle said %d", result);
    if (legal)
        perform_all(sim);
}

static void dress(struct hn_sim *sim)
{
    struct hn_call call = {.settles = true, .submitted = LP_NONE, .cancelled = LP_NONE};
    if (!sim->will_dress)
        return;
    TRACE("user", "another outfit");
    hn_books_dress(&sim->books);
    hn_books_before(&sim->books, &call);
    lp_pool_dress(&sim->pool, sim->trace.now_ns);
    perform_all(sim);
}

/* Many at once with one queue timeout, so that many end at once. */
static void fill(struct hn_sim *sim)
{
    struct lp_task_spec spec = {.bytes = 1, .group = hn_random_below(&sim->random, 4)};
    if (hn_random_chance(&sim->random, sim->world.tiny ? 5 : 70))
        spec.queue_timeout_ns = draw_ms(sim, 1, 100);
    bool many = hn_random_chance(&sim->random, 30);
    uint32_t count = hn_random_below(&sim->random, sim->config.backlog_tasks + 2), added = 0;
    while (count-- && hand_over(sim, &spec, many) == 0 && !failed(sim)) {
        spec.priority = hn_random_below(&sim->random, 4);
        if (++added % ADDED_AT_ONCE == 0)
            settle_if_needed(sim);
    }
    sim->coverage->sometimes[HN_SUBMITTED_MANY] += many && added > 1;
    settle_if_needed(sim);
}

/* One row a trouble. */
static const struct {
    uint32_t weight;
    void (*run)(struct hn_sim *sim);
} troubles[] = {
    {40, submit},         {3, submit_burst}, {1, fill},         {10, cancel}, {10, kill_worker},
    {6, hurt_zygote},     {5, say_nonsense}, {3, old_word},     {3, tick},    {3, resize},
    {2, maybe_shut_down}, {3, recycle},      {1, cancel_group}, {2, pardon},  {10, rival},
    {3, dress},
};

static bool has_queue_in_dying_hands(const struct hn_sim *sim)
{
    bool has = false;
    for (uint32_t i = 0; i < sim->books.n_slots; i++) {
        const struct hn_book_slot *slot = &sim->books.slots[i];
        has = has ||
              (slot->queued && (slot->state == LP_WORKER_DYING || slot->state == LP_WORKER_DEAD));
    }
    return has;
}

static void trouble(struct hn_sim *sim)
{
    uint32_t total = 0, i = 0;
    if (sim->will_shut_down && has_queue_in_dying_hands(sim) && hn_random_chance(&sim->random, 60))
        shut_down(sim, LIBPOOL_WAIT, sim->trace.now_ns); /* hardly ever so by itself */
    if ((sim->deep || sim->world.tiny) && hn_random_chance(&sim->random, 25))
        fill(sim);
    if (sim->world.tiny && sim->will_shut_down && hn_random_chance(&sim->random, 30))
        say_nonsense(sim);
    for (uint32_t j = 0; j < sizeof troubles / sizeof troubles[0]; j++)
        total += troubles[j].weight;
    uint32_t drawn = hn_random_below(&sim->random, total);
    while (drawn >= troubles[i].weight)
        drawn -= troubles[i++].weight;
    troubles[i].run(sim);
}

/* ---- the loop --------------------------------------------------------------------------------- */

/*
 * A deadline is due. A result that is there counts: then the worker has gone on, and has another. If
 * tasks wait with it they are recalled, which tells the deadline, too.
 */
static void overran(struct hn_sim *sim, uint32_t slot)
{
    const struct lp_worker *worker = &sim->pool.workers[slot];
    enum lp_worker_state state = worker->state;
    bool has_results = state == LP_WORKER_BUSY || state == LP_WORKER_DYING;
    uint32_t heard = sim->world.tiny && has_results ? drain(sim, slot, true) : 0;
    if (failed(sim) || (heard && (worker->state != state || worker->deadline_ns)))
        return;
    if (!lp_pool_holds_prefetched(&sim->pool, slot)) {
        bool unproven = state == LP_WORKER_GONE &&
                        sim->world.processes[slot].proof_ns > sim->trace.now_ns;
        struct lp_event event = about(sim, LP_EVENT_DEADLINE, slot);
        event.foretold = unproven;
        sim->coverage->sometimes[HN_KNOWN_FOR_LONG] += unproven;
        tell(sim, &event);
        return;
    }
    sim->coverage->sometimes[HN_PATIENCE] += state == LP_WORKER_BUSY;
    recall(sim, slot);
    settle_if_needed(sim);
}

/* The supervisor's timer: due deadlines first, then a tick if there is still something to do. */
static void wake(struct hn_sim *sim)
{
    uint32_t slot;
    uint64_t now_ns = sim->trace.now_ns;
    uint32_t rounds = 0;
    while (!failed(sim) && (slot = lp_pool_due(&sim->pool, now_ns)) != LP_NONE) {
        if (++rounds > 4 * HN_BOOK_SLOTS)
            FAIL("I6: deadlines without end at one instant");
        overran(sim, slot);
    }
    struct lp_event event = {.kind = LP_EVENT_TICK};
    if (!failed(sim) && lp_pool_next_deadline(&sim->pool) <= now_ns)
        step_all(sim, &event, LIBPOOL_PENDING);
    if (!failed(sim) && lp_pool_next_deadline(&sim->pool) <= now_ns)
        FAIL("I6: the next deadline is in the past after a turn: the supervisor would spin");
}

/* When the supervisor will notice the policy's next deadline. */
static uint64_t next_wake(struct hn_sim *sim)
{
    uint64_t deadline_ns = lp_pool_next_deadline(&sim->pool);
    uint64_t now_ns = sim->trace.now_ns;
    if (deadline_ns == NEVER)
        return NEVER;
    if (deadline_ns != sim->wake_for_ns) {
        sim->wake_for_ns = deadline_ns;
        sim->wake_ns = deadline_ns + hn_random_time_ns(&sim->random, sim->late_ns);
    }
    return sim->wake_ns > now_ns ? sim->wake_ns : now_ns;
}

static void release(struct hn_sim *sim, const struct hn_item *item)
{
    lp_pool_release(&sim->pool, (uint32_t)item->event.task_id);
    hn_books_released(&sim->books, item->event.slot);
}

/* Any call draws the conclusions of what was told before. */
static void call_unsettled(struct hn_sim *sim)
{
    static void (*const calls[])(struct hn_sim *) = {submit, cancel, tick, resize, recycle};
    sim->coverage->sometimes[HN_UNSETTLED_CALL]++;
    if (hn_random_chance(&sim->random, 1))
        maybe_shut_down(sim);
    else
        calls[hn_random_below(&sim->random, sizeof calls / sizeof calls[0])](sim);
}

/* The next thing to happen, if it happens before until_ns. false: it does not. */
static bool turn(struct hn_sim *sim, uint64_t until_ns)
{
    if (!sim->books.down)
        settle_calls(sim);
    struct hn_item *next = hn_world_next(&sim->world);
    uint64_t wake_ns = next_wake(sim);
    bool is_wake = !next || wake_ns < next->at_ns;
    uint64_t at_ns = is_wake ? wake_ns : next->at_ns;
    if (at_ns == NEVER || at_ns > until_ns || failed(sim))
        return false;
    if (++sim->turns > TURNS_MAX)
        FAIL("I6: no end of turns");
    if (at_ns > sim->trace.now_ns)
        sim->trace.now_ns = at_ns;
    if (is_wake) {
        wake(sim);
        return true;
    }
    struct hn_item item = hn_world_take(&sim->world, next);
    if (item.kind == HN_ITEM_EVENT) {
        if (item.event.kind == LP_EVENT_WAITS)
            hear_call(sim, &item.event);
        else
            hear(sim, &item.event);
        if (sim->unsettled && !sim->world.calm && hn_random_chance(&sim->random, 30))
            call_unsettled(sim);
        settle_if_needed(sim);
    } else if (item.kind == HN_ITEM_RELEASE)
        release(sim, &item);
    else
        hn_world_happen(&sim->world, &item);
    return true;
}

static void run_until(struct hn_sim *sim, uint64_t until_ns)
{
    while (!sim->books.down && turn(sim, until_ns))
        continue;
    if (!sim->books.down && !failed(sim) && sim->trace.now_ns < until_ns && until_ns != NEVER)
        sim->trace.now_ns = until_ns;
}

/* ---- drawing a schedule ----------------------------------------------------------------------- */

static void draw_config(struct hn_sim *sim)
{
    struct hn_random *random = &sim->random;
    struct lp_pool_config *config = &sim->config;
    uint32_t most = hn_random_chance(random, 5) ? 20 : 4;
    memset(config, 0, sizeof *config);
    config->max_workers = hn_random_between(random, 1, most);
    config->min_workers = hn_random_between(random, 0, config->max_workers);
    config->workers_limit = config->max_workers;
    if (hn_random_chance(random, 30))
        config->workers_limit += hn_random_below(random, 4);
    config->spare_workers = hn_random_chance(random, 70) ? 0 : hn_random_between(random, 1, 3);
    config->tasks_per_worker = hn_random_chance(random, 60) ? 0 : hn_random_between(random, 1, 4);
    sim->deep = hn_random_chance(random, 2);
    config->backlog_tasks = hn_random_between(random, 1, sim->deep ? 300 : 12);
    config->backlog_bytes = hn_random_chance(random, 50) ? 1u << 20 : 250;
    config->max_age_ns = hn_random_chance(random, 70) ? 0 : draw_ms(sim, 1, 2000);
    config->jitter_percent = hn_random_chance(random, 50) ? 0 : hn_random_between(random, 1, 100);
    config->ageing_ns = hn_random_chance(random, 70) ? 0 : draw_ms(sim, 1, 200);
    config->memory_limit_bytes = hn_random_chance(random, 60) ? 0 : 1u << 20;
    config->idle_timeout_ns = draw_ms(sim, 1, 2000);
    config->start_timeout_ns = draw_ms(sim, 5, 10000);
    config->initializer_timeout_ns = draw_ms(sim, 5, 10000);
    config->finalizer_timeout_ns = draw_ms(sim, 5, 5000);
    config->initializer_failures = hn_random_between(random, 1, 5);
    config->backoff_min_ns = draw_ms(sim, 1, 50);
    config->backoff_max_ns = config->backoff_min_ns + draw_ms(sim, 0, 1000);
    config->seed = hn_random_next(random);
    config->exclusive = hn_random_chance(random, 30);
    config->has_finalizer = hn_random_chance(random, 50);
    config->admits = hn_random_chance(random, 20);
    config->governed = hn_random_chance(random, 20);
    config->spare_workers = config->governed ? 0 : config->spare_workers;
    bool waits = !config->governed && hn_random_chance(random, 30);
    config->waiting_workers = waits ? hn_random_between(random, 1, 3) : 0;
    config->notes = hn_random_chance(random, 50);
    config->quarantine_deaths = hn_random_chance(random, 80) ? 0 : hn_random_between(random, 1, 3);
    config->quarantine_ns = hn_random_chance(random, 50) ? 0 : draw_ms(sim, 1, 2000);
    config->retry_percent = hn_random_chance(random, 70) ? 0 : hn_random_between(random, 1, 30);
    sim->retry_chance = hn_random_chance(random, 60) ? 0 : hn_random_between(random, 1, 100);
    if (config->retry_percent && hn_random_chance(random, 50))
        sim->retry_chance = 100; /* so that it is not enough */
}

/* Most tasks are tiny, and there are many of them: they will be sent ahead of their time. */
static void draw_tiny(struct hn_sim *sim)
{
    struct hn_random *random = &sim->random;
    sim->world.tiny = hn_random_chance(random, 25);
    if (!sim->world.tiny)
        return;
    sim->retry_chance /= 8; /* who fails leaves, and a queue needs one that stays */
    sim->world.tiny_ns = hn_random_time_ns(random, LP_PREFETCH_NS / 2);
    sim->config.driven = hn_random_chance(random, 30);
    sim->config.backlog_tasks = hn_random_between(random, 20,
                                                  hn_random_chance(random, 20) ? 800 : 200);
    sim->config.backlog_bytes = hn_random_chance(random, 80) ? 1u << 20 : 1000;
    if (sim->config.tasks_per_worker)
        sim->config.tasks_per_worker = hn_random_between(random, 1, 60);
    if (hn_random_chance(random, 70))
        sim->gap_ns = hn_random_time_ns(random, 3 * LP_MS);
    if (hn_random_chance(random, 30)) { /* what waits for who is killed at once, and does not die */
        sim->world.faults |= UINT64_C(1) << HN_FAULT_UNKILLABLE | UINT64_C(1) << HN_FAULT_CORRUPT;
        sim->will_shut_down = true;
    }
}

/* Everything fails: a pool that wants workers all the time, with the backoff's default times. */
static void draw_total(struct hn_sim *sim)
{
    struct hn_world *world = &sim->world;
    if (!hn_random_chance(&sim->random, 3))
        return;
    world->total = (enum hn_total)hn_random_between(&sim->random, 1, HN_TOTALS - 1);
    world->faults = 0;
    world->tiny = false;
    sim->config.backoff_min_ns = 10 * LP_MS;
    sim->config.backoff_max_ns = 1000 * LP_MS;
    sim->config.min_workers = sim->config.max_workers;
    sim->config.max_age_ns = 0; /* who reaches it has not failed */
    sim->will_shut_down = sim->will_resize = sim->will_recycle = sim->will_dress = false;
    sim->gap_ns = 500 * LP_MS;
}

/* Tasks and initializers long enough to be weighed, and what is weighed is often over by then. */
static void be_heavy(struct hn_sim *sim)
{
    sim->world.faults |= UINT64_C(1) << HN_FAULT_HEAVY;
    sim->world.work_ns = draw_ms(sim, 100, 1000);
    sim->world.start_ns = draw_ms(sim, 100, 500);
}

static void draw_faults(struct hn_sim *sim)
{
    sim->world.hoards = sim->deep && hn_random_chance(&sim->random, 50);
    struct hn_world *world = &sim->world;
    uint32_t kinds = hn_random_below(&sim->random, 8);
    world->faults = hn_random_next(&sim->random) & ((UINT64_C(1) << HN_FAULTS) - 1);
    if (kinds == 0)
        world->faults = 0;
    else if (kinds <= 3) /* few at a time: deep instead of wide */
        world->faults &= hn_random_next(&sim->random) & hn_random_next(&sim->random);
    world->percent = hn_random_between(&sim->random, 1, 40);
    world->work_ns = hn_random_time_ns(&sim->random, 4000 * LP_MS);
    world->start_ns = hn_random_time_ns(&sim->random, 1000 * LP_MS);
    if (sim->config.memory_limit_bytes && hn_random_chance(&sim->random, 30))
        be_heavy(sim);
    sim->gap_ns = hn_random_time_ns(&sim->random, 4000 * LP_MS);
    if (hn_random_chance(&sim->random, 50))
        sim->gap_ns = draw_ms(sim, 1, 500);
    sim->will_shut_down = hn_random_chance(&sim->random, 25);
    sim->will_resize = hn_random_chance(&sim->random, 30);
    sim->will_recycle = hn_random_chance(&sim->random, 30);
    sim->will_dress = hn_random_chance(&sim->random, 30);
    if (sim->config.waiting_workers)
        world->call_percent = hn_random_between(&sim->random, 5, 30);
    if (hn_world_has(world, HN_FAULT_WAKE_LATE))
        sim->late_ns = hn_random_time_ns(&sim->random, 20 * LP_MS);
}

/* Threads: what can't happen to them, or to the zygote that is one, does not. */
static void draw_threads(struct hn_sim *sim)
{
    static const enum hn_fault strange[] = {
        HN_FAULT_SIGNAL,      HN_FAULT_OOM,        HN_FAULT_ZYGOTE_DEATH,
        HN_FAULT_ZYGOTE_HANG, HN_FAULT_UNKILLABLE, HN_FAULT_HEAVY,
        HN_FAULT_LEFTOVERS,   HN_FAULT_GROWN,      HN_FAULT_NO_PIDFD};
    enum hn_total total = sim->world.total;
    if (!hn_random_chance(&sim->random, 20))
        return;
    sim->config.cooperative = sim->world.threads = true;
    sim->config.memory_limit_bytes = 0;
    for (uint32_t i = 0; i < sizeof strange / sizeof strange[0]; i++)
        sim->world.faults &= ~(UINT64_C(1) << strange[i]);
    if (total != HN_TOTAL_SPAWN && total != HN_TOTAL_ZYGOTE_START && total != HN_TOTAL_INIT)
        sim->world.total = HN_TOTAL_NONE;
}

/* Some tasks have a memory limit of their own. Drawn last: nothing else is another for it. */
static void draw_limited(struct hn_sim *sim)
{
    struct hn_world *world = &sim->world;
    sim->limited_chance = 0;
    if (sim->config.cooperative || world->total || !hn_random_chance(&sim->random, 25))
        return;
    sim->limited_chance = hn_random_between(&sim->random, 1, 100);
    if (world->tiny)
        sim->limited_chance /= 8; /* nothing goes ahead with those */
    else if (hn_random_chance(&sim->random, 60))
        be_heavy(sim);
}

static bool take_memory(struct hn_sim *sim)
{
    size_t bytes = lp_pool_bytes(&sim->config);
    if (bytes > sim->memory_bytes) {
        free(sim->memory);
        sim->memory = malloc(bytes);
        sim->memory_bytes = sim->memory ? bytes : 0;
    }
    if (sim->memory)
        memset(sim->memory, 0, bytes);
    return sim->memory != NULL;
}

static bool prepare(struct hn_sim *sim, const struct hn_sim_options *options,
                    struct hn_sim_coverage *coverage)
{
    memset(&sim->trace, 0, sizeof sim->trace);
    sim->trace.on = options->trace;
    sim->trace.verbose = options->verbose;
    sim->trace.now_ns = 1000 * LP_MS;
    sim->coverage = coverage;
    sim->random.state = options->seed;
    sim->late_ns = sim->wake_for_ns = sim->wake_ns = 0;
    sim->turns = sim->judged = 0;
    memset(sim->calls, 0, sizeof sim->calls);
    sim->unsettled = false;
    hn_world_init(&sim->world, hn_random_next(&sim->random));
    draw_config(sim);
    draw_faults(sim);
    draw_tiny(sim);
    draw_total(sim);
    draw_threads(sim);
    sim->steps = options->steps ? options->steps : hn_random_between(&sim->random, 10, 80);
    draw_limited(sim);
    if (!take_memory(sim))
        return false;
    lp_pool_init(&sim->pool, &sim->config, sim->memory);
    hn_books_init(&sim->books, &sim->config, &sim->trace, coverage);
    sim->books.slack_ns = sim->late_ns;
    sim->world.trace = &sim->trace;
    sim->world.books = &sim->books;
    sim->world.coverage = coverage;
    sim->world.pool = &sim->pool;
    sim->world.has_finalizer = sim->config.has_finalizer;
    if (sim->config.governed)
        hn_world_govern(&sim->world);
    TRACE("sim", "workers %u to %u, backlog %u, faults %llx at %u%%, total %d%s",
          sim->config.min_workers, sim->config.max_workers, sim->config.backlog_tasks,
          (unsigned long long)sim->world.faults, sim->world.percent, (int)sim->world.total,
          sim->config.exclusive ? ", exclusive" : "");
    TRACE("sim", "workers are %s", sim->config.cooperative ? "threads" : "processes");
    return true;
}

/* ---- the phases of a schedule --------------------------------------------------------------- */

/* Seconds of nothing but failures, and a pool that wants workers: it has to say so. */
static void expect_degraded(struct hn_sim *sim)
{
    libpool_stats stats = {.size = sizeof stats};
    lp_pool_stats(&sim->pool, &stats);
    bool has_some = hn_books_in(&sim->books, LP_WORKER_IDLE) ||
                    hn_books_in(&sim->books, LP_WORKER_BUSY);
    bool steady = sim->books.zygote == LP_ZYGOTE_UP && /* nothing was asked of it until now */
                  sim->trace.now_ns >= sim->books.zygote_since_ns + LP_STEADY_NS;
    bool waits = sim->config.exclusive || sim->config.governed; /* for trees, or for other pools */
    if (!stats.degraded && !has_some && !steady && !sim->config.governed)
        FAIL("everything fails, and the pool does not say that it is degraded");
    const struct hn_books *books = &sim->books;
    uint64_t last_ns = books->last_attempt_ns + sim->config.backoff_max_ns + sim->world.start_ns;
    bool could = !waits && hn_books_in(books, LP_WORKER_VACANT) && !has_some;
    if (could && sim->trace.now_ns > last_ns + 1000 * LP_MS)
        FAIL("I3: everything fails, and the pool has stopped trying");
    if (sim->world.total == HN_TOTAL_SPAWN && stats.degraded_error >= 0)
        FAIL("spawns fail, and the pool does not say why");
    sim->coverage->sometimes[HN_EVERYTHING_FAILS]++;
}

static void trouble_it(struct hn_sim *sim)
{
    bool total = sim->world.total != HN_TOTAL_NONE;
    if (total)
        sim->books.failing_since_ns = sim->trace.now_ns;
    sim->books.zygotes_fail = sim->world.total == HN_TOTAL_ZYGOTE_DIES;
    tick(sim);
    for (uint32_t i = 0; i < sim->steps && !sim->books.down && !failed(sim); i++) {
        run_until(sim, sim->trace.now_ns + hn_random_time_ns(&sim->random, sim->gap_ns));
        if (!sim->books.down && !failed(sim))
            trouble(sim);
    }
    if (total)
        run_until(sim, sim->trace.now_ns + 15000 * LP_MS);
    if (total && !sim->books.down && !failed(sim))
        expect_degraded(sim);
    sim->books.failing_since_ns = 0;
}

/* What hangs for ever and has no deadline is the user's matter. */
static void cancel_the_hung(struct hn_sim *sim)
{
    for (uint32_t i = sim->books.oldest; i < sim->books.n_tasks && !failed(sim); i++) {
        const struct hn_book_task *task = &sim->books.tasks[i];
        bool ahead = task->state == LP_TASK_PREFETCHED && task->begun;
        if ((task->state == LP_TASK_RUNNING || ahead) && !task->spec.run_timeout_ns)
            cancel_task(sim, i);
    }
}

static uint32_t capacity(const struct hn_sim *sim)
{
    uint32_t stuck = hn_world_stuck(&sim->world);
    uint32_t most = sim->books.max_workers + sim->config.spare_workers;
    if (sim->config.governed && sim->world.ours.share < most)
        most = sim->world.ours.share;
    uint32_t slots = sim->config.exclusive ? most : sim->books.n_slots;
    uint32_t left = slots > stuck ? slots - stuck : 0;
    return left < most ? left : most;
}

static bool nobody_is_dying(const struct hn_sim *sim)
{
    for (uint32_t slot = 0; slot < sim->books.n_slots; slot++)
        if (sim->books.slots[slot].state == LP_WORKER_DYING &&
            !hn_world_is_stuck(&sim->world, slot))
            return false;
    return !hn_books_in(&sim->books, LP_WORKER_GONE);
}

/* What can't die keeps the place of somebody; a recycle waits as long as too many are missing. */
static bool recycle_waits(const struct hn_sim *sim, uint32_t least)
{
    return least >= (uint64_t)capacity(sim) + sim->books.recycle_parallel;
}

static bool at_strength(const struct hn_sim *sim)
{
    const struct hn_books *books = &sim->books;
    uint32_t least = books->min_workers + (books->shutting ? 0 : sim->config.spare_workers);
    uint32_t strong = books->owed && !books->shutting ? hn_books_as_strong(books) : 0;
    least = least > strong ? least : strong;
    uint32_t want = least < capacity(sim) ? least : capacity(sim);
    return !hn_books_pending(books) && !hn_books_running(books) &&
           (books->init_failures < sim->config.initializer_failures ||
            hn_books_in(books, LP_WORKER_IDLE)) &&
           !hn_books_in(books, LP_WORKER_SPAWNING) && !hn_books_in(books, LP_WORKER_STARTING) &&
           nobody_is_dying(sim) && (!hn_books_outdated(books) || recycle_waits(sim, least)) &&
           hn_books_in(books, LP_WORKER_IDLE) >= want;
}

/* A task fails in calm times, too: each run then costs a worker, a pause, and the way there. */
static uint64_t retries_ns(const struct hn_sim *sim)
{
    uint64_t runs = 0;
    for (uint32_t i = sim->books.oldest; i < sim->books.n_tasks; i++)
        if (is_open(&sim->books.tasks[i]))
            runs += sim->books.tasks[i].rule.limit;
    uint64_t each_ns = HN_PAUSE_MAX_MS * LP_MS + 4 * LP_KILL_GRACE_NS;
    return runs * (each_ns + sim->config.finalizer_timeout_ns);
}

/* However bad it was: each of these may be under way once or twice when the faults stop. */
static uint64_t recovery_ns(const struct hn_sim *sim)
{
    const struct lp_pool_config *config = &sim->config;
    uint64_t ns = 2 * LP_HELLO_WAIT_NS + 4 * config->start_timeout_ns +
                  3 * config->initializer_timeout_ns + 2 * config->finalizer_timeout_ns +
                  4 * config->backoff_max_ns + 4 * LP_STATUS_WAIT_NS + 2 * LP_STEADY_NS;
    ns += 8000 * LP_MS /* slow trees */
          + 4000 * LP_MS /* slow status */ + 3000 * LP_MS /* pause */ + 4000 * LP_MS /* work */ +
          GRACE_MAX_MS * LP_MS;
    ns += retries_ns(sim);
    return ns + 8 * sim->late_ns + (uint64_t)hn_books_pending(&sim->books) * 8 * LP_MS;
}

static void expect_strength(struct hn_sim *sim, const char *what)
{
    uint64_t bound_ns = sim->trace.now_ns + recovery_ns(sim);
    while (!sim->books.down && !at_strength(sim) && turn(sim, bound_ns))
        continue;
    if (!failed(sim) && !sim->books.down && !at_strength(sim) && capacity(sim))
        FAIL("I3: %s: %u pending, %u running, %u idle of %u wanted after %llu ms", what,
             hn_books_pending(&sim->books), hn_books_running(&sim->books),
             hn_books_in(&sim->books, LP_WORKER_IDLE), sim->books.min_workers,
             (unsigned long long)((bound_ns - sim->trace.now_ns) / LP_MS));
}

static void probe(struct hn_sim *sim)
{
    struct lp_task_spec spec = {.bytes = 1};
    uint64_t before = sim->books.stats.tasks_ended[LIBPOOL_COMPLETED] +
                      sim->books.stats.tasks_ended[LIBPOOL_ERROR];
    if (!capacity(sim) || sim->books.shutting || failed(sim))
        return;
    if (submit_spec(sim, &spec) != 0)
        FAIL("I3: a probe task is refused");
    expect_strength(sim, "probe");
    uint64_t after = sim->books.stats.tasks_ended[LIBPOOL_COMPLETED] +
                     sim->books.stats.tasks_ended[LIBPOOL_ERROR];
    if (!failed(sim) && after == before)
        FAIL("I3: a probe task did not complete");
    libpool_stats stats = {.size = sizeof stats};
    lp_pool_stats(&sim->pool, &stats);
    bool hopeless = sim->books.init_failures >= sim->config.initializer_failures;
    uint32_t least = (hopeless && !sim->books.min_workers ? 1 : sim->books.min_workers) +
                     sim->config.spare_workers;
    bool owes = sim->books.owed && hn_books_as_strong(&sim->books) > least;
    least = owes ? hn_books_as_strong(&sim->books) : least;
    if (hn_books_in(&sim->books, LP_WORKER_IDLE) >= least && stats.degraded)
        FAIL("at strength, and still degraded");
    sim->coverage->sometimes[HN_PROBED] += !failed(sim);
}

static void recover(struct hn_sim *sim)
{
    TRACE("sim", "the faults stop");
    hn_world_calm(&sim->world);
    cancel_the_hung(sim);
    run_until(sim, sim->trace.now_ns + 10 * LP_MS); /* what was under way from the faults arrives */
    if (!sim->books.shutting)
        expect_strength(sim, "strength");
    probe(sim);
}

/* A deadline where without one the end may never come: what can't be killed can't be waited for. */
static void end_it(struct hn_sim *sim)
{
    uint64_t recovery = recovery_ns(sim);
    uint64_t bound_ns = sim->trace.now_ns + recovery;
    if (sim->books.down || failed(sim))
        return;
    if (!sim->books.shutting)
        any_shutdown(sim);
    if (hn_world_stuck(&sim->world) && !sim->books.deadline_ns && !sim->books.down)
        shut_down(sim, LIBPOOL_WAIT, sim->trace.now_ns + LP_MS);
    run_until(sim, bound_ns);
    if (!sim->books.down)
        FAIL("not down %llu ms after a shutdown without faults",
             (unsigned long long)(recovery / LP_MS));
}

/* After the end nothing is done any more, whatever is told. */
static void after_it(struct hn_sim *sim)
{
    struct lp_task_spec spec = {.bytes = 1};
    if (failed(sim))
        return;
    hn_books_histograms(&sim->books, &sim->pool); /* what comes after the end is not in the books */
    for (uint32_t i = sim->books.oldest; i < sim->books.n_tasks; i++)
        if (sim->books.tasks[i].state != LP_TASK_ENDED && sim->books.tasks[i].state != LP_TASK_FREE)
            FAIL("I1: down, and task %u has not ended", i + 1);
    sim->world.calm = true; /* the records that are kept for probes are for this, too */
    if (submit_spec(sim, &spec) != -ESHUTDOWN)
        FAIL("submit after the end is not refused");
    any_shutdown(sim);
    for (uint32_t i = 0; i < 20 && turn(sim, NEVER); i++)
        continue;
    if (!failed(sim) && lp_pool_next_deadline(&sim->pool) != NEVER)
        FAIL("a deadline after the end");
}

const char *hn_sim_run(struct hn_sim *sim, const struct hn_sim_options *options,
                       struct hn_sim_coverage *coverage)
{
    if (!prepare(sim, options, coverage))
        return "harness: no memory";
    trouble_it(sim);
    if (!sim->books.down && !failed(sim))
        recover(sim);
    end_it(sim);
    after_it(sim);
    coverage->virtual_ns += sim->trace.now_ns;
    return failed(sim) ? sim->trace.violated : NULL;
}

void hn_sim_print_tail(const struct hn_sim *sim)
{
    hn_trace_print(&sim->trace);
}
