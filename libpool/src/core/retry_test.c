/* SPDX-License-Identifier: MIT */
/* Another run: for which causes, how often, when and where. */
#include "core/retry.h"

#include <signal.h>
#include <string.h>

#include "core/rig.h"
#include "harness/test.h"

static struct rig rig;

#define OPEN(...) rig_open(&rig, &(struct lp_pool_config){__VA_ARGS__})
#define TELL(slot, kind, ...) RIG_TELL(&rig, slot, kind, ##__VA_ARGS__)
#define SAID(...) CU_ASSERT_STRING_EQUAL(rig_said(&rig), __VA_ARGS__)
#define ENDED(cause) rig_stats(&rig).tasks_ended[LIBPOOL_##cause]
#define CAUSE(name) (1u << LIBPOOL_##name)

/* One that is retried so often, with pauses of 75 to 100 ms, up to 150 to 200 ms. */
static int submit(uint32_t limit, uint32_t causes)
{
    struct lp_retry_rule rule = {
        .limit = limit, .causes = causes, .min_ns = 100 * LP_MS, .max_ns = 200 * LP_MS};
    return RIG_SUBMIT(&rig, .retry = &rule, .bytes = 10);
}

static void crash(uint32_t slot, uint64_t task_id)
{
    TELL(slot, EXITED, .signal = SIGSEGV, .started_id = task_id, .started_ns = rig.now_ns);
}

static void rise(uint32_t slot)
{
    TELL(slot, SPAWNED, .pid = 200 + (int)slot);
    TELL(slot, READY);
    rig_said(&rig);
}

/* Two workers, the first of which runs task 1 and the second nothing. */
static void open_two(uint32_t limit, uint32_t causes)
{
    OPEN(.min_workers = 2, .max_workers = 2);
    rig_raise(&rig, 2);
    submit(limit, causes);
    rig_said(&rig);
}

TEST(retry, a_task_without_a_rule_is_run_once)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    RIG_SUBMIT(&rig);
    rig_said(&rig);
    crash(0, 1);
    CU_ASSERT(strncmp(rig_said(&rig), "end 1 crash may-have-run; ", 26) == 0);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_retried, 0);
}

TEST(retry, runs_again_when_nothing_is_left_of_the_worker_and_the_pause_is_over)
{
    open_two(1, CAUSE(CRASH));
    crash(1, 1);
    SAID("retry 1; spawn 2.1; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_pending, 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).backlog_bytes, 10);
    rig_pass(&rig, 500); /* the tree still lives */
    SAID("");
    TELL(1, EMPTY);
    rig_pass(&rig, 74);
    SAID("");
    rig_pass(&rig, 26);
    SAID("resume 1; assign 1 0.1; ");
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_launched, 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_retried, 1);
}

TEST(retry, what_can_not_be_killed_is_waited_for_a_second)
{
    open_two(1, CAUSE(CRASH));
    crash(1, 1);
    rig_pass(&rig, 1074);
    SAID("retry 1; spawn 2.1; ");
    rig_pass(&rig, 26);
    SAID("resume 1; assign 1 0.1; ");
    TELL(1, EMPTY); /* too late to matter */
    SAID("");
}

TEST(retry, an_earlier_worker_has_no_say_in_a_later_pause)
{
    open_two(2, CAUSE(CRASH));
    crash(1, 1);
    rig_pass(&rig, 1100);
    crash(0, 1);
    rig_said(&rig);
    TELL(1, EMPTY);
    rig_pass(&rig, 1100);
    CU_ASSERT_PTR_NULL(strstr(rig_said(&rig), "resume"));
    TELL(0, EMPTY);
    rig_pass(&rig, 200);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig_said(&rig), "resume 1; "));
}

TEST(retry, each_pause_is_twice_as_long_up_to_the_longest)
{
    static const uint64_t most_ms[] = {100, 200, 200};
    open_two(3, CAUSE(ERROR));
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t slot = 0;
        while (rig.pool.workers[slot].task == LP_NONE)
            slot++;
        TELL(slot, RESULT, .task_id = 1, .code = 7);
        uint64_t pause_ns = rig.pool.tasks.queue_deadlines.items[0].key - rig.now_ns;
        CU_ASSERT(pause_ns <= most_ms[i] * LP_MS);
        CU_ASSERT(pause_ns >= most_ms[i] * 3 / 4 * LP_MS);
        for (slot = 0; slot < rig.pool.slots; slot++) {
            TELL(slot, EXITED, .code = rig.pool.workers[slot].state == LP_WORKER_RETIRING ? 0 : 1);
            TELL(slot, EMPTY);
        }
        rig_pass(&rig, 300);
        for (slot = 0; slot < rig.pool.slots; slot++)
            if (rig.pool.workers[slot].state == LP_WORKER_SPAWNING)
                rise(slot);
    }
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_retried, 3);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_running, 1);
}

