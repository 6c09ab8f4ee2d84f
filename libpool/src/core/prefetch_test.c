/* SPDX-License-Identifier: MIT */
/*
 * What is sent ahead of time, to whom, and what becomes of it: "ahead 2 0.1" in the transcripts. A pool
 * that has seen tiny tasks is made by telling it so: run_ns is what it has learned.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "core/pool.h"
#include "core/prefetch.h"
#include "core/rig.h"
#include "harness/test.h"

static struct rig rig;

#define SUBMIT(...) RIG_SUBMIT(&rig, ##__VA_ARGS__)
#define TELL(slot, kind, ...) RIG_TELL(&rig, slot, kind, ##__VA_ARGS__)
#define STEP(kind, ...) RIG_STEP(&rig, kind, ##__VA_ARGS__)
#define SAID(...) CU_ASSERT_STRING_EQUAL(rig_said(&rig), __VA_ARGS__)
#define STATE(slot) rig.pool.workers[slot].state
#define QUEUED(slot) rig.pool.workers[slot].queued
#define ENDED(cause) rig_stats(&rig).tasks_ended[LIBPOOL_##cause]

/* So many workers, ready, in a pool whose tasks have taken so long. */
static void open_tiny(const struct lp_pool_config *config, uint64_t run_ns)
{
    rig_open(&rig, config);
    rig_raise(&rig, config->min_workers);
    rig.pool.run_ns = run_ns;
}
#define OPEN_TINY(run_ns, ...) open_tiny(&(struct lp_pool_config){__VA_ARGS__}, run_ns)

/* At once: settled when all are there. */
static void submit_many(uint32_t n)
{
    const struct lp_task_spec spec = {.user = NULL};
    uint32_t index, added = 0;
    while (added < n && lp_pool_add(&rig.pool, &spec, rig.now_ns, &index) == 0)
        added++;
    CU_ASSERT_EQUAL(added, n);
    rig_settle(&rig);
}

/* One worker that runs task 1 and has 2 to n ahead of time. */
static void open_queue(uint32_t n)
{
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 1, .backlog_tasks = 300);
    submit_many(n);
    STEP(TICK);
    rig_said(&rig);
    CU_ASSERT_EQUAL_FATAL(QUEUED(0), n - 1);
}

static const struct lp_task *task_of(uint64_t id)
{
    const struct lp_task *task = rig.pool.tasks.table;
    while (task->id != id)
        task++;
    return task;
}

/* ---- when --------------------------------------------------------------------------------------- */

TEST(prefetch, nothing_goes_ahead_before_a_tiny_task_was_seen)
{
    rig_open(&rig,
             &(struct lp_pool_config){.min_workers = 1, .max_workers = 1, .backlog_tasks = 50});
    rig_raise(&rig, 1);
    submit_many(40);
    STEP(TICK);
    SAID("assign 1 0.1; ");
}

TEST(prefetch, tiny_results_are_learned_from)
{
    rig_open(&rig,
             &(struct lp_pool_config){.min_workers = 1, .max_workers = 1, .backlog_tasks = 50});
    rig_raise(&rig, 1);
    submit_many(40);
    uint64_t id = 1;
    for (; QUEUED(0) == 0 && id < 40; id++) {
        rig.now_ns += 1000;
        TELL(0, RESULT, .task_id = id, .started_ns = rig.now_ns - 900, .ended_ns = rig.now_ns);
    }
    CU_ASSERT(id > 5 && id < 10); /* 50 us by an eighth each time, until two fit into 50 us */
    CU_ASSERT_EQUAL(QUEUED(0), 2);
}

TEST(prefetch, times_that_can_t_be_true_teach_nothing)
{
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 1);
    SUBMIT();
    rig.now_ns += 50;
    TELL(0, RESULT, .task_id = 1, .started_ns = rig.now_ns - 51, .ended_ns = rig.now_ns);
    SUBMIT();
    TELL(0, RESULT, .task_id = 2, .started_ns = rig.now_ns, .ended_ns = rig.now_ns + 1);
    SUBMIT();
    TELL(0, RESULT, .task_id = 3, .started_ns = rig.now_ns, .ended_ns = rig.now_ns);
    CU_ASSERT_EQUAL(rig.pool.run_ns, 1000);
}

TEST(prefetch, one_long_run_may_be_an_accident_several_are_not)
{
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 1);
    struct lp_pool *pool = &rig.pool;
    lp_prefetch_learn(pool, 4000);
    CU_ASSERT_EQUAL(pool->run_ns, 4000); /* longer counts at once... */
    lp_prefetch_learn(pool, 1000000);
    CU_ASSERT_EQUAL(pool->run_ns, 17000); /* ...but not so much longer */
    lp_prefetch_learn(pool, 1000000);
    CU_ASSERT_EQUAL(pool->run_ns, 69000);
    lp_prefetch_learn(pool, 5000);
    CU_ASSERT_EQUAL(pool->run_ns, 61000); /* shorter ones have to outweigh it */
}

