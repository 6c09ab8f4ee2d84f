/* SPDX-License-Identifier: MIT */
/*
 * A pool without a thread in a GLib main loop (so in GTK's): its descriptor is a source like any other.
 * Needs glib-2.0: cc glib.c $(pkg-config --cflags --libs glib-2.0 libpool)
 */
#include <libpool.h>

#include <glib-unix.h>
#include <glib.h>
#include <stdio.h>
#include <unistd.h>

#define TASKS 20

struct application {
    GMainLoop *loop;
    libpool *pool;
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

static gboolean pool_has_work(gint fd, GIOCondition condition, gpointer data)
{
    struct application *application = data;
    (void)fd, (void)condition;
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
        g_main_loop_quit(application->loop);
    return G_SOURCE_CONTINUE;
}

static gboolean give_up(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

int main(void)
{
    struct application application = {.loop = g_main_loop_new(NULL, FALSE), .left = TASKS};
    libpool_options options = {
        .size = sizeof options, .flags = LIBPOOL_NO_THREAD, .max_workers = 2};
    if (libpool_open(&application.pool, &options) < 0)
        return 1;
    g_unix_fd_add(libpool_fd(application.pool), G_IO_IN, pool_has_work, &application);
    g_timeout_add_seconds(10, give_up, application.loop);
    for (int i = 0; i < TASKS; i++) {
        libpool_task task = {.size = sizeof task,
                             .function = i == 0 ? hang : nothing,
                             .run_timeout_ms = i == 0 ? 100 : 0};
        if (libpool_submit(application.pool, &task, 0, &application.futures[i]) < 0)
            return 1;
    }
    g_main_loop_run(application.loop);
    printf("%d completed, %d timed out\n", application.completed, application.timeouts);
    libpool_close(application.pool);
    g_main_loop_unref(application.loop);
    return application.completed == TASKS - 1 && application.timeouts == 1 ? 0 : 1;
}
