/* SPDX-License-Identifier: MIT */
/*
 * Peer and floor: a process for each task, which is what isolation costs without a pool. The stream
 * keeps two at a time, as many as the pool has workers; each proves by its exit code that it has run.
 * A forked one is a copy of this program; a spawned one becomes another, the smallest that there is.
 */
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "bench.h"

#define AT_A_TIME 2
#define DONE 7
#define SAMPLES_MAX 10000

static int leave(void *argument)
{
    (void)argument;
    return DONE;
}

static void start_forked(void)
{
    (void)bench_fork(leave, NULL);
}

/* false(1) ends with 1, which nothing else does by chance. */
static void start_spawned(void)
{
    static char *const arguments[] = {(char *)"false", NULL};
    pid_t pid;
    int error = posix_spawn(&pid, "/bin/false", NULL, NULL, arguments, NULL);
    bench_must(error == 0, "posix_spawn: %s", strerror(error));
}

static void reap_any(int expected)
{
    int status;
    pid_t pid = waitpid(-1, &status, 0);
    bench_must(pid > 0, "waitpid: %s", strerror(errno));
    bench_must(WIFEXITED(status) && WEXITSTATUS(status) == expected, "a task ended with status %#x",
               (unsigned)status);
}

static double stream(const struct bench_round *round, void (*start)(void), int expected)
{
    uint64_t tasks = 0, running = 0, begun_ns = bench_now_ns();
    while (bench_now_ns() - begun_ns < round->time_ns) {
        for (; running < AT_A_TIME; running++)
            start();
        reap_any(expected);
        running--;
        tasks++;
    }
    for (; running; running--, tasks++)
        reap_any(expected);
    return (double)tasks * 1e9 / (double)(bench_now_ns() - begun_ns);
}

static void measure_forked(struct bench_round *round)
{
    round->values[0] = stream(round, start_forked, DONE);
}

static void measure_spawned(struct bench_round *round)
{
    round->values[0] = stream(round, start_spawned, 1);
}

static void measure_one(struct bench_round *round)
{
    struct bench_samples samples = bench_samples_new(SAMPLES_MAX);
    uint64_t until_ns = bench_now_ns() + round->time_ns / 2, begun_ns;
    while ((begun_ns = bench_now_ns()) < until_ns) {
        bench_reap(bench_fork(leave, NULL), DONE);
        bench_sample(&samples, bench_now_ns() - begun_ns);
    }
    round->values[0] = bench_percentile_us(&samples, 50);
}

BENCH(fork_per_task, BENCH_PEER, measure_forked, {"fork_per_task", "tasks/s"});
BENCH(spawn_per_task, BENCH_PEER, measure_spawned, {"spawn_per_task", "tasks/s"});
BENCH(floor_fork_wait, BENCH_FLOOR, measure_one, {"floor_fork_wait_p50", "us"});