TEST(retry, a_cause_that_is_not_named_is_the_end)
{
    open_two(3, CAUSE(OOM) | CAUSE(TIMEOUT));
    crash(1, 1);
    CU_ASSERT(strncmp(rig_said(&rig), "end 1 crash may-have-run; ", 26) == 0);
}

TEST(retry, after_the_last_run_the_future_ends_with_its_cause)
{
    open_two(1, CAUSE(CRASH) | CAUSE(EXIT));
    crash(1, 1);
    TELL(1, EMPTY);
    rig_pass(&rig, 100);
    SAID("retry 1; spawn 2.1; resume 1; assign 1 0.1; ");
    const struct lp_task *task = &rig.pool.tasks.table[0];
    TELL(0, EXITED, .code = 3, .started_id = 1, .started_ns = rig.now_ns);
    CU_ASSERT(strncmp(rig_said(&rig), "end 1 exit may-have-run; ", 25) == 0);
    CU_ASSERT_EQUAL(task->outcome.attempts, 2);
    CU_ASSERT_EQUAL(task->outcome.retried_cause, LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(ENDED(EXIT), 1);
    CU_ASSERT_EQUAL(ENDED(CRASH), 0);
}

TEST(retry, a_worker_whose_task_is_tried_again_leaves)
{
    open_two(1, CAUSE(ERROR));
    TELL(1, RESULT, .task_id = 1, .code = 7);
    SAID("retry 1; retire 1.1; spawn 2.1; ");
}

TEST(retry, a_timeout_is_tried_again)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    struct lp_retry_rule rule = {1, CAUSE(TIMEOUT), 100 * LP_MS, 100 * LP_MS};
    RIG_SUBMIT(&rig, .retry = &rule, .run_timeout_ns = 50 * LP_MS);
    rig.started_id = 1;
    rig_said(&rig);
    rig_pass(&rig, 60);
    SAID("retry 1; kill 0.1; spawn 1.1; ");
}

TEST(retry, queues_up_behind_the_others_and_its_queue_timeout_counts_anew)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    struct lp_retry_rule rule = {1, CAUSE(CRASH), 100 * LP_MS, 100 * LP_MS};
    RIG_SUBMIT(&rig, .retry = &rule, .queue_timeout_ns = 150 * LP_MS);
    RIG_SUBMIT(&rig);
    RIG_SUBMIT(&rig);
    rig_pass(&rig, 1000);
    crash(0, 1);
    rise(1);
    TELL(0, EMPTY);
    rig_pass(&rig, 140); /* its pause, and some of its time in the queue */
    SAID("resume 1; ");
    TELL(1, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; assign 3 1.1; ");
    rig_pass(&rig, 110);
    CU_ASSERT(strstr(rig_said(&rig), "end 1 queue-timeout may-have-run; ") != NULL);
}

TEST(retry, a_cancel_in_the_pause_dequeues_it_and_it_has_run)
{
    open_two(1, CAUSE(CRASH));
    crash(1, 1);
    rig_said(&rig);
    const struct lp_task *task = &rig.pool.tasks.table[0];
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_DEQUEUED);
    SAID("end 1 cancelled may-have-run; ");
    CU_ASSERT_EQUAL(task->outcome.attempts, 1);
    CU_ASSERT_EQUAL(task->outcome.retried_cause, LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(task->outcome.slot, 1);
    CU_ASSERT_EQUAL(task->outcome.pid, 102);
    TELL(1, EMPTY); /* nobody waits for it any more */
    CU_ASSERT_EQUAL(rig_stats(&rig).backlog_bytes, 0);
}

TEST(retry, each_run_is_timed_and_waits_from_the_end_of_its_pause)
{
    open_two(1, CAUSE(ERROR));
    rig_pass(&rig, 5000);
    TELL(1, RESULT, .task_id = 1, .code = 7, .started_id = 1);
    rig_pass(&rig, 3100); /* a pause of 75 ms or more */
    TELL(0, RESULT, .task_id = 1, .started_id = 1);
    CU_ASSERT_EQUAL(ENDED(COMPLETED), 1);
    const libpool_histogram *waits = &rig.pool.histograms[LIBPOOL_HISTOGRAM_WAIT];
    const libpool_histogram *runs = &rig.pool.histograms[LIBPOOL_HISTOGRAM_RUN];
    CU_ASSERT_EQUAL(waits->count, 2);
    CU_ASSERT_EQUAL(waits->max_ns, 0);
    CU_ASSERT_EQUAL(runs->count, 2);
    CU_ASSERT(runs->sum_ns >= 8000 * LP_MS && runs->sum_ns <= 8025 * LP_MS);
}

TEST(retry, what_was_cancelled_in_its_grace_is_not_run_again)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    struct lp_retry_rule rule = {1, CAUSE(TIMEOUT), 100 * LP_MS, 100 * LP_MS};
    RIG_SUBMIT(&rig, .retry = &rule, .run_timeout_ns = 50 * LP_MS, .grace_ns = 100 * LP_MS);
    rig.started_id = 1;
    rig_pass(&rig, 60);
    rig_said(&rig);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_ASKED);
    rig_pass(&rig, 100);
    CU_ASSERT(strncmp(rig_said(&rig), "end 1 timeout may-have-run; ", 28) == 0);
}

