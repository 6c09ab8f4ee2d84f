/* SPDX-License-Identifier: MIT */
#include "core/pool.h"

#include "core/histogram.h"
#include "core/ladder.h"
#include "core/prefetch.h"
#include "core/retry.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* ---- memory --------------------------------------------------------------------------------- */

static uint32_t most_workers(const struct lp_pool_config *config)
{
    return config->workers_limit > config->max_workers ? config->workers_limit
                                                       : config->max_workers;
}

uint32_t lp_pool_slots(const struct lp_pool_config *config)
{
    uint32_t most = most_workers(config);
    return most + config->spare_workers + config->waiting_workers +
           (most < LP_SPARES_MAX ? 1 : LP_SPARES_MAX);
}

static uint32_t actions_needed(const struct lp_pool_config *config)
{
    return lp_pool_slots(config) * LP_ACTIONS_PER_SLOT + LP_ACTIONS_FIXED;
}

/* Every task that may exist at once: the backlog, one a slot, and ended ones not yet released. */
static uint32_t tasks_needed(const struct lp_pool_config *config)
{
    return config->backlog_tasks + 2 * lp_pool_slots(config) + LP_ENDS_PER_STEP;
}

static size_t round_16(size_t bytes)
{
    return (bytes + 15) & ~(size_t)15;
}

struct layout {
    size_t workers, actions, heap_items, heap_places, numbers, tasks, total;
};

static struct layout lay_out(const struct lp_pool_config *config)
{
    size_t slots = lp_pool_slots(config);
    struct layout at = {.workers = 0};
    at.actions = round_16(slots * sizeof(struct lp_worker));
    at.heap_items = at.actions + round_16(actions_needed(config) * sizeof(struct lp_action));
    at.heap_places = at.heap_items + round_16(slots * sizeof(struct lp_heap_item));
    at.numbers = at.heap_places + round_16(slots * sizeof(uint32_t));
    at.tasks = at.numbers + round_16(slots * sizeof(bool));
    at.total = at.tasks + lp_tasks_bytes(tasks_needed(config));
    return at;
}

size_t lp_pool_bytes(const struct lp_pool_config *config)
{
    return lay_out(config).total;
}

void lp_pool_init(struct lp_pool *pool, const struct lp_pool_config *config, void *memory)
{
    struct layout at = lay_out(config);
    char *base = memory;
    memset(pool, 0, sizeof *pool);
    pool->config = *config;
    pool->config.workers_limit = most_workers(config);
    pool->random = config->seed | 1;
    pool->edition = 1;
    pool->retry_random = (config->seed ^ UINT64_C(0x9e3779b97f4a7c15)) | 1;
    pool->retry_budget = 100 * LP_RETRY_FLOOR;
    pool->quarantine.limit = config->quarantine_deaths;
    pool->quarantine.period_ns = config->quarantine_ns;
    pool->slots = lp_pool_slots(config);
    pool->workers = (struct lp_worker *)(void *)(base + at.workers);
    pool->actions = (struct lp_action *)(void *)(base + at.actions);
    pool->actions_capacity = actions_needed(config);
    pool->deadlines.items = (struct lp_heap_item *)(void *)(base + at.heap_items);
    pool->deadlines.places = (uint32_t *)(void *)(base + at.heap_places);
    pool->numbers = (bool *)(base + at.numbers);
    lp_tasks_init(&pool->tasks, tasks_needed(config), base + at.tasks);
    pool->tasks.ageing_ns = config->ageing_ns;
    pool->idle_oldest = pool->idle_newest = pool->probe = pool->hungry_first = LP_NONE;
    pool->favourite = LP_NONE;
    pool->run_ns = LP_PREFETCH_NS; /* nothing is sent ahead until something was seen */
    for (uint32_t slot = 0; slot < pool->slots; slot++)
        pool->workers[slot].task = pool->workers[slot].queue_first =
            pool->workers[slot].queue_last = pool->workers[slot].held = LP_NONE;
    pool->in_state[LP_WORKER_VACANT] = pool->slots;
    lp_backoff_init(&pool->spawn_backoff, config->backoff_min_ns, config->backoff_max_ns,
                    config->seed);
    lp_backoff_init(&pool->zygote_backoff, config->backoff_min_ns, config->backoff_max_ns,
                    ~config->seed);
}

/* ---- out ------------------------------------------------------------------------------------ */

struct lp_action *lp_pool_emit(struct lp_pool *pool, enum lp_action_kind kind, uint32_t slot)
{
    struct lp_action *action = &pool->actions[pool->n_actions];
    if (pool->n_actions + 1 < pool->actions_capacity)
        pool->n_actions++; /* the bound in limits.h holds: lp_pool_check looks at it */
    action->kind = kind;
    action->slot = slot;
    action->generation = slot == LP_NONE ? 0 : pool->workers[slot].generation;
    action->task = LP_NONE;
    return action;
}

libpool_event *lp_pool_note(struct lp_pool *pool, libpool_event_kind kind, uint32_t slot,
                            uint32_t task)
{
    if (!pool->config.notes)
        return &pool->unread;
    struct lp_action *action = lp_pool_emit(pool, LP_ACTION_NOTE, slot);
    action->note = (libpool_event){.time_ns = pool->now_ns, .kind = kind, .slot = LP_NONE};
    if (slot != LP_NONE) {
        action->note.slot = pool->workers[slot].number;
        action->note.pid = pool->workers[slot].pid;
    }
    if (task != LP_NONE)
        action->note.task_id = pool->tasks.table[task].id;
    return &action->note;
}

bool lp_pool_is_drained(const struct lp_pool *pool)
{
    const struct lp_tasks *tasks = &pool->tasks;
    return tasks->pending == 0 && tasks->prefetched == 0 && tasks->running == 0 &&
           tasks->waiting == 0;
}

static bool counts_as_failed(libpool_cause cause)
{
    return cause != LIBPOOL_COMPLETED && cause != LIBPOOL_CANCELLED && cause != LIBPOOL_SHUTDOWN;
}

static void fill_in_times(const struct lp_pool *pool, const struct lp_task *task,
                          struct lp_outcome *outcome)
{
    bool was_running = task->state == LP_TASK_RUNNING;
    uint64_t handed_ns = was_running ? task->assigned_ns : pool->now_ns;
    if (outcome->pending_ns == 0)
        outcome->pending_ns = handed_ns - task->submitted_ns;
    if (was_running && outcome->running_ns == 0)
        outcome->running_ns = pool->now_ns - handed_ns;
}

static bool is_in_worker(const struct lp_task *task)
{
    return task->state == LP_TASK_PREFETCHED || task->state == LP_TASK_RUNNING;
}

