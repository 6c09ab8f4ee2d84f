/* SPDX-License-Identifier: MIT */
/*
 * The seam between the command and what executes a scenario.
 *
 * ch_run_scenario runs in a process of its own, forked by chaos/suite.c for this one run. It makes
 * the guardian and the target, drives the timeline, judges, and has everything undone before it
 * returns. It may crash or hang: the parent turns that into a verdict, and the guardian undoes.
 */
#ifndef CHAOS_RUN_H
#define CHAOS_RUN_H

#include <stdbool.h>
#include <stdio.h>

#include "chaos/result.h"
#include "chaos/scenario.h"

struct ch_run_options {
    uint64_t seed;            /* every random choice of this run comes from it */
    const char *evidence_dir; /* where to keep the history of a run that did not pass; or NULL */
    bool verbose;             /* may write what it does to stderr */
};

/*
 * Runs the scenario and fills *result with every reason against it, a capability that it needs and
 * does not find being one (a skip, at the place of the need); result->seed, index and repeat
 * are set by the caller. 0, whatever the verdict; -errno when the harness itself broke before it
 * could judge (the caller turns that into CH_ERROR).
 */
int ch_run_scenario(const struct ch_scenario *scenario, const struct ch_run_options *options,
                    struct ch_result *result);

/*
 * Proves each capability by doing it once and writes the table: capability, yes or no, why.
 * 0, or -errno when it could not be written.
 */
int ch_doctor(FILE *out);

/*
 * 0 when the capability is there, else -errno with one sentence in why (for `--require`).
 */
int ch_capability_probe(enum ch_capability capability, char *why, size_t why_size);

#endif
