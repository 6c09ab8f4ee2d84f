/* SPDX-License-Identifier: MIT */
/*
 * check_tasks: I1, I5, I7. The truth about a task is put together from three witnesses that don't
 * know of each other: what its future says, what its wrapper wrote in the worker, and what the
 * judge did to its worker. They have to tell the same story.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include "harness/check.h"
#include "harness/story.h"

#define GROUPS_MAX 64

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

static uint32_t own_end_as(enum hn_end end)
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
    case HN_TASK_LEAK:
    case HN_TASK_HELD:
    case HN_TASK_CALL:
    case HN_TASK_HOG_TREE: return BIT(LIBPOOL_COMPLETED);
    case HN_TASK_HOG: return BIT(group->too_large ? LIBPOOL_ERROR : LIBPOOL_COMPLETED);
    case HN_TASK_TRESPASS: return BIT(group->forbidden ? LIBPOOL_CRASH : LIBPOOL_COMPLETED);
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
    case HN_TASK_HEED:
    case HN_TASK_BEAT:
    case HN_TASK_BLOCK_SIGNALS: return 0;
    case HN_TASK_EMIT:
    case HN_TASK_GRANDCHILD: return own_end_as(group->end);
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
    case HN_TASK_TRESPASS: return group->forbidden ? SIGSYS : 0;
    case HN_TASK_ABORT: return SIGABRT;
    case HN_TASK_BUS: return SIGBUS;
    case HN_TASK_FPE: return SIGFPE;
    case HN_TASK_ILL: return SIGILL;
    case HN_TASK_DIE: return group->signal;
    case HN_TASK_KILL_SELF: return SIGKILL;
    case HN_TASK_SCRIBBLE: return -1;
    case HN_TASK_EMIT:
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
    case HN_TASK_LEAK:
    case HN_TASK_HOG_TREE:
    case HN_TASK_HEED:
    case HN_TASK_BEAT:
    case HN_TASK_HELD:
    case HN_TASK_CALL:
    case HN_TASK_KINDS: break;
    }
    return 0;
}

/* ---- One task ---------------------------------------------------------------------------------- */