/* What went before is part of what it came to: it may have run, though not this time. */
static void fill_in_retries(const struct lp_pool *pool, uint32_t index, struct lp_outcome *outcome)
{
    const struct lp_task *task = &pool->tasks.table[index];
    uint32_t retried = lp_tasks_retried(&pool->tasks, index);
    outcome->attempts = retried + is_in_worker(task);
    if (retried == 0) {
        if (task->state == LP_TASK_PENDING)
            outcome->slot = LP_NONE;
        return;
    }
    outcome->retried_cause = task->outcome.cause;
    if (outcome->certainty == LIBPOOL_NOT_STARTED)
        outcome->certainty = LIBPOOL_MAY_HAVE_RUN;
    if (is_in_worker(task))
        return;
    outcome->slot = task->outcome.slot;
    outcome->pid = task->outcome.pid;
}

/* Its worker's, or that of the run before: another may be in that slot by now. */
static void fill_in_number(const struct lp_pool *pool, const struct lp_task *task,
                           struct lp_outcome *outcome)
{
    if (is_in_worker(task))
        outcome->number = pool->workers[outcome->slot].number;
    else
        outcome->number = outcome->slot == LP_NONE ? LP_NONE : task->outcome.number;
}

/* Each run once: one that follows another has waited since it was queued again. */
static void count_run(struct lp_pool *pool, uint32_t index, const struct lp_outcome *outcome)
{
    uint64_t before_ns = lp_tasks_queued_ns(&pool->tasks, index) -
                         pool->tasks.table[index].submitted_ns;
    lp_histogram_add(&pool->histograms[LIBPOOL_HISTOGRAM_WAIT], outcome->pending_ns - before_ns);
    lp_histogram_add(&pool->histograms[LIBPOOL_HISTOGRAM_RUN], outcome->running_ns);
}

static void note_run(libpool_event *note, const struct lp_outcome *outcome)
{
    note->slot = outcome->number;
    note->pid = outcome->pid;
    note->cause = outcome->cause;
    note->code = outcome->code;
    note->signal = outcome->signal;
}

void lp_pool_end_task(struct lp_pool *pool, uint32_t index, struct lp_outcome *outcome)
{
    fill_in_times(pool, &pool->tasks.table[index], outcome);
    fill_in_retries(pool, index, outcome);
    fill_in_number(pool, &pool->tasks.table[index], outcome);
    if (pool->tasks.table[index].state == LP_TASK_RUNNING)
        count_run(pool, index, outcome);
    lp_tasks_end(&pool->tasks, index, outcome);
    if (pool->config.admits && lp_waiting_all(pool))
        pool->made_room = true; /* one may always run, however little memory is free */
    pool->stats.tasks_ended[outcome->cause]++;
    if (counts_as_failed(outcome->cause))
        pool->stats.tasks_failed++;
    lp_pool_emit(pool, LP_ACTION_END, outcome->slot)->task = index;
    note_run(lp_pool_note(pool, LIBPOOL_EVENT_TASK_ENDED, outcome->slot, index), outcome);
    if (lp_pool_is_drained(pool))
        lp_pool_note(pool, LIBPOOL_EVENT_DRAINED, LP_NONE, LP_NONE);
}

bool lp_pool_end_run(struct lp_pool *pool, uint32_t index, struct lp_outcome *outcome)
{
    if (!lp_retry_may(pool, index, outcome->cause)) {
        lp_pool_end_task(pool, index, outcome);
        return false;
    }
    fill_in_times(pool, &pool->tasks.table[index], outcome);
    count_run(pool, index, outcome);
    fill_in_number(pool, &pool->tasks.table[index], outcome);
    lp_retry_begin(pool, index, outcome);
    pool->stats.tasks_retried++;
    lp_pool_emit(pool, LP_ACTION_RETRY, outcome->slot)->task = index;
    note_run(lp_pool_note(pool, LIBPOOL_EVENT_TASK_RETRIED, outcome->slot, index), outcome);
    return true;
}

void lp_pool_blame(struct lp_pool *pool, uint32_t index, libpool_cause cause)
{
    uint64_t kind = pool->tasks.table[index].spec.kind;
    if (!kind || !lp_quarantine_died(&pool->quarantine, kind, pool->now_ns))
        return;
    uint32_t slot = pool->tasks.table[index].slot;
    pool->stats.kinds_held++;
    lp_pool_note(pool, LIBPOOL_EVENT_KIND_QUARANTINED, slot, index)->cause = cause;
}

libpool_cause lp_pool_classify(const struct lp_event *exited)
{
    if (exited->unknown)
        return LIBPOOL_LOST;
    switch (exited->signal) {
    case 0: return LIBPOOL_EXIT;
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGSYS:
    case SIGABRT:
    case SIGXCPU:
    case SIGXFSZ: return LIBPOOL_CRASH;
    case SIGKILL: return exited->oom_kills ? LIBPOOL_OOM : LIBPOOL_KILLED;
    default: return LIBPOOL_KILLED;
    }
}

/* ---- strength ------------------------------------------------------------------------------- */

/* Workers that can be counted on for the tasks to come. */
static uint32_t strength(const struct lp_pool *pool)
{
    const uint32_t *in = pool->in_state;
    return in[LP_WORKER_SPAWNING] + in[LP_WORKER_STARTING] + in[LP_WORKER_IDLE] +
           in[LP_WORKER_BUSY];
}

/* When tasks fail for want of an initialised worker, one goes on trying: they can't ask for it. */
static uint32_t least_wanted(const struct lp_pool *pool)
{
    bool hopeless = pool->initializer_failures >= pool->config.initializer_failures;
    return hopeless && pool->config.min_workers == 0 ? 1 : pool->config.min_workers;
}

/* Who waits for others takes nobody's place. */
static uint32_t most_running(const struct lp_pool *pool)
{
    return pool->config.max_workers + pool->waiting;
}

static uint32_t most_alive(const struct lp_pool *pool)
{
    return most_running(pool) + pool->config.spare_workers;
}

/*
 * As many as may run tasks, those who stand in for one that dies, and those who did so while others waited:
 * the next wait needs them again, and if none comes they leave as the idle do.
 */
static uint32_t most_ready(const struct lp_pool *pool)
{
    return pool->config.max_workers + pool->config.spare_workers + pool->config.waiting_workers;
}

static uint32_t ready_workers(const struct lp_pool *pool)
{
    return pool->in_state[LP_WORKER_IDLE] + pool->in_state[LP_WORKER_BUSY];
}

/* Who has left to be replaced is replaced, whether or not there is work. */
static uint32_t with_owed(const struct lp_pool *pool, uint32_t want)
{
    uint64_t strong = (uint64_t)ready_workers(pool) + pool->owed;
    uint32_t most = most_ready(pool);
    uint32_t owed = strong < most ? (uint32_t)strong : most;
    return want > owed ? want : owed;
}

/* With so many tasks that wait for a worker or in a channel. */
static uint32_t wanted_for(const struct lp_pool *pool, uint32_t waiting)
{
    if (pool->phase > LP_PHASE_DRAINING)
        return 0;
    uint64_t demand = (uint64_t)pool->in_state[LP_WORKER_BUSY] + lp_admission_share(pool, waiting);
    bool open = pool->phase == LP_PHASE_OPEN;
    uint32_t least = open ? least_wanted(pool) : 0, spare = open ? pool->config.spare_workers : 0;
    if (demand < least)
        demand = least;
    uint32_t want = (demand < most_running(pool) ? (uint32_t)demand : most_running(pool)) + spare;
    return open && pool->owed ? with_owed(pool, want) : want;
}

