/* SPDX-License-Identifier: MIT */
/*
 * The suite, with runners that misbehave in every way. What a runner does is told by its scenario's
 * title; each test runs the suite in a child, because it takes signals and becomes a sub-reaper.
 */
#include "chaos/suite.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/test.h"

#define ENTRIES_MAX 8
#define LIMIT_US 100000
#define CHILD_LIMIT_MS 20000

/* A runner for tests: the title says what it does. */
static int fake_run(const struct ch_scenario *scenario, const struct ch_run_options *options,
                    struct ch_result *result)
{
    const char *title = scenario->title;
    if (strcmp(title, "kill") == 0)
        raise(SIGKILL);
    if (strcmp(title, "exit") == 0)
        _exit(7);
    if (strcmp(title, "hang") == 0)
        pause();
    if (strcmp(title, "interrupt") == 0)
        kill(getppid(), SIGINT);
    if (strcmp(title, "interrupt") == 0)
        pause();
    if (strcmp(title, "orphan") == 0 && fork() == 0)
        _exit(0);
    if (strcmp(title, "broken") == 0)
        return -ENOMEM;
    if (strcmp(title, "fail") == 0)
        ch_result_object(result, CH_FAIL, scenario->place, "I2", "balance", "none", "stats");
    if (strcmp(title, "counter") == 0)
        ch_result_object(result, CH_FAIL, scenario->place, "counter tasks_failed", "0", "1", "");
    if (strcmp(title, "unfired") == 0)
        ch_result_object(result, CH_INCONCLUSIVE, scenario->place, "fired", "", "", "");
    if (strcmp(title, "skip") == 0)
        ch_result_object(result, CH_SKIP, scenario->place, "needs", "", "", "");
    if (strcmp(title, "seed") == 0)
        ch_result_objectf(result, CH_FAIL, scenario->place, "seed", "", "", "%llx",
                          (unsigned long long)options->seed);
    return 0;
}

/* A suite of scenarios with these titles; NULL ends the list. */
struct stage {
    struct ch_scenario scenarios[ENTRIES_MAX];
    struct ch_entry entries[ENTRIES_MAX];
    struct ch_suite suite;
    struct ch_suite_options options;
};

static void make_stage(struct stage *stage, const char *const *titles)
{
    memset(stage, 0, sizeof(*stage));
    for (; titles[stage->suite.count] != NULL; stage->suite.count++) {
        size_t i = stage->suite.count;
        stage->scenarios[i] = (struct ch_scenario){
            .path = "x.chaos", .title = titles[i], .limit_us = LIMIT_US};
        stage->entries[i].scenario = &stage->scenarios[i];
    }
    stage->suite.entries = stage->entries;
    stage->options = (struct ch_suite_options){.jobs = 2, .slack_us = LIMIT_US, .run = fake_run};
}

static enum ch_verdict verdict(const struct stage *stage, size_t i)
{
    return ch_result_verdict(&stage->entries[i].result);
}

static const struct ch_reason *reason(const struct stage *stage, size_t i)
{
    return &stage->entries[i].result.reasons[0];
}

/* ---- Verdicts ---------------------------------------------------------------------------- */

TEST_IN_CHILD(suite, each_runner_gets_its_own_verdict, CHILD_LIMIT_MS, TEST_EXIT(0))
{
    static const char *const titles[] = {"pass", "fail", "kill",   "skip",
                                         "exit", "hang", "broken", NULL};
    static const enum ch_verdict wanted[] = {CH_PASS,  CH_FAIL,  CH_ERROR, CH_SKIP,
                                             CH_ERROR, CH_ERROR, CH_ERROR};
    static struct stage stage;
    make_stage(&stage, titles);
    if (ch_suite_run(&stage.suite, &stage.options) != 0)
        return 100;
    for (size_t i = 0; i < stage.suite.count; i++)
        if (!stage.entries[i].done || verdict(&stage, i) != wanted[i])
            return (int)i + 1;
    if (strstr(reason(&stage, 2)->actual, "SIGKILL") == NULL ||
        strstr(reason(&stage, 4)->actual, "code 7") == NULL ||
        strstr(reason(&stage, 5)->actual, "beyond the limit") == NULL ||
        strstr(reason(&stage, 6)->actual, "memory") == NULL)
        return 101;
    return ch_suite_exit_code(&stage.suite) == 1 ? 0 : 102;
}

