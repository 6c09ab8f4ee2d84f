/* SPDX-License-Identifier: MIT */
/*
 * outfit: what a scenario wants the workers to wear, as libpool takes it, and the look in the worker
 * whether it is worn. The directory of an outfit may come late: it is a descriptor of the target's, by
 * its name in /proc, and opened when so many initializers have failed for want of it.
 */
#ifndef HARNESS_OUTFIT_H
#define HARNESS_OUTFIT_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include <libpool.h>

#include "harness/findings.h"

#define HN_VARIABLES_MAX 64

/* All zero: nothing in particular. */
struct hn_outfit {
    uint32_t variables; /* of the environment that are set, HN_VARIABLES_MAX at most */
    uint32_t nice;
    uint32_t stdio; /* LIBPOOL_STDIO_... of 1 and 2 */
    bool deal_cpus;
    bool no_core;
    uint64_t limit_as;
    uint32_t directory_late; /* there from the N-th failed initializer on; 0: not asked for */
};

bool hn_outfit_is_any(const struct hn_outfit *wanted);

/* What libpool takes, with the room for what it points to. */
struct hn_outfit_given {
    libpool_outfit outfit;
    char texts[HN_VARIABLES_MAX][32];
    const char *environment[HN_VARIABLES_MAX];
    uint32_t cpus[CPU_SETSIZE];
    libpool_limit limits[2];
    char directory[64];
};

/* In the target, whose memory the workers inherit. 0, or -errno. */
int hn_outfit_make(const struct hn_outfit *wanted, struct hn_outfit_given *given);

/*
 * In the target: the same with one variable more, which tells how often it was changed. *wearing is what the
 * workers had before, NULL for nothing.
 */
#define HN_DRESS_VARIABLE "CHAOS_DRESS"
int hn_outfit_change(libpool *pool, const libpool_outfit *wearing, uint32_t times);

/* In the target: an initializer has failed; the directory comes when that was the last to miss it. */
void hn_outfit_init_failed(const struct hn_outfit *wanted, uint64_t failures);

/* In the target, when the pool is closed. */
void hn_outfit_put_away(const struct hn_outfit *wanted);

/* In a worker whose output is kept: the task's line. */
void hn_outfit_say(const struct hn_outfit *wanted, uint32_t task);

/* In a worker: I5 when it does not wear what the pool was given at that change. */
void hn_outfit_check_change(uint32_t times, struct hn_findings *findings);

/* What a result has of it. */
enum hn_tail {
    HN_TAIL_UNKNOWN = 0, /* it is not kept */
    HN_TAIL_NONE,
    HN_TAIL_OWN,
    HN_TAIL_OTHER
};

enum hn_tail hn_outfit_read_tail(const struct hn_outfit *wanted, uint32_t task,
                                 const libpool_result *result);

/* In a worker: I5 when it does not wear what was given. */
void hn_outfit_check(const struct hn_outfit *wanted, const struct hn_outfit_given *given,
                     struct hn_findings *findings);

#endif
