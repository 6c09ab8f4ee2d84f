/* SPDX-License-Identifier: MIT */
/* See result.h: reasons come in, the verdict follows. */
#include "chaos/result.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Copies what fits; a cut text ends with "...". */
static void copy(char *to, size_t size, const char *from)
{
    size_t length = strlen(from);
    if (length < size) {
        memcpy(to, from, length + 1);
        return;
    }
    memcpy(to, from, size - 4);
    memcpy(to + size - 4, "...", 4);
}

/* When there is no room: a graver reason replaces the last light one, so that the verdict holds. */
static struct ch_reason *find_room(struct ch_result *result, enum ch_verdict verdict)
{
    if (result->reasons_count < CH_REASONS_MAX)
        return &result->reasons[result->reasons_count++];
    result->reasons_lost++;
    if (verdict > ch_result_verdict(result))
        return &result->reasons[CH_REASONS_MAX - 1];
    return NULL;
}

void ch_result_object(struct ch_result *result, enum ch_verdict verdict, struct ch_place place,
                      const char *checker, const char *expected, const char *actual,
                      const char *read)
{
    struct ch_reason *reason = find_room(result, verdict);
    if (reason == NULL)
        return;
    reason->verdict = verdict;
    reason->place = place;
    copy(reason->checker, sizeof(reason->checker), checker);
    copy(reason->expected, sizeof(reason->expected), expected);
    copy(reason->actual, sizeof(reason->actual), actual);
    copy(reason->read, sizeof(reason->read), read);
}

void ch_result_objectf(struct ch_result *result, enum ch_verdict verdict, struct ch_place place,
                       const char *checker, const char *expected, const char *read,
                       const char *format, ...)
{
    char actual[sizeof(result->reasons[0].actual) + 1];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(actual, sizeof(actual), format, arguments);
    va_end(arguments);
    ch_result_object(result, verdict, place, checker, expected, actual, read);
}

enum ch_verdict ch_result_verdict(const struct ch_result *result)
{
    enum ch_verdict gravest = CH_PASS;
    for (uint32_t i = 0; i < result->reasons_count; i++)
        if (result->reasons[i].verdict > gravest)
            gravest = result->reasons[i].verdict;
    return gravest;
}

const char *ch_verdict_name(enum ch_verdict verdict)
{
    static const char *const names[CH_VERDICTS] = {
        [CH_PASS] = "PASS",   [CH_SKIP] = "SKIP", [CH_INCONCLUSIVE] = "INCONCLUSIVE",
        [CH_ERROR] = "ERROR", [CH_FAIL] = "FAIL",
    };
    return names[verdict];
}

int ch_verdict_exit_code(enum ch_verdict verdict)
{
    static const int codes[CH_VERDICTS] = {
        [CH_PASS] = 0, [CH_SKIP] = 4, [CH_INCONCLUSIVE] = 3, [CH_ERROR] = 5, [CH_FAIL] = 1,
    };
    return codes[verdict];
}
