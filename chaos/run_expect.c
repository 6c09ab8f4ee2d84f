/* SPDX-License-Identifier: MIT */
/* run_expect: what the file expects, and what it expects by saying nothing (the closed world). */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "chaos/run_inner.h"
#include "harness/clock.h"

static const struct ch_place nowhere;

void ch_expect_unjudged(struct ch_run *run, uint32_t step, const char *expected, const char *why)
{
    const struct ch_action *action = &run->scenario->steps[step].action;
    if (!action->optional)
        ch_result_object(run->result, CH_INCONCLUSIVE, action->place, "timeline", expected, why,
                         "the timeline");
}

/* ---- Bounds ------------------------------------------------------------------------------------ */

static bool holds(const struct ch_bound *bound, uint64_t actual)
{
    switch (bound->operator) {
    case CH_EQUAL: return actual == bound->low;
    case CH_NOT_EQUAL: return actual != bound->low;
    case CH_AT_MOST: return actual <= bound->low;
    case CH_AT_LEAST: return actual >= bound->low;
    case CH_IN: return actual >= bound->low && actual <= bound->high;
    case CH_OPERATORS: break;
    }
    return false;
}

static void describe(const struct ch_bound *bound, char *text, size_t size)
{
    switch (bound->operator) {
    case CH_EQUAL: snprintf(text, size, "%" PRId64, (int64_t)bound->low); break;
    case CH_NOT_EQUAL: snprintf(text, size, "not %" PRId64, (int64_t)bound->low); break;
    case CH_AT_MOST: snprintf(text, size, "at most %" PRId64, (int64_t)bound->low); break;
    case CH_AT_LEAST: snprintf(text, size, "at least %" PRId64, (int64_t)bound->low); break;
    case CH_IN:
        snprintf(text, size, "%" PRId64 "..%" PRId64, (int64_t)bound->low, (int64_t)bound->high);
        break;
    case CH_OPERATORS: snprintf(text, size, "?"); break;
    }
}

static void compare(struct ch_run *run, const struct ch_bound *bound, uint64_t actual,
                    const char *checker, const char *read)
{
    char expected[96];
    if (holds(bound, actual))
        return;
    if (bound->implied)
        snprintf(expected, sizeof expected, "0, as it is not named in 'expect'");
    else
        describe(bound, expected, sizeof expected);
    ch_result_objectf(run->result, CH_FAIL, bound->place, checker, expected, read, "%" PRId64,
                      (int64_t)actual);
}

/* ---- Counters ---------------------------------------------------------------------------------- */

uint64_t ch_counter_value(const libpool_stats *stats, const struct ch_counter *counter)
{
    switch (counter->kind) {
    case CH_TASKS_RECEIVED: return stats->tasks_received;
    case CH_TASKS_LAUNCHED: return stats->tasks_launched;
    case CH_TASKS_FAILED: return stats->tasks_failed;
    case CH_TASKS_PENDING: return stats->tasks_pending;
    case CH_TASKS_RUNNING: return stats->tasks_running;
    case CH_TASKS_REJECTED: return stats->tasks_rejected;
    case CH_TASKS_RETURNED: return stats->tasks_returned;
    case CH_TASKS_RETRIED: return stats->tasks_retried;
    case CH_KINDS_HELD: return stats->kinds_held;
    case CH_ADMISSION_PAUSES: return stats->admission_pauses;
    case CH_TASKS_ENDED: return stats->tasks_ended[counter->cause];
    case CH_WORKER_PROCESSES_CREATED: return stats->worker_processes_created;
    case CH_WORKER_PROCESSES_STILL_ALIVE: return stats->worker_processes_still_alive;
    case CH_WORKER_PROCESSES_IDLE: return stats->worker_processes_idle;
    case CH_WORKER_PROCESSES_BUSY: return stats->worker_processes_busy;
    case CH_MAX_WORKERS_BUSY_CONCURRENTLY: return stats->max_workers_busy_concurrently;
    case CH_WORKERS_ENDED: return stats->workers_ended[counter->cause];
    case CH_SPAWNS_FAILED: return stats->spawns_failed;
    case CH_INITIALIZERS_FAILED: return stats->initializers_failed;
    case CH_FINALIZERS_STARTED: return stats->finalizers_started;
    case CH_FINALIZERS_OK: return stats->finalizers_ok;
    case CH_FINALIZERS_FAILED: return stats->finalizers_failed;
    case CH_ZYGOTES_STARTED: return stats->zygotes_started;
    case CH_ZYGOTES_LOST: return stats->zygotes_lost;
    case CH_DEGRADED: return stats->degraded;
    case CH_WORKERS_OUTGROWN: return stats->workers_outgrown;
    case CH_TASKS_ASKED: return stats->tasks_asked;
    case CH_SESSIONS_ACCEPTED:
    case CH_SESSIONS_LEFT:
    case CH_SESSIONS_MALFORMED:
    case CH_SESSIONS_STALLED:
    case CH_TASKS_SERVED:
    case CH_RESULTS_DROPPED:
    case CH_COUNTERS: break;
    }
    return 0;
}

