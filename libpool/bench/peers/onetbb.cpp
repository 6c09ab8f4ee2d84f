/* SPDX-License-Identifier: MIT */
/*
 * Peer: oneTBB's task_group, two workers and a caller that helps while it waits. It can only wait for
 * all of a group, so the window empties each time. Its round trip is left out: the caller runs a lone
 * task itself, and nothing is handed over.
 */
#include "peer.h"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

static oneapi::tbb::task_group *group;
static uint64_t submitted, reaped;

static void open_pool(unsigned, unsigned)
{
    group = new oneapi::tbb::task_group;
}

static void submit()
{
    group->run(peer_task);
    submitted++;
}

static uint64_t reap(uint64_t)
{
    uint64_t count = submitted - reaped;
    group->wait();
    reaped = submitted;
    return count;
}

static void close_pool()
{
    delete group;
}

int main(int argc, char **argv)
{
    const struct peer peer = {open_pool, submit, reap, close_pool};
    oneapi::tbb::global_control three(oneapi::tbb::global_control::max_allowed_parallelism, 3);
    oneapi::tbb::task_arena arena(3);
    return arena.execute([&] { return peer_main(argc, argv, &peer); });
}