TEST(prefetch, as_much_work_goes_ahead_as_can_be_foreseen_and_no_more)
{
    static const struct {
        uint64_t run_ns;
        uint32_t limit;
    } cases[] = {{1, LP_PREFETCH_MAX},
                 {90, LP_PREFETCH_MAX},
                 {1000, 50},
                 {12500, 4},
                 {25000, 2},
                 {25001, 0},
                 {50000, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        OPEN_TINY(cases[i].run_ns, .min_workers = 1, .max_workers = 1, .backlog_tasks = 400);
        submit_many(300);
        STEP(TICK);
        STEP(TICK);
        CU_ASSERT_EQUAL(QUEUED(0), cases[i].limit);
        CU_ASSERT(strstr(rig_said(&rig), "BROKEN") == NULL);
    }
}

TEST(prefetch, no_worker_gets_more_than_it_may_run)
{
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 1, .tasks_per_worker = 3);
    submit_many(6);
    STEP(TICK);
    SAID("assign 1 0.1; ahead 2 0.1; ahead 3 0.1; ");
    TELL(0, RESULT, .task_id = 1);
    TELL(0, RESULT, .task_id = 2);
    SAID("end 1 completed has-run; end 2 completed has-run; ");
    TELL(0, RESULT, .task_id = 3);
    SAID("end 3 completed has-run; retire 0.1; spawn 1.1; ");
}

TEST(prefetch, who_has_aged_runs_what_it_has_and_gets_no_more)
{
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 1, .max_age_ns = LP_STEADY_NS);
    submit_many(2);
    STEP(TICK);
    SAID("assign 1 0.1; ahead 2 0.1; ");
    rig.now_ns += LP_STEADY_NS;
    TELL(0, RESULT, .task_id = 1);
    submit_many(2);
    SAID("end 1 completed has-run; ");
    TELL(0, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; retire 0.1; spawn 1.1; ");
}

TEST(prefetch, those_who_work_share_what_is_there)
{
    OPEN_TINY(LP_PREFETCH_NS / 3, .min_workers = 2, .max_workers = 2);
    submit_many(6);
    SAID("assign 1 1.1; ahead 2 1.1; assign 3 0.1; ahead 4 0.1; ahead 5 1.1; ahead 6 0.1; ");
}

TEST(prefetch, no_promise_on_time_or_size_is_broken)
{
    static const struct lp_task_spec specs[] = {{.queue_timeout_ns = 1000 * LP_MS},
                                                {.bytes = LP_PREFETCH_BYTES + 1}};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        OPEN_TINY(1000, .min_workers = 1, .max_workers = 1);
        SUBMIT();
        SUBMIT(.bytes = LP_PREFETCH_BYTES);
        rig_submit(&rig, &specs[i]);
        SUBMIT();
        STEP(TICK);
        SAID("assign 1 0.1; ahead 2 0.1; "); /* 4 does not overtake 3 */
    }
}

TEST(prefetch, what_has_a_memory_limit_of_its_own_has_its_worker_for_itself)
{
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 1);
    SUBMIT();
    SUBMIT(.memory_limit_bytes = 10);
    SAID("assign 1 0.1; ");
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; assign 2 0.1; ");
    SUBMIT();
    STEP(TICK);
    SAID("");
    TELL(0, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; assign 3 0.1; ");
}

TEST(prefetch, nothing_waits_behind_what_is_large_or_has_run_for_long)
{
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 1);
    SUBMIT(.bytes = LP_PREFETCH_BYTES + 1);
    SUBMIT();
    STEP(TICK);
    SAID("assign 1 0.1; ");
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 1);
    SUBMIT();
    rig.now_ns += LP_PREFETCH_NS + 1;
    SUBMIT();
    STEP(TICK);
    SAID("assign 1 0.1; ");
}

TEST(prefetch, nothing_is_sent_to_who_is_to_leave_but_it_works_off_what_it_has)
{
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 1);
    submit_many(2);
    STEP(TICK);
    rig_pass(&rig, 1);
    STEP(ZYGOTE_LOST);
    rig_said(&rig);
    SUBMIT();
    STEP(TICK);
    SAID("");
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; ");
    TELL(0, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; retire 0.1; ");
}