static uint32_t wanted(const struct lp_pool *pool)
{
    return wanted_for(pool, pool->tasks.pending + pool->tasks.prefetched);
}

bool lp_pool_is_excessive(const struct lp_pool *pool)
{
    uint32_t ready = ready_workers(pool);
    return ready > most_ready(pool) || lp_places_is_excessive(pool, ready);
}

/* An idle worker that may be given a task. */
static bool has_free_worker(const struct lp_pool *pool)
{
    return pool->idle_newest != LP_NONE && lp_waiting_others(pool) < pool->config.max_workers;
}

static bool may_begin_one(const struct lp_pool *pool)
{
    return has_free_worker(pool) && lp_admission_admits(pool);
}

/* Slots in any use, up to the proof that a dead worker's tree is empty. */
static uint32_t not_gone(const struct lp_pool *pool)
{
    return pool->slots - pool->in_state[LP_WORKER_VACANT];
}

static bool may_spawn(const struct lp_pool *pool)
{
    if (strength(pool) >= wanted(pool) || pool->in_state[LP_WORKER_VACANT] == 0)
        return false;
    return !pool->config.exclusive || not_gone(pool) < most_alive(pool);
}

bool lp_pool_is_strong_for(const struct lp_pool *pool, uint32_t more)
{
    return strength(pool) >= wanted_for(pool, pool->tasks.pending + pool->tasks.prefetched + more);
}

static uint32_t lowest_vacant(const struct lp_pool *pool)
{
    uint32_t slot = 0;
    while (pool->workers[slot].state != LP_WORKER_VACANT)
        slot++;
    return slot;
}

/* ---- settling: what follows from the state after any event ----------------------------------- */

/*
 * After a resize: who is beyond the new maximum leaves as it falls idle. Those who only start don't
 * count: they would drive out one that is ready.
 */
static void settle_excess(struct lp_pool *pool)
{
    while (lp_pool_is_excessive(pool) && pool->idle_oldest != LP_NONE)
        lp_worker_retire(pool, pool->idle_oldest);
}

static bool is_outdated(const struct lp_pool *pool, uint32_t slot)
{
    return pool->workers[slot].edition != pool->edition;
}

/* Somebody has still to be replaced. */
static bool has_outdated(const struct lp_pool *pool)
{
    for (uint32_t slot = 0; slot < pool->slots; slot++) {
        enum lp_worker_state state = pool->workers[slot].state;
        if (state >= LP_WORKER_SPAWNING && state <= LP_WORKER_BUSY && is_outdated(pool, slot))
            return true;
    }
    return false;
}

/*
 * A recycle goes on, from the idle worker that waits for longest. Who is missing for another reason
 * counts, too: a pool that is in trouble, or whose new workers can't start, keeps the old ones.
 */
static void settle_recycle(struct lp_pool *pool)
{
    if (!pool->recycling || pool->phase != LP_PHASE_OPEN)
        return;
    uint32_t slot = pool->idle_oldest;
    uint64_t parallel = pool->recycle_parallel;
    while (slot != LP_NONE && wanted(pool) < ready_workers(pool) + parallel) {
        uint32_t next = pool->workers[slot].idle_newer;
        if (is_outdated(pool, slot))
            lp_worker_retire(pool, slot);
        slot = next;
    }
    pool->recycling = has_outdated(pool);
}

/* Held kinds end when it is their turn: who is pardoned before is run. */
static void end_quarantined(struct lp_pool *pool)
{
    while (pool->ends_left && lp_prefetch_is_held(pool)) {
        pool->ends_left--;
        pool->made_room = true;
        pool->more = pool->more || pool->phase != LP_PHASE_OPEN; /* it may have been the last */
        lp_pool_end_task(pool, lp_tasks_first(&pool->tasks),
                         &(struct lp_outcome){.cause = LIBPOOL_QUARANTINED});
    }
    pool->more = pool->more || lp_prefetch_is_held(pool);
}

static void settle_assignments(struct lp_pool *pool)
{
    end_quarantined(pool);
    for (; may_begin_one(pool) && pool->tasks.pending; end_quarantined(pool)) {
        if (lp_prefetch_is_held(pool))
            return; /* the next step goes on */
        if (!lp_prefetch_concentrate(pool)) {
            pool->favourite = pool->idle_newest;
            lp_worker_assign(pool, pool->idle_newest);
        }
    }
}

/* Bytes are freed by what is handed out, places by what is run or may be. Told once for all of it. */
static void settle_room(struct lp_pool *pool)
{
    if (pool->made_room)
        lp_pool_emit(pool, LP_ACTION_ROOM, LP_NONE);
    pool->made_room = false;
}

bool lp_pool_holds_prefetched(const struct lp_pool *pool, uint32_t slot)
{
    return pool->workers[slot].state == LP_WORKER_BUSY && pool->workers[slot].queued;
}

/* ---- steadiness: who has lived for a while shows that the failures are over -------------------- */

static bool zygote_is_steady(const struct lp_pool *pool)
{
    return pool->zygote == LP_ZYGOTE_UP && pool->now_ns >= pool->zygote_up_ns + LP_STEADY_NS;
}

/* When zygote that follows failures will be steady. */
static uint64_t zygote_steady_ns(const struct lp_pool *pool)
{
    bool unproven = pool->zygote == LP_ZYGOTE_UP && pool->zygote_backoff.failures;
    return unproven ? pool->zygote_up_ns + LP_STEADY_NS : UINT64_MAX;
}

/*
 * After failures one worker goes ahead. NULL: none is under way. It has passed with the first result
 * of any worker, or when it is steady; then the others follow, all at once.
 */
static const struct lp_worker *probe(const struct lp_pool *pool)
{
    if (!pool->spawn_backoff.failures || pool->probe == LP_NONE)
        return NULL;
    const struct lp_worker *worker = &pool->workers[pool->probe];
    bool lives = worker->state >= LP_WORKER_SPAWNING && worker->state <= LP_WORKER_BUSY;
    bool dies = worker->state == LP_WORKER_GONE ||
                (worker->state == LP_WORKER_DYING && !worker->kill_overran);
    bool under_way = worker->generation == pool->probe_generation && (lives || dies);
    return under_way ? worker : NULL;
}

static uint64_t probe_steady_ns(const struct lp_pool *pool)
{
    const struct lp_worker *worker = probe(pool);
    bool lives = worker && (worker->state == LP_WORKER_IDLE || worker->state == LP_WORKER_BUSY);
    return lives ? worker->spawned_ns + LP_STEADY_NS : UINT64_MAX;
}

static void settle_steady(struct lp_pool *pool)
{
    if (zygote_steady_ns(pool) <= pool->now_ns)
        lp_backoff_succeeded(&pool->zygote_backoff);
    if (probe_steady_ns(pool) <= pool->now_ns)
        lp_backoff_succeeded(&pool->spawn_backoff);
}

