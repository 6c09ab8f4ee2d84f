/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <string.h>

#include "harness/test.h"

static struct pr_options options;

/* The sentence about what is wrong; "": nothing is. */
static const char *parse(const char *first, const char *second, const char *third)
{
    static char said[200];
    static char *argv[5]; /* options.command points into it */
    argv[0] = "poolrun";
    argv[1] = (char *)first;
    argv[2] = (char *)second;
    argv[3] = (char *)third;
    int argc = 1;
    struct pr_text error = {.data = NULL};
    while (argv[argc])
        argc++;
    enum pr_wish wish = pr_options_parse(argc, argv, &options, &error);
    (void)snprintf(said, sizeof said, "%s", wish == PR_WISH_WRONG ? error.data : "");
    pr_text_free(&error);
    return said;
}

TEST(poolrun_options, reads_times_with_their_units)
{
    static const struct {
        const char *text;
        uint32_t ms;
    } right[] = {{"500ms", 500},      {"10s", 10000}, {"10", 10000},
                 {"1.5s", 1500},      {"2m", 120000}, {"1h", 3600000},
                 {"49d", 4233600000}, {"0.001", 1},   {"0.5m", 30000}};
    static const char *const wrong[] = {"",    "10q", "s",     "-1s",   " 1s", "1 s", "0",  "0.5ms",
                                        "50d", "1e3", "0x10s", "1.2.3", "inf", "nan", "+1", "1S"};
    uint32_t ms;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        ms = 0;
        CU_ASSERT(pr_options_parse_ms(right[i].text, &ms) == 0 && ms == right[i].ms);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CU_ASSERT_EQUAL(pr_options_parse_ms(wrong[i], &ms), -EINVAL);
    }
}

TEST(poolrun_options, reads_sizes_with_their_units)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } right[] = {{"1M", 1 << 20},      {"500M", 500ull << 20}, {"2G", 2ull << 30},
                 {"1.5G", 3ull << 29}, {"1024K", 1 << 20},     {"1024T", 1ull << 50},
                 {"1048576", 1048576}};
    static const char *const wrong[] = {"",   "M",     "1MB",  "-1M", "1048575", "1023K",
                                        "1m", "1025T", "0x1M", "1e9", "5 M",     "1..5G"};
    uint64_t bytes;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        bytes = 0;
        CU_ASSERT(pr_options_parse_bytes(right[i].text, &bytes) == 0 && bytes == right[i].bytes);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CU_ASSERT_EQUAL(pr_options_parse_bytes(wrong[i], &bytes), -EINVAL);
    }
}

TEST(poolrun_options, leaves_the_options_of_the_command_alone)
{
    CU_ASSERT_STRING_EQUAL(parse("-j3", "ls", "-k"), "");
    CU_ASSERT(options.jobs == 3 && !options.keep_order);
    CU_ASSERT_STRING_EQUAL(options.command[1], "-k");
    CU_ASSERT_STRING_EQUAL(parse("-k0", "--", "-j"), "");
    CU_ASSERT(options.keep_order && options.null && options.jobs == 0);
    CU_ASSERT_STRING_EQUAL(options.command[0], "-j");
    CU_ASSERT_STRING_EQUAL(parse("--timeout=2s", "--retries", "4"), "");
    CU_ASSERT(options.timeout_ms == 2000 && options.retries == 4 && !options.command[0]);
}

TEST(poolrun_options, says_what_is_wrong)
{
    CU_ASSERT_STRING_EQUAL(parse("--timeout", "10q", NULL),
                           "--timeout: \"10q\": expected a time such as 500ms, 10s, 2m; "
                           "a bare number is seconds");
    CU_ASSERT_STRING_EQUAL(parse("-j", "0", NULL),
                           "--jobs: \"0\": expected a number from 1 to 4000");
    CU_ASSERT_STRING_EQUAL(parse("--halt=now", NULL, NULL),
                           "--halt: \"now\": expected a rule such as now,fail=1 or soon,fail=10%");
    CU_ASSERT_STRING_EQUAL(parse("--retries", "-1", NULL),
                           "--retries: \"-1\": expected a number from 0 to 1000000");
    CU_ASSERT_STRING_EQUAL(parse("--joblog", NULL, NULL), "--joblog: a value is missing");
    CU_ASSERT_STRING_EQUAL(parse("-k", "-j", NULL), "-j: a value is missing");
    CU_ASSERT_STRING_EQUAL(parse("-x", NULL, NULL), "there is no option -x");
    CU_ASSERT_STRING_EQUAL(parse("--resume=3", NULL, NULL), "--resume: takes no value");
    CU_ASSERT_STRING_EQUAL(parse("--keep-order=3", NULL, NULL), "--keep-order: takes no value");
}

TEST(poolrun_options, guesses_what_was_meant)
{
    CU_ASSERT_STRING_EQUAL(parse("--tiemout=3", NULL, NULL),
                           "there is no option --tiemout; did you mean --timeout?");
    CU_ASSERT_STRING_EQUAL(parse("--joblogs", NULL, NULL),
                           "there is no option --joblogs; did you mean --joblog?");
    CU_ASSERT_STRING_EQUAL(parse("-P4", NULL, NULL), "there is no option -P; xargs -P N is -j N");
    CU_ASSERT_STRING_EQUAL(parse("-n", "1", NULL), "there is no option -n; a line is a job");
    CU_ASSERT_STRING_EQUAL(parse("-I", "{}", NULL),
                           "there is no option -I; {} stands for the line");
    CU_ASSERT_STRING_EQUAL(parse("--elephant", NULL, NULL), "there is no option --elephant");
    CU_ASSERT_STRING_EQUAL(parse("--a-name-that-is-longer-than-any-of-ours", NULL, NULL),
                           "there is no option --a-name-that-is-longer-than-any-of-ours");
}

TEST(poolrun_options, refuses_lines_among_the_arguments)
{
    CU_ASSERT_STRING_EQUAL(parse("echo", ":::", "a"),
                           "':::' is not known; give the lines on standard input, or -a FILE");
    CU_ASSERT(strstr(parse("echo", "::::", "a"), "'::::' is not known") != NULL);
    CU_ASSERT(strstr(parse("echo", ":::+", "a"), "':::+' is not known") != NULL);
    CU_ASSERT(strstr(parse("echo", "::::+", "a"), "'::::+' is not known") != NULL);
    CU_ASSERT(strstr(parse(":::", "a", NULL), "':::' is not known") != NULL);
    CU_ASSERT_STRING_EQUAL(parse("echo", "::", "a:::b"), "");
}

TEST(poolrun_options, refuses_what_does_not_go_together)
{
    CU_ASSERT(strstr(parse("--resume", NULL, NULL), "needs --joblog") != NULL);
    CU_ASSERT(strstr(parse("-k", "-u", NULL), "not with") != NULL);
    CU_ASSERT(strstr(parse("-k", "--line-buffer", NULL), "not with") != NULL);
    CU_ASSERT_STRING_EQUAL(parse("-k", "--group", NULL), "");
}
