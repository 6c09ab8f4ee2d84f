/* SPDX-License-Identifier: MIT */
/*
 * bench: how fast the pool is, next to what this machine allows.
 *
 * A bench measures one round in a process of its own and fills in the numbers that it declares. It
 * registers itself through a linker section: a new file is all that a new floor or peer takes. The
 * rounds of all benches are interleaved, so that the machine's moods meet everyone alike, and each
 * number is the median of its rounds. Absolute values belong to one machine; what travels are the
 * ratios to the floors: the least that the kernel and the memory ask for the same thing.
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

#define BENCH_NUMBERS 4 /* of one bench at most */
#define BENCH_ROUNDS_MAX 101
#define BENCH_MS UINT64_C(1000000) /* ns in a millisecond */

enum bench_kind {
    BENCH_POOL = 0, /* the pool itself */
    BENCH_FLOOR,    /* what the kernel asks for the same thing */
    BENCH_PEER,     /* how others do it */
    BENCH_KINDS
};

struct bench_number {
    const char *name, *unit; /* a unit with "/s" in it: more is better */
};

struct bench_round {
    bool quick;       /* a smoke test: as little as gives a number */
    uint64_t time_ns; /* measure for about so long... */
    size_t samples;   /* ... where a sample takes milliseconds: so many of them */
    double values[BENCH_NUMBERS];
    char error[200]; /* why it failed; empty: it did not */
};

struct bench {
    const char *name; /* what --only selects, along with the names of its numbers */
    enum bench_kind kind;
    void (*measure)(struct bench_round *round);
    struct bench_number numbers[BENCH_NUMBERS];
};

/* A row of the closing table: a number over the sum of its floors. */
struct bench_ratio {
    const char *number;
    const char *floors[2]; /* the second may be NULL */
    double goal;           /* at most, or at least where more is better; 0: none */
};

#define BENCH(id, ...)                                                 \
    static const struct bench bench_##id = {.name = #id, __VA_ARGS__}; \
    static const struct bench *const bench_entry_##id                  \
        __attribute__((section("bench_list"), used)) = &bench_##id

#define BENCH_RATIO(id, ...)                                    \
    static const struct bench_ratio ratio_##id = {__VA_ARGS__}; \
    static const struct bench_ratio *const ratio_entry_##id     \
        __attribute__((section("bench_ratios"), used)) = &ratio_##id

/* ---- for the rounds (measure.c) ----------------------------------------------------------- */

/* Fails the round at once, with this sentence. Only in the round's own process and its children. */
_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The sentence is only put together when it is needed: this stands on hot paths, too. */
#define bench_must(ok, ...)          \
    do {                             \
        if (!(ok))                   \
            bench_fail(__VA_ARGS__); \
    } while (0)
void bench_begin_round(struct bench_round *round);

uint64_t bench_now_ns(void);

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

/* CPUs that this process may use, as a number that pin takes; first and last may be the same. */
size_t bench_cpu_first(void);
size_t bench_cpu_last(void);
void bench_pin(size_t cpu);

/* One field of /proc/PID/smaps_rollup, in KiB. */
double bench_smaps_kib(pid_t pid, const char *field);

/* ---- running and telling (run.c, report.c) ------------------------------------------------ */

struct bench_options {
    unsigned rounds;
    bool quick;
    const char *only, *json, *compare; /* may be NULL */
};

struct bench_result {
    const struct bench *bench;
    unsigned rounds; /* done; all are, unless it failed */
    double values[BENCH_NUMBERS][BENCH_ROUNDS_MAX];
    char error[200]; /* empty: all is well */
};

struct bench_run {
    struct bench_result *results;
    size_t count;
};

/* Selects, measures. 0, -ENOENT (nothing is called so), -ENOMEM. */
int bench_run_all(const struct bench_options *options, struct bench_run *run);

/* The ratios of all files. */
const struct bench_ratio *const *bench_ratio_list(size_t *count);

void bench_print(const struct bench_run *run);
int bench_write_json(const struct bench_options *options, const struct bench_run *run);
int bench_compare(const struct bench_options *options, const struct bench_run *run);

#endif
