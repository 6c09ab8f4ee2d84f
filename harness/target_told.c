/* SPDX-License-Identifier: MIT */
/*
 * target_told: what the pool tells of tasks by callbacks, written down as it is told.
 *
 * One that stalls is the fault of an application: the first end that is told is held until every other
 * task has ended, which only a pool can reach that does not wait for it.
 */
#include <stdatomic.h>

#include "harness/clock.h"
#include "harness/target_inner.h"

/* One at a time, whatever thread it is. */
static void enter(struct hn_target *target, uint32_t task)
{
    if (atomic_fetch_add(&target->telling, 1))
        hn_findings_add(&target->world->findings, HN_I1_RESOLUTION, "the callbacks of the pool",
                        "one after the other", "that of task %u while another one runs", task);
}

static void note(const struct hn_teller *teller, enum hn_kind kind, const libpool_future *future)
{
    struct hn_target *target = teller->target;
    const libpool_result *result = libpool_future_result(future);
    struct hn_record record = hn_record_of(kind);
    record.group = target->world->rows[teller->task].group;
    record.task = teller->task;
    record.a = result ? result->task_id : 0;
    record.cause = result ? (int32_t)result->cause : LIBPOOL_PENDING;
    hn_sabotage_told(target->options->sabotage, &target->world->history, &record);
}

/* Until all others have ended, or the pool is closed. */
static void stall(struct hn_target *target, uint32_t task)
{
    for (;;) {
        uint32_t tick = atomic_load(&target->tick);
        if (hn_target_others_ended(target, task) || atomic_load(&target->stopping))
            return;
        hn_futex_wait(&target->tick, tick, HN_NEVER);
    }
}

void hn_target_started(libpool_future *future, void *argument)
{
    const struct hn_teller *teller = argument;
    enter(teller->target, teller->task);
    note(teller, HN_TOLD_STARTED, future);
    atomic_fetch_sub(&teller->target->telling, 1);
}

void hn_target_done(libpool_future *future, void *argument)
{
    const struct hn_teller *teller = argument;
    struct hn_target *target = teller->target;
    enter(target, teller->task);
    if (target->options->telling == HN_TELLING_STALL && atomic_fetch_add(&target->stalled, 1) == 0)
        stall(target, teller->task);
    note(teller, HN_TOLD_DONE, future);
    atomic_fetch_sub(&target->telling, 1);
}
