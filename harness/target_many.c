/* SPDX-License-Identifier: MIT */
/*
 * target_many: tasks that are handed over by one call. It may take the first ones only; then it is called
 * again with the rest, as an application would, until it says why it takes none.
 */
#include <errno.h>
#include <stdlib.h>

#include "harness/clock.h"
#include "harness/target_inner.h"

struct many {
    struct hn_target *target;
    const struct hn_group *what;
    uint32_t first, count; /* rows, all in a row */
    libpool_task *tasks;
    libpool_future **futures;
};

/* Rows and tasks. How many there are. */
static uint32_t prepare(struct many *many, uint32_t number, uint32_t wanted)
{
    uint32_t count = 0;
    for (; count < wanted; count++) {
        uint32_t task = hn_target_take_row(many->target, number);
        if (task == HN_NONE)
            break;
        many->first = count ? many->first : task;
        if (hn_target_prepare(many->target, many->what, number, task, &many->tasks[count])) {
            hn_target_note_offered(many->target, task, -ENOMEM, NULL);
            break;
        }
    }
    return count;
}

static void note_taken(struct many *many, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        if (!many->futures[i])
            hn_findings_add(&many->target->world->findings, HN_I1_RESOLUTION, "libpool_submit_many",
                            "a future for each task that was taken", "none for number %u", i);
        if (many->what->input == HN_INPUT_COPY)
            hn_target_take_input(many->target, many->first + i);
        hn_target_note_offered(many->target, many->first + i, 0, many->futures[i]);
    }
}

/* The first of them was refused, the others nobody has looked at. */
static void note_left(struct many *many, uint32_t from, int error)
{
    for (uint32_t i = from; i < many->count; i++) {
        uint32_t task = many->first + i;
        hn_target_take_input(many->target, task);
        hn_target_note_offered(many->target, task, i == from ? error : -ECANCELED, NULL);
        if (i != from)
            atomic_store(&many->target->world->rows[task].state, HN_TASK_WITHDRAWN);
    }
}

static void submit_all(struct many *many)
{
    struct hn_target *target = many->target;
    int64_t taken = 0;
    uint32_t done = 0;
    for (; done < many->count && taken >= 0; done += taken > 0 ? (uint32_t)taken : 0) {
        struct hn_timing timing = hn_call_begin(target, HN_CALL_SUBMIT_MANY, -1);
        taken = libpool_submit_many(target->pool, many->tasks + done, many->count - done,
                                    many->what->wait_ms, many->futures + done);
        hn_call_end(&timing, (int)taken, HN_NONE);
        if (taken > 0)
            note_taken(many, done, done + (uint32_t)taken);
        if (taken == 0)
            taken = -EPROTO; /* not one of its outcomes */
    }
    if (taken < 0)
        note_left(many, done, (int)taken);
}

uint32_t hn_target_submit_many(struct hn_target *target, uint32_t number,
                               const struct hn_group *what, uint32_t count)
{
    struct many many = {.target = target, .what = what, .first = HN_NONE};
    many.tasks = calloc(count, sizeof *many.tasks);
    many.futures = calloc(count, sizeof *many.futures);
    if (many.tasks && many.futures)
        many.count = prepare(&many, number, count);
    submit_all(&many);
    free(many.tasks);
    free(many.futures);
    return many.first;
}
