/* SPDX-License-Identifier: MIT */
/* Kinds of tasks that are held; the table by itself, then what the policy makes of it. */
#include "core/quarantine.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "core/rig.h"
#include "harness/test.h"

static struct rig rig;

#define DIED(kind) lp_quarantine_died(&quarantine, kind, 1)
#define HOLDS(kind) lp_quarantine_holds(&quarantine, kind, 1)

TEST(quarantine, holds_a_kind_after_so_many_deaths_in_a_row)
{
    struct lp_quarantine quarantine = {.limit = 3};
    CU_ASSERT(!DIED(7));
    CU_ASSERT(!DIED(7));
    lp_quarantine_worked(&quarantine, 7, 1);
    CU_ASSERT(!DIED(7));
    CU_ASSERT(!DIED(8));
    CU_ASSERT(!DIED(7));
    CU_ASSERT(!HOLDS(7));
    CU_ASSERT(DIED(7));
    CU_ASSERT(HOLDS(7));
    CU_ASSERT(!HOLDS(8));
    CU_ASSERT(!DIED(7)); /* it is held already */
    lp_quarantine_worked(&quarantine, 7, 1);
    CU_ASSERT(HOLDS(7));
}

TEST(quarantine, a_pardon_forgets_all)
{
    struct lp_quarantine quarantine = {.limit = 2};
    DIED(7);
    DIED(7);
    CU_ASSERT(lp_quarantine_pardon(&quarantine, 7, 1));
    CU_ASSERT(!HOLDS(7));
    CU_ASSERT(!lp_quarantine_pardon(&quarantine, 7, 1));
    CU_ASSERT(!DIED(7));
    CU_ASSERT(!HOLDS(7));
}

TEST(quarantine, when_its_time_is_up_one_more_death_holds_it_again)
{
    struct lp_quarantine quarantine = {.limit = 3, .period_ns = 100};
    DIED(7);
    DIED(7);
    CU_ASSERT(DIED(7));
    CU_ASSERT(lp_quarantine_holds(&quarantine, 7, 100));
    CU_ASSERT(!lp_quarantine_holds(&quarantine, 7, 101));
    CU_ASSERT(lp_quarantine_died(&quarantine, 7, 200));
    CU_ASSERT(lp_quarantine_holds(&quarantine, 7, 299));
}

TEST(quarantine, no_kind_and_no_limit_hold_nothing)
{
    struct lp_quarantine quarantine = {.limit = 1};
    CU_ASSERT(!DIED(0));
    CU_ASSERT(!HOLDS(0));
    quarantine.limit = 0;
    CU_ASSERT(!DIED(7));
    CU_ASSERT_EQUAL(quarantine.count, 0);
}

TEST(quarantine, a_full_table_forgets_the_oldest_and_those_that_are_held_last)
{
    struct lp_quarantine quarantine = {.limit = 2};
    DIED(1);
    CU_ASSERT(DIED(1));
    for (uint64_t kind = 2; kind <= LP_KINDS_MAX; kind++)
        DIED(kind);
    DIED(1000); /* in the place of 2 */
    CU_ASSERT_EQUAL(quarantine.count, LP_KINDS_MAX);
    CU_ASSERT(HOLDS(1));
    CU_ASSERT(DIED(3)); /* its second */
    CU_ASSERT(!DIED(2));
    for (uint64_t kind = 2000; kind < 2000 + 2 * LP_KINDS_MAX; kind++) {
        DIED(kind);
        CU_ASSERT(DIED(kind));
    }
    CU_ASSERT_EQUAL(quarantine.count, LP_KINDS_MAX);
    CU_ASSERT(!HOLDS(1));
}

/* ---- in the pool ------------------------------------------------------------------------------ */

#define TELL(slot, event, ...) RIG_TELL(&rig, slot, event, ##__VA_ARGS__)
#define SUBMIT(...) RIG_SUBMIT(&rig, ##__VA_ARGS__)
#define SAID(...) CU_ASSERT_STRING_EQUAL(rig_said(&rig), __VA_ARGS__)

static void open_one(uint64_t period_ms)
{
    rig_open(&rig, &(struct lp_pool_config){.min_workers = 1,
                                            .max_workers = 1,
                                            .quarantine_deaths = 2,
                                            .quarantine_ns = period_ms * LP_MS});
    rig_raise(&rig, 1);
}

