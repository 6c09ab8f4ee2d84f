/* SPDX-License-Identifier: MIT */
/* The report for people, and what the reporters share. */
#include "chaos/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "chaos/vocabulary.h"

/* ---- Shared ------------------------------------------------------------------------------ */

size_t ch_utf8_length(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] < 0x80)
        return at[0] != '\0';
    size_t length = at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool wrong = length > 2 &&
                 ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
                  (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f));
    return wrong ? 0 : length;
}

void ch_report_name(const struct ch_entry *entry, char *text, size_t size)
{
    const struct ch_scenario *scenario = entry->scenario;
    int used = snprintf(text, size, "%s", scenario->path);
    if (scenario->matrix_name != NULL && used >= 0 && (size_t)used < size)
        used += snprintf(text + used, size - (size_t)used, " [%s=%s]", scenario->matrix_name,
                         scenario->matrix_value);
    if (entry->result.repeat > 0 && used >= 0 && (size_t)used < size)
        snprintf(text + used, size - (size_t)used, " #%u", entry->result.repeat + 1);
}

const char *ch_report_need(const struct ch_scenario *scenario, const struct ch_reason *reason)
{
    for (size_t i = 0; i < scenario->needs_count; i++)
        if (scenario->needs[i].place.line == reason->place.line &&
            scenario->needs[i].place.column == reason->place.column)
            return ch_vocabulary_name(CH_FAMILY_CAPABILITY, (int)scenario->needs[i].capability);
    return "";
}

__attribute__((format(printf, 3, 4))) static void append(char *text, size_t size,
                                                         const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
}

/* In single quotes if a shell would see more than a word. */
static void append_quoted(char *text, size_t size, const char *word)
{
    const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=,+@%";
    if (*word != '\0' && strspn(word, plain) == strlen(word)) {
        append(text, size, "%s", word);
        return;
    }
    append(text, size, "'");
    for (; *word != '\0'; word++)
        append(text, size, *word == '\'' ? "'\\''" : "%c", *word);
    append(text, size, "'");
}

void ch_report_replay(const struct ch_suite *suite, const struct ch_entry *entry, char *text,
                      size_t size)
{
    const struct ch_scenario *scenario = entry->scenario;
    text[0] = '\0';
    append_quoted(text, size, suite->command);
    append(text, size, suite->must_fail ? " must-fail " : " run ");
    append_quoted(text, size, scenario->path);
    append(text, size, " --seed 0x%" PRIx64, entry->result.seed);
    if (scenario->matrix_name == NULL)
        return;
    char value[128];
    snprintf(value, sizeof(value), "%s=%s", scenario->matrix_name, scenario->matrix_value);
    append(text, size, " --matrix ");
    append_quoted(text, size, value);
}

/* ---- For people -------------------------------------------------------------------------- */

static double seconds(uint64_t time_ns)
{
    return (double)time_ns / 1e9;
}

/* Bytes that a terminal would act on are shown as '?'. */
static void print_plain(const char *text, FILE *out)
{
    while (*text != '\0') {
        size_t length = ch_utf8_length(text);
        bool plain = length > 1 || (length == 1 && *text >= ' ' && *text != 0x7f);
        if (plain)
            fwrite(text, 1, length, out);
        else
            fputc('?', out);
        text += length > 0 ? length : 1;
    }
}

static void print_field(const char *label, const char *text, FILE *out)
{
    if (*text == '\0')
        return;
    fprintf(out, "      %-9s", label);
    print_plain(text, out);
    fputc('\n', out);
}

static void print_reason(const struct ch_scenario *scenario, const struct ch_reason *reason,
                         FILE *out)
{
    if (reason->place.line > 0)
        fprintf(out, "    %s:%u:%u: ", scenario->path, reason->place.line, reason->place.column);
    else
        fprintf(out, "    %s: ", scenario->path);
    fprintf(out, "%s: ", ch_verdict_name(reason->verdict));
    print_plain(reason->checker, out);
    fputc('\n', out);
    print_field("expected", reason->expected, out);
    print_field("actual", reason->actual, out);
    print_field("read", reason->read, out);
}