static bool spawn_is_allowed(const struct lp_pool *pool)
{
    return !probe(pool) && lp_backoff_allows(&pool->spawn_backoff, pool->now_ns);
}

static void settle_spawns(struct lp_pool *pool)
{
    while (pool->zygote == LP_ZYGOTE_UP && may_spawn(pool) && spawn_is_allowed(pool) &&
           lp_places_has_one(pool)) {
        uint32_t slot = lowest_vacant(pool);
        lp_worker_spawn(pool, slot);
        pool->probe = slot;
        pool->probe_generation = pool->workers[slot].generation;
    }
}

/* Workers that would be started now, were there places for them beyond those it has. */
static uint32_t lacking(const struct lp_pool *pool)
{
    if (pool->zygote != LP_ZYGOTE_UP || !may_spawn(pool) || !spawn_is_allowed(pool))
        return 0;
    uint32_t count = wanted(pool) - strength(pool), vacant = pool->in_state[LP_WORKER_VACANT];
    uint32_t left = pool->config.exclusive ? most_alive(pool) - not_gone(pool) : vacant;
    count = count < left ? count : left;
    count = count < vacant ? count : vacant;
    return pool->spawn_backoff.failures ? 1 : count;
}

static void settle_places(struct lp_pool *pool)
{
    if (!pool->config.governed)
        return;
    uint32_t want = wanted(pool), strong = strength(pool);
    lp_places_settle(pool, lacking(pool), want > strong ? want - strong : 0);
}

/* ---- memory: where the kernel keeps no tree to its limit ------------------------------------------ */

static bool runs_something(const struct lp_pool *pool)
{
    const uint32_t *in = pool->in_state;
    return in[LP_WORKER_STARTING] || in[LP_WORKER_BUSY] || in[LP_WORKER_RETIRING];
}

/* A limit that a task has of its own nobody else keeps, wherever the pool's is kept. */
static bool must_weigh(const struct lp_pool *pool)
{
    return pool->zygote == LP_ZYGOTE_UP &&
           (pool->tasks.limited || (pool->weighs && runs_something(pool)));
}

/* The time stays set until it has come, so that not every task that comes and goes sets a timer. */
static void settle_weights(struct lp_pool *pool)
{
    bool may_be_due = pool->weighs || pool->tasks.limited || pool->weigh_ns;
    if (!may_be_due || pool->weigh_ns > pool->now_ns)
        return;
    for (uint32_t slot = 0; pool->weigh_ns && slot < pool->slots; slot++)
        lp_worker_weigh(pool, slot);
    pool->weigh_ns = must_weigh(pool) ? pool->now_ns + LP_WEIGH_NS : 0;
}

static void stop_weighing(struct lp_pool *pool)
{
    pool->weighs = false;
    pool->weigh_ns = 0;
}

/* ---- the zygote and those who are not needed -------------------------------------------------------- */

/* To spawn, to prove the trees of the dead empty, and to look at who has a limit. */
static bool needs_zygote(const struct lp_pool *pool)
{
    bool weighs = pool->tasks.limited || (pool->config.memory_limit_bytes && runs_something(pool));
    return may_spawn(pool) || pool->in_state[LP_WORKER_DEAD] || weighs;
}

static void settle_zygote(struct lp_pool *pool)
{
    if (pool->zygote != LP_ZYGOTE_DOWN || pool->phase == LP_PHASE_DOWN || !needs_zygote(pool))
        return;
    if (!lp_backoff_allows(&pool->zygote_backoff, pool->now_ns))
        return;
    pool->zygote = LP_ZYGOTE_STARTING;
    pool->zygote_deadline_ns = pool->now_ns + LP_HELLO_WAIT_NS;
    lp_pool_emit(pool, LP_ACTION_ZYGOTE_START, LP_NONE);
}

static bool may_shrink(const struct lp_pool *pool)
{
    return pool->phase == LP_PHASE_OPEN && pool->tasks.pending == 0 &&
           pool->tasks.prefetched == 0 && pool->idle_oldest != LP_NONE &&
           with_owed(pool, 0) <= ready_workers(pool) && /* else it would be started again */
           pool->in_state[LP_WORKER_IDLE] > pool->config.spare_workers &&
           strength(pool) > pool->config.min_workers + pool->config.spare_workers;
}

static uint64_t shrink_ns(const struct lp_pool *pool)
{
    return pool->workers[pool->idle_oldest].idle_since_ns + pool->config.idle_timeout_ns;
}

static void settle_shrink(struct lp_pool *pool)
{
    while (may_shrink(pool) && shrink_ns(pool) <= pool->now_ns)
        lp_worker_retire(pool, pool->idle_oldest);
}

/* ---- tasks that end in the backlog ---------------------------------------------------------------- */

/* Ends pending tasks, at most a batch a step; the rest follows in the next. */
static void end_pending(struct lp_pool *pool, libpool_cause cause)
{
    int code = cause == LIBPOOL_INIT_FAILED ? pool->init_code : 0;
    for (; pool->tasks.pending && pool->ends_left; pool->ends_left--)
        lp_pool_end_task(pool, lp_tasks_first(&pool->tasks),
                         &(struct lp_outcome){.cause = cause, .code = code});
    pool->more = pool->more || pool->tasks.pending;
    lp_pool_emit(pool, LP_ACTION_ROOM, LP_NONE);
}

/* When nothing is pending, only who waits is in the heap. */
static void end_waiting(struct lp_pool *pool)
{
    const struct lp_heap *heap = &pool->tasks.queue_deadlines;
    for (; pool->tasks.waiting && !pool->tasks.pending && pool->ends_left; pool->ends_left--)
        lp_pool_end_task(pool, heap->items[0].id, &(struct lp_outcome){.cause = LIBPOOL_SHUTDOWN});
    pool->more = pool->more || pool->tasks.waiting;
    lp_pool_emit(pool, LP_ACTION_ROOM, LP_NONE);
}

static void resume(struct lp_pool *pool, uint32_t task)
{
    lp_tasks_resume(&pool->tasks, task, pool->now_ns);
    lp_pool_emit(pool, LP_ACTION_RESUME, LP_NONE)->task = task;
}

static void settle_overdue(struct lp_pool *pool)
{
    uint32_t task = lp_tasks_overdue(&pool->tasks, pool->now_ns);
    if (task == LP_NONE)
        return;
    for (; task != LP_NONE && pool->ends_left; pool->ends_left--) {
        if (pool->tasks.table[task].state == LP_TASK_WAITING)
            resume(pool, task);
        else
            lp_pool_end_task(pool, task, &(struct lp_outcome){.cause = LIBPOOL_QUEUE_TIMEOUT});
        task = lp_tasks_overdue(&pool->tasks, pool->now_ns);
    }
    pool->more = pool->more || task != LP_NONE;
    lp_pool_emit(pool, LP_ACTION_ROOM, LP_NONE);
}

