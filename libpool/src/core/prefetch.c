/* SPDX-License-Identifier: MIT */
#include "core/prefetch.h"

#include "core/pool.h"

/* ---- the queue of one worker ------------------------------------------------------------------ */

void lp_prefetch_add(struct lp_pool *pool, uint32_t slot, uint32_t index)
{
    struct lp_worker *worker = &pool->workers[slot];
    struct lp_task *task = &pool->tasks.table[index];
    task->slot = slot;
    task->next = LP_NONE;
    task->previous = worker->queue_last;
    if (worker->queue_last == LP_NONE)
        worker->queue_first = index;
    else
        pool->tasks.table[worker->queue_last].next = index;
    worker->queue_last = index;
    worker->queued++;
}

void lp_prefetch_remove(struct lp_pool *pool, uint32_t slot, uint32_t index)
{
    struct lp_worker *worker = &pool->workers[slot];
    const struct lp_task *task = &pool->tasks.table[index];
    if (task->previous == LP_NONE)
        worker->queue_first = task->next;
    else
        pool->tasks.table[task->previous].next = task->next;
    if (task->next == LP_NONE)
        worker->queue_last = task->previous;
    else
        pool->tasks.table[task->next].previous = task->previous;
    worker->queued--;
}

uint32_t lp_prefetch_take(struct lp_pool *pool, uint32_t slot)
{
    uint32_t index = pool->workers[slot].queue_first;
    lp_prefetch_remove(pool, slot, index);
    return index;
}

/* From the last to the first: each goes to the head of its level. */
void lp_prefetch_give_back(struct lp_pool *pool, uint32_t slot)
{
    struct lp_worker *worker = &pool->workers[slot];
    for (; worker->queued; worker->queued--) {
        uint32_t index = worker->queue_last;
        worker->queue_last = pool->tasks.table[index].previous;
        lp_tasks_give_back(&pool->tasks, index);
    }
    worker->queue_first = worker->queue_last = LP_NONE;
}

/* ---- how many --------------------------------------------------------------------------------- */

void lp_prefetch_learn(struct lp_pool *pool, uint64_t run_ns)
{
    uint64_t leap_ns = 4 * pool->run_ns + LP_LEAP_NS;
    if (run_ns >= pool->run_ns)
        pool->run_ns = run_ns < leap_ns ? run_ns : leap_ns;
    else
        pool->run_ns -= (pool->run_ns - run_ns + 7) / 8;
}

/* Its channel has room for so many, and it may run them. */
static uint32_t most_of(const struct lp_worker *worker)
{
    uint32_t left = LP_PREFETCH_MAX;
    if (worker->tasks_limit)
        left = worker->tasks_limit - worker->tasks_done - 1;
    return left < LP_PREFETCH_MAX ? left : LP_PREFETCH_MAX;
}

static uint32_t limit_of(const struct lp_pool *pool, const struct lp_worker *worker)
{
    uint64_t depth = pool->run_ns ? LP_PREFETCH_NS / pool->run_ns : LP_PREFETCH_MAX;
    uint32_t left = most_of(worker);
    if (depth < 2)
        return 0; /* it would only wait */
    return depth < left ? (uint32_t)depth : left;
}

/* What is left of the backlog is shared by all who work. */
static uint32_t depth_of(const struct lp_pool *pool, const struct lp_worker *worker)
{
    uint32_t workers = lp_waiting_others(pool);
    uint32_t share = (pool->tasks.pending + pool->tasks.prefetched + workers - 1) / workers;
    uint32_t limit = limit_of(pool, worker);
    return limit < share ? limit : share;
}

/* ---- to whom ---------------------------------------------------------------------------------- */

/*
 * Waiting in a channel must not break a promise: not about time, and not about size; and a limit of
 * memory is that of one task, which has its worker for itself.
 */
static bool may_be_prefetched(const struct lp_task *task)
{
    return !task->spec.queue_timeout_ns && task->spec.bytes <= LP_PREFETCH_BYTES &&
           !task->spec.memory_limit_bytes;
}

uint64_t lp_prefetch_patience_ns(const struct lp_pool *pool)
{
    return pool->now_ns + (pool->idle_newest == LP_NONE ? LP_PATIENCE_NS : LP_IDLE_PATIENCE_NS);
}

static void be_patient(struct lp_pool *pool, uint32_t slot)
{
    uint64_t patience_ns = lp_prefetch_patience_ns(pool);
    uint64_t deadline_ns = pool->workers[slot].deadline_ns;
    if (pool->workers[slot].queued && (deadline_ns == 0 || deadline_ns > patience_ns))
        lp_worker_set_deadline(pool, slot, patience_ns);
}

bool lp_prefetch_is_held(struct lp_pool *pool)
{
    if (pool->quarantine.count == 0 || pool->tasks.pending == 0)
        return false;
    uint64_t kind = pool->tasks.table[lp_tasks_first(&pool->tasks)].spec.kind;
    return kind && lp_quarantine_holds(&pool->quarantine, kind, pool->now_ns);
}

static bool send_ahead(struct lp_pool *pool, uint32_t slot)
{
    if (lp_prefetch_is_held(pool))
        return false;
    if (!may_be_prefetched(&pool->tasks.table[lp_tasks_first(&pool->tasks)]))
        return false;
    uint32_t index = lp_tasks_prefetch(&pool->tasks, pool->now_ns);
    lp_prefetch_add(pool, slot, index);
    lp_pool_emit(pool, LP_ACTION_ASSIGN, slot)->task = index;
    pool->prefetch_left--;
    pool->made_room = true;
    return true;
}

