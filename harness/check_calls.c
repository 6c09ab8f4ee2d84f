/* SPDX-License-Identifier: MIT */
/* check_calls: I6, I9, I10, and the harness itself: what the history says about calls and workers. */
#include "harness/check.h"
#include "harness/clock.h"

#define FINALIZER_SLACK_NS (1 * HN_S)

/* ---- I6 ---------------------------------------------------------------------------------------- */

void hn_check_bounds(const struct hn_case *of, struct hn_findings *findings)
{
    const struct hn_history *history = &of->world->history;
    for (uint64_t number = 1; number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (!record || record->kind != HN_CALL || record->signal < 0)
            continue;
        if (record->b > (uint64_t)record->signal * HN_MS)
            hn_findings_add(findings, HN_I6_BOUNDED, hn_call_name((enum hn_call)record->a),
                            "it returns within its bound",
                            "%llu us, the bound is %d ms; it returned %d",
                            (unsigned long long)record->b / 1000, record->signal, record->code);
    }
}

/* ---- I9 ---------------------------------------------------------------------------------------- */

static bool scribbled(const struct hn_case *of, int32_t pid)
{
    const struct hn_history *history = &of->world->history;
    for (uint64_t number = 1; number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (record && record->kind == HN_TASK_START && record->pid == pid &&
            record->group < of->groups_count && of->groups[record->group].kind == HN_TASK_SCRIBBLE)
            return true;
    }
    return false;
}

void hn_check_containment(const struct hn_case *of, struct hn_findings *findings)
{
    const struct hn_history *history = &of->world->history;
    for (uint64_t number = 1; number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (!record || record->kind != HN_POOL + LIBPOOL_EVENT_WORKER_EXITED ||
            record->cause != LIBPOOL_CORRUPT || scribbled(of, record->pid))
            continue;
        hn_findings_add(findings, HN_I9_CONTAINMENT, "the pool's events, the workers' own records",
                        "only a worker that scribbled is corrupt", "pid %d in slot %u did not",
                        record->pid, record->slot);
    }
}

/* ---- I10 --------------------------------------------------------------------------------------- */

/* The first record of that kind by that process after number `from`; NULL. */
static const struct hn_record *next_of(const struct hn_history *history, uint64_t from,
                                       uint32_t kind, int32_t pid)
{
    for (uint64_t number = from + 1; number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (record && record->kind == kind && record->pid == pid)
            return record;
    }
    return NULL;
}

static void check_finalizer(const struct hn_case *of, uint64_t number,
                            const struct hn_record *record, struct hn_findings *findings)
{
    const struct hn_history *history = &of->world->history;
    uint64_t bound_ns = of->finalizer_timeout_ms * HN_MS + FINALIZER_SLACK_NS;
    if (next_of(history, number, HN_WORKER_FINAL, record->pid))
        hn_findings_add(findings, HN_I10_FINALIZER, "the workers' own records",
                        "at most one finalizer a worker", "pid %d in slot %u wrote a second one",
                        record->pid, record->slot);
    if (next_of(history, number, HN_TASK_START, record->pid))
        hn_findings_add(findings, HN_I10_FINALIZER, "the workers' own records",
                        "no task after the finalizer", "pid %d in slot %u started one", record->pid,
                        record->slot);
    const struct hn_record *gone = next_of(history, 0, HN_POOL + LIBPOOL_EVENT_WORKER_EXITED,
                                           record->pid);
    if (gone && gone->time_ns > record->time_ns + bound_ns)
        hn_findings_add(findings, HN_I10_FINALIZER, "the finalizer's start, the worker's exit",
                        "it is bounded by its timeout", "pid %d took %llu ms of %u", record->pid,
                        (unsigned long long)((gone->time_ns - record->time_ns) / HN_MS),
                        of->finalizer_timeout_ms);
}

void hn_check_finalizers(const struct hn_case *of, struct hn_findings *findings)
{
    const struct hn_history *history = &of->world->history;
    for (uint64_t number = 1; number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (record && record->kind == HN_WORKER_FINAL)
            check_finalizer(of, number, record, findings);
        if (record && record->kind == HN_REENTERED && record->code >= 0)
            hn_findings_add(findings, HN_I6_BOUNDED, "a finalizer's call of its own pool",
                            "an error", "%s returned %d", hn_call_name((enum hn_call)record->a),
                            record->code);
    }
}

/* ---- The harness ------------------------------------------------------------------------------- */

void hn_check_harness(const struct hn_world *world, struct hn_findings *findings)
{
    const struct hn_history *history = &world->history;
    uint64_t dropped = atomic_load(&history->dropped);
    if (dropped)
        hn_findings_add(findings, HN_HARNESS, "the event history", "room for every record",
                        "%llu dropped", (unsigned long long)dropped);
    for (uint64_t number = 1; number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (record && record->kind == HN_GATE_EXPIRED)
            hn_findings_add(findings, HN_HARNESS, "the gates", "the judge releases every gate",
                            "gate %llu expired with pid %d", (unsigned long long)record->a,
                            record->pid);
    }
}
