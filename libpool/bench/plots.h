/* SPDX-License-Identifier: MIT */
/* plots: which numbers stand side by side in the page, and which make a line. */
#ifndef BENCH_PLOTS_H
#define BENCH_PLOTS_H

#include <stddef.h>

#define BENCH_PLOT_MAX 16

struct bench_bars {
    const char *title;
    const char *numbers[BENCH_PLOT_MAX]; /* up to the first NULL */
};

struct bench_line {
    const char *title, *x_label;
    struct {
        double x;
        const char *number;
    } points[BENCH_PLOT_MAX];
};

extern const struct bench_bars bench_bars[];
extern const size_t bench_bars_count;
extern const struct bench_line bench_lines[];
extern const size_t bench_lines_count;

#endif
