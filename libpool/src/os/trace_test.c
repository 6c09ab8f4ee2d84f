/* SPDX-License-Identifier: MIT */
/* What is read from a window: whose it is, and that nothing in it leads out of it. */
#include "os/trace.h"

#include <string.h>

#include "harness/test.h"

static struct lp_trace trace, copy;

TEST(trace, is_of_one_task_until_it_is_wiped)
{
    memset((void *)&trace, 0, sizeof trace);
    trace.count = 1;
    atomic_store(&trace.task_id, 5);
    CU_ASSERT_FALSE(lp_trace_read(&trace, 6, &copy));
    CU_ASSERT_TRUE(lp_trace_read(&trace, 5, &copy));
    lp_trace_wipe(&trace);
    CU_ASSERT_FALSE(lp_trace_read(&trace, 5, &copy));
}

TEST(trace, without_a_frame_is_none)
{
    memset((void *)&trace, 0, sizeof trace);
    atomic_store(&trace.task_id, 5);
    CU_ASSERT_FALSE(lp_trace_read(&trace, 5, &copy));
}

TEST(trace, counts_and_places_are_brought_into_bounds)
{
    memset((void *)&trace, 0xff, sizeof trace);
    atomic_store(&trace.task_id, 5);
    trace.frames[1].name = LP_TRACE_NAMES - 1;
    trace.frames[2].name = LP_TRACE_NAMES;
    CU_ASSERT_TRUE(lp_trace_read(&trace, 5, &copy));
    CU_ASSERT_EQUAL(copy.count, LP_TRACE_FRAMES);
    CU_ASSERT_EQUAL(copy.frames[0].name, 0);
    CU_ASSERT_EQUAL(copy.frames[1].name, LP_TRACE_NAMES - 1);
    CU_ASSERT_EQUAL(copy.frames[2].name, 0);
    CU_ASSERT_EQUAL(copy.names[0], 0);
    CU_ASSERT_EQUAL(copy.names[LP_TRACE_NAMES - 1], 0);
}
