/* SPDX-License-Identifier: MIT */
/* --progress: one line on a terminal, drawn anew. */
#ifndef POOLRUN_PROGRESS_H
#define POOLRUN_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

struct pr_progress {
    bool is_on;
    bool is_drawn; /* the line is there */
    uint64_t begun_ns, drawn_ns;
};

struct pr_counts {
    uint64_t running, succeeded, failed, skipped;
};

void pr_progress_open(struct pr_progress *progress, bool wanted, uint64_t now_ns);
void pr_progress_clear(struct pr_progress *progress); /* before anything else is written */

/* Draws the line if the last time is long enough ago. Returns in how many ms to come again; -1: never. */
int pr_progress_draw(struct pr_progress *progress, const struct pr_counts *counts, uint64_t now_ns);

/* The line itself. */
void pr_progress_say(struct pr_text *text, const struct pr_counts *counts, uint64_t elapsed_ns);

#endif
