/* SPDX-License-Identifier: MIT */
/*
 * Each action of the policy is a claim about the world: this task is the next one, this slot is
 * empty, this worker has to die. Here each claim is held against the books, and then entered.
 */
#include "harness/sim_judge.h"

#include <stddef.h>

#define FAIL(...) hn_trace_fail(books->trace, __VA_ARGS__)
#define SOMETIMES(name) books->coverage->sometimes[HN_##name]++

#define RATE_SPAWNS 20u
#define RATE_WINDOW_NS (4000 * LP_MS) /* no more than RATE_SPAWNS in it while everything fails */
#define RATE_RAMP_NS (3000 * LP_MS)   /* the backoff needs so long to reach its longest pause */

/* ---- strength ------------------------------------------------------------------------------- */

static uint32_t strength(const struct hn_books *books)
{
    return hn_books_in(books, LP_WORKER_SPAWNING) + hn_books_in(books, LP_WORKER_STARTING) +
           hn_books_in(books, LP_WORKER_IDLE) + hn_books_in(books, LP_WORKER_BUSY);
}

static bool nobody_can_be_initialised(const struct hn_books *books)
{
    return books->init_failures >= books->config.initializer_failures;
}

/* Who waits for others does not count; who did so while others waited may stay for the next wait. */
static uint32_t most_alive(const struct hn_books *books)
{
    return books->max_workers + books->config.spare_workers + hn_books_waiting(books);
}

static uint32_t most_ready(const struct hn_books *books)
{
    return books->max_workers + books->config.spare_workers + books->config.waiting_workers;
}

static uint32_t ready(const struct hn_books *books)
{
    return hn_books_in(books, LP_WORKER_IDLE) + hn_books_in(books, LP_WORKER_BUSY);
}

static bool is_excess(const struct hn_books *books)
{
    bool is_too_much = books->yield == LP_YIELD_SHARE && ready(books) > books->share;
    return is_too_much || ready(books) > most_ready(books);
}

static uint32_t wanted(const struct hn_books *books)
{
    uint32_t least = books->shutting ? 0 : books->min_workers;
    if (least == 0 && !books->shutting && nobody_can_be_initialised(books))
        least = 1; /* keeps probing */
    uint32_t waiting = hn_books_pending(books) - books->paused;
    if (!hn_books_is_open(books))
        waiting = waiting && hn_books_running(books) == hn_books_waiting(books) ? 1 : 0;
    uint32_t demand = hn_books_in(books, LP_WORKER_BUSY) + waiting;
    if (books->killing || books->down)
        return 0;
    demand = demand < least ? least : demand;
    uint32_t most = books->max_workers + hn_books_waiting(books);
    demand = demand < most ? demand : most;
    if (books->shutting)
        return demand;
    demand += books->config.spare_workers;
    return books->owed && demand < hn_books_as_strong(books) ? hn_books_as_strong(books) : demand;
}

/* ---- spawns ----------------------------------------------------------------------------------- */

static void check_rate(struct hn_books *books, uint64_t times[HN_SPAWNS_KEPT], uint64_t count,
                       const char *what)
{
    uint64_t now_ns = books->now_ns;
    times[count % HN_SPAWNS_KEPT] = books->last_attempt_ns = now_ns;
    if (!books->failing_since_ns || count < RATE_SPAWNS)
        return;
    uint64_t first_ns = times[(count - RATE_SPAWNS) % HN_SPAWNS_KEPT];
    if (first_ns >= books->failing_since_ns + RATE_RAMP_NS && now_ns - first_ns < RATE_WINDOW_NS)
        FAIL("I3: everything fails, and %s goes on more than 5 times a second", what);
}

/* A worker that lives on is a success, whatever becomes of the others. */
static void check_all_fail(struct hn_books *books)
{
    for (uint32_t i = 0; i < books->n_slots; i++)
        if (books->slots[i].state == LP_WORKER_IDLE && books->failing_since_ns &&
            books->now_ns >= books->slots[i].lived_from_ns + LP_STEADY_NS)
            books->failing_since_ns = books->now_ns;
}

/* Of those that serve tasks, or may; where replacements wait, of all that are not gone. */
static bool is_number_taken(const struct hn_books *books, uint32_t number)
{
    enum lp_worker_state last = books->config.exclusive ? LP_WORKER_DEAD : LP_WORKER_BUSY;
    for (uint32_t i = 0; i < books->n_slots; i++)
        if (books->slots[i].state != LP_WORKER_VACANT && books->slots[i].state <= last &&
            books->slots[i].number == number)
            return true;
    return false;
}

/* A replacement has the number of whom it replaces: the lowest that is free. */
static void check_number(struct hn_books *books, uint32_t number)
{
    if (is_number_taken(books, number))
        FAIL("two workers have the number %u", number);
    for (uint32_t lower = 0; lower < number && lower < books->n_slots; lower++)
        if (!is_number_taken(books, lower))
            FAIL("a worker has the number %u, and %u is free", number, lower);
    if (number >= most_ready(books))
        FAIL("a worker has the number %u of %u", number, most_ready(books));
}

/* Beyond it only what it was just granted, and not at the cost of who is below its own. */
static void check_share(struct hn_books *books)
{
    if (!books->config.governed || books->yield == LP_YIELD_NOTHING ||
        hn_books_used(books) < books->share)
        return;
    if (books->yield == LP_YIELD_SHARE || books->fresh == 0)
        FAIL("spawn beyond its share of %u, and others wait", books->share);
    else
        books->fresh--;
}

static void judge_spawn(struct hn_books *books, const struct lp_pool *pool,
                        const struct lp_action *action)
{
    uint32_t number = pool->workers[action->slot].number;
    struct hn_book_slot *slot = &books->slots[action->slot];
    uint32_t occupied = books->n_slots - hn_books_in(books, LP_WORKER_VACANT);
    if (slot->state != LP_WORKER_VACANT)
        FAIL("spawn into slot %u, which is %s", action->slot, lp_worker_state_name(slot->state));
    if (action->generation <= slot->generation)
        FAIL("spawn into slot %u with an old generation", action->slot);
    if (books->zygote != LP_ZYGOTE_UP)
        FAIL("spawn without a zygote");
    if (strength(books) >= wanted(books))
        FAIL("spawn beyond the %u workers wanted", wanted(books));
    if (books->config.governed && hn_books_used(books) >= books->held)
        FAIL("spawn beyond the %u places that it has", books->held);
    check_share(books);
    if (books->config.exclusive && occupied >= most_alive(books))
        FAIL("exclusive: spawn beside %u occupied slots", occupied);
    if (occupied >= most_ready(books))
        SOMETIMES(SPARE_USED);
    check_number(books, number);
    books->coverage->sometimes[HN_NUMBER_INHERITED] += number != action->slot;
    *slot = (struct hn_book_slot){.state = LP_WORKER_SPAWNING,
                                  .generation = action->generation,
                                  .number = number,
                                  .task = LP_NONE,
                                  .edition = books->edition,
                                  .outfit = books->outfit,
                                  .asked_ns = books->now_ns,
                                  .held = LP_NONE,
                                  .since_ns = books->now_ns};
    check_all_fail(books);
    if (!books->zygotes_fail) /* then there is one round of requests for each zygote */
        check_rate(books, books->spawn_times, books->n_spawns++, "spawning");
}

/* ---- assignments -------------------------------------------------------------------------------- */

static uint32_t find_task(struct hn_books *books, const struct lp_pool *pool, uint32_t index)
{
    uint64_t id = pool->tasks.table[index].id;
    if (id > 0 && id <= books->n_tasks && books->tasks[id - 1].index == index)
        return (uint32_t)id - 1;
    FAIL("an action names task %u, which is none", index);
    return 0;
}

/* With ageing, a lower priority is made up for by having been submitted so much earlier. */
static bool goes_before(const struct hn_book_task *a, const struct hn_book_task *b,
                        uint64_t ageing_ns)
{
    if (a->spec.priority == b->spec.priority)
        return a->order < b->order; /* that of submission, but for those that were retried */
    if (!ageing_ns)
        return a->spec.priority < b->spec.priority;
    int64_t lead = ((int64_t)a->spec.priority - (int64_t)b->spec.priority) * (int64_t)ageing_ns;
    int64_t later = (int64_t)(b->queued_ns - a->queued_ns);
    return later == lead ? a->spec.priority < b->spec.priority : later > lead;
}

static void check_order(struct hn_books *books, uint32_t index)
{
    const struct hn_book_task *task = &books->tasks[index];
    uint64_t ageing_ns = books->config.ageing_ns;
    for (uint32_t i = books->oldest; i < books->n_tasks; i++) {
        const struct hn_book_task *other = &books->tasks[i];
        if (other->state != LP_TASK_PENDING)
            continue;
        if (goes_before(other, task, ageing_ns))
            FAIL("task %u was taken before task %u", index + 1, i + 1);
        if (ageing_ns && task->queued_ns > other->queued_ns + 63 * ageing_ns)
            FAIL("task %u starves: task %u, of long after it, was taken first", i + 1, index + 1);
        books->coverage->sometimes[HN_AGED] += other->spec.priority < task->spec.priority;
    }
}