TEST(prefetch, who_asks_to_leave_works_off_what_it_has_and_gets_no_more)
{
    open_queue(2);
    rig.pool.run_ns = LP_WAKE_NS;
    SUBMIT();
    TELL(0, RESULT, .task_id = 1, .leaves = true);
    SAID("end 1 completed has-run; ");
    TELL(0, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; retire 0.1; spawn 1.1; ");
}

TEST(prefetch, while_there_are_too_many_workers_they_get_no_more)
{
    OPEN_TINY(20000, .min_workers = 2, .max_workers = 2);
    submit_many(3);
    SAID("assign 1 1.1; ahead 2 1.1; assign 3 0.1; ");
    lp_pool_resize(&rig.pool, 1, 1, rig.now_ns);
    rig_perform(&rig);
    rig.pool.run_ns = 1000;
    submit_many(4);
    SAID("");
    TELL(0, RESULT, .task_id = 3);
    SAID("end 3 completed has-run; retire 0.1; ");
    TELL(1, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; ahead 4 1.1; ahead 5 1.1; ahead 6 1.1; ahead 7 1.1; ");
}

/* ---- to whom ------------------------------------------------------------------------------------ */

TEST(prefetch, who_is_soon_done_gets_it_rather_than_who_would_have_to_be_woken)
{
    OPEN_TINY(LP_WAKE_NS / 2, .min_workers = 2, .max_workers = 2);
    submit_many(4);
    SAID("assign 1 1.1; ahead 2 1.1; ahead 3 1.1; assign 4 0.1; ");
    OPEN_TINY(LP_WAKE_NS + 1, .min_workers = 2, .max_workers = 2);
    submit_many(2);
    SAID("assign 1 1.1; assign 2 0.1; ");
}

TEST(prefetch, beside_somebody_idle_no_more_waits_than_the_backlog_may_hold)
{
    OPEN_TINY(100, .min_workers = 2, .max_workers = 2, .backlog_tasks = 3);
    for (int i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(SUBMIT(), 0);
    SAID("assign 1 1.1; ahead 2 1.1; ahead 3 1.1; ahead 4 1.1; assign 5 0.1; ");
    CU_ASSERT_EQUAL(SUBMIT(), -EAGAIN);
}

TEST(prefetch, no_idle_worker_leaves_or_is_replaced_while_something_waits)
{
    OPEN_TINY(1000, .max_workers = 2, .idle_timeout_ns = 10 * LP_MS);
    submit_many(1);
    STEP(ZYGOTE_UP, .pid = 100);
    for (uint32_t slot = 0; slot < 2; slot++) {
        SUBMIT();
        TELL(slot, SPAWNED, .pid = 101);
        TELL(slot, READY);
    }
    rig.pool.run_ns = 30000;
    for (uint64_t id = 1; id <= 3; id++)
        for (uint32_t slot = 0; slot < 2; slot++)
            if (STATE(slot) == LP_WORKER_BUSY &&
                rig.pool.tasks.table[rig.pool.workers[slot].task].id == id)
                TELL(slot, RESULT, .task_id = id);
    rig.now_ns += 20 * LP_MS;
    rig.pool.run_ns = 1000;
    CU_ASSERT_EQUAL_FATAL(rig_in(&rig, LP_WORKER_IDLE), 2);
    uint32_t index;
    lp_pool_add(&rig.pool, &(struct lp_task_spec){.user = NULL}, rig.now_ns, &index);
    lp_pool_add(&rig.pool, &(struct lp_task_spec){.user = NULL}, rig.now_ns, &index);
    rig_said(&rig);
    rig_settle(&rig);
    SAID("assign 4 0.1; ahead 5 0.1; ");
    TELL(0, RESULT, .task_id = 4);
    SAID("end 4 completed has-run; retire 1.1; ");
}

TEST(prefetch, a_submit_goes_on_at_once_to_who_will_soon_have_done_it)
{
    OPEN_TINY(1000, .min_workers = 2, .max_workers = 2, .backlog_tasks = 50);
    for (int i = 0; i < 3; i++)
        SUBMIT();
    SAID("assign 1 1.1; ahead 2 1.1; ahead 3 1.1; ");
    rig.told_room = false;
    SUBMIT();
    CU_ASSERT_FALSE(rig.told_room); /* the only room it has made is its own */
    CU_ASSERT_EQUAL(lp_pool_next_deadline(&rig.pool), rig.now_ns + LP_IDLE_PATIENCE_NS);
}

TEST(prefetch, a_submit_that_asks_for_a_worker_gets_one)
{
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 2, .backlog_tasks = 50);
    SUBMIT();
    SUBMIT();
    SAID("assign 1 0.1; ahead 2 0.1; spawn 1.1; ");
}

TEST(prefetch, the_next_favourite_is_who_tells_a_result)
{
    OPEN_TINY(LP_PREFETCH_NS / 3, .min_workers = 2, .max_workers = 2);
    submit_many(6);
    rig_said(&rig);
    TELL(0, RESULT, .task_id = 3);
    TELL(0, RESULT, .task_id = 4);
    TELL(0, RESULT, .task_id = 6);
    CU_ASSERT_EQUAL_FATAL(STATE(0), LP_WORKER_IDLE);
    CU_ASSERT_EQUAL(rig.pool.favourite, LP_NONE);
    TELL(1, RESULT, .task_id = 1);
    CU_ASSERT_EQUAL(rig.pool.favourite, 1);
    rig.pool.run_ns = 1000;
    rig_said(&rig);
    SUBMIT();
    SAID("ahead 7 1.1; ");
}

TEST(prefetch, where_all_are_busy_a_submit_draws_no_conclusions_until_many_wait)
{
    OPEN_TINY(13000, .min_workers = 1, .max_workers = 1, .backlog_tasks = 50);
    for (uint32_t i = 0; i <= LP_FEED_TASKS; i++)
        SUBMIT();
    SAID("assign 1 0.1; ahead 2 0.1; ");
    SUBMIT();
    CU_ASSERT_EQUAL(QUEUED(0), 3);
    OPEN_TINY(13000, .min_workers = 1, .max_workers = 1, .backlog_tasks = 50);
    for (int i = 0; i < 3; i++)
        SUBMIT();
    SUBMIT(.queue_timeout_ns = LP_MS); /* its deadline has to be looked at */
    SAID("assign 1 0.1; ahead 2 0.1; ahead 3 0.1; ");
}

TEST(prefetch, tasks_that_are_added_are_settled_together)
{
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 1);
    uint32_t index;
    lp_pool_add(&rig.pool, &(struct lp_task_spec){.user = NULL}, rig.now_ns, &index);
    CU_ASSERT_EQUAL(rig.pool.n_actions, 0);
    submit_many(2);
    SAID("assign 1 0.1; ahead 2 0.1; ahead 3 0.1; ");
}

/* ---- its turn ----------------------------------------------------------------------------------- */

TEST(prefetch, with_each_result_the_next_one_runs_and_counts_as_launched)
{
    open_queue(3);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_pending, 2);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_running, 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_launched, 1);
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; ");
    CU_ASSERT_EQUAL(task_of(2)->state, LP_TASK_RUNNING);
    CU_ASSERT_EQUAL(task_of(3)->state, LP_TASK_PREFETCHED);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_launched, 2);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_pending, 1);
    TELL(0, RESULT, .task_id = 2);
    TELL(0, RESULT, .task_id = 3);
    SAID("end 2 completed has-run; end 3 completed has-run; ");
    CU_ASSERT_EQUAL(STATE(0), LP_WORKER_IDLE);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_launched, 3);
}

