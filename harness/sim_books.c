/* SPDX-License-Identifier: MIT */
/*
 * Facts first: what an event means for the books before the policy has said a word, and what has to
 * be true after it has. The judging of single actions is in sim_judge.c.
 */
#include "harness/sim_books.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "core/histogram.h"
#include "harness/sim_judge.h"

#define FAIL(...) hn_trace_fail(books->trace, __VA_ARGS__)

void hn_books_init(struct hn_books *books, const struct lp_pool_config *config,
                   struct hn_trace *trace, struct hn_sim_coverage *coverage)
{
    size_t tail = offsetof(struct hn_books, slots);
    memset((char *)books + tail, 0, sizeof *books - tail);
    books->trace = trace;
    books->coverage = coverage;
    books->config = *config;
    books->min_workers = config->min_workers;
    books->max_workers = config->max_workers;
    books->n_slots = lp_pool_slots(config);
    books->slack_ns = 0;
    books->n_tasks = books->oldest = 0;
    for (uint32_t i = 0; i < HN_BOOK_SLOTS; i++)
        books->slots[i].task = books->slots[i].held = LP_NONE;
    books->retry_budget = 100 * LP_RETRY_FLOOR;
    books->favourite = books->died_slot = LP_NONE;
    books->least_run_ns = UINT64_MAX;
    books->edition = 1;
}

uint32_t hn_books_in(const struct hn_books *books, enum lp_worker_state state)
{
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < books->n_slots; slot++)
        count += books->slots[slot].state == state;
    return count;
}

void hn_books_recycle(struct hn_books *books, uint32_t parallel)
{
    books->coverage->sometimes[HN_RECYCLED_AGAIN] += hn_books_outdated(books) != 0;
    books->edition++;
    books->recycle_parallel = parallel;
    books->notes_due[LIBPOOL_EVENT_RECYCLE_BEGUN]++;
}

void hn_books_dress(struct hn_books *books)
{
    uint64_t now_ns = books->trace->now_ns; /* between two calls */
    books->coverage->sometimes[HN_DRESSED_HOPELESS] += books->init_failures >=
                                                       books->config.initializer_failures;
    books->outfit++;
    books->init_failures = 0;
    bool rested = !books->dressed_ns || now_ns - books->dressed_ns >= books->config.backoff_max_ns;
    books->hopes = books->stats.spawns_failed == 0 && rested;
    books->dressed_ns = now_ns;
}

static bool is_outdated(const struct hn_books *books, const struct hn_book_slot *slot)
{
    return slot->edition != books->edition;
}

uint32_t hn_books_outdated(const struct hn_books *books)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < books->n_slots; i++)
        count += is_outdated(books, &books->slots[i]) &&
                 books->slots[i].state >= LP_WORKER_SPAWNING &&
                 books->slots[i].state <= LP_WORKER_BUSY;
    return count;
}

uint32_t hn_books_as_strong(const struct hn_books *books)
{
    uint32_t strong = hn_books_in(books, LP_WORKER_IDLE) + hn_books_in(books, LP_WORKER_BUSY) +
                      books->owed;
    uint32_t most = books->max_workers + books->config.spare_workers +
                    books->config.waiting_workers;
    return strong < most ? strong : most;
}

uint32_t hn_books_waiting(const struct hn_books *books)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < books->n_slots; i++)
        count += books->slots[i].waiting;
    return count;
}

uint32_t hn_books_active(const struct hn_books *books)
{
    return hn_books_in(books, LP_WORKER_BUSY) - hn_books_waiting(books);
}

bool hn_books_has_free(const struct hn_books *books)
{
    return hn_books_in(books, LP_WORKER_IDLE) && hn_books_active(books) < books->max_workers;
}

uint32_t hn_books_used(const struct hn_books *books)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < books->n_slots; i++)
        count += books->slots[i].state >= LP_WORKER_SPAWNING &&
                 books->slots[i].state <= LP_WORKER_GONE && !books->slots[i].grace_ended;
    return count;
}

bool hn_books_is_open(const struct hn_books *books)
{
    bool holds = books->told_ns && books->trace->now_ns < books->told_ns + LP_ADMIT_NS;
    return !books->config.admits || (holds && !books->scarce);
}

bool hn_books_admits(const struct hn_books *books)
{
    return hn_books_is_open(books) || hn_books_running(books) == hn_books_waiting(books);
}

bool hn_books_admission_matters(const struct hn_books *books)
{
    return books->config.admits && hn_books_backlog(books) && !books->killing && !books->down &&
           hn_books_active(books) < books->max_workers;
}

uint32_t hn_books_pending(const struct hn_books *books)
{
    return (uint32_t)books->stats.tasks_pending;
}

uint32_t hn_books_backlog(const struct hn_books *books)
{
    uint32_t count = hn_books_pending(books) - books->paused;
    for (uint32_t slot = 0; slot < books->n_slots; slot++)
        count -= books->slots[slot].queued;
    return count;
}

uint32_t hn_books_running(const struct hn_books *books)
{
    return (uint32_t)books->stats.tasks_running;
}

bool hn_books_asks(const struct hn_books *books, const struct hn_book_task *task)
{
    return books->config.cooperative || task->spec.grace_ns;
}

bool hn_books_holds(const struct hn_book_slot *slot)
{
    return slot->task != LP_NONE || slot->queued;
}

bool hn_books_holds_kind(struct hn_books *books, uint64_t number)
{
    struct hn_book_kind *kind = &books->kinds[number];
    uint64_t now_ns = books->trace->now_ns;
    if (kind->until_ns && now_ns >= kind->until_ns) {
        *kind = (struct hn_book_kind){.deaths = books->config.quarantine_deaths - 1};
        books->coverage->sometimes[HN_KIND_TRIED]++;
    }
    return kind->until_ns != 0;
}

bool hn_books_runs_again(struct hn_books *books, uint32_t index, libpool_cause cause)
{
    const struct hn_book_task *task = &books->tasks[index];
    bool late = books->shutting && books->deadline_ns && books->now_ns >= books->deadline_ns;
    bool ending = late || books->cancelling || books->killing || books->down;
    bool wanted = task->state == LP_TASK_RUNNING && task->retried < task->rule.limit &&
                  (task->rule.causes & 1u << cause);
    bool lives = cause == LIBPOOL_CORRUPT || cause == LIBPOOL_LOST; /* if it is a thread */
    wanted = wanted && !(books->config.cooperative && lives);
    if (!wanted || ending || hn_books_holds_kind(books, task->spec.kind))
        return false;
    books->coverage->sometimes[HN_RETRY_CANCELLED] += task->cancelled;
    if (task->cancelled)
        return false;
    bool affordable = books->config.retry_percent == 0 || books->retry_budget >= 100;
    books->coverage->sometimes[HN_RETRY_REFUSED] += !affordable;
    return affordable;
}

/* ---- what waits in a worker's channel ----------------------------------------------------------- */

uint32_t hn_books_place(const struct hn_books *books, const struct hn_book_slot *slot,
                        uint64_t task_id)
{
    (void)books;
    for (uint32_t i = 0; i < slot->queued; i++)
        if (slot->queue[i] + UINT64_C(1) == task_id)
            return i;
    return LP_NONE;
}

void hn_books_dequeue(struct hn_book_slot *slot, uint32_t place)
{
    slot->queued--;
    memmove(&slot->queue[place], &slot->queue[place + 1],
            (slot->queued - place) * sizeof slot->queue[0]);
}

