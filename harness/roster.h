/* SPDX-License-Identifier: MIT */
/*
 * roster: who the workers are, as the history tells it.
 *
 * The judge feeds it every record; it keeps one line a slot, and one for each who was still there when
 * another got its slot's number. It learns of processes from the pool's
 * events and of tasks from what the workers write themselves. A pid enters together with its start
 * time, so that nobody else's process is ever taken for a worker.
 */
#ifndef HARNESS_ROSTER_H
#define HARNESS_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "harness/history.h"
#include "harness/procfs.h"

#define HN_NUMBERS_MAX 2048
#define HN_SLOTS_MAX (HN_NUMBERS_MAX + 256) /* those who have lost their number are behind */

enum hn_worker_state {
    HN_WORKER_ABSENT = 0,
    HN_WORKER_STARTING,
    HN_WORKER_IDLE,
    HN_WORKER_BUSY,
    HN_WORKER_RETIRING
};

struct hn_worker {
    enum hn_worker_state state;
    struct hn_process process;
    uint64_t spawned_ns;
    uint32_t task; /* BUSY: our number of it */
};

struct hn_roster {
    struct hn_worker slots[HN_SLOTS_MAX];
    struct hn_process zygote; /* pid 0: none known */
};

enum hn_selection {
    HN_SELECT_ONE = 0,
    HN_SELECT_ALL,
    HN_SELECT_BUSY,
    HN_SELECT_IDLE,
    HN_SELECT_STARTING,
    HN_SELECT_RETIRING,
    HN_SELECT_OLDEST,
    HN_SELECT_SLOT,    /* number */
    HN_SELECT_PERCENT, /* number, of all; at least one */
    HN_SELECTIONS
};

void hn_roster_note(struct hn_roster *roster, const struct hn_record *record);

/* Slots chosen, in the order of the draw; *random is a state that the draws move on. How many. */
uint32_t hn_roster_select(const struct hn_roster *roster, enum hn_selection selection,
                          uint32_t number, uint64_t *random, uint32_t *slots, uint32_t max);

/* Workers that are ready: idle or busy. */
uint32_t hn_roster_ready(const struct hn_roster *roster);

/* The line of that process; HN_NONE. */
uint32_t hn_roster_slot_of(const struct hn_roster *roster, pid_t pid);

/* splitmix64. */
uint64_t hn_random(uint64_t *state);

#endif
