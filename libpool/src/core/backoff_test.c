/* SPDX-License-Identifier: MIT */
#include "core/backoff.h"

#include "harness/test.h"

#define MIN_NS UINT64_C(10000000)
#define MAX_NS UINT64_C(1000000000)

static struct lp_backoff opened(void)
{
    struct lp_backoff backoff;
    lp_backoff_init(&backoff, MIN_NS, MAX_NS, 42);
    return backoff;
}

/* Fails as soon as it may; gives the pause that follows. */
static uint64_t fail_again(struct lp_backoff *backoff, uint64_t *now_ns)
{
    if (*now_ns < backoff->until_ns)
        *now_ns = backoff->until_ns;
    lp_backoff_failed(backoff, *now_ns, -11);
    return backoff->until_ns - *now_ns;
}

TEST(backoff, allows_at_once_at_first)
{
    struct lp_backoff backoff = opened();
    CU_ASSERT(lp_backoff_allows(&backoff, 0));
    CU_ASSERT_EQUAL(backoff.failures, 0);
}

TEST(backoff, doubles_up_to_the_longest_pause_less_a_quarter_at_most)
{
    struct lp_backoff backoff = opened();
    uint64_t now_ns = 5, whole_ns = MIN_NS;
    for (int i = 0; i < 100; i++) {
        uint64_t pause_ns = fail_again(&backoff, &now_ns);
        CU_ASSERT(pause_ns <= whole_ns && pause_ns >= whole_ns - whole_ns / 4);
        whole_ns = whole_ns * 2 < MAX_NS ? whole_ns * 2 : MAX_NS;
    }
}

/* Doubled as often as that, these 4.9 hours would be 17 minutes in 64 bits. */
TEST(backoff, no_pause_is_too_long_to_be_doubled)
{
    const uint64_t min_ns = UINT64_C(17592187000000), max_ns = 100 * min_ns;
    struct lp_backoff backoff;
    lp_backoff_init(&backoff, min_ns, max_ns, 1);
    uint64_t now_ns = 0, whole_ns = min_ns;
    for (int i = 0; i < 30; i++) {
        uint64_t pause_ns = fail_again(&backoff, &now_ns);
        CU_ASSERT(pause_ns <= whole_ns && pause_ns >= whole_ns - whole_ns / 4);
        whole_ns = whole_ns * 2 < max_ns ? whole_ns * 2 : max_ns;
    }
}

TEST(backoff, pauses_are_not_all_alike)
{
    struct lp_backoff backoff = opened();
    uint64_t now_ns = 0, first_ns = 0;
    uint32_t different = 0;
    for (int i = 0; i < 20; i++)
        first_ns = fail_again(&backoff, &now_ns);
    for (int i = 0; i < 20; i++)
        different += fail_again(&backoff, &now_ns) != first_ns;
    CU_ASSERT(different > 10);
}

TEST(backoff, the_same_seed_gives_the_same_pauses)
{
    struct lp_backoff a = opened(), b = opened();
    uint64_t a_ns = 0, b_ns = 0;
    for (int i = 0; i < 20; i++)
        CU_ASSERT_EQUAL(fail_again(&a, &a_ns), fail_again(&b, &b_ns));
}

TEST(backoff, a_burst_inside_one_pause_counts_once)
{
    struct lp_backoff backoff = opened();
    lp_backoff_failed(&backoff, 100, -11);
    uint64_t until_ns = backoff.until_ns;
    for (uint64_t i = 0; i < 50; i++)
        lp_backoff_failed(&backoff, 101 + i, -12);
    CU_ASSERT_EQUAL(backoff.failures, 1);
    CU_ASSERT_EQUAL(backoff.until_ns, until_ns);
    CU_ASSERT_EQUAL(backoff.error, -12); /* the last one is told, all the same */
}

TEST(backoff, allows_when_the_pause_is_over_not_before)
{
    struct lp_backoff backoff = opened();
    lp_backoff_failed(&backoff, 100, -11);
    CU_ASSERT_FALSE(lp_backoff_allows(&backoff, backoff.until_ns - 1));
    CU_ASSERT(lp_backoff_allows(&backoff, backoff.until_ns));
}

TEST(backoff, what_was_no_refusal_is_forgiven_and_remembered)
{
    struct lp_backoff backoff = opened();
    lp_backoff_failed(&backoff, 100, 0);
    CU_ASSERT(lp_backoff_forgive(&backoff, 101));
    CU_ASSERT(lp_backoff_allows(&backoff, 101));
    CU_ASSERT_EQUAL(backoff.failures, 1); /* if it fails again the pause is longer */
    lp_backoff_failed(&backoff, 102, -11);
    CU_ASSERT_FALSE(lp_backoff_forgive(&backoff, UINT64_MAX));
    CU_ASSERT_FALSE(lp_backoff_allows(&backoff, 103));
}

TEST(backoff, is_not_forgiven_again_before_another_pause_is_over)
{
    struct lp_backoff backoff = opened();
    lp_backoff_failed(&backoff, 100, 0);
    CU_ASSERT(lp_backoff_forgive(&backoff, 101));
    lp_backoff_failed(&backoff, 102, 0);
    uint64_t until_ns = backoff.until_ns;
    CU_ASSERT_FALSE(lp_backoff_forgive(&backoff, 103));
    CU_ASSERT_FALSE(lp_backoff_forgive(&backoff, backoff.forgives_again_ns - 1));
    CU_ASSERT_EQUAL(backoff.until_ns, until_ns);
    CU_ASSERT(lp_backoff_forgive(&backoff, backoff.forgives_again_ns));
}

TEST(backoff, success_forgets)
{
    struct lp_backoff backoff = opened();
    uint64_t now_ns = 0;
    for (int i = 0; i < 9; i++)
        fail_again(&backoff, &now_ns);
    lp_backoff_succeeded(&backoff);
    CU_ASSERT(lp_backoff_allows(&backoff, now_ns));
    CU_ASSERT_EQUAL(backoff.error, 0);
    CU_ASSERT(fail_again(&backoff, &now_ns) <= MIN_NS);
}
