/* SPDX-License-Identifier: MIT */
#include "halt.h"

#include <errno.h>

#include "harness/test.h"

TEST(poolrun_halt, reads_each_form)
{
    struct pr_halt halt;
    CU_ASSERT_EQUAL(pr_halt_parse("now,fail=1", &halt), 0);
    CU_ASSERT(halt.when == PR_HALT_NOW && halt.what == PR_HALT_FAIL && halt.count == 1);
    CU_ASSERT_EQUAL(pr_halt_parse("soon,fail=10%", &halt), 0);
    CU_ASSERT(halt.when == PR_HALT_SOON && halt.percent == 10 && halt.count == 0);
    CU_ASSERT_EQUAL(pr_halt_parse("now,success=3", &halt), 0);
    CU_ASSERT(halt.what == PR_HALT_SUCCESS && halt.count == 3);
    CU_ASSERT_EQUAL(pr_halt_parse("soon,done=100", &halt), 0);
    CU_ASSERT(halt.what == PR_HALT_DONE && halt.count == 100);
}

TEST(poolrun_halt, refuses_everything_else)
{
    static const char *const wrong[] = {
        "",           "now",         "now,",          "fail=1",     "now,fail",     "now,fail=",
        "now,fail=0", "now,fail=1x", "now,fail=101%", "now,fail=%", "now,fail=-1",  "later,fail=1",
        "now,fal=1",  "now,fail=0%", "now, fail=1",   "NOW,fail=1", "soon,fail=1%%"};
    struct pr_halt halt;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CU_ASSERT_EQUAL(pr_halt_parse(wrong[i], &halt), -EINVAL);
    }
    CU_ASSERT_EQUAL(pr_halt_parse("now,fail=99999999999999999999999", &halt), -EINVAL);
}

TEST(poolrun_halt, counts_or_takes_a_share_of_at_least_three)
{
    struct pr_halt halt = {.when = PR_HALT_NEVER, .what = PR_HALT_FAIL};
    CU_ASSERT(!pr_halt_is_reached(&halt, 0, 1000));
    (void)pr_halt_parse("now,fail=2", &halt);
    CU_ASSERT(!pr_halt_is_reached(&halt, 5, 1));
    CU_ASSERT(pr_halt_is_reached(&halt, 0, 2));
    (void)pr_halt_parse("now,fail=10%", &halt);
    CU_ASSERT(!pr_halt_is_reached(&halt, 0, 2));
    CU_ASSERT(pr_halt_is_reached(&halt, 0, 3));
    CU_ASSERT(pr_halt_is_reached(&halt, 27, 3));
    CU_ASSERT(!pr_halt_is_reached(&halt, 28, 3));
    (void)pr_halt_parse("soon,success=1", &halt);
    CU_ASSERT(!pr_halt_is_reached(&halt, 0, 9));
    CU_ASSERT(pr_halt_is_reached(&halt, 1, 9));
    (void)pr_halt_parse("soon,done=4", &halt);
    CU_ASSERT(!pr_halt_is_reached(&halt, 1, 2));
    CU_ASSERT(pr_halt_is_reached(&halt, 2, 2));
}