void hn_books_launch(struct hn_books *books, struct hn_book_task *task)
{
    if (task->state == LP_TASK_PENDING)
        books->stats.backlog_bytes -= task->spec.bytes;
    books->stats.tasks_pending--;
    books->stats.tasks_running++;
    books->stats.tasks_launched += !task->launched;
    books->notes_due[LIBPOOL_EVENT_TASK_LAUNCHED]++;
    task->launched = true;
    task->state = LP_TASK_RUNNING;
    task->launched_ns = books->now_ns;
    task->waited_ns = 0;
}

/* All from a place on goes back to the backlog. */
static void give_back(struct hn_books *books, struct hn_book_slot *slot, uint32_t from)
{
    while (slot->queued > from) {
        struct hn_book_task *task = &books->tasks[slot->queue[--slot->queued]];
        task->state = LP_TASK_PENDING;
        task->doubted = false;
        books->stats.backlog_bytes += task->spec.bytes;
    }
}

/* ---- facts ---------------------------------------------------------------------------------- */

/* A task is begun before the result of the one before it is told: in the order of sending. */
static void check_turn(struct hn_books *books, uint32_t index)
{
    const struct hn_book_slot *slot = &books->slots[books->tasks[index].slot];
    const struct hn_book_task *running = slot->task == LP_NONE ? NULL : &books->tasks[slot->task];
    bool declined = running && running->asked != LIBPOOL_PENDING; /* it may have been */
    if (running && !running->begun && !declined)
        FAIL("task %u begun before task %u, which its worker was to run first", index + 1,
             slot->task + 1);
    for (uint32_t i = 0; i < slot->queued && slot->queue[i] != index; i++)
        if (!books->tasks[slot->queue[i]].begun)
            FAIL("task %u begun before task %u, which was sent first", index + 1,
                 slot->queue[i] + 1);
    books->coverage->sometimes[HN_BEGUN_AHEAD]++;
}

uint64_t hn_books_last_sign(const struct hn_book_task *task, uint64_t now_ns)
{
    uint64_t first_ns = task->believed_ns;
    uint64_t last_ns = now_ns < task->beats_end_ns ? now_ns : task->beats_end_ns;
    if (!task->beat_every_ns || last_ns <= first_ns)
        return first_ns;
    return last_ns - (last_ns - first_ns) % task->beat_every_ns;
}

bool hn_books_gave_up(const struct hn_books *books, const struct hn_book_slot *slot)
{
    uint64_t wait_ns = LP_TEAR_DOWN_WAITS * books->config.start_timeout_ns;
    return slot->foretold_ns && books->now_ns >= slot->foretold_ns + wait_ns;
}

/* A worker that is being killed may still begin what it was sent: that run has failed already. */
static bool is_failed_run(const struct hn_books *books, const struct hn_book_task *task,
                          uint32_t slot)
{
    return task->retried && task->failed.slot == slot &&
           task->failed.generation == books->slots[slot].generation;
}

static void begun_late(struct hn_books *books, struct hn_book_task *task)
{
    if (task->failed.begun)
        FAIL("I7: task %u was begun again by a worker that lost it",
             (unsigned)(task - books->tasks) + 1);
    task->failed.begun = true;
    books->coverage->sometimes[HN_BEGUN_IN_KILL]++;
}

void hn_books_begun(struct hn_books *books, uint64_t task_id, uint32_t slot, uint64_t believed_ns)
{
    struct hn_book_task *task = &books->tasks[task_id - 1];
    if (task->runs++ > task->rule.limit)
        FAIL("I7: task %llu was begun %u times", (unsigned long long)task_id, task->runs);
    if (is_failed_run(books, task, slot)) {
        begun_late(books, task);
        return;
    }
    if (task->state == LP_TASK_WAITING)
        FAIL("I7: task %llu begun in its pause", (unsigned long long)task_id);
    if (task->begun++)
        FAIL("I7: task %llu was begun twice", (unsigned long long)task_id);
    if (task->not_started)
        FAIL("I7: task %llu was reported as not started", (unsigned long long)task_id);
    bool handed = task->state == LP_TASK_RUNNING || task->state == LP_TASK_PREFETCHED;
    if (handed && task->slot != slot)
        FAIL("I7: task %llu begun by another worker", (unsigned long long)task_id);
    if (task->state == LP_TASK_PENDING)
        FAIL("I7: task %llu begun while in the backlog", (unsigned long long)task_id);
    if (task->state == LP_TASK_ENDED)
        books->coverage->sometimes[HN_BEGUN_IN_KILL]++;
    if (task->state == LP_TASK_PREFETCHED)
        check_turn(books, (uint32_t)task_id - 1);
    task->begun_ns = books->trace->now_ns;
    task->believed_ns = believed_ns;
}

void hn_books_released(struct hn_books *books, uint32_t index)
{
    books->tasks[index].state = LP_TASK_FREE;
    while (books->oldest < books->n_tasks && books->tasks[books->oldest].state == LP_TASK_FREE)
        books->oldest++;
}

static uint32_t unreleased(const struct hn_books *books)
{
    uint32_t count = 0;
    for (uint32_t i = books->oldest; i < books->n_tasks; i++)
        count += books->tasks[i].state != LP_TASK_FREE;
    return count;
}

static bool has_room(const struct hn_books *books, uint64_t bytes)
{
    return hn_books_pending(books) < books->config.backlog_tasks &&
           books->stats.backlog_bytes + bytes <= books->config.backlog_bytes;
}

/* A task that an idle worker will run at once needs no room. */
static bool is_welcome(const struct hn_books *books, uint64_t bytes)
{
    bool direct = hn_books_has_free(books) && hn_books_admits(books) &&
                  hn_books_backlog(books) == 0 && !books->paused;
    return direct || has_room(books, bytes);
}

static void refused(struct hn_books *books, const struct lp_pool *pool,
                    const struct lp_task_spec *spec, int result)
{
    uint64_t bytes = spec->bytes, kind = spec->kind;
    bool room = is_welcome(books, bytes), held = hn_books_holds_kind(books, kind);
    if (held ? result == -EAGAIN : result == -EKEYREJECTED)
        FAIL("submit of kind %u said %d", (unsigned)kind, result);
    books->coverage->sometimes[HN_KIND_REFUSED] += result == -EKEYREJECTED;
    if (result == -ESHUTDOWN && !books->shutting)
        FAIL("submit refused with ESHUTDOWN by an open pool");
    if (result == -E2BIG && bytes <= books->config.backlog_bytes)
        FAIL("submit refused with E2BIG");
    if (result != -EAGAIN)
        return;
    if (room && unreleased(books) < pool->tasks.capacity)
        FAIL("submit refused with EAGAIN, %u pending", hn_books_pending(books));
    books->coverage->sometimes[room ? HN_TABLE_FULL : HN_BACKLOG_FULL]++;
    if (room || spec->inside) /* who is inside does not wait for it */
        return;
    books->waiting = true;
    books->waiting_bytes = bytes;
}

static void earn_retries(struct hn_books *books)
{
    books->retry_budget += books->config.retry_percent;
    if (books->retry_budget > 100 * LP_RETRY_SAVED)
        books->retry_budget = 100 * LP_RETRY_SAVED;
}

/* Also while a shutdown drains, if one that runs waits for it. */
static bool is_open_for(const struct hn_books *books, const struct lp_task_spec *spec)
{
    bool drains = books->shutting && !books->cancelling && !books->killing && !books->down;
    return !books->shutting || (spec->inside && drains);
}

