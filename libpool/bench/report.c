/* SPDX-License-Identifier: MIT */
/*
 * What was measured, as text: lines `name value unit (min..max)`, what is missing, and the table of
 * ratios with their bars.
 */
#include <stdio.h>

#include "bench.h"
#include "json.h"

static void print_line(void *context, const struct bench_summary *summary)
{
    const unsigned *rounds = context;
    char value[32], min[32], max[32];
    printf("%s %s %s (%s..%s)", summary->name, bench_format(value, summary->median), summary->unit,
           bench_format(min, summary->min), bench_format(max, summary->max));
    if (summary->rounds < *rounds)
        printf(" of %u rounds", summary->rounds);
    printf("\n");
}

static const char *format_bar(char text[32], struct bench_bar bar)
{
    static const char *const signs[] = {"", "<=", ">="};
    text[0] = '\0';
    if (bar.kind != BENCH_NO_BAR)
        (void)snprintf(text, 32, "%s %g", signs[bar.kind], bar.value);
    return text;
}

/* A row of text, or of Markdown. */
static void print_ratio(const struct bench_run *run, const struct bench_ratio *ratio, bool markdown)
{
    char name[160], value[32] = "-", min[32], max[32], spread[72] = "", bar[32];
    struct bench_judgement judgement = bench_judge(run, ratio);
    if (judgement.verdict != BENCH_NOT_MEASURED) {
        (void)bench_format(value, judgement.ratio);
        (void)snprintf(spread, sizeof spread, "%s..%s", bench_format(min, judgement.min),
                       bench_format(max, judgement.max));
    }
    printf(markdown ? "| %s | %s | %s | %s | `%s` |\n" : "  %10s  %-19s %-9s %-13s %s\n", value,
           spread, format_bar(bar, ratio->bar), bench_verdict_name(judgement.verdict),
           bench_ratio_name(name, ratio));
}

/* Of a selection only what it measured is of interest; of everything, what is missing is, too. */
static void print_ratios(const struct bench_run *run, bool markdown)
{
    unsigned counts[BENCH_VERDICTS] = {0};
    if (markdown)
        printf("\n| ratio | min..max | bar | | of |\n|--:|---|---|---|---|\n");
    else
        printf("\n  %10s  %-19s %-9s %-13s %s\n", "ratio", "(min..max)", "bar", "", "of");
    for (size_t i = 0; i < bench_ratio_count; i++) {
        enum bench_verdict verdict = bench_judge(run, &bench_ratios[i]).verdict;
        counts[verdict] += bench_ratios[i].bar.kind != BENCH_NO_BAR;
        if (verdict != BENCH_NOT_MEASURED || run->is_all)
            print_ratio(run, &bench_ratios[i], markdown);
    }
    printf("\n  bars: %u met, %u missed, %u not measured\n", counts[BENCH_MET],
           counts[BENCH_MISSED], counts[BENCH_NOT_MEASURED]);
}

void bench_print(const struct bench_options *options, const struct bench_run *run)
{
    unsigned rounds = options->rounds;
    bench_each_number(run, print_line, &rounds);
    print_ratios(run, options->markdown);
    for (size_t i = 0; i < run->count; i++)
        if (run->results[i].missing)
            printf("  missing: %s: %s\n", run->results[i].subject->name, run->results[i].error);
    (void)fflush(stdout);
    for (size_t i = 0; i < run->count; i++)
        if (run->results[i].error[0] && !run->results[i].missing)
            (void)fprintf(stderr, "bench: %s FAILED: %s\n", run->results[i].subject->name,
                          run->results[i].error);
}
