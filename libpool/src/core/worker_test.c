/* SPDX-License-Identifier: MIT */
/*
 * The table of states by events, cell by cell: what state follows, and what is decided. The pool has
 * one worker and keeps it; task 1 was submitted where BUSY needs it. Cells that are not listed have
 * to stay where they are and say nothing.
 */
#include "core/worker.h"

#include <signal.h>
#include <string.h>

#include "core/rig.h"
#include "harness/test.h"

static struct rig rig;

/* Brings slot 0 into a state; what was said on the way is forgotten. */
static void reach(enum lp_worker_state state)
{
    struct lp_pool_config config = {.min_workers = 1, .max_workers = 1, .has_finalizer = true};
    if (state == LP_WORKER_VACANT)
        config.min_workers = 0;
    rig_open(&rig, &config);
    if (state == LP_WORKER_VACANT)
        return;
    RIG_STEP(&rig, TICK);
    RIG_STEP(&rig, ZYGOTE_UP, .pid = 100);
    if (state >= LP_WORKER_STARTING)
        RIG_TELL(&rig, 0, SPAWNED, .pid = 101);
    if (state >= LP_WORKER_IDLE)
        RIG_TELL(&rig, 0, READY);
    if (state == LP_WORKER_BUSY)
        RIG_SUBMIT(&rig);
    if (state == LP_WORKER_RETIRING)
        RIG_STEP(&rig, ZYGOTE_LOST);
    if (state == LP_WORKER_DYING)
        RIG_TELL(&rig, 0, CORRUPT);
    if (state == LP_WORKER_GONE)
        RIG_TELL(&rig, 0, GONE);
    if (state == LP_WORKER_DEAD)
        RIG_TELL(&rig, 0, EXITED, .signal = SIGKILL);
    rig_said(&rig);
    CU_ASSERT_EQUAL_FATAL(rig.pool.workers[0].state, state);
}

static struct lp_event make(enum lp_event_kind kind)
{
    struct lp_event event = {.kind = kind, .pid = 101};
    if (kind == LP_EVENT_RESULT || kind == LP_EVENT_WAITS)
        event.task_id = 1;
    if (kind == LP_EVENT_EXITED)
        event.signal = SIGKILL;
    else
        event.started_id = 1;
    return event;
}

#define KILLED LP_WORKER_DYING, "kill 0.1; spawn 1.1; "
#define KILLED_BUSY LP_WORKER_DYING, "end 1 corrupt may-have-run; kill 0.1; spawn 1.1; "
#define KILLED_LEAVING LP_WORKER_DYING, "kill 0.1; "

