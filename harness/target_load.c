/* SPDX-License-Identifier: MIT */
/* target_load: the target's side of tasks: submit them, wait for them, write down what they came to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "harness/clock.h"
#include "harness/target_inner.h"

#define SUBMIT_SLACK_MS 500
#define CANCEL_BOUND_MS 2000

/* ---- Submitting ------------------------------------------------------------------------------ */

uint32_t hn_target_take_row(struct hn_target *target, uint32_t group)
{
    struct hn_world *world = target->world;
    uint32_t index = atomic_load(&world->tasks_count);
    if (index >= HN_TASKS_MAX) {
        hn_findings_add(&world->findings, HN_HARNESS, "the target's task table", "room",
                        "more than %u tasks were submitted", HN_TASKS_MAX);
        return HN_NONE;
    }
    struct hn_row *row = &world->rows[index];
    row->group = group;
    row->slot = HN_NONE;
    row->offered_ns = hn_clock_ns();
    atomic_store(&row->state, HN_TASK_OFFERED);
    atomic_store(&world->tasks_count, index + 1);
    return index;
}

struct hn_order *hn_target_make_order(const struct hn_group *what, uint32_t group, uint32_t task,
                                      size_t *size)
{
    uint64_t payload = what->kind == HN_TASK_ECHO ? what->bytes : 0;
    *size = sizeof(struct hn_order) + payload;
    struct hn_order *order = malloc(*size);
    if (!order)
        return NULL;
    memset(order, 0, sizeof *order);
    order->what = *what;
    order->group = group;
    order->task = task;
    order->payload_size = payload;
    hn_payload_fill((uint8_t *)(order + 1), payload, task);
    return order;
}

libpool_task hn_target_task_of(const struct hn_group *what, uint32_t group)
{
    return (libpool_task){
        .size = sizeof(libpool_task),
        .group = group + UINT64_C(1),
        .heartbeat_timeout_ms = what->heartbeat_timeout_ms,
        .grace_ms = what->grace_ms,
        .soft_signal = what->soft_signal,
        .retries = what->retries,
        .retry_causes = what->retry_causes,
        .retry_min_ms = what->retry_min_ms,
        .retry_max_ms = what->retry_max_ms,
        .kind = what->family,
        .memory_limit_bytes = what->memory_limit_bytes,
    };
}

int hn_target_prepare(struct hn_target *target, const struct hn_group *what, uint32_t group,
                      uint32_t task, libpool_task *offered)
{
    size_t size;
    struct hn_order *order = hn_target_make_order(what, group, task, &size);
    if (!order)
        return -ENOMEM;
    *offered = hn_target_task_of(what, group);
    offered->function = target->object ? NULL : hn_task_run;
    offered->object = target->object;
    offered->symbol = target->object ? "chaos_task" : NULL;
    offered->priority = what->priority;
    offered->run_timeout_ms = what->run_timeout_ms;
    offered->queue_timeout_ms = what->queue_timeout_ms;
    if (target->options->telling) {
        target->tellers[task] = (struct hn_teller){target, task};
        offered->started = hn_target_started;
        offered->done = hn_target_done;
        offered->callback_arg = &target->tellers[task];
    }
    int error = hn_target_give_input(target, task, what, order, size, offered);
    if (error)
        hn_target_take_input(target, task);
    return error;
}

static int offer(struct hn_target *target, const struct hn_group *what, uint32_t group,
                 uint32_t task, libpool_future **future)
{
    libpool_task offered;
    int bound_ms = what->wait_ms < 0 ? -1 : what->wait_ms + SUBMIT_SLACK_MS;
    int error = hn_target_prepare(target, what, group, task, &offered);
    if (error)
        return error;
    struct hn_timing timing = hn_call_begin(target, HN_CALL_SUBMIT, bound_ms);
    int rc = libpool_submit(target->pool, &offered, what->wait_ms, future);
    hn_call_end(&timing, rc, task);
    if (rc || what->input == HN_INPUT_COPY)
        hn_target_take_input(target, task);
    return rc;
}

void hn_target_note_offered(struct hn_target *target, uint32_t task, int rc, libpool_future *future)
{
    struct hn_row *row = &target->world->rows[task];
    struct hn_record record = hn_record_of(rc ? HN_REFUSED : HN_SUBMITTED);
    record.group = row->group;
    record.task = task;
    record.code = rc;
    target->accepted += rc == 0;
    if (rc == 0 && target->options->clients == 0) /* else nobody knows their order */
        record.a = target->accepted;
    hn_history_append(&target->world->history, &record);
    row->error = rc;
    row->accepted_ns = hn_clock_ns();
    pthread_mutex_lock(&target->lock);
    target->futures[task] = future;
    atomic_store(&row->state, rc ? HN_TASK_REFUSED : HN_TASK_ACCEPTED);
    pthread_cond_broadcast(&target->changed);
    pthread_mutex_unlock(&target->lock);
}

