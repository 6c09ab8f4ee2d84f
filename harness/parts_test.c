/* SPDX-License-Identifier: MIT */
#include "harness/parts.h"

#include "harness/test.h"

#define TASK 7
#define SIZE 100

/* One that arrives as it was sent, but for a byte; -1: for none. */
static bool arrives(struct hn_parts *parts, uint32_t task, uint32_t run, uint32_t index, int wrong)
{
    _Alignas(16) uint8_t bytes[SIZE];
    hn_parts_fill(bytes, task, run, index, sizeof bytes);
    if (wrong >= 0)
        bytes[wrong] ^= 1;
    return hn_parts_note(parts, TASK, bytes, sizeof bytes);
}

TEST(parts, those_that_come_in_their_order_are_right)
{
    struct hn_parts parts = {0};
    for (uint32_t index = 0; index < 5; index++)
        CU_ASSERT(arrives(&parts, TASK, 1, index, -1));
    CU_ASSERT_EQUAL(parts.taken, 5);
    CU_ASSERT(arrives(&parts, TASK, 3, 0, -1)); /* of a later run, from its first on */
    CU_ASSERT_EQUAL(parts.taken, 1);
    CU_ASSERT_EQUAL(parts.runs, 2);
    CU_ASSERT_EQUAL(parts.wrong, 0);
}

TEST(parts, one_that_is_not_the_next_or_not_its_own_is_seen)
{
    struct hn_parts parts = {0};
    CU_ASSERT(arrives(&parts, TASK, 2, 0, -1));
    CU_ASSERT(!arrives(&parts, TASK, 2, 0, -1));     /* twice */
    CU_ASSERT(!arrives(&parts, TASK, 2, 2, -1));     /* a gap */
    CU_ASSERT(!arrives(&parts, TASK, 3, 1, -1));     /* a later run without its first */
    CU_ASSERT(!arrives(&parts, TASK, 1, 0, -1));     /* an earlier run */
    CU_ASSERT(!arrives(&parts, TASK + 1, 2, 1, -1)); /* somebody else's */
    CU_ASSERT_EQUAL(parts.wrong, 5);
    CU_ASSERT_EQUAL(parts.taken, 1);
}

TEST(parts, each_byte_counts)
{
    struct hn_parts parts = {0};
    for (int byte = 0; byte < SIZE; byte++)
        CU_ASSERT(!arrives(&parts, TASK, 1, 0, byte));
    uint8_t few[HN_PART_MIN - 1] = {0};
    CU_ASSERT(!hn_parts_note(&parts, TASK, few, sizeof few));
}

TEST(parts, what_was_sent_is_that_of_the_last_run)
{
    struct hn_parts parts = {.run = 1, .taken = 4, .sent = UINT64_C(2) << 32 | 3};
    CU_ASSERT_EQUAL(hn_parts_sent(&parts), 3);
    CU_ASSERT_EQUAL(hn_parts_arrived(&parts), 0);
    parts.run = 2;
    CU_ASSERT_EQUAL(hn_parts_arrived(&parts), 4);
}
