/* SPDX-License-Identifier: MIT */
/* That the sim notices what it should is shown by ci/mutants. */
#include "harness/sim.h"

#include <string.h>

#include "harness/test.h"

/* The first property that did not hold; NULL: all did. */
static const char *run_many(uint64_t first, uint64_t count, bool trace,
                            struct hn_sim_coverage *coverage)
{
    const char *property = NULL;
    struct hn_sim *sim = hn_sim_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(sim);
    for (uint64_t seed = first; seed < first + count && !property; seed++) {
        struct hn_sim_options options = {.seed = seed, .trace = trace};
        property = hn_sim_run(sim, &options, coverage);
    }
    hn_sim_free(sim);
    return property ? "did not hold" : NULL;
}

TEST(sim, schedules_hold)
{
    static struct hn_sim_coverage coverage;
    CU_ASSERT_PTR_NULL(run_many(1, 2000, false, &coverage));
    CU_ASSERT(coverage.calls > 2000 * 20);
    CU_ASSERT(coverage.sometimes[HN_PROBED] > 1000);
}

TEST(sim, the_same_seed_tells_the_same_story_with_or_without_a_transcript)
{
    static struct hn_sim_coverage once, again;
    CU_ASSERT_PTR_NULL(run_many(5000, 200, false, &once));
    CU_ASSERT_PTR_NULL(run_many(5000, 200, true, &again));
    CU_ASSERT_EQUAL(memcmp(&once, &again, sizeof once), 0);
    CU_ASSERT_PTR_NULL(run_many(5200, 1, false, &again));
    CU_ASSERT_NOT_EQUAL(memcmp(&once, &again, sizeof once), 0);
}
