/* SPDX-License-Identifier: MIT */
/* roster: see the header. */
#include "harness/roster.h"

#include <string.h>

uint64_t hn_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static struct hn_worker *worker_of(struct hn_roster *roster, const struct hn_record *record)
{
    if (record->slot >= HN_NUMBERS_MAX)
        return NULL;
    return &roster->slots[record->slot];
}

/* The line of a process already known: what is said about a former one changes nothing. */
static struct hn_worker *same_of(struct hn_roster *roster, const struct hn_record *record)
{
    struct hn_worker *worker = worker_of(roster, record);
    if (worker && worker->process.pid == record->pid)
        return worker;
    uint32_t line = worker ? hn_roster_slot_of(roster, record->pid) : HN_NONE;
    return line == HN_NONE ? NULL : &roster->slots[line];
}

/* Its number is another's from now on. */
static void step_aside(struct hn_roster *roster, const struct hn_worker *worker)
{
    for (uint32_t line = HN_NUMBERS_MAX; line < HN_SLOTS_MAX; line++) {
        if (roster->slots[line].state != HN_WORKER_ABSENT)
            continue;
        roster->slots[line] = *worker;
        return;
    }
}

/* The worker itself may have been heard of before the pool's event of its birth. */
static void arrive(struct hn_roster *roster, const struct hn_record *record)
{
    struct hn_worker *worker = worker_of(roster, record);
    if (!worker || hn_roster_slot_of(roster, record->pid) != HN_NONE)
        return;
    if (worker->state != HN_WORKER_ABSENT)
        step_aside(roster, worker);
    memset(worker, 0, sizeof *worker);
    worker->state = HN_WORKER_STARTING;
    worker->spawned_ns = record->time_ns;
    worker->task = HN_NONE;
    if (hn_process_look(record->pid, &worker->process))
        worker->process.pid = record->pid; /* dead by now; start time 0 matches nobody */
}

static void become(struct hn_worker *worker, enum hn_worker_state state, uint32_t task)
{
    if (!worker || worker->state == HN_WORKER_ABSENT)
        return;
    if (worker->state == HN_WORKER_RETIRING && state != HN_WORKER_ABSENT)
        return;
    worker->state = state;
    worker->task = task;
}

static void note_event(struct hn_roster *roster, const struct hn_record *record)
{
    switch ((libpool_event_kind)(record->kind - HN_POOL)) {
    case LIBPOOL_EVENT_WORKER_SPAWNED: arrive(roster, record); break;
    case LIBPOOL_EVENT_WORKER_READY:
        if (same_of(roster, record) && same_of(roster, record)->state == HN_WORKER_STARTING)
            become(same_of(roster, record), HN_WORKER_IDLE, HN_NONE);
        break;
    case LIBPOOL_EVENT_WORKER_RETIRED:
        become(same_of(roster, record), HN_WORKER_RETIRING, HN_NONE);
        break;
    case LIBPOOL_EVENT_WORKER_EXITED:
        become(same_of(roster, record), HN_WORKER_ABSENT, HN_NONE);
        break;
    case LIBPOOL_EVENT_ZYGOTE_STARTED:
        if (hn_process_look(record->pid, &roster->zygote))
            roster->zygote = (struct hn_process){.pid = record->pid};
        break;
    case LIBPOOL_EVENT_ZYGOTE_LOST: roster->zygote.pid = 0; break;
    case LIBPOOL_EVENT_TASK_RECEIVED:
    case LIBPOOL_EVENT_TASK_LAUNCHED:
    case LIBPOOL_EVENT_TASK_RETURNED:
    case LIBPOOL_EVENT_TASK_RETRIED:
    case LIBPOOL_EVENT_KIND_QUARANTINED:
    case LIBPOOL_EVENT_TASK_ENDED:
    case LIBPOOL_EVENT_WORKER_KILLED:
    case LIBPOOL_EVENT_SPAWN_FAILED:
    case LIBPOOL_EVENT_INIT_FAILED:
    case LIBPOOL_EVENT_SHUTDOWN_BEGUN:
    case LIBPOOL_EVENT_SHUTDOWN_DONE:
    case LIBPOOL_EVENT_TASK_ASKED:
    case LIBPOOL_EVENT_RECYCLE_BEGUN:
    case LIBPOOL_EVENT_DRAINED:
    case LIBPOOL_EVENT_ADMISSION_PAUSED:
    case LIBPOOL_EVENT_ADMISSION_RESUMED:
    case LIBPOOL_EVENT_KINDS: break;
    }
}

