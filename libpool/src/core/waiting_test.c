/* SPDX-License-Identifier: MIT */
/* Tasks that wait for others: transcripts of what the policy decides. */
#include "core/waiting.h"

#include <errno.h>
#include <signal.h>

#include "core/rig.h"
#include "harness/test.h"

static struct rig rig;

#define OPEN(...) rig_open(&rig, &(struct lp_pool_config){__VA_ARGS__})
#define SUBMIT(...) RIG_SUBMIT(&rig, ##__VA_ARGS__)
#define TELL(slot, kind, ...) RIG_TELL(&rig, slot, kind, ##__VA_ARGS__)
#define STEP(kind, ...) RIG_STEP(&rig, kind, ##__VA_ARGS__)
#define SAID(...) CU_ASSERT_STRING_EQUAL(rig_said(&rig), __VA_ARGS__)

/* One worker, whose task 1 waits for others. */
static void begin_to_wait(const struct lp_pool_config *config, const struct lp_task_spec *spec)
{
    rig_open(&rig, config);
    rig_raise(&rig, 1);
    CU_ASSERT_EQUAL_FATAL(rig_submit(&rig, spec), 0);
    CU_ASSERT_EQUAL(lp_waiting_may(&rig.pool, 0), 0);
    TELL(0, WAITS, .task_id = 1);
    rig_said(&rig);
    CU_ASSERT_EQUAL_FATAL(rig_stats(&rig).workers_waiting, 1);
}

