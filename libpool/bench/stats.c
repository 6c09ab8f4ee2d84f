/* SPDX-License-Identifier: MIT */
/* Pure arithmetic, so that it can be tested: no clock, no file, no global list. */
#include "stats.h"

#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

struct spread {
    double median, min, max;
};

static struct spread spread_of(const double *values, size_t count)
{
    double sorted[BENCH_ROUNDS_MAX];
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_value);
    return (struct spread){.median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2,
                           .min = sorted[0],
                           .max = sorted[count - 1]};
}

double bench_median(const double *values, size_t count)
{
    return spread_of(values, count).median;
}

bool bench_more_is_better(const char *unit)
{
    return strstr(unit, "/s") != NULL;
}

static struct bench_summary summarise(const struct bench_result *result, int number)
{
    struct spread spread = spread_of(result->values[number], result->rounds);
    return (struct bench_summary){.name = result->subject->numbers[number].name,
                                  .unit = result->subject->numbers[number].unit,
                                  .kind = result->subject->kind,
                                  .median = spread.median,
                                  .min = spread.min,
                                  .max = spread.max,
                                  .rounds = result->rounds,
                                  .values = result->values[number]};
}

void bench_each_number(const struct bench_run *run,
                       void (*tell)(void *context, const struct bench_summary *summary),
                       void *context)
{
    for (size_t i = 0; i < run->count; i++) {
        const struct bench_result *result = &run->results[i];
        if (result->error[0] || result->rounds == 0)
            continue;
        for (int j = 0; j < BENCH_NUMBERS && result->subject->numbers[j].name; j++) {
            struct bench_summary summary = summarise(result, j);
            tell(context, &summary);
        }
    }
}

struct lookup {
    const char *name;
    struct bench_summary *found;
    bool is_there;
};

static void look_up(void *context, const struct bench_summary *summary)
{
    struct lookup *lookup = context;
    if (strcmp(summary->name, lookup->name) != 0)
        return;
    *lookup->found = *summary;
    lookup->is_there = true;
}

bool bench_find(const struct bench_run *run, const char *name, struct bench_summary *summary)
{
    struct lookup lookup = {.name = name, .found = summary};
    bench_each_number(run, look_up, &lookup);
    return lookup.is_there;
}

/* ---- ratios ------------------------------------------------------------------------------- */

/* What the number is divided by, round by round. False: a part of it was not measured. */
static bool find_divisor(const struct bench_run *run, const struct bench_ratio *ratio,
                         double by_round[BENCH_ROUNDS_MAX], unsigned *rounds)
{
    struct bench_summary part;
    for (int i = 0; i < 2 && ratio->to[i]; i++) {
        if (!bench_find(run, ratio->to[i], &part))
            return false;
        if (part.rounds < *rounds)
            *rounds = part.rounds;
        for (unsigned j = 0; j < *rounds; j++)
            by_round[j] = (i ? by_round[j] : 0) + part.values[j];
    }
    for (unsigned j = 0; j < *rounds && ratio->to[0]; j++)
        if (!(by_round[j] > 0))
            return false;
    return true;
}

static enum bench_verdict verdict_of(double ratio, struct bench_bar bar)
{
    switch (bar.kind) {
    case BENCH_NO_BAR: return BENCH_MEASURED;
    case BENCH_AT_MOST: return ratio <= bar.value ? BENCH_MET : BENCH_MISSED;
    case BENCH_AT_LEAST: return ratio >= bar.value ? BENCH_MET : BENCH_MISSED;
    }
    return BENCH_NOT_MEASURED;
}

struct bench_judgement bench_judge(const struct bench_run *run, const struct bench_ratio *ratio)
{
    struct bench_judgement judgement = {.verdict = BENCH_NOT_MEASURED};
    struct bench_summary number;
    double ratios[BENCH_ROUNDS_MAX];
    if (!bench_find(run, ratio->number, &number))
        return judgement;
    unsigned rounds = number.rounds;
    if (!find_divisor(run, ratio, ratios, &rounds))
        return judgement;
    for (unsigned i = 0; i < rounds; i++)
        ratios[i] = ratio->to[0] ? number.values[i] / ratios[i] : number.values[i];
    struct spread spread = spread_of(ratios, rounds);
    judgement.ratio = spread.median;
    judgement.min = spread.min;
    judgement.max = spread.max;
    judgement.verdict = verdict_of(spread.median, ratio->bar);
    return judgement;
}

const char *bench_verdict_name(enum bench_verdict verdict)
{
    static const char *const names[BENCH_VERDICTS] = {
        [BENCH_NOT_MEASURED] = "not measured",
        [BENCH_MEASURED] = "",
        [BENCH_MET] = "met",
        [BENCH_MISSED] = "MISSED",
    };
    return names[verdict];
}