static void check_newest(struct hn_books *books, const struct hn_book_slot *slot)
{
    for (uint32_t i = 0; i < books->n_slots; i++)
        if (books->slots[i].state == LP_WORKER_IDLE &&
            books->slots[i].idle_order > slot->idle_order)
            FAIL("slot %u is not the idle worker that was used last",
                 (unsigned)(slot - books->slots));
}

/* Whoever is handed a task, to run it at once or later. */
static void check_handed(struct hn_books *books, uint32_t index, const struct lp_action *action)
{
    const struct hn_book_slot *slot = &books->slots[action->slot];
    const struct hn_book_task *task = &books->tasks[index];
    uint32_t handed = slot->tasks_done + (slot->task != LP_NONE) + slot->queued;
    bool can = slot->state == LP_WORKER_IDLE || slot->state == LP_WORKER_BUSY;
    if (!can || slot->generation != action->generation)
        FAIL("task %u handed to slot %u, which is %s", index + 1, action->slot,
             lp_worker_state_name(slot->state));
    if (task->state != LP_TASK_PENDING)
        FAIL("task %u handed out, but it was not pending", index + 1);
    if (task->begun)
        FAIL("I7: task %u handed out again after it was begun", index + 1);
    if (books->config.tasks_per_worker && handed >= books->config.tasks_per_worker)
        FAIL("slot %u has got %u tasks and is handed another", action->slot, handed);
    if (slot->aged)
        FAIL("task %u handed to a worker that is too old", index + 1);
    if (slot->orphaned)
        FAIL("task %u handed to a worker whose zygote is lost", index + 1);
    if (slot->leaves)
        FAIL("task %u handed to a worker that has asked to leave", index + 1);
    if (task->retried && task->failed.slot == action->slot &&
        task->failed.generation == slot->generation)
        FAIL("I7: task %u handed again to the worker that failed it", index + 1);
    if (hn_books_holds_kind(books, task->spec.kind))
        FAIL("task %u handed out, and its kind is held", index + 1);
    if (books->cancelling)
        FAIL("task %u handed out after a cancelling shutdown", index + 1);
    if (!hn_books_admits(books))
        FAIL("task %u handed out, and there is no memory for it", index + 1);
    books->coverage->sometimes[HN_ADMISSION_ONE] += !hn_books_is_open(books) && books->scarce;
    check_order(books, index);
}

/* Waking another worker takes longer than this one, the favourite, takes for what it has. */
static bool is_soon_done(const struct hn_books *books, const struct hn_book_slot *slot)
{
    return books->favourite != LP_NONE && slot == &books->slots[books->favourite] &&
           (slot->queued + UINT64_C(1)) * books->least_run_ns <= LP_WAKE_NS;
}

/*
 * Who goes ahead of time must not lose by it: no promise of the task is broken, and who waits does so
 * behind tiny ones only. Who has seen no tiny task can't foresee one.
 */
static void check_ahead(struct hn_books *books, uint32_t index, const struct hn_book_slot *slot)
{
    const struct hn_book_task *task = &books->tasks[index];
    uint32_t busy = hn_books_in(books, LP_WORKER_BUSY), idle = hn_books_in(books, LP_WORKER_IDLE);
    uint32_t active = hn_books_active(books) ? hn_books_active(books) : 1;
    uint32_t share = (hn_books_pending(books) - books->paused + active - 1) / active;
    bool has_free = hn_books_has_free(books);
    uint64_t most_ns = has_free ? LP_WAKE_NS : LP_PREFETCH_NS;
    if (!hn_books_is_open(books))
        FAIL("task %u is sent ahead, and there may be no memory", index + 1);
    if (task->spec.queue_timeout_ns)
        FAIL("task %u has a queue timeout and is sent ahead", index + 1);
    if (task->spec.bytes > LP_PREFETCH_BYTES ||
        books->tasks[slot->task].spec.bytes > LP_PREFETCH_BYTES)
        FAIL("task %u is sent ahead, large or behind a large one", index + 1);
    if (task->spec.memory_limit_bytes || books->tasks[slot->task].spec.memory_limit_bytes)
        FAIL("task %u is sent ahead, and one of two has a memory limit of its own", index + 1);
    if (slot->waiting)
        FAIL("task %u is sent behind one that waits for others", index + 1);
    if (slot->queued >= LP_PREFETCH_MAX)
        FAIL("task %u is one too many in a channel", index + 1);
    if (slot->edition != books->edition)
        FAIL("task %u is sent ahead to a worker that is to be replaced", index + 1);
    if (slot->recalled)
        FAIL("task %u is sent behind what was recalled", index + 1);
    if (idle + busy > most_ready(books) ||
        (books->yield == LP_YIELD_SHARE && idle + busy > books->share))
        FAIL("task %u is sent ahead to one of too many workers", index + 1);
    if (books->least_run_ns == UINT64_MAX ||
        (slot->queued + UINT64_C(1)) * books->least_run_ns > most_ns)
        FAIL("task %u is sent ahead behind %u of %llu ns each at least", index + 1, slot->queued,
             (unsigned long long)books->least_run_ns);
    if (has_free && (books->config.driven || !is_soon_done(books, slot)))
        FAIL("task %u is sent ahead beside an idle worker", index + 1);
    if (slot->queued >= share && !is_soon_done(books, slot))
        FAIL("task %u is more than a fair share of %u", index + 1, share);
    SOMETIMES(PREFETCHED);
    books->coverage->sometimes[HN_PREFETCHED_BESIDE_IDLE] += has_free;
    books->coverage->sometimes[HN_QUEUE_LONG] += slot->queued == 100;
}

static void send_ahead(struct hn_books *books, uint32_t index, struct hn_book_slot *slot)
{
    struct hn_book_task *task = &books->tasks[index];
    check_ahead(books, index, slot);
    if (slot->queued == 0) {
        slot->quiet_ns = books->now_ns;
        slot->beside_ns = 0;
    }
    if (!slot->beside_ns && hn_books_in(books, LP_WORKER_IDLE))
        slot->beside_ns = books->now_ns;
    if (slot->queued < LP_PREFETCH_MAX)
        slot->queue[slot->queued++] = index;
    task->state = LP_TASK_PREFETCHED;
    books->stats.backlog_bytes -= task->spec.bytes;
}

static void judge_assign(struct hn_books *books, const struct lp_pool *pool,
                         const struct lp_action *action)
{
    struct hn_book_slot *slot = &books->slots[action->slot];
    uint32_t index = find_task(books, pool, action->task);
    struct hn_book_task *task = &books->tasks[index];
    check_handed(books, index, action);
    task->slot = action->slot;
    task->assigned_ns = books->now_ns;
    if (slot->state == LP_WORKER_BUSY) {
        send_ahead(books, index, slot);
        return;
    }
    check_newest(books, slot);
    if (is_excess(books))
        FAIL("task %u handed to one of too many workers", index + 1);
    hn_books_launch(books, task);
    books->favourite = action->slot;
    slot->task = index;
    slot->state = LP_WORKER_BUSY;
    slot->since_ns = books->now_ns;
    uint32_t busy = hn_books_in(books, LP_WORKER_BUSY);
    if (hn_books_active(books) > books->max_workers)
        FAIL("task %u makes %u workers busy, %u are allowed", index + 1, hn_books_active(books),
             books->max_workers);
    if (busy > books->stats.max_workers_busy_concurrently)
        books->stats.max_workers_busy_concurrently = busy;
}

/* ---- leaving -------------------------------------------------------------------------------- */

static bool is_recycled(const struct hn_books *books, const struct hn_book_slot *slot)
{
    uint32_t most = books->config.tasks_per_worker;
    uint32_t least = most - most * books->config.jitter_percent / 100;
    return most && slot->tasks_done && slot->tasks_done >= least;
}

static bool is_oldest_idle(const struct hn_books *books, const struct hn_book_slot *slot)
{
    for (uint32_t i = 0; i < books->n_slots; i++)
        if (books->slots[i].state == LP_WORKER_IDLE &&
            books->slots[i].idle_order < slot->idle_order)
            return false;
    return true;
}

/* Somebody else waits for a place, and this worker has nothing to do. */
static bool must_yield(const struct hn_books *books, const struct hn_book_slot *slot)
{
    return books->yield != LP_YIELD_NOTHING && !books->shutting &&
           hn_books_pending(books) == books->paused && slot->state == LP_WORKER_IDLE &&
           ready(books) > lp_places_reserve(books->min_workers);
}

static bool may_shrink(const struct hn_books *books, const struct hn_book_slot *slot)
{
    return !books->shutting && hn_books_pending(books) == books->paused &&
           hn_books_as_strong(books) <= ready(books) &&
           hn_books_in(books, LP_WORKER_IDLE) > books->config.spare_workers &&
           strength(books) > books->min_workers + books->config.spare_workers &&
           is_oldest_idle(books, slot) &&
           books->now_ns >= slot->since_ns + books->config.idle_timeout_ns;
}