static const struct {
    enum lp_worker_state state;
    enum lp_event_kind event;
    enum lp_worker_state next;
    const char *said;
} cells[] = {
    {LP_WORKER_SPAWNING, LP_EVENT_SPAWNED, LP_WORKER_STARTING, ""},
    {LP_WORKER_SPAWNING, LP_EVENT_SPAWN_FAILED, LP_WORKER_VACANT, ""},
    {LP_WORKER_SPAWNING, LP_EVENT_DEADLINE, LP_WORKER_SPAWNING, "zygote-drop; "},

    {LP_WORKER_STARTING, LP_EVENT_READY, LP_WORKER_IDLE, ""},
    {LP_WORKER_STARTING, LP_EVENT_RESULT, KILLED},
    {LP_WORKER_STARTING, LP_EVENT_FINAL_STARTED, KILLED},
    {LP_WORKER_STARTING, LP_EVENT_FINALIZED, KILLED},
    {LP_WORKER_STARTING, LP_EVENT_CORRUPT, KILLED},
    {LP_WORKER_STARTING, LP_EVENT_WAITS, KILLED},
    {LP_WORKER_STARTING, LP_EVENT_GONE, LP_WORKER_GONE, "spawn 1.1; "},
    {LP_WORKER_STARTING, LP_EVENT_EXITED, LP_WORKER_DEAD, ""},
    {LP_WORKER_STARTING, LP_EVENT_DEADLINE, KILLED},

    {LP_WORKER_IDLE, LP_EVENT_READY, KILLED},
    {LP_WORKER_IDLE, LP_EVENT_INIT_FAILED, KILLED},
    {LP_WORKER_IDLE, LP_EVENT_RESULT, KILLED},
    {LP_WORKER_IDLE, LP_EVENT_FINAL_STARTED, KILLED},
    {LP_WORKER_IDLE, LP_EVENT_FINALIZED, KILLED},
    {LP_WORKER_IDLE, LP_EVENT_CORRUPT, KILLED},
    {LP_WORKER_IDLE, LP_EVENT_WAITS, KILLED},
    {LP_WORKER_IDLE, LP_EVENT_GONE, LP_WORKER_GONE, "spawn 1.1; "},
    {LP_WORKER_IDLE, LP_EVENT_EXITED, LP_WORKER_DEAD, ""},

    {LP_WORKER_BUSY, LP_EVENT_READY, KILLED_BUSY},
    {LP_WORKER_BUSY, LP_EVENT_INIT_FAILED, KILLED_BUSY},
    {LP_WORKER_BUSY, LP_EVENT_RESULT, LP_WORKER_IDLE, "end 1 completed has-run; "},
    {LP_WORKER_BUSY, LP_EVENT_FINAL_STARTED, KILLED_BUSY},
    {LP_WORKER_BUSY, LP_EVENT_FINALIZED, KILLED_BUSY},
    {LP_WORKER_BUSY, LP_EVENT_CORRUPT, KILLED_BUSY},
    {LP_WORKER_BUSY, LP_EVENT_GONE, LP_WORKER_GONE, "spawn 1.1; "},
    {LP_WORKER_BUSY, LP_EVENT_EXITED, LP_WORKER_DEAD, ""},

    {LP_WORKER_RETIRING, LP_EVENT_READY, KILLED_LEAVING},
    {LP_WORKER_RETIRING, LP_EVENT_INIT_FAILED, KILLED_LEAVING},
    {LP_WORKER_RETIRING, LP_EVENT_RESULT, KILLED_LEAVING},
    {LP_WORKER_RETIRING, LP_EVENT_CORRUPT, KILLED_LEAVING},
    {LP_WORKER_RETIRING, LP_EVENT_WAITS, KILLED_LEAVING},
    {LP_WORKER_RETIRING, LP_EVENT_GONE, LP_WORKER_GONE, ""},
    {LP_WORKER_RETIRING, LP_EVENT_EXITED, LP_WORKER_DEAD, ""},
    {LP_WORKER_RETIRING, LP_EVENT_DEADLINE, KILLED_LEAVING},

    {LP_WORKER_DYING, LP_EVENT_GONE, LP_WORKER_GONE, ""},
    {LP_WORKER_DYING, LP_EVENT_EXITED, LP_WORKER_DEAD, ""},
    {LP_WORKER_DYING, LP_EVENT_DEADLINE, LP_WORKER_DYING, "zygote-drop; "},

    {LP_WORKER_GONE, LP_EVENT_GONE, LP_WORKER_GONE, ""},
    {LP_WORKER_GONE, LP_EVENT_EXITED, LP_WORKER_DEAD, ""},
    {LP_WORKER_GONE, LP_EVENT_DEADLINE, LP_WORKER_GONE, "zygote-drop; "},

    {LP_WORKER_DEAD, LP_EVENT_EMPTY, LP_WORKER_VACANT, ""},
    {LP_WORKER_DEAD, LP_EVENT_DEADLINE, LP_WORKER_DEAD, "zygote-drop; "},
};

/* Looks up what is listed; false: nothing is, so nothing may happen. */
static bool listed(enum lp_worker_state state, enum lp_event_kind event, size_t *index)
{
    for (*index = 0; *index < sizeof cells / sizeof cells[0]; ++*index)
        if (cells[*index].state == state && cells[*index].event == event)
            return true;
    return false;
}

