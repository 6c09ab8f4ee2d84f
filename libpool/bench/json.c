/* SPDX-License-Identifier: MIT */
/*
 * Written with one result a line, so that reading it again takes no parser of JSON: only files that we
 * have written are compared, and the name comes first in each line, the value second.
 */
#include "json.h"

#include <string.h>

static const char *const kind_names[BENCH_KINDS] = {"pool", "floor", "peer"};

const char *bench_format(char text[32], double value)
{
    double size = value < 0 ? -value : value;
    int places = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
    (void)snprintf(text, 32, "%.*f", places, value);
    return text;
}

const char *bench_ratio_name(char text[160], const struct bench_ratio *ratio)
{
    if (!ratio->to[0])
        (void)snprintf(text, 160, "%s", ratio->number);
    else if (!ratio->to[1])
        (void)snprintf(text, 160, "%s / %s", ratio->number, ratio->to[0]);
    else
        (void)snprintf(text, 160, "%s / (%s + %s)", ratio->number, ratio->to[0], ratio->to[1]);
    return text;
}

/* ---- writing ------------------------------------------------------------------------------ */

struct json {
    FILE *file;
    const char *separator;
};

static void write_result(void *context, const struct bench_summary *summary)
{
    struct json *json = context;
    (void)fprintf(json->file,
                  "%s\n    {\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", \"min\": %.6g, "
                  "\"max\": %.6g, \"kind\": \"%s\", \"better\": \"%s\", \"rounds\": [",
                  json->separator, summary->name, summary->median, summary->unit, summary->min,
                  summary->max, kind_names[summary->kind],
                  bench_more_is_better(summary->unit) ? "higher" : "lower");
    for (unsigned i = 0; i < summary->rounds; i++)
        (void)fprintf(json->file, "%s%.6g", i ? ", " : "", summary->values[i]);
    (void)fprintf(json->file, "]}");
    json->separator = ",";
}

static void write_ratio(struct json *json, const struct bench_run *run,
                        const struct bench_ratio *ratio)
{
    static const char *const bars[] = {"", "at most", "at least"};
    char name[160];
    struct bench_judgement judgement = bench_judge(run, ratio);
    (void)fprintf(json->file, "%s\n    {\"ratio\": \"%s\", ", json->separator,
                  bench_ratio_name(name, ratio));
    if (judgement.verdict != BENCH_NOT_MEASURED)
        (void)fprintf(json->file, "\"is\": %.4g, \"min\": %.4g, \"max\": %.4g, ", judgement.ratio,
                      judgement.min, judgement.max);
    if (ratio->bar.kind != BENCH_NO_BAR)
        (void)fprintf(json->file, "\"bar\": \"%s %g\", ", bars[ratio->bar.kind], ratio->bar.value);
    (void)fprintf(json->file, "\"verdict\": \"%s\"}", bench_verdict_name(judgement.verdict));
    json->separator = ",";
}

static void write_times(struct json *json, const struct bench_run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        (void)fprintf(json->file, "%s\n    {\"bench\": \"%s\", \"seconds\": %.1f}", json->separator,
                      run->results[i].subject->name, run->results[i].spent_s);
        json->separator = ",";
    }
}

static void write_gaps(struct json *json, const struct bench_run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        const struct bench_result *result = &run->results[i];
        if (!result->error[0])
            continue;
        (void)fprintf(json->file, "%s\n    {\"bench\": \"%s\", \"%s\": \"", json->separator,
                      result->subject->name, result->missing ? "missing" : "failed");
        for (const char *c = result->error; *c; c++)
            (void)fputc(*c == '"' || *c == '\\' || (unsigned char)*c < ' ' ? ' ' : *c, json->file);
        (void)fprintf(json->file, "\"}");
        json->separator = ",";
    }
}

void bench_json_write(FILE *file, const struct bench_machine *machine, const struct bench_run *run,
                      const struct bench_ratio *ratios, size_t count)
{
    struct json json = {.file = file, .separator = ""};
    (void)fprintf(
        file,
        "{\n  \"libpool\": \"%s\", \"kernel\": \"%s\", \"machine\": \"%s\", \"cpus\": %ld,\n"
        "  \"load_after\": %.2f, \"rounds\": %u, \"quick\": %s,\n  \"results\": [",
        machine->libpool, machine->kernel, machine->machine, machine->cpus, machine->load_after,
        machine->rounds, machine->quick ? "true" : "false");
    bench_each_number(run, write_result, &json);
    (void)fprintf(file, "\n  ],\n  \"ratios\": [");
    json.separator = "";
    for (size_t i = 0; i < count; i++)
        write_ratio(&json, run, &ratios[i]);
    (void)fprintf(file, "\n  ],\n  \"not_measured\": [");
    json.separator = "";
    write_gaps(&json, run);
    (void)fprintf(file, "\n  ],\n  \"took\": [");
    json.separator = "";
    write_times(&json, run);
    (void)fprintf(file, "\n  ]\n}\n");
}

/* ---- an older run ------------------------------------------------------------------------- */

static void print_change(FILE *out, const struct bench_run *run, const char *name, double old)
{
    struct bench_summary now;
    char before[32], after[32];
    bench_format(before, old);
    if (!bench_find(run, name, &now))
        (void)fprintf(out, "  %-34s %12s %12s\n", name, before, "-");
    else if (old > 0)
        (void)fprintf(out, "  %-34s %12s %12s %8.3f  %s%s\n", name, before,
                      bench_format(after, now.median), now.median / old, now.unit,
                      old >= now.min && old <= now.max ? "  (within its spread)" : "");
    else
        (void)fprintf(out, "  %-34s %12s %12s %8s  %s\n", name, before,
                      bench_format(after, now.median), "", now.unit);
}

int bench_json_compare(FILE *old, const struct bench_run *run, FILE *out)
{
    char line[4096], name[64];
    double value;
    int known = 0;
    while (fgets(line, sizeof line, old)) {
        if (sscanf(line, " {\"name\": \"%63[^\"]\", \"value\": %lf", name, &value) != 2)
            continue;
        if (known++ == 0)
            (void)fprintf(out, "\n  %-34s %12s %12s %8s\n", "number", "old", "new", "new/old");
        print_change(out, run, name, value);
    }
    return known;
}
