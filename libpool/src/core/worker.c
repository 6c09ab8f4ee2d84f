/* SPDX-License-Identifier: MIT */
#include "core/worker.h"

#include "core/histogram.h"
#include "core/jitter.h"
#include "core/ladder.h"
#include "core/pool.h"
#include "core/prefetch.h"
#include "core/retry.h"

typedef void cell(struct lp_pool *pool, uint32_t slot, const struct lp_event *event);

/* ---- moves ---------------------------------------------------------------------------------- */

static void idle_unlink(struct lp_pool *pool, uint32_t slot)
{
    struct lp_worker *worker = &pool->workers[slot];
    if (worker->idle_older == LP_NONE)
        pool->idle_oldest = worker->idle_newer;
    else
        pool->workers[worker->idle_older].idle_newer = worker->idle_newer;
    if (worker->idle_newer == LP_NONE)
        pool->idle_newest = worker->idle_older;
    else
        pool->workers[worker->idle_newer].idle_older = worker->idle_older;
}

/* The newest is used first: its caches are warm, and the oldest may leave. */
static void idle_link(struct lp_pool *pool, uint32_t slot)
{
    struct lp_worker *worker = &pool->workers[slot];
    worker->idle_since_ns = pool->now_ns;
    pool->made_room = true; /* for a task that it can begin at once */
    worker->idle_newer = LP_NONE;
    worker->idle_older = pool->idle_newest;
    if (pool->idle_newest == LP_NONE)
        pool->idle_oldest = slot;
    else
        pool->workers[pool->idle_newest].idle_newer = slot;
    pool->idle_newest = slot;
}

/*
 * Nobody else may have its number: whom it may hand tasks to, or, where a replacement waits until the old
 * tree is gone, who is not gone.
 */
static bool holds_number(const struct lp_pool *pool, enum lp_worker_state state)
{
    enum lp_worker_state last = pool->config.exclusive ? LP_WORKER_DEAD : LP_WORKER_BUSY;
    return state >= LP_WORKER_SPAWNING && state <= last;
}

/* The lowest: so a replacement has that of the one whose place it takes. */
static uint32_t take_number(struct lp_pool *pool)
{
    uint32_t number = 0;
    while (pool->numbers[number])
        number++;
    pool->numbers[number] = true;
    return number;
}

/* The one place where a worker changes its state. */
static void move(struct lp_pool *pool, uint32_t slot, enum lp_worker_state state)
{
    struct lp_worker *worker = &pool->workers[slot];
    if (worker->state == LP_WORKER_IDLE)
        idle_unlink(pool, slot);
    if (worker->state == LP_WORKER_BUSY && pool->idle_newest != LP_NONE)
        pool->made_room = true; /* for a task that a spare one can begin at once */
    if (holds_number(pool, worker->state) && !holds_number(pool, state))
        pool->numbers[worker->number] = false;
    if (worker->kill_overran && state == LP_WORKER_DEAD)
        pool->places.overdue--;
    if (worker->state == LP_WORKER_BUSY && pool->favourite == slot)
        pool->favourite = LP_NONE;
    lp_waiting_stop(pool, slot);
    pool->in_state[worker->state]--;
    worker->state = state;
    pool->in_state[state]++;
    if (state == LP_WORKER_IDLE)
        idle_link(pool, slot);
    worker->deadline_ns = 0;
    if (state == LP_WORKER_IDLE && worker->aged_ns)
        lp_worker_set_deadline(pool, slot, worker->aged_ns);
}

void lp_worker_set_deadline(struct lp_pool *pool, uint32_t slot, uint64_t deadline_ns)
{
    pool->workers[slot].deadline_ns = deadline_ns;
    if (lp_heap_has(&pool->deadlines, slot) && lp_heap_key(&pool->deadlines, slot) <= deadline_ns)
        return;
    lp_heap_set(&pool->deadlines, slot, deadline_ns);
}

/* ---- commands ------------------------------------------------------------------------------- */

/* What all have the same limit for, they would all do at once. */
static uint64_t jittered(struct lp_pool *pool, uint64_t limit)
{
    return lp_jitter_less(&pool->random, limit, pool->config.jitter_percent);
}

/* Whoever lives for so long has not failed; and replacing them all is no endless work. */
static uint64_t draw_age_ns(struct lp_pool *pool)
{
    uint64_t age_ns = jittered(pool, pool->config.max_age_ns);
    return age_ns > LP_STEADY_NS ? age_ns : LP_STEADY_NS;
}

void lp_worker_spawn(struct lp_pool *pool, uint32_t slot)
{
    struct lp_worker *worker = &pool->workers[slot];
    uint32_t tasks_limit = (uint32_t)jittered(pool, pool->config.tasks_per_worker);
    *worker = (struct lp_worker){.state = LP_WORKER_VACANT,
                                 .generation = worker->generation + 1,
                                 .number = take_number(pool),
                                 .task = LP_NONE,
                                 .queue_first = LP_NONE,
                                 .queue_last = LP_NONE,
                                 .held = LP_NONE,
                                 .hungry = worker->hungry,
                                 .hungry_next = worker->hungry_next,
                                 .tasks_limit = tasks_limit,
                                 .edition = pool->edition,
                                 .outfit = pool->outfit,
                                 .asked_ns = pool->now_ns,
                                 .spawned_ns = pool->now_ns,
                                 .proof_wait_ns = pool->config.start_timeout_ns};
    move(pool, slot, LP_WORKER_SPAWNING);
    lp_worker_set_deadline(pool, slot, pool->now_ns + pool->config.start_timeout_ns);
    lp_pool_emit(pool, LP_ACTION_SPAWN, slot);
}

