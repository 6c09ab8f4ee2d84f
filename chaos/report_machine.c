/* SPDX-License-Identifier: MIT */
/* The reports for machines: TAP, JUnit, JSON. An entry that was not run is left out of none. */
#include <inttypes.h>
#include <string.h>

#include "chaos/report.h"

static const struct ch_reason not_run = {
    .verdict = CH_ERROR,
    .checker = "interrupted",
    .expected = "it is run",
    .actual = "a signal ended the suite before",
};

static const struct ch_reason *first_reason(const struct ch_entry *entry)
{
    return entry->done ? &entry->result.reasons[0] : &not_run;
}

static enum ch_verdict verdict_of(const struct ch_entry *entry)
{
    return entry->done ? ch_result_verdict(&entry->result) : CH_ERROR;
}

static uint32_t reasons_of(const struct ch_entry *entry)
{
    return entry->done ? entry->result.reasons_count : 1;
}

/* ---- JSON -------------------------------------------------------------------------------- */

void ch_write_json_string(const char *text, FILE *out)
{
    fputc('"', out);
    while (*text != '\0') {
        size_t length = ch_utf8_length(text);
        if (length == 0)
            fputs("\\ufffd", out);
        else if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if (length == 1 && ((unsigned char)*text < ' ' || *text == 0x7f))
            fprintf(out, "\\u%04x", (unsigned)(unsigned char)*text);
        else
            fwrite(text, 1, length, out);
        text += length > 0 ? length : 1;
    }
    fputc('"', out);
}

static void json_field(const char *before, const char *name, const char *text, FILE *out)
{
    fprintf(out, "%s\"%s\": ", before, name);
    ch_write_json_string(text, out);
}

static void json_reason(const struct ch_reason *reason, const char *before, FILE *out)
{
    fprintf(out, "%s\n        {\"verdict\": \"%s\", \"line\": %u, \"column\": %u", before,
            ch_verdict_name(reason->verdict), reason->place.line, reason->place.column);
    json_field(", ", "checker", reason->checker, out);
    json_field(", ", "expected", reason->expected, out);
    json_field(", ", "actual", reason->actual, out);
    json_field(", ", "read", reason->read, out);
    fputc('}', out);
}

static void json_entry(const struct ch_suite *suite, const struct ch_entry *entry, FILE *out)
{
    char replay[2048];
    const struct ch_scenario *scenario = entry->scenario;
    ch_report_replay(suite, entry, replay, sizeof(replay));
    json_field("    {", "file", scenario->path, out);
    json_field(",\n     ", "title", scenario->title, out);
    if (scenario->matrix_name != NULL) {
        fputs(",\n     \"matrix\": {", out);
        ch_write_json_string(scenario->matrix_name, out);
        fputs(": ", out);
        ch_write_json_string(scenario->matrix_value, out);
        fputc('}', out);
    }
    fprintf(out, ",\n     \"repeat\": %u, \"verdict\": \"%s\", \"seed\": \"0x%" PRIx64 "\"",
            entry->result.repeat, ch_verdict_name(verdict_of(entry)), entry->result.seed);
    fprintf(out, ", \"duration_ms\": %.3f", (double)entry->result.duration_ns / 1e6);
    json_field(",\n     ", "replay", replay, out);
    json_field(",\n     ", "history", entry->result.evidence, out);
    fputs(",\n     \"reasons\": [", out);
    for (uint32_t i = 0; i < reasons_of(entry); i++)
        json_reason(first_reason(entry) + i, i > 0 ? "," : "", out);
    fprintf(out, "],\n     \"reasons_lost\": %u}", entry->result.reasons_lost);
}

void ch_report_json(const struct ch_suite *suite, FILE *out)
{
    fprintf(out, "{\"chaos\": 1, \"seed\": \"0x%" PRIx64 "\", \"duration_ms\": %.3f,\n",
            suite->seed, (double)suite->duration_ns / 1e6);
    fprintf(out, " \"exit_code\": %d, \"left_behind\": %zu,\n \"runs\": [",
            ch_suite_exit_code(suite), suite->left_behind);
    for (size_t i = 0; i < suite->count; i++) {
        fputs(i > 0 ? ",\n" : "\n", out);
        json_entry(suite, &suite->entries[i], out);
    }
    fputs("]}\n", out);
}

/* ---- TAP --------------------------------------------------------------------------------- */

