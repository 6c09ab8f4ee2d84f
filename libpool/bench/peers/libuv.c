/* SPDX-License-Identifier: MIT */
/*
 * Peer: libuv's thread pool. Its own way to tell that a task has ended is a callback on the loop;
 * requests are taken from a free list, as a program that cares for speed does.
 */
#include "peer.h"

#include <stdlib.h>
#include <uv.h>

static uv_loop_t loop;
static uv_work_t *requests;
static uv_work_t **unused;
static size_t unused_count;
static uint64_t ended;

static void run(uv_work_t *request)
{
    (void)request;
    peer_task();
}

static void end(uv_work_t *request, int status)
{
    peer_must(status == 0, "libuv did not run a task");
    unused[unused_count++] = request;
    ended++;
}

static void open_pool(unsigned workers, unsigned window)
{
    peer_must(workers == 2 && setenv("UV_THREADPOOL_SIZE", "2", 1) == 0, "two threads");
    peer_must(uv_loop_init(&loop) == 0, "uv_loop_init");
    requests = calloc(window, sizeof *requests);
    unused = calloc(window, sizeof(uv_work_t *));
    peer_must(requests && unused, "no memory");
    for (; unused_count < window; unused_count++)
        unused[unused_count] = &requests[unused_count];
}

static void submit(void)
{
    peer_must(uv_queue_work(&loop, unused[--unused_count], run, end) == 0, "uv_queue_work");
}

static uint64_t reap(uint64_t wanted)
{
    uint64_t before = ended;
    while (ended - before < wanted)
        (void)uv_run(&loop, UV_RUN_ONCE);
    return ended - before;
}

static void close_pool(void)
{
    peer_must(uv_loop_close(&loop) == 0, "uv_loop_close");
    free(unused);
    free(requests);
}

int main(int argc, char **argv)
{
    return peer_main(argc, argv, &(struct peer){open_pool, submit, reap, close_pool});
}