void hn_books_submitted(struct hn_books *books, const struct lp_pool *pool,
                        const struct lp_task_spec *spec, int result, uint32_t index)
{
    if (result == -ESHUTDOWN && is_open_for(books, spec))
        FAIL("a task that one waits for is refused while draining");
    if (result != 0) {
        refused(books, pool, spec, result);
        return;
    }
    if (hn_books_holds_kind(books, spec->kind))
        FAIL("submit of a kind that is held is accepted");
    books->coverage->sometimes[HN_WAIT_DRAINING] += books->shutting;
    if (!is_open_for(books, spec) || !is_welcome(books, spec->bytes))
        FAIL("submit accepted without room or after shutdown");
    struct hn_book_task *task = &books->tasks[books->n_tasks++];
    *task = (struct hn_book_task){.index = index,
                                  .state = LP_TASK_PENDING,
                                  .spec = *spec,
                                  .submitted_ns = books->trace->now_ns,
                                  .queued_ns = books->trace->now_ns,
                                  .order = ++books->order,
                                  .slot = LP_NONE};
    if (spec->retry)
        task->rule = *spec->retry;
    earn_retries(books);
    if (pool->tasks.table[index].id != books->n_tasks)
        FAIL("task ids are not in order of submission");
    books->stats.tasks_received++;
    books->stats.tasks_pending++;
    books->stats.backlog_bytes += spec->bytes;
    books->notes_due[LIBPOOL_EVENT_TASK_RECEIVED]++;
}

void hn_books_time(struct hn_books *books, libpool_histogram_kind kind, uint64_t ns)
{
    books->times[kind].count++;
    books->times[kind].sum_ns += ns;
    if (ns > books->times[kind].max_ns)
        books->times[kind].max_ns = ns;
}

/* ---- what an event means ---------------------------------------------------------------------- */

static void enter(struct hn_books *books, struct hn_book_slot *slot, enum lp_worker_state state)
{
    books->coverage->sometimes[HN_WAIT_DIED] += slot->waiting;
    slot->waiting = false; /* nobody enters BUSY here */
    slot->state = state;
    slot->since_ns = books->now_ns;
    if (state == LP_WORKER_IDLE)
        slot->idle_order = ++books->idle_order;
}

static void must_end(struct hn_books *books, uint32_t index, libpool_cause cause, bool says_how)
{
    libpool_cause asked = books->tasks[index].asked; /* then it ends as that, whatever happens */
    books->tasks[index].must_end = asked == LIBPOOL_PENDING ? cause : asked;
    books->tasks[index].must_say_how = says_how;
    books->must_end++;
}

/* It said what it can't say: it has to be killed, and what it runs ends. */
static void hostile(struct hn_books *books, struct hn_book_slot *slot)
{
    if (slot->state == LP_WORKER_SPAWNING) {
        if (slot->doom == LIBPOOL_PENDING)
            slot->doom = LIBPOOL_CORRUPT;
        return;
    }
    if (slot->state < LP_WORKER_STARTING || slot->state > LP_WORKER_RETIRING)
        return;
    slot->must_kill = LIBPOOL_CORRUPT;
    if (slot->task == LP_NONE)
        return;
    bool asked = books->tasks[slot->task].asked != LIBPOOL_PENDING;
    if (!asked && slot->last_id && books->call.event->started_id == slot->last_id) {
        books->coverage->sometimes[HN_CORRUPT_UNBEGUN]++;
        return; /* its last one runs on; its death tells */
    }
    must_end(books, slot->task, LIBPOOL_CORRUPT, false);
    books->coverage->sometimes[HN_CORRUPT_BUSY]++;
}

static void became_ready(struct hn_books *books, struct hn_book_slot *slot)
{
    slot->ready = true;
    slot->ready_ns = books->now_ns;
    hn_books_time(books, LIBPOOL_HISTOGRAM_SPAWN, books->now_ns - slot->asked_ns);
    if (books->init_failures >= books->config.initializer_failures)
        books->coverage->sometimes[HN_RECOVERED]++;
    if (slot->outfit == books->outfit)
        books->init_failures = 0;
    if (slot->edition == books->edition && books->owed)
        books->owed--;
    books->notes_due[LIBPOOL_EVENT_WORKER_READY]++;
    enter(books, slot, LP_WORKER_IDLE);
}

static void spawned(struct hn_books *books, struct hn_book_slot *slot)
{
    if (slot->state != LP_WORKER_SPAWNING)
        return;
    slot->pid = books->call.event->pid;
    books->stats.worker_processes_created++;
    books->notes_due[LIBPOOL_EVENT_WORKER_SPAWNED]++;
    slot->lived_from_ns = books->now_ns;
    enter(books, slot, LP_WORKER_STARTING);
    if (slot->doom != LIBPOOL_PENDING) {
        slot->must_kill = slot->doom;
        books->coverage->sometimes[HN_DOOMED_SPAWN]++;
    } else if (slot->early_ready) {
        became_ready(books, slot);
    }
}

static void spawn_failed(struct hn_books *books, struct hn_book_slot *slot)
{
    if (slot->state != LP_WORKER_SPAWNING)
        return;
    books->hopes = false;
    books->stats.spawns_failed++;
    books->notes_due[LIBPOOL_EVENT_SPAWN_FAILED]++;
    enter(books, slot, LP_WORKER_VACANT);
}

static void ready(struct hn_books *books, struct hn_book_slot *slot)
{
    if (slot->state == LP_WORKER_STARTING) {
        became_ready(books, slot);
    } else if (slot->state == LP_WORKER_SPAWNING) {
        slot->early_ready = true;
        books->coverage->sometimes[HN_EARLY_WORD]++;
    } else {
        hostile(books, slot);
    }
}

static void init_failed(struct hn_books *books, struct hn_book_slot *slot)
{
    if (slot->state != LP_WORKER_STARTING && slot->state != LP_WORKER_SPAWNING) {
        hostile(books, slot);
        return;
    }
    slot->init_failed = true;
    slot->init_code = books->call.event->code;
}

static void learn(struct hn_books *books, const struct hn_book_task *task)
{
    const struct lp_event *event = books->call.event;
    if (event->started_ns < task->assigned_ns || event->started_ns >= event->ended_ns ||
        event->ended_ns > books->now_ns)
        return;
    uint64_t run_ns = event->ended_ns - event->started_ns;
    if (run_ns < books->least_run_ns)
        books->least_run_ns = run_ns;
}

/* An age of so much was over; none is less than a second. */
static bool is_older(const struct hn_books *books, const struct hn_book_slot *slot, uint64_t age_ns)
{
    uint64_t least_ns = age_ns > LP_STEADY_NS ? age_ns : LP_STEADY_NS;
    return books->config.max_age_ns && slot->ready && books->now_ns >= slot->ready_ns + least_ns;
}

bool hn_books_age_over(const struct hn_books *books, const struct hn_book_slot *slot)
{
    return is_older(books, slot, books->config.max_age_ns);
}

bool hn_books_age_may_be_over(const struct hn_books *books, const struct hn_book_slot *slot)
{
    uint64_t age_ns = books->config.max_age_ns;
    return is_older(books, slot, age_ns - age_ns * books->config.jitter_percent / 100);
}

static void count_answer(struct hn_books *books, const struct hn_book_task *task)
{
    if (task->asked != LIBPOOL_PENDING)
        books->coverage->sometimes[task->begun ? HN_ASKED_RETURNED : HN_ASKED_UNBEGUN]++;
}

