/* SPDX-License-Identifier: MIT */
/*
 * The run as one page: the bars and what was reached, plots, all numbers. Plots are inline SVG and the
 * style is in the page, so that it can be sent around and opened anywhere.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "json.h"
#include "plots.h"

#define WIDTH 860
#define LABELS 250 /* what the names take of it */
#define ROW 22
#define HEIGHT 260
#define TICKS_MAX 16

static const char *const kind_names[BENCH_KINDS] = {"pool", "floor", "peer"};

static const char head[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>libpool bench</title><style>"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 "
    "1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0;width:100%}td,th{padding:2px 8px;text-align:left;"
    "border-bottom:1px solid #e4e4e4;font-size:14px}td.n{text-align:right;"
    "font-variant-numeric:tabular-nums;white-space:nowrap}.met{color:#14752f}.missed{color:#b3261e;"
    "font-weight:600}.none{color:#777}svg{display:block;margin:.5em 0 2em}text{font:12px "
    "sans-serif;"
    "fill:#333}.pool{fill:#1f5fa8}.floor{fill:#9aa5b1}.peer{fill:#d08b2c}.axis{stroke:#ccc}"
    ".spread{stroke:#111}.line{fill:none;stroke:#1f5fa8;stroke-width:2}h2{margin-top:2em}"
    "@media(prefers-color-scheme:dark){body{background:#16181b;color:#ddd}text{fill:#ccc}"
    "td,th{border-color:#333}.axis{stroke:#444}.spread{stroke:#eee}.met{color:#6fce8a}"
    ".missed{color:#ff8a80}}</style>\n<h1>libpool bench</h1>\n";

/* ---- the table of ratios ------------------------------------------------------------------ */

static void write_ratio(FILE *file, const struct bench_run *run, const struct bench_ratio *ratio)
{
    static const char *const classes[BENCH_VERDICTS] = {"none", "", "met", "missed"};
    static const char *const signs[] = {"", "&le;", "&ge;"};
    char name[160], value[32], min[32], max[32];
    struct bench_judgement judgement = bench_judge(run, ratio);
    (void)fprintf(file, "<tr class=\"%s\"><td>%s</td>", classes[judgement.verdict],
                  bench_ratio_name(name, ratio));
    if (judgement.verdict == BENCH_NOT_MEASURED)
        (void)fprintf(file, "<td class=n>-</td><td class=n></td>");
    else
        (void)fprintf(file, "<td class=n>%s</td><td class=n>%s &ndash; %s</td>",
                      bench_format(value, judgement.ratio), bench_format(min, judgement.min),
                      bench_format(max, judgement.max));
    if (ratio->bar.kind == BENCH_NO_BAR)
        (void)fprintf(file, "<td></td>");
    else
        (void)fprintf(file, "<td class=n>%s %g</td>", signs[ratio->bar.kind], ratio->bar.value);
    (void)fprintf(file, "<td>%s</td></tr>\n", bench_verdict_name(judgement.verdict));
}

static void write_ratios(FILE *file, const struct bench_run *run)
{
    (void)fprintf(file, "<h2>Ratios</h2>\n<p>Median of the rounds' ratios, least and most.</p>\n"
                        "<table><tr><th>of</th><th>ratio</th><th>spread</th><th>bar</th><th></th>"
                        "</tr>\n");
    for (size_t i = 0; i < bench_ratio_count; i++)
        write_ratio(file, run, &bench_ratios[i]);
    (void)fprintf(file, "</table>\n");
}

/* ---- axes --------------------------------------------------------------------------------- */

/* Logarithmic: what is compared lies orders of magnitude apart. */
struct axis {
    double low, high; /* powers of ten */
    double from, to;  /* pixels */
};

static struct axis axis_over(double least, double most, double from, double to)
{
    struct axis axis = {.from = from, .to = to};
    axis.low = floor(log10(least) + 1e-9);
    axis.high = ceil(log10(most) - 1e-9);
    if (axis.high <= axis.low)
        axis.high = axis.low + 1;
    return axis;
}

static double place(const struct axis *axis, double value)
{
    double part = (log10(value) - axis->low) / (axis->high - axis->low);
    return axis->from + part * (axis->to - axis->from);
}

static const char *short_number(char text[32], double value)
{
    static const struct {
        double unit;
        const char *sign;
    } units[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (value >= units[i].unit) {
            (void)snprintf(text, 32, "%.3g %s", value / units[i].unit, units[i].sign);
            return text;
        }
    (void)snprintf(text, 32, "%.3g", value);
    return text;
}

/* ---- bars --------------------------------------------------------------------------------- */

static void widen(const struct bench_run *run, const char *name, double *least, double *most)
{
    struct bench_summary summary;
    if (!bench_find(run, name, &summary) || !(summary.min > 0))
        return;
    *least = fmin(*least, summary.min);
    *most = fmax(*most, summary.max);
}

static void write_bar(FILE *file, const struct axis *axis, const struct bench_summary *summary,
                      int row)
{
    char value[32];
    double y = ROW * row + 24, end = place(axis, summary->median);
    (void)fprintf(file,
                  "<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">%s</text>"
                  "<rect class=\"%s\" x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"14\"/>"
                  "<line class=\"spread\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.0f\" y2=\"%.0f\"/>"
                  "<text x=\"%.1f\" y=\"%.0f\">%s</text>\n",
                  LABELS - 8, y + 11, summary->name, kind_names[summary->kind], axis->from, y,
                  fmax(end - axis->from, 1), place(axis, summary->min), place(axis, summary->max),
                  y + 7, y + 7, fmax(end, place(axis, summary->max)) + 6, y + 11,
                  short_number(value, summary->median));
}

static void write_grid(FILE *file, const struct axis *axis, double top, double bottom)
{
    char value[32];
    for (double power = axis->low; power <= axis->high; power++) {
        double x = place(axis, pow(10, power));
        (void)fprintf(file,
                      "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.0f\" y2=\"%.0f\"/>"
                      "<text x=\"%.1f\" y=\"12\" text-anchor=\"middle\">%s</text>\n",
                      x, x, top, bottom, x, short_number(value, pow(10, power)));
    }
}

static void write_bars(FILE *file, const struct bench_run *run, const struct bench_bars *bars)
{
    double least = INFINITY, most = 0;
    int rows = 0;
    for (size_t i = 0; bars->numbers[i]; i++)
        widen(run, bars->numbers[i], &least, &most);
    if (!(most > 0))
        return;
    struct axis axis = axis_over(least, most, LABELS, WIDTH - 70);
    for (size_t i = 0; bars->numbers[i]; i++) {
        struct bench_summary summary;
        rows += bench_find(run, bars->numbers[i], &summary);
    }
    (void)fprintf(file, "<h2>%s</h2>\n<svg width=\"%d\" height=\"%d\">\n", bars->title, WIDTH,
                  ROW * rows + 30);
    write_grid(file, &axis, 18, ROW * rows + 24);
    rows = 0;
    for (size_t i = 0; bars->numbers[i]; i++) {
        struct bench_summary summary;
        if (bench_find(run, bars->numbers[i], &summary) && summary.min > 0)
            write_bar(file, &axis, &summary, rows++);
    }
    (void)fprintf(file, "</svg>\n");
}

/* ---- lines -------------------------------------------------------------------------------- */

static void write_axes(FILE *file, const struct bench_line *line, const struct axis *x,
                       const struct axis *y)
{
    char value[32];
    for (double power = y->low; power <= y->high; power++)
        (void)fprintf(file,
                      "<line class=\"axis\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                      "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                      x->from, x->to, place(y, pow(10, power)), place(y, pow(10, power)),
                      x->from - 6, place(y, pow(10, power)) + 4,
                      short_number(value, pow(10, power)));
    for (double power = x->low; power <= x->high; power++)
        (void)fprintf(file, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                      place(x, pow(10, power)), HEIGHT - 22, short_number(value, pow(10, power)));
    (void)fprintf(file, "<text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                  (x->from + x->to) / 2, HEIGHT - 4, line->x_label);
}

static void write_line(FILE *file, const struct bench_run *run, const struct bench_line *line)
{
    double least = INFINITY, most = 0, left = INFINITY, right = 0;
    for (size_t i = 0; line->points[i].number; i++) {
        struct bench_summary summary;
        widen(run, line->points[i].number, &least, &most);
        if (!bench_find(run, line->points[i].number, &summary))
            continue;
        left = fmin(left, line->points[i].x);
        right = fmax(right, line->points[i].x);
    }
    if (!(most > 0) || !(right > left))
        return;
    struct axis x = axis_over(left, right, 70, WIDTH - 40);
    struct axis y = axis_over(least, most, HEIGHT - 42, 12);
    (void)fprintf(file, "<h2>%s</h2>\n<svg width=\"%d\" height=\"%d\">\n", line->title, WIDTH,
                  HEIGHT);
    write_axes(file, line, &x, &y);
    (void)fprintf(file, "<polyline class=\"line\" points=\"");
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; line->points[i].number; i++) {
            struct bench_summary summary;
            if (!bench_find(run, line->points[i].number, &summary) || !(summary.min > 0))
                continue;
            double at = place(&x, line->points[i].x);
            if (pass == 0)
                (void)fprintf(file, "%.1f,%.1f ", at, place(&y, summary.median));
            else
                (void)fprintf(file,
                              "<line class=\"spread\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" "
                              "y2=\"%.1f\"/><circle class=\"pool\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\">"
                              "<title>%g: %g %s</title></circle>\n",
                              at, at, place(&y, summary.min), place(&y, summary.max), at,
                              place(&y, summary.median), line->points[i].x, summary.median,
                              summary.unit);
        }
        (void)fprintf(file, pass == 0 ? "\"/>\n" : "</svg>\n");
    }
}

/* ---- all of it ---------------------------------------------------------------------------- */

static void write_number(void *context, const struct bench_summary *summary)
{
    FILE *file = context;
    char value[32], min[32], max[32];
    (void)fprintf(file,
                  "<tr><td>%s</td><td>%s</td><td class=n>%s</td><td>%s</td>"
                  "<td class=n>%s &ndash; %s</td></tr>\n",
                  summary->name, kind_names[summary->kind], bench_format(value, summary->median),
                  summary->unit, bench_format(min, summary->min), bench_format(max, summary->max));
}

static void write_gaps(FILE *file, const struct bench_run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        const struct bench_result *result = &run->results[i];
        if (!result->error[0])
            continue;
        (void)fprintf(file, "<p class=\"%s\">%s %s: ", result->missing ? "none" : "missed",
                      result->subject->name, result->missing ? "is missing" : "failed");
        for (const char *c = result->error; *c; c++)
            (void)fprintf(file, *c == '<' ? "&lt;" : *c == '&' ? "&amp;" : "%c", *c);
        (void)fprintf(file, "</p>\n");
    }
}

int bench_write_html(const struct bench_options *options, const struct bench_run *run)
{
    FILE *file = fopen(options->html, "we");
    if (!file)
        return -errno;
    (void)fputs(head, file);
    (void)fprintf(file, "<p>%u rounds%s, interleaved; each number is their median.</p>\n",
                  options->rounds, options->quick ? " (a smoke test: quick)" : "");
    write_gaps(file, run);
    write_ratios(file, run);
    for (size_t i = 0; i < bench_bars_count; i++)
        write_bars(file, run, &bench_bars[i]);
    for (size_t i = 0; i < bench_lines_count; i++)
        write_line(file, run, &bench_lines[i]);
    (void)fprintf(file, "<h2>All numbers</h2>\n<table><tr><th>number</th><th></th><th>median</th>"
                        "<th>unit</th><th>spread</th></tr>\n");
    bench_each_number(run, write_number, file);
    (void)fprintf(file, "</table></html>\n");
    bool failed = ferror(file) != 0;
    return fclose(file) || failed ? -EIO : 0;
}