TEST_IN_CHILD(suite, order_does_not_depend_on_jobs, CHILD_LIMIT_MS, TEST_EXIT(0))
{
    static const char *const titles[] = {"seed", "fail", "seed", "pass", "seed", "skip", NULL};
    static struct stage one, many;
    make_stage(&one, titles);
    make_stage(&many, titles);
    one.options.jobs = 1;
    many.options.jobs = 8;
    if (ch_suite_run(&one.suite, &one.options) != 0 ||
        ch_suite_run(&many.suite, &many.options) != 0)
        return 1;
    for (size_t i = 0; i < one.suite.count; i++) {
        if (one.entries[i].result.reasons_count != many.entries[i].result.reasons_count ||
            strcmp(reason(&one, i)->actual, reason(&many, i)->actual) != 0)
            return 2;
    }
    return reason(&one, 0)->actual[0] != '\0' ? 0 : 3;
}

TEST_IN_CHILD(suite, an_interrupt_ends_all_and_judges_nothing, CHILD_LIMIT_MS, TEST_EXIT(0))
{
    static const char *const titles[] = {"hang", "interrupt", "pass", NULL};
    static struct stage stage;
    make_stage(&stage, titles);
    stage.options.slack_us = UINT64_C(600000000);
    if (ch_suite_run(&stage.suite, &stage.options) != 0 || !stage.suite.interrupted)
        return 1;
    for (size_t i = 0; i < stage.suite.count; i++)
        if (stage.entries[i].done)
            return 2;
    if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
        return 3;
    return ch_suite_exit_code(&stage.suite) == 5 ? 0 : 4;
}

TEST_IN_CHILD(suite, orphans_of_a_runner_are_waited_for, CHILD_LIMIT_MS, TEST_EXIT(0))
{
    static const char *const titles[] = {"orphan", "orphan", NULL};
    static struct stage stage;
    make_stage(&stage, titles);
    if (ch_suite_run(&stage.suite, &stage.options) != 0)
        return 1;
    if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
        return 2;
    return stage.suite.left_behind == 0 && ch_suite_exit_code(&stage.suite) == 0 ? 0 : 3;
}

TEST_IN_CHILD(suite, the_signal_mask_is_given_back, CHILD_LIMIT_MS, TEST_EXIT(0))
{
    static const char *const titles[] = {"pass", NULL};
    static struct stage stage;
    sigset_t before, behind;
    make_stage(&stage, titles);
    sigprocmask(SIG_SETMASK, NULL, &before);
    if (ch_suite_run(&stage.suite, &stage.options) != 0)
        return 1;
    sigprocmask(SIG_SETMASK, NULL, &behind);
    for (int number = 1; number < NSIG; number++)
        if (sigismember(&before, number) != sigismember(&behind, number))
            return 2;
    return 0;
}

TEST(suite, exit_codes_are_those_of_the_gravest)
{
    static const struct {
        const char *titles[4];
        int code;
    } rows[] = {
        {{"pass", "skip", NULL}, 0},    {{"skip", "skip", NULL}, 4},
        {{"pass", "unfired", NULL}, 3}, {{"unfired", "broken", NULL}, 5},
        {{"broken", "fail", NULL}, 1},  {{"pass", NULL}, 0},
    };
    static struct stage stage;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make_stage(&stage, rows[i].titles);
        for (size_t j = 0; j < stage.suite.count; j++) {
            struct ch_run_options options = {.seed = 0};
            if (fake_run(&stage.scenarios[j], &options, &stage.entries[j].result) < 0)
                ch_result_object(&stage.entries[j].result, CH_ERROR, (struct ch_place){0, 0},
                                 "harness", "", "", "");
            stage.entries[j].done = true;
        }
        CU_ASSERT_EQUAL(ch_suite_exit_code(&stage.suite), rows[i].code);
    }
}