/* A description ends at '#' and at the end of the line. */
static void tap_text(const char *text, FILE *out)
{
    while (*text != '\0') {
        size_t length = ch_utf8_length(text);
        if (length == 0 || (length == 1 && ((unsigned char)*text < ' ' || *text == 0x7f)))
            fputc('?', out);
        else if (*text == '#')
            fputs("\\#", out);
        else
            fwrite(text, 1, length, out);
        text += length > 0 ? length : 1;
    }
}

static void tap_reason(const struct ch_reason *reason, FILE *out)
{
    fprintf(out, "    - {verdict: %s, line: %u, ", ch_verdict_name(reason->verdict),
            reason->place.line);
    json_field("", "checker", reason->checker, out);
    json_field(", ", "expected", reason->expected, out);
    json_field(", ", "actual", reason->actual, out);
    json_field(", ", "read", reason->read, out);
    fputs("}\n", out);
}

static void tap_block(const struct ch_suite *suite, const struct ch_entry *entry, FILE *out)
{
    char replay[2048];
    ch_report_replay(suite, entry, replay, sizeof(replay));
    fprintf(out, "  ---\n  verdict: %s\n  seed: \"0x%" PRIx64 "\"\n  replay: ",
            ch_verdict_name(verdict_of(entry)), entry->result.seed);
    ch_write_json_string(replay, out);
    fputs("\n  reasons:\n", out);
    for (uint32_t i = 0; i < reasons_of(entry); i++)
        tap_reason(first_reason(entry) + i, out);
    fputs("  ...\n", out);
}

static void tap_entry(const struct ch_suite *suite, const struct ch_entry *entry, size_t number,
                      FILE *out)
{
    char name[1024];
    enum ch_verdict verdict = verdict_of(entry);
    bool ok = verdict == CH_PASS || verdict == CH_SKIP;
    ch_report_name(entry, name, sizeof(name));
    fprintf(out, "%s %zu - ", ok ? "ok" : "not ok", number);
    tap_text(name, out);
    fputs(": ", out);
    tap_text(entry->scenario->title, out);
    if (verdict == CH_SKIP) {
        fputs(" # SKIP needs ", out);
        tap_text(ch_report_need(entry->scenario, first_reason(entry)), out);
        fputs(": ", out);
        tap_text(first_reason(entry)->actual, out);
    }
    fputc('\n', out);
    if (!ok)
        tap_block(suite, entry, out);
}

void ch_report_tap(const struct ch_suite *suite, FILE *out)
{
    fprintf(out, "TAP version 13\n# seed 0x%" PRIx64 "\n1..%zu\n", suite->seed, suite->count);
    for (size_t i = 0; i < suite->count; i++)
        tap_entry(suite, &suite->entries[i], i + 1, out);
    if (suite->interrupted)
        fputs("Bail out! interrupted\n", out);
}

/* ---- JUnit ------------------------------------------------------------------------------- */

/* XML has no way to write most control characters, nor U+FFFE and U+FFFF. */
static bool fits_xml(const char *text, size_t length)
{
    if (length == 1)
        return (unsigned char)*text >= ' ' || *text == '\n' || *text == '\t';
    return length > 0 &&
           !(length == 3 && memcmp(text, "\xef\xbf", 2) == 0 && (unsigned char)text[2] >= 0xbe);
}

void ch_write_xml(const char *text, FILE *out)
{
    while (*text != '\0') {
        size_t length = ch_utf8_length(text);
        if (!fits_xml(text, length))
            fputs("\xef\xbf\xbd", out);
        else if (length > 1)
            fwrite(text, 1, length, out);
        else if (*text == '&')
            fputs("&amp;", out);
        else if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '>')
            fputs("&gt;", out);
        else if (*text == '"')
            fputs("&quot;", out);
        else if (*text == '\n' || *text == '\t')
            fprintf(out, "&#%d;", *text);
        else
            fputc(*text, out);
        text += length > 0 ? length : 1;
    }
}

static void junit_reason(const struct ch_scenario *scenario, const struct ch_reason *reason,
                         FILE *out)
{
    ch_write_xml(scenario->path, out);
    fprintf(out, ":%u:%u: %s: ", reason->place.line, reason->place.column,
            ch_verdict_name(reason->verdict));
    ch_write_xml(reason->checker, out);
    fputs("\n  expected: ", out);
    ch_write_xml(reason->expected, out);
    fputs("\n  actual: ", out);
    ch_write_xml(reason->actual, out);
    fputs("\n  read: ", out);
    ch_write_xml(reason->read, out);
    fputc('\n', out);
}

