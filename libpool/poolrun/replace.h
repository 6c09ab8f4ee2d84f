/* SPDX-License-Identifier: MIT */
/* COMMAND with its replacement strings: {} the line, {#} the job's number, {%} its place. */
#ifndef POOLRUN_REPLACE_H
#define POOLRUN_REPLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

struct pr_job_values {
    const char *line;
    uint64_t seq;   /* 1, 2, 3... */
    uint32_t place; /* 1 to the number of jobs at once */
};

bool pr_replace_is_needed(const char *word); /* it has one of the three */
void pr_replace_word(struct pr_text *text, const char *word, const struct pr_job_values *values);

/*
 * The words of one job, each followed by a zero byte; the line comes last when none of the words has
 * a replacement string. Without words: "sh", "-c" and the line.
 */
void pr_replace_words(struct pr_text *text, char *const *words, const struct pr_job_values *values);

/* The same for people: to be pasted into a shell. */
void pr_replace_command(struct pr_text *text, char *const *words,
                        const struct pr_job_values *values);

#endif