/* True when a submission may begin; the counterpart is end_submitting. */
static bool begin_submitting(struct hn_target *target)
{
    pthread_mutex_lock(&target->lock);
    bool may = !target->leaving;
    if (may)
        target->submitting++;
    pthread_mutex_unlock(&target->lock);
    return may;
}

static void end_submitting(struct hn_target *target)
{
    pthread_mutex_lock(&target->lock);
    target->submitting--;
    pthread_cond_broadcast(&target->changed);
    pthread_mutex_unlock(&target->lock);
}

/* One task of a group. Its row, or HN_NONE. */
static uint32_t submit_one(struct hn_target *target, uint32_t number, const struct hn_group *what)
{
    libpool_future *future = NULL;
    pthread_mutex_lock(&target->submissions);
    uint32_t task = hn_target_take_row(target, number);
    if (task != HN_NONE) {
        int rc = offer(target, what, number, task, &future);
        hn_target_note_offered(target, task, rc, future);
    }
    pthread_mutex_unlock(&target->submissions);
    return task;
}

/* So many at a time. A row of the first, or HN_NONE. */
static uint32_t submit_some(struct hn_target *target, uint32_t number, const struct hn_group *what,
                            uint32_t count)
{
    if (what->many == 0)
        return submit_one(target, number, what);
    pthread_mutex_lock(&target->submissions);
    uint32_t task = hn_target_submit_many(target, number, what, count);
    pthread_mutex_unlock(&target->submissions);
    return task;
}

static int submit_batch(struct hn_target *target, uint32_t number, const struct hn_group *group)
{
    if (!begin_submitting(target))
        return (int)group->count;
    hn_target_map(target, number, group);
    end_submitting(target);
    return 0;
}

static int submit_by_client(struct hn_target *target, uint32_t number, const struct hn_group *group)
{
    if (!begin_submitting(target))
        return (int)group->count;
    uint32_t left = hn_clients_submit(target, number, group);
    end_submitting(target);
    return (int)left;
}

int hn_target_submit(struct hn_target *target, uint32_t number, const struct hn_group *group)
{
    uint32_t first = HN_NONE;
    if (group->batch)
        return submit_batch(target, number, group);
    if (group->client)
        return submit_by_client(target, number, group);
    uint32_t most = group->many ? group->many : 1, some;
    for (uint32_t i = 0; i < group->count; i += some) {
        uint32_t task = HN_NONE;
        some = group->count - i < most ? group->count - i : most;
        if (begin_submitting(target)) {
            task = submit_some(target, number, group, some);
            end_submitting(target);
        }
        if (task == HN_NONE)
            return (int)(group->count - i);
        first = i == 0 ? task : first;
    }
    if (group->gathered)
        hn_target_gather(target, first);
    return 0;
}

void *hn_target_loader(void *argument)
{
    struct hn_target *target = argument;
    struct hn_record begun = hn_record_of(HN_LOAD_BEGUN);
    hn_history_append(&target->world->history, &begun);
    for (uint32_t i = 0; i < target->options->groups_in_load; i++)
        hn_target_submit(target, i, &target->options->groups[i]);
    pthread_mutex_lock(&target->lock);
    target->loaded = true;
    pthread_cond_broadcast(&target->changed);
    pthread_mutex_unlock(&target->lock);
    return NULL;
}

/* ---- Collecting ------------------------------------------------------------------------------ */

/* What it has written into its file, whatever it came to. */
static void look_at_file(struct hn_target *target, uint32_t task, const libpool_result *result)
{
    bool completed = result->cause == LIBPOOL_COMPLETED;
    if (result->data_size || !hn_target_file_is_right(target, task, completed))
        target->world->rows[task].echo = HN_ECHO_WRONG;
}

static void compare_echo(struct hn_target *target, uint32_t task, const libpool_result *result)
{
    struct hn_row *row = &target->world->rows[task];
    if (row->group >= target->options->groups_count)
        return;
    const struct hn_group *what = &target->options->groups[row->group];
    if (what->kind != HN_TASK_ECHO || what->works_at)
        return;
    if (what->input == HN_INPUT_FILE_SHARED)
        look_at_file(target, task, result);
    if (what->input == HN_INPUT_FILE_SHARED || result->cause != LIBPOOL_COMPLETED)
        return;
    bool exact = result->data_size == what->bytes &&
                 hn_payload_matches(result->data, result->data_size, task);
    row->echo = exact ? HN_ECHO_EXACT : HN_ECHO_WRONG;
}

