/* SPDX-License-Identifier: MIT */
/*
 * check_callbacks: I1. Each task is told of as it ended: once, in the order of the pool's own events, its
 * start before its end, and nothing any more when the pool is closed.
 */
#include <stdlib.h>

#include "harness/check.h"

struct telling {
    uint32_t started, done;
    bool launched;      /* says an event of the pool's */
    bool start_is_late; /* told behind the end */
    int32_t cause;
};

struct told {
    const struct hn_case *of;
    struct hn_findings *findings;
    struct telling *list; /* by row */
    uint32_t count;
    uint32_t *ends; /* rows in the order in which events tell of their ends */
    uint32_t ends_count, ends_seen;
    bool closed;
};

#define OBJECT(told, task, expected, format, ...)                                              \
    hn_findings_add((told)->findings, HN_I1_RESOLUTION, "the callbacks of the pool", expected, \
                    "task %u: " format, task, ##__VA_ARGS__)

/* ---- One pass over the history ---------------------------------------------------------------- */

static void read_event(struct told *told, const struct hn_record *record, const uint32_t *row_of)
{
    bool launched = record->kind == HN_POOL + LIBPOOL_EVENT_TASK_LAUNCHED;
    bool ended = record->kind == HN_POOL + LIBPOOL_EVENT_TASK_ENDED;
    if ((!launched && !ended) || record->a > told->count || row_of[record->a] == 0)
        return;
    uint32_t task = row_of[record->a] - 1;
    told->list[task].launched |= launched;
    if (ended && told->ends_count < told->count)
        told->ends[told->ends_count++] = task;
}

static void read_call(struct told *told, const struct hn_record *record)
{
    if (record->kind == HN_CALL && record->a == HN_CALL_CLOSE)
        told->closed = true;
    if ((record->kind != HN_TOLD_STARTED && record->kind != HN_TOLD_DONE) ||
        record->task >= told->count)
        return;
    struct telling *telling = &told->list[record->task];
    if (told->closed)
        OBJECT(told, record->task, "none when libpool_close has returned", "one");
    if (record->kind == HN_TOLD_STARTED) {
        telling->started++;
        telling->start_is_late |= telling->done > 0;
    } else {
        telling->done++;
        telling->cause = record->cause;
    }
}

/* The ends are told in their order. Where one is missing or told twice that is told, and enough. */
static void compare_order(struct told *told)
{
    const struct hn_history *history = &told->of->world->history;
    for (uint64_t number = 1; number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (!record || record->kind != HN_TOLD_DONE || told->ends_seen == told->ends_count)
            continue;
        uint32_t next = told->ends[told->ends_seen++];
        if (record->task == next)
            continue;
        OBJECT(told, record->task, "ends are told as they come", "it is told where task %u is due",
               next);
        return;
    }
}

/* ---- One task --------------------------------------------------------------------------------- */

static void check_task(const struct told *told, uint32_t task)
{
    const struct hn_row *row = &told->of->world->rows[task];
    const struct telling *telling = &told->list[task];
    uint32_t state = atomic_load(&row->state);
    if (state == HN_TASK_REFUSED && telling->started + telling->done)
        OBJECT(told, task, "nothing is told of who was refused", "%u starts, %u ends",
               telling->started, telling->done);
    if (state != HN_TASK_COLLECTED)
        return;
    if (telling->done != 1)
        OBJECT(told, task, "its end is told once", "%u times", telling->done);
    if (telling->started > 1 || telling->start_is_late)
        OBJECT(told, task, "its start is told once, before its end", "%u times%s", telling->started,
               telling->start_is_late ? ", behind it" : "");
    if (telling->done && telling->cause != (int32_t)row->cause)
        OBJECT(told, task, "its result is there when its end is told", "cause %d, it is %d",
               telling->cause, (int)row->cause);
    if (told->of->settled && telling->launched != (telling->started > 0))
        OBJECT(told, task, "started is who was handed to a worker", "handed %d, told %u",
               telling->launched, telling->started);
}

static void check_all(struct told *told, uint32_t *row_of)
{
    const struct hn_world *world = told->of->world;
    for (uint32_t task = 0; task < told->count; task++) {
        const struct hn_row *row = &world->rows[task];
        if (atomic_load(&row->state) == HN_TASK_COLLECTED && row->task_id <= told->count)
            row_of[row->task_id] = task + 1;
    }
    for (uint64_t number = 1; number <= hn_history_count(&world->history); number++) {
        const struct hn_record *record = hn_history_at(&world->history, number);
        if (!record)
            continue;
        read_event(told, record, row_of);
        read_call(told, record);
    }
    for (uint32_t task = 0; task < told->count; task++)
        check_task(told, task);
    if (told->of->settled)
        compare_order(told);
}

void hn_check_callbacks(const struct hn_case *of, struct hn_findings *findings)
{
    struct told told = {.of = of, .findings = findings};
    if (!of->callbacks || of->host_killed)
        return;
    told.count = atomic_load(&of->world->tasks_count);
    told.list = calloc(told.count + 1, sizeof *told.list);
    told.ends = calloc(told.count + 1, sizeof *told.ends);
    uint32_t *row_of = calloc(told.count + 1, sizeof *row_of);
    if (told.list && told.ends && row_of)
        check_all(&told, row_of);
    else
        hn_findings_add(findings, HN_HARNESS, "the checkers", "memory", "none");
    free(told.list);
    free(told.ends);
    free(row_of);
}
