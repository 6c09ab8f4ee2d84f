/* SPDX-License-Identifier: MIT */
/*
 * target_gather: a group of futures that are taken as they end. The collector waits for each of them all the
 * same: what the one is told the other has to be told.
 */
#include <errno.h>
#include <stdlib.h>

#include "harness/clock.h"
#include "harness/target_inner.h"

static void object(struct hn_target *target, const char *expected, int64_t actual)
{
    hn_findings_add(&target->world->findings, HN_I1_RESOLUTION, "libpool_gather_next", expected,
                    "%lld", (long long)actual);
}

/* The rows of the group; others may have been submitted in between. */
static size_t find_rows(struct hn_target *target, uint32_t first, uint32_t *rows,
                        libpool_future **futures)
{
    size_t n = 0;
    uint32_t group = target->world->rows[first].group;
    pthread_mutex_lock(&target->lock);
    for (uint32_t task = first; task < atomic_load(&target->world->tasks_count); task++) {
        if (target->world->rows[task].group != group || !target->futures[task])
            continue;
        rows[n] = task;
        futures[n++] = target->futures[task];
    }
    pthread_mutex_unlock(&target->lock);
    return n;
}

static void take_all(struct hn_target *target, libpool_gather *gather, const uint32_t *rows,
                     libpool_future *const *futures, size_t n)
{
    int64_t index;
    bool lies = target->options->sabotage == HN_SABOTAGE_LOSE_GATHERED;
    for (size_t taken = 0; (index = libpool_gather_next(gather, -1)) >= 0; taken++) {
        if ((uint64_t)index >= n || !libpool_future_result(futures[index])) {
            object(target, "one that has ended", index);
            return;
        }
        target->world->rows[rows[index]].gathered += !(lies && taken == 0);
    }
    if (index != -ENOENT)
        object(target, "-ENOENT when all were taken", index);
}

void hn_target_gather(struct hn_target *target, uint32_t first)
{
    uint32_t room = atomic_load(&target->world->tasks_count) - first;
    uint32_t *rows = calloc(room, sizeof *rows);
    libpool_future **futures = calloc(room, sizeof *futures);
    libpool_gather *gather = NULL;
    size_t n = rows && futures ? find_rows(target, first, rows, futures) : 0;
    int rc = n ? libpool_gather_open(&gather, futures, n) : -ENOMEM;
    if (rc)
        object(target, "it is opened", rc);
    else
        take_all(target, gather, rows, futures, n);
    libpool_gather_close(gather);
    free(rows);
    free(futures);
}