TEST(worker, each_cell_of_the_table)
{
    for (uint32_t state = 0; state < LP_WORKER_STATES; state++)
        for (uint32_t event = 0; event < LP_WORKER_EVENTS; event++) {
            size_t i;
            bool found = listed((enum lp_worker_state)state, (enum lp_event_kind)event, &i);
            reach((enum lp_worker_state)state);
            rig_tell(&rig, 0, make((enum lp_event_kind)event));
            CU_ASSERT_EQUAL(rig.pool.workers[0].state, found ? cells[i].next : state);
            CU_ASSERT_STRING_EQUAL(rig_said(&rig), found ? cells[i].said : "");
        }
}

/* Task 1 has a result, and task 2 is handed over. */
static void reach_second(void)
{
    reach(LP_WORKER_BUSY);
    RIG_TELL(&rig, 0, RESULT, .task_id = 1);
    RIG_SUBMIT(&rig);
    rig_said(&rig);
}

/* What has forged a result of its own runs on: the task after it has written nothing. */
TEST(worker, nonsense_of_a_task_that_has_a_result_does_not_end_the_next)
{
    for (uint32_t kind = 0; kind < LP_WORKER_EVENTS; kind++) {
        size_t i;
        if (!listed(LP_WORKER_BUSY, (enum lp_event_kind)kind, &i) ||
            cells[i].next != LP_WORKER_DYING)
            continue;
        reach_second();
        rig_tell(&rig, 0, make((enum lp_event_kind)kind)); /* its word: still in the first */
        CU_ASSERT_STRING_EQUAL(rig_said(&rig), "kill 0.1; spawn 1.1; ");
        RIG_TELL(&rig, 0, EXITED, .signal = SIGKILL, .started_id = 1);
        CU_ASSERT_EQUAL(rig.pool.tasks.pending, 1);
        CU_ASSERT_EQUAL(rig_stats(&rig).tasks_returned, 1);
    }
}

TEST(worker, a_task_begun_between_nonsense_and_death_ends_with_it)
{
    reach_second();
    RIG_TELL(&rig, 0, RESULT, .task_id = 7, .started_id = 1);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "kill 0.1; spawn 1.1; ");
    RIG_TELL(&rig, 0, EXITED, .signal = SIGKILL, .started_id = 2);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "end 2 corrupt may-have-run; ");
}

/* It may have begun: who writes over its channel writes over that mark, too. */
TEST(worker, a_corrupt_ones_word_that_it_has_not_begun_is_not_believed)
{
    static const uint64_t words[] = {0, 3, UINT64_MAX};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        reach_second();
        RIG_TELL(&rig, 0, CORRUPT, .started_id = words[i]);
        CU_ASSERT_STRING_EQUAL(rig_said(&rig), "end 2 corrupt may-have-run; kill 0.1; spawn 1.1; ");
    }
    reach(LP_WORKER_BUSY);
    RIG_TELL(&rig, 0, CORRUPT); /* nor of its first */
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "end 1 corrupt may-have-run; kill 0.1; spawn 1.1; ");
}

TEST(worker, words_about_an_old_process_are_ignored_in_each_state)
{
    for (uint32_t state = 0; state < LP_WORKER_STATES; state++)
        for (uint32_t kind = 0; kind < LP_WORKER_EVENTS; kind++) {
            reach((enum lp_worker_state)state);
            struct lp_event event = make((enum lp_event_kind)kind);
            event.generation = rig.pool.workers[0].generation - 1;
            rig_step(&rig, event);
            CU_ASSERT_EQUAL(rig.pool.workers[0].state, state);
            CU_ASSERT_STRING_EQUAL(rig_said(&rig), "");
        }
}