/* Of the pool's server. False: it is another's. */
static bool served_value(const libpool_remote_stats *served, enum ch_counter_kind kind,
                         uint64_t *value)
{
    const uint64_t *ended = served->sessions_ended;
    switch ((int)kind) {
    case CH_SESSIONS_ACCEPTED: *value = served->sessions_accepted; return true;
    case CH_SESSIONS_LEFT: *value = ended[LIBPOOL_REMOTE_LEFT]; return true;
    case CH_SESSIONS_MALFORMED: *value = ended[LIBPOOL_REMOTE_MALFORMED]; return true;
    case CH_SESSIONS_STALLED: *value = ended[LIBPOOL_REMOTE_STALLED]; return true;
    case CH_TASKS_SERVED: *value = served->tasks_received; return true;
    case CH_RESULTS_DROPPED: *value = served->results_dropped; return true;
    }
    return false;
}

static const char *const counter_names[CH_COUNTERS] = {
    [CH_TASKS_RECEIVED] = "tasks_received",
    [CH_TASKS_LAUNCHED] = "tasks_launched",
    [CH_TASKS_FAILED] = "tasks_failed",
    [CH_TASKS_PENDING] = "tasks_pending",
    [CH_TASKS_RUNNING] = "tasks_running",
    [CH_TASKS_REJECTED] = "tasks_rejected",
    [CH_TASKS_RETURNED] = "tasks_returned",
    [CH_TASKS_RETRIED] = "tasks_retried",
    [CH_KINDS_HELD] = "kinds_held",
    [CH_ADMISSION_PAUSES] = "admission_pauses",
    [CH_TASKS_ENDED] = "ended.",
    [CH_WORKER_PROCESSES_CREATED] = "worker_processes_created",
    [CH_WORKER_PROCESSES_STILL_ALIVE] = "worker_processes_still_alive",
    [CH_WORKER_PROCESSES_IDLE] = "worker_processes_idle",
    [CH_WORKER_PROCESSES_BUSY] = "worker_processes_busy",
    [CH_MAX_WORKERS_BUSY_CONCURRENTLY] = "max_workers_busy_concurrently",
    [CH_WORKERS_ENDED] = "workers_ended.",
    [CH_SPAWNS_FAILED] = "spawns_failed",
    [CH_INITIALIZERS_FAILED] = "initializers_failed",
    [CH_FINALIZERS_STARTED] = "finalizers_started",
    [CH_FINALIZERS_OK] = "finalizers_ok",
    [CH_FINALIZERS_FAILED] = "finalizers_failed",
    [CH_ZYGOTES_STARTED] = "zygotes_started",
    [CH_ZYGOTES_LOST] = "zygotes_lost",
    [CH_DEGRADED] = "degraded",
    [CH_WORKERS_OUTGROWN] = "workers_outgrown",
    [CH_TASKS_ASKED] = "tasks_asked",
    [CH_SESSIONS_ACCEPTED] = "sessions_accepted",
    [CH_SESSIONS_LEFT] = "sessions_left",
    [CH_SESSIONS_MALFORMED] = "sessions_malformed",
    [CH_SESSIONS_STALLED] = "sessions_stalled",
    [CH_TASKS_SERVED] = "tasks_served",
    [CH_RESULTS_DROPPED] = "results_dropped",
};

