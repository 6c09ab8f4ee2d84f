/* SPDX-License-Identifier: MIT */
/*
 * The two ways to start a zygote, as an application meets them: functions by name, and a zygote that has
 * nothing of the application.
 */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/test.h"
#include "start_rig.h"
#include "supervisor.h"

#define WAIT_MS 20000

static const uint32_t starts[] = {LIBPOOL_FORK, LIBPOOL_SPAWN};
#define EACH_START                    \
    for (size_t i_ = 0; i_ < 2; i_++) \
        for (uint32_t start = starts[i_], once_ = 1; once_; once_ = 0)

static libpool *open_pool(uint32_t start, libpool_options options)
{
    libpool *pool = NULL;
    options.size = sizeof options;
    options.start = start;
    options.zygote_path = start == LIBPOOL_SPAWN ? lp_rig_beside_us("libpool-zygote") : NULL;
    if (!options.max_workers)
        options.max_workers = 1;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

static libpool_task name_task(const char *symbol, const void *input, size_t size)
{
    return (libpool_task){.size = sizeof(libpool_task),
                          .object = lp_rig_beside_us("test_object.so"),
                          .symbol = symbol,
                          .input = input,
                          .input_size = size};
}

static libpool_future *run(libpool *pool, const libpool_task *task)
{
    libpool_future *future = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, task, 0, &future), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, WAIT_MS), 0);
    return future;
}

/* The task's code; -1 when it ended otherwise than by returning. */
static int code_of(libpool *pool, const char *symbol)
{
    libpool_task task = name_task(symbol, NULL, 0);
    libpool_future *future = run(pool, &task);
    const libpool_result *result = libpool_future_result(future);
    int code = result && result->cause <= LIBPOOL_ERROR ? result->code : -1;
    libpool_future_free(future);
    return code;
}

/* ---- Named tasks ---------------------------------------------------------------------------- */

static void echo(libpool *pool, size_t size)
{
    char *input = malloc(size + 1);
    memset(input, 'x', size);
    libpool_task task = name_task("test_echo", input, size);
    libpool_future *future = run(pool, &task);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_STRING_EQUAL_FATAL(result->text, "completed");
    CU_ASSERT_EQUAL_FATAL(result->data_size, size);
    CU_ASSERT(size == 0 || memcmp(result->data, input, size) == 0);
    libpool_future_free(future);
    free(input);
}

TEST(start, a_named_task_gets_its_input_and_replies)
{
    EACH_START
    {
        libpool *pool = open_pool(start, (libpool_options){0});
        echo(pool, 0);
        echo(pool, 5);
        echo(pool, 3000000);
        CU_ASSERT_EQUAL(code_of(pool, "test_is_aligned"), 0);
        libpool_close(pool);
    }
}