TEST(worker, ready_before_the_report_of_its_birth_counts)
{
    reach(LP_WORKER_SPAWNING);
    RIG_TELL(&rig, 0, READY);
    CU_ASSERT_EQUAL(rig.pool.workers[0].state, LP_WORKER_SPAWNING);
    RIG_TELL(&rig, 0, SPAWNED, .pid = 101);
    CU_ASSERT_EQUAL(rig.pool.workers[0].state, LP_WORKER_IDLE);
    CU_ASSERT_EQUAL(rig_stats(&rig).worker_processes_created, 1);
}

TEST(worker, init_failed_before_the_report_of_its_birth_counts)
{
    reach(LP_WORKER_SPAWNING);
    RIG_TELL(&rig, 0, INIT_FAILED, .code = 7);
    RIG_TELL(&rig, 0, SPAWNED, .pid = 101);
    RIG_TELL(&rig, 0, EXITED, .signal = SIGKILL);
    CU_ASSERT_EQUAL(rig_stats(&rig).workers_ended[LIBPOOL_INIT_FAILED], 1);
}

TEST(worker, nonsense_before_the_report_of_its_birth_is_its_death)
{
    reach(LP_WORKER_SPAWNING);
    RIG_TELL(&rig, 0, CORRUPT);
    RIG_TELL(&rig, 0, SPAWNED, .pid = 101);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "kill 0.1; spawn 1.1; ");
    RIG_TELL(&rig, 0, EXITED, .signal = SIGKILL);
    CU_ASSERT_EQUAL(rig_stats(&rig).workers_ended[LIBPOOL_CORRUPT], 1);
}

/* How a death is called, by what the worker was doing and how it ended. */
static libpool_cause called(enum lp_worker_state state, struct lp_event exited)
{
    reach(state);
    exited.kind = LP_EVENT_EXITED;
    rig_tell(&rig, 0, exited);
    libpool_stats stats = rig_stats(&rig);
    libpool_cause cause = LIBPOOL_PENDING;
    for (int i = 0; i < LIBPOOL_CAUSES; i++)
        if (stats.workers_ended[i])
            cause = (libpool_cause)i;
    return cause;
}

#define CALLED(state, ...) called(LP_WORKER_##state, (struct lp_event){__VA_ARGS__})

TEST(worker, a_death_is_called_by_its_facts)
{
    static const int faults[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL, SIGTRAP,
                                 SIGSYS,  SIGABRT, SIGXCPU, SIGXFSZ};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        CU_ASSERT_EQUAL(CALLED(IDLE, .signal = faults[i]), LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(CALLED(IDLE, .code = 0), LIBPOOL_EXIT);
    CU_ASSERT_EQUAL(CALLED(IDLE, .code = 3), LIBPOOL_EXIT);
    CU_ASSERT_EQUAL(CALLED(IDLE, .signal = SIGKILL), LIBPOOL_KILLED);
    CU_ASSERT_EQUAL(CALLED(IDLE, .signal = SIGTERM), LIBPOOL_KILLED);
    CU_ASSERT_EQUAL(CALLED(IDLE, .signal = SIGKILL, .oom_kills = 1), LIBPOOL_OOM);
    CU_ASSERT_EQUAL(CALLED(IDLE, .signal = SIGSEGV, .oom_kills = 1), LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(CALLED(IDLE, .unknown = true), LIBPOOL_LOST);
}

TEST(worker, before_it_was_ready_its_own_fault_is_the_initializers)
{
    CU_ASSERT_EQUAL(CALLED(STARTING, .signal = SIGSEGV), LIBPOOL_INIT_FAILED);
    CU_ASSERT_EQUAL(CALLED(STARTING, .code = 1), LIBPOOL_INIT_FAILED);
    CU_ASSERT_EQUAL(CALLED(STARTING, .signal = SIGKILL), LIBPOOL_KILLED);
    CU_ASSERT_EQUAL(CALLED(STARTING, .signal = SIGKILL, .oom_kills = 1), LIBPOOL_OOM);
}

TEST(worker, leaving_in_order_takes_a_finalizer_that_has_returned)
{
    CU_ASSERT_EQUAL(CALLED(RETIRING, .code = 0), LIBPOOL_EXIT);
    reach(LP_WORKER_RETIRING);
    RIG_TELL(&rig, 0, FINAL_STARTED);
    RIG_TELL(&rig, 0, FINALIZED);
    RIG_TELL(&rig, 0, EXITED);
    libpool_stats stats = rig_stats(&rig);
    CU_ASSERT_EQUAL(stats.workers_ended[LIBPOOL_COMPLETED], 1);
    CU_ASSERT_EQUAL(stats.finalizers_started + stats.finalizers_ok, 2);
    CU_ASSERT_EQUAL(stats.finalizers_failed, 0);
}

TEST(worker, a_crash_in_the_finalizer_is_the_finalizers)
{
    reach(LP_WORKER_RETIRING);
    RIG_TELL(&rig, 0, FINAL_STARTED);
    RIG_TELL(&rig, 0, EXITED, .signal = SIGSEGV);
    CU_ASSERT_EQUAL(rig_stats(&rig).workers_ended[LIBPOOL_FINAL_FAILED], 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).finalizers_failed, 1);
}

TEST(worker, a_finalizer_that_was_killed_from_outside_did_not_fail_by_itself)
{
    reach(LP_WORKER_RETIRING);
    RIG_TELL(&rig, 0, FINAL_STARTED);
    RIG_TELL(&rig, 0, EXITED, .signal = SIGKILL);
    CU_ASSERT_EQUAL(rig_stats(&rig).workers_ended[LIBPOOL_KILLED], 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).finalizers_failed, 1);
}

