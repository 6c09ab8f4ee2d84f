/* SPDX-License-Identifier: MIT */
/* All jobs of one poolrun. */
#ifndef POOLRUN_RUN_H
#define POOLRUN_RUN_H

#include "input.h"
#include "joblog.h"
#include "options.h"

/* The exit status. Mistakes are told on standard error. */
int pr_run(const struct pr_options *options, struct pr_input *input, struct pr_joblog *log);

/* The same for --dry-run. */
int pr_run_dry(const struct pr_options *options, struct pr_input *input,
               const struct pr_joblog *log);

#endif
