/* SPDX-License-Identifier: MIT */
/* history: an append-only list in shared memory; see the header. */
#include "harness/history.h"

#include <string.h>
#include <unistd.h>

#include "harness/clock.h"

void hn_history_init(struct hn_history *history, uint64_t capacity)
{
    memset(history, 0, sizeof *history);
    history->capacity = capacity;
}

struct hn_record hn_record_of(enum hn_kind kind)
{
    return (struct hn_record){
        .kind = (uint32_t)kind, .slot = HN_NONE, .group = HN_NONE, .task = HN_NONE};
}

static void ring(struct hn_history *history)
{
    atomic_fetch_add(&history->bell, 1);
    if (atomic_load(&history->sleepers))
        hn_futex_wake(&history->bell);
}

uint64_t hn_history_append(struct hn_history *history, const struct hn_record *record)
{
    uint64_t index = atomic_fetch_add(&history->next, 1);
    if (index >= history->capacity) {
        atomic_fetch_add(&history->dropped, 1);
        return 0;
    }
    struct hn_record *place = &history->records[index];
    place->time_ns = record->time_ns ? record->time_ns : hn_clock_ns();
    place->kind = record->kind;
    place->pid = record->pid == HN_NOBODY ? 0 : record->pid ? record->pid : getpid();
    place->slot = record->slot;
    place->cause = record->cause;
    place->group = record->group;
    place->task = record->task;
    place->code = record->code;
    place->signal = record->signal;
    place->a = record->a;
    place->b = record->b;
    atomic_store_explicit(&place->number, index + 1, memory_order_release);
    ring(history);
    return index + 1;
}

uint64_t hn_history_count(const struct hn_history *history)
{
    uint64_t next = atomic_load(&history->next);
    return next < history->capacity ? next : history->capacity;
}

const struct hn_record *hn_history_at(const struct hn_history *history, uint64_t number)
{
    if (number == 0 || number > hn_history_count(history))
        return NULL;
    const struct hn_record *record = &history->records[number - 1];
    uint64_t written = atomic_load_explicit(&record->number, memory_order_acquire);
    return written == number ? record : NULL;
}

uint64_t hn_history_holes(const struct hn_history *history)
{
    uint64_t holes = 0;
    for (uint64_t number = 1; number <= hn_history_count(history); number++)
        if (!hn_history_at(history, number))
            holes++;
    return holes;
}

/* True when the hole ahead has been looked at long enough to be passed. */
static bool hole_is_old(struct hn_cursor *cursor)
{
    uint64_t now_ns = hn_clock_ns();
    if (cursor->hole_since_ns == 0)
        cursor->hole_since_ns = now_ns;
    return now_ns - cursor->hole_since_ns >= HN_HOLE_NS;
}

const struct hn_record *hn_cursor_next(struct hn_cursor *cursor, const struct hn_history *history)
{
    while (cursor->passed < hn_history_count(history)) {
        const struct hn_record *record = hn_history_at(history, cursor->passed + 1);
        if (!record && !hole_is_old(cursor))
            return NULL;
        cursor->passed++;
        cursor->hole_since_ns = 0;
        if (record)
            return record;
    }
    return NULL;
}

int hn_cursor_wait(const struct hn_cursor *cursor, struct hn_history *history, uint64_t deadline_ns)
{
    int rc = 0;
    uint64_t until_ns = deadline_ns;
    if (cursor->hole_since_ns && cursor->hole_since_ns + HN_HOLE_NS < until_ns)
        until_ns = cursor->hole_since_ns + HN_HOLE_NS;
    atomic_fetch_add(&history->sleepers, 1);
    uint32_t bell = atomic_load(&history->bell);
    bool more = hn_history_at(history, cursor->passed + 1) != NULL;
    if (!more)
        rc = hn_futex_wait(&history->bell, bell, until_ns);
    atomic_fetch_sub(&history->sleepers, 1);
    return rc == -ETIMEDOUT && until_ns == deadline_ns ? -ETIMEDOUT : 0;
}

const char *hn_kind_name(uint32_t kind)
{
    static const char *const names[] = {
        [HN_TASK_START] = "task-start",
        [HN_TASK_END] = "task-end",
        [HN_WORKER_INIT] = "worker-init",
        [HN_WORKER_FINAL] = "worker-final",
        [HN_FINAL_END] = "final-end",
        [HN_REENTERED] = "reentered",
        [HN_DESCENDANT] = "descendant",
        [HN_SUBMITTED] = "submitted",
        [HN_REFUSED] = "refused",
        [HN_COLLECTED] = "collected",
        [HN_CALL] = "call",
        [HN_LOAD_BEGUN] = "load-begun",
        [HN_LOAD_ENDED] = "load-ended",
        [HN_REPLY] = "reply",
        [HN_GATE_PARKED] = "gate-parked",
        [HN_GATE_LEFT] = "gate-left",
        [HN_GATE_EXPIRED] = "gate-expired",
        [HN_FAULT] = "fault",
        [HN_FAULT_UNDONE] = "fault-undone",
        [HN_TARGET_GONE] = "target-gone",
        [HN_NOTE] = "note",
        [HN_ERRAND] = "errand",
        [HN_PART] = "part-taken",
        [HN_TOLD_STARTED] = "told-started",
        [HN_TOLD_DONE] = "told-done",
    };
    if (kind >= HN_POOL && kind < HN_KINDS)
        return libpool_event_name((libpool_event_kind)(kind - HN_POOL));
    return kind < sizeof names / sizeof *names && names[kind] ? names[kind] : "?";
}

const char *hn_call_name(enum hn_call call)
{
    static const char *const names[HN_CALLS] = {
        [HN_CALL_OPEN] = "libpool_open",
        [HN_CALL_SUBMIT] = "libpool_submit",
        [HN_CALL_WAIT] = "libpool_future_wait",
        [HN_CALL_CANCEL] = "libpool_future_cancel",
        [HN_CALL_SHUTDOWN] = "libpool_shutdown",
        [HN_CALL_CLOSE] = "libpool_close",
        [HN_CALL_STATS] = "libpool_stats_read",
        [HN_CALL_RECYCLE] = "libpool_recycle",
        [HN_CALL_DRAIN] = "libpool_drain",
        [HN_CALL_CANCEL_GROUP] = "libpool_cancel_group",
        [HN_CALL_DISPATCH] = "libpool_dispatch",
        [HN_CALL_SET_OUTFIT] = "libpool_set_outfit",
        [HN_CALL_SUBMIT_MANY] = "libpool_submit_many",
        [HN_CALL_MAP] = "libpool_map",
        [HN_CALL_UNSERVE] = "libpool_remote_server_close",
    };
    return (unsigned)call < HN_CALLS ? names[call] : "?";
}
