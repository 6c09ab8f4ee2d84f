/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that the pool holds in its host, while workers come and go: one task a worker, and then
 * another worker. What libpool.h promises is the formula; what was allowed is 8 and 3 a worker.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "window.h"

#define WORKERS 4
#define WINDOW 16
#define RECYCLES 100000
#define RECYCLES_QUICK 300
#define LOOK_EVERY 64
#define HURRY_NS (25000 * BENCH_MS) /* in a run of everything; asked for by name: all of them */

static double open_descriptors(void)
{
    double count = -1; /* the one that looks */
    DIR *directory = opendir("/proc/self/fd");
    bench_must(directory != NULL, "/proc/self/fd: %s", strerror(errno));
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    (void)closedir(directory);
    return count;
}

/* Up to so many tasks, one worker each; the most that are open whenever it looks. */
static double recycle(struct bench_window *window, uint64_t tasks, uint64_t until_ns)
{
    double most = open_descriptors();
    for (bool in_time = true; in_time || window->ended < window->submitted;) {
        in_time = in_time && window->submitted < tasks && bench_now_ns() < until_ns;
        while (in_time && window->submitted - window->ended < window->size)
            bench_window_submit(window);
        if (window->ended < window->submitted)
            bench_window_take(window);
        double held = window->ended % LOOK_EVERY == 0 ? open_descriptors() : 0;
        most = held > most ? held : most;
    }
    return most;
}

static void measure_descriptors(struct bench_round *round)
{
    uint64_t recycles = round->quick ? RECYCLES_QUICK : RECYCLES, slots = WORKERS + 2;
    struct bench_noops noops;
    struct bench_window window;
    double before = open_descriptors();
    bench_noops_open(
        &noops,
        (libpool_options){.min_workers = WORKERS, .max_workers = WORKERS, .tasks_per_worker = 1},
        WINDOW);
    bench_window_open(&window, &noops, WINDOW);
    uint64_t begun_ns = bench_now_ns();
    uint64_t until_ns = round->unhurried ? UINT64_MAX : begun_ns + HURRY_NS;
    double begin = recycle(&window, recycles / 10, until_ns);
    double most = recycle(&window, recycles, until_ns);
    double took_ns = (double)(bench_now_ns() - begun_ns);
    double tasks = (double)window.ended;
    bench_window_close(&window);
    bench_noops_close(&noops);
    round->values[0] = (most > begin ? most : begin) - before;
    round->values[1] = 8 + 3 * WORKERS;
    round->values[2] = 7 + 2 * (double)slots;
    round->values[3] = most > begin ? most - begin : 0;
    round->values[4] = tasks;
    round->values[5] = took_ns / 1000 / tasks;
}

BENCH_ONCE(descriptors, BENCH_POOL, measure_descriptors, {"descriptors_held", "fds"},
           {"descriptors_allowed", "fds"}, {"descriptors_by_formula", "fds"},
           {"descriptors_grown", "fds"}, {"descriptors_recycles", "workers"}, {"recycle_us", "us"});
