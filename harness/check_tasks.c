/* SPDX-License-Identifier: MIT */
/*
 * check_tasks: I1, I5, I7. The truth about a task is put together from three witnesses that don't
 * know of each other: what its future says, what its wrapper wrote in the worker, and what the
 * judge did to its worker. They have to tell the same story.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/check.h"

/* What the history says of one task. */
struct story {
    uint32_t starts, ends;
    int32_t pid, end_code;
    uint64_t start_ns;
    bool cancelled;
};

/* What was done to a process. */
struct deed {
    int32_t pid;
    uint32_t slot;
    int32_t signal; /* 0: a limit on the memory of its slot, which its successors inherit */
};

#define DEEDS_MAX 4096
#define GROUPS_MAX 64

struct evidence {
    struct story *stories;
    uint32_t stories_count;
    struct deed deeds[DEEDS_MAX];
    uint32_t deeds_count;
};

/* ---- Reading the history ----------------------------------------------------------------------- */

static void read_task_record(struct evidence *evidence, const struct hn_record *record)
{
    if (record->task >= evidence->stories_count)
        return;
    struct story *story = &evidence->stories[record->task];
    if (record->kind == HN_TASK_START) {
        story->starts++;
        story->pid = record->pid;
        story->start_ns = record->time_ns;
    } else if (record->kind == HN_TASK_END) {
        story->ends++;
        story->end_code = record->code;
    } else if (record->kind == HN_CALL && record->a == HN_CALL_CANCEL) {
        story->cancelled = true;
    }
}

static void read_history(const struct hn_world *world, struct evidence *evidence)
{
    const struct hn_history *history = &world->history;
    for (uint64_t number = 1; number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (!record)
            continue;
        read_task_record(evidence, record);
        if (record->kind == HN_FAULT && record->pid > 0 && evidence->deeds_count < DEEDS_MAX)
            evidence->deeds[evidence->deeds_count++] = (struct deed){record->pid, record->slot,
                                                                     record->signal};
    }
}

static bool was_done(const struct evidence *evidence, int32_t pid, int number)
{
    for (uint32_t i = 0; pid > 0 && i < evidence->deeds_count; i++)
        if (evidence->deeds[i].pid == pid && evidence->deeds[i].signal == number)
            return true;
    return false;
}

static bool was_limited(const struct evidence *evidence, uint32_t slot)
{
    for (uint32_t i = 0; slot != HN_NONE && i < evidence->deeds_count; i++)
        if (evidence->deeds[i].slot == slot && evidence->deeds[i].signal == 0)
            return true;
    return false;
}

/* ---- What a kind of task comes to by itself ---------------------------------------------------- */

#define BIT(cause) (1u << (cause))

static bool is_crash_signal(int number)
{
    static const int list[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL, SIGTRAP,
                               SIGSYS,  SIGABRT, SIGXCPU, SIGXFSZ};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i] == number)
            return true;
    return false;
}

static bool is_harmless_signal(int number)
{
    return number == SIGCHLD || number == SIGURG || number == SIGWINCH || number == SIGCONT;
}

static uint32_t own_end_of_grandchild(enum hn_end end)
{
    switch (end) {
    case HN_END_RETURN: return BIT(LIBPOOL_COMPLETED);
    case HN_END_HANG: return 0;
    case HN_END_SEGV: return BIT(LIBPOOL_CRASH);
    case HN_ENDS: break;
    }
    return 0;
}