struct view {
    const struct hn_case *of;
    const struct hn_stories *stories;
    const struct hn_row *row;
    const struct hn_group *group; /* NULL: the probe */
    const struct hn_story *story;
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

/* What such a task holds at once, as far as it is more than anybody does. */
static uint64_t appetite(const struct hn_group *group)
{
    if (!group || (group->kind != HN_TASK_HOG && group->kind != HN_TASK_HOG_TREE))
        return 0;
    return group->kind == HN_TASK_HOG ? group->bytes : group->bytes * group->children;
}

/* The first moment after its start at which a task may have overrun; 0: it can't. */
static uint32_t least_timeout_ms(const struct hn_group *group)
{
    uint32_t run_ms = group->run_timeout_ms, silence_ms = group->heartbeat_timeout_ms;
    if (silence_ms && group->kind == HN_TASK_BEAT)
        silence_ms += (uint32_t)(group->work_us / 1000);
    return silence_ms && (!run_ms || silence_ms < run_ms) ? silence_ms : run_ms;
}

/* Of a client's, what was done to it or to the server. */
static uint32_t excused_of_client(const struct view *view)
{
    const struct hn_process *client = &view->of->world->clients[view->group->client - 1].process;
    bool unserved = view->row->collected_ns >= view->stories->unserved_ns;
    bool cut = unserved || view->of->host_killed ||
               hn_story_was_hit(view->stories, client->pid, SIGSTOP);
    return (unserved ? BIT(LIBPOOL_SHUTDOWN) : 0u) |
           (cut && view->row->pid == 0 ? BIT(LIBPOOL_LOST) : 0u);
}

/* Causes that what was done to the pool or this task accounts for. */
static uint32_t excused(const struct view *view)
{
    const struct hn_case *of = view->of;
    const struct hn_row *row = view->row;
    uint32_t causes = 0;
    if (view->group && least_timeout_ms(view->group))
        causes |= BIT(LIBPOOL_TIMEOUT);
    if (view->group && view->group->queue_timeout_ms)
        causes |= BIT(LIBPOOL_QUEUE_TIMEOUT);
    if (view->story->cancelled || view->story->asked)
        causes |= BIT(LIBPOOL_CANCELLED);
    if (of->shut_down && hn_story_ended_ns(view->story, row) >= view->stories->shut_ns)
        causes |= BIT(LIBPOOL_SHUTDOWN);
    if (view->group && view->group->halt_failures)
        causes |= BIT(LIBPOOL_CANCELLED);
    if (of->may_init_fail)
        causes |= BIT(LIBPOOL_INIT_FAILED);
    if (hn_story_was_orphaned(view->stories, view->story, row))
        causes |= BIT(LIBPOOL_LOST);
    if (view->group && view->group->family && view->stories->held)
        causes |= BIT(LIBPOOL_QUARANTINED);
    if (of->memory_limited && row->slot != HN_NONE && hn_story_one_was_limited(view->stories))
        causes |= BIT(LIBPOOL_OOM);
    if (of->memory_limit_bytes && appetite(view->group) > of->memory_limit_bytes)
        causes |= BIT(of->memory_sampled ? LIBPOOL_MEMORY : LIBPOOL_OOM);
    if (view->group && view->group->memory_limit_bytes &&
        appetite(view->group) > view->group->memory_limit_bytes)
        causes |= BIT(LIBPOOL_MEMORY);
    if (view->group && view->group->client)
        causes |= excused_of_client(view);
    if (row->signal > 0 && hn_story_was_hit(view->stories, row->pid, row->signal))
        causes |= is_crash_signal(row->signal) ? BIT(LIBPOOL_CRASH) : BIT(LIBPOOL_KILLED);
    return causes;
}

static uint32_t own_end_of_last_run(const struct view *view)
{
    const struct hn_group *group = view->group;
    bool works = !group || (group->works_at && view->row->attempts >= group->works_at);
    return works ? BIT(LIBPOOL_COMPLETED) : own_end(group);
}

static void check_cause(const struct view *view)
{
    uint32_t own = own_end_of_last_run(view);
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
        !hn_story_was_hit(view->stories, row->pid, row->signal))
        object(view, HN_I1_RESOLUTION, "the signal it died of", "%d, expected %d", row->signal,
               own);
    if (row->cause == LIBPOOL_KILLED && row->signal != own &&
        !hn_story_was_hit(view->stories, row->pid, row->signal))
        object(view, HN_I1_RESOLUTION, "a signal that somebody sent", "%d", row->signal);
    if (row->cause == LIBPOOL_TIMEOUT &&
        row->running_ns + 1000000 < (uint64_t)least_timeout_ms(group) * 1000000)
        object(view, HN_I1_RESOLUTION, "a timeout not before its time", "after %llu us of %u ms",
               (unsigned long long)row->running_ns / 1000, least_timeout_ms(group));
    if (row->cause == LIBPOOL_QUEUE_TIMEOUT &&
        row->pending_ns + 1000000 < (uint64_t)group->queue_timeout_ms * 1000000)
        object(view, HN_I1_RESOLUTION, "a queue timeout not before its time",
               "after %llu us of %u ms", (unsigned long long)row->pending_ns / 1000,
               group->queue_timeout_ms);
}

/* Its client has lost its session: nobody could tell it more. */
static bool is_cut(const struct view *view)
{
    return view->group && view->group->client && view->row->cause == LIBPOOL_LOST &&
           view->row->pid == 0;
}