TEST(retry, what_returned_in_its_grace_is_run_again)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    struct lp_retry_rule rule = {1, CAUSE(TIMEOUT), 100 * LP_MS, 100 * LP_MS};
    RIG_SUBMIT(&rig, .retry = &rule, .run_timeout_ns = 50 * LP_MS, .grace_ns = 100 * LP_MS);
    rig.started_id = 1;
    rig_pass(&rig, 60);
    rig_said(&rig);
    TELL(0, RESULT, .task_id = 1);
    SAID("retry 1; retire 0.1; spawn 1.1; ");
}

TEST(retry, a_shutdown_that_waits_makes_the_pause_and_the_run)
{
    open_two(1, CAUSE(CRASH));
    RIG_STEP(&rig, SHUTDOWN, .flags = LIBPOOL_WAIT);
    crash(1, 1);
    CU_ASSERT(strncmp(rig_said(&rig), "retry 1; ", 9) == 0);
    TELL(1, EMPTY);
    rig_pass(&rig, 100);
    SAID("resume 1; assign 1 0.1; ");
}

TEST(retry, a_shutdown_that_cancels_ends_the_pause)
{
    open_two(1, CAUSE(CRASH));
    crash(1, 1);
    rig_said(&rig);
    RIG_STEP(&rig, SHUTDOWN, .flags = LIBPOOL_WAIT | LIBPOOL_CANCEL);
    CU_ASSERT(strncmp(rig_said(&rig), "end 1 shutdown may-have-run; ", 29) == 0);
}

TEST(retry, nothing_is_tried_again_after_a_shutdown_that_cancels_or_its_deadline)
{
    open_two(1, CAUSE(CRASH));
    RIG_STEP(&rig, SHUTDOWN, .flags = LIBPOOL_WAIT | LIBPOOL_CANCEL);
    rig_said(&rig);
    crash(1, 1);
    CU_ASSERT(strncmp(rig_said(&rig), "end 1 crash ", 12) == 0);
    open_two(1, CAUSE(CRASH));
    RIG_STEP(&rig, SHUTDOWN, .flags = LIBPOOL_WAIT, .deadline_ns = rig.now_ns + LP_MS);
    rig.now_ns += 2 * LP_MS;
    rig_said(&rig);
    crash(1, 1);
    CU_ASSERT(strncmp(rig_said(&rig), "end 1 crash ", 12) == 0);
}

TEST(retry, who_pauses_keeps_its_room)
{
    OPEN(.min_workers = 2, .max_workers = 2, .backlog_tasks = 1);
    rig_raise(&rig, 2);
    CU_ASSERT_EQUAL(submit(1, CAUSE(CRASH)), 0);
    crash(1, 1);
    CU_ASSERT_EQUAL(rig_in(&rig, LP_WORKER_IDLE), 1);
    CU_ASSERT_EQUAL(submit(0, 0), -11);
    rig_cancel(&rig, 1);
    CU_ASSERT_EQUAL(submit(0, 0), 0);
}

/* Tasks that always fail: how many runs are paid for. */
static uint64_t retries_of(uint32_t percent, uint32_t tasks)
{
    OPEN(.min_workers = 1, .max_workers = 1, .retry_percent = percent, .backlog_tasks = 200);
    rig_raise(&rig, 1);
    for (uint32_t i = 0; i < tasks; i++)
        RIG_SUBMIT(&rig);
    while (rig_stats(&rig).tasks_pending + rig_stats(&rig).tasks_running) {
        uint32_t slot = 0;
        while (rig.pool.workers[slot].task == LP_NONE)
            slot++;
        TELL(slot, RESULT, .task_id = rig.pool.tasks.table[rig.pool.workers[slot].task].id);
    }
    struct lp_retry_rule rule = {1000, CAUSE(ERROR), LP_MS, LP_MS};
    RIG_SUBMIT(&rig, .retry = &rule);
    for (int i = 0; i < 300 && ENDED(ERROR) == 0; i++) {
        for (uint32_t slot = 0; slot < rig.pool.slots; slot++) {
            if (rig.pool.workers[slot].state == LP_WORKER_SPAWNING)
                rise(slot);
            if (rig.pool.workers[slot].state == LP_WORKER_RETIRING)
                TELL(slot, EXITED, .code = 0);
            TELL(slot, EMPTY);
            if (rig.pool.workers[slot].state == LP_WORKER_BUSY)
                TELL(slot, RESULT, .task_id = tasks + 1, .code = 7);
        }
        rig_pass(&rig, 10);
    }
    return rig_stats(&rig).tasks_retried;
}

TEST(retry, a_budget_allows_ten_and_a_share_of_the_tasks_received)
{
    CU_ASSERT_EQUAL(retries_of(10, 0), 10);
    CU_ASSERT_EQUAL(retries_of(10, 99), 20);
    CU_ASSERT_EQUAL(retries_of(100, 190), 100);
}
