/* SPDX-License-Identifier: MIT */
/* What a job came to: from libpool's result to an exit value, a signal and a sentence. */
#ifndef POOLRUN_ENDING_H
#define POOLRUN_ENDING_H

#include <libpool.h>
#include <stdbool.h>

#include "text.h"

struct pr_ending {
    bool is_dropped; /* it was killed because we stop: as if it had never been started */
    bool has_failed;
    int exit_value, signal;
};

/*
 * last_words: the job's code, if it has ended and its worker died because of it (job.h), else 0.
 * Into *why a sentence when the job's own exit status does not say all; else nothing.
 */
struct pr_ending pr_ending_of(const libpool_result *result, int last_words, const char *program,
                              struct pr_text *why);

#endif