/* At most once, and once more for each run that failed for a cause that the task names. */
static void check_runs(const struct view *view)
{
    const struct hn_row *row = view->row;
    const struct hn_story *story = view->story;
    uint32_t limit = view->group ? view->group->retries : 0;
    uint32_t causes = view->group ? view->group->retry_causes : 0;
    if (story->starts > 1 && story->starts - 1 > limit)
        object(view, HN_I7_CERTAINTY, "no task is started again that does not ask for it",
               "%u starts", story->starts);
    else if (story->starts > row->attempts && !is_cut(view))
        object(view, HN_I7_CERTAINTY, "each start is a run", "%u starts, %u runs", story->starts,
               row->attempts);
    if (row->attempts > 1 && row->attempts - 1 > limit)
        object(view, HN_I7_CERTAINTY, "no more runs than the task allows", "%u", row->attempts);
    if (row->retried_cause != LIBPOOL_PENDING && !(causes & BIT(row->retried_cause)))
        object(view, HN_I7_CERTAINTY, "run again for a cause that the task names",
               "the run before ended as %s", libpool_cause_name(row->retried_cause));
    const uint32_t pending = BIT(LIBPOOL_CANCELLED) | BIT(LIBPOOL_SHUTDOWN) |
                             BIT(LIBPOOL_QUEUE_TIMEOUT) | BIT(LIBPOOL_INIT_FAILED) |
                             BIT(LIBPOOL_QUARANTINED);
    bool in_pause = row->attempts == story->retried && (pending & BIT(row->cause));
    if (story->told && row->attempts != story->retried + 1 && !in_pause && row->attempts)
        object(view, HN_I7_CERTAINTY, "an event for each run that was followed by another",
               "%u runs, %u events", row->attempts, story->retried);
}

static bool returned_when_asked(const struct view *view)
{
    libpool_cause cause = view->row->cause;
    bool threads = view->of->threads;
    bool asked = cause == LIBPOOL_TIMEOUT || cause == LIBPOOL_CANCELLED ||
                 (threads && cause == LIBPOOL_SHUTDOWN);
    return asked && view->group && (view->group->grace_ms || threads) &&
           view->row->code == view->story->end_code;
}

static void check_certainty(const struct view *view)
{
    const struct hn_story *story = view->story;
    switch (view->row->certainty) {
    case LIBPOOL_NOT_STARTED:
        if (story->starts)
            object(view, HN_I7_CERTAINTY, "a task that was not started left no trace",
                   "its worker %d wrote a start", story->pid);
        break;
    case LIBPOOL_MAY_HAVE_RUN: break; /* a start, or death just before it */
    case LIBPOOL_HAS_RUN:             /* the runs before may have left no trace, or as much */
        if (!story->starts || !story->ends || story->ends > story->starts)
            object(view, HN_I7_CERTAINTY, "a task that has run wrote one start and one end",
                   "%u starts, %u ends", story->starts, story->ends);
        break;
    }
    bool ended_itself = view->row->cause == LIBPOOL_COMPLETED || view->row->cause == LIBPOOL_ERROR;
    bool has_run = view->row->certainty == LIBPOOL_HAS_RUN;
    if (ended_itself != has_run && !(has_run && returned_when_asked(view)))
        object(
            view, HN_I7_CERTAINTY,
            "completed and error mean that it has run, nothing else does but a return in its grace",
            "certainty %d", (int)view->row->certainty);
    check_runs(view);
}

/* Its line is written before its start: who has started and failed has said it. */
static void check_tail(const struct view *view)
{
    const struct hn_row *row = view->row;
    bool started = view->story->starts && view->story->starts == row->attempts;
    bool failed = row->cause != LIBPOOL_COMPLETED;
    if (view->group && view->group->kind == HN_TASK_SCRIBBLE)
        return; /* it wipes out what its worker has said */
    if (row->tail == HN_TAIL_OTHER || (row->tail == HN_TAIL_OWN && !failed))
        object(view, HN_I5_ISOLATION, "its own last words, if it failed", "other ones");
    if (row->tail == HN_TAIL_NONE && started && failed)
        object(view, HN_I5_ISOLATION, "its last words", "none");
}

