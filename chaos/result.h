/* SPDX-License-Identifier: MIT */
/*
 * What a run came to: suite -> scenario run -> reasons.
 *
 * A verdict is never set, it follows from the reasons: none is a PASS, else the gravest of them
 * counts. So nothing can fail without saying why, and no later step can turn a failure into a pass.
 * A scenario run is flat memory, without a pointer: the child process that ran it hands it to its
 * parent through a pipe as it stands, and each reporter writes from the same tree.
 */
#ifndef CHAOS_RESULT_H
#define CHAOS_RESULT_H

#include <stddef.h>
#include <stdint.h>

#include "chaos/scenario.h"

/* In order of gravity, the lightest first; a failure is graver than a broken harness. */
enum ch_verdict {
    CH_PASS = 0,
    CH_SKIP,         /* a capability is missing: the reason says which, and why */
    CH_INCONCLUSIVE, /* a fault never fired: nothing was shown */
    CH_ERROR,        /* the harness broke */
    CH_FAIL,
    CH_VERDICTS
};

#define CH_REASONS_MAX 24

/*
 * checker names who objects, in the words that `must-fail` takes: "I4", "counter tasks_failed",
 * "fired", "kernel oom_kill", "task victim", "task late", "recovery", "host", "expect cause",
 * "within", "settle", "timeline", "numbers", "limit"; or "needs", "harness".
 * `read` says where `actual` was found ("memory.oom_control of worker 2's cgroup").
 */
struct ch_reason {
    enum ch_verdict verdict;
    struct ch_place place; /* the line that is not met; line 0: an implied one */
    char checker[64];
    char expected[192];
    char actual[384];
    char read[160];
};

/* One run of one scenario; all zero to begin with. */
struct ch_result {
    uint32_t index;  /* its place in the suite */
    uint32_t repeat; /* from 0 */
    uint64_t seed;   /* what --seed takes to run it again */
    uint64_t duration_ns;
    uint32_t reasons_count; /* kept below */
    uint32_t reasons_lost;  /* more than there is room for */
    struct ch_reason reasons[CH_REASONS_MAX];
    char evidence[256]; /* a file with the event history; empty: none was kept */
};

/* Adds a reason; texts are cut to fit. Keeps the first ones: the rest is only counted. */
void ch_result_object(struct ch_result *result, enum ch_verdict verdict, struct ch_place place,
                      const char *checker, const char *expected, const char *actual,
                      const char *read);

/* The same, with `actual` made by a format. */
__attribute__((format(printf, 7, 8))) void ch_result_objectf(
    struct ch_result *result, enum ch_verdict verdict, struct ch_place place, const char *checker,
    const char *expected, const char *read, const char *format, ...);

enum ch_verdict ch_result_verdict(const struct ch_result *result);
const char *ch_verdict_name(enum ch_verdict verdict); /* "PASS"... */
int ch_verdict_exit_code(enum ch_verdict verdict);

#endif
