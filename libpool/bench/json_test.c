/* SPDX-License-Identifier: MIT */
/* A run is written and read again: what --compare says of the same run, of another, of no run at all. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

#include "harness/test.h"

static const struct bench_subject pool = {.name = "pool",
                                          .numbers = {{"speed", "tasks/s"}, {"wakeups", "Hz"}}};
static const struct bench_subject peer = {.name = "peer", .kind = BENCH_PEER};
static const struct bench_ratio ratios[] = {{"speed", {"gone"}, {BENCH_AT_LEAST, 2}},
                                            {"wakeups", {NULL}, {BENCH_AT_MOST, 0}}};

static struct bench_run make_run(struct bench_result results[2], double speed)
{
    memset(results, 0, 2 * sizeof *results);
    results[0] = (struct bench_result){
        .subject = &pool, .rounds = 3, .values = {{speed, speed - 1, speed + 1}, {0, 0, 0}}};
    results[1] = (struct bench_result){
        .subject = &peer, .error = "no \"peer\"\nhere \\", .missing = true};
    return (struct bench_run){.results = results, .count = 2};
}

static char *written(const struct bench_run *run, size_t *size)
{
    char *text = NULL;
    struct bench_machine machine = {.libpool = "0", .kernel = "1", .machine = "m", .rounds = 3};
    FILE *file = open_memstream(&text, size);
    bench_json_write(file, &machine, run, ratios, 2);
    (void)fclose(file);
    return text;
}

/* What compare prints of this old file; to be freed. */
static char *compared(char *old, size_t size, const struct bench_run *run, int *known)
{
    char *text = NULL;
    size_t length;
    FILE *file = fmemopen(old, size, "r"), *out = open_memstream(&text, &length);
    *known = bench_json_compare(file, run, out);
    (void)fclose(file);
    (void)fclose(out);
    return text;
}

TEST(bench_json, a_run_is_compared_with_what_it_was)
{
    struct bench_result before[2], after[2];
    struct bench_run old = make_run(before, 100), now = make_run(after, 250);
    size_t size;
    int known;
    char *text = written(&old, &size), *told = compared(text, size, &now, &known);
    CU_ASSERT_EQUAL(known, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(told, " 100.0        250.0    2.500  tasks/s\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(told, "wakeups"));
    CU_ASSERT_PTR_NULL(strstr(told, "inf"));
    CU_ASSERT_PTR_NULL(strstr(told, "nan"));
    free(text);
    free(told);
}

TEST(bench_json, what_lies_in_the_spread_is_said_to)
{
    struct bench_result before[2], after[2];
    struct bench_run old = make_run(before, 100), now = make_run(after, 101);
    size_t size;
    int known;
    char *text = written(&old, &size), *told = compared(text, size, &now, &known);
    CU_ASSERT_PTR_NOT_NULL(strstr(told, "(within its spread)"));
    free(text);
    free(told);
}

TEST(bench_json, a_number_that_is_gone_has_its_line)
{
    struct bench_result before[2], after[2];
    struct bench_run old = make_run(before, 100), now = make_run(after, 100);
    size_t size;
    int known;
    memcpy(after[0].error, "hung", sizeof "hung");
    char *text = written(&old, &size), *told = compared(text, size, &now, &known);
    CU_ASSERT_EQUAL(known, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(told, "100.0            -\n"));
    free(text);
    free(told);
}

TEST(bench_json, another_file_is_none_of_ours)
{
    struct bench_result results[2];
    struct bench_run run = make_run(results, 100);
    char other[] = "{\n  \"results\": [\n    {\"value\": 3, \"name\": \"speed\"}\n  ]\n}\n";
    int known;
    char *told = compared(other, strlen(other), &run, &known);
    CU_ASSERT_EQUAL(known, 0);
    CU_ASSERT_EQUAL(told[0], '\0');
    free(told);
}

TEST(bench_json, verdicts_rounds_and_gaps_are_in_the_file)
{
    struct bench_result results[2];
    struct bench_run run = make_run(results, 100);
    size_t size;
    char *text = written(&run, &size);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"rounds\": [100, 99, 101]}"));
    CU_ASSERT_PTR_NOT_NULL(strstr(
        text,
        "{\"ratio\": \"speed / gone\", \"bar\": \"at least 2\", \"verdict\": \"not measured\"}"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"bar\": \"at most 0\", \"verdict\": \"met\"}"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "{\"bench\": \"peer\", \"missing\": \"no  peer  here  \"}"));
    free(text);
}

TEST(bench_json, figures_are_as_long_as_they_are_worth)
{
    char text[32];
    CU_ASSERT_STRING_EQUAL(bench_format(text, 0.5), "0.500");
    CU_ASSERT_STRING_EQUAL(bench_format(text, 12.345), "12.35");
    CU_ASSERT_STRING_EQUAL(bench_format(text, 123.45), "123.5");
    CU_ASSERT_STRING_EQUAL(bench_format(text, 1234567.8), "1234568");
}
