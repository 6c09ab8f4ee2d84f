/* SPDX-License-Identifier: MIT */
/* A run of two benches, written down by hand: what its medians, ratios and verdicts have to be. */
#include "stats.h"

#include <string.h>

#include "harness/test.h"

static const struct bench_subject pool = {.name = "pool",
                                          .numbers = {{"speed", "tasks/s"}, {"late", "us"}}};
static const struct bench_subject below = {
    .name = "below",
    .kind = BENCH_FLOOR,
    .numbers = {{"floor_speed", "tasks/s"}, {"floor_late", "us"}}};

static struct bench_run make_run(struct bench_result results[2])
{
    memset(results, 0, 2 * sizeof *results);
    results[0] = (struct bench_result){
        .subject = &pool, .rounds = 5, .values = {{10, 40, 20, 30, 90}, {3, 3, 3, 3, 3}}};
    results[1] = (struct bench_result){
        .subject = &below, .rounds = 5, .values = {{20, 80, 20, 60, 90}, {1, 2, 1, 2, 1}}};
    return (struct bench_run){.results = results, .count = 2};
}

TEST(bench_stats, the_median_of_an_even_number_is_the_mean_of_the_middle_two)
{
    const double values[] = {9, 1, 4, 2};
    CU_ASSERT_EQUAL(bench_median(values, 4), 3);
    CU_ASSERT_EQUAL(bench_median(values, 3), 4);
    CU_ASSERT_EQUAL(bench_median(values, 1), 9);
    CU_ASSERT_EQUAL(values[0], 9);
}

TEST(bench_stats, a_number_is_found_with_its_spread)
{
    struct bench_result results[2];
    struct bench_run run = make_run(results);
    struct bench_summary summary;
    CU_ASSERT_TRUE_FATAL(bench_find(&run, "speed", &summary));
    CU_ASSERT_EQUAL(summary.median, 30);
    CU_ASSERT_EQUAL(summary.min, 10);
    CU_ASSERT_EQUAL(summary.max, 90);
    CU_ASSERT_EQUAL(summary.rounds, 5);
    CU_ASSERT_FALSE(bench_find(&run, "spee", &summary));
}

TEST(bench_stats, what_failed_has_no_numbers)
{
    struct bench_result results[2];
    struct bench_run run = make_run(results);
    struct bench_summary summary;
    memcpy(results[0].error, "hung", sizeof "hung");
    CU_ASSERT_FALSE(bench_find(&run, "speed", &summary));
    CU_ASSERT_TRUE(bench_find(&run, "floor_speed", &summary));
    results[1].rounds = 0;
    CU_ASSERT_FALSE(bench_find(&run, "floor_speed", &summary));
}

TEST(bench_stats, ratios_are_taken_round_by_round)
{
    struct bench_result results[2];
    struct bench_run run = make_run(results);
    struct bench_ratio ratio = {"speed", {"floor_speed"}, {BENCH_AT_LEAST, 0.5}};
    struct bench_judgement judgement = bench_judge(&run, &ratio);
    CU_ASSERT_EQUAL(judgement.ratio,
                    0.5); /* of 0.5 0.5 1 0.5 1; the medians' ratio were 0.5, too */
    CU_ASSERT_EQUAL(judgement.min, 0.5);
    CU_ASSERT_EQUAL(judgement.max, 1);
    CU_ASSERT_EQUAL(judgement.verdict, BENCH_MET);
    results[1].values[0][1] = results[1].values[0][3] = 10; /* 0.5 4 1 3 1: medians' ratio 1.5 */
    judgement = bench_judge(&run, &ratio);
    CU_ASSERT_EQUAL(judgement.ratio, 1);
    CU_ASSERT_EQUAL(judgement.max, 4);
}

TEST(bench_stats, two_parts_of_a_divisor_are_added)
{
    struct bench_result results[2];
    struct bench_run run = make_run(results);
    struct bench_ratio ratio = {"late", {"floor_late", "late"}, {BENCH_AT_MOST, 0.7}};
    struct bench_judgement judgement = bench_judge(&run, &ratio);
    CU_ASSERT_EQUAL(judgement.ratio, 0.75);
    CU_ASSERT_EQUAL(judgement.min, 0.6);
    CU_ASSERT_EQUAL(judgement.verdict, BENCH_MISSED);
}

TEST(bench_stats, a_bar_without_floor_is_for_the_number_itself)
{
    struct bench_result results[2];
    struct bench_run run = make_run(results);
    struct bench_ratio ratio = {"late", {NULL}, {BENCH_AT_MOST, 3}};
    CU_ASSERT_EQUAL(bench_judge(&run, &ratio).verdict, BENCH_MET);
    ratio.bar.value = 2.9;
    CU_ASSERT_EQUAL(bench_judge(&run, &ratio).verdict, BENCH_MISSED);
    memset(results[0].values[1], 0, sizeof results[0].values[1]);
    ratio.bar.value = 0; /* that nothing happens can be demanded */
    CU_ASSERT_EQUAL(bench_judge(&run, &ratio).verdict, BENCH_MET);
}

TEST(bench_stats, what_is_not_there_is_no_verdict)
{
    struct bench_result results[2];
    struct bench_run run = make_run(results);
    struct bench_ratio ratio = {"speed", {"floor_speed", "gone"}, {BENCH_AT_LEAST, 0.001}};
    CU_ASSERT_EQUAL(bench_judge(&run, &ratio).verdict, BENCH_NOT_MEASURED);
    ratio = (struct bench_ratio){"gone", {"floor_speed"}, {BENCH_AT_LEAST, 0.001}};
    CU_ASSERT_EQUAL(bench_judge(&run, &ratio).verdict, BENCH_NOT_MEASURED);
    results[1].values[0][2] = 0; /* nothing can be divided by it */
    ratio = (struct bench_ratio){"speed", {"floor_speed"}, {BENCH_AT_LEAST, 0.001}};
    CU_ASSERT_EQUAL(bench_judge(&run, &ratio).verdict, BENCH_NOT_MEASURED);
}

TEST(bench_stats, fewer_rounds_of_one_side_are_all_that_counts)
{
    struct bench_result results[2];
    struct bench_run run = make_run(results);
    struct bench_ratio ratio = {"speed", {"floor_speed"}, {BENCH_NO_BAR, 0}};
    results[1].rounds = 1;
    struct bench_judgement judgement = bench_judge(&run, &ratio);
    CU_ASSERT_EQUAL(judgement.verdict, BENCH_MEASURED);
    CU_ASSERT_EQUAL(judgement.ratio, 0.5);
    CU_ASSERT_EQUAL(judgement.max, 0.5);
}
