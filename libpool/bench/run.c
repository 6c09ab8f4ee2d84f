/* SPDX-License-Identifier: MIT */
/*
 * Which benches, in which order: one round of each, then the next round of each.
 *
 * A round runs in a fresh child, so that each starts from the same small process, a crash is a failed
 * bench and not the end of all, and one that hangs can be killed. The first round of each is a short
 * one that nobody counts: it warms up caches, files and the kernel.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define HUNG_MS 30000
#define TIME_NS (200 * BENCH_MS)
#define TIME_QUICK_NS (30 * BENCH_MS)
#define SAMPLES 40
#define SAMPLES_QUICK 8

extern const struct bench *const __start_bench_list[], *const __stop_bench_list[];
extern const struct bench_ratio *const __start_bench_ratios[], *const __stop_bench_ratios[];

const struct bench_ratio *const *bench_ratio_list(size_t *count)
{
    *count = (size_t)(__stop_bench_ratios - __start_bench_ratios);
    return __start_bench_ratios;
}

/* ---- one round ---------------------------------------------------------------------------- */

static void wait_for_round(struct bench_round *round, pid_t pid)
{
    int pid_fd = bench_pidfd(pid), status = 0;
    struct pollfd wanted = {.fd = pid_fd, .events = POLLIN};
    bool hung = poll(&wanted, 1, HUNG_MS) == 0;
    if (hung)
        bench_pidfd_kill(pid_fd);
    (void)close(pid_fd);
    (void)waitpid(pid, &status, 0);
    if (hung)
        (void)snprintf(round->error, sizeof round->error, "hung for %d s", HUNG_MS / 1000);
    else if (WIFSIGNALED(status))
        (void)snprintf(round->error, sizeof round->error, "died of signal %d", WTERMSIG(status));
    else if (status && !round->error[0])
        (void)snprintf(round->error, sizeof round->error, "exited with %d", WEXITSTATUS(status));
}

static void run_round(const struct bench *bench, struct bench_round *round, bool quick)
{
    *round = (struct bench_round){.quick = quick,
                                  .time_ns = quick ? TIME_QUICK_NS : TIME_NS,
                                  .samples = quick ? SAMPLES_QUICK : SAMPLES};
    bench_begin_round(round);
    pid_t pid = fork();
    if (pid == 0) {
        bench->measure(round);
        _exit(EXIT_SUCCESS);
    }
    if (pid > 0)
        wait_for_round(round, pid);
    else
        (void)snprintf(round->error, sizeof round->error, "fork: %s", strerror(errno));
}

static void keep(struct bench_result *result, const struct bench_round *round)
{
    for (int i = 0; i < BENCH_NUMBERS && result->bench->numbers[i].name; i++) {
        result->values[i][result->rounds] = round->values[i];
        if (!(round->values[i] > 0) && !result->error[0])
            (void)snprintf(result->error, sizeof result->error, "%s was not measured",
                           result->bench->numbers[i].name);
    }
    result->rounds++;
}

static void one_more(struct bench_result *result, struct bench_round *round, bool quick,
                     bool counts)
{
    if (result->error[0])
        return; /* it failed in an earlier round */
    run_round(result->bench, round, quick);
    if (round->error[0])
        memcpy(result->error, round->error, sizeof result->error);
    else if (counts)
        keep(result, round);
}

/* ---- selection ---------------------------------------------------------------------------- */

static bool has_number(const struct bench *bench, const char *name)
{
    for (int i = 0; i < BENCH_NUMBERS && bench->numbers[i].name; i++)
        if (strcmp(bench->numbers[i].name, name) == 0)
            return true;
    return false;
}

static bool is_named(const struct bench *bench, const char *only)
{
    bool named = strstr(bench->name, only) != NULL;
    for (int i = 0; i < BENCH_NUMBERS && bench->numbers[i].name; i++)
        named = named || strstr(bench->numbers[i].name, only);
    return named;
}

/* By name, or as the floor of something that is wanted by name. */
static bool is_selected(const struct bench *bench, const char *only)
{
    if (!only || is_named(bench, only))
        return true;
    size_t count;
    const struct bench_ratio *const *ratios = bench_ratio_list(&count);
    for (size_t i = 0; i < count; i++)
        for (int floor = 0; floor < 2 && ratios[i]->floors[floor]; floor++)
            if (strstr(ratios[i]->number, only) && has_number(bench, ratios[i]->floors[floor]))
                return true;
    return false;
}

static int select_benches(const char *only, struct bench_run *run)
{
    size_t all = (size_t)(__stop_bench_list - __start_bench_list);
    run->results = calloc(all, sizeof *run->results);
    if (!run->results)
        return -ENOMEM;
    for (int kind = 0; kind < BENCH_KINDS; kind++)
        for (size_t i = 0; i < all; i++)
            if ((int)__start_bench_list[i]->kind == kind &&
                is_selected(__start_bench_list[i], only))
                run->results[run->count++].bench = __start_bench_list[i];
    return run->count ? 0 : -ENOENT;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static void show_progress(unsigned round, unsigned rounds, const char *name)
{
    if (isatty(STDERR_FILENO))
        (void)fprintf(stderr, "\r\033[Kround %u of %u: %s", round, rounds, name);
}

int bench_run_all(const struct bench_options *options, struct bench_run *run)
{
    int error = select_benches(options->only, run);
    struct bench_round *round = error ? NULL
                                      : mmap(NULL, sizeof *round, PROT_READ | PROT_WRITE,
                                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (error || round == MAP_FAILED)
        return error ? error : -ENOMEM;
    for (unsigned i = 0; i <= options->rounds; i++)
        for (size_t j = 0; j < run->count && !(options->quick && i == 0); j++) {
            show_progress(i, options->rounds, run->results[j].bench->name);
            one_more(&run->results[j], round, options->quick || i == 0, i > 0);
        }
    if (isatty(STDERR_FILENO))
        (void)fprintf(stderr, "\r\033[K");
    (void)munmap(round, sizeof *round);
    return 0;
}
