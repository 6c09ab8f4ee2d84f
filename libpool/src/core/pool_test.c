/* SPDX-License-Identifier: MIT */
/* The policy, behaviour by behaviour, as transcripts of what it decides. */
#include "core/pool.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "core/rig.h"
#include "harness/test.h"

static struct rig rig;

#define OPEN(...) rig_open(&rig, &(struct lp_pool_config){__VA_ARGS__})
#define SUBMIT(...) RIG_SUBMIT(&rig, ##__VA_ARGS__)
#define TELL(slot, kind, ...) RIG_TELL(&rig, slot, kind, ##__VA_ARGS__)
#define STEP(kind, ...) RIG_STEP(&rig, kind, ##__VA_ARGS__)
#define SAID(...) CU_ASSERT_STRING_EQUAL(rig_said(&rig), __VA_ARGS__)
#define STATE(slot) rig.pool.workers[slot].state
#define ENDED(cause) rig_stats(&rig).tasks_ended[LIBPOOL_##cause]
#define WORKERS_ENDED(cause) rig_stats(&rig).workers_ended[LIBPOOL_##cause]

/* A death and the proof that nothing is left. */
static void die(uint32_t slot, struct lp_event how)
{
    how.kind = LP_EVENT_EXITED;
    rig_tell(&rig, slot, how);
    TELL(slot, EMPTY);
}
#define DIE(slot, ...) die(slot, (struct lp_event){__VA_ARGS__})

/* A fresh worker becomes ready. */
static void rise(uint32_t slot)
{
    TELL(slot, SPAWNED, .pid = 200 + (int)slot);
    TELL(slot, READY);
}

/* ---- tasks ------------------------------------------------------------------------------------ */

TEST(pool, the_first_task_starts_a_zygote_and_a_worker_and_runs)
{
    OPEN(.max_workers = 2);
    SUBMIT();
    SAID("zygote-start; ");
    STEP(ZYGOTE_UP, .pid = 100);
    SAID("spawn 0.1; ");
    rise(0);
    SAID("assign 1 0.1; ");
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; ");
    CU_ASSERT_EQUAL(rig_in(&rig, LP_WORKER_IDLE), 1);
}

TEST(pool, a_task_goes_straight_to_an_idle_worker)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    SAID("assign 1 0.1; ");
    TELL(0, RESULT, .task_id = 1, .code = 5);
    SAID("end 1 error has-run; ");
}

TEST(pool, the_idle_worker_that_was_used_last_is_used_first)
{
    OPEN(.min_workers = 3, .max_workers = 3);
    rig_raise(&rig, 3);
    SUBMIT();
    SUBMIT();
    SAID("assign 1 2.1; assign 2 1.1; ");
    TELL(2, RESULT, .task_id = 1);
    TELL(1, RESULT, .task_id = 2);
    rig_said(&rig);
    SUBMIT();
    SAID("assign 3 1.1; ");
}

static uint32_t number(uint32_t slot)
{
    return rig.pool.workers[slot].number;
}

TEST(pool, a_replacement_has_the_number_of_whom_it_replaces)
{
    OPEN(.min_workers = 3, .max_workers = 3);
    rig_raise(&rig, 3);
    rig_pass(&rig, 2000); /* nobody's death is an early one */
    RIG_TELL(&rig, 1, EXITED, .signal = SIGKILL);
    SAID("spawn 3.1; ");
    CU_ASSERT_EQUAL(number(3), 1);
    TELL(1, EMPTY); /* what is left of the old one is no matter */
    rise(3);
    RIG_TELL(&rig, 0, EXITED, .signal = SIGKILL);
    RIG_TELL(&rig, 2, EXITED, .signal = SIGKILL);
    CU_ASSERT_EQUAL(number(1), 0);
    CU_ASSERT_EQUAL(number(4), 2);
}

TEST(pool, who_leaves_gives_its_number_up_and_who_starts_has_it)
{
    OPEN(.min_workers = 1, .max_workers = 1, .tasks_per_worker = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    TELL(0, RESULT, .task_id = 1);
    CU_ASSERT_EQUAL(STATE(0), LP_WORKER_RETIRING);
    CU_ASSERT_EQUAL(STATE(1), LP_WORKER_SPAWNING);
    CU_ASSERT_EQUAL(number(1), 0);
}

TEST(pool, an_exclusive_number_is_held_until_the_tree_is_gone)
{
    OPEN(.min_workers = 2, .max_workers = 2, .exclusive = true);
    rig_raise(&rig, 2);
    rig_pass(&rig, 2000);
    RIG_TELL(&rig, 0, EXITED, .signal = SIGKILL);
    CU_ASSERT_TRUE(rig.pool.numbers[0]);
    TELL(0, EMPTY);
    CU_ASSERT_EQUAL(STATE(0), LP_WORKER_SPAWNING);
    CU_ASSERT_EQUAL(number(0), 0);
}

TEST(pool, what_ends_tells_the_number_it_had)
{
    OPEN(.min_workers = 2, .max_workers = 2, .notes = true);
    rig_raise(&rig, 2);
    rig_pass(&rig, 2000);
    RIG_TELL(&rig, 0, EXITED, .signal = SIGKILL);
    rise(2); /* it is number 0, and was used last */
    uint32_t index;
    struct lp_task_spec spec = {.user = NULL};
    CU_ASSERT_EQUAL(lp_pool_submit(&rig.pool, &spec, rig.now_ns, &index), 0);
    CU_ASSERT_EQUAL(rig.pool.tasks.table[index].slot, 2);
    CU_ASSERT_EQUAL(lp_pool_cancel(&rig.pool, index, rig.now_ns), LP_CANCEL_KILLED);
    CU_ASSERT_EQUAL(rig.pool.tasks.table[index].outcome.slot, 2);
    CU_ASSERT_EQUAL(rig.pool.tasks.table[index].outcome.number, 0);
    uint32_t told = 0;
    for (uint32_t i = 0; i < rig.pool.n_actions; i++)
        if (rig.pool.actions[i].kind == LP_ACTION_NOTE && rig.pool.actions[i].slot == 2)
            told += rig.pool.actions[i].note.slot == 0;
    CU_ASSERT_EQUAL(told, 3); /* launched, ended, killed */
}

TEST(pool, workers_are_started_as_tasks_demand_and_no_more)
{
    OPEN(.max_workers = 3);
    rig_raise(&rig, 0);
    for (int i = 0; i < 5; i++)
        SUBMIT();
    SAID("zygote-start; ");
    STEP(ZYGOTE_UP, .pid = 100);
    SAID("spawn 0.1; spawn 1.1; spawn 2.1; ");
}

TEST(pool, priority_first_then_order_of_submission)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT(.priority = 9);
    SUBMIT(.priority = 9);
    SUBMIT(.priority = 0);
    SUBMIT(.priority = 9);
    rig_said(&rig);
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; assign 3 0.1; ");
    TELL(0, RESULT, .task_id = 3);
    SAID("end 3 completed has-run; assign 2 0.1; ");
    TELL(0, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; assign 4 0.1; ");
}

TEST(pool, a_full_backlog_refuses_and_tells_when_there_is_room)
{
    OPEN(.max_workers = 1, .backlog_tasks = 2, .backlog_bytes = 100);
    CU_ASSERT_EQUAL(SUBMIT(.bytes = 101), -E2BIG);
    CU_ASSERT_EQUAL(SUBMIT(.bytes = 60), 0);
    CU_ASSERT_EQUAL(SUBMIT(.bytes = 60), -EAGAIN);
    CU_ASSERT_EQUAL(SUBMIT(.bytes = 40), 0);
    CU_ASSERT_EQUAL(SUBMIT(), -EAGAIN);
    CU_ASSERT_EQUAL(rig_stats(&rig).backlog_bytes, 100);
    bool room = false;
    CU_ASSERT_EQUAL(lp_pool_cancel(&rig.pool, 0, rig.now_ns), LP_CANCEL_DEQUEUED);
    for (uint32_t i = 0; i < rig.pool.n_actions; i++)
        room = room || rig.pool.actions[i].kind == LP_ACTION_ROOM;
    CU_ASSERT(room);
    CU_ASSERT_EQUAL(SUBMIT(), 0);
}

TEST(pool, ended_tasks_that_are_not_released_bound_the_table)
{
    OPEN(.max_workers = 1, .backlog_tasks = 1);
    uint32_t index, accepted = 0;
    struct lp_task_spec spec = {.user = NULL};
    while (lp_pool_submit(&rig.pool, &spec, rig.now_ns, &index) == 0) {
        lp_pool_cancel(&rig.pool, index, rig.now_ns);
        rig.pool.n_actions = 0; /* nobody releases */
        accepted++;
    }
    CU_ASSERT_EQUAL(accepted, rig.pool.tasks.capacity);
    CU_ASSERT(lp_pool_check(&rig.pool));
    lp_pool_release(&rig.pool, 0);
    CU_ASSERT_EQUAL(lp_pool_submit(&rig.pool, &spec, rig.now_ns, &index), 0);
}

/* ---- deaths ----------------------------------------------------------------------------------- */

TEST(pool, a_crash_costs_its_own_task_only)
{
    OPEN(.min_workers = 2, .max_workers = 2);
    rig_raise(&rig, 2);
    SUBMIT();
    SUBMIT();
    SUBMIT();
    rig_said(&rig);
    TELL(1, EXITED, .signal = SIGSEGV, .started_id = 1, .started_ns = rig.now_ns);
    SAID("end 1 crash may-have-run; spawn 2.1; ");
    rise(2);
    SAID("assign 3 2.1; ");
    TELL(0, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_failed, 1);
}

TEST(pool, a_task_that_was_not_begun_goes_back_to_its_place)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    SUBMIT();
    DIE(0, .signal = SIGKILL);
    rig_pass(&rig, 20);
    rise(0);
    SAID("assign 1 0.1; spawn 0.2; assign 1 0.2; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_returned, 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_launched, 1);
}

TEST(pool, a_task_goes_back_three_times_at_most)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    for (int i = 0; i < 4; i++) {
        uint32_t slot = STATE(0) == LP_WORKER_BUSY ? 0 : 1;
        rig_said(&rig);
        DIE(slot, .signal = SIGKILL);
        rig_pass(&rig, 2000);
        rise(STATE(0) == LP_WORKER_SPAWNING ? 0 : 1);
    }
    CU_ASSERT_EQUAL(ENDED(KILLED), 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_returned, 3);
    CU_ASSERT(strstr(rig_said(&rig), "end 1 killed not-started; ") != NULL);
}

