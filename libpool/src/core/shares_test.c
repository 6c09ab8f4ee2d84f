/* SPDX-License-Identifier: MIT */
/* Who gets which place, and that it always adds up, however pools come, want, give and go. */
#include "core/shares.h"

#include <errno.h>
#include <stddef.h>

#include "core/jitter.h"
#include "harness/test.h"

static uint32_t take(struct lp_share *member)
{
    uint32_t granted = member->granted;
    member->granted = 0;
    member->news = false;
    return granted;
}

TEST(shares, what_is_there_is_had_at_once)
{
    struct lp_shares shares = {.limit = 4};
    struct lp_share one, two;
    CU_ASSERT_EQUAL(lp_shares_join(&shares, &one, 1), 0);
    CU_ASSERT_EQUAL(lp_shares_join(&shares, &two, 1), 0);
    CU_ASSERT_EQUAL(one.share, 2);
    lp_shares_want(&shares, &one, 5);
    CU_ASSERT_EQUAL(take(&one), 3); /* one is kept for the other */
    CU_ASSERT_EQUAL(two.yield, LP_YIELD_IDLE);
    lp_shares_want(&shares, &two, 1);
    CU_ASSERT_EQUAL(take(&two), 1);
    CU_ASSERT_TRUE(lp_shares_check(&shares));
}

TEST(shares, who_is_below_its_share_has_the_others_go_down_to_theirs)
{
    struct lp_shares shares = {.limit = 4};
    struct lp_share one, two;
    (void)lp_shares_join(&shares, &one, 1);
    (void)lp_shares_join(&shares, &two, 1);
    lp_shares_want(&shares, &one, 3);
    lp_shares_want(&shares, &two, 2);
    CU_ASSERT_EQUAL(take(&two), 1);
    CU_ASSERT_EQUAL(one.yield, LP_YIELD_SHARE);
    lp_shares_give(&shares, &one, 1);
    CU_ASSERT_EQUAL(take(&two), 1);
    CU_ASSERT_EQUAL(one.yield, LP_YIELD_NOTHING);
    CU_ASSERT_EQUAL(two.held, 2);
}

TEST(shares, places_go_to_who_waits_for_longest_one_at_a_time)
{
    struct lp_shares shares = {.limit = 6};
    struct lp_share rich, one, two;
    (void)lp_shares_join(&shares, &rich, 1);
    lp_shares_want(&shares, &rich, 6);
    CU_ASSERT_EQUAL(take(&rich), 6);
    (void)lp_shares_join(&shares, &one, 1);
    (void)lp_shares_join(&shares, &two, 1);
    lp_shares_want(&shares, &two, 2);
    lp_shares_want(&shares, &one, 2);
    lp_shares_give(&shares, &rich, 1);
    CU_ASSERT_EQUAL(take(&two), 1);
    lp_shares_give(&shares, &rich, 1);
    CU_ASSERT_EQUAL(take(&one), 1);
    lp_shares_give(&shares, &rich, 2);
    CU_ASSERT_EQUAL(take(&two), 1);
    CU_ASSERT_EQUAL(take(&one), 1);
}

TEST(shares, reserves_are_no_more_than_there_is)
{
    struct lp_shares shares = {.limit = 3};
    struct lp_share one, two;
    CU_ASSERT_EQUAL(lp_shares_join(&shares, &one, 2), 0);
    CU_ASSERT_EQUAL(lp_shares_join(&shares, &two, 2), -ENOSPC);
    CU_ASSERT_EQUAL(lp_shares_join(&shares, &two, 1), 0);
    CU_ASSERT_EQUAL(lp_shares_reserve(&shares, &two, 2), -ENOSPC);
    CU_ASSERT_EQUAL(lp_shares_reserve(&shares, &one, 1), 0);
    CU_ASSERT_EQUAL(lp_shares_reserve(&shares, &two, 2), 0);
    lp_shares_leave(&shares, &one);
    CU_ASSERT_EQUAL(two.share, 3);
}

TEST(shares, who_leaves_gives_all_back_and_who_wants_no_more_is_not_waited_for)
{
    struct lp_shares shares = {.limit = 2};
    struct lp_share one, two;
    (void)lp_shares_join(&shares, &one, 1);
    lp_shares_want(&shares, &one, 2);
    (void)lp_shares_join(&shares, &two, 1);
    lp_shares_want(&shares, &two, 1);
    CU_ASSERT_EQUAL(one.yield, LP_YIELD_SHARE);
    lp_shares_want(&shares, &two, 0);
    CU_ASSERT_EQUAL(one.yield, LP_YIELD_NOTHING);
    lp_shares_want(&shares, &two, 1);
    lp_shares_leave(&shares, &one);
    CU_ASSERT_EQUAL(take(&two), 1);
}

#define POOLS 5

/* As pools that do as they are told; how long the one that waits has to, in turns. */
TEST(shares, it_adds_up_and_nobody_starves)
{
    struct lp_shares shares = {.limit = 12};
    struct lp_share members[POOLS];
    uint32_t waited[POOLS] = {0}, most = 0;
    uint64_t random = 7;
    for (uint32_t i = 0; i < POOLS; i++)
        CU_ASSERT_EQUAL(lp_shares_join(&shares, &members[i], 1 + i % 2), 0);
    for (int turn = 0; turn < 20000; turn++) {
        struct lp_share *one = &members[(lp_jitter_next(&random) % POOLS)];
        if ((lp_jitter_next(&random) % 3) == 0)
            lp_shares_want(&shares, one, (uint32_t)(lp_jitter_next(&random) % 9));
        else if (one->held)
            lp_shares_give(&shares, one, 1);
        CU_ASSERT_TRUE_FATAL(lp_shares_check(&shares));
        for (uint32_t i = 0; i < POOLS; i++) {
            bool below = members[i].waiting && members[i].held < members[i].reserve;
            waited[i] = below ? waited[i] + 1 : 0;
            most = waited[i] > most ? waited[i] : most;
        }
    }
    CU_ASSERT_EQUAL(most, 0); /* a reserve is there whenever it is wanted */
}