/* One less of those that are wanted must leave fewer than `parallel` missing. */
static bool may_be_replaced(const struct hn_books *books, const struct hn_book_slot *slot)
{
    bool outdated = slot->state == LP_WORKER_IDLE && slot->edition != books->edition;
    return outdated && !books->shutting &&
           wanted(books) < ready(books) + (uint64_t)books->recycle_parallel;
}

static bool tells_result(const struct hn_books *books)
{
    return books->call.event && books->call.event->kind == LP_EVENT_RESULT;
}

static void judge_retire(struct hn_books *books, const struct lp_action *action)
{
    struct hn_book_slot *slot = &books->slots[action->slot];
    bool drained = books->shutting && !hn_books_pending(books) && !hn_books_running(books);
    if (slot->state != LP_WORKER_IDLE || slot->generation != action->generation)
        FAIL("slot %u told to leave, but it is %s", action->slot,
             lp_worker_state_name(slot->state));
    if (is_excess(books) && is_oldest_idle(books, slot))
        SOMETIMES(EXCESS_LEFT);
    else if (is_recycled(books, slot))
        SOMETIMES(RECYCLED);
    else if (hn_books_age_may_be_over(books, slot))
        books->coverage->sometimes[tells_result(books) ? HN_AGED_BUSY : HN_AGED_IDLE]++;
    else if (slot->leaves)
        SOMETIMES(ASKED_TO_LEAVE);
    else if (may_be_replaced(books, slot))
        SOMETIMES(OUTDATED_LEFT);
    else if (must_yield(books, slot) && is_oldest_idle(books, slot))
        SOMETIMES(YIELDED);
    else if (may_shrink(books, slot))
        SOMETIMES(SHRUNK);
    else if (!slot->orphaned && !drained && !(books->config.cooperative && books->killing))
        FAIL("slot %u told to leave without a reason", action->slot);
    books->owed += slot->edition != books->edition;
    books->stats.workers_outgrown += slot->outgrown;
    books->coverage->sometimes[HN_OUTGROWN] += slot->outgrown;
    slot->retiring = true;
    slot->state = LP_WORKER_RETIRING;
    slot->since_ns = books->now_ns;
    books->notes_due[LIBPOOL_EVENT_WORKER_RETIRED]++;
}

/* ---- kills ------------------------------------------------------------------------------------ */

/* CANCEL without WAIT kills, once, who runs something; the deadline and the drained end do, too. */
static bool shutdown_may_kill(const struct hn_books *books, const struct hn_book_slot *slot)
{
    const struct lp_event *event = books->call.event;
    bool now = event && event->kind == LP_EVENT_SHUTDOWN && (event->flags & LIBPOOL_CANCEL) &&
               !(event->flags & LIBPOOL_WAIT);
    bool drained = !hn_books_pending(books) && !hn_books_running(books);
    if (books->killing)
        return true;
    if (!books->shutting)
        return false;
    return (now && slot->state != LP_WORKER_IDLE && slot->state != LP_WORKER_RETIRING) ||
           (drained && slot->state == LP_WORKER_STARTING);
}

static bool is_deadline_of(const struct hn_books *books, uint32_t slot)
{
    const struct lp_event *event = books->call.event;
    return event && (event->kind == LP_EVENT_DEADLINE || event->kind == LP_EVENT_RECALLED) &&
           event->slot == slot;
}

/* A task that is not begun in time: its worker is stuck. */
static bool is_stuck(const struct hn_books *books, uint32_t index)
{
    const struct hn_book_slot *slot = &books->slots[index];
    if (slot->state != LP_WORKER_BUSY || slot->task == LP_NONE || !is_deadline_of(books, index))
        return false;
    const struct hn_book_task *task = &books->tasks[slot->task];
    return !task->begun && books->now_ns >= task->launched_ns + books->config.start_timeout_ns;
}

/* ---- asking ------------------------------------------------------------------------------------ */

/* What a deadline of its worker's may have found: it ran for too long, or was silent for too long. */
static uint64_t run_ends_ns(const struct hn_book_task *task)
{
    uint64_t timeout_ns = task->spec.run_timeout_ns;
    return timeout_ns ? task->believed_ns + timeout_ns : UINT64_MAX;
}

static uint64_t silence_ends_ns(const struct hn_books *books, const struct hn_book_task *task)
{
    uint64_t heartbeat_ns = task->spec.heartbeat_ns;
    uint64_t sign_ns = hn_books_last_sign(task, books->now_ns);
    if (!heartbeat_ns || books->slots[task->slot].waiting)
        return UINT64_MAX;
    return (sign_ns > task->waited_ns ? sign_ns : task->waited_ns) + heartbeat_ns;
}

