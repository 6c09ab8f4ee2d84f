/* SPDX-License-Identifier: MIT */
/*
 * json: a run as a file, one result a line, and an older such file beside a newer run.
 */
#ifndef BENCH_JSON_H
#define BENCH_JSON_H

#include <stdio.h>

#include "stats.h"

struct bench_machine {
    const char *libpool, *kernel, *machine;
    long cpus;
    double load_after;
    unsigned rounds;
    bool quick;
};

void bench_json_write(FILE *file, const struct bench_machine *machine, const struct bench_run *run,
                      const struct bench_ratio *ratios, size_t count);

/*
 * Old, new and new/old of each number in both; a line for each that only the old file has. Returns how
 * many numbers the old file has, 0 when it is none of ours.
 */
int bench_json_compare(FILE *old, const struct bench_run *run, FILE *out);

/* Four figures are more than a shared machine is good for; a big number keeps all its places. */
const char *bench_format(char text[32], double value);

/* "a / (b + c)", "a / b" or "a". */
const char *bench_ratio_name(char text[160], const struct bench_ratio *ratio);

#endif
