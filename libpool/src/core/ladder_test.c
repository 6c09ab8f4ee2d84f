/* SPDX-License-Identifier: MIT */
/* The kill ladder, as transcripts: asked, then killed; and what becomes of task and worker. */
#include "core/ladder.h"

#include <signal.h>

#include "core/pool.h"
#include "core/rig.h"
#include "harness/test.h"

static struct rig rig;

#define SUBMIT(...) RIG_SUBMIT(&rig, ##__VA_ARGS__)
#define TELL(slot, kind, ...) RIG_TELL(&rig, slot, kind, ##__VA_ARGS__)
#define SAID(...) CU_ASSERT_STRING_EQUAL(rig_said(&rig), __VA_ARGS__)
#define ENDED(cause) rig_stats(&rig).tasks_ended[LIBPOOL_##cause]
#define WORKERS_ENDED(cause) rig_stats(&rig).workers_ended[LIBPOOL_##cause]
#define SILENT_MS(index) rig.pool.tasks.table[index].outcome.silent_ms

/* One worker that runs task 1, as it says itself. */
static void run_one(struct lp_task_spec spec)
{
    rig_open(&rig, &(struct lp_pool_config){.min_workers = 1, .max_workers = 1});
    rig_raise(&rig, 1);
    rig_submit(&rig, &spec);
    rig.started_id = 1;
    SAID("assign 1 0.1; ");
}
#define RUN_ONE(...) run_one((struct lp_task_spec){__VA_ARGS__})

