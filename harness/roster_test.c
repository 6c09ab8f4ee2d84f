/* SPDX-License-Identifier: MIT */
#include "harness/roster.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness/test.h"

static struct hn_roster roster; /* large; each test begins with a fresh one */

static void tell(uint32_t kind, uint32_t slot, int32_t pid, uint64_t time_ns)
{
    struct hn_record record = hn_record_of((enum hn_kind)kind);
    record.slot = slot;
    record.pid = pid;
    record.time_ns = time_ns;
    record.task = kind == HN_TASK_START ? 5 : HN_NONE;
    hn_roster_note(&roster, &record);
}

/* Slots 0..3: idle, busy, starting, retiring; slot 1 is the oldest. */
static void four_workers(void)
{
    roster = (struct hn_roster){0};
    for (uint32_t slot = 0; slot < 4; slot++)
        tell(HN_POOL + LIBPOOL_EVENT_WORKER_SPAWNED, slot, 100 + (int32_t)slot,
             slot == 1 ? 10 : 20 + slot);
    tell(HN_POOL + LIBPOOL_EVENT_WORKER_READY, 0, 100, 30);
    tell(HN_POOL + LIBPOOL_EVENT_WORKER_READY, 1, 101, 30);
    tell(HN_TASK_START, 1, 101, 31);
    tell(HN_POOL + LIBPOOL_EVENT_WORKER_READY, 3, 103, 30);
    tell(HN_POOL + LIBPOOL_EVENT_WORKER_RETIRED, 3, 103, 31);
}

static uint32_t pick(enum hn_selection selection, uint32_t number, uint32_t *slots)
{
    uint64_t random = 1;
    return hn_roster_select(&roster, selection, number, &random, slots, 8);
}

TEST(roster, selects_by_state)
{
    uint32_t slots[8];
    four_workers();
    CU_ASSERT_EQUAL(pick(HN_SELECT_IDLE, 0, slots), 1);
    CU_ASSERT_EQUAL(slots[0], 0);
    CU_ASSERT_EQUAL(pick(HN_SELECT_BUSY, 0, slots), 1);
    CU_ASSERT_EQUAL(slots[0], 1);
    CU_ASSERT_EQUAL(pick(HN_SELECT_STARTING, 0, slots), 1);
    CU_ASSERT_EQUAL(slots[0], 2);
    CU_ASSERT_EQUAL(pick(HN_SELECT_RETIRING, 0, slots), 1);
    CU_ASSERT_EQUAL(slots[0], 3);
    CU_ASSERT_EQUAL(pick(HN_SELECT_OLDEST, 0, slots), 1);
    CU_ASSERT_EQUAL(slots[0], 1);
    CU_ASSERT_EQUAL(pick(HN_SELECT_ALL, 0, slots), 4);
    CU_ASSERT_EQUAL(pick(HN_SELECT_PERCENT, 50, slots), 2);
    CU_ASSERT_EQUAL(pick(HN_SELECT_PERCENT, 1, slots), 1);
    CU_ASSERT_EQUAL(pick(HN_SELECT_SLOT, 2, slots), 1);
    CU_ASSERT_EQUAL(pick(HN_SELECT_SLOT, 7, slots), 0);
    CU_ASSERT_EQUAL(hn_roster_ready(&roster), 2);
}

TEST(roster, the_same_seed_draws_the_same_workers)
{
    uint32_t first[8], second[8];
    uint64_t one = 42, other = 42;
    four_workers();
    for (int i = 0; i < 20; i++) {
        CU_ASSERT_EQUAL(hn_roster_select(&roster, HN_SELECT_ONE, 0, &one, first, 8), 1);
        CU_ASSERT_EQUAL(hn_roster_select(&roster, HN_SELECT_ONE, 0, &other, second, 8), 1);
        CU_ASSERT_EQUAL(first[0], second[0]);
    }
}

TEST(roster, a_late_word_about_a_dead_worker_changes_nothing)
{
    four_workers();
    tell(HN_POOL + LIBPOOL_EVENT_WORKER_SPAWNED, 0, 200, 50); /* a replacement in slot 0 */
    tell(HN_POOL + LIBPOOL_EVENT_WORKER_EXITED, 0, 100, 51);
    CU_ASSERT_EQUAL(roster.slots[0].state, HN_WORKER_STARTING);
    CU_ASSERT_EQUAL(roster.slots[0].process.pid, 200);
    CU_ASSERT_EQUAL(hn_roster_slot_of(&roster, 100), HN_NONE);
    CU_ASSERT_EQUAL(hn_roster_slot_of(&roster, 200), 0);
}

TEST(roster, a_worker_may_be_heard_of_before_its_birth_is_told)
{
    roster = (struct hn_roster){0};
    tell(HN_TASK_START, 0, 100, 11);
    CU_ASSERT_EQUAL(roster.slots[0].state, HN_WORKER_BUSY);
    tell(HN_POOL + LIBPOOL_EVENT_WORKER_SPAWNED, 0, 100, 9);
    tell(HN_POOL + LIBPOOL_EVENT_WORKER_READY, 0, 100, 10);
    CU_ASSERT_EQUAL(roster.slots[0].state, HN_WORKER_BUSY);
    tell(HN_TASK_END, 0, 100, 12);
    CU_ASSERT_EQUAL(roster.slots[0].state, HN_WORKER_IDLE);
}
