/* SPDX-License-Identifier: MIT */
/*
 * Peer: GLib's GThreadPool, exclusive threads. It has no way to tell that a task has ended; here tasks
 * count themselves and wake the client when as many as it wants have ended: cheaper than any queue.
 */
#include "peer.h"

#include <glib.h>
#include <linux/futex.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static GThreadPool *pool;
static uint64_t reaped;
static alignas(64) _Atomic uint32_t ended;
static alignas(64) _Atomic uint32_t wanted; /* the client sleeps until so many have ended */
static alignas(64) _Atomic uint32_t awake;

static void run(gpointer data, gpointer context)
{
    (void)data, (void)context;
    peer_task();
    if (atomic_fetch_add(&ended, 1) + 1 != atomic_load(&wanted))
        return;
    atomic_store(&awake, 1);
    (void)syscall(SYS_futex, &awake, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void open_pool(unsigned workers, unsigned window)
{
    (void)window;
    pool = g_thread_pool_new(run, NULL, (gint)workers, TRUE, NULL);
    peer_must(pool != NULL, "g_thread_pool_new");
}

static void submit(void)
{
    peer_must(g_thread_pool_push(pool, &pool, NULL), "g_thread_pool_push");
}

/* Who reads `wanted` after counting itself sees it, or the client sees the count. */
static uint64_t reap(uint64_t wanted_count)
{
    uint32_t target = (uint32_t)(reaped + wanted_count);
    atomic_store(&awake, 0);
    atomic_store(&wanted, target);
    while ((int32_t)(atomic_load(&ended) - target) < 0)
        (void)syscall(SYS_futex, &awake, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    uint32_t count = atomic_load(&ended) - (uint32_t)reaped;
    reaped += count;
    return count;
}

static void close_pool(void)
{
    g_thread_pool_free(pool, FALSE, TRUE);
}

int main(int argc, char **argv)
{
    return peer_main(argc, argv, &(struct peer){open_pool, submit, reap, close_pool});
}