/* Causes to which it comes when nobody interferes; 0: it never ends. */
static uint32_t own_end(const struct hn_group *group)
{
    switch (group->kind) {
    case HN_TASK_NOOP:
    case HN_TASK_SLEEP:
    case HN_TASK_SPIN:
    case HN_TASK_ECHO:
    case HN_TASK_LEAK_FDS:
    case HN_TASK_HOG: return BIT(LIBPOOL_COMPLETED);
    case HN_TASK_FAIL: return BIT(group->code ? LIBPOOL_ERROR : LIBPOOL_COMPLETED);
    case HN_TASK_EXIT:
    case HN_TASK_EXIT_NOW: return BIT(LIBPOOL_EXIT);
    case HN_TASK_SEGV:
    case HN_TASK_ABORT:
    case HN_TASK_BUS:
    case HN_TASK_FPE:
    case HN_TASK_ILL:
    case HN_TASK_STACK_OVERFLOW: return BIT(LIBPOOL_CRASH);
    case HN_TASK_HANG:
    case HN_TASK_SPIN_FOREVER:
    case HN_TASK_STOP_SELF:
    case HN_TASK_BLOCK_SIGNALS: return 0;
    case HN_TASK_GRANDCHILD: return own_end_of_grandchild(group->end);
    case HN_TASK_DIE:
        if (is_harmless_signal(group->signal))
            return BIT(LIBPOOL_COMPLETED);
        return BIT(is_crash_signal(group->signal) ? LIBPOOL_CRASH : LIBPOOL_KILLED);
    case HN_TASK_SCRIBBLE: /* its result may overwrite its own garbage: the worker goes later */
        return BIT(LIBPOOL_CORRUPT) | BIT(LIBPOOL_CRASH) | BIT(LIBPOOL_EXIT) |
               BIT(LIBPOOL_COMPLETED);
    case HN_TASK_KILL_SELF: return BIT(LIBPOOL_KILLED);
    case HN_TASK_KINDS: break;
    }
    return 0;
}

/* The signal that such a task dies of by itself; 0: none, -1: not one in particular. */
static int own_signal(const struct hn_group *group)
{
    switch (group->kind) {
    case HN_TASK_SEGV:
    case HN_TASK_STACK_OVERFLOW: return SIGSEGV;
    case HN_TASK_ABORT: return SIGABRT;
    case HN_TASK_BUS: return SIGBUS;
    case HN_TASK_FPE: return SIGFPE;
    case HN_TASK_ILL: return SIGILL;
    case HN_TASK_DIE: return group->signal;
    case HN_TASK_KILL_SELF: return SIGKILL;
    case HN_TASK_SCRIBBLE: return -1;
    case HN_TASK_GRANDCHILD: return group->end == HN_END_SEGV ? SIGSEGV : 0;
    case HN_TASK_NOOP:
    case HN_TASK_SLEEP:
    case HN_TASK_SPIN:
    case HN_TASK_FAIL:
    case HN_TASK_HOG:
    case HN_TASK_ECHO:
    case HN_TASK_EXIT:
    case HN_TASK_EXIT_NOW:
    case HN_TASK_HANG:
    case HN_TASK_SPIN_FOREVER:
    case HN_TASK_STOP_SELF:
    case HN_TASK_BLOCK_SIGNALS:
    case HN_TASK_LEAK_FDS:
    case HN_TASK_KINDS: break;
    }
    return 0;
}

/* ---- One task ---------------------------------------------------------------------------------- */

struct view {
    const struct hn_case *of;
    const struct evidence *evidence;
    const struct hn_row *row;
    const struct hn_group *group; /* NULL: the probe */
    const struct story *story;
    uint32_t task;
    struct hn_findings *findings;
};

__attribute__((format(printf, 4, 5))) static void object(const struct view *view,
                                                         enum hn_clause clause,
                                                         const char *expected, const char *format,
                                                         ...)
{
    char text[160];
    va_list arguments;
    const struct hn_row *row = view->row;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    hn_findings_add(view->findings, clause, "the task's future, its worker's own records", expected,
                    "task %u (group %u, id %llu, pid %d, %s): %s", view->task, row->group,
                    (unsigned long long)row->task_id, row->pid, libpool_cause_name(row->cause),
                    text);
}

/* Causes that what was done to the pool or this task accounts for. */
static uint32_t excused(const struct view *view)
{
    const struct hn_case *of = view->of;
    const struct hn_row *row = view->row;
    uint32_t causes = 0;
    if (view->group && view->group->run_timeout_ms)
        causes |= BIT(LIBPOOL_TIMEOUT);
    if (view->group && view->group->queue_timeout_ms)
        causes |= BIT(LIBPOOL_QUEUE_TIMEOUT);
    if (view->story->cancelled)
        causes |= BIT(LIBPOOL_CANCELLED);
    if (of->shut_down)
        causes |= BIT(LIBPOOL_SHUTDOWN);
    if (of->may_init_fail)
        causes |= BIT(LIBPOOL_INIT_FAILED);
    if (of->zygote_harmed)
        causes |= BIT(LIBPOOL_LOST);
    if (of->memory_limited && was_limited(view->evidence, row->slot))
        causes |= BIT(LIBPOOL_OOM);
    if (row->signal > 0 && was_done(view->evidence, row->pid, row->signal))
        causes |= is_crash_signal(row->signal) ? BIT(LIBPOOL_CRASH) : BIT(LIBPOOL_KILLED);
    return causes;
}