TEST(ladder, a_task_that_overruns_is_asked_and_then_killed)
{
    RUN_ONE(.run_timeout_ns = 100 * LP_MS, .grace_ns = 50 * LP_MS);
    rig_pass(&rig, 99);
    SAID("");
    rig_pass(&rig, 1);
    SAID("ask 0.1; ");
    rig_pass(&rig, 49);
    SAID("");
    rig_pass(&rig, 1);
    SAID("end 1 timeout may-have-run; kill 0.1; spawn 1.1; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_asked, 1);
    CU_ASSERT_EQUAL(rig.pool.workers[0].doom, LIBPOOL_TIMEOUT);
}

TEST(ladder, one_that_returns_in_its_grace_ends_as_a_timeout_and_its_worker_goes_on)
{
    RUN_ONE(.run_timeout_ns = 100 * LP_MS, .grace_ns = 50 * LP_MS);
    rig_pass(&rig, 120);
    SAID("ask 0.1; ");
    SUBMIT();
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 timeout has-run; assign 2 0.1; ");
    rig.started_id = 2;
    rig_pass(&rig, 1000);
    TELL(0, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; ");
    CU_ASSERT_EQUAL(ENDED(TIMEOUT), 1);
    CU_ASSERT_EQUAL(WORKERS_ENDED(TIMEOUT), 0);
}

TEST(ladder, one_that_had_ended_in_time_is_believed_when_its_answer_was_late)
{
    RUN_ONE(.run_timeout_ns = 100 * LP_MS, .grace_ns = 50 * LP_MS);
    uint64_t begun_ns = rig.now_ns;
    rig_pass(&rig, 110);
    SAID("ask 0.1; ");
    SUBMIT();
    TELL(0, RESULT, .task_id = 1, .started_ns = begun_ns, .ended_ns = begun_ns + 100 * LP_MS - 1);
    SAID("end 1 completed has-run; assign 2 0.1; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_asked, 1);
    CU_ASSERT_EQUAL(ENDED(TIMEOUT), 0);
}

/* So long after it was told that the worker is dying, which is not over. */
static void tear_down(uint64_t ms)
{
    rig.now_ns += ms * LP_MS;
    TELL(0, DEADLINE, .foretold = true, .started_id = rig.started_id);
}

TEST(ladder, a_task_overruns_in_the_hands_of_one_that_is_torn_down)
{
    RUN_ONE(.run_timeout_ns = 100 * LP_MS, .grace_ns = 50 * LP_MS);
    TELL(0, GONE, .foretold = true, .started_id = rig.started_id);
    SAID("spawn 1.1; ");
    CU_ASSERT_EQUAL(rig.pool.workers[0].deadline_ns, rig.now_ns + 100 * LP_MS);
    tear_down(99);
    SAID("");
    tear_down(1);
    SAID("end 1 timeout may-have-run; ");
    CU_ASSERT_EQUAL(rig.pool.workers[0].state, LP_WORKER_GONE);
    TELL(0, GONE);
    TELL(0, EXITED, .signal = SIGSEGV);
    SAID("");
    CU_ASSERT_EQUAL(WORKERS_ENDED(CRASH), 1);
}

TEST(ladder, a_grace_ends_in_the_hands_of_one_that_is_torn_down)
{
    RUN_ONE(.run_timeout_ns = 100 * LP_MS, .grace_ns = 50 * LP_MS);
    rig_pass(&rig, 100);
    SAID("ask 0.1; ");
    TELL(0, GONE, .foretold = true, .started_id = rig.started_id);
    SAID("spawn 1.1; ");
    tear_down(49);
    SAID("");
    tear_down(1);
    SAID("end 1 timeout may-have-run; ");
}

TEST(ladder, a_death_that_is_proven_in_time_is_why_the_task_ends)
{
    RUN_ONE(.run_timeout_ns = 100 * LP_MS);
    TELL(0, GONE, .foretold = true, .started_id = rig.started_id);
    SAID("spawn 1.1; ");
    rig_pass(&rig, 100); /* a look finds it proven: no reason to drop the zygote */
    SAID("");
    TELL(0, GONE);
    rig_pass(&rig, 10);
    SAID("");
    TELL(0, EXITED, .signal = SIGSEGV, .started_id = 1);
    SAID("end 1 crash may-have-run; ");
}

TEST(ladder, a_tear_down_without_end_is_not_waited_for)
{
    uint64_t wait_ms = LP_TEAR_DOWN_WAITS;
    RUN_ONE(.user = NULL);
    wait_ms *= rig.pool.config.start_timeout_ns / LP_MS;
    TELL(0, GONE, .foretold = true, .started_id = rig.started_id);
    SAID("spawn 1.1; ");
    tear_down(wait_ms - 1);
    SAID("");
    tear_down(1);
    SAID("end 1 lost may-have-run; "); /* and no zygote is dropped: it could not tell, either */
    tear_down(wait_ms);
    SAID("");
}

TEST(ladder, what_one_that_is_torn_down_had_not_begun_goes_back)
{
    RUN_ONE(.run_timeout_ns = 100 * LP_MS);
    rig.started_id = 0;
    TELL(0, GONE, .foretold = true, .started_id = rig.started_id);
    SAID("spawn 1.1; ");
    tear_down(LP_TEAR_DOWN_WAITS * rig.pool.config.start_timeout_ns / LP_MS);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_returned, 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_pending, 1);
}

TEST(ladder, who_says_so_when_it_cannot_be_is_not_believed)
{
    RUN_ONE(.run_timeout_ns = 100 * LP_MS, .grace_ns = 50 * LP_MS);
    uint64_t begun_ns = rig.now_ns;
    rig_pass(&rig, 110);
    SAID("ask 0.1; ");
    TELL(0, RESULT, .task_id = 1, .started_ns = begun_ns - 1, .ended_ns = begun_ns + 1);
    SAID("end 1 timeout has-run; ");
    SUBMIT(.run_timeout_ns = 100 * LP_MS, .grace_ns = 50 * LP_MS);
    begun_ns = rig.now_ns;
    rig.started_id = 2;
    rig_pass(&rig, 110);
    SAID("assign 2 0.1; ask 0.1; ");
    TELL(0, RESULT, .task_id = 2, .started_ns = begun_ns, .ended_ns = begun_ns + 100 * LP_MS);
    SAID("end 2 timeout has-run; ");
}

TEST(ladder, who_was_cancelled_stays_so_however_early_it_had_ended)
{
    RUN_ONE(.grace_ns = 50 * LP_MS);
    uint64_t begun_ns = rig.now_ns;
    rig_pass(&rig, 10);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_ASKED);
    TELL(0, RESULT, .task_id = 1, .started_ns = begun_ns, .ended_ns = begun_ns + 1);
    SAID("ask 0.1; end 1 cancelled has-run; ");
}

TEST(ladder, without_a_grace_nobody_is_asked)
{
    RUN_ONE(.run_timeout_ns = 100 * LP_MS);
    rig_pass(&rig, 100);
    SAID("end 1 timeout may-have-run; kill 0.1; spawn 1.1; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_asked, 0);
}

TEST(ladder, a_cancel_asks_once_and_the_grace_counts_from_then)
{
    RUN_ONE(.run_timeout_ns = 100 * LP_MS, .grace_ns = 50 * LP_MS);
    rig_pass(&rig, 80);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_ASKED);
    SAID("ask 0.1; ");
    rig_pass(&rig, 30);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_ASKED);
    rig_pass(&rig, 19);
    SAID("");
    rig_pass(&rig, 1);
    SAID("end 1 cancelled may-have-run; kill 0.1; spawn 1.1; ");
}