static void name_counter(const struct ch_counter *counter, char *text, size_t size)
{
    bool by_cause = counter->kind == CH_TASKS_ENDED || counter->kind == CH_WORKERS_ENDED;
    snprintf(text, size, "counter %s%s", counter_names[counter->kind],
             by_cause ? libpool_cause_name(counter->cause) : "");
}

static void expect_counter(struct ch_run *run, const struct ch_counter *counter,
                           const struct ch_bound *bound, const libpool_stats *stats)
{
    char name[64];
    uint64_t value;
    name_counter(counter, name, sizeof name);
    if (served_value(&run->world->served, counter->kind, &value)) {
        compare(run, bound, value, name, "libpool_remote_stats_read");
        return;
    }
    compare(run, bound, ch_counter_value(stats, counter), name,
            run->target_gone && run->unread ? "the application's last sample"
                                            : "libpool_stats_read");
}

/* ---- The `expect` action ----------------------------------------------------------------------- */

/* The binding that a name has, or the victim that its action had. */
static const struct ch_binding *binding_of(const struct ch_run *run, int name)
{
    return name == CH_NOBODY ? NULL : &run->names[name];
}

/* What a shutdown's call returned, for `on shutdown-done of=s : expect errno=...`. */
static uint64_t error_of(const struct ch_run *run, uint32_t step)
{
    const struct ch_trigger *trigger = &run->scenario->steps[step].trigger;
    int32_t code = run->steps[step].event.code;
    if (trigger->of != CH_NOBODY && run->scenario->names[trigger->of].kind == CH_NAME_ACTION &&
        run->steps[run->scenario->names[trigger->of].index].replied)
        code = run->steps[run->scenario->names[trigger->of].index].reply;
    return (uint64_t)(code < 0 ? -code : code);
}

static void expect_field(struct ch_run *run, const struct ch_check *check, const char *name,
                         uint64_t actual)
{
    compare(run, &check->bound, actual, name, "the event that triggered it");
}

static void expect_cause(struct ch_run *run, const struct ch_check *check, libpool_cause actual)
{
    if (!holds(&check->bound, (uint64_t)actual))
        ch_result_object(run->result, CH_FAIL, check->bound.place, "expect cause",
                         libpool_cause_name((libpool_cause)check->bound.low),
                         libpool_cause_name(actual), "the event that triggered it");
}

/* Nobody is not another one: two processes or slots are compared, or nothing is shown. */
static void expect_identity(struct ch_run *run, uint32_t step, const struct ch_check *check,
                            const char *name, uint64_t actual, uint64_t reference, uint64_t nobody)
{
    struct ch_bound bound = check->bound;
    if (check->reference != CH_NOBODY)
        bound.low = reference;
    if (actual == nobody || bound.low == nobody)
        ch_expect_unjudged(run, step, name, "one of the two is nobody");
    else
        compare(run, &bound, actual, name, "the event that triggered it");
}

static void expect_check(struct ch_run *run, uint32_t step, const struct ch_check *check)
{
    const struct hn_record *event = &run->steps[step].event;
    const struct ch_binding *other = binding_of(run, check->reference);
    switch (check->kind) {
    case CH_CHECK_CAUSE: expect_cause(run, check, (libpool_cause)event->cause); break;
    case CH_CHECK_SIGNAL: expect_field(run, check, "expect signal", (uint64_t)event->signal); break;
    case CH_CHECK_CODE:
        expect_field(run, check, "expect code", (uint64_t)(int64_t)event->code);
        break;
    case CH_CHECK_ERRNO: expect_field(run, check, "expect errno", error_of(run, step)); break;
    case CH_CHECK_PID:
        expect_identity(run, step, check, "expect pid", (uint64_t)event->pid,
                        other ? (uint64_t)other->process.pid : 0, 0);
        break;
    case CH_CHECK_SLOT:
        expect_identity(run, step, check, "expect slot", event->slot,
                        other && other->bound ? other->slot : HN_NONE, HN_NONE);
        break;
    case CH_CHECK_COUNTER:
        expect_counter(run, &check->counter, &check->bound, &run->world->answer);
        break;
    case CH_CHECK_KINDS: break;
    }
}