static void check_cause(const struct view *view)
{
    uint32_t own = view->group ? own_end(view->group) : BIT(LIBPOOL_COMPLETED);
    uint32_t cause = BIT(view->row->cause);
    if ((own | excused(view)) & cause)
        return;
    if (own == BIT(LIBPOOL_COMPLETED))
        object(view, HN_I5_ISOLATION, "a task to which nothing was done completes",
               "code %d, signal %d: %s", view->row->code, view->row->signal, view->row->text);
    else
        object(view, HN_I1_RESOLUTION, "the cause that its kind and the faults account for",
               "code %d, signal %d: %s", view->row->code, view->row->signal, view->row->text);
}

/* The number that goes with the cause. */
static void check_numbers(const struct view *view)
{
    const struct hn_row *row = view->row;
    const struct hn_group *group = view->group;
    int own = group ? own_signal(group) : 0;
    if (!group)
        return;
    if (row->cause == LIBPOOL_ERROR && row->code != view->story->end_code)
        object(view, HN_I1_RESOLUTION, "the code that the function returned", "%d, it returned %d",
               row->code, view->story->end_code);
    if (row->cause == LIBPOOL_EXIT && group->kind != HN_TASK_SCRIBBLE &&
        row->code != (group->code & 0xff))
        object(view, HN_I1_RESOLUTION, "the exit code", "%d, it left with %d", row->code,
               group->code & 0xff);
    if (row->cause == LIBPOOL_CRASH && own != -1 && row->signal != own &&
        !was_done(view->evidence, row->pid, row->signal))
        object(view, HN_I1_RESOLUTION, "the signal it died of", "%d, expected %d", row->signal,
               own);
    if (row->cause == LIBPOOL_KILLED && row->signal != own &&
        !was_done(view->evidence, row->pid, row->signal))
        object(view, HN_I1_RESOLUTION, "a signal that somebody sent", "%d", row->signal);
    if (row->cause == LIBPOOL_TIMEOUT &&
        row->running_ns + 1000000 < (uint64_t)group->run_timeout_ms * 1000000)
        object(view, HN_I1_RESOLUTION, "a timeout not before its time", "after %llu us of %u ms",
               (unsigned long long)row->running_ns / 1000, group->run_timeout_ms);
    if (row->cause == LIBPOOL_QUEUE_TIMEOUT &&
        row->pending_ns + 1000000 < (uint64_t)group->queue_timeout_ms * 1000000)
        object(view, HN_I1_RESOLUTION, "a queue timeout not before its time",
               "after %llu us of %u ms", (unsigned long long)row->pending_ns / 1000,
               group->queue_timeout_ms);
}

static void check_certainty(const struct view *view)
{
    const struct story *story = view->story;
    switch (view->row->certainty) {
    case LIBPOOL_NOT_STARTED:
        if (story->starts)
            object(view, HN_I7_CERTAINTY, "a task that was not started left no trace",
                   "its worker %d wrote a start", story->pid);
        break;
    case LIBPOOL_MAY_HAVE_RUN: break; /* a start, or death just before it */
    case LIBPOOL_HAS_RUN:
        if (story->starts != 1 || story->ends != 1)
            object(view, HN_I7_CERTAINTY, "a task that has run wrote one start and one end",
                   "%u starts, %u ends", story->starts, story->ends);
        break;
    }
    bool ended_itself = view->row->cause == LIBPOOL_COMPLETED || view->row->cause == LIBPOOL_ERROR;
    if (ended_itself != (view->row->certainty == LIBPOOL_HAS_RUN))
        object(view, HN_I7_CERTAINTY, "completed and error mean that it has run, nothing else does",
               "certainty %d", (int)view->row->certainty);
    if (story->starts > 1)
        object(view, HN_I7_CERTAINTY, "no task is started twice", "%u starts", story->starts);
}