TEST(ladder, cancelled_before_it_began_it_need_not_begin)
{
    RUN_ONE(.grace_ns = 50 * LP_MS);
    rig.started_id = 0;
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_ASKED);
    SAID("ask 0.1; ");
    struct lp_event told = rig_about(&rig, 0, (struct lp_event){.kind = LP_EVENT_RESULT});
    told.task_id = 1; /* and not started_id */
    rig_step(&rig, told);
    SAID("end 1 cancelled not-started; ");
}

TEST(ladder, what_was_asked_is_not_run_again_when_its_worker_dies)
{
    RUN_ONE(.grace_ns = 50 * LP_MS);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_ASKED);
    TELL(0, EXITED, .signal = SIGKILL);
    SAID("ask 0.1; end 1 cancelled not-started; ");
    CU_ASSERT_EQUAL(WORKERS_ENDED(KILLED), 1);
    CU_ASSERT_EQUAL(ENDED(CANCELLED), 1);
}

TEST(ladder, who_dies_of_the_soft_signal_was_not_killed_from_outside)
{
    RUN_ONE(.run_timeout_ns = 100 * LP_MS, .grace_ns = 50 * LP_MS, .soft_signal = SIGTERM);
    rig_pass(&rig, 100);
    TELL(0, EXITED, .signal = SIGTERM, .started_id = 1);
    SAID("ask 0.1; end 1 timeout may-have-run; spawn 1.1; ");
    CU_ASSERT_EQUAL(WORKERS_ENDED(TIMEOUT), 1);
    CU_ASSERT_EQUAL(WORKERS_ENDED(KILLED), 0);
}

TEST(ladder, who_died_of_the_soft_signal_was_not_killed_from_outside_though_its_task_is_gone)
{
    RUN_ONE(.grace_ns = 50 * LP_MS, .soft_signal = SIGTERM);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_ASKED);
    TELL(0, GONE);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_KILLED);
    TELL(0, EXITED, .signal = SIGTERM, .started_id = 1);
    CU_ASSERT_EQUAL(WORKERS_ENDED(CANCELLED), 1);
    CU_ASSERT_EQUAL(WORKERS_ENDED(KILLED), 0);
}

TEST(ladder, who_answered_does_not_die_of_the_soft_signal)
{
    RUN_ONE(.grace_ns = 50 * LP_MS, .soft_signal = SIGTERM);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_ASKED);
    TELL(0, RESULT, .task_id = 1);
    TELL(0, EXITED, .signal = SIGTERM);
    CU_ASSERT_EQUAL(WORKERS_ENDED(KILLED), 1);
}

TEST(ladder, the_same_signal_before_it_was_sent_came_from_outside)
{
    RUN_ONE(.run_timeout_ns = 100 * LP_MS, .grace_ns = 50 * LP_MS, .soft_signal = SIGTERM);
    TELL(0, EXITED, .signal = SIGTERM, .started_id = 1);
    SAID("end 1 killed may-have-run; spawn 1.1; ");
    CU_ASSERT_EQUAL(WORKERS_ENDED(KILLED), 1);
}