TEST(pool, a_result_that_comes_after_the_kill_is_ignored)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    rig_cancel(&rig, 1);
    SAID("assign 1 0.1; end 1 cancelled may-have-run; kill 0.1; spawn 1.1; ");
    TELL(0, RESULT, .task_id = 1);
    SAID("");
    CU_ASSERT_EQUAL(ENDED(CANCELLED), 1);
    CU_ASSERT_EQUAL(ENDED(COMPLETED), 0);
}

TEST(pool, a_result_for_another_task_is_nonsense)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    TELL(0, RESULT, .task_id = 2, .started_id = 1);
    SAID("assign 1 0.1; end 1 corrupt may-have-run; kill 0.1; spawn 1.1; ");
}

/* One worker, dead with a task that it had begun; the zygote has yet to tell how. */
static void await_status(void)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    TELL(0, GONE, .started_id = 1);
    TELL(1, SPAWNED, .pid = 201);
    TELL(1, READY);
    SAID("assign 1 0.1; spawn 1.1; ");
}

TEST(pool, a_slow_zygote_may_take_its_time_to_tell_of_a_death)
{
    await_status();
    rig_pass(&rig, 9999);
    SAID("");
    TELL(0, EXITED, .signal = SIGSEGV, .started_id = 1);
    SAID("end 1 crash may-have-run; ");
}

TEST(pool, a_death_of_which_a_zygote_never_tells_costs_the_zygote_and_is_lost)
{
    await_status();
    rig_pass(&rig, 9999);
    SAID("");
    rig_pass(&rig, 1);
    SAID("zygote-drop; ");
    STEP(ZYGOTE_LOST);
    SAID("retire 1.1; ");
    rig.now_ns += 999 * LP_MS;
    CU_ASSERT_EQUAL(lp_pool_due(&rig.pool, rig.now_ns), LP_NONE);
    STEP(ZYGOTE_LOST); /* another one: the wait is for the worker's own */
    rig.now_ns += LP_MS;
    CU_ASSERT_EQUAL(lp_pool_due(&rig.pool, rig.now_ns), 0);
    (void)rig_said(&rig);
    TELL(0, DEADLINE, .started_id = 1);
    SAID("end 1 lost may-have-run; ");
    TELL(0, EXITED, .signal = SIGSEGV); /* too late */
    CU_ASSERT_EQUAL(WORKERS_ENDED(LOST), 1);
    CU_ASSERT_EQUAL(WORKERS_ENDED(CRASH), 0);
}

TEST(pool, a_worker_may_lie_about_its_times_but_not_make_them_impossible)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    uint32_t index;
    uint64_t begun_ns = rig.now_ns;
    const struct lp_outcome *outcome = &rig.pool.tasks.table[0].outcome;
    lp_pool_submit(&rig.pool, &(struct lp_task_spec){.user = NULL}, begun_ns, &index);
    rig_perform(&rig);
    rig_pass(&rig, 50);
    TELL(0, RESULT, .task_id = 1, .started_ns = 1, .ended_ns = UINT64_MAX);
    CU_ASSERT_EQUAL(outcome->running_ns, 50 * LP_MS);
    lp_pool_submit(&rig.pool, &(struct lp_task_spec){.user = NULL}, rig.now_ns, &index);
    rig_perform(&rig);
    uint64_t started_ns = rig.now_ns + 10 * LP_MS;
    rig_pass(&rig, 50);
    TELL(0, RESULT, .task_id = 2, .started_ns = started_ns, .ended_ns = started_ns + LP_MS);
    CU_ASSERT_EQUAL(outcome->running_ns, LP_MS);
}

/* ---- time ------------------------------------------------------------------------------------- */

TEST(pool, a_run_timeout_counts_from_the_start_not_from_the_assignment)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT(.run_timeout_ns = 100 * LP_MS);
    uint64_t started_ns = rig.now_ns + 30 * LP_MS;
    rig.now_ns += 100 * LP_MS; /* the first look: it has begun, but has time left */
    CU_ASSERT_EQUAL(lp_pool_due(&rig.pool, rig.now_ns), 0);
    TELL(0, DEADLINE, .started_id = 1, .started_ns = started_ns);
    SAID("assign 1 0.1; ");
    CU_ASSERT_EQUAL(lp_pool_next_deadline(&rig.pool), started_ns + 100 * LP_MS);
    rig.now_ns = started_ns + 100 * LP_MS;
    CU_ASSERT_EQUAL(lp_pool_due(&rig.pool, rig.now_ns), 0);
    TELL(0, DEADLINE, .started_id = 1, .started_ns = started_ns);
    SAID("end 1 timeout may-have-run; kill 0.1; spawn 1.1; ");
    CU_ASSERT_EQUAL(lp_pool_due(&rig.pool, rig.now_ns), LP_NONE);
}