static uint64_t first_ns(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static bool was_silent(const struct hn_books *books, const struct hn_book_task *task)
{
    uint64_t ends_ns = silence_ends_ns(books, task);
    return ends_ns <= books->now_ns && ends_ns < run_ends_ns(task);
}

static bool run_overran(struct hn_books *books, uint32_t index)
{
    const struct hn_book_task *task = &books->tasks[index];
    uint64_t now_ns = books->now_ns;
    if (!task->begun || !is_deadline_of(books, task->slot))
        return false;
    if (run_ends_ns(task) > now_ns && silence_ends_ns(books, task) > now_ns)
        return false;
    SOMETIMES(TIMEOUT);
    if (task->believed_ns != task->begun_ns)
        SOMETIMES(TIMEOUT_UNBELIEVED);
    bool silent = was_silent(books, task);
    books->coverage->sometimes[HN_SILENT] += silent;
    if (silent && hn_books_last_sign(task, now_ns) > task->believed_ns)
        SOMETIMES(SILENT_AFTER_BEATS);
    return true;
}

static bool is_cancelled(const struct hn_books *books, uint32_t index)
{
    uint64_t group = books->call.cancelled_group;
    return books->call.cancelled == index || (group && books->tasks[index].spec.group == group);
}

static bool is_asked(const struct hn_book_task *task)
{
    return task->asked != LIBPOOL_PENDING;
}

/* Of one that was asked. */
static bool grace_has_passed(const struct hn_books *books, const struct hn_book_task *task)
{
    return is_deadline_of(books, task->slot) &&
           books->now_ns >= task->asked_ns + task->spec.grace_ns;
}

/* PENDING: for no reason. */
static libpool_cause why_asked(struct hn_books *books, uint32_t index)
{
    const struct hn_book_slot *slot = &books->slots[books->tasks[index].slot];
    if (is_cancelled(books, index))
        return LIBPOOL_CANCELLED;
    if (run_overran(books, index))
        return LIBPOOL_TIMEOUT;
    books->coverage->sometimes[HN_THREAD_SHUTDOWN] += slot->hurried;
    books->coverage->sometimes[HN_THREAD_NEXT] += slot->hurried && tells_result(books);
    return slot->hurried ? LIBPOOL_SHUTDOWN : LIBPOOL_PENDING;
}

static void judge_ask(struct hn_books *books, const struct lp_pool *pool,
                      const struct lp_action *action)
{
    const struct hn_book_slot *slot = &books->slots[action->slot];
    uint32_t index = find_task(books, pool, action->task);
    struct hn_book_task *task = &books->tasks[index];
    libpool_cause why = why_asked(books, index);
    if (slot->state != LP_WORKER_BUSY || slot->generation != action->generation ||
        slot->task != index || (slot->queued && why != LIBPOOL_SHUTDOWN))
        FAIL("task %u asked to end, but slot %u does not run it alone", index + 1, action->slot);
    if (is_asked(task) || !hn_books_asks(books, task))
        FAIL("task %u asked to end, again or without a grace", index + 1);
    if (why == LIBPOOL_PENDING)
        FAIL("task %u asked to end without a reason", index + 1);
    task->asked = why;
    task->silent = why == LIBPOOL_TIMEOUT && was_silent(books, task);
    task->asked_ns = books->now_ns;
    task->due_ns = why == LIBPOOL_TIMEOUT
                       ? first_ns(run_ends_ns(task), silence_ends_ns(books, task))
                       : 0;
    books->slots[action->slot].sent_signal = task->spec.soft_signal;
    books->slots[action->slot].sent_why = task->asked;
    books->stats.tasks_asked++;
    books->notes_due[LIBPOOL_EVENT_TASK_ASKED]++;
    SOMETIMES(ASKED);
}

/* ---- kills, again ------------------------------------------------------------------------------ */

static void judge_kill(struct hn_books *books, const struct lp_action *action)
{
    struct hn_book_slot *slot = &books->slots[action->slot];
    libpool_cause why = slot->must_kill;
    if (slot->generation != action->generation || slot->state < LP_WORKER_STARTING ||
        slot->state > LP_WORKER_RETIRING)
        FAIL("slot %u killed, but it is %s", action->slot, lp_worker_state_name(slot->state));
    if (books->config.cooperative && why == LIBPOOL_PENDING && slot->state != LP_WORKER_STARTING)
        FAIL("slot %u killed, but it is a thread that can be asked", action->slot);
    if (why == LIBPOOL_PENDING && is_stuck(books, action->slot)) {
        why = LIBPOOL_LOST;
        SOMETIMES(STUCK_START);
    } else if (why == LIBPOOL_PENDING && shutdown_may_kill(books, slot)) {
        why = LIBPOOL_SHUTDOWN;
        books->coverage->sometimes[HN_SHUTDOWN_KILLED] += books->killing;
    }
    if (why == LIBPOOL_PENDING)
        FAIL("slot %u killed without a reason", action->slot);
    if (slot->doom == LIBPOOL_PENDING)
        slot->doom = why;
    slot->must_kill = LIBPOOL_PENDING;
    slot->waiting = false;
    slot->killed_ns = books->now_ns;
    slot->state = LP_WORKER_DYING;
    slot->since_ns = books->now_ns;
    books->notes_due[LIBPOOL_EVENT_WORKER_KILLED]++;
}

/* ---- ends ------------------------------------------------------------------------------------- */

static bool overran_queue(const struct hn_books *books, const struct hn_book_task *task)
{
    return task->spec.queue_timeout_ns &&
           books->now_ns >= task->queued_ns + task->spec.queue_timeout_ns;
}

/* Why a task of the backlog may end. */
static bool pending_may_end(struct hn_books *books, uint32_t index, libpool_cause cause)
{
    const struct hn_book_task *task = &books->tasks[index];
    bool paused = task->state == LP_TASK_WAITING;
    books->coverage->sometimes[HN_CANCEL_PAUSED] += paused && cause == LIBPOOL_CANCELLED;
    books->coverage->sometimes[HN_SHUTDOWN_PAUSED] += paused && cause == LIBPOOL_SHUTDOWN;
    if (paused && cause != LIBPOOL_CANCELLED && cause != LIBPOOL_SHUTDOWN)
        return false;
    bool nobody = hn_books_in(books, LP_WORKER_IDLE) + hn_books_active(books) == 0;
    if (cause == LIBPOOL_CANCELLED)
        return is_cancelled(books, index);
    if (cause == LIBPOOL_SHUTDOWN)
        return books->cancelling || books->killing;
    if (cause == LIBPOOL_QUARANTINED) {
        SOMETIMES(KIND_ENDED);
        check_order(books, index);
        return hn_books_holds_kind(books, task->spec.kind);
    }
    if (cause == LIBPOOL_QUEUE_TIMEOUT) {
        SOMETIMES(QUEUE_TIMEOUT);
        return overran_queue(books, task);
    }
    if (cause != LIBPOOL_INIT_FAILED)
        return false;
    SOMETIMES(UNINITIALISABLE);
    return nobody_can_be_initialised(books) && nobody;
}

static bool gives_up(struct hn_books *books)
{
    bool late = books->killing && books->now_ns >= books->killing_since_ns + LP_KILL_GRACE_NS;
    late = late && !books->config.cooperative;
    books->coverage->sometimes[HN_GAVE_UP_QUEUE] += late;
    return late;
}

/* A killed worker that does not die can't keep its tasks for ever. */
static bool grace_is_over(struct hn_books *books, uint32_t index, libpool_cause cause)
{
    const struct hn_book_task *task = &books->tasks[index];
    const struct hn_book_slot *slot = &books->slots[task->slot];
    bool over = slot->state == LP_WORKER_DYING && slot->doom == cause && slot->grace_ended &&
                books->now_ns >= slot->since_ns + LP_KILL_GRACE_NS;
    books->coverage->sometimes[HN_GRACE_QUEUE] += over && task->state == LP_TASK_PREFETCHED;
    return over;
}

static bool shutdown_may_end(const struct hn_books *books, const struct hn_book_slot *slot)
{
    return books->killing || (books->shutting && shutdown_may_kill(books, slot));
}

/* One that was asked, for whatever reason it is not waited for any more. */
static bool asked_may_end(struct hn_books *books, uint32_t index)
{
    const struct hn_book_task *task = &books->tasks[index];
    const struct hn_book_slot *slot = &books->slots[task->slot];
    bool lives = slot->state == LP_WORKER_BUSY, threads = books->config.cooperative;
    bool passed = lives && !threads && grace_has_passed(books, task);
    bool shut_down = !threads && shutdown_may_end(books, slot);
    books->coverage->sometimes[HN_ASKED_KILLED] += passed;
    books->coverage->sometimes[HN_ASKED_AND_SHUTDOWN] += !passed && shut_down;
    passed = passed || (slot->foretold_ns && grace_has_passed(books, task));
    return passed || shut_down || (!lives && is_cancelled(books, index));
}

/* Its death is long in coming to an end: it overran, or nobody will ever tell. */
static bool torn_may_end(struct hn_books *books, uint32_t index, libpool_cause cause)
{
    const struct hn_book_task *task = &books->tasks[index];
    const struct hn_book_slot *slot = &books->slots[task->slot];
    if (!slot->foretold_ns || !task->begun || !is_deadline_of(books, task->slot))
        return false;
    if (cause == LIBPOOL_TIMEOUT)
        SOMETIMES(KNOWN_OVERRAN);
    else
        SOMETIMES(KNOWN_LOST);
    return cause == LIBPOOL_TIMEOUT ? run_ends_ns(task) <= books->now_ns
                                    : cause == LIBPOOL_LOST && hn_books_gave_up(books, slot);
}

/* Why a task that a worker has may end, when neither result nor death ended it. */
static bool handed_may_end(struct hn_books *books, uint32_t index, libpool_cause cause)
{
    const struct hn_book_task *task = &books->tasks[index];
    const struct hn_book_slot *slot = &books->slots[task->slot];
    bool queued = task->state == LP_TASK_PREFETCHED;
    bool lives = slot->state == LP_WORKER_BUSY;
    bool to_be_asked = lives && hn_books_asks(books, task);
    if (is_asked(task))
        return cause == task->asked && asked_may_end(books, index);
    if (grace_is_over(books, index, cause) || torn_may_end(books, index, cause))
        return true;
    if (cause == LIBPOOL_CANCELLED)
        return is_cancelled(books, index) && !(queued && lives) && !to_be_asked;
    if (cause == LIBPOOL_SHUTDOWN && queued) /* its death tells, but can't be waited for for ever */
        return gives_up(books);
    if (cause == LIBPOOL_SHUTDOWN)
        return !(books->config.cooperative && lives) && shutdown_may_end(books, slot);
    return cause == LIBPOOL_TIMEOUT && !queued && lives && !to_be_asked &&
           run_overran(books, index);
}

static libpool_certainty certainty_due(const struct hn_books *books, uint32_t index, bool pending)
{
    const struct hn_book_task *task = &books->tasks[index];
    if (pending)
        return LIBPOOL_NOT_STARTED;
    if (task->must_end == LIBPOOL_PENDING || !task->must_say_how)
        return LIBPOOL_MAY_HAVE_RUN;
    if (tells_result(books))
        return task->begun ? LIBPOOL_HAS_RUN : LIBPOOL_NOT_STARTED;
    return task->begun || books->call.event->started_id == index + UINT64_C(1)
               ? LIBPOOL_MAY_HAVE_RUN
               : LIBPOOL_NOT_STARTED;
}

/* No worker has it now. */
static bool is_at_home(const struct hn_book_task *task)
{
    return task->state == LP_TASK_PENDING || task->state == LP_TASK_WAITING;
}

static void check_cause(struct hn_books *books, uint32_t index, libpool_cause cause)
{
    bool pending = is_at_home(&books->tasks[index]);
    libpool_cause due = books->tasks[index].must_end;
    if (due != LIBPOOL_PENDING) {
        if (cause != due)
            FAIL("I1: task %u ended as %s, should be %s", index + 1, libpool_cause_name(cause),
                 libpool_cause_name(due));
        return;
    }
    if (!(pending ? pending_may_end(books, index, cause) : handed_may_end(books, index, cause)))
        FAIL("I1: task %u was %s and ended as %s, which nothing explains", index + 1,
             pending ? "pending" : "in a worker", libpool_cause_name(cause));
}

/* The worker's word on its times counts as far as it can be true. */
static bool times_are_told(const struct hn_books *books, const struct hn_book_task *task)
{
    const struct lp_event *event = books->call.event;
    return event && event->kind == LP_EVENT_RESULT && task->must_say_how &&
           event->started_ns >= task->assigned_ns && event->started_ns < event->ended_ns &&
           event->ended_ns <= books->now_ns;
}

static void check_times(struct hn_books *books, uint32_t index, const struct lp_outcome *outcome)
{
    const struct hn_book_task *task = &books->tasks[index];
    bool waited = task->state != LP_TASK_RUNNING;
    bool told = times_are_told(books, task);
    uint64_t begun_ns = waited ? books->now_ns : task->assigned_ns;
    uint64_t ended_ns = books->now_ns;
    if (told) {
        begun_ns = books->call.event->started_ns;
        ended_ns = books->call.event->ended_ns;
    }
    if (!waited) {
        hn_books_time(books, LIBPOOL_HISTOGRAM_WAIT, begun_ns - task->queued_ns);
        hn_books_time(books, LIBPOOL_HISTOGRAM_RUN, ended_ns - begun_ns);
    }
    if (outcome->pending_ns != begun_ns - task->submitted_ns)
        FAIL("task %u waited %llu ns, not %llu", index + 1,
             (unsigned long long)(begun_ns - task->submitted_ns),
             (unsigned long long)outcome->pending_ns);
    if (outcome->running_ns != ended_ns - begun_ns)
        FAIL("task %u ran for %llu ns, not %llu", index + 1,
             (unsigned long long)(ended_ns - begun_ns), (unsigned long long)outcome->running_ns);
}

/* Who had it last. */
static void check_who(struct hn_books *books, uint32_t index, const struct lp_outcome *outcome)
{
    const struct hn_book_task *task = &books->tasks[index];
    bool pending = is_at_home(task);
    uint32_t slot = pending ? LP_NONE : task->slot;
    int pid = pending ? 0 : books->slots[task->slot].pid;
    uint32_t number = pending ? LP_NONE : books->slots[task->slot].number;
    if (pending && task->retried) {
        slot = task->failed.slot;
        pid = task->failed.pid;
        number = task->failed.number;
    }
    if (outcome->number != number)
        FAIL("task %u ended with worker number %u", index + 1, outcome->number);
    if (outcome->slot != slot)
        FAIL("task %u ended on slot %u", index + 1, outcome->slot);
    if (outcome->pid != pid)
        FAIL("task %u ended with pid %d", index + 1, outcome->pid);
}

static void check_certainty(struct hn_books *books, uint32_t index,
                            const struct lp_outcome *outcome, bool retried)
{
    libpool_certainty due = certainty_due(books, index, is_at_home(&books->tasks[index]));
    if (due == LIBPOOL_NOT_STARTED && retried)
        due = LIBPOOL_MAY_HAVE_RUN;
    if (outcome->certainty != due)
        FAIL("I7: task %u ended with certainty %d", index + 1, (int)outcome->certainty);
}

static void check_attempts(struct hn_books *books, uint32_t index, const struct lp_outcome *outcome)
{
    const struct hn_book_task *task = &books->tasks[index];
    if (outcome->attempts != task->retried + !is_at_home(task))
        FAIL("task %u ended after %u runs, %u were retried", index + 1, outcome->attempts,
             task->retried);
    if (outcome->retried_cause != task->retried_cause)
        FAIL("task %u was retried for %s, not %s", index + 1,
             libpool_cause_name(task->retried_cause), libpool_cause_name(outcome->retried_cause));
}

static void check_facts(struct hn_books *books, uint32_t index, const struct lp_outcome *outcome)
{
    const struct hn_book_task *task = &books->tasks[index];
    const struct lp_event *event = books->call.event;
    bool told = event && task->must_say_how; /* by a result or a death */
    check_who(books, index, outcome);
    int untold_code = outcome->cause == LIBPOOL_INIT_FAILED ? books->init_code : 0;
    if (outcome->code != (told ? event->code : untold_code) ||
        outcome->signal != (told ? event->signal : 0) ||
        outcome->core_dumped != (told ? event->core_dumped : 0))
        FAIL("task %u ended with code %d, signal %d", index + 1, outcome->code, outcome->signal);
    /* Also what its worker had begun of its queue, and what its death ended. */
    bool heavy = outcome->cause == LIBPOOL_MEMORY && task->state == LP_TASK_RUNNING;
    if (outcome->memory_bytes != (heavy ? books->slots[task->slot].weight_bytes : 0))
        FAIL("task %u was told another weight than was seen", index + 1);
    if (outcome->memory_limit_bytes != (heavy ? books->slots[task->slot].weigh_limit_bytes : 0))
        FAIL("task %u was told another limit than it had", index + 1);
    bool silent = is_asked(task) ? task->silent
                                 : outcome->cause == LIBPOOL_TIMEOUT && was_silent(books, task);
    if (outcome->silent_ms != (silent ? task->spec.heartbeat_ns / LP_MS : 0))
        FAIL("task %u ended after a silence of %u ms", index + 1, outcome->silent_ms);
    check_times(books, index, outcome);
}

/* Why its worker is killed with it. */
static libpool_cause doom_due(const struct hn_books *books, const struct hn_book_task *task,
                              libpool_cause cause)
{
    bool by_grace = !is_asked(task) || grace_has_passed(books, task);
    return by_grace ? cause : LIBPOOL_SHUTDOWN;
}

/* It is where it was no longer. */
static void leave_place(struct hn_books *books, uint32_t index, libpool_cause cause)
{
    struct hn_book_task *task = &books->tasks[index];
    struct hn_book_slot *slot = task->slot == LP_NONE ? NULL : &books->slots[task->slot];
    libpool_stats *stats = &books->stats;
    if (is_at_home(task)) {
        stats->tasks_pending--;
        stats->backlog_bytes -= task->spec.bytes;
        books->paused -= task->state == LP_TASK_WAITING;
    } else if (task->state == LP_TASK_PREFETCHED) {
        uint32_t place = hn_books_place(books, slot, index + UINT64_C(1));
        stats->tasks_pending--;
        for (uint32_t i = 0; i < place; i++)
            books->tasks[slot->queue[i]].doubted = true;
        if (slot->task != LP_NONE)
            books->tasks[slot->task].doubted = true;
        hn_books_dequeue(slot, place);
    } else {
        stats->tasks_running--;
        slot->last_id = index + UINT64_C(1);
        if (slot->task == index && slot->state == LP_WORKER_BUSY &&
            slot->must_kill == LIBPOOL_PENDING)
            slot->must_kill = doom_due(books, task, cause);
        if (slot->task == index) {
            slot->task = LP_NONE;
            slot->waiting = false;
        }
    }
}

static void enter_end(struct hn_books *books, uint32_t index, libpool_cause cause)
{
    struct hn_book_task *task = &books->tasks[index];
    libpool_stats *stats = &books->stats;
    leave_place(books, index, cause);
    books->coverage->sometimes[HN_RETRIED_WELL] += task->retried && cause == LIBPOOL_COMPLETED;
    books->coverage->sometimes[HN_RETRIED_LAST] += task->rule.limit &&
                                                   task->retried == task->rule.limit &&
                                                   (task->rule.causes & 1u << cause);
    stats->tasks_ended[cause]++;
    stats->tasks_failed += cause != LIBPOOL_COMPLETED && cause != LIBPOOL_CANCELLED &&
                           cause != LIBPOOL_SHUTDOWN;
    books->notes_due[LIBPOOL_EVENT_TASK_ENDED]++;
    books->notes_due[LIBPOOL_EVENT_DRAINED] += !stats->tasks_pending && !stats->tasks_running;
    task->state = LP_TASK_ENDED;
}

/* A death that the task, or what it made of its worker, is to blame for. */
static bool is_its_death(const struct hn_books *books, uint32_t index, libpool_cause cause)
{
    const struct hn_book_task *task = &books->tasks[index];
    if (task->state != LP_TASK_RUNNING)
        return false;
    bool killed = cause == LIBPOOL_TIMEOUT || cause == LIBPOOL_CORRUPT || cause == LIBPOOL_MEMORY;
    bool torn = books->slots[task->slot].foretold_ns && is_deadline_of(books, task->slot);
    if (killed && !task->must_say_how)
        return books->slots[task->slot].state == LP_WORKER_BUSY || torn;
    bool died = cause == LIBPOOL_CRASH || cause == LIBPOOL_EXIT || cause == LIBPOOL_OOM ||
                cause == LIBPOOL_KILLED || (cause == LIBPOOL_TIMEOUT && is_asked(task));
    return died && task->must_say_how && !tells_result(books) &&
           books->call.event->started_id == index + UINT64_C(1);
}

static void blame(struct hn_books *books, uint32_t index, libpool_cause cause)
{
    uint64_t number = books->tasks[index].spec.kind;
    struct hn_book_kind *kind = &books->kinds[number];
    uint64_t period_ns = books->config.quarantine_ns;
    if (!number || !books->config.quarantine_deaths || hn_books_holds_kind(books, number))
        return;
    if (tells_result(books) && books->tasks[index].must_say_how)
        kind->deaths = 0;
    if (!is_its_death(books, index, cause) || ++kind->deaths < books->config.quarantine_deaths)
        return;
    kind->until_ns = period_ns ? books->now_ns + period_ns : UINT64_MAX;
    books->stats.kinds_held++;
    books->notes_due[LIBPOOL_EVENT_KIND_QUARANTINED]++;
    SOMETIMES(KIND_HELD);
}

/* What this call owed it is done. */
static void settle_due(struct hn_books *books, struct hn_book_task *task)
{
    books->must_end -= task->must_end != LIBPOOL_PENDING;
    books->ends++;
    task->must_end = LIBPOOL_PENDING;
    task->must_say_how = false;
}

static void judge_end(struct hn_books *books, const struct lp_pool *pool,
                      const struct lp_action *action)
{
    const struct lp_outcome *outcome = &pool->tasks.table[action->task].outcome;
    uint32_t index = find_task(books, pool, action->task);
    struct hn_book_task *task = &books->tasks[index];
    if (task->state == LP_TASK_FREE || task->state == LP_TASK_ENDED) {
        FAIL("I1: task %u ended twice", index + 1);
        return;
    }
    blame(books, index, outcome->cause);
    if (hn_books_runs_again(books, index, outcome->cause))
        FAIL("task %u ended as %s, and was to run again", index + 1,
             libpool_cause_name(outcome->cause));
    check_cause(books, index, outcome->cause);
    check_facts(books, index, outcome);
    check_certainty(books, index, outcome, task->retried != 0);
    check_attempts(books, index, outcome);
    task->not_started = outcome->certainty == LIBPOOL_NOT_STARTED;
    if (task->not_started && task->begun)
        FAIL("I7: task %u was begun, but is reported as not started", index + 1);
    enter_end(books, index, outcome->cause);
    settle_due(books, task);
}

/* ---- another run ------------------------------------------------------------------------------ */

/* The longest pause before the next run; it may be a quarter shorter. */
static uint64_t pause_of(const struct hn_book_task *task)
{
    uint64_t pause_ns = task->rule.min_ns;
    for (uint32_t i = 1; i < task->retried && pause_ns < task->rule.max_ns; i++)
        pause_ns *= 2;
    return pause_ns < task->rule.max_ns ? pause_ns : task->rule.max_ns;
}

static void fail_run(struct hn_books *books, struct hn_book_task *task, libpool_cause cause,
                     bool answered)
{
    struct hn_book_slot *slot = &books->slots[task->slot];
    task->failed = (struct hn_book_run){.slot = task->slot,
                                        .generation = slot->generation,
                                        .pid = slot->pid,
                                        .number = slot->number,
                                        .begun = task->begun != 0,
                                        .ended_ns = books->now_ns};
    task->retried++;
    task->retried_cause = cause;
    task->state = LP_TASK_WAITING;
    task->begun = task->returns = 0;
    task->doubted = false;
    task->gone_ns = 0;
    books->coverage->sometimes[answered ? HN_RETRIED_RETURNED : HN_RETRIED_ASKED] += is_asked(task);
    task->asked = LIBPOOL_PENDING;
    task->silent = false;
    task->beat_every_ns = task->beats_end_ns = 0;
    if (answered) {
        task->gone_ns = books->now_ns; /* its worker has cleared up after it, and is to leave */
        slot->leaves = true;
    } else {
        slot->held = (uint32_t)(task - books->tasks);
    }
}

static void judge_again(struct hn_books *books, const struct lp_pool *pool,
                        const struct lp_action *action)
{
    const struct lp_outcome *outcome = &pool->tasks.table[action->task].outcome;
    uint32_t index = find_task(books, pool, action->task);
    struct hn_book_task *task = &books->tasks[index];
    blame(books, index, outcome->cause);
    if (task->state != LP_TASK_RUNNING || !hn_books_runs_again(books, index, outcome->cause)) {
        FAIL("I7: task %u is to run again, which it must not", index + 1);
        return;
    }
    check_cause(books, index, outcome->cause);
    check_facts(books, index, outcome);
    check_certainty(books, index, outcome, false);
    settle_due(books, task);
    leave_place(books, index, outcome->cause);
    fail_run(books, task, outcome->cause,
             outcome->cause == LIBPOOL_ERROR || outcome->certainty == LIBPOOL_HAS_RUN);
    books->paused++;
    books->stats.tasks_pending++;
    books->stats.backlog_bytes += task->spec.bytes;
    books->stats.tasks_retried++;
    books->retry_budget -= books->config.retry_percent ? 100 : 0;
    books->notes_due[LIBPOOL_EVENT_TASK_RETRIED]++;
    SOMETIMES(RETRIED);
    books->coverage->sometimes[HN_RETRY_DRAINING] += books->shutting;
}

/* Not before the pause is over, which begins when nothing is left of the run before. */
static void judge_resume(struct hn_books *books, const struct lp_pool *pool,
                         const struct lp_action *action)
{
    uint32_t index = find_task(books, pool, action->task);
    struct hn_book_task *task = &books->tasks[index];
    uint64_t from_ns = task->gone_ns ? task->gone_ns : task->failed.ended_ns + LP_KILL_GRACE_NS;
    uint64_t pause_ns = pause_of(task);
    if (task->state != LP_TASK_WAITING)
        FAIL("task %u goes on, but was not in a pause", index + 1);
    if (books->now_ns < from_ns + pause_ns - pause_ns / 4)
        FAIL("task %u goes on before its pause is over", index + 1);
    books->coverage->sometimes[HN_RETRY_AT_ONCE] += task->gone_ns == 0;
    books->paused--;
    task->state = LP_TASK_PENDING;
    task->order = ++books->order;
    task->queued_ns = books->now_ns;
}

/* ---- memory ------------------------------------------------------------------------------------- */

static bool runs_something(const struct hn_book_slot *slot)
{
    return slot->state == LP_WORKER_STARTING || slot->state == LP_WORKER_BUSY ||
           slot->state == LP_WORKER_RETIRING;
}

/* What the tree of this slot has to be kept to by looking at it; 0: nothing, or the kernel does it. */
static uint64_t weigh_limit(const struct hn_books *books, const struct hn_book_slot *slot)
{
    bool has_task = slot->state == LP_WORKER_BUSY && slot->task != LP_NONE;
    uint64_t own = has_task ? books->tasks[slot->task].spec.memory_limit_bytes : 0;
    return own ? own : books->weighs ? books->config.memory_limit_bytes : 0;
}

static void judge_weigh(struct hn_books *books, const struct lp_action *action)
{
    struct hn_book_slot *slot = &books->slots[action->slot];
    if (books->zygote != LP_ZYGOTE_UP || !weigh_limit(books, slot))
        FAIL("nobody is to weigh slot %u", action->slot);
    if (slot->generation != action->generation || !runs_something(slot))
        FAIL("slot %u to be weighed, but it is %s", action->slot,
             lp_worker_state_name(slot->state));
    if (slot->weighing)
        FAIL("slot %u is weighed again before it has been", action->slot);
    if (books->weighing_ns != books->now_ns && books->now_ns < books->weighing_ns + LP_WEIGH_NS)
        FAIL("slot %u is weighed too soon", action->slot);
    slot->weighing = true;
    slot->weighed_in = slot->state;
    slot->weighed_task = slot->task;
    slot->weigh_limit_bytes = weigh_limit(books, slot);
    books->weighing_ns = books->now_ns;
    SOMETIMES(WEIGHED);
}

static uint32_t missing(const struct hn_books *books)
{
    return wanted(books) > strength(books) ? wanted(books) - strength(books) : 0;
}

/* No more than it could use at once, and only when it changes. */
static void judge_want(struct hn_books *books, uint32_t count)
{
    if (count == books->places_wanted)
        FAIL("%u places are wanted, and that was told", count);
    if (count && books->zygote != LP_ZYGOTE_UP)
        FAIL("places are wanted, and there is no zygote for them");
    if (hn_books_used(books) + missing(books) < books->held + count)
        FAIL("%u places are wanted, %u of %u are used and %u workers are missing", count,
             hn_books_used(books), books->held, missing(books));
    const struct lp_event *event = books->call.event;
    bool granted = event && event->kind == LP_EVENT_PLACES && event->granted;
    if (granted && books->gave && count && books->yield != LP_YIELD_SHARE)
        FAIL("a place is given back as it is granted, and another is wanted");
    SOMETIMES(PLACE_WANTED);
    books->places_wanted = count;
}

static void judge_give(struct hn_books *books, uint32_t count)
{
    if (count == 0 || hn_books_used(books) + count > books->held)
        FAIL("%u places are given back, %u of %u are used", count, hn_books_used(books),
             books->held);
    SOMETIMES(PLACE_GIVEN);
    books->held -= count;
    books->gave = true;
}

/* What it does not use, and has no right to keep for those that it misses, is for others. */
static void places_lateness(struct hn_books *books)
{
    uint32_t used = hn_books_used(books), due = used + missing(books);
    due = due < books->share ? due : books->share;
    if (!books->config.governed)
        return;
    if (books->held > (due > used ? due : used))
        FAIL("%u places are held, %u are used and %u may be kept", books->held, used, due);
    if (used > books->held)
        FAIL("%u places are used, %u are held", used, books->held);
    for (uint32_t i = 0; i < books->n_slots; i++)
        if (must_yield(books, &books->slots[i]))
            FAIL("slot %u is idle, and others wait for its place", i);
    books->coverage->sometimes[HN_PLACE_AWAITED] += books->places_wanted && missing(books);
    books->coverage->sometimes[HN_PLACE_SHARED] += books->yield == LP_YIELD_SHARE &&
                                                   ready(books) == books->share;
}

static void judge_sample(struct hn_books *books)
{
    if (!hn_books_admission_matters(books))
        FAIL("the machine's memory is looked at for nothing");
    if (books->sampling)
        FAIL("the machine's memory is looked at twice");
    if (books->told_ns && books->now_ns < books->told_ns + LP_ADMIT_NS)
        FAIL("the machine's memory is looked at too often");
    books->sampling = true;
}

static bool is_about_worker(libpool_event_kind kind)
{
    return kind == LIBPOOL_EVENT_TASK_LAUNCHED ||
           (kind >= LIBPOOL_EVENT_WORKER_SPAWNED && kind <= LIBPOOL_EVENT_WORKER_EXITED);
}

static void judge_note(struct hn_books *books, const struct lp_action *action)
{
    const libpool_event *note = &action->note;
    books->notes[note->kind]++;
    bool says = note->cause == LIBPOOL_MEMORY;
    if (note->kind == LIBPOOL_EVENT_WORKER_RETIRED && says != books->slots[action->slot].outgrown)
        FAIL("slot %u leaves, and not for the reason that was told", action->slot);
    if (is_about_worker(note->kind) && note->slot != books->slots[action->slot].number)
        FAIL("slot %u is called %u, its number is %u", action->slot, note->slot,
             books->slots[action->slot].number);
}

/* ---- the zygote and the end ------------------------------------------------------------------- */

static void judge_clean(struct hn_books *books, const struct lp_action *action)
{
    const struct hn_book_slot *slot = &books->slots[action->slot];
    if (slot->state != LP_WORKER_DEAD || slot->generation != action->generation)
        FAIL("slot %u to be proven empty, but it is %s", action->slot,
             lp_worker_state_name(slot->state));
    if (books->zygote != LP_ZYGOTE_UP)
        FAIL("no zygote to prove slot %u empty", action->slot);
}

static void judge_zygote_start(struct hn_books *books)
{
    if (books->zygote != LP_ZYGOTE_DOWN)
        FAIL("a second zygote started beside the first");
    if (books->down)
        FAIL("a zygote started after the end");
    books->zygote = LP_ZYGOTE_STARTING;
    books->zygote_since_ns = books->now_ns;
    check_rate(books, books->zygote_times, books->n_zygotes++, "starting zygotes");
}

/* Has the zygote not done in time what this slot's deadline stands for? */
static bool is_mute_about(const struct hn_books *books, uint32_t index)
{
    const struct hn_book_slot *slot = &books->slots[index];
    uint64_t since_ns = slot->since_ns;
    if (!is_deadline_of(books, index))
        return false;
    if (slot->state == LP_WORKER_DEAD && since_ns < books->zygote_since_ns)
        since_ns = books->zygote_since_ns;
    bool asked = slot->state == LP_WORKER_SPAWNING || slot->state == LP_WORKER_DEAD ||
                 (slot->state == LP_WORKER_DYING && !slot->orphaned && !hn_books_holds(slot));
    return asked && books->now_ns >= since_ns + books->config.start_timeout_ns;
}

static void judge_zygote_drop(struct hn_books *books)
{
    const struct lp_event *event = books->call.event;
    bool mute = event && event->kind < LP_WORKER_EVENTS && is_mute_about(books, event->slot);
    bool no_hello = books->zygote == LP_ZYGOTE_STARTING &&
                    books->now_ns >= books->zygote_since_ns + LP_HELLO_WAIT_NS;
    if (no_hello)
        SOMETIMES(HELLO_OVERRAN);
    else if (books->must_drop)
        SOMETIMES(STATUS_OVERRAN);
    else if (books->zygote == LP_ZYGOTE_UP && mute)
        books->coverage
            ->sometimes[books->slots[event->slot].state == LP_WORKER_SPAWNING ? HN_SPAWN_OVERRAN
                                                                              : HN_PROOF_OVERRAN]++;
    else
        FAIL("zygote dropped without a reason");
    books->zygote = LP_ZYGOTE_DROPPED;
    books->weighs = false;
    books->must_drop = false;
}

static void judge_down(struct hn_books *books)
{
    bool proven = hn_books_in(books, LP_WORKER_VACANT) == books->n_slots;
    bool gave_up = books->killing && books->now_ns >= books->killing_since_ns + LP_KILL_GRACE_NS;
    gave_up = gave_up && !books->config.cooperative; /* a thread can't be left alone */
    if (!books->shutting || books->down)
        FAIL("down without a shutdown, or twice");
    if (!proven && !gave_up)
        FAIL("down before all is proven gone");
    if (!proven)
        SOMETIMES(GAVE_UP);
    else if (!books->cancelling && !books->killing)
        SOMETIMES(DRAINED);
    books->down = true;
    books->notes_due[LIBPOOL_EVENT_SHUTDOWN_DONE]++;
}

void hn_books_action(struct hn_books *books, const struct lp_pool *pool,
                     const struct lp_action *action)
{
    bool about_slot = action->kind <= LP_ACTION_WEIGH;
    if (about_slot && action->slot >= books->n_slots) {
        FAIL("an action about slot %u, which there is not", action->slot);
        return;
    }
    if (books->down && action->kind != LP_ACTION_NOTE)
        FAIL("action %d after the end", (int)action->kind);
    switch (action->kind) {
    case LP_ACTION_SPAWN: judge_spawn(books, pool, action); return;
    case LP_ACTION_ASSIGN: judge_assign(books, pool, action); return;
    case LP_ACTION_RETIRE: judge_retire(books, action); return;
    case LP_ACTION_ASK: judge_ask(books, pool, action); return;
    case LP_ACTION_KILL: judge_kill(books, action); return;
    case LP_ACTION_CLEAN: judge_clean(books, action); return;
    case LP_ACTION_WEIGH: judge_weigh(books, action); return;
    case LP_ACTION_END: judge_end(books, pool, action); return;
    case LP_ACTION_ROOM: books->room_told = true; return;
    case LP_ACTION_ZYGOTE_START: judge_zygote_start(books); return;
    case LP_ACTION_ZYGOTE_DROP: judge_zygote_drop(books); return;
    case LP_ACTION_NOTE: judge_note(books, action); return;
    case LP_ACTION_DOWN: judge_down(books); return;
    case LP_ACTION_RETRY: judge_again(books, pool, action); return;
    case LP_ACTION_RESUME: judge_resume(books, pool, action); return;
    case LP_ACTION_SAMPLE: judge_sample(books); return;
    case LP_ACTION_WANT: judge_want(books, action->count); return;
    case LP_ACTION_GIVE: judge_give(books, action->count); return;
    case LP_ACTIONS: return;
    }
}

/* ---- lateness --------------------------------------------------------------------------------- */

static bool late(const struct hn_books *books, uint64_t since_ns, uint64_t limit_ns)
{
    return books->now_ns > since_ns + limit_ns + books->slack_ns;
}

static void queue_lateness(struct hn_books *books, const struct hn_book_slot *slot)
{
    if (slot->queued && late(books, slot->quiet_ns, LP_PATIENCE_NS))
        FAIL("%u tasks wait for slot %u, which has not answered for long", slot->queued,
             (unsigned)(slot - books->slots));
    if (slot->queued && slot->beside_ns && late(books, slot->beside_ns, LP_IDLE_PATIENCE_NS))
        FAIL("%u tasks wait for slot %u, and somebody was idle", slot->queued,
             (unsigned)(slot - books->slots));
}

static void busy_lateness(struct hn_books *books, const struct hn_book_slot *slot)
{
    if (slot->task == LP_NONE)
        return; /* has failed already */
    const struct hn_book_task *task = &books->tasks[slot->task];
    uint64_t limit_ns = task->spec.run_timeout_ns;
    /* Begun before its turn was told: the time until then can't be held against anybody. */
    uint64_t since_ns = task->begun_ns > task->launched_ns ? task->begun_ns : task->launched_ns;
    uint64_t sign_ns = hn_books_last_sign(task, books->now_ns);
    if (sign_ns < task->waited_ns)
        sign_ns = task->waited_ns;
    if (sign_ns < since_ns) /* of one that lies about its start nothing is known before that */
        sign_ns = since_ns;
    bool threads = books->config.cooperative;
    if (is_asked(task)) {
        if (!threads && late(books, task->asked_ns, task->spec.grace_ns))
            FAIL("the grace of task %u is over", slot->task + 1);
        books->coverage->sometimes[HN_THREAD_DEAF] += threads &&
                                                      late(books, task->asked_ns, 2000 * LP_MS);
        queue_lateness(books, slot);
        return;
    }
    if (task->begun && limit_ns && late(books, since_ns, limit_ns))
        FAIL("task %u overran its run timeout", slot->task + 1);
    if (task->begun && task->spec.heartbeat_ns && !slot->waiting &&
        late(books, sign_ns, task->spec.heartbeat_ns))
        FAIL("task %u was silent for too long", slot->task + 1);
    bool starved = !task->begun && late(books, task->launched_ns, books->config.start_timeout_ns);
    books->coverage->sometimes[HN_THREAD_STARVED] += threads && starved;
    if (starved && !threads)
        FAIL("task %u is not begun, and nothing is done about it", slot->task + 1);
    queue_lateness(books, slot);
}

/* Whoever runs something has been weighed not long ago. */
static void weight_lateness(struct hn_books *books, const struct hn_book_slot *slot)
{
    uint64_t since_ns = slot->since_ns > slot->weighed_ns ? slot->since_ns : slot->weighed_ns;
    if (since_ns < books->zygote_since_ns)
        since_ns = books->zygote_since_ns;
    if (books->zygote == LP_ZYGOTE_UP && runs_something(slot) && weigh_limit(books, slot) &&
        !slot->weighing && late(books, since_ns, LP_WEIGH_NS))
        FAIL("slot %u is %s, and nobody looks at its memory", (unsigned)(slot - books->slots),
             lp_worker_state_name(slot->state));
}

/* What nobody of a pool of threads can hasten: the start of one, its last steps, and its end. */
static bool takes_its_time(struct hn_books *books, const struct hn_book_slot *slot)
{
    bool does = slot->state == LP_WORKER_SPAWNING || slot->state == LP_WORKER_DEAD ||
                (slot->state == LP_WORKER_DYING && !hn_books_holds(slot));
    bool is_zygotes = slot->state == LP_WORKER_SPAWNING || slot->state == LP_WORKER_DEAD;
    bool may = books->config.cooperative && does;
    books->coverage->sometimes[HN_THREAD_SLOW_ZYGOTE] +=
        may && is_zygotes && late(books, slot->since_ns, books->config.start_timeout_ns);
    return may;
}

/* Its death is foretold: what it runs has its limits as before, and others. */
static void torn_lateness(struct hn_books *books, const struct hn_book_slot *slot)
{
    if (!slot->foretold_ns || slot->task == LP_NONE)
        return;
    const struct hn_book_task *task = &books->tasks[slot->task];
    uint64_t since_ns = task->begun_ns > task->launched_ns ? task->begun_ns : task->launched_ns;
    uint64_t limit_ns = task->spec.run_timeout_ns;
    uint64_t wait_ns = LP_TEAR_DOWN_WAITS * books->config.start_timeout_ns;
    if (is_asked(task) && late(books, task->asked_ns, task->spec.grace_ns))
        FAIL("the grace of task %u is over, and its worker long dead", slot->task + 1);
    if (task->begun && limit_ns && !is_asked(task) && late(books, since_ns, limit_ns))
        FAIL("task %u overran its run timeout in dead hands", slot->task + 1);
    if (!is_asked(task) && late(books, slot->foretold_ns, wait_ns))
        FAIL("task %u waits for a death without end", slot->task + 1);
}

static void slot_lateness(struct hn_books *books, const struct hn_book_slot *slot)
{
    const struct lp_pool_config *config = &books->config;
    uint64_t limit_ns = UINT64_MAX / 2;
    switch (slot->state) {
    case LP_WORKER_SPAWNING:
        limit_ns = books->zygote == LP_ZYGOTE_UP ? config->start_timeout_ns : limit_ns;
        break;
    case LP_WORKER_STARTING: limit_ns = config->initializer_timeout_ns; break;
    case LP_WORKER_RETIRING: limit_ns = config->finalizer_timeout_ns; break;
    case LP_WORKER_GONE:
        torn_lateness(books, slot);
        if (slot->orphaned)
            limit_ns = LP_STATUS_WAIT_NS;
        else if (books->zygote == LP_ZYGOTE_UP)
            limit_ns = config->start_timeout_ns;
        break;
    case LP_WORKER_BUSY: busy_lateness(books, slot); break;
    case LP_WORKER_IDLE:
        if (may_be_replaced(books, slot))
            FAIL("slot %u is idle, outdated, and could be replaced",
                 (unsigned)(slot - books->slots));
        books->coverage->sometimes[HN_OUTDATED_KEPT] += slot->edition != books->edition;
        if (may_shrink(books, slot))
            limit_ns = config->idle_timeout_ns;
        if (hn_books_age_over(books, slot) &&
            late(books, slot->ready_ns + LP_STEADY_NS, config->max_age_ns))
            FAIL("slot %u is idle beyond its age", (unsigned)(slot - books->slots));
        break;
    case LP_WORKER_DYING:
        if (hn_books_holds(slot))
            limit_ns = LP_KILL_GRACE_NS;
        else if (books->zygote == LP_ZYGOTE_UP && !slot->orphaned && !slot->unproven)
            limit_ns = LP_KILL_GRACE_NS + config->start_timeout_ns;
        break;
    case LP_WORKER_DEAD:
        if (books->zygote == LP_ZYGOTE_UP && !slot->unproven &&
            slot->since_ns >= books->zygote_since_ns)
            limit_ns = config->start_timeout_ns;
        break;
    case LP_WORKER_VACANT:
    case LP_WORKER_STATES: break;
    }
    if (!takes_its_time(books, slot) && late(books, slot->since_ns, limit_ns))
        FAIL("slot %u is %s for too long", (unsigned)(slot - books->slots),
             lp_worker_state_name(slot->state));
}

static void pause_lateness(struct hn_books *books, uint32_t index)
{
    const struct hn_book_task *task = &books->tasks[index];
    uint64_t from_ns = task->gone_ns ? task->gone_ns : task->failed.ended_ns + LP_KILL_GRACE_NS;
    if (late(books, from_ns, pause_of(task)))
        FAIL("I3: task %u is in a pause for too long", index + 1);
    if (books->paused == hn_books_pending(books) && !hn_books_running(books))
        SOMETIMES(ALL_PAUSED);
}

/* Nobody waits for long without a look. */
static void admission_lateness(struct hn_books *books)
{
    bool matters = hn_books_admission_matters(books);
    if (matters && !books->sampling &&
        (!books->told_ns || late(books, books->told_ns, LP_ADMIT_NS)))
        FAIL("tasks wait, and nobody looks at the machine's memory");
    books->coverage->sometimes[HN_ADMISSION_CLOSED] += matters && books->scarce;
    books->coverage->sometimes[HN_ADMISSION_STALE] += matters && !books->scarce &&
                                                      !hn_books_is_open(books);
}

/* What workers were given last is tried at once, whatever came of the one before. */
static void outfit_lateness(struct hn_books *books)
{
    bool may = books->zygote == LP_ZYGOTE_UP && !books->config.governed &&
               !books->config.exclusive && hn_books_in(books, LP_WORKER_VACANT);
    for (uint32_t i = 0; i < books->n_slots; i++)
        may = may && (books->slots[i].state == LP_WORKER_VACANT ||
                      books->slots[i].outfit != books->outfit);
    if (books->hopes && may && strength(books) < wanted(books))
        FAIL("nobody is started in a new outfit");
}

void hn_judge_lateness(struct hn_books *books)
{
    if (is_excess(books) && hn_books_in(books, LP_WORKER_IDLE))
        FAIL("an idle worker stays beyond max_workers and its spares");
    if (books->config.exclusive && strength(books) < wanted(books) &&
        books->n_slots - hn_books_in(books, LP_WORKER_VACANT) >= most_alive(books))
        SOMETIMES(EXCLUSIVE_WAIT);
    for (uint32_t i = 0; i < books->n_slots; i++) {
        slot_lateness(books, &books->slots[i]);
        weight_lateness(books, &books->slots[i]);
    }
    for (uint32_t i = books->oldest; i < books->n_tasks; i++) {
        const struct hn_book_task *task = &books->tasks[i];
        if (task->state == LP_TASK_PENDING && task->spec.queue_timeout_ns &&
            late(books, task->queued_ns, task->spec.queue_timeout_ns))
            FAIL("task %u overran its queue timeout", i + 1);
        if (task->state == LP_TASK_WAITING)
            pause_lateness(books, i);
    }
    admission_lateness(books);
    outfit_lateness(books);
    places_lateness(books);
    if (books->shutting && !books->killing && books->deadline_ns &&
        late(books, books->deadline_ns, 0))
        FAIL("the shutdown's deadline has passed");
    if (books->config.cooperative)
        return;
    if (books->killing && late(books, books->killing_since_ns, LP_KILL_GRACE_NS))
        FAIL("not down in time");
    if (books->zygote == LP_ZYGOTE_STARTING &&
        late(books, books->zygote_since_ns, LP_HELLO_WAIT_NS))
        FAIL("a zygote without a hello is waited for");
}