TEST(worker, its_finalizer_counts_once_and_only_when_it_was_told_to_leave)
{
    reach(LP_WORKER_DYING);
    RIG_TELL(&rig, 0, FINAL_STARTED);
    RIG_TELL(&rig, 0, FINALIZED);
    CU_ASSERT_EQUAL(rig_stats(&rig).finalizers_started, 0);
    reach(LP_WORKER_RETIRING);
    RIG_TELL(&rig, 0, FINALIZED); /* not begun */
    RIG_TELL(&rig, 0, FINAL_STARTED);
    RIG_TELL(&rig, 0, FINAL_STARTED);
    RIG_TELL(&rig, 0, FINALIZED);
    RIG_TELL(&rig, 0, FINALIZED);
    CU_ASSERT_EQUAL(rig_stats(&rig).finalizers_started, 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).finalizers_ok, 1);
}

/* A checker that never fails is worth nothing. */
TEST(worker, the_checker_notices)
{
    reach(LP_WORKER_BUSY);
    struct lp_worker *worker = &rig.pool.workers[0];
    CU_ASSERT(lp_worker_check(&rig.pool, 0));
    uint32_t task = worker->task;
    worker->task = LP_NONE;
    CU_ASSERT_FALSE(lp_worker_check(&rig.pool, 0));
    worker->task = task;
    rig.pool.tasks.table[task].state = LP_TASK_PENDING;
    CU_ASSERT_FALSE(lp_worker_check(&rig.pool, 0));
    rig.pool.tasks.table[task].state = LP_TASK_RUNNING;
    worker->state = LP_WORKER_IDLE;
    CU_ASSERT_FALSE(lp_worker_check(&rig.pool, 0));
    worker->state = LP_WORKER_BUSY;
    lp_heap_remove(&rig.pool.deadlines, 0);
    CU_ASSERT_FALSE(lp_worker_check(&rig.pool, 0));
    reach(LP_WORKER_STARTING);
    rig.pool.workers[0].deadline_ns = 0;
    CU_ASSERT_FALSE(lp_worker_check(&rig.pool, 0));
}

TEST(worker, each_state_has_a_name)
{
    CU_ASSERT_STRING_EQUAL(lp_worker_state_name(LP_WORKER_VACANT), "vacant");
    CU_ASSERT_STRING_EQUAL(lp_worker_state_name(LP_WORKER_DEAD), "dead");
}

