/* SPDX-License-Identifier: MIT */
/*
 * check_recycle: I3. A recycle takes a worker away only when enough others can work. Told from the
 * pool's stream of events alone: who has become ready, who was told to leave, killed, or has died.
 */
#include <stdlib.h>

#include "harness/check.h"

#define SLOTS 4100 /* of the largest pool */

/* What the events have told so far. */
struct capacity {
    uint32_t ready;
    bool recycling, shut;
    bool is_ready[SLOTS];
    int32_t pid[SLOTS];    /* who: one that leaves may outlive its number */
    bool is_orphan[SLOTS]; /* its zygote is lost: it leaves for that */
};

static void leaves(struct capacity *capacity, uint32_t slot, int32_t pid)
{
    if (capacity->pid[slot] != pid)
        return;
    capacity->ready -= capacity->is_ready[slot];
    capacity->is_ready[slot] = false;
}

static void becomes_ready(struct capacity *capacity, uint32_t slot, int32_t pid)
{
    capacity->pid[slot] = pid;
    capacity->ready += !capacity->is_ready[slot];
    capacity->is_ready[slot] = true;
    capacity->is_orphan[slot] = false;
}

static void check_leaving(const struct hn_case *of, const struct capacity *capacity,
                          const struct hn_record *record, struct hn_findings *findings)
{
    uint32_t least = of->strength -
                     (of->recycle_parallel < of->strength ? of->recycle_parallel : of->strength);
    if (!capacity->recycling || capacity->shut || capacity->is_orphan[record->slot] ||
        capacity->ready >= least)
        return;
    hn_findings_add(findings, HN_I3_LIVENESS, "the pool's events",
                    "a recycle leaves all but so many at a time",
                    "%u of %u were ready when pid %d in slot %u left, %u at a time",
                    capacity->ready, of->strength, record->pid, record->slot, of->recycle_parallel);
}

static void take_in(const struct hn_case *of, struct capacity *capacity,
                    const struct hn_record *record, struct hn_findings *findings)
{
    bool about_slot = record->slot < SLOTS;
    if (record->kind == HN_POOL + LIBPOOL_EVENT_RECYCLE_BEGUN)
        capacity->recycling = true;
    else if (record->kind == HN_POOL + LIBPOOL_EVENT_SHUTDOWN_BEGUN)
        capacity->shut = true;
    else if (record->kind == HN_POOL + LIBPOOL_EVENT_ZYGOTE_LOST)
        for (uint32_t slot = 0; slot < SLOTS; slot++)
            capacity->is_orphan[slot] = capacity->is_ready[slot];
    else if (about_slot && record->kind == HN_POOL + LIBPOOL_EVENT_WORKER_READY)
        becomes_ready(capacity, record->slot, record->pid);
    else if (about_slot && (record->kind == HN_POOL + LIBPOOL_EVENT_WORKER_RETIRED ||
                            record->kind == HN_POOL + LIBPOOL_EVENT_WORKER_KILLED ||
                            record->kind == HN_POOL + LIBPOOL_EVENT_WORKER_EXITED))
        leaves(capacity, record->slot, record->pid);
    if (about_slot && record->kind == HN_POOL + LIBPOOL_EVENT_WORKER_RETIRED)
        check_leaving(of, capacity, record, findings);
}

void hn_check_recycle(const struct hn_case *of, struct hn_findings *findings)
{
    const struct hn_history *history = &of->world->history;
    struct capacity *capacity = of->recycle_parallel ? calloc(1, sizeof *capacity) : NULL;
    for (uint64_t number = 1; capacity && number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (record)
            take_in(of, capacity, record, findings);
    }
    free(capacity);
}