#define WAIT(...)                                                                     \
    begin_to_wait(                                                                    \
        &(struct lp_pool_config){                                                     \
            .max_workers = 1, .waiting_workers = 1, .min_workers = 1, ##__VA_ARGS__}, \
        &(struct lp_task_spec){.user = NULL})

TEST(waiting, who_waits_takes_nobodys_place)
{
    WAIT(.spare_workers = 0);
    SUBMIT(.inside = true);
    SAID("spawn 1.1; ");
    TELL(1, SPAWNED, .pid = 102);
    TELL(1, READY);
    SAID("assign 2 1.1; ");
    SUBMIT();
    SAID(""); /* one works: the next has to wait */
    CU_ASSERT_EQUAL(rig_stats(&rig).worker_processes_busy, 2);
    TELL(1, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; assign 3 1.1; ");
}

TEST(waiting, when_the_wait_is_over_it_counts_again)
{
    WAIT(.idle_timeout_ns = 500 * LP_MS);
    SUBMIT(.inside = true);
    TELL(1, SPAWNED, .pid = 102);
    TELL(1, READY);
    SUBMIT();
    rig_said(&rig);
    TELL(0, WAITED);
    CU_ASSERT_EQUAL(rig_stats(&rig).workers_waiting, 0);
    SAID(""); /* two run for a moment... */
    TELL(1, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; "); /* ...and no third begins beside the first */
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; assign 3 0.1; ");
    TELL(0, RESULT, .task_id = 3);
    rig_said(&rig);
    rig_pass(&rig, 501);
    SAID("retire 1.1; "); /* who was needed for the wait leaves as the idle do */
}

TEST(waiting, no_more_wait_than_may)
{
    begin_to_wait(
        &(struct lp_pool_config){.max_workers = 2, .min_workers = 1, .waiting_workers = 1},
        &(struct lp_task_spec){.user = NULL});
    SUBMIT();
    TELL(1, SPAWNED, .pid = 102);
    TELL(1, READY);
    SAID("spawn 1.1; assign 2 1.1; ");
    CU_ASSERT_EQUAL(lp_waiting_may(&rig.pool, 1), -EDEADLK);
    TELL(1, WAITS, .task_id = 2);
    CU_ASSERT_EQUAL(rig_stats(&rig).workers_waiting, 1);
    TELL(0, WAITED);
    CU_ASSERT_EQUAL(lp_waiting_may(&rig.pool, 1), 0);
    SAID("");
}

TEST(waiting, what_cant_be_said_costs_the_worker)
{
    WAIT(.spare_workers = 0);
    TELL(0, WAITS, .task_id = 1, .started_id = 1); /* again */
    SAID("end 1 corrupt may-have-run; kill 0.1; spawn 1.1; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).workers_waiting, 0);
    WAIT(.spare_workers = 0);
    TELL(0, RESULT, .task_id = 1); /* in the middle of it */
    SAID("end 1 corrupt may-have-run; kill 0.1; spawn 1.1; ");
    OPEN(.max_workers = 1, .min_workers = 1, .waiting_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    rig_said(&rig);
    TELL(0, WAITS, .task_id = 2, .started_id = 1); /* of another */
    SAID("end 1 corrupt may-have-run; kill 0.1; spawn 1.1; ");
}

TEST(waiting, its_death_ends_the_wait)
{
    WAIT(.spare_workers = 0);
    TELL(0, EXITED, .signal = SIGKILL, .started_id = 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).workers_waiting, 0);
    SAID("end 1 killed may-have-run; spawn 1.1; ");
}

TEST(waiting, a_drain_takes_what_is_waited_for_and_nothing_else)
{
    WAIT(.spare_workers = 0);
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT);
    CU_ASSERT_EQUAL(SUBMIT(), -ESHUTDOWN);
    CU_ASSERT_EQUAL(SUBMIT(.inside = true), 0);
    SAID("spawn 1.1; ");
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT | LIBPOOL_CANCEL);
    SAID("end 2 shutdown not-started; ");
    CU_ASSERT_EQUAL(SUBMIT(.inside = true), -ESHUTDOWN);
    TELL(0, WAITED);
    CU_ASSERT_EQUAL(lp_waiting_may(&rig.pool, 0), -ESHUTDOWN);
}

TEST(waiting, who_waits_is_no_hope_for_tasks_that_nobody_can_be_initialised_for)
{
    WAIT(.initializer_failures = 1);
    SUBMIT(.inside = true);
    TELL(1, SPAWNED, .pid = 102);
    TELL(1, INIT_FAILED, .code = 3);
    TELL(1, EXITED, .code = 1);
    SAID("spawn 1.1; end 2 init-failed not-started; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_running, 1);
}

TEST(waiting, without_memory_one_that_does_not_wait_may_run)
{
    WAIT(.admits = true);
    SUBMIT(.inside = true);
    TELL(1, SPAWNED, .pid = 102);
    TELL(1, READY);
    SAID("sample; spawn 1.1; assign 2 1.1; ");
    STEP(ADMISSION, .closes = true);
    SUBMIT(.inside = true);
    SAID("");
}

TEST(waiting, silence_counts_from_the_end_of_the_wait)
{
    begin_to_wait(
        &(struct lp_pool_config){.max_workers = 1, .min_workers = 1, .waiting_workers = 1},
        &(struct lp_task_spec){.heartbeat_ns = 100 * LP_MS});
    rig.started_id = 1;
    rig_pass(&rig, 1000);
    SAID("");
    TELL(0, WAITED);
    rig_pass(&rig, 99);
    SAID("");
    rig_pass(&rig, 1);
    SAID("end 1 timeout may-have-run; kill 0.1; spawn 1.1; ");
}

TEST(waiting, an_exclusive_pool_has_a_place_for_who_is_waited_for)
{
    WAIT(.exclusive = true);
    SUBMIT(.inside = true);
    SAID("spawn 1.1; ");
    TELL(1, SPAWNED, .pid = 102);
    TELL(1, READY);
    TELL(1, EXITED, .signal = SIGKILL, .started_id = 2);
    rig_said(&rig);
    rig_pass(&rig, 100);
    SUBMIT(.inside = true);
    SAID(""); /* not before nothing is left */
    TELL(1, EMPTY);
    SAID("spawn 1.2; ");
}