void hn_target_copy_result(struct hn_row *row, const libpool_result *result)
{
    row->task_id = result->task_id;
    row->cause = result->cause;
    row->certainty = result->certainty;
    row->code = result->code;
    row->signal = result->signal;
    row->pid = result->pid;
    row->slot = result->slot;
    row->pending_ns = result->pending_ns;
    row->running_ns = result->running_ns;
    row->data_size = result->data_size;
    memcpy(row->text, result->text, sizeof row->text);
    row->text[sizeof row->text - 1] = 0;
    row->attempts = result->attempts;
    row->retried_cause = result->retried_cause;
}

static enum hn_trace read_trace(const libpool_options *options, const libpool_result *result)
{
    int64_t length = libpool_trace_text(result, NULL, 0);
    if (!(options->flags & LIBPOOL_TRACE))
        return length == -ENOENT ? HN_TRACE_UNKNOWN : HN_TRACE_UNASKED;
    return length > 0 ? HN_TRACE_THERE : HN_TRACE_NONE;
}

void hn_target_note_collected(struct hn_target *target, uint32_t task, const libpool_result *result)
{
    struct hn_row *row = &target->world->rows[task];
    struct hn_record record = hn_record_of(HN_COLLECTED);
    hn_target_copy_result(row, result);
    row->ends++;
    compare_echo(target, task, result);
    hn_target_take_input(target, task);
    row->tail = hn_outfit_read_tail(&target->options->outfit, task, result);
    row->trace = read_trace(&target->options->pool, result);
    hn_sabotage_result(target->options->sabotage, row);
    row->collected_ns = hn_clock_ns();
    record.group = row->group;
    record.task = task;
    record.slot = result->slot;
    record.cause = (int32_t)result->cause;
    record.code = result->code;
    record.signal = result->signal;
    record.a = result->task_id;
    hn_history_append(&target->world->history, &record);
    atomic_store(&row->state, HN_TASK_COLLECTED);
}

/* Waits for a future that ends sometime. */
static void collect(struct hn_target *target, uint32_t task, libpool_future *future)
{
    int rc = hn_target_await(target, future, HN_NEVER);
    const libpool_result *result = libpool_future_result(future);
    if (rc || !result) {
        hn_findings_add(&target->world->findings, HN_I1_RESOLUTION, "libpool_future_wait(-1)",
                        "0 and a result", "%d and %s for task %u", rc,
                        result ? "a result" : "no result", task);
        return;
    }
    hn_target_note_collected(target, task, result);
}

/* Once more, when the pool is gone: what a future has said it says for ever. */
void hn_target_look_again(struct hn_target *target, uint32_t task)
{
    const struct hn_row *row = &target->world->rows[task];
    if (atomic_load(&row->state) != HN_TASK_COLLECTED || !target->futures[task])
        return;
    const libpool_result *result = libpool_future_result(target->futures[task]);
    bool same = result && result->task_id == row->task_id && result->cause == row->cause &&
                result->certainty == row->certainty && result->code == row->code &&
                result->signal == row->signal && result->pid == row->pid &&
                result->data_size == row->data_size;
    if (same && row->echo == HN_ECHO_EXACT)
        same = hn_payload_matches(result->data, result->data_size, task);
    if (!same)
        hn_findings_add(&target->world->findings, HN_I1_RESOLUTION, "libpool_future_result, twice",
                        "the same, also when the pool is closed", "another result for task %u",
                        task);
}

static bool is_open(const struct hn_target *target, uint32_t task)
{
    const struct hn_row *row = &target->world->rows[task];
    return task < atomic_load(&target->world->tasks_count) &&
           atomic_load(&row->state) != HN_TASK_OFFERED;
}

/* Of a client's task only the end concerns the collector. */
static bool is_due(const struct hn_target *target, uint32_t task)
{
    const struct hn_row *row = &target->world->rows[task];
    bool remote = row->group < target->options->groups_count &&
                  target->options->groups[row->group].client;
    return is_open(target, task) && (!remote || atomic_load(&row->state) != HN_TASK_ACCEPTED);
}

/* All that there will ever be, for now, have been collected. */
static bool is_last(const struct hn_target *target, uint32_t task)
{
    return target->submitting == 0 && task >= atomic_load(&target->world->tasks_count);
}