TEST(pool, a_start_that_can_t_be_true_counts_as_the_assignment)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT(.run_timeout_ns = 100 * LP_MS);
    rig.now_ns += 100 * LP_MS;
    CU_ASSERT_EQUAL(lp_pool_due(&rig.pool, rig.now_ns), 0);
    TELL(0, DEADLINE, .started_id = 1, .started_ns = rig.now_ns + 3600000 * LP_MS);
    SAID("assign 1 0.1; end 1 timeout may-have-run; kill 0.1; spawn 1.1; ");
}

TEST(pool, a_worker_that_does_not_begin_its_task_is_killed_and_the_task_goes_back)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    rig_pass(&rig, 9999);
    SAID("assign 1 0.1; ");
    rig_pass(&rig, 1);
    SAID("kill 0.1; spawn 1.1; ");
    TELL(0, EXITED, .signal = SIGKILL);
    rise(1);
    SAID("assign 1 1.1; ");
    CU_ASSERT_EQUAL(WORKERS_ENDED(LOST), 1);
}

TEST(pool, if_it_can_t_be_killed_the_task_ends_all_the_same)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    rig_pass(&rig, 10000);
    rig_said(&rig);
    rise(1);
    rig_pass(&rig, 999);
    SAID("");
    rig_pass(&rig, 1);
    SAID("end 1 lost may-have-run; ");
    CU_ASSERT_EQUAL(STATE(0), LP_WORKER_DYING);
}

TEST(pool, a_queue_timeout_ends_what_was_never_started)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    SUBMIT(.queue_timeout_ns = 50 * LP_MS);
    rig_pass(&rig, 49);
    SAID("assign 1 0.1; ");
    rig_pass(&rig, 1);
    SAID("end 2 queue-timeout not-started; ");
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; ");
}

TEST(pool, a_task_that_runs_has_no_queue_timeout)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT(.queue_timeout_ns = 50 * LP_MS);
    rig_pass(&rig, 500);
    SAID("assign 1 0.1; ");
}

TEST(pool, an_initializer_that_overruns_is_killed)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 0);
    TELL(0, SPAWNED, .pid = 101);
    rig_pass(&rig, 59999);
    SAID("");
    rig_pass(&rig, 1);
    SAID("kill 0.1; spawn 1.1; ");
    TELL(0, EXITED, .signal = SIGKILL);
    CU_ASSERT_EQUAL(WORKERS_ENDED(INIT_FAILED), 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).initializers_failed, 1);
}

TEST(pool, a_finalizer_that_overruns_is_killed)
{
    OPEN(.min_workers = 1, .max_workers = 1, .tasks_per_worker = 1, .has_finalizer = true);
    rig_raise(&rig, 1);
    SUBMIT();
    TELL(0, RESULT, .task_id = 1);
    TELL(0, FINAL_STARTED);
    rig_said(&rig);
    rig_pass(&rig, 5000);
    SAID("kill 0.1; ");
    TELL(0, EXITED, .signal = SIGKILL);
    CU_ASSERT_EQUAL(WORKERS_ENDED(FINAL_FAILED), 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).finalizers_failed, 1);
}

/* ---- cancelling ------------------------------------------------------------------------------- */

TEST(pool, cancel_of_a_pending_task_dequeues_it)
{
    OPEN(.max_workers = 1);
    SUBMIT();
    rig_said(&rig);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_DEQUEUED);
    SAID("end 1 cancelled not-started; ");
}

TEST(pool, cancel_of_an_ended_task_does_nothing)
{
    OPEN(.max_workers = 1);
    uint32_t index;
    lp_pool_submit(&rig.pool, &(struct lp_task_spec){.user = NULL}, rig.now_ns, &index);
    lp_pool_cancel(&rig.pool, index, rig.now_ns);
    rig.pool.n_actions = 0;
    CU_ASSERT_EQUAL(lp_pool_cancel(&rig.pool, index, rig.now_ns), LP_CANCEL_DONE);
    CU_ASSERT_EQUAL(rig.pool.n_actions, 0);
}

TEST(pool, cancel_of_a_task_in_dead_hands_ends_it_at_once)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    TELL(0, GONE);
    rig_said(&rig);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_KILLED);
    SAID("end 1 cancelled may-have-run; ");
    TELL(0, EXITED, .signal = SIGKILL);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_returned, 0);
}

/* ---- strength --------------------------------------------------------------------------------- */

TEST(pool, min_workers_are_kept_and_those_above_leave_when_idle)
{
    OPEN(.min_workers = 1, .max_workers = 2);
    rig_raise(&rig, 1);
    SUBMIT();
    SUBMIT();
    rise(1);
    TELL(0, RESULT, .task_id = 1);
    TELL(1, RESULT, .task_id = 2);
    rig_said(&rig);
    rig_pass(&rig, 999);
    SAID("");
    rig_pass(&rig, 1);
    SAID("retire 0.1; ");
    rig_pass(&rig, 4000);
    SAID("");
}

TEST(pool, a_worker_that_asks_to_leave_gets_no_other_task)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    SUBMIT();
    (void)rig_said(&rig);
    TELL(0, RESULT, .task_id = 1, .leaves = true);
    SAID("end 1 completed has-run; retire 0.1; spawn 1.1; ");
    DIE(0);
    CU_ASSERT_EQUAL(WORKERS_ENDED(COMPLETED), 1);
    SAID("");
}