/* ---- weights ---------------------------------------------------------------------------------- */

#define LIMIT_BYTES 1000u

static void open_weighed(uint32_t workers)
{
    rig_open(&rig, &(struct lp_pool_config){.min_workers = workers,
                                            .max_workers = workers,
                                            .memory_limit_bytes = LIMIT_BYTES,
                                            .notes = false});
    rig_raise(&rig, workers);
    rig_pass(&rig, 200); /* they were looked at while they started, and are quiet now */
    rig_said(&rig);
}

TEST(worker, is_weighed_as_long_as_it_runs_something)
{
    open_weighed(1);
    CU_ASSERT_EQUAL(rig.pool.weigh_ns, 0); /* idle: nobody looks */
    RIG_SUBMIT(&rig);
    rig_pass(&rig, 99);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "assign 1 0.1; ");
    rig_pass(&rig, 1);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "weigh 0.1; ");
    rig_pass(&rig, 1000); /* the answer is awaited: it is not asked for again */
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "");
    RIG_TELL(&rig, 0, WEIGHED, .bytes = LIMIT_BYTES, .started_id = 1);
    rig_pass(&rig, 100);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "weigh 0.1; ");
    RIG_TELL(&rig, 0, RESULT, .task_id = 1);
    RIG_TELL(&rig, 0, WEIGHED, .bytes = 0, .started_id = 1);
    rig_pass(&rig, 500);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "end 1 completed has-run; ");
    CU_ASSERT_EQUAL(rig.pool.weigh_ns, 0);
}

TEST(worker, tasks_that_come_and_go_are_no_reason_to_look_sooner)
{
    open_weighed(1);
    RIG_SUBMIT(&rig);
    uint64_t due_ns = lp_pool_next_deadline(&rig.pool);
    RIG_TELL(&rig, 0, RESULT, .task_id = 1);
    rig_pass(&rig, 50);
    RIG_SUBMIT(&rig);
    CU_ASSERT_EQUAL(lp_pool_next_deadline(&rig.pool), due_ns);
}

TEST(worker, above_the_limit_is_killed_with_its_task)
{
    open_weighed(2);
    RIG_SUBMIT(&rig);
    rig_pass(&rig, 100);
    rig_said(&rig);
    RIG_TELL(&rig, 1, WEIGHED, .bytes = LIMIT_BYTES + 1, .started_id = 1);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "end 1 memory may-have-run; kill 1.1; spawn 2.1; ");
    RIG_TELL(&rig, 1, EXITED, .signal = SIGKILL);
    CU_ASSERT_EQUAL(rig_stats(&rig).workers_ended[LIBPOOL_MEMORY], 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_ended[LIBPOOL_MEMORY], 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).workers_outgrown, 0);
}

/* The one that was seen above the limit has ended; whoever has come since is not to pay for it. */
TEST(worker, above_the_limit_leaves_when_another_task_runs_by_then)
{
    open_weighed(1);
    RIG_SUBMIT(&rig);
    rig_pass(&rig, 100);
    RIG_TELL(&rig, 0, RESULT, .task_id = 1);
    RIG_SUBMIT(&rig);
    rig_said(&rig);
    RIG_TELL(&rig, 0, WEIGHED, .bytes = LIMIT_BYTES + 1, .started_id = 2);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "");
    RIG_TELL(&rig, 0, RESULT, .task_id = 2);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "end 2 completed has-run; retire 0.1; spawn 1.1; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).workers_outgrown, 1);
}

TEST(worker, above_the_limit_leaves_when_it_is_idle_by_then)
{
    open_weighed(1);
    RIG_SUBMIT(&rig);
    rig_pass(&rig, 100);
    RIG_TELL(&rig, 0, RESULT, .task_id = 1);
    rig_said(&rig);
    RIG_TELL(&rig, 0, WEIGHED, .bytes = LIMIT_BYTES + 1, .started_id = 1);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "retire 0.1; spawn 1.1; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).workers_outgrown, 1);
}