/* Nobody can be initialised and nobody is left who was, but for who waits for just these tasks. */
static bool uninitialisable(const struct lp_pool *pool)
{
    return pool->initializer_failures >= pool->config.initializer_failures &&
           pool->in_state[LP_WORKER_IDLE] == 0 && lp_waiting_others(pool) == 0;
}

static void fail_uninitialisable(struct lp_pool *pool)
{
    if (uninitialisable(pool) && pool->tasks.pending)
        end_pending(pool, LIBPOOL_INIT_FAILED);
}

/* ---- shutdown ------------------------------------------------------------------------------- */

static void kill_all(struct lp_pool *pool)
{
    pool->phase = LP_PHASE_KILLING;
    pool->cancel_pending = true;
    pool->overran = pool->overran || pool->tasks.pending || pool->tasks.waiting;
    pool->give_up_ns = pool->now_ns + LP_KILL_GRACE_NS;
    for (uint32_t slot = 0; slot < pool->slots; slot++) {
        enum lp_worker_state state = pool->workers[slot].state;
        pool->overran = pool->overran || (state != LP_WORKER_VACANT && state != LP_WORKER_DEAD);
        lp_worker_kill(pool, slot, LIBPOOL_SHUTDOWN);
    }
}

/* CANCEL without WAIT: those who run something are killed, the idle may still finalize. */
static void kill_running(struct lp_pool *pool)
{
    for (uint32_t slot = 0; slot < pool->slots; slot++)
        if (pool->workers[slot].state != LP_WORKER_IDLE && !pool->workers[slot].retiring)
            lp_worker_kill(pool, slot, LIBPOOL_SHUTDOWN);
}

static void down(struct lp_pool *pool)
{
    pool->phase = LP_PHASE_DOWN;
    pool->made_room = false; /* for nobody: this is the last word */
    lp_pool_note(pool, LIBPOOL_EVENT_SHUTDOWN_DONE, LP_NONE, LP_NONE);
    lp_pool_emit(pool, LP_ACTION_DOWN, LP_NONE);
}

/* No more waiting for deaths to tell what they had begun. */
static void give_up(struct lp_pool *pool)
{
    for (uint32_t slot = 0; slot < pool->slots && pool->tasks.prefetched; slot++)
        for (; pool->workers[slot].queued && pool->ends_left; pool->ends_left--)
            lp_worker_drop_prefetched(pool, pool->workers[slot].queue_first, LIBPOOL_SHUTDOWN);
    pool->more = pool->more || pool->tasks.prefetched;
    if (!pool->tasks.pending && !pool->tasks.prefetched && !pool->tasks.waiting)
        down(pool);
}

/* Drained: nothing pending or running. Those who were to start are not needed any more. */
static void leave(struct lp_pool *pool)
{
    while (pool->idle_oldest != LP_NONE)
        lp_worker_retire(pool, pool->idle_oldest);
    for (uint32_t slot = 0; slot < pool->slots; slot++) {
        enum lp_worker_state state = pool->workers[slot].state;
        if (state == LP_WORKER_STARTING || state == LP_WORKER_SPAWNING)
            lp_worker_kill(pool, slot, LIBPOOL_SHUTDOWN);
    }
    if (pool->in_state[LP_WORKER_VACANT] == pool->slots)
        down(pool);
}

/* Threads that are still at something are waited for, however long that takes. */
static bool gives_up(const struct lp_pool *pool)
{
    return pool->phase == LP_PHASE_KILLING && !pool->config.cooperative;
}

static void settle_shutdown(struct lp_pool *pool)
{
    if (pool->phase == LP_PHASE_OPEN || pool->phase == LP_PHASE_DOWN)
        return;
    bool late = pool->shutdown_deadline_ns && pool->now_ns >= pool->shutdown_deadline_ns;
    if (pool->phase == LP_PHASE_DRAINING && late)
        kill_all(pool);
    if (pool->cancel_pending && pool->tasks.pending)
        end_pending(pool, LIBPOOL_SHUTDOWN);
    if (pool->cancel_pending && pool->tasks.waiting)
        end_waiting(pool);
    if (pool->tasks.pending == 0 && pool->tasks.prefetched == 0 && pool->tasks.running == 0 &&
        pool->tasks.waiting == 0)
        leave(pool);
    if (gives_up(pool) && pool->now_ns >= pool->give_up_ns)
        give_up(pool);
}

static void shut_down(struct lp_pool *pool, const struct lp_event *event)
{
    if (pool->phase == LP_PHASE_OPEN) {
        pool->phase = LP_PHASE_DRAINING;
        lp_pool_note(pool, LIBPOOL_EVENT_SHUTDOWN_BEGUN, LP_NONE, LP_NONE);
        lp_pool_emit(pool, LP_ACTION_ROOM, LP_NONE); /* those who wait for room are refused now */
    }
    if (pool->phase != LP_PHASE_DRAINING)
        return;
    uint64_t deadline_ns = event->deadline_ns;
    if (deadline_ns && (!pool->shutdown_deadline_ns || deadline_ns < pool->shutdown_deadline_ns))
        pool->shutdown_deadline_ns = deadline_ns;
    pool->cancel_pending = pool->cancel_pending || (event->flags & LIBPOOL_CANCEL);
    if ((event->flags & LIBPOOL_CANCEL) && !(event->flags & LIBPOOL_WAIT))
        kill_running(pool);
}

/* ---- zygote --------------------------------------------------------------------------------- */

static void zygote_up(struct lp_pool *pool, const struct lp_event *event)
{
    if (pool->zygote != LP_ZYGOTE_STARTING)
        return;
    pool->zygote = LP_ZYGOTE_UP;
    pool->zygote_pid = event->pid;
    pool->zygote_up_ns = pool->now_ns;
    pool->weighs = event->weighs;
    pool->stats.zygotes_started++;
    lp_pool_note(pool, LIBPOOL_EVENT_ZYGOTE_STARTED, LP_NONE, LP_NONE)->pid = event->pid;
    for (uint32_t slot = 0; slot < pool->slots; slot++)
        if (pool->workers[slot].state == LP_WORKER_DEAD)
            lp_worker_await_proof(pool, slot);
}

static void zygote_failed(struct lp_pool *pool, const struct lp_event *event)
{
    pool->zygote = LP_ZYGOTE_DOWN;
    pool->stats.spawns_failed++;
    lp_backoff_failed(&pool->zygote_backoff, pool->now_ns, event->error);
    lp_pool_note(pool, LIBPOOL_EVENT_SPAWN_FAILED, LP_NONE, LP_NONE)->code = event->error;
}

/* One that dies at once, again and again, would be started without a pause. */
static void zygote_lost(struct lp_pool *pool)
{
    if (zygote_is_steady(pool))
        lp_backoff_succeeded(&pool->zygote_backoff);
    else
        lp_backoff_failed(&pool->zygote_backoff, pool->now_ns, 0);
    pool->zygote = LP_ZYGOTE_DOWN;
    stop_weighing(pool);
    pool->stats.zygotes_lost++;
    lp_pool_note(pool, LIBPOOL_EVENT_ZYGOTE_LOST, LP_NONE, LP_NONE)->pid = pool->zygote_pid;
    for (uint32_t slot = 0; slot < pool->slots; slot++)
        lp_worker_zygote_lost(pool, slot);
}

