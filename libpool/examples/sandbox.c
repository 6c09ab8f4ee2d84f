/* SPDX-License-Identifier: MIT */
/*
 * Workers without a network: a task that makes a socket dies of it, alone, and its future says so.
 * Needs libseccomp: cc sandbox.c $(pkg-config --cflags --libs libpool_sandbox)
 */
#include <libpool_sandbox.h>

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

static int reach_out(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return socket(AF_INET, SOCK_STREAM, 0) < 0;
}

static int work(libpool_worker *worker, const void *input, size_t size)
{
    return libpool_reply(worker, input, size);
}

static libpool_future *submit(libpool *pool, libpool_task_function *function)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task, .function = function};
    return libpool_submit(pool, &task, -1, &future) == 0 ? future : NULL;
}

int main(void)
{
    char profile[] = "no-network";
    libpool *pool;
    libpool_options options = {.size = sizeof options,
                               .max_workers = 1,
                               .initializer = libpool_sandbox_profile,
                               .initializer_arg = profile};
    if (libpool_open(&pool, &options) < 0)
        return 1;
    libpool_future *good = submit(pool, work), *bad = submit(pool, reach_out),
                   *after = submit(pool, work);
    libpool_future_wait(good, -1);
    libpool_future_wait(bad, -1);
    libpool_future_wait(after, -1);
    const libpool_result *result = libpool_future_result(bad);
    printf("%s: %s\n", libpool_cause_name(result->cause), result->text);
    int as_expected = result->cause == LIBPOOL_CRASH && result->signal == SIGSYS &&
                      libpool_future_result(good)->cause == LIBPOOL_COMPLETED &&
                      libpool_future_result(after)->cause == LIBPOOL_COMPLETED;
    libpool_future_free(good);
    libpool_future_free(bad);
    libpool_future_free(after);
    libpool_close(pool);
    return as_expected ? 0 : 1;
}