TEST(pool, a_worker_is_replaced_after_its_tasks)
{
    OPEN(.min_workers = 1, .max_workers = 1, .tasks_per_worker = 2);
    rig_raise(&rig, 1);
    SUBMIT();
    TELL(0, RESULT, .task_id = 1);
    SUBMIT();
    rig_said(&rig);
    TELL(0, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; retire 0.1; spawn 1.1; ");
    DIE(0);
    CU_ASSERT_EQUAL(WORKERS_ENDED(COMPLETED), 1);
}

TEST(pool, a_spare_worker_stands_in_for_one_that_dies_and_is_replaced)
{
    OPEN(.min_workers = 1, .max_workers = 1, .spare_workers = 1);
    rig_raise(&rig, 2);
    SUBMIT();
    SUBMIT();
    SAID("assign 1 1.1; "); /* the other one is ready, and nobody's */
    TELL(1, EXITED, .signal = SIGKILL, .started_id = 1);
    SAID("end 1 killed may-have-run; assign 2 0.1; spawn 2.1; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).max_workers_busy_concurrently, 1);
}

TEST(pool, an_idle_spare_makes_room_when_a_worker_is_killed)
{
    OPEN(.min_workers = 1, .max_workers = 1, .spare_workers = 1, .backlog_tasks = 1);
    rig_raise(&rig, 2);
    SUBMIT();
    rig_said(&rig);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_KILLED);
    SUBMIT();
    CU_ASSERT(strstr(rig_said(&rig), "assign 2 0.1; ") != NULL);
}

TEST(pool, spares_stay_when_workers_leave_for_want_of_work)
{
    OPEN(.min_workers = 0, .max_workers = 2, .spare_workers = 1, .idle_timeout_ns = 10 * LP_MS);
    rig_raise(&rig, 1);
    SUBMIT();
    SAID("assign 1 0.1; spawn 1.1; ");
    TELL(1, SPAWNED, .pid = 102);
    TELL(1, READY);
    TELL(0, RESULT, .task_id = 1);
    rig_said(&rig);
    rig_pass(&rig, 1000);
    SAID("retire 1.1; ");
    TELL(1, EXITED);
    TELL(1, EMPTY);
    rig_pass(&rig, 1000);
    SAID("");
    CU_ASSERT_EQUAL(rig_in(&rig, LP_WORKER_IDLE), 1);
}

TEST(pool, spares_are_not_wanted_by_a_pool_that_ends)
{
    OPEN(.min_workers = 1, .max_workers = 1, .spare_workers = 2);
    rig_raise(&rig, 3);
    SUBMIT();
    rig_said(&rig);
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT);
    TELL(0, EXITED, .signal = SIGKILL);
    SAID("");
    TELL(2, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; retire 1.1; retire 2.1; ");
}

TEST(pool, an_idle_worker_is_replaced_at_its_age)
{
    OPEN(.min_workers = 1, .max_workers = 1, .max_age_ns = 5000 * LP_MS);
    rig_raise(&rig, 1);
    rig_pass(&rig, 4999);
    SAID("");
    rig_pass(&rig, 1);
    SAID("retire 0.1; spawn 1.1; ");
    DIE(0);
    CU_ASSERT_EQUAL(WORKERS_ENDED(COMPLETED), 1);
    rise(1);
    rig_pass(&rig, 4999);
    SAID("");
}

TEST(pool, a_busy_worker_is_replaced_after_the_task_in_which_it_has_aged)
{
    OPEN(.min_workers = 1, .max_workers = 1, .max_age_ns = 5000 * LP_MS);
    rig_raise(&rig, 1);
    rig_pass(&rig, 1000);
    SUBMIT(.run_timeout_ns = 9000 * LP_MS);
    SUBMIT();
    SAID("assign 1 0.1; ");
    rig.started_id = 1;
    rig_pass(&rig, 8000);
    SAID("");
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; retire 0.1; spawn 1.1; ");
    rise(1);
    SAID("assign 2 1.1; ");
}

TEST(pool, an_age_counts_from_the_end_of_the_initializer)
{
    OPEN(.max_workers = 1, .max_age_ns = 1000 * LP_MS);
    SUBMIT();
    STEP(TICK);
    STEP(ZYGOTE_UP, .pid = 100);
    TELL(0, SPAWNED, .pid = 101);
    rig_pass(&rig, 30000);
    rig_said(&rig);
    TELL(0, READY);
    SAID("assign 1 0.1; ");
    rig_pass(&rig, 999);
    TELL(0, RESULT, .task_id = 1); /* else one that is slow to start would run one task only */
    SAID("end 1 completed has-run; ");
}

TEST(pool, a_deadline_of_before_does_not_send_the_young_away)
{
    OPEN(.min_workers = 1, .max_workers = 1, .max_age_ns = 1000 * LP_MS);
    rig_raise(&rig, 1);
    rig_pass(&rig, 999);
    TELL(0, DEADLINE);
    SAID("");
}

TEST(pool, workers_that_started_at_once_leave_one_by_one)
{
    OPEN(.min_workers = 4, .max_workers = 4, .max_age_ns = 4000 * LP_MS, .tasks_per_worker = 1000,
         .jitter_percent = 50, .seed = 1);
    rig_raise(&rig, 4);
    for (uint32_t slot = 0; slot < 4; slot++) {
        const struct lp_worker *worker = &rig.pool.workers[slot];
        CU_ASSERT_TRUE(worker->aged_ns >= rig.now_ns + 2000 * LP_MS);
        CU_ASSERT_TRUE(worker->aged_ns <= rig.now_ns + 4000 * LP_MS);
        CU_ASSERT_TRUE(worker->tasks_limit >= 500 && worker->tasks_limit <= 1000);
        for (uint32_t other = 0; other < slot; other++) {
            CU_ASSERT_NOT_EQUAL(worker->aged_ns, rig.pool.workers[other].aged_ns);
            CU_ASSERT_NOT_EQUAL(worker->tasks_limit, rig.pool.workers[other].tasks_limit);
        }
    }
    rig_pass(&rig, 4000);
    CU_ASSERT_EQUAL(rig_in(&rig, LP_WORKER_RETIRING), 4);
}

TEST(pool, no_worker_is_too_old_in_its_first_second)
{
    OPEN(.min_workers = 1, .max_workers = 1, .max_age_ns = 1, .jitter_percent = 100);
    rig_raise(&rig, 1);
    rig_pass(&rig, 999);
    SAID("");
    rig_pass(&rig, 1);
    SAID("retire 0.1; spawn 1.1; ");
}

TEST(pool, a_worker_is_recycled_at_its_own_limit)
{
    OPEN(.min_workers = 1, .max_workers = 1, .tasks_per_worker = 10, .jitter_percent = 90);
    rig_raise(&rig, 1);
    rig.pool.workers[0].tasks_limit = 2;
    SUBMIT();
    TELL(0, RESULT, .task_id = 1);
    SUBMIT();
    rig_said(&rig);
    TELL(0, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; retire 0.1; spawn 1.1; ");
}

TEST(pool, an_exclusive_pool_waits_until_the_old_tree_is_gone)
{
    OPEN(.min_workers = 1, .max_workers = 1, .exclusive = true, .tasks_per_worker = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    TELL(0, RESULT, .task_id = 1);
    SAID("assign 1 0.1; end 1 completed has-run; retire 0.1; ");
    TELL(0, EXITED);
    SAID("");
    TELL(0, EMPTY);
    SAID("spawn 0.2; ");
}

TEST(pool, a_resize_takes_effect_at_once)
{
    OPEN(.min_workers = 1, .max_workers = 2, .workers_limit = 3);
    rig_raise(&rig, 1);
    CU_ASSERT_EQUAL(lp_pool_resize(&rig.pool, 1, 4, rig.now_ns), -EINVAL);
    CU_ASSERT_EQUAL(lp_pool_resize(&rig.pool, 3, 2, rig.now_ns), -EINVAL);
    CU_ASSERT_EQUAL(lp_pool_resize(&rig.pool, 0, 0, rig.now_ns), -EINVAL);
    CU_ASSERT_EQUAL(lp_pool_resize(&rig.pool, 3, 3, rig.now_ns), 0);
    rig_perform(&rig);
    SAID("spawn 1.1; spawn 2.1; ");
    rise(1);
    rise(2);
    SUBMIT();
    rig_said(&rig);
    CU_ASSERT_EQUAL(lp_pool_resize(&rig.pool, 0, 1, rig.now_ns), 0);
    rig_perform(&rig);
    SAID("retire 0.1; retire 1.1; ");
    TELL(2, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; ");
}

TEST(pool, a_worker_that_only_starts_does_not_drive_out_a_ready_one)
{
    OPEN(.min_workers = 2, .max_workers = 2);
    rig_raise(&rig, 1);
    SUBMIT();
    SUBMIT();
    CU_ASSERT_EQUAL(lp_pool_resize(&rig.pool, 1, 1, rig.now_ns), 0);
    rig_perform(&rig);
    TELL(0, RESULT, .task_id = 1);
    SAID("assign 1 0.1; end 1 completed has-run; assign 2 0.1; ");
    rise(1);
    SAID("retire 1.1; ");
}

TEST(pool, busy_workers_beyond_a_new_maximum_leave_after_their_task)
{
    OPEN(.min_workers = 2, .max_workers = 2);
    rig_raise(&rig, 2);
    SUBMIT();
    SUBMIT();
    SUBMIT();
    CU_ASSERT_EQUAL(lp_pool_resize(&rig.pool, 1, 1, rig.now_ns), 0);
    rig_perform(&rig);
    SAID("assign 1 1.1; assign 2 0.1; ");
    TELL(0, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; retire 0.1; ");
    TELL(1, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; assign 3 1.1; ");
}

/* ---- groups and ageing -------------------------------------------------------------------------- */

TEST(pool, a_group_is_cancelled_and_nothing_else)
{
    OPEN(.min_workers = 2, .max_workers = 2, .backlog_tasks = 100);
    struct lp_group_cancel cancel = {.group = 7};
    rig_raise(&rig, 2);
    SUBMIT(.group = 7);
    SUBMIT(.group = 8);
    SUBMIT(.group = 7);
    SUBMIT();
    rig_said(&rig);
    CU_ASSERT_TRUE(lp_pool_cancel_group(&rig.pool, &cancel, rig.now_ns));
    rig_perform(&rig);
    SAID("end 1 cancelled may-have-run; kill 1.1; end 3 cancelled not-started; spawn 2.1; ");
    CU_ASSERT_EQUAL(cancel.dequeued, 1);
    CU_ASSERT_EQUAL(cancel.killed, 1);
    TELL(0, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; assign 4 0.1; ");
}

TEST(pool, a_large_group_is_cancelled_in_batches_and_none_of_it_begins_meanwhile)
{
    OPEN(.max_workers = 1, .backlog_tasks = 100);
    struct lp_group_cancel cancel = {.group = 7};
    for (int i = 0; i < 70; i++)
        SUBMIT(.group = 7);
    STEP(ZYGOTE_UP, .pid = 100);
    CU_ASSERT_FALSE(lp_pool_cancel_group(&rig.pool, &cancel, rig.now_ns));
    CU_ASSERT_EQUAL(cancel.dequeued, LP_ENDS_PER_STEP);
    rig_perform(&rig);
    CU_ASSERT_TRUE(lp_pool_cancel_group(&rig.pool, &cancel, rig.now_ns));
    rig_perform(&rig);
    CU_ASSERT_EQUAL(cancel.dequeued, 70);
    CU_ASSERT_EQUAL(ENDED(CANCELLED), 70);
}

TEST(pool, a_low_priority_does_not_starve_with_ageing)
{
    OPEN(.min_workers = 1, .max_workers = 1, .backlog_tasks = 100, .ageing_ns = LP_MS);
    rig_raise(&rig, 1);
    SUBMIT();
    SUBMIT(.priority = 5);
    uint64_t done = 0, waited = 0;
    while (waited < 100 && rig.pool.tasks.table[1].state == LP_TASK_PENDING) {
        SUBMIT();
        rig_pass(&rig, 1);
        TELL(0, RESULT, .task_id = rig.pool.tasks.table[rig.pool.workers[0].task].id);
        waited++;
        done += ENDED(COMPLETED);
    }
    CU_ASSERT_EQUAL(waited, 7); /* five levels, the task that ran, and the one of the same time */
    CU_ASSERT(done > 0);
}

/* ---- recycling ---------------------------------------------------------------------------------- */

static void recycle(uint32_t parallel)
{
    CU_ASSERT_EQUAL(lp_pool_recycle(&rig.pool, parallel, rig.now_ns), 0);
    rig_perform(&rig);
}

TEST(pool, a_recycle_replaces_so_many_at_a_time)
{
    OPEN(.min_workers = 3, .max_workers = 3);
    rig_raise(&rig, 3);
    CU_ASSERT_EQUAL(lp_pool_recycle(&rig.pool, 0, rig.now_ns), -EINVAL);
    recycle(2);
    SAID("retire 0.1; retire 1.1; spawn 3.1; spawn 4.1; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).generation, 2);
    CU_ASSERT_EQUAL(rig_stats(&rig).worker_processes_outdated, 3);
    rise(3);
    SAID("retire 2.1; ");
    DIE(0);
    DIE(1);
    DIE(2);
    SAID("spawn 0.2; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).worker_processes_outdated, 0);
    rise(0);
    rise(4);
    SAID("");
    CU_ASSERT_EQUAL(rig_in(&rig, LP_WORKER_IDLE), 3);
}

TEST(pool, a_busy_worker_is_recycled_after_its_task_and_gets_none_ahead)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    SUBMIT();
    recycle(1);
    SAID("assign 1 0.1; ");
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; retire 0.1; spawn 1.1; ");
    rise(1);
    SAID("assign 2 1.1; ");
}

TEST(pool, while_others_are_missing_no_worker_is_recycled)
{
    OPEN(.min_workers = 2, .max_workers = 2);
    rig_raise(&rig, 2);
    TELL(0, GONE);
    SAID("spawn 2.1; ");
    recycle(1);
    SAID("");
    rise(2);
    SAID("retire 1.1; spawn 3.1; ");
}

TEST(pool, idle_workers_that_nobody_needs_are_recycled_and_not_lost)
{
    OPEN(.max_workers = 2, .idle_timeout_ns = 5000 * LP_MS);
    SUBMIT();
    STEP(ZYGOTE_UP, .pid = 100);
    rise(0);
    TELL(0, RESULT, .task_id = 1);
    rig_said(&rig);
    recycle(1);
    SAID("retire 0.1; spawn 1.1; ");
    DIE(0);
    rise(1);
    SAID("");
    rig_pass(&rig, 5000);
    SAID("retire 1.1; ");
}

TEST(pool, a_recycle_begins_again_and_ends_with_the_shutdown)
{
    OPEN(.min_workers = 1, .max_workers = 1, .notes = true);
    rig_raise(&rig, 1);
    recycle(1);
    SAID("note recycle-begun; retire 0.1; note worker-retired; spawn 1.1; ");
    rise(1);
    rig_said(&rig);
    SUBMIT();
    recycle(1);
    recycle(1);
    CU_ASSERT_EQUAL(rig_stats(&rig).generation, 4);
    rig_said(&rig);
    TELL(1, RESULT, .task_id = 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig_said(&rig), "retire 1.1; "));
    RIG_STEP(&rig, SHUTDOWN, .flags = LIBPOOL_CANCEL);
    CU_ASSERT_EQUAL(lp_pool_recycle(&rig.pool, 1, rig.now_ns), -ESHUTDOWN);
}

/* ---- failures and backoff --------------------------------------------------------------------- */

TEST(pool, after_a_failed_spawn_one_worker_goes_ahead)
{
    OPEN(.min_workers = 3, .max_workers = 3);
    rig_raise(&rig, 0);
    for (uint32_t slot = 0; slot < 3; slot++)
        TELL(slot, SPAWN_FAILED, .error = -EAGAIN);
    SAID("");
    CU_ASSERT_EQUAL(rig_stats(&rig).degraded, 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).degraded_error, -EAGAIN);
    rig_pass(&rig, 10);
    SAID("spawn 0.2; ");
    rise(0);
    rig_pass(&rig, 999);
    SAID("");
    rig_pass(&rig, 1);
    SAID("spawn 1.2; spawn 2.2; ");
}

TEST(pool, the_first_result_shows_that_the_failures_are_over)
{
    OPEN(.min_workers = 3, .max_workers = 3);
    rig_raise(&rig, 0);
    TELL(0, SPAWN_FAILED, .error = -ENOMEM);
    TELL(1, SPAWN_FAILED, .error = -ENOMEM);
    TELL(2, SPAWN_FAILED, .error = -ENOMEM);
    rig_pass(&rig, 10);
    rise(0);
    SUBMIT();
    SAID("spawn 0.2; assign 1 0.2; ");
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; spawn 1.2; spawn 2.2; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).degraded, 0);
}

/* Spawns in ten seconds of a pool in which each worker comes to the same end. */
static uint32_t spawns_while(struct lp_event fate, bool ready)
{
    uint32_t spawns = 0;
    OPEN(.min_workers = 8, .max_workers = 8);
    rig_raise(&rig, 0);
    rig_pass(&rig, 1);
    for (uint64_t end_ns = rig.now_ns + 10000 * LP_MS; rig.now_ns < end_ns; rig_pass(&rig, 1))
        for (uint32_t slot = 0; slot < rig.pool.slots; slot++) {
            if (STATE(slot) != LP_WORKER_SPAWNING)
                continue;
            spawns++;
            if (fate.kind != LP_EVENT_SPAWN_FAILED)
                TELL(slot, SPAWNED, .pid = 101);
            if (ready)
                TELL(slot, READY);
            rig_tell(&rig, slot, fate);
            DIE(slot, .signal = SIGKILL);
        }
    return spawns;
}

TEST(pool, when_everything_fails_the_backoff_bounds_the_spawns)
{
    /* 8 at once, then pauses of 10, 20, 40... 640 ms, 1 s. */
    static const struct {
        enum lp_event_kind fate;
        bool ready;
    } cases[] = {
        {LP_EVENT_SPAWN_FAILED, false}, {LP_EVENT_CORRUPT, false}, {LP_EVENT_CORRUPT, true},
        {LP_EVENT_GONE, false},         {LP_EVENT_GONE, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t spawns = spawns_while((struct lp_event){.kind = cases[i].fate}, cases[i].ready);
        CU_ASSERT(spawns >= 8 + 7 && spawns <= 45);
    }
}

TEST(pool, a_zygote_that_dies_at_once_is_not_restarted_at_once)
{
    uint32_t starts = 0;
    OPEN(.min_workers = 1, .max_workers = 1);
    STEP(TICK);
    for (uint64_t end_ns = rig.now_ns + 10000 * LP_MS; rig.now_ns < end_ns; rig_pass(&rig, 1)) {
        if (rig.pool.zygote != LP_ZYGOTE_STARTING)
            continue;
        starts++;
        STEP(ZYGOTE_UP, .pid = 100);
        STEP(ZYGOTE_LOST);
    }
    CU_ASSERT(starts >= 12 && starts <= 25);
}

TEST(pool, without_an_initialised_worker_tasks_fail_and_the_pool_goes_on_trying)
{
    OPEN(.max_workers = 1, .initializer_failures = 2);
    rig_raise(&rig, 0);
    SUBMIT();
    STEP(ZYGOTE_UP, .pid = 100);
    for (uint32_t slot = 0; slot < 2; slot++) {
        TELL(slot, SPAWNED, .pid = 101);
        TELL(slot, INIT_FAILED, .code = 3);
        TELL(slot, EXITED, .code = 1);
        rig_pass(&rig, 30);
    }
    SAID("zygote-start; spawn 0.1; spawn 1.1; end 1 init-failed not-started; ");
    CU_ASSERT_EQUAL(rig.pool.tasks.table[0].outcome.code, 3);
    TELL(0, EMPTY);
    TELL(1, EMPTY);
    CU_ASSERT_EQUAL(SUBMIT(), 0);
    SAID("spawn 0.2; end 2 init-failed not-started; ");
    rise(0);
    SUBMIT();
    SAID("assign 3 0.2; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).initializers_failed, 2);
}

TEST(pool, another_outfit_is_tried_at_once)
{
    OPEN(.max_workers = 1, .initializer_failures = 1);
    SUBMIT();
    STEP(ZYGOTE_UP, .pid = 100);
    TELL(0, SPAWNED, .pid = 101);
    TELL(0, INIT_FAILED, .code = 3);
    DIE(0, .code = 1);
    SAID("zygote-start; spawn 0.1; end 1 init-failed not-started; ");
    lp_pool_dress(&rig.pool, rig.now_ns);
    SUBMIT();
    SAID("spawn 0.2; ");
    rise(0);
    SAID("assign 2 0.2; ");
}

TEST(pool, who_starts_in_an_outfit_that_was_changed_since_makes_no_pause)
{
    OPEN(.max_workers = 1, .initializer_failures = 1);
    rig_raise(&rig, 0);
    SUBMIT();
    STEP(ZYGOTE_UP, .pid = 100);
    TELL(0, SPAWNED, .pid = 101);
    rig_pass(&rig, 1);
    lp_pool_dress(&rig.pool, rig.now_ns);
    TELL(0, INIT_FAILED, .code = 3);
    DIE(0, .code = 1);
    SAID("zygote-start; spawn 0.1; spawn 1.1; ");
    rise(1);
    SAID("assign 1 1.1; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).initializers_failed, 1);
}

TEST(pool, another_outfit_does_not_wait_for_who_starts_in_the_old_one)
{
    OPEN(.max_workers = 2, .backoff_min_ns = 1000 * LP_MS, .backoff_max_ns = 1000 * LP_MS);
    SUBMIT();
    STEP(ZYGOTE_UP, .pid = 100);
    TELL(0, SPAWNED, .pid = 101);
    TELL(0, INIT_FAILED, .code = 3);
    DIE(0, .code = 1);
    rig_pass(&rig, 1000);
    TELL(0, SPAWNED, .pid = 102); /* it goes ahead, and takes its time */
    rig_said(&rig);
    SUBMIT();
    SAID("");
    lp_pool_dress(&rig.pool, rig.now_ns);
    rig_settle(&rig);
    SAID("spawn 1.1; ");
}

TEST(pool, who_is_ready_in_the_old_outfit_says_nothing_of_the_new_one)
{
    OPEN(.max_workers = 2, .initializer_failures = 1, .backoff_min_ns = 1, .backoff_max_ns = 1);
    SUBMIT();
    SUBMIT();
    STEP(ZYGOTE_UP, .pid = 100);
    TELL(0, SPAWNED, .pid = 101);
    TELL(1, SPAWNED, .pid = 102);
    lp_pool_dress(&rig.pool, rig.now_ns);
    rig.pool.initializer_failures = 1; /* as one in the new outfit would make it */
    TELL(0, READY);
    CU_ASSERT_EQUAL(rig.pool.initializer_failures, 1);
}

/* Each worker fails when there is yet another outfit. */
TEST(pool, outfits_in_a_row_are_no_storm_of_forks)
{
    uint32_t spawned = 0;
    OPEN(.max_workers = 1, .backoff_min_ns = 10 * LP_MS, .backoff_max_ns = 1000 * LP_MS);
    SUBMIT();
    STEP(ZYGOTE_UP, .pid = 100);
    for (uint32_t ms = 0; ms < 1000; ms++) {
        uint32_t slot = 0;
        while (slot < 3 && STATE(slot) != LP_WORKER_SPAWNING)
            slot++;
        lp_pool_dress(&rig.pool, rig.now_ns);
        rig_settle(&rig);
        rig_pass(&rig, 1);
        if (slot == 3)
            continue;
        spawned++;
        TELL(slot, SPAWNED, .pid = 101);
        TELL(slot, INIT_FAILED, .code = 3);
        DIE(slot, .code = 1);
        rig_said(&rig);
    }
    CU_ASSERT(spawned > 2);
    CU_ASSERT(spawned < 40);
}

TEST(pool, an_idle_pool_is_not_degraded_by_an_old_failure)
{
    OPEN(.max_workers = 1);
    rig_raise(&rig, 0);
    SUBMIT();
    STEP(ZYGOTE_UP, .pid = 100);
    TELL(0, SPAWN_FAILED, .error = -EAGAIN);
    CU_ASSERT_EQUAL(rig_stats(&rig).degraded, 1);
    rig_cancel(&rig, 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).degraded, 0);
    CU_ASSERT_EQUAL(rig_stats(&rig).degraded_error, 0);
}

/* ---- the zygote ------------------------------------------------------------------------------- */

TEST(pool, when_the_zygote_is_lost_the_idle_leave_and_the_busy_finish_first)
{
    OPEN(.min_workers = 2, .max_workers = 2);
    rig_raise(&rig, 2);
    rig_pass(&rig, 1000);
    SUBMIT();
    rig_said(&rig);
    STEP(ZYGOTE_LOST);
    SAID("retire 0.1; zygote-start; ");
    STEP(ZYGOTE_UP, .pid = 300);
    SAID("spawn 2.1; ");
    TELL(1, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; retire 1.1; spawn 3.1; ");
}

TEST(pool, what_was_being_spawned_is_asked_for_again)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 0);
    rig_pass(&rig, 1000);
    STEP(ZYGOTE_LOST);
    SAID("zygote-start; ");
    CU_ASSERT_EQUAL(STATE(0), LP_WORKER_VACANT);
    STEP(ZYGOTE_UP, .pid = 300);
    SAID("spawn 0.2; ");
}

TEST(pool, the_next_zygote_proves_the_trees_of_the_dead_empty)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    rig_pass(&rig, 1000);
    TELL(0, EXITED, .signal = SIGKILL);
    STEP(ZYGOTE_LOST);
    rig_said(&rig);
    STEP(ZYGOTE_UP, .pid = 300);
    SAID("clean 0.1; spawn 1.2; ");
}

TEST(pool, a_zygote_is_started_when_there_is_something_to_do_for_it)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    rig_pass(&rig, 1000);
    STEP(ZYGOTE_LOST);
    rig_said(&rig);
    TELL(0, EXITED, .unknown = true, .started_id = 1);
    SAID("end 1 lost may-have-run; zygote-start; ");
    STEP(ZYGOTE_UP, .pid = 300);
    SAID("clean 0.1; spawn 1.1; ");
}

TEST(pool, a_zygote_without_a_hello_is_dropped)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    STEP(TICK);
    rig_pass(&rig, 4999);
    SAID("zygote-start; ");
    rig_pass(&rig, 1);
    SAID("zygote-drop; ");
    STEP(ZYGOTE_LOST);
    rig_pass(&rig, 10);
    SAID("zygote-start; ");
}

TEST(pool, a_zygote_that_does_not_answer_a_spawn_is_dropped)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 0);
    rig_pass(&rig, 10000);
    SAID("zygote-drop; ");
    rig_pass(&rig, 10000); /* once */
    SAID("");
}