void ch_expect_checks(struct ch_run *run, uint32_t step)
{
    const struct ch_expect_action *action = &run->scenario->steps[step].action.expect;
    for (size_t i = 0; i < action->checks_count; i++)
        expect_check(run, step, &action->checks[i]);
}

/* ---- Fired ------------------------------------------------------------------------------------- */

static bool is_meant(const struct ch_fired_expectation *fired, const struct ch_action *action)
{
    return fired->name != CH_NOBODY ? action->name == fired->name : action->kind == fired->kind;
}

static void expect_fired(struct ch_run *run, const struct ch_fired_expectation *fired)
{
    uint64_t count = 0;
    bool optional = true;
    for (size_t i = 0; i < run->scenario->steps_count; i++) {
        if (!is_meant(fired, &run->scenario->steps[i].action))
            continue;
        count += run->steps[i].fired;
        optional = optional && run->scenario->steps[i].action.optional;
    }
    if (count || optional) /* else it is inconclusive, as expect_all_fired says */
        compare(run, &fired->bound, count, "fired", "the timeline");
}

/* Every fault has to have fired, or nothing was shown. */
static void expect_all_fired(struct ch_run *run)
{
    for (size_t i = 0; i < run->scenario->steps_count; i++) {
        const struct ch_action *action = &run->scenario->steps[i].action;
        const struct ch_step_state *state = &run->steps[i];
        if (!ch_action_is_fault(action) || action->optional || state->fired)
            continue;
        ch_result_objectf(run->result, CH_INCONCLUSIVE, action->place, "fired", "this fault",
                          "the timeline", "it never fired%s%s", state->trouble[0] ? ": " : "",
                          state->trouble);
    }
}

/* ---- The closed world -------------------------------------------------------------------------- */

/* Whether workers may leave in order: else a pool that wears them out for nothing would be fine. */
static bool may_retire(const struct ch_run *run, const libpool_stats *stats)
{
    const struct ch_pool *pool = &run->scenario->pool;
    return run->shut || pool->tasks_per_worker || pool->max_age_ms || pool->recycle_bytes ||
           pool->max_workers != pool->min_workers || stats->zygotes_lost;
}

static bool is_trouble(const struct ch_run *run, const struct ch_counter *counter,
                       const libpool_stats *stats)
{
    libpool_cause cause = counter->cause;
    switch (counter->kind) {
    case CH_TASKS_FAILED:
    case CH_TASKS_REJECTED:
    case CH_TASKS_RETURNED:
    case CH_TASKS_RETRIED:
    case CH_KINDS_HELD:
    case CH_ADMISSION_PAUSES:
    case CH_SPAWNS_FAILED:
    case CH_INITIALIZERS_FAILED:
    case CH_FINALIZERS_FAILED:
    case CH_ZYGOTES_LOST:
    case CH_WORKERS_OUTGROWN:
    case CH_SESSIONS_MALFORMED:
    case CH_SESSIONS_STALLED:
    case CH_RESULTS_DROPPED:
    case CH_DEGRADED: return true;
    case CH_TASKS_ENDED: return cause != LIBPOOL_PENDING && cause != LIBPOOL_COMPLETED;
    case CH_WORKERS_ENDED:
        if (cause == LIBPOOL_COMPLETED)
            return !may_retire(run, stats);
        return cause != LIBPOOL_PENDING && !(cause == LIBPOOL_SHUTDOWN && run->shut);
    case CH_TASKS_RECEIVED:
    case CH_TASKS_LAUNCHED:
    case CH_TASKS_PENDING:
    case CH_TASKS_RUNNING:
    case CH_WORKER_PROCESSES_CREATED:
    case CH_WORKER_PROCESSES_STILL_ALIVE:
    case CH_WORKER_PROCESSES_IDLE:
    case CH_WORKER_PROCESSES_BUSY:
    case CH_MAX_WORKERS_BUSY_CONCURRENTLY:
    case CH_FINALIZERS_STARTED:
    case CH_FINALIZERS_OK:
    case CH_ZYGOTES_STARTED:
    case CH_TASKS_ASKED:
    case CH_SESSIONS_ACCEPTED:
    case CH_SESSIONS_LEFT:
    case CH_TASKS_SERVED:
    case CH_COUNTERS: break;
    }
    return false;
}

