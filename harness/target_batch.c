/* SPDX-License-Identifier: MIT */
/*
 * target_batch: a group of tasks that goes through libpool_map: each element is a row, like a task that
 * was submitted, from the moment in which the pool takes it from the input.
 *
 * Nobody else submits meanwhile, so rows and the pool's numbers are as consecutive as elements.
 */
#include <errno.h>
#include <stdlib.h>

#include "harness/clock.h"
#include "harness/target_inner.h"

struct batch {
    struct hn_target *target;
    const struct hn_group *what;
    uint32_t group;
    uint32_t first; /* row of element 0 */
    uint64_t taken, handed, withdrawn, failed;
    uint64_t ended[LIBPOOL_CAUSES_MAX];
    struct hn_order *order; /* of the last one taken */
};

static void object(const struct batch *batch, enum hn_clause clause, const char *expected,
                   uint64_t actual, uint64_t wanted)
{
    hn_findings_add(&batch->target->world->findings, clause, "libpool_map", expected,
                    "%llu, not %llu", (unsigned long long)actual, (unsigned long long)wanted);
}

/* ---- What the pool calls ---------------------------------------------------------------------- */

static int take_element(void *argument, const void **input, size_t *input_size)
{
    struct batch *batch = argument;
    struct hn_target *target = batch->target;
    if (batch->taken == batch->what->count)
        return 0;
    uint32_t task = hn_target_take_row(target, batch->group);
    if (task == HN_NONE)
        return -ENOSPC;
    batch->first = batch->taken++ ? batch->first : task;
    free(batch->order);
    batch->order = hn_target_make_order(batch->what, batch->group, task, input_size);
    if (!batch->order)
        return -ENOMEM;
    *input = batch->order;
    hn_target_note_offered(target, task, 0, NULL);
    return 1;
}

/* One that the pool never had has no number, and is nobody's in the books. */
static void note_withdrawn(struct batch *batch, uint32_t task, const libpool_result *result)
{
    struct hn_row *row = &batch->target->world->rows[task];
    if (result->cause != LIBPOOL_CANCELLED || result->certainty != LIBPOOL_NOT_STARTED)
        object(batch, HN_I1_RESOLUTION, "what has not begun ends as cancelled", result->cause,
               LIBPOOL_CANCELLED);
    batch->withdrawn++;
    row->ends++;
    atomic_store(&row->state, HN_TASK_WITHDRAWN);
}

static bool is_failure(libpool_cause cause)
{
    return cause != LIBPOOL_COMPLETED && cause != LIBPOOL_CANCELLED && cause != LIBPOOL_SHUTDOWN;
}

static int take_result(void *argument, uint64_t element, const libpool_result *result)
{
    struct batch *batch = argument;
    element = hn_sabotage_element(batch->target->options->sabotage, element);
    if (element == UINT64_MAX)
        return 0;
    if (element >= batch->taken) {
        object(batch, HN_I1_RESOLUTION, "a result of what was taken", element, batch->taken);
        return 0;
    }
    if (batch->what->batch == HN_BATCH_IN_ORDER && element != batch->handed)
        object(batch, HN_I5_ISOLATION, "results in the order of the elements", element,
               batch->handed);
    batch->handed++;
    batch->failed += is_failure(result->cause);
    batch->ended[result->cause % LIBPOOL_CAUSES_MAX]++;
    if (result->task_id)
        hn_target_note_collected(batch->target, batch->first + (uint32_t)element, result);
    else
        note_withdrawn(batch, batch->first + (uint32_t)element, result);
    return 0;
}

/* ---- The whole -------------------------------------------------------------------------------- */

static void check_report(const struct batch *batch, const libpool_batch_report *report)
{
    if (report->elements != batch->taken || batch->handed != batch->taken)
        object(batch, HN_I1_RESOLUTION, "a result of each element that was taken", batch->handed,
               batch->taken);
    if (report->failed != batch->failed)
        object(batch, HN_I2_BOOKS, "as many failures as were handed over", report->failed,
               batch->failed);
    for (int cause = 0; cause < LIBPOOL_CAUSES_MAX; cause++)
        if (report->ended[cause] != batch->ended[cause])
            object(batch, HN_I2_BOOKS, "as many of each cause as were handed over",
                   report->ended[cause], batch->ended[cause]);
}

/* It halts for failures, and not before there are so many; a shutdown is the other reason to stop. */
static void check_outcome(const struct batch *batch, int rc)
{
    uint64_t halt = batch->what->halt_failures;
    bool halted = halt && batch->failed >= halt;
    bool shut = batch->target->shut && (rc == -ESHUTDOWN || rc == 0);
    bool right = rc == LIBPOOL_HALTED ? halted
                 : rc == 0            ? batch->taken == batch->what->count || shut
                                      : shut;
    if (!right)
        hn_findings_add(&batch->target->world->findings, HN_I1_RESOLUTION, "libpool_map",
                        "halted at its failures, or all taken",
                        "%d after %llu of %u, %llu failures", rc, (unsigned long long)batch->taken,
                        batch->what->count, (unsigned long long)batch->failed);
}

static libpool_batch batch_of(struct batch *batch, const libpool_task *each)
{
    const struct hn_group *what = batch->what;
    return (libpool_batch){
        .size = sizeof(libpool_batch),
        .function = batch->target->object ? NULL : hn_task_run,
        .object = batch->target->object,
        .symbol = batch->target->object ? "chaos_task" : NULL,
        .next = take_element,
        .next_arg = batch,
        .result = take_result,
        .result_arg = batch,
        .flags = what->batch == HN_BATCH_IN_ORDER ? LIBPOOL_IN_ORDER : 0u,
        .priority = what->priority,
        .run_timeout_ms = what->run_timeout_ms,
        .queue_timeout_ms = what->queue_timeout_ms,
        .halt_failures = what->halt_failures,
        .each = each,
    };
}

/* The pool counts it as rejected; what it was not offered any more it does not know of. */
static void note_refused(struct batch *batch, int error)
{
    for (uint64_t element = 0; element < batch->taken; element++) {
        struct hn_row *row = &batch->target->world->rows[batch->first + element];
        if (atomic_load(&row->state) != HN_TASK_WITHDRAWN)
            continue;
        row->error = error;
        atomic_store(&row->state, HN_TASK_REFUSED);
        return;
    }
}

void hn_target_map(struct hn_target *target, uint32_t number, const struct hn_group *what)
{
    struct batch batch = {.target = target, .what = what, .group = number};
    libpool_batch_report report = {.size = sizeof report};
    libpool_task each = hn_target_task_of(what, number);
    libpool_batch given = batch_of(&batch, &each);
    pthread_mutex_lock(&target->submissions);
    struct hn_timing timing = hn_call_begin(target, HN_CALL_MAP, -1);
    int rc = libpool_map(target->pool, &given, &report);
    hn_call_end(&timing, rc, HN_NONE);
    target->accepted -= batch.withdrawn; /* those have no number */
    pthread_mutex_unlock(&target->submissions);
    if (rc < 0)
        note_refused(&batch, rc);
    free(batch.order);
    check_report(&batch, &report);
    check_outcome(&batch, rc);
}
