/* SPDX-License-Identifier: MIT */
/* What lint lets pass, libpool takes: all pairs of the pool's keys against libpool_open. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/parse.h"
#include "chaos/run_inner.h"
#include "chaos/vocabulary.h"
#include "harness/outfit.h"
#include "harness/test.h"

#define VALUES_MAX 128

/* Every key, with each value that it takes and that asks for something. */
struct values {
    char texts[VALUES_MAX][64];
    size_t count;
};

static void add(struct values *values, const char *key, const char *value)
{
    CU_ASSERT_FATAL(values->count < VALUES_MAX);
    snprintf(values->texts[values->count], sizeof values->texts[0], "%s=%s", key, value);
    values->count++;
}

static void add_key(struct values *values, const struct ch_key *key)
{
    switch (key->kind) {
    case CH_VALUE_NUMBER:
    case CH_VALUE_WORKERS: add(values, key->word, "2"); break;
    case CH_VALUE_TIME: add(values, key->word, "1s"); break;
    case CH_VALUE_SIZE: add(values, key->word, "1MiB"); break;
    case CH_VALUE_TIME_RANGE: add(values, key->word, "1s..2s"); break;
    case CH_VALUE_CHOICE:
    case CH_VALUE_CALLBACK:
        for (const struct ch_choice *choice = key->choices; choice->word != NULL; choice++)
            if (choice->value != 0)
                add(values, key->word, strcmp(choice->word, "fail-N") ? choice->word : "fail-1");
        break;
    case CH_VALUE_FLAG:
    case CH_VALUE_TIME_OR_FOREVER:
    case CH_VALUE_NUMBER_OR_CURRENT:
    case CH_VALUE_CODE:
    case CH_VALUE_SIGNAL:
    case CH_VALUE_CAUSE:
    case CH_VALUE_SELECTOR:
    case CH_VALUE_OF:
    case CH_VALUE_SLOT:
    case CH_VALUE_NEW_NAME:
    case CH_VALUE_TASK:
    case CH_VALUE_KINDS: CU_FAIL("a kind of value that the pool's keys did not have"); break;
    }
}

/* What libpool says to the options that the scenario asks for, as the target does. */
static int open_as_target(const struct ch_scenario *scenario)
{
    libpool *pool = NULL;
    libpool_governor *governor = NULL;
    static struct hn_outfit_given outfit;
    struct ch_run *run = calloc(1, sizeof *run);
    CU_ASSERT_PTR_NOT_NULL_FATAL(run);
    run->scenario = scenario;
    int rc = ch_convert(run);
    libpool_options options = run->target.pool;
    bool dressed = hn_outfit_is_any(&run->target.outfit);
    options.size = sizeof options;
    if (options.start == LIBPOOL_SPAWN) /* it has no program, which is told last of all */
        options.zygote_path = "/nowhere/zygote";
    if (dressed && rc == 0)
        rc = hn_outfit_make(&run->target.outfit, &outfit);
    options.outfit = dressed ? &outfit.outfit : NULL;
    options.min_workers = 0;
    options.flags |= LIBPOOL_NO_CGROUP; /* quicker, and excludes nothing here */
    if (run->target.governor_limit && rc == 0)
        rc = libpool_governor_open(&governor, run->target.governor_limit);
    options.governor = governor;
    if (dressed && options.start == LIBPOOL_SPAWN)
        rc = -ENOTSUP;
    if (rc == 0)
        rc = libpool_open(&pool, &options);
    libpool_close(pool);
    libpool_governor_close(governor);
    free(run);
    return rc;
}

/* 1 when lint lets it pass; a pair that libpool refuses then is a failure. */
static size_t try_pair(const char *one, const char *other, struct ch_arena *arena)
{
    char text[512];
    struct ch_diagnostics diagnostics;
    snprintf(text, sizeof text,
             "chaos 1\nscenario \"x\"\npool p %s %s\nload\n  submit 1 task=noop\n"
             "expect\n  host alive\n",
             one, other);
    const struct ch_file *file = ch_parse_text("x", text, strlen(text), arena, &diagnostics);
    if (file == NULL)
        return 0;
    int rc = open_as_target(&file->scenarios[0]);
    bool starts = rc == 0 || rc == -ENOENT || (rc == -ENOTSUP && strstr(text, "admit-"));
    snprintf(text, sizeof text, "%s %s: %s", one, other, strerror(-rc));
    CU_assertImplementation(starts, __LINE__, text, __FILE__, "", CU_FALSE);
    return 1;
}

TEST_WITHIN(exclusions, what_lint_lets_pass_libpool_takes, 60000)
{
    static struct values values;
    struct ch_arena *arena = ch_arena_new();
    size_t passed = 0, pairs = 0;
    for (const struct ch_key *key = ch_keys_pool; key->word != NULL; key++)
        add_key(&values, key);
    for (size_t i = 0; i < values.count; i++)
        for (size_t j = i + 1; j < values.count; j++) {
            passed += try_pair(values.texts[i], values.texts[j], arena);
            pairs++;
            ch_arena_reset(arena);
        }
    CU_ASSERT(passed > pairs / 2); /* or lint refuses nearly all, which proves nothing */
    ch_arena_free(arena);
}