void lp_pool_drop_zygote(struct lp_pool *pool)
{
    pool->zygote = LP_ZYGOTE_DROPPED;
    stop_weighing(pool);
    lp_pool_emit(pool, LP_ACTION_ZYGOTE_DROP, LP_NONE);
}

/* A zygote that never said hello is dropped. */
static void tick(struct lp_pool *pool)
{
    if (pool->zygote != LP_ZYGOTE_STARTING || pool->now_ns < pool->zygote_deadline_ns)
        return;
    if (pool->config.cooperative)
        pool->zygote_deadline_ns = pool->now_ns + LP_HELLO_WAIT_NS; /* it is a thread of our own */
    else
        lp_pool_drop_zygote(pool);
}

/* ---- the door ------------------------------------------------------------------------------- */

static void settle(struct lp_pool *pool)
{
    pool->more = pool->unsettled = false;
    pool->ends_left = LP_ENDS_PER_STEP;
    pool->prefetch_left = LP_PREFETCH_STEP;
    settle_overdue(pool);
    settle_recycle(pool);
    fail_uninitialisable(pool);
    settle_shutdown(pool);
    settle_excess(pool);
    if (!pool->cancel_pending) { /* else what is left of the backlog ends in the next steps */
        settle_assignments(pool);
        lp_prefetch_settle(pool);
    }
    settle_room(pool);
    lp_admission_settle(pool);
    lp_places_yield(pool);
    settle_shrink(pool);
    settle_weights(pool);
    settle_steady(pool);
    lp_places_return(pool);
    settle_spawns(pool);
    settle_places(pool);
    settle_zygote(pool);
}

static void feed(struct lp_pool *pool)
{
    pool->prefetch_left = LP_PREFETCH_STEP;
    lp_prefetch_settle(pool);
    settle_room(pool);
}

/* A task that is the only one, to who will have done it soon: then nothing else follows from it. */
static bool send_on(struct lp_pool *pool)
{
    bool made_room = pool->made_room;
    if (pool->tasks.pending != 1 || may_spawn(pool))
        return false;
    pool->prefetch_left = 1;
    bool sent = lp_prefetch_concentrate(pool);
    pool->made_room = made_room; /* what it has taken itself is not new */
    return sent;
}

int lp_pool_has_room(const struct lp_pool *pool, uint32_t tasks, uint64_t bytes)
{
    const struct lp_pool_config *config = &pool->config;
    uint64_t used = (uint64_t)pool->tasks.waiting + pool->tasks.pending + pool->tasks.prefetched;
    if (tasks > config->backlog_tasks || bytes > config->backlog_bytes)
        return -E2BIG;
    bool fits = used + tasks <= config->backlog_tasks &&
                pool->tasks.pending_bytes + bytes <= config->backlog_bytes;
    return fits ? 0 : -EAGAIN;
}

/* Whatever is called may change what express has found out. */
static void begin(struct lp_pool *pool, uint64_t now_ns)
{
    pool->now_ns = now_ns;
    pool->express.left = 0;
}

int lp_pool_add(struct lp_pool *pool, const struct lp_task_spec *spec, uint64_t now_ns,
                uint32_t *task)
{
    *task = lp_express_submit(pool, spec, now_ns);
    if (*task != LP_NONE)
        return LP_POOL_SENT;
    begin(pool, now_ns);
    if (pool->phase != LP_PHASE_OPEN && !(spec->inside && lp_waiting_takes(pool)))
        return -ESHUTDOWN;
    if (spec->bytes > pool->config.backlog_bytes)
        return -E2BIG;
    if (spec->kind && lp_quarantine_holds(&pool->quarantine, spec->kind, now_ns))
        return -EKEYREJECTED;
    bool direct = may_begin_one(pool) && pool->tasks.pending == 0 && pool->tasks.waiting == 0;
    if (!direct && lp_pool_has_room(pool, 1, spec->bytes))
        return -EAGAIN;
    *task = lp_tasks_add(&pool->tasks, spec, now_ns);
    if (*task == LP_NONE)
        return -EAGAIN; /* ended ones wait for their release: the caller performs actions first */
    pool->unsettled = true;
    pool->stats.tasks_received++;
    lp_retry_earn(pool);
    lp_pool_note(pool, LIBPOOL_EVENT_TASK_RECEIVED, LP_NONE, *task);
    return 0;
}

int lp_pool_submit(struct lp_pool *pool, const struct lp_task_spec *spec, uint64_t now_ns,
                   uint32_t *task)
{
    bool unsettled = pool->unsettled;
    int error = lp_pool_add(pool, spec, now_ns, task);
    if (error)
        return error; /* or SENT: nothing else follows */
    bool all_busy = lp_waiting_others(pool) == pool->config.max_workers &&
                    !lp_pool_is_excessive(pool); /* there may be one who has not left yet */
    pool->unsettled = unsettled;
    if (!unsettled && send_on(pool))
        return 0;
    if (!all_busy || spec->queue_timeout_ns)
        settle(pool);
    else if (pool->tasks.pending >= LP_FEED_TASKS) /* else nothing follows but waiting */
        feed(pool);
    return 0;
}

bool lp_pool_pardon(struct lp_pool *pool, uint64_t kind, uint64_t now_ns)
{
    return lp_quarantine_pardon(&pool->quarantine, kind, now_ns);
}

void lp_pool_reject(struct lp_pool *pool, uint64_t tasks)
{
    pool->stats.tasks_rejected += tasks;
}

/* In dying or dead hands nobody can answer. */
static bool may_be_asked(const struct lp_pool *pool, const struct lp_task *task)
{
    return task->state == LP_TASK_RUNNING && pool->workers[task->slot].state == LP_WORKER_BUSY &&
           lp_ladder_asks(pool, (uint32_t)(task - pool->tasks.table));
}

static enum lp_cancel cancel_task(struct lp_pool *pool, uint32_t index)
{
    struct lp_task *task = &pool->tasks.table[index];
    enum lp_cancel done = LP_CANCEL_DONE;
    lp_retry_forgo(pool, index);
    if (task->state == LP_TASK_PENDING || task->state == LP_TASK_WAITING) {
        lp_pool_end_task(pool, index, &(struct lp_outcome){.cause = LIBPOOL_CANCELLED});
        lp_pool_emit(pool, LP_ACTION_ROOM, LP_NONE);
        done = LP_CANCEL_DEQUEUED;
    } else if (is_in_worker(task) && lp_pool_holds_prefetched(pool, task->slot)) {
        return LP_CANCEL_RECALL; /* nobody else is to suffer from the kill */
    } else if (task->state == LP_TASK_PREFETCHED) {
        lp_worker_drop_prefetched(pool, index, LIBPOOL_CANCELLED);
        done = LP_CANCEL_KILLED;
    } else if (may_be_asked(pool, task)) {
        lp_ladder_ask(pool, task->slot, LIBPOOL_CANCELLED);
        done = LP_CANCEL_ASKED;
    } else if (task->state == LP_TASK_RUNNING) {
        lp_worker_kill(pool, task->slot, LIBPOOL_CANCELLED);
        done = LP_CANCEL_KILLED;
    }
    return done;
}