static bool is_named(const struct ch_run *run, const struct ch_counter *counter)
{
    for (size_t i = 0; i < run->scenario->expectations_count; i++) {
        const struct ch_expectation *expectation = &run->scenario->expectations[i];
        if (expectation->kind == CH_EXPECT_COUNTER &&
            expectation->counter.counter.kind == counter->kind &&
            expectation->counter.counter.cause == counter->cause)
            return true;
    }
    return false;
}

static void expect_no_trouble(struct ch_run *run, const struct ch_counter *counter,
                              const libpool_stats *stats)
{
    struct ch_bound none = {
        .place = run->scenario->expect_place, .operator= CH_EQUAL, .implied = true};
    if (is_trouble(run, counter, stats) && !is_named(run, counter))
        expect_counter(run, counter, &none, stats);
}

static void expect_closed_world(struct ch_run *run, const libpool_stats *stats)
{
    for (int kind = 0; kind < CH_COUNTERS; kind++) {
        bool by_cause = kind == CH_TASKS_ENDED || kind == CH_WORKERS_ENDED;
        for (int cause = 0; cause < (by_cause ? LIBPOOL_CAUSES : 1); cause++) {
            struct ch_counter counter = {(enum ch_counter_kind)kind, (libpool_cause)cause};
            expect_no_trouble(run, &counter, stats);
        }
    }
}

/* Nobody can be asked any more: what the target had sampled last. Trouble does not go away again. */
static void expect_closed_world_of_dead(struct ch_run *run)
{
    libpool_stats last;
    uint64_t time_ns;
    if (hn_sample_read(&run->world->sample, &last, &time_ns)) {
        last.degraded = 0; /* but this may */
        expect_closed_world(run, &last);
    } else {
        ch_result_object(run->result, CH_INCONCLUSIVE, nowhere, "numbers", "the pool's numbers",
                         run->unread, "the target's samples");
    }
}

/* Of a dead application a range can be judged by its last sample. False: there is nothing. */
static bool find_numbers(const struct ch_run *run, const struct ch_bound *bound,
                         libpool_stats *numbers)
{
    uint64_t time_ns;
    if (run->unread)
        return run->target_gone && bound->operator== CH_IN &&
                                   hn_sample_read(&run->world->sample, numbers, &time_ns);
    *numbers = run->numbers;
    return true;
}

static void expect_numbers(struct ch_run *run, const struct ch_expectation *expectation)
{
    char name[64];
    libpool_stats numbers;
    const struct ch_counter *counter = &expectation->counter.counter;
    const struct ch_bound *bound = &expectation->counter.bound;
    if (run->timed_out) /* that is told, and grave enough */
        return;
    if (find_numbers(run, bound, &numbers)) {
        expect_counter(run, counter, bound, &numbers);
        return;
    }
    name_counter(counter, name, sizeof name);
    ch_result_object(run->result, CH_INCONCLUSIVE, expectation->place, "numbers", name, run->unread,
                     "libpool_stats_read");
}

/* ---- Groups of tasks --------------------------------------------------------------------------- */

/* After its start: by its run timeout or its silence, whichever is first, and its grace. */
static uint64_t allowed_ns(const struct hn_group *group)
{
    uint64_t run_ms = group->run_timeout_ms;
    uint64_t beats_ms = group->kind == HN_TASK_BEAT ? group->work_us / 1000 : 0;
    uint64_t silence_ms = group->heartbeat_timeout_ms + beats_ms;
    if (group->heartbeat_timeout_ms && (!run_ms || silence_ms < run_ms))
        run_ms = silence_ms;
    return (run_ms + group->grace_ms) * HN_MS;
}