static uint64_t first_look_ns(const struct lp_pool *pool, const struct lp_task *task)
{
    uint64_t limit = pool->config.start_timeout_ns;
    if (task->spec.run_timeout_ns && task->spec.run_timeout_ns < limit)
        limit = task->spec.run_timeout_ns;
    if (task->spec.heartbeat_ns && task->spec.heartbeat_ns < limit)
        limit = task->spec.heartbeat_ns;
    return pool->now_ns + limit;
}

/* The worker has nothing before this task any more. */
static void launch(struct lp_pool *pool, uint32_t slot, uint32_t index)
{
    struct lp_task *task = &pool->tasks.table[index];
    pool->workers[slot].task = index;
    pool->workers[slot].launched_ns = pool->now_ns;
    pool->workers[slot].waited_ns = 0;
    pool->workers[slot].asked = LIBPOOL_PENDING;
    pool->workers[slot].soft_signal = 0;
    if (!task->launched)
        pool->stats.tasks_launched++;
    task->launched = true;
    pool->made_room = true;
    lp_pool_note(pool, LIBPOOL_EVENT_TASK_LAUNCHED, slot, index);
}

static void launch_queued(struct lp_pool *pool, uint32_t slot)
{
    uint32_t index = lp_prefetch_take(pool, slot);
    lp_tasks_start(&pool->tasks, index);
    launch(pool, slot, index);
}

/* From now on its task is the worker's next word. */
static void watch_task(struct lp_pool *pool, uint32_t slot)
{
    struct lp_worker *worker = &pool->workers[slot];
    uint64_t look_ns = first_look_ns(pool, &pool->tasks.table[worker->task]);
    uint64_t patience_ns = lp_prefetch_patience_ns(pool);
    worker->run_deadline_ns = 0;
    lp_worker_set_deadline(pool, slot,
                           worker->queued && patience_ns < look_ns ? patience_ns : look_ns);
}

void lp_worker_assign(struct lp_pool *pool, uint32_t slot)
{
    uint32_t index = lp_tasks_take(&pool->tasks, pool->now_ns);
    move(pool, slot, LP_WORKER_BUSY);
    pool->workers[slot].assigned = true;
    pool->tasks.table[index].slot = slot;
    uint32_t busy = pool->in_state[LP_WORKER_BUSY];
    if (busy > pool->stats.max_workers_busy_concurrently)
        pool->stats.max_workers_busy_concurrently = busy;
    lp_pool_emit(pool, LP_ACTION_ASSIGN, slot)->task = index;
    launch(pool, slot, index);
    watch_task(pool, slot);
    lp_prefetch_mark_hungry(pool, slot);
}

void lp_worker_retire(struct lp_pool *pool, uint32_t slot)
{
    pool->owed += pool->workers[slot].edition != pool->edition;
    move(pool, slot, LP_WORKER_RETIRING);
    pool->workers[slot].retiring = true;
    lp_worker_set_deadline(pool, slot, pool->now_ns + pool->config.finalizer_timeout_ns);
    lp_pool_emit(pool, LP_ACTION_RETIRE, slot);
    libpool_event *note = lp_pool_note(pool, LIBPOOL_EVENT_WORKER_RETIRED, slot, LP_NONE);
    if (!pool->workers[slot].outgrown)
        return;
    note->cause = LIBPOOL_MEMORY;
    pool->stats.workers_outgrown++;
}

/* Ends the task of a worker, or has it run again elsewhere: true. */
static bool end_its_task(struct lp_pool *pool, uint32_t slot, struct lp_outcome *outcome)
{
    struct lp_worker *worker = &pool->workers[slot];
    uint32_t task = worker->task;
    worker->task = LP_NONE;
    worker->last_id = pool->tasks.table[task].id;
    outcome->slot = slot;
    outcome->pid = worker->pid;
    outcome->cause = lp_ladder_cause(worker, outcome->cause);
    outcome->silent_ms = lp_ladder_silent_ms(worker, &pool->tasks.table[task], outcome->cause);
    if (outcome->cause == LIBPOOL_MEMORY) {
        outcome->memory_bytes = worker->weight_bytes;
        outcome->memory_limit_bytes = worker->weigh_limit_bytes;
    }
    return lp_pool_end_run(pool, task, outcome);
}

static bool has_tasks(const struct lp_worker *worker)
{
    return worker->task != LP_NONE || worker->queued;
}

static void kill_process(struct lp_pool *pool, uint32_t slot, libpool_cause doom)
{
    struct lp_worker *worker = &pool->workers[slot];
    if (worker->doom == LIBPOOL_PENDING)
        worker->doom = doom;
    worker->killed_ns = pool->now_ns;
    move(pool, slot, LP_WORKER_DYING);
    uint64_t wait_ns = has_tasks(worker) ? LP_KILL_GRACE_NS : worker->proof_wait_ns;
    lp_worker_set_deadline(pool, slot, pool->now_ns + wait_ns);
    lp_pool_emit(pool, LP_ACTION_KILL, slot);
    libpool_event *note = lp_pool_note(pool, LIBPOOL_EVENT_WORKER_KILLED, slot, LP_NONE);
    note->cause = worker->doom;
}

/* DYING: without tasks it is the zygote's to tell of its death. */
static void await_death(struct lp_pool *pool, uint32_t slot)
{
    struct lp_worker *worker = &pool->workers[slot];
    if (worker->state == LP_WORKER_DYING && !has_tasks(worker))
        lp_worker_set_deadline(pool, slot, pool->now_ns + worker->proof_wait_ns);
}

