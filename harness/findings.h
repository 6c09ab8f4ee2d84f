/* SPDX-License-Identifier: MIT */
/*
 * findings: what the checkers object to.
 *
 * A finding names the clause of the invariant that is broken, what was read, what was expected and
 * what was there. The lists are flat memory with atomic counts, so that they can lie in memory shared
 * by processes: the target's sampler adds to the same ones as the judge. Each clause has a list of
 * its own, so that one clause, a waived one above all, never takes the room of another; and each
 * finding is counted before it is written: one without room, or whose writer was killed half-way,
 * can't be shown, but it is never lost.
 */
#ifndef HARNESS_FINDINGS_H
#define HARNESS_FINDINGS_H

#include <stdatomic.h>
#include <stdint.h>

enum hn_clause {
    HN_HARNESS = 0, /* not the pool: the harness broke, nothing was shown */
    HN_I1_RESOLUTION,
    HN_I2_BOOKS,
    HN_I3_LIVENESS,
    HN_I4_RESIDUE,
    HN_I5_ISOLATION,
    HN_I6_BOUNDED,
    HN_I7_CERTAINTY,
    HN_I8_OWN_PROCESSES,
    HN_I9_CONTAINMENT,
    HN_I10_FINALIZER,
    HN_I11_HOST,
    HN_CLAUSES
};

#define HN_FINDINGS_MAX 16 /* of one clause that are kept */

struct hn_finding {
    _Atomic uint32_t whole; /* 1 when all below is written */
    char read[120];         /* where `actual` was found */
    char expected[120];
    char actual[264];
};

struct hn_findings {
    struct hn_findings_of {
        _Atomic uint32_t count; /* may exceed HN_FINDINGS_MAX: the rest is only counted */
        struct hn_finding list[HN_FINDINGS_MAX];
    } of[HN_CLAUSES];
};

/* Texts are cut to fit. May be called by several processes at once. */
__attribute__((format(printf, 5, 6))) void hn_findings_add(struct hn_findings *findings,
                                                           enum hn_clause clause, const char *read,
                                                           const char *expected, const char *actual,
                                                           ...);

/* How many there are of this clause, also those that can't be shown; and of all together. */
uint32_t hn_findings_count(const struct hn_findings *findings, enum hn_clause clause);
uint32_t hn_findings_total(const struct hn_findings *findings);

/* One of the first HN_FINDINGS_MAX of the clause; NULL: there is none, or it was never finished. */
const struct hn_finding *hn_findings_at(const struct hn_findings *findings, enum hn_clause clause,
                                        uint32_t index);

/* "I4"; the harness itself is "harness". */
const char *hn_clause_name(enum hn_clause clause);

#endif