enum lp_cancel lp_pool_cancel(struct lp_pool *pool, uint32_t index, uint64_t now_ns)
{
    begin(pool, now_ns);
    enum lp_cancel done = cancel_task(pool, index);
    if (done != LP_CANCEL_RECALL)
        settle(pool);
    return done;
}

bool lp_pool_cancel_group(struct lp_pool *pool, struct lp_group_cancel *cancel, uint64_t now_ns)
{
    begin(pool, now_ns);
    for (uint32_t left = LP_ENDS_PER_STEP; cancel->next < pool->tasks.untouched; cancel->next++) {
        const struct lp_task *task = &pool->tasks.table[cancel->next];
        bool open = task->state == LP_TASK_PENDING || task->state == LP_TASK_WAITING ||
                    is_in_worker(task);
        if (!open || task->spec.group != cancel->group)
            continue;
        if (!may_be_asked(pool, task) && left-- == 0)
            return false;
        enum lp_cancel done = cancel_task(pool, cancel->next);
        cancel->dequeued += done == LP_CANCEL_DEQUEUED;
        cancel->killed += done == LP_CANCEL_KILLED;
        cancel->recall = cancel->recall || done == LP_CANCEL_RECALL;
    }
    settle(pool);
    return true;
}

bool lp_pool_may_resize(const struct lp_pool *pool, uint32_t min_workers, uint32_t max_workers)
{
    return max_workers > 0 && max_workers <= pool->config.workers_limit &&
           min_workers <= max_workers;
}

int lp_pool_resize(struct lp_pool *pool, uint32_t min_workers, uint32_t max_workers,
                   uint64_t now_ns)
{
    if (!lp_pool_may_resize(pool, min_workers, max_workers))
        return -EINVAL;
    begin(pool, now_ns);
    pool->config.min_workers = min_workers;
    pool->config.max_workers = max_workers;
    pool->made_room = pool->made_room || pool->idle_newest != LP_NONE; /* a spare one may run now */
    settle(pool);
    return 0;
}

int lp_pool_recycle(struct lp_pool *pool, uint32_t parallel, uint64_t now_ns)
{
    if (parallel == 0)
        return -EINVAL;
    if (pool->phase != LP_PHASE_OPEN)
        return -ESHUTDOWN;
    begin(pool, now_ns);
    pool->edition++;
    pool->recycling = true;
    pool->recycle_parallel = parallel;
    lp_pool_note(pool, LIBPOOL_EVENT_RECYCLE_BEGUN, LP_NONE, LP_NONE)->code = (int)pool->edition;
    settle(pool);
    return 0;
}

void lp_pool_dress(struct lp_pool *pool, uint64_t now_ns)
{
    begin(pool, now_ns);
    pool->outfit++;
    pool->initializer_failures = 0;
    if (lp_backoff_forgive(&pool->spawn_backoff, now_ns))
        pool->probe = LP_NONE; /* who went ahead for the others has an old one */
    settle(pool);
}

void lp_pool_step(struct lp_pool *pool, const struct lp_event *event)
{
    bool over = pool->phase == LP_PHASE_DOWN;
    begin(pool, event->now_ns);
    switch (event->kind) {
    case LP_EVENT_SPAWNED:
    case LP_EVENT_SPAWN_FAILED:
    case LP_EVENT_READY:
    case LP_EVENT_INIT_FAILED:
    case LP_EVENT_RESULT:
    case LP_EVENT_FINAL_STARTED:
    case LP_EVENT_FINALIZED:
    case LP_EVENT_CORRUPT:
    case LP_EVENT_GONE:
    case LP_EVENT_EXITED:
    case LP_EVENT_EMPTY:
    case LP_EVENT_DEADLINE:
    case LP_EVENT_RECALLED:
    case LP_EVENT_WEIGHED:
    case LP_EVENT_WAITS:
    case LP_EVENT_WAITED: lp_worker_step(pool, event->slot, event); break;
    case LP_EVENT_ZYGOTE_UP: zygote_up(pool, event); break;
    case LP_EVENT_ZYGOTE_FAILED: zygote_failed(pool, event); break;
    case LP_EVENT_ZYGOTE_LOST: zygote_lost(pool); break;
    case LP_EVENT_SHUTDOWN: shut_down(pool, event); break;
    case LP_EVENT_TICK: tick(pool); break;
    case LP_EVENT_ADMISSION: lp_admission_told(pool, event); break;
    case LP_EVENT_PLACES: lp_places_told(pool, event); break;
    case LP_EVENTS: break;
    }
    settle(pool);
    if (over)
        pool->n_actions = 0; /* DOWN was the last word; late deaths are counted, no more */
}

uint32_t lp_pool_tell(struct lp_pool *pool, const struct lp_event *event)
{
    begin(pool, event->now_ns);
    pool->unsettled = true;
    uint32_t ended = event->kind == LP_EVENT_RESULT ? lp_express_end(pool, event) : LP_NONE;
    if (ended == LP_NONE)
        lp_worker_step(pool, event->slot, event);
    return ended;
}

void lp_pool_settle(struct lp_pool *pool, uint64_t now_ns)
{
    bool over = pool->phase == LP_PHASE_DOWN;
    begin(pool, now_ns);
    settle(pool);
    if (over)
        pool->n_actions = 0;
}

void lp_pool_release(struct lp_pool *pool, uint32_t task)
{
    lp_tasks_free(&pool->tasks, task);
}

/* ---- time ----------------------------------------------------------------------------------- */

