/* SPDX-License-Identifier: MIT */
#include "core/tasks.h"

#include <string.h>

size_t lp_tasks_bytes(uint32_t capacity)
{
    return capacity * (sizeof(struct lp_task) + sizeof(struct lp_retry) +
                       sizeof(struct lp_heap_item) + sizeof(uint32_t));
}

void lp_tasks_init(struct lp_tasks *tasks, uint32_t capacity, void *memory)
{
    memset(tasks, 0, sizeof *tasks);
    tasks->capacity = capacity;
    tasks->free_first = LP_NONE;
    tasks->table = memory;
    tasks->retries = (struct lp_retry *)(void *)(tasks->table + capacity);
    tasks->queue_deadlines.items = (struct lp_heap_item *)(void *)(tasks->retries + capacity);
    tasks->queue_deadlines.places = (uint32_t *)(void *)(tasks->queue_deadlines.items + capacity);
    for (uint32_t i = 0; i < LIBPOOL_PRIORITIES; i++)
        tasks->levels[i] = (struct lp_level){LP_NONE, LP_NONE};
}

static uint32_t take_free(struct lp_tasks *tasks)
{
    uint32_t index = tasks->free_first;
    if (index != LP_NONE) {
        tasks->free_first = tasks->table[index].next;
        return index;
    }
    return tasks->untouched < tasks->capacity ? tasks->untouched++ : LP_NONE;
}

uint64_t lp_tasks_queued_ns(const struct lp_tasks *tasks, uint32_t index)
{
    const struct lp_task *task = &tasks->table[index];
    return task->spec.retry ? tasks->retries[index].queued_ns : task->submitted_ns;
}

/* Links a task before `next` (LP_NONE: at the end) of its level. */
static void link_task(struct lp_tasks *tasks, uint32_t index, uint32_t next)
{
    struct lp_task *task = &tasks->table[index];
    struct lp_level *level = &tasks->levels[task->spec.priority];
    task->next = next;
    task->previous = next == LP_NONE ? level->last : tasks->table[next].previous;
    if (task->previous == LP_NONE)
        level->first = index;
    else
        tasks->table[task->previous].next = index;
    if (next == LP_NONE)
        level->last = index;
    else
        tasks->table[next].previous = index;
    tasks->occupied |= UINT64_C(1) << task->spec.priority;
    task->state = LP_TASK_PENDING;
    tasks->pending++;
    tasks->pending_bytes += task->spec.bytes;
    if (task->spec.queue_timeout_ns)
        lp_heap_set(&tasks->queue_deadlines, index,
                    lp_tasks_queued_ns(tasks, index) + task->spec.queue_timeout_ns);
}

static void unlink_task(struct lp_tasks *tasks, uint32_t index)
{
    struct lp_task *task = &tasks->table[index];
    struct lp_level *level = &tasks->levels[task->spec.priority];
    if (task->previous == LP_NONE)
        level->first = task->next;
    else
        tasks->table[task->previous].next = task->next;
    if (task->next == LP_NONE)
        level->last = task->previous;
    else
        tasks->table[task->next].previous = task->previous;
    if (level->first == LP_NONE)
        tasks->occupied &= ~(UINT64_C(1) << task->spec.priority);
    tasks->pending--;
    tasks->pending_bytes -= task->spec.bytes;
    if (task->spec.queue_timeout_ns)
        lp_heap_remove(&tasks->queue_deadlines, index);
}

/* A record that is filled in, and on no list yet; LP_NONE: the table is full. */
static uint32_t fill_in(struct lp_tasks *tasks, const struct lp_task_spec *spec, uint64_t now_ns)
{
    uint32_t index = take_free(tasks);
    if (index == LP_NONE)
        return LP_NONE;
    struct lp_task *task = &tasks->table[index];
    /* By field: to wipe all of it costs more than all else here. */
    task->id = ++tasks->last_id;
    task->slot = task->returns = 0;
    task->doubted = task->launched = false;
    task->spec = *spec;
    task->submitted_ns = now_ns;
    task->assigned_ns = 0;
    if (spec->retry) {
        struct lp_retry *retry = &tasks->retries[index];
        *retry = (struct lp_retry){
            .rule = *spec->retry, .queued_ns = now_ns, .behind_id = tasks->last_id};
        task->spec.retry = &retry->rule;
    }
    return index;
}