TEST(pool, a_mute_zygote_does_not_keep_an_exclusive_pool_waiting)
{
    OPEN(.min_workers = 1, .max_workers = 1, .exclusive = true);
    rig_raise(&rig, 1);
    rig_pass(&rig, 2000);
    TELL(0, GONE);
    rig_pass(&rig, 10000);
    SAID("zygote-drop; ");
    STEP(ZYGOTE_LOST);
    rig_pass(&rig, 1000);
    SAID("zygote-start; ");
    STEP(ZYGOTE_UP, .pid = 300);
    TELL(0, EMPTY);
    SAID("clean 0.1; spawn 0.2; ");
}

TEST(pool, who_waits_for_the_same_proof_again_waits_twice_as_long)
{
    OPEN(.max_workers = 2);
    SUBMIT();
    STEP(ZYGOTE_UP, .pid = 100);
    rise(0);
    TELL(0, RESULT, .task_id = 1);
    TELL(0, EXITED, .signal = SIGKILL);
    rig_pass(&rig, 10000);
    STEP(ZYGOTE_LOST);
    rig_pass(&rig, 2000);
    STEP(ZYGOTE_UP, .pid = 300);
    rig_said(&rig);
    rig_pass(&rig, 19999);
    SAID("");
    rig_pass(&rig, 1);
    SAID("zygote-drop; ");
}