/* Not behind what takes long to send or to run, and not when it is to leave. */
static bool may_be_sent_more(const struct lp_pool *pool, const struct lp_worker *worker)
{
    return worker->state == LP_WORKER_BUSY && !worker->waiting && !worker->leave &&
           !worker->recalled && worker->asked == LIBPOOL_PENDING &&
           worker->edition == pool->edition && !lp_pool_is_excessive(pool) &&
           lp_admission_is_open(pool) && pool->now_ns - worker->launched_ns <= LP_PREFETCH_NS &&
           may_be_prefetched(&pool->tasks.table[worker->task]);
}

static bool is_soon_done(const struct lp_pool *pool, const struct lp_worker *worker)
{
    return (worker->queued + 1) * pool->run_ns <= LP_WAKE_NS && worker->queued < most_of(worker) &&
           pool->tasks.prefetched < pool->config.backlog_tasks;
}

static bool favours_somebody(const struct lp_pool *pool)
{
    uint32_t slot = pool->favourite;
    return slot != LP_NONE && !(pool->config.driven && pool->idle_newest != LP_NONE) &&
           may_be_sent_more(pool, &pool->workers[slot]);
}

static uint32_t fewer(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint32_t lp_prefetch_allowance(const struct lp_pool *pool, uint64_t *until_ns)
{
    if (pool->tasks.pending || !favours_somebody(pool))
        return 0;
    const struct lp_worker *worker = &pool->workers[pool->favourite];
    bool is_watched = worker->deadline_ns && worker->deadline_ns <= lp_prefetch_patience_ns(pool);
    if (!worker->queued || !is_watched || !is_soon_done(pool, worker))
        return 0;
    uint64_t depth = pool->run_ns ? LP_WAKE_NS / pool->run_ns : LP_PREFETCH_MAX;
    uint32_t most = fewer(most_of(worker),
                          depth < LP_PREFETCH_MAX ? (uint32_t)depth : LP_PREFETCH_MAX);
    uint32_t held = pool->tasks.prefetched + pool->tasks.waiting;
    *until_ns = worker->launched_ns + LP_PREFETCH_NS;
    return held < pool->config.backlog_tasks
               ? fewer(most - worker->queued, pool->config.backlog_tasks - held)
               : 0;
}

bool lp_prefetch_concentrate(struct lp_pool *pool)
{
    if (!favours_somebody(pool))
        return false;
    uint32_t slot = pool->favourite;
    const struct lp_worker *worker = &pool->workers[slot];
    uint32_t before = worker->queued;
    while (pool->tasks.pending && pool->prefetch_left && is_soon_done(pool, worker))
        if (!send_ahead(pool, slot))
            break;
    if (worker->queued == before)
        return false;
    be_patient(pool, slot);
    return true;
}

/* True: it could have taken more. */
static bool fill(struct lp_pool *pool, uint32_t slot)
{
    const struct lp_worker *worker = &pool->workers[slot];
    if (!may_be_sent_more(pool, worker))
        return false; /* its next result makes it hungry again */
    uint32_t depth = depth_of(pool, worker);
    if (worker->queued > depth / 2)
        return false;
    while (worker->queued < depth && pool->prefetch_left && pool->tasks.pending)
        if (!send_ahead(pool, slot))
            break;
    be_patient(pool, slot);
    return worker->queued < depth;
}

void lp_prefetch_mark_hungry(struct lp_pool *pool, uint32_t slot)
{
    struct lp_worker *worker = &pool->workers[slot];
    if (worker->hungry)
        return;
    worker->hungry = true;
    worker->hungry_next = LP_NONE;
    if (pool->hungry_first == LP_NONE)
        pool->hungry_first = slot;
    else
        pool->workers[pool->hungry_last].hungry_next = slot;
    pool->hungry_last = slot;
}

static uint32_t take_hungry(struct lp_pool *pool)
{
    uint32_t slot = pool->hungry_first;
    pool->hungry_first = pool->workers[slot].hungry_next;
    pool->workers[slot].hungry = false;
    return slot;
}

/* Only what is left when every idle worker has got a task. Who could take more comes again. */
void lp_prefetch_settle(struct lp_pool *pool)
{
    if (pool->tasks.pending)
        (void)lp_prefetch_concentrate(pool);
    for (int i = 0; i < LP_FEEDS_PER_STEP && pool->tasks.pending && pool->hungry_first != LP_NONE;
         i++) {
        uint32_t slot = take_hungry(pool);
        if (fill(pool, slot))
            lp_prefetch_mark_hungry(pool, slot);
    }
}

/* ---- the checker ------------------------------------------------------------------------------ */

bool lp_prefetch_check(const struct lp_pool *pool, uint32_t slot)
{
    const struct lp_worker *worker = &pool->workers[slot];
    uint32_t count = 0, last = LP_NONE;
    if (worker->state == LP_WORKER_VACANT)
        return worker->queued == 0;
    for (uint32_t index = worker->queue_first; index != LP_NONE;
         index = pool->tasks.table[index].next) {
        const struct lp_task *task = &pool->tasks.table[index];
        if (task->state != LP_TASK_PREFETCHED || task->slot != slot || task->previous != last)
            return false;
        if (++count > LP_PREFETCH_MAX)
            return false;
        last = index;
    }
    return count == worker->queued && last == worker->queue_last;
}