/* It was asked for its time, and says that it had ended before that was over: if that can be true, it had. */
static void forgive(struct hn_books *books, struct hn_book_task *task)
{
    const struct lp_event *event = books->call.event;
    bool can_be = event->started_ns >= task->assigned_ns && event->started_ns < event->ended_ns &&
                  event->ended_ns <= books->now_ns;
    if (task->asked != LIBPOOL_TIMEOUT || !can_be || event->ended_ns >= task->due_ns)
        return;
    task->asked = LIBPOOL_PENDING;
    books->coverage->sometimes[HN_ASKED_IN_TIME]++;
}

static void result(struct hn_books *books, struct hn_book_slot *slot)
{
    const struct lp_event *event = books->call.event;
    if (slot->state == LP_WORKER_DYING || slot->state == LP_WORKER_GONE)
        books->coverage->sometimes[HN_RESULT_IN_KILL]++;
    if (slot->state != LP_WORKER_BUSY || event->task_id != slot->task + 1u || slot->waiting) {
        hostile(books, slot);
        return;
    }
    forgive(books, &books->tasks[slot->task]);
    must_end(books, slot->task, event->code ? LIBPOOL_ERROR : LIBPOOL_COMPLETED, true);
    count_answer(books, &books->tasks[slot->task]);
    learn(books, &books->tasks[slot->task]);
    slot->task = LP_NONE;
    slot->sent_signal = 0;
    slot->tasks_done++;
    slot->recalled = false;
    slot->leaves = slot->leaves || event->leaves || event->grown;
    slot->outgrown = slot->outgrown || event->grown;
    slot->aged = slot->aged || hn_books_age_over(books, slot);
    if (slot->queued == 0) {
        enter(books, slot, LP_WORKER_IDLE);
        return;
    }
    if (books->favourite == LP_NONE || books->slots[books->favourite].state != LP_WORKER_BUSY)
        books->favourite = (uint32_t)(slot - books->slots);
    slot->task = slot->queue[0];
    slot->quiet_ns = books->now_ns;
    slot->beside_ns = hn_books_in(books, LP_WORKER_IDLE) ? books->now_ns : 0;
    hn_books_launch(books, &books->tasks[slot->task]);
    hn_books_dequeue(slot, 0);
    books->coverage->sometimes[HN_PROMOTED]++;
    books->coverage->sometimes[HN_PROMOTED_LEAVING] += slot->orphaned;
}

/* Everything that it was sent ahead was taken back before. */
static void waits(struct hn_books *books, struct hn_book_slot *slot)
{
    bool is_its = slot->state == LP_WORKER_BUSY &&
                  books->call.event->task_id == slot->task + UINT64_C(1);
    if (!is_its || slot->waiting || slot->queued) {
        hostile(books, slot);
        return;
    }
    bool ends = books->cancelling || books->killing ||
                books->tasks[slot->task].asked != LIBPOOL_PENDING;
    bool full = hn_books_waiting(books) >= books->config.waiting_workers;
    books->coverage->sometimes[HN_WAIT_REFUSED] += full;
    if (ends || full)
        return;
    slot->waiting = true;
    books->coverage->sometimes[HN_WAITS]++;
    books->coverage->sometimes[HN_WAIT_NESTED] += books->tasks[slot->task].spec.inside;
}

static void waited(struct hn_books *books, struct hn_book_slot *slot)
{
    if (!slot->waiting)
        return;
    slot->waiting = false;
    books->tasks[slot->task].waited_ns = books->now_ns;
    books->coverage->sometimes[HN_WAIT_SURPLUS] += hn_books_active(books) > books->max_workers;
}

/* A thread whose initializer was late leaves with its finalizer, too. */
static bool is_told_to_leave(const struct hn_books *books, const struct hn_book_slot *slot)
{
    if (books->config.cooperative && slot->state == LP_WORKER_DYING) {
        books->coverage->sometimes[HN_THREAD_LATE_INIT] += slot->doom == LIBPOOL_INIT_FAILED;
        return true;
    }
    return slot->retiring && (slot->state == LP_WORKER_RETIRING || slot->state == LP_WORKER_DYING);
}

static void final_word(struct hn_books *books, struct hn_book_slot *slot, enum lp_event_kind kind)
{
    if (!is_told_to_leave(books, slot)) {
        hostile(books, slot);
        return;
    }
    if (kind == LP_EVENT_FINAL_STARTED && !slot->final_started) {
        slot->final_started = true;
        books->stats.finalizers_started++;
    } else if (kind == LP_EVENT_FINALIZED && slot->final_started && !slot->finalized) {
        slot->finalized = true;
        books->stats.finalizers_ok++;
    }
}

/* ---- deaths --------------------------------------------------------------------------------- */

static bool died_of_being_asked(const struct hn_books *books, const struct hn_book_slot *slot)
{
    int number = books->call.event->signal;
    bool is = number && number == slot->sent_signal;
    books->coverage->sometimes[HN_ASKED_OF_SIGNAL] += is;
    books->coverage->sometimes[HN_OF_SIGNAL_LATE] += is && slot->task == LP_NONE;
    return is;
}

/* From what was injected, and from what the policy itself has done to it. */
static libpool_cause why_it_ended(const struct hn_books *books, const struct hn_book_slot *slot,
                                  libpool_cause injected, int code)
{
    bool own_fault = injected == LIBPOOL_CRASH || injected == LIBPOOL_EXIT;
    if (slot->doom != LIBPOOL_PENDING)
        return slot->doom;
    if (died_of_being_asked(books, slot))
        return slot->sent_why;
    if (!slot->retiring)
        return !slot->ready && (own_fault || slot->init_failed) ? LIBPOOL_INIT_FAILED : injected;
    bool finished = slot->finalized || !books->config.has_finalizer;
    if (finished && (injected == LIBPOOL_LOST || (injected == LIBPOOL_EXIT && code == 0)))
        return LIBPOOL_COMPLETED;
    return slot->final_started && own_fault ? LIBPOOL_FINAL_FAILED : injected;
}

static void count_death(struct hn_books *books, const struct hn_book_slot *slot,
                        libpool_cause cause)
{
    books->stats.workers_ended[cause]++;
    books->notes_due[LIBPOOL_EVENT_WORKER_EXITED]++;
    books->hopes = books->hopes && !slot->ready && slot->outfit != books->outfit &&
                   slot->asked_ns < books->dressed_ns;
    if (!slot->ready &&
        (cause == LIBPOOL_INIT_FAILED || cause == LIBPOOL_OOM || cause == LIBPOOL_MEMORY)) {
        bool latest = slot->outfit == books->outfit;
        books->stats.initializers_failed++;
        books->init_failures += latest;
        books->init_code = latest ? slot->init_code : books->init_code;
        books->coverage->sometimes[HN_UNDRESSED_FAILED] += !latest;
        books->notes_due[LIBPOOL_EVENT_INIT_FAILED]++;
    }
    if (slot->final_started && !slot->finalized)
        books->stats.finalizers_failed++;
    if (cause == LIBPOOL_OOM)
        books->coverage->sometimes[HN_OOM]++;
    if (cause == LIBPOOL_FINAL_FAILED)
        books->coverage->sometimes[HN_FINAL_FAILED]++;
}

/* Its word is on none that it has: it may be on one that has ended in its hands. */
static uint32_t end_doubted(struct hn_books *books, struct hn_book_slot *slot, libpool_cause cause)
{
    uint32_t ends = 0;
    if (slot->task != LP_NONE && books->tasks[slot->task].doubted)
        must_end(books, slot->task, cause, false);
    for (; ends < slot->queued && books->tasks[slot->queue[ends]].doubted; ends++)
        must_end(books, slot->queue[ends], cause, false);
    books->coverage->sometimes[HN_DOUBTED] += ends != 0;
    return ends;
}

