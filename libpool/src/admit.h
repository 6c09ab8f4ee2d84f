/* SPDX-License-Identifier: MIT */
/*
 * admit: what the options ask of the machine's memory before a task starts. When it is asked, and what
 * follows, is core/admission's.
 */
#ifndef LP_ADMIT_H
#define LP_ADMIT_H

#include <stdbool.h>

#include <libpool.h>

#include "os/headroom.h"

/* The options ask for something. */
bool lp_admit_is_wanted(const libpool_options *options);
/* At the opening: 0, or -ENOTSUP: what can't be told can't be waited for. */
int lp_admit_find(struct lp_headroom *headroom, const libpool_options *options);
/* No task should start now. Reads a dozen small files of the kernel's. */
bool lp_admit_is_scarce(const struct lp_headroom *headroom, const libpool_options *options);

#endif
