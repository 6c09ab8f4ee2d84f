/* SPDX-License-Identifier: MIT */
/*
 * bench: how fast the pool is, next to what this machine allows and to what others offer.
 *
 * A bench measures one round in a process of its own and fills in the numbers that it declares. It
 * registers itself through a linker section: a new file is all that a new floor or peer takes. The
 * rounds of all benches are interleaved, so that the machine's moods meet everyone alike, and each
 * number is the median of its rounds. Absolute values belong to one machine; what travels are the
 * ratios to the floors (the least that the kernel and the memory ask for the same thing) and to the
 * peers (other pools under the same load). Which ratios are held to what stands in bars.c.
 *
 * A number stands for work that was checked. A round that lost a task, or hangs, fails.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "stats.h"

#define BENCH_MS UINT64_C(1000000) /* ns in a millisecond */

struct bench_round {
    bool quick;                   /* a smoke test: as little as gives a number */
    bool unhurried;               /* asked for by name: it may take minutes */
    uint64_t time_ns;             /* measure for about so long... */
    size_t samples;               /* ... where a sample takes milliseconds: so many of them */
    double values[BENCH_NUMBERS]; /* all are to be set */
    char error[200];              /* why it failed; empty: it did not */
    bool missing;                 /* what it measures is not installed; error says what */
};

struct bench {
    struct bench_subject subject;
    void (*measure)(struct bench_round *round);
    bool once;      /* one round is all there is time for */
    bool full_only; /* too long for --quick */
};

#define BENCH_WITH(id, settings, kind_, measure_, ...)                     \
    static const struct bench bench_##id = {                               \
        .subject = {.name = #id, .kind = kind_, .numbers = {__VA_ARGS__}}, \
        .measure = measure_,                                               \
        settings,                                                          \
    };                                                                     \
    static const struct bench *const bench_entry_##id                      \
        __attribute__((section("bench_list"), used)) = &bench_##id

/* BENCH(name, kind, function, {number, unit}...); BENCH_ONCE: one round, and none when --quick. */
#define BENCH(...) BENCH_EXPAND_(.once = false, __VA_ARGS__)
#define BENCH_ONCE(...) BENCH_EXPAND_(.once = true, __VA_ARGS__)
#define BENCH_FULL(...) BENCH_EXPAND_(.full_only = true, __VA_ARGS__)
#define BENCH_EXPAND_(settings, id, ...) BENCH_WITH(id, settings, __VA_ARGS__)

/* ---- for the rounds (measure.c) ----------------------------------------------------------- */

/* Fails the round at once, with this sentence. Only in the round's own process and its children. */
_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends the round without a number: this machine lacks what it wants to measure. */
_Noreturn void bench_lack(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The sentence is only put together when it is needed: this stands on hot paths, too. */
#define bench_must(ok, ...)          \
    do {                             \
        if (!(ok))                   \
            bench_fail(__VA_ARGS__); \
    } while (0)
void bench_begin_round(struct bench_round *round);

uint64_t bench_now_ns(void);
/* So long that everybody who waits has gone to sleep: for what is measured from there. */
void bench_idle(uint64_t time_ns);

/* Zeroed memory that children share; lives as long as the round. */
void *bench_share(size_t size);

struct bench_samples {
    uint64_t *ns;
    size_t count, capacity; /* beyond it samples are dropped */
};

struct bench_samples bench_samples_new(size_t capacity);
void bench_sample(struct bench_samples *samples, uint64_t ns);
/* In microseconds, of at least one sample; percent is 0 to 100. Sorts. */
double bench_percentile_us(struct bench_samples *samples, double percent);

/* A child that dies with its parent. It runs body(argument) and exits with what that returns. */
pid_t bench_fork(int (*body)(void *argument), void *argument);
void bench_kill(pid_t pid);               /* and reaps it */
void bench_reap(pid_t pid, int expected); /* the round fails unless it exits with this code */
int bench_pidfd(pid_t pid);
void bench_pidfd_kill(int pid_fd);

void bench_futex_wait(_Atomic uint32_t *word, uint32_t value);
void bench_futex_wake(_Atomic uint32_t *word);
/* A flag that goes up once: who waits for it sleeps. */
void bench_raise(_Atomic uint32_t *flag);
void bench_await(_Atomic uint32_t *flag);

/* Looks, pauses and yields for 10 us; true as soon as is_ready says so. */
bool bench_yield_spin(bool (*is_ready)(void *argument), void *argument);

/*
 * On which cores something happens: where the scheduler likes; all on one; the client on the first that
 * there is and all others on the last. The others are placed by who is about to start them, before the
 * client is. A machine with one core lacks two.
 */
enum bench_place {
    BENCH_ANYWHERE = 0,
    BENCH_ONE_CORE,
    BENCH_TWO_CORES
};
void bench_place_others(enum bench_place place);
void bench_place_client(enum bench_place place); /* the calling thread */

/* One field of /proc/PID/smaps_rollup, in KiB. */
double bench_smaps_kib(pid_t pid, const char *field);

/* ---- running and telling (run.c, report.c, html.c) ---------------------------------------- */

struct bench_options {
    unsigned rounds;
    bool quick, markdown;
    const char *only, *json, *html, *compare; /* may be NULL */
};

/* Selects, measures. 0, -ENOENT (nothing is called so), -ENOMEM. */
int bench_run_all(const struct bench_options *options, struct bench_run *run);
void bench_list(void);

void bench_print(const struct bench_options *options, const struct bench_run *run);
int bench_write_html(const struct bench_options *options, const struct bench_run *run);

/* ---- what is held to what (bars.c) -------------------------------------------------------- */

extern const struct bench_ratio bench_ratios[];
extern const size_t bench_ratio_count;

#endif
