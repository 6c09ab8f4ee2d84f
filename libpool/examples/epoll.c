/* SPDX-License-Identifier: MIT */
/*
 * A pool without a thread, in a loop of the application's own: its descriptor stands in an epoll set
 * beside whatever else there is, and nothing of the pool runs but in libpool_dispatch, on this thread.
 * The pool's timers are in the descriptor, too: a task that hangs is killed though nobody counts time here.
 */
#include <libpool.h>

#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#define TASKS 20

static int square(libpool_worker *worker, const void *input, size_t size)
{
    const int *number = input;
    int result = *number * *number;
    return size == sizeof *number ? libpool_reply(worker, &result, sizeof result) : 1;
}

static int hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        pause();
    return 0;
}

static libpool_future *submit(libpool *pool, libpool_task_function *function, int number)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task,
                         .function = function,
                         .input = &number,
                         .input_size = sizeof number,
                         .run_timeout_ms = function == hang ? 100 : 0};
    return libpool_submit(pool, &task, 0, &future) == 0 ? future : NULL;
}

/* As a loop does after each event: what has ended is used, and nothing is waited for. */
static int take_ended(libpool_future **futures, long *sum, int *timeouts)
{
    int taken = 0;
    for (int i = 0; i < TASKS; i++) {
        const libpool_result *result = futures[i] ? libpool_future_result(futures[i]) : NULL;
        if (!result)
            continue;
        if (result->cause == LIBPOOL_COMPLETED)
            *sum += *(const int *)result->data;
        *timeouts += result->cause == LIBPOOL_TIMEOUT;
        libpool_future_free(futures[i]);
        futures[i] = NULL;
        taken++;
    }
    return taken;
}

int main(void)
{
    libpool *pool;
    libpool_future *futures[TASKS];
    libpool_options options = {
        .size = sizeof options, .flags = LIBPOOL_NO_THREAD, .max_workers = 2};
    struct epoll_event event = {.events = EPOLLIN};
    int left = TASKS, timeouts = 0, loop = epoll_create1(EPOLL_CLOEXEC);
    long sum = 0;

    if (loop < 0 || libpool_open(&pool, &options) < 0)
        return 1;
    if (epoll_ctl(loop, EPOLL_CTL_ADD, libpool_fd(pool), &event) < 0)
        return 1;
    for (int i = 0; i < TASKS; i++)
        futures[i] = submit(pool, i == 0 ? hang : square, i);
    while (left > 0 && epoll_wait(loop, &event, 1, 10000) == 1) {
        libpool_dispatch(pool);
        left -= take_ended(futures, &sum, &timeouts);
    }
    printf("the sum is %ld, %d timed out\n", sum, timeouts);
    libpool_close(pool);
    close(loop);
    return left == 0 && sum == 2470 && timeouts == 1 ? 0 : 1;
}