TEST(prefetch, the_event_stream_tells_of_the_turn_not_of_the_sending)
{
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 1, .notes = true);
    submit_many(2);
    SAID("note task-received; note task-received; assign 1 0.1; note task-launched; ahead 2 0.1; ");
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; note task-ended; note task-launched; ");
}

TEST(prefetch, a_result_out_of_turn_is_nonsense)
{
    open_queue(3);
    TELL(0, RESULT, .task_id = 2, .started_id = 1);
    SAID("end 1 corrupt may-have-run; kill 0.1; spawn 1.1; ");
    CU_ASSERT_EQUAL(QUEUED(0), 2);
}

TEST(prefetch, its_turn_makes_room_in_the_backlog)
{
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 1, .backlog_tasks = 2);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(SUBMIT(), 0);
    STEP(TICK);
    CU_ASSERT_EQUAL(SUBMIT(), -EAGAIN);
    rig.told_room = false;
    TELL(0, RESULT, .task_id = 1);
    CU_ASSERT(rig.told_room);
    CU_ASSERT_EQUAL(SUBMIT(), 0);
}

TEST(prefetch, its_bytes_are_the_backlogs_no_more)
{
    OPEN_TINY(13000, .min_workers = 1, .max_workers = 1, .backlog_bytes = 100);
    SUBMIT();
    SUBMIT();
    SUBMIT(.bytes = 60);
    CU_ASSERT_EQUAL(SUBMIT(.bytes = 60), -EAGAIN);
    rig.told_room = false;
    STEP(TICK);
    CU_ASSERT(rig.told_room);
    CU_ASSERT_EQUAL(rig_stats(&rig).backlog_bytes, 0);
    CU_ASSERT_EQUAL(SUBMIT(.bytes = 60), 0);
}

TEST(prefetch, its_time_to_begin_counts_from_its_turn)
{
    open_queue(2);
    rig.now_ns += 3 * LP_MS;
    TELL(0, RESULT, .task_id = 1);
    rig_said(&rig);
    rig_pass(&rig, 9999);
    SAID("");
    rig_pass(&rig, 1);
    SAID("kill 0.1; spawn 1.1; ");
}

TEST(prefetch, it_may_begin_before_its_turn_is_told_and_its_times_are_its_own)
{
    open_queue(2);
    uint64_t submitted_ns = rig.now_ns;
    const struct lp_task *second = task_of(2);
    rig.now_ns += 1000;
    TELL(0, RESULT, .task_id = 1, .started_ns = rig.now_ns - 900, .ended_ns = rig.now_ns - 800);
    TELL(0, RESULT, .task_id = 2, .started_ns = rig.now_ns - 700, .ended_ns = rig.now_ns - 600);
    CU_ASSERT_EQUAL(second->outcome.pending_ns, rig.now_ns - 700 - submitted_ns);
    CU_ASSERT_EQUAL(second->outcome.running_ns, 100);
}

/* ---- recalls ------------------------------------------------------------------------------------ */