/* Who runs when it dies of such a signal has a trace, and nobody else. */
static void check_trace(const struct view *view)
{
    const struct hn_row *row = view->row;
    bool started = view->story->starts && view->story->starts == row->attempts;
    bool crashed = row->signal == SIGSEGV || row->signal == SIGBUS || row->signal == SIGILL ||
                   row->signal == SIGFPE || row->signal == SIGABRT;
    if (view->group && view->group->kind == HN_TASK_SCRIBBLE)
        return; /* it wipes out what its worker has said */
    if (row->trace == HN_TRACE_UNASKED || (row->trace == HN_TRACE_THERE && !crashed))
        object(view, HN_I5_ISOLATION, "a trace of its own crash only", "one without a crash");
    if (row->trace == HN_TRACE_NONE && started && crashed)
        object(view, HN_I5_ISOLATION, "a trace of its crash", "none");
}

/* Nothing is lost of who ends by itself, and no more than what was under way of who is killed. */
static void check_parts(const struct view *view)
{
    const struct hn_parts *parts = &view->row->parts;
    libpool_cause cause = view->row->cause;
    uint32_t sent = hn_parts_sent(parts), arrived = hn_parts_arrived(parts);
    bool whole = view->row->certainty == LIBPOOL_HAS_RUN;
    bool kept = whole || cause == LIBPOOL_CRASH || cause == LIBPOOL_EXIT;
    if (!view->group || view->group->kind != HN_TASK_EMIT || view->group->works_at)
        return;
    if (view->group->take_late && parts->runs > 1)
        object(view, HN_I5_ISOLATION, "those that were not taken go with their run",
               "some of %u runs", parts->runs);
    if (!parts->over || parts->end != 0)
        object(view, HN_I1_RESOLUTION, "its parts come to an end, told by 0", "%d", parts->end);
    if (parts->wrong)
        object(view, HN_I5_ISOLATION, "each part once, in order, as it was sent", "%u are not",
               parts->wrong);
    if (arrived < sent && kept)
        object(view, HN_I5_ISOLATION, "what it had sent before its end", "%u of %u parts", arrived,
               sent);
    if (arrived > sent + !whole || parts->run > atomic_load(&parts->sent) >> 32)
        object(view, HN_I5_ISOLATION, "no part that was not sent", "%u of %u", arrived, sent);
    if (cause == LIBPOOL_COMPLETED && sent != view->group->parts)
        object(view, HN_I1_RESOLUTION, "who completes has sent all", "%u of %u parts", sent,
               view->group->parts);
}

static void check_identity(const struct view *view)
{
    const struct hn_row *row = view->row;
    const struct hn_group *group = view->group;
    bool started = view->story->starts && view->story->starts == row->attempts &&
                   row->certainty != LIBPOOL_NOT_STARTED;
    if (started && row->pid != view->story->pid)
        object(view, HN_I1_RESOLUTION, "the pid of its worker", "it was %d", view->story->pid);
    if (started && row->slot != view->story->slot)
        object(view, HN_I1_RESOLUTION, "the slot of its worker", "%u, it was %u", row->slot,
               view->story->slot);
    if (group && group->kind != HN_TASK_ECHO && group->kind != HN_TASK_SCRIBBLE && row->data_size)
        object(view, HN_I5_ISOLATION, "no result, for it sent none", "%llu bytes",
               (unsigned long long)row->data_size);
    if (row->echo == HN_ECHO_WRONG)
        object(view, HN_I5_ISOLATION, "the result that was sent", "%llu other bytes",
               (unsigned long long)row->data_size);
    if (group && group->gathered && row->gathered != 1)
        object(view, HN_I1_RESOLUTION, "gathered once", "%u times", row->gathered);
    if (row->ends != 1)
        object(view, HN_I1_RESOLUTION, "exactly one end", "%u", row->ends);
    if (row->cause == LIBPOOL_PENDING || (unsigned)row->cause >= LIBPOOL_CAUSES)
        object(view, HN_I1_RESOLUTION, "a terminal state", "%d", (int)row->cause);
}

