/* SPDX-License-Identifier: MIT */
#include "core/jitter.h"

#include "harness/test.h"

#define DRAWS 2000

struct drawn {
    uint64_t least, most;
};

static struct drawn draw(uint64_t value, uint32_t percent)
{
    uint64_t state = 1;
    struct drawn drawn = {UINT64_MAX, 0};
    for (int i = 0; i < DRAWS; i++) {
        uint64_t less = lp_jitter_less(&state, value, percent);
        drawn.least = less < drawn.least ? less : drawn.least;
        drawn.most = less > drawn.most ? less : drawn.most;
    }
    return drawn;
}

TEST(jitter, it_takes_up_to_its_share_and_no_more)
{
    struct drawn drawn = draw(40, 25);
    CU_ASSERT_EQUAL(drawn.least, 30);
    CU_ASSERT_EQUAL(drawn.most, 40);
}

TEST(jitter, without_percent_nothing_is_taken)
{
    struct drawn drawn = draw(1000, 0);
    CU_ASSERT_EQUAL(drawn.least, 1000);
    CU_ASSERT_EQUAL(drawn.most, 1000);
}

TEST(jitter, only_0_becomes_0)
{
    CU_ASSERT_EQUAL(draw(3, 100).least, 1);
    CU_ASSERT_EQUAL(draw(3, 100).most, 3);
    CU_ASSERT_EQUAL(draw(0, 100).most, 0);
}

TEST(jitter, large_values_do_not_overflow)
{
    CU_ASSERT_TRUE(draw(UINT64_MAX - 1, 50).least >= UINT64_MAX / 2 - 1);
    CU_ASSERT_EQUAL(lp_jitter_range(UINT64_MAX, 100), UINT64_MAX);
}

TEST(jitter, draws_of_one_seed_differ)
{
    uint64_t state = 7;
    uint64_t first = lp_jitter_less(&state, 1000000, 90);
    CU_ASSERT_NOT_EQUAL(lp_jitter_less(&state, 1000000, 90), first);
}