/* ---- must-fail --------------------------------------------------------------------------- */

TEST(suite, must_fail_wants_the_named_checker)
{
    static const struct {
        const char *title, *must_fail;
        enum ch_verdict wanted;
    } rows[] = {
        {"fail", "I2", CH_PASS},         {"fail", "I1", CH_FAIL},
        {"pass", "I2", CH_FAIL},         {"counter", "counter tasks_failed", CH_PASS},
        {"counter", "counter", CH_PASS}, {"counter", "counter tasks_received", CH_FAIL},
        {"counter", "count", CH_FAIL},   {"unfired", "fired", CH_PASS},
        {"skip", "I2", CH_SKIP},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ch_run_options options = {.seed = 0};
        struct ch_scenario scenario = {
            .path = "x", .title = rows[i].title, .must_fail = rows[i].must_fail};
        struct ch_result result = {.index = 0};
        fake_run(&scenario, &options, &result);
        ch_must_fail_judge(&scenario, &result);
        CU_ASSERT_EQUAL(ch_result_verdict(&result), rows[i].wanted);
    }
}

TEST(suite, must_fail_believes_no_broken_harness)
{
    struct ch_scenario scenario = {.path = "x", .must_fail = "I4"};
    struct ch_result result = {.index = 0};
    ch_result_object(&result, CH_FAIL, scenario.place, "I4", "", "", "");
    ch_result_object(&result, CH_ERROR, scenario.place, "harness", "", "", "");
    ch_must_fail_judge(&scenario, &result);
    CU_ASSERT_EQUAL(ch_result_verdict(&result), CH_FAIL);
}

TEST(suite, must_fail_tells_who_objected_instead)
{
    struct ch_run_options options = {.seed = 0};
    struct ch_scenario scenario = {
        .path = "x", .title = "counter", .must_fail = "I4", .must_fail_place = {4, 11}};
    struct ch_result result = {.index = 0};
    fake_run(&scenario, &options, &result);
    ch_must_fail_judge(&scenario, &result);
    CU_ASSERT_EQUAL(result.reasons_count, 2);
    CU_ASSERT_STRING_EQUAL(result.reasons[0].checker, "must-fail");
    CU_ASSERT_STRING_EQUAL(result.reasons[0].expected, "I4 objects");
    CU_ASSERT_STRING_EQUAL(result.reasons[0].actual, "FAIL, objected to by counter tasks_failed");
    CU_ASSERT_EQUAL(result.reasons[0].place.line, 4);
    CU_ASSERT_STRING_EQUAL(result.reasons[1].checker, "counter tasks_failed");
}

/* ---- Seeds ------------------------------------------------------------------------------- */

TEST(suite, a_seed_replays_one_file_alone)
{
    struct ch_scenario here = {.path = "a/b/x.chaos"}, there = {.path = "x.chaos"};
    struct ch_scenario other = {.path = "y.chaos"};
    struct ch_scenario segv = {.path = "x.chaos", .matrix_name = "how", .matrix_value = "segv"};
    CU_ASSERT_EQUAL(ch_seed_of_run(5, &here), ch_seed_of_run(5, &there));
    CU_ASSERT_NOT_EQUAL(ch_seed_of_run(5, &there), ch_seed_of_run(6, &there));
    CU_ASSERT_NOT_EQUAL(ch_seed_of_run(5, &there), ch_seed_of_run(5, &other));
    CU_ASSERT_NOT_EQUAL(ch_seed_of_run(5, &there), ch_seed_of_run(5, &segv));
    CU_ASSERT_EQUAL(ch_seed_of_repeat(5, 0), 5);
    CU_ASSERT_NOT_EQUAL(ch_seed_of_repeat(5, 1), ch_seed_of_repeat(5, 2));
    CU_ASSERT_EQUAL(ch_seed_of_repeat(ch_seed_of_repeat(5, 3), 0), ch_seed_of_repeat(5, 3));
}
