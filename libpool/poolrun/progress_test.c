/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include "harness/test.h"

#define S 1000000000u

TEST(poolrun_progress, tells_how_far_it_is)
{
    struct pr_text text = {.data = NULL};
    struct pr_counts counts = {.running = 2, .succeeded = 9, .failed = 1};
    pr_progress_say(&text, &counts, 3665ull * S);
    CU_ASSERT_STRING_EQUAL(text.data, "10 done, 1 failed, 2 running, 1:01:05, 0.0/s");
    pr_text_clear(&text);
    counts.skipped = 5;
    pr_progress_say(&text, &counts, 4ull * S);
    CU_ASSERT_STRING_EQUAL(text.data, "10 done, 1 failed, 2 running, 5 skipped, 0:00:04, 2.5/s");
    pr_text_clear(&text);
    pr_progress_say(&text, &(struct pr_counts){.running = 0}, 0);
    CU_ASSERT_STRING_EQUAL(text.data, "0 done, 0 failed, 0 running, 0:00:00");
    pr_text_free(&text);
}

TEST(poolrun_progress, is_never_drawn_where_nobody_looks)
{
    struct pr_progress progress = {.is_on = false};
    struct pr_counts counts = {.running = 1};
    CU_ASSERT_EQUAL(pr_progress_draw(&progress, &counts, S), -1);
    CU_ASSERT(!progress.is_drawn);
}
