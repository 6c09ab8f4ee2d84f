/* SPDX-License-Identifier: MIT */
/*
 * nursery: a zygote with nothing around it: a small process, forked early, that forks a child for each
 * byte it is sent. What the pool's spawning and recovery are held to.
 */
#ifndef BENCH_NURSERY_H
#define BENCH_NURSERY_H

#include "bench.h"

struct bench_nursery {
    int (*body)(void *argument); /* of each child */
    void *argument;
    int zygote_fd, client_fd;
    pid_t pid;
};

void bench_nursery_open(struct bench_nursery *nursery, int (*body)(void *argument), void *argument);
/* All children must have ended. */
void bench_nursery_close(struct bench_nursery *nursery);

void bench_nursery_ask(const struct bench_nursery *nursery, size_t children);
/* Until as many as these have ended, in whatever way, and are reaped. */
void bench_nursery_await(const struct bench_nursery *nursery, size_t children);

#endif