static void note_presence(struct hn_roster *roster, const struct hn_record *record,
                          enum hn_worker_state state)
{
    arrive(roster, record);
    become(same_of(roster, record), state, record->task);
}

void hn_roster_note(struct hn_roster *roster, const struct hn_record *record)
{
    if (record->kind >= HN_POOL) {
        note_event(roster, record);
        return;
    }
    if (record->kind == HN_WORKER_INIT)
        note_presence(roster, record, HN_WORKER_STARTING);
    else if (record->kind == HN_TASK_START)
        note_presence(roster, record, HN_WORKER_BUSY);
    else if (record->kind == HN_TASK_END)
        note_presence(roster, record, HN_WORKER_IDLE);
    else if (record->kind == HN_WORKER_FINAL)
        note_presence(roster, record, HN_WORKER_RETIRING);
}

static bool fits(const struct hn_worker *worker, enum hn_selection selection)
{
    switch (selection) {
    case HN_SELECT_BUSY: return worker->state == HN_WORKER_BUSY;
    case HN_SELECT_IDLE: return worker->state == HN_WORKER_IDLE;
    case HN_SELECT_STARTING: return worker->state == HN_WORKER_STARTING;
    case HN_SELECT_RETIRING: return worker->state == HN_WORKER_RETIRING;
    case HN_SELECT_ONE:
    case HN_SELECT_ALL:
    case HN_SELECT_OLDEST:
    case HN_SELECT_SLOT:
    case HN_SELECT_PERCENT: return worker->state != HN_WORKER_ABSENT;
    case HN_SELECTIONS: break;
    }
    return false;
}

static uint32_t candidates(const struct hn_roster *roster, enum hn_selection selection,
                           uint32_t *slots, uint32_t max)
{
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < HN_SLOTS_MAX && count < max; slot++)
        if (fits(&roster->slots[slot], selection))
            slots[count++] = slot;
    return count;
}

static void shuffle(uint32_t *slots, uint32_t count, uint64_t *random)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = (uint32_t)(hn_random(random) % i);
        uint32_t kept = slots[i - 1];
        slots[i - 1] = slots[other];
        slots[other] = kept;
    }
}

static uint32_t keep_oldest(const struct hn_roster *roster, uint32_t *slots, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (roster->slots[slots[i]].spawned_ns < roster->slots[slots[0]].spawned_ns)
            slots[0] = slots[i];
    return count ? 1 : 0;
}

static uint32_t keep_slot(uint32_t number, uint32_t *slots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (slots[i] != number)
            continue;
        slots[0] = number;
        return 1;
    }
    return 0;
}

uint32_t hn_roster_select(const struct hn_roster *roster, enum hn_selection selection,
                          uint32_t number, uint64_t *random, uint32_t *slots, uint32_t max)
{
    uint32_t count = candidates(roster, selection, slots, max);
    uint32_t share = (uint32_t)(((uint64_t)count * number + 99) / 100);
    switch (selection) {
    case HN_SELECT_ALL: return count;
    case HN_SELECT_OLDEST: return keep_oldest(roster, slots, count);
    case HN_SELECT_SLOT: return keep_slot(number, slots, count);
    case HN_SELECT_PERCENT: shuffle(slots, count, random); return share;
    case HN_SELECT_ONE:
    case HN_SELECT_BUSY:
    case HN_SELECT_IDLE:
    case HN_SELECT_STARTING:
    case HN_SELECT_RETIRING: shuffle(slots, count, random); return count ? 1 : 0;
    case HN_SELECTIONS: break;
    }
    return 0;
}

uint32_t hn_roster_ready(const struct hn_roster *roster)
{
    uint32_t ready = 0;
    for (uint32_t slot = 0; slot < HN_SLOTS_MAX; slot++)
        if (roster->slots[slot].state == HN_WORKER_IDLE ||
            roster->slots[slot].state == HN_WORKER_BUSY)
            ready++;
    return ready;
}

uint32_t hn_roster_slot_of(const struct hn_roster *roster, pid_t pid)
{
    for (uint32_t slot = 0; slot < HN_SLOTS_MAX; slot++)
        if (roster->slots[slot].state != HN_WORKER_ABSENT && roster->slots[slot].process.pid == pid)
            return slot;
    return HN_NONE;
}