TEST(ladder, a_shutdown_that_kills_does_not_wait_for_a_grace)
{
    RUN_ONE(.run_timeout_ns = 100 * LP_MS, .grace_ns = 50000 * LP_MS);
    rig_pass(&rig, 100);
    SAID("ask 0.1; ");
    RIG_STEP(&rig, SHUTDOWN, .flags = LIBPOOL_CANCEL);
    SAID("end 1 timeout may-have-run; kill 0.1; ");
    CU_ASSERT_EQUAL(rig.pool.workers[0].doom, LIBPOOL_SHUTDOWN);
}

TEST(ladder, nothing_is_sent_behind_a_task_that_was_asked)
{
    rig_open(&rig, &(struct lp_pool_config){.min_workers = 1, .max_workers = 1});
    rig_raise(&rig, 1);
    SUBMIT();
    TELL(0, RESULT, .task_id = 1, .started_ns = rig.now_ns, .ended_ns = rig.now_ns + 1);
    rig.pool.run_ns = 1; /* tiny as they come */
    SUBMIT(.grace_ns = 50 * LP_MS);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 2), LP_CANCEL_ASKED);
    (void)rig_said(&rig);
    for (uint32_t i = 0; i < 2; i++)
        SUBMIT();
    lp_pool_settle(&rig.pool, rig.now_ns);
    rig_perform(&rig);
    SAID("");
    CU_ASSERT_EQUAL(rig.pool.workers[0].queued, 0);
}

/* ---- heartbeats ------------------------------------------------------------------------------- */

TEST(ladder, silence_ends_a_task_and_signs_of_life_do_not)
{
    RUN_ONE(.heartbeat_ns = 100 * LP_MS);
    uint64_t begun_ns = rig.now_ns;
    rig_pass(&rig, 60);
    rig.beat_ns = rig.now_ns; /* the last one */
    rig_pass(&rig, 99);
    SAID("");
    rig_pass(&rig, 1);
    SAID("end 1 timeout may-have-run; kill 0.1; spawn 1.1; ");
    CU_ASSERT_EQUAL(rig.now_ns - begun_ns, 160 * LP_MS);
    CU_ASSERT_EQUAL(SILENT_MS(0), 100);
}

TEST(ladder, beats_wake_nobody_before_their_time)
{
    RUN_ONE(.heartbeat_ns = 100 * LP_MS);
    CU_ASSERT_EQUAL(lp_pool_next_deadline(&rig.pool), rig.now_ns + 100 * LP_MS);
    rig_pass(&rig, 90);
    rig.beat_ns = rig.now_ns;
    rig_pass(&rig, 10);
    CU_ASSERT_EQUAL(lp_pool_next_deadline(&rig.pool), rig.now_ns + 90 * LP_MS);
}

TEST(ladder, a_beat_from_before_its_start_or_from_the_future_is_none)
{
    RUN_ONE(.heartbeat_ns = 100 * LP_MS);
    rig.beat_ns = 1;
    rig_pass(&rig, 50);
    rig.beat_ns = UINT64_MAX;
    rig_pass(&rig, 50);
    SAID("end 1 timeout may-have-run; kill 0.1; spawn 1.1; ");
}

TEST(ladder, silence_is_asked_first_where_there_is_a_grace)
{
    RUN_ONE(.heartbeat_ns = 100 * LP_MS, .grace_ns = 50 * LP_MS);
    rig_pass(&rig, 100);
    SAID("ask 0.1; ");
    rig.beat_ns = rig.now_ns; /* too late */
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 timeout has-run; ");
    CU_ASSERT_EQUAL(SILENT_MS(0), 100);
}

TEST(ladder, the_earlier_of_run_timeout_and_silence_is_the_reason)
{
    RUN_ONE(.heartbeat_ns = 100 * LP_MS, .run_timeout_ns = 120 * LP_MS);
    rig_pass(&rig, 30);
    rig.beat_ns = rig.now_ns;
    rig_pass(&rig, 90);
    SAID("end 1 timeout may-have-run; kill 0.1; spawn 1.1; ");
    CU_ASSERT_EQUAL(SILENT_MS(0), 0);
}

/* ---- pools of threads: nobody can be killed ----------------------------------------------------- */