/* Its task was not begun: what weighs so much is of the one before. */
TEST(worker, above_the_limit_without_having_begun_its_task_leaves_after_it)
{
    open_weighed(1);
    RIG_SUBMIT(&rig);
    rig_pass(&rig, 100);
    rig_said(&rig);
    RIG_TELL(&rig, 0, WEIGHED, .bytes = LIMIT_BYTES + 1, .started_id = 0);
    RIG_TELL(&rig, 0, RESULT, .task_id = 1);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "end 1 completed has-run; retire 0.1; spawn 1.1; ");
}

/* An initializer that has ended by then gave back what it could; the next look will tell. */
TEST(worker, is_not_to_blame_for_what_its_initializer_held)
{
    rig_open(&rig, &(struct lp_pool_config){
                       .min_workers = 1, .max_workers = 1, .memory_limit_bytes = LIMIT_BYTES});
    RIG_STEP(&rig, TICK);
    RIG_STEP(&rig, ZYGOTE_UP, .pid = 100, .weighs = true);
    RIG_TELL(&rig, 0, SPAWNED, .pid = 101);
    rig_pass(&rig, 200);
    RIG_TELL(&rig, 0, READY);
    rig_said(&rig);
    RIG_TELL(&rig, 0, WEIGHED, .bytes = LIMIT_BYTES + 1);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "");
}

TEST(worker, whose_initializer_does_not_fit_in_the_limit_has_failed)
{
    rig_open(&rig, &(struct lp_pool_config){
                       .min_workers = 1, .max_workers = 1, .memory_limit_bytes = LIMIT_BYTES});
    RIG_STEP(&rig, TICK);
    RIG_STEP(&rig, ZYGOTE_UP, .pid = 100, .weighs = true);
    RIG_TELL(&rig, 0, SPAWNED, .pid = 101);
    rig_pass(&rig, 200);
    rig_said(&rig);
    RIG_TELL(&rig, 0, WEIGHED, .bytes = LIMIT_BYTES + 1);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "kill 0.1; spawn 1.1; ");
    RIG_TELL(&rig, 0, EXITED, .signal = SIGKILL);
    CU_ASSERT_EQUAL(rig_stats(&rig).initializers_failed, 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).workers_ended[LIBPOOL_MEMORY], 1);
}

TEST(worker, is_not_weighed_where_the_kernel_keeps_the_limit)
{
    rig_open(&rig, &(struct lp_pool_config){
                       .min_workers = 1, .max_workers = 1, .memory_limit_bytes = LIMIT_BYTES});
    RIG_STEP(&rig, TICK);
    RIG_STEP(&rig, ZYGOTE_UP, .pid = 100, .weighs = false);
    RIG_TELL(&rig, 0, SPAWNED, .pid = 101);
    RIG_TELL(&rig, 0, READY);
    RIG_SUBMIT(&rig);
    rig_said(&rig);
    rig_pass(&rig, 1000);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "");
}

/* The answer died with the zygote that was asked; the next one weighs what the lost one left. */
TEST(worker, is_weighed_by_the_next_zygote)
{
    open_weighed(1);
    RIG_SUBMIT(&rig);
    rig_pass(&rig, 100);
    RIG_STEP(&rig, ZYGOTE_LOST);
    rig_pass(&rig, 1000);
    CU_ASSERT_EQUAL(rig.pool.zygote, LP_ZYGOTE_STARTING); /* for nothing but that */
    rig_said(&rig);
    rig_pass(&rig, 1000);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), ""); /* there is nobody to ask */
    RIG_STEP(&rig, ZYGOTE_UP, .pid = 200, .weighs = true);
    rig_said(&rig);
    rig_pass(&rig, 100);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig_said(&rig), "weigh 0.1; "));
}