/* ---- shutdown ----------------------------------------------------------------------------------- */

/* One busy with task 1, one idle, and task 2 waits for a worker of its own... of two. */
static void busy_pool(void)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 1);
    SUBMIT();
    SUBMIT();
    rig_said(&rig);
}

TEST(pool, shutdown_wait_runs_everything_then_lets_them_leave)
{
    busy_pool();
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT);
    CU_ASSERT_EQUAL(SUBMIT(), -ESHUTDOWN);
    SAID("");
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; assign 2 0.1; ");
    TELL(0, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; retire 0.1; ");
    DIE(0);
    SAID("down; ");
}

TEST(pool, shutdown_wait_cancel_finishes_what_runs)
{
    busy_pool();
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT | LIBPOOL_CANCEL);
    SAID("end 2 shutdown not-started; ");
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; retire 0.1; ");
}

TEST(pool, shutdown_cancel_kills_what_runs)
{
    busy_pool();
    STEP(SHUTDOWN, .flags = LIBPOOL_CANCEL);
    SAID("end 1 shutdown may-have-run; kill 0.1; end 2 shutdown not-started; ");
    DIE(0, .signal = SIGKILL);
    SAID("down; ");
    CU_ASSERT_EQUAL(WORKERS_ENDED(SHUTDOWN), 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_failed, 0);
}