uint32_t lp_tasks_add(struct lp_tasks *tasks, const struct lp_task_spec *spec, uint64_t now_ns)
{
    uint32_t index = fill_in(tasks, spec, now_ns);
    if (index != LP_NONE)
        link_task(tasks, index, LP_NONE);
    return index;
}

uint32_t lp_tasks_add_ahead(struct lp_tasks *tasks, const struct lp_task_spec *spec,
                            uint64_t now_ns)
{
    uint32_t index = fill_in(tasks, spec, now_ns);
    if (index == LP_NONE)
        return LP_NONE;
    tasks->table[index].state = LP_TASK_PREFETCHED;
    tasks->table[index].assigned_ns = now_ns;
    tasks->prefetched++;
    return index;
}

/* Of two that are due at the same time the one of the higher level is first. */
static uint32_t first_by_age(const struct lp_tasks *tasks)
{
    uint32_t first = LP_NONE;
    uint64_t first_ns = UINT64_MAX;
    for (uint64_t left = tasks->occupied; left; left &= left - 1) {
        uint32_t priority = (uint32_t)__builtin_ctzll(left);
        uint32_t head = tasks->levels[priority].first;
        uint64_t due_ns = lp_tasks_queued_ns(tasks, head) + priority * tasks->ageing_ns;
        if (due_ns < first_ns) {
            first = head;
            first_ns = due_ns;
        }
    }
    return first;
}

uint32_t lp_tasks_first(const struct lp_tasks *tasks)
{
    if (!tasks->occupied)
        return LP_NONE;
    if (tasks->ageing_ns)
        return first_by_age(tasks);
    return tasks->levels[__builtin_ctzll(tasks->occupied)].first;
}

uint32_t lp_tasks_prefetch(struct lp_tasks *tasks, uint64_t now_ns)
{
    uint32_t index = lp_tasks_first(tasks);
    if (index == LP_NONE)
        return LP_NONE;
    unlink_task(tasks, index);
    tasks->table[index].state = LP_TASK_PREFETCHED;
    tasks->table[index].assigned_ns = now_ns;
    tasks->prefetched++;
    return index;
}

void lp_tasks_start(struct lp_tasks *tasks, uint32_t index)
{
    tasks->table[index].state = LP_TASK_RUNNING;
    tasks->prefetched--;
    tasks->running++;
    tasks->limited += tasks->table[index].spec.memory_limit_bytes != 0;
}

uint32_t lp_tasks_take(struct lp_tasks *tasks, uint64_t now_ns)
{
    uint32_t index = lp_tasks_prefetch(tasks, now_ns);
    if (index != LP_NONE)
        lp_tasks_start(tasks, index);
    return index;
}

static void stop_running(struct lp_tasks *tasks, const struct lp_task *task)
{
    tasks->running--;
    tasks->limited -= task->spec.memory_limit_bytes != 0;
}

/* One that is in a worker. */
static void take_from_worker(struct lp_tasks *tasks, const struct lp_task *task)
{
    if (task->state == LP_TASK_RUNNING)
        stop_running(tasks, task);
    else
        tasks->prefetched--;
}

/* The order of a level: that of submission, but for those that were retried. */
static bool goes_before(const struct lp_tasks *tasks, uint32_t a, uint32_t b)
{
    uint64_t id[2] = {tasks->table[a].id, tasks->table[b].id}, turn[2] = {0, 0};
    const uint32_t index[2] = {a, b};
    for (int i = 0; i < 2; i++)
        if (tasks->table[index[i]].spec.retry) {
            id[i] = tasks->retries[index[i]].behind_id;
            turn[i] = tasks->retries[index[i]].turn;
        }
    return id[0] == id[1] ? turn[0] < turn[1] : id[0] < id[1];
}

void lp_tasks_give_back(struct lp_tasks *tasks, uint32_t index)
{
    struct lp_task *task = &tasks->table[index];
    take_from_worker(tasks, task);
    task->doubted = false;
    uint32_t next = tasks->levels[task->spec.priority].first;
    while (next != LP_NONE && goes_before(tasks, next, index))
        next = tasks->table[next].next; /* others that were returned: no more than workers had */
    link_task(tasks, index, next);
}

static void stop_waiting(struct lp_tasks *tasks, uint32_t index)
{
    tasks->waiting--;
    tasks->pending_bytes -= tasks->table[index].spec.bytes;
    lp_heap_remove(&tasks->queue_deadlines, index);
}

