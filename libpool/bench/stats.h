/* SPDX-License-Identifier: MIT */
/*
 * stats: what many rounds come to. Medians with their spread, and ratios that are taken round by round
 * before the median is: a slow minute of the machine is in both sides of a round, and drops out.
 */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stdbool.h>
#include <stddef.h>

#define BENCH_NUMBERS 8 /* of one bench at most */
#define BENCH_ROUNDS_MAX 101

enum bench_kind {
    BENCH_POOL = 0, /* the pool itself */
    BENCH_FLOOR,    /* what the kernel asks for the same thing */
    BENCH_PEER,     /* how others do it */
    BENCH_KINDS
};

struct bench_number {
    const char *name, *unit; /* a unit with "/s" in it: more is better */
};

struct bench_subject {
    const char *name; /* what --only selects, along with the names of its numbers */
    enum bench_kind kind;
    struct bench_number numbers[BENCH_NUMBERS];
};

struct bench_result {
    const struct bench_subject *subject;
    unsigned rounds; /* done */
    double spent_s;  /* in all rounds */
    double values[BENCH_NUMBERS][BENCH_ROUNDS_MAX];
    char error[200]; /* empty: all is well */
    bool missing;    /* not an error: what it measures is not installed */
};

struct bench_run {
    struct bench_result *results;
    size_t count;
    bool is_all; /* nothing was left out by name */
};

struct bench_summary {
    const char *name, *unit;
    enum bench_kind kind;
    double median, min, max;
    unsigned rounds;
    const double *values; /* by round; belongs to the run */
};

/* Of at least one value; does not change them. */
double bench_median(const double *values, size_t count);

bool bench_more_is_better(const char *unit);

/* Calls back for each number that was measured. */
void bench_each_number(const struct bench_run *run,
                       void (*tell)(void *context, const struct bench_summary *summary),
                       void *context);

/* False: there is no such number, or it was not measured. */
bool bench_find(const struct bench_run *run, const char *name, struct bench_summary *summary);

/* ---- ratios ------------------------------------------------------------------------------- */

struct bench_bar {
    enum {
        BENCH_NO_BAR = 0,
        BENCH_AT_MOST,
        BENCH_AT_LEAST
    } kind;
    double value;
};

/* A row of the closing table: a number over the sum of its floors, or as it is when it has none. */
struct bench_ratio {
    const char *number;
    const char *to[2]; /* floors, a peer, another number of ours; both may be NULL */
    struct bench_bar bar;
};

enum bench_verdict {
    BENCH_NOT_MEASURED = 0, /* one of the numbers is not there */
    BENCH_MEASURED,         /* and nothing was demanded */
    BENCH_MET,
    BENCH_MISSED,
    BENCH_VERDICTS
};

struct bench_judgement {
    enum bench_verdict verdict;
    double ratio, min, max; /* median and spread of the rounds' ratios */
};

struct bench_judgement bench_judge(const struct bench_run *run, const struct bench_ratio *ratio);
const char *bench_verdict_name(enum bench_verdict verdict);

#endif