static void check_identity(const struct view *view)
{
    const struct hn_row *row = view->row;
    if (view->story->starts == 1 && row->certainty != LIBPOOL_NOT_STARTED &&
        row->pid != view->story->pid)
        object(view, HN_I1_RESOLUTION, "the pid of its worker", "it was %d", view->story->pid);
    if (row->echo == HN_ECHO_WRONG)
        object(view, HN_I5_ISOLATION, "the result that was sent", "%llu other bytes",
               (unsigned long long)row->data_size);
    if (row->ends != 1)
        object(view, HN_I1_RESOLUTION, "exactly one end", "%u", row->ends);
    if (row->cause == LIBPOOL_PENDING || (unsigned)row->cause >= LIBPOOL_CAUSES)
        object(view, HN_I1_RESOLUTION, "a terminal state", "%d", (int)row->cause);
}

static void check_task(const struct view *view)
{
    uint32_t state = atomic_load(&view->row->state);
    if (state == HN_TASK_REFUSED) {
        if (view->story->starts)
            object(view, HN_I7_CERTAINTY, "a refused task left no trace", "it was started");
        return;
    }
    if (state != HN_TASK_COLLECTED) {
        if (!view->of->host_killed)
            object(view, HN_I1_RESOLUTION, "every accepted task ends", "its future has not ended");
        return;
    }
    check_identity(view);
    check_cause(view);
    check_numbers(view);
    check_certainty(view);
}

/* Numbers are given in the order of submission, each once. */
static void check_ids(const struct hn_case *of, struct hn_findings *findings)
{
    const struct hn_world *world = of->world;
    uint64_t last = 0;
    uint32_t count = atomic_load(&world->tasks_count);
    for (uint32_t task = 0; task < count; task++) {
        const struct hn_row *row = &world->rows[task];
        if (atomic_load(&row->state) != HN_TASK_COLLECTED)
            continue;
        if (row->task_id <= last)
            hn_findings_add(findings, HN_I1_RESOLUTION, "libpool_result.task_id",
                            "unique, in order of submission", "%llu after %llu",
                            (unsigned long long)row->task_id, (unsigned long long)last);
        last = row->task_id;
    }
}

void hn_check_tasks(const struct hn_case *of, struct hn_findings *findings)
{
    const struct hn_world *world = of->world;
    uint32_t count = atomic_load(&world->tasks_count);
    struct evidence *evidence = calloc(1, sizeof *evidence);
    if (evidence)
        evidence->stories = calloc(count ? count : 1, sizeof *evidence->stories);
    if (!evidence || !evidence->stories) {
        hn_findings_add(findings, HN_HARNESS, "the checkers", "memory", "none");
        free(evidence);
        return;
    }
    evidence->stories_count = count;
    read_history(world, evidence);
    for (uint32_t task = 0; task < count; task++) {
        const struct hn_row *row = &world->rows[task];
        struct view view = {.of = of,
                            .evidence = evidence,
                            .row = row,
                            .group = row->group < of->groups_count ? &of->groups[row->group] : NULL,
                            .story = &evidence->stories[task],
                            .task = task,
                            .findings = findings};
        check_task(&view);
    }
    check_ids(of, findings);
    free(evidence->stories);
    free(evidence);
}

/* ---- Order ------------------------------------------------------------------------------------- */

void hn_check_order(const struct hn_case *of, struct hn_findings *findings)
{
    uint32_t last[GROUPS_MAX] = {0}; /* the task started last, plus 1 */
    const struct hn_history *history = &of->world->history;
    for (uint64_t number = 1; number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (!record || record->kind != HN_TASK_START || record->group >= of->groups_count ||
            record->group >= GROUPS_MAX || !of->groups[record->group].ordered)
            continue;
        if (record->task + 1 < last[record->group])
            hn_findings_add(findings, HN_I5_ISOLATION, "the start records of the workers",
                            "first in, first out", "task %u of group %u started after task %u",
                            record->task, record->group, last[record->group] - 1);
        last[record->group] = record->task + 1;
    }
}