/* Where the kernel keeps the pool's limit, or there is none, it knows nothing of a task's. */
TEST(worker, is_weighed_for_the_limit_of_its_task_and_for_nothing_else)
{
    rig_open(&rig, &(struct lp_pool_config){.min_workers = 2, .max_workers = 2});
    rig_raise(&rig, 2);
    RIG_SUBMIT(&rig);
    rig_pass(&rig, 1000);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "assign 1 1.1; ");
    RIG_SUBMIT(&rig, .memory_limit_bytes = 10);
    rig_pass(&rig, 100);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "assign 2 0.1; weigh 0.1; ");
    CU_ASSERT_EQUAL(rig.pool.workers[0].weigh_limit_bytes, 10);
    RIG_TELL(&rig, 0, WEIGHED, .bytes = 10, .started_id = 2);
    rig_pass(&rig, 100);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "weigh 0.1; ");
    RIG_TELL(&rig, 0, WEIGHED, .bytes = 9, .started_id = 2);
    RIG_TELL(&rig, 0, RESULT, .task_id = 2);
    rig_pass(&rig, 100); /* the time that was set */
    CU_ASSERT_EQUAL(rig.pool.weigh_ns, 0);
    rig_pass(&rig, 1000);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "end 2 completed has-run; ");
}

TEST(worker, above_the_limit_of_its_task_is_killed_with_it)
{
    open_weighed(1);
    RIG_SUBMIT(&rig, .memory_limit_bytes = 10);
    rig_pass(&rig, 100);
    rig_said(&rig);
    RIG_TELL(&rig, 0, WEIGHED, .bytes = 11, .started_id = 1);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "end 1 memory may-have-run; kill 0.1; spawn 1.1; ");
}

/* The next one may hold as much as the pool allows. */
static void tell_weight_of_the_next(uint64_t bytes)
{
    open_weighed(1);
    RIG_SUBMIT(&rig, .memory_limit_bytes = 10);
    rig_pass(&rig, 100);
    RIG_TELL(&rig, 0, RESULT, .task_id = 1);
    RIG_SUBMIT(&rig);
    rig_said(&rig);
    RIG_TELL(&rig, 0, WEIGHED, .bytes = bytes, .started_id = 2);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "");
    RIG_TELL(&rig, 0, RESULT, .task_id = 2);
}

TEST(worker, above_the_limit_of_a_task_that_has_ended_only_stays)
{
    tell_weight_of_the_next(LIMIT_BYTES);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "end 2 completed has-run; ");
    tell_weight_of_the_next(LIMIT_BYTES + 1);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "end 2 completed has-run; retire 0.1; spawn 1.1; ");
}

TEST(worker, with_a_limit_of_its_task_is_weighed_by_the_next_zygote)
{
    rig_open(&rig, &(struct lp_pool_config){.min_workers = 1, .max_workers = 1});
    rig_raise(&rig, 1);
    RIG_SUBMIT(&rig, .memory_limit_bytes = 10);
    rig_pass(&rig, 100);
    RIG_STEP(&rig, ZYGOTE_LOST);
    rig_pass(&rig, 1000);
    CU_ASSERT_EQUAL(rig.pool.zygote, LP_ZYGOTE_STARTING);
    CU_ASSERT_EQUAL(rig.pool.weigh_ns, 0);
    RIG_STEP(&rig, ZYGOTE_UP, .pid = 200);
    rig_said(&rig);
    rig_pass(&rig, 100);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig_said(&rig), "weigh 0.1; "));
}

TEST(worker, that_finds_itself_too_big_leaves_after_its_task)
{
    open_weighed(1);
    RIG_SUBMIT(&rig);
    rig_said(&rig);
    RIG_TELL(&rig, 0, RESULT, .task_id = 1, .grown = true);
    CU_ASSERT_STRING_EQUAL(rig_said(&rig), "end 1 completed has-run; retire 0.1; spawn 1.1; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).workers_outgrown, 1);
}