/* The worker that runs this task dies of it, or by a signal from elsewhere; the next one is ready. */
static void die(uint64_t task_id, uint64_t started_id, int signal)
{
    uint32_t slot = 0;
    while (rig.pool.workers[slot].task == LP_NONE ||
           rig.pool.tasks.table[rig.pool.workers[slot].task].id != task_id)
        slot++;
    TELL(slot, EXITED, .signal = signal, .started_id = started_id, .started_ns = rig.now_ns);
    TELL(slot, EMPTY);
    rig_pass(&rig, 2000);
    for (slot = 0; slot < rig.pool.slots; slot++)
        if (rig.pool.workers[slot].state == LP_WORKER_SPAWNING) {
            TELL(slot, SPAWNED, .pid = 300);
            TELL(slot, READY);
        }
}

TEST(quarantine, what_is_submitted_then_is_refused_and_what_is_pending_ends)
{
    open_one(0);
    SUBMIT(.kind = 7);
    SUBMIT(.kind = 7);
    SUBMIT(.kind = 7);
    SUBMIT(.kind = 8);
    die(1, 1, SIGSEGV);
    CU_ASSERT_EQUAL(SUBMIT(.kind = 7), 0);
    rig_said(&rig);
    die(2, 2, SIGSEGV);
    const char *said = rig_said(&rig);
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "end 3 quarantined not-started; "));
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "end 5 quarantined not-started; "));
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "assign 4 "));
    CU_ASSERT_EQUAL(SUBMIT(.kind = 7), -EKEYREJECTED);
    CU_ASSERT_EQUAL(SUBMIT(.kind = 8), 0);
    CU_ASSERT_EQUAL(SUBMIT(), 0);
    CU_ASSERT_EQUAL(rig_stats(&rig).kinds_held, 1);
    CU_ASSERT(lp_pool_pardon(&rig.pool, 7, rig.now_ns));
    CU_ASSERT_EQUAL(SUBMIT(.kind = 7), 0);
}

TEST(quarantine, a_shutdown_is_not_held_up_by_the_last_that_ends_so)
{
    rig_open(&rig,
             &(struct lp_pool_config){.min_workers = 2, .max_workers = 2, .quarantine_deaths = 1});
    rig_raise(&rig, 2);
    SUBMIT(.kind = 7);
    SUBMIT(.kind = 7);
    TELL(1, EXITED, .signal = SIGSEGV, .started_id = 1, .started_ns = rig.now_ns);
    TELL(1, EMPTY);
    rig_pass(&rig, 2000);
    for (uint32_t slot = 0; slot < rig.pool.slots; slot++)
        if (rig.pool.workers[slot].state == LP_WORKER_SPAWNING) {
            TELL(slot, SPAWNED, .pid = 300);
            TELL(slot, READY);
        }
    CU_ASSERT_EQUAL(rig_in(&rig, LP_WORKER_IDLE), 1);
    RIG_STEP(&rig, SHUTDOWN, .flags = LIBPOOL_WAIT);
    rig_said(&rig);
    TELL(0, EXITED, .signal = SIGKILL); /* its task was not begun: back, and ended */
    rig_pass(&rig, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig_said(&rig), "end 2 quarantined "));
    CU_ASSERT_EQUAL(rig_in(&rig, LP_WORKER_IDLE), 0);
}

TEST(quarantine, only_deaths_of_what_was_begun_count)
{
    open_one(0);
    SUBMIT(.kind = 7);
    die(1, 0, SIGKILL);
    die(1, 0, SIGKILL);
    CU_ASSERT_EQUAL(rig.pool.quarantine.count, 0);
    die(1, 1, SIGKILL);
    CU_ASSERT_EQUAL(rig.pool.quarantine.kinds[0].deaths, 1);
}

TEST(quarantine, a_timeout_counts)
{
    open_one(0);
    SUBMIT(.kind = 7, .run_timeout_ns = 50 * LP_MS);
    rig.started_id = 1;
    rig_pass(&rig, 60);
    CU_ASSERT_EQUAL(rig.pool.quarantine.count, 1);
}

TEST(quarantine, a_result_of_any_code_clears)
{
    open_one(0);
    SUBMIT(.kind = 7);
    die(1, 1, SIGSEGV);
    SUBMIT(.kind = 7);
    uint32_t slot = 0;
    while (rig.pool.workers[slot].task == LP_NONE)
        slot++;
    TELL(slot, RESULT, .task_id = 2, .code = 3);
    CU_ASSERT_EQUAL(rig.pool.quarantine.count, 0);
}

TEST(quarantine, nothing_that_is_held_is_run_again)
{
    open_one(0);
    struct lp_retry_rule rule = {9, 1u << LIBPOOL_CRASH, LP_MS, LP_MS};
    SUBMIT(.kind = 7, .retry = &rule);
    die(1, 1, SIGSEGV);
    rig_pass(&rig, 10);
    rig_said(&rig);
    die(1, 1, SIGSEGV);
    CU_ASSERT(strncmp(rig_said(&rig), "end 1 crash may-have-run; ", 26) == 0);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_retried, 1);
}