/* By its own word it has begun one of its queue: that and all before it end, the rest goes back. */
static void settle_queue(struct hn_books *books, struct hn_book_slot *slot, libpool_cause cause)
{
    uint32_t begun = hn_books_place(books, slot, books->call.event->started_id);
    uint32_t ends = begun == LP_NONE ? 0 : begun + 1;
    books->coverage->sometimes[HN_DEATH_WITH_QUEUE] += slot->queued != 0;
    books->coverage->sometimes[HN_DEATH_IN_QUEUE] += begun != LP_NONE;
    if (begun == LP_NONE) {
        uint64_t started_id = books->call.event->started_id;
        bool known = started_id == slot->last_id ||
                     (slot->task != LP_NONE && started_id == slot->task + 1u);
        give_back(books, slot, known ? 0 : end_doubted(books, slot, cause));
        return;
    }
    give_back(books, slot, ends);
    if (ends && slot->task != LP_NONE)
        must_end(books, slot->task, cause, false);
    for (uint32_t i = 0; i < ends; i++) {
        hn_books_launch(books, &books->tasks[slot->queue[i]]);
        must_end(books, slot->queue[i], cause, i == begun);
        books->coverage->sometimes[HN_HOSTILE_START] += !books->tasks[slot->queue[i]].begun;
    }
    slot->queued = 0;
}

/* Its task goes back if it was never begun and may still; otherwise it has to end in this call. */
static void settle_task(struct hn_books *books, struct hn_book_slot *slot, libpool_cause cause)
{
    settle_queue(books, slot, cause);
    if (slot->task == LP_NONE || books->tasks[slot->task].must_end != LIBPOOL_PENDING)
        return;
    struct hn_book_task *task = &books->tasks[slot->task];
    bool asked = task->asked != LIBPOOL_PENDING;
    if (task->begun || asked || task->returns >= LP_RETURNS_MAX) {
        must_end(books, slot->task, cause, true);
        books->coverage->sometimes[HN_ASKED_DIED] += asked;
        books->coverage->sometimes[HN_RETURNED_TOO_OFTEN] += !task->begun && !asked;
        return;
    }
    task->state = LP_TASK_PENDING;
    task->doubted = false;
    task->returns++;
    slot->task = LP_NONE;
    books->stats.tasks_returned++;
    books->stats.tasks_running--;
    books->stats.tasks_pending++;
    books->stats.backlog_bytes += task->spec.bytes;
    books->notes_due[LIBPOOL_EVENT_TASK_RETURNED]++;
    books->coverage->sometimes[HN_TASK_RETURNED]++;
}

static void died(struct hn_books *books, uint32_t index, libpool_cause injected)
{
    struct hn_book_slot *slot = &books->slots[index];
    libpool_cause cause = why_it_ended(books, slot, injected, books->call.event->code);
    books->died_slot = index;
    books->died_cause = cause;
    count_death(books, slot, cause);
    settle_task(books, slot, cause);
    enter(books, slot, LP_WORKER_DEAD);
}

static void exited(struct hn_books *books, uint32_t index)
{
    struct hn_book_slot *slot = &books->slots[index];
    if (slot->state == LP_WORKER_DEAD)
        books->coverage->sometimes[HN_LATE_STATUS]++;
    if (slot->state < LP_WORKER_STARTING || slot->state > LP_WORKER_GONE)
        return;
    if (books->call.event->unknown)
        books->coverage->sometimes[HN_STATUS_UNKNOWN]++;
    died(books, index, books->call.injected);
}

static void gone(struct hn_books *books, struct hn_book_slot *slot)
{
    if (slot->state >= LP_WORKER_STARTING && slot->state <= LP_WORKER_GONE)
        enter(books, slot, LP_WORKER_GONE);
    slot->foretold_ns = books->call.event->foretold ? books->now_ns : 0;
}

/* What it has begun may end, which is judged then. What it has not it never will: that goes back. */
static void torn(struct hn_books *books, struct hn_book_slot *slot)
{
    const struct hn_book_task *task = slot->task == LP_NONE ? NULL : &books->tasks[slot->task];
    if (!books->call.event->foretold) {
        gone(books, slot);
        return;
    }
    if (task && !task->begun && task->asked == LIBPOOL_PENDING && hn_books_gave_up(books, slot)) {
        settle_task(books, slot, LIBPOOL_LOST);
        books->coverage->sometimes[HN_KNOWN_UNBEGUN]++;
    }
    slot->since_ns = books->now_ns;
}

static void emptied(struct hn_books *books, struct hn_book_slot *slot)
{
    if (slot->state != LP_WORKER_DEAD)
        return;
    if (slot->killed_ns)
        hn_books_time(books, LIBPOOL_HISTOGRAM_KILL, books->now_ns - slot->killed_ns);
    enter(books, slot, LP_WORKER_VACANT);
    books->coverage->sometimes[HN_CLEANED] += slot->orphaned;
    if (slot->held != LP_NONE && books->tasks[slot->held].state == LP_TASK_WAITING &&
        is_failed_run(books, &books->tasks[slot->held], (uint32_t)(slot - books->slots)))
        books->tasks[slot->held].gone_ns = books->now_ns;
    slot->held = LP_NONE;
}

/* ---- time ----------------------------------------------------------------------------------- */

static void overran(struct hn_books *books, struct hn_book_slot *slot, uint64_t limit_ns,
                    libpool_cause doom)
{
    if (books->now_ns < slot->since_ns + limit_ns)
        FAIL("deadline of slot %u in %s came too early", (unsigned)(slot - books->slots),
             lp_worker_state_name(slot->state));
    if (doom != LIBPOOL_PENDING)
        slot->must_kill = doom;
}

static void deadline(struct hn_books *books, uint32_t index)
{
    struct hn_book_slot *slot = &books->slots[index];
    const struct lp_pool_config *config = &books->config;
    switch (slot->state) {
    case LP_WORKER_SPAWNING:
        overran(books, slot, config->start_timeout_ns, LIBPOOL_PENDING);
        return;
    case LP_WORKER_STARTING:
        overran(books, slot, config->initializer_timeout_ns, LIBPOOL_INIT_FAILED);
        return;
    case LP_WORKER_RETIRING:
        overran(books, slot, config->finalizer_timeout_ns, LIBPOOL_FINAL_FAILED);
        return;
    case LP_WORKER_GONE:
        if (slot->foretold_ns) {
            torn(books, slot);
            return;
        }
        if (!slot->orphaned) {
            overran(books, slot, config->start_timeout_ns, LIBPOOL_PENDING);
            books->must_drop = books->zygote == LP_ZYGOTE_UP;
            return;
        }
        overran(books, slot, LP_STATUS_WAIT_NS, LIBPOOL_PENDING);
        books->coverage->sometimes[HN_STATUS_LOST]++;
        died(books, index, LIBPOOL_LOST);
        return;
    case LP_WORKER_DYING: slot->grace_ended = true; /* fall through */
    case LP_WORKER_DEAD: slot->unproven = !hn_books_holds(slot); return;
    case LP_WORKER_BUSY: return; /* judged when it is killed */
    case LP_WORKER_IDLE:
        if (!hn_books_age_may_be_over(books, slot))
            FAIL("slot %u is idle, and too young to leave", index);
        return;
    case LP_WORKER_VACANT:
    case LP_WORKER_STATES:
        FAIL("a deadline for slot %u in %s", index, lp_worker_state_name(slot->state));
    }
}