/* If the worker names this one as begun, those before it have begun, too: nobody will know them by it. */
static void doubt_those_before(struct lp_pool *pool, uint32_t slot, uint32_t index)
{
    struct lp_task *table = pool->tasks.table;
    while ((index = table[index].previous) != LP_NONE)
        table[index].doubted = true;
    if (pool->workers[slot].task != LP_NONE)
        table[pool->workers[slot].task].doubted = true;
}

void lp_worker_drop_prefetched(struct lp_pool *pool, uint32_t task, libpool_cause cause)
{
    uint32_t slot = pool->tasks.table[task].slot;
    doubt_those_before(pool, slot, task);
    lp_prefetch_remove(pool, slot, task);
    pool->made_room = true;
    lp_pool_end_task(pool, task,
                     &(struct lp_outcome){.cause = cause,
                                          .certainty = LIBPOOL_MAY_HAVE_RUN,
                                          .pid = pool->workers[slot].pid,
                                          .slot = slot});
    await_death(pool, slot);
}

/* Ends what it runs: it is possible that it has begun. */
static void drop_task(struct lp_pool *pool, uint32_t slot, libpool_cause cause)
{
    (void)end_its_task(pool, slot,
                       &(struct lp_outcome){.cause = cause, .certainty = LIBPOOL_MAY_HAVE_RUN});
    await_death(pool, slot);
}

/* For what the task, or its worker because of it, has done. */
static bool is_kill(libpool_cause cause)
{
    return cause == LIBPOOL_TIMEOUT || cause == LIBPOOL_CORRUPT || cause == LIBPOOL_MEMORY;
}

/* The end of a pool of threads: what one runs is asked to end, and it leaves then, as the idle do at once. */
static bool hurry(struct lp_pool *pool, uint32_t slot)
{
    struct lp_worker *worker = &pool->workers[slot];
    if (worker->state == LP_WORKER_IDLE)
        lp_worker_retire(pool, slot);
    if (worker->state != LP_WORKER_BUSY)
        return worker->state == LP_WORKER_RETIRING;
    worker->hurried = worker->leave = true;
    lp_ladder_ask(pool, slot, LIBPOOL_SHUTDOWN);
    return true;
}

void lp_worker_kill(struct lp_pool *pool, uint32_t slot, libpool_cause doom)
{
    struct lp_worker *worker = &pool->workers[slot];
    if (pool->config.cooperative && doom == LIBPOOL_SHUTDOWN && hurry(pool, slot))
        return;
    switch (worker->state) {
    case LP_WORKER_SPAWNING: /* there is nothing to signal yet: killed at SPAWNED */
        if (worker->doom == LIBPOOL_PENDING)
            worker->doom = doom;
        return;
    case LP_WORKER_STARTING:
    case LP_WORKER_IDLE:
    case LP_WORKER_RETIRING: kill_process(pool, slot, doom); return;
    case LP_WORKER_BUSY:
        if (is_kill(lp_ladder_cause(worker, doom)))
            lp_pool_blame(pool, worker->task, lp_ladder_cause(worker, doom));
        /* The future ends now: the proof may take long, and what was sent can't be stopped. */
        drop_task(pool, slot, doom);
        kill_process(pool, slot, doom);
        return;
    case LP_WORKER_DYING:
    case LP_WORKER_GONE: /* it may keep a task that looked unstarted: it ends, too */
        if (worker->task != LP_NONE)
            drop_task(pool, slot, doom);
        return;
    case LP_WORKER_VACANT:
    case LP_WORKER_DEAD:
    case LP_WORKER_STATES: return;
    }
}

void lp_worker_await_proof(struct lp_pool *pool, uint32_t slot)
{
    struct lp_worker *worker = &pool->workers[slot];
    lp_worker_set_deadline(pool, slot, pool->now_ns + worker->proof_wait_ns);
    if (worker->orphaned)
        lp_pool_emit(pool, LP_ACTION_CLEAN, slot);
}

/* What its tree may hold, as far as it is to be looked at; 0: it is not. A task's own limit is the less. */
static uint64_t weigh_limit(const struct lp_pool *pool, const struct lp_worker *worker)
{
    uint64_t own = worker->task == LP_NONE
                       ? 0
                       : pool->tasks.table[worker->task].spec.memory_limit_bytes;
    return own || !pool->weighs ? own : pool->config.memory_limit_bytes;
}

/* Whoever may be running the application's code, and has a limit that nobody else keeps. */
void lp_worker_weigh(struct lp_pool *pool, uint32_t slot)
{
    struct lp_worker *worker = &pool->workers[slot];
    bool runs = worker->state == LP_WORKER_STARTING || worker->state == LP_WORKER_BUSY ||
                worker->state == LP_WORKER_RETIRING;
    uint64_t limit_bytes = runs ? weigh_limit(pool, worker) : 0;
    if (!limit_bytes || worker->weighing)
        return;
    worker->weigh_limit_bytes = limit_bytes;
    worker->weighing = true;
    worker->weighed_in = worker->state;
    worker->weighed_id = worker->task == LP_NONE ? 0 : pool->tasks.table[worker->task].id;
    lp_pool_emit(pool, LP_ACTION_WEIGH, slot);
}

/* A zygote that lives may only be slow: it gets as long as for any other answer. */
static void await_status(struct lp_pool *pool, uint32_t slot)
{
    bool orphaned = pool->workers[slot].orphaned;
    const struct lp_worker *worker = &pool->workers[slot];
    uint64_t wait_ns = orphaned ? LP_STATUS_WAIT_NS : pool->config.start_timeout_ns;
    uint64_t by_ns = pool->now_ns + wait_ns;
    if (worker->task != LP_NONE && worker->torn_by_ns && worker->torn_by_ns < by_ns)
        by_ns = worker->torn_by_ns;
    lp_worker_set_deadline(pool, slot, by_ns);
}

