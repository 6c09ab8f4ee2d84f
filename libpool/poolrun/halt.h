/* SPDX-License-Identifier: MIT */
/* When to stop: "now,fail=1", "soon,fail=10%", "now,success=1", "soon,done=100". */
#ifndef POOLRUN_HALT_H
#define POOLRUN_HALT_H

#include <stdbool.h>
#include <stdint.h>

enum pr_halt_when {
    PR_HALT_NEVER = 0,
    PR_HALT_SOON, /* nothing more is started, what runs may finish */
    PR_HALT_NOW   /* what runs is killed */
};

enum pr_halt_what {
    PR_HALT_FAIL = 0,
    PR_HALT_SUCCESS,
    PR_HALT_DONE
};

struct pr_halt {
    enum pr_halt_when when;
    enum pr_halt_what what;
    uint64_t count;   /* so many jobs, or 0 */
    uint32_t percent; /* so many in 100 of those that have ended, and three at least */
};

/* 0, or -EINVAL: it is none of the forms above. */
int pr_halt_parse(const char *text, struct pr_halt *halt);

bool pr_halt_is_reached(const struct pr_halt *halt, uint64_t succeeded, uint64_t failed);

#endif