/* When the deadline that ended it was due, by the workers' and the target's own clocks; 0: none. */
static uint64_t due_ns(const struct ch_run *run, uint32_t task)
{
    const struct hn_row *row = &run->world->rows[task];
    const struct hn_group *group = &run->groups[row->group];
    const struct hn_history *history = &run->world->history;
    uint64_t due_ns = 0; /* by its last run */
    if (row->cause == LIBPOOL_QUEUE_TIMEOUT)
        return row->accepted_ns + group->queue_timeout_ms * HN_MS;
    for (uint64_t number = 1; number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (record && record->kind == HN_TASK_START && record->task == task)
            due_ns = record->time_ns + allowed_ns(group);
    }
    return due_ns;
}

/* When the pool says that it ended, and when its waiter knew: the later of the two. */
static uint64_t ended_ns(const struct ch_run *run, uint32_t task)
{
    const struct hn_row *row = &run->world->rows[task];
    const struct hn_history *history = &run->world->history;
    for (uint64_t number = 1; number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (record && record->kind == HN_POOL + LIBPOOL_EVENT_TASK_ENDED &&
            record->a == row->task_id && record->time_ns > row->awaited_ns)
            return record->time_ns;
    }
    return row->awaited_ns;
}

static void expect_in_time(struct ch_run *run, const struct ch_expectation *expectation,
                           uint32_t task)
{
    uint64_t late_us = expectation->task.late_us;
    if (late_us == CH_UNSET)
        return;
    uint64_t due = due_ns(run, task), ended = ended_ns(run, task);
    if (due == 0 || run->world->rows[task].awaited_ns == 0)
        ch_result_objectf(run->result, CH_INCONCLUSIVE, expectation->place, "numbers",
                          "a start and an end", "the task's start record, its waiter's clock",
                          "task %u has no %s", task, due ? "end" : "start");
    if (due == 0 || ended <= due + late_us * HN_US)
        return;
    ch_result_objectf(run->result, CH_FAIL, expectation->place, "task late", "no later",
                      "the task's start record, its waiter's clock, the pool's event of its end",
                      "task %u: %" PRIu64 " us after its deadline", task, (ended - due) / HN_US);
}

static bool fits(const struct ch_task_expectation *wanted, const struct hn_row *row)
{
    return atomic_load(&row->state) == HN_TASK_COLLECTED && row->cause == wanted->cause &&
           (wanted->signal == 0 || row->signal == wanted->signal) &&
           (wanted->code == CH_UNSET || (uint64_t)(int64_t)row->code == wanted->code) &&
           (wanted->certainty < 0 || (int)row->certainty == wanted->certainty) &&
           (wanted->parts == CH_UNSET || hn_parts_arrived(&row->parts) == wanted->parts);
}

static void tell_other(struct ch_run *run, const struct ch_expectation *expectation,
                       const char *group, uint64_t wanted, uint64_t count, uint64_t offered,
                       const struct hn_row *other)
{
    char checker[64], expected[96];
    const char *became = "";
    if (other) /* the text, where there is one, tells the cause, too */
        became = other->text[0] ? other->text : libpool_cause_name(other->cause);
    snprintf(checker, sizeof checker, "task %.50s", group);
    snprintf(expected, sizeof expected, "%" PRIu64 " of %u %s", wanted,
             run->scenario->submits[expectation->task.submit].count,
             libpool_cause_name(expectation->task.cause));
    ch_result_objectf(run->result, CH_FAIL, expectation->place, checker, expected,
                      "the tasks' futures", "%" PRIu64 " of %" PRIu64 " offered%s%s", count,
                      offered, other ? "; another one: " : "", became);
}

static const char *group_name(const struct ch_run *run, uint32_t group)
{
    int name = run->scenario->submits[group].name;
    return name == CH_NOBODY ? "?" : run->scenario->names[name].text;
}