TEST(prefetch, what_is_recalled_goes_back_in_order_and_uncounted)
{
    open_queue(4);
    rig.pool.run_ns = 30000;
    TELL(0, RECALLED, .started_id = 1);
    SAID("");
    CU_ASSERT_EQUAL(QUEUED(0), 0);
    CU_ASSERT_EQUAL(rig.pool.tasks.pending, 3);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_returned, 0);
    CU_ASSERT_EQUAL(task_of(2)->returns, 0);
    for (uint64_t id = 1; id <= 4; id++)
        TELL(0, RESULT, .task_id = id);
    SAID("end 1 completed has-run; assign 2 0.1; end 2 completed has-run; assign 3 0.1; "
         "end 3 completed has-run; assign 4 0.1; end 4 completed has-run; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_launched, 4);
}

TEST(prefetch, what_is_recalled_goes_before_what_came_later)
{
    open_queue(3);
    rig.pool.run_ns = 30000;
    SUBMIT();
    SUBMIT(.priority = 0);
    TELL(0, RECALLED);
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; assign 2 0.1; ");
    CU_ASSERT_EQUAL(rig.pool.tasks.table[lp_tasks_first(&rig.pool.tasks)].id, 3);
}

TEST(prefetch, after_a_recall_the_running_task_keeps_its_deadline)
{
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 1);
    SUBMIT(.run_timeout_ns = 100 * LP_MS);
    SUBMIT();
    STEP(TICK);
    uint64_t begun_ns = rig.now_ns;
    CU_ASSERT_EQUAL(lp_pool_next_deadline(&rig.pool), begun_ns + LP_PATIENCE_NS);
    rig.now_ns += LP_PATIENCE_NS;
    CU_ASSERT_EQUAL(lp_pool_due(&rig.pool, rig.now_ns), 0);
    TELL(0, RECALLED, .started_id = 1, .started_ns = begun_ns);
    CU_ASSERT_EQUAL(lp_pool_next_deadline(&rig.pool), begun_ns + 100 * LP_MS);
    rig_said(&rig);
    rig.now_ns = begun_ns + 100 * LP_MS;
    TELL(0, DEADLINE, .started_id = 1, .started_ns = begun_ns);
    SAID("end 1 timeout may-have-run; kill 0.1; spawn 1.1; ");
}

TEST(prefetch, a_recall_that_finds_the_time_over_kills)
{
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 1);
    SUBMIT(.run_timeout_ns = 2 * LP_MS);
    SUBMIT();
    STEP(TICK);
    uint64_t begun_ns = rig.now_ns;
    rig.now_ns += 2 * LP_MS;
    CU_ASSERT_EQUAL(lp_pool_due(&rig.pool, rig.now_ns), 0);
    rig_said(&rig);
    TELL(0, RECALLED, .started_id = 1, .started_ns = begun_ns);
    SAID("end 1 timeout may-have-run; kill 0.1; spawn 1.1; ");
    CU_ASSERT_EQUAL(task_of(2)->state, LP_TASK_PENDING);
}

TEST(prefetch, patience_ends_after_four_ms_without_a_result)
{
    open_queue(3);
    rig.started_id = 1;
    rig_pass(&rig, 3);
    TELL(0, RESULT, .task_id = 1);
    rig.started_id = 2;
    rig_pass(&rig, 3);
    CU_ASSERT_EQUAL(QUEUED(0), 1);
    rig_pass(&rig, 1);
    CU_ASSERT_EQUAL(QUEUED(0), 0);
    CU_ASSERT(rig.pool.run_ns > 1000); /* so long it has taken at least: it is learned from */
}

/* Its task may turn out to be long, and the application does something else meanwhile. */
TEST(prefetch, where_the_application_drives_nothing_waits_beside_an_idle_worker)
{
    OPEN_TINY(100, .min_workers = 2, .max_workers = 2, .driven = true);
    submit_many(3);
    SAID("assign 1 1.1; assign 2 0.1; ahead 3 0.1; ");
}

TEST(prefetch, beside_somebody_idle_patience_is_shorter)
{
    OPEN_TINY(1000, .min_workers = 2, .max_workers = 2);
    submit_many(2);
    SAID("assign 1 1.1; ahead 2 1.1; ");
    CU_ASSERT_EQUAL(lp_pool_next_deadline(&rig.pool), rig.now_ns + LP_IDLE_PATIENCE_NS);
    rig.now_ns += LP_IDLE_PATIENCE_NS;
    CU_ASSERT_EQUAL(lp_pool_due(&rig.pool, rig.now_ns), 1);
    TELL(1, RECALLED, .started_id = 1, .started_ns = rig.now_ns - LP_IDLE_PATIENCE_NS);
    SAID("assign 2 0.1; ");
    CU_ASSERT(rig.pool.run_ns > 1000);
}

TEST(prefetch, patience_is_set_where_there_was_no_deadline)
{
    OPEN_TINY(30000, .min_workers = 1, .max_workers = 1);
    SUBMIT();
    rig.now_ns += 1000;
    rig.pool.workers[0].deadline_ns = 0; /* told, and it has begun a task without a time limit */
    rig.pool.run_ns = 1000;
    SUBMIT();
    STEP(TICK);
    CU_ASSERT_EQUAL(QUEUED(0), 1);
    CU_ASSERT_EQUAL(lp_pool_next_deadline(&rig.pool), rig.now_ns + LP_PATIENCE_NS);
}

