/* SPDX-License-Identifier: MIT */
/*
 * build/sim: many schedules, each from its own seed, on one core. Prints a summary and what was not
 * covered; on a failure the property, the last lines of the transcript and the command to replay it.
 * Exit: 0 all held, 1 a property did not hold or something reachable was not reached, 2 usage.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/clock.h"
#include "harness/sim.h"

#define COVERAGE_MATTERS_FROM 50000u /* schedules: fewer may leave something out */

struct arguments {
    uint64_t schedules, seed;
    uint32_t steps;
    bool verbose;
};

static int usage(void)
{
    fputs("usage: sim [--schedules N] [--seed S] [--steps N] [--verbose]\n", stderr);
    return 2;
}

static bool parse_number(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 0);
    return errno == 0 && end != text && *end == '\0';
}

static bool parse(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        {"schedules", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},
        {"steps", required_argument, NULL, 't'},
        {"verbose", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    uint64_t steps = 0;
    int option;
    bool good = true;
    while ((option = getopt_long(argc, argv, "n:s:t:v", options, NULL)) != -1) {
        if (option == 'v')
            arguments->verbose = true;
        else if (option == 'n')
            good = good && parse_number(optarg, &arguments->schedules);
        else if (option == 's')
            good = good && parse_number(optarg, &arguments->seed);
        else if (option == 't')
            good = good && parse_number(optarg, &steps) && steps <= 100000;
        else
            good = false;
    }
    arguments->steps = (uint32_t)steps;
    return good && optind == argc && arguments->schedules > 0;
}

/* ---- coverage --------------------------------------------------------------------------------- */

static uint32_t print_cells(const struct hn_sim_coverage *coverage)
{
    uint32_t reachable = 0, missed = 0;
    for (uint32_t state = 0; state < LP_WORKER_STATES; state++)
        for (uint32_t event = 0; event < LP_WORKER_EVENTS; event++) {
            bool hit = coverage->cells[state][event] != 0;
            bool can = hn_sim_reachable((enum lp_worker_state)state, (enum lp_event_kind)event);
            reachable += can;
            missed += can && !hit;
            if (hit != can)
                printf("  %s: %s x %s\n", hit ? "thought unreachable" : "NEVER",
                       lp_worker_state_name((enum lp_worker_state)state),
                       hn_sim_event_name((enum lp_event_kind)event));
        }
    printf("states x events: %u of %u reachable cells hit\n", reachable - missed, reachable);
    return missed;
}

static uint32_t print_sometimes(const struct hn_sim_coverage *coverage, bool all)
{
#define HN_TEXT(name, text) text,
    static const char *const texts[HN_SOMETIMES_N] = {HN_SOMETIMES(HN_TEXT)};
    uint32_t missed = 0;
    for (uint32_t i = 0; i < HN_SOMETIMES_N; i++) {
        uint64_t count = coverage->sometimes[i];
        missed += count == 0;
        if (all && count)
            printf("  %10llu  %s\n", (unsigned long long)count, texts[i]);
        else if (!count)
            printf("       NEVER  %s\n", texts[i]);
    }
    printf("sometimes: %u of %u situations met\n", (unsigned)HN_SOMETIMES_N - missed,
           (unsigned)HN_SOMETIMES_N);
    return missed;
}

/* ---- runs ------------------------------------------------------------------------------------- */

/* The seeds of one run are a walk from the first: schedule i alone is replayed by its own seed. */
static uint64_t next_seed(uint64_t seed)
{
    uint64_t x = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return x ^ (x >> 29);
}

static int explain(struct hn_sim *sim, const struct arguments *arguments, uint64_t seed,
                   uint64_t number, const char *property)
{
    static struct hn_sim_coverage unused;
    char first[256];
    snprintf(first, sizeof first, "%s", property);
    struct hn_sim_options options = {
        .seed = seed, .steps = arguments->steps, .trace = true, .verbose = arguments->verbose};
    const char *again = arguments->verbose ? property : hn_sim_run(sim, &options, &unused);
    if (!arguments->verbose)
        hn_sim_print_tail(sim);
    printf("\nFAILED after %llu schedules: %s\n", (unsigned long long)number, first);
    if (!again || strcmp(first, again) != 0)
        printf("and the replay differs, the sim is not deterministic: %s\n",
               again ? again : "held");
    printf("replay: build/sim --seed 0x%llx --schedules 1", (unsigned long long)seed);
    if (arguments->steps)
        printf(" --steps %u", arguments->steps);
    printf(" --verbose\n");
    return 1;
}

static int summarise(const struct arguments *arguments, const struct hn_sim_coverage *coverage,
                     uint64_t took_ns)
{
    double seconds = (double)took_ns / 1e9;
    bool matters = arguments->schedules >= COVERAGE_MATTERS_FROM;
    uint32_t missed = 0;
    if (arguments->schedules > 1) {
        missed += print_sometimes(coverage, true);
        missed += print_cells(coverage);
    }
    printf("%llu schedules held, seed 0x%llx: %.0f a second, %.0f calls each, %.1f virtual hours\n",
           (unsigned long long)arguments->schedules, (unsigned long long)arguments->seed,
           (double)arguments->schedules / seconds,
           (double)coverage->calls / (double)arguments->schedules,
           (double)coverage->virtual_ns / 3.6e12);
    printf("longest list of actions: %u of %u\n", coverage->most_actions,
           coverage->most_actions_of);
    if (missed && matters)
        printf("FAILED: %u things that can happen never did\n", missed);
    return missed && matters ? 1 : 0;
}

int main(int argc, char **argv)
{
    static struct hn_sim_coverage coverage;
    struct arguments arguments = {.schedules = 10000, .seed = hn_clock_ns()};
    if (!parse(argc, argv, &arguments))
        return usage();
    struct hn_sim *sim = hn_sim_new();
    uint64_t seed = arguments.seed, begun_ns = hn_clock_ns();
    int code = sim ? 0 : 2;
    for (uint64_t i = 0; i < arguments.schedules && !code; i++, seed = next_seed(seed)) {
        struct hn_sim_options options = {.seed = seed,
                                         .steps = arguments.steps,
                                         .trace = arguments.verbose,
                                         .verbose = arguments.verbose};
        const char *property = hn_sim_run(sim, &options, &coverage);
        if (property)
            code = explain(sim, &arguments, seed, i, property);
    }
    if (!code)
        code = summarise(&arguments, &coverage, hn_clock_ns() - begun_ns);
    hn_sim_free(sim);
    return code;
}