TEST(pool, shutdown_cancel_lets_the_idle_finalize)
{
    OPEN(.min_workers = 1, .max_workers = 1, .has_finalizer = true);
    rig_raise(&rig, 1);
    STEP(SHUTDOWN, .flags = LIBPOOL_CANCEL);
    SAID("retire 0.1; ");
}

TEST(pool, the_shutdowns_deadline_kills_what_is_left)
{
    busy_pool();
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT, .deadline_ns = rig.now_ns + 100 * LP_MS);
    rig_pass(&rig, 99);
    SAID("");
    rig_pass(&rig, 1);
    SAID("end 1 shutdown may-have-run; kill 0.1; end 2 shutdown not-started; ");
    CU_ASSERT(rig.pool.overran);
}

TEST(pool, what_can_t_be_killed_is_given_up_after_a_second)
{
    busy_pool();
    STEP(SHUTDOWN, .flags = LIBPOOL_CANCEL, .deadline_ns = rig.now_ns);
    rig_said(&rig);
    rig_pass(&rig, 999);
    SAID("");
    rig_pass(&rig, 1);
    SAID("down; ");
    CU_ASSERT_EQUAL(lp_pool_next_deadline(&rig.pool), UINT64_MAX);
}

TEST(pool, a_later_shutdown_may_hasten_and_not_put_off)
{
    busy_pool();
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT, .deadline_ns = rig.now_ns + 100 * LP_MS);
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT, .deadline_ns = rig.now_ns + 900 * LP_MS);
    CU_ASSERT_EQUAL(lp_pool_next_deadline(&rig.pool), rig.now_ns + 100 * LP_MS);
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT, .deadline_ns = rig.now_ns + 50 * LP_MS);
    CU_ASSERT_EQUAL(lp_pool_next_deadline(&rig.pool), rig.now_ns + 50 * LP_MS);
    SAID("");
    STEP(SHUTDOWN, .flags = LIBPOOL_CANCEL);
    SAID("end 1 shutdown may-have-run; kill 0.1; end 2 shutdown not-started; ");
}