/*
 * It can begin nothing more of its queue, which goes back. What one that was killed in between has
 * begun since then nobody has heard: its death tells.
 */
static void recalled(struct hn_books *books, struct hn_book_slot *slot)
{
    books->coverage->sometimes[HN_RECALLED_DYING] += slot->state == LP_WORKER_DYING && slot->queued;
    if (slot->state != LP_WORKER_BUSY)
        return;
    books->coverage->sometimes[HN_RECALLED] += slot->queued != 0;
    give_back(books, slot, 0);
    slot->recalled = true;
    for (uint32_t i = books->oldest; i < books->n_tasks; i++)
        if (books->tasks[i].state == LP_TASK_PENDING && books->tasks[i].begun)
            FAIL("I7: task %u was recalled after it was begun", i + 1);
}

/* ---- memory --------------------------------------------------------------------------------- */

/* What was asked about goes on: it ends. Else nobody is killed for it, and its worker may leave. */
static void weighed(struct hn_books *books, struct hn_book_slot *slot)
{
    const struct lp_event *event = books->call.event;
    bool lives = slot->state >= LP_WORKER_STARTING && slot->state <= LP_WORKER_RETIRING;
    bool same = slot->state == slot->weighed_in && slot->task == slot->weighed_task &&
                (slot->task == LP_NONE || event->started_id == slot->task + UINT64_C(1));
    if (!lives)
        return;
    slot->weighing = false;
    slot->weighed_ns = books->now_ns;
    slot->weight_bytes = event->bytes;
    if (event->bytes <= slot->weigh_limit_bytes)
        return;
    books->coverage->sometimes[HN_HEAVY_LIMITED] += same && slot->weigh_limit_bytes !=
                                                                books->config.memory_limit_bytes;
    if (same && slot->task != LP_NONE)
        must_end(books, slot->task, LIBPOOL_MEMORY, false);
    if (same) {
        slot->must_kill = LIBPOOL_MEMORY;
        books->coverage->sometimes[slot->state == LP_WORKER_BUSY       ? HN_HEAVY_TASK
                                   : slot->state == LP_WORKER_STARTING ? HN_HEAVY_START
                                                                       : HN_HEAVY_FINAL]++;
    } else if (!books->weighs || event->bytes <= books->config.memory_limit_bytes) {
        books->coverage->sometimes[HN_HEAVY_FORGIVEN]++;
    } else if (slot->weighed_in == LP_WORKER_BUSY && slot->state != LP_WORKER_RETIRING) {
        slot->leaves = slot->outgrown = true;
        books->coverage->sometimes[HN_HEAVY_LATE]++;
    }
}

/* ---- zygote and shutdown ------------------------------------------------------------------------ */

static void set_zygote(struct hn_books *books, enum lp_zygote_state state)
{
    books->zygote = state;
    books->zygote_since_ns = books->now_ns;
}

static void zygote_up(struct hn_books *books)
{
    set_zygote(books, LP_ZYGOTE_UP);
    books->weighs = books->call.event->weighs;
    books->coverage->sometimes[HN_ZYGOTE_RESTARTED] += books->stats.zygotes_started > 0;
    books->stats.zygotes_started++;
    books->notes_due[LIBPOOL_EVENT_ZYGOTE_STARTED]++;
}

static void zygote_failed(struct hn_books *books)
{
    set_zygote(books, LP_ZYGOTE_DOWN);
    books->stats.spawns_failed++;
    books->notes_due[LIBPOOL_EVENT_SPAWN_FAILED]++;
}

static void zygote_lost(struct hn_books *books)
{
    set_zygote(books, LP_ZYGOTE_DOWN);
    books->stats.zygotes_lost++;
    books->weighs = false;
    books->notes_due[LIBPOOL_EVENT_ZYGOTE_LOST]++;
    for (uint32_t i = 0; i < books->n_slots; i++) {
        struct hn_book_slot *slot = &books->slots[i];
        bool was_orphaned = slot->orphaned;
        slot->orphaned = slot->state != LP_WORKER_VACANT;
        slot->weighing = false;
        if (slot->state == LP_WORKER_GONE && !was_orphaned)
            slot->since_ns = books->now_ns; /* from now on nobody can tell */
        if (slot->state != LP_WORKER_SPAWNING)
            continue;
        books->coverage->sometimes[HN_LOST_SPAWNING]++;
        enter(books, slot, LP_WORKER_VACANT);
    }
}

static void doom_spawning(struct hn_books *books)
{
    for (uint32_t i = 0; i < books->n_slots; i++)
        if (books->slots[i].state == LP_WORKER_SPAWNING && books->slots[i].doom == LIBPOOL_PENDING)
            books->slots[i].doom = LIBPOOL_SHUTDOWN;
}

/* Threads that run something are asked, and leave then. */
static void hurry(struct hn_books *books)
{
    for (uint32_t i = 0; books->config.cooperative && i < books->n_slots; i++)
        if (books->slots[i].state == LP_WORKER_BUSY)
            books->slots[i].hurried = books->slots[i].leaves = true;
}

static void shut_down(struct hn_books *books)
{
    const struct lp_event *event = books->call.event;
    if (!books->shutting)
        books->notes_due[LIBPOOL_EVENT_SHUTDOWN_BEGUN]++;
    books->coverage->sometimes[HN_SHUTDOWN_AGAIN] += books->shutting && !books->down;
    books->shutting = true;
    if (books->killing)
        return;
    if (event->deadline_ns && (!books->deadline_ns || event->deadline_ns < books->deadline_ns))
        books->deadline_ns = event->deadline_ns;
    if (!(event->flags & LIBPOOL_CANCEL))
        return;
    books->cancelling = true;
    if (event->flags & LIBPOOL_WAIT)
        return;
    doom_spawning(books);
    hurry(books);
}

/* ---- before --------------------------------------------------------------------------------- */

static void worker_event(struct hn_books *books, const struct lp_event *event)
{
    struct hn_book_slot *slot = &books->slots[event->slot];
    if (event->generation != slot->generation)
        return;
    switch (event->kind) {
    case LP_EVENT_SPAWNED: spawned(books, slot); return;
    case LP_EVENT_SPAWN_FAILED: spawn_failed(books, slot); return;
    case LP_EVENT_READY: ready(books, slot); return;
    case LP_EVENT_INIT_FAILED: init_failed(books, slot); return;
    case LP_EVENT_RESULT: result(books, slot); return;
    case LP_EVENT_FINAL_STARTED:
    case LP_EVENT_FINALIZED: final_word(books, slot, event->kind); return;
    case LP_EVENT_CORRUPT: hostile(books, slot); return;
    case LP_EVENT_GONE: gone(books, slot); return;
    case LP_EVENT_EXITED: exited(books, event->slot); return;
    case LP_EVENT_EMPTY: emptied(books, slot); return;
    case LP_EVENT_DEADLINE: deadline(books, event->slot); return;
    case LP_EVENT_RECALLED: recalled(books, slot); return;
    case LP_EVENT_WEIGHED: weighed(books, slot); return;
    case LP_EVENT_WAITS: waits(books, slot); return;
    case LP_EVENT_WAITED: waited(books, slot); return;
    case LP_EVENT_ZYGOTE_UP:
    case LP_EVENT_ZYGOTE_FAILED:
    case LP_EVENT_ZYGOTE_LOST:
    case LP_EVENT_SHUTDOWN:
    case LP_EVENT_TICK:
    case LP_EVENT_ADMISSION:
    case LP_EVENT_PLACES:
    case LP_EVENTS: return;
    }
}

