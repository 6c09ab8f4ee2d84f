/* SPDX-License-Identifier: MIT */
/*
 * Which benches, in which order: one round of each, then the next round of each.
 *
 * A round runs in a fresh child, so that each starts from the same small process, a crash is a failed
 * bench and not the end of all, and one that hangs can be killed. The first round of each is a short
 * one that nobody counts: it warms up caches, files and the kernel.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define HUNG_MS 100000
#define BUDGET_S 12 /* for all rounds of a bench: the slow have fewer, and say so */
#define TIME_NS (200 * BENCH_MS)
#define TIME_QUICK_NS (30 * BENCH_MS)
#define SAMPLES 40
#define SAMPLES_QUICK 8

extern const struct bench *const __start_bench_list[], *const __stop_bench_list[];

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

static void run_round(const struct bench *bench, struct bench_round *round, bool quick,
                      bool unhurried)
{
    *round = (struct bench_round){.quick = quick,
                                  .unhurried = unhurried,
                                  .time_ns = quick ? TIME_QUICK_NS : TIME_NS,
                                  .samples = quick ? SAMPLES_QUICK : SAMPLES};
    for (int i = 0; i < BENCH_NUMBERS; i++)
        round->values[i] = NAN;
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
    const struct bench_number *numbers = result->subject->numbers;
    for (int i = 0; i < BENCH_NUMBERS && numbers[i].name; i++) {
        result->values[i][result->rounds] = round->values[i];
        if (isnan(round->values[i]) && !result->error[0])
            (void)snprintf(result->error, sizeof result->error, "%s was not measured",
                           numbers[i].name);
    }
    result->rounds++;
}

static void one_more(const struct bench *bench, struct bench_result *result,
                     struct bench_round *round, bool quick, bool unhurried, bool counts)
{
    if (result->error[0] || (result->spent_s > BUDGET_S && !unhurried))
        return; /* it failed in an earlier round, or has had its time */
    uint64_t begun_ns = bench_now_ns();
    run_round(bench, round, quick, unhurried);
    result->spent_s += (double)(bench_now_ns() - begun_ns) / 1e9;
    result->missing = round->missing;
    if (round->error[0])
        memcpy(result->error, round->error, sizeof result->error);
    else if (counts)
        keep(result, round);
}

/* ---- selection ---------------------------------------------------------------------------- */

static bool has_number(const struct bench_subject *subject, const char *name)
{
    for (int i = 0; i < BENCH_NUMBERS && subject->numbers[i].name; i++)
        if (strcmp(subject->numbers[i].name, name) == 0)
            return true;
    return false;
}

static bool is_named(const struct bench_subject *subject, const char *only)
{
    bool named = strstr(subject->name, only) != NULL;
    for (int i = 0; i < BENCH_NUMBERS && subject->numbers[i].name; i++)
        named = named || strstr(subject->numbers[i].name, only);
    return named;
}

/* By name, or as what something that is wanted by name is divided by. */
static bool is_selected(const struct bench_subject *subject, const char *only)
{
    if (!only || is_named(subject, only))
        return true;
    for (size_t i = 0; i < bench_ratio_count; i++)
        for (int part = 0; part < 2 && bench_ratios[i].to[part]; part++)
            if (strstr(bench_ratios[i].number, only) &&
                has_number(subject, bench_ratios[i].to[part]))
                return true;
    return false;
}

static size_t bench_count(void)
{
    return (size_t)(__stop_bench_list - __start_bench_list);
}

/* The bench of a result: the subject is a part of it. */
static const struct bench *bench_of(const struct bench_result *result)
{
    return (const struct bench *)((const char *)result->subject - offsetof(struct bench, subject));
}

void bench_list(void)
{
    for (size_t i = 0; i < bench_count(); i++) {
        printf("%s:", __start_bench_list[i]->subject.name);
        for (int j = 0; j < BENCH_NUMBERS && __start_bench_list[i]->subject.numbers[j].name; j++)
            printf(" %s", __start_bench_list[i]->subject.numbers[j].name);
        printf("\n");
    }
}

static int select_benches(const struct bench_options *options, struct bench_run *run)
{
    size_t all = bench_count();
    run->is_all = options->only == NULL;
    run->results = calloc(all, sizeof *run->results);
    if (!run->results)
        return -ENOMEM;
    for (int kind = 0; kind < BENCH_KINDS; kind++)
        for (size_t i = 0; i < all; i++) {
            const struct bench *bench = __start_bench_list[i];
            if ((int)bench->subject.kind == kind && is_selected(&bench->subject, options->only) &&
                !(options->quick && bench->full_only))
                run->results[run->count++].subject = &bench->subject;
        }
    return run->count ? 0 : -ENOENT;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static void show_progress(unsigned round, unsigned rounds, const char *name)
{
    if (isatty(STDERR_FILENO))
        (void)fprintf(stderr, "\r\033[Kround %u of %u: %s", round, rounds, name);
}

/* Round 0 is the warm-up. What is measured once or takes seconds warms itself up. */
static bool takes_part(const struct bench *bench, const struct bench_options *options,
                       unsigned round)
{
    if (round == 0)
        return !options->quick && !bench->once && !bench->full_only;
    return round == 1 || !bench->once;
}

int bench_run_all(const struct bench_options *options, struct bench_run *run)
{
    int error = select_benches(options, run);
    struct bench_round *round = error ? NULL
                                      : mmap(NULL, sizeof *round, PROT_READ | PROT_WRITE,
                                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (error || round == MAP_FAILED)
        return error ? error : -ENOMEM;
    for (unsigned i = 0; i <= options->rounds; i++)
        for (size_t j = 0; j < run->count; j++) {
            const struct bench *bench = bench_of(&run->results[j]);
            if (!takes_part(bench, options, i))
                continue;
            show_progress(i, options->rounds, bench->subject.name);
            one_more(bench, &run->results[j], round, options->quick || i == 0,
                     options->only != NULL, i > 0);
        }
    if (isatty(STDERR_FILENO))
        (void)fprintf(stderr, "\r\033[K");
    (void)munmap(round, sizeof *round);
    return 0;
}
