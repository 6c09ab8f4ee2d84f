/* SPDX-License-Identifier: MIT */
/* Taking back what has not begun: the rest of waiting and cancelling is tested through the door. */
#include "visit.h"

#include <errno.h>
#include <poll.h>

#include "harness/test.h"

#define WAIT_MS 20000
#define NAPS 100
#define ALL 120

static int nap(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return poll(NULL, 0, 200);
}

static int noop(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 0;
}

/* Tiny ones are sent to the worker, and the one that naps among them: who is behind it is taken back. */
TEST(visit, what_has_not_begun_is_withdrawn_and_what_runs_is_left)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .min_workers = 1, .max_workers = 1};
    libpool_task tasks[ALL];
    libpool_future *futures[ALL];
    for (int i = 0; i < ALL; i++)
        tasks[i] = (libpool_task){.size = sizeof tasks[i], .function = i == NAPS ? nap : noop};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_EQUAL_FATAL(libpool_submit_many(pool, tasks, ALL, -1, futures), ALL);
    CU_ASSERT_EQUAL(libpool_future_wait(futures[NAPS - 1], WAIT_MS), 0);
    for (int i = ALL - 1; i > NAPS; i--)
        lp_visit_withdraw(futures[i]);
    CU_ASSERT_EQUAL(libpool_future_wait(futures[NAPS], 50), -ETIMEDOUT);
    lp_visit_withdraw(futures[NAPS]);
    for (int i = 0; i < ALL; i++) {
        CU_ASSERT_EQUAL(libpool_future_wait(futures[i], WAIT_MS), 0);
        CU_ASSERT_EQUAL(libpool_future_result(futures[i])->cause,
                        i > NAPS ? LIBPOOL_CANCELLED : LIBPOOL_COMPLETED);
        lp_visit_withdraw(futures[i]);
        libpool_future_free(futures[i]);
    }
    libpool_close(pool);
}