TEST(pool, a_worker_under_way_is_killed_as_soon_as_it_is_there)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    rig_raise(&rig, 0);
    STEP(SHUTDOWN);
    SAID("");
    TELL(0, SPAWNED, .pid = 101);
    SAID("kill 0.1; ");
    DIE(0, .signal = SIGKILL);
    SAID("down; ");
}

TEST(pool, an_unused_pool_is_down_at_once)
{
    OPEN(.max_workers = 1);
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT);
    SAID("down; ");
}

TEST(pool, after_the_end_nothing_follows_but_deaths_are_counted)
{
    busy_pool();
    STEP(SHUTDOWN, .flags = LIBPOOL_CANCEL, .deadline_ns = rig.now_ns);
    rig_pass(&rig, 1000);
    rig_said(&rig);
    TELL(0, EXITED, .signal = SIGKILL);
    STEP(ZYGOTE_LOST);
    STEP(SHUTDOWN, .flags = LIBPOOL_CANCEL);
    STEP(TICK);
    SAID("");
    CU_ASSERT_EQUAL(WORKERS_ENDED(SHUTDOWN), 1);
}

/* ---- bounds ----------------------------------------------------------------------------------- */

TEST(pool, many_ends_are_spread_over_steps)
{
    OPEN(.max_workers = 1, .backlog_tasks = 200);
    for (int i = 0; i < 200; i++)
        SUBMIT(.queue_timeout_ns = 10 * LP_MS);
    rig.now_ns += 10 * LP_MS;
    for (uint64_t ended = 0; ended < 200; ended = ENDED(QUEUE_TIMEOUT)) {
        STEP(TICK);
        CU_ASSERT(ENDED(QUEUE_TIMEOUT) <= ended + LP_ENDS_PER_STEP);
        CU_ASSERT_EQUAL(rig.pool.more, ENDED(QUEUE_TIMEOUT) < 200);
    }
    CU_ASSERT_EQUAL(ENDED(QUEUE_TIMEOUT), 200);
}

/* Overdue, uninitialisable and shut down at once: no end may be lost for want of room. */
TEST(pool, however_many_reasons_a_step_ends_no_more_than_it_can_tell)
{
    OPEN(.max_workers = 1, .backlog_tasks = 400, .initializer_failures = 1, .notes = true);
    rig_raise(&rig, 0);
    for (int i = 0; i < 300; i++)
        SUBMIT(.queue_timeout_ns = i < 100 ? 10 * LP_MS : 0);
    STEP(ZYGOTE_UP, .pid = 100);
    TELL(0, SPAWNED, .pid = 101);
    STEP(SHUTDOWN, .flags = LIBPOOL_WAIT, .deadline_ns = rig.now_ns + 10 * LP_MS);
    rig_said(&rig);
    rig.now_ns += 10 * LP_MS;
    TELL(0, EXITED, .code = 1);
    CU_ASSERT(rig.pool.more);
    CU_ASSERT(strstr(rig_said(&rig), "BROKEN") == NULL);
    libpool_stats stats = rig_stats(&rig);
    CU_ASSERT(stats.tasks_pending >= 300 - LP_ENDS_PER_STEP);
    while (rig.pool.more)
        STEP(TICK);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_pending, 0);
    CU_ASSERT_EQUAL(rig.pool.tasks.ended, 0); /* each was told, performed and released */
}

TEST(pool, each_deadline_is_told_once)
{
    OPEN(.min_workers = 2, .max_workers = 2);
    rig_raise(&rig, 0);
    TELL(0, SPAWNED, .pid = 101);
    TELL(1, SPAWNED, .pid = 102);
    rig.now_ns += 60000 * LP_MS;
    uint32_t first = lp_pool_due(&rig.pool, rig.now_ns);
    TELL(first, DEADLINE);
    uint32_t second = lp_pool_due(&rig.pool, rig.now_ns);
    TELL(second, DEADLINE);
    CU_ASSERT_EQUAL(first + second, 1);
    CU_ASSERT_EQUAL(lp_pool_due(&rig.pool, rig.now_ns), LP_NONE);
    CU_ASSERT(lp_pool_next_deadline(&rig.pool) > rig.now_ns);
}

/* ---- telling ---------------------------------------------------------------------------------- */

TEST(pool, the_event_stream_tells_a_tasks_life)
{
    OPEN(.max_workers = 1, .tasks_per_worker = 1, .notes = true);
    SUBMIT();
    STEP(ZYGOTE_UP, .pid = 100);
    rise(0);
    TELL(0, RESULT, .task_id = 1);
    DIE(0);
    SAID("note task-received; zygote-start; note zygote-started; spawn 0.1; note worker-spawned; "
         "note worker-ready; assign 1 0.1; note task-launched; end 1 completed has-run; "
         "note task-ended; note drained; retire 0.1; note worker-retired; note worker-exited; ");
}

TEST(pool, the_stats_are_one_consistent_picture)
{
    OPEN(.min_workers = 2, .max_workers = 2);
    rig_raise(&rig, 2);
    SUBMIT(.bytes = 7);
    SUBMIT();
    SUBMIT(.bytes = 9);
    lp_pool_reject(&rig.pool, 1);
    TELL(0, EXITED, .signal = SIGSEGV, .started_id = 2);
    libpool_stats stats = rig_stats(&rig);
    CU_ASSERT_EQUAL(stats.size, sizeof stats);
    CU_ASSERT_EQUAL(stats.tasks_received, 3);
    CU_ASSERT_EQUAL(stats.tasks_launched, 2);
    CU_ASSERT_EQUAL(stats.tasks_pending, 1);
    CU_ASSERT_EQUAL(stats.tasks_running, 1);
    CU_ASSERT_EQUAL(stats.tasks_failed, 1);
    CU_ASSERT_EQUAL(stats.tasks_rejected, 1);
    CU_ASSERT_EQUAL(stats.tasks_ended[LIBPOOL_CRASH], 1);
    CU_ASSERT_EQUAL(stats.backlog_bytes, 9);
    CU_ASSERT_EQUAL(stats.worker_processes_created, 2);
    CU_ASSERT_EQUAL(stats.worker_processes_still_alive, 1);
    CU_ASSERT_EQUAL(stats.worker_processes_busy, 1);
    CU_ASSERT_EQUAL(stats.worker_processes_idle, 0);
    CU_ASSERT_EQUAL(stats.max_workers_busy_concurrently, 2);
    CU_ASSERT_EQUAL(stats.workers_ended[LIBPOOL_CRASH], 1);
}

/* A checker that never fails is worth nothing. */
TEST(pool, the_checker_notices)
{
    busy_pool();
    struct lp_pool *pool = &rig.pool;
    CU_ASSERT(lp_pool_check(pool));
    pool->stats.tasks_received++;
    CU_ASSERT_FALSE(lp_pool_check(pool));
    pool->stats.tasks_received--;
    pool->stats.worker_processes_created++;
    CU_ASSERT_FALSE(lp_pool_check(pool));
    pool->stats.worker_processes_created--;
    pool->in_state[LP_WORKER_BUSY]++;
    CU_ASSERT_FALSE(lp_pool_check(pool));
    pool->in_state[LP_WORKER_BUSY]--;
    pool->idle_oldest = 0;
    CU_ASSERT_FALSE(lp_pool_check(pool));
    pool->idle_oldest = LP_NONE;
    pool->n_actions = pool->actions_capacity;
    CU_ASSERT_FALSE(lp_pool_check(pool));
}