static void note_load_ended(struct hn_target *target, uint32_t task)
{
    struct hn_record record = hn_record_of(HN_LOAD_ENDED);
    record.a = task;
    hn_history_append(&target->world->history, &record);
}

/* The next row that was offered to the pool; false: none will come any more. */
static bool await_row(struct hn_target *target, uint32_t task, libpool_future **future)
{
    bool told = false;
    pthread_mutex_lock(&target->lock);
    while (!is_due(target, task) && !(target->leaving && is_last(target, task))) {
        if (target->loaded && is_last(target, task) && !told) {
            note_load_ended(target, task);
            told = true;
        }
        pthread_cond_wait(&target->changed, &target->lock);
    }
    bool open = is_due(target, task);
    *future = open ? target->futures[task] : NULL;
    pthread_mutex_unlock(&target->lock);
    return open;
}

void *hn_target_collector(void *argument)
{
    struct hn_target *target = argument;
    libpool_future *future;
    for (uint32_t task = 0; await_row(target, task, &future); task++)
        if (future && (task || target->options->sabotage != HN_SABOTAGE_LOSE_END))
            collect(target, task, future);
    return NULL;
}

/* ---- Waiting for one --------------------------------------------------------------------------- */

/* Moves on to a row that is to be awaited, or to the end of those that are there. */
static bool find_awaited(struct hn_target *target)
{
    for (; is_open(target, target->awaited); target->awaited++) {
        const struct hn_row *row = &target->world->rows[target->awaited];
        if (row->group < target->options->groups_count && target->futures[target->awaited] &&
            target->options->groups[row->group].awaited)
            return true;
    }
    return false;
}

static bool take_awaited(struct hn_target *target, uint32_t *task, libpool_future **future)
{
    pthread_mutex_lock(&target->lock);
    bool found = find_awaited(target);
    for (; !found && !(target->leaving && target->submitting == 0); found = find_awaited(target))
        pthread_cond_wait(&target->changed, &target->lock);
    if (found) {
        *task = target->awaited++;
        *future = target->futures[*task];
    }
    pthread_mutex_unlock(&target->lock);
    return found;
}

static void note_part(struct hn_target *target, uint32_t task, const void *data, size_t size)
{
    struct hn_row *row = &target->world->rows[task];
    if (!hn_parts_note(&row->parts, task, data, size))
        return;
    struct hn_record record = hn_record_of(HN_PART);
    record.group = row->group;
    record.task = task;
    record.b = row->parts.taken;
    hn_history_append(&target->world->history, &record);
}

/* All that come, to the last. */
static void take_parts(struct hn_target *target, uint32_t task, libpool_future *future)
{
    struct hn_parts *parts = &target->world->rows[task].parts;
    const void *data;
    size_t size;
    while ((parts->end = hn_target_next_part(target, future, &data, &size)) == 1)
        if (!hn_sabotage_part(target->options->sabotage, parts))
            note_part(target, task, data, size);
    parts->over = true;
}

/* The collector waits for one after the other; what is told of time needs somebody who does not. */
void *hn_target_waiter(void *argument)
{
    struct hn_target *target = argument;
    libpool_future *future;
    uint32_t task;
    while (take_awaited(target, &task, &future)) {
        const struct hn_group *what = &target->options->groups[target->world->rows[task].group];
        if (what->kind == HN_TASK_EMIT && !what->take_late)
            take_parts(target, task, future);
        if (hn_target_await(target, future, HN_NEVER) == 0)
            target->world->rows[task].awaited_ns = hn_sabotage_wake(target->options->sabotage,
                                                                    hn_clock_ns());
        if (what->kind == HN_TASK_EMIT && what->take_late)
            take_parts(target, task, future);
    }
    return NULL;
}

/* ---- Cancelling and probing -------------------------------------------------------------------- */

static int cancel_one(struct hn_target *target, uint32_t task)
{
    pthread_mutex_lock(&target->lock);
    libpool_future *future = target->futures[task];
    pthread_mutex_unlock(&target->lock);
    if (!future)
        return -ENOENT;
    struct hn_timing timing = hn_call_begin(target, HN_CALL_CANCEL, CANCEL_BOUND_MS);
    int rc = libpool_future_cancel(future);
    hn_call_end(&timing, rc, task);
    if (rc < 0)
        hn_findings_add(&target->world->findings, HN_I1_RESOLUTION, "libpool_future_cancel",
                        "one of its outcomes", "%d for task %u", rc, task);
    if (rc > 0 && rc != LIBPOOL_CANCEL_ASKED && !libpool_future_result(future))
        hn_findings_add(&target->world->findings, HN_I1_RESOLUTION, "libpool_future_result",
                        "a result when libpool_future_cancel has returned", "NULL for task %u",
                        task);
    return rc;
}