TEST(prefetch, what_is_recalled_may_go_to_another)
{
    OPEN_TINY(30000, .min_workers = 2, .max_workers = 2);
    submit_many(2);
    rig.pool.run_ns = 1000;
    SUBMIT();
    STEP(TICK);
    rig_said(&rig);
    CU_ASSERT_EQUAL_FATAL(QUEUED(0), 1);
    TELL(1, RESULT, .task_id = 1);
    TELL(0, RECALLED, .started_id = 2);
    SAID("end 1 completed has-run; assign 3 1.1; ");
}

TEST(prefetch, only_the_busy_are_recalled_from)
{
    open_queue(3);
    CU_ASSERT(lp_pool_holds_prefetched(&rig.pool, 0));
    TELL(0, GONE, .started_id = 1);
    CU_ASSERT_FALSE(lp_pool_holds_prefetched(&rig.pool, 0));
    TELL(0, RECALLED, .started_id = 2);
    CU_ASSERT_EQUAL(QUEUED(0), 2);
    open_queue(3);
    TELL(0, CORRUPT, .started_id = 1);
    CU_ASSERT_FALSE(lp_pool_holds_prefetched(&rig.pool, 0));
    TELL(0, RECALLED, .started_id = 2); /* begun after the kill was sent: not to be begun twice */
    CU_ASSERT_EQUAL(QUEUED(0), 2);
}

/* ---- cancels ------------------------------------------------------------------------------------ */

TEST(prefetch, the_cancel_of_one_that_waits_asks_for_a_recall_and_dequeues_it)
{
    open_queue(3);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 2), LP_CANCEL_RECALL);
    SAID("");
    RIG_TELL_ONLY(&rig, 0, RECALLED, .started_id = 1);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 2), LP_CANCEL_DEQUEUED);
    SAID("end 2 cancelled not-started; ");
}

TEST(prefetch, the_cancel_of_what_runs_spares_those_behind_it)
{
    open_queue(3);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_RECALL);
    SAID("");
    RIG_TELL_ONLY(&rig, 0, RECALLED, .started_id = 1);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_KILLED);
    SAID("end 1 cancelled may-have-run; kill 0.1; spawn 1.1; ");
    CU_ASSERT_EQUAL(rig.pool.tasks.pending, 2);
}

TEST(prefetch, the_cancel_of_one_in_dead_hands_ends_that_one)
{
    open_queue(4);
    TELL(0, GONE, .started_id = 1);
    rig_said(&rig);
    const struct lp_task *third = task_of(3);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 3), LP_CANCEL_KILLED);
    SAID("end 3 cancelled may-have-run; ");
    CU_ASSERT_EQUAL(third->outcome.slot, 0);
    CU_ASSERT_EQUAL(third->outcome.pid, 101);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_KILLED);
    SAID("end 1 cancelled may-have-run; ");
    CU_ASSERT_EQUAL(QUEUED(0), 2);
    TELL(0, EXITED, .signal = SIGKILL, .started_id = 1);
    CU_ASSERT_EQUAL(rig.pool.tasks.pending, 2);
}

/* A killed worker ran on for a moment; its word is on a task that was cancelled meanwhile. */
TEST(prefetch, what_may_have_begun_before_a_cancelled_one_is_not_run_again)
{
    open_queue(5);
    TELL(0, CORRUPT, .started_id = 1);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 4), LP_CANCEL_KILLED);
    rig_said(&rig);
    TELL(0, EXITED, .signal = SIGKILL, .started_id = 4);
    SAID("end 2 corrupt may-have-run; end 3 corrupt may-have-run; ");
    CU_ASSERT_EQUAL(task_of(5)->state, LP_TASK_PENDING);
}

TEST(prefetch, a_word_on_what_it_was_killed_for_leaves_no_doubt)
{
    open_queue(5);
    TELL(0, CORRUPT, .started_id = 1);
    rig_cancel(&rig, 4);
    rig_said(&rig);
    TELL(0, EXITED, .signal = SIGKILL, .started_id = 1);
    SAID("");
    CU_ASSERT_EQUAL(rig.pool.tasks.pending, 3);
}

TEST(prefetch, a_word_on_one_that_it_still_has_leaves_no_doubt)
{
    open_queue(5);
    TELL(0, CORRUPT, .started_id = 1);
    rig_cancel(&rig, 4);
    rig_said(&rig);
    TELL(0, EXITED, .signal = SIGKILL, .started_id = 2);
    SAID("end 2 corrupt may-have-run; ");
    CU_ASSERT_EQUAL(rig.pool.tasks.pending, 2);
    CU_ASSERT_FALSE(task_of(3)->doubted);
}

/* ---- deaths ------------------------------------------------------------------------------------- */