void lp_worker_zygote_lost(struct lp_pool *pool, uint32_t slot)
{
    struct lp_worker *worker = &pool->workers[slot];
    bool was_orphaned = worker->orphaned;
    worker->orphaned = worker->state != LP_WORKER_VACANT;
    worker->weighing = false; /* the answer died with it */
    switch (worker->state) {
    case LP_WORKER_SPAWNING: /* a child that was forked and not reported dies with its parent */
        move(pool, slot, LP_WORKER_VACANT);
        return;
    case LP_WORKER_IDLE: lp_worker_retire(pool, slot); return;
    case LP_WORKER_STARTING:
    case LP_WORKER_BUSY: worker->leave = true; return;
    case LP_WORKER_GONE:
        if (!was_orphaned)
            await_status(pool, slot);
        return;
    case LP_WORKER_VACANT:
    case LP_WORKER_RETIRING:
    case LP_WORKER_DYING:
    case LP_WORKER_DEAD: /* the next zygote is asked for the proof when it is up */
    case LP_WORKER_STATES: return;
    }
}

/* ---- deaths --------------------------------------------------------------------------------- */

/* Its word is on none that it has, and not on the one before. */
static void settle_doubted(struct lp_pool *pool, uint32_t slot, libpool_cause cause)
{
    struct lp_worker *worker = &pool->workers[slot];
    const struct lp_task *table = pool->tasks.table;
    if (worker->task != LP_NONE && table[worker->task].doubted)
        drop_task(pool, slot, cause);
    while (worker->queued && table[worker->queue_first].doubted)
        lp_worker_drop_prefetched(pool, worker->queue_first, cause);
}

/* It has begun a prefetched task without a result of those before: they have begun, too. */
static void settle_begun(struct lp_pool *pool, uint32_t slot, const struct lp_event *event,
                         libpool_cause cause)
{
    struct lp_worker *worker = &pool->workers[slot];
    const struct lp_task *table = pool->tasks.table;
    if (worker->task != LP_NONE && table[worker->task].id == event->started_id)
        return;
    uint32_t index = worker->queue_first;
    while (index != LP_NONE && table[index].id != event->started_id)
        index = table[index].next;
    if (index == LP_NONE && event->started_id != worker->last_id)
        settle_doubted(pool, slot, cause);
    while (index != LP_NONE && worker->task != index) {
        if (worker->task != LP_NONE)
            drop_task(pool, slot, cause);
        launch_queued(pool, slot);
    }
}

/* Of the task, as far as anybody can know: not lost with a zygote, and not the pool's doing. */
static bool is_death(libpool_cause cause)
{
    return cause == LIBPOOL_CRASH || cause == LIBPOOL_EXIT || cause == LIBPOOL_OOM ||
           cause == LIBPOOL_KILLED;
}

/* What becomes of the tasks of a worker that died without the pool's doing. */
static void settle_task(struct lp_pool *pool, uint32_t slot, const struct lp_event *event,
                        libpool_cause cause)
{
    struct lp_worker *worker = &pool->workers[slot];
    settle_begun(pool, slot, event, cause);
    lp_prefetch_give_back(pool, slot);
    if (worker->task == LP_NONE)
        return;
    struct lp_task *task = &pool->tasks.table[worker->task];
    bool started = event->started_id == task->id;
    bool asked = worker->asked != LIBPOOL_PENDING;
    if (!started && !asked && task->returns < LP_RETURNS_MAX) {
        lp_pool_note(pool, LIBPOOL_EVENT_TASK_RETURNED, slot, worker->task);
        task->returns++;
        lp_tasks_give_back(&pool->tasks, worker->task);
        pool->stats.tasks_returned++;
        worker->task = LP_NONE;
        return;
    }
    if (started && (asked ? worker->asked == LIBPOOL_TIMEOUT : is_death(cause)))
        lp_pool_blame(pool, worker->task, asked ? LIBPOOL_TIMEOUT : cause);
    (void)end_its_task(
        pool, slot,
        &(struct lp_outcome){.cause = cause,
                             .certainty = started ? LIBPOOL_MAY_HAVE_RUN : LIBPOOL_NOT_STARTED,
                             .code = event->code,
                             .signal = event->signal,
                             .core_dumped = event->core_dumped});
}

/* Why a worker that was told to leave has left. */
static libpool_cause retired_cause(const struct lp_pool *pool, const struct lp_worker *worker,
                                   const struct lp_event *event)
{
    bool orderly = event->signal == 0 && event->code == 0 && !event->unknown;
    if (event->unknown)
        orderly = worker->finalized || !pool->config.has_finalizer;
    if (orderly && (worker->finalized || !pool->config.has_finalizer))
        return LIBPOOL_COMPLETED;
    libpool_cause cause = lp_pool_classify(event);
    bool own_fault = cause == LIBPOOL_CRASH || cause == LIBPOOL_EXIT;
    return worker->final_started && own_fault ? LIBPOOL_FINAL_FAILED : cause;
}

static libpool_cause death_cause(const struct lp_pool *pool, const struct lp_worker *worker,
                                 const struct lp_event *event)
{
    if (worker->doom != LIBPOOL_PENDING)
        return worker->doom;
    if (worker->retiring)
        return retired_cause(pool, worker, event);
    if (lp_ladder_killed_it(worker, event))
        return worker->asked;
    libpool_cause cause = lp_pool_classify(event);
    if (worker->ready)
        return cause;
    bool own_fault = cause == LIBPOOL_CRASH || cause == LIBPOOL_EXIT;
    return own_fault || worker->init_failed ? LIBPOOL_INIT_FAILED : cause;
}