static void expect_tasks(struct ch_run *run, const struct ch_expectation *expectation)
{
    const struct ch_task_expectation *wanted = &expectation->task;
    uint64_t count = 0, offered = 0, all = run->scenario->submits[wanted->submit].count;
    const struct hn_row *other = NULL;
    for (uint32_t task = 0; task < atomic_load(&run->world->tasks_count); task++) {
        const struct hn_row *row = &run->world->rows[task];
        if (row->group != wanted->submit)
            continue;
        offered++;
        if (!fits(wanted, row)) {
            other = row;
            continue;
        }
        count++;
        expect_in_time(run, expectation, task);
    }
    if (wanted->count != CH_UNSET)
        all = wanted->count;
    if (count != all)
        tell_other(run, expectation, group_name(run, wanted->submit), all, count, offered, other);
}

/* ---- Recovery ---------------------------------------------------------------------------------- */

struct recovery {
    struct hn_roster *roster;
    uint64_t strong_ns, result_ns; /* since the last fault: full strength, and a result */
};

static void follow(const struct ch_run *run, const struct hn_record *record, uint64_t since_ns,
                   struct recovery *recovery)
{
    uint32_t wanted = run->scenario->pool.min_workers + run->scenario->pool.spare_workers;
    hn_roster_note(recovery->roster, record);
    if (record->time_ns < since_ns)
        return;
    if (hn_roster_ready(recovery->roster) < wanted)
        recovery->strong_ns = 0;
    else if (recovery->strong_ns == 0)
        recovery->strong_ns = record->time_ns;
    if (recovery->result_ns == 0 && record->kind == HN_COLLECTED &&
        record->cause == LIBPOOL_COMPLETED)
        recovery->result_ns = record->time_ns;
}

static uint64_t last_fault_ns(const struct ch_run *run)
{
    uint64_t last_ns = 0;
    const struct hn_history *history = &run->world->history;
    for (uint64_t number = 1; number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (record && (record->kind == HN_FAULT || record->kind == HN_FAULT_UNDONE))
            last_ns = record->time_ns;
    }
    return last_ns;
}

/* From the last fault, or its undo, to full strength and a completed task (the probe at latest). */
static void expect_recovery(struct ch_run *run, const struct ch_expectation *expectation)
{
    static struct hn_roster roster; /* too large for the stack */
    struct recovery recovery = {.roster = &roster};
    uint64_t since_ns = last_fault_ns(run);
    uint64_t limit_ns = expectation->recovery.within_us * HN_US;
    const struct hn_history *history = &run->world->history;
    if (since_ns == 0) {
        ch_result_object(run->result, CH_INCONCLUSIVE, expectation->place, "recovery",
                         "a fault to recover from", "none fired", "the event history");
        return;
    }
    memset(&roster, 0, sizeof roster);
    for (uint64_t number = 1; number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (record && record->kind == HN_CALL && record->a == HN_CALL_CLOSE)
            break;
        if (record)
            follow(run, record, since_ns, &recovery);
    }
    if (recovery.strong_ns && recovery.result_ns && recovery.strong_ns <= since_ns + limit_ns &&
        recovery.result_ns <= since_ns + limit_ns)
        return;
    ch_result_objectf(run->result, CH_FAIL, expectation->place, "recovery", "within the bound",
                      "the pool's events and the tasks' results",
                      "full strength after %" PRId64 " us, a result after %" PRId64 " us",
                      recovery.strong_ns ? (int64_t)(recovery.strong_ns - since_ns) / 1000 : -1,
                      recovery.result_ns ? (int64_t)(recovery.result_ns - since_ns) / 1000 : -1);
}

/* ---- Kernel and host --------------------------------------------------------------------------- */

static void expect_kernel(struct ch_run *run, const struct ch_kernel_expectation *kernel)
{
    switch (kernel->counter) {
    case CH_KERNEL_OOM_KILL:
        compare(run, &kernel->bound, run->world->oom_kills, "kernel oom_kill",
                run->world->oom_source[0] ? run->world->oom_source
                                          : "oom_kill of the limited cgroups");
        break;
    case CH_KERNEL_PIDS_MAX:
        compare(run, &kernel->bound, run->world->pids_refused, "kernel pids_max",
                "pids.events of the target's cgroup");
        break;
    case CH_KERNEL_COUNTERS: break;
    }
}