static void run_thread(struct lp_task_spec spec)
{
    rig_open(&rig,
             &(struct lp_pool_config){
                 .min_workers = 1, .max_workers = 1, .has_finalizer = true, .cooperative = true});
    rig_raise(&rig, 1);
    rig_submit(&rig, &spec);
    rig.started_id = 1;
    SAID("assign 1 0.1; ");
}
#define RUN_THREAD(...) run_thread((struct lp_task_spec){__VA_ARGS__})

TEST(ladder, a_thread_is_asked_without_a_grace_and_for_as_long_as_it_takes)
{
    RUN_THREAD(.run_timeout_ns = 100 * LP_MS);
    rig_pass(&rig, 100);
    SAID("ask 0.1; ");
    rig_pass(&rig, 3600000);
    SAID("");
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 timeout has-run; ");
    CU_ASSERT_EQUAL(rig_in(&rig, LP_WORKER_IDLE), 1);
}

TEST(ladder, a_thread_that_is_cancelled_is_asked)
{
    RUN_THREAD(.priority = 0);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_ASKED);
    SAID("ask 0.1; ");
    TELL(0, EXITED, .code = 1, .started_id = 1); /* it may end its thread */
    SAID("end 1 cancelled may-have-run; spawn 1.1; ");
    CU_ASSERT_EQUAL(WORKERS_ENDED(EXIT), 1);
}

TEST(ladder, a_thread_that_does_not_get_to_its_task_is_waited_for)
{
    RUN_THREAD(.priority = 0);
    rig.started_id = 0;
    rig_pass(&rig, 60000);
    SAID("");
    CU_ASSERT_EQUAL(rig_in(&rig, LP_WORKER_BUSY), 1);
}

TEST(ladder, the_shutdowns_deadline_asks_threads_and_waits_until_all_have_left)
{
    RUN_THREAD(.priority = 0);
    SUBMIT();
    RIG_STEP(&rig, SHUTDOWN, .flags = LIBPOOL_WAIT, .deadline_ns = rig.now_ns + 10 * LP_MS);
    rig_pass(&rig, 10);
    SAID("ask 0.1; end 2 shutdown not-started; ");
    CU_ASSERT(rig.pool.overran);
    rig_pass(&rig, 60000);
    SAID("");
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 shutdown has-run; retire 0.1; ");
    TELL(0, FINAL_STARTED);
    TELL(0, FINALIZED);
    TELL(0, EXITED);
    SAID("");
    TELL(0, EMPTY);
    SAID("down; ");
    CU_ASSERT_EQUAL(WORKERS_ENDED(COMPLETED), 1);
}

TEST(ladder, a_thread_in_its_initializer_leaves_when_that_is_over)
{
    rig_open(&rig,
             &(struct lp_pool_config){
                 .min_workers = 1, .max_workers = 1, .has_finalizer = true, .cooperative = true});
    RIG_STEP(&rig, TICK);
    RIG_STEP(&rig, ZYGOTE_UP, .pid = 100);
    TELL(0, SPAWNED, .pid = 101);
    rig_said(&rig);
    RIG_STEP(&rig, SHUTDOWN, .flags = LIBPOOL_CANCEL);
    SAID("kill 0.1; ");
    rig_pass(&rig, 60000);
    TELL(0, READY);
    TELL(0, FINAL_STARTED);
    TELL(0, FINALIZED);
    SAID("");
    TELL(0, EXITED);
    TELL(0, EMPTY);
    SAID("down; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).finalizers_ok, 1);
    CU_ASSERT_EQUAL(WORKERS_ENDED(SHUTDOWN), 1);
}

TEST(ladder, a_zygote_that_is_a_thread_is_never_dropped)
{
    rig_open(&rig, &(struct lp_pool_config){.max_workers = 1, .cooperative = true});
    SUBMIT();
    SAID("zygote-start; ");
    rig_pass(&rig, 20000);
    SAID("");
    RIG_STEP(&rig, ZYGOTE_UP, .pid = 100);
    SAID("spawn 0.1; ");
    rig_pass(&rig, 60000);
    SAID("");
    TELL(0, SPAWNED, .pid = 101);
    TELL(0, READY);
    SAID("assign 1 0.1; ");
}