/* How those end whom their initializer has not made fit for tasks. */
static bool is_unfit(libpool_cause cause)
{
    return cause == LIBPOOL_INIT_FAILED || cause == LIBPOOL_OOM || cause == LIBPOOL_MEMORY;
}

/* Who still starts with an outfit that was changed since proves nothing of the one that others get. */
static bool wears_latest(const struct lp_pool *pool, const struct lp_worker *worker)
{
    return worker->outfit == pool->outfit;
}

static void count_init_failure(struct lp_pool *pool, uint32_t slot, libpool_cause cause)
{
    if (pool->workers[slot].ready || !is_unfit(cause))
        return;
    pool->stats.initializers_failed++;
    if (wears_latest(pool, &pool->workers[slot])) {
        pool->initializer_failures++;
        pool->init_code = pool->workers[slot].init_code;
    }
    libpool_event *note = lp_pool_note(pool, LIBPOOL_EVENT_INIT_FAILED, slot, LP_NONE);
    note->cause = cause;
    note->code = pool->workers[slot].init_code;
}

/* A worker that is of use shows that spawning works, if it was spawned after the last failure. */
static void prove_spawns(struct lp_pool *pool, const struct lp_worker *worker)
{
    if (worker->spawned_ns >= pool->spawn_backoff.failed_ns)
        lp_backoff_succeeded(&pool->spawn_backoff);
}

/* A worker that never got as far as a task is a failed spawn in the eyes of the backoff. */
static void count_early_death(struct lp_pool *pool, const struct lp_worker *worker,
                              const struct lp_event *event)
{
    bool ours = worker->doom == LIBPOOL_SHUTDOWN || worker->orphaned;
    bool users = worker->doom == LIBPOOL_CANCELLED || worker->doom == LIBPOOL_TIMEOUT;
    bool steady = pool->now_ns - worker->spawned_ns >= LP_STEADY_NS;
    bool began = worker->tasks_done || (worker->assigned && event->started_id);
    bool fell_early = !began && !steady && !worker->retiring && !users;
    bool forgiven = worker->asked_ns < pool->spawn_backoff.forgiven_ns;
    if (ours || (!worker->ready && !wears_latest(pool, worker) && forgiven))
        return;
    if (!worker->ready || fell_early)
        lp_backoff_failed(&pool->spawn_backoff, pool->now_ns, 0);
    else
        prove_spawns(pool, worker);
}

static void count_finalizer(struct lp_pool *pool, const struct lp_worker *worker)
{
    if (worker->final_started && !worker->finalized)
        pool->stats.finalizers_failed++;
}

static void died(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    struct lp_worker *worker = &pool->workers[slot];
    libpool_cause cause = death_cause(pool, worker, event);
    count_init_failure(pool, slot, cause);
    count_early_death(pool, worker, event);
    count_finalizer(pool, worker);
    settle_task(pool, slot, event, cause);
    move(pool, slot, LP_WORKER_DEAD);
    pool->stats.workers_ended[cause]++;
    libpool_event *note = lp_pool_note(pool, LIBPOOL_EVENT_WORKER_EXITED, slot, LP_NONE);
    note->cause = cause;
    note->code = event->code;
    note->signal = event->signal;
    if (pool->zygote == LP_ZYGOTE_UP)
        lp_worker_await_proof(pool, slot);
}

/* Told again, it is proven only now: the wait for the status begins anew. */
static void gone(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    struct lp_worker *worker = &pool->workers[slot];
    uint64_t ends_ns = lp_ladder_ends_ns(pool, slot, event);
    uint64_t lost_ns = pool->now_ns + LP_TEAR_DOWN_WAITS * pool->config.start_timeout_ns;
    worker->torn_overruns = ends_ns && (ends_ns < lost_ns || worker->asked != LIBPOOL_PENDING);
    worker->torn_by_ns = event->foretold ? worker->torn_overruns ? ends_ns : lost_ns : 0;
    move(pool, slot, LP_WORKER_GONE);
    await_status(pool, slot);
}

/* Nobody can tell yet how it ended, which may take the kernel any time: its task does not wait for ever. */
static void torn(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    struct lp_worker *worker = &pool->workers[slot];
    bool ends = worker->task != LP_NONE && worker->torn_by_ns <= pool->now_ns;
    libpool_cause cause = lp_ladder_cause(worker, LIBPOOL_TIMEOUT);
    if (ends && worker->torn_overruns) {
        worker->silent = worker->silent && worker->asked != LIBPOOL_PENDING;
        if (is_kill(cause))
            lp_pool_blame(pool, worker->task, cause);
        drop_task(pool, slot, cause);
    } else if (ends) {
        settle_task(pool, slot, event, LIBPOOL_LOST);
    }
    await_status(pool, slot);
}

/* The status does not come. When nobody is left who could tell, it never will. */
static void untold(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    struct lp_worker *worker = &pool->workers[slot];
    struct lp_event unknown = *event;
    unknown.unknown = true;
    if (worker->torn_by_ns && event->foretold) {
        torn(pool, slot, event);
        return;
    }
    if (worker->torn_by_ns) { /* proven meanwhile */
        gone(pool, slot, event);
        return;
    }
    if (worker->orphaned) {
        died(pool, slot, &unknown);
        return;
    }
    await_status(pool, slot);
    if (pool->zygote == LP_ZYGOTE_UP && !pool->config.cooperative)
        lp_pool_drop_zygote(pool);
}

/*
 * It does not die, or its tree is not proven empty: nothing can be done about what can't be killed,
 * but the zygote may be mute. Each wait for the same worker is twice as long as the one before.
 */
