/* SPDX-License-Identifier: MIT */
/* A pool with a governor: transcripts of what the policy decides. */
#include "core/places.h"

#include "core/rig.h"
#include "harness/test.h"

static struct rig rig;

#define OPEN(...) rig_open(&rig, &(struct lp_pool_config){.governed = true, ##__VA_ARGS__})
#define SUBMIT(...) RIG_SUBMIT(&rig, ##__VA_ARGS__)
#define TELL(slot, kind, ...) RIG_TELL(&rig, slot, kind, ##__VA_ARGS__)
#define STEP(kind, ...) RIG_STEP(&rig, kind, ##__VA_ARGS__)
#define SAID(...) CU_ASSERT_STRING_EQUAL(rig_said(&rig), __VA_ARGS__)

static void rise(uint32_t slot)
{
    TELL(slot, SPAWNED, .pid = 200 + (int)slot);
    TELL(slot, READY);
}

/* Workers 0..n - 1, ready, each with a place. */
static void raise_workers(uint32_t n, uint32_t share)
{
    STEP(TICK);
    STEP(ZYGOTE_UP, .pid = 100);
    STEP(PLACES, .granted = n, .share = share);
    for (uint32_t slot = 0; slot < n; slot++)
        rise(slot);
    rig_pass(&rig, 1500); /* nobody's death is an early one */
    rig_said(&rig);
}

TEST(places, a_worker_is_started_where_there_is_a_place)
{
    OPEN(.max_workers = 3);
    SUBMIT();
    SUBMIT();
    SUBMIT();
    SAID("zygote-start; ");
    STEP(ZYGOTE_UP, .pid = 100);
    SAID("want 3; ");
    STEP(PLACES, .granted = 2, .share = 2);
    SAID("spawn 0.1; spawn 1.1; ");
    rise(0);
    rise(1);
    SAID("assign 1 0.1; assign 2 1.1; ");
    STEP(PLACES, .granted = 1, .share = 2);
    SAID("spawn 2.1; ");
}

TEST(places, what_is_not_wanted_any_more_is_given_back)
{
    OPEN(.max_workers = 2);
    SUBMIT();
    STEP(ZYGOTE_UP, .pid = 100);
    SAID("zygote-start; want 1; ");
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_DEQUEUED);
    SAID("end 1 cancelled not-started; want 0; ");
    STEP(PLACES, .granted = 1, .share = 1);
    SAID("give 1; ");
}

TEST(places, within_its_share_a_dead_worker_s_place_is_its_replacement_s)
{
    OPEN(.min_workers = 2, .max_workers = 2);
    raise_workers(2, 2);
    TELL(1, EXITED, .signal = 9);
    SAID("spawn 2.1; ");
    CU_ASSERT_EQUAL(rig.pool.places.held, 2);
}

TEST(places, beyond_its_share_it_has_to_queue_up_again)
{
    OPEN(.min_workers = 2, .max_workers = 2);
    raise_workers(2, 1);
    STEP(PLACES, .share = 1, .yield = LP_YIELD_IDLE);
    TELL(1, EXITED, .signal = 9);
    SAID("give 1; want 1; ");
    STEP(PLACES, .granted = 1, .share = 1, .yield = LP_YIELD_IDLE);
    SAID("spawn 2.1; "); /* it was its turn, though others wait */
}

TEST(places, where_nobody_waits_a_dead_worker_is_replaced_at_once)
{
    OPEN(.min_workers = 2, .max_workers = 2);
    raise_workers(2, 1);
    TELL(1, EXITED, .signal = 9);
    SAID("spawn 2.1; ");
    TELL(2, SPAWN_FAILED, .error = -11);
    SAID("give 1; ");
    rig_pass(&rig, 20);
    SAID("want 1; ");
}

TEST(places, nobody_is_started_beyond_the_share_while_others_are_below_theirs)
{
    OPEN(.max_workers = 3);
    for (int i = 0; i < 6; i++)
        SUBMIT();
    raise_workers(3, 2);
    STEP(PLACES, .share = 2, .yield = LP_YIELD_SHARE);
    TELL(1, RESULT, .task_id = 2);
    rig_said(&rig);
    TELL(1, EXITED, .code = 0);
    SAID("give 1; ");
    CU_ASSERT_EQUAL(rig.pool.places.held, 2);
}

TEST(places, idle_workers_leave_when_others_wait_down_to_the_reserve)
{
    OPEN(.max_workers = 3, .idle_timeout_ns = 100000 * LP_MS);
    SUBMIT();
    SUBMIT();
    SUBMIT();
    raise_workers(3, 2);
    for (uint32_t slot = 0; slot < 2; slot++)
        TELL(slot, RESULT, .task_id = slot + 1);
    rig_said(&rig);
    STEP(PLACES, .share = 2, .yield = LP_YIELD_IDLE);
    SAID("retire 0.1; retire 1.1; ");
    TELL(2, RESULT, .task_id = 3);
    CU_ASSERT_EQUAL(rig_in(&rig, LP_WORKER_IDLE), 1); /* the reserve */
    rig_said(&rig);
    TELL(0, EXITED, .code = 0);
    SAID("give 1; ");
}

TEST(places, busy_workers_beyond_the_share_leave_after_their_task)
{
    OPEN(.max_workers = 3);
    for (int i = 0; i < 6; i++)
        SUBMIT();
    raise_workers(3, 2);
    STEP(PLACES, .share = 2, .yield = LP_YIELD_SHARE);
    SAID("");
    TELL(1, RESULT, .task_id = 2);
    SAID("end 2 completed has-run; retire 1.1; want 1; ");
    TELL(0, RESULT, .task_id = 1);
    SAID("end 1 completed has-run; assign 4 0.1; ");
}

TEST(places, who_was_killed_and_is_long_in_dying_holds_no_place)
{
    OPEN(.min_workers = 1, .max_workers = 1);
    SUBMIT(.run_timeout_ns = LP_MS);
    raise_workers(1, 1);
    CU_ASSERT_EQUAL(rig.pool.workers[0].state, LP_WORKER_BUSY);
    CU_ASSERT_EQUAL(rig_cancel(&rig, 1), LP_CANCEL_KILLED);
    CU_ASSERT_EQUAL(rig.pool.workers[1].state, LP_WORKER_VACANT);
    rig_pass(&rig, 10000);
    CU_ASSERT_EQUAL(rig.pool.places.overdue, 1);
    STEP(ZYGOTE_LOST);
    rig_pass(&rig, 2000);
    STEP(ZYGOTE_UP, .pid = 101);
    CU_ASSERT_EQUAL(rig.pool.workers[1].state, LP_WORKER_SPAWNING);
    TELL(0, EXITED, .signal = 9);
    CU_ASSERT_EQUAL(rig.pool.places.overdue, 0);
}
