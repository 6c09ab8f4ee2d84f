/* SPDX-License-Identifier: MIT */
/*
 * Runs scenarios, N at a time, each in a process of its own.
 *
 * A runner that crashes, hangs or says nothing costs its scenario the verdict ERROR and nothing
 * else. Results stand in the order of the command line whatever order they come in, and a run's
 * seed depends on the suite's seed and on its own file alone, so that -j1, -j8 and a replay of one
 * file all make the same choices.
 */
#ifndef CHAOS_SUITE_H
#define CHAOS_SUITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chaos/result.h"
#include "chaos/run.h"
#include "chaos/scenario.h"

#define CH_JOBS_MAX 64
#define CH_REPEATS_MAX 1000000

/* One run: a scenario (one value of its matrix), one repeat. */
struct ch_entry {
    const struct ch_scenario *scenario;
    struct ch_result result;
    bool done;
};

struct ch_suite {
    const char *command; /* how chaos was called: for those who call it again */
    uint64_t seed;
    struct ch_entry *entries;
    size_t count;
    uint64_t duration_ns;
    bool must_fail;     /* the verdicts are those of `chaos must-fail` */
    bool interrupted;   /* by a signal: entries that are not done say nothing */
    size_t left_behind; /* processes that outlived their runner and had to be killed */
};

struct ch_suite_options {
    unsigned jobs;
    bool verbose;
    const char *evidence_dir;
    uint64_t slack_us; /* what a runner may take beyond its scenario's limit; 0: a default */
    int (*run)(const struct ch_scenario *scenario, const struct ch_run_options *options,
               struct ch_result *result);
    void (*changed)(const struct ch_suite *suite, void *context); /* one has ended; may be NULL */
    void *context;
};

/* Runs all entries. 0, or -errno when not even the first process could be started. */
int ch_suite_run(struct ch_suite *suite, const struct ch_suite_options *options);

/* The seed that --seed takes to get repeat `repeat` again as the first one. */
uint64_t ch_seed_of_repeat(uint64_t seed, uint32_t repeat);

/* What one run draws its choices from. */
uint64_t ch_seed_of_run(uint64_t seed, const struct ch_scenario *scenario);

/* Turns a result into that of `chaos must-fail`: a PASS when the named checker has objected. */
void ch_must_fail_judge(const struct ch_scenario *scenario, struct ch_result *result);

/* How many entries have this verdict. */
size_t ch_suite_count(const struct ch_suite *suite, enum ch_verdict verdict);

/* 0, 1, 3, 4 or 5: the gravest verdict; skips count only when there is nothing else. */
int ch_suite_exit_code(const struct ch_suite *suite);

#endif