static void unproven(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    (void)event;
    struct lp_worker *worker = &pool->workers[slot];
    if (pool->zygote != LP_ZYGOTE_UP || (worker->state == LP_WORKER_DYING && worker->orphaned))
        return; /* it is not this zygote's to tell, or the next one will be asked */
    if (pool->config.cooperative)
        return; /* it takes as long as it takes */
    if (worker->proof_wait_ns < LP_PROOF_WAIT_MAX_NS)
        worker->proof_wait_ns *= 2;
    lp_pool_drop_zygote(pool);
}

/* Tasks of which is not known whether they were begun can't wait for ever. */
static void kill_overran(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    struct lp_worker *worker = &pool->workers[slot];
    pool->places.overdue += !worker->kill_overran;
    worker->kill_overran = true;
    if (!has_tasks(worker)) {
        unproven(pool, slot, event);
        return;
    }
    if (worker->task != LP_NONE)
        drop_task(pool, slot, worker->doom);
    while (worker->queued)
        lp_worker_drop_prefetched(pool, worker->queue_first, worker->doom);
}

static void emptied(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    (void)event;
    uint64_t killed_ns = pool->workers[slot].killed_ns;
    if (killed_ns)
        lp_histogram_add(&pool->histograms[LIBPOOL_HISTOGRAM_KILL], pool->now_ns - killed_ns);
    lp_retry_let_go(pool, slot);
    move(pool, slot, LP_WORKER_VACANT);
    lp_heap_remove(&pool->deadlines, slot);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void ready(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    (void)event;
    struct lp_worker *worker = &pool->workers[slot];
    worker->ready = true;
    lp_histogram_add(&pool->histograms[LIBPOOL_HISTOGRAM_SPAWN], pool->now_ns - worker->asked_ns);
    if (wears_latest(pool, worker))
        pool->initializer_failures = 0;
    if (pool->config.max_age_ns)
        worker->aged_ns = pool->now_ns + draw_age_ns(pool);
    if (pool->owed && worker->edition == pool->edition)
        pool->owed--; /* it stands for one that has left */
    move(pool, slot, LP_WORKER_IDLE);
    lp_pool_note(pool, LIBPOOL_EVENT_WORKER_READY, slot, LP_NONE);
    if (worker->leave)
        lp_worker_retire(pool, slot);
}

/* Its first word comes through its channel and may overtake the zygote's report of its birth. */
static void ready_early(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    (void)event;
    pool->workers[slot].ready_early = true;
}

static void spawned(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    struct lp_worker *worker = &pool->workers[slot];
    worker->pid = event->pid;
    worker->spawned_ns = pool->now_ns;
    pool->stats.worker_processes_created++;
    move(pool, slot, LP_WORKER_STARTING);
    lp_worker_set_deadline(pool, slot, pool->now_ns + pool->config.initializer_timeout_ns);
    lp_pool_note(pool, LIBPOOL_EVENT_WORKER_SPAWNED, slot, LP_NONE);
    if (worker->doom != LIBPOOL_PENDING)
        kill_process(pool, slot, worker->doom);
    else if (worker->ready_early)
        ready(pool, slot, event);
}

static void spawn_failed(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    move(pool, slot, LP_WORKER_VACANT);
    lp_heap_remove(&pool->deadlines, slot);
    pool->stats.spawns_failed++;
    lp_backoff_failed(&pool->spawn_backoff, pool->now_ns, event->error);
    libpool_event *note = lp_pool_note(pool, LIBPOOL_EVENT_SPAWN_FAILED, slot, LP_NONE);
    note->code = event->error;
}

static void spawn_overran(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    (void)event;
    lp_worker_set_deadline(pool, slot, pool->now_ns + pool->config.start_timeout_ns);
    if (pool->zygote == LP_ZYGOTE_UP && !pool->config.cooperative)
        lp_pool_drop_zygote(pool);
}

/* It leaves by itself after this word; if it does not, the deadline stays in force. */
static void init_failed(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    pool->workers[slot].init_failed = true;
    pool->workers[slot].init_code = event->code;
}

static void init_overran(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    (void)event;
    kill_process(pool, slot, LIBPOOL_INIT_FAILED);
}

static bool is_aged(const struct lp_pool *pool, const struct lp_worker *worker)
{
    return worker->aged_ns && worker->aged_ns <= pool->now_ns;
}

/* There is no task that it could begin: it would have been handed to it. */
static void aged(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    (void)event;
    if (is_aged(pool, &pool->workers[slot]))
        lp_worker_retire(pool, slot);
}

void lp_worker_go_on(struct lp_pool *pool, uint32_t slot)
{
    launch_queued(pool, slot);
    watch_task(pool, slot);
    lp_prefetch_mark_hungry(pool, slot);
    if (pool->favourite == LP_NONE)
        pool->favourite = slot;
}

/*
 * What it runs has said this, and ends now: nothing else that it says is to be believed, either, and it may
 * have begun. But where it is still in its last task, whose result came, that one has forged it; the next
 * stays with the worker until its death tells.
 */
static void corrupt(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    const struct lp_worker *worker = &pool->workers[slot];
    bool in_last = worker->last_id && event->started_id == worker->last_id;
    if (worker->state == LP_WORKER_BUSY && worker->asked == LIBPOOL_PENDING && in_last)
        kill_process(pool, slot, LIBPOOL_CORRUPT);
    else
        lp_worker_kill(pool, slot, LIBPOOL_CORRUPT);
}

static void result(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    struct lp_worker *worker = &pool->workers[slot];
    struct lp_task *task = &pool->tasks.table[worker->task];
    if (event->task_id != task->id || worker->waiting) {
        corrupt(pool, slot, event);
        return;
    }
    struct lp_outcome outcome = {
        .cause = event->code ? LIBPOOL_ERROR : LIBPOOL_COMPLETED,
        .certainty = event->started_id == task->id ? LIBPOOL_HAS_RUN : LIBPOOL_NOT_STARTED,
        .code = event->code,
    };
    /* Its own word on the times, as far as it can be true. */
    if (event->started_ns >= task->assigned_ns && event->started_ns < event->ended_ns &&
        event->ended_ns <= pool->now_ns) {
        outcome.running_ns = event->ended_ns - event->started_ns;
        outcome.pending_ns = event->started_ns - task->submitted_ns;
        lp_prefetch_learn(pool, outcome.running_ns);
        lp_ladder_answered(worker, event->ended_ns);
    }
    if (task->spec.kind)
        lp_quarantine_worked(&pool->quarantine, task->spec.kind, pool->now_ns);
    bool retried = end_its_task(pool, slot, &outcome);
    worker->tasks_done++;
    worker->soft_signal = 0;
    worker->recalled = false;
    prove_spawns(pool, worker);
    worker->outgrown = worker->outgrown || event->grown;
    worker->leave = worker->leave || event->leaves || event->grown || is_aged(pool, worker) ||
                    retried;
    if (worker->queued) {
        lp_worker_go_on(pool, slot);
        if (worker->hurried)
            lp_ladder_ask(pool, slot, LIBPOOL_SHUTDOWN);
        return;
    }
    move(pool, slot, LP_WORKER_IDLE);
    bool recycled = worker->tasks_limit && worker->tasks_done >= worker->tasks_limit;
    if (worker->leave || recycled)
        lp_worker_retire(pool, slot);
}

static void waits(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    if (!lp_waiting_begin(pool, slot, event))
        corrupt(pool, slot, event);
}

static void waited(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    (void)event;
    lp_waiting_end(pool, slot);
}

static void busy_overran(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    struct lp_worker *worker = &pool->workers[slot];
    const struct lp_task *task = &pool->tasks.table[worker->task];
    if (worker->asked != LIBPOOL_PENDING) {
        if (pool->config.cooperative)
            worker->deadline_ns = 0; /* what was behind it is taken back, or there was none */
        else
            lp_worker_kill(pool, slot, worker->asked); /* its grace is over */
        return;
    }
    if (event->started_id == task->id) {
        lp_ladder_look(pool, slot, event);
        return;
    }
    uint64_t start_by_ns = worker->launched_ns + pool->config.start_timeout_ns;
    uint64_t look_ns = first_look_ns(pool, task); /* it may begin meanwhile, and overrun then */
    if (start_by_ns > pool->now_ns)
        lp_worker_set_deadline(pool, slot, look_ns < start_by_ns ? look_ns : start_by_ns);
    else if (pool->config.cooperative) /* a thread that does not get to it will */
        lp_worker_set_deadline(pool, slot, look_ns);
    else /* the worker is stuck, not the task: it keeps the task until the death tells its fate */
        kill_process(pool, slot, LIBPOOL_LOST);
}

/*
 * What waited behind a task that takes long may go to others. Of one that was killed or is dead nobody
 * counts the results: what it has begun its death tells.
 */
static void recalled(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    struct lp_worker *worker = &pool->workers[slot];
    lp_prefetch_give_back(pool, slot);
    worker->recalled = true;
    uint64_t waited_ns = pool->now_ns - worker->launched_ns;
    if (waited_ns >= LP_IDLE_PATIENCE_NS)
        lp_prefetch_learn(pool, waited_ns);
    busy_overran(pool, slot, event);
}

/*
 * The weight is that of what ran when it was asked for. When that has ended meanwhile it may have left
 * something in the worker, which leaves then: no other task pays for it.
 */
static void weighed(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    struct lp_worker *worker = &pool->workers[slot];
    worker->weighing = false;
    worker->weight_bytes = event->bytes;
    if (event->bytes <= worker->weigh_limit_bytes)
        return;
    uint64_t task_id = worker->task == LP_NONE ? 0 : pool->tasks.table[worker->task].id;
    bool is_same = worker->state == worker->weighed_in && task_id == worker->weighed_id;
    if (is_same && (task_id == 0 || task_id == event->started_id)) {
        lp_worker_kill(pool, slot, LIBPOOL_MEMORY);
        return;
    }
    if (worker->weighed_in != LP_WORKER_BUSY || worker->state == LP_WORKER_RETIRING)
        return; /* of an initializer that has ended; it leaves anyway */
    if (!pool->weighs || event->bytes <= pool->config.memory_limit_bytes)
        return; /* a limit of that task's own has ended with it */
    worker->outgrown = worker->leave = true;
    if (worker->state == LP_WORKER_IDLE)
        lp_worker_retire(pool, slot);
}

static void final_started(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    (void)event;
    struct lp_worker *worker = &pool->workers[slot];
    bool may = worker->retiring || pool->config.cooperative; /* a thread is not killed before it */
    if (!may || worker->final_started)
        return;
    worker->final_started = true;
    pool->stats.finalizers_started++;
}

static void finalized(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    (void)event;
    struct lp_worker *worker = &pool->workers[slot];
    if (!worker->final_started || worker->finalized)
        return;
    worker->finalized = true;
    pool->stats.finalizers_ok++;
}

static void retire_overran(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    (void)event;
    kill_process(pool, slot, LIBPOOL_FINAL_FAILED);
}

static void nothing(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    (void)pool;
    (void)slot;
    (void)event;
}

/* ---- the table ------------------------------------------------------------------------------ */

/*
 * Each cell is filled. `nothing`: it can't matter in that state, or comes late. `corrupt`: a worker
 * in that state can't say this. Rows are events, so that a line fits; columns are states.
 */
// clang-format off
#define ROW(vacant, spawning, starting, idle, busy, retiring, dying, gone_, dead)                  \
    {                                                                                              \
        [LP_WORKER_VACANT] = vacant, [LP_WORKER_SPAWNING] = spawning,                              \
        [LP_WORKER_STARTING] = starting, [LP_WORKER_IDLE] = idle, [LP_WORKER_BUSY] = busy,         \
        [LP_WORKER_RETIRING] = retiring, [LP_WORKER_DYING] = dying, [LP_WORKER_GONE] = gone_,      \
        [LP_WORKER_DEAD] = dead,                                                                   \
    }
static cell *const table[LP_WORKER_EVENTS][LP_WORKER_STATES] = {
    /*                              vacant   spawning       starting      idle     busy          retiring        dying          gone     dead */
    [LP_EVENT_SPAWNED]        = ROW(nothing, spawned,       nothing,      nothing, nothing,      nothing,        nothing,       nothing, nothing),
    [LP_EVENT_SPAWN_FAILED]   = ROW(nothing, spawn_failed,  nothing,      nothing, nothing,      nothing,        nothing,       nothing, nothing),
    [LP_EVENT_READY]          = ROW(nothing, ready_early,   ready,        corrupt, corrupt,      corrupt,        nothing,       nothing, nothing),
    [LP_EVENT_INIT_FAILED]    = ROW(nothing, init_failed,   init_failed,  corrupt, corrupt,      corrupt,        nothing,       nothing, nothing),
    [LP_EVENT_RESULT]         = ROW(nothing, corrupt,       corrupt,      corrupt, result,       corrupt,        nothing,       nothing, nothing),
    [LP_EVENT_FINAL_STARTED]  = ROW(nothing, corrupt,       corrupt,      corrupt, corrupt,      final_started,  final_started, nothing, nothing),
    [LP_EVENT_FINALIZED]      = ROW(nothing, corrupt,       corrupt,      corrupt, corrupt,      finalized,      finalized,     nothing, nothing),
    [LP_EVENT_CORRUPT]        = ROW(nothing, corrupt,       corrupt,      corrupt, corrupt,      corrupt,        nothing,       nothing, nothing),
    [LP_EVENT_GONE]           = ROW(nothing, nothing,       gone,         gone,    gone,         gone,           gone,          gone,    nothing),
    [LP_EVENT_EXITED]         = ROW(nothing, nothing,       died,         died,    died,         died,           died,          died,    nothing),
    [LP_EVENT_EMPTY]          = ROW(nothing, nothing,       nothing,      nothing, nothing,      nothing,        nothing,       nothing, emptied),
    [LP_EVENT_DEADLINE]       = ROW(nothing, spawn_overran, init_overran, aged,    busy_overran, retire_overran, kill_overran,  untold,  unproven),
    [LP_EVENT_RECALLED]       = ROW(nothing, nothing,       nothing,      nothing, recalled,     nothing,        nothing,       nothing, nothing),
    [LP_EVENT_WEIGHED]        = ROW(nothing, nothing,       weighed,      weighed, weighed,      weighed,        nothing,       nothing, nothing),
    [LP_EVENT_WAITS]          = ROW(nothing, corrupt,       corrupt,      corrupt, waits,        corrupt,        nothing,       nothing, nothing),
    [LP_EVENT_WAITED]         = ROW(nothing, nothing,       nothing,      nothing, waited,       nothing,        nothing,       nothing, nothing),
};
#undef ROW
// clang-format on

void lp_worker_step(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    if (event->generation != pool->workers[slot].generation)
        return;
    table[event->kind][pool->workers[slot].state](pool, slot, event);
}

const char *lp_worker_state_name(enum lp_worker_state state)
{
    static const char *const names[LP_WORKER_STATES] = {
        "vacant", "spawning", "starting", "idle", "busy", "retiring", "dying", "gone", "dead"};
    return names[state];
}

/* ---- the checker ---------------------------------------------------------------------------- */

static bool may_keep_task(const struct lp_worker *worker)
{
    return worker->state == LP_WORKER_DYING || worker->state == LP_WORKER_GONE;
}

bool lp_worker_check(const struct lp_pool *pool, uint32_t slot)
{
    const struct lp_worker *worker = &pool->workers[slot];
    bool has_task = worker->state != LP_WORKER_VACANT && worker->task != LP_NONE;
    if (worker->state == LP_WORKER_BUSY && !has_task)
        return false;
    if (worker->waiting && (worker->state != LP_WORKER_BUSY || worker->queued))
        return false;
    if (holds_number(pool, worker->state) && !pool->numbers[worker->number])
        return false;
    if (worker->state != LP_WORKER_BUSY && has_tasks(worker) && !may_keep_task(worker))
        return false;
    if (!lp_prefetch_check(pool, slot))
        return false;
    if (has_task && pool->tasks.table[worker->task].state != LP_TASK_RUNNING)
        return false;
    bool needs_deadline = worker->state == LP_WORKER_SPAWNING ||
                          worker->state == LP_WORKER_STARTING ||
                          worker->state == LP_WORKER_RETIRING || worker->state == LP_WORKER_GONE;
    if (!pool->config.cooperative) {
        needs_deadline = needs_deadline ||
                         (worker->state == LP_WORKER_DEAD && pool->zygote == LP_ZYGOTE_UP);
        needs_deadline = needs_deadline ||
                         (worker->state == LP_WORKER_BUSY && worker->asked != LIBPOOL_PENDING);
    }
    if (needs_deadline && worker->deadline_ns == 0)
        return false;
    if (worker->deadline_ns == 0)
        return true;
    return lp_heap_has(&pool->deadlines, slot) &&
           lp_heap_key(&pool->deadlines, slot) <= worker->deadline_ns;
}
