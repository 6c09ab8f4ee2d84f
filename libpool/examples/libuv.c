/* SPDX-License-Identifier: MIT */
/*
 * A pool without a thread in a libuv loop: its descriptor is polled like any other.
 * Needs libuv: cc libuv.c $(pkg-config --cflags --libs libuv libpool)
 */
#include <libpool.h>

#include <stdio.h>
#include <unistd.h>
#include <uv.h>

#define TASKS 20

struct application {
    libpool *pool;
    uv_poll_t poll;
    uv_timer_t limit;
    libpool_future *futures[TASKS];
    int left, completed, timeouts;
};

static int nothing(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 0;
}

static int hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        pause();
    return 0;
}

static void stop(struct application *application)
{
    uv_close((uv_handle_t *)&application->poll, NULL);
    uv_close((uv_handle_t *)&application->limit, NULL);
}

static void pool_has_work(uv_poll_t *poll, int status, int events)
{
    struct application *application = poll->data;
    (void)status, (void)events;
    libpool_dispatch(application->pool);
    for (int i = 0; i < TASKS; i++) {
        libpool_future *future = application->futures[i];
        const libpool_result *result = future ? libpool_future_result(future) : NULL;
        if (!result)
            continue;
        application->completed += result->cause == LIBPOOL_COMPLETED;
        application->timeouts += result->cause == LIBPOOL_TIMEOUT;
        libpool_future_free(future);
        application->futures[i] = NULL;
        application->left--;
    }
    if (application->left == 0)
        stop(application);
}

static void give_up(uv_timer_t *limit)
{
    stop(limit->data);
}

int main(void)
{
    struct application application = {.left = TASKS};
    uv_loop_t *loop = uv_default_loop();
    libpool_options options = {
        .size = sizeof options, .flags = LIBPOOL_NO_THREAD, .max_workers = 2};
    if (libpool_open(&application.pool, &options) < 0)
        return 1;
    uv_poll_init(loop, &application.poll, libpool_fd(application.pool));
    uv_timer_init(loop, &application.limit);
    application.poll.data = application.limit.data = &application;
    uv_poll_start(&application.poll, UV_READABLE, pool_has_work);
    uv_timer_start(&application.limit, give_up, 10000, 0);
    for (int i = 0; i < TASKS; i++) {
        libpool_task task = {.size = sizeof task,
                             .function = i == 0 ? hang : nothing,
                             .run_timeout_ms = i == 0 ? 100 : 0};
        if (libpool_submit(application.pool, &task, 0, &application.futures[i]) < 0)
            return 1;
    }
    uv_run(loop, UV_RUN_DEFAULT);
    printf("%d completed, %d timed out\n", application.completed, application.timeouts);
    libpool_close(application.pool);
    uv_loop_close(loop);
    return application.completed == TASKS - 1 && application.timeouts == 1 ? 0 : 1;
}