/* INCONCLUSIVE is a failure: it must not be taken for a pass by a tool that knows no better. */
static const char *junit_tag(enum ch_verdict verdict)
{
    static const char *const tags[CH_VERDICTS] = {
        [CH_SKIP] = "skipped",
        [CH_INCONCLUSIVE] = "failure",
        [CH_ERROR] = "error",
        [CH_FAIL] = "failure",
    };
    return tags[verdict];
}

static void junit_outcome(const struct ch_suite *suite, const struct ch_entry *entry, FILE *out)
{
    char replay[2048];
    enum ch_verdict verdict = verdict_of(entry);
    const struct ch_reason *first = first_reason(entry);
    fprintf(out, "      <%s message=\"", junit_tag(verdict));
    ch_write_xml(first->checker, out);
    fputs(verdict == CH_SKIP ? " " : "", out);
    ch_write_xml(verdict == CH_SKIP ? ch_report_need(entry->scenario, first) : "", out);
    fputs(": ", out);
    ch_write_xml(first->actual, out);
    if (verdict == CH_SKIP) {
        fputs("\"/>\n", out);
        return;
    }
    fprintf(out, "\" type=\"%s\">", ch_verdict_name(verdict));
    for (uint32_t i = 0; i < reasons_of(entry); i++)
        junit_reason(entry->scenario, first + i, out);
    ch_report_replay(suite, entry, replay, sizeof(replay));
    fputs("replay: ", out);
    ch_write_xml(replay, out);
    fprintf(out, "\n</%s>\n", junit_tag(verdict));
}

static void junit_case(const struct ch_suite *suite, const struct ch_entry *entry, FILE *out)
{
    char name[1024];
    ch_report_name(entry, name, sizeof(name));
    fputs("    <testcase classname=\"", out);
    ch_write_xml(entry->scenario->path, out);
    fputs("\" name=\"", out);
    ch_write_xml(entry->scenario->title, out);
    if (strcmp(name, entry->scenario->path) != 0)
        ch_write_xml(name + strlen(entry->scenario->path), out);
    fprintf(out, "\" time=\"%.3f\"", (double)entry->result.duration_ns / 1e9);
    if (verdict_of(entry) == CH_PASS) {
        fputs("/>\n", out);
        return;
    }
    fputs(">\n", out);
    junit_outcome(suite, entry, out);
    fputs("    </testcase>\n", out);
}

struct totals {
    size_t tests, failures, errors, skipped;
    uint64_t duration_ns;
};

static struct totals add_up(const struct ch_entry *entries, size_t count)
{
    struct totals totals = {.tests = count};
    for (size_t i = 0; i < count; i++) {
        enum ch_verdict verdict = verdict_of(&entries[i]);
        totals.failures += verdict == CH_FAIL || verdict == CH_INCONCLUSIVE;
        totals.errors += verdict == CH_ERROR;
        totals.skipped += verdict == CH_SKIP;
        totals.duration_ns += entries[i].result.duration_ns;
    }
    return totals;
}

static void junit_totals(struct totals totals, FILE *out)
{
    fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" time=\"%.3f\">\n",
            totals.tests, totals.failures, totals.errors, totals.skipped,
            (double)totals.duration_ns / 1e9);
}

/* Runs of one file stand side by side: they make one testsuite. */
static size_t junit_file(const struct ch_suite *suite, size_t first, FILE *out)
{
    const char *path = suite->entries[first].scenario->path;
    size_t end = first;
    while (end < suite->count && strcmp(suite->entries[end].scenario->path, path) == 0)
        end++;
    fputs("  <testsuite name=\"", out);
    ch_write_xml(path, out);
    fputc('"', out);
    junit_totals(add_up(&suite->entries[first], end - first), out);
    for (size_t i = first; i < end; i++)
        junit_case(suite, &suite->entries[i], out);
    fputs("  </testsuite>\n", out);
    return end;
}

void ch_report_junit(const struct ch_suite *suite, FILE *out)
{
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"chaos\"", out);
    junit_totals(add_up(suite->entries, suite->count), out);
    for (size_t i = 0; i < suite->count;)
        i = junit_file(suite, i, out);
    fputs("</testsuites>\n", out);
}