/* The close of its server has cancelled it in the pool. */
static bool was_unserved(const struct view *view)
{
    return view->of->unserved && view->group && view->group->client &&
           view->row->cause == LIBPOOL_SHUTDOWN && view->story->told_cause == LIBPOOL_CANCELLED;
}

/* What the pool's events and the calls of cancel say of its end. */
static void check_witnesses(const struct view *view)
{
    const struct hn_story *story = view->story;
    if (story->told > 1)
        object(view, HN_I1_RESOLUTION, "one event of its end", "%u", story->told);
    if (story->told && story->told_cause != (int32_t)view->row->cause && !was_unserved(view))
        object(view, HN_I1_RESOLUTION, "the cause that its event tells, too", "the event says %s",
               libpool_cause_name((libpool_cause)story->told_cause));
    bool known = !view->group || !view->group->client || view->row->task_id; /* to the pool */
    if (!story->told && view->of->settled && known)
        object(view, HN_I1_RESOLUTION, "one event of its end", "none");
    bool overran = story->asked && view->row->cause == LIBPOOL_TIMEOUT; /* before the cancel */
    overran = overran ||
              (view->of->threads && story->asked && view->row->cause == LIBPOOL_SHUTDOWN);
    if ((story->cancelled || story->asked) && view->row->cause != LIBPOOL_CANCELLED && !overran)
        object(view, HN_I1_RESOLUTION, "cancelled, as libpool_future_cancel said", "it is not");
}

static void check_task(const struct view *view)
{
    uint32_t state = atomic_load(&view->row->state);
    if (state == HN_TASK_REFUSED || state == HN_TASK_WITHDRAWN) {
        if (view->story->starts)
            object(view, HN_I7_CERTAINTY, "a refused task left no trace", "it was started");
        return;
    }
    if (state == HN_TASK_ABANDONED) {
        if (view->story->starts > 1 + (view->group ? view->group->retries : 0))
            object(view, HN_I7_CERTAINTY, "nobody asks for it again when its client is gone",
                   "%u starts", view->story->starts);
        return;
    }
    if (state != HN_TASK_COLLECTED) {
        if (!view->of->host_killed)
            object(view, HN_I1_RESOLUTION, "every accepted task ends", "its future has not ended");
        return;
    }
    check_identity(view);
    check_parts(view);
    check_tail(view);
    check_trace(view);
    check_witnesses(view);
    check_cause(view);
    check_numbers(view);
    check_certainty(view);
}

/* Numbers are given in the order of submission, each once. That of several processes is not known. */
static void check_ids(const struct hn_case *of, struct hn_findings *findings)
{
    const struct hn_world *world = of->world;
    uint64_t last = 0;
    uint32_t count = atomic_load(&world->tasks_count);
    for (uint32_t task = 0; task < count; task++) {
        const struct hn_row *row = &world->rows[task];
        bool remote = row->group < of->groups_count && of->groups[row->group].client;
        if (atomic_load(&row->state) != HN_TASK_COLLECTED || remote)
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
    struct hn_stories *stories = hn_stories_read(world);
    if (!stories) {
        hn_findings_add(findings, HN_HARNESS, "the checkers", "memory", "none");
        return;
    }
    for (uint32_t task = 0; task < stories->count; task++) {
        const struct hn_row *row = &world->rows[task];
        struct view view = {.of = of,
                            .stories = stories,
                            .row = row,
                            .group = row->group < of->groups_count ? &of->groups[row->group] : NULL,
                            .story = &stories->list[task],
                            .task = task,
                            .findings = findings};
        check_task(&view);
    }
    check_ids(of, findings);
    hn_stories_free(stories);
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