uint32_t lp_pool_due(struct lp_pool *pool, uint64_t now_ns)
{
    pool->express.left = 0;
    while (lp_heap_first_key(&pool->deadlines) <= now_ns) {
        uint32_t slot = pool->deadlines.items[0].id;
        uint64_t deadline_ns = pool->workers[slot].deadline_ns;
        if (deadline_ns > now_ns) { /* it was put off meanwhile */
            lp_heap_set(&pool->deadlines, slot, deadline_ns);
            continue;
        }
        lp_heap_remove(&pool->deadlines, slot);
        pool->workers[slot].deadline_ns = 0;
        if (deadline_ns)
            return slot;
    }
    return LP_NONE;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t zygote_deadline(const struct lp_pool *pool)
{
    if (pool->zygote == LP_ZYGOTE_STARTING)
        return pool->zygote_deadline_ns;
    return pool->zygote == LP_ZYGOTE_DOWN && needs_zygote(pool) ? pool->zygote_backoff.until_ns
                                                                : UINT64_MAX;
}

static uint64_t shutdown_deadline(const struct lp_pool *pool)
{
    if (pool->phase == LP_PHASE_DRAINING && pool->shutdown_deadline_ns)
        return pool->shutdown_deadline_ns;
    return gives_up(pool) ? pool->give_up_ns : UINT64_MAX;
}

uint64_t lp_pool_next_deadline(const struct lp_pool *pool)
{
    uint64_t next = earlier(lp_heap_first_key(&pool->deadlines),
                            lp_heap_first_key(&pool->tasks.queue_deadlines));
    if (pool->phase == LP_PHASE_DOWN)
        return UINT64_MAX;
    bool could = lp_places_has_one(pool) || pool->spawn_backoff.until_ns > pool->now_ns;
    if (pool->zygote == LP_ZYGOTE_UP && may_spawn(pool) && !probe(pool) && could)
        next = earlier(next, pool->spawn_backoff.until_ns);
    next = earlier(next, earlier(probe_steady_ns(pool), zygote_steady_ns(pool)));
    if (may_shrink(pool))
        next = earlier(next, shrink_ns(pool));
    next = earlier(next, zygote_deadline(pool));
    next = earlier(next, lp_admission_next_ns(pool));
    if (pool->weigh_ns)
        next = earlier(next, pool->weigh_ns);
    return earlier(next, shutdown_deadline(pool));
}

/* ---- numbers -------------------------------------------------------------------------------- */

static uint64_t sum(const uint64_t counts[LIBPOOL_CAUSES_MAX])
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < LIBPOOL_CAUSES_MAX; i++)
        total += counts[i];
    return total;
}

static bool is_degraded(const struct lp_pool *pool)
{
    bool failing = pool->spawn_backoff.failures || pool->zygote_backoff.failures;
    return failing && ready_workers(pool) < wanted(pool);
}

static uint64_t outdated(const struct lp_pool *pool)
{
    uint64_t count = 0;
    for (uint32_t slot = 0; slot < pool->slots; slot++) {
        enum lp_worker_state state = pool->workers[slot].state;
        count += state >= LP_WORKER_STARTING && state <= LP_WORKER_GONE && is_outdated(pool, slot);
    }
    return count;
}

void lp_pool_stats(const struct lp_pool *pool, libpool_stats *stats)
{
    size_t size = stats->size;
    *stats = pool->stats;
    stats->size = size;
    stats->tasks_pending = pool->tasks.pending + pool->tasks.prefetched;
    stats->tasks_pending += pool->tasks.waiting;
    stats->tasks_running = pool->tasks.running;
    stats->backlog_bytes = pool->tasks.pending_bytes;
    const uint32_t *in = pool->in_state;
    stats->worker_processes_idle = in[LP_WORKER_IDLE];
    stats->worker_processes_busy = in[LP_WORKER_BUSY];
    stats->workers_waiting = pool->waiting;
    stats->worker_processes_still_alive = (uint64_t)in[LP_WORKER_STARTING] + in[LP_WORKER_IDLE] +
                                          in[LP_WORKER_BUSY] + in[LP_WORKER_RETIRING] +
                                          in[LP_WORKER_DYING] + in[LP_WORKER_GONE];
    stats->generation = pool->edition;
    stats->worker_processes_outdated = pool->edition > 1 ? outdated(pool) : 0;
    stats->admission_paused = lp_admission_is_paused(pool);
    stats->degraded = is_degraded(pool) || stats->admission_paused;
    int error = pool->zygote_backoff.error ? pool->zygote_backoff.error : pool->spawn_backoff.error;
    stats->degraded_error = is_degraded(pool) ? error : stats->admission_paused ? -ENOMEM : 0;
}

/* ---- the checker ---------------------------------------------------------------------------- */

static bool check_books(const struct lp_pool *pool)
{
    libpool_stats stats = {.size = sizeof stats};
    lp_pool_stats(pool, &stats);
    return stats.tasks_received ==
               stats.tasks_pending + stats.tasks_running + sum(stats.tasks_ended) &&
           stats.worker_processes_created ==
               stats.worker_processes_still_alive + sum(stats.workers_ended);
}

static bool check_states(const struct lp_pool *pool)
{
    uint32_t in_state[LP_WORKER_STATES] = {0};
    uint32_t with_task = 0, queued = 0, waiting = 0;
    for (uint32_t slot = 0; slot < pool->slots; slot++) {
        const struct lp_worker *worker = &pool->workers[slot];
        in_state[worker->state]++;
        with_task += worker->task != LP_NONE;
        queued += worker->queued;
        waiting += worker->waiting;
        if (!lp_worker_check(pool, slot))
            return false;
    }
    return memcmp(in_state, pool->in_state, sizeof in_state) == 0 &&
           with_task == pool->tasks.running && queued == pool->tasks.prefetched &&
           waiting == pool->waiting && waiting <= pool->config.waiting_workers;
}

static bool check_idle_list(const struct lp_pool *pool)
{
    uint32_t count = 0, older = LP_NONE;
    for (uint32_t slot = pool->idle_oldest; slot != LP_NONE;
         slot = pool->workers[slot].idle_newer) {
        if (pool->workers[slot].state != LP_WORKER_IDLE || pool->workers[slot].idle_older != older)
            return false;
        if (++count > pool->slots)
            return false;
        older = slot;
    }
    return count == pool->in_state[LP_WORKER_IDLE] && older == pool->idle_newest;
}

/* Each is held by one worker: lp_worker_check has seen that who needs one has it. */
static bool check_numbers(const struct lp_pool *pool)
{
    const uint32_t *in = pool->in_state;
    uint32_t taken = 0, held = strength(pool);
    for (uint32_t number = 0; number < pool->slots; number++)
        taken += pool->numbers[number];
    if (pool->config.exclusive)
        held += in[LP_WORKER_RETIRING] + in[LP_WORKER_DYING] + in[LP_WORKER_GONE] +
                in[LP_WORKER_DEAD];
    return taken == held;
}

/* I3: with a backlog somebody works who does not wait for it, or something is due. */
static bool check_liveness(const struct lp_pool *pool)
{
    bool is_over = pool->phase == LP_PHASE_DOWN || pool->more;
    if (pool->tasks.waiting && !is_over && lp_pool_next_deadline(pool) == UINT64_MAX)
        return false;
    if (pool->tasks.pending == 0 || pool->more)
        return true;
    if (may_begin_one(pool) && pool->phase != LP_PHASE_DOWN)
        return false;
    return !lp_waiting_all(pool) || lp_pool_next_deadline(pool) != UINT64_MAX ||
           not_gone(pool) > pool->waiting || pool->zygote == LP_ZYGOTE_DROPPED ||
           pool->places.wanted;
}

bool lp_pool_check(const struct lp_pool *pool)
{
    bool bounded = pool->n_actions + 1 < pool->actions_capacity &&
                   pool->in_state[LP_WORKER_BUSY] <=
                       pool->config.workers_limit + pool->config.waiting_workers;
    return bounded && check_books(pool) && check_states(pool) && check_idle_list(pool) &&
           check_numbers(pool) && check_liveness(pool) && lp_tasks_check(&pool->tasks) &&
           lp_express_check(pool);
}
