/* SPDX-License-Identifier: MIT */
/* Tasks start as memory allows: transcripts of what the policy decides. */
#include "core/admission.h"

#include <errno.h>

#include "core/rig.h"
#include "harness/test.h"

static struct rig rig;

#define OPEN(...) rig_open(&rig, &(struct lp_pool_config){.admits = true, ##__VA_ARGS__})
#define SUBMIT(...) RIG_SUBMIT(&rig, ##__VA_ARGS__)
#define TELL(slot, kind, ...) RIG_TELL(&rig, slot, kind, ##__VA_ARGS__)
#define STEP(kind, ...) RIG_STEP(&rig, kind, ##__VA_ARGS__)
#define SAID(...) CU_ASSERT_STRING_EQUAL(rig_said(&rig), __VA_ARGS__)

TEST(admission, nobody_asks_unless_it_is_wanted)
{
    rig_open(&rig, &(struct lp_pool_config){.min_workers = 2, .max_workers = 2});
    rig_raise(&rig, 2);
    SUBMIT();
    SUBMIT();
    SAID("assign 1 1.1; assign 2 0.1; ");
}

TEST(admission, the_first_starts_at_once_and_the_next_when_there_is_memory)
{
    OPEN(.min_workers = 3, .max_workers = 3);
    rig_raise(&rig, 3);
    CU_ASSERT_EQUAL(lp_admission_next_ns(&rig.pool), UINT64_MAX); /* nothing waits */
    SUBMIT();
    SAID("assign 1 2.1; ");
    SUBMIT();
    SAID("sample; ");
    SUBMIT();
    SAID(""); /* it is asked once */
    STEP(ADMISSION);
    SAID("assign 2 1.1; assign 3 0.1; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).admission_pauses, 0);
}

TEST(admission, an_answer_holds_until_the_next_may_be_asked_for)
{
    OPEN(.min_workers = 4, .max_workers = 4);
    rig_raise(&rig, 4);
    SUBMIT();
    SUBMIT();
    STEP(ADMISSION);
    rig_said(&rig);
    rig_pass(&rig, 99);
    SUBMIT();
    SAID("assign 3 1.1; ");
    rig_pass(&rig, 1);
    SUBMIT();
    SAID("sample; ");
}

TEST(admission, without_memory_one_runs_at_a_time)
{
    OPEN(.min_workers = 2, .max_workers = 2, .notes = true);
    rig_raise(&rig, 2);
    SUBMIT();
    SUBMIT();
    rig_said(&rig);
    STEP(ADMISSION, .closes = true);
    SAID("note admission-paused; ");
    libpool_stats stats = rig_stats(&rig);
    CU_ASSERT_EQUAL(stats.admission_paused, 1);
    CU_ASSERT_EQUAL(stats.admission_pauses, 1);
    CU_ASSERT_EQUAL(stats.degraded, 1);
    CU_ASSERT_EQUAL(stats.degraded_error, -ENOMEM);
    TELL(1, RESULT, .task_id = 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_running, 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).admission_paused, 0); /* nothing waits */
    SUBMIT();
    rig_said(&rig);
    rig_pass(&rig, 100);
    SAID("sample; ");
    STEP(ADMISSION, .closes = true);
    SAID(""); /* it is the same pause */
    rig_pass(&rig, 100);
    SAID("sample; ");
    STEP(ADMISSION);
    SAID("note admission-resumed; assign 3 0.1; note task-launched; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).admission_pauses, 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).degraded, 0);
}

TEST(admission, no_worker_is_started_for_what_has_to_wait)
{
    OPEN(.max_workers = 3);
    SUBMIT();
    SUBMIT();
    SUBMIT();
    STEP(ZYGOTE_UP, .pid = 100);
    SAID("sample; zygote-start; spawn 0.1; ");
    TELL(0, SPAWNED, .pid = 101);
    TELL(0, READY);
    SAID("assign 1 0.1; ");
    STEP(ADMISSION);
    SAID("spawn 1.1; spawn 2.1; ");
}

TEST(admission, a_queue_timeout_counts_and_a_full_backlog_refuses)
{
    OPEN(.min_workers = 2, .max_workers = 2, .backlog_tasks = 1);
    rig_raise(&rig, 2);
    SUBMIT();
    SUBMIT(.queue_timeout_ns = 50 * LP_MS);
    CU_ASSERT_EQUAL(SUBMIT(), -EAGAIN); /* the idle worker is not for it */
    STEP(ADMISSION, .closes = true);
    rig_said(&rig);
    rig_pass(&rig, 50);
    SAID("end 2 queue-timeout not-started; ");
    CU_ASSERT_EQUAL(SUBMIT(), 0);
}

TEST(admission, room_is_told_when_an_idle_worker_may_have_a_task)
{
    OPEN(.min_workers = 2, .max_workers = 2);
    rig_raise(&rig, 2);
    SUBMIT();
    SUBMIT();
    STEP(ADMISSION, .closes = true);
    rig.told_room = false;
    rig_pass(&rig, 100);
    STEP(ADMISSION);
    CU_ASSERT_TRUE(rig.told_room);
}

TEST(admission, nothing_is_sent_ahead_without_memory)
{
    OPEN(.min_workers = 1, .max_workers = 1, .backlog_tasks = 300);
    rig_raise(&rig, 1);
    for (int i = 0; i < 100; i++)
        SUBMIT();
    for (uint64_t id = 1; id <= 40; id++) {
        uint64_t now_ns = rig.now_ns;
        TELL(0, RESULT, .task_id = id, .started_ns = now_ns - 100, .ended_ns = now_ns);
        rig.now_ns += 1000;
    }
    CU_ASSERT_PTR_NULL(strstr(rig_said(&rig), "ahead"));
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_running, 1);
}