TEST(prefetch, what_a_dead_worker_had_not_begun_goes_back)
{
    open_queue(4);
    TELL(0, EXITED, .signal = SIGSEGV, .started_id = 1);
    SAID("end 1 crash may-have-run; spawn 1.1; ");
    CU_ASSERT_EQUAL(rig.pool.tasks.pending, 3);
    CU_ASSERT_EQUAL(task_of(3)->returns, 0);            /* nobody has tried it */
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_returned, 0); /* they were never launched */
    TELL(1, SPAWNED, .pid = 102);
    TELL(1, READY);
    SAID("assign 2 1.1; ahead 3 1.1; ahead 4 1.1; ");
}

TEST(prefetch, if_it_had_begun_nothing_all_goes_back_and_one_is_noted)
{
    OPEN_TINY(1000, .min_workers = 1, .max_workers = 1, .notes = true);
    submit_many(3);
    STEP(TICK);
    rig_said(&rig);
    TELL(0, EXITED, .signal = SIGKILL);
    SAID("note task-returned; note worker-exited; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_returned, 1);
    CU_ASSERT_EQUAL(rig.pool.tasks.pending, 3);
    CU_ASSERT_EQUAL(rig.pool.tasks.table[lp_tasks_first(&rig.pool.tasks)].id, 1);
}

TEST(prefetch, whoever_says_it_has_begun_a_later_one_has_begun_all_before_it)
{
    open_queue(4);
    const struct lp_task *second = task_of(2), *third = task_of(3);
    TELL(0, EXITED, .signal = SIGSEGV, .started_id = 3);
    SAID("end 1 crash may-have-run; end 2 crash may-have-run; end 3 crash may-have-run; "
         "spawn 1.1; ");
    CU_ASSERT_EQUAL(second->outcome.signal, 0);
    CU_ASSERT_EQUAL(third->outcome.signal, SIGSEGV);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_launched, 3);
    CU_ASSERT_EQUAL(rig.pool.tasks.pending, 1);
}

TEST(prefetch, the_longest_queue_may_end_in_one_step)
{
    OPEN_TINY(90, .min_workers = 1, .max_workers = 1, .backlog_tasks = 300, .notes = true);
    submit_many(LP_PREFETCH_MAX + 1);
    STEP(TICK);
    CU_ASSERT_EQUAL_FATAL(QUEUED(0), LP_PREFETCH_MAX);
    uint64_t id = 1;
    for (; id <= LP_RESULTS_PER_BATCH; id++)
        RIG_TELL_ONLY(&rig, 0, RESULT, .task_id = id);
    rig_said(&rig);
    TELL(0, EXITED, .signal = SIGSEGV, .started_id = LP_PREFETCH_MAX + 1);
    CU_ASSERT(strstr(rig_said(&rig), "BROKEN") == NULL);
    CU_ASSERT_EQUAL(ENDED(COMPLETED), LP_RESULTS_PER_BATCH);
    CU_ASSERT_EQUAL(ENDED(CRASH), LP_PREFETCH_MAX + 1 - LP_RESULTS_PER_BATCH);
    CU_ASSERT_EQUAL(rig.pool.tasks.ended, 0); /* each was told, performed and released */
}

TEST(prefetch, a_killed_worker_keeps_its_queue_until_its_death_tells)
{
    open_queue(4);
    TELL(0, CORRUPT, .started_id = 1);
    SAID("end 1 corrupt may-have-run; kill 0.1; spawn 1.1; ");
    CU_ASSERT_EQUAL(QUEUED(0), 3);
    TELL(0, RESULT, .task_id = 1); /* it crosses the kill */
    TELL(0, EXITED, .signal = SIGKILL, .started_id = 2);
    SAID("end 2 corrupt may-have-run; ");
    CU_ASSERT_EQUAL(rig.pool.tasks.pending, 2);
}

TEST(prefetch, if_it_does_not_die_its_queue_ends_after_a_second)
{
    open_queue(3);
    TELL(0, CORRUPT, .started_id = 1);
    rig_said(&rig);
    TELL(1, SPAWNED, .pid = 102);
    TELL(1, READY);
    rig_pass(&rig, 999);
    SAID("");
    rig_pass(&rig, 1);
    SAID("end 2 corrupt may-have-run; end 3 corrupt may-have-run; ");
    CU_ASSERT_EQUAL(STATE(0), LP_WORKER_DYING);
    rig_pass(&rig, 9999); /* then the zygote has its time to prove the death */
    SAID("");
    rig_pass(&rig, 1);
    SAID("zygote-drop; ");
}

/* ---- shutdown ----------------------------------------------------------------------------------- */

TEST(prefetch, shutdown_wait_runs_what_was_sent_ahead)
{
    open_queue(2);
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT);
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; ");
    TELL(0, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; retire 0.1; ");
}

TEST(prefetch, a_cancelling_shutdown_ends_what_was_recalled)
{
    open_queue(3);
    RIG_TELL_ONLY(&rig, 0, RECALLED, .started_id = 1);
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT | LIBPOOL_CANCEL);
    SAID("end 2 shutdown not-started; end 3 shutdown not-started; ");
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; retire 0.1; ");
}