/* NULL: it goes on, or was never accepted. */
static const libpool_result *result_of(struct hn_target *target, uint32_t task)
{
    pthread_mutex_lock(&target->lock);
    libpool_future *future = target->futures[task];
    pthread_mutex_unlock(&target->lock);
    return future ? libpool_future_result(future) : NULL;
}

static bool is_cancelled(struct hn_target *target, uint32_t task)
{
    const libpool_result *result = result_of(target, task);
    return result && result->cause == LIBPOOL_CANCELLED;
}

int hn_target_cancel(struct hn_target *target, uint32_t group, uint32_t nth)
{
    int cancelled = 0;
    uint32_t seen = 0;
    uint32_t count = atomic_load(&target->world->tasks_count);
    for (uint32_t task = 0; task < count; task++) {
        if (target->world->rows[task].group != group)
            continue;
        seen++;
        if (nth == 0 || seen == nth)
            cancelled += cancel_one(target, task) > LIBPOOL_CANCEL_DONE;
    }
    return cancelled;
}

static void record_cancelled(struct hn_target *target, uint32_t task, int outcome)
{
    struct hn_record record = hn_record_of(HN_CALL);
    record.task = task;
    record.code = outcome;
    record.signal = -1; /* told of each, timed once */
    record.a = HN_CALL_CANCEL;
    hn_history_append(&target->world->history, &record);
}

/*
 * Each task of a group has to have ended, and as many of them as it says by this call. Those that have a
 * grace may go on, asked to end, and end as cancelled meanwhile. How many were cancelled or asked.
 */
int hn_target_cancel_group(struct hn_target *target, uint32_t group)
{
    int64_t before = 0, after = 0, asked = 0;
    uint32_t count = atomic_load(&target->world->tasks_count), left = 0;
    bool asks = target->options->groups[group].grace_ms > 0; /* those may go on for so long */
    for (uint32_t task = 0; task < count; task++)
        before += target->world->rows[task].group == group && is_cancelled(target, task);
    struct hn_timing timing = hn_call_begin(target, HN_CALL_CANCEL_GROUP, CANCEL_BOUND_MS);
    int64_t ended = libpool_cancel_group(target->pool, group + UINT64_C(1), NULL);
    hn_call_end(&timing, (int)ended, HN_NONE);
    for (uint32_t task = 0; task < count; task++) {
        if (target->world->rows[task].group != group)
            continue;
        bool goes_on = target->futures[task] && !result_of(target, task);
        bool cancelled = !goes_on && is_cancelled(target, task);
        left += goes_on && !asks;
        asked += goes_on && asks;
        after += cancelled;
        if (cancelled || (goes_on && asks))
            record_cancelled(target, task,
                             cancelled ? LIBPOOL_CANCEL_DEQUEUED : LIBPOOL_CANCEL_ASKED);
    }
    if (left || after - before < ended || (!asks && after - before != ended))
        hn_findings_add(&target->world->findings, HN_I1_RESOLUTION, "libpool_cancel_group",
                        "all have ended, as many by it as it says",
                        "%lld; %lld are cancelled now, %lld before, %u go on", (long long)ended,
                        (long long)after, (long long)before, left);
    return (int)(after - before + asked);
}

/* Waits until the collector has the probe's row. Its cause, or -ETIMEDOUT. */
static int await_probe(struct hn_target *target, uint32_t task, uint64_t deadline_ns)
{
    struct hn_row *row = &target->world->rows[task];
    libpool_future *future = target->futures[task];
    if (row->error)
        return row->error;
    int rc = hn_target_await(target, future, deadline_ns);
    if (rc)
        return rc;
    return (int)libpool_future_result(future)->cause;
}

int hn_target_probe(struct hn_target *target, uint64_t deadline_ns)
{
    struct hn_group probe = {.count = 1, .kind = HN_TASK_NOOP};
    probe.wait_ms = hn_clock_left_ms(deadline_ns);
    if (!begin_submitting(target))
        return -ESHUTDOWN;
    uint32_t task = submit_one(target, HN_PROBE_GROUP, &probe);
    int rc = task == HN_NONE ? -ENOSPC : await_probe(target, task, deadline_ns);
    end_submitting(target);
    return target->options->sabotage == HN_SABOTAGE_NO_PROBE ? -ETIMEDOUT : rc;
}