static void print_name(const struct ch_entry *entry, FILE *out)
{
    char name[1024];
    ch_report_name(entry, name, sizeof(name));
    fprintf(out, "%-12s ", ch_verdict_name(ch_result_verdict(&entry->result)));
    print_plain(name, out);
}

static void print_in_full(const struct ch_suite *suite, const struct ch_entry *entry, FILE *out)
{
    char replay[2048];
    print_name(entry, out);
    fprintf(out, " (%.3f s)\n    ", seconds(entry->result.duration_ns));
    print_plain(entry->scenario->title, out);
    fputc('\n', out);
    for (uint32_t i = 0; i < entry->result.reasons_count; i++)
        print_reason(entry->scenario, &entry->result.reasons[i], out);
    if (entry->result.reasons_lost > 0)
        fprintf(out, "    and %u more reasons\n", entry->result.reasons_lost);
    if (entry->result.evidence[0] != '\0')
        print_field("history", entry->result.evidence, out);
    ch_report_replay(suite, entry, replay, sizeof(replay));
    fprintf(out, "    replay: ");
    print_plain(replay, out);
    fputs("\n\n", out);
}

/* The reasons of a skip fit into a line each. */
static void print_skip(const struct ch_entry *entry, FILE *out)
{
    print_name(entry, out);
    fputc('\n', out);
    for (uint32_t i = 0; i < entry->result.reasons_count; i++) {
        const struct ch_reason *reason = &entry->result.reasons[i];
        fprintf(out, "    needs %s: ", ch_report_need(entry->scenario, reason));
        print_plain(reason->actual, out);
        fputc('\n', out);
    }
}

static void print_entry(const struct ch_suite *suite, const struct ch_entry *entry, bool all,
                        FILE *out)
{
    if (!entry->done)
        return;
    switch (ch_result_verdict(&entry->result)) {
    case CH_PASS:
        if (!all)
            break;
        print_name(entry, out);
        fprintf(out, " (%.3f s)\n", seconds(entry->result.duration_ns));
        break;
    case CH_SKIP: print_skip(entry, out); break;
    case CH_INCONCLUSIVE:
    case CH_ERROR:
    case CH_FAIL: print_in_full(suite, entry, out); break;
    case CH_VERDICTS: break;
    }
}

static void print_counts(const struct ch_suite *suite, FILE *out)
{
    static const struct {
        enum ch_verdict verdict;
        const char *word;
    } rows[] = {{CH_PASS, "passed"},
                {CH_FAIL, "failed"},
                {CH_INCONCLUSIVE, "inconclusive"},
                {CH_ERROR, "errors"},
                {CH_SKIP, "skipped"}};
    const char *before = "";
    size_t done = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t count = ch_suite_count(suite, rows[i].verdict);
        done += count;
        if (count == 0 && rows[i].verdict != CH_PASS && rows[i].verdict != CH_FAIL)
            continue;
        fprintf(out, "%s%zu %s", before, count, rows[i].word);
        before = ", ";
    }
    if (done < suite->count)
        fprintf(out, ", %zu not run", suite->count - done);
    fprintf(out, " (%.1f s, seed 0x%" PRIx64 ")\n", seconds(suite->duration_ns), suite->seed);
}

void ch_report_human(const struct ch_suite *suite, bool all, FILE *out)
{
    for (size_t i = 0; i < suite->count; i++)
        print_entry(suite, &suite->entries[i], all, out);
    if (suite->interrupted)
        fputs("interrupted\n", out);
    if (suite->left_behind > 0)
        fprintf(out, "%zu processes outlived their runners and were killed\n", suite->left_behind);
    print_counts(suite, out);
}

void ch_report_progress(const struct ch_suite *suite, FILE *out)
{
    size_t done = 0;
    for (size_t i = 0; i < suite->count; i++)
        done += suite->entries[i].done;
    size_t bad = done - ch_suite_count(suite, CH_PASS) - ch_suite_count(suite, CH_SKIP);
    fprintf(out, "\r\033[K%zu of %zu run, %zu not passed", done, suite->count, bad);
    fflush(out);
}

void ch_report_progress_clear(FILE *out)
{
    fputs("\r\033[K", out);
    fflush(out);
}