TEST(prefetch, a_cancelling_shutdown_hands_out_nothing_more)
{
    OPEN_TINY(30000, .min_workers = 1, .max_workers = 1, .backlog_tasks = 300);
    submit_many(100);
    rig.pool.run_ns = 1000;
    RIG_TELL_ONLY(&rig, 0, RESULT, .task_id = 1);
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT | LIBPOOL_CANCEL);
    while (rig.pool.more)
        STEP(TICK);
    const char *said = rig_said(&rig);
    CU_ASSERT(strstr(said, "ahead") == NULL && strstr(said, "assign 2 ") == NULL);
    CU_ASSERT_EQUAL(ENDED(SHUTDOWN), 99);
}

TEST(prefetch, the_shutdowns_deadline_waits_a_second_for_the_dead_to_tell)
{
    open_queue(3);
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT, .deadline_ns = rig.now_ns);
    SAID("end 1 shutdown may-have-run; kill 0.1; ");
    rig_pass(&rig, 500);
    SAID("");
    TELL(0, EXITED, .signal = SIGKILL, .started_id = 2);
    SAID("end 2 shutdown may-have-run; end 3 shutdown not-started; ");
}

TEST(prefetch, a_shutdown_that_gives_up_ends_every_queue_and_is_down_last)
{
    OPEN_TINY(300, .min_workers = 2, .max_workers = 2, .backlog_tasks = 300, .notes = true);
    submit_many(202);
    CU_ASSERT_FATAL(QUEUED(0) + QUEUED(1) > 2 * LP_ENDS_PER_STEP);
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT, .deadline_ns = rig.now_ns);
    TELL(0, GONE);
    rig.now_ns += LP_KILL_GRACE_NS; /* DYING and GONE, and nothing is due for the GONE one yet */
    rig_said(&rig);
    STEP(TICK);
    CU_ASSERT(rig.pool.more);
    CU_ASSERT_EQUAL(rig.pool.phase, LP_PHASE_KILLING);
    while (rig.pool.more)
        STEP(TICK);
    CU_ASSERT_EQUAL(rig.pool.phase, LP_PHASE_DOWN);
    CU_ASSERT_EQUAL(ENDED(SHUTDOWN), 202);
    CU_ASSERT_EQUAL(rig.pool.tasks.ended, 0);
    CU_ASSERT(strstr(rig_said(&rig), "BROKEN") == NULL);
}

/* ---- telling without settling --------------------------------------------------------------------- */

TEST(prefetch, what_follows_from_results_is_settled_once)
{
    open_queue(3);
    rig.pool.run_ns = 30000;
    SUBMIT();
    for (uint64_t id = 1; id <= 3; id++)
        RIG_TELL_ONLY(&rig, 0, RESULT, .task_id = id);
    CU_ASSERT_EQUAL(STATE(0), LP_WORKER_IDLE);
    rig_settle(&rig);
    SAID("end 1 completed has-run; end 2 completed has-run; end 3 completed has-run; "
         "assign 4 0.1; ");
}

TEST(prefetch, another_call_settles_as_well)
{
    open_queue(2);
    rig.pool.run_ns = LP_WAKE_NS;
    SUBMIT();
    rig.pool.run_ns = 1000;
    RIG_TELL_ONLY(&rig, 0, RESULT, .task_id = 1);
    RIG_TELL_ONLY(&rig, 0, RESULT, .task_id = 2);
    SUBMIT();
    SAID("end 1 completed has-run; end 2 completed has-run; assign 3 0.1; ahead 4 0.1; ");
}

TEST(prefetch, after_the_end_settling_says_nothing)
{
    open_queue(2);
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT, .deadline_ns = rig.now_ns);
    rig_pass(&rig, 2000);
    CU_ASSERT_EQUAL_FATAL(rig.pool.phase, LP_PHASE_DOWN);
    rig_said(&rig);
    RIG_TELL_ONLY(&rig, 0, RESULT, .task_id = 1);
    rig_settle(&rig);
    SAID("");
}

/* A checker that never fails is worth nothing. */
TEST(prefetch, the_checker_notices)
{
    open_queue(4);
    struct lp_pool *pool = &rig.pool;
    struct lp_worker *worker = &pool->workers[0];
    struct lp_task *middle = &pool->tasks.table[pool->tasks.table[worker->queue_first].next];
    CU_ASSERT(lp_pool_check(pool));
    worker->queued--;
    CU_ASSERT_FALSE(lp_pool_check(pool));
    worker->queued++;
    middle->slot = 1;
    CU_ASSERT_FALSE(lp_pool_check(pool));
    middle->slot = 0;
    uint32_t previous = middle->previous;
    middle->previous = LP_NONE;
    CU_ASSERT_FALSE(lp_pool_check(pool));
    middle->previous = previous;
    worker->queue_last = worker->queue_first;
    CU_ASSERT_FALSE(lp_pool_check(pool));
}