static void admission(struct hn_books *books)
{
    bool closes = books->call.event->closes;
    books->coverage->sometimes[HN_ADMISSION_OPENED] += books->scarce && !closes;
    books->stats.admission_pauses += closes && !books->scarce;
    if (closes != books->scarce)
        books->notes_due[closes ? LIBPOOL_EVENT_ADMISSION_PAUSED
                                : LIBPOOL_EVENT_ADMISSION_RESUMED]++;
    books->scarce = closes;
    books->told_ns = books->now_ns;
    books->sampling = false;
}

static void places(struct hn_books *books)
{
    const struct lp_event *event = books->call.event;
    uint32_t got = event->granted;
    books->held += got;
    books->fresh += got;
    books->places_wanted -= got < books->places_wanted ? got : books->places_wanted;
    books->share = event->share;
    books->yield = event->yield;
}

static void pool_event(struct hn_books *books, const struct lp_event *event)
{
    if (event->kind == LP_EVENT_ZYGOTE_UP)
        zygote_up(books);
    else if (event->kind == LP_EVENT_ZYGOTE_FAILED)
        zygote_failed(books);
    else if (event->kind == LP_EVENT_ZYGOTE_LOST)
        zygote_lost(books);
    else if (event->kind == LP_EVENT_SHUTDOWN)
        shut_down(books);
    else if (event->kind == LP_EVENT_ADMISSION)
        admission(books);
    else if (event->kind == LP_EVENT_PLACES)
        places(books);
}

/* The shutdown's deadline is looked at in every call. */
static void begin_killing(struct hn_books *books)
{
    bool late = books->deadline_ns && books->now_ns >= books->deadline_ns;
    if (!books->shutting || books->killing || books->down || !late)
        return;
    books->killing = true;
    books->killing_since_ns = books->now_ns;
    doom_spawning(books);
    hurry(books);
}

static void note_cancels(struct hn_books *books)
{
    const struct hn_call *call = &books->call;
    if (call->cancelled != LP_NONE)
        books->tasks[call->cancelled].cancelled = true;
    for (uint32_t i = books->oldest; call->cancelled_group && i < books->n_tasks; i++) {
        struct hn_book_task *task = &books->tasks[i];
        if (task->spec.group != call->cancelled_group)
            continue;
        task->cancelled = true;
        books->coverage->sometimes[HN_GROUP_PAUSED] += task->state == LP_TASK_WAITING;
    }
}

void hn_books_before(struct hn_books *books, const struct hn_call *call)
{
    books->call = *call;
    books->now_ns = books->trace->now_ns;
    books->must_end = books->ends = 0;
    books->gave = false;
    books->died_slot = LP_NONE;
    books->room_told = books->room_told && !books->settled;
    books->settled = false;
    books->over = books->down;
    note_cancels(books);
    if (call->event && call->event->kind < LP_WORKER_EVENTS)
        worker_event(books, call->event);
    else if (call->event)
        pool_event(books, call->event);
    if (call->settles &&
        call->submitted == LP_NONE) /* a submit is refused before that is looked at */
        begin_killing(books);
}

/* ---- after ---------------------------------------------------------------------------------- */

static void compare_field(struct hn_books *books, const char *name, uint64_t ours, uint64_t theirs)
{
    if (ours != theirs)
        FAIL("I2: %s is %llu, should be %llu", name, (unsigned long long)theirs,
             (unsigned long long)ours);
}

static void compare_causes(struct hn_books *books, const char *name,
                           const uint64_t ours[LIBPOOL_CAUSES_MAX],
                           const uint64_t theirs[LIBPOOL_CAUSES_MAX])
{
    for (uint32_t i = 0; i < LIBPOOL_CAUSES_MAX; i++)
        if (ours[i] != theirs[i])
            FAIL("I2: %s[cause %u] is %llu, should be %llu", name, i, (unsigned long long)theirs[i],
                 (unsigned long long)ours[i]);
}

// clang-format off
#define FIELDS(X)                                                                                 \
    X(tasks_received) X(tasks_launched) X(tasks_pending) X(tasks_running) X(tasks_failed)         \
    X(tasks_rejected) X(tasks_returned) X(worker_processes_created)                               \
    X(worker_processes_still_alive) X(worker_processes_idle) X(worker_processes_busy)             \
    X(max_workers_busy_concurrently) X(spawns_failed) X(initializers_failed)                      \
    X(finalizers_started) X(finalizers_ok) X(finalizers_failed) X(zygotes_started)                \
    X(zygotes_lost) X(backlog_bytes) X(generation) X(worker_processes_outdated)                   \
    X(workers_outgrown) X(tasks_asked) X(tasks_retried) X(kinds_held) X(admission_pauses)          \
    X(admission_paused) X(workers_waiting)
// clang-format on

static void compare_stats(struct hn_books *books, const struct lp_pool *pool)
{
    libpool_stats theirs = {.size = sizeof theirs};
    libpool_stats *ours = &books->stats;
    lp_pool_stats(pool, &theirs);
    ours->worker_processes_idle = hn_books_in(books, LP_WORKER_IDLE);
    ours->worker_processes_busy = hn_books_in(books, LP_WORKER_BUSY);
    ours->worker_processes_still_alive = books->n_slots - hn_books_in(books, LP_WORKER_VACANT) -
                                         hn_books_in(books, LP_WORKER_SPAWNING) -
                                         hn_books_in(books, LP_WORKER_DEAD);
    ours->generation = books->edition;
    ours->workers_waiting = hn_books_waiting(books);
    ours->admission_paused = books->scarce && hn_books_admission_matters(books);
    ours->worker_processes_outdated = 0;
    for (uint32_t i = 0; i < books->n_slots; i++)
        ours->worker_processes_outdated += is_outdated(books, &books->slots[i]) &&
                                           books->slots[i].state >= LP_WORKER_STARTING &&
                                           books->slots[i].state <= LP_WORKER_GONE;
#define COMPARE(field) compare_field(books, #field, ours->field, theirs.field);
    FIELDS(COMPARE)
#undef COMPARE
    compare_causes(books, "tasks_ended", ours->tasks_ended, theirs.tasks_ended);
    compare_causes(books, "workers_ended", ours->workers_ended, theirs.workers_ended);
}

static void compare_times(struct hn_books *books, const struct lp_pool *pool)
{
    for (int kind = 0; kind < LIBPOOL_HISTOGRAMS; kind++) {
        const libpool_histogram *theirs = &pool->histograms[kind];
        compare_field(books, "a histogram's count", books->times[kind].count, theirs->count);
        compare_field(books, "a histogram's sum", books->times[kind].sum_ns, theirs->sum_ns);
        compare_field(books, "a histogram's maximum", books->times[kind].max_ns, theirs->max_ns);
    }
}

/* As near to the sum as buckets of an eighth can be. */
void hn_books_histograms(struct hn_books *books, const struct lp_pool *pool)
{
    for (int kind = 0; kind < LIBPOOL_HISTOGRAMS; kind++) {
        const libpool_histogram *theirs = &pool->histograms[kind];
        uint64_t count = 0, most_ns = 0;
        for (uint32_t i = 0; i < LIBPOOL_HISTOGRAM_BUCKETS; i++) {
            count += theirs->buckets[i];
            most_ns += theirs->buckets[i] * (theirs->buckets[i] ? lp_histogram_bound(i) : 0);
        }
        compare_field(books, "what is in a histogram's buckets", books->times[kind].count, count);
        uint64_t sum_ns = books->times[kind].sum_ns;
        if (most_ns < sum_ns || most_ns - sum_ns > sum_ns / 8)
            FAIL("the times in a histogram's buckets are %llu ns at most, should be %llu",
                 (unsigned long long)most_ns, (unsigned long long)sum_ns);
    }
}

