/* SPDX-License-Identifier: MIT */
/*
 * What was measured, told three times: lines `name value unit (min..max)`, ratios to the floors of the
 * same run, and a JSON file with one result a line, which is what --compare reads again.
 */
#include <errno.h>
#include <libpool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"

static const char *const kind_names[BENCH_KINDS] = {"pool", "floor", "peer"};

/* ---- numbers ------------------------------------------------------------------------------ */

struct summary {
    const char *name, *unit;
    enum bench_kind kind;
    double median, min, max;
};

static int by_value(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static struct summary summarise(const struct bench_result *result, int number)
{
    double sorted[BENCH_ROUNDS_MAX];
    size_t n = result->rounds;
    memcpy(sorted, result->values[number], n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    return (struct summary){.name = result->bench->numbers[number].name,
                            .unit = result->bench->numbers[number].unit,
                            .kind = result->bench->kind,
                            .median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2,
                            .min = sorted[0],
                            .max = sorted[n - 1]};
}

static bool more_is_better(const char *unit)
{
    return strstr(unit, "/s") != NULL;
}

/* Calls back for each number that was measured. */
static void each_number(const struct bench_run *run,
                        void (*tell)(void *context, const struct summary *summary), void *context)
{
    for (size_t i = 0; i < run->count; i++) {
        const struct bench_result *result = &run->results[i];
        for (int j = 0; j < BENCH_NUMBERS && result->bench->numbers[j].name; j++) {
            if (result->error[0])
                continue;
            struct summary summary = summarise(result, j);
            tell(context, &summary);
        }
    }
}

struct lookup {
    const char *name;
    struct summary found;
};

static void look_up(void *context, const struct summary *summary)
{
    struct lookup *lookup = context;
    if (strcmp(summary->name, lookup->name) == 0)
        lookup->found = *summary;
}

static struct summary find(const struct bench_run *run, const char *name)
{
    struct lookup lookup = {.name = name};
    each_number(run, look_up, &lookup);
    return lookup.found;
}

/* Four figures are more than a shared machine is good for; a big number keeps all its places. */
static const char *format(char text[32], double value)
{
    int places = value >= 1000 ? 0 : value >= 100 ? 1 : value >= 10 ? 2 : 3;
    (void)snprintf(text, 32, "%.*f", places, value);
    return text;
}

/* ---- lines and ratios --------------------------------------------------------------------- */

static void print_line(void *context, const struct summary *summary)
{
    (void)context;
    char value[32], min[32], max[32];
    printf("%s %s %s (%s..%s)\n", summary->name, format(value, summary->median), summary->unit,
           format(min, summary->min), format(max, summary->max));
}

struct compared {
    double ratio; /* 0: something is missing */
    bool met;
    char floors[96];
};

static struct compared compare_to_floors(const struct bench_run *run,
                                         const struct bench_ratio *ratio)
{
    struct compared compared = {.ratio = 0};
    struct summary value = find(run, ratio->number), first = find(run, ratio->floors[0]);
    double sum = first.median;
    (void)snprintf(compared.floors, sizeof compared.floors, "%s", ratio->floors[0]);
    if (ratio->floors[1]) {
        struct summary second = find(run, ratio->floors[1]);
        sum = second.median > 0 && sum > 0 ? sum + second.median : 0;
        (void)snprintf(compared.floors, sizeof compared.floors, "%s + %s", ratio->floors[0],
                       ratio->floors[1]);
    }
    if (!(value.median > 0) || !(sum > 0))
        return compared;
    compared.ratio = value.median / sum;
    compared.met = more_is_better(value.unit) ? compared.ratio >= ratio->goal
                                              : compared.ratio <= ratio->goal;
    return compared;
}

static void print_ratio(const struct bench_run *run, const struct bench_ratio *ratio, bool *begun)
{
    struct compared compared = compare_to_floors(run, ratio);
    if (!(compared.ratio > 0))
        return;
    if (!*begun)
        printf("\n  %-26s %9s  %-15s  %s\n", "number", "ratio", "goal", "to");
    *begun = true;
    printf("  %-26s %9.3f  ", ratio->number, compared.ratio);
    if (ratio->goal > 0)
        printf("%s %-5g %-6s",
               more_is_better(find(run, ratio->number).unit) ? ">=" : "<=", ratio->goal,
               compared.met ? "yes" : "no");
    else
        printf("%-15s", "");
    printf("  %s\n", compared.floors);
}

void bench_print(const struct bench_run *run)
{
    each_number(run, print_line, NULL);
    size_t count;
    const struct bench_ratio *const *ratios = bench_ratio_list(&count);
    bool begun = false;
    for (size_t i = 0; i < count; i++)
        print_ratio(run, ratios[i], &begun);
    for (size_t i = 0; i < run->count; i++)
        if (run->results[i].error[0])
            (void)fprintf(stderr, "bench: %s FAILED: %s\n", run->results[i].bench->name,
                          run->results[i].error);
}

/* ---- JSON --------------------------------------------------------------------------------- */

struct json {
    FILE *file;
    const char *separator;
};

static void write_result(void *context, const struct summary *summary)
{
    struct json *json = context;
    (void)fprintf(json->file,
                  "%s\n    {\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", \"min\": %.6g, "
                  "\"max\": %.6g, \"kind\": \"%s\", \"better\": \"%s\"}",
                  json->separator, summary->name, summary->median, summary->unit, summary->min,
                  summary->max, kind_names[summary->kind],
                  more_is_better(summary->unit) ? "higher" : "lower");
    json->separator = ",";
}

static void write_ratios(struct json *json, const struct bench_run *run)
{
    size_t count;
    const struct bench_ratio *const *ratios = bench_ratio_list(&count);
    json->separator = "";
    for (size_t i = 0; i < count; i++) {
        struct compared compared = compare_to_floors(run, ratios[i]);
        if (!(compared.ratio > 0))
            continue;
        (void)fprintf(json->file, "%s\n    {\"number\": \"%s\", \"to\": \"%s\", \"ratio\": %.4g, ",
                      json->separator, ratios[i]->number, compared.floors, compared.ratio);
        (void)fprintf(json->file, "\"goal\": %g}", ratios[i]->goal);
        json->separator = ",";
    }
}

static void write_machine(FILE *file, const struct bench_options *options)
{
    struct utsname name = {.release = ""};
    double load[1] = {0};
    (void)uname(&name);
    (void)getloadavg(load, 1);
    (void)fprintf(file,
                  "  \"libpool\": \"%s\", \"kernel\": \"%s\", \"machine\": \"%s\", \"cpus\": %ld,\n"
                  "  \"load_after\": %.2f, \"rounds\": %u, \"quick\": %s,\n",
                  libpool_version(), name.release, name.machine, sysconf(_SC_NPROCESSORS_ONLN),
                  load[0], options->rounds, options->quick ? "true" : "false");
}

int bench_write_json(const struct bench_options *options, const struct bench_run *run)
{
    struct json json = {.file = fopen(options->json, "we"), .separator = ""};
    if (!json.file)
        return -errno;
    (void)fprintf(json.file, "{\n");
    write_machine(json.file, options);
    (void)fprintf(json.file, "  \"results\": [");
    each_number(run, write_result, &json);
    (void)fprintf(json.file, "\n  ],\n  \"ratios\": [");
    write_ratios(&json, run);
    (void)fprintf(json.file, "\n  ]\n}\n");
    bool failed = ferror(json.file) != 0;
    return fclose(json.file) || failed ? -EIO : 0;
}

/* ---- an older run ------------------------------------------------------------------------- */

static void print_change(const struct bench_run *run, const char *name, double old)
{
    struct summary now = find(run, name);
    char before[32], after[32];
    if (now.median > 0)
        printf("  %-34s %12s %12s %8.3f  %s\n", name, format(before, old),
               format(after, now.median), now.median / old, now.unit);
}

int bench_compare(const struct bench_options *options, const struct bench_run *run)
{
    char line[512], name[64];
    double old;
    int known = 0;
    FILE *file = fopen(options->compare, "re");
    if (!file)
        return -errno;
    printf("\n  %-34s %12s %12s %8s\n", "number", "old", "new", "new/old");
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, " {\"name\": \"%63[^\"]\", \"value\": %lf", name, &old) != 2)
            continue;
        known++;
        print_change(run, name, old);
    }
    (void)fclose(file);
    return known ? 0 : -ENODATA;
}