static void check_host(struct ch_run *run, struct ch_place place, bool dead)
{
    char expected[64] = "alive";
    bool died = run->target_gone && (run->target_end.signal || run->target_end.code);
    if (dead)
        snprintf(expected, sizeof expected, "dead by the signal that it was sent, %d",
                 run->host_signal);
    if (died == dead && (!dead || run->target_end.signal == run->host_signal))
        return;
    ch_result_objectf(run->result, CH_FAIL, place, "host", expected, "the guardian, its parent",
                      "%s, code %d, signal %d", died ? "it died" : "it lives", run->target_end.code,
                      run->target_end.signal);
}

/* ---- Invariants -------------------------------------------------------------------------------- */

/* Every one of the clause, or that there were more: none is ever lost. */
static void tell_clause(struct ch_run *run, enum hn_clause clause, struct ch_place place)
{
    enum ch_verdict verdict = clause == HN_HARNESS ? CH_ERROR : CH_FAIL;
    uint32_t count = hn_findings_count(&run->world->findings, clause), told = 0;
    for (uint32_t i = 0; i < HN_FINDINGS_MAX; i++) {
        const struct hn_finding *finding = hn_findings_at(&run->world->findings, clause, i);
        if (!finding)
            continue;
        told++;
        ch_result_object(run->result, verdict, place, hn_clause_name(clause), finding->expected,
                         finding->actual, finding->read);
    }
    if (count > told)
        ch_result_objectf(run->result, verdict, place, hn_clause_name(clause), "nothing to object",
                          "the findings", "%u more", count - told);
}

static void tell_findings(struct ch_run *run, struct ch_place place, uint32_t waived)
{
    for (int clause = 0; clause < HN_CLAUSES; clause++)
        if (clause == HN_HARNESS || !(waived >> (clause - 1) & 1))
            tell_clause(run, (enum hn_clause)clause, place);
}

/* ---- All --------------------------------------------------------------------------------------- */

static void expect_one(struct ch_run *run, const struct ch_expectation *expectation)
{
    switch (expectation->kind) {
    case CH_EXPECT_FIRED: expect_fired(run, &expectation->fired); break;
    case CH_EXPECT_KERNEL: expect_kernel(run, &expectation->kernel); break;
    case CH_EXPECT_COUNTER: expect_numbers(run, expectation); break;
    case CH_EXPECT_TASK: expect_tasks(run, expectation); break;
    case CH_EXPECT_RECOVERY: expect_recovery(run, expectation); break;
    case CH_EXPECT_HOST:      /* below: it is implied, too */
    case CH_EXPECT_INVARIANT: /* below */
    case CH_EXPECTATION_KINDS: break;
    }
}

/* The target died, or could not begin, before there was anything to be judged. */
static void expect_begin(struct ch_run *run)
{
    check_host(run, run->scenario->place, false);
    tell_findings(run, nowhere, 0);
    if (ch_result_verdict(run->result) == CH_PASS)
        ch_result_object(run->result, CH_ERROR, run->scenario->place, "harness", "the load begins",
                         "it did not", "the event history");
}

void ch_expect_all(struct ch_run *run)
{
    struct ch_place host = run->scenario->place, invariant = nowhere;
    bool dead = false;
    uint32_t waived = 0;
    if (run->load_ns == 0 && run->host_signal == 0) {
        expect_begin(run);
        return;
    }
    for (size_t i = 0; i < run->scenario->expectations_count; i++) {
        const struct ch_expectation *expectation = &run->scenario->expectations[i];
        expect_one(run, expectation);
        if (expectation->kind == CH_EXPECT_HOST) {
            host = expectation->place;
            dead = expectation->host.dead;
        } else if (expectation->kind == CH_EXPECT_INVARIANT) {
            invariant = expectation->place;
            waived = expectation->invariant.except;
        }
    }
    expect_all_fired(run);
    if (run->unread && !run->timed_out)
        expect_closed_world_of_dead(run);
    else if (!run->unread)
        expect_closed_world(run, &run->numbers);
    check_host(run, host, dead);
    tell_findings(run, invariant, waived);
}
