/* SPDX-License-Identifier: MIT */
/*
 * Keys of one line that exclude each other, or mean nothing alone: what libpool or the target would
 * refuse at the run, or take no notice of. A row is the whole truth about a pair.
 */
#include <string.h>

#include "chaos/parser.h"

#define ANY "" /* whatever its value is; NULL: any but those that ask for nothing */

struct exclusion {
    const char *key, *value;
    const char *other, *other_value;
    const char *expected;
};

struct need {
    const char *key, *other, *alternative; /* one of the two is needed; the last may be NULL */
};

#define PROCESSES "that is for start=fork and start=spawn"
#define FORKED "that is for start=fork"
#define OF_PROCESSES(key)                        \
    {                                            \
        key, NULL, "start", "threads", PROCESSES \
    }
/* What the workers of a zygote of its own wear is how they find the target's world. */
#define OF_FORKED(key, value)                 \
    {key, value, "start", "threads", FORKED}, \
    {                                         \
        key, value, "start", "spawn", FORKED  \
    }

static const struct exclusion of_pool[] = {
    {"workers", ANY, "min-workers", ANY, "one number for both, or two"},
    {"workers", ANY, "max-workers", ANY, "one number for both, or two"},
    {"governor", NULL, "spare-workers", NULL, "a governor has no places for spare ones"},
    {"governor", NULL, "waiting-workers", NULL, "a governor has no places for waiting ones"},
    {"callbacks", "stall", "driven", NULL, "it would hold the loop that drives the pool"},
    OF_PROCESSES("memory-limit"),
    OF_PROCESSES("recycle"),
    OF_PROCESSES("trim"),
    OF_PROCESSES("trace"),
    OF_FORKED("variables", NULL),
    OF_FORKED("nice", NULL),
    OF_FORKED("stdio", NULL),
    OF_FORKED("deal-cpus", NULL),
    OF_FORKED("core", "no"),
    OF_FORKED("limit-as", NULL),
    OF_FORKED("directory-late", NULL),
    OF_FORKED("sandbox", NULL),
    {NULL, NULL, NULL, NULL, NULL},
};

static const struct need needs_of_pool[] = {
    {"initializer-timeout", "initializer", NULL},
    {"initializer-failures", "initializer", "directory-late"},
    {"finalizer-timeout", "finalizer", NULL},
    {"quarantine", "quarantine-deaths", NULL},
    {"recycle-jitter", "max-age", "tasks-per-worker"},
    {NULL, NULL, NULL},
};

static const struct exclusion of_submit[] = {
    {"many", ANY, "batch", NULL, "one way to submit"},
    {"gather", ANY, "batch", NULL, "a batch has no futures to gather"},
    {"input", NULL, "batch", NULL, "a batch copies what its tasks get"},
    {"wait", ANY, "batch", NULL, "a batch waits for room by itself"},
    {NULL, NULL, NULL, NULL, NULL},
};

static const struct need needs_of_submit[] = {
    {"soft-signal", "grace", NULL},
    {"halt-failures", "batch", NULL},
    {NULL, NULL, NULL},
};

static bool asks_for_nothing(const char *value)
{
    static const char *const nothings[] = {"0", "no", "none", "default", "copy"};
    for (size_t i = 0; i < sizeof(nothings) / sizeof(nothings[0]); i++)
        if (strcmp(value, nothings[i]) == 0)
            return true;
    return false;
}

/* The token of the key's value, if it was given and is meant. */
static const struct ch_token *find(const struct ch_key_set *set, const char *key, const char *value)
{
    const struct ch_token *given = ch_given_value(set, key);
    if (given == NULL)
        return NULL;
    bool meant = value == NULL        ? !asks_for_nothing(given->text)
                 : strcmp(value, ANY) ? strcmp(given->text, value) == 0
                                      : true;
    return meant ? given : NULL;
}

static void check_exclusion(struct ch_parser *parser, const struct ch_key_set *set,
                            const struct exclusion *row)
{
    const struct ch_token *one = find(set, row->key, row->value);
    const struct ch_token *other = find(set, row->other, row->other_value);
    if (one == NULL || other == NULL)
        return;
    ch_complain(parser, one > other ? ch_given(set, row->key) : ch_given(set, row->other),
                "'%s=%.40s' and '%s=%.40s' exclude each other: %s", row->key, one->text, row->other,
                other->text, row->expected);
}

static void check_need(struct ch_parser *parser, const struct ch_key_set *set,
                       const struct need *row)
{
    const struct ch_token *given = ch_given(set, row->key);
    if (given == NULL || ch_given(set, row->other) != NULL ||
        (row->alternative != NULL && ch_given(set, row->alternative) != NULL))
        return;
    ch_complain(parser, given, "'%s' means nothing without %s=...%s%s%s", row->key, row->other,
                row->alternative != NULL ? " or " : "",
                row->alternative != NULL ? row->alternative : "",
                row->alternative != NULL ? "=..." : "");
}

static void check(struct ch_parser *parser, const struct ch_key_set *set,
                  const struct exclusion *exclusions, const struct need *needs)
{
    for (; exclusions->key != NULL; exclusions++)
        check_exclusion(parser, set, exclusions);
    for (; needs->key != NULL; needs++)
        check_need(parser, set, needs);
}

void ch_check_pool_keys(struct ch_parser *parser, const struct ch_key_set *set)
{
    check(parser, set, of_pool, needs_of_pool);
}

void ch_check_submit_keys(struct ch_parser *parser, const struct ch_key_set *set)
{
    check(parser, set, of_submit, needs_of_submit);
}