void lp_tasks_end(struct lp_tasks *tasks, uint32_t index, const struct lp_outcome *outcome)
{
    struct lp_task *task = &tasks->table[index];
    if (task->state == LP_TASK_PENDING)
        unlink_task(tasks, index);
    else if (task->state == LP_TASK_WAITING)
        stop_waiting(tasks, index);
    else
        take_from_worker(tasks, task);
    task->state = LP_TASK_ENDED;
    task->outcome = *outcome;
    tasks->ended++;
}

void lp_tasks_free(struct lp_tasks *tasks, uint32_t index)
{
    struct lp_task *task = &tasks->table[index];
    task->state = LP_TASK_FREE;
    task->id = 0;
    task->next = tasks->free_first;
    tasks->free_first = index;
    tasks->ended--;
}

/* ---- another run ---------------------------------------------------------------------------- */

void lp_tasks_retry(struct lp_tasks *tasks, uint32_t index, const struct lp_outcome *outcome)
{
    struct lp_task *task = &tasks->table[index];
    stop_running(tasks, task);
    tasks->waiting++;
    tasks->pending_bytes += task->spec.bytes;
    tasks->retries[index].retried++;
    task->state = LP_TASK_WAITING;
    task->outcome = *outcome;
    task->returns = 0;
    task->doubted = false;
}

void lp_tasks_pause(struct lp_tasks *tasks, uint32_t index, uint64_t until_ns)
{
    lp_heap_set(&tasks->queue_deadlines, index, until_ns);
}

void lp_tasks_resume(struct lp_tasks *tasks, uint32_t index, uint64_t now_ns)
{
    struct lp_retry *retry = &tasks->retries[index];
    stop_waiting(tasks, index);
    retry->queued_ns = now_ns;
    retry->behind_id = tasks->last_id;
    retry->turn = ++tasks->last_turn;
    link_task(tasks, index, LP_NONE);
}

uint32_t lp_tasks_retried(const struct lp_tasks *tasks, uint32_t index)
{
    return tasks->table[index].spec.retry ? tasks->retries[index].retried : 0;
}

uint32_t lp_tasks_overdue(const struct lp_tasks *tasks, uint64_t now_ns)
{
    const struct lp_heap *heap = &tasks->queue_deadlines;
    return lp_heap_first_key(heap) <= now_ns ? heap->items[0].id : LP_NONE;
}

/* Walks one level; false when links, order or states don't fit. Adds what it saw to *count. */
static bool check_level(const struct lp_tasks *tasks, uint32_t priority, uint32_t *count)
{
    uint32_t previous = LP_NONE;
    uint32_t index = tasks->levels[priority].first;
    for (; index != LP_NONE; index = tasks->table[index].next) {
        const struct lp_task *task = &tasks->table[index];
        if (task->state != LP_TASK_PENDING || task->previous != previous)
            return false;
        if (task->spec.priority != priority || ++*count > tasks->capacity)
            return false;
        previous = index;
    }
    bool marked = tasks->occupied >> priority & 1;
    return tasks->levels[priority].last == previous && marked == (previous != LP_NONE);
}

/* Whoever waits is in the heap, or nobody would end the waiting. */
static bool check_waiting(const struct lp_tasks *tasks)
{
    for (uint32_t i = 0; tasks->waiting && i < tasks->untouched; i++)
        if (tasks->table[i].state == LP_TASK_WAITING && !lp_heap_has(&tasks->queue_deadlines, i))
            return false;
    return true;
}

bool lp_tasks_check(const struct lp_tasks *tasks)
{
    uint32_t listed = 0;
    for (uint32_t priority = 0; priority < LIBPOOL_PRIORITIES; priority++)
        if (!check_level(tasks, priority, &listed))
            return false;
    uint32_t states[LP_TASK_STATES] = {0}, limited = 0;
    for (uint32_t i = 0; i < tasks->untouched; i++) {
        states[tasks->table[i].state]++;
        limited += tasks->table[i].state == LP_TASK_RUNNING &&
                   tasks->table[i].spec.memory_limit_bytes;
    }
    return limited == tasks->limited && listed == tasks->pending &&
           states[LP_TASK_WAITING] == tasks->waiting && check_waiting(tasks) &&
           states[LP_TASK_PENDING] == tasks->pending &&
           states[LP_TASK_PREFETCHED] == tasks->prefetched &&
           states[LP_TASK_RUNNING] == tasks->running && states[LP_TASK_ENDED] == tasks->ended;
}