/* Which task a worker runs next is not told by any action. */
static void compare_queue(struct hn_books *books, const struct lp_pool *pool, uint32_t index)
{
    const struct hn_book_slot *slot = &books->slots[index];
    const struct lp_worker *worker = &pool->workers[index];
    uint32_t ours = slot->task == LP_NONE ? LP_NONE : books->tasks[slot->task].index;
    if (worker->queued != slot->queued || worker->task != ours)
        FAIL("slot %u has task index %d and %u behind it, should be %d and %u", index,
             (int)worker->task, worker->queued, (int)ours, slot->queued);
    uint32_t theirs = worker->queue_first;
    for (uint32_t i = 0; i < slot->queued && theirs != LP_NONE; i++) {
        if (theirs != books->tasks[slot->queue[i]].index)
            FAIL("slot %u: task %u is not at place %u of its queue", index, slot->queue[i] + 1, i);
        theirs = pool->tasks.table[theirs].next;
    }
}

static void compare_slots(struct hn_books *books, const struct lp_pool *pool)
{
    for (uint32_t i = 0; i < books->n_slots; i++) {
        enum lp_worker_state ours = books->slots[i].state, theirs = pool->workers[i].state;
        if (ours != theirs)
            FAIL("slot %u is %s, should be %s", i, lp_worker_state_name(theirs),
                 lp_worker_state_name(ours));
        if (books->slots[i].waiting != pool->workers[i].waiting)
            FAIL("slot %u %s for others", i, pool->workers[i].waiting ? "waits" : "does not wait");
        compare_queue(books, pool, i);
    }
}

static void compare_notes(struct hn_books *books)
{
    for (uint32_t kind = 0; kind < LIBPOOL_EVENT_KINDS; kind++) {
        uint64_t due = books->config.notes ? books->notes_due[kind] : 0;
        if (books->notes[kind] != due)
            FAIL("notes of kind %u: %llu, should be %llu", kind,
                 (unsigned long long)books->notes[kind], (unsigned long long)due);
    }
}

/* What was asked of this call has happened. */
static void check_dues(struct hn_books *books)
{
    for (uint32_t i = books->oldest; books->must_end && i < books->n_tasks; i++)
        if (books->tasks[i].must_end != LIBPOOL_PENDING)
            FAIL("I1: task %u had to end (%s)", i + 1,
                 libpool_cause_name(books->tasks[i].must_end));
    if (books->must_drop)
        FAIL("the zygote had to be dropped");
    for (uint32_t i = 0; i < books->n_slots; i++)
        if (books->slots[i].must_kill != LIBPOOL_PENDING)
            FAIL("slot %u had to be killed (%s)", i, libpool_cause_name(books->slots[i].must_kill));
    for (uint32_t i = 0; i < books->n_slots; i++) {
        const struct hn_book_slot *slot = &books->slots[i];
        if (slot->hurried && slot->task != LP_NONE &&
            books->tasks[slot->task].asked == LIBPOOL_PENDING)
            FAIL("task %u goes on, and was not asked to end", slot->task + 1);
    }
    for (uint32_t i = 0; i < books->n_slots; i++)
        if (books->slots[i].outgrown && books->slots[i].state == LP_WORKER_IDLE)
            FAIL("slot %u had to leave for its memory", i);
}

/* One call ends no more than it can tell: a batch, what each worker runs, and what one had. */
static void check_ends(struct hn_books *books)
{
    const struct lp_event *event = books->call.event;
    bool of_worker = event && event->kind < LP_WORKER_EVENTS;
    uint32_t most = LP_ENDS_PER_STEP + books->n_slots + (of_worker ? LP_PREFETCH_MAX : 0) +
                    (books->call.cancelled_group ? LP_ENDS_PER_STEP : 0);
    if (books->ends > most)
        FAIL("I6: %u tasks ended by one call", books->ends);
}

static void check_room(struct hn_books *books)
{
    if (books->waiting && books->room_told)
        books->coverage->sometimes[HN_ROOM_AFTER_FULL]++;
    else if (books->waiting && (books->shutting || is_welcome(books, books->waiting_bytes)))
        FAIL("who waits for room in the backlog was not told");
    else
        return;
    books->waiting = false;
}

static void check_shutdown(struct hn_books *books, bool more)
{
    bool idle_handed = !hn_books_pending(books) && !hn_books_running(books);
    uint32_t starting = hn_books_in(books, LP_WORKER_STARTING);
    uint32_t idle = hn_books_in(books, LP_WORKER_IDLE);
    if (!books->shutting || books->down || more)
        return;
    if (books->cancelling && (hn_books_backlog(books) || books->paused))
        FAIL("pending tasks after a cancelling shutdown");
    bool goes_on = hn_books_running(books) || hn_books_in(books, LP_WORKER_RETIRING);
    bool may = books->config.cooperative; /* threads can't be kept from it */
    books->coverage->sometimes[HN_THREAD_OUTLIVED] += may && books->killing && goes_on;
    if (books->killing && (starting || idle || (goes_on && !may) || hn_books_backlog(books)))
        FAIL("a worker or task outlived the shutdown's deadline");
    if (!idle_handed)
        return;
    if (idle || starting)
        FAIL("drained, but %u idle and %u starting stay", idle, starting);
    doom_spawning(books);
    if (hn_books_in(books, LP_WORKER_VACANT) == books->n_slots)
        FAIL("nothing is left, but the pool is not down");
}

static void check_work(struct hn_books *books, bool more)
{
    if (hn_books_running(books) == 0 && hn_books_pending(books) == 0)
        return;
    if (books->down)
        FAIL("I1: down, but not every future has ended");
    if (!more && hn_books_backlog(books) && hn_books_has_free(books) && hn_books_admits(books))
        FAIL("I3: a worker is idle beside a backlog");
    bool hopeless = books->init_failures >= books->config.initializer_failures &&
                    !hn_books_in(books, LP_WORKER_IDLE) && !hn_books_active(books);
    books->coverage->sometimes[HN_WAIT_ALONE] += hn_books_backlog(books) &&
                                                 hn_books_waiting(books) && !hn_books_active(books);
    if (!more && hn_books_backlog(books) && hopeless)
        FAIL("no worker can be initialised, and tasks go on waiting");
    if (hn_books_pending(books) > books->config.backlog_tasks + books->n_slots)
        FAIL("I6: the backlog is over its bound");
}

void hn_books_after(struct hn_books *books, const struct lp_pool *pool)
{
    if (books->over)
        return; /* lp_pool_check() goes on; no action may follow, not even a kill that is due */
    check_dues(books);
    check_ends(books);
    compare_slots(books, pool);
    compare_stats(books, pool);
    compare_times(books, pool);
    compare_notes(books);
    books->settled = books->call.settles;
    if (!books->settled)
        return;
    books->fresh = 0;
    check_room(books);
    check_shutdown(books, pool->more);
    check_work(books, pool->more);
    if (!pool->more && !books->down)
        hn_judge_lateness(books);
    books->coverage->sometimes[HN_SLOTS_EXHAUSTED] += hn_books_in(books, LP_WORKER_VACANT) == 0;
}
